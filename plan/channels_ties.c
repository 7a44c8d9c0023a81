/* SPDX-License-Identifier: Apache-2.0 */
/* What each operator says about channels: see channels.h.
 *
 *     element by element    aligned dims of one length are one; where a length of 1 is
 *                           repeated it is fixed
 *     Conv, ConvTranspose   input channels and the weights' input dim, output channels,
 *                           the weights' output dim and the bias; in groups: all inputs
 *                           and outputs of a group, which goes as a whole
 *     Gemm, MatMul          rows, columns and what is summed
 *     pools, norms          batch and channels; the rest is fixed
 *     Reduce, Softmax       all dims but those that they run over
 *     Gather                all dims but the one that is picked from
 *     Expand                all dims but those that are repeated
 *     Transpose, Concat, Split, Slice, Pad, Resize
 *                           index by index
 *     Reshape               dims that stay; of dims that are merged or split one
 *                           carries the channels: the first, C in [C, H, W] -> [C H W],
 *                           or the first that others leave free: the heads in
 *                           [3 H D] -> [3, H, D] of queries, keys and values
 *     everything else       is fixed
 */
#include <string.h>

#include "plan/channels.h"

enum { X, W, B };

static void fix_node(struct ties *t, const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        ties_fix_all(t, n->in[i]);
    for (int i = 0; i < n->n_out; i++)
        ties_fix_all(t, n->out[i]);
}

/* Dims of equal length, index by index. */
static void join_dims(struct ties *t, const struct ir_value *a, int da,
                      const struct ir_value *b, int db)
{
    for (int64_t i = 0; i < a->dim[da]; i++)
        ties_join(t, a, da, i, b, db, i);
}

static void fix_from(struct ties *t, const struct ir_value *v, int d)
{
    for (; d < v->rank; d++)
        ties_fix(t, v, d);
}

/* All dims but `axis` (or -1). */
static void join_other_dims(struct ties *t, const struct ir_value *a,
                            const struct ir_value *b, int axis)
{
    for (int d = 0; d < a->rank; d++)
        if (d != axis)
            join_dims(t, a, d, b, d);
}

static int axis_of(const struct ir_node *n, int rank, int otherwise)
{
    const int axis = (int)ir_attr_int(n, "axis", otherwise);

    return axis < 0 ? axis + rank : axis;
}

/* Operand v broadcast into y, aligned at the end. */
static void join_broadcast(struct ties *t, const struct ir_value *v,
                           const struct ir_value *y, int n_dims)
{
    for (int back = 1; back <= v->rank && back <= n_dims; back++) {
        const int dv = v->rank - back, dy = y->rank - back;

        if (v->dim[dv] == y->dim[dy])
            join_dims(t, v, dv, y, dy);
        else
            ties_fix(t, v, dv);
    }
}

static void tie_elements(struct ties *t, const struct ir_node *n)
{
    for (int k = 0; k < n->n_out; k++)
        for (int i = 0; n->out[k] && i < n->n_in; i++)
            if (n->in[i])
                join_broadcast(t, n->in[i], n->out[k], n->out[k]->rank);
}

/* ---- products ------------------------------------------------------------------- */

/* All channels of a group are one class: with one input a group, a channel's. */
static void tie_groups(struct ties *t, const struct ir_value *x,
                       const struct ir_value *y, int64_t group)
{
    const int64_t n_in = x->dim[1] / group, n_out = y->dim[1] / group;

    for (int64_t i = 0; i < x->dim[1]; i++)
        ties_join(t, x, 1, i, y, 1, i / n_in * n_out);
    for (int64_t i = 0; i < y->dim[1]; i++)
        ties_join(t, y, 1, i / n_out * n_out, y, 1, i);
}

/* Weights [outputs, inputs of a group, kernel...], or for ConvTranspose [inputs,
 * outputs of a group, kernel...]. */
static void tie_convolution(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *w = n->in[W], *y = n->out[0],
                          *b = ir_in(n, B);
    const bool transposed = n->op == OP_ConvTranspose;
    const int64_t group = ir_attr_int(n, "group", 1);

    if (ir_attr_int(n, "channels_last", 0)) {
        fix_node(t, n);
        return;
    }
    join_dims(t, x, 0, y, 0);
    fix_from(t, x, 2);
    fix_from(t, y, 2);
    fix_from(t, w, 2);
    if (b)
        join_dims(t, b, 0, y, 1);
    if (group > 1) {
        tie_groups(t, x, y, group);
        join_dims(t, w, 0, transposed ? x : y, 1);
        ties_fix(t, w, 1);
        return;
    }
    join_dims(t, w, transposed ? 1 : 0, y, 1);
    join_dims(t, w, transposed ? 0 : 1, x, 1);
}

