/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear and DequantizeLinear; operators on quantized tensors that are
 * imported as float operators between the two.
 *
 *     y = QuantizeLinear(x, scale, zero) {axis block_size}
 *     y = DequantizeLinear(q, scale, zero) {axis block_size}
 *
 * scale and zero: one number, one per index of `axis`, or (block_size > 0) one per
 * block of that many indices.  zero is always there and has the integer type. */
#include <stdio.h>
#include <string.h>

#include "frontend/op_help.h"

enum { X, SCALE, ZERO };

/* ---- canonical form --------------------------------------------------------------------- */

static struct ir_value *zero_of(struct compile *c, enum dtype dtype)
{
    return ir_const(c, NULL, dtype, 0, NULL, &(uint64_t){0});
}

static struct status *import_axis(struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int axis = 0;

    ir_remove_attr(n, "saturate");
    if (x->rank > 0 && n->in[SCALE]->rank > 0 && ir_count(n->in[SCALE]) > 1)
        RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 1), x->rank, &axis));
    ir_set_attr_int(n, "axis", axis);
    ir_set_attr_int(n, "block_size", ir_attr_int(n, "block_size", 0));
    return OK;
}

struct status *import_QuantizeLinear(struct ir_node *n, int opset)
{
    const int64_t to = ir_attr_int(n, "output_dtype", 0);
    enum dtype dtype = to ? dtype_from_onnx((int)to) : DT_u8;

    (void)opset;
    if (!ir_in(n, ZERO)) {
        if (dtype == DT_NONE)
            return FAIL_AT(n, UNSUPPORTED, "quantizes to ONNX type %lld", (long long)to);
        ir_set_input(n, ZERO, zero_of(n->graph->compile, dtype));
    }
    ir_remove_attr(n, "output_dtype");
    RETURN_IF_FAIL(n->in[X]->dtype == DT_i32 ? op_cast_input(n, X, DT_f32) : OK);
    return import_axis(n);
}

struct status *import_DequantizeLinear(struct ir_node *n, int opset)
{
    (void)opset;
    if (!ir_in(n, ZERO))
        ir_set_input(n, ZERO, zero_of(n->graph->compile, n->in[X]->dtype));
    return import_axis(n);
}

/* ---- shapes and strides ------------------------------------------------------------------- */

struct steps {
    int rank;
    int64_t dim[IR_MAX_RANK + 1];
    int64_t stride[IR_MAX_RANK + 1]; /* of scale and zero */
};

static int64_t blocks_of(int64_t dim, int64_t block)
{
    return (dim + block - 1) / block;
}

/* x's dims with scale's strides: `axis` is cut in two where there are blocks. */
static struct status *read_steps(const struct ir_node *n, const struct ir_value *v,
                                 struct steps *out)
{
    const struct ir_value *x = n->in[X];
    const int axis = (int)ir_attr_int(n, "axis", 0);
    const int64_t block = ir_attr_int(n, "block_size", 0), count = ir_count(v);

    *out = (struct steps){.rank = x->rank};
    memcpy(out->dim, x->dim, sizeof x->dim);
    if (count == 1)
        return OK;
    if (axis < 0 || axis >= x->rank)
        return FAIL_AT(n, INVALID, "axis %d is outside of rank %d", axis, x->rank);
    if (block <= 0) {
        if (v->rank != 1 || count != x->dim[axis])
            return FAIL_AT(n, INVALID, "'%s' has %lld entries for %lld along axis %d",
                           v->name, (long long)count, (long long)x->dim[axis], axis);
        out->stride[axis] = 1;
        return OK;
    }
    if (v->rank != x->rank || x->dim[axis] % block)
        return FAIL_AT(n, UNSUPPORTED, "has blocks of %lld in %lld", (long long)block,
                       (long long)x->dim[axis]);
    for (int d = 0; d < x->rank; d++)
        if (v->dim[d] != (d == axis ? blocks_of(x->dim[d], block) : x->dim[d]))
            return FAIL_AT(n, INVALID, "'%s' does not fit to blocks of %lld", v->name,
                           (long long)block);
    int64_t stride[IR_MAX_RANK];
    op_strides(v->rank, v->dim, stride);
    out->rank = x->rank + 1;
    for (int d = 0, to = 0; d < x->rank; d++) {
        out->dim[to] = v->dim[d];
        out->stride[to++] = stride[d];
        if (d != axis)
            continue;
        out->dim[to] = block;
        out->stride[to++] = 0;
    }
    return OK;
}

static struct status *check(const struct ir_node *n)
{
    struct steps scale, zero;

