/* SPDX-License-Identifier: Apache-2.0 */
/* See evaluate.h: whole bundles on samples, a batch at a time. */
#include "compress/evaluate.h"

#include <math.h>
#include <string.h>

#include "compress/detection.h"

/* Inputs and outputs of this many bytes are in memory at once. */
enum { BATCH_BYTES = 64 << 20 };

static struct status *check(const struct bundle_meta *m, const struct dataset *d)
{
    if (m->n_inputs != d->n_inputs)
        return FAIL(INVALID, "the bundle has %d inputs, the data set gives %d",
                    m->n_inputs, d->n_inputs);
    if (m->n_outputs < 1 || m->io[m->n_inputs].dtype != DT_f32
        || m->io[m->n_inputs].dynamic)
        return FAIL(UNSUPPORTED, "only models whose first output is float32 and of "
                                 "fixed size can be evaluated");
    return OK;
}

static void make_output(struct arena *a, const struct bundle_io *io, int64_t n,
                        struct output *out)
{
    *out = (struct output){.name = io->name, .rank = io->rank, .row = 1};
    memcpy(out->dim, io->dim, sizeof out->dim);
    for (int i = 0; i < io->rank; i++)
        out->row *= io->dim[i];
    if (io->dtype == DT_f32 && !io->dynamic)
        out->at = arena_new_array(a, float, n * out->row);
}

static struct status *read_inputs(struct arena *a, const struct dataset *d, int64_t n,
                                  const int64_t *sample, struct tensor *in)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < d->n_inputs; k++) {
            struct tensor *t = &in[i * d->n_inputs + k];

            *t = (struct tensor){.dtype = d->input[k].dtype, .rank = d->input[k].rank};
            memcpy(t->dim, d->input[k].dim, sizeof t->dim);
            t->data = arena_alloc(a, (size_t)dataset_bytes(d, k));
            RETURN_IF_FAIL(dataset_read(d, sample[i], k, t->data));
        }
    return OK;
}

static struct status *run_batch(struct arena *a, const char *folder,
                                const struct bundle_meta *m, const struct dataset *d,
                                int64_t n, const int64_t *sample, int64_t first,
                                struct outputs *out)
{
    struct tensor *in = arena_new_array(a, struct tensor, n * d->n_inputs);
    const struct run_options o = {
        .repeat = 1, .all_cores = true, .target = target_find(m->target)};
    struct run_result r;

    RETURN_IF_FAIL(read_inputs(a, d, n, sample, in));
    RETURN_IF_FAIL(bundle_run_many(a, folder, m, (int)n, in, &o, &r));
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < out->n_outputs; k++) {
            const struct output *to = &out->output[k];

            if (to->at)
                memcpy(to->at + (first + i) * to->row,
                       r.outputs[i * m->n_outputs + k].data,
                       (size_t)to->row * sizeof *to->at);
        }
    return OK;
}

struct status *evaluate_bundle(struct arena *a, const char *folder,
                               const struct dataset *d, int64_t n,
                               const int64_t *sample, struct outputs *out)
{
    struct bundle_meta m;
    int64_t bytes = 0;

    RETURN_IF_FAIL(bundle_read_meta(a, folder, &m));
    RETURN_IF_FAIL(check(&m, d));
    for (int k = 0; k < d->n_inputs; k++)
        bytes += dataset_bytes(d, k);
    *out = (struct outputs){.n = n, .n_outputs = m.n_outputs};
    out->output = arena_new_array(a, struct output, m.n_outputs);
    for (int k = 0; k < m.n_outputs; k++) {
        make_output(a, &m.io[m.n_inputs + k], n, &out->output[k]);
        bytes += out->output[k].row * (int64_t)sizeof(float);
    }

    const int64_t batch = bytes < BATCH_BYTES ? BATCH_BYTES / (bytes + 1) : 1;
    struct status *s = OK;

    for (int64_t i = 0; i < n && !s; i += batch) {
        struct arena *scratch = arena_create();

        s = run_batch(scratch, folder, &m, d, n - i < batch ? n - i : batch, sample + i,
                      i, out);
        arena_destroy(scratch);
    }
    return status_note(s, "while running '%s' on samples of '%s'", folder, d->path);
}

/* ---- scores ---------------------------------------------------------------------- */

const char *const score_names[] = {NULL, "top1", "perplexity", "ap50"};

double score_drop(const struct score *s)
{
    switch (s->kind) {
    case SCORE_NONE:
        return 0.0;
    case SCORE_PERPLEXITY:
        return 100.0 * (s->compressed / s->original - 1.0);
    default:
        return 100.0 * (s->original - s->compressed);
    }
}

struct scoring {
    const struct dataset *d;
    const int64_t *sample;
    const struct outputs *original, *compressed;
    struct score *out;
};

static double mean_cosine(const struct outputs *a, const struct outputs *b)
{
    double sum = 0.0;
    int count = 0;

    for (int k = 0; k < a->n_outputs; k++) {
        const int64_t row = a->output[k].row;

        for (int64_t i = 0; i < a->n && a->output[k].at; i++)
            sum += metrics_cosine(a->output[k].at + i * row, b->output[k].at + i * row,
                                  row);
        count += a->output[k].at != NULL;
    }
    return sum / (double)(a->n * count);
}

