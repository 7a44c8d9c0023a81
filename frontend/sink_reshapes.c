/* SPDX-License-Identifier: Apache-2.0 */
/* Push Reshapes that only add or drop dims of 1 down through element operators.
 *
 *     f(Reshape(x), k)           =  Reshape(f(x, k'))        k' is k without those dims
 *     f(Reshape(x), Reshape(y))  =  Reshape(f(x, y))
 *
 * so that an activation or a bias stands right behind the convolution or product that
 * can do it on the fly; further down the Reshape meets another one and disappears.
 * Operands that are computed otherwise keep their Reshape where it is: they may end in
 * such a kernel themselves.
 *
 * needs:     shapes, use counts
 * keeps:     bytes of every result
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/permute.h"
#include "frontend/strided_view.h"

/* Dims that are not 1 are the same ones in the same order. */
static bool moves_ones_only(const struct ir_node *reshape)
{
    const struct ir_value *x = reshape->in[0], *y = reshape->out[0];
    int i = 0, k = 0;

    for (;;) {
        while (i < x->rank && x->dim[i] == 1)
            i++;
        while (k < y->rank && y->dim[k] == 1)
            k++;
        if (i == x->rank || k == y->rank)
            return i == x->rank && k == y->rank;
        if (x->dim[i++] != y->dim[k++])
            return false;
    }
}

static const struct ir_node *reshape_of(const struct ir_value *v)
{
    const struct ir_node *reshape = match_sole_def(v, OP_Reshape);

    return reshape && !v->dynamic && !reshape->in[0]->data && ir_count(v)
                   && moves_ones_only(reshape)
               ? reshape
               : NULL;
}

/* The Reshape that all computed operands share in kind, or NULL. */
static const struct ir_node *common_reshape(const struct ir_node *n)
{
    const struct ir_node *first = NULL;

    if (!(op_info[n->op].traits & OPT_ELTWISE) || n->n_out != 1
        || n->op == OP_QuantizeLinear || n->op == OP_DequantizeLinear)
        return NULL;
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_value *v = n->in[i];

        if (!v || (v->data && match_broadcasts_into(v, n->out[0])))
            continue;

        const struct ir_node *reshape = reshape_of(v);

        if (!reshape || !ir_same_shape(v, n->out[0])
            || (first && !ir_same_shape(first->in[0], reshape->in[0])))
            return NULL;
        first = reshape;
    }
    return first;
}

/* A constant that broadcasts into y, shaped to do the same in x. */
static struct ir_value *reshaped_const(struct compile *c, struct ir_value *k,
                                       const struct ir_value *y,
                                       const struct ir_value *x)
{
    int64_t dim[IR_MAX_RANK];
    int at = 0;

    if (ir_count(k) == 1 && k->rank <= x->rank)
        return k;
    for (int i = 0; i < x->rank; i++) {
        dim[i] = 1;
        if (x->dim[i] == 1)
            continue;
        while (y->dim[at] == 1)
            at++;

        const int own = at++ - (y->rank - k->rank);

        dim[i] = own < 0 ? 1 : k->dim[own];
    }
    return ir_const_ref(c, k->name, k->dtype, x->rank, dim, k->data);
}

static struct status *sink(struct compile *c, struct ir_graph *g, struct ir_node *n,
                           const struct ir_node *reshape)
{
    const struct ir_value *x = reshape->in[0];
    struct ir_value *old = n->out[0], *y;
    struct ir_node *f = ir_node_create(g, n, n->op, n->name, n->n_in, 1);

    f->onnx_index = n->onnx_index;
    permute_copy_attrs(n, f);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            ir_set_input(f, i,
                         n->in[i]->data ? reshaped_const(c, n->in[i], old, x)
                                        : n->in[i]->def->in[0]);
    ir_new_output(f, 0, old->name);
    RETURN_IF_FAIL(ir_infer(f));
    RETURN_IF_FAIL(view_reshape(g, n, f->out[0], old->rank, old->dim, &y));
    ir_replace_uses(g, old, y);
    ir_remove(n);
    return OK;
}

struct status *pass_sink_reshapes(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        const struct ir_node *reshape;

        next = n->next;
        reshape = common_reshape(n);
        if (reshape)
            RETURN_IF_FAIL(sink(c, g, n, reshape));
    }
    return pass_dead_code(c, g);
}
