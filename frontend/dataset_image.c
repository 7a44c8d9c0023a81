/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures in memory: which decoder, and what is done to pixels afterwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/dataset_formats.h"

struct status *image_create(int64_t width, int64_t height, int channels,
                            struct image *out)
{
    *out = (struct image){0};
    if (width < 1 || height < 1 || width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE
        || width * height > IMAGE_MAX_PIXELS)
        return FAIL(UNSUPPORTED, "a picture of %lld x %lld pixels", (long long)width,
                    (long long)height);

    uint8_t *pixels = malloc((size_t)(width * height) * (size_t)channels);

    if (!pixels)
        return FAIL(NO_FIT, "out of memory");
    *out = (struct image){(int)width, (int)height, channels, pixels};
    return OK;
}

void image_free(struct image *i)
{
    free(i->pixels);
    *i = (struct image){0};
}

struct status *image_decode(const uint8_t *bytes, size_t len, struct image *out)
{
    *out = (struct image){0};
    if (len >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        return png_decode(bytes, len, out);
    if (len >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return jpeg_decode(bytes, len, out);
    if (len >= 2 && memcmp(bytes, "BM", 2) == 0)
        return bmp_decode(bytes, len, out);
    return FAIL(INVALID, "it is neither PNG nor JPEG nor BMP");
}

/* ---- colours --------------------------------------------------------------------- */

static size_t n_pixels(const struct image *i)
{
    return (size_t)i->width * (size_t)i->height;
}

struct status *image_grey(const struct image *from, struct image *out)
{
    RETURN_IF_FAIL(image_create(from->width, from->height, 1, out));
    for (size_t i = 0; i < n_pixels(from); i++) {
        const uint8_t *p = from->pixels + i * (size_t)from->channels;

        out->pixels[i] =
            from->channels == 1
                ? p[0]
                : (uint8_t)((299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000);
    }
    return OK;
}

struct status *image_rgb(const struct image *from, struct image *out)
{
    RETURN_IF_FAIL(image_create(from->width, from->height, 3, out));
    for (size_t i = 0; i < n_pixels(from); i++)
        for (int c = 0; c < 3; c++)
            out->pixels[3 * i + (size_t)c] =
                from->pixels[i * (size_t)from->channels
                             + (size_t)(from->channels == 1 ? 0 : c)];
    return OK;
}

/* ---- size ------------------------------------------------------------------------ */

/* Weights with which input pixels make the output pixels along one axis. */
struct filter {
    int taps;       /* weights an output pixel */
    int *first;     /* first input pixel       */
    double *weight; /* [n_out][taps]; sum 1   */
};

/* Output pixel o covers the input around (o + 0.5) * scale; a triangle of half width
 * max(scale, 1) weighs pixel centres there. */
static struct status *filter_create(int n_in, int n_out, struct filter *out)
{
    const double scale = (double)n_in / n_out, half = scale > 1 ? scale : 1;

    out->taps = 2 * (int)ceil(half) + 1;
    out->first = malloc((size_t)n_out * sizeof *out->first);
    out->weight = calloc((size_t)n_out * (size_t)out->taps, sizeof *out->weight);
    if (!out->first || !out->weight)
        return FAIL(NO_FIT, "out of memory");
    for (int o = 0; o < n_out; o++) {
        const double centre = (o + 0.5) * scale;
        double *w = out->weight + (size_t)o * (size_t)out->taps, sum = 0;
        const int first = (int)fmax(0, floor(centre - half));

        out->first[o] = first;
        for (int k = 0; k < out->taps && first + k < n_in; k++)
            sum += w[k] = fmax(0, 1 - fabs(first + k + 0.5 - centre) / half);
        for (int k = 0; k < out->taps; k++)
            w[k] /= sum;
    }
    return OK;
}

static void filter_free(struct filter *f)
{
    free(f->first);
    free(f->weight);
}

/* One line of `n_out` pixels; `step` bytes between pixels of the line. */
static void filter_line(const struct filter *f, int n_in, int n_out,
                        const uint8_t *from, size_t from_step, uint8_t *to,
                        size_t to_step)
{
    for (int o = 0; o < n_out; o++) {
        const double *w = f->weight + (size_t)o * (size_t)f->taps;
        double sum = 0.5;

        for (int k = 0; k < f->taps && f->first[o] + k < n_in; k++)
            sum += w[k] * from[(size_t)(f->first[o] + k) * from_step];
        to[(size_t)o * to_step] = (uint8_t)sum;
    }
}

static struct status *resize_rows(const struct image *from, int width,
                                  struct image *out)
{
    struct filter f = {0};
    const size_t c = (size_t)from->channels;
    struct status *s = filter_create(from->width, width, &f);

    if (!s)
        s = image_create(width, from->height, from->channels, out);
    for (size_t y = 0; !s && y < (size_t)from->height; y++)
        for (size_t k = 0; k < c; k++)
            filter_line(&f, from->width, width,
                        from->pixels + y * (size_t)from->width * c + k, c,
                        out->pixels + y * (size_t)width * c + k, c);
    filter_free(&f);
    return s;
}

static struct status *resize_columns(const struct image *from, int height,
                                     struct image *out)
{
    struct filter f = {0};
    const size_t row = (size_t)from->width * (size_t)from->channels;
    struct status *s = filter_create(from->height, height, &f);

    if (!s)
        s = image_create(from->width, height, from->channels, out);
    for (size_t x = 0; !s && x < row; x++)
        filter_line(&f, from->height, height, from->pixels + x, row, out->pixels + x,
                    row);
    filter_free(&f);
    return s;
}

struct status *image_resize(const struct image *from, int width, int height,
                            struct image *out)
{
    struct image wide = {0};
    struct status *s = resize_rows(from, width, &wide);

    *out = (struct image){0};
    if (!s)
        s = resize_columns(&wide, height, out);
    image_free(&wide);
    return s;
}

struct status *image_crop(const struct image *from, int width, int height,
                          struct image *out)
{
    *out = (struct image){0};
    if (width > from->width || height > from->height)
        return FAIL(INVALID, "a picture of %d x %d pixels has no middle of %d x %d",
                    from->width, from->height, width, height);
    RETURN_IF_FAIL(image_create(width, height, from->channels, out));

    const size_t c = (size_t)from->channels, n = (size_t)width * c;
    const size_t left = (size_t)(from->width - width) / 2;
    const size_t top = (size_t)(from->height - height) / 2;

    for (size_t y = 0; y < (size_t)height; y++)
        memcpy(out->pixels + y * n,
               from->pixels + ((top + y) * (size_t)from->width + left) * c, n);
    return OK;
}
