/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM and GRU in the form of frontend/op_recurrent.c: what inputs add to the gates is
 * made before, R is transposed.
 *
 *     LSTM   i, o, f = sigmoid(a)   u = tanh(a)      a = gates + h R
 *            c' = f c + i u         h' = o tanh(c')
 *     GRU    z, r = sigmoid(a)      u = tanh(gates + (r h) R)
 *            h' = (1 - z) u + z h   or with linear_before_reset
 *                                   u = tanh(gates + r (h R + bias))
 *
 * (Hochreiter and Schmidhuber 1997 with forget gates; Cho et al. 2014.)  Backwards
 * through time (Werbos 1990), all samples of a shard at once.
 */
#include <math.h>
#include <string.h>
#include <tgmath.h>

#include "train/derivatives.h"

enum { GATES, RT, LENGTHS, FIRST_H, FIRST_C, PEEPHOLE, BIAS };
enum { Y, Y_H, Y_C };

struct layer {
    int64_t steps, h, n_gates, directions;
    bool reversed, late_reset;
    int64_t record; /* numbers kept of a sample and step, see below */
};

/* What is kept of a sample at a step: the gates as they are used, then the new state.
 * LSTM: i o f u c h.  GRU: z r u, (h R)_u + bias or r h, h. */
enum { LSTM_C = 4, LSTM_H = 5, LSTM_RECORD = 6 };
enum { GRU_INNER = 3, GRU_H = 4, GRU_RECORD = 5 };

static real sigmoid(real x)
{
    return 1 / (1 + exp(-x));
}

static struct status *check_layer(const struct ir_node *n)
{
    int count;
    const char *const *names = ir_attr_strings(n, "activations", &count);
    const int each = n->op == OP_LSTM ? 3 : 2;

    for (int i = 0; i < count; i++)
        if (strcmp(names[i], i % each ? "Tanh" : "Sigmoid") != 0)
            return FAIL_AT(n, UNSUPPORTED, "training knows Sigmoid and Tanh only");
    if (n->in[RT]->dtype != DT_f32)
        return FAIL_AT(n, UNSUPPORTED, "training knows no codes");
    for (int i = LENGTHS; i <= PEEPHOLE; i++)
        if (ir_in(n, i) && i != FIRST_H && i != FIRST_C)
            return FAIL_AT(n, UNSUPPORTED, "training knows no lengths and peepholes");
    if (ir_attr(n, "clip") || ir_attr_int(n, "input_forget", 0)
        || ir_attr_int(n, "layout", 0) || n->in[GATES]->dim[1] != 1)
        return FAIL_AT(n, UNSUPPORTED,
                       "training knows no clip, coupled gates, layout or batch");
    return OK;
}

struct status *prepare_Recurrent(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    struct layer *l = arena_new(t->a, struct layer);

    RETURN_IF_FAIL(check_layer(n));
    *l = (struct layer){.steps = n->in[GATES]->dim[0],
                        .h = n->in[RT]->dim[1],
                        .n_gates = n->op == OP_LSTM ? 4 : 3,
                        .directions = n->in[RT]->dim[0],
                        .late_reset = ir_attr_int(n, "linear_before_reset", 0) != 0,
                        .record = n->op == OP_LSTM ? LSTM_RECORD : GRU_RECORD};
    l->reversed = strcmp(ir_attr_str(n, "direction", "forward"), "reverse") == 0;
    /* Record of step 0 is the first state. */
    s->kept_bytes =
        (size_t)(l->directions * (l->steps + 1) * t->shard_size * l->record * l->h)
        * sizeof(real);
    s->scratch_bytes = (size_t)(t->shard_size * (l->n_gates + 4) * l->h) * sizeof(real);
    s->plan = l;
    return OK;
}

/* ---- places --------------------------------------------------------------------- */

static const struct layer *layer_of(const struct tape_call *c)
{
    return c->step->plan;
}

/* What is kept of sample s after `step` steps. */
static real *record(const struct tape_call *c, int64_t d, int64_t step, int64_t s)
{
    const struct layer *l = layer_of(c);

    return (real *)c->kept
           + ((d * (l->steps + 1) + step) * c->tape->shard_size + s) * l->record * l->h;
}

/* The position in the sequence of step 1, 2, ... of direction d. */
static int64_t time_of(const struct layer *l, int64_t d, int64_t step)
{
    return l->reversed || d == 1 ? l->steps - step : step - 1;
}

static int64_t gates_at(const struct layer *l, int64_t d, int64_t step)
{
    return (time_of(l, d, step) * l->directions + d) * l->n_gates * l->h;
}

static int64_t y_at(const struct layer *l, int64_t d, int64_t step)
{
    return (time_of(l, d, step) * l->directions + d) * l->h;
}

static const real *r_of(const struct tape_call *c, int64_t d)
{
    const struct layer *l = layer_of(c);

    return (const real *)c->in[RT] + d * l->h * l->n_gates * l->h;
}

static int64_t state_at(const struct tape_call *c)
{
    return c->step->node->op == OP_LSTM ? LSTM_H : GRU_H;
}

/* sums[s][columns] (+)= from[s] R[:, column ...], rows of `from` being records. */
static void times_r(const struct tape_call *c, int64_t d, const real *from,
                    int64_t pitch, int64_t column, int64_t columns, real *to)
{
    const struct layer *l = layer_of(c);
    const int64_t wide = l->n_gates * l->h;

    real_gemm(BLAS_PLAIN, BLAS_PLAIN, c->n, columns, l->h, 1, from, pitch,
              r_of(c, d) + column, wide, 0, to + column, wide);
}

/* dh += da R^T and dR += h^T da for some columns of the gates. */
static void times_r_back(const struct tape_call *c, int64_t d, const real *da,
                         int64_t column, int64_t columns, const real *h, int64_t pitch,
                         real *dh)
{
    const struct layer *l = layer_of(c);
    const int64_t wide = l->n_gates * l->h;

    real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, c->n, l->h, columns, 1, da + column, wide,
              r_of(c, d) + column, wide, 1, dh, l->h);
    if (c->d_in[RT])
        real_gemm(BLAS_TRANSPOSED, BLAS_PLAIN, l->h, columns, c->n, 1, h, pitch,
                  da + column, wide, 1, c->d_in[RT] + d * l->h * wide + column, wide);
}

