/* SPDX-License-Identifier: Apache-2.0 */
/* Conv, ConvTranspose, ConvInteger, QLinearConv.
 *
 *     y = Conv(x, w[, b]) {kernel_shape strides dilations pads group channels_last}
 *
 * x [N, C, spatial...] (or channels last), w [M, C/group, kernel...], b [M].
 * ConvTranspose: w [C, M/group, kernel...], output_padding spelled out, output_shape
 * turned into pads.  The integer forms keep their ONNX operands; QLinearConv has one
 * more: limits i32[2], least and most code of y, for an activation that it has taken. */
#include <string.h>

#include "frontend/op_help.h"
#include "frontend/op_window.h"

enum { X, W, B };
/* QLinearConv */
enum { QX, QX_SCALE, QX_ZERO, QW, QW_SCALE, QW_ZERO, QY_SCALE, QY_ZERO, QB, QLIMITS };

static const int64_t *kernel_of(const struct ir_value *w)
{
    return w->dim + 2;
}

static struct status *check_weights(const struct ir_node *n, const struct ir_value *x,
                                    const struct ir_value *w)
{
    if (w->rank != x->rank)
        return FAIL_AT(n, INVALID, "weights '%s' have rank %d but input '%s' has %d",
                       w->name, w->rank, x->name, x->rank);
    return OK;
}

static struct status *check_bias(const struct ir_node *n, const struct ir_value *b,
                                 int64_t channels)
{
    if (b && (b->rank != 1 || b->dim[0] != channels))
        return FAIL_AT(n, INVALID,
                       "bias '%s' does not have one entry per channel (%lld)", b->name,
                       (long long)channels);
    return OK;
}

static struct status *read_group(const struct ir_node *n, int64_t c_in,
                                 int64_t per_group, int64_t c_out, int64_t *out)
{
    *out = ir_attr_int(n, "group", 1);
    if (*out < 1 || c_in % *out || c_out % *out)
        return FAIL_AT(n, INVALID, "cannot cut %lld and %lld channels into %lld groups",
                       (long long)c_in, (long long)c_out, (long long)*out);
    if (c_in / *out != per_group)
        return FAIL_AT(
            n, INVALID,
            "has %lld input channels in %lld groups but weights for %lld each",
            (long long)c_in, (long long)*out, (long long)per_group);
    return OK;
}

/* ---- Conv ------------------------------------------------------------------- */

struct status *import_Conv(struct ir_node *n, int opset)
{
    (void)opset;
    RETURN_IF_FAIL(check_weights(n, n->in[X], n->in[W]));
    return window_import(n, kernel_of(n->in[W]));
}

/* Shape of a convolution with input and weights at operands x and w. */
static struct status *conv_out(const struct ir_node *n, int x_at, int w_at, int b_at,
                               int64_t dim[IR_MAX_RANK], int *rank)
{
    const struct ir_value *x = n->in[x_at], *w = n->in[w_at];
    struct window win;
    int64_t group, spatial[3];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(check_weights(n, x, w));
    RETURN_IF_FAIL(window_read(n, x, kernel_of(w), &win));
    RETURN_IF_FAIL(read_group(n, win.channels, w->dim[1], w->dim[0], &group));
    RETURN_IF_FAIL(check_bias(n, ir_in(n, b_at), w->dim[0]));
    for (int d = 0; d < 3; d++)
        RETURN_IF_FAIL(window_out(n, &win, d, false, &spatial[d]));
    *rank = window_dims(&win, w->dim[0], spatial, dim);
    return OK;
}

struct status *shape_Conv(struct ir_node *n)
{
    int64_t dim[IR_MAX_RANK];
    int rank;

    RETURN_IF_FAIL(op_same_dtype(n, X, W));
    RETURN_IF_FAIL(op_same_dtype(n, X, B));
    RETURN_IF_FAIL(conv_out(n, X, W, B, dim, &rank));
    op_set_out(n, 0, n->in[X]->dtype, rank, dim);
    return OK;
}

