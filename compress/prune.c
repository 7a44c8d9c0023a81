/* SPDX-License-Identifier: Apache-2.0 */
/* See prune.h.  The float graph runs once for the scores; then it and the graph with
 * the removed channels at zero run side by side, node by node, and every unit is fitted
 * before it runs. */
#include "compress/prune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/flow.h"
#include "compress/moments.h"
#include "compress/shrink.h"

enum { MOST_SCORED = 64, MOST_ROWS = 1 << 17 };
/* Of all values of both graphs for all samples. */
#define MOST_BYTES ((int64_t)3 << 30)

enum { X, W, B };

struct pruner {
    const struct ir_graph *g;
    const struct prune_options *o;
    struct arena *arena;
    const struct unit *units;
    const struct channels *ch;
    struct pruning *p;
    double *score; /* by class */
    bool touched;  /* something before this node has been removed */
};

static bool is_removed(const struct pruner *q, int class)
{
    return class != CHANNEL_FIXED && q->p->removed[class];
}

static int64_t samples_that_fit(const struct pruner *q, int64_t most)
{
    const int64_t fit = MOST_BYTES / (2 * flow_bytes(q->g) + 1);
    int64_t n = q->o->n_samples < most ? q->o->n_samples : most;

    n = n < fit ? n : fit;
    return n > 0 ? n : 1;
}

/* ---- scores ------------------------------------------------------------------------
 */

/* The class of what weight i of a channel multiplies. */
static int class_of_input(const struct pruner *q, const struct product *p, int64_t i)
{
    const struct ir_value *w = p->node->in[W];
    const int64_t taps =
        p->by_rows ? 1
                   : p->window.kernel[0] * p->window.kernel[1] * p->window.kernel[2];

    return q->ch->of[w->id][p->axis == 0 ? 1 : 0][i / taps];
}

/* Sum over rows of X_i^2, for every i. */
static void add_squares(const struct product *p, const float *x, float *scratch,
                        double *sum)
{
    int64_t ld;
    const float *rows = product_windows(p, x, 0, scratch, &ld);

    for (int64_t i = 0; i < p->k; i++) {
        double s = 0.0;

        for (int64_t r = 0; r < p->rows; r++) {
            const double v = (double)(p->by_rows ? rows[r * ld + i] : rows[i * ld + r]);

            s += v * v;
        }
        sum[i] += s;
    }
}

static void score_inputs(struct pruner *q, const struct product *p,
                         const struct flow *f, struct arena *a)
{
    double *energy = arena_new_array(a, double, p->k), total = 0.0;
    float *scratch = arena_new_array(a, float, product_scratch(p) + 1);
    float *weights = arena_new_array(a, float, p->channels * p->k);

    product_weights(p, weights);
    for (int64_t s = 0; s < flow_n(f); s++)
        add_squares(p, flow_at(f, p->node->in[X], s), scratch, energy);
    for (int64_t i = 0; i < p->k; i++) {
        double norm = 0.0;

        for (int64_t c = 0; c < p->channels; c++)
            norm += (double)weights[c * p->k + i] * (double)weights[c * p->k + i];
        energy[i] *= norm;
        total += energy[i];
    }
    for (int64_t i = 0; i < p->k; i++) {
        const int class = class_of_input(q, p, i);

        if (class != CHANNEL_FIXED && total > 0.0)
            q->score[class] += energy[i] / total;
    }
}

static struct status *score_all(struct pruner *q)
{
    struct flow *f;

    RETURN_IF_FAIL(flow_create(q->g, q->o->data, samples_that_fit(q, MOST_SCORED),
                               q->o->sample, &f));
    struct status *s = OK;

    for (const struct ir_node *n = q->g->first; n && !s; n = n->next) {
        struct arena *a = arena_create();
        struct product p;

        if (product_of(n, &p) && p.groups == 1)
            score_inputs(q, &p, f, a);
        s = flow_run(f, n);
        flow_release(f, n);
        arena_destroy(a);
    }
    flow_destroy(f);
    return s;
}

/* ---- which channels
 * ------------------------------------------------------------------ */

struct ranked {
    int class;
    double score;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->class - y->class;
}

static int count_kept(const struct prune_options *o, int n)
{
    const int removed = (int)floor(o->ratio * n + 1e-9),
              tile = o->tile > 1 ? o->tile : 1;
    int kept = n - removed;

    if (kept >= tile)
        kept = (kept + tile - 1) / tile * tile;
    return kept < 1 ? 1 : kept > n ? n : kept;
}

