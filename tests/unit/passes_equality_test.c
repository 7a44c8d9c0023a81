/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend runtime
/* What passes promise about results: each one alone keeps bytes when the table says
 * lossless, and about 1e-5 otherwise; on small networks with random weights that give
 * every pass something to do, and on the example model. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend/interpret.h"
#include "frontend/onnx_import.h"
#include "frontend/pass.h"

/* ---- networks: constants %w..., %v... and long %c... get random contents -------------- */

#define POINT "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"
#define THREE "kernel_shape=[3,3], strides=[2,2], dilations=[1,1], pads=[1,1,1,1]"
#define WHOLE "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"

/* ShuffleNet in small: shuffle, Pad before pools, batch norm, classifier. */
static const char shuffle[] =
    "graph shuffle(%x: f32[1,3,9,9]) {\n"
    "  %w0 = const f32[4,3,3,3] {*0}\n"
    "  %w1 = const f32[4] {*0}\n"
    "  %v1 = const f32[4] {*1}\n"
    "  %w2 = const f32[2,2,1,1] {*0}\n"
    "  %w3 = const f32[4,1,3,3] {*0}\n"
    "  %w4 = const f32[36,7] {*0}\n"
    "  %w5 = const f32[1,7] {*0}\n"
    "  %w6 = const f32[4,1,1] {*0}\n"
    "  %i0 = const i64[] {0}\n"
    "  %i1 = const i64[] {1}\n"
    "  %p = Pad(%x) {pads=[0,0,1,1,0,0,1,1]} : f32[1,3,11,11]\n"
    "  %a = Conv(%p, %w0) {" WHOLE "} : f32[1,4,9,9]\n"
    "  %b = BatchNormalization(%a, %w1, %w1, %w1, %v1) {epsilon=0.001} : f32[1,4,9,9]\n"
    "  %c = Relu(%b) : f32[1,4,9,9]\n"
    "  %d = Pad(%c) {pads=[0,0,1,1,0,0,1,1]} : f32[1,4,11,11]\n"
    "  %e = MaxPool(%d) {kernel_shape=[3,3], strides=[2,2], dilations=[1,1], "
    "pads=[0,0,0,0]} : f32[1,4,5,5]\n"
    "  %f = Reshape(%e) {shape=[2,2,25]} : f32[2,2,25]\n"
    "  %g = Transpose(%f) {perm=[1,0,2]} : f32[2,2,25]\n"
    "  %h = Reshape(%g) {shape=[2,1,2,5,5]} : f32[2,1,2,5,5]\n"
    "  %j = Gather(%h, %i0) {axis=0} : f32[1,2,5,5]\n"
    "  %k = Gather(%h, %i1) {axis=0} : f32[1,2,5,5]\n"
    "  %l = Conv(%k, %w2) {" POINT "} : f32[1,2,5,5]\n"
    "  %m = Concat(%j, %l) {axis=1} : f32[1,4,5,5]\n"
    "  %n = Conv(%m, %w3) {group=4, " THREE "} : f32[1,4,3,3]\n"
    "  %o = Add(%n, %w6) : f32[1,4,3,3]\n"
    "  %q = Resize(%o) {mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", "
    "nearest_mode=\"floor\", sizes=[1,4,6,6], scales=floats[1.0,1.0,2.0,2.0]} : "
    "f32[1,4,6,6]\n"
    "  %r = AveragePool(%q) {kernel_shape=[2,2], strides=[2,2], dilations=[1,1], "
    "pads=[0,0,0,0]} : f32[1,4,3,3]\n"
    "  %s = Reshape(%r) {shape=[1,36]} : f32[1,36]\n"
    "  %t = MatMul(%s, %w4) : f32[1,7]\n"
    "  %u = Add(%t, %w5) : f32[1,7]\n"
    "  %y = Softmax(%u) {axis=1} : f32[1,7]\n"
    "  return %y, %q\n"
    "}\n";

