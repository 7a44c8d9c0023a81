/* SPDX-License-Identifier: Apache-2.0 */
/* Reading images at computed positions: GridSample, AffineGrid, RoiAlign, MaxRoiPool,
 * DeformConv; and Col2Im.
 *
 *     y = GridSample(x, grid) {mode=nearest|linear|cubic padding_mode align_corners}
 *     y = RoiAlign(x, rois, batch) {coordinate_transformation_mode mode output_height
 *                                   output_width sampling_ratio spatial_scale}
 *
 * AffineGrid is imported as a product with the constant base grid, Col2Im as a
 * ConvTranspose whose weights pick one tap each. */
#include <string.h>

#include "frontend/op_help.h"
#include "frontend/op_window.h"

static struct status *only_f32(const struct ir_node *n)
{
    if (n->in[0]->dtype == DT_f32)
        return OK;
    return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s",
                   dtype_info[n->in[0]->dtype].name);
}

static int find(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

/* ---- GridSample ------------------------------------------------------------- */

static const char *const grid_modes[] = {"nearest", "linear", "cubic", NULL};
static const char *const grid_paddings[] = {"zeros", "border", "reflection", NULL};

struct status *import_GridSample(struct ir_node *n, int opset)
{
    const char *mode = ir_attr_str(n, "mode", opset < 20 ? "bilinear" : "linear");

    if (!strcmp(mode, "bilinear"))
        mode = "linear";
    if (!strcmp(mode, "bicubic"))
        mode = "cubic";
    ir_set_attr_str(n, "mode", mode);
    return OK;
}

struct status *shape_GridSample(struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *grid = n->in[1];
    int64_t dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 3, 5));
    RETURN_IF_FAIL(op_check_rank(n, 1, x->rank, x->rank));
    RETURN_IF_FAIL(op_same_dtype(n, 0, 1));
    if (find(grid_modes, ir_attr_str(n, "mode", "linear")) < 0
        || find(grid_paddings, ir_attr_str(n, "padding_mode", "zeros")) < 0)
        return FAIL_AT(n, INVALID, "mode is '%s', padding_mode '%s'",
                       ir_attr_str(n, "mode", ""), ir_attr_str(n, "padding_mode", ""));
    if (grid->dim[0] != x->dim[0] || grid->dim[x->rank - 1] != x->rank - 2)
        return FAIL_AT(n, INVALID, "grid '%s' does not fit its input", grid->name);
    memcpy(dim, x->dim, sizeof dim);
    for (int d = 2; d < x->rank; d++) {
        if (!x->dim[d] || x->dim[d] > 1 << 24)
            return FAIL_AT(n, INVALID, "dim %d of its input is %lld", d,
                           (long long)x->dim[d]);
        dim[d] = grid->dim[d - 1];
    }
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

struct status *lower_GridSample(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    struct k_sample p = {
        .n = x->dim[0],
        .c = x->dim[1],
        .dims = x->rank - 2,
        .in = {1, 1, 1},
        .out = {1, 1, 1},
        .mode = find(grid_modes, ir_attr_str(n, "mode", "linear")),
        .padding = find(grid_paddings, ir_attr_str(n, "padding_mode", "zeros")),
        .align = ir_attr_int(n, "align_corners", 0) != 0,
    };

    RETURN_IF_FAIL(only_f32(n));
    for (int d = 2; d < x->rank; d++) {
        p.in[3 - x->rank + d] = x->dim[d];
        p.out[3 - x->rank + d] = y->dim[d];
    }
    struct kcall *call =
        lower_call(lw, "grid_sample_f32", &p, p.n * p.out[0] * p.out[1]);
    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- AffineGrid ------------------------------------------------------------- */

/* Homogeneous coordinates of all output positions: [dims + 1, positions]. */
static struct ir_value *base_grid(struct compile *c, int dims, const int64_t *size,
                                  bool align)
{
    const int64_t count = op_product(dims, size);
    float *base = arena_new_array(c->perm, float, (dims + 1) * count);

    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i;
        for (int d = dims - 1; d >= 0; d--) { /* x is the last dim and the first row */
            const double n = (double)size[d], at = (double)(rest % size[d]);
            const double v = !align   ? (2 * at + 1) / n - 1
                             : n == 1 ? -1
                                      : 2 * at / (n - 1) - 1;
            base[(dims - 1 - d) * count + i] = (float)v;
            rest /= size[d];
        }
        base[dims * count + i] = 1;
    }
    return ir_const_ref(c, NULL, DT_f32, 2, (int64_t[]){dims + 1, count}, base);
}

