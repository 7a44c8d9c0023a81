/* SPDX-License-Identifier: Apache-2.0 */
// links: plan hal frontend kernels runtime
/* Which nodes are units, and how much each computes. */
#include "frontend/pass.h"
#include "plan/units.h"
#include "tests/test.h"

static struct unit *find(struct compile *c, const char *text, int *n)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    return units_find(g, n);
}

#define CONV "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"

/* 6 channels of 4 x 4, each output a sum of 2 x 3 x 3 = 18 products: 96 x 18. */
TEST(a_convolution_counts_its_group_only)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u = find(c,
                                "graph t(%x: f32[1,4,4,4]) {\n"
                                "  %w = const f32[6,2,3,3] {*1}\n"
                                "  %y = Conv(%x, %w) {" CONV ", group=2} : f32[1,6,4,4]"
                                " \"conv1\" #0\n"
                                "  return %y\n}\n",
                                &n);

    CHECK_EQ(n, 1);
    CHECK_TEXT(u->name, "conv1");
    CHECK_EQ(u->weight_operand, 1);
    CHECK_EQ(u->channels, 6);
    CHECK_EQ(u->n_weights, 108);
    CHECK_EQ(u->k, 18);
    CHECK_EQ(u->macs, 96 * 18);
    CHECK_EQ(u->in_elements, 64);
    CHECK_EQ(u->out_elements, 96);
    compile_destroy(c);
}

/* Every one of 2 x 3 x 3 inputs goes to 4 x 2 x 2 outputs. */
TEST(a_transposed_convolution_counts_from_its_inputs)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u =
        find(c,
             "graph t(%x: f32[1,2,3,3]) {\n"
             "  %w = const f32[2,4,2,2] {*1}\n"
             "  %y = ConvTranspose(%x, %w) {kernel_shape=[2,2], strides=[2,2],"
             " dilations=[1,1], pads=[0,0,0,0]} : f32[1,4,6,6]\n"
             "  return %y\n}\n",
             &n);

    CHECK_EQ(n, 1);
    CHECK_EQ(u->channels, 4);
    CHECK_EQ(u->macs, 18 * 16);
    CHECK_EQ(u->n_weights, 32);
    compile_destroy(c);
}

/* [5,3] x [3,7]: 35 x 3, whichever way the weights are stored. */
TEST(products_count_rows_times_columns_times_depth)
{
    static const char *const nodes[] = {
        "%w = const f32[3,7] {*1}\n  %y = MatMul(%x, %w) : f32[5,7]",
        "%w = const f32[3,7] {*1}\n  %y = Gemm(%x, %w) : f32[5,7]",
        "%w = const f32[7,3] {*1}\n  %y = Gemm(%x, %w) {transB=1} : f32[5,7]",
    };

    for (int i = 0; i < 3; i++) {
        struct compile *c = compile_create();
        int n;
        const struct unit *u = find(
            c,
            arena_printf(c->perm, "graph t(%%x: f32[5,3]) {\n  %s\n  return %%y\n}\n",
                         nodes[i]),
            &n);

        CHECK_EQ(n, 1);
        CHECK_EQ(u->channels, 7);
        CHECK_EQ(u->k, 3);
        CHECK_EQ(u->macs, 105);
        CHECK_EQ(u->in_elements, 15);
        compile_destroy(c);
    }
}

/* [4,5] x [5,3]: weights on the left, 4 rows of them. */
TEST(a_product_may_have_its_weights_on_the_left)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u = find(c,
                                "graph t(%x: f32[5,3]) {\n"
                                "  %w = const f32[4,5] {*1}\n"
                                "  %y = MatMul(%w, %x) : f32[4,3]\n"
                                "  return %y\n}\n",
                                &n);

    CHECK_EQ(n, 1);
    CHECK_EQ(u->weight_operand, 0);
    CHECK_EQ(u->channels, 4);
    CHECK_EQ(u->k, 5);
    CHECK_EQ(u->macs, 60);
    CHECK_EQ(u->in_elements, 15);
    compile_destroy(c);
}

