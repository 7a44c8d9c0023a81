/* SPDX-License-Identifier: Apache-2.0 */
/* What can be one kernel with a unit, seen in the graph: the activation and the
 * residual sum that follow it, each the only reader of what comes before.
 *
 * Batch normalization is part of a unit's weights before units are found
 * (frontend/fold_batchnorm.c), so of the patterns that differ in it only, one counts.
 */
#ifndef HADMC_PLAN_FUSION_H
#define HADMC_PLAN_FUSION_H

#include "plan/plan.h"

enum { FUSION_MOST_NODES = 3 };

/* The pattern that the graph has after n; those nodes, n first, in their order. */
enum plan_pattern fusion_find(const struct ir_node *n, int *n_nodes,
                              const struct ir_node *nodes[FUSION_MOST_NODES]);

/* Whether a kernel of this pattern may take an activation, a residual sum. */
bool fusion_takes_activation(enum plan_pattern p);
bool fusion_takes_sum(enum plan_pattern p);

/* What the plan says about a node; `all` for those that are no unit of it, or without
 * a plan. */
enum plan_pattern fusion_of(const struct plan *p, const struct ir_node *n);
/* For every unit. */
void fusion_set(struct plan *p, enum plan_pattern pattern);

#endif /* HADMC_PLAN_FUSION_H */
