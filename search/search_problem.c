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

bool search_cost_adds(enum search_cost k)
{
    return adds_by[k] == SUM;
}

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

static int lowest(uint32_t mask)
{
    return __builtin_ctz(mask);
}

static int highest(uint32_t mask)
{
    return 31 - __builtin_clz(mask);
}

void search_restrict(struct arena *a, const struct search_problem *p, unsigned agents,
                     struct search_problem *out)
{
    struct search_unit *units = arena_new_array(a, struct search_unit, p->n_units);

    *out = *p;
    out->units = units;
    for (int i = 0; i < p->n_units; i++) {
        units[i] = p->units[i];
        if (!(agents >> AGENT_fusion & 1))
            units[i].patterns = 1u << lowest(units[i].patterns);
        if (!(agents >> AGENT_pruning & 1))
            units[i].ratios = 1u << lowest(units[i].ratios);
        if (!(agents >> AGENT_quantization & 1))
            units[i].bits = 1u << highest(units[i].bits);
    }
    out->trains = p->trains && agents >> AGENT_distillation & 1;
    out->is_deployed = p->is_deployed && agents >> AGENT_update & 1;
}
