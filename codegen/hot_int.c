/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions, products and pools of 8-bit codes as emitted kernels (emit_int.h).
 *
 *     QLinearConv, QLinearMatMul       codes, after a fused Add of codes if one follows
 *     ConvInteger, MatMulInteger       sums, or floats if bias and scale follow, or
 *                                      what an activation and rounding make of those
 *     MaxPool, QLinearAveragePool      codes
 *
 * with constant weights, scales and zero points: form_integers writes them so.  They
 * are learned numbers all the same, and lie in the weights file in packed form.
 */
#include "codegen/hot.h"
#include "codegen/int_shape.h"
#include "frontend/match.h"
#include "frontend/op_help.h"
#include "plan/fusion.h"

/* Operands of QLinearConv and QLinearMatMul, of ConvInteger and MatMulInteger, of
 * QLinearAveragePool. */
enum { QX, QX_SCALE, QX_ZERO, QW, QW_SCALE, QW_ZERO, QY_SCALE, QY_ZERO, QB, QLIMITS };
enum { X, W, X_ZERO, W_ZERO };
enum { PX, PX_SCALE, PX_ZERO, PY_SCALE, PY_ZERO, PLIMITS };

static int32_t integer_at(const struct ir_value *v, int64_t i)
{
    switch (v->dtype) {
    case DT_u8:
        return ((const uint8_t *)v->data)[i];
    case DT_i8:
        return ((const int8_t *)v->data)[i];
    default:
        return ((const int32_t *)v->data)[i];
    }
}

static int32_t integer_of(const struct ir_value *v)
{
    return v ? integer_at(v, 0) : 0;
}

static struct int_codes codes_of(enum dtype type, int32_t zero,
                                 const struct ir_value *limits)
{
    const int32_t least = type == DT_i8 ? -128 : 0;

    return (struct int_codes){.zero = zero,
                              .lo = limits ? integer_at(limits, 0) : least,
                              .hi = limits ? integer_at(limits, 1) : least + 255};
}

/* ---- recognising ----------------------------------------------------------------- */

static bool is_requantized(const struct ir_node *n)
{
    return n->op == OP_QLinearConv || n->op == OP_QLinearMatMul;
}

static struct ir_value *weights_of(const struct ir_node *n)
{
    return n->in[is_requantized(n) ? QW : W];
}

static struct ir_value *weight_zeros_of(const struct ir_node *n)
{
    return ir_in(n, is_requantized(n) ? QW_ZERO : W_ZERO);
}

/* Everything but the codes themselves is known. */
static bool has_constants(const struct ir_node *n)
{
    for (int i = 1; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data)
            return false;
    return true;
}

static bool is_constant_product(const struct ir_node *n)
{
    return has_constants(n) && op_is_byte(n->in[0]->dtype)
           && op_is_byte(weights_of(n)->dtype) && !n->in[0]->dynamic
           && ir_count(n->in[0]) && ir_count(n->out[0]);
}

/* Weights and their zero points as int8, [channel][what one sums]: `products` times
 * `channels` of them if they are transposed. */
static void read_weights(struct builder *b, struct hot *h, bool transposed)
{
    const struct ir_value *w = weights_of(h->main), *zeros = weight_zeros_of(h->main);
    const int64_t n = ir_count(w), channels = h->conv.groups * h->conv.c_out;
    const int64_t k = n / channels, bias = w->dtype == DT_u8 ? 128 : 0;
    int8_t *codes = arena_new_array(b->arena, int8_t, n);
    int32_t *zero = arena_new_array(b->arena, int32_t, channels);
    bool small = true;

    for (int64_t i = 0; i < n; i++) {
        const int64_t from = transposed ? i % k * channels + i / k : i;

        codes[i] = (int8_t)(integer_at(w, from) - bias);
        small &= codes[i] >= -8 && codes[i] <= 7;
    }
    for (int64_t c = 0; c < channels; c++) {
        zero[c] = (zeros ? integer_at(zeros, ir_count(zeros) == 1 ? 0 : c) : 0)
                  - (int32_t)bias;
        h->codes.weight_zeros |= zero[c] != 0;
        small &= zero[c] >= -8 && zero[c] <= 7;
    }
    h->learned.weights = codes;
    h->learned.weight_zero = h->codes.weight_zeros ? zero : NULL;
    h->learned.n_weight_zero = channels;
    h->codes.weight_bits = small && h->kind == STEP_INT_CONV ? 4 : 8;
}

