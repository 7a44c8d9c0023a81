/* SPDX-License-Identifier: Apache-2.0 */
/* links: oracle
 *
 * The oracle's Conv, MatMul and Gemm against sums done by hand. */
#include "tests/oracle/oracle_check.h"

static const float one = 1;
static const int32_t none = 0;

static struct oracle_weights weights(const int32_t *code, const int32_t *bias)
{
    return (struct oracle_weights){.code = code,
                                   .scale = &one,
                                   .n_scale = 1,
                                   .zero = &none,
                                   .n_zero = 1,
                                   .bias = bias};
}

/* 1 2 3     1 10       1 + 20 + 400 + 5000 = 5421, less a bias of 5400
 * 4 5 6  *  100 1000   2 + 30 + 500 + 6000 = 6532
 * 7 8 9                4 + 50 + 700 + 8000 = 8754, 5 + 60 + 800 + 9000 = 9865 */
TEST(conv_sums_its_window)
{
    const int32_t x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, w[] = {1, 10, 100, 1000};
    const int32_t bias[] = {-5400};
    const struct oracle_window at = window(1, 3, 3, 2, 2, 2, 2);
    const struct oracle_weights all = weights(w, bias);
    const struct oracle_output y_as = {1, 0, -32768, 32767};
    int32_t y[4];

    oracle_conv(x, &at, Q(1, 0), 1, 1, &all, &y_as, y);
    CHECK_CODES(y, {21, 1132, 3354, 4465});
}

/* Padding is the code 5, which is real 0: taps outside add nothing, so a corner that
 * reads it sees (7 - 5) * 1 only. */
TEST(conv_pads_with_the_zero_point)
{
    const int32_t x[] = {7, 8}, w[] = {1, 1, 1};
    struct oracle_window at = window(1, 1, 2, 1, 3, 1, 3);
    const struct oracle_weights all = weights(w, NULL);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[3];

    at.pad_left = 2; /* two on the left, one on the right */
    at.pad_right = 1;
    oracle_conv(x, &at, Q(1, 5), 1, 1, &all, &y_as, y);
    CHECK_CODES(y, {2, 5, 5});
}

/* Rows 0, 2 of 3 by stride 2 with 1 row of padding above: -1 and 1; dilation 3 between
 * the columns' taps: 0 and 3. */
TEST(conv_strides_dilates_and_pads_each_way_by_itself)
{
    const int32_t x[] = {1, 2, 3, 4, 10, 20, 30, 40, 5, 6, 7, 8}; /* [3, 4] */
    const int32_t w[] = {1, 2};
    struct oracle_window at = window(1, 3, 4, 1, 2, 2, 1);
    const struct oracle_weights all = weights(w, NULL);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[2];

    at.stride_y = 2;
    at.pad_top = 1;
    at.dilation_x = 3;
    oracle_conv(x, &at, Q(1, 0), 1, 1, &all, &y_as, y);
    CHECK_CODES(y, {0, 90}); /* 10 + 2 * 40 */
}

/* Rows 0 and 2, then 1 and 3, which is below the last; columns -1 to 1, then 1 to 3:
 *     1*2 + 2*3 + 5*5 + 6*6                  2*1 + 3*2 + 4*3 + 6*4 + 7*5 + 8*6
 *     10*2 + 20*3                            20*1 + 30*2 + 40*3 */
TEST(conv_walks_windows_of_unequal_sides)
{
    const int32_t x[] = {1, 2, 3, 4, 10, 20, 30, 40, 5, 6, 7, 8}; /* [3, 4] */
    const int32_t w[] = {1, 2, 3, 4, 5, 6};                       /* [2, 3] */
    struct oracle_window at = window(1, 3, 4, 2, 3, 2, 2);
    const struct oracle_weights all = weights(w, NULL);
    const struct oracle_output y_as = {1, 0, -32768, 32767};
    int32_t y[4];

    at.stride_x = 2;
    at.dilation_y = 2;
    at.pad_left = at.pad_bottom = 1;
    oracle_conv(x, &at, Q(1, 0), 1, 1, &all, &y_as, y);
    CHECK_CODES(y, {69, 127, 80, 200});
}

