/* SPDX-License-Identifier: Apache-2.0 */
/* See net_kernels.h and net_product.h.  Compiled once for each level of the processor
 * family, which chooses the width of a vector: NET_KERNELS names the result. */
#include "search/agents/net_kernels.h"

#include <assert.h>

/* A tile of sums, the vectors of b and one of a fit into the registers.  Narrow panels
 * of b are copied: rows that lie apart share too few sets of the cache. */
#if defined __AVX512F__
enum { VECTOR_BYTES = 64, TILE_VECTORS = 4, COPIES = 0 };
#elif defined __AVX__
enum { VECTOR_BYTES = 32, TILE_VECTORS = 2, COPIES = 1 };
#else
enum { VECTOR_BYTES = 16, TILE_VECTORS = 2, COPIES = 1 };
#endif
enum { TILE_ROWS = 6, LANES = VECTOR_BYTES / (int)sizeof(real) };
enum { PARTS = REAL_LANES / LANES };

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
typedef __typeof__((vector){0} > (vector){0}) lane_vector;

#define INLINE static inline __attribute__((always_inline))

INLINE vector load(const real *at)
{
    return *(const unaligned *)at;
}

INLINE void store(real *at, vector v)
{
    *(unaligned *)at = v;
}

/* ---- rows ------------------------------------------------------------------------ */

/* y += the sum of x[i] w[i]: weights are read in the order in which they lie. */
INLINE void add_rows(int n, int ld, const real *x, const real *const *w, real *y)
{
    for (int at = 0; at < ld; at += LANES) {
        vector sum = load(y + at);

#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
            sum += x[i] * load(w[i] + at);
        store(y + at, sum);
    }
}

static void row(int in, int ld, const real *x, const real *w, const real *b, real *y)
{
    const real *rows[4];
    real factors[4];
    int n = 0;

    for (int at = 0; at < ld; at += LANES)
        store(y + at, load(b + at));
    for (int i = 0; i < in; i++) {
        if (x[i] == 0)
            continue;
        rows[n] = w + (int64_t)i * ld;
        factors[n++] = x[i];
        if (n == 4) {
            add_rows(4, ld, factors, rows, y);
            n = 0;
        }
    }
    for (int i = 0; i < n; i++)
        add_rows(1, ld, &factors[i], &rows[i], y);
}

static void relu(int64_t n, real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = y[i] > 0 ? y[i] : 0;
}

static void bias(int rows, int ld, const real *b, real *y)
{
    for (int r = 0; r < rows; r++, y += ld)
        for (int i = 0; i < ld; i++)
            y[i] += b[i];
}

static void sum_rows(int rows, int ld, const real *d, real *out)
{
    for (int r = 0; r < rows; r++, d += ld)
        for (int i = 0; i < ld; i++)
            out[i] += d[i];
}

/* In the same order on every level. */
static double sum_squares(int64_t n, const real *x)
{
    vector sum[PARTS] = {0};
    double total = 0;

    for (int64_t i = 0; i < n; i += REAL_LANES)
        for (int k = 0; k < PARTS; k++)
            sum[k] += load(x + i + k * LANES) * load(x + i + k * LANES);
    for (int k = 0; k < REAL_LANES; k++)
        total += (double)sum[k / LANES][k % LANES];
    return total;
}

static void adam(int64_t n, struct net_step k, const real *g, real *m, real *v, real *w)
{
    const real first = (real)0.9, second = (real)0.999, epsilon = (real)1e-5;

    for (int64_t i = 0; i < n; i++) {
        const real d = g[i] * k.scale;

        m[i] = first * m[i] + (1 - first) * d;
        v[i] = second * v[i] + (1 - second) * d * d;
        w[i] -= k.rate * m[i] / (real_sqrt(v[i] * k.second) + epsilon);
    }
}

/* ---- products -------------------------------------------------------------------- */

/* The elements that are above 0 where `of` is; 0 elsewhere. */
INLINE vector where_positive(vector of, vector sum)
{
    return (vector)((lane_vector)sum & (of > (vector){0}));
}

