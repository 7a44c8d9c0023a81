/* SPDX-License-Identifier: Apache-2.0 */
// links: games search
/* Codecs, masks, the budget wall, rewards, fronts, and the archive. */
#include "tests/test.h"

#include <math.h>

#include "search/evaluator.h"
#include "search/reward.h"
#include "search/search_environment.h"
#include "search/walk.h"
#include "tests/games/toy_net.h"

static bool near(double a, double b, double by)
{
    return fabs(a - b) <= by;
}

/* ---- codecs -------------------------------------------------------------------------
 */

TEST(every_flat_action_decodes_and_encodes_to_itself)
{
    const int n_units = 7;

    for (enum choice_agent agent = 0; agent < AGENT_COUNT; agent++) {
        const int n = choice_n_actions(agent);

        for (int64_t flat = 0; flat < (int64_t)n * n_units; flat++) {
            int unit, action;

            choice_decode(agent, flat, &unit, &action);
            CHECK(unit >= 0 && unit < n_units && action >= 0 && action < n);
            CHECK(choice_encode(agent, unit, action) == flat);
        }
    }
}

/* 37 = unit 3, ratio 0.7; 14 = unit 3, 16 bits; 27 = unit 4, pattern 3; 19 =
 * incremental, all of it. */
TEST(flat_actions_mean_what_the_table_says)
{
    int unit, action;

    choice_decode(AGENT_pruning, 37, &unit, &action);
    CHECK(unit == 3 && near(choice_ratio(action), .7, 1e-12));
    choice_decode(AGENT_quantization, 14, &unit, &action);
    CHECK(unit == 3 && choice_bits[action] == 16);
    choice_decode(AGENT_fusion, 27, &unit, &action);
    CHECK(unit == 4 && action == 3);
    choice_decode(AGENT_update, 19, &unit, &action);
    CHECK(unit == 0 && action / CHOICE_RATIOS == 1
          && near(choice_update_ratio(action), 1, 1e-12));
}

/* 20 channels, tile 8: 24 and 16 and 8 stay... 20, 16 from .2 on, 8 from .6 on. */
TEST(ratios_that_keep_the_same_channels_are_one_action)
{
    CHECK(choice_kept(20, 8, 0) == 20);
    CHECK(choice_kept(20, 8, 1) == 20);
    CHECK(choice_kept(20, 8, 2) == 16);
    CHECK(choice_kept(20, 8, 6) == 8);
    CHECK(choice_kept(20, 8, 9) == 8);
    CHECK(choice_kept(5, 8, 9) == 5);
    CHECK_EQ(choice_distinct_ratios(0x3ff, 20, 8), 1 | 1 << 2 | 1 << 6);
    CHECK_EQ(choice_distinct_ratios(1 | 1 << 4 | 1 << 5, 20, 8), 1 | 1 << 4);
    CHECK_EQ(choice_distinct_ratios(0x3ff, 100, 1), 0x3ff);
    CHECK_EQ(__builtin_popcount(choice_distinct_updates()), 12);
}

/* ---- walks
 * ---------------------------------------------------------------------------- */

/* Three units; each costs what its level says: bits / 4 less a tenth per ratio. */
static void plain_cost(void *self, int unit, struct choice own, struct choice before,
                       double *out)
{
    (void)self;
    (void)unit;
    (void)before;
    out[COST_latency] = choice_bits[own.bits] / 4 - 0.1 * own.ratio;
    out[COST_energy] = out[COST_bytes] = 1;
    out[COST_ram] = choice_bits[own.bits];
}

static struct search_unit plain_units[3];

static struct search_problem plain_problem(void)
{
    struct search_problem p = {.n_units = 3, .units = plain_units, .cost = plain_cost};

