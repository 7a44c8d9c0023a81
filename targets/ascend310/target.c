/* SPDX-License-Identifier: Apache-2.0 */
/* Huawei Ascend 310: plans, no code yet. */
#include "targets/targets.h"

const struct target target_ascend310 = {
    .name = "ascend310",
    .summary = "Huawei Ascend 310; plans only",
    .device_json = hadmc_device_json_ascend310,
    .emits = EMITS_PLAN,
};
