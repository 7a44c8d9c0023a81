/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators: out[i] depends on the inputs' [i] after broadcasting.
 *
 * Most are one row of `simple` below: which element kernel, which attributes are its
 * constants.  Lists of operands (Max, Min, Sum, Mean) become chains of two-operand
 * nodes when they are imported, and attributes that later became inputs (Clip) are
 * inputs. */
#include <string.h>

#include "frontend/op_help.h"

/* An attribute that is a constant of the kernel, with ONNX's default. */
struct constant {
    const char *attr;
    float otherwise;
};

static const struct {
    enum ir_op op;
    const char *kernel;
    struct constant f[2];
} simple[] = {
    {OP_Abs, "abs", {{0}}},
    {OP_Acos, "acos", {{0}}},
    {OP_Acosh, "acosh", {{0}}},
    {OP_Add, "add", {{0}}},
    {OP_And, "and", {{0}}},
    {OP_Asin, "asin", {{0}}},
    {OP_Asinh, "asinh", {{0}}},
    {OP_Atan, "atan", {{0}}},
    {OP_Atanh, "atanh", {{0}}},
    {OP_BitwiseAnd, "bit_and", {{0}}},
    {OP_BitwiseNot, "bit_not", {{0}}},
    {OP_BitwiseOr, "bit_or", {{0}}},
    {OP_BitwiseXor, "bit_xor", {{0}}},
    {OP_Ceil, "ceil", {{0}}},
    {OP_Celu, "celu", {{"alpha", 1.0f}}},
    {OP_Cos, "cos", {{0}}},
    {OP_Cosh, "cosh", {{0}}},
    {OP_Div, "div", {{0}}},
    {OP_Elu, "elu", {{"alpha", 1.0f}}},
    {OP_Equal, "equal", {{0}}},
    {OP_Erf, "erf", {{0}}},
    {OP_Exp, "exp", {{0}}},
    {OP_Floor, "floor", {{0}}},
    {OP_Greater, "greater", {{0}}},
    {OP_GreaterOrEqual, "greater_or_equal", {{0}}},
    {OP_HardSigmoid, "hard_sigmoid", {{"alpha", 0.2f}, {"beta", 0.5f}}},
    {OP_HardSwish, "hard_swish", {{0}}},
    {OP_IsInf, "isinf", {{"detect_negative", 1.0f}, {"detect_positive", 1.0f}}},
    {OP_IsNaN, "isnan", {{0}}},
    {OP_LeakyRelu, "leaky_relu", {{"alpha", 0.01f}}},
    {OP_Less, "less", {{0}}},
    {OP_LessOrEqual, "less_or_equal", {{0}}},
    {OP_Log, "log", {{0}}},
    {OP_Max, "max", {{0}}},
    {OP_Min, "min", {{0}}},
    {OP_Mish, "mish", {{0}}},
    {OP_Mul, "mul", {{0}}},
    {OP_Neg, "neg", {{0}}},
    {OP_Not, "not", {{0}}},
    {OP_Or, "or", {{0}}},
    {OP_PRelu, "prelu", {{0}}},
    {OP_Reciprocal, "reciprocal", {{0}}},
    {OP_Relu, "relu", {{0}}},
    {OP_Round, "round", {{0}}},
    {OP_Selu, "selu", {{"alpha", 1.67326319f}, {"gamma", 1.05070102f}}},
    {OP_Shrink, "shrink", {{"lambd", 0.5f}, {"bias", 0.0f}}},
    {OP_Sigmoid, "sigmoid", {{0}}},
    {OP_Sign, "sign", {{0}}},
    {OP_Sin, "sin", {{0}}},
    {OP_Sinh, "sinh", {{0}}},
    {OP_Softplus, "softplus", {{0}}},
    {OP_Softsign, "softsign", {{0}}},
    {OP_Sqrt, "sqrt", {{0}}},
    {OP_Sub, "sub", {{0}}},
    {OP_Tan, "tan", {{0}}},
    {OP_Tanh, "tanh", {{0}}},
    {OP_ThresholdedRelu, "thresholded_relu", {{"alpha", 1.0f}}},
    {OP_Where, "where", {{0}}},
    {OP_Xor, "xor", {{0}}},
};

