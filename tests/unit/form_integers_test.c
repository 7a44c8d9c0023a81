/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Islands between DequantizeLinear and QuantizeLinear, written in integers. */
#include "tests/pass_test.h"

/* Scale 0.5, zero 3; scale 0.25, zero -1; dequantized x and y; how Q is spelled. */
#define GRIDS                                                                          \
    "  %xs = const f32[] {0.5}\n"                                                      \
    "  %xz = const u8[] {3}\n"                                                         \
    "  %ys = const f32[] {0.25}\n"                                                     \
    "  %yz = const i8[] {-1}\n"
#define LINEAR "{axis=0, block_size=0}"

/* A limit of 6 is code 6 / 0.25 - 1 = 23, a limit of 0 is code -1. */
TEST(a_convolution_takes_its_activation_as_limits_of_codes)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[1,1,2,2]) {\n" GRIDS "  %w = const i8[2,1,1,1] {2,-3}\n"
               "  %ws = const f32[2] {0.5,0.25}\n"
               "  %wz = const i8[2] {0,0}\n"
               "  %b = const f32[2] {1,1}\n"
               "  %lo = const f32[] {0}\n"
               "  %hi = const f32[] {6}\n"
               "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,1,2,2]\n"
               "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[2,1,1,1]\n"
               "  %c = Conv(%r, %v, %b) {kernel_shape=[1,1]} : f32[1,2,2,2]\n"
               "  %a = Clip(%c, %lo, %hi) : f32[1,2,2,2]\n"
               "  %y = QuantizeLinear(%a, %ys, %yz) " LINEAR " : i8[1,2,2,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[1,1,2,2]) {\n" GRIDS "  %w = const i8[2,1,1,1] {2,-3}\n"
               "  %ws = const f32[2] {0.5,0.25}\n"
               "  %wz = const i8[2] {0,0}\n"
               "  %b = const i32[2] {4,8}\n" /* 1 / (0.5 * 0.5), 1 / (0.5 * 0.25) */
               "  %l = const i32[2] {-1,23}\n"
               "  %y = QLinearConv(%x, %xs, %xz, %w, %ws, %wz, %ys, %yz, %b, %l) "
               "{kernel_shape=[1,1]} : i8[1,2,2,2]\n"
               "  return %y\n"
               "}\n");
}

TEST(a_gemm_becomes_a_product_with_its_weights_in_rows)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[3,2] {1,2,3,4,5,6}\n"
               "  %ws = const f32[] {0.5}\n"
               "  %wz = const i8[] {0}\n"
               "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,2]\n"
               "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[3,2]\n"
               "  %c = Gemm(%r, %v) {transB=1} : f32[1,3]\n"
               "  %y = QuantizeLinear(%c, %ys, %yz) " LINEAR " : i8[1,3]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[2,3] {1,3,5,2,4,6}\n"
               "  %ws = const f32[1] {0.5}\n"
               "  %wz = const i8[1] {0}\n"
               "  %y = QLinearMatMul(%x, %xs, %xz, %w, %ws, %wz, %ys, %yz) : i8[1,3]\n"
               "  return %y\n"
               "}\n");
}

/* 0.5 * 0.5 a step. */
TEST(a_product_that_is_read_as_floats_is_dequantized)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[2,1] {1,2}\n"
               "  %ws = const f32[] {0.5}\n"
               "  %wz = const i8[] {0}\n"
               "  %b = const f32[1] {2}\n"
               "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,2]\n"
               "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[2,1]\n"
               "  %y = Gemm(%r, %v, %b) : f32[1,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[1,2]) {\n"
               "  %xz = const u8[] {3}\n"
               "  %w = const i8[2,1] {1,2}\n"
               "  %wz = const i8[1] {0}\n"
               "  %b = const i32[1] {8}\n"
               "  %m = const f32[1] {0.25}\n"
               "  %z = const i32[1] {0}\n"
               "  %p = MatMulInteger(%x, %w, %xz, %wz) : i32[1,1]\n"
               "  %s = Add(%p, %b) : i32[1,1]\n"
               "  %y = DequantizeLinear(%s, %m, %z) {axis=1, block_size=0} : f32[1,1]\n"
               "  return %y\n"
               "}\n");
}

