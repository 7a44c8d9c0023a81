/* SPDX-License-Identifier: Apache-2.0 */
/* An integer convolution with random numbers, and what is right, by plain loops over
 * docs/numerics.md's formulas and the oracle's rounding. */
#ifndef HADMC_TESTS_INT_CONV_WORK_H
#define HADMC_TESTS_INT_CONV_WORK_H

#include <math.h>

#include "tests/int_work.h"

struct int_conv_work {
    struct int_conv c;
    uint8_t *in, *residual, *want;
    int8_t *weights;
    int32_t *weight_zero, *bias;
    float *m, *slope, after;
    int32_t in_zero;
    struct oracle_output y, mid;
    struct oracle_quant other; /* the residual's */
    int64_t n_in, n_residual, n_want, channels, filter;
};

static inline int64_t out_size(int64_t in, int64_t pads, int64_t k, int64_t stride,
                               int64_t dilation)
{
    return (in + pads - (k - 1) * dilation - 1) / stride + 1;
}

/* One h x w image and a k x k kernel, the same in both directions; one channel in one
 * group until the caller says more and sets the strides. */
static inline struct conv square_window(int64_t h, int64_t w, int64_t k, int64_t stride,
                                        int64_t dilation, int64_t pad)
{
    return (struct conv){
        .n = 1,
        .h = h,
        .w = w,
        .groups = 1,
        .c_in = 1,
        .c_out = 1,
        .kh = k,
        .kw = k,
        .stride_y = stride,
        .stride_x = stride,
        .dilation_y = dilation,
        .dilation_x = dilation,
        .pad_top = pad,
        .pad_left = pad,
        .oh = out_size(h, 2 * pad, k, stride, dilation),
        .ow = out_size(w, 2 * pad, k, stride, dilation),
    };
}

/* Contiguous NHWC or NCHW inputs, NHWC outputs with `gap` unused elements a pixel. */
static inline void set_strides(struct conv *c, bool nchw, int64_t gap)
{
    const int64_t in = c->groups * c->c_in, out = c->groups * c->c_out + gap;

    c->in_x = nchw ? 1 : in;
    c->in_y = c->w * c->in_x;
    c->in_c = nchw ? c->h * c->w : 1;
    c->in_n = c->h * c->w * in;
    c->out_x = out;
    c->out_y = c->ow * out;
    c->out_n = c->oh * c->ow * out;
    c->res_x = out + gap;
    c->res_y = c->ow * c->res_x;
    c->res_n = c->oh * c->res_y;
}

static inline int32_t weight_zero_of(const struct int_conv_work *w, int64_t channel)
{
    return w->weight_zero ? w->weight_zero[channel] : 0;
}

/* Modulo 2^32, as accumulators are. */
static inline int32_t window_sum(const struct int_conv_work *w, int64_t n, int64_t o,
                                 int64_t y, int64_t x)
{
    const struct conv *c = &w->c.shape;
    const int64_t g = o / c->c_out;
    const int8_t *filter = w->weights + o * w->filter;
    int64_t sum = w->bias ? w->bias[o] : 0;

    for (int64_t i = 0; i < c->c_in; i++)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++) {
                const int64_t row = y * c->stride_y - c->pad_top + ky * c->dilation_y;
                const int64_t column =
                    x * c->stride_x - c->pad_left + kx * c->dilation_x;

                if (row < 0 || row >= c->h || column < 0 || column >= c->w)
                    continue; /* the code in_zero */
                const int32_t q = code_at(w->in,
                                          n * c->in_n + (g * c->c_in + i) * c->in_c
                                              + row * c->in_y + column * c->in_x,
                                          w->c.in_signed);

                sum += (int64_t)(q - w->in_zero)
                       * (filter[(i * c->kh + ky) * c->kw + kx] - weight_zero_of(w, o));
            }
    CHECK(sum >= INT32_MIN && sum <= INT32_MAX);
    return (int32_t)sum;
}

