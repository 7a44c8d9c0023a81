/* SPDX-License-Identifier: Apache-2.0 */
/* Every unit compressed in many ways, each way once, and whole networks put together
 * from them: what a search asks thousands of times.
 *
 *     RETURN_IF_FAIL(variants_create(c, g, &o, &v));       seconds
 *     struct variant plan[v->n_units];                     a share and bits each
 *     RETURN_IF_FAIL(variants_run(v, plan, &result));      milliseconds
 *     variants_plan(v, plan, target)                       for prune.h and quantize.h
 *     variants_destroy(v);
 *
 *   which channels   those of a group (plan/channels.h) go in the order of prune_rank;
 *                    how many, the group's leader says: the first unit that makes them
 *   weights          of a unit: what its inputs can still say about its result is
 *                    fitted by least squares for each set of inputs that are left, and
 *                    rounded for each width (round_weights.h), on the float network's
 *                    inputs; for 16 bits to the nearest IEEE binary16.  Rows are
 *                    independent, so its own lost channels need no variant
 *   activations      one grid for each tensor, from the network in 8 bits throughout;
 *                    from 16 bits on real numbers
 *   biases           when stitched: each channel's mean over some calibration samples
 *                    is what it was
 *
 * The network runs in float32 on codes, node by node on all samples; what a plan has in
 * common with the one before is not computed again, and how earlier plans began is
 * kept, up to 1 GiB.  Pruning and quantization proper see the errors of the units
 * before, here each unit stands alone: what comes of a plan in the end is better than
 * the estimate, more so the more is pruned (docs/search.md).
 */
#ifndef HADMC_COMPRESS_VARIANTS_H
#define HADMC_COMPRESS_VARIANTS_H

#include "compress/evaluate.h"
#include "plan/channels.h"
#include "plan/plan.h"

struct variants_options {
    const struct dataset *data;
    int64_t n_calibration; /* at least one */
    const int64_t *calibration;
    int64_t n_scored; /* at least one; as many as fit into memory are used */
    const int64_t *scored;
    int tile;     /* channels of a group that stay are a multiple of it; at least 1 */
    bool forgets; /* values of earlier plans: few plans will be run */
};

/* What may be chosen for a unit. */
struct variant_unit {
    int leader;       /* the unit whose share is this one's; itself or an earlier one */
    int64_t channels; /* that the share is of; 0: none may go */
    bool may_be_codes;  /* 8 and 4 bits */
    bool may_be_halves; /* 16 bits */
    float largest; /* magnitude of its inputs and results on the calibration samples */
};

/* What is chosen; of a unit with another leader `prune` is not read. */
struct variant {
    double prune; /* share of the channels; 0 to 0.9 */
    int bits;     /* of weights: 4, 8, 16 or 32; activations have 8 below 16 */
};

struct variants {
    int n_units;
    const struct unit *units; /* of the graph, as units_find has them */
    const struct variant_unit *unit;
    const struct channels *channels;
    int64_t n_scored;
    /* For curiosity: variants so far, and the processor's time that they took. */
    int64_t n_made;
    double seconds_made;
};

struct variants_result {
    double loss; /* output_loss of unit_losses.h, from the original */
    double drop; /* points of accuracy, score_drop; 0 without labels */
};

/* Borrows the graph, which is not changed, and the options' data.  UNSUPPORTED without
 * OpenBLAS. */
struct status *variants_create(struct compile *c, struct ir_graph *g,
                               const struct variants_options *o, struct variants **out);
void variants_destroy(struct variants *v); /* NULL is fine */

/* Of a unit's weights where `bits` are asked for: what it may not have it has as in the
 * model. */
int variants_bits(const struct variants *v, int unit, int bits);
/* removed[channels->n_classes] of a plan. */
void variants_remove(const struct variants *v, const struct variant *plan,
                     bool *removed);
/* Output channels that a unit keeps, and inputs that each of them still sums. */
int64_t variants_outputs(const struct variants *v, int unit, const bool *removed);
int64_t variants_inputs(const struct variants *v, int unit, const bool *removed);

/* The stitched network on the scored samples.  Equal plans give equal results, whatever
 * ran before. */
struct status *variants_run(struct variants *v, const struct variant *plan,
                            struct variants_result *out);

/* The same as decisions for prune_decide and quantize_decide; in perm memory of the
 * graph's compile.  Activations of units of 16 bits have 32. */
struct plan *variants_plan(const struct variants *v, const struct variant *plan,
                           const char *target);

#endif /* HADMC_COMPRESS_VARIANTS_H */
