/* SPDX-License-Identifier: Apache-2.0 */
// links: compress frontend
/* Metrics: numbers that can be checked by hand. */
#include <math.h>

#include "tests/test.h"

#include "compress/metrics.h"

#define F(...) ((const float[]){__VA_ARGS__})
#define B(...) ((const bool[]){__VA_ARGS__})

static void near(double got, double want)
{
    if (!(fabs(got - want) < 1e-6))
        fail_msg("%.9g is not %.9g", got, want);
}

TEST(metrics_top_counts_what_is_larger)
{
    CHECK(metrics_in_top(F(1, 3, 2), 3, 1, 1));
    CHECK(!metrics_in_top(F(1, 3, 2), 3, 2, 1));
    CHECK(metrics_in_top(F(1, 3, 2), 3, 2, 2));
    CHECK(!metrics_in_top(F(1, 3, 2), 3, 0, 2));
    CHECK(!metrics_in_top(F(1, 3, 2), 3, 3, 3));
    CHECK(!metrics_in_top(F(1, 3, 2), 3, -1, 3));
}

TEST(metrics_top_takes_the_first_of_equals)
{
    CHECK(metrics_in_top(F(2, 2), 2, 0, 1));
    CHECK(!metrics_in_top(F(2, 2), 2, 1, 1));
    CHECK(!metrics_in_top(F(NAN, 2), 2, 0, 2));
}

TEST(metrics_tell_logits_from_probabilities)
{
    CHECK_EQ(metrics_scale_of(F(0.25f, 0.75f, 1, 0), 2, 2), METRICS_PROBABILITIES);
    CHECK_EQ(metrics_scale_of(F(0.25f, 0.75f, 1, 1), 2, 2), METRICS_LOGITS);
    CHECK_EQ(metrics_scale_of(F(-0.25f, 1.25f), 1, 2), METRICS_LOGITS);
    CHECK_EQ(metrics_scale_of(F(NAN, 1), 1, 2), METRICS_LOGITS);
}

/* p = (1/2, 1/2), q = (1/4, 3/4): 1/2 log 2 + 1/2 log 2/3 = 0.143841.  The logits
 * (0, 0) and (0, log 3) are the same distributions. */
TEST(metrics_kl_is_the_same_from_logits_and_probabilities)
{
    near(metrics_kl(F(0.5f, 0.5f), F(0.25f, 0.75f), 2, METRICS_PROBABILITIES),
         0.1438410);
    near(metrics_kl(F(1, 1), F(0.5f, 1.5f), 2, METRICS_PROBABILITIES), 0.1438410);
    near(metrics_kl(F(0, 0), F(0, 1.0986123f), 2, METRICS_LOGITS), 0.1438410);
}

/* q = (1, e) / (1 + e): log (1 + e) - 1/2 - log 2 = 0.1201145. */
TEST(metrics_kl_of_logits_does_not_change_when_a_number_is_added)
{
    near(metrics_kl(F(0, 0), F(0, 1), 2, METRICS_LOGITS), 0.1201145);
    near(metrics_kl(F(9, 9), F(1000, 1001), 2, METRICS_LOGITS), 0.1201145);
}

/* T = 1 of a distillation example: z_t = (2, -1, .5), z_s = (1, 0, -.5). */
TEST(metrics_kl_of_three_logits)
{
    near(metrics_kl(F(2, -1, 0.5f), F(1, 0, -0.5f), 3, METRICS_LOGITS), 0.1448323);
}

TEST(metrics_kl_of_equals_is_zero_and_of_a_lost_class_is_finite)
{
    near(metrics_kl(F(1, 0), F(1, 0), 2, METRICS_PROBABILITIES), 0);
    near(metrics_kl(F(1, 0), F(0, 1), 2, METRICS_PROBABILITIES), 16.1180957);
    near(metrics_kl(F(1, 0), F(NAN, NAN), 2, METRICS_LOGITS), 16.1180957 - 0.5822031);
    CHECK(isnan(metrics_kl(F(NAN, 0), F(1, 0), 2, METRICS_LOGITS)));
}