    for (int i = 0; i < 3; i++)
        plain_units[i] = (struct search_unit){.name = "unit",
                                              .channels = 100,
                                              .tile = 1,
                                              .patterns = 0x3f,
                                              .ratios = 0x3ff,
                                              .bits = 0xf,
                                              .leader = i,
                                              .joins = -1};
    for (int k = 0; k < COST_COUNT; k++) {
        p.budgets[k] = INFINITY;
        p.base[k] = 24;
    }
    return p;
}

static void take(struct walk *w, enum choice_agent agent, int action)
{
    enum choice_agent asked;

    CHECK(walk_asks(w, &asked));
    CHECK_EQ(asked, agent);
    CHECK(walk_legal(w) >> action & 1);
    walk_take(w, action);
}

/* The cheapest unit costs 1 - .9 = .1.  With 4.25 in all, after 4 - .2 for the first
 * unit .45 is left: ratio 7 (.3) and 9 go with 4 bits, .1 at least for the other. */
TEST(the_wall_leaves_what_can_still_be_met)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();

    p.budgets[COST_latency] = 4.25;

    struct walk *w = walk_create(a, &p);

    walk_begin(w);
    CHECK(near(walk_least(w, COST_latency), .3, 1e-12));
    take(w, AGENT_fusion, 0);
    CHECK_EQ(walk_legal(w), 0x3ff);
    take(w, AGENT_pruning, 2);
    CHECK_EQ(walk_legal(w), 0x7); /* 32 bits: 8 - .2 */
    take(w, AGENT_quantization, 2);
    CHECK(near(walk_costs(w)[COST_latency], 3.8, 1e-12));
    take(w, AGENT_fusion, 5);
    CHECK_EQ(walk_legal(w), 0x380); /* 1 - .1 r <= .35 */
    take(w, AGENT_pruning, 7);
    CHECK_EQ(walk_legal(w), 0x1);
    take(w, AGENT_quantization, 0);
    take(w, AGENT_fusion, 0);
    CHECK_EQ(walk_legal(w), 0x200);
    take(w, AGENT_pruning, 9);
    take(w, AGENT_quantization, 0);
    CHECK(!walk_is_stuck(w));
    CHECK_EQ(walk_legal(w), 1); /* nothing is deployed */
    take(w, AGENT_update, 0);
    arena_destroy(a);
}

TEST(random_plans_meet_their_budgets)
{
    static struct toy_net t;
    const struct search_problem p = toy_large(&t, 3, .3, .25, 0);
    struct arena *a = arena_create();
    struct walk *w = walk_create(a, &p);
    struct choices *c = choices_create(a, p.n_units),
                   *again = choices_create(a, p.n_units);
    struct random r = random_seeded(1);

    for (int i = 0; i < 200; i++) {
        double costs[COST_COUNT];

        walk_random(w, &r, c);
        search_costs(&p, c, costs);
        CHECK(search_is_feasible(&p, costs));
        CHECK(!walk_is_stuck(w));
        walk_repair(w, c, again); /* nothing to repair */
        CHECK(choices_equal(c, again));
        for (int k = 0; k < p.n_units; k++)
            c->units[k] = (struct choice){3, 0, 3};
        walk_repair(w, c, again);
        search_costs(&p, again, costs);
        CHECK(search_is_feasible(&p, costs));
    }
    arena_destroy(a);
}

TEST(a_budget_that_cannot_be_met_leaves_the_cheapest_plan)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();

    p.budgets[COST_latency] = .2;

    struct walk *w = walk_create(a, &p);
    struct choices *c = choices_create(a, 3);

    walk_repair(w, c, c);
    CHECK(walk_is_stuck(w));
    for (int i = 0; i < 3; i++)
        CHECK(c->units[i].ratio == 9 && c->units[i].bits == 0);
    arena_destroy(a);
}

