/* SPDX-License-Identifier: Apache-2.0 */
/* Going through the units of a problem: see walk.h. */
#include "search/walk.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "plan/plan.h"

/* What does not change while walking: [n_units][own level][CHOICE_LEVELS of the unit
 * before] per cost, the least over patterns; INFINITY: not allowed. */
struct walk_tables {
    double *least[COST_COUNT];
    uint32_t *ratios; /* [n_units]: allowed and distinct */
    bool *leads;      /* [n_units]: other units have its ratio */
};

struct walk {
    const struct search_problem *p;
    const struct walk_tables *tables;
    double *after[COST_COUNT]; /* [n_units][CHOICE_LEVELS] */
    int *leader_ratio;         /* [n_units]: chosen; -1: not yet */
    int unlocked;
    struct choices *c;
    double costs[COST_COUNT]; /* of complete units */
    int unit;
    enum choice_agent agent;
    bool has_budget, stuck, done;
};

/* ---- tables -----------------------------------------------------------------------
 */

static int64_t pair_at(int unit, int before, int own)
{
    return ((int64_t)unit * CHOICE_LEVELS + own) * CHOICE_LEVELS + before;
}

static bool allows(uint32_t mask, int i)
{
    return mask >> i & 1;
}

static void least_over_patterns(const struct search_problem *p, int unit, int before,
                                int own, struct walk_tables *t)
{
    for (int pattern = 0; pattern < CHOICE_PATTERNS; pattern++) {
        struct choice c = choice_of_level(own);
        double costs[COST_COUNT];

        if (!allows(p->units[unit].patterns, pattern))
            continue;
        c.pattern = (uint8_t)pattern;
        p->cost(p->self, unit, c, choice_of_level(before), costs);
        for (int k = 0; k < COST_COUNT; k++) {
            double *const at = &t->least[k][pair_at(unit, before, own)];

            *at = fmin(*at, costs[k]);
        }
    }
}

static bool is_allowed(const struct search_problem *p, const uint32_t *ratios, int unit,
                       int level)
{
    const struct choice c = choice_of_level(level);

    return allows(ratios[unit], c.ratio) && allows(p->units[unit].bits, c.bits);
}

static struct walk_tables *create_tables(struct arena *a,
                                         const struct search_problem *p)
{
    struct walk_tables *t = arena_new(a, struct walk_tables);
    const int start = choice_level((struct choice){0, 0, CHOICE_BITS - 1});

    t->ratios = arena_new_array(a, uint32_t, p->n_units);
    for (int i = 0; i < p->n_units; i++)
        t->ratios[i] = choice_distinct_ratios(p->units[i].ratios, p->units[i].channels,
                                              p->units[i].tile);
    t->leads = arena_new_array(a, bool, p->n_units);
    for (int i = 0; i < p->n_units; i++)
        t->leads[p->units[i].leader] |= p->units[i].leader != i;
    for (int k = 0; k < COST_COUNT; k++) {
        t->least[k] = arena_new_array(a, double, pair_at(p->n_units, 0, 0));
        for (int64_t i = 0; i < pair_at(p->n_units, 0, 0); i++)
            t->least[k][i] = INFINITY;
    }
    for (int i = 0; i < p->n_units; i++)
        for (int before = 0; before < CHOICE_LEVELS; before++)
            for (int own = 0; own < CHOICE_LEVELS; own++)
                if ((i ? is_allowed(p, t->ratios, i - 1, before) : before == start)
                    && is_allowed(p, t->ratios, i, own))
                    least_over_patterns(p, i, before, own, t);
    return t;
}

static struct walk *create_on(struct arena *a, const struct search_problem *p,
                              const struct walk_tables *t)
{
    struct walk *w = arena_new(a, struct walk);

    w->p = p;
    w->tables = t;
    w->unlocked = p->n_units;
    for (int k = 0; k < COST_COUNT; k++) {
        w->has_budget |= !isinf(p->budgets[k]);
        w->after[k] = arena_new_array(a, double, p->n_units *CHOICE_LEVELS);
    }
    w->leader_ratio = arena_new_array(a, int, p->n_units);
    w->c = choices_create(a, p->n_units);
    return w;
}

struct walk *walk_create(struct arena *a, const struct search_problem *p)
{
    return create_on(a, p, create_tables(a, p));
}

struct walk *walk_copy(struct arena *a, const struct walk *w)
{
    return create_on(a, w->p, w->tables);
}

