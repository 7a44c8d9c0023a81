/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a device.json: every check of the door is here. */
#include <math.h>
#include <string.h>

#include "hal/device.h"
#include "support/json_door.h"

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
    static const char *const keys[] = {"device", "about", "figures", NULL};
    const json_t *list;

    RETURN_IF_FAIL(json_door_keys(at, file, keys));
    RETURN_IF_FAIL(json_door_text(at, file, "device", &out->name));
    RETURN_IF_FAIL(json_door_text(at, file, "about", &out->about));
    RETURN_IF_FAIL(json_door_array(at, file, "figures", 1, FIGURE_COUNT, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        RETURN_IF_FAIL(read_figure(at, json_array_get(list, i), i, out));
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
