/* SPDX-License-Identifier: Apache-2.0 */
/* The operators of the graph, from the table in ops.def. */
#ifndef HADMC_FRONTEND_OPS_H
#define HADMC_FRONTEND_OPS_H

#include <stdbool.h>

struct ir_node;
struct lowering;
struct status;

enum ir_op {
    OP_NONE = 0,
#define OP(name, ...) OP_##name,
#include "frontend/ops.def"
    OP_COUNT
};

/* Traits: what passes may assume without knowing the operator. */
enum op_traits {
    OPT_ELTWISE = 1,   /* out[i] depends on the inputs' [i] after broadcasting */
    OPT_VIEW = 2,      /* out has the input's bytes, only the shape differs */
    OPT_REDUCES = 4,   /* Reduce...: attributes axes and keepdims */
    OPT_CONTROL = 8,   /* has bodies: If, Loop */
    OPT_NO_FOLD = 16,  /* never evaluated at compile time */
    OPT_HEAVY = 32,    /* many operations an element (Conv, MatMul, LSTM): folded only
                          where that is quick */
};

/* Sets dtype, rank, dims (and `dynamic`) of every output from the inputs, or
 * says why the node is not sound.  Checks everything that lowering relies on:
 * after shape inference has succeeded, lowering cannot fail for INVALID. */
typedef struct status *op_shape_fn(struct ir_node *n);

/* Appends the library-kernel calls that compute the node (lower.h).  NULL for
 * control operators. */
typedef struct status *op_lower_fn(struct lowering *lw, const struct ir_node *n);

/* Rewrites a freshly imported node of ONNX version `opset` into the canonical
 * form (attributes that became inputs, old defaults, decomposition into other
 * nodes).  NULL when the form has never changed.  Runs before shape_X; inputs
 * have shapes (the first min_in of the row are there), outputs do not yet.  The node may be changed in place (op,
 * attributes, ir_set_input grows the operand list), or replaced: build others
 * before it with ir_emit, then ir_replace_uses(n->graph, n->out[0], result) and
 * ir_remove(n).  Nodes made here are folded like imported ones, but their own
 * import function does not run. */
typedef struct status *op_import_fn(struct ir_node *n, int opset);

enum { OP_MANY = 1 << 20 }; /* max_in, max_out of operators with lists of operands */

struct op_info {
    const char *name;
    int since;             /* first opset whose form import understands */
    int min_in, max_in;    /* in canonical form */
    int min_out, max_out;
    unsigned traits;
    op_import_fn *import;
    op_shape_fn *shape;
    op_lower_fn *lower;
};

extern const struct op_info op_info[OP_COUNT];

/* Prototypes of every function that a row names.  A NULL in a row declares a
 * function that nobody defines or calls. */
#pragma push_macro("NULL")
#undef NULL
#define OPS_PASTE_(a, b) a##b
#define OPS_PASTE(a, b) OPS_PASTE_(a, b)
#define NULL OPS_PASTE(op_no_function_, __COUNTER__)
#define OP(name, since, min_in, max_in, min_out, max_out, traits, import, shape, lower) \
    op_import_fn import;                                                               \
    op_shape_fn shape;                                                                 \
    op_lower_fn lower;
#include "frontend/ops.def"
#undef OPS_PASTE
#undef OPS_PASTE_
#undef NULL
#pragma pop_macro("NULL")

enum ir_op op_from_name(const char *name); /* OP_NONE when unknown */

#endif /* HADMC_FRONTEND_OPS_H */
