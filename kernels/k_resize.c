/* SPDX-License-Identifier: Apache-2.0 */
/* Resize: first a table per axis of which elements each output position reads and
 * with what weights (resize_taps), then one pass over the data that combines rows,
 * which vectorises, and then columns of the combined row, which sits in cache.
 * ONNX's reference is followed: positions beside the input read its edge. */
#include "kernels/elements.h"
#include "kernels/math.h"
#include "kernels/params.h"

enum {
    TAPS_HALF_PIXEL,
    TAPS_HALF_PIXEL_SYMMETRIC,
    TAPS_PYTORCH_HALF_PIXEL,
    TAPS_ALIGN_CORNERS,
    TAPS_ASYMMETRIC,
    TAPS_TF_HALF_PIXEL,
    TAPS_TF_CROP,
};

enum { TAPS_NEAREST, TAPS_LINEAR, TAPS_CUBIC };

/* Position in the input of output o. */
K_IN float taps_position(const struct k_taps *p, ix o)
{
    const float x = (float)o, scale = p->scale, n = (float)p->n_in;
    const float width = scale * n; /* of the output, before rounding */

    switch (p->coordinate) {
    case TAPS_HALF_PIXEL_SYMMETRIC:
        return (n - (float)p->n_out / scale) / 2.0f + ((x + 0.5f) / scale - 0.5f);
    case TAPS_PYTORCH_HALF_PIXEL:
        return p->n_out == 1 ? 0.0f : (x + 0.5f) / scale - 0.5f;
    case TAPS_ALIGN_CORNERS:
        return p->n_out == 1 ? 0.0f : x * (n - 1.0f) / (width - 1.0f);
    case TAPS_ASYMMETRIC:
        return x / scale;
    case TAPS_TF_HALF_PIXEL:
        return (x + 0.5f) / scale;
    case TAPS_TF_CROP: {
        const float size = p->roi_end - p->roi_start;
        const float at = p->n_out == 1 ? size * (n - 1.0f) / 2.0f
                                       : x * size * (n - 1.0f) / (width - 1.0f);
        return at + p->roi_start * (n - 1.0f);
    }
    default:
        return (x + 0.5f) / scale - 0.5f;
    }
}

K_IN float taps_round(ix rounding, float x)
{
    switch (rounding) {
    case 0:
        return math_ceil(x - 0.5f);
    case 1:
        return math_floor(x + 0.5f);
    case 2:
        return math_floor(x);
    default:
        return math_ceil(x);
    }
}

K_IN float cubic_weight(float x, float a)
{
    const float d = math_abs(x);

    if (d <= 1.0f)
        return ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f;
    if (d < 2.0f)
        return ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a;
    return 0.0f;
}

K_IN float tap_weight(const struct k_taps *p, float distance)
{
    const float shrink = p->antialias && p->scale < 1.0f ? p->scale : 1.0f;
    const float d = distance * shrink;

    if (p->mode == TAPS_CUBIC)
        return cubic_weight(d, p->cubic_a);
    const float w = 1.0f - math_abs(d);
    return w > 0.0f ? w : 0.0f;
}

/* resize_taps(index int32[n_out*taps], weight[n_out*taps]); nearest may lack weights.
 * index[0] of an output is -1 when it lies outside (tf_crop_and_resize).  Unit: one
 * output position. */
KERNEL_FN(resize_taps)
{
    const struct k_taps *const p = params;
    int32_t *const index = buf[0];
    float *const weight = buf[1];
    const ix n = (ix)p->n_in, taps = (ix)p->taps;

    for (ix o = (ix)begin; o < (ix)end; o++) {
        const float at = taps_position(p, o);
        const float low = at > -1e8f ? at : -1e8f, x = low < 1e8f ? low : 1e8f;
        if (p->coordinate == TAPS_TF_CROP && (x < 0 || x > (float)(n - 1))) {
            for (ix t = 0; t < taps; t++) {
                index[o * taps + t] = t ? 0 : -1;
                if (p->mode != TAPS_NEAREST || p->weighted)
                    weight[o * taps + t] = 0;
            }
            continue;
        }
        if (p->mode == TAPS_NEAREST) {
            const ix i = (ix)taps_round((ix)p->rounding, x);
            index[o] = (int32_t)ix_max(0, ix_min(i, n - 1));
            if (p->weighted)
                weight[o] = 1;
            continue;
        }
        const float left = math_ceil(x) - 1.0f, ratio = x - left;
        float sum = 0;
        for (ix t = 0; t < taps; t++) {
            const ix i = (ix)left + (ix)p->first + t;
            const int outside = i < 0 || i >= n;
            const float w = p->exclude_outside && outside
                                ? 0.0f
                                : tap_weight(p, (float)(p->first + t) - ratio);
            index[o * taps + t] = (int32_t)ix_max(0, ix_min(i, n - 1));
            weight[o * taps + t] = w;
            sum += w;
        }
        for (ix t = 0; t < taps && (p->exclude_outside || p->antialias) && sum != 0;
             t++)
            weight[o * taps + t] = weight[o * taps + t] / sum;
    }
}

/* resize_nearest_<size>(in, rows int32[out_h], columns int32[out_w], out): no position
 * is outside.  Unit: one output row. */
