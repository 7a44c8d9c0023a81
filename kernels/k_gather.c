/* SPDX-License-Identifier: Apache-2.0 */
/* Gather and scatter by indices of type int64.  Negative indices count from the
 * end; whatever is then out of range is clamped, so that no data can make a kernel
 * leave its operands. */
#include "kernels/elements.h"
#include "kernels/params.h"

K_IN ix index_in(int64_t i, ix n)
{
    const int64_t from_start = i < 0 ? i + n : i;

    return from_start < 0 ? 0 : from_start >= n ? n - 1 : (ix)from_start;
}

/* gather_<size>(in, index, out): in [outer, n, inner] -> [outer, count, inner].
 * Unit: one row of inner elements. */
#define GATHER(size, T)                                                                \
    K_IN void gather_##size(const struct k_axis *p, const T *restrict in,              \
                            const int64_t *restrict index, T *restrict out, ix begin,  \
                            ix end)                                                    \
    {                                                                                  \
        const ix n = (ix)p->n, inner = (ix)p->inner, count = (ix)p->count;             \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const ix o = unit / count, i = unit - o * count;                           \
            const T *const from = in + (o * n + index_in(index[i], n)) * inner;        \
            T *const to = out + unit * inner;                                          \
            for (ix x = 0; x < inner; x++)                                             \
                to[x] = from[x];                                                       \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(gather_##size)                                                           \
    {                                                                                  \
        gather_##size(params, buf[0], buf[1], buf[2], (ix)begin, (ix)end);             \
    }

FOR_EACH_SIZE(GATHER)

/* Offset in the data of element `unit` of the index space, without the axis. */
K_IN ix element_base(const struct k_element *p, ix unit)
{
    ix at = 0, rest = unit;

    for (int d = K_MAX_RANK - 1; d >= 0; d--) {
        const ix q = rest / (ix)p->dim[d];
        at += (rest - q * (ix)p->dim[d]) * (ix)p->data[d];
        rest = q;
    }
    return at;
}

/* gather_elements_<size>(in, index, out); unit: element. */
#define GATHER_ELEMENTS(bytes, T)                                                      \
    KERNEL_FN(gather_elements_##bytes)                                                 \
    {                                                                                  \
        const struct k_element *const p = params;                                      \
        const T *const in = buf[0];                                                    \
        const int64_t *const index = buf[1];                                           \
        T *const out = buf[2];                                                         \
                                                                                       \
        for (ix i = (ix)begin; i < (ix)end; i++)                                       \
            out[i] = in[element_base(p, i)                                             \
                        + index_in(index[i], (ix)p->size) * (ix)p->step];              \
    }

FOR_EACH_SIZE(GATHER_ELEMENTS)

K_IN ix nd_offset(const struct k_nd *p, const int64_t *index, ix unit)
{
    ix at = unit / (ix)p->tuples * (ix)p->batch_step;

    for (ix d = 0; d < (ix)p->depth; d++)
        at += index_in(index[unit * (ix)p->depth + d], (ix)p->size[d]) * (ix)p->step[d];
    return at;
}

/* gather_nd_<size>(in, index, out); unit: one slice. */
#define GATHER_ND(size, T)                                                             \
    KERNEL_FN(gather_nd_##size)                                                        \
    {                                                                                  \
        const struct k_nd *const p = params;                                           \
        const T *const in = buf[0];                                                    \
        T *const out = buf[2];                                                         \
        const ix inner = (ix)p->inner;                                                 \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const T *const from = in + nd_offset(p, buf[1], unit);                     \
            for (ix x = 0; x < inner; x++)                                             \
                out[unit * inner + x] = from[x];                                       \
        }                                                                              \
    }

FOR_EACH_SIZE(GATHER_ND)

/* scatter_elements_<how>_<type>(index, updates, out) and scatter_nd_...: `out` already
 * holds the data; updates are applied in order.  Serial. */
#define SCATTER(name, T, combine)                                                      \
    KERNEL_FN(scatter_elements_##name)                                                 \
    {                                                                                  \
        const struct k_element *const p = params;                                      \
        const int64_t *const index = buf[0];                                           \
        const T *const updates = buf[1];                                               \
        T *const out = buf[2];                                                         \
                                                                                       \
        for (ix i = (ix)begin; i < (ix)end; i++) {                                     \
            T *const to = out + element_base(p, i)                                     \
                          + index_in(index[i], (ix)p->size) * (ix)p->step;             \
            const T a = *to, b = updates[i];                                           \
            (void)a;                                                                   \
            *to = (T)(combine);                                                        \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(scatter_nd_##name)                                                       \
    {                                                                                  \
        const struct k_nd *const p = params;                                           \
        const T *const updates = buf[1];                                               \
        const ix inner = (ix)p->inner;                                                 \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            T *const to = (T *)buf[2] + nd_offset(p, buf[0], unit);                    \
            for (ix x = 0; x < inner; x++) {                                           \
                const T a = to[x], b = updates[unit * inner + x];                      \
                (void)a;                                                               \
                to[x] = (T)(combine);                                                  \
            }                                                                          \
        }                                                                              \
    }

#define SCATTER_SIZE(size, T) SCATTER(none_##size, T, b)
FOR_EACH_SIZE(SCATTER_SIZE)

/* S is the type that arithmetic runs in: unsigned for integers, which wrap around. */
#define SCATTER_REDUCE(type, T, S)                                                     \
    SCATTER(add_##type, T, (S)a + (S)b)                                                \
    SCATTER(mul_##type, T, (S)a *(S)b)                                                 \
    SCATTER(max_##type, T, a > b || a != a ? a : b)                                    \
    SCATTER(min_##type, T, a < b || a != a ? a : b)

SCATTER_REDUCE(f32, float, float)
SCATTER_REDUCE(f64, double, double)
SCATTER_REDUCE(i32, int32_t, uint32_t)
SCATTER_REDUCE(i64, int64_t, uint64_t)
SCATTER_REDUCE(i8, int8_t, uint32_t)
SCATTER_REDUCE(u8, uint8_t, uint32_t)
