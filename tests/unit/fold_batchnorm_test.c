/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Folding of batch normalizations and of constants per channel. */
#include "tests/pass_test.h"

#define BN_CONSTS                                                                      \
    "  %g = const f32[1] {6}\n"                                                        \
    "  %beta = const f32[1] {5}\n"                                                     \
    "  %mean = const f32[1] {1}\n"                                                     \
    "  %var = const f32[1] {4}\n"

/* One channel, eps = 0: s = 6 / sqrt(4) = 3, so W = 2 * 3 and b = (1 - 1) * 3 + 5. */
TEST(fold_batchnorm_rewrites_weight_and_bias)
{
    CHECK_PASS("fold-batchnorm",
               "graph g(%x: f32[1,1,8,8]) {\n"
               "  %w = const f32[1,1,1,1] {2}\n"
               "  %b = const f32[1] {1}\n" BN_CONSTS
               "  %y = Conv(%x, %w, %b) : f32[1,1,8,8]\n"
               "  %z = BatchNormalization(%y, %g, %beta, %mean, %var) {epsilon=0.0} : "
               "f32[1,1,8,8]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[1,1,8,8]) {\n"
               "  %w = const f32[1,1,1,1] {6}\n"
               "  %b = const f32[1] {5}\n"
               "  %z = Conv(%x, %w, %b) : f32[1,1,8,8]\n"
               "  return %z\n"
               "}\n");
}

/* Somebody else reads the raw result: y * 3 + (5 - 1 * 3). */
TEST(fold_batchnorm_leaves_a_shared_convolution_alone)
{
    CHECK_PASS("fold-batchnorm",
               "graph g(%x: f32[1,1,8,8]) {\n"
               "  %w = const f32[1,1,1,1] {2}\n" BN_CONSTS
               "  %y = Conv(%x, %w) : f32[1,1,8,8]\n"
               "  %z = BatchNormalization(%y, %g, %beta, %mean, %var) {epsilon=0.0} : "
               "f32[1,1,8,8]\n"
               "  return %y, %z\n"
               "}\n",
               "graph g(%x: f32[1,1,8,8]) {\n"
               "  %w = const f32[1,1,1,1] {2}\n"
               "  %y = Conv(%x, %w) : f32[1,1,8,8]\n"
               "  %s = const f32[1,1,1] {3}\n"
               "  %m = Mul(%y, %s) : f32[1,1,8,8]\n"
               "  %t = const f32[1,1,1] {2}\n"
               "  %z = Add(%m, %t) : f32[1,1,8,8]\n"
               "  return %y, %z\n"
               "}\n");
}

/* Output channel c of group g is weight [:, c] of that group's input channels. */
TEST(fold_batchnorm_finds_the_channels_of_a_grouped_transposed_convolution)
{
    CHECK_PASS("fold-batchnorm",
               "graph g(%x: f32[1,2,1,1]) {\n"
               "  %w = const f32[2,2,1,1] {1,1,1,1}\n"
               "  %g = const f32[4] {1,2,3,4}\n"
               "  %o = const f32[4] {0,0,0,0}\n"
               "  %v = const f32[4] {1,1,1,1}\n"
               "  %y = ConvTranspose(%x, %w) {group=2} : f32[1,4,1,1]\n"
               "  %z = BatchNormalization(%y, %g, %o, %o, %v) {epsilon=0.0} : "
               "f32[1,4,1,1]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[1,2,1,1]) {\n"
               "  %w = const f32[2,2,1,1] {1,2,3,4}\n"
               "  %b = const f32[4] {0,0,0,0}\n"
               "  %z = ConvTranspose(%x, %w, %b) {group=2} : f32[1,4,1,1]\n"
               "  return %z\n"
               "}\n");
}

TEST(fold_batchnorm_leaves_computed_statistics_alone)
{
    CHECK_PASS_DOES_NOTHING(
        "fold-batchnorm",
        "graph g(%x: f32[1,1,2,2], %g: f32[1]) {\n"
        "  %o = const f32[1] {1}\n"
        "  %z = BatchNormalization(%x, %g, %o, %o, %o) {epsilon=0.0} : f32[1,1,2,2]\n"
        "  return %z\n"
        "}\n");
}

/* (2 x + 1) * [3, 5] and then + 1. */
TEST(fold_scale_moves_products_and_sums_into_the_weights)
{
    CHECK_PASS("fold-scale",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[2,1,1,1] {2,2}\n"
               "  %b = const f32[2] {1,1}\n"
               "  %k = const f32[1,2,1,1] {3,5}\n"
               "  %one = const f32[] {1}\n"
               "  %y = Conv(%x, %w, %b) : f32[1,2,2,2]\n"
               "  %m = Mul(%y, %k) : f32[1,2,2,2]\n"
               "  %z = Add(%one, %m) : f32[1,2,2,2]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[2,1,1,1] {6,10}\n"
               "  %b = const f32[2] {4,6}\n"
               "  %z = Conv(%x, %w, %b) : f32[1,2,2,2]\n"
               "  return %z\n"
               "}\n");
}

/* 1 - (2 x + 3) = -2 x - 2. */
TEST(fold_scale_negates_what_is_subtracted)
{
    CHECK_PASS("fold-scale",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[1,1,1,1] {2}\n"
               "  %b = const f32[1] {3}\n"
               "  %one = const f32[] {1}\n"
               "  %y = Conv(%x, %w, %b) : f32[1,1,2,2]\n"
               "  %z = Sub(%one, %y) : f32[1,1,2,2]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[1,1,1,1] {-2}\n"
               "  %b = const f32[1] {-2}\n"
               "  %z = Conv(%x, %w, %b) : f32[1,1,2,2]\n"
               "  return %z\n"
               "}\n");
}

TEST(fold_scale_leaves_constants_that_vary_along_the_image)
{
    CHECK_PASS_DOES_NOTHING("fold-scale",
                            "graph g(%x: f32[1,1,2,2]) {\n"
                            "  %w = const f32[1,1,1,1] {2}\n"
                            "  %k = const f32[2] {1,2}\n"
                            "  %y = Conv(%x, %w) : f32[1,1,2,2]\n"
                            "  %z = Add(%y, %k) : f32[1,1,2,2]\n"
                            "  return %z\n"
                            "}\n");
}

TEST(fold_scale_leaves_constants_that_broaden_the_result)
{
    CHECK_PASS_DOES_NOTHING("fold-scale",
                            "graph g(%x: f32[1,1,1,1]) {\n"
                            "  %w = const f32[1,1,1,1] {2}\n"
                            "  %k = const f32[2,1,1,1] {1,2}\n"
                            "  %y = Conv(%x, %w) : f32[1,1,1,1]\n"
                            "  %z = Add(%y, %k) : f32[2,1,1,1]\n"
                            "  return %z\n"
                            "}\n");
}