    if (!ir_in(n, ZERO))
        return FAIL_AT(n, INVALID, "has no zero point");
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_steps(n, n->in[SCALE], &scale));
    if (ir_count(n->in[ZERO]) != 1 && ir_count(n->in[ZERO]) != ir_count(n->in[SCALE]))
        return FAIL_AT(n, INVALID, "'%s' and '%s' have different shapes", n->in[ZERO]->name,
                       n->in[SCALE]->name);
    RETURN_IF_FAIL(read_steps(n, n->in[ZERO], &zero));
    return scale.rank > K_MAX_RANK ? FAIL_AT(n, UNSUPPORTED, "has blocks and rank %d",
                                             n->in[X]->rank)
                                   : OK;
}

struct status *shape_QuantizeLinear(struct ir_node *n)
{
    RETURN_IF_FAIL(check(n));
    op_set_out(n, 0, n->in[ZERO]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

struct status *shape_DequantizeLinear(struct ir_node *n)
{
    RETURN_IF_FAIL(check(n));
    RETURN_IF_FAIL(op_same_dtype(n, X, ZERO));
    op_set_out(n, 0, n->in[SCALE]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

/* ---- lowering --------------------------------------------------------------------------------- */

static void align_right(int rank, const int64_t *from, int64_t fill, int64_t to[K_MAX_RANK])
{
    for (int i = 0; i < K_MAX_RANK; i++)
        to[i] = i < K_MAX_RANK - rank ? fill : from[i - (K_MAX_RANK - rank)];
}

static struct status *lower_linear(struct lowering *lw, const struct ir_node *n,
                                   const char *kernel, enum dtype integer, enum dtype real)
{
    struct steps scale, zero;
    struct k_eltwise p = {0};
    int64_t dense[IR_MAX_RANK + 1];

    if (real != DT_f32 || n->in[SCALE]->dtype != DT_f32)
        return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s", dtype_info[real].name);
    RETURN_IF_FAIL(read_steps(n, n->in[SCALE], &scale));
    RETURN_IF_FAIL(read_steps(n, n->in[ZERO], &zero));
    if (zero.rank < scale.rank) { /* one zero point for all blocks */
        zero = scale;
        memset(zero.stride, 0, sizeof zero.stride);
    }
    op_strides(scale.rank, scale.dim, dense);
    align_right(scale.rank, scale.dim, 1, p.dim);
    align_right(scale.rank, dense, 0, p.in[X]);
    align_right(scale.rank, scale.stride, 0, p.in[SCALE]);
    align_right(scale.rank, zero.stride, 0, p.in[ZERO]);

    struct kcall *call = lower_call_typed(lw, kernel, integer, &p, ir_count(n->out[0]));
    if (!call)
        return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s", dtype_info[integer].name);
    for (int i = X; i <= ZERO; i++)
        lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *lower_QuantizeLinear(struct lowering *lw, const struct ir_node *n)
{
    return lower_linear(lw, n, "quantize", n->in[ZERO]->dtype, n->in[X]->dtype);
}

struct status *lower_DequantizeLinear(struct lowering *lw, const struct ir_node *n)
{
    return lower_linear(lw, n, "dequantize", n->in[X]->dtype, n->out[0]->dtype);
}

/* ---- DynamicQuantizeLinear ------------------------------------------------------------------------ */

static struct status *emit(struct ir_node *n, enum ir_op op, const char *attr, int n_in,
                           struct ir_value *a, struct ir_value *b, struct ir_value *c,
                           struct ir_value **out)
{
    return ir_emit(n->graph, n, op, NULL, n_in, (struct ir_value *[]){a, b, c}, attr, out);
}

/* The range of x, with 0 in it, over 255 steps; as ONNX defines it in other nodes, but
 * all zeros have scale 1 and not 0. */
struct status *import_DynamicQuantizeLinear(struct ir_node *n, int opset)
{
    struct compile *c = n->graph->compile;
    struct ir_value *x = n->in[X], *zero = ir_const_f32(c, 0.0f), *top = ir_const_f32(c, 255.0f);
    struct ir_value *least, *most, *range, *scale, *t, *point, *y;

    (void)opset;
    char all[64] = "keepdims=0 axes=[";
    size_t len = strlen(all);
    for (int d = 0; d < x->rank; d++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%d", d ? "," : "", d);
    snprintf(all + len, sizeof all - len, "]");
    RETURN_IF_FAIL(emit(n, OP_ReduceMin, all, 1, x, NULL, NULL, &least));
    RETURN_IF_FAIL(emit(n, OP_ReduceMax, all, 1, x, NULL, NULL, &most));
    RETURN_IF_FAIL(emit(n, OP_Min, NULL, 2, least, zero, NULL, &least));
    RETURN_IF_FAIL(emit(n, OP_Max, NULL, 2, most, zero, NULL, &most));
    RETURN_IF_FAIL(emit(n, OP_Sub, NULL, 2, most, least, NULL, &range));
    RETURN_IF_FAIL(emit(n, OP_Div, NULL, 2, range, top, NULL, &scale));
    RETURN_IF_FAIL(emit(n, OP_Greater, NULL, 2, scale, zero, NULL, &t));
    RETURN_IF_FAIL(emit(n, OP_Where, NULL, 3, t, scale, ir_const_f32(c, 1.0f), &scale));
    RETURN_IF_FAIL(emit(n, OP_Div, NULL, 2, least, scale, NULL, &t));
    RETURN_IF_FAIL(emit(n, OP_Sub, NULL, 2, zero, t, NULL, &t));
    RETURN_IF_FAIL(emit(n, OP_Clip, NULL, 3, t, zero, top, &t));
    RETURN_IF_FAIL(emit(n, OP_Round, NULL, 1, t, NULL, NULL, &t));
    RETURN_IF_FAIL(emit(n, OP_Cast, "to=2", 1, t, NULL, NULL, &point));
    RETURN_IF_FAIL(emit(n, OP_QuantizeLinear, "axis=0 block_size=0", 3, x, scale, point, &y));

    struct ir_value *const made[3] = {y, scale, point};
    for (int i = 0; i < n->n_out && i < 3; i++)
        if (n->out[i])
            ir_replace_uses(n->graph, n->out[i], made[i]);
    ir_remove(n);
    return OK;
}

/* ---- operators on quantized tensors -------------------------------------------------------------- */

/* Operands come as (q, scale, zero) groups, scales one or one an entry of `axis`.  The
 * float operator gets the dequantized ones; its result is quantized with the last two
 * inputs. */
static struct status *dequantized_along(struct ir_node *n, int at, int axis,
                                        struct ir_value **out)
{
    struct ir_value *zero = ir_in(n, at + 2);

    if (!n->in[at] || !ir_in(n, at + 1))
        return FAIL_AT(n, INVALID, "input %d or its scale is left out", at);
    if (!zero)
        zero = zero_of(n->graph->compile, n->in[at]->dtype);
    return emit(n, OP_DequantizeLinear,
                arena_printf(n->graph->compile->perm, "axis=%d block_size=0", axis), 3,
                n->in[at], n->in[at + 1], zero, out);
}

static struct status *dequantized(struct ir_node *n, int at, struct ir_value **out)
{
    return dequantized_along(n, at, 0, out);
}

/* n becomes QuantizeLinear(real, scale, zero). */
static struct status *become_quantize(struct ir_node *n, struct ir_value *real,
                                      struct ir_value *scale, struct ir_value *zero,
                                      enum dtype dtype)
{
    n->op = OP_QuantizeLinear;
    n->attrs = NULL;
    ir_set_attr_int(n, "axis", 0);
    ir_set_attr_int(n, "block_size", 0);
    ir_set_input(n, X, real);
    ir_set_input(n, SCALE, scale);
    ir_set_input(n, ZERO, zero ? zero : zero_of(n->graph->compile, dtype));
    op_keep_inputs(n, 3);
    return OK;
}

/* The float operator inherits n's attributes and goes through its own import. */
static struct status *real_node(struct ir_node *n, enum ir_op op, int n_in,
                                struct ir_value *const *in, int opset, struct ir_value **out)
{
    struct ir_node *real = ir_node_create(n->graph, n, op, n->name, n_in, 1);

    for (int i = 0; i < n_in; i++)
        ir_set_input(real, i, in[i]);
    *out = ir_new_output(real, 0, NULL);
    real->attrs = n->attrs;
    n->attrs = NULL;
    if (op_info[op].import)
        RETURN_IF_FAIL(op_info[op].import(real, opset));
    if (!(*out)->replaced_by)
        return ir_infer(real);
    *out = (*out)->replaced_by;
    return OK;
}

static struct status *between(struct ir_node *n, enum ir_op op, int n_operands, int first,
                              int opset)
{
    const int result = first + 3 * n_operands; /* its scale */
    struct ir_value *in[2], *real;

    for (int i = 0; i < n_operands; i++)
        RETURN_IF_FAIL(dequantized(n, first + 3 * i, &in[i]));
    if (!ir_in(n, result))
        return FAIL_AT(n, INVALID, "the scale of the result is left out");
    const enum dtype dtype = n->in[first]->dtype;
    struct ir_value *const scale = n->in[result], *const zero = ir_in(n, result + 1);
    RETURN_IF_FAIL(real_node(n, op, n_operands, in, opset, &real));
    return become_quantize(n, real, scale, zero, dtype);
}

struct status *import_QLinearBinary(struct ir_node *n, int opset)
{
    return between(n, n->op == OP_QLinearAdd ? OP_Add : OP_Mul, 2, 0, opset);
}

struct status *import_QLinearUnary(struct ir_node *n, int opset)
{
    /* The rest of the name is the float operator's. */
    const enum ir_op op = op_from_name(op_info[n->op].name + strlen("QLinear"));

    if (ir_attr_int(n, "channels_last", 0))
        return FAIL_AT(n, UNSUPPORTED, "has channels last");
    ir_remove_attr(n, "channels_last");
    const int real_opset = (int)ir_attr_int(n, "opset", opset);
    ir_remove_attr(n, "opset");
    if (op == OP_NONE)
        return FAIL_AT(n, UNSUPPORTED, "has no float operator");
    return between(n, op, 1, 0, real_opset);
}

/* QLinearConcat(scale, zero, q, scale, zero, q, scale, zero ...). */
struct status *import_QLinearConcat(struct ir_node *n, int opset)
{
    const int n_parts = (n->n_in - 2) / 3;
    struct ir_value **in = arena_new_array(n->graph->compile->perm, struct ir_value *,
                                           n_parts + 1);
    struct ir_value *real;

    if (n->n_in < 5 || n->n_in != 2 + 3 * n_parts || !n->in[0])
        return FAIL_AT(n, INVALID, "has %d inputs", n->n_in);
    for (int i = 0; i < n_parts; i++)
        RETURN_IF_FAIL(dequantized(n, 2 + 3 * i, &in[i]));
    struct ir_value *const scale = n->in[0], *const zero = n->in[1];
    const enum dtype dtype = n->in[2]->dtype;
    RETURN_IF_FAIL(real_node(n, OP_Concat, n_parts, in, opset, &real));
    return become_quantize(n, real, scale, zero, dtype);
}

/* QLinearWhere(condition, x group, y group, z scale, z zero). */
struct status *import_QLinearWhere(struct ir_node *n, int opset)
{
    struct ir_value *in[3] = {n->in[0]}, *real;

    if (n->n_in != 9)
        return FAIL_AT(n, INVALID, "has %d inputs but needs 9", n->n_in);
    RETURN_IF_FAIL(dequantized(n, 1, &in[1]));
    RETURN_IF_FAIL(dequantized(n, 4, &in[2]));
    struct ir_value *const scale = n->in[7], *const zero = n->in[8];
    const enum dtype dtype = n->in[1]->dtype;
    RETURN_IF_FAIL(real_node(n, OP_Where, 3, in, opset, &real));
    return become_quantize(n, real, scale, zero, dtype);
}

/* QGemm(a group, b group, c, y scale, y zero): b may have a scale per column; c counts in
 * steps of both scales; without a scale for y the result stays float. */
struct status *import_QGemm(struct ir_node *n, int opset)
{
    enum { C = 6, Y_SCALE, Y_ZERO };
    struct ir_value *in[3] = {0}, *step, *real;

    if (n->n_in < 6)
        return FAIL_AT(n, INVALID, "has %d inputs", n->n_in);
    RETURN_IF_FAIL(dequantized(n, 0, &in[0]));
    RETURN_IF_FAIL(dequantized_along(n, 3, ir_attr_int(n, "transB", 0) ? 0 : 1, &in[1]));
    if (ir_in(n, C)) {
        struct compile *c = n->graph->compile;
        const int last = n->in[C]->rank > 0 ? n->in[C]->rank - 1 : 0;

        RETURN_IF_FAIL(emit(n, OP_Mul, NULL, 2, n->in[1], n->in[4], NULL, &step));
        RETURN_IF_FAIL(emit(n, OP_DequantizeLinear,
                            arena_printf(c->perm, "axis=%d block_size=0", last), 3, n->in[C],
                            step, zero_of(c, n->in[C]->dtype), &in[2]));
    }
    struct ir_value *const scale = ir_in(n, Y_SCALE), *const zero = ir_in(n, Y_ZERO);
    const enum dtype dtype = n->in[0]->dtype;
    RETURN_IF_FAIL(real_node(n, OP_Gemm, in[2] ? 3 : 2, in, opset, &real));
    if (scale)
        return become_quantize(n, real, scale, zero, dtype);
    n->op = OP_Identity;
    ir_set_input(n, 0, real);
    op_keep_inputs(n, 1);
    return OK;
}
