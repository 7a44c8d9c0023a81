/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers are timed: a table (hal/kernel_table.h) for every row and precision. */
#ifndef HADMC_CLI_PROBE_PLAN_H
#define HADMC_CLI_PROBE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "hal/kernel_table.h"

enum {
    PROBE_WINDOW = 10000,
    PROBE_SIZES = 12,
};

/* windows: side of a window * PROBE_WINDOW + input channels of a group (of kinds
 * without windows: 1 and the elements of a row, the operations of a function).  rows:
 * sides of the output, rows, elements, bytes (probe_layers.h).  Depths and all others
 * rise. */
struct probe_row {
    enum work_kind kind;
    int stride;
    bool weight_zeros;
    int bits[4]; /* all lists end with 0 */
    int64_t channels[PROBE_SIZES], windows[PROBE_SIZES], rows[PROBE_SIZES];
};

extern const struct probe_row probe_rows[]; /* ends with a row without bits */

#endif /* HADMC_CLI_PROBE_PLAN_H */
