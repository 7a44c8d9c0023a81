/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products out[b] = alpha * a[b] b[b] + beta * c (struct k_matmul); class F.
 * Unit: one block of 4 rows of one batch (or the rest). */
#include "kernels/params.h"
#include "kernels/vec.h"

/* Pointers of one batch, moved to its first element. */
#define BATCH_OFFSETS                                                                  \
    ix rest = unit / blocks, a_at = 0, b_at = 0, c_at = 0;                             \
    const ix batch = rest;                                                             \
    for (int d = 5; d >= 0; d--) {                                                     \
        const ix q = rest / (ix)p->batch[d], i = rest - q * (ix)p->batch[d];           \
        a_at += i * (ix)p->a_batch[d];                                                 \
        b_at += i * (ix)p->b_batch[d];                                                 \
        c_at += i * (ix)p->c_batch[d];                                                 \
        rest = q;                                                                      \
    }

K_IN float finish(const struct k_matmul *p, float sum, const float *c, ix i, ix j)
{
    const float scaled = p->alpha == 1.0f ? sum : p->alpha * sum;

    if (!c)
        return scaled;
    const float bias = c[i * (ix)p->c_row + j * (ix)p->c_col];
    return scaled + (p->beta == 1.0f ? bias : p->beta * bias);
}

/* 4 x 16 outputs, columns of b contiguous. */
K_IN void tile_columns(const struct k_matmul *p, const float *restrict a,
                       const float *restrict b, const float *restrict c,
                       float *restrict out, ix i, ix j)
{
    const ix a_row = (ix)p->a_row, a_col = (ix)p->a_col, b_row = (ix)p->b_row;
    const float *const a0 = a + i * a_row, *const b0 = b + j;
    v16 acc[4];

    for (int r = 0; r < 4; r++)
        V16_ZERO(acc[r]);
    for (ix k = 0; k < (ix)p->k; k++) {
        v16 v;
        V16_LOAD(v, b0 + k * b_row);
        for (int r = 0; r < 4; r++)
            V16_MULADD1(acc[r], v, a0[r * a_row + k * a_col]);
    }
    for (int r = 0; r < 4; r++)
        for (int l = 0; l < 16; l++)
            out[(i + r) * (ix)p->n + j + l] =
                finish(p, V16_LANE(acc[r], l), c, i + r, j + l);
}

/* 1 x 16 outputs. */
K_IN void row_columns(const struct k_matmul *p, const float *restrict a,
                      const float *restrict b, const float *restrict c,
                      float *restrict out, ix i, ix j)
{
    const float *const a0 = a + i * (ix)p->a_row, *const b0 = b + j;
    v16 acc;

    V16_ZERO(acc);
    for (ix k = 0; k < (ix)p->k; k++) {
        v16 v;
        V16_LOAD(v, b0 + k * (ix)p->b_row);
        V16_MULADD1(acc, v, a0[k * (ix)p->a_col]);
    }
    for (int l = 0; l < 16; l++)
        out[i * (ix)p->n + j + l] = finish(p, V16_LANE(acc, l), c, i, j + l);
}

/* One output of any strides. */
K_IN float dot(const struct k_matmul *p, const float *restrict a,
               const float *restrict b, ix i, ix j)
{
    const float *const a0 = a + i * (ix)p->a_row, *const b0 = b + j * (ix)p->b_col;
    float sum = 0;

    for (ix k = 0; k < (ix)p->k; k++)
        sum += a0[k * (ix)p->a_col] * b0[k * (ix)p->b_row];
    return sum;
}

/* One output, both operands contiguous along k: 16 lanes. */
K_IN float dot_lanes(const struct k_matmul *p, const float *restrict a,
                     const float *restrict b, ix i, ix j)
{
    const float *const a0 = a + i * (ix)p->a_row, *const b0 = b + j * (ix)p->b_col;
    v16 acc;
    ix k = 0;

    V16_ZERO(acc);
    for (; k + 16 <= (ix)p->k; k += 16) {
        v16 va, vb;
        V16_LOAD(va, a0 + k);
        V16_LOAD(vb, b0 + k);
        V16_MULADD(acc, va, vb);
    }
    float sum = v16_sum(&acc);
    for (; k < (ix)p->k; k++)
        sum += a0[k] * b0[k];
    return sum;
}