struct status *import_AffineGrid(struct ir_node *n, int opset)
{
    struct compile *c = n->graph->compile;
    const struct ir_value *theta = n->in[0];
    const int64_t *size;
    int count;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "size", &size, &count));
    const int dims = count - 2;
    if ((dims != 2 && dims != 3) || theta->rank != 3 || theta->dim[0] != size[0]
        || theta->dim[1] != dims || theta->dim[2] != dims + 1 || theta->dtype != DT_f32)
        return FAIL_AT(n, INVALID, "'%s' and a size of %d dims do not fit", theta->name,
                       count);
    for (int d = 0; d < count; d++)
        if (size[d] < 1 || !ir_shape_fits(DT_f32, count, size))
            return FAIL_AT(n, INVALID, "size has the entry %lld", (long long)size[d]);
    struct ir_value *in[2] = {
        n->in[0],
        base_grid(c, dims, size + 2, ir_attr_int(n, "align_corners", 0) != 0)};
    struct ir_value *product, *turned;
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_MatMul, NULL, 2, in, NULL, &product));
    RETURN_IF_FAIL(
        ir_emit(n->graph, n, OP_Transpose, NULL, 1, &product, "perm=[0,2,1]", &turned));
    int64_t dim[5] = {size[0]};
    for (int d = 0; d < dims; d++)
        dim[d + 1] = size[d + 2];
    dim[dims + 1] = dims;
    n->op = OP_Reshape;
    n->attrs = NULL;
    op_keep_inputs(n, 1);
    ir_set_input(n, 0, turned);
    ir_set_attr_ints(n, "shape", dims + 2, dim);
    return OK;
}

/* ---- RoiAlign, MaxRoiPool --------------------------------------------------- */

struct status *import_RoiAlign(struct ir_node *n, int opset)
{
    if (opset < 16)
        ir_set_attr_str(n, "coordinate_transformation_mode", "output_half_pixel");
    return op_cast_input(n, 2, DT_i64);
}

/* Common to both: x [n, c, h, w], `columns` numbers a region. */
static struct status *shape_roi(struct ir_node *n, int64_t columns, int64_t height,
                                int64_t width)
{
    const struct ir_value *x = n->in[0], *rois = n->in[1];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 4, 4));
    RETURN_IF_FAIL(op_check_rank(n, 1, 2, 2));
    RETURN_IF_FAIL(op_same_dtype(n, 0, 1));
    if (rois->dim[1] != columns)
        return FAIL_AT(n, INVALID, "regions '%s' have %lld numbers instead of %lld",
                       rois->name, (long long)rois->dim[1], (long long)columns);
    if (height < 1 || width < 1 || height > 1 << 16 || width > 1 << 16)
        return FAIL_AT(n, INVALID, "pools to %lld x %lld", (long long)height,
                       (long long)width);
    for (int d = 0; d < 4; d++)
        if (!x->dim[d] || x->dim[d] > 1 << 24)
            return FAIL_AT(n, INVALID, "dim %d of its input is %lld", d,
                           (long long)x->dim[d]);
    op_set_out(n, 0, x->dtype, 4, (int64_t[]){rois->dim[0], x->dim[1], height, width});
    return OK;
}

