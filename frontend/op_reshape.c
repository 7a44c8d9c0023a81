/* SPDX-License-Identifier: Apache-2.0 */
/* Reshape, and Flatten, Squeeze, Unsqueeze which are imported as Reshape:
 *
 *     y = Reshape(x) {shape=[...]}      every dim written out
 *
 * Expand is not a view: y = Expand(x) {shape=[...]}, the full output shape. */
#include <string.h>

#include "frontend/op_help.h"

static void become_reshape(struct ir_node *n, int rank, const int64_t *dim)
{
    n->op = OP_Reshape;
    n->attrs = NULL;
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "shape", rank, dim);
}

/* 0 copies the input's dim (unless allowzero), one -1 takes what is left. */
static struct status *resolve(const struct ir_node *n, int rank, const int64_t *want,
                              int64_t *dim)
{
    const struct ir_value *x = n->in[0];
    const bool allow_zero = ir_attr_int(n, "allowzero", 0) != 0;
    int64_t known = 1;
    int open = -1;

    if (rank > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", rank,
                       IR_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        dim[i] = want[i];
        if (!want[i] && !allow_zero) {
            if (i >= x->rank)
                return FAIL_AT(n, INVALID, "shape copies dim %d of rank %d", i,
                               x->rank);
            dim[i] = x->dim[i];
        }
        if (want[i] == -1 && open < 0)
            open = i;
        else if (dim[i] < 0)
            return FAIL_AT(n, INVALID, "shape has the entry %lld", (long long)want[i]);
        else
            known = op_product(2, (int64_t[]){known, dim[i]});
    }
    if (open >= 0)
        dim[open] = known ? ir_count(x) / known : 0;
    return OK;
}

struct status *import_Reshape(struct ir_node *n, int opset)
{
    int count;
    const int64_t *want;
    int64_t dim[IR_MAX_RANK];

    if (opset < 5)
        want = ir_attr_ints(n, "shape", &count);
    else
        RETURN_IF_FAIL(op_const_ints(n, 1, "shape", &want, &count));
    if (!want && !count && (opset < 5 ? !ir_attr(n, "shape") : !ir_in(n, 1)))
        return FAIL_AT(n, INVALID, "has no shape");
    RETURN_IF_FAIL(resolve(n, count, want, dim));
    become_reshape(n, count, dim);
    return OK;
}

struct status *shape_Reshape(struct ir_node *n)
{
    int count;
    const int64_t *dim = ir_attr_ints(n, "shape", &count);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (count > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", count,
                       IR_MAX_RANK);
    for (int i = 0; i < count; i++)
        if (dim[i] < 0)
            return FAIL_AT(n, INVALID, "shape has the entry %lld", (long long)dim[i]);
    if (op_product(count, dim) != ir_count(n->in[0]))
        return FAIL_AT(n, INVALID, "cannot give %lld elements a shape of %lld",
                       (long long)ir_count(n->in[0]),
                       (long long)op_product(count, dim));
    op_set_out(n, 0, n->in[0]->dtype, count, dim);
    return OK;
}

struct status *lower_Reshape(struct lowering *lw, const struct ir_node *n)
{
    return op_copy_all(lw, n, n->in[0], n->out[0]);
}

struct status *lower_Identity(struct lowering *lw, const struct ir_node *n)
{
    if (n->in[0]->dynamic)
        return FAIL_AT(n, UNSUPPORTED, "copies a value of unknown size");
    return op_copy_all(lw, n, n->in[0], n->out[0]);
}

/* ---- Flatten, Squeeze, Unsqueeze -------------------------------------------- */

struct status *import_Flatten(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t axis = ir_attr_int(n, "axis", 1);

    (void)opset;
    if (axis < -x->rank || axis > x->rank)
        return FAIL_AT(n, INVALID, "axis %lld is outside of rank %d", (long long)axis,
                       x->rank);
    const int at = (int)(axis < 0 ? axis + x->rank : axis);
    become_reshape(
        n, 2,
        (int64_t[]){op_product(at, x->dim), op_product(x->rank - at, x->dim + at)});
    return OK;
}