/* One block of attention on a signal, as an old PyTorch exporter spells it. */
static const char attention[] =
    "graph attention(%x: f32[1,8,6]) {\n"
    "  %w0 = const f32[8,1,5] {*0}\n"
    "  %w1 = const f32[8,24] {*0}\n"
    "  %w2 = const f32[24] {*0}\n"
    "  %w3 = const f32[8,8] {*0}\n"
    "  %w4 = const f32[8] {*0}\n"
    "  %w5 = const f32[8,8,1] {*0}\n"
    "  %two = const f32[] {2}\n"
    "  %eps = const f32[] {0.00001}\n"
    "  %root = const f32[] {1.4142135}\n"
    "  %one = const f32[] {1}\n"
    "  %half = const f32[] {0.5}\n"
    "  %a = Conv(%x, %w0) {kernel_shape=[5], strides=[1], dilations=[1], pads=[2,2], "
    "group=8} : f32[1,8,6]\n"
    "  %b = Relu(%a) : f32[1,8,6]\n"
    "  %c = Transpose(%b) {perm=[0,2,1]} : f32[1,6,8]\n"
    "  %d = MatMul(%c, %w1) : f32[1,6,24]\n"
    "  %e = Add(%d, %w2) : f32[1,6,24]\n"
    "  %f = Slice(%e) {starts=[0,0,0], steps=[1,1,1], sizes=[1,6,8]} : f32[1,6,8]\n"
    "  %g = Slice(%e) {starts=[0,0,8], steps=[1,1,1], sizes=[1,6,8]} : f32[1,6,8]\n"
    "  %h = Slice(%e) {starts=[0,0,16], steps=[1,1,1], sizes=[1,6,8]} : f32[1,6,8]\n"
    "  %f1 = Transpose(%f) {perm=[1,0,2]} : f32[6,1,8]\n"
    "  %f2 = Reshape(%f1) {shape=[6,2,4]} : f32[6,2,4]\n"
    "  %f3 = Transpose(%f2) {perm=[1,0,2]} : f32[2,6,4]\n"
    "  %g1 = Reshape(%g) {shape=[6,2,4]} : f32[6,2,4]\n"
    "  %g2 = Transpose(%g1) {perm=[1,2,0]} : f32[2,4,6]\n"
    "  %h1 = Reshape(%h) {shape=[6,2,4]} : f32[6,2,4]\n"
    "  %h2 = Transpose(%h1) {perm=[1,0,2]} : f32[2,6,4]\n"
    "  %i = MatMul(%f3, %g2) : f32[2,6,6]\n"
    "  %j = Div(%i, %two) : f32[2,6,6]\n"
    "  %k = Softmax(%j) {axis=2} : f32[2,6,6]\n"
    "  %l = MatMul(%k, %h2) : f32[2,6,4]\n"
    "  %m = Transpose(%l) {perm=[1,0,2]} : f32[6,2,4]\n"
    "  %n = Reshape(%m) {shape=[1,6,8]} : f32[1,6,8]\n"
    "  %o = MatMul(%n, %w3) : f32[1,6,8]\n"
    "  %p = Add(%c, %o) : f32[1,6,8]\n"
    "  %q = ReduceMean(%p) {axes=[2], keepdims=1} : f32[1,6,1]\n"
    "  %r = Sub(%p, %q) : f32[1,6,8]\n"
    "  %s = Pow(%r, %two) : f32[1,6,8]\n"
    "  %t = ReduceMean(%s) {axes=[2], keepdims=1} : f32[1,6,1]\n"
    "  %t1 = Add(%t, %eps) : f32[1,6,1]\n"
    "  %t2 = Sqrt(%t1) : f32[1,6,1]\n"
    "  %t3 = Div(%r, %t2) : f32[1,6,8]\n"
    "  %t4 = Mul(%t3, %w4) : f32[1,6,8]\n"
    "  %t5 = Add(%t4, %w4) : f32[1,6,8]\n"
    "  %u = Div(%t5, %root) : f32[1,6,8]\n"
    "  %u1 = Erf(%u) : f32[1,6,8]\n"
    "  %u2 = Add(%u1, %one) : f32[1,6,8]\n"
    "  %u3 = Mul(%t5, %u2) : f32[1,6,8]\n"
    "  %u4 = Mul(%u3, %half) : f32[1,6,8]\n"
    "  %z = Transpose(%u4) {perm=[0,2,1]} : f32[1,8,6]\n"
    "  %z1 = Conv(%z, %w5) {kernel_shape=[1], strides=[2], dilations=[1], pads=[0,0]} : "
    "f32[1,8,3]\n"
    "  %y = ReduceMean(%z1) {axes=[2], keepdims=0} : f32[1,8]\n"
    "  return %y\n"
    "}\n";

