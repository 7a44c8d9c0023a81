/* SPDX-License-Identifier: Apache-2.0 */
/* links: frontend kernels runtime
 *
 * Operators that move data: every element of the input is its own position, so that
 * a result says where it came from. */
#include "frontend/interpret.h"
#include "frontend/lower.h"
#include "tests/test.h"

struct run {
    struct compile *c;
    struct arena *a;
    struct ir_graph *g;
    struct interpretation io;
};

static void start(struct run *r, const char *text)
{
    struct tensor in[4];

    *r = (struct run){.c = compile_create(), .a = arena_create()};
    CHECK_OK(ir_parse(r->c, text, strlen(text), &r->g));
    for (int i = 0; i < r->g->n_in; i++) {
        const struct ir_value *v = r->g->in[i];
        float *data = arena_new_array(r->a, float, ir_count(v));
        for (int64_t k = 0; k < ir_count(v); k++)
            data[k] = (float)k;
        in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank, .data = data};
        memcpy(in[i].dim, v->dim, sizeof in[i].dim);
    }
    CHECK_OK(interpret(r->a, r->g, in, &r->io));
}

static const struct tensor *out(const struct run *r, int i)
{
    return &r->io.by_id[r->g->out[i]->id];
}

static void end(struct run *r)
{
    arena_destroy(r->a);
    compile_destroy(r->c);
}

static void check_floats(const char *text, const float *want, int n)
{
    struct run r;

    start(&r, text);
    CHECK_EQ(ir_count(r.g->out[0]), n);
    for (int i = 0; i < n; i++)
        CHECK(((const float *)out(&r, 0)->data)[i] == want[i]);
    end(&r);
}

#define GRAPH(in, body) "graph g(%x: f32" in ") {\n" body "  return %y\n}\n"

/* ---- copies ----------------------------------------------------------------- */

/* Tiles of 16 x 16 and rests on both sides, several matrices. */
TEST(transpose_of_matrices_takes_tiles_and_rests)
{
    enum { B = 2, R = 35, C = 50 };
    struct run r;

    start(&r,
          GRAPH("[2,35,50]", "  %y = Transpose(%x) {perm=[0,2,1]} : f32[2,50,35]\n"));
    const float *y = out(&r, 0)->data;
    for (int b = 0; b < B; b++)
        for (int i = 0; i < R; i++)
            for (int j = 0; j < C; j++)
                CHECK(y[(b * C + j) * R + i] == (float)((b * R + i) * C + j));
    end(&r);
}

TEST(transpose_of_five_dims_finds_every_element)
{
    enum { A = 2, B = 3, C = 4, D = 5, E = 6 };
    struct run r;

    start(&r, GRAPH("[2,3,4,5,6]",
                    "  %y = Transpose(%x) {perm=[3,0,4,2,1]} : f32[5,2,6,4,3]\n"));
    const float *y = out(&r, 0)->data;
    for (int a = 0; a < A; a++)
        for (int b = 0; b < B; b++)
            for (int c = 0; c < C; c++)
                for (int d = 0; d < D; d++)
                    for (int e = 0; e < E; e++)
                        CHECK(y[(((d * A + a) * E + e) * C + c) * B + b]
                              == (float)((((a * B + b) * C + c) * D + d) * E + e));
    end(&r);
}

/* Units are independent: any cut gives the same bytes. */
TEST(a_copy_is_the_same_in_any_partition)
{
    struct k_copy p = {.dim = {1, 1, 1, 1, 1, 3, 40, 33},
                       .in = {0, 0, 0, 0, 0, 1320, 1, 40},
                       .out = {0, 0, 0, 0, 0, 1320, 33, 1}};
    float in[3 * 40 * 33], whole[3 * 40 * 33], parts[3 * 40 * 33];
    const struct kernel_info *k = kernel_find("transpose_4");
    const int units = 3 * 3;

    for (int i = 0; i < 3 * 40 * 33; i++)
        in[i] = (float)i;
    k->fn(&p, (void *[]){in, whole}, 0, units);
    for (int u = units; u-- > 0;)
        k->fn(&p, (void *[]){in, parts}, u, u + 1);
    CHECK_BYTES(whole, parts, sizeof whole);
}

