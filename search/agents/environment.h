/* SPDX-License-Identifier: Apache-2.0 */
/* What a controller sees of a problem: agents that are asked one after the other.
 *
 * An episode is a list of *units*; at each unit some of the agents are asked, in rising
 * order, one *decision* each.  So several agents that act on one thing are one process
 * in which a single decision is a step, and what earlier agents chose at the same unit
 * is known when a later one is asked.
 *
 *     episode_start(e, seed);
 *     do {
 *         ask(e, &decision);
 *         outcome = act(e, &action);
 *     } while (outcome.end == EPISODE_RUNS);
 *
 * observation[] and state[] describe the episode as it was when the unit began; the
 * choices made at this unit since then are added by the controller, for the critic
 * always, for actors unless they are coordinated `factored`.  `legal` may depend on
 * them.
 */
#ifndef HADMC_SEARCH_AGENTS_ENVIRONMENT_H
#define HADMC_SEARCH_AGENTS_ENVIRONMENT_H

#include "search/agents/head.h"

enum { ENVIRONMENT_MAX_AGENTS = 8 };

struct environment_agent {
    const char *name;
    int n_actions; /* 2 to HEAD_MAX_ACTIONS; 0: (T, alpha) */
};

struct decision {
    int agent;
    bool opens_unit;   /* the first decision of its unit */
    real *observation; /* [n_observation], the caller's memory; `ask` fills it */
    real *state;       /* [n_state], likewise */
    uint64_t legal;    /* ignored for (T, alpha) */
    const real *prior; /* [n_actions] or NULL; borrowed until the next `act` */
};

enum episode_end {
    EPISODE_RUNS,
    EPISODE_TERMINATED, /* nothing comes after: its value is 0 */
    EPISODE_TRUNCATED,  /* it was cut off; `ask` tells where it would go on */
};

struct outcome {
    double reward;
    enum episode_end end;
};

/* Episodes of one environment are independent of each other; one is used by one thread
 * at a time. */
struct environment {
    int n_agents;
    struct environment_agent agents[ENVIRONMENT_MAX_AGENTS];
    int n_observation, n_state;
    void *problem; /* first argument of the functions below */
    /* Number `index` of the episodes that run side by side, in the environment's
     * memory; the same index gives the same one. */
    void *(*episode)(void *problem, int index);
    void (*start)(void *episode, uint64_t seed);
    void (*ask)(void *episode, struct decision *d);
    struct outcome (*act)(void *episode, const struct action *a);
    /* A hint before `act`: these n episodes will act so.  NULL: nobody listens. */
    void (*foresee)(void *problem, void *const *episodes, const struct action *actions,
                    int n);
    /* From now on only this share of the units is free, 0 to 1, the others have one
     * legal action; NULL: units are not unlocked one by one. */
    void (*unlock)(void *problem, double share);
};

/* Inputs that the choices of agents 0 to n - 1 take: one per action, two for (T,
 * alpha). Not made: zeros. */
int environment_n_heard(const struct environment *e, int n);
/* Writes agent i's choice there. */
void environment_hear(const struct environment *e, int i, const struct action *a,
                      real *heard);

#endif /* HADMC_SEARCH_AGENTS_ENVIRONMENT_H */
