/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Operators that do nothing, and fewer spellings. */
#include "tests/pass_test.h"

TEST(simplify_drops_operators_that_change_nothing)
{
    CHECK_PASS(
        "simplify",
        "graph g(%x: f32[2,3]) {\n"
        "  %a = Reshape(%x) {shape=[2,3]} : f32[2,3]\n"
        "  %b = Transpose(%a) {perm=[0,1]} : f32[2,3]\n"
        "  %c = Cast(%b) {to=1} : f32[2,3]\n"
        "  %d = Slice(%c) {starts=[0,0], steps=[1,1], sizes=[2,3]} : f32[2,3]\n"
        "  %e = Pad(%d) {pads=[0,0,0,0]} : f32[2,3]\n"
        "  %f = Expand(%e) {shape=[2,3]} : f32[2,3]\n"
        "  %g = Concat(%f) {axis=1} : f32[2,3]\n"
        "  %y = Relu(%g) : f32[2,3]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[2,3]) {\n"
        "  %y = Relu(%x) : f32[2,3]\n"
        "  return %y\n"
        "}\n");
}

TEST(simplify_drops_exact_neutral_elements)
{
    CHECK_PASS("simplify",
               "graph g(%x: f32[2,3]) {\n"
               "  %one = const f32[3] {1,1,1}\n"
               "  %zero = const f32[] {0}\n"
               "  %a = Mul(%one, %x) : f32[2,3]\n"
               "  %b = Div(%a, %one) : f32[2,3]\n"
               "  %c = Sub(%b, %zero) : f32[2,3]\n"
               "  %y = Relu(%c) : f32[2,3]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2,3]) {\n"
               "  %y = Relu(%x) : f32[2,3]\n"
               "  return %y\n"
               "}\n");
}

/* -0 + 0 is 0, and 1 / x is not x. */
TEST(simplify_keeps_what_is_neutral_for_most_inputs_only)
{
    CHECK_PASS_DOES_NOTHING("simplify",
                            "graph g(%x: f32[2,3]) {\n"
                            "  %one = const f32[] {1}\n"
                            "  %zero = const f32[] {0}\n"
                            "  %a = Add(%x, %zero) : f32[2,3]\n"
                            "  %y = Div(%one, %a) : f32[2,3]\n"
                            "  return %y\n"
                            "}\n");
}

TEST(simplify_keeps_neutral_elements_that_broaden)
{
    CHECK_PASS_DOES_NOTHING("simplify",
                            "graph g(%x: f32[1,3]) {\n"
                            "  %one = const f32[2,1] {1,1}\n"
                            "  %y = Mul(%x, %one) : f32[2,3]\n"
                            "  return %y\n"
                            "}\n");
}

TEST(simplify_multiplies_instead_of_dividing_by_powers_of_two)
{
    CHECK_PASS("simplify",
               "graph g(%x: f32[2]) {\n"
               "  %k = const f32[2] {4,-0.5}\n"
               "  %three = const f32[] {3}\n"
               "  %a = Div(%x, %k) : f32[2]\n"
               "  %y = Div(%a, %three) : f32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2]) {\n"
               "  %k = const f32[2] {0.25,-2}\n"
               "  %three = const f32[] {3}\n"
               "  %a = Mul(%x, %k) : f32[2]\n"
               "  %y = Div(%a, %three) : f32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(simplify_skips_an_expand_that_broadcasting_does_anyway)
{
    CHECK_PASS("simplify",
               "graph g(%x: f32[2,1], %z: f32[2,3]) {\n"
               "  %a = Expand(%x) {shape=[2,3]} : f32[2,3]\n"
               "  %y = Mul(%z, %a) : f32[2,3]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2,1], %z: f32[2,3]) {\n"
               "  %y = Mul(%z, %x) : f32[2,3]\n"
               "  return %y\n"
               "}\n");
}

TEST(simplify_keeps_an_expand_that_makes_the_shape)
{
    CHECK_PASS_DOES_NOTHING("simplify",
                            "graph g(%x: f32[2,1], %z: f32[2,1]) {\n"
                            "  %a = Expand(%x) {shape=[2,3]} : f32[2,3]\n"
                            "  %y = Mul(%z, %a) : f32[2,3]\n"
                            "  return %y\n"
                            "}\n");
}

TEST(simplify_reshapes_after_a_reduction_that_loses_dims)
{
    CHECK_PASS("simplify",
               "graph g(%x: f32[2,3]) {\n"
               "  %y = ReduceSum(%x) {axes=[1], keepdims=0} : f32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2,3]) {\n"
               "  %a = ReduceSum(%x) {axes=[1], keepdims=1} : f32[2,1]\n"
               "  %y = Reshape(%a) {shape=[2]} : f32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(simplify_undoes_a_cast_there_and_back)
{
    CHECK_PASS("simplify",
               "graph g(%x: i32[2]) {\n"
               "  %a = Cast(%x) {to=7} : i64[2]\n"
               "  %b = Cast(%a) {to=6} : i32[2]\n"
               "  %y = Neg(%b) : i32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: i32[2]) {\n"
               "  %y = Neg(%x) : i32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(simplify_keeps_a_cast_that_loses_digits)
{
    CHECK_PASS_DOES_NOTHING("simplify",
                            "graph g(%x: i32[2]) {\n"
                            "  %a = Cast(%x) {to=1} : f32[2]\n"
                            "  %b = Cast(%a) {to=6} : i32[2]\n"
                            "  %y = Neg(%b) : i32[2]\n"
                            "  return %y\n"
                            "}\n");
}

TEST(common_subexpressions_computes_once_what_is_computed_twice)
{
    CHECK_PASS("common-subexpressions",
               "graph g(%x: f32[2]) {\n"
               "  %k = const f32[2] {1,2}\n"
               "  %l = const f32[2] {1,2}\n"
               "  %a = Mul(%x, %k) : f32[2]\n"
               "  %b = Mul(%x, %l) : f32[2]\n"
               "  %y = Add(%a, %b) : f32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2]) {\n"
               "  %k = const f32[2] {1,2}\n"
               "  %a = Mul(%x, %k) : f32[2]\n"
               "  %y = Add(%a, %a) : f32[2]\n"
               "  return %y\n"
               "}\n");
}

TEST(common_subexpressions_tells_nodes_with_other_attributes_apart)
{
    CHECK_PASS_DOES_NOTHING("common-subexpressions",
                            "graph g(%x: f32[2,2]) {\n"
                            "  %a = Softmax(%x) {axis=0} : f32[2,2]\n"
                            "  %b = Softmax(%x) {axis=1} : f32[2,2]\n"
                            "  %y = Add(%a, %b) : f32[2,2]\n"
                            "  return %y\n"
                            "}\n");
}

TEST(fold_constants_computes_what_is_known)
{
    CHECK_PASS("fold-constants",
               "graph g(%x: f32[2]) {\n"
               "  %k = const f32[2] {1,2}\n"
               "  %l = const f32[2] {3,4}\n"
               "  %a = Add(%k, %l) : f32[2]\n"
               "  %y = Mul(%x, %a) : f32[2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[2]) {\n"
               "  %a = const f32[2] {4,6}\n"
               "  %y = Mul(%x, %a) : f32[2]\n"
               "  return %y\n"
               "}\n");
}
