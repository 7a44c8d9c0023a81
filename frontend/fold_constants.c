/* SPDX-License-Identifier: Apache-2.0 */
/* Compute once, now, what depends on constants only.
 *
 *     f(constants)  =  constant
 *
 * by the reference interpreter, so the bytes are those that compiled code would give.
 * The importer folds while it reads; this finds what other passes have uncovered.
 * Results above 64 MB stay computed: a weights file must not grow without bound.
 *
 * needs:     constant operands
 * keeps:     bytes of every result
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/interpret.h"
#include "frontend/pass.h"

enum { MAX_BYTES = 64 << 20 };

static bool can_fold(const struct ir_node *n)
{
    int64_t n_bytes = 0;

    if (op_info[n->op].traits & (OPT_NO_FOLD | OPT_CONTROL | OPT_HEAVY)
        || !op_info[n->op].lower || !n->n_in || !ir_may_fold(n))
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (!n->in[i]->data || n->in[i]->is_sequence))
            return false;
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        if (n->out[i]->is_sequence || n->out[i]->dynamic)
            return false;
        n_bytes += ir_bytes(n->out[i]);
    }
    return n_bytes <= MAX_BYTES;
}

static struct status *fold(struct compile *c, struct ir_graph *g, struct ir_node *n)
{
    struct interpretation io = {
        .by_id = arena_new_array(c->scratch, struct tensor, c->n_values + 64),
    };

    struct status *s = interpret_node(c->scratch, n, &io);

    if (s && status_code(s) == UNSUPPORTED) { /* no kernel for this type */
        status_free(s);
        return OK;
    }
    RETURN_IF_FAIL(s);
    for (int i = 0; i < n->n_out; i++) {
        struct ir_value *v = n->out[i];

        if (!v || !v->n_uses)
            continue;
        ir_replace_uses(
            g, v,
            ir_const(c, v->name, v->dtype, v->rank, v->dim, io.by_id[v->id].data));
    }
    ir_remove(n);
    return OK;
}

struct status *pass_fold_constants(struct compile *c, struct ir_graph *g)
{
    c->islands_formed = true;
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (n->op == OP_Identity) /* carries the name of an output */
            continue;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                RETURN_IF_FAIL(pass_fold_constants(c, n->body[b]));
        if (can_fold(n))
            RETURN_IF_FAIL(fold(c, g, n));
    }
    return OK;
}