TEST(members_of_a_group_share_their_ratio_and_joined_units_their_bits)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();

    plain_units[2].leader = 0;
    plain_units[1].joins = 0;

    struct walk *w = walk_create(a, &p);

    walk_begin(w);
    take(w, AGENT_fusion, 0);
    take(w, AGENT_pruning, 4);
    take(w, AGENT_quantization, 1);
    take(w, AGENT_fusion, 5); /* with the sum of unit 0 */
    take(w, AGENT_pruning, 2);
    CHECK_EQ(walk_legal(w), 1 << 1);
    take(w, AGENT_quantization, 1);
    take(w, AGENT_fusion, 1);
    CHECK_EQ(walk_legal(w), 1 << 4);
    take(w, AGENT_pruning, 4);
    CHECK_EQ(walk_legal(w), 0xf);
    arena_destroy(a);
}

/* A follower that a group's ratio makes dear counts when the leader chooses. */
TEST(the_wall_sees_what_a_leader_decides_for_others)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();

    plain_units[2].leader = 0;
    p.budgets[COST_latency] = 1.2; /* 1 + 1 - .2 r + .1 at the least */

    struct walk *w = walk_create(a, &p);

    walk_begin(w);
    take(w, AGENT_fusion, 0);
    for (int r = 0; r < 10; r++)
        if (walk_legal(w) >> r & 1)
            CHECK(2 - .2 * r + .1 <= 1.2 + 1e-9);
    arena_destroy(a);
}

TEST(locked_units_keep_what_they_have)
{
    struct arena *a = arena_create();
    const struct search_problem p = plain_problem();
    struct walk *w = walk_create(a, &p);

    walk_lock(w, 1);
    walk_begin(w);
    take(w, AGENT_fusion, 2);
    take(w, AGENT_pruning, 5);
    take(w, AGENT_quantization, 0);
    CHECK_EQ(walk_legal(w), 1);
    take(w, AGENT_fusion, 0);
    CHECK_EQ(walk_legal(w), 1);
    take(w, AGENT_pruning, 0);
    CHECK_EQ(walk_legal(w), 1 << 3);
    arena_destroy(a);
}

/* ---- the environment
 * -------------------------------------------------------------------- */

static bool no_judge(void *arg, const struct choices *c, struct search_result *out)
{
    (void)arg;
    *out = (struct search_result){.loss = 0.01 * c->units[0].ratio,
                                  .costs = {12, 24, 24, 24}};
    return true;
}

static struct outcome step(const struct environment *e, void *episode, int choice)
{
    const struct action a = {.choice = choice};

    return e->act(episode, &a);
}

/* Inputs change after every unit, and not within one. */
TEST(the_policy_sees_what_has_been_decided)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();

    p.trains = true;

    struct search_environment *s = search_environment_create(a, &p);
    const struct environment e = search_environment_of(s);
    void *const episode = e.episode(e.problem, 0);
    float seen[4][SEARCH_INPUTS], critic[SEARCH_INPUTS];
    struct decision d = {.observation = seen[0], .state = critic};
    struct outcome out = {0, EPISODE_RUNS};

    s->judge = no_judge;
    e.start(episode, 0);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            d.observation = seen[i + (k > 0 && i < 3 ? 0 : 0)];

            float before[SEARCH_INPUTS];

            memcpy(before, seen[i], sizeof before);
            e.ask(episode, &d);
            CHECK_EQ(d.agent, k);
            CHECK(d.opens_unit == (k == 0));
            if (k)
                CHECK_BYTES(before, seen[i], sizeof before);
            step(&e, episode, k == AGENT_pruning ? 3 : 1);
        }
    CHECK(memcmp(seen[0], seen[1], sizeof seen[0]) != 0);
    CHECK(memcmp(seen[1], seen[2], sizeof seen[0]) != 0);
    d.observation = seen[3];
    e.ask(episode, &d);
    CHECK_EQ(d.agent, AGENT_distillation);
    CHECK(d.opens_unit);

    const struct action mix = {.u = {0, 0}};

    out = e.act(episode, &mix);
    CHECK_EQ(out.end, EPISODE_RUNS);
    e.ask(episode, &d);
    CHECK_EQ(d.agent, AGENT_update);
    CHECK_EQ(d.legal, 1);
    out = step(&e, episode, 0);
    CHECK_EQ(out.end, EPISODE_TERMINATED);
    /* loss .03: -log 4; latency halved: .5 log 2. */
    CHECK(near(out.reward, -log(4) + .5 * log(2), 1e-6));
    arena_destroy(a);
}

