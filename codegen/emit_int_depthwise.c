/* SPDX-License-Identifier: Apache-2.0 */
/* Integer depthwise convolution, channels last: int_depthwise.h says how kernel columns
 * are grouped.
 *
 * A tile is `rows` x `pixels` outputs of one vector of channels.  Input rows go from
 * top to bottom; a row's groups are woven once and multiplied into all outputs that
 * they reach.  Input rows outside of the image are left out by a branch, columns are
 * zeros where they are known to be outside.
 */
#include "codegen/emit_int_tile.h"
#include "codegen/int_depthwise.h"

#include <assert.h>
#include <string.h>

enum { MAX_LANES = 16 };

struct depthwise {
    struct emitter *e;
    const struct int_conv *c;
    const struct conv *s; /* the view */
    struct int_depthwise_cut cut;
    struct int_classes rows, columns;
    int64_t width;     /* channels, with padding */
    int64_t out_bytes; /* of a result */
    LLVMValueRef function;
};

/* One vector of channels, `used` of its `bytes`. */
struct slice {
    int bytes, used;
    LLVMValueRef channel; /* the first; with padding it is the same */
};

/* Where a band of output rows starts, at channel 0. */
struct band {
    int rows;
    LLVMValueRef in, out, residual, y, iy;
};

/* A tile: `t.sum` is [row * pixels + pixel][4]. */
struct window {
    struct int_tile t;
    int rows, pixels, bytes, used;
    int64_t x0; /* -1: an inner tile */
    LLVMValueRef in, iy, weights;
};

static LLVMValueRef param(const struct depthwise *d, unsigned i)
{
    return LLVMGetParam(d->function, i);
}

/* ---- groups of columns ------------------------------------------------------- */

/* Of the pixels in a vector, those whose column lies in the input: [first, end). */
static struct tap_range lanes_of_column(const struct depthwise *d,
                                        const struct window *w, int64_t column)
{
    const struct conv *s = d->s;
    const int64_t step = s->stride_x / d->cut.fold;
    const int64_t x = w->x0 * s->stride_x - s->pad_left + column;
    struct tap_range r = {0, d->cut.fold};

    while (w->x0 >= 0 && r.first < r.end && x + r.first * step < 0)
        r.first++;
    while (w->x0 >= 0 && r.first < r.end && x + (r.end - 1) * step >= s->w)
        r.end--;
    return r;
}

static bool column_exists(const struct depthwise *d, const struct window *w,
                          int64_t column)
{
    const struct tap_range r = lanes_of_column(d, w, column);

    return r.first < r.end;
}

/* Folded pixels [r.first, r.end) as neighbours of `step` pixels lie in memory. */
static LLVMValueRef load_pixels(const struct depthwise *d, const struct window *w,
                                LLVMValueRef row, int64_t column, struct tap_range r)
{
    struct emitter *e = d->e;
    const int64_t pixel = d->s->in_x, step = d->s->stride_x / d->cut.fold;
    const int64_t n = r.end > r.first ? (r.end - r.first - 1) * step + 1 : 0;
    LLVMTypeRef bytes = int_vector(e, e->i8, w->bytes);
    LLVMValueRef x;

    if (!n)
        return LLVMConstNull(bytes);
    x = int_load_part(e, bytes, emit_at(e, row, (column + r.first * step) * pixel),
                      (int)(n * pixel));
    return d->cut.flipped ? int_flip(e, x) : x;
}

/* Every pixel of r where it belongs, zeros elsewhere: from at most two loads, pixels
 * that are a stride apart. */
static LLVMValueRef load_folded(const struct depthwise *d, const struct window *w,
                                LLVMValueRef row, int64_t column, struct tap_range r)
{
    struct emitter *e = d->e;
    const int pixel = (int)d->s->in_x, step = (int)d->s->stride_x / d->cut.fold;
    const bool halves = ((r.end - r.first - 1) * step + 1) * pixel > w->bytes;
    const int middle = halves ? (r.first + r.end + 1) / 2 : r.end;
    LLVMValueRef low = load_pixels(d, w, row, column,
                                   (struct tap_range){r.first, middle}),
                 high =
                     load_pixels(d, w, row, column, (struct tap_range){middle, r.end});
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(low)), x;
    int index[4 * MAX_LANES], keep[4 * MAX_LANES];

    for (int i = 0; i < w->bytes; i++) {
        const int at = i / pixel, from = at < middle ? r.first : middle;
        const bool exists = at >= r.first && at < r.end;

        index[i] = !exists ? 0
                           : (at < middle ? 0 : w->bytes) + (at - from) * step * pixel
                                 + i % pixel;
        keep[i] = exists ? i : w->bytes;
    }
    x = emit_shuffle(e, low, high, index, w->bytes);
    return r.end - r.first < d->cut.fold ? emit_shuffle(e, x, zero, keep, w->bytes) : x;
}

