/* SPDX-License-Identifier: Apache-2.0 */
/* RNN, GRU and LSTM over time, one direction, in float32 (class F).  What the inputs
 * contribute is there already, with biases: gates [steps, batch, n*hidden] in ONNX's
 * gate order.  Recurrent weights r are transposed, [hidden, n*hidden], so that the
 * product with the state runs along outputs.  Unit: one batch item through all steps.
 *
 * Operands: gates, r, [lengths int32,] [initial h,] [initial c,] [peepholes,] [bias of
 * GRU's candidate inside of its reset,] [steps and zero points of r's columns,] [y,]
 * [last h,] [last c,] scratch of (n + 3) * hidden floats, or (2 n + 3) * hidden where
 * there are steps.  With them r is uint8, a fourth of the memory; the state
 * becomes codes, too, anew for each product. */
#include "kernels/math.h"
#include "kernels/params.h"
#include "kernels/vec.h"

enum {
    CELL_RELU,
    CELL_TANH,
    CELL_SIGMOID,
    CELL_AFFINE,
    CELL_LEAKY_RELU,
    CELL_THRESHOLDED_RELU,
    CELL_SCALED_TANH,
    CELL_HARD_SIGMOID,
    CELL_ELU,
    CELL_SOFTSIGN,
    CELL_SOFTPLUS,
};

K_IN float activate(const struct k_recurrent *p, int which, float x)
{
    const float alpha = p->alpha[which], beta = p->beta[which];

    switch (p->activation[which]) {
    case CELL_RELU:
        return x > 0 ? x : 0;
    case CELL_TANH:
        return math_tanh(x);
    case CELL_SIGMOID:
        return math_sigmoid(x);
    case CELL_AFFINE:
        return alpha * x + beta;
    case CELL_LEAKY_RELU:
        return x > 0 ? x : alpha * x;
    case CELL_THRESHOLDED_RELU:
        return x > alpha ? x : 0;
    case CELL_SCALED_TANH:
        return alpha * math_tanh(beta * x);
    case CELL_HARD_SIGMOID: {
        const float t = alpha * x + beta;
        return t < 0 ? 0 : t > 1 ? 1 : t;
    }
    case CELL_ELU:
        return x > 0 ? x : alpha * math_expm1(x);
    case CELL_SOFTSIGN:
        return x / (1.0f + math_abs(x));
    default:
        return math_softplus(x);
    }
}

K_IN float clip(const struct k_recurrent *p, float x)
{
    if (!(p->clip > 0))
        return x;
    return x < -p->clip ? -p->clip : x > p->clip ? p->clip : x;
}

/* to[j] = base[j] + sum of h[k] r[k*step + j] for n columns j, base may be NULL;
 * `blocks` columns of 16 at a time stay in registers. */
K_IN void add_block(ix blocks, ix step, ix hidden, const float *restrict base,
                    const float *restrict r, const float *restrict h,
                    float *restrict to)
{
    v16 acc[4], v;

    for (ix i = 0; i < blocks; i++) {
        V16_ZERO(acc[i]);
        if (base)
            V16_LOAD(acc[i], base + 16 * i);
    }
    for (ix k = 0; k < hidden; k++)
        for (ix i = 0; i < blocks; i++) {
            V16_LOAD(v, r + k * step + 16 * i);
            V16_MULADD1(acc[i], v, h[k]);
        }
    for (ix i = 0; i < blocks; i++)
        V16_STORE(to + 16 * i, acc[i]);
}

K_IN void add_product(ix n, ix step, ix hidden, const float *restrict base,
                      const float *restrict r, const float *restrict h,
                      float *restrict to)
{
    ix j = 0;

    for (; j + 64 <= n; j += 64)
        add_block(4, step, hidden, base ? base + j : 0, r + j, h, to + j);
    for (; j + 16 <= n; j += 16)
        add_block(1, step, hidden, base ? base + j : 0, r + j, h, to + j);
    for (; j < n; j++) {
        float sum = base ? base[j] : 0.0f;
        for (ix k = 0; k < hidden; k++)
            sum += r[k * step + j] * h[k];
        to[j] = sum;
    }
}

enum { ROWS = 8 };

#if defined(__GNUC__)
typedef int32_t sums16 __attribute__((vector_size(64)));
typedef int32_t sums_at __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint8_t codes __attribute__((vector_size(16), aligned(1), may_alias));
#define SUMS_LOAD(s, p)  ((s) = *(const sums_at *)(p))
#define SUMS_STORE(p, s) (*(sums_at *)(p) = (s))
#define SUMS_ADD(s, r, h)                                                              \
    ((s) += __builtin_convertvector(*(const codes *)(r), sums16) * (h))
#else
typedef struct {
    int32_t lane[16];
} sums16;
#define SUMS_EACH(statement)                                                           \
    do {                                                                               \
        for (int l_ = 0; l_ < 16; l_++)                                                \
            statement;                                                                 \
    } while (0)
