/* SPDX-License-Identifier: Apache-2.0 */
/* The file formats of data sets: bytes in memory -> numbers.  Bytes are untrusted; each
 * function checks all that it relies on and fails with INVALID or UNSUPPORTED without
 * naming the file, which the caller adds. */
#ifndef HADMC_FRONTEND_DATASET_FORMATS_H
#define HADMC_FRONTEND_DATASET_FORMATS_H

#include <stddef.h>

#include "frontend/ir.h"

/* ---- .npy (NumPy enhancement proposal 1, versions 1 to 3) ------------------------ */

enum { NPY_MAX_RANK = IR_MAX_RANK + 1 };

/* Row-major; every dimension is > 0 and all of the contents are there. */
struct npy {
    enum dtype dtype;
    bool swapped; /* the bytes of an element are in the other order than here */
    int rank;
    int64_t dim[NPY_MAX_RANK];
    const uint8_t *data; /* into the bytes given; any alignment */
};

struct status *npy_parse(const uint8_t *bytes, size_t len, struct npy *out);

/* ---- pictures -------------------------------------------------------------------- */

enum { IMAGE_MAX_SIDE = 1 << 15, IMAGE_MAX_PIXELS = 1 << 26 };

/* Row-major, `channels` bytes a pixel: 1 grey, 3 red green blue. */
struct image {
    int width, height, channels;
    uint8_t *pixels; /* from malloc; image_free */
};

/* PNG, JPEG or BMP, told apart by their first bytes.  Transparency is dropped, 16 bits
 * a channel become 8, orientation tags are ignored. */
struct status *image_decode(const uint8_t *bytes, size_t len, struct image *out);
struct status *image_create(int64_t width, int64_t height, int channels,
                            struct image *out);
void image_free(struct image *i);

struct status *bmp_decode(const uint8_t *bytes, size_t len, struct image *out);
struct status *png_decode(const uint8_t *bytes, size_t len, struct image *out);
struct status *jpeg_decode(const uint8_t *bytes, size_t len, struct image *out);

/* Bilinear; a smaller picture averages over what a pixel covers (the triangle filter
 * of width 2 * scale, as Pillow and torchvision with antialiasing do). */
struct status *image_resize(const struct image *from, int width, int height,
                            struct image *out);
/* The middle of the picture, which must be at least as large. */
struct status *image_crop(const struct image *from, int width, int height,
                          struct image *out);
/* Luma of ITU-R BT.601, rounded: 0.299 R + 0.587 G + 0.114 B; grey stays. */
struct status *image_grey(const struct image *from, struct image *out);
struct status *image_rgb(const struct image *from, struct image *out);

/* ---- .wav ------------------------------------------------------------------------ */

enum wav_kind { WAV_U8, WAV_I16, WAV_I24, WAV_I32, WAV_F32, WAV_F64 };

struct wav {
    enum wav_kind kind;
    int channels; /* 1 ... 64 */
    int rate;     /* frames a second */
    int64_t n;    /* frames */
    const uint8_t *data;
};

struct status *wav_parse(const uint8_t *bytes, size_t len, struct wav *out);
/* The first n <= w->n frames, channels averaged; integers from -1 to 1. */
void wav_mono(const struct wav *w, int64_t n, float *out);

#endif /* HADMC_FRONTEND_DATASET_FORMATS_H */
