/* SPDX-License-Identifier: Apache-2.0 */
/* A convolution of one and two spatial dims without groups, of many samples, on the
 * loops of lanes.h; channels that are gone cost nothing.  Taps of 3 x 3 without strides
 * take a quarter of the multiplications, as in train/filtering.h, where that pays. */
#ifndef HADMC_COMPRESS_LANE_CONV_H
#define HADMC_COMPRESS_LANE_CONV_H

#include "compress/product.h"

struct lane_conv;

/* In `a`, with its scratch memory; NULL: p is another kind of product.  Inputs
 * gone_in[p->k], by weight of a channel, are not read, outputs gone_out[channels] not
 * written; NULL: none.  weights[channels][k] are not needed later. */
struct lane_conv *lane_conv_create(struct arena *a, const struct product *p,
                                   const float *weights, const bool *gone_in,
                                   const bool *gone_out);

/* y = scale[channels] * (the sum) + bias[channels]; n samples, pitch_x and pitch_y
 * elements apart.  What a sample gives does not depend on the others. */
void lane_conv_run(struct lane_conv *v, int64_t n, const float *x, int64_t pitch_x,
                   const float *scale, const float *bias, float *y, int64_t pitch_y);

#endif /* HADMC_COMPRESS_LANE_CONV_H */
