/* SPDX-License-Identifier: Apache-2.0 */
/* What several methods of search use: see method_tools.h. */
#include "search/method_tools.h"

#include <math.h>
#include <string.h>

#include "search/bits_programme.h"

double method_score(const struct method_run *r, const struct evaluation *v)
{
    double missed = 0;

    for (int k = 0; k < COST_COUNT; k++)
        missed += fmax(v->result.costs[k] / r->p->budgets[k] - 1, 0);
    return reward_of(&r->o->reward, r->p, v->choices, &v->result)
           - (v->feasible ? 0 : 1e3 + 1e3 * missed);
}

/* ---- neighbours -------------------------------------------------------------------
 */

int method_next(uint32_t mask, int at, int direction)
{
    for (int i = at + direction; i >= 0 && i < 32; i += direction)
        if (mask >> i & 1)
            return i;
    return -1;
}

/* The next one up or down, or now and then any. */
static uint8_t step(struct random *random, uint32_t mask, int at, int n)
{
    const int to = method_next(mask, at, random_below(random, 2) ? 1 : -1);

    return (uint8_t)(to < 0 || random_below(random, 10) < 3
                         ? (int)random_below(random, (uint64_t)n)
                         : to);
}

static void change_one(struct method_run *r, struct choices *c)
{
    struct random *random = &r->random;
    const int unit = (int)random_below(random, (uint64_t)c->n_units);
    struct choice *const u = &c->units[unit];
    const uint64_t whole = (uint64_t)(r->p->trains + r->p->is_deployed);

    if (whole && random_below(random, (uint64_t)c->n_units + whole) < whole) {
        c->update = (int)random_below(random, CHOICE_UPDATES);
        c->temperature =
            fmin(fmax(c->temperature + 8 * random_unit(random) - 4, 1), 20);
        c->alpha = fmin(fmax(c->alpha + 0.4 * random_unit(random) - 0.2, 0), 1);
        return;
    }
    switch (random_below(random, 5)) {
    case 0:
        u->pattern = (uint8_t)random_below(random, CHOICE_PATTERNS);
        break;
    case 1:
    case 2:
        u->bits = step(random, r->p->units[unit].bits, u->bits, CHOICE_BITS);
        break;
    default:
        u->ratio = step(random, r->p->units[unit].ratios, u->ratio, CHOICE_RATIOS);
    }
}

void method_mutate(struct method_run *r, int n, struct choices *c)
{
    const int changes = 1 + (int)random_below(&r->random, (uint64_t)n);

    for (int i = 0; i < changes; i++)
        change_one(r, c);
    walk_repair(r->walk, c, c);
}

void method_climb(struct method_run *r, struct choices *from)
{
    struct choices *c = choices_create(r->arena, from->n_units);
    const struct evaluation *v = evaluator_run(r->e, from, r->name);
    double best = v ? method_score(r, v) : -INFINITY;
    int idle = 0; /* tries in a row that were known already */

    while (!evaluator_is_over(r->e)) {
        const int before = r->e->n;

        choices_copy(c, from);
        method_mutate(r, 3 + idle / 100, c);
        v = evaluator_run(r->e, c, r->name);
        idle = r->e->n > before ? 0 : idle + 1;
        if (v && method_score(r, v) > best) {
            best = method_score(r, v);
            choices_copy(from, c);
        }
        if (idle > 20000) /* the neighbourhood, and then all there is, is known */
            return;
    }
}

/* ---- single changes ---------------------------------------------------------------
 */

/* Shares that leave different numbers of channels.  A leader's count for its group. */
static uint32_t distinct_ratios(const struct search_problem *p, int unit)
{
    const struct search_unit *u = &p->units[unit];

    return u->leader == unit ? choice_distinct_ratios(u->ratios, u->channels, u->tile)
                             : 1;
}

/* A share of channels or a width, the other as in the model. */
static bool allows(const struct search_problem *p, int unit, int ratio, int bits)
{
    return ratio ? distinct_ratios(p, unit) >> ratio & 1
                 : p->units[unit].bits >> bits & 1;
}

/* Loss of the plans in which one unit alone has this level, into loss[n_units]; NAN
 * where it is not allowed or nothing is left. */
static void measure(struct method_run *r, int ratio, int bits, double *loss)
{
    struct arena *a = arena_create();
    const int n = r->p->n_units;
    const struct choices **plans = arena_new_array(a, const struct choices *, n);
    int *units = arena_new_array(a, int, n), n_plans = 0;

    for (int i = 0; i < n; i++) {
        struct choices *c;

        loss[i] = NAN;
        if (!allows(r->p, i, ratio, bits))
            continue;
        c = choices_create(a, n);
        c->units[i].ratio = (uint8_t)ratio;
        c->units[i].bits = (uint8_t)bits;
        plans[n_plans] = c;
        units[n_plans++] = i;
    }
    evaluator_expect(r->e, plans, n_plans);
    for (int k = 0; k < n_plans; k++) {
        const struct evaluation *v = evaluator_run(r->e, plans[k], r->name);

        loss[units[k]] = v ? fmax(v->result.loss, 0) : NAN;
    }
    arena_destroy(a);
}