/* Rows of `row` scores of the first output. */
static void add_divergence(struct scoring *s, int64_t row)
{
    const struct output *a = &s->original->output[0], *b = &s->compressed->output[0];
    const int64_t rows = s->original->n * a->row / row;
    const enum metrics_scale scale = metrics_scale_of(a->at, rows, row);

    s->out->has_kl = true;
    for (int64_t r = 0; r < rows; r++)
        s->out->kl +=
            metrics_kl(a->at + r * row, b->at + r * row, row, scale) / (double)rows;
}

static void score_classes(struct scoring *s)
{
    const struct output *a = &s->original->output[0], *b = &s->compressed->output[0];
    const int64_t row = a->row;
    struct metrics_paired *p = &s->out->top1;

    if (row < 2)
        return;
    add_divergence(s, row);
    for (int64_t i = 0; i < s->original->n; i++) {
        const int64_t label = dataset_label(s->d, s->sample[i]);

        if (label >= 0)
            metrics_paired_add(p, metrics_in_top(a->at + i * row, row, label, 1),
                               metrics_in_top(b->at + i * row, row, label, 1));
    }
    const int64_t n = p->both + p->lost + p->gained + p->neither;

    if (!n)
        return;
    s->out->kind = SCORE_TOP1;
    s->out->original = (double)(p->both + p->lost) / (double)n;
    s->out->compressed = (double)(p->both + p->gained) / (double)n;
}

static double perplexity(const struct scoring *s, const struct outputs *o, int64_t row,
                         int64_t *targets)
{
    const struct output *out = &o->output[0];
    const int64_t tokens = out->row / row;
    const enum metrics_scale scale =
        metrics_scale_of(s->original->output[0].at, o->n * tokens, row);
    double sum = 0.0;
    int64_t count = 0;

    for (int64_t i = 0; i < o->n; i++) {
        status_free(dataset_targets(s->d, s->sample[i], targets));
        for (int64_t t = 0; t < tokens; t++)
            if (targets[t] >= 0 && targets[t] < row) {
                sum += metrics_nll(out->at + i * out->row + t * row, row, targets[t],
                                   scale);
                count++;
            }
    }
    return exp(sum / (double)(count ? count : 1));
}

static void score_tokens(struct scoring *s, struct arena *a)
{
    const struct output *out = &s->original->output[0];
    const int64_t row = out->rank ? out->dim[out->rank - 1] : 1;
    const int64_t tokens =
        dataset_bytes(s->d, 0) / dtype_info[s->d->input[0].dtype].bytes;

    if (row < 2 || out->row / row != tokens)
        return;
    add_divergence(s, row);
    int64_t *targets = arena_new_array(a, int64_t, tokens);

    s->out->kind = SCORE_PERPLEXITY;
    s->out->original = perplexity(s, s->original, row, targets);
    s->out->compressed = perplexity(s, s->compressed, row, targets);
}

static struct status *precision(const struct scoring *s, const struct outputs *o,
                                struct arena *a, double *out)
{
    struct detection_score *score = detection_score_create(a, s->d->n_classes);
    struct detection_output *all =
        arena_new_array(a, struct detection_output, o->n_outputs);

    for (int64_t i = 0; i < o->n; i++) {
        const struct dataset_box *truth;
        const int64_t n_truth = dataset_boxes(s->d, s->sample[i], &truth);
        struct detection_list found;
        int n = 0;

        for (int k = 0; k < o->n_outputs; k++)
            if (o->output[k].at)
                all[n++] = (struct detection_output){
                    o->output[k].name, o->output[k].rank, o->output[k].dim,
                    o->output[k].at + i * o->output[k].row};
        RETURN_IF_FAIL(detection_decode(&s->d->decoder, all, n, a, &found));
        detection_score_add(score, truth, n_truth, &found);
    }
    *out = detection_score_result(score).ap50;
    return OK;
}

static struct status *score_boxes(struct scoring *s, struct arena *a)
{
    if (s->d->decoder.kind == DATASET_NO_DECODER)
        return OK;
    RETURN_IF_FAIL(precision(s, s->original, a, &s->out->original));
    RETURN_IF_FAIL(precision(s, s->compressed, a, &s->out->compressed));
    if (!isnan(s->out->original))
        s->out->kind = SCORE_AP50;
    return OK;
}

struct status *evaluate_score(const struct dataset *d, const int64_t *sample,
                              const struct outputs *original,
                              const struct outputs *compressed, struct score *out)
{
    struct scoring s = {d, sample, original, compressed, out};
    struct arena *a = arena_create();
    struct status *status = OK;

    *out =
        (struct score){.n = original->n, .cosine = mean_cosine(original, compressed)};
    if (d->task == DATASET_CLASSIFY)
        score_classes(&s);
    else if (d->task == DATASET_LANGUAGE)
        score_tokens(&s, a);
    else if (d->task == DATASET_DETECT)
        status = score_boxes(&s, a);
    arena_destroy(a);
    return status;
}