static void choose_group(struct pruner *q, const struct channel_group *g)
{
    struct ranked *r = arena_new_array(q->arena, struct ranked, g->n);
    int n = g->n - count_kept(q->o, g->n);

    for (int i = 0; i < g->n; i++)
        r[i] = (struct ranked){g->classes[i], q->score[g->classes[i]]};
    qsort(r, (size_t)g->n, sizeof *r, by_score);
    for (int i = 0; i < n; i++)
        q->p->removed[r[i].class] = true;
    /* a part of a Split, say, may have lost all of its channels */
    while (n > 0 && !shrink_keeps_all_dims(q->g, q->ch, q->p->removed))
        q->p->removed[r[--n].class] = false;
}

static void note_unit(struct pruner *q, const struct unit *u, struct pruned_unit *out)
{
    const struct ir_value *y = u->node->out[0];
    const int d = channels_dim(u);
    int64_t *kept = arena_new_array(q->arena, int64_t, u->channels);

    out->channels = u->channels;
    for (int64_t i = 0; i < u->channels; i++)
        if (!is_removed(q, q->ch->of[y->id][d][i]))
            kept[out->n_kept++] = i;
    out->kept = kept;
}

/* Shares of outputs and of what each sums; a depthwise one sums what it did. */
static int64_t macs_after(const struct pruner *q, const struct unit *u,
                          const struct pruned_unit *by)
{
    struct product p;
    int64_t kept = 0;

    if (!product_of(u->node, &p))
        return u->macs;
    for (int64_t i = 0; i < p.k; i++)
        kept += p.groups > 1 || !is_removed(q, class_of_input(q, &p, i));
    return (int64_t)((double)u->macs * (double)by->n_kept / (double)by->channels
                     * (double)kept / (double)p.k);
}

static void choose_all(struct pruner *q)
{
    for (int i = 0; i < q->ch->n_groups; i++)
        choose_group(q, &q->ch->groups[i]);
    for (int i = 0; i < q->p->n_units; i++) {
        note_unit(q, &q->units[i], &q->p->units[i]);
        q->p->macs_before += q->units[i].macs;
        q->p->macs_after += macs_after(q, &q->units[i], &q->p->units[i]);
    }
}

/* ---- fitting
 * ------------------------------------------------------------------------- */

/* Elements of v whose index along dim d is i. */
static void zero_slab(const struct ir_value *v, int d, int64_t i, float *x)
{
    int64_t outer = 1, inner = 1;

    for (int k = 0; k < d; k++)
        outer *= v->dim[k];
    for (int k = d + 1; k < v->rank; k++)
        inner *= v->dim[k];
    for (int64_t o = 0; o < outer; o++)
        memset(x + (o * v->dim[d] + i) * inner, 0, (size_t)inner * sizeof *x);
}

static void mask(struct pruner *q, struct flow *f, const struct ir_value *v)
{
    bool owned = false;

    for (int d = 0; v && v->dtype == DT_f32 && d < v->rank; d++)
        for (int64_t i = 0; i < v->dim[d]; i++) {
            if (!is_removed(q, q->ch->of[v->id][d][i]))
                continue;
            if (!owned)
                flow_own(f, v);
            owned = q->touched = true;
            for (int64_t s = 0; s < flow_n(f); s++)
                zero_slab(v, d, i, flow_at(f, v, s));
        }
}

/* What is left of [channels][k], in the order of the tensor. */
static float *kept_weights(const struct pruner *q, const struct product *p,
                           const struct pruned_unit *u, const float *fitted)
{
    int64_t *inputs = arena_new_array(q->arena, int64_t, p->k), n = 0;

    for (int64_t i = 0; i < p->k; i++)
        if (p->groups > 1 || !is_removed(q, class_of_input(q, p, i)))
            inputs[n++] = i;
    float *to = arena_new_array(q->arena, float, u->n_kept *n);

    for (int64_t c = 0; c < u->n_kept; c++)
        for (int64_t i = 0; i < n; i++)
            to[p->axis == 0 ? c * n + i : i * u->n_kept + c] =
                fitted[u->kept[c] * p->k + inputs[i]];
    return to;
}

