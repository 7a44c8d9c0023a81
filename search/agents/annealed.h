/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of agents that are pruned while they learn, by a schedule (support/anneal.h).
 */
#ifndef HADMC_SEARCH_AGENTS_ANNEALED_H
#define HADMC_SEARCH_AGENTS_ANNEALED_H

#include "search/agents/net.h"
#include "support/anneal.h"

/* What masking needs of one network: the values of masked weights. */
struct annealed {
    struct net *net;
    real *aside;       /* [net->n] */
    int64_t n_weights; /* that may be masked: matrices, not biases */
    int64_t *order;    /* [n_weights] */
    int64_t n_masked;
};

struct annealed *annealed_create(struct arena *a, struct net *n);
/* Iteration i of the schedule: does nothing between multiples of ANNEAL_EVERY, after
 * `end`, and for ANNEAL_NONE. */
void annealed_step(struct annealed *m, const struct anneal *s, int i);
/* Share of the matrices' weights that are masked. */
double annealed_sparsity(const struct annealed *m);

#endif /* HADMC_SEARCH_AGENTS_ANNEALED_H */
