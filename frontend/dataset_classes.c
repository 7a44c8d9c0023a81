/* SPDX-License-Identifier: Apache-2.0 */
/* How many classes a model tells apart, so that labels and boxes of others are refused
 * where they are read: an accuracy over them would say nothing, and the counts of
 * detection_score.h are as long as the largest class. */
#include <string.h>

#include "frontend/dataset_parts.h"

/* Where nobody knows what the decoder has. */
enum { MOST_CLASSES = 1 << 20 };

static int64_t count_of(const struct dataset_output *o)
{
    int64_t n = 1;

    for (int i = 0; i < o->rank; i++)
        n *= o->dim[i];
    return n;
}

/* Scores are all of the first output; a single number is none for each class. */
static int64_t classes_of_scores(const struct dataset *d)
{
    const char *task = d->parts->spec.task;
    const bool classifies = d->n_outputs && (!task || strcmp(task, "classify") == 0);
    const int64_t n = classifies ? count_of(&d->output[0]) : 0;

    return n > 1 ? n : 0;
}

/* NULL: the only one. */
static const struct dataset_output *find(const struct dataset *d, const char *name)
{
    for (int i = 0; i < d->n_outputs; i++)
        if (name ? strcmp(d->output[i].name, name) == 0 : d->n_outputs == 1)
            return &d->output[i];
    return NULL;
}

/* As compress/detection.c reads them. */
static int64_t classes_of_decoder(const struct dataset *d)
{
    const struct dataset_decoder *c = &d->decoder;
    const struct dataset_output *o =
        find(d, c->kind == DATASET_BOXES ? c->scores : c->output);

    if (c->kind == DATASET_GRID && o && o->rank == 4)
        return o->dim[1] - c->classes;
    if (c->kind == DATASET_BOXES && o && o->rank == 3)
        return o->dim[2] - (c->background >= 0);
    return 0;
}

void dataset_count_classes(struct dataset *d)
{
    d->parts->label_classes = classes_of_scores(d);
    d->parts->box_classes = classes_of_decoder(d);
}

struct status *dataset_check_label(const struct dataset *d, const char *name, int64_t i,
                                   int64_t label)
{
    const int64_t most = d->parts->label_classes;

    if (!most || label < most)
        return OK;
    return FAIL(INVALID, "label %lld of '%s' is class %lld, output '%s' has %lld",
                (long long)i, name, (long long)label, d->output[0].name,
                (long long)most);
}

struct status *dataset_check_box(const struct dataset *d, const char *name, int64_t row,
                                 int64_t class_id)
{
    const int64_t most = d->parts->box_classes;

    if (class_id < (most > 0 ? most : MOST_CLASSES))
        return OK;
    return FAIL(INVALID, "row %lld of '%s' has class %lld, %s %lld", (long long)row,
                name, (long long)class_id, most > 0 ? "the decoder has" : "the most is",
                (long long)(most > 0 ? most : MOST_CLASSES));
}
