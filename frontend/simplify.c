/* SPDX-License-Identifier: Apache-2.0 */
/* Remove operators that do nothing, and bring what remains into fewer forms.
 *
 *     Identity(x); Reshape to the same shape; Cast to the same type; Transpose that
 *     moves nothing; Expand, Slice, Pad, Tile that change nothing; Concat of one;
 *     Split into one; pooling of 1 x 1                      =  x
 *     x * 1, x / 1, x - 0, x + (-0), Pow(x, 1), max(x, -inf)
 *                                                           =  x
 *     Reduce(x) without keepdims                            =  Reshape(Reduce(x))
 *     x / 2^n                                               =  x * 2^-n
 *     x + Neg(y)                                            =  x - y
 *     f(Expand(x), y), f element by element and y as large  =  f(x, y)
 *     Cast(Cast(x, wider), back)                            =  x
 *     Slice(Concat(x, y)) inside of x                       =  Slice(x)
 *     ReduceSum(x * x)                                      =  ReduceSumSquare(x)
 *
 * Every rule keeps the bytes of all results: x + 0 is not here, because it turns -0
 * into 0, and x / 3 stays a division.
 *
 * needs:     shapes, constant operands
 * keeps:     shapes
 * breaks:    nothing
 */
#include <math.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/strided_view.h"

/* ---- operators that do nothing --------------------------------------- */

static bool moves_nothing(const struct ir_node *transpose)
{
    int n, last = -1;
    const int64_t *perm = ir_attr_ints(transpose, "perm", &n);
    const struct ir_value *x = transpose->in[0];

    /* Dims of size 1 may move: no element does.  The shape must be the same too. */
    for (int i = 0; i < x->rank; i++) {
        const int k = (int)perm[i];

        if (x->dim[k] == 1)
            continue;
        if (k < last)
            return false;
        last = k;
    }
    return true;
}

static bool attr_all_equal(const struct ir_node *n, const char *name, int64_t wanted)
{
    int count;
    const int64_t *at = ir_attr_ints(n, name, &count);

    for (int i = 0; i < count; i++)
        if (at[i] != wanted)
            return false;
    return true;
}

static bool pools_single_elements(const struct ir_node *n)
{
    return ir_attr(n, "kernel_shape") && attr_all_equal(n, "kernel_shape", 1)
           && attr_all_equal(n, "strides", 1) && attr_all_equal(n, "pads", 0);
}

