/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a data set: what the path is, which parts it has, and whether all of it fits
 * the model's inputs.  Reading a sample. */
#include "frontend/dataset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/dataset_parts.h"

static const char *const split_names[] = {"train", "val", "test", "unnamed"};
static const char *const task_names[] = {"none", "classify", "detect", "language"};

const char *dataset_split_name(enum dataset_split split)
{
    return split_names[split];
}

const char *dataset_task_name(enum dataset_task task)
{
    return task_names[task];
}

/* ---- what is held until it is closed --------------------------------------------- */

static struct holding *hold(struct dataset *d)
{
    struct holding *h = arena_new(d->parts->arena, struct holding);

    h->next = d->parts->holdings;
    d->parts->holdings = h;
    return h;
}

struct status *dataset_hold_file(struct dataset *d, const char *path,
                                 const struct mapped_file **out)
{
    struct holding *h = hold(d);

    *out = &h->file;
    return mapped_file_map(path, &h->file);
}

void dataset_hold_memory(struct dataset *d, void *memory)
{
    hold(d)->memory = memory;
}

void dataset_close(struct dataset *d)
{
    for (struct holding *h = d ? d->parts->holdings : NULL; h; h = h->next) {
        mapped_file_unmap(&h->file);
        free(h->memory);
    }
    if (d)
        d->parts->holdings = NULL;
}

void sample_free(struct sample *s)
{
    free(s->owned);
    s->owned = NULL;
}

bool dataset_is_zero(const struct dataset *d, const char *input)
{
    for (int i = 0; i < d->parts->spec.n_zeros; i++)
        if (strcmp(d->parts->spec.zeros[i], input) == 0)
            return true;
    return false;
}

const struct source *dataset_first_source(const struct dataset *d,
                                          const struct dataset_part *part)
{
    for (int i = 0; i < d->n_inputs; i++)
        if (part->source[i].read)
            return &part->source[i];
    return NULL;
}

static enum dataset_task task_of(const char *name)
{
    int task = DATASET_NONE;

    for (int i = 0; name && i <= DATASET_LANGUAGE; i++)
        if (strcmp(name, task_names[i]) == 0)
            task = i;
    return (enum dataset_task)task;
}

/* ---- checks of the whole --------------------------------------------------------- */

/* All inputs have a source with as many samples. */
static struct status *check_counts(const struct dataset *d,
                                   const struct dataset_part *part)
{
    const struct source *first = dataset_first_source(d, part);

    if (!first->n)
        return FAIL(INVALID, "'%s' holds no sample", first->name);
    for (int i = 0; i < d->n_inputs; i++) {
        const struct source *s = &part->source[i];

        if (s->read ? s->n != first->n : !dataset_is_zero(d, d->input[i].name))
            return s->read
                       ? FAIL(INVALID, "'%s' has %lld samples, '%s' has %lld", s->name,
                              (long long)s->n, first->name, (long long)first->n)
                       : FAIL(INVALID, "'%s' has no samples for input '%s'", d->path,
                              d->input[i].name);
    }
    return OK;
}

/* Token rows one longer than the input: dataset.h. */
static void guess_task(struct dataset *d, const struct dataset_part *part)
{
    const struct npy *array = &part->source[0].array;

    if (d->parts->spec.task)
        return;
    if (part->first_box)
        d->task = DATASET_DETECT;
    else if (part->labels)
        d->task = DATASET_CLASSIFY;
    else if (part->source[0].read && array->rank == 2 && dtype_is_integer(array->dtype)
             && dtype_is_integer(d->input[0].dtype)
             && array->dim[1] * dtype_info[d->input[0].dtype].bytes
                    == dataset_bytes(d, 0) + dtype_info[d->input[0].dtype].bytes)
        d->task = DATASET_LANGUAGE;
}

/* The first sample stands for all of an array; of files it is a first look. */
static struct status *check_first(const struct dataset *d, const struct source *s,
                                  int input)
{
    struct sample sample;
    struct fit fit;
    struct status *status;

    RETURN_IF_FAIL(s->read(s, 0, &sample));
    status = fit_plan(d, &sample, input, &fit);
    if (!status && dtype_is_integer(d->input[input].dtype)
        && !dtype_is_integer(sample.dtype))
        status = FAIL(INVALID, "samples are %s, input '%s' takes %s",
                      dtype_info[sample.dtype].name, d->input[input].name,
                      dtype_info[d->input[input].dtype].name);
    sample_free(&sample);
    return status_note(status, "while reading '%s'", s->name);
}

