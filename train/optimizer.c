/* SPDX-License-Identifier: Apache-2.0 */
/* See optimizer.h. */
#include "train/optimizer.h"

#include <math.h>

static const double B2 = 0.999, EPSILON = 1e-8;

double optimizer_rate(const struct optimizer *o, int64_t step)
{
    const double done =
        (double)(step - o->warmup) / fmax(1, (double)(o->steps - o->warmup));

    if (step < o->warmup)
        return o->rate * (double)(step + 1) / (double)o->warmup;
    switch (o->schedule) {
    case SCHEDULE_COSINE:
        return o->rate * 0.5 * (1 + cos(acos(-1.0) * done));
    case SCHEDULE_STEPS:
        return o->rate * (done < 0.5 ? 1 : done < 0.75 ? 0.1 : 0.01);
    case SCHEDULE_CONSTANT:
        break;
    }
    return o->rate;
}

static void sgd(const struct optimizer *o, real rate, real decay, int64_t n,
                const real *gradient, real *w, real *v)
{
    const real momentum = (real)o->momentum;

    for (int64_t i = 0; i < n; i++) {
        const real g = gradient[i] + decay * w[i];

        v[i] = momentum * v[i] + g;
        w[i] -= rate * (o->nesterov ? g + momentum * v[i] : v[i]);
    }
}

static void adam(const struct optimizer *o, int64_t step, double rate, double decay,
                 int64_t n, const real *gradient, real *w, real *m, real *v)
{
    const double b1 = o->momentum, t = (double)step + 1;
    const double m_part = 1 - pow(b1, t), v_part = 1 - pow(B2, t);
    const bool apart = o->kind == OPTIMIZER_ADAMW;

    for (int64_t i = 0; i < n; i++) {
        const double old = (double)w[i];
        const double g = (double)gradient[i] + (apart ? 0 : decay * old);

        m[i] = (real)(b1 * (double)m[i] + (1 - b1) * g);
        v[i] = (real)(B2 * (double)v[i] + (1 - B2) * g * g);
        w[i] = (real)(old
                      - rate * ((double)m[i] / m_part)
                            / (sqrt((double)v[i] / v_part) + EPSILON)
                      - (apart ? rate * decay * old : 0));
    }
}

void optimizer_step(const struct optimizer *o, int64_t step, double rate, double decay,
                    int64_t n, const real *gradient, real *w, real *m, real *v)
{
    if (o->kind == OPTIMIZER_SGD)
        sgd(o, (real)rate, (real)decay, n, gradient, w, v);
    else
        adam(o, step, rate, decay, n, gradient, w, m, v);
}
