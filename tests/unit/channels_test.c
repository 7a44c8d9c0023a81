/* SPDX-License-Identifier: Apache-2.0 */
// links: compress plan hal frontend kernels runtime
/* Which channels belong together, and that a network without some of them computes what
 * it does when nothing reads them. */
#include "tests/test.h"

#include <math.h>

#include "compress/shrink.h"
#include "frontend/interpret.h"

#define ONE   "kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0]"
#define THREE "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"
#define POOL  "kernel_shape=[2,2], strides=[2,2], dilations=[1,1], pads=[0,0,0,0]"

/* A residual block whose shortcut pads channels, as CIFAR ResNets have it. */
static const char residual[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w0 = const f32[3,2,3,3] {*1}\n"
    "  %w1 = const f32[4,3,3,3] {*1}\n"
    "  %w2 = const f32[5,4,3,3] {*1}\n"
    "  %w3 = const f32[2,5] {*1}\n"
    "  %b = const f32[5] {*1}\n"
    "  %a = Conv(%x, %w0) {" THREE "} : f32[1,3,4,4]\n"
    "  %c = Conv(%a, %w1) {" THREE "} : f32[1,4,4,4]\n"
    "  %d = Relu(%c) : f32[1,4,4,4]\n"
    "  %e = Conv(%d, %w2, %b) {" THREE "} : f32[1,5,4,4]\n"
    "  %f = Pad(%a) {pads=[0,1,0,0,0,1,0,0]} : f32[1,5,4,4]\n"
    "  %h = Add(%e, %f) : f32[1,5,4,4]\n"
    "  %m = ReduceMean(%h) {axes=[2,3], keepdims=0} : f32[1,5]\n"
    "  %y = Gemm(%m, %w3) {transB=1} : f32[1,2]\n"
    "  return %y\n"
    "}\n";

/* Concat, depthwise, Split, Slice, Transpose, Reshape into a classifier. */
static const char branches[] =
    "graph g(%x: f32[1,3,4,4]) {\n"
    "  %w0 = const f32[4,3,1,1] {*1}\n"
    "  %w1 = const f32[6,3,3,3] {*1}\n"
    "  %w2 = const f32[10,1,3,3] {*1}\n"
    "  %w3 = const f32[5,7,1,1] {*1}\n"
    "  %w4 = const f32[20,3] {*1}\n"
    "  %k = const f32[1,10,1,1] {*1}\n"
    "  %a = Conv(%x, %w0) {" ONE "} : f32[1,4,4,4]\n"
    "  %b = Conv(%x, %w1) {" THREE "} : f32[1,6,4,4]\n"
    "  %c = Concat(%a, %b) {axis=1} : f32[1,10,4,4]\n"
    "  %d = Conv(%c, %w2) {" THREE ", group=10} : f32[1,10,4,4]\n"
    "  %e = Mul(%d, %k) : f32[1,10,4,4]\n"
    "  %f, %f2 = Split(%e) {axis=1, split=[7,3]} : f32[1,7,4,4], f32[1,3,4,4]\n"
    "  %h = Conv(%f, %w3) {" ONE "} : f32[1,5,4,4]\n"
    "  %i = MaxPool(%h) {" POOL ", storage_order=0} : f32[1,5,2,2]\n"
    "  %j = Reshape(%i) {shape=[1,20]} : f32[1,20]\n"
    "  %s = Slice(%f2) {starts=[0,1,0,0], steps=[1,1,1,1], sizes=[1,2,4,4]} : "
    "f32[1,2,4,4]\n"
    "  %t = ReduceMax(%s) {axes=[1,2,3], keepdims=0} : f32[1]\n"
    "  %l = MatMul(%j, %w4) : f32[1,3]\n"
    "  %y = Add(%l, %t) : f32[1,3]\n"
    "  return %y\n"
    "}\n";

/* Two heads of 2, from 3 x 4 numbers, and three hidden units behind them. */
static const char attention[] =
    "graph g(%x: f32[1,3,4]) {\n"
    "  %q = const f32[4,4] {*1}\n"
    "  %k = const f32[4,4] {*1}\n"
    "  %v = const f32[4,4] {*1}\n"
    "  %o = const f32[4,4] {*1}\n"
    "  %u = const f32[4,3] {*1}\n"
    "  %z = const f32[3,2] {*1}\n"
    "  %xq = MatMul(%x, %q) : f32[1,3,4]\n"
    "  %xk = MatMul(%x, %k) : f32[1,3,4]\n"
    "  %xv = MatMul(%x, %v) : f32[1,3,4]\n"
    "  %rq = Reshape(%xq) {shape=[1,3,2,2]} : f32[1,3,2,2]\n"
    "  %k0 = Slice(%xk) {starts=[0,0,0], steps=[1,1,2], sizes=[1,3,2]} : f32[1,3,2]\n"
    "  %k1 = Slice(%xk) {starts=[0,0,1], steps=[1,1,2], sizes=[1,3,2]} : f32[1,3,2]\n"
    "  %n0 = Neg(%k0) : f32[1,3,2]\n"
    "  %r0 = Reshape(%n0) {shape=[1,3,2,1]} : f32[1,3,2,1]\n"
    "  %r1 = Reshape(%k1) {shape=[1,3,2,1]} : f32[1,3,2,1]\n"
    "  %rk = Concat(%r1, %r0) {axis=3} : f32[1,3,2,2]\n"
    "  %rv = Reshape(%xv) {shape=[1,3,2,2]} : f32[1,3,2,2]\n"
    "  %tq = Transpose(%rq) {perm=[0,2,1,3]} : f32[1,2,3,2]\n"
    "  %tk = Transpose(%rk) {perm=[0,2,3,1]} : f32[1,2,2,3]\n"
    "  %tv = Transpose(%rv) {perm=[0,2,1,3]} : f32[1,2,3,2]\n"
    "  %s = MatMul(%tq, %tk) : f32[1,2,3,3]\n"
    "  %p = Softmax(%s) {axis=3} : f32[1,2,3,3]\n"
    "  %a = MatMul(%p, %tv) : f32[1,2,3,2]\n"
    "  %ta = Transpose(%a) {perm=[0,2,1,3]} : f32[1,3,2,2]\n"
    "  %ra = Reshape(%ta) {shape=[1,3,4]} : f32[1,3,4]\n"
    "  %c = MatMul(%ra, %o) : f32[1,3,4]\n"
    "  %d = Add(%c, %x) : f32[1,3,4]\n"
    "  %h = MatMul(%d, %u) : f32[1,3,3]\n"
    "  %r = Relu(%h) : f32[1,3,3]\n"
    "  %y = MatMul(%r, %z) : f32[1,3,2]\n"
    "  return %y\n"
    "}\n";

/* Three groups of two inputs and three outputs. */
static const char groups[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w0 = const f32[6,2,1,1] {*1}\n"
    "  %w1 = const f32[9,2,3,3] {*1}\n"
    "  %w2 = const f32[4,9,1,1] {*1}\n"
    "  %w3 = const f32[2,4] {*1}\n"
    "  %s = const f32[9] {*1}\n"
    "  %a = Conv(%x, %w0) {" ONE "} : f32[1,6,4,4]\n"
    "  %b = Relu(%a) : f32[1,6,4,4]\n"
    "  %c = Conv(%b, %w1, %s) {" THREE ", group=3} : f32[1,9,4,4]\n"
    "  %d = Conv(%c, %w2) {" ONE "} : f32[1,4,4,4]\n"
    "  %m = ReduceMean(%d) {axes=[2,3], keepdims=0} : f32[1,4]\n"
    "  %y = Gemm(%m, %w3) {transB=1} : f32[1,2]\n"
    "  return %y\n"
    "}\n";

/* Four heads of queries, two of keys and values, which two queries share; the numbers
 * of a query are swapped, those of a key turned as positions are. */
static const char shared_heads[] =
    "graph g(%x: f32[1,3,4]) {\n"
    "  %q = const f32[4,8] {*1}\n"
    "  %k = const f32[4,4] {*1}\n"
    "  %v = const f32[4,4] {*1}\n"
    "  %o = const f32[8,4] {*1}\n"
    "  %z = const f32[4,2] {*1}\n"
    "  %i = const i64[2] {1,0}\n"
    "  %xq = MatMul(%x, %q) : f32[1,3,8]\n"
    "  %xk = MatMul(%x, %k) : f32[1,3,4]\n"
    "  %xv = MatMul(%x, %v) : f32[1,3,4]\n"
    "  %rq = Reshape(%xq) {shape=[1,3,4,2]} : f32[1,3,4,2]\n"
    "  %sq = Gather(%rq, %i) {axis=3} : f32[1,3,4,2]\n"
    "  %rk = Reshape(%xk) {shape=[1,3,2,2]} : f32[1,3,2,2]\n"
    "  %rv = Reshape(%xv) {shape=[1,3,2,2]} : f32[1,3,2,2]\n"
    "  %tq = Transpose(%sq) {perm=[0,2,1,3]} : f32[1,4,3,2]\n"
    "  %tk = Transpose(%rk) {perm=[0,2,3,1]} : f32[1,2,2,3]\n"
    "  %tv = Transpose(%rv) {perm=[0,2,1,3]} : f32[1,2,3,2]\n"
    "  %uk = Reshape(%tk) {shape=[1,2,1,2,3]} : f32[1,2,1,2,3]\n"
    "  %uv = Reshape(%tv) {shape=[1,2,1,3,2]} : f32[1,2,1,3,2]\n"
    "  %ek = Expand(%uk) {shape=[1,2,2,2,3]} : f32[1,2,2,2,3]\n"
    "  %ev = Expand(%uv) {shape=[1,2,2,3,2]} : f32[1,2,2,3,2]\n"
    "  %hk = Reshape(%ek) {shape=[1,4,2,3]} : f32[1,4,2,3]\n"
    "  %hv = Reshape(%ev) {shape=[1,4,3,2]} : f32[1,4,3,2]\n"
    "  %s = MatMul(%tq, %hk) : f32[1,4,3,3]\n"
    "  %p = Softmax(%s) {axis=3} : f32[1,4,3,3]\n"
    "  %a = MatMul(%p, %hv) : f32[1,4,3,2]\n"
    "  %ta = Transpose(%a) {perm=[0,2,1,3]} : f32[1,3,4,2]\n"
    "  %ra = Reshape(%ta) {shape=[1,3,8]} : f32[1,3,8]\n"
    "  %c = MatMul(%ra, %o) : f32[1,3,4]\n"
    "  %y = MatMul(%c, %z) : f32[1,3,2]\n"
    "  return %y\n"
    "}\n";

/* Queries, keys and values of two heads from one product, told apart by an index in
 * front of the heads. */
static const char stacked[] =
    "graph g(%x: f32[1,3,4]) {\n"
    "  %w = const f32[4,12] {*1}\n"
    "  %o = const f32[4,2] {*1}\n"
    "  %qkv = MatMul(%x, %w) : f32[1,3,12]\n"
    "  %r = Reshape(%qkv) {shape=[1,3,3,2,2]} : f32[1,3,3,2,2]\n"
    "  %t = Transpose(%r) {perm=[2,0,3,1,4]} : f32[3,1,2,3,2]\n"
    "  %q0 = Slice(%t) {starts=[0,0,0,0,0], steps=[1,1,1,1,1], sizes=[1,1,2,3,2]} : "
    "f32[1,1,2,3,2]\n"
    "  %k0 = Slice(%t) {starts=[1,0,0,0,0], steps=[1,1,1,1,1], sizes=[1,1,2,3,2]} : "
    "f32[1,1,2,3,2]\n"
    "  %v0 = Slice(%t) {starts=[2,0,0,0,0], steps=[1,1,1,1,1], sizes=[1,1,2,3,2]} : "
    "f32[1,1,2,3,2]\n"
    "  %q = Reshape(%q0) {shape=[1,2,3,2]} : f32[1,2,3,2]\n"
    "  %k = Reshape(%k0) {shape=[1,2,3,2]} : f32[1,2,3,2]\n"
    "  %v = Reshape(%v0) {shape=[1,2,3,2]} : f32[1,2,3,2]\n"
    "  %tk = Transpose(%k) {perm=[0,1,3,2]} : f32[1,2,2,3]\n"
    "  %s = MatMul(%q, %tk) : f32[1,2,3,3]\n"
    "  %p = Softmax(%s) {axis=3} : f32[1,2,3,3]\n"
    "  %a = MatMul(%p, %v) : f32[1,2,3,2]\n"
    "  %ta = Transpose(%a) {perm=[0,2,1,3]} : f32[1,3,2,2]\n"
    "  %ra = Reshape(%ta) {shape=[1,3,4]} : f32[1,3,4]\n"
    "  %y = MatMul(%ra, %o) : f32[1,3,2]\n"
    "  return %y\n"
    "}\n";

struct network {
    struct compile *c;
    struct ir_graph *g;
    const struct unit *units;
    int n_units;
    const struct channels *ch;
};

static uint64_t seed;

static float random_unit(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int64_t)(seed >> 33) / 1073741824.0f - 1.0f;
}

/* With the same random weights every time. */
static struct network parse(const char *text)
{
    struct network w = {.c = compile_create()};

    CHECK_OK(ir_parse(w.c, text, strlen(text), &w.g));
    seed = 1;
    for (struct ir_node *n = w.g->first; n; n = n->next)
        for (int i = 1; i < n->n_in; i++) {
            const struct ir_value *v = n->in[i];
            float *to =
                v->data && v->dtype == DT_f32 ? (float *)(uintptr_t)v->data : NULL;

            for (int64_t k = 0; to && k < ir_count(n->in[i]); k++)
                to[k] = random_unit();
        }
    w.units = units_find(w.g, &w.n_units);
    w.ch = channels_find(w.g, w.units, w.n_units);
    return w;
}

static int class_of(const struct network *w, const char *unit, int64_t channel)
{
    for (int i = 0; i < w->n_units; i++)
        if (strcmp(w->units[i].node->out[0]->name, unit) == 0)
            return w->ch
                ->of[w->units[i].node->out[0]->id][channels_dim(&w->units[i])][channel];
    fail_msg("no unit %s", unit);
    return 0;
}

TEST(a_padded_shortcut_ties_channels_at_its_offset)
{
    struct network w = parse(residual);

    CHECK_EQ(class_of(&w, "a", 0), class_of(&w, "e", 1));
    CHECK_EQ(class_of(&w, "a", 2), class_of(&w, "e", 3));
    CHECK(class_of(&w, "e", 0) != class_of(&w, "e", 4));
    CHECK_EQ(class_of(&w, "y", 0), CHANNEL_FIXED); /* an output of the model */
    CHECK_EQ(w.ch->n_groups, 3);                   /* a and e; c; what only e makes */
    CHECK_EQ(w.ch->n_classes, 3 + 4 + 2);
    compile_destroy(w.c);
}

TEST(a_part_of_a_concat_is_tied_through_depthwise_and_split)
{
    struct network w = parse(branches);

    CHECK_EQ(class_of(&w, "b", 2), class_of(&w, "d", 6));
    CHECK(class_of(&w, "b", 0) != class_of(&w, "a", 0));
    /* ReduceMax runs over channels 8 and 9 */
    CHECK_EQ(class_of(&w, "d", 8), CHANNEL_FIXED);
    CHECK_EQ(class_of(&w, "b", 5), CHANNEL_FIXED);
    CHECK(class_of(&w, "d", 7) != CHANNEL_FIXED);
    compile_destroy(w.c);
}

TEST(groups_of_a_models_input_and_axes_that_are_summed_up_are_fixed)
{
    struct network w = parse("graph g(%x: f32[1,4,2,2]) {\n"
                             "  %w0 = const f32[4,2,1,1] {*1}\n"
                             "  %w1 = const f32[3,4,1,1] {*1}\n"
                             "  %a = Conv(%x, %w0) {" ONE ", group=2} : f32[1,4,2,2]\n"
                             "  %b = Conv(%a, %w1) {" ONE "} : f32[1,3,2,2]\n"
                             "  %y = Softmax(%b) {axis=1} : f32[1,3,2,2]\n"
                             "  return %y\n"
                             "}\n");

    CHECK_EQ(w.ch->n_classes, 0);
    CHECK_EQ(w.ch->n_groups, 0);
    compile_destroy(w.c);
}

/* ---- removal -----------------------------------------------------------------------
 */

/* What multiplies a removed channel is zero. */
static void zero_readers(const struct network *w, const bool *removed)
{
    for (struct ir_node *n = w->g->first; n; n = n->next) {
        const struct ir_value *v = n->n_in > 1 ? n->in[1] : NULL;
        const bool each = n->op == OP_Conv && ir_attr_int(n, "group", 1) > 1;
        const int d = n->op == OP_MatMul ? 0 : 1;
        int64_t inner = 1;

        if ((n->op != OP_Conv && n->op != OP_Gemm && n->op != OP_MatMul) || each)
            continue;
        for (int k = d + 1; k < v->rank; k++)
            inner *= v->dim[k];
        for (int64_t i = 0; i < ir_count(v); i++) {
            const int class = w->ch->of[v->id][d][i / inner % v->dim[d]];

            if (class != CHANNEL_FIXED && removed[class])
                ((float *)(uintptr_t)v->data)[i] = 0.0f;
        }
    }
}

static void run(struct arena *a, const struct ir_graph *g, float *out)
{
    struct tensor in = {.dtype = DT_f32, .rank = g->in[0]->rank};
    struct interpretation io;

    memcpy(in.dim, g->in[0]->dim, sizeof in.dim);
    in.data = arena_new_array(a, float, ir_count(g->in[0]));
    seed = 77;
    for (int64_t i = 0; i < ir_count(g->in[0]); i++)
        ((float *)in.data)[i] = random_unit();
    CHECK_OK(interpret(a, g, &in, &io));
    memcpy(out, io.by_id[g->out[0]->id].data, (size_t)ir_bytes(g->out[0]));
}

static int64_t all_weights(const struct network *w)
{
    int64_t n = 0;

    for (const struct ir_node *m = w->g->first; m; m = m->next)
        for (int i = 0; i < m->n_in; i++)
            n += m->in[i] && m->in[i]->data ? ir_count(m->in[i]) : 0;
    return n;
}

static void check_removal(const char *text, unsigned which)
{
    struct network masked = parse(text), smaller = parse(text);
    struct arena *a = arena_create();
    bool removed[32] = {false};
    float want[8], got[8];

    for (int i = 0; i < masked.ch->n_classes; i++)
        removed[i] = which >> i & 1;
    if (shrink_keeps_all_dims(smaller.g, smaller.ch, removed)) {
        const int64_t before = all_weights(&smaller), n = ir_count(masked.g->out[0]);

        zero_readers(&masked, removed);
        run(a, masked.g, want);
        CHECK_OK(shrink_graph(smaller.c, smaller.g, smaller.ch, removed));
        run(a, smaller.g, got);
        CHECK(all_weights(&smaller) < before || !which);
        for (int64_t i = 0; i < n; i++)
            if (fabsf(got[i] - want[i]) > 1e-5f * (1.0f + fabsf(want[i])))
                fail_msg("without %x output %lld is %g, not %g", which, (long long)i,
                         (double)got[i], (double)want[i]);
    }
    arena_destroy(a);
    compile_destroy(masked.c);
    compile_destroy(smaller.c);
}

TEST(a_network_without_channels_computes_what_it_does_when_nobody_reads_them)
{
    for (unsigned which = 0; which < 1u << 9; which += 7)
        check_removal(residual, which);
    for (unsigned which = 0; which < 1u << 13; which += 101)
        check_removal(branches, which);
}

/* Classes 0 and 1 are the heads, 2 to 4 the hidden units. */
TEST(heads_and_hidden_units_go_as_channels_do)
{
    struct network w = parse(attention);

    CHECK_EQ(w.ch->n_classes, 2 + 3);
    CHECK_EQ(w.ch->groups[0].n_units, 3); /* queries, keys and values */
    compile_destroy(w.c);
    for (unsigned which = 0; which < 1u << 5; which++)
        check_removal(attention, which);
}

/* Classes 0 to 2 are the groups, 3 to 6 the channels behind them. */
TEST(groups_of_a_convolution_go_with_their_inputs)
{
    struct network w = parse(groups);

    CHECK_EQ(w.ch->n_classes, 3 + 4);
    CHECK_EQ(class_of(&w, "a", 3), class_of(&w, "c", 5));
    CHECK_EQ(class_of(&w, "c", 3), class_of(&w, "c", 5));
    CHECK(class_of(&w, "c", 2) != class_of(&w, "c", 3));
    compile_destroy(w.c);
    for (unsigned which = 0; which < 1u << 7; which++)
        check_removal(groups, which);
}

/* Classes 0 and 1 are heads of keys and values with their queries. */
TEST(queries_go_with_the_keys_and_values_that_they_share)
{
    struct network w = parse(shared_heads);

    CHECK_EQ(w.ch->n_classes, 2 + 4);
    CHECK_EQ(class_of(&w, "xq", 7), class_of(&w, "xk", 2));
    CHECK_EQ(class_of(&w, "xq", 4), class_of(&w, "xv", 3));
    CHECK(class_of(&w, "xq", 3) != class_of(&w, "xq", 4));
    compile_destroy(w.c);
    for (unsigned which = 0; which < 1u << 6; which++)
        check_removal(shared_heads, which);
}

TEST(heads_of_one_product_go_with_their_queries_keys_and_values)
{
    struct network w = parse(stacked);

    CHECK_EQ(w.ch->n_classes, 2);
    for (int i = 0; i < 12; i++)
        CHECK_EQ(class_of(&w, "qkv", i), class_of(&w, "qkv", i / 2 % 2 * 2));
    CHECK(class_of(&w, "qkv", 1) != class_of(&w, "qkv", 2));
    compile_destroy(w.c);
    for (unsigned which = 0; which < 1u << 2; which++)
        check_removal(stacked, which);
}

TEST(a_dim_without_channels_is_noticed)
{
    struct network w = parse(residual);
    bool removed[9] = {false};

    for (int i = 0; i < 4; i++)
        removed[class_of(&w, "c", i)] = true;
    CHECK(!shrink_keeps_all_dims(w.g, w.ch, removed));
    removed[class_of(&w, "c", 1)] = false;
    CHECK(shrink_keeps_all_dims(w.g, w.ch, removed));
    compile_destroy(w.c);
}
