/* SPDX-License-Identifier: Apache-2.0 */
// links: games agents
/* Games in one move: which controllers find the optimum, and which must not. */
#include "tests/test.h"

#include <stdio.h>
#include "search/agents/controller.h"
#include "tests/games/matrix_game.h"

static struct controller_options game_options(enum controller_kind kind)
{
    struct controller_options o = controller_defaults(kind);

    o.n_iterations = 200;
    o.n_episodes = 64;
    o.rate = (struct ramp){5e-3, 5e-3};
    o.clip = (struct ramp){0.2, 0.2};
    o.entropy = (struct ramp){0.01, 0.01};
    o.epochs = 4;
    o.batch = 0;
    o.max_kl = 0;
    o.n_hidden = 1;
    o.actor_hidden[0] = o.critic_hidden[0] = 16;
    return o;
}

TEST(first)
{
    CHECK_OK(blas_open());
    for (int kind = CONTROLLER_mappo; kind <= CONTROLLER_ppo; kind++)
        for (int co = 0; co < 2; co++)
            for (int g = 0; g < 3; g++) {
                struct matrix_game game;
                if (g == 0) game_fill(&game, game_climbing);
                else if (g == 1) game_fill_penalty(&game, -100);
                else game_fill(&game, game_additive);
                const struct environment e = game_environment(&game);
                struct controller_options o = game_options(kind);
                o.coordination = co;
                int best = 0;
                double sum = 0;
                for (int seed = 0; seed < 10; seed++) {
                    struct controller *c = controller_create(&e, &o, (uint64_t)seed);
                    struct controller_report r;
                    for (int i = 0; i < o.n_iterations; i++)
                        controller_iterate(c, &r);
                    double v = controller_play(c, 0, 1, PLAY_BEST, NULL, NULL);
                    best += v == game_best(&game);
                    sum += v;
                    controller_destroy(c);
                }
                printf("%s %s game %d: %d of 10, mean %.2f\n", controller_names[kind], co ? "factored" : "autoregressive", g, best, sum / 10);
            }
}
