/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of search: see method.h.  The short ones are here. */
#include "search/method.h"

#include <math.h>
#include <stdlib.h>

#include "search/agents/noise.h"
#include "search/method_tools.h"

const char *const method_names[] = {
#define METHOD(name, about) #name,
#include "search/methods.def"
    NULL};

const char *const method_abouts[] = {
#define METHOD(name, about) about,
#include "search/methods.def"
    NULL};

struct method_options method_defaults(void)
{
    return (struct method_options){.reward = reward_defaults(REWARD_LOG),
                                   .share_of_effects = 0.4,
                                   .warm = true,
                                   .imagined = 8,
                                   .multiplier_rate = 0.05,
                                   .multiplier_most = 10};
}

void method_run(enum method m, struct evaluator *e, const struct method_options *o,
                uint64_t seed)
{
    static void (*const methods[])(struct method_run *) = {
#define METHOD(name, about) method_##name,
#include "search/methods.def"
    };
    struct arena *a = arena_create();
    struct method_run r = {.e = e,
                           .p = e->problem,
                           .o = o,
                           .walk = walk_create(a, e->problem),
                           .random = noise_stream(seed, (uint64_t)m),
                           .arena = a,
                           .name = method_names[m]};

    methods[m](&r);
    arena_destroy(a);
}

void method_random(struct method_run *r)
{
    struct choices *c = choices_create(r->arena, r->p->n_units);

    for (int known = 0; !evaluator_is_over(r->e) && known < 10000;) {
        const int before = r->e->n;

        walk_random(r->walk, &r->random, c);
        evaluator_run(r->e, c, r->name);
        known = r->e->n > before ? 0 : known + 1;
    }
}

/* ---- programme --------------------------------------------------------------------
 */

void method_programme(struct method_run *r)
{
    const struct method_effects f = method_measure_effects(r);
    struct choices *c = choices_create(r->arena, r->p->n_units);

    method_solve(r, &f, c);
    method_climb(r, c);
}

/* ---- greedy -----------------------------------------------------------------------
 */

/* How far the plan is from its budgets: 0 inside. */
static double excess(const struct search_problem *p, const struct choices *c)
{
    double costs[COST_COUNT], sum = 0;

    search_costs(p, c, costs);
    for (int k = 0; k < COST_COUNT; k++)
        sum += fmax(costs[k] / p->budgets[k] - 1, 0);
    return sum;
}

/* The single step (a tenth more pruned, or the next narrower width) that takes away
 * most excess for its loss; false: none takes away any. */
static bool take_cheapest_step(const struct method_run *r,
                               const struct method_effects *f, struct choices *c)
{
    const double before = excess(r->p, c);
    double best = 0;
    struct choice best_choice = {0};
    int best_unit = -1;

    for (int i = 0; i < 2 * c->n_units; i++) {
        struct choice *const u = &c->units[i / 2];
        const struct choice old = *u;
        const double old_loss = method_sum_effects(f, c);

        const struct search_unit *unit = &r->p->units[i / 2];
        const int to = i % 2 ? method_next(unit->ratios, u->ratio, 1)
                             : method_next(unit->bits, u->bits, -1);

        if (to < 0)
            continue;
        *(i % 2 ? &u->ratio : &u->bits) = (uint8_t)to;

        const double gain =
            (before - excess(r->p, c)) / (method_sum_effects(f, c) - old_loss + 1e-9);

        if (gain > best) {
            best = gain;
            best_unit = i / 2;
            best_choice = *u;
        }
        *u = old;
    }
    if (best_unit >= 0)
        c->units[best_unit] = best_choice;
    return best_unit >= 0;
}

/* One unit at a time: every neighbour of its level, the best one stays. */
static void improve_units(struct method_run *r, struct choices *c)
{
    struct choices *near = choices_create(r->arena, c->n_units);
    const struct evaluation *v = evaluator_run(r->e, c, r->name);
    double best = v ? method_score(r, v) : -INFINITY;
    bool better = true;

    while (better && !evaluator_is_over(r->e)) {
        better = false;
        for (int i = 0; i < 4 * c->n_units; i++) {
            choices_copy(near, c);

            struct choice *const u = &near->units[i / 4];
            const struct search_unit *unit = &r->p->units[i / 4];
            const int direction = i % 2 ? 1 : -1,
                      to = i % 4 < 2 ? method_next(unit->ratios, u->ratio, direction)
                                     : method_next(unit->bits, u->bits, direction);

            if (to < 0)
                continue;
            *(i % 4 < 2 ? &u->ratio : &u->bits) = (uint8_t)to;
            walk_repair(r->walk, near, near);
            v = evaluator_run(r->e, near, r->name);
            if (v && method_score(r, v) > best) {
                best = method_score(r, v);
                choices_copy(c, near);
                better = true;
            }
        }
    }
}

