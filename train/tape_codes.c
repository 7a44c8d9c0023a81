/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of codes in training.
 *
 * Weights are what DequantizeLinear makes of constant codes.  Trained is the number of
 * steps v, which begins as the code, and storing rounds it to one again:
 *
 *     w = s q,   q = clip(round(v))       ds = sum of q dw
 *                                         dv = s dw inside the limits, 0 outside
 *
 * So a scale moves all of its weights, with the very slope of what is computed; only
 * that of v is straight through.
 *
 * Activations: QuantizeLinear and what dequantizes it are one step, derive_codes.c. */
#include <math.h>
#include <string.h>

#include "frontend/match.h"
#include "train/tape_parts.h"

enum { X, SCALE, ZERO };

/* ---- what they are -------------------------------------------------------------- */

static bool is_signed_code(enum dtype t)
{
    return t == DT_i8 || t == DT_i4;
}

/* Codes of weights are symmetric: the most negative one is not used. */
static real most_of(const struct ir_node *dequantize)
{
    return dequantize->in[X]->dtype == DT_i4 ? 7 : 127;
}

/* To the nearest, ties to even. */
static real code_of(real v, real most)
{
    const real q = (real)nearbyint((double)v);

    return q < -most ? -most : q > most ? most : q;
}

static bool is_inside(real v, real most)
{
    return fabs(nearbyint((double)v)) <= (double)most;
}

static bool all_zero(const struct ir_value *v)
{
    for (int64_t i = 0; i < ir_bytes(v); i++)
        if (((const char *)v->data)[i])
            return false;
    return true;
}

static bool one_or_one_a_channel(const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    const int64_t axis = ir_attr_int(n, "axis", 0), scales = ir_count(n->in[SCALE]);

    return !ir_attr_int(n, "block_size", 0)
           && (scales == 1 || (axis < x->rank && scales == x->dim[axis]));
}

bool tape_codes_are_weights(const struct ir_node *n)
{
    return n->op == OP_DequantizeLinear && n->in[X]->data
           && is_signed_code(n->in[X]->dtype) && match_const_f32(n->in[SCALE])
           && n->in[ZERO]->data && all_zero(n->in[ZERO]) && one_or_one_a_channel(n);
}

struct code_channels tape_code_channels(const struct tape *t,
                                        const struct tape_weight *w)
{
    const struct ir_value *x = w->dequantize->in[X];
    struct code_channels c = {ir_count(w->dequantize->in[SCALE]), 1,
                              t->weight + t->weights[w->scale].at};

    for (int d = (int)ir_attr_int(w->dequantize, "axis", 0) + 1; d < x->rank; d++)
        c.inner *= x->dim[d];
    return c;
}

void tape_add_codes(struct tape *t, const struct ir_node *n)
{
    const int scale = tape_add_weight(t, n->in[SCALE]);
    const int number = tape_add_weight(t, n->out[0]);
    struct tape_weight *w = &t->weights[number];
    const double most = (double)most_of(n);
    const double each = (double)w->count / (double)t->weights[scale].count;

    w->dequantize = n;
    w->scale = scale;
    w->rounded = arena_new_array(t->a, real, w->count);
    t->weights[scale].is_scale = true;
    t->weights[scale].rate = (real)(1 / sqrt(each * most));
}

/* ---- activations ---------------------------------------------------------------- */

static bool is_pair(const struct ir_node *q, const struct ir_node *dq)
{
    return q && dq->in[SCALE] == q->in[SCALE] && dq->in[ZERO] == q->in[ZERO]
           && match_const_f32(q->in[SCALE]) && ir_count(q->in[SCALE]) == 1
           && q->in[ZERO]->data && q->in[X]->dtype == DT_f32;
}

bool tape_only_dequantized(const struct ir_node *quantize)
{
    for (const struct ir_node *n = quantize->graph->first; n; n = n->next)
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] == quantize->out[0]
                && (n->op != OP_DequantizeLinear || i != X || !is_pair(quantize, n)))
                return false;
    return !ir_is_graph_output(quantize->graph, quantize->out[0]);
}

const struct ir_node *tape_rounding_node(struct tape *t, const struct ir_node *n)
{
    const struct ir_node *q = match_def(ir_in(n, X), OP_QuantizeLinear);
    struct ir_node *both;

    if (n->op != OP_DequantizeLinear || !q || !tape_only_dequantized(q))
        return n;
    both = arena_copy(t->a, n, sizeof *n);
    both->in = arena_copy(t->a, n->in, (size_t)n->n_in * sizeof *n->in);
    both->in[X] = q->in[X];
    return both;
}

/* ---- running -------------------------------------------------------------------- */

void tape_fill_codes(struct tape *t)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];

        for (int64_t k = 0; w->dequantize && k < w->count; k++)
            t->weight[w->at + k] = ((const int8_t *)w->dequantize->in[X]->data)[k];
    }
}

void tape_round_weights(struct tape *t)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        struct code_channels c;
        real most;

        if (!w->dequantize)
            continue;
        most = most_of(w->dequantize);
        c = tape_code_channels(t, w);
        for (int64_t k = 0; k < w->count; k++)
            w->rounded[k] =
                c.scale[k / c.inner % c.n] * code_of(t->weight[w->at + k], most);
    }
}

void tape_codes_gradient(struct tape *t)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        real *dw = t->gradient + w->at, *ds;
        struct code_channels c;
        real most;

        if (!w->dequantize)
            continue;
        ds = t->gradient + t->weights[w->scale].at;
        most = most_of(w->dequantize);
        c = tape_code_channels(t, w);
        for (int64_t k = 0; k < w->count; k++) {
            const int64_t channel = k / c.inner % c.n;
            const real v = t->weight[w->at + k];

            ds[channel] += dw[k] * code_of(v, most);
            dw[k] *= is_inside(v, most) ? c.scale[channel] : 0;
        }
    }
}

void tape_store_codes(const struct tape *t, struct ir_graph *g)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        int8_t *codes;
        real most;

        if (!w->dequantize)
            continue;
        most = most_of(w->dequantize);
        codes = arena_new_array(g->compile->perm, int8_t, w->count);
        for (int64_t k = 0; k < w->count; k++)
            codes[k] = (int8_t)code_of(t->weight[w->at + k], most);
        w->dequantize->in[X]->data = codes;
    }
}
