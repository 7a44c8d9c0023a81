/* SPDX-License-Identifier: Apache-2.0 */
/* Operators with an emitted kernel: recognised, described in numbers, extended by
 * the operators that their epilogue can do.
 *
 * Convolutions and pools are taken in channels-last form (attribute channels_last,
 * set by the layout pass); Gemm and MatMul with constant right operand are 1 x 1
 * convolutions over rows.  A Transpose or Slice in front is read through by strides
 * where that costs nothing.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "codegen/builder.h"

enum { READABLE_AFTER = 64, FEW_CHANNELS = 8 };

/* ---- operands behind Transpose and Slice -------------------------------- */

enum { MAX_HOPS = 4 };

/* A value as it lies in memory: element 0 is `offset` elements into `base`, and
 * stride[i] is of the value's dim i. */
struct strided {
    struct ir_value *base;
    int64_t offset;
    int64_t stride[IR_MAX_RANK];
    int n_hops; /* nodes between, the nearest first */
    struct ir_node *hop[MAX_HOPS];
    bool transposed;
};

static void dense_strides(const struct ir_value *v, int64_t *stride)
{
    int64_t n = 1;

    for (int i = v->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= v->dim[i];
    }
}

/* A node of this graph whose result is computed anyway is better read than redone;
 * with keep_all the kernel reads what it would read without, so that both give the
 * same bytes. */
static bool can_look_behind(struct builder *b, const struct ir_value *v)
{
    const struct ir_node *n = v->def;

    return n && v->n_uses == 1
           && (n->op == OP_Transpose || n->op == OP_Slice) && !n->in[0]->data
           && !n->in[0]->dynamic && build_plan_of(b, n);
}

/* Strides of in[0] of a Transpose or Slice -> strides of its result. */
static void step_through(const struct ir_node *n, struct strided *s)
{
    int count;
    int64_t from[IR_MAX_RANK];
    const int64_t *perm = ir_attr_ints(n, "perm", &count);
    const int64_t *start = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);

    memcpy(from, s->stride, sizeof from);
    for (int i = 0; i < n->out[0]->rank; i++)
        if (n->op == OP_Transpose) {
            s->stride[i] = from[perm[i]];
        } else {
            s->stride[i] = from[i] * step[i];
            s->offset += from[i] * start[i];
        }
    s->transposed |= n->op == OP_Transpose;
}

/* `v` seen through at most max_hops nodes. */
static struct strided look_behind(struct builder *b, struct ir_value *v, int max_hops)
{
    struct strided s = {.base = v};

    while (s.n_hops < max_hops && s.n_hops < MAX_HOPS && can_look_behind(b, s.base)) {
        s.hop[s.n_hops++] = s.base->def;
        s.base = s.base->def->in[0];
    }
    dense_strides(s.base, s.stride);
    for (int i = s.n_hops - 1; i >= 0; i--)
        step_through(s.hop[i], &s);
    return s;
}

/* With keep_all what a kernel looks behind is computed as well. */
static void cover(struct builder *b, const struct strided *s)
{
    for (int i = 0; !b->keep_all && i < s->n_hops; i++)
        build_plan_of(b, s->hop[i])->role = NODE_COVERED;
}

/* ---- convolution and pooling -------------------------------------------- */

static int64_t attr_at(const struct ir_node *n, const char *name, int i,
                       int64_t otherwise)
{
    int count;
    const int64_t *v = ir_attr_ints(n, name, &count);

    return v && i < count ? v[i] : otherwise;
}

/* Window, sizes and dense channels-last strides; a 1-D signal is an image of one row.
 */
static void fill_window(const struct ir_node *n, const int64_t *kernel, struct conv *c)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    const bool flat = x->rank == 3;
    const int last = x->rank - 2; /* index of the x dim */
    const int sx = flat ? 0 : 1;  /* its position in attributes */

    c->n = x->dim[0];
    c->h = flat ? 1 : x->dim[1];
    c->w = x->dim[last];
    c->oh = flat ? 1 : y->dim[1];
    c->ow = y->dim[last];
    c->kh = flat ? 1 : kernel[0];
    c->kw = kernel[sx];
    c->stride_y = flat ? 1 : attr_at(n, "strides", 0, 1);
    c->stride_x = attr_at(n, "strides", sx, 1);
    c->dilation_y = flat ? 1 : attr_at(n, "dilations", 0, 1);
    c->dilation_x = attr_at(n, "dilations", sx, 1);
    c->pad_top = flat ? 0 : attr_at(n, "pads", 0, 0);
    c->pad_left = attr_at(n, "pads", sx, 0);
}

