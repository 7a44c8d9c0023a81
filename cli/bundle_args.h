/* SPDX-License-Identifier: Apache-2.0 */
/* What run, verify and bench share: a bundle, its inputs, how to run it here. */
#ifndef HADMC_CLI_BUNDLE_ARGS_H
#define HADMC_CLI_BUNDLE_ARGS_H

#include "codegen/codegen.h"

struct bundle_args {
    struct arena *arena;
    const char *folder;
    struct bundle_meta meta;
    struct tensor *inputs;
    struct run_options run;
};

/* Reads the bundle and its inputs; made up ones when `test_data` is NULL. */
struct status *bundle_args_load(struct arena *a, const char *verb, const char *folder,
                                const char *test_data, struct bundle_args *out);

#endif /* HADMC_CLI_BUNDLE_ARGS_H */
