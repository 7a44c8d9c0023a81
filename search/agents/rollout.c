/* SPDX-License-Identifier: Apache-2.0 */
/* Episodes side by side: see rollout.h.  All slots take a step, then all the next; the
 * actors see the rows of a step in batches. */
#include "search/agents/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "search/agents/noise.h"

/* Fewer rows than this go through the actor one by one. */
enum { LEAST_BATCH = 4 };

struct player *player_create(struct arena *a, struct team *t, int n_slots, int horizon,
                             uint64_t seed)
{
    struct player *p = arena_new(a, struct player);
    const struct environment *e = t->e;
    int widest = 0;

    p->team = t;
    p->states = running_create(a, e->n_state);
    p->horizon = horizon;
    p->n_slots = n_slots;
    p->slots = arena_new_array(a, struct slot, n_slots);
    p->rollout.n_slots = n_slots;
    p->rollout.first = arena_new_array(a, int, n_slots);
    for (int s = 0; s < n_slots; s++) {
        struct slot *slot = &p->slots[s];

        slot->episode = e->episode(e->problem, s);
        slot->random = noise_stream(seed, (uint64_t)s);
        slot->heard = arena_new_array(a, real, environment_n_heard(e, e->n_agents));
        slot->lstm = arena_new_array(a, real, team_n_state(t));
        slot->observation = arena_new_array(a, real, e->n_observation);
        slot->state = arena_new_array(a, real, e->n_state);
    }
    for (int k = 0; k < t->n_actors; k++) {
        widest = t->actors[k]->n_in > widest ? t->actors[k]->n_in : widest;
        for (int n = 0; n < t->actors[k]->n_policies; n++)
            p->passes[k][n] = net_pass_create(a, t->actors[k]->nets[n], n_slots);
    }
    p->x = arena_new_array(a, real, (int64_t)n_slots * widest);
    p->episodes = arena_new_array(a, void *, n_slots);
    p->actions = arena_new_array(a, struct action, n_slots);
    return p;
}

void player_destroy(struct player *p)
{
    struct rollout *r = &p->rollout;

    free(r->rows);
    free(r->observations);
    free(r->states);
    free(r->heard);
    free(r->priors);
    free(r->tail_agents);
    free(r->tail_observations);
    free(r->tail_states);
}

/* ---- the rows ---------------------------------------------------------------------
 */

static void *grown(void *array, size_t size, int64_t n)
{
    void *const larger = realloc(array, size * (size_t)n);

    if (!larger && size && n) {
        fprintf(stderr, "hadmcc: out of memory\n");
        exit(1);
    }
    return larger;
}

static void grow_rows(struct rollout *r, const struct environment *e)
{
    const int64_t cap = r->cap ? 2 * (int64_t)r->cap : 1024;

    r->rows = grown(r->rows, sizeof *r->rows, cap);
    r->observations = grown(r->observations, sizeof(real), cap * e->n_observation);
    r->states = grown(r->states, sizeof(real), cap * e->n_state);
    r->heard = grown(r->heard, sizeof(real), cap * environment_n_heard(e, e->n_agents));
    r->priors = grown(r->priors, sizeof(real), cap * HEAD_MAX_ACTIONS);
    r->cap = (int)cap;
}

static void grow_tails(struct rollout *r, const struct environment *e)
{
    const int64_t cap = r->tails_cap ? 2 * (int64_t)r->tails_cap : 64;

    r->tail_agents = grown(r->tail_agents, sizeof *r->tail_agents, cap);
    r->tail_observations =
        grown(r->tail_observations, sizeof(real), cap * e->n_observation);
    r->tail_states = grown(r->tail_states, sizeof(real), cap * e->n_state);
    r->tails_cap = (int)cap;
}

struct head_query rollout_query(const struct player *p, int row)
{
    const struct rollout_row *r = &p->rollout.rows[row];

    return (struct head_query){
        .n = p->team->e->agents[r->agent].n_actions,
        .legal = r->legal,
        .prior = p->rollout.priors + (int64_t)row * HEAD_MAX_ACTIONS,
        .prior_weight = (real)p->team->prior_weight,
        .tau = r->tau,
    };
}

