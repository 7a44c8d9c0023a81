/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* Graphs through the whole middle: program, placement, LLVM, and the object run in
 * this process; the interpreter says what is right.  Element operators, reductions
 * and data movement must agree byte for byte. */
#include "tests/program_test.h"

#include "frontend/pass.h"
#include "plan/fusion.h"

/* ---- chains ------------------------------------------------------------- */

TEST(module_joins_element_operators_into_one_loop)
{
    const struct outcome o = run_text("graph t(%x: f32[2,3,5,7], %y: f32[2,3,5,7]) {\n"
                                      "  %a = Add(%x, %y) : f32[2,3,5,7]\n"
                                      "  %b = Relu(%a) : f32[2,3,5,7]\n"
                                      "  %c = Mul(%b, %x) : f32[2,3,5,7]\n"
                                      "  return %c\n"
                                      "}\n",
                                      0.0f);

    CHECK_EQ(o.n_steps, 1);
    CHECK_EQ(o.workspace, 0);
}

TEST(module_broadcasts_inside_a_joined_loop)
{
    const struct outcome o =
        run_text("graph t(%x: f32[2,3,5,7], %s: f32[3,1,1], %r: f32[7]) {\n"
                 "  %a = Mul(%x, %s) : f32[2,3,5,7]\n"
                 "  %b = Relu(%a) : f32[2,3,5,7]\n"
                 "  %c = Add(%b, %r) : f32[2,3,5,7]\n"
                 "  return %c\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_stores_what_others_read_from_a_joined_loop)
{
    const struct outcome o = run_text("graph t(%x: f32[4,100], %y: f32[4,100]) {\n"
                                      "  %a = Add(%x, %y) : f32[4,100]\n"
                                      "  %b = Relu(%a) : f32[4,100]\n"
                                      "  return %a, %b\n"
                                      "}\n",
                                      0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_leaves_a_narrow_operator_out_of_a_wide_loop)
{
    const struct outcome o = run_text("graph t(%x: f32[4,100], %y: f32[100]) {\n"
                                      "  %a = Sqrt(%y) : f32[100]\n"
                                      "  %b = Add(%x, %a) : f32[4,100]\n"
                                      "  return %b\n"
                                      "}\n",
                                      0.0f);

    CHECK_EQ(o.n_steps, 2);
}

/* Near half of a step, where a quotient that is wrong in its last place shows; `far`:
 * infinities, NaN and what is out of range too. */
static void check_quantizes(double scale, const char *to, int zero, bool far)
{
    char text[1000];

    snprintf(text, sizeof text,
             "graph t(%%x: f32[60000]) {\n"
             "  %%h = const f32[] {%.9g} %%s = const f32[] {%.9g}\n"
             "  %%z = const %s[] {%d}\n"
             "  %%f = Floor(%%x) : f32[60000]\n"
             "  %%a = Mul(%%x, %%h) : f32[60000]\n"
             "  %%d = Div(%%a, %%f) : f32[60000]\n"
             "  %%q = QuantizeLinear(%%%s, %%s, %%z) {axis=0, block_size=0} : "
             "%s[60000]\n"
             "  return %%q\n"
             "}\n",
             256.0 * scale, scale, to, zero, far ? "d" : "a", to);
    CHECK_EQ(run_text(text, 0.0f).n_steps, 1);
}

TEST(module_quantizes_by_a_constant_as_a_division_would)
{
    static const float scales[] = {0.1f,       1.0f / 3.0f, 0.017453292f, 7.77e-5f,
                                   1.9999999f, 1.0f,        5.3e-20f,     1.8e19f,
                                   5.4e-20f,   1.85e19f,    1e-30f,       3e38f / 256};
    const int n = sizeof scales / sizeof scales[0];

    for (int i = 0; i < n; i++) {
        check_quantizes((double)scales[i], "u8", 128, false);
        check_quantizes((double)scales[i], "i8", i - 5, true);
    }
    check_quantizes(0.1, "u8", 0, true);
    check_quantizes(0.37, "i16", 1000, true);
    check_quantizes(0.0003, "u16", 40000, false);
}

/* ---- views and doors ---------------------------------------------------- */

TEST(module_copies_nothing_for_a_reshape_between_operators)
{
    const struct outcome o =
        run_text("graph t(%x: f32[4,6]) {\n"
                 "  %a = Relu(%x) : f32[4,6]\n"
                 "  %b = Reshape(%a) {shape=[2,2,6]} : f32[2,2,6]\n"
                 "  %c = Neg(%b) : f32[2,2,6]\n"
                 "  return %c\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_copies_an_input_that_is_also_an_output)
{
    const struct outcome o = run_text("graph t(%x: f32[4,6]) {\n"
                                      "  %y = Identity(%x) : f32[4,6]\n"
                                      "  return %y\n"
                                      "}\n",
                                      0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_writes_the_inputs_of_an_outermost_concat_into_place)
{
    const struct outcome o =
        run_text("graph t(%x: f32[1,6,5], %y: f32[1,2,5]) {\n"
                 "  %a = Relu(%x) : f32[1,6,5]\n"
                 "  %b = Neg(%y) : f32[1,2,5]\n"
                 "  %c = Concat(%a, %b) {axis=1} : f32[1,8,5]\n"
                 "  %s = Transpose(%c) {perm=[2,1,0]} : f32[5,8,1]\n"
                 "  return %s\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(o.n_steps, 3);
}

TEST(module_writes_convolutions_into_slices_of_a_channel_concat)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[1,6,5,4]) {\n"
        "  %v = const f32[8,4,1,1] {1, 2, -1, 0, 3, 1, 1, -2, 0.5, 1, 2, 3, 4, 5, 6, "
        "7,\n"
        "    1, 2, -1, 0, 3, 1, 1, -2, 0.5, 1, 2, 3, 4, 5, 6, 7}\n"
        "  %w = const f32[4,4,1,1] {1, 2, -1, 0, 3, 1, 1, -2, 0.5, 1, 2, 3, 4, 5, 6, "
        "7}\n"
        "  %a = Conv(%x, %w) {channels_last=1, kernel_shape=[1,1]} : f32[1,6,5,4]\n"
        "  %b = Conv(%x, %v) {channels_last=1, kernel_shape=[1,1]} : f32[1,6,5,8]\n"
        "  %c = Concat(%a, %b) {axis=3} : f32[1,6,5,12]\n"
        "  return %c\n"
        "}\n",
        1e-5f);

    CHECK_EQ(o.n_steps, 2);
    CHECK_EQ(o.workspace, 0);
}

TEST(module_cuts_outermost_slices_without_copying)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[6,10]) {\n"
        "  %a = Neg(%x) : f32[6,10]\n"
        "  %b = Slice(%a) {starts=[2,0], steps=[1,1], sizes=[3,10]} : f32[3,10]\n"
        "  %c = Transpose(%b) {perm=[1,0]} : f32[10,3]\n"
        "  return %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 2);
}

TEST(module_reads_slices_and_repeats_in_place)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[6,10], %y: f32[1,4]) {\n"
        "  %a = Slice(%x) {starts=[5,3], steps=[-2,1], sizes=[3,4]} : f32[3,4]\n"
        "  %b = Expand(%y) {shape=[3,4]} : f32[3,4]\n"
        "  %c = Add(%a, %b) : f32[3,4]\n"
        "  return %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_squares_a_slice_in_place)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[6,10]) {\n"
        "  %a = Slice(%x) {starts=[0,3], steps=[1,1], sizes=[6,4]} : f32[6,4]\n"
        "  %c = Mul(%a, %a) : f32[6,4]\n"
        "  return %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_leaves_gathering_to_the_copy_kernels)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[6,10], %y: f32[6,5]) {\n"
        "  %a = Slice(%x) {starts=[0,1], steps=[1,2], sizes=[6,5]} : f32[6,5]\n"
        "  %c = Add(%a, %y) : f32[6,5]\n"
        "  return %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 2);
}

TEST(module_copies_a_slice_once_into_its_concat)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[4,10], %y: f32[4,3]) {\n"
        "  %a = Slice(%x) {starts=[0,1], steps=[1,2], sizes=[4,5]} : f32[4,5]\n"
        "  %c = Concat(%a, %y) {axis=1} : f32[4,8]\n"
        "  return %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 2); /* one copy for each input of the concat */
}

TEST(module_keeps_a_slice_that_two_operators_read)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[4,10], %y: f32[4,5], %z: f32[4,1]) {\n"
        "  %a = Slice(%x) {starts=[0,1], steps=[1,1], sizes=[4,5]} : f32[4,5]\n"
        "  %b = Transpose(%a) {perm=[1,0]} : f32[5,4]\n"
        "  %c = Add(%a, %y) : f32[4,5]\n"
        "  return %b, %c\n"
        "}\n",
        0.0f);

    CHECK_EQ(o.n_steps, 3);
}

