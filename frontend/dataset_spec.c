/* SPDX-License-Identifier: Apache-2.0 */
/* JSON -> struct dataset_spec, driven by one table of keys an object. */
#include "frontend/dataset_spec.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "frontend/dataset_formats.h"
#include "support/nearest.h"

enum { MAX_CLASSES = 1 << 20, MAX_CHANNELS = 1 << 16, MAX_KEYS = 32 };

/* Reads `value` of `key` into the field at `out`. */
typedef struct status *read_fn(struct arena *a, const char *key, const json_t *value,
                               void *out);

/* One key of an object; the table ends with a name of NULL. */
struct key {
    const char *name;
    read_fn *read;
    size_t offset; /* of its field in the struct that the object becomes */
};

/* ---- objects --------------------------------------------------------------------- */

static struct status *unknown_key(const char *what, const char *name,
                                  const struct key *keys)
{
    const char *names[MAX_KEYS + 1];
    struct text all = {0};
    int n = 0;

    for (; keys[n].name; n++) {
        names[n] = keys[n].name;
        text_printf(&all, "%s%s", n ? " " : "", names[n]);
    }
    names[n] = NULL;

    const char *near = nearest_word(name, names);
    struct status *s = near ? FAIL(INVALID, "%s has no key '%.60s'; did you mean '%s'?",
                                   what, name, near)
                            : FAIL(INVALID, "%s has no key '%.60s'; it knows %s", what,
                                   name, all.bytes);

    text_free(&all);
    return s;
}

static struct status *read_object(struct arena *a, const char *what,
                                  const json_t *object, const struct key *keys,
                                  void *out)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return FAIL(INVALID, "%s is not an object", what);
    json_object_foreach((json_t *)object, name, value)
    {
        const struct key *k = keys;

        while (k->name && strcmp(k->name, name) != 0)
            k++;
        if (!k->name)
            return unknown_key(what, name, keys);
        RETURN_IF_FAIL(k->read(a, name, value, (char *)out + k->offset));
    }
    return OK;
}

/* ---- values ---------------------------------------------------------------------- */

static struct status *read_text(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    const char *text = json_string_value(value);

    if (!text || !*text)
        return FAIL(INVALID, "'%s' is not a text", key);
    *(const char **)out = arena_strdup(a, text);
    return OK;
}

static struct status *read_ignored(struct arena *a, const char *key,
                                   const json_t *value, void *out)
{
    const char *text;

    (void)out;
    return read_text(a, key, value, &text);
}

static bool leaves_folder(const char *path)
{
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || !at[2]))
            return true;
    return *path == '/';
}

static struct status *read_path(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    RETURN_IF_FAIL(read_text(a, key, value, out));
    if (leaves_folder(*(const char **)out))
        return FAIL(INVALID, "'%s' is '%s', which is not below the set's folder", key,
                    *(const char **)out);
    return OK;
}

static struct status *read_whole(const char *key, const json_t *value, int64_t least,
                                 int64_t most, int64_t *out)
{
    const json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < least || n > most)
        return FAIL(INVALID, "'%s' is not a whole number between %lld and %lld", key,
                    (long long)least, (long long)most);
    *out = n;
    return OK;
}

static struct status *read_offset(struct arena *a, const char *key, const json_t *value,
                                  void *out)
{
    (void)a;
    return read_whole(key, value, -MAX_CLASSES, MAX_CLASSES, out);
}

static struct status *read_index(struct arena *a, const char *key, const json_t *value,
                                 void *out)
{
    (void)a;
    return read_whole(key, value, -1, MAX_CLASSES, out);
}

static struct status *read_count(struct arena *a, const char *key, const json_t *value,
                                 void *out)
{
    (void)a;
    return read_whole(key, value, 1, INT64_C(1) << 40, out);
}

static struct status *read_from_zero(struct arena *a, const char *key,
                                     const json_t *value, void *out)
{
    (void)a;
    return read_whole(key, value, 0, INT64_C(1) << 40, out);
}

static struct status *read_number(struct arena *a, const char *key, const json_t *value,
                                  void *out)
{
    const double x = json_number_value(value);

    (void)a;
    if (!json_is_number(value) || !isfinite(x))
        return FAIL(INVALID, "'%s' is not a number", key);
    *(double *)out = x;
    return OK;
}

static struct status *read_positive(struct arena *a, const char *key,
                                    const json_t *value, void *out)
{
    RETURN_IF_FAIL(read_number(a, key, value, out));
    if (*(double *)out < 0)
        return FAIL(INVALID, "'%s' is negative", key);
    return OK;
}