static int add_row(struct player *p, int s)
{
    const struct environment *e = p->team->e;
    struct rollout *r = &p->rollout;
    struct slot *slot = &p->slots[s];
    const struct decision *d = &slot->d;
    const int heard = environment_n_heard(e, e->n_agents),
              n_actions = e->agents[d->agent].n_actions,
              actor = p->team->actor_of[d->agent];

    if (r->n_rows == r->cap)
        grow_rows(r, e);

    const int64_t at = r->n_rows++;
    real *const prior = r->priors + at * HEAD_MAX_ACTIONS;

    if (d->opens_unit) {
        memset(slot->heard, 0, (size_t)heard * sizeof(real));
        r->n_units++;
    }
    r->rows[at] = (struct rollout_row){
        .agent = d->agent,
        .slot = s,
        .unit = d->opens_unit ? r->n_units - 1 : r->rows[slot->last_row].unit,
        .opens_unit = d->opens_unit,
        .legal = d->legal,
        .next = -1,
        .tail = -1,
        .step = slot->steps[actor]++,
    };
    running_add(p->team->observations, slot->observation);
    running_add(p->states, slot->state);
    running_apply(p->team->observations, slot->observation,
                  r->observations + at * e->n_observation);
    running_apply(p->states, slot->state, r->states + at * e->n_state);
    memcpy(r->heard + at * heard, slot->heard, (size_t)heard * sizeof(real));
    memset(prior, 0, HEAD_MAX_ACTIONS * sizeof(real));
    if (d->prior)
        memcpy(prior, d->prior, (size_t)n_actions * sizeof(real));
    if (slot->last_row >= 0)
        r->rows[slot->last_row].next = (int)at;
    else
        r->first[s] = (int)at;
    slot->last_row = (int)at;
    return (int)at;
}

/* The row's action was the last before a cut; slot->d is asked for what follows. */
static void add_tail(struct player *p, struct slot *slot, struct rollout_row *row)
{
    const struct environment *e = p->team->e;
    struct rollout *r = &p->rollout;

    if (r->n_tails == r->tails_cap)
        grow_tails(r, e);
    row->tail = r->n_tails++;
    row->end = EPISODE_TRUNCATED;
    r->tail_agents[row->tail] = slot->d.agent;
    running_apply(p->team->observations, slot->observation,
                  r->tail_observations + (int64_t)row->tail * e->n_observation);
    running_apply(p->states, slot->state,
                  r->tail_states + (int64_t)row->tail * e->n_state);
}

/* ---- playing ----------------------------------------------------------------------
 */

static void ask(const struct environment *e, struct slot *slot)
{
    slot->d.observation = slot->observation;
    slot->d.state = slot->state;
    slot->d.prior = NULL;
    e->ask(slot->episode, &slot->d);
}

static void start(const struct player *p, struct slot *slot)
{
    const struct environment *e = p->team->e;

    e->start(slot->episode, random_u64(&slot->random));
    memset(slot->lstm, 0, (size_t)team_n_state(p->team) * sizeof(real));
    memset(slot->steps, 0, sizeof slot->steps);
    slot->runs = true;
    slot->sum = 0;
    slot->length = 0;
    ask(e, slot);
}

static void finish(struct player *p, struct slot *slot, struct controller_report *out)
{
    return_scale_add(&p->returns, slot->sum);
    out->best_return = out->n_finished ? fmax(out->best_return, slot->sum) : slot->sum;
    out->n_finished++;
    out->mean_return += slot->sum;
    out->mean_length += slot->length;
    slot->runs = false;
}

/* The slot has had its share of this iteration. */
static bool is_over(const struct player *p, const struct slot *slot, int n_taken)
{
    return p->horizon ? n_taken >= p->horizon && slot->d.opens_unit : !slot->runs;
}

static void decide(struct player *p, int row, const real *const *outs)
{
    struct rollout_row *r = &p->rollout.rows[row];
    struct slot *slot = &p->slots[r->slot];
    const struct actor *a = p->team->actors[p->team->actor_of[r->agent]];
    const struct mixture mixture = mixture_of(a->n_policies, a->weights);
    const struct head_query q = team_query(p->team, &slot->d, outs);

    r->tau = q.tau;
    r->free = head_is_free(&q);
    r->action = mixture_sample(&mixture, &q, outs, &slot->random);
    r->drawn_log_p = mixture_evaluate(&mixture, &q, outs, &r->action).log_p;
    environment_hear(p->team->e, r->agent, &r->action, slot->heard);
}

static void foresee(struct player *p, const int *rows, int n)
{
    const struct environment *e = p->team->e;

    if (!e->foresee)
        return;
    for (int i = 0; i < n; i++) {
        const struct rollout_row *r = &p->rollout.rows[rows[i]];

        p->episodes[i] = p->slots[r->slot].episode;
        p->actions[i] = r->action;
    }
    e->foresee(e->problem, p->episodes, p->actions, n);
}

