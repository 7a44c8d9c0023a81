/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs of single layers: see probe_layers.h. */
#include "cli/probe_layers.h"

/* ---- constants --------------------------------------------------------------- */

static struct ir_value *constant(struct ir_graph *g, enum dtype dtype, int rank,
                                 const int64_t *dim, void *data)
{
    return ir_const_ref(g->compile, NULL, dtype, rank, dim, data);
}

static int next(uint64_t *seed, int n)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((*seed >> 33) % (uint64_t)n);
}

static struct ir_value *float_weights(struct ir_graph *g, int rank, const int64_t *dim)
{
    uint64_t seed = 1;
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];

    float *w = arena_new_array(g->compile->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        w[i] = (float)(next(&seed, 255) - 127) / 1024;
    return constant(g, DT_f32, rank, dim, w);
}

/* Codes of 4 bits are codes of 8 that are small. */
static struct ir_value *code_weights(struct ir_graph *g, int bits, int rank,
                                     const int64_t *dim)
{
    const int most = bits == 4 ? 7 : 127;
    uint64_t seed = 1;
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];

    int8_t *w = arena_new_array(g->compile->perm, int8_t, n);

    for (int64_t i = 0; i < n; i++)
        w[i] = (int8_t)(next(&seed, 2 * most + 1) - most);
    return constant(g, DT_i8, rank, dim, w);
}

static struct ir_value *scales(struct ir_graph *g, int64_t n, float value)
{
    float *s = arena_new_array(g->compile->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        s[i] = value;
    return n == 1 ? ir_const_f32(g->compile, value) : constant(g, DT_f32, 1, &n, s);
}

static struct ir_value *zeros(struct ir_graph *g, enum dtype dtype, int rank,
                              const int64_t *dim)
{
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];

    /* Arenas give zeroed memory. */
    return constant(g, dtype, rank, dim, arena_new_array(g->compile->perm, int64_t, n));
}

/* Zero points of weights, all 1 or 0. */
static struct ir_value *weight_zeros(struct ir_graph *g, const struct probe_layer *l)
{
    const bool product = l->kind == WORK_PRODUCT;
    const int64_t n = product ? 1 : l->channels;
    int8_t *z = arena_new_array(g->compile->perm, int8_t, n);

    for (int64_t i = 0; i < n; i++)
        z[i] = l->weight_zeros;
    return constant(g, DT_i8, product ? 0 : 1, &n, z);
}

static bool is_depthwise(const struct probe_layer *l)
{
    return l->kind == WORK_DEPTHWISE || l->kind == WORK_DEPTHWISE_STRIDED;
}

static bool is_image(const struct probe_layer *l)
{
    return l->kind == WORK_POOL
           || (work_has_weights(l->kind) && l->kind != WORK_PRODUCT);
}

/* ---- sizes -------------------------------------------------------------------- */

double probe_layer_depth(const struct probe_layer *l)
{
    return (double)(l->c_in * l->window * l->window);
}

double probe_layer_rows(const struct probe_layer *l)
{
    return (double)(is_image(l) ? l->side * l->side : l->side);
}

double probe_layer_macs(const struct probe_layer *l)
{
    return (double)l->channels * probe_layer_depth(l) * probe_layer_rows(l);
}

/* Pools read as far as their windows reach, convolutions have padding. */
static int64_t input_side(const struct probe_layer *l)
{
    return l->kind == WORK_POOL ? (l->side - 1) * l->stride + l->window
                                : l->side * l->stride;
}

static int64_t input_channels(const struct probe_layer *l)
{
    return is_depthwise(l) || l->kind == WORK_POOL ? l->channels : l->c_in;
}

int64_t probe_layer_bytes(const struct probe_layer *l)
{
    const int64_t bytes = l->weight_bits == 32 ? 4 : 1;
    const int64_t rows = (int64_t)probe_layer_rows(l);

    switch (l->kind) {
    case WORK_MOVE:
        return rows;
    case WORK_CODES:
        return 3 * rows;
    case WORK_FUNCTION:
        return 2 * bytes * rows;
    case WORK_SOFTMAX:
    case WORK_NORMALIZATION:
        return 2 * bytes * rows * l->c_in;
    case WORK_PRODUCT:
        return bytes * (l->channels * l->c_in + rows * (l->channels + l->c_in));
    default:
        return bytes
               * (l->channels * (int64_t)probe_layer_depth(l) + rows * l->channels
                  + input_side(l) * input_side(l) * input_channels(l));
    }
}

/* ---- nodes ------------------------------------------------------------------- */

