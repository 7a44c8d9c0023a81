/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and normalizations of rows of 8-bit codes (numerics, section 3).  Sums are
 * exact integers; what follows them are a few float operations in the written order. */
#include "kernels/params.h"
#include "kernels/requantize.h"

/* softmax_quant_<x>_<y>(x, table, y_scale, y_zero, [limits,] y, scratch): entry d of
 * the table is rne(exp(-s_x d) 2^24), d = (largest code of the row) - q.
 *
 *     r = (1 / s_y) / (float)sum       y = z_y + rne(clamp((float)table[d] r))
 *
 * Rows as in k_softmax.c; those that lie side by side are done SIDE at a time.  Scratch
 * holds what has been looked up: uint32[n], times SIDE where inner is not 1. */
enum { SIDE = 64 };

#define SOFTMAX_LOOKUP(xt, X)                                                          \
    K_IN int64_t softmax_look_up_##xt(const X *restrict x,                             \
                                      const uint32_t *restrict table, ix n,            \
                                      uint32_t *restrict e)                            \
    {                                                                                  \
        X most = x[0];                                                                 \
        int64_t sum = 0;                                                               \
                                                                                       \
        for (ix i = 1; i < n; i++)                                                     \
            most = x[i] > most ? x[i] : most;                                          \
        for (ix i = 0; i < n; i++)                                                     \
            e[i] = table[most - x[i]];                                                 \
        for (ix i = 0; i < n; i++)                                                     \
            sum += e[i];                                                               \
        return sum;                                                                    \
    }                                                                                  \
                                                                                       \
    /* `rows` of them; element i of all is at x + i * step. */                         \
    K_IN void softmax_look_up_side_##xt(                                               \
        const X *restrict x, const uint32_t *restrict table, ix n, ix step, ix rows,   \
        int64_t *restrict sum, uint32_t *restrict e)                                   \
    {                                                                                  \
        X most[SIDE];                                                                  \
                                                                                       \
        for (ix r = 0; r < rows; r++) {                                                \
            most[r] = x[r];                                                            \
            sum[r] = 0;                                                                \
        }                                                                              \
        for (ix i = 1; i < n; i++)                                                     \
            for (ix r = 0; r < rows; r++)                                              \
                most[r] = x[i * step + r] > most[r] ? x[i * step + r] : most[r];       \
        for (ix i = 0; i < n; i++)                                                     \
            for (ix r = 0; r < rows; r++)                                              \
                e[i * SIDE + r] = table[most[r] - x[i * step + r]];                    \
        for (ix i = 0; i < n; i++)                                                     \
            for (ix r = 0; r < rows; r++)                                              \
                sum[r] += e[i * SIDE + r];                                             \
    }

