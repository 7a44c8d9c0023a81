/* SPDX-License-Identifier: Apache-2.0 */
/* The graph: ONNX operators in one canonical form, with static shapes.
 *
 * A graph is a list of nodes in topological order; a node reads and defines
 * values; a value has one definition (a node, a graph input, or constant data).
 * Everything lives in the arena of its `struct compile`; removing a node unlinks
 * it, its memory stays readable.  Graphs have 10 to 2 000 nodes: linear search
 * is fine.
 *
 * Text form, reads back (ir_text.c; grammar in docs/ir.md):
 *
 *     graph keyword(%x: f32[1,1,8,8]) {
 *       %w = const f32[4,1,3,3] {...}
 *       %y = Conv(%x, %w) {pads=[1,1,1,1]} : f32[1,4,8,8] "conv1"
 *       return %y
 *     }
 */
#ifndef HADMC_FRONTEND_IR_H
#define HADMC_FRONTEND_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "frontend/ops.h"
#include "kernels/dtype.h"
#include "support/arena.h"
#include "support/status.h"
#include "support/text.h"

enum {
    IR_MAX_RANK = 8,
    IR_MAX_BODIES = 2,
    IR_SPARE_OPERANDS =
        16, /* in[i] and out[i] may be read up to here: NULL past n_in */
};

struct ir_graph;
struct ir_node;

struct ir_value {
    const char *name; /* ONNX name or made up; unique in the whole model */
    enum dtype dtype;
    int rank;
    int64_t dim[IR_MAX_RANK]; /* row-major; all >= 0 and known. Capacity if `dynamic` */
    bool dynamic;             /* size known only when running: dim is the capacity, and
                                 an int64_t[rank] of actual dims travels with the data */
    const void *data;         /* constant contents, dense row-major; NULL if computed */
    struct ir_node *def;      /* NULL for inputs and constants */
    int def_index;            /* which output of `def` */
    int n_uses;               /* operands of nodes plus graph outputs, this graph and
                                 bodies; kept by ir_* functions */
    bool is_input;            /* of a graph or of a body */
    int id;                   /* dense, unique in the compile; for side tables */
    bool made_up;             /* the name is not from the model */
    struct ir_value *replaced_by; /* after ir_replace_uses: who took its place */

    /* Set by the layout pass: this value is `origin` transposed by origin_perm
     * (dim[i] == origin->dim[origin_perm[i]]); NULL when stored as in the model. */
    const struct ir_value *origin;
    int origin_perm[IR_MAX_RANK];

    /* A sequence (ONNX SequenceOps) is a compile-time list of tensors. */
    bool is_sequence;
    int n_items;
    struct ir_value **items;
};

enum ir_attr_kind {
    ATTR_INT,
    ATTR_FLOAT,
    ATTR_STRING,
    ATTR_INTS,
    ATTR_FLOATS,
    ATTR_TENSOR,
    ATTR_STRINGS
};

struct ir_attr {
    const char *name;
    enum ir_attr_kind kind;
    int n; /* of ints, floats or strings */
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    const float *floats;
    const char *const *strings;
    struct ir_value *tensor; /* constant */
    struct ir_attr *next;
};

struct ir_node {
    enum ir_op op;
    const char *name; /* for people: ONNX node name, or its first output's */
    int onnx_index;   /* position in the model file, -1 if hadmcc made it */
    int n_in, n_out;
    struct ir_value **in;  /* NULL where an optional input is left out */
    struct ir_value **out; /* NULL where an optional output is left out */
    struct ir_attr *attrs;
    struct ir_graph *body[IR_MAX_BODIES]; /* If: then, else.  Loop: [0] */
    struct ir_graph *graph;               /* the one it stands in */
    struct ir_node *prev, *next;
    int cap_in;    /* room in `in` (ir_set_input) */
    bool on_codes; /* in floats that stand for codes, exactly
                      (form_integers) */
};

/* Control operators that the importer could not resolve.  Bodies read values of the
 * graphs around them.
 *
 *   If    in: cond (bool, one element).  Bodies have no inputs; output i of the node is
 *         output i of the body that runs; both have the same type.
 *   Loop  in: trips (i64, or NULL: no limit), cond (bool, or NULL: true), carried...
 *         body in: round (i64 [], from 0), cond (bool []), carried...
 *         body out: cond, carried..., rows...
 *         out: carried..., then each row stacked along a new first axis.  Runs while
 *         round < trips and cond.  Where cond can end it early a stacked output is
 *         `dynamic` with the constant trips as capacity.  A round reads what the round
 *         before carried: in and out of the body are different memory.
 *   A body's outputs may be constants, its own inputs, or values from outside. */
