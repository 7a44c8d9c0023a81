/* SPDX-License-Identifier: Apache-2.0 */
/* Operators with an emitted kernel: recognised, described in numbers, extended by
 * the operators that their epilogue can do.
 *
 * Convolutions and pools are taken in channels-last form (attribute channels_last,
 * set by the layout pass); Gemm and MatMul with constant right operand are 1 x 1
 * convolutions over rows.  A Transpose or Slice in front is read through by strides
 * where that costs nothing.
 */
#include <math.h>
#include <string.h>

#include "codegen/hot.h"
#include "kernels/half.h"

enum { FEW_CHANNELS = 8 };

/* ---- convolution and pooling -------------------------------------------- */

static int64_t attr_at(const struct ir_node *n, const char *name, int i,
                       int64_t otherwise)
{
    int count;
    const int64_t *v = ir_attr_ints(n, name, &count);

    return v && i < count ? v[i] : otherwise;
}

/* Window, sizes and dense channels-last strides; a 1-D signal is an image of one row.
 */
static void fill_window(const struct ir_node *n, const int64_t *kernel, struct conv *c)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    const bool flat = x->rank == 3;
    const int last = x->rank - 2; /* index of the x dim */
    const int sx = flat ? 0 : 1;  /* its position in attributes */

    c->n = x->dim[0];
    c->h = flat ? 1 : x->dim[1];
    c->w = x->dim[last];
    c->oh = flat ? 1 : y->dim[1];
    c->ow = y->dim[last];
    c->kh = flat ? 1 : kernel[0];
    c->kw = kernel[sx];
    c->stride_y = flat ? 1 : attr_at(n, "strides", 0, 1);
    c->stride_x = attr_at(n, "strides", sx, 1);
    c->dilation_y = flat ? 1 : attr_at(n, "dilations", 0, 1);
    c->dilation_x = attr_at(n, "dilations", sx, 1);
    c->pad_top = flat ? 0 : attr_at(n, "pads", 0, 0);
    c->pad_left = attr_at(n, "pads", sx, 0);
}

void hot_fill_strides(struct conv *c, int64_t in_channels, int64_t out_channels)
{
    c->in_c = 1;
    c->in_x = in_channels;
    c->in_y = c->w * c->in_x;
    c->in_n = c->h * c->in_y;
    c->out_x = out_channels;
    c->out_y = c->ow * c->out_x;
    c->out_n = c->oh * c->out_y;
    c->res_x = c->out_x;
    c->res_y = c->out_y;
    c->res_n = c->out_n;
}

bool hot_is_channels_last(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];

    return ir_attr_int(n, "channels_last", 0) && !x->dynamic
           && (x->rank == 3 || x->rank == 4) && ir_count(n->out[0]) > 0
           && ir_count(x) > 0;
}

static bool is_window_of_floats(const struct ir_node *n)
{
    return hot_is_channels_last(n) && n->in[0]->dtype == DT_f32;
}

struct hot *hot_new(struct builder *b, enum step_kind kind, const struct ir_node *n)
{
    struct hot *h = arena_new(b->arena, struct hot);

    h->kind = kind;
    h->main = n;
    h->in = n->in[0];
    h->out = n->out[0];
    h->alpha = h->beta = 1.0f;
    h->covers = op_info[n->op].name;
    return h;
}

void hot_read_in_place(struct builder *b, struct hot *h)
{
    const int rank = h->in->rank;
    struct conv *c = &h->conv;
    struct strided s = hot_look_behind(b, h->in, HOT_MAX_HOPS);
    const bool few = (h->kind == STEP_CONV || h->kind == STEP_INT_CONV)
                     && c->c_in * c->groups <= FEW_CHANNELS;

    while (s.n_hops > 0 && !few && (s.transposed || s.stride[rank - 1] != 1))
        s = hot_look_behind(b, h->in, s.n_hops - 1);
    if (s.n_hops == 0)
        return;
    hot_cover(b, &s);
    h->in = s.base;
    h->in_offset = s.offset * dtype_info[h->in->dtype].bytes;
    c->in_n = s.stride[0];
    c->in_y = rank == 4 ? s.stride[1] : 0;
    c->in_x = s.stride[rank - 2];
    c->in_c = s.stride[rank - 1];
}

void hot_fill_convolution(const struct ir_node *n, const struct ir_value *w,
                          struct conv *c)
{
    const int64_t groups = ir_attr_int(n, "group", 1);

    fill_window(n, w->dim + 2, c);
    c->groups = groups;
    c->c_in = w->dim[1];
    c->c_out = w->dim[0] / groups;
    hot_fill_strides(c, c->c_in * groups, c->c_out * groups);
}

static bool is_finite(const struct ir_value *v)
{
    const uint16_t *at = v->data;

    for (int64_t i = 0; i < ir_count(v); i++)
        if ((at[i] & 0x7c00) == 0x7c00)
            return false;
    return true;
}

