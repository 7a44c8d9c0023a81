/* SPDX-License-Identifier: Apache-2.0 */
// links: agents
/* The formulas of the controllers, one at a time, against numbers worked by hand. */
#include "tests/test.h"

#include <math.h>

#include "search/agents/annealed.h"
#include "search/agents/controller_class.h"
#include "search/agents/policy_loss.h"
#include "search/agents/mixture.h"
#include "search/agents/net_kernels.h"
#include "search/agents/noise.h"
#include "search/agents/running.h"

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

/* ---- losses
 * --------------------------------------------------------------------------- */

/* delta_2 = 2 - .3 = 1.7; delta_1 = .99 * .3 - .4 = -.103, + .9405 * 1.7 = 1.49585. */
TEST(gae_of_a_terminated_trajectory)
{
    struct gae_step s[] = {{.reward = 1, .value = .5},
                           {.reward = 0, .value = .4},
                           {.reward = 2, .value = .3, .end = EPISODE_TERMINATED}};

    gae(s, 3, .99, .95);
    CHECK(near(s[0].advantage, 2.302847, 1e-6));
    CHECK(near(s[1].advantage, 1.49585, 1e-6));
    CHECK(near(s[2].advantage, 1.7, 1e-6));
}

TEST(gae_of_a_truncated_trajectory_counts_what_follows)
{
    struct gae_step s[] = {
        {.reward = 1, .value = .5},
        {.reward = 0, .value = .4},
        {.reward = 2, .value = .3, .end = EPISODE_TRUNCATED, .value_after = .2}};

    gae(s, 3, .99, .95);
    CHECK(near(s[0].advantage, 2.477986, 1e-6));
    CHECK(near(s[1].advantage, 1.682069, 1e-6));
    CHECK(near(s[2].advantage, 1.898, 1e-6));
}

/* sum over k of (gamma lambda)^k delta_{t+k}, up to the end of the episode. */
static double gae_by_sum(const struct gae_step *s, int t, double gamma, double lambda)
{
    double sum = 0, weight = 1;

    for (int k = t;; k++, weight *= gamma * lambda) {
        const double after = s[k].end == EPISODE_RUNS        ? s[k + 1].value
                             : s[k].end == EPISODE_TRUNCATED ? s[k].value_after
                                                             : 0;

        sum += weight * (s[k].reward + gamma * after - s[k].value);
        if (s[k].end != EPISODE_RUNS)
            return sum;
    }
}

TEST(gae_is_the_sum_it_stands_for)
{
    struct random r = random_seeded(1);

    for (int round = 0; round < 50; round++) {
        struct gae_step s[40];

        for (int t = 0; t < 40; t++)
            s[t] = (struct gae_step){
                .reward = noise_normal(&r),
                .value = noise_normal(&r),
                .value_after = noise_normal(&r),
                .end = t == 39 || random_below(&r, 10) == 0
                           ? EPISODE_TERMINATED + (enum episode_end)random_below(&r, 2)
                           : EPISODE_RUNS,
            };
        gae(s, 40, .97, .9);
        for (int t = 0; t < 40; t++)
            CHECK(near(s[t].advantage, gae_by_sum(s, t, .97, .9), 1e-9));
    }
}

TEST(gae_with_lambda_0_is_one_step_and_with_1_the_return)
{
    struct gae_step s[] = {{.reward = 1, .value = 3},
                           {.reward = 2, .value = 5, .end = EPISODE_TERMINATED}};

    gae(s, 2, 1, 0);
    CHECK(near(s[0].advantage, 1 + 5 - 3, 1e-12));
    gae(s, 2, 1, 1);
    CHECK(near(s[0].advantage, 1 + 2 - 3, 1e-12));
}

TEST(clipped_term_and_gradient_in_all_four_branches)
{
    CHECK(near(loss_clipped(1.5, 2, .2), 2.4, 1e-12));
    CHECK(near(loss_clipped(.5, 2, .2), 1, 1e-12));
    CHECK(near(loss_clipped(1.5, -2, .2), -3, 1e-12));
    CHECK(near(loss_clipped(.5, -2, .2), -1.6, 1e-12));
    CHECK(loss_clipped_gradient(1.5, 2, .2) == 0);
    CHECK(near(loss_clipped_gradient(.5, 2, .2), 1, 1e-12));
    CHECK(near(loss_clipped_gradient(1.5, -2, .2), -3, 1e-12));
    CHECK(loss_clipped_gradient(.5, -2, .2) == 0);
}

