/* SPDX-License-Identifier: Apache-2.0 */
// links: games search
/* Comparisons of methods, and the pages about them. */
#include "tests/test.h"

#include <math.h>
#include <string.h>

#include "search/contest_results.h"
#include "search/search_page.h"
#include "search/walk.h"
#include "support/chart.h"
#include "tests/games/toy_net.h"

enum { BUDGET = 40 };

/* ---- runs -------------------------------------------------------------------------
 */

static struct evaluator *play(struct arena *a, const char *name,
                              const struct contest_entry *entry)
{
    const struct contestant *who = contest_find(name);
    struct evaluator *e = contest_begin(a, who, entry, BUDGET);

    contest_play(who, e, 1);
    return e;
}

/* The second target asks for what the first one knows. */
TEST(a_plan_is_evaluated_once_and_counted_for_everyone)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct contest_pool *pool = contest_pool_create(a, &p, 4 * BUDGET);
    struct contest_entry *first = contest_enter(a, pool, &p, NULL, .3),
                         *second = contest_enter(a, pool, &p, NULL, .3);
    const struct evaluator *x = play(a, "programme", first);
    const int64_t evaluated = t.n_evaluated;
    const struct evaluator *y = play(a, "programme", second);

    CHECK_EQ(x->n, BUDGET);
    CHECK_EQ(y->n, BUDGET);
    CHECK_EQ(evaluated, BUDGET);
    CHECK_EQ(t.n_evaluated, BUDGET);
    CHECK_EQ(contest_pool_n_evaluated(pool), BUDGET);
    for (int i = 0; i < BUDGET; i++)
        CHECK(x->all[i].result.loss == y->all[i].result.loss);
    arena_destroy(a);
}

TEST(every_run_begins_with_the_model_as_it_is)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);

    for (const struct contestant *c = contestants; c->name; c++) {
        struct arena *a = arena_create();
        struct contest_pool *pool = contest_pool_create(a, &p, BUDGET);
        const struct contest_entry *entry = contest_enter(a, pool, &p, NULL, .3);

        CHECK(contest_find(c->name) == c);
        CHECK_OK(blas_open());
        if (c->role == CONTEST_METHOD) {
            const struct evaluator *e = play(a, c->name, entry);

            CHECK(e->n >= 1 && e->n <= BUDGET);
            CHECK_EQ(e->all[0].choices->units[0].ratio, 0);
            CHECK(e->all[0].result.costs[COST_latency] == p.base[COST_latency]);
        }
        arena_destroy(a);
    }
    CHECK(contest_find("nobody") == NULL);
}

TEST(a_run_is_worth_its_most_accurate_plan_within_the_budget)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct contest_pool *pool = contest_pool_create(a, &p, BUDGET);
    const struct contest_entry *entry = contest_enter(a, pool, &p, NULL, .3);
    struct evaluator *e = play(a, "random", entry);
    struct contest_figures f;

    CHECK(e->best > 0);
    contest_measure(a, e, 1e9, &f);
    CHECK(f.feasible);
    CHECK(f.loss == e->all[e->best].result.loss);
    CHECK(f.latency <= .3 + 1e-9);
    CHECK(f.curve[0] == 0); /* the original misses the budget */
    CHECK(f.curve[BUDGET - 1] == exp(-f.loss));
    CHECK(f.speedup >= 1 / f.latency - 1e-9);
    CHECK(f.n_to_best >= 2 && f.n_to_best <= BUDGET);
    contest_measure(a, e, 1e-12, &f);
    CHECK(f.speedup == 1); /* only the original loses nothing */
    CHECK(f.volume == 0);
    arena_destroy(a);
}

TEST(a_budget_is_out_of_reach_of_quantization_alone)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    struct arena *a = arena_create();
    struct choices *c = choices_create(a, p.n_units);
    double whole = INFINITY, costs[COST_COUNT];
    const double least = contest_budget(a, &p, NULL, 0),
                 budget = contest_budget(a, &p, NULL, .7);

    for (int b = 0; b < CHOICE_BITS; b++) {
        for (int i = 0; i < c->n_units; i++)
            c->units[i] = (struct choice){0, 0, (uint8_t)b};
        walk_repair(walk_create(a, &p), c, c);
        search_costs(&p, c, costs);
        whole = fmin(whole, costs[COST_latency] / p.base[COST_latency]);
    }
    CHECK(least > 0 && least < whole && whole <= 1);
    CHECK(fabs(contest_budget(a, &p, NULL, 1) - whole) < 1e-12);
    CHECK(fabs(budget - (least + .7 * (whole - least))) < 1e-12);

    /* A random plan is no faster than the least there is. */
    struct contest_pool *pool = contest_pool_create(a, &p, BUDGET);
    const struct evaluator *e = play(a, "random", contest_enter(a, pool, &p, NULL, 1));

    for (int i = 0; i < e->n; i++)
        CHECK(e->all[i].result.costs[COST_latency]
              >= least * p.base[COST_latency] * (1 - 1e-9));
    arena_destroy(a);
}

