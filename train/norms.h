/* SPDX-License-Identifier: Apache-2.0 */
/* Batch normalization for a network whose own has been folded into the convolutions:
 * put behind them before training, folded again after it.
 *
 *     y = conv(x; W, b)
 *     y = bn(conv(x; k W, k b); gamma, beta, k mean, k^2 var)      k = 1 / |W|
 *     gamma = sqrt(k^2 var + eps) / k      beta = mean
 *
 * mean and var are what y has on some samples, so nothing changes but rounding.  From
 * there on a channel's gradient is at right angles to its weights, and a step turns all
 * channels by angles of the same order, however large their weights were (Salimans and
 * Kingma 2016, arXiv:1602.07868; van Laarhoven 2017, arXiv:1706.05350).
 */
#ifndef HADMC_TRAIN_NORMS_H
#define HADMC_TRAIN_NORMS_H

#include "frontend/dataset.h"
#include "frontend/ir.h"

/* Behind every convolution with constant float weights; *n_inserted is how many.  None
 * where a graph has a normalization of its own or works with codes. */
struct status *norms_insert(struct compile *c, struct ir_graph *g,
                            const struct dataset *data, int64_t n_samples,
                            const int64_t *sample, int n_threads, int *n_inserted);

/* All of them, into the convolutions before. */
struct status *norms_fold(struct compile *c, struct ir_graph *g);

#endif /* HADMC_TRAIN_NORMS_H */
