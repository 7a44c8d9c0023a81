/* SPDX-License-Identifier: Apache-2.0 */
/* What import, shape and lower functions of many operators share. */
#ifndef HADMC_FRONTEND_OP_HELP_H
#define HADMC_FRONTEND_OP_HELP_H

#include "frontend/ir.h"
#include "frontend/lower.h"

/* Set output i to this type; nothing happens when it is left out. */
void op_set_out(struct ir_node *n, int i, enum dtype dtype, int rank,
                const int64_t *dim);

/* No operand may have a size that is known only when running. */
struct status *op_refuse_dynamic(const struct ir_node *n);

/* -rank..rank-1 -> 0..rank-1. */
struct status *op_axis(const struct ir_node *n, int64_t axis, int rank, int *out);
/* Same for a list, which may not name an axis twice. */
struct status *op_axes(const struct ir_node *n, int n_axes, const int64_t *axis,
                       int rank, int *out);
/* The attribute "axis" of input 0, or its default, counted from the front from now on. */
struct status *op_import_axis(struct ir_node *n, int64_t otherwise);

/* Input i as constant integers.  `what` names it in the message that asks for a
 * constant.  A missing optional input gives NULL and 0. */
struct status *op_const_ints(struct ir_node *n, int i, const char *what,
                             const int64_t **out, int *n_out);
/* Input i as constant floats (f32, f64 or f16), in the same way. */
struct status *op_const_floats(struct ir_node *n, int i, const char *what,
                               const float **out, int *n_out);

/* Keep only the first n_in inputs. */
void op_keep_inputs(struct ir_node *n, int n_in);

/* Put a Cast to `dtype` before input i, unless it has this type already. */
struct status *op_cast_input(struct ir_node *n, int i, enum dtype dtype);

struct status *op_check_rank(const struct ir_node *n, int i, int least, int most);
/* Inputs a and b (when present) have the same element type. */
struct status *op_same_dtype(const struct ir_node *n, int a, int b);
/* Input i (when present) has this one. */
struct status *op_check_dtype(const struct ir_node *n, int i, enum dtype dtype);
bool op_is_byte(enum dtype dtype); /* u8, i8 */

/* A product of dims; saturates far above every size that ir_infer accepts. */
int64_t op_product(int n, const int64_t *dim);

/* A Reshape of v put before n. */
struct status *op_reshaped(struct ir_node *n, struct ir_value *v, int rank,
                           const int64_t *dim, struct ir_value **out);

/* A node with one operand and a list of integers as attribute, put before n, whose
 * name and place in the file it takes. */
struct status *op_emit_ints(struct ir_node *n, enum ir_op op, struct ir_value *v,
                            const char *attr, int count, const int64_t *values,
                            struct ir_value **out);

/* Output 0 gets the shape that the inputs are stretched to. */
struct status *op_broadcast_out(struct ir_node *n, enum dtype dtype);

/* Input i, when present, is one number of this type. */
struct status *op_check_one(const struct ir_node *n, int i, enum dtype dtype);

/* Input i, when present, is a constant i32[2]: least and most code of a result. */
struct status *op_check_limits(const struct ir_node *n, int i);

/* The limits of a Clip when they are known, infinities where left out; lo <= hi. */
bool op_clip_limits(const struct ir_node *n, float *lo, float *hi);

/* ---- lowering --------------------------------------------------------------- */

/* UNSUPPORTED: there is no kernel for this type. */
struct status *op_no_kernel(const struct ir_node *n, enum dtype dtype);
/* The same for everything but f32, OK for f32. */
struct status *op_only_f32(const struct ir_node *n, enum dtype dtype);

/* Kernel "<op>_<element size>", for operators that do not look at elements. */
struct kcall *op_call_sized(struct lowering *lw, const char *op, enum dtype dtype,
                            const void *params, int64_t units);

/* Kernel "<op>_<type of n's first operand>_<type of its result>", for 8-bit codes. */
struct kcall *op_call_quant(struct lowering *lw, const char *op,
                            const struct ir_node *n, const void *params, int64_t units);

void op_buf(struct kcall *call, struct kbuf buf, int64_t more_offset);
struct kbuf op_value(struct ir_value *v);
struct kbuf op_temp(int temp);

/* out[sum i*out] = in[sum i*in] for elements of `size` bytes: strided copy of any
 * rank with dims merged, loops ordered and a tile kernel where both sides are
 * contiguous along different dims.  `from` and `to` stand at the first element. */
struct status *op_copy(struct lowering *lw, const struct ir_node *n, int size, int rank,
                       const int64_t *dim, const int64_t *in, const int64_t *out,
                       struct kbuf from, struct kbuf to);
/* All bytes of `from` (same count of elements) to `to`. */
struct status *op_copy_all(struct lowering *lw, const struct ir_node *n,
                           struct ir_value *from, struct ir_value *to);
/* Every element of `to` gets the low `size` bytes of `bits`. */
void op_fill(struct lowering *lw, int size, int64_t count, uint64_t bits,
             struct kbuf to);

/* Row-major strides of dims, same rank. */
void op_strides(int rank, const int64_t *dim, int64_t *stride);

#endif /* HADMC_FRONTEND_OP_HELP_H */
