/* SPDX-License-Identifier: Apache-2.0 */
/* Which bit widths for which unit: an exact dynamic programme over the chain of units.
 *
 *     minimise    sum of kl[i][level i]
 *     subject to  sum of ns[i][level i] + conversion_ns[i][level i-1][level i] <=
 * max_ns sum of bytes[i][level i]                                     <= max_bytes
 *                 ram[i][level i]                                 <= max_ram for every
 * i
 *
 * Unit by unit and level by level it keeps every partial plan that no other one beats
 * in time, bytes and divergence at once (the Pareto front), so nothing is rounded: the
 * answer is the optimum.  Fronts stay small because a partial plan is dropped when its
 * cheapest completion breaks a budget, or when a Lagrangian bound shows that it cannot
 * become better than a plan that is known already.
 *
 * Only when more than max_states would be kept are times and bytes rounded up to
 * multiples of step_ns and step_bytes, doubled until it fits.  The plan still meets the
 * budgets, and no plan is better that leaves 2 n step_ns of the time and n step_bytes
 * of the bytes unused.
 *
 * On a graph that is no chain the units in the order in which they run are taken for
 * one: sums over units stay exact, conversion costs are an approximation.
 *
 * source: multiple-choice knapsack, Kellerer, Pferschy, Pisinger, "Knapsack Problems",
 *         2004, chapter 11 (dominance, Lagrangian bounds)
 */
#ifndef HADMC_SEARCH_BITS_PROGRAMME_H
#define HADMC_SEARCH_BITS_PROGRAMME_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"

#define BITS_NO_BUDGET INT64_MAX

enum {
    BITS_MAX_UNITS = 4096,
    BITS_MAX_LEVELS = 16,
    BITS_MAX_COST_LOG2 = 40, /* of one ns or bytes entry: sums stay exact in a double */
};

struct bits_problem {
    int n_units, n_levels; /* 1 to BITS_MAX_... */
    const double *kl;      /* [n_units][n_levels], at least 0; INFINITY: not allowed */
    const int64_t *ns, *bytes;    /* [n_units][n_levels], 0 to 2^40 */
    const int64_t *ram;           /* [n_units][n_levels], or NULL */
    const int64_t *conversion_ns; /* [n_units][n_levels][n_levels]: before unit i, from
                                     the level of unit i - 1 to its own; those of unit 0
                                     are not read.  NULL: conversions cost nothing */
    int64_t max_ns, max_bytes, max_ram; /* at least 1, or BITS_NO_BUDGET */
    int64_t max_states;                 /* kept in all; 0: 2^20, which take 32 MiB */
};

/* Which budget no plan can meet. */
enum bits_blocked {
    BITS_FITS,             /* a plan meets them all */
    BITS_BLOCKED_BY_NS,    /* none meets max_ns */
    BITS_BLOCKED_BY_BYTES, /* none meets max_bytes */
    BITS_BLOCKED_BY_BOTH,  /* none meets either, or none meets both at once */
    BITS_BLOCKED_BY_RAM,   /* a unit has no level within max_ram */
    BITS_NO_LEVEL,         /* a unit has no allowed level */
};

struct bits_answer {
    enum bits_blocked blocked;
    const int *levels; /* [n_units] */
    double kl;
    int64_t ns, bytes;
    int64_t least_ns, least_bytes; /* what a plan needs at least of each alone */
    int64_t step_ns, step_bytes;   /* 1: not rounded */
    int64_t n_states;              /* kept in all, for tests and curiosity */
};

/* What lives on is in `a`.  A problem that no plan solves is answered with the closest
 * plan: its worse ratio of cost to budget is the least there is, then its better one,
 * then its time; then, with the budgets that this plan breaks raised to its costs, kl
 * is least.  With BITS_BLOCKED_BY_RAM max_ram is ignored in the answer, and the other
 * budgets are raised in the same way where they have to be; with BITS_NO_LEVEL there is
 * no answer (levels is NULL).  After rounding BITS_BLOCKED_BY_BOTH may be wrong by as
 * much as the steps say. */
struct bits_answer bits_programme(struct arena *a, const struct bits_problem *p);

/* "time", "bytes" ...: for messages; "" for BITS_FITS. */
const char *bits_blocked_text(enum bits_blocked blocked);

#endif /* HADMC_SEARCH_BITS_PROGRAMME_H */