/* A number, or a fraction as a text: "1/255". */
static struct status *read_scale(struct arena *a, const char *key, const json_t *value,
                                 void *out)
{
    const char *text = json_string_value(value),
               *slash = text ? strchr(text, '/') : NULL;
    char *end;

    if (!text)
        return read_number(a, key, value, out);
    if (slash && slash != text && slash[1]) {
        const double above = strtod(text, &end);
        const bool good = end == slash;
        const double below = strtod(slash + 1, &end);

        if (good && !*end && isfinite(above / below)) {
            *(double *)out = above / below;
            return OK;
        }
    }
    return FAIL(INVALID, "'%s' is neither a number nor like \"1/255\"", key);
}

/* A number for all channels, or a list with one a channel. */
static struct status *read_numbers(struct arena *a, const char *key,
                                   const json_t *value, void *out)
{
    struct spec_numbers *to = out;
    const size_t n = json_is_array(value) ? json_array_size(value) : 1;

    if (n < 1 || n > MAX_CHANNELS)
        return FAIL(INVALID, "'%s' is not a number or a list of one a channel", key);

    double *at = arena_new_array(a, double, n);

    for (size_t i = 0; i < n; i++)
        RETURN_IF_FAIL(read_number(
            a, key, json_is_array(value) ? json_array_get(value, i) : value, &at[i]));
    *to = (struct spec_numbers){(int)n, at};
    return OK;
}

static struct status *read_std(struct arena *a, const char *key, const json_t *value,
                               void *out)
{
    const struct spec_numbers *to = out;

    RETURN_IF_FAIL(read_numbers(a, key, value, out));
    for (int i = 0; i < to->n; i++)
        if (!(to->at[i] > 0))
            return FAIL(INVALID, "'%s' holds a number that is not above 0", key);
    return OK;
}

/* [width, height], or one number: a square, or the shorter side. */
static struct status *read_sides(const char *key, const json_t *value, bool square,
                                 struct spec_size *out)
{
    if (json_is_integer(value)) {
        RETURN_IF_FAIL(read_whole(key, value, 1, IMAGE_MAX_SIDE, &out->width));
        out->height = square ? out->width : 0;
        return OK;
    }
    if (json_array_size(value) != 2)
        return FAIL(INVALID, "'%s' is neither a number nor [width, height]", key);
    RETURN_IF_FAIL(
        read_whole(key, json_array_get(value, 0), 1, IMAGE_MAX_SIDE, &out->width));
    return read_whole(key, json_array_get(value, 1), 1, IMAGE_MAX_SIDE, &out->height);
}

static struct status *read_resize(struct arena *a, const char *key, const json_t *value,
                                  void *out)
{
    (void)a;
    return read_sides(key, value, false, out);
}

static struct status *read_crop(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    (void)a;
    return read_sides(key, value, true, out);
}

/* ---- words ----------------------------------------------------------------------- */

/* The position of the text `value` in `words` (ends with NULL). */
static struct status *read_word(const char *key, const json_t *value,
                                const char *const *words, int *out)
{
    const char *text = json_string_value(value);
    struct text all = {0};

    for (int i = 0; words[i]; i++) {
        if (text && strcmp(text, words[i]) == 0) {
            text_free(&all);
            *out = i;
            return OK;
        }
        text_printf(&all, "%s%s", i ? ", " : "", words[i]);
    }

    struct status *s = FAIL(INVALID, "'%s' is none of %s", key, all.bytes);

    text_free(&all);
    return s;
}

/* A reader for an enum whose values are 0, 1, ... in the order of the words, from
 * `first` on. */
#define WORD_READER(name, type, first, ...)                                            \
    static struct status *name(struct arena *a, const char *key, const json_t *value,  \
                               void *out)                                              \
    {                                                                                  \
        static const char *const words[] = {__VA_ARGS__, NULL};                        \
        int i;                                                                         \
                                                                                       \
        (void)a;                                                                       \
        RETURN_IF_FAIL(read_word(key, value, words, &i));                              \
        *(type *)out = (type)(i + (first));                                            \
        return OK;                                                                     \
    }

WORD_READER(read_color, enum spec_color, COLOR_RGB, "rgb", "bgr", "gray")
WORD_READER(read_layout, enum spec_layout, LAYOUT_NCHW, "nchw", "nhwc")
WORD_READER(read_kind, enum dataset_decoder_kind, DATASET_GRID, "grid", "boxes")
WORD_READER(read_format, enum dataset_box_format, 0, "cxcywh", "xywh", "xyxy")
WORD_READER(read_squash, enum dataset_squash, 0, "linear", "sigmoid", "tanh")

static struct status *read_task(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    static const char *const words[] = {"none", "classify", "detect", "language", NULL};
    int i;

    RETURN_IF_FAIL(read_word(key, value, words, &i));
    return read_text(a, key, value, out);
}

