/* SPDX-License-Identifier: Apache-2.0 */
/* links: oracle
 *
 * The oracle's rounding, Quantize and Dequantize against sums done by hand. */
#include "tests/oracle/oracle_check.h"

TEST(rne_takes_ties_to_the_even_neighbour)
{
    CHECK_EQ(oracle_rne(0.5), 0);
    CHECK_EQ(oracle_rne(1.5), 2);
    CHECK_EQ(oracle_rne(2.5), 2);
    CHECK_EQ(oracle_rne(-0.5), 0);
    CHECK_EQ(oracle_rne(-1.5), -2);
    CHECK_EQ(oracle_rne(-2.5), -2);
}

TEST(rne_takes_what_is_no_tie_to_the_nearest)
{
    CHECK_EQ(oracle_rne(0x1.fffffep-2), 0); /* the float below 0.5 */
    CHECK_EQ(oracle_rne(0x1.000002p-1), 1); /* and above */
    CHECK_EQ(oracle_rne(-0x1.000002p-1), -1);
    CHECK_EQ(oracle_rne(-2.75), -3);
    CHECK_EQ(oracle_rne(-2.25), -2);
    CHECK_EQ(oracle_rne(7), 7);
}

/* The portable spelling of the definition: bits(t + 12582912) - 0x4B400000. */
TEST(rne_is_the_portable_spelling_of_it)
{
    for (int i = 0; i < 1000000; i++) {
        const float t = (float)random_in(-70000 * 64, 70000 * 64) / 64;
        const float shifted = t + 12582912.0f;
        int32_t bits;

        memcpy(&bits, &shifted, sizeof bits);
        CHECK_EQ(oracle_rne((double)t), bits - 0x4B400000);
    }
}

TEST(accumulators_around_2_to_the_24_become_the_nearest_even_float)
{
    const int64_t big = 1 << 24;

    CHECK(oracle_float(big - 1) == 16777215.0f);
    CHECK(oracle_float(big) == 16777216.0f);
    CHECK(oracle_float(big + 1) == 16777216.0f); /* a tie, down to the even */
    CHECK(oracle_float(big + 2) == 16777218.0f);
    CHECK(oracle_float(big + 3) == 16777220.0f); /* a tie, up to the even */
    CHECK(oracle_float(-big + 1) == -16777215.0f);
    CHECK(oracle_float(-big - 1) == -16777216.0f);
    CHECK(oracle_float(-big - 3) == -16777220.0f);
    CHECK(oracle_float(0) == 0.0f);
    CHECK(oracle_float(INT32_MAX) == 2147483648.0f); /* carries into the next power */
    CHECK(oracle_float(INT32_MIN) == -2147483648.0f);
}

TEST(conversion_to_float_is_that_of_the_machine)
{
    for (int i = 0; i < 1000000; i++) {
        const int64_t v = random_in(-((int64_t)1 << 40), (int64_t)1 << 40) >> (i % 40);

        CHECK(oracle_float(v) == (float)v);
    }
}

/* 0.3 * 0.3 / 1.5 in floats is one place below. */
TEST(multiplier_is_formed_in_double)
{
    CHECK(oracle_multiplier(3, 5, 15) == 1.0f);
    CHECK(oracle_multiplier(1, 1, 3) == 0x1.555556p-2f);
    CHECK(oracle_multiplier(0.3f, 0.3f, 1.5f) == 0x1.eb8522p-5f);
}

/* (2^24 + 1) 2.5 / 2^24 lies above 2.5, but 2^24 + 1 is no float: the tie 2.5, then 2.
 */
TEST(accumulator_is_rounded_before_the_product)
{
    const struct oracle_output y = I8(1, 0);
    const int32_t big = 1 << 24;

    CHECK_EQ(oracle_scale_down(big + 1, 2.5f / (float)big, &y), 2);
    CHECK_EQ(oracle_scale_down(-big - 1, 2.5f / (float)big, &y), -2);
    /* 2^24 - 1 is one: less than 3.5, so 3, where the tie would go to 4 */
    CHECK_EQ(oracle_scale_down(big - 1, 3.5f / (float)big, &y), 3);
    CHECK_EQ(oracle_scale_down(-big + 1, 3.5f / (float)big, &y), -3);
}

/* 0x1.aaaaac / 2 is 5 / 6 + 2^-24.6: three times it is 2.5 + 2^-23, halfway to the next
 * float; so 2.5, the tie, and 2, where the exact product gives 3. */
TEST(product_is_rounded_before_it_becomes_an_integer)
{
    const struct oracle_output y = I8(1, 0);

    CHECK_EQ(oracle_scale_down(3, 0x1.aaaaacp-1f, &y), 2);
    CHECK_EQ(oracle_scale_down(-3, 0x1.aaaaacp-1f, &y), -2);
    /* 5 (0.5 + 2^-24) is a float above 2.5 */
    CHECK_EQ(oracle_scale_down(5, 0x1.000002p-1f, &y), 3);
}

TEST(scale_down_saturates_both_ways)
{
    const struct oracle_output y = I8(1, 0);

    CHECK_EQ(oracle_scale_down(INT32_MAX, 1, &y), 127);
    CHECK_EQ(oracle_scale_down(INT32_MIN, 0x1p24f, &y), -128);
    CHECK_EQ(oracle_scale_down(255, 0.5f, &y), 127); /* 127.5 */
    CHECK_EQ(oracle_scale_down(253, 0.5f, &y), 126); /* 126.5 */
    CHECK_EQ(oracle_scale_down(-257, 0.5f, &y), -128);
}

