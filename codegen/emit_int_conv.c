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
};

/* A block of channels: `vectors` of them, the last one with `last_lanes`. */
struct piece {
    int vectors, last_lanes, pixels;
    int64_t width, channels;
};

/* One unit, or one row of it: where its operands start. */
struct place {
    LLVMValueRef in, weights, residual, out;
    LLVMValueRef m, weight_zero, bias; /* rows of the epilogue; bias: of the class */
    LLVMValueRef tile_begin, tile_end; /* of the row; constants when it is whole */
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

/* The tile at output pixel x (x0 when that is known and the tile at a border). */
static void emit_tile_at(const struct int_emitter *ie, const struct place *at,
                         int pixels, const struct piece *piece, LLVMValueRef x,
                         int64_t x0)
{
    struct emitter *e = ie->e;
    const struct conv *v = &ie->v;
    struct int_tile t = {
        .c = ie->c,
        .form = ie->t->form,
        .pixels = pixels,
        .vectors = piece->vectors,
        .lanes = ie->t->lanes,
        .last_lanes = piece->last_lanes,
        .width = piece->width,
        .channels = piece->channels,
        .pixel_bytes = v->stride_x * v->in_x,
        .unroll = ie->t->unroll,
    };
    struct int_tile_end end = {
        .header = param(ie, CORE_BIAS),
        .m = at->m,
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

static bool row_is_whole(const struct int_emitter *ie)
{
    return ie->t->chunks == 1;
}

/* Tile number `i` of a row, when the unit has it. */
static void emit_single_tile(const struct int_emitter *ie, const struct place *at,
                             const struct row_cut *cut, const struct piece *piece,
                             int64_t i)
{
    struct emitter *e = ie->e;
    const int pixels = i == cut->n - 1 ? cut->last : cut->pixels;
    const int64_t x0 = i * cut->pixels;
    struct emit_if has;

    if (!row_is_whole(ie)) {
        LLVMValueRef number = emit_int(e, i);
        LLVMValueRef from =
            LLVMBuildICmp(e->builder, LLVMIntSLE, at->tile_begin, number, "");
        LLVMValueRef to =
            LLVMBuildICmp(e->builder, LLVMIntSGT, at->tile_end, number, "");

        emit_if_begin(e, &has, LLVMBuildAnd(e->builder, from, to, ""), NULL, 0);
    }
    emit_tile_at(ie, at, pixels, piece, emit_int(e, x0), x0);
    if (!row_is_whole(ie))
        emit_if_end(e, &has, NULL);
}

static void emit_inner_tiles(const struct int_emitter *ie, const struct place *at,
                             const struct row_cut *cut, const struct piece *piece)
{
    struct emitter *e = ie->e;
    LLVMValueRef begin = emit_int(e, cut->left);
    LLVMValueRef end = emit_int(e, cut->left + cut->inner);
    struct emit_loop l = {0};

    if (!row_is_whole(ie)) {
        begin = emit_max(e, begin, at->tile_begin);
        end = emit_min(e, end, at->tile_end);
    }
    emit_loop_begin(e, &l, begin, end, 1, NULL, 0);
    emit_tile_at(ie, at, cut->pixels, piece, emit_mul(e, l.at, cut->pixels), -1);
    emit_loop_end(e, &l, NULL);
}

static void emit_row(const struct int_emitter *ie, const struct place *at,
                     const struct row_cut *cut, const struct piece *piece)
{
    for (int64_t i = 0; i < cut->left; i++)
        emit_single_tile(ie, at, cut, piece, i);
    if (cut->inner)
        emit_inner_tiles(ie, at, cut, piece);
    for (int64_t i = cut->left + cut->inner; i < cut->n; i++)
        emit_single_tile(ie, at, cut, piece, i);
}

/* All rows of a unit. */
static void emit_rows(const struct int_emitter *ie, const struct place *unit,
                      LLVMValueRef chunk, const struct piece *piece)
{
    struct emitter *e = ie->e;
    const struct conv *v = &ie->v;
    const struct row_cut cut = int_cut_row(v, piece->pixels);
    struct place row = *unit;
    struct emit_loop l = {.never_empty = true};
    LLVMValueRef rest;

    if (!row_is_whole(ie)) {
        LLVMValueRef first = emit_mul(e, chunk, cut.n);

        row.tile_begin = emit_divide(e, first, ie->t->chunks, &rest);
        row.tile_end = emit_divide(e, emit_add(e, first, cut.n), ie->t->chunks, &rest);
    }
    emit_loop_begin(e, &l, unit->y_begin, unit->y_end, 1, NULL, 0);
    LLVMValueRef iy = emit_add(e, emit_mul(e, l.at, v->stride_y), -v->pad_top);
    LLVMValueRef class = int_class_value(e, &ie->rows, v->oh, l.at);

    emit_kernel_rows(e, v, iy, &row.tap_begin, &row.tap_end);
    row.bias = emit_at_value(e, unit->bias,
                             emit_mul(e, class, ie->columns.n * ie->padded * 4));
    row.in = emit_at_value(e, unit->in, emit_mul(e, iy, v->in_y));
    row.out = emit_at_value(e, unit->out, emit_mul(e, l.at, v->out_y * ie->out_bytes));
    if (v->has_residual)
        row.residual = emit_at_value(e, unit->residual, emit_mul(e, l.at, v->res_y));
    emit_row(ie, &row, &cut, piece);
    emit_loop_end(e, &l, NULL);
}

/* ---- units ------------------------------------------------------------------- */

struct unit_index {
    LLVMValueRef image, group, block, strip, chunk;
};

/* Takes the fastest digit off the unit number. */
static LLVMValueRef next_digit(struct emitter *e, LLVMValueRef *number, int64_t base)
{
    LLVMValueRef digit;

    *number = emit_divide(e, *number, base, &digit);
    return digit;
}

static struct unit_index decode_unit(const struct int_emitter *ie, LLVMValueRef u)
{
    struct emitter *e = ie->e;
    const struct int_tiling *t = ie->t;
    const int64_t blocks = int_blocks(ie->c, t);
    const int64_t strips = (ie->v.oh + t->rows - 1) / t->rows;
    struct unit_index x;

    if (t->rows_outer) {
        x.block = next_digit(e, &u, blocks);
        x.group = next_digit(e, &u, ie->v.groups);
        x.chunk = next_digit(e, &u, t->chunks);
        x.strip = next_digit(e, &u, strips);
        x.image = next_digit(e, &u, ie->v.n);
    } else {
        x.chunk = next_digit(e, &u, t->chunks);
        x.strip = next_digit(e, &u, strips);
        x.image = next_digit(e, &u, ie->v.n);
        x.block = next_digit(e, &u, blocks);
        x.group = next_digit(e, &u, ie->v.groups);
    }
    return x;
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
    const struct piece whole = {t->vectors, t->lanes, t->pixels, width, width};
    const struct piece tail = {t->tail_vectors, t->tail_lanes, t->tail_pixels,
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
    ie.rows = int_row_classes(&ie.v);
    ie.columns = int_column_classes(&ie.v);
    ie.padded = ie.v.groups * int_group_width(c, t);
    ie.out_bytes = c->result == INT_CODES ? 1 : 4;
    ie.function = emit_core(e, name);
    emit_loop_begin(e, &l, param(&ie, CORE_BEGIN), param(&ie, CORE_END), 1, NULL, 0);
    emit_unit(&ie, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return ie.function;
}
