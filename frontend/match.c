/* SPDX-License-Identifier: Apache-2.0 */
/* See match.h. */
#include "frontend/match.h"

#include <math.h>
#include <string.h>

struct ir_node *match_def(const struct ir_value *v, enum ir_op op)
{
    return v && v->def && v->def->op == op ? v->def : NULL;
}

struct ir_node *match_sole_def(const struct ir_value *v, enum ir_op op)
{
    return v && v->n_uses == 1 ? match_def(v, op) : NULL;
}

struct ir_node *match_only_reader(const struct ir_value *v)
{
    if (v->n_uses != 1 || !v->def)
        return NULL;
    for (struct ir_node *n = v->def->next; n; n = n->next)
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] == v)
                return n;
    return NULL;
}

bool match_moves_elements(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Concat:
    case OP_DepthToSpace:
    case OP_Expand:
    case OP_Flatten:
    case OP_Gather:
    case OP_Identity:
    case OP_Pad:
    case OP_Reshape:
    case OP_Slice:
    case OP_SpaceToDepth:
    case OP_Split:
    case OP_Squeeze:
    case OP_Tile:
    case OP_Transpose:
    case OP_Unsqueeze:
        return true;
    case OP_MaxPool:
        return n->n_out < 2 || !n->out[1];
    case OP_Resize:
        return strcmp(ir_attr_str(n, "mode", "nearest"), "nearest") == 0;
    default:
        return false;
    }
}

bool match_const_f32(const struct ir_value *v)
{
    return v && v->data && v->dtype == DT_f32;
}

bool match_finite_f32(const struct ir_value *v)
{
    if (!match_const_f32(v))
        return false;

    const float *x = v->data;

    for (int64_t i = 0; i < ir_count(v); i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

bool match_scalar(const struct ir_value *v, double wanted)
{
    double x;

    return ir_const_scalar(v, &x)
           && (x == wanted || fabs(x - wanted) <= 1e-6 * fabs(wanted));
}

bool match_uniform_f32(const struct ir_value *v, float *out)
{
    if (!match_const_f32(v) || !ir_count(v))
        return false;

    const float *x = v->data;

    for (int64_t i = 1; i < ir_count(v); i++)
        if (x[i] != x[0])
            return false;
    *out = x[0];
    return true;
}

int match_const_operand(const struct ir_node *n)
{
    if (n->n_in != 2 || !n->in[0] || !n->in[1] || !n->in[0]->data == !n->in[1]->data)
        return -1;
    return n->in[1]->data ? 1 : 0;
}

void match_replace_const(struct ir_node *n, int i, struct ir_value *fresh)
{
    struct ir_value *old = ir_in(n, i);

    ir_set_input(n, i, fresh);
    if (!old || old->n_uses || !fresh)
        return;

    const char *name = old->name;
    const bool made_up = old->made_up;

    old->name = fresh->name;
    old->made_up = fresh->made_up;
    fresh->name = name;
    fresh->made_up = made_up;
}

bool match_broadcasts_into(const struct ir_value *v, const struct ir_value *to)
{
    if (v->rank > to->rank)
        return false;
    for (int i = 0; i < v->rank; i++) {
        const int64_t d = v->dim[i];

        if (d != 1 && d != to->dim[to->rank - v->rank + i])
            return false;
    }
    return true;
}