struct ir_graph {
    const char *name;
    struct compile *compile;
    struct ir_graph *outer; /* NULL for the model's own graph */
    struct ir_node *first, *last;
    int n_in, n_out;
    struct ir_value **in, **out;
    int cap_in, cap_out; /* room in the lists (ir_input, ir_output) */
};

/* What one run of the compiler shares: memory, numbering, options of passes. */
struct compile {
    struct arena *perm;     /* until the end */
    struct arena *scratch;  /* until the end of the current pass */
    int n_values;           /* next ir_value.id */
    const char *model_name; /* file name for messages */
    const char *producer;   /* ONNX producer, may be "" */
    int opset;              /* of the default domain */
    uint8_t model_sha256[32];
    struct text warnings; /* one line each, for the report */
    bool halves_stay;     /* weights are float16 behind a Cast that is not folded */
    bool narrow_weights;  /* the model had constants in 16 bits: weights that float16
                             holds exactly are stored so */
    bool islands_formed;  /* from now on DequantizeLinear of constants is folded */
    struct text left_in_floats; /* nodes between codes that have no integer form, and
                               why: one line each, for the report */
    struct text data_files;     /* external data that was read, relative to the model's
                                   folder, one line each */
    struct ir_names *names;     /* of all values, taken or once taken (ir.c) */
    struct mapped_file *files;  /* the model's, open until compile_destroy */
};

struct compile *compile_create(void);
void compile_destroy(struct compile *c);

/* ---- building and changing ------------------------------------------------ */

struct ir_graph *ir_graph_create(struct compile *c, const char *name);

/* A value with no definition yet.  `name` NULL makes one up; a taken name gets a
 * suffix only when it came from hadmcc itself (ONNX names are unique). */
struct ir_value *ir_value_create(struct compile *c, const char *name, enum dtype dtype,
                                 int rank, const int64_t *dim);
struct ir_value *ir_input(struct ir_graph *g, const char *name, enum dtype dtype,
                          int rank, const int64_t *dim);
void ir_output(struct ir_graph *g, struct ir_value *v);

/* Constants; `data` is copied unless it already is in c->perm (the _ref form). */
struct ir_value *ir_const(struct compile *c, const char *name, enum dtype dtype,
                          int rank, const int64_t *dim, const void *data);
struct ir_value *ir_const_ref(struct compile *c, const char *name, enum dtype dtype,
                              int rank, const int64_t *dim, const void *data);
struct ir_value *ir_const_i64s(struct compile *c, int n,
                               const int64_t *values);         /* [n] */
struct ir_value *ir_const_f32(struct compile *c, float value); /* [] */

/* A node with room for operands, appended at the end of g or put before `at`.
 * Operands are set with ir_set_input; outputs with ir_set_output or ir_new_output. */
struct ir_node *ir_node_create(struct ir_graph *g, struct ir_node *at, enum ir_op op,
                               const char *name, int n_in, int n_out);
void ir_set_input(struct ir_node *n, int i, struct ir_value *v); /* v may be NULL;
                                        the operand list grows when i is past its end */
void ir_set_output(struct ir_node *n, int i, struct ir_value *v);
/* A fresh value without type (shape inference sets it) as output i. */
struct ir_value *ir_new_output(struct ir_node *n, int i, const char *name);

/* One-output node with inferred shape, the common case inside passes.  `attr` is
 * a list in text form, e.g. "axis=1 keepdims=0 perm=[0,2,1]", or NULL. */
struct status *ir_emit(struct ir_graph *g, struct ir_node *before, enum ir_op op,
                       const char *name, int n_in, struct ir_value *const *in,
                       const char *attr, struct ir_value **out);

/* Gives v this name; whoever had it gets v's. */
void ir_rename(struct compile *c, struct ir_value *v, const char *name);

/* Runs the operator's shape function; checks the number of operands first. */
struct status *ir_infer(struct ir_node *n);