/* All units of the width b, or of the nearest one that each may have. */
static void set_widths(const struct search_problem *p, int b, struct choices *c)
{
    for (int i = 0; i < c->n_units; i++) {
        const int below = method_next(p->units[i].bits, b + 1, -1);

        c->units[i] = (struct choice){
            0, 0, (uint8_t)(below >= 0 ? below : method_next(p->units[i].bits, b, 1))};
    }
}

/* Starts from every width in turn: a unit that alone has another width than its
 * neighbours pays for conversions, so from the widest one no single step may help. */
void method_greedy(struct method_run *r)
{
    const struct method_effects f = method_measure_effects(r);
    struct choices *c = choices_create(r->arena, r->p->n_units),
                   *best = choices_create(r->arena, r->p->n_units);
    double least_excess = INFINITY, least_loss = INFINITY;

    for (int b = 0; b < CHOICE_BITS; b++) {
        set_widths(r->p, b, c);
        while (excess(r->p, c) > 0 && take_cheapest_step(r, &f, c))
            ;

        const double over = excess(r->p, c), loss = method_sum_effects(&f, c);

        if (over < least_excess || (over == least_excess && loss < least_loss)) {
            least_excess = over;
            least_loss = loss;
            choices_copy(best, c);
        }
    }
    walk_repair(r->walk, best, best);
    improve_units(r, best);
}

/* ---- annealing --------------------------------------------------------------------
 */

void method_annealing(struct method_run *r)
{
    const double first = 0.3, last = 0.003; /* temperatures, in units of the reward */
    struct choices *at = choices_create(r->arena, r->p->n_units),
                   *to = choices_create(r->arena, r->p->n_units);
    double score = -INFINITY;

    walk_random(r->walk, &r->random, at);
    for (int known = 0; !evaluator_is_over(r->e) && known < 10000;) {
        const int before = r->e->n;
        const double t = first * pow(last / first, (double)before / r->e->budget);

        choices_copy(to, at);
        if (before)
            method_mutate(r, 2, to);

        const struct evaluation *v = evaluator_run(r->e, to, r->name);

        known = r->e->n > before ? 0 : known + 1;
        if (v && random_unit(&r->random) < exp((method_score(r, v) - score) / t)) {
            score = method_score(r, v);
            choices_copy(at, to);
        }
    }
}

/* ---- HAD-MC 1.0 -------------------------------------------------------------------
 */

static int compare_doubles(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* One technique after the other: the least sensitive units get the narrowest width,
 * the most sensitive ones the widest; then all are pruned alike until the budgets are
 * met; then everything that can be fused is.  Two shares of units are the only
 * settings; they are tried one after the other. */
void method_sequential(struct method_run *r)
{
    const struct method_effects f = method_measure_effects(r);
    const int n = r->p->n_units;
    struct choices *c = choices_create(r->arena, n);
    double *order = arena_new_array(r->arena, double, n);

    for (int i = 0; i < n; i++)
        order[i] = f.bits[i][1];
    qsort(order, (size_t)n, sizeof *order, compare_doubles);
    for (int narrow = 0; narrow <= 10; narrow++)
        for (int wide = 10; wide >= narrow; wide--) {
            const double low = order[(n - 1) * narrow / 10],
                         high = order[(n - 1) * wide / 10];

            for (int ratio = 0; ratio < CHOICE_RATIOS; ratio++) {
                for (int i = 0; i < n; i++) {
                    const double s = f.bits[i][1];

                    c->units[i].pattern = CHOICE_PATTERNS - 1;
                    c->units[i].ratio = (uint8_t)ratio;
                    c->units[i].bits = narrow && s <= low ? 0 : s <= high ? 1 : 3;
                }
                if (excess(r->p, c) == 0)
                    break;
            }
            walk_repair(r->walk, c, c);
            if (!evaluator_run(r->e, c, r->name))
                return;
        }
}
