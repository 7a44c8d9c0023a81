/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution and transposed convolution in float32 (numerics: class F), for
 * channels first, where output columns are neighbours, and channels last, where
 * channels are.  The hot paths of a compiled model are emitted by codegen; these
 * define the operator, and serve the portable C output.
 *
 * Padding taps are skipped, so no border is needed in memory. */
#include "kernels/params.h"
#include "kernels/vec.h"

/* First and end index i of [0, n) for which i*stride + offset lies in [0, size). */
K_IN ix first_inside(ix offset, ix stride)
{
    return offset >= 0 ? 0 : (-offset + stride - 1) / stride;
}

K_IN ix end_inside(ix offset, ix stride, ix size, ix n)
{
    return offset >= size ? 0 : ix_min(n, (size - 1 - offset) / stride + 1);
}

/* Row number `unit` of the outputs: z, y, and what is counted outside of the image. */
struct conv_line { ix rest, z, y; };

K_IN struct conv_line conv_line(const struct k_conv *p, ix unit)
{
    const ix oy = (ix)p->out[1], oz = (ix)p->out[0];

    return (struct conv_line){unit / oy / oz, unit / oy % oz, unit % oy};
}

K_IN ix conv_taps(const struct k_conv *p)
{
    return (ix)(p->kernel[0] * p->kernel[1] * p->kernel[2]);
}

/* Tap number `tap` as its place in the kernel. */
struct conv_tap { ix z, y, x; };

K_IN struct conv_tap conv_tap(const struct k_conv *p, ix tap)
{
    const ix kx = (ix)p->kernel[2], ky = (ix)p->kernel[1];

    return (struct conv_tap){tap / kx / ky, tap / kx % ky, tap % kx};
}

/* Where along dim d tap k of output o reads; it may be outside. */
K_IN ix conv_at(const struct k_conv *p, int d, ix o, ix k)
{
    return o * (ix)p->stride[d] + k * (ix)p->dilation[d] - (ix)p->pad[d];
}

K_IN int conv_outside(const struct k_conv *p, int d, ix i)
{
    return i < 0 || i >= (ix)p->in[d];
}

/* The kernel of a function: operands (in, w, [bias,] out). */
#define CONV_KERNEL(name)                                                              \
    KERNEL_FN(name)                                                                    \
    {                                                                                  \
        const struct k_conv *const p = params;                                         \
                                                                                       \
        name(p, buf[0], buf[1], p->has_bias ? buf[2] : 0, buf[p->has_bias ? 3 : 2],    \
             (ix)begin, (ix)end);                                                      \
    }

/* One output row of up to 4 channels of a group: row[o][x] += w[o] * in[x...]. */
K_IN void conv_row(const struct k_conv *p, const float *restrict in,
                   const float *restrict w, float *restrict out, ix channels, ix oz,
                   ix oy)
{
    const ix taps = conv_taps(p);
    const ix w_out = (ix)p->c_in * taps, sx = (ix)p->stride[2], ow = (ix)p->out[2];
    const ix out_c = (ix)p->out_c, in_x = (ix)p->in_s[2];

    for (ix ci = 0; ci < (ix)p->c_in; ci++)
        for (ix tap = 0; tap < taps; tap++) {
            const struct conv_tap k = conv_tap(p, tap);
            const ix z = conv_at(p, 0, oz, k.z), y = conv_at(p, 1, oy, k.y);
            const ix dx = conv_at(p, 2, 0, k.x);
            if (conv_outside(p, 0, z) || conv_outside(p, 1, y))
                continue;
            const float *const row = in + ci * (ix)p->in_c + z * (ix)p->in_s[0]
                                     + y * (ix)p->in_s[1] + dx * in_x;
            const float *const w0 = w + ci * taps + tap;
            const ix begin = first_inside(dx, sx);
            const ix end = end_inside(dx, sx, (ix)p->in[2], ow);
            if (channels == 4) {
                const float a = w0[0], b = w0[w_out], c = w0[2 * w_out];
                const float d = w0[3 * w_out];
                for (ix x = begin; x < end; x++) {
                    const float v = row[x * sx * in_x];
                    out[x] += a * v;
                    out[out_c + x] += b * v;
                    out[2 * out_c + x] += c * v;
                    out[3 * out_c + x] += d * v;
                }
            } else {
                for (ix o = 0; o < channels; o++) {
                    const float a = w0[o * w_out];
                    for (ix x = begin; x < end; x++)
                        out[o * out_c + x] += a * row[x * sx * in_x];
                }
            }
        }
}

