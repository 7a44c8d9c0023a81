/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers on games with known answers, over many seeds: short in the tests, in full
 * by bench/controllers.c. */
#ifndef HADMC_TESTS_GAMES_TRIALS_H
#define HADMC_TESTS_GAMES_TRIALS_H

#include "search/agents/controller.h"
#include "tests/games/matrix_game.h"

/* The settings of all trials on games: 64 episodes an iteration, tables instead of deep
 * networks. */
struct controller_options trial_game_options(enum controller_kind kind,
                                             enum coordination coordination,
                                             int n_iterations);
struct controller_options trial_cartpole_options(int n_steps);

struct trial {
    int n_seeds, n_best, n_landed; /* at the optimum, at `landing` */
    double mean;
    double furthest; /* qmix: largest error of Q_tot over all entries and seeds */
};

/* What the best actions earn after learning, over the seeds. */
struct trial trial_game(struct matrix_game *g, const struct controller_options *o,
                        int n_seeds, double landing);
/* Mean return of 100 episodes after learning for n_steps steps. */
double trial_cartpole(int n_steps, uint64_t seed, enum play play);

#endif /* HADMC_TESTS_GAMES_TRIALS_H */
