/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* Networks of 8-bit codes: what is emitted, fused, written in place and laid out with
 * channels last gives the interpreter's bytes. */
#include "tests/program_test.h"

#include <stdlib.h>

#include "frontend/interpret.h"
#include "frontend/pass.h"

enum { MAX_TENSORS = 24 };

static const enum dtype bytes[] = {DT_u8, DT_i8};

struct network {
    struct compile *c;
    struct ir_graph *g;
    int n;
    struct ir_value *v[MAX_TENSORS]; /* codes, [N, C, H, W] */
};

static int below(int n)
{
    return (int)(draw() % (uint32_t)n);
}

static struct ir_value *codes(struct network *w, enum dtype type, int rank,
                              const int64_t *dim, bool small)
{
    const int64_t n = ir_count(
        &(struct ir_value){.rank = rank,
                           .dim = {dim[0], rank > 1 ? dim[1] : 1, rank > 2 ? dim[2] : 1,
                                   rank > 3 ? dim[3] : 1}});
    int8_t *data = arena_new_array(w->c->perm, int8_t, n);

    for (int64_t i = 0; i < n; i++)
        data[i] = (int8_t)(small ? below(16) - 8 : below(256) - 128);
    return ir_const_ref(w->c, NULL, type, rank, dim, data);
}

static struct ir_value *zero_point(struct network *w, enum dtype type)
{
    const uint8_t zero = (uint8_t)(type == DT_u8 ? 100 + below(50) : below(40) - 20);

    return ir_const(w->c, NULL, type, 0, NULL, &zero);
}

static struct ir_value *scale(struct network *w, int64_t n, double about)
{
    float *data = arena_new_array(w->c->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(about * (0.5 + (double)below(1000) / 1000.0));
    return ir_const_ref(w->c, NULL, DT_f32, n > 1, &n, data);
}

static struct ir_value *integers(struct network *w, int rank, const int64_t *dim,
                                 int64_t n, int within)
{
    int32_t *data = arena_new_array(w->c->perm, int32_t, n);

    for (int64_t i = 0; i < n; i++)
        data[i] = below(2 * within) - within;
    return ir_const_ref(w->c, NULL, DT_i32, rank, dim, data);
}

static void keep(struct network *w, struct ir_value *v)
{
    if (w->n < MAX_TENSORS && ir_count(v) && ir_count(v) < 20000)
        w->v[w->n++] = v;
}

/* Padding that leaves the size, or some. */
static const char *window_text(struct network *w, int k, int stride, int group)
{
    const int pad = below(2) ? k / 2 : below(k);

    return arena_printf(w->c->perm,
                        "kernel_shape=[%d,%d] strides=[%d,%d] dilations=[1,1] "
                        "pads=[%d,%d,%d,%d] group=%d",
                        k, k, stride, stride, pad, k / 2, k / 2, pad, group);
}

static struct ir_value *convolved(struct network *w, struct ir_value *x, int64_t c_out,
                                  int k, int stride, int group, bool sums)
{
    const int64_t dim[] = {c_out, x->dim[1] / group, k, k};
    const int64_t channels = below(2) ? c_out : 1;
    const enum dtype type = bytes[below(2)], result = bytes[below(2)];
    const bool small = below(4) == 0;
    struct ir_value *weights = codes(w, type, 4, dim, small && type == DT_i8);
    struct ir_value *zeros =
        below(2) && type == DT_i8
            ? ir_const_ref(w->c, NULL, type, channels > 1, &channels,
                           arena_new_array(w->c->perm, int8_t, channels))
            : codes(w, type, channels > 1, &channels, small);
    const char *attrs = window_text(w, k, stride, group);
    struct ir_value *y;

    if (sums) {
        struct ir_value *in[] = {x, weights, zero_point(w, x->dtype), zeros};

        CHECK_OK(ir_emit(w->g, NULL, OP_ConvInteger, NULL, 4, in, attrs, &y));
        return y;
    }
    const double about =
        1.5 / (sqrt((double)(dim[1] * k * k)) * (small && type == DT_i8 ? 5.0 : 70.0));
    const int64_t two = 2;
    int32_t *limits = arena_new_array(w->c->perm, int32_t, 2);

    limits[0] = result == DT_u8 ? 128 : 0;
    limits[1] = result == DT_u8 ? 250 : 120;
    struct ir_value *in[] = {x,
                             scale(w, 1, 1.0),
                             zero_point(w, x->dtype),
                             weights,
                             scale(w, channels, about),
                             zeros,
                             scale(w, 1, 1.0),
                             zero_point(w, result),
                             below(2) ? integers(w, 1, &c_out, c_out, 5000) : NULL,
                             ir_const_ref(w->c, NULL, DT_i32, 1, &two, limits)};

    CHECK_OK(
        ir_emit(w->g, NULL, OP_QLinearConv, NULL, below(3) ? 9 : 10, in, attrs, &y));
    return y;
}

static struct ir_value *scaled(struct network *w, struct ir_value *x)
{
    struct ir_value *in[] = {x, scale(w, 1, 0.7), zero_point(w, x->dtype)}, *y;