TEST(agents_without_effect_are_reported)
{
    struct search_problem p = plain_problem();

    CHECK(search_inert(&p, AGENT_distillation) && search_inert(&p, AGENT_update));
    CHECK(!search_inert(&p, AGENT_pruning));
    p.trains = p.is_deployed = true;
    CHECK(!search_inert(&p, AGENT_distillation) && !search_inert(&p, AGENT_update));
}

/* ---- rewards
 * ------------------------------------------------------------------------------ */

TEST(reward_is_zero_for_the_original_and_counts_halvings)
{
    struct search_problem p = plain_problem();
    struct reward r = reward_defaults(REWARD_LOG);
    struct search_result s = {.loss = 0, .costs = {24, 24, 24, 24}};

    CHECK(reward_of(&r, &p, NULL, &s) == 0);
    s.costs[COST_latency] = 12;
    s.costs[COST_bytes] = 6;
    CHECK(near(reward_of(&r, &p, NULL, &s), .5 * log(2) + .2 * log(4), 1e-12));
    s.loss = .01;
    CHECK(near(reward_of(&r, &p, NULL, &s), .5 * log(2) + .2 * log(4) - log(2), 1e-12));
    p.budgets[COST_latency] = 10;
    r.lambda[COST_latency] = 2;
    CHECK(near(reward_of(&r, &p, NULL, &s), .5 * log(2) + .2 * log(4) - log(2) - 2 * .2,
               1e-12));
}

TEST(the_published_reward_is_a_weighted_sum_with_hinges)
{
    struct search_problem p = plain_problem();
    const struct reward r = reward_defaults(REWARD_WEIGHTED);
    struct search_result s = {.loss = 0, .costs = {12, 24, 18, 24}};

    CHECK(near(reward_of(&r, &p, NULL, &s), .5 * .5 + .2 * .25, 1e-12));
    p.budgets[COST_latency] = 10;
    CHECK(near(reward_of(&r, &p, NULL, &s), .5 * .5 + .2 * .25 - 5 * .2, 1e-12));
}

/* Ten over a budget of 8 is .25 too much; under it the multiplier falls back to 0. */
TEST(multipliers_rise_with_excess_and_fall_with_slack)
{
    struct search_problem p = plain_problem();
    struct reward r = reward_defaults(REWARD_LOG);
    const double over[COST_COUNT] = {10, 1, 1, 1}, under[COST_COUNT] = {4, 1, 1, 1};

    p.budgets[COST_latency] = 8;
    reward_raise(&r, &p, over, .4, 1);
    CHECK(near(r.lambda[COST_latency], .1, 1e-12));
    CHECK(r.lambda[COST_bytes] == 0);
    reward_raise(&r, &p, under, .4, 1);
    CHECK(r.lambda[COST_latency] == 0);
    for (int i = 0; i < 20; i++)
        reward_raise(&r, &p, over, .4, 1);
    CHECK(r.lambda[COST_latency] == 1);
}

/* ---- forecasts
 * ------------------------------------------------------------------------------- */

/* Takes these shares of three units' channels, in tenths. */
static struct choices *pruned(struct arena *a, int first, int second, int third)
{
    struct choices *c = choices_create(a, 3);

    c->units[0] = (struct choice){0, (uint8_t)first, 3};
    c->units[1] = (struct choice){0, (uint8_t)second, 3};
    c->units[2] = (struct choice){0, (uint8_t)third, 3};
    return c;
}

