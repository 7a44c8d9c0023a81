/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax, LogSoftmax, Hardmax along one axis.
 *
 * buf = { x, y }; unit: one row (k_rows).  y = exp(x - m) / sum, log form
 * (x - m) - log(sum); m is the largest element, the sum has sixteen lanes (element i
 * in lane i mod 16).  Rows that lie side by side in memory are done sixteen at a time,
 * each in its own order. */
#include "kernels/math.h"
#include "kernels/params.h"
#include "kernels/rows.h"

/* Four independent maxima hide the latency of comparing.  NaN is passed over here and
 * comes back with the exponentials; +0 or -0 makes no difference to them. */
K_IN float softmax_max(const float *x, ix n)
{
    enum { PARTS = 4 };
    v16 best[PARTS], t;
    float lane[LANES];
    ix i = 0;

    for (int p = 0; p < PARTS; p++)
        V16_SET1(best[p], -MATH_INF);
    for (; i + PARTS * LANES <= n; i += PARTS * LANES)
        for (int p = 0; p < PARTS; p++) {
            V16_LOAD(t, x + i + p * LANES);
            V16_LARGER(best[p], t);
        }
    for (; i + LANES <= n; i += LANES) {
        V16_LOAD(t, x + i);
        V16_LARGER(best[0], t);
    }
    for (int p = 1; p < PARTS; p++)
        V16_LARGER(best[0], best[p]);
    V16_STORE(lane, best[0]);
    for (; i < n; i++)
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];
    return lane[0];
}

K_IN void softmax_row(const float *restrict x, float *restrict y, ix n, int logarithm)
{
    const float m = softmax_max(x, n);

    for (ix i = 0; i < n; i++)
        y[i] = math_exp(x[i] - m);
    const float sum = rows_sum(y, n);
    if (logarithm) {
        const float log_sum = math_log(sum);
        for (ix i = 0; i < n; i++)
            y[i] = (x[i] - m) - log_sum;
    } else {
        for (ix i = 0; i < n; i++)
            y[i] /= sum;
    }
}

/* Sixteen rows side by side: element i of all of them is at x + i * step. */
K_IN void softmax_rows(const float *restrict x, float *restrict y, ix n, ix step,
                       int logarithm)
{
    float m[LANES], sum[LANES][LANES] = {{0}};

    for (int r = 0; r < LANES; r++)
        m[r] = -MATH_INF;
    for (ix i = 0; i < n; i++)
        for (int r = 0; r < LANES; r++)
            m[r] = x[i * step + r] > m[r] ? x[i * step + r] : m[r];
    for (ix i = 0; i < n; i++)
        for (int r = 0; r < LANES; r++) {
            const float e = math_exp(x[i * step + r] - m[r]);
            y[i * step + r] = e;
            sum[i & (LANES - 1)][r] += e;
        }
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            for (int r = 0; r < LANES; r++)
                sum[l][r] += sum[l + half][r];
    for (int r = 0; logarithm && r < LANES; r++)
        sum[0][r] = math_log(sum[0][r]);
    for (ix i = 0; i < n; i++)
        for (int r = 0; r < LANES; r++)
            y[i * step + r] = logarithm ? (x[i * step + r] - m[r]) - sum[0][r]
                                        : y[i * step + r] / sum[0][r];
}

K_IN void softmax_strided(const float *restrict x, float *restrict y, ix n, ix step,
                          int logarithm)
{
    float m = -MATH_INF, lane[LANES] = {0};

    for (ix i = 0; i < n; i++)
        m = x[i * step] > m ? x[i * step] : m;
    for (ix i = 0; i < n; i++) {
        y[i * step] = math_exp(x[i * step] - m);
        lane[i & (LANES - 1)] += y[i * step];
    }
    const float sum = rows_join(lane), log_sum = math_log(sum);
    for (ix i = 0; i < n; i++)
        y[i * step] = logarithm ? (x[i * step] - m) - log_sum : y[i * step] / sum;
}

K_IN void softmax(const struct k_rows *p, const float *restrict x, float *restrict y,
                  ix begin, ix end, int logarithm)
{
    const ix n = (ix)p->n, inner = (ix)p->inner;

    for (ix r = begin; r < end;) {
        const ix c = r % inner, at = (r / inner) * n * inner + c;

        if (inner == 1) {
            softmax_row(x + at, y + at, n, logarithm);
            r++;
        } else if (c + LANES <= inner && r + LANES <= end) {
            softmax_rows(x + at, y + at, n, inner, logarithm);
            r += LANES;
        } else {
            softmax_strided(x + at, y + at, n, inner, logarithm);
            r++;
        }
    }
}

KERNEL_FN(softmax_f32)
{
    softmax(params, buf[0], buf[1], (ix)begin, (ix)end, 0);
}

KERNEL_FN(log_softmax_f32)
{
    softmax(params, buf[0], buf[1], (ix)begin, (ix)end, 1);
}

/* float64: lanes as above, no vector walks. */
K_IN void softmax64(const struct k_rows *p, const double *restrict x, double *restrict y,
                    ix begin, ix end, int logarithm)
{
    const ix n = (ix)p->n, step = (ix)p->inner;

    for (ix r = begin; r < end; r++) {
        const ix at = (r / step) * n * step + r % step;
        double m = -MATH_INF64, lane[LANES] = {0};

        for (ix i = 0; i < n; i++)
            m = x[at + i * step] > m ? x[at + i * step] : m;
        for (ix i = 0; i < n; i++) {
            y[at + i * step] = math_exp64(x[at + i * step] - m);
            lane[i & (LANES - 1)] += y[at + i * step];
        }
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++)
                lane[l] += lane[l + half];
        for (ix i = 0; i < n; i++)
            y[at + i * step] = logarithm ? (x[at + i * step] - m) - math_log64(lane[0])
                                         : y[at + i * step] / lane[0];
    }
}

KERNEL_FN(softmax_f64)
{
    softmax64(params, buf[0], buf[1], (ix)begin, (ix)end, 0);
}

KERNEL_FN(log_softmax_f64)
{
    softmax64(params, buf[0], buf[1], (ix)begin, (ix)end, 1);
}

/* One at the first largest element of a row, zero elsewhere. */
#define HARDMAX(name, T)                                                               \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_rows *p = params;                                               \
        const ix n = (ix)p->n, step = (ix)p->inner;                                    \
                                                                                       \
        for (ix r = (ix)begin; r < (ix)end; r++) {                                     \
            const ix at = (r / step) * n * step + r % step;                            \
            const T *x = (const T *)buf[0] + at;                                       \
            T *y = (T *)buf[1] + at;                                                   \
            ix best = 0;                                                               \
                                                                                       \
            for (ix i = 1; i < n; i++)                                                 \
                if (x[i * step] > x[best * step])                                      \
                    best = i;                                                          \
            for (ix i = 0; i < n; i++)                                                 \
                y[i * step] = i == best;                                               \
        }                                                                              \
    }

HARDMAX(hardmax_f32, float)
HARDMAX(hardmax_f64, double)
