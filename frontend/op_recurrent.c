/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU, LSTM.  Import takes out of them what does not depend on the state: one
 * Gemm makes what all inputs contribute to all gates, biases included, and R is
 * transposed (both fold when weights are constant).  What stays is
 *
 *     Y, Y_h[, Y_c] = LSTM(gates, Rt[, sequence_lens, initial_h, initial_c, P, bias,
 *                          steps, zeros])
 *         {direction layout clip activations activation_alpha activation_beta
 *          input_forget linear_before_reset}
 *
 * with gates [steps, batch, directions*n*hidden] (batch first when layout=1), Rt
 * [directions, hidden, n*hidden], P [directions, 3*hidden], and bias [directions,
 * hidden] only for a GRU that applies its reset after the product.  With steps
 * and zeros [directions, n*hidden] Rt is uint8: (Rt - zero) * step is meant, by
 * columns, and the state is rounded to as many bits as sums in int32 allow
 * (k_recurrent.c). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "frontend/match.h"
#include "frontend/op_help.h"
#include "frontend/op_recurrent.h"

/* ONNX's operands, and those of the canonical form. */
enum { ONNX_X, ONNX_W, ONNX_R, ONNX_B, ONNX_LENGTHS, ONNX_H, ONNX_C, ONNX_P };
enum { CODED_W_SCALE = ONNX_P + 1, CODED_W_ZERO, CODED_R_SCALE, CODED_R_ZERO };
enum {
    GATES = RECURRENT_GATES,
    RT = RECURRENT_R,
    LENGTHS,
    FIRST_H,
    FIRST_C,
    PEEPHOLE,
    BIAS,
    STEPS,
    ZEROS,
    N_OPERANDS
};
enum { Y, Y_H, Y_C };
enum { MAX_ACTIVATIONS = 6, MAX_HIDDEN = 1 << 24, MAX_CODED_HIDDEN = 1 << 14 };

/* In the order of the kernels' enum; whether alpha and beta are taken from the lists,
 * and their values otherwise. */
