/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the main job's search share: quantized_search.c evaluates plans,
 * searching_weigh.c tells it what becomes of single changes, quantized_choose.c carries
 * the best out and takes one, searching_train.c trains them before it does,
 * searching_page.c writes the page about it. */
#ifndef HADMC_CLI_SEARCHING_H
#define HADMC_CLI_SEARCHING_H

#include <signal.h>

#include "cli/quantized_job.h"
#include "search/ahead.h"
#include "search/evaluator.h"
#include "search/model_problem.h"
#include "search/record.h"
#include "search/search_page.h"

/* That a nat costs, where samples have no labels to say so. */
#define SEARCHING_POINTS_PER_NAT 20

enum {
    SEARCHING_PARTS = 5,   /* of a search without budgets, with a trial between two */
    SEARCHING_TRIALS = 10, /* plans that are carried out without training, at most */
    SEARCHING_MOST_TRIALS = FORECAST_MOST /* with it, too */
};

/* A plan that has been carried out, compiled for this machine and run. */
struct trial {
    const struct evaluation *of;
    struct quantized q; /* as the plan leaves it; q.training: how it was trained */
    struct score score; /* on the checked samples */
    int64_t file_bytes;
    double has[COST_COUNT]; /* of the whole program; 0: there is no budget for it */
    double loss, drop;
    double points; /* as of a mark */
    bool done;
};

struct trainings; /* searching_train.c */

struct searching {
    struct quantized *q;
    struct device device;
    struct variants *variants;
    struct model_problem *model;
    const struct search_problem *p;
    struct evaluator *e;
    const char *header; /* of the record */
    struct record *record;
    struct status *failed; /* of the record or of the ranks */
    struct ranks ranks;
    struct ahead *ahead; /* NULL: this process is alone */
    struct reward reward;
    double allowed_loss;   /* of an evaluation, before a plan has been carried out */
    double points_per_nat; /* drop by loss; 0: samples have no labels */
    double started;
    int n_started; /* evaluations that were recalled */
    /* halves of the validation samples */
    int64_t n_scored, n_checked;
    int64_t *scored, *checked;
    struct outputs original; /* of the checked ones */
    int n_trials;
    struct search_trial trials[SEARCHING_MOST_TRIALS];
    struct forecast forecast;    /* from trials; points are those of --max-drop */
    struct trial best;           /* of the trials; not done: there is none to take */
    struct trainings *trainings; /* NULL: without training */
    const char *distillation;    /* what was chosen of it, or NULL */
};

/* Without one costs count, as long as the loss is allowed; with one the loss. */
bool searching_has_budget(const struct quantized_options *o);
/* "0.071 ms (modelled)" */
const char *searching_amount(struct arena *a, enum search_cost k, double cost);

/* With --jobs or under mpirun: from here on other processes evaluate, too.  These do
 * not return; searching_alone ends them. */
struct status *searching_share(struct searching *s);
struct status *searching_alone(struct searching *s);
/* The evaluator's, for what it is told to expect. */
void searching_expect(void *arg, const struct choices *const *plans, int n);

/* --plan-from. */
struct status *searching_replay(struct searching *s);

/* Whether Ctrl-C was pressed. */
bool searching_interrupted(void);

/* Carries out the plan that tells most about where accuracy ends, and sets the loss
 * that plans may have where the search goes on. */
struct status *searching_look(struct searching *s);
/* The plan to be carried out next; NULL: none is worth it. */
const struct evaluation *searching_next(const struct searching *s);

/* Carries single changes out, so that evaluations can be weighed by where channels go:
 * s->forecast.left, of its effects. */
struct status *searching_weigh(struct searching *s);

/* Finds the plan and makes what it decides that of s->q. */
struct status *searching_choose(struct searching *s);

/* The same of plans that are trained before they are measured: before the first look;
 * a look at a plan; and the end, s->best not done: none was found that loses as little
 * as is allowed. */
void searching_train_begin(struct searching *s);
struct status *searching_train_look(struct searching *s, const struct evaluation *v);
struct status *searching_train(struct searching *s);

/* Whether the whole program of a plan that was carried out meets the budget; an
 * evaluation counts units only, and memory before it is planned. */
bool searching_meets(const struct searching *s, const struct trial *t,
                     enum search_cost k);
/* Of a plan that was carried out, from the original: nats, or 1 - cosine. */
double searching_measured_loss(const struct score *s);
/* `training` NULL: none. */
struct status *searching_carry_out(struct searching *s, const struct evaluation *v,
                                   const struct training *training, struct trial *t);
/* Whether the original may have learned from the validation samples: they are for
 * training. */
bool searching_knows_samples(const struct searching *s);
/* Points of accuracy that a plan is expected to lose on other samples, a standard error
 * included, where a nat costs so many of them, give or take the share `error`; without
 * labels the loss, so that what is allowed is --max-drop. */
double searching_points(const struct searching *s, const struct trial *t,
                        double points_per_nat, double error);
/* Loss of an evaluated plan with what is known of such plans, for comparison. */
double searching_loss(const struct searching *s, const struct evaluation *v);
/* Feasible evaluations by that, in q->a. */
int searching_candidates(const struct searching *s, const struct evaluation ***out);
/* How much cheaper than the original an evaluated plan is. */
double searching_value(const struct searching *s, const struct evaluation *v);

/* HTML, in q->a; q->searched is set. */
const char *searching_page(struct searching *s, const struct evaluation *chosen);

#endif /* HADMC_CLI_SEARCHING_H */
