/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: see metrics.h. */
#include "compress/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "support/arena.h"

static const double least_probability = 1e-7;

/* ---- classes --------------------------------------------------------------------- */

bool metrics_in_top(const float *row, int64_t n, int64_t label, int64_t k)
{
    if (label < 0 || label >= n || isnan(row[label]))
        return false;
    for (int64_t i = 0; i < n && k > 0; i++)
        k -= row[i] > row[label] || (row[i] == row[label] && i < label);
    return k > 0;
}

static bool is_distribution(const float *row, int64_t n)
{
    const double rounded = fmin(0.25, (double)n / 512), slack = fmax(0.01, rounded);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        if (!(row[i] >= 0))
            return false;
        sum += (double)row[i];
    }
    return fabs(sum - 1) <= slack;
}

enum metrics_scale metrics_scale_of(const float *rows, int64_t n_rows, int64_t n)
{
    for (int64_t i = 0; i < n_rows; i++)
        if (!is_distribution(rows + i * n, n))
            return METRICS_LOGITS;
    return METRICS_PROBABILITIES;
}

/* What turns a number of a row into its logarithmic probability: log(x / sum), or
 * x - log sum exp, taken relative to the largest so that exp cannot overflow. */
struct normal {
    enum metrics_scale scale;
    double largest, log_sum;
};

static struct normal normal_of(const float *row, int64_t n, enum metrics_scale scale)
{
    struct normal r = {.scale = scale};
    double sum = 0;

    for (int64_t i = 0; scale == METRICS_LOGITS && i < n; i++)
        r.largest = i ? fmax(r.largest, (double)row[i]) : (double)row[i];
    for (int64_t i = 0; i < n; i++)
        sum +=
            scale == METRICS_LOGITS ? exp((double)row[i] - r.largest) : (double)row[i];
    r.log_sum = log(sum);
    return r;
}

static double log_probability(const struct normal *r, float x)
{
    return r->scale == METRICS_LOGITS ? (double)x - r->largest - r->log_sum
                                      : log((double)x) - r->log_sum;
}

double metrics_kl(const float *original, const float *compressed, int64_t n,
                  enum metrics_scale scale)
{
    const struct normal p = normal_of(original, n, scale);
    const struct normal q = normal_of(compressed, n, scale);
    const double least = log(least_probability);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const double log_p = log_probability(&p, original[i]);
        const double log_q = log_probability(&q, compressed[i]);

        sum += exp(log_p) * (fmax(log_p, least) - fmax(log_q, least));
    }
    return sum > 0 || isnan(sum) ? sum : 0;
}

double metrics_nll(const float *row, int64_t n, int64_t label, enum metrics_scale scale)
{
    const struct normal r = normal_of(row, n, scale);

    return -fmax(log_probability(&r, row[label]), log(least_probability));
}

/* ---- numbers --------------------------------------------------------------------- */

double metrics_cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;

    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    if (aa == 0 || bb == 0)
        return aa == bb ? 1 : 0;
    return ab / (sqrt(aa) * sqrt(bb));
}

static double sum_of_squares(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const double d = (double)a[i] - (b ? (double)b[i] : 0);

        sum += d * d;
    }
    return sum;
}

double metrics_mse(const float *a, const float *b, int64_t n)
{
    return sum_of_squares(a, b, n) / (double)n;
}

double metrics_relative_mse(const float *a, const float *b, int64_t n)
{
    const double error = sum_of_squares(a, b, n);

    return error == 0 ? 0 : error / sum_of_squares(a, NULL, n);
}

/* ---- area under the curve -------------------------------------------------------- */

struct scored {
    float score;
    bool is_positive;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    return (x->score > y->score) - (x->score < y->score);
}

/* Ranks from 1; equal scores share the mean of their ranks.  Returns the sum over
 * positives. */
static double rank_sum(const struct scored *at, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0, end; i < n; i = end) {
        int64_t n_positive = 0;

        for (end = i; end < n && at[end].score == at[i].score; end++)
            n_positive += at[end].is_positive;
        sum += (double)n_positive * (double)(i + 1 + end) / 2;
    }
    return sum;
}

double metrics_auc(const float *score, const bool *is_positive, int64_t n)
{
    struct arena *a = arena_create();
    struct scored *at = arena_new_array(a, struct scored, n);
    double positives = 0, ranks;

    for (int64_t i = 0; i < n; i++) {
        at[i] = (struct scored){score[i], is_positive[i]};
        positives += is_positive[i];
    }
    if (n)
        qsort(at, (size_t)n, sizeof *at, by_score);
    ranks = rank_sum(at, n);
    arena_destroy(a);

    const double pairs = positives * ((double)n - positives);

    return pairs > 0 ? (ranks - positives * (positives + 1) / 2) / pairs : (double)NAN;
}

/* ---- how sure -------------------------------------------------------------------- */

struct metrics_interval metrics_wilson(int64_t k, int64_t n, double z)
{
    const double p = (double)k / (double)n, m = (double)n;
    const double middle = p + z * z / (2 * m);
    const double half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    const double whole = 1 + z * z / m;

    return (struct metrics_interval){fmax(0, (middle - half) / whole),
                                     fmin(1, (middle + half) / whole)};
}

void metrics_paired_add(struct metrics_paired *p, bool original, bool compressed)
{
    p->both += original && compressed;
    p->lost += original && !compressed;
    p->gained += !original && compressed;
    p->neither += !original && !compressed;
}

static double n_pairs(const struct metrics_paired *p)
{
    return (double)(p->both + p->lost + p->gained + p->neither);
}

double metrics_net_loss(const struct metrics_paired *p)
{
    return (double)(p->lost - p->gained) / n_pairs(p);
}

struct metrics_interval metrics_net_loss_interval(const struct metrics_paired *p,
                                                  double z)
{
    const double n = n_pairs(p), net = (double)(p->lost - p->gained);
    const double error = sqrt((double)(p->lost + p->gained) - net * net / n) / n;

    return (struct metrics_interval){net / n - z * error, net / n + z * error};
}

double metrics_mcnemar(const struct metrics_paired *p)
{
    const int64_t n = p->lost + p->gained;
    const int64_t fewer = p->lost < p->gained ? p->lost : p->gained;
    double tail = 0;

    for (int64_t k = 0; k <= fewer; k++)
        tail += exp(lgamma((double)n + 1) - lgamma((double)k + 1)
                    - lgamma((double)(n - k) + 1) - (double)n * log(2));
    return fmin(1, 2 * tail);
}
