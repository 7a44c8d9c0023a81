/* SPDX-License-Identifier: Apache-2.0 */
/* Sensitivity tables: see sensitivity.h. */
#include "search/sensitivity.h"

#include <math.h>
#include <string.h>

#include "support/json_door.h"
#include "support/json_lines.h"
#include "support/name_map.h"

enum { FORMAT = 1 };

#define MAX_COST (INT64_C(1) << BITS_MAX_COST_LOG2)
#define MAX_KL   1e6

struct sensitivity *sensitivity_create(struct arena *a, int n_units, int n_levels)
{
    struct sensitivity *s = arena_new(a, struct sensitivity);

    *s = (struct sensitivity){
        .target = "",
        .n_units = n_units,
        .n_levels = n_levels,
        .levels = arena_new_array(a, struct sensitivity_level, n_levels),
        .names = arena_new_array(a, const char *, n_units),
        .kl = arena_new_array(a, double, n_units *n_levels),
        .ns = arena_new_array(a, int64_t, n_units *n_levels),
        .bytes = arena_new_array(a, int64_t, n_units *n_levels),
    };
    return s;
}

/* ---- costs ------------------------------------------------------------------------
 */

static int64_t bounded(double cost)
{
    return cost < (double)MAX_COST ? (int64_t)ceil(cost) : MAX_COST;
}

void sensitivity_model_costs(struct sensitivity *s, const struct device *d,
                             const struct unit *units)
{
    s->time_origin = COST_MODELLED;
    for (int i = 0; i < s->n_units; i++) {
        s->names[i] = units[i].name;
        for (int l = 0; l < s->n_levels; l++) {
            const struct sensitivity_level *level = &s->levels[l];
            const struct work w =
                unit_work(&units[i], level->weight_bits, level->activation_bits);
            const struct cost c = cost_of(d, &w);

            s->ns[i * s->n_levels + l] = bounded(c.time_ns);
            s->bytes[i * s->n_levels + l] = bounded((double)c.weight_bytes);
        }
    }
}

const int64_t *sensitivity_conversions(struct arena *a, const struct sensitivity *s,
                                       const struct device *d, const struct unit *units)
{
    const int n = s->n_levels;
    int64_t *out = arena_new_array(a, int64_t, s->n_units *n *n);

    for (int i = 1; i < s->n_units; i++)
        for (int from = 0; from < n; from++)
            for (int to = 0; to < n; to++)
                out[(i * n + from) * n + to] = bounded(cost_conversion_ns(
                    d, units[i].in_elements, s->levels[from].activation_bits,
                    s->levels[to].activation_bits));
    return out;
}

struct bits_problem sensitivity_problem(const struct sensitivity *s)
{
    return (struct bits_problem){
        .n_units = s->n_units,
        .n_levels = s->n_levels,
        .kl = s->kl,
        .ns = s->ns,
        .bytes = s->bytes,
        .max_ns = BITS_NO_BUDGET,
        .max_bytes = BITS_NO_BUDGET,
        .max_ram = BITS_NO_BUDGET,
    };
}

/* ---- writing ----------------------------------------------------------------------
 */

static json_t *levels_json(const struct sensitivity *s)
{
    json_t *list = json_array();

    for (int l = 0; l < s->n_levels; l++)
        json_array_append_new(
            list, json_pack("{s:i, s:i}", "weight_bits", s->levels[l].weight_bits,
                            "activation_bits", s->levels[l].activation_bits));
    return list;
}

static json_t *unit_json(const struct sensitivity *s, int i)
{
    json_t *kl = json_array(), *ns = json_array(), *bytes = json_array();

    for (int at = i * s->n_levels; at < (i + 1) * s->n_levels; at++) {
        json_array_append_new(kl,
                              isinf(s->kl[at]) ? json_null() : json_real(s->kl[at]));
        json_array_append_new(ns, json_integer(s->ns[at]));
        json_array_append_new(bytes, json_integer(s->bytes[at]));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "name", s->names[i], "kl", kl, "ns", ns,
                     "bytes", bytes);
}

void sensitivity_write(const struct sensitivity *s, struct text *out)
{
    json_t *units = json_array();

    for (int i = 0; i < s->n_units; i++)
        json_array_append_new(units, unit_json(s, i));

    json_t *file = json_pack(
        "{s:i, s:o, s:s, s:I, s:I, s:s, s:o, s:o}", "format", FORMAT, "model_sha256",
        json_lines_hash(s->model_sha256), "target", s->target, "samples",
        (json_int_t)s->samples, "seed", (json_int_t)s->seed, "time_origin",
        cost_origin_names[s->time_origin], "levels", levels_json(s), "units", units);

    json_lines_put(file, out);
    json_decref(file);
}

/* ---- reading ----------------------------------------------------------------------
 */

static struct status *read_level(const struct json_door *file, const json_t *object,
                                 int index, struct sensitivity_level *out)
{
    static const char *const keys[] = {"weight_bits", "activation_bits", NULL};
    struct json_door at = *file;
    int64_t weight_bits, activation_bits;

    at.where = arena_printf(at.arena, "level %d", index);
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    RETURN_IF_FAIL(json_door_integer(&at, object, keys[0], 1, 32, &weight_bits));
    RETURN_IF_FAIL(json_door_integer(&at, object, keys[1], 1, 32, &activation_bits));
    *out = (struct sensitivity_level){(int)weight_bits, (int)activation_bits};
    return OK;
}

