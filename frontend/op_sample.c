/* SPDX-License-Identifier: Apache-2.0 */
/* Reading images at computed positions: GridSample, AffineGrid, RoiAlign, MaxRoiPool,
 * DeformConv; and Col2Im.
 *
 *     y = GridSample(x, grid) {mode=nearest|linear|cubic padding_mode align_corners}
 *     y = RoiAlign(x, rois, batch) {coordinate_transformation_mode mode output_height
 *                                   output_width sampling_ratio spatial_scale}
 *
 *     grid = AffineGrid(theta) {align_corners size}        size: spatial dims
 *     y = Col2Im(x) {image blocks strides dilations pads}  one entry per spatial dim
 */
#include <string.h>

#include "frontend/op_help.h"
#include "frontend/op_window.h"

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

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
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

struct status *import_AffineGrid(struct ir_node *n, int opset)
{
    const int64_t *size;
    int count;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "size", &size, &count));
    if (count < 3 || n->in[0]->rank != 3 || size[0] != n->in[0]->dim[0])
        return FAIL_AT(n, INVALID, "'%s' and a size of %d dims do not fit",
                       n->in[0]->name, count);
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "size", count - 2, size + 2);
    return OK;
}

struct status *shape_AffineGrid(struct ir_node *n)
{
    const struct ir_value *theta = n->in[0];
    int dims;
    const int64_t *size = ir_attr_ints(n, "size", &dims);
    int64_t dim[5];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 3, 3));
    if ((dims != 2 && dims != 3) || theta->dim[1] != dims || theta->dim[2] != dims + 1)
        return FAIL_AT(n, INVALID, "'%s' and a size of %d dims do not fit", theta->name,
                       dims);
    dim[0] = theta->dim[0];
    for (int d = 0; d < dims; d++) {
        if (size[d] < 1 || size[d] > 1 << 24)
            return FAIL_AT(n, INVALID, "size has the entry %lld", (long long)size[d]);
        dim[d + 1] = size[d];
    }
    dim[dims + 1] = dims;
    op_set_out(n, 0, theta->dtype, dims + 2, dim);
    return OK;
}

struct status *lower_AffineGrid(struct lowering *lw, const struct ir_node *n)
{
    int dims;
    const int64_t *size = ir_attr_ints(n, "size", &dims);
    struct k_sample p = {.n = n->in[0]->dim[0],
                         .dims = dims,
                         .out = {1, 1, 1},
                         .align = ir_attr_int(n, "align_corners", 0) != 0};

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
    for (int d = 0; d < dims; d++)
        p.out[3 - dims + d] = size[d];
    struct kcall *call =
        lower_call(lw, "affine_grid_f32", &p, p.n * p.out[0] * p.out[1]);
    lower_in(call, n->in[0]);
    lower_out(call, n->out[0]);
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

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
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

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
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

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
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
    const int64_t *image, *blocks;
    int dims, n_blocks;

    (void)opset;
    RETURN_IF_FAIL(op_const_ints(n, 1, "image shape", &image, &dims));
    RETURN_IF_FAIL(op_const_ints(n, 2, "block shape", &blocks, &n_blocks));
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "image", dims, image);
    ir_set_attr_ints(n, "blocks", n_blocks, blocks);
    return OK;
}

/* Everything but the dims of x; in[] counts the blocks. */
static struct status *read_col2im(const struct ir_node *n, struct k_conv *p,
                                  int *n_dims)
{
    int64_t image[3], kernel[3], stride[3], dilation[3], pads[6];
    int dims;

    ir_attr_ints(n, "image", &dims);
    if (dims < 1 || dims > 3)
        return FAIL_AT(n, dims < 1 ? INVALID : UNSUPPORTED, "has an image of %d dims",
                       dims);
    RETURN_IF_FAIL(read_ints(n, "image", dims, 1, 1, image));
    RETURN_IF_FAIL(read_ints(n, "blocks", dims, 1, 1, kernel));
    RETURN_IF_FAIL(read_ints(n, "strides", dims, 1, 1, stride));
    RETURN_IF_FAIL(read_ints(n, "dilations", dims, 1, 1, dilation));
    RETURN_IF_FAIL(read_ints(n, "pads", 2 * dims, 0, 0, pads));
    *n_dims = dims;
    *p = (struct k_conv){.groups = 1};
    for (int d = 0; d < 3; d++)
        p->in[d] = p->out[d] = p->kernel[d] = p->stride[d] = p->dilation[d] = 1;
    for (int i = 0; i < dims; i++) {
        const int d = 3 - dims + i;
        const int64_t room =
            image[i] + pads[i] + pads[dims + i] - (kernel[i] - 1) * dilation[i] - 1;
        if (room < 0)
            return FAIL_AT(n, INVALID, "blocks do not fit the image along dim %d", i);
        p->in[d] = room / stride[i] + 1;
        p->out[d] = image[i];
        p->kernel[d] = kernel[i];
        p->stride[d] = stride[i];
        p->dilation[d] = dilation[i];
        p->pad[d] = pads[i];
    }
    return OK;
}

struct status *shape_Col2Im(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    struct k_conv p;
    int64_t dim[5];
    int dims;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_check_rank(n, 0, 3, 3));
    RETURN_IF_FAIL(read_col2im(n, &p, &dims));
    const int64_t taps = op_product(3, p.kernel);
    if (x->dim[1] % taps || op_product(3, p.in) != x->dim[2])
        return FAIL_AT(n, INVALID, "[%lld, %lld] blocks do not fit the image",
                       (long long)x->dim[1], (long long)x->dim[2]);
    dim[0] = x->dim[0];
    dim[1] = x->dim[1] / taps;
    for (int i = 0; i < dims; i++)
        dim[i + 2] = p.out[3 - dims + i];
    op_set_out(n, 0, x->dtype, dims + 2, dim);
    return OK;
}

struct status *lower_Col2Im(struct lowering *lw, const struct ir_node *n)
{
    struct k_conv p;
    int dims;

    RETURN_IF_FAIL(op_only_f32(n, n->in[0]->dtype));
    RETURN_IF_FAIL(read_col2im(n, &p, &dims));
    p.n = n->out[0]->dim[0];
    p.c_out = n->out[0]->dim[1];
    struct kcall *call =
        lower_call(lw, "col2im_f32", &p, p.n * p.c_out * p.out[0] * p.out[1]);
    lower_in(call, n->in[0]);
    lower_out(call, n->out[0]);
    return OK;
}
