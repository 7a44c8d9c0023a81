/* SPDX-License-Identifier: Apache-2.0 */
// links: games search
/* Methods of search on a net whose best plan is known. */
#include "tests/test.h"

#include <math.h>

#include "search/ahead.h"
#include "search/method_tools.h"
#include "search/surrogate.h"
#include "tests/games/toy_net.h"

enum { BUDGET = 200 };

/* Only the loss counts: that is what the best plan is known for. */
static struct method_options loss_only(void)
{
    struct method_options o = method_defaults();

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    o.imagined = 0;
    return o;
}

static struct controller_options small_controller(enum controller_kind kind)
{
    struct controller_options c = controller_defaults(kind);

    c.actor_hidden[0] = c.actor_hidden[1] = c.actor_hidden[2] = 32;
    c.critic_hidden[0] = c.critic_hidden[1] = c.critic_hidden[2] = 32;
    c.n_episodes = 8;
    c.rate = (struct ramp){1e-3, 1e-3};
    return c;
}

/* Loss of what the method found, to the least there is. */
static double found(int method, const struct search_problem *p, double best,
                    uint64_t seed)
{
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, p, BUDGET);
    const struct method_options o = loss_only();

    if (method < METHOD_COUNT)
        method_run((enum method)method, e, &o, seed);
    else {
        const struct controller_options c =
            small_controller((enum controller_kind)(method - METHOD_COUNT));

        method_run_controller(&c, e, &o, seed);
    }
    CHECK(e->n <= BUDGET);
    CHECK(e->best >= 0);

    const double result = e->all[e->best].result.loss / best;

    arena_destroy(a);
    return result;
}

/* At most this multiple of the least loss. */
static double bar(int method)
{
    switch (method) {
    case METHOD_random:
    case METHOD_greedy:
    case METHOD_sequential:
        return 10;
    case METHOD_pruning:
    case METHOD_quantization:
        return 20;
    case METHOD_genetic:
    case METHOD_bayes:
    case METHOD_annealing:
    case METHOD_sweep:
        return 4;
    }
    return 1.05;
}

TEST(every_method_finds_a_good_plan_of_the_toy_net)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    const double best = toy_best(&t, &p);

    CHECK_OK(blas_open());
    for (int m = 0; m < (int)METHOD_COUNT + (int)CONTROLLER_COUNT; m++) {
        if (m == METHOD_none || m == METHOD_distillation) /* never within the budget */
            continue;

        const double regret = found(m, &p, best, 1);

        CHECK(regret >= 1 - 1e-9);
        CHECK(regret < bar(m));
    }
}

/* The best loss that the programme alone finds, and the whole search, as multiples of
 * the least there is. */
static void compare_with_optimum(uint64_t net, double *programme, double *search)
{
    static struct toy_net t;
    const struct search_problem p = toy_tiny(&t, net, .8, .33);
    const double best = toy_best(&t, &p);
    struct arena *a = arena_create();
    struct evaluator *alone = evaluator_create(a, &p, 300),
                     *both = evaluator_create(a, &p, 300);
    const struct controller_options c = small_controller(CONTROLLER_mappo);
    struct method_options o = loss_only();

    o.imagined = 1;
    method_run(METHOD_sweep, alone, &o, 1);
    method_run_both(&c, both, &o, 1);
    *programme = alone->all[alone->best].result.loss / best;
    *search = both->all[both->best].result.loss / best;
    arena_destroy(a);
}

/* 46 656 plans each, all tried. */
TEST(the_search_finds_the_optimum_of_tiny_nets_where_the_programme_alone_does_not)
{
    enum { NETS = 16 };
    int n_misled = 0;

    CHECK_OK(blas_open());
    for (uint64_t net = 100; net < 100 + NETS; net++) {
        double programme, search;

        compare_with_optimum(net, &programme, &search);
        n_misled += programme >= 1.1; /* by the additive table */
        if (programme >= 1.1 && search > 1.03)
            fail_msg("net %d: %.3f times the optimum", (int)net, search);
    }
    CHECK(n_misled > NETS / 2);
}