/* As a Gemm's own; one that could leave 32 bits stays behind, in floats. */
TEST(a_bias_behind_a_matmul_is_its_bias)
{
#define MATMUL_BIAS(bias)                                                              \
    "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[2,1] {1,2}\n"                    \
    "  %ws = const f32[] {0.5}\n"                                                      \
    "  %wz = const i8[] {0}\n"                                                         \
    "  %b = const f32[1] {" bias "}\n"                                                 \
    "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,2]\n"                    \
    "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[2,1]\n"                    \
    "  %c = MatMul(%r, %v) : f32[1,1]\n"                                               \
    "  %a = Add(%b, %c) : f32[1,1]\n"                                                  \
    "  %y = QuantizeLinear(%a, %ys, %yz) " LINEAR " : i8[1,1]\n"                       \
    "  return %y\n"                                                                    \
    "}\n"
    CHECK_PASS(
        "form-integers", MATMUL_BIAS("2"),
        "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[2,1] {1,2}\n"
        "  %ws = const f32[1] {0.5}\n"
        "  %wz = const i8[1] {0}\n"
        "  %b = const i32[1] {8}\n"
        "  %y = QLinearMatMul(%x, %xs, %xz, %w, %ws, %wz, %ys, %yz, %b) : i8[1,1]\n"
        "  return %y\n"
        "}\n");
    CHECK_PASS("form-integers", MATMUL_BIAS("1e10"),
               "graph g(%x: u8[1,2]) {\n"
               "  %xz = const u8[] {3}\n"
               "  %ys = const f32[] {0.25}\n"
               "  %yz = const i8[] {-1}\n"
               "  %w = const i8[2,1] {1,2}\n"
               "  %wz = const i8[1] {0}\n"
               "  %b = const f32[1] {1e+10}\n"
               "  %m = const f32[1] {0.25}\n"
               "  %z = const i32[1] {0}\n"
               "  %p = MatMulInteger(%x, %w, %xz, %wz) : i32[1,1]\n"
               "  %s = DequantizeLinear(%p, %m, %z) {axis=1, block_size=0} : f32[1,1]\n"
               "  %a = Add(%b, %s) : f32[1,1]\n"
               "  %y = QuantizeLinear(%a, %ys, %yz) " LINEAR " : i8[1,1]\n"
               "  return %y\n"
               "}\n");
#undef MATMUL_BIAS
}

/* Q(act(Gemm(x, w))), and the same from the sums of codes on. */
#define GEMM_ACT(act)                                                                  \
    "graph g(%x: u8[1,2]) {\n" GRIDS "  %w = const i8[2,1] {1,2}\n"                    \
    "  %ws = const f32[] {0.5}\n"                                                      \
    "  %wz = const i8[] {0}\n"                                                         \
    "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,2]\n"                    \
    "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[2,1]\n"                    \
    "  %c = Gemm(%r, %v) : f32[1,1]\n"                                                 \
    "  %a = " act "\n"                                                                 \
    "  %y = QuantizeLinear(%a, %ys, %yz) " LINEAR " : i8[1,1]\n"                       \
    "  return %y\n"                                                                    \
    "}\n"
#define SUMS_ACT(scale, after, act)                                                    \
    "graph g(%x: u8[1,2]) {\n"                                                         \
    "  %xz = const u8[] {3}\n"                                                         \
    "  %w = const i8[2,1] {1,2}\n"                                                     \
    "  %wz = const i8[1] {0}\n"                                                        \
    "  %m = const f32[1] {" scale "}\n"                                                \
    "  %z = const i32[1] {0}\n" after "  %one = const f32[] {1}\n"                     \
    "  %yz = const i8[] {-1}\n"                                                        \
    "  %p = MatMulInteger(%x, %w, %xz, %wz) : i32[1,1]\n"                              \
    "  %s = DequantizeLinear(%p, %m, %z) {axis=1, block_size=0} : f32[1,1]\n" act      \
    "  %y = QuantizeLinear(%a, %one, %yz) " LINEAR " : i8[1,1]\n"                      \
    "  return %y\n"                                                                    \
    "}\n"

/* LeakyRelu is done in steps of the result, 0.5 * 0.5 / 0.25; HardSwish in real
 * numbers, 0.5 * 0.5, and 1 / 0.25 makes steps of them. */
TEST(activations_with_more_than_limits_are_done_before_rounding)
{
    CHECK_PASS("form-integers", GEMM_ACT("LeakyRelu(%c) {alpha=0.125} : f32[1,1]"),
               SUMS_ACT("1", "", "  %a = LeakyRelu(%s) {alpha=0.125} : f32[1,1]\n"));
    CHECK_PASS("form-integers", GEMM_ACT("PRelu(%c, %ws) : f32[1,1]"),
               SUMS_ACT("1", "  %k = const f32[] {0.5}\n",
                        "  %a = PRelu(%s, %k) : f32[1,1]\n"));
    CHECK_PASS("form-integers", GEMM_ACT("HardSwish(%c) : f32[1,1]"),
               SUMS_ACT("0.25", "  %k = const f32[] {4}\n",
                        "  %h = HardSwish(%s) : f32[1,1]\n"
                        "  %a = Mul(%h, %k) : f32[1,1]\n"));
}

