/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Chains of view operators. */
#include "tests/pass_test.h"

#include "frontend/strided_view.h"

TEST(fold_views_cancels_a_transpose_and_its_inverse)
{
    CHECK_PASS("fold-views",
               "graph g(%x: f32[2,3,4]) {\n"
               "  %y = Transpose(%x) {perm=[1,2,0]} : f32[3,4,2]\n"
               "  %z = Transpose(%y) {perm=[2,0,1]} : f32[2,3,4]\n"
               "  %r = Relu(%z) : f32[2,3,4]\n"
               "  return %r\n"
               "}\n",
               "graph g(%x: f32[2,3,4]) {\n"
               "  %r = Relu(%x) : f32[2,3,4]\n"
               "  return %r\n"
               "}\n");
}

TEST(fold_views_composes_two_transposes)
{
    CHECK_PASS("fold-views",
               "graph g(%x: f32[2,3,4]) {\n"
               "  %y = Transpose(%x) {perm=[1,0,2]} : f32[3,2,4]\n"
               "  %z = Transpose(%y) {perm=[0,2,1]} : f32[3,4,2]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[2,3,4]) {\n"
               "  %z = Transpose(%x) {perm=[1,2,0]} : f32[3,4,2]\n"
               "  return %z\n"
               "}\n");
}

TEST(fold_views_keeps_the_last_of_many_reshapes)
{
    CHECK_PASS("fold-views",
               "graph g(%x: f32[2,6]) {\n"
               "  %y = Reshape(%x) {shape=[12]} : f32[12]\n"
               "  %z = Reshape(%y) {shape=[3,4]} : f32[3,4]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[2,6]) {\n"
               "  %z = Reshape(%x) {shape=[3,4]} : f32[3,4]\n"
               "  return %z\n"
               "}\n");
}

TEST(fold_views_turns_a_transpose_that_moves_ones_into_a_reshape)
{
    CHECK_PASS("fold-views",
               "graph g(%x: f32[1,5,7,1]) {\n"
               "  %z = Transpose(%x) {perm=[0,3,1,2]} : f32[1,1,5,7]\n"
               "  return %z\n"
               "}\n",
               "graph g(%x: f32[1,5,7,1]) {\n"
               "  %z = Reshape(%x) {shape=[1,1,5,7]} : f32[1,1,5,7]\n"
               "  return %z\n"
               "}\n");
}

/* The channel shuffle of ShuffleNet: half i of the shuffled channels is every second
 * channel from i on. */
TEST(fold_views_finds_the_slices_behind_a_channel_shuffle)
{
    CHECK_PASS("fold-views",
               "graph g(%x: f32[1,6,2,2]) {\n"
               "  %i = const i64[] {0}\n"
               "  %j = const i64[] {1}\n"
               "  %a = Reshape(%x) {shape=[3,2,4]} : f32[3,2,4]\n"
               "  %b = Transpose(%a) {perm=[1,0,2]} : f32[2,3,4]\n"
               "  %c = Reshape(%b) {shape=[2,1,3,2,2]} : f32[2,1,3,2,2]\n"
               "  %y = Gather(%c, %i) {axis=0} : f32[1,3,2,2]\n"
               "  %z = Gather(%c, %j) {axis=0} : f32[1,3,2,2]\n"
               "  return %y, %z\n"
               "}\n",
               "graph g(%x: f32[1,6,2,2]) {\n"
               "  %y = Slice(%x) {starts=[0,0,0,0], steps=[1,2,1,1], sizes=[1,3,2,2]} : "
               "f32[1,3,2,2]\n"
               "  %z = Slice(%x) {starts=[0,1,0,0], steps=[1,2,1,1], sizes=[1,3,2,2]} : "
               "f32[1,3,2,2]\n"
               "  return %y, %z\n"
               "}\n");
}

/* Heads of attention: [13, 1, 32] -> [13, 2, 16] -> [2, 13, 16], of the third part. */
TEST(fold_views_shortens_the_split_into_heads)
{
    CHECK_PASS(
        "fold-views",
        "graph g(%x: f32[1,3,12]) {\n"
        "  %a = Slice(%x) {starts=[0,0,4], steps=[1,1,1], sizes=[1,3,4]} : f32[1,3,4]\n"
        "  %b = Transpose(%a) {perm=[1,0,2]} : f32[3,1,4]\n"
        "  %c = Reshape(%b) {shape=[3,2,2]} : f32[3,2,2]\n"
        "  %d = Transpose(%c) {perm=[1,0,2]} : f32[2,3,2]\n"
        "  %z = Transpose(%d) {perm=[0,2,1]} : f32[2,2,3]\n"
        "  return %z\n"
        "}\n",
        "graph g(%x: f32[1,3,12]) {\n"
        "  %a = Slice(%x) {starts=[0,0,4], steps=[1,1,1], sizes=[1,3,4]} : f32[1,3,4]\n"
        "  %b = Reshape(%a) {shape=[3,4]} : f32[3,4]\n"
        "  %c = Transpose(%b) {perm=[1,0]} : f32[4,3]\n"
        "  %z = Reshape(%c) {shape=[2,2,3]} : f32[2,2,3]\n"
        "  return %z\n"
        "}\n");
}