static struct k_sample roi_params(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];

    return (struct k_sample){.n = x->dim[0],
                             .c = x->dim[1],
                             .dims = 2,
                             .in = {1, x->dim[2], x->dim[3]},
                             .out = {1, y->dim[2], y->dim[3]},
                             .scale = ir_attr_float(n, "spatial_scale", 1)};
}

struct status *shape_RoiAlign(struct ir_node *n)
{
    const struct ir_value *batch = n->in[2];
    const int64_t samples = ir_attr_int(n, "sampling_ratio", 0);

    RETURN_IF_FAIL(shape_roi(n, 4, ir_attr_int(n, "output_height", 1),
                             ir_attr_int(n, "output_width", 1)));
    if (batch->rank != 1 || batch->dim[0] != n->in[1]->dim[0] || batch->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "'%s' is not one int64 per region", batch->name);
    if (samples < 0 || samples > 1 << 10)
        return FAIL_AT(n, INVALID, "sampling_ratio is %lld", (long long)samples);
    return OK;
}

struct status *lower_RoiAlign(struct lowering *lw, const struct ir_node *n)
{
    struct k_sample p = roi_params(n);

    RETURN_IF_FAIL(only_f32(n));
    p.mode = !strcmp(ir_attr_str(n, "mode", "avg"), "max");
    p.align = !strcmp(ir_attr_str(n, "coordinate_transformation_mode", "half_pixel"),
                      "half_pixel");
    p.sampling_ratio = ir_attr_int(n, "sampling_ratio", 0);
    struct kcall *call = lower_call(lw, "roi_align_f32", &p, n->in[1]->dim[0] * p.c);
    for (int i = 0; i < 3; i++)
        lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *shape_MaxRoiPool(struct ir_node *n)
{
    int count;
    const int64_t *pooled = ir_attr_ints(n, "pooled_shape", &count);

    if (count != 2)
        return FAIL_AT(n, INVALID, "pooled_shape has %d entries", count);
    return shape_roi(n, 5, pooled[0], pooled[1]);
}

struct status *lower_MaxRoiPool(struct lowering *lw, const struct ir_node *n)
{
    const struct k_sample p = roi_params(n);

    RETURN_IF_FAIL(only_f32(n));
    struct kcall *call = lower_call(lw, "max_roi_pool_f32", &p, n->in[1]->dim[0] * p.c);
    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- DeformConv ------------------------------------------------------------- */

enum { X, W, OFFSET, B, MASK };

struct status *import_DeformConv(struct ir_node *n, int opset)
{
    (void)opset;
    RETURN_IF_FAIL(op_check_rank(n, X, 4, 4));
    RETURN_IF_FAIL(op_check_rank(n, W, 4, 4));
    return window_import(n, n->in[W]->dim + 2);
}

static bool has_dims(const struct ir_value *v, int rank, const int64_t *dim)
{
    return v->rank == rank && !memcmp(v->dim, dim, (size_t)rank * sizeof *dim);
}

struct status *shape_DeformConv(struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *w = n->in[W], *b = ir_in(n, B);
    const int64_t groups = ir_attr_int(n, "group", 1);
    const int64_t offset_groups = ir_attr_int(n, "offset_group", 1);
    struct window win;
    int64_t out[3];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, X, 4, 4));
    RETURN_IF_FAIL(op_check_rank(n, W, 4, 4));
    for (int i = W; i <= MASK; i++)
        RETURN_IF_FAIL(op_same_dtype(n, X, i));
    RETURN_IF_FAIL(window_read(n, x, w->dim + 2, &win));
    if (win.channels_last)
        return FAIL_AT(n, UNSUPPORTED, "has no channels-last form");
    for (int d = 0; d < 3; d++)
        RETURN_IF_FAIL(window_out(n, &win, d, false, &out[d]));
    if (groups < 1 || offset_groups < 1 || x->dim[1] % groups
        || x->dim[1] % offset_groups || w->dim[0] % groups
        || x->dim[1] / groups != w->dim[1])
        return FAIL_AT(n, INVALID, "channels, weights and groups do not fit");
    if (b && !has_dims(b, 1, &w->dim[0]))
        return FAIL_AT(n, INVALID, "bias '%s' does not have one entry per channel",
                       b->name);
    const int64_t taps = op_product(2, w->dim + 2);
    const int64_t offsets[4] = {x->dim[0], offset_groups * taps * 2, out[1], out[2]};
    const int64_t masks[4] = {x->dim[0], offset_groups * taps, out[1], out[2]};
    if (!has_dims(n->in[OFFSET], 4, offsets)
        || (ir_in(n, MASK) && !has_dims(n->in[MASK], 4, masks)))
        return FAIL_AT(n, INVALID, "its offsets or mask have the wrong shape");
    op_set_out(n, 0, x->dtype, 4, (int64_t[]){x->dim[0], w->dim[0], out[1], out[2]});
    return OK;
}

