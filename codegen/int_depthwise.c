/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and packing integer depthwise convolutions: see int_depthwise.h. */
#include "codegen/int_depthwise.h"
#include "codegen/whole.h"

#include <string.h>

enum {
    MAX_TAPS = 64,       /* that are written out; else kernel rows are a loop */
    STRIP_ROWS = 8,      /* output rows of a unit, about */
    UNIT_CYCLES = 40000, /* work worth handing to a thread */
    OUTPUT_CYCLES = 12,  /* of a vector of outputs, about */
};

/* Zero points of weights are subtracted by the packer, which takes more than 8 bits. */
static int group_of(const struct int_conv *c, const struct isa *isa)
{
    if (isa->dot && !c->weight_zeros)
        return 4;
    return isa->lane_fma ? 1 : 2;
}

/* x86 wants unsigned inputs, Arm's products of bytes signed ones. */
static bool flips(const struct int_conv *c, const struct isa *isa, int group)
{
    if (isa->lane_fma)
        return group == 4 && !c->in_signed;
    return c->in_signed;
}

/* Pixels follow each other without a gap, and a vector has room for two. */
static bool folds(const struct conv *s, const struct isa *isa)
{
    return 2 * s->groups <= isa->vector_bytes && s->stride_x <= 2
           && s->in_x == s->groups && s->out_x == s->groups
           && (!s->has_residual || s->res_x == s->groups);
}

/* As many as fit and leave no rest. */
static int fold_of(const struct conv *s, const struct isa *isa)
{
    int fold = folds(s, isa) ? isa->vector_bytes / (int)s->groups : 1;

    while (s->ow % fold)
        fold--;
    return fold;
}

struct conv int_depthwise_view(const struct conv *c,
                               const struct int_depthwise_cut *cut)
{
    struct conv v = *c;

    v.groups *= cut->fold;
    v.ow /= cut->fold;
    v.stride_x *= cut->fold;
    v.out_x *= cut->fold;
    v.res_x *= cut->fold;
    return v;
}

/* The view with windows of `columns`, those of a vector's last pixel included. */
static struct conv widened(const struct conv *c, const struct int_depthwise_cut *cut,
                           int64_t columns)
{
    struct conv v = int_depthwise_view(c, cut);

    v.kw = (columns - 1) * c->dilation_x + 1 + (cut->fold - 1) * c->stride_x;
    v.dilation_x = 1;
    return v;
}

struct int_classes int_depthwise_bias_columns(const struct int_conv *c,
                                              const struct int_depthwise_cut *cut)
{
    const struct conv v = widened(&c->shape, cut, c->shape.kw);

    return int_bias_columns(c, &v);
}

static int tail_bytes(int64_t channels, int bytes)
{
    int n = 16;

    while (n < channels)
        n *= 2;
    return channels == 0 ? 0 : n < bytes ? n : bytes;
}

static void cut_tile(const struct conv *s, const struct isa *isa,
                     struct int_depthwise_cut *cut)
{
    const int sums = isa->n_registers > 16 ? 4 : 2; /* times four vectors */

    cut->row_loop = s->kh * s->kw > MAX_TAPS;
    cut->rows = sums == 4 && !cut->row_loop && s->oh > 1 ? 2 : 1;
    cut->pixels = sums / cut->rows;
    if (cut->pixels > s->ow)
        cut->pixels = (int)s->ow;
}

static void cut_units(const struct conv *s, struct int_depthwise_cut *cut)
{
    const int64_t vectors = cut->vectors + (cut->tail_bytes > 0);

    cut->strip = ceil_div(STRIP_ROWS, cut->rows) * cut->rows;
    cut->chunk = ceil_div(UNIT_CYCLES, cut->strip * s->ow * OUTPUT_CYCLES);
    if (cut->chunk > vectors)
        cut->chunk = vectors;
}

struct int_depthwise_cut int_depthwise_cut(const struct int_conv *c,
                                           const struct isa *isa)
{
    struct int_depthwise_cut cut = {.fold = fold_of(&c->shape, isa),
                                    .group = group_of(c, isa)};
    const struct conv view = int_depthwise_view(&c->shape, &cut), *s = &view;

    cut.groups = (int)ceil_div(s->kw, cut.group);
    cut.share = s->dilation_x == 1
                        && ceil_div(s->kw + s->stride_x, cut.group) == cut.groups
                        && cut.group > 1
                    ? 2
                    : 1;
    cut.flipped = flips(c, isa, cut.group);
    cut.bytes = isa->vector_bytes;
    cut.vectors = s->groups / cut.bytes;
    cut.tail_bytes = tail_bytes(s->groups % cut.bytes, cut.bytes);
    cut_tile(s, isa, &cut);
    cut_units(s, &cut);
    return cut;
}

