/* SPDX-License-Identifier: Apache-2.0 */
/* Small words for building LLVM IR, shared by the emit_*.c files.
 *
 * Everything appends at the builder's position.  Distances are bytes: pointers are
 * opaque and addresses plain sums, which may pass through places outside the
 * operand (a padded row starts before its image) as long as nothing is read there.
 */
#ifndef HADMC_CODEGEN_EMIT_BUILD_H
#define HADMC_CODEGEN_EMIT_BUILD_H

#include "codegen/emit.h"

enum { EMIT_MAX_CARRY = 72 };

/* The parameters of a core, in order. */
enum {
    CORE_IN,
    CORE_WEIGHTS,
    CORE_BIAS,
    CORE_RESIDUAL,
    CORE_OUT,
    CORE_SCRATCH,
    CORE_BEGIN,
    CORE_END,
};

/* Adds the function, its attributes and its entry block, and goes there. */
LLVMValueRef emit_core(struct emitter *e, const char *name);

LLVMValueRef emit_int(struct emitter *e, int64_t value);
LLVMValueRef emit_f32(struct emitter *e, float value);
LLVMValueRef emit_add(struct emitter *e, LLVMValueRef a, int64_t b);
LLVMValueRef emit_mul(struct emitter *e, LLVMValueRef a, int64_t b);
LLVMValueRef emit_min(struct emitter *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_max(struct emitter *e, LLVMValueRef a, LLVMValueRef b);
/* Quotient; *rest is the remainder.  `a` is not negative. */
LLVMValueRef emit_divide(struct emitter *e, LLVMValueRef a, int64_t b,
                         LLVMValueRef *rest);
/* The smallest x with b * x >= a (a may be negative, b > 0). */
LLVMValueRef emit_divide_up(struct emitter *e, LLVMValueRef a, int64_t b);

/* Kernel rows k with 0 <= iy + k * dilation < h, as [*begin, *end). */
void emit_kernel_rows(struct emitter *e, const struct conv *c, LLVMValueRef iy,
                      LLVMValueRef *begin, LLVMValueRef *end);

LLVMValueRef emit_at(struct emitter *e, LLVMValueRef p, int64_t bytes);
LLVMValueRef emit_at_value(struct emitter *e, LLVMValueRef p, LLVMValueRef bytes);

/* The same address, but nobody knows: loads through it are not merged with others, and
 * what is computed from it is not turned into a dozen pointers carried through loops
 * (as LLVM's strength reduction likes to do with the pixels of a tile). */
LLVMValueRef emit_hide(struct emitter *e, LLVMValueRef p);

/* Keeps a vector in its register up to here. */
void emit_keep(struct emitter *e, LLVMValueRef x);

/* The same n vectors, all in registers here: sums stay in the order in which they are
 * written, and what is loaded for later ones is not loaded before.  x86. */
void emit_settle(struct emitter *e, LLVMValueRef *x, int n);

/* A call of the intrinsic `name` with its overloaded types. */
LLVMValueRef emit_intrinsic(struct emitter *e, const char *name, LLVMTypeRef *overload,
                            unsigned n_overload, LLVMValueRef *args, unsigned n_args);

/* ---- vectors of float32 ------------------------------------------------------ */

int emit_lanes(const struct emitter *e); /* in a register of the isa */
LLVMTypeRef emit_vector(struct emitter *e, int lanes);
LLVMValueRef emit_splat(struct emitter *e, LLVMValueRef scalar, int lanes);
LLVMValueRef emit_constant(struct emitter *e, float value, int lanes);
/* a * b + c, rounded once where the isa can. */
LLVMValueRef emit_multiply_add(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                               LLVMValueRef c);
LLVMValueRef emit_load(struct emitter *e, LLVMTypeRef type, LLVMValueRef p);
void emit_store(struct emitter *e, LLVMValueRef value, LLVMValueRef p);
/* The first `used` lanes of a vector of `lanes`; nothing else is touched, other
 * lanes are undefined. */
LLVMValueRef emit_load_part(struct emitter *e, LLVMValueRef p, int lanes, int used);
/* `lanes` finite numbers of binary16 at p, all of which may be read, as float32. */
LLVMValueRef emit_load_half(struct emitter *e, LLVMValueRef p, int lanes);
/* Asks for the cache line at p, which need not exist. */
void emit_prefetch(struct emitter *e, LLVMValueRef p);
/* Lanes [lo, hi) of a vector of `lanes`, the others 0; nothing else is touched. */
LLVMValueRef emit_load_range(struct emitter *e, LLVMValueRef p, int lanes, int lo,
                             int hi);
void emit_store_part(struct emitter *e, LLVMValueRef value, LLVMValueRef p, int used);
/* Lanes index[0..n) of a and b taken together; -1 is any. */
LLVMValueRef emit_shuffle(struct emitter *e, LLVMValueRef a, LLVMValueRef b,
                          const int *index, int n);
LLVMValueRef emit_activation(struct emitter *e, LLVMValueRef x, enum activation act,
                             float a, float b);

/* ---- control flow ------------------------------------------------------------ */

/* for (at = begin; at < end; at += step), with values carried from one iteration
 * to the next:
 *
 *     struct emit_loop loop = {0};
 *     emit_loop_begin(e, &loop, begin, end, 1, sum, 1);
 *     sum[0] = ... sum[0] ... loop.at ...
 *     emit_loop_end(e, &loop, sum);          // sum[0] is now the final value
 */
struct emit_loop {
    LLVMValueRef at;
    LLVMValueRef end;
    int64_t step;
    int n;
    bool never_empty; /* set by the caller: begin < end holds though not constant */
    LLVMBasicBlockRef before, body, after;
    bool guarded; /* begin < end is tested first */
    LLVMValueRef phi[EMIT_MAX_CARRY], initial[EMIT_MAX_CARRY];
};

void emit_loop_begin(struct emitter *e, struct emit_loop *l, LLVMValueRef begin,
                     LLVMValueRef end, int64_t step, LLVMValueRef *carry, int n);
void emit_loop_end(struct emitter *e, struct emit_loop *l, LLVMValueRef *carry);

/* if (condition) { ... }, with values that the body may replace. */
struct emit_if {
    LLVMBasicBlockRef before, after;
    int n;
    LLVMValueRef initial[EMIT_MAX_CARRY];
};

void emit_if_begin(struct emitter *e, struct emit_if *s, LLVMValueRef condition,
                   LLVMValueRef *carry, int n);
void emit_if_end(struct emitter *e, struct emit_if *s, LLVMValueRef *carry);

#endif /* HADMC_CODEGEN_EMIT_BUILD_H */
