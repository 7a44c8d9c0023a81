/* SPDX-License-Identifier: Apache-2.0 */
/* See lanes.h.  Compiled once for each level of the processor family: the compiler
 * makes a block of 16 channels as many vectors as it takes.  LANES names the result. */
#include <assert.h>
#include <string.h>

#include "compress/lanes_levels.h"

typedef float block __attribute__((vector_size(4 * LANES_BLOCK)));
typedef float unaligned
    __attribute__((vector_size(4 * LANES_BLOCK), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE block load(const float *at)
{
    return *(const unaligned *)at;
}

INLINE void store(float *at, block v)
{
    *(unaligned *)at = v;
}

/* ---- planes ---------------------------------------------------------------------- */

/* Elements alternate; pairs, fours and eights of them. */
#define LOW_1(a, b)                                                                    \
    __builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28,   \
                            14, 30)
#define HIGH_1(a, b)                                                                   \
    __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29,   \
                            15, 31)
#define LOW_2(a, b)                                                                    \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13,    \
                            28, 29)
#define HIGH_2(a, b)                                                                   \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15,  \
                            30, 31)
#define LOW_4(a, b)                                                                    \
    __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25,    \
                            26, 27)
#define HIGH_4(a, b)                                                                   \
    __builtin_shufflevector(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29,  \
                            30, 31)
#define LOW_8(a, b)                                                                    \
    __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22,  \
                            23)
#define HIGH_8(a, b)                                                                   \
    __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28,    \
                            29, 30, 31)

/* Rows i and i + distance exchange what is off the diagonal. */
#define EXCHANGE(distance)                                                             \
    for (int i = 0; i < LANES_BLOCK; i++) {                                            \
        const block a = v[i], b = v[i | distance];                                     \
                                                                                       \
        if (i & distance)                                                              \
            continue;                                                                  \
        v[i] = LOW_##distance(a, b);                                                   \
        v[i | distance] = HIGH_##distance(a, b);                                       \
    }

INLINE void transpose(block v[LANES_BLOCK])
{
#pragma GCC unroll 16
    EXCHANGE(8)
#pragma GCC unroll 16
    EXCHANGE(4)
#pragma GCC unroll 16
    EXCHANGE(2)
#pragma GCC unroll 16
    EXCHANGE(1)
}

static void gather_some(int64_t n, const float *const *plane, const int64_t *where,
                        float *to)
{
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < LANES_BLOCK; c++)
            to[where[i] + c] = plane[c] ? plane[c][i] : 0;
}

static void gather(int64_t n, const float *const *plane, const int64_t *where,
                   float *to)
{
    int64_t i = 0;

    for (; i + LANES_BLOCK <= n; i += LANES_BLOCK) {
        block v[LANES_BLOCK];

        for (int c = 0; c < LANES_BLOCK; c++)
            v[c] = plane[c] ? load(plane[c] + i) : (block){0};
        transpose(v);
#pragma GCC unroll 16
        for (int k = 0; k < LANES_BLOCK; k++)
            store(to + where[i + k], v[k]);
    }
    if (i < n) {
        const float *rest[LANES_BLOCK];

        for (int c = 0; c < LANES_BLOCK; c++)
            rest[c] = plane[c] ? plane[c] + i : NULL;
        gather_some(n - i, rest, where + i, to);
    }
}

static void scatter(int64_t n, const float *from, const int64_t *where,
                    const float *scale, const float *bias, float *const *plane)
{
    const block s = load(scale), b = load(bias);
    int64_t i = 0;

    for (; i + LANES_BLOCK <= n; i += LANES_BLOCK) {
        block v[LANES_BLOCK];

#pragma GCC unroll 16
        for (int k = 0; k < LANES_BLOCK; k++)
            v[k] = load(from + where[i + k]) * s + b;
        transpose(v);
        for (int c = 0; c < LANES_BLOCK; c++)
            if (plane[c])
                store(plane[c] + i, v[c]);
    }
    for (; i < n; i++)
        for (int c = 0; c < LANES_BLOCK; c++)
            if (plane[c])
                plane[c][i] = from[where[i] + c] * scale[c] + bias[c];
}

/* ---- element by element ---------------------------------------------------------- */

