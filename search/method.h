/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of search behind one interface: each spends an evaluator's budget of true
 * evaluations, and what it found is the evaluator's archive.
 *
 *     struct evaluator *e = evaluator_create(a, &problem, 300);
 *     struct method_options o = method_defaults();
 *     method_run(METHOD_genetic, e, &o, seed);
 *     method_run_controller(&controller_options, e, &o, seed);
 *     e->all[e->best] ...
 *
 * Everything counts: the table of single changes that some methods begin with, warm
 * starts, repairs that lead to a new plan.  Plans are repaired (walk.h) before they are
 * evaluated, so all are allowed, and feasible wherever the wall is exact.  Equal
 * problem, options and seed give equal archives.
 *
 * source: Deb et al. 2002 (NSGA-II); Bergstra et al. 2011, Ozaki et al. 2020 (TPE);
 *         Deng et al. 2023, arXiv:2307.05657 (pairwise terms)
 */
#ifndef HADMC_SEARCH_METHOD_H
#define HADMC_SEARCH_METHOD_H

#include "search/agents/controller.h"
#include "search/effects.h"
#include "search/evaluator.h"
#include "search/reward.h"

enum method {
#define METHOD(name, about) METHOD_##name,
#include "search/methods.def"
    METHOD_COUNT
};

extern const char *const method_names[]; /* by enum; ends with NULL */
extern const char *const method_abouts[];

struct method_options {
    struct reward reward; /* what methods with one objective maximise */
    double
        share_of_effects; /* of the budget, at most, for the table of single changes */
    bool warm;            /* controllers begin near the programme's plan, or the best
                            one that is known */
    int imagined;         /* episodes on the surrogate for each evaluation; 0: none */
    double multiplier_rate, multiplier_most; /* dual ascent of controllers; 0: none */
};

struct method_options method_defaults(void);

void method_run(enum method m, struct evaluator *e, const struct method_options *o,
                uint64_t seed);
/* Until the budget is spent; c->n_iterations is set from it. */
void method_run_controller(const struct controller_options *c, struct evaluator *e,
                           const struct method_options *o, uint64_t seed);

/* The table of single changes, which method_run_both begins with; later runs of the
 * same evaluator know it.  In `a`. */
struct method_effects method_run_table(struct evaluator *e,
                                       const struct method_options *o, struct arena *a);

/* What the tool runs: behind the table of single changes a quarter of the evaluations
 * goes to the surrogate with local search, half to the controller, and the last quarter
 * to the surrogate again, which then has learned from both, with what the controller
 * leaves when nothing new comes to it.  One archive; each plan names its proposer. */
void method_run_both(const struct controller_options *c, struct evaluator *e,
                     const struct method_options *o, uint64_t seed);

#endif /* HADMC_SEARCH_METHOD_H */
