/* SPDX-License-Identifier: Apache-2.0 */
/* Average precision: see detection.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/detection.h"

enum { N_OVERLAPS = 10, N_RECALLS = 101 };

/* A detection, and for each overlap whether it took a true box. */
struct hit {
    int64_t class_id;
    float score;
    int index; /* in the order of adding: equal scores keep it */
    uint16_t took;
};

struct detection_score {
    struct arena *arena;
    int64_t n_classes;
    int64_t *n_truth; /* [n_classes] */
    int n_hits, cap;
    struct hit *hits;
};

struct detection_score *detection_score_create(struct arena *a, int64_t n_classes)
{
    struct detection_score *s = arena_new(a, struct detection_score);

    s->arena = a;
    s->n_classes = n_classes;
    s->n_truth = arena_new_array(a, int64_t, n_classes);
    return s;
}

static double overlap(int i)
{
    return (50 + 5 * i) / 100.0;
}

/* The free true box of d's class that it overlaps most, by at least `least`; or -1. */
static int64_t best_truth(const struct detection *d, const struct dataset_box *truth,
                          int64_t n, const bool *taken, double least)
{
    int64_t best = -1;

    for (int64_t i = 0; i < n; i++) {
        if (taken[i] || truth[i].class_id != d->box.class_id)
            continue;

        const double iou = detection_iou(&d->box, &truth[i]);

        if (iou >= least) {
            best = i;
            least = iou;
        }
    }
    return best;
}

static void match(struct hit *hits, const struct detection *found, int n_found,
                  const struct dataset_box *truth, int64_t n_truth, bool *taken, int o)
{
    memset(taken, 0, (size_t)n_truth * sizeof *taken);
    for (int i = 0; i < n_found; i++) {
        const int64_t t = best_truth(&found[i], truth, n_truth, taken, overlap(o));

        if (t >= 0) {
            taken[t] = true;
            hits[i].took |= (uint16_t)(1u << o);
        }
    }
}

void detection_score_add(struct detection_score *s, const struct dataset_box *truth,
                         int64_t n_truth, const struct detection_list *found)
{
    const int n = (int)found->n;
    bool *taken = arena_new_array(s->arena, bool, n_truth);
    const int first = s->n_hits;

    for (int64_t i = 0; i < n_truth; i++)
        s->n_truth[truth[i].class_id]++;
    for (int i = 0; i < n; i++) {
        s->hits = arena_grow(s->arena, s->hits, sizeof *s->hits, s->n_hits, &s->cap);
        s->hits[s->n_hits] =
            (struct hit){found->at[i].box.class_id, found->at[i].score, s->n_hits, 0};
        s->n_hits++;
    }
    for (int o = 0; o < N_OVERLAPS && n; o++)
        match(s->hits + first, found->at, n, truth, n_truth, taken, o);
}

/* ---- the curve ------------------------------------------------------------------- */

/* By class, then falling score. */
static int by_class(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    if (x->class_id != y->class_id)
        return x->class_id < y->class_id ? -1 : 1;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

/* AP of one class at one overlap; `precision` is scratch of n numbers. */
static double average_precision(const struct hit *hits, int n, int o, int64_t n_truth,
                                double *precision)
{
    int64_t n_right = 0;
    double sum = 0;
    int at = 0;

    for (int i = 0; i < n; i++) {
        n_right += hits[i].took >> o & 1;
        precision[i] = (double)n_right / (i + 1);
    }
    for (int i = n - 2; i >= 0; i--)
        precision[i] = fmax(precision[i], precision[i + 1]);
    n_right = n ? hits[0].took >> o & 1 : 0;
    for (int r = 0; r < N_RECALLS; r++) {
        /* recall = n_right / n_truth >= r / 100, in whole numbers */
        while (at < n && n_right * (N_RECALLS - 1) < r * n_truth)
            if (++at < n)
                n_right += hits[at].took >> o & 1;
        if (at < n)
            sum += precision[at];
    }
    return sum / (double)N_RECALLS;
}

struct detection_precision detection_score_result(struct detection_score *s)
{
    double *precision = arena_new_array(s->arena, double, s->n_hits + 1);
    struct detection_precision r = {0};
    int at = 0;

    if (s->n_hits)
        qsort(s->hits, (size_t)s->n_hits, sizeof *s->hits, by_class);
    for (int64_t c = 0; c < s->n_classes; c++) {
        int n = 0;

        while (at < s->n_hits && s->hits[at].class_id < c)
            at++;
        while (at + n < s->n_hits && s->hits[at + n].class_id == c)
            n++;
        if (!s->n_truth[c])
            continue;
        r.n_classes++;
        r.n_truth += s->n_truth[c];
        for (int o = 0; o < N_OVERLAPS; o++) {
            const double ap =
                average_precision(s->hits + at, n, o, s->n_truth[c], precision);

            r.ap += ap / (double)N_OVERLAPS;
            r.ap50 += o ? 0 : ap;
        }
    }
    r.ap = r.n_classes ? r.ap / (double)r.n_classes : (double)NAN;
    r.ap50 = r.n_classes ? r.ap50 / (double)r.n_classes : (double)NAN;
    return r;
}
