/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_fit.h. */
#include "compress/unit_fit.h"

enum { W = 1, B };

/* Rows beyond this tell a layer little: neighbouring windows overlap. */
enum { MOST_ROWS = 1 << 17 };

/* What every sample counts. */
static double *weights_of(struct arena *a, const struct product *p,
                          const struct flow *given)
{
    const struct ir_value *y = p->node->out[0];
    double *weight = arena_new_array(a, double, flow_n(given));

    for (int64_t i = 0; i < flow_n(given); i++)
        weight[i] = product_energy(p, flow_at(given, y, i));
    moments_weights(weight, flow_n(given));
    return weight;
}

struct moments_sums *unit_fit_sums(struct arena *a, const struct product *p,
                                   const struct flow *read, const struct flow *given,
                                   int64_t most_rows, bool has_bias)
{
    const struct ir_value *x = p->node->in[0], *y = p->node->out[0];
    struct moments_sums *s = moments_create(a, p, flow_n(read), most_rows);
    const double *weight = weights_of(a, p, given);

    for (int64_t i = 0; i < flow_n(read); i++)
        moments_add(s, flow_at(read, x, i), flow_at(given, y, i), weight[i]);
    moments_finish(s, has_bias);
    return s;
}

struct unit_fit unit_fit_begin(struct arena *a, const struct product *p,
                               const struct flow *reals, const struct flow *changed)
{
    const bool has_bias = p->node->op != OP_MatMul;
    struct unit_fit f = {
        .p = p,
        .sums = unit_fit_sums(a, p, changed, reals, (int64_t)MOST_ROWS, has_bias),
        .has_bias = has_bias,
        .weights = arena_new_array(a, float, p->channels * p->k),
        .fitted = arena_new_array(a, float, p->channels * p->k),
        .bias = arena_new_array(a, float, p->channels),
        .scratch = arena_new_array(a, float, product_scratch(p) + 1),
    };

    product_weights(p, f.weights);
    product_bias(p, f.bias);
    return f;
}

void unit_fit_biases(struct unit_fit *f)
{
    if (f->has_bias)
        moments_biases(moments_all(f->sums), f->fitted, f->bias);
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
