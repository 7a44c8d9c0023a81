/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend oracle
/* Random quantized islands, spelled with floats, through the passes and the
 * interpreter: the bytes are those of the oracle. */
#include <math.h>
#include <stdlib.h>

#include "tests/test.h"

#include "frontend/interpret.h"
#include "frontend/pass.h"
#include "tests/oracle/oracle.h"

enum { MOST = 4096 };

static uint32_t seed = 7;

static int rounds(void)
{
    const char *more = getenv("HADMC_TEST_ROUNDS");

    return more ? atoi(more) : 300;
}

static int64_t random_in(int64_t lo, int64_t hi)
{
    seed = seed * 1664525u + 1013904223u;
    return lo + (int64_t)(seed >> 8) % (hi - lo + 1);
}

static float random_scale(void)
{
    return ldexpf((float)random_in(1, 1000) / 500.0f, (int)random_in(-6, 2));
}

/* ---- a graph being spelled
 * ----------------------------------------------------------- */

struct island {
    struct compile *c;
    struct ir_graph *g;
    int n_in;
    struct tensor in[2];
    int32_t code[2][MOST]; /* of the inputs */
    struct oracle_quant grid[2];
};

static void begin(struct island *s)
{
    *s = (struct island){.c = compile_create()};
    s->g = ir_graph_create(s->c, "g");
}

static struct ir_value *emit(struct island *s, enum ir_op op, const char *attr,
                             int n_in, struct ir_value *const *in)
{
    struct ir_value *out;

    CHECK_OK(ir_emit(s->g, NULL, op, NULL, n_in, in, attr, &out));
    return out;
}

static int32_t least_of(enum dtype t)
{
    return t == DT_u8 ? 0 : -128;
}

static struct ir_value *byte_const(struct island *s, enum dtype t, int32_t code)
{
    const int8_t byte = (int8_t)code;

    return ir_const(s->c, NULL, t, 0, NULL, &byte);
}

/* A new input of random codes, dequantized. */
static struct ir_value *input(struct island *s, int rank, const int64_t *dim)
{
    const enum dtype t = random_in(0, 1) ? DT_u8 : DT_i8;
    struct ir_value *v = ir_input(s->g, NULL, t, rank, dim);
    const int k = s->n_in++;
    const int64_t n = ir_count(v);
    int8_t *bytes = arena_new_array(s->c->perm, int8_t, n);

    s->grid[k] = (struct oracle_quant){
        random_scale(), least_of(t) + (int32_t)random_in(0, random_in(0, 3) ? 255 : 0)};
    for (int64_t i = 0; i < n; i++) {
        s->code[k][i] = least_of(t) + (int32_t)random_in(0, 255);
        bytes[i] = (int8_t)s->code[k][i];
    }
    s->in[k] = (struct tensor){.dtype = t, .rank = rank, .data = bytes};
    memcpy(s->in[k].dim, v->dim, sizeof v->dim);
    struct ir_value *in[] = {v, ir_const_f32(s->c, s->grid[k].scale),
                             byte_const(s, t, s->grid[k].zero)};

    return emit(s, OP_DequantizeLinear, "axis=0 block_size=0", 3, in);
}

/* A random activation and quantization behind v; *y is what the oracle has to know. */
static void finish(struct island *s, struct ir_value *v, float scale,
                   struct oracle_output *y)
{
    const enum dtype t = random_in(0, 1) ? DT_u8 : DT_i8;
    const int act = (int)random_in(0, 2);

    *y = (struct oracle_output){scale, least_of(t) + (int32_t)random_in(0, 255),
                                least_of(t), least_of(t) + 255};
    const struct oracle_output whole = *y;

    if (act == 1) {
        v = emit(s, OP_Relu, NULL, 1, &v);
        y->lo = oracle_limit(0.0f, &whole);
    } else if (act == 2) {
        const float lo = (float)random_in(-8, 0) / 3.0f,
                    hi = (float)random_in(1, 24) / 4.0f;
        struct ir_value *in[] = {v, ir_const_f32(s->c, lo), ir_const_f32(s->c, hi)};

        v = emit(s, OP_Clip, NULL, 3, in);
        y->lo = oracle_limit(lo, &whole);
        y->hi = oracle_limit(hi, &whole);
    }
    struct ir_value *in[] = {v, ir_const_f32(s->c, scale), byte_const(s, t, y->zero)};

