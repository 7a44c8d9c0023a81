/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA Jetson AGX Orin: its graphics processor: plans, no code yet. */
#include "targets/targets.h"

const struct target target_orin_gpu = {
    .name = "orin-gpu",
    .summary = "NVIDIA Jetson AGX Orin: its graphics processor; plans only",
    .device_json = hadmc_device_json_orin_gpu,
    .emits = EMITS_PLAN,
};
