/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers on problems with known answers, in full: many seeds; and their speed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/learning_speed.h"
#include "bench/methods.h"
#include "tests/games/trials.h"

static void print_trial(const char *game, enum controller_kind kind,
                        enum coordination coordination, const struct trial *t,
                        double landing)
{
    printf("%-12s %-7s %-15s optimum %2d/%d, %g %2d/%d, mean %6.2f", game,
           controller_names[kind],
           coordination == COORDINATION_FACTORED ? "factored" : "autoregressive",
           t->n_best, t->n_seeds, landing, t->n_landed, t->n_seeds, t->mean);
    if (kind == CONTROLLER_qmix)
        printf(", value error %.4f", t->furthest);
    printf("\n");
    fflush(stdout);
}

/* Of all controllers, or of the one of that name. */
static void play_games(int n_seeds, const char *only)
{
    static const struct {
        const char *name;
        double penalty; /* 0: the table */
        const double (*pays)[3];
        double landing;
    } games[] = {{"climbing", 0, game_climbing, 7},
                 {"penalty -100", -100, NULL, 2},
                 {"additive", 0, game_additive, 3}};

    for (int g = 0; g < 3; g++)
        for (enum controller_kind k = 0; k < CONTROLLER_COUNT; k++)
            for (int c = 0; c < (k <= CONTROLLER_ppo ? 2 : 1); c++) {
                const enum coordination coordination =
                    k <= CONTROLLER_ppo ? (enum coordination)c : COORDINATION_FACTORED;
                const struct controller_options o = trial_game_options(
                    k, coordination, k <= CONTROLLER_ppo ? 800 : 200);
                struct matrix_game game;

                if (only && strcmp(only, controller_names[k]) != 0)
                    continue;
                if (games[g].pays)
                    game_fill(&game, games[g].pays);
                else
                    game_fill_penalty(&game, games[g].penalty);

                const struct trial t = trial_game(&game, &o, n_seeds, games[g].landing);

                print_trial(games[g].name, k, coordination, &t, games[g].landing);
            }
}

static void play_cartpole(int n_seeds)
{
    for (int s = 0; s < n_seeds; s++) {
        printf("cartpole seed %d: mean of 100 episodes %.1f\n", s,
               trial_cartpole(500000, (uint64_t)s, PLAY_DRAW));
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    const int n = argc > 2 ? atoi(argv[2]) : 0;
    struct status *s = blas_open();

    if (s) {
        status_print(s, stderr);
        return status_exit_code(s);
    }
    if (argc > 1 && !strcmp(argv[1], "games"))
        play_games(n ? n : 40, argc > 3 ? argv[3] : NULL);
    else if (argc > 1 && !strcmp(argv[1], "cartpole"))
        play_cartpole(n ? n : 10);
    else if (argc > 1 && !strcmp(argv[1], "methods"))
        compare_methods(n ? n : 16, argc > 3 ? atoi(argv[3]) : 300);
    else if (argc > 1 && !strcmp(argv[1], "toy"))
        regret_of_methods(n ? n : 10, argc > 3 ? atoi(argv[3]) : 200);
    else if (argc > 1 && !strcmp(argv[1], "speed"))
        learning_speed(n ? n : 30);
    else {
        fprintf(
            stderr,
            "usage: bench-controllers games [SEEDS [CONTROLLER]] | cartpole [SEEDS] | "
            "methods [INSTANCES [EVALUATIONS]] | toy [NETS [EVALUATIONS]] "
            "| speed [ROUNDS]\n");
        return 2;
    }
    return 0;
}
