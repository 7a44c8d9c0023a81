/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics for comparing methods: see comparison.h. */
#include "search/comparison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/arena.h"
#include "support/random.h"

enum { DRAWS = 2000, SIGNS = 10000, EXACT = 16 };

static int compare_doubles(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* Of sorted values: value i has the weight between i / n and (i + 1) / n. */
static double middle_mean(const double *sorted, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        const double low = fmax((double)i / n, 0.25),
                     high = fmin((double)(i + 1) / n, 0.75);

        sum += sorted[i] * fmax(high - low, 0);
    }
    return 2 * sum;
}

double comparison_iqm(const double *values, int n)
{
    struct arena *scratch = arena_create();
    double *sorted = arena_copy(scratch, values, (size_t)n * sizeof *values);

    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);

    const double result = middle_mean(sorted, n);

    arena_destroy(scratch);
    return result;
}

/* One value of the stratum, each equally likely. */
static double draw(const double *values, const int *strata, int n, int stratum,
                   int n_in_stratum, struct random *random)
{
    int left = (int)random_below(random, (uint64_t)n_in_stratum);

    for (int i = 0; i < n; i++)
        if (strata[i] == stratum && left-- == 0)
            return values[i];
    return NAN;
}

static int *count_strata(struct arena *a, const int *strata, int n, int n_strata)
{
    int *count = arena_new_array(a, int, n_strata);

    for (int i = 0; i < n; i++)
        count[strata[i]]++;
    return count;
}

struct comparison_interval comparison_bootstrap(const double *values, const int *strata,
                                                int n, int n_strata, uint64_t seed)
{
    struct arena *scratch = arena_create();
    struct random random = random_seeded(seed);
    const int *count = count_strata(scratch, strata, n, n_strata);
    double *drawn = arena_new_array(scratch, double, n),
           *means = arena_new_array(scratch, double, DRAWS);

    for (int d = 0; d < DRAWS; d++) {
        for (int i = 0; i < n; i++)
            drawn[i] = draw(values, strata, n, strata[i], count[strata[i]], &random);
        qsort(drawn, (size_t)n, sizeof *drawn, compare_doubles);
        means[d] = middle_mean(drawn, n);
    }
    qsort(means, DRAWS, sizeof *means, compare_doubles);

    const struct comparison_interval result = {means[DRAWS / 40],
                                               means[DRAWS - 1 - DRAWS / 40]};

    arena_destroy(scratch);
    return result;
}

/* Mean of the strata's means. */
static double stratified_mean(const double *d, const int *strata, const int *count,
                              int n, int n_strata)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += d[i] / count[strata[i]];
    return sum / n_strata;
}

/* The share of sign patterns under which the mean is at least what was seen. */
static double sign_test(struct arena *a, const double *d, const int *strata,
                        const int *count, int n, int n_strata, uint64_t seed)
{
    struct random random = random_seeded(seed);
    double *turned = arena_new_array(a, double, n);
    const double seen = stratified_mean(d, strata, count, n, n_strata);
    const int64_t patterns = n <= EXACT ? INT64_C(1) << n : SIGNS;
    int64_t n_above = n > EXACT; /* what was seen is one of the patterns */

    for (int64_t k = 0; k < patterns; k++) {
        uint64_t signs = (uint64_t)k;

        for (int i = 0; i < n; i++) {
            if (n > EXACT && i % 64 == 0)
                signs = random_u64(&random);
            turned[i] = signs >> (i % 64) & 1 ? -d[i] : d[i];
        }
        n_above += stratified_mean(turned, strata, count, n, n_strata)
                   >= seen - 1e-12 * fabs(seen);
    }
    return (double)n_above / (double)(patterns + (n > EXACT));
}

struct comparison_test comparison_paired(const double *ours, const double *theirs,
                                         const int *strata, int n, int n_strata,
                                         double margin, uint64_t seed)
{
    struct arena *scratch = arena_create();
    const int *count = count_strata(scratch, strata, n, n_strata);
    double *d = arena_new_array(scratch, double, n);
    struct comparison_test result = {0, 1, 0};

    for (int i = 0; i < n; i++) {
        d[i] = ours[i] - theirs[i] + margin;
        result.effect += (ours[i] > theirs[i] ? 1 : ours[i] == theirs[i] ? 0.5 : 0) / n;
    }
    result.mean = stratified_mean(d, strata, count, n, n_strata);
    result.p = sign_test(scratch, d, strata, count, n, n_strata, seed);
    arena_destroy(scratch);
    return result;
}

/* ---- Student's distribution ---------------------------------------------------------
 */

/* The continued fraction of the incomplete beta function (Lentz's method; Abramowitz
 * and Stegun 26.5.8). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), h = d;

    for (int m = 1; m < 300; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                     odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change;

        d = 1 / (1 + even * d);
        c = 1 + even / c;
        h *= d * c;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        change = d * c;
        h *= change;
        if (fabs(change - 1) < 1e-14)
            break;
    }
    return h;
}

static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;

    const double front =
        exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));

    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double comparison_t_test(const double *ours, const double *theirs, int n)
{
    double mean = 0, square = 0;

    for (int i = 0; i < n; i++)
        mean += (ours[i] - theirs[i]) / n;
    for (int i = 0; i < n; i++) {
        const double d = ours[i] - theirs[i] - mean;

        square += d * d;
    }
    if (n < 2 || (mean == 0 && square == 0))
        return 1;

    const double freedom = n - 1, t2 = mean * mean * n * freedom / square;

    return isinf(t2) || square == 0
               ? 0
               : incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t2));
}

/* ---- several tests
 * -------------------------------------------------------------------- */

struct ranked {
    double p;
    int at;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    return a->p != b->p ? (a->p < b->p ? -1 : 1) : a->at - b->at;
}

void comparison_holm(double *p, int n)
{
    struct arena *scratch = arena_create();
    struct ranked *order = arena_new_array(scratch, struct ranked, n);
    double highest = 0;

    for (int i = 0; i < n; i++)
        order[i] = (struct ranked){p[i], i};
    qsort(order, (size_t)n, sizeof *order, compare_ranked);
    for (int i = 0; i < n; i++) {
        highest = fmax(highest, fmin(order[i].p * (n - i), 1));
        p[order[i].at] = highest;
    }
    arena_destroy(scratch);
}