/* conv_f32(in, w, [bias,] out): channels first, out_s[2] == 1; weights
 * [groups*c_out][c_in][taps].  Unit: one output row of one block of 4 channels. */
K_IN void conv_f32(const struct k_conv *p, const float *restrict in,
                   const float *restrict w, const float *restrict bias,
                   float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix blocks = ((ix)p->c_out + 3) / 4;

    for (ix unit = begin; unit < end; unit++) {
        const struct conv_line l = conv_line(p, unit);
        const ix block = l.rest % blocks, g = l.rest / blocks % (ix)p->groups;
        const ix n = l.rest / blocks / (ix)p->groups;
        const ix c0 = g * (ix)p->c_out + block * 4;
        const ix channels = ix_min(4, (ix)p->c_out - block * 4);
        float *const to = out + n * (ix)p->out_n + c0 * (ix)p->out_c
                          + l.z * (ix)p->out_s[0] + l.y * (ix)p->out_s[1];

        for (ix o = 0; o < channels; o++) {
            const float b = p->has_bias ? bias[c0 + o] : 0;
            for (ix x = 0; x < (ix)p->out[2]; x++)
                to[o * (ix)p->out_c + x] = b;
        }
        conv_row(p, in + n * (ix)p->in_n + g * (ix)p->c_in * (ix)p->in_c,
                 w + c0 * (ix)p->c_in * taps, to, channels, l.z, l.y);
    }
}

CONV_KERNEL(conv_f32)

/* 16 output channels of `pixels` neighbouring outputs; taps outside the input are
 * found per pixel, which costs little beside c_in products each. */
K_IN void conv_tile(const struct k_conv *p, const float *restrict in,
                    const float *restrict w, const float *restrict bias,
                    float *restrict out, ix pixels, ix ox, const ix origin[2])
{
    const ix w_ci = (ix)p->c_out, c_in = (ix)p->c_in;
    v16 acc[4];

    for (int i = 0; i < 4; i++) {
        V16_ZERO(acc[i]);
        if (bias)
            V16_LOAD(acc[i], bias);
    }
    for (ix kz = 0; kz < (ix)p->kernel[0]; kz++)
        for (ix ky = 0; ky < (ix)p->kernel[1]; ky++)
            for (ix kx = 0; kx < (ix)p->kernel[2]; kx++) {
                const ix z = origin[0] + kz * (ix)p->dilation[0];
                const ix y = origin[1] + ky * (ix)p->dilation[1];
                if (conv_outside(p, 0, z) || conv_outside(p, 1, y))
                    continue;
                const ix tap = (kz * (ix)p->kernel[1] + ky) * (ix)p->kernel[2] + kx;
                const float *const wt = w + tap * c_in * w_ci;
                const ix x = conv_at(p, 2, ox, kx);
                const ix step = (ix)p->stride[2] * (ix)p->in_s[2];
                const float *const row =
                    in + z * (ix)p->in_s[0] + y * (ix)p->in_s[1] + x * (ix)p->in_s[2];
                if (pixels == 4 && x >= 0 && x + 3 * (ix)p->stride[2] < (ix)p->in[2]) {
                    for (ix ci = 0; ci < c_in; ci++) {
                        v16 v;
                        V16_LOAD(v, wt + ci * w_ci);
                        V16_MULADD1(acc[0], v, row[ci]);
                        V16_MULADD1(acc[1], v, row[ci + step]);
                        V16_MULADD1(acc[2], v, row[ci + 2 * step]);
                        V16_MULADD1(acc[3], v, row[ci + 3 * step]);
                    }
                    continue;
                }
                for (int i = 0; i < 4; i++) {
                    const ix xi = x + i * (ix)p->stride[2];
                    if (i >= pixels || conv_outside(p, 2, xi))
                        continue;
                    for (ix ci = 0; ci < c_in; ci++) {
                        v16 v;
                        V16_LOAD(v, wt + ci * w_ci);
                        V16_MULADD1(acc[i], v, row[ci + i * step]);
                    }
                }
            }
    for (int i = 0; i < 4; i++)
        if (i < pixels)
            V16_STORE(out + i * (ix)p->out_s[2], acc[i]);
}