#define SOFTMAX_QUANT(xt, X, yt, Y)                                                    \
    K_IN void softmax_quant_##xt##_##yt(                                               \
        const struct k_rows *p, const X *restrict x, const uint32_t *restrict table,   \
        float y_scale, int32_t y_zero, const int32_t *limits, Y *restrict y,           \
        uint32_t *restrict e, ix begin, ix end)                                        \
    {                                                                                  \
        const int32_t lo = limits ? limits[0] : LO_##yt;                               \
        const int32_t hi = limits ? limits[1] : HI_##yt;                               \
        const ix n = (ix)p->n, step = (ix)p->inner;                                    \
        const float reciprocal = 1.0f / y_scale;                                       \
                                                                                       \
        for (ix row = begin; step == 1 && row < end; row++) {                          \
            const float r =                                                            \
                reciprocal / (float)softmax_look_up_##xt(x + row * n, table, n, e);    \
                                                                                       \
            for (ix i = 0; i < n; i++)                                                 \
                y[row * n + i] = (Y)requantize((int32_t)e[i], r, y_zero, lo, hi);      \
        }                                                                              \
        for (ix row = begin, rows; step != 1 && row < end; row += rows) {              \
            const ix c = row % step, at = row / step * n * step + c;                   \
            int64_t sum[SIDE];                                                         \
            float r[SIDE];                                                             \
                                                                                       \
            rows = ix_min(ix_min(SIDE, step - c), end - row);                          \
            softmax_look_up_side_##xt(x + at, table, n, step, rows, sum, e);           \
            for (ix k = 0; k < rows; k++)                                              \
                r[k] = reciprocal / (float)sum[k];                                     \
            for (ix i = 0; i < n; i++)                                                 \
                for (ix k = 0; k < rows; k++)                                          \
                    y[at + i * step + k] =                                             \
                        (Y)requantize((int32_t)e[i * SIDE + k], r[k], y_zero, lo, hi); \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(softmax_quant_##xt##_##yt)                                               \
    {                                                                                  \
        const struct k_rows *const p = params;                                         \
        const float *const y_scale = buf[2];                                           \
        const Y *const y_zero = buf[3];                                                \
        const int more = (int)p->has_limits;                                           \
                                                                                       \
        softmax_quant_##xt##_##yt(p, buf[0], buf[1], *y_scale, *y_zero,                \
                                  more ? buf[4] : 0, buf[4 + more], buf[5 + more],     \
                                  (ix)begin, (ix)end);                                 \
    }

/* What a row of codes adds up to, less `zero` each.  Blocks are short enough for sums
 * of squares in 32 bits: 2^15 255^2 < 2^31. */
struct row_sums {
    int64_t sum, squares;
};

enum { SUM_BLOCK = 1 << 15 };

#define ROW_SUMS(xt, X)                                                                \
    K_IN struct row_sums row_sums_##xt(const X *x, ix n, int32_t zero)                 \
    {                                                                                  \
        struct row_sums s = {0, 0};                                                    \
                                                                                       \
        for (ix from = 0; from < n; from += SUM_BLOCK) {                               \
            const ix end = ix_min(from + SUM_BLOCK, n);                                \
            int32_t sum = 0, squares = 0;                                              \
                                                                                       \
            for (ix i = from; i < end; i++) {                                          \
                const int32_t q = x[i] - zero;                                         \
                sum += q;                                                              \
                squares += q * q;                                                      \
            }                                                                          \
            s.sum += sum;                                                              \
            s.squares += squares;                                                      \
        }                                                                              \
        return s;                                                                      \
    }

/* scale / sqrt(sum per_sum + eps) */
K_IN float norm_factor(int64_t sum, double per_sum, float eps, float scale)
{
    const float v = (float)sum * (float)per_sum;

    return scale / __builtin_sqrtf(v + eps);
}

/* (float)(times q - sum).  Up to 2^16 times, all of it is below 2^24 and exact as
 * floats, which every instruction set multiplies in vectors. */
K_IN float from_centre(int32_t q, int32_t times, int32_t sum)
{
    return times <= 1 << 16 ? (float)times * (float)q - (float)sum
                            : (float)(times * q - sum);
}

/* layer_norm_quant_<x>_<y>(x, x_scale, x_zero, gamma, beta, y_zero, [limits,] y); beta
 * is NULL where there is none; gamma and beta are in steps of y.  Unit: one row of n,
 * below 2^23; S = sum of q, Q = sum of q^2.
 *
 *     k = (s_x / n) / sqrt((n Q - S^2) (s_x^2 / n^2) + eps)
 *     y = z_y + rne(clamp((n q - S) k gamma + beta))
 *
 * rms_norm_quant_<x>_<y>: the same operands, Q = sum of (q - z_x)^2.
 *
 *     k = s_x / sqrt(Q (s_x^2 / n) + eps)
 *     y = z_y + rne(clamp((q - z_x) k gamma + beta))
 *
 * NaN (eps 0 and a constant row) gives the zero point; with an ordinary k there is
 * none.
 */
struct norm_row {
    float k;
    int32_t times, sum; /* what stands for q: times q - sum */
};

#define NORM_ROW_OF(xt, X)                                                             \
    K_IN struct norm_row layer_norm_row_##xt(const struct k_norm *p, const X *x,       \
                                             float scale)                              \
    {                                                                                  \
        const double s = (double)scale, n = (double)p->n;                              \
        const struct row_sums sums = row_sums_##xt(x, (ix)p->n, 0);                    \
        const int64_t spread = p->n * sums.squares - sums.sum * sums.sum;              \
                                                                                       \
        return (struct norm_row){                                                      \
            norm_factor(spread, s * s / (n * n), p->eps, (float)(s / n)),              \
            (int32_t)p->n, (int32_t)sums.sum};                                         \
    }                                                                                  \
    K_IN struct norm_row rms_norm_row_##xt(const struct k_norm *p, const X *x,         \
                                           float scale, int32_t zero)                  \
    {                                                                                  \
        const double s = (double)scale;                                                \
        const struct row_sums sums = row_sums_##xt(x, (ix)p->n, zero);                 \
                                                                                       \
        return (struct norm_row){                                                      \
            norm_factor(sums.squares, s * s / (double)p->n, p->eps, scale), 1, zero};  \
    }

