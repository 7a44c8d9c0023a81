/* SPDX-License-Identifier: Apache-2.0 */
/* links: frontend kernels runtime
 *
 * Small graphs as text, run by the interpreter. */
#include "frontend/interpret.h"
#include "frontend/lower.h"
#include "kernels/half.h"
#include "tests/test.h"

struct run {
    struct compile *c;
    struct arena *a;
    struct ir_graph *g;
    struct interpretation io;
};

static struct status *start(struct run *r, const char *text, const struct tensor *in)
{
    *r = (struct run){.c = compile_create(), .a = arena_create()};
    RETURN_IF_FAIL(ir_parse(r->c, text, strlen(text), &r->g));
    return interpret(r->a, r->g, in, &r->io);
}

static void end(struct run *r)
{
    arena_destroy(r->a);
    compile_destroy(r->c);
}

static const void *result(const struct run *r)
{
    return r->io.by_id[r->g->out[0]->id].data;
}

static struct tensor floats(int n, float *x)
{
    return (struct tensor){.dtype = DT_f32, .rank = 1, .dim = {n}, .data = x};
}

TEST(a_chain_of_nodes_is_run_in_order)
{
    float x[3] = {1, -2, 3};
    const struct tensor in = floats(3, x);
    struct run r;

    CHECK_OK(start(&r,
                   "graph g(%x: f32[3]) {\n"
                   "  %two = const f32[] {2}\n"
                   "  %a = Mul(%x, %two) : f32[3]\n"
                   "  %y = Relu(%a) : f32[3]\n"
                   "  return %y\n"
                   "}\n", &in));
    CHECK_BYTES(result(&r), ((float[]){2, 0, 6}), 3 * sizeof(float));
    end(&r);
}

TEST(an_input_of_another_shape_is_refused)
{
    float x[3] = {0};
    const struct tensor in = floats(3, x);
    struct run r;

    CHECK_FAILS(start(&r,
                      "graph g(%x: f32[4]) {\n"
                      "  %y = Neg(%x) : f32[4]\n"
                      "  return %y\n"
                      "}\n", &in), INVALID, "input 'x' has another type or shape");
    end(&r);
}

/* 1 + 2^-11 is a tie between f16 neighbours: the sum is rounded to even once. */
TEST(halves_are_computed_in_float_and_rounded_once)
{
    uint16_t x[2] = {f16_of_f32(1.0f), f16_of_f32(1.0f + 0x1p-10f)};
    const struct tensor in = {.dtype = DT_f16, .rank = 1, .dim = {2}, .data = x};
    struct run r;

    CHECK_OK(start(&r,
                   "graph g(%x: f16[2]) {\n"
                   "  %y = Add(%x, %x) : f16[2]\n"
                   "  %z = Sqrt(%y) : f16[2]\n"
                   "  return %z\n"
                   "}\n", &in));
    const uint16_t *z = result(&r);
    CHECK_EQ(z[0], f16_of_f32(1.41421356f));
    end(&r);
}

TEST(a_reduction_of_halves_is_lowered_between_casts)
{
    uint16_t x[4];
    const struct tensor in = {.dtype = DT_f16, .rank = 1, .dim = {4}, .data = x};
    struct run r;
    struct lowering lw;

    for (int i = 0; i < 4; i++)
        x[i] = f16_of_f32((float)i);
    CHECK_OK(start(&r,
                   "graph g(%x: f16[4]) {\n"
                   "  %y = ReduceSum(%x) {axes=[0], keepdims=0} : f16[]\n"
                   "  return %y\n"
                   "}\n", &in));
    CHECK_EQ(*(const uint16_t *)result(&r), f16_of_f32(6.0f));
    CHECK_OK(lower_node(r.c, r.g->first, &lw));
    CHECK_EQ(lw.n_calls, 3);
    CHECK_TEXT(lw.calls[0]->kernel->name, "cast_f16_f32");
    CHECK_TEXT(lw.calls[1]->kernel->name, "reduce_sum_f32");
    CHECK_TEXT(lw.calls[2]->kernel->name, "cast_f32_f16");
    end(&r);
}

TEST(squares_and_cubes_are_products)
{
    float x[2] = {3, -2};
    const struct tensor in = floats(2, x);
    struct run r;

    CHECK_OK(start(&r,
                   "graph g(%x: f32[2]) {\n"
                   "  %three = const f32[] {3}\n"
                   "  %y = Pow(%x, %three) : f32[2]\n"
                   "  return %y\n"
                   "}\n", &in));
    CHECK_BYTES(result(&r), ((float[]){27, -8}), 2 * sizeof(float));
    end(&r);
}

TEST(an_operator_without_a_kernel_for_the_type_says_so)
{
    uint8_t x[2] = {1, 2};
    const struct tensor in = {.dtype = DT_u8, .rank = 1, .dim = {2}, .data = x};
    struct run r;

    CHECK_FAILS(start(&r,
                      "graph g(%x: u8[2]) {\n"
                      "  %y = Tanh(%x) : u8[2]\n"
                      "  return %y\n"
                      "}\n", &in), UNSUPPORTED, "is not implemented for u8");
    end(&r);
}

/* One scale per row: 2 and 0.5. */
TEST(dequantize_takes_one_scale_per_index_of_the_axis)
{
    int8_t q[4] = {1, 2, 3, 4};
    const struct tensor in = {.dtype = DT_i8, .rank = 2, .dim = {2, 2}, .data = q};
    struct run r;

    CHECK_OK(start(&r,
                   "graph g(%q: i8[2,2]) {\n"
                   "  %s = const f32[2] {2, 0.5}\n"
                   "  %z = const i8[] {1}\n"
                   "  %y = DequantizeLinear(%q, %s, %z) {axis=0, block_size=0} : f32[2,2]\n"
                   "  return %y\n"
                   "}\n", &in));
    CHECK_BYTES(result(&r), ((float[]){0, 2, 1, 1.5f}), 4 * sizeof(float));
    end(&r);
}
