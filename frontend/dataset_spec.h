/* SPDX-License-Identifier: Apache-2.0 */
/* The specification of a data set: a JSON object, every key optional.  docs/data.md
 * explains the keys; frontend/dataset_spec.c has their tables. */
#ifndef HADMC_FRONTEND_DATASET_SPEC_H
#define HADMC_FRONTEND_DATASET_SPEC_H

#include "frontend/dataset.h"

enum spec_color { COLOR_ANY, COLOR_RGB, COLOR_BGR, COLOR_GRAY };
enum spec_layout { LAYOUT_ANY, LAYOUT_NCHW, LAYOUT_NHWC };

struct spec_numbers {
    int n;
    const double *at;
};

/* In pixels; 0 x 0 when not given.  Resizing with a height of 0: `width` is the length
 * of the shorter side. */
struct spec_size {
    int64_t width, height;
};

/* One split.  Files are relative and do not leave the set's folder. */
struct spec_part {
    bool given;
    int n_samples;                         /* files of samples                 */
    const char *input[DATASET_MAX_INPUTS]; /* which input; NULL for "samples"
                                              without names                    */
    const char *samples[DATASET_MAX_INPUTS];
    const char *labels, *boxes; /* or NULL */
    int64_t count;              /* only the first so many; 0: all */
};

/* Cuts one long row into samples: element k of sample i is
 * row[i * step + (k - context) * stride], zero before the start. */
struct spec_window {
    int64_t size; /* 0: not given */
    int64_t step, stride, context;
};

struct dataset_spec {
    const char *task; /* or NULL */
    int64_t n_classes;
    const char *const *class_names;
    const char *class_file;
    struct spec_part part[DATASET_N_SPLITS];
    int n_zeros;
    const char *zeros[DATASET_MAX_INPUTS]; /* inputs that are all zero */

    /* v = x * scale; with a peak v = v / (max |v| + peak); v = (v - mean) / std. */
    double scale;
    double peak; /* < 0: none */
    struct spec_numbers mean, std;
    struct spec_size resize, crop;
    enum spec_color color, stored_color;
    enum spec_layout layout, input_layout; /* of the arrays; of the model */
    struct spec_window window;
    int64_t rate; /* of sounds, in Hz; 0: any */

    int64_t label_offset;   /* added to every label */
    double label_threshold; /* NaN: labels are classes; else label > threshold */
    struct dataset_decoder decoder;
};

/* What a set without a specification has. */
struct dataset_spec dataset_spec_none(void);
/* `text` need not end with NUL.  *out points into `a`. */
struct status *dataset_spec_parse(struct arena *a, const char *text, size_t len,
                                  struct dataset_spec *out);

#endif /* HADMC_FRONTEND_DATASET_SPEC_H */
