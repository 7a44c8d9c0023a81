/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Ranges, histograms and the scales that come of them. */
#include "tests/test.h"

#include <math.h>

#include "compress/observe.h"

static struct observer observed(const float *x, int64_t n)
{
    struct observer o = {0};

    observe_range(&o, x, n);
    observe_values(&o, x, n);
    return o;
}

TEST(a_range_holds_zero_and_what_is_finite)
{
    static const float x[] = {3, 5, INFINITY, NAN};
    const struct observer o = observed(x, 4);
    int64_t n = 0;

    for (int i = 0; i < OBSERVE_BINS; i++)
        n += o.bin[i];
    CHECK(o.least == 0.0f && o.most == 5.0f);
    CHECK_EQ(n, 2);
}

/* 0 ... 255 in even steps: nothing is gained by cutting, a step is 1. */
TEST(even_values_keep_their_range)
{
    float x[256];

    for (int i = 0; i < 256; i++)
        x[i] = (float)i;
    const struct observer o = observed(x, 256);
    const struct activation_grid g = observe_choose(&o, CALIBRATOR_mse);

    CHECK(g.scale == 1.0f);
    CHECK_EQ(g.zero, -128);
}

/* -51 ... 204: a step of 1 again, and 0 is code -128 + 51. */
TEST(zero_has_a_code_of_its_own)
{
    float x[256];

    for (int i = 0; i < 256; i++)
        x[i] = (float)(i - 51);
    const struct observer o = observed(x, 256);
    const struct activation_grid g = observe_choose(&o, CALIBRATOR_mse);

    CHECK(g.scale == 1.0f);
    CHECK_EQ(g.zero, -77);
}

/* Ten thousand values below 1 and a single 2: cutting it costs less than coarse steps
 * for all others. */
TEST(a_lonely_value_is_cut_off)
{
    static float x[10001];

    for (int i = 0; i < 10000; i++)
        x[i] = (float)i / 10000.0f;
    x[10000] = 2.0f;
    const struct observer o = observed(x, 10001);
    const struct activation_grid g = observe_choose(&o, CALIBRATOR_mse);

    CHECK(g.scale < 2.0f / 255.0f);
    CHECK(g.scale >= 1.0f / 255.0f);
}

TEST(joining_adds_ranges_and_counts)
{
    static const float x[] = {1, 2}, y[] = {-4, 3};
    struct observer a = observed(x, 2);
    const struct observer b = observed(y, 2);
    int64_t n = 0;

    observe_join(&a, &b);
    for (int i = 0; i < OBSERVE_BINS; i++)
        n += a.bin[i];
    CHECK(a.least == -4.0f && a.most == 3.0f);
    CHECK_EQ(n, 4);
}

TEST(a_tensor_of_zeros_has_some_scale)
{
    static const float x[] = {0, 0};
    const struct observer o = observed(x, 2);
    const struct activation_grid g = observe_choose(&o, CALIBRATOR_mse);

    CHECK(g.scale == 1.0f);
}

/* Ten thousand values below 1, two of 8: only those are outside of 99.99 %. */
TEST(calibrators_cut_as_their_names_say)
{
    float x[10002];

    for (int i = 0; i < 10000; i++)
        x[i] = (float)i / 10000.0f;
    x[10000] = x[10001] = 8.0f;
    const struct observer o = observed(x, 10002);
    const struct activation_grid all = observe_choose(&o, CALIBRATOR_minmax);
    const struct activation_grid most = observe_choose(&o, CALIBRATOR_percentile);
    const struct activation_grid least = observe_choose(&o, CALIBRATOR_mse);
    const struct activation_grid shape = observe_choose(&o, CALIBRATOR_entropy);

    CHECK(fabsf(all.scale - 8.0f / 255.0f) < 1e-6f);
    CHECK(fabsf(most.scale - 8.0f / 255.0f) < 1e-6f); /* two of 10 002 are more */
    CHECK(least.error <= all.error && least.error <= shape.error);
    CHECK(shape.scale <= all.scale);
}

TEST(a_single_outlier_among_many_is_outside_of_the_percentile)
{
    float x[40001];

    for (int i = 0; i < 40000; i++)
        x[i] = (float)i / 40000.0f;
    x[40000] = 8.0f;
    const struct observer o = observed(x, 40001);

    CHECK(observe_choose(&o, CALIBRATOR_percentile).scale < 1.01f / 255.0f);
    CHECK(observe_choose(&o, CALIBRATOR_minmax).scale > 7.9f / 255.0f);
}

/* 16 times the range in 256 codes, and the rest of each in 254. */
TEST(pairs_round_finely_what_was_seen_and_reach_far_beyond)
{
    static const float seen[] = {-1.0f, 3.0f};
    const struct observer o = observed(seen, 2);
    const struct activation_grid g = observe_choose(&o, CALIBRATOR_pair);
    float x[] = {0.0f, 0.12345f, -0.98765f, 2.99999f, 40.0f, -15.0f, 1000.0f};
    const float exact[] = {0.0f, 0.12345f, -0.98765f, 2.99999f, 40.0f, -15.0f};

    CHECK(fabsf(g.scale - 64.0f / 255.0f) < 1e-6f);
    CHECK(activation_step(&g) == g.second && g.second < 0.001f);
    activation_round(&g, x, 7);
    CHECK(x[0] == 0.0f);
    for (int i = 0; i < 6; i++)
        CHECK(fabsf(x[i] - exact[i]) <= 0.51f * g.second);
    CHECK(x[6] < 49.0f);
}
