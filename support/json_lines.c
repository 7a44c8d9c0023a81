/* SPDX-License-Identifier: Apache-2.0 */
/* JSON with a line per object: see json_lines.h. */
#include "support/json_lines.h"

#include <stdio.h>
#include <stdlib.h>

enum { DIGITS = 9 };

static void put_value(const json_t *value, struct text *out)
{
    char *words = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS));

    text_puts(out, words);
    free(words);
}

static void put_objects(const json_t *list, struct text *out)
{
    size_t i;
    json_t *item;

    text_puts(out, "[");
    json_array_foreach((json_t *)list, i, item)
    {
        text_puts(out, i ? ",\n    " : "\n    ");
        put_value(item, out);
    }
    text_puts(out, "\n  ]");
}

void json_lines_put(const json_t *object, struct text *out)
{
    const char *key, *before = "{";
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        text_printf(out, "%s\n  \"%s\": ", before, key);
        if (json_is_object(json_array_get(value, 0)))
            put_objects(value, out);
        else
            put_value(value, out);
        before = ",";
    }
    text_puts(out, "\n}\n");
}

json_t *json_lines_hash(const uint8_t hash[32])
{
    char hex[65];

    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return json_string(hex);
}
