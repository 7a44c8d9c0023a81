/* SPDX-License-Identifier: Apache-2.0 */
/* What the path of a data set is, and which files are its parts: as the specification
 * says, otherwise by the rules of dataset.h. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/dataset_parts.h"

/* ---- paths ----------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

static bool is_folder(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static const char *folder_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? arena_strndup(a, path, (size_t)(slash - path) + (slash == path))
                 : ".";
}

static struct status *read_spec(struct dataset *d, const char *path)
{
    enum { MAX_BYTES = 16 << 20 };
    struct mapped_file file;
    struct status *s;

    RETURN_IF_FAIL(mapped_file_map(path, &file));
    s = file.len > MAX_BYTES
            ? FAIL(INVALID, "it is larger than %d bytes", (int)MAX_BYTES)
            : dataset_spec_parse(d->parts->arena, (const char *)file.bytes, file.len,
                                 &d->parts->spec);
    mapped_file_unmap(&file);
    return status_note(s, "while reading '%s'", path);
}

struct status *dataset_find_spec(struct dataset *d, const char *spec, const char **base)
{
    const char *inside = arena_printf(d->parts->arena, "%s/dataset.json", d->path);

    *base = d->path;
    if (access(d->path, F_OK) != 0)
        return FAIL(IO_ERROR, "'%s': %s", d->path, strerror(errno));
    if (spec)
        return read_spec(d, spec);
    if (ends_with(d->path, ".json")) {
        *base = folder_of(d->parts->arena, d->path);
        return read_spec(d, d->path);
    }
    if (access(inside, F_OK) == 0)
        return read_spec(d, inside);
    d->parts->spec = dataset_spec_none();
    return OK;
}

/* ---- names of classes ------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct status *read_class_file(struct dataset *d, const char *path)
{
    struct arena *a = d->parts->arena;
    struct mapped_file file;
    const char **names = NULL;
    int n = 0, cap = 0;

    RETURN_IF_FAIL(mapped_file_map(path, &file));

    char *text = arena_strndup(a, (const char *)file.bytes, file.len), *rest;

    mapped_file_unmap(&file);
    for (char *l = strtok_r(text, "\r\n", &rest); l;
         l = strtok_r(NULL, "\r\n", &rest)) {
        names = arena_grow(a, names, sizeof *names, n, &cap);
        names[n++] = l;
    }
    d->n_classes = n;
    d->class_names = names;
    return OK;
}

static struct status *name_classes(struct dataset *d, const char *base)
{
    const struct dataset_spec *spec = &d->parts->spec;
    const char *usual = arena_printf(d->parts->arena, "%s/classes.txt", base);

    d->n_classes = spec->n_classes;
    d->class_names = spec->class_names;
    if (spec->class_file)
        return read_class_file(
            d, arena_printf(d->parts->arena, "%s/%s", base, spec->class_file));
    return !d->n_classes && access(usual, F_OK) == 0 ? read_class_file(d, usual) : OK;
}

/* The folders of all splits, sorted: a class has the same number everywhere. */
static void name_classes_by_folder(struct dataset *d, const struct file_list *lists)
{
    struct arena *a = d->parts->arena;
    const char **names = NULL;
    int n = 0, cap = 0, n_kept = 0;

    if (d->class_names)
        return;
    for (int s = 0; s < DATASET_N_SPLITS; s++)
        for (int i = 0; i < lists[s].n; i++)
            if (lists[s].at[i].class_name) {
                names = arena_grow(a, names, sizeof *names, n, &cap);
                names[n++] = lists[s].at[i].class_name;
            }
    if (!n)
        return;
    qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 0; i < n; i++)
        if (!i || strcmp(names[i], names[n_kept - 1]) != 0)
            names[n_kept++] = names[i];
    d->n_classes = n_kept;
    d->class_names = names;
}

/* ---- parts without a specification ----------------------------------------------- */