static void fill_strides(struct conv *c, int64_t in_channels, int64_t out_channels)
{
    c->in_c = 1;
    c->in_x = in_channels;
    c->in_y = c->w * c->in_x;
    c->in_n = c->h * c->in_y;
    c->out_x = out_channels;
    c->out_y = c->ow * c->out_x;
    c->out_n = c->oh * c->out_y;
    c->res_x = c->out_x;
    c->res_y = c->out_y;
    c->res_n = c->out_n;
}

static bool is_channels_last(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];

    return ir_attr_int(n, "channels_last", 0) && x->dtype == DT_f32 && !x->dynamic
           && (x->rank == 3 || x->rank == 4) && ir_count(n->out[0]) > 0;
}

static struct hot *new_hot(struct builder *b, enum step_kind kind,
                           const struct ir_node *n)
{
    struct hot *h = arena_new(b->arena, struct hot);

    h->kind = kind;
    h->main = n;
    h->in = n->in[0];
    h->out = n->out[0];
    h->alpha = h->beta = 1.0f;
    h->covers = op_info[n->op].name;
    return h;
}

/* Slices are read where they lie; so is an image of few channels that is still in the
 * model's order.  Vectors of channels must be contiguous. */
static void read_in_place(struct builder *b, struct hot *h)
{
    const int rank = h->in->rank;
    struct conv *c = &h->conv;
    struct strided s = look_behind(b, h->in, MAX_HOPS);
    const bool few = h->kind == STEP_CONV && c->c_in * c->groups <= FEW_CHANNELS;

    while (s.n_hops > 0 && !few && (s.transposed || s.stride[rank - 1] != 1))
        s = look_behind(b, h->in, s.n_hops - 1);
    if (s.n_hops == 0)
        return;
    cover(b, &s);
    h->in = s.base;
    h->in_offset = s.offset * (int64_t)sizeof(float);
    c->in_n = s.stride[0];
    c->in_y = rank == 4 ? s.stride[1] : 0;
    c->in_x = s.stride[rank - 2];
    c->in_c = s.stride[rank - 1];
}

static struct hot *recognise_conv(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *w = n->in[1];

    if (!is_channels_last(n) || !w->data || w->dtype != DT_f32)
        return NULL;
    struct hot *h = new_hot(b, STEP_CONV, n);
    struct conv *c = &h->conv;
    const int64_t groups = ir_attr_int(n, "group", 1);

    fill_window(n, w->dim + 2, c);
    c->groups = groups;
    c->c_in = w->dim[1];
    c->c_out = w->dim[0] / groups;
    fill_strides(c, c->c_in * groups, c->c_out * groups);
    h->weights = n->in[1];
    h->bias = ir_in(n, 2);
    c->has_bias = h->bias != NULL;
    if (groups > 1 && c->c_in == 1 && c->c_out == 1)
        h->kind = STEP_DEPTHWISE;
    read_in_place(b, h);
    return h;
}

static struct hot *recognise_transpose(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *w = n->in[1];

    if (!is_channels_last(n) || !w->data || w->dtype != DT_f32)
        return NULL;
    struct hot *h = new_hot(b, STEP_CONV, n);
    struct conv *c = &h->conv;

    fill_window(n, w->dim + 2, c);
    c->groups = ir_attr_int(n, "group", 1);
    c->c_in = w->dim[0] / c->groups;
    c->c_out = w->dim[1];
    fill_strides(c, c->c_in * c->groups, c->c_out * c->groups);
    if (!hot_transpose_fits(c))
        return NULL;
    h->transposed = true;
    h->weights = n->in[1];
    h->bias = ir_in(n, 2);
    c->has_bias = h->bias != NULL;
    if (c->groups > 1 && c->c_in == 1 && c->c_out == 1)
        h->kind = STEP_DEPTHWISE;
    return h;
}

