/* SPDX-License-Identifier: Apache-2.0 */
/* CartPole: a pole on a cart that is pushed left or right; 1 for each step upright, cut
 * off after 500.
 *
 * source: Barto, Sutton, Anderson 1983; constants and limits as in Gymnasium's
 *         CartPole-v1
 */
#ifndef HADMC_TESTS_GAMES_CARTPOLE_H
#define HADMC_TESTS_GAMES_CARTPOLE_H

#include "search/agents/environment.h"

enum { CARTPOLE_EPISODES = 32, CARTPOLE_STEPS = 500 };

struct cartpole_episode {
    double x, v, angle, turn; /* m, m/s, rad, rad/s */
    int n;
};

struct cartpole {
    struct cartpole_episode episodes[CARTPOLE_EPISODES];
};

/* Borrows `c`. */
struct environment cartpole_environment(struct cartpole *c);

#endif /* HADMC_TESTS_GAMES_CARTPOLE_H */
