/* SPDX-License-Identifier: Apache-2.0 */
/* See prune.h.  The float graph and the one with the removed channels at zero run side
 * by side, node by node, and every unit is fitted before it runs. */
#include "compress/prune.h"

#include <string.h>

#include "compress/flow.h"
#include "compress/prune_parts.h"
#include "compress/shrink.h"
#include "compress/unit_fit.h"
#include "compress/unit_losses.h"

enum { W = 1 };

/* Samples of a trial; below FEW each part of them is held out in turn. */
enum { MOST_TRIED = 384, FEW = 128 };

bool prune_is_removed(const struct pruner *q, int class)
{
    return class != CHANNEL_FIXED && q->p->removed[class];
}

int64_t prune_samples(const struct pruner *q, int64_t most)
{
    return flow_samples(q->g, q->o->n_samples < most ? q->o->n_samples : most);
}

int prune_input_class(const struct pruner *q, const struct product *p, int64_t i)
{
    const struct ir_value *w = p->node->in[W];

    return q->ch->of[w->id][p->axis == 0 ? 1 : 0][i / product_taps(p)];
}

/* ---- fitting --------------------------------------------------------------------- */

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
            if (!prune_is_removed(q, q->ch->of[v->id][d][i]))
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
        if (p->groups > 1 || !prune_is_removed(q, prune_input_class(q, p, i)))
            inputs[n++] = i;
    float *to = arena_new_array(q->arena, float, u->n_kept *n);

    for (int64_t c = 0; c < u->n_kept; c++)
        for (int64_t i = 0; i < n; i++)
            to[p->axis == 0 ? c * n + i : i * u->n_kept + c] =
                fitted[u->kept[c] * p->k + inputs[i]];
    return to;
}

static void keep(const struct pruner *q, const struct unit_fit *f,
                 struct pruned_unit *u)
{
    u->weights = kept_weights(q, f->p, u, f->fitted);
    if (f->has_bias) {
        float *to = arena_new_array(q->arena, float, u->n_kept);

        for (int64_t c = 0; c < u->n_kept; c++)
            to[c] = f->bias[u->kept[c]];
        u->bias = to;
    }
}

static void fit(struct pruner *q, const struct product *p, struct pruned_unit *u,
                const struct flow *reals, struct flow *masked, struct arena *a)
{
    struct unit_fit f = unit_fit_begin(a, p, reals, masked);

    if (q->is_trial) {
        moments_fit_some(f.sums, f.weights, f.fitted);
        if (f.has_bias)
            moments_biases(moments_some(f.sums), f.fitted, f.bias);
    } else {
        moments_fit(f.sums, f.weights, f.fitted);
        unit_fit_biases(&f);
        keep(q, &f, u);
    }
    unit_fit_run(&f, masked);
}

static struct pruned_unit *unit_at(struct pruner *q, const struct ir_node *n)
{
    for (int i = 0; i < q->p->n_units; i++)
        if (q->units[i].node == n)
            return &q->p->units[i];
    return NULL;
}

/* Something that the unit multiplies has been removed. */
static bool reads_removed(const struct pruner *q, const struct product *p)
{
    for (int64_t i = 0; i < p->k && p->groups == 1; i++)
        if (prune_is_removed(q, prune_input_class(q, p, i)))
            return true;
    return false;
}

static struct status *run_node(struct pruner *q, const struct ir_node *n,
                               struct flow *reals, struct flow *masked)
{
    struct pruned_unit *u = q->touched ? unit_at(q, n) : NULL;
    struct product p;

    RETURN_IF_FAIL(flow_run(reals, n));
    if (u && product_of(n, &p) && (!q->is_trial || reads_removed(q, &p))) {
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

/* The mean over the samples that were not learned from; of all where there is none. */
static double blind_loss(const struct pruner *q, const struct flow *reals,
                         const struct flow *masked)
{
    double sum = 0.0;
    int64_t n = 0;

    for (int64_t i = 0; i < flow_n(reals); i++)
        if (moments_holds_out(i)) {
            sum += output_loss_at(q->o->data, q->g, reals, masked, i);
            n++;
        }
    return n ? sum / (double)n : output_loss(q->o->data, q->g, reals, masked);
}

/* From another one on: in as many turns as there are parts each is held out. */
static int64_t *in_turn(const struct pruner *q, int64_t n, int turn)
{
    int64_t *sample = arena_new_array(q->arena, int64_t, n);

    for (int64_t i = 0; i < n; i++)
        sample[i] = q->o->sample[(i + turn) % n];
    return sample;
}

static struct status *fit_all(struct pruner *q, int64_t n_samples, int turn,
                              double *loss)
{
    struct flow *reals, *masked;
    struct status *s = OK;

    RETURN_IF_FAIL(
        flow_create(q->g, q->o->data, n_samples, in_turn(q, n_samples, turn), &reals));
    masked = flow_fork(reals);
    q->touched = false;
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next)
        s = status_note(run_node(q, n, reals, masked), "while pruning before %s",
                        ir_node_label(n));
    if (!s && loss)
        *loss = blind_loss(q, reals, masked);
    flow_destroy(masked);
    flow_destroy(reals);
    return s;
}

struct status *prune_fit(struct pruner *q)
{
    return fit_all(q, prune_samples(q, INT64_MAX), 0, NULL);
}

struct status *prune_try(struct pruner *q, double *loss)
{
    const int64_t n = prune_samples(q, MOST_TRIED);
    const int turns = n < FEW ? MOMENTS_PARTS : 1;

    *loss = 0.0;
    q->is_trial = true;
    for (int turn = 0; turn < turns; turn++) {
        double part;

        RETURN_IF_FAIL(fit_all(q, n, turn, &part));
        *loss += part / turns;
    }
    q->is_trial = false;
    return OK;
}

/* ---- the whole ------------------------------------------------------------------- */

struct status *prune_decide(const struct ir_graph *g, const struct prune_options *o,
                            struct arena *a, struct pruning **out)
{
    struct pruner q = {.g = g, .o = o, .arena = a};
    int n;

    q.units = units_find(g, &n);
    q.ch = channels_find(g, q.units, n);
    q.p = *out = arena_new(a, struct pruning);
    *q.p = (struct pruning){
        .n_units = n,
        .n_classes = q.ch->n_classes,
        .units = arena_new_array(a, struct pruned_unit, n),
        .removed = arena_new_array(a, bool, q.ch->n_classes + 1),
    };
    RETURN_IF_FAIL(o->plan ? prune_take_plan(&q) : prune_choose(&q));
    return prune_fit(&q);
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
        const struct pruned_unit *u = &p->units[i];

        unit_fit_store((struct ir_node *)units[i].node, u->weights, u->bias, u->n_kept);
    }
    return ir_verify(g);
}
