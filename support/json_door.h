/* SPDX-License-Identifier: Apache-2.0 */
/* The door for JSON files from outside: bytes become a checked json_t, fields become
 * C values in range, and every refusal names the file, the place in it, and what would
 * have been right.
 *
 *     struct json_door at = {arena, "keyword.plan.json", "unit 'conv1'"};
 *     RETURN_IF_FAIL(json_door_integer(&at, unit, "weight_bits", 1, 32, &bits));
 *
 *     'keyword.plan.json': unit 'conv1': 'weight_bits' is 77, not a whole number from
 *     1 to 32
 *
 * All errors are INVALID, except IO_ERROR where the file cannot be read.
 */
#ifndef HADMC_SUPPORT_JSON_DOOR_H
#define HADMC_SUPPORT_JSON_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "support/arena.h"
#include "support/status.h"

struct json_door {
    struct arena *arena; /* texts that are read are copied there */
    const char *file;    /* as messages name it */
    const char *where;   /* of the object that is read; NULL: the whole file */
};

enum { JSON_DOOR_MAX_BYTES = 1 << 28 };

/* One JSON object, without duplicate keys, names with NUL or trailing bytes; the
 * caller drops *out with json_decref. */
struct status *json_door_parse(const struct json_door *at, const void *bytes,
                               size_t len, json_t **out);
/* The same from the regular file at->file. */
struct status *json_door_load(const struct json_door *at, json_t **out);

/* A status that begins with the file and the place. */
struct status *json_door_fail(const struct json_door *at, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* `object` is one and has no keys beside these; `known` ends with NULL. */
struct status *json_door_keys(const struct json_door *at, const json_t *object,
                              const char *const *known);

/* Fields of `object`; a missing one is refused like a wrong one. */
struct status *json_door_text(const struct json_door *at, const json_t *object,
                              const char *key, const char **out);
struct status *json_door_integer(const struct json_door *at, const json_t *object,
                                 const char *key, int64_t least, int64_t most,
                                 int64_t *out);
struct status *json_door_real(const struct json_door *at, const json_t *object,
                              const char *key, double least, double most, double *out);
struct status *json_door_array(const struct json_door *at, const json_t *object,
                               const char *key, size_t least, size_t most,
                               const json_t **out);
/* One of `words` (ends with NULL); its index. */
struct status *json_door_word(const struct json_door *at, const json_t *object,
                              const char *key, const char *const *words, int *out);

/* A SHA-256 of 64 digits 0-9 and a-f. */
struct status *json_door_hash(const struct json_door *at, const json_t *object,
                              const char *key, uint8_t out[32]);

/* A text that may hold any bytes as JSON: UTF-8 stays, otherwise '?' takes the place of
 * every byte above 127. */
const char *json_door_plain(struct arena *a, const char *words);

#endif /* HADMC_SUPPORT_JSON_DOOR_H */
