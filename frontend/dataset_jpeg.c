/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG through libjpeg-turbo: slow integer DCT and smooth upsampling, the defaults,
 * which give the same bytes on every processor. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "frontend/dataset_formats.h"

/* A progressive file of a few kilobytes may ask for thousands of passes over a large
 * picture. */
enum { MAX_SCANS = 500, MAX_MEMORY = 1 << 30 };

struct reader {
    struct jpeg_error_mgr errors; /* first: libjpeg hands out its address */
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct jpeg;
    jmp_buf jump;
    char why[JMSG_LENGTH_MAX];
    struct image image;
};

static void on_error(j_common_ptr jpeg)
{
    struct reader *r = (struct reader *)jpeg->err;

    jpeg->err->format_message(jpeg, r->why);
    longjmp(r->jump, 1);
}

/* Warnings are about data that libjpeg repairs; an early end is made grey, so that is
 * an error here. */
static void on_message(j_common_ptr jpeg, int level)
{
    if (level < 0 && jpeg->err->msg_code == JWRN_JPEG_EOF)
        on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    struct reader *r = (struct reader *)jpeg->err;

    if (r->jpeg.input_scan_number > MAX_SCANS) {
        snprintf(r->why, sizeof r->why, "more than %d scans", MAX_SCANS);
        longjmp(r->jump, 1);
    }
}

/* Everything that may longjmp is in here. */
static struct status *read_all(const uint8_t *bytes, size_t len, struct reader *r)
{
    struct jpeg_decompress_struct *j = &r->jpeg;

    jpeg_create_decompress(j);
    j->progress = &r->progress;
    j->mem->max_memory_to_use = MAX_MEMORY;
    jpeg_mem_src(j, bytes, len);
    jpeg_read_header(j, TRUE);
    if (j->num_components != 1 && j->num_components != 3)
        return FAIL(UNSUPPORTED, "a JPEG of %d colours", j->num_components);
    RETURN_IF_FAIL(
        image_create(j->image_width, j->image_height, j->num_components, &r->image));
    j->out_color_space = j->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = r->image.pixels
                       + (size_t)j->output_scanline * (size_t)r->image.width
                             * (size_t)r->image.channels;

        jpeg_read_scanlines(j, &row, 1);
    }
    jpeg_finish_decompress(j);
    return OK;
}

static struct status *read_or_jump(const uint8_t *bytes, size_t len, struct reader *r)
{
    if (setjmp(r->jump))
        return FAIL(INVALID, "it is not a sound JPEG: %s", r->why);
    return read_all(bytes, len, r);
}

struct status *jpeg_decode(const uint8_t *bytes, size_t len, struct image *out)
{
    struct reader r = {.progress.progress_monitor = on_progress};

    r.jpeg.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;

    struct status *s = read_or_jump(bytes, len, &r);

    jpeg_destroy_decompress(&r.jpeg);
    if (s)
        image_free(&r.image);
    *out = r.image;
    return s;
}
