/* SPDX-License-Identifier: Apache-2.0 */
/* Scales and zero points of activations: see quantize.h.
 *
 * The float graph runs once.  Where a unit reads a tensor of codes, each calibrator's
 * grid is tried on some samples: E |W (Q(x) - x)|^2 / |W x|^2, summed over the readers,
 * decides.  Loud samples count like others (moments.h).
 */
#include <math.h>
#include <string.h>

#include "compress/moments.h"
#include "compress/quantize_parts.h"

enum { MOST_TRIED = 32 }; /* samples that calibrators are compared on */

/* A source of codes. */
struct seen {
    struct observer *observer;
    struct activation_grid grid[OBSERVE_CALIBRATORS];
    double error[OBSERVE_CALIBRATORS]; /* of its readers */
    enum plan_calibrator wanted;       /* by the plan; none: the best */
};

struct ranges {
    struct quantizer *q;
    struct flow *flow;
    struct seen *seen; /* by value id */
};

static void observe_tensor(struct ranges *r, struct ir_value *v)
{
    struct seen *s;

    if (!tensor_is_source(&r->q->uses, v))
        return;
    s = &r->seen[v->id];
    s->observer = arena_new(r->q->arena, struct observer);
    for (int64_t i = 0; i < flow_n(r->flow); i++)
        observe_range(s->observer, flow_at(r->flow, v, i), ir_count(v));
    for (int64_t i = 0; i < flow_n(r->flow); i++)
        observe_values(s->observer, flow_at(r->flow, v, i), ir_count(v));
    for (int k = 0; k < OBSERVE_CALIBRATORS; k++)
        s->grid[k] = observe_choose(s->observer, k + 1);
}

/* Samples that calibrators are compared on, and a layer's results for them. */
struct trial {
    const struct product *p;
    const struct flow *flow;
    int64_t n;
    double *weight, energy; /* what each counts; of the results together */
    float *weights, *no_bias, *x, *out, *scratch; /* of the layer; of one sample */
};

static const float *tried(const struct trial *t, int64_t i)
{
    return flow_at(t->flow, t->p->node->in[0], i * flow_n(t->flow) / t->n);
}

/* What the layer without its bias makes of x. */
static double energy_of(const struct trial *t)
{
    product_apply(t->p, t->weights, t->no_bias, t->x, t->scratch, t->out);
    return product_energy(t->p, t->out);
}

static struct trial start_trial(struct arena *a, const struct flow *f,
                                const struct product *p)
{
    const int64_t n_in = ir_count(p->node->in[0]);
    struct trial t = {
        .p = p,
        .flow = f,
        .n = flow_n(f) < MOST_TRIED ? flow_n(f) : MOST_TRIED,
        .weights = arena_new_array(a, float, p->channels * p->k),
        .no_bias = arena_new_array(a, float, p->channels),
        .x = arena_new_array(a, float, n_in),
        .out = arena_new_array(a, float, ir_count(p->node->out[0])),
        .scratch = arena_new_array(a, float, product_scratch(p) + 1),
    };
    double *energy = arena_new_array(a, double, t.n);

    t.weight = arena_new_array(a, double, t.n);
    product_weights(p, t.weights);
    for (int64_t i = 0; i < t.n; i++) {
        memcpy(t.x, tried(&t, i), (size_t)n_in * sizeof *t.x);
        energy[i] = t.weight[i] = energy_of(&t);
    }
    moments_weights(t.weight, t.n);
    for (int64_t i = 0; i < t.n; i++)
        t.energy += t.weight[i] * energy[i];
    return t;
}

/* What the error of the input does to the result, for one grid: its share. */
static double error_of(const struct trial *t, const struct activation_grid *g)
{
    const int64_t n_in = ir_count(t->p->node->in[0]);
    double sum = 0.0;

    for (int64_t i = 0; i < t->n; i++) {
        const float *x = tried(t, i);

        memcpy(t->x, x, (size_t)n_in * sizeof *x);
        activation_round(g, t->x, n_in);
        for (int64_t k = 0; k < n_in; k++)
            t->x[k] -= x[k];
        sum += t->weight[i] * energy_of(t);
    }
    return t->energy > 0.0 ? sum / t->energy : sum;
}

