/* SPDX-License-Identifier: Apache-2.0 */
/* See quadratic.h. */
#include "compress/quadratic.h"

#include <math.h>

#include "support/blas.h"

static const double DAMPING = 0.01;

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

struct status *quadratic_make(struct arena *a, const double *h, int64_t k,
                              struct quadratic *out)
{
    RETURN_IF_FAIL(blas_open());
    RETURN_IF_FAIL(check_hessian(h, k));
    *out =
        (struct quadratic){.k = k, .h = arena_copy(a, h, (size_t)(k * k) * sizeof *h)};
    const double damp = quadratic_damping(h, k);

    for (int64_t j = 0; j < k; j++)
        out->h[j * k + j] += damp;
    out->u = arena_copy(a, out->h, (size_t)(k * k) * sizeof *h);
    if (!blas_inverse(k, out->u, k) || !blas_cholesky(k, out->u, k))
        return FAIL(INVALID,
                    "second moments of the inputs are not positive semidefinite");
    return OK;
}
