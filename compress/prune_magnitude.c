/* SPDX-License-Identifier: Apache-2.0 */
/* What channels are worth by the weights that make them.
 *
 *     l1, l2             |w_i|, for the weights w_i of output channel i
 *     geometric median   sum over j of |w_i - w_j|: what lies amid the others can be
 *                        spared best
 *
 * each as a share of its mean over the layer, so that layers of a group add up.
 *
 * sources: Li et al. 2017, arXiv:1608.08710; He et al. 2019, arXiv:1811.00250
 */
#include <math.h>

#include "compress/prune_parts.h"

static double l1_of(const float *w, int64_t k)
{
    double sum = 0.0;

    for (int64_t i = 0; i < k; i++)
        sum += fabs((double)w[i]);
    return sum;
}

static double distance(const float *v, const float *w, int64_t k)
{
    double sum = 0.0;

    for (int64_t i = 0; i < k; i++) {
        const double d = (double)v[i] - (w ? (double)w[i] : 0.0);

        sum += d * d;
    }
    return sqrt(sum);
}

static double worth(enum prune_saliency by, const struct product *p, const float *w,
                    int64_t channel)
{
    const float *mine = w + channel * p->k;
    double sum = 0.0;

    switch (by) {
    case SALIENCY_L1:
        return l1_of(mine, p->k);
    case SALIENCY_L2:
        return distance(mine, NULL, p->k);
    default:
        for (int64_t j = 0; j < p->channels; j++)
            sum += distance(mine, w + j * p->k, p->k);
        return sum;
    }
}

static void add_unit(const struct pruner *q, const struct unit *u,
                     const struct product *p, double *price)
{
    struct arena *a = arena_create();
    const struct ir_value *y = u->node->out[0];
    const int *class = q->ch->of[y->id][channels_dim(u)];
    float *w = arena_new_array(a, float, p->channels * p->k);
    double *each = arena_new_array(a, double, p->channels), sum = 0.0;

    product_weights(p, w);
    for (int64_t i = 0; i < p->channels; i++)
        sum += each[i] = worth(q->o->saliency, p, w, i);
    for (int64_t i = 0; i < p->channels && sum > 0.0; i++)
        if (class[i] != CHANNEL_FIXED)
            price[class[i]] += each[i] * (double)p->channels / sum;
    arena_destroy(a);
}

void prices_by_magnitude(const struct pruner *q, double *price)
{
    struct product p;

    for (int i = 0; i < q->p->n_units; i++)
        if (product_of(q->units[i].node, &p))
            add_unit(q, &q->units[i], &p, price);
}
