/* SPDX-License-Identifier: Apache-2.0 */
/* The formulas of proximal policy optimisation, one number at a time.
 *
 *     ratio = exp(log p(a) - log p_old(a))                       of the action taken
 *     L     = E[min(ratio A, clip(ratio, 1 - e, 1 + e) A)]       maximised
 *     d_t   = r_t + gamma V_{t+1} - V_t
 *     A_t   = d_t + gamma lambda A_{t+1}                         0 after an end
 *
 * source: Schulman et al. 2017, arXiv:1707.06347; 2016, arXiv:1506.02438 (GAE); Yu et
 *         al. 2022, arXiv:2103.01955 (value clipping and Huber in MAPPO)
 */
#ifndef HADMC_SEARCH_AGENTS_POLICY_LOSS_H
#define HADMC_SEARCH_AGENTS_POLICY_LOSS_H

#include "search/agents/environment.h"

/* min(ratio A, clip(ratio) A). */
double loss_clipped(double ratio, double advantage, double clip);
/* Its derivative by log p: ratio A, or 0 where the clipped branch is the smaller. */
double loss_clipped_gradient(double ratio, double advantage, double clip);
/* (ratio - 1) - log ratio: its mean estimates KL(old || new), never negative (Schulman,
 * "Approximating KL divergence", 2020). */
double loss_kl(double log_ratio);

struct loss_value_options {
    double clip;  /* how far a value may move from its old one; 0: any */
    double huber; /* from this error on the loss is linear; 0: nowhere */
};

/* max(f(v - target), f(v_old + clip(v - v_old) - target)), f(x) = x^2 / 2 or Huber's;
 * *gradient by v. */
double loss_value(double v, double v_old, double target, struct loss_value_options o,
                  double *gradient);

/* One step of a trajectory. */
struct gae_step {
    double reward, value;
    enum episode_end end;
    double value_after; /* of what follows, where end is EPISODE_TRUNCATED */
    double advantage;   /* out; advantage + value is the target of the value */
};

/* Steps in order; the last one has an end.  lambda 0: one-step differences, 1: Monte
 * Carlo. */
void gae(struct gae_step *steps, int n, double gamma, double lambda);

#endif /* HADMC_SEARCH_AGENTS_POLICY_LOSS_H */
