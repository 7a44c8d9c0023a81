/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays as samples, labels and boxes, and the rules about their names: dataset.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/dataset_parts.h"

/* ---- words of a name ------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

static enum dataset_split split_of_word(const char *word)
{
    static const char *const train[] = {"train", "training", NULL};
    static const char *const val[] = {"val", "valid", "validation", NULL};
    static const char *const test[] = {"test", "testing", NULL};

    return is_one_of(word, train)  ? DATASET_TRAIN
           : is_one_of(word, val)  ? DATASET_VAL
           : is_one_of(word, test) ? DATASET_TEST
                                   : DATASET_UNNAMED;
}

/* Cuts a name into words and keeps what they say. */
static void read_name(struct arena *a, struct named_array *n)
{
    static const char *const labels[] = {"labels",  "label",  "y",
                                         "targets", "target", NULL};
    static const char *const samples[] = {"images", "x",        "data", "samples",
                                          "inputs", "input",    "wave", "tokens",
                                          "image",  "features", NULL};
    char *copy = arena_strdup(a, n->name), *rest;

    n->split = DATASET_UNNAMED;
    n->stem = "";
    for (char *w = strtok_r(copy, "_-. ", &rest); w;
         w = strtok_r(NULL, "_-. ", &rest)) {
        if (split_of_word(w) != DATASET_UNNAMED)
            n->split = split_of_word(w);
        else if (is_one_of(w, labels))
            n->is_labels = true;
        else if (!is_one_of(w, samples))
            n->stem = *n->stem ? arena_printf(a, "%s_%s", n->stem, w) : w;
    }
}

struct status *array_list_add(struct dataset *d, const char *name, const uint8_t *bytes,
                              size_t len, struct array_list *to)
{
    struct arena *a = d->parts->arena;
    const size_t n = strlen(name);
    const bool has_end = n > 4 && strcmp(name + n - 4, ".npy") == 0;
    struct named_array *at;

    to->at = arena_grow(a, to->at, sizeof *to->at, to->n, &to->cap);
    at = &to->at[to->n];
    *at = (struct named_array){.file = arena_strdup(a, name),
                               .name = arena_strndup(a, name, has_end ? n - 4 : n)};
    read_name(a, at);
    RETURN_IF_FAIL(status_note(npy_parse(bytes, len, &at->array),
                               "while reading '%s' of '%s'", name, d->path));
    to->n++;
    return OK;
}

const struct named_array *array_list_find(const struct array_list *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->at[i].name, name) == 0 || strcmp(l->at[i].file, name) == 0)
            return &l->at[i];
    return NULL;
}

/* ---- samples --------------------------------------------------------------------- */

static struct status *read_row(const struct source *s, int64_t i, struct sample *out)
{
    const struct npy *n = &s->array;
    int64_t row = dtype_info[n->dtype].bytes;

    *out =
        (struct sample){.dtype = n->dtype, .swapped = n->swapped, .rank = n->rank - 1};
    for (int k = 1; k < n->rank; k++)
        row *= out->dim[k - 1] = n->dim[k];
    out->data = n->data + i * row;
    return OK;
}

static struct status *read_window(const struct source *s, int64_t i, struct sample *out)
{
    const struct spec_window *w = &s->spec->window;
    const int n_bytes = dtype_info[s->array.dtype].bytes;
    uint8_t *to = calloc((size_t)w->size, (size_t)n_bytes);

    if (!to)
        return FAIL(NO_FIT, "out of memory");
    for (int64_t k = 0; k < w->size; k++) {
        const int64_t at = i * w->step + (k - w->context) * w->stride;

        if (at >= 0)
            memcpy(to + k * n_bytes, s->array.data + at * n_bytes, (size_t)n_bytes);
    }
    *out = (struct sample){.dtype = s->array.dtype,
                           .swapped = s->array.swapped,
                           .rank = 1,
                           .dim = {w->size},
                           .data = to,
                           .owned = to};
    return OK;
}

/* Windows that end inside of the row. */
static int64_t count_windows(const struct spec_window *w, int64_t len)
{
    const int64_t last = (w->size - 1 - w->context) * w->stride;

    return last < len ? (len - 1 - last) / w->step + 1 : 0;
}

void source_of_array(const struct dataset *d, const struct npy *array, const char *name,
                     struct source *out)
{
    const struct spec_window *w = &d->parts->spec.window;

    *out = (struct source){.name = name,
                           .array = *array,
                           .spec = &d->parts->spec,
                           .read = read_row,
                           .n = array->rank ? array->dim[0] : 0};
    if (w->size && array->rank == 1) {
        out->read = read_window;
        out->n = count_windows(w, array->dim[0]);
    }
}

