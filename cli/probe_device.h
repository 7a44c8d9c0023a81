/* SPDX-License-Identifier: Apache-2.0 */
/* Measures this machine: a device.json whose times come from kernels as hadmcc
 * compiles them, one layer each, over sizes (hal/kernel_table.h).
 *
 * Times are the least of several runs, so that other programs disturb little; kernels
 * run one after another on data of their own, as in a network.  Some 140 seconds of
 * processor time. */
#ifndef HADMC_CLI_PROBE_DEVICE_H
#define HADMC_CLI_PROBE_DEVICE_H

#include "hal/device.h"

/* `quick`: the smallest sizes only, for tests.  `progress` may say what goes on.
 * Everything in *out lives in `a`. */
struct status *probe_device(struct arena *a, bool quick, struct device *out);

#endif /* HADMC_CLI_PROBE_DEVICE_H */
