/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that keep a population: NSGA-II, and the tree-structured Parzen estimator.
 *
 * Both rank plans by fronts: rank 0 are those that no other one beats in loss, latency,
 * energy and bytes, rank 1 those that are then unbeaten, and so on; plans that miss a
 * budget come last.  Costs that weigh nothing in the reward are no objectives.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/method_tools.h"

enum { POPULATION = 32, OBJECTIVES = 4 };

struct member {
    const struct evaluation *v;
    double at[OBJECTIVES];
    int rank;
    double room; /* crowding distance */
};

static struct member member_of(const struct method_run *r, const struct evaluation *v)
{
    static const enum search_cost of[] = {COST_latency, COST_energy, COST_bytes};
    struct member m = {.v = v, .at = {v->result.loss}};

    for (int k = 1; k < OBJECTIVES; k++)
        if (r->o->reward.w[of[k - 1]] > 0)
            m.at[k] = v->result.costs[of[k - 1]];
    return m;
}

static bool beats(const struct member *a, const struct member *b)
{
    if (a->v->feasible != b->v->feasible)
        return a->v->feasible;
    return pareto_dominates(OBJECTIVES, a->at, b->at);
}

static void rank_all(struct member *m, int n)
{
    int left = n;

    for (int i = 0; i < n; i++)
        m[i].rank = -1;
    for (int rank = 0; left > 0; rank++)
        for (int i = 0; i < n; i++) {
            bool beaten = false;

            if (m[i].rank >= 0)
                continue;
            for (int k = 0; k < n && !beaten; k++)
                beaten = (m[k].rank < 0 || m[k].rank == rank) && beats(&m[k], &m[i]);
            if (!beaten) {
                m[i].rank = rank;
                left--;
            }
        }
}

/* Sum over the objectives of the distance between both neighbours of the same rank. */
static void measure_room(struct member *m, int n)
{
    for (int i = 0; i < n; i++) {
        m[i].room = 0;
        for (int k = 0; k < OBJECTIVES; k++) {
            double below = -INFINITY, above = INFINITY, low = INFINITY,
                   high = -INFINITY;

            for (int j = 0; j < n; j++) {
                if (m[j].rank != m[i].rank)
                    continue;
                low = fmin(low, m[j].at[k]);
                high = fmax(high, m[j].at[k]);
                if (j != i && m[j].at[k] <= m[i].at[k])
                    below = fmax(below, m[j].at[k]);
                if (j != i && m[j].at[k] >= m[i].at[k])
                    above = fmin(above, m[j].at[k]);
            }
            if (high > low)
                m[i].room += (above - below) / (high - low);
        }
    }
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;

    if (a->rank != b->rank)
        return a->rank - b->rank;
    if (a->room != b->room)
        return a->room > b->room ? -1 : 1;
    return (a->v > b->v) - (a->v < b->v);
}

/* ---- NSGA-II ----------------------------------------------------------------------
 */

static const struct member *tournament(struct method_run *r, const struct member *m,
                                       int n)
{
    const struct member *a = &m[random_below(&r->random, (uint64_t)n)],
                        *b = &m[random_below(&r->random, (uint64_t)n)];

    return compare_members(a, b) <= 0 ? a : b;
}

static void breed(struct method_run *r, const struct member *m, int n,
                  struct choices *child)
{
    const struct choices *a = tournament(r, m, n)->v->choices,
                         *b = tournament(r, m, n)->v->choices;

    choices_copy(child, a);
    for (int i = 0; i < child->n_units; i++)
        if (random_unit(&r->random) < 0.3)
            child->units[i] = b->units[i];
    if (random_below(&r->random, 2)) {
        child->temperature = b->temperature;
        child->alpha = b->alpha;
        child->update = b->update;
    }
    method_mutate(r, 2, child);
}

/* The best POPULATION of n. */
static int survive(struct member *m, int n)
{
    rank_all(m, n);
    measure_room(m, n);
    qsort(m, (size_t)n, sizeof *m, compare_members);
    return n < POPULATION ? n : POPULATION;
}

void method_genetic(struct method_run *r)
{
    struct choices *c = choices_create(r->arena, r->p->n_units);
    struct member m[2 * POPULATION];
    int n = 0;

    for (int known = 0; !evaluator_is_over(r->e) && known < 10000;) {
        const int before = r->e->n;

        if (n < POPULATION && before < POPULATION)
            walk_random(r->walk, &r->random, c);
        else
            breed(r, m, n < POPULATION ? n : POPULATION, c);

        const struct evaluation *v = evaluator_run(r->e, c, r->name);

        known = r->e->n > before ? 0 : known + 1;
        if (known || !v)
            continue;
        m[n++] = member_of(r, v);
        if (n == 2 * POPULATION || n == POPULATION)
            n = survive(m, n);
    }
}

/* ---- tree-structured Parzen estimator ---------------------------------------------
 */

enum { CANDIDATES = 24, FIRST_RANDOM = 20 };

