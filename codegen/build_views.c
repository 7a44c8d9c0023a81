/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that need no code or less of it: views are aliases of their input, the inputs
 * of a Concat are written into place by whoever computes them. */
#include "codegen/builder.h"

static void set_alias(struct program *p, int tensor, int of, int64_t offset)
{
    p->tensors[tensor].alias_of = of;
    p->tensors[tensor].alias_offset = offset;
}

void build_alias(struct builder *b, const struct ir_value *v, int of, int64_t offset)
{
    set_alias(b->program, build_tensor(b, v), of, offset);
}

/* A Transpose that keeps the order of all dims longer than 1 moves no bytes. */
static bool moves_nothing(const struct ir_node *n)
{
    int n_perm;
    const int64_t *perm = ir_attr_ints(n, "perm", &n_perm);
    const struct ir_value *x = n->in[0];
    int64_t last = -1;

    for (int i = 0; i < x->rank; i++) {
        const int64_t from = perm && i < n_perm ? perm[i] : x->rank - 1 - i;

        if (from < 0 || from >= x->rank)
            return false;
        if (x->dim[from] == 1)
            continue;
        if (from < last)
            return false;
        last = from;
    }
    return true;
}

/* Dims before `axis` are all 1: a slice along it is one run of bytes. */
static bool is_outermost(const struct ir_value *v, int64_t axis)
{
    for (int i = 0; i < axis; i++)
        if (v->dim[i] != 1)
            return false;
    return true;
}

static int64_t bytes_inside(const struct ir_value *v, int64_t axis)
{
    int64_t n = dtype_info[v->dtype].bytes;

    for (int64_t i = axis + 1; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

/* The byte at which a Slice starts; -1 when it is not one run of bytes. */
static int64_t slice_offset(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int n_starts, n_steps, cut = -1;
    const int64_t *start = ir_attr_ints(n, "starts", &n_starts);
    const int64_t *step = ir_attr_ints(n, "steps", &n_steps);

    if (n_starts != x->rank || n_steps != x->rank)
        return -1;
    for (int d = 0; d < x->rank; d++) {
        if (x->dim[d] == n->out[0]->dim[d] && step[d] == 1)
            continue;
        if (cut >= 0 || step[d] != 1 || !is_outermost(x, d))
            return -1;
        cut = d;
    }
    return cut < 0 ? 0 : start[cut] * bytes_inside(x, cut);
}

static bool is_dynamic(const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->dynamic)
            return true;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dynamic)
            return true;
    return false;
}

bool build_is_view(const struct ir_node *n)
{
    int64_t axis;

    if (is_dynamic(n) || n->n_in < 1 || !n->in[0] || !n->out[0]
        || n->in[0]->is_sequence)
        return false;
    switch (n->op) {
    case OP_Transpose:
        return moves_nothing(n);
    case OP_Slice:
        return slice_offset(n) >= 0;
    case OP_Split:
        axis = ir_attr_int(n, "axis", 0);
        return is_outermost(n->in[0], axis < 0 ? axis + n->in[0]->rank : axis);
    default:
        return op_info[n->op].traits & OPT_VIEW
               && ir_bytes(n->in[0]) == ir_bytes(n->out[0]);
    }
}

void build_view(struct builder *b, const struct ir_node *n)
{
    const int from = build_tensor(b, n->in[0]);
    int64_t at = n->op == OP_Slice ? slice_offset(n) : 0;

    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        build_alias(b, n->out[i], from, at);
        at += ir_bytes(n->out[i]); /* Split has several */
    }
}

/* ---- Concat into place -------------------------------------------------- */

/* The memory of `v` is its own and nothing else's, so it can be given elsewhere. */
bool build_owns_memory(struct builder *b, const struct ir_value *v, int *root)
{
    const struct program *p = b->program;
    int64_t at;
    const int t = build_tensor(b, v);

    *root = program_root(p, t, &at);
    return at == 0 && !v->is_input && p->tensors[*root].place == IN_WORKSPACE
           && p->tensors[*root].bytes == p->tensors[t].bytes;
}

static struct step *only_writer(struct program *p, int root)
{
    struct step *writer = NULL;

    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_operands; k++) {
            const struct operand *o = &p->steps[i].operands[k];

            if (o->tensor < 0 || !o->written
                || program_root(p, o->tensor, NULL) != root)
                continue;
            if (writer)
                return NULL;
            writer = &p->steps[i];
        }
    return writer;
}

/* An emitted kernel can leave gaps between its pixels: its channels become a slice
 * of the wider rows of `to`. */
static bool write_strided(struct builder *b, const struct ir_value *v, int to,
                          int64_t offset, int64_t row)
{
    struct program *p = b->program;
    int root;

    if (v->n_uses != 1 || v->rank < 3 || !build_owns_memory(b, v, &root))
        return false;
    struct step *w = only_writer(p, root);
    struct conv *c = w ? step_window(w) : NULL;

    if (!c)
        return false;
    c->out_x = row;
    c->out_y = c->ow * row;
    c->out_n = c->oh * c->out_y;
    w->operands[4].tensor = to;
    w->operands[4].offset = offset;
    return true;
}

/* Inputs whose producers can write into the result do; the others are copied by
 * the operator's own calls, which come in the order of its inputs. */
struct status *build_concat(struct builder *b, const struct ir_node *n)
{
    struct program *p = b->program;
    const struct ir_value *y = n->out[0];
    const int to = build_tensor(b, y);
    int64_t axis = ir_attr_int(n, "axis", 0);
    int64_t at = 0;
    bool in_place[64] = {false};

    axis += axis < 0 ? y->rank : 0;
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_value *x = n->in[i];
        int root;

        if (is_outermost(y, axis) && build_owns_memory(b, x, &root) && root != to) {
            set_alias(p, root, to, at);
            in_place[i] = true;
        } else if (axis == y->rank - 1) {
            in_place[i] = write_strided(b, x, to, at, y->dim[axis]);
        }
        at += bytes_inside(x, axis) * x->dim[axis];
    }
    const int first = p->n_steps;

    RETURN_IF_FAIL(build_library(b, n));
    int kept = first;
    for (int i = first; i < p->n_steps; i++) {
        bool drop = false;

        for (int k = 0; k < n->n_in; k++)
            for (int o = 0; in_place[k] && o < p->steps[i].n_operands; o++)
                drop |=
                    !p->steps[i].operands[o].written
                    && p->steps[i].operands[o].tensor == b->tensor_of[n->in[k]->id] - 1;
        if (!drop)
            p->steps[kept++] = p->steps[i];
    }
    p->n_steps = kept;
    return OK;
}

/* One call per input is what makes the above sound. */
bool build_can_place(const struct ir_node *n)
{
    if (n->op != OP_Concat || n->n_in > 64 || is_dynamic(n))
        return false;
    for (int i = 0; i < n->n_in; i++)
        for (int k = 0; k < i; k++)
            if (n->in[i] == n->in[k])
                return false;
    return true;
}
