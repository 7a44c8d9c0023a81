/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen floats at once.  With gcc and clang a vector type that every target
 * splits into its own registers; elsewhere plain lanes with the same bytes.
 * Macros where a function would pass a vector by value. */
#ifndef HADMC_KERNELS_VEC_H
#define HADMC_KERNELS_VEC_H

#include "kernels/kernel.h"

#if defined(__GNUC__)

typedef float v16 __attribute__((vector_size(64)));
typedef float v16_at __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t v16_bits __attribute__((vector_size(64)));

#define V16_LOAD(v, p)     ((v) = *(const v16_at *)(p))
#define V16_STORE(p, v)    (*(v16_at *)(p) = (v))
#define V16_ZERO(v)        ((v) = (v16){0})
#define V16_ADD(v, a)      ((v) += (a))
#define V16_MULADD(v, a, b) ((v) += (a) * (b))           /* vector a, vector b */
#define V16_MULADD1(v, a, x) ((v) += (a) * (float)(x))   /* vector a, scalar x */
#define V16_LANE(v, l)     ((v)[l])
#define V16_MUL(v, a)      ((v) *= (a))
#define V16_SUB1(v, x)     ((v) -= (float)(x))           /* scalar x */
#define V16_DIV1(v, x)     ((v) /= (float)(x))
#define V16_SET1(v, x)     ((v) = (v16){0} + (float)(x))
#define V16_ABS(v)         ((v) = (v16)((v16_bits)(v) & 0x7fffffff))
/* The larger (smaller) of each lane; a NaN on either side stays. */
#define V16_SELECT(v, mask, a)                                                         \
    ((v) = (v16)(((mask) & (v16_bits)(a)) | (~(mask) & (v16_bits)(v))))
#define V16_MAX(v, a)      V16_SELECT(v, (v16_bits)((a) > (v)) | (v16_bits)((a) != (a)), a)
#define V16_LARGER(v, a)   V16_SELECT(v, (v16_bits)((a) > (v)), a) /* passes over NaN */
#define V16_MIN(v, a)      V16_SELECT(v, (v16_bits)((a) < (v)) | (v16_bits)((a) != (a)), a)

#else

typedef struct { float lane[16]; } v16;

#define V16_EACH(statement)                                                            \
    do {                                                                               \
        for (int l_ = 0; l_ < 16; l_++)                                                \
            statement;                                                                 \
    } while (0)
#define V16_LOAD(v, p)     V16_EACH((v).lane[l_] = (p)[l_])
#define V16_STORE(p, v)    V16_EACH((p)[l_] = (v).lane[l_])
#define V16_ZERO(v)        V16_EACH((v).lane[l_] = 0)
#define V16_ADD(v, a)      V16_EACH((v).lane[l_] += (a).lane[l_])
#define V16_MULADD(v, a, b) V16_EACH((v).lane[l_] += (a).lane[l_] * (b).lane[l_])
#define V16_MULADD1(v, a, x) V16_EACH((v).lane[l_] += (a).lane[l_] * (x))
#define V16_LANE(v, l)     ((v).lane[l])
#define V16_MUL(v, a)      V16_EACH((v).lane[l_] *= (a).lane[l_])
#define V16_SUB1(v, x)     V16_EACH((v).lane[l_] -= (x))
#define V16_DIV1(v, x)     V16_EACH((v).lane[l_] /= (x))
#define V16_SET1(v, x)     V16_EACH((v).lane[l_] = (x))
#define V16_ABS(v)                                                                     \
    V16_EACH((v).lane[l_] = f32_of_bits(bits_of_f32((v).lane[l_]) & 0x7fffffffu))
#define V16_MAX(v, a)                                                                  \
    V16_EACH((v).lane[l_] = (a).lane[l_] > (v).lane[l_] || (a).lane[l_] != (a).lane[l_] \
                                ? (a).lane[l_] : (v).lane[l_])
#define V16_LARGER(v, a)                                                               \
    V16_EACH((v).lane[l_] = (a).lane[l_] > (v).lane[l_] ? (a).lane[l_] : (v).lane[l_])
#define V16_MIN(v, a)                                                                  \
    V16_EACH((v).lane[l_] = (a).lane[l_] < (v).lane[l_] || (a).lane[l_] != (a).lane[l_] \
                                ? (a).lane[l_] : (v).lane[l_])

#endif

/* The sum of the lanes: the tree 8-4-2-1. */
K_IN float v16_sum(const v16 *v)
{
    float lane[16];

    for (int l = 0; l < 16; l++)
        lane[l] = V16_LANE(*v, l);
    for (int half = 8; half; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

#endif /* HADMC_KERNELS_VEC_H */