static struct status *check_classes(struct dataset *d, const struct dataset_part *part,
                                    int64_t n)
{
    const int64_t n_boxes = part->first_box ? part->first_box[n] : 0;
    int64_t largest = -1;

    for (int64_t i = 0; part->labels && i < n; i++)
        largest = part->labels[i] > largest ? part->labels[i] : largest;
    for (int64_t i = 0; i < n_boxes; i++)
        if (part->boxes[i].class_id > largest)
            largest = part->boxes[i].class_id;
    if (d->class_names && largest >= d->n_classes)
        return FAIL(INVALID, "'%s' has a label of %lld and %lld names of classes",
                    d->path, (long long)largest, (long long)d->n_classes);
    if (largest >= d->n_classes)
        d->n_classes = largest + 1;
    return OK;
}

static struct status *check_language(const struct dataset *d,
                                     const struct dataset_part *part)
{
    const struct source *s = &part->source[0];

    if (s->read && s->array.rank == 2 && dtype_is_integer(s->array.dtype)
        && dtype_is_integer(d->input[0].dtype))
        return OK;
    return FAIL(INVALID, "'%s': language wants rows of whole numbers for '%s'", d->path,
                d->input[0].name);
}

/* What the specification promises is in one split at least. */
static struct status *check_answers(const struct dataset *d)
{
    bool any_label = false, any_box = false;

    for (int s = 0; s < DATASET_N_SPLITS; s++) {
        any_label |= d->parts->part[s].labels != NULL;
        any_box |= d->parts->part[s].first_box != NULL;
    }
    if (d->task == DATASET_CLASSIFY && !any_label)
        return FAIL(INVALID, "'%s' is to classify, but has no labels", d->path);
    if (d->task == DATASET_DETECT && !any_box)
        return FAIL(INVALID, "'%s' is to detect, but has no boxes", d->path);
    if (any_box && d->parts->spec.crop.width)
        return FAIL(UNSUPPORTED, "'%s': 'crop' would cut boxes", d->path);
    return OK;
}

static struct status *check_part(struct dataset *d, struct dataset_part *part)
{
    RETURN_IF_FAIL(check_counts(d, part));
    guess_task(d, part);
    if (d->task == DATASET_LANGUAGE)
        RETURN_IF_FAIL(check_language(d, part));
    RETURN_IF_FAIL(check_classes(d, part, dataset_first_source(d, part)->n));
    for (int i = 0; i < d->n_inputs; i++)
        if (part->source[i].read)
            RETURN_IF_FAIL(check_first(d, &part->source[i], i));
    return OK;
}

static struct status *check_all(struct dataset *d)
{
    for (int i = 0; i < d->n_inputs; i++)
        RETURN_IF_FAIL(fit_check_numbers(d, i));
    for (int s = 0; s < DATASET_N_SPLITS; s++) {
        struct dataset_part *part = &d->parts->part[s];

        d->split[s].first = d->n;
        if (!part->source)
            continue;
        RETURN_IF_FAIL(check_part(d, part));
        d->split[s].n = dataset_first_source(d, part)->n;
        d->n += d->split[s].n;
    }
    if (!d->n)
        return FAIL(INVALID, "'%s' holds labels only", d->path);
    return check_answers(d);
}

static struct status *open_all(struct dataset *d, const char *spec)
{
    const char *base;

    RETURN_IF_FAIL(dataset_find_spec(d, spec, &base));
    d->parts->base = base;
    d->task = task_of(d->parts->spec.task);
    d->decoder = d->parts->spec.decoder;
    dataset_count_classes(d);
    RETURN_IF_FAIL(dataset_find_parts(d, base));
    return check_all(d);
}

/* One of unknown size makes all unknown. */
static void take_outputs(const struct ir_graph *g, struct arena *a,
                         struct dataset_options *to)
{
    struct dataset_output *out = arena_new_array(a, struct dataset_output, g->n_out);

    to->n_outputs = g->n_out;
    to->output = out;
    for (int i = 0; i < g->n_out; i++) {
        const struct ir_value *v = g->out[i];

        out[i] =
            (struct dataset_output){.name = arena_strdup(a, v->name), .rank = v->rank};
        memcpy(out[i].dim, v->dim, sizeof out[i].dim);
        if (v->dynamic)
            to->n_outputs = 0;
    }
}

struct status *dataset_inputs_of(const struct ir_graph *g, struct arena *a,
                                 struct dataset_options *out)
{
    struct dataset_input *in = arena_new_array(a, struct dataset_input, g->n_in);

    if (g->n_in < 1 || g->n_in > DATASET_MAX_INPUTS)
        return FAIL(UNSUPPORTED, "the model has %d inputs; a data set is for 1 to %d",
                    g->n_in, DATASET_MAX_INPUTS);
    for (int i = 0; i < g->n_in; i++) {
        const struct ir_value *v = g->in[i];

        in[i] =
            (struct dataset_input){.name = arena_strdup(a, v->name), /* outlives g */
                                   .dtype = v->dtype,
                                   .rank = v->rank};
        memcpy(in[i].dim, v->dim, sizeof in[i].dim);
    }
    out->n_inputs = g->n_in;
    out->input = in;
    take_outputs(g, a, out);
    return OK;
}

