/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors: outputs -> boxes, overlapping boxes removed, and average precision.
 *
 *     struct detection_score *score = detection_score_create(a, d->n_classes);
 *     for each sample:
 *         detection_decode(&d->decoder, outputs, n_outputs, a, &found);
 *         detection_score_add(score, truth, n_truth, &found);
 *     struct detection_precision ap = detection_score_result(score);
 */
#ifndef HADMC_COMPRESS_DETECTION_H
#define HADMC_COMPRESS_DETECTION_H

#include "frontend/dataset.h"

/* One output of a model on one sample. */
struct detection_output {
    const char *name;
    int rank;
    const int64_t *dim;
    const float *data;
};

struct detection {
    struct dataset_box box;
    float score;
    int64_t index; /* among the candidates; orders equal scores */
};

/* Falling scores, then rising index. */
struct detection_list {
    int64_t n;
    struct detection *at;
};

/* Boxes whose score is above the threshold, suppressed per class and cut to max_boxes.
 * Of more than 4096 candidates the best are looked at.  The list is in `a`.
 *
 *   DATASET_GRID   one candidate a cell, of its best class: objectness^a * class^b
 *                  (FastestDet: a = 0.6, b = 0.4, tanh and sigmoid)
 *   DATASET_BOXES  one candidate a box and class
 *
 * INVALID when the outputs are not what the decoder describes. */
struct status *detection_decode(const struct dataset_decoder *decoder,
                                const struct detection_output *outputs, int n_outputs,
                                struct arena *a, struct detection_list *out);

/* Intersection over union; 0 when both are empty. */
double detection_iou(const struct dataset_box *a, const struct dataset_box *b);

/* Greedy non-maximum suppression: sorts, then drops every box that overlaps a better
 * one of its class by more than max_iou. */
void detection_suppress(struct detection_list *list, double max_iou);

/* ---- average precision ----------------------------------------------------------- */

/* As in the COCO evaluation (Lin et al. 2014, arXiv:1405.0312; cocoeval.py): in each
 * picture, class by class, the detections in falling score each take the free true box
 * that they overlap most, if by at least the threshold.  Over all pictures precision at
 * a recall is the largest at that recall or above; AP is its mean over the recalls 0,
 * 0.01 ... 1, averaged over classes that have true boxes.  Crowd boxes and areas are
 * not told apart; how many boxes a picture may have is the decoder's max_boxes. */
struct detection_precision {
    double ap50;                /* overlap of 0.5                             */
    double ap;                  /* mean over overlaps 0.5, 0.55 ... 0.95      */
    int64_t n_classes, n_truth; /* classes with true boxes; true boxes */
};

struct detection_score;

struct detection_score *detection_score_create(struct arena *a, int64_t n_classes);
/* `found` is sorted by falling score.  Classes are in 0 ... n_classes-1; detections of
 * other classes are ignored. */
void detection_score_add(struct detection_score *s, const struct dataset_box *truth,
                         int64_t n_truth, const struct detection_list *found);
/* NaN when there were no true boxes. */
struct detection_precision detection_score_result(struct detection_score *s);

#endif /* HADMC_COMPRESS_DETECTION_H */
