/* SPDX-License-Identifier: Apache-2.0 */
/* Which channels of a graph can be removed, and which only together.
 *
 *     conv1 [16] ---+--- Add --- conv2      channel i of conv1, of what it is added to
 * and conv0 [16] ---+                       input i of conv2 are one: they are kept or
 *                                           removed together
 *
 * Every index of every dim of every value has a class; operators say which are one
 * (channels_ties.c): the channels of an Add's operands, of a depthwise convolution's
 * input and result, all of one group of a convolution, a Concat's parts at their
 * offsets, the rows of a Gemm that a Reshape makes of one channel, a Pad's old channels
 * among the new, a head of keys with the queries that share it.  A class is fixed
 * where an operator does not work without it: the graph's inputs and outputs, spatial
 * dims, what Softmax runs over, everything about operators without a rule.
 *
 * A group is the classes that the same units make: those that a decision is about.
 *
 * source: dependency graphs, Fang et al. 2023, arXiv:2301.12900; here index by index,
 * so that offsets and paddings need no cases of their own
 */
#ifndef HADMC_PLAN_CHANNELS_H
#define HADMC_PLAN_CHANNELS_H

#include "plan/units.h"

enum { CHANNEL_FIXED = -1 };

struct channel_group {
    int n;              /* classes */
    const int *classes; /* rising */
    int n_units;
    const int *units; /* that make them, rising numbers of units_find() */
};

struct channels {
    int n_values;
    int n_classes;
    const int *const *const *of; /* of[value id][dim][index]: class, or CHANNEL_FIXED.
                                    NULL for a value that the graph does not have */
    const int *group_of;         /* by class */
    int n_groups;
    const struct channel_group *groups;
};

/* For the graph that units_find() has seen; in perm memory of its compile. */
struct channels *channels_find(const struct ir_graph *g, const struct unit *units,
                               int n_units);

/* The dim of a unit's result that counts its output channels. */
int channels_dim(const struct unit *u);

/* Which classes remain, [n_classes].  Indices of v's dim d that do. */
int64_t channels_kept(const struct channels *ch, const bool *removed,
                      const struct ir_value *v, int d);

/* ---- what channels.c and channels_ties.c share --------------------------------- */

struct ties;
/* Index i of a dim and index k of another one are one class; all of a dim are fixed. */
void ties_join(struct ties *t, const struct ir_value *a, int da, int64_t i,
               const struct ir_value *b, int db, int64_t k);
void ties_fix(struct ties *t, const struct ir_value *v, int d);
void ties_fix_all(struct ties *t, const struct ir_value *v);
/* Which of the `n` dims that Reshape's result `y` splits or merges carries the channels
 * of dim d of `one`. */
int ties_carrier(struct ties *t, const struct ir_value *y, const struct ir_value *one,
                 int d, int n);
/* What one operator says; bodies and all that they read are fixed. */
void ties_of_node(struct ties *t, const struct ir_node *n);

#endif /* HADMC_PLAN_CHANNELS_H */
