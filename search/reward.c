/* SPDX-License-Identifier: Apache-2.0 */
/* How good a plan is, in one number: see reward.h. */
#include "search/reward.h"

#include <math.h>

#define EPSILON 0.01 /* nats below which losses count alike */

struct reward reward_defaults(enum reward_kind kind)
{
    const struct reward log_ratio = {
        .kind = kind,
        .w_loss = 1,
        .w = {[COST_latency] = 0.5, [COST_energy] = 0.3, [COST_bytes] = 0.2},
        .w_update = 0.2};

    return log_ratio;
}

double reward_of_costs(const struct reward *r, const struct search_problem *p,
                       const double *costs)
{
    double sum = 0;

    for (int k = 0; k < COST_COUNT; k++)
        if (r->w[k] > 0)
            sum += r->w[k] * log(p->base[k] / costs[k]);
    return sum;
}

static double log_reward(const struct reward *r, const struct search_problem *p,
                         double loss, const struct search_result *s)
{
    double sum = -r->w_loss * log1p(fmax(loss - r->allowed_loss, 0) / EPSILON)
                 + reward_of_costs(r, p, s->costs);

    for (int k = 0; k < COST_COUNT; k++)
        if (r->lambda[k] > 0)
            sum -= r->lambda[k] * (s->costs[k] / p->budgets[k] - 1);
    if (r->update_base > 0 && s->update_bytes > 0)
        sum += r->w_update * log(r->update_base / s->update_bytes);
    return sum;
}

static double weighted_reward(const struct reward *r, const struct search_problem *p,
                              const struct search_result *s)
{
    static const double hinge[COST_COUNT] = {
        [COST_latency] = 5, [COST_energy] = 2, [COST_bytes] = 1, [COST_ram] = 1};
    double sum = r->w_loss * expm1(-s->loss);

    for (int k = 0; k < COST_COUNT; k++) {
        sum += r->w[k] * (1 - s->costs[k] / p->base[k]);
        sum -= hinge[k] * fmax(s->costs[k] / p->budgets[k] - 1, 0);
    }
    return sum;
}

double reward_of(const struct reward *r, const struct search_problem *p,
                 const struct choices *c, const struct search_result *s)
{
    const double loss = r->forecast ? forecast_loss(r->forecast, c, s->loss) : s->loss;

    return r->kind == REWARD_LOG ? log_reward(r, p, loss, s) : weighted_reward(r, p, s);
}

void reward_raise(struct reward *r, const struct search_problem *p,
                  const double *mean_costs, double rate, double most)
{
    for (int k = 0; k < COST_COUNT; k++)
        if (!isinf(p->budgets[k]))
            r->lambda[k] =
                fmin(fmax(r->lambda[k] + rate * (mean_costs[k] / p->budgets[k] - 1), 0),
                     most);
}
