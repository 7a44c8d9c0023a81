/* SPDX-License-Identifier: Apache-2.0 */
/* The pairwise model with local search, and controllers that imagine episodes on it. */
#include <assert.h>
#include <math.h>

#include "search/agents/noise.h"
#include "search/search_environment.h"
#include "search/surrogate.h"

enum {
    TRIES = 100,            /* changes of a plan on the model, for each evaluation */
    REFIT = 32,             /* a part in so many is new */
    ELSEWHERE = 4,          /* of so many climbs one is for the rest of the front */
    MOST_TOGETHER = 4,      /* proposals of one model */
    MOST_IDLE_CLIMBS = 200, /* climbs in a row that met nothing new: the end */
    MOST_IDLE = 60,         /* iterations of a controller without any: likewise */
    /* Who imagines learns between true episodes, so that these are few at a time where
     * few are left. */
    LEAST_ROUNDS = 8,
    LEAST_EPISODES = 4,
    IMAGINED_EPOCHS = 4, /* imagined episodes cost nothing: new ones teach more */
};

/* Elsewhere on the front: */
#define MOST_WEIGHT 20.0 /* times that of the search */
#define LEAST_LOSS  0.01 /* nats that may be lost, */
#define MOST_LOSS   8.0  /* and times the loss of the best plan */

/* A policy that proposes nothing new draws at rising temperatures until it does. */
#define HEATING 1.25
#define HOTTEST 6.0

/* ---- local search on the model ----------------------------------------------------
 */

/* What the model says of a plan; returns its score. */
static double imagine_plan(const struct method_run *r, struct surrogate *s,
                           const struct choices *c, struct search_result *out)
{
    struct evaluation v = {.choices = c, .result.loss = surrogate_loss(s, c)};

    search_costs(r->p, c, v.result.costs);
    v.feasible = search_is_feasible(r->p, v.result.costs);
    *out = v.result;
    return method_score(r, &v);
}

static double imagined_score(const struct method_run *r, struct surrogate *s,
                             const struct choices *c)
{
    struct search_result result;

    return imagine_plan(r, s, c, &result);
}

/* Refitted after every evaluation while there are few, then after each 3 %. */
static void refit(struct surrogate *s, const struct evaluator *e)
{
    if (e->n > s->n_fitted + s->n_fitted / REFIT)
        surrogate_fit(s, e);
}

/* The best of the feasible evaluations by score; NULL: none. */
static const struct evaluation *best_of(const struct method_run *r)
{
    const struct evaluation *best = NULL;

    for (int i = 0; i < r->e->n; i++)
        if (r->e->all[i].feasible
            && (!best || method_score(r, &r->e->all[i]) > method_score(r, best)))
            best = &r->e->all[i];
    return best;
}

struct proposals {
    struct method_run *r;
    int n_climbs;
    struct surrogate *s;
    struct choices *at, *next;           /* where a climb is; a neighbour */
    struct choices *plan[MOST_TOGETHER]; /* what the climbs found */
    int n;
};

static bool is_new(const struct proposals *p, const struct choices *c)
{
    for (int i = 0; i < p->n; i++)
        if (choices_equal(p->plan[i], c))
            return false;
    return !evaluator_knows(p->r->e, c);
}

/* Costs count, so that plans are wanted elsewhere on the front, too. */
static bool wants_front(const struct method_run *r)
{
    for (int k = 0; k < COST_COUNT; k++)
        if (r->o->reward.w[k] > 0)
            return true;
    return false;
}

/* To another point of the front.  Costs that weigh more lead to its corners; where
 * losses up to a greater one count alike, a climb ends at that loss, whatever the
 * front's shape. */
static void go_elsewhere(struct reward *reward, const struct evaluation *best,
                         struct random *random)
{
    if (random_unit(random) < 0.5) {
        const double weight = pow(MOST_WEIGHT, random_unit(random));

        for (int k = 0; k < COST_COUNT; k++)
            reward->w[k] *= weight;
    } else {
        const double loss = fmax(best ? best->result.loss : 0, reward->allowed_loss);

        reward->allowed_loss =
            fmax(loss, LEAST_LOSS) * pow(MOST_LOSS, random_unit(random));
    }
}

/* Up on the model from p->at, by the options of `by`; the best plan met that is new is
 * a proposal.  A known one may be a step on the way, but never the end: what is best on
 * the model is soon known, and then its neighbours matter.  Returns its score,
 * -INFINITY without one. */
