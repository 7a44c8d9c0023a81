/* SPDX-License-Identifier: Apache-2.0 */
/* Methods against each other: who may take part, how one of them plays, and what a
 * played run was worth.
 *
 *     struct contest_pool *pool = contest_pool_create(a, &problem, most);
 *     struct contest_entry *entry = contest_enter(a, pool, &problem, costs, budget);
 *     struct evaluator *e = contest_begin(a, who, entry, 300);
 *     contest_play(who, e, seed);
 *     contest_measure(e, loss, &figures);
 *
 * Every run begins with the model as it is, which counts like all evaluations.  Losses
 * are shared in a pool by the methods and the targets of a model: a plan is evaluated
 * once, and counted for everyone who asks for it.
 */
#ifndef HADMC_SEARCH_CONTEST_H
#define HADMC_SEARCH_CONTEST_H

#include "search/method.h"

enum contest_role { CONTEST_METHOD, CONTEST_CONTROLLER, CONTEST_OURS };

struct contestant {
    const char *name, *about;
    enum contest_role role;
    int which; /* of its methods or controllers */
    bool warm;
    int imagines, cells;
    enum choice_agent frozen; /* AGENT_COUNT: none */
};

extern const struct contestant contestants[]; /* the first is ours; ends without name */
const struct contestant *contest_find(const char *name); /* NULL: nobody */

/* ---- losses that are shared -------------------------------------------------------
 */

struct contest_pool;

/* At most `most` different plans; needs to outlive its entries.  Borrows `p`. */
struct contest_pool *contest_pool_create(struct arena *a,
                                         const struct search_problem *p, int most);
/* What an earlier run found. */
void contest_pool_know(struct contest_pool *pool, const struct choices *c,
                       const struct search_result *result);
/* Plans that were evaluated here, and not known. */
int contest_pool_n_evaluated(const struct contest_pool *pool);

/* A model on a target: the pool's losses, the target's costs. */
struct contest_entry {
    struct search_problem problem;
    const struct search_problem *of;
    struct contest_pool *pool;
    void (*costs)(void *self, const struct choices *c, double *out);
};

/* A budget that quantization alone does not meet, nor everything fails: of the way from
 * the least latency of any plan (0) to that of the fastest one with all channels and
 * one width (1).  A share of the original's latency. */
double contest_budget(struct arena *a, const struct search_problem *p,
                      void (*costs)(void *, const struct choices *, double *),
                      double way);

/* Latency may be `budget` of the original's.  `costs` gives exact ones of a whole plan;
 * NULL: search_costs. */
struct contest_entry *
contest_enter(struct arena *a, struct contest_pool *pool,
              const struct search_problem *p,
              void (*costs)(void *, const struct choices *, double *), double budget);

/* ---- a run ------------------------------------------------------------------------
 */

struct evaluator *contest_begin(struct arena *a, const struct contestant *who,
                                const struct contest_entry *entry, int n_evaluations);
/* Needs blas_open. */
void contest_play(const struct contestant *who, struct evaluator *e, uint64_t seed);

/* What a run was worth. */
struct contest_figures {
    int n_evaluated;
    bool feasible;     /* a plan within the budget was found: */
    double loss, drop; /* of the most accurate of them, as the search saw it */
    double latency, energy, bytes; /* shares of the original's, of the same */
    double volume;                 /* evaluator_hypervolume below `loss` */
    double speedup;                /* of the fastest plan that loses at most `loss` */
    int n_to_best; /* evaluations until within 5 % of its final exp(-loss) */
    double *curve; /* exp(-loss) of the best after 1 ... budget; 0: none yet */
};

/* `loss` in nats: the accuracy that is held fixed.  The first evaluation is the model
 * as it is; the curve lives in `a`. */
void contest_measure(struct arena *a, const struct evaluator *e, double loss,
                     struct contest_figures *out);

#endif /* HADMC_SEARCH_CONTEST_H */
