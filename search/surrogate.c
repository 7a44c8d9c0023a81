/* SPDX-License-Identifier: Apache-2.0 */
/* A guess of a plan's loss: see surrogate.h. */
#include "search/surrogate.h"

#include <math.h>
#include <string.h>

#include "support/blas.h"

#define RIDGE     0.05 /* squared relative error that is not explained */
#define LEAST     0.01 /* nats; smaller losses count as this in relative errors */
#define MOST_FITS 1024 /* plans in a fit */

struct surrogate *surrogate_create(struct arena *a, struct method_effects effects,
                                   int n_units)
{
    struct surrogate *s = arena_new(a, struct surrogate);
    const int size = 2 * n_units;

    *s = (struct surrogate){.effects = effects,
                            .n_units = n_units,
                            .size = size,
                            .g = arena_new_array(a, double, (int64_t)size *size),
                            .v = arena_new_array(a, double, size)};
    for (int i = 0; i < size; i++)
        s->g[(int64_t)i * size + i] = 1;
    return s;
}

static void fill_v(const struct surrogate *s, const struct choices *c, double *v)
{
    for (int i = 0; i < s->n_units; i++) {
        v[2 * i] = sqrt(s->effects.ratio[i][c->units[i].ratio]);
        v[2 * i + 1] = sqrt(s->effects.bits[i][c->units[i].bits]);
    }
}

/* The last MOST_FITS evaluations: with the usual budgets, all. */
static int list_fitted(const struct evaluator *e, int *out)
{
    const int n = e->n < MOST_FITS ? e->n : MOST_FITS;

    for (int i = 0; i < n; i++)
        out[i] = e->n - n + i;
    return n;
}

void surrogate_fit(struct surrogate *s, const struct evaluator *e)
{
    struct arena *scratch = arena_create();
    int *fitted = arena_new_array(scratch, int, MOST_FITS);
    const int n = list_fitted(e, fitted), d = s->size;
    double *v = arena_new_array(scratch, double, (int64_t)n *d),
           *kernel = arena_new_array(scratch, double, (int64_t)n *n),
           *rest = arena_new_array(scratch, double, n),
           *scaled = arena_new_array(scratch, double, (int64_t)n *d);

    for (int i = 0; i < n; i++)
        fill_v(s, e->all[fitted[i]].choices, v + (int64_t)i * d);
    blas_dsyrk(BLAS_PLAIN, n, d, 1, v, d, 0, kernel, n);
    for (int i = 0; i < n; i++) {
        const double loss = fmax(e->all[fitted[i]].result.loss, 0),
                     scale = fmax(loss, LEAST);

        rest[i] = loss - kernel[(int64_t)i * n + i];
        for (int k = i; k < n; k++)
            kernel[(int64_t)i * n + k] *= kernel[(int64_t)i * n + k];
        kernel[(int64_t)i * n + i] += RIDGE * scale * scale;
    }
    if (n && blas_inverse(n, kernel, n)) {
        for (int i = 0; i < n; i++) {
            double a = 0;

            for (int k = 0; k < n; k++)
                a += kernel[(int64_t)i * n + k] * rest[k];
            for (int k = 0; k < d; k++)
                scaled[(int64_t)i * d + k] = a * v[(int64_t)i * d + k];
        }
        memset(s->g, 0, (size_t)d * (size_t)d * sizeof *s->g);
        for (int i = 0; i < d; i++)
            s->g[(int64_t)i * d + i] = 1;
        blas_dgemm(BLAS_TRANSPOSED, BLAS_PLAIN, d, d, n, 1, scaled, d, v, d, 1, s->g,
                   d);
        s->n_fitted = e->n;
    }
    arena_destroy(scratch);
}

double surrogate_loss(struct surrogate *s, const struct choices *c)
{
    double sum = 0;

    fill_v(s, c, s->v);
    for (int i = 0; i < s->size; i++) {
        const double *const row = s->g + (int64_t)i * s->size;
        double own = 0;

        if (s->v[i] == 0)
            continue;
        for (int k = 0; k < s->size; k++)
            own += row[k] * s->v[k];
        sum += s->v[i] * own;
    }
    return fmax(sum, 0);
}