static void fit(struct pruner *q, const struct product *p, struct pruned_unit *u,
                const struct flow *reals, struct flow *masked, struct arena *a)
{
    const struct ir_value *x = p->node->in[X], *y = p->node->out[0];
    struct moments_sums *sums =
        moments_create(a, p, flow_n(masked), (int64_t)MOST_ROWS);
    float *weights = arena_new_array(a, float, p->channels * p->k);
    float *fitted = arena_new_array(a, float, p->channels * p->k);
    float *bias = arena_new_array(a, float, p->channels);
    float *scratch = arena_new_array(a, float, product_scratch(p) + 1);
    const bool has_bias = p->node->op != OP_MatMul;

    product_weights(p, weights);
    product_bias(p, bias);
    for (int64_t i = 0; i < flow_n(masked); i++)
        moments_add(sums, flow_at(masked, x, i), flow_at(reals, y, i));
    moments_finish(sums, has_bias);
    moments_fit(sums, weights, fitted);
    for (int64_t c = 0; has_bias && c < p->channels; c++)
        moments_error(moments_all(sums), fitted + c * p->k, c, &bias[c]);
    u->weights = kept_weights(q, p, u, fitted);
    if (has_bias) {
        float *to = arena_new_array(q->arena, float, u->n_kept);

        for (int64_t c = 0; c < u->n_kept; c++)
            to[c] = bias[u->kept[c]];
        u->bias = to;
    }
    flow_make(masked, p->node);
    for (int64_t i = 0; i < flow_n(masked); i++)
        product_apply(p, fitted, bias, flow_at(masked, x, i), scratch,
                      flow_at(masked, y, i));
}

static struct pruned_unit *unit_at(struct pruner *q, const struct ir_node *n)
{
    for (int i = 0; i < q->p->n_units; i++)
        if (q->units[i].node == n)
            return &q->p->units[i];
    return NULL;
}

static struct status *run_node(struct pruner *q, const struct ir_node *n,
                               struct flow *reals, struct flow *masked)
{
    struct pruned_unit *u = q->touched ? unit_at(q, n) : NULL;
    struct product p;

    RETURN_IF_FAIL(flow_run(reals, n));
    if (u && product_of(n, &p)) {
        struct arena *a = arena_create();

        fit(q, &p, u, reals, masked, a);
        arena_destroy(a);
    } else {
        RETURN_IF_FAIL(flow_run(masked, n));
    }
    for (int i = 0; i < n->n_out; i++)
        mask(q, masked, n->out[i]);
    flow_release(masked, n);
    flow_release(reals, n);
    return OK;
}

static struct status *fit_all(struct pruner *q)
{
    struct flow *reals, *masked;
    struct status *s = OK;

    RETURN_IF_FAIL(flow_create(q->g, q->o->data, samples_that_fit(q, INT64_MAX),
                               q->o->sample, &reals));
    masked = flow_fork(reals);
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next)
        s = status_note(run_node(q, n, reals, masked), "while pruning before %s",
                        ir_node_label(n));
    flow_destroy(masked);
    flow_destroy(reals);
    return s;
}

/* ---- the whole
 * ------------------------------------------------------------------------ */

struct status *prune_decide(const struct ir_graph *g, const struct prune_options *o,
                            struct arena *a, struct pruning **out)
{
    struct pruner q = {.g = g, .o = o, .arena = a};
    int n;

    q.units = units_find(g, &n);
    q.ch = channels_find(g, q.units, n);
    q.score = arena_new_array(a, double, q.ch->n_classes + 1);
    q.p = *out = arena_new(a, struct pruning);
    *q.p = (struct pruning){
        .n_units = n,
        .n_classes = q.ch->n_classes,
        .units = arena_new_array(a, struct pruned_unit, n),
        .removed = arena_new_array(a, bool, q.ch->n_classes + 1),
    };
    RETURN_IF_FAIL(score_all(&q));
    choose_all(&q);
    return fit_all(&q);
}

static void set_constant(struct ir_node *n, int i, const float *data)
{
    const struct ir_value *v = n->in[i];

    ir_set_input(
        n, i, ir_const_ref(n->graph->compile, v->name, DT_f32, v->rank, v->dim, data));
}

/* One number for all channels becomes one for each. */
static void set_bias(struct ir_node *n, const struct pruned_unit *u)
{
    const struct ir_value *v = ir_in(n, B);

    if (v && ir_count(v) == u->n_kept)
        set_constant(n, B, u->bias);
    else
        ir_set_input(n, B,
                     ir_const_ref(n->graph->compile, v ? v->name : NULL, DT_f32, 1,
                                  &u->n_kept, u->bias));
}

struct status *prune_apply(struct compile *c, struct ir_graph *g,
                           const struct pruning *p)
{
    int n;
    const struct unit *units = units_find(g, &n);
    const struct channels *ch = channels_find(g, units, n);

    if (n != p->n_units || ch->n_classes != p->n_classes)
        return FAIL(INTERNAL, "this graph is not the one that was pruned");
    RETURN_IF_FAIL(shrink_graph(c, g, ch, p->removed));
    for (int i = 0; i < n; i++) {
        struct ir_node *node = (struct ir_node *)units[i].node;
        const struct pruned_unit *u = &p->units[i];

        if (u->weights)
            set_constant(node, W, u->weights);
        if (u->bias)
            set_bias(node, u);
    }
    return ir_verify(g);
}
