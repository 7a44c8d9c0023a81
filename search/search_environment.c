/* SPDX-License-Identifier: Apache-2.0 */
/* A search problem as the controllers see it: see search_environment.h. */
#include "search/search_environment.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* How much less likely a choice is than the prior's: per ratio step, and for other bits
 * or another pattern. */
#define PRIOR_RATIO_STEP (-0.8F)
#define PRIOR_OTHER      (-2.0F)

static bool is_single(uint32_t mask)
{
    return (mask & (mask - 1)) == 0;
}

/* No unit leaves the agent of its units a choice. */
static bool is_settled(const struct search_problem *p, enum choice_agent agent)
{
    for (int i = 0; i < p->n_units; i++) {
        const struct search_unit *u = &p->units[i];
        const uint32_t mask =
            agent == AGENT_fusion ? u->patterns
            : agent == AGENT_pruning
                ? choice_distinct_ratios(u->ratios, u->channels, u->tile)
                : u->bits;

        if (!is_single(mask))
            return false;
    }
    return true;
}

const char *search_inert(const struct search_problem *p, enum choice_agent agent)
{
    if (agent == AGENT_fusion && is_settled(p, agent))
        return "all that can be fused always is";
    if (agent == AGENT_pruning && is_settled(p, agent))
        return "no unit has more channels than a tile that may go";
    if (agent == AGENT_quantization && is_settled(p, agent))
        return "no unit has an integer form";
    if (agent == AGENT_distillation && !p->trains)
        return "nothing is trained";
    if (agent == AGENT_update && !p->is_deployed)
        return "no older version is deployed";
    return NULL;
}

/* ---- inputs -----------------------------------------------------------------------
 */

static float *put(float *to, const float *from, int n)
{
    if (from)
        memcpy(to, from, (size_t)n * sizeof *to);
    else
        memset(to, 0, (size_t)n * sizeof *to);
    return to + n;
}

static const float *features_of(const struct search_problem *p, int unit)
{
    return unit >= 0 && unit < p->n_units ? p->units[unit].features : NULL;
}

static float *put_choice(float *to, const struct choice *c)
{
    put(to, NULL, CHOICE_PATTERNS + 1 + CHOICE_BITS);
    if (c) {
        to[c->pattern] = 1;
        to[CHOICE_PATTERNS] = (float)choice_ratio(c->ratio);
        to[CHOICE_PATTERNS + 1 + c->bits] = 1;
    }
    return to + CHOICE_PATTERNS + 1 + CHOICE_BITS;
}

static void fill_inputs(const struct search_episode *e, float *to)
{
    const struct search_environment *s = e->of;
    const struct search_problem *p = s->problem;
    const int unit = walk_unit(e->walk);
    const double done = unit ? unit : 1;
    float *const end = to + SEARCH_INPUTS;

    for (int d = 0; d <= 2; d++)
        to = put(to, features_of(p, unit + (d == 1 ? -1 : d == 2)),
                 SEARCH_UNIT_FEATURES);
    to = put(to, s->mean, SEARCH_UNIT_FEATURES);
    to = put(to, s->most, SEARCH_UNIT_FEATURES);
    to = put_choice(to, unit ? &walk_choices(e->walk)->units[unit - 1] : NULL);
    *to++ = (float)(e->sum_ratio / done);
    *to++ = (float)(e->sum_bits / done / 32);
    *to++ = (float)(e->n_fused / done);
    for (enum search_cost k = 0; k < COST_COUNT; k++) {
        const double whole = isinf(p->budgets[k]) ? p->base[k] : p->budgets[k];

        *to++ = (float)(walk_costs(e->walk)[k] / whole);
        *to++ = (float)(walk_least(e->walk, k) / whole);
    }
    *to++ = (float)s->reward.w_loss;
    for (int k = 0; k < COST_COUNT; k++)
        *to++ = (float)s->reward.w[k];
    *to++ = (float)s->reward.w_update;
    *to++ = (float)unit / (float)p->n_units;
    *to++ = unit == p->n_units;
    to = put(to, p->device, (int)(end - to));
    assert(to == end && SEARCH_DEVICE_FEATURES >= 14);
}

/* ---- the prior --------------------------------------------------------------------
 */

static const float *prior_for(struct search_episode *e, enum choice_agent agent)
{
    const struct search_environment *s = e->of;
    const int unit = walk_unit(e->walk);

    if (!s->prior || unit >= s->problem->n_units)
        return NULL;

    const struct choice at = s->prior->units[unit];

    for (int a = 0; a < choice_n_actions(agent); a++)
        e->prior[a] =
            agent == AGENT_pruning
                ? PRIOR_RATIO_STEP * (float)(a > at.ratio ? a - at.ratio : at.ratio - a)
            : a == (agent == AGENT_fusion ? at.pattern : at.bits) ? 0
                                                                  : PRIOR_OTHER;
    return e->prior;
}

