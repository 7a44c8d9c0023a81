/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and matrix products of codes: see form_integers.c.
 *
 *     Q(act(Conv(DQ(x), DQ(w), b)))     =  QLinearConv(x, w, b, limits of act)
 *     Q(act(Gemm(DQ(x), DQ(w), b)))     =  QLinearMatMul(x, w', b, limits of act)
 *     Q(HardSwish(Gemm(DQ(x), DQ(w))))  =  z + rne(clamp(HardSwish(acc m) / s_y))
 *     Q(act(MatMul(DQ(x), DQ(w)) + b))  =  QLinearMatMul(x, w, b, limits of act)
 *     Gemm(DQ(x), DQ(w), b)             =  DQ(MatMulInteger(x, w') + b)   read as
 * floats
 *
 * The bias counts in steps of s_x s_w.  A product is left in floats if its sum could
 * leave 32 bits: |sum| <= sum over w of |q_w - z_w| times the largest |q_x - z_x|, plus
 * the bias.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "frontend/form_integers.h"
#include "frontend/match.h"
#include "frontend/permute.h"

enum { X, W, B };
enum { DATA, SCALE, ZERO };

/* Weights as [channels][per_channel] codes, wherever the channel stands. */
struct weights {
    const struct ir_node *dequantize;
    int64_t channels, per_channel;
    int64_t outer,
        inner; /* code (i, c, j) of channel c at (i * channels + c) * inner + j */
    enum dtype dtype; /* u8 or i8 */
    bool per_axis;
};

static int32_t code_at(const struct ir_value *v, int64_t i)
{
    return v->dtype == DT_u8 || v->dtype == DT_u4 ? ((const uint8_t *)v->data)[i]
                                                  : ((const int8_t *)v->data)[i];
}

static int64_t entry(const struct ir_value *v, int64_t channel)
{
    return ir_count(v) == 1 ? 0 : channel;
}

static float scale_of(const struct weights *w, int64_t channel)
{
    const struct ir_value *s = w->dequantize->in[SCALE];

    return ((const float *)s->data)[entry(s, channel)];
}

static int32_t zero_of(const struct weights *w, int64_t channel)
{
    const struct ir_value *z = w->dequantize->in[ZERO];

    return code_at(z, entry(z, channel));
}

static bool is_small(enum dtype t)
{
    return t == DT_u8 || t == DT_i8 || t == DT_u4 || t == DT_i4;
}

static bool scales_are_positive(const struct ir_value *v)
{
    const float *s = v->data;

    for (int64_t i = 0; i < ir_count(v); i++)
        if (!(s[i] > 0.0f && s[i] <= FLT_MAX))
            return false;
    return true;
}

/* v as weights whose channels are dim `axis`. */
static bool read_weights(const struct ir_value *v, int axis, struct weights *w,
                         const char **why)
{
    const struct ir_node *n = match_def(v, OP_DequantizeLinear);

    *why = "its weights are not constant 8-bit codes with a scale per output channel";
    if (!n || !n->in[DATA]->data || !is_small(n->in[DATA]->dtype) || !n->in[SCALE]->data
        || !n->in[ZERO]->data || n->in[SCALE]->dtype != DT_f32
        || ir_attr_int(n, "block_size", 0))
        return false;
    const enum dtype t = n->in[DATA]->dtype;

    *w = (struct weights){
        .dequantize = n,
        .channels = v->dim[axis],
        .outer = 1,
        .inner = 1,
        .dtype = t == DT_u8 || t == DT_u4 ? DT_u8 : DT_i8,
        .per_axis = ir_count(n->in[SCALE]) > 1 || ir_count(n->in[ZERO]) > 1,
    };
    if (w->per_axis && ir_attr_int(n, "axis", 0) != axis)
        return false;
    for (int i = 0; i < v->rank; i++)
        *(i < axis ? &w->outer : &w->inner) *= i == axis ? 1 : v->dim[i];
    w->per_channel = w->outer * w->inner;
    if (!scales_are_positive(n->in[SCALE])) {
        *why = "a scale of its weights is not positive";
        return false;
    }
    return true;
}

static int32_t weight_at(const struct weights *w, int64_t channel, int64_t i)
{
    return code_at(w->dequantize->in[DATA],
                   (i / w->inner * w->channels + channel) * w->inner + i % w->inner);
}

/* ---- bias and the size of sums ------------------------------------------------ */

/* The bias of a channel as a real number. */
static bool bias_at(const struct ir_value *b, int64_t channel, double *out)
{
    const struct ir_node *n = match_def(b, OP_DequantizeLinear);

    if (b->data && b->dtype == DT_f32) {
        *out = (double)((const float *)b->data)[entry(b, channel)];
        return true;
    }
    if (!n || !n->in[DATA]->data || n->in[DATA]->dtype != DT_i32 || !n->in[SCALE]->data
        || !n->in[ZERO]->data || n->in[SCALE]->dtype != DT_f32)
        return false;
    const int32_t *q = n->in[DATA]->data, *z = n->in[ZERO]->data;
    const float *s = n->in[SCALE]->data;

    *out = (double)s[entry(n->in[SCALE], channel)]
           * ((double)q[entry(n->in[DATA], channel)]
              - (double)z[entry(n->in[ZERO], channel)]);
    return true;
}

static bool is_per_channel(const struct ir_value *b, int64_t channels)
{
    return ir_count(b) == 1
           || (ir_count(b) == channels && b->dim[b->rank - 1] == channels);
}

/* i32 [channels]: rne(b / (s_x s_w)).  NULL where there is none. */
static bool read_bias(struct compile *c, const struct ir_value *b, const struct grid *x,
                      const struct weights *w, const int32_t **out, const char **why)
{
    int32_t *to;

    *out = NULL;
    if (!b)
        return true;
    *why = "its bias is not constant, or does not fit to its scales";
    if (!is_per_channel(b, w->channels))
        return false;
    to = arena_new_array(c->perm, int32_t, w->channels);
    for (int64_t i = 0; i < w->channels; i++) {
        double real;

        if (!bias_at(b, i, &real))
            return false;
        const double steps =
            nearbyint(real / ((double)x->scale * (double)scale_of(w, i)));

        if (!(fabs(steps) <= (double)INT32_MAX))
            return false;
        to[i] = (int32_t)steps;
    }
    *out = to;
    return true;
}

static bool sums_fit(const struct grid *x, const struct weights *w, const int32_t *bias,
                     const char **why)
{
    const int64_t least = x->dtype == DT_u8 ? 0 : -128;
    const int64_t below = x->zero - least, above = least + 255 - x->zero;
    const int64_t most = below > above ? below : above;

    *why = "its sums could leave 32 bits";
    for (int64_t c = 0; c < w->channels; c++) {
        int64_t sum = bias ? llabs((int64_t)bias[c]) : 0;

        for (int64_t i = 0; i < w->per_channel; i++)
            sum += most * llabs((int64_t)weight_at(w, c, i) - zero_of(w, c));
        if (sum >= INT32_MAX)
            return false;
    }
    return true;
}

static bool multipliers_fit(const struct grid *x, const struct weights *w,
                            const struct grid *y, const char **why)
{
    float m;

    *why = "a quotient of its scales is out of range";
    for (int64_t c = 0; c < w->channels; c++)
        if (!form_multiplier((double)x->scale * (double)scale_of(w, c),
                             (double)y->scale, &m))
            return false;
    return true;
}

/* ---- operands -------------------------------------------------------------------- */

/* Codes in the order [outer][inner][channels] if `last`, else as they are. */
static struct ir_value *weight_codes(struct compile *c, const struct weights *w,
                                     bool last)
{
    const struct ir_value *v = w->dequantize->in[DATA];
    int8_t *to = arena_new_array(c->perm, int8_t, ir_count(v));
    const int64_t dim[] = {w->per_channel, w->channels};

    if (!last) {
        for (int64_t i = 0; i < ir_count(v); i++)
            to[i] = (int8_t)code_at(v, i);
        return ir_const_ref(c, v->name, w->dtype, v->rank, v->dim, to);
    }
    for (int64_t k = 0; k < w->per_channel; k++)
        for (int64_t i = 0; i < w->channels; i++)
            to[k * w->channels + i] = (int8_t)weight_at(w, i, k);
    return ir_const_ref(c, v->name, w->dtype, 2, dim, to);
}

static struct ir_value *weight_scales(struct compile *c, const struct weights *w)
{
    const int64_t n = w->per_axis ? w->channels : 1;
    float *to = arena_new_array(c->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = scale_of(w, i);
    return ir_const_ref(c, w->dequantize->in[SCALE]->name, DT_f32, 1, &n, to);
}

static struct ir_value *weight_zeros(struct compile *c, const struct weights *w)
{
    const int64_t n = w->per_axis ? w->channels : 1;
    int8_t *to = arena_new_array(c->perm, int8_t, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = (int8_t)zero_of(w, i);
    return ir_const_ref(c, w->dequantize->in[ZERO]->name, w->dtype, 1, &n, to);
}

static struct ir_value *bias_const(struct compile *c, const struct ir_value *like,
                                   const struct weights *w, const int32_t *bias)
{
    return bias ? ir_const_ref(c, like->name, DT_i32, 1, &w->channels, bias) : NULL;
}

/* ---- the product --------------------------------------------------------------- */

struct product {
    struct ir_node *n;
    struct ir_node *add;    /* a MatMul's bias; NULL: none follows */
    struct ir_value *codes; /* of x */
    struct grid x;
    struct weights w;
    const int32_t *bias; /* NULL: none */
    struct ir_value *bias_like;
};

static struct ir_value *result_of(const struct product *p)
{
    return p->add ? p->add->out[0] : p->n->out[0];
}

/* All that reads the product has been given something else. */
static void remove_product(const struct product *p)
{
    if (p->add)
        ir_remove(p->add);
    ir_remove(p->n);
}

/* Exporters add the bias of a MatMul behind it: what follows n if that is one. */
static struct ir_node *find_bias(const struct ir_node *n)
{
    struct ir_node *add = n->op == OP_MatMul ? match_only_reader(n->out[0]) : NULL;
    const int64_t channels = n->out[0]->rank ? n->out[0]->dim[n->out[0]->rank - 1] : 1;

    if (!add || add->op != OP_Add || !ir_same_shape(add->out[0], n->out[0]))
        return NULL;
    const struct ir_value *b = add->in[add->in[0] == n->out[0]];

    return match_const_f32(b) && is_per_channel(b, channels) ? add : NULL;
}

static struct status *requantized(const struct product *p,
                                  const struct requantization *r)
{
    struct ir_node *n = p->n;
    struct compile *c = n->graph->compile;
    const bool conv = n->op == OP_Conv;
    const struct ir_node *dx = n->in[X]->def, *q = r->quantize;
    struct ir_value *const in[] = {
        p->codes,
        dx->in[SCALE],
        dx->in[ZERO],
        weight_codes(c, &p->w, !conv),
        weight_scales(c, &p->w),
        weight_zeros(c, &p->w),
        q->in[SCALE],
        q->in[ZERO],
        bias_const(c, p->bias_like, &p->w, p->bias),
        form_limits(c, r),
    };
    const int n_in = in[9] ? 10 : in[8] ? 9 : 8;
    struct ir_node *m = ir_node_create(
        n->graph, n, conv ? OP_QLinearConv : OP_QLinearMatMul, n->name, n_in, 1);

    m->onnx_index = n->onnx_index;
    if (conv)
        permute_copy_attrs(n, m);
    for (int i = 0; i < n_in; i++)
        ir_set_input(m, i, in[i]);
    struct ir_value *y = ir_new_output(m, 0, NULL);

    RETURN_IF_FAIL(ir_infer(m));
    form_replace(r, y);
    remove_product(p);
    return OK;
}

/* Codes of x times codes of w, in integers, then as numbers of `steps`. */
static struct status *dequantized(const struct product *p, double steps)
{
    struct ir_node *n = p->n;
    struct compile *c = n->graph->compile;
    const bool conv = n->op == OP_Conv;
    const int64_t channels = p->w.channels;
    const int64_t bias_dim[IR_MAX_RANK] = {1, channels, 1, 1, 1, 1, 1, 1};
    float *scale = arena_new_array(c->perm, float, channels);
    int32_t *zero = arena_new_array(c->perm, int32_t, channels);
    struct ir_node *m = ir_node_create(
        n->graph, n, conv ? OP_ConvInteger : OP_MatMulInteger, n->name, 4, 1);

    for (int64_t i = 0; i < channels; i++)
        scale[i] = (float)((double)p->x.scale * (double)scale_of(&p->w, i) / steps);
    m->onnx_index = n->onnx_index;
    if (conv)
        permute_copy_attrs(n, m);
    ir_set_input(m, 0, p->codes);
    ir_set_input(m, 1, weight_codes(c, &p->w, !conv));
    ir_set_input(m, 2, n->in[X]->def->in[ZERO]);
    ir_set_input(m, 3, weight_zeros(c, &p->w));
    struct ir_value *v = ir_new_output(m, 0, NULL);

    RETURN_IF_FAIL(ir_infer(m));
    if (p->bias) {
        struct ir_value *in[] = {v, ir_const_ref(c, p->bias_like->name, DT_i32,
                                                 conv ? v->rank : 1,
                                                 conv ? bias_dim : &channels, p->bias)};

        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Add, NULL, 2, in, NULL, &v));
    }
    struct ir_value *in[] = {v, ir_const_ref(c, NULL, DT_f32, 1, &channels, scale),
                             ir_const_ref(c, NULL, DT_i32, 1, &channels, zero)};

    RETURN_IF_FAIL(ir_emit(
        n->graph, n, OP_DequantizeLinear, NULL, 3, in,
        arena_printf(c->perm, "axis=%d block_size=0", conv ? 1 : v->rank - 1), &v));
    ir_replace_uses(n->graph, result_of(p), v);
    remove_product(p);
    return OK;
}

/* ---- activations with more than limits ---------------------------------------- */

struct shaped {
    struct ir_node *act;
    bool in_steps; /* act(k x) = k act(x): it is done in steps of the result */
    float after;   /* else what turns it into those */
    struct requantization r;
};

/* Whether Q(act(v)) follows, with nothing else that reads v or act(v). */
static bool find_shaped(const struct ir_value *v, struct shaped *s)
{
    const char *why;

    s->act = match_only_reader(v);
    if (!s->act)
        return false;
    switch (s->act->op) {
    case OP_PRelu:
        if (s->act->in[0] != v || !match_const_f32(s->act->in[1]))
            return false;
        s->in_steps = true;
        break;
    case OP_LeakyRelu:
        s->in_steps = true;
        break;
    case OP_HardSwish:
    case OP_HardSigmoid:
        s->in_steps = false;
        break;
    default:
        return false;
    }
    return find_requantization(s->act->out[0], &s->r, &why)
           && form_multiplier(1.0, (double)s->r.grid.scale, &s->after);
}

/* The product, act, and codes of its result. */
static struct status *shaped(const struct product *p, struct shaped *s)
{
    struct ir_node *const at = s->r.quantize;
    struct ir_value *v = s->act->out[0], *made;

    RETURN_IF_FAIL(dequantized(p, s->in_steps ? (double)s->r.grid.scale : 1.0));
    if (!s->in_steps) {
        struct ir_value *in[] = {v, ir_const_f32(at->graph->compile, s->after)};

        RETURN_IF_FAIL(ir_emit(at->graph, at, OP_Mul, NULL, 2, in, NULL, &v));
    }
    RETURN_IF_FAIL(form_rounded(at, v, &s->r, &made));
    form_replace(&s->r, made);
    return OK;
}

/* One that does not fit stays behind a MatMul. */
static bool take_bias(struct product *p, const char **why)
{
    struct ir_node *n = p->n;
    struct compile *c = n->graph->compile;

    p->add = find_bias(n);
    p->bias_like = p->add ? p->add->in[p->add->in[0] == n->out[0]] : ir_in(n, B);
    if (read_bias(c, p->bias_like, &p->x, &p->w, &p->bias, why))
        return true;
    if (!p->add)
        return false;
    p->add = NULL;
    p->bias_like = NULL;
    p->bias = NULL;
    return true;
}

/* Two computed operands: one scale each. */
static struct status *form_computed(struct ir_node *n, struct ir_value *const codes[2],
                                    const struct grid grid[2], bool *formed,
                                    const char **why)
{
    const int64_t k = n->in[0]->dim[n->in[0]->rank - 1];
    struct requantization r;
    float m;

    if (!find_requantization(n->out[0], &r, why))
        return OK;
    if (k > INT32_MAX / (256 * 256)
        || !form_multiplier((double)grid[0].scale * (double)grid[1].scale,
                            (double)r.grid.scale, &m)) {
        *why =
            "its sums could leave 32 bits, or a quotient of its scales is out of range";
        return OK;
    }
    struct ir_value *most = form_limits(n->graph->compile, &r);
    struct ir_node *made =
        ir_node_create(n->graph, n, OP_QLinearMatMul, n->name, most ? 10 : 8, 1);

    made->onnx_index = n->onnx_index;
    for (int i = 0; i < 2; i++) {
        ir_set_input(made, 3 * i, codes[i]);
        ir_set_input(made, 3 * i + 1, n->in[i]->def->in[SCALE]);
        ir_set_input(made, 3 * i + 2, n->in[i]->def->in[ZERO]);
    }
    ir_set_input(made, 6, r.quantize->in[SCALE]);
    ir_set_input(made, 7, r.quantize->in[ZERO]);
    if (most)
        ir_set_input(made, 9, most);
    struct ir_value *y = ir_new_output(made, 0, NULL);

    RETURN_IF_FAIL(ir_infer(made));
    form_replace(&r, y);
    ir_remove(n);
    *formed = true;
    return OK;
}

/* The dim of the second operand that counts output channels; -1: n is no product that
 * has a form. */
static int channel_axis(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Conv:
        return 0;
    case OP_Gemm:
        return ir_attr_float(n, "alpha", 1.0f) != 1.0f || ir_attr_int(n, "transA", 0)
                       || (ir_in(n, B) && ir_attr_float(n, "beta", 1.0f) != 1.0f)
                   ? -1
               : ir_attr_int(n, "transB", 0) ? 0
                                             : 1;
    case OP_MatMul:
        return n->in[W]->rank == 2 && n->in[X]->rank >= 2 ? 1 : -1;
    default:
        return -1;
    }
}

struct status *form_product(struct ir_node *n, bool *formed, const char **why)
{
    struct product p = {.n = n};
    struct ir_value *codes[2];
    struct grid grid[2];
    struct requantization r;
    struct shaped s;
    const char *read_as_float = NULL;

    if (n->op != OP_Conv && n->op != OP_Gemm && n->op != OP_MatMul)
        return OK;
    if (!grid_of_reals(n->in[X], &codes[0], &grid[0]) || codes[0]->data) {
        *why = "its input is not quantized, with one constant scale";
        return OK;
    }
    if (n->op == OP_MatMul && grid_of_reals(n->in[W], &codes[1], &grid[1])
        && !codes[1]->data)
        return form_computed(n, codes, grid, formed, why);

    const int axis = channel_axis(n);

    if (axis < 0) {
        *why = "there is no integer form of its attributes";
        return OK;
    }
    p.codes = codes[0];
    p.x = grid[0];
    if (!read_weights(n->in[W], axis, &p.w, why) || !take_bias(&p, why)
        || !sums_fit(&p.x, &p.w, p.bias, why))
        return OK;
    if (find_requantization(result_of(&p), &r, &read_as_float)) {
        if (!multipliers_fit(&p.x, &p.w, &r.grid, why))
            return OK;
        RETURN_IF_FAIL(requantized(&p, &r));
    } else if (find_shaped(result_of(&p), &s)
               && (!s.in_steps || multipliers_fit(&p.x, &p.w, &s.r.grid, why))) {
        RETURN_IF_FAIL(shaped(&p, &s));
    } else {
        RETURN_IF_FAIL(dequantized(&p, 1.0));
    }
    *formed = true;
    return OK;
}
