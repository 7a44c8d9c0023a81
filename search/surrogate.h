/* SPDX-License-Identifier: Apache-2.0 */
/* A guess of a plan's loss from all that were evaluated.
 *
 *     v(plan)  = square roots of the single effects of each unit's ratio and bits
 *     loss     = v' G v,   G = 1 at first: effects add up
 *
 * so an element of G off the diagonal says how two changes act together.  G is fitted
 * by ridge regression towards 1, errors relative to the loss; solved in the plans, not
 * in the pairs, of which there are many more:
 *
 *     G = 1 + sum_n a_n v_n v_n',   (K + ridge) a = y - v'v,   K_nm = (v_n . v_m)^2
 */
#ifndef HADMC_SEARCH_SURROGATE_H
#define HADMC_SEARCH_SURROGATE_H

#include "search/method_tools.h"

struct surrogate {
    struct method_effects effects;
    int n_units, size; /* size of v: twice the units */
    double *g;         /* [size][size] */
    double *v;         /* [size] */
    int n_fitted;      /* evaluations that the fit knows */
};

struct surrogate *surrogate_create(struct arena *a, struct method_effects effects,
                                   int n_units);
/* From all evaluations; needs blas_open. */
void surrogate_fit(struct surrogate *s, const struct evaluator *e);
/* At least 0. */
double surrogate_loss(struct surrogate *s, const struct choices *c);

#endif /* HADMC_SEARCH_SURROGATE_H */
