/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and matrix products of 8-bit integers (numerics, section 3):
 *
 *     acc = sum (q_x - z_x)(q_w - z_w) + bias      int32, wraps around
 *     y   = z_y + rne(clamp((float)acc * m, lo - z_y, hi - z_y)),  m = s_x s_w / s_y
 *
 * Weights "i4" are int8 numbers -8 ... 7, two in a byte, the first one in its low half;
 * their zero points are int8.
 */
#include "kernels/params.h"
#include "kernels/requantize.h"

K_IN float multiplier(float x, float w, float y)
{
    return (float)((double)x * (double)w / (double)y);
}

K_IN int32_t nibble(const uint8_t *w, ix i)
{
    return ((w[i / 2] >> (i % 2 * 4) & 15) ^ 8) - 8;
}

/* Weight number i. */
#define AT_u8(w, i) ((w)[i])
#define AT_i8(w, i) ((w)[i])
#define AT_i4(w, i) nibble(w, i)

/* Row (n, c, oz, oy) of a convolution, added to acc[0..ow).  The channel's weights
 * begin with number `at`. */
#define CONV_INT_ROW(xt, X, wt, W, Z)                                                  \
    K_IN void conv_row_##xt##wt(const struct k_conv *p, const X *restrict in,          \
                                int32_t x_zero, const W *restrict w, ix at,            \
                                int32_t w_zero, int32_t *restrict acc, ix oz, ix oy)   \
    {                                                                                  \
        const ix taps = (ix)(p->kernel[0] * p->kernel[1] * p->kernel[2]);              \
        const ix sx = (ix)p->stride[2], in_x = (ix)p->in_s[2];                         \
                                                                                       \
        for (ix ci = 0; ci < (ix)p->c_in; ci++)                                        \
            for (ix tap = 0; tap < taps; tap++) {                                      \
                const ix kx = tap % (ix)p->kernel[2];                                  \
                const ix ky = tap / (ix)p->kernel[2] % (ix)p->kernel[1];               \
                const ix kz = tap / (ix)p->kernel[2] / (ix)p->kernel[1];               \
                const ix z =                                                           \
                    oz * (ix)p->stride[0] + kz * (ix)p->dilation[0] - (ix)p->pad[0];   \
                const ix y =                                                           \
                    oy * (ix)p->stride[1] + ky * (ix)p->dilation[1] - (ix)p->pad[1];   \
                const ix dx = kx * (ix)p->dilation[2] - (ix)p->pad[2];                 \
                if (z < 0 || z >= (ix)p->in[0] || y < 0 || y >= (ix)p->in[1])          \
                    continue;                                                          \
                const X *const row = in + ci * (ix)p->in_c + z * (ix)p->in_s[0]        \
                                     + y * (ix)p->in_s[1] + dx * in_x;                 \
                const int32_t a = AT_##wt(w, at + ci * taps + tap) - w_zero;           \
                const ix first = dx >= 0 ? 0 : (-dx + sx - 1) / sx;                    \
                const ix last =                                                        \
                    dx >= (ix)p->in[2]                                                 \
                        ? 0                                                            \
                        : ix_min((ix)p->out[2], ((ix)p->in[2] - 1 - dx) / sx + 1);     \
                for (ix x = first; x < last; x++)                                      \
                    acc[x] =                                                           \
                        (int32_t)((uint32_t)acc[x]                                     \
                                  + (uint32_t)(a * (row[x * sx * in_x] - x_zero)));    \
            }                                                                          \
    }                                                                                  \
                                                                                       \
    /* conv_int_<x><w>(in, w, [x_zero,] [w_zero,] out, scratch int32[ow]): int32 sums. \
     * Unit: one output row of one channel. */                                         \
    KERNEL_FN(conv_int_##xt##wt)                                                       \
    {                                                                                  \
        const struct k_conv *const p = params;                                         \
        const X *const in = buf[0];                                                    \
        const W *const w = buf[1];                                                     \
        const X *const x_zero = p->has_x_zero ? buf[2] : 0;                            \
        const Z *const w_zero = p->has_w_zero ? buf[p->has_x_zero ? 3 : 2] : 0;        \
        int32_t *const out = buf[2 + p->has_x_zero + p->has_w_zero];                   \
        int32_t *const acc = buf[3 + p->has_x_zero + p->has_w_zero];                   \
        const ix out_x = (ix)p->out_s[2];                                              \
        const ix taps = (ix)(p->kernel[0] * p->kernel[1] * p->kernel[2]);              \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix oy = unit % (ix)p->out[1];                                        \
            const ix oz = unit / (ix)p->out[1] % (ix)p->out[0];                        \
            const ix rest = unit / (ix)p->out[1] / (ix)p->out[0];                      \
            const ix c = rest % (ix)(p->c_out * p->groups);                            \
            const ix n = rest / (ix)(p->c_out * p->groups), g = c / (ix)p->c_out;      \
            int32_t *const to = out + n * (ix)p->out_n + c * (ix)p->out_c              \
                                + oz * (ix)p->out_s[0] + oy * (ix)p->out_s[1];         \
            for (ix x = 0; x < (ix)p->out[2]; x++)                                     \
                acc[x] = 0;                                                            \
            conv_row_##xt##wt(p, in + n * (ix)p->in_n + g * (ix)p->c_in * (ix)p->in_c, \
                              x_zero ? *x_zero : 0, w, c * (ix)p->c_in * taps,         \
                              w_zero ? w_zero[p->per_channel ? c : 0] : 0, acc, oz,    \
                              oy);                                                     \
            for (ix x = 0; x < (ix)p->out[2]; x++)                                     \
                to[x * out_x] = acc[x];                                                \
        }                                                                              \
    }