    ir_output(s->g, emit(s, OP_QuantizeLinear, "axis=0 block_size=0", 3, in));
}

/* Compiles and runs; the codes that come out. */
static int64_t run(struct island *s, int32_t *codes)
{
    const struct pass_options none = {0};
    const struct ir_value *y = s->g->out[0];
    struct interpretation out;

    CHECK_OK(passes_run(s->c, s->g, &none));
    if (s->c->left_in_floats.len)
        print_error("left in floats: %s", s->c->left_in_floats.bytes);
    CHECK(!s->c->left_in_floats.len);
    CHECK_OK(interpret(s->c->scratch, s->g, s->in, &out));
    y = s->g->out[0];
    oracle_from_bytes(y->dtype == DT_u8 ? ORACLE_UINT8 : ORACLE_INT8,
                      out.by_id[y->id].data, (size_t)ir_count(y), codes);
    return ir_count(y);
}

static int count_different(const int32_t *a, const int32_t *b, int64_t n)
{
    int different = 0;

    for (int64_t i = 0; i < n; i++)
        different += a[i] != b[i];
    return different;
}

/* Compares bytes; is there an `op` in the graph now? */
static bool end_formed(struct island *s, const int32_t *want, enum ir_op op)
{
    static int32_t got[MOST];
    const int64_t n = run(s, got);
    bool formed = false;

    CHECK_EQ(count_different(got, want, n), 0);
    got[n / 2] ^= 1; /* the comparison can fail */
    CHECK_EQ(count_different(got, want, n), 1);
    for (const struct ir_node *at = s->g->first; at; at = at->next)
        formed |= at->op == op;
    compile_destroy(s->c);
    return formed;
}

static void end(struct island *s, const int32_t *want)
{
    end_formed(s, want, OP_NONE);
}

/* ---- products
 * --------------------------------------------------------------------------- */

struct weights {
    int32_t code[MOST], zero[64], bias[64];
    float scale[64];
    struct oracle_weights oracle;
    struct ir_value *real, *bias_real;
};

/* [channels, per_channel] codes behind DequantizeLinear, and a bias in their steps. */
static void make_weights(struct island *s, int rank, const int64_t *dim,
                         struct weights *w)
{
    const enum dtype t = random_in(0, 3) ? DT_i8 : DT_u8;
    const int64_t channels = dim[0], n_scales = random_in(0, 1) ? channels : 1;
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    int8_t bytes[MOST], zeros[64];
    const bool has_zero = random_in(0, 1), has_bias = random_in(0, 1);

    for (int64_t i = 0; i < n; i++) {
        w->code[i] = least_of(t) + (int32_t)random_in(0, 255);
        bytes[i] = (int8_t)w->code[i];
    }
    for (int64_t i = 0; i < n_scales; i++) {
        w->scale[i] = random_scale();
        w->zero[i] = has_zero ? least_of(t) + (int32_t)random_in(0, 255) : 0;
        zeros[i] = (int8_t)w->zero[i];
    }
    struct ir_value *in[] = {
        ir_const(s->c, NULL, t, rank, dim, bytes),
        ir_const(s->c, NULL, DT_f32, 1, &n_scales, w->scale),
        ir_const(s->c, NULL, t, 1, &n_scales, zeros),
    };
    w->real = emit(s, OP_DequantizeLinear, "axis=0 block_size=0", 3, in);
    w->bias_real = NULL;
    w->oracle = (struct oracle_weights){.code = w->code,
                                        .scale = w->scale,
                                        .n_scale = n_scales,
                                        .zero = w->zero,
                                        .n_zero = n_scales};
    if (!has_bias)
        return;
    float real[64];

