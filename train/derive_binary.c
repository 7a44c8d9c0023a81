/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of two numbers, operands stretched as numpy does, and Where. */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "train/broadcast.h"
#include "train/derivatives.h"

struct binary {
    struct broadcast operand[3];
};

static struct status *prepare_operands(struct tape *t, struct tape_step *s, int n)
{
    struct binary *p = arena_new(t->a, struct binary);

    if (s->node->n_in != n)
        return FAIL_AT(s->node, UNSUPPORTED, "training wants %d operands", n);
    for (int i = 0; i < n; i++)
        p->operand[i] = broadcast_of(t->a, s->node->in[i], s->node->out[0]);
    s->plan = p;
    return OK;
}

struct status *prepare_Binary(struct tape *t, struct tape_step *s)
{
    return prepare_operands(t, s, 2);
}

/* The value is a function of a and b; the slopes of a, b and dy are what each operand's
 * gradient gets.  y is the value. */
#define BINARY(op, value, for_a, for_b)                                                \
    void forward_##op(const struct tape_call *c)                                       \
    {                                                                                  \
        const struct binary *p = c->step->plan;                                        \
        const int64_t n = ir_count(c->step->node->out[0]);                             \
                                                                                       \
        for (int64_t s = 0; s < c->n; s++) {                                           \
            const real *in_a = call_in(c, 0, s), *in_b = call_in(c, 1, s);             \
            real *out = call_out(c, 0, s);                                             \
                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                          \
                const real a = in_a[broadcast_at(&p->operand[0], i)];                  \
                const real b = in_b[broadcast_at(&p->operand[1], i)];                  \
                                                                                       \
                out[i] = value;                                                        \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
                                                                                       \
    void backward_##op(const struct tape_call *c)                                      \
    {                                                                                  \
        const struct binary *p = c->step->plan;                                        \
        const int64_t n = ir_count(c->step->node->out[0]);                             \
                                                                                       \
        for (int64_t s = 0; s < c->n; s++) {                                           \
            const real *in_a = call_in(c, 0, s), *in_b = call_in(c, 1, s);             \
            const real *d = call_d_out(c, 0, s), *out = call_out(c, 0, s);             \
            real *da = c->d_in[0] ? call_d_in(c, 0, s) : NULL;                         \
            real *db = c->d_in[1] ? call_d_in(c, 1, s) : NULL;                         \
                                                                                       \
            for (int64_t i = 0; i < n; i++) {                                          \
                const real a = in_a[broadcast_at(&p->operand[0], i)];                  \
                const real b = in_b[broadcast_at(&p->operand[1], i)];                  \
                const real dy = d[i], y = out[i];                                      \
                                                                                       \
                (void)a, (void)b, (void)y;                                             \
                if (da)                                                                \
                    da[broadcast_at(&p->operand[0], i)] += for_a;                      \
                if (db)                                                                \
                    db[broadcast_at(&p->operand[1], i)] += for_b;                      \
            }                                                                          \
        }                                                                              \
    }

/* Where a base is negative, or zero with an exponent that is not positive, the slope
 * along the exponent does not exist; 0 stands for it. */
BINARY(Div, a / b, dy / b, -dy *y / b)
BINARY(Max, a >= b ? a : b, a >= b ? dy : 0, a >= b ? 0 : dy)
BINARY(Min, a <= b ? a : b, a <= b ? dy : 0, a <= b ? 0 : dy)
BINARY(Mul, a *b, dy *b, dy *a)
BINARY(PRelu, a > 0 ? a : a * b, a > 0 ? dy : dy * b, a > 0 ? 0 : dy * a)
BINARY(Pow, pow(a, b), dy *b *pow(a, b - 1), a > 0 ? dy * y * log(a) : 0)

/* ---- Add and Sub: nothing is kept, and Add may lie where its operand does ------- */

static void add(const struct tape_call *c, real sign)
{
    const struct binary *p = c->step->plan;
    const int64_t n = ir_count(c->step->node->out[0]);

    for (int64_t s = 0; s < c->n; s++) {
        const real *a = call_in(c, 0, s), *b = call_in(c, 1, s);
        real *y = call_out(c, 0, s);

        if (!p->operand[0].at && !p->operand[1].at)
            for (int64_t i = 0; i < n; i++)
                y[i] = a[i] + sign * b[i];
        else
            for (int64_t i = 0; i < n; i++)
                y[i] = a[broadcast_at(&p->operand[0], i)]
                       + sign * b[broadcast_at(&p->operand[1], i)];
    }
}

static void add_back(const struct tape_call *c, int k, real sign)
{
    const struct broadcast *b = &((const struct binary *)c->step->plan)->operand[k];
    const int64_t n = ir_count(c->step->node->out[0]);

    if (!c->d_in[k] || c->d_in[k] == c->d_out[0])
        return;
    for (int64_t s = 0; s < c->n; s++) {
        const real *dy = call_d_out(c, 0, s);
        real *d = call_d_in(c, k, s);

        if (c->fresh[k] && !b->at) {
            for (int64_t i = 0; i < n; i++)
                d[i] = sign * dy[i];
            continue;
        }
        if (c->fresh[k])
            memset(d, 0, (size_t)c->in_count[k] * sizeof *d);
        for (int64_t i = 0; i < n; i++)
            d[broadcast_at(b, i)] += sign * dy[i];
    }
}

void forward_Add(const struct tape_call *c)
{
    add(c, 1);
}

void backward_Add(const struct tape_call *c)
{
    add_back(c, 0, 1);
    add_back(c, 1, 1);
}

void forward_Sub(const struct tape_call *c)
{
    add(c, -1);
}

void backward_Sub(const struct tape_call *c)
{
    add_back(c, 0, 1);
    add_back(c, 1, -1);
}

/* ---- Where ---------------------------------------------------------------------- */

enum { CONDITION, YES, NO };

struct status *prepare_Where(struct tape *t, struct tape_step *s)
{
    return prepare_operands(t, s, 3);
}

/* Which of YES and NO element i of sample s comes from. */
static int chosen(const struct tape_call *c, int64_t s, int64_t i)
{
    const struct binary *p = c->step->plan;
    const uint8_t *condition = c->in[CONDITION];

    condition += s * c->in_count[CONDITION];
    return condition[broadcast_at(&p->operand[CONDITION], i)] ? YES : NO;
}

void forward_Where(const struct tape_call *c)
{
    const struct binary *p = c->step->plan;
    const int64_t n = ir_count(c->step->node->out[0]);

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t i = 0; i < n; i++) {
            const int k = chosen(c, s, i);

            call_out(c, 0, s)[i] = call_in(c, k, s)[broadcast_at(&p->operand[k], i)];
        }
}

void backward_Where(const struct tape_call *c)
{
    const struct binary *p = c->step->plan;
    const int64_t n = ir_count(c->step->node->out[0]);

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t i = 0; i < n; i++) {
            const int k = chosen(c, s, i);

            if (c->d_in[k])
                call_d_in(c, k, s)[broadcast_at(&p->operand[k], i)] +=
                    call_d_out(c, 0, s)[i];
        }
}
