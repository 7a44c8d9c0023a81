/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that build a program share.  program.c drives: build_*.c make tensors
 * and aliases, hot*.c recognise operators with an emitted kernel, control.c does If and
 * Loop, fuse_*.c join steps. */
#ifndef HADMC_CODEGEN_BUILDER_H
#define HADMC_CODEGEN_BUILDER_H

#include "codegen/program.h"

/* What becomes of one node of the graph. */
enum node_role {
    NODE_LIBRARY, /* the calls of lower_node */
    NODE_HOT,     /* an emitted kernel, ended by this node */
    NODE_COVERED, /* part of another node's kernel: emits nothing */
    NODE_ALIAS,   /* its output is (part of) its input's memory */
    NODE_CONCAT,  /* inputs are written into place where possible */
    NODE_CONTROL, /* If, Loop: steps with jumps */
};

struct hot; /* an emitted kernel: hot.h */

struct node_plan {
    const struct ir_node *node;
    enum node_role role;
    struct hot *hot;
};

struct builder {
    struct compile *compile;
    struct arena *arena; /* compile->perm */
    const struct ir_graph *graph;
    const struct isa *isa;
    bool keep_all;
    const struct plan *plan; /* or NULL */
    enum winograd_use winograd;
    struct program *program;
    struct node_plan *plans; /* of the nodes of `graph`, in order */
    int n_plans;
    int *tensor_of; /* by value id: tensor + 1, 0 when there is none yet */
    int *dims_of;   /* by value id: tensor + 1 of a dynamic value's dims */
    int cap_values;
    int *const_buckets; /* hash of contents -> first tensor + 1 */
    int *const_next;    /* by tensor: next with the same hash, + 1 */
    int n_buckets, cap_const_next;
    struct lives *lives; /* hot_scratch.c */
};

/* ---- program.c ---------------------------------------------------------- */

struct node_plan *build_plan_of(struct builder *b, const struct ir_node *n);
struct step *build_step(struct builder *b, enum step_kind kind,
                        const struct ir_node *n);
void build_operand(struct step *s, int tensor, int64_t offset, bool written);
void build_copy(struct builder *b, const struct ir_node *n, int from, int to,
                enum dtype dtype, int64_t count);
/* The calls of lower_node. */
struct status *build_library(struct builder *b, const struct ir_node *n);
/* The steps of every node of g, which may be a body. */
struct status *build_graph(struct builder *b, const struct ir_graph *g);

/* ---- nibbles.c ---------------------------------------------------------- */

/* The call, or if its constant weights fit into 4 bits, one that reads them two from a
 * byte: *buf is their buffer's number, otherwise -1. */
const struct kcall *nibbles_call(struct builder *b, const struct kcall *call, int *buf);
/* Such weights, the first of two in the low half of a byte. */
int nibbles_tensor(struct builder *b, const struct ir_value *v);

/* ---- build_tensors.c ---------------------------------------------------- */

/* The value's tensor; made when it is first asked for. */
int build_tensor(struct builder *b, const struct ir_value *v);
/* The actual dims of a dynamic value. */
int build_dims(struct builder *b, const struct ir_value *v);
int build_temp(struct builder *b, const char *name, int64_t bytes);
int build_const(struct builder *b, const char *name, const void *data, int64_t bytes,
                int readable_after);
/* One more for `v`, beside the one it may have. */
int build_new_tensor(struct builder *b, const struct ir_value *v, const char *name,
                     int64_t bytes);
/* Room in the tables for value `id`. */
void build_reserve(struct builder *b, int id);
/* Places the constants that steps read. */
void build_payload(struct program *p);

/* ---- build_views.c ------------------------------------------------------ */

/* `v` is part of the tensor `of`. */
void build_alias(struct builder *b, const struct ir_value *v, int of, int64_t offset);
/* `v` has memory of its own, with nothing else in it, that can be put elsewhere. */
bool build_owns_memory(struct builder *b, const struct ir_value *v, int *root);
bool build_is_view(const struct ir_node *n);
void build_view(struct builder *b, const struct ir_node *n);
bool build_can_place(const struct ir_node *concat);
struct status *build_concat(struct builder *b, const struct ir_node *n);

/* ---- control.c ---------------------------------------------------------- */

struct status *build_control(struct builder *b, const struct ir_node *n);

/* ---- hot.c -------------------------------------------------------------- */

/* Recognises `n` as an operator with an emitted kernel for b->isa; NULL if not. */
struct hot *hot_recognise(struct builder *b, const struct ir_node *n);
/* Takes the operators after `h` that its epilogue can do into it and marks them in
 * the plans.  Returns the last node. */
const struct ir_node *hot_extend(struct builder *b, struct hot *h);
void hot_step(struct builder *b, const struct hot *h);

/* ---- fuse_copy.c ------------------------------------------------------------- */

/* Strided copies that one step reads become part of it. */
void fuse_copies(struct builder *b);
void drop_dead_steps(struct builder *b);

/* ---- fuse_chain.c ------------------------------------------------------- */

/* One element operator as a chain of its own. */
struct chain *chain_of_call(struct arena *a, const struct kcall *call);
struct chain *chain_of_copy(struct arena *a, enum dtype dtype, int64_t count);
/* Joins STEP_CHAIN steps whose data flows from one to the next. */
void fuse_chains(struct builder *b);

/* ---- fuse_codes.c ------------------------------------------------------------ */

/* Step `s`, a chain from codes to codes, has an emitted kernel that is faster. */
bool fuse_codes_fits(const struct builder *b, const struct step *s);
/* All such chains become one. */
void fuse_codes(struct builder *b);
/* Before chains are joined: codes that a chain reads as floats, repeated, are
 * dequantized in it. */
void fuse_repeated_codes(struct builder *b);

#endif /* HADMC_CODEGEN_BUILDER_H */
