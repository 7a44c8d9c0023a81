/* SPDX-License-Identifier: Apache-2.0 */
/* Layer by layer: a second variant of a bundle that keeps every tensor, compared with
 * the reference interpreter. */
#ifndef HADMC_CLI_LAYERS_H
#define HADMC_CLI_LAYERS_H

#include "cli/bundle_args.h"

/* Compiles `model` as `b` was compiled, but with every tensor kept; runs it on the
 * same inputs; prints one line per tensor and names the first node that differs.
 * `shipped` is what the bundle itself computed: the variant must give the same
 * outputs, or it would prove nothing about the bundle. */
struct status *layers_compare(const struct bundle_args *b, const char *model,
                              const char *test_data, const struct run_result *shipped);

#endif /* HADMC_CLI_LAYERS_H */