TEST(module_reads_a_slice_of_channels_from_a_convolution)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[1,6,5,9]) {\n"
        "  %w = const f32[2,4,1,1] {1, 2, -1, 0, 3, 1, 1, -2}\n"
        "  %s = Slice(%x) {starts=[0,4,0,5], steps=[1,-2,1,1], sizes=[1,3,5,4]}"
        " : f32[1,3,5,4]\n"
        "  %a = Conv(%s, %w) {channels_last=1, kernel_shape=[1,1]} : f32[1,3,5,2]\n"
        "  return %a\n"
        "}\n",
        1e-5f);

    CHECK_EQ(o.n_steps, 1);
}

TEST(module_drops_steps_whose_results_nobody_reads)
{
    const struct outcome o = run_text("graph t(%x: f32[4,10]) {\n"
                                      "  %a = Transpose(%x) {perm=[1,0]} : f32[10,4]\n"
                                      "  %b = Neg(%a) : f32[10,4]\n"
                                      "  %c = Relu(%x) : f32[4,10]\n"
                                      "  return %c\n"
                                      "}\n",
                                      0.0f);

    CHECK_EQ(o.n_steps, 1);
}

/* ---- emitted kernels ---------------------------------------------------- */

static const char residual_block[] =
    "graph t(%x: f32[1,6,5,4]) {\n"
    "  %w = const f32[4,4,1,1] {1, 2, -1, 0, 3, 1, 1, -2, 0.5, 1, 2, 3, 4, 5, 6, 7}\n"
    "  %k = const f32[4] {1, -2, 3, -4}\n"
    "  %h = Relu(%x) : f32[1,6,5,4]\n"
    "  %a = Conv(%h, %w, %k) {channels_last=1, kernel_shape=[1,1]} : f32[1,6,5,4]\n"
    "  %b = Relu(%a) : f32[1,6,5,4]\n"
    "  %c = Conv(%b, %w) {channels_last=1, kernel_shape=[1,1]} : f32[1,6,5,4]\n"
    "  %d = Add(%c, %h) : f32[1,6,5,4]\n"
    "  %e = Relu(%d) : f32[1,6,5,4]\n"
    "  %f = Neg(%e) : f32[1,6,5,4]\n"
    "  return %f\n"
    "}\n";