/* Two groups of one input and two output channels, two images; scales 1, 2, 3, 4. */
TEST(conv_keeps_groups_channels_and_images_apart)
{
    const int32_t x[] = {1, 2, 3, 4}; /* [2, 2, 1, 1] */
    const int32_t w[] = {1, 1, 1, 10}, bias[] = {0, 1, 0, -2}, zero[] = {0, 0, 2, 0};
    const float scale[] = {1, 2, 3, 4};
    const struct oracle_weights all = {w, scale, 4, zero, 4, bias};
    struct oracle_window at = window(2, 1, 1, 1, 1, 1, 1);
    const struct oracle_output y_as = {1, 0, -32768, 32767};
    int32_t y[8];

    at.n = 2;
    oracle_conv(x, &at, Q(1, 0), 2, 4, &all, &y_as, y);
    /* x0 * 1, (x0 + 1) * 2, -x1 * 3, (10 x1 - 2) * 4 */
    CHECK_CODES(y, {1, 4, -6, 72, 3, 8, -12, 152});
}

/* uint8 codes 0 and 255 around the zero points 128 and 100:
 * (0 - 128)(255 - 100) + (255 - 128)(0 - 100) = -19840 - 12700 = -32540 */
TEST(conv_takes_both_zero_points_off)
{
    const int32_t x[] = {0, 255}, w[] = {255, 0}, zero = 100;
    const struct oracle_weights all = {w, &one, 1, &zero, 1, NULL};
    const struct oracle_window at = window(2, 1, 1, 1, 1, 1, 1);
    const struct oracle_output y_as = {1, 0, -32768, 32767};
    int32_t y;

    oracle_conv(x, &at, Q(1, 128), 1, 1, &all, &y_as, &y);
    CHECK_EQ(y, -32540);
}

/* -128 * -128 = 16384; over 1 / 128 it is 128, which saturates; -128 * 127 is -127. */
TEST(conv_takes_weights_of_minus_128)
{
    const int32_t x[] = {-128, 127}, w[] = {-128};
    const struct oracle_window at = window(1, 1, 2, 1, 1, 1, 2);
    const struct oracle_weights all = weights(w, NULL);
    const struct oracle_output y_as = I8(128, 0);
    int32_t y[2];

    oracle_conv(x, &at, Q(1, 0), 1, 1, &all, &y_as, y);
    CHECK_CODES(y, {127, -127});
}

/* 2^24 + 1 becomes 2^24, so the tie 2.5, which goes to 2; 2^24 - 1 stays below 3.5. */
TEST(conv_rounds_an_accumulator_around_2_to_the_24)
{
    const int32_t x[] = {1}, w[] = {1, -1, -1}, big = 1 << 24;
    const int32_t bias[] = {big, -big, big};
    const float scale[] = {2.5f, 2.5f, 3.5f};
    const struct oracle_window at = window(1, 1, 1, 1, 1, 1, 1);
    const struct oracle_weights all = {w, scale, 3, &none, 1, bias};
    const struct oracle_output y_as = I8((float)big, 0);
    int32_t y[3];

    oracle_conv(x, &at, Q(1, 0), 1, 3, &all, &y_as, y);
    CHECK_CODES(y, {2, -2, 3});
}

/* All weights 0, scale 1: what comes out is the bias, 7 * 0.5 * 1 / 1 = 3.5 -> 4. */
TEST(conv_gives_a_dead_channel_its_bias)
{
    const int32_t x[] = {-128, 127}, w[] = {0, 0}, bias[] = {7};
    const struct oracle_window at = window(2, 1, 1, 1, 1, 1, 1);
    const struct oracle_weights all = weights(w, bias);
    const struct oracle_output y_as = I8(1, -1);
    int32_t y;

    oracle_conv(x, &at, Q(0.5f, 0), 1, 1, &all, &y_as, &y);
    CHECK_EQ(y, 3);
}

/* Sum (q_x - z_x)(q_w - z_w) = sum q_x q_w' - z_w' sum q_x - z_x sum q_w' + K z_x z_w',
 * w' = w - 128: what a kernel on signed weights computes. */