static double forecast_of(const struct forecast *f, const struct evaluation *v)
{
    return forecast_loss(f, v->choices, v->result.loss);
}

/* 0.1 nats cost 0.5 points where the first unit loses channels, 2 where the second one
 * does. */
TEST(a_nat_has_the_price_of_similar_plans)
{
    struct arena *a = arena_create();
    const struct evaluation one = {.choices = pruned(a, 5, 0, 0), .result.loss = .1},
                            two = {.choices = pruned(a, 0, 5, 0), .result.loss = .1},
                            both = {.choices = pruned(a, 4, 4, 0), .result.loss = .1},
                            more = {.choices = pruned(a, 4, 1, 0), .result.loss = .1},
                            none = {.choices = pruned(a, 0, 0, 0), .result.loss = 0};
    struct forecast f = {0};

    CHECK(forecast_of(&f, &one) == .1);
    f.mark[f.n++] = (struct forecast_mark){&one, .5};
    CHECK(near(forecast_price(&f), 5, 1e-9));
    CHECK(near(forecast_of(&f, &two), .1, 1e-9));
    f.mark[f.n++] = (struct forecast_mark){&two, 2};
    CHECK(near(forecast_price(&f), 12.5, 1e-9));
    CHECK(near(forecast_of(&f, &both), .1, 1e-9));
    CHECK(12.5 * forecast_of(&f, &one) < .55);
    CHECK(12.5 * forecast_of(&f, &two) > 1.95);
    CHECK(forecast_of(&f, &more) > forecast_of(&f, &one));
    CHECK(forecast_of(&f, &more) < .09);
    /* what has changed nothing says nothing of the price */
    f.mark[f.n++] = (struct forecast_mark){&none, 1e-3};
    CHECK(near(forecast_price(&f), 12.5, .01));
    CHECK(near(12.5 * forecast_of(&f, &one), .51, .02));
    arena_destroy(a);
}

/* Half as much is left of the first unit's effects; bits count as they are. */
TEST(what_is_left_of_single_changes_weighs_their_effects)
{
    struct arena *a = arena_create();
    double ratio[3][CHOICE_RATIOS] = {{0}}, bits[3][CHOICE_BITS] = {{0}};
    const double left[] = {.5, 1.5, 1};
    struct choices *c = pruned(a, 5, 5, 0);
    const struct forecast f = {.effects = {ratio, bits}, .left = left};

    CHECK(forecast_loss(&f, c, .1) == .1);
    ratio[0][5] = .03;
    ratio[1][5] = .01;
    CHECK(near(forecast_loss(&f, c, .1), .1 * (.015 + .015) / .04, 1e-12));
    bits[2][1] = .02;
    c->units[2].bits = 1;
    CHECK(near(forecast_loss(&f, c, .1), .1 * .05 / .06, 1e-12));
    arena_destroy(a);
}

TEST(a_forecast_makes_a_loss_count_for_more_or_less)
{
    struct arena *a = arena_create();
    struct search_problem p = plain_problem();
    struct reward r = reward_defaults(REWARD_LOG);
    const struct search_result s = {.loss = .02, .costs = {24, 24, 24, 24}};
    const struct evaluation one = {.choices = pruned(a, 5, 0, 0), .result.loss = .1},
                            two = {.choices = pruned(a, 0, 5, 0), .result.loss = .1};
    const struct forecast f = {.n = 2, .mark = {{&one, .5}, {&two, 2}}};

    r.allowed_loss = .02;
    CHECK(reward_of(&r, &p, two.choices, &s) == 0);
    r.forecast = &f;
    CHECK(reward_of(&r, &p, one.choices, &s) == 0);
    CHECK(near(reward_of(&r, &p, two.choices, &s),
               -log(100 * forecast_loss(&f, two.choices, .02) - 1), 1e-12));
    arena_destroy(a);
}

/* ---- fronts
 * ---------------------------------------------------------------------------------- */

