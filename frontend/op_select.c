/* SPDX-License-Identifier: Apache-2.0 */
/* Pad, CenterCropPad, Trilu, ReverseSequence, Compress, NonZero.
 *
 *     y = Pad(x[, value]) {pads mode}      pads: all begins, then all ends; may be < 0
 *     y = ReverseSequence(x, lengths) {batch_axis time_axis}
 *     y = Compress(x, condition) {axis}    without axis, x is flattened
 *
 * CenterCropPad is imported as Pad.  Compress and NonZero have results of dynamic
 * size: dims are capacities. */
#include <string.h>

#include "frontend/op_help.h"

/* ---- Pad -------------------------------------------------------------------- */

/* The pad value of old versions as a constant of the input's type. */
static struct status *value_of_attr(struct ir_node *n)
{
    const float value = ir_attr_float(n, "value", 0);
    struct ir_value *constant;

    ir_remove_attr(n, "value");
    if (value == 0 && bits_of_f32(value) == 0)
        return OK;
    if (n->in[0]->dtype != DT_f32)
        return FAIL_AT(n, UNSUPPORTED, "pads %s with %g",
                       dtype_info[n->in[0]->dtype].name, (double)value);
    constant = ir_const_f32(n->graph->compile, value);
    ir_set_input(n, 1, constant);
    return OK;
}

struct status *import_Pad(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *given, *axes = NULL;
    int64_t pads[2 * IR_MAX_RANK] = {0};
    int count, n_axes = x->rank, axis[IR_MAX_RANK];

    if (opset < 11)
        given = ir_attr_ints(n, opset < 2 ? "paddings" : "pads", &count);
    else
        RETURN_IF_FAIL(op_const_ints(n, 1, "pads", &given, &count));
    for (int d = 0; d < x->rank; d++)
        axis[d] = d;
    if (opset >= 18) {
        RETURN_IF_FAIL(op_const_ints(n, 3, "axes", &axes, &n_axes));
        if (axes)
            RETURN_IF_FAIL(op_axes(n, n_axes, axes, x->rank, axis));
        else
            n_axes = x->rank;
    }
    if (count != 2 * n_axes)
        return FAIL_AT(n, INVALID, "has %d pads for %d axes", count, n_axes);
    for (int i = 0; i < n_axes; i++) {
        pads[axis[i]] = given[i];
        pads[x->rank + axis[i]] = given[n_axes + i];
    }
    if (opset < 11) {
        RETURN_IF_FAIL(value_of_attr(n));
    } else {
        ir_set_input(n, 1, ir_in(n, 2));
        op_keep_inputs(n, ir_in(n, 1) ? 2 : 1);
    }
    ir_remove_attr(n, "paddings");
    ir_set_attr_ints(n, "pads", 2 * x->rank, pads);
    return OK;
}

static int pad_mode(const struct ir_node *n)
{
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = ir_attr_str(n, "mode", "constant");

    for (int i = 0; i < 4; i++)
        if (!strcmp(mode, names[i]))
            return i;
    return -1;
}

struct status *shape_Pad(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *value = ir_in(n, 1);
    int count;
    const int64_t *pads = ir_attr_ints(n, "pads", &count);
    int64_t dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (pad_mode(n) < 0)
        return FAIL_AT(n, INVALID, "mode is '%s'", ir_attr_str(n, "mode", ""));
    if (count != 2 * x->rank)
        return FAIL_AT(n, INVALID, "has %d pads for rank %d", count, x->rank);
    if (value && (ir_count(value) != 1 || value->dtype != x->dtype))
        return FAIL_AT(n, INVALID, "its value '%s' is not one %s", value->name,
                       dtype_info[x->dtype].name);
    for (int d = 0; d < x->rank; d++) {
        const int64_t before = pads[d], after = pads[x->rank + d];
        const int64_t limit = (int64_t)1 << 40;
        if (before < -limit || before > limit || after < -limit || after > limit
            || x->dim[d] + before + after < 0)
            return FAIL_AT(n, INVALID, "pads dim %d (%lld) by %lld and %lld", d,
                           (long long)x->dim[d], (long long)before, (long long)after);
        dim[d] = x->dim[d] + before + after;
        if (!x->dim[d] && dim[d] && pad_mode(n))
            return FAIL_AT(n, INVALID, "has nothing to repeat along dim %d", d);
    }
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

struct status *lower_Pad(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int count;
    const int64_t *pads = ir_attr_ints(n, "pads", &count);
    struct k_pad p = {.mode = pad_mode(n), .has_value = ir_in(n, 1) != NULL};

    lower_dims_of(y, p.dim);
    lower_dims_of(x, p.src);
    lower_strides_of(x, p.in);
    for (int d = 0; d < x->rank; d++)
        p.begin[K_MAX_RANK - x->rank + d] = pads[d];
    const int64_t row = p.dim[K_MAX_RANK - 1];
    if (!row)
        return OK;
    struct kcall *call = op_call_sized(lw, "pad", x->dtype, &p, ir_count(y) / row);
    lower_in(call, n->in[0]);
    if (p.has_value)
        lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}

/* Crops and pads around the middle; an odd element more goes to the end. */
struct status *import_CenterCropPad(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *want, *axes;
    int64_t pads[2 * IR_MAX_RANK] = {0};
    int count, n_axes, axis[IR_MAX_RANK];

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "shape", &want, &count));
    axes = ir_attr_ints(n, "axes", &n_axes);
    for (int d = 0; d < x->rank; d++)
        axis[d] = d;
    if (axes)
        RETURN_IF_FAIL(op_axes(n, n_axes, axes, x->rank, axis));
    else
        n_axes = x->rank;
    if (count != n_axes)
        return FAIL_AT(n, INVALID, "has a shape of %d dims for %d axes", count, n_axes);
    for (int i = 0; i < n_axes; i++) {
        const int64_t have = x->dim[axis[i]];
        if (want[i] < 0 || want[i] > (int64_t)1 << 40)
            return FAIL_AT(n, INVALID, "shape has the entry %lld", (long long)want[i]);
        const int64_t more = want[i] - have;
        /* Crop: starts at (have - want) / 2.  Pad: (want - have) / 2 before. */
        pads[axis[i]] = more / 2;
        pads[x->rank + axis[i]] = more - more / 2;
    }
    n->op = OP_Pad;
    n->attrs = NULL;
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "pads", 2 * x->rank, pads);
    return OK;
}

