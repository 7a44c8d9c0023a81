/* SPDX-License-Identifier: Apache-2.0 */
/* What a channel is worth: see prune.h.
 *
 * A reader y = W x of channel c, x_c being its k / channels inputs, loses
 *
 *     tr W_c ((H^-1)_cc)^-1 W_c^T         H = E (x - Ex)(x - Ex)^T
 *
 * when c is taken away and the other weights make up for it as well as they can, and
 * then has the weights and the inverse
 *
 *     W - W_c ((H^-1)_cc)^-1 (H^-1)_c.        H^-1 - (H^-1)_.c ((H^-1)_cc)^-1 (H^-1)_c.
 *
 * The loss as a share of y's variance, summed over the readers of a class, is its
 * price.
 *
 * source: optimal brain surgeon, Hassibi and Stork 1993; for blocks Kurtic et al. 2023,
 *         arXiv:2302.04089, section 3
 */
#include <math.h>
#include <string.h>

#include "compress/prune_parts.h"
#include "compress/unit_fit.h"
#include "support/blas.h"

enum { W = 1, MOST_SAMPLES = 256, MOST_ROWS = 1 << 15, MOST_K = 2304 };
static const double RIDGE = 0.01; /* of the mean of H's diagonal */

/* One unit that reads channels. */
struct reader {
    struct product p;
    int n_blocks;     /* input channels */
    int64_t taps;     /* inputs of each, side by side */
    const int *class; /* by block; CHANNEL_FIXED */
    bool *gone;       /* by block */
    double *w;        /* [channels][k] */
    double *inverse;  /* [k][k]; H itself for SALIENCY_ENERGY */
    double *loss;     /* by block */
    double variance;
};

struct prices {
    struct pruner *q;
    struct reader *readers;
    int n_readers;
    double *of; /* by class */
};

/* ---- readers -------------------------------------------------------------------- */

static bool is_reader(const struct pruner *q, const struct ir_node *n,
                      struct product *p)
{
    if (!product_of(n, p) || p->groups > 1 || p->k > MOST_K)
        return false;
    for (int64_t i = 0; i < p->k; i++)
        if (prune_input_class(q, p, i) != CHANNEL_FIXED)
            return true;
    return false;
}

/* The classes of the inputs; those of a class lie side by side. */
static void find_blocks(struct prices *h, struct reader *r)
{
    int *class;

    r->taps = 1;
    if (!r->p.by_rows)
        for (int d = 0; d < 3; d++)
            r->taps *= r->p.window.kernel[d];
    r->n_blocks = (int)(r->p.k / r->taps);
    class = arena_new_array(h->q->arena, int, r->n_blocks);
    for (int b = 0; b < r->n_blocks; b++)
        class[b] = prune_input_class(h->q, &r->p, b * r->taps);
    r->class = class;
    r->gone = arena_new_array(h->q->arena, bool, r->n_blocks);
    r->loss = arena_new_array(h->q->arena, double, r->n_blocks);
}

static bool invert(const struct moments *m, double *to)
{
    const int64_t k = m->k;
    double trace = 0.0;

    memcpy(to, m->h, (size_t)(k * k) * sizeof *to);
    for (int64_t i = 0; i < k; i++)
        trace += m->h[i * k + i];
    for (int64_t i = 0; i < k; i++)
        to[i * k + i] += trace > 0.0 ? RIDGE * trace / (double)k : 1.0;
    return blas_inverse(k, to, k);
}

static void read_moments(struct prices *h, struct reader *r, const struct flow *f)
{
    struct arena *a = arena_create();
    const struct moments *m =
        moments_all(unit_fit_sums(a, &r->p, f, f, (int64_t)MOST_ROWS, true));
    const int64_t size = r->p.channels * r->p.k;
    float *w = arena_new_array(a, float, size);

    r->inverse = arena_new_array(h->q->arena, double, r->p.k * r->p.k);
    r->w = arena_new_array(h->q->arena, double, size);
    product_weights(&r->p, w);
    for (int64_t i = 0; i < size; i++)
        r->w[i] = (double)w[i];
    for (int64_t c = 0; c < r->p.channels; c++)
        r->variance += m->var_y[c];
    if (h->q->o->saliency == SALIENCY_ENERGY)
        memcpy(r->inverse, m->h, (size_t)(r->p.k * r->p.k) * sizeof *r->inverse);
    else if (!invert(m, r->inverse))
        r->n_blocks = 0; /* has no say */
    if (!(r->variance > 0.0))
        r->n_blocks = 0;
    arena_destroy(a);
}

