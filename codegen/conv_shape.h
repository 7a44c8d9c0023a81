/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of a convolution's tiles, shared by the cost rule and the emitter.
 *
 * A row of outputs is cut into tiles of `pixels`; the last one may be shorter.
 * Tiles whose taps all lie inside the input are alike and become one loop; the
 * others, at the left and right border, are emitted one by one with their taps
 * known:
 *
 *     ow = 56, pixels = 14, 3x3, pad 1:   [edge] [inner inner] [edge]
 */
#ifndef HADMC_CODEGEN_CONV_SHAPE_H
#define HADMC_CODEGEN_CONV_SHAPE_H

#include "codegen/emit.h"

/* The same work with as few dimensions as possible: a 1 x 1 convolution over
 * evenly spaced pixels has one image with one row. */
struct conv conv_flatten(const struct conv *c);

struct row_cut {
    int pixels;          /* of a tile */
    int64_t n;           /* tiles */
    int64_t left, inner; /* [left, left + inner) are alike; left + inner <= n */
    int last;            /* pixels of tile n - 1 */
};
struct row_cut conv_cut_row(const struct conv *c, int pixels);

/* Pixels [first, end) of the tile at output x0 whose tap t (0 <= t < kw) reads
 * inside the input. */
struct tap_range {
    int first, end;
};
struct tap_range conv_tap(const struct conv *c, int64_t x0, int pixels, int64_t t);

/* Some output row has a tap above or below the input. */
bool conv_clips_rows(const struct conv *c);
/* Taps of one kernel row lie behind one another in memory: kw * c_in steps of 4 bytes. */
bool conv_taps_join(const struct conv *c);

int64_t conv_full_blocks(const struct conv *c, const struct conv_tiling *t);
int64_t conv_tail_width(const struct conv *c, const struct conv_tiling *t);
int64_t conv_blocks(const struct conv *c, const struct conv_tiling *t);
int64_t conv_strips(const struct conv *c, const struct conv_tiling *t);

#endif /* HADMC_CODEGEN_CONV_SHAPE_H */
