/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of net.c, for the vectors of this processor.  Every element is summed
 * in the order of the inputs, whatever the width of a vector; whether a product and its
 * sum are rounded once depends on the kind of processor.
 *
 * Rows are whole vectors of REAL_LANES elements.
 */
#ifndef HADMC_SEARCH_AGENTS_NET_KERNELS_H
#define HADMC_SEARCH_AGENTS_NET_KERNELS_H

#include <stdint.h>

#include "search/agents/net_product.h"

/* y[ld] = b + sum of x[i] w[i][ld] over inputs that are not 0. */
typedef void net_row_fn(int in, int ld, const real *x, const real *w, const real *b,
                        real *y);
typedef void net_relu_fn(int64_t n, real *y);
/* y[rows][ld] += b. */
typedef void net_bias_fn(int rows, int ld, const real *b, real *y);
/* out[ld] += sum of d's rows. */
typedef void net_sum_rows_fn(int rows, int ld, const real *d, real *out);
/* n: whole vectors. */
typedef double net_sum_squares_fn(int64_t n, const real *x);

struct net_step {
    real scale;  /* of the gradient */
    real rate;   /* rate / (1 - beta1^t) */
    real second; /* 1 / (1 - beta2^t) */
};

typedef void net_adam_fn(int64_t n, struct net_step k, const real *g, real *m, real *v,
                         real *w);

struct net_kernels {
    net_row_fn *row;
    net_relu_fn *relu;
    net_bias_fn *bias;
    net_sum_rows_fn *sum_rows;
    net_sum_squares_fn *sum_squares;
    net_adam_fn *adam;
    net_product_fn *product;
};

/* Those for this processor. */
const struct net_kernels *net_kernels_here(void);

/* net_level.c, once for each level. */
extern const struct net_kernels net_kernels_plain;
#if defined __x86_64__
extern const struct net_kernels net_kernels_v3, net_kernels_v4;
#endif

#endif /* HADMC_SEARCH_AGENTS_NET_KERNELS_H */
