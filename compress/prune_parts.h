/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of pruning share.
 *
 *     prune_price.c    what the readers of a channel lose without it
 *     prune_magnitude.c  the same by the weights that make it
 *     prune_taylor.c   the same by the gradients of these
 *     prune_work.c     what the model computes, in whole tiles
 *     prune_choose.c   which channels go
 *     prune.c          what reads the others is fitted; the graph shrinks
 */
#ifndef HADMC_COMPRESS_PRUNE_PARTS_H
#define HADMC_COMPRESS_PRUNE_PARTS_H

#include "compress/product.h"
#include "compress/prune.h"

struct pruner {
    const struct ir_graph *g;
    const struct prune_options *o;
    struct arena *arena;
    const struct unit *units;
    const struct channels *ch;
    struct pruning *p;
    bool touched;  /* something before the node that runs has been removed */
    bool is_trial; /* only readers of what is removed are fitted, and none is kept */
};

/* Samples of which both graphs' values fit into memory, at most `most`. */
int64_t prune_samples(const struct pruner *q, int64_t most);
/* The class of what weight i of a channel multiplies. */
int prune_input_class(const struct pruner *q, const struct product *p, int64_t i);
bool prune_is_removed(const struct pruner *q, int class);

/* ---- prune_price.c --------------------------------------------------------------- */

struct prices;
struct status *prices_create(struct pruner *q, struct prices **out);
/* What is lost with a class: as a share of what each of its readers gives, or whatever
 * the saliency counts in. */
double prices_of(const struct prices *p, int class);
/* The class is gone: what is left gets new prices. */
void prices_take(struct prices *p, int class);
/* Of the classes of one group, in `a`: what is taken from it leaves `whole` as it is.
 */
struct prices *prices_of_group(const struct prices *whole, int group, struct arena *a);

/* ---- prune_magnitude.c ----------------------------------------------------------- */

/* By the weights of the units that make each class: price[n_classes] grows. */
void prices_by_magnitude(const struct pruner *q, double *price);

/* ---- prune_taylor.c -------------------------------------------------------------- */

/* The same by what the loss would do without each class, to first order.  UNSUPPORTED:
 * something has no derivative. */
struct status *prices_by_taylor(const struct pruner *q, double *price);

/* ---- prune_work.c ---------------------------------------------------------------- */

/* Multiply-adds of all units with what is left, and the same with every unit's channels
 * rounded up to whole tiles: what the target's kernels compute.  The time of these is
 * modelled (hal/cost.h), in nanoseconds; 0 without a device. */
struct prune_work {
    double macs, tiled, time;
    double tiled_before, time_before; /* with all channels */
    struct prune_sizes *sizes;        /* what each class has of the units */
};

struct prune_work *prune_work_create(struct pruner *q, struct prune_tile tile);
/* Classes that the work counts go, or come back. */
void prune_work_take(struct prune_work *w, int class);
void prune_work_put_back(struct prune_work *w, int class);
/* From now on; does not change macs. */
void prune_work_set_tile(struct prune_work *w, struct prune_tile tile);

/* ---- prune_choose.c -------------------------------------------------------------- */

/* Fills q->p->removed, the units' kept channels and the multiply-adds. */
struct status *prune_choose(struct pruner *q);
/* The same, as q->o->plan says. */
struct status *prune_take_plan(struct pruner *q);

/* ---- prune.c --------------------------------------------------------------------- */

/* New weights for the units, with q->p->removed gone. */
struct status *prune_fit(struct pruner *q);
/* What outputs lose (output_loss) with weights of which none are kept, on samples that
 * these were not fitted to. */
struct status *prune_try(struct pruner *q, double *loss);

#endif /* HADMC_COMPRESS_PRUNE_PARTS_H */
