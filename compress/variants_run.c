/* SPDX-License-Identifier: Apache-2.0 */
/* The stitched network: see variants.h.
 *
 * Every value has a signature of how it came about: the node, the signatures of what it
 * read, the variant of its unit, whether it became codes.  A value whose signature is
 * that of the plan before stays.
 */
#include <string.h>

#include "compress/unit_losses.h"
#include "compress/variants_parts.h"
#include "support/random.h"

struct stitching {
    struct variants_whole *w;
    const struct variant *plan;
    const bool *removed;
    struct tensor_uses uses;
    struct arena *a;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * UINT64_C(0x9e3779b97f4a7c15) ^ b;

    return splitmix64(&state) | 1;
}

/* ---- tensors --------------------------------------------------------------------- */

static bool is_codes(const struct stitching *s, struct ir_value *v)
{
    return v && s->w->observed.q->tensors[v->id].is_source
           && tensor_is_source(&s->uses, v);
}

static void quantize(const struct stitching *s, const struct ir_value *v)
{
    struct flow *f = s->w->stitched;

    for (int64_t i = 0; i < flow_n(f); i++)
        quantize_values(&s->w->observed.q->tensors[v->id].grid, flow_at(f, v, i),
                        ir_count(v));
}

static void run_inputs(const struct stitching *s)
{
    struct variants_whole *w = s->w;

    for (int k = 0; k < w->g->n_in; k++) {
        struct ir_value *v = w->g->in[k];
        const uint64_t signature = mix((uint64_t)k + 1, is_codes(s, v));

        if (w->signature[v->id] == signature)
            continue;
        for (int64_t i = 0; i < flow_n(w->stitched); i++)
            memcpy(flow_at(w->stitched, v, i), w->inputs[i * w->g->n_in + k],
                   (size_t)ir_bytes(v));
        if (is_codes(s, v))
            quantize(s, v);
        w->signature[v->id] = signature;
    }
}

/* ---- units ----------------------------------------------------------------------- */

/* Inputs of a channel that are removed; NULL: none. */
static const bool *gone_inputs(const struct stitching *s, const struct made_unit *u)
{
    bool *gone = arena_new_array(s->a, bool, u->p.k), any = false;

    for (int64_t i = 0; i < u->p.k; i++) {
        gone[i] = u->class[i] != CHANNEL_FIXED && s->removed[u->class[i]];
        any |= gone[i];
    }
    return any ? gone : NULL;
}

/* Biases take up what the matched samples' means have moved by. */
static void match_means(const struct stitching *s, const struct made_unit *u)
{
    struct flow *f = s->w->stitched;
    const struct ir_value *y = u->p.node->out[0];
    const int64_t inner = u->p.by_rows ? 1 : u->p.out[0] * u->p.out[1] * u->p.out[2];
    const int64_t n = ir_count(y), channels = u->p.channels;
    double *mean = arena_new_array(s->a, double, channels);

    for (int64_t i = 0; i < s->w->n_matched; i++) {
        const float *x = flow_at(f, y, i);

        for (int64_t b = 0; b < n / inner; b++) {
            double sum = 0.0;

            for (int64_t k = 0; k < inner; k++)
                sum += (double)x[b * inner + k];
            mean[b % channels] += sum;
        }
    }
    for (int64_t c = 0; c < channels; c++)
        mean[c] = u->mean_y[c] - mean[c] / (double)(s->w->n_matched * n / channels);
    for (int64_t i = 0; i < flow_n(f); i++) {
        float *x = flow_at(f, y, i);

        for (int64_t b = 0; b < n / inner; b++) {
            const float change = (float)mean[b % channels];

            for (int64_t k = 0; k < inner; k++)
                x[b * inner + k] += change;
        }
    }
}

static void run_unit(const struct stitching *s, const struct made_unit *u,
                     const struct made *m)
{
    struct flow *f = s->w->stitched;
    const struct product *p = &u->p;
    float *scratch = arena_new_array(s->a, float, product_scratch(p) + 1);
    const float *weights = m->weights;

    if (m->codes) {
        float *real = arena_new_array(s->a, float, p->channels * p->k);

        for (int64_t c = 0; c < p->channels; c++)
            for (int64_t i = 0; i < p->k; i++)
                real[c * p->k + i] = m->scale[c] * (float)m->codes[c * p->k + i];
        weights = real;
    }
    flow_make(f, p->node);
    for (int64_t i = 0; i < flow_n(f); i++)
        product_apply(p, weights, m->bias, flow_at(f, p->node->in[0], i), scratch,
                      flow_at(f, p->node->out[0], i));
    if (p->node->op != OP_MatMul)
        match_means(s, u);
}

/* ---- nodes ----------------------------------------------------------------------- */