static LLVMValueRef load_column(const struct depthwise *d, const struct window *w,
                                LLVMValueRef row, int64_t column)
{
    struct emitter *e = d->e;
    const struct tap_range r = lanes_of_column(d, w, column);
    LLVMTypeRef bytes = int_vector(e, e->i8, w->bytes);
    LLVMValueRef x;

    if (r.first == r.end)
        return LLVMConstNull(bytes);
    if (d->cut.fold > 1)
        return load_folded(d, w, row, column, r);
    x = int_load_part(e, bytes, emit_at(e, row, column * d->s->in_x), w->used);
    return d->cut.flipped ? int_flip(e, x) : x;
}

/* Four columns: their bytes, in four vectors of lanes. */
static void weave_four(struct emitter *e, const LLVMValueRef *x, LLVMValueRef out[4])
{
    for (int half = 0; half < 2; half++) {
        LLVMValueRef a = int_zip(e, x[0], x[1], 1, half);
        LLVMValueRef b = int_zip(e, x[2], x[3], 1, half);

        out[2 * half] = int_zip(e, a, b, 2, false);
        out[2 * half + 1] = int_zip(e, a, b, 2, true);
    }
}

/* Two columns: pairs of 16 bits. */
static void weave_two(struct emitter *e, const LLVMValueRef *x, LLVMValueRef out[4])
{
    LLVMValueRef zero = LLVMConstNull(LLVMTypeOf(x[0]));

    for (int half = 0; half < 2; half++) {
        LLVMValueRef a = int_zip(e, x[0], x[1], 1, half);

        out[2 * half] = int_zip(e, a, zero, 1, false);
        out[2 * half + 1] = int_zip(e, a, zero, 1, true);
    }
}

/* One column, as 32 bits that LLVM knows to be 16. */
static void widen_one(const struct depthwise *d, LLVMValueRef x, LLVMValueRef out[4])
{
    struct emitter *e = d->e;
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(x)) / 4;
    LLVMTypeRef words = int_vector(e, e->i16, 4 * lanes);

    x = d->c->in_signed ? LLVMBuildSExt(e->builder, x, words, "")
                        : LLVMBuildZExt(e->builder, x, words, "");
    for (int j = 0; j < 4; j++) {
        int index[16];

        for (int i = 0; i < lanes; i++)
            index[i] = j * lanes + i;
        out[j] = LLVMBuildSExt(e->builder, emit_shuffle(e, x, x, index, lanes),
                               int_vector(e, e->i32, lanes), "");
    }
}

static void weave(const struct depthwise *d, const LLVMValueRef *x, LLVMValueRef out[4])
{
    LLVMTypeRef bytes = LLVMTypeOf(x[0]);

    if (d->cut.group == 4)
        weave_four(d->e, x, out);
    else if (d->cut.group == 2)
        weave_two(d->e, x, out);
    else
        widen_one(d, x[0], out);
    for (int j = 0; j < 4 && d->cut.group > 1; j++)
        out[j] = int_cast(d->e, out[j], bytes);
}

/* sum + products of what is woven and the weights at p. */
static LLVMValueRef multiply(const struct depthwise *d, LLVMValueRef sum,
                             LLVMValueRef x, LLVMValueRef p)
{
    struct emitter *e = d->e;
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(sum));
    LLVMTypeRef ints = LLVMTypeOf(sum), pairs = int_vector(e, e->i16, 2 * lanes);
    LLVMValueRef w;

    switch (d->cut.group) {
    case 4:
        return int_dot(e, sum, int_cast(e, x, ints), int_load(e, ints, p));
    case 2:
        w = int_pair(e, int_cast(e, x, pairs), int_load(e, pairs, p));
        return LLVMBuildAdd(e->builder, sum, w, "");
    default:
        w = int_load(e, int_vector(e, e->i16, lanes), p);
        w = LLVMBuildSExt(e->builder, w, ints, "");
        return LLVMBuildAdd(e->builder, sum, LLVMBuildMul(e->builder, x, w, ""), "");
    }
}

