/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted convolutions against a plain loop, at every level this machine has.
 * // links: codegen
 */
#include <math.h>

#include "tests/jit.h"
#include "tests/test.h"

/* A description and memory for it; `guard` floats around every operand are NaN, so
 * that reading outside shows. */
struct work {
    struct conv c;
    struct conv_tiling t;
    float *in, *onnx, *packed, *bias, *residual, *out, *want;
    int64_t n_in, n_weights, n_out, n_res;
};

enum { GUARD = 64 };

static uint64_t seed = 1;

static int64_t random_in(int64_t lo, int64_t hi)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return lo + (int64_t)((seed >> 33) % (uint64_t)(hi - lo + 1));
}

static float *guarded(int64_t n)
{
    float *all = malloc((size_t)(n + 2 * GUARD) * sizeof *all);

    for (int64_t i = 0; i < n + 2 * GUARD; i++)
        all[i] = i < GUARD || i >= GUARD + n ? NAN : (float)random_in(-64, 64) / 64;
    return all + GUARD;
}

static void release(float *p)
{
    if (p)
        free(p - GUARD);
}

static float activate(float x, enum activation act, float a, float b)
{
    switch (act) {
    case ACT_NONE: return x;
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_CLIP: return fminf(fmaxf(x, a), b);
    case ACT_LEAKY: return x > 0 ? x : a * x;
    case ACT_HARDSWISH: return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
    case ACT_HARDSIGMOID: return fminf(fmaxf(a * x + b, 0), 1);
    }
    return x;
}

static double sum_window(const struct work *w, int64_t n, int64_t g, int64_t o,
                         int64_t y, int64_t x)
{
    const struct conv *c = &w->c;
    const float *filter = w->onnx + (g * c->c_out + o) * c->c_in * c->kh * c->kw;
    double sum = 0;

    for (int64_t i = 0; i < c->c_in; i++)
        for (int64_t ky = 0; ky < c->kh; ky++)
            for (int64_t kx = 0; kx < c->kw; kx++) {
                const int64_t iy = y * c->stride_y - c->pad_top + ky * c->dilation_y;
                const int64_t ix = x * c->stride_x - c->pad_left + kx * c->dilation_x;

                if (iy < 0 || iy >= c->h || ix < 0 || ix >= c->w)
                    continue;
                sum += (double)filter[(i * c->kh + ky) * c->kw + kx]
                     * (double)w->in[n * c->in_n + (g * c->c_in + i) * c->in_c
                                     + iy * c->in_y + ix * c->in_x];
            }
    return sum;
}

static void compute_want(struct work *w)
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
                        v += w->residual[n * c->res_n + y * c->res_y + x * c->res_x + o];
                    w->want[n * c->out_n + y * c->out_y + x * c->out_x + o] =
                        activate(v, c->act, c->act_a, c->act_b);
                }
}

/* Strides of contiguous NHWC (or NCHW) input and NHWC output with `gap` unused floats
 * a pixel. */
static void set_strides(struct conv *c, bool nchw, int64_t gap)
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

static void make_operands(struct work *w)
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

static void free_operands(struct work *w)
{
    release(w->in);
    release(w->onnx);
    release(w->packed);
    release(w->bias);
    release(w->residual);
    release(w->out);
    release(w->want);
}

static void describe(const struct work *w)
{
    const struct conv *c = &w->c;

    print_error("n %ld in %ldx%ldx%ldx%ld out %ldx%ldx%ld kernel %ldx%ld stride %ldx%ld "
                "dilation %ldx%ld pad %ld,%ld in_c %ld tile %dx%d tail %d block %ld "
                "rows %ld chunks %ld %d\n",
                (long)c->n, (long)c->groups, (long)c->c_in, (long)c->h, (long)c->w,
                (long)c->c_out, (long)c->oh, (long)c->ow, (long)c->kh, (long)c->kw,
                (long)c->stride_y, (long)c->stride_x, (long)c->dilation_y,
                (long)c->dilation_x, (long)c->pad_top, (long)c->pad_left, (long)c->in_c,
                w->t.pixels, w->t.vectors, w->t.tail_pixels, (long)w->t.block,
                (long)w->t.rows, (long)w->t.chunks, w->t.rows_outer);
}

static void check_close(const struct work *w, const struct isa *isa)
{
    for (int64_t i = 0; i < w->n_out; i++) {
        const float tolerance = 1e-4f * (1 + fabsf(w->want[i]));

        if (!(fabsf(w->out[i] - w->want[i]) <= tolerance)) {
            print_error("%s: out[%ld] is %g, not %g\n", isa->cpu, (long)i,
                        (double)w->out[i], (double)w->want[i]);
            describe(w);
            CHECK(false);
        }
    }
}