static void set_window(struct ir_node *n, const struct probe_layer *l)
{
    const int64_t pad = l->kind == WORK_POOL ? 0 : l->window / 2;

    ir_set_attr_ints(n, "kernel_shape", 2, (int64_t[]){l->window, l->window});
    ir_set_attr_ints(n, "strides", 2, (int64_t[]){l->stride, l->stride});
    ir_set_attr_ints(n, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    if (is_depthwise(l))
        ir_set_attr_int(n, "group", l->channels);
}

/* Images leave as they lie between layers, channels last. */
static struct status *finish(struct ir_graph *g, struct ir_node *n)
{
    struct ir_value *y = ir_new_output(n, 0, NULL);

    RETURN_IF_FAIL(ir_infer(n));
    if (y->rank == 4)
        RETURN_IF_FAIL(
            ir_emit(g, NULL, OP_Transpose, NULL, 1, &y, "perm=[0,2,3,1]", &y));
    ir_output(g, y);
    return OK;
}

/* Images come as from a layer before, channels last; a network's own are planar. */
static struct status *image_input(struct ir_graph *g, const struct probe_layer *l,
                                  enum dtype dtype, struct ir_value **out)
{
    const int64_t side = input_side(l), channels = input_channels(l);

    if (l->kind == WORK_FIRST) {
        *out = ir_input(g, NULL, dtype, 4, (int64_t[]){1, channels, side, side});
        return OK;
    }
    *out = ir_input(g, NULL, dtype, 4, (int64_t[]){1, side, side, channels});
    return ir_emit(g, NULL, OP_Transpose, NULL, 1, out, "perm=[0,3,1,2]", out);
}

static struct status *layer_input(struct ir_graph *g, const struct probe_layer *l,
                                  enum dtype dtype, struct ir_value **out)
{
    if (l->kind != WORK_PRODUCT)
        return image_input(g, l, dtype, out);
    *out = ir_input(g, NULL, dtype, 2, (int64_t[]){l->side, l->c_in});
    return OK;
}

static struct status *float_layer(struct ir_graph *g, const struct probe_layer *l,
                                  const char *name)
{
    const bool product = l->kind == WORK_PRODUCT;
    const int64_t c_in = is_depthwise(l) ? 1 : l->c_in;
    const int64_t dim[] = {l->channels, c_in, l->window, l->window};
    struct ir_node *n, *relu;
    struct ir_value *x;

    RETURN_IF_FAIL(layer_input(g, l, DT_f32, &x));
    n = ir_node_create(g, NULL, product ? OP_Gemm : OP_Conv, name, 3, 1);
    ir_set_input(n, 0, x);
    ir_set_input(n, 1, float_weights(g, product ? 2 : 4, dim));
    ir_set_input(n, 2, zeros(g, DT_f32, 1, &l->channels));
    if (product)
        ir_set_attr_int(n, "transB", 1);
    else
        set_window(n, l);
    ir_new_output(n, 0, NULL);
    RETURN_IF_FAIL(ir_infer(n));
    relu = ir_node_create(g, NULL, OP_Relu, NULL, 1, 1);
    ir_set_input(relu, 0, n->out[0]);
    return finish(g, relu);
}

/* Scales keep results in the middle of their range; times do not depend on them. */
static struct status *code_layer(struct ir_graph *g, const struct probe_layer *l,
                                 const char *name)
{
    const bool product = l->kind == WORK_PRODUCT;
    const int64_t c_in = is_depthwise(l) ? 1 : l->c_in;
    const int64_t dim[] = {l->channels, c_in, l->window, l->window};
    const int64_t flat[] = {c_in, l->channels};
    const enum dtype codes = l->is_unsigned ? DT_u8 : DT_i8;
    struct ir_node *n;
    struct ir_value *x;

    RETURN_IF_FAIL(layer_input(g, l, codes, &x));

    struct ir_value *in[] = {
        x,
        scales(g, 1, 0.02f),
        zeros(g, codes, 0, NULL),
        product ? code_weights(g, l->weight_bits, 2, flat)
                : code_weights(g, l->weight_bits, 4, dim),
        scales(g, product ? 1 : l->channels, 0.01f),
        weight_zeros(g, l),
        scales(g, 1, 0.5f),
        zeros(g, codes, 0, NULL),
        product ? NULL : zeros(g, DT_i32, 1, &l->channels),
    };

    n = ir_node_create(g, NULL, product ? OP_QLinearMatMul : OP_QLinearConv, name,
                       product ? 8 : 9, 1);
    for (int i = 0; i < n->n_in; i++)
        ir_set_input(n, i, in[i]);
    if (!product)
        set_window(n, l);
    return finish(g, n);
}

/* ---- without weights ------------------------------------------------------------ */

static struct status *sum_layer(struct ir_graph *g, const struct probe_layer *l,
                                const char *name)
{
    const int64_t elements = l->side / (3 * (int64_t)sizeof(float));
    struct ir_node *n = ir_node_create(g, NULL, OP_Add, name, 2, 1);

    for (int i = 0; i < 2; i++)
        ir_set_input(n, i, ir_input(g, NULL, DT_f32, 1, &elements));
    return finish(g, n);
}

/* Codes become floats, their sum codes of scale 1, as all sums of codes are written
 * after the passes: one kernel, the last node's. */
static struct status *codes_layer(struct ir_graph *g, const struct probe_layer *l,
                                  const char *name)
{
    const char *attributes = "axis=0 block_size=0";
    const enum dtype codes = l->is_unsigned ? DT_u8 : DT_i8;
    struct ir_value *scale = ir_const_f32(g->compile, 0.02f);
    struct ir_value *zero = zeros(g, codes, 0, NULL), *x[2], *y;

    for (int i = 0; i < 2; i++)
        RETURN_IF_FAIL(ir_emit(
            g, NULL, OP_DequantizeLinear, NULL, 3,
            (struct ir_value *[]){ir_input(g, NULL, codes, 1, &l->side), scale, zero},
            attributes, &x[i]));
    RETURN_IF_FAIL(ir_emit(g, NULL, OP_Add, NULL, 2, x, NULL, &y));
    RETURN_IF_FAIL(ir_emit(g, NULL, OP_QuantizeLinear, name, 3,
                           (struct ir_value *[]){y, ir_const_f32(g->compile, 1), zero},
                           attributes, &y));
    ir_output(g, y);
    return OK;
}

/* The function that takes about as many operations (codegen/functions.def). */
static enum ir_op function_of(int64_t operations)
{
    return operations > 40 ? OP_Erf : operations > 15 ? OP_Exp : OP_Sqrt;
}

static struct status *function_layer(struct ir_graph *g, const struct probe_layer *l,
                                     const char *name)
{
    struct ir_node *n = ir_node_create(g, NULL, function_of(l->c_in), name, 1, 1);

    ir_set_input(n, 0, ir_input(g, NULL, DT_f32, 1, &l->side));
    return finish(g, n);
}

static struct status *pool_layer(struct ir_graph *g, const struct probe_layer *l,
                                 const char *name)
{
    const bool codes = l->weight_bits < 32;
    const enum dtype dtype = !codes ? DT_f32 : l->is_unsigned ? DT_u8 : DT_i8;
    struct ir_node *n;
    struct ir_value *x;

    RETURN_IF_FAIL(image_input(g, l, dtype, &x));
    n = ir_node_create(g, NULL, codes ? OP_QLinearAveragePool : OP_MaxPool, name,
                       codes ? 5 : 1, 1);
    ir_set_input(n, 0, x);
    for (int i = 1; codes && i < 5; i += 2) {
        ir_set_input(n, i, ir_const_f32(g->compile, 0.02f));
        ir_set_input(n, i + 1, zeros(g, dtype, 0, NULL));
    }
    set_window(n, l);
    return finish(g, n);
}

/* Softmax, or LayerNormalization, of rows that lie one behind the other. */
static struct status *rows_layer(struct ir_graph *g, const struct probe_layer *l,
                                 const char *name)
{
    const bool normalizes = l->kind == WORK_NORMALIZATION;
    struct ir_node *n =
        ir_node_create(g, NULL, normalizes ? OP_LayerNormalization : OP_Softmax, name,
                       normalizes ? 3 : 1, 1);

    ir_set_input(n, 0, ir_input(g, NULL, DT_f32, 2, (int64_t[]){l->side, l->c_in}));
    for (int i = 1; normalizes && i < 3; i++)
        ir_set_input(n, i, float_weights(g, 1, &l->c_in));
    ir_set_attr_int(n, "axis", 1);
    return finish(g, n);
}

struct status *probe_layer_add(struct ir_graph *g, const struct probe_layer *l,
                               const char *name)
{
    switch (l->kind) {
    case WORK_MOVE:
        return sum_layer(g, l, name);
    case WORK_CODES:
        return codes_layer(g, l, name);
    case WORK_FUNCTION:
        return function_layer(g, l, name);
    case WORK_POOL:
        return pool_layer(g, l, name);
    case WORK_SOFTMAX:
    case WORK_NORMALIZATION:
        return rows_layer(g, l, name);
    default:
        return l->weight_bits == 32 ? float_layer(g, l, name) : code_layer(g, l, name);
    }
}