/* Everything but the operands, for convolution of `x` with `w` into `y`. */
static struct status *conv_params(const struct ir_node *n, const struct ir_value *x,
                                  const struct ir_value *w, const struct ir_value *y,
                                  struct k_conv *p, struct window *win)
{
    RETURN_IF_FAIL(window_read(n, x, kernel_of(w), win));
    *p = (struct k_conv){.n = win->batch, .groups = ir_attr_int(n, "group", 1)};
    p->c_in = win->channels / p->groups;
    p->c_out = y->dim[win->channels_last ? y->rank - 1 : 1] / p->groups;
    for (int d = 0; d < 3; d++) {
        p->in[d] = win->in[d];
        p->kernel[d] = win->kernel[d];
        p->stride[d] = win->stride[d];
        p->dilation[d] = win->dilation[d];
        p->pad[d] = win->pad[d];
        const int at = d - (3 - win->n_spatial);
        p->out[d] = at < 0 ? 1 : y->dim[at + (win->channels_last ? 1 : 2)];
    }
    window_strides(win, win->channels, p->in, &p->in_n, &p->in_c, p->in_s);
    window_strides(win, p->c_out * p->groups, p->out, &p->out_n, &p->out_c, p->out_s);
    return OK;
}

static int64_t taps_of(const struct k_conv *p)
{
    return p->kernel[0] * p->kernel[1] * p->kernel[2];
}

/* A 1 x 1 convolution does not see the image: one row of all pixels. */
static void flatten_pointwise(struct k_conv *p)
{
    for (int d = 0; d < 3; d++)
        if (p->kernel[d] != 1 || p->stride[d] != 1 || p->pad[d]
            || p->in[d] != p->out[d])
            return;
    p->in[2] = p->out[2] = op_product(3, p->in);
    p->in[0] = p->in[1] = p->out[0] = p->out[1] = 1;
}

static void call_conv(struct lowering *lw, const struct ir_node *n, const char *kernel,
                      const struct k_conv *p, int64_t units, struct kbuf weights)
{
    struct kcall *call = lower_call(lw, kernel, p, units);

    lower_in(call, n->in[X]);
    op_buf(call, weights, 0);
    if (p->has_bias)
        lower_in(call, n->in[B]);
    lower_out(call, n->out[0]);
}

/* [groups, a, b, taps] -> [groups, taps, (c_in, c_out)]: output channels innermost,
 * for kernels that run along them. */
static struct status *pack(struct lowering *lw, const struct ir_node *n,
                           const struct k_conv *p, bool transposed, struct kbuf *out)
{
    const int64_t taps = taps_of(p), ci = p->c_in, co = p->c_out;
    const int64_t dim[] = {p->groups, taps, ci, co};
    const int64_t from[] = {ci * co * taps, 1, transposed ? co * taps : taps,
                            transposed ? taps : ci * taps};
    const int64_t to[] = {taps * ci * co, ci * co, co, 1};

    *out = op_temp(lower_temp(lw, p->groups * taps * ci * co * (int64_t)sizeof(float)));
    return op_copy(lw, n, sizeof(float), 4, dim, from, to, op_value(n->in[W]), *out);
}

/* Depthwise: [channels, taps] -> [taps, channels]. */
static struct status *pack_each(struct lowering *lw, const struct ir_node *n,
                                const struct k_conv *p, struct kbuf *out)
{
    const int64_t taps = taps_of(p);
    const int64_t dim[] = {taps, p->groups}, from[] = {1, taps}, to[] = {p->groups, 1};

    *out = op_temp(lower_temp(lw, p->groups * taps * (int64_t)sizeof(float)));
    return op_copy(lw, n, sizeof(float), 2, dim, from, to, op_value(n->in[W]), *out);
}

struct status *lower_Conv(struct lowering *lw, const struct ir_node *n)
{
    struct k_conv p;
    struct window win;
    struct kbuf weights = op_value(n->in[W]);

    RETURN_IF_FAIL(op_only_f32(n, n->in[X]->dtype));
    RETURN_IF_FAIL(conv_params(n, n->in[X], n->in[W], n->out[0], &p, &win));
    p.has_bias = ir_in(n, B) != NULL;
    const int64_t rows = p.n * p.out[0] * p.out[1];
    if (win.channels_last) {
        const bool each = p.c_in == 1 && p.c_out == 1;
        RETURN_IF_FAIL(each ? pack_each(lw, n, &p, &weights)
                            : pack(lw, n, &p, false, &weights));
        call_conv(lw, n, each ? "conv_each_f32" : "conv_last_f32", &p, rows, weights);
    } else {
        flatten_pointwise(&p);
        call_conv(lw, n, "conv_f32", &p,
                  p.n * p.out[0] * p.out[1] * p.groups * ((p.c_out + 3) / 4), weights);
    }
    return OK;
}

