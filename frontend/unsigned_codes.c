/* SPDX-License-Identifier: Apache-2.0 */
/* Activations of int8 become uint8, each code and zero point 128 more: processors that
 * multiply unsigned by signed bytes need not correct for it then.
 *
 *     QuantizeLinear, QLinear operators                   make codes
 *     DequantizeLinear, the integer operators             read them
 *     Reshape, Concat, MaxPool, Pad ...                   hand them on
 *
 * A value changes if all that make or read it can follow; what the caller sees stays,
 * and so do weights.
 *
 * needs:     shapes, integer forms (form_integers)
 * keeps:     bytes of every output
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"

enum { SHIFT = 128, NO_ZERO = -1, NO_LIMITS = 0, PAD_VALUE = 1 };

/* How a node takes an operand of codes, or makes its result. */
struct role {
    bool is_known;
    int zero; /* the operand that is its zero point; NO_ZERO: that of what is moved */
    int limits; /* of a result: the operand with its least and most code */
};

static struct role reads(const struct ir_node *n, int i)
{
    const bool is_left = i == 0;

    switch (n->op) {
    case OP_DequantizeLinear:
    case OP_QLinearConv:
    case OP_ConvInteger:
    case OP_QLinearAveragePool:
    case OP_QLinearLayerNormalization:
    case OP_QLinearRMSNormalization:
        return (struct role){is_left, 2, NO_LIMITS};
    case OP_QLinearSoftmax: /* sees distances only */
        return (struct role){is_left, NO_ZERO, NO_LIMITS};
    case OP_QLinearMatMul:
        return (struct role){is_left || i == 3, is_left ? 2 : 5, NO_LIMITS};
    case OP_MatMulInteger:
        return (struct role){is_left || i == 1, is_left ? 2 : 3, NO_LIMITS};
    default:
        return (struct role){match_moves_elements(n) && (is_left || n->op == OP_Concat),
                             NO_ZERO, NO_LIMITS};
    }
}

static struct role makes(const struct ir_node *n)
{
    switch (n->op) {
    case OP_QuantizeLinear:
        return (struct role){true, 2, NO_LIMITS};
    case OP_QLinearConv:
    case OP_QLinearMatMul:
        return (struct role){true, 7, 9};
    case OP_QLinearAveragePool:
        return (struct role){true, 4, 5};
    case OP_QLinearSoftmax:
        return (struct role){true, 3, 4};
    case OP_QLinearLayerNormalization:
    case OP_QLinearRMSNormalization:
        return (struct role){true, 5, 6};
    default:
        return (struct role){match_moves_elements(n), NO_ZERO, NO_LIMITS};
    }
}

static bool is_constant_pad(const struct ir_node *n)
{
    return n->op == OP_Pad && !strcmp(ir_attr_str(n, "mode", "constant"), "constant");
}

struct change {
    struct compile *c;
    struct ir_graph *g;
    int n_values;
    bool *becomes; /* by value id: uint8 */
};

static bool becomes(const struct change *ch, const struct ir_value *v)
{
    return v && v->id < ch->n_values && ch->becomes[v->id];
}

/* ---- which values ---------------------------------------------------------------- */

static bool is_const(const struct ir_value *v)
{
    return v && v->data;
}

/* Numbers that would have to change with the codes are constants. */
static bool can_follow(const struct ir_node *n, struct role r)
{
    if (!r.is_known || (is_constant_pad(n) && !is_const(ir_in(n, PAD_VALUE))))
        return false;
    return r.zero == NO_ZERO || !ir_in(n, r.zero) || is_const(n->in[r.zero]);
}

static bool can_make(const struct ir_node *n)
{
    const struct role r = makes(n);

    return can_follow(n, r)
           && (r.limits == NO_LIMITS || !ir_in(n, r.limits)
               || is_const(n->in[r.limits]));
}

static void stay(struct change *ch, const struct ir_value *v, bool *again)
{
    if (becomes(ch, v)) {
        ch->becomes[v->id] = false;
        *again = true;
    }
}

/* What is moved and what comes of it have one type. */
static void keep_alike(struct change *ch, const struct ir_node *n, bool *again)
{
    bool alike = true;

    for (int i = 0; i < n->n_in; i++)
        alike &= !n->in[i] || !reads(n, i).is_known || becomes(ch, n->in[i]);
    for (int i = 0; i < n->n_out; i++)
        alike &= !n->out[i] || becomes(ch, n->out[i]);
    for (int i = 0; !alike && i < n->n_in; i++)
        stay(ch, n->in[i], again);
    for (int i = 0; !alike && i < n->n_out; i++)
        stay(ch, n->out[i], again);
}