/* v moved from 0 to 1, may move .2: (1 - .5)^2 / 2 = .125 against (.2 - .5)^2 / 2 =
 * .045; towards 2: (1 - 2)^2 / 2 = .5 against (.2 - 2)^2 / 2 = 1.62, where it stands
 * still. */
TEST(value_loss_takes_the_worse_of_both)
{
    const struct loss_value_options clipped = {.clip = .2}, huber = {.huber = 1};
    double g;

    CHECK(near(loss_value(1, 0, .5, clipped, &g), .125, 1e-12));
    CHECK(near(g, .5, 1e-12));
    CHECK(near(loss_value(1, 0, 2, clipped, &g), 1.62, 1e-12));
    CHECK(g == 0);
    CHECK(near(loss_value(4, 0, 0, huber, &g), 3.5, 1e-12));
    CHECK(near(g, 1, 1e-12));
    CHECK(near(loss_value(-.5, 0, 0, huber, &g), .125, 1e-12));
}

TEST(kl_estimate_is_zero_for_equal_policies_and_never_negative)
{
    CHECK(loss_kl(0) == 0);
    CHECK(near(loss_kl(.1), exp(.1) - 1 - .1, 1e-12));
    CHECK(loss_kl(-3) > 0);
}

/* ---- heads
 * ---------------------------------------------------------------------------- */

TEST(illegal_actions_have_probability_and_gradient_zero)
{
    const struct head_query q = {.n = 4, .legal = 0xb, .tau = 1};
    const real out[4] = {0, 1, 50, -1};
    const struct action a = {.choice = 1};
    real p[4], d[4];

    head_probabilities(&q, out, p, NULL);
    CHECK(p[2] == 0);
    CHECK(near((double)(p[0] + p[1] + p[3]), 1, 1e-6));
    head_gradient(&q, out, &a, 1, 1, d);
    CHECK(d[2] == 0 && d[1] != 0);
    for (int i = 0; i < 1000; i++) {
        struct random r = noise_stream(5, (uint64_t)i);

        CHECK(head_sample(&q, out, &r).choice != 2);
    }
}

TEST(entropy_of_equal_legal_actions_is_the_logarithm_of_their_number)
{
    const real out[6] = {2, 2, 2, 2, 2, 2};
    const struct action a = {.choice = 0};

    for (int m = 1; m <= 6; m++) {
        const struct head_query q = {.n = 6, .legal = (UINT64_C(1) << m) - 1, .tau = 1};

        CHECK(near(head_evaluate(&q, out, &a).entropy, log(m), 1e-6));
    }
}

TEST(one_legal_action_leaves_nothing_to_learn)
{
    const struct head_query q = {.n = 3, .legal = 4, .tau = 1};
    const real out[3] = {9, 9, -9};
    const struct action a = {.choice = 2};
    real d[3];

    CHECK(!head_is_free(&q));
    CHECK(head_evaluate(&q, out, &a).log_p == 0);
    head_gradient(&q, out, &a, 1, 1, d);
    CHECK(d[0] == 0 && d[1] == 0 && d[2] == 0);
}

/* exp(-2 beta) to 1: at beta 1 .119, at beta 3 .0025. */
TEST(a_prior_shifts_the_logits_by_its_weight)
{
    const real prior[2] = {0, -2}, out[2] = {0, 0};
    struct head_query q = {
        .n = 2, .legal = 3, .prior = prior, .prior_weight = 1, .tau = 1};
    real p[2];

    head_probabilities(&q, out, p, NULL);
    CHECK(near((double)p[1], 1 / (1 + exp(2)), 1e-6));
    q.prior_weight = 3;
    head_probabilities(&q, out, p, NULL);
    CHECK(near((double)p[1], 1 / (1 + exp(6)), 1e-6));
}

TEST(temperature_rises_with_entropy_and_flattens)
{
    const real flat[2] = {0, 0}, steep[2] = {0, 5};
    struct head_query q = {.n = 2, .legal = 3, .tau = 1};
    const struct action a = {0};
    double before = -1;

    CHECK(near(head_temperature(&q, flat, 1, .5), 1.5, 1e-6));
    CHECK(head_temperature(&q, steep, 1, .5) < 1.1);
    for (int k = 1; k < 20; k++) {
        q.tau = (real).2 * (real)k;

        const double entropy = head_evaluate(&q, steep, &a).entropy;

        CHECK(entropy > before);
        before = entropy;
    }
    q.tau = (real)1e-3;
    CHECK(near(head_evaluate(&q, steep, &(struct action){.choice = 1}).log_p, 0, 1e-6));
}