struct ir_value *hot_learned(const struct ir_node *n)
{
    struct ir_value *w = n->in[1];

    if (w->dtype != DT_f32 || w->data)
        return w->dtype == DT_f32 ? w : NULL;
    if (!w->def || w->def->op != OP_Cast)
        return NULL;
    w = w->def->in[0];
    return w->data && w->dtype == DT_f16 && is_finite(w) ? w : NULL;
}

bool hot_stores_halves(const struct builder *b, const struct ir_value *w)
{
    const float *at = w->data;

    if (w->dtype == DT_f16)
        return true;
    if (!b->compile->narrow_weights)
        return false;
    for (int64_t i = 0; i < ir_count(w); i++)
        if (!(fabsf(at[i]) <= 65504.0f) || f32_of_f16(f16_of_f32(at[i])) != at[i])
            return false;
    return true;
}

static struct hot *recognise_conv(struct builder *b, const struct ir_node *n)
{
    struct ir_value *w = hot_learned(n);

    if (!is_window_of_floats(n) || !w)
        return NULL;
    struct hot *h = hot_new(b, STEP_CONV, n);
    struct conv *c = &h->conv;

    hot_fill_convolution(n, w, c);
    c->half_weights = hot_stores_halves(b, w);
    h->weights = w;
    h->bias = ir_in(n, 2);
    c->has_bias = h->bias != NULL;
    if (c->groups > 1 && c->c_in == 1 && c->c_out == 1)
        h->kind = STEP_DEPTHWISE;
    hot_read_in_place(b, h);
    return h;
}

static struct hot *recognise_transpose(struct builder *b, const struct ir_node *n)
{
    struct ir_value *w = hot_learned(n);

    if (!is_window_of_floats(n) || !w)
        return NULL;
    struct hot *h = hot_new(b, STEP_CONV, n);
    struct conv *c = &h->conv;

    fill_window(n, w->dim + 2, c);
    c->groups = ir_attr_int(n, "group", 1);
    c->c_in = w->dim[0] / c->groups;
    c->c_out = w->dim[1];
    c->half_weights = hot_stores_halves(b, w);
    hot_fill_strides(c, c->c_in * c->groups, c->c_out * c->groups);
    if (!hot_transpose_fits(c))
        return NULL;
    h->transposed = true;
    h->weights = w;
    h->bias = ir_in(n, 2);
    c->has_bias = h->bias != NULL;
    if (c->groups > 1 && c->c_in == 1 && c->c_out == 1)
        h->kind = STEP_DEPTHWISE;
    return h;
}

static struct hot *recognise_pool(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const bool of_floats = x->dtype == DT_f32;
    int64_t kernel[2];

    if (!hot_is_channels_last(n) || (n->n_out > 1 && n->out[1])
        || (!of_floats && !hot_is_int_pool(n)))
        return NULL;
    for (int i = 0; i < x->rank - 2; i++)
        kernel[i] = attr_at(n, "kernel_shape", i, 1);
    struct hot *h = hot_new(b, of_floats ? STEP_POOL : STEP_INT_POOL, n);

    fill_window(n, kernel, &h->conv);
    h->conv.groups = x->dim[x->rank - 1];
    h->conv.c_in = h->conv.c_out = 1;
    hot_fill_strides(&h->conv, h->conv.groups, h->conv.groups);
    h->pool_max = n->op == OP_MaxPool;
    h->count_pad = ir_attr_int(n, "count_include_pad", 0) != 0;
    hot_read_in_place(b, h);
    return h;
}

struct hot *hot_recognise(struct builder *b, const struct ir_node *n)
{
    struct hot *h = NULL;

    switch (n->op) {
    case OP_Conv:
        h = recognise_conv(b, n);
        break;
    case OP_ConvTranspose:
        h = recognise_transpose(b, n);
        break;
    case OP_Gemm:
        h = hot_recognise_gemm(b, n);
        break;
    case OP_MatMul:
        h = hot_recognise_matmul(b, n);
        break;
    case OP_MaxPool:
    case OP_AveragePool:
    case OP_QLinearAveragePool:
        h = recognise_pool(b, n);
        break;
    case OP_QLinearConv:
    case OP_ConvInteger:
        h = hot_recognise_int_conv(b, n);
        break;
    case OP_QLinearMatMul:
    case OP_MatMulInteger:
        h = hot_recognise_int_matmul(b, n);
        break;
    default:
        break;
    }
    if (h && h->kind == STEP_CONV && !h->transposed)
        h->tiling = conv_tile(&h->conv, b->isa);
    return h;
}

/* ---- weights and steps -------------------------------------------------- */

