/* SPDX-License-Identifier: Apache-2.0 */
/* --distill: the graph that is compiled, compressed or not, is trained against the
 * original before code is generated. */
#ifndef HADMC_CLI_TRAINING_H
#define HADMC_CLI_TRAINING_H

#include "codegen/compile_model.h"
#include "train/train.h"

struct training {
    const char *model;
    const struct compile_options *co;
    struct train_options options;
    const char *file;    /* FOLDER.training */
    struct dataset *own; /* --train; NULL: the samples come from --data */
    const char *what; /* for the progress line; NULL: "training", and a line on stdout
                         says what it has done */
    int n_trials;     /* of a search, with checkpoints of their own: training_trial */
};

struct training_args {
    struct train_settings settings;
    const char *train;          /* data set, or NULL */
    const struct dataset *data; /* --data, open */
    const char *spec;           /* of --data, used for --train too; or NULL */
    uint64_t seed;
    bool wants_validation; /* some of --data has been used to decide (splits.h) */
    const volatile sig_atomic_t *stop; /* of train_options */
};

/* --distill, "T=4,epochs=5" (train_settings.def); what it does not name stays as it is.
 * BAD_USAGE says what is wrong. */
struct status *training_parse(const char *settings, struct train_settings *out);
/* Whether it names that one. */
bool training_names(const char *settings, const char *name);

/* `co` is that of the bundle; beside its folder lies the checkpoint, FOLDER.training,
 * so that an interrupted command goes on where it was, and a second compilation of the
 * same model finds the trained weights.  training_end removes it; both borrow. */
struct status *training_begin(struct arena *a, const char *model,
                              const struct compile_options *co,
                              const struct training_args *args, struct training *out);
void training_end(struct training *t, bool done);

/* The next of several trainings that are compared.  It sees `share` of all the samples
 * that `t` would see: fewer epochs, or fewer samples once.  Its checkpoint,
 * FOLDER.training.N, goes when that of `t` does.  Borrows t. */
struct training training_trial(struct arena *a, struct training *t, double share);
/* Those that an earlier command has left. */
void training_forget_trials(const struct training *t);

/* Trains g, the model's graph in c, and notes it in `p`, unless that is NULL. */
struct status *training_run(const struct training *t, struct compile *c,
                            struct ir_graph *g, struct plan *p);

#endif /* HADMC_CLI_TRAINING_H */