/* The density of (T, alpha) over its whole range, by the midpoint rule. */
TEST(density_of_temperature_and_alpha_integrates_to_one)
{
    const struct head_query q = {.tau = 1};
    const real out[4] = {(real).3, (real)-.5, (real).2, (real)-.4};
    const int n = 400;
    double sum = 0;

    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            const double s = (i + .5) / n, t = (k + .5) / n;
            const struct action a = {
                .u = {(real)log(s / (1 - s)), (real)log(t / (1 - t))}};

            CHECK(near(head_to_temperature(a.u[0]), 1 + 19 * s, 1e-4));
            CHECK(near(head_to_alpha(a.u[1]), t, 1e-5));
            sum += exp(head_evaluate(&q, out, &a).log_p - head_log_jacobian(&a)) * 19
                   / n / n;
        }
    CHECK(near(sum, 1, 1e-3));
}

TEST(gaussian_entropy_and_probability_in_closed_form)
{
    const struct head_query q = {.tau = 1};
    const real out[4] = {1, 2, 0, 0}; /* sigma = exp(-1) */
    const struct action a = {.u = {1, 2}};
    const struct head_value v = head_evaluate(&q, out, &a);

    CHECK(near(v.log_p, 2 * (1 - .5 * log(2 * M_PI)), 1e-6));
    CHECK(near(v.entropy, 2 * (-1 + .5 * (1 + log(2 * M_PI))), 1e-6));
}

/* ---- mixtures
 * ---------------------------------------------------------------------------- */

/* Shares 1/4 and 3/4 of (.5, .5) and (1, 0). */
TEST(a_mixture_has_the_mean_of_the_probabilities)
{
    const double weights[2] = {0, log(3)};
    const struct mixture m = mixture_of(2, weights);
    const real flat[2] = {0, 0}, sure[2] = {40, 0};
    const real *const outs[2] = {flat, sure};
    const struct head_query q = {.n = 2, .legal = 3, .tau = 1};
    const struct action a = {.choice = 1};
    real p[2];

    mixture_probabilities(&m, &q, outs, p);
    CHECK(near((double)p[1], .125, 1e-6));
    CHECK(near(mixture_evaluate(&m, &q, outs, &a).log_p, log(.125), 1e-6));
    CHECK(near(head_confidence(&q, p),
               1 + (.125 * log(.125) + .875 * log(.875)) / log(2), 1e-6));
}

/* ---- running numbers
 * ----------------------------------------------------------------------- */

TEST(value_scale_goes_there_and_back)
{
    struct value_scale s = {0};
    const double values[3] = {10, 20, 30};

    CHECK(value_scale_to(&s, 7) == 7);
    value_scale_add(&s, values, 3);
    CHECK(near(value_scale_to(&s, 20), 0, 1e-9));
    CHECK(near(value_scale_to(&s, 30), 10 / sqrt(200 / 3.), 1e-9));
    CHECK(near(value_scale_from(&s, value_scale_to(&s, 12.5)), 12.5, 1e-9));
}

TEST(running_features_get_mean_0_and_deviation_1)
{
    struct arena *a = arena_create();
    struct running *r = running_create(a, 2);
    const real rows[3][2] = {{1, 5}, {2, 5}, {3, 5}};
    real to[2];

    for (int i = 0; i < 3; i++)
        running_add(r, rows[i]);
    running_apply(r, rows[2], to);
    CHECK(to[0] == 3); /* not settled */
    running_settle(r);
    running_apply(r, rows[2], to);
    CHECK(near((double)to[0], 1 / sqrt(2 / 3.), 1e-5));
    CHECK(to[1] == 5); /* never varied */
    arena_destroy(a);
}

/* A hundred times the rewards: the same after scaling. */
TEST(return_scale_divides_and_does_not_subtract)
{
    struct return_scale a = {0}, b = {0};

    CHECK(return_scale_deviation(&a) == 1);
    for (int i = 0; i < 5; i++) {
        return_scale_add(&a, i * i);
        return_scale_add(&b, 100 * i * i);
    }
    CHECK(near(7 / return_scale_deviation(&a), 700 / return_scale_deviation(&b), 1e-9));
}

/* ---- schedules
 * ------------------------------------------------------------------------------- */

