/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizations: layer, instance, group, RMS; batch with known statistics; LRN.
 *
 * Rows of k_norm are contiguous.  Mean and variance are two passes over the row with
 * sixteen lanes each (element i in lane i mod 16), then
 *
 *     y = (x - mean) * (1 / sqrt(variance + eps)) * scale + bias
 */
#include "kernels/math.h"
#include "kernels/params.h"
#include "kernels/rows.h"

/* One row; `s` and `b` point at the entries of its first element, which serve `run`
 * elements each. */
K_IN void norm_row(const struct k_norm *p, const float *restrict x, const float *s,
                    const float *b, float mean, float inv, float *restrict y)
{
    const ix n = (ix)p->n, run = (ix)p->run;

    if (run == 1) {
        for (ix i = 0; i < n; i++) {
            const float t = (x[i] - mean) * inv, u = p->has_scale ? t * s[i] : t;
            y[i] = p->has_bias ? u + b[i] : u;
        }
        return;
    }
    for (ix at = 0; at < n; at += run) {
        const ix k = at / run;
        for (ix i = at; i < ix_min(at + run, n); i++) {
            const float t = (x[i] - mean) * inv, u = p->has_scale ? t * s[k] : t;
            y[i] = p->has_bias ? u + b[k] : u;
        }
    }
}

/* buf = { x, scale, bias, y, means, inverse deviations }, NULL where params say there
 * is none; unit: one row.  Means and deviations have one entry per row. */
KERNEL_FN(norm_f32)
{
    const struct k_norm *p = params;
    const float *x = buf[0], *scale = buf[1], *bias = buf[2];
    float *y = buf[3], *means = buf[4], *invs = buf[5];
    const ix n = (ix)p->n;

    for (ix r = (ix)begin; r < (ix)end; r++) {
        const ix entry = r % (ix)p->cycle * (ix)p->per_row;
        const float mean = rows_sum(x + r * n, n) / (float)n;
        const float variance = rows_squares(x + r * n, n, mean) / (float)n;
        const float inv = 1.0f / __builtin_sqrtf(variance + p->eps);

        norm_row(p, x + r * n, p->has_scale ? scale + entry : scale,
                  p->has_bias ? bias + entry : bias, mean, inv, y + r * n);
        if (p->want_mean)
            means[r] = mean;
        if (p->want_inv)
            invs[r] = inv;
    }
}

/* x / sqrt(mean(x^2) + eps) * scale.  buf = { x, scale, y }. */
KERNEL_FN(rms_norm_f32)
{
    const struct k_norm *p = params;
    const float *x = buf[0], *scale = buf[1];
    float *y = buf[2];
    const ix n = (ix)p->n;

    for (ix r = (ix)begin; r < (ix)end; r++) {
        const float mean_square = rows_squares(x + r * n, n, 0.0f) / (float)n;
        const float inv = 1.0f / __builtin_sqrtf(mean_square + p->eps);

        norm_row(p, x + r * n, p->has_scale ? scale : x, x, 0.0f, inv, y + r * n);
    }
}

/* Batch normalization with given statistics: y = (x - mean) * s + bias with
 * s = scale / sqrt(variance + eps).  buf = { x, scale, bias, mean, variance, y }; rows
 * are the n contiguous elements of a channel; `cycle` channels. */
KERNEL_FN(batch_norm_f32)
{
    const struct k_norm *p = params;
    const float *scale = buf[1], *bias = buf[2], *mean = buf[3], *variance = buf[4];
    const ix n = (ix)p->n;

    for (ix r = (ix)begin; r < (ix)end; r++) {
        const ix c = r % (ix)p->cycle;
        const float *restrict x = (const float *)buf[0] + r * n;
        float *restrict y = (float *)buf[5] + r * n;
        const float s = scale[c] / __builtin_sqrtf(variance[c] + p->eps);
        const float m = mean[c], b = bias[c];

        for (ix i = 0; i < n; i++)
            y[i] = (x[i] - m) * s + b;
    }
}

/* y = x / (bias + alpha / size * sum of x^2 over `size` channels around c)^beta.
 * buf = { x, y }; unit: one channel of one image. */
KERNEL_FN(lrn_f32)
{
    const struct k_lrn *p = params;
    const ix c = (ix)p->c, inner = (ix)p->inner;
    const ix before = ((ix)p->size - 1) / 2, after = (ix)p->size - 1 - before;
    const float factor = p->alpha / (float)p->size;

    for (ix r = (ix)begin; r < (ix)end; r++) {
        const ix at = r % c, first = ix_max(0, at - before), last = ix_min(c - 1, at + after);
        const float *restrict x = (const float *)buf[0] + (r - at) * inner;
        float *restrict y = (float *)buf[1] + r * inner;

        for (ix i = 0; i < inner; i++)
            y[i] = 0.0f;
        for (ix k = first; k <= last; k++)
            for (ix i = 0; i < inner; i++)
                y[i] += x[k * inner + i] * x[k * inner + i];
        for (ix i = 0; i < inner; i++) {
            const float base = p->bias + factor * y[i], root = __builtin_sqrtf(base);
            const float power = p->beta == 0.75f ? root * __builtin_sqrtf(root)
                              : p->beta == 0.5f  ? root
                                                 : math_pow(base, p->beta);
            y[i] = x[at * inner + i] / power;
        }
    }
}