TEST(slice_steps_backwards)
{
    check_floats(GRAPH("[2,4]",
                       "  %y = Slice(%x) {starts=[1,3], steps=[-1,-2], sizes=[2,2]}"
                       " : f32[2,2]\n"),
                 (float[]){7, 5, 3, 1}, 4);
}

TEST(concat_interleaves_rows)
{
    check_floats(GRAPH("[2,2]", "  %z = const f32[2,1] {8, 9}\n"
                                "  %y = Concat(%x, %z, %x) {axis=1} : f32[2,5]\n"),
                 (float[]){0, 1, 8, 0, 1, 2, 3, 9, 2, 3}, 10);
}

TEST(split_gives_every_part)
{
    struct run r;

    start(&r, "graph g(%x: f32[2,3]) {\n"
              "  %a, %b = Split(%x) {axis=1, split=[1,2]}\n"
              "  return %a, %b\n"
              "}\n");
    CHECK_BYTES(out(&r, 0)->data, ((float[]){0, 3}), 2 * sizeof(float));
    CHECK_BYTES(out(&r, 1)->data, ((float[]){1, 2, 4, 5}), 4 * sizeof(float));
    end(&r);
}

TEST(tile_repeats_rows_and_columns)
{
    check_floats(GRAPH("[1,2]", "  %y = Tile(%x) {repeats=[2,2]} : f32[2,4]\n"),
                 (float[]){0, 1, 0, 1, 0, 1, 0, 1}, 8);
}

TEST(tile_of_eight_dims_has_more_dims_than_a_kernel)
{
    struct run r;

    start(&r,
          GRAPH("[2,2,2,2,2,2,2,2]", "  %y = Tile(%x) {repeats=[2,1,2,1,2,1,2,2]}\n"));
    const float *y = out(&r, 0)->data;
    for (int64_t i = 0; i < ir_count(r.g->out[0]); i++) {
        static const int dim[8] = {4, 2, 4, 2, 4, 2, 4, 4};
        int64_t rest = i, want = 0, step = 1;
        for (int d = 7; d >= 0; d--) {
            want += rest % dim[d] % 2 * step;
            rest /= dim[d];
            step *= 2;
        }
        CHECK(y[i] == (float)want);
    }
    end(&r);
}

TEST(pad_modes_continue_the_input)
{
    check_floats(
        GRAPH("[3]", "  %y = Pad(%x) {pads=[2,2], mode=\"reflect\"} : f32[7]\n"),
        (float[]){2, 1, 0, 1, 2, 1, 0}, 7);
    check_floats(GRAPH("[3]", "  %y = Pad(%x) {pads=[2,1], mode=\"wrap\"} : f32[6]\n"),
                 (float[]){1, 2, 0, 1, 2, 0}, 6);
    check_floats(GRAPH("[3]", "  %y = Pad(%x) {pads=[1,1], mode=\"edge\"} : f32[5]\n"),
                 (float[]){0, 0, 1, 2, 2}, 5);
    check_floats(GRAPH("[3]", "  %v = const f32[] {9}\n"
                              "  %y = Pad(%x, %v) {pads=[-1,2]} : f32[4]\n"),
                 (float[]){1, 2, 9, 9}, 4);
}

/* ---- by index --------------------------------------------------------------- */

TEST(gather_clamps_what_is_out_of_range)
{
    check_floats(GRAPH("[3]", "  %i = const i64[4] {2, -1, -9, 9}\n"
                              "  %y = Gather(%x, %i) {axis=0} : f32[4]\n"),
                 (float[]){2, 2, 0, 2}, 4);
}