static void carry_out(struct player *p, int row, struct controller_report *report,
                      int *n_taken)
{
    const struct environment *e = p->team->e;
    struct rollout_row *r = &p->rollout.rows[row];
    struct slot *slot = &p->slots[r->slot];
    const struct outcome outcome = e->act(slot->episode, &r->action);

    r->reward = outcome.reward;
    r->end = outcome.end;
    slot->sum += outcome.reward;
    slot->length++;
    (*n_taken)++;
    if (outcome.end != EPISODE_TERMINATED)
        ask(e, slot);
    if (outcome.end == EPISODE_TRUNCATED)
        add_tail(p, slot, r);
    if (outcome.end != EPISODE_RUNS)
        finish(p, slot, report);
    if (p->horizon && !slot->runs)
        start(p, slot);
    if (outcome.end == EPISODE_RUNS && is_over(p, slot, *n_taken))
        add_tail(p, slot, r);
}

/* Carries out the n rows, all of actor k. */
static void act_together(struct player *p, int k, const int *rows, int n,
                         struct controller_report *report, int *n_taken)
{
    const struct team *t = p->team;
    const struct actor *a = t->actors[k];
    const int heard = environment_n_heard(t->e, t->e->n_agents);
    const bool batched = n >= LEAST_BATCH && !t->n_state;
    const real *outs[MIXTURE_MAX], *of_row[MIXTURE_MAX];

    for (int i = 0; i < n; i++)
        actor_input(
            t, a, p->rollout.observations + (int64_t)rows[i] * t->e->n_observation,
            p->rollout.heard + (int64_t)rows[i] * heard, p->x + (int64_t)i * a->n_in);
    for (int m = 0; batched && m < a->n_policies; m++)
        outs[m] = net_forward(a->nets[m], p->passes[k][m], 1, n, p->x);
    for (int i = 0; i < n; i++) {
        const struct rollout_row *r = &p->rollout.rows[rows[i]];

        if (!batched)
            actor_forward_one(a, r->agent, p->x + (int64_t)i * a->n_in,
                              p->slots[r->slot].lstm + team_state_at(t, k), t->scratch,
                              of_row);
        for (int m = 0; batched && m < a->n_policies; m++)
            of_row[m] =
                outs[m] + (int64_t)i * net_out(a->nets[m]) + a->head_at[r->agent];
        decide(p, rows[i], of_row);
    }
    foresee(p, rows, n);
    for (int i = 0; i < n; i++)
        carry_out(p, rows[i], report, &n_taken[p->rollout.rows[rows[i]].slot]);
}

/* One decision of every slot that is not over; false: all are. */
static bool step_all(struct player *p, int *rows, int *of_actor, int *n_taken,
                     struct controller_report *report)
{
    int n = 0;

    for (int s = 0; s < p->n_slots; s++)
        if (!is_over(p, &p->slots[s], n_taken[s]))
            rows[n++] = add_row(p, s);
    for (int k = 0; k < p->team->n_actors; k++) {
        int n_of_actor = 0;

        for (int i = 0; i < n; i++)
            if (p->team->actor_of[p->rollout.rows[rows[i]].agent] == k)
                of_actor[n_of_actor++] = rows[i];
        if (n_of_actor)
            act_together(p, k, of_actor, n_of_actor, report, n_taken);
    }
    return n > 0;
}

void player_collect(struct player *p, struct controller_report *out)
{
    struct arena *scratch = arena_create();
    int *rows = arena_new_array(scratch, int, p->n_slots),
        *of_actor = arena_new_array(scratch, int, p->n_slots),
        *n_taken = arena_new_array(scratch, int, p->n_slots);
    struct rollout *r = &p->rollout;

    r->n_rows = r->n_units = r->n_tails = 0;
    for (int s = 0; s < p->n_slots; s++) {
        r->first[s] = p->slots[s].last_row = -1;
        if (!p->slots[s].runs)
            start(p, &p->slots[s]);
    }
    while (step_all(p, rows, of_actor, n_taken, out))
        ;

    const double scale = return_scale_deviation(&p->returns);

    for (int i = 0; i < r->n_rows; i++)
        r->rows[i].reward /= scale;
    out->n_decisions = r->n_rows;
    out->mean_return /= out->n_finished ? out->n_finished : 1;
    out->mean_length /= out->n_finished ? out->n_finished : 1;
    arena_destroy(scratch);
}
