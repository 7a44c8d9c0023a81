/* SPDX-License-Identifier: Apache-2.0 */
/* See norms.h. */
#include "train/norms.h"

#include <math.h>

#include "frontend/pass.h"
#include "frontend/scale_channels.h"
#include "train/tape.h"

enum { MOST_SAMPLES = 512, BATCH = 16 };

static const double EPSILON = 1e-5;

enum { X, W };

/* ---- where ---------------------------------------------------------------------- */

static bool is_bare(const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->op == OP_BatchNormalization || n->op == OP_QuantizeLinear
            || n->op == OP_DequantizeLinear)
            return false;
    return true;
}

static bool can_follow(const struct ir_node *n)
{
    return n->op == OP_Conv && channels_can_shift(n) && channels_axis(n) == 1
           && n->out[0]->dim[0] == 1 && ir_count(n->out[0]) > 0;
}

struct norms {
    struct compile *c;
    struct ir_graph *graph;
    int n;
    struct ir_node **conv;
    struct ir_value **y;     /* what they make */
    double **mean, **square; /* by convolution and channel */
    int64_t n_samples, n_all;
    const int64_t *sample; /* [n_all], of which n_samples are looked at */
    const struct dataset *data;
    float *x; /* an input of a sample */
};

static void find(struct norms *q)
{
    int n = 0;

    for (const struct ir_node *node = q->graph->first; node; node = node->next)
        n += can_follow(node);
    q->conv = arena_new_array(q->c->scratch, struct ir_node *, n);
    q->y = arena_new_array(q->c->scratch, struct ir_value *, n);
    q->mean = arena_new_array(q->c->scratch, double *, n);
    q->square = arena_new_array(q->c->scratch, double *, n);
    for (struct ir_node *node = q->graph->first; node; node = node->next) {
        if (!can_follow(node))
            continue;
        q->conv[q->n] = node;
        q->y[q->n] = node->out[0];
        q->mean[q->n] = arena_new_array(q->c->scratch, double, channels_count(node));
        q->square[q->n] = arena_new_array(q->c->scratch, double, channels_count(node));
        q->n++;
    }
}

/* ---- what convolutions make ----------------------------------------------------- */

static struct status *read_sample(const struct norms *q, struct tape *t, int64_t i,
                                  int64_t sample)
{
    for (int k = 0; k < q->graph->n_in; k++) {
        const struct ir_value *v = q->graph->in[k];

        if (v->dtype != DT_f32) {
            RETURN_IF_FAIL(dataset_read(q->data, sample, k, tape_input(t, i, k)));
            continue;
        }
        RETURN_IF_FAIL(dataset_read(q->data, sample, k, q->x));
        for (int64_t e = 0; e < ir_count(v); e++)
            ((real *)tape_input(t, i, k))[e] = q->x[e];
    }
    return OK;
}

/* Means of y and of y^2; y is near its mean or the deviation does not matter. */
static void add_sample(struct norms *q, const struct tape *t, int64_t i)
{
    for (int k = 0; k < q->n; k++) {
        const int64_t channels = channels_count(q->conv[k]);
        const int64_t inner = ir_count(q->y[k]) / channels;
        const double share = 1 / (double)(inner * q->n_samples);
        const real *y = tape_output(t, i, k);

        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < inner; p++, y++) {
                q->mean[k][c] += share * (double)*y;
                q->square[k][c] += share * (double)*y * (double)*y;
            }
    }
}

/* Samples from all over the list, which may be sorted by class. */
static struct status *measure(struct norms *q, struct tape *t)
{
    int64_t most = 0;

    for (int k = 0; k < q->graph->n_in; k++)
        if (ir_count(q->graph->in[k]) > most)
            most = ir_count(q->graph->in[k]);
    q->x = arena_new_array(q->c->scratch, float, most);
    for (int64_t at = 0; at < q->n_samples; at += BATCH) {
        const int64_t n = q->n_samples - at < BATCH ? q->n_samples - at : BATCH;

        for (int64_t i = 0; i < n; i++)
            RETURN_IF_FAIL(
                read_sample(q, t, i, q->sample[(at + i) * q->n_all / q->n_samples]));
        tape_forward(t, n);
        for (int64_t i = 0; i < n; i++)
            add_sample(q, t, i);
    }
    return OK;
}

