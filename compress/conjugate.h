/* SPDX-License-Identifier: Apache-2.0 */
/* Linear systems of which every row has unknowns of its own. */
#ifndef HADMC_COMPRESS_CONJUGATE_H
#define HADMC_COMPRESS_CONJUGATE_H

#include <stdint.h>

#include "support/arena.h"

/* Row by row x with (x H)_j = b_j where free[j] is not zero, and x_j = 0 elsewhere;
 * h[k][k] is positive definite, the rest [rows][k].  By conjugate gradients over all
 * rows at once, until the residual is 1e-4 of b or 100 steps are done, so x is good to
 * about that: enough where H itself is an estimate.  `b` is not kept.
 *
 * source: Hestenes and Stiefel 1952; with H's diagonal as preconditioner */
void conjugate_solve(struct arena *a, int64_t rows, int64_t k, const double *h,
                     const float *free, double *b, double *x);

#endif /* HADMC_COMPRESS_CONJUGATE_H */