/* Bytes as one-hot vectors, a signal spelled as an image, a decomposed softmax. */
static const char bytes[] =
    "graph bytes(%x: f32[1,12]) {\n"
    "  %k = const i32[1,1,5] {0,1,2,3,4}\n"
    "  %w0 = const f32[5,4] {*0}\n"
    "  %w1 = const f32[4] {*0}\n"
    "  %w2 = const f32[6,4,3,1] {*0}\n"
    "  %w3 = const f32[1,6,1] {*0}\n"
    "  %low = const f32[] {-inf}\n"
    "  %ints = Cast(%x) {to=6} : i32[1,12]\n"
    "  %a = Reshape(%ints) {shape=[1,12,1]} : i32[1,12,1]\n"
    "  %b = Expand(%a) {shape=[1,12,5]} : i32[1,12,5]\n"
    "  %c = Equal(%b, %k) : bool[1,12,5]\n"
    "  %d = Cast(%c) {to=1} : f32[1,12,5]\n"
    "  %e = MatMul(%d, %w0) : f32[1,12,4]\n"
    "  %f = Add(%e, %w1) : f32[1,12,4]\n"
    "  %g = Tanh(%f) : f32[1,12,4]\n"
    "  %h = Transpose(%g) {perm=[0,2,1]} : f32[1,4,12]\n"
    "  %i = Reshape(%h) {shape=[1,4,12,1]} : f32[1,4,12,1]\n"
    "  %j = Conv(%i, %w2) {kernel_shape=[3,1], strides=[1,1], dilations=[1,1], "
    "pads=[0,0,0,0]} : f32[1,6,10,1]\n"
    "  %l = Reshape(%j) {shape=[1,6,10]} : f32[1,6,10]\n"
    "  %m = Add(%l, %w3) : f32[1,6,10]\n"
    "  %n = Mul(%m, %m) : f32[1,6,10]\n"
    "  %o = ReduceSum(%n) {axes=[2], keepdims=0} : f32[1,6]\n"
    "  %p = ReduceMax(%o) {axes=[1], keepdims=1} : f32[1,1]\n"
    "  %q = Max(%p, %low) : f32[1,1]\n"
    "  %r = Sub(%o, %q) : f32[1,6]\n"
    "  %s = Exp(%r) : f32[1,6]\n"
    "  %t = ReduceSum(%s) {axes=[1], keepdims=1} : f32[1,1]\n"
    "  %y = Div(%s, %t) : f32[1,6]\n"
    "  return %y\n"
    "}\n";

/* A residual block whose shortcut slices and pads; limits in several spellings. */
static const char residual[] =
    "graph residual(%x: f32[1,4,8,8]) {\n"
    "  %w0 = const f32[8,4,3,3] {*0}\n"
    "  %w1 = const f32[4,8,3,3] {*0}\n"
    "  %w2 = const f32[8,2,2,2] {*0}\n"
    "  %zero = const f32[] {0}\n"
    "  %six = const f32[] {6}\n"
    "  %three = const f32[] {3}\n"
    "  %leak = const f32[] {0.1}\n"
    "  %a = Conv(%x, %w0) {" THREE "} : f32[1,8,4,4]\n"
    "  %b = Max(%a, %zero) : f32[1,8,4,4]\n"
    "  %c = Min(%b, %six) : f32[1,8,4,4]\n"
    "  %d = Slice(%x) {starts=[0,0,0,0], steps=[1,1,2,1], sizes=[1,4,4,8]} : "
    "f32[1,4,4,8]\n"
    "  %e = Slice(%d) {starts=[0,0,0,0], steps=[1,1,1,2], sizes=[1,4,4,4]} : "
    "f32[1,4,4,4]\n"
    "  %f = Pad(%e) {pads=[0,2,0,0,0,2,0,0]} : f32[1,8,4,4]\n"
    "  %g = Add(%c, %f) : f32[1,8,4,4]\n"
    "  %h = Add(%g, %three) : f32[1,8,4,4]\n"
    "  %i = Clip(%h, %zero, %six) : f32[1,8,4,4]\n"
    "  %j = Mul(%g, %i) : f32[1,8,4,4]\n"
    "  %k = Div(%j, %six) : f32[1,8,4,4]\n"
    "  %l = ConvTranspose(%k, %w2) {group=4, kernel_shape=[2,2], strides=[2,2], "
    "dilations=[1,1], pads=[0,0,0,0], output_padding=[0,0]} : f32[1,8,8,8]\n"
    "  %m = Mul(%l, %leak) : f32[1,8,8,8]\n"
    "  %n = Max(%m, %l) : f32[1,8,8,8]\n"
    "  %o = Transpose(%n) {perm=[0,2,3,1]} : f32[1,8,8,8]\n"
    "  %p = Reshape(%o) {shape=[1,64,8]} : f32[1,64,8]\n"
    "  %y = Sigmoid(%p) : f32[1,64,8]\n"
    "  return %y\n"
    "}\n";