/* ---- verdicts ---------------------------------------------------------------------
 */

/* 2 models and 5 seeds, the others' hypervolume less ours by `less`. */
static struct contest_results results(struct arena *a, int n_who, const double *less)
{
    static const char *const models[] = {"a", "b<i>"}, *const targets[] = {"t"};
    static const struct contestant *who[8];
    struct contest_results r = {.n_models = 2,
                                .n_targets = 1,
                                .n_who = n_who,
                                .n_seeds = 5,
                                .n_evaluations = 3,
                                .models = models,
                                .targets = targets,
                                .who = who,
                                .budget_way = .3,
                                .fixed_loss = .1,
                                .command = "hadmcc compare a b",
                                .samples = ""};

    r.runs = arena_new_array(a, struct contest_run, 2 * n_who * 5);
    for (int w = 0; w < n_who; w++) {
        who[w] = &contestants[w];
        for (int m = 0; m < 2; m++)
            for (int s = 0; s < 5; s++) {
                struct contest_run *run = contest_run_at(&r, m, 0, w, s);

                run->figures = (struct contest_figures){
                    .feasible = w != 3,
                    .volume = .5 + .02 * s + .2 * m - less[w] * (1 + .1 * s),
                    .speedup = 2,
                    .curve = arena_new_array(a, double, 3)};
                run->figures.curve[2] = .5;
                run->on = arena_new_array(a, double, 1);
                run->on[0] = .25;
            }
    }
    return r;
}

TEST(verdicts_tell_better_from_ties_and_from_worse)
{
    static const double less[] = {0, .1, 0, .002, -.1};
    struct arena *a = arena_create();
    const struct contest_results r = results(a, 5, less);
    const struct contest_verdict *v = contest_judge(a, &r, CONTEST_volume);

    CHECK(strcmp(v[1].words, "better") == 0);
    CHECK(fabs(v[1].difference - .12) < 1e-9);
    CHECK(v[1].effect > .5);
    CHECK(strcmp(v[2].words, "tie") == 0);
    CHECK(fabs(v[2].effect - .5) < 1e-9);
    CHECK(v[2].p_t == 1);
    CHECK(strcmp(v[4].words, "worse") == 0);
    /* Always ahead, by less than the margin: better all the same. */
    CHECK(strcmp(v[3].words, "better") == 0);
    /* Speeds are equal. */
    CHECK(strcmp(contest_judge(a, &r, CONTEST_speed)[1].words, "tie") == 0);
    /* A run without a plan within the budget keeps nothing. */
    CHECK(contest_value(contest_run_at(&r, 0, 0, 3, 0), CONTEST_kept) == 0);
    CHECK(contest_value(contest_run_at(&r, 0, 0, 1, 0), CONTEST_kept) == 1);
    arena_destroy(a);
}

TEST(with_two_pairs_nothing_is_decided)
{
    static const double less[] = {0, .1};
    struct arena *a = arena_create();
    struct contest_results r = results(a, 2, less);

    r.n_models = r.n_seeds = 1;
    CHECK(strcmp(contest_judge(a, &r, CONTEST_volume)[1].words, "undecided") == 0);
    arena_destroy(a);
}

TEST(results_are_written_as_json_and_as_a_page_without_references)
{
    static const double less[] = {0, .1, 0};
    struct arena *a = arena_create();
    const struct contest_results r = results(a, 3, less);
    struct text json = {0}, page = {0};

    contest_put_json(a, &r, &json);
    contest_put_html(a, &r, &page);
    CHECK(strstr(json.bytes, "\"verdict\": \"better\""));
    CHECK(strstr(json.bytes, "\"latency_origin\": \"modelled\""));
    CHECK(strstr(page.bytes, "b&lt;i&gt;"));
    CHECK(strstr(page.bytes, "<svg class=chart"));
    CHECK(!strstr(page.bytes, "b<i>"));
    CHECK(!strstr(page.bytes, "<script"));
    CHECK(!strstr(page.bytes, "http"));
    text_free(&json);
    text_free(&page);
    arena_destroy(a);
}

