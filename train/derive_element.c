/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one number: unary.def, Relu and Clip, and what changes nothing. */
#include <string.h>
#include <tgmath.h>

#include "frontend/op_help.h"
#include "train/derivatives.h"
#include "train/tiles.h"

static inline real absolute(real x)
{
    return x < 0 ? -x : x;
}

static inline real square(real x)
{
    return x * x;
}

static inline real limit(real x, real least, real most)
{
    return x < least ? least : x > most ? most : x;
}

static inline real sigmoid(real x)
{
    return 1 / (1 + exp(-x));
}

/* log(1 + e^x) that does not overflow. */
static inline real softplus(real x)
{
    return (x > 0 ? x : 0) + log1p(exp(-absolute(x)));
}

static inline real mish_slope(real x)
{
    const real t = tanh(softplus(x));

    return t + x * (1 - t * t) * sigmoid(x);
}

/* Gelu, exact or with tanh (Hendrycks and Gimpel 2016, arXiv:1606.08415). */
static inline real gelu(real x, real by_tanh)
{
    const real u = (real)0.7978845608028654 * (x + (real)0.044715 * x * x * x);

    return by_tanh != 0 ? x / 2 * (1 + tanh(u))
                        : x / 2 * (1 + erf(x * (real)0.7071067811865476));
}

static inline real gelu_slope(real x, real by_tanh)
{
    const real u = (real)0.7978845608028654 * (x + (real)0.044715 * x * x * x);
    const real du = (real)0.7978845608028654 * (1 + (real)0.134145 * x * x);

    if (by_tanh != 0)
        return (1 + tanh(u)) / 2 + x / 2 * (1 - square(tanh(u))) * du;
    return (1 + erf(x * (real)0.7071067811865476)) / 2
           + x * (real)0.3989422804014327 * exp(-x * x / 2);
}

struct unary {
    real a, b;
};

struct status *prepare_Unary(struct tape *t, struct tape_step *s)
{
    static const struct {
        enum ir_op op;
        const char *a, *b;
        float default_a, default_b;
    } attributes[] = {
        {OP_Celu, "alpha", NULL, 1, 0},
        {OP_Elu, "alpha", NULL, 1, 0},
        {OP_HardSigmoid, "alpha", "beta", 0.2f, 0.5f},
        {OP_LeakyRelu, "alpha", NULL, 0.01f, 0},
        {OP_Selu, "alpha", "gamma", 1.67326319f, 1.05070102f},
    };
    struct unary *u = arena_new(t->a, struct unary);

    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (attributes[i].op != s->node->op)
            continue;
        u->a = ir_attr_float(s->node, attributes[i].a, attributes[i].default_a);
        if (attributes[i].b)
            u->b = ir_attr_float(s->node, attributes[i].b, attributes[i].default_b);
    }
    if (s->node->op == OP_Gelu)
        u->a = strcmp(ir_attr_str(s->node, "approximate", "none"), "tanh") == 0;
    s->plan = u;
    return OK;
}

static int64_t elements(const struct tape_call *c)
{
    return c->n * ir_count(c->step->node->out[0]);
}

void forward_Unary(const struct tape_call *c)
{
    const struct unary *u = c->step->plan;
    const real a = u ? u->a : 0, b = u ? u->b : 0, *in = c->in[0];
    const int64_t n = elements(c);
    real *out = c->out[0];

    (void)a;
    (void)b;
    switch (c->step->node->op) {
#define UNARY(op, value, slope)                                                        \
    case OP_##op:                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            const real x = in[i];                                                      \
                                                                                       \
            out[i] = value;                                                            \
        }                                                                              \
        break;
#include "train/unary.def"
    default:
        break;
    }
}

void backward_Unary(const struct tape_call *c)
{
    const struct unary *u = c->step->plan;
    const real a = u ? u->a : 0, b = u ? u->b : 0, *in = c->in[0], *dy = c->d_out[0];
    const int64_t n = elements(c);
    real *dx = c->d_in[0];

    (void)a;
    (void)b;
    if (c->fresh[0]) /* what lies there may be no number */
        memset(dx, 0, (size_t)n * sizeof *dx);
    switch (c->step->node->op) {
#define UNARY(op, value, slope)                                                        \
    case OP_##op:                                                                      \
        for (int64_t i = 0; i < n; i++) {                                              \
            const real x = in[i];                                                      \
                                                                                       \
            (void)x;                                                                   \
            dx[i] += dy[i] * (slope);                                                  \
        }                                                                              \
        break;
#include "train/unary.def"
    default:
        break;
    }
}

/* ---- Relu, Clip: in place ------------------------------------------------------- */

void forward_Relu(const struct tape_call *c)
{
    tiles_here()->relu(elements(c), c->in[0], c->out[0]);
}

void backward_Relu(const struct tape_call *c)
{
    tiles_here()->relu_back(elements(c), c->out[0], c->d_out[0], !c->fresh[0],
                            c->d_in[0]);
}

struct clip {
    real least, most;
};

struct status *prepare_Clip(struct tape *t, struct tape_step *s)
{
    struct clip *p = arena_new(t->a, struct clip);
    float least, most;

    if (!op_clip_limits(s->node, &least, &most))
        return FAIL_AT(s->node, UNSUPPORTED, "training wants constant limits");
    *p = (struct clip){least, most};
    s->plan = p;
    return OK;
}

void forward_Clip(const struct tape_call *c)
{
    const struct clip *p = c->step->plan;
    const int64_t n = elements(c);
    const real *x = c->in[0];
    real *y = c->out[0];

    for (int64_t i = 0; i < n; i++)
        y[i] = limit(x[i], p->least, p->most);
}

void backward_Clip(const struct tape_call *c)
{
    const struct clip *p = c->step->plan;
    const int64_t n = elements(c);
    const real *y = c->out[0], *dy = c->d_out[0];
    real *dx = c->d_in[0];

    for (int64_t i = 0; i < n; i++) {
        const real d = y[i] > p->least && y[i] < p->most ? dy[i] : 0;

        dx[i] = c->fresh[0] ? d : dx[i] + d;
    }
}

/* ---- views of constants --------------------------------------------------------- */

void forward_Identity(const struct tape_call *c)
{
    for (int64_t s = 0; s < c->n; s++)
        memcpy(call_out(c, 0, s), call_in(c, 0, s),
               (size_t)ir_count(c->step->node->out[0]) * sizeof(real));
}

void backward_Identity(const struct tape_call *c)
{
    const int64_t n = elements(c);

    for (int64_t i = 0; i < n; i++)
        c->d_in[0][i] += c->d_out[0][i];
}
