/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's pools. */
#include "tests/oracle/oracle.h"

#include <assert.h>

/* What one window holds; padding is kept apart from elements. */
struct sight {
    int64_t n_inside, n_padding;
    int64_t sum;     /* of codes less the zero point */
    int32_t largest; /* when n_inside is not 0 */
};

static struct sight look(const int32_t *x, const struct oracle_window *at, int32_t zero,
                         int64_t oy, int64_t ox)
{
    struct sight s = {0};

    for (int64_t ky = 0; ky < at->kh; ky++)
        for (int64_t kx = 0; kx < at->kw; kx++) {
            const int64_t iy = oy * at->stride_y - at->pad_top + ky * at->dilation_y;
            const int64_t ix = ox * at->stride_x - at->pad_left + kx * at->dilation_x;

            if (iy >= at->h + at->pad_bottom || ix >= at->w + at->pad_right)
                continue; /* beyond the padding too */
            if (iy < 0 || iy >= at->h || ix < 0 || ix >= at->w) {
                s.n_padding++;
                continue;
            }

            const int32_t code = x[iy * at->w + ix];

            s.largest = s.n_inside == 0 || code > s.largest ? code : s.largest;
            s.sum += (int64_t)code - zero;
            s.n_inside++;
        }
    return s;
}

void oracle_max_pool(const int32_t *x, const struct oracle_window *at,
                     struct oracle_quant x_as, const struct oracle_output *y_as,
                     int32_t *y)
{
    const int64_t plane = at->h * at->w;

    for (int64_t c = 0; c < at->n * at->c; c++)
        for (int64_t oy = 0; oy < at->oh; oy++)
            for (int64_t ox = 0; ox < at->ow; ox++, y++) {
                const struct sight s = look(x + c * plane, at, x_as.zero, oy, ox);

                if (s.n_inside)
                    oracle_requantize(&s.largest, 1, x_as, y_as, y);
                else
                    *y = y_as->lo;
            }
}

static int32_t average(const struct sight *s, bool count_padding,
                       struct oracle_quant x_as, const struct oracle_output *y_as)
{
    const int64_t count = s->n_inside + (count_padding ? s->n_padding : 0);

    if (count == 0)
        return oracle_scale_down(0, 1, y_as);

    const float m = (float)((double)x_as.scale / ((double)y_as->scale * (double)count));

    assert(m >= 0x1p-126f && m <= 0x1p24f);
    return oracle_scale_down(s->sum, m, y_as);
}

void oracle_average_pool(const int32_t *x, const struct oracle_window *at,
                         bool count_padding, struct oracle_quant x_as,
                         const struct oracle_output *y_as, int32_t *y)
{
    const int64_t plane = at->h * at->w;

    for (int64_t c = 0; c < at->n * at->c; c++)
        for (int64_t oy = 0; oy < at->oh; oy++)
            for (int64_t ox = 0; ox < at->ow; ox++, y++) {
                const struct sight s = look(x + c * plane, at, x_as.zero, oy, ox);

                *y = average(&s, count_padding, x_as, y_as);
            }
}

void oracle_global_average_pool(const int32_t *x, int64_t n, int64_t c, int64_t h,
                                int64_t w, struct oracle_quant x_as,
                                const struct oracle_output *y_as, int32_t *y)
{
    const struct oracle_window all = {.n = n,
                                      .c = c,
                                      .h = h,
                                      .w = w,
                                      .oh = 1,
                                      .ow = 1,
                                      .kh = h,
                                      .kw = w,
                                      .stride_y = 1,
                                      .stride_x = 1,
                                      .dilation_y = 1,
                                      .dilation_x = 1};

    oracle_average_pool(x, &all, false, x_as, y_as, y);
}