static void tie_gemm(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *a = n->in[X], *b = n->in[W], *c = ir_in(n, B),
                          *y = n->out[0];
    const int ta = ir_attr_int(n, "transA", 0) != 0,
              tb = ir_attr_int(n, "transB", 0) != 0;

    join_dims(t, a, ta ? 1 : 0, y, 0);
    join_dims(t, b, tb ? 0 : 1, y, 1);
    join_dims(t, a, ta ? 0 : 1, b, tb ? 1 : 0);
    if (c)
        join_broadcast(t, c, y, 2);
}

static void tie_matmul(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *a = n->in[X], *b = n->in[W], *y = n->out[0];

    if (a->rank < 2 || b->rank < 2) {
        fix_node(t, n);
        return;
    }
    join_dims(t, a, a->rank - 2, y, y->rank - 2);
    join_dims(t, b, b->rank - 1, y, y->rank - 1);
    join_dims(t, a, a->rank - 1, b, b->rank - 2);
    for (int k = 0; k < 2; k++) {
        const struct ir_value *v = n->in[k];

        for (int back = 3; back <= v->rank; back++) {
            if (v->dim[v->rank - back] == y->dim[y->rank - back])
                join_dims(t, v, v->rank - back, y, y->rank - back);
            else
                ties_fix(t, v, v->rank - back);
        }
    }
}

/* ---- windows, norms, sums ------------------------------------------------------- */

/* Batch and channels pass; parameters are one a channel. */
static void tie_by_channel(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];

    if (x->rank < 2 || x->rank != y->rank || ir_attr_int(n, "channels_last", 0)
        || (n->n_out > 1 && n->out[1])) {
        fix_node(t, n);
        return;
    }
    join_dims(t, x, 0, y, 0);
    join_dims(t, x, 1, y, 1);
    fix_from(t, x, 2);
    fix_from(t, y, 2);
    for (int i = 1; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->rank == 1 && n->in[i]->dim[0] == y->dim[1])
            join_dims(t, n->in[i], 0, y, 1);
        else
            ties_fix_all(t, n->in[i]);
}

static void tie_reduce(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];
    const bool keeps = ir_attr_int(n, "keepdims", 1) != 0;
    int n_axes, to = 0;
    const int64_t *axes = ir_attr_ints(n, "axes", &n_axes);

    for (int d = 0; d < x->rank; d++) {
        bool reduced = false;

        for (int k = 0; k < n_axes; k++)
            reduced |= (axes[k] < 0 ? axes[k] + x->rank : axes[k]) == d;
        if (!reduced) {
            join_dims(t, x, d, y, to++);
            continue;
        }
        ties_fix(t, x, d);
        if (keeps)
            ties_fix(t, y, to++);
    }
}

/* Runs over one axis (or from it on): the others pass. */
static void tie_along_axis(struct ties *t, const struct ir_node *n, int n_axes)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];
    const int axis = axis_of(n, x->rank, -1);

    if (!ir_same_shape(x, y)) {
        fix_node(t, n);
        return;
    }
    join_other_dims(t, x, y, -1);
    for (int d = axis; d < (n_axes == 1 ? axis + 1 : x->rank); d++)
        ties_fix(t, x, d);
    for (int i = 1; i < n->n_in; i++)
        ties_fix_all(t, n->in[i]);
    for (int i = 1; i < n->n_out; i++)
        ties_fix_all(t, n->out[i]);
}

/* ---- movement ------------------------------------------------------------------- */

static void tie_transpose(struct ties *t, const struct ir_node *n)
{
    int count;
    const int64_t *perm = ir_attr_ints(n, "perm", &count);

    for (int d = 0; d < count; d++)
        join_dims(t, n->in[X], (int)perm[d], n->out[0], d);
}

/* Parts of a whole that lie one after another along the axis. */
static void tie_parts(struct ties *t, const struct ir_value *whole,
                      struct ir_value *const *parts, int n_parts, int axis)
{
    int64_t at = 0;

