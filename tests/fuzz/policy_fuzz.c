/* SPDX-License-Identifier: Apache-2.0 */
// links: games agents frontend
/* Files of actors, for the environment of tests/games/probe_game.h.  What is accepted
 * decides, and is written as it was read. */
#include "search/agents/policy_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/games/probe_game.h"

static void decide(struct team *t, struct arena *a)
{
    struct memory m = {
        .heard = arena_new_array(a, real, environment_n_heard(t->e, t->e->n_agents)),
        .lstm = arena_new_array(a, real, team_n_state(t))};
    struct random random = random_seeded(1);
    real inputs[2 * PROBE_INPUTS + 1] = {1};

    for (int i = 0; i < t->e->n_agents; i++) {
        const struct decision d = {.agent = i,
                                   .observation = inputs,
                                   .state = inputs + PROBE_INPUTS,
                                   .legal = 7};

        team_decide(t, &d, &m, PLAY_DRAW, &random, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct arena *a = arena_create();
    struct team *t;
    struct status *s = policy_read(a, "input", data, size, &e, &t);

    if (!s)
        decide(t, a);
    fuzz_check(s);
    arena_destroy(a);
    return 0;
}
