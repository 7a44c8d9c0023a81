/* SPDX-License-Identifier: Apache-2.0 */
/* Sums along rows of float32: sixteen lanes, element i in lane i mod 16, then the tree
 * 8-4-2-1. */
#ifndef HADMC_KERNELS_ROWS_H
#define HADMC_KERNELS_ROWS_H

#include "kernels/vec.h"

enum { LANES = 16 };

K_IN float rows_join(float lane[LANES])
{
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

K_IN float rows_sum(const float *x, ix n)
{
    v16 sum, t;
    float lane[LANES];
    ix i = 0;

    V16_ZERO(sum);
    for (; i + LANES <= n; i += LANES) {
        V16_LOAD(t, x + i);
        V16_ADD(sum, t);
    }
    V16_STORE(lane, sum);
    for (int l = 0; l < LANES && i + l < n; l++)
        lane[l] += x[i + l];
    return rows_join(lane);
}

/* Sum of (x - mean)^2. */
K_IN float rows_squares(const float *x, ix n, float mean)
{
    v16 sum, t;
    float lane[LANES];
    ix i = 0;

    V16_ZERO(sum);
    for (; i + LANES <= n; i += LANES) {
        V16_LOAD(t, x + i);
        V16_SUB1(t, mean);
        V16_MULADD(sum, t, t);
    }
    V16_STORE(lane, sum);
    for (int l = 0; l < LANES && i + l < n; l++) {
        const float d = x[i + l] - mean;
        lane[l] += d * d;
    }
    return rows_join(lane);
}

#endif /* HADMC_KERNELS_ROWS_H */
