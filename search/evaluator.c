/* SPDX-License-Identifier: Apache-2.0 */
/* True evaluations: see evaluator.h. */
#include "search/evaluator.h"

#include <math.h>

/* The objectives of the front. */
enum {
    OBJECTIVE_LOSS,
    OBJECTIVE_LATENCY,
    OBJECTIVE_ENERGY,
    OBJECTIVE_BYTES,
    OBJECTIVES
};

struct evaluator *evaluator_create(struct arena *a, const struct search_problem *p,
                                   int budget)
{
    struct evaluator *e = arena_new(a, struct evaluator);

    *e = (struct evaluator){.problem = p,
                            .arena = a,
                            .budget = budget,
                            .all = arena_new_array(a, struct evaluation, budget),
                            .table_size = 2 * budget + 1,
                            .front = pareto_create(a, OBJECTIVES),
                            .best = -1};
    e->table = arena_new_array(a, int, e->table_size);
    for (int i = 0; i < e->table_size; i++)
        e->table[i] = -1;
    return e;
}

/* Where the plan is in the table, or would be. */
static int find(const struct evaluator *e, const struct choices *c)
{
    int at = (int)(choices_hash(c) % (uint64_t)e->table_size);

    while (e->table[at] >= 0 && !choices_equal(e->all[e->table[at]].choices, c))
        at = (at + 1) % e->table_size;
    return at;
}

static void enter(struct evaluator *e, int i)
{
    const struct evaluation *v = &e->all[i];
    const double at[OBJECTIVES] = {v->result.loss, v->result.costs[COST_latency],
                                   v->result.costs[COST_energy],
                                   v->result.costs[COST_bytes]};

    if (!v->feasible)
        return;
    pareto_add(&e->front, at, i);
    if (e->best < 0 || v->result.loss < e->all[e->best].result.loss)
        e->best = i;
}

const struct evaluation *evaluator_run(struct evaluator *e, const struct choices *c,
                                       const char *proposer)
{
    const int at = find(e, c);

    if (e->table[at] >= 0)
        return &e->all[e->table[at]];
    if (evaluator_is_over(e))
        return NULL;

    struct evaluation *v = &e->all[e->n];
    struct choices *own = choices_create(e->arena, c->n_units);

    choices_copy(own, c);
    *v = (struct evaluation){.choices = own, .proposer = proposer};
    if (!e->recall || !e->recall(e->arg, e->n, own, &v->result))
        e->problem->evaluate(e->problem->self, own, &v->result);
    v->feasible = search_is_feasible(e->problem, v->result.costs);
    e->table[at] = e->n;
    enter(e, e->n++);
    if (e->watch)
        e->watch(e->arg, e);
    return v;
}

bool evaluator_knows(const struct evaluator *e, const struct choices *c)
{
    return e->table[find(e, c)] >= 0;
}

static bool is_among(const struct choices *const *plans, int n, const struct choices *c)
{
    for (int i = 0; i < n; i++)
        if (choices_equal(plans[i], c))
            return true;
    return false;
}

void evaluator_expect(struct evaluator *e, const struct choices *const *plans, int n)
{
    struct arena *a = arena_create();
    const struct choices **fresh = arena_new_array(a, const struct choices *, n);
    int n_fresh = 0;

    for (int i = 0; e->expect && i < n && n_fresh < e->budget - e->n; i++)
        if (e->table[find(e, plans[i])] < 0 && !is_among(fresh, n_fresh, plans[i]))
            fresh[n_fresh++] = plans[i];
    if (n_fresh > 1)
        e->expect(e->arg, fresh, n_fresh);
    arena_destroy(a);
}

bool evaluator_is_over(const struct evaluator *e)
{
    return e->n >= e->budget;
}

double evaluator_best_after(const struct evaluator *e, int n)
{
    double best = INFINITY;

    for (int i = 0; i < n && i < e->n; i++)
        if (e->all[i].feasible)
            best = fmin(best, e->all[i].result.loss);
    return best;
}

double evaluator_hypervolume(const struct evaluator *e, double loss)
{
    const double *const base = e->problem->base;
    const double reference[OBJECTIVES] = {loss, base[COST_latency], base[COST_energy],
                                          base[COST_bytes]};
    double all = 1;

    for (int k = 0; k < OBJECTIVES; k++)
        all *= reference[k];
    return pareto_hypervolume(&e->front, reference) / all;
}