/* One float operation after the other, as docs/numerics.md has them. */
static inline float shaped(const struct int_conv_work *w, int64_t o, float x)
{
    const struct conv *c = &w->c.shape;
    float t;

    switch (c->act) {
    case ACT_NONE:
        t = x;
        break;
    case ACT_RELU:
        t = x > 0 ? x : 0;
        break;
    case ACT_CLIP:
        t = fminf(fmaxf(x, c->act_a), c->act_b);
        break;
    case ACT_LEAKY:
        t = x > 0 ? x : (w->c.has_slopes ? w->slope[o] : c->act_a) * x;
        break;
    case ACT_HARDSWISH:
        t = x * 0.166666667f;
        t = t + 0.5f;
        t = x * fminf(fmaxf(t, 0), 1);
        break;
    case ACT_HARDSIGMOID:
        t = c->act_a * x;
        t = t + c->act_b;
        t = fminf(fmaxf(t, 0), 1);
        break;
    default:
        CHECK(false);
        t = 0;
    }
    return w->c.has_after ? t * w->after : t;
}

static inline void want_one(struct int_conv_work *w, int64_t at, int64_t residual_at,
                            int64_t o, int32_t acc)
{
    const float t = shaped(w, o, oracle_float(acc) * w->m[o]);
    int32_t code;

    if (w->c.result == INT_ACC) {
        memcpy(w->want + at * 4, &acc, sizeof acc);
        return;
    }
    if (w->c.result == INT_FLOAT) {
        memcpy(w->want + at * 4, &t, sizeof t);
        return;
    }
    if (w->c.shape.has_residual) {
        const int64_t dim[4] = {1, 1, 1, 1};
        const struct oracle_quant mid = {w->mid.scale, w->mid.zero};
        const int32_t a = oracle_settle((double)t, &w->mid);
        const int32_t b = code_at(w->residual, residual_at, w->c.residual_signed);

        oracle_binary(ORACLE_ADD, &a, dim, mid, &b, dim, w->other, &w->y, &code);
    } else {
        code = oracle_settle((double)t, &w->y);
    }
    w->want[at] = (uint8_t)code;
}

static inline void compute_want(struct int_conv_work *w)
{
    const struct conv *c = &w->c.shape;

    for (int64_t n = 0; n < c->n; n++)
        for (int64_t y = 0; y < c->oh; y++)
            for (int64_t x = 0; x < c->ow; x++)
                for (int64_t o = 0; o < w->channels; o++)
                    want_one(w, n * c->out_n + y * c->out_y + x * c->out_x + o,
                             n * c->res_n + y * c->res_y + x * c->res_x + o, o,
                             window_sum(w, n, o, y, x));
}

/* Multipliers that leave most results within a code's range. */
static inline void random_scales(struct int_conv_work *w)
{
    const struct oracle_output *to = w->c.shape.has_residual ? &w->mid : &w->y;

    for (int64_t o = 0; o < w->channels; o++) {
        const double typical = 4000.0 * sqrt((double)w->filter);
        const float s_w =
            (float)((double)random_in(1, 200) * (double)to->scale / typical);

        w->m[o] = oracle_multiplier(1.0f, s_w, to->scale);
        if (random_in(0, 5) == 0)
            w->m[o] = 0.0625f; /* halves are frequent: ties */
    }
}

static inline void random_zeros(struct int_conv_work *w)
{
    const int lo = w->c.weight_bits == 4 ? -8 : -128, hi = -lo - 1;

    if (!w->c.weight_zeros)
        return;
    w->weight_zero = malloc((size_t)w->channels * sizeof *w->weight_zero);
    for (int64_t o = 0; o < w->channels; o++)
        w->weight_zero[o] = (int32_t)random_in(lo, hi);
}

static inline void random_biases(struct int_conv_work *w)
{
    w->bias = malloc((size_t)w->channels * sizeof *w->bias);
    for (int64_t o = 0; o < w->channels; o++)
        w->bias[o] = (int32_t)random_in(-20000, 20000);
    w->bias[0] = 1 << 24; /* accumulators about 2^24, where floats round */
}

