/* SPDX-License-Identifier: Apache-2.0 */
/* See masks.h. */
#include "train/masks.h"

#include <math.h>
#include <string.h>

#include "support/smallest.h"

/* ---- what may be masked ---------------------------------------------------------- */

static bool multiplies(const struct ir_node *n)
{
    return n->op == OP_Conv || n->op == OP_ConvTranspose || n->op == OP_Gemm
           || n->op == OP_MatMul;
}

/* Output channels of a factor: weight i is of number i / inner % n. */
struct channels {
    int64_t n, inner;
};

static struct channels channels_of(const struct ir_node *n, const struct ir_value *w)
{
    const bool is_left = n->op == OP_MatMul && n->in[0] == w;
    const int64_t last = w->dim[w->rank - 1];

    switch (n->op) {
    case OP_Conv:
        return (struct channels){w->dim[0], ir_count(w) / w->dim[0]};
    case OP_ConvTranspose:
        return (struct channels){w->dim[1], ir_count(w) / w->dim[0] / w->dim[1]};
    default:
        return is_left || ir_attr_int(n, "transB", 0)
                   ? (struct channels){w->dim[w->rank - 2], last}
                   : (struct channels){last, 1};
    }
}

/* The node that multiplies by w; NULL: w is none of its factors. */
static const struct ir_node *reader_of(const struct tape *t,
                                       const struct tape_weight *w)
{
    if (w->is_scale || !tape_is_matrix(w))
        return NULL;
    for (const struct ir_node *n = t->graph->first; n; n = n->next)
        if (multiplies(n) && (n->in[0] == w->value || n->in[1] == w->value))
            return n;
    return NULL;
}

/* ---- masks ----------------------------------------------------------------------- */

/* A weight of 1 as a multiple of the root mean square of its channel. */
static void set_sizes(const struct tape *t, const struct tape_weight *w,
                      struct channels c, double *size)
{
    struct arena *a = arena_create();
    double *square = arena_new_array(a, double, c.n);

    for (int64_t i = 0; i < w->count; i++)
        square[i / c.inner % c.n] +=
            (double)t->weight[w->at + i] * (double)t->weight[w->at + i];
    for (int64_t i = 0; i < w->count; i++) {
        const double mean =
            square[i / c.inner % c.n] / ((double)w->count / (double)c.n);

        size[i] = mean > 0 ? 1 / sqrt(mean) : 1;
    }
    arena_destroy(a);
}

static void begin_factor(struct masks *m, const struct tape *t,
                         const struct tape_weight *w, const struct ir_node *reader)
{
    set_sizes(t, w, channels_of(reader, w->value), m->size + w->at);
    for (int64_t i = w->at; i < w->at + w->count; i++)
        m->kept[i] = m->schedule.kind != ANNEAL_NONE || t->weight[i] != 0;
    m->n_factors += w->count;
}

void masks_begin(struct masks *m, struct tape *t, const struct anneal *schedule)
{
    *m = (struct masks){.schedule = *schedule, .n = t->n_elements};
    m->size = arena_new_array(t->a, double, m->n);
    m->aside = arena_new_array(t->a, real, m->n);
    m->kept = arena_new_array(t->a, uint8_t, m->n);
    memset(m->kept, 1, (size_t)m->n);
    for (int i = 0; i < t->n_weights; i++) {
        const struct ir_node *reader = reader_of(t, &t->weights[i]);

        if (reader)
            begin_factor(m, t, &t->weights[i], reader);
    }
}

static void set_mask(struct masks *m, real *weight, int64_t i, bool keep)
{
    if (keep && !m->kept[i])
        weight[i] = m->aside[i];
    if (!keep && m->kept[i]) {
        m->aside[i] = weight[i];
        weight[i] = 0;
    }
    m->kept[i] = keep;
}

static void mask_smallest(struct masks *m, real *weight, int64_t count)
{
    struct arena *a = arena_create();
    double *size = arena_new_array(a, double, m->n_factors);
    uint8_t *is_small = arena_new_array(a, uint8_t, m->n_factors);
    int64_t k = 0;

    for (int64_t i = 0; i < m->n; i++)
        if (m->size[i] > 0)
            size[k++] =
                fabs((double)(m->kept[i] ? weight[i] : m->aside[i])) * m->size[i];
    smallest_mark(k, size, count, is_small);
    k = 0;
    for (int64_t i = 0; i < m->n; i++)
        if (m->size[i] > 0)
            set_mask(m, weight, i, !is_small[k++]);
    arena_destroy(a);
}

void masks_step(struct masks *m, struct tape *t, int64_t i, real *momentum,
                real *square)
{
    if (!anneal_is_due(&m->schedule, i))
        return;
    mask_smallest(m, t->weight,
                  llround(anneal_share(&m->schedule, i) * (double)m->n_factors));
    for (int64_t k = 0; k < m->n; k++)
        if (!m->kept[k])
            momentum[k] = square[k] = 0;
}

int64_t masks_count(const struct masks *m)
{
    int64_t n = 0;

    for (int64_t i = 0; i < m->n; i++)
        n += !m->kept[i];
    return n;
}

void masks_stop_gradient(const struct masks *m, struct tape *t)
{
    for (int64_t i = 0; i < m->n; i++)
        if (!m->kept[i])
            t->gradient[i] = 0;
}
