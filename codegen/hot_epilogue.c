/* SPDX-License-Identifier: Apache-2.0 */
/* What an emitted kernel does to a finished sum: the bias, activation and residual
 * operators that follow it are taken into it. */
#include <float.h>

#include "codegen/hot.h"
#include "frontend/match.h"
#include "plan/fusion.h"

static bool constant_limit(const struct ir_value *v, float otherwise, float *out)
{
    double value;

    *out = otherwise;
    if (!v)
        return true;
    if (!ir_const_scalar(v, &value))
        return false;
    *out = (float)value;
    return true;
}

struct act hot_act_of(const struct ir_node *n)
{
    struct act none = {ACT_NONE, 0.0f, 0.0f}, clip = {ACT_CLIP, 0.0f, 0.0f};

    switch (n->op) {
    case OP_Relu:
        return (struct act){ACT_RELU, 0.0f, 0.0f};
    case OP_LeakyRelu:
        return (struct act){ACT_LEAKY, ir_attr_float(n, "alpha", 0.01f), 0.0f};
    case OP_HardSwish:
        return (struct act){ACT_HARDSWISH, 0.0f, 0.0f};
    case OP_HardSigmoid:
        return (struct act){ACT_HARDSIGMOID, ir_attr_float(n, "alpha", 0.2f),
                            ir_attr_float(n, "beta", 0.5f)};
    case OP_Clip:
        return constant_limit(ir_in(n, 1), -FLT_MAX, &clip.a)
                       && constant_limit(ir_in(n, 2), FLT_MAX, &clip.b)
                   ? clip
                   : none;
    default:
        return none;
    }
}

struct epilogue {
    bool takes_act, takes_sum; /* as the plan allows */
    bool has_act, has_residual;
};

static bool take_act(struct hot *h, struct epilogue *e, const struct ir_node *n)
{
    const struct act act = hot_act_of(n);

    if (act.kind == ACT_NONE || e->has_act || !e->takes_act)
        return false;
    if (h->kind == STEP_MATMUL) {
        h->matmul.act = act.kind;
        h->matmul.act_a = act.a;
        h->matmul.act_b = act.b;
    } else {
        h->conv.act = act.kind;
        h->conv.act_a = act.a;
        h->conv.act_b = act.b;
    }
    e->has_act = true;
    return true;
}

/* x + b with b one value per column, before anything else is done to x. */
static bool take_bias(struct hot *h, const struct epilogue *e, struct ir_value *other)
{
    const struct ir_value *y = h->out;
    bool *has_bias = h->kind == STEP_MATMUL ? &h->matmul.has_bias : &h->conv.has_bias;

    if (*has_bias || e->has_act || e->has_residual || other->rank > y->rank
        || !hot_is_row_vector(other, y->dim[y->rank - 1])
        || h->conv.c_out * h->conv.groups + h->matmul.n != y->dim[y->rank - 1])
        return false;
    *has_bias = true;
    h->bias = other;
    h->beta = 1.0f;
    return true;
}

/* act_before(x) + residual.  Only an activation without parameters can come first. */
static bool take_residual(struct hot *h, struct epilogue *e, struct ir_value *other)
{
    struct conv *c = &h->conv;

    if (h->kind == STEP_MATMUL || !e->takes_sum || e->has_residual
        || !ir_same_shape(other, h->out) || other->dtype != DT_f32 || other->dynamic)
        return false;
    if (c->act != ACT_NONE && c->act != ACT_RELU && c->act != ACT_HARDSWISH)
        return false;
    c->act_before = c->act;
    c->act = ACT_NONE;
    c->has_residual = true;
    h->residual = other;
    e->has_residual = true;
    e->has_act = false;
    return true;
}

static bool take_add(struct hot *h, struct epilogue *e, const struct ir_node *n)
{
    if (n->op != OP_Add || n->out[0]->dtype != DT_f32
        || !ir_same_shape(n->out[0], h->out))
        return false;
    struct ir_value *other = n->in[n->in[0] == h->out];

    return take_bias(h, e, other) || take_residual(h, e, other);
}

const struct ir_node *hot_extend(struct builder *b, struct hot *h)
{
    const struct ir_node *last = h->main;
    const enum plan_pattern may = fusion_of(b->plan, h->main);
    struct epilogue e = {.takes_act = fusion_takes_activation(may),
                         .takes_sum = fusion_takes_sum(may)};

    if (h->kind == STEP_INT_CONV || h->kind == STEP_INT_DEPTHWISE)
        return hot_extend_int(b, h);
    if (h->kind == STEP_POOL || h->kind == STEP_INT_POOL)
        return last;
    for (const struct ir_node *n = match_only_reader(h->out); n;
         n = match_only_reader(h->out)) {
        struct node_plan *plan = build_plan_of(b, n);

        if (!plan || plan->role != NODE_LIBRARY
            || !(take_act(h, &e, n) || take_add(h, &e, n)))
            break;
        plan->role = NODE_COVERED;
        h->out = n->out[0];
        h->covers = arena_printf(b->arena, "%s+%s", h->covers, op_info[n->op].name);
        last = n;
    }
    if (h->kind == STEP_CONV && !h->transposed) {
        /* strides of operands count in the choice of tiles */
        h->tiling = conv_tile(&h->conv, b->isa);
        const int64_t room = hot_scratch_room(b, h->main);

        if (b->winograd != WINOGRAD_NEVER)
            conv_try_winograd(&h->conv, b->isa,
                              b->winograd == WINOGRAD_ALWAYS ? INT64_MAX : room,
                              &h->tiling);
        conv_try_widening(&h->conv, b->isa, room, &h->tiling);
    }
    return last;
}
