/* SPDX-License-Identifier: Apache-2.0 */
// links: search
/* Statistics against values from textbooks and from counting. */
#include "tests/test.h"

#include <math.h>

#include "search/comparison.h"
#include "support/random.h"

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

/* Of 8 values the middle four; of 5, a quarter is 1.25 values: 3/4 of the second and
 * fourth, all of the third, over 2.5. */
TEST(interquartile_mean_leaves_out_a_quarter_at_each_end)
{
    const double eight[8] = {100, 1, 2, 3, 4, 5, 6, -100}, five[5] = {1, 2, 3, 5, 900};

    CHECK(near(comparison_iqm(eight, 8), (2 + 3 + 4 + 5) / 4., 1e-12));
    CHECK(near(comparison_iqm(five, 5), (.75 * 2 + 3 + .75 * 5) / 2.5, 1e-12));
}

TEST(bootstrap_interval_holds_the_mean_and_shrinks_with_more_values)
{
    double values[200];
    int strata[200];
    struct random r = random_seeded(1);

    for (int i = 0; i < 200; i++) {
        values[i] = random_unit(&r);
        strata[i] = i % 4;
    }

    const struct comparison_interval few =
                                         comparison_bootstrap(values, strata, 20, 4, 1),
                                     many = comparison_bootstrap(values, strata, 200, 4,
                                                                 1);

    CHECK(many.low < .5 && many.high > .5);
    CHECK(many.high - many.low < few.high - few.low);
}

/* Each stratum keeps its values: two strata of constants leave nothing to chance. */
TEST(bootstrap_draws_within_strata)
{
    const double values[6] = {1, 1, 1, 5, 5, 5};
    const int strata[6] = {0, 0, 0, 1, 1, 1};
    const struct comparison_interval i = comparison_bootstrap(values, strata, 6, 2, 1);

    CHECK(i.low == 3 && i.high == 3);
}

/* Five wins in a row: one of 32 sign patterns is as good. */
TEST(paired_test_counts_sign_patterns)
{
    const double ours[5] = {2, 3, 4, 5, 6}, theirs[5] = {1, 1, 1, 1, 1};
    const int strata[5] = {0};
    const struct comparison_test better = comparison_paired(ours, theirs, strata, 5, 1,
                                                            0, 1),
                                 worse = comparison_paired(theirs, ours, strata, 5, 1,
                                                           0, 1);

    CHECK(near(better.p, 1 / 32., 1e-12));
    CHECK(near(better.mean, 3, 1e-12));
    CHECK(better.effect == 1);
    CHECK(worse.p == 1 && worse.effect == 0);
}

/* A little worse everywhere: not better, but not inferior by more than the margin. */
TEST(a_margin_asks_for_non_inferiority)
{
    const double ours[6] = {.99, 1.99, 2.99, 3.99, 4.99, 5.99},
                 theirs[6] = {1, 2, 3, 4, 5, 6};
    const int strata[6] = {0, 0, 0, 1, 1, 1};

    CHECK(comparison_paired(ours, theirs, strata, 6, 2, 0, 1).p > .9);
    CHECK(
        near(comparison_paired(ours, theirs, strata, 6, 2, .02, 1).p, 1 / 64., 1e-12));
}

TEST(strata_count_alike_whatever_their_size)
{
    const double ours[5] = {1, 1, 1, 1, 3}, theirs[5] = {0, 0, 0, 0, 0};
    const int strata[5] = {0, 0, 0, 0, 1};

    CHECK(near(comparison_paired(ours, theirs, strata, 5, 2, 0, 1).mean, 2, 1e-12));
}

/* Without a difference p is spread evenly: about one in twenty below .05. */
TEST(random_sign_patterns_keep_the_level)
{
    struct random r = random_seeded(3);
    int below = 0;

    for (int round = 0; round < 100; round++) {
        double a[24], b[24];
        int strata[24];

        for (int i = 0; i < 24; i++) {
            a[i] = random_unit(&r);
            b[i] = random_unit(&r);
            strata[i] = i % 3;
        }
        below += comparison_paired(a, b, strata, 24, 3, 0, (uint64_t)round).p < .05;
    }
    CHECK(below >= 1 && below <= 12);
}

/* t = 4.0621 with 9 degrees of freedom. */
TEST(t_test_of_students_sleep_data)
{
    const double first[10] = {.7, -1.6, -.2, -1.2, -.1, 3.4, 3.7, .8, 0, 2},
                 second[10] = {1.9, .8, 1.1, .1, -.1, 4.4, 5.5, 1.6, 4.6, 3.4};

    CHECK(near(comparison_t_test(first, second, 10), .002833, 1e-6));
    CHECK(comparison_t_test(first, first, 10) == 1);
}

/* .01 * 4, .02 * 3, .03 * 2, then not below the one before. */
TEST(holm_multiplies_by_what_is_left_and_never_falls)
{
    double p[4] = {.03, .01, .9, .02};

    comparison_holm(p, 4);
    CHECK(near(p[1], .04, 1e-12));
    CHECK(near(p[3], .06, 1e-12));
    CHECK(near(p[0], .06, 1e-12));
    CHECK(near(p[2], .9, 1e-12));
}
