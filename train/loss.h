/* SPDX-License-Identifier: Apache-2.0 */
/* What training makes small.  Each function returns the loss of one row and adds its
 * gradient, times `weight`, to d (NULL: only the loss); sums are double.  z are logits.
 */
#ifndef HADMC_TRAIN_LOSS_H
#define HADMC_TRAIN_LOSS_H

#include "train/real.h"

/* -log softmax(z)[label], nats. */
double loss_cross_entropy(int64_t n, const real *z, int64_t label, double weight,
                          real *d);

/* T^2 KL(softmax(teacher / T) || softmax(z / T)); its gradient does not vanish as T
 * grows (Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2).  T > 0. */
double loss_distillation(int64_t n, const real *z, const real *teacher, double t,
                         double weight, real *d);

/* Mean of (y - wanted)^2. */
double loss_mean_square(int64_t n, const real *y, const real *wanted, double weight,
                        real *d);

#endif /* HADMC_TRAIN_LOSS_H */