/* The axes: an attribute before opset 13, an input since. */
static struct status *read_axes(struct ir_node *n, int opset, const int64_t **out,
                                int *count)
{
    if (opset >= 13)
        return op_const_ints(n, 1, "axes", out, count);
    *out = ir_attr_ints(n, "axes", count);
    return OK;
}

struct status *import_Squeeze(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *axes;
    int64_t dim[IR_MAX_RANK];
    int count, axis[IR_MAX_RANK], rank = 0;
    unsigned drop = 0;

    RETURN_IF_FAIL(read_axes(n, opset, &axes, &count));
    RETURN_IF_FAIL(op_axes(n, count, axes, x->rank, axis));
    for (int i = 0; i < count; i++) {
        if (x->dim[axis[i]] != 1)
            return FAIL_AT(n, INVALID, "cannot drop dim %d, which is %lld", axis[i],
                           (long long)x->dim[axis[i]]);
        drop |= 1u << axis[i];
    }
    for (int i = 0; i < x->rank; i++)
        if (!(drop >> i & 1) && (axes || x->dim[i] != 1))
            dim[rank++] = x->dim[i];
    become_reshape(n, rank, dim);
    return OK;
}

struct status *import_Unsqueeze(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *axes;
    int64_t dim[IR_MAX_RANK];
    int count, axis[IR_MAX_RANK], from = 0;
    unsigned added = 0;

    RETURN_IF_FAIL(read_axes(n, opset, &axes, &count));
    if (!axes && !count)
        return FAIL_AT(n, INVALID, "has no axes");
    if (count > IR_MAX_RANK - x->rank)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", x->rank + count,
                       IR_MAX_RANK);
    RETURN_IF_FAIL(op_axes(n, count, axes, x->rank + count, axis));
    for (int i = 0; i < count; i++)
        added |= 1u << axis[i];
    for (int i = 0; i < x->rank + count; i++)
        dim[i] = added >> i & 1 ? 1 : x->dim[from++];
    become_reshape(n, x->rank + count, dim);
    return OK;
}

/* ---- Expand ----------------------------------------------------------------- */

struct status *import_Expand(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *want;
    int64_t dim[IR_MAX_RANK];
    int count;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "shape", &want, &count));
    const int rank = count > x->rank ? count : x->rank;
    if (rank > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", rank,
                       IR_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        const int64_t a = i < rank - x->rank ? 1 : x->dim[i - (rank - x->rank)];
        const int64_t b = i < rank - count ? 1 : want[i - (rank - count)];
        if (b < 0 || (a != b && a != 1 && b != 1))
            return FAIL_AT(n, INVALID, "cannot expand dim %lld to %lld", (long long)a,
                           (long long)b);
        dim[i] = a == 1 ? b : a;
    }
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "shape", rank, dim);
    return OK;
}

struct status *shape_Expand(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int rank;
    const int64_t *dim = ir_attr_ints(n, "shape", &rank);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (rank > IR_MAX_RANK || rank < x->rank)
        return FAIL_AT(n, INVALID, "cannot expand rank %d to %d", x->rank, rank);
    for (int i = 0; i < rank; i++) {
        const int64_t a = i < rank - x->rank ? 1 : x->dim[i - (rank - x->rank)];
        if (dim[i] < 0 || (a != 1 && a != dim[i]))
            return FAIL_AT(n, INVALID, "cannot expand dim %lld to %lld", (long long)a,
                           (long long)dim[i]);
    }
    op_set_out(n, 0, x->dtype, rank, dim);
    return OK;
}

struct status *lower_Expand(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int64_t in[K_MAX_RANK], out[IR_MAX_RANK];

    lower_broadcast_strides(x, y, in);
    op_strides(y->rank, y->dim, out);
    return op_copy(lw, n, dtype_info[x->dtype].bytes, y->rank, y->dim,
                   in + K_MAX_RANK - y->rank, out, op_value(n->in[0]),
                   op_value(n->out[0]));
}