static bool has_one_output(const struct ir_node *n)
{
    for (int i = 1; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            return false;
    return true;
}

/* Does the constant operand k of n leave the other one as it is? */
static bool is_neutral(const struct ir_node *n, int k)
{
    double x;
    const struct ir_value *v = n->in[k];

    if (k < 0 || !ir_count(v))
        return false;
    if (v->dtype == DT_f32) {
        float uniform;

        if (!match_uniform_f32(v, &uniform))
            return false;
        x = (double)uniform;
    } else if (!ir_const_scalar(v, &x)) {
        return false;
    }

    const bool is_float = v->dtype == DT_f32 || v->dtype == DT_f64;

    switch (n->op) {
    case OP_Mul:
        return x == 1.0;
    case OP_Div:
    case OP_Pow:
        return x == 1.0 && k == 1;
    case OP_Sub:
        return x == 0.0 && k == 1 && (!is_float || !signbit(x));
    case OP_Add:
        return x == 0.0 && (!is_float || signbit(x));
    case OP_Max:
        return x == -(double)INFINITY;
    case OP_Min:
        return x == (double)INFINITY;
    default:
        return false;
    }
}

/* The operand that the result of n equals, element for element, or NULL. */
static struct ir_value *same_as(const struct ir_node *n)
{
    struct ir_value *x = ir_in(n, 0);

    if (!x || x->is_sequence || x->dynamic || !n->out[0] || n->out[0]->dynamic)
        return NULL;
    if (n->n_in == 2 && is_neutral(n, match_const_operand(n)))
        x = n->in[!match_const_operand(n)];
    else if (!has_one_output(n))
        return NULL;
    else
        switch (n->op) {
        case OP_Identity:
        case OP_Reshape:
        case OP_Cast:
        case OP_Expand:
        case OP_Tile:
            break;
        case OP_Transpose:
            if (!moves_nothing(n))
                return NULL;
            break;
        case OP_Slice:
            if (!attr_all_equal(n, "steps", 1))
                return NULL;
            break;
        case OP_Pad:
            if (!attr_all_equal(n, "pads", 0))
                return NULL;
            break;
        case OP_Concat:
        case OP_Split:
            if (n->n_in > 1 && n->op == OP_Concat)
                return NULL;
            break;
        case OP_MaxPool:
        case OP_AveragePool:
            if (!pools_single_elements(n))
                return NULL;
            break;
        default:
            return NULL;
        }
    return x->dtype == n->out[0]->dtype && ir_same_shape(x, n->out[0]) ? x : NULL;
}

/* Casting to `to` and back gives every value of `from` again. */
static bool holds_all_values(enum dtype to, enum dtype from)
{
    switch (from) {
    case DT_bool:
        return true;
    case DT_u8:
    case DT_i8:
        return to == DT_i32 || to == DT_i64 || to == DT_i16 || to == DT_f32
               || to == DT_f64;
    case DT_i16:
    case DT_u16:
        return to == DT_i32 || to == DT_i64 || to == DT_f32 || to == DT_f64;
    case DT_i32:
        return to == DT_i64 || to == DT_f64;
    case DT_f16:
    case DT_bf16:
        return to == DT_f32 || to == DT_f64;
    case DT_f32:
        return to == DT_f64;
    default:
        return false;
    }
}

static struct ir_value *undone_cast(const struct ir_node *n)
{
    const struct ir_node *first =
        n->op == OP_Cast ? match_def(n->in[0], OP_Cast) : NULL;

    if (!first || first->in[0]->dtype != n->out[0]->dtype || n->out[0]->dynamic)
        return NULL;
    return holds_all_values(first->out[0]->dtype, n->out[0]->dtype) ? first->in[0]
                                                                    : NULL;
}

static bool drop(struct ir_graph *g, struct ir_node *n)
{
    struct ir_value *x = same_as(n);

    if (!x)
        x = undone_cast(n);
    if (!x || ir_replace_needs_identity(g, n->out[0], x))
        return false;
    ir_replace_uses(g, n->out[0], x);
    ir_remove(n);
    return true;
}

/* ---- fewer forms ----------------------------------------------------- */

static bool loses_dims(const struct ir_node *n)
{
    return op_info[n->op].traits & OPT_REDUCES && !ir_attr_int(n, "keepdims", 1)
           && n->out[0]->rank != n->in[0]->rank && !n->out[0]->dynamic
           && !n->in[0]->dynamic && ir_count(n->out[0]);
}

static struct status *keep_dims(struct compile *c, struct ir_graph *g,
                                struct ir_node *n)
{
    struct ir_value *old = n->out[0], *y;
    struct ir_value *reduced = ir_value_create(c, NULL, DT_NONE, 0, NULL);

    ir_set_attr_int(n, "keepdims", 1);
    ir_set_output(n, 0, reduced);
    RETURN_IF_FAIL(ir_infer(n));

    RETURN_IF_FAIL(view_reshape(g, n->next, reduced, old->rank, old->dim, &y));
    ir_replace_uses(g, old, y);
    return OK;
}

/* Division by +-2^n is exact unless a result is subnormal, and the product rounds
 * the same way then: both are the nearest float to the same real number. */
static void divide_by_power_of_two(struct compile *c, struct ir_node *n)
{
    const struct ir_value *k = ir_in(n, 1);

    if (n->op != OP_Div || !match_const_f32(k) || n->in[0]->data || !ir_count(k))
        return;

    const float *x = k->data;
    float *inverse = arena_new_array(c->scratch, float, ir_count(k));

    for (int64_t i = 0; i < ir_count(k); i++) {
        int exponent;

        if (fabsf(frexpf(x[i], &exponent)) != 0.5f || exponent < -120 || exponent > 120)
            return;
        inverse[i] = 1.0f / x[i];
    }
    ir_set_input(n, 1, ir_const(c, NULL, DT_f32, k->rank, k->dim, inverse));
    n->op = OP_Mul;
}

static void subtract_instead(struct ir_node *n)
{
    if (n->op != OP_Add)
        return;
    for (int i = 0; i < 2; i++) {
        const struct ir_node *neg = match_def(n->in[i], OP_Neg);

        if (!neg || n->out[0]->dtype != DT_f32)
            continue;

        struct ir_value *from = n->in[!i], *what = neg->in[0];

        n->op = OP_Sub;
        ir_set_input(n, 0, from);
        ir_set_input(n, 1, what);
        return;
    }
}

static void sum_squares(struct ir_node *n)
{
    const struct ir_node *mul =
        n->op == OP_ReduceSum ? match_sole_def(n->in[0], OP_Mul) : NULL;

    if (!mul || mul->in[0] != mul->in[1])
        return;
    n->op = OP_ReduceSumSquare;
    ir_set_input(n, 0, mul->in[0]);
}

/* The shape that the operands of n broadcast to when `skip` is replaced by `by`. */
static bool broadcasts_alike(const struct ir_node *n, int skip,
                             const struct ir_value *by)
{
    const struct ir_value *to = n->out[0];

    for (int d = 0; d < to->rank; d++) {
        bool reached = to->dim[d] == 1;

        for (int i = 0; i < n->n_in; i++) {
            const struct ir_value *v = i == skip ? by : n->in[i];

            if (!v)
                continue;

            const int at = d - (to->rank - v->rank);

            reached |= at >= 0 && v->dim[at] == to->dim[d];
        }
        if (!reached)
            return false;
    }
    return true;
}

static void skip_expand(struct ir_node *n)
{
    if (!(op_info[n->op].traits & OPT_ELTWISE) || n->op == OP_Expand || n->n_in < 2
        || n->out[0]->dynamic)
        return;
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_node *expand = match_def(n->in[i], OP_Expand);

        if (expand && !expand->in[0]->dynamic && broadcasts_alike(n, i, expand->in[0]))
            ir_set_input(n, i, expand->in[0]);
    }
}

