/* SPDX-License-Identifier: Apache-2.0 */
/* links: oracle
 *
 * The oracle's element operators, Concat, tables and pools against sums done by hand.
 */
#include "tests/oracle/oracle_check.h"

/* t = 10 * 0.5, u = 3 * 0.25: 5.75 and 4.25 */
TEST(add_and_sub_bring_both_to_the_outputs_scale)
{
    const int32_t a[] = {12}, b[] = {-4};
    const int64_t dim[4] = {1, 1, 1, 1};
    const struct oracle_output y_as = I8(2, -1);
    int32_t y;

    oracle_binary(ORACLE_ADD, a, dim, Q(1, 2), b, dim, Q(0.5f, -7), &y_as, &y);
    CHECK_EQ(y, 5);
    oracle_binary(ORACLE_SUB, a, dim, Q(1, 2), b, dim, Q(0.5f, -7), &y_as, &y);
    CHECK_EQ(y, 3);
}

/* 21 and 74 times 0.3: 6.3000002 and 22.2000008 as floats, whose sum is the float 28.5,
 * a tie that goes to 28.  With either product unrounded, as in a fused multiply-add, it
 * is 28.500002. */
TEST(add_rounds_each_term_and_the_sum)
{
    const int32_t a[] = {21}, b[] = {74};
    const int64_t dim[4] = {1, 1, 1, 1};
    const struct oracle_output y_as = I8(10, 0);
    int32_t y;

    oracle_binary(ORACLE_ADD, a, dim, Q(3, 0), b, dim, Q(3, 0), &y_as, &y);
    CHECK_EQ(y, 28);
}

/* 129 / 2 + 2^-20 is 64.5 as a float. */
TEST(add_rounds_the_sum_to_a_float)
{
    const int32_t a[] = {129}, b[] = {1};
    const int64_t dim[4] = {1, 1, 1, 1};
    const struct oracle_output y_as = I8(1, 0);
    int32_t y;

    oracle_binary(ORACLE_ADD, a, dim, Q(0.5f, 0), b, dim, Q(0x1p-20f, 0), &y_as, &y);
    CHECK_EQ(y, 64);
}

TEST(add_saturates_both_ways_and_clips)
{
    const int32_t a[] = {127, -128}, b[] = {1, -1};
    const int64_t dim[4] = {1, 1, 1, 2};
    const struct oracle_output y_as = I8(1, 0), relu = {1, 0, 0, 127};
    int32_t y[2];

    oracle_binary(ORACLE_ADD, a, dim, Q(1, 0), b, dim, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {127, -128});
    oracle_binary(ORACLE_SUB, a, dim, Q(1, 0), b, dim, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {126, -127});
    oracle_binary(ORACLE_ADD, a, dim, Q(1, 0), b, dim, Q(1, 0), &relu, y);
    CHECK_CODES(y, {127, 0});
}

/* (7 - 2)(-3 - 1) = -20, times 0.5 * 0.25 / 1 = 0.125: -2.5 -> -2 */
TEST(mul_scales_the_product_of_codes)
{
    const int32_t a[] = {7}, b[] = {-3};
    const int64_t dim[4] = {1, 1, 1, 1};
    const struct oracle_output y_as = I8(1, 10);
    int32_t y;

    oracle_binary(ORACLE_MUL, a, dim, Q(0.5f, 2), b, dim, Q(0.25f, 1), &y_as, &y);
    CHECK_EQ(y, 8);
}

TEST(binary_repeats_dimensions_of_one)
{
    const int32_t a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20};
    const int64_t a_dim[4] = {1, 2, 3, 1}, b_dim[4] = {1, 1, 1, 2};
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[12];

    oracle_binary(ORACLE_ADD, a, a_dim, Q(1, 0), b, b_dim, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {11, 21, 12, 22, 13, 23, 14, 24, 15, 25, 16, 26});
    oracle_binary(ORACLE_SUB, b, b_dim, Q(1, 0), a, a_dim, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {9, 19, 8, 18, 7, 17, 6, 16, 5, 15, 4, 14});
}

