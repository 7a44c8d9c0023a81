/* SPDX-License-Identifier: Apache-2.0 */
/* Products with what follows them: see net_product.h.  Compiled with contraction
 * (CMakeLists.txt): a product and its sum are one instruction. */
#include "search/agents/net_product.h"

#include <assert.h>

#include "search/agents/net_kernels.h"
#include "support/arena.h"

/* A tile: 24 vectors of sums, 4 of b and one of a fit into 32 registers. */
enum { TILE_ROWS = 6, TILE_VECTORS = 4 };

#define INLINED static inline __attribute__((always_inline))

/* ---- AVX-512 ----------------------------------------------------------------------
 */

#if defined __x86_64__
typedef __typeof__((real_vector){0} > (real_vector){0}) lane_vector;

INLINED const real_vector *vector_at(const real *at)
{
    return (const real_vector *)at;
}

/* The elements that are above 0 where `of` is; 0 elsewhere. */
INLINED void keep_where_positive(const real_vector *of, real_vector *sum)
{
    const real_vector zero = {0};

    *sum = (real_vector)((lane_vector)*sum & (*of > zero));
}

INLINED void finish(const struct net_product *p, int i, int j, real_vector *sum)
{
    real_vector *const c = (real_vector *)(p->c + i * p->ldc + j);

    switch (p->end) {
    case NET_PRODUCT_ADD:
        *sum += *c;
        break;
    case NET_PRODUCT_BIAS:
        *sum += *vector_at(p->with + j);
        break;
    case NET_PRODUCT_RELU:
        *sum += *vector_at(p->with + j);
        keep_where_positive(sum, sum);
        break;
    case NET_PRODUCT_MASK:
        keep_where_positive(c, sum);
        break;
    case NET_PRODUCT_SET:
        break;
    }
    *c = *sum;
}

/* Rows i to i + rows, `vectors` vectors of columns from j on, of which b is a panel. */
INLINED void tile(const struct net_product *p, const real *b, int64_t ldb, int i, int j,
                  int rows, int vectors)
{
    real_vector sum[TILE_ROWS][TILE_VECTORS];
    const real *a = p->a + i * p->a_row;

    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            sum[r][v] = (real_vector){0};
        }
    for (int at = 0; at < p->k; at++, a += p->a_step, b += ldb) {
        real_vector y[TILE_VECTORS];

        for (int v = 0; v < vectors; v++)
            y[v] = *vector_at(b + v * REAL_LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[r * p->a_row] * y[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            finish(p, i + r, j + v * REAL_LANES, &sum[r][v]);
}

/* to[k][width] from rows j to j + width of b; those beyond its end are 0. */
INLINED void turn(const struct net_product *p, int j, int width, real *to)
{
    for (int r0 = 0; r0 < width; r0 += REAL_LANES)
        for (int at = 0; at < p->k; at++)
            for (int r = r0; r < r0 + REAL_LANES; r++)
                to[at * width + r] =
                    j + r < p->n_turned ? p->b[(j + r) * p->ldb + at] : 0;
}

INLINED void columns(const struct net_product *p, int j, int vectors)
{
    const int width = vectors * REAL_LANES;
    const real *const b = p->turned ? p->turned : p->b + j;
    const int64_t ldb = p->turned ? width : p->ldb;
    int i = 0;

    if (p->turned)
        turn(p, j, width, p->turned);
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

__attribute__((target("avx512f"))) static void by_tiles(const struct net_product *p)
{
    int j = 0;

    for (; j + TILE_VECTORS * REAL_LANES <= p->n; j += TILE_VECTORS * REAL_LANES)
        columns(p, j, TILE_VECTORS);
    for (; j < p->n; j += REAL_LANES)
        columns(p, j, 1);
}

static bool has_tiles(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static void by_tiles(const struct net_product *p)
{
    (void)p;
}

static bool has_tiles(void)
{
    return false;
}
#endif

/* ---- BLAS --------------------------------------------------------------------------
 */

static void multiply(const struct net_product *p, real *c, int64_t ldc)
{
    const bool is_transposed = p->a_step != 1;

    assert(is_transposed ? p->a_row == 1 : p->a_step == 1);
    real_gemm(is_transposed ? BLAS_TRANSPOSED : BLAS_PLAIN,
              p->turned ? BLAS_TRANSPOSED : BLAS_PLAIN, p->m,
              p->turned ? p->n_turned : p->n, p->k, 1, p->a,
              is_transposed ? p->a_step : p->a_row, p->b, p->ldb,
              p->end == NET_PRODUCT_ADD, c, ldc);
}

static void mask(const struct net_product *p)
{
    struct arena *scratch = arena_create();
    real *c = arena_new_array(scratch, real, (int64_t)p->m * p->n);

    multiply(p, c, p->n);
    for (int i = 0; i < p->m; i++)
        for (int j = 0; j < p->n; j++)
            p->c[i * p->ldc + j] =
                p->c[i * p->ldc + j] > 0 ? c[(int64_t)i * p->n + j] : 0;
    arena_destroy(scratch);
}

static void by_blas(const struct net_product *p)
{
    if (p->end == NET_PRODUCT_MASK) {
        mask(p);
        return;
    }
    multiply(p, p->c, p->ldc);
    for (int i = 0; i < p->m; i++) {
        real *const c = p->c + i * p->ldc;

        for (int j = p->n_turned; p->turned && j < p->n; j++)
            c[j] = 0;
        if (p->end == NET_PRODUCT_BIAS || p->end == NET_PRODUCT_RELU)
            kernel_bias(1, p->n, p->with, p->end == NET_PRODUCT_RELU, c);
    }
}

/* ------------------------------------------------------------------------------------
 */

int net_product_scratch(int k)
{
    return k * TILE_VECTORS * REAL_LANES;
}

void net_product_run(const struct net_product *p)
{
    assert(p->n % REAL_LANES == 0);
    if (has_tiles())
        by_tiles(p);
    else
        by_blas(p);
}
