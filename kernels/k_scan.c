/* SPDX-License-Identifier: Apache-2.0 */
/* Running sums, determinants and the likelihood loss: kernels with an order of their
 * own along a row. */
#include "kernels/elements.h"
#include "kernels/math.h"
#include "kernels/params.h"

/* CumSum.  buf = { x, y }; unit: one row (k_rows); integers wrap around. */
#define CUMSUM(name, T, W)                                                             \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_rows *p = params;                                               \
        const ix n = (ix)p->n, inner = (ix)p->inner;                                   \
                                                                                       \
        for (ix r = (ix)begin; r < (ix)end; r++) {                                     \
            const ix at = (r / inner) * n * inner + r % inner;                         \
            const T *x = (const T *)buf[0] + at;                                       \
            T *y = (T *)buf[1] + at;                                                   \
            W sum = 0;                                                                 \
                                                                                       \
            for (ix k = 0; k < n; k++) {                                               \
                const ix i = (p->reverse ? n - 1 - k : k) * inner;                     \
                const W before = sum;                                                  \
                sum += (W)x[i];                                                        \
                y[i] = (T)(p->exclusive ? before : sum);                               \
            }                                                                          \
        }                                                                              \
    }

CUMSUM(cumsum_f32, float, float)
CUMSUM(cumsum_f64, double, double)
CUMSUM(cumsum_i32, int32_t, uint32_t)
CUMSUM(cumsum_i64, int64_t, uint64_t)
CUMSUM(cumsum_u32, uint32_t, uint32_t)
CUMSUM(cumsum_u64, uint64_t, uint64_t)

/* Determinant by elimination with row exchange.  buf = { x, y, scratch of n * n };
 * unit: one n x n matrix. */
#define DET(name, T, ABS)                                                              \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const ix n = (ix)((const struct k_rows *)params)->n;                           \
        T *restrict a = buf[2];                                                        \
                                                                                       \
        for (ix m = (ix)begin; m < (ix)end; m++) {                                     \
            T det = 1;                                                                 \
                                                                                       \
            for (ix i = 0; i < n * n; i++)                                             \
                a[i] = ((const T *)buf[0])[m * n * n + i];                             \
            for (ix k = 0; k < n; k++) {                                               \
                ix best = k;                                                           \
                for (ix i = k + 1; i < n; i++)                                         \
                    if (ABS(a[i * n + k]) > ABS(a[best * n + k]))                      \
                        best = i;                                                      \
                const T pivot = a[best * n + k];                                       \
                det *= best == k ? pivot : -pivot;                                     \
                if (pivot == 0)                                                        \
                    break;                                                             \
                for (ix j = k; j < n && best != k; j++) {                              \
                    const T t = a[k * n + j];                                          \
                    a[k * n + j] = a[best * n + j];                                    \
                    a[best * n + j] = t;                                               \
                }                                                                      \
                for (ix i = k + 1; i < n; i++) {                                       \
                    const T f = a[i * n + k] / pivot;                                  \
                    for (ix j = k; j < n; j++)                                         \
                        a[i * n + j] -= f * a[k * n + j];                              \
                }                                                                      \
            }                                                                          \
            ((T *)buf[1])[m] = det;                                                    \
        }                                                                              \
    }

DET(det_f32, float, math_abs)
DET(det_f64, double, math_abs64)

/* loss = -x[target] * weight[target], and the weight that it had; a target equal to
 * `ignore`, or no class at all, gives 0 for both.
 * buf = { x, target, weight, loss, weights out }; unit: one target. */
#define NLL(name, I)                                                                   \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_nll *p = params;                                                \
        const float *x = buf[0], *weight = buf[2];                                     \
        const I *target = buf[1];                                                      \
        float *loss = buf[3], *weights = buf[4];                                       \
        const ix c = (ix)p->c, inner = (ix)p->inner;                                   \
                                                                                       \
        for (ix e = (ix)begin; e < (ix)end; e++) {                                     \
            const ix t = (ix)target[e];                                                \
            const int counts = t >= 0 && t < c && !(p->has_ignore && t == (ix)p->ignore); \
            const ix at = (e / inner * c + (counts ? t : 0)) * inner + e % inner;      \
            const float w = !counts ? 0.0f : p->has_weight ? weight[t] : 1.0f;         \
                                                                                       \
            loss[e] = counts ? -x[at] * w : 0.0f;                                      \
            weights[e] = w;                                                            \
        }                                                                              \
    }

NLL(nll_i32, int32_t)
NLL(nll_i64, int64_t)