#define NEAREST(size, T)                                                               \
    K_IN void resize_nearest_##size(                                                   \
        const struct k_resize *p, const T *restrict in, const int32_t *restrict rows,  \
        const int32_t *restrict columns, T *restrict out, ix begin, ix end)            \
    {                                                                                  \
        const ix w = (ix)p->w, inner = (ix)p->inner, out_w = (ix)p->out_w;             \
                                                                                       \
        for (ix unit = begin; unit < end; unit++) {                                    \
            const ix o = unit / (ix)p->out_h, y = unit - o * (ix)p->out_h;             \
            const T *const from = in + (o * (ix)p->h + rows[y]) * w * inner;           \
            T *const to = out + unit * out_w * inner;                                  \
            for (ix x = 0; x < out_w; x++)                                             \
                for (ix i = 0; i < inner; i++)                                         \
                    to[x * inner + i] = from[columns[x] * inner + i];                  \
        }                                                                              \
    }                                                                                  \
    KERNEL_FN(resize_nearest_##size)                                                   \
    {                                                                                  \
        resize_nearest_##size(params, buf[0], buf[1], buf[2], buf[3], (ix)begin,       \
                              (ix)end);                                                \
    }

FOR_EACH_SIZE(NEAREST)

/* to[i] = sum over taps of weight * row, row t at from + index[t]*step. */
K_IN void combine(const float *restrict from, ix step, const int32_t *restrict index,
                  const float *restrict weight, ix taps, ix count, float *restrict to)
{
    if (taps == 2) {
        const float *const a = from + index[0] * step, *const b =
                                                           from + index[1] * step;
        const float wa = weight[0], wb = weight[1];
        for (ix i = 0; i < count; i++)
            to[i] = wa * a[i] + wb * b[i];
        return;
    }
    for (ix i = 0; i < count; i++)
        to[i] = weight[0] * from[index[0] * step + i];
    for (ix t = 1; t < taps; t++)
        for (ix i = 0; i < count; i++)
            to[i] += weight[t] * from[index[t] * step + i];
}

K_IN void fill_row(float *to, ix count, float value)
{
    for (ix i = 0; i < count; i++)
        to[i] = value;
}

/* resize_f32(in, rows, row weights, columns, column weights, out, scratch float
 * [w*inner]).  Unit: one output row. */
K_IN void resize_f32(const struct k_resize *p, const float *restrict in,
                     const int32_t *restrict rows, const float *restrict row_weight,
                     const int32_t *restrict columns,
                     const float *restrict column_weight, float *restrict out,
                     float *restrict line, ix begin, ix end)
{
    const ix w = (ix)p->w, inner = (ix)p->inner, out_w = (ix)p->out_w;
    const ix taps_h = (ix)p->taps_h, taps_w = (ix)p->taps_w;

    for (ix unit = begin; unit < end; unit++) {
        const ix o = unit / (ix)p->out_h, y = unit - o * (ix)p->out_h;
        const float *const from = in + o * (ix)p->h * w * inner;
        float *const to = out + unit * out_w * inner;

        if (rows[y * taps_h] < 0) {
            fill_row(to, out_w * inner, p->extrapolation);
            continue;
        }
        combine(from, w * inner, rows + y * taps_h, row_weight + y * taps_h, taps_h,
                w * inner, line);
        if (inner == 1 && taps_w == 2) {
            for (ix x = 0; x < out_w; x++) {
                const int32_t a = columns[2 * x], b = columns[2 * x + 1];
                to[x] = a < 0 ? p->extrapolation
                              : column_weight[2 * x] * line[a]
                                    + column_weight[2 * x + 1] * line[b];
            }
            continue;
        }
        for (ix x = 0; x < out_w; x++) {
            if (columns[x * taps_w] < 0)
                fill_row(to + x * inner, inner, p->extrapolation);
            else
                combine(line, inner, columns + x * taps_w, column_weight + x * taps_w,
                        taps_w, inner, to + x * inner);
        }
    }
}

KERNEL_FN(resize_f32)
{
    resize_f32(params, buf[0], buf[1], buf[2], buf[3], buf[4], buf[5], buf[6],
               (ix)begin, (ix)end);
}

/* resize_rows_f32(in, rows, row weights, out): along h only, w == out_w == 1.  Unit:
 * one output row of inner elements. */
K_IN void resize_rows_f32(const struct k_resize *p, const float *restrict in,
                          const int32_t *restrict rows,
                          const float *restrict row_weight, float *restrict out,
                          ix begin, ix end)
{
    const ix inner = (ix)p->inner, taps = (ix)p->taps_h;

    for (ix unit = begin; unit < end; unit++) {
        const ix o = unit / (ix)p->out_h, y = unit - o * (ix)p->out_h;
        float *const to = out + unit * inner;

        if (rows[y * taps] < 0)
            fill_row(to, inner, p->extrapolation);
        else
            combine(in + o * (ix)p->h * inner, inner, rows + y * taps,
                    row_weight + y * taps, taps, inner, to);
    }
}

KERNEL_FN(resize_rows_f32)
{
    resize_rows_f32(params, buf[0], buf[1], buf[2], buf[3], (ix)begin, (ix)end);
}