    if (x->def && x->def->op == OP_QLinearConv && below(4))
        in[2] = x->def->in[7]; /* as form_integers has it */
    CHECK_OK(ir_emit(w->g, NULL, OP_DequantizeLinear, NULL, 3, in,
                     "axis=0 block_size=0", &y));
    return y;
}

/* Q(act(DQ(a) + DQ(b))), both operands of one shape. */
static void grow_sum(struct network *w, struct ir_value *a, struct ir_value *b)
{
    const enum dtype type = bytes[below(2)];
    struct ir_value *in[3] = {scaled(w, a), scaled(w, b)}, *y;

    if (below(2)) {
        struct ir_value *swap = in[0];

        in[0] = in[1];
        in[1] = swap;
    }
    CHECK_OK(ir_emit(w->g, NULL, OP_Add, NULL, 2, in, NULL, &y));
    if (below(2))
        CHECK_OK(ir_emit(w->g, NULL, OP_Relu, NULL, 1, &y, NULL, &y));
    struct ir_value *q[] = {y, ir_const_f32(w->c, 1.0f), zero_point(w, type)};

    CHECK_OK(
        ir_emit(w->g, NULL, OP_QuantizeLinear, NULL, 3, q, "axis=0 block_size=0", &y));
    keep(w, y);
}

static void grow_convolution(struct network *w)
{
    static const int kernels[] = {1, 1, 3, 3, 5};
    struct ir_value *x = w->v[below(w->n)];
    const int k = kernels[below(5)];
    const bool each = below(4) == 0;
    const int64_t channels = x->dim[1];
    const int group = each ? (int)channels : channels % 2 == 0 && below(4) == 0 ? 2 : 1;
    const int64_t c_out = each ? channels : group * (1 + below(40));
    const int stride = 1 + (below(3) == 0);

    if (x->dim[2] < k || x->dim[3] < k)
        return;
    struct ir_value *y = convolved(w, x, c_out, k, stride, group, false);

    if (below(2))
        for (int i = 0; i < w->n; i++)
            if (ir_same_shape(w->v[i], y) && below(2)) {
                grow_sum(w, y, w->v[i]);
                return;
            }
    keep(w, y);
}

/* Over windows, or all of the image. */
static struct ir_value *averaged(struct network *w, struct ir_value *x)
{
    const int64_t two = 2;
    const enum dtype result = bytes[below(2)];
    int32_t *limits = arena_new_array(w->c->perm, int32_t, 2);
    const char *window = below(3) ? "kernel_shape=[3,2] strides=[2,1] pads=[1,0,1,1]"
                                  : arena_printf(w->c->perm,
                                                 "kernel_shape=[%d,%d] strides=[1,1] "
                                                 "pads=[0,0,0,0]",
                                                 (int)x->dim[2], (int)x->dim[3]);
    struct ir_value *y;

    limits[0] = result == DT_u8 ? 90 : -20;
    limits[1] = result == DT_u8 ? 250 : 120;
    struct ir_value *in[] = {x,
                             scale(w, 1, 1.0),
                             zero_point(w, x->dtype),
                             scale(w, 1, 0.8),
                             zero_point(w, result),
                             ir_const_ref(w->c, NULL, DT_i32, 1, &two, limits)};

