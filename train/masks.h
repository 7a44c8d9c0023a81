/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that are zero while a network is trained: those that were at the start, or
 * the smallest ones by a schedule (support/anneal.h), which may grow back.
 *
 * Only factors of Conv, ConvTranspose, Gemm and MatMul are masked.  What is smallest is
 * asked of all of them together, each magnitude as a multiple of the root mean square
 * of its output channel's at the start: normalization that was folded into the weights
 * has scaled channels by what says nothing about them.
 */
#ifndef HADMC_TRAIN_MASKS_H
#define HADMC_TRAIN_MASKS_H

#include "support/anneal.h"
#include "train/tape.h"

struct masks {
    struct anneal schedule; /* ANNEAL_NONE: the mask stays as it is */
    int64_t n;              /* elements of tape.weight; 0: nothing is masked */
    int64_t n_factors;      /* those that may be masked */
    double *size;  /* [n] of a weight of 1, relative to its channel; 0: never masked */
    uint8_t *kept; /* [n] 0: masked */
    real *aside;   /* [n] what a masked weight was, for when it grows back */
};

/* In t->a.  The mask of weights that are zero; with a schedule nothing is masked yet.
 */
void masks_begin(struct masks *m, struct tape *t, const struct anneal *schedule);
/* Before step i: as many as the schedule says.  `momentum` and `square` [n], the
 * optimizer's, become zero with the weights. */
void masks_step(struct masks *m, struct tape *t, int64_t i, real *momentum,
                real *square);
int64_t masks_count(const struct masks *m); /* of masked weights */
/* Before the optimizer: masked weights do not move. */
void masks_stop_gradient(const struct masks *m, struct tape *t);

#endif /* HADMC_TRAIN_MASKS_H */
