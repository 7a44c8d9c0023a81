/* SPDX-License-Identifier: Apache-2.0 */
/* Averages of 8-bit codes (numerics, section 3):
 *
 *     y = z_y + rne(clamp((float)(sum of q - z_x) m)),  m = s_x / (s_y count)
 *
 * Rows and units as in k_pool.c; sums have 32 bits. */
#include "kernels/pool_rows.h"
#include "kernels/requantize.h"

/* A window that counts nothing has the sum 0. */
K_IN float average_multiplier(float x, float y, ix count)
{
    return (float)((double)x / ((double)y * (double)(count ? count : 1)));
}

/* avg_pool_quant_<x>_<y>(in, x_scale, x_zero, y_scale, y_zero, [limits,] out, scratch
 * int32[one output row]). */
#define AVG_POOL_SUMS(xt, X)                                                           \
    /* One output, along the columns of its window. */                                 \
    K_IN int32_t avg_pool_window_##xt(const struct k_pool *p, const X *restrict in,    \
                                      int32_t x_zero, struct pool_row r)               \
    {                                                                                  \
        const ix left = (ix)p->pad[2];                                                 \
        const ix end = ix_min((ix)p->kernel[2], (ix)p->in[2] + left);                  \
        int32_t sum = 0;                                                               \
                                                                                       \
        for (ix kz = 0; kz < (ix)p->kernel[0]; kz++)                                   \
            for (ix ky = 0; ky < (ix)p->kernel[1]; ky++) {                             \
                const ix z =                                                           \
                    r.oz * (ix)p->stride[0] + kz * (ix)p->dilation[0] - (ix)p->pad[0]; \
                const ix y =                                                           \
                    r.oy * (ix)p->stride[1] + ky * (ix)p->dilation[1] - (ix)p->pad[1]; \
                if (z < 0 || z >= (ix)p->in[0] || y < 0 || y >= (ix)p->in[1])          \
                    continue;                                                          \
                const X *const row =                                                   \
                    in + r.in_at + z * (ix)p->in_s[0] + y * (ix)p->in_s[1] - left;     \
                for (ix x = left; x < end; x++)                                        \
                    sum += row[x] - x_zero;                                            \
            }                                                                          \
        return sum;                                                                    \
    }                                                                                  \
                                                                                       \
    K_IN void avg_pool_row_##xt(const struct k_pool *p, const X *restrict in_all,      \
                                int32_t x_zero, struct pool_row r,                     \
                                int32_t *restrict acc)                                 \
    {                                                                                  \
        const X *const in = in_all + r.in_at;                                          \
                                                                                       \
        if (!p->channels_last && p->out[2] == 1 && p->dilation[2] == 1) {              \
            acc[0] = avg_pool_window_##xt(p, in_all, x_zero, r);                       \
            return;                                                                    \
        }                                                                              \
        EACH_OUTPUT(acc[o] = 0;)                                                       \
        EACH_TAP(acc[o] += in[i] - x_zero;)                                            \
    }

#define AVG_POOL_QUANT(xt, X, yt, Y)                                                   \
    K_IN void avg_pool_quant_##xt##_##yt(                                              \
        const struct k_pool *p, const X *restrict in, float x_scale, int32_t x_zero,   \
        float y_scale, int32_t y_zero, const int32_t *limits, Y *restrict out,         \
        int32_t *restrict acc, ix begin, ix end)                                       \
    {                                                                                  \
        const int32_t lo = limits ? limits[0] : LO_##yt;                               \
        const int32_t hi = limits ? limits[1] : HI_##yt;                               \
        const ix side_by_side = p->channels_last ? (ix)p->c : 1;                       \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const struct pool_row r = pool_row(p, unit);                               \
            const ix zy = pool_inside(p, 0, r.oz) * pool_inside(p, 1, r.oy);           \
                                                                                       \
            avg_pool_row_##xt(p, in, x_zero, r, acc);                                  \
            for (ix x = 0; x < (ix)p->out[2]; x++) {                                   \
                const ix at = x * (ix)p->out_s[2];                                     \
                const float m =                                                        \
                    average_multiplier(x_scale, y_scale, zy * pool_inside(p, 2, x));   \
                for (ix c = at; c < at + side_by_side; c++)                            \
                    out[r.out_at + c] = (Y)requantize(acc[c], m, y_zero, lo, hi);      \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(avg_pool_quant_##xt##_##yt)                                              \
    {                                                                                  \
        const struct k_pool *const p = params;                                         \
        const float *const x_scale = buf[1], *const y_scale = buf[3];                  \
        const X *const x_zero = buf[2];                                                \
        const Y *const y_zero = buf[4];                                                \
        const int more = (int)p->has_limits;                                           \
                                                                                       \
        avg_pool_quant_##xt##_##yt(p, buf[0], *x_scale, *x_zero, *y_scale, *y_zero,    \
                                   more ? buf[5] : 0, buf[5 + more], buf[6 + more],    \
                                   (ix)begin, (ix)end);                                \
    }

AVG_POOL_SUMS(u8, uint8_t)
AVG_POOL_SUMS(i8, int8_t)
AVG_POOL_QUANT(u8, uint8_t, u8, uint8_t)
AVG_POOL_QUANT(u8, uint8_t, i8, int8_t)
AVG_POOL_QUANT(i8, int8_t, u8, uint8_t)
AVG_POOL_QUANT(i8, int8_t, i8, int8_t)
