/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: labelled or plain samples for calibration, accuracy and search, delivered
 * in the shape and type of a model's inputs.  docs/data.md has the formats.
 *
 *     struct dataset_options want = {0};
 *     struct dataset *d;
 *     RETURN_IF_FAIL(dataset_inputs_of(graph, arena, &want));
 *     RETURN_IF_FAIL(dataset_open("pictures/", &want, arena, &d));
 *     for (int64_t i = 0; i < d->n; i++)
 *         RETURN_IF_FAIL(dataset_read(d, i, 0, tensor));
 *     dataset_close(d);
 *
 * `path` is one of
 *   x.npy            samples along the first axis
 *   x.npz            named arrays: samples and labels by name, or inputs by name
 *   x.json           a specification; its files are beside it
 *   a folder         of .npy by name, of PNG, JPEG, BMP or WAV by class (sub-folder =
 *                    class, classes numbered in sorted order), or of such files flat;
 *                    train/, val/, test/ may be above; dataset.json in it is its
 *                    specification
 *
 * Names of arrays.  A name is cut into words at '_', '-', '.' and ' '.  A word train,
 * val or test names the split; labels, label, y, targets or target makes it the labels;
 * images, x, data, samples, inputs, input, features, wave or tokens only says that it
 * is samples; the other words are the stem.  Labels belong to the samples of the same
 * split and stem, otherwise those without a stem do.  Several sample arrays in one
 * split: the one called like the model's input, otherwise the only one whose shape
 * fits.  A model with several inputs takes for each the array of its name.
 *
 * Preprocessing, unless a specification says otherwise: numbers become the input's type
 * as they are, pictures are RGB (grey when the input has one channel) from 0 to 255,
 * WAV is mono from -1 to 1 and padded with zeros or cut to the input's length.
 * Dimensions of 1 do not count when shapes are compared; HxWxC becomes CxHxW, and back,
 * where only that fits.  Integer inputs take integers only, checked against the type's
 * range.
 *
 * Tasks, unless the specification says: language for an integer input of L and integer
 * rows of L + 1 (the row shifted by one is the target); classify with labels; else
 * none.
 *
 * Everything in the files is untrusted and checked: arrays and specification when the
 * set is opened, pictures and sounds when they are read.  Labels and boxes are of
 * classes that the model tells apart, where that is known: scores are all elements of
 * the first output, those of boxes what the decoder reads.  Errors: INVALID (a file is
 * not what it should be, or does not fit the input), UNSUPPORTED (a sound file of a
 * kind that is not read), IO_ERROR.
 */
#ifndef HADMC_FRONTEND_DATASET_H
#define HADMC_FRONTEND_DATASET_H

#include "frontend/ir.h"

enum { DATASET_MAX_INPUTS = 64 };

enum dataset_task {
    DATASET_NONE,     /* samples only                                   */
    DATASET_CLASSIFY, /* one class number a sample                      */
    DATASET_DETECT,   /* boxes with classes                             */
    DATASET_LANGUAGE, /* token ids; the next token is the target        */
};

enum dataset_split {
    DATASET_TRAIN,
    DATASET_VAL,
    DATASET_TEST,
    DATASET_UNNAMED,
    DATASET_N_SPLITS
};

/* An input of the model, leading batch dimension included. */
struct dataset_input {
    const char *name;
    enum dtype dtype;
    int rank;
    int64_t dim[IR_MAX_RANK];
};

/* An output of fixed size, for what its classes are. */
struct dataset_output {
    const char *name;
    int rank;
    int64_t dim[IR_MAX_RANK];
};

struct dataset_options {
    int n_inputs; /* 1 ... DATASET_MAX_INPUTS */
    const struct dataset_input *input;
    int n_outputs; /* 0: not known, and any label is one */
    const struct dataset_output *output;
    const char *spec; /* file of a specification, instead of dataset.json; or NULL */
};

/* Inputs and outputs of a graph, in `a`, into `out`, which keeps its specification.
 * UNSUPPORTED when there are none or more than DATASET_MAX_INPUTS. */
struct status *dataset_inputs_of(const struct ir_graph *g, struct arena *a,
                                 struct dataset_options *out);

/* Corners relative to the picture: 0 is left or top, 1 right or bottom. */
struct dataset_box {
    int64_t class_id;
    float x0, y0, x1, y1;
};

