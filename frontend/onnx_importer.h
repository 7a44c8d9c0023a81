/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the importer share: onnx_import.c (model, outputs), onnx_inputs.c,
 * onnx_door.c, onnx_node.c (one operator), onnx_control.c (If, Loop, Scan), onnx_sequence.c.
 * Nobody else includes this. */
#ifndef HADMC_FRONTEND_ONNX_IMPORTER_H
#define HADMC_FRONTEND_ONNX_IMPORTER_H

#include "frontend/onnx_import.h"
#include "frontend/onnx_wire.h"
#include "support/name_map.h"

enum {
    NEWEST_OPSET = 21,
    MAX_CALL_DEPTH = 48,        /* functions and bodies in each other */
    MAX_NODES = 1 << 17,        /* imported in all, after inlining and unrolling */
    MAX_SEQUENCE = 4096,        /* tensors */
    MAX_ATTRS = 256,            /* of one node */
    MAX_FOLD_BYTES = 128 << 20, /* of one folded result ... */
};

#define MAX_FOLD_TOTAL ((int64_t)512 << 20) /* ... and of all of them */
#define MAX_MEMORY     ((size_t)1 << 30)    /* of the compile, besides 8 x the file */

struct importer {
    struct compile *c;
    const struct onnx_model *model;
    const struct onnx_options *options;
    const char *folder;
    struct onnx_problems *problems; /* NULL: stop at the first */
    int n_problems;
    struct name_map functions;      /* "domain:name:overload" -> onnx_function */
    struct name_map symbols;        /* dimension name -> int64_t * */
    struct name_map batched;        /* those that --batch says */
    int top_index;                  /* node of the model's graph in progress */
    int n_nodes;                    /* imported so far */
    int depth;
    int64_t folded_bytes;
    size_t max_memory;              /* of c->perm: files must not be bombs */
    struct interpretation io;       /* for folding; all entries empty between uses */
    int io_cap;
};

/* Where names mean something: the model's graph, a body, or a function's inside. */
struct scope {
    struct importer *im;
    struct scope *outer;            /* names are looked up there too; NULL: a wall */
    struct ir_graph *g;             /* where nodes go */
    const struct wire_list *opset;
    struct name_map names;          /* -> struct ir_value */
    struct name_map initializers;   /* not loaded yet -> onnx_tensor */
    struct name_map sparse;         /* -> onnx_sparse_tensor */
    const struct name_map *bindings; /* attributes of the function: -> onnx_attr */
    struct name_map needed;         /* names somebody reads */
    const char *prefix;             /* of the names of values made here */
};

/* Stand for a value that is missing for a reported reason, for an operand of a
 * function that the caller left out, and for an optional without contents. */
extern struct ir_value onnx_unknown, onnx_absent, onnx_nothing;

/* One node in progress. */
struct site {
    struct scope *scope;
    const struct onnx_node *node;
    int opset;         /* version of the node's domain */
    const char *name;  /* of the node, for people */
    const char *label; /* "node 'conv1' (Conv, ONNX node 17)" */
};

#define FAIL_SITE(site, code, ...)                                                     \
    status_new((code), (site)->label, __FILE__, __LINE__, __VA_ARGS__)

/* ---- onnx_import.c: scopes and graphs -------------------------------------------- */

struct scope scope_create(struct importer *im, struct scope *outer, struct ir_graph *g,
                          const char *prefix);
struct status *scope_define(struct scope *s, const char *name, struct ir_value *v);
/* The value called `name`; loads initializers. */
struct status *scope_look_up(struct scope *s, const char *name, struct ir_value **out);
void scope_need(struct scope *s, const char *name);
bool scope_needs(const struct scope *s, const char *name);

/* The nodes on which a needed name depends, in order. */
struct status *import_nodes(struct scope *s, const struct wire_list *nodes);
/* Nodes and initializers of a body; its inputs are defined already.  out[i] gets the
 * value of output i. */
struct status *import_body(struct scope *s, const struct onnx_graph *g,
                           struct ir_value **out);
/* Through the chain of replacements to the value that stands now. */
struct ir_value *current(struct ir_value *v);

/* ---- onnx_inputs.c ------------------------------------------------------------------ */

/* What an input or output is: a tensor, or a sequence of such tensors. */
struct port {
    const struct onnx_tensor_type *tensor; /* NULL: something else */
    bool sequence, optional;
};

struct port port_of(const struct onnx_value_info *info);
/* The model's inputs, with the options that fix their shapes. */
struct status *import_inputs(struct scope *s, const struct onnx_graph *g);
/* "seq.3": the tensor that item 3 of a sequence at the model's border becomes. */
const char *onnx_item_name(struct arena *a, const char *name, int i);

/* ---- onnx_door.c --------------------------------------------------------------------- */

/* The input `name` of the model, of this type; with --io behind what converts it. */
struct status *import_door(struct scope *s, const char *name, enum dtype dtype, int rank,
                           const int64_t *dim, struct ir_value **out);

/* ---- onnx_node.c: one operator ------------------------------------------------------ */

struct status *import_node(struct scope *s, const struct onnx_node *n);

int site_n_in(const struct site *at);
int site_n_out(const struct site *at);
/* NULL when left out or past the end. */
struct status *site_in(const struct site *at, int i, struct ir_value **out);
/* "" when left out, past the end or read by nobody. */
const char *site_out(const struct site *at, int i);
struct status *site_define(const struct site *at, int i, struct ir_value *v);
/* NULL when absent; references to attributes of the function are resolved. */
const struct onnx_attr *site_attr(const struct site *at, const char *name);
int64_t site_attr_int(const struct site *at, const char *name, int64_t otherwise);

/* A node in ONNX's newest form, made for an operator of the model: brought into
 * canonical form, shaped and folded. */
struct status *site_emit(const struct site *at, enum ir_op op, int n_in,
                         struct ir_value *const *in, const char *attr,
                         struct ir_value **out);
/* Shapes (where `n` is not NULL) and folds every node after `mark`. */
struct status *finish_nodes(struct importer *im, struct ir_graph *g, struct ir_node *mark,
                            struct ir_node *n);

/* A constant with contents already in c->perm. */
struct ir_value *constant_of(const struct site *at, const char *name,
                             const struct tensor *t);

/* ---- onnx_control.c, onnx_sequence.c ------------------------------------------------- */

/* A list of tensors; it stands in scopes only, never in the graph. */
struct ir_value *sequence_of(struct arena *a, int n, struct ir_value *const *items);

typedef struct status *site_fn(const struct site *at);

site_fn import_If, import_Loop, import_Scan;
site_fn import_SequenceConstruct, import_SequenceEmpty, import_SequenceInsert,
    import_SequenceErase, import_SequenceAt, import_SequenceLength, import_SequenceMap,
    import_SplitToSequence, import_ConcatFromSequence, import_Optional,
    import_OptionalHasElement, import_OptionalGetElement;

#endif /* HADMC_FRONTEND_ONNX_IMPORTER_H */
