/* SPDX-License-Identifier: Apache-2.0 */
/* MaxPool, AveragePool, LpPool: windows as in op_window.h, and
 *
 *     ceil_mode           the last, partly empty window counts
 *     count_include_pad   AveragePool: padding counts in the divisor
 *     storage_order       MaxPool: indices count with the first spatial dim fastest
 *     p                   LpPool: at least 1
 *
 * GlobalAveragePool, GlobalMaxPool and GlobalLpPool are imported as reductions.
 *
 *     y = QLinearAveragePool(x, x_scale, x_zero, y_scale, y_zero[, limits])
 *
 * of 8-bit codes, is imported between DequantizeLinear and QuantizeLinear (op_quant.c)
 * and comes back from form_integers; limits i32[2] as QLinearConv has them (op_conv.c).
 */
#include <stdio.h>
#include <string.h>

#include "frontend/op_help.h"
#include "frontend/op_window.h"

static struct status *import_pool(struct ir_node *n)
{
    return window_import(n, NULL);
}

struct status *import_MaxPool(struct ir_node *n, int opset)
{
    (void)opset;
    return import_pool(n);
}

struct status *import_AveragePool(struct ir_node *n, int opset)
{
    (void)opset;
    return import_pool(n);
}

struct status *import_LpPool(struct ir_node *n, int opset)
{
    if (opset < 2) { /* p was a float */
        const float p = ir_attr_float(n, "p", 2);
        if (!(p >= 1 && p <= 64) || p != (float)(int)p)
            return FAIL_AT(n, UNSUPPORTED, "p is %g", (double)p);
        ir_set_attr_int(n, "p", (int)p);
    }
    return import_pool(n);
}

static bool ceil_mode(const struct ir_node *n)
{
    return ir_attr_int(n, "ceil_mode", 0) != 0;
}

/* Windows have no weights whose size would bound them. */
enum { MOST_TAPS = 1 << 22 };

static struct status *shape_pool(struct ir_node *n, enum dtype dtype)
{
    struct window w;
    int64_t spatial[3], dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(window_read(n, n->in[0], NULL, &w));
    if (op_product(3, w.kernel) > MOST_TAPS)
        return FAIL_AT(n, UNSUPPORTED, "has windows of %lld elements",
                       (long long)op_product(3, w.kernel));
    for (int d = 0; d < 3; d++)
        RETURN_IF_FAIL(window_out(n, &w, d, ceil_mode(n), &spatial[d]));
    const int rank = window_dims(&w, w.channels, spatial, dim);
    op_set_out(n, 0, dtype, rank, dim);
    op_set_out(n, 1, DT_i64, rank, dim);
    return OK;
}

static struct status *check_float(const struct ir_node *n)
{
    const enum dtype t = n->in[0]->dtype;

    if (t == DT_f32 || t == DT_f64 || t == DT_f16 || t == DT_bf16)
        return OK;
    return FAIL_AT(n, INVALID, "is not defined for %s", dtype_info[t].name);
}

struct status *shape_MaxPool(struct ir_node *n)
{
    const bool indices = n->n_out > 1 && n->out[1];

    if (indices && ir_attr_int(n, "channels_last", 0))
        return FAIL_AT(n, UNSUPPORTED, "has no channels-last form with indices");
    return shape_pool(n, n->in[0]->dtype);
}

struct status *shape_AveragePool(struct ir_node *n)
{
    RETURN_IF_FAIL(check_float(n));
    return shape_pool(n, n->in[0]->dtype);
}

struct status *shape_LpPool(struct ir_node *n)
{
    const int64_t p = ir_attr_int(n, "p", 2);

    RETURN_IF_FAIL(check_float(n));
    if (p < 1 || p > 64)
        return FAIL_AT(n, p < 1 ? INVALID : UNSUPPORTED, "p is %lld", (long long)p);
    return shape_pool(n, n->in[0]->dtype);
}

/* Parameters and the count of units. */
static struct status *pool_params(const struct ir_node *n, struct k_pool *out,
                                  int64_t *units)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    struct window w;

    RETURN_IF_FAIL(window_read(n, x, NULL, &w));
    struct k_pool p = {.n = w.batch,
                       .c = w.channels,
                       .channels_last = w.channels_last,
                       .count_pad = ir_attr_int(n, "count_include_pad", 0) != 0,
                       .column_major = ir_attr_int(n, "storage_order", 0) != 0,
                       .p = ir_attr_int(n, "p", 2)};
    for (int d = 0; d < 3; d++) {
        const int at = d - (3 - w.n_spatial);
        p.in[d] = w.in[d];
        p.kernel[d] = w.kernel[d];
        p.stride[d] = w.stride[d];
        p.dilation[d] = w.dilation[d];
        p.pad[d] = w.pad[d];
        p.pad_end[d] = w.pad_end[d];
        p.out[d] = at < 0 ? 1 : y->dim[at + (w.channels_last ? 1 : 2)];
    }
    window_strides(&w, p.c, p.in, &p.in_n, &p.in_c, p.in_s);
    window_strides(&w, p.c, p.out, &p.out_n, &p.out_c, p.out_s);

    *units = p.n * p.out[0] * p.out[1] * (w.channels_last ? 1 : p.c);
    *out = p;
    return OK;
}