/* (float)(s_x s_w / s_y) for every channel. */
static const float *multipliers(struct builder *b, const struct hot *h)
{
    const struct ir_node *n = h->main;
    const int64_t channels = h->conv.groups * h->conv.c_out;
    const float *w = n->in[QW_SCALE]->data;
    const double x = (double)*(const float *)n->in[QX_SCALE]->data;
    const double y = (double)*(const float *)n->in[QY_SCALE]->data;
    const bool many = ir_count(n->in[QW_SCALE]) != 1;
    float *m = arena_new_array(b->arena, float, channels);

    for (int64_t c = 0; c < channels; c++)
        m[c] = (float)(x * (double)w[many ? c : 0] / y);
    return m;
}

static void read_learned(struct builder *b, struct hot *h, bool transposed)
{
    const struct ir_node *n = h->main;
    struct int_learned *l = &h->learned;

    h->codes.in_signed = h->in->dtype == DT_i8;
    read_weights(b, h, transposed);
    if (!is_requantized(n)) {
        h->codes.result = INT_ACC;
        l->in_zero = integer_of(ir_in(n, X_ZERO));
        return;
    }
    h->codes.result = INT_CODES;
    h->codes.out_signed = h->out->dtype == DT_i8;
    l->in_zero = integer_of(n->in[QX_ZERO]);
    l->m = multipliers(b, h);
    l->bias = ir_in(n, QB) ? n->in[QB]->data : NULL;
    l->out = codes_of(h->out->dtype, integer_of(n->in[QY_ZERO]), ir_in(n, QLIMITS));
}

struct hot *hot_recognise_int_conv(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *w = weights_of(n);

    if (!hot_is_channels_last(n) || !is_constant_product(n))
        return NULL;
    struct hot *h = hot_new(b, STEP_INT_CONV, n);

    hot_fill_convolution(n, w, &h->conv);
    if (h->conv.groups > 1 && h->conv.c_in == 1 && h->conv.c_out == 1)
        h->kind = STEP_INT_DEPTHWISE;
    read_learned(b, h, false);
    hot_read_in_place(b, h);
    return h;
}

/* One number each for the left operand. */
static bool has_one_left_grid(const struct ir_node *n)
{
    const bool q = is_requantized(n);

    return (!q || ir_count(n->in[QX_SCALE]) == 1)
           && (!ir_in(n, q ? QX_ZERO : X_ZERO)
               || ir_count(n->in[q ? QX_ZERO : X_ZERO]) == 1);
}

/* One bias for all columns is spelled out. */
static void spread_bias(struct builder *b, struct hot *h)
{
    const struct ir_value *v = ir_in(h->main, QB);

    if (!is_requantized(h->main) || !v || ir_count(v) == h->conv.c_out)
        return;
    int32_t *bias = arena_new_array(b->arena, int32_t, h->conv.c_out);

    for (int64_t c = 0; c < h->conv.c_out; c++)
        bias[c] = integer_at(v, 0);
    h->learned.bias = bias;
}

struct hot *hot_recognise_int_matmul(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *w = weights_of(n);

    if (!is_constant_product(n) || w->rank != 2 || x->rank < 1 || !has_one_left_grid(n))
        return NULL;
    struct hot *h = hot_new(b, STEP_INT_CONV, n);

    hot_fill_rows(&h->conv, ir_count(x) / w->dim[0], w->dim[0], w->dim[1]);
    read_learned(b, h, true);
    spread_bias(b, h);
    return h;
}

