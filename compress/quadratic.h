/* SPDX-License-Identifier: Apache-2.0 */
/* How a layer's output depends on errors of its weights: H = mean of x x^T over the
 * samples x; what rounding and sparsity spread their errors by. */
#ifndef HADMC_COMPRESS_QUADRATIC_H
#define HADMC_COMPRESS_QUADRATIC_H

#include <stdint.h>

#include "support/arena.h"
#include "support/status.h"

/* H with its damping, and the factor U of its inverse = U^T U. */
struct quadratic {
    int64_t k;
    double *h, *u; /* [k][k] */
};

/* 0.01 of the mean of H's diagonal. */
double quadratic_damping(const double *h, int64_t k);

/* In `a`.  The damping is 10 or 100 times the usual one where H needs it, whose sums
 * have been rounded.  INVALID when H is not finite, its diagonal is negative, or it is
 * not positive semidefinite up to that; UNSUPPORTED without OpenBLAS. */
struct status *quadratic_make(struct arena *a, const double *h, int64_t k,
                              struct quadratic *out);

#endif /* HADMC_COMPRESS_QUADRATIC_H */
