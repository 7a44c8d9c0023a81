/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions, ArgMax and ArgMin, CumSum, Det.
 *
 *     y = ReduceSum(x) {axes=[...] keepdims}    axes sorted, 0 <= axis, all written out
 *     y = ArgMax(x) {axis keepdims select_last_index}
 *     y = CumSum(x) {axis exclusive reverse}
 */
#include <stdio.h>
#include <string.h>

#include "frontend/op_norm.h"

/* ---- canonical form ------------------------------------------------------------------ */

/* Axes from the attribute or from input 1, whichever the file has. */
static struct status *read_axes(struct ir_node *n, const int64_t **axis, int *n_axes)
{
    if (n->n_in > 1)
        return op_const_ints(n, 1, "axes", axis, n_axes);
    *axis = ir_attr_ints(n, "axes", n_axes);
    return OK;
}

static bool is_integer(enum dtype t)
{
    return t != DT_f32 && t != DT_f64 && t != DT_f16 && t != DT_bf16;
}

static bool keeps_integers(enum ir_op op)
{
    return op != OP_ReduceL2 && op != OP_ReduceLogSum && op != OP_ReduceLogSumExp;
}

/* Roots and logarithms of integers are taken in float64. */
static struct status *by_float64(struct ir_node *n)
{
    const enum dtype dtype = n->in[0]->dtype;

    RETURN_IF_FAIL(op_cast_input(n, 0, DT_f64));
    struct ir_node *real = ir_node_create(n->graph, n, n->op, n->name, 1, 1);
    ir_set_input(real, 0, n->in[0]);
    real->attrs = n->attrs;
    struct ir_value *y = ir_new_output(real, 0, NULL);
    RETURN_IF_FAIL(ir_infer(real));
    n->op = OP_Cast;
    n->attrs = NULL;
    ir_set_attr_int(n, "to", dtype_info[dtype].onnx);
    ir_set_input(n, 0, y);
    return OK;
}

/* With noop_with_empty_axes each element is reduced by itself: ReduceL1 gives |x|. */
struct status *import_Reduce(struct ir_node *n, int opset)
{
    const int rank = n->in[0]->rank;
    const int64_t *listed;
    int64_t axes[IR_MAX_RANK];
    int at[IR_MAX_RANK], n_listed, n_axes = 0;
    unsigned set = 0;

    (void)opset;
    RETURN_IF_FAIL(read_axes(n, &listed, &n_listed));
    const bool none = n_listed == 0 && ir_attr_int(n, "noop_with_empty_axes", 0);
    RETURN_IF_FAIL(op_axes(n, n_listed, listed, rank, at));
    for (int i = 0; i < n_listed; i++)
        set |= 1u << at[i];
    for (int d = 0; d < rank; d++)
        if (!none && (n_listed == 0 || set >> d & 1))
            axes[n_axes++] = d;
    op_keep_inputs(n, 1);
    ir_remove_attr(n, "noop_with_empty_axes");
    ir_set_attr_ints(n, "axes", n_axes, axes);
    ir_set_attr_int(n, "keepdims", ir_attr_int(n, "keepdims", 1) != 0);
    return is_integer(n->in[0]->dtype) && !keeps_integers(n->op) ? by_float64(n) : OK;
}

static unsigned axes_of(const struct ir_node *n)
{
    int n_axes;
    const int64_t *axis = ir_attr_ints(n, "axes", &n_axes);
    unsigned set = 0;

    for (int i = 0; i < n_axes; i++)
        set |= 1u << axis[i];
    return set;
}

static void set_reduced(struct ir_node *n, enum dtype dtype, unsigned axes)
{
    const struct ir_value *x = n->in[0];
    const bool keep = ir_attr_int(n, "keepdims", 1) != 0;
    int64_t dim[IR_MAX_RANK];
    int rank = 0;

    for (int d = 0; d < x->rank; d++)
        if (!(axes >> d & 1))
            dim[rank++] = x->dim[d];
        else if (keep)
            dim[rank++] = 1;
    op_set_out(n, 0, dtype, rank, dim);
}

static int64_t reduced_count(const struct ir_value *x, unsigned axes)
{
    int64_t count = 1;

    for (int d = 0; d < x->rank; d++)
        if (axes >> d & 1)
            count *= x->dim[d];
    return count;
}

struct status *shape_Reduce(struct ir_node *n)
{
    int n_axes, at[IR_MAX_RANK];
    const int64_t *axis = ir_attr_ints(n, "axes", &n_axes);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axes(n, n_axes, axis, n->in[0]->rank, at));
    for (int i = 0; i < n_axes; i++)
        if (axis[i] < 0)
            return FAIL_AT(n, INVALID, "has the negative axis %lld", (long long)axis[i]);
    set_reduced(n, n->in[0]->dtype, axes_of(n));
    return OK;
}

/* ---- lowering ------------------------------------------------------------------------- */

/* Dims of x in (or not in) `axes`, joined where they are contiguous, right-aligned. */
static void gather_dims(const struct ir_value *x, unsigned axes, bool in_axes,
                        int64_t dim[K_MAX_RANK], int64_t stride[K_MAX_RANK])
{
    int64_t strides[IR_MAX_RANK];
    int at = K_MAX_RANK;

    op_strides(x->rank, x->dim, strides);
    for (int i = 0; i < K_MAX_RANK; i++) {
        dim[i] = 1;
        stride[i] = 0;
    }
    for (int d = x->rank - 1; d >= 0; d--) {
        if ((axes >> d & 1) != in_axes || x->dim[d] == 1)
            continue;
        if (at < K_MAX_RANK && strides[d] == stride[at] * dim[at]) {
            dim[at] *= x->dim[d];
            continue;
        }
        at--;
        dim[at] = x->dim[d];
        stride[at] = strides[d];
    }
}