/* The rounding sees t, not t + z: 0.5 goes to 0 and then 3, where 3.5 would go to 4. */
TEST(zero_point_is_added_after_rounding)
{
    const struct oracle_output y = I8(1, 3);

    CHECK_EQ(oracle_scale_down(1, 0.5f, &y), 3);
    CHECK_EQ(oracle_scale_down(3, 0.5f, &y), 5);
}

TEST(zero_points_at_the_limits_leave_one_side)
{
    const struct oracle_output low = I8(1, -128), high = U8(1, 255);

    CHECK_EQ(oracle_scale_down(-1, 1, &low), -128);
    CHECK_EQ(oracle_scale_down(300, 1, &low), 127);
    CHECK_EQ(oracle_scale_down(1, 1, &high), 255);
    CHECK_EQ(oracle_scale_down(-300, 1, &high), 0);
}

/* Relu6 with scale 0.05, zero -128: 0 is -128, 6 / 0.05 = 120 is -8. */
TEST(limits_of_a_clip_are_codes)
{
    const struct oracle_output y = I8(0.05f, -128);

    CHECK_EQ(oracle_limit(0, &y), -128);
    CHECK_EQ(oracle_limit(6, &y), -8);
    CHECK_EQ(oracle_limit(INFINITY, &y), 127);
    CHECK_EQ(oracle_limit(-INFINITY, &y), -128);

    const struct oracle_output relu6 = {0.05f, -128, -128, -8};

    CHECK_EQ(oracle_scale_down(121, 1, &relu6), -8);
    CHECK_EQ(oracle_scale_down(119, 1, &relu6), -9);
}

TEST(most_wins_where_a_clip_is_inside_out)
{
    const struct oracle_output y = {1, 0, 5, 3};

    CHECK_EQ(oracle_scale_down(0, 1, &y), 3);
    CHECK_EQ(oracle_scale_down(9, 1, &y), 3);
}

/* 1 / (0.5 * 0.25) = 8; 0.0625 / 0.125 = 0.5, a tie. */
TEST(imported_bias_is_rounded_to_the_accumulators_scale)
{
    CHECK_EQ(oracle_bias(1, 0.5f, 0.25f), 8);
    CHECK_EQ(oracle_bias(0.0625, 0.5f, 0.25f), 0);
    CHECK_EQ(oracle_bias(-0.1875, 0.5f, 0.25f), -2);
}

TEST(codes_survive_every_storage)
{
    const int32_t narrow[] = {-128, -1, 0, 127}, wide[] = {0, 1, 32768, 65535};
    unsigned char bytes[8];
    int32_t back[4];

    oracle_to_bytes(ORACLE_INT8, narrow, 4, bytes);
    CHECK_BYTES(bytes, "\x80\xff\x00\x7f", 4);
    oracle_from_bytes(ORACLE_UINT8, bytes, 4, back);
    CHECK_CODES(back, {128, 255, 0, 127});
    oracle_from_bytes(ORACLE_INT8, bytes, 4, back);
    check_codes(back, narrow, 4);
    oracle_to_bytes(ORACLE_UINT16, wide, 4, bytes);
    oracle_from_bytes(ORACLE_INT16, bytes, 4, back);
    CHECK_CODES(back, {0, 1, -32768, -1});
    oracle_from_bytes(ORACLE_UINT16, bytes, 4, back);
    check_codes(back, wide, 4);
}

/* ---- Quantize, Dequantize ---- */

TEST(quantize_rounds_saturates_and_gives_zero_for_nan)
{
    const float x[] = {0.25f,    0.75f,     -0.25f, 100,  -100,
                       INFINITY, -INFINITY, NAN,    -0.0f};
    const struct oracle_output y_as = I8(0.5f, 3);
    int32_t y[9];

    /* 0.5 -> 0, 1.5 -> 2, -0.5 -> 0, 200 and -200 saturate */
    oracle_quantize(x, 1, 1, 9, &y_as, y);
    CHECK_CODES(y, {3, 5, 3, 127, -128, 127, -128, 3, 3});
}

TEST(quantize_of_nan_stays_within_a_clip)
{
    const struct oracle_output y = {1, 0, 2, 9};

    CHECK_EQ(oracle_quantize_one(NAN, &y), 2);
}

/* 37.5 / 15 is the tie 2.5; 1 / 15 as a float is a little too large. */
TEST(quantize_divides_and_its_twin_multiplies)
{
    const struct oracle_output y = I8(15, 0);

    CHECK_EQ(oracle_quantize_one(37.5f, &y), 2);
    CHECK_EQ(oracle_quantize_reciprocal_one(37.5f, &y), 3);
    CHECK_EQ(oracle_quantize_reciprocal_one(NAN, &y), 0);
    CHECK_EQ(oracle_quantize_reciprocal_one(-INFINITY, &y), -128);
}

TEST(quantize_takes_scales_along_an_axis)
{
    const float x[] = {1, 2, 1, 2, 3, 4, 3, 4}; /* [2, 2, 2] */
    const struct oracle_output y_as[] = {I8(1, 0), U8(0.5f, 10)};
    int32_t y[8];

    oracle_quantize(x, 2, 2, 2, y_as, y);
    CHECK_CODES(y, {1, 2, 12, 14, 3, 4, 16, 18});
}

TEST(dequantize_is_the_scale_times_the_distance_from_zero)
{
    const int32_t x[] = {-128, 3, 127, (1 << 24) + 1};
    const struct oracle_quant q[] = {Q(0.5f, 3), Q(2, 0)};
    float y[4];

    oracle_dequantize(x, 1, 2, 2, q, y);
    CHECK(y[0] == -65.5f && y[1] == 0.0f && y[2] == 254.0f);
    CHECK(y[3] == 33554432.0f); /* 2^24 + 1 is no float */
    CHECK(oracle_dequantize_one(7, Q(0x1.99999ap-4f, 0)) == 7 * 0x1.99999ap-4f);
}
