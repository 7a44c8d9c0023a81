/* SPDX-License-Identifier: Apache-2.0 */
/* Controllers: what learns which actions end in high rewards.
 *
 *     struct controller_options o = controller_defaults(CONTROLLER_mappo);
 *     struct controller *c = controller_create(&environment, &o, seed);
 *     for (int i = 0; i < o.n_iterations; i++)
 *         controller_iterate(c, &report);
 *     reward = controller_play(c, 0, seed, PLAY_BEST, NULL, NULL);
 *     controller_destroy(c);
 *
 * Needs blas_open.  Equal environment, options and seed give equal bytes at any number
 * of threads: networks learn side by side, each with a generator of its own.
 */
#ifndef HADMC_SEARCH_AGENTS_CONTROLLER_H
#define HADMC_SEARCH_AGENTS_CONTROLLER_H

#include "search/agents/annealed.h"
#include "search/agents/environment.h"

enum controller_kind {
#define CONTROLLER(name, about) CONTROLLER_##name,
#include "search/agents/controllers.def"
    CONTROLLER_COUNT
};

extern const char *const controller_names[]; /* by kind; ends with NULL */
extern const char *const controller_abouts[];

/* Whether an actor sees what earlier agents chose at its unit. */
enum coordination { COORDINATION_AUTOREGRESSIVE, COORDINATION_FACTORED };

/* A value that goes from `first` to `last` over the iterations, linearly. */
struct ramp {
    double first, last;
};

struct controller_options {
    enum controller_kind kind;
    enum coordination coordination;
    int n_iterations; /* that are planned: ramps end there; at least 1 */
    int n_episodes;   /* side by side in an iteration */
    int horizon;      /* decisions of each in an iteration; 0: whole episodes */
    double gamma, lambda;
    struct ramp rate, clip, entropy;
    int epochs, batch; /* batch in rows; 0: all in one */
    double max_norm;   /* of a network's gradient */
    double max_kl;     /* from the iteration's first policy: ends its epochs; 0: none */
    double value_weight, value_clip /* 0: none */, value_huber /* 0: squares */;
    int n_hidden, actor_hidden[3], critic_hidden[3];
    int n_lstm;     /* cells of an LSTM in front of actors; 0: none.  Needs horizon 0 */
    int n_policies; /* in an ensemble; 1: none */
    double prior_weight;
    double temperature, temperature_rise; /* head_temperature */
    bool curriculum; /* a sixth of the iterations with 0.3 of the units, a third with
                        0.6, half with all */
    struct anneal anneal; /* of actors; ANNEAL_NONE */
    int n_threads;

    /* qmix and maddpg */
    int replay;            /* joint steps that are remembered */
    int learn_batch;       /* joint steps in a gradient step */
    int steps_per_episode; /* gradient steps for each episode played */
    struct ramp explore;   /* share of random choices */
    int mixing;            /* width of the mixing network */
    double target_share;   /* of the network that goes into its target each step */
    double actor_rate;     /* of maddpg's actors; `rate` is the critic's */
    double gumbel;         /* temperature of maddpg's choices */
    double logit_decay;    /* maddpg: weight of the squares of outputs */
};

struct controller_options controller_defaults(enum controller_kind kind);

struct controller_report {
    int n_finished;     /* episodes that ended in this iteration */
    double mean_return; /* of them */
    double best_return;
    double mean_length; /* decisions */
    int n_decisions;
    double policy_loss, value_loss, entropy, kl, clipped; /* means of all batches; ppo
                                                           family */
    double first_ratio; /* largest |ratio - 1| before anything was learned */
    double sparsity;    /* of actors */
};

struct controller;

/* `e` and what it points to outlive the controller. */
struct controller *controller_create(const struct environment *e,
                                     const struct controller_options *o, uint64_t seed);
void controller_destroy(struct controller *c);

/* Plays n_episodes (or n_episodes * horizon decisions) and learns from them. */
void controller_iterate(struct controller *c, struct controller_report *out);

/* From now on actors draw at `temperature`, above 0, instead of that of the options;
 * the log-probabilities that they learn from are those at it.  Controllers without
 * probabilities go on as before. */
void controller_heat(struct controller *c, double temperature);

enum play { PLAY_DRAW, PLAY_BEST };

/* Called before each action is carried out.  `confidence` is from 0, all legal actions
 * are as likely, to 1, there is no doubt; controllers without probabilities have none.
 */
typedef void controller_watch(void *arg, const struct decision *d,
                              const struct action *a, double confidence);

/* One whole episode without learning; returns the sum of its rewards. */
double controller_play(struct controller *c, int index, uint64_t seed, enum play play,
                       controller_watch *watch, void *arg);

struct text;

/* The actors alone, see policy_file.h; false: this kind has none of that form. */
bool controller_export(const struct controller *c, struct text *out);

/* What the kind calls itself (ppo.h, qmix.h, maddpg.h), for tests. */
void *controller_self(struct controller *c);

#endif /* HADMC_SEARCH_AGENTS_CONTROLLER_H */
