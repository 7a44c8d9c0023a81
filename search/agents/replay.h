/* SPDX-License-Identifier: Apache-2.0 */
/* Joint steps that are remembered: all decisions at one unit together, and what the
 * agents were asked at the next.  For qmix and maddpg, whose agents choose without
 * knowing the others' choices. */
#ifndef HADMC_SEARCH_AGENTS_REPLAY_H
#define HADMC_SEARCH_AGENTS_REPLAY_H

#include "search/agents/controller_class.h"
#include "search/agents/running.h"

/* What was asked at a unit. */
struct joint_question {
    uint32_t asked; /* bit i: agent i was */
    uint64_t legal[ENVIRONMENT_MAX_AGENTS];
    const real *observation, *state; /* as the environment wrote them */
};

struct joint_step {
    struct joint_question at;
    struct action actions[ENVIRONMENT_MAX_AGENTS];
    double reward; /* all that came until the next unit */
    bool ends;     /* nothing comes after */
    struct joint_question after;
};

struct replay {
    const struct environment *e;
    int cap, n, next; /* a ring */
    struct joint_step *steps;
    real *numbers; /* [cap]: observation, state, and those after */
    struct running *observations, *states; /* of all that was asked */
    real *observation, *state;
};

struct replay *replay_create(struct arena *a, const struct environment *e, int cap);

/* One episode, its decisions by `class`; it is remembered.  The counts of *out. */
void replay_play(struct replay *r, const struct controller_class *class, void *self,
                 int index, struct random *random, struct controller_report *out);

/* Normalised inputs. */
void replay_observation(const struct replay *r, const struct joint_question *q,
                        real *out);
void replay_state(const struct replay *r, const struct joint_question *q, real *out);

#endif /* HADMC_SEARCH_AGENTS_REPLAY_H */
