/* SPDX-License-Identifier: Apache-2.0 */
/* The number type of the training engine.
 *
 * The engine trains in float.  Its sources are compiled a second time with double in
 * its place, for the tests: there, derivatives are compared with finite differences to
 * ten digits, and the code that is checked is the code that trains.
 */
#ifndef HADMC_TRAIN_REAL_H
#define HADMC_TRAIN_REAL_H

#include <stdint.h>

#include "support/blas.h"

#ifdef TRAIN_DOUBLE
typedef double real;
#else
typedef float real;
#endif

/* blas_sgemm or blas_dgemm: blas.h. */
static inline void real_gemm(enum blas_form form_a, enum blas_form form_b, int64_t m,
                             int64_t n, int64_t k, real alpha, const real *a,
                             int64_t lda, const real *b, int64_t ldb, real beta,
                             real *c, int64_t ldc)
{
#ifdef TRAIN_DOUBLE
    blas_dgemm(form_a, form_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
#else
    blas_sgemm(form_a, form_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
#endif
}

#endif /* HADMC_TRAIN_REAL_H */
