/* SPDX-License-Identifier: Apache-2.0 */
/* See evaluate.h: whole bundles on samples, a batch at a time. */
#include "compress/evaluate.h"

#include <string.h>

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

static int64_t row_of(const struct bundle_meta *m)
{
    const struct bundle_io *io = &m->io[m->n_inputs];
    int64_t n = 1;

    for (int i = 0; i < io->rank; i++)
        n *= io->dim[i];
    return n;
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
                                int64_t n, const int64_t *sample, int64_t row,
                                float *to)
{
    struct tensor *in = arena_new_array(a, struct tensor, n * d->n_inputs);
    const struct run_options o = {.repeat = 1, .target = target_find(m->target)};
    struct run_result r;

    RETURN_IF_FAIL(read_inputs(a, d, n, sample, in));
    RETURN_IF_FAIL(bundle_run_many(a, folder, m, (int)n, in, &o, &r));
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * row, r.outputs[i * m->n_outputs].data,
               (size_t)row * sizeof *to);
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
    *out = (struct outputs){.n = n, .row = row_of(&m)};
    bytes += out->row * (int64_t)sizeof(float) * m.n_outputs;
    out->at = arena_new_array(a, float, n * out->row);

    const int64_t batch = bytes < BATCH_BYTES ? BATCH_BYTES / (bytes + 1) : 1;
    struct status *s = OK;

    for (int64_t i = 0; i < n && !s; i += batch) {
        struct arena *scratch = arena_create();

        s = run_batch(scratch, folder, &m, d, n - i < batch ? n - i : batch, sample + i,
                      out->row, out->at + i * out->row);
        arena_destroy(scratch);
    }
    return status_note(s, "while running '%s' on samples of '%s'", folder, d->path);
}

struct score evaluate_score(const struct dataset *d, const int64_t *sample,
                            const struct outputs *original,
                            const struct outputs *compressed)
{
    const int64_t n = original->n, row = original->row;
    struct score s = {.n = n};
    const bool classes = d->task == DATASET_CLASSIFY && row >= 2;
    const enum metrics_scale scale =
        classes ? metrics_scale_of(original->at, n, row) : METRICS_LOGITS;

    for (int64_t i = 0; i < n; i++) {
        const float *a = original->at + i * row, *b = compressed->at + i * row;
        const int64_t label = dataset_label(d, sample[i]);

        s.cosine += metrics_cosine(a, b, row) / (double)n;
        if (!classes)
            continue;
        s.kl += metrics_kl(a, b, row, scale) / (double)n;
        if (label < 0)
            continue;
        s.has_labels = true;
        metrics_paired_add(&s.top1, metrics_in_top(a, row, label, 1),
                           metrics_in_top(b, row, label, 1));
    }
    return s;
}