static void check_node(struct change *ch, const struct ir_node *n, bool *again)
{
    for (int i = 0; i < n->n_in; i++)
        if (!can_follow(n, reads(n, i)))
            stay(ch, n->in[i], again);
    for (int i = 0; i < n->n_out; i++)
        if (!can_make(n))
            stay(ch, n->out[i], again);
    if (match_moves_elements(n))
        keep_alike(ch, n, again);
}

/* Bodies of If and Loop stay as they are, with all that they read. */
static void stay_in_bodies(struct change *ch, const struct ir_node *n, bool *again)
{
    for (int b = 0; b < IR_MAX_BODIES; b++) {
        const struct ir_graph *body = n->body[b];

        for (const struct ir_node *m = body ? body->first : NULL; m; m = m->next) {
            for (int i = 0; i < m->n_in; i++)
                stay(ch, m->in[i], again);
            stay_in_bodies(ch, m, again);
        }
        for (int i = 0; body && i < body->n_out; i++)
            stay(ch, body->out[i], again);
    }
}

static void choose(struct change *ch)
{
    bool again;

    for (const struct ir_node *n = ch->g->first; n; n = n->next)
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                ch->becomes[n->out[i]->id] = n->out[i]->dtype == DT_i8;
    for (int i = 0; i < ch->g->n_out; i++)
        stay(ch, ch->g->out[i], &again);
    do {
        again = false;
        for (const struct ir_node *n = ch->g->first; n; n = n->next) {
            check_node(ch, n, &again);
            stay_in_bodies(ch, n, &again);
        }
    } while (again);
}

/* ---- carrying it out ------------------------------------------------------------- */

/* The int8 constant at operand i, 128 more; a zero point that is left out is 0. */
static void shift_codes(struct change *ch, struct ir_node *n, int i)
{
    const struct ir_value *from = ir_in(n, i);
    const int64_t count = from ? ir_count(from) : 1;
    uint8_t *to = arena_new_array(ch->c->perm, uint8_t, count);

    for (int64_t k = 0; k < count; k++)
        to[k] = (uint8_t)((from ? ((const int8_t *)from->data)[k] : 0) + SHIFT);
    ir_set_input(n, i,
                 ir_const_ref(ch->c, NULL, DT_u8, from ? from->rank : 0,
                              from ? from->dim : NULL, to));
}

static void shift_limits(struct change *ch, struct ir_node *n, int limits)
{
    const struct ir_value *from = ir_in(n, limits);
    int32_t to[2];

    if (limits == NO_LIMITS || !from)
        return;
    for (int k = 0; k < 2; k++)
        to[k] = ((const int32_t *)from->data)[k] + SHIFT;
    ir_set_input(n, limits, ir_const(ch->c, NULL, DT_i32, 1, from->dim, to));
}

static struct status *shift_node(struct change *ch, struct ir_node *n)
{
    const bool result = n->n_out > 0 && becomes(ch, n->out[0]);
    bool changed = result;

    /* operands first: zero points stand behind their codes */
    for (int i = 0, n_in = n->n_in; i < n_in; i++) {
        const int zero = reads(n, i).zero;

        if (!becomes(ch, n->in[i]))
            continue;
        changed = true;
        if (zero != NO_ZERO)
            shift_codes(ch, n, zero);
    }
    if (result && makes(n).zero != NO_ZERO) {
        shift_codes(ch, n, makes(n).zero);
        shift_limits(ch, n, makes(n).limits);
    }
    if (result && is_constant_pad(n))
        shift_codes(ch, n, PAD_VALUE);
    return changed ? ir_infer(n) : OK;
}

struct status *pass_unsigned_codes(struct compile *c, struct ir_graph *g)
{
    struct change ch = {.c = c, .g = g, .n_values = c->n_values};

    ch.becomes = arena_new_array(c->scratch, bool, ch.n_values);
    choose(&ch);
    for (struct ir_node *n = g->first; n; n = n->next)
        RETURN_IF_FAIL(shift_node(&ch, n));
    return ir_verify(g);
}