/* What an independent program reaches on nets of this family (docs/controllers.md), on
 * fewer nets. */
TEST(baselines_are_as_good_as_those_of_an_independent_program)
{
    enum { NETS = 6, LONG = 2000 };
    static const struct {
        enum method m;
        double ratio; /* mean loss to the best known, at 300 evaluations */
    } independent[] = {
        {METHOD_random, 6.28}, {METHOD_genetic, 3.07}, {METHOD_programme, 1.12}};
    static struct toy_net t;
    const struct method_options o = loss_only();
    double sum[3] = {0};

    for (int i = 0; i < NETS; i++) {
        double best = INFINITY;

        for (int k = 3; k >= 0; k--) {
            const bool is_best = k == 3;
            const struct search_problem p =
                toy_large(&t, 100 + (uint64_t)i, 0, 0.33, is_best ? 0 : 0.05);
            struct arena *a = arena_create();
            struct evaluator *e = evaluator_create(a, &p, is_best ? LONG : 300);

            method_run(is_best ? METHOD_programme : independent[k].m, e, &o, (uint64_t)i);
            if (is_best)
                best = e->all[e->best].result.loss;
            else
                sum[k] += toy_loss(&t, e->all[e->best].choices) / best / (double)NETS;
            arena_destroy(a);
        }
    }
    for (int k = 0; k < 3; k++)
        CHECK(sum[k] < 1.1 * independent[k].ratio);
}

/* All plans of a single technique leave what others decide as it is in the model. */
TEST(a_technique_alone_leaves_the_others_alone)
{
    static const enum method alone[] = {METHOD_none, METHOD_pruning,
                                        METHOD_quantization, METHOD_distillation};
    static struct toy_net t;
    struct search_problem p = toy_small(&t, 7, .3, .45);
    const struct method_options o = loss_only();

    p.trains = true;
    for (int k = 0; k < 4; k++) {
        struct arena *a = arena_create();
        struct evaluator *e = evaluator_create(a, &p, 80);
        bool prunes = false, narrows = false, trains = false;

        method_run(alone[k], e, &o, 1);
        for (int i = 0; i < e->n; i++) {
            const struct choices *c = e->all[i].choices;

            for (int u = 0; u < c->n_units; u++) {
                prunes |= c->units[u].ratio > 0;
                narrows |= c->units[u].bits < 2; /* 16 bits lose nothing */
            }
            trains |= c->alpha != e->all[0].choices->alpha;
        }
        CHECK(prunes == (alone[k] == METHOD_pruning));
        CHECK(narrows == (alone[k] == METHOD_quantization));
        CHECK(trains == (alone[k] == METHOD_distillation));
        CHECK(alone[k] != METHOD_none || e->n == 1);
        arena_destroy(a);
    }
}

/* Behind its table each plan is at least as fast as the one before. */
TEST(a_sweep_goes_along_the_front)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    const struct method_options o = loss_only();
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 80);
    int swept = 0;

    method_run(METHOD_sweep, e, &o, 1);
    for (int i = e->n - 1; i > 0 && e->all[i].feasible && e->all[i - 1].feasible; i--) {
        CHECK(e->all[i].result.costs[COST_latency]
              <= e->all[i - 1].result.costs[COST_latency]);
        swept++;
    }
    CHECK(swept >= 5);
    arena_destroy(a);
}

/* The same seed, the same archive; another seed, another one. */
TEST(equal_seeds_give_equal_archives)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    const struct method_options o = loss_only();

    CHECK_OK(blas_open());
    for (enum method m = 0; m < METHOD_COUNT; m++) {
        struct arena *a = arena_create();
        struct evaluator *e[3];

        for (int i = 0; i < 3; i++) {
            e[i] = evaluator_create(a, &p, 60);
            method_run(m, e[i], &o, 1 + (uint64_t)(i == 2));
        }
        CHECK_EQ(e[0]->n, e[1]->n);
        for (int i = 0; i < e[0]->n; i++)
            CHECK(choices_equal(e[0]->all[i].choices, e[1]->all[i].choices));
        if (m == METHOD_random)
            CHECK(!choices_equal(e[0]->all[0].choices, e[2]->all[0].choices));
        arena_destroy(a);
    }
}

