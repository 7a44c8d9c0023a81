/* SPDX-License-Identifier: Apache-2.0 */
/* JSON on stdout: two-space indent, keys in the order in which they were set. */
#ifndef HADMC_CLI_JSON_OUT_H
#define HADMC_CLI_JSON_OUT_H

#include <jansson.h>

#include "support/status.h"

/* Takes `value` over. */
struct status *json_out_print(json_t *value);

#endif /* HADMC_CLI_JSON_OUT_H */
