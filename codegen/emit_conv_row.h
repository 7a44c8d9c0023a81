/* SPDX-License-Identifier: Apache-2.0 */
/* One kernel row of a convolution, added to the sums of a tile. */
#ifndef HADMC_CODEGEN_EMIT_CONV_ROW_H
#define HADMC_CODEGEN_EMIT_CONV_ROW_H

#include "codegen/conv_shape.h"
#include "codegen/emit_tile.h"

/* `in` is the first tap of the tile's first pixel, `weights` the row's first.  x0 is
 * the output column of a tile at a border, whose taps partly lie outside; -1 for an
 * inner tile. */
void emit_conv_row(struct emitter *e, const struct conv *c, struct tile *t,
                   LLVMValueRef in, LLVMValueRef weights, int64_t x0);

#endif /* HADMC_CODEGEN_EMIT_CONV_ROW_H */