/* ---- Trilu ------------------------------------------------------------------ */

struct status *shape_Trilu(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *k = ir_in(n, 1);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, IR_MAX_RANK));
    if (k && (ir_count(k) != 1 || k->dtype != DT_i64))
        return FAIL_AT(n, INVALID, "k is not one int64");
    op_set_out(n, 0, x->dtype, x->rank, x->dim);
    return OK;
}

struct status *lower_Trilu(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const struct k_axis p = {.n = x->dim[x->rank - 2],
                             .inner = x->dim[x->rank - 1],
                             .count = ir_in(n, 1) != NULL,
                             .flag = ir_attr_int(n, "upper", 1) != 0};
    struct kcall *call =
        op_call_sized(lw, "trilu", x->dtype, &p, op_product(x->rank - 1, x->dim));

    lower_in(call, n->in[0]);
    if (p.count)
        lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- ReverseSequence -------------------------------------------------------- */

struct status *shape_ReverseSequence(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *length = n->in[1];
    const int64_t batch = ir_attr_int(n, "batch_axis", 1);
    const int64_t time = ir_attr_int(n, "time_axis", 0);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 2, IR_MAX_RANK));
    if (batch < 0 || batch > 1 || time < 0 || time > 1 || batch == time)
        return FAIL_AT(n, INVALID, "batch axis %lld and time axis %lld are not 0 and 1",
                       (long long)batch, (long long)time);
    if (length->rank != 1 || length->dim[0] != x->dim[batch] || length->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "'%s' is not one int64 per batch", length->name);
    op_set_out(n, 0, x->dtype, x->rank, x->dim);
    return OK;
}

struct status *lower_ReverseSequence(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const struct k_axis p = {.outer = x->dim[0],
                             .n = x->dim[1],
                             .inner = op_product(x->rank - 2, x->dim + 2),
                             .flag = ir_attr_int(n, "time_axis", 0) == 1};
    struct kcall *call = op_call_sized(lw, "reverse", x->dtype, &p, p.outer * p.n);

    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- Compress, NonZero ------------------------------------------------------ */

static void set_dynamic(struct ir_node *n, int i)
{
    if (i < n->n_out && n->out[i])
        n->out[i]->dynamic = true;
}

struct status *import_Compress(struct ir_node *n, int opset)
{
    (void)opset;
    return ir_attr(n, "axis") ? op_import_axis(n, 0) : OK;
}

struct status *shape_Compress(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *condition = n->in[1];
    int64_t dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (condition->rank != 1 || condition->dtype != DT_bool)
        return FAIL_AT(n, INVALID, "its condition '%s' is not a list of bool",
                       condition->name);
    memcpy(dim, x->dim, sizeof dim);
    if (ir_attr(n, "axis")) {
        int axis;
        RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
        dim[axis] = condition->dim[0] < dim[axis] ? condition->dim[0] : dim[axis];
        op_set_out(n, 0, x->dtype, x->rank, dim);
    } else {
        dim[0] = condition->dim[0] < ir_count(x) ? condition->dim[0] : ir_count(x);
        op_set_out(n, 0, x->dtype, 1, dim);
    }
    set_dynamic(n, 0);
    return OK;
}

struct status *lower_Compress(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    struct k_axis p = {
        .outer = 1, .n = ir_count(x), .inner = 1, .count = n->in[1]->dim[0]};

    if (ir_attr(n, "axis")) {
        const int axis = (int)ir_attr_int(n, "axis", 0);
        p.outer = op_product(axis, x->dim);
        p.n = x->dim[axis];
        p.inner = op_product(x->rank - axis - 1, x->dim + axis + 1);
        p.flag = axis;
    }
    struct kcall *call = op_call_sized(lw, "compress", x->dtype, &p, 1);
    call->serial = true;
    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    lower_dims(call, n->out[0], true);
    return OK;
}

struct status *shape_NonZero(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    op_set_out(n, 0, DT_i64, 2, (int64_t[]){x->rank, ir_count(x)});
    set_dynamic(n, 0);
    return OK;
}

struct status *lower_NonZero(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    struct k_nonzero p = {.rank = x->rank, .mask = -1};

    if (x->dtype == DT_f32)
        p.mask = 0x7fffffff;
    else if (x->dtype == DT_f64)
        p.mask = INT64_MAX;
    else if (x->dtype == DT_f16 || x->dtype == DT_bf16)
        p.mask = 0x7fff;
    lower_dims_of(x, p.dim);
    struct kcall *call = op_call_sized(lw, "nonzero", x->dtype, &p, 1);
    call->serial = true;
    lower_in(call, n->in[0]);
    lower_out(call, n->out[0]);
    lower_dims(call, n->out[0], true);
    return OK;
}
