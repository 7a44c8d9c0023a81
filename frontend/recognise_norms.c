/* SPDX-License-Identifier: Apache-2.0 */
/* Find normalizations that exporters spell with several operators.
 *
 *     d = x - mean(x);  d / sqrt(mean(d d) + eps) * g + b
 *                                               =  LayerNormalization(x, g, b)
 *     x / sqrt(mean(x x) + eps) * g             =  RMSNormalization(x, g)
 *     e = exp(x - max(x));  e / sum(e)          =  Softmax(x)
 *
 * over trailing dims (one dim for Softmax).  g and b are optional; a division by the
 * root may be a product with its reciprocal.  One row is then read by one kernel,
 * instead of nine that each walk the whole tensor.  Results differ by rounding.
 *
 * needs:     shapes, constant operands; common subexpressions shared (one x - mean)
 * keeps:     shapes
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"

/* ---- reductions ------------------------------------------------------ */

/* v = Reduce(x) with keepdims over dims [first, rank); x or NULL. */
static struct ir_value *reduced(const struct ir_value *v, enum ir_op op, int *first)
{
    const struct ir_node *n = match_def(v, op);
    bool is_reduced[IR_MAX_RANK] = {false};
    int n_axes;

    if (!n || !ir_attr_int(n, "keepdims", 1))
        return NULL;

    struct ir_value *x = n->in[0];
    const int64_t *axes = ir_attr_ints(n, "axes", &n_axes);

    if (!n_axes)
        return NULL;
    for (int i = 0; i < n_axes; i++)
        is_reduced[axes[i]] = true;
    *first = x->rank - n_axes;
    for (int i = 0; i < x->rank; i++)
        if (is_reduced[i] != (i >= *first))
            return NULL;
    return x;
}

/* The same over one dim, anywhere. */
static struct ir_value *reduced_along(const struct ir_value *v, enum ir_op op,
                                      int *axis)
{
    const struct ir_node *n = match_def(v, op);
    int n_axes;

    *axis = -1;
    if (!n || !ir_attr_int(n, "keepdims", 1))
        return NULL;

    const int64_t *axes = ir_attr_ints(n, "axes", &n_axes);

    if (n_axes != 1)
        return NULL;
    *axis = (int)axes[0];
    return n->in[0];
}

/* ---- layer normalization --------------------------------------------- */

struct norm {
    enum ir_op op;
    struct ir_value *x, *gain, *shift;
    int first; /* normalized dims: [first, rank) */
    double epsilon;
    struct ir_node *last; /* makes the result */
};

static bool is_square_of(const struct ir_value *v, const struct ir_value *d)
{
    const struct ir_node *mul = match_def(v, OP_Mul), *pow = match_def(v, OP_Pow);

    return (mul && mul->in[0] == d && mul->in[1] == d)
           || (pow && pow->in[0] == d && match_scalar(pow->in[1], 2.0));
}

/* v = sqrt(mean(d d) + eps). */
static bool is_deviation(const struct ir_value *v, const struct ir_value *d,
                         struct norm *out)
{
    const struct ir_node *root = match_def(v, OP_Sqrt);
    const struct ir_node *sum = match_def(root ? root->in[0] : NULL, OP_Add);

    for (int i = 0; sum && i < 2; i++) {
        const struct ir_value *square = reduced(sum->in[i], OP_ReduceMean, &out->first);

        if (square && is_square_of(square, d)
            && ir_const_scalar(sum->in[!i], &out->epsilon))
            return true;
    }
    return false;
}

/* x - mean(x) over dims [result, rank); -1: something else. */
static int first_dim_of_mean(const struct ir_node *sub)
{
    int first;

    return reduced(sub->in[1], OP_ReduceMean, &first) == sub->in[0] ? first : -1;
}

static bool find_norm(struct ir_node *n, struct norm *out)
{
    struct ir_value *d = NULL;

    if (n->op == OP_Div && is_deviation(n->in[1], n->in[0], out)) {
        d = n->in[0];
    } else if (n->op == OP_Mul) {
        for (int i = 0; i < 2 && !d; i++) {
            const struct ir_node *inverse = match_def(n->in[!i], OP_Reciprocal);

            if (inverse && is_deviation(inverse->in[0], n->in[i], out))
                d = n->in[i];
        }
    }

    if (!d || d->dtype != DT_f32)
        return false;

    const struct ir_node *sub = match_def(d, OP_Sub);
    const bool centred = sub && first_dim_of_mean(sub) == out->first;

    out->op = centred ? OP_LayerNormalization : OP_RMSNormalization;
    out->x = centred ? sub->in[0] : d;
    out->last = n;
    return true;
}

