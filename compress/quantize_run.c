/* SPDX-License-Identifier: Apache-2.0 */
/* The quantized graph on samples, in float32: see quantize.h. */
#include "compress/quantize_parts.h"

struct running {
    const struct ir_graph *g;
    const struct quantization *q;
    const struct unit *units;
    struct flow *flow;
};

static void run_tensor(struct running *r, const struct ir_value *v)
{
    const struct quantized_tensor *t = v ? &r->q->tensors[v->id] : NULL;

    if (!t || !t->is_source)
        return;
    flow_own(r->flow, v);
    for (int64_t i = 0; i < flow_n(r->flow); i++)
        activation_round(&t->grid, flow_at(r->flow, v, i), ir_count(v));
}

/* Weights [channels][k] and biases of the codes. */
static void weights_of_codes(const struct product *p, const struct quantized_unit *u,
                             float *weights, float *bias)
{
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < p->k; i++)
            weights[c * p->k + i] =
                u->scale[c] * (float)u->codes[product_place(p, c, i)];
    product_bias(p, bias);
    for (int64_t c = 0; u->bias && c < p->channels; c++)
        bias[c] = u->bias[c];
}

static void run_unit(struct flow *f, const struct product *p,
                     const struct quantized_unit *u)
{
    const struct ir_node *n = p->node;
    struct arena *a = arena_create();
    float *weights = arena_new_array(a, float, p->channels * p->k);
    float *bias = arena_new_array(a, float, p->channels);
    float *scratch = arena_new_array(a, float, product_scratch(p) + 1);

    weights_of_codes(p, u, weights, bias);
    flow_make(f, n);
    for (int64_t i = 0; i < flow_n(f); i++)
        product_apply(p, weights, bias, flow_at(f, n->in[0], i), scratch,
                      flow_at(f, n->out[0], i));
    arena_destroy(a);
}

const struct activation_grid *quantize_input_grid(const struct quantization *q,
                                                  const struct ir_node *n)
{
    const struct ir_value *v = tensor_source(n->in[0]);

    while (v->def && v->def->op == OP_Concat)
        v = tensor_source(v->def->in[0]);
    return &q->tensors[v->id].grid;
}

void quantize_run_alone(const struct quantization *q, const struct ir_node *n, int unit,
                        struct flow *f)
{
    const struct ir_value *x = n->in[0];
    struct product p;

    flow_own(f, x);
    for (int64_t i = 0; i < flow_n(f); i++)
        activation_round(quantize_input_grid(q, n), flow_at(f, x, i), ir_count(x));
    product_of(n, &p);
    run_unit(f, &p, &q->units[unit]);
    flow_release(f, n);
}

static const struct quantized_unit *unit_at(const struct running *r,
                                            const struct ir_node *n)
{
    for (int i = 0; i < r->q->n_units; i++)
        if (r->units[i].node == n && r->q->units[i].has_codes)
            return &r->q->units[i];
    return NULL;
}

static struct status *run_node(struct running *r, const struct ir_node *n)
{
    const struct quantized_unit *u = unit_at(r, n);
    struct product p;

    if (u && product_of(n, &p))
        run_unit(r->flow, &p, u);
    else
        RETURN_IF_FAIL(flow_run(r->flow, n));
    for (int i = 0; i < n->n_out; i++)
        run_tensor(r, n->out[i]);
    flow_release(r->flow, n);
    return OK;
}

struct status *quantize_run(const struct quantization *q, const struct ir_graph *g,
                            struct flow *f)
{
    int n_units;
    struct running r = {.g = g, .q = q, .units = units_find(g, &n_units), .flow = f};

    for (int i = 0; i < g->n_in; i++)
        run_tensor(&r, g->in[i]);
    for (const struct ir_node *n = g->first; n; n = n->next)
        RETURN_IF_FAIL(run_node(&r, n));
    return OK;
}
