/* SPDX-License-Identifier: Apache-2.0 */
/* See lanes.h.  Compiled once for each level of the processor family, which chooses the
 * width of a vector: LANES names the result. */
#include <string.h>

#include "compress/lanes_levels.h"

#if defined __AVX512F__
enum { VECTOR_LANES = 16, WIDE = 2, SUM_ROWS = 8 };
#define EACH_LANE(of, d) EACH_OF_16(of, d)
#elif defined __AVX__
enum { VECTOR_LANES = 8, WIDE = 2, SUM_ROWS = 6 };
#define EACH_LANE(of, d) EACH_OF_8(of, d)
#else
enum { VECTOR_LANES = 4, WIDE = 2, SUM_ROWS = 6 };
#define EACH_LANE(of, d) EACH_OF_4(of, d)
#endif

enum { NARROW = WIDE * VECTOR_LANES > LANES_BLOCK ? 1 : WIDE }; /* of one block */

typedef float vector __attribute__((vector_size(4 * VECTOR_LANES)));
typedef float unaligned
    __attribute__((vector_size(4 * VECTOR_LANES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const float *at)
{
    return *(const unaligned *)at;
}

INLINE void store(float *at, vector v)
{
    *(unaligned *)at = v;
}

/* ---- planes ---------------------------------------------------------------------- */

#define EACH_OF_4(of, d) of(0, d), of(1, d), of(2, d), of(3, d)
#define EACH_OF_8(of, d) EACH_OF_4(of, d), of(4, d), of(5, d), of(6, d), of(7, d)
#define EACH_OF_16(of, d)                                                              \
    EACH_OF_8(of, d), of(8, d), of(9, d), of(10, d), of(11, d), of(12, d), of(13, d),  \
        of(14, d), of(15, d)

/* Elements alternate: those of a whose number has no bit d and those d before of b; the
 * others. */
#define LOW(i, d)  ((i) & (d) ? (i) - (d) + VECTOR_LANES : (i))
#define HIGH(i, d) ((i) & (d) ? (i) + VECTOR_LANES : (i) + (d))

/* Rows i and i + d exchange what is off the diagonal. */
#define EXCHANGE(d)                                                                    \
    for (int i = 0; i < VECTOR_LANES; i++) {                                           \
        const vector a = v[i], b = v[i | (d)];                                         \
                                                                                       \
        if (i & (d))                                                                   \
            continue;                                                                  \
        v[i] = __builtin_shufflevector(a, b, EACH_LANE(LOW, d));                       \
        v[i | (d)] = __builtin_shufflevector(a, b, EACH_LANE(HIGH, d));                \
    }

INLINE void transpose(vector v[VECTOR_LANES])
{
#if defined __AVX512F__
#pragma GCC unroll 16
    EXCHANGE(8)
#endif
#if defined __AVX__
#pragma GCC unroll 16
    EXCHANGE(4)
#endif
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

    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (int first = 0; first < LANES_BLOCK; first += VECTOR_LANES) {
            vector v[VECTOR_LANES];

            for (int c = 0; c < VECTOR_LANES; c++)
                v[c] = plane[first + c] ? load(plane[first + c] + i) : (vector){0};
            transpose(v);
#pragma GCC unroll 16
            for (int k = 0; k < VECTOR_LANES; k++)
                store(to + where[i + k] + first, v[k]);
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
    int64_t i = 0;

    for (; i + VECTOR_LANES <= n; i += VECTOR_LANES)
        for (int first = 0; first < LANES_BLOCK; first += VECTOR_LANES) {
            const vector s = load(scale + first), b = load(bias + first);
            vector v[VECTOR_LANES];

#pragma GCC unroll 16
            for (int k = 0; k < VECTOR_LANES; k++)
                v[k] = load(from + where[i + k] + first) * s + b;
            transpose(v);
            for (int c = 0; c < VECTOR_LANES; c++)
                if (plane[first + c])
                    store(plane[first + c] + i, v[c]);
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

/* `rows` rows times `wide` vectors of outputs, of which there are `width`: all sums
 * stay in registers. */
INLINE void product_tile(int rows, int wide, int width, const struct lanes_product *p,
                         int64_t row, int first)
{
    vector sum[SUM_ROWS][WIDE];
    const float *w = p->w + first;

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < wide; v++)
            sum[r][v] = (vector){0};
    for (int64_t t = 0; t < p->n_taps; t++) {
        const float *x[SUM_ROWS];

#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            x[r] = p->x + p->at[row + r] + p->tap[t];
        for (int64_t c = 0; c < p->c; c++, w += width) {
            vector column[WIDE];

#pragma GCC unroll 2
            for (int v = 0; v < wide; v++)
                column[v] = load(w + v * VECTOR_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
                for (int v = 0; v < wide; v++)
                    sum[r][v] += x[r][c] * column[v];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < wide; v++)
            store(p->y + (row + r) * p->pitch_y + first + v * VECTOR_LANES, sum[r][v]);
}

INLINE void product_rows(int rows, int wide, int width, const struct lanes_product *p,
                         int64_t row)
{
    for (int first = 0; first < width; first += wide * VECTOR_LANES)
        product_tile(rows, wide, width, p, row, first);
}

INLINE void product_blocks(int wide, int width, const struct lanes_product *p)
{
    int64_t row = 0;

    for (; row + SUM_ROWS <= p->n; row += SUM_ROWS)
        product_rows(SUM_ROWS, wide, width, p, row);
    switch (p->n - row) {
#define ROWS(rows)                                                                     \
    case rows:                                                                         \
        product_rows(rows, wide, width, p, row);                                       \
        break
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
#if defined __AVX512F__ /* more than SUM_ROWS elsewhere */
        ROWS(6);
        ROWS(7);
#endif
#undef ROWS
    default:
        break;
    }
}

static void product(const struct lanes_product *p, int n_blocks)
{
    if (n_blocks == 2)
        product_blocks(WIDE, 2 * LANES_BLOCK, p);
    else
        product_blocks(NARROW, LANES_BLOCK, p);
}

/* ---- minimal filtering ------------------------------------------------------------
 */

#define FILTERED vector
#include "support/minimal_filter.h"

INLINE void filter_part(const float *taps, int64_t apart, float *to)
{
    vector half[6][3];

    for (int k = 0; k < 3; k++) {
        vector g[3], u[6];

        for (int j = 0; j < 3; j++)
            g[j] = load(taps + (j * 3 + k) * LANES_BLOCK);
        filter_taps(g, u);
        for (int j = 0; j < 6; j++)
            half[j][k] = u[j];
    }
    for (int j = 0; j < 6; j++) {
        vector u[6];

        filter_taps(half[j], u);
        for (int k = 0; k < 6; k++)
            store(to + (j * 6 + k) * apart, u[k]);
    }
}

static void to_filter(const float *taps, int64_t apart, float *to)
{
    for (int first = 0; first < LANES_BLOCK; first += VECTOR_LANES)
        filter_part(taps + first, apart, to + first);
}

/* A tile's channels of one vector, from x on. */
INLINE void tile_to_sums(const struct lanes_tiles *p, const float *x, float *sums)
{
    vector t[6][6]; /* [column][row] */

    for (int k = 0; k < 6; k++) {
        vector d[6];

#pragma GCC unroll 6
        for (int j = 0; j < 6; j++)
            d[j] = load(x + j * p->row + k * p->pixel);
        filter_in(d, t[k]);
    }
    for (int j = 0; j < 6; j++) {
        vector d[6], u[6];

#pragma GCC unroll 6
        for (int k = 0; k < 6; k++)
            d[k] = t[k][j];
        filter_in(d, u);
#pragma GCC unroll 6
        for (int k = 0; k < 6; k++)
            store(sums + (j * 6 + k) * p->apart, u[k]);
    }
}

static void to_sums(const struct lanes_tiles *p, const float *x, float *sums)
{
    for (int64_t i = 0; i < p->n; i++, sums += p->step)
        for (int first = 0; first < LANES_BLOCK; first += VECTOR_LANES)
            tile_to_sums(p, x + p->at[i] + first, sums + first);
}

INLINE void tile_from_sums(const struct lanes_tiles *p, const float *sums, float *y)
{
    vector t[6][4]; /* [column][row] */

    for (int k = 0; k < 6; k++) {
        vector d[6];

#pragma GCC unroll 6
        for (int j = 0; j < 6; j++)
            d[j] = load(sums + (j * 6 + k) * p->apart);
        filter_out(d, t[k]);
    }
    for (int j = 0; j < 4; j++) {
        vector d[6], u[4];

#pragma GCC unroll 6
        for (int k = 0; k < 6; k++)
            d[k] = t[k][j];
        filter_out(d, u);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            store(y + j * p->row + k * p->pixel, u[k]);
    }
}

static void from_sums(const struct lanes_tiles *p, const float *sums, float *y)
{
    for (int64_t i = 0; i < p->n; i++, sums += p->step)
        for (int first = 0; first < LANES_BLOCK; first += VECTOR_LANES)
            tile_from_sums(p, sums + first, y + p->at[i] + first);
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
