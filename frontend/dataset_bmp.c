/* SPDX-License-Identifier: Apache-2.0 */
/* BMP without compression: a header with the picture's size, a palette for up to 8 bits
 * a pixel, rows of pixels padded to four bytes, the lowest row first unless the height
 * is negative (Microsoft, BITMAPINFOHEADER). */
#include <string.h>

#include "frontend/dataset_formats.h"

enum { FILE_HEADER = 14, INFO_HEADER = 40, RAW = 0, BITFIELDS = 3 };

struct bmp {
    int64_t width, height;
    bool top_down;
    int bits;               /* a pixel: 1, 4, 8, 24 or 32 */
    const uint8_t *palette; /* blue, green, red, unused   */
    uint32_t n_colours;
    const uint8_t *rows;
    size_t row_bytes;
};

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16
           | (uint32_t)at[3] << 24;
}

/* 32 bits with the masks that everybody writes: bytes blue, green, red, alpha. */
static bool has_usual_masks(const uint8_t *bytes, size_t len)
{
    return len >= FILE_HEADER + INFO_HEADER + 12 && get_u32(bytes + 54) == 0xff0000
           && get_u32(bytes + 58) == 0xff00 && get_u32(bytes + 62) == 0xff;
}

static struct status *read_coding(const uint8_t *bytes, size_t len, struct bmp *out)
{
    const uint32_t coding = get_u32(bytes + 30);

    out->bits = bytes[28] | bytes[29] << 8;
    if (out->bits != 1 && out->bits != 4 && out->bits != 8 && out->bits != 24
        && out->bits != 32)
        return FAIL(UNSUPPORTED, "a BMP of %d bits a pixel", out->bits);
    if (coding == BITFIELDS && out->bits == 32 && has_usual_masks(bytes, len))
        return OK;
    return coding == RAW ? OK : FAIL(UNSUPPORTED, "a compressed BMP");
}

static struct status *read_palette(const uint8_t *bytes, size_t len, size_t n_header,
                                   struct bmp *out)
{
    if (out->bits > 8)
        return OK;

    const uint32_t wanted = get_u32(bytes + 46);

    out->n_colours = wanted ? wanted : 1u << out->bits;
    if (out->n_colours > 256
        || len - FILE_HEADER - n_header < 4 * (size_t)out->n_colours)
        return FAIL(INVALID, "its palette is cut short");
    out->palette = bytes + FILE_HEADER + n_header;
    return OK;
}

static struct status *read_header(const uint8_t *bytes, size_t len, struct bmp *out)
{
    if (len < FILE_HEADER + INFO_HEADER)
        return FAIL(INVALID, "its header is cut short");

    const size_t n_header = get_u32(bytes + 14), start = get_u32(bytes + 10);

    if (n_header < INFO_HEADER || n_header > len - FILE_HEADER || start > len)
        return FAIL(INVALID, "its header is not that of a BMP");
    RETURN_IF_FAIL(read_coding(bytes, len, out));
    RETURN_IF_FAIL(read_palette(bytes, len, n_header, out));
    out->width = (int32_t)get_u32(bytes + 18);
    out->height = (int32_t)get_u32(bytes + 22);
    out->top_down = out->height < 0;
    if (out->top_down)
        out->height = -out->height;
    out->rows = bytes + start;
    return OK;
}

static void put_pixel(const struct bmp *b, const uint8_t *row, int64_t x, uint8_t *out)
{
    static const uint8_t black[3];
    const uint8_t *bgr = row + x * b->bits / 8;

    if (b->palette) {
        const int shift = 8 - b->bits - (int)(x * b->bits % 8);
        const uint32_t i = *bgr >> shift & ((1u << b->bits) - 1);

        bgr = i < b->n_colours ? b->palette + 4 * (size_t)i : black;
    }
    for (int c = 0; c < 3; c++)
        out[c] = bgr[2 - c];
}

struct status *bmp_decode(const uint8_t *bytes, size_t len, struct image *out)
{
    struct bmp b = {0};

    RETURN_IF_FAIL(read_header(bytes, len, &b));
    RETURN_IF_FAIL(image_create(b.width, b.height, 3, out));
    b.row_bytes = ((size_t)b.width * (size_t)b.bits + 31) / 32 * 4;
    if (b.row_bytes * (size_t)b.height > len - (size_t)(b.rows - bytes)) {
        image_free(out);
        return FAIL(INVALID, "its pixels are cut short");
    }
    for (int64_t y = 0; y < b.height; y++) {
        const uint8_t *row =
            b.rows + (size_t)(b.top_down ? y : b.height - 1 - y) * b.row_bytes;

        for (int64_t x = 0; x < b.width; x++)
            put_pixel(&b, row, x, out->pixels + 3 * (y * b.width + x));
    }
    return OK;
}
