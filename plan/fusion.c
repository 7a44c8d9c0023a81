/* SPDX-License-Identifier: Apache-2.0 */
/* See fusion.h. */
#include "plan/fusion.h"

#include <string.h>

#include "frontend/match.h"

static bool is_activation(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Relu:
    case OP_LeakyRelu:
    case OP_HardSwish:
    case OP_HardSigmoid:
    case OP_Clip:
        return true;
    default:
        return false;
    }
}

/* y + x with x as large as y: a bias is no sum. */
static bool is_sum(const struct ir_node *n, const struct ir_value *y)
{
    const struct ir_value *other = n->op == OP_Add ? n->in[n->in[0] == y] : NULL;

    return other && !other->data && ir_same_shape(other, y)
           && ir_same_shape(n->out[0], y);
}

bool fusion_takes_activation(enum plan_pattern p)
{
    return p == PATTERN_conv_relu || p == PATTERN_conv_bn_relu
           || p == PATTERN_conv_bn_add_relu || p == PATTERN_all;
}

bool fusion_takes_sum(enum plan_pattern p)
{
    return p == PATTERN_conv_bn_add || p == PATTERN_conv_bn_add_relu
           || p == PATTERN_all;
}

static enum plan_pattern pattern_of(bool activation, bool sum)
{
    if (sum)
        return activation ? PATTERN_conv_bn_add_relu : PATTERN_conv_bn_add;
    return activation ? PATTERN_conv_relu : PATTERN_none;
}

enum plan_pattern fusion_find(const struct ir_node *n, int *n_nodes,
                              const struct ir_node *nodes[FUSION_MOST_NODES])
{
    bool activation = false, sum = false;

    nodes[0] = n;
    for (*n_nodes = 1; *n_nodes < FUSION_MOST_NODES; ++*n_nodes) {
        const struct ir_value *y = nodes[*n_nodes - 1]->out[0];
        const struct ir_node *next = match_only_reader(y);

        if (next && !activation && is_activation(next))
            activation = true;
        else if (next && !activation && !sum && is_sum(next, y))
            sum = true;
        else
            break;
        nodes[*n_nodes] = next;
    }
    return pattern_of(activation, sum);
}

enum plan_pattern fusion_of(const struct plan *p, const struct ir_node *n)
{
    for (int i = 0; p && n->name && i < p->n_units; i++)
        if (strcmp(p->units[i].nodes[0], n->name) == 0)
            return p->units[i].pattern;
    return PATTERN_all;
}

void fusion_set(struct plan *p, enum plan_pattern pattern)
{
    for (int i = 0; i < p->n_units; i++)
        p->units[i].pattern = pattern;
}