static const struct {
    const char *name;
    bool has_alpha, has_beta;
    float alpha, beta;
} functions[] = {
    {"Relu", false, false, 0, 0},         {"Tanh", false, false, 0, 0},
    {"Sigmoid", false, false, 0, 0},      {"Affine", true, true, 1, 0},
    {"LeakyRelu", true, false, 0.01f, 0}, {"ThresholdedRelu", true, false, 1, 0},
    {"ScaledTanh", true, true, 1, 1},     {"HardSigmoid", true, true, 0.2f, 0.5f},
    {"Elu", true, false, 1, 0},           {"Softsign", false, false, 0, 0},
    {"Softplus", false, false, 0, 0},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

struct layer {
    int gates, states, n_activations; /* per direction */
    int directions;
    bool reversed, batch_first;
    int64_t steps, batch, hidden;
};

static void kind_of(const struct ir_node *n, struct layer *l)
{
    l->gates = n->op == OP_RNN ? 1 : n->op == OP_GRU ? 3 : 4;
    l->n_activations = n->op == OP_RNN ? 1 : n->op == OP_GRU ? 2 : 3;
}

static struct status *read_direction(const struct ir_node *n, struct layer *l)
{
    const char *direction = ir_attr_str(n, "direction", "forward");

    l->directions = 1;
    l->reversed = false;
    if (!strcmp(direction, "reverse"))
        l->reversed = true;
    else if (!strcmp(direction, "bidirectional"))
        l->directions = 2;
    else if (strcmp(direction, "forward") != 0)
        return FAIL_AT(n, INVALID,
                       "direction is '%s', not forward, reverse or bidirectional",
                       direction);
    return OK;
}

/* ---- import ----------------------------------------------------------------- */

/* Columns [first, first + count) of a matrix. */
static struct status *columns(struct ir_node *n, struct ir_value *v, int64_t first,
                              int64_t count, struct ir_value **out)
{
    struct ir_node *slice = ir_node_create(n->graph, n, OP_Slice, n->name, 1, 1);

    slice->onnx_index = n->onnx_index;
    ir_set_input(slice, 0, v);
    ir_set_attr_ints(slice, "starts", 2, (int64_t[]){0, first});
    ir_set_attr_ints(slice, "steps", 2, (int64_t[]){1, 1});
    ir_set_attr_ints(slice, "sizes", 2, (int64_t[]){v->dim[0], count});
    *out = ir_new_output(slice, 0, NULL);
    return ir_infer(slice);
}

/* ONNX's B [directions, 2*gh] -> what is added to the gates, [directions*gh]; the bias
 * that a GRU adds inside of its reset stays apart. */
static struct status *split_bias(struct ir_node *n, const struct layer *l, int64_t gh,
                                 struct ir_value **gates, struct ir_value **inside)
{
    const int64_t d = l->directions, h = l->hidden;
    struct ir_value *both = ir_in(n, ONNX_B), *of_w, *of_r, *sum;

    *gates = *inside = NULL;
    if (!both)
        return OK;
    if (both->rank != 2 || both->dim[0] != d || both->dim[1] != 2 * gh)
        return FAIL_AT(n, INVALID, "bias '%s' does not fit the others' dims",
                       both->name);
    RETURN_IF_FAIL(columns(n, both, 0, gh, &of_w));
    if (n->op == OP_GRU && ir_attr_int(n, "linear_before_reset", 0)) {
        struct ir_value *early, *late, *parts[2];
        RETURN_IF_FAIL(columns(n, both, gh + 2 * h, h, inside));
        RETURN_IF_FAIL(columns(n, both, gh, 2 * h, &of_r));
        RETURN_IF_FAIL(columns(n, of_w, 0, 2 * h, &early));
        RETURN_IF_FAIL(columns(n, of_w, 2 * h, h, &late));
        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Add, NULL, 2,
                               (struct ir_value *[]){early, of_r}, NULL, &parts[0]));
        parts[1] = late;
        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Concat, NULL, 2, parts, "axis=1", &sum));
    } else {
        RETURN_IF_FAIL(columns(n, both, gh, gh, &of_r));
        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Add, NULL, 2,
                               (struct ir_value *[]){of_w, of_r}, NULL, &sum));
    }
    return op_emit_ints(n, OP_Reshape, sum, "shape", 1, (int64_t[]){d * gh}, gates);
}

/* gates = X W^T + bias, for all steps and directions at once. */
static struct status *make_gates(struct ir_node *n, const struct layer *l, int64_t gh,
                                 struct ir_value *bias, struct ir_value **out)
{
    struct ir_value *x = n->in[ONNX_X], *w = n->in[ONNX_W], *in[3] = {NULL, NULL, bias},
                    *y;
    const int64_t d = l->directions, rows = x->dim[0] * x->dim[1];

    if (w->rank != 3 || w->dim[0] != d || w->dim[1] != gh || w->dim[2] != x->dim[2])
        return FAIL_AT(n, INVALID, "weights '%s' do not fit the others' dims", w->name);
    RETURN_IF_FAIL(op_emit_ints(n, OP_Reshape, x, "shape", 2,
                                (int64_t[]){rows, x->dim[2]}, &in[0]));
    RETURN_IF_FAIL(op_emit_ints(n, OP_Reshape, w, "shape", 2,
                                (int64_t[]){d * gh, w->dim[2]}, &in[1]));
    RETURN_IF_FAIL(
        ir_emit(n->graph, n, OP_Gemm, n->name, bias ? 3 : 2, in, "transB=1", &y));
    return op_emit_ints(n, OP_Reshape, y, "shape", 3,
                        (int64_t[]){x->dim[0], x->dim[1], d * gh}, out);
}

/* One step for each column [directions, columns], also where a direction has one. */
static struct status *column_steps(struct ir_node *n, int scale, int64_t columns,
                                   struct ir_value **out)
{
    struct ir_value *v = n->in[scale];
    const int64_t d = v->dim[0];