static struct status *find_readers(struct prices *h)
{
    struct pruner *q = h->q;
    struct flow *f;
    struct status *s = OK;

    RETURN_IF_FAIL(flow_create(q->g, q->o->data, prune_samples(q, MOST_SAMPLES),
                               q->o->sample, &f));
    h->readers = arena_new_array(q->arena, struct reader, q->p->n_units + 1);
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next) {
        struct reader *r = &h->readers[h->n_readers];

        s = flow_run(f, n);
        for (int u = 0; u < q->p->n_units && !s; u++) {
            if (q->units[u].node != n || !is_reader(q, n, &r->p))
                continue;
            find_blocks(h, r);
            read_moments(h, r, f);
            h->n_readers++;
        }
        flow_release(f, n);
    }
    flow_destroy(f);
    return s;
}

/* ---- prices --------------------------------------------------------------------- */

/* ((H^-1)_cc)^-1 of a block. */
static bool block_inverse(const struct reader *r, int b, double *to)
{
    const int64_t t = r->taps, k = r->p.k;

    for (int64_t i = 0; i < t; i++)
        memcpy(to + i * t, r->inverse + (b * t + i) * k + b * t,
               (size_t)t * sizeof *to);
    return blas_inverse(t, to, t);
}

/* H_cc of a block, or ((H^-1)_cc)^-1. */
static bool block_matrix(const struct prices *h, const struct reader *r, int b,
                         double *to)
{
    const int64_t t = r->taps, k = r->p.k;

    if (h->q->o->saliency != SALIENCY_ENERGY)
        return block_inverse(r, b, to);
    for (int64_t i = 0; i < t; i++)
        memcpy(to + i * t, r->inverse + (b * t + i) * k + b * t,
               (size_t)t * sizeof *to);
    return true;
}

static double block_loss(const struct prices *h, const struct reader *r, int b,
                         struct arena *a)
{
    const int64_t t = r->taps, k = r->p.k;
    double *m = arena_new_array(a, double, t *t), loss = 0.0;

    if (!block_matrix(h, r, b, m))
        return INFINITY;
    for (int64_t c = 0; c < r->p.channels; c++) {
        const double *w = r->w + c * k + b * t;

        for (int64_t i = 0; i < t; i++)
            for (int64_t j = 0; j < t; j++)
                loss += w[i] * m[i * t + j] * w[j];
    }
    return loss > 0.0 ? loss : 0.0;
}

static void price_reader(struct prices *h, struct reader *r, double sign)
{
    for (int b = 0; b < r->n_blocks; b++)
        if (r->class[b] != CHANNEL_FIXED && !r->gone[b])
            h->of[r->class[b]] += sign * r->loss[b] / r->variance;
}

static void weigh_reader(const struct prices *h, struct reader *r)
{
    struct arena *a = arena_create();

    for (int b = 0; b < r->n_blocks; b++)
        if (r->class[b] != CHANNEL_FIXED && !r->gone[b]) {
            r->loss[b] = block_loss(h, r, b, a);
            arena_reset(a);
        }
    arena_destroy(a);
}

