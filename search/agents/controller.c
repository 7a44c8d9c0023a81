/* SPDX-License-Identifier: Apache-2.0 */
/* What all controllers share: see controller.h. */
#include "search/agents/controller.h"

#include <string.h>

#include "search/agents/controller_class.h"
#include "search/agents/noise.h"

const char *const controller_names[] = {
#define CONTROLLER(name, about) #name,
#include "search/agents/controllers.def"
    NULL};

const char *const controller_abouts[] = {
#define CONTROLLER(name, about) about,
#include "search/agents/controllers.def"
    NULL};

static const struct controller_class *const classes[] = {
#define CONTROLLER(name, about) &controller_##name,
#include "search/agents/controllers.def"
};

struct controller {
    struct arena *arena;
    const struct controller_class *class;
    const struct environment *e;
    void *self;
    struct memory memory;
    real *observation, *state;
};

struct controller_options controller_defaults(enum controller_kind kind)
{
    return (struct controller_options){
        .kind = kind,
        .n_iterations = 100,
        .n_episodes = 16,
        .gamma = 1,
        .lambda = 1,
        .rate = {3e-4, 0},
        .clip = {0.2, 0.1},
        .entropy = {0.01, 0},
        .epochs = 10,
        .batch = 256,
        .max_norm = 0.5,
        .max_kl = 0.02,
        .value_weight = 0.5,
        .value_clip = 0.2,
        .n_hidden = 3,
        .actor_hidden = {256, 128, 64},
        .critic_hidden = {512, 256, 128},
        .n_policies = 1,
        .prior_weight = 2.5,
        .temperature = 1,
        .n_threads = 1,
        .replay = 5000,
        .learn_batch = 32,
        .steps_per_episode = 1,
        .explore = {1, 0.05},
        .mixing = 32,
        .target_share = 0.01,
        .actor_rate = 3e-4,
        .gumbel = 1,
        .logit_decay = 1e-3,
    };
}

double ramp_at(struct ramp r, int i, int n_iterations)
{
    const double share = n_iterations > 1 ? fmin((double)i / (n_iterations - 1), 1) : 0;

    return r.first + (r.last - r.first) * share;
}

double curriculum_share(int i, int n_iterations)
{
    return 6 * i < n_iterations ? 0.3 : 2 * i < n_iterations ? 0.6 : 1;
}

struct controller *controller_create(const struct environment *e,
                                     const struct controller_options *o, uint64_t seed)
{
    struct arena *a = arena_create();
    struct controller *c = arena_new(a, struct controller);

    c->arena = a;
    c->class = classes[o->kind];
    c->e = e;
    c->self = c->class->create(a, e, o, seed);
    c->memory.heard = arena_new_array(a, real, environment_n_heard(e, e->n_agents));
    c->memory.lstm = arena_new_array(a, real, c->class->n_lstm(c->self));
    c->observation = arena_new_array(a, real, e->n_observation);
    c->state = arena_new_array(a, real, e->n_state);
    return c;
}

void controller_destroy(struct controller *c)
{
    if (!c)
        return;
    if (c->class->destroy)
        c->class->destroy(c->self);
    arena_destroy(c->arena);
}

void controller_iterate(struct controller *c, struct controller_report *out)
{
    *out = (struct controller_report){0};
    c->class->iterate(c->self, out);
}

void controller_heat(struct controller *c, double temperature)
{
    if (c->class->heat)
        c->class->heat(c->self, temperature);
}

double controller_play(struct controller *c, int index, uint64_t seed, enum play play,
                       controller_watch *watch, void *arg)
{
    const struct environment *e = c->e;
    struct random random = noise_stream(seed, 1);
    void *const episode = e->episode(e->problem, index);
    struct outcome outcome = {0, EPISODE_RUNS};
    double sum = 0;

    e->start(episode, seed);
    memset(c->memory.lstm, 0, (size_t)c->class->n_lstm(c->self) * sizeof(real));
    while (outcome.end == EPISODE_RUNS) {
        struct decision d = {.observation = c->observation, .state = c->state};
        double confidence;

        e->ask(episode, &d);
        if (d.opens_unit)
            memset(c->memory.heard, 0,
                   (size_t)environment_n_heard(e, e->n_agents) * sizeof(real));

        const struct action a =
            c->class->decide(c->self, &d, &c->memory, play, &random, &confidence);

        environment_hear(e, d.agent, &a, c->memory.heard);
        if (watch)
            watch(arg, &d, &a, confidence);
        outcome = e->act(episode, &a);
        sum += outcome.reward;
    }
    return sum;
}

bool controller_export(const struct controller *c, struct text *out)
{
    if (c->class->export_actors)
        c->class->export_actors(c->self, out);
    return c->class->export_actors != NULL;
}

void *controller_self(struct controller *c)
{
    return c->self;
}