static double climb(struct proposals *p, const struct method_run *by, double score)
{
    double most = -INFINITY;

    for (int i = 0; i < TRIES; i++) {
        choices_copy(p->next, p->at);
        method_mutate(p->r, 2, p->next);

        const double now = imagined_score(by, p->s, p->next);

        if (now > most && is_new(p, p->next)) {
            most = now;
            choices_copy(p->plan[p->n], p->next);
        }
        if (now > score) {
            score = now;
            choices_copy(p->at, p->next);
        }
    }
    p->n += most > -INFINITY;
    return most;
}

/* From the best plan; the longer climbs have met nothing new, the further away. */
static double climb_from_best(struct proposals *p, const struct method_run *by,
                              int idle)
{
    const struct evaluation *best = best_of(by);

    if (best)
        choices_copy(p->at, best->choices);
    if (idle || !best)
        method_mutate(p->r, 1 + idle, p->at);
    return climb(p, by, idle ? -INFINITY : imagined_score(by, p->s, p->at));
}

/* One climb of ELSEWHERE is for the rest of the front, one is not; of the others those
 * are that see nothing better than the best plan, unless only the loss counts. */
static void propose(struct proposals *p, int idle)
{
    struct method_options o = *p->r->o;
    struct method_run by = *p->r;
    const struct evaluation *best = best_of(&by);
    const int turn = ++p->n_climbs % ELSEWHERE, n = p->n;

    if (turn > 0) {
        const double seen = climb_from_best(p, &by, idle);

        if (turn == 1 || !best || !wants_front(&by) || seen > method_score(&by, best))
            return;
        p->n = n;
    }
    by.o = &o;
    go_elsewhere(&o.reward, best, &p->r->random);
    climb_from_best(p, &by, idle);
}

static struct proposals proposals_create(struct method_run *r, struct surrogate *s)
{
    struct proposals p = {
        .r = r,
        .s = s,
        .at = choices_create(r->arena, r->p->n_units),
        .next = choices_create(r->arena, r->p->n_units),
    };

    for (int i = 0; i < MOST_TOGETHER; i++)
        p.plan[i] = choices_create(r->arena, r->p->n_units);
    return p;
}

/* Evaluates up to n plans, MOST_TOGETHER at most; one fit of the model proposes all, so
 * that they go side by side.  False: nothing new was met. */
static bool run_proposals(struct proposals *p, int n, int idle)
{
    p->n = 0;
    for (int i = 0; i < n && i < MOST_TOGETHER; i++)
        propose(p, idle);
    evaluator_expect(p->r->e, (const struct choices *const *)p->plan, p->n);
    for (int i = 0; i < p->n; i++)
        evaluator_run(p->r->e, p->plan[i], method_names[METHOD_surrogate]);
    return p->n > 0;
}

void method_surrogate(struct method_run *r)
{
    struct surrogate *s =
        surrogate_create(r->arena, method_measure_effects(r), r->p->n_units);
    struct proposals p = proposals_create(r, s);

    method_solve(r, &s->effects, p.at);
    evaluator_run(r->e, p.at, r->name);
    for (int idle = 0; !evaluator_is_over(r->e) && idle < MOST_IDLE_CLIMBS;) {
        refit(s, r->e);
        idle = run_proposals(&p, 1 + r->e->n / REFIT, idle) ? 0 : idle + 1;
    }
}

/* ---- controllers ------------------------------------------------------------------
 */

struct judging {
    struct method_run *r;
    struct surrogate *s; /* while episodes are imagined; NULL: they are evaluated */
    double most;         /* the best score of what was imagined and is new */
};

static bool judge(void *arg, const struct choices *c, struct search_result *out)
{
    struct judging *j = arg;

    if (j->s) {
        const double score = imagine_plan(j->r, j->s, c, out);

        if (score > j->most && !evaluator_knows(j->r->e, c))
            j->most = score;
        return true;
    }

    const struct evaluation *v = evaluator_run(j->r->e, c, j->r->name);

    if (v)
        *out = v->result;
    return v != NULL;
}

static void expect(void *arg, const struct choices *const *plans, int n)
{
    const struct judging *j = arg;

    if (!j->s)
        evaluator_expect(j->r->e, plans, n);
}

/* The multipliers answer to the plans of the iteration. */
static void raise_multipliers(struct search_environment *env,
                              const struct method_options *o)
{
    double mean[COST_COUNT];

    if (!env->n_judged || !(o->multiplier_rate > 0))
        return;
    for (int k = 0; k < COST_COUNT; k++) {
        mean[k] = env->sum_costs[k] / env->n_judged;
        env->sum_costs[k] = 0;
    }
    env->n_judged = 0;
    reward_raise(&env->reward, env->problem, mean, o->multiplier_rate,
                 o->multiplier_most);
}

/* Iterations on the model of all evaluations so far, of which n are new: enough for
 * their share of imagined episodes. */