static float constant_of(const struct ir_node *n, const struct constant *c)
{
    const struct ir_attr *a = ir_attr(n, c->attr);

    return !a ? c->otherwise : a->kind == ATTR_INT ? (float)a->i : a->f;
}

static struct status *lower_as(struct lowering *lw, const struct ir_node *n,
                               const char *kernel, const float *f)
{
    return lower_eltwise(lw, n, kernel, n->in[n->n_in - 1]->dtype, n->n_in, n->in,
                         n->out[0], f);
}

struct status *lower_Elementwise(struct lowering *lw, const struct ir_node *n)
{
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        float f[4] = {0};

        if (simple[i].op != n->op)
            continue;
        for (int k = 0; k < 2 && simple[i].f[k].attr; k++)
            f[k] = constant_of(n, &simple[i].f[k]);
        return lower_as(lw, n, simple[i].kernel, f);
    }
    return FAIL_AT(n, INTERNAL, "has no element kernel");
}

/* ---- shapes ---------------------------------------------------------------------- */

struct status *shape_Same(struct ir_node *n)
{
    op_set_out(n, 0, n->in[0]->dtype, n->in[0]->rank, n->in[0]->dim);
    n->out[0]->dynamic = n->in[0]->dynamic;
    return OK;
}

struct status *shape_SameBool(struct ir_node *n)
{
    RETURN_IF_FAIL(shape_Same(n));
    n->out[0]->dtype = DT_bool;
    return OK;
}

static struct status *stretch(const struct ir_node *n, const struct ir_value *v, int rank,
                              int64_t *dim)
{
    for (int d = 0; d < v->rank; d++) {
        int64_t *to = &dim[rank - v->rank + d];

        if (*to == 1)
            *to = v->dim[d];
        else if (v->dim[d] != 1 && v->dim[d] != *to)
            return FAIL_AT(n, INVALID, "input '%s' has %lld where another input has %lld",
                           v->name, (long long)v->dim[d], (long long)*to);
    }
    return OK;
}

struct status *op_broadcast_out(struct ir_node *n, enum dtype dtype)
{
    int64_t dim[IR_MAX_RANK];
    int rank = 0;
    bool dynamic = false;

    for (int i = 0; i < n->n_in; i++) {
        rank = n->in[i]->rank > rank ? n->in[i]->rank : rank;
        dynamic |= n->in[i]->dynamic;
    }
    for (int d = 0; d < rank; d++)
        dim[d] = 1;
    for (int i = 0; i < n->n_in; i++)
        RETURN_IF_FAIL(stretch(n, n->in[i], rank, dim));
    op_set_out(n, 0, dtype, rank, dim);
    n->out[0]->dynamic = dynamic;
    return OK;
}

struct status *shape_Broadcast(struct ir_node *n)
{
    if (n->n_in != 2 || !n->in[1])
        return FAIL_AT(n, INVALID, "does not have two operands");
    RETURN_IF_FAIL(op_same_dtype(n, 0, 1));
    return op_broadcast_out(n, n->in[0]->dtype);
}

struct status *shape_BroadcastBool(struct ir_node *n)
{
    RETURN_IF_FAIL(shape_Broadcast(n));
    n->out[0]->dtype = DT_bool;
    return OK;
}

struct status *shape_Where(struct ir_node *n)
{
    if (n->in[0]->dtype != DT_bool)
        return FAIL_AT(n, INVALID, "condition '%s' is %s but must be bool", n->in[0]->name,
                       dtype_info[n->in[0]->dtype].name);
    RETURN_IF_FAIL(op_same_dtype(n, 1, 2));
    return op_broadcast_out(n, n->in[1]->dtype);
}

/* ---- broadcasting before opset 7 -------------------------------------------------- */

/* Give input i a shape that ends in n_ones more ones. */
static struct status *append_ones(struct ir_node *n, int i, int n_ones)
{
    struct ir_value *v = n->in[i], *out;
    int64_t dim[IR_MAX_RANK];

