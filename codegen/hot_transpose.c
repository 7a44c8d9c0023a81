/* SPDX-License-Identifier: Apache-2.0 */
/* ConvTranspose as convolutions: one for every phase of the output grid.
 *
 * With stride s, output row q * s + p takes the kernel rows r, r + s, r + 2s ... where
 * r = (p + pad) mod s, and kernel row r + t * s meets input row q + c - t with
 * c = (p + pad) / s.  So the rows of phase p are an ordinary convolution of stride 1
 * with T = ceil((k - r) / s) taps, in reverse order, padded by T - 1 - c before the
 * first row; its results lie s rows apart.  Columns are the same.
 *
 *     s = 2, k = 4, pad = 1:   p = 0: r = 1, c = 0, T = 2, pad 1
 *                              p = 1: r = 0, c = 1, T = 2, pad 0
 */
#include <string.h>

#include "codegen/hot.h"

/* One dimension of one phase. */
struct phase {
    int64_t r, taps, n_out; /* first kernel row, how many, rows of the output */
    int64_t pad, skip;      /* before the first input row; rows never read */
};

static struct phase phase_of(int64_t p, int64_t pad, int64_t stride, int64_t kernel,
                             int64_t out)
{
    const int64_t r = (p + pad) % stride, c = (p + pad) / stride;
    struct phase f = {.r = r,
                      .taps = r < kernel ? (kernel - r + stride - 1) / stride : 0};

    f.n_out = p < out ? (out - p + stride - 1) / stride : 0;
    f.pad = f.taps - 1 - c;
    if (f.pad < 0) {
        f.skip = -f.pad;
        f.pad = 0;
    }
    return f;
}

/* Every phase that has outputs has taps and input. */
static bool sound(int64_t pad, int64_t stride, int64_t kernel, int64_t in, int64_t out)
{
    for (int64_t p = 0; p < stride; p++) {
        const struct phase f = phase_of(p, pad, stride, kernel, out);

        if (f.n_out > 0 && (f.taps < 1 || f.skip >= in))
            return false;
    }
    return true;
}

bool hot_transpose_fits(const struct conv *c)
{
    return c->dilation_y == 1 && c->dilation_x == 1 && c->stride_y <= 8
           && c->stride_x <= 8 && sound(c->pad_top, c->stride_y, c->kh, c->h, c->oh)
           && sound(c->pad_left, c->stride_x, c->kw, c->w, c->ow);
}

/* The phase's taps as weights of a convolution, [groups * c_out][c_in][taps]. */
static const float *phase_weights(struct builder *b, const struct hot *h,
                                  const struct phase *y, const struct phase *x,
                                  int64_t *count)
{
    const struct conv *c = &h->conv;
    const float *from = hot_real_weights(b, h); /* [groups * c_in][c_out][kh][kw] */

    *count = c->groups * c->c_out * c->c_in * y->taps * x->taps;
    float *to = arena_new_array(b->arena, float, *count), *at = to;

    for (int64_t o = 0; o < c->groups * c->c_out; o++)
        for (int64_t i = 0; i < c->c_in; i++)
            for (int64_t t = y->taps - 1; t >= 0; t--)
                for (int64_t u = x->taps - 1; u >= 0; u--) {
                    const int64_t channel = o / c->c_out * c->c_in + i;
                    const int64_t row = channel * c->c_out + o % c->c_out;

                    *at++ = from[(row * c->kh + y->r + t * c->stride_y) * c->kw + x->r
                                 + u * c->stride_x];
                }
    return to;
}

static struct conv phase_conv(const struct conv *c, const struct phase *y,
                              const struct phase *x)
{
    struct conv f = *c;

    f.h -= y->skip;
    f.w -= x->skip;
    f.kh = y->taps;
    f.kw = x->taps;
    f.pad_top = y->pad;
    f.pad_left = x->pad;
    f.oh = y->n_out;
    f.ow = x->n_out;
    f.stride_y = f.stride_x = 1;
    f.out_y = c->out_y * c->stride_y;
    f.out_x = c->out_x * c->stride_x;
    f.res_y = f.out_y;
    f.res_x = f.out_x;
    return f;
}

static void phase_step(struct builder *b, const struct hot *h, int64_t py, int64_t px)
{
    const struct conv *c = &h->conv;
    const struct phase y = phase_of(py, c->pad_top, c->stride_y, c->kh, c->oh);
    const struct phase x = phase_of(px, c->pad_left, c->stride_x, c->kw, c->ow);
    struct hot part = *h;
    struct hot_places at = {0};
    int64_t count;

    if (y.n_out < 1 || x.n_out < 1)
        return;
    part.conv = phase_conv(c, &y, &x);
    const float *weights = phase_weights(b, h, &y, &x, &count);
    float *packed = arena_new_array(b->arena, float, count);

    if (part.kind == STEP_CONV) {
        part.tiling = conv_tile(&part.conv, b->isa);
        conv_try_widening(&part.conv, b->isa, hot_scratch_room(b, h->main),
                          &part.tiling);
        conv_pack(&part.conv, &part.tiling, weights, packed);
    } else {
        depthwise_pack(&part.conv, weights, packed);
    }
    at.weights = hot_weights_tensor(b, h, packed, count);
    at.in = (y.skip * c->in_y + x.skip * c->in_x) * (int64_t)sizeof(float);
    at.out = (py * c->out_y + px * c->out_x) * (int64_t)sizeof(float);
    hot_add_step(b, &part, &at);
}

void hot_transpose_steps(struct builder *b, const struct hot *h)
{
    for (int64_t py = 0; py < h->conv.stride_y; py++)
        for (int64_t px = 0; px < h->conv.stride_x; px++)
            phase_step(b, h, py, px);
}
