/* SPDX-License-Identifier: Apache-2.0 */
/* Proximal policy optimisation: see ppo.h. */
#include "search/agents/ppo.h"

#include <assert.h>

#include "search/agents/noise.h"
#include "search/agents/policy_file.h"

static void *ppo_create(struct arena *a, const struct environment *e,
                        const struct controller_options *o, uint64_t seed)
{
    struct ppo *p = arena_new(a, struct ppo);
    struct random random = noise_stream(seed, 0);

    assert(!(o->n_lstm && o->horizon));
    p->e = e;
    p->o = *o;
    p->team = team_create(a, e, &p->o, o->kind == CONTROLLER_ppo, &random);
    p->player = player_create(a, p->team, o->n_episodes, o->horizon, seed);
    p->learner = learner_create(a, p->team, p->player, &p->o, seed);
    for (int k = 0; o->anneal.kind != ANNEAL_NONE && k < p->team->n_actors; k++)
        for (int m = 0; m < o->n_policies; m++)
            p->annealed[k][m] = annealed_create(a, p->team->actors[k]->nets[m]);
    return p;
}

static void ppo_destroy(void *self)
{
    struct ppo *p = self;

    player_destroy(p->player);
}

static void prune_actors(struct ppo *p, struct controller_report *out)
{
    if (p->o.anneal.kind == ANNEAL_NONE)
        return;
    for (int k = 0; k < p->team->n_actors; k++)
        for (int m = 0; m < p->o.n_policies; m++)
            annealed_step(p->annealed[k][m], &p->o.anneal, p->iteration);
    out->sparsity = annealed_sparsity(p->annealed[0][0]);
}

static void ppo_iterate(void *self, struct controller_report *out)
{
    struct ppo *p = self;

    if (p->o.curriculum && p->e->unlock)
        p->e->unlock(p->e->problem, curriculum_share(p->iteration, p->o.n_iterations));
    player_collect(p->player, out);
    learner_judge(p->learner);
    learner_evaluate(p->learner);
    learner_learn(p->learner, out);
    running_settle(p->team->observations);
    running_settle(p->player->states);
    p->iteration++;
    prune_actors(p, out);
}

static struct action ppo_decide(void *self, const struct decision *d, struct memory *m,
                                enum play play, struct random *random,
                                double *confidence)
{
    struct ppo *p = self;

    return team_decide(p->team, d, m, play, random, confidence);
}

static int ppo_n_lstm(const void *self)
{
    const struct ppo *p = self;

    return team_n_state(p->team);
}

static void ppo_export(const void *self, struct text *out)
{
    const struct ppo *p = self;

    policy_write(p->team, &p->o, out);
}

static void ppo_heat(void *self, double temperature)
{
    struct ppo *p = self;

    p->team->temperature = temperature;
}

#define PPO_CLASS(name)                                                                \
    const struct controller_class controller_##name = {                                \
        ppo_create, ppo_destroy, ppo_iterate, ppo_decide,                              \
        ppo_n_lstm, ppo_export,  ppo_heat}

PPO_CLASS(mappo);
PPO_CLASS(ippo);
PPO_CLASS(ppo);
