/* SPDX-License-Identifier: Apache-2.0 */
/* True evaluations: counted, remembered, and each with the name of who proposed it.
 *
 * A plan that a run asks for twice costs nothing the second time; what an earlier run
 * of the same problem has evaluated still counts on this run's first request, so that
 * methods are compared at equal numbers of evaluations.
 */
#ifndef HADMC_SEARCH_EVALUATOR_H
#define HADMC_SEARCH_EVALUATOR_H

#include "search/pareto.h"
#include "search/search_problem.h"

struct evaluation {
    const struct choices *choices;
    struct search_result result;
    bool feasible;        /* all budgets are met */
    const char *proposer; /* a constant */
};

struct evaluator {
    const struct search_problem *problem;
    struct arena *arena;
    int budget, n;          /* evaluations; all[n] */
    struct evaluation *all; /* in the order in which they were asked for */
    int *table, table_size; /* open addressing by hash; -1: empty */
    struct pareto front;    /* of feasible ones: loss, latency, energy, bytes */
    int best;               /* feasible one of least loss; -1: none */
    /* What an earlier, interrupted run of the same search found for evaluation n, asked
     * before the problem is; and who is told of each new one.  Either may be NULL; set
     * after create.  `watch` may lower `budget` to end the search. */
    bool (*recall)(void *arg, int n, const struct choices *c,
                   struct search_result *out);
    void (*watch)(void *arg, struct evaluator *e);
    /* Who can evaluate several plans at once is told of new ones before they are asked
     * for; `recall` then has the results.  NULL: nobody can. */
    void (*expect)(void *arg, const struct choices *const *plans, int n);
    void *arg;
};

struct evaluator *evaluator_create(struct arena *a, const struct search_problem *p,
                                   int budget);
/* NULL when the plan is new and nothing is left of the budget. */
const struct evaluation *evaluator_run(struct evaluator *e, const struct choices *c,
                                       const char *proposer);
bool evaluator_knows(const struct evaluator *e, const struct choices *c);
/* These n plans will be asked for next, in this order; some may be known. */
void evaluator_expect(struct evaluator *e, const struct choices *const *plans, int n);
bool evaluator_is_over(const struct evaluator *e);
/* Loss of the best feasible plan among the first n; INFINITY: none. */
double evaluator_best_after(const struct evaluator *e, int n);
/* Volume of the front below the original's costs and `loss`, objectives as shares of
 * these. */
double evaluator_hypervolume(const struct evaluator *e, double loss);

#endif /* HADMC_SEARCH_EVALUATOR_H */