static void first_state(const struct tape_call *c, int64_t d, int operand,
                        int64_t place)
{
    const struct layer *l = layer_of(c);

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t i = 0; i < l->h; i++)
            record(c, d, 0, s)[place * l->h + i] =
                c->in[operand] ? call_in(c, operand, s)[d * l->h + i] : 0;
}

static void write_state(const struct tape_call *c, int64_t d, int output, int64_t place)
{
    const struct layer *l = layer_of(c);

    for (int64_t s = 0; output < c->step->node->n_out && c->out[output] && s < c->n;
         s++)
        memcpy(call_out(c, output, s) + d * l->h,
               record(c, d, l->steps, s) + place * l->h, (size_t)l->h * sizeof(real));
}

static void write_y(const struct tape_call *c, int64_t d, int64_t step)
{
    const struct layer *l = layer_of(c);

    for (int64_t s = 0; c->out[Y] && s < c->n; s++)
        memcpy(call_out(c, Y, s) + y_at(l, d, step),
               record(c, d, step, s) + state_at(c) * l->h, (size_t)l->h * sizeof(real));
}

/* Gradients of the outputs, added to that of a state. */
static void from_outputs(const struct tape_call *c, int64_t d, int64_t step, real *dh)
{
    const struct layer *l = layer_of(c);

    for (int64_t s = 0; s < c->n; s++)
        for (int64_t i = 0; i < l->h; i++) {
            if (c->d_out[Y])
                dh[s * l->h + i] += call_d_out(c, Y, s)[y_at(l, d, step) + i];
            if (c->d_out[Y_H] && step == l->steps)
                dh[s * l->h + i] += call_d_out(c, Y_H, s)[d * l->h + i];
        }
}

static void to_first(const struct tape_call *c, int64_t d, int operand, const real *dh)
{
    const struct layer *l = layer_of(c);

    for (int64_t s = 0; c->d_in[operand] && s < c->n; s++)
        for (int64_t i = 0; i < l->h; i++)
            call_d_in(c, operand, s)[d * l->h + i] += dh[s * l->h + i];
}

static void to_gates(const struct tape_call *c, int64_t d, int64_t step, const real *da)
{
    const struct layer *l = layer_of(c);
    const int64_t wide = l->n_gates * l->h;

    for (int64_t s = 0; c->d_in[GATES] && s < c->n; s++)
        for (int64_t i = 0; i < wide; i++)
            call_d_in(c, GATES, s)[gates_at(l, d, step) + i] += da[s * wide + i];
}

/* ---- LSTM ----------------------------------------------------------------------- */

