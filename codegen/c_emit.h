/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that write foo_kernels.c share: c_emit.c drives, c_chain.c writes
 * the loops of element chains, c_params.c literal parameters, c_kernels.c the
 * kernel library's own sources. */
#ifndef HADMC_CODEGEN_C_EMIT_H
#define HADMC_CODEGEN_C_EMIT_H

#include "codegen/codegen.h"

void c_put_i64(struct text *t, int64_t value);
void c_put_f32(struct text *t, float value);

/* The struct of `kernel` as an initialiser. */
struct status *c_put_params(struct text *t, const struct kernel_info *kernel,
                            const void *params);

/* Address of an operand as an expression; NULL when it is absent. */
void c_put_address(struct text *t, const struct program *p, const struct step *s,
                   const struct operand *o);

/* The body of a STEP_CHAIN's function, without braces. */
void c_put_chain(struct text *t, const struct program *p, const struct step *s);

/* The sources of every kernel that the program calls, and what they include. */
struct status *c_put_kernels(struct text *t, const struct program *p);

#endif /* HADMC_CODEGEN_C_EMIT_H */
