/* SPDX-License-Identifier: Apache-2.0 */
/* The reference interpreter: lowers a node, gives every operand memory, runs the
 * calls.  Simple on purpose: nothing is planned, reused or run in parallel. */
#include "frontend/interpret.h"

#include <string.h>

#include "frontend/lower.h"

struct tensor *interpret_value(struct arena *a, const struct ir_value *v,
                               struct interpretation *io)
{
    struct tensor *t = &io->by_id[v->id];

    if (t->data)
        return t;
    t->dtype = v->dtype;
    t->rank = v->rank;
    memcpy(t->dim, v->dim, sizeof t->dim);
    /* Zero elements still need an address: NULL means "not computed". */
    const int64_t n_bytes = ir_bytes(v);
    t->data = v->data ? (void *)v->data : arena_alloc(a, (size_t)(n_bytes ? n_bytes : 1));
    return t;
}

static void *address(struct arena *a, const struct kbuf *b, void *const *temp,
                     struct interpretation *io)
{
    switch (b->kind) {
    case KB_VALUE:
        return b->value ? (char *)interpret_value(a, b->value, io)->data + b->offset : NULL;
    case KB_DIMS:
        return interpret_value(a, b->value, io)->dim;
    case KB_TEMP:
        return (char *)temp[b->index] + b->offset;
    case KB_SCRATCH:
        return arena_alloc(a, (size_t)(b->size ? b->size : 1));
    }
    return NULL;
}

static void run_call(struct arena *a, const struct kcall *call, void *const *temp,
                     struct interpretation *io)
{
    void *buf[K_MAX_BUFS] = {0};

    for (int i = 0; i < call->n_bufs; i++)
        buf[i] = address(a, &call->bufs[i], temp, io);
    if (call->kernel->arity > 0) {
        struct k_eltwise p = *(const struct k_eltwise *)call->params;

        lower_merge_dims(&p, call->kernel->arity);
        call->kernel->fn(&p, buf, 0, call->n_units);
    } else {
        call->kernel->fn(call->params, buf, 0, call->n_units);
    }
}

/* Outputs of a node that runs again (in a loop) get new memory: the old contents may
 * still be in use under another name. */
static void forget_outputs(const struct ir_node *n, struct interpretation *io)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            io->by_id[n->out[i]->id].data = NULL;
}

void interpret_lowered(struct arena *a, const struct ir_node *n,
                       const struct lowering *lw, struct interpretation *io)
{
    void *temp[sizeof lw->temp_bytes / sizeof *lw->temp_bytes];

    forget_outputs(n, io);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && !n->out[i]->is_sequence)
            interpret_value(a, n->out[i], io);
    for (int i = 0; i < lw->n_temps; i++)
        temp[i] = arena_alloc(a, (size_t)(lw->temp_bytes[i] ? lw->temp_bytes[i] : 1));
    for (int i = 0; i < lw->n_calls; i++)
        run_call(a, lw->calls[i], temp, io);
}

struct status *interpret_node(struct arena *a, const struct ir_node *n,
                              struct interpretation *io)
{
    if (op_info[n->op].traits & OPT_CONTROL)
        return interpret_control_node(a, n, io);

    struct lowering lw;

    RETURN_IF_FAIL(lower_node(n->graph->compile, n, &lw));
    interpret_lowered(a, n, &lw, io);
    return OK;
}

struct status *interpret_nodes(struct arena *a, const struct ir_graph *g,
                               struct interpretation *io)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        RETURN_IF_FAIL(interpret_node(a, n, io));
    return OK;
}

static struct status *take_input(const struct ir_value *v, const struct tensor *t,
                                 struct interpretation *io)
{
    bool same = t->rank == v->rank && t->dtype == v->dtype;

    for (int d = 0; same && d < v->rank; d++)
        same = v->dynamic ? t->dim[d] <= v->dim[d] : t->dim[d] == v->dim[d];
    if (!same)
        return FAIL(INVALID, "input '%s' has another type or shape than the graph's",
                    v->name);
    io->by_id[v->id] = *t;
    return OK;
}

struct status *interpret(struct arena *a, const struct ir_graph *g,
                         const struct tensor *in, struct interpretation *out)
{
    out->by_id = arena_new_array(a, struct tensor, g->compile->n_values);
    for (int i = 0; i < g->n_in; i++)
        RETURN_IF_FAIL(take_input(g->in[i], &in[i], out));
    RETURN_IF_FAIL(interpret_nodes(a, g, out));
    for (int i = 0; i < g->n_out; i++)
        if (!g->out[i]->is_sequence)
            interpret_value(a, g->out[i], out); /* a constant or an unused input */
    return OK;
}
