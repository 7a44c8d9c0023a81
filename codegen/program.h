/* SPDX-License-Identifier: Apache-2.0 */
/* The model as steps over placed memory: what is between the graph and code.
 *
 *     graph --program_build--> steps, tensors --planner_place--> offsets
 *           --module_emit--> object        (LLVM: emitted + specialised kernels)
 *           --c_emit-------> foo_kernels.c (library kernels with literal parameters)
 *
 * Every emitter prints the same program: a step is one function over units.
 */
#ifndef HADMC_CODEGEN_PROGRAM_H
#define HADMC_CODEGEN_PROGRAM_H

#include "codegen/emit_int.h"
#include "frontend/ir.h"
#include "frontend/lower.h"

enum tensor_place {
    IN_WORKSPACE,  /* offset in the workspace */
    IN_WEIGHTS,    /* offset in the weights payload */
    IN_IO,         /* io[index]: the caller's memory (input, output or dims) */
};

/* One piece of memory.  A value of the graph has at most one; packed weights,
 * temporaries and dims of dynamic values have one of their own. */
struct ptensor {
    const struct ir_value *value; /* NULL for temporaries and packed weights */
    const char *name;
    int64_t bytes;
    enum tensor_place place;
    int io_index;
    int64_t offset;      /* from the planner, or within the payload */
    int alias_of;        /* >= 0: this tensor is part of another one ... */
    int64_t alias_offset; /* ... from this byte on; place and offset follow from it */
    int first, last;     /* steps between which the contents matter */
    const void *data;    /* IN_WEIGHTS: contents */
    int readable_after;  /* bytes past the end that emitted code may read */
};

enum {
    OPERAND_ABSENT = -1,  /* NULL is passed */
    OPERAND_SCRATCH = -2, /* ws + scratch_offset + worker * scratch_bytes + offset */
};

struct operand {
    int tensor;      /* or one of the above */
    int64_t offset;  /* bytes into the tensor */
    bool written;
};

/* A fused chain of element operators, one loop over `dim`.  Values are numbered:
 * 0 .. n_in-1 the step's inputs, then one per op.  Outputs are contiguous.  With
 * n_ops == 0 it is a (strided) copy.  Dims are merged: when all but the last are 1
 * a unit is one element, otherwise a unit is one row (chain_units). */
struct element_op {
    const struct kernel_info *kernel;
    int src[3];
    float f[4];
};

struct chain {
    int64_t dim[K_MAX_RANK];
    int n_in;
    int64_t (*stride)[K_MAX_RANK]; /* [n_in], in elements */
    enum dtype *in_dtype;          /* [n_in] */
    int n_ops;
    struct element_op *ops;
    int n_out;
    int *out;                      /* value numbers that are stored */
};

int64_t chain_units(const struct chain *ch);

enum step_kind {
    STEP_LIBRARY,   /* kcall: operands in the order of the kernel's buf[] */
    STEP_CHAIN,     /* operands: n_in inputs, n_out outputs */
    STEP_CONV,      /* operands as emit.h: in, weights, bias, residual, out */
    STEP_DEPTHWISE, /* same */
    STEP_MATMUL,    /* a, b, bias, -, out */
    STEP_POOL,      /* in, -, -, -, out */
    STEP_INT_CONV,  /* operands as emit_int.h: in, weights, epilogue, residual, out */
    STEP_INT_DEPTHWISE, /* same */
    STEP_INT_POOL,  /* in, -, epilogue, -, out */
    STEP_INT_ELEMENTS, /* a, -, epilogue, b, out */
    STEP_BRANCH,    /* operands[0]: a bool; 0 continues at `target` */
    STEP_JUMP,
};

struct step {
    enum step_kind kind;
    const char *name;           /* C identifier, unique: k12_conv1 */
    const struct ir_node *node; /* the main one, for reports */
    const char *covers;         /* "Conv+BatchNormalization+Relu" for people */
    int n_operands;
    struct operand operands[K_MAX_BUFS];
    int64_t n_units, grain;     /* grain == n_units: serial */
    int64_t scratch_bytes;      /* a worker; a multiple of 64 */
    int64_t flops;              /* 2 x multiply-accumulates, 0 if not counted */
    int64_t scratch_offset;     /* set by the planner */
    int target;                 /* STEP_BRANCH, STEP_JUMP: step number */
    union {
        const struct kcall *call;
        const struct chain *chain;
        struct { struct conv conv; struct conv_tiling tiling; bool pool_max, count_pad; } conv;
        struct matmul matmul;
        struct { struct int_conv conv; struct int_tiling tiling; } int_conv;
        struct int_pool int_pool;
        struct int_elements int_elements;
    } u;
};

struct program {
    struct compile *compile;
    const struct ir_graph *graph;
    const struct isa *isa;      /* NULL: library kernels only (the C output) */
    int n_tensors, cap_tensors;
    struct ptensor *tensors;
    int n_steps, cap_steps;
    struct step *steps;
    int n_io;                   /* inputs, outputs, then dims of dynamic outputs */
    int64_t workspace_bytes;    /* set by the planner, scratch included */
    int64_t payload_bytes;      /* weights */
    int max_workers;
    bool keep_all;
};

/* Where Winograd's algorithm is faster: if its scratch leaves the model's peak as it is;
 * to measure kernels, never or always. */
enum winograd_use { WINOGRAD_IN_ROOM, WINOGRAD_NEVER, WINOGRAD_ALWAYS };

struct program_options {
    bool keep_all;     /* every value of the graph gets memory of its own that lives
                          to the end, nothing is fused away: for layer comparison */
    int max_workers;   /* scratch is reserved for so many; default 1 */
    enum winograd_use winograd;
    const struct plan *plan; /* what may be fused (plan/fusion.h); NULL: everything */
};

/* Picks a step for every node (emitted kernel where the isa has one, library
 * kernel otherwise), fuses epilogues and chains, turns views into aliases, packs
 * weights.  The graph has been through all passes. */
struct status *program_build(struct compile *c, const struct ir_graph *g,
                             const struct isa *isa, const struct program_options *o,
                             struct program **out);

/* Kinds with code of emit_X(); the others are library code, or none. */
bool step_is_emitted(const struct step *s);
/* The window of a convolution or pool, of floats or codes; NULL for other kinds. */
struct conv *step_window(struct step *s);

/* step_fields.c: all that the code of an emitted kernel depends on, as numbers; returns
 * how many.  0 for other kinds. */
enum { STEP_MAX_FIELDS = 64 };
int step_fields(const struct step *s, const struct isa *isa,
                int64_t out[STEP_MAX_FIELDS]);

/* Where a tensor's bytes are after following alias_of: the tensor that owns the
 * memory, and how far into it. */
int program_root(const struct program *p, int tensor, int64_t *offset);

/* planner.c: offsets for every IN_WORKSPACE tensor and every step's scratch, from
 * liveness; 64-byte aligned.  planner_lower_bound: the largest sum of live bytes
 * over steps, which no placement can beat. */
void planner_place(struct program *p);
int64_t planner_lower_bound(const struct program *p);

#endif /* HADMC_CODEGEN_PROGRAM_H */
