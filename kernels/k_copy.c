/* SPDX-License-Identifier: Apache-2.0 */
/* Strided copies: Transpose, Slice, Concat, Split, Expand, Tile, DepthToSpace and
 * every copy of a view are one of the two kernels of this file.
 *
 *     out[sum i_d * out[d]] = in[sum i_d * in[d]]     for every index i of dim[]
 *
 * Strides may be 0 (repeat) or negative (a reversed Slice); the caller's pointers
 * already stand at the first element.
 */
#include "kernels/elements.h"
#include "kernels/params.h"

/* copy_<size>(in, out); unit: one plane dim[6] x dim[7]. */
#define COPY(size, T)                                                                  \
    K_IN void copy_##size(const struct k_copy *p, const T *restrict in,                \
                          T *restrict out, ix begin, ix end)                           \
    {                                                                                  \
        const ix rows = (ix)p->dim[6], n = (ix)p->dim[7];                              \
        const ix in_row = (ix)p->in[6], in_x = (ix)p->in[7];                           \
        const ix out_row = (ix)p->out[6], out_x = (ix)p->out[7];                       \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const T *from = in;                                                        \
            T *to = out;                                                               \
            ix rest = unit;                                                            \
            for (int d = 5; d >= 0; d--) {                                             \
                const ix q = rest / (ix)p->dim[d], i = rest - q * (ix)p->dim[d];       \
                from += i * (ix)p->in[d];                                              \
                to += i * (ix)p->out[d];                                               \
                rest = q;                                                              \
            }                                                                          \
            for (ix r = 0; r < rows; r++)                                              \
                for (ix x = 0; x < n; x++)                                             \
                    to[r * out_row + x * out_x] = from[r * in_row + x * in_x];         \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(copy_##size)                                                             \
    {                                                                                  \
        copy_##size(params, buf[0], buf[1], (ix)begin, (ix)end);                       \
    }

FOR_EACH_SIZE(COPY)

/* A full 16 x 16 tile: to[i][j] = from[j][i].  Four rounds of interleaving rows
 * i and i + 8 transpose it in registers; 64 shuffles for 256 elements. */
#if defined(__clang__)
#define INTERLEAVE(a, b, k)                                                            \
    __builtin_shufflevector(a, b, k, k + 16, k + 1, k + 17, k + 2, k + 18, k + 3,      \
                            k + 19, k + 4, k + 20, k + 5, k + 21, k + 6, k + 22,       \
                            k + 7, k + 23)
#define TILE(size, T)                                                                  \
    typedef uint##size##_t row_##size __attribute__((vector_size(2 * size)));          \
    typedef uint##size##_t row_at_##size                                               \
        __attribute__((vector_size(2 * size), aligned(size / 8), may_alias));          \
    K_IN void tile_##size(const T *restrict from, ix from_row, T *restrict to,         \
                          ix to_row)                                                   \
    {                                                                                  \
        row_##size a[16], b[16];                                                       \
        for (int i = 0; i < 16; i++)                                                   \
            a[i] = *(const row_at_##size *)(from + i * from_row);                      \
        for (int round = 0; round < 2; round++) {                                      \
            for (int i = 0; i < 8; i++) {                                              \
                b[2 * i] = INTERLEAVE(a[i], a[i + 8], 0);                              \
                b[2 * i + 1] = INTERLEAVE(a[i], a[i + 8], 8);                          \
            }                                                                          \
            for (int i = 0; i < 8; i++) {                                              \
                a[2 * i] = INTERLEAVE(b[i], b[i + 8], 0);                              \
                a[2 * i + 1] = INTERLEAVE(b[i], b[i + 8], 8);                          \
            }                                                                          \
        }                                                                              \
        for (int i = 0; i < 16; i++)                                                   \
            *(row_at_##size *)(to + i * to_row) = a[i];                                \
    }
#else
#define TILE(size, T)                                                                  \
    K_IN void tile_##size(const T *restrict from, ix from_row, T *restrict to,         \
                          ix to_row)                                                   \
    {                                                                                  \
        for (int i = 0; i < 16; i++)                                                   \
            for (int j = 0; j < 16; j++)                                               \
                to[i * to_row + j] = from[j * from_row + i];                           \
    }
#endif

TILE(8, e1)
TILE(16, e2)
TILE(32, e4)
TILE(64, e8)

/* transpose_<size>(in, out): the same copy where in[6] == 1 and out[7] == 1, so
 * that 16 x 16 tiles read and write whole cache lines.  Unit: a band of 16 (or
 * the rest) along dim[6], for one index of dim[0..5]. */
#define TRANSPOSE(size, bits, T)                                                       \
    K_IN void transpose_##size(const struct k_copy *p, const T *restrict in,           \
                               T *restrict out, ix begin, ix end)                      \
    {                                                                                  \
        const ix rows = (ix)p->dim[6], n = (ix)p->dim[7];                              \
        const ix out_row = (ix)p->out[6], in_x = (ix)p->in[7];                         \
        const ix bands = (rows + 15) / 16;                                             \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            ix rest = unit / bands;                                                    \
            const ix r0 = (unit - rest * bands) * 16, r1 = ix_min(r0 + 16, rows);      \
            const T *from = in;                                                        \
            T *to = out;                                                               \
            for (int d = 5; d >= 0; d--) {                                             \
                const ix q = rest / (ix)p->dim[d], i = rest - q * (ix)p->dim[d];       \
                from += i * (ix)p->in[d];                                              \
                to += i * (ix)p->out[d];                                               \
                rest = q;                                                              \
            }                                                                          \
            ix x0 = 0;                                                                 \
            if (r1 - r0 == 16)                                                         \
                for (; x0 + 16 <= n; x0 += 16)                                         \
                    tile_##bits(from + x0 * in_x + r0, in_x, to + r0 * out_row + x0,   \
                                out_row);                                              \
            for (ix r = r0; r < r1; r++)                                               \
                for (ix x = x0; x < n; x++)                                            \
                    to[r * out_row + x] = from[x * in_x + r];                          \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(transpose_##size)                                                        \
    {                                                                                  \
        transpose_##size(params, buf[0], buf[1], (ix)begin, (ix)end);                  \
    }

TRANSPOSE(1, 8, e1)
TRANSPOSE(2, 16, e2)
TRANSPOSE(4, 32, e4)
TRANSPOSE(8, 64, e8)

/* fill_<size>(out): every element gets the low bytes of `bits`.  Unit: element. */
#define FILL(size, T)                                                                  \
    KERNEL_FN(fill_##size)                                                             \
    {                                                                                  \
        const struct k_fill *p = params;                                               \
        T *const out = buf[0];                                                         \
        const T value = (T)(uint64_t)p->bits;                                          \
                                                                                       \
        for (ix i = (ix)begin; i < (ix)end; i++)                                       \
            out[i] = value;                                                            \
    }

FOR_EACH_SIZE(FILL)