static struct hot *recognise_pool(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int64_t kernel[2];

    if (!is_channels_last(n) || (n->n_out > 1 && n->out[1]))
        return NULL;
    for (int i = 0; i < x->rank - 2; i++)
        kernel[i] = attr_at(n, "kernel_shape", i, 1);
    struct hot *h = new_hot(b, STEP_POOL, n);

    fill_window(n, kernel, &h->conv);
    h->conv.groups = x->dim[x->rank - 1];
    h->conv.c_in = h->conv.c_out = 1;
    fill_strides(&h->conv, h->conv.groups, h->conv.groups);
    h->pool_max = n->op == OP_MaxPool;
    h->count_pad = ir_attr_int(n, "count_include_pad", 0) != 0;
    read_in_place(b, h);
    return h;
}

/* ---- matrix products ---------------------------------------------------- */

/* rows x [k] times constant [k] x [n], as a 1 x 1 convolution over one row of pixels.
 */
static void fill_rows(struct conv *c, int64_t rows, int64_t k, int64_t n)
{
    *c = (struct conv){
        .n = 1,
        .h = 1,
        .w = rows,
        .oh = 1,
        .ow = rows,
        .groups = 1,
        .c_in = k,
        .c_out = n,
        .kh = 1,
        .kw = 1,
        .stride_y = 1,
        .stride_x = 1,
        .dilation_y = 1,
        .dilation_x = 1,
    };
    fill_strides(c, k, n);
}

static bool is_row_vector(const struct ir_value *v, int64_t n)
{
    return v->dtype == DT_f32 && !v->dynamic && ir_count(v) == n && v->rank > 0
           && v->dim[v->rank - 1] == n;
}

/* Both operands are computed: a product of one batch. */
static struct hot *recognise_gemm_of_activations(struct builder *b,
                                                 const struct ir_node *n, bool trans_a,
                                                 bool trans_b)
{
    const struct ir_value *y = n->out[0];
    struct hot *h = new_hot(b, STEP_MATMUL, n);
    const int64_t m = y->dim[0], cols = y->dim[1];
    const int64_t k = n->in[0]->dim[trans_a ? 0 : 1];

    h->matmul = (struct matmul){.batch = 1,
                                .m = m,
                                .n = cols,
                                .k = k,
                                .a_row = trans_a ? 1 : k,
                                .a_col = trans_a ? m : 1,
                                .b_row = trans_b ? 1 : cols,
                                .b_col = trans_b ? k : 1,
                                .c_row = cols,
                                .c_batch = m * cols,
                                .has_bias = ir_in(n, 2) != NULL,
                                .alpha = ir_attr_float(n, "alpha", 1.0f)};
    h->weights = n->in[1];
    h->bias = ir_in(n, 2);
    h->beta = ir_attr_float(n, "beta", 1.0f);
    return h;
}

static struct hot *recognise_gemm(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *w = n->in[1], *y = n->out[0];
    struct ir_value *bias = ir_in(n, 2);
    const bool trans_a = ir_attr_int(n, "transA", 0),
               trans_b = ir_attr_int(n, "transB", 0);
    const float beta = ir_attr_float(n, "beta", 1.0f);

    if (x->dtype != DT_f32 || x->dynamic || w->dynamic || ir_count(y) == 0
        || ir_count(x) == 0)
        return NULL;
    if (bias && (!is_row_vector(bias, y->dim[1]) || (beta != 1.0f && !bias->data)))
        return NULL;
    if (!w->data)
        return recognise_gemm_of_activations(b, n, trans_a, trans_b);
    struct hot *h = new_hot(b, STEP_CONV, n);

    fill_rows(&h->conv, y->dim[0], x->dim[trans_a ? 0 : 1], y->dim[1]);
    if (trans_a) {
        h->conv.in_x = 1;
        h->conv.in_c = y->dim[0];
    }
    h->conv.has_bias = bias != NULL;
    h->weights = n->in[1];
    h->weights_transposed = !trans_b;
    h->bias = bias;
    h->alpha = ir_attr_float(n, "alpha", 1.0f);
    h->beta = beta;
    return h;
}

