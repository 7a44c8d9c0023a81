/* SPDX-License-Identifier: Apache-2.0 */
/* Fine-tuning: the weights of a graph follow labels, or what an original gives for the
 * same samples, or both.
 *
 *     loss = (1 - alpha) cross entropy + alpha T^2 KL(original || student at T)
 *
 * for classes and tokens, and with a weight for features what features.h says.  Without
 * labels alpha is 1; without an original, 0.  Outputs that are no logits (train_logits)
 * are compared by their mean squared error.  A Softmax at the end is left out, on both
 * sides.
 *
 * Everything is a function of graph, data, options and seed: the same bytes on one kind
 * of processor for any number of threads, interrupted and resumed or not.
 */
#ifndef HADMC_TRAIN_TRAIN_H
#define HADMC_TRAIN_TRAIN_H

#include <signal.h>

#include "frontend/dataset.h"
#include "frontend/ir.h"
#include "train/train_settings.h"

struct train_progress {
    int64_t step, steps; /* done; in all */
    int64_t begun_at;    /* step of the state that was found; 0: from the start */
    int64_t epoch, epochs;
    double loss;    /* mean over the last steps, of the student as trained */
    double seconds; /* since begun_at */
};

struct train_options {
    const struct dataset *data; /* its inputs are the graph's */
    int64_t n_samples;
    const int64_t *sample; /* numbers of dataset_read */
    /* dataset_digest of these or of more: a checkpoint of other data is another
     * training's.  Without checkpoints it may stay zero. */
    uint8_t data_sha256[32];
    struct train_settings set;
    bool keep_zeros;    /* of the weights that are multiplied: masks.h */
    bool train_norms;   /* BatchNormalization, where it is left, follows the batches */
    int64_t reestimate; /* batches that its statistics are made of anew at the end */
    uint64_t seed;
    int n_threads;          /* 0: all processors */
    const char *checkpoint; /* file, written every so many steps and at the end, read at
                               the start when it is there; NULL: none */
    int64_t checkpoint_steps;
    const volatile sig_atomic_t *stop; /* ends it, NO_FIT, once it is set; or NULL */
    void (*progress)(void *arg, const struct train_progress *p); /* or NULL */
    void *progress_arg;
};

struct train_result {
    int64_t steps, resumed_at;    /* 0: from the start */
    int64_t n_weights;            /* numbers that were trained */
    int64_t n_zeros;              /* of these the masked ones, in the end */
    double first_loss, last_loss; /* mean over the first and the last epoch */
};

struct train_options train_defaults(void);

/* Where the scores of g are before a Softmax; g's first output otherwise. */
struct ir_value *train_logits(const struct ir_graph *g);

/* Trains `student`, whose constants change; `teacher` may be NULL and belongs to
 * another compile.  UNSUPPORTED: a node that has no derivative.  INVALID: data and
 * graphs do not fit together, or the loss is no longer finite. */
struct status *train_graph(struct compile *c, struct ir_graph *student,
                           const struct ir_graph *teacher,
                           const struct train_options *o, struct train_result *out);

#endif /* HADMC_TRAIN_TRAIN_H */
