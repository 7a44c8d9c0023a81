/* SPDX-License-Identifier: Apache-2.0 */
/* The main job with --bits 8 or --distill: calibrates and trains on --data, compiles,
 * and says what came of the accuracy, on samples that neither has seen. */
#ifndef HADMC_CLI_QUANTIZED_H
#define HADMC_CLI_QUANTIZED_H

#include "codegen/compile_model.h"

struct quantized_options {
    const char *data; /* path of a data set */
    const char *spec; /* file of its specification; NULL: what is in it */
    uint64_t seed;    /* of the split into calibration and test samples */
    bool integers;    /* otherwise the graph stays in floats, and is only trained */
    const char *distill; /* settings of training.h; NULL: no training */
    const char *train;   /* data set to train on; NULL: what `data` has for it */
};

/* compile_model(model, co) with the graph quantized; prints the comparison. */
struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o);

#endif /* HADMC_CLI_QUANTIZED_H */
