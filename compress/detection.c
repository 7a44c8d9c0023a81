/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of a detector -> boxes: see detection.h. */
#include "compress/detection.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CANDIDATES = 4096 };

/* ---- overlap --------------------------------------------------------------------- */

static double area(const struct dataset_box *b)
{
    return fmax(0, (double)b->x1 - (double)b->x0)
           * fmax(0, (double)b->y1 - (double)b->y0);
}

double detection_iou(const struct dataset_box *a, const struct dataset_box *b)
{
    const struct dataset_box common = {0, fmaxf(a->x0, b->x0), fmaxf(a->y0, b->y0),
                                       fminf(a->x1, b->x1), fminf(a->y1, b->y1)};
    const double both = area(&common), either = area(a) + area(b) - both;

    return either > 0 ? both / either : 0;
}

static int by_falling_score(const void *a, const void *b)
{
    const struct detection *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static void sort(struct detection_list *list)
{
    if (list->n)
        qsort(list->at, (size_t)list->n, sizeof *list->at, by_falling_score);
}

static bool overlaps_better(const struct detection *d,
                            const struct detection_list *kept, double max_iou)
{
    for (int64_t i = 0; i < kept->n; i++)
        if (kept->at[i].box.class_id == d->box.class_id
            && detection_iou(&kept->at[i].box, &d->box) > max_iou)
            return true;
    return false;
}

void detection_suppress(struct detection_list *list, double max_iou)
{
    struct detection_list kept = {0, list->at};

    sort(list);
    for (int64_t i = 0; i < list->n; i++)
        if (!overlaps_better(&list->at[i], &kept, max_iou))
            kept.at[kept.n++] = list->at[i];
    list->n = kept.n;
}

/* ---- candidates ------------------------------------------------------------------ */

struct candidates {
    struct arena *arena;
    const struct dataset_decoder *decoder;
    struct detection_list list;
    int cap;
};

static void add(struct candidates *c, double score, const struct dataset_box *box)
{
    if (!(score > c->decoder->score_threshold))
        return;
    c->list.at =
        arena_grow(c->arena, c->list.at, sizeof *c->list.at, (int)c->list.n, &c->cap);
    c->list.at[c->list.n] = (struct detection){*box, (float)score, c->list.n};
    c->list.n++;
}

static struct dataset_box centred(int64_t class_id, double cx, double cy, double w,
                                  double h)
{
    return (struct dataset_box){class_id, (float)(cx - w / 2), (float)(cy - h / 2),
                                (float)(cx + w / 2), (float)(cy + h / 2)};
}

static double squash(enum dataset_squash kind, float x)
{
    return kind == DATASET_TANH      ? tanh((double)x)
           : kind == DATASET_SIGMOID ? 1 / (1 + exp(-(double)x))
                                     : (double)x;
}

/* ---- a grid ---------------------------------------------------------------------- */

/* One output [1, channels, rows, columns]. */
struct grid {
    int64_t channels, rows, columns;
    const float *data;
};

static float cell(const struct grid *g, int64_t channel, int64_t at)
{
    return g->data[channel * g->rows * g->columns + at];
}

static int64_t best_class(const struct grid *g, int64_t first, int64_t at)
{
    int64_t best = first;

    for (int64_t c = first + 1; c < g->channels; c++)
        if (cell(g, c, at) > cell(g, best, at))
            best = c;
    return best;
}

static void add_cell(struct candidates *c, const struct grid *g, int64_t at)
{
    const struct dataset_decoder *d = c->decoder;
    const int64_t best = best_class(g, d->classes, at);
    const double object = d->objectness < 0 ? 1
                                            : pow((double)cell(g, d->objectness, at),
                                                  d->objectness_power);
    const double dx = squash(d->offset, cell(g, d->box, at));
    const double dy = squash(d->offset, cell(g, d->box + 1, at));
    const struct dataset_box box =
        centred(best - d->classes,
                ((double)(at % g->columns) + dx) / (double)g->columns / d->unit_x,
                ((double)(at / g->columns) + dy) / (double)g->rows / d->unit_y,
                squash(d->size, cell(g, d->box + 2, at)) / d->unit_x,
                squash(d->size, cell(g, d->box + 3, at)) / d->unit_y);

    add(c, object * pow((double)cell(g, best, at), d->class_power), &box);
}

static const struct detection_output *find(const struct detection_output *outputs,
                                           int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (name ? strcmp(outputs[i].name, name) == 0 : n == 1)
            return &outputs[i];
    return NULL;
}

static struct status *decode_grid(const struct detection_output *outputs, int n,
                                  struct candidates *c)
{
    const struct dataset_decoder *d = c->decoder;
    const struct detection_output *o = find(outputs, n, d->output);

    if (!o)
        return FAIL(INVALID, "the decoder's output '%s' is not one of the model",
                    d->output ? d->output : "(the only one)");
    if (o->rank != 4 || o->dim[0] != 1)
        return FAIL(INVALID, "output '%s' is not 1 x channels x rows x columns",
                    o->name);

    const struct grid g = {o->dim[1], o->dim[2], o->dim[3], o->data};

    if (d->box + 4 > g.channels || d->classes >= g.channels
        || d->objectness >= g.channels)
        return FAIL(INVALID, "output '%s' has %lld channels, the decoder wants more",
                    o->name, (long long)g.channels);
    for (int64_t at = 0; at < g.rows * g.columns; at++)
        add_cell(c, &g, at);
    return OK;
}

/* ---- boxes and scores ------------------------------------------------------------ */

static struct dataset_box read_box(const struct dataset_decoder *d, const float *v)
{
    const double x = (double)v[0] / d->unit_x, y = (double)v[1] / d->unit_y;
    const double w = (double)v[2] / d->unit_x, h = (double)v[3] / d->unit_y;

    if (d->format == DATASET_CXCYWH)
        return centred(0, x, y, w, h);
    if (d->format == DATASET_XYWH)
        return (struct dataset_box){0, (float)x, (float)y, (float)(x + w),
                                    (float)(y + h)};
    return (struct dataset_box){0, (float)x, (float)y, (float)w, (float)h};
}

static struct status *decode_boxes(const struct detection_output *outputs,
                                   int n_outputs, struct candidates *c)
{
    const struct dataset_decoder *d = c->decoder;
    const struct detection_output *boxes = find(outputs, n_outputs, d->boxes);
    const struct detection_output *scores = find(outputs, n_outputs, d->scores);

    if (!boxes || !scores)
        return FAIL(INVALID, "the decoder's output '%s' is not one of the model",
                    boxes ? d->scores : d->boxes);
    if (boxes->rank != 3 || boxes->dim[0] != 1 || boxes->dim[2] != 4)
        return FAIL(INVALID, "output '%s' is not 1 x boxes x 4", boxes->name);
    if (scores->rank != 3 || scores->dim[0] != 1 || scores->dim[1] != boxes->dim[1])
        return FAIL(INVALID, "output '%s' is not 1 x %lld x classes", scores->name,
                    (long long)boxes->dim[1]);
    for (int64_t i = 0; i < boxes->dim[1]; i++) {
        struct dataset_box box = read_box(d, boxes->data + 4 * i);

        for (int64_t k = 0; k < scores->dim[2]; k++) {
            box.class_id = k - (d->background >= 0 && k > d->background);
            if (k != d->background)
                add(c, (double)scores->data[i * scores->dim[2] + k], &box);
        }
    }
    return OK;
}

struct status *detection_decode(const struct dataset_decoder *decoder,
                                const struct detection_output *outputs, int n_outputs,
                                struct arena *a, struct detection_list *out)
{
    struct candidates c = {.arena = a, .decoder = decoder};

    if (decoder->kind == DATASET_NO_DECODER)
        return FAIL(INVALID, "no decoder says what the model's outputs are");
    if (decoder->kind == DATASET_GRID)
        RETURN_IF_FAIL(decode_grid(outputs, n_outputs, &c));
    else
        RETURN_IF_FAIL(decode_boxes(outputs, n_outputs, &c));
    sort(&c.list);
    if (c.list.n > MAX_CANDIDATES)
        c.list.n = MAX_CANDIDATES;
    detection_suppress(&c.list, decoder->nms_iou);
    if (c.list.n > decoder->max_boxes)
        c.list.n = decoder->max_boxes;
    *out = c.list;
    return OK;
}
