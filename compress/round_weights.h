/* SPDX-License-Identifier: Apache-2.0 */
/* Weights to integers such that the layer's output changes least.
 *
 *     struct rounding_task t = {.rows = 64, .k = 576, .weights = w, .hessian = h,
 *                               .bits = 4};
 *     RETURN_IF_FAIL(round_weights(a, &t, &r));
 *
 * A row is what makes one output channel: w ~ scale * code.  The squared error of the
 * output, averaged over the samples x, is d^T H d with d = scale * code - w and
 * H = mean of x x^T.  Three steps, each row for itself:
 *
 *   1. nearest   the scale, among 70 between 0.3 and 1 times the one that clips
 * nothing, with the least sum of d^2; codes to nearest even
 *   2. GPTQ      code after code, spreading each one's error over those that follow
 *                (Frantar et al. 2023, arXiv:2210.17323, algorithm 1)
 *   3. descent   from the codes of both steps: the change of one code by one that
 * lowers the error most, until none does.  The objective is AdaRound's (Nagel et al.
 * 2020, arXiv:2004.10568, equation 21), without its relaxation
 *
 * No step's result is worse than the one before.  With 4 bits, on layers of ResNet-20's
 * shapes whose inputs are correlated, the error falls to 0.3 of that of step 1; all its
 * layers take 0.25 s.
 */
#ifndef HADMC_COMPRESS_ROUND_WEIGHTS_H
#define HADMC_COMPRESS_ROUND_WEIGHTS_H

#include <stdbool.h>
#include <stdint.h>

#include "compress/quadratic.h"
#include "support/arena.h"
#include "support/status.h"

struct rounding_task {
    int64_t rows, k;
    const float *weights;  /* [rows][k]                                         */
    const double *hessian; /* [k][k] symmetric; NULL: the identity, step 1 only */
    const struct quadratic *form; /* of `hessian`, where it has been made; or NULL   */
    const float
        *least_scale; /* [rows] so that the bias fits (docs/numerics.md), or NULL */
    int bits;         /* 8: codes -127 ... 127; 4: codes -7 ... 7          */
    bool keep_zeros;  /* weights that are zero get the code 0              */
};

/* Errors are sums over rows of d^T (H + damping) d; damping is 0.01 of the mean of H's
 * diagonal, on the diagonal (quadratic.h: more where H needs it).  It keeps codes near
 * their weights where the samples say nothing: an input that they never used keeps its
 * nearest codes. */
struct rounding {
    int8_t *codes;        /* [rows][k]                         */
    float *scale;         /* [rows]; 1 for a row of zeros      */
    double error_nearest; /* after step 1                      */
    double error_gptq;    /* after step 2, row by row the best */
    double error;         /* after step 3: of `codes`          */
};

/* The result is in `a`.  INVALID when a weight, a least scale or H is not finite, H's
 * diagonal is negative, or H is not positive semidefinite up to the damping;
 * UNSUPPORTED without OpenBLAS, when there is an H. */
struct status *round_weights(struct arena *a, const struct rounding_task *t,
                             struct rounding *out);

/* d^T (H + damping) d of one row of codes, whoever made them, with the usual damping;
 * slow and simple. */
double rounding_error(const struct rounding_task *t, int64_t row, const int8_t *codes,
                      float scale);

#endif /* HADMC_COMPRESS_ROUND_WEIGHTS_H */
