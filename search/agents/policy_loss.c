/* SPDX-License-Identifier: Apache-2.0 */
/* The formulas of proximal policy optimisation: see loss.h. */
#include "search/agents/policy_loss.h"

#include <assert.h>
#include <math.h>

static double clamp(double x, double low, double high)
{
    return fmin(fmax(x, low), high);
}

double loss_clipped(double ratio, double advantage, double clip)
{
    return fmin(ratio * advantage, clamp(ratio, 1 - clip, 1 + clip) * advantage);
}

double loss_clipped_gradient(double ratio, double advantage, double clip)
{
    const bool cut =
        advantage > 0 ? ratio > 1 + clip : advantage < 0 && ratio < 1 - clip;

    return cut ? 0 : ratio * advantage;
}

double loss_kl(double log_ratio)
{
    return expm1(log_ratio) - log_ratio;
}

static double penalty(double x, double huber, double *gradient)
{
    if (huber > 0 && fabs(x) > huber) {
        *gradient = copysign(huber, x);
        return huber * (fabs(x) - huber / 2);
    }
    *gradient = x;
    return x * x / 2;
}

double loss_value(double v, double v_old, double target, struct loss_value_options o,
                  double *gradient)
{
    const double plain = penalty(v - target, o.huber, gradient);

    if (!(o.clip > 0))
        return plain;

    const double near = v_old + clamp(v - v_old, -o.clip, o.clip);
    double by_near;
    const double clipped = penalty(near - target, o.huber, &by_near);

    if (clipped > plain)
        *gradient = fabs(v - v_old) < o.clip ? by_near : 0;
    return fmax(plain, clipped);
}

void gae(struct gae_step *steps, int n, double gamma, double lambda)
{
    assert(n == 0 || steps[n - 1].end != EPISODE_RUNS);
    for (int t = n - 1; t >= 0; t--) {
        struct gae_step *s = &steps[t];
        const bool runs = s->end == EPISODE_RUNS;
        const double after = runs                          ? steps[t + 1].value
                             : s->end == EPISODE_TRUNCATED ? s->value_after
                                                           : 0;

        s->advantage = s->reward + gamma * after - s->value;
        if (runs)
            s->advantage += gamma * lambda * steps[t + 1].advantage;
    }
}
