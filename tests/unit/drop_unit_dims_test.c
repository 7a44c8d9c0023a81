/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Thin images as signals, one-hot products as tables. */
#include "tests/pass_test.h"

TEST(drop_unit_dims_makes_a_signal_of_a_column)
{
    CHECK_PASS("drop-unit-dims",
               "graph g(%x: f32[1,1,5,1]) {\n"
               "  %w = const f32[1,1,2,1] {1,2}\n"
               "  %y = Conv(%x, %w) {kernel_shape=[2,1], strides=[1,1], dilations=[1,1], "
               "pads=[1,0,0,0]} : f32[1,1,5,1]\n"
               "  return %y\n}\n",
               "graph g(%x: f32[1,1,5,1]) {\n"
               "  %w = const f32[1,1,2] {1,2}\n"
               "  %a = Reshape(%x) {shape=[1,1,5]} : f32[1,1,5]\n"
               "  %b = Conv(%a, %w) {kernel_shape=[2], strides=[1], dilations=[1], "
               "pads=[1,0]} : f32[1,1,5]\n"
               "  %y = Reshape(%b) {shape=[1,1,5,1]} : f32[1,1,5,1]\n"
               "  return %y\n}\n");
}

/* Of a kernel [2, 3] only the column that meets the one column of the image counts. */
TEST(drop_unit_dims_keeps_the_tap_that_meets_the_input)
{
    CHECK_PASS("drop-unit-dims",
               "graph g(%x: f32[1,1,5,1]) {\n"
               "  %w = const f32[1,1,2,3] {1,2,3,4,5,6}\n"
               "  %y = Conv(%x, %w) {kernel_shape=[2,3], strides=[1,1], dilations=[1,1], "
               "pads=[1,1,0,1]} : f32[1,1,5,1]\n"
               "  return %y\n}\n",
               "graph g(%x: f32[1,1,5,1]) {\n"
               "  %w = const f32[1,1,2] {2,5}\n"
               "  %a = Reshape(%x) {shape=[1,1,5]} : f32[1,1,5]\n"
               "  %b = Conv(%a, %w) {kernel_shape=[2], strides=[1], dilations=[1], "
               "pads=[1,0]} : f32[1,1,5]\n"
               "  %y = Reshape(%b) {shape=[1,1,5,1]} : f32[1,1,5,1]\n"
               "  return %y\n}\n");
}

TEST(drop_unit_dims_leaves_images_alone)
{
    CHECK_PASS_DOES_NOTHING(
        "drop-unit-dims",
        "graph g(%x: f32[1,1,5,2]) {\n"
        "  %w = const f32[1,1,2,2] {1,2,3,4}\n"
        "  %y = Conv(%x, %w) {kernel_shape=[2,2], strides=[1,1], dilations=[1,1], "
        "pads=[0,0,0,0]} : f32[1,1,4,1]\n"
        "  return %y\n}\n");
}

/* Bytes outside of [0, 3) have no one in their vectors: they name the row of zeros. */
TEST(hoist_over_gather_reads_a_table_instead_of_multiplying_one_hot_vectors)
{
    CHECK_PASS("hoist-over-gather",
               "graph g(%x: i32[4,1]) {\n"
               "  %k = const i32[3] {0,1,2}\n"
               "  %w = const f32[3,2] {1,2,3,4,5,6}\n"
               "  %a = Equal(%x, %k) : bool[4,3]\n"
               "  %b = Cast(%a) {to=1} : f32[4,3]\n"
               "  %y = MatMul(%b, %w) : f32[4,2]\n"
               "  return %y\n}\n",
               "graph g(%x: i32[4,1]) {\n"
               "  %lo = const i32[] {-1}\n"
               "  %hi = const i32[] {3}\n"
               "  %w = const f32[4,2] {1,2,3,4,5,6,0,0}\n"
               "  %a = Clip(%x, %lo, %hi) : i32[4,1]\n"
               "  %b = Cast(%a) {to=7} : i64[4,1]\n"
               "  %c = Reshape(%b) {shape=[4]} : i64[4]\n"
               "  %y = Gather(%w, %c) {axis=0} : f32[4,2]\n"
               "  return %y\n}\n");
}

TEST(hoist_over_gather_computes_rows_of_a_small_table_once)
{
    CHECK_PASS("hoist-over-gather",
               "graph g(%i: i64[5]) {\n"
               "  %w = const f32[2,2] {1,-2,3,-4}\n"
               "  %k = const f32[2] {1,1}\n"
               "  %a = Gather(%w, %i) {axis=0} : f32[5,2]\n"
               "  %b = Add(%a, %k) : f32[5,2]\n"
               "  %y = Relu(%b) : f32[5,2]\n"
               "  return %y\n}\n",
               "graph g(%i: i64[5]) {\n"
               "  %w = const f32[2,2] {2,0,4,0}\n"
               "  %y = Gather(%w, %i) {axis=0} : f32[5,2]\n"
               "  return %y\n}\n");
}

TEST(hoist_over_gather_leaves_large_tables_alone)
{
    CHECK_PASS_DOES_NOTHING("hoist-over-gather",
                            "graph g(%i: i64[1]) {\n"
                            "  %w = const f32[2,2] {1,-2,3,-4}\n"
                            "  %a = Gather(%w, %i) {axis=0} : f32[1,2]\n"
                            "  %y = Relu(%a) : f32[1,2]\n"
                            "  return %y\n}\n");
}

/* A constant that differs from row to row belongs to the place, not to the table. */
TEST(hoist_over_gather_leaves_constants_that_tell_rows_apart)
{
    CHECK_PASS_DOES_NOTHING("hoist-over-gather",
                            "graph g(%i: i64[3]) {\n"
                            "  %w = const f32[2,2] {1,-2,3,-4}\n"
                            "  %k = const f32[3,1] {1,2,3}\n"
                            "  %a = Gather(%w, %i) {axis=0} : f32[3,2]\n"
                            "  %y = Add(%a, %k) : f32[3,2]\n"
                            "  return %y\n}\n");
}