/* A constant for exactly the normalized dims, maybe with dims of 1 in front. */
static bool fits_rows(const struct ir_value *k, const struct norm *f)
{
    const int n = f->x->rank - f->first;
    const int extra = k->rank - n;

    if (!match_const_f32(k) || extra < 0)
        return false;
    for (int i = 0; i < extra; i++)
        if (k->dim[i] != 1)
            return false;
    return !memcmp(k->dim + extra, f->x->dim + f->first, (size_t)n * sizeof k->dim[0]);
}

/* The one reader of v if it is an `op` of v and a fitting constant: move on to it. */
static void absorb(struct norm *f, enum ir_op op, struct ir_value **constant)
{
    const struct ir_value *v = f->last->out[0];

    if (v->n_uses != 1)
        return;
    for (struct ir_node *n = f->last->next; n; n = n->next) {
        const int k = n->op == op ? match_const_operand(n) : -1;

        if (k < 0 || n->in[!k] != v)
            continue;
        if (fits_rows(n->in[k], f) && ir_same_shape(n->out[0], v)) {
            *constant = n->in[k];
            f->last = n;
        }
        return;
    }
}

static struct ir_value *row_const(struct compile *c, const struct norm *f,
                                  const struct ir_value *k)
{
    const int n = f->x->rank - f->first;
    const int64_t *dim = f->x->dim + f->first;

    if (k)
        return ir_const_ref(c, k->name, DT_f32, n, dim, k->data);

    struct ir_value shape = {.dtype = DT_f32, .rank = n};

    memcpy(shape.dim, dim, (size_t)n * sizeof *dim);

    float *ones = arena_new_array(c->perm, float, ir_count(&shape));

    for (int64_t i = 0; i < ir_count(&shape); i++)
        ones[i] = 1.0f;
    return ir_const_ref(c, NULL, DT_f32, n, dim, ones);
}

static struct status *emit_norm(struct compile *c, struct ir_graph *g, struct norm *f)
{
    struct ir_value *in[] = {f->x, row_const(c, f, f->gain),
                             f->shift ? row_const(c, f, f->shift) : NULL};
    struct ir_value *y;
    struct ir_node *n =
        ir_node_create(g, f->last, f->op, f->last->name, f->shift ? 3 : 2, 1);

    for (int i = 0; i < n->n_in; i++)
        ir_set_input(n, i, in[i]);
    ir_set_attr_int(n, "axis", f->first);
    ir_set_attr_float(n, "epsilon", (float)f->epsilon);
    n->onnx_index = f->last->onnx_index;
    y = ir_new_output(n, 0, NULL);
    RETURN_IF_FAIL(ir_infer(n));
    ir_replace_uses(g, f->last->out[0], y);
    ir_remove(f->last);
    return OK;
}

/* ---- softmax --------------------------------------------------------- */

static struct ir_value *softmax_of(const struct ir_node *n, int *axis)
{
    int same_axis;

    if (n->op != OP_Div || n->out[0]->dtype != DT_f32)
        return NULL;

    const struct ir_node *e = match_def(n->in[0], OP_Exp);
    const struct ir_node *d = match_def(e ? e->in[0] : NULL, OP_Sub);

    if (!d || reduced_along(n->in[1], OP_ReduceSum, axis) != n->in[0]
        || reduced_along(d->in[1], OP_ReduceMax, &same_axis) != d->in[0]
        || same_axis != *axis)
        return NULL;
    return d->in[0];
}

static struct status *emit_softmax(struct ir_graph *g, struct ir_node *n,
                                   struct ir_value *x, int axis)
{
    char attr[32];
    struct ir_value *y;

    snprintf(attr, sizeof attr, "axis=%d", axis);
    RETURN_IF_FAIL(ir_emit(g, n, OP_Softmax, n->name, 1, &x, attr, &y));
    y->def->onnx_index = n->onnx_index;
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

struct status *pass_recognise_norms(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        struct norm f = {0};
        struct ir_value *x;
        int axis;

        next = n->next;
        x = softmax_of(n, &axis);
        if (x) {
            RETURN_IF_FAIL(emit_softmax(g, n, x, axis));
        } else if (find_norm(n, &f)) {
            absorb(&f, OP_Mul, &f.gain);
            if (f.op == OP_LayerNormalization)
                absorb(&f, OP_Add, &f.shift);
            if (f.last == next)
                next = next->next;
            RETURN_IF_FAIL(emit_norm(c, g, &f));
        }
    }
    return pass_dead_code(c, g);
}
