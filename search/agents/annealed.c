/* SPDX-License-Identifier: Apache-2.0 */
/* See annealed.h. */
#include "search/agents/annealed.h"

#include <string.h>

#include "support/smallest.h"

/* The places of a matrix; returns how many. */
static int64_t list_matrix(int64_t at, int rows, int n, int ld, int64_t *order)
{
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < n; i++)
            order[(int64_t)r * n + i] = at + (int64_t)r * ld + i;
    return (int64_t)rows * n;
}

static int64_t list_weights(const struct net *n, int64_t *order)
{
    const struct net_lstm *l = &n->lstm;
    int64_t count = 0;

    for (int gate = 0; l->cells && gate < 4; gate++) {
        const int64_t at = (int64_t)gate * l->ld;

        count += list_matrix(l->wx + at, l->in, l->cells, 4 * l->ld, order + count);
        count += list_matrix(l->wh + at, l->cells, l->cells, 4 * l->ld, order + count);
    }
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_dense *d = &n->layers[i];

        count += list_matrix(d->w, d->in, d->out, d->ld, order + count);
    }
    return count;
}

struct annealed *annealed_create(struct arena *a, struct net *n)
{
    struct annealed *m = arena_new(a, struct annealed);

    m->net = n;
    m->aside = arena_new_array(a, real, n->n);
    m->order = arena_new_array(a, int64_t, n->n);
    m->n_weights = list_weights(n, m->order);
    n->kept = arena_new_array(a, uint8_t, n->n);
    memset(n->kept, 1, (size_t)n->n);
    return m;
}

/* Masks the n_masked smallest weights, and no other. */
static void mask_smallest(struct annealed *m)
{
    struct net *n = m->net;
    struct arena *scratch = arena_create();
    double *size = arena_new_array(scratch, double, m->n_weights);
    uint8_t *is_small = arena_new_array(scratch, uint8_t, m->n_weights);

    for (int64_t k = 0; k < m->n_weights; k++) {
        const int64_t at = m->order[k];

        size[k] = fabs((double)(n->kept[at] ? n->w[at] : m->aside[at]));
    }
    smallest_mark(m->n_weights, size, m->n_masked, is_small);
    for (int64_t k = 0; k < m->n_weights; k++) {
        const int64_t at = m->order[k];
        const bool keep = !is_small[k];

        if (keep && !n->kept[at])
            n->w[at] = m->aside[at];
        if (!keep && n->kept[at]) {
            m->aside[at] = n->w[at];
            n->w[at] = 0;
        }
        n->kept[at] = keep;
    }
    arena_destroy(scratch);
}

void annealed_step(struct annealed *m, const struct anneal *s, int i)
{
    if (!anneal_is_due(s, i))
        return;
    m->n_masked = (int64_t)llround(anneal_share(s, i) * (double)m->n_weights);
    mask_smallest(m);
}

double annealed_sparsity(const struct annealed *m)
{
    return (double)m->n_masked / (double)m->n_weights;
}
