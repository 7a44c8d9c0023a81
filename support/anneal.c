/* SPDX-License-Identifier: Apache-2.0 */
/* See anneal.h. */
#include "support/anneal.h"

#include <math.h>

#define MOST 0.99

static double clamp(double x, double low, double high)
{
    return fmin(fmax(x, low), high);
}

double anneal_share(const struct anneal *s, int64_t i)
{
    const double length = (double)(s->end - s->begin);
    const double tau = length > 0 ? clamp((double)(i - s->begin) / length, 0, 1) : 1;

    switch (s->kind) {
    case ANNEAL_LINEAR:
        return clamp(s->first + (s->final - s->first) * tau, 0, MOST);
    case ANNEAL_CUBIC:
        return clamp(s->final + (s->first - s->final) * pow(1 - tau, 3), 0, MOST);
    case ANNEAL_HARMONIC:
        return clamp(s->final + (s->first - s->final) / 2 * (1 + cos(M_PI * tau))
                         + s->swing * sin(2 * M_PI * s->waves * tau),
                     0, MOST);
    case ANNEAL_NONE:
        break;
    }
    return 0;
}

bool anneal_is_due(const struct anneal *s, int64_t i)
{
    return s->kind != ANNEAL_NONE && i >= s->begin && i <= s->end
           && ((i - s->begin) % ANNEAL_EVERY == 0 || i == s->end);
}

int anneal_n_regrowths(const struct anneal *s)
{
    bool falls = false;
    int n = 0;

    for (int64_t i = s->begin; i + ANNEAL_EVERY <= s->end; i += ANNEAL_EVERY) {
        const bool falls_now = anneal_share(s, i + ANNEAL_EVERY) < anneal_share(s, i);

        n += falls_now && !falls;
        falls = falls_now;
    }
    return n;
}
