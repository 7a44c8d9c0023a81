/* SPDX-License-Identifier: Apache-2.0 */
/* Resize, and Upsample which is imported as Resize:
 *
 *     y = Resize(x) {mode coordinate_transformation_mode nearest_mode cubic_coeff_a
 *                    exclude_outside extrapolation_value antialias channels_last
 *                    sizes scales roi}
 *
 * sizes (output dims) and scales are complete, one entry per dim in ONNX's order; with
 * channels_last=1 the data is [N, spatial..., C] nevertheless.  roi (all starts, then
 * all ends) belongs to tf_crop_and_resize. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/op_help.h"

/* The order of the enums in k_resize.c. */
static const char *const coordinates[] = {
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
    "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
/* "outward" is ours, for opset 10: ceil along dims that shrink, floor along others. */
static const char *const roundings[] = {
    "round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "outward", NULL};
enum { FLOOR = 2, CEIL = 3, OUTWARD = 4 };
enum { NEAREST, LINEAR, CUBIC };
enum { TF_CROP = 6 };

static int find(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

static int mode_of(const struct ir_node *n)
{
    return find(modes, ir_attr_str(n, "mode", "nearest"));
}

static int coordinate_of(const struct ir_node *n)
{
    return find(coordinates,
                ir_attr_str(n, "coordinate_transformation_mode", "half_pixel"));
}

static bool is_crop(const struct ir_node *n)
{
    return coordinate_of(n) == TF_CROP;
}

/* ---- import ----------------------------------------------------------------- */

static struct status *sizes_from_scales(const struct ir_node *n, const float *scales,
                                        int64_t *sizes)
{
    const struct ir_value *x = n->in[0];

    for (int d = 0; d < x->rank; d++) {
        const float size = floorf((float)x->dim[d] * scales[d]);
        if (!(scales[d] > 0) || !(size < 1e9f))
            return FAIL_AT(n, INVALID, "scale of dim %d is %g", d, (double)scales[d]);
        sizes[d] = (int64_t)size;
    }
    return OK;
}

/* One factor for all axes: the smallest (or largest) that the sizes ask for. */
static void keep_aspect(const struct ir_value *x, bool larger, int n_axes,
                        const int *axis, int64_t *sizes, float *scales)
{
    float factor = larger ? 0 : INFINITY;

    for (int i = 0; i < n_axes; i++) {
        const float wish = (float)sizes[axis[i]] / (float)x->dim[axis[i]];
        factor = larger ? fmaxf(factor, wish) : fminf(factor, wish);
    }
    for (int i = 0; i < n_axes; i++) {
        scales[axis[i]] = factor;
        sizes[axis[i]] = (int64_t)floorf(factor * (float)x->dim[axis[i]] + 0.5f);
    }
}

static struct status *scales_from_sizes(const struct ir_node *n, int n_axes,
                                        const int *axis, int64_t *sizes, float *scales)
{
    const struct ir_value *x = n->in[0];
    const char *policy = ir_attr_str(n, "keep_aspect_ratio_policy", "stretch");

    for (int d = 0; d < x->rank; d++) {
        if (sizes[d] < 0 || sizes[d] > 1 << 30 || (sizes[d] && !x->dim[d]))
            return FAIL_AT(n, INVALID, "cannot resize dim %d (%lld) to %lld", d,
                           (long long)x->dim[d], (long long)sizes[d]);
        scales[d] = x->dim[d] ? (float)sizes[d] / (float)x->dim[d] : 1;
    }
    if (!strcmp(policy, "not_larger") || !strcmp(policy, "not_smaller"))
        keep_aspect(x, !strcmp(policy, "not_smaller"), n_axes, axis, sizes, scales);
    else if (strcmp(policy, "stretch") != 0)
        return FAIL_AT(n, INVALID, "keep_aspect_ratio_policy is '%s'", policy);
    return OK;
}

static void set_canonical(struct ir_node *n, const int64_t *sizes, const float *scales)
{
    const int rank = n->in[0]->rank;

    op_keep_inputs(n, 1);
    ir_remove_attr(n, "axes");
    ir_remove_attr(n, "keep_aspect_ratio_policy");
    ir_remove_attr(n, "height_scale");
    ir_remove_attr(n, "width_scale");
    ir_set_attr_ints(n, "sizes", rank, sizes);
    ir_set_attr_floats(n, "scales", rank, scales);
}

/* Interpolation happens in float32: other types are converted around it. */
static struct status *through_f32(struct ir_node *n)
{
    const enum dtype dtype = n->in[0]->dtype;

    if (mode_of(n) == NEAREST || dtype == DT_f32 || dtype == DT_f16 || dtype == DT_bf16)
        return OK;
    RETURN_IF_FAIL(op_cast_input(n, 0, DT_f32));
    struct ir_node *resize = ir_node_create(n->graph, n, OP_Resize, n->name, 1, 1);
    resize->onnx_index = n->onnx_index;
    resize->attrs = n->attrs;
    ir_set_input(resize, 0, n->in[0]);
    struct ir_value *y = ir_new_output(resize, 0, NULL);
    RETURN_IF_FAIL(ir_infer(resize));
    n->op = op_from_name("Cast");
    n->attrs = NULL;
    ir_set_attr_int(n, "to", dtype_info[dtype].onnx);
    ir_set_input(n, 0, y);
    return OK;
}

/* Opset 7 to 10: scales only, asymmetric. */
static struct status *import_old(struct ir_node *n, const float *scales, int count,
                                 bool upsample)
{
    const struct ir_value *x = n->in[0];
    int64_t sizes[IR_MAX_RANK];

    if (!scales || count != x->rank)
        return FAIL_AT(n, INVALID, "has %d scales for rank %d", count, x->rank);
    if (!strcmp(ir_attr_str(n, "mode", "nearest"), "bilinear"))
        ir_set_attr_str(n, "mode", "linear");
    RETURN_IF_FAIL(sizes_from_scales(n, scales, sizes));
    ir_set_attr_str(n, "coordinate_transformation_mode", "asymmetric");
    ir_set_attr_str(n, "nearest_mode", upsample ? "floor" : "outward");
    set_canonical(n, sizes, scales);
    return through_f32(n);
}

struct status *import_Upsample(struct ir_node *n, int opset)
{
    const float *scales;
    int count;

    n->op = OP_Resize;
    if (opset < 7) {
        float both[4] = {1, 1, ir_attr_float(n, "height_scale", 1),
                         ir_attr_float(n, "width_scale", 1)};
        return import_old(n, both, 4, true);
    }
    if (opset >= 9) {
        RETURN_IF_FAIL(op_const_floats(n, 1, "scales", &scales, &count));
    } else {
        const struct ir_attr *at = ir_attr(n, "scales");
        scales = at && at->kind == ATTR_FLOATS ? at->floats : NULL;
        count = scales ? at->n : 0;
    }
    return import_old(n, scales, count, true);
}

static struct status *read_resize_axes(struct ir_node *n, int *n_axes, int *axis)
{
    const struct ir_value *x = n->in[0];
    const int64_t *axes = ir_attr_ints(n, "axes", n_axes);

    if (axes)
        return op_axes(n, *n_axes, axes, x->rank, axis);
    *n_axes = x->rank;
    for (int d = 0; d < x->rank; d++)
        axis[d] = d;
    return OK;
}

static struct status *read_roi(struct ir_node *n, int n_axes, const int *axis)
{
    const int rank = n->in[0]->rank;
    float roi[2 * IR_MAX_RANK];
    const float *given;
    int count;

    if (!is_crop(n))
        return OK;
    RETURN_IF_FAIL(op_const_floats(n, 1, "roi", &given, &count));
    if (count != 2 * n_axes)
        return FAIL_AT(n, INVALID, "has %d roi entries for %d axes", count, n_axes);
    for (int d = 0; d < rank; d++) {
        roi[d] = 0;
        roi[rank + d] = 1;
    }
    for (int i = 0; i < n_axes; i++) {
        roi[axis[i]] = given[i];
        roi[rank + axis[i]] = given[n_axes + i];
    }
    ir_set_attr_floats(n, "roi", 2 * rank, roi);
    return OK;
}

struct status *import_Resize(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    int64_t sizes[IR_MAX_RANK];
    float scales[IR_MAX_RANK];
    const float *given_scales;
    const int64_t *given_sizes;
    int n_scales, n_sizes, n_axes, axis[IR_MAX_RANK];

    if (opset < 11) {
        RETURN_IF_FAIL(op_const_floats(n, 1, "scales", &given_scales, &n_scales));
        return import_old(n, given_scales, n_scales, false);
    }
    RETURN_IF_FAIL(op_const_floats(n, 2, "scales", &given_scales, &n_scales));
    RETURN_IF_FAIL(op_const_ints(n, 3, "sizes", &given_sizes, &n_sizes));
    RETURN_IF_FAIL(read_resize_axes(n, &n_axes, axis));
    RETURN_IF_FAIL(read_roi(n, n_axes, axis));
    if ((n_scales && n_scales != n_axes) || (n_sizes && n_sizes != n_axes)
        || !n_scales == !n_sizes)
        return FAIL_AT(n, INVALID, "has %d scales and %d sizes for %d axes", n_scales,
                       n_sizes, n_axes);
    for (int d = 0; d < x->rank; d++) {
        sizes[d] = x->dim[d];
        scales[d] = 1;
    }
    for (int i = 0; i < n_axes; i++) {
        if (n_scales)
            scales[axis[i]] = given_scales[i];
        else
            sizes[axis[i]] = given_sizes[i];
    }
    RETURN_IF_FAIL(n_scales ? sizes_from_scales(n, scales, sizes)
                            : scales_from_sizes(n, n_axes, axis, sizes, scales));
    set_canonical(n, sizes, scales);
    return through_f32(n);
}

/* ---- shape ------------------------------------------------------------------ */

static bool is_last(const struct ir_node *n)
{
    return ir_attr_int(n, "channels_last", 0) != 0;
}

/* Index in ONNX's order of physical dim d. */
static int onnx_dim(const struct ir_node *n, int rank, int d)
{
    if (!is_last(n) || rank < 3 || d == 0)
        return d;
    return d == rank - 1 ? 1 : d + 1;
}

static const float *floats_of(const struct ir_node *n, const char *name, int want)
{
    const struct ir_attr *at = ir_attr(n, name);

    return at && at->kind == ATTR_FLOATS && at->n == want ? at->floats : NULL;
}

struct status *shape_Resize(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int64_t dim[IR_MAX_RANK];
    int count;
    const int64_t *sizes = ir_attr_ints(n, "sizes", &count);
    const float *scales = floats_of(n, "scales", x->rank);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (count != x->rank || !scales || !x->rank)
        return FAIL_AT(n, INVALID, "needs %d sizes and scales", x->rank);
    if (mode_of(n) < 0)
        return FAIL_AT(n, INVALID, "mode is '%s'", ir_attr_str(n, "mode", ""));
    if (coordinate_of(n) < 0)
        return FAIL_AT(n, INVALID, "coordinate_transformation_mode is '%s'",
                       ir_attr_str(n, "coordinate_transformation_mode", ""));
    if (find(roundings, ir_attr_str(n, "nearest_mode", "round_prefer_floor")) < 0)
        return FAIL_AT(n, INVALID, "nearest_mode is '%s'",
                       ir_attr_str(n, "nearest_mode", ""));
    if (is_crop(n) && !floats_of(n, "roi", 2 * x->rank))
        return FAIL_AT(n, INVALID, "needs %d roi entries", 2 * x->rank);
    for (int d = 0; d < x->rank; d++) {
        const int at = onnx_dim(n, x->rank, d);
        if (sizes[at] < 0 || (sizes[at] && !x->dim[d]) || !(scales[at] > 0)
            || x->dim[d] > 1 << 30 || sizes[at] > 1 << 30
            || fabs((double)scales[at] * (double)x->dim[d] - (double)sizes[at]) > 1)
            return FAIL_AT(n, INVALID, "cannot resize dim %d (%lld) to %lld", d,
                           (long long)x->dim[d], (long long)sizes[at]);
        dim[d] = sizes[at];
    }
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

/* ---- lowering --------------------------------------------------------------- */

static struct k_taps taps_of(const struct ir_node *n, int d)
{
    const struct ir_value *x = n->in[0];
    const int at = onnx_dim(n, x->rank, d), mode = mode_of(n);
    const float *roi = floats_of(n, "roi", 2 * x->rank);
    struct k_taps p = {
        .n_in = x->dim[d],
        .n_out = n->out[0]->dim[d],
        .mode = mode,
        .coordinate = coordinate_of(n),
        .rounding =
            find(roundings, ir_attr_str(n, "nearest_mode", "round_prefer_floor")),
        .taps = mode == NEAREST  ? 1
                : mode == LINEAR ? 2
                                 : 4,
        .first = mode == CUBIC ? -1 : 0,
        .antialias = ir_attr_int(n, "antialias", 0) != 0 && mode != NEAREST,
        .exclude_outside = ir_attr_int(n, "exclude_outside", 0) != 0,
        .scale = floats_of(n, "scales", x->rank)[at],
        .roi_start = is_crop(n) ? roi[at] : 0,
        .roi_end = is_crop(n) ? roi[x->rank + at] : 1,
        .cubic_a = ir_attr_float(n, "cubic_coeff_a", -0.75f),
    };

    if (p.rounding == OUTWARD)
        p.rounding = p.scale < 1.0f ? CEIL : FLOOR;
    if (p.antialias && p.scale < 1.0f) {
        p.first = (int64_t)floorf((mode == CUBIC ? -2.0f : -1.0f) / p.scale) + 1;
        p.taps = 2 - 2 * p.first;
    }
    return p;
}

static bool is_identity(const struct k_taps *p)
{
    return p->n_in == p->n_out && p->scale == 1.0f
           && (p->coordinate != TF_CROP || (p->roi_start == 0 && p->roi_end == 1));
}

/* The table of a nearest axis as "element o/repeat*step", when it is that simple. */
static bool is_regular(struct lowering *lw, const struct k_taps *p, int64_t *repeat,
                       int64_t *step)
{
    enum { MOST_OUTPUTS = 1 << 24 };

    if (p->coordinate == TF_CROP || p->n_out > MOST_OUTPUTS)
        return false;

    int32_t *index = arena_new_array(lw->compile->scratch, int32_t, p->n_out);

    kernel_find("resize_taps")->fn(p, (void *[]){index, NULL}, 0, p->n_out);
    *repeat = 1;
    while (*repeat < p->n_out && index[*repeat] == index[0])
        ++*repeat;
    *step = *repeat < p->n_out ? index[*repeat] - index[0] : 1;
    if (p->n_out % *repeat || index[0])
        return false;
    for (int64_t o = 0; o < p->n_out; o++)
        if (index[o] != o / *repeat * *step)
            return false;
    return true;
}

/* Nearest by whole factors is a strided copy. */
static bool can_copy(struct lowering *lw, const struct ir_node *n, int64_t *repeat,
                     int64_t *step)
{
    if (mode_of(n) != NEAREST)
        return false;
    for (int d = 0; d < n->in[0]->rank; d++) {
        const struct k_taps p = taps_of(n, d);
        if (!is_regular(lw, &p, &repeat[d], &step[d]))
            return false;
    }
    return true;
}

static struct status *copy_regular(struct lowering *lw, const struct ir_node *n,
                                   const int64_t *repeat, const int64_t *step)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int64_t from[IR_MAX_RANK], to[IR_MAX_RANK];
    int64_t dim[2 * IR_MAX_RANK], in[2 * IR_MAX_RANK], out[2 * IR_MAX_RANK];

    op_strides(x->rank, x->dim, from);
    op_strides(y->rank, y->dim, to);
    for (int d = 0; d < x->rank; d++) {
        dim[2 * d] = y->dim[d] / repeat[d];
        in[2 * d] = from[d] * step[d];
        out[2 * d] = to[d] * repeat[d];
        dim[2 * d + 1] = repeat[d];
        in[2 * d + 1] = 0;
        out[2 * d + 1] = to[d];
    }
    return op_copy(lw, n, dtype_info[x->dtype].bytes, 2 * x->rank, dim, in, out,
                   op_value(n->in[0]), op_value(n->out[0]));
}

/* A table in temporary memory: indices and weights. */
struct table {
    int index, weight;
    int64_t taps;
};

static struct table make_table(struct lowering *lw, struct k_taps p, bool weighted)
{
    const int64_t n = p.n_out * p.taps;
    struct table t = {.index = lower_temp(lw, n * (int64_t)sizeof(int32_t)),
                      .weight = -1,
                      .taps = p.taps};

    p.weighted = weighted;
    struct kcall *call = lower_call(lw, "resize_taps", &p, p.n_out);
    lower_out_temp(call, t.index);
    if (weighted) {
        t.weight = lower_temp(lw, n * (int64_t)sizeof(float));
        lower_out_temp(call, t.weight);
    }
    return t;
}

/* The axis of one element that stands beside a last axis resized alone. */
static const struct k_taps one_row = {.n_in = 1, .n_out = 1, .taps = 1, .scale = 1};

struct axis_pair {
    int64_t outer, inner;
    struct k_taps h, w;
    bool rows_only; /* w is one_row */
};

static void call_nearest(struct lowering *lw, enum dtype dtype,
                         const struct axis_pair *a, struct kbuf from, struct kbuf to)
{
    const struct table h = make_table(lw, a->h, false), w = make_table(lw, a->w, false);
    const struct k_resize p = {.outer = a->outer,
                               .h = a->h.n_in,
                               .w = a->w.n_in,
                               .inner = a->inner,
                               .out_h = a->h.n_out,
                               .out_w = a->w.n_out};
    struct kcall *call =
        op_call_sized(lw, "resize_nearest", dtype, &p, p.outer * p.out_h);

    op_buf(call, from, 0);
    lower_in_temp(call, h.index);
    lower_in_temp(call, w.index);
    to.written = true;
    op_buf(call, to, 0);
}

static void call_linear(struct lowering *lw, const struct ir_node *n,
                        const struct axis_pair *a, struct kbuf from, struct kbuf to)
{
    struct k_resize p = {.outer = a->outer,
                         .h = a->h.n_in,
                         .w = a->w.n_in,
                         .inner = a->inner,
                         .out_h = a->h.n_out,
                         .out_w = a->w.n_out,
                         .extrapolation = ir_attr_float(n, "extrapolation_value", 0)};
    const struct table h = make_table(lw, a->h, true);
    struct table w = {0};

    if (!a->rows_only)
        w = make_table(lw, a->w, true);
    p.taps_h = h.taps;
    p.taps_w = w.taps;
    struct kcall *call = lower_call(lw, a->rows_only ? "resize_rows_f32" : "resize_f32",
                                    &p, p.outer * p.out_h);
    op_buf(call, from, 0);
    lower_in_temp(call, h.index);
    lower_in_temp(call, h.weight);
    if (!a->rows_only) {
        lower_in_temp(call, w.index);
        lower_in_temp(call, w.weight);
    }
    to.written = true;
    op_buf(call, to, 0);
    if (!a->rows_only)
        lower_scratch(call, p.w * p.inner * (int64_t)sizeof(float));
}

/* Cut the work into pairs of neighbouring axes. */
static int find_pairs(const struct ir_node *n, struct axis_pair *pairs)
{
    const int rank = n->in[0]->rank;
    int64_t dim[IR_MAX_RANK];
    int count = 0;

    memcpy(dim, n->in[0]->dim, sizeof dim);
    for (int d = 0; d < rank; d++) {
        struct axis_pair a = {.h = taps_of(n, d), .w = one_row};
        if (is_identity(&a.h))
            continue;
        int last = d;
        if (d + 1 < rank) {
            const struct k_taps next = taps_of(n, d + 1);
            if (!is_identity(&next)) {
                a.w = next;
                last = d + 1;
            }
        }
        a.rows_only = last == d && d + 1 < rank;
        a.outer = op_product(d, dim);
        a.inner = op_product(rank - last - 1, dim + last + 1);
        if (last == d && !a.rows_only) { /* the last axis alone: a row of columns */
            a.w = a.h;
            a.h = one_row;
        }
        dim[d] = n->out[0]->dim[d];
        dim[last] = n->out[0]->dim[last];
        pairs[count++] = a;
        d = last;
    }
    return count;
}

struct status *lower_Resize(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *x = n->in[0], *y = n->out[0];
    const bool weighted = mode_of(n) != NEAREST || is_crop(n);
    struct axis_pair pairs[IR_MAX_RANK];
    int64_t repeat[IR_MAX_RANK], step[IR_MAX_RANK];

    if (weighted && x->dtype != DT_f32)
        return op_no_kernel(n, x->dtype);
    if (!ir_count(y))
        return OK;
    if (can_copy(lw, n, repeat, step))
        return copy_regular(lw, n, repeat, step);

    const int n_pairs = find_pairs(n, pairs);
    struct kbuf from = op_value(x);
    if (!n_pairs)
        return op_copy_all(lw, n, x, y);
    if (n_pairs > 2)
        return FAIL_AT(n, UNSUPPORTED, "resizes more than four dims");
    for (int i = 0; i < n_pairs; i++) {
        const struct axis_pair *a = &pairs[i];
        const int64_t count = a->outer * a->h.n_out * a->w.n_out * a->inner;
        const struct kbuf to =
            i == n_pairs - 1
                ? op_value(y)
                : op_temp(lower_temp(lw, count * dtype_info[x->dtype].bytes));
        if (weighted)
            call_linear(lw, n, a, from, to);
        else
            call_nearest(lw, x->dtype, a, from, to);
        from = to;
    }
    return OK;
}