static inline struct int_conv_work make_int_work(struct int_conv c)
{
    const struct conv *s = &c.shape;
    const int64_t element = c.result == INT_CODES ? 1 : 4;
    const int in_lo = c.in_signed ? -128 : 0, bound = c.weight_bits == 4 ? 8 : 128;
    struct int_conv_work w = {.c = c};

    w.channels = s->groups * s->c_out;
    w.filter = s->c_in * s->kh * s->kw;
    w.n_in = s->n * s->in_n;
    w.n_residual = s->n * s->res_n;
    w.n_want = s->n * s->out_n * element;
    w.in = guarded(w.n_in, 0);
    w.residual = guarded(w.n_residual, 0);
    w.want = guarded(w.n_want, 0x5a);
    w.weights = (int8_t *)guarded(w.channels * w.filter, 0);
    w.m = malloc((size_t)w.channels * sizeof *w.m);
    random_codes(w.in, w.n_in, in_lo, in_lo + 255);
    random_codes(w.residual, w.n_residual, 0, 255);
    random_codes((uint8_t *)w.weights, w.channels * w.filter, -bound, bound - 1);
    w.in_zero = random_in(0, 3) ? (int32_t)random_in(in_lo, in_lo + 255) : 0;
    w.y = random_output(c.out_signed, 0.5f);
    w.mid = random_output(random_in(0, 1), 0.75f);
    w.other.scale = 0.3f;
    w.other.zero = (int32_t)random_in(0, 255) - (c.residual_signed ? 128 : 0);
    w.after = (float)random_in(1, 100) / 8;
    w.slope = malloc((size_t)w.channels * sizeof *w.slope);
    for (int64_t o = 0; o < w.channels; o++)
        w.slope[o] = (float)random_in(-40, 100) / 100;
    random_scales(&w);
    random_zeros(&w);
    random_biases(&w);
    compute_want(&w);
    return w;
}

static inline struct int_learned learned_of(const struct int_conv_work *w)
{
    return (struct int_learned){
        .weights = w->weights,
        .weight_zero = w->weight_zero,
        .n_weight_zero = w->channels,
        .bias = w->bias,
        .m = w->m,
        .after = w->after,
        .slope = w->slope,
        .in_zero = w->in_zero,
        .out = codes_of(&w->y),
        .mid = codes_of(&w->mid),
        .mid_factor = oracle_multiplier(w->mid.scale, 1, w->y.scale),
        .residual_factor = oracle_multiplier(w->other.scale, 1, w->y.scale),
        .residual_zero = w->other.zero,
    };
}

/* One bias for all outputs where that is enough. */
static inline struct int_conv as_seen_by(const struct int_conv_work *w,
                                         const struct isa *isa)
{
    struct int_conv c = w->c;

    c.even_bias = int_conv_zero(&c, isa, w->in_zero) == 0;
    return c;
}

static inline struct int_conv as_depthwise_seen_by(const struct int_conv_work *w,
                                                   const struct isa *isa)
{
    struct int_conv c = w->c;

    c.even_bias = int_depthwise_zero(&c, isa, w->in_zero) == 0;
    return c;
}

static inline void free_int_work(struct int_conv_work *w)
{
    release(w->in);
    release(w->residual);
    release(w->want);
    release((uint8_t *)w->weights);
    free(w->weight_zero);
    free(w->bias);
    free(w->m);
    free(w->slope);
}

static inline void describe_int(const struct int_conv *ic, const struct int_tiling *t,
                                const struct isa *isa)
{
    const struct conv *c = &ic->shape;

    print_error(
        "%s %s form %d: n %ld in %ldx%ldx%ldx%ld out %ldx%ldx%ld kernel %ldx%ld "
        "stride %ldx%ld dilation %ldx%ld pad %ld,%ld in_c %ld bits %d zeros %d "
        "signed %d%d%d act %d,%d residual %d result %d tile %dx%d tail %dx%d,%d rows "
        "%ld "
        "chunks %ld swapped %d\n",
        isa->cpu, isa->features, t->form, (long)c->n, (long)c->groups, (long)c->c_in,
        (long)c->h, (long)c->w, (long)c->c_out, (long)c->oh, (long)c->ow, (long)c->kh,
        (long)c->kw, (long)c->stride_y, (long)c->stride_x, (long)c->dilation_y,
        (long)c->dilation_x, (long)c->pad_top, (long)c->pad_left, (long)c->in_c,
        ic->weight_bits, ic->weight_zeros, ic->in_signed, ic->out_signed,
        ic->residual_signed, c->act, ic->has_after + 2 * ic->has_slopes,
        c->has_residual, ic->result, t->pixels, t->vectors, t->tail_pixels,
        t->tail_vectors, t->tail_lanes, (long)t->rows, (long)t->chunks, t->swapped);
}

