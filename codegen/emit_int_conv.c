/* SPDX-License-Identifier: Apache-2.0 */
/* Integer convolution and matrix product with constant weights: emit_conv.c for codes.
 *
 *     for each unit: decode (image, group, block of channels, rows, part of a row)
 *         for each row:
 *             edge tiles | loop over inner tiles | edge tiles
 *                 sums start at the bias of the pixel's class
 *                 for each kernel row inside of the input: its steps
 *                 scale, add the residual, pack, store
 */
#include "codegen/emit_int_row.h"
#include "codegen/emit_unit.h"
#include "codegen/whole.h"

struct int_emitter {
    struct emitter *e;
    const struct int_conv *c;
    const struct int_tiling *t;
    struct conv v; /* the view */
    struct int_runs runs;
    struct int_classes rows, columns;
    int64_t padded;    /* channels of all groups, with padding */
    int64_t out_bytes; /* of an element */
    LLVMValueRef function;
    LLVMValueRef lines; /* int_tile_lines() */
};

/* A block of channels: `vectors` of them, the last one with `last_lanes`. */
struct piece {
    int vectors, last_lanes, depth, pixels;
    int64_t width, channels;
};

/* One unit, or one row of it: where its operands start. */
struct place {
    LLVMValueRef in, weights, residual, out;
    /* rows of the epilogue; bias: of the class */
    LLVMValueRef m, slope, weight_zero, bias;
    LLVMValueRef y_begin, y_end;
    LLVMValueRef tap_begin, tap_end; /* kernel rows inside of the input */
};

static LLVMValueRef param(const struct int_emitter *ie, unsigned i)
{
    return LLVMGetParam(ie->function, i);
}

/* ---- sums of a tile ---------------------------------------------------------- */

static bool has_row_loop(const struct int_emitter *ie)
{
    return ie->v.kh > 1 || conv_clips_rows(&ie->v);
}

static LLVMValueRef kernel_row_in(const struct int_emitter *ie, LLVMValueRef in,
                                  LLVMValueRef row)
{
    const int64_t bytes = ie->v.dilation_y * ie->v.in_y;

    return emit_hide(ie->e, emit_at_value(ie->e, in, emit_mul(ie->e, row, bytes)));
}

static void sum_kernel(const struct int_emitter *ie, struct int_tile *t,
                       const struct place *at, LLVMValueRef in, int64_t x0)
{
    struct emitter *e = ie->e;
    const int64_t row_weights =
        ie->runs.n * int_steps_bytes(ie->c, int_run_steps(&ie->runs), t->width);
    struct emit_loop l = {.never_empty = int_rows_have_taps(&ie->v)};

    if (!has_row_loop(ie)) {
        int_tile_row(e, &ie->v, t, in, at->weights, x0);
        return;
    }
    emit_loop_begin(e, &l, at->tap_begin, at->tap_end, 1, t->sum,
                    t->pixels * t->vectors);
    LLVMValueRef weights =
        emit_hide(e, emit_at_value(e, at->weights, emit_mul(e, l.at, row_weights)));

    int_tile_row(e, &ie->v, t, kernel_row_in(ie, in, l.at), weights, x0);
    emit_loop_end(e, &l, t->sum);
}

/* Sums of the inputs of every pixel's window. */
static void sum_windows(const struct int_emitter *ie, struct int_tile *t,
                        const struct place *at, LLVMValueRef in, int64_t x0)
{
    struct emitter *e = ie->e;
    LLVMTypeRef type = int_vector(e, e->i32, ie->t->lanes);
    LLVMValueRef window[INT_MAX_PIXELS];
    struct emit_loop l = {0};

    for (int i = 0; i < t->pixels; i++)
        window[i] = LLVMConstNull(type);
    if (has_row_loop(ie)) {
        emit_loop_begin(e, &l, at->tap_begin, at->tap_end, 1, window, t->pixels);
        int_window_row(e, &ie->v, t, kernel_row_in(ie, in, l.at), x0, window);
        emit_loop_end(e, &l, window);
    } else {
        int_window_row(e, &ie->v, t, in, x0, window);
    }
    for (int i = 0; i < t->pixels; i++)
        t->window[i] =
            emit_intrinsic(e, "llvm.vector.reduce.add", &type, 1, &window[i], 1);
}

/* ---- rows -------------------------------------------------------------------- */

/* As in emit_conv.c: while one group is computed, the next one's newest row comes. */
static void prefetch_next_group(const struct int_emitter *ie, const struct int_tile *t,
                                LLVMValueRef in)
{
    const struct conv *v = &ie->v;
    const int64_t row = (v->kh - 1) * v->dilation_y * v->in_y;

    if (v->groups == 1 || v->in_c != 1 || !ie->t->rows_outer)
        return;
    for (int i = 0; i < t->pixels; i++)
        for (int64_t at = 0; at < v->c_in; at += 64)
            emit_prefetch(ie->e,
                          emit_at(ie->e, in, row + v->c_in + i * t->pixel_bytes + at));
}

