/* SPDX-License-Identifier: Apache-2.0 */
/* What may be chosen, and what choosing needs: see variants.h. */
#include "compress/variants.h"

#include <math.h>
#include <string.h>

#include "compress/prune.h"
#include "compress/unit_fit.h"
#include "compress/unit_losses.h"
#include "compress/variants_parts.h"

enum {
    MOST_SAMPLES = 256,  /* for moments */
    MOST_ROWS = 1 << 15, /* of them */
    MOST_MATCHED = 32,   /* samples that biases are matched on */
    MOST_K = 2304,       /* beyond it units are rounded without their moments */
};
/* Of all values of all samples that are scored. */
static const int64_t MOST_BYTES = INT64_C(2) << 30;

/* ---- choices --------------------------------------------------------------------- */

static void find_products(struct variants_whole *w)
{
    const struct channels *ch = w->v.channels;

    w->made = arena_new_array(w->arena, struct made_unit, w->v.n_units + 1);
    for (int i = 0; i < w->v.n_units; i++) {
        struct made_unit *m = &w->made[i];
        const struct ir_node *n = w->v.units[i].node;
        int *class;

        if (n->graph != w->g || !product_of(n, &m->p))
            continue;
        m->is_product = true;
        class = arena_new_array(w->arena, int, m->p.k);

        const struct ir_value *weights = n->in[1];
        const int d = m->p.axis == 0 ? 1 : 0;
        const int64_t taps = m->p.k / (m->p.groups > 1 ? m->p.k : weights->dim[d]);

        for (int64_t k = 0; k < m->p.k; k++)
            class[k] =
                m->p.groups > 1 ? CHANNEL_FIXED : ch->of[weights->id][d][k / taps];
        m->class = class;
    }
}

/* Groups that a unit without variants makes or reads stay whole. */
static void find_whole_groups(struct variants_whole *w)
{
    const struct channels *ch = w->v.channels;
    bool *whole = arena_new_array(w->arena, bool, ch->n_groups + 1);

    for (int u = 0; u < w->v.n_units; u++) {
        const struct ir_node *n = w->v.units[u].node;

        for (int i = 0; i < n->n_in + n->n_out && !w->made[u].is_product; i++) {
            const struct ir_value *v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];

            for (int d = 0; v && ch->of[v->id] && d < v->rank; d++)
                for (int64_t k = 0; k < v->dim[d]; k++)
                    if (ch->of[v->id][d][k] != CHANNEL_FIXED)
                        whole[ch->group_of[ch->of[v->id][d][k]]] = true;
        }
    }
    for (int g = 0; g < ch->n_groups; g++)
        whole[g] |= ch->groups[g].n_units == 0;
    w->stays_whole = whole;
}

/* A group's leader is the first unit that makes it. */
static void find_leaders(struct variants_whole *w)
{
    const struct channels *ch = w->v.channels;
    int *leader = arena_new_array(w->arena, int, ch->n_groups + 1);
    struct variant_unit *unit =
        arena_new_array(w->arena, struct variant_unit, w->v.n_units + 1);

    for (int i = 0; i < w->v.n_units; i++)
        unit[i].leader = i;
    for (int g = 0; g < ch->n_groups; g++) {
        const struct channel_group *group = &ch->groups[g];

        if (w->stays_whole[g])
            continue;
        leader[g] = group->units[0];
        for (int i = 0; i < group->n_units; i++) {
            struct variant_unit *u = &unit[group->units[i]];

            /* of several, the one that comes last has most to say */
            if (!u->channels || leader[g] >= u->leader)
                u->leader = leader[g];
            u->channels = group->n > u->channels ? group->n : u->channels;
        }
    }
    for (int i = 0; i < w->v.n_units; i++)
        if (unit[i].leader != i)
            unit[i].channels = unit[unit[i].leader].channels;
    w->leader_of = leader;
    w->v.unit = unit;
}