/* ---- ConvTranspose ---------------------------------------------------------- */

/* Output length without padding taken off. */
static int64_t transpose_full(const struct window *w, int d, int64_t output_padding)
{
    return (w->in[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] + 1
           + output_padding;
}

static struct status *read_output_padding(const struct ir_node *n,
                                          const struct window *w, int64_t out[3])
{
    int count;
    const int64_t *v = ir_attr_ints(n, "output_padding", &count);

    memset(out, 0, 3 * sizeof *out);
    if (count && count != w->n_spatial)
        return FAIL_AT(n, INVALID, "output_padding has %d entries but needs %d", count,
                       w->n_spatial);
    for (int i = 0; i < count; i++) {
        if (v[i] < 0 || v[i] > 1 << 30)
            return FAIL_AT(n, INVALID, "output_padding has the entry %lld",
                           (long long)v[i]);
        out[3 - w->n_spatial + i] = v[i];
    }
    return OK;
}

/* Pads that give the asked-for lengths; where full is too short, more is padded at the
 * end of the output. */
static void pads_for(const struct window *w, const int64_t *want, bool upper,
                     int64_t output_padding[3], int64_t *pads)
{
    for (int i = 0; i < w->n_spatial; i++) {
        const int d = 3 - w->n_spatial + i;
        const int64_t total = transpose_full(w, d, output_padding[d]) - want[i];
        if (total < 0)
            output_padding[d] -= total;
        const int64_t cut = total > 0 ? total : 0;
        pads[i] = upper ? cut / 2 : cut - cut / 2;
        pads[w->n_spatial + i] = cut - pads[i];
    }
}

struct status *import_ConvTranspose(struct ir_node *n, int opset)
{
    const char *auto_pad = ir_attr_str(n, "auto_pad", "NOTSET");
    const bool upper = !strcmp(auto_pad, "SAME_UPPER");
    const bool same = upper || !strcmp(auto_pad, "SAME_LOWER");
    struct window w;
    int64_t extra[3], pads[6], want[3] = {0};
    int count;

    (void)opset;
    RETURN_IF_FAIL(check_weights(n, n->in[X], n->in[W]));
    if (same)
        ir_set_attr_str(n, "auto_pad", "VALID"); /* the rule here is another one */
    RETURN_IF_FAIL(window_import(n, kernel_of(n->in[W])));
    RETURN_IF_FAIL(window_read(n, n->in[X], kernel_of(n->in[W]), &w));
    RETURN_IF_FAIL(read_output_padding(n, &w, extra));

    const int64_t *shape = ir_attr_ints(n, "output_shape", &count);
    if (count && count != w.n_spatial && count != w.n_spatial + 2)
        return FAIL_AT(n, INVALID, "output_shape has %d entries but needs %d", count,
                       w.n_spatial);
    for (int i = 0; i < w.n_spatial; i++) {
        const int d = 3 - w.n_spatial + i;
        want[i] = count ? shape[count - w.n_spatial + i] : w.in[d] * w.stride[d];
        if (want[i] < 0 || want[i] > 1 << 30)
            return FAIL_AT(n, INVALID, "output_shape has the entry %lld",
                           (long long)want[i]);
    }
    if (count || same) {
        pads_for(&w, want, upper, extra, pads);
        ir_set_attr_ints(n, "pads", 2 * w.n_spatial, pads);
    }
    ir_set_attr_ints(n, "output_padding", w.n_spatial, extra + 3 - w.n_spatial);
    ir_remove_attr(n, "output_shape");
    return OK;
}

struct status *shape_ConvTranspose(struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *w = n->in[W];
    struct window win;
    int64_t group, extra[3], spatial[3], dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_same_dtype(n, X, W));
    RETURN_IF_FAIL(op_same_dtype(n, X, B));
    RETURN_IF_FAIL(check_weights(n, x, w));
    RETURN_IF_FAIL(window_read(n, x, kernel_of(w), &win));
    group = ir_attr_int(n, "group", 1);
    if (group < 1 || win.channels % group || w->dim[0] != win.channels)
        return FAIL_AT(n, INVALID, "has %lld input channels but weights for %lld",
                       (long long)win.channels, (long long)w->dim[0]);
    if (w->dim[1] > INT32_MAX / group)
        return FAIL_AT(n, INVALID, "has too many output channels");
    const int64_t c_out = w->dim[1] * group;
    RETURN_IF_FAIL(check_bias(n, ir_in(n, B), c_out));
    RETURN_IF_FAIL(read_output_padding(n, &win, extra));
    for (int d = 0; d < 3; d++) {
        if (win.in[d] > 1 << 30)
            return FAIL_AT(n, UNSUPPORTED, "input is too large");
        spatial[d] = transpose_full(&win, d, extra[d]) - win.pad[d] - win.pad_end[d];
        if (spatial[d] < 0 || win.in[d] < 1)
            return FAIL_AT(n, INVALID, "its pads leave nothing of the output");
    }
    op_set_out(n, 0, x->dtype, window_dims(&win, c_out, spatial, dim), dim);
    return OK;
}