/* 32 channels in tiles of 16: only half of them, from 50 % on, is another plan than the
 * original; and a follower has no share of its own: four plans for four leaders. */
TEST(the_table_of_single_changes_asks_for_no_plan_twice)
{
    static struct toy_net t;
    struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, BUDGET);
    struct method_options o = loss_only();
    struct method_run r = {.e = e, .p = &p, .o = &o, .arena = a, .name = "table"};

    for (int i = 0; i < p.n_units; i++) {
        t.units[i].channels = 32;
        t.units[i].tile = 16;
        t.units[i].ratios = (1u << CHOICE_RATIOS) - 1;
        t.units[i].leader = i < 2 ? 0 : i == 5 ? 4 : i;
    }

    const struct method_effects f = method_measure_effects(&r);
    int asked = 0;

    for (int i = 0; i < e->n; i++)
        for (int k = 0; k < p.n_units; k++)
            asked += e->all[i].choices->units[k].ratio != 0;
    CHECK_EQ(asked, 4);
    CHECK(f.ratio[2][4] == 0);
    CHECK(f.ratio[2][5] > 0);
    CHECK(f.ratio[2][9] == f.ratio[2][5]);
    CHECK(f.ratio[1][9] == 0);
    arena_destroy(a);
}

/* With all effects together the additive guess is wrong and the fit is not. */
TEST(the_surrogate_learns_how_changes_act_together)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 5, .8, .45);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 400);
    struct method_effects f = {arena_alloc_array(a, 6, sizeof *f.ratio),
                               arena_alloc_array(a, 6, sizeof *f.bits)};
    struct choices *c = choices_create(a, 6);
    struct walk *w = walk_create(a, &p);
    struct random r = random_seeded(4);
    double before = 0, after = 0;

    CHECK_OK(blas_open());
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < CHOICE_RATIOS; k++) {
            c->units[i] = (struct choice){0, (uint8_t)k, 3};
            f.ratio[i][k] = toy_loss(&t, c);
            c->units[i] = (struct choice){0, 0, (uint8_t)(k % CHOICE_BITS)};
            f.bits[i][k % CHOICE_BITS] = toy_loss(&t, c);
            c->units[i] = (struct choice){0, 0, 3};
        }

    struct surrogate *s = surrogate_create(a, f, 6);

    for (int i = 0; i < 300; i++) {
        walk_random(w, &r, c);
        evaluator_run(e, c, "random");
    }
    for (int round = 0; round < 2; round++) {
        struct random again = random_seeded(99);
        double *const error = round ? &after : &before;

        for (int i = 0; i < 100; i++) {
            walk_random(w, &again, c);
            CHECK(round
                  || fabs(surrogate_loss(s, c) - method_sum_effects(&f, c)) < 1e-9);
            *error += fabs(surrogate_loss(s, c) / toy_loss(&t, c) - 1) / 100;
        }
        if (!round)
            surrogate_fit(s, e);
    }
    CHECK(before > 0.3);
    CHECK(after < 0.1);
    arena_destroy(a);
}

struct share {
    int n, first, last; /* evaluations of the controller */
};

/* Costs count by the share `weight` of what they usually do. */
static struct share controllers_share(struct evaluator *e, int imagined, double weight)
{
    const struct controller_options c = small_controller(CONTROLLER_mappo);
    struct method_options o = method_defaults();
    struct share s = {0, e->budget, -1};

    o.imagined = imagined;
    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] *= weight;
    method_run_both(&c, e, &o, 1);
    CHECK_EQ(e->n, e->budget);
    for (int i = 0; i < e->n; i++) {
        if (!strcmp(e->all[i].proposer, "mappo")) {
            s.n++;
            s.first = i < s.first ? i : s.first;
            s.last = i;
        } else {
            CHECK(!strcmp(e->all[i].proposer, "surrogate"));
        }
    }
    return s;
}

