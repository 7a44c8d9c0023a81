/* SPDX-License-Identifier: Apache-2.0 */
/* Find the activations that exporters spell with several operators.
 *
 *     x * 1/2 * (1 + erf(x / sqrt(2)))                         =  Gelu(x)
 *     x * 1/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))    =  Gelu(x), tanh form
 *     x * clip(x + 3, 0, 6) / 6                                =  HardSwish(x)
 *     clip(x + 3, 0, 6) / 6, clip(a x + b, 0, 1)               =  HardSigmoid(x)
 *     max(x, a x), 0 < a < 1                                   =  LeakyRelu(x)
 *     max(x, 0), clip(x, 0, inf)                               =  Relu(x)
 *     relu(clip(x, lo, hi)), clip(relu(x), lo, hi), clip of clip,
 *     min(max(x, lo), hi)                                      =  one Clip
 *     x^2, x^0.5, x^-1                                         =  x x, sqrt(x), 1/x
 *
 * Products are compared as sets of factors with one constant in front, so that every
 * order and grouping of the multiplications is found.  Results differ by rounding,
 * and where an input is NaN.
 *
 * needs:     shapes, use counts, constant operands
 * keeps:     shapes
 * breaks:    nothing
 */
#include <math.h>

#include "frontend/match.h"
#include "frontend/pass.h"

/* ---- products -------------------------------------------------------- */

enum { MAX_FACTORS = 4, MAX_DEPTH = 6 };

/* scale * factor[0] * ... */
struct product {
    double scale;
    int n;
    struct ir_value *factor[MAX_FACTORS];
};

static bool multiply_in(struct product *p, struct ir_value *v, int depth);

static bool multiply_node(struct product *p, const struct ir_node *n, int depth)
{
    double k;

    if (n->op == OP_Mul)
        return multiply_in(p, n->in[0], depth + 1)
               && multiply_in(p, n->in[1], depth + 1);
    if (!ir_const_scalar(n->in[1], &k) || k == 0.0) /* Div by a constant */
        return false;
    p->scale /= k;
    return multiply_in(p, n->in[0], depth + 1);
}

static bool is_product_node(const struct ir_node *n)
{
    return n && (n->op == OP_Mul || (n->op == OP_Div && n->in[1]->data));
}

static bool multiply_in(struct product *p, struct ir_value *v, int depth)
{
    double k;

    if (ir_const_scalar(v, &k)) {
        p->scale *= k;
        return true;
    }
    /* What others read too stays a factor of its own. */
    if (depth < MAX_DEPTH && is_product_node(v->def) && (depth == 0 || v->n_uses == 1)
        && multiply_node(p, v->def, depth))
        return true;
    if (p->n == MAX_FACTORS)
        return false;
    p->factor[p->n++] = v;
    return true;
}

static bool product_of(struct ir_value *v, struct product *out)
{
    *out = (struct product){.scale = 1.0};
    return v && v->dtype == DT_f32 && multiply_in(out, v, 0);
}

static bool about(double x, double wanted)
{
    return fabs(x - wanted) <= 1e-5 * fabs(wanted);
}

/* Exactly k * x. */
static bool is_multiple(struct ir_value *v, const struct ir_value *x, double k)
{
    struct product p;

    return product_of(v, &p) && p.n == 1 && p.factor[0] == x && about(p.scale, k);
}

/* The operand beside the constant about `k` of an Add, or NULL. */
static struct ir_value *plus(const struct ir_value *v, double k)
{
    const struct ir_node *n = match_def(v, OP_Add);

    if (!n)
        return NULL;
    return match_scalar(n->in[1], k)   ? n->in[0]
           : match_scalar(n->in[0], k) ? n->in[1]
                                       : NULL;
}

static struct ir_value *argument(struct ir_value *v, enum ir_op op)
{
    const struct ir_node *n = match_def(v, op);

    return n ? n->in[0] : NULL;
}