/* A Slice that stays inside of one operand of a Concat reads that operand. */
static void slice_operand(struct ir_node *n)
{
    const struct ir_node *concat =
        n->op == OP_Slice ? match_def(n->in[0], OP_Concat) : NULL;
    int count;
    int64_t from = 0, start[IR_MAX_RANK];

    if (!concat || n->in[0]->dynamic || !ir_count(n->out[0]))
        return;

    const int axis = (int)ir_attr_int(concat, "axis", 0);
    const int64_t *starts = ir_attr_ints(n, "starts", &count);
    const int64_t *steps = ir_attr_ints(n, "steps", &count);
    const int64_t first = starts[axis];
    const int64_t last = first + (n->out[0]->dim[axis] - 1) * steps[axis];

    for (int i = 0; i < concat->n_in; i++) {
        const int64_t to = from + concat->in[i]->dim[axis];

        if (first >= from && first < to && last >= from && last < to) {
            for (int d = 0; d < count; d++)
                start[d] = starts[d] - (d == axis ? from : 0);
            ir_set_attr_ints(n, "starts", count, start);
            ir_set_input(n, 0, concat->in[i]);
            return;
        }
        from = to;
    }
}

/* ---- all of it ------------------------------------------------------- */

static struct status *simplify(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                RETURN_IF_FAIL(simplify(c, n->body[b]));
        slice_operand(n);
        if (drop(g, n))
            continue;
        skip_expand(n);
        subtract_instead(n);
        sum_squares(n);
        divide_by_power_of_two(c, n);
        if (loses_dims(n))
            RETURN_IF_FAIL(keep_dims(c, g, n));
    }
    return OK;
}

struct status *pass_simplify(struct compile *c, struct ir_graph *g)
{
    return simplify(c, g);
}
