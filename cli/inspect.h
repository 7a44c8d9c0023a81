/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a file, as one JSON object each. */
#ifndef HADMC_CLI_INSPECT_H
#define HADMC_CLI_INSPECT_H

#include <jansson.h>

#include "cli/model.h"
#include "support/arena.h"
#include "support/status.h"

/* The file as it is, without the checks of an import: names, shapes, opsets, counts
 * of operators, bytes of parameters. */
struct status *inspect_onnx(struct arena *a, const char *path, json_t **out);

/* Header and payload of foo.weights, digests checked. */
struct status *inspect_weights(struct arena *a, const char *path, json_t **out);

/* foo.report.json and the sizes of the files around it. */
struct status *inspect_bundle(struct arena *a, const char *path, json_t **out);

/* A plan of compression; `out` NULL: printed as a table. */
struct status *inspect_decisions(struct arena *a, const char *path, json_t **out);

/* Units, fusions and groups of channels of a model as decisions find them; `out` NULL:
 * printed as tables. */
struct status *inspect_units(struct arena *a, const char *path,
                             const struct model_options *mo, json_t **out);

/* Prints the memory plan of a bundle. */
struct status *inspect_plan(struct arena *a, const char *folder);

#endif /* HADMC_CLI_INSPECT_H */
