/* SPDX-License-Identifier: Apache-2.0 */
/* What the outputs of an actor mean: probabilities of choices, or of (T, alpha).
 *
 * Choice among n actions, of which `legal` has a bit each:
 *
 *     z = (net + prior_weight prior) / tau      legal ones; the others are -1e9
 *     p = softmax(z)                            0 for the others
 *     H = -sum p log p                          over legal ones; ln m where m are equal
 *
 * Temperature and alpha of distillation, outputs (mu1, mu2, s1, s2):
 *
 *     log sigma = -1 + 1.5 tanh(s)              in (-2.5, 0.5)
 *     u ~ N(mu, sigma^2)                        what is stored
 *     T = 1 + 19 sigmoid(u1), alpha = sigmoid(u2)
 *     log p(T, alpha) = sum log N(u; mu, sigma) - log |dT/du1| - log |dalpha/du2|
 *
 * The Jacobian does not depend on the network, so it cancels in ratios of
 * probabilities: log_p below is that of u, head_log_jacobian what is missing.  H is
 * that of u too.
 */
#ifndef HADMC_SEARCH_AGENTS_HEAD_H
#define HADMC_SEARCH_AGENTS_HEAD_H

#include <stdint.h>

#include "search/agents/net_real.h"
#include "support/random.h"

enum { HEAD_MAX_ACTIONS = 64, HEAD_GAUSSIAN_OUT = 4 };

#define HEAD_ILLEGAL (-1e9)

/* What was done: a choice, or u. */
struct action {
    int choice;
    real u[2];
};

/* How a row is asked; the same when the action is drawn and whenever its probability
 * is computed again. */
struct head_query {
    int n;             /* actions; 0: (T, alpha) */
    uint64_t legal;    /* bit a: action a; at least one of the n */
    const real *prior; /* [n]; NULL: none */
    real prior_weight;
    real tau; /* above 0; 1: as the network says */
};

struct head_value {
    double log_p, entropy;
};

int head_n_legal(const struct head_query *q);
/* Whether there is anything to learn: more than one legal action. */
bool head_is_free(const struct head_query *q);

/* p[n], exactly 0 for illegal actions; also log p where log_p is not NULL. */
void head_probabilities(const struct head_query *q, const real *out, real *p,
                        real *log_p);
struct action head_sample(const struct head_query *q, const real *out,
                          struct random *random);
/* The most probable action; of several, the first. */
struct action head_mode(const struct head_query *q, const real *out);
struct head_value head_evaluate(const struct head_query *q, const real *out,
                                const struct action *a);
/* d[outputs] = by_log_p * gradient of log p(a) + by_entropy * gradient of H; 0 for
 * illegal actions. */
void head_gradient(const struct head_query *q, const real *out, const struct action *a,
                   double by_log_p, double by_entropy, real *d);

/* tau = base (1 + rise H / ln m), H the entropy at tau 1 and m the legal actions. */
double head_temperature(const struct head_query *q, const real *out, double base,
                        double rise);
/* How sure a choice is: 1 - H / ln m of p; 1 where m is 1. */
double head_confidence(const struct head_query *q, const real *p);
/* How sure (T, alpha) are: 1 with the least sigmas that there are, 0 with the largest.
 */
double head_gaussian_confidence(const real *out);

double head_to_temperature(real u);
double head_to_alpha(real u);
double head_log_jacobian(const struct action *a);

#endif /* HADMC_SEARCH_AGENTS_HEAD_H */
