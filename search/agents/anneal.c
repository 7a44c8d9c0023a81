/* SPDX-License-Identifier: Apache-2.0 */
/* Pruning while training: see anneal.h. */
#include "search/agents/anneal.h"

#include <stdlib.h>
#include <string.h>

#define MOST 0.99

static double clamp(double x, double low, double high)
{
    return fmin(fmax(x, low), high);
}

double anneal_share(const struct anneal *s, int i)
{
    const double tau = clamp((double)(i - s->begin) / (s->end - s->begin), 0, 1);

    switch (s->kind) {
    case ANNEAL_LINEAR:
        return clamp(s->first + (s->final - s->first) * tau, 0, MOST);
    case ANNEAL_CUBIC:
        return clamp(s->final + (s->first - s->final) * pow(1 - tau, 3), 0, MOST);
    case ANNEAL_HARMONIC:
        return clamp(s->final + (s->first - s->final) / 2 * (1 + cos(M_PI * tau))
                         + s->swing * sin(2 * M_PI * s->waves * tau),
                     0, MOST);
    case ANNEAL_NONE:
        break;
    }
    return 0;
}

int anneal_n_regrowths(const struct anneal *s)
{
    bool falls = false;
    int n = 0;

    for (int i = s->begin; i + ANNEAL_EVERY <= s->end; i += ANNEAL_EVERY) {
        const bool falls_now = anneal_share(s, i + ANNEAL_EVERY) < anneal_share(s, i);

        n += falls_now && !falls;
        falls = falls_now;
    }
    return n;
}

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

struct ranked {
    real size;
    int64_t at;
};

static int compare_sizes(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

/* Masks the n_masked smallest weights, and no other. */
static void mask_smallest(struct annealed *m)
{
    struct net *n = m->net;
    struct arena *scratch = arena_create();
    struct ranked *ranked = arena_new_array(scratch, struct ranked, m->n_weights);

    for (int64_t k = 0; k < m->n_weights; k++) {
        const int64_t at = m->order[k];

        ranked[k].at = at;
        ranked[k].size = (real)fabs((double)(n->kept[at] ? n->w[at] : m->aside[at]));
    }
    qsort(ranked, (size_t)m->n_weights, sizeof *ranked, compare_sizes);
    for (int64_t k = 0; k < m->n_weights; k++) {
        const int64_t at = ranked[k].at;
        const bool keep = k >= m->n_masked;

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
    if (s->kind == ANNEAL_NONE || i < s->begin || i > s->end)
        return;
    if ((i - s->begin) % ANNEAL_EVERY && i != s->end)
        return;
    m->n_masked = (int64_t)llround(anneal_share(s, i) * (double)m->n_weights);
    mask_smallest(m);
}

double annealed_sparsity(const struct annealed *m)
{
    return (double)m->n_masked / (double)m->n_weights;
}