/* Strides of the batch dims of an operand, broadcast to `y`'s, as one loop. */
static bool one_batch_stride(const struct ir_value *y, const struct ir_value *v,
                             const int64_t *stride, int64_t *out)
{
    int64_t count = 1;
    bool any = false;

    *out = 0;
    for (int d = y->rank - 3; d >= 0; d--) {
        const int at = d - (y->rank - v->rank);
        const int64_t s = at >= 0 && v->dim[at] > 1 ? stride[at] : 0;

        if (y->dim[d] == 1)
            continue;
        if (!any)
            *out = s;
        else if (s != *out * count)
            return false;
        any = true;
        count *= y->dim[d];
    }
    return true;
}

static struct hot *recognise_batched(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *y = n->out[0];
    struct hot *h = new_hot(b, STEP_MATMUL, n);
    struct matmul *m = &h->matmul;
    const int ra = n->in[0]->rank, rb = n->in[1]->rank;
    struct strided a = look_behind(b, n->in[0], MAX_HOPS);
    struct strided w = look_behind(b, n->in[1], MAX_HOPS);

    if (!one_batch_stride(y, n->in[0], a.stride, &m->a_batch))
        a = look_behind(b, n->in[0], 0);
    if (!one_batch_stride(y, n->in[1], w.stride, &m->b_batch))
        w = look_behind(b, n->in[1], 0);
    if (!one_batch_stride(y, n->in[0], a.stride, &m->a_batch)
        || !one_batch_stride(y, n->in[1], w.stride, &m->b_batch))
        return NULL;
    m->m = y->dim[y->rank - 2];
    m->n = y->dim[y->rank - 1];
    m->k = n->in[0]->dim[ra - 1];
    m->batch = ir_count(y) / (m->m * m->n);
    m->a_row = a.stride[ra - 2];
    m->a_col = a.stride[ra - 1];
    m->b_row = w.stride[rb - 2];
    m->b_col = w.stride[rb - 1];
    m->c_row = m->n;
    m->c_batch = m->m * m->n;
    m->alpha = 1.0f;
    h->in = a.base;
    h->in_offset = a.offset * (int64_t)sizeof(float);
    h->weights = w.base;
    h->weights_offset = w.offset * (int64_t)sizeof(float);
    cover(b, &a);
    cover(b, &w);
    return h;
}

static struct hot *recognise_matmul(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *w = n->in[1];

    if (x->dtype != DT_f32 || x->dynamic || w->dynamic || x->rank < 1 || w->rank < 2
        || ir_count(n->out[0]) == 0 || ir_count(x) == 0)
        return NULL;
    if (w->data && w->rank == 2) {
        struct hot *h = new_hot(b, STEP_CONV, n);
        const int64_t k = w->dim[0];

        fill_rows(&h->conv, ir_count(x) / k, k, w->dim[1]);
        h->weights = n->in[1];
        h->weights_transposed = true;
        return h;
    }
    return x->rank < 2 ? NULL : recognise_batched(b, n);
}

struct hot *hot_recognise(struct builder *b, const struct ir_node *n)
{
    struct hot *h = NULL;

    switch (n->op) {
    case OP_Conv:
        h = recognise_conv(b, n);
        break;
    case OP_ConvTranspose:
        h = recognise_transpose(b, n);
        break;
    case OP_Gemm:
        h = recognise_gemm(b, n);
        break;
    case OP_MatMul:
        h = recognise_matmul(b, n);
        break;
    case OP_MaxPool:
    case OP_AveragePool:
        h = recognise_pool(b, n);
        break;
    default:
        break;
    }
    if (h && h->kind == STEP_CONV && !h->transposed)
        h->tiling = conv_tile(&h->conv, b->isa);
    return h;
}

/* ---- epilogues ---------------------------------------------------------- */

struct act {
    enum activation kind;
    float a, b;
};

static bool constant_limit(const struct ir_value *v, float otherwise, float *out)
{
    double value;

    *out = otherwise;
    if (!v)
        return true;
    if (!ir_const_scalar(v, &value))
        return false;
    *out = (float)value;
    return true;
}