    if (n_ones <= 0)
        return OK;
    if (v->rank + n_ones > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "has more than %d dims", IR_MAX_RANK);
    for (int d = 0; d < v->rank + n_ones; d++)
        dim[d] = d < v->rank ? v->dim[d] : 1;
    RETURN_IF_FAIL(op_reshaped(n, v, v->rank + n_ones, dim, &out));
    ir_set_input(n, i, out);
    return OK;
}

/* Opset < 7: with broadcast=1, the dims of B line up with A's from `axis` on. */
struct status *import_Broadcast(struct ir_node *n, int opset)
{
    ir_remove_attr(n, "consumed_inputs");
    if (opset >= 7 || n->n_in != 2)
        return OK;

    const struct ir_value *a = n->in[0], *b = n->in[1];
    const int64_t broadcast = ir_attr_int(n, "broadcast", 0);
    int64_t axis = ir_attr_int(n, "axis", a->rank - b->rank);

    ir_remove_attr(n, "broadcast");
    ir_remove_attr(n, "axis");
    if (!broadcast)
        return OK;
    if (axis < 0)
        axis += a->rank;
    if (axis < 0 || axis + b->rank > a->rank)
        return FAIL_AT(n, INVALID, "cannot lay rank %d over rank %d from axis %lld",
                       b->rank, a->rank, (long long)axis);
    return append_ones(n, 1, a->rank - b->rank - (int)axis);
}

struct status *import_Unary(struct ir_node *n, int opset)
{
    (void)opset;
    ir_remove_attr(n, "consumed_inputs");
    return OK;
}

/* Opset < 7: a slope per channel, channels are dim 1. */
struct status *import_PRelu(struct ir_node *n, int opset)
{
    ir_remove_attr(n, "consumed_inputs");
    if (opset >= 7 || n->n_in != 2 || n->in[1]->rank != 1 || ir_count(n->in[1]) == 1)
        return OK;
    return append_ones(n, 1, n->in[0]->rank - 2);
}

/* PRelu stretches the slope only. */
struct status *shape_PRelu(struct ir_node *n)
{
    RETURN_IF_FAIL(shape_Broadcast(n));
    if (!ir_same_shape(n->out[0], n->in[0]))
        return FAIL_AT(n, INVALID, "slope '%s' does not fit into '%s'", n->in[1]->name,
                       n->in[0]->name);
    return OK;
}

/* ---- lists of operands -------------------------------------------------------------- */

/* in[0] op in[1] op ... as nodes of two operands; the last is n itself. */
static struct status *chain(struct ir_node *n, enum ir_op op)
{
    struct ir_value *sum = n->in[0];

    for (int i = 1; i + 1 < n->n_in; i++) {
        struct ir_value *in[2] = {sum, n->in[i]};
        RETURN_IF_FAIL(ir_emit(n->graph, n, op, NULL, 2, in, NULL, &sum));
    }
    struct ir_value *last = n->in[n->n_in - 1];
    n->op = op;
    ir_set_input(n, 0, sum);
    ir_set_input(n, 1, last);
    op_keep_inputs(n, 2);
    return OK;
}

static struct status *import_list(struct ir_node *n, enum ir_op op)
{
    ir_remove_attr(n, "consumed_inputs");
    if (n->n_in == 1) {
        n->op = OP_Identity;
        return OK;
    }
    return chain(n, op);
}

struct status *import_Max(struct ir_node *n, int opset)
{
    (void)opset;
    return import_list(n, OP_Max);
}

struct status *import_Min(struct ir_node *n, int opset)
{
    (void)opset;
    return import_list(n, OP_Min);
}

struct status *import_Sum(struct ir_node *n, int opset)
{
    (void)opset;
    return import_list(n, OP_Add);
}

/* The sum of the operands divided by how many there are. */
struct status *import_Mean(struct ir_node *n, int opset)
{
    struct ir_value *sum = n->in[0];

    (void)opset;
    ir_remove_attr(n, "consumed_inputs");
    for (int i = 1; i < n->n_in; i++) {
        struct ir_value *in[2] = {sum, n->in[i]};
        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Add, NULL, 2, in, NULL, &sum));
    }
    struct ir_value *count = ir_const_f32(n->graph->compile, (float)n->n_in);
    n->op = OP_Div;
    ir_set_input(n, 0, sum);
    ir_set_input(n, 1, count);
    op_keep_inputs(n, 2);
    return op_cast_input(n, 1, sum->dtype);
}