/* Column, counted from the tile's first, at which a pixel's group starts. */
static int64_t group_start(const struct depthwise *d, int pixel, int group)
{
    const int64_t first = pixel - pixel % d->cut.share;

    return first * d->s->stride_x + (int64_t)group * d->cut.group * d->s->dilation_x;
}

/* Weights of a kernel row for a pixel's group. */
static int64_t weights_at(const struct depthwise *d, const struct window *w, int pixel,
                          int group)
{
    const int64_t vector =
        (int64_t)w->bytes * d->cut.group * (d->cut.group == 4 ? 1 : 2);

    return (group * d->cut.share + pixel % d->cut.share) * vector;
}

/* Multiplies woven inputs into all pixels whose group starts at `start`. */
static void add_group(const struct depthwise *d, struct window *w, int row,
                      LLVMValueRef weights, int64_t start, LLVMValueRef x[4])
{
    const int64_t quarter = w->bytes * d->cut.group * (d->cut.group == 4 ? 1 : 2) / 4;

    for (int i = 0; i < w->pixels; i++)
        for (int g = 0; g < d->cut.groups; g++) {
            LLVMValueRef *sum = &w->t.sum[(row * w->pixels + i) * 4];
            LLVMValueRef p = emit_at(d->e, weights, weights_at(d, w, i, g));

            if (group_start(d, i, g) != start)
                continue;
            for (int j = 0; j < 4; j++)
                sum[j] = multiply(d, sum[j], x[j], emit_at(d->e, p, j * quarter));
        }
}

static bool some_group_starts(const struct depthwise *d, const struct window *w,
                              int64_t start)
{
    for (int i = 0; i < w->pixels; i++)
        for (int g = 0; g < d->cut.groups; g++)
            if (group_start(d, i, g) == start)
                return true;
    return false;
}

/* One input row; weights[r] is its kernel row for output row r, NULL if it has none. */
static void add_input_row(const struct depthwise *d, struct window *w, LLVMValueRef row,
                          LLVMValueRef *weights)
{
    const int64_t last = group_start(d, w->pixels - 1, d->cut.groups - 1);

    for (int64_t start = 0; start <= last; start++) {
        LLVMValueRef x[4], woven[4];
        bool some = false;

        if (!some_group_starts(d, w, start))
            continue;
        for (int k = 0; k < d->cut.group; k++) {
            const int64_t column = start + k * d->s->dilation_x;

            some = some || column_exists(d, w, column);
            x[k] = load_column(d, w, row, column);
        }
        if (!some)
            continue;
        weave(d, x, woven);
        for (int r = 0; r < w->rows; r++)
            if (weights[r])
                add_group(d, w, r, emit_hide(d->e, weights[r]), start, woven);
    }
}

/* ---- rows of a tile ---------------------------------------------------------- */

static LLVMValueRef row_exists(const struct depthwise *d, LLVMValueRef iy,
                               int64_t offset)
{
    return LLVMBuildICmp(d->e->builder, LLVMIntULT, emit_add(d->e, iy, offset),
                         emit_int(d->e, d->s->h), "");
}

static void sum_rows(const struct depthwise *d, struct window *w)
{
    struct emitter *e = d->e;
    const struct conv *s = d->s;
    const int64_t row_bytes = int_depthwise_row_bytes(&d->cut, w->bytes);
    const int64_t rows = (w->rows - 1) * s->stride_y + (s->kh - 1) * s->dilation_y + 1;

    for (int64_t row = 0; row < rows; row++) {
        LLVMValueRef of[2] = {NULL, NULL};
        struct emit_if inside;

        for (int r = 0; r < w->rows; r++)
            for (int64_t ky = 0; ky < s->kh; ky++)
                if (r * s->stride_y + ky * s->dilation_y == row)
                    of[r] = emit_at(e, w->weights, ky * row_bytes);
        if (!of[0] && !of[1])
            continue;
        if (conv_clips_rows(s))
            emit_if_begin(e, &inside, row_exists(d, w->iy, row), w->t.sum,
                          w->t.pixels * 4);
        add_input_row(d, w, emit_at(e, w->in, row * s->in_y), of);
        if (conv_clips_rows(s))
            emit_if_end(e, &inside, w->t.sum);
    }
}

