/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HADMC_CODEGEN_EMIT_INT_ROW_H
#define HADMC_CODEGEN_EMIT_INT_ROW_H

#include "codegen/emit_int_tile.h"

/* Adds one kernel row to the tile whose first pixel is output x0 (-1: an inner tile,
 * which every tap reaches with all pixels).  `in` is the first tap of the first pixel,
 * `weights` the kernel row's first.  Taps outside of the input are skipped. */
void int_tile_row(struct emitter *e, const struct conv *v, struct int_tile *t,
                  LLVMValueRef in, LLVMValueRef weights, int64_t x0);

/* Adds the inputs that the row reaches to window[pixel], vectors of int32 whose lanes
 * are to be added up. */
void int_window_row(struct emitter *e, const struct conv *v, const struct int_tile *t,
                    LLVMValueRef in, int64_t x0, LLVMValueRef *window);

#endif /* HADMC_CODEGEN_EMIT_INT_ROW_H */