static struct status *lower_pool(struct lowering *lw, const struct ir_node *n,
                                 const char *kernel)
{
    const enum dtype dtype = n->in[0]->dtype;
    const bool indices = n->n_out > 1 && n->out[1];
    struct k_pool p;
    int64_t units;

    RETURN_IF_FAIL(pool_params(n, &p, &units));

    struct kcall *call = lower_call_typed(lw, kernel, dtype, &p, units);
    if (!call)
        return op_no_kernel(n, dtype);
    lower_in(call, n->in[0]);
    lower_out(call, n->out[0]);
    if (indices)
        lower_out(call, n->out[1]);
    return OK;
}

struct status *lower_MaxPool(struct lowering *lw, const struct ir_node *n)
{
    const bool indices = n->n_out > 1 && n->out[1];

    return lower_pool(lw, n, indices ? "max_pool_index" : "max_pool");
}

struct status *lower_AveragePool(struct lowering *lw, const struct ir_node *n)
{
    return lower_pool(lw, n, "avg_pool");
}

struct status *lower_LpPool(struct lowering *lw, const struct ir_node *n)
{
    return lower_pool(lw, n, "lp_pool");
}

/* ---- averages of codes ------------------------------------------------------- */

enum { QX, QX_SCALE, QX_ZERO, QY_SCALE, QY_ZERO, QLIMITS };

struct status *shape_QLinearAveragePool(struct ir_node *n)
{
    if (!ir_in(n, QX_ZERO) || !ir_in(n, QY_ZERO) || !op_is_byte(n->in[QX]->dtype)
        || !op_is_byte(n->in[QY_ZERO]->dtype))
        return FAIL_AT(n, INVALID, "its operands are not 8-bit integers");
    RETURN_IF_FAIL(op_check_one(n, QX_SCALE, DT_f32));
    RETURN_IF_FAIL(op_check_one(n, QX_ZERO, n->in[QX]->dtype));
    RETURN_IF_FAIL(op_check_one(n, QY_SCALE, DT_f32));
    RETURN_IF_FAIL(op_check_one(n, QY_ZERO, n->in[QY_ZERO]->dtype));
    RETURN_IF_FAIL(op_check_limits(n, QLIMITS));
    return shape_pool(n, n->in[QY_ZERO]->dtype);
}

struct status *lower_QLinearAveragePool(struct lowering *lw, const struct ir_node *n)
{
    struct k_pool p;
    int64_t units;

    RETURN_IF_FAIL(pool_params(n, &p, &units));
    p.has_limits = ir_in(n, QLIMITS) != NULL;

    struct kcall *call = op_call_quant(lw, "avg_pool_quant", n, &p, units);

    for (int i = 0; i <= QLIMITS; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    lower_scratch(call,
                  p.out[2] * (p.channels_last ? p.c : 1) * (int64_t)sizeof(int32_t));
    return OK;
}

/* ---- global pools: reductions over all spatial dims ------------------------- */

static struct status *become_reduction(struct ir_node *n, enum ir_op op)
{
    const struct ir_value *x = n->in[0];
    int64_t axes[IR_MAX_RANK];

    RETURN_IF_FAIL(op_check_rank(n, 0, 3, IR_MAX_RANK));
    for (int d = 2; d < x->rank; d++)
        axes[d - 2] = d;
    n->op = op;
    n->attrs = NULL;
    ir_set_attr_ints(n, "axes", x->rank - 2, axes);
    ir_set_attr_int(n, "keepdims", 1);
    return OK;
}

struct status *import_GlobalAveragePool(struct ir_node *n, int opset)
{
    (void)opset;
    return become_reduction(n, OP_ReduceMean);
}

struct status *import_GlobalMaxPool(struct ir_node *n, int opset)
{
    (void)opset;
    return become_reduction(n, OP_ReduceMax);
}

/* Other powers than 1 and 2: one window over everything. */
static struct status *become_whole_window(struct ir_node *n, int64_t p)
{
    const struct ir_value *x = n->in[0];

    RETURN_IF_FAIL(op_check_rank(n, 0, 3, 5));
    n->op = OP_LpPool;
    n->attrs = NULL;
    ir_set_attr_ints(n, "kernel_shape", x->rank - 2, x->dim + 2);
    ir_set_attr_int(n, "p", p);
    return import_pool(n);
}

struct status *import_GlobalLpPool(struct ir_node *n, int opset)
{
    const int64_t p =
        opset < 2 ? (int64_t)ir_attr_float(n, "p", 2) : ir_attr_int(n, "p", 2);

    if (p != 1 && p != 2)
        return become_whole_window(n, p);
    return become_reduction(n, p == 1 ? OP_ReduceL1 : OP_ReduceL2);
}
