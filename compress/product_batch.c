/* SPDX-License-Identifier: Apache-2.0 */
/* See product_batch.h. */
#include "compress/product_batch.h"

#include "compress/lane_conv.h"

struct product_batch {
    struct product p;
    struct lane_conv *conv; /* NULL: product_apply */
    float *weights, *scratch;
    float *scale; /* of conv */
};

struct product_batch *product_batch_create(struct arena *a, const struct product *p,
                                           float *weights, const bool *gone_in,
                                           const bool *gone_out)
{
    struct product_batch *b = arena_new(a, struct product_batch);

    *b = (struct product_batch){.p = *p, .weights = weights};
    b->conv = lane_conv_create(a, &b->p, weights, gone_in, gone_out);
    if (!b->conv) {
        b->scratch = arena_new_array(a, float, product_scratch(p) + 1);
        return b;
    }
    b->scale = arena_new_array(a, float, p->channels);
    for (int64_t c = 0; c < p->channels; c++)
        b->scale[c] = 1.0f;
    return b;
}

void product_batch_scale(struct product_batch *b, const float *scale)
{
    const int64_t k = b->p.k;

    for (int64_t c = 0; c < b->p.channels; c++)
        if (b->conv)
            b->scale[c] *= scale[c];
        else
            for (int64_t i = c * k; i < (c + 1) * k; i++)
                b->weights[i] *= scale[c];
}

void product_batch_run(const struct product_batch *b, int64_t n, const float *x,
                       int64_t pitch_x, const float *bias, float *y, int64_t pitch_y)
{
    if (b->conv) {
        lane_conv_run(b->conv, n, x, pitch_x, b->scale, bias, y, pitch_y);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        product_apply(&b->p, b->weights, bias, x + i * pitch_x, b->scratch,
                      y + i * pitch_y);
}
