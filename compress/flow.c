/* SPDX-License-Identifier: Apache-2.0 */
/* See flow.h. */
#include "compress/flow.h"

#include <string.h>

#include "frontend/interpret.h"
#include "frontend/lower.h"
#include "support/blas.h"

/* What all samples of two flows take at once. */
static const int64_t MOST_BYTES = INT64_C(3) << 30;

/* A value of all samples: `stride` bytes each, in memory of its own. */
struct held {
    struct arena *memory; /* NULL: borrowed */
    uint8_t *at;
    int64_t (*dims)[IR_MAX_RANK]; /* [n] of a dynamic value, else NULL */
    int readers;                  /* that are still to come */
};

struct flow {
    const struct ir_graph *g;
    int64_t n;
    int n_values;
    struct arena *arena;
    struct held *held;        /* by value id */
    struct interpretation io; /* of the sample that is running */
    bool has_bodies;          /* whose reads are not among the operands of their node */
};

static int64_t stride_of(const struct ir_value *v)
{
    const int64_t n = ir_bytes(v);

    return n > 0 ? (n + 63) / 64 * 64 : 64;
}

int64_t flow_pitch(const struct ir_value *v)
{
    return stride_of(v) / dtype_info[v->dtype].bytes;
}

/* ---- memory ---------------------------------------------------------------------- */

static void hold(struct flow *f, const struct ir_value *v)
{
    struct held *h = &f->held[v->id];

    if (h->memory) /* from an earlier run */
        return;
    h->memory = arena_create();
    h->at = arena_alloc_array(h->memory, (size_t)f->n, (size_t)stride_of(v));
    h->dims =
        v->dynamic ? arena_alloc_array(h->memory, (size_t)f->n, sizeof *h->dims) : NULL;
}

static void drop(struct held *h)
{
    arena_destroy(h->memory);
    h->memory = NULL;
    h->at = NULL;
    h->dims = NULL;
}

void *flow_at(const struct flow *f, const struct ir_value *v, int64_t i)
{
    const struct held *h = &f->held[v->id];

    if (v->data)
        return (void *)v->data;
    return h->at ? h->at + i * stride_of(v) : NULL;
}

void flow_own(struct flow *f, const struct ir_value *v)
{
    const struct held borrowed = f->held[v->id];

    if (borrowed.memory || !borrowed.at)
        return;
    hold(f, v);
    memcpy(f->held[v->id].at, borrowed.at, (size_t)(f->n * stride_of(v)));
    if (borrowed.dims)
        memcpy(f->held[v->id].dims, borrowed.dims,
               (size_t)f->n * sizeof *borrowed.dims);
}

struct flow_memory flow_take(struct flow *f, const struct ir_value *v)
{
    struct held *h = &f->held[v->id];
    const struct flow_memory memory = {h->memory, h->at};

    h->memory = NULL;
    h->at = NULL;
    return memory;
}

void flow_give(struct flow *f, const struct ir_value *v, struct flow_memory memory)
{
    f->held[v->id].memory = memory.arena;
    f->held[v->id].at = memory.at;
}

void flow_make(struct flow *f, const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && !n->out[i]->is_sequence)
            hold(f, n->out[i]);
}

void flow_release(struct flow *f, const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data && --f->held[n->in[i]->id].readers == 0)
            drop(&f->held[n->in[i]->id]);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && f->held[n->out[i]->id].readers == 0)
            drop(&f->held[n->out[i]->id]);
}

int64_t flow_samples(const struct ir_graph *g, int64_t wanted)
{
    const int64_t most = MOST_BYTES / (2 * flow_bytes(g) + 1);
    const int64_t n = wanted < most ? wanted : most;

    return n > 0 ? n : 1;
}

/* ---- making ---------------------------------------------------------------------- */

static struct flow *make(const struct ir_graph *g, int64_t n)
{
    struct arena *a = arena_create();
    struct flow *f = arena_new(a, struct flow);

    *f = (struct flow){.g = g, .n = n, .n_values = g->compile->n_values, .arena = a};
    f->held = arena_new_array(a, struct held, f->n_values);
    f->io.by_id = arena_new_array(a, struct tensor, f->n_values);
    return f;
}

/* Reads of bodies count among n_uses and are never taken off again. */
static void count_readers(struct flow *f)
{
    for (int i = 0; i < f->g->n_in; i++)
        f->held[f->g->in[i]->id].readers = f->g->in[i]->n_uses;
    for (const struct ir_node *n = f->g->first; n; n = n->next) {
        f->has_bodies |= n->body[0] != NULL;
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                f->held[n->out[i]->id].readers = n->out[i]->n_uses;
    }
}

static struct status *read_sample(const struct dataset *d, int64_t sample, int input,
                                  void *out)
{
    return status_note(dataset_read(d, sample, input, out), "while reading sample %lld",
                       (long long)sample);
}

static struct status *start(const struct ir_graph *g, int64_t n, struct flow **out)
{
    RETURN_IF_FAIL(blas_open());
    *out = make(g, n);
    count_readers(*out);
    for (int i = 0; i < g->n_in; i++)
        hold(*out, g->in[i]);
    return OK;
}

