/* SPDX-License-Identifier: Apache-2.0 */
/* See sparsify.h.  The original graph runs alone to say how many weights each unit
 * loses, then beside the sparse one, node by node, and every unit is fitted before it
 * runs. */
#include "compress/sparsify.h"

#include <math.h>
#include <string.h>

#include "compress/quadratic.h"
#include "compress/sparse_weights.h"
#include "compress/unit_fit.h"
#include "plan/plan_words.h"
#include "support/smallest.h"

enum { FOUR = 4 };

struct sparsifier {
    const struct ir_graph *g;
    const struct sparsify_options *o;
    struct arena *arena;
    const struct unit *units;
    struct sparsity *s;
    double *price; /* [s->n_weights] unit after unit, channel after channel */
};

static bool can_be_two_of_four(const struct product *p)
{
    return p->k / product_taps(p) % FOUR == 0;
}

static int unit_at(const struct sparsifier *q, const struct ir_node *n)
{
    for (int i = 0; i < q->s->n_units; i++)
        if (q->units[i].node == n && q->s->units[i].n_weights)
            return i;
    return -1;
}

/* ---- which units ----------------------------------------------------------------- */

static enum plan_zeros wanted_zeros(const struct sparsifier *q, int i)
{
    return q->o->plan          ? q->o->plan->units[i].zeros
           : q->o->two_of_four ? ZEROS_two_of_four
                               : ZEROS_anywhere;
}

static bool loses_weights(const struct sparsifier *q, int i, struct product *p)
{
    const enum plan_zeros zeros = wanted_zeros(q, i);

    return zeros != ZEROS_none && q->units[i].node->graph == q->g
           && product_of(q->units[i].node, p)
           && (zeros != ZEROS_two_of_four || can_be_two_of_four(p));
}

/* What a plan asks of a unit is not left out silently. */
static struct status *check_units(const struct sparsifier *q)
{
    struct product p;

    for (int i = 0; q->o->plan && i < q->s->n_units; i++) {
        const struct plan_unit *u = &q->o->plan->units[i];

        if (u->zero_ratio > 0.0 && !loses_weights(q, i, &p))
            return FAIL(INVALID, "unit '%s' cannot have 'zeros' \"%s\": it is no %s",
                        u->name, plan_zero_words[u->zeros],
                        u->zeros == ZEROS_two_of_four
                            ? "product of a multiple of four channels by float weights"
                            : "product by float weights");
    }
    return OK;
}

/* Those that lose nothing have no weights here. */
static void list_units(struct sparsifier *q)
{
    for (int i = 0; i < q->s->n_units; i++) {
        struct sparse_unit *u = &q->s->units[i];
        struct product p;

        if (!loses_weights(q, i, &p))
            continue;
        u->zeros = wanted_zeros(q, i);
        u->n_weights = p.channels * p.k;
        if (u->zeros == ZEROS_two_of_four)
            u->n_zeros = u->n_weights / 2;
        else if (q->o->plan)
            u->n_zeros =
                llround(q->o->plan->units[i].zero_ratio * (double)u->n_weights);
        q->s->n_weights += u->n_weights;
    }
}

/* ---- how many of each ------------------------------------------------------------ */

static struct status *price_group(const struct unit_fit *f, int64_t group,
                                  double variance, double *price, struct arena *a)
{
    const struct moments *m = moments_all(f->sums);
    const int64_t k = m->k, rows = m->channels / m->groups;
    struct quadratic h;

    RETURN_IF_FAIL(quadratic_make(a, m->shrunk + group * k * k, k, &h));
    for (int64_t j = 0; j < k; j++) {
        double inverse = 0.0;

        for (int64_t i = 0; i <= j; i++)
            inverse += h.u[i * k + j] * h.u[i * k + j];
        for (int64_t r = group * rows; r < (group + 1) * rows; r++) {
            const double w = (double)f->weights[r * k + j];

            price[r * k + j] = w * w / inverse / variance;
        }
    }
    return OK;
}

static struct status *price_unit(const struct product *p, const struct flow *reals,
                                 double *price, struct arena *a)
{
    const struct unit_fit f = unit_fit_begin(a, p, reals, reals);
    double variance = 0.0;

    for (int64_t c = 0; c < p->channels; c++)
        variance += moments_all(f.sums)->var_y[c];
    for (int64_t g = 0; g < p->groups && variance > 0.0; g++)
        RETURN_IF_FAIL(price_group(&f, g, variance, price, a));
    return OK; /* what always gives the same can lose all */
}

static int64_t samples_of(const struct sparsifier *q)
{
    return flow_samples(q->g, q->o->n_samples);
}

static struct status *price_node(struct sparsifier *q, const struct ir_node *n,
                                 struct flow *reals, int64_t *at)
{
    const int i = unit_at(q, n);
    struct arena *a = arena_create();
    struct product p;
    struct status *s = flow_run(reals, n);

    if (!s && i >= 0 && product_of(n, &p)) {
        s = price_unit(&p, reals, q->price + *at, a);
        *at += q->s->units[i].n_weights;
    }
    flow_release(reals, n);
    arena_destroy(a);
    return s;
}

static void count_zeros(struct sparsifier *q, const uint8_t *goes)
{
    int64_t at = 0;

    for (const struct ir_node *n = q->g->first; n; n = n->next) {
        const int i = unit_at(q, n);

        for (int64_t k = 0; i >= 0 && k < q->s->units[i].n_weights; k++)
            q->s->units[i].n_zeros += goes[at++];
    }
}

static struct status *share_out(struct sparsifier *q)
{
    struct flow *reals;
    struct status *s = OK;
    int64_t at = 0;