    for (int64_t i = 0; i < channels; i++) {
        real[i] = (float)random_in(-1000, 1000) / 17.0f;
        w->bias[i] = oracle_bias((double)real[i], s->grid[0].scale,
                                 w->scale[n_scales == 1 ? 0 : i]);
    }
    w->bias_real = ir_const(s->c, NULL, DT_f32, 1, &channels, real);
    w->oracle.bias = w->bias;
}

TEST(convolutions_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        static struct weights w;
        struct island s;
        const int64_t groups = random_in(1, 2), c_in = random_in(1, 5),
                      c_out = random_in(1, 4);
        struct oracle_window at = {
            .n = random_in(1, 2),
            .c = groups * c_in,
            .h = random_in(5, 8),
            .w = random_in(5, 8),
            .kh = random_in(1, 3),
            .kw = random_in(1, 3),
            .stride_y = random_in(1, 2),
            .stride_x = random_in(1, 2),
            .dilation_y = 1,
            .dilation_x = random_in(1, 2),
            .pad_top = random_in(0, 1),
            .pad_left = random_in(0, 1),
            .pad_bottom = random_in(0, 1),
            .pad_right = random_in(1, 2),
        };
        const int64_t x_dim[] = {at.n, at.c, at.h, at.w};
        const int64_t w_dim[] = {groups * c_out, c_in, at.kh, at.kw};
        char attr[160];
        struct oracle_output y;

        begin(&s);
        struct ir_value *x = input(&s, 4, x_dim);

        make_weights(&s, 4, w_dim, &w);
        snprintf(
            attr, sizeof attr,
            "kernel_shape=[%d,%d] strides=[%d,%d] dilations=[1,%d] pads=[%d,%d,%d,%d] "
            "group=%d",
            (int)at.kh, (int)at.kw, (int)at.stride_y, (int)at.stride_x,
            (int)at.dilation_x, (int)at.pad_top, (int)at.pad_left, (int)at.pad_bottom,
            (int)at.pad_right, (int)groups);
        struct ir_value *in[] = {x, w.real, w.bias_real};
        struct ir_value *v = emit(&s, OP_Conv, attr, w.bias_real ? 3 : 2, in);

        at.oh = v->dim[2];
        at.ow = v->dim[3];
        finish(&s, v, random_scale() * 64.0f, &y);
        oracle_conv(s.code[0], &at, s.grid[0], groups, groups * c_out, &w.oracle, &y,
                    want);
        end(&s, want);
    }
}

TEST(products_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        static struct weights w;
        struct island s;
        const struct oracle_matmul shape = {.batch = 1,
                                            .rows = random_in(1, 5),
                                            .depth = random_in(1, 60),
                                            .cols = random_in(1, 12),
                                            .b_transposed = true};
        const int64_t a_dim[] = {shape.rows, shape.depth};
        const int64_t b_dim[] = {shape.cols, shape.depth};
        struct oracle_output y;

        begin(&s);
        struct ir_value *a = input(&s, 2, a_dim);

        make_weights(&s, 2, b_dim, &w);
        struct ir_value *in[] = {a, w.real, w.bias_real};

        finish(&s, emit(&s, OP_Gemm, "transB=1", w.bias_real ? 3 : 2, in),
               random_scale() * 64.0f, &y);
        oracle_matmul(s.code[0], &shape, s.grid[0], &w.oracle, &y, want);
        end(&s, want);
    }
}

/* ---- between products
 * ---------------------------------------------------------------------- */

TEST(sums_and_products_of_elements_have_the_oracles_bytes)
{
    static const enum ir_op op[] = {OP_Add, OP_Sub, OP_Mul};
    static const enum oracle_binary_op oracle_op[] = {ORACLE_ADD, ORACLE_SUB,
                                                      ORACLE_MUL};

    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        struct island s;
        const int k = (int)random_in(0, 2);
        const int64_t dim[] = {1, random_in(1, 6), random_in(1, 6), random_in(1, 6)};
        const int64_t other[] = {1, random_in(0, 1) ? dim[1] : 1, dim[2],
                                 random_in(0, 1) ? dim[3] : 1};
        struct oracle_output y;

        begin(&s);
        struct ir_value *in[2];

        in[0] = input(&s, 4, dim);
        in[1] = input(&s, 4, other);
        finish(&s, emit(&s, op[k], NULL, 2, in), random_scale(), &y);
        oracle_binary(oracle_op[k], s.code[0], dim, s.grid[0], s.code[1], other,
                      s.grid[1], &y, want);
        end(&s, want);
    }
}

