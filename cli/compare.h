/* SPDX-License-Identifier: Apache-2.0 */
/* How far a tensor is from what was expected. */
#ifndef HADMC_CLI_COMPARE_H
#define HADMC_CLI_COMPARE_H

#include <stdbool.h>

#include "frontend/interpret.h"

struct difference {
    double scale;      /* largest finite |expected|; 1 if that is 0 */
    double max_error;  /* largest |got - expected| / scale; integers: largest |a - b| */
    double mean_error; /* mean of the same */
    int64_t worst_at;  /* flattened index of the largest */
    double worst_got, worst_expected;
    int64_t n_unequal;
    bool is_float;
};

/* Equal infinities differ by 0, NaN from NaN by 0, anything else by infinity.
 * INVALID when type or shape are not the same. */
struct status *compare_tensors(const struct tensor *got, const struct tensor *expected,
                               struct difference *out);

/* Floats: max_error <= tolerance and mean_error <= tolerance / 10.  Integers: equal. */
bool compare_within(const struct difference *d, double tolerance);

/* Element i as a double. */
double compare_element(enum dtype dtype, const void *data, int64_t i);

#endif /* HADMC_CLI_COMPARE_H */
