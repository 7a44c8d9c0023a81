/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's Softmax, LayerNorm and RMSNorm. */
#include "tests/oracle/oracle.h"

#include <math.h>

static int32_t largest(const int32_t *x, int64_t n)
{
    int32_t max = x[0];

    for (int64_t i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

void oracle_softmax_table(float s_x, uint32_t table[256])
{
    for (int d = 0; d < 256; d++) {
        const long double e = expl(-(long double)s_x * d);

        table[d] = (uint32_t)oracle_rne((double)ldexpl(e, ORACLE_SOFTMAX_LOG2));
    }
}

static void softmax_row(const int32_t *x, int64_t n, const uint32_t table[256],
                        const struct oracle_output *y_as, int32_t *y)
{
    const int32_t max = largest(x, n);
    const float reciprocal = 1.0f / y_as->scale;
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += table[max - x[i]];

    const float r = reciprocal / oracle_float(sum);

    for (int64_t i = 0; i < n; i++)
        y[i] = oracle_scale_down(table[max - x[i]], r, y_as);
}

void oracle_softmax(const int32_t *x, int64_t rows, int64_t n,
                    const uint32_t table[256], const struct oracle_output *y_as,
                    int32_t *y)
{
    for (int64_t r = 0; r < rows; r++)
        softmax_row(x + r * n, n, table, y_as, y + r * n);
}

void oracle_softmax_real(const int32_t *x, int64_t rows, int64_t n, float s_x,
                         double *y)
{
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        const int32_t max = largest(x, n);
        long double sum = 0;

        for (int64_t i = 0; i < n; i++)
            sum += expl((long double)s_x * (x[i] - max));
        for (int64_t i = 0; i < n; i++)
            y[i] = (double)(expl((long double)s_x * (x[i] - max)) / sum);
    }
}

/* Of the codes less `zero`: their sum and the sum of their squares. */
static int64_t sum_of(const int32_t *x, int64_t n, int32_t zero, bool squared)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++) {
        const int64_t q = (int64_t)x[i] - zero;

        sum += squared ? q * q : q;
    }
    return sum;
}

/* centred * k * g [+ b], quantized. */
static int32_t norm_element(int64_t centred, float k, const struct oracle_norm *norm,
                            int64_t i, const struct oracle_output *y_as)
{
    const float g = (float)((double)norm->gamma[i] / (double)y_as->scale);
    const float normal = oracle_float(centred) * k;
    float t = normal * g;

    if (norm->beta) {
        const float b = (float)((double)norm->beta[i] / (double)y_as->scale);

        t = t + b;
    }
    return oracle_settle((double)t, y_as);
}

/* scale / sqrt(sum * per_sum + epsilon) */
static float norm_factor(int64_t sum, double per_sum, float epsilon, float scale)
{
    const float v = oracle_float(sum) * (float)per_sum;
    const float w = v + epsilon;

    return scale / sqrtf(w);
}

void oracle_layer_norm(const int32_t *x, const struct oracle_norm *norm,
                       struct oracle_quant x_as, const struct oracle_output *y_as,
                       int32_t *y)
{
    const int64_t n = norm->n;
    const double step = (double)x_as.scale / (double)n;
    const double per_sum =
        (double)x_as.scale * (double)x_as.scale / ((double)n * (double)n);

    for (int64_t r = 0; r < norm->rows; r++, x += n, y += n) {
        const int64_t sum = sum_of(x, n, 0, false);
        const int64_t spread = n * sum_of(x, n, 0, true) - sum * sum;
        const float k = norm_factor(spread, per_sum, norm->epsilon, (float)step);

        for (int64_t i = 0; i < n; i++)
            y[i] = norm_element(n * x[i] - sum, k, norm, i, y_as);
    }
}

void oracle_rms_norm(const int32_t *x, const struct oracle_norm *norm,
                     struct oracle_quant x_as, const struct oracle_output *y_as,
                     int32_t *y)
{
    const int64_t n = norm->n;
    const double per_sum = (double)x_as.scale * (double)x_as.scale / (double)n;

    for (int64_t r = 0; r < norm->rows; r++, x += n, y += n) {
        const int64_t sum = sum_of(x, n, x_as.zero, true);
        const float k = norm_factor(sum, per_sum, norm->epsilon, x_as.scale);

        for (int64_t i = 0; i < n; i++)
            y[i] = norm_element((int64_t)x[i] - x_as.zero, k, norm, i, y_as);
    }
}

/* (real - centre) / sqrt(mean of (real - centre)^2 + epsilon) * gamma + beta */
static void norm_real(const int32_t *x, const struct oracle_norm *norm,
                      struct oracle_quant q, long double centre, double *y)
{
    long double square = 0;

    for (int64_t i = 0; i < norm->n; i++) {
        const long double d = (long double)q.scale * (x[i] - q.zero) - centre;

        square += d * d / norm->n;
    }
    for (int64_t i = 0; i < norm->n; i++) {
        const long double d = (long double)q.scale * (x[i] - q.zero) - centre;
        const long double normal = d / sqrtl(square + (long double)norm->epsilon);

        y[i] = (double)(normal * (long double)norm->gamma[i]
                        + (norm->beta ? (long double)norm->beta[i] : 0));
    }
}

void oracle_layer_norm_real(const int32_t *x, const struct oracle_norm *norm,
                            struct oracle_quant x_as, double *y)
{
    const int64_t n = norm->n;

    for (int64_t r = 0; r < norm->rows; r++, x += n, y += n) {
        const long double mean =
            (long double)x_as.scale * sum_of(x, n, x_as.zero, false) / n;

        norm_real(x, norm, x_as, mean, y);
    }
}

void oracle_rms_norm_real(const int32_t *x, const struct oracle_norm *norm,
                          struct oracle_quant x_as, double *y)
{
    for (int64_t r = 0; r < norm->rows; r++)
        norm_real(x + r * norm->n, norm, x_as, 0, y + r * norm->n);
}