    if (v->rank == 2) {
        *out = v;
        return OK;
    }
    RETURN_IF_FAIL(op_emit_ints(n, OP_Reshape, v, "shape", 2, (int64_t[]){d, 1}, &v));
    return op_emit_ints(n, OP_Expand, v, "shape", 2, (int64_t[]){d, columns}, out);
}

static uint8_t unsigned_code(const struct ir_value *v, int64_t i)
{
    return ((const uint8_t *)v->data)[i] ^ (v->dtype == DT_i8 ? 0x80 : 0);
}

static struct ir_value *unsigned_codes(struct compile *c, const struct ir_value *v)
{
    uint8_t *to = arena_new_array(c->perm, uint8_t, ir_count(v));

    for (int64_t i = 0; i < ir_count(v); i++)
        to[i] = unsigned_code(v, i);
    return ir_const_ref(c, v->name, DT_u8, v->rank, v->dim, to);
}

/* The zero point of each of R's columns [directions, columns]. */
static struct ir_value *column_zeros(const struct ir_node *n, int64_t columns)
{
    struct compile *c = n->graph->compile;
    const struct ir_value *v = n->in[CODED_R_ZERO];
    const int64_t dim[] = {v->dim[0], columns};
    uint8_t *to = arena_new_array(c->perm, uint8_t, dim[0] * dim[1]);

    for (int64_t i = 0; i < dim[0] * dim[1]; i++)
        to[i] = unsigned_code(v, v->rank == 2 ? i : i / columns);
    return ir_const_ref(c, v->name, DT_u8, 2, dim, to);
}

/* Codes of x, their scale and zero point. */
static struct status *quantize_dynamically(struct ir_node *n, struct ir_value *x,
                                           struct ir_value *out[3])
{
    struct ir_node *q =
        ir_node_create(n->graph, n, OP_DynamicQuantizeLinear, n->name, 1, 3);

    ir_set_input(q, 0, x);
    for (int i = 0; i < 3; i++)
        out[i] = ir_new_output(q, i, NULL);
    RETURN_IF_FAIL(import_DynamicQuantizeLinear(q, 0));
    for (int i = 0; i < 3; i++)
        out[i] = out[i]->replaced_by;
    return OK;
}

/* gates = scales * (codes of X) W + bias: what DynamicQuantizeLSTM does with X. */
static struct status *make_gates_of_codes(struct ir_node *n, const struct layer *l,
                                          int64_t gh, struct ir_value *bias,
                                          struct ir_value **out)
{
    struct ir_graph *g = n->graph;
    struct ir_value *x = n->in[ONNX_X], *w = n->in[ONNX_W], *q[3], *steps, *y;
    const int64_t d = l->directions, rows = x->dim[0] * x->dim[1];

    if (w->rank != 3 || w->dim[0] != d || w->dim[1] != x->dim[2] || w->dim[2] != gh)
        return FAIL_AT(n, INVALID, "weights '%s' do not fit the others' dims", w->name);
    RETURN_IF_FAIL(
        op_emit_ints(n, OP_Transpose, w, "perm", 3, (int64_t[]){1, 0, 2}, &w));
    RETURN_IF_FAIL(
        op_emit_ints(n, OP_Reshape, w, "shape", 2, (int64_t[]){x->dim[2], d * gh}, &w));
    RETURN_IF_FAIL(column_steps(n, CODED_W_SCALE, gh, &steps));
    RETURN_IF_FAIL(
        op_emit_ints(n, OP_Reshape, steps, "shape", 1, (int64_t[]){d * gh}, &steps));
    RETURN_IF_FAIL(
        op_emit_ints(n, OP_Reshape, x, "shape", 2, (int64_t[]){rows, x->dim[2]}, &x));
    RETURN_IF_FAIL(quantize_dynamically(n, x, q));
    RETURN_IF_FAIL(ir_emit(g, n, OP_Mul, NULL, 2, (struct ir_value *[]){q[1], steps},
                           NULL, &steps));
    RETURN_IF_FAIL(ir_emit(g, n, OP_MatMulInteger, n->name, 3,
                           (struct ir_value *[]){q[0], w, q[2]}, NULL, &y));
    RETURN_IF_FAIL(ir_emit(g, n, OP_Cast, NULL, 1, &y, "to=1", &y));
    RETURN_IF_FAIL(
        ir_emit(g, n, OP_Mul, NULL, 2, (struct ir_value *[]){y, steps}, NULL, &y));
    if (bias)
        RETURN_IF_FAIL(
            ir_emit(g, n, OP_Add, NULL, 2, (struct ir_value *[]){y, bias}, NULL, &y));
    return op_emit_ints(
        n, OP_Reshape, y, "shape", 3,
        (int64_t[]){n->in[ONNX_X]->dim[0], n->in[ONNX_X]->dim[1], d * gh}, out);
}