TEST(harmonic_schedule_has_its_published_values)
{
    const struct anneal s = {ANNEAL_HARMONIC, 0, 200, 0, .95, .06, 5};
    static const struct {
        int i;
        double p;
    } want[] = {{0, 0},           {5, .043890673}, {10, .065848038},  {25, 0},
                {45, .156233573}, {100, .475},     {170, .958228099}, {195, .906109327},
                {200, .95}};

    for (size_t k = 0; k < sizeof want / sizeof *want; k++)
        CHECK(near(anneal_share(&s, want[k].i), want[k].p, 1e-9));
}

/* c = 0 is a plain cosine, which never falls. */
TEST(weights_grow_back_where_the_schedule_falls)
{
    struct anneal s = {ANNEAL_HARMONIC, 0, 200, 0, .95, 0, 5};

    CHECK_EQ(anneal_n_regrowths(&s), 0);
    s.swing = .06;
    CHECK_EQ(anneal_n_regrowths(&s), 5);
    s.swing = .03;
    CHECK_EQ(anneal_n_regrowths(&s), 2);
    s.kind = ANNEAL_CUBIC;
    CHECK_EQ(anneal_n_regrowths(&s), 0);
    CHECK(near(anneal_share(&s, 100), .95 * (1 - .125), 1e-12));
    s.kind = ANNEAL_LINEAR;
    CHECK(near(anneal_share(&s, 50), .2375, 1e-12));
}

TEST(masked_weights_are_zero_keep_still_and_come_back)
{
    struct arena *a = arena_create();
    struct random r = random_seeded(2);
    const struct net_shape shape = {
        .n_in = 8, .n_hidden = 1, .hidden = {10}, .n_out = 4, .gain = 1};
    struct net *n = net_create(a, &shape, &r);
    real *first = arena_copy(a, n->w, (size_t)n->n * sizeof *n->w);
    struct annealed *m = annealed_create(a, n);
    /* Up to one half at 10, back to nothing at 20. */
    const struct anneal up = {ANNEAL_LINEAR, 0, 10, 0, .5, 0, 0},
                        down = {ANNEAL_LINEAR, 10, 20, .5, 0, 0, 0};
    int64_t zeros = 0;

    annealed_step(m, &up, 10);
    for (int64_t i = 0; i < n->n; i++)
        zeros += first[i] != 0 && n->w[i] == 0;
    CHECK_EQ(zeros, (8 * 10 + 10 * 4) / 2);
    CHECK(near(annealed_sparsity(m), .5, 1e-12));
    for (int64_t i = 0; i < n->n; i++)
        n->g[i] = 1;
    net_adam(n, 1e-3, 0);
    for (int64_t i = 0; i < n->n; i++)
        CHECK(n->kept[i] ? n->w[i] != first[i] || first[i] == 0 : n->w[i] == 0);
    annealed_step(m, &down, 20);
    for (int64_t i = 0; i < n->n; i++)
        CHECK(n->kept[i] && (first[i] == 0 || n->w[i] != 0));
    arena_destroy(a);
}

TEST(the_curriculum_has_three_stages_of_one_two_and_three_sixths)
{
    int stages[3] = {0};

    for (int i = 0; i < 60; i++) {
        const double share = curriculum_share(i, 60);

        stages[share == 0.3 ? 0 : share == 0.6 ? 1 : 2]++;
    }
    CHECK_EQ(stages[0], 10);
    CHECK_EQ(stages[1], 20);
    CHECK_EQ(stages[2], 30);
}

/* ---- networks
 * --------------------------------------------------------------------------------- */

TEST(initial_weights_are_orthogonal_with_their_gain)
{
    struct arena *a = arena_create();
    struct random r = random_seeded(2);
    const struct net_shape shape = {
        .n_in = 20, .n_hidden = 1, .hidden = {12}, .n_out = 3, .gain = 0.01};
    const struct net *n = net_create(a, &shape, &r);

    for (int l = 0; l < 2; l++)
        for (int i = 0; i < n->layers[l].out; i++)
            for (int k = 0; k < n->layers[l].out; k++) {
                double sum = 0;

                for (int j = 0; j < n->layers[l].in; j++)
                    sum += (double)n->w[n->layers[l].w + j * n->layers[l].ld + i]
                           * (double)n->w[n->layers[l].w + j * n->layers[l].ld + k];
                CHECK(near(sum, i != k ? 0 : l ? 1e-4 : 2, 1e-5));
            }
    arena_destroy(a);
}