/* ---- the page of a search ---------------------------------------------------------
 */

/* 64 channels in tiles of 8: 10 % keeps as many as nothing, 58 becomes 64. */
TEST(the_page_says_why_an_action_was_not_legal)
{
    static struct toy_net t;
    struct search_problem p = toy_large(&t, 7, .3, .33, 0);
    struct arena *a = arena_create();
    struct choices *c = choices_create(a, p.n_units);
    struct walk *w = walk_create(a, &p);
    struct random random = random_seeded(1);
    const char *why;

    walk_random(w, &random, c);
    why = search_forbids(a, &p, c, 8, AGENT_pruning, 1);
    CHECK(why && strstr(why, "tiles of 8"));
    why = search_forbids(a, &p, c, 8, AGENT_quantization, 3);
    CHECK(why && strstr(why, "lacks"));
    why = search_forbids(a, &p, c, p.n_units - 1, AGENT_pruning, 5);
    CHECK(why && strstr(why, "must stay"));
    /* What was chosen was legal. */
    for (int i = 0; i < p.n_units; i++)
        CHECK(!search_forbids(a, &p, c, i, AGENT_quantization, c->units[i].bits));
    /* No 16 bits in the last unit with hardly any time left. */
    p.budgets[COST_latency] = 1e-6;
    why = search_forbids(a, &p, c, 0, AGENT_quantization, 2);
    CHECK(why && strstr(why, "budgets"));
    arena_destroy(a);
}

static void costs(void *arg, double operations, double memory, const struct choices *c,
                  double *out)
{
    search_costs(arg, c, out);
    out[COST_energy] *= operations + memory;
}

TEST(the_page_of_a_search_shows_front_choices_and_trials)
{
    static struct toy_net t;
    struct search_problem p = toy_large(&t, 7, .3, .33, 0);
    const struct reward reward = reward_defaults(REWARD_LOG);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 60);
    const struct method_options o = method_defaults();
    struct text page = {0};

    method_run(METHOD_random, e, &o, 1);

    const struct search_trial trial = {
        .of = &e->all[e->best], .loss = .5, .drop = 1, .bytes = 1000};
    const struct search_page of = {.model = "toy & co",
                                   .target = "somewhere",
                                   .sentence = "60 plans",
                                   .e = e,
                                   .reward = &reward,
                                   .chosen = &e->all[e->best],
                                   .n_trials = 1,
                                   .trials = &trial,
                                   .costs = costs,
                                   .costs_arg = &p};

    search_page_put(a, &of, &page);
    CHECK(strstr(page.bytes, "toy &amp; co"));
    CHECK(strstr(page.bytes, "60 by random"));
    CHECK(strstr(page.bytes, "Learning curve"));
    CHECK(strstr(page.bytes, "nothing is trained"));
    CHECK(strstr(page.bytes, "tiles of 8"));
    CHECK(strstr(page.bytes, "If energy cost"));
    CHECK(!strstr(page.bytes, "nan"));
    text_free(&page);
    arena_destroy(a);
}

/* ---- charts -----------------------------------------------------------------------
 */

TEST(a_chart_without_points_is_nothing)
{
    const struct chart_series s = {.name = "none"};
    const struct chart c = {
        .label = "", .x_title = "", .y_title = "", .n = 1, .series = &s};
    struct text t = {0};

    chart_put(&t, &c);
    CHECK_EQ(t.len, 0);
}

/* 0 to 100 in steps of 20; on a logarithm 1, 2, 5, 10. */
TEST(ticks_are_round_numbers)
{
    const double x[] = {0, 100}, y[] = {1, 10};
    const struct chart_series s = {
        .name = "<it>", .kind = CHART_LINE, .n = 2, .x = x, .y = y};
    const struct chart c = {.label = "l",
                            .x_title = "x",
                            .y_title = "y",
                            .y_log = true,
                            .n = 1,
                            .series = &s};
    struct text t = {0};

    chart_put(&t, &c);
    CHECK(strstr(t.bytes, ">20</text>"));
    CHECK(strstr(t.bytes, ">100</text>"));
    CHECK(strstr(t.bytes, "text-anchor=end>5</text>"));
    CHECK(strstr(t.bytes, "&lt;it&gt;"));
    CHECK(!strstr(t.bytes, ">15</text>"));
    text_free(&t);
}
