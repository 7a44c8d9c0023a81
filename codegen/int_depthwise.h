/* SPDX-License-Identifier: Apache-2.0 */
/* How integer depthwise convolutions are cut and packed; no LLVM.
 *
 * One vector of bytes holds a channel a byte.  Neighbouring kernel columns are taken in
 * groups: four with products of four bytes, two with pairs of 16 bits, else one.  The
 * inputs of a group are woven into four vectors of 32-bit lanes (emit_int_build.h) and
 * multiplied with weights of the same order; so are biases.  Codes come out of it in
 * order, wider results are put in order, and their multipliers are.
 *
 * Two neighbouring outputs share the inputs of a group where that costs no more groups:
 * of 3 taps in a group of 4, [w0 w1 w2 0] gives one and [0 w0 w1 w2] the next.
 *
 * Where channels leave most of a vector empty, it holds those of `fold` neighbouring
 * pixels: of 8 channels and 64 bytes eight.  To all that follows these are channels, 64
 * of them, whose windows lie a pixel apart (int_depthwise_view()).
 */
#ifndef HADMC_CODEGEN_INT_DEPTHWISE_H
#define HADMC_CODEGEN_INT_DEPTHWISE_H

#include "codegen/int_shape.h"

struct int_depthwise_cut {
    int fold;              /* pixels in a vector */
    int group;             /* kernel columns: 4, 2 or 1 */
    int groups;            /* of a kernel row */
    int share;             /* outputs that use the same inputs: 2 or 1 */
    bool flipped;          /* inputs have their upper bit changed: 128 more or less */
    int bytes, tail_bytes; /* channels in a vector, and in the last one if it differs */
    int64_t vectors;       /* whole ones */
    int rows, pixels;      /* of a tile */
    int64_t strip, chunk;  /* output rows and vectors of a unit */
    bool row_loop;         /* kernel rows in a loop */
};

struct int_depthwise_cut int_depthwise_cut(const struct int_conv *c,
                                           const struct isa *isa);

/* The convolution with `fold` pixels as one, whose channels these all have. */
struct conv int_depthwise_view(const struct conv *c,
                               const struct int_depthwise_cut *cut);
/* Its outputs by the taps that they have; those of folded pixels lack what any lacks.
 */
struct int_classes int_depthwise_bias_columns(const struct int_conv *c,
                                              const struct int_depthwise_cut *cut);
/* Channels with padding. */
int64_t int_depthwise_width(const struct int_depthwise_cut *cut);
/* Bytes of the weights of one vector of `bytes` channels and one kernel row, which are
 * [group][output that shares][4 vectors][lane][column]. */
int64_t int_depthwise_row_bytes(const struct int_depthwise_cut *cut, int64_t bytes);
/* The view with all columns as taps that an output reaches, zeros for weights included.
 */
struct conv int_depthwise_reach(const struct conv *c,
                                const struct int_depthwise_cut *cut);

#endif /* HADMC_CODEGEN_INT_DEPTHWISE_H */
