/* SPDX-License-Identifier: Apache-2.0 */
/* A file a sample: pictures and sounds in a folder, by class when in sub-folders. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/dataset_parts.h"

/* ---- listing --------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *const *ends)
{
    const size_t n = strlen(name);

    for (; *ends; ends++)
        if (n > strlen(*ends) && strcasecmp(name + n - strlen(*ends), *ends) == 0)
            return true;
    return false;
}

static bool is_sound(const char *name)
{
    static const char *const ends[] = {".wav", NULL};

    return ends_with(name, ends);
}

static bool is_picture(const char *name)
{
    static const char *const ends[] = {".png", ".jpg", ".jpeg", ".bmp", NULL};

    return ends_with(name, ends);
}

static void add_file(struct arena *a, const char *path, const char *class_name,
                     struct file_list *to)
{
    to->at = arena_grow(a, to->at, sizeof *to->at, to->n, &to->cap);
    to->at[to->n++] = (struct sample_file){path, class_name};
}

static bool is_folder(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Files of one folder; with `may_descend` also those of its sub-folders, as classes. */
static struct status *list_folder(struct arena *a, const char *folder,
                                  const char *class_name, bool may_descend,
                                  struct file_list *out)
{
    DIR *dir = opendir(folder);
    struct status *s = OK;

    if (!dir)
        return FAIL(IO_ERROR, "'%s': %s", folder, strerror(errno));
    for (struct dirent *e; !s && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;

        const char *path = arena_printf(a, "%s/%s", folder, e->d_name);

        if (is_picture(e->d_name) || is_sound(e->d_name))
            add_file(a, path, class_name, out);
        else if (may_descend && is_folder(path))
            s = list_folder(a, path, arena_strdup(a, e->d_name), false, out);
    }
    closedir(dir);
    return s;
}

static int by_path(const void *a, const void *b)
{
    const struct sample_file *x = a, *y = b;

    return strcmp(x->path, y->path);
}

struct status *file_list_read(struct arena *a, const char *folder,
                              struct file_list *out)
{
    *out = (struct file_list){0};
    RETURN_IF_FAIL(list_folder(a, folder, NULL, true, out));
    if (out->n)
        qsort(out->at, (size_t)out->n, sizeof *out->at, by_path);
    for (int i = 1; i < out->n; i++) {
        if (is_sound(out->at[i].path) != is_sound(out->at[0].path))
            return FAIL(INVALID, "'%s' holds both pictures and sounds", folder);
        if (!out->at[i].class_name != !out->at[0].class_name)
            return FAIL(INVALID, "'%s' holds files beside folders of files", folder);
    }
    return OK;
}

/* ---- reading --------------------------------------------------------------------- */

/* Replaces *image by what a step makes of it. */
static struct status *replace(struct status *s, struct image *image, struct image *next)
{
    if (s) {
        image_free(next);
        return s;
    }
    image_free(image);
    *image = *next;
    return OK;
}

static struct spec_size size_after(const struct spec_size *resize,
                                   const struct image *i)
{
    if (resize->height || i->width == i->height)
        return (struct spec_size){resize->width,
                                  resize->height ? resize->height : resize->width};
    if (i->width < i->height)
        return (struct spec_size){resize->width, resize->width * i->height / i->width};
    return (struct spec_size){resize->width * i->width / i->height, resize->width};
}

/* "resize" and "crop" of the specification, and the channels of the input. */
static struct status *prepare(const struct source *s, struct image *image)
{
    const struct spec_size *crop = &s->spec->crop;
    struct image next;

    if (s->spec->resize.width) {
        const struct spec_size size = size_after(&s->spec->resize, image);

        if (size.width > IMAGE_MAX_SIDE || size.height > IMAGE_MAX_SIDE)
            return FAIL(UNSUPPORTED, "a picture of %lld x %lld pixels",
                        (long long)size.width, (long long)size.height);
        RETURN_IF_FAIL(
            replace(image_resize(image, (int)size.width, (int)size.height, &next),
                    image, &next));
    }
    if (crop->width)
        RETURN_IF_FAIL(
            replace(image_crop(image, (int)crop->width, (int)crop->height, &next),
                    image, &next));
    if (s->channels == image->channels)
        return OK;
    return replace(s->channels == 1 ? image_grey(image, &next)
                                    : image_rgb(image, &next),
                   image, &next);
}

