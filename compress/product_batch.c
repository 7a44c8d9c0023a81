/* SPDX-License-Identifier: Apache-2.0 */
/* See product_batch.h. */
#include "compress/product_batch.h"

#include "train/filtering.h"

struct product_batch {
    struct product p;
    const float *weights;
    float *scratch;
    bool filters;
    struct filtering filter;
    float *packed;
};

/* False: taps, strides or dims that filtering does not know. */
static bool shape_of(const struct product *p, struct filtering_shape *out)
{
    const struct window *w = &p->window;

    if (p->by_rows || p->groups > 1 || w->batch != 1 || w->in[0] != 1
        || w->kernel[0] != 1 || w->kernel[1] != 3 || w->kernel[2] != 3)
        return false;
    for (int d = 0; d < 3; d++)
        if (w->stride[d] != 1 || w->dilation[d] != 1)
            return false;
    *out = (struct filtering_shape){.c = p->k / 9,
                                    .o = p->channels,
                                    .h = w->in[1],
                                    .w = w->in[2],
                                    .oh = p->out[1],
                                    .ow = p->out[2],
                                    .top = w->pad[1],
                                    .left = w->pad[2]};
    return true;
}

struct product_batch *product_batch_create(struct arena *a, const struct product *p,
                                           const float *weights)
{
    struct product_batch *b = arena_new(a, struct product_batch);
    struct filtering_shape shape;

    *b = (struct product_batch){.p = *p, .weights = weights};
    b->filters = shape_of(p, &shape) && filtering_pays(&shape, shape.oh * shape.ow);
    if (!b->filters) {
        b->scratch = arena_new_array(a, float, product_scratch(p) + 1);
        return b;
    }
    filtering_plan(a, &shape, &b->filter);
    b->scratch = arena_new_array(a, float, b->filter.n_scratch);
    b->packed = arena_new_array(a, float, filtering_n_packed(&b->filter));
    filtering_pack(&b->filter, weights, p->k, 9, false, b->packed);
    return b;
}

void product_batch_run(const struct product_batch *b, int64_t n, const float *x,
                       int64_t pitch_x, const float *bias, float *y, int64_t pitch_y)
{
    if (b->filters)
        filtering_run(&b->filter, n, b->packed, x, pitch_x, bias, false, y, pitch_y,
                      b->scratch);
    else
        for (int64_t i = 0; i < n; i++)
            product_apply(&b->p, b->weights, bias, x + i * pitch_x, b->scratch,
                          y + i * pitch_y);
}
