/* SPDX-License-Identifier: Apache-2.0 */
/* A product (product.h) whose weights stay while many samples go through it: taps of
 * 3 x 3 without strides take a quarter of the multiplications (train/filtering.h),
 * where that pays; everything else is product_apply. */
#ifndef HADMC_COMPRESS_PRODUCT_BATCH_H
#define HADMC_COMPRESS_PRODUCT_BATCH_H

#include "compress/product.h"

struct product_batch;

/* In `a`, which also lends scratch memory; weights[channels][k] are borrowed. */
struct product_batch *product_batch_create(struct arena *a, const struct product *p,
                                           const float *weights);

/* n samples, pitch_x and pitch_y elements apart.  What a sample gives does not depend
 * on the others. */
void product_batch_run(const struct product_batch *b, int64_t n, const float *x,
                       int64_t pitch_x, const float *bias, float *y, int64_t pitch_y);

#endif /* HADMC_COMPRESS_PRODUCT_BATCH_H */
