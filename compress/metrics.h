/* SPDX-License-Identifier: Apache-2.0 */
/* How good outputs are: against labels, and against the outputs of the original model.
 * Sums are double; everything is a function of one sample's rows, except where counts
 * are named.  Rows are dense float32.
 */
#ifndef HADMC_COMPRESS_METRICS_H
#define HADMC_COMPRESS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

/* ---- classes --------------------------------------------------------------------- */

/* The label is among the k largest of n scores; of equal scores the first is larger,
 * as argmax has it.  A NaN as the label's score is never among them; false for labels
 * outside of 0 ... n-1. */
bool metrics_in_top(const float *row, int64_t n, int64_t label, int64_t k);

/* What a row of scores is.  Probabilities: every row is >= 0 and its sum is within 0.01
 * of 1, or of what rounding n probabilities to multiples of 1/256 can make of it: half
 * a step each, at most 0.25.  n >= 2.  Softmax turns logits into probabilities. */
enum metrics_scale { METRICS_LOGITS, METRICS_PROBABILITIES };

enum metrics_scale metrics_scale_of(const float *rows, int64_t n_rows, int64_t n);

/* Kullback-Leibler divergence sum p log(p / q) in nats of the compressed model's
 * distribution q from the original's p (Kullback and Leibler 1951).  Probabilities are
 * divided by their sum first; in the logarithm what is below 1e-7 or NaN counts as
 * 1e-7, so that a quantized zero costs at most 16 nats times p.  >= 0; NaN when the
 * original is. */
double metrics_kl(const float *original, const float *compressed, int64_t n,
                  enum metrics_scale scale);

/* -log of the label's probability in nats, bounded as above; perplexity is exp of the
 * mean over tokens (Jelinek et al. 1977).  The label is in 0 ... n-1. */
double metrics_nll(const float *row, int64_t n, int64_t label,
                   enum metrics_scale scale);

/* ---- numbers --------------------------------------------------------------------- */

/* a . b / (|a| |b|); 1 when both are zero, 0 when one of them is. */
double metrics_cosine(const float *a, const float *b, int64_t n);
/* Mean of (a - b)^2. */
double metrics_mse(const float *a, const float *b, int64_t n);
/* sum (a - b)^2 / sum a^2, a being the original; 0 / 0 is 0, x / 0 infinite. */
double metrics_relative_mse(const float *a, const float *b, int64_t n);

/* Area under the receiver operating characteristic: the chance that a positive scores
 * above a negative, equal scores counting one half; from ranks (Mann and Whitney 1947;
 * Hanley and McNeil 1982).  NaN without positives or without negatives.  Sorts a copy;
 * scores are not NaN. */
double metrics_auc(const float *score, const bool *is_positive, int64_t n);

/* ---- how sure ------------------------------------------------------------------- */

struct metrics_interval {
    double low, high;
};

/* Of an accuracy of k in n, n > 0: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) /
 * (1 + z^2/n) (Wilson 1927).  z = 1.96 for 95 %. */
struct metrics_interval metrics_wilson(int64_t k, int64_t n, double z);

/* Two models on the same samples. */
struct metrics_paired {
    int64_t both, lost, gained, neither; /* lost: only the original was right */
};

void metrics_paired_add(struct metrics_paired *p, bool original, bool compressed);
/* Net loss of accuracy (lost - gained) / n, with n > 0; its interval by the standard
 * error sqrt(lost + gained - (lost - gained)^2 / n) / n (Agresti, Categorical Data
 * Analysis, 3rd ed., section 11.1.1). */
double metrics_net_loss(const struct metrics_paired *p);
struct metrics_interval metrics_net_loss_interval(const struct metrics_paired *p,
                                                  double z);
/* Two-sided exact test of lost = gained: how likely a split at least as uneven is when
 * every difference falls either way by chance (McNemar 1947).  In (0, 1]. */
double metrics_mcnemar(const struct metrics_paired *p);

#endif /* HADMC_COMPRESS_METRICS_H */