/* Between known values linearly, above the last known one like the square. */
static void fill_gaps(double *loss, int n)
{
    int known = 0;

    for (int i = 1; i < n; i++) {
        if (isnan(loss[i]))
            continue;
        for (int k = known + 1; k < i; k++)
            loss[k] = loss[known] + (loss[i] - loss[known]) * (k - known) / (i - known);
        loss[i] = fmax(loss[i], loss[known]);
        known = i;
    }
    for (int k = known + 1; k < n; k++)
        loss[k] = known ? loss[known] * k * k / (known * known) : 0.01 * k * k;
}

enum { IN_8 = 1, IN_16 = 2 }; /* of choice_bits */

/* Where units may have 32 bits, too. */
static bool has_halves(const struct search_problem *p)
{
    for (int i = 0; i < p->n_units; i++)
        if (p->units[i].bits >> IN_16 & 1 && p->units[i].bits >> (CHOICE_BITS - 1) & 1)
            return true;
    return false;
}

/* Halves differ from floats by 2^-12 or less and are not worth an evaluation of each
 * unit: squares of their errors are some hundredths of those in 8 bits. */
static double loss_of_halves(double loss_of_8)
{
    const double finer = 256, unknown = 1e-5;

    return isnan(loss_of_8) ? unknown : loss_of_8 / finer;
}

struct method_effects method_measure_effects(struct method_run *r)
{
    /* Widths first, then ratios from the middle outwards. */
    static const int order[CHOICE_RATIOS - 1] = {5, 2, 8, 3, 7, 1, 4, 6, 9};
    const int n = r->p->n_units, budget = r->e->budget,
              most = r->e->n + (int)(r->o->share_of_effects * budget),
              widest = CHOICE_BITS - 1;
    struct method_effects f = {arena_alloc_array(r->arena, (size_t)n, sizeof *f.ratio),
                               arena_alloc_array(r->arena, (size_t)n, sizeof *f.bits)};

    double *loss = arena_new_array(r->arena, double, n);

    for (int i = 0; i < n; i++)
        f.ratio[i][0] = 0;
    r->e->budget = most < budget ? most : budget; /* what is known is free beyond it */
    for (int b = 0; b < widest; b++) {
        const bool guessed = b == IN_16 && has_halves(r->p);

        if (!guessed)
            measure(r, 0, b, loss);
        for (int i = 0; i < n; i++)
            f.bits[i][b] = guessed ? loss_of_halves(f.bits[i][IN_8]) : loss[i];
    }
    for (int k = 0; k < CHOICE_RATIOS - 1; k++) {
        measure(r, order[k], widest, loss);
        for (int i = 0; i < n; i++)
            f.ratio[i][order[k]] = loss[i];
    }
    if (r->e->budget
        == (most < budget ? most : budget)) /* nobody has ended the search */
        r->e->budget = budget;
    for (int i = 0; i < n; i++) {
        double narrower[CHOICE_BITS] = {0};

        for (int b = 1; b < CHOICE_BITS; b++) /* from wide to narrow */
            narrower[b] = f.bits[i][widest - b];
        fill_gaps(narrower, CHOICE_BITS);
        for (int b = 0; b < CHOICE_BITS; b++)
            f.bits[i][widest - b] = narrower[b];
        fill_gaps(f.ratio[i], CHOICE_RATIOS);
        for (int k = 1; k < CHOICE_RATIOS; k++)
            if (!allows(r->p, i, k, widest))
                f.ratio[i][k] = f.ratio[i][k - 1];
    }
    return f;
}

double method_sum_effects(const struct method_effects *f, const struct choices *c)
{
    double sum = 0;

    for (int i = 0; i < c->n_units; i++)
        sum += f->ratio[i][c->units[i].ratio] + f->bits[i][c->units[i].bits];
    return sum;
}

/* ---- the programme ----------------------------------------------------------------
 */

/* One allowed level of a unit: what it costs after an unchanged unit. */
struct level {
    struct choice choice;
    double loss, latency, bytes;
};

static const struct choice unchanged = {0, 0, CHOICE_BITS - 1};

/* Costs of the unit with its best pattern in latency. */
static struct choice best_pattern(const struct search_problem *p, int unit,
                                  struct choice c, struct choice before, double *costs)
{
    struct choice best = c;
    double least[COST_COUNT];