static struct status *name_activations(struct ir_node *n, const struct layer *l)
{
    static const char *const usual[3][3] = {
        {"Tanh"}, {"Sigmoid", "Tanh"}, {"Sigmoid", "Tanh", "Tanh"}};
    const char *names[MAX_ACTIVATIONS];
    int count;

    ir_attr_strings(n, "activations", &count);
    for (int i = 0; i < l->directions * l->n_activations; i++)
        names[i] = usual[l->n_activations - 1][i % l->n_activations];
    if (!count)
        ir_set_attr_strings(n, "activations", l->directions * l->n_activations, names);
    return OK;
}

/* n is DynamicQuantizeLSTM where W and R are codes; they lie transposed. */
static struct status *import_recurrent(struct ir_node *n)
{
    const bool codes = n->op == OP_DynamicQuantizeLSTM;
    struct ir_value *in[N_OPERANDS] = {NULL}, *bias;
    struct layer l;

    if (!ir_in(n, ONNX_R) || !ir_in(n, ONNX_W))
        return FAIL_AT(n, INVALID, "needs inputs, W and R");
    if (!codes && n->n_in > (n->op == OP_LSTM ? ONNX_P : ONNX_H) + 1)
        return FAIL_AT(n, INVALID, "has %d inputs but needs at most %d", n->n_in,
                       (n->op == OP_LSTM ? ONNX_P : ONNX_H) + 1);
    kind_of(n, &l);
    RETURN_IF_FAIL(read_direction(n, &l));
    RETURN_IF_FAIL(name_activations(n, &l));
    RETURN_IF_FAIL(op_check_rank(n, ONNX_X, 3, 3));
    RETURN_IF_FAIL(op_check_rank(n, ONNX_R, 3, 3));
    l.hidden = n->in[ONNX_R]->dim[codes ? 1 : 2];
    if (l.hidden < 1 || l.hidden > MAX_HIDDEN
        || ir_attr_int(n, "hidden_size", l.hidden) != l.hidden)
        return FAIL_AT(n, INVALID, "hidden_size does not fit R's %lld columns",
                       (long long)l.hidden);
    if (codes && n->in[ONNX_R]->dim[2] != l.gates * l.hidden)
        return FAIL_AT(n, INVALID, "'%s' has not %d gates of %lld", n->in[ONNX_R]->name,
                       l.gates, (long long)l.hidden);
    RETURN_IF_FAIL(split_bias(n, &l, l.gates * l.hidden, &bias, &in[BIAS]));
    RETURN_IF_FAIL((codes && n->in[ONNX_W]->dtype == DT_i8
                        ? make_gates_of_codes
                        : make_gates)(n, &l, l.gates * l.hidden, bias, &in[GATES]));
    if (codes) {
        in[RT] = unsigned_codes(n->graph->compile, n->in[ONNX_R]);
        in[ZEROS] = column_zeros(n, l.gates * l.hidden);
        RETURN_IF_FAIL(column_steps(n, CODED_R_SCALE, l.gates * l.hidden, &in[STEPS]));
    } else {
        RETURN_IF_FAIL(op_emit_ints(n, OP_Transpose, n->in[ONNX_R], "perm", 3,
                                    (int64_t[]){0, 2, 1}, &in[RT]));
    }
    in[LENGTHS] = ir_in(n, ONNX_LENGTHS);
    in[FIRST_H] = ir_in(n, ONNX_H);
    in[FIRST_C] = ir_in(n, ONNX_C);
    in[PEEPHOLE] = ir_in(n, ONNX_P);
    int n_in = N_OPERANDS;
    while (!in[n_in - 1])
        n_in--;
    for (int i = 0; i < n_in; i++)
        ir_set_input(n, i, in[i]);
    op_keep_inputs(n, n_in);
    ir_remove_attr(n, "output_sequence");
    ir_remove_attr(n, "hidden_size");
    return OK;
}