static struct status *read_kl(const struct json_door *at, const json_t *object, int n,
                              double *out)
{
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(at, object, "kl", (size_t)n, (size_t)n, &list));
    for (int l = 0; l < n; l++) {
        const json_t *item = json_array_get(list, (size_t)l);

        out[l] = json_is_null(item) ? INFINITY : json_number_value(item);
        if (!json_is_null(item)
            && (!json_is_number(item) || !(out[l] >= 0 && out[l] <= MAX_KL)))
            return json_door_fail(at,
                                  "'kl' of level %d is neither null nor a number from"
                                  " 0 to %g",
                                  l, MAX_KL);
    }
    return OK;
}

static struct status *read_costs(const struct json_door *at, const json_t *object,
                                 const char *key, int n, int64_t *out)
{
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(at, object, key, (size_t)n, (size_t)n, &list));
    for (int l = 0; l < n; l++) {
        const json_t *item = json_array_get(list, (size_t)l);

        out[l] = json_integer_value(item);
        if (!json_is_integer(item) || out[l] < 0 || out[l] > MAX_COST)
            return json_door_fail(at,
                                  "'%s' of level %d is not a whole number from 0 to"
                                  " %lld",
                                  key, l, (long long)MAX_COST);
    }
    return OK;
}

static struct status *read_unit(const struct json_door *file, const json_t *object,
                                int i, struct name_map *names, struct sensitivity *s)
{
    static const char *const keys[] = {"name", "kl", "ns", "bytes", NULL};
    const int n = s->n_levels;
    struct json_door at = *file;

    at.where = arena_printf(at.arena, "unit %d", i);
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    RETURN_IF_FAIL(json_door_text(&at, object, "name", &s->names[i]));
    at.where = arena_printf(at.arena, "unit '%.80s'", s->names[i]);
    if (name_map_get(names, s->names[i]))
        return json_door_fail(&at, "is there twice");
    name_map_put(names, s->names[i], s);
    RETURN_IF_FAIL(read_kl(&at, object, n, s->kl + i * n));
    RETURN_IF_FAIL(read_costs(&at, object, "ns", n, s->ns + i * n));
    return read_costs(&at, object, "bytes", n, s->bytes + i * n);
}

static struct status *read_lists(const struct json_door *at, const json_t *file,
                                 struct sensitivity **out)
{
    const json_t *levels, *units;
    struct name_map names = {.arena = at->arena};

    RETURN_IF_FAIL(json_door_array(at, file, "levels", 1, BITS_MAX_LEVELS, &levels));
    RETURN_IF_FAIL(json_door_array(at, file, "units", 1, BITS_MAX_UNITS, &units));

    struct sensitivity *s = sensitivity_create(at->arena, (int)json_array_size(units),
                                               (int)json_array_size(levels));

    for (int l = 0; l < s->n_levels; l++)
        RETURN_IF_FAIL(
            read_level(at, json_array_get(levels, (size_t)l), l, &s->levels[l]));
    for (int i = 0; i < s->n_units; i++)
        RETURN_IF_FAIL(read_unit(at, json_array_get(units, (size_t)i), i, &names, s));
    *out = s;
    return OK;
}

static struct status *read_file(const struct json_door *at, const json_t *file,
                                struct sensitivity **out)
{
    static const char *const keys[] = {"format",  "model_sha256", "target",
                                       "samples", "seed",         "time_origin",
                                       "levels",  "units",        NULL};
    struct sensitivity *s;
    int64_t format;
    int origin;

    RETURN_IF_FAIL(json_door_integer(at, file, "format", FORMAT, FORMAT, &format));
    RETURN_IF_FAIL(json_door_keys(at, file, keys));
    RETURN_IF_FAIL(read_lists(at, file, &s));
    RETURN_IF_FAIL(json_door_hash(at, file, "model_sha256", s->model_sha256));
    RETURN_IF_FAIL(json_door_text(at, file, "target", &s->target));
    RETURN_IF_FAIL(json_door_integer(at, file, "samples", 0, INT64_MAX, &s->samples));
    RETURN_IF_FAIL(json_door_integer(at, file, "seed", 0, INT64_MAX, &s->seed));
    RETURN_IF_FAIL(json_door_word(at, file, "time_origin", cost_origin_names, &origin));
    s->time_origin = origin;
    *out = s;
    return OK;
}

struct status *sensitivity_parse(struct arena *a, const char *file, const void *bytes,
                                 size_t len, struct sensitivity **out)
{
    const struct json_door at = {.arena = a, .file = file};
    json_t *json;

    *out = NULL;
    RETURN_IF_FAIL(json_door_parse(&at, bytes, len, &json));

    struct status *s = read_file(&at, json, out);

    json_decref(json);
    return s;
}

struct status *sensitivity_read(struct arena *a, const char *path,
                                struct sensitivity **out)
{
    const struct json_door at = {.arena = a, .file = path};
    json_t *json;

    *out = NULL;
    RETURN_IF_FAIL(json_door_load(&at, &json));

    struct status *s = read_file(&at, json, out);

    json_decref(json);
    return s;
}