/* The graph of run_text with a plan that has this pattern for every unit. */
static struct outcome run_pattern(enum plan_pattern pattern)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct plan *plan;

    CHECK_OK(ir_parse(c, residual_block, strlen(residual_block), &g));
    for (struct ir_node *n = g->first; n; n = n->next)
        n->name = n->out[0]->name;
    plan = plan_float(g, "host");
    fusion_set(plan, pattern);
    test_plan = plan;

    const struct outcome out = run_graph(c, g, false, 1e-5f);

    test_plan = NULL;
    compile_destroy(c);
    return out;
}

/* relu; conv, relu; conv, add+relu; neg: what is no kernel with a convolution still
 * joins others in a loop. */
TEST(module_fuses_what_the_plan_says_and_computes_the_same)
{
    CHECK_EQ(run_pattern(PATTERN_all).n_steps, 4);
    CHECK_EQ(run_pattern(PATTERN_conv_bn_add_relu).n_steps, 4);
    CHECK_EQ(run_pattern(PATTERN_conv_bn_add_relu).n_chains, 2);
    CHECK_EQ(run_pattern(PATTERN_none).n_emitted, 2);
    CHECK(run_pattern(PATTERN_none).n_steps > 4);
    CHECK(run_pattern(PATTERN_conv_relu).n_steps < run_pattern(PATTERN_none).n_steps);
}

/* relu, conv+relu, conv+add+relu over the residual, neg: h and b are in memory. */
TEST(module_fuses_bias_activation_and_residual_into_convolutions)
{
    const struct outcome o = run_text(residual_block, 1e-5f);

    CHECK_EQ(o.n_steps, 4);
    CHECK_EQ(o.n_emitted, 2);
    CHECK_EQ(o.workspace, 2 * 512); /* 6*5*4 floats are 480 bytes */
    CHECK_EQ(o.payload,
             2 * 64); /* the equal weights once, 64 bytes readable after them */
}

