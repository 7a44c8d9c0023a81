/* SPDX-License-Identifier: Apache-2.0 */
/* Going through the units of a problem, one choice at a time, without ever leaving
 * what is allowed.
 *
 *     walk_begin(w);
 *     while (walk_asks(w, &agent)) {
 *         mask = walk_legal(w);
 *         walk_take(w, action);
 *     }
 *
 * An action is illegal when the unit does not allow it, when it means the same as a
 * smaller one (aliases), when the unit's leader has another ratio, when the pattern
 * joins the unit to one of other bits, and behind the *budget wall*: when not even the
 * cheapest completion meets every budget.  Each budget has a wall of its own, so two
 * budgets together may still be missed; then, and when a problem cannot be solved at
 * all, the cheapest action is the legal one and the plan is not feasible.
 *
 * The wall: after[k][i][level] is the least that units i + 1 ... add to cost k when
 * unit i has this level (ratio and bits), over patterns and levels that are allowed and
 * with the ratios of leaders that are known.  It is exact where cheapest levels of a
 * group's members agree, as they do when a cost falls with the ratio.
 */
#ifndef HADMC_SEARCH_WALK_H
#define HADMC_SEARCH_WALK_H

#include "search/search_problem.h"

struct walk;

/* Borrows the problem; lives in `a`. */
struct walk *walk_create(struct arena *a, const struct search_problem *p);
/* Another walk of the same problem, with its tables. */
struct walk *walk_copy(struct arena *a, const struct walk *w);

void walk_begin(struct walk *w);
/* Who chooses next; false: all is chosen. */
bool walk_asks(const struct walk *w, enum choice_agent *agent);
/* The unit that is asked about; n_units: the whole model. */
int walk_unit(const struct walk *w);
/* Units from `n` on have one legal action. */
void walk_lock(struct walk *w, int n);
uint64_t walk_legal(struct walk *w);
void walk_take(struct walk *w, int action);
/* Instead, for distillation. */
void walk_take_mix(struct walk *w, double temperature, double alpha);

const struct choices *walk_choices(const struct walk *w);
/* Costs of the units that are complete. */
const double *walk_costs(const struct walk *w);
/* The least that a plan must add to cost k from here, over what is left. */
double walk_least(const struct walk *w, enum search_cost k);
/* Whether a choice had to be made that breaks a budget. */
bool walk_is_stuck(const struct walk *w);

/* *out becomes a plan near `from` that is legal throughout: each action that is not is
 * replaced by the nearest legal one. */
void walk_repair(struct walk *w, const struct choices *from, struct choices *out);
/* Every choice drawn from the legal ones, each equally likely. */
void walk_random(struct walk *w, struct random *random, struct choices *out);

#endif /* HADMC_SEARCH_WALK_H */
