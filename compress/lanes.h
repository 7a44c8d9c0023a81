/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of convolutions over many samples, for the vectors of this processor:
 * a block holds 16 channels of a pixel (NCHW16c of Georganas et al. 2018,
 * arXiv:1808.05567), so that windows, strides and the transforms of minimal filtering
 * are loads of whole blocks, and small pictures waste nothing.
 *
 * Samples come and go as planes, one for each channel.  Sums are taken in a fixed
 * order; whether products and sums are fused depends on the kind of processor.
 */
#ifndef HADMC_COMPRESS_LANES_H
#define HADMC_COMPRESS_LANES_H

#include <stdint.h>

#include "train/tiles.h"

enum {
    LANES_BLOCK = 16, /* channels that lie together */
    LANES_ROWS = 24,  /* a multiple of the pixels that a product sums at once */
    LANES_SUMS = 36,  /* of a tile of 4 x 4 pixels, train/filtering.h */
};

/* Pixel i of 16 planes, NULL for zeros, goes to to[where[i]] and the 15 after it. */
typedef void lanes_gather_fn(int64_t n, const float *const *plane, const int64_t *where,
                             float *to);
/* And back: plane[c][i] = scale[c] * from[where[i] + c] + bias[c]; NULL: left out. */
typedef void lanes_scatter_fn(int64_t n, const float *from, const int64_t *where,
                              const float *scale, const float *bias,
                              float *const *plane);

/* y[row][o] = sum over taps and c of x[at[row] + tap[t] + c] * w[t][c][o], o of one
 * block, or of two. */
struct lanes_product {
    int64_t n; /* rows */
    const int64_t *at;
    int64_t n_taps, c;
    const int64_t *tap;
    const float *x, *w;
    float *y; /* rows are pitch_y numbers apart */
    int64_t pitch_y;
};

typedef void lanes_product_fn(const struct lanes_product *p, int n_blocks);

/* 3 x 3 taps for 16 outputs, taps[9][16], become 36 vectors, `apart` from each other.
 */
typedef void lanes_to_filter_fn(const float *taps, int64_t apart, float *to);

/* 6 x 6 pixels from x[at[i]] on, rows `row` and pixels `pixel` numbers apart, become
 * number i * step of 36 arrays, which are `apart`; and 4 x 4 pixels from 36 sums. */
struct lanes_tiles {
    int64_t n;
    const int64_t *at;
    int64_t row, pixel, step, apart;
};

typedef void lanes_to_sums_fn(const struct lanes_tiles *t, const float *x, float *sums);
typedef void lanes_from_sums_fn(const struct lanes_tiles *t, const float *sums,
                                float *y);

/* y = a + b; and y = the nearest of s least ... s most, as tiles.h rounds up to ties:
 * by s's reciprocal. */
typedef void lanes_add_fn(int64_t n, const float *a, const float *b, float *y);
typedef void lanes_round_fn(int64_t n, const struct tiles_codes *c, const float *x,
                            float *y);

struct lanes {
    lanes_add_fn *add;
    lanes_round_fn *round;
    lanes_gather_fn *gather;
    lanes_scatter_fn *scatter;
    lanes_product_fn *product;
    lanes_to_filter_fn *to_filter;
    lanes_to_sums_fn *to_sums;
    lanes_from_sums_fn *from_sums;
};

/* Those for this processor. */
const struct lanes *lanes_here(void);

#endif /* HADMC_COMPRESS_LANES_H */
