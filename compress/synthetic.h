/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up samples for models that come without any: enough to find ranges of
 * activations, too little to know an accuracy.
 *
 * Pictures and sounds (rank 3 and more) are sums of noise in cells of 1, 2, 4, 8, 16
 * elements, of equal strength, so that their power falls with the frequency as that of
 * natural ones does (Field 1987); everything else is white.  Values are normal with
 * mean 0 and a deviation of 1, unless the model has a BatchNormalization: then the
 * deviation with which the first one sees the variance that it was trained with.
 */
#ifndef HADMC_COMPRESS_SYNTHETIC_H
#define HADMC_COMPRESS_SYNTHETIC_H

#include "frontend/ir.h"

struct synthetic_options {
    int64_t n_train, n_test;
    uint64_t seed;
};

/* Writes .npy files and dataset.json into the folder: a set that dataset_open reads for
 * g.  g is a graph as imported, before any pass.  UNSUPPORTED: an input is not float32
 * of fixed size. */
struct status *synthetic_write(const struct ir_graph *g, const char *folder,
                               const struct synthetic_options *o);

#endif /* HADMC_COMPRESS_SYNTHETIC_H */