TEST(changes_of_scale_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        struct island s;
        const int64_t dim[] = {random_in(1, 300)};
        struct oracle_output y;

        begin(&s);
        finish(&s, input(&s, 1, dim), random_scale(), &y);
        oracle_requantize(s.code[0], dim[0], s.grid[0], &y, want);
        end(&s, want);
    }
}

TEST(means_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        struct island s;
        const int64_t dim[] = {random_in(1, 2), random_in(1, 6), random_in(1, 8),
                               random_in(1, 8)};
        struct oracle_output y;

        begin(&s);
        struct ir_value *x = input(&s, 4, dim);

        finish(&s, emit(&s, OP_ReduceMean, "axes=[2,3] keepdims=1", 1, &x),
               random_scale(), &y);
        oracle_global_average_pool(s.code[0], dim[0], dim[1], dim[2], dim[3], s.grid[0],
                                   &y, want);
        end(&s, want);
    }
}

/* Windows that hang over both ends, and padding that counts or not. */
TEST(averages_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        struct island s;
        struct oracle_window at = {
            .n = random_in(1, 2),
            .c = random_in(1, 5),
            .h = random_in(4, 8),
            .w = random_in(7, 9),
            .kh = random_in(1, 4),
            .kw = random_in(2, 4),
            .stride_y = random_in(1, 3),
            .stride_x = random_in(1, 3),
            .dilation_y = 1,
            .dilation_x = random_in(1, 2),
            .pad_top = random_in(0, 2),
            .pad_left = random_in(0, 2),
            .pad_bottom = random_in(0, 2),
            .pad_right = random_in(0, 2),
        };
        const int64_t dim[] = {at.n, at.c, at.h, at.w};
        const bool count_padding = random_in(0, 1);
        struct oracle_output y;
        char attr[200];

        begin(&s);
        struct ir_value *x = input(&s, 4, dim), *v;

        snprintf(attr, sizeof attr,
                 "kernel_shape=[%d,%d] strides=[%d,%d] dilations=[1,%d] "
                 "pads=[%d,%d,%d,%d] count_include_pad=%d ceil_mode=%d",
                 (int)at.kh, (int)at.kw, (int)at.stride_y, (int)at.stride_x,
                 (int)at.dilation_x, (int)at.pad_top, (int)at.pad_left,
                 (int)at.pad_bottom, (int)at.pad_right, count_padding,
                 (int)random_in(0, 1));
        v = emit(&s, OP_AveragePool, attr, 1, &x);
        at.oh = v->dim[2];
        at.ow = v->dim[3];
        finish(&s, v, random_scale(), &y);
        oracle_average_pool(s.code[0], &at, count_padding, s.grid[0], &y, want);
        CHECK(end_formed(&s, want, OP_QLinearAveragePool));
    }
}

TEST(maxima_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        struct island s;
        const struct oracle_window at = {.n = 1,
                                         .c = random_in(1, 3),
                                         .h = 6,
                                         .w = 6,
                                         .oh = 3,
                                         .ow = 3,
                                         .kh = 3,
                                         .kw = 3,
                                         .stride_y = 2,
                                         .stride_x = 2,
                                         .dilation_y = 1,
                                         .dilation_x = 1,
                                         .pad_top = 1,
                                         .pad_left = 1};
        const int64_t dim[] = {at.n, at.c, at.h, at.w};
        struct oracle_output y;

        begin(&s);
        struct ir_value *x = input(&s, 4, dim);

        finish(&s,
               emit(&s, OP_MaxPool,
                    "kernel_shape=[3,3] strides=[2,2] pads=[1,1,0,0] dilations=[1,1]",
                    1, &x),
               random_scale(), &y);
        oracle_max_pool(s.code[0], &at, s.grid[0], &y, want);
        end(&s, want);
    }
}

