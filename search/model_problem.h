/* SPDX-License-Identifier: Apache-2.0 */
/* A real model on a device as a search problem (search_problem.h).
 *
 *     RETURN_IF_FAIL(variants_create(c, g, &how, &variants));
 *     struct model_problem *m = model_problem_create(a, variants, &o);
 *     struct evaluator *e = evaluator_create(a, &m->problem, 1000);
 *     method_run(METHOD_surrogate, e, &options, seed);
 *     RETURN_IF_FAIL(m->failed);
 *     plan = model_problem_plan(m, e->all[e->best].choices, target);
 *
 * Units are those of plan/units.h, their losses what compress/variants.h measures on
 * its samples, their costs those of hal/cost.h; so time, energy and memory are
 * modelled, loss and drop measured.
 *
 * problem.cost of a unit knows its own choice and that of the unit before: channels
 * that other units have removed from its input count as there, so it is an upper bound
 * where branches meet.  Results of evaluations have the exact sum.
 *
 * Units of 16 bits cost what the device does with them (enum cost_halves).  Where
 * activations have 16 bits, too, units that float16 might be too small for have no such
 * choice.
 *
 * Weights that the target's code stores in more bits than they have cost these.
 *
 * Samples are evaluated one by one; with a batch costs are those of so many at once.
 *
 * Memory is that of the live values of the float graph from one unit to the next, those
 * of pruned tensors smaller, in the width of the unit: an estimate of what the planner
 * then finds.
 */
#ifndef HADMC_SEARCH_MODEL_PROBLEM_H
#define HADMC_SEARCH_MODEL_PROBLEM_H

#include "compress/variants.h"
#include "hal/device.h"
#include "search/search_problem.h"

struct model_problem_options {
    const struct device *device;
    double budgets[COST_COUNT]; /* INFINITY: none */
    double more_bytes; /* of a weights file that no unit accounts for; at least 0 */
    enum cost_halves halves;
    int depthwise_bits; /* least of what depthwise weights are stored in */
    int64_t batch;      /* samples of one inference; 0 counts as 1 */
};

struct model_problem {
    struct search_problem problem;
    struct variants *variants;
    const struct device *device;
    double more_bytes;
    enum cost_halves halves;
    int depthwise_bits;
    int64_t batch;   /* at least 1 */
    bool has_energy; /* the device states energies; otherwise that cost is constant */
    struct status *failed; /* the first error of an evaluation: results are of no use */
    /* by unit, ratio of the unit before, own ratio: shares that stay */
    double (*inputs)[CHOICE_RATIOS][CHOICE_RATIOS];
    double (*outputs)[CHOICE_RATIOS];
    int64_t *live;        /* by unit: elements until the next one runs, at most */
    struct variant *plan; /* scratch */
    bool *removed;
};

/* In `a`; borrows variants and device.  The model has a unit. */
struct model_problem *model_problem_create(struct arena *a, struct variants *v,
                                           const struct model_problem_options *o);

/* Exact costs of whole plans, without an evaluation. */
void model_problem_costs(struct model_problem *m, const struct choices *c, double *out);

/* The choices as decisions; in perm memory of the graph's compile. */
struct plan *model_problem_plan(struct model_problem *m, const struct choices *c,
                                const char *target);

#endif /* HADMC_SEARCH_MODEL_PROBLEM_H */
