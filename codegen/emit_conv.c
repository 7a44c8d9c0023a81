/* SPDX-License-Identifier: Apache-2.0 */
/* Direct convolution and matrix product with constant weights.
 *
 *     for each unit: decode (image, group, block of channels, rows, part of a row)
 *         for each row:
 *             edge tiles | loop over inner tiles | edge tiles
 *                 for each kernel row inside the input:
 *                     for each (kernel column, input channel): one step of the tile
 *                 bias, activation, residual; store
 *
 * Which pixels of an edge tile a tap reaches is known here, so the generated code
 * has no tests inside a row; kernel rows above and below the input are left out by
 * the bounds of their loop.
 */
#include "codegen/emit_conv_row.h"
#include "codegen/emit_unit.h"
#include "codegen/winograd.h"

struct conv_emitter {
    struct emitter *e;
    struct conv c; /* the view */
    const struct conv_tiling *t;
    LLVMValueRef function;
};

/* One unit, or one row of it: where its operands start. */
struct place {
    LLVMValueRef in, weights, bias, residual, out;
    LLVMValueRef y_begin, y_end;
    LLVMValueRef tap_begin, tap_end; /* kernel rows inside the input */
};

static LLVMValueRef param(const struct conv_emitter *ce, unsigned i)
{
    return LLVMGetParam(ce->function, i);
}

/* ---- sums of a tile ---------------------------------------------------------- */

/* Every output row has a kernel row inside the input. */
static bool rows_never_empty(const struct conv *c)
{
    for (int64_t y = 0; y < c->oh; y++) {
        bool some = false;

        for (int64_t k = 0; k < c->kh && !some; k++) {
            const int64_t iy = y * c->stride_y - c->pad_top + k * c->dilation_y;

            some = iy >= 0 && iy < c->h;
        }
        if (!some)
            return false;
    }
    return true;
}

static void sum_kernel(const struct conv_emitter *ce, struct tile *t,
                       const struct place *at, LLVMValueRef in, int64_t x0)
{
    struct emitter *e = ce->e;
    const struct conv *c = &ce->c;
    const int64_t row_bytes = c->dilation_y * c->in_y * 4;
    const int64_t row_weights = c->kw * c->c_in * t->width * tile_weight_bytes(t);
    const int n = t->pixels * t->vectors;
    struct emit_loop l = {.never_empty = rows_never_empty(c)};
    LLVMValueRef carry[EMIT_MAX_CARRY], weights = at->weights;

    if (c->kh == 1 && !conv_clips_rows(c)) {
        emit_conv_row(e, c, t, in, at->weights, x0);
        return;
    }
    for (int i = 0; i < n; i++)
        carry[i] = t->sum[i];
    emit_loop_begin(e, &l, at->tap_begin, at->tap_end, 1, carry, n);
    for (int i = 0; i < n; i++)
        t->sum[i] = carry[i];
    in = emit_hide(e, emit_at_value(e, in, emit_mul(e, l.at, row_bytes)));
    weights = emit_hide(e, emit_at_value(e, weights, emit_mul(e, l.at, row_weights)));
    emit_conv_row(e, c, t, in, weights, x0);
    emit_loop_end(e, &l, t->sum);
}

/* ---- rows -------------------------------------------------------------------- */

/* A group's inputs are a small part of every pixel, too far apart for the processor
 * to guess: while one group is computed, the newest row of the next one is fetched. */
static void prefetch_next_group(const struct conv_emitter *ce, const struct tile *t,
                                LLVMValueRef in)
{
    const struct conv *c = &ce->c;
    const int64_t row = (c->kh - 1) * c->dilation_y * c->in_y * 4;
    const int64_t group = c->c_in * 4;

    if (c->groups == 1 || c->in_c != 1 || !ce->t->rows_outer)
        return;
    for (int i = 0; i < t->pixels; i++)
        for (int64_t at = 0; at < group; at += 64)
            emit_prefetch(ce->e,
                          emit_at(ce->e, in, row + group + i * t->pixel_bytes + at));
}

/* One row: what its tiles need. */
struct row {
    const struct conv_emitter *ce;
    const struct conv_piece *piece;
    struct place at;
};

/* An emit_tile_fn: the tile at output pixel x (x0 when that is known and the tile at a
 * border). */