/* Large kernels: one output row, kernel rows in a loop. */
static void sum_row_loop(const struct depthwise *d, struct window *w)
{
    struct emitter *e = d->e;
    const struct conv *s = d->s;
    const int64_t row_bytes = int_depthwise_row_bytes(&d->cut, w->bytes);
    struct emit_loop l = {0};
    struct emit_if inside;

    assert(w->rows == 1);
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, s->kh), 1, w->t.sum,
                    w->t.pixels * 4);
    LLVMValueRef offset = emit_mul(e, l.at, s->dilation_y);
    LLVMValueRef y = LLVMBuildAdd(e->builder, w->iy, offset, "");
    LLVMValueRef of = emit_at_value(e, w->weights, emit_mul(e, l.at, row_bytes));

    emit_if_begin(e, &inside, row_exists(d, y, 0), w->t.sum, w->t.pixels * 4);
    add_input_row(d, w, emit_at_value(e, w->in, emit_mul(e, offset, s->in_y)), &of);
    emit_if_end(e, &inside, w->t.sum);
    emit_loop_end(e, &l, w->t.sum);
}

/* ---- tiles ------------------------------------------------------------------- */

static int64_t column_class(const struct depthwise *d, int64_t x0, int pixel)
{
    return x0 < 0 ? d->columns.before : int_class_of(&d->columns, d->s->ow, x0 + pixel);
}

/* Four vectors in the order of channels. */
static void unweave(struct emitter *e, int lanes, LLVMValueRef sum[4])
{
    LLVMValueRef half[2], all[4];
    int index[2 * MAX_LANES];

    for (int i = 0; i < 2 * lanes; i++)
        index[i] = i;
    for (int i = 0; i < 2; i++)
        half[i] = emit_shuffle(e, sum[2 * i], sum[2 * i + 1], index, 2 * lanes);
    for (int j = 0; j < 4; j++) {
        for (int i = 0; i < lanes; i++) {
            const int channel = j * lanes + i;

            index[i] = channel % 16 / 4 * lanes + channel / 16 * 4 + channel % 4;
        }
        all[j] = emit_shuffle(e, half[0], half[1], index, lanes);
    }
    memcpy(sum, all, sizeof all);
}

static void finish(const struct depthwise *d, struct window *w,
                   struct int_tile_end *end, const struct band *band, LLVMValueRef out,
                   LLVMValueRef residual)
{
    struct emitter *e = d->e;
    struct int_tile row = w->t;

    row.pixels = w->pixels;
    for (int r = 0; r < band->rows; r++) {
        for (int i = 0; i < w->pixels * 4; i++)
            row.sum[i] = w->t.sum[r * w->pixels * 4 + i];
        if (d->c->result != INT_CODES)
            for (int i = 0; i < w->pixels; i++)
                unweave(e, w->t.lanes, row.sum + i * 4);
        end->residual = residual ? emit_at(e, residual, r * d->s->res_y) : NULL;
        int_tile_finish(e, &row, end, emit_at(e, out, r * d->s->out_y * d->out_bytes));
    }
}