static void lstm_step(const struct tape_call *c, int64_t d, int64_t step)
{
    const struct layer *l = layer_of(c);
    const int64_t h = l->h;
    real *sums = c->scratch;

    times_r(c, d, record(c, d, step - 1, 0) + LSTM_H * h, LSTM_RECORD * h, 0, 4 * h,
            sums);
    for (int64_t s = 0; s < c->n; s++) {
        const real *gates = call_in(c, GATES, s) + gates_at(l, d, step);
        const real *before = record(c, d, step - 1, s), *a = sums + s * 4 * h;
        real *now = record(c, d, step, s);

        for (int64_t i = 0; i < 3 * h; i++)
            now[i] = sigmoid(gates[i] + a[i]);
        for (int64_t i = 3 * h; i < 4 * h; i++)
            now[i] = tanh(gates[i] + a[i]);
        for (int64_t i = 0; i < h; i++) {
            const real state =
                now[2 * h + i] * before[LSTM_C * h + i] + now[i] * now[3 * h + i];

            now[LSTM_C * h + i] = state;
            now[LSTM_H * h + i] = now[h + i] * tanh(state);
        }
    }
    write_y(c, d, step);
}

void forward_LSTM(const struct tape_call *c)
{
    const struct layer *l = layer_of(c);

    for (int64_t d = 0; d < l->directions; d++) {
        first_state(c, d, FIRST_H, LSTM_H);
        first_state(c, d, FIRST_C, LSTM_C);
        for (int64_t step = 1; step <= l->steps; step++)
            lstm_step(c, d, step);
        write_state(c, d, Y_H, LSTM_H);
        write_state(c, d, Y_C, LSTM_C);
    }
}

static void lstm_step_back(const struct tape_call *c, int64_t d, int64_t step, real *da,
                           real *dh, real *dc)
{
    const struct layer *l = layer_of(c);
    const int64_t h = l->h;

    from_outputs(c, d, step, dh);
    for (int64_t s = 0; s < c->n; s++) {
        const real *now = record(c, d, step, s), *before = record(c, d, step - 1, s);
        real *a = da + s * 4 * h;

        for (int64_t k = 0; k < h; k++) {
            const real i = now[k], o = now[h + k], f = now[2 * h + k],
                       u = now[3 * h + k];
            const real t = tanh(now[LSTM_C * h + k]), d_h = dh[s * h + k];
            const real d_c = dc[s * h + k] + d_h * o * (1 - t * t);

            a[k] = d_c * u * i * (1 - i);
            a[h + k] = d_h * t * o * (1 - o);
            a[2 * h + k] = d_c * before[LSTM_C * h + k] * f * (1 - f);
            a[3 * h + k] = d_c * i * (1 - u * u);
            dc[s * h + k] = d_c * f;
            dh[s * h + k] = 0;
        }
    }
    to_gates(c, d, step, da);
    times_r_back(c, d, da, 0, 4 * h, record(c, d, step - 1, 0) + LSTM_H * h,
                 LSTM_RECORD * h, dh);
}

void backward_LSTM(const struct tape_call *c)
{
    const struct layer *l = layer_of(c);
    real *da = c->scratch, *dh = da + c->n * 4 * l->h, *dc = dh + c->n * l->h;

    for (int64_t d = 0; d < l->directions; d++) {
        memset(dh, 0, (size_t)(2 * c->n * l->h) * sizeof *dh);
        for (int64_t s = 0; c->d_out[Y_C] && s < c->n; s++)
            memcpy(dc + s * l->h, call_d_out(c, Y_C, s) + d * l->h,
                   (size_t)l->h * sizeof *dc);
        for (int64_t step = l->steps; step >= 1; step--)
            lstm_step_back(c, d, step, da, dh, dc);
        to_first(c, d, FIRST_H, dh);
        to_first(c, d, FIRST_C, dc);
    }
}

/* ---- GRU ------------------------------------------------------------------------ */

static void gru_gates(const struct tape_call *c, int64_t d, int64_t step,
                      const real *sums)
{
    const struct layer *l = layer_of(c);
    const int64_t h = l->h;
    const real *bias = c->in[BIAS];

    for (int64_t s = 0; s < c->n; s++) {
        const real *gates = call_in(c, GATES, s) + gates_at(l, d, step);
        const real *before = record(c, d, step - 1, s), *a = sums + s * 3 * h;
        real *now = record(c, d, step, s);

        for (int64_t i = 0; i < 2 * h; i++)
            now[i] = sigmoid(gates[i] + a[i]);
        for (int64_t i = 0; i < h; i++)
            now[GRU_INNER * h + i] = l->late_reset
                                         ? a[2 * h + i] + (bias ? bias[d * h + i] : 0)
                                         : now[h + i] * before[GRU_H * h + i];
    }
}