static void add(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

/* A number whose neighbours are one apart: adding it rounds, to even on a tie. */
static const float ONES = 0x1.8p23f;

/* Of LANES_BLOCK numbers; y may be x. */
INLINE void round_block(const struct tiles_codes *c, float inverse, const float *x,
                        float *y)
{
    float code[LANES_BLOCK];

    for (int i = 0; i < LANES_BLOCK; i++) {
        code[i] = x[i] * inverse;
        code[i] = code[i] > c->least ? code[i] : c->least;
        code[i] = code[i] < c->most ? code[i] : c->most;
    }
    for (int i = 0; i < LANES_BLOCK; i++)
        y[i] = c->scale * ((code[i] + ONES) - ONES);
}

static void round_codes(int64_t n, const struct tiles_codes *c, const float *x,
                        float *y)
{
    const struct tiles_codes codes = *c;
    const float inverse = 1 / c->scale;
    float last[LANES_BLOCK] = {0};
    int64_t i = 0;

    for (; i + LANES_BLOCK <= n; i += LANES_BLOCK)
        round_block(&codes, inverse, x + i, y + i);
    memcpy(last, x + i, (size_t)(n - i) * sizeof *x);
    round_block(&codes, inverse, last, last);
    memcpy(y + i, last, (size_t)(n - i) * sizeof *y);
}

/* ---- products -------------------------------------------------------------------- */

/* Channels of a register; rows, and registers of each, whose sums there is room for.
 * Blocks wider than a register would go through memory. */
#if defined __AVX512F__
enum { PART = 16, ROWS = 8, PARTS = 2 };
#elif defined __AVX2__
enum { PART = 8, ROWS = 6, PARTS = 2 };
#elif defined __aarch64__
enum { PART = 4, ROWS = 6, PARTS = 4 };
#else
enum { PART = 4, ROWS = 3, PARTS = 4 };
#endif
static_assert(LANES_ROWS % ROWS == 0 && LANES_BLOCK % PART == 0,
              "nothing is left over");

typedef float part __attribute__((vector_size(4 * PART)));
typedef float unaligned_part
    __attribute__((vector_size(4 * PART), aligned(4), may_alias));

/* Sums of so many rows and parts, from the channel `first` of `width` on. */
INLINE void product_part(int rows, int parts, int width, const struct lanes_product *p,
                         int64_t row, int first)
{
    part sum[ROWS][PARTS];
    const float *w = p->w + first;

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int k = 0; k < parts; k++)
            sum[r][k] = (part){0};
    for (int64_t t = 0; t < p->n_taps; t++) {
        const float *x[ROWS];

#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            x[r] = p->x + p->at[row + r] + p->tap[t];
        for (int64_t c = 0; c < p->c; c++, w += width) {
            part column[PARTS];

#pragma GCC unroll 4
            for (int k = 0; k < parts; k++)
                column[k] = *(const unaligned_part *)(w + k * PART);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
                for (int k = 0; k < parts; k++)
                    sum[r][k] += x[r][c] * column[k];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int k = 0; k < parts; k++)
            *(unaligned_part *)(p->y + (row + r) * p->pitch_y + first + k * PART) =
                sum[r][k];
}

INLINE void product_rows(int rows, int blocks, const struct lanes_product *p,
                         int64_t row)
{
    const int width = blocks * LANES_BLOCK,
              parts = width / PART < PARTS ? width / PART : PARTS;

    for (int first = 0; first < width; first += parts * PART)
        product_part(rows, parts, width, p, row, first);
}

INLINE void product_blocks(int blocks, const struct lanes_product *p)
{
    int64_t row = 0;

    for (; row + ROWS <= p->n; row += ROWS)
        product_rows(ROWS, blocks, p, row);
    switch (p->n - row) {
#define LAST(rows)                                                                     \
    case rows:                                                                         \
        product_rows(rows < ROWS ? rows : ROWS, blocks, p, row);                       \
        break
        LAST(1);
        LAST(2);
        LAST(3);
        LAST(4);
        LAST(5);
        LAST(6);
        LAST(7);
#undef LAST
    default:
        break;
    }
}

static void product(const struct lanes_product *p, int n_blocks)
{
    if (n_blocks == 2)
        product_blocks(2, p);
    else
        product_blocks(1, p);
}

/* ---- minimal filtering ------------------------------------------------------------
 */

#define FILTERED block
#include "support/minimal_filter.h"

static void to_filter(const float *taps, int64_t apart, float *to)
{
    block half[6][3];

    for (int k = 0; k < 3; k++) {
        block g[3], u[6];

        for (int j = 0; j < 3; j++)
            g[j] = load(taps + (j * 3 + k) * LANES_BLOCK);
        filter_taps(g, u);
        for (int j = 0; j < 6; j++)
            half[j][k] = u[j];
    }
    for (int j = 0; j < 6; j++) {
        block u[6];

        filter_taps(half[j], u);
        for (int k = 0; k < 6; k++)
            store(to + (j * 6 + k) * apart, u[k]);
    }
}

static void to_sums(const struct lanes_tiles *p, const float *x, float *sums)
{
    for (int64_t i = 0; i < p->n; i++, sums += p->step) {
        const float *at = x + p->at[i];
        block t[6][6]; /* [column][row] */

        for (int k = 0; k < 6; k++) {
            block d[6];

#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                d[j] = load(at + j * p->row + k * p->pixel);
            filter_in(d, t[k]);
        }
        for (int j = 0; j < 6; j++) {
            block d[6], u[6];

#pragma GCC unroll 6
            for (int k = 0; k < 6; k++)
                d[k] = t[k][j];
            filter_in(d, u);
#pragma GCC unroll 6
            for (int k = 0; k < 6; k++)
                store(sums + (j * 6 + k) * p->apart, u[k]);
        }
    }
}

static void from_sums(const struct lanes_tiles *p, const float *sums, float *y)
{
    for (int64_t i = 0; i < p->n; i++, sums += p->step) {
        float *at = y + p->at[i];
        block t[6][4]; /* [column][row] */

        for (int k = 0; k < 6; k++) {
            block d[6];

#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                d[j] = load(sums + (j * 6 + k) * p->apart);
            filter_out(d, t[k]);
        }
        for (int j = 0; j < 4; j++) {
            block d[6], u[4];

#pragma GCC unroll 6
            for (int k = 0; k < 6; k++)
                d[k] = t[k][j];
            filter_out(d, u);
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++)
                store(at + j * p->row + k * p->pixel, u[k]);
        }
    }
}

const struct lanes LANES = {
    .add = add,
    .round = round_codes,
    .gather = gather,
    .scatter = scatter,
    .product = product,
    .to_filter = to_filter,
    .to_sums = to_sums,
    .from_sums = from_sums,
};
