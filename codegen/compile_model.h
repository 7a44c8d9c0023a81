/* SPDX-License-Identifier: Apache-2.0 */
/* The whole way from an ONNX file to a bundle, in one call: what the command line
 * and the conformance tests share. */
#ifndef HADMC_CODEGEN_COMPILE_MODEL_H
#define HADMC_CODEGEN_COMPILE_MODEL_H

#include "codegen/codegen.h"
#include "frontend/onnx_import.h"
#include "frontend/pass.h"
#include "plan/plan.h"

struct compile_options {
    const char *target; /* name */
    const char *cpu;    /* NULL: the target's default */
    const char *device; /* file: costs are those of this device.json, not the
                           target's; or NULL */
    const char *folder; /* of the bundle; NULL: <model>.<target> */
    const char *prefix; /* NULL: from the model's file name */
    struct onnx_options onnx;
    struct pass_options passes;
    enum emit_kind kind;
    bool embed;
    bool keep_all;   /* every tensor of the graph stays in memory, as an output:
                        for comparing layer by layer */
    int max_workers; /* 0 counts as 1 */
    bool limits_fusion; /* every unit is fused as `fusion` says; without it and without
                           a plan with all that follows it */
    enum plan_pattern fusion;
    const struct plan_update *update; /* for the plan; NULL: as plan_float has it */
    const char *command_options; /* recorded in the bundle; no paths */
    /* Compresses the graph after the passes, which then run once more; or NULL. */
    struct status *(*compress)(struct compile *c, struct ir_graph *g, void *arg);
    void *compress_arg;
    const struct compression *compression; /* for the reports, or NULL */
    struct plan *const *plan; /* what `compress` has decided, set by it; or NULL */
};

/* "runs/resnet8.onnx" -> "resnet8"; "…/keyword/model.onnx" -> "keyword". */
const char *model_short_name(struct arena *a, const char *path);

/* Import and passes: the graph as the code generator takes it.  `isa` NULL: as the
 * C output takes it (no layout change). */
struct status *compile_graph(struct compile *c, const char *path,
                             const struct compile_options *o, const struct isa *isa,
                             struct ir_graph **out);

/* UNSUPPORTED: hadmcc does not write that for this target; the message has what it
 * does.  compile_model checks it too, after the work that callers may do before. */
struct status *compile_check_kind(const struct target *t, enum emit_kind kind);

/* IO_ERROR: the bundle of `path` cannot be written where it is to lie.  compile_model
 * checks that as late. */
struct status *compile_check_folder(const char *path, const struct compile_options *o);

struct status *compile_model(const char *path, const struct compile_options *o);

#endif /* HADMC_CODEGEN_COMPILE_MODEL_H */
