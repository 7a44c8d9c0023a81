/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's Add, Sub, Mul, Requantize, Concat and tables. */
#include "tests/oracle/oracle.h"

#include <assert.h>

/* Where output element `index` of shape `y` is found in an operand of shape `dim`. */
static int64_t source(int64_t index, const int64_t y[4], const int64_t dim[4])
{
    int64_t at = 0, stride = 1;

    for (int axis = 3; axis >= 0; axis--) {
        const int64_t i = index % y[axis];

        index /= y[axis];
        if (dim[axis] != 1)
            at += i * stride;
        stride *= dim[axis];
    }
    return at;
}

/* One element from the two operands' codes less their zero points. */
static int32_t combine(enum oracle_binary_op op, int64_t a, float s_a, int64_t b,
                       float s_b, const struct oracle_output *y)
{
    if (op == ORACLE_MUL)
        return oracle_scale_down(a * b, oracle_multiplier(s_a, s_b, y->scale), y);

    const float t = oracle_float(a) * oracle_multiplier(s_a, 1, y->scale);
    const float u = oracle_float(b) * oracle_multiplier(s_b, 1, y->scale);
    const float sum = op == ORACLE_ADD ? t + u : t - u;

    return oracle_settle((double)sum, y);
}

void oracle_binary(enum oracle_binary_op op, const int32_t *a, const int64_t a_dim[4],
                   struct oracle_quant a_as, const int32_t *b, const int64_t b_dim[4],
                   struct oracle_quant b_as, const struct oracle_output *y_as,
                   int32_t *y)
{
    int64_t dim[4], count = 1;

    for (int axis = 0; axis < 4; axis++) {
        dim[axis] = a_dim[axis] == 1 ? b_dim[axis] : a_dim[axis];
        assert(b_dim[axis] == 1 || b_dim[axis] == dim[axis]);
        count *= dim[axis];
    }
    for (int64_t i = 0; i < count; i++)
        y[i] = combine(op, (int64_t)a[source(i, dim, a_dim)] - a_as.zero, a_as.scale,
                       (int64_t)b[source(i, dim, b_dim)] - b_as.zero, b_as.scale, y_as);
}

void oracle_requantize(const int32_t *x, int64_t n, struct oracle_quant x_as,
                       const struct oracle_output *y_as, int32_t *y)
{
    const float m = oracle_multiplier(x_as.scale, 1, y_as->scale);

    for (int64_t i = 0; i < n; i++)
        y[i] = oracle_scale_down((int64_t)x[i] - x_as.zero, m, y_as);
}

void oracle_concat(int n_inputs, const int32_t *const *x, const int64_t *len,
                   const struct oracle_quant *x_as, int64_t outer, int64_t inner,
                   const struct oracle_output *y_as, int32_t *y)
{
    for (int64_t o = 0; o < outer; o++)
        for (int i = 0; i < n_inputs; i++) {
            const int64_t n = len[i] * inner;

            oracle_requantize(x[i] + o * n, n, x_as[i], y_as, y);
            y += n;
        }
}

void oracle_table(double (*f)(double x, const void *arg), const void *arg, int32_t lo,
                  struct oracle_quant x_as, const struct oracle_output *y_as,
                  int32_t table[256])
{
    for (int32_t i = 0; i < 256; i++) {
        const double x = (double)x_as.scale * ((double)lo + i - x_as.zero);

        table[i] = oracle_settle(f(x, arg) / (double)y_as->scale, y_as);
    }
}

void oracle_lookup(const int32_t *x, int64_t n, int32_t lo, const int32_t table[256],
                   int32_t *y)
{
    for (int64_t i = 0; i < n; i++) {
        assert(x[i] >= lo && x[i] < lo + 256);
        y[i] = table[x[i] - lo];
    }
}