/* Dynamic quantization: codes whose zero point is known when running only. */
static const char dynamic[] =
    "graph dynamic(%x: f32[1,2,5,6]) {\n"
    "  %c0 = const i8[3,2,3,3] {*0}\n"
    "  %c1 = const i8[3] {3,-5,7}\n"
    "  %c2 = const u8[2,30,4] {*0}\n"
    "  %c3 = const u8[] {131}\n"
    "  %step = const f32[] {0.02}\n"
    "  %least = ReduceMin(%x) {axes=[0,1,2,3], keepdims=0} : f32[]\n"
    "  %up = Mul(%least, %least) : f32[]\n"
    "  %z = Cast(%up) {to=2} : u8[]\n"
    "  %q = QuantizeLinear(%x, %step, %z) {axis=0, block_size=0} : u8[1,2,5,6]\n"
    "  %a = ConvInteger(%q, %c0, %z, %c1) {kernel_shape=[3,3], strides=[2,1], "
    "dilations=[1,2], pads=[1,0,0,3]} : i32[1,3,2,5]\n"
    "  %r = Reshape(%q) {shape=[2,30]} : u8[2,30]\n"
    "  %b = MatMulInteger(%r, %c2, %z, %c3) : i32[2,2,4]\n"
    "  %ya = Cast(%a) {to=1} : f32[1,3,2,5]\n"
    "  %yb = Cast(%b) {to=1} : f32[2,2,4]\n"
    "  return %ya, %yb\n"
    "}\n";

/* ---- running ------------------------------------------------------------------------ */

static float random_unit(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int64_t)(*seed >> 33) / 1073741824.0f - 1.0f;
}

static void fill_weights(struct ir_graph *g)
{
    uint64_t seed = 11;

    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 0; i < n->n_in; i++) {
            const struct ir_value *v = n->in[i];
            float *to = v && v->data ? (float *)(uintptr_t)v->data : NULL;

            if (to && v->name[0] == 'c' && ir_count(v) > 8)
                for (int64_t k = 0; k < ir_count(v); k++)
                    ((uint8_t *)to)[k] = (uint8_t)(int)(127.0f * random_unit(&seed));
            if (!to || (v->name[0] != 'w' && v->name[0] != 'v'))
                continue;
            for (int64_t k = 0; k < ir_count(v); k++)
                to[k] = v->name[0] == 'v' ? 1.5f + random_unit(&seed) : random_unit(&seed);
        }
}

/* Outputs one after the other. */
static float *run(struct arena *a, const struct ir_graph *g, int64_t *count)
{
    struct tensor in[4];
    struct interpretation io = {0};
    uint64_t seed = 5;
    float *all;
    int64_t n = 0;

    for (int i = 0; i < g->n_in; i++) {
        const struct ir_value *v = g->in[i];
        float *x = arena_new_array(a, float, ir_count(v));

        for (int64_t k = 0; k < ir_count(v); k++)
            x[k] = 3.0f * random_unit(&seed);
        in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank, .data = x};
        memcpy(in[i].dim, v->dim, sizeof v->dim);
    }
    CHECK_OK(interpret(a, g, in, &io));
    *count = 0;
    for (int i = 0; i < g->n_out; i++)
        *count += ir_count(g->out[i]);
    all = arena_new_array(a, float, *count);
    for (int i = 0; i < g->n_out; i++) {
        memcpy(all + n, io.by_id[g->out[i]->id].data, (size_t)ir_bytes(g->out[i]));
        n += ir_count(g->out[i]);
    }
    return all;
}

