/* SPDX-License-Identifier: Apache-2.0 */
/* Actors: see actor.h. */
#include "search/agents/actor.h"

#include <assert.h>
#include <string.h>

static int n_out(const struct environment *e, int agent)
{
    return e->agents[agent].n_actions ? e->agents[agent].n_actions : HEAD_GAUSSIAN_OUT;
}

/* The agents of actor k: [first, end). */
static void agents_of(const struct environment *e, bool shared, int k, int *first,
                      int *end)
{
    *first = shared ? 0 : k;
    *end = shared ? e->n_agents : k + 1;
}

/* Inputs of choices.  The last agent's is never heard at the same unit. */
static int n_heard(const struct environment *e, const struct controller_options *o,
                   int end)
{
    return o->coordination == COORDINATION_FACTORED ? 0
                                                    : environment_n_heard(e, end - 1);
}

static struct net_shape shape_of(const struct environment *e,
                                 const struct controller_options *o, int first, int end)
{
    struct net_shape shape = {.n_in = e->n_observation + n_heard(e, o, end),
                              .n_lstm = o->n_lstm,
                              .n_hidden = o->n_hidden,
                              .gain = 0.01};

    memcpy(shape.hidden, o->actor_hidden, sizeof shape.hidden);
    for (int i = first; i < end; i++)
        shape.n_out += n_out(e, i);
    return shape;
}

static struct actor *create_actor(struct arena *a, const struct environment *e,
                                  const struct controller_options *o, int first,
                                  int end, struct random *random)
{
    struct actor *actor = arena_new(a, struct actor);
    const struct net_shape shape = shape_of(e, o, first, end);
    int at = 0;

    actor->n_heard = n_heard(e, o, end);
    actor->n_in = shape.n_in;
    for (int i = first; i < end; i++) {
        actor->head_at[i] = at;
        at += n_out(e, i);
    }
    actor->n_policies = o->n_policies;
    for (int k = 0; k < o->n_policies; k++)
        actor->nets[k] = net_create(a, &shape, random);
    return actor;
}

int64_t team_size(const struct environment *e, const struct controller_options *o,
                  bool shared)
{
    int64_t sum = 0;

    for (int k = 0; k < (shared ? 1 : e->n_agents); k++) {
        struct net_shape shape;
        int first, end;

        agents_of(e, shared, k, &first, &end);
        shape = shape_of(e, o, first, end);
        sum += o->n_policies * net_size(&shape);
    }
    return sum;
}

struct team *team_create(struct arena *a, const struct environment *e,
                         const struct controller_options *o, bool shared,
                         struct random *random)
{
    struct team *t = arena_new(a, struct team);
    int scratch = 0;

    assert(o->n_policies >= 1 && o->n_policies <= MIXTURE_MAX);
    t->e = e;
    t->n_actors = shared ? 1 : e->n_agents;
    for (int k = 0; k < t->n_actors; k++) {
        t->actors[k] =
            create_actor(a, e, o, shared ? 0 : k, shared ? e->n_agents : k + 1, random);
        t->n_state = o->n_policies * net_state(t->actors[k]->nets[0]);

        const int needed =
            t->actors[k]->n_in + e->n_observation + actor_scratch(t->actors[k]);

        scratch = needed > scratch ? needed : scratch;
    }
    for (int i = 0; i < e->n_agents; i++)
        t->actor_of[i] = shared ? 0 : i;
    t->observations = running_create(a, e->n_observation);
    t->prior_weight = o->prior_weight;
    t->temperature = o->temperature;
    t->temperature_rise = o->temperature_rise;
    t->scratch = arena_new_array(a, real, scratch);
    return t;
}

int team_n_state(const struct team *t)
{
    return t->n_actors * t->n_state;
}

int team_state_at(const struct team *t, int actor)
{
    return actor * t->n_state;
}

void actor_input(const struct team *t, const struct actor *a, const real *observation,
                 const real *heard, real *x)
{
    const int n = t->e->n_observation;

    memcpy(x, observation, (size_t)n * sizeof *x);
    memcpy(x + n, heard, (size_t)a->n_heard * sizeof *x);
}

struct head_query team_query(const struct team *t, const struct decision *d,
                             const real *const *outs)
{
    struct head_query q = {
        .n = t->e->agents[d->agent].n_actions,
        .legal = d->legal,
        .prior = d->prior,
        .prior_weight = (real)t->prior_weight,
        .tau = 1,
    };

    if (q.n) /* an ensemble's is that of its first policy */
        q.tau = (real)(t->temperature_rise > 0
                           ? head_temperature(&q, outs[0], t->temperature,
                                              t->temperature_rise)
                           : t->temperature);
    return q;
}

int actor_scratch(const struct actor *a)
{
    return a->n_policies * net_scratch(a->nets[0]);
}

void actor_forward_one(const struct actor *a, int agent, const real *x, real *state,
                       real *scratch, const real **outs)
{
    for (int k = 0; k < a->n_policies; k++)
        outs[k] = net_forward_one(a->nets[k], x, state + k * net_state(a->nets[k]),
                                  scratch + k * net_scratch(a->nets[k]))
                  + a->head_at[agent];
}

struct action team_decide(struct team *t, const struct decision *d, struct memory *m,
                          enum play play, struct random *random, double *confidence)
{
    const int k = t->actor_of[d->agent];
    const struct actor *a = t->actors[k];
    const struct mixture mixture = mixture_of(a->n_policies, a->weights);
    real *const seen = t->scratch, *const x = seen + t->e->n_observation;
    const real *outs[MIXTURE_MAX];

    running_apply(t->observations, d->observation, seen);
    actor_input(t, a, seen, m->heard, x);
    actor_forward_one(a, d->agent, x, m->lstm + team_state_at(t, k), x + a->n_in, outs);

    const struct head_query q = team_query(t, d, outs);
    const struct action chosen = play == PLAY_BEST
                                     ? mixture_mode(&mixture, &q, outs)
                                     : mixture_sample(&mixture, &q, outs, random);

    if (confidence)
        *confidence = mixture_confidence(&mixture, &q, outs);
    return chosen;
}
