/* SPDX-License-Identifier: Apache-2.0 */
/* What a node means as calls of library kernels.
 *
 * Every operator lowers to a short list of calls.  The interpreter runs them
 * natively, the C emitter prints them, codegen specialises their bitcode, and
 * hot operators replace them by emitted kernels.  So this list is the operator's
 * definition.
 *
 *     struct kcall *call = lower_call(lw, "transpose_4", &params, n_elements);
 *     lower_in(call, n->in[0]);
 *     lower_out(call, n->out[0]);
 */
#ifndef HADMC_FRONTEND_LOWER_H
#define HADMC_FRONTEND_LOWER_H

#include "frontend/ir.h"
#include "kernels/params.h"
#include "kernels/registry.h"

enum kbuf_kind {
    KB_VALUE,   /* the bytes of `value`, from byte `offset` on */
    KB_DIMS,    /* int64_t[rank]: actual dims of a dynamic `value` */
    KB_TEMP,    /* temporary memory `index`, from byte `offset` on; shared by the
                   calls of this node */
    KB_SCRATCH, /* private to one worker during one call; contents undefined */
};

struct kbuf {
    enum kbuf_kind kind;
    bool written;           /* output or in/out */
    struct ir_value *value; /* KB_VALUE, KB_DIMS; NULL: absent, the kernel gets NULL */
    int index;              /* KB_TEMP */
    int64_t offset;         /* bytes: KB_VALUE, KB_TEMP */
    int64_t size;           /* KB_SCRATCH: bytes */
};

struct kcall {
    const struct kernel_info *kernel;
    void *params; /* kernel->params_size bytes, in the lowering's arena */
    int n_bufs;
    struct kbuf bufs[K_MAX_BUFS];
    int64_t n_units;
    bool serial; /* units depend on each other: one worker runs [0, n_units) */
};

struct lowering {
    struct compile *compile;
    int n_calls, cap_calls;
    struct kcall **calls;
    int n_temps;
    int64_t temp_bytes[32];
};

/* The calls of one node.  Fails for INTERNAL and UNSUPPORTED only. */
struct status *lower_node(struct compile *c, const struct ir_node *n, struct lowering *out);

/* ---- for the lower_X functions --------------------------------------------- */

/* Kernel `name` must exist (INTERNAL abort otherwise: the build tests cover it);
 * `params` are copied. */
struct kcall *lower_call(struct lowering *lw, const char *kernel, const void *params,
                         int64_t n_units);
/* Same with "<op>_<dtype>"; NULL when there is no kernel for this type. */
struct kcall *lower_call_typed(struct lowering *lw, const char *op, enum dtype dtype,
                               const void *params, int64_t n_units);
void lower_in(struct kcall *call, struct ir_value *v);
void lower_in_at(struct kcall *call, struct ir_value *v, int64_t offset_bytes);
void lower_out(struct kcall *call, struct ir_value *v);
void lower_out_at(struct kcall *call, struct ir_value *v, int64_t offset_bytes);
void lower_dims(struct kcall *call, struct ir_value *v, bool written);
void lower_scratch(struct kcall *call, int64_t bytes);

int lower_temp(struct lowering *lw, int64_t bytes);
void lower_in_temp(struct kcall *call, int temp);
void lower_out_temp(struct kcall *call, int temp);

/* Shape helpers: right-aligned arrays of K_MAX_RANK. */
void lower_dims_of(const struct ir_value *v, int64_t dim[K_MAX_RANK]);
void lower_strides_of(const struct ir_value *v, int64_t stride[K_MAX_RANK]);
/* Strides of `v` broadcast to `to` (0 where it is stretched). */
void lower_broadcast_strides(const struct ir_value *v, const struct ir_value *to,
                             int64_t stride[K_MAX_RANK]);

/* out = op(in...), element by element with broadcasting; f may be NULL (or 4 floats).
 * A dynamic operand is fine beside operands of one element; its dims are copied. */
struct status *lower_eltwise(struct lowering *lw, const struct ir_node *n, const char *op,
                             enum dtype dtype, int arity, struct ir_value *const *in,
                             struct ir_value *out, const float *f);

/* Merge neighbouring dims that every operand walks contiguously and drop ones;
 * same elements in the same order.  lower_eltwise does not call it, so that chains
 * of operators still share dims; whoever runs or prints a call with arity > 0 does
 * so first. */
void lower_merge_dims(struct k_eltwise *p, int arity);

#endif /* HADMC_FRONTEND_LOWER_H */
