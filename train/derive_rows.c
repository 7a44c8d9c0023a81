/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and LogSoftmax along an axis, and reductions over axes.
 *
 *     y = softmax(x)         dx = y (dy - sum dy y)
 *     y = log softmax(x)     dx = dy - e^y sum dy
 */
#include <math.h>
#include <tgmath.h>

#include "train/derivatives.h"

/* ---- along an axis -------------------------------------------------------------- */

struct lines {
    int64_t outer, n, inner; /* element i of a line: i * inner from its first */
};

struct status *prepare_Softmax(struct tape *t, struct tape_step *s)
{
    const struct ir_value *x = s->node->in[0];
    struct lines *l = arena_new(t->a, struct lines);
    int axis = (int)ir_attr_int(s->node, "axis", -1);

    axis = axis < 0 ? axis + x->rank : axis;
    *l = (struct lines){1, x->dim[axis], 1};
    for (int d = 0; d < axis; d++)
        l->outer *= x->dim[d];
    for (int d = axis + 1; d < x->rank; d++)
        l->inner *= x->dim[d];
    s->plan = l;
    return OK;
}

/* The first element of a line, of all lines of a shard. */
static int64_t line_at(const struct lines *l, int64_t line)
{
    return line / l->inner * l->n * l->inner + line % l->inner;
}

static int64_t n_lines(const struct tape_call *c)
{
    const struct lines *l = c->step->plan;

    return c->n * l->outer * l->inner;
}

/* y = x - most, and the sum of e^y. */
static real shift(const struct lines *l, const real *x, real *y)
{
    real most = x[0], sum = 0;

    for (int64_t i = 1; i < l->n; i++)
        most = x[i * l->inner] > most ? x[i * l->inner] : most;
    for (int64_t i = 0; i < l->n; i++) {
        y[i * l->inner] = x[i * l->inner] - most;
        sum += exp(y[i * l->inner]);
    }
    return sum;
}

void forward_Softmax(const struct tape_call *c)
{
    const struct lines *l = c->step->plan;

    for (int64_t k = 0; k < n_lines(c); k++) {
        real *y = (real *)c->out[0] + line_at(l, k);
        const real sum = shift(l, (const real *)c->in[0] + line_at(l, k), y);

        for (int64_t i = 0; i < l->n; i++)
            y[i * l->inner] = exp(y[i * l->inner]) / sum;
    }
}

void backward_Softmax(const struct tape_call *c)
{
    const struct lines *l = c->step->plan;

    for (int64_t k = 0; k < n_lines(c); k++) {
        const real *y = (const real *)c->out[0] + line_at(l, k);
        const real *dy = c->d_out[0] + line_at(l, k);
        real *dx = c->d_in[0] + line_at(l, k), sum = 0;

        for (int64_t i = 0; i < l->n; i++)
            sum += y[i * l->inner] * dy[i * l->inner];
        for (int64_t i = 0; i < l->n; i++)
            dx[i * l->inner] += y[i * l->inner] * (dy[i * l->inner] - sum);
    }
}

void forward_LogSoftmax(const struct tape_call *c)
{
    const struct lines *l = c->step->plan;

    for (int64_t k = 0; k < n_lines(c); k++) {
        real *y = (real *)c->out[0] + line_at(l, k);
        const real sum = log(shift(l, (const real *)c->in[0] + line_at(l, k), y));

        for (int64_t i = 0; i < l->n; i++)
            y[i * l->inner] -= sum;
    }
}

void backward_LogSoftmax(const struct tape_call *c)
{
    const struct lines *l = c->step->plan;

    for (int64_t k = 0; k < n_lines(c); k++) {
        const real *y = (const real *)c->out[0] + line_at(l, k);
        const real *dy = c->d_out[0] + line_at(l, k);
        real *dx = c->d_in[0] + line_at(l, k), sum = 0;

        for (int64_t i = 0; i < l->n; i++)
            sum += dy[i * l->inner];
        for (int64_t i = 0; i < l->n; i++)
            dx[i * l->inner] += dy[i * l->inner] - exp(y[i * l->inner]) * sum;
    }
}

/* ---- reductions ----------------------------------------------------------------- */

