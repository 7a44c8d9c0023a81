/* SPDX-License-Identifier: Apache-2.0 */
/* Joint steps that are remembered: see replay.h. */
#include "search/agents/replay.h"

#include <string.h>

struct replay *replay_create(struct arena *a, const struct environment *e, int cap)
{
    struct replay *r = arena_new(a, struct replay);

    *r = (struct replay){
        .e = e,
        .cap = cap,
        .steps = arena_new_array(a, struct joint_step, cap),
        .numbers = arena_new_array(a, real,
                                   2 * (int64_t)cap * (e->n_observation + e->n_state)),
        .observations = running_create(a, e->n_observation),
        .states = running_create(a, e->n_state),
        .observation = arena_new_array(a, real, e->n_observation),
        .state = arena_new_array(a, real, e->n_state),
    };
    return r;
}

void replay_observation(const struct replay *r, const struct joint_question *q,
                        real *out)
{
    running_apply(r->observations, q->observation, out);
}

void replay_state(const struct replay *r, const struct joint_question *q, real *out)
{
    running_apply(r->states, q->state, out);
}

/* Keeps a question's numbers in the step's place; `after`: in the second half of it. */
static void keep_numbers(struct replay *r, int step, bool after,
                         struct joint_question *q)
{
    const int n = r->e->n_observation, m = r->e->n_state;
    real *const to = r->numbers + (2 * (int64_t)step + after) * (n + m);

    memcpy(to, r->observation, (size_t)n * sizeof *to);
    memcpy(to + n, r->state, (size_t)m * sizeof *to);
    q->observation = to;
    q->state = to + n;
}

static int begin_step(struct replay *r)
{
    const int step = r->next;

    r->next = (r->next + 1) % r->cap;
    r->n = r->n < r->cap ? r->n + 1 : r->cap;
    r->steps[step] = (struct joint_step){0};
    keep_numbers(r, step, false, &r->steps[step].at);
    running_add(r->observations, r->observation);
    running_add(r->states, r->state);
    return step;
}

static void answer(struct joint_question *q, const struct decision *d)
{
    q->asked |= UINT32_C(1) << d->agent;
    q->legal[d->agent] = d->legal;
}

void replay_play(struct replay *r, const struct controller_class *class, void *self,
                 int index, struct random *random, struct controller_report *out)
{
    const struct environment *e = r->e;
    void *const episode = e->episode(e->problem, index);
    struct outcome outcome = {0, EPISODE_RUNS};
    struct memory memory = {0};
    int step = -1, before = -1;
    double sum = 0;

    e->start(episode, random_u64(random));
    while (outcome.end == EPISODE_RUNS) {
        struct decision d = {.observation = r->observation, .state = r->state};

        e->ask(episode, &d);
        if (d.opens_unit) {
            before = step;
            step = begin_step(r);
            if (before >= 0)
                keep_numbers(r, before, true, &r->steps[before].after);
        }
        answer(&r->steps[step].at, &d);
        if (before >= 0)
            answer(&r->steps[before].after, &d);

        const struct action a =
            class->decide(self, &d, &memory, PLAY_DRAW, random, NULL);

        r->steps[step].actions[d.agent] = a;
        outcome = e->act(episode, &a);
        r->steps[step].reward += outcome.reward;
        sum += outcome.reward;
        out->n_decisions++;
    }
    r->steps[step].ends = outcome.end == EPISODE_TERMINATED;
    if (outcome.end == EPISODE_TRUNCATED) {
        struct decision d = {.observation = r->observation, .state = r->state};

        e->ask(episode, &d);
        keep_numbers(r, step, true, &r->steps[step].after);
        answer(&r->steps[step].after, &d);
    }
    out->best_return = out->n_finished ? fmax(out->best_return, sum) : sum;
    out->mean_return += (sum - out->mean_return) / ++out->n_finished;
}