/* The sampled columns, then one product per image and group. */
struct status *lower_DeformConv(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *w = n->in[W], *y = n->out[0];
    const int64_t groups = ir_attr_int(n, "group", 1), taps = op_product(2, w->dim + 2);
    const int64_t plane = y->dim[2] * y->dim[3], rows = x->dim[1] * taps;
    struct window win;

    RETURN_IF_FAIL(only_f32(n));
    RETURN_IF_FAIL(window_read(n, x, w->dim + 2, &win));
    struct k_deform p = {.n = x->dim[0],
                         .c = x->dim[1],
                         .offset_groups = ir_attr_int(n, "offset_group", 1),
                         .has_mask = ir_in(n, MASK) != NULL};
    for (int d = 0; d < 2; d++) {
        p.in[d] = win.in[d + 1];
        p.out[d] = y->dim[d + 2];
        p.kernel[d] = win.kernel[d + 1];
        p.stride[d] = win.stride[d + 1];
        p.dilation[d] = win.dilation[d + 1];
        p.pad[d] = win.pad[d + 1];
    }
    const int columns = lower_temp(lw, p.n * rows * plane * (int64_t)sizeof(float));
    struct kcall *call = lower_call(lw, "deform_columns_f32", &p, p.n * rows);
    lower_in(call, n->in[X]);
    lower_in(call, n->in[OFFSET]);
    if (p.has_mask)
        lower_in(call, n->in[MASK]);
    lower_out_temp(call, columns);

    const int64_t m = w->dim[0] / groups, k = rows / groups;
    struct k_matmul q = {.m = m,
                         .n = plane,
                         .k = k,
                         .a_row = k,
                         .a_col = 1,
                         .b_row = plane,
                         .b_col = 1,
                         .c_row = 1,
                         .has_bias = ir_in(n, B) != NULL,
                         .alpha = 1,
                         .beta = 1,
                         .batch = {1, 1, 1, 1, p.n, groups}};
    q.a_batch[5] = m * k;
    q.b_batch[4] = rows * plane;
    q.b_batch[5] = k * plane;
    q.c_batch[5] = m;
    struct kcall *product =
        lower_call(lw, "matmul_f32", &q, p.n * groups * ((m + 3) / 4));
    lower_in(product, n->in[W]);
    lower_in_temp(product, columns);
    if (q.has_bias)
        lower_in(product, n->in[B]);
    lower_out(product, n->out[0]);
    return OK;
}

/* ---- Col2Im ----------------------------------------------------------------- */

/* Weights [channels*taps, 1, kernel...] of a grouped ConvTranspose: input channel
 * (c, t) adds to tap t of output channel c. */
static struct ir_value *tap_weights(struct compile *c, int64_t channels, int dims,
                                    const int64_t *kernel)
{
    const int64_t taps = op_product(dims, kernel);
    int64_t dim[IR_MAX_RANK] = {channels * taps, 1};
    float *w = arena_new_array(c->perm, float, channels *taps *taps);

    for (int64_t i = 0; i < channels * taps; i++)
        w[i * taps + i % taps] = 1;
    memcpy(dim + 2, kernel, (size_t)dims * sizeof *dim);
    return ir_const_ref(c, NULL, DT_f32, dims + 2, dim, w);
}

