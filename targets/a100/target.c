/* SPDX-License-Identifier: Apache-2.0 */
/* NVIDIA A100 80GB: plans, no code yet. */
#include "targets/targets.h"

const struct target target_a100 = {
    .name = "a100",
    .summary = "NVIDIA A100 80GB; plans only",
    .device_json = hadmc_device_json_a100,
    .emits = EMITS_PLAN,
};
