/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Padding moved into windows; products with constant weights in one form. */
#include "tests/pass_test.h"

TEST(fold_pad_lets_a_convolution_pad)
{
    CHECK_PASS(
        "fold-pad",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %w = const f32[1,1,3,3] {*1}\n"
        "  %p = Pad(%x) {pads=[0,0,1,0,0,0,1,2]} : f32[1,1,6,6]\n"
        "  %y = Conv(%p, %w) {kernel_shape=[3,3], pads=[0,1,0,0]} : f32[1,1,4,5]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %w = const f32[1,1,3,3] {*1}\n"
        "  %y = Conv(%x, %w) {kernel_shape=[3,3], pads=[1,1,1,2]} : f32[1,1,4,5]\n"
        "  return %y\n"
        "}\n");
}

TEST(fold_pad_counts_the_padding_of_an_average)
{
    CHECK_PASS(
        "fold-pad",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %p = Pad(%x) {pads=[0,0,1,1,0,0,1,1]} : f32[1,1,6,6]\n"
        "  %y = AveragePool(%p) {kernel_shape=[3,3], strides=[2,2], pads=[0,0,0,0], "
        "dilations=[1,1]} : f32[1,1,2,2]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %y = AveragePool(%x) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], "
        "dilations=[1,1], count_include_pad=1} : f32[1,1,2,2]\n"
        "  return %y\n"
        "}\n");
}

TEST(fold_pad_takes_zeros_into_a_maximum_of_what_is_never_negative)
{
    CHECK_PASS(
        "fold-pad",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %r = Relu(%x) : f32[1,1,4,4]\n"
        "  %p = Pad(%r) {pads=[0,0,1,1,0,0,1,1]} : f32[1,1,6,6]\n"
        "  %y = MaxPool(%p) {kernel_shape=[3,3], strides=[2,2], pads=[0,0,0,0], "
        "dilations=[1,1]} : f32[1,1,2,2]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %r = Relu(%x) : f32[1,1,4,4]\n"
        "  %y = MaxPool(%r) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1], "
        "dilations=[1,1]} : f32[1,1,2,2]\n"
        "  return %y\n"
        "}\n");
}

TEST(fold_pad_leaves_zeros_that_may_be_a_maximum)
{
    CHECK_PASS_DOES_NOTHING(
        "fold-pad",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %p = Pad(%x) {pads=[0,0,1,1,0,0,1,1]} : f32[1,1,6,6]\n"
        "  %y = MaxPool(%p) {kernel_shape=[3,3], strides=[2,2], pads=[0,0,0,0], "
        "dilations=[1,1]} : f32[1,1,2,2]\n"
        "  return %y\n"
        "}\n");
}

/* The shortcut of CIFAR ResNets pads channels. */
TEST(fold_pad_leaves_padded_channels_and_other_values_alone)
{
    CHECK_PASS_DOES_NOTHING(
        "fold-pad",
        "graph g(%x: f32[1,1,4,4]) {\n"
        "  %w = const f32[1,3,1,1] {1,2,3}\n"
        "  %v = const f32[1,3,3,3] {*1}\n"
        "  %k = const f32[] {1}\n"
        "  %p = Pad(%x) {pads=[0,1,0,0,0,1,0,0]} : f32[1,3,4,4]\n"
        "  %y = Conv(%p, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
        "  %q = Pad(%x, %k) {pads=[0,1,1,1,0,1,1,1]} : f32[1,3,6,6]\n"
        "  %z = Conv(%q, %v) {kernel_shape=[3,3]} : f32[1,1,4,4]\n"
        "  return %y, %z\n"
        "}\n");
}

/* 2 * x [[1, 2], [3, 4]] + 3 * [1]: weights transposed and doubled, bias 3. */
TEST(fold_gemm_brings_a_product_into_one_form)
{
    CHECK_PASS("fold-gemm",
               "graph g(%x: f32[1,2]) {\n"
               "  %w = const f32[2,2] {1,2,3,4}\n"
               "  %b = const f32[1,1] {1}\n"
               "  %y = Gemm(%x, %w, %b) {alpha=2.0, beta=3.0} : f32[1,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,2]) {\n"
               "  %w = const f32[2,2] {2,6,4,8}\n"
               "  %b = const f32[2] {3,3}\n"
               "  %y = Gemm(%x, %w, %b) {transB=1} : f32[1,2]\n"
               "  return %y\n"
               "}\n");
}

TEST(fold_gemm_adds_afterwards_what_varies_along_the_rows)
{
    CHECK_PASS("fold-gemm",
               "graph g(%x: f32[2,1]) {\n"
               "  %w = const f32[1,1] {2}\n"
               "  %b = const f32[2,1] {1,2}\n"
               "  %y = Gemm(%x, %w, %b) : f32[2,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2,1]) {\n"
               "  %w = const f32[1,1] {2}\n"
               "  %b = const f32[2,1] {1,2}\n"
               "  %p = Gemm(%x, %w) {transB=1} : f32[2,1]\n"
               "  %y = Add(%p, %b) : f32[2,1]\n"
               "  return %y\n"
               "}\n");
}

TEST(fold_gemm_leaves_computed_operands_alone)
{
    CHECK_PASS_DOES_NOTHING("fold-gemm",
                            "graph g(%x: f32[2,3], %w: f32[3,4]) {\n"
                            "  %y = MatMul(%x, %w) : f32[2,4]\n"
                            "  return %y\n"
                            "}\n");
}

/* Image [2 channels, 1 x 2] is stored pixel by pixel: columns 0 1 2 3 of the model's
 * order c0x0 c0x1 c1x0 c1x1 lie at 0 2 1 3. */
TEST(fold_gemm_columns_permutes_weights_instead_of_rows)
{
    CHECK_PASS("fold-gemm-columns",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[1,4] {1,2,3,4}\n"
               "  %t = Transpose(%x) {perm=[0,3,1,2]} : f32[1,2,1,2]\n"
               "  %r = Reshape(%t) {shape=[1,4]} : f32[1,4]\n"
               "  %y = Gemm(%r, %w) {transB=1} : f32[1,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,1,2,2]) {\n"
               "  %w = const f32[1,4] {1,3,2,4}\n"
               "  %r = Reshape(%x) {shape=[1,4]} : f32[1,4]\n"
               "  %y = Gemm(%r, %w) {transB=1} : f32[1,1]\n"
               "  return %y\n"
               "}\n");
}

TEST(fold_gemm_columns_leaves_rows_that_mix_images_alone)
{
    CHECK_PASS_DOES_NOTHING("fold-gemm-columns",
                            "graph g(%x: f32[2,2]) {\n"
                            "  %w = const f32[1,2] {1,2}\n"
                            "  %t = Transpose(%x) {perm=[1,0]} : f32[2,2]\n"
                            "  %r = Reshape(%t) {shape=[2,2]} : f32[2,2]\n"
                            "  %y = Gemm(%r, %w) {transB=1} : f32[2,1]\n"
                            "  return %y\n"
                            "}\n");
}
