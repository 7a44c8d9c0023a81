/* SPDX-License-Identifier: Apache-2.0 */
/* What is searched: see search_problem.h. */
#include "search/search_problem.h"

#include <math.h>

enum { SUM, MOST };

static const int adds_by[COST_COUNT] = {
#define SEARCH_COST(name, about, adds) adds,
    SEARCH_COSTS(SEARCH_COST)
#undef SEARCH_COST
};

const char *const search_cost_names[] = {
#define SEARCH_COST(name, about, adds) #name,
    SEARCH_COSTS(SEARCH_COST)
#undef SEARCH_COST
};

double search_cost_join(enum search_cost k, double a, double b)
{
    return adds_by[k] == SUM ? a + b : fmax(a, b);
}

void search_costs(const struct search_problem *p, const struct choices *c, double *out)
{
    struct choice before = {0, 0, CHOICE_BITS - 1};

    for (int k = 0; k < COST_COUNT; k++)
        out[k] = 0;
    for (int i = 0; i < p->n_units; i++) {
        double own[COST_COUNT];

        p->cost(p->self, i, c->units[i], before, own);
        for (enum search_cost k = 0; k < COST_COUNT; k++)
            out[k] = search_cost_join(k, out[k], own[k]);
        before = c->units[i];
    }
}

bool search_is_feasible(const struct search_problem *p, const double *costs)
{
    bool feasible = true;

    for (int k = 0; k < COST_COUNT;
         k++) /* sums in another order differ in the last bits */
        feasible &= costs[k] <= p->budgets[k] * (1 + 1e-9);
    return feasible;
}
