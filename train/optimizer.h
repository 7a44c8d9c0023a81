/* SPDX-License-Identifier: Apache-2.0 */
/* Steps down a gradient.
 *
 *     sgd      v = momentum v + g + decay w       w -= rate v
 *              with Nesterov's look ahead         w -= rate (g + decay w + momentum v)
 *     adam     m = b1 m + (1 - b1) g              m' = m / (1 - b1^t)
 *              v = b2 v + (1 - b2) g^2            v' = v / (1 - b2^t)
 *              w -= rate m' / (sqrt(v') + eps)
 *     adamw    the same, and w -= rate decay w
 *
 * Adam's g includes decay w (Kingma and Ba 2015, arXiv:1412.6980), AdamW's does not
 * (Loshchilov and Hutter 2019, arXiv:1711.05101).
 *
 * b1 = momentum, b2 = 0.999, eps = 1e-8.
 *
 * The rate grows linearly over the warm-up, then falls along half a cosine (Loshchilov
 * and Hutter 2017, arXiv:1608.03983), by 10 after one half and three quarters of the
 * steps, or not at all.
 */
#ifndef HADMC_TRAIN_OPTIMIZER_H
#define HADMC_TRAIN_OPTIMIZER_H

#include "train/train_real.h"
#include "train/train_settings.h"

/* For step 0 ... steps - 1. */
double optimizer_rate(const struct optimizer *o, int64_t step);

/* One step for n weights with the same decay; `rate` is that of the step times what is
 * the weights' own.  m and v start at zero; SGD uses v alone. */
void optimizer_step(const struct optimizer *o, int64_t step, double rate, double decay,
                    int64_t n, const real *gradient, real *w, real *m, real *v);

#endif /* HADMC_TRAIN_OPTIMIZER_H */