struct status *lower_ConvTranspose(struct lowering *lw, const struct ir_node *n)
{
    struct k_conv p;
    struct window win;
    struct kbuf weights = op_value(n->in[W]);

    RETURN_IF_FAIL(op_only_f32(n, n->in[X]->dtype));
    RETURN_IF_FAIL(conv_params(n, n->in[X], n->in[W], n->out[0], &p, &win));
    p.has_bias = ir_in(n, B) != NULL;
    const int64_t rows = p.n * p.out[0] * p.out[1];
    if (win.channels_last)
        RETURN_IF_FAIL(pack(lw, n, &p, true, &weights));
    call_conv(lw, n,
              win.channels_last ? "conv_transpose_last_f32" : "conv_transpose_f32", &p,
              win.channels_last ? rows : rows * p.groups * p.c_out, weights);
    return OK;
}

/* ---- integers --------------------------------------------------------------- */

static struct status *check_bytes(const struct ir_node *n, int x, int w)
{
    for (int k = 0; k < 2; k++) {
        const struct ir_value *v = n->in[k ? w : x];
        if (!op_is_byte(v->dtype))
            return FAIL_AT(n, INVALID, "input '%s' is %s but must be 8-bit integers",
                           v->name, dtype_info[v->dtype].name);
    }
    return OK;
}

/* A scale or zero point: one number, or one per channel where `channels` is not 0. */
static struct status *check_scale(const struct ir_node *n, int i, enum dtype dtype,
                                  int64_t channels)
{
    const struct ir_value *v = ir_in(n, i);

    if (!v)
        return OK;
    RETURN_IF_FAIL(op_check_dtype(n, i, dtype));
    if (ir_count(v) != 1 && !(channels && v->rank == 1 && v->dim[0] == channels))
        return FAIL_AT(n, INVALID, "input '%s' is not one number%s", v->name,
                       channels ? ", nor one per channel" : "");
    return OK;
}

struct status *import_ConvInteger(struct ir_node *n, int opset)
{
    return import_Conv(n, opset);
}

struct status *shape_ConvInteger(struct ir_node *n)
{
    int64_t dim[IR_MAX_RANK];
    int rank;

    RETURN_IF_FAIL(check_bytes(n, X, W));
    RETURN_IF_FAIL(conv_out(n, X, W, -1, dim, &rank));
    RETURN_IF_FAIL(check_scale(n, 2, n->in[X]->dtype, 0));
    RETURN_IF_FAIL(check_scale(n, 3, n->in[W]->dtype, n->in[W]->dim[0]));
    op_set_out(n, 0, DT_i32, rank, dim);
    return OK;
}

struct status *lower_ConvInteger(struct lowering *lw, const struct ir_node *n)
{
    struct ir_value *x = n->in[X], *w = n->in[W], *xz = ir_in(n, 2), *wz = ir_in(n, 3);
    struct k_conv p;
    struct window win;
    char name[32];

