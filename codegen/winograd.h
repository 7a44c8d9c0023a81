/* SPDX-License-Identifier: Apache-2.0 */
/* 3 x 3 convolution by Winograd's F(4x4, 3x3): 36 multiplications for 16 outputs
 * instead of 144.
 *
 *     Y = A' [ (G g G') . (B' d B) ] A       d 6 x 6 inputs, g 3 x 3 weights
 *
 * with interpolation at 0, +-1, +-2 and infinity (Lavin and Gray 2016, section 4.3).
 * The sums over channels are 36 independent matrix products.  Inputs, weights and
 * outputs are transformed on the way, in the scratch of a worker, so weights stay as
 * small as they are in the model.  Results differ from direct convolution by rounding:
 * up to 1e-5 of the largest output, where two orders of summation differ by 1e-6.
 */
#ifndef HADMC_CODEGEN_WINOGRAD_H
#define HADMC_CODEGEN_WINOGRAD_H

#include "codegen/emit.h"

enum { WINOGRAD_OUT = 4, WINOGRAD_IN = 6, WINOGRAD_POINTS = 36 };

/* The work of a unit (image, strip of tiles, share of the channels) and where its
 * scratch lies; from description and tiling. */
struct winograd_cut {
    int lanes;
    int64_t columns, rows;    /* tiles of an image */
    int64_t strip, strips;    /* tile rows of a unit; units down an image */
    int64_t tiles;            /* of a strip, rounded up to whole register tiles */
    int64_t blocks, per_unit; /* blocks of output channels; of a unit */
    int64_t in_channels;      /* rounded up to vectors */
    int64_t in_point, weight_point,
        out_point;                            /* bytes from one of the 36 to the next */
    int64_t in_at, weights_at, out_at, bytes; /* in the scratch */
};

struct winograd_cut winograd_cut(const struct conv *c, const struct conv_tiling *t);

int64_t winograd_units(const struct conv *c, const struct conv_tiling *t);
void winograd_pack(const struct conv *c, const struct conv_tiling *t, const float *from,
                   float *to);
LLVMValueRef emit_winograd(struct emitter *e, const struct conv *c,
                           const struct conv_tiling *t, const char *name);

#endif /* HADMC_CODEGEN_WINOGRAD_H */