TEST(fold_views_keeps_a_transpose_that_others_read)
{
    CHECK_PASS_DOES_NOTHING("fold-views",
                            "graph g(%x: f32[2,3,4]) {\n"
                            "  %y = Transpose(%x) {perm=[1,0,2]} : f32[3,2,4]\n"
                            "  %z = Reshape(%y) {shape=[6,4]} : f32[6,4]\n"
                            "  return %y, %z\n"
                            "}\n");
}

TEST(fold_views_leaves_indices_at_unequal_distances_alone)
{
    CHECK_PASS_DOES_NOTHING("fold-views",
                            "graph g(%x: f32[5,2]) {\n"
                            "  %i = const i64[3] {0,1,3}\n"
                            "  %y = Gather(%x, %i) {axis=0} : f32[3,2]\n"
                            "  return %y\n"
                            "}\n");
}

/* A window is right when every element lies where the operators put it: compare with
 * index arithmetic done one operator at a time, for shapes drawn at random. */
static int64_t random_below(uint64_t *seed, int64_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*seed >> 33) % (uint64_t)n);
}

struct traced {
    struct ir_value *v;
    int64_t at[256]; /* element i of v is element at[i] of the root */
};

static void apply_transpose(struct ir_graph *g, struct traced *t, uint64_t *seed)
{
    struct ir_value *x = t->v;
    int64_t perm[IR_MAX_RANK], stride[IR_MAX_RANK], s = 1, old[256], count = ir_count(x);
    struct ir_node *n = ir_node_create(g, NULL, OP_Transpose, NULL, 1, 1);

    for (int i = 0; i < x->rank; i++)
        perm[i] = i;
    for (int i = x->rank - 1; i > 0; i--) {
        const int64_t k = random_below(seed, i + 1), swap = perm[i];

        perm[i] = perm[k];
        perm[k] = swap;
    }
    for (int i = x->rank - 1; i >= 0; i--) {
        stride[i] = s;
        s *= x->dim[i];
    }
    ir_set_input(n, 0, x);
    ir_set_attr_ints(n, "perm", x->rank, perm);
    t->v = ir_new_output(n, 0, NULL);
    CHECK_OK(ir_infer(n));
    memcpy(old, t->at, sizeof old);
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, from = 0;

        for (int d = x->rank - 1; d >= 0; d--) {
            from += rest % t->v->dim[d] * stride[perm[d]];
            rest /= t->v->dim[d];
        }
        t->at[i] = old[from];
    }
}

static void apply_reshape(struct ir_graph *g, struct traced *t, uint64_t *seed)
{
    int64_t dim[IR_MAX_RANK], left = ir_count(t->v);
    int rank = 0;

    while (rank < 4 && left > 1) {
        const int64_t d = random_below(seed, 5) + 1;

        if (left % d == 0) {
            dim[rank++] = d;
            left /= d;
        }
    }
    dim[rank++] = left;
    CHECK_OK(view_reshape(g, NULL, t->v, rank, dim, &t->v));
}

static void apply_slice(struct ir_graph *g, struct traced *t, uint64_t *seed)
{
    const struct ir_value *x = t->v;
    int64_t start[IR_MAX_RANK], step[IR_MAX_RANK], size[IR_MAX_RANK], stride[IR_MAX_RANK];
    int64_t old[256], s = 1;
    struct ir_node *n = ir_node_create(g, NULL, OP_Slice, NULL, 1, 1);

    for (int i = x->rank - 1; i >= 0; i--) {
        start[i] = 0;
        step[i] = 1;
        size[i] = x->dim[i];
        stride[i] = s;
        s *= x->dim[i];
        if (x->dim[i] > 2 && random_below(seed, 2)) {
            start[i] = random_below(seed, 2);
            step[i] = 1 + random_below(seed, 2);
            size[i] = (x->dim[i] - start[i] + step[i] - 1) / step[i];
        }
    }
    ir_set_input(n, 0, t->v);
    ir_set_attr_ints(n, "starts", x->rank, start);
    ir_set_attr_ints(n, "steps", x->rank, step);
    ir_set_attr_ints(n, "sizes", x->rank, size);
    t->v = ir_new_output(n, 0, NULL);
    CHECK_OK(ir_infer(n));
    memcpy(old, t->at, sizeof old);
    for (int64_t i = 0; i < ir_count(t->v); i++) {
        int64_t rest = i, from = 0;

        for (int d = x->rank - 1; d >= 0; d--) {
            from += (start[d] + rest % size[d] * step[d]) * stride[d];
            rest /= size[d];
        }
        t->at[i] = old[from];
    }
}

