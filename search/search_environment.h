/* SPDX-License-Identifier: Apache-2.0 */
/* A search problem as the controllers see it (search/agents/environment.h): an episode
 * is a walk over the units, its reward that of the plan at the end.
 *
 * Inputs of a decision, the same for actors and critic, 124 numbers whatever the number
 * of units:
 *
 *     16   features of the unit; 16 of the one before; 16 of the one after
 *     16   mean, 16 largest of the features over all units
 *     11   what was chosen for the unit before: pattern, ratio, bits
 *      3   mean ratio and bits, share of fused units so far
 *      8   per cost: so far, and the least that is to come, as shares of the budget (or
 *          of the original's cost)
 *      6   weights of the reward
 *      1   units that are done
 *      1   whether the whole model is asked about
 *     14   the device
 */
#ifndef HADMC_SEARCH_SEARCH_ENVIRONMENT_H
#define HADMC_SEARCH_SEARCH_ENVIRONMENT_H

#include "search/agents/environment.h"
#include "search/evaluator.h"
#include "search/reward.h"
#include "search/walk.h"

enum { SEARCH_INPUTS = 124, SEARCH_EPISODES = 64 };

/* Where a plan's result comes from: true evaluations, or something that imagines
 * them. */
typedef bool search_judge(void *arg, const struct choices *c,
                          struct search_result *out);

struct search_episode {
    struct search_environment *of;
    struct walk *walk;
    struct choices *foreseen;
    double sum_ratio, sum_bits, n_fused;
    float prior[CHOICE_UPDATES];
};

struct search_environment {
    const struct search_problem *problem;
    const struct choices *prior; /* actions near these are likelier; NULL: none */
    struct reward reward;
    search_judge *judge;
    /* Told of plans that will be judged next; NULL: nobody is. */
    void (*expect)(void *arg, const struct choices *const *plans, int n);
    void *judge_arg;
    double last_reward; /* for plans that could not be judged any more */
    /* Sums of the judged plans' costs since reward_raise. */
    double sum_costs[COST_COUNT];
    int n_judged;
    float mean[SEARCH_UNIT_FEATURES], most[SEARCH_UNIT_FEATURES];
    struct search_episode episodes[SEARCH_EPISODES];
};

/* Lives in `a`; borrows the problem.  The caller sets judge, and prior and reward if
 * other than the defaults. */
struct search_environment *search_environment_create(struct arena *a,
                                                     const struct search_problem *p);
struct environment search_environment_of(struct search_environment *s);

/* Why an agent cannot change anything in this problem; NULL: it can. */
const char *search_inert(const struct search_problem *p, enum choice_agent agent);

#endif /* HADMC_SEARCH_SEARCH_ENVIRONMENT_H */
