/* SPDX-License-Identifier: Apache-2.0 */
/* The search over bit widths: the exact programme (bits_programme.h) proposes plans
 * from the sensitivity table, each is compiled and measured, and what the table could
 * not know tightens the next proposal.
 *
 *   with budgets    the plan with the least sum of KL that meets them; where the
 *                   measured bytes or time are above a budget, the programme's budget
 *                   shrinks by that ratio
 *   without         the fastest plan whose measured loss of accuracy is allowed: the
 *                   sum of KL that a plan may have is bisected
 */
#ifndef HADMC_SEARCH_BITS_SEARCH_H
#define HADMC_SEARCH_BITS_SEARCH_H

#include "search/sensitivity.h"

enum { BITS_SEARCH_MOST = 8 }; /* plans that are measured */

/* A plan and what it costs. */
struct bits_point {
    const int *levels; /* [n_units] */
    double kl;         /* by the table */
    int64_t ns, bytes; /* by the table */
    /* Measured: */
    double drop;        /* accuracy lost, in points; may be negative */
    int64_t file_bytes; /* of the weights */
    double run_ns;      /* of one inference; 0: not measured */
};

struct bits_search {
    const struct sensitivity *table;
    const int64_t *conversion_ns; /* sensitivity_conversions */
    double max_drop;              /* points; INFINITY: any */
    int64_t max_ns, max_bytes;    /* or BITS_NO_BUDGET */
    /* Compiles the plan p->levels and fills the measured part. */
    struct status *(*measure)(struct bits_point *p, void *arg);
    void *arg;
};

/* NO_FIT as below where the modelled costs alone say so already: nothing is measured,
 * so the table needs no losses yet. */
struct status *bits_search_check(struct arena *a, const struct bits_search *s);

/* The best plan that meets everything, in `a`.  NO_FIT names what blocks, and the
 * closest plan; the measure's own errors. */
struct status *bits_search(struct arena *a, const struct bits_search *s,
                           struct bits_point *out);

#endif /* HADMC_SEARCH_BITS_SEARCH_H */