/* Multipliers 0.5 / 0.25 and 1 / 0.25; Relu is the code's zero point: -1 - -1. */
TEST(a_sum_of_codes_has_quotients_of_scales)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[4], %z: u8[4]) {\n" GRIDS "  %one = const f32[] {1}\n"
               "  %a = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[4]\n"
               "  %b = DequantizeLinear(%z, %one, %xz) " LINEAR " : f32[4]\n"
               "  %s = Add(%a, %b) : f32[4]\n"
               "  %r = Relu(%s) : f32[4]\n"
               "  %y = QuantizeLinear(%r, %ys, %yz) " LINEAR " : i8[4]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[4], %z: u8[4]) {\n"
               "  %ma = const f32[] {2}\n"
               "  %xz = const u8[] {3}\n"
               "  %mb = const f32[] {4}\n"
               "  %bz = const u8[] {3}\n"
               "  %lo = const f32[] {0}\n"
               "  %hi = const f32[] {128}\n"
               "  %one = const f32[] {1}\n"
               "  %yz = const i8[] {-1}\n"
               "  %a = DequantizeLinear(%x, %ma, %xz) " LINEAR " : f32[4]\n"
               "  %b = DequantizeLinear(%z, %mb, %bz) " LINEAR " : f32[4]\n"
               "  %s = Add(%a, %b) : f32[4]\n"
               "  %c = Clip(%s, %lo, %hi) : f32[4]\n"
               "  %y = QuantizeLinear(%c, %one, %yz) " LINEAR " : i8[4]\n"
               "  return %y\n"
               "}\n");
}

/* Codes -1 and above are what Relu leaves. */
TEST(averages_over_windows_and_images_are_pools)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[1,2,4,6]) {\n" GRIDS "  %vs = const f32[] {0.3}\n"
               "  %r = DequantizeLinear(%x, %vs, %xz) " LINEAR " : f32[1,2,4,6]\n"
               "  %p = AveragePool(%r) {kernel_shape=[2,2], strides=[2,2], "
               "count_include_pad=1} : f32[1,2,2,3]\n"
               "  %a = Relu(%p) : f32[1,2,2,3]\n"
               "  %q = QuantizeLinear(%a, %ys, %yz) " LINEAR " : i8[1,2,2,3]\n"
               "  %s = DequantizeLinear(%q, %ys, %yz) " LINEAR " : f32[1,2,2,3]\n"
               "  %m = ReduceMean(%s) {axes=[2,3], keepdims=0} : f32[1,2]\n"
               "  %y = QuantizeLinear(%m, %xs, %xz) " LINEAR " : u8[1,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[1,2,4,6]) {\n" GRIDS "  %vs = const f32[] {0.3}\n"
               "  %l = const i32[2] {-1,127}\n"
               "  %q = QLinearAveragePool(%x, %vs, %xz, %ys, %yz, %l) "
               "{kernel_shape=[2,2], strides=[2,2], count_include_pad=1} "
               ": i8[1,2,2,3]\n"
               "  %m = QLinearAveragePool(%q, %ys, %yz, %xs, %xz) "
               "{kernel_shape=[2,3], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]} "
               ": u8[1,2,1,1]\n"
               "  %y = Reshape(%m) {shape=[1,2]} : u8[1,2]\n"
               "  return %y\n"
               "}\n");
}

/* Every fourth average of four codes lies between two: the model's floats decide. */
TEST(averages_that_lie_between_codes_stay_in_floats)
{
    CHECK_PASS_DOES_NOTHING(
        "form-integers",
        "graph g(%x: i8[1,2,4,6]) {\n"
        "  %ys = const f32[] {0.25}\n"
        "  %yz = const i8[] {-1}\n"
        "  %r = DequantizeLinear(%x, %ys, %yz) " LINEAR " : f32[1,2,4,6]\n"
        "  %p = AveragePool(%r) {kernel_shape=[2,2], strides=[2,2]} : f32[1,2,2,3]\n"
        "  %y = QuantizeLinear(%p, %ys, %yz) " LINEAR " : i8[1,2,2,3]\n"
        "  return %y\n"
        "}\n");
}

TEST(codes_move_as_they_are_when_the_scale_stays)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[2,3]) {\n" GRIDS
               "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[2,3]\n"
               "  %t = Transpose(%r) {perm=[1,0]} : f32[3,2]\n"
               "  %y = QuantizeLinear(%t, %xs, %xz) " LINEAR " : u8[3,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[2,3]) {\n"
               "  %y = Transpose(%x) {perm=[1,0]} : u8[3,2]\n"
               "  return %y\n"
               "}\n");
}

