/* SPDX-License-Identifier: Apache-2.0 */
/* A real model as a search problem: see model_problem.h. */
#include "search/model_problem.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "hal/cost.h"

enum { BITS_4, BITS_8, BITS_16, BITS_32 }; /* indices of choice_bits */

static_assert(BITS_32 + 1 == CHOICE_BITS, "widths of a unit");

/* Other samples than those seen may reach so many times as far. */
static const float MARGIN_OF_HALVES = 16.0f, LARGEST_HALF = 65504.0f;

static const struct variants *variants_of(const struct model_problem *m)
{
    return m->variants;
}

/* ---- choices to variants --------------------------------------------------------- */

static const struct variant *take(struct model_problem *m, const struct choices *c)
{
    for (int i = 0; i < c->n_units; i++)
        m->plan[i] = (struct variant){choice_ratio(c->units[i].ratio),
                                      choice_bits[c->units[i].bits]};
    return m->plan;
}

/* What a unit computes in. */
static int weight_bits(const struct model_problem *m, int unit, int bits)
{
    return variants_bits(variants_of(m), unit, choice_bits[bits]);
}

static int activation_bits(const struct model_problem *m, int unit, int bits)
{
    const int weights = weight_bits(m, unit, bits);

    return weights < 16 ? 8 : weights == 16 && m->halves == HALVES_MULTIPLIED ? 16 : 32;
}

/* ---- costs ----------------------------------------------------------------------- */

static int64_t part(int64_t n, double share)
{
    return (int64_t)llround((double)n * share);
}

static int stored_bits(const struct model_problem *m, const struct work *w)
{
    const bool deep = w->kind == WORK_DEPTHWISE || w->kind == WORK_DEPTHWISE_STRIDED;

    return deep && w->weight_bits < m->depthwise_bits ? m->depthwise_bits
                                                      : w->weight_bits;
}

/* With these shares of inputs and outputs left, after a unit of other bits. */
static void unit_costs(const struct model_problem *m, int i, int bits, int bits_before,
                       double inputs, double outputs, double *out)
{
    const struct unit *u = &variants_of(m)->units[i];
    const int a_bits = activation_bits(m, i, bits);
    struct work w = unit_work(u, weight_bits(m, i, bits), a_bits);

    w.weight_bits = stored_bits(m, &w);

    const int64_t in = part(w.in_elements, inputs),
                  made = part(w.out_elements, outputs);
    const int64_t live =
        (m->live[i] - w.in_elements - w.out_elements + in + made) * m->batch;

    w.macs_per_channel = part(w.macs_per_channel, inputs);
    w.channels = part(w.channels, outputs);
    w.weights = part(w.weights, inputs * outputs);
    w.in_elements = in;
    w.out_elements = made;
    w = work_of_batch(&w, m->batch);

    const struct cost c = cost_of(m->device, &w);

    out[COST_latency] = c.time_ns;
    if (i)
        out[COST_latency] += cost_conversion_ns(
            m->device, w.in_elements, activation_bits(m, i - 1, bits_before), a_bits);
    out[COST_energy] = m->has_energy ? c.energy_j : 1e-12;
    out[COST_bytes] = (double)(c.weight_bytes + unit_recurrent_bytes(u, w.weight_bits))
                      + (i ? 0 : m->more_bytes);
    out[COST_ram] = (double)(live * a_bits / 8);
    if (w.weight_bits == 16 && m->halves == HALVES_WIDENED) {
        out[COST_latency] += cost_conversion_ns(m->device, w.weights, 16, 32);
        out[COST_ram] += 4 * (double)w.weights;
    }
}

static void cost(void *self, int unit, struct choice own, struct choice before,
                 double *out)
{
    const struct model_problem *m = self;

    unit_costs(m, unit, own.bits, before.bits, m->inputs[unit][before.ratio][own.ratio],
               m->outputs[unit][own.ratio], out);
}

/* Depthwise units sum what they did, but read fewer channels. */
static double input_share(const struct model_problem *m, int unit, const bool *removed)
{
    const struct variants *v = variants_of(m);
    const struct unit *u = &v->units[unit];

    return (double)variants_inputs(v, unit, removed) / (double)u->k;
}

static double output_share(const struct model_problem *m, int unit, const bool *removed)
{
    const struct variants *v = variants_of(m);

    return (double)variants_outputs(v, unit, removed) / (double)v->units[unit].channels;
}

