/* SPDX-License-Identifier: Apache-2.0 */
/* Reading images at computed positions: GridSample, RoiAlign, MaxRoiPool, and the
 * columns of DeformConv.  Positions come from data, so each is clamped before it
 * becomes an index; NaN lies outside. */
#include "kernels/math.h"
#include "kernels/params.h"

K_IN float limited(float x, float low, float high)
{
    const float a = x > low ? x : low; /* NaN -> low */

    return a < high ? a : high;
}

/* ---- GridSample ------------------------------------------------------------- */

/* Mirror x at low and high until it lies between them. */
K_IN float reflected(float x, float low, float high)
{
    const float range = high - low;
    const float away = x < low ? low - x : x - high;

    if (!(range > 0))
        return low;
    if (!(x < low || x > high))
        return x;
    const float times = math_floor(away / range), rest = away - times * range;
    const int odd = times - 2.0f * math_floor(times / 2.0f) != 0;
    return (x < low) == odd ? high - rest : low + rest;
}

/* Index of element x along a dim of n, -1 when outside. */
K_IN ix grid_index(const struct k_sample *p, float x, ix n)
{
    if (p->padding == 0)
        return x >= 0 && x <= (float)(n - 1) ? (ix)x : -1;
    if (p->padding == 2)
        x = p->align ? reflected(x, 0, (float)(n - 1))
                     : reflected(x, -0.5f, (float)n - 0.5f);
    return (ix)limited(x, 0, (float)(n - 1));
}

struct grid_taps {
    ix n, index[4];
    float weight[4];
};

K_IN float grid_cubic(float x)
{
    const float a = -0.75f, d = math_abs(x);

    if (d <= 1.0f)
        return ((a + 2.0f) * d - (a + 3.0f)) * d * d + 1.0f;
    return ((a * d - 5.0f * a) * d + 8.0f * a) * d - 4.0f * a;
}

/* The elements along one dim that position g in [-1, 1] reads. */
K_IN struct grid_taps grid_read(const struct k_sample *p, float g, ix n)
{
    struct grid_taps t = {.n = p->mode == 0 ? 1 : p->mode == 1 ? 2 : 4};
    const float size = (float)n;
    float x = p->align ? (g + 1.0f) / 2.0f * (size - 1.0f)
                       : ((g + 1.0f) * size - 1.0f) / 2.0f;

    const float low = p->align ? 0.0f : -0.5f;
    const float high = p->align ? size - 1.0f : size - 0.5f;

    /* Cubic maps each element it reads (grid_index), as PyTorch does. */
    if (p->mode == 0)
        x = math_round(x);
    if (p->mode != 2 && p->padding == 1 && !(x >= low && x <= high))
        x = limited(x, 0, size - 1.0f);
    if (p->mode != 2 && p->padding == 2)
        x = reflected(x, low, high);
    x = limited(x, -1e6f, 1e6f);
    const float left = math_floor(x), ratio = x - left;
    for (ix i = 0; i < t.n; i++) {
        const ix step = t.n == 4 ? i - 1 : i;
        t.index[i] = grid_index(p, left + (float)step, n);
        t.weight[i] = p->mode == 0   ? 1.0f
                      : p->mode == 1 ? (i ? ratio : 1.0f - ratio)
                                     : grid_cubic(ratio - (float)step);
    }
    return t;
}

/* grid_sample_f32(in [n, c, in...], grid [n, out..., dims], out).  Unit: one output row
 * of one image, all channels. */
