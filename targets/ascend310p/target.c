/* SPDX-License-Identifier: Apache-2.0 */
/* Huawei Ascend 310P: plans, no code yet. */
#include "targets/targets.h"

const struct target target_ascend310p = {
    .name = "ascend310p",
    .summary = "Huawei Ascend 310P; plans only",
    .device_json = hadmc_device_json_ascend310p,
    .emits = EMITS_PLAN,
};
