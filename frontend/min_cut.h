/* SPDX-License-Identifier: Apache-2.0 */
/* The cheapest way to give every variable one of two labels.
 *
 * Variables are yes/no decisions; costs are linear (a label has a price), between
 * pairs (disagreeing has a price) or of groups (not all alike has a price, once).
 * All of these are arcs of a flow network, and the minimum cut is the best
 * assignment: no search, no heuristics.  Dinic's algorithm; networks here have a few
 * thousand nodes.
 *
 *     struct cut *k = cut_create(arena);
 *     int a = cut_variable(k), b = cut_variable(k);
 *     cut_price(k, a, 0, 10);            a = no costs 10
 *     cut_group(k, 3, 2, (int[]){a, b}); a != b costs 3
 *     cut_solve(k);
 *     if (cut_label(k, a)) ...
 */
#ifndef HADMC_FRONTEND_MIN_CUT_H
#define HADMC_FRONTEND_MIN_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"

#define CUT_FORBIDDEN (INT64_MAX / 4)

struct cut;

struct cut *cut_create(struct arena *a);
int cut_variable(struct cut *k);
/* A variable that is always no, or always yes. */
int cut_constant(const struct cut *k, bool label);

/* The variable's being no costs if_no, yes costs if_yes (both >= 0). */
void cut_price(struct cut *k, int variable, int64_t if_no, int64_t if_yes);
/* Costs `cost` unless all variables have the same label. */
void cut_group(struct cut *k, int64_t cost, int n, const int *variable);
/* cost[x][y], x and y being 0 or 1.  When cost[0][0] + cost[1][1] is more than
 * cost[0][1] + cost[1][0] no network can express it: false, nothing is added. */
bool cut_pair(struct cut *k, int x, int y, int64_t cost[2][2]);

void cut_solve(struct cut *k);
bool cut_label(const struct cut *k, int variable);

#endif /* HADMC_FRONTEND_MIN_CUT_H */