K_IN void grid_sample_f32(const struct k_sample *p, const float *restrict in,
                          const float *restrict grid, float *restrict out, ix begin,
                          ix end)
{
    const ix width = (ix)p->out[2], dims = (ix)p->dims;
    const ix rows = (ix)(p->out[0] * p->out[1]), plane = rows * width;
    const ix in_w = (ix)p->in[2], in_plane = (ix)(p->in[0] * p->in[1] * p->in[2]);
    const struct grid_taps one = {.n = 1, .weight = {1.0f}};

    for (ix unit = begin; unit < end; unit++) {
        const ix n = unit / rows, row = unit - n * rows;
        for (ix ox = 0; ox < width; ox++) {
            const float *const g = grid + (unit * width + ox) * dims;
            const struct grid_taps x = grid_read(p, g[0], in_w);
            const struct grid_taps y =
                dims > 1 ? grid_read(p, g[1], (ix)p->in[1]) : one;
            const struct grid_taps z =
                dims > 2 ? grid_read(p, g[2], (ix)p->in[0]) : one;
            for (ix c = 0; c < (ix)p->c; c++) {
                const float *const image = in + (n * (ix)p->c + c) * in_plane;
                float sum = 0;
                for (ix k = 0; k < z.n; k++)
                    for (ix j = 0; j < y.n; j++)
                        for (ix i = 0; i < x.n; i++) {
                            const int inside =
                                z.index[k] >= 0 && y.index[j] >= 0 && x.index[i] >= 0;
                            const float v =
                                inside ? image[(z.index[k] * (ix)p->in[1] + y.index[j])
                                                   * in_w
                                               + x.index[i]]
                                       : 0.0f;
                            sum += v * (z.weight[k] * y.weight[j] * x.weight[i]);
                        }
                out[(n * (ix)p->c + c) * plane + row * width + ox] = sum;
            }
        }
    }
}

KERNEL_FN(grid_sample_f32)
{
    grid_sample_f32(params, buf[0], buf[1], buf[2], (ix)begin, (ix)end);
}

/* ---- AffineGrid ------------------------------------------------------------- */

/* Center (or corner) of element i of n in [-1, 1]. */
K_IN float grid_position(const struct k_sample *p, ix i, ix n)
{
    if (!p->align)
        return (2.0f * (float)i + 1.0f) / (float)n - 1.0f;
    return n == 1 ? -1.0f : 2.0f * (float)i / (float)(n - 1) - 1.0f;
}

/* affine_grid_f32(theta [n, dims, dims + 1], out [n, out..., dims]): theta times (x, y
 * [, z], 1).  Unit: one output row. */
KERNEL_FN(affine_grid_f32)
{
    const struct k_sample *const p = params;
    const ix dims = (ix)p->dims, width = (ix)p->out[2];

    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const ix y = unit % (ix)p->out[1], z = unit / (ix)p->out[1] % (ix)p->out[0];
        const ix n = unit / (ix)p->out[1] / (ix)p->out[0];
        const float *const theta = (const float *)buf[0] + n * dims * (dims + 1);
        float *to = (float *)buf[1] + unit * width * dims;
        for (ix x = 0; x < width; x++)
            for (ix d = 0; d < dims; d++) {
                const float *const row = theta + d * (dims + 1);
                float sum = row[0] * grid_position(p, x, width);
                sum += row[1] * grid_position(p, y, (ix)p->out[1]);
                if (dims > 2)
                    sum += row[2] * grid_position(p, z, (ix)p->out[0]);
                *to++ = sum + row[dims];
            }
    }
}

/* ---- RoiAlign --------------------------------------------------------------- */

enum { MOST_SAMPLES = 1024 }; /* along one side of one bin */

struct corners {
    ix at[4];
    float weight[4];
};

/* Bilinear; nothing beyond one element outside. */
K_IN struct corners roi_read(const struct k_sample *p, float y, float x)
{
    const float h = (float)p->in[1], w = (float)p->in[2];
    struct corners c = {{0}, {0}};

    if (!(y >= -1.0f && y <= h && x >= -1.0f && x <= w))
        return c;
    y = limited(y, 0, h - 1.0f);
    x = limited(x, 0, w - 1.0f);
    const ix y0 = (ix)y, x0 = (ix)x;
    const ix y1 = ix_min(y0 + 1, (ix)p->in[1] - 1);
    const ix x1 = ix_min(x0 + 1, (ix)p->in[2] - 1);
    const float ly = y - (float)y0, lx = x - (float)x0, hy = 1.0f - ly, hx = 1.0f - lx;
    c.at[0] = y0 * (ix)p->in[2] + x0;
    c.at[1] = y0 * (ix)p->in[2] + x1;
    c.at[2] = y1 * (ix)p->in[2] + x0;
    c.at[3] = y1 * (ix)p->in[2] + x1;
    c.weight[0] = hy * hx;
    c.weight[1] = hy * lx;
    c.weight[2] = ly * hx;
    c.weight[3] = ly * lx;
    return c;
}

