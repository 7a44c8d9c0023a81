/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a device.json, every check of the door is here; and writes one. */
#include <math.h>
#include <string.h>

#include "hal/device.h"
#include "support/json_door.h"
#include "support/json_lines.h"

enum { MIN_SOURCE = 20 }; /* a shorter text names no document and no measurement */

static const struct {
    const char *name, *unit;
    double least, most;
} figures[] = {
#define FIGURE(id, name, unit, least, most, about) {name, unit, least, most},
#include "hal/figures.def"
};

static const char *const figure_names[] = {
#define FIGURE(id, name, unit, ...) name,
#include "hal/figures.def"
    NULL,
};

static const char *const origins[] = {
    [FIGURE_DATASHEET] = "datasheet",
    [FIGURE_COMPUTED] = "computed",
    [FIGURE_MEASURED] = "measured",
    NULL,
};

const char *figure_name(enum figure_id id)
{
    return figures[id].name;
}

const char *figure_origin_name(enum figure_origin origin)
{
    return origins[origin];
}

/* The unit itself, or "UNIT per ...". */
static bool has_unit(const char *text, const char *unit)
{
    const size_t n = strlen(unit);

    return strncmp(text, unit, n) == 0
           && (text[n] == '\0' || strncmp(text + n, " per ", 5) == 0);
}

static struct status *read_fields(const struct json_door *at, const json_t *object,
                                  int id, struct figure *out)
{
    static const char *const keys[] = {"name",   "value",  "unit",
                                       "origin", "source", NULL};
    int origin;

    RETURN_IF_FAIL(json_door_keys(at, object, keys));
    RETURN_IF_FAIL(json_door_real(at, object, "value", figures[id].least,
                                  figures[id].most, &out->value));
    RETURN_IF_FAIL(json_door_text(at, object, "unit", &out->unit));
    RETURN_IF_FAIL(json_door_word(at, object, "origin", origins, &origin));
    RETURN_IF_FAIL(json_door_text(at, object, "source", &out->source));
    if (!has_unit(out->unit, figures[id].unit))
        return json_door_fail(at, "'unit' is '%.40s', not '%s'", out->unit,
                              figures[id].unit);
    if (strlen(out->source) < MIN_SOURCE)
        return json_door_fail(
            at, "'source' is '%s'; it names a document or a measurement", out->source);
    out->origin = origin;
    return OK;
}

static struct status *read_figure(const struct json_door *file, const json_t *object,
                                  size_t index, struct device *out)
{
    struct json_door at = *file;
    int id;

    at.where = arena_printf(at.arena, "figure %zu", index);
    if (!json_is_object(object))
        return json_door_fail(&at, "is not an object");
    RETURN_IF_FAIL(json_door_word(&at, object, "name", figure_names, &id));
    at.where = arena_printf(at.arena, "figure '%s'", figures[id].name);
    if (out->figures[id].value > 0)
        return json_door_fail(&at, "is stated twice");
    return read_fields(&at, object, id, &out->figures[id]);
}

/* ---- kernels ----------------------------------------------------------------- */

static const char *const axis_names[] = {
    [AXIS_CHANNELS] = "channels", [AXIS_DEPTH] = "depth", [AXIS_ROWS] = "rows"};

#define MAX_SIZE 1e13
#define MAX_NS   1e13

static struct status *read_reals(const struct json_door *at, const json_t *object,
                                 const char *key, size_t least, size_t most,
                                 double least_value, double most_value, int *n,
                                 double **out)
{
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(at, object, key, least, most, &list));
    *n = (int)json_array_size(list);
    *out = arena_new_array(at->arena, double, *n);
    for (int i = 0; i < *n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);

        (*out)[i] = json_number_value(item);
        if (!json_is_number(item)
            || !((*out)[i] >= least_value && (*out)[i] <= most_value))
            return json_door_fail(at, "'%s' has no number from %g to %g at place %d",
                                  key, least_value, most_value, i);
    }
    return OK;
}

static struct status *read_axis(const struct json_door *at, const json_t *object,
                                int axis, struct kernel_table *out)
{
    double *sizes;

    RETURN_IF_FAIL(read_reals(at, object, axis_names[axis], 1, DEVICE_MAX_POINTS, 1,
                              MAX_SIZE, &out->n[axis], &sizes));
    for (int i = 1; i < out->n[axis]; i++)
        if (!(sizes[i] > sizes[i - 1]))
            return json_door_fail(at, "'%s' does not rise at place %d",
                                  axis_names[axis], i);
    out->at[axis] = sizes;
    return OK;
}

static struct status *read_bits(const struct json_door *at, const json_t *object,
                                const char *key, int *out)
{
    int64_t bits;

    RETURN_IF_FAIL(json_door_integer(at, object, key, 1, 32, &bits));
    *out = (int)bits;
    return OK;
}

static struct status *read_weight_zeros(const struct json_door *at,
                                        const json_t *object, bool *out)
{
    const json_t *value = json_object_get(object, "weight_zeros");

    if (value && !json_is_boolean(value))
        return json_door_fail(at, "'weight_zeros' is neither true nor false");
    *out = json_is_true(value);
    return OK;
}

