/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Samples side by side give what each gives alone in the interpreter. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/flow.h"
#include "frontend/interpret.h"
#include "support/random.h"

enum { N = 3 };

static const char convolutions[] =
    "graph g(%x: f32[2,4,5,6]) {\n"
    "  %w = const f32[6,2,3,2] {...}\n"
    "  %b = const f32[6] {1,-1,2,0.5,0,3}\n"
    "  %v = const f32[6,1,2,2] {...}\n"
    "  %u = const f32[3,6,1,1] {...}\n"
    "  %c = Conv(%x, %w, %b) {kernel_shape=[3,2], pads=[1,0,2,1], strides=[2,1], "
    "dilations=[1,2], group=2} : f32[2,6,3,5]\n"
    "  %r = Relu(%c) : f32[2,6,3,5]\n"
    "  %d = Conv(%r, %v) {kernel_shape=[2,2], pads=[1,1,0,0], strides=[1,1], "
    "dilations=[1,1], group=6} : f32[2,6,3,5]\n"
    "  %s = Add(%d, %r) : f32[2,6,3,5]\n"
    "  %y = Conv(%s, %u) {kernel_shape=[1,1], pads=[0,0,0,0], strides=[1,1], "
    "dilations=[1,1], group=1} : f32[2,3,3,5]\n"
    "  return %y\n"
    "}\n";

static const char products[] = "graph g(%x: f32[3,4]) {\n"
                               "  %w = const f32[4,5] {...}\n"
                               "  %b = const f32[5] {1,2,3,4,5}\n"
                               "  %v = const f32[2,5] {...}\n"
                               "  %a = Gemm(%x, %w, %b) : f32[3,5]\n"
                               "  %t = Tanh(%a) : f32[3,5]\n"
                               "  %y = Gemm(%t, %v) {transB=1} : f32[3,2]\n"
                               "  %z = MatMul(%x, %w) : f32[3,5]\n"
                               "  return %y, %z\n"
                               "}\n";

/* "{...}" is a constant of its own: filled here, the same on every run. */
static struct ir_graph *parse(struct compile *c, const char *text, struct random *r)
{
    struct text t = {0};
    struct ir_graph *g;

    for (const char *p = text; *p; p++) {
        if (strncmp(p, "{...}", 5) != 0) {
            text_append(&t, p, 1);
            continue;
        }
        const char *open = p;
        int64_t n = 1;

        while (open[-1] != '[')
            open--;
        for (char *end = (char *)open; *end != ']';) {
            n *= strtol(end, &end, 10);
            end += *end == ',';
        }
        text_puts(&t, "{");
        for (int64_t i = 0; i < n; i++)
            text_printf(&t, "%s%.6f", i ? "," : "", 2.0 * random_unit(r) - 1.0);
        text_puts(&t, "}");
        p += 4;
    }
    CHECK_OK(ir_parse(c, t.bytes, t.len, &g));
    text_free(&t);
    return g;
}

static void compare(const char *text)
{
    struct random r = random_seeded(7);
    struct compile *c = compile_create();
    struct arena *a = arena_create();
    struct ir_graph *g = parse(c, text, &r);
    const int64_t count = ir_count(g->in[0]);
    void *inputs[N];
    struct flow *f;

    for (int i = 0; i < N; i++) {
        float *x = inputs[i] = arena_new_array(a, float, count);

        for (int64_t k = 0; k < count; k++)
            x[k] = (float)(2.0 * random_unit(&r) - 1.0);
    }
    CHECK_OK(flow_create_from(g, N, inputs, &f));
    for (const struct ir_node *n = g->first; n; n = n->next) {
        CHECK_OK(flow_run(f, n));
        flow_release(f, n);
    }
    for (int i = 0; i < N; i++) {
        struct tensor in = {.dtype = DT_f32, .rank = g->in[0]->rank, .data = inputs[i]};
        struct interpretation run;

        memcpy(in.dim, g->in[0]->dim, sizeof in.dim);
        CHECK_OK(interpret(a, g, &in, &run));
        for (int o = 0; o < g->n_out; o++) {
            const float *want = run.by_id[g->out[o]->id].data;
            const float *got = flow_at(f, g->out[o], i);

            for (int64_t k = 0; k < ir_count(g->out[o]); k++)
                CHECK(fabsf(got[k] - want[k]) < 1e-4f);
        }
    }
    flow_destroy(f);
    arena_destroy(a);
    compile_destroy(c);
}

TEST(convolutions_of_many_samples_equal_the_interpreters)
{
    compare(convolutions);
}

TEST(products_of_many_samples_equal_the_interpreters)
{
    compare(products);
}

TEST(what_a_fork_writes_its_origin_does_not_see)
{
    struct random r = random_seeded(1);
    struct compile *c = compile_create();
    struct ir_graph *g = parse(c, products, &r);
    float x[12] = {1};
    void *inputs[] = {x};
    struct flow *f, *fork;

    CHECK_OK(flow_create_from(g, 1, inputs, &f));
    fork = flow_fork(f);
    CHECK(flow_at(fork, g->in[0], 0) == flow_at(f, g->in[0], 0));
    flow_own(fork, g->in[0]);
    ((float *)flow_at(fork, g->in[0], 0))[0] = 5.0f;
    CHECK(((float *)flow_at(f, g->in[0], 0))[0] == 1.0f);
    flow_destroy(fork);
    flow_destroy(f);
    compile_destroy(c);
}

TEST(a_value_can_leave_a_flow_and_come_back)
{
    struct random r = random_seeded(1);
    struct compile *c = compile_create();
    struct ir_graph *g = parse(c, products, &r);
    float x[12] = {1, 2};
    void *inputs[] = {x};
    struct flow *f;

    CHECK_OK(flow_create_from(g, 1, inputs, &f));

    const struct flow_memory memory = flow_take(f, g->in[0]);

    CHECK(flow_at(f, g->in[0], 0) == NULL);
    CHECK(flow_take(f, g->in[0]).arena == NULL);
    flow_give(f, g->in[0], memory);
    CHECK(((float *)flow_at(f, g->in[0], 0))[1] == 2.0f);
    flow_destroy(f);
    compile_destroy(c);
}

/* x [3,4] and what Gemm makes of it [3,5], 48 and 60 bytes, in lines of 64. */
TEST(memory_is_that_of_the_values_that_live_at_once)
{
    struct random r = random_seeded(1);
    struct compile *c = compile_create();
    struct ir_graph *g = parse(c, products, &r);

    /* x, tanh's result and its input; later x, y and z. */
    CHECK_EQ(flow_bytes(g), 3 * 64);
    compile_destroy(c);
}