struct status *import_RNN(struct ir_node *n, int opset)
{
    (void)opset;
    return import_recurrent(n);
}

struct status *import_GRU(struct ir_node *n, int opset)
{
    (void)opset;
    return import_recurrent(n);
}

struct status *import_LSTM(struct ir_node *n, int opset)
{
    (void)opset;
    return import_recurrent(n);
}

/* ---- codes ------------------------------------------------------------------ */

/* Scale and zero point of q [directions, ..., n*hidden] are [directions], or
 * [directions, n*hidden] for each column. */
static struct status *check_steps(const struct ir_node *n, int q, int scale)
{
    const struct ir_value *x = ir_in(n, q);

    if (!x || !ir_in(n, scale) || !ir_in(n, scale + 1))
        return FAIL_AT(n, INVALID, "input %d, its scale or its zero point is left out",
                       q);
    RETURN_IF_FAIL(op_check_rank(n, q, 3, 3));
    for (int i = scale; i <= scale + 1; i++) {
        const struct ir_value *v = n->in[i];

        RETURN_IF_FAIL(op_check_rank(n, i, 1, 2));
        if (v->dim[0] != x->dim[0] || (v->rank == 2 && v->dim[1] != x->dim[2]))
            return FAIL_AT(n, INVALID, "'%s' does not fit to '%s'", v->name, x->name);
    }
    return OK;
}

static bool counts_from_zero(const struct ir_value *q, const struct ir_value *zero)
{
    const int8_t *at = zero->data;

    if (q->dtype != DT_i8 || zero->dtype != DT_i8 || !at)
        return false;
    for (int64_t i = 0; i < ir_count(zero); i++)
        if (at[i])
            return false;
    return true;
}

/* [directions, n*hidden, ...] of (q - zero) * scale. */
static struct status *decode(struct ir_node *n, int q, int scale)
{
    static const int64_t swap[] = {0, 2, 1};
    struct ir_value *x = n->in[q], *factor[2] = {n->in[scale], n->in[scale + 1]};

    for (int i = 0; i < 2; i++)
        RETURN_IF_FAIL(op_emit_ints(
            n, OP_Reshape, factor[i], "shape", 3,
            (int64_t[]){x->dim[0], 1, factor[i]->rank == 2 ? x->dim[2] : 1},
            &factor[i]));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Cast, NULL, 1, &x, "to=1", &x));
    RETURN_IF_FAIL(
        ir_emit(n->graph, n, OP_Cast, NULL, 1, &factor[1], "to=1", &factor[1]));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Sub, NULL, 2,
                           (struct ir_value *[]){x, factor[1]}, NULL, &x));
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Mul, NULL, 2,
                           (struct ir_value *[]){x, factor[0]}, NULL, &x));
    RETURN_IF_FAIL(op_emit_ints(n, OP_Transpose, x, "perm", 3, swap, &x));
    ir_set_input(n, q, x);
    return OK;
}

static bool is_coded(const struct ir_value *q, const struct ir_value *zero)
{
    return q->data && zero->data && q->dtype == zero->dtype
           && (q->dtype == DT_i8 || q->dtype == DT_u8) && q->dim[1] <= MAX_CODED_HIDDEN;
}

/* An LSTM whose W and R are codes and lie transposed.  Inputs are rounded to codes as
 * the definition says, and stay float where W's have a zero point; the state is rounded
 * to more than the 8 bits that others take. */