static bool clip_limits(const struct ir_node *n, double *lo, double *hi)
{
    *lo = -(double)INFINITY;
    *hi = (double)INFINITY;
    return (!ir_in(n, 1) || ir_const_scalar(n->in[1], lo))
           && (!ir_in(n, 2) || ir_const_scalar(n->in[2], hi));
}

static bool is_clip(const struct ir_value *v, double lo, double hi)
{
    double a, b;

    return match_def(v, OP_Clip) && clip_limits(v->def, &a, &b) && a == lo && b == hi;
}

/* ---- shapes of formulas ---------------------------------------------- */

/* k * x^3, as a product of factors or a Pow. */
static bool is_cube(struct ir_value *v, const struct ir_value *x, double k)
{
    struct product p;

    if (!product_of(v, &p) || !about(p.scale, k))
        return false;
    if (p.n == 1 && match_def(p.factor[0], OP_Pow))
        return p.factor[0]->def->in[0] == x
               && match_scalar(p.factor[0]->def->in[1], 3.0);
    if (p.n == 2) { /* x * Pow(x, 2), x * (x * x) kept apart because it is read twice */
        const struct ir_node *square =
            p.factor[0] == x ? p.factor[1]->def : p.factor[0]->def;

        return (p.factor[0] == x || p.factor[1] == x) && square && square->op == OP_Pow
               && square->in[0] == x && match_scalar(square->in[1], 2.0);
    }
    return p.n == 3 && p.factor[0] == x && p.factor[1] == x && p.factor[2] == x;
}

static bool is_square(struct ir_value *v, const struct ir_value *x, double k)
{
    struct product p;

    if (!product_of(v, &p) || !about(p.scale, k))
        return false;
    if (p.n == 1 && match_def(p.factor[0], OP_Pow))
        return p.factor[0]->def->in[0] == x
               && match_scalar(p.factor[0]->def->in[1], 2.0);
    return p.n == 2 && p.factor[0] == x && p.factor[1] == x;
}

/* sqrt(2/pi) * (x + 0.044715 x^3), also with x in front. */
static bool is_tanh_argument(struct ir_value *v, const struct ir_value *x)
{
    const double outer = 0.7978845608, inner = 0.044715;
    struct product p;

    if (!product_of(v, &p) || !about(p.scale, outer))
        return false;
    if (p.n == 2) {
        struct ir_value *rest = p.factor[0] == x ? p.factor[1] : p.factor[0];
        struct ir_value *square = plus(rest, 1.0);

        return (p.factor[0] == x || p.factor[1] == x) && square
               && is_square(square, x, inner);
    }
    if (p.n != 1 || !match_def(p.factor[0], OP_Add))
        return false;

    struct ir_value *const *in = p.factor[0]->def->in;

    return (in[0] == x && is_cube(in[1], x, inner))
           || (in[1] == x && is_cube(in[0], x, inner));
}

enum found { NOTHING, GELU, GELU_TANH, HARD_SWISH };

/* y = scale * x * g(x): which g is it? */
static enum found product_with(const struct ir_value *x, struct ir_value *g,
                               double scale)
{
    struct ir_value *one_plus = plus(g, 1.0), *u;

    if (about(scale, 0.5) && one_plus) {
        u = argument(one_plus, OP_Erf);
        if (u && is_multiple(u, x, 0.7071067812))
            return GELU;
        u = argument(one_plus, OP_Tanh);
        if (u && is_tanh_argument(u, x))
            return GELU_TANH;
    }
    if (about(scale, 1.0 / 6.0) && is_clip(g, 0.0, 6.0)
        && plus(g->def->in[0], 3.0) == x)
        return HARD_SWISH;
    if (about(scale, 1.0) && match_def(g, OP_HardSigmoid) && g->def->in[0] == x
        && about((double)ir_attr_float(g->def, "alpha", 0.2f), 1.0 / 6.0)
        && ir_attr_float(g->def, "beta", 0.5f) == 0.5f)
        return HARD_SWISH;
    return NOTHING;
}