static struct status *call_reduce(struct lowering *lw, const struct ir_node *n,
                                  const char *kernel, unsigned axes)
{
    struct ir_value *x = n->in[0];
    struct k_reduce p = {.count = reduced_count(x, axes),
                         .take_last = ir_attr_int(n, "select_last_index", 0)};
    const enum dtype dtype = x->dtype == DT_bool ? DT_u8 : x->dtype;

    gather_dims(x, axes, false, p.kept, p.kept_stride);
    gather_dims(x, axes, true, p.red, p.red_stride);
    struct kcall *call = lower_call_typed(lw, kernel, dtype, &p, ir_count(n->out[0]));
    if (!call)
        return op_no_kernel(n, dtype);
    lower_in(call, x);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *lower_Reduce(struct lowering *lw, const struct ir_node *n)
{
    static const struct { enum ir_op op; const char *kernel; } names[] = {
        {OP_ReduceL1, "reduce_l1"}, {OP_ReduceL2, "reduce_l2"},
        {OP_ReduceLogSum, "reduce_log_sum"}, {OP_ReduceLogSumExp, "reduce_log_sum_exp"},
        {OP_ReduceMax, "reduce_max"}, {OP_ReduceMean, "reduce_mean"},
        {OP_ReduceMin, "reduce_min"}, {OP_ReduceProd, "reduce_prod"},
        {OP_ReduceSum, "reduce_sum"}, {OP_ReduceSumSquare, "reduce_sum_square"},
    };

    if (n->op == OP_ReduceMean && is_integer(n->in[0]->dtype)
        && reduced_count(n->in[0], axes_of(n)) == 0)
        return FAIL_AT(n, UNSUPPORTED, "takes the mean of no integers");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].op == n->op)
            return call_reduce(lw, n, names[i].kernel, axes_of(n));
    return FAIL_AT(n, INTERNAL, "has no reduction kernel");
}

/* ---- ArgMax, ArgMin --------------------------------------------------------------------- */

struct status *import_Arg(struct ir_node *n, int opset)
{
    (void)opset;
    return op_import_axis(n, 0);
}

struct status *shape_Arg(struct ir_node *n)
{
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), n->in[0]->rank, &axis));
    if (n->in[0]->dim[axis] == 0)
        return FAIL_AT(n, INVALID, "looks for the largest of no elements");
    set_reduced(n, DT_i64, 1u << axis);
    return OK;
}

struct status *lower_Arg(struct lowering *lw, const struct ir_node *n)
{
    return call_reduce(lw, n, n->op == OP_ArgMax ? "arg_max" : "arg_min",
                       1u << ir_attr_int(n, "axis", 0));
}

/* ---- CumSum ------------------------------------------------------------------------------ */

struct status *import_CumSum(struct ir_node *n, int opset)
{
    const int64_t *axis;
    int count, at;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "axis", &axis, &count));
    if (count != 1)
        return FAIL_AT(n, INVALID, "needs one axis but has %d", count);
    RETURN_IF_FAIL(op_axis(n, *axis, n->in[0]->rank, &at));
    op_keep_inputs(n, 1);
    ir_set_attr_int(n, "axis", at);
    return OK;
}

/* Same shape, along one axis of x. */
struct status *shape_AlongAxis(struct ir_node *n)
{
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), n->in[0]->rank, &axis));
    op_set_out(n, 0, n->in[0]->dtype, n->in[0]->rank, n->in[0]->dim);
    return OK;
}

struct status *op_call_rows(struct lowering *lw, const struct ir_node *n, const char *kernel)
{
    struct ir_value *x = n->in[0];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
    const struct k_rows p = {.n = x->dim[axis],
                             .inner = op_product(x->rank - axis - 1, x->dim + axis + 1),
                             .exclusive = ir_attr_int(n, "exclusive", 0),
                             .reverse = ir_attr_int(n, "reverse", 0)};
    const int64_t rows = op_product(axis, x->dim) * p.inner;
    struct kcall *call = lower_call_typed(lw, kernel, x->dtype, &p, p.n ? rows : 0);

    if (!call)
        return op_no_kernel(n, x->dtype);
    lower_in(call, x);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *lower_CumSum(struct lowering *lw, const struct ir_node *n)
{
    return op_call_rows(lw, n, "cumsum");
}

/* ---- Det ---------------------------------------------------------------------------------- */

struct status *shape_Det(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, IR_MAX_RANK));
    if (x->dim[x->rank - 1] != x->dim[x->rank - 2])
        return FAIL_AT(n, INVALID, "input '%s' is not made of square matrices", x->name);
    op_set_out(n, 0, x->dtype, x->rank - 2, x->dim);
    return OK;
}

struct status *lower_Det(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *x = n->in[0];
    const int64_t size = x->dim[x->rank - 1];
    struct kcall *call = lower_call_typed(lw, "det", x->dtype, &(struct k_rows){.n = size},
                                          ir_count(n->out[0]));

    if (!call)
        return op_no_kernel(n, x->dtype);
    lower_in(call, x);
    lower_out(call, n->out[0]);
    lower_scratch(call, size * size * dtype_info[x->dtype].bytes);
    return OK;
}
