/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that make a tensor out of a few numbers.  The numbers decide the shape, so
 * they must be known when compiling, and then so are the contents:
 *
 *     ConstantOfShape {shape value}      stays a node: its contents may be large
 *     EyeLike, Range                     become constants */
#include <string.h>

#include "frontend/op_help.h"
#include "kernels/math.h"

enum { MAX_MADE = 1 << 24 }; /* elements */

static struct status *become_const(struct ir_node *n, enum dtype dtype, int rank,
                                   const int64_t *dim, const void *data)
{
    struct ir_value *c = ir_const_ref(n->graph->compile, NULL, dtype, rank, dim, data);

    ir_replace_uses(n->graph, n->out[0], c);
    ir_remove(n);
    return OK;
}

/* Element i of an array of `dtype` gets this value. */
static void put(void *data, enum dtype dtype, int64_t i, double value)
{
    switch (dtype) {
    case DT_f64: ((double *)data)[i] = value; break;
    case DT_f32: ((float *)data)[i] = (float)value; break;
    case DT_u8: case DT_bool: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case DT_i8: ((int8_t *)data)[i] = (int8_t)value; break;
    case DT_u16: ((uint16_t *)data)[i] = (uint16_t)value; break;
    case DT_i16: ((int16_t *)data)[i] = (int16_t)value; break;
    case DT_u32: ((uint32_t *)data)[i] = (uint32_t)value; break;
    case DT_i32: ((int32_t *)data)[i] = (int32_t)value; break;
    case DT_u64: ((uint64_t *)data)[i] = (uint64_t)value; break;
    case DT_i64: ((int64_t *)data)[i] = (int64_t)value; break;
    default: break;
    }
}

static bool can_put(enum dtype dtype)
{
    return dtype != DT_NONE && dtype != DT_f16 && dtype != DT_bf16 && dtype != DT_u4
        && dtype != DT_i4;
}

/* `dtype` from an attribute that holds an ONNX type number. */
static struct status *dtype_attr(const struct ir_node *n, const char *name,
                                 enum dtype otherwise, enum dtype *out)
{
    const int64_t onnx = ir_attr_int(n, name, 0);

    *out = onnx > 0 && onnx < 1000 ? dtype_from_onnx((int)onnx) : DT_NONE;
    if (!ir_attr(n, name))
        *out = otherwise;
    if (!can_put(*out))
        return FAIL_AT(n, UNSUPPORTED, "makes elements of ONNX type %lld", (long long)onnx);
    return OK;
}

static struct status *number(struct ir_node *n, int i, const char *what, double *out)
{
    const struct ir_value *v = ir_in(n, i);

    if (!v)
        return FAIL_AT(n, INVALID, "its %s is left out", what);
    if (!v->data)
        return FAIL_AT(n, UNSUPPORTED,
                       "its %s, input '%s', must be known when compiling (--freeze sets it)",
                       what, v->name);
    if (!ir_const_scalar(v, out))
        return FAIL_AT(n, INVALID, "its %s is not one number", what);
    return OK;
}

/* ---- ConstantOfShape ------------------------------------------------------------------------- */

struct status *import_ConstantOfShape(struct ir_node *n, int opset)
{
    const int64_t *dim;
    int rank;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 0, "shape", &dim, &rank));
    op_keep_inputs(n, 0);
    ir_set_attr_ints(n, "shape", rank, dim);
    return OK;
}

struct status *shape_ConstantOfShape(struct ir_node *n)
{
    const struct ir_attr *value = ir_attr(n, "value");
    int rank;
    const int64_t *dim = ir_attr_ints(n, "shape", &rank);

    if (rank > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", rank, IR_MAX_RANK);
    for (int d = 0; d < rank; d++)
        if (dim[d] < 0)
            return FAIL_AT(n, INVALID, "shape has the entry %lld", (long long)dim[d]);
    if (value && (value->kind != ATTR_TENSOR || !value->tensor->data
                  || ir_count(value->tensor) != 1))
        return FAIL_AT(n, INVALID, "its value is not one element");
    op_set_out(n, 0, value ? value->tensor->dtype : DT_f32, rank, dim);
    return OK;
}

struct status *lower_ConstantOfShape(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_attr *value = ir_attr(n, "value");
    const int bytes = dtype_info[n->out[0]->dtype].bytes;
    uint64_t bits = 0;

    if (value)
        memcpy(&bits, value->tensor->data, (size_t)bytes);
    op_fill(lw, bytes, ir_count(n->out[0]), bits, op_value(n->out[0]));
    return OK;
}

/* ---- EyeLike, Range --------------------------------------------------------------------------- */

struct status *import_EyeLike(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t k = ir_attr_int(n, "k", 0);
    enum dtype dtype;

    (void)opset;
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, 2));
    RETURN_IF_FAIL(dtype_attr(n, "dtype", x->dtype, &dtype));
    if (ir_count(x) > MAX_MADE)
        return FAIL_AT(n, UNSUPPORTED, "makes more than %d elements", MAX_MADE);
    void *data = arena_alloc_array(n->graph->compile->perm, (size_t)ir_count(x) + 1,
                                   (size_t)dtype_info[dtype].bytes);
    for (int64_t row = 0; row < x->dim[0]; row++)
        if (k > -x->dim[0] && k < x->dim[1] && row + k >= 0 && row + k < x->dim[1])
            put(data, dtype, row * x->dim[1] + row + k, 1);
    return become_const(n, dtype, 2, x->dim, data);
}

/* How many steps of `delta` start before `limit`; -1 for too many. */
static int64_t range_count(double start, double limit, double delta)
{
    const double n = math_ceil64((limit - start) / delta);

    return n <= 0 ? 0 : n <= (double)MAX_MADE ? (int64_t)n : -1;
}

struct status *import_Range(struct ir_node *n, int opset)
{
    static const char *const what[3] = {"start", "limit", "delta"};
    const enum dtype dtype = n->in[0]->dtype;
    double v[3];

    (void)opset;
    for (int i = 0; i < 3; i++) {
        RETURN_IF_FAIL(number(n, i, what[i], &v[i]));
        RETURN_IF_FAIL(op_same_dtype(n, 0, i));
    }
    if (!can_put(dtype))
        return op_no_kernel(n, dtype);
    if (v[2] == 0 || v[0] != v[0] || v[1] != v[1] || v[2] != v[2])
        return FAIL_AT(n, INVALID, "does not step from start to limit");
    const int64_t count = range_count(v[0], v[1], v[2]);
    if (count < 0)
        return FAIL_AT(n, UNSUPPORTED, "makes more than %d elements", MAX_MADE);
    void *data = arena_alloc_array(n->graph->compile->perm, (size_t)count + 1,
                                   (size_t)dtype_info[dtype].bytes);
    for (int64_t i = 0; i < count; i++)
        put(data, dtype, i, v[0] + (double)i * v[2]);
    return become_const(n, dtype, 1, &count, data);
}