/* Bodies read what is not among the operands: all that there is so far. */
static uint64_t signature_of(const struct stitching *s, const struct ir_node *n, int at,
                             const struct made *m)
{
    const struct variants_whole *w = s->w;
    uint64_t sum = mix((uint64_t)at + 100, m ? (uint64_t)m->id : 0);

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data)
            sum = mix(sum, w->signature[n->in[i]->id]);
    for (int i = 0; n->body[0] && i < w->c->n_values; i++)
        sum = mix(sum, w->signature[i]);
    for (int i = 0; i < n->n_out; i++)
        sum = mix(sum, is_codes(s, n->out[i]));
    return sum;
}

static bool is_there(const struct variants_whole *w, const struct ir_node *n,
                     uint64_t signature)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && w->signature[n->out[i]->id] != signature + 2 * (uint64_t)i)
            return false;
    return true;
}

static struct status *run_node(const struct stitching *s, const struct ir_node *n,
                               int at)
{
    struct variants_whole *w = s->w;
    const int unit = w->unit_of[at];
    const struct made *m = NULL;

    if (unit >= 0)
        RETURN_IF_FAIL(variants_make(
            w, unit, gone_inputs(s, &w->made[unit]),
            w->v.unit[unit].may_be_codes ? s->plan[unit].bits : 32, &m));

    const uint64_t signature = signature_of(s, n, at, m);

    if (is_there(w, n, signature))
        return OK;
    if (m)
        run_unit(s, &w->made[unit], m);
    else
        RETURN_IF_FAIL(flow_run(w->stitched, n));
    for (int i = 0; i < n->n_out; i++) {
        if (is_codes(s, n->out[i]))
            quantize(s, n->out[i]);
        if (n->out[i])
            w->signature[n->out[i]->id] = signature + 2 * (uint64_t)i;
    }
    return OK;
}

static void find_uses(struct stitching *s)
{
    const struct variants_whole *w = s->w;
    bool *is_unit = arena_new_array(s->a, bool, w->n_nodes + 1);

    for (int i = 0; i < w->n_nodes; i++)
        is_unit[i] = w->unit_of[i] >= 0 && w->v.unit[w->unit_of[i]].may_be_codes
                     && s->plan[w->unit_of[i]].bits < 32;
    s->uses = tensor_uses_find(s->a, w->g, is_unit);
}

/* ---- scores ---------------------------------------------------------------------- */

struct outputs variants_outputs_of(const struct variants_whole *w, const struct flow *f,
                                   struct arena *a)
{
    const struct ir_graph *g = w->g;
    struct outputs to = {.n = w->v.n_scored, .n_outputs = g->n_out};

    to.output = arena_new_array(a, struct output, g->n_out);
    for (int k = 0; k < g->n_out; k++) {
        const struct ir_value *v = g->out[k];
        struct output *o = &to.output[k];

        *o = (struct output){.name = v->name, .rank = v->rank, .row = ir_count(v)};
        memcpy(o->dim, v->dim, sizeof o->dim);
        if (v->dtype != DT_f32 || v->dynamic)
            continue;
        o->at = arena_new_array(a, float, to.n *o->row);
        for (int64_t i = 0; i < to.n; i++)
            memcpy(o->at + i * o->row, flow_at(f, v, w->n_matched + i),
                   (size_t)o->row * sizeof *o->at);
    }
    return to;
}

static struct status *score(const struct stitching *s, struct variants_result *out)
{
    const struct variants_whole *w = s->w;
    const struct outputs mine = variants_outputs_of(w, w->stitched, s->a);
    struct score score;

    out->loss =
        output_loss_from(w->data, w->g, w->original, w->stitched, w->n_matched);
    RETURN_IF_FAIL(evaluate_score(w->data, w->scored, &w->outputs, &mine, &score));
    out->drop = score_drop(&score);
    return OK;
}

static struct status *run(struct stitching *s, struct variants_result *out)
{
    struct variants_whole *w = s->w;
    bool *removed = arena_new_array(s->a, bool, w->v.channels->n_classes + 1);
    int at = 0;

    variants_remove(&w->v, s->plan, removed);
    s->removed = removed;
    find_uses(s);
    run_inputs(s);
    for (const struct ir_node *n = w->g->first; n; n = n->next)
        RETURN_IF_FAIL(run_node(s, n, at++));
    return score(s, out);
}

struct status *variants_run(struct variants *v, const struct variant *plan,
                            struct variants_result *out)
{
    struct stitching s = {.w = (struct variants_whole *)v, .plan = plan};
    struct status *status;

    s.a = arena_create();
    status = run(&s, out);
    arena_destroy(s.a);
    return status_note(status, "while running a plan's network");
}