static enum found find_product(struct ir_value *y, struct ir_value **x)
{
    struct product p;

    if (!is_product_node(y->def) || !product_of(y, &p) || p.n != 2)
        return NOTHING;
    for (int i = 0; i < 2; i++) {
        const enum found f = product_with(p.factor[i], p.factor[!i], p.scale);

        *x = p.factor[i];
        if (f)
            return f;
    }
    return NOTHING;
}

/* ---- rewriting ------------------------------------------------------- */

/* n's result becomes op(x) {attr}; what only fed n is dead now. */
static struct status *replace(struct ir_graph *g, struct ir_node *n, enum ir_op op,
                              int n_in, struct ir_value *const *in, const char *attr)
{
    struct ir_value *y;

    RETURN_IF_FAIL(ir_emit(g, n, op, n->name, n_in, in, attr, &y));
    y->def->onnx_index = n->onnx_index;
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

static struct status *try_products(struct ir_graph *g, struct ir_node *n, bool *done)
{
    struct ir_value *x;
    const enum found f = find_product(n->out[0], &x);

    *done = f != NOTHING && ir_same_shape(x, n->out[0]);
    if (!*done)
        return OK;
    return replace(g, n, f == HARD_SWISH ? OP_HardSwish : OP_Gelu, 1, &x,
                   f == GELU_TANH ? "approximate=\"tanh\"" : NULL);
}

/* scale * clip(x + 3, 0, 6) or clip(a x + b, 0, 1), as HardSigmoid's alpha and beta. */
static struct ir_value *hard_sigmoid_of(struct ir_node *n, double *alpha, double *beta)
{
    struct product p;
    struct ir_value *x;

    if (is_product_node(n) && product_of(n->out[0], &p) && p.n == 1
        && about(p.scale, 1.0 / 6.0) && is_clip(p.factor[0], 0.0, 6.0)) {
        x = plus(p.factor[0]->def->in[0], 3.0);
        *alpha = 1.0 / 6.0;
        *beta = 0.5;
        return x;
    }
    if (n->op != OP_Clip || !is_clip(n->out[0], 0.0, 1.0)
        || !match_def(n->in[0], OP_Add))
        return NULL;

    const struct ir_node *sum = n->in[0]->def;
    const int k = match_const_operand(sum);

    if (k < 0 || !ir_const_scalar(sum->in[k], beta) || !product_of(sum->in[!k], &p)
        || p.n != 1 || p.scale == 1.0)
        return NULL;
    *alpha = p.scale;
    return p.factor[0];
}

static struct status *try_hard_sigmoid(struct ir_graph *g, struct ir_node *n,
                                       bool *done)
{
    double alpha = 0.0, beta = 0.0;
    struct ir_value *x = hard_sigmoid_of(n, &alpha, &beta), *y;

    *done = x && ir_same_shape(x, n->out[0]);
    if (!*done)
        return OK;
    RETURN_IF_FAIL(ir_emit(g, n, OP_HardSigmoid, n->name, 1, &x, NULL, &y));
    ir_set_attr_float(y->def, "alpha", (float)alpha);
    ir_set_attr_float(y->def, "beta", (float)beta);
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

static struct status *try_max(struct ir_graph *g, struct ir_node *n, bool *done)
{
    *done = false;
    if (n->op != OP_Max || n->n_in != 2 || n->out[0]->dtype != DT_f32)
        return OK;
    for (int i = 0; i < 2; i++) {
        struct ir_value *x = n->in[i], *y;
        struct product p;

        if (x->data || !ir_same_shape(x, n->out[0]))
            continue;
        if (match_scalar(n->in[!i], 0.0)) {
            *done = true;
            return replace(g, n, OP_Relu, 1, &x, NULL);
        }
        if (n->in[!i]->def && product_of(n->in[!i], &p) && p.n == 1 && p.factor[0] == x
            && p.scale > 0.0 && p.scale < 1.0) {
            *done = true;
            RETURN_IF_FAIL(ir_emit(g, n, OP_LeakyRelu, n->name, 1, &x, NULL, &y));
            ir_set_attr_float(y->def, "alpha", (float)p.scale);
            ir_replace_uses(g, n->out[0], y);
            ir_remove(n);
            return OK;
        }
    }
    return OK;
}

/* ---- limits ---------------------------------------------------------- */

struct range {
    struct ir_value *x;
    double lo, hi;
};

static bool range_of(const struct ir_node *n, struct range *r)
{
    double k;

    *r = (struct range){n->in[0], -(double)INFINITY, (double)INFINITY};
    if (n->out[0]->dtype != DT_f32)
        return false;
    if (n->op == OP_Clip)
        return clip_limits(n, &r->lo, &r->hi) && r->lo <= r->hi;
    if (n->op == OP_Relu) {
        r->lo = 0.0;
        return true;
    }
    if ((n->op != OP_Max && n->op != OP_Min) || n->n_in != 2)
        return false;

    const int c = match_const_operand(n);

    if (c < 0 || !ir_const_scalar(n->in[c], &k) || !ir_same_shape(n->in[!c], n->out[0]))
        return false;
    r->x = n->in[!c];
    *(n->op == OP_Max ? &r->lo : &r->hi) = k;
    return true;
}

static double limit(double x, const struct range *r)
{
    return x < r->lo ? r->lo : x > r->hi ? r->hi : x;
}

/* Two limits one after the other are one: the inner bounds, limited by the outer. */
static struct status *try_limits(struct ir_graph *g, struct ir_node *n, bool *done)
{
    struct compile *c = g->compile;
    struct range outer, inner;

    *done = false;
    if (!range_of(n, &outer) || outer.x->n_uses != 1 || !outer.x->def
        || !range_of(outer.x->def, &inner))
        return OK;

    const double lo = limit(inner.lo, &outer), hi = limit(inner.hi, &outer);

    *done = true;
    if (lo == 0.0 && hi == (double)INFINITY)
        return replace(g, n, OP_Relu, 1, &inner.x, NULL);

    struct ir_value *in[] = {inner.x, ir_const_f32(c, (float)lo),
                             ir_const_f32(c, (float)hi)};

    return replace(g, n, OP_Clip, 3, in, NULL);
}

static struct status *try_clip_to_relu(struct ir_graph *g, struct ir_node *n,
                                       bool *done)
{
    struct range r;

    *done =
        n->op == OP_Clip && range_of(n, &r) && r.lo == 0.0 && r.hi == (double)INFINITY;
    return *done ? replace(g, n, OP_Relu, 1, &r.x, NULL) : OK;
}

static struct status *try_power(struct ir_graph *g, struct ir_node *n, bool *done)
{
    struct ir_value *in[2] = {n->in[0], n->in[0]};

    *done = false;
    if (n->op != OP_Pow || n->out[0]->dtype != DT_f32 || n->in[0]->dtype != DT_f32
        || !ir_same_shape(n->in[0], n->out[0]))
        return OK;
    *done = true;
    if (match_scalar(n->in[1], 2.0))
        return replace(g, n, OP_Mul, 2, in, NULL);
    if (match_scalar(n->in[1], 0.5))
        return replace(g, n, OP_Sqrt, 1, in, NULL);
    if (match_scalar(n->in[1], -1.0))
        return replace(g, n, OP_Reciprocal, 1, in, NULL);
    *done = false;
    return OK;
}

typedef struct status *rule(struct ir_graph *g, struct ir_node *n, bool *done);

static rule *const rules[] = {
    try_products, try_hard_sigmoid, try_max, try_limits, try_clip_to_relu, try_power,
};

struct status *pass_recognise_activations(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        bool done = false;

        next = n->next;
        for (size_t i = 0; i < sizeof rules / sizeof rules[0] && !done; i++)
            if (n->out[0] && n->n_in && n->in[0])
                RETURN_IF_FAIL(rules[i](g, n, &done));
    }
    return pass_dead_code(c, g);
}
