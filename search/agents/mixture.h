/* SPDX-License-Identifier: Apache-2.0 */
/* Several policies that act as one.
 *
 *     p(a) = sum_k share_k p_k(a),   share = softmax(weights)
 *
 * Ratios are those of the mixture; the weights learn by the gradient of log p(a).  One
 * policy is the plain case of head.h.
 *
 *     d log p(a) / d z_k = responsibility_k  d log p_k(a) / d z_k
 *     d log p(a) / d w_k = responsibility_k - share_k
 *     responsibility_k   = share_k p_k(a) / p(a)
 *
 * The entropy of a mixture over (T, alpha) has no closed form; there it is the mean of
 * the policies' entropies, a lower bound.
 */
#ifndef HADMC_SEARCH_AGENTS_MIXTURE_H
#define HADMC_SEARCH_AGENTS_MIXTURE_H

#include "search/agents/head.h"

enum { MIXTURE_MAX = 8 };

struct mixture {
    int n; /* 1 to MIXTURE_MAX */
    double share[MIXTURE_MAX];
};

struct mixture mixture_of(int n, const double *weights);

/* outs[n]: the outputs of each policy for the row. */
void mixture_probabilities(const struct mixture *m, const struct head_query *q,
                           const real *const *outs, real *p);
struct action mixture_sample(const struct mixture *m, const struct head_query *q,
                             const real *const *outs, struct random *random);
struct action mixture_mode(const struct mixture *m, const struct head_query *q,
                           const real *const *outs);
/* How sure the policies together are, 0 to 1 (head.h). */
double mixture_confidence(const struct mixture *m, const struct head_query *q,
                          const real *const *outs);
struct head_value mixture_evaluate(const struct mixture *m, const struct head_query *q,
                                   const real *const *outs, const struct action *a);
/* As head_gradient, into ds[n][outputs] and, added to, by_weight[n]. */
void mixture_gradient(const struct mixture *m, const struct head_query *q,
                      const real *const *outs, const struct action *a, double by_log_p,
                      double by_entropy, real *const *ds, double *by_weight);

#endif /* HADMC_SEARCH_AGENTS_MIXTURE_H */