/* ---- the wall ---------------------------------------------------------------------
 */

static uint32_t ratios_of(const struct walk *w, int unit)
{
    const int leader = w->p->units[unit].leader, chosen = w->leader_ratio[leader];

    if (leader == unit || chosen < 0)
        return w->tables->ratios[unit];
    /* A follower of another size rounds otherwise; it keeps the nearest smaller ratio.
     */
    for (int r = chosen; r > 0; r--)
        if (allows(w->tables->ratios[unit], r))
            return UINT32_C(1) << r;
    return 1;
}

/* at[] of the levels of the unit before, by way of one of the next unit: it costs
 * pair[] after each, and what is behind it costs `rest`. */
static void go_through(bool adds, const double *pair, double rest, double *at)
{
    for (int l = 0; adds && l < CHOICE_LEVELS; l++) {
        const double cost = pair[l] + rest;

        at[l] = cost < at[l] ? cost : at[l];
    }
    for (int l = 0; !adds && l < CHOICE_LEVELS; l++) {
        const double cost = pair[l] > rest ? pair[l] : rest;

        at[l] = cost < at[l] ? cost : at[l];
    }
}

/* after[] of units from ... n_units - 1. */
static void build_wall(struct walk *w, int from)
{
    const struct search_problem *p = w->p;

    for (enum search_cost k = 0; k < COST_COUNT; k++) {
        if (isinf(p->budgets[k]))
            continue;
        for (int l = 0; l < CHOICE_LEVELS; l++)
            w->after[k][(p->n_units - 1) * CHOICE_LEVELS + l] = 0;
        for (int i = p->n_units - 2; i >= from; i--) {
            double *const at = &w->after[k][i * CHOICE_LEVELS];
            const uint32_t ratios = ratios_of(w, i + 1);

            for (int l = 0; l < CHOICE_LEVELS; l++)
                at[l] = INFINITY;
            for (int own = 0; own < CHOICE_LEVELS; own++) {
                const struct choice c = choice_of_level(own);

                if (allows(ratios, c.ratio) && allows(p->units[i + 1].bits, c.bits))
                    go_through(search_cost_adds(k),
                               &w->tables->least[k][pair_at(i + 1, 0, own)],
                               at[CHOICE_LEVELS + own], at);
            }
        }
    }
}

/* A unit that leads others opens: behind each of its ratios is another wall. */
static void open_unit(struct walk *w)
{
    double behind[COST_COUNT][CHOICE_LEVELS] = {{0}};

    if (!w->has_budget || w->unit >= w->p->n_units || !w->tables->leads[w->unit])
        return;
    for (int r = 0; r < CHOICE_RATIOS; r++) {
        if (!allows(ratios_of(w, w->unit), r))
            continue;
        w->leader_ratio[w->unit] = r;
        build_wall(w, w->unit);
        w->leader_ratio[w->unit] = -1;
        for (int k = 0; k < COST_COUNT; k++)
            memcpy(&behind[k][r * CHOICE_BITS],
                   &w->after[k][w->unit * CHOICE_LEVELS + r * CHOICE_BITS],
                   CHOICE_BITS * sizeof(double));
    }
    for (int k = 0; k < COST_COUNT; k++)
        memcpy(&w->after[k][w->unit * CHOICE_LEVELS], behind[k], sizeof behind[k]);
}

static struct choice choice_before(const struct walk *w, int unit)
{
    return unit ? w->c->units[unit - 1] : (struct choice){0, 0, CHOICE_BITS - 1};
}

/* The largest ratio of cost to budget that is possible when this unit gets the choice.
 */
static double worst_share(const struct walk *w, struct choice own)
{
    const struct search_problem *p = w->p;
    double costs[COST_COUNT], worst = 0;

    p->cost(p->self, w->unit, own, choice_before(w, w->unit), costs);
    for (enum search_cost k = 0; k < COST_COUNT; k++) {
        if (isinf(p->budgets[k]))
            continue;

        const double so_far = search_cost_join(k, w->costs[k], costs[k]),
                     after = w->after[k][w->unit * CHOICE_LEVELS + choice_level(own)];

        worst = fmax(worst, search_cost_join(k, so_far, after) / p->budgets[k]);
    }
    return worst;
}

/* ---- what is legal ----------------------------------------------------------------
 */

