/* SPDX-License-Identifier: Apache-2.0 */
/* QMIX: a value per agent, mixed into a common one that never falls when an agent's
 * value rises, so that each agent's best action is part of the best joint one.
 *
 *     q_i   = Q_i(observation)[action]                   0 for agents that are not
 * asked Q_tot = |w2| . elu(|W1| q + b1) + V                W1, b1, w2, V by networks of
 * s y     = r + gamma Q_tot'(s', argmax Q_i(o')), primes by target networks loss  =
 * mean (Q_tot - y)^2
 *
 * A game whose rewards do not rise with each agent's value is beyond it (climbing).
 * Temperature and alpha are a grid of 5 x 5.
 *
 * source: Rashid et al. 2018, arXiv:1803.11485; van Hasselt et al. 2016 (double Q)
 */
#ifndef HADMC_SEARCH_AGENTS_QMIX_H
#define HADMC_SEARCH_AGENTS_QMIX_H

#include "search/agents/replay.h"

enum qmix_part { QMIX_W1, QMIX_B1, QMIX_W2, QMIX_V, QMIX_PARTS };

struct qmix_nets {
    struct net *agents[ENVIRONMENT_MAX_AGENTS];
    struct net *mixer[QMIX_PARTS];
};

/* What a batch needs; [learn_batch] rows. */
struct qmix_work {
    struct net_pass *agents[ENVIRONMENT_MAX_AGENTS], *mixer[QMIX_PARTS];
    real *observations, *states;
    const real *q_out[ENVIRONMENT_MAX_AGENTS], *mixer_out[QMIX_PARTS];
    real *d_agents[ENVIRONMENT_MAX_AGENTS], *d_mixer[QMIX_PARTS];
};

struct qmix {
    const struct environment *e;
    struct controller_options o;
    struct qmix_nets online, target;
    struct qmix_work work, target_work;
    struct replay *replay;
    struct random random;
    real *x, *scratch;
    double explore;
    int iteration;
};

/* Mean loss of the n steps; adds its gradient to the online networks. */
double qmix_loss(struct qmix *m, const struct joint_step *const *steps, int n);
/* Q_tot of joint steps as the online networks see them, into out[n]; n at most
 * learn_batch. */
void qmix_values(struct qmix *m, const struct joint_step *const *steps, int n,
                 double *out);
/* d Q_tot / d q_i of one step: [n_agents]. */
void qmix_slopes(struct qmix *m, const struct joint_step *step, double *out);

#endif /* HADMC_SEARCH_AGENTS_QMIX_H */
