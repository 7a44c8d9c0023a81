/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* What the cost model is asked about the steps of small graphs. */
#include "codegen/step_work.h"
#include "frontend/pass.h"
#include "tests/program_test.h"

/* The work of the last step of a graph's program. */
static struct work last_work(const char *text, enum winograd_use winograd)
{
    const struct program_options o = {.winograd = winograd};
    struct compile *c = compile_create();
    const struct isa isa = host_isa(c->perm);
    struct ir_graph *g;
    struct program *p;
    int n_units;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(pass_channels_last(c, g));
    CHECK_OK(program_build(c, g, &isa, &o, &p));

    const struct unit *units = units_find(g, &n_units);
    const struct work w = step_work(p, &p->steps[p->n_steps - 1], n_units, units);

    compile_destroy(c);
    return w;
}

static int64_t depth_of(const struct work *w)
{
    return w->macs_per_channel / w->rows;
}

TEST(a_softmax_is_rows_of_a_length)
{
    const struct work w = last_work("graph t(%x: f32[6,50]) {\n"
                                    "  %a = Softmax(%x) {axis=1} : f32[6,50]\n"
                                    "  return %a\n"
                                    "}\n",
                                    WINOGRAD_IN_ROOM);

    CHECK_EQ(w.kind, WORK_SOFTMAX);
    CHECK_EQ(w.rows, 6);
    CHECK_EQ(depth_of(&w), 50);
    CHECK_EQ(w.in_elements, 2 * 4 * 6 * 50);
}

/* 30 operations of a logarithm and one of an addition, for 12 elements. */
TEST(functions_count_their_operations)
{
    const struct work w = last_work("graph t(%x: f32[3,4]) {\n"
                                    "  %a = Add(%x, %x) : f32[3,4]\n"
                                    "  %b = Log(%a) : f32[3,4]\n"
                                    "  return %b\n"
                                    "}\n",
                                    WINOGRAD_IN_ROOM);

    CHECK_EQ(w.kind, WORK_FUNCTION);
    CHECK_EQ(w.rows, 12);
    CHECK_EQ(depth_of(&w), 31);
}

TEST(what_computes_next_to_nothing_moves_its_bytes)
{
    const struct work w = last_work("graph t(%x: f32[3,4]) {\n"
                                    "  %a = Add(%x, %x) : f32[3,4]\n"
                                    "  return %a\n"
                                    "}\n",
                                    WINOGRAD_IN_ROOM);

    CHECK_EQ(w.kind, WORK_MOVE);
    CHECK(w.in_elements >= 2 * 4 * 12);
}

#define WINDOW                                                                         \
    "graph t(%x: f32[1,28,28,64]) {\n"                                                 \
    "  %t = Transpose(%x) {perm=[0,3,1,2]} : f32[1,64,28,28]\n"                        \
    "  %w = const f32[64,64,3,3] {*0.25}\n"                                            \
    "  %a = Conv(%t, %w) {kernel_shape=[3,3], pads=[1,1,1,1]} : f32[1,64,28,28]\n"     \
    "  %b = Transpose(%a) {perm=[0,2,3,1]} : f32[1,28,28,64]\n"                        \
    "  return %b\n"                                                                    \
    "}\n"

TEST(windows_are_of_the_kind_that_the_program_chose)
{
    const struct work direct = last_work(WINDOW, WINOGRAD_NEVER);
    const struct work winograd = last_work(WINDOW, WINOGRAD_ALWAYS);

    CHECK_EQ(direct.kind, WORK_WINDOW);
    CHECK_EQ(direct.rows, 28 * 28);
    CHECK_EQ(depth_of(&direct), 64 * 9);
    CHECK_EQ(winograd.kind, WORK_WINOGRAD);
    CHECK_EQ(depth_of(&winograd), 64 * 9);
}

TEST(a_pool_has_channels_a_window_and_outputs)
{
    const struct work w = last_work(
        "graph t(%x: f32[1,8,8,32]) {\n"
        "  %t = Transpose(%x) {perm=[0,3,1,2]} : f32[1,32,8,8]\n"
        "  %a = MaxPool(%t) {kernel_shape=[2,2], strides=[2,2]} : f32[1,32,4,4]\n"
        "  %b = Transpose(%a) {perm=[0,2,3,1]} : f32[1,4,4,32]\n"
        "  return %b\n"
        "}\n",
        WINOGRAD_IN_ROOM);

    CHECK_EQ(w.kind, WORK_POOL);
    CHECK_EQ(w.channels, 32);
    CHECK_EQ(depth_of(&w), 4);
    CHECK_EQ(w.rows, 16);
    CHECK_EQ(w.activation_bits, 32);
}
