/* SPDX-License-Identifier: Apache-2.0 */
/* Words for integer kernels, beside those of emit_build.h: bytes in memory, 32-bit
 * integers in registers.
 *
 * Four vectors of 32-bit lanes hold what one vector of bytes does.  They are packed and
 * unpacked in blocks of 128 bits, as x86 does it: byte 16 b + 4 j + i is lane 4 b + i
 * of vector j.  Work that ends where it began, element by element, never notices; for
 * sums of products the packer of weights mixes channels alike (int_channel_at()).
 */
#ifndef HADMC_CODEGEN_EMIT_INT_BUILD_H
#define HADMC_CODEGEN_EMIT_INT_BUILD_H

#include "codegen/emit_build.h"
#include "codegen/int_shape.h"

LLVMTypeRef int_vector(struct emitter *e, LLVMTypeRef element, int lanes);
LLVMValueRef int_splat(struct emitter *e, LLVMTypeRef element, int64_t value,
                       int lanes);

/* Any alignment. */
LLVMValueRef int_load(struct emitter *e, LLVMTypeRef type, LLVMValueRef p);
void int_store(struct emitter *e, LLVMValueRef x, LLVMValueRef p);
/* One scalar at p in every lane. */
LLVMValueRef int_load_splat(struct emitter *e, LLVMTypeRef element, LLVMValueRef p,
                            int lanes);
/* The first `used` elements of a vector; others are 0, and nothing else is touched. */
LLVMValueRef int_load_part(struct emitter *e, LLVMTypeRef type, LLVMValueRef p,
                           int used);
void int_store_part(struct emitter *e, LLVMValueRef x, LLVMValueRef p, int used);

LLVMValueRef int_cast(struct emitter *e, LLVMValueRef x, LLVMTypeRef type); /* bits */
LLVMValueRef int_flip(struct emitter *e, LLVMValueRef bytes); /* xor 0x80 */
LLVMValueRef int_to_float(struct emitter *e, LLVMValueRef x);
/* name: "llvm.smin", smax, umin or umax. */
LLVMValueRef int_limit(struct emitter *e, const char *name, LLVMValueRef a,
                       LLVMValueRef b);
/* Floats; neither is NaN. */
LLVMValueRef int_least(struct emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef int_most(struct emitter *e, LLVMValueRef a, LLVMValueRef b);
/* To the nearest integer, ties to even; what is below int32 becomes INT32_MIN. */
LLVMValueRef int_round(struct emitter *e, LLVMValueRef x);

/* sum + products of four bytes a lane, as the isa can: `a` is unsigned and `b` signed
 * on x86, both are signed on Arm.  Vectors of int32. */
LLVMValueRef int_dot(struct emitter *e, LLVMValueRef sum, LLVMValueRef a,
                     LLVMValueRef b);
/* Products of pairs of int16, added: twice as many lanes in as out. */
LLVMValueRef int_pair(struct emitter *e, LLVMValueRef a, LLVMValueRef b);
/* The same of bytes, unsigned by signed, to int16: sums that do not fit saturate. */
LLVMValueRef int_byte_pair(struct emitter *e, LLVMValueRef a, LLVMValueRef b);

/* Bytes, unsigned, as four vectors of int32 in blocks of 128 bits. */
void int_widen(struct emitter *e, LLVMValueRef bytes, LLVMValueRef out[4]);
/* Bytes of a and b taken in turns, in blocks of 128 bits, `size` at a time: the lower
 * half of a block, or the upper one. */
LLVMValueRef int_zip(struct emitter *e, LLVMValueRef a, LLVMValueRef b, int size,
                     bool upper);

/* int_class_of() an output whose place is known when the code runs. */
LLVMValueRef int_class_value(struct emitter *e, const struct int_classes *k,
                             int64_t outputs, LLVMValueRef at);

/* ---- results ------------------------------------------------------------------- */

/* Offsets of fields of struct int_header, as an address and as splats. */
LLVMValueRef int_field(struct emitter *e, LLVMValueRef header, size_t offset,
                       LLVMTypeRef element, int lanes);

/* z + rne(clamp(t)) of four vectors, as unsigned bytes; `header` has the numbers. */
LLVMValueRef int_settle4(struct emitter *e, LLVMValueRef header,
                         const LLVMValueRef t[4]);
/* The same of one vector, bytes in the order of its lanes. */
LLVMValueRef int_settle1(struct emitter *e, LLVMValueRef header, LLVMValueRef t);

#endif /* HADMC_CODEGEN_EMIT_INT_BUILD_H */
