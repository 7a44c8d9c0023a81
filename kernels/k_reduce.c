/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions over any set of axes, and the position of the largest or smallest.
 *
 * buf = { in, out }; unit: one output element.  The reduced elements of a window are
 * numbered in row-major order; element i goes to lane i mod 16, and the lanes are
 * combined by the tree 8-4-2-1.  Three walks give the same bytes:
 *
 *   along     one contiguous reduced dim: sixteen lanes are one vector load
 *   across    outputs are contiguous in the input: sixteen outputs at a time, each
 *             with its sixteen lanes
 *   any       everything else, element by element
 */
#include "kernels/math.h"
#include "kernels/params.h"
#include "kernels/rows.h"

enum { REDUCE_LAST = K_MAX_RANK - 1 };

K_IN ix reduce_at(const struct k_reduce *p, ix e)
{
    ix at = 0;

    for (int d = REDUCE_LAST; d > 0; d--) {
        const ix n = (ix)p->kept[d], q = e / n;

        at += (e - q * n) * (ix)p->kept_stride[d];
        e = q;
    }
    return at + e * (ix)p->kept_stride[0];
}

/* Step `index` to the next run along the last reduced dim; its offset. */
K_IN ix reduce_next(const struct k_reduce *p, ix index[K_MAX_RANK], ix at)
{
    for (int d = REDUCE_LAST - 1; d >= 0; d--) {
        at += (ix)p->red_stride[d];
        if (++index[d] < (ix)p->red[d])
            return at;
        at -= index[d] * (ix)p->red_stride[d];
        index[d] = 0;
    }
    return at;
}

K_IN int reduce_is_run(const struct k_reduce *p)
{
    int one = 1;

    for (int d = 0; d < REDUCE_LAST; d++)
        one &= p->red[d] == 1;
    return one;
}

/* FIRST: what a lane starts with.  STEP(acc, x): one element joins.  JOIN(a, b): two
 * lanes.  END(acc): the result, `count` elements were reduced. */
#define REDUCE_ANY(name, T, A, FIRST, STEP, JOIN, END)                                 \
    K_IN T name##_any(const struct k_reduce *p, const T *in, ix at)                    \
    {                                                                                  \
        const ix run = (ix)p->red[REDUCE_LAST], step = (ix)p->red_stride[REDUCE_LAST]; \
        const ix count = (ix)p->count;                                                 \
        ix index[K_MAX_RANK] = {0};                                                    \
        A lane[LANES];                                                                 \
                                                                                       \
        for (int l = 0; l < LANES; l++)                                                \
            lane[l] = FIRST;                                                           \
        for (ix i = 0; i < count; at = reduce_next(p, index, at))                      \
            for (ix j = 0; j < run; j++, i++) {                                        \
                const A x = (A)in[at + j * step], acc = lane[i & (LANES - 1)];         \
                lane[i & (LANES - 1)] = (A)STEP(acc, x);                               \
            }                                                                          \
        for (int half = LANES / 2; half; half /= 2)                                    \
            for (int l = 0; l < half; l++)                                             \
                lane[l] = (A)JOIN(lane[l], lane[l + half]);                            \
        return (T)END(lane[0]);                                                        \
    }

#define REDUCE(name, T, A, FIRST, STEP, JOIN, END)                                     \
    REDUCE_ANY(name, T, A, FIRST, STEP, JOIN, END)                                     \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_reduce *p = params;                                             \
        const T *in = buf[0];                                                          \
        T *out = buf[1];                                                               \
                                                                                       \
        for (ix e = (ix)begin; e < (ix)end; e++)                                       \
            out[e] = name##_any(p, in, reduce_at(p, e));                               \
    }

/* float32, with the two vector walks.  VSTEP(acc, x) and VJOIN(a, b) change their
 * first argument. */
