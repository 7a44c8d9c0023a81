/* SPDX-License-Identifier: Apache-2.0 */
/* Methods against each other: see contest.h. */
#include "search/contest.h"

#include <math.h>
#include <string.h>

#include "search/reach.h"
#include "search/walk.h"

/* With a budget the loss counts first, as in the main job. */
#define WEIGHT_OF_COSTS 0.2

const struct contestant contestants[] = {
#define CONTESTANT(id, words, starts_warm, episodes, lstm, agent, line)                \
    {.name = words,                                                                    \
     .about = line,                                                                    \
     .role = CONTEST_OURS,                                                             \
     .which = CONTROLLER_mappo,                                                        \
     .warm = starts_warm,                                                              \
     .imagines = episodes,                                                             \
     .cells = lstm,                                                                    \
     .frozen = agent},
#include "search/contestants.def"
#define METHOD(id, line)                                                               \
    {.name = #id,                                                                      \
     .about = line,                                                                    \
     .role = CONTEST_METHOD,                                                           \
     .which = METHOD_##id,                                                             \
     .frozen = AGENT_COUNT},
#include "search/methods.def"
#define CONTROLLER(id, line)                                                           \
    {.name = #id,                                                                      \
     .about = line,                                                                    \
     .role = CONTEST_CONTROLLER,                                                       \
     .which = CONTROLLER_##id,                                                         \
     .warm = true,                                                                     \
     .frozen = AGENT_COUNT},
#include "search/agents/controllers.def"
    {.name = NULL}};

