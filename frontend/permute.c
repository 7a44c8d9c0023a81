/* SPDX-License-Identifier: Apache-2.0 */
/* See permute.h.  What a node needs besides transposed operands:
 *
 *     element by element                 nothing; constants and operands of smaller
 *                                        rank are aligned
 *     Concat, Split, Softmax, LogSoftmax,
 *     Hardmax, ArgMax, ArgMin, CumSum    the attribute axis
 *     Reduce*                            the attribute axes; the reduced dims must
 *                                        keep their order, so that sums do
 *     Pad, Expand                        the lists with entries for all dims
 *     QuantizeLinear, DequantizeLinear   the attribute axis, if per channel
 */
#include "frontend/permute.h"

#include <string.h>

#include "frontend/match.h"
#include "frontend/strided_view.h"

void permute_inverse(int rank, const int order[], int inverse[])
{
    for (int i = 0; i < rank; i++)
        inverse[order[i]] = i;
}

bool permute_is_free(const struct ir_value *v, const int order[])
{
    int last = -1;

    for (int i = 0; i < v->rank; i++) {
        if (v->dim[order[i]] == 1)
            continue;
        if (order[i] < last)
            return false;
        last = order[i];
    }
    return true;
}

/* ---- what kind of node ----------------------------------------------- */

enum kind { NEVER, ELTWISE, AXIS_ATTR, REDUCE, PAD, EXPAND, QUANTIZE };

static enum kind kind_of(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Concat:
    case OP_Split:
    case OP_Softmax:
    case OP_QLinearSoftmax:
    case OP_LogSoftmax:
    case OP_Hardmax:
    case OP_ArgMax:
    case OP_ArgMin:
    case OP_CumSum:
        return AXIS_ATTR;
    case OP_Pad:
        return PAD;
    case OP_Expand:
        return EXPAND;
    case OP_QuantizeLinear:
    case OP_DequantizeLinear:
        return QUANTIZE;
    default:
        return op_info[n->op].traits & OPT_ELTWISE   ? ELTWISE
               : op_info[n->op].traits & OPT_REDUCES ? REDUCE
                                                     : NEVER;
    }
}

static int axis_attr(const struct ir_node *n)
{
    const int64_t axis = ir_attr_int(n, "axis", 0);

    return (int)(axis < 0 ? axis + n->in[0]->rank : axis);
}

/* Reduced dims of more than one element are walked in their order; it must stay. */
static bool keeps_reduced_order(const struct ir_node *n, const int order[])
{
    int n_axes, last = -1;
    const int64_t *axes = ir_attr_ints(n, "axes", &n_axes);
    const struct ir_value *x = n->in[0];

    if (!n_axes || !ir_attr_int(n, "keepdims", 1))
        return false;
    for (int i = 0; i < x->rank; i++)
        for (int k = 0; k < n_axes; k++) {
            const int axis = (int)axes[k];

            if (axis != order[i] || x->dim[axis] == 1)
                continue;
            if (axis < last)
                return false;
            last = axis;
        }
    return true;
}

bool permute_can(const struct ir_node *n, const int order[])
{
    const enum kind kind = kind_of(n);
    const int rank = n->out[0] ? n->out[0]->rank : -1;

    for (int i = 0; i < n->n_out; i++)
        if (n->out[i]
            && (n->out[i]->rank != rank || n->out[i]->dynamic
                || n->out[i]->is_sequence))
            return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (n->in[i]->dynamic || n->in[i]->is_sequence))
            return false;
    switch (kind) {
    case NEVER:
        return false;
    case ELTWISE:
        return true;
    case AXIS_ATTR:
        return ir_attr_int(n, "keepdims", 1) && n->in[0]->rank == rank;
    case REDUCE:
        return keeps_reduced_order(n, order);
    case PAD:
    case EXPAND:
        return true;
    case QUANTIZE:
        return !ir_attr_int(n, "block_size", 0);
    }
    return false;
}