    CHECK_OK(ir_emit(w->g, NULL, OP_QLinearAveragePool, NULL, 5 + below(2), in,
                     arena_printf(w->c->perm, "%s dilations=[1,1] count_include_pad=%d",
                                  window, below(2)),
                     &y));
    return y;
}

static void grow_pool(struct network *w)
{
    struct ir_value *x = w->v[below(w->n)], *y;

    if (x->dim[2] < 3 || x->dim[3] < 3)
        return;
    if (below(2)) {
        keep(w, averaged(w, x));
        return;
    }
    CHECK_OK(ir_emit(w->g, NULL, OP_MaxPool, NULL, 1, &x,
                     "kernel_shape=[3,3] strides=[2,2] dilations=[1,1] pads=[1,1,1,1]",
                     &y));
    keep(w, y);
}

/* Q(f(DQ(x))) for some function of a code. */
static void grow_function(struct network *w)
{
    static const enum ir_op ops[] = {OP_Sigmoid, OP_HardSwish, OP_Tanh, OP_Relu,
                                     OP_Exp,     OP_LeakyRelu, OP_Clip, OP_Identity};
    const enum ir_op op = ops[below(8)];
    struct ir_value *y = scaled(w, w->v[below(w->n)]);
    struct ir_value *in[] = {y, ir_const_f32(w->c, -20.0f), ir_const_f32(w->c, 70.0f)};

    if (op != OP_Identity)
        CHECK_OK(ir_emit(w->g, NULL, op, NULL, op == OP_Clip ? 3 : 1, in,
                         op == OP_LeakyRelu ? "alpha=0.1" : NULL, &y));
    struct ir_value *q[] = {y, ir_const_f32(w->c, below(3) ? 1.0f : 0.3f),
                            zero_point(w, bytes[below(2)])};

    CHECK_OK(
        ir_emit(w->g, NULL, OP_QuantizeLinear, NULL, 3, q, "axis=0 block_size=0", &y));
    keep(w, y);
}

/* One code a channel, or one of all. */
static struct ir_value *repeated(struct network *w, const struct ir_value *like)
{
    const int64_t dim[] = {1, below(2) ? like->dim[1] : 1, 1, 1};

    return codes(w, bytes[below(2)], 4, dim, false);
}

/* Of the same shape, or one code a channel. */
static bool fits_elements(const struct ir_value *v, const struct ir_value *of)
{
    return ir_same_shape(v, of)
           || (v->dim[0] == of->dim[0] && v->dim[1] == of->dim[1] && v->dim[2] == 1
               && v->dim[3] == 1);
}

/* Q(DQ(a) op DQ(b)), as form_integers writes it; b may be repeated. */
static void grow_binary(struct network *w)
{
    static const enum ir_op ops[] = {OP_Add, OP_Sub, OP_Mul};
    const enum ir_op op = ops[below(3)];
    struct ir_value *a = w->v[below(w->n)], *b = below(3) ? a : repeated(w, a), *y;

    for (int i = w->n - 1; i >= 0 && b == a; i--)
        if (fits_elements(w->v[i], a) && below(2))
            b = w->v[i];
    struct ir_value *of[] = {a, b}, *in[2];

    for (int i = 0; i < 2; i++) {
        struct ir_value *dq[] = {
            of[i], op == OP_Mul ? ir_const_f32(w->c, 1.0f) : scale(w, 1, 0.7),
            zero_point(w, of[i]->dtype)};

        CHECK_OK(ir_emit(w->g, NULL, OP_DequantizeLinear, NULL, 3, dq,
                         "axis=0 block_size=0", &in[i]));
    }
    if (below(2)) {
        struct ir_value *first = in[0];

        in[0] = in[1];
        in[1] = first;
    }
    CHECK_OK(ir_emit(w->g, NULL, op, NULL, 2, in, NULL, &y));
    struct ir_value *m[] = {y, scale(w, 1, 0.02)};

    if (op == OP_Mul)
        CHECK_OK(ir_emit(w->g, NULL, OP_Mul, NULL, 2, m, NULL, &y));
    struct ir_value *clip[] = {y, ir_const_f32(w->c, -30.0f),
                               ir_const_f32(w->c, 60.0f)};

    if (below(3) == 0)
        CHECK_OK(ir_emit(w->g, NULL, OP_Clip, NULL, 3, clip, NULL, &y));
    struct ir_value *q[] = {y, ir_const_f32(w->c, 1.0f),
                            zero_point(w, bytes[below(2)])};

    CHECK_OK(
        ir_emit(w->g, NULL, OP_QuantizeLinear, NULL, 3, q, "axis=0 block_size=0", &y));
    keep(w, y);
}

/* Softmax along channels or columns; rows of a whole image normalized. */
static void grow_rows(struct network *w)
{
    struct ir_value *x = w->v[below(w->n)], *y;
    const enum dtype type = bytes[below(2)];
    const int64_t n = ir_count(x) / x->dim[0], entries = 256;

    if (below(2)) {
        uint32_t *table = arena_new_array(w->c->perm, uint32_t, entries);

        for (int d = 0; d < entries; d++)
            table[d] = (uint32_t)(0x1000000 / (1 + d * d));
        struct ir_value *in[] = {x,
                                 ir_const_ref(w->c, NULL, DT_u32, 1, &entries, table),
                                 scale(w, 1, 0.002), zero_point(w, type)};

        CHECK_OK(ir_emit(w->g, NULL, OP_QLinearSoftmax, NULL, 4, in,
                         below(2) ? "axis=1" : "axis=3", &y));
    } else {
        struct ir_value *in[] = {x,
                                 scale(w, 1, 0.1),
                                 zero_point(w, x->dtype),
                                 scale(w, n, 30.0),
                                 below(2) ? scale(w, n, 5.0) : NULL,
                                 zero_point(w, type)};

        CHECK_OK(ir_emit(w->g, NULL,
                         below(2) ? OP_QLinearLayerNormalization
                                  : OP_QLinearRMSNormalization,
                         NULL, 6, in, "axis=1 epsilon=0.001", &y));
    }
    keep(w, y);
}

/* Two convolutions of one input side by side. */
static void grow_concat(struct network *w)
{
    struct ir_value *x = w->v[below(w->n)], *in[2], *y;

    for (int i = 0; i < 2; i++) {
        in[i] = convolved(w, x, 1 + below(20), 1, 1, 1, false);
        if (i && in[1]->dtype != in[0]->dtype) {
            keep(w, in[1]);
            return;
        }
    }
    CHECK_OK(ir_emit(w->g, NULL, OP_Concat, NULL, 2, in, "axis=1", &y));
    keep(w, y);
}

/* Floats from sums, with bias and a scale for every channel. */
static struct ir_value *floats_of(struct network *w, struct ir_value *x, int group)
{
    const int64_t channels = group > 1 ? group : 1 + below(20);
    const int64_t bias[] = {1, channels, 1, 1};
    struct ir_value *y = convolved(w, x, channels, 1, 1, group, true);
    struct ir_value *in[] = {y, integers(w, 4, bias, channels, 3000), NULL};

