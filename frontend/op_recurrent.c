/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU, LSTM with ONNX's operands:
 *
 *     Y, Y_h[, Y_c] = LSTM(X, W, R[, B, sequence_lens, initial_h, initial_c, P])
 *         {direction hidden_size layout clip activations activation_alpha
 *          activation_beta input_forget}
 *
 * Each direction is one product of all steps' inputs with W and one kernel that walks
 * through time.  The list of activations is written out by import. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "frontend/op_help.h"

enum { X, W, R, B, LENGTHS, FIRST_H, FIRST_C, PEEPHOLE };
enum { Y, Y_H, Y_C };
enum { MAX_ACTIVATIONS = 6 };

/* In the order of the kernels' enum; whether alpha and beta are taken from the lists,
 * and their values otherwise. */
static const struct {
    const char *name;
    bool has_alpha, has_beta;
    float alpha, beta;
} functions[] = {
    {"Relu", false, false, 0, 0},
    {"Tanh", false, false, 0, 0},
    {"Sigmoid", false, false, 0, 0},
    {"Affine", true, true, 1, 0},
    {"LeakyRelu", true, false, 0.01f, 0},
    {"ThresholdedRelu", true, false, 1, 0},
    {"ScaledTanh", true, true, 1, 1},
    {"HardSigmoid", true, true, 0.2f, 0.5f},
    {"Elu", true, false, 1, 0},
    {"Softsign", false, false, 0, 0},
    {"Softplus", false, false, 0, 0},
};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

struct layer {
    int gates, states, n_activations; /* per direction */
    int directions;
    bool reversed, batch_first;
    int64_t steps, batch, input, hidden;
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
        return FAIL_AT(n, INVALID, "direction is '%s'", direction);
    return OK;
}

/* ---- import ------------------------------------------------------------------------- */

static struct status *import_recurrent(struct ir_node *n)
{
    static const char *const usual[3][3] = {
        {"Tanh"}, {"Sigmoid", "Tanh"}, {"Sigmoid", "Tanh", "Tanh"}};
    const char *names[MAX_ACTIVATIONS];
    struct layer l;
    int count;

    kind_of(n, &l);
    RETURN_IF_FAIL(read_direction(n, &l));
    ir_remove_attr(n, "output_sequence");
    ir_attr_strings(n, "activations", &count);
    if (count)
        return OK;
    for (int i = 0; i < l.directions * l.n_activations; i++)
        names[i] = usual[l.n_activations - 1][i % l.n_activations];
    ir_set_attr_strings(n, "activations", l.directions * l.n_activations, names);
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

/* ---- shape -------------------------------------------------------------------------- */

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
            return FAIL_AT(n, UNSUPPORTED, "activation '%s'", names[i]);
    return OK;
}

static struct status *check_dims(const struct ir_node *n, int i, enum dtype dtype, int rank,
                                 const int64_t *dim)
{
    const struct ir_value *v = ir_in(n, i);

    if (!v)
        return OK;
    if (v->dtype != dtype)
        return FAIL_AT(n, INVALID, "input '%s' is %s but must be %s", v->name,
                       dtype_info[v->dtype].name, dtype_info[dtype].name);
    if (v->rank != rank || memcmp(v->dim, dim, (size_t)rank * sizeof *dim) != 0)
        return FAIL_AT(n, INVALID, "input '%s' does not fit the others' dims", v->name);
    return OK;
}

static struct status *read_layer(const struct ir_node *n, struct layer *l)
{
    const struct ir_value *x = n->in[X], *r = n->in[R];

    *l = (struct layer){.batch_first = ir_attr_int(n, "layout", 0) != 0};
    kind_of(n, l);
    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_direction(n, l));
    RETURN_IF_FAIL(op_check_rank(n, X, 3, 3));
    RETURN_IF_FAIL(op_check_rank(n, R, 3, 3));
    l->steps = x->dim[l->batch_first ? 1 : 0];
    l->batch = x->dim[l->batch_first ? 0 : 1];
    l->input = x->dim[2];
    l->hidden = ir_attr_int(n, "hidden_size", r->dim[2]);
    if (l->hidden < 1 || l->hidden != r->dim[2] || l->hidden > 1 << 24 || l->steps > INT32_MAX)
        return FAIL_AT(n, INVALID, "hidden_size is %lld", (long long)l->hidden);
    return OK;
}

static struct status *shape_recurrent(struct ir_node *n)
{
    const enum dtype t = n->in[X]->dtype;
    struct layer l;

