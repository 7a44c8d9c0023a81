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

static bool is_depthwise(const struct probe_layer *l)
{
    return l->kind == WORK_DEPTHWISE || l->kind == WORK_DEPTHWISE_STRIDED;
}

int64_t probe_layer_bytes(const struct probe_layer *l)
{
    const int64_t bytes = l->weight_bits == 32 ? 4 : 1;
    const int64_t rows = l->kind == WORK_PRODUCT ? l->side : l->side * l->side;

    if (l->kind == WORK_MOVE)
        return 3 * 4 * l->elements;
    return bytes
           * (l->channels * l->c_in * l->window * l->window + rows * l->channels
              + rows * l->stride * l->stride
                    * (is_depthwise(l) ? l->channels : l->c_in));
}

/* ---- nodes ------------------------------------------------------------------- */

static void set_window(struct ir_node *n, const struct probe_layer *l)
{
    const int64_t pad = l->window / 2;

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
    const int64_t side = l->side * l->stride;
    const int64_t channels = is_depthwise(l) ? l->channels : l->c_in;

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
        product ? zeros(g, DT_i8, 0, NULL) : zeros(g, DT_i8, 1, &l->channels),
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

static struct status *sum_layer(struct ir_graph *g, const struct probe_layer *l,
                                const char *name)
{
    struct ir_node *n = ir_node_create(g, NULL, OP_Add, name, 2, 1);

    for (int i = 0; i < 2; i++)
        ir_set_input(n, i, ir_input(g, NULL, DT_f32, 1, &l->elements));
    return finish(g, n);
}

struct status *probe_layer_add(struct ir_graph *g, const struct probe_layer *l,
                               const char *name)
{
    if (l->kind == WORK_MOVE)
        return sum_layer(g, l, name);
    return l->weight_bits == 32 ? float_layer(g, l, name) : code_layer(g, l, name);
}
