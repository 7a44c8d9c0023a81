/* SPDX-License-Identifier: Apache-2.0 */
/* TopK, Unique, NonMaxSuppression, MaxUnpool.
 *
 *     values, index = TopK(x) {axis k largest}
 *     y, index, inverse, counts = Unique(x) {axis sorted}      without axis: flattened
 *     picked = NonMaxSuppression(boxes, scores[, max, iou, score]) {center_point_box}
 *     y = MaxUnpool(x, index) {sizes dims}    positions count in `dims`, y has `sizes`
 */
#include <string.h>

#include "frontend/op_help.h"
#include "frontend/op_window.h"

/* Kernels number elements along an axis with 32 bits. */
static struct status *check_count(const struct ir_node *n, int64_t count)
{
    if (count <= INT32_MAX)
        return OK;
    return FAIL_AT(n, UNSUPPORTED, "orders %lld elements", (long long)count);
}

/* Types that order like another one of the same size. */
static enum dtype order_dtype(enum dtype dtype)
{
    return dtype == DT_bool ? DT_u8 : dtype;
}

/* ---- TopK ------------------------------------------------------------------- */

struct status *import_TopK(struct ir_node *n, int opset)
{
    const int64_t *k;
    int axis, count;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), n->in[0]->rank, &axis));
    ir_set_attr_int(n, "axis", axis);
    if (opset < 10)
        return OK;
    RETURN_IF_FAIL(op_const_ints(n, 1, "k", &k, &count));
    if (count != 1)
        return FAIL_AT(n, INVALID, "k has %d entries", count);
    op_keep_inputs(n, 1);
    ir_remove_attr(n, "sorted");
    ir_set_attr_int(n, "k", k[0]);
    return OK;
}

struct status *shape_TopK(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const int64_t k = ir_attr_int(n, "k", -1);
    int64_t dim[IR_MAX_RANK];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, &axis));
    RETURN_IF_FAIL(check_count(n, x->dim[axis]));
    if (k < 0 || k > x->dim[axis])
        return FAIL_AT(n, INVALID, "k is %lld of %lld elements", (long long)k,
                       (long long)x->dim[axis]);
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = k;
    op_set_out(n, 0, x->dtype, x->rank, dim);
    op_set_out(n, 1, DT_i64, x->rank, dim);
    return OK;
}

/* Kernels write every output; one that nobody asked for goes to temporary memory. */
static void out_or_temp(struct lowering *lw, struct kcall *call,
                        const struct ir_node *n, int i, int64_t bytes)
{
    if (i < n->n_out && n->out[i])
        lower_out(call, n->out[i]);
    else
        lower_out_temp(call, lower_temp(lw, bytes));
}

struct status *lower_TopK(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), x->rank, &axis));
    const struct k_axis p = {.outer = op_product(axis, x->dim),
                             .n = x->dim[axis],
                             .inner = op_product(x->rank - axis - 1, x->dim + axis + 1),
                             .count = ir_attr_int(n, "k", 0),
                             .flag = ir_attr_int(n, "largest", 1) != 0};
    const int64_t count = p.outer * p.count * p.inner;
    struct kcall *call =
        lower_call_typed(lw, "topk", order_dtype(x->dtype), &p, p.outer * p.inner);
    if (!call)
        return op_no_kernel(n, x->dtype);
    lower_in(call, n->in[0]);
    out_or_temp(lw, call, n, 0, count * dtype_info[x->dtype].bytes);
    out_or_temp(lw, call, n, 1, count * (int64_t)sizeof(int64_t));
    lower_scratch(call, p.count * (int64_t)sizeof(int32_t));
    return OK;
}

/* ---- Unique ----------------------------------------------------------------- */

enum { UNIQUE_Y, UNIQUE_INDEX, UNIQUE_INVERSE, UNIQUE_COUNTS };

static bool has_out(const struct ir_node *n, int i)
{
    return i < n->n_out && n->out[i];
}

static struct k_unique unique_params(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    struct k_unique p = {.outer = 1,
                         .n = ir_count(x),
                         .inner = 1,
                         .sorted = ir_attr_int(n, "sorted", 1) != 0,
                         .has_index = has_out(n, UNIQUE_INDEX),
                         .has_inverse = has_out(n, UNIQUE_INVERSE),
                         .has_count = has_out(n, UNIQUE_COUNTS)};

    if (ir_attr(n, "axis")) {
        p.axis = ir_attr_int(n, "axis", 0);
        p.outer = op_product((int)p.axis, x->dim);
        p.n = x->dim[p.axis];
        p.inner = op_product(x->rank - (int)p.axis - 1, x->dim + p.axis + 1);
    }
    return p;
}

