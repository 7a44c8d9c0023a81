/* SPDX-License-Identifier: Apache-2.0 */
/* What a node does, found out by running it on chosen inputs: operators that move
 * elements or add them with fixed factors need no second definition here. */
#ifndef HADMC_TRAIN_PROBE_H
#define HADMC_TRAIN_PROBE_H

#include "frontend/ir.h"

/* Operand `k` is `x`; other operands that are computed are zero.  Results, of float32,
 * in `a`; NULL where an output is left out. */
struct status *probe(struct arena *a, const struct ir_node *n, int k, const float *x,
                     const float **out);

/* Where the elements of the results come from: at[i][j] is the element of operand k
 * that element j of output i repeats, -1 when it is another operand's or a constant,
 * which is then in fill[i][j].  UNSUPPORTED for more than 2^24 elements. */
struct status *probe_moves(struct arena *a, const struct ir_node *n, int k,
                           const int64_t **at, const float **fill);

#endif /* HADMC_TRAIN_PROBE_H */
