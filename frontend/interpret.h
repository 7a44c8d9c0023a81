/* SPDX-License-Identifier: Apache-2.0 */
/* The reference interpreter: runs a graph node by node on the library kernels,
 * compiled natively.  It is what every generated library is compared with, and
 * how constants are folded. */
#ifndef HADMC_FRONTEND_INTERPRET_H
#define HADMC_FRONTEND_INTERPRET_H

#include "frontend/ir.h"

struct lowering;

/* A tensor with contents.  `dim` are actual dims; `data` dense row-major. */
struct tensor {
    enum dtype dtype;
    int rank;
    int64_t dim[IR_MAX_RANK];
    void *data;
};

/* Results per value id, for callers that want every intermediate. */
struct interpretation {
    struct tensor *by_id; /* [compile->n_values]; data NULL when not computed */
};

/* Run g on `in` (n_in tensors that match the graph's inputs in dtype and dims).
 * All memory comes from `a`.  A kernel cannot fail; this fails for inputs that do
 * not match and for nodes without a lowering. */
struct status *interpret(struct arena *a, const struct ir_graph *g,
                         const struct tensor *in, struct interpretation *out);

/* One node on values that already have contents (constant folding).  Operands that
 * are constants need not be in `io`. */
struct status *interpret_node(struct arena *a, const struct ir_node *n,
                              struct interpretation *io);

/* The same for a node whose lowering is known already, and which is no OPT_CONTROL:
 * for running it again and again. */
void interpret_lowered(struct arena *a, const struct ir_node *n,
                       const struct lowering *lw, struct interpretation *io);

/* All nodes of g in order; its inputs are in `io`.  For bodies. */
struct status *interpret_nodes(struct arena *a, const struct ir_graph *g,
                               struct interpretation *io);

/* A tensor in io for a value without contents yet: constants point to their data,
 * everything else gets zeroed memory for the full (or capacity) size. */
struct tensor *interpret_value(struct arena *a, const struct ir_value *v,
                               struct interpretation *io);

/* control_flow.c: If and Loop (interpret_node calls it for OPT_CONTROL). */
struct status *interpret_control_node(struct arena *a, const struct ir_node *n,
                                      struct interpretation *io);

#endif /* HADMC_FRONTEND_INTERPRET_H */
