/* SPDX-License-Identifier: Apache-2.0 */
/* What values a tensor takes over samples, and the scale that suits them. */
#ifndef HADMC_COMPRESS_OBSERVE_H
#define HADMC_COMPRESS_OBSERVE_H

#include <stdint.h>

#include "plan/plan.h"

enum {
    OBSERVE_BINS = 2048,
    OBSERVE_CALIBRATORS = 4, /* CALIBRATOR_none + 1 ... are tried */
    OBSERVE_SPARE = 16,      /* ranges of pairs are so much wider than what was seen */
};

/* First the range (observe_range over all samples), then the histogram. */
struct observer {
    float least, most; /* 0 is always inside; start with 0, 0 */
    int64_t bin[OBSERVE_BINS];
};

/* Finite values only count. */
void observe_range(struct observer *o, const float *x, int64_t n);
void observe_values(struct observer *o, const float *x, int64_t n);
/* The ranges and counts of both; they may be observed differently. */
void observe_join(struct observer *o, const struct observer *other);

/* real = scale * (code - zero), codes -128 ... 127.  A pair has a second code for the
 * rest: real = scale * (code - zero) + second * code2. */
struct activation_grid {
    float scale;
    int32_t zero;
    float second; /* 0: there is one code */
    double error; /* mean squared error of the values in the bins' middles */
};

/* The distance of two neighbouring numbers. */
float activation_step(const struct activation_grid *g);
/* x becomes what its codes say. */
void activation_round(const struct activation_grid *g, float *x, int64_t n);

/* The calibrators of a plan, on the histogram:
 *
 *   minmax       the whole range
 *   percentile   without the outermost 0.01 % of the values
 *   mse          the share of the range that loses least: what is cut off is wrong by
 *                the distance to the limit, the rest by rounding (Banner et al. 2019,
 *                arXiv:1810.05723); 70 shares are tried, and the whole
 *   entropy      the share with the least divergence of the histogram's 256 cells from
 *                the histogram itself (Migacz, "8-bit inference with TensorRT", 2017)
 *   pair         OBSERVE_SPARE times the whole range, in two codes: 4 000 steps for
 *                what was seen, and few samples need not have seen all
 */
struct activation_grid observe_choose(const struct observer *o,
                                      enum plan_calibrator calibrator);

#endif /* HADMC_COMPRESS_OBSERVE_H */
