/* SPDX-License-Identifier: Apache-2.0 */
/* What convolutions of floats and of codes have in common: which part of the work a
 * unit is, and a row of outputs tile by tile (conv_shape.h), those at a border written
 * out, the inner ones as a loop. */
#ifndef HADMC_CODEGEN_EMIT_UNIT_H
#define HADMC_CODEGEN_EMIT_UNIT_H

#include "codegen/conv_shape.h"
#include "codegen/emit_build.h"

/* How many parts there are of each kind, and their order: units count rows, then blocks
 * (rows_outer), or blocks, then rows. */
struct unit_order {
    int64_t images, groups, blocks, strips, chunks;
    bool rows_outer;
};

struct unit_index {
    LLVMValueRef image, group, block, strip, chunk;
};

struct unit_index emit_unit_index(struct emitter *e, const struct unit_order *o,
                                  LLVMValueRef unit);

/* The tiles [begin, end) that a unit has of a row; NULL: all. */
struct row_share {
    LLVMValueRef begin, end;
};

/* Share number `chunk` of `chunks`: nearly equal counts of tiles. */
struct row_share emit_row_share(struct emitter *e, const struct row_cut *cut,
                                LLVMValueRef chunk, int64_t chunks);

/* Emits the tile of `pixels` outputs from x on; x0 is x where it is known, at a border,
 * else -1. */
typedef void emit_tile_fn(const void *arg, int pixels, LLVMValueRef x, int64_t x0);

void emit_row(struct emitter *e, const struct row_cut *cut,
              const struct row_share *share, emit_tile_fn *tile, const void *arg);

#endif /* HADMC_CODEGEN_EMIT_UNIT_H */
