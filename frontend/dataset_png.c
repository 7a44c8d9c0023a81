/* SPDX-License-Identifier: Apache-2.0 */
/* PNG through libpng.  Samples become 8 bits as they are stored: gamma and colour
 * profiles are ignored, as the pipelines that models are trained with do. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "frontend/dataset_formats.h"

struct reader {
    const uint8_t *bytes;
    size_t len, at;
    char why[128]; /* libpng's words */
    struct image image;
    png_bytep *rows;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct reader *r = png_get_error_ptr(png);

    snprintf(r->why, sizeof r->why, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct reader *r = png_get_io_ptr(png);

    if (n > r->len - r->at)
        png_error(png, "it is cut short");
    memcpy(to, r->bytes + r->at, n);
    r->at += n;
}

/* Whatever the file has: 8 bits, grey or red green blue, no alpha. */
static void ask_for_bytes(png_structp png, png_infop info)
{
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* Everything that may longjmp is in here. */
static struct status *read_all(png_structp png, png_infop info, struct reader *r)
{
    png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, 8 << 20);
    png_set_read_fn(png, r, on_read);
    png_read_info(png, info);
    ask_for_bytes(png, info);

    const int channels = png_get_channels(png, info);

    if ((channels != 1 && channels != 3) || png_get_bit_depth(png, info) != 8)
        return FAIL(UNSUPPORTED, "a PNG of %d channels", channels);
    RETURN_IF_FAIL(image_create(png_get_image_width(png, info),
                                png_get_image_height(png, info), channels, &r->image));
    r->rows = malloc((size_t)r->image.height * sizeof *r->rows);
    if (!r->rows)
        return FAIL(NO_FIT, "out of memory");
    for (size_t y = 0; y < (size_t)r->image.height; y++)
        r->rows[y] = r->image.pixels + y * (size_t)r->image.width * (size_t)channels;
    png_read_image(png, r->rows);
    png_read_end(png, NULL);
    return OK;
}

static struct status *read_or_jump(png_structp png, png_infop info, struct reader *r)
{
    if (setjmp(png_jmpbuf(png)))
        return FAIL(INVALID, "it is not a sound PNG: %s", r->why);
    return read_all(png, info, r);
}

struct status *png_decode(const uint8_t *bytes, size_t len, struct image *out)
{
    struct reader r = {.bytes = bytes, .len = len};
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    struct status *s =
        info ? read_or_jump(png, info, &r) : FAIL(NO_FIT, "out of memory");

    png_destroy_read_struct(&png, &info, NULL);
    free(r.rows);
    if (s)
        image_free(&r.image);
    *out = r.image;
    return s;
}