#define REDUCE_F32(name, FIRST, STEP, JOIN, END, VSTEP, VJOIN)                         \
    REDUCE_ANY(name, float, float, FIRST, STEP, JOIN, END)                             \
    K_IN float name##_along(const float *in, ix count)                                 \
    {                                                                                  \
        v16 acc, x;                                                                    \
        float lane[LANES];                                                             \
        ix i = 0;                                                                      \
                                                                                       \
        V16_SET1(acc, FIRST);                                                          \
        for (; i + LANES <= count; i += LANES) {                                       \
            V16_LOAD(x, in + i);                                                       \
            VSTEP(acc, x);                                                             \
        }                                                                              \
        V16_STORE(lane, acc);                                                          \
        for (int l = 0; l < LANES && i + l < count; l++)                               \
            lane[l] = STEP(lane[l], in[i + l]);                                        \
        for (int half = LANES / 2; half; half /= 2)                                    \
            for (int l = 0; l < half; l++)                                             \
                lane[l] = JOIN(lane[l], lane[l + half]);                               \
        return END(lane[0]);                                                           \
    }                                                                                  \
    K_IN void name##_across(const struct k_reduce *p, const float *in, ix at, float *out) \
    {                                                                                  \
        const ix run = (ix)p->red[REDUCE_LAST], step = (ix)p->red_stride[REDUCE_LAST]; \
        const ix count = (ix)p->count;                                                 \
        ix index[K_MAX_RANK] = {0};                                                    \
        v16 acc[LANES], x;                                                             \
                                                                                       \
        for (int l = 0; l < LANES; l++)                                                \
            V16_SET1(acc[l], FIRST);                                                   \
        if (reduce_is_run(p)) {                                                        \
            ix i = 0;                                                                  \
            for (; i + LANES <= count; i += LANES)                                     \
                for (int l = 0; l < LANES; l++) {                                      \
                    V16_LOAD(x, in + at + (i + l) * step);                             \
                    VSTEP(acc[l], x);                                                  \
                }                                                                      \
            for (int l = 0; l < LANES; l++)                                            \
                if (i + l < count) {                                                   \
                    V16_LOAD(x, in + at + (i + l) * step);                             \
                    VSTEP(acc[l], x);                                                  \
                }                                                                      \
        } else {                                                                       \
            for (ix i = 0; i < count; at = reduce_next(p, index, at))                  \
                for (ix j = 0; j < run; j++, i++) {                                    \
                    V16_LOAD(x, in + at + j * step);                                   \
                    VSTEP(acc[i & (LANES - 1)], x);                                    \
                }                                                                      \
        }                                                                              \
        for (int half = LANES / 2; half; half /= 2)                                    \
            for (int l = 0; l < half; l++)                                             \
                VJOIN(acc[l], acc[l + half]);                                          \
        V16_STORE(out, acc[0]);                                                        \
        for (int l = 0; l < LANES; l++)                                                \
            out[l] = END(out[l]);                                                      \
    }                                                                                  \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_reduce *p = params;                                             \
        const float *restrict in = buf[0];                                             \
        float *restrict out = buf[1];                                                  \
        const ix row = (ix)p->kept[REDUCE_LAST], count = (ix)p->count;                 \
        const int along = reduce_is_run(p) && p->red_stride[REDUCE_LAST] == 1;         \
        const int across = p->kept_stride[REDUCE_LAST] == 1 && row >= LANES;           \
                                                                                       \
        for (ix e = (ix)begin; e < (ix)end;) {                                         \
            const ix at = reduce_at(p, e);                                             \
            if (along) {                                                               \
                out[e] = name##_along(in + at, count);                                 \
                e++;                                                                   \
            } else if (across && e % row + LANES <= row && e + LANES <= (ix)end) {     \
                name##_across(p, in, at, out + e);                                     \
                e += LANES;                                                            \
            } else {                                                                   \
                out[e] = name##_any(p, in, at);                                        \
                e++;                                                                   \
            }                                                                          \
        }                                                                              \
    }

#define R_SUM(acc, x)     ((acc) + (x))
#define R_SQUARES(acc, x) ((acc) + (x) * (x))
#define R_SIZES(acc, x)   ((acc) + math_abs(x))
#define R_SIZES64(acc, x) ((acc) + math_abs64(x))
#define R_PRODUCT(acc, x) ((acc) * (x))
#define R_LARGER(acc, x)  ((x) > (acc) || (x) != (x) ? (x) : (acc))
#define R_SMALLER(acc, x) ((x) < (acc) || (x) != (x) ? (x) : (acc))
#define R_AS_IS(acc)      (acc)
#define R_MEAN(acc)       ((acc) / (float)count)
#define R_MEAN64(acc)     ((acc) / (double)count)
#define R_ROOT(acc)       __builtin_sqrtf(acc)
#define R_ROOT64(acc)     __builtin_sqrt(acc)
#define R_LOG(acc)        math_log(acc)
#define R_LOG64(acc)      math_log64(acc)

#define R_VSQUARES(acc, x) V16_MULADD(acc, x, x)
#define R_VSIZES(acc, x)                                                               \
    do {                                                                               \
        V16_ABS(x);                                                                    \
        V16_ADD(acc, x);                                                               \
    } while (0)

