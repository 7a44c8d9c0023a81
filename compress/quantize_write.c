/* SPDX-License-Identifier: Apache-2.0 */
/* Quantization into the graph: see quantize.h. */
#include <assert.h>

#include "compress/quantize_parts.h"
#include "frontend/match.h"
#include "kernels/half.h"

enum { X, W, B };

static const char linear[] = "axis=0 block_size=0";

/* The reads of v in the model's own graph become reads of `by`. */
static void redirect(struct ir_graph *g, const struct ir_value *v, struct ir_value *by,
                     const struct ir_node *except)
{
    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 0; n != except && i < n->n_in; i++)
            if (n->in[i] == v)
                ir_set_input(n, i, by);
}

static struct status *write_tensor(struct compile *c, struct ir_graph *g,
                                   struct ir_value *v, const struct quantization *q)
{
    const struct quantized_tensor *t =
        v && v->id < q->n_values ? &q->tensors[v->id] : NULL;
    struct ir_value *codes, *reals;

    if (!t || !t->is_source)
        return OK;
    struct ir_node *at = v->def ? v->def->next : g->first;
    const int8_t zero = (int8_t)t->grid.zero;
    struct ir_value *in[] = {v, ir_const_f32(c, t->grid.scale),
                             ir_const(c, NULL, DT_i8, 0, NULL, &zero)};

    RETURN_IF_FAIL(ir_emit(g, at, OP_QuantizeLinear, NULL, 3, in, linear, &codes));
    in[0] = codes;
    RETURN_IF_FAIL(ir_emit(g, at, OP_DequantizeLinear, NULL, 3, in, linear, &reals));
    redirect(g, v, reals, codes->def);
    return OK;
}

static void write_bias(struct compile *c, struct ir_node *n,
                       const struct quantized_unit *u)
{
    const struct ir_value *old = ir_in(n, B);

    if (!u->bias)
        return;
    ir_set_input(
        n, B, ir_const(c, old ? old->name : NULL, DT_f32, 1, &u->n_channels, u->bias));
    if (n->op == OP_Gemm)
        ir_set_attr_float(n, "beta", 1.0f);
}

static struct status *write_unit(struct compile *c, struct ir_node *n,
                                 const struct quantized_unit *u)
{
    const struct ir_value *w = n->in[W];
    const enum dtype dtype = u->weight_bits == 4 ? DT_i4 : DT_i8;
    const int8_t *zeros = arena_new_array(c->perm, int8_t, u->n_channels);
    struct ir_value *reals, *in[] = {
                                ir_const(c, w->name, dtype, w->rank, w->dim, u->codes),
                                ir_const(c, NULL, DT_f32, 1, &u->n_channels, u->scale),
                                ir_const_ref(c, NULL, dtype, 1, &u->n_channels, zeros),
                            };

    assert(ir_count(w) == u->n_codes);
    RETURN_IF_FAIL(ir_emit(
        n->graph, n, OP_DequantizeLinear, NULL, 3, in,
        arena_printf(c->perm, "axis=%d block_size=0", product_axis(n)), &reals));
    write_bias(c, n, u);
    ir_set_input(n, W, reals);
    return OK;
}

/* Kernels read the halves; the Cast says what they mean. */
static struct status *write_halves(struct compile *c, struct ir_node *n)
{
    const struct ir_value *w = n->in[W];
    const float *from = w->data;
    uint16_t *to = arena_new_array(c->perm, uint16_t, ir_count(w));
    struct ir_value *halves, *reals;

    for (int64_t i = 0; i < ir_count(w); i++)
        to[i] = f16_of_f32(from[i]);
    halves = ir_const_ref(c, w->name, DT_f16, w->rank, w->dim, to);
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Cast, NULL, 1, &halves, "to=1", &reals));
    ir_set_input(n, W, reals);
    c->halves_stay = true;
    return OK;
}

struct status *quantize_apply(struct compile *c, struct ir_graph *g,
                              const struct quantization *q)
{
    int n;
    const struct unit *units = units_find(g, &n);

    assert(n == q->n_units);
    for (int i = 0; i < g->n_in; i++)
        RETURN_IF_FAIL(write_tensor(c, g, g->in[i], q));
    for (struct ir_node *node = g->first, *next; node; node = next) {
        next = node->next;
        for (int i = 0; i < node->n_out; i++)
            RETURN_IF_FAIL(write_tensor(c, g, node->out[i], q));
    }
    for (int i = 0; i < n; i++) {
        struct ir_node *node = (struct ir_node *)units[i].node;

        if (q->units[i].has_codes)
            RETURN_IF_FAIL(write_unit(c, node, &q->units[i]));
        if (q->units[i].has_halves)
            RETURN_IF_FAIL(write_halves(c, node));
    }
    return OK;
}
