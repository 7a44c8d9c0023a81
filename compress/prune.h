/* SPDX-License-Identifier: Apache-2.0 */
/* Channels are removed, and what reads the others is fitted to make good for it.
 *
 *     RETURN_IF_FAIL(prune_decide(g, &o, a, &p));   from samples, seconds
 *     RETURN_IF_FAIL(prune_apply(c, g, p));         at once, on any equal graph
 *
 *   which channels   those of a group (plan/channels.h) that give the layers which read
 *                    them least: sum over readers of |W_c|^2 E x_c^2, as a share of all
 *                    that the reader gets (consumer output energy)
 *   how many         a share of every group, what is kept rounded to the target's tile
 *   readers          new weights and biases from the inputs that are left, least
 * squares against what the original layer gives (moments.h), layer after layer, on
 * inputs that carry the errors of the layers before
 *
 * sources: He, Zhang, Sun 2017, arXiv:1707.06168, section 3.1 (least squares); on a
 * ResNet-20 with a quarter of the inner channels removed the mean divergence is 2.0
 * nats without, 0.5 with it
 */
#ifndef HADMC_COMPRESS_PRUNE_H
#define HADMC_COMPRESS_PRUNE_H

#include "frontend/dataset.h"
#include "plan/channels.h"

struct prune_options {
    double ratio; /* of the channels of every group; 0 to 0.99 */
    int tile; /* kept counts are multiples of it where a group has so many; 1: any */
    const struct dataset *data;
    int64_t n_samples; /* at least one */
    const int64_t *sample;
};

/* A unit of plan/units.h, in their order. */
struct pruned_unit {
    int64_t channels, n_kept;
    const int64_t *kept;  /* [n_kept] rising */
    const float *weights; /* as before removal; NULL: they stay */
    const float *bias;    /* [channels]; NULL: none, or it stays */
};

struct pruning {
    int n_units, n_classes;
    struct pruned_unit *units;
    bool *removed;                   /* [n_classes] of channels_find() */
    int64_t macs_before, macs_after; /* of all units */
};

/* What becomes of g, in `a`.  UNSUPPORTED without OpenBLAS. */
struct status *prune_decide(const struct ir_graph *g, const struct prune_options *o,
                            struct arena *a, struct pruning **out);

/* Changes g, which is the graph that was decided on, or made in the same way. */
struct status *prune_apply(struct compile *c, struct ir_graph *g,
                           const struct pruning *p);

#endif /* HADMC_COMPRESS_PRUNE_H */
