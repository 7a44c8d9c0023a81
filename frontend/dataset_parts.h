/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of data sets, for frontend/dataset*.c only: where samples come from, and how
 * they are brought into the form of an input. */
#ifndef HADMC_FRONTEND_DATASET_PARTS_H
#define HADMC_FRONTEND_DATASET_PARTS_H

#include "frontend/dataset.h"
#include "frontend/dataset_formats.h"
#include "frontend/dataset_spec.h"
#include "frontend/mapped_file.h"

/* A sample as it is stored.  Row-major. */
struct sample {
    enum dtype dtype;
    bool swapped;    /* byte order, as in struct npy */
    bool is_clip;    /* a sound: its length may differ from the input's */
    bool is_picture; /* height x width x channels, red first */
    int rank;
    int64_t dim[NPY_MAX_RANK];
    const uint8_t *data; /* any alignment */
    void *owned;         /* what sample_free gives back, or NULL */
};

void sample_free(struct sample *s);

/* The samples of one input in one split. */
struct source {
    struct status *(*read)(const struct source *s, int64_t i, struct sample *out);
    int64_t n;
    const char *name; /* for messages */
    struct npy array;
    const struct dataset_spec *spec;
    const char *const *path; /* [n], of files */
    int channels;            /* that pictures shall have: 1 or 3 */
};

/* Open files, large arrays: given back by dataset_close. */
struct holding {
    struct mapped_file file; /* or, when that is empty, */
    void *memory;            /* from malloc */
    struct holding *next;
};

struct dataset_part {
    struct source *source; /* [n_inputs]; read is NULL for zeros */
    int64_t *labels;       /* [n], or NULL */
    struct dataset_box *boxes;
    int64_t *first_box; /* [n + 1], or NULL: no boxes */
};

struct dataset_parts {
    struct arena *arena;
    const char *base; /* folder, file or archive that arrays are in, for messages */
    struct dataset_spec spec;
    struct dataset_part part[DATASET_N_SPLITS];
    int64_t label_classes, box_classes; /* that there are; 0: not known */
    struct holding *holdings;
};

/* ---- dataset.c ------------------------------------------------------------------- */

/* Maps a file for as long as the set is open. */
struct status *dataset_hold_file(struct dataset *d, const char *path,
                                 const struct mapped_file **out);
void dataset_hold_memory(struct dataset *d, void *memory);
bool dataset_is_zero(const struct dataset *d, const char *input);
/* Of the first input that is not zeros; NULL when all are. */
const struct source *dataset_first_source(const struct dataset *d,
                                          const struct dataset_part *part);

/* ---- dataset_find.c -------------------------------------------------------------- */

/* Reads the specification, `spec` if not NULL; in *base the folder or archive that its
 * files are in. */
struct status *dataset_find_spec(struct dataset *d, const char *spec,
                                 const char **base);
/* Fills d->parts->part and the names of classes. */
struct status *dataset_find_parts(struct dataset *d, const char *base);

/* ---- dataset_array.c: arrays by name --------------------------------------------- */

struct named_array {
    const char *file; /* for messages: "train_images.npy" */
    const char *stem; /* words that are neither split nor kind, joined by '_' */
    const char *name; /* without ".npy" */
    enum dataset_split split;
    bool is_labels;
    struct npy array;
};

struct array_list {
    int n, cap;
    struct named_array *at;
};

struct status *array_list_add(struct dataset *d, const char *name, const uint8_t *bytes,
                              size_t len, struct array_list *to);
const struct named_array *array_list_find(const struct array_list *l, const char *name);
/* Fills d->parts->part from the names alone: see dataset.h. */
struct status *array_list_choose(struct dataset *d, const struct array_list *l);

void source_of_array(const struct dataset *d, const struct npy *array, const char *name,
                     struct source *out);
/* Class numbers for n samples; `count` as in struct spec_part. */
struct status *labels_of_array(struct dataset *d, const struct npy *array,
                               const char *name, int64_t n, int64_t count,
                               int64_t **out);
struct status *boxes_of_array(struct dataset *d, const struct npy *array,
                              const char *name, int64_t n, struct dataset_part *out);

/* ---- dataset_classes.c ----------------------------------------------------------- */

/* Sets label_classes and box_classes; the specification has been read. */
void dataset_count_classes(struct dataset *d);
/* Of label i, or of a row, of the file `name`. */
struct status *dataset_check_label(const struct dataset *d, const char *name, int64_t i,
                                   int64_t label);
struct status *dataset_check_box(const struct dataset *d, const char *name, int64_t row,
                                 int64_t class_id);

/* ---- dataset_npz.c --------------------------------------------------------------- */

struct status *npz_read(struct dataset *d, const char *path, struct array_list *to);

/* ---- dataset_file.c: a file a sample --------------------------------------------- */

struct sample_file {
    const char *path;
    const char *class_name; /* folder, or NULL */
};

struct file_list {
    int n, cap;
    struct sample_file *at;
};

/* Pictures or sounds of a folder or of its sub-folders, sorted.  None is fine. */
struct status *file_list_read(struct arena *a, const char *folder,
                              struct file_list *out);
/* Classes are the names in `names` (n_classes of them, sorted or as specified). */
struct status *part_of_files(struct dataset *d, const struct file_list *l,
                             struct dataset_part *out);
/* YOLO: for each picture NAME.* a file folder/NAME.txt with lines "class cx cy w h". */
struct status *boxes_of_folder(struct dataset *d, const char *folder,
                               struct dataset_part *out);

/* ---- dataset_fit.c --------------------------------------------------------------- */

/* How the elements of an input lie in a sample: element (a, b, c) of size[0..2] is
 * stored at a * step[0] + b * step[1] + c * step[2]. */
struct fit {
    int64_t size[3], step[3];
    int64_t n_stored; /* elements of the sample that are used; the rest is zero */
};

/* `s` needs no contents.  INVALID, without the name of the file, when it does not fit.
 */
/* The preprocessing of the specification against the input; once, at opening. */
struct status *fit_check_numbers(const struct dataset *d, int input);
struct status *fit_plan(const struct dataset *d, const struct sample *s, int input,
                        struct fit *out);
/* `out` is dataset_bytes(d, input) long. */
struct status *fit_convert(const struct dataset *d, const struct sample *s, int input,
                           const struct fit *fit, void *out);

/* Scale, peak, mean or deviation are asked for. */
bool fit_changes_numbers(const struct dataset *d);
/* What a converted sample holds that nobody can compute with, in words; or NULL. */
const char *fit_find_no_number(const struct dataset *d, int input, const void *v);

double number_of(const uint8_t *at, enum dtype dtype, bool swapped);
/* False when it is not a whole number in the range of int64_t. */
bool whole_of(const uint8_t *at, enum dtype dtype, bool swapped, int64_t *out);
bool dtype_is_integer(enum dtype dtype);

#endif /* HADMC_FRONTEND_DATASET_PARTS_H */