TEST(a_product_of_two_activations_or_of_integers_is_no_unit)
{
    struct compile *c = compile_create();
    int n;

    find(c,
         "graph t(%x: f32[2,2], %i: i32[2,2]) {\n"
         "  %w = const i32[2,2] {*1}\n"
         "  %a = MatMul(%x, %x) : f32[2,2]\n"
         "  %b = MatMul(%i, %w) : i32[2,2]\n"
         "  %c = Relu(%a) : f32[2,2]\n"
         "  return %b, %c\n}\n",
         &n);
    CHECK_EQ(n, 0);
    compile_destroy(c);
}

TEST(nodes_of_one_name_are_told_apart)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u = find(c,
                                "graph t(%x: f32[2,2]) {\n"
                                "  %w = const f32[2,2] {*1}\n"
                                "  %a = MatMul(%x, %w) : f32[2,2] \"fc\" #0\n"
                                "  %b = MatMul(%a, %w) : f32[2,2] \"fc\" #1\n"
                                "  return %b\n}\n",
                                &n);

    CHECK_EQ(n, 2);
    CHECK_TEXT(u[0].name, "fc");
    CHECK_TEXT(u[1].name, "fc #2");
    compile_destroy(c);
}

/* 105 macs over 7 channels are 15 each. */
TEST(a_unit_becomes_work_for_the_cost_model)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u = find(c,
                                "graph t(%x: f32[5,3]) {\n"
                                "  %w = const f32[3,7] {*1}\n"
                                "  %y = MatMul(%x, %w) : f32[5,7]\n"
                                "  return %y\n}\n",
                                &n);
    const struct work w = unit_work(u, 4, 8);

    CHECK_EQ(w.macs_per_channel, 15);
    CHECK_EQ(w.channels, 7);
    CHECK_EQ(w.weights, 21);
    CHECK_EQ(w.in_elements, 15);
    CHECK_EQ(w.out_elements, 35);
    CHECK(w.weight_bits == 4 && w.activation_bits == 8);
    compile_destroy(c);
}

TEST(codes_that_a_model_brought_are_a_unit_of_8_bits)
{
    struct compile *c = compile_create();
    int n;
    const struct unit *u = find(c,
                                "graph t(%x: u8[2,3]) {\n"
                                "  %w = const i8[3,4] {*1}\n"
                                "  %y = MatMulInteger(%x, %w) : i32[2,4] \"fc\" #0\n"
                                "  return %y\n}\n",
                                &n);

    CHECK_EQ(n, 1);
    CHECK_TEXT(u->name, "fc");
    CHECK_EQ(u->weight_bits, 8);
    CHECK_EQ(u->activation_bits, 8);
    CHECK_EQ(u->channels, 4);
    CHECK_EQ(u->k, 3);
    CHECK_EQ(u->macs, 24);
    compile_destroy(c);
}

/* What quantization writes; without its word a Cast is an operator like others. */
TEST(weights_behind_a_cast_that_stays_are_a_unit_of_16_bits)
{
    static const char text[] = "graph t(%x: f32[2,3]) {\n"
                               "  %h = const f16[3,4] {*0x3c00}\n"
                               "  %w = Cast(%h) {to=1} : f32[3,4]\n"
                               "  %y = MatMul(%x, %w) : f32[2,4] \"fc\" #0\n"
                               "  return %y\n}\n";
    struct compile *c = compile_create();
    int n;

    find(c, text, &n);
    CHECK_EQ(n, 0);
    compile_destroy(c);
    c = compile_create();
    c->halves_stay = true;

    const struct unit *u = find(c, text, &n);

    CHECK_EQ(n, 1);
    CHECK(u->weight_bits == 16 && u->activation_bits == 32);
    CHECK(u->channels == 4 && u->k == 3 && u->macs == 24 && u->n_weights == 12);
    compile_destroy(c);
}