    RETURN_IF_FAIL(read_layer(n, &l));
    RETURN_IF_FAIL(check_activations(n, &l));
    const int64_t d = l.directions, h = l.hidden, gh = l.gates * h;
    const int64_t state[3] = {l.batch_first ? l.batch : d, l.batch_first ? d : l.batch, h};
    RETURN_IF_FAIL(check_dims(n, W, t, 3, (int64_t[]){d, gh, l.input}));
    RETURN_IF_FAIL(check_dims(n, R, t, 3, (int64_t[]){d, gh, h}));
    RETURN_IF_FAIL(check_dims(n, B, t, 2, (int64_t[]){d, 2 * gh}));
    RETURN_IF_FAIL(check_dims(n, LENGTHS, DT_i32, 1, &l.batch));
    RETURN_IF_FAIL(check_dims(n, FIRST_H, t, 3, state));
    RETURN_IF_FAIL(check_dims(n, FIRST_C, t, 3, state));
    RETURN_IF_FAIL(check_dims(n, PEEPHOLE, t, 2, (int64_t[]){d, 3 * h}));
    const int64_t first[4] = {l.steps, d, l.batch, h}, last[4] = {l.batch, l.steps, d, h};
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

/* ---- lowering ------------------------------------------------------------------------- */

/* Alphas and betas are consumed in order by the functions that take them. */
static void set_activations(const struct ir_node *n, const struct layer *l, int direction,
                            struct k_recurrent *p)
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

/* gates[t, b] = x[t, b] W^T + W's bias */
static int call_inputs(struct lowering *lw, const struct ir_node *n, const struct layer *l,
                       int direction)
{
    const int64_t rows = l->steps * l->batch, gh = l->gates * l->hidden;
    const int64_t f = (int64_t)sizeof(float);
    struct k_matmul p = {.m = rows, .n = gh, .k = l->input, .a_row = l->input, .a_col = 1,
                         .b_row = 1, .b_col = l->input, .c_col = 1,
                         .has_bias = ir_in(n, B) != NULL, .alpha = 1, .beta = 1};
    const int temp = lower_temp(lw, rows * gh * f);

    for (int i = 0; i < 6; i++)
        p.batch[i] = 1;
    struct kcall *call = lower_call(lw, "matmul_f32", &p, (rows + 3) / 4);
    lower_in(call, n->in[X]);
    lower_in_at(call, n->in[W], direction * gh * l->input * f);
    if (p.has_bias)
        lower_in_at(call, n->in[B], direction * 2 * gh * f);
    lower_out_temp(call, temp);
    return temp;
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

static void call_steps(struct lowering *lw, const struct ir_node *n, const struct layer *l,
                       int direction, int gates)
{
    const int64_t h = l->hidden, gh = l->gates * h, d = l->directions;
    const int64_t f = (int64_t)sizeof(float);
    /* Offset of this direction in states [d, b, h] or [b, d, h], and in Y. */
    const int64_t state = direction * (l->batch_first ? h : l->batch * h) * f;
    const char *cell = n->op == OP_RNN ? "rnn" : n->op == OP_GRU ? "gru" : "lstm";
    struct k_recurrent p = {
        .steps = l->steps, .batch = l->batch, .hidden = h,
        .backward = l->reversed || direction == 1,
        .x_t = l->batch_first ? gh : l->batch * gh,
        .x_b = l->batch_first ? l->steps * gh : gh,
        .y_t = l->batch_first ? d * h : d * l->batch * h,
        .y_b = l->batch_first ? l->steps * d * h : h,
        .h_b = l->batch_first ? d * h : h,
        .has_lengths = ir_in(n, LENGTHS) != NULL,
        .has_h = ir_in(n, FIRST_H) != NULL,
        .has_c = ir_in(n, FIRST_C) != NULL,
        .has_peephole = ir_in(n, PEEPHOLE) != NULL,
        .has_bias = ir_in(n, B) != NULL,
        .has_y = n->n_out > Y && n->out[Y],
        .has_y_h = n->n_out > Y_H && n->out[Y_H],
        .has_y_c = n->n_out > Y_C && n->out[Y_C],
        .flag = n->op == OP_GRU ? ir_attr_int(n, "linear_before_reset", 0) != 0
                                : ir_attr_int(n, "input_forget", 0) != 0,
        .clip = ir_attr_float(n, "clip", 0),
    };

    set_activations(n, l, direction, &p);
    struct kcall *call = lower_call_typed(lw, cell, DT_f32, &p, l->batch);
    lower_in_temp(call, gates);
    lower_in_at(call, n->in[R], direction * gh * h * f);
    in_if(call, ir_in(n, LENGTHS), 0);
    in_if(call, ir_in(n, FIRST_H), state);
    in_if(call, ir_in(n, FIRST_C), state);
    in_if(call, ir_in(n, PEEPHOLE), direction * 3 * h * f);
    in_if(call, ir_in(n, B), (direction * 2 + 1) * gh * f);
    out_if(call, n, Y, state);
    out_if(call, n, Y_H, state);
    out_if(call, n, Y_C, state);
    lower_scratch(call, (l->gates + 3) * h * f);
}

static struct status *lower_recurrent(struct lowering *lw, const struct ir_node *n)
{
    struct layer l;

    if (n->in[X]->dtype != DT_f32)
        return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s",
                       dtype_info[n->in[X]->dtype].name);
    RETURN_IF_FAIL(read_layer(n, &l));
    for (int direction = 0; direction < l.directions; direction++)
        call_steps(lw, n, &l, direction, call_inputs(lw, n, &l, direction));
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
