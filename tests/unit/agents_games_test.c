/* SPDX-License-Identifier: Apache-2.0 */
// links: games agents
/* Games with known answers, a few seeds each: who must find the optimum, and who must
 * not.  bench/controllers.c plays them with 40 seeds. */
#include "tests/test.h"

#include "tests/games/trials.h"

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 1 };
#else
enum { SEEDS = 4 };
#endif

static struct trial play(enum controller_kind kind, enum coordination coordination,
                         int n_iterations, struct matrix_game *g, double landing)
{
    const struct controller_options o =
        trial_game_options(kind, coordination, n_iterations);

    CHECK_OK(blas_open());
    return trial_game(g, &o, SEEDS, landing);
}

/* Choosing at the same time, row and column settle on 7: leaving it alone costs 30. */
TEST(climbing_traps_factored_actors_on_7)
{
    struct matrix_game g;

    game_fill(&g, game_climbing);

    const struct trial t = play(CONTROLLER_mappo, COORDINATION_FACTORED, 400, &g, 7);

    CHECK_EQ(t.n_best, 0);
    CHECK_EQ(t.n_landed, SEEDS);
}

TEST(climbing_is_solved_by_autoregressive_actors)
{
    struct matrix_game g;

    game_fill(&g, game_climbing);
    for (enum controller_kind k = CONTROLLER_mappo; k <= CONTROLLER_ppo; k++)
        CHECK_EQ(play(k, COORDINATION_AUTOREGRESSIVE, 600, &g, 7).n_best, SEEDS);
}

TEST(penalty_of_100_is_solved_by_autoregressive_actors_only)
{
    struct matrix_game g;

    game_fill_penalty(&g, -100);
    CHECK_EQ(play(CONTROLLER_mappo, COORDINATION_AUTOREGRESSIVE, 600, &g, 2).n_best,
             SEEDS);
    CHECK_EQ(play(CONTROLLER_mappo, COORDINATION_FACTORED, 300, &g, 2).n_landed, SEEDS);
}

TEST(additive_rewards_are_solved_by_all)
{
    struct matrix_game g;

    game_fill(&g, game_additive);
    for (enum controller_kind k = CONTROLLER_mappo; k <= CONTROLLER_ppo; k++)
        CHECK_EQ(play(k, COORDINATION_FACTORED, 200, &g, 4).n_best, SEEDS);

    const struct trial qmix = play(CONTROLLER_qmix, COORDINATION_FACTORED, 150, &g, 4);

    CHECK_EQ(qmix.n_best, SEEDS);
    CHECK(qmix.furthest < 0.01);
    CHECK(4 * play(CONTROLLER_maddpg, COORDINATION_FACTORED, 40, &g, 4).n_best
          >= 3 * SEEDS);
}

/* Its mixed value cannot fall where a single agent's rises. */
TEST(climbing_is_beyond_qmix)
{
    struct matrix_game g;

    game_fill(&g, game_climbing);

    const struct trial t = play(CONTROLLER_qmix, COORDINATION_FACTORED, 60, &g, 5);

    CHECK_EQ(t.n_best, 0);
    CHECK(t.furthest > 5);
}

#ifndef __SANITIZE_ADDRESS__
TEST(cartpole_stands_for_475_steps)
{
    CHECK_OK(blas_open());
    CHECK(trial_cartpole(100000, 1, PLAY_DRAW) >= 475);
}
#endif