struct status *import_DynamicQuantizeLSTM(struct ir_node *n, int opset)
{
    (void)opset;
    RETURN_IF_FAIL(check_steps(n, ONNX_W, CODED_W_SCALE));
    RETURN_IF_FAIL(check_steps(n, ONNX_R, CODED_R_SCALE));
    const bool coded = is_coded(n->in[ONNX_R], n->in[CODED_R_ZERO]);

    if (!coded || !counts_from_zero(n->in[ONNX_W], n->in[CODED_W_ZERO]))
        RETURN_IF_FAIL(decode(n, ONNX_W, CODED_W_SCALE));
    if (!coded) {
        RETURN_IF_FAIL(decode(n, ONNX_R, CODED_R_SCALE));
        op_keep_inputs(n, ONNX_P + 1);
        n->op = OP_LSTM;
    }
    RETURN_IF_FAIL(import_recurrent(n));
    n->op = OP_LSTM;
    return OK;
}

const struct ir_value *recurrent_weights(const struct ir_node *n)
{
    const bool is_layer = n->op == OP_RNN || n->op == OP_GRU || n->op == OP_LSTM;
    const struct ir_value *r = is_layer ? n->in[RT] : NULL;

    return match_finite_f32(r) && r->rank == 3 && r->dim[1] <= MAX_CODED_HIDDEN ? r
                                                                                : NULL;
}

int64_t recurrent_code_bytes(const struct ir_value *weights)
{
    const int64_t columns = weights->dim[0] * weights->dim[2];

    return columns * (weights->dim[1] + (int64_t)sizeof(float) + 1);
}

struct status *recurrent_set_codes(struct ir_node *n, const uint8_t *codes,
                                   const float *step)
{
    struct compile *c = n->graph->compile;
    const struct ir_value *r = n->in[RT];
    const int64_t dim[] = {r->dim[0], r->dim[2]};
    uint8_t *zeros = arena_alloc(c->scratch, (size_t)(dim[0] * dim[1]));
    struct ir_value *in[N_OPERANDS] = {NULL};

    memset(zeros, 128, (size_t)(dim[0] * dim[1]));
    for (int i = 0; i < n->n_in; i++)
        in[i] = n->in[i];
    in[RT] = ir_const(c, r->name, DT_u8, 3, r->dim, codes);
    in[STEPS] = ir_const(c, NULL, DT_f32, 2, dim, step);
    in[ZEROS] = ir_const(c, NULL, DT_u8, 2, dim, zeros);
    for (int i = 0; i < N_OPERANDS; i++)
        ir_set_input(n, i, in[i]);
    return ir_infer(n);
}

/* ---- shape ------------------------------------------------------------------ */

static int find_function(const char *name)
{
    for (int i = 0; i < N_FUNCTIONS; i++)
        if (!strcasecmp(functions[i].name, name))
            return i;
    return -1;
}

static struct status *check_activations(const struct ir_node *n, const struct layer *l)
{
    int count;
    const char *const *names = ir_attr_strings(n, "activations", &count);

    if (count != l->directions * l->n_activations)
        return FAIL_AT(n, INVALID, "has %d activations but needs %d", count,
                       l->directions * l->n_activations);
    for (int i = 0; i < count; i++)
        if (find_function(names[i]) < 0)
            return FAIL_AT(n, UNSUPPORTED, "activation '%s' is not supported",
                           names[i]);
    return OK;
}

static struct status *check_dims(const struct ir_node *n, int i, enum dtype dtype,
                                 int rank, const int64_t *dim)
{
    const struct ir_value *v = ir_in(n, i);

    if (!v)
        return OK;
    RETURN_IF_FAIL(op_check_dtype(n, i, dtype));
    if (v->rank != rank || memcmp(v->dim, dim, (size_t)rank * sizeof *dim) != 0)
        return FAIL_AT(n, INVALID, "input '%s' does not fit the others' dims", v->name);
    return OK;
}

static struct status *read_layer(const struct ir_node *n, struct layer *l)
{
    const struct ir_value *gates = n->in[GATES], *rt = n->in[RT];