/* The whole, then in two calls at a random unit: equal bytes. */
static void run_on(struct work *w, const struct isa *isa)
{
    const struct conv *c = &w->c;
    struct jit j = jit_open(isa);

    w->t = conv_tile(c, isa);
    const int64_t units = conv_units(c, &w->t), cut = random_in(0, units);

    conv_pack(c, &w->t, w->onnx, w->packed);
    emit_conv(&j.emitter, c, &w->t, "core");
    jit_finish(&j);
    core_fn *core = jit_find(&j, "core");
    float *first = guarded(w->n_out);

    memcpy(first, w->out, (size_t)w->n_out * sizeof *first);
    core(w->in, w->packed, c->has_bias ? w->bias : NULL,
         c->has_residual ? w->residual : NULL, w->out, NULL, 0, units);
    check_close(w, isa);
    core(w->in, w->packed, c->has_bias ? w->bias : NULL,
         c->has_residual ? w->residual : NULL, first, NULL, cut, units);
    core(w->in, w->packed, c->has_bias ? w->bias : NULL,
         c->has_residual ? w->residual : NULL, first, NULL, 0, cut);
    CHECK_BYTES(first, w->out, (size_t)w->n_out * sizeof *first);
    release(first);
    jit_close(&j);
}

static void check_conv(struct conv c)
{
    struct work w = {.c = c};

    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++)
        run_on(&w, &jit_isas[i]);
    free_operands(&w);
}

static int64_t out_size(int64_t in, int64_t pads, int64_t k, int64_t stride,
                        int64_t dilation)
{
    return (in + pads - (k - 1) * dilation - 1) / stride + 1;
}

static struct conv square(int64_t c_in, int64_t size, int64_t c_out, int64_t k,
                          int64_t stride, int64_t pad)
{
    struct conv c = {
        .n = 1, .h = size, .w = size, .groups = 1, .c_in = c_in, .c_out = c_out,
        .kh = k, .kw = k, .stride_y = stride, .stride_x = stride,
        .dilation_y = 1, .dilation_x = 1, .pad_top = pad, .pad_left = pad,
        .has_bias = true, .act = ACT_RELU,
    };

    c.oh = c.ow = out_size(size, 2 * pad, k, stride, 1);
    set_strides(&c, false, 0);
    return c;
}

TEST(conv_matches_a_plain_loop_on_3x3_with_borders)
{
    check_conv(square(16, 28, 48, 3, 1, 1));
    check_conv(square(8, 7, 64, 3, 1, 1));
    check_conv(square(5, 9, 7, 3, 2, 1));
}

TEST(conv_reads_a_planar_first_layer_in_place)
{
    struct conv c = square(3, 30, 24, 7, 2, 3);

    set_strides(&c, true, 0);
    check_conv(c);
}

TEST(conv_1x1_is_one_long_row)
{
    check_conv(square(24, 17, 40, 1, 1, 0));
}

TEST(conv_with_one_pixel_is_a_matrix_vector_product)
{
    check_conv(square(100, 1, 300, 1, 1, 0));
}

TEST(conv_of_random_shapes_matches_a_plain_loop)
{
    for (int i = 0; i < 60; i++) {
        struct conv c = {
            .n = random_in(1, 2), .h = random_in(1, 20), .w = random_in(1, 40),
            .groups = random_in(0, 2) ? 1 : random_in(2, 4),
            .c_in = random_in(1, 20), .c_out = random_in(1, 70),
            .kh = random_in(1, 4), .kw = random_in(1, 5),
            .stride_y = random_in(1, 3), .stride_x = random_in(1, 3),
            .dilation_y = random_in(1, 2), .dilation_x = random_in(1, 3),
            .pad_top = random_in(0, 4), .pad_left = random_in(0, 4),
            .has_bias = random_in(0, 1), .has_residual = random_in(0, 1),
            .act_before = random_in(0, 1) ? ACT_NONE : ACT_RELU,
            .act = (enum activation)random_in(0, 5), .act_a = 0.25f, .act_b = 0.75f,
        };
        const int64_t oh = out_size(c.h, c.pad_top + random_in(0, 4), c.kh, c.stride_y,
                                    c.dilation_y);
        const int64_t ow = out_size(c.w, c.pad_left + random_in(0, 4), c.kw, c.stride_x,
                                    c.dilation_x);

        c.oh = oh > 0 ? oh : 1;
        c.ow = ow > 0 ? ow : 1;
        set_strides(&c, random_in(0, 3) == 0, random_in(0, 3));
        check_conv(c);
    }
}
