/* SPDX-License-Identifier: Apache-2.0 */
/* Fold per-channel constants into the weights and bias before them.
 *
 *     conv(x; W, b) * k  =  conv(x; W * k, b * k)          Mul, Div
 *     conv(x; W, b) + k  =  conv(x; W, b + k)              Add, Sub
 *     k - conv(x; W, b)  =  conv(x; -W, k - b)             Sub
 *
 * for Conv, ConvTranspose and Gemm, products for MatMul too; k is constant with one
 * value per output channel or one for all.  Looks through a Reshape of a Gemm that
 * keeps the channels last.
 *
 * needs:     shapes, use counts
 * keeps:     shapes
 * breaks:    use counts of constants
 */
#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/scale_channels.h"

struct site {
    struct ir_node *producer; /* whose constants change */
    struct ir_value *y;       /* the operand that is its result, maybe reshaped */
    int axis;                 /* channels in y */
    int k;                    /* operand of the node that is constant */
};

static bool keeps_last_dim(const struct ir_node *reshape)
{
    const struct ir_value *from = reshape->in[0], *to = reshape->out[0];

    return from->rank && to->rank && from->dim[from->rank - 1] == to->dim[to->rank - 1];
}

static bool find_site(const struct ir_node *n, struct site *s)
{
    if (n->op != OP_Mul && n->op != OP_Div && n->op != OP_Add && n->op != OP_Sub)
        return false;
    s->k = match_const_operand(n);
    if (s->k < 0 || (s->k == 0 && n->op == OP_Div))
        return false;
    s->y = n->in[!s->k];
    if (!s->y->def || s->y->n_uses != 1 || !ir_same_shape(s->y, n->out[0]))
        return false;
    s->producer = s->y->def;

    const bool shifts = n->op == OP_Add || n->op == OP_Sub;

    if (shifts ? channels_can_shift(s->producer) : channels_can_scale(s->producer)) {
        s->axis = channels_axis(s->producer);
        return true;
    }
    if (s->producer->op != OP_Reshape || !keeps_last_dim(s->producer))
        return false;
    s->producer = match_sole_def(s->producer->in[0], OP_Gemm);
    s->axis = s->y->rank - 1;
    return s->producer && channels_can_scale(s->producer);
}

static bool fold(struct compile *c, const struct ir_node *n, const struct site *s)
{
    const int64_t n_channels = channels_count(s->producer);
    double *k = channels_of_const(c->scratch, n->in[s->k], s->y, s->axis);
    double *minus = arena_new_array(c->scratch, double, n_channels);

    if (!k)
        return false;
    for (int64_t i = 0; i < n_channels; i++) {
        minus[i] = -1.0;
        if (n->op == OP_Div)
            k[i] = 1.0 / k[i];
        else if (n->op == OP_Sub && s->k == 1)
            k[i] = -k[i];
    }
    if (n->op == OP_Mul || n->op == OP_Div)
        channels_scale(s->producer, k, NULL);
    else
        channels_scale(s->producer, n->op == OP_Sub && s->k == 0 ? minus : NULL, k);
    return true;
}

struct status *pass_fold_scale(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        struct site s;

        next = n->next;
        if (!find_site(n, &s) || !fold(c, n, &s))
            continue;
        ir_replace_uses(g, n->out[0], s.y);
        ir_remove(n);
    }
    return OK;
}
