/* SPDX-License-Identifier: Apache-2.0 */
/* What the ppo family does with a rollout: values, advantages, gradients.
 *
 * Rows are judged by a critic each:
 *
 *     mappo   one critic; every decision is a step of one process
 *     ippo    agent i's own critic; only its decisions are steps
 *     ppo     one critic; a unit is a step, judged where it opens
 *
 * With mappo and ippo a decision that has one legal action is no step.  Rewards between
 * two steps count for the first.
 *
 * The critic of mappo and ppo sees [state | choices at this unit so far | who is
 * asked], never the choice that is judged; ippo's sees what the actor sees.
 */
#ifndef HADMC_SEARCH_AGENTS_LEARNER_H
#define HADMC_SEARCH_AGENTS_LEARNER_H

#include "search/agents/policy_loss.h"
#include "search/agents/rollout.h"

struct critic {
    int n_in;
    struct net *net;
    struct value_scale scale;
};

struct learner {
    const struct controller_options *o;
    struct team *team;
    struct player *player;
    int n_critics;
    struct critic *critics[ENVIRONMENT_MAX_AGENTS];
    uint64_t seed;
    int iteration;
};

struct learner *learner_create(struct arena *a, struct team *t, struct player *p,
                               const struct controller_options *o, uint64_t seed);

/* Values of all rows, then advantages and targets; advantages have mean 0 and deviation
 * 1 over the free rows. */
void learner_judge(struct learner *l);
/* log_p and entropy of all rows under the actors as they are. */
void learner_evaluate(struct learner *l);
/* One iteration of the judged and evaluated rollout: actors and critics learn. */
void learner_learn(struct learner *l, struct controller_report *out);

/* ---- for tests: the losses of a batch and their gradients ---------------------------
 */

struct learner_means {
    double policy_loss, entropy, kl, clipped;
    double furthest; /* largest |ratio - 1| */
    int n;           /* ratios */
};

/* Actor k's loss -L - c2 H over all its free rows; adds its gradient to the networks,
 * and that of the ensemble's weights to by_weight[n_policies]. */
double learner_actor_loss(struct learner *l, int k, double clip, double entropy,
                          double *by_weight, struct learner_means *out);
/* Critic k's loss over all its rows, times value_weight; adds its gradient. */
double learner_critic_loss(struct learner *l, int k);

#endif /* HADMC_SEARCH_AGENTS_LEARNER_H */