/* ---- rows ---------------------------------------------------------------------------
 */

/* Along the last axis, or along the first of two. */
TEST(softmax_has_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST], turned[MOST], result[MOST];
        uint32_t table[256];
        struct island s;
        const bool first = random_in(0, 3) == 0;
        const int64_t rows = random_in(1, 5), len = random_in(1, 300);
        const int64_t dim[] = {first ? len : rows, first ? rows : len};
        struct oracle_output y;

        begin(&s);
        struct ir_value *x = input(&s, 2, dim);

        finish(&s, emit(&s, OP_Softmax, first ? "axis=0" : "axis=1", 1, &x),
               ldexpf((float)random_in(500, 1000), (int)random_in(-18, -12)), &y);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < len; i++)
                turned[r * len + i] = s.code[0][first ? i * rows + r : r * len + i];
        oracle_softmax_table(s.grid[0].scale, table);
        oracle_softmax(turned, rows, len, table, &y, result);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < len; i++)
                want[first ? i * rows + r : r * len + i] = result[r * len + i];
        CHECK(end_formed(&s, want, OP_QLinearSoftmax));
    }
}

/* A constant, or 8-bit codes behind DequantizeLinear. */
static struct ir_value *vector(struct island *s, int64_t n, float *reals)
{
    const float scale = random_scale() / 64.0f;
    const int32_t zero = (int32_t)random_in(-128, 127);
    int8_t *codes = arena_new_array(s->c->perm, int8_t, n);

    for (int64_t i = 0; i < n; i++) {
        codes[i] = (int8_t)random_in(-128, 127);
        reals[i] = scale * (float)(codes[i] - zero);
    }
    if (random_in(0, 1))
        return ir_const(s->c, NULL, DT_f32, 1, &n, reals);
    struct ir_value *in[] = {ir_const(s->c, NULL, DT_i8, 1, &n, codes),
                             ir_const_f32(s->c, scale), byte_const(s, DT_i8, zero)};

    return emit(s, OP_DequantizeLinear, "axis=0 block_size=0", 3, in);
}

/* Without epsilon a constant row has no inverse deviation. */
static void make_constant_row(struct island *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->code[0][i] = s->grid[0].zero;
        ((int8_t *)s->in[0].data)[i] = (int8_t)s->grid[0].zero;
    }
}

TEST(normalizations_have_the_oracles_bytes)
{
    for (int round = 0, n = rounds(); round < n; round++) {
        static int32_t want[MOST];
        static float gamma[MOST], beta[MOST];
        struct island s;
        const bool layer = random_in(0, 1);
        const int64_t dim[] = {random_in(1, 4), random_in(1, 300)};
        struct oracle_norm norm = {.rows = dim[0],
                                   .n = dim[1],
                                   .gamma = gamma,
                                   .epsilon = random_in(0, 3) ? 0.00390625f : 0.0f};
        struct oracle_output y;

        begin(&s);
        struct ir_value *in[] = {input(&s, 2, dim), vector(&s, dim[1], gamma), NULL};

        if (layer && random_in(0, 1)) {
            in[2] = vector(&s, dim[1], beta);
            norm.beta = beta;
        }
        if (random_in(0, 3) == 0)
            make_constant_row(&s, dim[1]);
        finish(&s,
               emit(&s, layer ? OP_LayerNormalization : OP_RMSNormalization,
                    norm.epsilon > 0.0f ? "axis=1 epsilon=0.00390625"
                                        : "axis=1 epsilon=0.0",
                    in[2] ? 3 : 2, in),
               random_scale() / 16.0f, &y);
        (layer ? oracle_layer_norm : oracle_rms_norm)(s.code[0], &norm, s.grid[0], &y,
                                                      want);
        CHECK(end_formed(&s, want,
                         layer ? OP_QLinearLayerNormalization
                               : OP_QLinearRMSNormalization));
    }
}
