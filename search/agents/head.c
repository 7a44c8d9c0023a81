/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs of an actor mean: see head.h. */
#include "search/agents/head.h"

#include <assert.h>

#include "search/agents/noise.h"

#define LOG_2_PI 1.8378770664093453

#define LEAST_T 1.0
#define RANGE_T 19.0

static bool is_legal(const struct head_query *q, int a)
{
    return q->legal >> a & 1;
}

int head_n_legal(const struct head_query *q)
{
    return __builtin_popcountll(q->legal);
}

bool head_is_free(const struct head_query *q)
{
    return q->n == 0 || head_n_legal(q) > 1;
}

/* ---- choices ----------------------------------------------------------------------
 */

/* Without branches on what is legal, which is as good as random. */
void head_probabilities(const struct head_query *q, const real *out, real *p,
                        real *log_p)
{
    const real sharpness = 1 / q->tau, least = -80; /* e^-80 is still a normal number */
    real z[HEAD_MAX_ACTIONS], highest = (real)HEAD_ILLEGAL, sum = 0;

    assert(q->n <= HEAD_MAX_ACTIONS && q->legal);
    for (int a = 0; a < q->n; a++) {
        const real logit = out[a] + (q->prior ? q->prior_weight * q->prior[a] : 0);

        z[a] = is_legal(q, a) ? logit * sharpness : (real)HEAD_ILLEGAL;
        highest = z[a] > highest ? z[a] : highest;
    }
    for (int a = 0; a < q->n; a++) {
        const real below = z[a] - highest;

        p[a] = real_exp(below > least ? below : least);
        sum += p[a] = is_legal(q, a) ? p[a] : 0;
    }

    const real log_sum = real_log(sum), share = 1 / sum;

    for (int a = 0; a < q->n; a++) {
        p[a] *= share;
        if (log_p)
            log_p[a] = is_legal(q, a) ? z[a] - highest - log_sum : (real)HEAD_ILLEGAL;
    }
}

static int draw(const struct head_query *q, const real *p, struct random *random)
{
    const double u = random_unit(random);
    double sum = 0;
    int last = 0;

    for (int a = 0; a < q->n; a++) {
        if (!is_legal(q, a))
            continue;
        last = a;
        sum += (double)p[a];
        if (u < sum)
            break;
    }
    return last;
}

static double entropy_of(const struct head_query *q, const real *p, const real *log_p)
{
    double sum = 0;

    for (int a = 0; a < q->n; a++)
        sum -= (double)p[a] * (double)log_p[a];
    return sum;
}

static void choice_gradient(const struct head_query *q, const real *out, int chosen,
                            double by_log_p, double by_entropy, real *d)
{
    real p[HEAD_MAX_ACTIONS], log_p[HEAD_MAX_ACTIONS];

    head_probabilities(q, out, p, log_p);

    const double entropy = by_entropy != 0 ? entropy_of(q, p, log_p) : 0;

    for (int a = 0; a < q->n; a++) {
        const double pa = (double)p[a];

        d[a] = (real)((by_log_p * ((a == chosen) - pa)
                       - by_entropy * pa * ((double)log_p[a] + entropy))
                      / (double)q->tau);
    }
}

/* ---- temperature and alpha --------------------------------------------------------
 */

static double log_sigma(real raw)
{
    return -1 + 1.5 * tanh((double)raw);
}

static struct head_value gaussian_value(const real *out, const struct action *a)
{
    struct head_value v = {0, 0};

    for (int k = 0; k < 2; k++) {
        const double s = log_sigma(out[2 + k]),
                     z = ((double)a->u[k] - (double)out[k]) * exp(-s);

        v.log_p += -0.5 * z * z - s - 0.5 * LOG_2_PI;
        v.entropy += s + 0.5 * (1 + LOG_2_PI);
    }
    return v;
}

static void gaussian_gradient(const real *out, const struct action *a, double by_log_p,
                              double by_entropy, real *d)
{
    for (int k = 0; k < 2; k++) {
        const double s = log_sigma(out[2 + k]), squashed = tanh((double)out[2 + k]),
                     z = ((double)a->u[k] - (double)out[k]) * exp(-s);

        d[k] = (real)(by_log_p * z * exp(-s));
        d[2 + k] = (real)((by_log_p * (z * z - 1) + by_entropy) * 1.5
                          * (1 - squashed * squashed));
    }
}

double head_to_temperature(real u)
{
    return LEAST_T + RANGE_T * (double)real_sigmoid(u);
}

double head_to_alpha(real u)
{
    return (double)real_sigmoid(u);
}

double head_log_jacobian(const struct action *a)
{
    const double t = 1 / (1 + exp(-(double)a->u[0])),
                 alpha = 1 / (1 + exp(-(double)a->u[1]));

    return log(RANGE_T * t * (1 - t)) + log(alpha * (1 - alpha));
}

/* ---- both -------------------------------------------------------------------------
 */

struct action head_sample(const struct head_query *q, const real *out,
                          struct random *random)
{
    struct action a = {0};
    real p[HEAD_MAX_ACTIONS];

    if (q->n) {
        head_probabilities(q, out, p, NULL);
        a.choice = draw(q, p, random);
        return a;
    }
    for (int k = 0; k < 2; k++)
        a.u[k] = out[k] + (real)(exp(log_sigma(out[2 + k])) * noise_normal(random));
    return a;
}

struct action head_mode(const struct head_query *q, const real *out)
{
    struct action a = {0, {out[0], out[1]}};
    real p[HEAD_MAX_ACTIONS];

    if (q->n) {
        head_probabilities(q, out, p, NULL);
        for (int k = 1; k < q->n; k++)
            a.choice = p[k] > p[a.choice] ? k : a.choice;
    }
    return a;
}

struct head_value head_evaluate(const struct head_query *q, const real *out,
                                const struct action *a)
{
    real p[HEAD_MAX_ACTIONS], log_p[HEAD_MAX_ACTIONS];

    if (!q->n)
        return gaussian_value(out, a);
    head_probabilities(q, out, p, log_p);
    return (struct head_value){(double)log_p[a->choice], entropy_of(q, p, log_p)};
}

void head_gradient(const struct head_query *q, const real *out, const struct action *a,
                   double by_log_p, double by_entropy, real *d)
{
    if (q->n)
        choice_gradient(q, out, a->choice, by_log_p, by_entropy, d);
    else
        gaussian_gradient(out, a, by_log_p, by_entropy, d);
}

double head_temperature(const struct head_query *q, const real *out, double base,
                        double rise)
{
    struct head_query plain = *q;
    real p[HEAD_MAX_ACTIONS], log_p[HEAD_MAX_ACTIONS];

    if (!q->n || !head_is_free(q))
        return base;
    plain.tau = 1;
    head_probabilities(&plain, out, p, log_p);
    return base * (1 + rise * entropy_of(q, p, log_p) / log(head_n_legal(q)));
}

double head_gaussian_confidence(const real *out)
{
    return 0.5 - (tanh((double)out[2]) + tanh((double)out[3])) / 4;
}

double head_confidence(const struct head_query *q, const real *p)
{
    double entropy = 0;

    for (int a = 0; a < q->n; a++)
        if (p[a] > 0)
            entropy -= (double)p[a] * log((double)p[a]);
    return head_is_free(q) ? 1 - entropy / log(head_n_legal(q)) : 1;
}