/* 1.5 is code 3 + 1.5 / 0.5 = 6. */
TEST(padding_becomes_a_code)
{
    CHECK_PASS("form-integers",
               "graph g(%x: u8[2]) {\n" GRIDS "  %p = const f32[] {1.5}\n"
               "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[2]\n"
               "  %t = Pad(%r, %p) {pads=[1,0]} : f32[3]\n"
               "  %y = QuantizeLinear(%t, %xs, %xz) " LINEAR " : u8[3]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[2]) {\n"
               "  %p = const u8[] {6}\n"
               "  %y = Pad(%x, %p) {pads=[1,0]} : u8[3]\n"
               "  return %y\n"
               "}\n");
}

static void check_left(const char *text, const char *expected)
{
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(run_named_pass(c, g, "form-integers"));
    CHECK_TEXT(c->left_in_floats.len ? c->left_in_floats.bytes : "", expected);
    compile_destroy(c);
}

/* x sigmoid(x) is a function of x's codes; of two tensors it is none, and what is
 * returned as floats is none. */
TEST(functions_of_one_code_are_not_left_in_floats)
{
#define FUNCTION(other, result)                                                        \
    "graph g(%x: u8[300], %z: u8[300]) {\n" GRIDS                                      \
    "  %a = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[300]\n"                    \
    "  %o = DequantizeLinear(%z, %xs, %xz) " LINEAR " : f32[300]\n"                    \
    "  %b = Sigmoid(%a) : f32[300]\n"                                                  \
    "  %c = Div(%b, %" other ") : f32[300]\n"                                          \
    "  %y = QuantizeLinear(%c, %ys, %yz) " LINEAR " : i8[300]\n"                       \
    "  return %" result "\n"                                                           \
    "}\n"
    check_left(FUNCTION("a", "y"), "");
    check_left(FUNCTION("o", "y"),
               "node 'b' (Sigmoid): there is no integer form of it\n"
               "node 'c' (Div): there is no integer form of it\n");
    check_left(FUNCTION("a", "c"),
               "node 'b' (Sigmoid): there is no integer form of it\n"
               "node 'c' (Div): there is no integer form of it\n");
}

/* 300 weights of 127 on inputs up to 255 away reach 2^23 at most; 70 000 reach 2^31. */
TEST(a_product_whose_sums_could_leave_32_bits_stays_in_floats)
{
    const char *text =
        "graph g(%x: u8[1,70000]) {\n" GRIDS "  %w = const i8[70000,1] {*127}\n"
        "  %ws = const f32[] {0.5}\n"
        "  %wz = const i8[] {0}\n"
        "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[1,70000]\n"
        "  %v = DequantizeLinear(%w, %ws, %wz) " LINEAR " : f32[70000,1]\n"
        "  %c = Gemm(%r, %v) : f32[1,1]\n"
        "  %y = QuantizeLinear(%c, %ys, %yz) " LINEAR " : i8[1,1]\n"
        "  return %y\n"
        "}\n";
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_PASS("form-integers", text, text);
    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(run_named_pass(c, g, "form-integers"));
    CHECK(strstr(c->left_in_floats.bytes, "its sums could leave 32 bits"));
    compile_destroy(c);
}

static int nodes_after_passes(const char *text, enum ir_op op)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    int count = 0;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(passes_run(c, g, NULL));
    for (const struct ir_node *n = g->first; n; n = n->next)
        count += n->op == op;
    compile_destroy(c);
    return count;
}

/* Norms are found before islands are written in integers. */
TEST(a_layer_normalization_spelled_out_between_codes_is_one_on_codes)
{
    CHECK_EQ(nodes_after_passes(
                 "graph g(%x: u8[2,4]) {\n" GRIDS "  %two = const f32[] {2}\n"
                 "  %eps = const f32[] {1}\n"
                 "  %g = const f32[4] {1,2,3,4}\n"
                 "  %b = const f32[4] {5,6,7,8}\n"
                 "  %r = DequantizeLinear(%x, %xs, %xz) " LINEAR " : f32[2,4]\n"
                 "  %m = ReduceMean(%r) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %d = Sub(%r, %m) : f32[2,4]\n"
                 "  %s = Pow(%d, %two) : f32[2,4]\n"
                 "  %v = ReduceMean(%s) {axes=[1], keepdims=1} : f32[2,1]\n"
                 "  %e = Add(%v, %eps) : f32[2,1]\n"
                 "  %t = Sqrt(%e) : f32[2,1]\n"
                 "  %q = Div(%d, %t) : f32[2,4]\n"
                 "  %p = Mul(%q, %g) : f32[2,4]\n"
                 "  %n = Add(%p, %b) : f32[2,4]\n"
                 "  %y = QuantizeLinear(%n, %ys, %yz) " LINEAR " : i8[2,4]\n"
                 "  return %y\n}\n",
                 OP_QLinearLayerNormalization),
             1);
}
