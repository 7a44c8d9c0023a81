/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution, channels last: vectors run over channels, which do not mix.
 *
 * A tile is `rows` x `pixels` outputs of one vector of channels.  Every input vector
 * is loaded once and multiplied into all outputs of the tile that it reaches, so a
 * 3 x 3 kernel with stride 1 and a tile of 2 x 4 loads 24 inputs for 72
 * multiplications; input rows outside the image are left out by a branch, columns
 * statically, as in emit_conv.c.
 *
 * The channels of a row can exceed the first-level cache (3 rows of 56 pixels of 144
 * channels are 97 KB), and then each input row would be fetched from the second level
 * once for every kernel row.  So units are (image, chunk of channels, strip of rows),
 * with chunks whose rows fit; what a strided kernel needs next is fetched ahead.
 */
#include <assert.h>

#include "codegen/conv_shape.h"
#include "codegen/emit_build.h"
#include "codegen/whole.h"

enum {
    MAX_TAPS = 64,     /* kernel taps that are written out; else rows are a loop */
    STRIP_ROWS = 8,    /* output rows of a unit, about */
    CHUNK_VECTORS = 2, /* channels of a unit: two neighbouring cache lines */
};

/* How the work is cut: a function of shape and isa. */
struct depthwise_cut {
    int lanes;        /* channels in a vector */
    int64_t vectors;  /* vectors of all channels; the last may overlap or be narrow */
    int64_t chunk;    /* vectors in a unit */
    int rows, pixels; /* of a tile */
    int64_t strip;    /* output rows in a unit, a multiple of `rows` */
    bool row_loop;    /* kernel rows in a loop */
};

struct depthwise {
    struct emitter *e;
    const struct conv *c;
    struct depthwise_cut cut;
    LLVMValueRef function;
};

static int64_t chunks(const struct depthwise_cut *cut)
{
    return ceil_div(cut->vectors, cut->chunk);
}

/* Sums and, where registers suffice, one row of weights and an input. */
static int tile_sums(const struct conv *c, const struct isa *isa)
{
    const int64_t weights = isa->n_registers >= 32 ? c->kh * c->kw : 0;
    const int64_t room = isa->n_registers - 4 - weights;

    return room >= 16 ? 16 : room >= 8 ? 8 : 6;
}

static struct depthwise_cut cut_depthwise(const struct conv *c, const struct isa *isa)
{
    struct depthwise_cut cut = {.lanes = isa->vector_bytes / 4};

    while (cut.lanes > 4 && cut.lanes / 2 >= c->groups)
        cut.lanes /= 2;
    cut.vectors = ceil_div(c->groups, cut.lanes);
    cut.row_loop = c->kh * c->kw > MAX_TAPS;
    cut.rows = cut.row_loop || c->oh == 1 ? 1 : 2;
    const int most = tile_sums(c, isa) / cut.rows;

    cut.pixels = most;
    if (c->ow <= most)
        cut.pixels = (int)c->ow;
    else
        cut.pixels = (int)ceil_div(c->ow, ceil_div(c->ow, most));

    const int64_t window =
        (cut.rows - 1) * c->stride_y + (c->kh - 1) * c->dilation_y + 1;
    const int64_t bytes = window * c->w * cut.lanes * 4;
    const int64_t fit = isa->l1_bytes * 2 / 3 / bytes;

    cut.chunk = fit < CHUNK_VECTORS ? 1 : CHUNK_VECTORS;
    cut.strip = ceil_div(STRIP_ROWS, cut.rows) * cut.rows;
    return cut;
}

int64_t depthwise_units(const struct conv *c, const struct isa *isa)
{
    const struct depthwise_cut cut = cut_depthwise(c, isa);

    return c->n * chunks(&cut) * ceil_div(c->oh, cut.strip);
}

