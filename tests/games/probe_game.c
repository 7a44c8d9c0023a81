/* SPDX-License-Identifier: Apache-2.0 */
/* An environment in which everything happens: see probe_game.h. */
#include "tests/games/probe_game.h"

#include <assert.h>

static void *episode(void *problem, int index)
{
    struct probe_game *g = problem;

    assert(index < PROBE_EPISODES);
    g->episodes[index].game = g;
    return &g->episodes[index];
}

static void look(struct probe_episode *e)
{
    for (int i = 0; i < PROBE_INPUTS; i++)
        e->inputs[i] = (real)(2 * random_unit(&e->random) - 1);
}

static void start(void *self, uint64_t seed)
{
    struct probe_episode *e = self;

    e->random = random_seeded(seed);
    e->unit = e->agent = 0;
    e->cut = seed % 3 == 0;
    e->seen = (int)(seed & 1);
    look(e);
}

/* Every third unit asks all agents, the others the first and the last. */
static int agent_after(const struct probe_episode *e)
{
    return e->agent == 0 && e->unit % 3 ? 2 : e->agent + 1;
}

static bool is_locked(const struct probe_episode *e)
{
    return e->unit >= e->game->unlocked * (double)PROBE_UNITS;
}

static void fill(const struct probe_episode *e, struct decision *d)
{
    for (int i = 0; i < PROBE_INPUTS; i++)
        d->observation[i] = d->state[i] = e->inputs[i];
    d->state[PROBE_INPUTS] = (real)e->unit / (real)PROBE_UNITS;
}

static void ask(void *self, struct decision *d)
{
    struct probe_episode *e = self;

    fill(e, d);
    d->agent = e->agent;
    d->opens_unit = e->agent == 0;
    d->legal = e->agent == 2         ? 7
               : e->inputs[0] > 0    ? 0xb
               : e->inputs[0] > -0.7 ? 0xe
                                     : 2;
    if (is_locked(e))
        d->legal = 2;
    if (e->agent == 0) {
        e->prior[1] = (real)-0.3;
        e->prior[2] = e->inputs[1];
        d->prior = e->prior;
    }
}

static struct outcome act(void *self, const struct action *a)
{
    struct probe_episode *e = self;
    struct outcome out = {0, EPISODE_RUNS};

    if (e->agent == 0)
        out.reward = a->choice == 1 ? 0.5 : 0;
    else if (e->agent == 1)
        out.reward = -0.1 * (double)(a->u[0] * a->u[0] + a->u[1] * a->u[1]);
    else
        out.reward = a->choice == 2 ? 0.5 : 0;
    e->agent = agent_after(e);
    if (e->agent < 3)
        return out;
    e->agent = 0;
    look(e);
    if (++e->unit == PROBE_UNITS)
        out.end = e->cut ? EPISODE_TRUNCATED : EPISODE_TERMINATED;
    return out;
}

static void unlock(void *problem, double share)
{
    struct probe_game *g = problem;

    g->unlocked = share;
}

struct environment probe_environment(struct probe_game *g)
{
    g->unlocked = 1;
    return (struct environment){
        .n_agents = 3,
        .agents = {{"four", 4}, {"continuous", 0}, {"three", 3}},
        .n_observation = PROBE_INPUTS,
        .n_state = PROBE_INPUTS + 1,
        .problem = g,
        .episode = episode,
        .start = start,
        .ask = ask,
        .act = act,
        .unlock = unlock,
    };
}

static void recall_ask(void *self, struct decision *d)
{
    struct probe_episode *e = self;

    for (int i = 0; i < PROBE_INPUTS; i++)
        d->observation[i] = d->state[i] = 0;
    d->observation[0] = d->state[0] = e->unit ? 0 : e->seen ? 1 : -1;
    d->observation[1] = d->state[1] = e->unit == PROBE_UNITS - 1;
    d->state[PROBE_INPUTS] = 0;
    d->agent = 0;
    d->opens_unit = true;
    d->legal = e->unit == PROBE_UNITS - 1 ? 3 : 1;
}

static struct outcome recall_act(void *self, const struct action *a)
{
    struct probe_episode *e = self;
    const bool last = ++e->unit == PROBE_UNITS;

    return (struct outcome){last && a->choice == e->seen,
                            last ? EPISODE_TERMINATED : EPISODE_RUNS};
}

struct environment recall_environment(struct probe_game *g)
{
    struct environment e = probe_environment(g);

    e.n_agents = 1;
    e.agents[0] = (struct environment_agent){"recall", 2};
    e.ask = recall_ask;
    e.act = recall_act;
    e.unlock = NULL;
    return e;
}
