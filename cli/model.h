/* SPDX-License-Identifier: Apache-2.0 */
/* A model as the command line describes it: file, pinned dimensions, frozen inputs. */
#ifndef HADMC_CLI_MODEL_H
#define HADMC_CLI_MODEL_H

#include "cli/option.h"
#include "codegen/codegen.h"
#include "frontend/onnx_import.h"

/* The options of model.def; the texts are kept by reference. */
struct model_options {
    const struct text_list *dim, *shape, *freeze, *io;
    const char *freeze_from;
};

/* What `args` of a verb with the options of model.def asks for. */
#define MODEL_OPTIONS(args)                                                            \
    ((struct model_options){&(args)->dim, &(args)->shape, &(args)->freeze,             \
                            &(args)->io, (args)->freeze_from})

/* BAD_USAGE for texts that are not what model.def says.  With freeze_from,
 * short flat inputs are frozen from there, and only those without which `path` cannot
 * be imported. */
struct status *model_parse_options(struct arena *a, const char *path,
                                   const struct model_options *o,
                                   struct onnx_options *out);

/* Parses and imports; `problems` as in onnx_import. */
struct status *model_import(struct compile *c, const char *path,
                            const struct model_options *o,
                            struct onnx_problems *problems, struct ir_graph **out);

/* Freezes the inputs of `path` that `meta` does not have, from DIR/input_i.pb, and
 * pins the others to the shapes of the bundle. */
struct status *model_options_of_bundle(struct arena *a, const char *path,
                                       const char *dir, const struct bundle_meta *meta,
                                       struct onnx_options *out);

#endif /* HADMC_CLI_MODEL_H */