/* Every reader of `old` in g and its bodies, and g's outputs, get `by`.  Outputs of
 * a graph keep their names: `by` takes the name of the output it becomes; where it
 * cannot (it is an input, a constant or another output of the model's graph), an
 * Identity node is put at the end of g to carry the name. */
void ir_replace_uses(struct ir_graph *g, struct ir_value *old, struct ir_value *by);
/* ir_replace_uses would add an Identity: no gain in removing a node for it. */
bool ir_replace_needs_identity(const struct ir_graph *g, const struct ir_value *old,
                               const struct ir_value *by);
void ir_remove(struct ir_node *n); /* its outputs must be unused */

/* ---- asking ---------------------------------------------------------------- */

int64_t ir_count(const struct ir_value *v); /* elements; 1 for rank 0 */
/* Elements and bytes of a shape, both at most 2^46; false when larger or a
 * dim is negative: hostile shapes are refused before anything is multiplied. */
bool ir_shape_fits(enum dtype dtype, int rank, const int64_t *dim);
int64_t ir_bytes(const struct ir_value *v); /* elements * element size */
bool ir_same_shape(const struct ir_value *a, const struct ir_value *b);
bool ir_is_graph_output(const struct ir_graph *g, const struct ir_value *v);
/* False for DequantizeLinear while quantized islands are still spelled with it: folded,
 * their weights would be floats (form_integers.h). */
bool ir_may_fold(const struct ir_node *n);
/* The i-th input; NULL when left out or past the end, or for i < 0. */
struct ir_value *ir_in(const struct ir_node *n, int i);
/* Contents of a constant i64 or i32 tensor as i64 (perm memory); NULL if not constant.
 */
const int64_t *ir_const_ints(struct compile *c, const struct ir_value *v, int *n);
/* Scalar or one-element constant of any numeric type as double; false if not constant.
 */
bool ir_const_scalar(const struct ir_value *v, double *out);

const struct ir_attr *ir_attr(const struct ir_node *n, const char *name); /* or NULL */
int64_t ir_attr_int(const struct ir_node *n, const char *name, int64_t otherwise);
float ir_attr_float(const struct ir_node *n, const char *name, float otherwise);
const char *ir_attr_str(const struct ir_node *n, const char *name,
                        const char *otherwise);
/* NULL and *n = 0 when absent. */
const int64_t *ir_attr_ints(const struct ir_node *n, const char *name, int *n_ints);
const char *const *ir_attr_strings(const struct ir_node *n, const char *name,
                                   int *count);
void ir_set_attr_strings(struct ir_node *n, const char *name, int n_strings,
                         const char *const *v);
void ir_set_attr_int(struct ir_node *n, const char *name, int64_t value);
void ir_set_attr_float(struct ir_node *n, const char *name, float value);
void ir_set_attr_str(struct ir_node *n, const char *name, const char *value);
void ir_set_attr_ints(struct ir_node *n, const char *name, int n_ints,
                      const int64_t *v);
void ir_set_attr_floats(struct ir_node *n, const char *name, int n_floats,
                        const float *v);
void ir_set_attr_tensor(struct ir_node *n, const char *name, struct ir_value *constant);
void ir_remove_attr(struct ir_node *n, const char *name);
/* "axis=1 perm=[0,2,1] mode=\"linear\"" (ir_text.c). */
struct status *ir_parse_attrs(struct ir_node *n, const char *text);

/* "node 'conv1' (Conv, ONNX node 17)" in c->perm. */
const char *ir_node_label(const struct ir_node *n);
#define FAIL_AT(node, code, ...)                                                       \
    status_new((code), ir_node_label(node), __FILE__, __LINE__, __VA_ARGS__)

/* ---- text and checks (ir_text.c, verify.c) --------------------------------- */

enum { IR_TEXT_ALL_DATA = 1 }; /* print constants whole; otherwise the first 8 */

void ir_print(const struct ir_graph *g, int flags, struct text *out);
/* Hostile input allowed: every error names the line. */
struct status *ir_parse(struct compile *c, const char *text, size_t len,
                        struct ir_graph **out);
/* Every invariant above, and that shape inference agrees with the types.  INTERNAL:
 * a pass broke one.  ir_verify_as: the same with another code. */
struct status *ir_verify(const struct ir_graph *g);
struct status *ir_verify_as(const struct ir_graph *g, enum status_code code);

#endif /* HADMC_FRONTEND_IR_H */
