/* SPDX-License-Identifier: Apache-2.0 */
/* Measured times of one kind of kernel, over the sizes that decide about them.
 *
 *     {"kind": "pointwise", "weight_bits": 8, "activation_bits": 8,
 *      "channels": [8, 64], "depth": [16, 256], "rows": [64, 4096],
 *      "ns": [310, 17000, 2900, 180000, 620, 38000, 9800, 640000]}
 *
 * weight_zeros   may be left out: false; weights have zero points other than 0
 * channels   of the output; 1 for work that has none
 * depth      products that are summed for one output; points of a pool's window;
 *            elements of a row of softmax and normalizations; operations of a function
 * rows       output positions; rows; elements of "codes" and "function"; bytes that
 *            "move" reads and writes
 * ns         [channels][depth][rows], row-major
 *
 * Between the points the logarithm of the time is interpolated, linearly in the
 * logarithms of the sizes.  Below them it goes on falling as it does from the second
 * point to the first, on the average of the table; above them it rises as the work
 * does. So a time is never negative, and as kernel_table_smooth() has lowered what took
 * longer than a larger size, it never falls when a size rises.
 */
#ifndef HADMC_HAL_KERNEL_TABLE_H
#define HADMC_HAL_KERNEL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* Kinds of work whose kernels are of different speed. */
enum work_kind {
    WORK_PRODUCT,   /* Gemm, MatMul */
    WORK_POINTWISE, /* convolution, 1 x 1 */
    WORK_WINDOW,    /* larger windows, stride 1 */
    WORK_WINOGRAD,  /* of them, 3 x 3 by Winograd's algorithm */
    WORK_STRIDED,   /* any window, larger strides */
    WORK_FIRST,     /* at most WORK_FEW_CHANNELS input channels */
    WORK_DEPTHWISE, /* one input channel for every output channel, stride 1 */
    WORK_DEPTHWISE_STRIDED,
    /* no products of weights: */
    WORK_MOVE,     /* layouts, and element operators that compute next to nothing */
    WORK_CODES,    /* sums, differences, products of two tensors of 8-bit codes */
    WORK_FUNCTION, /* other element operators */
    WORK_POOL,
    WORK_SOFTMAX,
    WORK_NORMALIZATION,
    WORK_KINDS
};

enum { WORK_FEW_CHANNELS = 4 };

extern const char *const work_kind_names[]; /* by enum; ends with NULL */

/* Whether such work multiplies by weights. */
bool work_has_weights(enum work_kind kind);

/* The kind of a convolution by its groups, input channels of a group, and the points of
 * its window. */
enum work_kind work_kind_of_window(int64_t groups, int64_t c_in, int64_t window,
                                   bool strided);

enum { AXIS_CHANNELS, AXIS_DEPTH, AXIS_ROWS, TABLE_AXES };

struct kernel_table {
    enum work_kind kind;
    int weight_bits, activation_bits;
    bool weight_zeros;
    int n[TABLE_AXES];            /* at least 1 */
    const double *at[TABLE_AXES]; /* [n], rising, at least 1 */
    double *ns;                   /* [n[0]][n[1]][n[2]], above 0 */
};

/* No time falls along an axis afterwards: each becomes the least of those with no
 * smaller size.  Odd sizes are the slow ones, and must not make the larger ones look
 * slow. */
void kernel_table_smooth(struct kernel_table *t);

/* Sizes below 1 count as 1. */
double kernel_table_ns(const struct kernel_table *t, double channels, double depth,
                       double rows);

#endif /* HADMC_HAL_KERNEL_TABLE_H */
