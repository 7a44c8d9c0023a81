/* SPDX-License-Identifier: Apache-2.0 */
/* A product (product.h) whose weights stay while many samples go through it, on the
 * loops of lane_conv.h where it is such a convolution; everything else is
 * product_apply. */
#ifndef HADMC_COMPRESS_PRODUCT_BATCH_H
#define HADMC_COMPRESS_PRODUCT_BATCH_H

#include "compress/product.h"

struct product_batch;

/* In `a`, which also lends scratch memory; weights[channels][k] are borrowed.  Weights
 * of inputs gone_in[k] are 0, outputs gone_out[channels] need not be written; NULL:
 * none. */
struct product_batch *product_batch_create(struct arena *a, const struct product *p,
                                           float *weights, const bool *gone_in,
                                           const bool *gone_out);

/* Results without bias become scale[channels] times what they were. */
void product_batch_scale(struct product_batch *b, const float *scale);

/* n samples, pitch_x and pitch_y elements apart.  What a sample gives does not depend
 * on the others. */
void product_batch_run(const struct product_batch *b, int64_t n, const float *x,
                       int64_t pitch_x, const float *bias, float *y, int64_t pitch_y);

#endif /* HADMC_COMPRESS_PRODUCT_BATCH_H */