static inline int64_t odd_size(int64_t lo, int64_t hi)
{
    return random_in(0, 3) ? random_in(lo, hi) : random_in(lo, lo + 3);
}

/* Of half of those with scaled sums. */
static inline void random_activation(struct int_conv *c)
{
    struct conv *s = &c->shape;

    if (c->result == INT_ACC || random_in(0, 1))
        return;
    s->act = (enum activation)random_in(ACT_RELU, ACT_HARDSIGMOID);
    s->act_a = s->act == ACT_CLIP ? -20.0f : 0.25f;
    s->act_b = s->act == ACT_CLIP ? 30.0f : 0.5f;
    c->has_after = c->result == INT_CODES && random_in(0, 1);
    c->has_slopes = s->act == ACT_LEAKY && random_in(0, 1);
}

static inline struct int_conv random_int_conv(void)
{
    struct int_conv c = {
        .shape =
            {
                .n = random_in(1, 2),
                .h = random_in(1, 16),
                .w = random_in(1, 30),
                .groups = random_in(0, 2) ? 1 : random_in(2, 4),
                .c_in = odd_size(1, 40),
                .c_out = odd_size(1, 90),
                .kh = random_in(1, 4),
                .kw = random_in(1, 5),
                .stride_y = random_in(1, 3),
                .stride_x = random_in(1, 3),
                .dilation_y = random_in(1, 2),
                .dilation_x = random_in(1, 3),
                .pad_top = random_in(0, 4),
                .pad_left = random_in(0, 4),
                .has_residual = random_in(0, 3) == 0,
            },
        .in_signed = random_in(0, 1),
        .out_signed = random_in(0, 1),
        .residual_signed = random_in(0, 1),
        .weight_zeros = random_in(0, 2) == 0,
        .weight_bits = random_in(0, 3) ? 8 : 4,
        .result = random_in(0, 3) ? INT_CODES : (enum int_result)random_in(1, 2),
    };
    struct conv *s = &c.shape;
    const int64_t bottom = random_in(0, 4), right = random_in(0, 4);
    const int64_t oh =
        out_size(s->h, s->pad_top + bottom, s->kh, s->stride_y, s->dilation_y);
    const int64_t ow =
        out_size(s->w, s->pad_left + right, s->kw, s->stride_x, s->dilation_x);

    if (c.result != INT_CODES)
        s->has_residual = false;
    random_activation(&c);
    s->oh = oh > 0 ? oh : 1;
    s->ow = ow > 0 ? ow : 1;
    set_strides(s, random_in(0, 3) == 0, random_in(0, 3));
    return c;
}

static inline struct int_conv random_int_depthwise(void)
{
    struct int_conv c = {
        .shape =
            {
                .n = random_in(1, 2),
                .h = random_in(1, 16),
                .w = random_in(1, 20),
                .groups = random_in(1, 150),
                .c_in = 1,
                .c_out = 1,
                .kh = random_in(1, 5),
                .kw = random_in(1, 6),
                .stride_y = random_in(1, 3),
                .stride_x = random_in(1, 3),
                .dilation_y = random_in(1, 2),
                .dilation_x = random_in(1, 2),
                .pad_top = random_in(0, 4),
                .pad_left = random_in(0, 4),
                .has_residual = random_in(0, 3) == 0,
            },
        .in_signed = random_in(0, 1),
        .out_signed = random_in(0, 1),
        .residual_signed = random_in(0, 1),
        .weight_zeros = random_in(0, 2) == 0,
        .weight_bits = 8,
        .result = random_in(0, 2) ? INT_CODES : (enum int_result)random_in(1, 2),
    };
    struct conv *s = &c.shape;
    const int64_t bottom = random_in(0, 4), right = random_in(0, 4);
    const int64_t oh =
        out_size(s->h, s->pad_top + bottom, s->kh, s->stride_y, s->dilation_y);
    const int64_t ow =
        out_size(s->w, s->pad_left + right, s->kw, s->stride_x, s->dilation_x);

    if (c.result != INT_CODES)
        s->has_residual = false;
    random_activation(&c);
    s->oh = oh > 0 ? oh : 1;
    s->ow = ow > 0 ? ow : 1;
    set_strides(s, false, random_in(0, 3));
    return c;
}

#endif /* HADMC_TESTS_INT_CONV_WORK_H */