struct bin {
    float y, x, size_h, size_w; /* first corner, size */
    ix rows, columns;           /* samples */
};

K_IN float roi_bin_value(const struct k_sample *p, const float *image, struct bin b)
{
    float sum = 0, most = 0;
    int first = 1;

    for (ix iy = 0; iy < b.rows; iy++)
        for (ix i = 0; i < b.columns; i++) {
            const float y = b.y + ((float)iy + 0.5f) * b.size_h / (float)b.rows;
            const float x = b.x + ((float)i + 0.5f) * b.size_w / (float)b.columns;
            const struct corners c = roi_read(p, y, x);
            for (int k = 0; k < 4; k++) {
                const float v = c.weight[k] * image[c.at[k]];
                sum += v;
                most = first || v > most ? v : most;
                first = 0;
            }
        }
    const ix samples = ix_max(b.rows * b.columns, 1);
    return p->mode ? most : sum / (float)samples;
}

K_IN ix sample_count(const struct k_sample *p, float size, ix bins)
{
    if (p->sampling_ratio > 0)
        return (ix)p->sampling_ratio;
    return (ix)limited(math_ceil(size / (float)bins), 0, (float)MOST_SAMPLES);
}

/* roi_align_f32(in [n, c, h, w], rois [., 4], batch int64, out).  Unit: one channel of
 * one region. */
KERNEL_FN(roi_align_f32)
{
    const struct k_sample *const p = params;
    const float *const in = buf[0], *const rois = buf[1];
    const int64_t *const batch = buf[2];
    float *out = buf[3];
    const ix ph = (ix)p->out[1], pw = (ix)p->out[2], plane = (ix)(p->in[1] * p->in[2]);
    const float offset = p->align ? 0.5f : 0.0f;

    out += (ix)begin * ph * pw;
    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const ix r = unit / (ix)p->c, c = unit - r * (ix)p->c;
        const ix image = batch[r] < 0       ? 0
                         : batch[r] >= p->n ? (ix)p->n - 1
                                            : (ix)batch[r];
        const float x0 = rois[4 * r] * p->scale - offset;
        const float y0 = rois[4 * r + 1] * p->scale - offset;
        float w = rois[4 * r + 2] * p->scale - offset - x0;
        float h = rois[4 * r + 3] * p->scale - offset - y0;
        if (!p->align) {
            w = w > 1.0f ? w : 1.0f;
            h = h > 1.0f ? h : 1.0f;
        }
        struct bin b = {.size_h = h / (float)ph,
                        .size_w = w / (float)pw,
                        .rows = sample_count(p, h, ph),
                        .columns = sample_count(p, w, pw)};
        for (ix y = 0; y < ph; y++)
            for (ix x = 0; x < pw; x++) {
                b.y = y0 + (float)y * b.size_h;
                b.x = x0 + (float)x * b.size_w;
                *out++ = roi_bin_value(p, in + (image * (ix)p->c + c) * plane, b);
            }
    }
}

/* ---- MaxRoiPool ------------------------------------------------------------- */

/* Half away from zero, as the operator's definition has it. */
K_IN float rounded(float x)
{
    return x < 0 ? math_ceil(x - 0.5f) : math_floor(x + 0.5f);
}

/* max_roi_pool_f32(in, rois [., 5]: batch, x0, y0, x1, y1, out).  Unit: one channel of
 * one region. */