/* Accuracy as loss: (1, 1 - .8), (2, 1 - .9) below (3, .5): .3 * 2 + .1 * 1 = .7. */
TEST(hypervolume_of_the_published_example)
{
    struct arena *a = arena_create();
    struct pareto p = pareto_create(a, 2);
    const double reference[2] = {3, .5}, one[2] = {1, .2}, two[2] = {2, .1},
                 beaten[2] = {2, .25}, outside[2] = {.5, .6};

    CHECK(pareto_add(&p, one, 0));
    CHECK(pareto_add(&p, two, 1));
    CHECK(!pareto_add(&p, beaten, 2));
    CHECK(!pareto_add(&p, one, 3));
    CHECK(near(pareto_hypervolume(&p, reference), .7, 1e-12));
    CHECK(pareto_add(&p, outside, 4));
    CHECK(near(pareto_hypervolume(&p, reference), .7, 1e-12));
    arena_destroy(a);
}

/* On a grid of 12 steps, by counting cells; 2, 3 and 4 objectives. */
TEST(hypervolume_is_what_counting_cells_gives)
{
    struct random r = random_seeded(8);

    for (int n = 2; n <= 4; n++)
        for (int round = 0; round < 20; round++) {
            struct arena *a = arena_create();
            struct pareto p = pareto_create(a, n);
            double at[25][4], reference[4] = {12, 12, 12, 12};
            int64_t cells = 0, side = 12, all = 1;

            for (int i = 0; i < 25; i++) {
                for (int k = 0; k < n; k++)
                    at[i][k] = (double)random_below(&r, 13);
                pareto_add(&p, at[i], i);
            }
            for (int k = 0; k < n; k++)
                all *= side;
            for (int64_t cell = 0; cell < all; cell++) {
                bool covered = false;

                for (int i = 0; i < 25 && !covered; i++) {
                    int64_t rest = cell;

                    covered = true;
                    for (int k = 0; k < n; k++, rest /= side)
                        covered &= at[i][k] <= (double)(rest % side);
                }
                cells += covered;
            }
            CHECK(near(pareto_hypervolume(&p, reference), (double)cells, 1e-9));
            arena_destroy(a);
        }
}

TEST(the_knee_is_near_the_best_of_everything)
{
    struct arena *a = arena_create();
    struct pareto p = pareto_create(a, 2);
    const double points[4][2] = {{0, 100}, {1, 20}, {5, 15}, {10, 0}};

    CHECK_EQ(pareto_knee(&p), -1);
    for (int i = 0; i < 4; i++)
        pareto_add(&p, points[i], i);
    CHECK_EQ(p.points[pareto_knee(&p)].id, 1);
    arena_destroy(a);
}

/* ---- the evaluator
 * ---------------------------------------------------------------------------- */

TEST(evaluations_are_counted_once_and_kept_with_their_proposer)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 1, .3, .5);
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, &p, 2);
    struct choices *c = choices_create(a, p.n_units);
    const struct evaluation *first = evaluator_run(e, c, "one");

    CHECK(first && !first->feasible && e->best == -1);
    CHECK(evaluator_run(e, c, "two") == first);
    CHECK_TEXT(first->proposer, "one");
    CHECK_EQ(e->n, 1);
    for (int i = 0; i < p.n_units; i++)
        c->units[i] = (struct choice){0, i < p.n_units - 1 ? 7 : 0, 0};
    CHECK(evaluator_run(e, c, "two")->feasible);
    CHECK_EQ(e->best, 1);
    CHECK(evaluator_is_over(e));
    c->units[0].ratio = 5;
    CHECK(!evaluator_run(e, c, "three"));
    CHECK_EQ(t.n_evaluated, 2);
    CHECK(isinf(evaluator_best_after(e, 1)));
    CHECK(evaluator_best_after(e, 2) == e->all[1].result.loss);
    arena_destroy(a);
}