/* ---- labels ---------------------------------------------------------------------- */

static struct status *read_label(const struct dataset_spec *spec, const uint8_t *at,
                                 const struct npy *array, int64_t *out)
{
    if (!isnan(spec->label_threshold))
        *out = number_of(at, array->dtype, array->swapped) > spec->label_threshold;
    else if (!whole_of(at, array->dtype, array->swapped, out))
        return FAIL(INVALID, "a label is not a whole number");
    if (__builtin_add_overflow(*out, spec->label_offset, out) || *out < 0
        || *out > INT32_MAX)
        return FAIL(INVALID, "a label is %lld with its offset", (long long)*out);
    return OK;
}

struct status *labels_of_array(struct dataset *d, const struct npy *array,
                               const char *name, int64_t n, int64_t count,
                               int64_t **out)
{
    const int n_bytes = dtype_info[array->dtype].bytes;
    const bool is_column = array->rank == 2 && array->dim[1] == 1;

    if (array->rank != 1 && !is_column)
        return FAIL(INVALID, "'%s' has %d dimensions; labels are one number a sample",
                    name, array->rank);
    if (array->dim[0] < n || (array->dim[0] > n && !count))
        return FAIL(INVALID, "'%s' has %lld labels for %lld samples", name,
                    (long long)array->dim[0], (long long)n);
    *out = arena_new_array(d->parts->arena, int64_t, n);
    for (int64_t i = 0; i < n; i++) {
        RETURN_IF_FAIL(status_note(
            read_label(&d->parts->spec, array->data + i * n_bytes, array, &(*out)[i]),
            "while reading label %lld of '%s'", (long long)i, name));
        RETURN_IF_FAIL(dataset_check_label(d, name, i, (*out)[i]));
    }
    return OK;
}

/* ---- boxes ----------------------------------------------------------------------- */

enum { BOX_IMAGE, BOX_CLASS, BOX_CX, BOX_CY, BOX_W, BOX_H, BOX_COLUMNS };

static bool is_box(const double *row, int64_t n_images)
{
    for (int k = BOX_CX; k < BOX_COLUMNS; k++)
        if (!(fabs(row[k]) <= 1e6))
            return false;
    return row[BOX_IMAGE] >= 0 && row[BOX_IMAGE] < (double)n_images
           && row[BOX_IMAGE] == floor(row[BOX_IMAGE]) && row[BOX_CLASS] >= 0
           && row[BOX_CLASS] <= INT32_MAX && row[BOX_CLASS] == floor(row[BOX_CLASS]);
}

static void get_row(const struct npy *array, int64_t i, double *row)
{
    const int n_bytes = dtype_info[array->dtype].bytes;

    for (int k = 0; k < BOX_COLUMNS; k++)
        row[k] = number_of(array->data + (i * BOX_COLUMNS + k) * n_bytes, array->dtype,
                           array->swapped);
}

/* Rows may come in any order: count per image, then place. */
struct status *boxes_of_array(struct dataset *d, const struct npy *array,
                              const char *name, int64_t n, struct dataset_part *out)
{
    if (array->rank != 2 || array->dim[1] != BOX_COLUMNS)
        return FAIL(INVALID, "'%s' does not have rows of image, class, cx, cy, w, h",
                    name);

    const int64_t n_boxes = array->dim[0], offset = d->parts->spec.label_offset;
    int64_t *next = arena_new_array(d->parts->arena, int64_t, n + 1);
    double r[BOX_COLUMNS];

    out->first_box = arena_new_array(d->parts->arena, int64_t, n + 1);
    out->boxes = arena_new_array(d->parts->arena, struct dataset_box, n_boxes);
    for (int64_t i = 0; i < n_boxes; i++) {
        get_row(array, i, r);
        if (!is_box(r, n) || r[BOX_CLASS] + (double)offset < 0)
            return FAIL(INVALID, "row %lld of '%s' is not a box", (long long)i, name);
        RETURN_IF_FAIL(dataset_check_box(d, name, i, (int64_t)r[BOX_CLASS] + offset));
        out->first_box[(int64_t)r[BOX_IMAGE] + 1]++;
    }
    for (int64_t i = 0; i < n; i++)
        next[i + 1] = out->first_box[i + 1] += out->first_box[i];
    for (int64_t i = 0; i < n_boxes; i++) {
        get_row(array, i, r);
        out->boxes[next[(int64_t)r[BOX_IMAGE]]++] = (struct dataset_box){
            (int64_t)r[BOX_CLASS] + offset, (float)(r[BOX_CX] - r[BOX_W] / 2),
            (float)(r[BOX_CY] - r[BOX_H] / 2), (float)(r[BOX_CX] + r[BOX_W] / 2),
            (float)(r[BOX_CY] + r[BOX_H] / 2)};
    }
    return OK;
}