TEST(the_controller_has_two_quarters_between_those_of_the_surrogate)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 100);

    CHECK_OK(blas_open());

    const struct share all = controllers_share(e, 0, 0);

    CHECK(all.n >= 10);
    CHECK_EQ(all.last - all.first + 1, all.n); /* one after the other */
    CHECK_EQ(99 - all.last, all.n / 2);
    CHECK(all.first > all.n / 2); /* behind the table */

    /* Of a small net the surrogate soon knows the best plan, and nothing that is
     * imagined is better: climbs to the rest of the front are evaluated instead, if
     * costs count. */
    e = evaluator_create(a, &p, 100);

    const struct share some = controllers_share(e, 1, .2);

    CHECK(some.n < all.n / 2);
    CHECK(!some.n || (some.first >= all.first && some.last <= all.last));
    /* Nothing is without loss. */
    CHECK(evaluator_hypervolume(e, 1e-9) == 0);
    CHECK(evaluator_hypervolume(e, 10) > 0.3);
    CHECK(evaluator_hypervolume(e, 10) < 1);
    arena_destroy(a);
}

/* With all climbs towards the best plan it is 0.54. */
TEST(the_surrogate_looks_at_the_rest_of_the_front_as_well)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 100);
    struct method_options o = method_defaults();

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] *= .2;
    method_run(METHOD_surrogate, e, &o, 1);
    CHECK_EQ(e->n, 100);
    CHECK(evaluator_hypervolume(e, 1) > .65);
    arena_destroy(a);
}

/* ---- several processes ------------------------------------------------------------
 */

struct shared {
    struct ahead *ahead;
    int n_expected, n_taken;
};

static void expect(void *arg, const struct choices *const *plans, int n)
{
    struct shared *s = arg;

    s->n_expected += n;
    CHECK_OK(ahead_run(s->ahead, plans, n));
}

static bool take(void *arg, int n, const struct choices *c, struct search_result *out)
{
    struct shared *s = arg;
    const bool is_there = ahead_take(s->ahead, c, out);

    (void)n;
    s->n_taken += is_there;
    return is_there;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

/* 100 evaluations of both halves, on so many processes. */
static struct evaluator *search_with(struct arena *a, const struct search_problem *p,
                                     int n_ranks, struct shared *s)
{
    struct evaluator *e = evaluator_create(a, p, 100);
    struct method_options o = loss_only();
    const struct controller_options c = small_controller(CONTROLLER_mappo);
    struct ranks r;

    CHECK_OK(ranks_fork(n_ranks, &r));
    s->ahead = ahead_create(a, p, &r);
    if (r.rank) {
        status_free(ahead_serve(s->ahead, never, NULL));
        r.close(&r);
    }
    e->expect = expect;
    e->recall = take;
    e->arg = s;
    o.imagined = 1;
    method_run_both(&c, e, &o, 1);
    CHECK_OK(ahead_end(s->ahead));
    r.close(&r);
    return e;
}

TEST(any_number_of_processes_finds_the_same)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct shared s = {0};

    CHECK_OK(blas_open());
    const struct evaluator *one = search_with(a, &p, 1, &s);

    for (int n = 2; n <= 4; n++) {
        struct shared many = {0};
        const struct evaluator *e = search_with(a, &p, n, &many);

        CHECK_EQ(e->n, one->n);
        for (int i = 0; i < e->n; i++) {
            CHECK(choices_equal(e->all[i].choices, one->all[i].choices));
            CHECK(e->all[i].result.loss == one->all[i].result.loss);
        }
        CHECK(many.n_taken == many.n_expected); /* nothing is evaluated in vain */
        CHECK(many.n_taken > e->n / 2);
    }
    arena_destroy(a);
}

TEST(a_lost_process_is_an_error)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    const struct choices *plans[] = {choices_create(a, p.n_units),
                                     choices_create(a, p.n_units)};
    struct ranks r;

    CHECK_OK(ranks_fork(2, &r));
    if (r.rank)
        r.close(&r); /* at once */
    CHECK_FAILS(ahead_run(ahead_create(a, &p, &r), plans, 2), IO_ERROR,
                "worker process 1 of 1 has ended");
    r.close(&r);
    arena_destroy(a);
}