struct reduction {
    int64_t *to; /* element i goes into result to[i] */
    int64_t n, n_out;
    real n_each; /* elements of a result */
};

struct status *prepare_Reduce(struct tape *t, struct tape_step *s)
{
    const struct ir_value *x = s->node->in[0];
    struct reduction *r = arena_new(t->a, struct reduction);
    int64_t stride[IR_MAX_RANK], step = 1;
    bool reduced[IR_MAX_RANK] = {false};
    int n_axes;
    const int64_t *axes = ir_attr_ints(s->node, "axes", &n_axes);

    for (int i = 0; i < n_axes; i++)
        reduced[axes[i]] = true;
    for (int d = x->rank - 1; d >= 0; d--) {
        stride[d] = reduced[d] ? 0 : step;
        step *= reduced[d] ? 1 : x->dim[d];
    }
    r->n = ir_count(x);
    r->n_out = step;
    r->n_each = (real)(step ? r->n / step : 0);
    r->to = arena_new_array(t->a, int64_t, r->n);
    for (int64_t i = 0; i < r->n; i++) {
        int64_t rest = i;

        for (int d = x->rank - 1; d >= 0; d--) {
            r->to[i] += rest % x->dim[d] * stride[d];
            rest /= x->dim[d];
        }
    }
    s->plan = r;
    s->scratch_bytes = (size_t)r->n_out;
    return OK;
}

static real combine(enum ir_op op, real sum, real x, bool first)
{
    switch (op) {
    case OP_ReduceMax:
        return first || x > sum ? x : sum;
    case OP_ReduceMin:
        return first || x < sum ? x : sum;
    case OP_ReduceL2:
    case OP_ReduceSumSquare:
        return sum + x * x;
    default:
        return sum + x;
    }
}

void forward_Reduce(const struct tape_call *c)
{
    const struct reduction *r = c->step->plan;
    const enum ir_op op = c->step->node->op;
    bool *begun = c->scratch;

    for (int64_t s = 0; s < c->n; s++) {
        const real *x = call_in(c, 0, s);
        real *y = call_out(c, 0, s);

        for (int64_t i = 0; i < r->n_out; i++)
            y[i] = begun[i] = 0;
        for (int64_t i = 0; i < r->n; i++) {
            y[r->to[i]] = combine(op, y[r->to[i]], x[i], !begun[r->to[i]]);
            begun[r->to[i]] = true;
        }
        for (int64_t i = 0; i < r->n_out; i++)
            y[i] = op == OP_ReduceMean ? y[i] / r->n_each
                   : op == OP_ReduceL2 ? sqrt(y[i])
                                       : y[i];
    }
}

/* Of several equal ones the first is the largest. */
static void to_first(const struct tape_call *c, int64_t s)
{
    const struct reduction *r = c->step->plan;
    const real *x = call_in(c, 0, s), *y = call_out(c, 0, s);
    bool *taken = c->scratch;

    for (int64_t i = 0; i < r->n_out; i++)
        taken[i] = false;
    for (int64_t i = 0; i < r->n; i++)
        if (x[i] == y[r->to[i]] && !taken[r->to[i]]) {
            call_d_in(c, 0, s)[i] += call_d_out(c, 0, s)[r->to[i]];
            taken[r->to[i]] = true;
        }
}

static real slope(const struct tape_call *c, int64_t s, int64_t i)
{
    const struct reduction *r = c->step->plan;
    const real x = call_in(c, 0, s)[i];

    switch (c->step->node->op) {
    case OP_ReduceMean:
        return 1 / r->n_each;
    case OP_ReduceSumSquare:
        return 2 * x;
    case OP_ReduceL2:
        return x == 0 ? 0 : x / call_out(c, 0, s)[r->to[i]];
    default:
        return 1;
    }
}

void backward_Reduce(const struct tape_call *c)
{
    const struct reduction *r = c->step->plan;
    const enum ir_op op = c->step->node->op;

    for (int64_t s = 0; s < c->n; s++)
        if (op == OP_ReduceMax || op == OP_ReduceMin)
            to_first(c, s);
        else
            for (int64_t i = 0; i < r->n; i++)
                call_d_in(c, 0, s)[i] += call_d_out(c, 0, s)[r->to[i]] * slope(c, s, i);
}