void model_problem_costs(struct model_problem *m, const struct choices *c, double *out)
{
    int before = BITS_32;

    variants_remove(m->variants, take(m, c), m->removed);
    memset(out, 0, COST_COUNT * sizeof *out);
    for (int i = 0; i < c->n_units; i++) {
        double own[COST_COUNT];

        unit_costs(m, i, c->units[i].bits, before, input_share(m, i, m->removed),
                   output_share(m, i, m->removed), own);
        for (enum search_cost k = 0; k < COST_COUNT; k++)
            out[k] = search_cost_join(k, out[k], own[k]);
        before = c->units[i].bits;
    }
}

/* Shares that stay when only this unit's leader and that of the unit before have
 * removed anything. */
static void find_shares(struct model_problem *m, int unit)
{
    const struct variants *v = variants_of(m);
    const int own = v->unit[unit].leader, last = v->unit[unit ? unit - 1 : 0].leader;

    for (int b = 0; b < CHOICE_RATIOS; b++)
        for (int o = 0; o < CHOICE_RATIOS; o++) {
            memset(m->plan, 0, (size_t)v->n_units * sizeof *m->plan);
            if (unit)
                m->plan[last].prune = choice_ratio(b);
            m->plan[own].prune = choice_ratio(o);
            variants_remove(v, m->plan, m->removed);
            m->inputs[unit][b][o] = input_share(m, unit, m->removed);
            if (b == 0)
                m->outputs[unit][o] = output_share(m, unit, m->removed);
        }
}

/* ---- memory ---------------------------------------------------------------------- */

static int64_t elements(const struct ir_value *v)
{
    const int64_t n = v && !v->data ? ir_count(v) : 0;

    return n > 0 ? n : 0;
}

static int unit_at(const struct variants *v, const struct ir_node *n)
{
    for (int i = 0; i < v->n_units; i++)
        if (v->units[i].node == n)
            return i;
    return -1;
}

/* Live values between one unit and the next, where they are most. */
static void find_live(struct model_problem *m, struct arena *a)
{
    const struct variants *v = variants_of(m);
    const struct ir_graph *g = v->units[0].node->graph;
    int *readers = arena_new_array(a, int, g->compile->n_values), unit = -1;
    int64_t live = 0;

    for (int i = 0; i < v->n_units; i++)
        m->live[i] = v->units[i].in_elements + v->units[i].out_elements;
    for (int i = 0; i < g->n_in; i++) {
        live += elements(g->in[i]);
        readers[g->in[i]->id] = g->in[i]->n_uses;
    }
    for (const struct ir_node *n = g->first; n; n = n->next) {
        const int here = unit_at(v, n);

        unit = here >= 0 ? here : unit;
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i]) {
                live += elements(n->out[i]);
                readers[n->out[i]->id] = n->out[i]->n_uses;
            }
        if (unit >= 0 && live > m->live[unit])
            m->live[unit] = live;
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && !n->in[i]->data && --readers[n->in[i]->id] == 0)
                live -= elements(n->in[i]);
    }
}

/* ---- what controllers see ------------------------------------------------------- */

static float log_part(double x, double most)
{
    return (float)(log2(1 + x) / most);
}

static void describe_unit(const struct model_problem *m, int i, struct search_unit *to)
{
    const struct variants *v = variants_of(m);
    const struct unit *u = &v->units[i];
    const double moved = (double)(u->n_weights + u->in_elements + u->out_elements) * 4;
    const enum ir_op op = u->node->op;
    const float features[] = {
        op == OP_Conv,
        op == OP_Gemm || op == OP_MatMul,
        op == OP_Conv && u->n_weights == u->channels * u->k && u->k < u->channels,
        log_part((double)u->channels, 12),
        log_part((double)u->k, 14),
        log_part((double)u->n_weights, 24),
        log_part((double)u->macs, 32),
        log_part((double)u->in_elements, 24),
        log_part((double)u->out_elements, 24),
        log_part(2 * (double)u->macs / moved, 10),
        v->unit[i].leader == i,
        v->unit[i].channels > 0,
        v->unit[i].may_be_codes,
        (float)(m->problem.base[COST_bytes] > 0
                    ? 4 * (double)u->n_weights / m->problem.base[COST_bytes]
                    : 0),
    };

    memcpy(to->features, features, sizeof features);
}

static void describe_device(const struct device *d, float *out)
{
    enum { HAS = PRECISION_COUNT - 1, BANDWIDTH = HAS + PRECISION_COUNT };
    static_assert(BANDWIDTH + LEVEL_COUNT < SEARCH_DEVICE_FEATURES,
                  "room for the tile");

    for (int p = 0; p < PRECISION_COUNT; p++)
        out[p] = (float)(log10(device_peak(d, (enum precision)p)) / 15);
    for (int p = 1; p < PRECISION_COUNT; p++) /* float32 is always there */
        out[HAS + p] = device_has(d, (enum precision)p);
    for (int l = 0; l < LEVEL_COUNT; l++)
        out[BANDWIDTH + l] =
            (float)(log10(device_bandwidth(d, (enum memory_level)l)) / 13);
    out[BANDWIDTH + LEVEL_COUNT] = log_part(d->figures[FIGURE_TILE_CHANNELS].value, 8);
}