static void emit_tile_at(const void *arg, int pixels, LLVMValueRef x, int64_t x0)
{
    const struct row *row = arg;
    const struct conv_emitter *ce = row->ce;
    const struct place *at = &row->at;
    const struct conv_piece *piece = row->piece;
    struct emitter *e = ce->e;
    const struct conv *c = &ce->c;
    const int lanes = emit_lanes(e);
    struct tile t = {
        .pixels = pixels,
        .vectors = (int)((piece->width * piece->depth + lanes - 1) / lanes),
        .width = (int)piece->width,
        .depth = piece->depth,
        .pixel_bytes = c->stride_x * c->in_x * 4,
        .half_weights = c->half_weights && !ce->t->widened,
        .weights_padded = true,
        .unroll = ce->t->unroll,
    };

    t.weight_step = piece->width * piece->depth * tile_weight_bytes(&t);

    const struct tile_end end = {
        .act_before = c->act_before,
        .act = c->act,
        .act_a = c->act_a,
        .act_b = c->act_b,
        .alpha = 1.0f,
        .bias = c->has_bias && piece->depth > 1 ? at->bias : NULL,
        .residual = c->has_residual
                        ? emit_at_value(e, at->residual, emit_mul(e, x, c->res_x * 4))
                        : NULL,
        .residual_pixel = c->res_x * 4,
        .out_pixel = c->out_x * 4,
    };
    LLVMValueRef in = emit_at_value(e, at->in, emit_mul(e, x, t.pixel_bytes));
    LLVMValueRef out = emit_at_value(e, at->out, emit_mul(e, x, c->out_x * 4));

    in = emit_hide(e, emit_at(e, in, -c->pad_left * c->in_x * 4));
    out = emit_hide(e, out);
    prefetch_next_group(ce, &t, in);
    tile_start(e, &t, c->has_bias && piece->depth == 1 ? at->bias : NULL);
    sum_kernel(ce, &t, at, in, x0);
    tile_finish(e, &t, &end, out);
}

/* All rows of a unit. */
static void emit_rows(const struct conv_emitter *ce, const struct place *unit,
                      LLVMValueRef chunk, const struct conv_piece *piece)
{
    struct emitter *e = ce->e;
    const struct conv *c = &ce->c;
    const struct row_cut cut = conv_cut_row(c, piece->pixels);
    struct row row = {ce, piece, *unit};
    struct row_share share = {NULL, NULL};
    struct emit_loop l = {.never_empty = true};

    if (ce->t->chunks > 1)
        share = emit_row_share(e, &cut, chunk, ce->t->chunks);
    emit_loop_begin(e, &l, unit->y_begin, unit->y_end, 1, NULL, 0);
    LLVMValueRef iy = emit_add(e, emit_mul(e, l.at, c->stride_y), -c->pad_top);

    emit_kernel_rows(e, c, iy, &row.at.tap_begin, &row.at.tap_end);
    row.at.in = emit_at_value(e, unit->in, emit_mul(e, iy, c->in_y * 4));
    row.at.out = emit_at_value(e, unit->out, emit_mul(e, l.at, c->out_y * 4));
    if (c->has_residual)
        row.at.residual =
            emit_at_value(e, unit->residual, emit_mul(e, l.at, c->res_y * 4));
    emit_row(e, &cut, &share, emit_tile_at, &row);
    emit_loop_end(e, &l, NULL);
}

/* ---- units ------------------------------------------------------------------- */

static struct unit_index decode_unit(const struct conv_emitter *ce, LLVMValueRef u)
{
    const struct conv *c = &ce->c;
    const struct unit_order o = {
        .images = c->n,
        .groups = c->groups,
        .blocks = conv_blocks(c, ce->t),
        .strips = conv_strips(c, ce->t),
        .chunks = ce->t->chunks,
        .rows_outer = ce->t->rows_outer,
    };

    return emit_unit_index(ce->e, &o, u);
}

static struct place place_unit(const struct conv_emitter *ce,
                               const struct unit_index *x)
{
    struct emitter *e = ce->e;
    LLVMBuilderRef b = e->builder;
    const struct conv *c = &ce->c;
    LLVMValueRef in = LLVMBuildAdd(b, emit_mul(e, x->image, c->in_n * 4),
                                   emit_mul(e, x->group, c->c_in * c->in_c * 4), "");
    struct place at = {
        .in = emit_at_value(e, param(ce, CORE_IN), in),
        .y_begin = emit_mul(e, x->strip, ce->t->rows),
    };

    at.y_end = emit_min(e, emit_add(e, at.y_begin, ce->t->rows), emit_int(e, c->oh));
    return at;
}

