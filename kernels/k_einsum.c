/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum in its general form.  What is a product of matrices was made one when the
 * model was read; here are sums over one operand, diagonals, broadcast products.
 *
 * einsum_<type>(a, [b,] out); unit: one output element. */
#include "kernels/params.h"

K_IN void einsum_offsets(const struct k_einsum *p, ix unit, ix *a, ix *b)
{
    *a = *b = 0;
    for (int d = K_MAX_RANK - 1; d >= 0; d--) {
        const ix q = unit / (ix)p->out[d], i = unit - q * (ix)p->out[d];
        *a += i * (ix)p->a_out[d];
        *b += i * (ix)p->b_out[d];
        unit = q;
    }
}

/* T is the type of elements, S the one that arithmetic runs in. */
#define EINSUM(type, T, S)                                                             \
    KERNEL_FN(einsum_##type)                                                           \
    {                                                                                  \
        const struct k_einsum *const p = params;                                       \
        const T *const a = buf[0], *const b = p->has_b ? buf[1] : 0;                   \
        T *const out = buf[p->has_b ? 2 : 1];                                          \
        const ix inner = (ix)p->red[K_MAX_RANK - 1];                                   \
        const ix a_step = (ix)p->a_red[K_MAX_RANK - 1];                                \
        const ix b_step = (ix)p->b_red[K_MAX_RANK - 1];                                \
        ix outer = 1;                                                                  \
                                                                                       \
        for (int d = 0; d + 1 < K_MAX_RANK; d++)                                       \
            outer *= (ix)p->red[d];                                                    \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            ix a_out, b_out;                                                           \
            S sum = 0;                                                                 \
            einsum_offsets(p, unit, &a_out, &b_out);                                   \
            for (ix o = 0; o < outer; o++) {                                           \
                ix rest = o, a_at = a_out, b_at = b_out;                               \
                for (int d = K_MAX_RANK - 2; d >= 0; d--) {                            \
                    const ix q = rest / (ix)p->red[d], i = rest - q * (ix)p->red[d];   \
                    a_at += i * (ix)p->a_red[d];                                       \
                    b_at += i * (ix)p->b_red[d];                                       \
                    rest = q;                                                          \
                }                                                                      \
                for (ix i = 0; i < inner; i++) {                                       \
                    const S x = (S)a[a_at + i * a_step];                               \
                    sum += b ? x * (S)b[b_at + i * b_step] : x;                        \
                }                                                                      \
            }                                                                          \
            out[unit] = (T)sum;                                                        \
        }                                                                              \
    }

EINSUM(f32, float, float)
EINSUM(f64, double, double)
EINSUM(i32, int32_t, uint32_t)
EINSUM(i64, int64_t, uint64_t)
