/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices of the sizes that networks have, without copies of operands.
 *
 *     c[i][j] = sum over p < k of a(i, p) b[p][j]     i < m, j < n
 *     a(i, p) = a[i * a_row + p * a_step]
 *
 * so that `a` is [m][k] with a_step 1, or the transposed of a [k][m] with a_row 1. Rows
 * of c are whole vectors: n is a multiple of REAL_LANES.  c overlaps no operand.
 *
 * With AVX-512 tiles of 6 x 4 vectors stay in registers and every element of c is
 * summed in the order of p, whatever m and n are; elsewhere BLAS does it.
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
     * vectors; end is SET or MASK.  Scratch[net_product_scratch(k)].  NULL: b is
     * [k][ldb >= n]. */
    real *turned;
    int n_turned;
    real *c;
    int64_t ldc;
    enum net_product_end end;
    const real *with;
};

void net_product_run(const struct net_product *p);
int net_product_scratch(int k);

#endif /* HADMC_SEARCH_AGENTS_NET_PRODUCT_H */
