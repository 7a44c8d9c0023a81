/* SPDX-License-Identifier: Apache-2.0 */
/* Which channels go: see prune.h.
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
 * The loss as a share of y's variance, summed over the readers of a class, says which
 * of a group go first.  What such a loss does to the model's outputs differs from group
 * to group: it is measured once, with a quarter of the group's classes removed.  The
 * product divided by the multiply-adds that go with a class is its price; the cheapest
 * class goes, prices are made anew, until enough multiply-adds are gone.
 *
 * cifar_resnet20_jpegft with half of its multiply-adds, 512 samples, 8 bits, mean
 * divergence of the outputs: 0.28 nats; without measuring the groups 0.44; by
 * |W_c|^2 E x_c^2 alone 0.41, and the same share of every group by that 0.40 with still
 * 54 % of the multiply-adds.  The measure needs samples: with 64 instead of 384 units
 * of many inputs fit badly, and it misleads (0.92).
 *
 * source: optimal brain surgeon, Hassibi and Stork 1993; for blocks Kurtic et al. 2023,
 *         arXiv:2302.04089, section 3
 */
#include <math.h>
#include <string.h>

#include "compress/flow.h"
#include "compress/moments.h"
#include "compress/prune_parts.h"
#include "compress/shrink.h"
#include "support/blas.h"

enum {
    W = 1,
    MOST_SAMPLES = 256,
    MOST_TRIED = 384,
    MOST_ROWS = 1 << 15,
    MOST_K = 2304
};
static const double RIDGE = 0.01; /* of the mean of H's diagonal */

/* One unit that reads channels. */
struct reader {
    const struct unit *unit;
    struct product p;
    int n_blocks;     /* input channels */
    int64_t taps;     /* inputs of each, side by side */
    const int *class; /* by block; CHANNEL_FIXED */
    bool *gone;       /* by block */
    double *w;        /* [channels][k] */
    double *inverse;  /* [k][k] */
    double *loss;     /* by block */
    double variance;
};