/* The results of `along` and `across` call END where `count` is in scope. */
REDUCE_F32(reduce_sum_f32, 0.0f, R_SUM, R_SUM, R_AS_IS, V16_ADD, V16_ADD)
REDUCE_F32(reduce_mean_f32, 0.0f, R_SUM, R_SUM, R_MEAN, V16_ADD, V16_ADD)
REDUCE_F32(reduce_sum_square_f32, 0.0f, R_SQUARES, R_SUM, R_AS_IS, R_VSQUARES, V16_ADD)
REDUCE_F32(reduce_l1_f32, 0.0f, R_SIZES, R_SUM, R_AS_IS, R_VSIZES, V16_ADD)
REDUCE_F32(reduce_l2_f32, 0.0f, R_SQUARES, R_SUM, R_ROOT, R_VSQUARES, V16_ADD)
REDUCE_F32(reduce_log_sum_f32, 0.0f, R_SUM, R_SUM, R_LOG, V16_ADD, V16_ADD)
REDUCE_F32(reduce_prod_f32, 1.0f, R_PRODUCT, R_PRODUCT, R_AS_IS, V16_MUL, V16_MUL)
REDUCE_F32(reduce_max_f32, -MATH_INF, R_LARGER, R_LARGER, R_AS_IS, V16_MAX, V16_MAX)
REDUCE_F32(reduce_min_f32, MATH_INF, R_SMALLER, R_SMALLER, R_AS_IS, V16_MIN, V16_MIN)

REDUCE(reduce_sum_f64, double, double, 0.0, R_SUM, R_SUM, R_AS_IS)
REDUCE(reduce_mean_f64, double, double, 0.0, R_SUM, R_SUM, R_MEAN64)
REDUCE(reduce_sum_square_f64, double, double, 0.0, R_SQUARES, R_SUM, R_AS_IS)
REDUCE(reduce_l1_f64, double, double, 0.0, R_SIZES64, R_SUM, R_AS_IS)
REDUCE(reduce_l2_f64, double, double, 0.0, R_SQUARES, R_SUM, R_ROOT64)
REDUCE(reduce_log_sum_f64, double, double, 0.0, R_SUM, R_SUM, R_LOG64)
REDUCE(reduce_prod_f64, double, double, 1.0, R_PRODUCT, R_PRODUCT, R_AS_IS)
REDUCE(reduce_max_f64, double, double, -MATH_INF64, R_LARGER, R_LARGER, R_AS_IS)
REDUCE(reduce_min_f64, double, double, MATH_INF64, R_SMALLER, R_SMALLER, R_AS_IS)

