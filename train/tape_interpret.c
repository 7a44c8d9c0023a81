/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that need no derivative, by the reference interpreter: what prepares token ids,
 * masks and positions.  One sample at a time. */
#include <string.h>

#include "frontend/lower.h"
#include "train/tape_parts.h"

struct interpreter {
    struct arena *a;
    struct interpretation io;
};

struct status *tape_interpreter_prepare(struct tape *t, struct tape_step *s)
{
    s->plan = arena_new(t->a, struct lowering);
    return lower_node(t->graph->compile, s->node, s->plan);
}

void tape_interpreters_create(struct tape *t)
{
    const int n = workers_count(t->workers);

    t->interpreter = arena_new_array(t->a, struct interpreter, n);
    for (int i = 0; i < n; i++) {
        t->interpreter[i].a = arena_create();
        t->interpreter[i].io.by_id = arena_new_array(t->a, struct tensor, t->n_slots);
    }
}

void tape_interpreters_destroy(struct tape *t)
{
    for (int i = 0; t->interpreter && i < workers_count(t->workers); i++)
        arena_destroy(t->interpreter[i].a);
}

static struct tensor tensor_of(const struct ir_value *v)
{
    struct tensor x = {.dtype = v->dtype, .rank = v->rank};

    memcpy(x.dim, v->dim, sizeof x.dim);
    return x;
}

static void give(struct interpreter *p, const struct tape_call *c, int i,
                 int64_t sample)
{
    const struct ir_value *v = c->step->node->in[i];
    struct tensor *x = &p->io.by_id[v->id];
    const int64_t n = ir_count(v);

    if (v->data)
        return;
    *x = tensor_of(v);
    if (v->dtype == DT_f32) {
        float *at = arena_new_array(p->a, float, n);

        for (int64_t k = 0; k < n; k++)
            at[k] = (float)call_in(c, i, sample)[k];
        x->data = at;
    } else {
        x->data = (char *)c->in[i] + sample * ir_bytes(v);
    }
}

static void take(struct interpreter *p, const struct tape_call *c, int i,
                 int64_t sample)
{
    const struct ir_value *v = c->step->node->out[i];
    struct tensor *x = &p->io.by_id[v->id];

    if (v->dtype == DT_f32)
        for (int64_t k = 0; k < ir_count(v); k++)
            call_out(c, i, sample)[k] = ((const float *)x->data)[k];
    else
        memcpy((char *)c->out[i] + sample * ir_bytes(v), x->data, (size_t)ir_bytes(v));
    x->data = NULL; /* made anew for the next sample */
}

void tape_interpret(const struct tape_call *c, int worker)
{
    struct interpreter *p = &c->tape->interpreter[worker];
    const struct ir_node *n = c->step->node;

    for (int64_t s = 0; s < c->n; s++) {
        arena_reset(p->a);
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i])
                give(p, c, i, s);
        interpret_lowered(p->a, n, c->step->plan, &p->io);
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                take(p, c, i, s);
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i])
                p->io.by_id[n->in[i]->id].data = NULL;
    }
}