static struct act act_of(const struct ir_node *n)
{
    struct act none = {ACT_NONE, 0.0f, 0.0f}, clip = {ACT_CLIP, 0.0f, 0.0f};

    switch (n->op) {
    case OP_Relu:
        return (struct act){ACT_RELU, 0.0f, 0.0f};
    case OP_LeakyRelu:
        return (struct act){ACT_LEAKY, ir_attr_float(n, "alpha", 0.01f), 0.0f};
    case OP_HardSwish:
        return (struct act){ACT_HARDSWISH, 0.0f, 0.0f};
    case OP_HardSigmoid:
        return (struct act){ACT_HARDSIGMOID, ir_attr_float(n, "alpha", 0.2f),
                            ir_attr_float(n, "beta", 0.5f)};
    case OP_Clip:
        return constant_limit(ir_in(n, 1), -FLT_MAX, &clip.a)
                       && constant_limit(ir_in(n, 2), FLT_MAX, &clip.b)
                   ? clip
                   : none;
    default:
        return none;
    }
}

/* The only reader of v, a node of the same graph; NULL if there are others. */
static struct ir_node *only_reader(const struct ir_value *v)
{
    if (v->n_uses != 1 || !v->def)
        return NULL;
    for (struct ir_node *n = v->def->next; n; n = n->next)
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] == v)
                return n;
    return NULL;
}

struct epilogue {
    bool has_act, has_residual;
};

static bool take_act(struct hot *h, struct epilogue *e, const struct ir_node *n)
{
    const struct act act = act_of(n);

    if (act.kind == ACT_NONE || e->has_act)
        return false;
    if (h->kind == STEP_MATMUL) {
        h->matmul.act = act.kind;
        h->matmul.act_a = act.a;
        h->matmul.act_b = act.b;
    } else {
        h->conv.act = act.kind;
        h->conv.act_a = act.a;
        h->conv.act_b = act.b;
    }
    e->has_act = true;
    return true;
}

/* x + b with b one value per column, before anything else is done to x. */
static bool take_bias(struct hot *h, const struct epilogue *e, struct ir_value *other)
{
    const struct ir_value *y = h->out;
    bool *has_bias = h->kind == STEP_MATMUL ? &h->matmul.has_bias : &h->conv.has_bias;

    if (*has_bias || e->has_act || e->has_residual || other->rank > y->rank
        || !is_row_vector(other, y->dim[y->rank - 1])
        || h->conv.c_out * h->conv.groups + h->matmul.n != y->dim[y->rank - 1])
        return false;
    *has_bias = true;
    h->bias = other;
    h->beta = 1.0f;
    return true;
}

/* act_before(x) + residual.  Only an activation without parameters can come first. */
static bool take_residual(struct hot *h, struct epilogue *e, struct ir_value *other)
{
    struct conv *c = &h->conv;

    if (h->kind == STEP_MATMUL || e->has_residual || !ir_same_shape(other, h->out)
        || other->dtype != DT_f32 || other->dynamic)
        return false;
    if (c->act != ACT_NONE && c->act != ACT_RELU && c->act != ACT_HARDSWISH)
        return false;
    c->act_before = c->act;
    c->act = ACT_NONE;
    c->has_residual = true;
    h->residual = other;
    e->has_residual = true;
    e->has_act = false;
    return true;
}

static bool take_add(struct hot *h, struct epilogue *e, const struct ir_node *n)
{
    if (n->op != OP_Add || n->out[0]->dtype != DT_f32
        || !ir_same_shape(n->out[0], h->out))
        return false;
    struct ir_value *other = n->in[n->in[0] == h->out];

    return take_bias(h, e, other) || take_residual(h, e, other);
}

const struct ir_node *hot_extend(struct builder *b, struct hot *h)
{
    const struct ir_node *last = h->main;
    struct epilogue e = {0};

    for (const struct ir_node *n = only_reader(h->out); n && h->kind != STEP_POOL;
         n = only_reader(h->out)) {
        struct node_plan *plan = build_plan_of(b, n);

        if (!plan || plan->role != NODE_LIBRARY
            || !(take_act(h, &e, n) || take_add(h, &e, n)))
            break;
        plan->role = NODE_COVERED;
        h->out = n->out[0];
        h->covers = arena_printf(b->arena, "%s+%s", h->covers, op_info[n->op].name);
        last = n;
    }
    if (h->kind == STEP_CONV
        && !h->transposed) /* strides of operands count in the choice of tiles */
        h->tiling = conv_tile(&h->conv, b->isa);
    return last;
}