    RETURN_IF_FAIL(conv_params(n, x, w, n->out[0], &p, &win));
    flatten_pointwise(&p);
    p.has_x_zero = xz != NULL;
    p.has_w_zero = wz != NULL;
    p.per_channel = wz && ir_count(wz) != 1;
    snprintf(name, sizeof name, "conv_int_%s%s", dtype_info[x->dtype].name,
             dtype_info[w->dtype].name);
    struct kcall *call =
        lower_call(lw, name, &p, p.n * p.groups * p.c_out * p.out[0] * p.out[1]);
    lower_in(call, x);
    lower_in(call, w);
    if (xz)
        lower_in(call, xz);
    if (wz)
        lower_in(call, wz);
    lower_out(call, n->out[0]);
    lower_scratch(call, p.out[2] * (int64_t)sizeof(int32_t));
    return OK;
}

struct status *import_QLinearConv(struct ir_node *n, int opset)
{
    (void)opset;
    RETURN_IF_FAIL(check_weights(n, n->in[QX], n->in[QW]));
    return window_import(n, kernel_of(n->in[QW]));
}

struct status *shape_QLinearConv(struct ir_node *n)
{
    int64_t dim[IR_MAX_RANK];
    int rank;

    RETURN_IF_FAIL(check_bytes(n, QX, QW));
    RETURN_IF_FAIL(conv_out(n, QX, QW, QB, dim, &rank));
    const int64_t channels = n->in[QW]->dim[0];
    RETURN_IF_FAIL(check_scale(n, QX_SCALE, DT_f32, 0));
    RETURN_IF_FAIL(check_scale(n, QX_ZERO, n->in[QX]->dtype, 0));
    RETURN_IF_FAIL(check_scale(n, QW_SCALE, DT_f32, channels));
    RETURN_IF_FAIL(check_scale(n, QW_ZERO, n->in[QW]->dtype, channels));
    RETURN_IF_FAIL(check_scale(n, QY_SCALE, DT_f32, 0));
    if (!op_is_byte(n->in[QY_ZERO]->dtype))
        return FAIL_AT(n, INVALID, "its output zero point is not an 8-bit integer");
    RETURN_IF_FAIL(check_scale(n, QY_ZERO, n->in[QY_ZERO]->dtype, 0));
    if (ir_count(n->in[QW_SCALE]) != ir_count(n->in[QW_ZERO]))
        return FAIL_AT(n, INVALID, "has %lld weight scales but %lld zero points",
                       (long long)ir_count(n->in[QW_SCALE]),
                       (long long)ir_count(n->in[QW_ZERO]));
    if (ir_in(n, QB) && n->in[QB]->dtype != DT_i32)
        return FAIL_AT(n, INVALID, "its bias is not int32");
    RETURN_IF_FAIL(op_check_limits(n, QLIMITS));
    op_set_out(n, 0, n->in[QY_ZERO]->dtype, rank, dim);
    return OK;
}

struct status *lower_QLinearConv(struct lowering *lw, const struct ir_node *n)
{
    struct k_conv p;
    struct window win;
    char name[40];

    RETURN_IF_FAIL(conv_params(n, n->in[QX], n->in[QW], n->out[0], &p, &win));
    flatten_pointwise(&p);
    p.has_bias = ir_in(n, QB) != NULL;
    p.has_limits = ir_in(n, QLIMITS) != NULL;
    p.per_channel = ir_count(n->in[QW_SCALE]) != 1;
    snprintf(name, sizeof name, "conv_quant_%s%s_%s", dtype_info[n->in[QX]->dtype].name,
             dtype_info[n->in[QW]->dtype].name, dtype_info[n->out[0]->dtype].name);
    struct kcall *call =
        lower_call(lw, name, &p, p.n * p.groups * p.c_out * p.out[0] * p.out[1]);
    for (int i = 0; i <= QLIMITS; i++)
        if (ir_in(n, i))
            lower_in(call, n->in[i]);
    lower_out(call, n->out[0]);
    lower_scratch(call, p.out[2] * (int64_t)sizeof(int32_t));
    return OK;
}