TEST(requantize_with_equal_scales_copies)
{
    int32_t x[256], y[256];
    const struct oracle_output y_as = I8(0x1.99999ap-4f, -5);

    for (int32_t i = 0; i < 256; i++)
        x[i] = i - 128;
    oracle_requantize(x, 256, Q(0x1.99999ap-4f, -5), &y_as, y);
    check_codes(y, x, 256);
}

/* uint8 of scale 1, zero 128 into int8 of scale 2, zero -1, from -3 on: 127.. */
TEST(requantize_changes_type_scale_and_limits)
{
    const int32_t x[] = {128, 129, 131, 255, 0, 126};
    const struct oracle_output y_as = {2, -1, -3, 127};
    int32_t y[6];

    /* 0, 0.5 -> 0, 1.5 -> 2, 63.5 -> 64, -64, -1 */
    oracle_requantize(x, 6, Q(1, 128), &y_as, y);
    CHECK_CODES(y, {-1, -1, 1, 63, -3, -2});
}

TEST(concat_requantizes_each_input)
{
    const int32_t a[] = {1, 2, 3, 4}, b[] = {10, 20}; /* [2, 2, 1] and [2, 1, 1] */
    const int32_t *const x[] = {a, b};
    const int64_t len[] = {2, 1};
    const struct oracle_quant x_as[] = {Q(1, 0), Q(0.5f, 4)};
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[6];

    oracle_concat(2, x, len, x_as, 2, 1, &y_as, y);
    CHECK_CODES(y, {1, 2, 3, 3, 4, 8}); /* (10 - 4) / 2, (20 - 4) / 2 */
}

static double square(double x, const void *arg)
{
    return x * x * *(const double *)arg;
}

static double root(double x, const void *arg)
{
    (void)arg;
    return sqrt(x);
}

TEST(table_quantizes_the_function_of_every_code)
{
    const double half = 0.5;
    const struct oracle_output y_as = U8(0.25f, 1);
    const int32_t x[] = {-128, -1, 0, 1, 2, 127};
    int32_t table[256], y[6];

    oracle_table(square, &half, -128, Q(0.5f, 1), &y_as, table);
    oracle_lookup(x, 6, -128, table, y);
    /* x = -1, -0.5, 0, 0.5: half the square over 0.25 is 2, 0.5, 0, 0.5 */
    CHECK_CODES(y, {255, 3, 1, 1, 1, 255});
}

TEST(table_gives_the_zero_point_for_nan)
{
    const struct oracle_output y_as = I8(1, -7);
    int32_t table[256];

    oracle_table(root, NULL, 0, Q(1, 4), &y_as, table);
    CHECK_EQ(table[0], -7); /* the root of -4 */
    CHECK_EQ(table[4], -7);
    CHECK_EQ(table[13], -4);

    const int32_t x[] = {13, 255};
    int32_t y[2];

    oracle_lookup(x, 2, 0, table, y);
    CHECK_CODES(y, {-4, 9}); /* root 251 is 15.8 */
}

/* ---- pools ---- */

/* All codes are below the zero point 0, which padding would win with. */
TEST(max_pool_never_selects_padding)
{
    const int32_t x[] = {-5, -3, -9, -7};
    struct oracle_window at = window(1, 2, 2, 2, 2, 3, 3);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[9];

    at.pad_top = at.pad_left = at.pad_bottom = at.pad_right = 1;
    oracle_max_pool(x, &at, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {-5, -3, -3, -5, -3, -3, -9, -7, -7});
}

TEST(max_pool_requantizes_and_has_a_value_for_no_element)
{
    const int32_t x[] = {5, 9, 200};
    struct oracle_window at = window(1, 1, 3, 1, 2, 1, 2);
    const struct oracle_output y_as = I8(2, -1);
    int32_t y[2];

    oracle_max_pool(x, &at, Q(1, 5), &y_as, y);
    CHECK_CODES(y, {1, 97}); /* 4 / 2, 97.5 -> 98 */

    at.ow = 1;
    at.pad_left = 5; /* taps at columns -5 and 5 of 3 */
    at.dilation_x = 10;
    oracle_max_pool(x, &at, Q(1, 5), &y_as, y);
    CHECK_EQ(y[0], -128);
}

