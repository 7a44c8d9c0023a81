/* SPDX-License-Identifier: Apache-2.0 */
/* Arm Cortex-M and processors like it: portable C, for the compiler of the board. */
#include "targets/targets.h"

const struct target target_cortex_m = {
    .name = "cortex-m",
    .summary = "microcontrollers, figures of a Cortex-M7; portable C",
    .device_json = hadmc_device_json_cortex_m,
    .emits = EMITS_C,
};