struct status *import_Unique(struct ir_node *n, int opset)
{
    (void)opset;
    return ir_attr(n, "axis") ? op_import_axis(n, 0) : OK;
}

struct status *shape_Unique(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (ir_attr(n, "axis")) {
        RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
        if (axis != ir_attr_int(n, "axis", 0))
            return FAIL_AT(n, INVALID, "axis is negative");
    }
    const struct k_unique p = unique_params(n);
    RETURN_IF_FAIL(check_count(n, p.n));
    if (ir_attr(n, "axis"))
        op_set_out(n, UNIQUE_Y, x->dtype, x->rank, x->dim);
    else
        op_set_out(n, UNIQUE_Y, x->dtype, 1, &p.n);
    for (int i = UNIQUE_INDEX; i <= UNIQUE_COUNTS; i++)
        op_set_out(n, i, DT_i64, 1, &p.n);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            n->out[i]->dynamic = i != UNIQUE_INVERSE;
    return OK;
}

struct status *lower_Unique(struct lowering *lw, const struct ir_node *n)
{
    const struct k_unique p = unique_params(n);
    struct kcall *call =
        lower_call_typed(lw, "unique", order_dtype(n->in[0]->dtype), &p, 1);

    if (!call)
        return op_no_kernel(n, n->in[0]->dtype);
    call->serial = true;
    lower_in(call, n->in[0]);
    for (int i = UNIQUE_Y; i <= UNIQUE_COUNTS; i++)
        if (has_out(n, i))
            lower_out(call, n->out[i]);
    for (int i = UNIQUE_Y; i <= UNIQUE_COUNTS; i++)
        if (has_out(n, i) && i != UNIQUE_INVERSE)
            lower_dims(call, n->out[i], true);
    for (int i = 0; i < 3; i++)
        lower_out_temp(call, lower_temp(lw, p.n * (int64_t)sizeof(int32_t)));
    return OK;
}

/* ---- NonMaxSuppression ------------------------------------------------------ */

enum { BOXES, SCORES, MAX_BOXES, IOU, SCORE };

static struct status *check_limit(const struct ir_node *n, int i, enum dtype dtype)
{
    const struct ir_value *v = ir_in(n, i);

    if (v && (ir_count(v) != 1 || v->dtype != dtype))
        return FAIL_AT(n, INVALID, "input '%s' is not one %s", v->name,
                       dtype_info[dtype].name);
    return OK;
}

struct status *shape_NonMaxSuppression(struct ir_node *n)
{
    const struct ir_value *boxes = n->in[BOXES], *scores = n->in[SCORES];
    double max;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, BOXES, 3, 3));
    RETURN_IF_FAIL(op_check_rank(n, SCORES, 3, 3));
    if (boxes->dtype != DT_f32 || scores->dtype != DT_f32)
        return FAIL_AT(n, INVALID, "its boxes and scores are not f32");
    if (boxes->dim[2] != 4 || boxes->dim[0] != scores->dim[0]
        || boxes->dim[1] != scores->dim[2])
        return FAIL_AT(
            n, INVALID,
            "boxes [%lld, %lld, %lld] and scores [%lld, %lld, %lld] do not fit",
            (long long)boxes->dim[0], (long long)boxes->dim[1],
            (long long)boxes->dim[2], (long long)scores->dim[0],
            (long long)scores->dim[1], (long long)scores->dim[2]);
    RETURN_IF_FAIL(check_limit(n, MAX_BOXES, DT_i64));
    RETURN_IF_FAIL(check_limit(n, IOU, DT_f32));
    RETURN_IF_FAIL(check_limit(n, SCORE, DT_f32));
    RETURN_IF_FAIL(check_count(n, boxes->dim[1]));
    int64_t most = ir_in(n, MAX_BOXES) ? boxes->dim[1] : 0;
    if (ir_const_scalar(ir_in(n, MAX_BOXES), &max) && max < (double)most)
        most = max < 0 ? 0 : (int64_t)max;
    const int64_t capacity =
        op_product(3, (int64_t[]){boxes->dim[0], scores->dim[1], most});
    op_set_out(n, 0, DT_i64, 2, (int64_t[]){capacity, 3});
    n->out[0]->dynamic = true;
    return OK;
}

