/* SPDX-License-Identifier: Apache-2.0 */
/* The cheapest plans by each cost: see reach.h.  A cost falls with every channel and
 * bit that goes, up to the costs of converting between neighbours; so what a walk that
 * is pushed against one wall alone finds is the least, and the plan with everything at
 * its narrowest is tried too. */
#include "search/reach.h"

#include <math.h>
#include <string.h>

#include "search/walk.h"

struct reaching {
    const struct search_problem *p;
    void (*costs)(void *self, const struct choices *c, double *out);
    struct reach *out;
    double worst; /* of out->closest */
};

static void take(struct reaching *r, struct arena *a, const struct choices *c)
{
    double costs[COST_COUNT], worst = 0;
    enum search_cost blocks = COST_latency;
    struct choices *copy;

    if (r->costs)
        r->costs(r->p->self, c, costs);
    else
        search_costs(r->p, c, costs);
    for (enum search_cost k = 0; k < COST_COUNT; k++) {
        r->out->least[k] = fmin(r->out->least[k], costs[k]);
        if (!isinf(r->p->budgets[k]) && costs[k] / r->p->budgets[k] > worst) {
            worst = costs[k] / r->p->budgets[k];
            blocks = k;
        }
    }
    if (r->out->closest && worst >= r->worst)
        return;
    copy = choices_create(a, c->n_units);
    choices_copy(copy, c);
    r->worst = worst;
    r->out->closest = copy;
    r->out->blocks = blocks;
    memcpy(r->out->costs, costs, sizeof costs);
    r->out->fits = search_is_feasible(r->p, costs);
}

/* Under a budget that nothing meets each action is the cheapest one. */
static void push(struct reaching *r, struct arena *a, enum search_cost k,
                 const struct choices *from)
{
    struct search_problem tight = *r->p;
    struct choices *c = choices_create(a, from->n_units);

    for (int i = 0; i < COST_COUNT; i++)
        tight.budgets[i] = i == (int)k ? tight.base[i] * 1e-9 : INFINITY;
    walk_repair(walk_create(a, &tight), from, c);
    take(r, a, c);
}

struct reach reach_find(struct arena *a, const struct search_problem *p,
                        void (*costs)(void *self, const struct choices *c, double *out))
{
    struct reach found = {0};
    struct reaching r = {.p = p, .costs = costs, .out = &found};
    struct choices *c = choices_create(a, p->n_units);

    for (int k = 0; k < COST_COUNT; k++)
        found.least[k] = INFINITY;
    walk_repair(walk_create(a, p), c, c);
    take(&r, a, c);
    for (enum search_cost k = 0; k < COST_COUNT; k++)
        if (!isinf(p->budgets[k]))
            push(&r, a, k, c);
    for (int i = 0; i < p->n_units; i++)
        c->units[i] = (struct choice){0, CHOICE_RATIOS - 1, 0};
    walk_repair(walk_create(a, p), c, c);
    take(&r, a, c);
    return found;
}