/* conv_quant_<x><w>_<y>(in, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero,
 * [bias,] [limits,] out, scratch int32[ow]): as conv_int, requantized. */
#define CONV_QUANT(xt, X, wt, W, Z, yt, Y)                                             \
    KERNEL_FN(conv_quant_##xt##wt##_##yt)                                              \
    {                                                                                  \
        const struct k_conv *const p = params;                                         \
        const X *const in = buf[0], *const x_zero = buf[2];                            \
        const float *const x_scale = buf[1], *const w_scale = buf[4];                  \
        const W *const w = buf[3];                                                     \
        const Z *const w_zero = buf[5];                                                \
        const float *const y_scale = buf[6];                                           \
        const Y *const y_zero = buf[7];                                                \
        const int32_t *const bias = p->has_bias ? buf[8] : 0;                          \
        const int at = 8 + (int)p->has_bias;                                           \
        const int32_t *const limits = p->has_limits ? buf[at] : 0;                     \
        Y *const out = buf[at + p->has_limits];                                        \
        int32_t *const acc = buf[at + 1 + p->has_limits];                              \
        const int32_t lo = limits ? limits[0] : LO_##yt,                               \
                      hi = limits ? limits[1] : HI_##yt;                               \
        const ix out_x = (ix)p->out_s[2];                                              \
        const ix taps = (ix)(p->kernel[0] * p->kernel[1] * p->kernel[2]);              \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix oy = unit % (ix)p->out[1];                                        \
            const ix oz = unit / (ix)p->out[1] % (ix)p->out[0];                        \
            const ix rest = unit / (ix)p->out[1] / (ix)p->out[0];                      \
            const ix c = rest % (ix)(p->c_out * p->groups);                            \
            const ix n = rest / (ix)(p->c_out * p->groups), g = c / (ix)p->c_out;      \
            const ix wc = p->per_channel ? c : 0;                                      \
            const float m = multiplier(*x_scale, w_scale[wc], *y_scale);               \
            Y *const to = out + n * (ix)p->out_n + c * (ix)p->out_c                    \
                          + oz * (ix)p->out_s[0] + oy * (ix)p->out_s[1];               \
            for (ix x = 0; x < (ix)p->out[2]; x++)                                     \
                acc[x] = bias ? bias[c] : 0;                                           \
            conv_row_##xt##wt(p, in + n * (ix)p->in_n + g * (ix)p->c_in * (ix)p->in_c, \
                              *x_zero, w, c * (ix)p->c_in * taps, w_zero[wc], acc, oz, \
                              oy);                                                     \
            for (ix x = 0; x < (ix)p->out[2]; x++)                                     \
                to[x * out_x] = (Y)requantize(acc[x], m, *y_zero, lo, hi);             \
        }                                                                              \
    }