    for (int i = 0; i < n_parts; i++) {
        join_other_dims(t, parts[i], whole, axis);
        for (int64_t k = 0; k < parts[i]->dim[axis]; k++)
            ties_join(t, parts[i], axis, k, whole, axis, at + k);
        at += parts[i]->dim[axis];
    }
}

static void tie_gather(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *at = n->in[1], *y = n->out[0];
    const int axis = axis_of(n, x->rank, 0);

    for (int d = 0; d < x->rank; d++)
        if (d != axis)
            join_dims(t, x, d, y, d < axis ? d : d + at->rank - 1);
    ties_fix(t, x, axis);
    ties_fix_all(t, at);
    for (int d = 0; d < at->rank; d++)
        ties_fix(t, y, axis + d);
}

/* What is repeated is fixed: of key and value heads that several queries share, these
 * are one class (Reshape), with the head. */
static void tie_expand(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];

    for (int d = 0; d < y->rank; d++) {
        const int dx = d - (y->rank - x->rank);

        if (dx < 0 || x->dim[dx] != y->dim[d])
            ties_fix(t, y, d);
    }
    join_broadcast(t, x, y, y->rank);
}

static void tie_split(struct ties *t, const struct ir_node *n)
{
    const int axis = axis_of(n, n->in[X]->rank, 0);

    for (int i = 0; i < n->n_out; i++)
        if (!n->out[i]) {
            fix_node(t, n);
            return;
        }
    tie_parts(t, n->in[X], n->out, n->n_out, axis);
}

/* With a step of 2 the elements of every pair go together, so that the others stay
 * where the steps meet them. */
static void tie_steps(struct ties *t, const struct ir_value *x, int d, int64_t step)
{
    for (int64_t i = 0; i < x->dim[d]; i++)
        ties_join(t, x, d, i / step * step, x, d, i);
}

static void tie_slice(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];
    int count;
    const int64_t *start = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);

    for (int d = 0; d < x->rank; d++)
        if (step[d] > 0) {
            tie_steps(t, x, d, step[d]);
            for (int64_t i = 0; i < y->dim[d]; i++)
                ties_join(t, x, d, start[d] + i * step[d], y, d, i);
        } else {
            ties_fix(t, x, d);
            ties_fix(t, y, d);
        }
}

/* What is padded has classes of its own: nobody misses zeros. */
static void tie_pad(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];
    int count;
    const int64_t *pads = ir_attr_ints(n, "pads", &count);
    const bool constant = !strcmp(ir_attr_str(n, "mode", "constant"), "constant");

    for (int d = 0; d < x->rank; d++) {
        const int64_t before = pads[d], after = pads[x->rank + d];

        if (before < 0 || after < 0 || (!constant && (before || after))) {
            ties_fix(t, x, d);
            ties_fix(t, y, d);
            continue;
        }
        for (int64_t i = 0; i < x->dim[d]; i++)
            ties_join(t, x, d, i, y, d, before + i);
    }
}

static void tie_resize(struct ties *t, const struct ir_node *n)
{
    const struct ir_value *x = n->in[X], *y = n->out[0];

    for (int d = 0; d < x->rank; d++) {
        if (d < 2 && x->dim[d] == y->dim[d]) {
            join_dims(t, x, d, y, d);
            continue;
        }
        ties_fix(t, x, d);
        ties_fix(t, y, d);
    }
}

/* A block of x's dims and one of y's with as many elements: where one side is one dim,
 * a dim of the other side carries its channels and the others there are fixed. */
static void tie_block(struct ties *t, const struct ir_value *x, int dx, int nx,
                      const struct ir_value *y, int dy, int ny)
{
    const bool merges = nx >= ny;
    const struct ir_value *many = merges ? x : y, *one = merges ? y : x;
    const int d_many = merges ? dx : dy, n_many = merges ? nx : ny;
    const int d_one = merges ? dy : dx, n_one = merges ? ny : nx;

    if (n_one != 1) {
        for (int i = 0; i < n_many; i++)
            ties_fix(t, many, d_many + i);
        for (int i = 0; i < n_one; i++)
            ties_fix(t, one, d_one + i);
        return;
    }
    const int carrier = ties_carrier(t, y, one, d_one, n_many);
    int64_t behind = 1;

    for (int i = n_many - 1; i >= 0; i--) {
        const int64_t length = many->dim[d_many + i];

        if (i != carrier)
            ties_fix(t, many, d_many + i);
        else
            for (int64_t k = 0; k < one->dim[d_one]; k++)
                ties_join(t, many, d_many + i, k / behind % length, one, d_one, k);
        behind *= length;
    }
}