enum permute_role permute_role(const struct ir_node *n, int i)
{
    const enum kind kind = kind_of(n);
    const struct ir_value *v = n->in[i];
    const bool is_operand = kind == ELTWISE || n->op == OP_Concat || i == 0;

    if (!v || !is_operand)
        return PERMUTE_SETTING;
    if (v->data)
        return ir_count(v) == 1 && v->rank < n->out[0]->rank ? PERMUTE_SETTING
                                                             : PERMUTE_CONSTANT;
    if (v->rank == n->out[0]->rank)
        return PERMUTE_DATA;
    return ir_count(v) == 1 ? PERMUTE_SETTING : PERMUTE_BROADCAST;
}

/* ---- values ---------------------------------------------------------- */

/* dims of v in another order, aligned to the right of `rank` dims. */
static void ordered_dims(const struct ir_value *v, int rank, const int order[],
                         int64_t dim[])
{
    for (int i = 0; i < rank; i++) {
        const int k = order[i] - (rank - v->rank);

        dim[i] = k < 0 ? 1 : v->dim[k];
    }
}

/* A constant of rank <= `rank`, aligned and transposed. */
static struct ir_value *ordered_const(struct compile *c, const struct ir_value *v,
                                      int rank, const int order[])
{
    const int64_t size = dtype_info[v->dtype].bytes, n = ir_count(v);
    int64_t dim[IR_MAX_RANK], stride[IR_MAX_RANK] = {0}, at[IR_MAX_RANK] = {0}, s = 1;
    char *to = arena_alloc_array(c->perm, (size_t)n, (size_t)size);
    const char *from = v->data;

    ordered_dims(v, rank, order, dim);
    for (int k = rank - 1; k >= 0; k--) {
        const int own = k - (rank - v->rank);

        for (int i = 0; i < rank; i++)
            if (order[i] == k)
                stride[i] = s;
        s *= own < 0 ? 1 : v->dim[own];
    }
    for (int64_t i = 0, offset = 0; i < n; i++) {
        memcpy(to + i * size, from + offset * size, (size_t)size);
        for (int d = rank - 1; d >= 0; d--) {
            offset += stride[d];
            if (++at[d] < dim[d])
                break;
            offset -= at[d] * stride[d];
            at[d] = 0;
        }
    }
    return ir_const_ref(c, v->name, v->dtype, rank, dim, to);
}

static struct status *emit_transpose(struct ir_graph *g, struct ir_node *at,
                                     struct ir_value *v, const int order[],
                                     struct ir_value **out)
{
    struct ir_node *n = ir_node_create(g, at, OP_Transpose, NULL, 1, 1);
    int64_t perm[IR_MAX_RANK];

    for (int i = 0; i < v->rank; i++)
        perm[i] = order[i];
    ir_set_input(n, 0, v);
    ir_set_attr_ints(n, "perm", v->rank, perm);
    *out = ir_new_output(n, 0, NULL);
    return ir_infer(n);
}

struct status *permute_value(struct ir_graph *g, struct ir_node *at, struct ir_value *v,
                             const int order[], struct ir_value **out)
{
    if (!v->data)
        return emit_transpose(g, at, v, order, out);
    *out = ordered_const(g->compile, v, v->rank, order);
    return OK;
}

/* A computed operand of smaller rank: Reshape to full rank, then Transpose; one
 * Reshape when that moves nothing. */
static struct status *follow(struct ir_node *n, struct ir_value *v, int rank,
                             const int order[], struct ir_value **out)
{
    int64_t aligned[IR_MAX_RANK], ordered[IR_MAX_RANK];
    int identity[IR_MAX_RANK];

    for (int i = 0; i < rank; i++)
        identity[i] = i;
    ordered_dims(v, rank, identity, aligned);
    ordered_dims(v, rank, order, ordered);

    struct ir_value like = {.rank = rank};

    memcpy(like.dim, aligned, sizeof like.dim);

    const bool is_free = permute_is_free(&like, order);

    RETURN_IF_FAIL(
        view_reshape(n->graph, n, v, rank, is_free ? ordered : aligned, out));
    return is_free ? OK : emit_transpose(n->graph, n, *out, order, out);
}