    *l = (struct layer){.batch_first = ir_attr_int(n, "layout", 0) != 0};
    kind_of(n, l);
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_direction(n, l));
    RETURN_IF_FAIL(op_check_rank(n, GATES, 3, 3));
    RETURN_IF_FAIL(op_check_rank(n, RT, 3, 3));
    l->steps = gates->dim[l->batch_first ? 1 : 0];
    l->batch = gates->dim[l->batch_first ? 0 : 1];
    l->hidden = rt->dim[1];
    if (l->hidden < 1 || l->hidden > MAX_HIDDEN || l->steps > INT32_MAX
        || gates->dim[2] != l->directions * l->gates * l->hidden)
        return FAIL_AT(n, INVALID, "has %lld gate values for a state of %lld",
                       (long long)gates->dim[2], (long long)l->hidden);
    return OK;
}

static struct status *shape_recurrent(struct ir_node *n)
{
    const enum dtype t = n->in[GATES]->dtype;
    struct layer l;

    RETURN_IF_FAIL(read_layer(n, &l));
    RETURN_IF_FAIL(check_activations(n, &l));
    const int64_t d = l.directions, h = l.hidden;
    const int64_t state[3] = {l.batch_first ? l.batch : d, l.batch_first ? d : l.batch,
                              h};
    const struct ir_value *steps = ir_in(n, STEPS);

    RETURN_IF_FAIL(
        check_dims(n, RT, steps ? DT_u8 : t, 3, (int64_t[]){d, h, l.gates * h}));
    if (steps) {
        RETURN_IF_FAIL(check_dims(n, STEPS, t, 2, (int64_t[]){d, l.gates * h}));
        RETURN_IF_FAIL(check_dims(n, ZEROS, DT_u8, 2, (int64_t[]){d, l.gates * h}));
        if (!ir_in(n, ZEROS) || h > MAX_CODED_HIDDEN)
            return FAIL_AT(n, INVALID, "has no zero points or too large a state");
    }
    RETURN_IF_FAIL(check_dims(n, LENGTHS, DT_i32, 1, &l.batch));
    RETURN_IF_FAIL(check_dims(n, FIRST_H, t, 3, state));
    RETURN_IF_FAIL(check_dims(n, FIRST_C, t, 3, state));
    RETURN_IF_FAIL(check_dims(n, PEEPHOLE, t, 2, (int64_t[]){d, 3 * h}));
    RETURN_IF_FAIL(check_dims(n, BIAS, t, 2, (int64_t[]){d, h}));
    const int64_t first[4] = {l.steps, d, l.batch, h},
                  last[4] = {l.batch, l.steps, d, h};
    op_set_out(n, Y, t, 4, l.batch_first ? last : first);
    op_set_out(n, Y_H, t, 3, state);
    op_set_out(n, Y_C, t, 3, state);
    return OK;
}

struct status *shape_RNN(struct ir_node *n)
{
    return shape_recurrent(n);
}

struct status *shape_GRU(struct ir_node *n)
{
    return shape_recurrent(n);
}

struct status *shape_LSTM(struct ir_node *n)
{
    return shape_recurrent(n);
}

/* ---- lowering --------------------------------------------------------------- */

/* Alphas and betas are consumed in order by the functions that take them. */
static void set_activations(const struct ir_node *n, const struct layer *l,
                            int direction, struct k_recurrent *p)
{
    const struct ir_attr *alphas = ir_attr(n, "activation_alpha");
    const struct ir_attr *betas = ir_attr(n, "activation_beta");
    int count, n_alpha = 0, n_beta = 0;
    const char *const *names = ir_attr_strings(n, "activations", &count);

    for (int i = 0; i < count; i++) {
        const int f = find_function(names[i]), at = i - direction * l->n_activations;
        float alpha = functions[f].alpha, beta = functions[f].beta;
        if (functions[f].has_alpha && alphas && n_alpha < alphas->n)
            alpha = alphas->floats[n_alpha++];
        if (functions[f].has_beta && betas && n_beta < betas->n)
            beta = betas->floats[n_beta++];
        if (at < 0 || at >= l->n_activations)
            continue;
        p->activation[at] = f;
        p->alpha[at] = alpha;
        p->beta[at] = beta;
    }
}