/* ---- parts ----------------------------------------------------------------------- */

static struct status *read_classes(struct arena *a, const char *key,
                                   const json_t *value, void *out)
{
    struct dataset_spec *spec = out;

    if (json_is_string(value))
        return read_path(a, key, value, &spec->class_file);
    if (!json_is_array(value) || json_array_size(value) > MAX_CLASSES)
        return FAIL(INVALID, "'%s' is neither a list of names nor a file", key);

    const char **names = arena_new_array(a, const char *, json_array_size(value));

    spec->n_classes = (int64_t)json_array_size(value);
    spec->class_names = names;
    for (int64_t i = 0; i < spec->n_classes; i++)
        RETURN_IF_FAIL(read_text(a, key, json_array_get(value, (size_t)i), &names[i]));
    return OK;
}

static struct status *read_zeros(struct arena *a, const char *key, const json_t *value,
                                 void *out)
{
    struct dataset_spec *spec = out;

    if (!json_is_array(value) || json_array_size(value) > DATASET_MAX_INPUTS)
        return FAIL(INVALID, "'%s' is not a list of inputs", key);
    spec->n_zeros = (int)json_array_size(value);
    for (int i = 0; i < spec->n_zeros; i++)
        RETURN_IF_FAIL(
            read_text(a, key, json_array_get(value, (size_t)i), &spec->zeros[i]));
    return OK;
}

/* A file, or an object of one file an input. */
static struct status *read_samples(struct arena *a, const char *key,
                                   const json_t *value, void *out)
{
    struct spec_part *part = out;
    const char *name;
    json_t *file;

    part->n_samples = 0;
    if (!json_is_object(value)) {
        part->n_samples = 1;
        return read_path(a, key, value, &part->samples[0]);
    }
    if (json_object_size(value) > DATASET_MAX_INPUTS)
        return FAIL(INVALID, "'%s' has more than %d inputs", key, DATASET_MAX_INPUTS);
    json_object_foreach((json_t *)value, name, file)
    {
        part->input[part->n_samples] = arena_strdup(a, name);
        RETURN_IF_FAIL(read_path(a, key, file, &part->samples[part->n_samples++]));
    }
    return OK;
}

#define FIELD(type, field) offsetof(struct type, field)

static struct status *read_part(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    static const struct key keys[] = {
        {"samples", read_samples, 0},
        {"labels", read_path, FIELD(spec_part, labels)},
        {"boxes", read_path, FIELD(spec_part, boxes)},
        {"count", read_count, FIELD(spec_part, count)},
        {NULL, NULL, 0},
    };
    struct spec_part *part = out;

    RETURN_IF_FAIL(read_object(a, key, value, keys, part));
    if (!part->n_samples)
        return FAIL(INVALID, "'%s' has no samples", key);
    part->given = true;
    return OK;
}

static struct status *read_window(struct arena *a, const char *key, const json_t *value,
                                  void *out)
{
    static const struct key keys[] = {
        {"size", read_count, FIELD(spec_window, size)},
        {"step", read_count, FIELD(spec_window, step)},
        {"stride", read_count, FIELD(spec_window, stride)},
        {"context", read_from_zero, FIELD(spec_window, context)},
        {NULL, NULL, 0},
    };
    struct spec_window *w = out;

    RETURN_IF_FAIL(read_object(a, key, value, keys, w));
    if (!w->size)
        return FAIL(INVALID, "'%s' has no size", key);
    if (!w->stride)
        w->stride = 1;
    if (w->context >= w->size)
        return FAIL(INVALID, "'%s' has more context than its size", key);
    /* Each is at most 2^40, a product of two of them would not fit. */
    if (w->size > INT64_C(1) << 31 || w->stride > INT64_C(1) << 31)
        return FAIL(INVALID, "'%s' is too large", key);
    if (!w->step)
        w->step = (w->size - w->context) * w->stride;
    return OK;
}

static struct status *check_decoder(const struct dataset_decoder *d, const char *key)
{
    if (d->kind == DATASET_NO_DECODER)
        return FAIL(INVALID, "'%s' has no kind: \"grid\" or \"boxes\"", key);
    if (d->kind == DATASET_BOXES && (!d->boxes || !d->scores))
        return FAIL(INVALID, "'%s' of kind boxes names no output for boxes or scores",
                    key);
    if (d->kind == DATASET_GRID && (d->box < 0 || d->classes < 0))
        return FAIL(INVALID, "'%s' of kind grid lacks the channel of box or classes",
                    key);
    if (!(d->unit_x > 0) || !(d->unit_y > 0))
        return FAIL(INVALID, "'%s' has a unit of 0", key);
    return OK;
}