/* Goes to the first channel of a block. */
static void place_channel(const struct conv_emitter *ce, const struct unit_index *x,
                          LLVMValueRef in_group, struct place *at)
{
    struct emitter *e = ce->e;
    LLVMBuilderRef b = e->builder;
    const struct conv *c = &ce->c;
    const int64_t steps = c->kh * c->kw * c->c_in;
    LLVMValueRef channel =
        LLVMBuildAdd(b, emit_mul(e, x->group, c->c_out), in_group, "");
    LLVMValueRef bytes = emit_mul(e, channel, 4);
    LLVMValueRef out = LLVMBuildAdd(b, emit_mul(e, x->image, c->out_n * 4), bytes, "");

    at->weights = emit_at_value(e, param(ce, CORE_WEIGHTS),
                                emit_mul(e, channel, steps * conv_weight_bytes(c)));
    at->out = emit_at_value(e, param(ce, CORE_OUT), out);
    if (c->has_bias)
        at->bias = emit_at_value(e, param(ce, CORE_BIAS), bytes);
    if (c->has_residual) {
        LLVMValueRef r =
            LLVMBuildAdd(b, emit_mul(e, x->image, c->res_n * 4), bytes, "");

        at->residual = emit_at_value(e, param(ce, CORE_RESIDUAL), r);
    }
}

/* n halves as floats in scratch; up to a vector more of both. */
static LLVMValueRef widen(const struct conv_emitter *ce, LLVMValueRef from, int64_t n)
{
    struct emitter *e = ce->e;
    const int lanes = emit_lanes(e);
    LLVMValueRef to = param(ce, CORE_SCRATCH);
    struct emit_loop l = {0};

    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, (n + lanes - 1) / lanes), 1,
                    NULL, 0);
    emit_store(
        e,
        emit_load_half(e, emit_at_value(e, from, emit_mul(e, l.at, lanes * 2)), lanes),
        emit_at_value(e, to, emit_mul(e, l.at, lanes * 4)));
    emit_loop_end(e, &l, NULL);
    return to;
}

/* The unit's work if its block is one of [first, first + n), which start at channel
 * `channel` of the group and are all like `piece`. */
static void emit_blocks(const struct conv_emitter *ce, const struct unit_index *x,
                        const struct place *unit, int64_t first, int64_t n,
                        int64_t channel, const struct conv_piece *piece)
{
    struct emitter *e = ce->e;
    LLVMValueRef index = emit_add(e, x->block, -first);
    struct place at = *unit;
    struct emit_if is;

    emit_if_begin(e, &is,
                  LLVMBuildICmp(e->builder, LLVMIntULT, index, emit_int(e, n), ""),
                  NULL, 0);
    place_channel(ce, x, emit_add(e, emit_mul(e, index, piece->width), channel), &at);
    if (ce->t->widened)
        at.weights =
            widen(ce, at.weights, piece->width * ce->c.kh * ce->c.kw * ce->c.c_in);
    emit_rows(ce, &at, x->chunk, piece);
    emit_if_end(e, &is, NULL);
}

static void emit_unit(const struct conv_emitter *ce, LLVMValueRef u)
{
    const struct conv_tiling *t = ce->t;
    const struct conv_piece whole = {t->block, 1, t->pixels};
    const int64_t n_whole = conv_whole_blocks(&ce->c, t);
    const struct unit_index x = decode_unit(ce, u);
    const struct place at = place_unit(ce, &x);
    int64_t channel = n_whole * t->block;

    if (n_whole)
        emit_blocks(ce, &x, &at, 0, n_whole, 0, &whole);
    for (int i = 0; i < t->n_tails; i++) {
        emit_blocks(ce, &x, &at, n_whole + i, 1, channel, &t->tail[i]);
        channel += t->tail[i].width;
    }
}

LLVMValueRef emit_conv(struct emitter *e, const struct conv *c,
                       const struct conv_tiling *t, const char *name)
{
    struct conv_emitter ce = {.e = e, .c = conv_view(c, t), .t = t};
    struct emit_loop l = {0};

    if (t->winograd)
        return emit_winograd(e, c, t, name);
    ce.function = emit_core(e, name);
    emit_loop_begin(e, &l, param(&ce, CORE_BEGIN), param(&ce, CORE_END), 1, NULL, 0);
    emit_unit(&ce, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return ce.function;
}