void depthwise_pack(const struct conv *c, const float *from, float *to)
{
    const int64_t taps = c->kh * c->kw;

    for (int64_t k = 0; k < taps; k++)
        for (int64_t ch = 0; ch < c->groups; ch++)
            to[k * c->groups + ch] = from[ch * taps + k];
}

/* ---- one tile ---------------------------------------------------------------- */

/* A tile of one vector: where its first output's first tap and its channel lie. */
struct dw_tile {
    int rows, pixels, used; /* used lanes */
    int64_t x0;             /* -1: an inner tile */
    LLVMValueRef iy;        /* input row of tap row 0 of output row 0 */
    LLVMValueRef in, weights;
    LLVMValueRef sum[EMIT_MAX_CARRY]; /* [row * pixels + pixel] */
};

/* The input rows below those of a tile.  With stride they are many, and a chunk's lines
 * are too far apart for the processor to guess. */
static void prefetch_next_rows(const struct depthwise *d, const struct dw_tile *t)
{
    const struct conv *c = d->c;
    const int64_t first = (t->rows - 1) * c->stride_y + (c->kh - 1) * c->dilation_y + 1;

    if (c->stride_y == 1)
        return;
    for (int64_t y = 0; y < t->rows * c->stride_y; y++)
        for (int64_t x = 0; x < t->pixels * c->stride_x; x++)
            emit_prefetch(
                d->e, emit_at(d->e, t->in, ((first + y) * c->in_y + x * c->in_x) * 4));
}

static bool tap_inside(const struct conv *c, const struct dw_tile *t, int64_t column)
{
    const int64_t x = t->x0 * c->stride_x - c->pad_left + column;

    return t->x0 < 0 || (x >= 0 && x < c->w);
}

static LLVMValueRef weight_at(const struct depthwise *d, const struct dw_tile *t,
                              LLVMValueRef row, int64_t kx)
{
    const int64_t at = kx * d->c->groups * conv_weight_bytes(d->c);

    if (d->c->half_weights)
        return emit_load_half(d->e, emit_at(d->e, row, at), d->cut.lanes);
    return emit_load_part(d->e, emit_at(d->e, row, at), d->cut.lanes, t->used);
}

/* Some pixel of the tile has a tap on the input `column` pixels right of the tile's
 * first tap, and the input has one there. */
static bool column_used(const struct conv *c, const struct dw_tile *t, int64_t column)
{
    for (int i = 0; i < t->pixels; i++)
        for (int64_t kx = 0; kx < c->kw; kx++)
            if (i * c->stride_x + kx * c->dilation_x == column)
                return tap_inside(c, t, column);
    return false;
}

static void add_column(const struct depthwise *d, struct dw_tile *t, LLVMValueRef x,
                       int row, LLVMValueRef *w, int64_t column)
{
    const struct conv *c = d->c;

    for (int i = 0; i < t->pixels; i++)
        for (int64_t kx = 0; kx < c->kw; kx++)
            if (i * c->stride_x + kx * c->dilation_x == column) {
                LLVMValueRef *sum = &t->sum[row * t->pixels + i];

                *sum = emit_multiply_add(d->e, x, w[kx], *sum);
            }
}

/* One input row at `in` for up to two tile rows at once: w[r] are the weights with
 * which it reaches output row r, NULL if it does not. */
static void add_input_row(const struct depthwise *d, struct dw_tile *t, LLVMValueRef in,
                          LLVMValueRef **w)
{
    const struct conv *c = d->c;
    const int64_t columns =
        (t->pixels - 1) * c->stride_x + (c->kw - 1) * c->dilation_x + 1;

    for (int64_t column = 0; column < columns; column++) {
        if (!column_used(c, t, column))
            continue;
        LLVMValueRef p = emit_at(d->e, in, column * c->in_x * 4);
        LLVMValueRef x = emit_load_part(d->e, p, d->cut.lanes, t->used);

        for (int r = 0; r < t->rows; r++)
            if (w[r])
                add_column(d, t, x, r, w[r], column);
    }
}

