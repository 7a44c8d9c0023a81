/* SPDX-License-Identifier: Apache-2.0 */
/* Search problems whose loss is a formula, so that the best plan is known: by trying
 * every one (tiny: 6 units, 3 ratios, 2 widths, 6^6 = 46 656 plans; small: 6 units, 4
 * ratios, 3 widths, the last unit whole, 3 * 12^5 = 746 496), or well enough by long
 * searches (large: 16 units, 9 ratios, 3 widths).
 *
 *     loss = | sum_i sqrt(effect_i) u_i |^2
 *
 * u_i are unit vectors, one for each unit's ratio and one for its bits, that share
 * directions by `together`: 0: effects add up; 1: all act in the same few directions.
 * Latency is a roofline with a bonus for neighbours of one width, and a budget of it.
 */
#ifndef HADMC_TESTS_GAMES_TOY_NET_H
#define HADMC_TESTS_GAMES_TOY_NET_H

#include "search/search_problem.h"

enum { TOY_MAX_UNITS = 16, TOY_SHARED = 6, TOY_SIZE = 2 * TOY_MAX_UNITS + TOY_SHARED };

struct toy_net {
    int n;
    struct search_unit units[TOY_MAX_UNITS];
    double alpha[TOY_MAX_UNITS], beta[TOY_MAX_UNITS]; /* of ratio and of bits */
    double by_ratio[TOY_MAX_UNITS][TOY_SIZE], by_bits[TOY_MAX_UNITS][TOY_SIZE];
    int channels[TOY_MAX_UNITS + 1];
    double space[TOY_MAX_UNITS]; /* positions of an output channel */
    double noise;                /* relative, of an evaluation; the same for a plan */
    int64_t n_evaluated;
};

/* `share` of the latency at 16 bits is the budget.  Borrows `t`. */
struct search_problem toy_tiny(struct toy_net *t, uint64_t seed, double together,
                               double share);
struct search_problem toy_small(struct toy_net *t, uint64_t seed, double together,
                                double share);
struct search_problem toy_large(struct toy_net *t, uint64_t seed, double together,
                                double share, double noise);

/* Without noise. */
double toy_loss(const struct toy_net *t, const struct choices *c);
/* Least loss within the budget, by trying every plan of a tiny or small one. */
double toy_best(const struct toy_net *t, const struct search_problem *p);

#endif /* HADMC_TESTS_GAMES_TOY_NET_H */