/* The last c_out % 16 channels of a group, one output at a time. */
K_IN void conv_narrow(const struct k_conv *p, const float *restrict in,
                      const float *restrict w, const float *restrict bias,
                      float *restrict out, ix channels, ix ox, const ix origin[2])
{
    const ix w_ci = (ix)p->c_out, c_in = (ix)p->c_in;

    for (ix o = 0; o < channels; o++)
        out[o] = bias ? bias[o] : 0;
    for (ix kz = 0; kz < (ix)p->kernel[0]; kz++)
        for (ix ky = 0; ky < (ix)p->kernel[1]; ky++)
            for (ix kx = 0; kx < (ix)p->kernel[2]; kx++) {
                const ix z = origin[0] + kz * (ix)p->dilation[0];
                const ix y = origin[1] + ky * (ix)p->dilation[1];
                const ix x = conv_at(p, 2, ox, kx);
                if (conv_outside(p, 0, z) || conv_outside(p, 1, y)
                    || conv_outside(p, 2, x))
                    continue;
                const ix tap = (kz * (ix)p->kernel[1] + ky) * (ix)p->kernel[2] + kx;
                const float *const from =
                    in + z * (ix)p->in_s[0] + y * (ix)p->in_s[1] + x * (ix)p->in_s[2];
                for (ix ci = 0; ci < c_in; ci++)
                    for (ix o = 0; o < channels; o++)
                        out[o] += from[ci] * w[(tap * c_in + ci) * w_ci + o];
            }
}

/* conv_last_f32(in, w, [bias,] out): channels last, in_c == out_c == 1; weights
 * [groups][taps][c_in][c_out].  Unit: one output row, all channels. */
K_IN void conv_last_f32(const struct k_conv *p, const float *restrict in,
                        const float *restrict w, const float *restrict bias,
                        float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix c_in = (ix)p->c_in, c_out = (ix)p->c_out, ow = (ix)p->out[2];

    for (ix unit = begin; unit < end; unit++) {
        const struct conv_line l = conv_line(p, unit);
        const ix origin[2] = {conv_at(p, 0, l.z, 0), conv_at(p, 1, l.y, 0)};
        float *const to =
            out + l.rest * (ix)p->out_n + l.z * (ix)p->out_s[0] + l.y * (ix)p->out_s[1];

        for (ix g = 0; g < (ix)p->groups; g++) {
            const float *const from = in + l.rest * (ix)p->in_n + g * c_in;
            const float *const wg = w + g * taps * c_in * c_out;
            ix c = 0;
            for (; c + 16 <= c_out; c += 16)
                for (ix x = 0; x < ow; x += 4)
                    conv_tile(p, from, wg + c, bias ? bias + g * c_out + c : 0,
                              to + g * c_out + c + x * (ix)p->out_s[2],
                              ix_min(4, ow - x), x, origin);
            if (c < c_out)
                for (ix x = 0; x < ow; x++)
                    conv_narrow(p, from, wg + c, bias ? bias + g * c_out + c : 0,
                                to + g * c_out + c + x * (ix)p->out_s[2], c_out - c, x,
                                origin);
        }
    }
}

CONV_KERNEL(conv_last_f32)

/* conv_each_f32(in, w, [bias,] out): depthwise, channels last, c_in == c_out == 1;
 * weights [taps][groups].  Unit: one output row. */
K_IN void conv_each_f32(const struct k_conv *p, const float *restrict in,
                        const float *restrict w, const float *restrict bias,
                        float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix channels = (ix)p->groups;

    for (ix unit = begin; unit < end; unit++) {
        const struct conv_line l = conv_line(p, unit);

        for (ix ox = 0; ox < (ix)p->out[2]; ox++) {
            float *const to = out + l.rest * (ix)p->out_n + l.z * (ix)p->out_s[0]
                              + l.y * (ix)p->out_s[1] + ox * (ix)p->out_s[2];
            for (ix c = 0; c < channels; c++)
                to[c] = bias ? bias[c] : 0;
            for (ix tap = 0; tap < taps; tap++) {
                const struct conv_tap k = conv_tap(p, tap);
                const ix z = conv_at(p, 0, l.z, k.z), y = conv_at(p, 1, l.y, k.y);
                const ix x = conv_at(p, 2, ox, k.x);
                if (conv_outside(p, 0, z) || conv_outside(p, 1, y)
                    || conv_outside(p, 2, x))
                    continue;
                const float *const from = in + l.rest * (ix)p->in_n + z * (ix)p->in_s[0]
                                          + y * (ix)p->in_s[1] + x * (ix)p->in_s[2];
                for (ix c = 0; c < channels; c++)
                    to[c] += from[c] * w[tap * channels + c];
            }
        }
    }
}

