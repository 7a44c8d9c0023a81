/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* The layout pass. */
#include "tests/pass_test.h"

#define WINDOW "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"

/* Between two convolutions nothing is transposed; constants are. */
TEST(channels_last_leaves_no_transpose_inside_a_network)
{
    CHECK_PASS(
        "channels-last",
        "graph g(%x: f32[1,2,3,4]) {\n"
        "  %w = const f32[2,2,1,1] {1,2,3,4}\n"
        "  %k = const f32[2,1,1] {5,6}\n"
        "  %a = Conv(%x, %w) {" WINDOW "} : f32[1,2,3,4]\n"
        "  %b = Mul(%a, %k) : f32[1,2,3,4]\n"
        "  %c = Concat(%a, %b) {axis=1} : f32[1,4,3,4]\n"
        "  %s = ReduceMax(%c) {axes=[1], keepdims=1} : f32[1,1,3,4]\n"
        "  %y = ReduceMean(%s) {axes=[2,3], keepdims=1} : f32[1,1,1,1]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,2,3,4]) {\n"
        "  %w = const f32[2,2,1,1] {1,2,3,4}\n"
        "  %k = const f32[1,1,1,2] {5,6}\n"
        "  %t = Transpose(%x) {perm=[0,2,3,1]} : f32[1,3,4,2]\n"
        "  %a = Conv(%t, %w) {" WINDOW ", channels_last=1} : f32[1,3,4,2]\n"
        "  %b = Mul(%a, %k) : f32[1,3,4,2]\n"
        "  %c = Concat(%a, %b) {axis=3} : f32[1,3,4,4]\n"
        "  %s = ReduceMax(%c) {axes=[3], keepdims=1} : f32[1,3,4,1]\n"
        "  %y = ReduceMean(%s) {axes=[1,2], keepdims=1} : f32[1,1,1,1]\n"
        "  return %y\n"
        "}\n");
}

/* Codes of 8 bits, with pools and sums between. */
TEST(channels_last_takes_convolutions_and_pools_of_codes)
{
#define CONSTANTS                                                                      \
    "  %s = const f32[] {0.5}\n"                                                       \
    "  %z = const u8[] {3}\n"                                                          \
    "  %k = const i8[2,2,1,1] {1,2,3,4}\n"                                             \
    "  %kz = const i8[] {0}\n"
#define POOL                                                                           \
    "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], "             \
    "storage_order=0"
    CHECK_PASS("channels-last",
               "graph g(%x: u8[1,2,3,4]) {\n" CONSTANTS
               "  %a = QLinearConv(%x, %s, %z, %k, %s, %kz, %s, %z) {" WINDOW
               "} : u8[1,2,3,4]\n"
               "  %b = MaxPool(%a) {" POOL "} : u8[1,2,3,4]\n"
               "  %c = DequantizeLinear(%b, %s, %z) {axis=0, block_size=0} : "
               "f32[1,2,3,4]\n"
               "  %d = QuantizeLinear(%c, %s, %z) {axis=0, block_size=0} : "
               "u8[1,2,3,4]\n"
               "  %y = ConvInteger(%d, %k, %z) {" WINDOW "} : i32[1,2,3,4]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: u8[1,2,3,4]) {\n" CONSTANTS
               "  %t = Transpose(%x) {perm=[0,2,3,1]} : u8[1,3,4,2]\n"
               "  %a = QLinearConv(%t, %s, %z, %k, %s, %kz, %s, %z) {" WINDOW
               ", channels_last=1} : u8[1,3,4,2]\n"
               "  %b = MaxPool(%a) {" POOL ", channels_last=1} : u8[1,3,4,2]\n"
               "  %c = DequantizeLinear(%b, %s, %z) {axis=0, block_size=0} : "
               "f32[1,3,4,2]\n"
               "  %d = QuantizeLinear(%c, %s, %z) {axis=0, block_size=0} : "
               "u8[1,3,4,2]\n"
               "  %v = ConvInteger(%d, %k, %z) {" WINDOW
               ", channels_last=1} : i32[1,3,4,2]\n"
               "  %y = Transpose(%v) {perm=[0,3,1,2]} : i32[1,2,3,4]\n"
               "  return %y\n"
               "}\n");
}

/* The copy stands after the last operator that can go along. */
TEST(channels_last_copies_back_as_late_as_possible)
{
    CHECK_PASS("channels-last",
               "graph g(%x: f32[1,1,3,4]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %a = Conv(%x, %w) {" WINDOW "} : f32[1,2,3,4]\n"
               "  %y = Relu(%a) : f32[1,2,3,4]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,1,3,4]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %t = Reshape(%x) {shape=[1,3,4,1]} : f32[1,3,4,1]\n"
               "  %a = Conv(%t, %w) {" WINDOW ", channels_last=1} : f32[1,3,4,2]\n"
               "  %b = Relu(%a) : f32[1,3,4,2]\n"
               "  %y = Transpose(%b) {perm=[0,3,1,2]} : f32[1,2,3,4]\n"
               "  return %y\n"
               "}\n");
}