static bool has_sum(int pattern)
{
    return pattern == PATTERN_conv_bn_add || pattern == PATTERN_conv_bn_add_relu;
}

static uint32_t bits_of(const struct walk *w, int pattern)
{
    const struct search_unit *u = &w->p->units[w->unit];

    if (has_sum(pattern) && u->joins >= 0)
        return u->bits & UINT32_C(1) << w->c->units[u->joins].bits;
    return u->bits;
}

/* The least worst_share over what is still open once the agent has taken `action`. */
static double best_share(const struct walk *w, enum choice_agent agent, int action)
{
    struct choice c = w->c->units[w->unit];
    const uint32_t ratios = agent == AGENT_fusion    ? ratios_of(w, w->unit)
                            : agent == AGENT_pruning ? UINT32_C(1) << action
                                                     : UINT32_C(1) << c.ratio;
    double best = INFINITY;

    if (agent == AGENT_fusion)
        c.pattern = (uint8_t)action;

    const uint32_t bits =
        agent == AGENT_quantization ? UINT32_C(1) << action : bits_of(w, c.pattern);

    for (int r = 0; r < CHOICE_RATIOS; r++)
        for (int b = 0; allows(ratios, r) && b < CHOICE_BITS; b++) {
            if (!allows(bits, b))
                continue;
            c.ratio = (uint8_t)r;
            c.bits = (uint8_t)b;
            best = fmin(best, worst_share(w, c));
        }
    return best;
}

/* Without those that would leave the unit no width. */
static uint32_t allowed_patterns(const struct walk *w)
{
    uint32_t patterns = w->p->units[w->unit].patterns;

    for (int i = 0; i < CHOICE_PATTERNS; i++)
        if (!bits_of(w, i))
            patterns &= ~(UINT32_C(1) << i);
    return patterns;
}

static uint32_t allowed_actions(const struct walk *w)
{
    switch (w->agent) {
    case AGENT_fusion:
        return allowed_patterns(w);
    case AGENT_pruning:
        return ratios_of(w, w->unit);
    case AGENT_quantization:
        return bits_of(w, w->c->units[w->unit].pattern);
    case AGENT_update:
        return w->p->is_deployed ? choice_distinct_updates() : 1;
    case AGENT_distillation:
    case AGENT_COUNT:
        break;
    }
    return 1;
}

/* Of the allowed actions those in front of the wall; when there is none, the one that
 * breaks budgets least. */
static uint64_t before_wall(const struct walk *w, uint32_t allowed, bool *stuck)
{
    double best = INFINITY;
    int closest = 0;
    uint64_t legal = 0;

    for (int a = 0; a < choice_n_actions(w->agent); a++) {
        if (!allows(allowed, a))
            continue;

        const double share = best_share(w, w->agent, a);

        if (share <= 1 + 1e-9)
            legal |= UINT64_C(1) << a;
        if (share < best) {
            best = share;
            closest = a;
        }
    }
    *stuck = !legal;
    return legal ? legal : UINT64_C(1) << closest;
}

uint64_t walk_legal(struct walk *w)
{
    const uint32_t allowed = allowed_actions(w);
    bool stuck = false;
    uint64_t legal = allowed;

    assert(!w->done && allowed);
    if (w->unit < w->p->n_units && w->has_budget) {
        legal = before_wall(w, allowed, &stuck);
        w->stuck |= stuck;
    }
    if (w->unit < w->p->n_units && w->unit >= w->unlocked)
        legal = w->agent == AGENT_quantization
                    ? UINT64_C(1) << (63 - __builtin_clzll(legal)) /* widest */
                    : legal & -legal;                              /* least */
    return legal;
}

/* ---- walking ----------------------------------------------------------------------
 */

void walk_begin(struct walk *w)
{
    for (int i = 0; i < w->p->n_units; i++)
        w->leader_ratio[i] = -1;
    for (int k = 0; k < COST_COUNT; k++)
        w->costs[k] = 0;
    w->unit = 0;
    w->agent = AGENT_fusion;
    w->stuck = w->done = false;
    build_wall(w, 0);
    open_unit(w);
}

bool walk_asks(const struct walk *w, enum choice_agent *agent)
{
    *agent = w->agent;
    return !w->done;
}

int walk_unit(const struct walk *w)
{
    return w->unit;
}

void walk_lock(struct walk *w, int n)
{
    w->unlocked = n;
}

