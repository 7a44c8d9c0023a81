/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that keeps a model from compiling. */
#ifndef HADMC_CLI_PROBLEMS_H
#define HADMC_CLI_PROBLEMS_H

#include <stdio.h>

#include "frontend/onnx_import.h"

/* Imports `path` and looks for a kernel for every node.  Fails only when the file
 * cannot be read at all; what is wrong with nodes is in `out`. */
struct status *problems_find(struct compile *c, const char *path,
                             const struct onnx_options *o, struct onnx_problems *out);

void problems_print(const struct onnx_problems *p, FILE *to);

#endif /* HADMC_CLI_PROBLEMS_H */
