/* SPDX-License-Identifier: Apache-2.0 */
/* JSON files for people who read and compare them: a line per key, and in a list of
 * objects a line per object.
 *
 *     {
 *       "format": 1,
 *       "units": [
 *         {"name": "conv1", "weight_bits": 8},
 *         {"name": "conv2", "weight_bits": 4}
 *       ]
 *     }
 */
#ifndef HADMC_SUPPORT_JSON_LINES_H
#define HADMC_SUPPORT_JSON_LINES_H

#include <stdint.h>

#include <jansson.h>

#include "support/text.h"

/* `object` with its keys in the order in which they were set, numbers with 9 digits, so
 * that what is read from the text writes the same text. */
void json_lines_put(const json_t *object, struct text *out);

/* A SHA-256 as a text of 64 digits (read by json_door_hash). */
json_t *json_lines_hash(const uint8_t hash[32]);

#endif /* HADMC_SUPPORT_JSON_LINES_H */
