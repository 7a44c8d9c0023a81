/* SPDX-License-Identifier: Apache-2.0 */
/* Samples that are a little different in every epoch.  What happens to a sample depends
 * on the seed, the epoch and the sample's number, on nothing else. */
#ifndef HADMC_TRAIN_AUGMENT_H
#define HADMC_TRAIN_AUGMENT_H

#include <stdbool.h>

#include "frontend/dataset.h"

struct augment {
    int64_t crop; /* moved by up to so many pixels, both ways; the border repeats */
    bool flip;    /* left and right, every other time */
    double noise; /* standard deviation of what is added to each number, as a share of
                     the sample's own */
};

/* `x` in place; pictures are [1, C, H, W], other inputs only get noise. */
void augment_sample(const struct augment *a, const struct dataset_input *input,
                    uint64_t seed, int64_t epoch, int64_t sample, float *x,
                    float *scratch);

#endif /* HADMC_TRAIN_AUGMENT_H */