const struct contestant *contest_find(const char *name)
{
    for (const struct contestant *c = contestants; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* ---- losses that are shared -------------------------------------------------------
 */

/* An evaluator without limits does the remembering. */
struct contest_pool {
    struct evaluator *all;
    const struct search_result *known; /* of the plan that is being told */
    int n_evaluated;
};

static bool recall(void *arg, int n, const struct choices *c, struct search_result *out)
{
    struct contest_pool *pool = arg;

    (void)n;
    (void)c;
    if (pool->known)
        *out = *pool->known;
    else
        pool->n_evaluated++;
    return pool->known != NULL;
}

struct contest_pool *contest_pool_create(struct arena *a,
                                         const struct search_problem *p, int most)
{
    struct contest_pool *pool = arena_new(a, struct contest_pool);

    *pool = (struct contest_pool){.all = evaluator_create(a, p, most)};
    pool->all->recall = recall;
    pool->all->arg = pool;
    return pool;
}

void contest_pool_know(struct contest_pool *pool, const struct choices *c,
                       const struct search_result *result)
{
    pool->known = result;
    evaluator_run(pool->all, c, "known");
    pool->known = NULL;
}

int contest_pool_n_evaluated(const struct contest_pool *pool)
{
    return pool->n_evaluated;
}

static void cost(void *self, int unit, struct choice own, struct choice before,
                 double *out)
{
    const struct search_problem *of = ((struct contest_entry *)self)->of;

    of->cost(of->self, unit, own, before, out);
}

static void evaluate(void *self, const struct choices *c, struct search_result *out)
{
    const struct contest_entry *e = self;
    const struct evaluation *v = evaluator_run(e->pool->all, c, "pool");

    *out = v->result;
    if (e->costs)
        e->costs(e->of->self, c, out->costs);
    else
        search_costs(e->of, c, out->costs);
}

/* Of the fastest plan with one width and all channels. */
static double fastest_whole(struct arena *a, const struct search_problem *p,
                            void (*costs)(void *, const struct choices *, double *))
{
    struct walk *w = walk_create(a, p);
    struct choices *c = choices_create(a, p->n_units);
    double least = INFINITY, of[COST_COUNT];

    for (int b = 0; b < CHOICE_BITS; b++) {
        for (int i = 0; i < c->n_units; i++)
            c->units[i] = (struct choice){0, 0, (uint8_t)b};
        walk_repair(w, c, c);
        if (costs)
            costs(p->self, c, of);
        else
            search_costs(p, c, of);
        least = fmin(least, of[COST_latency]);
    }
    return least;
}

double contest_budget(struct arena *a, const struct search_problem *p,
                      void (*costs)(void *, const struct choices *, double *),
                      double way)
{
    struct search_problem tight = *p;

    tight.budgets[COST_latency] =
        p->base[COST_latency]; /* so that its least is found */

    const double least = reach_find(a, &tight, costs).least[COST_latency],
                 whole = fastest_whole(a, p, costs);

    return (least + way * (whole - least)) / p->base[COST_latency];
}

struct contest_entry *
contest_enter(struct arena *a, struct contest_pool *pool,
              const struct search_problem *p,
              void (*costs)(void *, const struct choices *, double *), double budget)
{
    struct contest_entry *e = arena_new(a, struct contest_entry);

    *e = (struct contest_entry){.problem = *p, .of = p, .pool = pool, .costs = costs};
    e->problem.self = e;
    e->problem.cost = cost;
    e->problem.evaluate = evaluate;
    e->problem.budgets[COST_latency] = budget * p->base[COST_latency];
    return e;
}

/* ---- a run ------------------------------------------------------------------------
 */

struct evaluator *contest_begin(struct arena *a, const struct contestant *who,
                                const struct contest_entry *entry, int n_evaluations)
{
    struct search_problem *p = arena_new(a, struct search_problem);

    if (who->frozen < AGENT_COUNT)
        search_restrict(a, &entry->problem, ~(1u << who->frozen), p);
    else
        *p = entry->problem;
    return evaluator_create(a, p, n_evaluations);
}

static struct method_options options_of(const struct contestant *who)
{
    struct method_options o = method_defaults();

    o.warm = who->warm;
    o.imagined = who->imagines;
    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] *= WEIGHT_OF_COSTS;
    return o;
}

void contest_play(const struct contestant *who, struct evaluator *e, uint64_t seed)
{
    const struct method_options o = options_of(who);
    struct arena *a = arena_create();

    evaluator_run(e, choices_create(a, e->problem->n_units), "original");
    arena_destroy(a);
    if (who->role == CONTEST_METHOD) {
        method_run((enum method)who->which, e, &o, seed);
        return;
    }

    struct controller_options c = controller_defaults((enum controller_kind)who->which);

    c.n_lstm = who->cells;
    if (who->role == CONTEST_CONTROLLER)
        method_run_controller(&c, e, &o, seed);
    else
        method_run_both(&c, e, &o, seed);
}

static void draw_curve(struct arena *a, const struct evaluator *e,
                       struct contest_figures *out)
{
    double best = 0;

    out->curve = arena_new_array(a, double, e->budget);
    for (int i = 0; i < e->budget; i++) {
        if (i < e->n && e->all[i].feasible)
            best = fmax(best, exp(-fmax(e->all[i].result.loss, 0)));
        out->curve[i] = best;
    }
    while (out->n_to_best < e->budget && out->curve[out->n_to_best] < 0.95 * best)
        out->n_to_best++;
    out->n_to_best++;
}

void contest_measure(struct arena *a, const struct evaluator *e, double loss,
                     struct contest_figures *out)
{
    const double *const base = e->all[0].result.costs;

    *out = (struct contest_figures){
        .n_evaluated = e->n, .volume = evaluator_hypervolume(e, loss), .speedup = 1};
    for (int i = 0; i < e->n; i++)
        if (e->all[i].result.loss <= loss)
            out->speedup =
                fmax(out->speedup,
                     base[COST_latency] / e->all[i].result.costs[COST_latency]);
    draw_curve(a, e, out);
    if (e->best < 0)
        return;

    const struct search_result *r = &e->all[e->best].result;

    out->feasible = true;
    out->loss = r->loss;
    out->drop = r->drop;
    out->latency = r->costs[COST_latency] / base[COST_latency];
    out->energy = r->costs[COST_energy] / base[COST_energy];
    out->bytes = r->costs[COST_bytes] / base[COST_bytes];
}