struct status *flow_create(const struct ir_graph *g, const struct dataset *data,
                           int64_t n, const int64_t *sample, struct flow **out)
{
    struct status *s = start(g, n, out);

    for (int64_t i = 0; i < n && !s; i++)
        for (int k = 0; k < g->n_in && !s; k++)
            s = read_sample(data, sample[i], k, flow_at(*out, g->in[k], i));
    return s;
}

struct status *flow_create_from(const struct ir_graph *g, int64_t n,
                                void *const *inputs, struct flow **out)
{
    RETURN_IF_FAIL(start(g, n, out));
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < g->n_in; k++)
            memcpy(flow_at(*out, g->in[k], i), inputs[i * g->n_in + k],
                   (size_t)ir_bytes(g->in[k]));
    return OK;
}

struct flow *flow_fork(const struct flow *f)
{
    struct flow *fork = make(f->g, f->n);

    fork->has_bodies = f->has_bodies;
    for (int i = 0; i < f->n_values; i++) {
        fork->held[i] = f->held[i];
        fork->held[i].memory = NULL;
    }
    return fork;
}

void flow_destroy(struct flow *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n_values; i++)
        arena_destroy(f->held[i].memory);
    arena_destroy(f->arena);
}

int64_t flow_n(const struct flow *f)
{
    return f->n;
}

int64_t flow_bytes(const struct ir_graph *g)
{
    struct flow *f = make(g, 0);
    int64_t live = 0, most = 0;

    count_readers(f);
    for (int i = 0; i < g->n_in; i++)
        live += stride_of(g->in[i]);
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_out; i++)
            live += n->out[i] ? stride_of(n->out[i]) : 0;
        most = live > most ? live : most;
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && !n->in[i]->data && --f->held[n->in[i]->id].readers == 0)
                live -= stride_of(n->in[i]);
    }
    flow_destroy(f);
    return most;
}

/* ---- running --------------------------------------------------------------------- */

static void show(struct flow *f, const struct ir_value *v, int64_t i)
{
    struct tensor *t = &f->io.by_id[v->id];
    const struct held *h = &f->held[v->id];

    *t = (struct tensor){.dtype = v->dtype, .rank = v->rank};
    memcpy(t->dim, h->dims ? h->dims[i] : v->dim, sizeof t->dim);
    t->data = flow_at(f, v, i);
}

/* The interpreter sees sample i wherever n may look. */
static void show_operands(struct flow *f, const struct ir_node *n, int64_t i)
{
    if (f->has_bodies) {
        for (int k = 0; k < f->g->n_in; k++)
            if (f->held[f->g->in[k]->id].at)
                show(f, f->g->in[k], i);
        for (const struct ir_node *m = f->g->first; m != n; m = m->next)
            for (int k = 0; k < m->n_out; k++)
                if (m->out[k] && f->held[m->out[k]->id].at)
                    show(f, m->out[k], i);
    }
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] && f->held[n->in[k]->id].at)
            show(f, n->in[k], i);
}

static void take_outputs(struct flow *f, const struct ir_node *n, int64_t i)
{
    for (int k = 0; k < n->n_out; k++) {
        const struct ir_value *v = n->out[k];
        struct held *h = v ? &f->held[v->id] : NULL;

        if (!v || v->is_sequence)
            continue;
        memcpy(h->at + i * stride_of(v), f->io.by_id[v->id].data, (size_t)ir_bytes(v));
        if (h->dims)
            memcpy(h->dims[i], f->io.by_id[v->id].dim, sizeof h->dims[i]);
    }
}

struct status *flow_run_some(struct flow *f, const struct ir_node *n, int64_t first,
                             int64_t count)
{
    const bool is_control = op_info[n->op].traits & OPT_CONTROL;
    struct arena *scratch = arena_create();
    struct lowering lw;
    struct status *s = is_control ? OK : lower_node(f->g->compile, n, &lw);

    for (int64_t i = first; i < first + count && !s; i++) {
        show_operands(f, n, i);
        if (is_control)
            s = interpret_node(scratch, n, &f->io);
        else
            interpret_lowered(scratch, n, &lw, &f->io);
        if (!s)
            take_outputs(f, n, i);
        arena_reset(scratch);
    }
    arena_destroy(scratch);
    return s;
}

static void multiply_all(struct flow *f, const struct product *p)
{
    struct arena *a = arena_create();
    float *weights = arena_new_array(a, float, p->channels * p->k);
    float *bias = arena_new_array(a, float, p->channels);
    float *scratch = arena_new_array(a, float, product_scratch(p) + 1);

    product_weights(p, weights);
    product_bias(p, bias);
    for (int64_t i = 0; i < f->n; i++)
        product_apply(p, weights, bias, flow_at(f, p->node->in[0], i), scratch,
                      flow_at(f, p->node->out[0], i));
    arena_destroy(a);
}

struct status *flow_run(struct flow *f, const struct ir_node *n)
{
    struct product p;

    flow_make(f, n);
    if (product_of(n, &p)) {
        multiply_all(f, &p);
        return OK;
    }
    return flow_run_some(f, n, 0, f->n);
}
