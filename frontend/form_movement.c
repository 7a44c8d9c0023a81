/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move elements, on codes instead of reals: see form_integers.c.
 *
 *     M(DQ(x))                          =  DQ(M(x))
 *     Concat(DQ(x), DQ(y))              =  DQ(Concat(x, y))        one scale and zero
 * point Q(M(x)), M(x) read by nobody else =  M(Q(x))
 *
 * MaxPool is one of them, because scales are positive.  Pad's value becomes a code:
 * exactly, or the operator stays in floats.
 */
#include "frontend/form_integers.h"

#include <string.h>

#include "frontend/match.h"
#include "frontend/permute.h"

enum { DATA, PAD_VALUE };

static int data_count(const struct ir_node *n)
{
    return n->op == OP_Concat ? n->n_in : 1;
}

static bool is_constant_pad(const struct ir_node *n)
{
    return n->op == OP_Pad
           && strcmp(ir_attr_str(n, "mode", "constant"), "constant") == 0;
}

static struct ir_value *byte_const(struct compile *c, enum dtype dtype, int32_t code)
{
    const int8_t byte = (int8_t)code;

    return ir_const(c, NULL, dtype, 0, NULL, &byte);
}

/* n on data[], before n.  A constant Pad gets `pad_value`. */
static struct status *rebuild(struct ir_node *n, struct ir_value *const *data,
                              struct ir_value *pad_value, struct ir_node **out)
{
    const int n_in = is_constant_pad(n) && n->n_in < 2 ? 2 : n->n_in;
    struct ir_node *m = ir_node_create(n->graph, n, n->op, n->name, n_in, n->n_out);

    permute_copy_attrs(n, m);
    m->onnx_index = n->onnx_index;
    for (int i = 0; i < n_in; i++)
        ir_set_input(m, i, i < data_count(n) ? data[i] : ir_in(n, i));
    if (is_constant_pad(n))
        ir_set_input(m, PAD_VALUE, pad_value);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            ir_new_output(m, i, NULL);
    *out = m;
    return ir_infer(m);
}

/* ---- DequantizeLinear moves down ------------------------------------------- */

static bool all_on_one_grid(const struct ir_node *n, struct ir_value **codes,
                            struct grid *grid)
{
    for (int i = 0; i < data_count(n); i++) {
        struct grid g;

        if (!grid_of_reals(n->in[i], &codes[i], &g) || (i > 0 && !grid_equal(&g, grid)))
            return false;
        *grid = g;
    }
    return true;
}

/* The code that stands for the value of a Pad, if one does exactly. */
static bool pad_code(const struct ir_node *n, const struct grid *g, int32_t *out)
{
    const int32_t least = g->dtype == DT_u8 ? 0 : -128;
    double value = 0.0;

    if (ir_in(n, PAD_VALUE) && !ir_const_scalar(n->in[PAD_VALUE], &value))
        return false;
    for (*out = least; *out <= least + 255; ++*out)
        if (g->scale * (float)(*out - g->zero) == (float)value)
            return true;
    return false;
}

static struct status *sink(struct ir_node *n, bool *formed, const char **why)
{
    struct ir_value **codes =
        arena_new_array(n->graph->compile->perm, struct ir_value *, data_count(n));
    struct ir_value *value = NULL;
    struct grid grid;
    struct ir_node *m;
    int32_t code;

    if (!all_on_one_grid(n, codes, &grid)) {
        *why = "its operands have different scales";
        return OK;
    }
    if (is_constant_pad(n)) {
        if (!pad_code(n, &grid, &code)) {
            *why = "no code stands for its padding";
            return OK;
        }
        value = byte_const(n->graph->compile, grid.dtype, code);
    }
    RETURN_IF_FAIL(rebuild(n, codes, value, &m));
    for (int i = 0; i < n->n_out; i++) {
        struct ir_value *real;

        if (!n->out[i])
            continue;
        RETURN_IF_FAIL(form_scaled(n, m->out[i], grid.scale, grid.zero, &real));
        ir_replace_uses(n->graph, n->out[i], real);
    }
    ir_remove(n);
    *formed = true;
    return OK;
}

/* ---- QuantizeLinear moves up ------------------------------------------------ */

static struct status *quantized(struct ir_node *at, struct ir_value *v,
                                const struct ir_node *like, struct ir_value **out)
{
    struct ir_value *in[] = {v, like->in[1], like->in[2]};

    return ir_emit(at->graph, at, OP_QuantizeLinear, NULL, 3, in, "axis=0 block_size=0",
                   out);
}

static struct status *hoist(struct ir_node *n, const struct requantization *r,
                            bool *formed)
{
    struct compile *c = n->graph->compile;
    struct ir_value **codes =
        arena_new_array(c->perm, struct ir_value *, data_count(n));
    struct ir_value *value = NULL;
    struct ir_node *m;
    double pad = 0.0;

    if (is_constant_pad(n)) {
        if (ir_in(n, PAD_VALUE) && !ir_const_scalar(n->in[PAD_VALUE], &pad))
            return OK;
        RETURN_IF_FAIL(quantized(n, ir_const_f32(c, (float)pad), r->quantize, &value));
    }
    for (int i = 0; i < data_count(n); i++)
        RETURN_IF_FAIL(quantized(n, n->in[i], r->quantize, &codes[i]));
    RETURN_IF_FAIL(rebuild(n, codes, value, &m));
    ir_replace_uses(n->graph, r->quantize->out[0], m->out[0]);
    ir_remove(r->quantize);
    ir_remove(n);
    *formed = true;
    return OK;
}

static bool has_constant_data(const struct ir_node *n)
{
    for (int i = 0; i < data_count(n); i++)
        if (!n->in[i]->data)
            return false;
    return true;
}

struct status *form_movement(struct ir_node *n, bool *formed, const char **why)
{
    struct requantization r;
    const char *ignored;

    if (!match_moves_elements(n) || n->n_in == 0 || !n->in[DATA]
        || n->in[DATA]->dtype != DT_f32 || n->in[DATA]->is_sequence
        || has_constant_data(n))
        return OK;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (n->out[i]->dynamic || n->out[i]->is_sequence))
            return OK;
    RETURN_IF_FAIL(sink(n, formed, why));
    if (*formed || n->n_out != 1 || ir_is_graph_output(n->graph, n->out[0])
        || !find_requantization(n->out[0], &r, &ignored) || r.act)
        return OK;
    return hoist(n, &r, formed);
}