static double worst_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0.0, largest = 1e-9;

    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);

        worst = d > worst || d != d ? d : worst;
        largest = fabs((double)a[i]) > largest ? fabs((double)a[i]) : largest;
    }
    return worst / largest;
}

static void check_step(struct compile *c, struct ir_graph *g, const char *name, pass_fn *pass,
                       bool lossless)
{
    struct arena *a = arena_create();
    int64_t n_before, n_after;
    const float *before = run(a, g, &n_before), *after;

    CHECK_OK(pass(c, g));
    CHECK_OK(ir_verify(g));
    arena_reset(c->scratch);
    after = run(a, g, &n_after);
    CHECK_EQ(n_before, n_after);

    const bool equal = !memcmp(before, after, (size_t)n_before * sizeof *before);

    if ((lossless && !equal) || !(worst_difference(before, after, n_before) < 1e-5)) {
        print_error("after %s: relative difference %g\n", name,
                    worst_difference(before, after, n_before));
        fail();
    }
    arena_destroy(a);
}

static void check_all_passes(struct compile *c, struct ir_graph *g)
{
    for (int i = 0; i < pass_count(); i++)
        check_step(c, g, pass_info[i].name, pass_info[i].run, pass_info[i].lossless);
    for (int i = 0; i < pass_count(); i++) /* on what the others have left */
        check_step(c, g, pass_info[i].name, pass_info[i].run, pass_info[i].lossless);
    check_step(c, g, "channels-last", pass_channels_last, false);
}

static void check_text(const char *text)
{
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    fill_weights(g);
    check_all_passes(c, g);
    compile_destroy(c);
}

TEST(passes_keep_the_results_of_a_shuffle_network)
{
    check_text(shuffle);
}

TEST(passes_keep_the_results_of_attention)
{
    check_text(attention);
}

TEST(passes_keep_the_results_of_a_network_on_bytes)
{
    check_text(bytes);
}

TEST(passes_keep_the_results_of_a_residual_block)
{
    check_text(residual);
}

TEST(passes_keep_the_results_of_dynamic_quantization)
{
    check_text(dynamic);
}

TEST(passes_keep_the_results_of_the_example_model)
{
    const struct onnx_options none = {0};
    struct compile *c = compile_create();
    struct ir_graph *g;

    CHECK_OK(onnx_import(c, "examples/fsdd/fsdd_m5.onnx", &none, NULL, &g));
    check_all_passes(c, g);
    compile_destroy(c);
}

/* What the passes are for: how many nodes are left of each network. */
static int nodes_left(const char *text, enum ir_op op)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    int n_left = 0;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    fill_weights(g);
    CHECK_OK(passes_run(c, g, NULL));
    CHECK_OK(pass_channels_last(c, g));
    for (const struct ir_node *n = g->first; n; n = n->next)
        n_left += op == OP_NONE || n->op == op;
    compile_destroy(c);
    return n_left;
}

TEST(passes_leave_one_transpose_for_an_image_and_none_inside)
{
    CHECK_EQ(nodes_left(shuffle, OP_Transpose), 2); /* the input, the second output */
    CHECK_EQ(nodes_left(residual, OP_Transpose), 2); /* the input, its sliced part */
    CHECK_EQ(nodes_left(bytes, OP_Transpose), 0);
}

TEST(passes_leave_no_padding_and_no_normalization)
{
    CHECK_EQ(nodes_left(shuffle, OP_Pad), 0);
    CHECK_EQ(nodes_left(shuffle, OP_BatchNormalization), 0);
    CHECK_EQ(nodes_left(shuffle, OP_Gather), 0);
    CHECK_EQ(nodes_left(bytes, OP_MatMul), 0);
    CHECK_EQ(nodes_left(attention, OP_LayerNormalization), 1);
    CHECK_EQ(nodes_left(attention, OP_Gelu), 1);
}
