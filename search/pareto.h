/* SPDX-License-Identifier: Apache-2.0 */
/* Fronts of points that no other one beats, all objectives to be made small.
 *
 * source: Fonseca, Paquete, Lopez-Ibanez 2006 (hypervolume by slicing); While,
 *         Bradstreet, Barone 2012 (the exclusive volume used here)
 */
#ifndef HADMC_SEARCH_PARETO_H
#define HADMC_SEARCH_PARETO_H

#include <stdbool.h>

#include "support/arena.h"

enum { PARETO_MAX = 6 }; /* objectives */

/* a is nowhere worse than b and somewhere better. */
bool pareto_dominates(int n_objectives, const double *a, const double *b);

struct pareto_point {
    double at[PARETO_MAX];
    int id; /* the caller's */
};

struct pareto {
    int n_objectives, n, cap;
    struct pareto_point *points;
    struct arena *arena;
};

struct pareto pareto_create(struct arena *a, int n_objectives);
/* Takes the point in unless one is as good everywhere, and drops what it dominates;
 * returns whether it did. */
bool pareto_add(struct pareto *p, const double *at, int id);

/* The volume between the points and `reference`, exact; points that are not better than
 * it everywhere count for nothing. */
double pareto_hypervolume(const struct pareto *p, const double *reference);
/* Index of the point nearest to the best of each objective, distances in units of the
 * front's ranges; -1: no point. */
int pareto_knee(const struct pareto *p);

#endif /* HADMC_SEARCH_PARETO_H */