#define GOOD 0.2 /* share of the plans that count as good */

/* How often each action was chosen, plus one. */
struct counts {
    double (*pattern)[CHOICE_PATTERNS], (*ratio)[CHOICE_RATIOS], (*bits)[CHOICE_BITS];
    double update[CHOICE_UPDATES];
};

static struct counts create_counts(struct arena *a, int n_units)
{
    return (struct counts){
        arena_alloc_array(a, (size_t)n_units, sizeof(double[CHOICE_PATTERNS])),
        arena_alloc_array(a, (size_t)n_units, sizeof(double[CHOICE_RATIOS])),
        arena_alloc_array(a, (size_t)n_units, sizeof(double[CHOICE_BITS])),
        {0}};
}

static void fill(double *at, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = 1;
}

static void count(struct counts *k, const struct member *m, int n, int n_units)
{
    for (int i = 0; i < n_units; i++) {
        fill(k->pattern[i], CHOICE_PATTERNS);
        fill(k->ratio[i], CHOICE_RATIOS);
        fill(k->bits[i], CHOICE_BITS);
    }
    fill(k->update, CHOICE_UPDATES);
    for (int j = 0; j < n; j++) {
        const struct choices *c = m[j].v->choices;

        for (int i = 0; i < n_units; i++) {
            k->pattern[i][c->units[i].pattern]++;
            k->ratio[i][c->units[i].ratio]++;
            k->bits[i][c->units[i].bits]++;
        }
        k->update[c->update]++;
    }
}

static int draw(struct random *random, const double *weights, int n)
{
    double sum = 0, u;
    int i = 0;

    for (int k = 0; k < n; k++)
        sum += weights[k];
    for (u = sum * random_unit(random); i + 1 < n && u >= weights[i]; i++)
        u -= weights[i];
    return i;
}

/* log of the share that `action` has. */
static double log_share(const double *weights, int n, int action)
{
    double sum = 0;

    for (int k = 0; k < n; k++)
        sum += weights[k];
    return log(weights[action] / sum);
}

static double log_density(const struct counts *k, const struct choices *c)
{
    double sum = log_share(k->update, CHOICE_UPDATES, c->update);

    for (int i = 0; i < c->n_units; i++)
        sum += log_share(k->pattern[i], CHOICE_PATTERNS, c->units[i].pattern)
               + log_share(k->ratio[i], CHOICE_RATIOS, c->units[i].ratio)
               + log_share(k->bits[i], CHOICE_BITS, c->units[i].bits);
    return sum;
}

static void draw_plan(struct method_run *r, const struct counts *good,
                      const struct choices *near, struct choices *c)
{
    for (int i = 0; i < c->n_units; i++) {
        c->units[i].pattern =
            (uint8_t)draw(&r->random, good->pattern[i], CHOICE_PATTERNS);
        c->units[i].ratio = (uint8_t)draw(&r->random, good->ratio[i], CHOICE_RATIOS);
        c->units[i].bits = (uint8_t)draw(&r->random, good->bits[i], CHOICE_BITS);
    }
    c->update = draw(&r->random, good->update, CHOICE_UPDATES);
    c->temperature =
        fmin(fmax(near->temperature + 4 * random_unit(&r->random) - 2, 1), 20);
    c->alpha = fmin(fmax(near->alpha + 0.2 * random_unit(&r->random) - 0.1, 0), 1);
    walk_repair(r->walk, c, c);
}

void method_bayes(struct method_run *r)
{
    const int n_units = r->p->n_units;
    struct choices *c = choices_create(r->arena, n_units),
                   *best = choices_create(r->arena, n_units);
    struct member *m = arena_new_array(r->arena, struct member, r->e->budget);
    struct counts good = create_counts(r->arena, n_units),
                  other = create_counts(r->arena, n_units);

    for (int known = 0; !evaluator_is_over(r->e) && known < 1000;) {
        const int before = r->e->n;
        double highest = -INFINITY;

        if (before < FIRST_RANDOM)
            walk_random(r->walk, &r->random, best);
        else {
            for (int i = 0; i < before; i++)
                m[i] = member_of(r, &r->e->all[i]);
            rank_all(m, before);
            measure_room(m, before);
            qsort(m, (size_t)before, sizeof *m, compare_members);

            const int n_good = (int)ceil(GOOD * before);

            count(&good, m, n_good, n_units);
            count(&other, m + n_good, before - n_good, n_units);
            for (int i = 0; i < CANDIDATES; i++) {
                const struct member *near =
                    &m[random_below(&r->random, (uint64_t)n_good)];

                draw_plan(r, &good, near->v->choices, c);

                const double score = log_density(&good, c) - log_density(&other, c);

                if (score > highest) {
                    highest = score;
                    choices_copy(best, c);
                }
            }
        }
        if (known > 20) /* a plan that is known: change it */
            method_mutate(r, 3, best);
        evaluator_run(r->e, best, r->name);
        known = r->e->n > before ? 0 : known + 1;
    }
}
