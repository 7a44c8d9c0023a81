/* SPDX-License-Identifier: Apache-2.0 */
/* What hal's model (hal/cost.h) expects of every step.  Measured times are no part of a
 * bundle, whose bytes depend on its inputs alone. */
#include <math.h>
#include <string.h>

#include "codegen/bundle.h"
#include "hal/cost.h"
#include "codegen/step_work.h"
#include "plan/plan.h"

/* Whole numbers: the same text from every mathematical library. */
static int64_t whole(double value)
{
    return llround(fmin(value, 1e18)); /* a device may be as slow as it says */
}

/* Names are those of units as far as JSON can hold them; two of one name are one here.
 */
static const struct plan_unit *unit_of(const struct plan *plan, const struct step *s)
{
    for (int i = 0; plan && s->node && i < plan->n_units; i++)
        if (strcmp(plan->units[i].name, s->node->name) == 0)
            return &plan->units[i];
    return NULL;
}

/* A device that multiplies halves does not make floats of them. */
static bool is_done_without(const struct bundle_job *job, const struct step *s)
{
    const struct ir_node *n = s->node;

    return n && n->op == OP_Cast && n->in[0]->data && n->in[0]->dtype == DT_f16
           && target_halves(job->options->target, job->options->device)
                  == HALVES_MULTIPLIED;
}

const struct step_cost *report_costs(const struct bundle_job *job)
{
    const struct program *p = job->program;
    const struct device *d = job->options->device;
    struct step_cost *costs;
    int n_units;

    if (!d)
        return NULL;
    const struct unit *units = units_find(p->graph, &n_units);

    costs = arena_new_array(job->arena, struct step_cost, p->n_steps + 1);
    for (int i = 0; i < p->n_steps; i++) {
        struct work w = step_work(p, &p->steps[i], n_units, units);

        costs[i].kind = w.kind;
        if (is_done_without(job, &p->steps[i]))
            continue;

        const struct plan_unit *u = unit_of(job->options->plan, &p->steps[i]);

        w.sparse_2_4 = u && u->zeros == ZEROS_two_of_four;
        if (u && u->weight_bits == 16 && w.weight_bits == 16)
            w.activation_bits = u->activation_bits;
        w.resident_bytes = p->payload_bytes + p->workspace_bytes;
        const struct cost c = cost_of(d, &w);

        costs[i] = (struct step_cost){whole(c.time_ns), c.energy_j, w.kind};
        costs[p->n_steps].ns += costs[i].ns;
        costs[p->n_steps].energy_j += c.energy_j;
    }
    return costs;
}
