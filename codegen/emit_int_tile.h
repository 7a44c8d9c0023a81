/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile of integer products: `pixels` inputs times `vectors` vectors of
 * output channels, all sums in registers.
 *
 *     for each step k:  sum[i][j] += in[i][4 k .. 4 k + 3] . weights[k][j]
 */
#ifndef HADMC_CODEGEN_EMIT_INT_TILE_H
#define HADMC_CODEGEN_EMIT_INT_TILE_H

#include "codegen/emit_int_build.h"

enum { INT_MAX_PIXELS = 32, INT_MAX_VECTORS = 12 };

struct int_tile {
    const struct int_conv *c;
    enum int_form form;
    int pixels, vectors;
    int lanes, last_lanes; /* last_lanes: channels of the last vector, */
    int depth;             /* of which, above 1, it holds so many steps */
    int64_t width;         /* of the block, padding included */
    int64_t channels;      /* of it that exist */
    int64_t pixel_bytes;   /* from an input pixel to the next one of the tile */
    int unroll;
    LLVMValueRef lines;                  /* int_tile_lines() */
    LLVMValueRef sum[EMIT_MAX_CARRY];    /* [pixel * vectors + vector] */
    LLVMValueRef window[INT_MAX_PIXELS]; /* sums of inputs, or NULL */
};

/* Channels of a vector, and sums. */
int int_tile_lanes(const struct int_tile *t, int vector);
int int_tile_sums(const struct int_tile *t, int vector);
bool int_tile_is_deep(const struct int_tile *t, int vector);
/* Bytes from a block's first int32 or float to those of a vector. */
int64_t int_tile_vector_at(const struct int_tile *t, int vector);

/* Memory in which inputs are spread once for all vectors of a tile, where the form
 * takes them apart; else NULL.  In the function's first block. */
LLVMValueRef int_tile_lines(struct emitter *e, enum int_form form);

/* A step's inputs by pixel: four bytes as an int32, or their address in the lines. */
struct step_inputs {
    LLVMValueRef x[INT_MAX_PIXELS];
    bool spread;
};

/* One step's inputs of one pixel, four bytes as an int32, flipped where the form wants
 * it. */
LLVMValueRef int_tile_input(struct emitter *e, const struct int_tile *t,
                            LLVMValueRef p);
/* Inputs [lo, hi) of a step, `step` bytes apart; the others multiply as 0. */
LLVMValueRef int_tile_input_part(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef p, int lo, int hi, int64_t step);

/* Step k of a run with weights at `weights`, for pixels [first, end); all vectors but a
 * deep one. */
void int_tile_step(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                   int64_t k, const struct step_inputs *in, int first, int end);

/* The deep one's inputs of t->depth neighbouring steps, as so many int32. */
LLVMValueRef int_tile_deep_input(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef p);
/* Steps k ... k + t->depth - 1 of the deep one, inputs by pixel. */
void int_tile_deep_steps(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                         int64_t k, const LLVMValueRef *x, int first, int end);

/* Steps [k, k + count) of a run, whole multiples of t->depth, in a loop; step 0 of the
 * first pixel is at `in`.  All inputs of pixels [first, end) exist and are neighbours.
 */
void int_tile_run(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                  LLVMValueRef weights, int64_t k, int64_t count, int first, int end);

/* Finished sums become results and are stored.  Rows of the epilogue at this block. */
struct int_tile_end {
    LLVMValueRef header, m, slope, weight_zero;
    LLVMValueRef
        bias[INT_MAX_PIXELS]; /* of each pixel's class; added here with 4 bits */
    LLVMValueRef residual;    /* of the first pixel; NULL for none */
    int64_t residual_pixel, out_pixel; /* bytes from pixel to pixel */
};
/* Sums start at the bias, or with 4 bits at 0. */
void int_tile_start(struct emitter *e, struct int_tile *t,
                    const struct int_tile_end *end);
void int_tile_finish(struct emitter *e, struct int_tile *t,
                     const struct int_tile_end *end, LLVMValueRef out);

#endif /* HADMC_CODEGEN_EMIT_INT_TILE_H */
