/* SPDX-License-Identifier: Apache-2.0 */
/* Cooperative games in one move: agent 0 picks a row, agent 1 a column, both get the
 * entry.  Their optima and traps are known, which makes them tests of controllers.
 *
 * source: Claus and Boutilier 1998 (climbing, penalty)
 */
#ifndef HADMC_TESTS_GAMES_MATRIX_GAME_H
#define HADMC_TESTS_GAMES_MATRIX_GAME_H

#include "search/agents/environment.h"

enum { MATRIX_GAME_SIDE = 3, MATRIX_GAME_EPISODES = 64 };

struct matrix_episode {
    const struct matrix_game *game;
    int row, turn;
};

struct matrix_game {
    double pays[MATRIX_GAME_SIDE][MATRIX_GAME_SIDE];
    struct matrix_episode episodes[MATRIX_GAME_EPISODES];
};

extern const double game_climbing[3][3]; /* 11 alone among -30s; 7 is the trap */
extern const double game_additive[3][3]; /* 0 1 2 + 0 1 2 */

/* {10, 0, k; 0, 2, 0; k, 0, 10}. */
void game_fill_penalty(struct matrix_game *g, double k);
void game_fill(struct matrix_game *g, const double pays[3][3]);
double game_best(const struct matrix_game *g);
/* Borrows `g`. */
struct environment game_environment(struct matrix_game *g);

#endif /* HADMC_TESTS_GAMES_MATRIX_GAME_H */