static int64_t column_class(const struct int_emitter *ie, int64_t x0, int pixel)
{
    return x0 < 0 ? ie->columns.before
                  : int_class_of(&ie->columns, ie->v.ow, x0 + pixel);
}

/* One row: what its tiles need. */
struct row {
    const struct int_emitter *ie;
    const struct piece *piece;
    struct place at;
};

/* An emit_tile_fn: the tile at output pixel x (x0 when that is known and the tile at a
 * border). */
static void emit_tile_at(const void *arg, int pixels, LLVMValueRef x, int64_t x0)
{
    const struct row *row = arg;
    const struct int_emitter *ie = row->ie;
    const struct place *at = &row->at;
    const struct piece *piece = row->piece;
    struct emitter *e = ie->e;
    const struct conv *v = &ie->v;
    struct int_tile t = {
        .c = ie->c,
        .form = ie->t->form,
        .pixels = pixels,
        .vectors = piece->vectors,
        .lanes = ie->t->lanes,
        .last_lanes = piece->last_lanes,
        .depth = piece->depth,
        .width = piece->width,
        .channels = piece->channels,
        .pixel_bytes = v->stride_x * v->in_x,
        .unroll = ie->t->unroll,
        .lines = ie->lines,
    };
    struct int_tile_end end = {
        .header = param(ie, CORE_BIAS),
        .m = at->m,
        .slope = at->slope,
        .weight_zero = at->weight_zero,
        .residual_pixel = v->res_x,
        .out_pixel = v->out_x * ie->out_bytes,
    };
    LLVMValueRef in = emit_at_value(e, at->in, emit_mul(e, x, t.pixel_bytes));
    LLVMValueRef out = emit_at_value(e, at->out, emit_mul(e, x, end.out_pixel));

    if (v->has_residual)
        end.residual = emit_at_value(e, at->residual, emit_mul(e, x, v->res_x));
    for (int i = 0; i < pixels; i++)
        end.bias[i] = emit_at(e, at->bias, column_class(ie, x0, i) * ie->padded * 4);
    in = emit_hide(e, emit_at(e, in, -v->pad_left * v->in_x));
    out = emit_hide(e, out);
    prefetch_next_group(ie, &t, in);
    if (int_needs_sums(ie->c, t.form))
        sum_windows(ie, &t, at, in, x0);
    int_tile_start(e, &t, &end);
    sum_kernel(ie, &t, at, in, x0);
    int_tile_finish(e, &t, &end, out);
}

/* All rows of a unit. */
static void emit_rows(const struct int_emitter *ie, const struct place *unit,
                      LLVMValueRef chunk, const struct piece *piece)
{
    struct emitter *e = ie->e;
    const struct conv *v = &ie->v;
    const struct row_cut cut = int_cut_row(v, piece->pixels);
    struct row row = {ie, piece, *unit};
    struct row_share share = {NULL, NULL};
    struct emit_loop l = {.never_empty = true};

    if (ie->t->chunks > 1)
        share = emit_row_share(e, &cut, chunk, ie->t->chunks);
    emit_loop_begin(e, &l, unit->y_begin, unit->y_end, 1, NULL, 0);
    LLVMValueRef iy = emit_add(e, emit_mul(e, l.at, v->stride_y), -v->pad_top);
    LLVMValueRef class = int_class_value(e, &ie->rows, v->oh, l.at);

    emit_kernel_rows(e, v, iy, &row.at.tap_begin, &row.at.tap_end);
    row.at.bias = emit_at_value(e, unit->bias,
                                emit_mul(e, class, ie->columns.n * ie->padded * 4));
    row.at.in = emit_at_value(e, unit->in, emit_mul(e, iy, v->in_y));
    row.at.out =
        emit_at_value(e, unit->out, emit_mul(e, l.at, v->out_y * ie->out_bytes));
    if (v->has_residual)
        row.at.residual = emit_at_value(e, unit->residual, emit_mul(e, l.at, v->res_y));
    emit_row(e, &cut, &share, emit_tile_at, &row);
    emit_loop_end(e, &l, NULL);
}

/* ---- units ------------------------------------------------------------------- */

static struct unit_index decode_unit(const struct int_emitter *ie, LLVMValueRef u)
{
    const struct int_tiling *t = ie->t;
    const struct unit_order o = {
        .images = ie->v.n,
        .groups = ie->v.groups,
        .blocks = int_blocks(ie->c, t),
        .strips = ceil_div(ie->v.oh, t->rows),
        .chunks = t->chunks,
        .rows_outer = t->rows_outer,
    };

    return emit_unit_index(ie->e, &o, u);
}

static struct place place_unit(const struct int_emitter *ie, const struct unit_index *x)
{
    struct emitter *e = ie->e;
    const struct conv *v = &ie->v;
    LLVMValueRef in = LLVMBuildAdd(e->builder, emit_mul(e, x->image, v->in_n),
                                   emit_mul(e, x->group, v->c_in * v->in_c), "");
    struct place at = {
        .in = emit_at_value(e, param(ie, CORE_IN), in),
        .y_begin = emit_mul(e, x->strip, ie->t->rows),
    };

