/* SPDX-License-Identifier: Apache-2.0 */
/* links: frontend kernels runtime
 *
 * Convolutions, pools and resizing: small numbers by hand, and both layouts against
 * each other. */
#include <math.h>

#include "frontend/interpret.h"
#include "tests/test.h"

struct run {
    struct compile *c;
    struct arena *a;
    struct ir_graph *g;
    struct interpretation io;
};

static uint32_t seed = 1;

static float next_float(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

static void fill(struct arena *a, const struct ir_value *v, struct tensor *t)
{
    float *data = arena_new_array(a, float, ir_count(v));

    for (int64_t i = 0; i < ir_count(v); i++)
        data[i] = next_float();
    *t = (struct tensor){.dtype = v->dtype, .rank = v->rank, .data = data};
    memcpy(t->dim, v->dim, sizeof t->dim);
}

/* Inputs that are not given are random. */
static void start(struct run *r, const char *text, const float *given)
{
    struct tensor in[8];

    *r = (struct run){.c = compile_create(), .a = arena_create()};
    CHECK_OK(ir_parse(r->c, text, strlen(text), &r->g));
    for (int i = 0; i < r->g->n_in; i++)
        fill(r->a, r->g->in[i], &in[i]);
    if (given)
        memcpy(in[0].data, given, (size_t)ir_bytes(r->g->in[0]));
    CHECK_OK(interpret(r->a, r->g, in, &r->io));
}

static const float *out(const struct run *r, int i)
{
    return r->io.by_id[r->g->out[i]->id].data;
}

static void end(struct run *r)
{
    arena_destroy(r->a);
    compile_destroy(r->c);
}

/* The graph's two results, of one shape, agree to `tolerance`. */
static void check_twins(const char *text, float tolerance)
{
    struct run r;

    start(&r, text, NULL);
    CHECK(ir_same_shape(r.g->out[0], r.g->out[1]));
    for (int64_t i = 0; i < ir_count(r.g->out[0]); i++)
        CHECK(fabsf(out(&r, 0)[i] - out(&r, 1)[i]) <= tolerance);
    end(&r);
}

static void check_floats(const char *text, const float *in, const float *want, int n)
{
    struct run r;

    start(&r, text, in);
    CHECK_EQ(ir_count(r.g->out[0]), n);
    for (int i = 0; i < n; i++)
        CHECK(fabsf(out(&r, 0)[i] - want[i]) < 1e-6f);
    end(&r);
}

/* ---- both layouts ------------------------------------------------------------------
 */

/* `op` with operands and attributes, on x and on x with channels last. */
#define TWINS(in, extra, out, op, operands, attrs)                                     \
    "graph g(%x: f32" in extra ") {\n"                                                 \
    "  %a = " op "(%x" operands ") {" attrs "} : f32" out "\n"                         \
    "  %t = Transpose(%x) {perm=[0,2,3,1]}\n"                                          \
    "  %l = " op "(%t" operands ") {" attrs ", channels_last=1}\n"                     \
    "  %b = Transpose(%l) {perm=[0,3,1,2]} : f32" out "\n"                             \
    "  return %a, %b\n"                                                                \
    "}\n"

TEST(convolution_is_the_same_in_both_layouts)
{
    /* Blocks of 16 channels and a rest, borders on every side, rest of a pixel tile. */
    check_twins(TWINS("[2,5,9,11]", ", %w: f32[37,5,3,2], %c: f32[37]", "[2,37,5,12]",
                      "Conv", ", %w, %c",
                      "strides=[2,1], pads=[1,1,1,2], dilations=[1,2]"),
                1e-5f);
    check_twins(TWINS("[1,6,7,7]", ", %w: f32[36,2,1,1]", "[1,36,7,7]", "Conv", ", %w",
                      "group=3"),
                1e-5f);
}

TEST(depthwise_convolution_is_the_same_in_both_layouts)
{
    check_twins(TWINS("[1,19,8,8]", ", %w: f32[19,1,3,3], %c: f32[19]", "[1,19,4,4]",
                      "Conv", ", %w, %c", "group=19, strides=[2,2], pads=[0,0,1,1]"),
                1e-5f);
}

TEST(transposed_convolution_is_the_same_in_both_layouts)
{
    check_twins(TWINS("[2,4,5,6]", ", %w: f32[4,9,3,2], %c: f32[18]", "[2,18,11,8]",
                      "ConvTranspose", ", %w, %c",
                      "group=2, strides=[2,1], pads=[0,0,0,0], output_padding=[0,1], "
                      "dilations=[1,1]"),
                1e-5f);
}

TEST(pools_are_the_same_in_both_layouts)
{
    check_twins(TWINS("[2,5,9,9]", "", "[2,5,5,5]", "MaxPool", "",
                      "kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]"),
                0);
    check_twins(
        TWINS("[2,5,9,8]", "", "[2,5,5,4]", "AveragePool", "",
              "kernel_shape=[3,2], strides=[2,2], pads=[1,0,1,0], count_include_pad=1"),
        0);
    check_twins(TWINS("[1,3,6,6]", "", "[1,3,3,3]", "LpPool", "",
                      "kernel_shape=[2,2], strides=[2,2], p=2"),
                0);
}

TEST(resize_is_the_same_in_both_layouts)
{
    check_twins(
        TWINS(
            "[1,3,4,5]", "", "[1,3,8,10]", "Resize", "",
            "mode=\"nearest\", coordinate_transformation_mode=\"asymmetric\", "
            "nearest_mode=\"floor\", sizes=[1,3,8,10], scales=floats[1.0,1.0,2.0,2.0]"),
        0);
    check_twins(
        TWINS("[2,3,4,5]", "", "[2,3,7,10]", "Resize", "",
              "mode=\"linear\", sizes=[2,3,7,10], scales=floats[1.0,1.0,1.75,2.0]"),
        1e-6f);
}

TEST(block_operators_are_the_same_in_both_layouts)
{
    check_twins(TWINS("[2,12,3,4]", "", "[2,3,6,8]", "DepthToSpace", "",
                      "blocksize=2, mode=\"CRD\""),
                0);
    check_twins(TWINS("[2,12,3,4]", "", "[2,3,6,8]", "DepthToSpace", "",
                      "blocksize=2, mode=\"DCR\""),
                0);
    check_twins(TWINS("[2,3,6,4]", "", "[2,12,3,2]", "SpaceToDepth", "", "blocksize=2"),
                0);
}

/* ---- by hand ------------------------------------------------------------------------
 */

TEST(convolution_skips_padding)
{
    check_floats("graph g(%x: f32[1,1,3]) {\n"
                 "  %w = const f32[1,1,3] {1, 10, 100}\n"
                 "  %b = const f32[1] {1000}\n"
                 "  %y = Conv(%x, %w, %b) {pads=[1,1]} : f32[1,1,3]\n"
                 "  return %y\n"
                 "}\n",
                 (float[]){1, 2, 3}, (float[]){1210, 1321, 1032}, 3);
}

TEST(average_divides_by_the_elements_inside)
{
    check_floats("graph g(%x: f32[1,1,3]) {\n"
                 "  %y = AveragePool(%x) {kernel_shape=[2], pads=[1,1]} : f32[1,1,4]\n"
                 "  return %y\n"
                 "}\n",
                 (float[]){2, 4, 8}, (float[]){2, 3, 6, 8}, 4);
}

/* The second window would start in the end padding: it is dropped. */
TEST(ceil_mode_drops_a_window_that_starts_in_the_end_padding)
{
    check_floats(
        "graph g(%x: f32[1,1,3]) {\n"
        "  %y = MaxPool(%x) {kernel_shape=[2], strides=[3], pads=[0,1], ceil_mode=1}"
        " : f32[1,1,1]\n"
        "  return %y\n"
        "}\n",
        (float[]){7, 9, 11}, (float[]){9}, 1);
}

TEST(linear_resize_reads_the_edge_beside_the_input)
{
    check_floats(
        "graph g(%x: f32[1,1,2]) {\n"
        "  %y = Resize(%x) {mode=\"linear\", sizes=[1,1,4], scales=floats[1.0,1.0,2.0]}"
        " : f32[1,1,4]\n"
        "  return %y\n"
        "}\n",
        (float[]){0, 8}, (float[]){0, 2, 6, 8}, 4);
}

TEST(a_window_that_does_not_fit_is_refused)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    const char *text = "graph g(%x: f32[1,1,3]) {\n"
                       "  %y = MaxPool(%x) {kernel_shape=[5]}\n"
                       "  return %y\n"
                       "}\n";

    CHECK_FAILS(ir_parse(c, text, strlen(text), &g), INVALID, "does not fit");
    compile_destroy(c);
}
