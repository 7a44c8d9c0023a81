/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a training: what train.c and the files beside it share. */
#ifndef HADMC_TRAIN_TRAINER_H
#define HADMC_TRAIN_TRAINER_H

#include "train/checkpoint.h"
#include "train/features.h"
#include "train/masks.h"
#include "train/tape.h"
#include "train/train.h"

enum { MOST_PARTS = 12 };

/* What one sample has given; added in the order of samples. */
struct sample_loss {
    double sum;
    int64_t rows;
};

struct trainer {
    struct compile *c;
    const struct train_options *o;
    struct ir_graph *graph;
    struct tape *student, *teacher; /* teacher NULL: none */
    bool logits;                    /* classes or tokens; otherwise numbers */
    int64_t row;                    /* elements of a row of scores */
    double alpha;
    struct features features; /* n 0: not compared */
    struct masks masks;       /* n 0: no weight is */
    struct optimizer optimizer;
    bool by_size;             /* steps are shares of what moves: see choose_rates() */
    int64_t batch, per_epoch; /* samples; steps */
    int64_t *order;           /* of this epoch */
    int64_t ordered_epoch;    /* -1: none yet */
    real *m, *v;
    float **scratch; /* by worker: a sample, and room for another */
    int64_t scratch_elements;
    struct sample_loss *losses;
    struct status **errors; /* by sample of the batch */
    /* Kept in checkpoints, with weights and statistics. */
    int64_t step;
    double epoch_sum[2]; /* of losses: of the first and of the present epoch */
    int64_t epoch_steps[2];
    double recent; /* for the progress line */
    struct checkpoint checkpoint;
    struct checkpoint_part part[MOST_PARTS];
};

static inline int64_t trainer_epoch(const struct trainer *t)
{
    return t->step / t->per_epoch;
}

/* trainer_setup.c: sizes, losses, tapes, memory and the checkpoint's key. */
struct status *trainer_setup(struct trainer *t, const struct ir_graph *teacher);

/* trainer_batch.c: the inputs of the step in progress; after both tapes have run, its
 * loss, and the gradients of the student's outputs. */
struct status *trainer_read(struct trainer *t);
double trainer_score(struct trainer *t);

#endif /* HADMC_TRAIN_TRAINER_H */