/* ---- Cast --------------------------------------------------------------------------- */

struct status *import_Cast(struct ir_node *n, int opset)
{
    static const struct { const char *name; enum dtype dtype; } names[] = {
        {"FLOAT", DT_f32}, {"UINT8", DT_u8}, {"INT8", DT_i8}, {"UINT16", DT_u16},
        {"INT16", DT_i16}, {"INT32", DT_i32}, {"INT64", DT_i64}, {"BOOL", DT_bool},
        {"FLOAT16", DT_f16}, {"DOUBLE", DT_f64}, {"UINT32", DT_u32}, {"UINT64", DT_u64},
    };
    const struct ir_attr *to = ir_attr(n, "to");

    (void)opset;
    ir_remove_attr(n, "saturate"); /* matters for 8-bit floats only */
    if (!to || to->kind != ATTR_STRING)
        return OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i].name, to->s)) {
            ir_set_attr_int(n, "to", dtype_info[names[i].dtype].onnx);
            return OK;
        }
    return FAIL_AT(n, UNSUPPORTED, "casts to %s", to->s);
}

struct status *import_CastLike(struct ir_node *n, int opset)
{
    (void)opset;
    if (n->n_in != 2)
        return FAIL_AT(n, INVALID, "has %d inputs but needs 2", n->n_in);
    ir_remove_attr(n, "saturate");
    ir_set_attr_int(n, "to", dtype_info[n->in[1]->dtype].onnx);
    n->op = OP_Cast;
    op_keep_inputs(n, 1);
    return OK;
}

struct status *shape_Cast(struct ir_node *n)
{
    const int64_t to = ir_attr_int(n, "to", 0);
    const enum dtype dtype = to > 0 && to < 1000 ? dtype_from_onnx((int)to) : DT_NONE;

    if (dtype == DT_NONE)
        return FAIL_AT(n, UNSUPPORTED, "casts to ONNX type %lld", (long long)to);
    RETURN_IF_FAIL(shape_Same(n));
    n->out[0]->dtype = dtype;
    return OK;
}

struct status *lower_Cast(struct lowering *lw, const struct ir_node *n)
{
    const enum dtype from = n->in[0]->dtype, to = n->out[0]->dtype;
    char op[32] = "id";

    if (from != to) {
        strcpy(op, "cast_");
        strcat(op, dtype_info[from].name);
    }
    return lower_eltwise(lw, n, op, to, 1, n->in, n->out[0], NULL);
}

/* ---- Clip ---------------------------------------------------------------------------- */

enum { CLIP_X, CLIP_MIN, CLIP_MAX };

static struct status *limit_as_input(struct ir_node *n, int i, const char *attr)
{
    const struct ir_attr *limit = ir_attr(n, attr);

    if (!limit)
        return OK;
    ir_set_input(n, i, ir_const_f32(n->graph->compile, limit->f));
    ir_remove_attr(n, attr);
    return op_cast_input(n, i, n->in[CLIP_X]->dtype);
}

struct status *import_Clip(struct ir_node *n, int opset)
{
    ir_remove_attr(n, "consumed_inputs");
    if (opset >= 11)
        return OK;
    RETURN_IF_FAIL(limit_as_input(n, CLIP_MIN, "min"));
    return limit_as_input(n, CLIP_MAX, "max");
}

struct status *shape_Clip(struct ir_node *n)
{
    for (int i = CLIP_MIN; i <= CLIP_MAX; i++) {
        if (ir_in(n, i) && ir_count(n->in[i]) != 1)
            return FAIL_AT(n, INVALID, "limit '%s' is not a single number", n->in[i]->name);
        RETURN_IF_FAIL(op_same_dtype(n, CLIP_X, i));
    }
    return shape_Same(n);
}

