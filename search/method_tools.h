/* SPDX-License-Identifier: Apache-2.0 */
/* What several methods of search use. */
#ifndef HADMC_SEARCH_METHOD_TOOLS_H
#define HADMC_SEARCH_METHOD_TOOLS_H

#include "search/method.h"
#include "search/walk.h"

/* A run of a method. */
struct method_run {
    struct evaluator *e;
    const struct search_problem *p;
    const struct method_options *o;
    struct walk *walk;
    struct random random;
    struct arena *arena;
    const char *name; /* of the proposer */
};

#define METHOD(name, about) void method_##name(struct method_run *r);
#include "search/methods.def"

/* The reward of an evaluated plan; a plan that misses a budget is worse than all that
 * do not, by as much as it misses it. */
double method_score(const struct method_run *r, const struct evaluation *v);
/* The next set bit above or below `at`; -1: none. */
int method_next(uint32_t mask, int at, int direction);
/* 1 to n random changes of single choices, then repair. */
void method_mutate(struct method_run *r, int n, struct choices *c);
/* Changes of the best plan so far that are kept when they are better, until the budget
 * is spent. */
void method_climb(struct method_run *r, struct choices *from);

/* Measured by true evaluations, as many levels as share_of_effects allows, the others
 * between them; losses do not fall when more is taken away.  16 bits between 8 and 32
 * are guessed. */
struct method_effects method_measure_effects(struct method_run *r);
/* Their sum over the units of a plan. */
double method_sum_effects(const struct method_effects *f, const struct choices *c);
/* The plan of least summed effects within the budgets, by the exact programme
 * (bits_programme.h) over levels that no other one beats; then repaired. */
void method_solve(struct method_run *r, const struct method_effects *f,
                  struct choices *out);

#endif /* HADMC_SEARCH_METHOD_TOOLS_H */
