/* SPDX-License-Identifier: Apache-2.0 */
/* Channels that are removed leave the graph: constants lose their rows and columns,
 * attributes their counts, values their elements. */
#ifndef HADMC_COMPRESS_SHRINK_H
#define HADMC_COMPRESS_SHRINK_H

#include "plan/channels.h"

/* Changes g.  removed[ch->n_classes]; every dim keeps an index (shrink_keeps_all_dims).
 * What is left computes what the graph gives when the removed channels are zero where
 * they are read. */
struct status *shrink_graph(struct compile *c, struct ir_graph *g,
                            const struct channels *ch, const bool *removed);

/* No dim loses all of its indices. */
bool shrink_keeps_all_dims(const struct ir_graph *g, const struct channels *ch,
                           const bool *removed);

#endif /* HADMC_COMPRESS_SHRINK_H */
