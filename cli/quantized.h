/* SPDX-License-Identifier: Apache-2.0 */
/* The main job with --bits 8: calibrates on --data, compiles, and says what the
 * integers cost in accuracy, on samples that calibration has not seen. */
#ifndef HADMC_CLI_QUANTIZED_H
#define HADMC_CLI_QUANTIZED_H

#include "codegen/compile_model.h"

struct quantized_options {
    const char *data; /* path of a data set */
    const char *spec; /* file of its specification; NULL: what is in it */
    int bits;      /* of weights: 8 or 4; activations have 8 */
    uint64_t seed;    /* of the split into calibration and test samples */
};

/* compile_model(model, co) with the graph quantized; prints the comparison. */
struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o);

#endif /* HADMC_CLI_QUANTIZED_H */