/* As many as search/choices.h says: rounded up to tiles. */
static int n_kept(int n, int tile, double prune)
{
    const int left = (int)ceil(n * (1.0 - prune) - 1e-9);
    const int tiled = (left + tile - 1) / tile * tile;

    return tiled < n ? tiled : n;
}

void variants_remove(const struct variants *v, const struct variant *plan,
                     bool *removed)
{
    const struct variants_whole *w = (const struct variants_whole *)v;
    const struct channels *ch = v->channels;

    memset(removed, 0, (size_t)ch->n_classes * sizeof *removed);
    for (int g = 0; g < ch->n_groups; g++) {
        const struct channel_group *group = &ch->groups[g];
        const int n_gone =
            w->stays_whole[g]
                ? 0
                : group->n - n_kept(group->n, w->tile, plan[w->leader_of[g]].prune);

        for (int i = 0; i < group->n; i++)
            removed[group->classes[i]] = w->rank[group->classes[i]] < n_gone;
    }
}

int variants_bits(const struct variants *v, int unit, int bits)
{
    const struct variant_unit *u = &v->unit[unit];
    const bool has = bits < 16 ? u->may_be_codes : bits == 16 && u->may_be_halves;

    return has ? bits : v->units[unit].weight_bits;
}

int64_t variants_outputs(const struct variants *v, int unit, const bool *removed)
{
    const struct unit *u = &v->units[unit];

    if (!((const struct variants_whole *)v)->made[unit].is_product)
        return u->channels;
    return channels_kept(v->channels, removed, u->node->out[0], channels_dim(u));
}

int64_t variants_inputs(const struct variants *v, int unit, const bool *removed)
{
    const struct made_unit *m = &((const struct variants_whole *)v)->made[unit];
    int64_t n = 0;

    if (!m->is_product || m->p.groups > 1)
        return v->units[unit].k;
    for (int64_t i = 0; i < m->p.k; i++)
        n += m->class[i] == CHANNEL_FIXED || !removed[m->class[i]];
    return n;
}

static void note_kept(const struct variants_whole *w, int unit, const bool *removed,
                      struct plan_unit *to)
{
    const struct unit *u = &w->v.units[unit];
    const struct ir_value *y = u->node->out[0];
    const int *class = w->v.channels->of[y->id][channels_dim(u)];
    int64_t *kept = arena_new_array(w->c->perm, int64_t, u->channels), n = 0;

    for (int64_t c = 0; c < u->channels; c++)
        if (class[c] == CHANNEL_FIXED || !removed[class[c]])
            kept[n++] = c;
    if (n == u->channels)
        return;
    to->kept = kept;
    to->n_kept = n;
    to->prune_ratio = 1.0 - (double)n / (double)u->channels;
}

struct plan *variants_plan(const struct variants *v, const struct variant *plan,
                           const char *target)
{
    const struct variants_whole *w = (const struct variants_whole *)v;
    struct plan *to = plan_float(w->g, target);
    bool *removed = arena_new_array(w->c->perm, bool, v->channels->n_classes + 1);

    variants_remove(v, plan, removed);
    for (int i = 0; i < v->n_units; i++) {
        struct plan_unit *u = &to->units[i];

        if (w->made[i].is_product)
            note_kept(w, i, removed, u);
        u->weight_bits = variants_bits(v, i, plan[i].bits);
        u->activation_bits = u->weight_bits < 16 ? 8 : 32;
    }
    to->bits_policy = plan_policy(to);
    return to;
}

/* ---- units ----------------------------------------------------------------------- */

static void find_nodes(struct variants_whole *w)
{
    for (const struct ir_node *n = w->g->first; n; n = n->next)
        w->n_nodes++;
    w->unit_of = arena_new_array(w->arena, int, w->n_nodes + 1);

    int at = 0;

    for (const struct ir_node *n = w->g->first; n; n = n->next, at++) {
        w->unit_of[at] = -1;
        for (int i = 0; i < w->v.n_units; i++)
            if (w->v.units[i].node == n && w->made[i].is_product)
                w->unit_of[at] = i;
    }
}