TEST(module_takes_gemm_and_matmul_as_emitted_products)
{
    const struct outcome o =
        run_text("graph t(%x: f32[3,4], %y: f32[2,4,5], %z: f32[2,5,3]) {\n"
                 "  %w = const f32[4,2] {1, 2, 3, 4, 5, 6, 7, 8}\n"
                 "  %b = const f32[2] {1, 2}\n"
                 "  %g = Gemm(%x, %w, %b) {alpha=0.5, beta=2} : f32[3,2]\n"
                 "  %m = MatMul(%y, %z) : f32[2,4,3]\n"
                 "  return %g, %m\n"
                 "}\n",
                 1e-5f);

    CHECK_EQ(o.n_emitted, 2);
}

/* Bytes of weights of y = f16(x w), all of w's 64 x 32 numbers `weight`, times 3. */
static int64_t payload_of_half_product(const char *weight)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    const char *text =
        arena_printf(c->perm,
                     "graph t(%%x: f32[3,64]) {\n"
                     "  %%w = const f16[64,32] {*%s}\n"
                     "  %%k = const f32[] {3}\n"
                     "  %%v = Cast(%%w) {to=1} : f32[64,32]\n"
                     "  %%u = Mul(%%v, %%k) : f32[64,32]\n"
                     "  %%y = MatMul(%%x, %%u) : f32[3,32]\n"
                     "  return %%y\n"
                     "}\n",
                     weight);

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(passes_run(c, g, NULL));
    const struct outcome out = run_graph(c, g, false, 1e-4f);

    compile_destroy(c);
    return out.payload;
}

/* 0x3c00 is 1, and float16 holds 3; 0x3c01 is 1 + 2^-10, and not its triple. */
TEST(module_stores_weights_of_models_in_16_bits_so_where_they_fit)
{
    CHECK_EQ(payload_of_half_product("0x3c00") / 1024, 64 * 32 * 2 / 1024);
    CHECK_EQ(payload_of_half_product("0x3c01") / 1024, 64 * 32 * 4 / 1024);
}

TEST(module_multiplies_two_computed_matrices_in_either_order)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[4,3], %y: f32[5,4], %c: f32[5]) {\n"
        "  %w = const f32[5] {1, 2, -3, 4, 0.5}\n"
        "  %g = Gemm(%x, %y, %w) {alpha=0.5, beta=2, transA=1, transB=1} : f32[3,5]\n"
        "  %h = Gemm(%x, %y, %c) {transA=1, transB=1} : f32[3,5]\n"
        "  return %g, %h\n"
        "}\n",
        1e-5f);

    CHECK_EQ(o.n_emitted, 2);
}

TEST(module_reads_an_image_of_few_channels_through_its_transpose)
{
    const struct outcome o = run_text(
        "graph t(%x: f32[1,2,6,5]) {\n"
        "  %w = const f32[4,2,1,1] {1, 2, -1, 0, 3, 1, 1, -2}\n"
        "  %t = Transpose(%x) {perm=[0,2,3,1]} : f32[1,6,5,2]\n"
        "  %a = Conv(%t, %w) {channels_last=1, kernel_shape=[1,1]} : f32[1,6,5,4]\n"
        "  return %a\n"
        "}\n",
        1e-5f);

    CHECK_EQ(o.n_steps, 1);
}

static void print_floats(struct text *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        text_printf(t, "%s%d", i ? ", " : "", (int)(draw() % 9) - 4);
}

/* x [1, h, w, groups * c_in] and kernels [k, k], `extra` more rows and columns. */
static struct outcome run_transposed(int h, int w, int groups, int c_in, int c_out,
                                     int k, int stride, int pad, int extra)
{
    const int oh = (h - 1) * stride - 2 * pad + k + extra;
    const int ow = (w - 1) * stride - 2 * pad + k + extra;
    struct text t = {0};

    text_printf(&t, "graph t(%%x: f32[1,%d,%d,%d]) {\n  %%w = const f32[%d,%d,%d,%d] {",
                h, w, groups * c_in, groups * c_in, c_out, k, k);
    print_floats(&t, groups * c_in * c_out * k * k);
    text_printf(&t, "}\n  %%b = const f32[%d] {", groups * c_out);
    print_floats(&t, groups * c_out);
    text_printf(&t,
                "}\n  %%y = ConvTranspose(%%x, %%w, %%b) {kernel_shape=[%d,%d], "
                "strides=[%d,%d], dilations=[1,1], pads=[%d,%d,%d,%d], "
                "output_padding=[%d,%d], group=%d, channels_last=1} : f32[1,%d,%d,%d]\n"
                "  %%z = Relu(%%y) : f32[1,%d,%d,%d]\n"
                "  return %%z\n}\n",
                k, k, stride, stride, pad, pad, pad, pad, extra, extra, groups, oh, ow,
                groups * c_out, oh, ow, groups * c_out);
    const struct outcome o = run_text(t.bytes, 1e-5f);

    text_free(&t);
    return o;
}

