/* SPDX-License-Identifier: Apache-2.0 */
/* One technique alone, and the exact programme without what follows it: what joint
 * search has to be better than. */
#include <math.h>

#include "search/method_tools.h"

/* Rounds of a sweep that found nothing new, in a row, at its end. */
enum { MOST_KNOWN = 20 };

static void choose_alone(struct method_run *r, enum choice_agent only,
                         struct search_problem *out)
{
    search_restrict(r->arena, r->p, 1u << only, out);
    r->p = out;
    r->walk = walk_create(r->arena, out);
}

void method_none(struct method_run *r)
{
    evaluator_run(r->e, choices_create(r->arena, r->p->n_units), r->name);
}

void method_pruning(struct method_run *r)
{
    struct search_problem p;

    choose_alone(r, AGENT_pruning, &p);
    method_programme(r);
}

void method_quantization(struct method_run *r)
{
    struct search_problem p;

    choose_alone(r, AGENT_quantization, &p);
    method_programme(r);
}

void method_distillation(struct method_run *r)
{
    struct search_problem p;

    choose_alone(r, AGENT_distillation, &p);
    method_climb(r, choices_create(r->arena, p.n_units));
}

/* The programme at the budgets, then at 0.95, 0.9 ... of the latency (of the original's
 * where there is no budget of it), so that the archive becomes a front. */
void method_sweep(struct method_run *r)
{
    const struct method_effects f = method_measure_effects(r);
    struct search_problem p = *r->p;
    struct choices *c = choices_create(r->arena, p.n_units);
    double *const budget = &p.budgets[COST_latency];

    method_solve(r, &f, c);
    evaluator_run(r->e, c, r->name);
    *budget = fmin(*budget, p.base[COST_latency]);
    r->p = &p;
    for (int known = 0; !evaluator_is_over(r->e) && known < MOST_KNOWN;) {
        const int before = r->e->n;

        *budget *= 0.95;
        r->walk = walk_create(r->arena, &p);
        method_solve(r, &f, c);
        evaluator_run(r->e, c, r->name);
        known = r->e->n > before ? 0 : known + 1;
    }
}
