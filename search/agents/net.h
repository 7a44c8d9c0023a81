/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: an optional LSTM layer, then dense layers with ReLU between them.
 *
 *     struct net_shape shape = {.n_in = 128, .n_hidden = 3, .hidden = {256, 128, 64},
 *                               .n_out = 10, .gain = 0.01};
 *     struct net *n = net_create(a, &shape, &random);
 *     struct net_pass *p = net_pass_create(a, n, 256);
 *     const real *y = net_forward(n, p, 1, 256, x);      y[256][net_out(n)]
 *     net_backward(n, p, dy, NULL);                      adds to n->g
 *
 * Matrices are stored input-major, W[in][out], rows padded to whole vectors with zeros
 * that stay zero.  All learned numbers of a network lie in one array, so that the
 * optimiser, the norm of the gradient and copies are loops over it.
 *
 * Initial weights are orthogonal with gain sqrt(2) in hidden layers and `gain` in the
 * last one, biases 0 (Saxe et al. 2014, arXiv:1312.6120; gains as in Huang et al., "The
 * 37 implementation details of PPO", 2022).
 */
#ifndef HADMC_SEARCH_AGENTS_NET_H
#define HADMC_SEARCH_AGENTS_NET_H

#include <stdint.h>

#include "search/agents/net_real.h"
#include "support/arena.h"
#include "support/random.h"

enum { NET_MAX_HIDDEN = 3, NET_MAX_LAYERS = NET_MAX_HIDDEN + 1 };

struct net_shape {
    int n_in;
    int n_lstm; /* cells of the LSTM layer in front; 0: none */
    int n_hidden, hidden[NET_MAX_HIDDEN];
    int n_out;
    double gain; /* of the last layer */
};

/* y = x W + b; w[in][ld], b[ld], in net->w at these places. */
struct net_dense {
    int in, out, ld;
    int64_t w, b;
};

/* Gates i, f, g, o of h cells, each padded: x[in][4 ld], h[cells][4 ld], b[4 ld].
 *
 *     c' = sigmoid(f) c + sigmoid(i) tanh(g),  h' = sigmoid(o) tanh(c')
 */
struct net_lstm {
    int in, cells, ld;
    int64_t wx, wh, b;
};

struct net {
    struct net_shape shape;
    struct net_lstm lstm;
    int n_layers;
    struct net_dense layers[NET_MAX_LAYERS];
    int64_t n;     /* learned numbers, padding included */
    real *w, *g;   /* [n]: weights and gradient */
    real *m, *v;   /* [n]: Adam's moments */
    bool is_fresh; /* the gradient counts as 0, whatever g holds */
    int64_t steps; /* of Adam so far */
    uint8_t *kept; /* [n], 0: masked by annealing, see annealed.h; NULL: all are kept */
};

/* What a forward pass leaves for the backward pass.  At most `rows` rows at once. */
struct net_pass {
    int rows, n_steps, n_sequences;     /* of the last forward pass */
    const real *x;                      /* its input, borrowed */
    real *lstm_gates, *lstm_c, *lstm_h; /* [rows][4 ld], [rows][ld], [rows][ld] */
    real *lstm_d, *lstm_dc, *lstm_dh;   /* gradients of them */
    /* outputs of the layers; [rows][ld].  The backward pass turns those of hidden
     * layers into their gradients. */
    real *y[NET_MAX_LAYERS];
    real *scratch; /* of products */
};

/* Learned numbers of such a network, padding included. */
int64_t net_size(const struct net_shape *shape);
/* Lives in `a`.  Without `random` all numbers are 0. */
struct net *net_create(struct arena *a, const struct net_shape *shape,
                       struct random *random);
struct net_pass *net_pass_create(struct arena *a, const struct net *n, int max_rows);

/* Elements from one row of outputs to the next. */
int net_out(const struct net *n);

/* Outputs for n_steps * n_sequences rows x[step][sequence][n_in]; an LSTM starts each
 * sequence from zero.  Without an LSTM rows are rows.  The result is the pass's. */
const real *net_forward(const struct net *n, struct net_pass *p, int n_steps,
                        int n_sequences, const real *x);
/* Adds the gradient of the last forward pass to n->g; d[rows][net_out] is that of the
 * outputs and is destroyed.  dx[rows][n_in] is written unless it is NULL. */
void net_backward(struct net *n, struct net_pass *p, real *d, real *dx);

/* One row without BLAS: `state` is h[ld] and c[ld] of the LSTM, which move on; NULL
 * without one.  scratch[net_scratch].  The result lies in scratch. */
const real *net_forward_one(const struct net *n, const real *x, real *state,
                            real *scratch);
int net_scratch(const struct net *n);
/* Elements of `state`. */
int net_state(const struct net *n);

/* The next backward pass writes n->g instead of adding to it. */
void net_zero_gradient(struct net *n);
/* One step of Adam (Kingma and Ba 2015; beta 0.9 and 0.999, epsilon 1e-5) after the
 * gradient's norm was clipped to max_norm (0: not); returns the norm before. */
double net_adam(struct net *n, double rate, double max_norm);
/* to = (1 - share) to + share from; networks of one shape. */
void net_blend(struct net *to, const struct net *from, double share);

#endif /* HADMC_SEARCH_AGENTS_NET_H */
