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
static bool is_two_of_four(const struct plan *plan, const struct step *s)
{
    for (int i = 0; plan && s->node && i < plan->n_units; i++)
        if (plan->units[i].zeros == ZEROS_two_of_four
            && strcmp(plan->units[i].name, s->node->name) == 0)
            return true;
    return false;
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

        w.sparse_2_4 = is_two_of_four(job->options->plan, &p->steps[i]);
        w.resident_bytes = p->payload_bytes + p->workspace_bytes;
        const struct cost c = cost_of(d, &w);

        costs[i] = (struct step_cost){whole(c.time_ns), c.energy_j, w.kind};
        costs[p->n_steps].ns += costs[i].ns;
        costs[p->n_steps].energy_j += c.energy_j;
    }
    return costs;
}
