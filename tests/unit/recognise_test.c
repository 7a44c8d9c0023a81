/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Activations and normalizations that exporters spell with several operators. */
#include "tests/pass_test.h"

#define X "graph g(%x: f32[2,4]) {\n"

TEST(recognise_activations_finds_gelu)
{
    CHECK_PASS("recognise-activations",
               X "  %r = const f32[] {1.4142135}\n"
                 "  %one = const f32[] {1}\n"
                 "  %h = const f32[] {0.5}\n"
                 "  %a = Div(%x, %r) : f32[2,4]\n"
                 "  %b = Erf(%a) : f32[2,4]\n"
                 "  %c = Add(%b, %one) : f32[2,4]\n"
                 "  %d = Mul(%x, %c) : f32[2,4]\n"
                 "  %y = Mul(%d, %h) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = Gelu(%x) : f32[2,4]\n"
                 "  return %y\n}\n");
}

/* The order in which a JAX exporter multiplies. */
TEST(recognise_activations_finds_gelu_by_tanh)
{
    CHECK_PASS("recognise-activations",
               X "  %k = const f32[] {0.044715}\n"
                 "  %s = const f32[] {0.7978846}\n"
                 "  %one = const f32[] {1}\n"
                 "  %h = const f32[] {0.5}\n"
                 "  %a = Mul(%k, %x) : f32[2,4]\n"
                 "  %b = Mul(%x, %a) : f32[2,4]\n"
                 "  %c = Mul(%x, %b) : f32[2,4]\n"
                 "  %d = Add(%x, %c) : f32[2,4]\n"
                 "  %e = Mul(%s, %d) : f32[2,4]\n"
                 "  %f = Tanh(%e) : f32[2,4]\n"
                 "  %g = Add(%one, %f) : f32[2,4]\n"
                 "  %i = Mul(%h, %g) : f32[2,4]\n"
                 "  %y = Mul(%x, %i) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = Gelu(%x) {approximate=\"tanh\"} : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(recognise_activations_leaves_other_constants_alone)
{
    CHECK_PASS_DOES_NOTHING("recognise-activations",
                            X "  %r = const f32[] {1.5}\n"
                              "  %one = const f32[] {1}\n"
                              "  %h = const f32[] {0.5}\n"
                              "  %a = Div(%x, %r) : f32[2,4]\n"
                              "  %b = Erf(%a) : f32[2,4]\n"
                              "  %c = Add(%b, %one) : f32[2,4]\n"
                              "  %d = Mul(%x, %c) : f32[2,4]\n"
                              "  %y = Mul(%d, %h) : f32[2,4]\n"
                              "  return %y\n}\n");
}

TEST(recognise_activations_finds_hard_swish)
{
    CHECK_PASS("recognise-activations",
               X "  %three = const f32[] {3}\n"
                 "  %zero = const f32[] {0}\n"
                 "  %six = const f32[] {6}\n"
                 "  %a = Add(%x, %three) : f32[2,4]\n"
                 "  %b = Clip(%a, %zero, %six) : f32[2,4]\n"
                 "  %c = Mul(%x, %b) : f32[2,4]\n"
                 "  %y = Div(%c, %six) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = HardSwish(%x) : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(recognise_activations_finds_leaky_relu)
{
    CHECK_PASS("recognise-activations",
               X "  %k = const f32[] {0.25}\n"
                 "  %a = Mul(%x, %k) : f32[2,4]\n"
                 "  %y = Max(%x, %a) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = LeakyRelu(%x) {alpha=0.25} : f32[2,4]\n"
                 "  return %y\n}\n");
}

/* min(max(x, 0), 6) and then at most 4. */
TEST(recognise_activations_joins_limits)
{
    CHECK_PASS("recognise-activations",
               X "  %zero = const f32[] {0}\n"
                 "  %six = const f32[] {6}\n"
                 "  %four = const f32[] {4}\n"
                 "  %a = Max(%x, %zero) : f32[2,4]\n"
                 "  %b = Min(%a, %six) : f32[2,4]\n"
                 "  %y = Clip(%b, _, %four) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %zero = const f32[] {0}\n"
                 "  %four = const f32[] {4}\n"
                 "  %y = Clip(%x, %zero, %four) : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(recognise_activations_multiplies_instead_of_squaring)
{
    CHECK_PASS("recognise-activations",
               X "  %two = const f32[] {2}\n"
                 "  %y = Pow(%x, %two) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = Mul(%x, %x) : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(recognise_norms_finds_layer_normalization)
{
    CHECK_PASS("recognise-norms",
               X "  %two = const f32[] {2}\n"
                 "  %eps = const f32[] {1}\n"
                 "  %g = const f32[4] {1,2,3,4}\n"
                 "  %b = const f32[1,4] {5,6,7,8}\n"
                 "  %m = ReduceMean(%x) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %d = Sub(%x, %m) : f32[2,4]\n"
                 "  %s = Pow(%d, %two) : f32[2,4]\n"
                 "  %v = ReduceMean(%s) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %e = Add(%v, %eps) : f32[2,1]\n"
                 "  %r = Sqrt(%e) : f32[2,1]\n"
                 "  %q = Div(%d, %r) : f32[2,4]\n"
                 "  %p = Mul(%q, %g) : f32[2,4]\n"
                 "  %y = Add(%p, %b) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %g = const f32[4] {1,2,3,4}\n"
                 "  %b = const f32[4] {5,6,7,8}\n"
                 "  %y = LayerNormalization(%x, %g, %b) {axis=1, epsilon=1.0} : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(recognise_norms_finds_rms_normalization)
{
    CHECK_PASS("recognise-norms",
               X "  %eps = const f32[] {1}\n"
                 "  %g = const f32[4] {1,2,3,4}\n"
                 "  %s = Mul(%x, %x) : f32[2,4]\n"
                 "  %v = ReduceMean(%s) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %e = Add(%v, %eps) : f32[2,1]\n"
                 "  %r = Sqrt(%e) : f32[2,1]\n"
                 "  %q = Div(%x, %r) : f32[2,4]\n"
                 "  %y = Mul(%q, %g) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %g = const f32[4] {1,2,3,4}\n"
                 "  %y = RMSNormalization(%x, %g) {axis=1, epsilon=1.0} : f32[2,4]\n"
                 "  return %y\n}\n");
}

/* A mean over dim 0 is not taken row by row. */
TEST(recognise_norms_leaves_other_dims_alone)
{
    CHECK_PASS_DOES_NOTHING(
        "recognise-norms",
        X "  %eps = const f32[] {1}\n"
          "  %s = Mul(%x, %x) : f32[2,4]\n"
          "  %v = ReduceMean(%s) {axes=[0], keepdims=1} : f32[1,4]\n"
          "  %e = Add(%v, %eps) : f32[1,4]\n"
          "  %r = Sqrt(%e) : f32[1,4]\n"
          "  %y = Div(%x, %r) : f32[2,4]\n"
          "  return %y\n}\n");
}

TEST(recognise_norms_finds_softmax)
{
    CHECK_PASS("recognise-norms",
               X "  %m = ReduceMax(%x) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %d = Sub(%x, %m) : f32[2,4]\n"
                 "  %e = Exp(%d) : f32[2,4]\n"
                 "  %s = ReduceSum(%e) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %y = Div(%e, %s) : f32[2,4]\n"
                 "  return %y\n}\n",
               X "  %y = Softmax(%x) {axis=1} : f32[2,4]\n"
                 "  return %y\n}\n");
}

TEST(sink_transposes_pushes_two_below_a_sum)
{
    CHECK_PASS("sink-transposes",
               "graph g(%x: f32[2,3], %z: f32[2,3]) {\n"
               "  %k = const f32[3,1] {1,2,3}\n"
               "  %a = Transpose(%x) {perm=[1,0]} : f32[3,2]\n"
               "  %b = Transpose(%z) {perm=[1,0]} : f32[3,2]\n"
               "  %c = Add(%a, %b) : f32[3,2]\n"
               "  %d = Mul(%c, %k) : f32[3,2]\n"
               "  %y = Softmax(%d) {axis=1} : f32[3,2]\n"
               "  return %y\n}\n",
               "graph g(%x: f32[2,3], %z: f32[2,3]) {\n"
               "  %k = const f32[1,3] {1,2,3}\n"
               "  %c = Add(%x, %z) : f32[2,3]\n"
               "  %d = Mul(%c, %k) : f32[2,3]\n"
               "  %s = Softmax(%d) {axis=0} : f32[2,3]\n"
               "  %y = Transpose(%s) {perm=[1,0]} : f32[3,2]\n"
               "  return %y\n}\n");
}

TEST(sink_transposes_stops_where_more_would_be_copied)
{
    CHECK_PASS_DOES_NOTHING("sink-transposes",
                            "graph g(%x: f32[2,3]) {\n"
                            "  %a = Transpose(%x) {perm=[1,0]} : f32[3,2]\n"
                            "  %y = Pad(%a) {pads=[1,1,1,1]} : f32[5,4]\n"
                            "  return %y\n}\n");
}

/* The sum over both dims of an image walks rows first, in either layout. */
TEST(sink_transposes_keeps_the_order_of_sums)
{
    CHECK_PASS_DOES_NOTHING(
        "sink-transposes",
        "graph g(%x: f32[2,3,4]) {\n"
        "  %a = Transpose(%x) {perm=[0,2,1]} : f32[2,4,3]\n"
        "  %y = ReduceSum(%a) {axes=[1,2], keepdims=1} : f32[2,1,1]\n"
        "  return %y\n}\n");
}
