/* SPDX-License-Identifier: Apache-2.0 */
/* Weights and epilogue of an integer convolution in the order in which its tiles read
 * them.
 *
 * Weights: [group][block][kernel row][run][step], and in a step, by int_form
 *
 *     dot   [channel][4]                 and so INT_BYTES
 *     pair  [inputs 0 and 2 | 1 and 3][channel][2]
 *     lane  [4][channel]
 *
 * one byte each.  Of 4 bits, a byte holds an even step (low) and the next one; of
 * INT_BYTES 8 more, so that what takes them apart has no sign to extend.  A last vector
 * with depth has [channel][step][4] of as many steps as it takes at once, behind
 * those of the whole vectors (int_step_place()).
 */
#include <string.h>

#include "codegen/int_shape.h"

struct pack {
    const struct int_conv *c;
    const struct int_tiling *t;
    const struct int_learned *from;
    struct conv v; /* the view */
    struct int_runs runs;
    int64_t filter;       /* weights from one output channel to the next */
    int64_t tap_y, tap_x; /* ... from one kernel row, column of the view to the next */
    int64_t channel;      /* ... from one input channel to the next */
};

static struct pack open_pack(const struct int_conv *c, const struct int_tiling *t,
                             const struct int_learned *from)
{
    const struct conv_tiling turn = {.swapped = t->swapped};
    const struct conv *s = &c->shape;
    struct pack p = {
        .c = c,
        .t = t,
        .from = from,
        .v = conv_view(s, &turn),
        .filter = s->c_in * s->kh * s->kw,
        .tap_y = t->swapped ? 1 : s->kw,
        .tap_x = t->swapped ? s->kw : 1,
        .channel = s->kh * s->kw,
    };

    p.runs = int_runs(&p.v);
    return p;
}

/* ---- blocks of channels ------------------------------------------------------ */

struct block {
    int64_t first, channels; /* of all groups; the rest up to `width` is padding */
    int64_t width;
    int vectors;
    int depth; /* of the last vector */
};

static struct block block_at(const struct pack *p, int64_t group, int64_t i)
{
    const int64_t whole = int_whole_blocks(p->c, p->t), block = int_block_width(p->t);
    const int64_t c_out = p->c->shape.c_out;
    struct block b = {group * c_out + i * block, block, block, p->t->vectors, 1};

    if (i == whole) {
        b.channels = c_out - whole * block;
        b.width = int_tail_width(p->t);
        b.vectors = p->t->tail_vectors;
        b.depth = p->t->tail_depth;
    }
    return b;
}

/* The channel in place `at` of a block; -1: padding. */
static int64_t channel_in(const struct pack *p, const struct block *b, int64_t at)
{
    const int lanes = p->t->lanes;
    const int64_t i =
        int_channel_at(p->c, lanes, b->vectors, (int)(at / lanes), (int)(at % lanes));

    return i < b->channels ? b->first + i : -1;
}

/* ---- weights ----------------------------------------------------------------- */

static int64_t run_source(const struct pack *p, int64_t run, int64_t at)
{
    switch (p->runs.kind) {
    case INT_RUN_ROW:
        return at / p->v.c_in * p->tap_x + at % p->v.c_in * p->channel;
    case INT_RUN_CHANNELS:
        return run * p->tap_x + at * p->channel;
    case INT_RUN_COLUMNS:
        return run * p->channel + at * p->tap_x;
    }
    return 0;
}

static int64_t place_in_step(const struct pack *p, const struct block *b, int64_t at,
                             int64_t d)
{
    switch (p->t->form) {
    case INT_PAIR:
        return d % 2 * b->width * 2 + at * 2 + d / 2;
    case INT_LANE:
        return d * b->width + at;
    case INT_DOT_US:
    case INT_DOT_SU:
    case INT_DOT_SS:
    case INT_BYTES:
        break;
    }
    return at * INT_STEP + d;
}

/* Nothing is stored where there is no weight: 0, which with INT_DOT_SU stands for -128
 * but adds nothing either. */
static void put(const struct pack *p, uint8_t *to, bool upper, int w)
{
    const bool lifted = p->t->form == INT_DOT_SU;

    if (p->c->weight_bits == 8)
        *to = (uint8_t)(lifted ? w + 128 : w);
    else if (p->t->form == INT_BYTES)
        *to ^= (uint8_t)((w & 15) << upper * 4);
    else
        *to |= (uint8_t)(((lifted ? w + 8 : w) & 15) << upper * 4);
}