/* matmul_f32(a, b, [c,] out) */
K_IN void matmul_f32(const struct k_matmul *p, const float *restrict a_all,
                     const float *restrict b_all, const float *restrict c_all,
                     float *restrict out_all, ix begin, ix end)
{
    const ix blocks = ((ix)p->m + 3) / 4, n = (ix)p->n;

    for (ix unit = begin; unit < end; unit++) {
        BATCH_OFFSETS
        const float *const a = a_all + a_at, *const b = b_all + b_at;
        const float *const c = c_all ? c_all + c_at : 0;
        float *const out = out_all + batch * (ix)p->m * n;
        const ix i0 = unit % blocks * 4, i1 = ix_min(i0 + 4, (ix)p->m);
        ix j = 0;

        if (p->b_col == 1)
            for (; j + 16 <= n; j += 16) {
                if (i1 - i0 == 4)
                    tile_columns(p, a, b, c, out, i0, j);
                else
                    for (ix i = i0; i < i1; i++)
                        row_columns(p, a, b, c, out, i, j);
            }
        for (; j < n; j++)
            for (ix i = i0; i < i1; i++)
                out[i * n + j] =
                    finish(p,
                           p->b_row == 1 && p->a_col == 1 ? dot_lanes(p, a, b, i, j)
                                                          : dot(p, a, b, i, j),
                           c, i, j);
    }
}

KERNEL_FN(matmul_f32)
{
    const struct k_matmul *const p = params;

    matmul_f32(p, buf[0], buf[1], p->has_bias ? buf[2] : 0, buf[p->has_bias ? 3 : 2],
               (ix)begin, (ix)end);
}

/* matmul_<type>(a, b, [c,] out), other element types; integers wrap around. */
#define MATMUL(type, T, S)                                                             \
    K_IN void matmul_##type(const struct k_matmul *p, const T *restrict a_all,         \
                            const T *restrict b_all, const T *restrict c_all,          \
                            T *restrict out_all, ix begin, ix end)                     \
    {                                                                                  \
        const ix blocks = ((ix)p->m + 3) / 4, n = (ix)p->n;                            \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            BATCH_OFFSETS                                                              \
            const ix i0 = unit % blocks * 4, i1 = ix_min(i0 + 4, (ix)p->m);            \
            for (ix i = i0; i < i1; i++) {                                             \
                T *const out = out_all + (batch * (ix)p->m + i) * n;                   \
                for (ix j = 0; j < n; j++)                                             \
                    out[j] = 0;                                                        \
                for (ix k = 0; k < (ix)p->k; k++) {                                    \
                    const T a = a_all[a_at + i * (ix)p->a_row + k * (ix)p->a_col];     \
                    const T *const b = b_all + b_at + k * (ix)p->b_row;                \
                    for (ix j = 0; j < n; j++)                                         \
                        out[j] = (T)((S)out[j] + (S)a * (S)b[j * (ix)p->b_col]);       \
                }                                                                      \
                for (ix j = 0; j < n && p->alpha != 1.0f; j++)                         \
                    out[j] = (T)((S)out[j] * (S)p->alpha);                             \
                for (ix j = 0; j < n && c_all; j++) {                                  \
                    const T c = c_all[c_at + i * (ix)p->c_row + j * (ix)p->c_col];     \
                    out[j] =                                                           \
                        (T)((S)out[j] + (p->beta == 1.0f ? (S)c : (S)p->beta * (S)c)); \
                }                                                                      \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(matmul_##type)                                                           \
    {                                                                                  \
        const struct k_matmul *const p = params;                                       \
                                                                                       \
        matmul_##type(p, buf[0], buf[1], p->has_bias ? buf[2] : 0,                     \
                      buf[p->has_bias ? 3 : 2], (ix)begin, (ix)end);                   \
    }

MATMUL(f64, double, double)
MATMUL(i32, int32_t, uint32_t)
MATMUL(i64, int64_t, uint64_t)