static void in_if(struct kcall *call, struct ir_value *v, int64_t offset)
{
    if (v)
        lower_in_at(call, v, offset);
}

static void out_if(struct kcall *call, const struct ir_node *n, int i, int64_t offset)
{
    if (i < n->n_out && n->out[i])
        lower_out_at(call, n->out[i], offset);
}

static void call_steps(struct lowering *lw, const struct ir_node *n,
                       const struct layer *l, int direction)
{
    const int64_t h = l->hidden, gh = l->gates * h, d = l->directions;
    const int64_t f = (int64_t)sizeof(float);
    /* Offset of this direction in states [d, b, h] or [b, d, h], and in Y. */
    const int64_t state = direction * (l->batch_first ? h : l->batch * h) * f;
    const char *cell = n->op == OP_RNN ? "rnn" : n->op == OP_GRU ? "gru" : "lstm";
    struct k_recurrent p = {
        .steps = l->steps,
        .batch = l->batch,
        .hidden = h,
        .backward = l->reversed || direction == 1,
        .x_t = l->batch_first ? d * gh : l->batch * d * gh,
        .x_b = l->batch_first ? l->steps * d * gh : d * gh,
        .y_t = l->batch_first ? d * h : d * l->batch * h,
        .y_b = l->batch_first ? l->steps * d * h : h,
        .h_b = l->batch_first ? d * h : h,
        .has_lengths = ir_in(n, LENGTHS) != NULL,
        .has_h = ir_in(n, FIRST_H) != NULL,
        .has_c = ir_in(n, FIRST_C) != NULL,
        .has_peephole = ir_in(n, PEEPHOLE) != NULL,
        .has_bias = ir_in(n, BIAS) != NULL,
        .has_steps = ir_in(n, STEPS) != NULL,
        .has_y = n->n_out > Y && n->out[Y],
        .has_y_h = n->n_out > Y_H && n->out[Y_H],
        .has_y_c = n->n_out > Y_C && n->out[Y_C],
        .flag = n->op == OP_GRU ? ir_attr_int(n, "linear_before_reset", 0) != 0
                                : ir_attr_int(n, "input_forget", 0) != 0,
        .clip = ir_attr_float(n, "clip", 0),
    };

    set_activations(n, l, direction, &p);
    struct kcall *call = lower_call_typed(lw, cell, DT_f32, &p, l->batch);
    lower_in_at(call, n->in[GATES], direction * gh * f);
    lower_in_at(call, n->in[RT], direction * gh * h * (p.has_steps ? 1 : f));
    in_if(call, ir_in(n, LENGTHS), 0);
    in_if(call, ir_in(n, FIRST_H), state);
    in_if(call, ir_in(n, FIRST_C), state);
    in_if(call, ir_in(n, PEEPHOLE), direction * 3 * h * f);
    in_if(call, ir_in(n, BIAS), direction * h * f);
    in_if(call, ir_in(n, STEPS), direction * gh * f);
    in_if(call, ir_in(n, ZEROS), direction * gh);
    out_if(call, n, Y, state);
    out_if(call, n, Y_H, state);
    out_if(call, n, Y_C, state);
    lower_scratch(call, ((p.has_steps ? 2 : 1) * l->gates + 3) * h * f);
}

static struct status *lower_recurrent(struct lowering *lw, const struct ir_node *n)
{
    struct layer l;

    if (n->in[GATES]->dtype != DT_f32)
        return op_no_kernel(n, n->in[GATES]->dtype);
    RETURN_IF_FAIL(read_layer(n, &l));
    for (int direction = 0; direction < l.directions; direction++)
        call_steps(lw, n, &l, direction);
    return OK;
}

struct status *lower_RNN(struct lowering *lw, const struct ir_node *n)
{
    return lower_recurrent(lw, n);
}

struct status *lower_GRU(struct lowering *lw, const struct ir_node *n)
{
    return lower_recurrent(lw, n);
}

struct status *lower_LSTM(struct lowering *lw, const struct ir_node *n)
{
    return lower_recurrent(lw, n);
}
