/* SPDX-License-Identifier: Apache-2.0 */
/* CartPole: see cartpole.h. */
#include "tests/games/cartpole.h"

#include <assert.h>

#define GRAVITY     9.8
#define POLE_MASS   0.1
#define TOTAL_MASS  1.1
#define HALF_LENGTH 0.5
#define FORCE       10.0
#define STEP        0.02 /* s, Euler's method */
#define MAX_X       2.4
#define MAX_ANGLE   (12 * 2 * M_PI / 360)

static void *episode(void *problem, int index)
{
    struct cartpole *c = problem;

    assert(index < CARTPOLE_EPISODES);
    return &c->episodes[index];
}

static void start(void *self, uint64_t seed)
{
    struct cartpole_episode *e = self;
    struct random r = random_seeded(seed);

    e->x = 0.1 * random_unit(&r) - 0.05;
    e->v = 0.1 * random_unit(&r) - 0.05;
    e->angle = 0.1 * random_unit(&r) - 0.05;
    e->turn = 0.1 * random_unit(&r) - 0.05;
    e->n = 0;
}

static void ask(void *self, struct decision *d)
{
    const struct cartpole_episode *e = self;
    const double now[4] = {e->x, e->v, e->angle, e->turn};

    d->agent = 0;
    d->opens_unit = true;
    d->legal = 3;
    for (int i = 0; i < 4; i++)
        d->observation[i] = d->state[i] = (real)now[i];
}

static struct outcome act(void *self, const struct action *a)
{
    struct cartpole_episode *e = self;
    const double push = a->choice ? FORCE : -FORCE, sine = sin(e->angle),
                 cosine = cos(e->angle),
                 sideways = (push + POLE_MASS * HALF_LENGTH * e->turn * e->turn * sine)
                            / TOTAL_MASS,
                 faster = (GRAVITY * sine - cosine * sideways)
                          / (HALF_LENGTH
                             * (4.0 / 3 - POLE_MASS * cosine * cosine / TOTAL_MASS)),
                 along =
                     sideways - POLE_MASS * HALF_LENGTH * faster * cosine / TOTAL_MASS;

    e->x += STEP * e->v;
    e->v += STEP * along;
    e->angle += STEP * e->turn;
    e->turn += STEP * faster;
    e->n++;
    if (fabs(e->x) > MAX_X || fabs(e->angle) > MAX_ANGLE)
        return (struct outcome){1, EPISODE_TERMINATED};
    return (struct outcome){1,
                            e->n < CARTPOLE_STEPS ? EPISODE_RUNS : EPISODE_TRUNCATED};
}

struct environment cartpole_environment(struct cartpole *c)
{
    return (struct environment){
        .n_agents = 1,
        .agents = {{"push", 2}},
        .n_observation = 4,
        .n_state = 4,
        .problem = c,
        .episode = episode,
        .start = start,
        .ask = ask,
        .act = act,
    };
}