struct chooser {
    struct pruner *q;
    struct reader *readers;
    int n_readers;
    double *price;  /* by class: loss */
    double *weight; /* by group: what the model loses for each loss of its readers */
    double *macs;   /* by class */
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
static void find_blocks(struct chooser *h, struct reader *r)
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

static void read_moments(struct chooser *h, struct reader *r, const struct flow *f)
{
    struct arena *a = arena_create();
    struct moments_sums *sums = moments_create(a, &r->p, flow_n(f), (int64_t)MOST_ROWS);
    const struct ir_node *n = r->p.node;
    const int64_t size = r->p.channels * r->p.k;
    float *w = arena_new_array(a, float, size);

    for (int64_t i = 0; i < flow_n(f); i++)
        moments_add(sums, flow_at(f, n->in[0], i), flow_at(f, n->out[0], i));
    moments_finish(sums, true);
    r->inverse = arena_new_array(h->q->arena, double, r->p.k * r->p.k);
    r->w = arena_new_array(h->q->arena, double, size);
    product_weights(&r->p, w);
    for (int64_t i = 0; i < size; i++)
        r->w[i] = (double)w[i];
    for (int64_t c = 0; c < r->p.channels; c++)
        r->variance += moments_all(sums)->var_y[c];
    if (!invert(moments_all(sums), r->inverse) || !(r->variance > 0.0))
        r->n_blocks = 0; /* has no say */
    arena_destroy(a);
}

static struct status *find_readers(struct chooser *h)
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
            r->unit = &q->units[u];
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

static double block_loss(const struct reader *r, int b, struct arena *a)
{
    const int64_t t = r->taps, k = r->p.k;
    double *m = arena_new_array(a, double, t *t), loss = 0.0;

    if (!block_inverse(r, b, m))
        return INFINITY;
    for (int64_t c = 0; c < r->p.channels; c++) {
        const double *w = r->w + c * k + b * t;

        for (int64_t i = 0; i < t; i++)
            for (int64_t j = 0; j < t; j++)
                loss += w[i] * m[i * t + j] * w[j];
    }
    return loss > 0.0 ? loss : 0.0;
}

static void price_reader(struct chooser *h, struct reader *r, double sign)
{
    for (int b = 0; b < r->n_blocks; b++)
        if (r->class[b] != CHANNEL_FIXED && !r->gone[b])
            h->price[r->class[b]] += sign * r->loss[b] / r->variance;
}

static void weigh_reader(struct reader *r)
{
    struct arena *a = arena_create();

    for (int b = 0; b < r->n_blocks; b++)
        if (r->class[b] != CHANNEL_FIXED && !r->gone[b]) {
            r->loss[b] = block_loss(r, b, a);
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

static void take_class(struct chooser *h, int class)
{
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
        weigh_reader(r);
        price_reader(h, r, 1.0);
    }
}

/* ---- multiply-adds -------------------------------------------------------------- */

static void note_unit(const struct pruner *q, const struct unit *u,
                      struct pruned_unit *out)
{
    const struct ir_value *y = u->node->out[0];
    const int d = channels_dim(u);
    int64_t *kept = arena_new_array(q->arena, int64_t, u->channels);

    out->channels = u->channels;
    out->n_kept = 0;
    for (int64_t i = 0; i < u->channels; i++)
        if (!prune_is_removed(q, q->ch->of[y->id][d][i]))
            kept[out->n_kept++] = i;
    out->kept = kept;
}

static double share_kept(const struct pruner *q, const struct ir_value *v, int d)
{
    return (double)channels_kept(q->ch, q->p->removed, v, d) / (double)v->dim[d];
}

/* Shares of outputs and of what each sums; a depthwise one sums what it did. */
static double unit_macs(const struct pruner *q, const struct unit *u)
{
    const struct ir_value *y = u->node->out[0];
    const double outputs = share_kept(q, y, channels_dim(u));
    struct product p;

    if (!product_of(u->node, &p) || p.groups > 1)
        return (double)u->macs * outputs;
    return (double)u->macs * outputs
           * share_kept(q, u->node->in[W], p.axis == 0 ? 1 : 0);
}

static int64_t all_macs(const struct pruner *q)
{
    double macs = 0.0;

    for (int i = 0; i < q->p->n_units; i++)
        macs += unit_macs(q, &q->units[i]);
    return (int64_t)macs;
}

/* Those that go with each class now: of units that make it, and of readers. */
static void find_macs(struct chooser *h)
{
    const struct pruner *q = h->q;

    memset(h->macs, 0, (size_t)q->ch->n_classes * sizeof *h->macs);
    for (int i = 0; i < q->p->n_units; i++) {
        const struct unit *u = &q->units[i];
        const struct ir_value *y = u->node->out[0];
        const int d = channels_dim(u);
        const double each =
            unit_macs(q, u) / (double)channels_kept(q->ch, q->p->removed, y, d);

        for (int64_t k = 0; k < y->dim[d]; k++)
            if (q->ch->of[y->id][d][k] != CHANNEL_FIXED)
                h->macs[q->ch->of[y->id][d][k]] += each;
    }
    for (int i = 0; i < h->n_readers; i++) {
        const struct reader *r = &h->readers[i];
        const double each =
            unit_macs(q, r->unit)
            / (double)channels_kept(q->ch, q->p->removed, r->p.node->in[W],
                                    r->p.axis == 0 ? 1 : 0);

        for (int b = 0; b < r->n_blocks; b++)
            if (r->class[b] != CHANNEL_FIXED)
                h->macs[r->class[b]] += each;
    }
}

/* ---- groups --------------------------------------------------------------------- */

/* The cheapest quarter of the group, or one, is removed for a trial; the sum of their
 * losses. */
static double remove_quarter(struct chooser *h, const struct channel_group *g)
{
    const struct pruner *q = h->q;
    double sum = 0.0;

    for (int n = (g->n + 3) / 4; n; n--) {
        int best = CHANNEL_FIXED;

        for (int i = 0; i < g->n; i++)
            if (!q->p->removed[g->classes[i]]
                && (best == CHANNEL_FIXED || h->price[g->classes[i]] < h->price[best]))
                best = g->classes[i];
        q->p->removed[best] = true;
        if (!shrink_keeps_all_dims(q->g, q->ch, q->p->removed)) {
            q->p->removed[best] = false;
            break;
        }
        sum += h->price[best];
    }
    return sum;
}

static struct status *weigh_groups(struct chooser *h)
{
    struct pruner *q = h->q;

    q->is_trial = true;
    for (int i = 0; i < q->ch->n_groups; i++) {
        const double sum = remove_quarter(h, &q->ch->groups[i]);
        double loss = 0.0;

        h->weight[i] = 1.0;
        if (sum > 0.0) {
            RETURN_IF_FAIL(prune_fit(q, MOST_TRIED, &loss));
            h->weight[i] = loss / sum;
        }
        memset(q->p->removed, 0, (size_t)q->ch->n_classes * sizeof *q->p->removed);
    }
    q->is_trial = false;
    return OK;
}

/* ---- choosing ----------------------------------------------------------------------
 */

/* The cheapest of the classes that are left; CHANNEL_FIXED: none may go. */
static int cheapest(const struct chooser *h, const bool *must_stay)
{
    const struct pruner *q = h->q;
    int best = CHANNEL_FIXED;
    double least = INFINITY;

    for (int c = 0; c < q->ch->n_classes; c++) {
        const double price = h->price[c] * h->weight[q->ch->group_of[c]] / h->macs[c];

        if (!q->p->removed[c] && !must_stay[c] && price < least) {
            least = price;
            best = c;
        }
    }
    return best;
}

static struct chooser open_chooser(struct pruner *q)
{
    const int n = q->ch->n_classes;

    return (struct chooser){
        .q = q,
        .price = arena_new_array(q->arena, double, n + 1),
        .macs = arena_new_array(q->arena, double, n + 1),
        .weight = arena_new_array(q->arena, double, q->ch->n_groups + 1),
    };
}

static void price_readers(struct chooser *h)
{
    for (int i = 0; i < h->n_readers; i++) {
        weigh_reader(&h->readers[i]);
        price_reader(h, &h->readers[i], 1.0);
    }
}

struct status *prune_choose(struct pruner *q)
{
    struct chooser h = open_chooser(q);
    bool *must_stay = arena_new_array(q->arena, bool, q->ch->n_classes + 1);

    RETURN_IF_FAIL(find_readers(&h));
    price_readers(&h);
    RETURN_IF_FAIL(weigh_groups(&h));
    q->p->macs_before = q->p->macs_after = all_macs(q);
    while ((double)q->p->macs_after > (1.0 - q->o->ratio) * (double)q->p->macs_before) {
        find_macs(&h);

        const int class = cheapest(&h, must_stay);

        if (class == CHANNEL_FIXED)
            break;
        q->p->removed[class] = true;
        if (!shrink_keeps_all_dims(q->g, q->ch, q->p->removed)) {
            q->p->removed[class] = false;
            must_stay[class] = true;
            continue;
        }
        take_class(&h, class);
        q->p->macs_after = all_macs(q);
    }
    for (int i = 0; i < q->p->n_units; i++)
        note_unit(q, &q->units[i], &q->p->units[i]);
    return OK;
}

/* ---- one group alone ---------------------------------------------------------------
 */

static bool reads_group(const struct chooser *h, const struct reader *r, int group)
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

/* On copies of the readers, so that the next group finds them whole. */
static void rank_group(const struct chooser *whole, int group, int *rank)
{
    const struct channels *ch = whole->q->ch;
    const struct channel_group *g = &ch->groups[group];
    struct arena *a = arena_create();
    struct chooser h = *whole;
    bool *taken = arena_new_array(a, bool, ch->n_classes);

    h.readers = arena_new_array(a, struct reader, h.n_readers + 1);
    h.price = arena_copy(a, whole->price, (size_t)ch->n_classes * sizeof *h.price);
    h.n_readers = 0;
    for (int i = 0; i < whole->n_readers; i++)
        if (reads_group(whole, &whole->readers[i], group))
            h.readers[h.n_readers++] = copy_reader(a, &whole->readers[i]);
    for (int n = 0; n < g->n; n++) {
        int best = CHANNEL_FIXED;

        for (int i = 0; i < g->n; i++)
            if (!taken[g->classes[i]]
                && (best == CHANNEL_FIXED || h.price[g->classes[i]] < h.price[best]))
                best = g->classes[i];
        taken[best] = true;
        rank[best] = n;
        take_class(&h, best);
    }
    arena_destroy(a);
}

struct status *prune_rank(const struct ir_graph *g, const struct prune_options *o,
                          struct arena *a, int **rank)
{
    struct arena *scratch = arena_create();
    struct pruning nothing = {0};
    struct pruner q = {.g = g, .o = o, .arena = scratch, .p = &nothing};

    q.units = units_find(g, &nothing.n_units);
    q.ch = channels_find(g, q.units, nothing.n_units);
    nothing.removed = arena_new_array(scratch, bool, q.ch->n_classes + 1);
    *rank = arena_new_array(a, int, q.ch->n_classes + 1);

    struct chooser h = open_chooser(&q);
    struct status *s = find_readers(&h);

    if (!s)
        price_readers(&h);
    for (int i = 0; i < q.ch->n_groups && !s; i++)
        rank_group(&h, i, *rank);
    arena_destroy(scratch);
    return s;
}

/* ---- plans ---------------------------------------------------------------------- */

static bool keeps(const struct plan_unit *u, int64_t channel)
{
    for (int64_t i = 0; u->kept && i < u->n_kept; i++)
        if (u->kept[i] == channel)
            return true;
    return !u->kept;
}

/* Every channel of the unit is what its class is. */
static struct status *check_unit(const struct pruner *q, int i)
{
    const struct plan_unit *u = &q->o->plan->units[i];
    const struct ir_value *y = q->units[i].node->out[0];
    const int *class = q->ch->of[y->id][channels_dim(&q->units[i])];

    for (int64_t c = 0; c < q->units[i].channels; c++)
        if (keeps(u, c) == prune_is_removed(q, class[c]))
            return FAIL(INVALID, "the plan %s channel %lld of unit '%s', %s",
                        keeps(u, c) ? "keeps" : "removes", (long long)c, u->name,
                        class[c] == CHANNEL_FIXED
                            ? "which the model does not work without"
                            : "but removes one of another unit that belongs to it");
    return OK;
}

struct status *prune_take_plan(struct pruner *q)
{
    q->p->macs_before = all_macs(q);
    for (int i = 0; i < q->p->n_units; i++) {
        const struct ir_value *y = q->units[i].node->out[0];
        const int *class = q->ch->of[y->id][channels_dim(&q->units[i])];

        for (int64_t c = 0; c < q->units[i].channels; c++)
            if (!keeps(&q->o->plan->units[i], c) && class[c] != CHANNEL_FIXED)
                q->p->removed[class[c]] = true;
    }
    for (int i = 0; i < q->p->n_units; i++)
        RETURN_IF_FAIL(check_unit(q, i));
    if (!shrink_keeps_all_dims(q->g, q->ch, q->p->removed))
        return FAIL(INVALID, "the plan removes all channels of a tensor");
    for (int i = 0; i < q->p->n_units; i++)
        note_unit(q, &q->units[i], &q->p->units[i]);
    q->p->macs_after = all_macs(q);
    return OK;
}