static struct status *read_picture(const struct source *s, int64_t i,
                                   struct sample *out)
{
    struct mapped_file file;
    struct image image = {0};
    struct status *status;

    *out = (struct sample){0};
    RETURN_IF_FAIL(mapped_file_map(s->path[i], &file));
    status = image_decode(file.bytes, file.len, &image);
    mapped_file_unmap(&file);
    if (!status)
        status = prepare(s, &image);
    if (status) {
        image_free(&image);
        return status_note(status, "while reading '%s'", s->path[i]);
    }
    *out = (struct sample){.dtype = DT_u8,
                           .is_picture = true,
                           .rank = 3,
                           .dim = {image.height, image.width, image.channels},
                           .data = image.pixels,
                           .owned = image.pixels};
    return OK;
}

static struct status *decode_sound(const struct source *s, const struct mapped_file *f,
                                   struct sample *out)
{
    struct wav w;

    RETURN_IF_FAIL(wav_parse(f->bytes, f->len, &w));
    if (s->spec->rate && w.rate != s->spec->rate)
        return FAIL(INVALID, "it has %d samples a second, not %lld", w.rate,
                    (long long)s->spec->rate);

    float *mono = malloc((size_t)w.n * sizeof *mono);

    if (!mono)
        return FAIL(NO_FIT, "out of memory");
    wav_mono(&w, w.n, mono);
    *out = (struct sample){.dtype = DT_f32,
                           .is_clip = true,
                           .rank = 1,
                           .dim = {w.n},
                           .data = (const uint8_t *)mono,
                           .owned = mono};
    return OK;
}

static struct status *read_sound(const struct source *s, int64_t i, struct sample *out)
{
    struct mapped_file file;
    struct status *status;

    *out = (struct sample){0};
    RETURN_IF_FAIL(mapped_file_map(s->path[i], &file));
    status = decode_sound(s, &file, out);
    mapped_file_unmap(&file);
    return status_note(status, "while reading '%s'", s->path[i]);
}

/* ---- as part of a set ------------------------------------------------------------ */

/* One channel unless the input or the specification says three. */
static int channels_of(const struct dataset *d)
{
    const struct dataset_input *in = &d->input[0];
    const enum spec_layout layout = d->parts->spec.input_layout;
    const int axis = in->rank - 3;

    if (d->parts->spec.color != COLOR_ANY)
        return d->parts->spec.color == COLOR_GRAY ? 1 : 3;
    if (axis < 0)
        return 1;
    return (layout != LAYOUT_NHWC && in->dim[axis] == 3)
                   || (layout != LAYOUT_NCHW && in->dim[in->rank - 1] == 3)
               ? 3
               : 1;
}

static struct status *find_class(const struct dataset *d, const struct sample_file *f,
                                 int64_t *out)
{
    const int64_t most = d->parts->label_classes;

    for (*out = 0; *out < d->n_classes; ++*out)
        if (strcmp(d->class_names[*out], f->class_name) == 0)
            return !most || *out < most
                       ? OK
                       : FAIL(INVALID, "'%s' is of class %lld, output '%s' has %lld",
                              f->path, (long long)*out, d->output[0].name,
                              (long long)most);
    return FAIL(INVALID, "'%s' is in a folder that is no class", f->path);
}

static struct status *set_labels(struct dataset *d, const struct file_list *l,
                                 struct dataset_part *out)
{
    out->labels = arena_new_array(d->parts->arena, int64_t, l->n);
    for (int i = 0; i < l->n; i++)
        if (i && strcmp(l->at[i].class_name, l->at[i - 1].class_name) == 0)
            out->labels[i] = out->labels[i - 1];
        else
            RETURN_IF_FAIL(find_class(d, &l->at[i], &out->labels[i]));
    return OK;
}

