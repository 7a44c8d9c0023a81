/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices of the sizes that networks have.
 *
 *     c[i][j] = sum over p < k of a(i, p) b[p][j]     i < m, j < n
 *     a(i, p) = a[i * a_row + p * a_step]
 *
 * so that `a` is [m][k] with a_step 1, or the transposed of a [k][m] with a_row 1. Rows
 * of c are whole vectors: n is a multiple of REAL_LANES.  c overlaps no operand.
 */
#ifndef HADMC_SEARCH_AGENTS_NET_PRODUCT_H
#define HADMC_SEARCH_AGENTS_NET_PRODUCT_H

#include <stdint.h>

#include "search/agents/net_real.h"

enum net_product_end {
    NET_PRODUCT_SET,  /* c = the product */
    NET_PRODUCT_ADD,  /* c += the product */
    NET_PRODUCT_BIAS, /* c = the product + with[n] */
    NET_PRODUCT_RELU, /* c = max(0, the product + with[n]) */
    NET_PRODUCT_MASK, /* c = the product where c is above 0, otherwise 0 */
};

struct net_product {
    int m, n, k;
    const real *a;
    int64_t a_row, a_step;
    const real *b;
    int64_t ldb;
    /* Of gradients: b is [n_turned][ldb >= k] instead, n is n_turned rounded up to
     * vectors; end is SET or MASK.  0: b is [k][ldb >= n]. */
    int n_turned;
    real *scratch; /* [net_product_scratch(k)] */
    real *c;
    int64_t ldc;
    enum net_product_end end;
    const real *with;
};

typedef void net_product_fn(const struct net_product *p);

/* Columns that go by at once, at most. */
enum { NET_PRODUCT_PANEL = 4 * REAL_LANES };

static inline int net_product_scratch(int k)
{
    return k * NET_PRODUCT_PANEL;
}

#endif /* HADMC_SEARCH_AGENTS_NET_PRODUCT_H */
