/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling over windows (struct k_pool).  Each output combines the taps inside the
 * input one after the other, first spatial dim slowest (class E); padding is never
 * read.  Unit: one output row, of one channel (channels first) or of all of them.
 *
 * Rows are walked tap by tap, so that the inner loop runs over neighbouring
 * outputs, which stay in the first-level cache. */
#include "kernels/math.h"
#include "kernels/params.h"

struct row {
    ix oz, oy;
    ix in_at, out_at; /* offset of the image (and channel) and of the output row */
    ix count;         /* outputs that are neighbours: columns or channels */
    ix columns;       /* rows of neighbours: 1 or columns */
};

K_IN struct row pool_row(const struct k_pool *p, ix unit)
{
    struct row r = {.oy = unit % (ix)p->out[1],
                    .oz = unit / (ix)p->out[1] % (ix)p->out[0]};
    const ix rest = unit / (ix)p->out[1] / (ix)p->out[0];
    const ix row = r.oz * (ix)p->out_s[0] + r.oy * (ix)p->out_s[1];

    if (p->channels_last) {
        r.in_at = rest * (ix)p->in_n;
        r.out_at = rest * (ix)p->out_n + row;
        r.count = (ix)p->c;
        r.columns = (ix)p->out[2];
    } else {
        const ix n = rest / (ix)p->c, c = rest - n * (ix)p->c;
        r.in_at = n * (ix)p->in_n + c * (ix)p->in_c;
        r.out_at = n * (ix)p->out_n + c * (ix)p->out_c + row;
        r.count = (ix)p->out[2];
        r.columns = 1;
    }
    return r;
}

/* Runs `statement` for every tap and every output of a row: `o` is the output's
 * index below out + r.out_at, `i` the input element's below in + r.in_at. */
#define EACH_TAP(...)                                                                  \
    for (ix kz = 0; kz < (ix)p->kernel[0]; kz++)                                       \
        for (ix ky = 0; ky < (ix)p->kernel[1]; ky++) {                                 \
            const ix z =                                                               \
                r.oz * (ix)p->stride[0] + kz * (ix)p->dilation[0] - (ix)p->pad[0];     \
            const ix y =                                                               \
                r.oy * (ix)p->stride[1] + ky * (ix)p->dilation[1] - (ix)p->pad[1];     \
            if (z < 0 || z >= (ix)p->in[0] || y < 0 || y >= (ix)p->in[1])              \
                continue;                                                              \
            const ix row_at = z * (ix)p->in_s[0] + y * (ix)p->in_s[1];                 \
            for (ix kx = 0; kx < (ix)p->kernel[2]; kx++) {                             \
                const ix sx = (ix)p->stride[2];                                        \
                const ix dx = kx * (ix)p->dilation[2] - (ix)p->pad[2];                 \
                const ix lo = dx >= 0 ? 0 : (-dx + sx - 1) / sx;                       \
                const ix hi =                                                          \
                    dx >= (ix)p->in[2]                                                 \
                        ? 0                                                            \
                        : ix_min((ix)p->out[2], ((ix)p->in[2] - 1 - dx) / sx + 1);     \
                if (p->channels_last)                                                  \
                    for (ix x = lo; x < hi; x++)                                       \
                        for (ix c = 0; c < (ix)p->c; c++) {                            \
                            const ix o = x * (ix)p->out_s[2] + c;                      \
                            const ix i = row_at + (x * sx + dx) * (ix)p->in_s[2] + c;  \
                            __VA_ARGS__                                                \
                        }                                                              \
                else                                                                   \
                    for (ix x = lo; x < hi; x++) {                                     \
                        const ix o = x * (ix)p->out_s[2];                              \
                        const ix i = row_at + (x * sx + dx) * (ix)p->in_s[2];          \
                        __VA_ARGS__                                                    \
                    }                                                                  \
            }                                                                          \
        }

#define EACH_OUTPUT(...)                                                               \
    for (ix x = 0; x < r.columns; x++)                                                 \
        for (ix c = 0; c < r.count; c++) {                                             \
            const ix o =                                                               \
                p->channels_last ? x * (ix)p->out_s[2] + c : c * (ix)p->out_s[2];      \
            __VA_ARGS__                                                                \
        }

/* max_pool_<type>(in, out); LOWEST where no tap is inside or all are NaN. */
#define MAX_POOL(type, T, LOWEST)                                                      \
    K_IN void max_pool_##type(const struct k_pool *p, const T *restrict in_all,        \
                              T *restrict out_all, ix begin, ix end)                   \
    {                                                                                  \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const struct row r = pool_row(p, unit);                                    \
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
            const struct row r = pool_row(p, unit);                                    \
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

/* How many positions of a window start at `at` along one dim count. */
K_IN ix inside(const struct k_pool *p, int d, ix o)
{
    const ix at = o * (ix)p->stride[d] - (ix)p->pad[d], step = (ix)p->dilation[d];
    const ix low = p->count_pad ? -(ix)p->pad[d] : 0;
    const ix high = (ix)p->in[d] + (p->count_pad ? (ix)p->pad_end[d] : 0);
    ix n = 0;

    for (ix k = 0; k < (ix)p->kernel[d]; k++)
        n += at + k * step >= low && at + k * step < high;
    return n;
}

/* avg_pool_f32(in, out): the sum divided by the number of taps that count; 0 where
 * there are none. */
K_IN void avg_pool_f32(const struct k_pool *p, const float *restrict in_all,
                       float *restrict out_all, ix begin, ix end)
{
    for (ix unit = begin; unit < end; unit++) {
        const struct row r = pool_row(p, unit);
        const float *const in = in_all + r.in_at;
        float *const out = out_all + r.out_at;
        const ix zy = inside(p, 0, r.oz) * inside(p, 1, r.oy);

        EACH_OUTPUT(out[o] = 0;)
        EACH_TAP(out[o] += in[i];)
        for (ix x = 0; x < (ix)p->out[2]; x++) {
            const ix n = zy * inside(p, 2, x);
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
        const struct row r = pool_row(p, unit);
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
