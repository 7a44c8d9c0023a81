/* SPDX-License-Identifier: Apache-2.0 */
/* Which tensors of a graph become codes: see quantize.h. */
#include "compress/quantize_parts.h"
#include "frontend/match.h"

/* Scale and zero point stay those of the first operand. */
static bool moves_one_tensor(const struct ir_node *n)
{
    return match_moves_elements(n) && n->op != OP_Concat;
}

static bool is_act(const struct ir_node *n)
{
    return n->op == OP_Relu || n->op == OP_Clip;
}

static bool has_integer_form(const struct ir_node *n)
{
    return n->op == OP_Add || n->op == OP_Sub || n->op == OP_Mul
           || n->op == OP_ReduceMean || n->op == OP_Concat || moves_one_tensor(n);
}

bool tensor_can_be_codes(const struct ir_value *v)
{
    return v && v->dtype == DT_f32 && !v->data && !v->dynamic && !v->is_sequence;
}

int tensor_group(const struct tensor_uses *u, int id)
{
    while (u->at[id].group != id)
        id = u->at[id].group;
    return id;
}

/* By an operator on codes: a pair is made of floats. */
static bool is_wanted(const struct tensor_uses *u, const struct ir_node *n,
                      const struct ir_value *v)
{
    return u->at[v->id].wanted
           && (match_moves_elements(n) || !u->at[tensor_group(u, v->id)].paired);
}

/* The result, or what its activation makes of it, is read as codes. */
static bool result_is_wanted(const struct tensor_uses *u, const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_node *reader = n->out[i] ? match_only_reader(n->out[i]) : NULL;

        if (!n->out[i])
            continue;
        if (is_wanted(u, n, n->out[i]))
            return true;
        if (reader && is_act(reader) && is_wanted(u, n, reader->out[0]))
            return true;
    }
    return false;
}

static bool all_operands_can(const struct ir_node *n)
{
    const int n_data = n->op == OP_Concat ? n->n_in : moves_one_tensor(n) ? 1 : n->n_in;

    for (int i = 0; i < n_data; i++)
        if (!tensor_can_be_codes(n->in[i]))
            return false;
    return n_data > 0;
}

/* The one tensor that n computes with, element by element; NULL: there are more. */
static struct ir_value *only_operand(const struct ir_node *n)
{
    struct ir_value *only = NULL;

    if (!(op_info[n->op].traits & OPT_ELTWISE))
        return NULL;
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i] || (n->in[i]->data && ir_count(n->in[i]) == 1))
            continue;
        if (only)
            return NULL;
        only = n->in[i];
    }
    return only;
}

/* What all operands of n are functions of, as those of x Sigmoid(x) are: n is one, too,
 * a table where x is codes.  NULL: they are not. */
static struct ir_value *common_origin(const struct ir_node *n)
{
    enum { MOST_FUNCTIONS = 4 };

    if (n->n_in != 2 || !(op_info[n->op].traits & OPT_ELTWISE))
        return NULL;
    struct ir_value *a = n->in[0];

    for (int i = 0; i < MOST_FUNCTIONS && a;
         i++, a = a->def ? only_operand(a->def) : NULL) {
        struct ir_value *b = n->in[1];

        for (int k = 0; k < MOST_FUNCTIONS && b;
             k++, b = b->def ? only_operand(b->def) : NULL)
            if (a == b && tensor_can_be_codes(a) && ir_same_shape(a, n->out[0]))
                return a;
    }
    return NULL;
}

static void want(struct tensor_uses *u, const struct ir_node *n)
{
    const int n_data = moves_one_tensor(n) ? 1 : n->n_in;
    const struct ir_value *origin = common_origin(n);

    if (origin)
        u->at[origin->id].wanted = true;
    for (int i = 0; i < n_data && !origin; i++)
        u->at[n->in[i]->id].wanted = true;
}

/* A polynomial takes longer than the product in front of it, a table of codes no time;
 * what is done to sums before they are rounded (docs/numerics.md) takes little. */
static bool is_better_as_table(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Elu:
    case OP_Erf:
    case OP_Gelu:
    case OP_Mish:
    case OP_Selu:
    case OP_Sigmoid:
    case OP_Softplus:
    case OP_Tanh:
        return true;
    default:
        return false;
    }
}

/* n adds a constant to what units make of codes: a bias. */
static bool adds_bias(const struct tensor_uses *u, const struct ir_node *n)
{
    const int constant = n->op == OP_Add ? match_const_operand(n) : -1;

    return constant >= 0 && u->at[n->in[!constant]->id].made_of_codes;
}

/* Readers come behind, so one walk from the end suffices. */
static void find_wanted(struct tensor_uses *u, const struct ir_graph *g,
                        const enum tensor_reader *reader)
{
    int i = 0;

    for (int k = 0; k < u->n_values; k++)
        u->at[k].wanted = u->at[k].made_of_codes = false;
    for (const struct ir_node *n = g->first; n; n = n->next, i++)
        if (reader[i] == READS_CODES || adds_bias(u, n))
            u->at[n->out[0]->id].made_of_codes = true;
    for (const struct ir_node *n = g->last; n; n = n->prev) {
        if (reader[--i] != READS_FLOATS)
            u->at[n->in[0]->id].wanted = true;
        else if (has_integer_form(n) && result_is_wanted(u, n) && all_operands_can(n))
            want(u, n);
        else if (is_better_as_table(n) && result_is_wanted(u, n)
                 && u->at[n->in[0]->id].made_of_codes)
            u->at[n->in[0]->id].wanted = true;
    }
}

struct ir_value *tensor_source(struct ir_value *v)
{
    while (v->def && moves_one_tensor(v->def) && tensor_can_be_codes(v->def->in[0]))
        v = v->def->in[0];
    return v;
}

static bool is_concat_of_codes(const struct ir_value *v)
{
    return v->def && v->def->op == OP_Concat && all_operands_can(v->def);
}

/* Operands of a Concat that stays in codes have one scale and zero point; so have those
 * of a Concat that is an operand. */
static void group_operands(struct tensor_uses *u, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->op == OP_Concat && is_concat_of_codes(n->out[0])
            && result_is_wanted(u, n))
            for (int i = 0; i < n->n_in; i++)
                u->at[tensor_group(u, tensor_source(n->in[i])->id)].group =
                    tensor_group(u, n->out[0]->id);
}

bool tensor_is_source(const struct tensor_uses *u, struct ir_value *v)
{
    return v && v->id < u->n_values && u->at[v->id].wanted && tensor_can_be_codes(v)
           && tensor_source(v) == v && !is_concat_of_codes(v);
}

static bool pair_groups(struct tensor_uses *u, const struct ir_graph *g,
                        const enum tensor_reader *reader)
{
    bool any = false;
    int i = 0;

    for (const struct ir_node *n = g->first; n; n = n->next, i++)
        if (reader[i] == READS_PAIRS) {
            u->at[tensor_group(u, tensor_source(n->in[0])->id)].paired = true;
            any = true;
        }
    return any;
}

struct tensor_uses tensor_uses_find(struct arena *a, const struct ir_graph *g,
                                    const enum tensor_reader *reader)
{
    struct tensor_uses u = {.n_values = g->compile->n_values};

    u.at = arena_new_array(a, struct tensor_use, u.n_values);
    for (int i = 0; i < u.n_values; i++)
        u.at[i].group = i;
    find_wanted(&u, g, reader);
    group_operands(&u, g);
    if (pair_groups(&u, g, reader))
        find_wanted(&u, g, reader);
    return u;
}
