/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's Conv, MatMul and Gemm: sums of products of codes less their zero points.
 */
#include "tests/oracle/oracle.h"

#include <assert.h>

/* Channel c's entry of a list of 1 or c_out. */
static int64_t entry(int64_t n, int64_t c)
{
    return n == 1 ? 0 : c;
}

static int32_t finish(int64_t sum, int64_t channel, const struct oracle_weights *w,
                      struct oracle_quant x_as, const struct oracle_output *y_as)
{
    const float s_w = w->scale[entry(w->n_scale, channel)];
    const int64_t acc = sum + (w->bias ? w->bias[channel] : 0);

    return oracle_scale_down(acc, oracle_multiplier(x_as.scale, s_w, y_as->scale),
                             y_as);
}

int64_t oracle_accumulator_bound(const int32_t *code, int64_t n, int64_t stride,
                                 int32_t zero, int32_t x_reach, int32_t bias)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const int64_t weight = (int64_t)code[i * stride] - zero;

        sum += weight < 0 ? -weight : weight;
    }
    return sum * x_reach + (bias < 0 ? -(int64_t)bias : bias);
}

/* The sum of one output, over the input channels of its group and all taps. */
static int64_t window_sum(const int32_t *x, const struct oracle_window *at, int32_t z_x,
                          const int32_t *w, int32_t z_w, int64_t n_channels, int64_t oy,
                          int64_t ox)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n_channels; i++)
        for (int64_t ky = 0; ky < at->kh; ky++)
            for (int64_t kx = 0; kx < at->kw; kx++) {
                const int64_t iy =
                    oy * at->stride_y - at->pad_top + ky * at->dilation_y;
                const int64_t ix =
                    ox * at->stride_x - at->pad_left + kx * at->dilation_x;
                const bool inside = iy >= 0 && iy < at->h && ix >= 0 && ix < at->w;
                const int64_t q_x = inside ? x[(i * at->h + iy) * at->w + ix] : z_x;

                sum +=
                    (q_x - z_x) * ((int64_t)w[(i * at->kh + ky) * at->kw + kx] - z_w);
            }
    return sum;
}

void oracle_conv(const int32_t *x, const struct oracle_window *at,
                 struct oracle_quant x_as, int64_t groups, int64_t c_out,
                 const struct oracle_weights *w, const struct oracle_output *y_as,
                 int32_t *y)
{
    const int64_t c_in = at->c / groups; /* of a group */

    assert(at->c % groups == 0 && c_out % groups == 0);
    for (int64_t n = 0; n < at->n; n++)
        for (int64_t o = 0; o < c_out; o++)
            for (int64_t oy = 0; oy < at->oh; oy++)
                for (int64_t ox = 0; ox < at->ow; ox++) {
                    const int64_t group = o / (c_out / groups);
                    const int32_t *from =
                        x + (n * at->c + group * c_in) * at->h * at->w;
                    const int32_t z_w = w->zero[entry(w->n_zero, o)];
                    const int64_t sum = window_sum(from, at, x_as.zero,
                                                   w->code + o * c_in * at->kh * at->kw,
                                                   z_w, c_in, oy, ox);

                    y[((n * c_out + o) * at->oh + oy) * at->ow + ox] =
                        finish(sum, o, w, x_as, y_as);
                }
}

static int64_t dot(const int32_t *a, int64_t a_step, int32_t z_a, const int32_t *b,
                   int64_t b_step, int32_t z_b, int64_t n)
{
    int64_t sum = 0;

    for (int64_t k = 0; k < n; k++)
        sum += ((int64_t)a[k * a_step] - z_a) * ((int64_t)b[k * b_step] - z_b);
    return sum;
}

void oracle_matmul(const int32_t *a, const struct oracle_matmul *shape,
                   struct oracle_quant a_as, const struct oracle_weights *b,
                   const struct oracle_output *y_as, int32_t *y)
{
    const int64_t rows = shape->rows, cols = shape->cols, depth = shape->depth;

    for (int64_t i = 0; i < shape->batch; i++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < cols; c++) {
                const int64_t a_step = shape->a_transposed ? rows : 1;
                const int64_t b_step = shape->b_transposed ? 1 : cols;
                const int32_t *row =
                    a + i * rows * depth + (shape->a_transposed ? r : r * depth);
                const int32_t *col = b->code
                                     + (shape->b_is_shared ? 0 : i * depth * cols)
                                     + (shape->b_transposed ? c * depth : c);
                const int64_t sum = dot(row, a_step, a_as.zero, col, b_step,
                                        b->zero[entry(b->n_zero, c)], depth);

                y[(i * rows + r) * cols + c] = finish(sum, c, b, a_as, y_as);
            }
}