static int tile_of(const struct device *d)
{
    const double tile = d->figures[FIGURE_TILE_CHANNELS].value;

    return tile > 1 ? (int)tile : 1;
}

static bool may_be_halves(const struct model_problem *m, const struct variant_unit *u)
{
    return m->halves != HALVES_NONE && u->may_be_halves
           && (m->halves != HALVES_MULTIPLIED
               || u->largest * MARGIN_OF_HALVES < LARGEST_HALF);
}

static uint32_t bits_of(const struct model_problem *m, int unit)
{
    const struct variant_unit *u = &variants_of(m)->unit[unit];

    if (variants_of(m)->units[unit].weight_bits < 32)
        return 1u << BITS_8;
    return (u->may_be_codes ? 1u << BITS_4 | 1u << BITS_8 : 0)
           | (may_be_halves(m, u) ? 1u << BITS_16 : 0) | 1u << BITS_32;
}

static struct search_unit *make_units(struct model_problem *m, struct arena *a)
{
    const struct variants *v = variants_of(m);
    struct search_unit *units = arena_new_array(a, struct search_unit, v->n_units);

    for (int i = 0; i < v->n_units; i++) {
        const struct variant_unit *u = &v->unit[i];

        units[i] = (struct search_unit){
            .name = v->units[i].name,
            .channels = u->channels ? u->channels : 1,
            .tile = tile_of(m->device),
            .patterns = 1,
            .ratios = u->channels ? (1u << CHOICE_RATIOS) - 1 : 1,
            .bits = bits_of(m, i),
            .leader = u->leader,
            .joins = -1,
        };
    }
    return units;
}

/* ---- evaluation ------------------------------------------------------------------ */

static void evaluate(void *self, const struct choices *c, struct search_result *out)
{
    struct model_problem *m = self;
    struct variants_result r = {.loss = INFINITY};

    *out = (struct search_result){0};
    model_problem_costs(m, c, out->costs);
    if (!m->failed)
        m->failed = variants_run(m->variants, m->plan, &r);
    out->loss = isfinite(r.loss) ? r.loss : 1e6;
    out->drop = r.drop;
}

struct plan *model_problem_plan(struct model_problem *m, const struct choices *c,
                                const char *target)
{
    struct plan *p = variants_plan(m->variants, take(m, c), target);

    for (int i = 0; i < p->n_units; i++)
        if (p->units[i].weight_bits == 16 && m->halves == HALVES_MULTIPLIED)
            p->units[i].activation_bits = 16;
    p->bits_policy = plan_policy(p);
    return p;
}

struct model_problem *model_problem_create(struct arena *a, struct variants *v,
                                           const struct model_problem_options *o)
{
    struct model_problem *m = arena_new(a, struct model_problem);
    const size_t n = (size_t)v->n_units;
    const struct choices *unchanged = choices_create(a, v->n_units);

    *m = (struct model_problem){
        .variants = v,
        .device = o->device,
        .more_bytes = o->more_bytes,
        .halves = o->halves,
        .depthwise_bits = o->depthwise_bits,
        .batch = o->batch > 1 ? o->batch : 1,
        .has_energy = cost_has_energy(o->device),
        .inputs = arena_alloc_array(a, n, sizeof *m->inputs),
        .outputs = arena_alloc_array(a, n, sizeof *m->outputs),
        .live = arena_new_array(a, int64_t, n),
        .plan = arena_new_array(a, struct variant, n),
        .removed = arena_new_array(a, bool, v->channels->n_classes + 1),
    };
    find_live(m, a);
    for (int i = 0; i < v->n_units; i++)
        find_shares(m, i);

    struct search_problem *p = &m->problem;
    struct search_unit *units = make_units(m, a);

    *p = (struct search_problem){
        .n_units = v->n_units,
        .units = units,
        .self = m,
        .cost = cost,
        .evaluate = evaluate,
    };
    memcpy(p->budgets, o->budgets, sizeof p->budgets);
    model_problem_costs(m, unchanged, p->base);
    for (int i = 0; i < v->n_units; i++)
        describe_unit(m, i, &units[i]);
    describe_device(o->device, p->device);
    return m;
}