/* ---- the environment --------------------------------------------------------------
 */

static void *episode(void *problem, int index)
{
    struct search_environment *s = problem;

    assert(index < SEARCH_EPISODES);
    return &s->episodes[index];
}

static void start(void *self, uint64_t seed)
{
    struct search_episode *e = self;

    (void)seed;
    walk_begin(e->walk);
    e->sum_ratio = e->sum_bits = e->n_fused = 0;
}

static void ask(void *self, struct decision *d)
{
    struct search_episode *e = self;
    enum choice_agent agent;

    walk_asks(e->walk, &agent);
    fill_inputs(e, d->observation);
    memcpy(d->state, d->observation, SEARCH_INPUTS * sizeof *d->state);
    d->agent = (int)agent;
    d->opens_unit = agent == AGENT_fusion || agent == AGENT_distillation
                    || (agent == AGENT_update && !e->of->problem->trains);
    if (agent == AGENT_distillation)
        return;
    d->legal = walk_legal(e->walk);
    d->prior = prior_for(e, agent);
}

static double judge(struct search_environment *s, const struct choices *c)
{
    struct search_result result;

    if (!s->judge(s->judge_arg, c, &result))
        return s->last_reward;
    for (int k = 0; k < COST_COUNT; k++)
        s->sum_costs[k] += result.costs[k];
    s->n_judged++;
    return s->last_reward = reward_of(&s->reward, s->problem, c, &result);
}

static struct outcome act(void *self, const struct action *a)
{
    struct search_episode *e = self;
    const int unit = walk_unit(e->walk);
    enum choice_agent agent;

    walk_asks(e->walk, &agent);
    if (agent == AGENT_distillation)
        walk_take_mix(e->walk, head_to_temperature(a->u[0]), head_to_alpha(a->u[1]));
    else
        walk_take(e->walk, a->choice);
    if (walk_unit(e->walk) > unit) {
        const struct choice c = walk_choices(e->walk)->units[unit];

        e->sum_ratio += choice_ratio(c.ratio);
        e->sum_bits += choice_bits[c.bits];
        e->n_fused += c.pattern != 0;
    }
    if (walk_asks(e->walk, &agent))
        return (struct outcome){0, EPISODE_RUNS};
    return (struct outcome){judge(e->of, walk_choices(e->walk)), EPISODE_TERMINATED};
}

/* A plan ends with how updates are sent. */
static void foresee(void *problem, void *const *episodes, const struct action *actions,
                    int n)
{
    const struct search_environment *s = problem;
    const struct choices *plans[SEARCH_EPISODES];
    int n_plans = 0;

    for (int i = 0; i < n; i++) {
        struct search_episode *const e = episodes[i];
        enum choice_agent agent;

        if (!walk_asks(e->walk, &agent) || agent != AGENT_update)
            continue;
        choices_copy(e->foreseen, walk_choices(e->walk));
        e->foreseen->update = actions[i].choice;
        plans[n_plans++] = e->foreseen;
    }
    if (s->expect && n_plans)
        s->expect(s->judge_arg, plans, n_plans);
}

static void unlock(void *problem, double share)
{
    struct search_environment *s = problem;

    for (int i = 0; i < SEARCH_EPISODES; i++)
        walk_lock(s->episodes[i].walk, (int)ceil(share * s->problem->n_units));
}

static void summarise(struct search_environment *s)
{
    for (int f = 0; f < SEARCH_UNIT_FEATURES; f++) {
        s->most[f] = s->problem->units[0].features[f];
        for (int i = 0; i < s->problem->n_units; i++) {
            const float x = s->problem->units[i].features[f];

            s->mean[f] += x / (float)s->problem->n_units;
            s->most[f] = x > s->most[f] ? x : s->most[f];
        }
    }
}

struct search_environment *search_environment_create(struct arena *a,
                                                     const struct search_problem *p)
{
    struct search_environment *s = arena_new(a, struct search_environment);
    const struct walk *w = walk_create(a, p);

    s->problem = p;
    s->reward = reward_defaults(REWARD_LOG);
    for (int i = 0; i < SEARCH_EPISODES; i++) {
        s->episodes[i].of = s;
        s->episodes[i].walk = walk_copy(a, w);
        s->episodes[i].foreseen = choices_create(a, p->n_units);
    }
    summarise(s);
    return s;
}

struct environment search_environment_of(struct search_environment *s)
{
    struct environment e = {
        .n_agents = AGENT_COUNT,
        .n_observation = SEARCH_INPUTS,
        .n_state = SEARCH_INPUTS,
        .problem = s,
        .episode = episode,
        .start = start,
        .ask = ask,
        .act = act,
        .foresee = foresee,
        .unlock = unlock,
    };

    for (int i = 0; i < AGENT_COUNT; i++)
        e.agents[i] = (struct environment_agent){
            choice_agent_names[i], choice_n_actions((enum choice_agent)i)};
    return e;
}
