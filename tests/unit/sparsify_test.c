/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Weights become zero as many as were asked for, where they were asked for, and others
 * make good for them. */
#include "tests/small_net.h"

#include "compress/conjugate.h"
#include "compress/quantize.h"
#include "compress/sparse_weights.h"
#include "compress/sparsify.h"
#include "support/blas.h"

enum { N_WEIGHTS = 8 * 18 + 6 * 72 + 3 * 6 }; /* of the network's three units */

/* ---- one layer ------------------------------------------------------------------- */

/* Inputs have nothing to do with each other: the smallest go, the others stay. */
TEST(without_correlation_the_smallest_weights_go)
{
    static const float w[] = {3, -1, 2, 0.5f, -4, 0.25f};
    static const double h[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    static const int64_t order[] = {2, 0, 1};
    const struct sparse_task t = {
        .rows = 2, .k = 3, .weights = w, .hessian = h, .order = order, .n_zeros = 3};
    float v[6];

    CHECK_OK(sparse_weights(&t, v));
    CHECK_BYTES(v, ((float[]){3, 0, 2, 0, -4, 0}), sizeof v);
}

/* Of two inputs that are nearly equal one goes, and the other has both weights. */
TEST(what_is_left_takes_the_place_of_what_goes)
{
    static const float w[] = {1, 2, 10, 10};
    static const double h[] = {1, 0.999, 0, 0, 0.999, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    static const int64_t order[] = {0, 1, 2, 3};
    const struct sparse_task t = {
        .rows = 1, .k = 4, .weights = w, .hessian = h, .order = order, .n_zeros = 1};
    float v[4];

    CHECK_OK(sparse_weights(&t, v));
    CHECK(v[0] == 0 && fabsf(v[1] - 3) < 0.05f && v[2] == 10 && v[3] == 10);
}

TEST(rows_have_unknowns_of_their_own)
{
    static const double h[] = {4, 1, 1, 3};
    static const float free[] = {1, 1, 1, 0, 0, 0};
    struct arena *a = arena_create();
    double b[] = {6, 7, 8, 9, 5, 5}, x[6];

    CHECK_OK(blas_open());
    conjugate_solve(a, 3, 2, h, free, b, x);
    CHECK(fabs(x[0] - 1) < 1e-3 && fabs(x[1] - 2) < 1e-3); /* 4 + 2, 1 + 6 */
    CHECK(fabs(x[2] - 2) < 1e-3 && x[3] == 0);
    CHECK(x[4] == 0 && x[5] == 0);
    arena_destroy(a);
}

/* ---- a network ------------------------------------------------------------------- */

struct sparse_net {
    struct compile *c, *d;
    struct ir_graph *dense, *sparse;
    struct set set;
    struct sparsity *s;
};

static void thin_out(struct sparse_net *n, struct sparsify_options o)
{
    *n = (struct sparse_net){.c = compile_create(), .d = compile_create()};
    n->dense = make_graph(n->c);
    n->sparse = make_graph(n->d);
    n->set = open_set(n->dense);
    o.data = n->set.data;
    o.n_samples = N_SAMPLES;
    o.sample = n->set.sample;
    CHECK_OK(sparsify_decide(n->dense, &o, n->set.a, &n->s));
    CHECK_OK(sparsify_apply(n->sparse, n->s));
}

static void free_net(struct sparse_net *n)
{
    close_set(&n->set);
    compile_destroy(n->c);
    compile_destroy(n->d);
}

static const struct ir_value *weights_of(const struct ir_graph *g, int unit)
{
    int n;

    return units_find(g, &n)[unit].node->in[1];
}

static int64_t zeros_of(const struct ir_graph *g, int unit)
{
    const struct ir_value *w = weights_of(g, unit);
    int64_t zeros = 0;

    for (int64_t i = 0; i < ir_count(w); i++)
        zeros += ((const float *)w->data)[i] == 0.0f;
    return zeros;
}

TEST(the_share_that_was_asked_for_is_zero)
{
    for (int tenths = 1; tenths < 10; tenths += 4) {
        const double share = tenths / 10.0;
        struct sparse_net n;
        int64_t zeros = 0;

        thin_out(&n, (struct sparsify_options){.share = share});
        CHECK_EQ(n.s->n_weights, N_WEIGHTS);
        CHECK_EQ(n.s->n_zeros, llround(share * N_WEIGHTS));
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(zeros_of(n.sparse, i), n.s->units[i].n_zeros);
            zeros += zeros_of(n.sparse, i);
        }
        CHECK_EQ(zeros, n.s->n_zeros);
        free_net(&n);
    }
}

/* What the outputs would lose if the other weights stayed as they were. */
static double loss_of_cutting(const struct sparse_net *n)
{
    struct compile *c = compile_create();
    struct ir_graph *cut = make_graph(c);

    for (int i = 0; i < 3; i++) {
        const float *sparse = weights_of(n->sparse, i)->data;
        const struct ir_value *w = weights_of(cut, i);

        for (int64_t k = 0; k < ir_count(w); k++)
            if (sparse[k] == 0.0f)
                ((float *)(uintptr_t)w->data)[k] = 0.0f;
    }

    const double loss = difference(n->dense, cut, &n->set);

    compile_destroy(c);
    return loss;
}

/* A half of what the second convolution reads says what the other half says: its
 * weights go first. */
TEST(weights_that_others_make_up_for_go_first)
{
    struct sparse_net n;

    thin_out(&n, (struct sparsify_options){.share = 0.3});
    CHECK(n.s->units[1].n_zeros > n.s->n_zeros * 8 / 10);
    CHECK(difference(n.dense, n.sparse, &n.set) < 0.3 * loss_of_cutting(&n));
    free_net(&n);
}

/* Only the second convolution reads a multiple of four channels, in nine taps. */
TEST(of_each_four_channels_two_are_zero)
{
    struct sparse_net n;
    const float *w;

    thin_out(&n, (struct sparsify_options){.two_of_four = true});
    w = weights_of(n.sparse, 1)->data;
    for (int row = 0; row < 6; row++)
        for (int four = 0; four < 2; four++)
            for (int tap = 0; tap < 9; tap++) {
                int zeros = 0;

                for (int c = four * 4; c < four * 4 + 4; c++)
                    zeros += w[(row * 8 + c) * 9 + tap] == 0.0f;
                CHECK_EQ(zeros, 2);
            }
    CHECK_EQ(n.s->units[1].n_zeros, 6 * 72 / 2);
    CHECK(n.s->units[0].zeros == ZEROS_none && n.s->units[2].zeros == ZEROS_none);
    CHECK_EQ(zeros_of(n.sparse, 0) + zeros_of(n.sparse, 2), 0);
    CHECK(difference(n.dense, n.sparse, &n.set) < 0.3 * loss_of_cutting(&n));
    free_net(&n);
}

static void same_weights(const struct ir_graph *g, const struct ir_graph *h)
{
    for (int i = 0; i < 3; i++)
        CHECK_BYTES(weights_of(g, i)->data, weights_of(h, i)->data,
                    (size_t)ir_bytes(weights_of(g, i)));
}

TEST(a_network_without_fours_is_refused)
{
    static const char text[] = "graph g(%x: f32[1,2,6,6]) {\n"
                               "  %w = const f32[1,2,3,3] {*1}\n"
                               "  %y = Conv(%x, %w) {" THREE "} return %y }";
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct sparsity *s;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));

    struct set set = open_set(g);
    const struct sparsify_options o = {.two_of_four = true,
                                       .data = set.data,
                                       .n_samples = N_SAMPLES,
                                       .sample = set.sample};

    CHECK_FAILS(sparsify_decide(g, &o, set.a, &s), UNSUPPORTED,
                "no layer has weights that can become zero, two of each four");

    struct plan *plan = plan_float(g, "host");
    struct sparsify_options planned = o;

    planned.plan = plan;
    plan->units[0].zeros = ZEROS_two_of_four;
    plan->units[0].zero_ratio = 0.5;
    CHECK_FAILS(sparsify_decide(g, &planned, set.a, &s), INVALID,
                "unit 'y' cannot have 'zeros' \"two_of_four\": it is no product of");
    close_set(&set);
    compile_destroy(c);
}