/* The reader's weights and inverse without block b. */
static void take_block(struct reader *r, int b)
{
    struct arena *a = arena_create();
    const int64_t t = r->taps, k = r->p.k, n = r->p.channels;
    double *m = arena_new_array(a, double, t *t);
    double *rows = arena_new_array(a, double, t *k); /* M (H^-1)_c. */
    double *mine = arena_new_array(a, double, n *t);
    double *across = arena_new_array(a, double, k *t);

    r->gone[b] = true;
    if (block_inverse(r, b, m)) {
        blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, t, k, t, 1.0, m, t, r->inverse + b * t * k,
                   k, 0.0, rows, k);
        for (int64_t c = 0; c < n; c++)
            memcpy(mine + c * t, r->w + c * k + b * t, (size_t)t * sizeof *mine);
        for (int64_t i = 0; i < k; i++)
            memcpy(across + i * t, r->inverse + i * k + b * t,
                   (size_t)t * sizeof *across);
        blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, n, k, t, -1.0, mine, t, rows, k, 1.0, r->w,
                   k);
        blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, k, k, t, -1.0, across, t, rows, k, 1.0,
                   r->inverse, k);
    }
    /* what is gone stays gone, up to rounding */
    for (int64_t c = 0; c < n; c++)
        memset(r->w + c * k + b * t, 0, (size_t)t * sizeof *r->w);
    for (int64_t i = b * t; i < (b + 1) * t; i++) {
        memset(r->inverse + i * k, 0, (size_t)k * sizeof *r->inverse);
        for (int64_t j = 0; j < k; j++)
            r->inverse[j * k + i] = 0.0;
    }
    arena_destroy(a);
}

void prices_take(struct prices *h, int class)
{
    if (h->q->o->saliency != SALIENCY_RECONSTRUCTION)
        return; /* nobody makes up for anything */
    for (int i = 0; i < h->n_readers; i++) {
        struct reader *r = &h->readers[i];
        bool has = false;

        for (int b = 0; b < r->n_blocks; b++)
            has |= r->class[b] == class && !r->gone[b];
        if (!has)
            continue;
        price_reader(h, r, -1.0);
        for (int b = 0; b < r->n_blocks; b++)
            if (r->class[b] == class && !r->gone[b])
                take_block(r, b);
        weigh_reader(h, r);
        price_reader(h, r, 1.0);
    }
}

/* ---- all ------------------------------------------------------------------------- */

const char *const prune_saliencies[] = {
#define SALIENCY(id, word, about) word,
#include "compress/saliency.def"
    NULL,
};

double prices_of(const struct prices *h, int class)
{
    return h->of[class];
}

struct status *prices_create(struct pruner *q, struct prices **out)
{
    struct prices *h = *out = arena_new(q->arena, struct prices);

    *h = (struct prices){.q = q};
    h->of = arena_new_array(q->arena, double, q->ch->n_classes + 1);
    if (q->o->saliency == SALIENCY_TAYLOR)
        return prices_by_taylor(q, h->of);
    if (q->o->saliency > SALIENCY_ENERGY) {
        prices_by_magnitude(q, h->of);
        return OK;
    }
    RETURN_IF_FAIL(find_readers(h));
    for (int i = 0; i < h->n_readers; i++) {
        weigh_reader(h, &h->readers[i]);
        price_reader(h, &h->readers[i], 1.0);
    }
    return OK;
}

/* ---- one group alone ------------------------------------------------------------- */

static bool reads_group(const struct prices *h, const struct reader *r, int group)
{
    for (int b = 0; b < r->n_blocks; b++)
        if (r->class[b] != CHANNEL_FIXED && h->q->ch->group_of[r->class[b]] == group)
            return true;
    return false;
}

static struct reader copy_reader(struct arena *a, const struct reader *r)
{
    struct reader copy = *r;
    const size_t number = sizeof(double);

    copy.w = arena_copy(a, r->w, (size_t)(r->p.channels * r->p.k) * number);
    copy.inverse = arena_copy(a, r->inverse, (size_t)(r->p.k * r->p.k) * number);
    copy.loss = arena_copy(a, r->loss, (size_t)r->n_blocks * number);
    copy.gone = arena_copy(a, r->gone, (size_t)r->n_blocks * sizeof *r->gone);
    return copy;
}

struct prices *prices_of_group(const struct prices *whole, int group, struct arena *a)
{
    struct prices *h = arena_new(a, struct prices);

    *h = (struct prices){.q = whole->q};
    h->of =
        arena_copy(a, whole->of, (size_t)(whole->q->ch->n_classes + 1) * sizeof *h->of);
    h->readers = arena_new_array(a, struct reader, whole->n_readers + 1);
    for (int i = 0; i < whole->n_readers; i++)
        if (reads_group(whole, &whole->readers[i], group))
            h->readers[h->n_readers++] = copy_reader(a, &whole->readers[i]);
    return h;
}