/* H and means of one unit's inputs. */
static void take_moments(struct variants_whole *w, struct made_unit *m,
                         const struct flow *f)
{
    struct arena *a = arena_create();
    const size_t k = (size_t)(m->p.groups * m->p.k);
    const struct moments *all = moments_all(
        unit_fit_sums(a, &m->p, f, f, (int64_t)MOST_ROWS, m->p.node->op != OP_MatMul));

    m->hessian =
        arena_copy(w->arena, all->shrunk, k * (size_t)m->p.k * sizeof *m->hessian);
    m->mean_x = arena_copy(w->arena, all->mean_x, k * sizeof *m->mean_x);
    arena_destroy(a);
}

static float largest_of(const struct flow *f, const struct ir_value *v)
{
    const int64_t n = ir_count(v);
    float most = 0.0f;

    for (int64_t i = 0; i < flow_n(f); i++) {
        const float *x = flow_at(f, v, i);

        for (int64_t k = 0; k < n; k++)
            most = fmaxf(most, fabsf(x[k]));
    }
    return most;
}

static void find_largest(struct variants_whole *w, int unit, const struct flow *f)
{
    struct variant_unit *u = (struct variant_unit *)&w->v.unit[unit];
    const struct ir_node *n = w->v.units[unit].node;

    u->largest = fmaxf(largest_of(f, n->in[0]), largest_of(f, n->out[0]));
}

static struct status *find_moments(struct variants_whole *w,
                                   const struct variants_options *o)
{
    const int64_t n = o->n_calibration < MOST_SAMPLES ? o->n_calibration : MOST_SAMPLES;
    struct flow *f;
    struct status *s =
        flow_create(w->g, o->data, flow_samples(w->g, n), o->calibration, &f);
    int at = 0;

    for (const struct ir_node *node = w->g->first; node && !s;
         node = node->next, at++) {
        const int unit = w->unit_of[at];

        s = flow_run(f, node);
        if (!s && unit >= 0)
            find_largest(w, unit, f);
        if (!s && unit >= 0 && w->made[unit].p.k <= MOST_K)
            take_moments(w, &w->made[unit], f);
        flow_release(f, node);
    }
    flow_destroy(f);
    return s;
}

/* Grids of the network with 8 bits everywhere. */
static struct status *find_grids(struct variants_whole *w,
                                 const struct variants_options *o)
{
    struct plan *plan = plan_float(w->g, "");
    const struct quantize_options q = {.plan = plan,
                                       .data = o->data,
                                       .n_samples = o->n_calibration,
                                       .sample = o->calibration};
    struct variant_unit *unit = (struct variant_unit *)w->v.unit;

    for (int i = 0; i < plan->n_units; i++)
        plan->units[i].weight_bits = plan->units[i].activation_bits = 8;
    RETURN_IF_FAIL(quantize_observe(w->c, w->g, &q, w->arena, &w->observed));
    w->observed.o = NULL; /* it ends here */
    for (int i = 0; i < w->v.n_units; i++) {
        unit[i].may_be_codes =
            w->made[i].is_product && w->observed.q->units[i].has_codes;
        unit[i].may_be_halves =
            w->made[i].is_product && quantize_can_have_halves(w->g, &w->v.units[i]);
    }
    return OK;
}

/* ---- the original ---------------------------------------------------------------- */

static int64_t all_bytes(const struct ir_graph *g)
{
    int64_t n = 0;

    for (int i = 0; i < g->n_in; i++)
        n += ir_bytes(g->in[i]);
    for (const struct ir_node *node = g->first; node; node = node->next)
        for (int i = 0; i < node->n_out; i++)
            n += node->out[i] ? ir_bytes(node->out[i]) : 0;
    return n;
}

static void find_statistics(struct variants_whole *w, struct made_unit *m)
{
    m->mean_y = arena_new_array(w->arena, double, m->p.channels);
    m->deviation_y = arena_new_array(w->arena, double, m->p.channels);
    variants_matched(w, &m->p, w->original, m->mean_y, m->deviation_y);
}

