/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that compute the same on transposed operands.
 *
 * With order[] of rank r, "v in another order" is the value with
 * dim[i] = v->dim[order[i]].  A node is permutable when, given its operands of rank
 * r in another order, it can produce its outputs in that order, byte for byte: after
 * changing axis numbers, pads and the like.  Constants are transposed right away.
 */
#ifndef HADMC_FRONTEND_PERMUTE_H
#define HADMC_FRONTEND_PERMUTE_H

#include "frontend/ir.h"

enum permute_role {
    PERMUTE_DATA,      /* a computed operand of full rank: wanted in another order */
    PERMUTE_CONSTANT,  /* transposed at compile time */
    PERMUTE_BROADCAST, /* computed, of smaller rank: gets dims of 1 and follows */
    PERMUTE_SETTING,   /* axes, pads, limits: not indexed by the output's dims */
};

bool permute_can(const struct ir_node *n, const int order[]);
enum permute_role permute_role(const struct ir_node *n, int i);

/* Build the node in another order before n.  data[i] is input i in that order for
 * every PERMUTE_DATA input; outputs of the new node correspond to n's. */
struct status *permute_node(struct ir_node *n, const int order[],
                            struct ir_value *const data[], struct ir_node **out);

/* v in another order, by a Transpose before `at`, or a constant. */
struct status *permute_value(struct ir_graph *g, struct ir_node *at, struct ir_value *v,
                             const int order[], struct ir_value **out);

/* Attributes of `from`, independent of it from now on. */
void permute_copy_attrs(const struct ir_node *from, struct ir_node *to);

void permute_inverse(int rank, const int order[], int inverse[]);
/* Only dims of size 1 change places: the bytes stay where they are. */
bool permute_is_free(const struct ir_value *v, const int order[]);

#endif /* HADMC_FRONTEND_PERMUTE_H */