/* ---- nodes ----------------------------------------------------------- */

void permute_copy_attrs(const struct ir_node *from, struct ir_node *to)
{
    struct ir_attr **end = &to->attrs;

    for (const struct ir_attr *at = from->attrs; at; at = at->next) {
        *end = arena_copy(from->graph->compile->perm, at, sizeof *at);
        (*end)->next = NULL;
        end = &(*end)->next;
    }
}

/* An attribute that lists axes, sorted. */
static void renumber_attr(struct ir_node *n, const char *name, const int inverse[])
{
    int count;
    const int64_t *from = ir_attr_ints(n, name, &count);
    int64_t to[IR_MAX_RANK];

    for (int i = 0; i < count; i++) {
        int at = i;
        const int64_t axis = inverse[from[i]];

        for (; at && to[at - 1] > axis; at--)
            to[at] = to[at - 1];
        to[at] = axis;
    }
    if (count)
        ir_set_attr_ints(n, name, count, to);
}

/* An attribute with n_lists entries for every dim, list after list. */
static void order_attr(struct ir_node *n, const char *name, int rank, const int order[],
                       int n_lists)
{
    int count;
    const int64_t *from = ir_attr_ints(n, name, &count);
    int64_t to[2 * IR_MAX_RANK];

    for (int i = 0; i < n_lists * rank; i++)
        to[i] = from[i / rank * rank + order[i % rank]];
    ir_set_attr_ints(n, name, n_lists * rank, to);
}

static void adjust_settings(struct ir_node *n, int rank, const int order[],
                            const int inverse[], int axis)
{
    switch (kind_of(n)) {
    case AXIS_ATTR:
        ir_set_attr_int(n, "axis", inverse[axis]);
        break;
    case QUANTIZE:
        if (ir_count(n->in[1]) > 1)
            ir_set_attr_int(n, "axis", inverse[axis]);
        break;
    case REDUCE:
        renumber_attr(n, "axes", inverse);
        break;
    case PAD:
        order_attr(n, "pads", rank, order, 2);
        break;
    case EXPAND:
        order_attr(n, "shape", rank, order, 1);
        break;
    case ELTWISE:
    case NEVER:
        break;
    }
}

static struct status *operand(struct ir_node *n, int i, int rank, const int order[],
                              struct ir_value *const data[], struct ir_value **out)
{
    switch (permute_role(n, i)) {
    case PERMUTE_DATA:
        *out = data[i];
        return OK;
    case PERMUTE_CONSTANT:
        *out = ordered_const(n->graph->compile, n->in[i], rank, order);
        return OK;
    case PERMUTE_BROADCAST:
        return follow(n, n->in[i], rank, order, out);
    case PERMUTE_SETTING:
        break;
    }
    *out = n->in[i];
    return OK;
}

struct status *permute_node(struct ir_node *n, const int order[],
                            struct ir_value *const data[], struct ir_node **out)
{
    const int rank = n->out[0]->rank;
    struct ir_value *in[IR_MAX_RANK];
    struct ir_value **operands =
        n->n_in <= IR_MAX_RANK
            ? in
            : arena_new_array(n->graph->compile->scratch, struct ir_value *, n->n_in);
    int inverse[IR_MAX_RANK];

    permute_inverse(rank, order, inverse);
    for (int i = 0; i < n->n_in; i++)
        RETURN_IF_FAIL(operand(n, i, rank, order, data, &operands[i]));

    struct ir_node *m = ir_node_create(n->graph, n, n->op, n->name, n->n_in, n->n_out);

    m->onnx_index = n->onnx_index;
    permute_copy_attrs(n, m);
    for (int i = 0; i < n->n_in; i++)
        ir_set_input(m, i, operands[i]);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            ir_new_output(m, i, n->out[i]->name);
    adjust_settings(m, rank, order, inverse, axis_attr(n));
    *out = m;
    return ir_infer(m);
}