TEST(module_splits_transposed_convolutions_into_phases)
{
    CHECK_EQ(run_transposed(4, 5, 1, 3, 20, 2, 2, 0, 0).n_emitted, 4);
    CHECK_EQ(run_transposed(4, 5, 1, 3, 5, 4, 2, 1, 0).n_emitted, 4);
    CHECK_EQ(run_transposed(3, 5, 2, 3, 5, 3, 2, 1, 1).n_emitted, 4);
    CHECK_EQ(run_transposed(5, 4, 1, 2, 3, 5, 3, 0, 1).n_emitted, 9);
    CHECK_EQ(run_transposed(5, 4, 1, 2, 3, 3, 1, 2, 0).n_emitted, 1);
    CHECK_EQ(run_transposed(6, 5, 18, 1, 1, 4, 2, 1, 0).n_emitted, 4);
    CHECK_EQ(run_transposed(4, 5, 1, 3, 4, 2, 3, 0, 0).n_emitted, 0); /* holes */
}

/* ---- control flow ------------------------------------------------------- */

static const char branches[] = "graph t(%x: f32[2,3], %c: bool[]) {\n"
                               "  %y = If(%c) : f32[2,3]\n"
                               "  body yes() {\n"
                               "    %a = Relu(%x) : f32[2,3]\n"
                               "    return %a\n"
                               "  }\n"
                               "  body no() {\n"
                               "    %b = Neg(%x) : f32[2,3]\n"
                               "    %d = Add(%b, %x) : f32[2,3]\n"
                               "    return %d\n"
                               "  }\n"
                               "  %z = Neg(%y) : f32[2,3]\n"
                               "  return %z\n"
                               "}\n";

TEST(module_takes_the_branch_that_the_condition_names)
{
    for (seed = 1; seed < 60; seed += 19) /* both conditions are drawn */
        run_text(branches, 0.0f);
}

/* Fibonacci on vectors: the two states change places, each round is kept. */
TEST(module_repeats_a_body_and_collects_its_rows)
{
    const struct outcome o =
        run_text("graph t(%x: f32[3], %y: f32[3]) {\n"
                 "  %n = const i64[] {5}\n"
                 "  %p, %q, %rows = Loop(%n, _, %x, %y) : f32[3], f32[3], f32[5,3]\n"
                 "  body round(%i: i64[], %go: bool[], %a: f32[3], %b: f32[3]) {\n"
                 "    %s = Add(%a, %b) : f32[3]\n"
                 "    %h = Sub(%s, %x) : f32[3]\n"
                 "    return %go, %b, %s, %h\n"
                 "  }\n"
                 "  return %p, %q, %rows\n"
                 "}\n",
                 0.0f);

    CHECK(o.n_steps > 5);
}

/* ---- the object --------------------------------------------------------- */

/* Emitted products count subnormal numbers as zeros, nothing after them does. */
TEST(module_keeps_subnormal_numbers_outside_of_products)
{
    run_text("graph t(%x: f32[1,4,5,5]) {\n"
             "  %w = const f32[4,4,1,1] {*0.25}\n"
             "  %tiny = const f32[] {1e-39}\n"
             "  %a = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,4,5,5]\n"
             "  %b = Abs(%a) : f32[1,4,5,5]\n"
             "  %c = Mul(%b, %tiny) : f32[1,4,5,5]\n"
             "  %d = Log(%c) : f32[1,4,5,5]\n"
             "  return %d\n"
             "}\n",
             1e-6f);
}

TEST(module_emits_the_same_bytes_every_time)
{
    struct bytes object[2];
    struct arena *a = arena_create();
    const struct isa isa = host_isa(a);

    for (int i = 0; i < 2; i++) {
        struct compile *c = compile_create();
        struct ir_graph *g;
        struct program *p;

        CHECK_OK(ir_parse(c, residual_block, strlen(residual_block), &g));
        CHECK_OK(program_build(c, g, &isa, NULL, &p));
        planner_place(p);
        CHECK_OK(module_emit(a, p, &(struct model_names){.prefix = "t", .upper = "T"},
                             EMIT_OBJECT, &object[i]));
        compile_destroy(c);
    }
    CHECK_EQ(object[0].len, object[1].len);
    CHECK_BYTES(object[0].at, object[1].at, object[0].len);
    arena_destroy(a);
}