/* ---- inserting ------------------------------------------------------------------ */

static struct ir_value *of_channels(const struct norms *q, int k, const char *role,
                                    const float *data)
{
    const int64_t n = channels_count(q->conv[k]);

    return ir_const_ref(q->c, arena_printf(q->c->scratch, "%s.%s", q->y[k]->name, role),
                        DT_f32, 1, &n, data);
}

/* 1 / |W| of every channel, 1 for one that is all zeros. */
static double *inverse_lengths(const struct norms *q, const struct ir_node *conv)
{
    const struct ir_value *w = conv->in[W];
    const int64_t channels = channels_count(conv), row = ir_count(w) / channels;
    const float *at = w->data;
    double *to = arena_new_array(q->c->scratch, double, channels);

    for (int64_t c = 0; c < channels; c++) {
        double square = 0;

        for (int64_t i = 0; i < row; i++, at++)
            square += (double)*at * (double)*at;
        to[c] = square > 0 ? 1 / sqrt(square) : 1;
    }
    return to;
}

static struct status *insert(struct norms *q, int k)
{
    struct ir_node *conv = q->conv[k];
    const int64_t n = channels_count(conv);
    const double *by = inverse_lengths(q, conv);
    float *gamma = arena_new_array(q->c->perm, float, n);
    float *beta = arena_new_array(q->c->perm, float, n);
    float *mean = arena_new_array(q->c->perm, float, n);
    float *variance = arena_new_array(q->c->perm, float, n);

    for (int64_t c = 0; c < n; c++) {
        const double m = q->mean[k][c], v = fmax(0, q->square[k][c] - m * m);

        beta[c] = (float)m;
        mean[c] = (float)(m * by[c]);
        variance[c] = (float)(v * by[c] * by[c]);
        gamma[c] = (float)(sqrt((double)variance[c] + EPSILON) / by[c]);
    }
    channels_scale(conv, by, NULL);

    struct ir_value *in[] = {
        q->y[k], of_channels(q, k, "gamma", gamma), of_channels(q, k, "beta", beta),
        of_channels(q, k, "mean", mean), of_channels(q, k, "variance", variance)};
    struct ir_value *y;

    RETURN_IF_FAIL(ir_emit(q->graph, conv->next, OP_BatchNormalization, conv->name, 5,
                           in, "epsilon=1e-5", &y));
    ir_replace_uses(q->graph, q->y[k], y);
    ir_set_input(y->def, X, q->y[k]);
    q->y[k]->replaced_by = NULL; /* norms_fold puts it back */
    return OK;
}

struct status *norms_insert(struct compile *c, struct ir_graph *g,
                            const struct dataset *data, int64_t n_samples,
                            const int64_t *sample, int n_threads, int *n_inserted)
{
    struct norms q = {
        .c = c,
        .graph = g,
        .n_samples = n_samples < MOST_SAMPLES ? n_samples : MOST_SAMPLES,
        .n_all = n_samples,
        .sample = sample,
        .data = data,
    };
    struct tape *t = NULL;
    struct status *s;

    *n_inserted = 0;
    if (!is_bare(g))
        return OK;
    find(&q);
    if (!q.n)
        return OK;

    const struct tape_options o = {
        .batch = BATCH, .n_threads = n_threads, .n_outputs = q.n, .output = q.y};

    s = tape_build(g, &o, &t);
    if (!s)
        s = measure(&q, t);
    tape_destroy(t);
    for (int k = 0; k < q.n && !s; k++)
        s = insert(&q, k);
    *n_inserted = q.n;
    return s ? s : ir_verify(g);
}

struct status *norms_fold(struct compile *c, struct ir_graph *g)
{
    RETURN_IF_FAIL(pass_fold_batchnorm(c, g));
    return ir_verify(g);
}
