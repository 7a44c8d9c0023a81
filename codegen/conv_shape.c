/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of a convolution's tiles: see conv_shape.h. */
#include "codegen/conv_shape.h"

#include "codegen/winograd.h"
#include "codegen/whole.h"

enum {
    MAX_SLIDE = 8, /* kernel columns whose weights stay in registers */
    SLIDE_PIXELS = 16,
};

static bool is_pointwise(const struct conv *c)
{
    return c->kh == 1 && c->kw == 1 && c->stride_y == 1 && c->stride_x == 1
           && c->pad_top == 0 && c->pad_left == 0 && c->oh == c->h && c->ow == c->w;
}

/* Rows (or images) follow one another as pixels do, in all operands. */
static bool lines_join(const struct conv *c, int64_t width, int64_t in, int64_t out,
                       int64_t res)
{
    return in == width * c->in_x && out == width * c->out_x
           && (!c->has_residual || res == width * c->res_x);
}

struct conv conv_flatten(const struct conv *c)
{
    struct conv f = *c;

    if (!is_pointwise(c))
        return f;
    if (f.h == 1 || lines_join(&f, f.w, f.in_y, f.out_y, f.res_y)) {
        f.w *= f.h;
        f.h = 1;
    }
    if (f.h == 1 && (f.n == 1 || lines_join(&f, f.w, f.in_n, f.out_n, f.res_n))) {
        f.w *= f.n;
        f.n = 1;
    }
    f.oh = f.h;
    f.ow = f.w;
    return f;
}

static void swap64(int64_t *a, int64_t *b)
{
    const int64_t t = *a;

    *a = *b;
    *b = t;
}

static struct conv swap_axes(struct conv c)
{
    swap64(&c.h, &c.w);
    swap64(&c.oh, &c.ow);
    swap64(&c.kh, &c.kw);
    swap64(&c.stride_y, &c.stride_x);
    swap64(&c.dilation_y, &c.dilation_x);
    swap64(&c.pad_top, &c.pad_left);
    swap64(&c.in_y, &c.in_x);
    swap64(&c.out_y, &c.out_x);
    swap64(&c.res_y, &c.res_x);
    return c;
}

struct conv conv_view(const struct conv *c, const struct conv_tiling *t)
{
    const struct conv f = conv_flatten(c);

    return t->swapped ? swap_axes(f) : f;
}

struct tap_range conv_tap(const struct conv *c, int64_t x0, int pixels, int64_t t)
{
    struct tap_range r = {pixels, 0};

    for (int i = 0; i < pixels; i++) {
        const int64_t x = (x0 + i) * c->stride_x - c->pad_left + t * c->dilation_x;

        if (x < 0 || x >= c->w)
            continue;
        if (i < r.first)
            r.first = i;
        r.end = i + 1;
    }
    if (r.first > r.end)
        r.first = r.end;
    return r;
}

static bool tile_is_inner(const struct conv *c, int64_t x0, int pixels)
{
    const int64_t lo = x0 * c->stride_x - c->pad_left;
    const int64_t hi =
        (x0 + pixels - 1) * c->stride_x - c->pad_left + (c->kw - 1) * c->dilation_x;

    return lo >= 0 && hi < c->w;
}

struct row_cut conv_cut_row(const struct conv *c, int pixels)
{
    struct row_cut r = {.pixels = pixels, .n = ceil_div(c->ow, pixels)};

    r.last = (int)(c->ow - (r.n - 1) * pixels);
    const int64_t n_full = c->ow / pixels;

    while (r.left < n_full && !tile_is_inner(c, r.left * pixels, pixels))
        r.left++;
    while (r.left + r.inner < n_full
           && tile_is_inner(c, (r.left + r.inner) * pixels, pixels))
        r.inner++;
    return r;
}

bool conv_clips_rows(const struct conv *c)
{
    return c->pad_top > 0
           || (c->oh - 1) * c->stride_y - c->pad_top + (c->kh - 1) * c->dilation_y
                  >= c->h;
}

/* Column `at` of a tile, counted from its first tap, is some pixel's some tap. */
static bool column_is_used(const struct conv *c, int pixels, int64_t at)
{
    for (int64_t t = 0; t < c->kw; t++) {
        const int64_t i = at - t * c->dilation_x;

        if (i >= 0 && i % c->stride_x == 0 && i / c->stride_x < pixels)
            return true;
    }
    return false;
}

int64_t conv_columns(const struct conv *c, int pixels)
{
    const int64_t all = (pixels - 1) * c->stride_x + (c->kw - 1) * c->dilation_x + 1;
    int64_t n = 0;

    for (int64_t at = 0; at < all; at++)
        n += column_is_used(c, pixels, at);
    return n;
}

bool conv_slides(const struct conv *c, int depth)
{
    const int pixels = c->ow < SLIDE_PIXELS ? (int)c->ow : SLIDE_PIXELS;

    return depth > 2 && c->in_c == 1 && c->c_in >= depth && c->kw > 1
           && c->kw <= MAX_SLIDE && 4 * conv_columns(c, pixels) <= 3 * pixels * c->kw;
}

struct conv_runs conv_runs(const struct conv *c, int depth)
{
    const int64_t column = c->in_x * c->dilation_x;

    if (conv_slides(c, depth))
        return (struct conv_runs){RUN_CHANNELS, c->kw, c->c_in, c->in_c, column};
    if (c->c_in == 1)
        return (struct conv_runs){RUN_ROW, 1, c->kw, column, 0};
    if (c->in_c == 1 && (c->kw == 1 || column == c->c_in))
        return (struct conv_runs){RUN_ROW, 1, c->kw * c->c_in, 1, 0};
    if (depth > 1 && column == 1)
        return (struct conv_runs){RUN_COLUMNS, c->c_in, c->kw, 1, c->in_c};
    return (struct conv_runs){RUN_CHANNELS, c->kw, c->c_in, c->in_c, column};
}

int64_t conv_whole_blocks(const struct conv *c, const struct conv_tiling *t)
{
    return c->c_out / t->block;
}

int64_t conv_blocks(const struct conv *c, const struct conv_tiling *t)
{
    return conv_whole_blocks(c, t) + t->n_tails;
}

int64_t conv_strips(const struct conv *c, const struct conv_tiling *t)
{
    return ceil_div(c->oh, t->rows);
}

int64_t conv_units(const struct conv *c, const struct conv_tiling *t)
{
    const struct conv v = conv_view(c, t);

    if (t->winograd)
        return winograd_units(c, t);
    return v.n * v.groups * conv_blocks(&v, t) * conv_strips(&v, t) * t->chunks;
}

int64_t conv_widened_bytes(const struct conv *c, const struct conv_tiling *t)
{
    int64_t width = conv_whole_blocks(c, t) ? t->block : 0;

    for (int i = 0; i < t->n_tails; i++)
        width = max64(width, t->tail[i].width);
    return width * c->c_in * c->kh * c->kw * 4 + 64;
}

int64_t conv_scratch_bytes(const struct conv *c, const struct conv_tiling *t)
{
    return t->winograd  ? winograd_cut(c, t).bytes
           : t->widened ? conv_widened_bytes(c, t)
                        : 0;
}