static void complete_unit(struct walk *w)
{
    double costs[COST_COUNT];

    w->p->cost(w->p->self, w->unit, w->c->units[w->unit], choice_before(w, w->unit),
               costs);
    for (enum search_cost k = 0; k < COST_COUNT; k++)
        w->costs[k] = search_cost_join(k, w->costs[k], costs[k]);
    w->unit++;
    w->agent = w->unit < w->p->n_units ? AGENT_fusion
               : w->p->trains          ? AGENT_distillation
                                       : AGENT_update;
    open_unit(w);
}

void walk_take(struct walk *w, int action)
{
    struct choice *const c = w->c->units + (w->unit < w->p->n_units ? w->unit : 0);

    switch (w->agent) {
    case AGENT_fusion:
        c->pattern = (uint8_t)action;
        w->agent = AGENT_pruning;
        break;
    case AGENT_pruning:
        c->ratio = (uint8_t)action;
        w->leader_ratio[w->unit] = action;
        if (w->tables->leads[w->unit])
            build_wall(w, w->unit);
        w->agent = AGENT_quantization;
        break;
    case AGENT_quantization:
        c->bits = (uint8_t)action;
        complete_unit(w);
        break;
    case AGENT_update:
        w->c->update = action;
        w->done = true;
        break;
    case AGENT_distillation: /* takes a mix */
    case AGENT_COUNT:
        assert(false);
    }
}

void walk_take_mix(struct walk *w, double temperature, double alpha)
{
    assert(w->agent == AGENT_distillation);
    w->c->temperature = temperature;
    w->c->alpha = alpha;
    w->agent = AGENT_update;
}

const struct choices *walk_choices(const struct walk *w)
{
    return w->c;
}

const double *walk_costs(const struct walk *w)
{
    return w->costs;
}

double walk_least(const struct walk *w, enum search_cost k)
{
    double least = INFINITY;

    if (isinf(w->p->budgets[k]) || w->unit >= w->p->n_units)
        return 0;
    if (w->unit)
        return w->after[k][(w->unit - 1) * CHOICE_LEVELS
                           + choice_level(w->c->units[w->unit - 1])];

    const int start = choice_level((struct choice){0, 0, CHOICE_BITS - 1});

    for (int own = 0; own < CHOICE_LEVELS; own++)
        if (is_allowed(w->p, w->tables->ratios, 0, own))
            least = fmin(
                least, search_cost_join(k, w->tables->least[k][pair_at(0, start, own)],
                                        w->after[k][own]));
    return least;
}

bool walk_is_stuck(const struct walk *w)
{
    return w->stuck;
}

/* ---- whole plans ------------------------------------------------------------------
 */

/* The set bit nearest to `wanted`; of two, the lower one. */
static int nearest_bit(uint64_t mask, int wanted)
{
    for (int d = 0;; d++) {
        if (wanted - d >= 0 && mask >> (wanted - d) & 1)
            return wanted - d;
        if (wanted + d < 64 && mask >> (wanted + d) & 1)
            return wanted + d;
    }
}

static int action_of(const struct choices *c, int unit, enum choice_agent agent)
{
    return agent == AGENT_update    ? c->update
           : agent == AGENT_fusion  ? c->units[unit].pattern
           : agent == AGENT_pruning ? c->units[unit].ratio
                                    : c->units[unit].bits;
}

void walk_repair(struct walk *w, const struct choices *from, struct choices *out)
{
    enum choice_agent agent;

    walk_begin(w);
    while (walk_asks(w, &agent))
        if (agent == AGENT_distillation)
            walk_take_mix(w, from->temperature, from->alpha);
        else
            walk_take(w, nearest_bit(walk_legal(w), action_of(from, w->unit, agent)));
    choices_copy(out, w->c);
}

static int random_bit(uint64_t mask, struct random *random)
{
    int left = (int)random_below(random, (uint64_t)__builtin_popcountll(mask));

    while (left-- > 0)
        mask &= mask - 1;
    return __builtin_ctzll(mask);
}

void walk_random(struct walk *w, struct random *random, struct choices *out)
{
    enum choice_agent agent;

    walk_begin(w);
    while (walk_asks(w, &agent))
        if (agent == AGENT_distillation)
            walk_take_mix(w, 1 + 19 * random_unit(random), random_unit(random));
        else
            walk_take(w, random_bit(walk_legal(w), random));
    choices_copy(out, w->c);
}