/* Integers wrap around: W is unsigned.  Means are truncated towards zero. */
#define R_ABSOLUTE(acc, x)  ((acc) + ((x) >> (8 * sizeof(x) - 1) ? 0 - (x) : (x)))
#define R_MEAN_I32(acc)     ((int32_t)(acc) / (int32_t)count)
#define R_MEAN_I64(acc)     ((int64_t)(acc) / (int64_t)count)
#define R_MEAN_U32(acc)     ((acc) / (uint32_t)count)
#define R_MEAN_U64(acc)     ((acc) / (uint64_t)count)
#define R_LARGER_INT(acc, x)  ((x) > (acc) ? (x) : (acc))
#define R_SMALLER_INT(acc, x) ((x) < (acc) ? (x) : (acc))
#define REDUCE_INT(sfx, T, W, MEAN_END, L1)                                            \
    REDUCE(reduce_sum_##sfx, T, W, 0, R_SUM, R_SUM, R_AS_IS)                           \
    REDUCE(reduce_mean_##sfx, T, W, 0, R_SUM, R_SUM, MEAN_END)                         \
    REDUCE(reduce_sum_square_##sfx, T, W, 0, R_SQUARES, R_SUM, R_AS_IS)                \
    REDUCE(reduce_l1_##sfx, T, W, 0, L1, R_SUM, R_AS_IS)                               \
    REDUCE(reduce_prod_##sfx, T, W, 1, R_PRODUCT, R_PRODUCT, R_AS_IS)
#define REDUCE_ENDS(sfx, T, LEAST, MOST)                                               \
    REDUCE(reduce_max_##sfx, T, T, LEAST, R_LARGER_INT, R_LARGER_INT, R_AS_IS)         \
    REDUCE(reduce_min_##sfx, T, T, MOST, R_SMALLER_INT, R_SMALLER_INT, R_AS_IS)

REDUCE_INT(i32, int32_t, uint32_t, R_MEAN_I32, R_ABSOLUTE)
REDUCE_INT(i64, int64_t, uint64_t, R_MEAN_I64, R_ABSOLUTE)
REDUCE_INT(u32, uint32_t, uint32_t, R_MEAN_U32, R_SUM)
REDUCE_INT(u64, uint64_t, uint64_t, R_MEAN_U64, R_SUM)
REDUCE_ENDS(i8, int8_t, INT8_MIN, INT8_MAX)
REDUCE_ENDS(u8, uint8_t, 0, UINT8_MAX)
REDUCE_ENDS(i16, int16_t, INT16_MIN, INT16_MAX)
REDUCE_ENDS(u16, uint16_t, 0, UINT16_MAX)
REDUCE_ENDS(i32, int32_t, INT32_MIN, INT32_MAX)
REDUCE_ENDS(u32, uint32_t, 0, UINT32_MAX)
REDUCE_ENDS(i64, int64_t, INT64_MIN, INT64_MAX)
REDUCE_ENDS(u64, uint64_t, 0, UINT64_MAX)

/* log(sum(exp(x - m))) + m with m the largest element; the sum in lanes as above. */
#define REDUCE_LOG_SUM_EXP(name, T, max_any, EXP, LOG_END)                             \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_reduce *p = params;                                             \
        const T *in = buf[0];                                                          \
        T *out = buf[1];                                                               \
        const ix run = (ix)p->red[REDUCE_LAST], step = (ix)p->red_stride[REDUCE_LAST]; \
        const ix count = (ix)p->count;                                                 \
                                                                                       \
        for (ix e = (ix)begin; e < (ix)end; e++) {                                     \
            ix at = reduce_at(p, e), index[K_MAX_RANK] = {0};                          \
            const T most = max_any(p, in, at);                                         \
            const T shift = most - most == 0 ? most : 0; /* not for infinities */      \
            T lane[LANES] = {0};                                                       \
                                                                                       \
            for (ix i = 0; i < count; at = reduce_next(p, index, at))                  \
                for (ix j = 0; j < run; j++, i++)                                      \
                    lane[i & (LANES - 1)] += EXP(in[at + j * step] - shift);           \
            for (int half = LANES / 2; half; half /= 2)                                \
                for (int l = 0; l < half; l++)                                         \
                    lane[l] += lane[l + half];                                         \
            out[e] = LOG_END(lane[0]) + shift;                                         \
        }                                                                              \
    }

REDUCE_LOG_SUM_EXP(reduce_log_sum_exp_f32, float, reduce_max_f32_any, math_exp, R_LOG)
REDUCE_LOG_SUM_EXP(reduce_log_sum_exp_f64, double, reduce_max_f64_any, math_exp64, R_LOG64)

/* Position of the first (or last) extreme element along one axis, as int64; a NaN
 * counts as the extreme. */
#define REDUCE_ARG(name, T, BETTER)                                                    \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_reduce *p = params;                                             \
        const T *in = buf[0];                                                          \
        int64_t *out = buf[1];                                                         \
        const ix count = (ix)p->count, step = (ix)p->red_stride[REDUCE_LAST];          \
                                                                                       \
        for (ix e = (ix)begin; e < (ix)end; e++) {                                     \
            const T *x = in + reduce_at(p, e);                                         \
            ix best = 0;                                                               \
                                                                                       \
            for (ix i = 1; i < count; i++) {                                           \
                const T a = x[i * step], b = x[best * step];                           \
                if (b == b && (a BETTER b || a != a || (p->take_last && a == b)))      \
                    best = i;                                                          \
            }                                                                          \
            out[e] = best;                                                             \
        }                                                                              \
    }
#define REDUCE_ARGS(sfx, T) REDUCE_ARG(arg_max_##sfx, T, >) REDUCE_ARG(arg_min_##sfx, T, <)

REDUCE_ARGS(f32, float)
REDUCE_ARGS(f64, double)
REDUCE_ARGS(i8, int8_t)
REDUCE_ARGS(u8, uint8_t)
REDUCE_ARGS(i16, int16_t)
REDUCE_ARGS(u16, uint16_t)
REDUCE_ARGS(i32, int32_t)
REDUCE_ARGS(u32, uint32_t)
REDUCE_ARGS(i64, int64_t)
REDUCE_ARGS(u64, uint64_t)
