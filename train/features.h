/* SPDX-License-Identifier: Apache-2.0 */
/* What a student computes on the way follows what the original computes there: mean
 * squared errors after convolutions a quarter, a half and three quarters of the way
 * (FitNets: Romero et al. 2015, arXiv:1412.6550).
 *
 *     loss = weight / n_points  sum over points of  mean (A x_student - x_original)^2
 *
 * A is [C_original, C_student], one matrix a point and trained too, where the numbers
 * of channels differ; otherwise there is none.
 */
#ifndef HADMC_TRAIN_FEATURES_H
#define HADMC_TRAIN_FEATURES_H

#include "train/tape.h"

enum { MOST_FEATURES = 3 };

struct feature {
    struct ir_value *student, *original;
    int64_t c_student, c_original, positions;
    int64_t at; /* of A in the vectors below; -1: none */
};

struct features {
    int n;
    struct feature at[MOST_FEATURES];
    int64_t n_elements; /* of all A together */
    real *adapter, *gradient, *m, *v;
    real *shard_gradient; /* [TAPE_SHARDS][n_elements] */
    real **scratch;       /* by worker: two features */
};

/* The points.  INVALID: a student whose pictures there have another size; UNSUPPORTED:
 * no convolutions. */
struct status *features_find(const struct ir_graph *student,
                             const struct ir_graph *original, struct features *out);

/* Memory for n_workers, adapters at their first values: the seed's. */
void features_begin(struct features *f, struct arena *a, int n_workers, uint64_t seed);

/* Sample i of both tapes, whose outputs 1, 2 ... are the features: the loss of it; adds
 * to the student's output gradients and to the shard's gradient of A.  `weight` is what
 * one sample counts. */
double features_loss(struct features *f, struct tape *student,
                     const struct tape *original, int64_t i, int64_t shard, int worker,
                     double weight);

/* Before the samples of a batch, and after all of them. */
void features_clear(struct features *f);
void features_sum(struct features *f);

#endif /* HADMC_TRAIN_FEATURES_H */