CONV_KERNEL(conv_each_f32)

/* conv_transpose_f32(in, w, [bias,] out): channels first, out_s[2] == 1; weights
 * [groups*c_in][c_out][taps]; out[i*stride + k*dilation - pad] += w[k] * in[i].
 * Unit: one output row of one channel; all that lands there, in tap order.  Whether a
 * tap lands here is one condition in each of these loops: put into a function as for
 * the other direction it costs LLVM's code up to twice the time. */
K_IN void conv_transpose_f32(const struct k_conv *p, const float *restrict in,
                             const float *restrict w, const float *restrict bias,
                             float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix c_out = (ix)p->c_out, sx = (ix)p->stride[2], in_x = (ix)p->in_s[2];

    for (ix unit = begin; unit < end; unit++) {
        const ix oy = unit % (ix)p->out[1], oz = unit / (ix)p->out[1] % (ix)p->out[0];
        const ix rest = unit / (ix)p->out[1] / (ix)p->out[0];
        const ix c = rest % (c_out * (ix)p->groups), g = c / c_out;
        const ix n = rest / (c_out * (ix)p->groups);
        float *const to = out + n * (ix)p->out_n + c * (ix)p->out_c
                          + oz * (ix)p->out_s[0] + oy * (ix)p->out_s[1];

        for (ix x = 0; x < (ix)p->out[2]; x++)
            to[x] = bias ? bias[c] : 0;
        for (ix ci = g * (ix)p->c_in; ci < (g + 1) * (ix)p->c_in; ci++)
            for (ix tap = 0; tap < taps; tap++) {
                const ix kx = tap % (ix)p->kernel[2];
                const ix ky = tap / (ix)p->kernel[2] % (ix)p->kernel[1];
                const ix kz = tap / (ix)p->kernel[2] / (ix)p->kernel[1];
                const ix z = oz + (ix)p->pad[0] - kz * (ix)p->dilation[0];
                const ix y = oy + (ix)p->pad[1] - ky * (ix)p->dilation[1];
                const ix dx = kx * (ix)p->dilation[2] - (ix)p->pad[2];
                if (z < 0 || z % (ix)p->stride[0]
                    || z / (ix)p->stride[0] >= (ix)p->in[0] || y < 0
                    || y % (ix)p->stride[1] || y / (ix)p->stride[1] >= (ix)p->in[1])
                    continue;
                const float *const row = in + n * (ix)p->in_n + ci * (ix)p->in_c
                                         + z / (ix)p->stride[0] * (ix)p->in_s[0]
                                         + y / (ix)p->stride[1] * (ix)p->in_s[1];
                const float a = w[(ci * c_out + c % c_out) * taps + tap];
                const ix first = first_inside(dx, sx);
                const ix last = end_inside(dx, sx, (ix)p->out[2], (ix)p->in[2]);
                for (ix x = first; x < last; x++)
                    to[x * sx + dx] += a * row[x * in_x];
            }
    }
}

CONV_KERNEL(conv_transpose_f32)

/* conv_transpose_last_f32(in, w, [bias,] out): channels last; weights
 * [groups][taps][c_in][c_out].  Unit: one output row. */