/* The tile at output column x (x0 if that is known and the tile at a border). */
static void emit_tile_at(const struct depthwise *d, const struct slice *slice,
                         const struct band *band, int pixels, LLVMValueRef x,
                         int64_t x0)
{
    struct emitter *e = d->e;
    const struct conv *s = d->s;
    const int64_t row_bytes = int_depthwise_row_bytes(&d->cut, 1);
    LLVMValueRef rows = emit_at(e, param(d, CORE_BIAS), sizeof(struct int_header));
    LLVMValueRef residual = NULL, out, in;
    struct window w = {
        .t =
            {
                .c = d->c,
                .form = INT_DOT_US, /* nothing is left to take back */
                .pixels = band->rows * pixels,
                .vectors = 4,
                .lanes = slice->bytes / 4,
                .last_lanes = slice->bytes / 4,
                .width = slice->bytes,
                .channels = slice->used,
            },
        .rows = band->rows,
        .pixels = pixels,
        .bytes = slice->bytes,
        .used = slice->used,
        .x0 = x0,
        .iy = band->iy,
    };
    struct int_tile_end end = {
        .header = param(d, CORE_BIAS),
        .m = emit_at_value(e, rows, emit_mul(e, slice->channel, 4)),
        .residual_pixel = s->res_x,
        .out_pixel = s->out_x * d->out_bytes,
    };
    LLVMValueRef bias = emit_at(e, end.m, d->width * 4);

    if (d->c->has_slopes) {
        end.slope = bias;
        bias = emit_at(e, bias, d->width * 4);
    }

    for (int r = 0; r < band->rows; r++) {
        LLVMValueRef class =
            int_class_value(e, &d->rows, s->oh, emit_add(e, band->y, r));
        LLVMValueRef of =
            emit_at_value(e, bias, emit_mul(e, class, d->columns.n * d->width * 4));

        for (int i = 0; i < pixels; i++)
            end.bias[r * pixels + i] =
                emit_at(e, of, column_class(d, x0, i) * d->width * 4);
    }
    in = emit_at_value(e, emit_at_value(e, band->in, slice->channel),
                       emit_mul(e, x, s->stride_x * s->in_x));
    out = emit_at_value(
        e, emit_at_value(e, band->out, emit_mul(e, slice->channel, d->out_bytes)),
        emit_mul(e, x, s->out_x * d->out_bytes));
    if (s->has_residual)
        residual = emit_at_value(e, emit_at_value(e, band->residual, slice->channel),
                                 emit_mul(e, x, s->res_x));
    w.in = emit_hide(e, emit_at(e, in, -s->pad_left * s->in_x));
    w.weights = emit_at_value(e, param(d, CORE_WEIGHTS),
                              emit_mul(e, slice->channel, s->kh * row_bytes));
    int_tile_start(e, &w.t, &end);
    if (d->cut.row_loop)
        sum_row_loop(d, &w);
    else
        sum_rows(d, &w);
    finish(d, &w, &end, band, emit_hide(e, out), residual);
}

static void emit_row(const struct depthwise *d, const struct slice *slice,
                     const struct band *band)
{
    struct emitter *e = d->e;
    const struct conv reach = int_depthwise_reach(&d->c->shape, &d->cut);
    const struct row_cut cut = conv_cut_row(&reach, d->cut.pixels);

    for (int64_t i = 0; i < cut.n; i++) {
        struct emit_loop l = {0};

        if (i == cut.left && cut.inner > 1) {
            emit_loop_begin(e, &l, emit_int(e, cut.left),
                            emit_int(e, cut.left + cut.inner), 1, NULL, 0);
            emit_tile_at(d, slice, band, cut.pixels, emit_mul(e, l.at, cut.pixels), -1);
            emit_loop_end(e, &l, NULL);
            i += cut.inner - 1;
            continue;
        }
        emit_tile_at(d, slice, band, i == cut.n - 1 ? cut.last : cut.pixels,
                     emit_int(e, i * cut.pixels), i * cut.pixels);
    }
}

/* ---- units ------------------------------------------------------------------- */

/* `rows` output rows from y on; `image` has the pointers of row 0. */
static void emit_band(const struct depthwise *d, const struct slice *slice,
                      const struct band *image, int rows, LLVMValueRef y)
{
    struct emitter *e = d->e;
    const struct conv *s = d->s;
    struct band band = *image;

    band.rows = rows;
    band.y = y;
    band.iy = emit_add(e, emit_mul(e, y, s->stride_y), -s->pad_top);
    band.in = emit_at_value(e, image->in, emit_mul(e, band.iy, s->in_y));
    band.out = emit_at_value(e, image->out, emit_mul(e, y, s->out_y * d->out_bytes));
    if (s->has_residual)
        band.residual = emit_at_value(e, image->residual, emit_mul(e, y, s->res_y));
    emit_row(d, slice, &band);
}