/* ---- what follows ------------------------------------------------------------------
 */

/* DequantizeLinear of codes with one constant scale and zero point. */
static bool is_scaled(const struct ir_node *n, float *factor, int32_t *zero)
{
    double s, z = 0.0;

    if (!n || n->op != OP_DequantizeLinear || !op_is_byte(n->in[0]->dtype)
        || n->out[0]->dtype != DT_f32 || ir_attr_int(n, "block_size", 0)
        || !ir_const_scalar(n->in[1], &s)
        || (ir_in(n, 2) && !ir_const_scalar(n->in[2], &z)))
        return false;
    *factor = (float)s;
    *zero = (int32_t)z;
    return true;
}

/* QuantizeLinear with steps of 1: rounds what has been computed in steps of codes. */
static bool is_rounding(const struct ir_node *n)
{
    double s, z;

    return n && n->op == OP_QuantizeLinear && n->in[0]->dtype == DT_f32
           && op_is_byte(n->out[0]->dtype) && ir_const_scalar(n->in[1], &s) && s == 1.0
           && (!ir_in(n, 2) || ir_const_scalar(n->in[2], &z));
}

/* Limits of a Relu or Clip before the rounding, in whole steps. */
static bool take_limits(const struct ir_node *n, struct int_codes *out)
{
    double lo = n->op == OP_Relu ? 0.0 : out->lo - out->zero, hi = out->hi - out->zero;

    if (n->op == OP_Clip
        && ((ir_in(n, 1) && !ir_const_scalar(n->in[1], &lo))
            || (ir_in(n, 2) && !ir_const_scalar(n->in[2], &hi))))
        return false;
    if ((n->op != OP_Relu && n->op != OP_Clip) || lo > hi)
        return false;
    if (lo > out->lo - out->zero) {
        if (lo != (double)(int32_t)lo)
            return false;
        out->lo = out->zero + (int32_t)lo;
    }
    if (hi < out->hi - out->zero) {
        if (hi != (double)(int32_t)hi)
            return false;
        out->hi = out->zero + (int32_t)hi;
    }
    return out->lo <= out->hi;
}

/* A node that is still free to be taken. */
static struct ir_node *free_reader(struct builder *b, const struct ir_value *v)
{
    struct ir_node *n = match_only_reader(v);
    const struct node_plan *plan = n ? build_plan_of(b, n) : NULL;

    return plan && plan->role == NODE_LIBRARY ? n : NULL;
}

static void take(struct builder *b, struct hot *h, const struct ir_node *n)
{
    build_plan_of(b, n)->role = NODE_COVERED;
    h->out = n->out[0];
    h->covers = arena_printf(b->arena, "%s+%s", h->covers, op_info[n->op].name);
}

/* Q(act(DQ(result) + DQ(other))): the sum of codes of the same shape. */
static const struct ir_node *take_sum(struct builder *b, struct hot *h)
{
    struct ir_node *mine = free_reader(b, h->out), *sum, *act, *round;
    struct int_learned *l = &h->learned;
    float factor, other_factor;
    int32_t zero, other_zero;

    if (!is_scaled(mine, &factor, &zero) || zero != l->out.zero
        || !(sum = free_reader(b, mine->out[0])) || sum->op != OP_Add
        || sum->in[0] == sum->in[1])
        return NULL;
    struct ir_node *other = sum->in[sum->in[0] == mine->out[0]]->def;

    if (!is_scaled(other, &other_factor, &other_zero) || other->in[0]->data
        || other->in[0]->dynamic || !ir_same_shape(other->in[0], h->out))
        return NULL;
    act = free_reader(b, sum->out[0]);
    round = act && act->op != OP_QuantizeLinear ? free_reader(b, act->out[0]) : act;
    if (!is_rounding(round))
        return NULL;
    struct int_codes out =
        codes_of(round->out[0]->dtype, integer_of(ir_in(round, 2)), NULL);

    if (act != round && !take_limits(act, &out))
        return NULL;
    h->conv.has_residual = true;
    h->residual = other->in[0];
    h->codes.residual_signed = h->residual->dtype == DT_i8;
    h->codes.out_signed = round->out[0]->dtype == DT_i8;
    l->mid = l->out;
    l->mid_factor = factor;
    l->residual_factor = other_factor;
    l->residual_zero = other_zero;
    l->out = out;
    take(b, h, mine);
    if (match_only_reader(other->out[0]) == sum && build_plan_of(b, other))
        build_plan_of(b, other)->role = NODE_COVERED;
    take(b, h, sum);
    if (act != round)
        take(b, h, act);
    take(b, h, round);
    return round;
}

