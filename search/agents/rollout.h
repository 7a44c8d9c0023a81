/* SPDX-License-Identifier: Apache-2.0 */
/* Episodes that are played side by side, and every decision in them: the memory of the
 * ppo family for one iteration. */
#ifndef HADMC_SEARCH_AGENTS_ROLLOUT_H
#define HADMC_SEARCH_AGENTS_ROLLOUT_H

#include "search/agents/actor.h"

/* One decision. */
struct rollout_row {
    int agent, slot; /* slot: which of the episodes side by side */
    int unit;        /* numbered from 0 over all slots */
    bool opens_unit;
    bool free; /* there was a choice: it counts in losses */
    int next;  /* row of the slot's next decision; -1: none */
    int tail;  /* in `tails`, where end is EPISODE_TRUNCATED */
    int step;  /* decisions of this actor in the episode before it */
    struct action action;
    uint64_t legal;
    real tau;
    double drawn_log_p; /* as it was when the action was drawn */
    double reward;      /* in units of the returns' deviation */
    enum episode_end end;

    /* Filled in before learning. */
    double log_p, entropy;
    double advantage, scaled_value, target; /* target in the environment's units */
};

struct rollout {
    int n_rows, n_units, n_slots, cap;
    struct rollout_row *rows;
    real *observations; /* [cap][n_observation], normalised */
    real *states;       /* [cap][n_state], normalised */
    real *heard;        /* [cap][n_heard of all] */
    real *priors;       /* [cap][HEAD_MAX_ACTIONS]; NULL: the environment has none */
    int *first;         /* [n_slots]: the first row of each slot; -1: none */
    int n_tails, tails_cap;
    int *tail_agents;        /* who would be asked after a truncation */
    real *tail_observations; /* [tails_cap][n_observation], normalised */
    real *tail_states;       /* [tails_cap][n_state], normalised */
};

/* What one of the episodes side by side is doing; lives on from iteration to iteration
 * when these have a horizon. */
struct slot {
    void *episode;
    bool runs;
    struct random random; /* its own, so that slots do not depend on each other */
    real *heard, *lstm;
    real *observation, *state; /* as the environment wrote them last */
    struct decision d;
    double sum; /* of rewards in this episode */
    int length, last_row;
    int steps[ENVIRONMENT_MAX_AGENTS]; /* decisions of each actor in this episode */
};

struct player {
    struct team *team;
    struct running *states;
    struct return_scale returns;
    int horizon; /* decisions of a slot in an iteration; 0: one episode */
    int n_slots;
    struct slot *slots;
    struct rollout rollout;
    struct net_pass *passes[ENVIRONMENT_MAX_AGENTS][MIXTURE_MAX]; /* n_slots rows */
    real *x;                                                      /* [n_slots][n_in] */
    void **episodes;        /* [n_slots], scratch */
    struct action *actions; /* [n_slots], scratch */
};

struct player *player_create(struct arena *a, struct team *t, int n_slots, int horizon,
                             uint64_t seed);
/* Releases what grew. */
void player_destroy(struct player *p);
/* Fills p->rollout; the counts of *out. */
void player_collect(struct player *p, struct controller_report *out);
/* The query of a row, which borrows from the rollout. */
struct head_query rollout_query(const struct player *p, int row);

#endif /* HADMC_SEARCH_AGENTS_ROLLOUT_H */
