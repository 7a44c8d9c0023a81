/* SPDX-License-Identifier: Apache-2.0 */
/* What a compiled model gives for the samples of a data set, and how much of the
 * original's accuracy that is.  Bundles are run, never simulated: for integer models
 * the outputs are those of every target (docs/numerics.md). */
#ifndef HADMC_COMPRESS_EVALUATE_H
#define HADMC_COMPRESS_EVALUATE_H

#include "codegen/codegen.h"
#include "compress/metrics.h"
#include "frontend/dataset.h"

/* One output for all samples. */
struct output {
    const char *name;
    int rank;
    int64_t dim[IR_MAX_RANK];
    int64_t row; /* elements of one sample */
    float *at;   /* [n][row]; NULL: neither float32 nor of fixed size */
};

struct outputs {
    int64_t n; /* samples */
    int n_outputs;
    struct output *output; /* the first is there */
};

/* Runs the bundle in `folder` on samples of `d`, whose inputs are the bundle's. */
struct status *evaluate_bundle(struct arena *a, const char *folder,
                               const struct dataset *d, int64_t n,
                               const int64_t *sample, struct outputs *out);

/* What labels are compared with: the first output, or what a decoder makes of all. */
enum score_kind {
    SCORE_NONE, /* there are no labels */
    SCORE_TOP1, /* a share, more is better */
    SCORE_PERPLEXITY,
    SCORE_AP50, /* 0 to 1, more is better */
};

extern const char *const score_names[]; /* by enum; NULL for none */

struct score {
    int64_t n;
    bool has_kl;
    double kl;     /* mean over rows of classes or tokens, nats */
    double cosine; /* mean over samples and outputs */
    enum score_kind kind;
    double original, compressed;
    struct metrics_paired top1; /* SCORE_TOP1 */
};

/* What is lost from the original to the compressed model, in points: of a share 1 % is
 * one point, of a perplexity a rise by 1 %.  0 without labels. */
double score_drop(const struct score *s);

/* The compressed model's outputs beside the original's.  INVALID: a decoder does not
 * fit to the outputs. */
struct status *evaluate_score(const struct dataset *d, const int64_t *sample,
                              const struct outputs *original,
                              const struct outputs *compressed, struct score *out);

#endif /* HADMC_COMPRESS_EVALUATE_H */