void int_depthwise_fields(const struct int_conv *c, const struct isa *isa,
                          int64_t out[INT_DEPTHWISE_FIELDS])
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);
    const int64_t all[INT_DEPTHWISE_FIELDS] = {cut.group,   cut.groups, cut.share,
                                               cut.flipped, cut.bytes,  cut.tail_bytes,
                                               cut.fold};

    memcpy(out, all, sizeof all);
}

int64_t int_depthwise_width(const struct int_depthwise_cut *cut)
{
    return cut->vectors * cut->bytes + cut->tail_bytes;
}

int64_t int_depthwise_row_bytes(const struct int_depthwise_cut *cut, int64_t bytes)
{
    const int64_t weight = cut->group == 4 ? 1 : 2;

    return (int64_t)cut->groups * cut->share * bytes * cut->group * weight;
}

struct conv int_depthwise_reach(const struct conv *c,
                                const struct int_depthwise_cut *cut)
{
    return widened(c, cut, max64((int64_t)cut->groups * cut->group, c->kw));
}

int64_t int_depthwise_units(const struct int_conv *c, const struct isa *isa)
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);
    const int64_t vectors = cut.vectors + (cut.tail_bytes > 0);

    return c->shape.n * ceil_div(vectors, cut.chunk) * ceil_div(c->shape.oh, cut.strip);
}

int64_t int_depthwise_weight_bytes(const struct int_conv *c, const struct isa *isa)
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);

    return c->shape.kh * int_depthwise_row_bytes(&cut, int_depthwise_width(&cut));
}

int64_t int_depthwise_epilogue_bytes(const struct int_conv *c, const struct isa *isa)
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);
    const int64_t classes =
        int_bias_rows(c, &c->shape).n * int_depthwise_bias_columns(c, &cut).n;

    return (int64_t)sizeof(struct int_header)
           + (1 + c->has_slopes + classes) * int_depthwise_width(&cut) * 4;
}

/* ---- packing ----------------------------------------------------------------- */

struct pack {
    const struct int_conv *c;
    const struct int_learned *from;
    struct int_depthwise_cut cut;
    struct conv view;
};

/* The view's channel in place `at` of all padded ones, -1 for padding. */
static int64_t channel_in(const struct pack *p, int64_t at)
{
    const int64_t vector = at / p->cut.bytes;
    const int lanes = (vector < p->cut.vectors ? p->cut.bytes : p->cut.tail_bytes) / 4;
    const int64_t in_vector = at % p->cut.bytes;
    const int64_t channel =
        vector * p->cut.bytes
        + int_woven_channel((int)(in_vector / lanes), (int)(in_vector % lanes));

    return channel < p->view.groups ? channel : -1;
}

/* The convolution's channel. */
static int64_t channel_of(const struct pack *p, int64_t viewed)
{
    return viewed % p->c->shape.groups;
}

static int32_t weight_zero(const struct pack *p, int64_t channel)
{
    const struct int_learned *l = p->from;

    return l->weight_zero ? l->weight_zero[l->n_weight_zero == 1 ? 0 : channel] : 0;
}

/* Weight of a tap less its zero point; 0 where there is none. */
static int32_t weight_at(const struct pack *p, int64_t viewed, int64_t ky, int64_t kx)
{
    const struct conv *s = &p->c->shape;

    if (viewed < 0 || kx < 0 || kx >= s->kw)
        return 0;
    const int64_t channel = channel_of(p, viewed);

    return p->from->weights[(channel * s->kh + ky) * s->kw + kx]
           - weight_zero(p, channel);
}

/* One kernel row's weights of a vector of `bytes` channels, from place `at` on. */
static uint8_t *pack_row(const struct pack *p, int64_t at, int64_t bytes, int64_t ky,
                         uint8_t *to)
{
    const struct int_depthwise_cut *cut = &p->cut;

    for (int g = 0; g < cut->groups; g++)
        for (int v = 0; v < cut->share; v++)
            for (int64_t i = 0; i < bytes; i++)
                for (int k = 0; k < cut->group; k++) {
                    const int64_t kx =
                        (int64_t)g * cut->group + k - v * p->view.stride_x;
                    const int16_t w =
                        (int16_t)weight_at(p, channel_in(p, at + i), ky, kx);

                    if (cut->group == 4) {
                        *to++ = (uint8_t)w;
                    } else {
                        memcpy(to, &w, sizeof w);
                        to += sizeof w;
                    }
                }
    return to;
}

