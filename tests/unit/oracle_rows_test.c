/* SPDX-License-Identifier: Apache-2.0 */
/* links: oracle
 *
 * The oracle's Softmax, LayerNorm and RMSNorm: rows done by hand, and random ones
 * against the real values. */
#include "tests/oracle/oracle_check.h"

/* With the scale log 2 a step down halves: 2^24, 2^23, 2^22 ... */
TEST(softmax_table_is_the_exponential)
{
    uint32_t table[256];

    oracle_softmax_table(0.6931472f, table); /* log 2, within 2^-26 */
    CHECK_EQ(table[0], 1 << 24);
    CHECK_EQ(table[1], 1 << 23);
    CHECK_EQ(table[2], 1 << 22);
    CHECK_EQ(table[20], 16);
    CHECK_EQ(table[255], 0);
}

/* Weights 4, 2, 1, 1 of 8: 1 / 2, 1 / 4, 1 / 8, 1 / 8, in units of 1 / 256. */
TEST(softmax_shares_a_row)
{
    const int32_t x[] = {7, 6, 5, 5, -128, -128, -128, -128};
    const struct oracle_output y_as = I8(0x1p-8f, -128);
    uint32_t table[256];
    int32_t y[8];

    oracle_softmax_table(0.6931472f, table);
    oracle_softmax(x, 2, 4, table, &y_as, y);
    CHECK_CODES(y, {0, -64, -96, -96, -64, -64, -64, -64});
}

TEST(softmax_of_one_saturates)
{
    const int32_t x[] = {-7};
    const struct oracle_output y_as = I8(0x1p-8f, -128);
    uint32_t table[256];
    int32_t y;

    oracle_softmax_table(1, table);
    oracle_softmax(x, 1, 1, table, &y_as, &y);
    CHECK_EQ(y, 127); /* 256 - 128 */
}

/* At most `slack` beside half a code from the real value, when it is within limits. */
static void check_near(const int32_t *y, const double *real, int64_t n,
                       const struct oracle_output *y_as, double slack)
{
    for (int64_t i = 0; i < n; i++) {
        const double t = oracle_clamp(real[i] / (double)y_as->scale,
                                      y_as->lo - y_as->zero, y_as->hi - y_as->zero);

        CHECK(fabs(y[i] - y_as->zero - t) <= 0.5 + slack);
    }
}

TEST(softmax_is_half_a_code_from_the_real_one)
{
    enum { N = 300 };
    int32_t x[N], y[N];
    uint32_t table[256];
    double real[N];
    const struct oracle_output y_as = U8(0x1p-10f, 0);

    for (int round = 0; round < 100; round++) {
        const float s_x = (float)random_in(1, 1000) / 1000;

        for (int i = 0; i < N; i++)
            x[i] = (int32_t)random_in(-128, 127);
        oracle_softmax_table(s_x, table);
        oracle_softmax(x, 1, N, table, &y_as, y);
        oracle_softmax_real(x, 1, N, s_x, real);
        check_near(y, real, N, &y_as, 1e-3);
    }
}

/* 1 and 7 less their mean are -3 and 3, less and over the deviation -1 and 1; times the
 * gammas 2 and 8, plus 1: -1 and 9, over the scale 0.5. */
TEST(layer_norm_centres_and_scales_a_row)
{
    const int32_t x[] = {1, 7, 100, 40};
    const float gamma[] = {2, 8}, beta[] = {1, 1};
    const struct oracle_norm norm = {2, 2, gamma, beta, 0};
    const struct oracle_output y_as = I8(0.5f, 1);
    int32_t y[4];
    double real[4];

    oracle_layer_norm(x, &norm, Q(0.25f, 9), &y_as, y);
    CHECK_CODES(y, {-1, 19, 7, -13}); /* 1, -1: 3 and -7 */
    oracle_layer_norm_real(x, &norm, Q(0.25f, 9), real);
    CHECK(fabs(real[0] + 1) < 1e-12 && fabs(real[1] - 9) < 1e-12);
    CHECK(fabs(real[2] - 3) < 1e-12 && fabs(real[3] + 7) < 1e-12);
}

/* A constant row is 0 / 0 without epsilon, and beta with it. */
TEST(layer_norm_of_a_constant_row_is_beta)
{
    const int32_t x[] = {5, 5, 5};
    const float gamma[] = {1, 1, 1}, beta[] = {0, 3, -200};
    struct oracle_norm norm = {1, 3, gamma, beta, 1e-5f};
    const struct oracle_output y_as = I8(1, 2);
    int32_t y[3];

    oracle_layer_norm(x, &norm, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {2, 5, -128});
    norm.epsilon = 0;
    oracle_layer_norm(x, &norm, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {2, 2, 2});
}

/* 3 and 4 over the root of 12.5: epsilon 12.5 makes it 5, so 0.6 and 0.8, in 0.1. */
TEST(rms_norm_divides_by_the_root_of_the_mean_square)
{
    const int32_t x[] = {13, 14, 6, 7};
    const float gamma[] = {1, 2};
    const struct oracle_norm norm = {2, 2, gamma, NULL, 12.5f};
    const struct oracle_output y_as = I8(0.1f, -1);
    int32_t y[4];
    double real[4];

    oracle_rms_norm(x, &norm, Q(1, 10), &y_as, y);
    CHECK_CODES(y, {5, 15, -9, -13});
    oracle_rms_norm_real(x, &norm, Q(1, 10), real);
    CHECK(fabs(real[0] - 0.6) < 1e-12 && fabs(real[1] - 1.6) < 1e-12);
    CHECK(fabs(real[2] + 0.8) < 1e-12 && fabs(real[3] + 1.2) < 1e-12);
}

TEST(norms_are_half_a_code_from_the_real_ones)
{
    enum { N = 64 };
    int32_t x[N], y[N];
    float gamma[N], beta[N];
    double real[N];
    const struct oracle_norm norm = {1, N, gamma, beta, 1e-5f};
    const struct oracle_output y_as = I8(0.02f, 3);

    for (int round = 0; round < 100; round++) {
        const struct oracle_quant q =
            Q((float)random_in(1, 1000) / 1000, (int32_t)random_in(-128, 127));

        for (int i = 0; i < N; i++) {
            x[i] = (int32_t)random_in(-128, 127);
            gamma[i] = (float)random_in(-100, 100) / 100;
            beta[i] = (float)random_in(-100, 100) / 100;
        }
        oracle_layer_norm(x, &norm, q, &y_as, y);
        oracle_layer_norm_real(x, &norm, q, real);
        check_near(y, real, N, &y_as, 1e-3);
        oracle_rms_norm(x, &norm, q, &y_as, y);
        oracle_rms_norm_real(x, &norm, q, real);
        check_near(y, real, N, &y_as, 1e-3);
    }
}