    for (int k = 0; k < COST_COUNT; k++)
        costs[k] = INFINITY;
    for (int k = 0; k < CHOICE_PATTERNS; k++) {
        c.pattern = (uint8_t)k;
        if (!(p->units[unit].patterns >> k & 1))
            continue;
        p->cost(p->self, unit, c, before, least);
        if (least[COST_latency] < costs[COST_latency]) {
            memcpy(costs, least, sizeof least);
            best = c;
        }
    }
    return best;
}

static bool is_beaten(const struct level *by, const struct level *l)
{
    return by->loss <= l->loss && by->latency <= l->latency && by->bytes <= l->bytes
           && (by->loss < l->loss || by->latency < l->latency || by->bytes < l->bytes);
}

/* At most BITS_MAX_LEVELS levels that no other one beats, evenly over their losses. */
static int list_levels(const struct method_run *r, const struct method_effects *f,
                       int unit, struct level *out)
{
    const struct search_unit *u = &r->p->units[unit];
    const uint32_t ratios = choice_distinct_ratios(u->ratios, u->channels, u->tile);
    struct level all[CHOICE_LEVELS];
    int n = 0, kept = 0;

    for (int l = 0; l < CHOICE_LEVELS; l++) {
        const struct choice c = choice_of_level(l);
        double costs[COST_COUNT];

        if (!(ratios >> c.ratio & 1) || !(u->bits >> c.bits & 1))
            continue;
        all[n].choice = best_pattern(r->p, unit, c, unchanged, costs);
        all[n].loss = f->ratio[unit][c.ratio] + f->bits[unit][c.bits];
        all[n].latency = costs[COST_latency];
        all[n++].bytes = costs[COST_bytes];
    }
    for (int i = 0; i < n; i++) {
        bool beaten = false;

        for (int k = 0; k < n && !beaten; k++)
            beaten = is_beaten(&all[k], &all[i]);
        if (!beaten)
            all[kept++] = all[i];
    }
    for (int i = 1; i < kept; i++) /* by loss */
        for (int k = i; k > 0 && all[k].loss < all[k - 1].loss; k--) {
            const struct level swapped = all[k];

            all[k] = all[k - 1];
            all[k - 1] = swapped;
        }

    const int most = kept < BITS_MAX_LEVELS ? kept : BITS_MAX_LEVELS;

    for (int i = 0; i < most; i++)
        out[i] = all[most > 1 ? i * (kept - 1) / (most - 1) : 0];
    return most;
}

/* Costs become whole millionths of the original's. */
static int64_t whole(double cost, double base)
{
    return (int64_t)llround(fmin(fmax(cost / base, 0) * 1e6, 1e11));
}

static int64_t whole_budget(const struct search_problem *p, enum search_cost k)
{
    return isinf(p->budgets[k]) ? BITS_NO_BUDGET
                                : (int64_t)fmax(p->budgets[k] / p->base[k] * 1e6, 1);
}

void method_solve(struct method_run *r, const struct method_effects *f,
                  struct choices *out)
{
    enum { L = BITS_MAX_LEVELS };
    const struct search_problem *p = r->p;
    const int n = p->n_units;
    struct level *levels = arena_new_array(r->arena, struct level, n * L);
    double *kl = arena_new_array(r->arena, double, n *L);
    int64_t *ns = arena_new_array(r->arena, int64_t, n *L),
            *bytes = arena_new_array(r->arena, int64_t, n *L),
            *ram = arena_new_array(r->arena, int64_t, n *L),
            *pairs = arena_new_array(r->arena, int64_t, n *L *L);

    for (int i = 0; i < n; i++) {
        const int count = list_levels(r, f, i, levels + i * L);

        for (int l = 0; l < L; l++) {
            const struct level *at = &levels[i * L + (l < count ? l : 0)];

            kl[i * L + l] = l < count ? at->loss : INFINITY;
            bytes[i * L + l] = whole(at->bytes, p->base[COST_bytes]);
            if (i == 0)
                ns[l] = whole(at->latency, p->base[COST_latency]);
            for (int before = 0; i && before < L; before++) {
                double costs[COST_COUNT];

                best_pattern(p, i, at->choice, levels[(i - 1) * L + before].choice,
                             costs);
                pairs[(i * L + before) * L + l] =
                    whole(costs[COST_latency], p->base[COST_latency]);
            }
        }
    }

    const struct bits_problem q = {.n_units = n,
                                   .n_levels = L,
                                   .kl = kl,
                                   .ns = ns,
                                   .bytes = bytes,
                                   .ram = ram,
                                   .conversion_ns = pairs,
                                   .max_ns = whole_budget(p, COST_latency),
                                   .max_bytes = whole_budget(p, COST_bytes),
                                   .max_ram = BITS_NO_BUDGET,
                                   .max_states = 1 << 16};
    const struct bits_answer answer = bits_programme(r->arena, &q);

    for (int i = 0; answer.levels && i < n; i++)
        out->units[i] = levels[i * L + answer.levels[i]].choice;
    walk_repair(r->walk, out, out);
}