/* One int32 a channel. */
static bool is_channel_bias(const struct ir_value *v, const struct ir_value *y)
{
    const int64_t channels = y->dim[y->rank - 1];

    return v->data && v->dtype == DT_i32 && ir_count(v) == channels && v->rank > 0
           && v->dim[v->rank - 1] == channels && v->rank <= y->rank;
}

/* Scales of the channels and zero points that are zero. */
static bool is_channel_scale(const struct ir_node *n, int64_t channels)
{
    const struct ir_value *s = n->in[1], *z = ir_in(n, 2);
    const int64_t axis = ir_attr_int(n, "axis", 1);
    const int rank = n->in[0]->rank;

    if (n->op != OP_DequantizeLinear || n->out[0]->dtype != DT_f32 || !s->data
        || s->dtype != DT_f32 || ir_attr_int(n, "block_size", 0) || (z && !z->data))
        return false;
    for (int64_t i = 0; z && i < ir_count(z); i++)
        if (integer_at(z, i))
            return false;
    return ir_count(s) == 1
           || (ir_count(s) == channels && (axis < 0 ? axis + rank : axis) == rank - 1);
}

/* (float)(acc + bias) s. */
static const struct ir_node *take_scale(struct builder *b, struct hot *h)
{
    const int64_t channels = h->conv.groups * h->conv.c_out;
    struct ir_node *n = free_reader(b, h->out), *add = NULL;
    const struct ir_value *bias = NULL;

    if (n && n->op == OP_Add) {
        add = n;
        bias = n->in[n->in[0] == h->out];
        if (!is_channel_bias(bias, h->out))
            return NULL;
        n = free_reader(b, n->out[0]);
    }
    if (!n || !is_channel_scale(n, channels))
        return NULL;
    float *m = arena_new_array(b->arena, float, channels);
    const float *s = n->in[1]->data;

    for (int64_t c = 0; c < channels; c++)
        m[c] = s[ir_count(n->in[1]) == 1 ? 0 : c];
    h->codes.result = INT_FLOAT;
    h->learned.m = m;
    if (add) {
        h->learned.bias = bias->data;
        take(b, h, add);
    }
    take(b, h, n);
    return n;
}

/* Codes after `n`, [times a number, limits and] rounding; NULL if that is not what
 * follows. */
static const struct ir_node *take_rounding(struct builder *b, struct hot *h)
{
    struct ir_node *n = free_reader(b, h->out), *mul = NULL, *act = NULL;
    double after;

    if (n && n->op == OP_Mul && ir_const_scalar(n->in[n->in[0] == h->out], &after)) {
        mul = n;
        h->learned.after = (float)after;
        n = free_reader(b, n->out[0]);
    }
    if (n && n->op != OP_QuantizeLinear) {
        act = n;
        n = free_reader(b, n->out[0]);
    }
    if (!is_rounding(n))
        return NULL;
    struct int_codes out = codes_of(n->out[0]->dtype, integer_of(ir_in(n, 2)), NULL);

    if (act && !take_limits(act, &out))
        return NULL;
    h->codes.result = INT_CODES;
    h->codes.has_after = mul != NULL;
    h->codes.out_signed = n->out[0]->dtype == DT_i8;
    h->learned.out = out;
    if (mul)
        take(b, h, mul);
    if (act)
        take(b, h, act);
    take(b, h, n);
    return n;
}