static int64_t place_in(const struct strided_view *w, int64_t i)
{
    int64_t at = w->offset;

    for (int d = w->rank - 1; d >= 0; d--) {
        at += i % w->dim[d] * w->stride[d];
        i /= w->dim[d];
    }
    return at;
}

/* Follow a chain from the root again, by the windows of its operators. */
static void trace(const struct ir_value *v, const struct ir_value *root, int64_t *at)
{
    struct traced above;
    struct strided_view w;

    if (v == root) {
        for (int64_t i = 0; i < ir_count(v); i++)
            at[i] = i;
        return;
    }
    trace(v->def->in[0], root, above.at);
    if (v->def->op == OP_Identity) { /* carries the name of the output */
        memcpy(at, above.at, sizeof above.at);
        return;
    }
    w = view_whole(v->def->in[0]);
    CHECK(view_through(v->def, v->def_index, &w));
    for (int64_t i = 0; i < ir_count(v); i++)
        at[i] = above.at[place_in(&w, i)];
}

TEST(fold_views_moves_every_element_to_its_place)
{
    uint64_t seed = 7;

    for (int round = 0; round < 2000; round++) {
        struct compile *c = compile_create();
        struct ir_graph *g = ir_graph_create(c, "g");
        struct traced t = {.v = ir_input(g, "x", DT_f32, 4, (int64_t[]){2, 3, 4, 5})};
        struct ir_value *root = t.v;
        int64_t got[256];

        for (int i = 0; i < 256; i++)
            t.at[i] = i;
        for (int i = 0; i < 4; i++) {
            void (*const apply[])(struct ir_graph *, struct traced *, uint64_t *) = {
                apply_transpose, apply_reshape, apply_slice};

            apply[random_below(&seed, 3)](g, &t, &seed);
        }
        if (t.v != root) {
            ir_output(g, t.v);
            CHECK_OK(pass_fold_views(c, g));
            CHECK_OK(ir_verify(g));
            trace(g->out[0], root, got);
            for (int64_t i = 0; i < ir_count(t.v); i++)
                CHECK_EQ(got[i], t.at[i]);
        }
        compile_destroy(c);
    }
}

TEST(sink_reshapes_moves_a_bias_and_an_activation_up)
{
    CHECK_PASS("sink-reshapes",
               "graph g(%x: f32[1,3,5]) {\n"
               "  %k = const f32[3,1,1] {1,2,3}\n"
               "  %a = Reshape(%x) {shape=[1,3,5,1]} : f32[1,3,5,1]\n"
               "  %b = Add(%a, %k) : f32[1,3,5,1]\n"
               "  %y = Relu(%b) : f32[1,3,5,1]\n"
               "  return %y\n}\n",
               "graph g(%x: f32[1,3,5]) {\n"
               "  %k = const f32[1,3,1] {1,2,3}\n"
               "  %b = Add(%x, %k) : f32[1,3,5]\n"
               "  %c = Relu(%b) : f32[1,3,5]\n"
               "  %y = Reshape(%c) {shape=[1,3,5,1]} : f32[1,3,5,1]\n"
               "  return %y\n}\n");
}

TEST(sink_reshapes_leaves_a_reshape_beside_another_operand_alone)
{
    CHECK_PASS_DOES_NOTHING("sink-reshapes",
                            "graph g(%x: f32[1,3,5], %z: f32[1,3,5,1]) {\n"
                            "  %a = Reshape(%x) {shape=[1,3,5,1]} : f32[1,3,5,1]\n"
                            "  %y = Add(%a, %z) : f32[1,3,5,1]\n"
                            "  return %y\n}\n");
}

TEST(sink_reshapes_leaves_other_shapes_alone)
{
    CHECK_PASS_DOES_NOTHING("sink-reshapes",
                            "graph g(%x: f32[4,3]) {\n"
                            "  %a = Reshape(%x) {shape=[2,6]} : f32[2,6]\n"
                            "  %y = Relu(%a) : f32[2,6]\n"
                            "  return %y\n}\n");
}
