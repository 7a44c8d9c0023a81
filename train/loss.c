/* SPDX-License-Identifier: Apache-2.0 */
/* See loss.h. */
#include "train/loss.h"

#include <math.h>
#include <stddef.h>

/* log of the sum of e^(z / t). */
static double log_sum(int64_t n, const real *z, double t)
{
    double most = (double)z[0], sum = 0;

    for (int64_t i = 1; i < n; i++)
        most = fmax(most, (double)z[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp(((double)z[i] - most) / t);
    return most / t + log(sum);
}

double loss_cross_entropy(int64_t n, const real *z, int64_t label, double weight,
                          real *d)
{
    const double sum = log_sum(n, z, 1);

    for (int64_t i = 0; d && i < n; i++)
        d[i] += (real)(weight * (exp((double)z[i] - sum) - (i == label)));
    return sum - (double)z[label];
}

double loss_distillation(int64_t n, const real *z, const real *teacher, double t,
                         double weight, real *d)
{
    const double sum = log_sum(n, z, t), sum_teacher = log_sum(n, teacher, t);
    double kl = 0;

    for (int64_t i = 0; i < n; i++) {
        const double log_p = (double)teacher[i] / t - sum_teacher;
        const double log_q = (double)z[i] / t - sum;

        kl += exp(log_p) * (log_p - log_q);
        if (d)
            d[i] += (real)(weight * t * (exp(log_q) - exp(log_p)));
    }
    return t * t * kl;
}

double loss_mean_square(int64_t n, const real *y, const real *wanted, double weight,
                        real *d)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const double apart = (double)y[i] - (double)wanted[i];

        sum += apart * apart;
        if (d)
            d[i] += (real)(weight * 2 * apart / (double)n);
    }
    return sum / (double)n;
}
