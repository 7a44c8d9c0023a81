/* SPDX-License-Identifier: Apache-2.0 */
/* Compute 16-bit floats in float32.
 *
 *     y = f(x, w)                  =  Cast(f(Cast(x), w'))      w' = w in float32
 *     Cast(Cast(v: f32) : f16)     =  v
 *
 * so between two operators nothing is rounded to 16 bits, and constants are known to
 * the other passes as what they are worth.  Processors multiply float32; a model in
 * 16 bits is one whose weights are stored so (struct compile: narrow_weights).  Inputs
 * and outputs of the model keep their type.  A table that is only read by index stays:
 * its rows are widened after they are found.
 *
 * needs:     nothing
 * keeps:     results up to the roundings to 16 bits that are left out
 * breaks:    nothing
 */
#include "frontend/match.h"
#include "frontend/pass.h"
#include "kernels/half.h"

static bool is_half(const struct ir_value *v)
{
    return v && !v->is_sequence && (v->dtype == DT_f16 || v->dtype == DT_bf16);
}

static bool reads_halves(const struct ir_node *n)
{
    bool found = false;

    for (int i = 0; i < n->n_in; i++) {
        if (n->in[i] && (n->in[i]->is_sequence || n->in[i]->dynamic))
            return false;
        found |= is_half(n->in[i]);
    }
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (n->out[i]->is_sequence || n->out[i]->dynamic))
            return false;
    return found;
}

static bool reads_table(const struct ir_node *n)
{
    return n->op == OP_Gather && n->in[0]->data;
}

/* Compression wants this constant in 16 bits. */
static bool is_kept(const struct compile *c, const struct ir_node *n)
{
    return c->halves_stay && n->op == OP_Cast && n->in[0]->data;
}

static bool can_widen(const struct compile *c, const struct ir_node *n)
{
    return !(op_info[n->op].traits & OPT_CONTROL) && n->op != OP_Identity
           && reads_halves(n) && !reads_table(n) && !is_kept(c, n);
}

static struct ir_value *widened_constant(struct compile *c, const struct ir_value *v)
{
    const uint16_t *from = v->data;
    float *to = arena_new_array(c->perm, float, ir_count(v));

    for (int64_t i = 0; i < ir_count(v); i++)
        to[i] = v->dtype == DT_f16 ? f32_of_f16(from[i]) : f32_of_bf16(from[i]);
    c->narrow_weights = true;
    return ir_const_ref(c, v->name, DT_f32, v->rank, v->dim, to);
}

/* `wide` has an entry for each value that was there at first. */
static struct status *widen(struct compile *c, struct ir_value **wide,
                            struct ir_node *n, struct ir_value *v,
                            struct ir_value **out)
{
    const struct ir_node *cast = match_def(v, OP_Cast);

    if (cast && cast->in[0]->dtype == DT_f32) {
        *out = cast->in[0];
        return OK;
    }
    if (!v->data)
        return ir_emit(n->graph, n, OP_Cast, NULL, 1, &v, "to=1", out);
    if (!wide[v->id])
        wide[v->id] = widened_constant(c, v);
    *out = wide[v->id];
    return OK;
}

static struct status *narrow_output(struct ir_graph *g, struct ir_node *n,
                                    struct ir_value *y, enum dtype dtype)
{
    const char *to = dtype == DT_f16 ? "to=10" : "to=16";
    struct ir_value *narrow;

    RETURN_IF_FAIL(ir_emit(g, n->next, OP_Cast, NULL, 1, &y, to, &narrow));
    ir_replace_uses(g, y, narrow);
    ir_set_input(narrow->def, 0, y);
    return OK;
}

static struct status *widen_node(struct compile *c, struct ir_value **wide,
                                 struct ir_graph *g, struct ir_node *n)
{
    enum dtype *before = arena_new_array(c->scratch, enum dtype, n->n_out);

    for (int i = 0; i < n->n_out; i++)
        before[i] = n->out[i] ? n->out[i]->dtype : DT_NONE;
    for (int i = 0; i < n->n_in; i++) {
        struct ir_value *x;

        if (!is_half(n->in[i]))
            continue;
        RETURN_IF_FAIL(widen(c, wide, n, n->in[i], &x));
        ir_set_input(n, i, x);
    }
    RETURN_IF_FAIL(ir_infer(n));
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dtype != before[i])
            RETURN_IF_FAIL(narrow_output(g, n, n->out[i], before[i]));
    return OK;
}

static struct status *widen_graph(struct compile *c, struct ir_value **wide,
                                  struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                RETURN_IF_FAIL(widen_graph(c, wide, n->body[b]));
        if (can_widen(c, n))
            RETURN_IF_FAIL(widen_node(c, wide, g, n));
    }
    return OK;
}

struct status *pass_widen_halves(struct compile *c, struct ir_graph *g)
{
    struct ir_value **wide =
        arena_new_array(c->scratch, struct ir_value *, c->n_values);

    return widen_graph(c, wide, g);
}
