/* SPDX-License-Identifier: Apache-2.0 */
/* See tiles.h.  Compiled once for each level of the processor family, which chooses the
 * width of a vector: TILES names the result. */
#include <string.h>

#include "train/tiles.h"
#include "train/tiles_levels.h"

#if defined __AVX512F__
enum { VECTOR_BYTES = 64, TALL = 8, SUM_ROWS = 4, SUM_COLUMNS = 6 };
#elif defined __AVX__
enum { VECTOR_BYTES = 32, TALL = 4, SUM_ROWS = 3, SUM_COLUMNS = 4 };
#else
enum { VECTOR_BYTES = 16, TALL = 4, SUM_ROWS = 2, SUM_COLUMNS = 4 };
#endif

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

enum { WIDE = 3, LANES = VECTOR_BYTES / sizeof(real) };

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const real *at)
{
    return *(const unaligned *)at;
}

INLINE void store(real *at, vector v)
{
    *(unaligned *)at = v;
}

/* ---- four numbers --------------------------------------------------------------- */

typedef real quad __attribute__((vector_size(4 * sizeof(real))));
typedef real quad_unaligned
    __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));

#define LOW(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)

/* Element k of q[i] and element i of q[k] change places. */
INLINE void transpose(quad q[4])
{
    const quad a = LOW(q[0], q[2]);
    const quad b = HIGH(q[0], q[2]);
    const quad c = LOW(q[1], q[3]);
    const quad d = HIGH(q[1], q[3]);

    q[0] = LOW(a, c);
    q[1] = HIGH(a, c);
    q[2] = LOW(b, d);
    q[3] = HIGH(b, d);
}

/* The first n of four numbers. */
INLINE void put(quad q, int64_t n, bool adds, real *to)
{
    if (n >= 4) {
        if (adds)
            q += *(const quad_unaligned *)to;
        *(quad_unaligned *)to = q;
        return;
    }
    for (int64_t i = 0; i < n; i++)
        to[i] = adds ? to[i] + q[i] : q[i];
}

/* ---- products ------------------------------------------------------------------- */

/* `rows` rows of y, of which a has `pitch_a`, times `wide` vectors: all sums stay in
 * registers. */
INLINE void product_tile(int rows, int wide, int64_t k, const real *a, int pitch_a,
                         const int64_t *offset, const real *x, real *y, int64_t pitch)
{
    vector sum[TALL][WIDE];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            sum[r][v] = (vector){0};
    for (int64_t i = 0; i < k; i++) {
        const real *at = x + offset[i];
        vector column[WIDE];

#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            column[v] = load(at + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < wide; v++)
                sum[r][v] += a[i * pitch_a + r] * column[v];
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++)
            store(y + r * pitch + v * LANES, sum[r][v]);
}

/* All vectors of rows; what `wide` leaves over one by one. */
INLINE void product_rows(int rows, int64_t n, int64_t k, const real *a, int pitch_a,
                         const int64_t *offset, const real *x, real *y, int64_t pitch)
{
    int64_t p = 0;

    for (; p + WIDE * LANES <= n; p += WIDE * LANES)
        product_tile(rows, WIDE, k, a, pitch_a, offset, x + p, y + p, pitch);
    for (; p + 2 * LANES <= n; p += 2 * LANES)
        product_tile(rows, 2, k, a, pitch_a, offset, x + p, y + p, pitch);
    for (; p < n; p += LANES)
        product_tile(rows, 1, k, a, pitch_a, offset, x + p, y + p, pitch);
}

/* A block of rows, as many at a time as registers allow. */
INLINE void product_block(int rows, int64_t n, int64_t k, const real *a,
                          const int64_t *offset, const real *x, real *y, int64_t pitch)
{
#pragma GCC unroll 2
    for (int r = 0; r < rows; r += TALL)
        product_rows(rows - r < TALL ? rows - r : TALL, n, k, a + r, rows, offset, x,
                     y + r * pitch, pitch);
}

static void products(int64_t m, int64_t n, int64_t k, const real *a,
                     const int64_t *offset, const real *x, real *y, int64_t pitch_y)
{
    for (int64_t m0 = 0; m0 < m; m0 += TILES_ROWS) {
        real *row = y + m0 * pitch_y;
        const real *block = a + m0 * k;

        switch (m - m0 < TILES_ROWS ? m - m0 : TILES_ROWS) {
#define ROWS(rows)                                                                     \
    case rows:                                                                         \
        product_block(rows, n, k, block, offset, x, row, pitch_y);                     \
        break
            ROWS(1);
            ROWS(2);
            ROWS(3);
            ROWS(4);
            ROWS(5);
            ROWS(6);
            ROWS(7);
            ROWS(8);
#undef ROWS
        }
    }
}