/* -log 1/4; exp of it is a perplexity of 4. */
TEST(metrics_nll_of_a_token)
{
    near(metrics_nll(F(0.25f, 0.75f), 2, 0, METRICS_PROBABILITIES), 1.3862944);
    near(metrics_nll(F(7, 7, 7, 7), 4, 2, METRICS_LOGITS), 1.3862944);
}

TEST(metrics_cosine_ignores_length)
{
    near(metrics_cosine(F(1, 2), F(2, 4), 2), 1);
    near(metrics_cosine(F(1, 0), F(0, 3), 2), 0);
    near(metrics_cosine(F(3, 4), F(4, 3), 2), 0.96);
    near(metrics_cosine(F(0, 0), F(0, 0), 2), 1);
    near(metrics_cosine(F(0, 0), F(0, 1), 2), 0);
}

/* (1 + 9) / 2 and 10 / (9 + 16). */
TEST(metrics_squares)
{
    near(metrics_mse(F(3, 4), F(2, 7), 2), 5);
    near(metrics_relative_mse(F(3, 4), F(2, 7), 2), 0.4);
    near(metrics_relative_mse(F(0), F(0), 1), 0);
    CHECK(isinf(metrics_relative_mse(F(0), F(1), 1)));
}

/* Positives 3 and 1, negatives 2 and 1: of four pairs 2 are won and 1 is a draw. */
TEST(metrics_auc_counts_pairs_and_halves_ties)
{
    near(metrics_auc(F(3, 2, 1, 1), B(1, 0, 1, 0), 4), 2.5 / 4);
    near(metrics_auc(F(1, 2, 3), B(0, 0, 1), 3), 1);
    near(metrics_auc(F(1, 2, 3), B(1, 0, 0), 3), 0);
    near(metrics_auc(F(5, 5, 5), B(1, 0, 0), 3), 0.5);
    CHECK(isnan(metrics_auc(F(1), B(1), 1)));
}

/* 0 of 4 with z = 2: (0 + 1/2 + 1/2) / 2 = 0.5 above; 2 of 4: 1/2 -+ sqrt(1/8) / ... */
TEST(metrics_wilson_interval)
{
    const struct metrics_interval none = metrics_wilson(0, 4, 2);
    const struct metrics_interval half = metrics_wilson(2, 4, 2);
    const struct metrics_interval all = metrics_wilson(4, 4, 2);

    near(none.low, 0);
    near(none.high, 0.5);
    near(all.low, 0.5);
    near(all.high, 1);
    near(half.low, 0.5 - 0.3535534);
    near(half.high, 0.5 + 0.3535534);
}

/* 100 samples, 6 lost, 2 gained: net 4 %, error sqrt(8 - 0.16) / 100 = 2.8 %.
 * P(at most 2 of 8) = (1 + 8 + 28) / 256, twice that is 0.2890625. */
TEST(metrics_paired_counts)
{
    struct metrics_paired p = {0};

    for (int i = 0; i < 100; i++)
        metrics_paired_add(&p, i < 90, i < 84 || (i >= 90 && i < 92));
    CHECK_EQ(p.both, 84);
    CHECK_EQ(p.lost, 6);
    CHECK_EQ(p.gained, 2);
    CHECK_EQ(p.neither, 8);
    near(metrics_net_loss(&p), 0.04);
    near(metrics_net_loss_interval(&p, 1).high, 0.04 + 0.028);
    near(metrics_net_loss_interval(&p, 1).low, 0.04 - 0.028);
    near(metrics_mcnemar(&p), 0.2890625);
    near(metrics_mcnemar(&(struct metrics_paired){.both = 3}), 1);
    near(metrics_mcnemar(&(struct metrics_paired){.lost = 1, .gained = 1}), 1);
}