static int is_npy(const struct dirent *e)
{
    return e->d_name[0] != '.' && ends_with(e->d_name, ".npy");
}

static struct status *add_npy(struct dataset *d, const char *path, const char *name,
                              struct array_list *to)
{
    const struct mapped_file *file;

    RETURN_IF_FAIL(dataset_hold_file(d, path, &file));
    return array_list_add(d, name, file->bytes, file->len, to);
}

static struct status *list_arrays(struct dataset *d, const char *base,
                                  struct array_list *out)
{
    struct dirent **entries;
    struct status *s = OK;
    int n;

    if (ends_with(base, ".npz"))
        return npz_read(d, base, out);
    if (!is_folder(base)) {
        const char *slash = strrchr(base, '/');

        return add_npy(d, base, slash ? slash + 1 : base, out);
    }
    n = scandir(base, &entries, is_npy, alphasort);
    for (int i = 0; i < n; i++) {
        if (!s)
            s = add_npy(
                d, arena_printf(d->parts->arena, "%s/%s", base, entries[i]->d_name),
                entries[i]->d_name, out);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return s;
}

static struct status *list_splits(struct dataset *d, const char *base,
                                  struct file_list *lists)
{
    static const char *const folders[][3] = {{"train", "training", NULL},
                                             {"val", "valid", "validation"},
                                             {"test", "testing", NULL}};
    bool any = false;

    for (int s = 0; s < DATASET_UNNAMED; s++)
        for (int k = 0; k < 3 && folders[s][k] && !lists[s].n; k++) {
            const char *path =
                arena_printf(d->parts->arena, "%s/%s", base, folders[s][k]);

            if (is_folder(path))
                RETURN_IF_FAIL(file_list_read(d->parts->arena, path, &lists[s]));
            any |= lists[s].n > 0;
        }
    return any ? OK : file_list_read(d->parts->arena, base, &lists[DATASET_UNNAMED]);
}

static struct status *find_parts_of_files(struct dataset *d, const char *base)
{
    struct file_list lists[DATASET_N_SPLITS] = {0};
    bool any = false;

    RETURN_IF_FAIL(list_splits(d, base, lists));
    name_classes_by_folder(d, lists);
    for (int s = 0; s < DATASET_N_SPLITS; s++)
        if (lists[s].n || (s == DATASET_UNNAMED && !any)) {
            RETURN_IF_FAIL(part_of_files(d, &lists[s], &d->parts->part[s]));
            any = true;
        }
    return OK;
}

static struct status *find_parts(struct dataset *d, const char *base)
{
    struct array_list arrays = {0};

    RETURN_IF_FAIL(list_arrays(d, base, &arrays));
    if (!arrays.n && ends_with(base, ".npz"))
        return FAIL(INVALID, "'%s' holds no array", base);
    return arrays.n ? array_list_choose(d, &arrays) : find_parts_of_files(d, base);
}

/* ---- parts of a specification ---------------------------------------------------- */

/* Files of a specification are arrays of `archive` when the set is one. */
struct place {
    const char *base;
    bool is_archive;
    struct array_list archive;
};

static struct status *open_array(struct dataset *d, const struct place *p,
                                 const char *name, const struct named_array **out)
{
    struct array_list one = {0};

    if (p->is_archive) {
        *out = array_list_find(&p->archive, name);
        return *out ? OK : FAIL(INVALID, "'%s' has no array '%s'", p->base, name);
    }
    RETURN_IF_FAIL(
        add_npy(d, arena_printf(d->parts->arena, "%s/%s", p->base, name), name, &one));
    *out = one.at;
    return OK;
}

/* With boxes sub-folders are no classes. */
static struct status *open_files(struct dataset *d, const char *folder, bool has_boxes,
                                 struct dataset_part *out)
{
    struct file_list lists[DATASET_N_SPLITS] = {0};

