/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled model gives for the samples of a data set, and how much of the
 * original's accuracy that is.  Bundles are run, never simulated: for integer models
 * the outputs are those of every target (docs/numerics.md). */
#ifndef HADMC_COMPRESS_EVALUATE_H
#define HADMC_COMPRESS_EVALUATE_H

#include "codegen/codegen.h"
#include "compress/metrics.h"
#include "frontend/dataset.h"

/* Output 0 of every sample, float32. */
struct outputs {
    int64_t n, row; /* samples; elements of one */
    float *at;      /* [n][row] */
};

/* Runs the bundle in `folder` on samples of `d`, whose inputs are the bundle's. */
struct status *evaluate_bundle(struct arena *a, const char *folder,
                               const struct dataset *d, int64_t n,
                               const int64_t *sample, struct outputs *out);

struct score {
    int64_t n;
    double kl;     /* mean over samples, nats; 0 where rows are no classes */
    double cosine; /* mean over samples */
    bool has_labels;
    struct metrics_paired top1;
};

/* The compressed model's outputs beside the original's. */
struct score evaluate_score(const struct dataset *d, const int64_t *sample,
                            const struct outputs *original,
                            const struct outputs *compressed);

#endif /* HADMC_COMPRESS_EVALUATE_H */