static struct status *read_unit(struct arena *a, const char *key, const json_t *value,
                                void *out)
{
    struct dataset_decoder *d = out;

    if (json_array_size(value) != 2)
        return FAIL(INVALID, "'%s' is not [width, height]", key);
    RETURN_IF_FAIL(read_positive(a, key, json_array_get(value, 0), &d->unit_x));
    return read_positive(a, key, json_array_get(value, 1), &d->unit_y);
}

static struct status *read_decoder(struct arena *a, const char *key,
                                   const json_t *value, void *out)
{
    static const struct key keys[] = {
        {"kind", read_kind, FIELD(dataset_decoder, kind)},
        {"score_threshold", read_positive, FIELD(dataset_decoder, score_threshold)},
        {"nms_iou", read_positive, FIELD(dataset_decoder, nms_iou)},
        {"max_boxes", read_count, FIELD(dataset_decoder, max_boxes)},
        {"output", read_text, FIELD(dataset_decoder, output)},
        {"objectness", read_index, FIELD(dataset_decoder, objectness)},
        {"box", read_index, FIELD(dataset_decoder, box)},
        {"classes", read_index, FIELD(dataset_decoder, classes)},
        {"objectness_power", read_positive, FIELD(dataset_decoder, objectness_power)},
        {"class_power", read_positive, FIELD(dataset_decoder, class_power)},
        {"offset", read_squash, FIELD(dataset_decoder, offset)},
        {"size", read_squash, FIELD(dataset_decoder, size)},
        {"boxes", read_text, FIELD(dataset_decoder, boxes)},
        {"scores", read_text, FIELD(dataset_decoder, scores)},
        {"format", read_format, FIELD(dataset_decoder, format)},
        {"background", read_index, FIELD(dataset_decoder, background)},
        {"unit", read_unit, 0},
        {NULL, NULL, 0},
    };

    RETURN_IF_FAIL(read_object(a, key, value, keys, out));
    return check_decoder(out, key);
}

/* ---- the whole ------------------------------------------------------------------- */

static const struct key spec_keys[] = {
    {"about", read_ignored, 0},
    {"task", read_task, FIELD(dataset_spec, task)},
    {"classes", read_classes, 0},
    {"train", read_part, FIELD(dataset_spec, part[DATASET_TRAIN])},
    {"val", read_part, FIELD(dataset_spec, part[DATASET_VAL])},
    {"test", read_part, FIELD(dataset_spec, part[DATASET_TEST])},
    {"all", read_part, FIELD(dataset_spec, part[DATASET_UNNAMED])},
    {"zeros", read_zeros, 0},
    {"scale", read_scale, FIELD(dataset_spec, scale)},
    {"peak", read_positive, FIELD(dataset_spec, peak)},
    {"mean", read_numbers, FIELD(dataset_spec, mean)},
    {"std", read_std, FIELD(dataset_spec, std)},
    {"resize", read_resize, FIELD(dataset_spec, resize)},
    {"crop", read_crop, FIELD(dataset_spec, crop)},
    {"color", read_color, FIELD(dataset_spec, color)},
    {"stored_color", read_color, FIELD(dataset_spec, stored_color)},
    {"layout", read_layout, FIELD(dataset_spec, layout)},
    {"input_layout", read_layout, FIELD(dataset_spec, input_layout)},
    {"window", read_window, FIELD(dataset_spec, window)},
    {"rate", read_count, FIELD(dataset_spec, rate)},
    {"label_offset", read_offset, FIELD(dataset_spec, label_offset)},
    {"label_threshold", read_number, FIELD(dataset_spec, label_threshold)},
    {"decoder", read_decoder, FIELD(dataset_spec, decoder)},
    {NULL, NULL, 0},
};
static_assert(sizeof spec_keys / sizeof *spec_keys <= MAX_KEYS,
              "unknown_key lists all");

struct dataset_spec dataset_spec_none(void)
{
    return (struct dataset_spec){
        .scale = 1,
        .peak = -1,
        .label_threshold = (double)NAN,
        .decoder = {.score_threshold = 0.001,
                    .nms_iou = 0.45,
                    .max_boxes = 100,
                    .objectness = -1,
                    .box = -1,
                    .classes = -1,
                    .objectness_power = 1,
                    .class_power = 1,
                    .background = -1,
                    .unit_x = 1,
                    .unit_y = 1},
    };
}

struct status *dataset_spec_parse(struct arena *a, const char *text, size_t len,
                                  struct dataset_spec *out)
{
    json_error_t error;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    *out = dataset_spec_none();
    if (!root)
        return FAIL(INVALID, "line %d: %s", error.line, error.text);

    struct status *s = read_object(a, "the specification", root, spec_keys, out);

    json_decref(root);
    return s;
}