bool op_clip_limits(const struct ir_node *n, float *lo, float *hi)
{
    double min = -__builtin_inf(), max = __builtin_inf();

    if (ir_in(n, CLIP_MIN) && !ir_const_scalar(n->in[CLIP_MIN], &min))
        return false;
    if (ir_in(n, CLIP_MAX) && !ir_const_scalar(n->in[CLIP_MAX], &max))
        return false;
    *hi = (float)max;
    *lo = min < max ? (float)min : *hi;
    return true;
}

struct status *lower_Clip(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *lo = ir_in(n, CLIP_MIN), *hi = ir_in(n, CLIP_MAX);
    struct ir_value *in[3] = {n->in[CLIP_X], lo ? lo : hi, hi};
    const enum dtype dtype = in[0]->dtype;
    float f[4] = {0};

    if (dtype == DT_f32 && op_clip_limits(n, &f[0], &f[1]))
        return lower_eltwise(lw, n, "clip", dtype, 1, in, n->out[0], f);
    const char *op = lo && hi ? "clamp" : lo ? "max" : hi ? "min" : "id";
    return lower_eltwise(lw, n, op, dtype, 1 + !!lo + !!hi, in, n->out[0], NULL);
}

/* ---- Pow ------------------------------------------------------------------------------- */

static bool is_float(enum dtype t)
{
    return t == DT_f32 || t == DT_f64 || t == DT_f16 || t == DT_bf16;
}

/* The exponent gets the base's type; integer to a float power goes by float64. */
struct status *import_Pow(struct ir_node *n, int opset)
{
    RETURN_IF_FAIL(import_Broadcast(n, opset));
    if (n->n_in != 2 || n->in[0]->dtype == n->in[1]->dtype)
        return OK;

    const enum dtype base = n->in[0]->dtype;
    if (is_float(base) || !is_float(n->in[1]->dtype))
        return op_cast_input(n, 1, base);

    struct ir_value *power;
    RETURN_IF_FAIL(op_cast_input(n, 0, DT_f64));
    RETURN_IF_FAIL(op_cast_input(n, 1, DT_f64));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Pow, NULL, 2, n->in, NULL, &power));
    n->op = OP_Cast;
    op_keep_inputs(n, 1);
    ir_set_input(n, 0, power);
    ir_set_attr_int(n, "to", dtype_info[base].onnx);
    return OK;
}

/* Squares and cubes are products: faster, and exact where pow is. */
struct status *lower_Pow(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *x = n->in[0], *y = n->out[0];
    double exponent;

    if (!ir_const_scalar(n->in[1], &exponent) || !ir_same_shape(x, y)
        || (exponent != 2 && exponent != 3) || !is_float(x->dtype))
        return lower_as(lw, n, "pow", NULL);
    RETURN_IF_FAIL(lower_eltwise(lw, n, "mul", x->dtype, 2,
                                 (struct ir_value *[]){x, x}, y, NULL));
    if (exponent == 3)
        return lower_eltwise(lw, n, "mul", x->dtype, 2, (struct ir_value *[]){y, x}, y, NULL);
    return OK;
}

/* ---- the rest ---------------------------------------------------------------------------- */

struct status *shape_BitShift(struct ir_node *n)
{
    const char *direction = ir_attr_str(n, "direction", "");

    if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
        return FAIL_AT(n, INVALID, "direction is '%s', not LEFT or RIGHT", direction);
    return shape_Broadcast(n);
}

struct status *lower_BitShift(struct lowering *lw, const struct ir_node *n)
{
    const bool left = !strcmp(ir_attr_str(n, "direction", ""), "LEFT");

    return lower_as(lw, n, left ? "shl" : "shr", NULL);
}

struct status *lower_Gelu(struct lowering *lw, const struct ir_node *n)
{
    const bool fast = !strcmp(ir_attr_str(n, "approximate", "none"), "tanh");

    return lower_as(lw, n, fast ? "gelu_tanh" : "gelu", NULL);
}

struct status *lower_Mod(struct lowering *lw, const struct ir_node *n)
{
    const bool c_like = ir_attr_int(n, "fmod", 0) || is_float(n->in[0]->dtype);

    return lower_as(lw, n, c_like ? "fmod" : "mod", NULL);
}