static void gru_step(const struct tape_call *c, int64_t d, int64_t step)
{
    const struct layer *l = layer_of(c);
    const int64_t h = l->h;
    real *sums = c->scratch;

    times_r(c, d, record(c, d, step - 1, 0) + GRU_H * h, GRU_RECORD * h, 0, 3 * h,
            sums);
    gru_gates(c, d, step, sums);
    if (!l->late_reset)
        times_r(c, d, record(c, d, step, 0) + GRU_INNER * h, GRU_RECORD * h, 2 * h, h,
                sums);
    for (int64_t s = 0; s < c->n; s++) {
        const real *gates = call_in(c, GATES, s) + gates_at(l, d, step);
        const real *before = record(c, d, step - 1, s);
        real *now = record(c, d, step, s);

        for (int64_t i = 0; i < h; i++) {
            const real inner = l->late_reset ? now[h + i] * now[GRU_INNER * h + i]
                                             : sums[s * 3 * h + 2 * h + i];
            const real u = tanh(gates[2 * h + i] + inner), z = now[i];

            now[2 * h + i] = u;
            now[GRU_H * h + i] = (1 - z) * u + z * before[GRU_H * h + i];
        }
    }
    write_y(c, d, step);
}

void forward_GRU(const struct tape_call *c)
{
    const struct layer *l = layer_of(c);

    for (int64_t d = 0; d < l->directions; d++) {
        first_state(c, d, FIRST_H, GRU_H);
        for (int64_t step = 1; step <= l->steps; step++)
            gru_step(c, d, step);
        write_state(c, d, Y_H, GRU_H);
    }
}

/* da: slopes before the functions; di: of r (h R + bias), or of r h. */
static void gru_step_back(const struct tape_call *c, int64_t d, int64_t step, real *da,
                          real *dh, real *di)
{
    const struct layer *l = layer_of(c);
    const int64_t h = l->h;
    const real *states = record(c, d, step - 1, 0) + GRU_H * h;
    const real *inner = record(c, d, step, 0) + GRU_INNER * h;

    from_outputs(c, d, step, dh);
    for (int64_t s = 0; s < c->n; s++) {
        const real *now = record(c, d, step, s), *before = record(c, d, step - 1, s);
        real *a = da + s * 3 * h;

        for (int64_t k = 0; k < h; k++) {
            const real z = now[k], u = now[2 * h + k], d_h = dh[s * h + k];

            a[k] = d_h * (before[GRU_H * h + k] - u) * z * (1 - z);
            a[2 * h + k] = d_h * (1 - z) * (1 - u * u);
            dh[s * h + k] = d_h * z;
            di[s * h + k] = 0;
        }
    }
    if (!l->late_reset)
        times_r_back(c, d, da, 2 * h, h, inner, GRU_RECORD * h, di);
    for (int64_t s = 0; s < c->n; s++) {
        const real *now = record(c, d, step, s), *before = record(c, d, step - 1, s);
        real *a = da + s * 3 * h;

        for (int64_t k = 0; k < h; k++) {
            const real r = now[h + k];
            const real d_r = l->late_reset ? a[2 * h + k] * now[GRU_INNER * h + k]
                                           : di[s * h + k] * before[GRU_H * h + k];

            a[h + k] = d_r * r * (1 - r);
            if (!l->late_reset)
                dh[s * h + k] += di[s * h + k] * r;
        }
    }
    to_gates(c, d, step, da);
    for (int64_t s = 0; l->late_reset && s < c->n; s++)
        for (int64_t k = 0; k < h; k++) {
            da[s * 3 * h + 2 * h + k] *= record(c, d, step, s)[h + k];
            if (c->d_in[BIAS])
                c->d_in[BIAS][d * h + k] += da[s * 3 * h + 2 * h + k];
        }
    times_r_back(c, d, da, 0, l->late_reset ? 3 * h : 2 * h, states, GRU_RECORD * h,
                 dh);
}

void backward_GRU(const struct tape_call *c)
{
    const struct layer *l = layer_of(c);
    real *da = c->scratch, *dh = da + c->n * 3 * l->h, *di = dh + c->n * l->h;

    for (int64_t d = 0; d < l->directions; d++) {
        memset(dh, 0, (size_t)(c->n * l->h) * sizeof *dh);
        for (int64_t step = l->steps; step >= 1; step--)
            gru_step_back(c, d, step, da, dh, di);
        to_first(c, d, FIRST_H, dh);
    }
}
