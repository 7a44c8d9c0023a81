/* SPDX-License-Identifier: Apache-2.0 */
/* See conjugate.h.  A row that is done has steps of zero. */
#include "compress/conjugate.h"

#include <stdbool.h>

#include "support/blas.h"

enum { MOST_STEPS = 100 };
static const double DONE = 1e-8; /* square of the share of b that may be left */

struct search {
    int64_t rows, k;
    const double *h;
    const float *free;
    double *residual, *step, *product; /* [rows][k] */
    double *size, *first; /* [rows] of the residual: now and at the start */
};

static void mask(const struct search *s, double *x)
{
    for (int64_t i = 0; i < s->rows * s->k; i++)
        x[i] = s->free[i] != 0.0f ? x[i] : 0.0;
}

static double scaled(const struct search *s, int64_t row, int64_t j)
{
    return s->residual[row * s->k + j] / s->h[j * s->k + j];
}

static double residual_size(const struct search *s, int64_t row)
{
    double sum = 0.0;

    for (int64_t j = 0; j < s->k; j++)
        sum += s->residual[row * s->k + j] * scaled(s, row, j);
    return sum;
}

/* Along the step as far as it helps, then the next step. */
static void advance(struct search *s, int64_t row, double *x)
{
    const double *product = s->product + row * s->k;
    double *step = s->step + row * s->k, *residual = s->residual + row * s->k;
    double curvature = 0.0;

    for (int64_t j = 0; j < s->k; j++)
        curvature += step[j] * product[j];

    const double far = curvature > 0.0 ? s->size[row] / curvature : 0.0;

    for (int64_t j = 0; j < s->k; j++) {
        x[row * s->k + j] += far * step[j];
        residual[j] -= far * product[j];
    }

    const double size = residual_size(s, row);
    const double turn = s->size[row] > 0.0 ? size / s->size[row] : 0.0;

    for (int64_t j = 0; j < s->k; j++)
        step[j] = scaled(s, row, j) + turn * step[j];
    s->size[row] = size;
}

static bool is_done(const struct search *s, int64_t row)
{
    return !(s->size[row] > DONE * s->first[row]);
}

void conjugate_solve(struct arena *a, int64_t rows, int64_t k, const double *h,
                     const float *free, double *b, double *x)
{
    struct search s = {.rows = rows, .k = k, .h = h, .free = free, .residual = b};
    bool done = false;

    s.step = arena_new_array(a, double, rows *k);
    s.product = arena_new_array(a, double, rows *k);
    s.size = arena_new_array(a, double, rows);
    s.first = arena_new_array(a, double, rows);
    mask(&s, b);
    for (int64_t i = 0; i < rows * k; i++) {
        s.step[i] = scaled(&s, i / k, i % k);
        x[i] = 0.0;
    }
    for (int64_t r = 0; r < rows; r++)
        s.size[r] = s.first[r] = residual_size(&s, r);
    for (int n = 0; n < MOST_STEPS && !done; n++) {
        blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, rows, k, k, 1.0, s.step, k, h, k, 0.0,
                   s.product, k);
        mask(&s, s.product);
        done = true;
        for (int64_t r = 0; r < rows; r++)
            if (!is_done(&s, r)) {
                advance(&s, r, x);
                done = false;
            }
    }
}
