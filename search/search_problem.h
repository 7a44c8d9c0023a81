/* SPDX-License-Identifier: Apache-2.0 */
/* What is searched: units with what is allowed for each, what they cost, budgets, and a
 * function that says how good a whole plan is.  It knows no graph and no compiler; a
 * real model, and the problems of the tests, are filled in alike.
 */
#ifndef HADMC_SEARCH_SEARCH_PROBLEM_H
#define HADMC_SEARCH_SEARCH_PROBLEM_H

#include "search/choices.h"

/*   NAME          of what                    how units add up */
#define SEARCH_COSTS(C)                                                                \
    C(latency, "ns of one inference", SUM)                                             \
    C(energy, "joules of one inference", SUM)                                          \
    C(bytes, "of weights", SUM)                                                        \
    C(ram, "peak bytes while running", MOST)

enum search_cost {
#define SEARCH_COST(name, about, adds) COST_##name,
    SEARCH_COSTS(SEARCH_COST)
#undef SEARCH_COST
        COST_COUNT
};

extern const char *const search_cost_names[]; /* by enum */
bool search_cost_adds(enum search_cost k);
/* Two amounts together: their sum, or the larger one. */
double search_cost_join(enum search_cost k, double a, double b);

enum { SEARCH_UNIT_FEATURES = 16, SEARCH_DEVICE_FEATURES = 16 };

struct search_unit {
    const char *name;
    int64_t channels; /* that pruning may take from */
    int tile;         /* kept channels are a multiple of it; at least 1 */
    uint32_t patterns, ratios, bits; /* allowed indices, a bit each; never 0 */
    int leader; /* the unit whose ratio this one shares: itself or an earlier one */
    int joins;  /* the earlier unit whose bits this one has when its pattern has a
                   residual sum; -1: none */
    float features[SEARCH_UNIT_FEATURES]; /* about -1 to 1 each; 0 where unused */
};

/* What a plan does.  loss in nats: KL(original || compressed), plus what labels say. */
struct search_result {
    double loss;
    double costs[COST_COUNT];
    double update_bytes;
    double drop; /* points of accuracy lost, for reports; 0 where none is known */
};

struct search_problem {
    int n_units;
    const struct search_unit *units;
    double budgets[COST_COUNT]; /* INFINITY: none */
    double base[COST_COUNT];    /* of the model as it is; above 0 */
    float device[SEARCH_DEVICE_FEATURES];
    bool trains;      /* distillation changes the result */
    bool is_deployed; /* update does: a device has an older version */
    void *self;       /* first argument of the functions */
    /* What unit i adds to each cost when the unit before it has `before` (of the first
     * unit: nothing pruned, 32 bits).  Exact: budgets are promises. */
    void (*cost)(void *self, int unit, struct choice own, struct choice before,
                 double *out);
    /* A true evaluation.  Equal choices give equal results. */
    void (*evaluate)(void *self, const struct choices *c, struct search_result *out);
};

/* Costs of a whole plan by `cost`. */
void search_costs(const struct search_problem *p, const struct choices *c, double *out);
/* *out becomes `p`, only that agents without a bit in `agents` have no choice: what
 * they decide stays as in the model.  Budgets may then be out of reach.  Lives in `a`.
 */
void search_restrict(struct arena *a, const struct search_problem *p, unsigned agents,
                     struct search_problem *out);
bool search_is_feasible(const struct search_problem *p, const double *costs);

#endif /* HADMC_SEARCH_SEARCH_PROBLEM_H */
