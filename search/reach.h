/* SPDX-License-Identifier: Apache-2.0 */
/* Whether budgets can be met at all, before anything is evaluated. */
#ifndef HADMC_SEARCH_REACH_H
#define HADMC_SEARCH_REACH_H

#include "search/search_problem.h"

struct reach {
    bool fits;                     /* `closest` meets all budgets */
    double least[COST_COUNT];      /* that a plan needs of each alone */
    const struct choices *closest; /* of those tried the one whose worst ratio of cost
                                     to budget is least */
    double costs[COST_COUNT];      /* of it */
    enum search_cost blocks;       /* the budget of that ratio */
};

/* In `a`.  `costs` gives exact costs of a whole plan; NULL: search_costs. */
struct reach reach_find(struct arena *a, const struct search_problem *p,
                        void (*costs)(void *self, const struct choices *c,
                                      double *out));

#endif /* HADMC_SEARCH_REACH_H */