    at.y_end = emit_min(e, emit_add(e, at.y_begin, ie->t->rows), emit_int(e, v->oh));
    return at;
}

/* Rows of the epilogue, at channel `bytes / 4` of the padded ones. */
static void place_epilogue(const struct int_emitter *ie, LLVMValueRef bytes,
                           struct place *at)
{
    struct emitter *e = ie->e;
    LLVMValueRef row = emit_at(e, param(ie, CORE_BIAS), sizeof(struct int_header));

    row = emit_at_value(e, row, bytes);
    if (ie->c->result != INT_ACC) {
        at->m = row;
        row = emit_at(e, row, ie->padded * 4);
    }
    if (ie->c->has_slopes) {
        at->slope = row;
        row = emit_at(e, row, ie->padded * 4);
    }
    if (ie->c->weight_zeros) {
        at->weight_zero = row;
        row = emit_at(e, row, ie->padded * 4);
    }
    at->bias = row;
}

/* Goes to the first channel of a block, `in_group` in its group. */
static void place_channel(const struct int_emitter *ie, const struct unit_index *x,
                          LLVMValueRef in_group, struct place *at)
{
    struct emitter *e = ie->e;
    LLVMBuilderRef b = e->builder;
    const struct conv *v = &ie->v;
    const int64_t filter =
        v->kh * ie->runs.n * int_steps_bytes(ie->c, int_run_steps(&ie->runs), 1);
    LLVMValueRef padded = LLVMBuildAdd(
        b, emit_mul(e, x->group, int_group_width(ie->c, ie->t)), in_group, "");
    LLVMValueRef channel =
        LLVMBuildAdd(b, emit_mul(e, x->group, v->c_out), in_group, "");
    LLVMValueRef out = LLVMBuildAdd(b, emit_mul(e, x->image, v->out_n), channel, "");

    at->weights =
        emit_at_value(e, param(ie, CORE_WEIGHTS), emit_mul(e, padded, filter));
    at->out = emit_at_value(e, param(ie, CORE_OUT), emit_mul(e, out, ie->out_bytes));
    place_epilogue(ie, emit_mul(e, padded, 4), at);
    if (v->has_residual)
        at->residual = emit_at_value(
            e, param(ie, CORE_RESIDUAL),
            LLVMBuildAdd(b, emit_mul(e, x->image, v->res_n), channel, ""));
}

/* The unit's work if its block is one of [first, first + n), all like `piece`. */
static void emit_blocks(const struct int_emitter *ie, const struct unit_index *x,
                        const struct place *unit, int64_t first, int64_t n,
                        const struct piece *piece)
{
    struct emitter *e = ie->e;
    LLVMValueRef index = emit_add(e, x->block, -first);
    LLVMValueRef channel = emit_mul(e, x->block, int_block_width(ie->t));
    struct place at = *unit;
    struct emit_if is;

    emit_if_begin(e, &is,
                  LLVMBuildICmp(e->builder, LLVMIntULT, index, emit_int(e, n), ""),
                  NULL, 0);
    place_channel(ie, x, channel, &at);
    emit_rows(ie, &at, x->chunk, piece);
    emit_if_end(e, &is, NULL);
}

static void emit_unit(const struct int_emitter *ie, LLVMValueRef u)
{
    const struct int_tiling *t = ie->t;
    const int64_t width = int_block_width(t), n_whole = int_whole_blocks(ie->c, t);
    const struct piece whole = {t->vectors, t->lanes, 1, t->pixels, width, width};
    const struct piece tail = {t->tail_vectors,   t->tail_lanes,
                               t->tail_depth,     t->tail_pixels,
                               int_tail_width(t), ie->v.c_out - n_whole * width};
    const struct unit_index x = decode_unit(ie, u);
    const struct place at = place_unit(ie, &x);

    if (n_whole)
        emit_blocks(ie, &x, &at, 0, n_whole, &whole);
    if (t->tail_vectors)
        emit_blocks(ie, &x, &at, n_whole, 1, &tail);
}

LLVMValueRef emit_int_conv(struct emitter *e, const struct int_conv *c,
                           const struct int_tiling *t, const char *name)
{
    const struct conv_tiling turn = {.swapped = t->swapped};
    struct int_emitter ie = {.e = e, .c = c, .t = t, .v = conv_view(&c->shape, &turn)};
    struct emit_loop l = {0};

    ie.runs = int_runs(&ie.v);
    ie.rows = int_bias_rows(c, &ie.v);
    ie.columns = int_bias_columns(c, &ie.v);
    ie.padded = ie.v.groups * int_group_width(c, t);
    ie.out_bytes = c->result == INT_CODES ? 1 : 4;
    ie.function = emit_core(e, name);
    ie.lines = int_tile_lines(e, t->form);
    emit_loop_begin(e, &l, param(&ie, CORE_BEGIN), param(&ie, CORE_END), 1, NULL, 0);
    emit_unit(&ie, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return ie.function;
}