/* Less the zero point 10: 1 2 3 6.  Windows of 2 with one column of padding before:
 * (0 1), (2 3), with the padding counted 0.5 -> 0 and 2.5 -> 2, without 1 and 2. */
TEST(average_pool_counts_padding_only_when_told)
{
    const int32_t x[] = {11, 12, 13, 16};
    struct oracle_window at = window(1, 1, 4, 1, 2, 1, 2);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[2];

    at.pad_left = 1;
    at.stride_x = 2;
    oracle_average_pool(x, &at, true, Q(1, 10), &y_as, y);
    CHECK_CODES(y, {0, 2});
    oracle_average_pool(x, &at, false, Q(1, 10), &y_as, y);
    CHECK_CODES(y, {1, 2});
}

/* Window 3, stride 2 over 4 columns and one of padding; the output is rounded up to 3
 * columns, and the last window, columns 4 to 6, has the padding of column 4 alone. */
TEST(average_pool_does_not_count_beyond_the_padding)
{
    const int32_t x[] = {3, 3, 3, 9};
    struct oracle_window at = window(1, 1, 4, 1, 3, 1, 3);
    const struct oracle_output y_as = I8(1, -2);
    int32_t y[3];

    at.stride_x = 2;
    at.pad_right = 1;
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {1, 2, -2}); /* 9 / 3, (3 + 9) / 3, nothing */
    at.pad_right = 0;
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {1, 4, -2}); /* 12 / 2; a window that counts nothing */
}

/* Windows of rows 0 and 2, then 3 and 5, below the last; of columns -1 and 2, then 1
 * and 4. */
TEST(pools_stride_dilate_and_pad_each_way_by_itself)
{
    const int32_t x[] = {1, 2, 3, 40, 4, 5, 6, 70, 8, 9, 10, 100}; /* [3, 4] */
    struct oracle_window at = window(1, 3, 4, 2, 2, 2, 2);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[4];

    at.stride_y = 3;
    at.stride_x = 2;
    at.dilation_y = 2;
    at.dilation_x = 3;
    at.pad_left = 1;
    at.pad_bottom = 1;
    oracle_max_pool(x, &at, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {10, 9, -128, -128});
    /* 3 + 10 of four taps, 2 + 9 of two: column 4 is beyond; nothing */
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {3, 6, 0, 0});
    at.pad_right = 2; /* now column 4 is padding: 11 / 4 */
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {3, 3, 0, 0});
}

/* Rows -1 and 1 of two and a row of padding below: 4, then with stride 2 rows 1 and 3,
 * of which 3 is beyond; two rows of padding below make it count. */
TEST(average_pool_counts_rows_of_padding)
{
    const int32_t x[] = {100, 8};
    struct oracle_window at = window(1, 2, 1, 2, 1, 2, 1);
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[2];

    at.pad_top = at.pad_bottom = 1;
    at.stride_y = at.dilation_y = 2;
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {4, 8});
    at.pad_bottom = 2;
    oracle_average_pool(x, &at, true, Q(1, 0), &y_as, y);
    CHECK_CODES(y, {4, 4});
}

/* Two channels: (1 + 2 + 3 + 4) / 4 = 2.5 -> 2, (-1 - 2 - 3 - 8) / 4 = -3.5 -> -4 */
TEST(global_average_pool_is_one_window)
{
    const int32_t x[] = {6, 7, 8, 9, 4, 3, 2, -3};
    const struct oracle_output y_as = I8(1, 0);
    int32_t y[2];

    oracle_global_average_pool(x, 1, 2, 2, 2, Q(1, 5), &y_as, y);
    CHECK_CODES(y, {2, -4});
}