struct status *part_of_files(struct dataset *d, const struct file_list *l,
                             struct dataset_part *out)
{
    const char **path = arena_new_array(d->parts->arena, const char *, l->n);

    if (!l->n)
        return FAIL(INVALID, "'%s' holds neither arrays nor pictures nor sounds",
                    d->path);
    if (d->n_inputs != 1)
        return FAIL(UNSUPPORTED, "'%s': files of pictures or sounds are for one input",
                    d->path);
    for (int i = 0; i < l->n; i++)
        path[i] = l->at[i].path;
    out->source = arena_new(d->parts->arena, struct source);
    *out->source = (struct source){
        .read = is_sound(path[0]) ? read_sound : read_picture,
        .n = l->n,
        .name = path[0],
        .spec = &d->parts->spec,
        .path = path,
        .channels = channels_of(d),
    };
    return l->at[0].class_name ? set_labels(d, l, out) : OK;
}

/* ---- boxes in text files --------------------------------------------------------- */

/* One line: class cx cy w h, separated by spaces. */
static bool read_line(const char **at, double row[5])
{
    for (int k = 0; k < 5; k++) {
        char *end;

        *at += strspn(*at, " \t");
        row[k] = strtod(*at, &end);
        if (**at == '\r' || **at == '\n' || end == *at
            || !(row[k] >= -1e6 && row[k] <= INT32_MAX))
            return false;
        *at = end;
    }
    *at += strspn(*at, " \t\r");
    return (**at == '\n' || !**at) && row[0] >= 0 && row[0] == (double)(int64_t)row[0];
}

static struct status *read_boxes(struct dataset *d, const char *path, int *n, int *cap,
                                 struct dataset_box **boxes)
{
    const int64_t offset = d->parts->spec.label_offset;
    const int first = *n;
    struct mapped_file file;
    double r[5];

    if (access(path, F_OK) != 0)
        return OK; /* nothing is on the picture */
    RETURN_IF_FAIL(mapped_file_map(path, &file));

    const char *text =
        arena_strndup(d->parts->arena, (const char *)file.bytes, file.len);

    mapped_file_unmap(&file);
    for (text += strspn(text, " \t\r\n"); *text; text += strspn(text, " \t\r\n")) {
        if (!read_line(&text, r) || (int64_t)r[0] + offset < 0)
            return FAIL(INVALID, "'%s' has a line that is not 'class cx cy w h'", path);
        RETURN_IF_FAIL(dataset_check_box(d, path, *n - first, (int64_t)r[0] + offset));
        *boxes = arena_grow(d->parts->arena, *boxes, sizeof **boxes, *n, cap);
        (*boxes)[(*n)++] = (struct dataset_box){
            (int64_t)r[0] + offset, (float)(r[1] - r[3] / 2), (float)(r[2] - r[4] / 2),
            (float)(r[1] + r[3] / 2), (float)(r[2] + r[4] / 2)};
    }
    return OK;
}

struct status *boxes_of_folder(struct dataset *d, const char *folder,
                               struct dataset_part *out)
{
    const struct source *s = out->source;
    int n = 0, cap = 0;

    if (!s->path)
        return FAIL(INVALID, "'%s': a folder of boxes is for a folder of pictures",
                    folder);
    out->first_box = arena_new_array(d->parts->arena, int64_t, s->n + 1);
    for (int64_t i = 0; i < s->n; i++) {
        const char *slash = strrchr(s->path[i], '/'), *name = slash + 1;

        RETURN_IF_FAIL(read_boxes(d,
                                  arena_printf(d->parts->arena, "%s/%.*s.txt", folder,
                                               (int)(strrchr(name, '.') - name), name),
                                  &n, &cap, &out->boxes));
        out->first_box[i + 1] = n;
    }
    return OK;
}