/* ---- sums ----------------------------------------------------------------------- */

struct sums_job {
    const struct tiles_sums *s;
    const real *d; /* first row of this tile */
    const int64_t *offset;
    real *w;
};

/* Halves are added until one number is left. */
INLINE real total(vector v)
{
    real lane[LANES];

    memcpy(lane, &v, sizeof lane);
#pragma GCC unroll 4
    for (int half = LANES / 2; half; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* Halves are added until four numbers are left. */
INLINE quad folded(vector v)
{
    enum { QUADS = LANES > 4 ? LANES / 4 : 1 };
    quad q[QUADS] = {{0}};

    memcpy(q, &v, sizeof v);
#pragma GCC unroll 2
    for (int half = QUADS / 2; half; half /= 2)
#pragma GCC unroll 2
        for (int i = 0; i < half; i++)
            q[i] += q[i + half];
    return q[0];
}

/* The totals of n vectors are added to w: four of them at once. */
INLINE void add_totals(int n, const vector *v, real *w)
{
#pragma GCC unroll 2
    for (int c = 0; c < n; c += 4) {
        quad q[4];

#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            q[i] = c + i < n ? folded(v[c + i]) : (quad){0};
        transpose(q);
        put((q[0] + q[2]) + (q[1] + q[3]), n - c, true, w + c);
    }
}

/* Dot products of `rows` rows of d and `columns` rows of x, along all parts. */
INLINE void sum_tile(int rows, int columns, struct sums_job j)
{
    const struct tiles_sums *s = j.s;
    vector sum[SUM_ROWS][SUM_COLUMNS];

#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int c = 0; c < columns; c++)
            sum[r][c] = (vector){0};
    for (int64_t part = 0; part < s->parts; part++) {
        const real *d = j.d + part * s->part_d, *x = s->x + part * s->part_x;

        for (int64_t p = 0; p < s->n; p += LANES) {
            vector left[SUM_ROWS];

#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                left[r] = load(d + r * s->pitch_d + p);
#pragma GCC unroll 8
            for (int c = 0; c < columns; c++) {
                const vector right = load(x + j.offset[c] + p);

#pragma GCC unroll 8
                for (int r = 0; r < rows; r++)
                    sum[r][c] += left[r] * right;
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        add_totals(columns, sum[r], j.w + r * s->k);
}

INLINE void sum_rows(int rows, const struct tiles_sums *s, int64_t row)
{
    int64_t c = 0;

#define COLUMNS(columns)                                                               \
    for (; c + columns <= s->k; c += columns)                                          \
    sum_tile(rows, columns,                                                            \
             (struct sums_job){s, s->d + row * s->pitch_d, s->offset + c,              \
                               s->w + row * s->k + c})
    COLUMNS(SUM_COLUMNS);
    COLUMNS(3);
    COLUMNS(1);
#undef COLUMNS
}

static void sums(const struct tiles_sums *s)
{
    int64_t row = 0;

    for (; row + SUM_ROWS <= s->m; row += SUM_ROWS)
        sum_rows(SUM_ROWS, s, row);
    for (; row < s->m; row++)
        sum_rows(1, s, row);
}

/* ---- along one array ------------------------------------------------------------ */

/* Four vectors of sums, so that additions do not wait for each other; what is left over
 * comes one by one. */
#define ALONG(value_of_vector, value)                                                  \
    vector part[4] = {{0}};                                                            \
    int64_t i = 0;                                                                     \
    real rest = 0;                                                                     \
                                                                                       \
    for (; i + 4 * LANES <= n; i += 4 * LANES)                                         \
        for (int v = 0; v < 4; v++) {                                                  \
            const int64_t at = i + v * LANES;                                          \
                                                                                       \
            part[v] += value_of_vector;                                                \
        }                                                                              \
    for (; i < n; i++)                                                                 \
        rest += value;                                                                 \
    return total((part[0] + part[1]) + (part[2] + part[3])) + rest

static real sum(int64_t n, const real *x)
{
    ALONG(load(x + at), x[i]);
}

static real spread(int64_t n, const real *x, real mean)
{
    ALONG((load(x + at) - mean) * (load(x + at) - mean), (x[i] - mean) * (x[i] - mean));
}

static real dot(int64_t n, const real *d, const real *x, real mean)
{
    ALONG(load(d + at) * (load(x + at) - mean), d[i] * (x[i] - mean));
}

static void line(int64_t n, real a, const real *x, real b, real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = a * x[i] + b;
}

static void plane(int64_t n, real a, const real *d, real b, const real *x, real c,
                  bool adds, real *y)
{
    if (adds)
        for (int64_t i = 0; i < n; i++)
            y[i] += a * d[i] + (b * x[i] + c);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = a * d[i] + (b * x[i] + c);
}

/* v where x is above 0, 0 elsewhere. */
INLINE vector where_above(vector x, vector v)
{
    typedef __typeof__(x > 0) mask;

    return (vector)((x > 0) & (mask)v);
}

static void relu(int64_t n, const real *x, real *y)
{
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const vector v = load(x + i);

        store(y + i, where_above(v, v));
    }
    for (; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

static void relu_back(int64_t n, const real *y, const real *d, bool adds, real *dx)
{
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const vector v = where_above(load(y + i), load(d + i));

        if (adds)
            store(dx + i, load(dx + i) + v);
        else
            store(dx + i, v);
    }
    for (; i < n; i++) {
        const real v = y[i] > 0 ? d[i] : 0;

        dx[i] = adds ? dx[i] + v : v;
    }
}

/* ---- rows at a pitch ------------------------------------------------------------ */

/* What a vector writes too much is overwritten by what comes after it. */
static void pad(int64_t rows, int64_t w, const real *from, int64_t left, int64_t pitch,
                real *to)
{
    for (int64_t r = 0; r < rows; r++, from += w, to += pitch) {
        for (int64_t i = 0; i < left; i++)
            to[i] = 0;
        for (int64_t i = 0; i < w; i += LANES)
            store(to + left + i, load(from + i));
        for (int64_t i = left + w; i < pitch; i++)
            to[i] = 0;
    }
}

static void unpad(int64_t rows, int64_t w, const real *from, int64_t pitch, real b,
                  bool adds, real *to)
{
    for (int64_t r = 0; r < rows; r++, from += pitch, to += w)
        if (adds)
            for (int64_t i = 0; i < w; i++)
                to[i] += from[i] + b;
        else
            for (int64_t i = 0; i < w; i++)
                to[i] = from[i] + b;
}

/* ---- codes ---------------------------------------------------------------------- */

/* A number whose neighbours are one apart: adding it rounds, to even on a tie. */
#ifdef TRAIN_DOUBLE
static const real ONES = 0x1.8p52;
#else
static const real ONES = 0x1.8p23f;
#endif

typedef __typeof__((vector){0} > 0) lane_mask;

INLINE vector choose(lane_mask m, vector a, vector b)
{
    return (vector)((m & (lane_mask)a) | (~m & (lane_mask)b));
}

INLINE vector between(vector x, real least, real most)
{
    const vector low = (vector){0} + least, high = (vector){0} + most;

    x = choose(x > low, x, low);
    return choose(x < high, x, high);
}

/* x / s, at most one beyond the limits, and rounded. */
INLINE vector exact_code(const struct tiles_codes *c, vector x)
{
    return between(x / c->scale, c->least - 1, c->most + 1);
}

INLINE vector nearest(vector x)
{
    return (x + ONES) - ONES;
}

/* The last few numbers as a vector of their own. */
INLINE vector load_some(const real *from, int64_t n)
{
    vector v = {0};

    memcpy(&v, from, (size_t)(n < LANES ? n : LANES) * sizeof *from);
    return v;
}

INLINE void store_some(real *to, vector v, int64_t n)
{
    memcpy(to, &v, (size_t)(n < LANES ? n : LANES) * sizeof *to);
}

static void round_codes(int64_t n, const struct tiles_codes *c, const real *x, real *y)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const vector v = n - i >= LANES ? load(x + i) : load_some(x + i, n - i);
        const vector q =
            c->scale * between(nearest(exact_code(c, v)), c->least, c->most);

        if (n - i >= LANES)
            store(y + i, q);
        else
            store_some(y + i, q, n - i);
    }
}

static real round_codes_back(int64_t n, const struct tiles_codes *c, const real *x,
                             const real *d, bool adds, real *dx)
{
    vector sum = {0};

    for (int64_t i = 0; i < n; i += LANES) {
        const bool whole = n - i >= LANES;
        const vector v = whole ? load(x + i) : load_some(x + i, n - i);
        const vector dy = whole ? load(d + i) : load_some(d + i, n - i);
        const vector exact = exact_code(c, v), q = nearest(exact);
        const lane_mask inside = (q >= c->least) & (q <= c->most);
        vector passed = choose(inside, dy, (vector){0});

        sum += dy * choose(inside, q - exact, between(q, c->least, c->most));
        if (!dx)
            continue;
        if (adds)
            passed += whole ? load(dx + i) : load_some(dx + i, n - i);
        if (whole)
            store(dx + i, passed);
        else
            store_some(dx + i, passed, n - i);
    }
    return total(sum);
}

/* ---- minimal filtering ---------------------------------------------------------- */

#ifdef TRAIN_DOUBLE
typedef int64_t lane_number;
#else
typedef int32_t lane_number;
#endif
typedef lane_number quad_lanes __attribute__((vector_size(4 * sizeof(real))));

/* All ones in the columns that the picture has. */
static void mark_columns(const struct tiles_picture *p, lane_number *mark)
{
    for (int64_t x = 0; x < 4 * p->columns + 16; x++)
        mark[x] = x >= p->left && x < p->left + p->w ? -1 : 0;
}

/* Quads are read past both ends of a row, and what is not its own is masked out. */
static void split(const struct tiles_picture *p, const real *from, real *to)
{
    lane_number mark[TILES_MOST_WIDTH + 32];

    mark_columns(p, mark);
    for (int64_t y = 0; y < 4 * p->rows; y++) {
        const int64_t row = y - p->top;
        const real *line = from + row * p->w - p->left;
        real *at = to + y % 4 * 4 * p->plane + y / 4 * p->pitch;

        if (row < 0 || row >= p->h) {
            for (int b = 0; b < 4; b++)
                for (int64_t c = 0; c < p->columns; c++)
                    at[b * p->plane + c] = 0;
            continue;
        }
        for (int64_t c = 0; c < p->columns; c += 4) {
            quad q[4];

            for (int i = 0; i < 4; i++) {
                const int64_t x = 4 * (c + i);
                quad_lanes lanes;

                memcpy(&lanes, mark + x, sizeof lanes);
                q[i] =
                    (quad)((quad_lanes) * (const quad_unaligned *)(line + x) & lanes);
            }
            transpose(q);
            for (int b = 0; b < 4; b++)
                *(quad_unaligned *)(at + b * p->plane + c) = q[b];
        }
    }
}

static void merge(const struct tiles_picture *p, const real *from, real b, bool adds,
                  real *to)
{
    for (int64_t y = 0; y < p->h; y++, to += p->w) {
        const real *at = from + y % 4 * 4 * p->plane + y / 4 * p->pitch;

        for (int64_t c = 0; 4 * c < p->w; c += 4) {
            quad q[4];

            for (int i = 0; i < 4; i++)
                q[i] = *(const quad_unaligned *)(at + i * p->plane + c);
            transpose(q);
            for (int i = 0; i < 4; i++)
                put(q[i] + b, p->w - 4 * (c + i), adds, to + 4 * (c + i));
        }
    }
}

#define FILTERED vector
#include "support/minimal_filter.h"

static void to_sums(int64_t n, const struct tiles_picture *p, const real *planes,
                    real *v, int64_t apart)
{
    for (int64_t at = 0; at < n; at += LANES) {
        vector t[6][6]; /* [j][i] */

        for (int j = 0; j < 6; j++) {
            const real *column = planes + at + j % 4 * p->plane + j / 4;
            vector d[6];

#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                d[i] = load(column + i % 4 * 4 * p->plane + i / 4 * p->pitch);
            filter_in(d, t[j]);
        }
        for (int i = 0; i < 6; i++) {
            vector d[6], u[6];

#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                d[j] = t[j][i];
            filter_in(d, u);
#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                store(v + (i * 6 + j) * apart + at, u[j]);
        }
    }
}

static void from_sums(int64_t n, const struct tiles_picture *p, const real *m,
                      int64_t apart, real *planes)
{
    for (int64_t at = 0; at < n; at += LANES) {
        vector t[6][4]; /* [j][a] */

        for (int j = 0; j < 6; j++) {
            vector d[6];

#pragma GCC unroll 6
            for (int i = 0; i < 6; i++)
                d[i] = load(m + (i * 6 + j) * apart + at);
            filter_out(d, t[j]);
        }
        for (int a = 0; a < 4; a++) {
            vector d[6], y[4];

#pragma GCC unroll 6
            for (int j = 0; j < 6; j++)
                d[j] = t[j][a];
            filter_out(d, y);
#pragma GCC unroll 4
            for (int b = 0; b < 4; b++)
                store(planes + (a * 4 + b) * p->plane + at, y[b]);
        }
    }
}

const struct tiles TILES = {
    .products = products,
    .sums = sums,
    .sum = sum,
    .spread = spread,
    .dot = dot,
    .line = line,
    .plane = plane,
    .relu = relu,
    .relu_back = relu_back,
    .pad = pad,
    .unpad = unpad,
    .round = round_codes,
    .round_back = round_codes_back,
    .split = split,
    .merge = merge,
    .to_sums = to_sums,
    .from_sums = from_sums,
};