/* The model's own Transpose to pixels of channels disappears. */
TEST(channels_last_meets_a_model_that_wants_it_too)
{
    CHECK_PASS("channels-last",
               "graph g(%x: f32[1,1,3,4]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %a = Conv(%x, %w) {" WINDOW "} : f32[1,2,3,4]\n"
               "  %b = Transpose(%a) {perm=[0,2,3,1]} : f32[1,3,4,2]\n"
               "  %y = Reshape(%b) {shape=[1,12,2]} : f32[1,12,2]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,1,3,4]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %t = Reshape(%x) {shape=[1,3,4,1]} : f32[1,3,4,1]\n"
               "  %a = Conv(%t, %w) {" WINDOW ", channels_last=1} : f32[1,3,4,2]\n"
               "  %y = Reshape(%a) {shape=[1,12,2]} : f32[1,12,2]\n"
               "  return %y\n"
               "}\n");
}

/* [2 channels][1 x 2] flattened for a classifier: its columns are permuted. */
TEST(channels_last_permutes_the_weights_of_a_classifier)
{
    CHECK_PASS("channels-last",
               "graph g(%x: f32[1,1,1,2]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %v = const f32[1,4] {1,2,3,4}\n"
               "  %a = Conv(%x, %w) {" WINDOW "} : f32[1,2,1,2]\n"
               "  %r = Reshape(%a) {shape=[1,4]} : f32[1,4]\n"
               "  %y = Gemm(%r, %v) {transB=1} : f32[1,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,1,1,2]) {\n"
               "  %w = const f32[2,1,1,1] {1,2}\n"
               "  %v = const f32[1,4] {1,3,2,4}\n"
               "  %t = Reshape(%x) {shape=[1,1,2,1]} : f32[1,1,2,1]\n"
               "  %a = Conv(%t, %w) {" WINDOW ", channels_last=1} : f32[1,1,2,2]\n"
               "  %r = Reshape(%a) {shape=[1,4]} : f32[1,4]\n"
               "  %y = Gemm(%r, %v) {transB=1} : f32[1,1]\n"
               "  return %y\n"
               "}\n");
}

TEST(channels_last_takes_signals_along)
{
    CHECK_PASS("channels-last",
               "graph g(%x: f32[1,2,5]) {\n"
               "  %w = const f32[2,2,1] {1,2,3,4}\n"
               "  %a = Conv(%x, %w) {kernel_shape=[1]} : f32[1,2,5]\n"
               "  %y = ReduceMean(%a) {axes=[2], keepdims=1} : f32[1,2,1]\n"
               "  return %y\n"
               "}\n",
               "graph g(%x: f32[1,2,5]) {\n"
               "  %w = const f32[2,2,1] {1,2,3,4}\n"
               "  %t = Transpose(%x) {perm=[0,2,1]} : f32[1,5,2]\n"
               "  %a = Conv(%t, %w) {kernel_shape=[1], channels_last=1} : f32[1,5,2]\n"
               "  %m = ReduceMean(%a) {axes=[1], keepdims=1} : f32[1,1,2]\n"
               "  %y = Reshape(%m) {shape=[1,2,1]} : f32[1,2,1]\n"
               "  return %y\n"
               "}\n");
}

TEST(channels_last_does_nothing_without_a_convolution)
{
    CHECK_PASS_DOES_NOTHING("channels-last",
                            "graph g(%x: f32[1,2,3,4], %z: f32[1,2,4,3]) {\n"
                            "  %a = Relu(%x) : f32[1,2,3,4]\n"
                            "  %y = MatMul(%a, %z) : f32[1,2,3,3]\n"
                            "  return %y\n"
                            "}\n");
}

/* A value of the model can be found again by its successor's origin. */
TEST(channels_last_remembers_where_values_come_from)
{
    const char *text = "graph g(%x: f32[1,1,3,4]) {\n"
                       "  %w = const f32[2,1,1,1] {1,2}\n"
                       "  %a = Conv(%x, %w) {" WINDOW "} : f32[1,2,3,4]\n"
                       "  %y = Relu(%a) : f32[1,2,3,4]\n"
                       "  return %y\n"
                       "}\n";
    struct compile *c = compile_create();
    struct ir_graph *g;
    int n_found = 0;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(pass_channels_last(c, g));
    for (const struct ir_node *n = g->first; n; n = n->next) {
        const struct ir_value *v = n->out[0], *from = v->origin;

        if (!from)
            continue;
        n_found++;
        for (int i = 0; i < v->rank; i++)
            CHECK_EQ(v->dim[i], from->dim[v->origin_perm[i]]);
    }
    CHECK_EQ(n_found, 2);
    compile_destroy(c);
}
