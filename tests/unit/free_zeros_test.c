/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Zero points that are known at run time only leave integer products. */
#include "tests/pass_test.h"

TEST(free_zeros_subtracts_what_the_zero_point_adds_to_each_column)
{
    CHECK_PASS("free-zeros",
               "graph g(%a: u8[3,4], %z: u8[1]) {\n"
               "  %w = const i8[4,2] {*1}\n"
               "  %y = MatMulInteger(%a, %w, %z) : i32[3,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%a: u8[3,4], %z: u8[1]) {\n"
               "  %w = const i8[4,2] {*1}\n"
               "  %i = Cast(%w) {to=6} : i32[4,2]\n"
               "  %t = ReduceSum(%i) {axes=[0]} : i32[1,2]\n"
               "  %z1 = Reshape(%z) {shape=[]} : u8[]\n"
               "  %zi = Cast(%z1) {to=6} : i32[]\n"
               "  %m = Mul(%t, %zi) : i32[1,2]\n"
               "  %s = MatMulInteger(%a, %w, _) : i32[3,2]\n"
               "  %y = Sub(%s, %m) : i32[3,2]\n"
               "  return %y\n"
               "}\n");
}

TEST(free_zeros_leaves_a_zero_point_that_is_known)
{
    static const char known[] = "graph g(%a: u8[3,4]) {\n"
                                "  %w = const i8[4,2] {*1}\n"
                                "  %z = const u8[] {7}\n"
                                "  %y = MatMulInteger(%a, %w, %z) : i32[3,2]\n"
                                "  return %y\n"
                                "}\n";

    CHECK_PASS_DOES_NOTHING("free-zeros", known);
}

TEST(free_zeros_leaves_sums_that_int32_might_not_hold)
{
    static const char large[] = "graph g(%a: u8[1,40000], %z: u8[]) {\n"
                                "  %w = const i8[40000,1] {*1}\n"
                                "  %y = MatMulInteger(%a, %w, %z) : i32[1,1]\n"
                                "  return %y\n"
                                "}\n";

    CHECK_PASS_DOES_NOTHING("free-zeros", large);
}
