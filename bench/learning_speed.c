/* SPDX-License-Identifier: Apache-2.0 */
/* How fast controllers decide and learn: see learning_speed.h.
 *
 * Decisions are those of five agents with the default networks (256-128-64) about a
 * model of 60 units: a joint decision is one of each agent.  Times are those of the
 * thread on its processor, which others use too. */
#include "bench/learning_speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "search/agents/noise.h"
#include "search/agents/ppo.h"
#include "search/search_environment.h"

enum { UNITS = 60, ROWS = 256, ACTIONS = 10, STATE = SEARCH_INPUTS };

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare_times(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

static void print_times(const char *what, double *times, int n)
{
    qsort(times, (size_t)n, sizeof *times, compare_times);
    printf("hadmc %-32s p50 %10.2f us, p99 %10.2f us, best %10.2f us\n", what,
           times[n / 2], times[n * 99 / 100], times[0]);
    fflush(stdout);
}

/* ---- decisions ----------------------------------------------------------------------
 */

static void unit_cost(void *self, int unit, struct choice own, struct choice before,
                      double *out)
{
    (void)self;
    (void)unit;
    out[COST_latency] =
        choice_bits[own.bits] * (10. - own.ratio) * (10. - before.ratio);
    out[COST_energy] = out[COST_bytes] = out[COST_ram] = out[COST_latency];
}

static struct search_unit units[UNITS];

static struct search_problem sixty_units(void)
{
    struct search_problem p = {.n_units = UNITS,
                               .units = units,
                               .cost = unit_cost,
                               .trains = true,
                               .is_deployed = true};
    struct random r = random_seeded(1);

    for (int i = 0; i < UNITS; i++) {
        units[i] = (struct search_unit){.name = "unit",
                                        .channels = 64,
                                        .tile = 8,
                                        .patterns = 0x3f,
                                        .ratios = 0x3ff,
                                        .bits = 0xf,
                                        .leader = i,
                                        .joins = -1};
        for (int f = 0; f < SEARCH_UNIT_FEATURES; f++)
            units[i].features[f] = (float)noise_normal(&r);
    }
    for (int k = 0; k < COST_COUNT; k++) {
        p.base[k] = 3200. * (double)UNITS;
        p.budgets[k] = INFINITY;
    }
    p.budgets[COST_latency] = 0.2 * p.base[COST_latency];
    return p;
}

static bool no_judge(void *arg, const struct choices *c, struct search_result *out)
{
    (void)arg;
    (void)c;
    *out = (struct search_result){.costs = {1, 1, 1, 1}};
    return true;
}

/* One of each agent, asked about the middle of the model. */
static struct decision middle(const struct environment *e, void *episode, int agent,
                              float *inputs)
{
    struct decision d = {.observation = inputs, .state = inputs + SEARCH_INPUTS};
    const struct action zero = {0};

    e->start(episode, 1);
    for (int n = 0;; n++) {
        e->ask(episode, &d);
        if (d.agent == agent && (agent >= AGENT_distillation || n > UNITS))
            return d;

        const struct action a = {
            .choice = d.agent == AGENT_distillation ? 0 : __builtin_ctzll(d.legal)};

        e->act(episode, d.agent == AGENT_distillation ? &zero : &a);
    }
}

static void time_decisions(struct ppo *p, const struct environment *e, int rounds)
{
    static float inputs[AGENT_COUNT][2 * SEARCH_INPUTS];
    struct arena *a = arena_create();
    struct decision d[AGENT_COUNT];
    struct memory m = {
        .heard = arena_new_array(a, real, environment_n_heard(e, AGENT_COUNT)),
        .lstm = NULL};
    struct random r = random_seeded(1);
    double *times = arena_new_array(a, double, 1000 * rounds);
    int sum = 0;

    for (int i = 0; i < AGENT_COUNT; i++)
        d[i] = middle(e, e->episode(e->problem, i), i, inputs[i]);
    for (int n = -1000; n < 1000 * rounds; n++) {
        const double begin = now_us();

        for (int i = 0; i < AGENT_COUNT; i++) {
            const struct action c =
                team_decide(p->team, &d[i], &m, PLAY_DRAW, &r, NULL);

            sum += c.choice;
        }
        if (n >= 0)
            times[n] = now_us() - begin;
    }
    print_times("joint decision, 5 agents", times, 1000 * rounds);
    if (sum < 0)
        printf("%d\n", sum);
    arena_destroy(a);
}

/* The same networks, `rows` joint decisions at once. */
static void time_batches(struct ppo *p, const struct environment *e, int rows,
                         int rounds)
{
    struct arena *a = arena_create();
    struct random r = random_seeded(1);
    double *times = arena_new_array(a, double, rounds);
    struct net_pass *passes[AGENT_COUNT];
    real *x[AGENT_COUNT];
    double best;
    int sum = 0;

    for (int k = 0; k < AGENT_COUNT; k++) {
        const struct actor *actor = p->team->actors[k];

        passes[k] = net_pass_create(a, actor->nets[0], rows);
        x[k] = arena_new_array(a, real, (int64_t)rows * actor->n_in);
        for (int64_t i = 0; i < (int64_t)rows * actor->n_in; i++)
            x[k][i] = (real)noise_normal(&r);
    }
    for (int n = -2; n < rounds; n++) {
        const double begin = now_us();

        for (int k = 0; k < AGENT_COUNT; k++) {
            const struct net *net = p->team->actors[k]->nets[0];
            const real *const y = net_forward(net, passes[k], 1, rows, x[k]);
            const struct head_query q = {
                .n = e->agents[k].n_actions,
                .legal = (UINT64_C(1) << e->agents[k].n_actions) - 1,
                .tau = 1};

            for (int i = 0; i < rows; i++)
                sum += head_sample(&q, y + (int64_t)i * net_out(net), &r).choice;
        }
        if (n >= 0)
            times[n] = now_us() - begin;
    }
    print_times("256 joint decisions at once", times, rounds);
    best = times[rounds / 2];
    printf("hadmc %-32s %.0f joint decisions/s, %.0f of single agents/s\n", "",
           rows / best * 1e6, AGENT_COUNT * rows / best * 1e6);
    if (sum < 0)
        printf("%d\n", sum);
    arena_destroy(a);
}

/* ---- an update ----------------------------------------------------------------------
 */

/* One agent, one decision an episode, random inputs and masks. */
struct plain_episode {
    struct random random;
};

static void *plain_episode(void *problem, int index)
{
    return (struct plain_episode *)problem + index;
}

static void plain_start(void *self, uint64_t seed)
{
    struct plain_episode *e = self;

    e->random = random_seeded(seed);
}

static void plain_ask(void *self, struct decision *d)
{
    struct plain_episode *e = self;

    for (int i = 0; i < SEARCH_INPUTS; i++)
        d->observation[i] = d->state[i] = (real)noise_normal(&e->random);
    d->opens_unit = true;
    d->agent = 0;
    d->legal = 1;
    for (int i = 1; i < ACTIONS; i++)
        d->legal |= (uint64_t)(random_unit(&e->random) < 0.7) << i;
}

static struct outcome plain_act(void *self, const struct action *a)
{
    struct plain_episode *e = self;

    return (struct outcome){noise_normal(&e->random) + a->choice, EPISODE_TERMINATED};
}

static void time_update(int rounds)
{
    static struct plain_episode episodes[ROWS];
    const struct environment e = {.n_agents = 1,
                                  .agents = {{"one", ACTIONS}},
                                  .n_observation = SEARCH_INPUTS,
                                  .n_state = STATE,
                                  .problem = episodes,
                                  .episode = plain_episode,
                                  .start = plain_start,
                                  .ask = plain_ask,
                                  .act = plain_act};
    struct controller_options o = controller_defaults(CONTROLLER_mappo);
    struct controller_report report = {0};
    struct arena *a = arena_create();
    double *times = arena_new_array(a, double, rounds);

    o.n_iterations = rounds + 3;
    o.n_episodes = ROWS;
    o.max_kl = 0;

    struct controller *c = controller_create(&e, &o, 1);
    struct ppo *p = controller_self(c);

    for (int n = -3; n < rounds; n++) {
        player_collect(p->player, &report);
        learner_judge(p->learner);
        learner_evaluate(p->learner);

        const double begin = now_us();

        learner_learn(p->learner, &report);
        if (n >= 0)
            times[n] = now_us() - begin;
    }
    print_times("PPO update, 256 rows x 10 epochs", times, rounds);
    controller_destroy(c);
    arena_destroy(a);
}

void learning_speed(int rounds)
{
    const struct search_problem p = sixty_units();
    struct arena *a = arena_create();
    struct search_environment *s = search_environment_create(a, &p);
    const struct environment e = search_environment_of(s);
    const struct controller_options o = controller_defaults(CONTROLLER_mappo);

    s->judge = no_judge;

    struct controller *c = controller_create(&e, &o, 1);

    time_decisions(controller_self(c), &e, rounds);
    time_batches(controller_self(c), &e, ROWS, rounds);
    time_update(rounds);
    controller_destroy(c);
    arena_destroy(a);
}