KERNEL_FN(max_roi_pool_f32)
{
    const struct k_sample *const p = params;
    const float *const in = buf[0];
    float *out = buf[2];
    const ix ph = (ix)p->out[1], pw = (ix)p->out[2];
    const ix rows = (ix)p->in[1], columns = (ix)p->in[2];
    const float big = 1e8f;

    out += (ix)begin * ph * pw;
    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const ix r = unit / (ix)p->c, c = unit - r * (ix)p->c;
        const float *const roi = (const float *)buf[1] + 5 * r;
        const ix n = (ix)limited(roi[0], 0, (float)(p->n - 1));
        const float *const image = in + (n * (ix)p->c + c) * rows * columns;
        const float x0 = limited(rounded(roi[1] * p->scale), -big, big);
        const float y0 = limited(rounded(roi[2] * p->scale), -big, big);
        const float x1 = limited(rounded(roi[3] * p->scale), -big, big);
        const float y1 = limited(rounded(roi[4] * p->scale), -big, big);
        const float w = x1 - x0 + 1.0f > 1.0f ? x1 - x0 + 1.0f : 1.0f;
        const float h = y1 - y0 + 1.0f > 1.0f ? y1 - y0 + 1.0f : 1.0f;
        for (ix y = 0; y < ph; y++)
            for (ix x = 0; x < pw; x++) {
                const float bh = h / (float)ph, bw = w / (float)pw;
                const ix top =
                    (ix)limited(math_floor((float)y * bh) + y0, 0, (float)rows);
                const ix low =
                    (ix)limited(math_ceil((float)(y + 1) * bh) + y0, 0, (float)rows);
                const ix left =
                    (ix)limited(math_floor((float)x * bw) + x0, 0, (float)columns);
                const ix right =
                    (ix)limited(math_ceil((float)(x + 1) * bw) + x0, 0, (float)columns);
                float most = low > top && right > left ? -MATH_INF : 0.0f;
                for (ix i = top; i < low; i++)
                    for (ix j = left; j < right; j++)
                        most = image[i * columns + j] > most ? image[i * columns + j]
                                                             : most;
                *out++ = most;
            }
    }
}

/* ---- DeformConv ------------------------------------------------------------- */

/* Bilinear; elements outside are 0. */
K_IN float deform_read(const struct k_deform *p, const float *image, float y, float x)
{
    const ix h = (ix)p->in[0], w = (ix)p->in[1];

    if (!(y > -1.0f && y < (float)h && x > -1.0f && x < (float)w))
        return 0;
    const float fy = math_floor(y), fx = math_floor(x), ly = y - fy, lx = x - fx;
    const ix y0 = (ix)fy, x0 = (ix)fx;
    const float a = y0 >= 0 && x0 >= 0 ? image[y0 * w + x0] : 0.0f;
    const float b = y0 >= 0 && x0 + 1 < w ? image[y0 * w + x0 + 1] : 0.0f;
    const float c = y0 + 1 < h && x0 >= 0 ? image[(y0 + 1) * w + x0] : 0.0f;
    const float d = y0 + 1 < h && x0 + 1 < w ? image[(y0 + 1) * w + x0 + 1] : 0.0f;
    return (1.0f - ly) * ((1.0f - lx) * a + lx * b) + ly * ((1.0f - lx) * c + lx * d);
}

/* deform_columns_f32(in [n, c, h, w], offset [n, groups*taps*2, oh, ow], [mask,] out
 * [n, c, taps, oh*ow]).  Unit: one tap of one channel. */
KERNEL_FN(deform_columns_f32)
{
    const struct k_deform *const p = params;
    const float *const mask_all = p->has_mask ? buf[2] : 0;
    const ix taps = (ix)(p->kernel[0] * p->kernel[1]), oh = (ix)p->out[0];
    const ix ow = (ix)p->out[1], plane = oh * ow, groups = (ix)p->offset_groups;

    for (ix unit = (ix)begin; unit < (ix)end; unit++) {
        const ix tap = unit % taps, channel = unit / taps;
        const ix n = channel / (ix)p->c, c = channel - n * (ix)p->c;
        const ix at = (n * groups + c / ((ix)p->c / groups)) * taps + tap;
        const float *const dy = (const float *)buf[1] + at * 2 * plane;
        const float *const dx = dy + plane;
        const float *const mask = mask_all ? mask_all + at * plane : 0;
        const float *const image =
            (const float *)buf[0] + channel * (ix)(p->in[0] * p->in[1]);
        float *const to = (float *)buf[p->has_mask ? 3 : 2] + unit * plane;
        const ix ky = tap / (ix)p->kernel[1] * (ix)p->dilation[0] - (ix)p->pad[0];
        const ix kx = tap % (ix)p->kernel[1] * (ix)p->dilation[1] - (ix)p->pad[1];

        for (ix i = 0; i < plane; i++) {
            const ix oy = i / ow, ox = i - oy * ow;
            const float y = (float)(oy * (ix)p->stride[0] + ky) + dy[i];
            const float x = (float)(ox * (ix)p->stride[1] + kx) + dx[i];
            const float v = deform_read(p, image, y, x);
            to[i] = mask ? v * mask[i] : v;
        }
    }
}
