/* SPDX-License-Identifier: Apache-2.0 */
/* Channels are removed, and what reads the others is fitted to make good for it.
 *
 *     RETURN_IF_FAIL(prune_decide(g, &o, a, &p));   from samples, seconds
 *     RETURN_IF_FAIL(prune_apply(c, g, p));         at once, on any equal graph
 *
 *   which channels   those whose loss the layers that read them can make up for best
 *                    (prune_choose.c), for the time or the multiply-adds saved, until
 *                    the wanted share of the multiply-adds is gone
 *   their readers    get new weights and biases: least squares on the inputs that are
 *                    left against what the original layer gives (moments.h), layer
 * after layer, on inputs that carry the errors of the layers before
 *
 * source: least squares as in He, Zhang, Sun 2017, arXiv:1707.06168, section 3.1
 */
#ifndef HADMC_COMPRESS_PRUNE_H
#define HADMC_COMPRESS_PRUNE_H

#include "frontend/dataset.h"
#include "plan/channels.h"
#include "plan/plan.h"

/* What the target's kernels compute together; 0 and 1: any number of channels. */
struct prune_tile {
    int64_t outputs, inputs;
};

enum prune_saliency {
#define SALIENCY(id, word, about) SALIENCY_##id,
#include "compress/saliency.def"
};

extern const char *const prune_saliencies[]; /* by enum; ends with NULL */

struct prune_options {
    double ratio;           /* of all multiply-adds; 0 to 0.99 */
    struct prune_tile tile; /* what remains is whole tiles as far as that goes */
    /* Whose time counts beside the multiply-adds, and in which widths; NULL: no time.
     */
    const struct device *device;
    int weight_bits, activation_bits;
    int64_t batch; /* samples at once; 0 counts as 1 */
    enum prune_saliency saliency;
    const struct plan *plan; /* NULL, or which channels of the graph's units remain */
    const struct dataset *data;
    int64_t n_samples; /* at least one */
    const int64_t *sample;
    /* Told before each group is tried, with how many there are; or NULL. */
    void (*progress)(int group, int n_groups, void *arg);
    void *progress_arg;
};

/* A unit of plan/units.h, in their order. */
struct pruned_unit {
    int64_t channels, n_kept;
    const int64_t *kept; /* [n_kept] rising */
    const float
        *weights;      /* of what is left, as they lie in the model; NULL: they stay */
    const float *bias; /* [n_kept]; NULL: none, or it stays */
};

struct pruning {
    int n_units, n_classes;
    struct pruned_unit *units;
    bool *removed;                   /* [n_classes] of channels_find() */
    int64_t macs_before, macs_after; /* of all units */
};

/* What becomes of g, in `a`.  UNSUPPORTED without OpenBLAS, and when no channel can be
 * removed without a plan; INVALID when channels of a plan belong to others that it
 * keeps. */
struct status *prune_decide(const struct ir_graph *g, const struct prune_options *o,
                            struct arena *a, struct pruning **out);

/* In which order the classes of each group go when only this group loses any: rank
 * [n_classes of channels_find()] in `a`, 0 for the first of its group.  o->ratio,
 * o->tile and o->plan are not read. */
struct status *prune_rank(const struct ir_graph *g, const struct prune_options *o,
                          struct arena *a, int **rank);

/* Changes g, which is the graph that was decided on, or made in the same way. */
struct status *prune_apply(struct compile *c, struct ir_graph *g,
                           const struct pruning *p);

#endif /* HADMC_COMPRESS_PRUNE_H */
