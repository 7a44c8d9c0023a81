/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of pruning share.
 *
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
    bool is_trial; /* only readers of what is removed are fitted */
};

/* Samples of which both graphs' values fit into memory, at most `most`. */
int64_t prune_samples(const struct pruner *q, int64_t most);
/* The class of what weight i of a channel multiplies. */
int prune_input_class(const struct pruner *q, const struct product *p, int64_t i);
bool prune_is_removed(const struct pruner *q, int class);

/* Fills q->p->removed and the units' kept channels. */
struct status *prune_choose(struct pruner *q);
/* The same, as q->o->plan says. */
struct status *prune_take_plan(struct pruner *q);

/* ---- prune.c --------------------------------------------------------------------- */

/* New weights for the units, with q->p->removed gone, from so many samples; and what
 * the model's outputs lose on these (output_loss), unless `loss` is NULL. */
struct status *prune_fit(struct pruner *q, int64_t most_samples, double *loss);

#endif /* HADMC_COMPRESS_PRUNE_PARTS_H */
