/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Models in 16-bit floats are computed in float32. */
#include "tests/pass_test.h"

/* 0x3c00 is 1, 0x4000 is 2. */
TEST(widen_halves_rounds_no_more_between_two_operators)
{
    CHECK_PASS("widen-halves",
               "graph g(%x: f16[2]) {\n"
               "  %w = const f16[2] {0x3c00,0x4000}\n"
               "  %a = Mul(%x, %w) : f16[2]\n"
               "  %y = Relu(%a) : f16[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f16[2]) {\n"
               "  %w = const f32[2] {1,2}\n"
               "  %c = Cast(%x) {to=1} : f32[2]\n"
               "  %a = Mul(%c, %w) : f32[2]\n"
               "  %b = Relu(%a) : f32[2]\n"
               "  %y = Cast(%b) {to=10} : f16[2]\n"
               "  return %y\n"
               "}\n");
}

/* 0x3f80 is 1 in bfloat16, 0x4049 is 3.140625. */
TEST(widen_halves_reads_bfloat16)
{
    CHECK_PASS("widen-halves",
               "graph g(%x: bf16[2]) {\n"
               "  %w = const bf16[2] {0x3f80,0x4049}\n"
               "  %y = Add(%x, %w) : bf16[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: bf16[2]) {\n"
               "  %w = const f32[2] {1,3.140625}\n"
               "  %c = Cast(%x) {to=1} : f32[2]\n"
               "  %a = Add(%c, %w) : f32[2]\n"
               "  %y = Cast(%a) {to=16} : bf16[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(widen_halves_reads_through_the_models_own_rounding)
{
    CHECK_PASS("widen-halves",
               "graph g(%x: f32[2]) {\n"
               "  %h = Cast(%x) {to=10} : f16[2]\n"
               "  %a = Relu(%h) : f16[2]\n"
               "  %y = Cast(%a) {to=1} : f32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2]) {\n"
               "  %a = Relu(%x) : f32[2]\n"
               "  %y = Cast(%a) {to=1} : f32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(widen_halves_leaves_a_table_that_is_read_by_index)
{
    CHECK_PASS("widen-halves",
               "graph g(%i: i64[1]) {\n"
               "  %t = const f16[2,2] {0x3c00,0x3c00,0x4000,0x4000}\n"
               "  %r = Gather(%t, %i) {axis=0} : f16[1,2]\n"
               "  %y = Relu(%r) : f16[1,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%i: i64[1]) {\n"
               "  %t = const f16[2,2] {0x3c00,0x3c00,0x4000,0x4000}\n"
               "  %r = Gather(%t, %i) {axis=0} : f16[1,2]\n"
               "  %c = Cast(%r) {to=1} : f32[1,2]\n"
               "  %a = Relu(%c) : f32[1,2]\n"
               "  %y = Cast(%a) {to=10} : f16[1,2]\n"
               "  return %y\n"
               "}\n");
}

TEST(widen_halves_keeps_a_type_that_an_attribute_names)
{
    static const char text[] = "graph g(%x: f32[2]) {\n"
                               "  %y = Cast(%x) {to=10} : f16[2]\n"
                               "  return %y\n"
                               "}\n";

    CHECK_PASS_DOES_NOTHING("widen-halves", text);
}

TEST(widen_halves_goes_into_bodies)
{
    CHECK_PASS("widen-halves",
               "graph g(%c: bool[], %x: f16[2]) {\n"
               "  %y = If(%c)\n"
               "  body yes() {\n"
               "    %a = Relu(%x)\n"
               "    return %a\n"
               "  }\n"
               "  body no() {\n"
               "    return %x\n"
               "  }\n"
               "  return %y\n"
               "}\n",
               "graph g(%c: bool[], %x: f16[2]) {\n"
               "  %y = If(%c)\n"
               "  body yes() {\n"
               "    %t.0 = Cast(%x) {to=1}\n"
               "    %a = Relu(%t.0)\n"
               "    %t.1 = Cast(%a) {to=10}\n"
               "    return %t.1\n"
               "  }\n"
               "  body no() {\n"
               "    return %x\n"
               "  }\n"
               "  return %y\n"
               "}\n");
}