/* The plan's numbers of each unit give the same weights. */
TEST(a_plan_repeats_it)
{
    const struct sparsify_options options[] = {{.share = 0.5}, {.two_of_four = true}};

    for (int k = 0; k < 2; k++) {
        struct sparse_net first, again;
        struct plan *plan;

        thin_out(&first, options[k]);
        plan = plan_float(first.dense, "host");
        for (int i = 0; i < 3; i++) {
            const struct sparse_unit *u = &first.s->units[i];

            plan->units[i].zeros = u->zeros;
            plan->units[i].zero_ratio =
                u->n_weights ? (double)u->n_zeros / (double)u->n_weights : 0.0;
        }
        thin_out(&again, (struct sparsify_options){.plan = plan});
        CHECK_EQ(again.s->n_zeros, first.s->n_zeros);
        same_weights(first.sparse, again.sparse);
        free_net(&again);
        free_net(&first);
    }
}

TEST(zeros_stay_zero_when_weights_are_rounded)
{
    for (int bits = 4; bits <= 8; bits += 4) {
        struct sparse_net n;
        struct quantization *q;
        struct plan *plan;

        thin_out(&n, (struct sparsify_options){.share = 0.5});
        plan = plan_float(n.sparse, "host");
        for (int i = 0; i < 3; i++) {
            plan->units[i].weight_bits = bits;
            plan->units[i].activation_bits = 8;
        }

        const struct quantize_options o = {.plan = plan,
                                           .keep_zeros = true,
                                           .data = n.set.data,
                                           .n_samples = N_SAMPLES,
                                           .sample = n.set.sample};

        CHECK_OK(quantize_decide(n.d, n.sparse, &o, n.set.a, &q));
        for (int i = 0; i < 3; i++) {
            const float *w = weights_of(n.sparse, i)->data;

            CHECK(q->units[i].has_codes);
            for (int64_t k = 0; k < q->units[i].n_codes; k++)
                CHECK(w[k] != 0.0f || q->units[i].codes[k] == 0);
        }
        free_net(&n);
    }
}
