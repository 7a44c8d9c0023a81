/* SPDX-License-Identifier: Apache-2.0 */
/* MADDPG: deterministic actors that climb a critic of the joint action.
 *
 *     y        = r + gamma Q'(s', mu'(o'))               primes by target networks
 *     critic   mean (Q(s, a) - y)^2 / 2
 *     actor i  -mean Q(s, a with a_i = mu_i(o)) + decay mean of its squared outputs
 *
 * A choice is a one-hot drawn by Gumbel's trick; its gradient is that of the softmax
 * with the same noise (straight through).  (T, alpha) are two sigmoids.  All agents
 * have one reward, so their critics would learn the same targets: there is one.
 *
 * source: Lowe et al. 2017, arXiv:1706.02275; Jang et al. 2017, arXiv:1611.01144
 */
#ifndef HADMC_SEARCH_AGENTS_MADDPG_H
#define HADMC_SEARCH_AGENTS_MADDPG_H

#include "search/agents/replay.h"

struct maddpg_nets {
    struct net *actors[ENVIRONMENT_MAX_AGENTS];
    struct net *critic;
};

struct maddpg {
    const struct environment *e;
    struct controller_options o;
    struct maddpg_nets online, target;
    struct net_pass *actors[ENVIRONMENT_MAX_AGENTS], *critic;
    struct replay *replay;
    struct return_scale returns;
    struct random random;
    int n_in;               /* of the critic */
    real *observations, *x; /* [learn_batch] rows */
    real *d, *dx, *d_out;   /* of the critic's output and input; of an actor's output */
    real *soft;             /* [learn_batch][HEAD_MAX_ACTIONS] */
    real *one, *scratch;
    double explore;
    int iteration;
};

/* The critic's loss for n steps; adds its gradient. */
double maddpg_critic_loss(struct maddpg *m, const struct joint_step *const *steps,
                          int n);
/* Agent i's, with noise from *random; adds the gradient of its actor.  The critic's
 * gradient is of no use afterwards.  For (T, alpha) there is no noise. */
double maddpg_actor_loss(struct maddpg *m, int i, const struct joint_step *const *steps,
                         int n, struct random *random);

#endif /* HADMC_SEARCH_AGENTS_MADDPG_H */
