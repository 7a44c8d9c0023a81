/* SPDX-License-Identifier: Apache-2.0 */
/* An environment in which everything happens that a controller must cope with: choices
 * with illegal actions, with one legal action, and with priors; a continuous agent;
 * units at which not all agents are asked; rewards on the way; ends of both kinds.
 *
 * Or, as recall: what is seen at the first unit must be chosen at the last one.
 */
#ifndef HADMC_TESTS_GAMES_PROBE_GAME_H
#define HADMC_TESTS_GAMES_PROBE_GAME_H

#include "search/agents/environment.h"

enum { PROBE_EPISODES = 64, PROBE_INPUTS = 5, PROBE_UNITS = 6 };

struct probe_episode {
    const struct probe_game *game;
    struct random random;
    int unit, agent;
    bool cut;
    int seen; /* recall: the first observation */
    real inputs[PROBE_INPUTS];
    real prior[4];
};

struct probe_game {
    double unlocked;
    struct probe_episode episodes[PROBE_EPISODES];
};

/* Agents: 4 choices, (T, alpha), 3 choices.  The best return is 1 a unit. */
struct environment probe_environment(struct probe_game *g);
/* One agent with 2 choices. */
struct environment recall_environment(struct probe_game *g);

#endif /* HADMC_TESTS_GAMES_PROBE_GAME_H */
