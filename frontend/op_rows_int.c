/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and normalizations of rows of 8-bit codes, as form_integers writes them; the
 * arithmetic is in docs/numerics.md.
 *
 *     y = QLinearSoftmax(x, table, y_scale, y_zero[, limits]) {axis}
 *     y = QLinearLayerNormalization(x, x_scale, x_zero, gamma, beta, y_zero[, limits])
 *             {axis epsilon}               QLinearRMSNormalization alike
 *
 * table u32[256] holds rne(exp(-s_x d) 2^24), d codes below the largest of a row; x's
 * scale is in it, and its zero point does not matter.  gamma and beta (which may be left
 * out) have one entry per element of a row, in steps of y.  limits i32[2] as QLinearConv
 * has them (op_conv.c).
 *
 * ONNX files have another QLinearSoftmax (op_quant.c) and none of the others. */
#include "frontend/op_help.h"

enum { SIDE = 64 }; /* rows at a time: k_rows_int.c */
enum { X, TABLE, SY_SCALE, SY_ZERO, SLIMITS };
enum { X_SCALE = 1, X_ZERO, GAMMA, BETA, Y_ZERO, LIMITS };

struct status *import_FormedOnly(struct ir_node *n, int opset)
{
    (void)opset;
    return FAIL_AT(n, UNSUPPORTED, "is no operator of ONNX");
}

static struct status *set_codes(struct ir_node *n, int y_zero)
{
    if (!op_is_byte(n->in[X]->dtype) || !ir_in(n, y_zero)
        || !op_is_byte(n->in[y_zero]->dtype))
        return FAIL_AT(n, INVALID, "its operands are not 8-bit integers");
    RETURN_IF_FAIL(op_check_one(n, y_zero, n->in[y_zero]->dtype));
    RETURN_IF_FAIL(op_check_limits(n, y_zero + 1));
    op_set_out(n, 0, n->in[y_zero]->dtype, n->in[X]->rank, n->in[X]->dim);
    return OK;
}

/* ---- Softmax ------------------------------------------------------------------ */

struct status *shape_QLinearSoftmax(struct ir_node *n)
{
    const struct ir_value *table = n->in[TABLE];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), n->in[X]->rank, &axis));
    if (table->dtype != DT_u32 || ir_count(table) != 256)
        return FAIL_AT(n, INVALID, "its table '%s' is not u32[256]", table->name);
    RETURN_IF_FAIL(op_check_one(n, SY_SCALE, DT_f32));
    return set_codes(n, SY_ZERO);
}

struct status *lower_QLinearSoftmax(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));

    const struct k_rows p = {.n = x->dim[axis],
                             .inner =
                                 op_product(x->rank - axis - 1, x->dim + axis + 1),
                             .has_limits = ir_in(n, SLIMITS) != NULL};
    struct kcall *call = op_call_quant(lw, "softmax_quant", n, &p,
                                       p.n ? op_product(axis, x->dim) * p.inner : 0);

    for (int i = X; i <= SLIMITS; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    lower_scratch(call, p.n * (p.inner == 1 ? 1 : SIDE) * (int64_t)sizeof(uint32_t));
    return OK;
}

/* ---- LayerNormalization, RMSNormalization ------------------------------------- */

/* Elements of a row. */
static struct status *read_row(const struct ir_node *n, int *axis, int64_t *out)
{
    const struct ir_value *x = n->in[X];

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, axis));
    *out = op_product(x->rank - *axis, x->dim + *axis);
    return OK;
}

struct status *shape_QLinearLayerNormalization(struct ir_node *n)
{
    int64_t row;
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_row(n, &axis, &row));
    if (!ir_in(n, X_ZERO) || !ir_in(n, GAMMA) || row >= 1 << 23)
        return FAIL_AT(n, INVALID, "lacks an operand, or has rows of %lld elements",
                       (long long)row);
    RETURN_IF_FAIL(op_check_one(n, X_SCALE, DT_f32));
    RETURN_IF_FAIL(op_check_one(n, X_ZERO, n->in[X]->dtype));
    for (int i = GAMMA; i <= BETA; i++) {
        RETURN_IF_FAIL(op_check_dtype(n, i, DT_f32));
        if (ir_in(n, i) && ir_count(n->in[i]) != row)
            return FAIL_AT(n, INVALID,
                           "'%s' does not have one entry per element of a row",
                           n->in[i]->name);
    }
    return set_codes(n, Y_ZERO);
}

static struct status *lower_norm(struct lowering *lw, const struct ir_node *n,
                                 const char *kernel)
{
    struct k_norm p = {.cycle = 1,
                       .run = 1,
                       .has_scale = 1,
                       .has_bias = ir_in(n, BETA) != NULL,
                       .has_limits = ir_in(n, LIMITS) != NULL,
                       .eps = ir_attr_float(n, "epsilon", 1e-5f)};
    int axis;

    RETURN_IF_FAIL(read_row(n, &axis, &p.n));

    struct kcall *call = op_call_quant(lw, kernel, n, &p,
                                       p.n ? op_product(axis, n->in[X]->dim) : 0);

    for (int i = X; i <= Y_ZERO; i++)
        lower_in(call, ir_in(n, i));
    if (p.has_limits)
        lower_in(call, n->in[LIMITS]);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *lower_QLinearLayerNormalization(struct lowering *lw,
                                               const struct ir_node *n)
{
    return lower_norm(lw, n, "layer_norm_quant");
}

struct status *lower_QLinearRMSNormalization(struct lowering *lw,
                                             const struct ir_node *n)
{
    return lower_norm(lw, n, "rms_norm_quant");
}
