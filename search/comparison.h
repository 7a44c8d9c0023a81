/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for comparing methods over pairs of runs: the same model, target and seed.
 *
 * source: Agarwal et al. 2021, arXiv:2108.13264 (interquartile mean, stratified
 *         bootstrap); Holm 1979; Vargha and Delaney 2000 (effect size); Student 1908
 */
#ifndef HADMC_SEARCH_COMPARISON_H
#define HADMC_SEARCH_COMPARISON_H

#include <stdint.h>

/* Mean of the middle half: the lowest and the highest quarter of the weight is left
 * out, of single values a part where a quarter is not a whole number of them. */
double comparison_iqm(const double *values, int n);

struct comparison_interval {
    double low, high;
};

/* 95 % interval of the interquartile mean, by drawing 2000 times with replacement
 * within each stratum (0 ... n_strata - 1, one for each value): models and targets stay
 * represented. */
struct comparison_interval comparison_bootstrap(const double *values, const int *strata,
                                                int n, int n_strata, uint64_t seed);

struct comparison_test {
    double mean;   /* of ours - theirs + margin, each stratum counting alike */
    double p;      /* one-sided: that it is not above 0 */
    double effect; /* probability that ours is above theirs, ties a half */
};

/* Paired, stratified, by exchanging signs: is ours higher than theirs, less a margin?
 * A margin above 0 asks for non-inferiority.  Exact up to 2^16 sign patterns, above by
 * 10000 random ones (and the one that was seen). */
struct comparison_test comparison_paired(const double *ours, const double *theirs,
                                         const int *strata, int n, int n_strata,
                                         double margin, uint64_t seed);

/* The published test, for comparison: two-sided p of the paired t statistic; 1 where
 * all differences are 0. */
double comparison_t_test(const double *ours, const double *theirs, int n);

/* p[n] become values adjusted for n tests by Holm's method; at most 1. */
void comparison_holm(double *p, int n);

#endif /* HADMC_SEARCH_COMPARISON_H */
