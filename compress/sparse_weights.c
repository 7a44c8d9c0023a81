/* SPDX-License-Identifier: Apache-2.0 */
/* See sparse_weights.h.  Inside, inputs lie in the order in which they are decided. */
#include "compress/sparse_weights.h"

#include <math.h>

#include "compress/quadratic.h"
#include "support/smallest.h"

enum { BLOCK = 128, FOUR = 4, TWO = 2 };

struct thinning {
    const struct sparse_task *t;
    const double *u; /* [k][k] the factor of H's inverse */
    double *w;       /* [rows][k] */
    double *price;   /* [rows * BLOCK] */
    uint8_t *goes;   /* the same */
};

/* Of inputs first ... first + n - 1, row by row. */
static void set_prices(struct thinning *h, int64_t first, int64_t n)
{
    const int64_t k = h->t->k;

    for (int64_t r = 0; r < h->t->rows; r++)
        for (int64_t i = 0; i < n; i++) {
            const double x = h->w[r * k + first + i] / h->u[(first + i) * (k + 1)];

            h->price[r * n + i] = x * x;
        }
}

/* Weight j goes; those after it move to where H wants them. */
static void remove_weight(struct thinning *h, int64_t row, int64_t j)
{
    const int64_t k = h->t->k;
    double *w = h->w + row * k;
    const double error = w[j] / h->u[j * k + j];

    for (int64_t i = j + 1; i < k; i++)
        w[i] -= error * h->u[j * k + i];
    w[j] = 0.0;
}

static void remove_chosen(struct thinning *h, int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < h->t->rows; r++)
            if (h->goes[r * n + i])
                remove_weight(h, r, first + i);
}

static void thin_fours(struct thinning *h)
{
    for (int64_t first = 0; first < h->t->k; first += FOUR) {
        set_prices(h, first, FOUR);
        for (int64_t r = 0; r < h->t->rows; r++)
            smallest_mark(FOUR, h->price + r * FOUR, TWO, h->goes + r * FOUR);
        remove_chosen(h, first, FOUR);
    }
}

/* Zeros that the first `inputs` have in the end. */
static int64_t zeros_of(const struct sparse_task *t, int64_t inputs)
{
    return llround((double)t->n_zeros * (double)inputs / (double)t->k);
}

static void thin_blocks(struct thinning *h)
{
    const struct sparse_task *t = h->t;

    for (int64_t first = 0, n; first < t->k; first += n) {
        n = t->k - first < BLOCK ? t->k - first : BLOCK;
        set_prices(h, first, n);
        smallest_mark(t->rows * n, h->price,
                      zeros_of(t, first + n) - zeros_of(t, first), h->goes);
        remove_chosen(h, first, n);
    }
}

static struct status *thin(struct arena *a, const struct sparse_task *t, float *out)
{
    const int64_t k = t->k;
    struct thinning h = {.t = t, .w = arena_new_array(a, double, t->rows *k)};
    double *hessian = arena_new_array(a, double, k *k);
    struct quadratic q;

    for (int64_t i = 0; i < k * k; i++)
        hessian[i] = t->hessian[t->order[i / k] * k + t->order[i % k]];
    RETURN_IF_FAIL(quadratic_make(a, hessian, k, &q));
    h.u = q.u;
    h.price = arena_new_array(a, double, t->rows *BLOCK);
    h.goes = arena_new_array(a, uint8_t, t->rows *BLOCK);
    for (int64_t i = 0; i < t->rows * k; i++)
        h.w[i] = t->weights[i / k * k + t->order[i % k]];
    if (t->two_of_four)
        thin_fours(&h);
    else
        thin_blocks(&h);
    for (int64_t i = 0; i < t->rows * k; i++)
        out[i / k * k + t->order[i % k]] = (float)h.w[i];
    return OK;
}

struct status *sparse_weights(const struct sparse_task *t, float *out)
{
    struct arena *scratch = arena_create();
    struct status *s = thin(scratch, t, out);

    arena_destroy(scratch);
    return s;
}
