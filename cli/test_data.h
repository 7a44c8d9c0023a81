/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of tensors in ONNX's layout: input_0.pb, input_1.pb ..., output_0.pb ... */
#ifndef HADMC_CLI_TEST_DATA_H
#define HADMC_CLI_TEST_DATA_H

#include "codegen/codegen.h"

struct named_tensor {
    const char *name; /* as the file says; "" if it does not */
    struct tensor value;
};

struct test_data {
    int n;
    struct named_tensor *at;
};

/* DIR/<kind>_0.pb, DIR/<kind>_1.pb ... up to the first that is missing; none of them
 * is fine, a missing folder is not. */
struct status *test_data_load(struct arena *a, const char *dir, const char *kind,
                              struct test_data *out);

/* One tensor per input of the bundle: by name when the files have names (a frozen
 * input is still among the files), by position otherwise. */
struct status *test_data_inputs(struct arena *a, const char *dir,
                                const struct bundle_meta *meta, struct tensor **out);

/* Inputs nobody gave: floats in [-1, 1] from a fixed sequence, zeros for the rest,
 * which are sound as indices. */
struct tensor *test_data_made_up(struct arena *a, const struct bundle_meta *meta);

#endif /* HADMC_CLI_TEST_DATA_H */