/* ---- weights and steps -------------------------------------------------- */

static const float *ordered_weights(struct builder *b, const struct hot *h)
{
    const float *from = h->weights->data;
    const int64_t n = ir_count(h->weights);
    const int64_t k = h->conv.c_in, cols = h->conv.c_out;

    if (!h->weights_transposed && h->alpha == 1.0f)
        return from;
    float *to = arena_new_array(b->compile->scratch, float, n);

    for (int64_t i = 0; i < n; i++)
        to[h->weights_transposed ? i % cols * k + i / cols : i] = from[i] * h->alpha;
    return to;
}

static int pack_weights(struct builder *b, const struct hot *h)
{
    float *to = arena_new_array(b->arena, float, ir_count(h->weights));
    const float *from = ordered_weights(b, h);

    if (h->kind == STEP_DEPTHWISE)
        depthwise_pack(&h->conv, from, to);
    else
        conv_pack(&h->conv, &h->tiling, from, to);
    return build_const(b, h->weights->name, to, ir_bytes(h->weights), READABLE_AFTER);
}

static int bias_tensor(struct builder *b, const struct hot *h)
{
    if (!h->bias)
        return OPERAND_ABSENT;
    if (h->beta == 1.0f)
        return build_tensor(b, h->bias);
    const float *from = h->bias->data;
    const int64_t n = ir_count(h->bias);
    float *to = arena_new_array(b->arena, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = from[i] * h->beta;
    return build_const(b, h->bias->name, to, ir_bytes(h->bias), 0);
}

static void describe(struct builder *b, struct step *s, const struct hot *h)
{
    const struct conv *c = &h->conv;

    s->covers = h->covers;
    if (h->kind == STEP_MATMUL) {
        s->u.matmul = h->matmul;
        s->n_units = matmul_units(&h->matmul, b->isa);
        s->scratch_bytes = (matmul_scratch_bytes(&h->matmul, b->isa) + 63) / 64 * 64;
        s->flops = 2 * h->matmul.batch * h->matmul.m * h->matmul.n * h->matmul.k;
        return;
    }
    s->u.conv.conv = *c;
    s->u.conv.tiling = h->tiling;
    s->u.conv.pool_max = h->pool_max;
    s->u.conv.count_pad = h->count_pad;
    s->n_units = h->kind == STEP_CONV        ? conv_units(c, &h->tiling)
                 : h->kind == STEP_DEPTHWISE ? depthwise_units(c, b->isa)
                                             : pool_units(c);
    if (h->kind != STEP_POOL)
        s->flops =
            2 * c->n * c->oh * c->ow * c->groups * c->c_out * c->c_in * c->kh * c->kw;
}

void hot_add_step(struct builder *b, const struct hot *h, const struct hot_places *at)
{
    const int in = build_tensor(b, h->in);
    const int bias = bias_tensor(b, h);
    const int residual = h->residual ? build_tensor(b, h->residual) : OPERAND_ABSENT;
    const int out = build_tensor(b, h->out);
    struct step *s = build_step(b, h->kind, h->main);

    build_operand(s, in, h->in_offset + at->in, false);
    build_operand(s, at->weights, h->weights_offset, false);
    build_operand(s, bias, 0, false);
    build_operand(s, residual, residual < 0 ? 0 : at->out, false);
    build_operand(s, out, at->out, true);
    describe(b, s, h);
}

void hot_step(struct builder *b, const struct hot *h)
{
    struct hot_places at = {.weights = OPERAND_ABSENT};

    if (h->transposed) {
        hot_transpose_steps(b, h);
        return;
    }
    if (h->kind == STEP_MATMUL)
        at.weights = build_tensor(b, h->weights);
    else if (h->kind != STEP_POOL)
        at.weights = pack_weights(b, h);
    hot_add_step(b, h, &at);
}