TEST(scatter_adds_in_order)
{
    check_floats(GRAPH("[4]",
                       "  %i = const i64[3] {1, 1, -1}\n"
                       "  %u = const f32[3] {10, 20, 30}\n"
                       "  %y = ScatterElements(%x, %i, %u) {axis=0, reduction=\"add\"}"
                       " : f32[4]\n"),
                 (float[]){0, 31, 2, 33}, 4);
}

TEST(gather_nd_keeps_what_a_tuple_leaves)
{
    check_floats(GRAPH("[2,2,2]", "  %i = const i64[2,2] {0, 1, 1, 0}\n"
                                  "  %y = GatherND(%x, %i) : f32[2,2]\n"),
                 (float[]){2, 3, 4, 5}, 4);
}

TEST(gather_from_an_empty_dim_is_refused)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    const char *text = GRAPH("[0,2]", "  %i = const i64[1] {0}\n"
                                      "  %y = Gather(%x, %i) {axis=0}\n");

    CHECK_FAILS(ir_parse(c, text, strlen(text), &g), INVALID, "empty dim");
    compile_destroy(c);
}

/* ---- results whose size depends on the data --------------------------------- */

TEST(nonzero_is_dense_in_its_actual_dims)
{
    struct run r;

    start(&r, GRAPH("[2,2]", "  %y = NonZero(%x)\n"));
    CHECK(r.g->out[0]->dynamic);
    CHECK_EQ(r.g->out[0]->dim[1], 4);
    CHECK_EQ(out(&r, 0)->dim[1], 3);
    CHECK_BYTES(out(&r, 0)->data, ((int64_t[]){0, 1, 1, 1, 0, 1}), 6 * sizeof(int64_t));
    end(&r);
}

TEST(compress_keeps_chosen_columns)
{
    struct run r;

    start(&r, GRAPH("[2,3]", "  %c = const bool[3] {1, 0, 1}\n"
                             "  %y = Compress(%x, %c) {axis=1}\n"));
    CHECK_EQ(out(&r, 0)->dim[1], 2);
    CHECK_BYTES(out(&r, 0)->data, ((float[]){0, 2, 3, 5}), 4 * sizeof(float));
    end(&r);
}

TEST(topk_takes_the_first_of_equals)
{
    struct run r;

    start(&r, "graph g(%x: f32[1]) {\n"
              "  %v = const f32[5] {1, 3, 3, 2, 3}\n"
              "  %a, %b = TopK(%v) {axis=0, k=3}\n"
              "  return %a, %b\n"
              "}\n");
    CHECK_BYTES(out(&r, 0)->data, ((float[]){3, 3, 3}), 3 * sizeof(float));
    CHECK_BYTES(out(&r, 1)->data, ((int64_t[]){1, 2, 4}), 3 * sizeof(int64_t));
    end(&r);
}

TEST(unique_in_order_of_appearance)
{
    struct run r;

    start(&r, "graph g(%x: f32[1]) {\n"
              "  %v = const i64[5] {7, 3, 7, 5, 3}\n"
              "  %a, %b, %c, %d = Unique(%v) {sorted=0}\n"
              "  return %a, %b, %c, %d\n"
              "}\n");
    CHECK_EQ(out(&r, 0)->dim[0], 3);
    CHECK_BYTES(out(&r, 0)->data, ((int64_t[]){7, 3, 5}), 3 * sizeof(int64_t));
    CHECK_BYTES(out(&r, 1)->data, ((int64_t[]){0, 1, 3}), 3 * sizeof(int64_t));
    CHECK_BYTES(out(&r, 2)->data, ((int64_t[]){0, 1, 0, 2, 1}), 5 * sizeof(int64_t));
    CHECK_BYTES(out(&r, 3)->data, ((int64_t[]){2, 2, 1}), 3 * sizeof(int64_t));
    end(&r);
}
