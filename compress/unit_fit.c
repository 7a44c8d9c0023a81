/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_fit.h. */
#include "compress/unit_fit.h"

enum { W = 1, B };

/* Rows beyond this tell a layer little: neighbouring windows overlap. */
enum { MOST_ROWS = 1 << 17 };

struct unit_fit unit_fit_begin(struct arena *a, const struct product *p,
                               const struct flow *reals, const struct flow *changed)
{
    const struct ir_value *x = p->node->in[0], *y = p->node->out[0];
    struct unit_fit f = {
        .p = p,
        .sums = moments_create(a, p, flow_n(changed), (int64_t)MOST_ROWS),
        .has_bias = p->node->op != OP_MatMul,
        .weights = arena_new_array(a, float, p->channels * p->k),
        .fitted = arena_new_array(a, float, p->channels * p->k),
        .bias = arena_new_array(a, float, p->channels),
        .scratch = arena_new_array(a, float, product_scratch(p) + 1),
    };

    product_weights(p, f.weights);
    product_bias(p, f.bias);
    for (int64_t i = 0; i < flow_n(changed); i++)
        moments_add(f.sums, flow_at(changed, x, i), flow_at(reals, y, i));
    moments_finish(f.sums, f.has_bias);
    return f;
}

void unit_fit_biases(struct unit_fit *f)
{
    for (int64_t c = 0; f->has_bias && c < f->p->channels; c++)
        moments_error(moments_all(f->sums), f->fitted, c, &f->bias[c]);
}

void unit_fit_run(const struct unit_fit *f, struct flow *changed)
{
    const struct ir_node *n = f->p->node;

    flow_make(changed, n);
    for (int64_t i = 0; i < flow_n(changed); i++)
        product_apply(f->p, f->fitted, f->bias, flow_at(changed, n->in[0], i),
                      f->scratch, flow_at(changed, n->out[0], i));
}

static void set_constant(struct ir_node *n, int i, const float *data)
{
    const struct ir_value *v = n->in[i];

    ir_set_input(
        n, i, ir_const_ref(n->graph->compile, v->name, DT_f32, v->rank, v->dim, data));
}

/* One number for all channels becomes one for each. */
static void set_bias(struct ir_node *n, const float *bias, int64_t n_channels)
{
    const struct ir_value *v = ir_in(n, B);

    if (v && ir_count(v) == n_channels)
        set_constant(n, B, bias);
    else
        ir_set_input(n, B,
                     ir_const_ref(n->graph->compile, v ? v->name : NULL, DT_f32, 1,
                                  &n_channels, bias));
}

void unit_fit_store(struct ir_node *n, const float *weights, const float *bias,
                    int64_t n_channels)
{
    if (weights)
        set_constant(n, W, weights);
    if (bias)
        set_bias(n, bias, n_channels);
}