static bool inside(int64_t output, int64_t tap, int64_t stride, int64_t dilation,
                   int64_t pad, int64_t n)
{
    const int64_t at = output * stride - pad + tap * dilation;

    return at >= 0 && at < n;
}

static int32_t zero_of(const struct int_conv *c, const struct int_depthwise_cut *cut,
                       int32_t in_zero)
{
    return in_zero + (!cut->flipped ? 0 : c->in_signed ? 128 : -128);
}

int32_t int_depthwise_zero(const struct int_conv *c, const struct isa *isa,
                           int32_t in_zero)
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);

    return zero_of(c, &cut, in_zero);
}

/* Of the view's output (y, x). */
static int32_t bias_at(const struct pack *p, int64_t viewed, int64_t y, int64_t x)
{
    const struct conv *s = &p->c->shape;
    int64_t sum = 0;

    x = x * p->cut.fold + viewed / s->groups;

    for (int64_t ky = 0; ky < s->kh; ky++)
        for (int64_t kx = 0; kx < s->kw; kx++)
            if (inside(y, ky, s->stride_y, s->dilation_y, s->pad_top, s->h)
                && inside(x, kx, s->stride_x, s->dilation_x, s->pad_left, s->w))
                sum += weight_at(p, viewed, ky, kx);

    const int64_t bias = p->from->bias ? p->from->bias[channel_of(p, viewed)] : 0;

    const int64_t zero = zero_of(p->c, &p->cut, p->from->in_zero);

    return (int32_t)(uint32_t)(uint64_t)(bias - zero * sum);
}

static uint8_t *put_word(const void *word, uint8_t *to)
{
    memcpy(to, word, 4);
    return to + 4;
}

/* One number for each channel, in the order in which results are finished. */
static uint8_t *put_row(const struct pack *p, const float *row, uint8_t *to)
{
    const int64_t width = int_depthwise_width(&p->cut);

    for (int64_t at = 0; at < width; at++) {
        const int64_t channel = p->c->result == INT_CODES ? channel_in(p, at)
                                : at < p->view.groups     ? at
                                                          : -1;
        const float x = channel < 0 || !row ? 0.0f : row[channel_of(p, channel)];

        to = put_word(&x, to);
    }
    return to;
}

static void pack_epilogue(const struct pack *p, uint8_t *to)
{
    const struct conv *s = &p->view;
    const struct int_classes rows = int_bias_rows(p->c, s);
    const struct int_classes columns = int_depthwise_bias_columns(p->c, &p->cut);
    const struct int_header h = int_header_of(p->c, p->from);
    const int64_t width = int_depthwise_width(&p->cut);

    memcpy(to, &h, sizeof h);
    to += sizeof h;
    to = put_row(p, p->from->m, to);
    if (p->c->has_slopes)
        to = put_row(p, p->from->slope, to);
    for (int64_t y = 0; y < rows.n; y++)
        for (int64_t x = 0; x < columns.n; x++)
            for (int64_t at = 0; at < width; at++) {
                const int64_t channel = channel_in(p, at);
                const int32_t bias =
                    channel < 0 ? 0
                                : bias_at(p, channel, int_class_output(&rows, s->oh, y),
                                          int_class_output(&columns, s->ow, x));

                to = put_word(&bias, to);
            }
}

void int_depthwise_pack(const struct int_conv *c, const struct isa *isa,
                        const struct int_learned *from, uint8_t *weights,
                        uint8_t *epilogue)
{
    const struct int_depthwise_cut cut = int_depthwise_cut(c, isa);
    const struct pack p = {c, from, cut, int_depthwise_view(&c->shape, &cut)};
    const int64_t width = int_depthwise_width(&p.cut);

    for (int64_t at = 0; at < width; at += p.cut.bytes) {
        const int64_t rest = width - at;
        const int64_t bytes = rest < p.cut.bytes ? rest : p.cut.bytes;

        for (int64_t ky = 0; ky < c->shape.kh; ky++)
            weights = pack_row(&p, at, bytes, ky, weights);
    }
    pack_epilogue(&p, epilogue);
}