static void keep_inputs(struct variants_whole *w)
{
    const int64_t n = flow_n(w->original);

    w->inputs = arena_new_array(w->arena, void *, n * w->g->n_in + 1);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < w->g->n_in; k++)
            w->inputs[i * w->g->n_in + k] =
                arena_copy(w->arena, flow_at(w->original, w->g->in[k], i),
                           (size_t)ir_bytes(w->g->in[k]));
}

static struct status *run_original(struct variants_whole *w,
                                   const struct variants_options *o)
{
    const int64_t fits = MOST_BYTES / (all_bytes(w->g) + 1);
    int64_t *sample;
    int at = 0;

    w->n_matched = o->n_calibration < MOST_MATCHED ? o->n_calibration : MOST_MATCHED;
    w->v.n_scored = o->n_scored;
    if (w->n_matched + w->v.n_scored > fits) {
        w->n_matched = w->n_matched < fits / 8 ? w->n_matched : fits / 8;
        w->n_matched = w->n_matched > 1 ? w->n_matched : 1;
        w->v.n_scored = fits - w->n_matched > 1 ? fits - w->n_matched : 1;
    }
    sample = arena_new_array(w->arena, int64_t, w->n_matched + w->v.n_scored);
    for (int64_t i = 0; i < w->n_matched; i++)
        sample[i] = o->calibration[i * o->n_calibration / w->n_matched];
    for (int64_t i = 0; i < w->v.n_scored; i++)
        sample[w->n_matched + i] = o->scored[i * o->n_scored / w->v.n_scored];
    w->scored = sample + w->n_matched;
    RETURN_IF_FAIL(
        flow_create(w->g, w->data, w->n_matched + w->v.n_scored, sample, &w->original));
    keep_inputs(w);
    for (const struct ir_node *n = w->g->first; n; n = n->next, at++) {
        RETURN_IF_FAIL(flow_run(w->original, n));
        if (w->unit_of[at] >= 0)
            find_statistics(w, &w->made[w->unit_of[at]]);
        flow_release(w->original, n);
    }
    w->outputs = variants_outputs_of(w, w->original, w->arena);
    return OK;
}

/* ---- the whole ------------------------------------------------------------------- */

static struct status *create(struct variants_whole *w, const struct variants_options *o)
{
    const struct prune_options prune = {
        .data = o->data, .n_samples = o->n_calibration, .sample = o->calibration};
    int *rank;

    w->v.units = units_find(w->g, &w->v.n_units);
    w->v.channels = channels_find(w->g, w->v.units, w->v.n_units);
    find_products(w);
    find_whole_groups(w);
    find_leaders(w);
    find_nodes(w);
    variants_find_cuts(w);
    RETURN_IF_FAIL(prune_rank(w->g, &prune, w->arena, &rank));
    w->rank = rank;
    RETURN_IF_FAIL(find_grids(w, o));
    RETURN_IF_FAIL(find_moments(w, o));
    RETURN_IF_FAIL(run_original(w, o));
    w->signature = arena_new_array(w->arena, uint64_t, w->c->n_values);
    return flow_create_from(w->g, w->n_matched + w->v.n_scored, w->inputs,
                            &w->stitched);
}

struct status *variants_create(struct compile *c, struct ir_graph *g,
                               const struct variants_options *o, struct variants **out)
{
    struct arena *a = arena_create();
    struct variants_whole *w = arena_new(a, struct variants_whole);

    *w = (struct variants_whole){.arena = a,
                                 .c = c,
                                 .g = g,
                                 .data = o->data,
                                 .tile = o->tile,
                                 .forgets = o->forgets};

    struct status *s = create(w, o);

    *out = &w->v;
    if (!s)
        return OK;
    variants_destroy(&w->v);
    *out = NULL;
    return status_note(s, "while preparing what units can become");
}

void variants_destroy(struct variants *v)
{
    struct variants_whole *w = (struct variants_whole *)v;

    if (!w)
        return;
    flow_destroy(w->original);
    flow_destroy(w->stitched);
    variants_drop_fits(w);
    variants_forget(w);
    arena_destroy(w->arena);
}