static struct status *read_kernels(const struct json_door *file, const json_t *object,
                                   size_t index, struct kernel_table *out)
{
    static const char *const keys[] = {"kind",         "weight_bits", "activation_bits",
                                       "weight_zeros", "channels",    "depth",
                                       "rows",         "ns",          NULL};
    struct json_door at = *file;
    size_t points = 1;
    int kind, n;

    at.where = arena_printf(at.arena, "kernels %zu", index);
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    RETURN_IF_FAIL(json_door_word(&at, object, "kind", work_kind_names, &kind));
    RETURN_IF_FAIL(read_bits(&at, object, "weight_bits", &out->weight_bits));
    RETURN_IF_FAIL(read_bits(&at, object, "activation_bits", &out->activation_bits));
    RETURN_IF_FAIL(read_weight_zeros(&at, object, &out->weight_zeros));
    out->kind = kind;
    for (int axis = 0; axis < TABLE_AXES; axis++) {
        RETURN_IF_FAIL(read_axis(&at, object, axis, out));
        points *= (size_t)out->n[axis];
    }
    RETURN_IF_FAIL(
        read_reals(&at, object, "ns", points, points, 1e-3, MAX_NS, &n, &out->ns));
    kernel_table_smooth(out);
    return OK;
}

static struct status *read_all_kernels(const struct json_door *at, const json_t *file,
                                       struct device *out)
{
    const json_t *list;

    if (!json_object_get(file, "kernels"))
        return OK;
    RETURN_IF_FAIL(json_door_array(at, file, "kernels", 0, DEVICE_MAX_KERNELS, &list));
    out->kernels = arena_new_array(at->arena, struct kernel_table,
                                   (int64_t)json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++)
        RETURN_IF_FAIL(read_kernels(at, json_array_get(list, i), i, &out->kernels[i]));
    out->n_kernels = (int)json_array_size(list);
    return OK;
}

/* ---- the file ---------------------------------------------------------------- */

/* Nothing that the cost model divides by may be missing. */
static struct status *check_costs(const struct json_door *at, const struct device *d)
{
    if (!device_has(d, PRECISION_F32))
        return json_door_fail(at,
                              "states neither '%s' nor '%s' and '%s': no time can be"
                              " modelled",
                              figure_name(FIGURE_F32_PEAK),
                              figure_name(FIGURE_F32_PER_CYCLE),
                              figure_name(FIGURE_CLOCK));
    if (d->figures[FIGURE_MEMORY_BANDWIDTH].value == 0)
        return json_door_fail(at, "does not state '%s': no time can be modelled",
                              figure_name(FIGURE_MEMORY_BANDWIDTH));
    return OK;
}

static struct status *read_device(const struct json_door *at, const json_t *file,
                                  struct device *out)
{
    static const char *const keys[] = {"device",  "about",   "code",
                                       "figures", "kernels", NULL};
    const json_t *list;

    RETURN_IF_FAIL(json_door_keys(at, file, keys));
    RETURN_IF_FAIL(json_door_text(at, file, "device", &out->name));
    RETURN_IF_FAIL(json_door_text(at, file, "about", &out->about));
    if (json_object_get(file, "code"))
        RETURN_IF_FAIL(json_door_text(at, file, "code", &out->code));
    RETURN_IF_FAIL(json_door_array(at, file, "figures", 1, FIGURE_COUNT, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        RETURN_IF_FAIL(read_figure(at, json_array_get(list, i), i, out));
    RETURN_IF_FAIL(read_all_kernels(at, file, out));
    return check_costs(at, out);
}

struct status *device_parse(struct arena *a, const char *what, const char *json,
                            size_t len, struct device *out)
{
    const struct json_door at = {.arena = a, .file = what};
    json_t *file;

    *out = (struct device){0};
    RETURN_IF_FAIL(json_door_parse(&at, json, len, &file));

    struct status *s = read_device(&at, file, out);

    json_decref(file);
    return s;
}

struct status *device_load(struct arena *a, const char *path, struct device *out)
{
    const struct json_door at = {.arena = a, .file = path};
    json_t *file;

    *out = (struct device){0};
    RETURN_IF_FAIL(json_door_load(&at, &file));

    struct status *s = read_device(&at, file, out);

    json_decref(file);
    return s;
}

/* ---- writing ----------------------------------------------------------------- */

static json_t *reals_json(const double *values, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(values[i]));
    return list;
}

static json_t *kernels_json(const struct kernel_table *t)
{
    json_t *o =
        json_pack("{s:s, s:i, s:i}", "kind", work_kind_names[t->kind], "weight_bits",
                  t->weight_bits, "activation_bits", t->activation_bits);

    if (t->weight_zeros)
        json_object_set_new(o, "weight_zeros", json_true());
    for (int axis = 0; axis < TABLE_AXES; axis++)
        json_object_set_new(o, axis_names[axis], reals_json(t->at[axis], t->n[axis]));
    json_object_set_new(o, "ns", reals_json(t->ns, t->n[0] * t->n[1] * t->n[2]));
    return o;
}

void device_write(const struct device *d, struct text *out)
{
    json_t *list = json_array(), *kernels = json_array();
    json_t *file = json_pack("{s:s, s:s}", "device", d->name, "about", d->about);

    if (d->code)
        json_object_set_new(file, "code", json_string(d->code));
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (d->figures[i].value > 0)
            json_array_append_new(list, json_pack("{s:s, s:f, s:s, s:s, s:s}", "name",
                                                  figures[i].name, "value",
                                                  d->figures[i].value, "unit",
                                                  d->figures[i].unit, "origin",
                                                  origins[d->figures[i].origin],
                                                  "source", d->figures[i].source));
    for (int i = 0; i < d->n_kernels; i++)
        json_array_append_new(kernels, kernels_json(&d->kernels[i]));
    json_object_set_new(file, "figures", list);
    json_object_set_new(file, "kernels", kernels);
    json_lines_put(file, out);
    json_decref(file);
}
