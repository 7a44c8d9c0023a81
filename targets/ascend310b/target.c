/* SPDX-License-Identifier: Apache-2.0 */
/* Huawei Ascend 310B: plans, no code yet. */
#include "targets/targets.h"

const struct target target_ascend310b = {
    .name = "ascend310b",
    .summary = "Huawei Ascend 310B; plans only",
    .device_json = hadmc_device_json_ascend310b,
    .emits = EMITS_PLAN,
};