    if (below(2))
        CHECK_OK(ir_emit(w->g, NULL, OP_Add, NULL, 2, in, NULL, &y));
    in[0] = y;
    in[1] = scale(w, channels, 0.01);
    in[2] = ir_const_ref(w->c, NULL, DT_i32, channels > 1, &channels,
                         arena_new_array(w->c->perm, int32_t, channels));
    CHECK_OK(ir_emit(w->g, NULL, OP_DequantizeLinear, NULL, 3, in,
                     "axis=1 block_size=0", &y));
    return y;
}

/* One for each channel, or for all. */
static struct ir_value *slopes(struct network *w, const struct ir_value *of)
{
    const int64_t dim[] = {below(3) ? of->dim[1] : 1, 1, 1};
    float *data = arena_new_array(w->c->perm, float, dim[0]);

    for (int64_t i = 0; i < dim[0]; i++)
        data[i] = (float)(below(100) - 30) / 100;
    return ir_const_ref(w->c, NULL, DT_f32, 3, dim, data);
}

/* Q(act(floats) [k]), as form_integers writes it, and perhaps a sum of its codes. */
static void grow_shaped(struct network *w)
{
    static const enum ir_op ops[] = {OP_LeakyRelu, OP_HardSwish, OP_HardSigmoid,
                                     OP_Relu, OP_PRelu};
    struct ir_value *x = w->v[below(w->n)];
    const enum ir_op op = ops[below(5)];
    struct ir_value *y = floats_of(w, x, below(4) ? 1 : (int)x->dim[1]);
    struct ir_value *in[] = {y, op == OP_PRelu ? slopes(w, y) : NULL};

    CHECK_OK(ir_emit(w->g, NULL, op, NULL, 1 + (op == OP_PRelu), in,
                     op == OP_LeakyRelu     ? "alpha=0.1"
                     : op == OP_HardSigmoid ? "alpha=0.2 beta=0.5"
                                            : NULL,
                     &y));
    struct ir_value *k[] = {y, scale(w, 1, 3.0)};

    if (below(2))
        CHECK_OK(ir_emit(w->g, NULL, OP_Mul, NULL, 2, k, NULL, &y));
    struct ir_value *clip[] = {y, ir_const_f32(w->c, -5.0f), ir_const_f32(w->c, 60.0f)};

    if (below(4) == 0)
        CHECK_OK(ir_emit(w->g, NULL, OP_Clip, NULL, 3, clip, NULL, &y));
    struct ir_value *q[] = {y, ir_const_f32(w->c, below(8) ? 1.0f : 0.3f),
                            zero_point(w, bytes[below(2)])};

    CHECK_OK(
        ir_emit(w->g, NULL, OP_QuantizeLinear, NULL, 3, q, "axis=0 block_size=0", &y));
    if (ir_same_shape(x, y) && below(2))
        grow_sum(w, y, x);
    else
        keep(w, y);
}

/* A classifier: codes in rows times constant columns. */
static struct ir_value *classified(struct network *w, struct ir_value *x)
{
    const int64_t k = ir_count(x) / x->dim[0], n = 1 + below(30), dim[] = {k, n};
    struct ir_value *rows, *y;

