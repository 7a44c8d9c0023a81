/* SPDX-License-Identifier: Apache-2.0 */
/* Actors: networks that decide, and everything that a decision needs.
 *
 * A team has one actor per agent, or one for all with a head for each.  An actor sees
 *
 *     [observation, normalised | choices of earlier agents at this unit]
 *
 * the second part only where agents are coordinated autoregressively.  It is an
 * ensemble of n_policies networks (mixture.h).  Critics are elsewhere: a team is what
 * is exported.
 */
#ifndef HADMC_SEARCH_AGENTS_ACTOR_H
#define HADMC_SEARCH_AGENTS_ACTOR_H

#include "search/agents/controller_class.h"
#include "search/agents/mixture.h"
#include "search/agents/running.h"

struct actor {
    int n_heard, n_in;
    int head_at[ENVIRONMENT_MAX_AGENTS]; /* of an agent's outputs in a row */
    int n_policies;
    struct net *nets[MIXTURE_MAX];
    double weights[MIXTURE_MAX]; /* of the policies, before the softmax */
    double weight_m[MIXTURE_MAX], weight_v[MIXTURE_MAX]; /* Adam's moments */
};

struct team {
    const struct environment *e;
    int n_actors;
    struct actor *actors[ENVIRONMENT_MAX_AGENTS];
    int actor_of[ENVIRONMENT_MAX_AGENTS]; /* by agent */
    struct running *observations;
    double prior_weight, temperature, temperature_rise;
    int n_state; /* elements of one actor's recurrent state; 0: none */
    real *scratch;
};

/* Learned numbers of all actors. */
int64_t team_size(const struct environment *e, const struct controller_options *o,
                  bool shared);
/* `shared`: one actor for all agents.  Without `random` all numbers are 0. */
struct team *team_create(struct arena *a, const struct environment *e,
                         const struct controller_options *o, bool shared,
                         struct random *random);

/* Recurrent state of a whole team for one episode; actor k's begins at
 * team_state_at(t, k). */
int team_n_state(const struct team *t);
int team_state_at(const struct team *t, int actor);

/* x[n_in] for an actor, from a normalised observation. */
void actor_input(const struct team *t, const struct actor *a, const real *observation,
                 const real *heard, real *x);
/* The query for a decision with outputs outs[n_policies] of its head, at the team's
 * temperature. */
struct head_query team_query(const struct team *t, const struct decision *d,
                             const real *const *outs);
/* Outputs of one row without BLAS: outs[n_policies], at `agent`'s head.  `state` moves
 * on; `scratch` has actor_scratch elements. */
void actor_forward_one(const struct actor *a, int agent, const real *x, real *state,
                       real *scratch, const real **outs);
int actor_scratch(const struct actor *a);

/* A decision on its own, as in controller_class. */
struct action team_decide(struct team *t, const struct decision *d, struct memory *m,
                          enum play play, struct random *random, double *confidence);

#endif /* HADMC_SEARCH_AGENTS_ACTOR_H */
