/* SPDX-License-Identifier: Apache-2.0 */
/* See quadratic.h. */
#include "compress/quadratic.h"

#include <math.h>
#include <string.h>

#include "support/blas.h"

static const double DAMPING = 0.01, MOST_DAMPING = 100; /* times the usual */

double quadratic_damping(const double *h, int64_t k)
{
    double trace = 0;

    for (int64_t j = 0; j < k; j++)
        trace += h[j * k + j];
    /* Samples that are all zero say nothing; any damping is as good. */
    return trace > 0 ? DAMPING * trace / (double)k : 1;
}

static struct status *check_hessian(const double *h, int64_t k)
{
    for (int64_t i = 0; i < k * k; i++)
        if (!isfinite(h[i]))
            return FAIL(INVALID,
                        "second moments of inputs %lld and %lld are not finite",
                        (long long)(i / k), (long long)(i % k));
    for (int64_t j = 0; j < k; j++)
        if (h[j * k + j] < 0)
            return FAIL(INVALID, "input %lld has a negative second moment",
                        (long long)j);
    return OK;
}

/* H, the same on the diagonal, and the factor of its inverse; false: there is none. */
static bool factor(const double *h, double damp, struct quadratic *q)
{
    const int64_t k = q->k;

    memcpy(q->h, h, (size_t)(k * k) * sizeof *h);
    for (int64_t j = 0; j < k; j++)
        q->h[j * k + j] += damp;
    memcpy(q->u, q->h, (size_t)(k * k) * sizeof *h);
    return blas_inverse(k, q->u, k) && blas_cholesky(k, q->u, k);
}

/* Sums of float32 products are good to some millionths of the largest: inputs that
 * hardly vary have less than that left when their means are gone, and H may then have
 * eigenvalues below zero by more than the usual damping. */
struct status *quadratic_make(struct arena *a, const double *h, int64_t k,
                              struct quadratic *out)
{
    RETURN_IF_FAIL(blas_open());
    RETURN_IF_FAIL(check_hessian(h, k));
    *out = (struct quadratic){.k = k,
                              .h = arena_new_array(a, double, k *k),
                              .u = arena_new_array(a, double, k *k)};
    const double usual = quadratic_damping(h, k);

    for (double times = 1; times <= MOST_DAMPING; times *= 10)
        if (factor(h, usual * times, out))
            return OK;
    return FAIL(INVALID, "second moments of the inputs are not positive semidefinite");
}