    RETURN_IF_FAIL(flow_create(q->g, q->o->data, samples_of(q), q->o->sample, &reals));
    q->price = arena_new_array(q->arena, double, q->s->n_weights + 1);
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next)
        s = price_node(q, n, reals, &at);
    flow_destroy(reals);
    if (s)
        return s;

    uint8_t *goes = arena_new_array(q->arena, uint8_t, q->s->n_weights + 1);

    smallest_mark(q->s->n_weights, q->price,
                  llround(q->o->share * (double)q->s->n_weights), goes);
    count_zeros(q, goes);
    return OK;
}

/* ---- fitting --------------------------------------------------------------------- */

/* Input channels at one place of the window lie side by side. */
static int64_t *order_of(struct arena *a, const struct product *p)
{
    const int64_t taps = product_taps(p), channels = p->k / taps;
    int64_t *order = arena_new_array(a, int64_t, p->k);

    for (int64_t i = 0; i < p->k; i++)
        order[i] = i % channels * taps + i / channels;
    return order;
}

/* f->fitted loses weights and makes up for them. */
static struct status *thin(const struct unit_fit *f, const struct sparse_unit *u,
                           struct arena *a)
{
    const struct product *p = f->p;
    const int64_t rows = p->channels / p->groups, per_group = rows * p->k;
    float *dense = arena_copy(a, f->fitted, (size_t)u->n_weights * sizeof *dense);

    for (int64_t g = 0; g < p->groups; g++) {
        const struct sparse_task t = {
            .rows = rows,
            .k = p->k,
            .weights = dense + g * per_group,
            .hessian = moments_all(f->sums)->shrunk + g * p->k * p->k,
            .order = order_of(a, p),
            .two_of_four = u->zeros == ZEROS_two_of_four,
            .n_zeros = u->n_zeros * (g + 1) / p->groups - u->n_zeros * g / p->groups,
        };

        RETURN_IF_FAIL(sparse_weights(&t, f->fitted + g * per_group));
    }
    memcpy(dense, f->fitted, (size_t)u->n_weights * sizeof *dense);
    moments_fit_nonzero(f->sums, dense, f->fitted);
    return OK;
}

static struct status *fit(struct sparsifier *q, const struct product *p,
                          struct sparse_unit *u, const struct flow *reals,
                          struct flow *sparse, struct arena *a)
{
    struct unit_fit f = unit_fit_begin(a, p, reals, sparse);
    float *weights = arena_new_array(q->arena, float, u->n_weights);

    moments_fit(f.sums, f.weights, f.fitted);
    RETURN_IF_FAIL(thin(&f, u, a));
    unit_fit_biases(&f);
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < p->k; i++)
            weights[product_place(p, c, i)] = f.fitted[c * p->k + i];
    u->weights = weights;
    if (f.has_bias)
        u->bias = arena_copy(q->arena, f.bias, (size_t)p->channels * sizeof *f.bias);
    unit_fit_run(&f, sparse);
    return OK;
}

static struct status *run_node(struct sparsifier *q, const struct ir_node *n,
                               struct flow *reals, struct flow *sparse)
{
    const int i = unit_at(q, n);
    struct product p;

    RETURN_IF_FAIL(flow_run(reals, n));
    if (i >= 0 && product_of(n, &p)) {
        struct arena *a = arena_create();

        if (q->o->progress)
            q->o->progress(i, q->s->n_units, q->o->progress_arg);

        struct status *s = fit(q, &p, &q->s->units[i], reals, sparse, a);

        arena_destroy(a);
        RETURN_IF_FAIL(s);
    } else {
        RETURN_IF_FAIL(flow_run(sparse, n));
    }
    flow_release(sparse, n);
    flow_release(reals, n);
    return OK;
}

static struct status *fit_all(struct sparsifier *q)
{
    struct flow *reals, *sparse;
    struct status *s = OK;

    RETURN_IF_FAIL(flow_create(q->g, q->o->data, samples_of(q), q->o->sample, &reals));
    sparse = flow_fork(reals);
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next)
        s = status_note(run_node(q, n, reals, sparse), "while thinning out %s",
                        ir_node_label(n));
    flow_destroy(sparse);
    flow_destroy(reals);
    return s;
}

/* ---- the whole ------------------------------------------------------------------- */

struct status *sparsify_decide(const struct ir_graph *g,
                               const struct sparsify_options *o, struct arena *a,
                               struct sparsity **out)
{
    struct sparsifier q = {.g = g, .o = o, .arena = a};
    int n;

    q.units = units_find(g, &n);
    q.s = *out = arena_new(a, struct sparsity);
    *q.s = (struct sparsity){.n_units = n,
                             .units = arena_new_array(a, struct sparse_unit, n + 1)};
    RETURN_IF_FAIL(check_units(&q));
    list_units(&q);
    if (!q.s->n_weights)
        return FAIL(UNSUPPORTED, "no layer has weights that can become zero%s",
                    o->two_of_four ? ", two of each four input channels" : "");
    if (!o->plan && !o->two_of_four)
        RETURN_IF_FAIL(share_out(&q));
    for (int i = 0; i < n; i++)
        q.s->n_zeros += q.s->units[i].n_zeros;
    return fit_all(&q);
}

struct status *sparsify_apply(struct ir_graph *g, const struct sparsity *s)
{
    int n;
    const struct unit *units = units_find(g, &n);

    if (n != s->n_units)
        return FAIL(INTERNAL, "this graph is not the one that was thinned out");
    for (int i = 0; i < n; i++)
        unit_fit_store((struct ir_node *)units[i].node, s->units[i].weights,
                       s->units[i].bias, units[i].channels);
    return ir_verify(g);
}
