/* SPDX-License-Identifier: Apache-2.0 */
/* Games in one move: see matrix_game.h. */
#include "tests/games/matrix_game.h"

#include <assert.h>
#include <string.h>

const double game_climbing[3][3] = {{11, -30, 0}, {-30, 7, 6}, {0, 0, 5}};
const double game_additive[3][3] = {{0, 1, 2}, {1, 2, 3}, {2, 3, 4}};

void game_fill(struct matrix_game *g, const double pays[3][3])
{
    memcpy(g->pays, pays, sizeof g->pays);
}

void game_fill_penalty(struct matrix_game *g, double k)
{
    game_fill(g, (const double[3][3]){{10, 0, k}, {0, 2, 0}, {k, 0, 10}});
}

double game_best(const struct matrix_game *g)
{
    double best = g->pays[0][0];

    for (int i = 0; i < 9; i++)
        best = fmax(best, g->pays[i / 3][i % 3]);
    return best;
}

static void *episode(void *problem, int index)
{
    struct matrix_game *g = problem;

    assert(index < MATRIX_GAME_EPISODES);
    g->episodes[index].game = g;
    return &g->episodes[index];
}

static void start(void *self, uint64_t seed)
{
    struct matrix_episode *e = self;

    (void)seed;
    e->turn = 0;
}

static void ask(void *self, struct decision *d)
{
    const struct matrix_episode *e = self;

    d->agent = e->turn;
    d->opens_unit = e->turn == 0;
    d->observation[0] = 0; /* there is nothing to see */
    d->state[0] = 1;
    d->legal = 7;
}

static struct outcome act(void *self, const struct action *a)
{
    struct matrix_episode *e = self;

    if (e->turn++ == 0) {
        e->row = a->choice;
        return (struct outcome){0, EPISODE_RUNS};
    }
    return (struct outcome){e->game->pays[e->row][a->choice], EPISODE_TERMINATED};
}

struct environment game_environment(struct matrix_game *g)
{
    return (struct environment){
        .n_agents = 2,
        .agents = {{"row", 3}, {"column", 3}},
        .n_observation = 1,
        .n_state = 1,
        .problem = g,
        .episode = episode,
        .start = start,
        .ask = ask,
        .act = act,
    };
}