struct status *dataset_open(const char *path, const struct dataset_options *options,
                            struct arena *a, struct dataset **out)
{
    struct dataset *d = arena_new(a, struct dataset);

    assert(options->n_inputs >= 1 && options->n_inputs <= DATASET_MAX_INPUTS);
    d->path = arena_strdup(a, path);
    d->n_inputs = options->n_inputs;
    d->input = arena_copy(a, options->input,
                          (size_t)options->n_inputs * sizeof *options->input);
    d->n_outputs = options->n_outputs;
    d->output = options->n_outputs
                    ? arena_copy(a, options->output,
                                 (size_t)options->n_outputs * sizeof *options->output)
                    : NULL;
    d->parts = arena_new(a, struct dataset_parts);
    d->parts->arena = a;

    struct status *s = open_all(d, options->spec);

    if (s)
        dataset_close(d);
    *out = s ? NULL : d;
    return status_note(s, "while opening the data set '%s'", path);
}

/* ---- samples --------------------------------------------------------------------- */

int64_t dataset_bytes(const struct dataset *d, int input)
{
    const struct dataset_input *in = &d->input[input];
    int64_t n = dtype_info[in->dtype].bytes;

    for (int i = 0; i < in->rank; i++)
        n *= in->dim[i];
    return n;
}

static const struct dataset_part *part_of(const struct dataset *d, int64_t *i)
{
    int s = 0;

    assert(*i >= 0 && *i < d->n);
    while (*i >= d->split[s].first + d->split[s].n)
        s++;
    *i -= d->split[s].first;
    return &d->parts->part[s];
}

/* And not the file of that name itself. */
static bool is_folder_of(const char *place, const char *name)
{
    const size_t n = strlen(place), m = strlen(name);

    return n < m || strcmp(place + n - m, name) != 0;
}

/* A single number that is none makes all weights such when they are trained, and what
 * was preprocessed may be too large for its type. */
static struct status *check_numbers(const struct dataset *d, const struct source *s,
                                    int64_t i, int input, const void *v)
{
    const char *found = fit_find_no_number(d, input, v);
    const char *place = s->path ? s->path[i] : d->parts->base;
    const bool is_inside = !s->path && is_folder_of(place, s->name);

    if (!found)
        return OK;
    return FAIL(INVALID, "sample %lld of '%s%s%s' holds %s%s", (long long)i, place,
                is_inside ? "/" : "", is_inside ? s->name : "", found,
                fit_changes_numbers(d) ? " after preprocessing" : "");
}

struct status *dataset_read(const struct dataset *d, int64_t i, int input, void *out)
{
    const struct source *s = &part_of(d, &i)->source[input];
    struct sample sample;
    struct fit fit;
    struct status *status;

    if (!s->read) {
        memset(out, 0, (size_t)dataset_bytes(d, input));
        return OK;
    }
    RETURN_IF_FAIL(s->read(s, i, &sample));
    status = fit_plan(d, &sample, input, &fit);
    if (!status)
        status = fit_convert(d, &sample, input, &fit, out);
    sample_free(&sample);
    if (!status)
        return check_numbers(d, s, i, input, out);
    return status_note(status, "while reading sample %lld of '%s'", (long long)i,
                       s->path ? s->path[i] : s->name);
}

int64_t dataset_label(const struct dataset *d, int64_t i)
{
    const struct dataset_part *part = part_of(d, &i);

    return part->labels ? part->labels[i] : -1;
}

int64_t dataset_boxes(const struct dataset *d, int64_t i,
                      const struct dataset_box **out)
{
    const struct dataset_part *part = part_of(d, &i);

    if (!part->first_box)
        return 0;
    *out = part->boxes + part->first_box[i];
    return part->first_box[i + 1] - part->first_box[i];
}

struct status *dataset_targets(const struct dataset *d, int64_t i, int64_t *out)
{
    const struct source *s = &part_of(d, &i)->source[0];
    const int64_t n = dataset_bytes(d, 0) / dtype_info[d->input[0].dtype].bytes;
    struct sample row;

    RETURN_IF_FAIL(s->read(s, i, &row));
    for (int64_t k = 0; k < n; k++) {
        out[k] = -1;
        if (k + 1 < row.dim[0]
            && (!whole_of(row.data + (k + 1) * dtype_info[row.dtype].bytes, row.dtype,
                          row.swapped, &out[k])
                || out[k] < 0)) {
            sample_free(&row);
            return FAIL(INVALID, "'%s' holds a token that is negative", s->name);
        }
    }
    sample_free(&row);
    return OK;
}
