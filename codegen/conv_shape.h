/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of a convolution's tiles, shared by the cost rule, the weight packer and
 * the emitter.
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
/* The convolution as tiles see it: flattened, rows and columns swapped if need be. */
struct conv conv_view(const struct conv *c, const struct conv_tiling *t);

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

/* A kernel row of one group is `n` runs of `length` steps; a step is one input value
 * for all output channels.  Weights are packed run by run.  Inputs are `step` floats
 * apart in a run, and runs start `next` floats apart. */
struct conv_runs {
    enum {
        RUN_ROW,      /* all (column, channel) pairs: they are contiguous */
        RUN_CHANNELS, /* one run a kernel column */
        RUN_COLUMNS,  /* one run a channel (planar input) */
    } kind;
    int64_t n, length, step, next;
};
struct conv_runs conv_runs(const struct conv *c, int depth);

/* Tiles of `depth` go through a kernel row channel by channel and load every input
 * column once for all pixels and taps that meet there: wide inputs take long to load.
 */
bool conv_slides(const struct conv *c, int depth);
/* Input columns that a tile of `pixels` then loads. */
int64_t conv_columns(const struct conv *c, int pixels);

/* Blocks of a group are numbered: whole ones, then tails. */
int64_t conv_blocks(const struct conv *c, const struct conv_tiling *t);
int64_t conv_whole_blocks(const struct conv *c, const struct conv_tiling *t);
int64_t conv_strips(const struct conv *c, const struct conv_tiling *t);

/* The weights of the widest block as float32, and what a tile may read after them. */
int64_t conv_widened_bytes(const struct conv *c, const struct conv_tiling *t);

/* What the rule expects of conv_tile's choice: cycles of one group of an image. */
double conv_direct_cycles(const struct conv *c, const struct isa *isa);

/* The tiling for weights that are used where they lie: rows of c_out floats.  At most
 * one tail, of depth 1, and nothing is swapped. */
struct conv_tiling conv_tile_plain(const struct conv *c, const struct isa *isa);

#endif /* HADMC_CODEGEN_CONV_SHAPE_H */