/* ---- choosing by name ------------------------------------------------------------ */

static bool fits(const struct dataset *d, const struct npy *array, int input)
{
    struct source source;
    struct sample s;
    struct fit fit;

    source_of_array(d, array, "", &source);
    if (!array->rank || !source.n)
        return false;

    struct status *status = source.read(&source, 0, &s);

    if (!status)
        status = fit_plan(d, &s, input, &fit);
    sample_free(&s);

    const bool good = status == OK;

    status_free(status);
    return good;
}

/* All sample arrays of a split, for messages. */
static struct status *ambiguous(const struct dataset *d, const struct array_list *l,
                                enum dataset_split split, int input)
{
    struct text all = {0};

    for (int i = 0; i < l->n; i++)
        if (l->at[i].split == split && !l->at[i].is_labels)
            text_printf(&all, "%s'%s'", all.len ? ", " : "", l->at[i].file);

    struct status *s =
        FAIL(INVALID,
             "'%s': none or several of %s fit input '%s'; a specification says which",
             d->path, all.bytes, d->input[input].name);

    text_free(&all);
    return s;
}

static struct status *choose_samples(struct dataset *d, const struct array_list *l,
                                     enum dataset_split split, int input,
                                     const struct named_array **out)
{
    int n = 0, n_fit = 0;

    *out = NULL;
    for (int i = 0; i < l->n; i++) {
        const struct named_array *a = &l->at[i];

        if (a->split != split || a->is_labels)
            continue;
        if (strcmp(a->name, d->input[input].name) == 0
            || (*a->stem && strcmp(a->stem, d->input[input].name) == 0)) {
            *out = a;
            return OK;
        }
        if (d->n_inputs > 1)
            continue;
        n++;
        if (fits(d, &a->array, input)) {
            n_fit++;
            *out = a;
        } else if (!n_fit) {
            *out = a;
        }
    }
    if (d->n_inputs == 1 && n > 1 && n_fit != 1)
        return ambiguous(d, l, split, input);
    return OK;
}

static const struct named_array *choose_labels(const struct array_list *l,
                                               const struct named_array *samples)
{
    const struct named_array *best = NULL;

    for (int i = 0; i < l->n; i++) {
        const struct named_array *a = &l->at[i];

        if (!a->is_labels || a->split != samples->split)
            continue;
        if (strcmp(a->stem, samples->stem) == 0)
            return a;
        if (!*a->stem)
            best = a;
    }
    return best;
}

static bool has_split(const struct array_list *l, enum dataset_split split)
{
    for (int i = 0; i < l->n; i++)
        if (l->at[i].split == split && !l->at[i].is_labels)
            return true;
    return false;
}

static struct status *choose_split(struct dataset *d, const struct array_list *l,
                                   enum dataset_split split)
{
    struct dataset_part *part = &d->parts->part[split];
    const struct named_array *samples = NULL;

    part->source = arena_new_array(d->parts->arena, struct source, d->n_inputs);
    for (int i = 0; i < d->n_inputs; i++) {
        const struct named_array *one;

        if (dataset_is_zero(d, d->input[i].name))
            continue;
        RETURN_IF_FAIL(choose_samples(d, l, split, i, &one));
        if (!one)
            return FAIL(INVALID, "'%s' has no array for input '%s' in split %s",
                        d->path, d->input[i].name, dataset_split_name(split));
        source_of_array(d, &one->array, one->file, &part->source[i]);
        samples = samples ? samples : one;
    }
    if (!samples)
        return FAIL(INVALID, "'%s': all inputs are zeros", d->path);

    const struct named_array *labels = choose_labels(l, samples);
    const struct source *first = &part->source[0];

    for (int i = 0; i < d->n_inputs && !first->read; i++)
        first = &part->source[i];
    return labels ? labels_of_array(d, &labels->array, labels->file, first->n, 0,
                                    &part->labels)
                  : OK;
}

struct status *array_list_choose(struct dataset *d, const struct array_list *l)
{
    for (int split = 0; split < DATASET_N_SPLITS; split++)
        if (has_split(l, (enum dataset_split)split))
            RETURN_IF_FAIL(choose_split(d, l, (enum dataset_split)split));
    return OK;
}
