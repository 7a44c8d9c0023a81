/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX file -> graph.  Everything in the file is hostile until this has returned. */
#ifndef HADMC_FRONTEND_ONNX_IMPORT_H
#define HADMC_FRONTEND_ONNX_IMPORT_H

#include "frontend/interpret.h"
#include "frontend/ir.h"

/* --io INPUT=...: how the caller has an input.  The model gets (x - mean) * (1 / std);
 * n_mean and n_std are 0 (neither), 1 or the number of channels. */
struct onnx_io {
    const char *input;
    enum dtype dtype;
    bool channels_last; /* [N, H, W, C] for the model's [N, C, H, W] */
    int n_mean, n_std;
    const float *mean, *std;
};

struct onnx_options {
    /* --batch: of inputs, the first dimension where it is open or 1, and all of its name;
     * 0: as the file has it. */
    int64_t batch;
    int n_dims; /* --dim NAME=VALUE */
    struct { const char *name; int64_t value; } dim[64];
    int n_shapes; /* --shape INPUT=1x3x224x224 */
    struct { const char *input; int rank; int64_t dim[IR_MAX_RANK]; } shape[64];
    int n_freezes; /* --freeze INPUT=...: the input becomes a constant */
    struct { const char *input; struct tensor value; } freeze[64];
    int n_ios;
    struct onnx_io io[64];
};

/* One thing that keeps a model from compiling. */
struct onnx_problem {
    const char *node;   /* name, or "" for the file itself */
    const char *op;
    int index;          /* position in the file */
    int opset;
    const char *dtype;  /* of the first input, or "" */
    const char *reason;
};

struct onnx_problems {
    int n, cap;
    struct onnx_problem *at;
};

/* Reads, checks, inlines functions, pins dims, freezes, brings every node into
 * canonical form, infers shapes and folds constants.  With `problems`, goes on
 * after an unsupported node and lists all of them (the returned status says how
 * many); without, stops at the first. */
struct status *onnx_import(struct compile *c, const char *path,
                           const struct onnx_options *options,
                           struct onnx_problems *problems, struct ir_graph **out);
/* Same from memory; external data is looked up below `folder` (NULL: refused). */
struct status *onnx_import_bytes(struct compile *c, const void *bytes, size_t len,
                                 const char *folder, const struct onnx_options *options,
                                 struct onnx_problems *problems, struct ir_graph **out);

/* Operators that the importer resolves, beside those of ops.def: the i-th name in
 * alphabetical order, NULL behind the last. */
const char *onnx_structural_name(int i);

/* ONNX names of the model's inputs in file order, without those that are
 * initializers: the order of input_0.pb, input_1.pb, ...  At most `max`; 0 when the
 * file cannot be read. */
int onnx_input_names(struct arena *a, const char *path, const char **names, int max);

/* A TensorProto file (input_0.pb) in `a`. */
struct status *onnx_read_tensor_file(struct arena *a, const char *path,
                                     struct tensor *out);
struct status *onnx_write_tensor_file(const char *path, const char *name,
                                      const struct tensor *t);

/* One folder of test data.  Tensors have the names of the graph's inputs and outputs:
 * item k of a sequence S is "S.k".  How long the model's sequences are, and whether
 * an optional input has contents, is said by dimensions "S.length" (onnx_options.dim)
 * that the importer needs where the model has sequences as inputs. */
struct onnx_data {
    int n, cap;
    struct onnx_data_tensor {
        const char *name;
        struct tensor value;
    } *at;
    int n_lengths, cap_lengths;
    struct onnx_data_length {
        const char *name; /* "S.length" */
        int64_t value;
    } *lengths;
};

/* DIR/<kind>_0.pb, DIR/<kind>_1.pb, ... where kind is "input", "output" or another
 * prefix of outputs.  Tensors, sequences and optionals, as the model declares them. */
struct status *onnx_read_data(struct arena *a, const char *model_path, const char *dir,
                              const char *kind, struct onnx_data *out);

#endif /* HADMC_FRONTEND_ONNX_IMPORT_H */
