/* SPDX-License-Identifier: Apache-2.0 */
/* How good a plan is, in one number.
 *
 *     R = -w_loss log(1 + max(loss - allowed, 0) / 0.01) + sum_k w_k log(c_k0 / c_k)
 *         - sum_k lambda_k (c_k / d_k - 1)
 *
 * over the costs and update bytes: c_k0 is the cost of the original, d_k the budget; a
 * part without budget has no lambda.  A loss up to `allowed` costs nothing; what a
 * forecast knows of similar plans counts as more or less of it.  0 for the
 * plan that changes nothing and meets its budgets exactly; halving a cost is worth w_k
 * log 2 wherever it stands.
 *
 * `weighted` is the published sum, for comparison: accuracy 1.0, latency 0.5, energy
 * 0.3, size 0.2, each as a share of the original's, less hinges for missed budgets;
 * accuracy is exp(-loss).
 */
#ifndef HADMC_SEARCH_REWARD_H
#define HADMC_SEARCH_REWARD_H

#include "search/forecast.h"
#include "search/search_problem.h"

enum reward_kind { REWARD_LOG, REWARD_WEIGHTED };

struct reward {
    enum reward_kind kind;
    double w_loss, w[COST_COUNT], w_update;
    double allowed_loss;             /* nats; 0: every loss counts */
    const struct forecast *forecast; /* NULL: losses are as evaluated */
    double lambda[COST_COUNT];       /* of budgets; multipliers_rise */
    double update_base;              /* bytes of a full update; 0: none */
};

/* The weights of both kinds, lambda 0. */
struct reward reward_defaults(enum reward_kind kind);

/* The part of R that costs make: how much cheaper the plan is. */
double reward_of_costs(const struct reward *r, const struct search_problem *p,
                       const double *costs);
/* `c` is only read for a forecast. */
double reward_of(const struct reward *r, const struct search_problem *p,
                 const struct choices *c, const struct search_result *s);

/* Dual ascent, once an iteration: lambda_k += rate * slack_k, the mean of c_k / d_k - 1
 * over the iteration's plans, within 0 ... most. */
void reward_raise(struct reward *r, const struct search_problem *p,
                  const double *mean_costs, double rate, double most);

#endif /* HADMC_SEARCH_REWARD_H */