#define SUMS_LOAD(s, p)   SUMS_EACH((s).lane[l_] = (p)[l_])
#define SUMS_STORE(p, s)  SUMS_EACH((p)[l_] = (s).lane[l_])
#define SUMS_ADD(s, r, h) SUMS_EACH((s).lane[l_] += (int32_t)(r)[l_] * (h))
#endif

/* The state as `scale` times codes, as fine as sums of its products with r and with
 * zero points in int32 allow: -32767 to 32767 up to 128 elements, 8224 for 512. */
struct coded {
    ix hidden;
    const int16_t *h;
    int32_t total; /* of h */
    float scale;
};

K_IN void code_state(struct coded *c, ix hidden, const float *restrict h,
                     int16_t *restrict to)
{
    const ix fits = 0x7fffffff / (2 * 255) / hidden;
    const float top = (float)ix_min(fits, 32767);
    uint32_t bits = 0;

    for (ix k = 0; k < hidden; k++) { /* as integers, the largest of which are NaNs */
        const uint32_t x = bits_of_f32(h[k]) & 0x7fffffff;
        bits = x > bits ? x : bits;
    }
    const float most = f32_of_bits(bits);
    const float inverse = most > 0 ? top / most : 0.0f;
    c->hidden = hidden;
    c->scale = most / top;
    c->total = 0;
    for (ix k = 0; k < hidden; k++) {
        const float t = h[k] * inverse;
        const float inside = t > -top ? t < top ? t : top : -top;
        to[k] = (int16_t)(int32_t)(bits_of_f32(inside + 12582912.0f) - 0x4b400000u);
        c->total += to[k];
    }
    c->h = to;
}

/* sum[j] += h[k] r[k*step + j] for `rows` rows from k: all columns in turn, so that r
 * is read in the order in which it lies. */
K_IN void add_rows(const struct coded *c, ix k, ix rows, ix n, ix step,
                   const uint8_t *restrict r, int32_t *restrict sum)
{
    int32_t h[ROWS];
    ix j = 0;

    r += k * step;
    for (ix i = 0; i < rows; i++)
        h[i] = c->h[k + i];
    for (; j + 16 <= n; j += 16) {
        sums16 acc;
        SUMS_LOAD(acc, sum + j);
        for (ix i = 0; i < rows; i++)
            SUMS_ADD(acc, r + i * step + j, h[i]);
        SUMS_STORE(sum + j, acc);
    }
    for (; j < n; j++)
        for (ix i = 0; i < rows; i++)
            sum[j] += (int32_t)r[i * step + j] * h[i];
}

/* sum[j] = sum of h[k] (r[k*step + j] - zero[j]) for n columns j. */
K_IN void add_codes(const struct coded *c, ix n, ix step, const uint8_t *restrict r,
                    const uint8_t *restrict zero, int32_t *restrict sum)
{
    ix k = 0;

    for (ix j = 0; j < n; j++)
        sum[j] = -zero[j] * c->total;
    for (; k + ROWS <= c->hidden; k += ROWS)
        add_rows(c, k, ROWS, n, step, r, sum);
    for (; k < c->hidden; k++)
        add_rows(c, k, 1, n, step, r, sum);
}

struct cell {
    const float *gates, *r, *first_h, *first_c, *peephole, *bias, *steps;
    const uint8_t *zero; /* and r is uint8, where there are steps */
    const int32_t *lengths;
    float *y, *last_h, *last_c, *scratch;
};

K_IN struct cell cell_operands(const struct k_recurrent *p, void *const *buf)
{
    int at = 2;
    struct cell c = {.gates = buf[0], .r = buf[1]};

    c.lengths = p->has_lengths ? buf[at++] : 0;
    c.first_h = p->has_h ? buf[at++] : 0;
    c.first_c = p->has_c ? buf[at++] : 0;
    c.peephole = p->has_peephole ? buf[at++] : 0;
    c.bias = p->has_bias ? buf[at++] : 0;
    c.steps = p->has_steps ? buf[at++] : 0;
    c.zero = p->has_steps ? buf[at++] : 0;
    c.y = p->has_y ? buf[at++] : 0;
    c.last_h = p->has_y_h ? buf[at++] : 0;
    c.last_c = p->has_y_c ? buf[at++] : 0;
    c.scratch = buf[at];
    return c;
}

K_IN void copy_or_zero(float *to, const float *from, ix n)
{
    for (ix j = 0; j < n; j++)
        to[j] = from ? from[j] : 0.0f;
}

/* What r is multiplied with; `spare` is for sums of all of its columns, then codes. */
struct left {
    ix hidden, columns;
    const float *h;
    struct coded codes;
    float *spare;
};

K_IN struct left left_operand(const struct cell *c, ix hidden, ix columns,
                              const float *h, float *spare)
{
    struct left l = {.hidden = hidden, .columns = columns, .h = h, .spare = spare};

    if (c->steps)
        code_state(&l.codes, hidden, h, (int16_t *)(spare + columns));
    return l;
}

