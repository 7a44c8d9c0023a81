/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the programme over bits share: the chain that is searched, its
 * bounds (bits_bound.c) and its Pareto fronts (bits_front.c). */
#ifndef HADMC_SEARCH_BITS_CHAIN_H
#define HADMC_SEARCH_BITS_CHAIN_H

#include "search/bits_programme.h"

/* A problem ready to be searched: levels that are not allowed have kl INFINITY, a cost
 * without budget is 0 everywhere, costs may be rounded. */
struct bits_chain {
    int n, levels;
    const double *kl;         /* [n][levels] */
    const double *ns, *bytes; /* [n][levels]; whole numbers */
    const double *conversion; /* [n][levels][levels], of ns */
    double max_ns, max_bytes; /* INFINITY: no budget */
};

/* ---- bits_bound.c ------------------------------------------------------------------
 */

/* A weighted sum of the three costs. */
struct bits_weights {
    double kl, ns, bytes;
};

/* The path of least weighted cost, into path[n]; false: a unit has no level. */
bool bits_shortest(const struct bits_chain *c, struct bits_weights w, int *path);
/* Least weighted cost of the units after unit i, when it has level l: after[i][l]. */
void bits_costs_after(const struct bits_chain *c, struct bits_weights w, double *after);

/* The best plan found that meets the budgets, and multipliers of the budgets for which
 * the Lagrangian bound is good. */
struct bits_incumbent {
    double kl;                /* INFINITY: none found */
    int *path;                /* [n] */
    double per_ns, per_bytes; /* at least 0 */
};

void bits_find_incumbent(struct arena *a, const struct bits_chain *c,
                         struct bits_incumbent *out);

/* ---- bits_front.c ------------------------------------------------------------------
 */

/* A plan for the units so far. */
struct bits_state {
    double kl, ns, bytes;
    int32_t before; /* index in the layer of the unit before; -1 in the first */
    int32_t level;
};

struct bits_layers {
    int n; /* layers: units */
    struct bits_state **at;
    int *count;
    int64_t n_states;
};

/* Every layer's non-dominated states that meet the budgets and whose bound is not above
 * best->kl; in scratch memory.  false: more than max_states. */
bool bits_fronts(struct arena *scratch, const struct bits_chain *c,
                 const struct bits_incumbent *best, int64_t max_states,
                 struct bits_layers *out);
/* The levels of state `index` of the last layer. */
void bits_trace(const struct bits_layers *l, int index, int *path);

#endif /* HADMC_SEARCH_BITS_CHAIN_H */
