/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan will lose in the end: see forecast.h. */
#include "search/forecast.h"

#include <math.h>

/* How much less plans say of others that are less similar: a guess. */
static const double NARROW = 4;

static double left_of(const struct forecast *f, const struct choices *c)
{
    double all = 0, left = 0;

    for (int i = 0; f->left && i < c->n_units; i++) {
        const double channels = f->effects.ratio[i][c->units[i].ratio],
                     bits = f->effects.bits[i][c->units[i].bits];

        all += channels + bits;
        left += f->left[i] * channels + bits;
    }
    return all > 0 ? left / all : 1;
}

/* Of channels and of bits that go. */
static void shares_of(const struct choices *c, int unit, double *out)
{
    static const double of_bits[CHOICE_BITS] = {0.1, 0.05, 0, 0};

    out[0] = choice_ratio(c->units[unit].ratio);
    out[1] = of_bits[c->units[unit].bits];
}

static double similarity(const struct choices *a, const struct choices *b)
{
    double aa = 0, bb = 0, ab = 0;

    for (int i = 0; i < a->n_units; i++) {
        double x[2], y[2];

        shares_of(a, i, x);
        shares_of(b, i, y);
        aa += x[0] * x[0] + x[1] * x[1];
        bb += y[0] * y[0] + y[1] * y[1];
        ab += x[0] * y[0] + x[1] * y[1];
    }
    return exp(-NARROW * (1 - (aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0)));
}

/* `c` NULL: of all alike. */
static double price_of(const struct forecast *f, const struct choices *c)
{
    const double least = 1e-9; /* nats */
    double points = 0, loss = 0;

    for (int i = 0; i < f->n; i++) {
        const struct evaluation *of = f->mark[i].of;
        const double s = c ? similarity(c, of->choices) : 1;

        points += s * f->mark[i].points;
        loss += s * fmax(of->result.loss * left_of(f, of->choices), least);
    }
    return points / loss;
}

double forecast_price(const struct forecast *f)
{
    return price_of(f, NULL);
}

double forecast_loss(const struct forecast *f, const struct choices *c, double loss)
{
    return loss * left_of(f, c) * (f->n ? price_of(f, c) / price_of(f, NULL) : 1);
}
