/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of codes in training.
 *
 *     weights      DequantizeLinear of constant codes: trained as numbers, used
 * rounded; storing writes codes and scales activations  QuantizeLinear and what
 * dequantizes it are one step, derive_codes.c
 *
 * The optimizer moves a scale 1 / sqrt(n most) times as fast as a weight, n being the
 * numbers that it scales (LSQ, section 2.2). */
#include <math.h>
#include <string.h>

#include "frontend/match.h"
#include "train/codes.h"
#include "train/tape_parts.h"

enum { X, SCALE, ZERO };

/* ---- what they are -------------------------------------------------------------- */

static bool is_signed_code(enum dtype t)
{
    return t == DT_i8 || t == DT_i4;
}

/* Codes of weights are symmetric: the most negative one is not used. */
static struct code_limits weight_limits(enum dtype t)
{
    const real most = t == DT_i4 ? 7 : 127;

    return (struct code_limits){0, -most, most};
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

/* Weight i of v has scale number i / inner % n. */
struct channels {
    int64_t n, inner;
};

static struct channels channels_of(const struct tape_weight *w)
{
    const struct ir_value *x = w->dequantize->in[X];
    struct channels c = {ir_count(w->dequantize->in[SCALE]), 1};

    for (int d = (int)ir_attr_int(w->dequantize, "axis", 0) + 1; d < x->rank; d++)
        c.inner *= x->dim[d];
    return c;
}

static const real *scales_of(const struct tape *t, const struct tape_weight *w)
{
    return t->weight + t->weights[w->scale].at;
}

void tape_add_codes(struct tape *t, const struct ir_node *n)
{
    const int scale = tape_add_weight(t, n->in[SCALE]);
    const int number = tape_add_weight(t, n->out[0]);
    struct tape_weight *w = &t->weights[number];
    const double most = (double)weight_limits(n->in[X]->dtype).most;
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
        struct channels c;

        if (!w->dequantize)
            continue;
        c = channels_of(w);
        for (int64_t k = 0; k < w->count; k++)
            t->weight[w->at + k] = ((const int8_t *)w->dequantize->in[X]->data)[k]
                                   * scales_of(t, w)[k / c.inner % c.n];
    }
}

void tape_round_weights(struct tape *t)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        struct code_limits l;
        struct channels c;

        if (!w->dequantize)
            continue;
        l = weight_limits(w->dequantize->in[X]->dtype);
        c = channels_of(w);
        for (int64_t k = 0; k < w->count; k++)
            w->rounded[k] = codes_round(t->weight[w->at + k],
                                        scales_of(t, w)[k / c.inner % c.n], &l)
                                .y;
    }
}

void tape_codes_gradient(struct tape *t)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        real *dw = t->gradient + w->at, *ds;
        struct code_limits l;
        struct channels c;

        if (!w->dequantize)
            continue;
        ds = t->gradient + t->weights[w->scale].at;
        l = weight_limits(w->dequantize->in[X]->dtype);
        c = channels_of(w);
        for (int64_t k = 0; k < w->count; k++) {
            const struct coded r = codes_round(t->weight[w->at + k],
                                               scales_of(t, w)[k / c.inner % c.n], &l);

            ds[k / c.inner % c.n] += dw[k] * r.by_scale;
            dw[k] = r.inside ? dw[k] : 0;
        }
    }
}

void tape_store_codes(const struct tape *t, struct ir_graph *g)
{
    for (int i = 0; i < t->n_weights; i++) {
        const struct tape_weight *w = &t->weights[i];
        struct code_limits l;
        struct channels c;
        int8_t *codes;

        if (!w->dequantize)
            continue;
        l = weight_limits(w->dequantize->in[X]->dtype);
        c = channels_of(w);
        codes = arena_new_array(g->compile->perm, int8_t, w->count);
        for (int64_t k = 0; k < w->count; k++) {
            const real scale = scales_of(t, w)[k / c.inner % c.n];

            codes[k] = (int8_t)nearbyint(
                (double)(codes_round(t->weight[w->at + k], scale, &l).y / scale));
        }
        w->dequantize->in[X]->data = codes;
    }
}
