/* SPDX-License-Identifier: Apache-2.0 */
/* Program -> machine code or C, and the bundle folder around it. */
#ifndef HADMC_CODEGEN_CODEGEN_H
#define HADMC_CODEGEN_CODEGEN_H

#include "codegen/compression.h"
#include "codegen/program.h"
#include "codegen/target.h"
#include "frontend/interpret.h"
#include "runtime/hadm.h"

struct bytes {
    const void *at;
    size_t len;
};

/* Names under which a model appears in generated code. */
struct model_names {
    const char *prefix;       /* foo: C identifier, from the file name or --prefix */
    const char *upper;        /* FOO */
    const char *const *io;    /* one C identifier per input and output */
    const char *const *onnx;  /* the ONNX names behind them */
};
struct model_names *model_names_create(struct arena *a, const struct ir_graph *g,
                                       const char *prefix);

/* EMIT_PLAN: no code; the bundle is plan and report. */
enum emit_kind { EMIT_OBJECT, EMIT_LLVM, EMIT_ASM, EMIT_C, EMIT_PLAN };

extern const char *const emit_kind_names[]; /* by enum; ends with NULL */

/* The program is for a processor that the target resolves. */
static inline bool emit_is_machine_code(enum emit_kind kind)
{
    return kind < EMIT_C;
}

/* module.c: kernels of the program as one LLVM module, verified, optimised.
 * LLVM's own fatal errors end the process: call it in a child (child.h). */
struct status *module_emit(struct arena *a, const struct program *p,
                           const struct model_names *names, enum emit_kind kind,
                           struct bytes *out);
/* The same, and a bound on the stack that a step's function uses. */
struct status *module_emit_sized(struct arena *a, const struct program *p,
                                 const struct model_names *names, enum emit_kind kind,
                                 struct bytes *out, int64_t *stack_bytes);
/* glue.c: the API functions, the model descriptor and the runtime (embedded
 * bitcode) as an object file: what a C compiler would make of foo.c. */
struct status *glue_emit(struct arena *a, const struct program *p,
                         const struct model_names *names, const struct hadm_model *model,
                         struct bytes *out, int64_t *stack_bytes);
/* c_emit.c: foo_kernels.c. */
struct status *c_emit_kernels(const struct program *p, const struct model_names *names,
                              struct text *out);

/* weights_writer.c: header + payload, streamed to a file. */
struct weights_info {
    const uint8_t *structure_hash;
    const char *model_name, *target, *cpu, *options, *tool_version, *llvm_version;
    const uint8_t *model_sha256;
    int opset;
    uint64_t seed;
};
/* Bytes of the payload that code may read: whole tensors and readable_after, a
 * multiple of 64. */
int64_t weights_payload_bytes(const struct program *p);
struct status *weights_write(const char *path, const struct program *p,
                             const struct weights_info *info, uint64_t *n_bytes);

/* SHA-256 over everything the code assumes: steps, shapes, placement, ABI. */
void structure_hash(const struct program *p, uint8_t out[32]);

/* descriptor.c: what foo_open and foo_run have to know; the steps' `fn` is NULL, the
 * linker fills it in: step s is the function <prefix>_<s.name>. */
struct hadm_model *model_describe(struct arena *a, const struct program *p,
                                  uint64_t cpu_features);

struct bundle_options {
    const char *folder;       /* -o */
    const char *prefix;       /* NULL: from the model's file name */
    const char *model_path;   /* for the depfile and provenance */
    const struct target *target;
    struct isa isa;
    uint64_t cpu_features;
    enum emit_kind kind;
    bool embed;               /* weights inside the library */
    int max_workers;
    const struct plan *plan;     /* what compression decided; NULL: nothing */
    const struct compression *compression; /* what that cost, for reports; or NULL */
    const struct device *device; /* modelled costs in the report are its; or NULL */
    const char *command_options; /* as recorded in reports: no paths */
};

/* Writes the folder whole or not at all (temporary sibling, then rename; an older
 * bundle is exchanged).  `keep` may be NULL, or the keep_all program whose library
 * is written beside it for verify. */
struct status *bundle_write(struct compile *c, struct program *p,
                            const struct bundle_options *o);

/* IO_ERROR: bundle_write could not write to the folder.  It checks that too, after the
 * work that callers may do before. */
struct status *bundle_check_folder(const char *folder);

/* ---- running a bundle here (runner.c) --------------------------------------- */

