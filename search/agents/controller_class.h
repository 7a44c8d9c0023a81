/* SPDX-License-Identifier: Apache-2.0 */
/* What a kind of controller consists of; for the files that implement one. */
#ifndef HADMC_SEARCH_AGENTS_CONTROLLER_CLASS_H
#define HADMC_SEARCH_AGENTS_CONTROLLER_CLASS_H

#include "search/agents/controller.h"
#include "support/arena.h"

/* What a controller remembers while an episode is played one decision at a time. */
struct memory {
    real *heard; /* [environment_n_heard of all]: choices at this unit */
    real *lstm;  /* states of recurrent actors, in a row */
};

struct controller_class {
    void *(*create)(struct arena *a, const struct environment *e,
                    const struct controller_options *o, uint64_t seed);
    void (*destroy)(void *self); /* what does not lie in the arena; NULL: nothing */
    void (*iterate)(void *self, struct controller_report *out);
    /* The action for one decision, and how sure it is. */
    struct action (*decide)(void *self, const struct decision *d, struct memory *m,
                            enum play play, struct random *random, double *confidence);
    int (*n_lstm)(const void *self); /* elements of memory.lstm */
    void (*export_actors)(const void *self, struct text *out); /* or NULL */
    void (*heat)(void *self, double temperature);              /* or NULL */
};

#define CONTROLLER(name, about) extern const struct controller_class controller_##name;
#include "search/agents/controllers.def"

/* The ramp's value in iteration i. */
double ramp_at(struct ramp r, int i, int n_iterations);
/* The share of the units that the curriculum unlocks in iteration i. */
double curriculum_share(int i, int n_iterations);

#endif /* HADMC_SEARCH_AGENTS_CONTROLLER_CLASS_H */