/* A constant slope for each channel, or one for all. */
static bool take_slopes(struct builder *b, struct hot *h, const struct ir_node *n)
{
    const int64_t channels = h->conv.groups * h->conv.c_out;
    const struct ir_value *v = n->op == OP_PRelu ? n->in[1] : NULL;

    if (!v || !match_const_f32(v)
        || !(ir_count(v) == 1 || hot_is_row_vector(v, channels)))
        return false;
    const float *from = v->data;
    float *slope = arena_new_array(b->arena, float, channels);

    for (int64_t c = 0; c < channels; c++)
        slope[c] = from[ir_count(v) == 1 ? 0 : c];
    h->conv.act = ACT_LEAKY;
    h->codes.has_slopes = true;
    h->learned.slope = slope;
    return true;
}

static bool take_act(struct builder *b, struct hot *h, const struct ir_node *n)
{
    const struct act act = hot_act_of(n);

    if (act.kind == ACT_NONE)
        return take_slopes(b, h, n);
    h->conv.act = act.kind;
    h->conv.act_a = act.a;
    h->conv.act_b = act.b;
    return true;
}

/* act(floats), and codes if it is rounded to some. */
static const struct ir_node *take_activation(struct builder *b, struct hot *h)
{
    const struct ir_node *n = free_reader(b, h->out), *round;

    if (!n || !take_act(b, h, n))
        return NULL;
    take(b, h, n);
    round = take_rounding(b, h);
    return round ? round : n;
}

static struct int_conv hot_int_conv(const struct builder *b, const struct hot *h)
{
    const int32_t zero = h->learned.in_zero;
    struct int_conv c = h->codes;

    c.shape = h->conv;
    if (c.weight_bits == 4 && !int_conv_fits_4_bits(&c))
        c.weight_bits = 8;
    c.even_bias = (h->kind == STEP_INT_CONV ? int_conv_zero(&c, b->isa, zero)
                                            : int_depthwise_zero(&c, b->isa, zero))
                  == 0;
    return c;
}

const struct ir_node *hot_extend_int(struct builder *b, struct hot *h)
{
    const enum plan_pattern may = fusion_of(b->plan, h->main);
    const struct ir_node *last = h->main, *next;

    if (h->codes.result == INT_ACC && (next = take_scale(b, h)))
        last = next;
    if (h->codes.result == INT_FLOAT && fusion_takes_activation(may)
        && (next = take_activation(b, h)))
        last = next;
    if (h->codes.result == INT_CODES && fusion_takes_sum(may)
        && (next = take_sum(b, h)))
        last = next;
    return last;
}

/* ---- steps -------------------------------------------------------------------------
 */

/* The packed operands as constants: weights first, then the epilogue. */
static void pack(struct builder *b, const struct hot *h, const struct int_conv *c,
                 const struct int_tiling *t, int packed[2])
{
    const bool each = h->kind == STEP_INT_DEPTHWISE;
    const int64_t bytes[2] = {
        each ? int_depthwise_weight_bytes(c, b->isa) : int_conv_weight_bytes(c, t),
        each ? int_depthwise_epilogue_bytes(c, b->isa) : int_conv_epilogue_bytes(c, t),
    };
    uint8_t *weights = arena_alloc(b->arena, (size_t)bytes[0]);
    uint8_t *epilogue = arena_alloc(b->arena, (size_t)bytes[1]);

    if (each)
        int_depthwise_pack(c, b->isa, &h->learned, weights, epilogue);
    else
        int_conv_pack(c, t, &h->learned, weights, epilogue);
    packed[0] = build_const(b, weights_of(h->main)->name, weights, bytes[0], 0);
    packed[1] = build_const(b, arena_printf(b->arena, "%s.epilogue", h->main->name),
                            epilogue, bytes[1], 0);
}

