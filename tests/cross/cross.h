/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels run as another processor's program, with their operands as data of that
 * program and its own comparison of the results:
 *
 *     struct cross c = cross_open(isa);
 *     emit_int_conv(&c.emitter, ..., cross_name(&c));
 *     cross_add(&c, &operands);           // and so on, many kernels
 *     int wrong = cross_run(&c, "cortex-a53");  // number of a case, -1 for none
 */
#ifndef HADMC_TESTS_CROSS_H
#define HADMC_TESTS_CROSS_H

#include <stdint.h>

/* What the program knows of a kernel; of the whole work and of units [cut, units), then
 * [0, cut).  n_out bytes of result, 0x5a before. */
struct cross_case {
    void (*core)(const void *in, const void *weights, const void *epilogue,
                 const void *residual, void *out, uint8_t *scratch, int64_t begin,
                 int64_t end);
    const uint8_t *in, *weights, *epilogue, *residual, *want;
    int64_t n_out, units, cut;
};

enum { CROSS_MAX_OUT = 1 << 20, CROSS_FILL = 0x5a, CROSS_GUARD = 64 };

#endif /* HADMC_TESTS_CROSS_H */