    CHECK_OK(ir_emit(w->g, NULL, OP_Reshape, NULL, 1, &x,
                     arena_printf(w->c->perm, "shape=[%lld,%lld]", (long long)x->dim[0],
                                  (long long)k),
                     &rows));
    struct ir_value *in[] = {rows,
                             scale(w, 1, 1.0),
                             zero_point(w, x->dtype),
                             codes(w, DT_i8, 2, dim, below(2)),
                             scale(w, n, 0.02 / sqrt((double)k)),
                             ir_const_ref(w->c, NULL, DT_i8, n > 1, &n,
                                          arena_new_array(w->c->perm, int8_t, n)),
                             scale(w, 1, 1.0),
                             zero_point(w, DT_u8),
                             integers(w, 1, &n, n, 3000)};

    CHECK_OK(ir_emit(w->g, NULL, OP_QLinearMatMul, NULL, 8 + below(2), in, NULL, &y));
    return y;
}

/* pass_unsigned_codes, which must not show in the outputs. */
static void shift_codes(struct network *w)
{
    struct arena *a = arena_create();
    struct tensor in = {.dtype = w->v[0]->dtype, .rank = 4};
    struct interpretation before, after;

    memcpy(in.dim, w->v[0]->dim, sizeof in.dim);
    in.data = arena_alloc(a, (size_t)ir_bytes(w->v[0]));
    fill(in.data, in.dtype, ir_count(w->v[0]));
    CHECK_OK(interpret(a, w->g, &in, &before));
    CHECK_OK(pass_unsigned_codes(w->c, w->g));
    CHECK_OK(interpret(a, w->g, &in, &after));
    for (int i = 0; i < w->g->n_out; i++)
        compare(w->g->out[i], after.by_id[w->g->out[i]->id].data,
                before.by_id[w->g->out[i]->id].data, 0.0f);
    arena_destroy(a);
}

/* This processor and older ones, in turn. */
static const char *cpu_of(int round)
{
    static const char *const cpus[] = {NULL,        "icelake-server", NULL,
                                       "x86-64-v4", "x86-64-v3",      "x86-64"};
    const char *cpu = cpus[round % 6];

    return cpu && runs_cpu(cpu) ? cpu : NULL;
}

static void run_random(int round, int *n_emitted)
{
    static const int64_t dims[][4] = {
        {1, 3, 13, 11}, {2, 16, 7, 9}, {1, 5, 1, 30}, {1, 64, 6, 6}};
    struct network w = {.c = compile_create()};

    seed = (uint32_t)round * 977u + 5u;
    w.g = ir_graph_create(w.c, "t");
    keep(&w, ir_input(w.g, NULL, bytes[below(2)], 4, dims[below(4)]));
    for (int i = 2 + below(7); i; i--) {
        const int kind = below(14);

        if (kind == 0)
            grow_pool(&w);
        else if (kind == 1)
            grow_concat(&w);
        else if (kind <= 3)
            grow_function(&w);
        else if (kind <= 5)
            grow_binary(&w);
        else if (kind == 6)
            grow_rows(&w);
        else if (kind <= 8)
            grow_shaped(&w);
        else
            grow_convolution(&w);
    }
    struct ir_value *last = w.v[w.n - 1];

    for (int i = 1; i < w.n - 1; i++)
        if (!w.v[i]->n_uses)
            ir_output(w.g, w.v[i]);
    ir_output(w.g, last);
    ir_output(w.g, below(2) ? floats_of(&w, last, 1) : classified(&w, last));
    test_cpu = cpu_of(round);
    CHECK_OK(pass_channels_last(w.c, w.g));
    shift_codes(&w);
    run_graph(w.c, w.g, true, 0.0f);
    *n_emitted += run_graph(w.c, w.g, false, 0.0f).n_emitted;
    test_cpu = NULL;
    compile_destroy(w.c);
}

TEST(networks_of_codes_keep_their_bytes)
{
    const char *more = getenv("HADMC_TEST_ROUNDS");
    const int rounds = more ? atoi(more) : 12;
    int n_emitted = 0;

    for (int round = 0; round < rounds; round++)
        run_random(round, &n_emitted);
    CHECK(n_emitted > 3 * rounds);
}

/* As form_integers writes a HardSwish between a convolution and its codes: one step. */
TEST(a_convolution_takes_the_activation_before_its_rounding)
{
    const struct outcome out = run_text(
        "graph g(%x: i8[1,2,3,2]) {\n"
        "  %z = const i8[] {3}\n"
        "  %k = const i8[2,2,1,1] {40,-30,20,50}\n"
        "  %zw = const i8[] {0}\n"
        "  %m = const f32[] {0.0009765625}\n"
        "  %zero = const i32[] {0}\n"
        "  %after = const f32[] {20}\n"
        "  %one = const f32[] {1}\n"
        "  %a = ConvInteger(%x, %k, %z, %zw) {kernel_shape=[1,1], strides=[1,1], "
        "dilations=[1,1], pads=[0,0,0,0], channels_last=1} : i32[1,2,3,2]\n"
        "  %f = DequantizeLinear(%a, %m, %zero) {axis=0, block_size=0} : "
        "f32[1,2,3,2]\n"
        "  %h = HardSwish(%f) : f32[1,2,3,2]\n"
        "  %s = Mul(%h, %after) : f32[1,2,3,2]\n"
        "  %y = QuantizeLinear(%s, %one, %z) {axis=0, block_size=0} : i8[1,2,3,2]\n"
        "  return %y\n"
        "}\n",
        0.0f);

    CHECK_EQ(out.n_steps, 1);
}

#define QUANTIZED(y, x, k)                                                             \
    "  %" y " = QLinearConv(%" x ", %s, %z, %" k ", %sw, %zw, %s, %z) "                \
    "{kernel_shape=[1,1], strides=[1,1], dilations=[1,1], pads=[0,0,0,0], "            \
    "channels_last=1} : i8[1,2,3,2]\n"

/* x + conv(conv(x)): two steps, and neither the sum nor its rounding is one. */
TEST(a_sum_of_codes_is_part_of_the_convolution)
{
    const struct outcome out = run_text(
        "graph g(%x: i8[1,2,3,2]) {\n"
        "  %s = const f32[] {0.5}\n"
        "  %sw = const f32[] {0.25}\n"
        "  %one = const f32[] {1}\n"
        "  %z = const i8[] {3}\n"
        "  %zw = const i8[] {0}\n"
        "  %k = const i8[2,2,1,1] {1,20,3,-4}\n" QUANTIZED("a", "x", "k") QUANTIZED(
            "b", "a",
            "k") "  %c = DequantizeLinear(%b, %s, %z) {axis=0, block_size=0} : "
                 "f32[1,2,3,2]\n"
                 "  %d = DequantizeLinear(%x, %sw, %z) {axis=0, block_size=0} : "
                 "f32[1,2,3,2]\n"
                 "  %e = Add(%c, %d) : f32[1,2,3,2]\n"
                 "  %f = Relu(%e) : f32[1,2,3,2]\n"
                 "  %y = QuantizeLinear(%f, %one, %z) {axis=0, block_size=0} : "
                 "i8[1,2,3,2]\n"
                 "  return %y\n"
                 "}\n",
        0.0f);

    CHECK(out.n_emitted == 2);
    CHECK(out.n_steps == 2);
}

#define LINEAR "{axis=0, block_size=0}"

/* 7 operators, 256 results: the weights are the table and the multipliers that the
 * second step, a sum, has in its header. */
TEST(a_function_of_codes_is_a_table_and_sums_have_a_kernel)
{
    const struct outcome out =
        run_text("graph g(%x: i8[40,50]) {\n"
                 "  %s = const f32[] {0.05}\n"
                 "  %t = const f32[] {0.01}\n"
                 "  %one = const f32[] {1}\n"
                 "  %z = const i8[] {3}\n"
                 "  %a = DequantizeLinear(%x, %s, %z) " LINEAR " : f32[40,50]\n"
                 "  %b = Sigmoid(%a) : f32[40,50]\n"
                 "  %c = Mul(%a, %b) : f32[40,50]\n"
                 "  %d = Tanh(%c) : f32[40,50]\n"
                 "  %e = QuantizeLinear(%d, %t, %z) " LINEAR " : i8[40,50]\n"
                 "  %f = DequantizeLinear(%e, %s, %z) " LINEAR " : f32[40,50]\n"
                 "  %g = DequantizeLinear(%x, %t, %z) " LINEAR " : f32[40,50]\n"
                 "  %h = Sub(%f, %g) : f32[40,50]\n"
                 "  %i = Relu(%h) : f32[40,50]\n"
                 "  %y = QuantizeLinear(%i, %one, %z) " LINEAR " : i8[40,50]\n"
                 "  return %e, %y\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(out.n_steps, 2);
    CHECK_EQ(out.n_emitted, 2);
    CHECK_EQ(out.payload, 256 + 64);
}

/* Three or two neighbours, and padding that counts or not. */
TEST(averages_of_signals_are_emitted)
{
#define AVERAGE(result, x, counts)                                                     \
    "  %" result " = QLinearAveragePool(%" x ", %s, %z, %t, %z) {kernel_shape=[3], "   \
    "strides=[2], pads=[1,1], count_include_pad=" counts ", channels_last=1}\n"
    const struct outcome out =
        run_text("graph g(%x: i8[2,31,19]) {\n"
                 "  %s = const f32[] {0.05}\n"
                 "  %t = const f32[] {0.03}\n"
                 "  %z = const i8[] {-7}\n" AVERAGE("a", "x", "0")
                     AVERAGE("y", "a", "1") "  return %y\n"
                                            "}\n",
                 0.0f);

    CHECK_EQ(out.n_emitted, 2);
}

/* The gate's 40 numbers are no tensor of floats: a pool, then a product of codes. */
TEST(a_gate_a_channel_is_read_as_codes)
{
    const struct outcome out =
        run_text("graph g(%x: u8[1,9,9,40]) {\n"
                 "  %s = const f32[] {0.05}\n"
                 "  %m = const f32[] {0.02}\n"
                 "  %one = const f32[] {1}\n"
                 "  %z = const u8[] {100}\n"
                 "  %g = QLinearAveragePool(%x, %s, %z, %s, %z) {kernel_shape=[9,9], "
                 "channels_last=1} : u8[1,1,1,40]\n"
                 "  %a = DequantizeLinear(%x, %one, %z) " LINEAR " : f32[1,9,9,40]\n"
                 "  %b = DequantizeLinear(%g, %one, %z) " LINEAR " : f32[1,1,1,40]\n"
                 "  %c = Mul(%b, %a) : f32[1,9,9,40]\n"
                 "  %d = Mul(%m, %c) : f32[1,9,9,40]\n"
                 "  %y = QuantizeLinear(%d, %one, %z) " LINEAR " : u8[1,9,9,40]\n"
                 "  return %y\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(out.n_steps, 2);
    CHECK_EQ(out.n_emitted, 2);
}

/* Fewer codes than a table has. */
TEST(few_codes_have_no_table)
{
    const struct outcome out =
        run_text("graph g(%x: i8[50]) {\n"
                 "  %s = const f32[] {0.05}\n"
                 "  %z = const i8[] {3}\n"
                 "  %a = DequantizeLinear(%x, %s, %z) " LINEAR " : f32[50]\n"
                 "  %b = Exp(%a) : f32[50]\n"
                 "  %y = QuantizeLinear(%b, %s, %z) " LINEAR " : i8[50]\n"
                 "  return %y\n"
                 "}\n",
                 0.0f);

    CHECK_EQ(out.n_steps, 1);
    CHECK_EQ(out.n_chains, 1);
}