TEST(conv_equals_its_expansion_by_zero_points)
{
    enum { K = 9 * 3 };
    const struct oracle_window at = window(3, 3, 3, 3, 3, 1, 1);
    const struct oracle_output y_as = {1, 0, -8000000, 8000000}; /* below 2^24 */

    for (int round = 0; round < 200; round++) {
        int32_t x[K], w[K], y;
        int32_t z_x = (int32_t)random_in(-128, 127), z_w = (int32_t)random_in(0, 255);
        int32_t sum_xw = 0, sum_x = 0, sum_w = 0;
        const struct oracle_weights all = {w, &one, 1, &z_w, 1, NULL};

        for (int i = 0; i < K; i++) {
            x[i] = (int32_t)random_in(-128, 127);
            w[i] = (int32_t)random_in(0, 255);
            sum_xw += x[i] * (w[i] - 128);
            sum_x += x[i];
            sum_w += w[i] - 128;
        }
        oracle_conv(x, &at, Q(1, z_x), 1, 1, &all, &y_as, &y);
        CHECK_EQ(y, sum_xw - (z_w - 128) * sum_x - z_x * sum_w + K * z_x * (z_w - 128));
    }
}

/* |-128 - 3| + |7 - 3| = 135, times 255, plus |-9|; the second column with stride 2. */
TEST(accumulator_bound_counts_distances_from_the_zero_point)
{
    const int32_t w[] = {-128, 1, 7, 2};

    CHECK_EQ(oracle_accumulator_bound(w, 2, 2, 3, 255, -9), 34434);
    CHECK_EQ(oracle_accumulator_bound(w, 1, 1, 0, 1 << 24, INT32_MIN),
             ((int64_t)1 << 32)); /* 2^31 + 2^31 */
}

/* ---- MatMul, Gemm ---- */

/* [1 2; 3 4] [5 6; 7 8] = [19 22; 43 50], plus [1, -1], times [1, 0.5]. */
TEST(matmul_takes_scales_and_bias_by_column)
{
    const int32_t a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8}, bias[] = {1, -1};
    const float scale[] = {1, 0.5f};
    const struct oracle_matmul shape = {.batch = 1, .rows = 2, .depth = 2, .cols = 2};
    const struct oracle_weights all = {b, scale, 2, &none, 1, bias};
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[4];

    oracle_matmul(a, &shape, Q(1, 0), &all, &y_as, y);
    CHECK_CODES(y, {20, 10, 44, 24}); /* 10.5 -> 10, 24.5 -> 24 */
}

/* The same operands stored the other way round. */
TEST(matmul_transposes_either_operand)
{
    const int32_t a[] = {1, 3, 2, 4, 5, 6}, b[] = {5, 7, 9, 6, 8, 10};
    const struct oracle_matmul shape = {.batch = 1,
                                        .rows = 2,
                                        .depth = 3,
                                        .cols = 2,
                                        .a_transposed = true,
                                        .b_transposed = true};
    const struct oracle_weights all = weights(b, NULL);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[4];

    /* [1 2 5; 3 4 6] [5 6; 7 8; 9 10] */
    oracle_matmul(a, &shape, Q(1, 0), &all, &y_as, y);
    CHECK_CODES(y, {64, 72, 97, 110});
}

TEST(matmul_steps_through_a_batch)
{
    const int32_t a[] = {1, 2, 3, 4}, b[] = {1, 10, 100, 1000}, zero[] = {1};
    struct oracle_matmul shape = {.batch = 2, .rows = 1, .depth = 2, .cols = 1};
    const struct oracle_weights all = {b, &one, 1, zero, 1, NULL};
    const struct oracle_output y_as = {1, 0, -32768, 32767};
    int32_t y[2];

    oracle_matmul(a, &shape, Q(1, 1), &all, &y_as, y);
    CHECK_CODES(y, {9, 2 * 99 + 3 * 999}); /* 0 * 0 + 1 * 9 */
    shape.b_is_shared = true;
    oracle_matmul(a, &shape, Q(1, 1), &all, &y_as, y);
    CHECK_CODES(y, {9, 27});
}