INLINE void finish(const struct net_product *p, int i, int j, vector sum)
{
    real *const c = p->c + i * p->ldc + j;

    switch (p->end) {
    case NET_PRODUCT_ADD:
        sum += load(c);
        break;
    case NET_PRODUCT_BIAS:
        sum += load(p->with + j);
        break;
    case NET_PRODUCT_RELU:
        sum += load(p->with + j);
        sum = where_positive(sum, sum);
        break;
    case NET_PRODUCT_MASK:
        sum = where_positive(load(c), sum);
        break;
    case NET_PRODUCT_SET:
        break;
    }
    store(c, sum);
}

/* Rows i to i + rows, `vectors` vectors of columns from j on, of which b is a panel. */
INLINE void tile(const struct net_product *p, const real *b, int64_t ldb, int i, int j,
                 int rows, int vectors)
{
    vector sum[TILE_ROWS][TILE_VECTORS];
    const real *a = p->a + i * p->a_row;

#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = (vector){0};
    for (int at = 0; at < p->k; at++, a += p->a_step, b += ldb) {
        vector y[TILE_VECTORS];

#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            y[v] = load(b + v * LANES);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[r * p->a_row] * y[v];
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            finish(p, i + r, j + v * LANES, sum[r][v]);
}

/* to[k][width] from rows j to j + width of b; those beyond its end are 0. */
INLINE void turn(const struct net_product *p, int j, int width, real *to)
{
    for (int r0 = 0; r0 < width; r0 += LANES)
        for (int at = 0; at < p->k; at++)
            for (int r = r0; r < r0 + LANES; r++)
                to[at * width + r] =
                    j + r < p->n_turned ? p->b[(j + r) * p->ldb + at] : 0;
}

INLINE void copy(const struct net_product *p, int j, int width, real *to)
{
    for (int at = 0; at < p->k; at++)
        for (int v = 0; v < width; v += LANES)
            store(to + at * width + v, load(p->b + at * p->ldb + j + v));
}

INLINE void columns(const struct net_product *p, int j, int vectors)
{
    const int width = vectors * LANES;
    const bool copies = COPIES && p->m > 2 * TILE_ROWS;
    const bool is_panel = p->n_turned || copies;
    const real *const b = is_panel ? p->scratch : p->b + j;
    const int64_t ldb = is_panel ? width : p->ldb;
    int i = 0;

    if (p->n_turned)
        turn(p, j, width, p->scratch);
    else if (copies)
        copy(p, j, width, p->scratch);
    for (; i + TILE_ROWS <= p->m; i += TILE_ROWS)
        tile(p, b, ldb, i, j, TILE_ROWS, vectors);
    static_assert(TILE_ROWS == 6, "what is left has up to 5 rows");
    switch (p->m - i) {
    case 5:
        tile(p, b, ldb, i, j, 5, vectors);
        break;
    case 4:
        tile(p, b, ldb, i, j, 4, vectors);
        break;
    case 3:
        tile(p, b, ldb, i, j, 3, vectors);
        break;
    case 2:
        tile(p, b, ldb, i, j, 2, vectors);
        break;
    case 1:
        tile(p, b, ldb, i, j, 1, vectors);
    }
}

static void product(const struct net_product *p)
{
    int j = 0;

    static_assert(TILE_VECTORS * LANES <= NET_PRODUCT_PANEL, "a panel has room");
    assert(p->n % REAL_LANES == 0);
    for (; j + TILE_VECTORS * LANES <= p->n; j += TILE_VECTORS * LANES)
        columns(p, j, TILE_VECTORS);
    for (; j < p->n; j += LANES)
        columns(p, j, 1);
}

const struct net_kernels NET_KERNELS = {
    .row = row,
    .relu = relu,
    .bias = bias,
    .sum_rows = sum_rows,
    .sum_squares = sum_squares,
    .adam = adam,
    .product = product,
};