static struct status *read_ints(const struct ir_node *n, const char *name, int want,
                                int64_t otherwise, int64_t least, int64_t *out)
{
    int count;
    const int64_t *given = ir_attr_ints(n, name, &count);

    if (given && count != want)
        return FAIL_AT(n, INVALID, "%s has %d entries but needs %d", name, count, want);
    for (int i = 0; i < want; i++) {
        out[i] = given ? given[i] : otherwise;
        if (out[i] < least || out[i] > 1 << 24)
            return FAIL_AT(n, INVALID, "%s has the entry %lld", name,
                           (long long)out[i]);
    }
    return OK;
}

struct status *import_Col2Im(struct ir_node *n, int opset)
{
    struct ir_value *x = n->in[0], *reshaped;
    const int64_t *image, *kernel;
    int dims, n_kernel;
    int64_t stride[3], dilation[3], pads[6], extra[3], dim[IR_MAX_RANK];

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "image shape", &image, &dims));
    RETURN_IF_FAIL(op_const_ints(n, 2, "block shape", &kernel, &n_kernel));
    if (dims != n_kernel || dims < 1 || x->rank != 3)
        return FAIL_AT(n, INVALID,
                       "has an image of %d dims, blocks of %d, input of rank %d", dims,
                       n_kernel, x->rank);
    if (dims > 3 || x->dtype != DT_f32)
        return FAIL_AT(n, UNSUPPORTED, "is implemented for f32 and up to three dims");
    RETURN_IF_FAIL(read_ints(n, "strides", dims, 1, 1, stride));
    RETURN_IF_FAIL(read_ints(n, "dilations", dims, 1, 1, dilation));
    RETURN_IF_FAIL(read_ints(n, "pads", 2 * dims, 0, 0, pads));
    for (int d = 0; d < dims; d++) {
        if (kernel[d] < 1 || kernel[d] > 1 << 12 || image[d] < 1 || image[d] > 1 << 24)
            return FAIL_AT(n, INVALID, "blocks of %lld in an image of %lld",
                           (long long)kernel[d], (long long)image[d]);
        const int64_t room =
            image[d] + pads[d] + pads[dims + d] - (kernel[d] - 1) * dilation[d] - 1;
        if (room < 0)
            return FAIL_AT(n, INVALID, "blocks do not fit the image along dim %d", d);
        dim[d + 2] = room / stride[d] + 1;
        extra[d] = room % stride[d];
    }
    const int64_t taps = op_product(dims, kernel);
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    if (x->dim[1] % taps || op_product(dims, dim + 2) != x->dim[2]
        || x->dim[1] > (1 << 26) / taps)
        return FAIL_AT(n, INVALID, "[%lld, %lld] blocks do not fit the image",
                       (long long)x->dim[1], (long long)x->dim[2]);
    struct ir_node *view = ir_node_create(n->graph, n, OP_Reshape, n->name, 1, 1);
    ir_set_input(view, 0, x);
    ir_set_attr_ints(view, "shape", dims + 2, dim);
    reshaped = ir_new_output(view, 0, NULL);
    RETURN_IF_FAIL(ir_infer(view));
    n->op = OP_ConvTranspose;
    n->attrs = NULL;
    op_keep_inputs(n, 2);
    ir_set_input(n, 0, reshaped);
    ir_set_input(n, 1, tap_weights(n->graph->compile, x->dim[1] / taps, dims, kernel));
    ir_set_attr_int(n, "group", x->dim[1] / taps);
    ir_set_attr_ints(n, "kernel_shape", dims, kernel);
    ir_set_attr_ints(n, "strides", dims, stride);
    ir_set_attr_ints(n, "dilations", dims, dilation);
    ir_set_attr_ints(n, "pads", 2 * dims, pads);
    ir_set_attr_ints(n, "output_padding", dims, extra);
    return OK;
}