const float *hot_real_weights(struct builder *b, const struct hot *h)
{
    const int64_t n = ir_count(h->weights);

    if (h->weights->dtype == DT_f32)
        return h->weights->data;
    const uint16_t *from = h->weights->data;
    float *to = arena_new_array(b->compile->scratch, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = f32_of_f16(from[i]);
    return to;
}

int hot_weights_tensor(struct builder *b, const struct hot *h, const float *packed,
                       int64_t n)
{
    const void *data = packed;

    if (h->conv.half_weights) {
        uint16_t *to = arena_new_array(b->arena, uint16_t, n);

        for (int64_t i = 0; i < n; i++)
            to[i] = f16_of_f32(packed[i]);
        data = to;
    }
    return build_const(b, h->weights->name, data, n * conv_weight_bytes(&h->conv),
                       HOT_READABLE_AFTER);
}

static const float *ordered_weights(struct builder *b, const struct hot *h)
{
    const float *from = hot_real_weights(b, h);
    const int64_t n = ir_count(h->weights);
    const int64_t k = h->conv.c_in, cols = h->conv.c_out;

    if (!h->weights_transposed && h->alpha == 1.0f)
        return from;
    float *to = arena_new_array(b->compile->scratch, float, n);

    for (int64_t i = 0; i < n; i++)
        to[h->weights_transposed ? i % cols * k + i / cols : i] = from[i] * h->alpha;
    return to;
}

static int pack_weights(struct builder *b, const struct hot *h)
{
    const int64_t n = ir_count(h->weights);
    float *to = arena_new_array(b->arena, float, n);
    const float *from = ordered_weights(b, h);

    if (h->kind == STEP_DEPTHWISE)
        depthwise_pack(&h->conv, from, to);
    else
        conv_pack(&h->conv, &h->tiling, from, to);
    return hot_weights_tensor(b, h, to, n);
}

static int bias_tensor(struct builder *b, const struct hot *h)
{
    if (!h->bias)
        return OPERAND_ABSENT;
    if (h->beta == 1.0f)
        return build_tensor(b, h->bias);
    const float *from = h->bias->data;
    const int64_t n = ir_count(h->bias);
    float *to = arena_new_array(b->arena, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] * h->beta;
    return build_const(b, h->bias->name, to, ir_bytes(h->bias), 0);
}

int64_t hot_flops(const struct conv *c)
{
    return 2 * c->n * c->oh * c->ow * c->groups * c->c_out * c->c_in * c->kh * c->kw;
}

static void describe(struct builder *b, struct step *s, const struct hot *h)
{
    const struct conv *c = &h->conv;

    s->covers = h->covers;
    if (h->kind == STEP_MATMUL) {
        s->u.matmul = h->matmul;
        s->n_units = matmul_units(&h->matmul, b->isa);
        s->scratch_bytes = (matmul_scratch_bytes(&h->matmul, b->isa) + 63) / 64 * 64;
        s->flops = 2 * h->matmul.batch * h->matmul.m * h->matmul.n * h->matmul.k;
        return;
    }
    if (h->kind == STEP_POOL) {
        s->u.conv.conv = *c;
        s->u.conv.pool_max = h->pool_max;
        s->u.conv.count_pad = h->count_pad;
        s->n_units = pool_units(c);
        return;
    }
    s->u.conv.conv = *c;
    s->u.conv.tiling = h->tiling;
    s->n_units =
        h->kind == STEP_CONV ? conv_units(c, &h->tiling) : depthwise_units(c, b->isa);
    if (h->kind == STEP_CONV)
        s->scratch_bytes = (conv_scratch_bytes(c, &h->tiling) + 63) / 64 * 64;
    s->flops = hot_flops(c);
}

void hot_add_step(struct builder *b, const struct hot *h, const struct hot_places *at)
{
    const int in = build_tensor(b, h->in);
    const int bias = bias_tensor(b, h);
    const int residual = h->residual ? build_tensor(b, h->residual) : OPERAND_ABSENT;
    const int out = build_tensor(b, h->out);
    struct step *s = build_step(b, h->kind, h->main);

    build_operand(s, in, h->in_offset + at->in, false);
    build_operand(s, at->weights, h->weights_offset, false);
    build_operand(s, bias, 0, false);
    build_operand(s, residual, residual < 0 ? 0 : at->out, false);
    build_operand(s, out, at->out, true);
    describe(b, s, h);
}

void hot_step(struct builder *b, const struct hot *h)
{
    struct hot_places at = {.weights = OPERAND_ABSENT};

    if (h->transposed) {
        hot_transpose_steps(b, h);
        return;
    }
    if (h->kind == STEP_INT_CONV || h->kind == STEP_INT_DEPTHWISE) {
        hot_int_step(b, h);
        return;
    }
    if (h->kind == STEP_INT_POOL) {
        hot_int_pool_step(b, h);
        return;
    }
    if (h->kind == STEP_MATMUL)
        at.weights = build_tensor(b, h->weights);
    else if (h->kind != STEP_POOL)
        at.weights = pack_weights(b, h);
    hot_add_step(b, h, &at);
}