struct status *lower_NonMaxSuppression(struct lowering *lw, const struct ir_node *n)
{
    const struct k_nms p = {.batches = n->in[BOXES]->dim[0],
                            .classes = n->in[SCORES]->dim[1],
                            .boxes = n->in[BOXES]->dim[1],
                            .centered = ir_attr_int(n, "center_point_box", 0) != 0,
                            .has_max = ir_in(n, MAX_BOXES) != NULL,
                            .has_iou = ir_in(n, IOU) != NULL,
                            .has_score = ir_in(n, SCORE) != NULL};
    struct kcall *call = lower_call(lw, "nms", &p, 1);

    call->serial = true;
    for (int i = BOXES; i <= SCORE; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    lower_dims(call, n->out[0], true);
    for (int i = 0; i < 2; i++)
        lower_out_temp(call, lower_temp(lw, p.boxes * (int64_t)sizeof(int32_t)));
    return OK;
}

/* ---- MaxUnpool -------------------------------------------------------------- */

/* Indices count in the tensor that the pool is taken to have read; a wanted shape that
 * is larger gets zeros at the end. */
struct status *import_MaxUnpool(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *wanted;
    int64_t dims[IR_MAX_RANK];
    struct window w;
    int count;

    (void)opset;
    RETURN_IF_FAIL(window_import(n, NULL));
    RETURN_IF_FAIL(window_read(n, x, NULL, &w));
    RETURN_IF_FAIL(op_const_ints(n, 2, "output shape", &wanted, &count));
    if (wanted && count != x->rank)
        return FAIL_AT(n, INVALID, "has an output shape of %d dims for rank %d", count,
                       x->rank);
    dims[0] = x->dim[0];
    dims[1] = x->dim[1];
    for (int d = 2; d < x->rank; d++) {
        const int at = 3 - w.n_spatial + d - 2;
        if (x->dim[d] > 1 << 30)
            return FAIL_AT(n, UNSUPPORTED, "input is too large");
        dims[d] =
            (x->dim[d] - 1) * w.stride[at] + w.kernel[at] - w.pad[at] - w.pad_end[at];
        if (dims[d] < 0)
            return FAIL_AT(n, INVALID, "its pads leave nothing of the output");
    }
    op_keep_inputs(n, 2);
    n->attrs = NULL;
    ir_set_attr_ints(n, "dims", x->rank, dims);
    ir_set_attr_ints(n, "sizes", x->rank, wanted ? wanted : dims);
    return OK;
}

struct status *shape_MaxUnpool(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int n_dims, n_sizes;
    const int64_t *dims = ir_attr_ints(n, "dims", &n_dims);
    const int64_t *sizes = ir_attr_ints(n, "sizes", &n_sizes);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (n->in[1]->dtype != DT_i64 || !ir_same_shape(x, n->in[1]))
        return FAIL_AT(n, INVALID, "its indices are not one int64 per element");
    if (n_dims != x->rank || n_sizes != x->rank)
        return FAIL_AT(n, INVALID, "needs %d dims and sizes", x->rank);
    for (int d = 0; d < x->rank; d++)
        if (dims[d] < 1 || sizes[d] < 0 || !ir_shape_fits(DT_i64, x->rank, dims))
            return FAIL_AT(n, INVALID, "dim %d is %lld of %lld", d, (long long)dims[d],
                           (long long)sizes[d]);
    op_set_out(n, 0, x->dtype, x->rank, sizes);
    return OK;
}

struct status *lower_MaxUnpool(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    struct k_unpool p;
    int count;
    const int64_t *dims = ir_attr_ints(n, "dims", &count);

    lower_dims_of(y, p.to);
    lower_strides_of(y, p.out);
    for (int d = 0; d < K_MAX_RANK; d++)
        p.dim[d] = d < K_MAX_RANK - count ? 1 : dims[d - (K_MAX_RANK - count)];
    op_fill(lw, dtype_info[x->dtype].bytes, ir_count(y), 0, op_value(n->out[0]));
    struct kcall *call = op_call_sized(lw, "unpool", x->dtype, &p, ir_count(x));
    call->serial = true;
    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}