static real *random_matrix(struct arena *a, struct random *r, int rows, int64_t ld)
{
    real *x = arena_new_array(a, real, rows * ld);

    for (int64_t i = 0; i < rows * ld; i++)
        x[i] = (real)noise_normal(r);
    return x;
}

/* What net_product_run should leave in c[i][j]. */
static double product_by_hand(const struct net_product *p, const real *before, int i,
                              int j)
{
    const double at = (double)before[i * p->ldc + j];
    double sum = 0;

    for (int k = 0; k < p->k; k++) {
        const double b = !p->n_turned      ? (double)p->b[k * p->ldb + j]
                         : j < p->n_turned ? (double)p->b[j * p->ldb + k]
                                           : 0;

        sum += (double)p->a[i * p->a_row + k * p->a_step] * b;
    }
    switch (p->end) {
    case NET_PRODUCT_ADD:
        return at + sum;
    case NET_PRODUCT_BIAS:
        return sum + (double)p->with[j];
    case NET_PRODUCT_RELU:
        return fmax(sum + (double)p->with[j], 0);
    case NET_PRODUCT_MASK:
        return at > 0 ? sum : 0;
    case NET_PRODUCT_SET:
        break;
    }
    return sum;
}

/* 1 to 20 rows, 1 to 6 vectors of columns: whole tiles and every rest. */
TEST(products_of_all_shapes_are_sums)
{
    CHECK_OK(blas_open());
    for (int round = 0; round < 400; round++) {
        struct arena *a = arena_create();
        struct random r = random_seeded((uint64_t)round);
        const int m = 1 + round % 20, n = REAL_LANES * (1 + round / 20 % 6),
                  k = 1 + (int)random_below(&r, 40);
        const bool is_transposed = round & 1;
        const enum net_product_end end = (enum net_product_end)(round % 5);
        const bool is_turned =
            round & 2 && (end == NET_PRODUCT_SET || end == NET_PRODUCT_MASK);
        struct net_product p = {
            .m = m,
            .n = n,
            .k = k,
            .a_row = is_transposed ? 1 : k + 3,
            .a_step = is_transposed ? m + 3 : 1,
            .n_turned = is_turned ? n - (int)random_below(&r, REAL_LANES) : 0,
            .ldb = is_turned ? k + 5 : n + 5,
            .ldc = n + 2,
            .end = end};

        p.a =
            random_matrix(a, &r, is_transposed ? k : m, is_transposed ? m + 3 : k + 3);
        p.b = random_matrix(a, &r, is_turned ? n : k, p.ldb);
        p.c = random_matrix(a, &r, m, p.ldc);
        p.with = random_matrix(a, &r, 1, n);
        p.scratch = arena_new_array(a, real, net_product_scratch(k));

        const real *const before =
            arena_copy(a, p.c, (size_t)(m * p.ldc) * sizeof(real));

        net_kernels_here()->product(&p);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < p.ldc; j++) {
                const double want = j < n ? product_by_hand(&p, before, i, j)
                                          : (double)before[i * p.ldc + j];

                CHECK(near((double)p.c[i * p.ldc + j], want, 1e-4));
            }
        arena_destroy(a);
    }
}

TEST(one_row_gives_what_a_batch_gives)
{
    CHECK_OK(blas_open());
    for (int lstm = 0; lstm <= 20; lstm += 20) {
        struct arena *a = arena_create();
        struct random r = random_seeded(6);
        const struct net_shape shape = {.n_in = 37,
                                        .n_lstm = lstm,
                                        .n_hidden = 3,
                                        .hidden = {256, 128, 64},
                                        .n_out = 10,
                                        .gain = 1};
        const struct net *n = net_create(a, &shape, &r);
        struct net_pass *p = net_pass_create(a, n, 15);
        real *x = arena_new_array(a, real, 15 * 37),
             *scratch = arena_new_array(a, real, net_scratch(n));

        for (int i = 0; i < 15 * 37; i++)
            x[i] = (real)noise_normal(&r);

        const real *const y = net_forward(n, p, 5, 3, x);

        for (int s = 0; s < 3; s++) {
            real *memory = arena_new_array(a, real, net_state(n) + 1);

            for (int t = 0; t < 5; t++) {
                const int row = t * 3 + s;
                const real *const one =
                    net_forward_one(n, x + row * 37, memory, scratch);

                for (int i = 0; i < 10; i++)
                    CHECK(near((double)one[i], (double)y[row * net_out(n) + i], 1e-5));
            }
        }
        arena_destroy(a);
    }
}
