/* SPDX-License-Identifier: Apache-2.0 */
/* Weights to zeros such that the layer's output changes least.
 *
 *     struct sparse_task t = {.rows = 64, .k = 576, .weights = w, .hessian = h,
 *                             .n_zeros = 64 * 576 / 2};
 *     RETURN_IF_FAIL(sparse_weights(&t, v));
 *
 * A row is what makes one output channel.  The squared error of the output, averaged
 * over the samples x, is (v - w)^T H (v - w) with H = mean of x x^T.  Input after
 * input: a weight that becomes zero leaves an error that those after it make up for as
 * well as they can (optimal brain surgeon), so the cheapest are those of least w^2 /
 * (H^-1)_jj, where H is that of the inputs that are not decided yet.  128 inputs are
 * chosen from at once, of all rows.
 *
 * source: SparseGPT, Frantar and Alistarh 2023, arXiv:2301.00774, algorithm 1
 */
#ifndef HADMC_COMPRESS_SPARSE_WEIGHTS_H
#define HADMC_COMPRESS_SPARSE_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/status.h"

struct sparse_task {
    int64_t rows, k;
    const float *weights;  /* [rows][k] */
    const double *hessian; /* [k][k] symmetric */
    const int64_t *order;  /* [k] inputs in the order in which they are decided */
    bool two_of_four;      /* of each four in that order two, k being a multiple of 4 */
    int64_t n_zeros;       /* otherwise: exactly so many of rows x k */
};

/* What is left, into out[rows][k].  INVALID and UNSUPPORTED as quadratic.h. */
struct status *sparse_weights(const struct sparse_task *t, float *out);

#endif /* HADMC_COMPRESS_SPARSE_WEIGHTS_H */