static void imagine(struct judging *j, struct controller *c, int n_episodes,
                    struct surrogate *s, int n)
{
    const int most = j->r->o->imagined,
              wanted = (n * most + n_episodes - 1) / n_episodes;
    struct controller_report report;

    refit(s, j->r->e);
    j->s = s;
    j->most = -INFINITY;
    for (int i = 0; i < (wanted < most ? wanted : most); i++)
        controller_iterate(c, &report);
    j->s = NULL;
}

static bool sees_better(const struct judging *j)
{
    const struct evaluation *best = best_of(j->r);

    return !best || j->most > method_score(j->r, best);
}

/* Episodes are evaluated where those that were imagined see something better than the
 * best plan; elsewhere climbs are. */
static void run_episodes(struct method_run *r, const struct controller_options *options,
                         struct surrogate *s, const struct choices *prior,
                         uint64_t seed)
{
    struct search_environment *env = search_environment_create(r->arena, r->p);
    const struct environment e = search_environment_of(env);
    struct controller_options o = *options;
    struct judging judging = {.r = r};
    struct proposals climbs = proposals_create(r, s);
    const int left = r->e->budget - r->e->n;

    assert(o.n_episodes <= SEARCH_EPISODES);
    if (s)
        o.epochs = IMAGINED_EPOCHS;
    if (s && o.n_episodes > LEAST_EPISODES && left < o.n_episodes * LEAST_ROUNDS)
        o.n_episodes =
            left / LEAST_ROUNDS > LEAST_EPISODES ? left / LEAST_ROUNDS : LEAST_EPISODES;
    env->reward = r->o->reward;
    env->prior = prior;
    env->judge = judge;
    env->expect = expect;
    env->judge_arg = &judging;
    o.n_iterations =
        (left + o.n_episodes - 1) / o.n_episodes * (1 + (s ? r->o->imagined : 0));

    struct controller *c = controller_create(&e, &o, seed);
    double heat = 1;

    for (int known = 0, seen = 0; !evaluator_is_over(r->e) && known < MOST_IDLE;) {
        const int before = r->e->n;
        struct controller_report report;

        if (s)
            imagine(&judging, c, o.n_episodes, s, before - seen);
        seen = before;
        if (s && wants_front(r) && !sees_better(&judging)
            && run_proposals(&climbs, o.n_episodes, 0))
            continue;
        controller_heat(c, o.temperature * heat);
        controller_iterate(c, &report);
        raise_multipliers(env, r->o);
        known = r->e->n > before ? 0 : known + 1;
        heat = known ? fmin(heat * HEATING, HOTTEST) : fmax(heat / HEATING, 1);
    }
    controller_destroy(c);
}

void method_run_controller(const struct controller_options *c, struct evaluator *e,
                           const struct method_options *o, uint64_t seed)
{
    struct arena *a = arena_create();
    struct method_run r = {.e = e,
                           .p = e->problem,
                           .o = o,
                           .walk = walk_create(a, e->problem),
                           .random = noise_stream(seed, (uint64_t)METHOD_COUNT),
                           .arena = a,
                           .name = controller_names[c->kind]};
    struct choices *prior = NULL;
    struct surrogate *s = NULL;

    if (o->warm || o->imagined) {
        const struct method_effects f = method_measure_effects(&r);

        if (o->warm) {
            prior = choices_create(a, r.p->n_units);
            method_solve(&r, &f, prior);
            evaluator_run(e, prior, r.name);
            if (best_of(&r)) /* what others have found may be better */
                choices_copy(prior, best_of(&r)->choices);
        }
        if (o->imagined)
            s = surrogate_create(a, f, r.p->n_units);
    }
    run_episodes(&r, c, s, prior, seed);
    arena_destroy(a);
}

struct method_effects method_run_table(struct evaluator *e,
                                       const struct method_options *o, struct arena *a)
{
    struct method_run r = {.e = e,
                           .p = e->problem,
                           .o = o,
                           .arena = a,
                           .name = method_names[METHOD_surrogate]};

    return method_measure_effects(&r);
}

void method_run_both(const struct controller_options *c, struct evaluator *e,
                     const struct method_options *o, uint64_t seed)
{
    const int budget = e->budget;
    struct arena *a = arena_create();
    struct method_options rest = *o;

    method_run_table(e, o, a);
    arena_destroy(a);
    rest.share_of_effects = 0; /* it is known */
    e->budget = e->n + (budget - e->n) / 4;
    method_run(METHOD_surrogate, e, &rest, seed);
    e->budget = e->n + 2 * (budget - e->n) / 3; /* of three quarters that are left */
    method_run_controller(c, e, &rest, seed);
    e->budget = budget;
    if (!evaluator_is_over(e))
        method_run(METHOD_surrogate, e, &rest, seed + 1);
}