static void try_calibrators(struct ranges *r, const struct product *p)
{
    struct seen *s = &r->seen[tensor_source(p->node->in[0])->id];

    if (!s->observer)
        return;
    struct arena *a = arena_create();
    const struct trial t = start_trial(a, r->flow, p);

    for (int k = 0; k < OBSERVE_CALIBRATORS; k++) {
        int same = 0;

        while (same < k
               && (s->grid[same].scale != s->grid[k].scale
                   || s->grid[same].zero != s->grid[k].zero))
            same++;
        s->error[k] =
            same < k ? s->error[same] : s->error[k] + error_of(&t, &s->grid[k]);
    }
    arena_destroy(a);
}

/* Who reads pairs does so for all. */
static void want(struct seen *s, enum plan_calibrator calibrator)
{
    if (s->wanted != CALIBRATOR_pair)
        s->wanted = calibrator;
}

static struct status *observe_all(struct ranges *r)
{
    const struct quantizer *q = r->q;
    int i = 0;

    for (int k = 0; k < q->g->n_in; k++)
        observe_tensor(r, q->g->in[k]);
    for (const struct ir_node *n = q->g->first; n; n = n->next, i++) {
        struct product p;

        quantize_tell(q, "finding ranges", i);
        if (q->unit_of[i] >= 0 && product_of(n, &p)) {
            want(&r->seen[tensor_source(n->in[0])->id],
                 q->q->units[q->unit_of[i]].calibrator);
            try_calibrators(r, &p);
        }
        RETURN_IF_FAIL(flow_run(r->flow, n));
        for (int k = 0; k < n->n_out; k++)
            observe_tensor(r, n->out[k]);
        flow_release(r->flow, n);
    }
    return OK;
}

/* ---- choosing -------------------------------------------------------------------- */

static enum plan_calibrator best_of(const struct seen *s)
{
    enum plan_calibrator best = CALIBRATOR_mse;

    if (s->wanted != CALIBRATOR_none)
        return s->wanted;
    for (int k = 0; k < OBSERVE_CALIBRATORS; k++)
        if (s->error[k] < s->error[best - 1])
            best = (enum plan_calibrator)(k + 1);
    return best;
}

/* The observers of a group's members become one. */
static void join_groups(struct ranges *r)
{
    const struct tensor_uses *u = &r->q->uses;

    for (int i = 0; i < u->n_values; i++) {
        struct seen *whole = &r->seen[tensor_group(u, i)];

        if (!r->seen[i].observer || whole == &r->seen[i])
            continue;
        if (!whole->observer)
            whole->observer = arena_new(r->q->arena, struct observer);
        observe_join(whole->observer, r->seen[i].observer);
        want(whole, r->seen[i].wanted);
    }
}

static void choose_grids(struct ranges *r)
{
    const struct tensor_uses *u = &r->q->uses;

    for (int i = 0; i < u->n_values; i++) {
        const struct seen *s = &r->seen[tensor_group(u, i)];
        struct quantized_tensor *t = &r->q->q->tensors[i];

        if (!r->seen[i].observer || u->at[i].wanted == false)
            continue;
        t->is_source = true;
        t->grid = observe_choose(s->observer, best_of(s));
    }
}

/* The calibrator of a unit is that of its input. */
static void name_calibrators(struct ranges *r)
{
    const struct quantizer *q = r->q;
    int i = 0;

    for (const struct ir_node *n = q->g->first; n; n = n->next, i++)
        if (q->unit_of[i] >= 0) {
            const int id = tensor_source(n->in[0])->id;

            struct quantized_unit *u = &q->q->units[q->unit_of[i]];

            u->group = tensor_group(&q->uses, id);
            u->calibrator = best_of(&r->seen[u->group]);
        }
}

struct status *quantize_find_ranges(struct quantizer *q)
{
    struct ranges r = {.q = q};
    struct status *s =
        flow_create(q->g, q->o->data, q->q->n_samples, q->o->sample, &r.flow);

    r.seen = arena_new_array(q->arena, struct seen, q->uses.n_values);
    if (!s)
        s = observe_all(&r);
    flow_destroy(r.flow);
    RETURN_IF_FAIL(s);
    join_groups(&r);
    choose_grids(&r);
    name_calibrators(&r);
    return OK;
}
