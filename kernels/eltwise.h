/* SPDX-License-Identifier: Apache-2.0 */
/* Skeleton of the element operators: one scalar function, one loop around it.
 *
 *     E2(add_f32, f32, f32, f32, F0, a + b)
 *
 * defines  float e_add_f32(float a, float b)  and the kernel k_add_f32 over a
 * struct k_eltwise: buf = { a, b, out }, unit = one output element.  The loop costs
 * one chain of divisions per row of the innermost dimension, not per element.
 * Expressions see a, b, c (inputs) and f0, f1, f2 (constants); Fn says how many
 * constants there are.  `out` may be the same memory as an input of the same shape.
 */
#ifndef HADMC_KERNELS_ELTWISE_H
#define HADMC_KERNELS_ELTWISE_H

#include "kernels/kernel.h"
#include "kernels/params.h"

typedef float k_f32;
typedef double k_f64;
typedef uint8_t k_u8;
typedef int8_t k_i8;
typedef uint16_t k_u16;
typedef int16_t k_i16;
typedef int32_t k_i32;
typedef int64_t k_i64;
typedef uint32_t k_u32;
typedef uint64_t k_u64;
typedef uint8_t k_bool;
typedef uint16_t k_f16;  /* storage */
typedef uint16_t k_bf16; /* storage */
typedef uint8_t k_u4;    /* one byte each */
typedef int8_t k_i4;

/* Where output element i is in an input with these strides. */
K_IN ix eltwise_at(const int64_t *dim, const int64_t *stride, ix i)
{
    ix at = 0;

    for (int d = K_MAX_RANK - 1; d > 0; d--) {
        const ix n = (ix)dim[d], q = i / n;

        at += (i - q * n) * (ix)stride[d];
        i = q;
    }
    return at + i * (ix)stride[0];
}

#define F0_PARAMS
#define F1_PARAMS , float f0
#define F2_PARAMS , float f0, float f1
#define F3_PARAMS , float f0, float f1, float f2
#define F0_NAMES
#define F1_NAMES , f0
#define F2_NAMES , f0, f1
#define F3_NAMES , f0, f1, f2
#define F0_ARGS
#define F1_ARGS , p->f[0]
#define F2_ARGS , p->f[0], p->f[1]
#define F3_ARGS , p->f[0], p->f[1], p->f[2]

/* Runs `unit` over the part of a row where all inputs have stride 1, `any` elsewhere;
 * sets i, n and the row pointers that `rows` declares. */
#define ELTWISE_ROWS(rows, is_unit, unit, any)                                         \
    const struct k_eltwise *p = params;                                                \
    const ix inner = (ix)p->dim[K_MAX_RANK - 1];                                       \
                                                                                       \
    for (ix i = (ix)begin; i < (ix)end;) {                                             \
        const ix n = ix_min(inner - i % inner, (ix)end - i);                           \
                                                                                       \
        rows if (is_unit) for (ix j = 0; j < n; j++) unit;                             \
        else for (ix j = 0; j < n; j++) any;                                           \
        i += n;                                                                        \
    }

#define E1(name, A, Y, F, expr)                                                        \
    K_IN k_##Y x_##name(k_##A a F##_PARAMS)                                            \
    {                                                                                  \
        return (k_##Y)(expr);                                                          \
    }                                                                                  \
    K_LINKAGE k_##Y e_##name(k_##A a F##_PARAMS);                                      \
    K_LINKAGE k_##Y e_##name(k_##A a F##_PARAMS)                                       \
    {                                                                                  \
        return x_##name(a F##_NAMES);                                                  \
    }                                                                                  \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const ix sa = (ix)((const struct k_eltwise *)params)->in[0][K_MAX_RANK - 1];   \
                                                                                       \
        ELTWISE_ROWS(const k_##A *pa = (const k_##A *)buf[0]                           \
                                     + eltwise_at(p->dim, p->in[0], i);                \
                     k_##Y *py = (k_##Y *)buf[1] + i;                                  \
                     , sa == 1, py[j] = x_##name(pa[j] F##_ARGS),                      \
                     py[j] = x_##name(pa[j * sa] F##_ARGS))                            \
    }

#define E2(name, A, B, Y, F, expr)                                                     \
    K_IN k_##Y x_##name(k_##A a, k_##B b F##_PARAMS)                                   \
    {                                                                                  \
        return (k_##Y)(expr);                                                          \
    }                                                                                  \
    K_LINKAGE k_##Y e_##name(k_##A a, k_##B b F##_PARAMS);                             \
    K_LINKAGE k_##Y e_##name(k_##A a, k_##B b F##_PARAMS)                              \
    {                                                                                  \
        return x_##name(a, b F##_NAMES);                                               \
    }                                                                                  \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const ix sa = (ix)((const struct k_eltwise *)params)->in[0][K_MAX_RANK - 1];   \
        const ix sb = (ix)((const struct k_eltwise *)params)->in[1][K_MAX_RANK - 1];   \
                                                                                       \
        ELTWISE_ROWS(const k_##A *pa = (const k_##A *)buf[0]                           \
                                     + eltwise_at(p->dim, p->in[0], i);                \
                     const k_##B *pb = (const k_##B *)buf[1]                           \
                                     + eltwise_at(p->dim, p->in[1], i);                \
                     k_##Y *py = (k_##Y *)buf[2] + i;                                  \
                     , sa == 1 && sb == 1, py[j] = x_##name(pa[j], pb[j] F##_ARGS),    \
                     py[j] = x_##name(pa[j * sa], pb[j * sb] F##_ARGS))                \
    }

#define E3(name, A, B, C, Y, F, expr)                                                  \
    K_IN k_##Y x_##name(k_##A a, k_##B b, k_##C c F##_PARAMS)                          \
    {                                                                                  \
        return (k_##Y)(expr);                                                          \
    }                                                                                  \
    K_LINKAGE k_##Y e_##name(k_##A a, k_##B b, k_##C c F##_PARAMS);                    \
    K_LINKAGE k_##Y e_##name(k_##A a, k_##B b, k_##C c F##_PARAMS)                     \
    {                                                                                  \
        return x_##name(a, b, c F##_NAMES);                                            \
    }                                                                                  \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const ix sa = (ix)((const struct k_eltwise *)params)->in[0][K_MAX_RANK - 1];   \
        const ix sb = (ix)((const struct k_eltwise *)params)->in[1][K_MAX_RANK - 1];   \
        const ix sc = (ix)((const struct k_eltwise *)params)->in[2][K_MAX_RANK - 1];   \
                                                                                       \
        ELTWISE_ROWS(const k_##A *pa = (const k_##A *)buf[0]                           \
                                     + eltwise_at(p->dim, p->in[0], i);                \
                     const k_##B *pb = (const k_##B *)buf[1]                           \
                                     + eltwise_at(p->dim, p->in[1], i);                \
                     const k_##C *pc = (const k_##C *)buf[2]                           \
                                     + eltwise_at(p->dim, p->in[2], i);                \
                     k_##Y *py = (k_##Y *)buf[3] + i;                                  \
                     , sa == 1 && sb == 1 && sc == 1,                                  \
                     py[j] = x_##name(pa[j], pb[j], pc[j] F##_ARGS),                   \
                     py[j] = x_##name(pa[j * sa], pb[j * sb], pc[j * sc] F##_ARGS))    \
    }

#endif /* HADMC_KERNELS_ELTWISE_H */
