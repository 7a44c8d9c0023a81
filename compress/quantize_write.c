/* SPDX-License-Identifier: Apache-2.0 */
/* Quantization into the graph: see quantize.h. */
#include <assert.h>
#include <float.h>
#include <math.h>

#include "compress/quantize_parts.h"
#include "frontend/match.h"
#include "frontend/op_recurrent.h"
#include "frontend/permute.h"
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

/* DequantizeLinear(QuantizeLinear(v)) before `at`. */
static struct status *write_codes(struct ir_graph *g, struct ir_node *at,
                                  struct ir_value *v, float scale, int zero,
                                  struct ir_value **out)
{
    struct compile *c = g->compile;
    const int8_t z = (int8_t)zero;
    struct ir_value *in[] = {v, ir_const_f32(c, scale),
                             ir_const(c, NULL, DT_i8, 0, NULL, &z)};

    RETURN_IF_FAIL(ir_emit(g, at, OP_QuantizeLinear, NULL, 3, in, linear, &in[0]));
    return ir_emit(g, at, OP_DequantizeLinear, NULL, 3, in, linear, out);
}

static struct status *write_tensor(struct ir_graph *g, struct ir_value *v,
                                   const struct quantization *q)
{
    const struct quantized_tensor *t =
        v && v->id < q->n_values ? &q->tensors[v->id] : NULL;
    struct ir_value *reals;

    if (!t || !t->is_source || t->grid.second > 0.0f)
        return OK;
    RETURN_IF_FAIL(write_codes(g, v->def ? v->def->next : g->first, v, t->grid.scale,
                               t->grid.zero, &reals));
    redirect(g, v, reals, reals->def->in[0]->def);
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

/* n without a bias, on x, before `at`. */
static struct status *write_again(struct ir_node *at, const struct ir_node *n,
                                  struct ir_value *x, struct ir_value **out)
{
    struct ir_node *m = ir_node_create(n->graph, at, n->op, n->name, 2, 1);

    m->onnx_index = n->onnx_index;
    permute_copy_attrs(n, m);
    ir_set_input(m, X, x);
    ir_set_input(m, W, n->in[W]);
    *out = ir_new_output(m, 0, NULL);
    return ir_infer(m);
}

/* n(x) = n'(first code of x) + n(second code): the bias has the finer steps.  Equal
 * codes of one tensor are found by common_subexpressions. */
static struct status *write_pair(struct ir_node *n, const struct activation_grid *grid)
{
    struct ir_graph *g = n->graph;
    struct ir_node *after = n->next;
    struct ir_value *y = n->out[0], *x = n->in[X], *first, *rest, *second, *coarse;

    RETURN_IF_FAIL(write_codes(g, n, x, grid->scale, grid->zero, &first));
    RETURN_IF_FAIL(
        ir_emit(g, n, OP_Sub, NULL, 2, (struct ir_value *[]){x, first}, NULL, &rest));
    RETURN_IF_FAIL(write_codes(g, n, rest, grid->second, 0, &second));
    RETURN_IF_FAIL(write_again(n, n, first, &coarse));
    ir_set_input(n, X, second);

    struct ir_node *sum = ir_node_create(g, after, OP_Add, NULL, 2, 1);

    ir_set_input(sum, 0, coarse);
    ir_set_input(sum, 1, coarse);
    struct ir_value *both = ir_new_output(sum, 0, NULL);

    RETURN_IF_FAIL(ir_infer(sum));
    ir_replace_uses(g, y, both);
    ir_set_input(sum, 1, y);
    return OK;
}

static struct status *write_unit(struct compile *c, struct ir_node *n,
                                 const struct quantized_unit *u,
                                 const struct activation_grid *grid)
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
    return grid->second > 0.0f ? write_pair(n, grid) : OK;
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

/* The nearest codes; of 8 bits, so that no error of a state shows. */
static struct status *write_recurrent(struct compile *c, struct ir_node *n)
{
    const struct ir_value *r = recurrent_weights(n);
    const int64_t rows = r->dim[1], columns = r->dim[2], n_steps = r->dim[0] * columns;
    const float *from = r->data;
    uint8_t *codes = arena_new_array(c->scratch, uint8_t, ir_count(r));
    float *step = arena_new_array(c->scratch, float, n_steps);

    for (int64_t i = 0; i < ir_count(r); i++) {
        float *s = &step[i / columns / rows * columns + i % columns];

        *s = fmaxf(*s, fabsf(from[i]) / 127.0f);
    }
    for (int64_t j = 0; j < n_steps; j++)
        if (!(step[j] >= FLT_MIN))
            step[j] = 1.0f;
    for (int64_t i = 0; i < ir_count(r); i++) {
        const float s = step[i / columns / rows * columns + i % columns];

        codes[i] = (uint8_t)(128 + (int)nearbyintf(from[i] / s));
    }
    return recurrent_set_codes(n, codes, step);
}

struct status *quantize_apply(struct compile *c, struct ir_graph *g,
                              const struct quantization *q)
{
    int n;
    const struct unit *units = units_find(g, &n);

    const struct activation_grid **grid =
        arena_new_array(c->perm, const struct activation_grid *, n);

    assert(n == q->n_units);
    for (int i = 0; i < n; i++)
        if (q->units[i].has_codes)
            grid[i] = quantize_input_grid(q, units[i].node);
    for (int i = 0; i < g->n_in; i++)
        RETURN_IF_FAIL(write_tensor(g, g->in[i], q));
    for (struct ir_node *node = g->first, *next; node; node = next) {
        next = node->next;
        for (int i = 0; i < node->n_out; i++)
            RETURN_IF_FAIL(write_tensor(g, node->out[i], q));
    }
    for (int i = 0; i < n; i++) {
        struct ir_node *node = (struct ir_node *)units[i].node;

        if (q->units[i].has_codes)
            RETURN_IF_FAIL(write_unit(c, node, &q->units[i], grid[i]));
        if (q->units[i].has_codes && units[i].recurrent)
            RETURN_IF_FAIL(write_recurrent(c, units[i].recurrent));
        if (q->units[i].has_halves)
            RETURN_IF_FAIL(write_halves(c, node));
    }
    return OK;
}