/* Input row `iy + offset` exists. */
static LLVMValueRef row_exists(const struct depthwise *d, LLVMValueRef iy,
                               int64_t offset)
{
    LLVMBuilderRef b = d->e->builder;
    LLVMValueRef y = emit_add(d->e, iy, offset);

    return LLVMBuildICmp(b, LLVMIntULT, y, emit_int(d->e, d->c->h), "");
}

/* All taps written out: input rows from top to bottom, each for the output rows that
 * it reaches. */
static void sum_rows(const struct depthwise *d, struct dw_tile *t)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;
    LLVMValueRef w[MAX_TAPS];
    const int64_t rows = (t->rows - 1) * c->stride_y + (c->kh - 1) * c->dilation_y + 1;

    for (int64_t k = 0; k < c->kh * c->kw; k++)
        w[k] = weight_at(d, t, t->weights, k);
    for (int64_t row = 0; row < rows; row++) {
        LLVMValueRef *of[2] = {NULL, NULL};
        struct emit_if inside;

        for (int r = 0; r < t->rows; r++)
            for (int64_t ky = 0; ky < c->kh; ky++)
                if (r * c->stride_y + ky * c->dilation_y == row)
                    of[r] = &w[ky * c->kw];
        if (!of[0] && !of[1])
            continue;
        if (conv_clips_rows(c))
            emit_if_begin(e, &inside, row_exists(d, t->iy, row), t->sum,
                          t->rows * t->pixels);
        add_input_row(d, t, emit_at(e, t->in, row * c->in_y * 4), of);
        if (conv_clips_rows(c))
            emit_if_end(e, &inside, t->sum);
    }
}

/* Large kernels: one output row, kernel rows in a loop. */
static void sum_row_loop(const struct depthwise *d, struct dw_tile *t)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;
    struct emit_loop l = {0};
    struct emit_if inside;
    LLVMValueRef w[1024];
    LLVMValueRef *of[2] = {w, NULL};

    assert(c->kw <= 1024 && t->rows == 1);
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, c->kh), 1, t->sum, t->pixels);
    LLVMValueRef offset = emit_mul(e, l.at, c->dilation_y);
    LLVMValueRef y = LLVMBuildAdd(e->builder, t->iy, offset, "");

    emit_if_begin(e, &inside, row_exists(d, y, 0), t->sum, t->pixels);
    LLVMValueRef row = emit_at_value(
        e, t->weights, emit_mul(e, l.at, c->kw * c->groups * conv_weight_bytes(c)));

    for (int64_t kx = 0; kx < c->kw; kx++)
        w[kx] = weight_at(d, t, row, kx);
    add_input_row(d, t, emit_at_value(e, t->in, emit_mul(e, offset, c->in_y * 4)), of);
    emit_if_end(e, &inside, t->sum);
    emit_loop_end(e, &l, t->sum);
}

/* ---- rows of tiles ----------------------------------------------------------- */

/* Pointers of one unit at channel 0 and output row y; iy its first input row. */
struct dw_place {
    LLVMValueRef in, residual, out, y, iy;
    LLVMValueRef first_vector, end_vector;
};

static void store_tile(const struct depthwise *d, const struct dw_tile *t,
                       LLVMValueRef out, LLVMValueRef residual)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;

    for (int r = 0; r < t->rows; r++) {
        for (int i = 0; i < t->pixels; i++) {
            LLVMValueRef x = t->sum[r * t->pixels + i];

            x = emit_activation(e, x, c->act_before, 0.0f, 0.0f);
            if (residual) {
                const int64_t at = (r * c->res_y + i * c->res_x) * 4;

                x = LLVMBuildFAdd(
                    e->builder, x,
                    emit_load_part(e, emit_at(e, residual, at), d->cut.lanes, t->used),
                    "");
            }
            x = emit_activation(e, x, c->act, c->act_a, c->act_b);
            emit_store_part(e, x, emit_at(e, out, (r * c->out_y + i * c->out_x) * 4),
                            t->used);
        }
    }
}

