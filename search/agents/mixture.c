/* SPDX-License-Identifier: Apache-2.0 */
/* Several policies that act as one: see mixture.h. */
#include "search/agents/mixture.h"

#include <assert.h>
#include <string.h>

struct mixture mixture_of(int n, const double *weights)
{
    struct mixture m = {.n = n};
    double highest = weights[0], sum = 0;

    assert(n >= 1 && n <= MIXTURE_MAX);
    for (int k = 1; k < n; k++)
        highest = fmax(highest, weights[k]);
    for (int k = 0; k < n; k++)
        sum += m.share[k] = exp(weights[k] - highest);
    for (int k = 0; k < n; k++)
        m.share[k] /= sum;
    return m;
}

void mixture_probabilities(const struct mixture *m, const struct head_query *q,
                           const real *const *outs, real *p)
{
    real one[HEAD_MAX_ACTIONS];

    head_probabilities(q, outs[0], p, NULL);
    if (m->n == 1)
        return;
    for (int a = 0; a < q->n; a++)
        p[a] *= (real)m->share[0];
    for (int k = 1; k < m->n; k++) {
        head_probabilities(q, outs[k], one, NULL);
        for (int a = 0; a < q->n; a++)
            p[a] += (real)m->share[k] * one[a];
    }
}

/* One of the policies, drawn by its share, and then its action: a draw of the mixture.
 */
struct action mixture_sample(const struct mixture *m, const struct head_query *q,
                             const real *const *outs, struct random *random)
{
    int k = 0;

    if (m->n > 1) {
        double u = random_unit(random);

        while (k + 1 < m->n && u >= m->share[k])
            u -= m->share[k++];
    }
    return head_sample(q, outs[k], random);
}

struct action mixture_mode(const struct mixture *m, const struct head_query *q,
                           const real *const *outs)
{
    struct action a = {0};
    real p[HEAD_MAX_ACTIONS];

    if (m->n == 1)
        return head_mode(q, outs[0]);
    if (q->n) {
        mixture_probabilities(m, q, outs, p);
        for (int k = 1; k < q->n; k++)
            a.choice = p[k] > p[a.choice] ? k : a.choice;
        return a;
    }
    for (int k = 0; k < m->n; k++)
        for (int i = 0; i < 2; i++)
            a.u[i] += (real)m->share[k] * outs[k][i];
    return a;
}

double mixture_confidence(const struct mixture *m, const struct head_query *q,
                          const real *const *outs)
{
    real p[HEAD_MAX_ACTIONS];
    double sum = 0;

    if (q->n) {
        mixture_probabilities(m, q, outs, p);
        return head_confidence(q, p);
    }
    for (int k = 0; k < m->n; k++)
        sum += m->share[k] * head_gaussian_confidence(outs[k]);
    return sum;
}

/* responsibility[n] of the policies for action a; returns log p(a). */
static double blame(const struct mixture *m, const struct head_query *q,
                    const real *const *outs, const struct action *a,
                    double *responsibility)
{
    double log_p[MIXTURE_MAX], highest = -INFINITY, sum = 0;

    for (int k = 0; k < m->n; k++) {
        log_p[k] = head_evaluate(q, outs[k], a).log_p + log(m->share[k]);
        highest = fmax(highest, log_p[k]);
    }
    for (int k = 0; k < m->n; k++)
        sum += responsibility[k] = exp(log_p[k] - highest);
    for (int k = 0; k < m->n; k++)
        responsibility[k] /= sum;
    return highest + log(sum);
}

struct head_value mixture_evaluate(const struct mixture *m, const struct head_query *q,
                                   const real *const *outs, const struct action *a)
{
    struct head_value v = {0, 0};
    double responsibility[MIXTURE_MAX];
    real p[HEAD_MAX_ACTIONS];

    if (m->n == 1)
        return head_evaluate(q, outs[0], a);
    v.log_p = blame(m, q, outs, a, responsibility);
    if (!q->n) {
        for (int k = 0; k < m->n; k++)
            v.entropy += m->share[k] * head_evaluate(q, outs[k], a).entropy;
        return v;
    }
    mixture_probabilities(m, q, outs, p);
    for (int i = 0; i < q->n; i++)
        if (p[i] > 0)
            v.entropy -= (double)p[i] * log((double)p[i]);
    return v;
}

/* Adds by_entropy * gradient of the mixture's H over choices. */
static void add_entropy_gradient(const struct mixture *m, const struct head_query *q,
                                 const real *const *outs, double by_entropy,
                                 real *const *ds, double *by_weight)
{
    real p[HEAD_MAX_ACTIONS], one[HEAD_MAX_ACTIONS];
    double slope[HEAD_MAX_ACTIONS] = {0}, mean = 0;

    mixture_probabilities(m, q, outs, p);
    for (int a = 0; a < q->n; a++) {
        slope[a] = p[a] > 0 ? -by_entropy * (log((double)p[a]) + 1) : 0;
        mean += (double)p[a] * slope[a];
    }
    for (int k = 0; k < m->n; k++) {
        double own = 0;

        head_probabilities(q, outs[k], one, NULL);
        for (int a = 0; a < q->n; a++)
            own += (double)one[a] * slope[a];
        for (int a = 0; a < q->n; a++)
            ds[k][a] += (real)(m->share[k] * (double)one[a] * (slope[a] - own)
                               / (double)q->tau);
        by_weight[k] += m->share[k] * (own - mean);
    }
}

void mixture_gradient(const struct mixture *m, const struct head_query *q,
                      const real *const *outs, const struct action *a, double by_log_p,
                      double by_entropy, real *const *ds, double *by_weight)
{
    double responsibility[MIXTURE_MAX], mean = 0;

    if (m->n == 1) {
        head_gradient(q, outs[0], a, by_log_p, by_entropy, ds[0]);
        return;
    }
    blame(m, q, outs, a, responsibility);
    for (int k = 0; k < m->n; k++) {
        head_gradient(q, outs[k], a, by_log_p * responsibility[k],
                      q->n ? 0 : by_entropy * m->share[k], ds[k]);
        by_weight[k] += by_log_p * (responsibility[k] - m->share[k]);
    }
    if (q->n) {
        add_entropy_gradient(m, q, outs, by_entropy, ds, by_weight);
        return;
    }
    for (int k = 0; k < m->n; k++)
        mean += m->share[k] * head_evaluate(q, outs[k], a).entropy;
    for (int k = 0; k < m->n; k++)
        by_weight[k] +=
            by_entropy * m->share[k] * (head_evaluate(q, outs[k], a).entropy - mean);
}
