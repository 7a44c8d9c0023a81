/* SPDX-License-Identifier: Apache-2.0 */
/* Means and variances that are learned on the way: see running.h. */
#include "search/agents/running.h"

#define DECAY          0.99 /* of the averages of values, a step an iteration */
#define LEAST_VARIANCE 1e-2 /* of values */

enum { LIMIT = 10 };

struct running *running_create(struct arena *a, int n)
{
    struct running *r = arena_new(a, struct running);

    r->n = n;
    r->mean = arena_new_array(a, double, n);
    r->m2 = arena_new_array(a, double, n);
    r->shift = arena_new_array(a, real, n);
    r->scale = arena_new_array(a, real, n);
    for (int i = 0; i < n; i++)
        r->scale[i] = 1;
    return r;
}

void running_add(struct running *r, const real *row)
{
    r->count++;
    for (int i = 0; i < r->n; i++) {
        const double d = (double)row[i] - r->mean[i];

        r->mean[i] += d / r->count;
        r->m2[i] += d * ((double)row[i] - r->mean[i]);
    }
}

void running_settle(struct running *r)
{
    for (int i = 0; i < r->n && r->count > 0; i++) {
        const double variance = r->m2[i] / r->count;

        if (!(variance > 1e-12))
            continue;
        r->shift[i] = (real)r->mean[i];
        r->scale[i] = (real)(1 / sqrt(variance));
    }
}

void running_apply(const struct running *r, const real *from, real *to)
{
    for (int i = 0; i < r->n; i++)
        to[i] = real_clamp((from[i] - r->shift[i]) * r->scale[i], -LIMIT, LIMIT);
}

void value_scale_add(struct value_scale *s, const double *values, int n)
{
    double mean = 0, square = 0;

    for (int i = 0; i < n; i++) {
        mean += values[i] / n;
        square += values[i] * values[i] / n;
    }
    s->mean = DECAY * s->mean + (1 - DECAY) * mean;
    s->square = DECAY * s->square + (1 - DECAY) * square;
    s->weight = DECAY * s->weight + (1 - DECAY);
}

static double debiased_mean(const struct value_scale *s)
{
    return s->weight > 0 ? s->mean / s->weight : 0;
}

static double deviation(const struct value_scale *s)
{
    const double mean = debiased_mean(s);

    return s->weight > 0
               ? sqrt(fmax(s->square / s->weight - mean * mean, LEAST_VARIANCE))
               : 1;
}

double value_scale_to(const struct value_scale *s, double value)
{
    return (value - debiased_mean(s)) / deviation(s);
}

double value_scale_from(const struct value_scale *s, double scaled)
{
    return scaled * deviation(s) + debiased_mean(s);
}

void return_scale_add(struct return_scale *s, double value)
{
    const double d = value - s->mean;

    s->count++;
    s->mean += d / s->count;
    s->m2 += d * (value - s->mean);
}

double return_scale_deviation(const struct return_scale *s)
{
    const double deviation = s->count > 0 ? sqrt(s->m2 / s->count) : 0;

    return deviation > 1e-6 ? deviation : 1;
}
