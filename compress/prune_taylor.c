/* SPDX-License-Identifier: Apache-2.0 */
/* What channels are worth by what the loss would do without them, to first order:
 *
 *     mean over samples of |sum over positions of y_c dL/dy_c|
 *
 * for channel c of what a unit gives, y_c = sum w_c x + b_c; the sum is that of
 * w dL/dw over the channel's weights and bias, so gradients of one sample's weights are
 * all that is needed.  L is the cross entropy of the label, or where there is none of
 * the class that the model itself finds; for outputs that are no classes half their
 * mean square.  Each as a share of its mean over the layer, so that layers of a group
 * add up.
 *
 * source: Molchanov et al. 2017, arXiv:1611.06440, section 2.2
 */
#include <math.h>
#include <string.h>

#include "compress/prune_parts.h"
#include "train/row_loss.h"
#include "train/tape.h"
#include "train/train.h"

enum { W = 1, B = 2, MOST_SAMPLES = 256 };

/* A unit that makes channels. */
struct maker {
    struct product p;
    const int *class;                         /* [channels] */
    const struct tape_weight *weights, *bias; /* NULL: not on the tape */
    double *worth;                            /* [channels] */
};

struct taylor {
    const struct pruner *q;
    struct arena *arena;
    struct tape *tape;
    bool is_logits;
    int64_t row; /* elements of a row of scores */
    int n_makers;
    struct maker *makers;
};

static const struct tape_weight *weight_of(const struct tape *t,
                                           const struct ir_value *v)
{
    for (int i = 0; v && i < t->n_weights; i++)
        if (t->weights[i].value == v)
            return &t->weights[i];
    return NULL;
}

static void find_makers(struct taylor *h)
{
    const struct pruner *q = h->q;

    h->makers = arena_new_array(h->arena, struct maker, q->p->n_units + 1);
    for (int i = 0; i < q->p->n_units; i++) {
        const struct unit *u = &q->units[i];
        struct maker *m = &h->makers[h->n_makers];

        if (!product_of(u->node, &m->p))
            continue;
        m->weights = weight_of(h->tape, u->node->in[W]);
        m->bias = weight_of(h->tape, ir_in(u->node, B));
        if (!m->weights)
            continue;
        m->class = q->ch->of[u->node->out[0]->id][channels_dim(u)];
        m->worth = arena_new_array(h->arena, double, m->p.channels);
        h->n_makers++;
    }
}

/* ---- the loss -------------------------------------------------------------------- */

static int64_t largest(const real *z, int64_t n)
{
    int64_t best = 0;

    for (int64_t i = 1; i < n; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

static int64_t class_of(const struct taylor *h, int64_t sample, const real *z,
                        int64_t n_rows)
{
    const struct dataset *d = h->q->o->data;
    const int64_t label =
        d->task == DATASET_CLASSIFY && n_rows == 1 ? dataset_label(d, sample) : -1;

    return label >= 0 && label < h->row ? label : largest(z, h->row);
}

static void set_gradient(struct taylor *h, int64_t sample)
{
    const int64_t n = h->tape->output[0]->count, n_rows = n / h->row;
    const real *z = tape_output(h->tape, 0, 0);
    real *d = tape_output_gradient(h->tape, 0, 0);

    memset(d, 0, (size_t)n * sizeof *d);
    for (int64_t r = 0; h->is_logits && r < n_rows; r++, z += h->row, d += h->row)
        row_loss_cross_entropy(h->row, z, class_of(h, sample, z, n_rows),
                               1 / (double)n_rows, d);
    for (int64_t i = 0; !h->is_logits && i < n; i++)
        d[i] = z[i] / (real)n;
}

/* ---- samples --------------------------------------------------------------------- */

static struct status *read_sample(struct taylor *h, struct arena *a, int64_t sample)
{
    const struct ir_graph *g = h->q->g;

    for (int k = 0; k < g->n_in; k++) {
        const struct ir_value *v = g->in[k];
        real *to = tape_input(h->tape, 0, k);
        float *x = arena_alloc(a, (size_t)ir_bytes(v));

        RETURN_IF_FAIL(dataset_read(h->q->o->data, sample, k, x));
        if (v->dtype != DT_f32)
            memcpy(to, x, (size_t)ir_bytes(v));
        for (int64_t i = 0; v->dtype == DT_f32 && i < ir_count(v); i++)
            to[i] = x[i];
    }
    return OK;
}

static void add_worth(const struct tape *t, struct maker *m)
{
    const real *w = t->weight + m->weights->at, *dw = t->gradient + m->weights->at;

    for (int64_t c = 0; c < m->p.channels; c++) {
        double sum = 0.0;

        for (int64_t i = 0; i < m->p.k; i++) {
            const int64_t at = product_place(&m->p, c, i);

            sum += (double)w[at] * (double)dw[at];
        }
        if (m->bias && m->bias->count == m->p.channels)
            sum += (double)t->weight[m->bias->at + c]
                   * (double)t->gradient[m->bias->at + c];
        m->worth[c] += fabs(sum);
    }
}

static struct status *run_samples(struct taylor *h)
{
    const int64_t n = prune_samples(h->q, MOST_SAMPLES);
    struct arena *a = arena_create();
    struct status *s = OK;

    for (int64_t i = 0; i < n && !s; i++) {
        const int64_t sample = h->q->o->sample[i];

        arena_reset(a);
        s = read_sample(h, a, sample);
        if (s)
            break;
        tape_forward(h->tape, 1);
        set_gradient(h, sample);
        tape_backward(h->tape, 1);
        for (int k = 0; k < h->n_makers; k++)
            add_worth(h->tape, &h->makers[k]);
    }
    arena_destroy(a);
    return s;
}

static void add_prices(const struct maker *m, double *price)
{
    double sum = 0.0;

    for (int64_t c = 0; c < m->p.channels; c++)
        sum += m->worth[c];
    for (int64_t c = 0; c < m->p.channels && sum > 0.0; c++)
        if (m->class[c] != CHANNEL_FIXED)
            price[m->class[c]] += m->worth[c] * (double)m->p.channels / sum;
}

struct status *prices_by_taylor(const struct pruner *q, double *price)
{
    struct ir_value *z = train_logits(q->g);
    const enum dataset_task task = q->o->data->task;
    const struct tape_options o = {
        .batch = 1, .n_threads = 1, .backward = true, .n_outputs = 1, .output = &z};
    struct taylor h = {
        .q = q,
        .arena = arena_create(),
        .is_logits =
            task == DATASET_CLASSIFY || task == DATASET_LANGUAGE || z != q->g->out[0],
        .row = z->rank ? z->dim[z->rank - 1] : 1,
    };
    struct status *s = tape_build(q->g, &o, &h.tape);

    if (!s) {
        find_makers(&h);
        s = run_samples(&h);
    }
    for (int i = 0; i < h.n_makers && !s; i++)
        add_prices(&h.makers[i], price);
    tape_destroy(h.tape);
    arena_destroy(h.arena);
    return status_note(s, "while asking what the loss would do without channels");
}
