/* SPDX-License-Identifier: Apache-2.0 */
/* See emit_unit.h. */
#include "codegen/emit_unit.h"

/* Takes the fastest digit off the unit number. */
static LLVMValueRef next_digit(struct emitter *e, LLVMValueRef *number, int64_t base)
{
    LLVMValueRef digit;

    *number = emit_divide(e, *number, base, &digit);
    return digit;
}

struct unit_index emit_unit_index(struct emitter *e, const struct unit_order *o,
                                  LLVMValueRef u)
{
    struct unit_index x;

    if (o->rows_outer) {
        x.block = next_digit(e, &u, o->blocks);
        x.group = next_digit(e, &u, o->groups);
        x.chunk = next_digit(e, &u, o->chunks);
        x.strip = next_digit(e, &u, o->strips);
        x.image = next_digit(e, &u, o->images);
    } else {
        x.chunk = next_digit(e, &u, o->chunks);
        x.strip = next_digit(e, &u, o->strips);
        x.image = next_digit(e, &u, o->images);
        x.block = next_digit(e, &u, o->blocks);
        x.group = next_digit(e, &u, o->groups);
    }
    return x;
}

struct row_share emit_row_share(struct emitter *e, const struct row_cut *cut,
                                LLVMValueRef chunk, int64_t chunks)
{
    LLVMValueRef rest, first = emit_mul(e, chunk, cut->n);
    struct row_share s = {.begin = emit_divide(e, first, chunks, &rest)};

    s.end = emit_divide(e, emit_add(e, first, cut->n), chunks, &rest);
    return s;
}

/* Tile number `i`, when the unit has it. */
static void emit_single(struct emitter *e, const struct row_cut *cut,
                        const struct row_share *share, int64_t i, emit_tile_fn *tile,
                        const void *arg)
{
    const int pixels = i == cut->n - 1 ? cut->last : cut->pixels;
    const int64_t x0 = i * cut->pixels;
    struct emit_if has;

    if (share->begin) {
        LLVMValueRef number = emit_int(e, i);
        LLVMValueRef from =
            LLVMBuildICmp(e->builder, LLVMIntSLE, share->begin, number, "");
        LLVMValueRef to = LLVMBuildICmp(e->builder, LLVMIntSGT, share->end, number, "");

        emit_if_begin(e, &has, LLVMBuildAnd(e->builder, from, to, ""), NULL, 0);
    }
    tile(arg, pixels, emit_int(e, x0), x0);
    if (share->begin)
        emit_if_end(e, &has, NULL);
}

static void emit_inner(struct emitter *e, const struct row_cut *cut,
                       const struct row_share *share, emit_tile_fn *tile,
                       const void *arg)
{
    LLVMValueRef begin = emit_int(e, cut->left);
    LLVMValueRef end = emit_int(e, cut->left + cut->inner);
    struct emit_loop l = {0};

    if (share->begin) {
        begin = emit_max(e, begin, share->begin);
        end = emit_min(e, end, share->end);
    }
    emit_loop_begin(e, &l, begin, end, 1, NULL, 0);
    tile(arg, cut->pixels, emit_mul(e, l.at, cut->pixels), -1);
    emit_loop_end(e, &l, NULL);
}

void emit_row(struct emitter *e, const struct row_cut *cut,
              const struct row_share *share, emit_tile_fn *tile, const void *arg)
{
    for (int64_t i = 0; i < cut->left; i++)
        emit_single(e, cut, share, i, tile, arg);
    if (cut->inner)
        emit_inner(e, cut, share, tile, arg);
    for (int64_t i = cut->left + cut->inner; i < cut->n; i++)
        emit_single(e, cut, share, i, tile, arg);
}
