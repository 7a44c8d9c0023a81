/* SPDX-License-Identifier: Apache-2.0 */
/* Loops over vectors for net.c.  Every output element is summed in the order of the
 * inputs, so results do not depend on how wide the processor's vectors are. */
#ifndef HADMC_SEARCH_AGENTS_NET_KERNELS_H
#define HADMC_SEARCH_AGENTS_NET_KERNELS_H

#include <stdint.h>

#include "search/agents/net_real.h"

/* y[ld] = b + sum of x[i] w[i][ld] over inputs that are not 0; ld is whole vectors. */
void kernel_row(int in, int ld, const real *x, const real *w, const real *b, real *y);
void kernel_relu(int64_t n, real *y);
/* y[rows][ld] += b, then ReLU if wanted. */
void kernel_bias(int rows, int ld, const real *b, bool relu, real *y);
/* out[ld] += sum of d's rows. */
void kernel_sum_rows(int rows, int ld, const real *d, real *out);
double kernel_sum_squares(int64_t n, const real *x);

struct kernel_adam {
    real scale;  /* of the gradient */
    real rate;   /* rate / (1 - beta1^t) */
    real second; /* 1 / (1 - beta2^t) */
};

void kernel_adam(int64_t n, struct kernel_adam k, const real *g, real *m, real *v,
                 real *w);

#endif /* HADMC_SEARCH_AGENTS_NET_KERNELS_H */
