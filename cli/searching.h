/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the main job's search share: quantized_search.c evaluates plans,
 * quantized_choose.c carries the best out and takes one, searching_page.c writes the
 * page about it. */
#ifndef HADMC_CLI_SEARCHING_H
#define HADMC_CLI_SEARCHING_H

#include "cli/quantized_job.h"
#include "search/ahead.h"
#include "search/evaluator.h"
#include "search/model_problem.h"
#include "search/record.h"
#include "search/search_page.h"

/* What a plan loses when it is carried out, as a share of what its evaluation says
 * (docs/search.md). */
#define SEARCHING_CARRIED_OUT 0.6

enum { SEARCHING_TRIALS = 10 }; /* plans that are carried out, at most */

struct searching {
    struct quantized *q;
    struct device device;
    struct variants *variants;
    struct model_problem *model;
    const struct search_problem *p;
    struct evaluator *e;
    struct record *record;
    struct status *failed; /* of the record or of the ranks */
    struct ranks ranks;
    struct ahead *ahead; /* NULL: this process is alone */
    struct reward reward;
    double points_per_nat; /* drop by loss; 0: samples have no labels */
    double started;
    int n_started; /* evaluations that were recalled */
    bool interrupted;
    /* halves of the validation samples */
    int64_t n_scored, n_checked;
    int64_t *scored, *checked;
    struct outputs original; /* of the checked ones */
    int n_trials;
    struct search_trial trials[SEARCHING_TRIALS];
};

/* Without one costs count, as long as the loss is allowed; with one the loss. */
bool searching_has_budget(const struct quantized_options *o);
/* "0.071 ms (modelled)" */
const char *searching_amount(struct arena *a, enum search_cost k, double cost);

/* With --jobs or under mpirun: from here on other processes evaluate, too.  These do not
 * return; searching_alone ends them. */
struct status *searching_share(struct searching *s);
struct status *searching_alone(struct searching *s);
/* The evaluator's, for what it is told to expect. */
void searching_expect(void *arg, const struct choices *const *plans, int n);

/* --plan-from; `header` of the search's record. */
struct status *searching_replay(struct searching *s, const char *header);

/* Finds the plan and makes what it decides that of s->q. */
struct status *searching_choose(struct searching *s);

/* HTML, in q->a; q->searched is set. */
const char *searching_page(struct searching *s, const struct evaluation *chosen);

#endif /* HADMC_CLI_SEARCHING_H */
