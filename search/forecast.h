/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan will lose in the end, from its evaluation and from plans that were
 * carried out.
 *
 * An evaluation puts units together that were compressed each for itself.  Carried out,
 * layers make good for the errors of those before them, and a training makes good for
 * more, so that what is left of the loss depends on where channels go:
 *
 *     left(c)  = sum_u left_u effect_u / sum_u effect_u, over the changes of c
 *     price(c) = sum_i s_i points_i / sum_i s_i left(c_i) loss_i,
 *                s_i = exp(-4 (1 - cos(c, c_i)))
 *
 * left_u is that of single changes, a price that of similar plans which were carried
 * out, as vectors of shares that go, of channels and (a tenth as much, for 4 bits) of
 * widths.
 */
#ifndef HADMC_SEARCH_FORECAST_H
#define HADMC_SEARCH_FORECAST_H

#include "search/effects.h"
#include "search/evaluator.h"

enum { FORECAST_MOST = 32 };

/* A plan that was carried out. */
struct forecast_mark {
    const struct evaluation *of;
    double points; /* that it loses, something to spare included; above 0 */
};

struct forecast {
    struct method_effects effects;
    /* [n_units] of pruning, 1 on average; NULL: nothing is known, effects are not read
     */
    const double *left;
    int n;
    struct forecast_mark mark[FORECAST_MOST];
};

/* The loss that a plan of the average kind would have as evaluated, if it lost as much
 * in the end.  Without marks and `left`: the loss. */
double forecast_loss(const struct forecast *f, const struct choices *c, double loss);
/* Points that a nat of it costs.  At least one mark. */
double forecast_price(const struct forecast *f);

#endif /* HADMC_SEARCH_FORECAST_H */
