/* SPDX-License-Identifier: Apache-2.0 */
/* The register tile of convolution and matrix product: `pixels` rows of the input
 * times `vectors` vectors of output channels, all sums in registers.
 *
 *     for each step k:  sum[i][j] += in[i][k] * weights[k][j]
 */
#ifndef HADMC_CODEGEN_EMIT_TILE_H
#define HADMC_CODEGEN_EMIT_TILE_H

#include "codegen/emit_build.h"

struct tile {
    int pixels, vectors;
    int width;           /* output channels; the last vector may be narrow */
    int depth;           /* inputs a step; > 1: one vector, lanes [channel][depth] */
    int64_t pixel_bytes; /* from an input pixel to the next one of the tile */
    int64_t in_step;     /* bytes from one step to the next: input ... */
    int64_t weight_step; /* ... and weights */
    bool half_weights;   /* binary16, and padded; width * depth of them are a step */
    bool weights_padded; /* a whole vector may be read where the last one is narrow */
    int unroll;
    LLVMValueRef sum[EMIT_MAX_CARRY]; /* [pixel * vectors + vector] */
};

static inline int64_t tile_weight_bytes(const struct tile *t)
{
    return t->half_weights ? 2 : 4;
}

/* Sums start at the bias, or at 0 when it is NULL (as they must with depth). */
void tile_start(struct emitter *e, struct tile *t, LLVMValueRef bias);
/* One step for pixels [first, end); addresses of the tile's first pixel. */
void tile_step(struct emitter *e, struct tile *t, LLVMValueRef in, LLVMValueRef weights,
               int first, int end);
/* A step of depth at which pixel i has the inputs [lo[i], hi[i]) of `deep`, and the
 * weights are [channel][deep]. */
void tile_step_part(struct emitter *e, struct tile *t, LLVMValueRef in,
                    LLVMValueRef weights, const int *lo, const int *hi, int deep);
/* The parts of such a step: weights, the inputs [lo, hi) at p, and one pixel. */
LLVMValueRef tile_deep_weights(struct emitter *e, const struct tile *t,
                               LLVMValueRef weights, int deep);
LLVMValueRef tile_deep_input(struct emitter *e, const struct tile *t, LLVMValueRef p,
                             int lo, int hi);
void tile_add(struct emitter *e, struct tile *t, int pixel, LLVMValueRef in,
              LLVMValueRef weights);
/* `count` steps in a loop. */
void tile_run(struct emitter *e, struct tile *t, LLVMValueRef in, LLVMValueRef weights,
              int first, int end, int64_t count);

/* What happens to finished sums. */
struct tile_end {
    enum activation act_before, act;
    float act_a, act_b;
    float alpha;                       /* factor of the sums; 1 is none */
    LLVMValueRef bias;                 /* added after alpha; NULL for none */
    LLVMValueRef residual;             /* of the first pixel; NULL for none */
    int64_t residual_pixel, out_pixel; /* bytes from pixel to pixel */
};
void tile_finish(struct emitter *e, struct tile *t, const struct tile_end *end,
                 LLVMValueRef out);

#endif /* HADMC_CODEGEN_EMIT_TILE_H */