/* A byte of weights of zero. */
static int nothing(const struct int_tiling *t)
{
    return t->form == INT_BYTES ? 0x88 : 0;
}

/* Where input d of step k of the channel in place `at` goes. */
static int64_t place_of(const struct pack *p, const struct block *b, int64_t k,
                        int64_t at, int64_t d)
{
    const int64_t whole = (b->vectors - 1) * p->t->lanes, narrow = b->width - whole;
    const struct int_step_place step =
        int_step_place(p->c, b->width, narrow, b->depth, k);

    if (b->depth == 1 || at < whole)
        return step.whole + place_in_step(p, b, at, d);
    return step.narrow + ((at - whole) * b->depth + k % b->depth) * INT_STEP + d;
}

/* `source`: the run's first weight of channel 0. */
static void pack_step(const struct pack *p, const struct block *b, int64_t run,
                      int64_t k, const int8_t *source, uint8_t *to)
{
    const int64_t first = int_step_at(&p->runs, k);

    for (int64_t at = 0; at < b->width; at++) {
        const int64_t channel = channel_in(p, b, at);
        const bool deep = at >= (b->vectors - 1) * p->t->lanes;

        for (int64_t d = 0; d < INT_STEP && channel >= 0; d++) {
            if (first + d < k * INT_STEP || first + d >= p->runs.length)
                continue;
            put(p, to + place_of(p, b, k, at, d), k / (deep ? b->depth : 1) % 2,
                source[channel * p->filter + run_source(p, run, first + d)]);
        }
    }
}

static uint8_t *pack_block(const struct pack *p, const struct block *b, uint8_t *to)
{
    const int64_t steps = int_run_steps(&p->runs);
    const int64_t run_bytes = int_steps_bytes(p->c, steps, b->width);

    for (int64_t y = 0; y < p->v.kh; y++) {
        for (int64_t run = 0; run < p->runs.n; run++) {
            for (int64_t k = 0; k < steps; k++)
                pack_step(p, b, run, k, p->from->weights + y * p->tap_y, to);
            to += run_bytes;
        }
    }
    return to;
}

int64_t int_conv_weight_bytes(const struct int_conv *c, const struct int_tiling *t)
{
    const struct pack p = open_pack(c, t, NULL);
    const int64_t row =
        int_steps_bytes(c, int_run_steps(&p.runs), int_group_width(c, t));

    return c->shape.groups * p.v.kh * p.runs.n * row;
}

/* ---- epilogue ---------------------------------------------------------------- */

static int32_t unsigned_view(int32_t code, bool is_signed)
{
    return is_signed ? code + 128 : code;
}

struct int_header int_header_of(const struct int_conv *c,
                                const struct int_learned *from)
{
    struct int_header h = {0};

    if (c->result != INT_CODES)
        return h;
    h.most = (float)(from->out.hi - from->out.zero);
    h.zero = unsigned_view(from->out.zero, c->out_signed);
    h.least = unsigned_view(from->out.lo, c->out_signed);
    h.after = c->has_after ? from->after : 0.0f;
    if (!c->shape.has_residual)
        return h;
    h.mid_most = (float)(from->mid.hi - from->mid.zero);
    h.mid_least = (float)(from->mid.lo - from->mid.zero);
    h.a_factor = from->mid_factor;
    h.b_factor = from->residual_factor;
    h.b_zero = unsigned_view(from->residual_zero, c->residual_signed);
    return h;
}

static int32_t weight_zero(const struct pack *p, int64_t channel)
{
    const struct int_learned *l = p->from;

    return l->weight_zero ? l->weight_zero[l->n_weight_zero == 1 ? 0 : channel] : 0;
}

static bool inside(int64_t output, int64_t tap, int64_t stride, int64_t dilation,
                   int64_t pad, int64_t n)
{
    const int64_t at = output * stride - pad + tap * dilation;

    return at >= 0 && at < n;
}