#define NORM_QUANT(xt, X, yt, Y)                                                       \
    K_IN void norm_codes_##xt##_##yt(                                                  \
        const struct k_norm *p, struct norm_row r, int careful, const X *restrict x,   \
        const float *restrict gamma, const float *restrict beta, int32_t zero,         \
        const int32_t *limits, Y *restrict y)                                          \
    {                                                                                  \
        const int32_t lo = limits ? limits[0] : LO_##yt;                               \
        const int32_t hi = limits ? limits[1] : HI_##yt;                               \
                                                                                       \
        for (ix i = 0; i < (ix)p->n; i++) {                                            \
            const float t = from_centre(x[i], r.times, r.sum) * r.k * gamma[i];        \
            const float u = p->has_bias ? t + beta[i] : t;                             \
            y[i] = (Y)settle(careful && u != u ? 0.0f : u, zero, lo, hi);              \
        }                                                                              \
    }                                                                                  \
    K_IN void norm_quant_##xt##_##yt(const struct k_norm *p, struct norm_row r,        \
                                     void *const *buf, ix at)                          \
    {                                                                                  \
        const X *const x = (const X *)buf[0] + at;                                     \
        const Y *const zero = buf[5];                                                  \
        Y *const y = (Y *)buf[6 + p->has_limits] + at;                                 \
        const int32_t *const limits = p->has_limits ? buf[6] : 0;                      \
                                                                                       \
        if (r.k <= 0x1p90f)                                                            \
            norm_codes_##xt##_##yt(p, r, 0, x, buf[3], buf[4], *zero, limits, y);      \
        else                                                                           \
            norm_codes_##xt##_##yt(p, r, 1, x, buf[3], buf[4], *zero, limits, y);      \
    }                                                                                  \
    KERNEL_FN(layer_norm_quant_##xt##_##yt)                                            \
    {                                                                                  \
        const struct k_norm *const p = params;                                         \
        const X *const x = buf[0];                                                     \
        const float *const scale = buf[1];                                             \
                                                                                       \
        for (ix at = (ix)begin * (ix)p->n; at < (ix)end * (ix)p->n; at += (ix)p->n)    \
            norm_quant_##xt##_##yt(p, layer_norm_row_##xt(p, x + at, *scale), buf,     \
                                   at);                                                \
    }                                                                                  \
    KERNEL_FN(rms_norm_quant_##xt##_##yt)                                              \
    {                                                                                  \
        const struct k_norm *const p = params;                                         \
        const X *const x = buf[0], *const zero = buf[2];                               \
        const float *const scale = buf[1];                                             \
                                                                                       \
        for (ix at = (ix)begin * (ix)p->n; at < (ix)end * (ix)p->n; at += (ix)p->n)    \
            norm_quant_##xt##_##yt(p, rms_norm_row_##xt(p, x + at, *scale, *zero),     \
                                   buf, at);                                           \
    }

#define ALL_ROWS(xt, X)                                                                \
    SOFTMAX_LOOKUP(xt, X)                                                              \
    SOFTMAX_QUANT(xt, X, u8, uint8_t)                                                  \
    SOFTMAX_QUANT(xt, X, i8, int8_t)                                                   \
    ROW_SUMS(xt, X)                                                                    \
    NORM_ROW_OF(xt, X)                                                                 \
    NORM_QUANT(xt, X, u8, uint8_t)                                                     \
    NORM_QUANT(xt, X, i8, int8_t)

ALL_ROWS(u8, uint8_t)
ALL_ROWS(i8, int8_t)
