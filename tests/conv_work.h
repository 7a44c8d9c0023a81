/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of emitted convolutions and the plain loop that says what is right. */
#ifndef HADMC_TESTS_CONV_WORK_H
#define HADMC_TESTS_CONV_WORK_H

#include <math.h>

#include "kernels/half.h"
#include "tests/jit.h"
#include "tests/test.h"

/* A description and memory for it; `guard` floats around every operand are NaN, so
 * that reading outside shows. */
struct work {
    struct conv c;
    struct conv_tiling t;
    float *in, *onnx, *packed, *bias, *residual, *out, *want;
    int64_t n_in, n_weights, n_out, n_res;
    float tolerance; /* relative and absolute; 0: 1e-4 */
};

enum { GUARD = 64 };

static uint64_t work_seed = 1;

static inline int64_t random_in(int64_t lo, int64_t hi)
{
    work_seed = work_seed * 6364136223846793005u + 1442695040888963407u;
    return lo + (int64_t)((work_seed >> 33) % (uint64_t)(hi - lo + 1));
}

static inline float *guarded(int64_t n)
{
    float *all = malloc((size_t)(n + 2 * GUARD) * sizeof *all);

    for (int64_t i = 0; i < n + 2 * GUARD; i++)
        all[i] = i < GUARD || i >= GUARD + n ? NAN : (float)random_in(-64, 64) / 64;
    return all + GUARD;
}

static inline void release(float *p)
{
    if (p)
        free(p - GUARD);
}

static inline float activate(float x, enum activation act, float a, float b)
{
    switch (act) {
    case ACT_NONE:
        return x;
    case ACT_RELU:
        return x > 0 ? x : 0;
    case ACT_CLIP:
        return fminf(fmaxf(x, a), b);
    case ACT_LEAKY:
        return x > 0 ? x : a * x;
    case ACT_HARDSWISH:
        return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
    case ACT_HARDSIGMOID:
        return fminf(fmaxf(a * x + b, 0), 1);
    }
    return x;
}

static inline double sum_window(const struct work *w, int64_t n, int64_t g, int64_t o,
                                int64_t y, int64_t x)
{
    const struct conv *c = &w->c;
    const float *filter = w->onnx + (g * c->c_out + o) * c->c_in * c->kh * c->kw;
    double sum = 0;

    for (int64_t i = 0; i < c->c_in; i++)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++) {
                const int64_t row = y * c->stride_y - c->pad_top + ky * c->dilation_y;
                const int64_t column =
                    x * c->stride_x - c->pad_left + kx * c->dilation_x;

                if (row < 0 || row >= c->h || column < 0 || column >= c->w)
                    continue;
                sum += (double)filter[(i * c->kh + ky) * c->kw + kx]
                       * (double)w->in[n * c->in_n + (g * c->c_in + i) * c->in_c
                                       + row * c->in_y + column * c->in_x];
            }
    return sum;
}

static inline void compute_want(struct work *w)
{
    const struct conv *c = &w->c;

    for (int64_t n = 0; n < c->n; n++)
        for (int64_t y = 0; y < c->oh; y++)
            for (int64_t x = 0; x < c->ow; x++)
                for (int64_t o = 0; o < c->groups * c->c_out; o++) {
                    double sum = sum_window(w, n, o / c->c_out, o % c->c_out, y, x);

                    if (c->has_bias)
                        sum += (double)w->bias[o];
                    float v = activate((float)sum, c->act_before, 0, 0);
                    if (c->has_residual)
                        v +=
                            w->residual[n * c->res_n + y * c->res_y + x * c->res_x + o];
                    w->want[n * c->out_n + y * c->out_y + x * c->out_x + o] =
                        activate(v, c->act, c->act_a, c->act_b);
                }
}

/* Strides of contiguous NHWC (or NCHW) input and NHWC output with `gap` unused floats
 * a pixel. */
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

static inline void make_operands(struct work *w)
{
    const struct conv *c = &w->c;

    w->n_in = c->n * c->in_n;
    w->n_weights = c->groups * c->c_out * c->c_in * c->kh * c->kw;
    w->n_out = c->n * c->out_n;
    w->n_res = c->n * c->res_n;
    w->in = guarded(w->n_in);
    w->onnx = guarded(w->n_weights);
    w->packed = guarded(w->n_weights);
    w->bias = guarded(c->groups * c->c_out);
    w->residual = guarded(w->n_res);
    w->out = guarded(w->n_out);
    w->want = guarded(w->n_out);
    memcpy(w->want, w->out, (size_t)w->n_out * sizeof *w->out);
    compute_want(w);
}

/* Packed weights as the description wants them; random weights are exact in binary16.
 * What may be read behind halves is NaN. */
static inline void store_packed(struct work *w)
{
    uint16_t *to = (uint16_t *)w->packed;

    for (int64_t i = 0; w->c.half_weights && i < 2 * w->n_weights; i++)
        to[i] = i < w->n_weights ? f16_of_f32(w->packed[i]) : 0xffff;
}

static inline void free_operands(struct work *w)
{
    release(w->in);
    release(w->onnx);
    release(w->packed);
    release(w->bias);
    release(w->residual);
    release(w->out);
    release(w->want);
}

static inline void describe(const struct work *w)
{
    const struct conv *c = &w->c;

    print_error(
        "n %ld in %ldx%ldx%ldx%ld out %ldx%ldx%ld kernel %ldx%ld stride %ldx%ld "
        "dilation %ldx%ld pad %ld,%ld in_c %ld tile %dx%d block %ld rows %ld "
        "chunks %ld outer %d swapped %d winograd %d half %d widened %d tails",
        (long)c->n, (long)c->groups, (long)c->c_in, (long)c->h, (long)c->w,
        (long)c->c_out, (long)c->oh, (long)c->ow, (long)c->kh, (long)c->kw,
        (long)c->stride_y, (long)c->stride_x, (long)c->dilation_y, (long)c->dilation_x,
        (long)c->pad_top, (long)c->pad_left, (long)c->in_c, w->t.pixels, w->t.vectors,
        (long)w->t.block, (long)w->t.rows, (long)w->t.chunks, w->t.rows_outer,
        w->t.swapped, w->t.winograd, c->half_weights, w->t.widened);
    for (int i = 0; i < w->t.n_tails; i++)
        print_error(" %ldx%d,%d", (long)w->t.tail[i].width, w->t.tail[i].depth,
                    w->t.tail[i].pixels);
    print_error("\n");
}

static inline void check_close(const struct work *w, const struct isa *isa)
{
    for (int64_t i = 0; i < w->n_out; i++) {
        const float tolerance =
            (w->tolerance != 0 ? w->tolerance : 1e-4f) * (1 + fabsf(w->want[i]));

        if (!(fabsf(w->out[i] - w->want[i]) <= tolerance)) {
            print_error("%s: out[%ld] is %g, not %g\n", isa->cpu, (long)i,
                        (double)w->out[i], (double)w->want[i]);
            describe(w);
            CHECK(false);
        }
    }
}

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

#endif /* HADMC_TESTS_CONV_WORK_H */