/* What the runner relies on, so that one driver runs every model `foo`:
 *
 *   foo.report.json, an object with at least
 *     "format": 1, "prefix": "foo", "target": NAME, "cpu": NAME,
 *     "emit": one of emit_kind_names, "embed": BOOL,
 *     "workspace_bytes": N, "weights_bytes": N (of the file), "max_workers": N,
 *     "inputs": [{"name": ONNX NAME, "dtype": "f32", "dims": [1, 3]}, ...],
 *     "outputs": [the same with "dynamic": BOOL],
 *     "steps": [{"name": C NAME, "node": ONNX NAME, "covers": OPERATORS,
 *                "flops": N}, ...] in the order of hadm_model.steps
 *   foo_open(struct foo *, weights, len, workspace, workspace_len, flags)
 *   foo_use_workers(struct foo *, hadm_parallel_for *, void *pool, uint64_t n)
 *   foo_run(const struct foo *, const struct foo_in *, const struct foo_out *)
 *   struct foo      is a struct hadm_context after foo_open
 *   struct foo_in   one pointer per input, nothing else
 *   struct foo_out  one pointer per output, then one int64_t * per dynamic output
 *   foo_weights     with "embed": the bytes of foo.weights as an array
 *   libfoo.a        all of it, for "emit" obj, llvm and asm; with "c" the runner
 *                   compiles foo.c and foo_kernels.c with cc -std=c11
 */
struct bundle_io {       /* what the bundle's report says about its doors */
    const char *name;    /* ONNX name */
    enum dtype dtype;
    int rank;
    int64_t dim[IR_MAX_RANK];
    bool dynamic, is_output;
};

struct bundle_step {
    const char *name, *node, *covers;
    int64_t flops;
    int64_t modelled_ns; /* -1: no time is modelled */
};

struct bundle_meta {     /* from foo.report.json, checked */
    const char *prefix, *target, *cpu;
    enum emit_kind kind;
    bool embed;
    int64_t workspace_bytes, weights_bytes;
    int max_workers;
    int n_inputs, n_outputs;
    struct bundle_io *io; /* inputs, then outputs */
    int n_steps;
    struct bundle_step *steps;
    const char *modelled_for; /* the device of modelled_ns; "" */
    int64_t modelled_ns, modelled_nj; /* of all steps; -1: not modelled */
};

/* The report of the one bundle in `folder`: its only *.report.json. */
struct status *bundle_read_meta(struct arena *a, const char *folder,
                                struct bundle_meta *out);

struct run_options {
    int repeat;          /* timed runs after warm_up; 1 for verify and run */
    int warm_up;
    int n_workers;       /* 0 and 1: the calling thread */
    bool per_step;       /* time every step */
    bool all_cores;      /* sets of inputs side by side, a context a thread; times of
                            that mean nothing.  Native objects only */
    bool keep_workspace; /* give the workspace back as the last run left it */
    bool as_program;     /* a linked program instead of ORC: what peak memory means */
    int timeout_s;       /* 0: none */
    const struct target *target; /* target_find(meta->target): how to run it here */
};

struct run_result {
    struct tensor *outputs;  /* of the last run */
    double *wall_us;         /* [repeat] */
    double *cpu_us;
    double *step_us;         /* [n_steps] medians when per_step */
    int n_steps;
    const char **step_name;
    int64_t peak_rss_bytes;  /* of the program that ran it; 0 unless as_program or
                                emulated */
    double open_us;          /* foo_open, weights mapped */
    uint8_t *workspace;      /* [workspace_bytes] when keep_workspace */
    bool emulated;           /* times mean nothing */
};

/* INVALID unless `t` has the type and the number of elements of this input; its shape
 * may be another. */
struct status *bundle_check_input(const struct bundle_io *io, const struct tensor *t);

/* Runs the library of `folder` in a child process: natively through ORC, or as a
 * linked program under the target's emulator.  A crash becomes a status. */
struct status *bundle_run(struct arena *a, const char *folder,
                          const struct bundle_meta *meta, const struct tensor *inputs,
                          const struct run_options *o, struct run_result *out);

/* The same for `n_sets` sets of inputs in one process (data sets): inputs
 * [n_sets][n_inputs]; `out->outputs` is [n_sets][n_outputs], each set runs
 * `repeat` times. */
struct status *bundle_run_many(struct arena *a, const char *folder,
                               const struct bundle_meta *meta, int n_sets,
                               const struct tensor *inputs, const struct run_options *o,
                               struct run_result *out);

#endif /* HADMC_CODEGEN_CODEGEN_H */
