/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the windows of a pool (struct k_pool), an output row at a time and tap by
 * tap, so that the inner loop runs over neighbouring outputs, which stay in the
 * first-level cache. */
#ifndef HADMC_KERNELS_POOL_ROWS_H
#define HADMC_KERNELS_POOL_ROWS_H

#include "kernels/params.h"

struct pool_row {
    ix oz, oy;
    ix in_at, out_at; /* offset of the image (and channel) and of the output row */
    ix count;         /* outputs that are neighbours: columns or channels */
    ix columns;       /* rows of neighbours: 1 or columns */
};

K_IN struct pool_row pool_row(const struct k_pool *p, ix unit)
{
    struct pool_row r = {.oy = unit % (ix)p->out[1],
                         .oz = unit / (ix)p->out[1] % (ix)p->out[0]};
    const ix rest = unit / (ix)p->out[1] / (ix)p->out[0];
    const ix row = r.oz * (ix)p->out_s[0] + r.oy * (ix)p->out_s[1];

    if (p->channels_last) {
        r.in_at = rest * (ix)p->in_n;
        r.out_at = rest * (ix)p->out_n + row;
        r.count = (ix)p->c;
        r.columns = (ix)p->out[2];
    } else {
        const ix n = rest / (ix)p->c, c = rest - n * (ix)p->c;
        r.in_at = n * (ix)p->in_n + c * (ix)p->in_c;
        r.out_at = n * (ix)p->out_n + c * (ix)p->out_c + row;
        r.count = (ix)p->out[2];
        r.columns = 1;
    }
    return r;
}

/* Runs `statement` for every tap and every output of a row: `o` is the output's
 * index below out + r.out_at, `i` the input element's below in + r.in_at. */
#define EACH_TAP(...)                                                                  \
    for (ix kz = 0; kz < (ix)p->kernel[0]; kz++)                                       \
        for (ix ky = 0; ky < (ix)p->kernel[1]; ky++) {                                 \
            const ix z =                                                               \
                r.oz * (ix)p->stride[0] + kz * (ix)p->dilation[0] - (ix)p->pad[0];     \
            const ix y =                                                               \
                r.oy * (ix)p->stride[1] + ky * (ix)p->dilation[1] - (ix)p->pad[1];     \
            if (z < 0 || z >= (ix)p->in[0] || y < 0 || y >= (ix)p->in[1])              \
                continue;                                                              \
            const ix row_at = z * (ix)p->in_s[0] + y * (ix)p->in_s[1];                 \
            for (ix kx = 0; kx < (ix)p->kernel[2]; kx++) {                             \
                const ix sx = (ix)p->stride[2];                                        \
                const ix dx = kx * (ix)p->dilation[2] - (ix)p->pad[2];                 \
                const ix lo = dx >= 0 ? 0 : (-dx + sx - 1) / sx;                       \
                const ix hi =                                                          \
                    dx >= (ix)p->in[2]                                                 \
                        ? 0                                                            \
                        : ix_min((ix)p->out[2], ((ix)p->in[2] - 1 - dx) / sx + 1);     \
                if (p->channels_last)                                                  \
                    for (ix x = lo; x < hi; x++)                                       \
                        for (ix c = 0; c < (ix)p->c; c++) {                            \
                            const ix o = x * (ix)p->out_s[2] + c;                      \
                            const ix i = row_at + (x * sx + dx) * (ix)p->in_s[2] + c;  \
                            __VA_ARGS__                                                \
                        }                                                              \
                else                                                                   \
                    for (ix x = lo; x < hi; x++) {                                     \
                        const ix o = x * (ix)p->out_s[2];                              \
                        const ix i = row_at + (x * sx + dx) * (ix)p->in_s[2];          \
                        __VA_ARGS__                                                    \
                    }                                                                  \
            }                                                                          \
        }

#define EACH_OUTPUT(...)                                                               \
    for (ix x = 0; x < r.columns; x++)                                                 \
        for (ix c = 0; c < r.count; c++) {                                             \
            const ix o =                                                               \
                p->channels_last ? x * (ix)p->out_s[2] + c : c * (ix)p->out_s[2];      \
            __VA_ARGS__                                                                \
        }

/* How many positions of a window start at `at` along one dim count. */
K_IN ix pool_inside(const struct k_pool *p, int d, ix o)
{
    const ix at = o * (ix)p->stride[d] - (ix)p->pad[d], step = (ix)p->dilation[d];
    const ix low = p->count_pad ? -(ix)p->pad[d] : 0;
    const ix high = (ix)p->in[d] + (p->count_pad ? (ix)p->pad_end[d] : 0);
    ix n = 0;

    for (ix k = 0; k < (ix)p->kernel[d]; k++)
        n += at + k * step >= low && at + k * step < high;
    return n;
}

#endif /* HADMC_KERNELS_POOL_ROWS_H */