    RETURN_IF_FAIL(file_list_read(d->parts->arena, folder, &lists[0]));
    for (int i = 0; has_boxes && i < lists[0].n; i++)
        lists[0].at[i].class_name = NULL;
    name_classes_by_folder(d, lists);
    return part_of_files(d, &lists[0], out);
}

static struct status *open_samples(struct dataset *d, const struct place *p,
                                   const struct spec_part *from,
                                   struct dataset_part *out)
{
    for (int i = 0; i < from->n_samples; i++) {
        const char *path =
            arena_printf(d->parts->arena, "%s/%s", p->base, from->samples[i]);
        const struct named_array *array;
        int k = 0;

        if (!p->is_archive && is_folder(path))
            return open_files(d, path, from->boxes != NULL, out);
        while (from->input[i] && k < d->n_inputs
               && strcmp(d->input[k].name, from->input[i]) != 0)
            k++;
        if (k == d->n_inputs)
            return FAIL(INVALID, "the model has no input '%s'", from->input[i]);
        if (!out->source)
            out->source = arena_new_array(d->parts->arena, struct source, d->n_inputs);
        RETURN_IF_FAIL(open_array(d, p, from->samples[i], &array));
        source_of_array(d, &array->array, array->file, &out->source[k]);
    }
    return OK;
}

static struct status *limit_count(struct dataset *d, struct dataset_part *part,
                                  int64_t count)
{
    for (int i = 0; i < d->n_inputs; i++) {
        struct source *s = &part->source[i];

        if (s->read && s->n < count)
            return FAIL(INVALID, "'%s' has %lld samples, 'count' asks for %lld",
                        s->name, (long long)s->n, (long long)count);
        if (s->read && count)
            s->n = count;
    }
    return OK;
}

static struct status *open_answers(struct dataset *d, const struct place *p,
                                   const struct spec_part *from,
                                   struct dataset_part *out)
{
    const int64_t n = dataset_first_source(d, out)->n;
    const struct named_array *array;

    if (from->labels) {
        RETURN_IF_FAIL(open_array(d, p, from->labels, &array));
        RETURN_IF_FAIL(labels_of_array(d, &array->array, array->file, n, from->count,
                                       &out->labels));
    }
    if (!from->boxes)
        return OK;
    if (!p->is_archive) {
        const char *path = arena_printf(d->parts->arena, "%s/%s", p->base, from->boxes);

        if (is_folder(path))
            return boxes_of_folder(d, path, out);
    }
    RETURN_IF_FAIL(open_array(d, p, from->boxes, &array));
    return boxes_of_array(d, &array->array, array->file, n, out);
}

static struct status *open_part(struct dataset *d, const struct place *p,
                                const struct spec_part *from, struct dataset_part *out)
{
    RETURN_IF_FAIL(open_samples(d, p, from, out));
    RETURN_IF_FAIL(limit_count(d, out, from->count));
    return open_answers(d, p, from, out);
}

static struct status *open_parts(struct dataset *d, const char *base)
{
    struct place p = {.base = base, .is_archive = ends_with(base, ".npz")};

    if (p.is_archive)
        RETURN_IF_FAIL(npz_read(d, base, &p.archive));
    for (int s = 0; s < DATASET_N_SPLITS; s++)
        if (d->parts->spec.part[s].given)
            RETURN_IF_FAIL(status_note(
                open_part(d, &p, &d->parts->spec.part[s], &d->parts->part[s]),
                "while opening '%s' of '%s'", dataset_split_name((enum dataset_split)s),
                d->path));
    return OK;
}

static bool names_parts(const struct dataset_spec *spec)
{
    for (int s = 0; s < DATASET_N_SPLITS; s++)
        if (spec->part[s].given)
            return true;
    return false;
}

struct status *dataset_find_parts(struct dataset *d, const char *base)
{
    RETURN_IF_FAIL(name_classes(d, base));
    return names_parts(&d->parts->spec) ? open_parts(d, base) : find_parts(d, base);
}