void hot_int_step(struct builder *b, const struct hot *h)
{
    const struct int_conv c = hot_int_conv(b, h);
    const struct int_tiling t =
        h->kind == STEP_INT_CONV ? int_tile(&c, b->isa) : (struct int_tiling){0};
    const int in = build_tensor(b, h->in);
    const int residual = h->residual ? build_tensor(b, h->residual) : OPERAND_ABSENT;
    const int out = build_tensor(b, h->out);
    int packed[2];

    pack(b, h, &c, &t, packed);
    struct step *s = build_step(b, h->kind, h->main);

    build_operand(s, in, h->in_offset, false);
    build_operand(s, packed[0], 0, false);
    build_operand(s, packed[1], 0, false);
    build_operand(s, residual, 0, false);
    build_operand(s, out, 0, true);
    s->covers = h->covers;
    s->u.int_conv.conv = c;
    s->u.int_conv.tiling = t;
    s->n_units = h->kind == STEP_INT_CONV ? int_conv_units(&c, &t)
                                          : int_depthwise_units(&c, b->isa);
    s->flops = hot_flops(&h->conv);
}

/* ---- pools ------------------------------------------------------------------- */

bool hot_is_int_pool(const struct ir_node *n)
{
    return op_is_byte(n->in[PX]->dtype)
           && (n->op == OP_MaxPool
               || (n->op == OP_QLinearAveragePool && has_constants(n)));
}

static struct int_pool int_pool_of(const struct hot *h)
{
    int count;
    const int64_t *pads = ir_attr_ints(h->main, "pads", &count);
    const bool flat = h->in->rank == 3;

    return (struct int_pool){.shape = h->conv,
                             .max = h->pool_max,
                             .in_signed = h->in->dtype == DT_i8,
                             .out_signed = h->out->dtype == DT_i8,
                             .count_pad = h->count_pad,
                             .pad_bottom = count && !flat ? pads[2] : 0,
                             .pad_right = count ? pads[flat ? 1 : 3] : 0};
}

static int pool_epilogue(struct builder *b, const struct hot *h,
                         const struct int_pool *c)
{
    const struct ir_node *n = h->main;
    const int64_t bytes = int_pool_epilogue_bytes(c);

    if (!bytes)
        return OPERAND_ABSENT;
    const struct int_codes out =
        codes_of(h->out->dtype, integer_of(n->in[PY_ZERO]), ir_in(n, PLIMITS));
    uint8_t *epilogue = arena_alloc(b->arena, (size_t)bytes);

    int_pool_pack(c, (double)*(const float *)n->in[PX_SCALE]->data,
                  integer_of(n->in[PX_ZERO]),
                  (double)*(const float *)n->in[PY_SCALE]->data, &out, epilogue);
    return build_const(b, arena_printf(b->arena, "%s.epilogue", n->name), epilogue,
                       bytes, 0);
}

void hot_int_pool_step(struct builder *b, const struct hot *h)
{
    const struct int_pool c = int_pool_of(h);
    const int in = build_tensor(b, h->in), epilogue = pool_epilogue(b, h, &c);
    const int out = build_tensor(b, h->out);
    struct step *s = build_step(b, STEP_INT_POOL, h->main);

    build_operand(s, in, h->in_offset, false);
    build_operand(s, OPERAND_ABSENT, 0, false);
    build_operand(s, epilogue, 0, false);
    build_operand(s, OPERAND_ABSENT, 0, false);
    build_operand(s, out, 0, true);
    s->covers = h->covers;
    s->u.int_pool = c;
    s->n_units = int_pool_units(&c, b->isa);
}
