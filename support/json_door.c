/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from outside: see json_door.h. */
#include "support/json_door.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/text.h"

struct status *json_door_fail(const struct json_door *at, const char *format, ...)
{
    va_list args;
    char words[1024];

    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return at->where ? FAIL(INVALID, "'%s': %s: %s", at->file, at->where, words)
                     : FAIL(INVALID, "'%s': %s", at->file, words);
}

/* ---- files ------------------------------------------------------------------ */

static struct status *check_parsed(const struct json_door *at, json_t *value,
                                   const json_error_t *why, json_t **out)
{
    *out = NULL;
    if (!value)
        return json_door_fail(at, "line %d: %s", why->line, why->text);
    if (!json_is_object(value)) {
        json_decref(value);
        return json_door_fail(at, "holds no JSON object");
    }
    *out = value;
    return OK;
}

struct status *json_door_parse(const struct json_door *at, const void *bytes,
                               size_t len, json_t **out)
{
    json_error_t why;

    return check_parsed(at, json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why), &why,
                        out);
}

struct status *json_door_load(const struct json_door *at, json_t **out)
{
    struct stat st;
    json_error_t why;

    *out = NULL;
    if (stat(at->file, &st) != 0)
        return FAIL(IO_ERROR, "cannot read '%s': %s", at->file, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return FAIL(IO_ERROR, "cannot read '%s': not a regular file", at->file);
    if (st.st_size > JSON_DOOR_MAX_BYTES)
        return json_door_fail(at, "has %lld bytes; at most %d are read",
                              (long long)st.st_size, JSON_DOOR_MAX_BYTES);
    return check_parsed(at, json_load_file(at->file, JSON_REJECT_DUPLICATES, &why),
                        &why, out);
}

/* ---- fields ----------------------------------------------------------------- */

/* "a, b or c" */
static const char *list_words(struct arena *a, const char *const *words)
{
    const char *list = "";

    for (int i = 0; words[i]; i++)
        list = arena_printf(a, "%s%s%s", list,
                            !i             ? ""
                            : words[i + 1] ? ", "
                                           : " or ",
                            words[i]);
    return list;
}

static bool is_among(const char *word, const char *const *words, int *out)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

struct status *json_door_keys(const struct json_door *at, const json_t *object,
                              const char *const *known)
{
    const char *key;
    json_t *value;
    int i;

    if (!json_is_object(object))
        return json_door_fail(at, "is not an object");
    json_object_foreach((json_t *)object, key, value) if (
        !is_among(key, known,
                  &i)) return json_door_fail(at, "unknown key '%.80s'; it may be %s",
                                             key, list_words(at->arena, known));
    return OK;
}

/* What a value looks like, short enough for a message. */
static const char *shown(const struct json_door *at, const json_t *value)
{
    if (!value)
        return "missing";

    char *text = json_is_object(value) ? strdup("an object")
                 : json_is_array(value)
                     ? strdup("a list")
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    const char *copy =
        arena_strndup(at->arena, text ? text : "?", strnlen(text ? text : "?", 60));

    free(text);
    return copy;
}

struct status *json_door_text(const struct json_door *at, const json_t *object,
                              const char *key, const char **out)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return json_door_fail(at, "'%s' is %s, not a text", key, shown(at, value));
    *out = arena_strdup(at->arena, json_string_value(value));
    return OK;
}

struct status *json_door_integer(const struct json_door *at, const json_t *object,
                                 const char *key, int64_t least, int64_t most,
                                 int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    const json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < least || n > most)
        return json_door_fail(at, "'%s' is %s, not a whole number from %lld to %lld",
                              key, shown(at, value), (long long)least, (long long)most);
    *out = n;
    return OK;
}

struct status *json_door_real(const struct json_door *at, const json_t *object,
                              const char *key, double least, double most, double *out)
{
    const json_t *value = json_object_get(object, key);
    const double x = json_number_value(value);

    if (!json_is_number(value) || !(x >= least && x <= most))
        return json_door_fail(at, "'%s' is %s, not a number from %.9g to %.9g", key,
                              shown(at, value), least, most);
    *out = x;
    return OK;
}

struct status *json_door_array(const struct json_door *at, const json_t *object,
                               const char *key, size_t least, size_t most,
                               const json_t **out)
{
    const json_t *value = json_object_get(object, key);
    const size_t n = json_array_size(value);

    if (!json_is_array(value))
        return json_door_fail(at, "'%s' is %s, not a list", key, shown(at, value));
    if (n < least || n > most)
        return json_door_fail(at, "'%s' has %zu entries, not %zu to %zu", key, n, least,
                              most);
    *out = value;
    return OK;
}

struct status *json_door_word(const struct json_door *at, const json_t *object,
                              const char *key, const char *const *words, int *out)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value) || !is_among(json_string_value(value), words, out))
        return json_door_fail(at, "'%s' is %s; it may be %s", key, shown(at, value),
                              list_words(at->arena, words));
    return OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct status *json_door_hash(const struct json_door *at, const json_t *object,
                              const char *key, uint8_t out[32])
{
    const char *hex;
    bool valid;

    RETURN_IF_FAIL(json_door_text(at, object, key, &hex));
    valid = strlen(hex) == 64;
    for (int i = 0; valid && i < 32; i++) {
        const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

        valid = high >= 0 && low >= 0;
        out[i] = (uint8_t)(valid ? 16 * high + low : 0);
    }
    return valid ? OK : json_door_fail(at, "'%s' is not 64 digits 0-9 and a-f", key);
}

const char *json_door_plain(struct arena *a, const char *words)
{
    json_t *whole = json_string(words ? words : "");
    char *copy = arena_strdup(a, words ? words : "");

    for (char *p = copy; !whole && *p; p++)
        if (*p & 0x80)
            *p = '?';
    json_decref(whole);
    return copy;
}
