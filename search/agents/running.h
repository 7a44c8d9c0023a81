/* SPDX-License-Identifier: Apache-2.0 */
/* Means and variances that are learned while a controller runs. */
#ifndef HADMC_SEARCH_AGENTS_RUNNING_H
#define HADMC_SEARCH_AGENTS_RUNNING_H

#include <stdint.h>

#include "search/agents/net_real.h"
#include "support/arena.h"

/* Of n features, over all rows so far (Chan, Golub, LeVeque 1979). */
struct running {
    int n;
    double count;
    double *mean, *m2;   /* [n]; m2: sum of squared distances to the mean */
    real *shift, *scale; /* [n]: what running_apply uses */
};

struct running *running_create(struct arena *a, int n);
void running_add(struct running *r, const real *row);
/* From now on running_apply uses what has been added. */
void running_settle(struct running *r);
/* to = (from - mean) / deviation, within -10 ... 10; before the first running_settle
 * to = from, and so is a feature that has never varied. */
void running_apply(const struct running *r, const real *from, real *to);

/* Mean and square of values, debiased moving averages; values are learned in units of
 * their deviation (van Hasselt et al. 2016, arXiv:1602.07714, without its rescaling).
 */
struct value_scale {
    double mean, square, weight;
};

/* Adds the n values together as one step of the averages. */
void value_scale_add(struct value_scale *s, const double *values, int n);
double value_scale_to(const struct value_scale *s, double value);
double value_scale_from(const struct value_scale *s, double scaled);

/* Deviation of returns so far: rewards are divided by it, nothing is subtracted, so
 * what is best does not change. */
struct return_scale {
    double count, mean, m2;
};

void return_scale_add(struct return_scale *s, double value);
/* 1 while all values are the same. */
double return_scale_deviation(const struct return_scale *s);

#endif /* HADMC_SEARCH_AGENTS_RUNNING_H */