/* to[j] = base[j] + sum of h[k] r[k][first + j] for n columns; base may be NULL. */
K_IN void add_part(const struct cell *c, const struct left *l, ix first, ix n,
                   const float *restrict base, float *restrict to)
{
    const struct coded *const q = &l->codes;
    int32_t *const sum = (int32_t *)l->spare;

    if (!c->steps) {
        add_product(n, l->columns, l->hidden, base, c->r + first, l->h, to);
        return;
    }
    add_codes(q, n, l->columns, (const uint8_t *)c->r + first, c->zero + first, sum);
    for (ix j = 0; j < n; j++)
        to[j] =
            (base ? base[j] : 0.0f) + (float)sum[j] * (q->scale * c->steps[first + j]);
}

/* RNN: h = f(x + r h). */
K_IN void rnn_step(const struct k_recurrent *p, const struct cell *c, const float *x,
                   float *h, float *state, float *work)
{
    const ix n = (ix)p->hidden;
    const struct left l = left_operand(c, n, n, h, work + n);

    (void)state;
    add_part(c, &l, 0, n, x, work);
    for (ix j = 0; j < n; j++)
        h[j] = activate(p, 0, clip(p, work[j]));
}

/* GRU, gates z, r, h. */
K_IN void gru_step(const struct k_recurrent *p, const struct cell *c, const float *x,
                   float *h, float *state, float *work)
{
    const ix n = (ix)p->hidden;
    float *const z = work, *const r = work + n, *const next = work + 2 * n;
    struct left l = left_operand(c, n, 3 * n, h, work + 3 * n);

    add_part(c, &l, 0, 2 * n, x, work);
    for (ix j = 0; j < 2 * n; j++)
        work[j] = activate(p, 0, clip(p, work[j]));
    if (p->flag) {
        add_part(c, &l, 2 * n, n, c->bias, next);
        for (ix j = 0; j < n; j++)
            next[j] = x[2 * n + j] + r[j] * next[j];
    } else {
        for (ix j = 0; j < n; j++)
            state[j] = r[j] * h[j];
        l = left_operand(c, n, 3 * n, state, work + 3 * n);
        add_part(c, &l, 2 * n, n, x + 2 * n, next);
    }
    for (ix j = 0; j < n; j++)
        h[j] = (1.0f - z[j]) * activate(p, 1, clip(p, next[j])) + z[j] * h[j];
}

/* LSTM, gates i, o, f, c; peepholes i, o, f. */
K_IN void lstm_step(const struct k_recurrent *p, const struct cell *c, const float *x,
                    float *h, float *state, float *work)
{
    const ix n = (ix)p->hidden;
    const float *const peep = c->peephole;
    const struct left l = left_operand(c, n, 4 * n, h, work + 4 * n);

    add_part(c, &l, 0, 4 * n, x, work);
    for (ix j = 0; j < n; j++) {
        const float old = state[j];
        const float i =
            activate(p, 0, clip(p, peep ? work[j] + peep[j] * old : work[j]));
        const float f_in =
            peep ? work[2 * n + j] + peep[2 * n + j] * old : work[2 * n + j];
        const float f = p->flag ? 1.0f - i : activate(p, 0, clip(p, f_in));
        const float fresh = f * old + i * activate(p, 1, clip(p, work[3 * n + j]));
        const float o_in = peep ? work[n + j] + peep[n + j] * fresh : work[n + j];
        state[j] = fresh;
        h[j] = activate(p, 0, clip(p, o_in)) * activate(p, 2, fresh);
    }
}

#define RECURRENT(name)                                                                \
    KERNEL_FN(name##_f32)                                                              \
    {                                                                                  \
        const struct k_recurrent *const p = params;                                    \
        const struct cell c = cell_operands(p, buf);                                   \
        const ix n = (ix)p->hidden, steps = (ix)p->steps;                              \
        float *const h = c.scratch, *const state = h + n, *const work = state + n;     \
                                                                                       \
        for (ix b = (ix)begin; b < (ix)end; b++) {                                     \
            const int32_t given = c.lengths ? c.lengths[b] : (int32_t)steps;           \
            const ix length = given < 0 ? 0 : ix_min(given, steps);                    \
            copy_or_zero(h, c.first_h ? c.first_h + b *(ix)p->h_b : 0, n);             \
            copy_or_zero(state, c.first_c ? c.first_c + b *(ix)p->h_b : 0, n);         \
            for (ix s = 0; s < length; s++) {                                          \
                const ix t = p->backward ? length - 1 - s : s;                         \
                name##_step(p, &c, c.gates + t * (ix)p->x_t + b * (ix)p->x_b, h,       \
                            state, work);                                              \
                if (c.y)                                                               \
                    copy_or_zero(c.y + t * (ix)p->y_t + b * (ix)p->y_b, h, n);         \
            }                                                                          \
            for (ix t = length; t < steps && c.y; t++)                                 \
                copy_or_zero(c.y + t * (ix)p->y_t + b * (ix)p->y_b, 0, n);             \
            if (c.last_h)                                                              \
                copy_or_zero(c.last_h + b * (ix)p->h_b, h, n);                         \
            if (c.last_c)                                                              \
                copy_or_zero(c.last_c + b * (ix)p->h_b, state, n);                     \
        }                                                                              \
    }

RECURRENT(rnn)
RECURRENT(gru)
RECURRENT(lstm)
