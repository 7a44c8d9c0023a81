/* SPDX-License-Identifier: Apache-2.0 */
/* Drop nodes whose results nobody reads, and optional outputs that nobody reads (the
 * mask of a Dropout, the sequence of an LSTM whose last state is used): kernels skip
 * the work for outputs that are left out.
 *
 * needs:     use counts
 * keeps:     everything that can be observed
 * breaks:    nothing
 */
#include "frontend/pass.h"

static bool is_used(const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            return true;
    return false;
}

/* Operators with a list of outputs (Split) say by the list what each one is. */
static void drop_unused_outputs(struct ir_node *n)
{
    if (op_info[n->op].max_out == OP_MANY || op_info[n->op].traits & OPT_CONTROL)
        return;
    for (int i = op_info[n->op].min_out; i < n->n_out; i++)
        if (n->out[i] && !n->out[i]->n_uses)
            n->out[i] = NULL;
}

static void clean(struct ir_graph *g)
{
    for (struct ir_node *n = g->last, *prev; n; n = prev) {
        prev = n->prev;
        if (!is_used(n)) {
            ir_remove(n);
            continue;
        }
        drop_unused_outputs(n);
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                clean(n->body[b]);
    }
}

struct status *pass_dead_code(struct compile *c __attribute__((unused)),
                              struct ir_graph *g)
{
    clean(g);
    return OK;
}