/* acc[j] += sum_k (a[k] - za)(b[k][j] - zb[j]), b beginning with number `first` */
#define MATMUL_INT_ROW(at, A, bt, B, Z)                                                \
    K_IN void matmul_row_##at##bt(const struct k_matmul *p, const A *restrict a,       \
                                  int32_t a_zero, const B *restrict b, ix first,       \
                                  const Z *restrict b_zero, int32_t *restrict acc)     \
    {                                                                                  \
        const ix b_col = (ix)p->b_col, zero_col = (ix)p->col_zero;                     \
                                                                                       \
        for (ix k = 0; k < (ix)p->k; k++) {                                            \
            const int32_t v = a[k * (ix)p->a_col] - a_zero;                            \
            const ix row = first + k * (ix)p->b_row;                                   \
            if (!b_zero)                                                               \
                for (ix j = 0; j < (ix)p->n; j++)                                      \
                    acc[j] = (int32_t)((uint32_t)acc[j]                                \
                                       + (uint32_t)(v * AT_##bt(b, row + j * b_col))); \
            else                                                                       \
                for (ix j = 0; j < (ix)p->n; j++)                                      \
                    acc[j] = (int32_t)((uint32_t)acc[j]                                \
                                       + (uint32_t)(v                                  \
                                                    * (AT_##bt(b, row + j * b_col)     \
                                                       - b_zero[j * zero_col])));      \
        }                                                                              \
    }                                                                                  \
                                                                                       \
    /* matmul_int_<a><b>(a, b, [a_zero,] [b_zero,] out): int32.  Unit: one row. */     \
    KERNEL_FN(matmul_int_##at##bt)                                                     \
    {                                                                                  \
        const struct k_matmul *const p = params;                                       \
        const A *const a_zero = p->has_a_zero ? buf[2] : 0;                            \
        const Z *const b_zero = p->has_b_zero ? buf[p->has_a_zero ? 3 : 2] : 0;        \
        int32_t *const out = buf[2 + p->has_a_zero + p->has_b_zero];                   \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix i = unit % (ix)p->m;                                              \
            const A *a = (const A *)buf[0] + i * (ix)p->a_row;                         \
            const B *const b = buf[1];                                                 \
            ix first = 0;                                                              \
            int32_t *const to = out + unit * (ix)p->n;                                 \
            ix rest = unit / (ix)p->m;                                                 \
            for (int d = 5; d >= 0; d--) {                                             \
                a += rest % (ix)p->batch[d] * (ix)p->a_batch[d];                       \
                first += rest % (ix)p->batch[d] * (ix)p->b_batch[d];                   \
                rest /= (ix)p->batch[d];                                               \
            }                                                                          \
            for (ix j = 0; j < (ix)p->n; j++)                                          \
                to[j] = 0;                                                             \
            matmul_row_##at##bt(p, a, a_zero ? a_zero[p->row_zero ? i : 0] : 0, b,     \
                                first, b_zero, to);                                    \
        }                                                                              \
    }

/* matmul_quant_<a><b>_<y>(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero,
 * [bias,] [limits,] out, scratch int32[n]).  Unit: one row. */
#define MATMUL_QUANT(at, A, bt, B, Z, yt, Y)                                           \
    KERNEL_FN(matmul_quant_##at##bt##_##yt)                                            \
    {                                                                                  \
        const struct k_matmul *const p = params;                                       \
        const float *const a_scale = buf[1], *const b_scale = buf[4];                  \
        const A *const a_zero = buf[2];                                                \
        const Z *const b_zero = buf[5];                                                \
        const float *const y_scale = buf[6];                                           \
        const Y *const y_zero = buf[7];                                                \
        const int32_t *const bias = p->has_bias ? buf[8] : 0;                          \
        const int at = 8 + (int)p->has_bias;                                           \
        const int32_t *const limits = p->has_limits ? buf[at] : 0;                     \
        Y *const out = buf[at + p->has_limits];                                        \
        int32_t *const acc = buf[at + 1 + p->has_limits];                              \
        const int32_t lo = limits ? limits[0] : LO_##yt,                               \
                      hi = limits ? limits[1] : HI_##yt;                               \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix i = unit % (ix)p->m;                                              \
            const A *a = (const A *)buf[0] + i * (ix)p->a_row;                         \
            const B *const b = buf[3];                                                 \
            ix first = 0;                                                              \
            ix rest = unit / (ix)p->m;                                                 \
            for (int d = 5; d >= 0; d--) {                                             \
                a += rest % (ix)p->batch[d] * (ix)p->a_batch[d];                       \
                first += rest % (ix)p->batch[d] * (ix)p->b_batch[d];                   \
                rest /= (ix)p->batch[d];                                               \
            }                                                                          \
            for (ix j = 0; j < (ix)p->n; j++)                                          \
                acc[j] = bias ? bias[j * (ix)p->c_col] : 0;                            \
            matmul_row_##at##bt(p, a, a_zero[p->row_zero ? i : 0], b, first, b_zero,   \
                                acc);                                                  \
            for (ix j = 0; j < (ix)p->n; j++) {                                        \
                const float m = multiplier(a_scale[p->row_zero ? i : 0],               \
                                           b_scale[p->col_zero ? j : 0], *y_scale);    \
                out[unit * (ix)p->n + j] = (Y)requantize(acc[j], m, *y_zero, lo, hi);  \
            }                                                                          \
        }                                                                              \
    }

#define ALL_OF(xt, X, wt, W, Z)                                                        \
    CONV_INT_ROW(xt, X, wt, W, Z)                                                      \
    CONV_QUANT(xt, X, wt, W, Z, u8, uint8_t)                                           \
    CONV_QUANT(xt, X, wt, W, Z, i8, int8_t)                                            \
    MATMUL_INT_ROW(xt, X, wt, W, Z)                                                    \
    MATMUL_QUANT(xt, X, wt, W, Z, u8, uint8_t)                                         \
    MATMUL_QUANT(xt, X, wt, W, Z, i8, int8_t)

ALL_OF(u8, uint8_t, u8, uint8_t, uint8_t)
ALL_OF(u8, uint8_t, i8, int8_t, int8_t)
ALL_OF(u8, uint8_t, i4, uint8_t, int8_t)
ALL_OF(i8, int8_t, u8, uint8_t, uint8_t)
ALL_OF(i8, int8_t, i8, int8_t, int8_t)
ALL_OF(i8, int8_t, i4, uint8_t, int8_t)