/* All rows of a strip. */
static void emit_strip(const struct depthwise *d, const struct slice *slice,
                       const struct band *image, LLVMValueRef strip)
{
    struct emitter *e = d->e;
    const int rows = d->cut.rows;
    const int64_t oh = d->s->oh, whole = oh / rows * rows;
    LLVMValueRef y = emit_mul(e, strip, d->cut.strip);
    LLVMValueRef end = emit_min(e, emit_add(e, y, d->cut.strip), emit_int(e, whole));
    struct emit_loop l = {0};
    struct emit_if last;

    if (whole) {
        emit_loop_begin(e, &l, y, end, rows, NULL, 0);
        emit_band(d, slice, image, rows, l.at);
        emit_loop_end(e, &l, NULL);
    }
    if (whole == oh)
        return;
    emit_if_begin(e, &last,
                  LLVMBuildICmp(e->builder, LLVMIntEQ, strip,
                                emit_int(e, (oh - 1) / d->cut.strip), ""),
                  NULL, 0);
    emit_band(d, slice, image, (int)(oh - whole), emit_int(e, whole));
    emit_if_end(e, &last, NULL);
}

static struct band place_image(const struct depthwise *d, LLVMValueRef image)
{
    struct emitter *e = d->e;
    const struct conv *s = d->s;
    struct band b = {
        .in = emit_at_value(e, param(d, CORE_IN), emit_mul(e, image, s->in_n)),
        .out = emit_at_value(e, param(d, CORE_OUT),
                             emit_mul(e, image, s->out_n * d->out_bytes)),
    };

    if (s->has_residual)
        b.residual =
            emit_at_value(e, param(d, CORE_RESIDUAL), emit_mul(e, image, s->res_n));
    return b;
}

static void emit_unit(const struct depthwise *d, LLVMValueRef u)
{
    struct emitter *e = d->e;
    const struct int_depthwise_cut *cut = &d->cut;
    const int64_t vectors = cut->vectors + (cut->tail_bytes > 0);
    const int64_t chunks = (vectors + cut->chunk - 1) / cut->chunk;
    const int64_t strips = (d->s->oh + cut->strip - 1) / cut->strip;
    struct slice slice = {cut->bytes, cut->bytes, NULL};
    struct emit_loop l = {0};
    LLVMValueRef strip, chunk;
    LLVMValueRef image =
        emit_divide(e, emit_divide(e, u, strips, &strip), chunks, &chunk);
    const struct band at = place_image(d, image);
    LLVMValueRef first = emit_mul(e, chunk, cut->chunk);
    LLVMValueRef end = emit_add(e, first, cut->chunk);

    if (cut->vectors) {
        emit_loop_begin(e, &l, first, emit_min(e, end, emit_int(e, cut->vectors)), 1,
                        NULL, 0);
        slice.channel = emit_mul(e, l.at, cut->bytes);
        emit_strip(d, &slice, &at, strip);
        emit_loop_end(e, &l, NULL);
    }
    if (cut->tail_bytes) {
        struct emit_if last;

        slice.bytes = cut->tail_bytes;
        slice.used = (int)(d->s->groups - cut->vectors * cut->bytes);
        slice.channel = emit_int(e, cut->vectors * cut->bytes);
        emit_if_begin(
            e, &last,
            LLVMBuildICmp(e->builder, LLVMIntEQ, chunk, emit_int(e, chunks - 1), ""),
            NULL, 0);
        emit_strip(d, &slice, &at, strip);
        emit_if_end(e, &last, NULL);
    }
}

LLVMValueRef emit_int_depthwise(struct emitter *e, const struct int_conv *c,
                                const char *name)
{
    struct depthwise d = {
        .e = e,
        .cut = int_depthwise_cut(c, e->isa),
        .rows = int_bias_rows(c, &c->shape),
    };
    const struct conv view = int_depthwise_view(&c->shape, &d.cut);
    struct int_conv plain = *c;
    struct emit_loop l = {0};

    assert(c->shape.in_c == 1 && c->shape.c_in == 1 && c->shape.c_out == 1
           && c->weight_bits == 8);
    plain.weight_zeros = false; /* the packer has subtracted them */
    d.c = &plain;
    d.s = &view;
    d.columns = int_depthwise_bias_columns(c, &d.cut);
    d.width = int_depthwise_width(&d.cut);
    d.out_bytes = c->result == INT_CODES ? 1 : 4;
    d.function = emit_core(e, name);
    emit_loop_begin(e, &l, param(&d, CORE_BEGIN), param(&d, CORE_END), 1, NULL, 0);
    emit_unit(&d, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return d.function;
}
