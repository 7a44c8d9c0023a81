/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* Regression of a layer on inputs that carry errors. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "compress/moments.h"
#include "support/blas.h"
#include "support/random.h"

enum { K = 3, M = 2, ROWS = 50 };

static const char text[] = "graph g(%x: f32[50,3]) {\n"
                           "  %w = const f32[2,3] {1,2,3,-1,0.5,0}\n"
                           "  %b = const f32[2] {0.25,-4}\n"
                           "  %y = Gemm(%x, %w, %b) {transB=1} : f32[50,2]\n"
                           "  return %y\n"
                           "}\n";

static const float w[] = {1, 2, 3, -1, 0.5, 0};

struct world {
    struct compile *c;
    struct arena *a;
    struct ir_graph *g;
    struct product p;
};

static void start(struct world *t)
{
    t->c = compile_create();
    t->a = arena_create();
    CHECK_OK(blas_open());
    CHECK_OK(ir_parse(t->c, text, strlen(text), &t->g));
    CHECK(product_of(t->g->first, &t->p));
}

static void end(struct world *t)
{
    arena_destroy(t->a);
    compile_destroy(t->c);
}

/* Samples of x, changed by `lost` per input, against y of the unchanged ones. */
static struct moments_sums *observe(struct world *t, int n, const float *lost,
                                    int64_t most_rows)
{
    static const float bias[] = {0.25f, -4.0f};
    struct moments_sums *s = moments_create(t->a, &t->p, n, most_rows);
    struct random r = random_seeded(3);
    float x[ROWS * K], y[ROWS * M];

    for (int i = 0; i < n; i++) {
        for (int k = 0; k < ROWS * K; k++)
            x[k] = (float)(2.0 * random_unit(&r) - 0.5);
        product_apply(&t->p, w, bias, x, NULL, y);
        for (int k = 0; k < ROWS * K; k++)
            x[k] *= lost[k % K];
        moments_add(s, x, y, 1.0);
    }
    moments_finish(s, true);
    return s;
}

/* With the first channel of `first` and the second of `second`. */
static double error_of(const struct moments_sums *s, const float *first,
                       const float *second)
{
    float v[M * K];

    memcpy(v, first, K * sizeof *v);
    memcpy(v + K, second + K, K * sizeof *v);
    return moments_error(moments_all(s), v);
}

TEST(without_errors_the_weights_stay)
{
    static const float none[] = {1, 1, 1};
    struct world t;
    float v[M * K], bias[M];

    start(&t);
    const struct moments_sums *s = observe(&t, 8, none, 1 << 20);

    moments_fit(s, w, v);
    for (int i = 0; i < M * K; i++)
        CHECK(fabsf(v[i] - w[i]) < 1e-4f);
    moments_biases(moments_all(s), v, bias);
    CHECK(moments_error(moments_all(s), v) < M * 1e-6);
    CHECK(fabsf(bias[1] + 4.0f) < 1e-4f);
    CHECK_EQ(moments_all(s)->n, 8 * ROWS);
    end(&t);
}

/* The second input comes at half its size: its weights double. */
TEST(weights_make_good_for_what_an_input_lost)
{
    static const float half[] = {1, 0.5, 1};
    struct world t;
    float v[M * K];

    start(&t);
    const struct moments_sums *s = observe(&t, 8, half, 1 << 20);

    CHECK(moments_fit(s, w, v) < 0.01);
    CHECK(error_of(s, v, v) < 0.01 * error_of(s, w, v));
    CHECK(v[1] > 3.8f && v[1] < 4.05f);
    CHECK(v[4] > 0.95f && v[4] < 1.05f);
    end(&t);
}

/* The same with the first weight at zero: it stays, and so does its share of the error;
 * the second one still doubles. */
TEST(zeros_stay_while_others_make_good)
{
    static const float half[] = {1, 0.5, 1};
    struct world t;
    float sparse[M * K], v[M * K];

    start(&t);
    const struct moments_sums *s = observe(&t, 8, half, 1 << 20);

    memcpy(sparse, w, sizeof w);
    sparse[0] = 0.0f;
    moments_fit_nonzero(s, sparse, v);
    CHECK(v[0] == 0.0f && v[1] > 3.8f && v[1] < 4.3f);
    CHECK(error_of(s, v, v) < 0.6 * error_of(s, sparse, v));
    CHECK(v[4] > 0.95f && v[4] < 1.05f);
    end(&t);
}

TEST(rows_are_thinned_out_to_about_as_many_as_asked_for)
{
    static const float none[] = {1, 1, 1};
    struct world t;

    start(&t);
    const struct moments_sums *s = observe(&t, 8, none, 100);

    CHECK(moments_all(s)->n >= 80 && moments_all(s)->n <= 120);
    end(&t);
}

TEST(samples_count_by_how_quiet_they_are)
{
    double weight[] = {1.0, 4.0, 0.0, 100.0};
    double alike[] = {2.0, 2.0}, silent[] = {0.0, 0.0};

    moments_weights(weight, 4);
    CHECK(fabs(weight[0] + weight[1] + weight[2] + weight[3] - 4.0) < 1e-12);
    CHECK(weight[2] > weight[0] && weight[0] > weight[1] && weight[1] > weight[3]);
    CHECK(weight[2] < 5.0 * weight[0]);
    moments_weights(alike, 2);
    CHECK(fabs(alike[0] - 1.0) < 1e-12 && fabs(alike[1] - 1.0) < 1e-12);
    moments_weights(silent, 2);
    CHECK(silent[0] == 1.0 && silent[1] == 1.0);
}

/* Three of eight samples are ten times as loud, and only in those an input comes at
 * half its size. */
static float fitted_to_the_loud(struct world *t, bool alike)
{
    static const float bias[] = {0.25f, -4.0f};
    struct moments_sums *s = moments_create(t->a, &t->p, 8, 1 << 20);
    struct random r = random_seeded(3);
    float x[ROWS * K], y[ROWS * M], v[M * K];

    for (int i = 0; i < 8; i++) {
        const bool loud = i % 4 == 2 || i == 3;

        for (int k = 0; k < ROWS * K; k++)
            x[k] = (float)(2.0 * random_unit(&r) - 1.0) * (loud ? 10.0f : 1.0f);
        product_apply(&t->p, w, bias, x, NULL, y);
        for (int k = 1; k < ROWS * K && loud; k += K)
            x[k] *= 0.5f;
        moments_add(s, x, y, alike && loud ? 0.01 : 1.0);
    }
    moments_finish(s, true);
    moments_fit(s, w, v);
    return v[1];
}

TEST(with_weights_loud_samples_do_not_decide)
{
    struct world t;

    start(&t);
    CHECK(fitted_to_the_loud(&t, false) > 3.5f);
    CHECK(fitted_to_the_loud(&t, true) < 3.2f);
    end(&t);
}

/* One sample leaves none to choose with. */
TEST(one_sample_changes_no_weights)
{
    static const float half[] = {1, 0.5, 1};
    struct world t;
    float v[M * K];

    start(&t);
    CHECK(isinf(moments_fit(observe(&t, 1, half, 1 << 20), w, v)));
    CHECK(memcmp(v, w, sizeof w) == 0);
    end(&t);
}