/* The tile at output column x for the vector of channels that starts at `channel`. */
static void emit_vector_tile(const struct depthwise *d, const struct dw_place *at,
                             struct dw_tile t, LLVMValueRef x, LLVMValueRef channel)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;
    LLVMValueRef bytes = emit_mul(e, channel, 4);
    LLVMValueRef in =
        emit_at_value(e, at->in, emit_mul(e, x, c->stride_x * c->in_x * 4));
    LLVMValueRef out = emit_at_value(e, at->out, emit_mul(e, x, c->out_x * 4));
    LLVMValueRef residual = NULL, start = emit_constant(e, 0.0f, d->cut.lanes);

    if (c->has_bias)
        start = emit_load_part(
            e, emit_at_value(e, LLVMGetParam(d->function, CORE_BIAS), bytes),
            d->cut.lanes, t.used);
    if (c->has_residual)
        residual = emit_at_value(
            e, emit_at_value(e, at->residual, emit_mul(e, x, c->res_x * 4)), bytes);
    for (int i = 0; i < t.rows * t.pixels; i++)
        t.sum[i] = start;
    t.iy = at->iy;
    t.in = emit_at_value(e, emit_at(e, in, -c->pad_left * c->in_x * 4), bytes);
    t.weights = emit_at_value(e, LLVMGetParam(d->function, CORE_WEIGHTS),
                              emit_mul(e, channel, conv_weight_bytes(c)));
    prefetch_next_rows(d, &t);
    if (d->cut.row_loop)
        sum_row_loop(d, &t);
    else
        sum_rows(d, &t);
    store_tile(d, &t, emit_at_value(e, out, bytes), residual);
}

/* The last vector of a channel count that lanes do not divide starts early, so that
 * it ends with the last channel: some channels are computed twice, to equal bytes.
 * Not so where the first result is the second's residual, or there is no room. */
static bool last_vector_overlaps(const struct depthwise *d)
{
    return d->c->groups % d->cut.lanes && d->c->groups > d->cut.lanes
           && !d->c->has_residual;
}

/* All vectors of the unit, at one place of the row. */
static void emit_tile_column(const struct depthwise *d, const struct dw_place *at,
                             int rows, int pixels, LLVMValueRef x, int64_t x0)
{
    struct emitter *e = d->e;
    const int lanes = d->cut.lanes;
    const int64_t channels = d->c->groups;
    const bool narrow = channels % lanes && !last_vector_overlaps(d);
    struct dw_tile t = {.rows = rows, .pixels = pixels, .used = lanes, .x0 = x0};
    struct emit_loop l = {0};
    LLVMValueRef end = at->end_vector;

    if (narrow)
        end = emit_min(e, end, emit_int(e, channels / lanes));
    if (channels >= lanes) {
        emit_loop_begin(e, &l, at->first_vector, end, 1, NULL, 0);
        LLVMValueRef channel = emit_mul(e, l.at, lanes);

        if (last_vector_overlaps(d))
            channel = emit_min(e, channel, emit_int(e, channels - lanes));
        emit_vector_tile(d, at, t, x, channel);
        emit_loop_end(e, &l, NULL);
    }
    if (narrow) {
        struct emit_if last;

        t.used = (int)(channels % lanes);
        emit_if_begin(e, &last,
                      LLVMBuildICmp(e->builder, LLVMIntEQ, at->end_vector,
                                    emit_int(e, d->cut.vectors), ""),
                      NULL, 0);
        emit_vector_tile(d, at, t, x, emit_int(e, channels / lanes * lanes));
        emit_if_end(e, &last, NULL);
    }
}

