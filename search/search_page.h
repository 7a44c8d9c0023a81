/* SPDX-License-Identifier: Apache-2.0 */
/* A search as a page for people, foo.search.html: the front, the learning curve, what
 * was chosen for each unit and what the masks forbade, predictions against what the
 * plans that were carried out lose, and how the choice would change if energy cost
 * half or twice as much.  One file, without scripts or references to anything else.
 */
#ifndef HADMC_SEARCH_SEARCH_PAGE_H
#define HADMC_SEARCH_SEARCH_PAGE_H

#include "search/evaluator.h"
#include "search/reward.h"
#include "support/text.h"

/* A plan that was carried out. */
struct search_trial {
    const struct evaluation *of;
    double loss, drop; /* measured, on other samples than those of evaluations */
    double bytes;      /* of its file */
    double epochs;     /* of training before it was measured; 0: none */
    double temperature, alpha; /* of it */
};

struct search_page {
    const char *model, *target;
    const char *sentence; /* what came of it */
    const struct evaluator *e;
    const struct reward *reward; /* that plans were ranked by */
    const struct evaluation *chosen;
    int n_trials;
    const struct search_trial *trials;
    const char
        *distillation; /* what was chosen of it; NULL: search_inert says why not */
    /* Exact costs of a plan where the device's energies of operations and of memory are
     * multiplied; NULL: it states none. */
    void (*costs)(void *arg, double operations, double memory, const struct choices *c,
                  double *out);
    void *costs_arg;
};

void search_page_put(struct arena *a, const struct search_page *p, struct text *t);

/* Why `action` of an agent was not legal for a unit of the plan `c`, the choices before
 * it made: a few words in `a`; NULL: it was. */
const char *search_forbids(struct arena *a, const struct search_problem *p,
                           const struct choices *c, int unit, enum choice_agent agent,
                           int action);

#endif /* HADMC_SEARCH_SEARCH_PAGE_H */
