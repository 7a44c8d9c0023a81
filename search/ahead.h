/* SPDX-License-Identifier: Apache-2.0 */
/* Plans that are evaluated before they are asked for, by several ranks at once.
 *
 * A search asks for one plan after the other and is a function of the results, which
 * are a function of the plan; so it goes the same way, whoever evaluates and in which
 * order.  Methods tell which plans come next (evaluator_expect); each rank takes a
 * share of them, rank 0 keeps the results until they are asked for.
 */
#ifndef HADMC_SEARCH_AHEAD_H
#define HADMC_SEARCH_AHEAD_H

#include "search/ranks.h"
#include "search/search_problem.h"

struct ahead;

/* Borrows the problem and the ranks; all ranks have the same problem. */
struct ahead *ahead_create(struct arena *a, const struct search_problem *p,
                           struct ranks *r);
/* On rank 0: evaluates plans[n] on all ranks. */
struct status *ahead_run(struct ahead *h, const struct choices *const *plans, int n);
/* The result of a plan of ahead_run, which is forgotten; false: there is none. */
bool ahead_take(struct ahead *h, const struct choices *c, struct search_result *out);
/* On the other ranks: evaluates until rank 0 ends it.  Plans for which `failed` is true
 * afterwards have no result: rank 0 finds out why itself. */
struct status *ahead_serve(struct ahead *h, bool (*failed)(void *arg), void *arg);
/* On rank 0, once. */
struct status *ahead_end(struct ahead *h);

#endif /* HADMC_SEARCH_AHEAD_H */
