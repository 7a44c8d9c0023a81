/* SPDX-License-Identifier: Apache-2.0 */
/* Moving elements where the way depends on positions or on data: Pad, Trilu,
 * ReverseSequence, OneHot, Compress, NonZero.  Plain strided copies: k_copy.c. */
#include "kernels/elements.h"
#include "kernels/params.h"

/* ---- Pad -------------------------------------------------------------------- */

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

/* Where output position i - begin lies in n input elements; -1 outside. */
K_IN ix pad_source(ix mode, ix i, ix n)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == PAD_CONSTANT || n <= 0)
        return -1;
    if (mode == PAD_EDGE)
        return i < 0 ? 0 : n - 1;
    const ix period = mode == PAD_WRAP ? n : n == 1 ? 1 : 2 * (n - 1);
    const ix m = i % period, r = m < 0 ? m + period : m;
    return r < n ? r : period - r;
}

/* pad_<size>(in, [value,] out); unit: one row of the output. */
#define PAD(size, T)                                                                   \
    K_IN void pad_##size(const struct k_pad *p, const T *restrict in, T value,         \
                         T *restrict out, ix begin, ix end)                            \
    {                                                                                  \
        const ix n = (ix)p->dim[7], src = (ix)p->src[7], shift = (ix)p->begin[7];      \
        const ix step = (ix)p->in[7], mode = (ix)p->mode;                              \
        const ix first = ix_min(ix_max(shift, 0), n);                                  \
        const ix last = ix_max(ix_min(shift + src, n), first);                         \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            T *const to = out + unit * n;                                              \
            ix rest = unit, at = 0;                                                    \
            for (int d = 6; d >= 0; d--) {                                             \
                const ix q = rest / (ix)p->dim[d];                                     \
                const ix i = pad_source(                                               \
                    mode, rest - q * (ix)p->dim[d] - (ix)p->begin[d], (ix)p->src[d]);  \
                at = i < 0 || at < 0 ? -1 : at + i * (ix)p->in[d];                     \
                rest = q;                                                              \
            }                                                                          \
            if (at < 0) {                                                              \
                for (ix x = 0; x < n; x++)                                             \
                    to[x] = value;                                                     \
                continue;                                                              \
            }                                                                          \
            const T *const from = in + at;                                             \
            for (ix x = 0; x < first; x++) {                                           \
                const ix i = pad_source(mode, x - shift, src);                         \
                to[x] = i < 0 ? value : from[i * step];                                \
            }                                                                          \
            for (ix x = first; x < last; x++)                                          \
                to[x] = from[(x - shift) * step];                                      \
            for (ix x = last; x < n; x++) {                                            \
                const ix i = pad_source(mode, x - shift, src);                         \
                to[x] = i < 0 ? value : from[i * step];                                \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(pad_##size)                                                              \
    {                                                                                  \
        const struct k_pad *const p = params;                                          \
                                                                                       \
        pad_##size(p, buf[0], p->has_value ? *(const T *)buf[1] : 0,                   \
                   buf[p->has_value ? 2 : 1], (ix)begin, (ix)end);                     \
    }

FOR_EACH_SIZE(PAD)

/* ---- Trilu ------------------------------------------------------------------ */

/* trilu_<size>(in, [k,] out): matrices n x inner, `flag` 1 keeps the upper triangle
 * (column - row >= k), 0 the lower; count 1 when k (int64) is an operand.  Unit: one
 * row. */
#define TRILU(size, T)                                                                 \
    KERNEL_FN(trilu_##size)                                                            \
    {                                                                                  \
        const struct k_axis *const p = params;                                         \
        const T *const in = buf[0];                                                    \
        const int64_t *const given = p->count ? buf[1] : 0;                            \
        T *const out = buf[p->count ? 2 : 1];                                          \
        const ix columns = (ix)p->inner;                                               \
        const int64_t k = !given              ? 0                                      \
                          : *given < -p->n    ? -p->n                                  \
                          : *given > p->inner ? p->inner                               \
                                              : *given;                                \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix edge = unit % (ix)p->n + (ix)k; /* first column of the upper */   \
            for (ix x = 0; x < columns; x++) {                                         \
                const int keep = p->flag ? x >= edge : x <= edge;                      \
                out[unit * columns + x] = (T)(keep ? in[unit * columns + x] : 0);      \
            }                                                                          \
        }                                                                              \
    }

FOR_EACH_SIZE(TRILU)

/* ---- ReverseSequence -------------------------------------------------------- */

/* reverse_<size>(in, lengths int64, out): data [outer, n, inner]; flag 0: outer is time
 * and n the batch, 1: the other way round.  Unit: one row of inner elements. */
#define REVERSE(size, T)                                                               \
    K_IN void reverse_##size(const struct k_axis *p, const T *restrict in,             \
                             const int64_t *restrict length, T *restrict out,          \
                             ix begin, ix end)                                         \
    {                                                                                  \
        const ix n = (ix)p->n, inner = (ix)p->inner;                                   \
        const ix times = p->flag ? n : (ix)p->outer;                                   \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const ix a = unit / n, b = unit - a * n;                                   \
            const ix time = p->flag ? b : a, batch = p->flag ? a : b;                  \
            const int64_t given = length[batch];                                       \
            const ix valid = given < 0 ? 0 : given > times ? times : (ix)given;        \
            const ix source = time < valid ? valid - 1 - time : time;                  \
            const ix row = p->flag ? a * n + source : source * n + b;                  \
            for (ix x = 0; x < inner; x++)                                             \
                out[unit * inner + x] = in[row * inner + x];                           \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(reverse_##size)                                                          \
    {                                                                                  \
        reverse_##size(params, buf[0], buf[1], buf[2], (ix)begin, (ix)end);            \
    }

FOR_EACH_SIZE(REVERSE)

/* ---- OneHot ----------------------------------------------------------------- */

/* onehot_<size>(index int64, values [off, on], out): out [outer, count, inner];
 * negative indices count from the end, others out of range select nothing.  Unit: one
 * row of inner elements. */
#define ONEHOT(size, T)                                                                \
    KERNEL_FN(onehot_##size)                                                           \
    {                                                                                  \
        const struct k_axis *const p = params;                                         \
        const int64_t *const index = buf[0];                                           \
        const T off = ((const T *)buf[1])[0], on = ((const T *)buf[1])[1];             \
        T *const out = buf[2];                                                         \
        const ix depth = (ix)p->count, inner = (ix)p->inner;                           \
                                                                                       \
        for (ix unit = (ix)begin; unit < (ix)end; unit++) {                            \
            const ix o = unit / depth, d = unit - o * depth;                           \
            for (ix x = 0; x < inner; x++) {                                           \
                const int64_t i = index[o * inner + x];                                \
                out[unit * inner + x] = (i < 0 ? i + depth : i) == d ? on : off;       \
            }                                                                          \
        }                                                                              \
    }

FOR_EACH_SIZE(ONEHOT)

/* ---- Compress, NonZero: the size of the result depends on the data ---------- */

/* compress_<size>(in, condition bool[count], out, dims): keeps the slices of axis n
 * whose condition holds.  dims are those of the output; `flag` is the axis in them.
 * Serial. */
#define COMPRESS(size, T)                                                              \
    KERNEL_FN(compress_##size)                                                         \
    {                                                                                  \
        const struct k_axis *const p = params;                                         \
        const T *const in = buf[0];                                                    \
        const uint8_t *const keep = buf[1];                                            \
        T *to = buf[2];                                                                \
        int64_t *const dims = buf[3], kept = 0;                                        \
        const ix limit = ix_min((ix)p->n, (ix)p->count), inner = (ix)p->inner;         \
                                                                                       \
        (void)begin;                                                                   \
        (void)end;                                                                     \
        for (ix i = 0; i < limit; i++)                                                 \
            kept += keep[i] != 0;                                                      \
        for (ix o = 0; o < (ix)p->outer; o++)                                          \
            for (ix i = 0; i < limit; i++) {                                           \
                const T *const from = in + (o * (ix)p->n + i) * inner;                 \
                for (ix x = 0; x < inner && keep[i]; x++)                              \
                    *to++ = from[x];                                                   \
            }                                                                          \
        dims[p->flag] = kept;                                                          \
    }

FOR_EACH_SIZE(COMPRESS)

/* nonzero_<size>(in, out int64, dims): out [rank, count of nonzero].  Serial. */
#define NONZERO(size, T)                                                               \
    KERNEL_FN(nonzero_##size)                                                          \
    {                                                                                  \
        const struct k_nonzero *const p = params;                                      \
        const T *const in = buf[0], mask = (T)(uint64_t)p->mask;                       \
        int64_t *const out = buf[1], *const dims = buf[2];                             \
        ix total = 1, found = 0, at = 0;                                               \
                                                                                       \
        (void)begin;                                                                   \
        (void)end;                                                                     \
        for (int d = 0; d < K_MAX_RANK; d++)                                           \
            total *= (ix)p->dim[d];                                                    \
        for (ix i = 0; i < total; i++)                                                 \
            found += (in[i] & mask) != 0;                                              \
        for (ix i = 0; i < total; i++) {                                               \
            ix rest = i;                                                               \
            if (!(in[i] & mask))                                                       \
                continue;                                                              \
            for (int d = K_MAX_RANK - 1; d >= K_MAX_RANK - (int)p->rank; d--) {        \
                out[(d - K_MAX_RANK + (ix)p->rank) * found + at] =                     \
                    rest % (ix)p->dim[d];                                              \
                rest /= (ix)p->dim[d];                                                 \
            }                                                                          \
            at++;                                                                      \
        }                                                                              \
        dims[0] = p->rank;                                                             \
        dims[1] = found;                                                               \
    }

FOR_EACH_SIZE(NONZERO)
