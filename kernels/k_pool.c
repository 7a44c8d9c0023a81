/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling over windows (struct k_pool).  Each output combines the taps inside the
 * input one after the other, first spatial dim slowest (class E); padding is never
 * read.  Unit: one output row, of one channel (channels first) or of all of them. */
#include "kernels/math.h"
#include "kernels/pool_rows.h"

/* max_pool_<type>(in, out); LOWEST where no tap is inside or all are NaN. */
#define MAX_POOL(type, T, LOWEST)                                                      \
    K_IN void max_pool_##type(const struct k_pool *p, const T *restrict in_all,        \
                              T *restrict out_all, ix begin, ix end)                   \
    {                                                                                  \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const struct pool_row r = pool_row(p, unit);                                    \
            const T *const in = in_all + r.in_at;                                      \
            T *const out = out_all + r.out_at;                                         \
            EACH_OUTPUT(out[o] = LOWEST;)                                              \
            EACH_TAP(out[o] = in[i] > out[o] ? in[i] : out[o];)                        \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(max_pool_##type)                                                         \
    {                                                                                  \
        max_pool_##type(params, buf[0], buf[1], (ix)begin, (ix)end);                   \
    }                                                                                  \
                                                                                       \
    /* max_pool_index_<type>(in, out, int64 index): channels first; the index counts   \
     * elements of the whole input tensor. */                                          \
    K_IN void max_pool_index_##type(const struct k_pool *p, const T *restrict in_all,  \
                                    T *restrict out_all, int64_t *restrict index_all,  \
                                    ix begin, ix end)                                  \
    {                                                                                  \
        const ix rows = (ix)(p->out[0] * p->out[1]);                                   \
        const ix image = (ix)(p->in[0] * p->in[1] * p->in[2]);                         \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const struct pool_row r = pool_row(p, unit);                                    \
            const T *const in = in_all + r.in_at;                                      \
            T *const out = out_all + r.out_at;                                         \
            int64_t *const index = index_all + r.out_at;                               \
            EACH_OUTPUT(out[o] = LOWEST; index[o] = -1;)                               \
            EACH_TAP(if (index[o] < 0 || in[i] > out[o]) {                             \
                const ix zyx = z * (ix)p->in[1] + y, px = x * sx + dx;                 \
                const ix turned = (px * (ix)p->in[1] + y) * (ix)p->in[0] + z;          \
                out[o] = in[i];                                                        \
                index[o] = unit / rows * image                                         \
                           + (p->column_major ? turned : zyx * (ix)p->in[2] + px);     \
            })                                                                         \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(max_pool_index_##type)                                                   \
    {                                                                                  \
        max_pool_index_##type(params, buf[0], buf[1], buf[2], (ix)begin, (ix)end);     \
    }

MAX_POOL(f32, float, f32_of_bits(0xff800000u))
MAX_POOL(f64, double, f64_of_bits(0xfff0000000000000u))
MAX_POOL(i8, int8_t, -128)
MAX_POOL(u8, uint8_t, 0)

/* avg_pool_f32(in, out): the sum divided by the number of taps that count; 0 where
 * there are none. */
K_IN void avg_pool_f32(const struct k_pool *p, const float *restrict in_all,
                       float *restrict out_all, ix begin, ix end)
{
    for (ix unit = begin; unit < end; unit++) {
        const struct pool_row r = pool_row(p, unit);
        const float *const in = in_all + r.in_at;
        float *const out = out_all + r.out_at;
        const ix zy = pool_inside(p, 0, r.oz) * pool_inside(p, 1, r.oy);

        EACH_OUTPUT(out[o] = 0;)
        EACH_TAP(out[o] += in[i];)
        for (ix x = 0; x < (ix)p->out[2]; x++) {
            const ix n = zy * pool_inside(p, 2, x);
            const float count = (float)(n ? n : 1);
            float *const at = out + x * (ix)p->out_s[2];
            for (ix c = 0; c < (p->channels_last ? (ix)p->c : 1); c++)
                at[c] = at[c] / count;
        }
    }
}

KERNEL_FN(avg_pool_f32)
{
    avg_pool_f32(params, buf[0], buf[1], (ix)begin, (ix)end);
}

/* lp_pool_f32(in, out): (sum |v|^p)^(1/p). */
K_IN float lp_power(float v, ix p)
{
    const float a = math_abs(v);

    return p == 1 ? a : p == 2 ? a * a : math_pow(a, (float)p);
}

K_IN float lp_root(float v, ix p)
{
    return p == 1 ? v : p == 2 ? __builtin_sqrtf(v) : math_pow(v, 1.0f / (float)p);
}

K_IN void lp_pool_f32(const struct k_pool *p, const float *restrict in_all,
                      float *restrict out_all, ix begin, ix end)
{
    for (ix unit = begin; unit < end; unit++) {
        const struct pool_row r = pool_row(p, unit);
        const float *const in = in_all + r.in_at;
        float *const out = out_all + r.out_at;

        EACH_OUTPUT(out[o] = 0;)
        EACH_TAP(out[o] += lp_power(in[i], (ix)p->p);)
        EACH_OUTPUT(out[o] = lp_root(out[o], (ix)p->p);)
    }
}

KERNEL_FN(lp_pool_f32)
{
    lp_pool_f32(params, buf[0], buf[1], (ix)begin, (ix)end);
}
