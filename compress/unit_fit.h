/* SPDX-License-Identifier: Apache-2.0 */
/* A unit between the original graph and the compressed one, which run side by side:
 * what it reads in the compressed one, what it gave in the original.
 *
 *     struct unit_fit f = unit_fit_begin(a, &p, reals, changed);
 *     moments_fit(f.sums, f.weights, f.fitted);          or what else makes weights
 *     unit_fit_biases(&f);
 *     unit_fit_run(&f, changed);
 */
#ifndef HADMC_COMPRESS_UNIT_FIT_H
#define HADMC_COMPRESS_UNIT_FIT_H

#include "compress/flow.h"
#include "compress/moments.h"

struct unit_fit {
    const struct product *p;
    struct moments_sums *sums; /* finished */
    bool has_bias;             /* one can be added */
    float *weights, *fitted;   /* [channels][k]: of the graph; to be filled */
    float *bias;               /* [channels]: of the graph, then best for `fitted` */
    float *scratch;
};

/* Finished moments, of about `most_rows` rows: what the unit reads in `read`, and gives
 * in `given`. */
struct moments_sums *unit_fit_sums(struct arena *a, const struct product *p,
                                   const struct flow *read, const struct flow *given,
                                   int64_t most_rows, bool has_bias);

/* In `a`; node's input in `changed` and output in `reals` are there. */
struct unit_fit unit_fit_begin(struct arena *a, const struct product *p,
                               const struct flow *reals, const struct flow *changed);
/* So that every channel's mean stays; where there can be no bias, it stays. */
void unit_fit_biases(struct unit_fit *f);
/* What the unit gives in `changed`. */
void unit_fit_run(const struct unit_fit *f, struct flow *changed);

/* The node's constants become these, which it borrows; NULL: they stay as they are. */
void unit_fit_store(struct ir_node *n, const float *weights, const float *bias,
                    int64_t n_channels);

#endif /* HADMC_COMPRESS_UNIT_FIT_H */
