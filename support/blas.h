/* SPDX-License-Identifier: Apache-2.0 */
/* Products and factors of dense matrices, by OpenBLAS on one thread.
 *
 *     RETURN_IF_FAIL(blas_open());
 *     blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, m, n, k, 1, a, k, b, n, 0, c, n);
 *
 * Matrices are row-major; `lda`, `ldb`, `ldc` are elements from one row to the next.
 * Sizes fit an int.  Outputs overlap no input.  Equal inputs give equal bytes on one
 * kind of processor, not across kinds: nothing that is promised to be exact
 * (docs/numerics.md) may come from here, only what is then stored.
 */
#ifndef HADMC_SUPPORT_BLAS_H
#define HADMC_SUPPORT_BLAS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/status.h"

/* Loads the library with its kernels for this processor; later calls cost nothing.  Any
 * thread, any number of times; everything below needs it to have succeeded once.
 * UNSUPPORTED when the library is missing, lacks a function or finds no memory.
 *
 * Sets OPENBLAS_CORETYPE, unless the user has, for kernels that this processor can run,
 * and OPENBLAS_NUM_THREADS in the environment. */
struct status *blas_open(void);

/* The library's name for its kernels: "SkylakeX". */
const char *blas_core(void);

enum blas_form { BLAS_PLAIN, BLAS_TRANSPOSED };

/* c[m][n] = alpha * op(a) op(b) + beta * c, op(a) is [m][k] and op(b) is [k][n]; a
 * transposed operand is stored [k][m] or [n][k].  With beta = 0, c is only written. */
void blas_sgemm(enum blas_form form_a, enum blas_form form_b, int64_t m, int64_t n,
                int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                int64_t ldb, float beta, float *c, int64_t ldc);
void blas_dgemm(enum blas_form form_a, enum blas_form form_b, int64_t m, int64_t n,
                int64_t k, double alpha, const double *a, int64_t lda, const double *b,
                int64_t ldb, double beta, double *c, int64_t ldc);

/* The upper triangle of c[n][n] = alpha * op(a) op(a)^T + beta * c; op(a) is [n][k], a
 * transposed one is stored [k][n]: k samples of n numbers.  Below the diagonal c stays.
 */
void blas_ssyrk(enum blas_form form, int64_t n, int64_t k, float alpha, const float *a,
                int64_t lda, float beta, float *c, int64_t ldc);
void blas_dsyrk(enum blas_form form, int64_t n, int64_t k, double alpha,
                const double *a, int64_t lda, double beta, double *c, int64_t ldc);

/* Copies the upper triangle below the diagonal. */
void blas_smirror(int64_t n, float *c, int64_t ldc);
void blas_dmirror(int64_t n, double *c, int64_t ldc);

/* a[n][n], of which the upper triangle is read, becomes the upper U with a = U^T U
 * (Cholesky), zero below the diagonal.  False, and a is of no use, when a is not
 * positive definite. */
bool blas_cholesky(int64_t n, double *a, int64_t lda);
/* a[n][n], of which the upper triangle is read, becomes its inverse, both triangles.
 * False, and a is of no use, when a is not positive definite. */
bool blas_inverse(int64_t n, double *a, int64_t lda);
/* b[m][n] becomes b a^-1; a[n][n], of which the upper triangle is read, is overwritten.
 * False, with b as it was, where blas_cholesky says so. */
bool blas_solve(int64_t n, double *a, int64_t lda, int64_t m, double *b, int64_t ldb);

#endif /* HADMC_SUPPORT_BLAS_H */