/* Sum of a channel's weights less their zero point, over the taps of output (y, x). */
static int64_t taps_sum(const struct pack *p, int64_t channel, int64_t y, int64_t x)
{
    const struct conv *v = &p->v;
    const int8_t *w = p->from->weights + channel * p->filter;
    const int64_t zero = weight_zero(p, channel);
    int64_t sum = 0;

    for (int64_t ky = 0; ky < v->kh; ky++)
        for (int64_t kx = 0; kx < v->kw; kx++) {
            if (!inside(y, ky, v->stride_y, v->dilation_y, v->pad_top, v->h)
                || !inside(x, kx, v->stride_x, v->dilation_x, v->pad_left, v->w))
                continue;
            for (int64_t i = 0; i < v->c_in; i++)
                sum += w[ky * p->tap_y + kx * p->tap_x + i * p->channel] - zero;
        }
    return sum;
}

static int32_t bias_at(const struct pack *p, int64_t channel, int64_t y, int64_t x)
{
    const int64_t bias = p->from->bias ? p->from->bias[channel] : 0;
    const int64_t zero = int_form_zero(p->c, p->t->form, p->from->in_zero);

    return (int32_t)(uint32_t)(uint64_t)(bias - zero * taps_sum(p, channel, y, x));
}

enum row { ROW_M, ROW_SLOPE, ROW_ZERO, ROW_BIAS };

static int32_t float_bits(float x)
{
    int32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* One row of all channels, padding included; of a bias, for output (y, x). */
static uint8_t *pack_row(const struct pack *p, enum row kind, int64_t y, int64_t x,
                         uint8_t *to)
{
    for (int64_t g = 0; g < p->v.groups; g++)
        for (int64_t i = 0; i < int_blocks(p->c, p->t); i++) {
            const struct block b = block_at(p, g, i);

            for (int64_t at = 0; at < b.width; at++) {
                const int64_t channel = channel_in(p, &b, at);
                int32_t value = 0;

                if (channel >= 0)
                    value = kind == ROW_M       ? float_bits(p->from->m[channel])
                            : kind == ROW_SLOPE ? float_bits(p->from->slope[channel])
                            : kind == ROW_ZERO  ? weight_zero(p, channel)
                                                : bias_at(p, channel, y, x);
                memcpy(to, &value, sizeof value);
                to += sizeof value;
            }
        }
    return to;
}

int64_t int_conv_epilogue_bytes(const struct int_conv *c, const struct int_tiling *t)
{
    const struct pack p = open_pack(c, t, NULL);
    const int64_t classes = int_bias_rows(c, &p.v).n * int_bias_columns(c, &p.v).n;
    const int64_t rows =
        (c->result != INT_ACC) + c->has_slopes + c->weight_zeros + classes;

    return (int64_t)sizeof(struct int_header)
           + rows * c->shape.groups * int_group_width(c, t) * 4;
}

static void pack_epilogue(const struct pack *p, uint8_t *to)
{
    const struct int_classes rows = int_bias_rows(p->c, &p->v);
    const struct int_classes columns = int_bias_columns(p->c, &p->v);
    const struct int_header h = int_header_of(p->c, p->from);

    memcpy(to, &h, sizeof h);
    to += sizeof h;
    if (p->c->result != INT_ACC)
        to = pack_row(p, ROW_M, 0, 0, to);
    if (p->c->has_slopes)
        to = pack_row(p, ROW_SLOPE, 0, 0, to);
    if (p->c->weight_zeros)
        to = pack_row(p, ROW_ZERO, 0, 0, to);
    for (int64_t y = 0; y < rows.n; y++)
        for (int64_t x = 0; x < columns.n; x++)
            to = pack_row(p, ROW_BIAS, int_class_output(&rows, p->v.oh, y),
                          int_class_output(&columns, p->v.ow, x), to);
}

void int_conv_pack(const struct int_conv *c, const struct int_tiling *t,
                   const struct int_learned *from, uint8_t *weights, uint8_t *epilogue)
{
    const struct pack p = open_pack(c, t, from);

    memset(weights, nothing(t), (size_t)int_conv_weight_bytes(c, t));
    for (int64_t g = 0; g < c->shape.groups; g++)
        for (int64_t i = 0; i < int_blocks(c, t); i++) {
            const struct block b = block_at(&p, g, i);

            weights = pack_block(&p, &b, weights);
        }
    pack_epilogue(&p, epilogue);
}