K_IN void conv_transpose_last_f32(const struct k_conv *p, const float *restrict in,
                                  const float *restrict w, const float *restrict bias,
                                  float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix c_in = (ix)p->c_in, c_out = (ix)p->c_out;

    for (ix unit = begin; unit < end; unit++) {
        const ix oy = unit % (ix)p->out[1], oz = unit / (ix)p->out[1] % (ix)p->out[0];
        const ix n = unit / (ix)p->out[1] / (ix)p->out[0];

        for (ix at = 0; at < (ix)p->out[2] * (ix)p->groups; at++) {
            const ix ox = at / (ix)p->groups, g = at - ox * (ix)p->groups;
            float *const to = out + n * (ix)p->out_n + oz * (ix)p->out_s[0]
                              + oy * (ix)p->out_s[1] + ox * (ix)p->out_s[2] + g * c_out;
            for (ix c = 0; c < c_out; c++)
                to[c] = bias ? bias[g * c_out + c] : 0;
            for (ix tap = 0; tap < taps; tap++) {
                const ix kx = tap % (ix)p->kernel[2];
                const ix ky = tap / (ix)p->kernel[2] % (ix)p->kernel[1];
                const ix kz = tap / (ix)p->kernel[2] / (ix)p->kernel[1];
                const ix z = oz + (ix)p->pad[0] - kz * (ix)p->dilation[0];
                const ix y = oy + (ix)p->pad[1] - ky * (ix)p->dilation[1];
                const ix x = ox + (ix)p->pad[2] - kx * (ix)p->dilation[2];
                if (z < 0 || z % (ix)p->stride[0]
                    || z / (ix)p->stride[0] >= (ix)p->in[0] || y < 0
                    || y % (ix)p->stride[1] || y / (ix)p->stride[1] >= (ix)p->in[1]
                    || x < 0 || x % (ix)p->stride[2]
                    || x / (ix)p->stride[2] >= (ix)p->in[2])
                    continue;
                const float *const from =
                    in + n * (ix)p->in_n + z / (ix)p->stride[0] * (ix)p->in_s[0]
                    + y / (ix)p->stride[1] * (ix)p->in_s[1]
                    + x / (ix)p->stride[2] * (ix)p->in_s[2] + g * c_in;
                const float *const wt = w + (g * taps + tap) * c_in * c_out;
                for (ix ci = 0; ci < c_in; ci++)
                    for (ix c = 0; c < c_out; c++)
                        to[c] += from[ci] * wt[ci * c_out + c];
            }
        }
    }
}

CONV_KERNEL(conv_transpose_last_f32)

/* col2im_f32(in [n, c_out*taps, blocks], out [n, c_out, image]): every block is added
 * where it was cut out.  in[] counts blocks, out[] is the image.  Unit: one row of one
 * channel of the image. */
K_IN void col2im_f32(const struct k_conv *p, const float *restrict in,
                     float *restrict out, ix begin, ix end)
{
    const ix taps = conv_taps(p);
    const ix blocks = (ix)(p->in[0] * p->in[1] * p->in[2]);
    const ix sx = (ix)p->stride[2], width = (ix)p->out[2];

    for (ix unit = begin; unit < end; unit++) {
        const ix oy = unit % (ix)p->out[1], oz = unit / (ix)p->out[1] % (ix)p->out[0];
        const ix channel = unit / (ix)p->out[1] / (ix)p->out[0];
        float *const to = out + unit * width;

        for (ix x = 0; x < width; x++)
            to[x] = 0;
        for (ix tap = 0; tap < taps; tap++) {
            const ix kx = tap % (ix)p->kernel[2];
            const ix ky = tap / (ix)p->kernel[2] % (ix)p->kernel[1];
            const ix kz = tap / (ix)p->kernel[2] / (ix)p->kernel[1];
            const ix z = oz + (ix)p->pad[0] - kz * (ix)p->dilation[0];
            const ix y = oy + (ix)p->pad[1] - ky * (ix)p->dilation[1];
            const ix dx = kx * (ix)p->dilation[2] - (ix)p->pad[2];
            if (z < 0 || z % (ix)p->stride[0] || z / (ix)p->stride[0] >= (ix)p->in[0]
                || y < 0 || y % (ix)p->stride[1]
                || y / (ix)p->stride[1] >= (ix)p->in[1])
                continue;
            const float *const row =
                in + (channel * taps + tap) * blocks
                + (z / (ix)p->stride[0] * (ix)p->in[1] + y / (ix)p->stride[1])
                      * (ix)p->in[2];
            const ix first = first_inside(dx, sx);
            const ix last = end_inside(dx, sx, width, (ix)p->in[2]);
            for (ix x = first; x < last; x++)
                to[x * sx + dx] += row[x];
        }
    }
}

KERNEL_FN(col2im_f32)
{
    col2im_f32(params, buf[0], buf[1], (ix)begin, (ix)end);
}
