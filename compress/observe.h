/* SPDX-License-Identifier: Apache-2.0 */
/* What values a tensor takes over samples, and the scale that suits them. */
#ifndef HADMC_COMPRESS_OBSERVE_H
#define HADMC_COMPRESS_OBSERVE_H

#include <stdint.h>

enum { OBSERVE_BINS = 2048 };

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

/* real = scale * (code - zero), codes -128 ... 127. */
struct activation_grid {
    float scale;
    int32_t zero;
    double error; /* mean squared error of the values in the bins' middles */
};

/* The whole range, or the share of it that loses least: what is cut off is wrong by
 * the distance to the limit, the rest by rounding. */
struct activation_grid observe_choose(const struct observer *o);

#endif /* HADMC_COMPRESS_OBSERVE_H */
