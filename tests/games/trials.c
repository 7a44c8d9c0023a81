/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers over many seeds: see trials.h. */
#include "tests/games/trials.h"

#include "search/agents/qmix.h"
#include "tests/games/cartpole.h"

struct controller_options trial_game_options(enum controller_kind kind,
                                             enum coordination coordination,
                                             int n_iterations)
{
    struct controller_options o = controller_defaults(kind);

    o.coordination = coordination;
    o.n_iterations = n_iterations;
    o.n_episodes = MATRIX_GAME_EPISODES;
    o.rate = (struct ramp){5e-3, 5e-3};
    o.clip = (struct ramp){0.2, 0.2};
    o.entropy = (struct ramp){0.01, 0.01};
    o.epochs = 4;
    o.batch = 0;
    o.max_kl = 0;
    o.n_hidden = 0;
    if (kind == CONTROLLER_qmix) {
        o.max_norm = 0;
        o.rate.last = 0; /* Q_tot settles */
    }
    if (kind == CONTROLLER_maddpg) {
        o.n_hidden = 2;
        o.actor_hidden[0] = o.actor_hidden[1] = 64;
        o.critic_hidden[0] = o.critic_hidden[1] = 64;
        o.rate = (struct ramp){1e-3, 1e-3};
        o.actor_rate = 3e-3;
        o.max_norm = 0;
    }
    return o;
}

/* Largest error of the learned joint value. */
static double value_error(struct controller *c, const struct matrix_game *g)
{
    struct qmix *m = controller_self(c);
    const real nothing = 0, one = 1;
    double worst = 0;

    for (int i = 0; i < 9; i++) {
        struct joint_step step = {.actions = {{.choice = i / 3}, {.choice = i % 3}}};
        const struct joint_step *const steps[1] = {&step};
        double value;

        step.at = (struct joint_question){3, {7, 7}, &nothing, &one};
        qmix_values(m, steps, 1, &value);
        worst = fmax(worst, fabs(value - g->pays[i / 3][i % 3]));
    }
    return worst;
}

struct trial trial_game(struct matrix_game *g, const struct controller_options *o,
                        int n_seeds, double landing)
{
    const struct environment e = game_environment(g);
    struct trial t = {.n_seeds = n_seeds};

    for (int seed = 0; seed < n_seeds; seed++) {
        struct controller *c = controller_create(&e, o, (uint64_t)seed);
        struct controller_report report;

        for (int i = 0; i < o->n_iterations; i++)
            controller_iterate(c, &report);

        const double pay = controller_play(c, 0, 1, PLAY_BEST, NULL, NULL);

        t.n_best += pay == game_best(g);
        t.n_landed += pay == landing;
        t.mean += pay / n_seeds;
        if (o->kind == CONTROLLER_qmix)
            t.furthest = fmax(t.furthest, value_error(c, g));
        controller_destroy(c);
    }
    return t;
}

struct controller_options trial_cartpole_options(int n_steps)
{
    struct controller_options o = controller_defaults(CONTROLLER_mappo);

    o.n_episodes = 4;
    o.horizon = 128;
    o.n_iterations = n_steps / (o.n_episodes * o.horizon);
    o.gamma = 0.99;
    o.lambda = 0.95;
    o.rate = (struct ramp){2.5e-4, 0};
    o.clip = (struct ramp){0.2, 0.2};
    o.epochs = 4;
    o.batch = 128;
    o.max_kl = 0;
    o.n_hidden = 2;
    o.actor_hidden[0] = o.actor_hidden[1] = 64;
    o.critic_hidden[0] = o.critic_hidden[1] = 64;
    return o;
}

double trial_cartpole(int n_steps, uint64_t seed, enum play play)
{
    static struct cartpole cartpole;
    const struct environment e = cartpole_environment(&cartpole);
    const struct controller_options o = trial_cartpole_options(n_steps);
    struct controller *c = controller_create(&e, &o, seed);
    struct controller_report report;
    double sum = 0;

    for (int i = 0; i < o.n_iterations; i++)
        controller_iterate(c, &report);
    for (uint64_t i = 0; i < 100; i++)
        sum += controller_play(c, 0, 1000 + i, play, NULL, NULL) / 100;
    controller_destroy(c);
    return sum;
}
