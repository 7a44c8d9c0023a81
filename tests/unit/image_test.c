/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Pictures of tests/data, two pixels wide, and what is done to pixels. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/test.h"

#include "frontend/dataset_formats.h"

static size_t read_file(const char *path, uint8_t *bytes, size_t size)
{
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    const size_t n = fread(bytes, 1, size, f);

    fclose(f);
    return n;
}

/* Checks the size and the pixels, which are `channels` bytes each. */
static void check(const char *path, int width, int height, int channels,
                  const uint8_t *pixels)
{
    uint8_t bytes[1024];
    struct image i;

    CHECK_OK(image_decode(bytes, read_file(path, bytes, sizeof bytes), &i));
    CHECK_EQ(i.width, width);
    CHECK_EQ(i.height, height);
    CHECK_EQ(i.channels, channels);
    CHECK_BYTES(i.pixels, pixels, (size_t)(width * height * channels));
    image_free(&i);
}

static const uint8_t four[] = {0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 90};
static const uint8_t grey[] = {200, 200, 200, 200, 200, 200,
                               200, 200, 200, 200, 200, 200};

TEST(image_reads_png_of_every_coding)
{
    check("tests/data/pictures/dark/a.png", 2, 2, 3, four);
    check("tests/data/png/grey16.png", 2, 1, 1, (const uint8_t[]){0, 255});
    check("tests/data/png/palette.png", 2, 1, 3, (const uint8_t[]){4, 5, 6, 1, 2, 3});
    check("tests/data/png/alpha.png", 1, 1, 3, (const uint8_t[]){7, 8, 9});
    check("tests/data/png/bits.png", 8, 1, 1,
          (const uint8_t[]){255, 0, 255, 0, 0, 0, 0, 0});
}

TEST(image_reads_bmp_from_below_from_above_and_with_a_palette)
{
    check("tests/data/pictures/dark/b.bmp", 2, 2, 3, four);
    check("tests/data/bmp/top_down.bmp", 2, 2, 3, four);
    check("tests/data/bmp/palette.bmp", 2, 1, 3, (const uint8_t[]){4, 5, 6, 1, 2, 3});
}

TEST(image_reads_baseline_and_progressive_jpeg)
{
    check("tests/data/pictures/light/c.jpg", 2, 2, 3, grey);
    check("tests/data/pictures/light/d.jpeg", 2, 2, 1, grey);
}

/* No prefix of a file is taken for the whole; libpng needs none of the last chunk. */
static void check_prefixes(const char *path, size_t n_spare)
{
    uint8_t bytes[1024];
    const size_t n = read_file(path, bytes, sizeof bytes);

    for (size_t len = 0; len + n_spare < n; len++) {
        uint8_t *exact = malloc(len + 1);
        struct image i;

        memcpy(exact, bytes, len);

        struct status *s = image_decode(exact, len, &i);

        CHECK(s != OK && status_code(s) != INTERNAL);
        CHECK(i.pixels == NULL);
        status_free(s);
        free(exact);
    }
}

TEST(image_refuses_every_prefix)
{
    check_prefixes("tests/data/pictures/dark/a.png", 0);
    check_prefixes("tests/data/pictures/dark/b.bmp", 0);
    check_prefixes("tests/data/pictures/light/c.jpg", 2);
    check_prefixes("tests/data/pictures/light/d.jpeg", 2);
}

TEST(image_refuses_pictures_without_end)
{
    uint8_t bytes[1024];
    const size_t n = read_file("tests/data/pictures/dark/b.bmp", bytes, sizeof bytes);
    struct image i;

    bytes[18 + 3] = 0x7f; /* the width's high byte */
    CHECK_FAILS(image_decode(bytes, n, &i), UNSUPPORTED, "2130706434 x 2 pixels");
    CHECK_FAILS(image_decode((const uint8_t *)"GIF89a", 6, &i), INVALID,
                "neither PNG nor JPEG nor BMP");
}

static struct image line(int n, const uint8_t *values)
{
    struct image i;

    CHECK_OK(image_create(n, 1, 1, &i));
    memcpy(i.pixels, values, (size_t)n);
    return i;
}

static void check_resized(int n_in, const uint8_t *in, int n_out, const uint8_t *want)
{
    struct image i = line(n_in, in), out;

    CHECK_OK(image_resize(&i, n_out, 1, &out));
    CHECK_BYTES(out.pixels, want, (size_t)n_out);
    image_free(&i);
    image_free(&out);
}

/* To the double: centres at -0.25 0.25 0.75 1.25 of the input, so 0, 1/4, 3/4, 1. */
TEST(image_resize_interpolates_when_it_grows)
{
    check_resized(2, (const uint8_t[]){0, 100}, 4, (const uint8_t[]){0, 25, 75, 100});
}

/* To the half: a triangle of half width 2 around 1 weighs 1.5, 1.5, 0.5 of 4 at the
 * left edge: (0 + 1.5 * 70 + 0.5 * 0) / 3.5 = 30. */
TEST(image_resize_averages_when_it_shrinks)
{
    check_resized(4, (const uint8_t[]){0, 70, 0, 70}, 2, (const uint8_t[]){30, 40});
    check_resized(3, (const uint8_t[]){9, 9, 9}, 1, (const uint8_t[]){9});
}

TEST(image_crop_takes_the_middle)
{
    struct image i = line(5, (const uint8_t[]){1, 2, 3, 4, 5}), out;

    CHECK_OK(image_crop(&i, 3, 1, &out));
    CHECK_BYTES(out.pixels, ((const uint8_t[]){2, 3, 4}), 3);
    image_free(&out);
    CHECK_FAILS(image_crop(&i, 3, 2, &out), INVALID, "no middle of 3 x 2");
    image_free(&i);
}

/* 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153; 0.587 becomes 1. */
TEST(image_grey_weighs_colours)
{
    struct image i, out, back;

    CHECK_OK(image_create(2, 1, 3, &i));
    memcpy(i.pixels, (const uint8_t[]){100, 200, 50, 0, 1, 0}, 6);
    CHECK_OK(image_grey(&i, &out));
    CHECK_EQ(out.pixels[0], 153);
    CHECK_EQ(out.pixels[1], 1);
    CHECK_OK(image_rgb(&out, &back));
    CHECK_BYTES(back.pixels, ((const uint8_t[]){153, 153, 153}), 3);
    image_free(&i);
    image_free(&out);
    image_free(&back);
}