/* How a detector's outputs become boxes; compress/detection.h carries it out. */
enum dataset_decoder_kind {
    DATASET_NO_DECODER,
    DATASET_GRID,  /* one output [1, channels, rows, columns]; a box a cell        */
    DATASET_BOXES, /* two outputs: boxes [1, n, 4] and scores [1, n, classes]      */
};
enum dataset_box_format { DATASET_CXCYWH, DATASET_XYWH, DATASET_XYXY };
enum dataset_squash { DATASET_LINEAR, DATASET_SIGMOID, DATASET_TANH };

struct dataset_decoder {
    enum dataset_decoder_kind kind;
    double score_threshold; /* boxes below are dropped                      */
    double nms_iou;         /* above this overlap the lower score goes      */
    int64_t max_boxes;      /* per picture, highest scores first            */
    /* DATASET_GRID: score = objectness^a * class^b; the centre of the box of a cell is
     * (column + f(dx)) / columns, (row + f(dy)) / rows; its size g(w), g(h). */
    const char *output; /* name; NULL: the only output                  */
    int64_t objectness; /* its channel; -1: there is none               */
    int64_t box;        /* channel of dx; dy, w, h follow               */
    int64_t classes;    /* first class channel, up to the last          */
    double objectness_power, class_power;
    enum dataset_squash offset, size;
    /* DATASET_BOXES */
    const char *boxes, *scores; /* names of outputs                         */
    enum dataset_box_format format;
    int64_t background;    /* class that is no object; -1: none.  Classes
                              behind it count one less                     */
    double unit_x, unit_y; /* what is 1: 1 when relative, else the width
                              and height in pixels of the model's input    */
};

struct dataset {
    const char *path;
    enum dataset_task task;
    int64_t
        n; /* samples of all splits; their numbers run through the splits in order */
    struct {
        int64_t first, n;
    } split[DATASET_N_SPLITS];
    int n_inputs;
    const struct dataset_input *input; /* as asked for */
    int n_outputs;
    const struct dataset_output *output; /* the same */
    int64_t n_classes;                 /* named, or largest label + 1; 0: not known */
    const char *const *class_names;    /* n_classes, or NULL */
    struct dataset_decoder decoder;
    struct dataset_parts *parts; /* how it is read: dataset_parts.h */
};

/* The set in *out lives in `a`; dataset_close gives back files and large arrays. */
struct status *dataset_open(const char *path, const struct dataset_options *options,
                            struct arena *a, struct dataset **out);
void dataset_close(struct dataset *d); /* NULL is fine */

/* Sample i for input number `input`: dense, in its type and dimensions, into `out` of
 * dataset_bytes(d, input).  Pictures and sounds are decoded here.  INVALID for a sample
 * that holds NaN or an infinite number: nobody behind checks again.  May be called from
 * several threads at once. */
struct status *dataset_read(const struct dataset *d, int64_t i, int input, void *out);
int64_t dataset_bytes(const struct dataset *d, int input);

/* Class of sample i, or -1 when it has none. */
int64_t dataset_label(const struct dataset *d, int64_t i);
/* DATASET_LANGUAGE: the token after each position of input 0, one an element; -1 where
 * the row ends. */
struct status *dataset_targets(const struct dataset *d, int64_t i, int64_t *out);
/* DATASET_DETECT: the boxes of sample i; returns how many. */
int64_t dataset_boxes(const struct dataset *d, int64_t i,
                      const struct dataset_box **out);

/* SHA-256 of what those samples are to a model and to its score: what dataset_read
 * gives, labels, targets, boxes and the decoder; in the byte order of the machine.  All
 * of them are read, so it fails as dataset_read does.  dataset_digest.c. */
struct status *dataset_digest(const struct dataset *d, int64_t n, const int64_t *at,
                              uint8_t out[32]);

/* Leaves in `at`, numbers of *n samples of d, those whose inputs are not, byte for byte,
 * those of one of the n_other samples of `other`, which has the same inputs and may be
 * d; *n becomes how many these are.  All are read.  dataset_digest.c. */
struct status *dataset_without(const struct dataset *d, const struct dataset *other,
                               int64_t n_other, const int64_t *at_other, int64_t *n,
                               int64_t *at);

const char *dataset_split_name(enum dataset_split split); /* "train" ... "unnamed" */
const char *dataset_task_name(enum dataset_task task);

#endif /* HADMC_FRONTEND_DATASET_H */
