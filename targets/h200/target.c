/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA H200: plans, no code yet. */
#include "targets/targets.h"

const struct target target_h200 = {
    .name = "h200",
    .summary = "NVIDIA H200; plans only",
    .device_json = hadmc_device_json_h200,
    .emits = EMITS_PLAN,
};