/* Dims of 1 belong to no block: they are fixed. */
static int skip_ones(struct ties *t, const struct ir_value *v, int d)
{
    for (; d < v->rank && v->dim[d] == 1; d++)
        ties_fix(t, v, d);
    return d;
}

static void tie_reshape(struct ties *t, const struct ir_value *x,
                        const struct ir_value *y)
{
    int dx = skip_ones(t, x, 0), dy = skip_ones(t, y, 0);

    while (dx < x->rank && dy < y->rank) {
        int nx = 1, ny = 1;
        int64_t px = x->dim[dx], py = y->dim[dy];

        while (px != py) {
            if (px < py && dx + nx < x->rank)
                px *= x->dim[dx + nx++];
            else if (py < px && dy + ny < y->rank)
                py *= y->dim[dy + ny++];
            else {
                ties_fix_all(t, x);
                ties_fix_all(t, y);
                return;
            }
        }
        tie_block(t, x, dx, nx, y, dy, ny);
        dx = skip_ones(t, x, dx + nx);
        dy = skip_ones(t, y, dy + ny);
    }
}

/* ---- all ------------------------------------------------------------------------ */

static bool is_movable(const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (n->in[i]->dynamic || n->in[i]->is_sequence))
            return false;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (n->out[i]->dynamic || n->out[i]->is_sequence))
            return false;
    for (int b = 0; b < IR_MAX_BODIES; b++)
        if (n->body[b])
            return false;
    return n->n_in > 0 && n->in[X] && n->n_out > 0 && n->out[0]
           && ir_count(n->out[0]) > 0 && ir_count(n->in[X]) > 0;
}

static void fix_bodies(struct ties *t, const struct ir_node *n)
{
    for (int b = 0; b < IR_MAX_BODIES; b++) {
        for (const struct ir_node *m = n->body[b] ? n->body[b]->first : NULL; m;
             m = m->next) {
            fix_node(t, m);
            fix_bodies(t, m);
        }
        for (int i = 0; n->body[b] && i < n->body[b]->n_out; i++)
            ties_fix_all(t, n->body[b]->out[i]);
    }
}

void ties_of_node(struct ties *t, const struct ir_node *n)
{
    if (!is_movable(n)) {
        fix_node(t, n);
        fix_bodies(t, n);
        return;
    }
    switch (n->op) {
    case OP_Conv:
    case OP_ConvTranspose:
        tie_convolution(t, n);
        return;
    case OP_Gemm:
        tie_gemm(t, n);
        return;
    case OP_MatMul:
        tie_matmul(t, n);
        return;
    case OP_BatchNormalization:
    case OP_InstanceNormalization:
    case OP_MaxPool:
    case OP_AveragePool:
        tie_by_channel(t, n);
        return;
    case OP_Softmax:
    case OP_LogSoftmax:
        tie_along_axis(t, n, 1);
        return;
    case OP_LayerNormalization:
        tie_along_axis(t, n, IR_MAX_RANK);
        return;
    case OP_Transpose:
        tie_transpose(t, n);
        return;
    case OP_Concat:
        tie_parts(t, n->out[0], n->in, n->n_in, axis_of(n, n->out[0]->rank, 0));
        return;
    case OP_Gather:
        tie_gather(t, n);
        return;
    case OP_Expand:
        tie_expand(t, n);
        return;
    case OP_Split:
        tie_split(t, n);
        return;
    case OP_Slice:
        tie_slice(t, n);
        return;
    case OP_Pad:
        tie_pad(t, n);
        return;
    case OP_Resize:
        tie_resize(t, n);
        return;
    case OP_Reshape:
        tie_reshape(t, n->in[X], n->out[0]);
        return;
    default:
        break;
    }
    if (op_info[n->op].traits & OPT_ELTWISE)
        tie_elements(t, n);
    else if (op_info[n->op].traits & OPT_REDUCES)
        tie_reduce(t, n);
    else
        fix_node(t, n);
}