/* `rows` output rows from at->y on. */
static void emit_band(const struct depthwise *d, const struct dw_place *unit, int rows,
                      LLVMValueRef y)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;
    const struct row_cut cut = conv_cut_row(c, d->cut.pixels);
    struct dw_place at = *unit;

    at.iy = emit_add(e, emit_mul(e, y, c->stride_y), -c->pad_top);
    at.in = emit_at_value(e, unit->in, emit_mul(e, at.iy, c->in_y * 4));
    at.out = emit_at_value(e, unit->out, emit_mul(e, y, c->out_y * 4));
    if (c->has_residual)
        at.residual = emit_at_value(e, unit->residual, emit_mul(e, y, c->res_y * 4));
    for (int64_t i = 0; i < cut.n; i++) {
        const int64_t x0 = i * cut.pixels;

        if (i == cut.left && cut.inner > 1) {
            struct emit_loop l = {0};

            emit_loop_begin(e, &l, emit_int(e, cut.left),
                            emit_int(e, cut.left + cut.inner), 1, NULL, 0);
            emit_tile_column(d, &at, rows, cut.pixels, emit_mul(e, l.at, cut.pixels),
                             -1);
            emit_loop_end(e, &l, NULL);
            i += cut.inner - 1;
        } else {
            emit_tile_column(d, &at, rows, i == cut.n - 1 ? cut.last : cut.pixels,
                             emit_int(e, x0), x0);
        }
    }
}

static void emit_unit(const struct depthwise *d, LLVMValueRef u)
{
    struct emitter *e = d->e;
    const struct conv *c = d->c;
    const struct depthwise_cut *cut = &d->cut;
    const int64_t paired = c->oh / cut->rows * cut->rows;
    struct dw_place at = {0};
    LLVMValueRef strip, chunk, image;

    u = emit_divide(e, u, ceil_div(c->oh, cut->strip), &strip);
    image = emit_divide(e, u, chunks(cut), &chunk);
    at.first_vector = emit_mul(e, chunk, cut->chunk);
    at.end_vector = emit_min(e, emit_add(e, at.first_vector, cut->chunk),
                             emit_int(e, cut->vectors));
    at.in = emit_at_value(e, LLVMGetParam(d->function, CORE_IN),
                          emit_mul(e, image, c->in_n * 4));
    at.out = emit_at_value(e, LLVMGetParam(d->function, CORE_OUT),
                           emit_mul(e, image, c->out_n * 4));
    if (c->has_residual)
        at.residual = emit_at_value(e, LLVMGetParam(d->function, CORE_RESIDUAL),
                                    emit_mul(e, image, c->res_n * 4));
    LLVMValueRef y = emit_mul(e, strip, cut->strip);
    LLVMValueRef end = emit_min(e, emit_add(e, y, cut->strip), emit_int(e, paired));

    if (paired) {
        struct emit_loop l = {0};

        emit_loop_begin(e, &l, y, end, cut->rows, NULL, 0);
        emit_band(d, &at, cut->rows, l.at);
        emit_loop_end(e, &l, NULL);
    }
    if (paired < c->oh) {
        struct emit_if last;

        emit_if_begin(e, &last,
                      LLVMBuildICmp(e->builder, LLVMIntEQ, strip,
                                    emit_int(e, (c->oh - 1) / cut->strip), ""),
                      NULL, 0);
        emit_band(d, &at, (int)(c->oh - paired), emit_int(e, paired));
        emit_if_end(e, &last, NULL);
    }
}

LLVMValueRef emit_depthwise(struct emitter *e, const struct conv *c, const char *name)
{
    struct depthwise d = {.e = e, .c = c, .cut = cut_depthwise(c, e->isa)};
    struct emit_loop l = {0};

    assert(c->in_c == 1 && c->c_in == 1 && c->c_out == 1);
    d.function = emit_core(e, name);
    emit_loop_begin(e, &l, LLVMGetParam(d.function, CORE_BEGIN),
                    LLVMGetParam(d.function, CORE_END), 1, NULL, 0);
    emit_unit(&d, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return d.function;
}
