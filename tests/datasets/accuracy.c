/* SPDX-License-Identifier: Apache-2.0 */
/* Real data sets through real models, run by the reference interpreter: accuracy must
 * be what other frameworks measured with the same data and preprocessing.
 *
 *     accuracy MODELS DATASETS SPECS [--all | MODEL]
 *
 * Without --all the rows that take minutes are left out; with a name, all others.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compress/detection.h"
#include "compress/metrics.h"
#include "frontend/dataset.h"
#include "frontend/onnx_import.h"
#include "frontend/pass.h"

enum measure { TOP_1, NLL, AP50, AUC };

/*  model, data set
 *  spec      specification in the folder of them; NULL: none is needed
 *  measure   of all samples of the test split, or of the only split
 *  want      percent; nats a token; area
 *  slack     published numbers are rounded
 *  slow      runs with --all only
 *  batch     name of a dimension that is 1, or NULL
 */
static const struct row {
    const char *model, *set, *spec;
    enum measure measure;
    double want, slack;
    bool slow;
    const char *batch;
} rows[] = {
#include "tests/datasets/accuracy.def"
};

static void die_if(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    exit(status_exit_code(s));
}

/* ---- a model --------------------------------------------------------------------- */

struct model {
    struct compile *compile;
    struct ir_graph *graph;
    struct dataset_options want;
};

static struct model load(const char *folder, const struct row *r)
{
    const struct onnx_options batch = {.n_dims = r->batch != NULL,
                                       .dim = {{r->batch, 1}}};
    struct model m = {.compile = compile_create()};
    const char *path =
        arena_printf(m.compile->perm, "%s/%s/model.onnx", folder, r->model);

    die_if(onnx_import(m.compile, path, &batch, NULL, &m.graph));
    die_if(passes_run(m.compile, m.graph, NULL));
    die_if(dataset_inputs_of(m.graph, m.compile->perm, &m.want));
    return m;
}

static const struct tensor *run(struct arena *a, const struct model *m,
                                const struct dataset *d, int64_t i)
{
    struct tensor *in = arena_new_array(a, struct tensor, d->n_inputs);
    struct interpretation out;

    for (int k = 0; k < d->n_inputs; k++) {
        in[k].dtype = d->input[k].dtype;
        in[k].rank = d->input[k].rank;
        memcpy(in[k].dim, d->input[k].dim, sizeof in[k].dim);
        in[k].data = arena_alloc(a, (size_t)dataset_bytes(d, k));
        die_if(dataset_read(d, i, k, in[k].data));
    }
    die_if(interpret(a, m->graph, in, &out));
    return &out.by_id[m->graph->out[0]->id];
}

/* ---- measures -------------------------------------------------------------------- */

struct sums {
    double right, nll;
    int64_t n, n_tokens;
    float *score;
    bool *is_positive;
    struct detection_score *detections;
};

static void add_tokens(struct arena *a, const struct dataset *d, int64_t i,
                       const struct tensor *out, struct sums *s)
{
    const int64_t n_rows = out->dim[1], n = out->dim[2];
    int64_t *target = arena_new_array(a, int64_t, n_rows);

    die_if(dataset_targets(d, i, target));
    for (int64_t k = 0; k < n_rows; k++)
        if (target[k] >= 0) {
            s->nll +=
                metrics_nll((float *)out->data + k * n, n, target[k], METRICS_LOGITS);
            s->n_tokens++;
        }
}

static void add_boxes(struct arena *a, const struct model *m, const struct dataset *d,
                      int64_t i, const struct tensor *out, struct sums *s)
{
    const struct detection_output output = {m->graph->out[0]->name, out->rank, out->dim,
                                            out->data};
    const struct dataset_box *truth = NULL;
    const int64_t n_truth = dataset_boxes(d, i, &truth);
    struct detection_list found;

    die_if(detection_decode(&d->decoder, &output, 1, a, &found));
    detection_score_add(s->detections, truth, n_truth, &found);
}

static void add(struct arena *a, const struct row *r, const struct model *m,
                const struct dataset *d, int64_t i, struct sums *s)
{
    const struct tensor *out = run(a, m, d, i);
    const int64_t label = dataset_label(d, i);

    if (r->measure == TOP_1)
        s->right += metrics_in_top(out->data, out->dim[out->rank - 1], label, 1);
    if (r->measure == NLL)
        add_tokens(a, d, i, out, s);
    if (r->measure == AP50)
        add_boxes(a, m, d, i, out, s);
    if (r->measure == AUC) {
        s->score[s->n] = *(float *)out->data;
        s->is_positive[s->n] = label == 1;
    }
    s->n++;
}

static double result(const struct row *r, const struct sums *s)
{
    switch (r->measure) {
    case TOP_1:
        return 100 * s->right / (double)s->n;
    case NLL:
        return s->nll / (double)s->n_tokens;
    case AP50:
        return 100 * detection_score_result(s->detections).ap50;
    case AUC:
        return metrics_auc(s->score, s->is_positive, s->n);
    }
    return 0;
}

/* ---- rows ------------------------------------------------------------------------ */

static enum dataset_split test_split(const struct dataset *d)
{
    return d->split[DATASET_TEST].n ? DATASET_TEST : DATASET_UNNAMED;
}

static double measure(const struct row *r, const struct model *m,
                      const struct dataset *d, int64_t n)
{
    const int64_t first = d->split[test_split(d)].first;
    struct arena *keep = arena_create(), *a = arena_create();
    struct sums s = {.score = arena_new_array(keep, float, n),
                     .is_positive = arena_new_array(keep, bool, n),
                     .detections = detection_score_create(keep, d->n_classes)};

    for (int64_t i = first; i < first + n; i++) {
        add(a, r, m, d, i, &s);
        arena_reset(a);
    }

    const double x = result(r, &s);

    arena_destroy(a);
    arena_destroy(keep);
    return x;
}

static bool check(const struct row *r, const char *const *folders)
{
    struct model m = load(folders[0], r);
    struct arena *a = arena_create();
    struct dataset *d;

    if (r->spec)
        m.want.spec = arena_printf(a, "%s/%s.json", folders[2], r->spec);
    die_if(dataset_open(arena_printf(a, "%s/%s", folders[1], r->set), &m.want, a, &d));

    const int64_t n = d->split[test_split(d)].n;
    const double got = measure(r, &m, d, n);
    const bool good = fabs(got - r->want) <= r->slack;

    printf("%-4s %-26s %-16s %5lld samples: %.4f, expected %.4f\n", good ? "ok" : "BAD",
           r->model, r->set, (long long)n, got, r->want);
    fflush(stdout);
    dataset_close(d);
    arena_destroy(a);
    compile_destroy(m.compile);
    return good;
}

static bool is_wanted(const struct row *r, const char *which)
{
    if (!which)
        return !r->slow;
    return strcmp(which, "--all") == 0 || strcmp(which, r->model) == 0;
}

int main(int argc, char **argv)
{
    int n_bad = 0;

    if (argc < 4)
        return 2;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is_wanted(&rows[i], argc > 4 ? argv[4] : NULL))
            n_bad += !check(&rows[i], (const char *const *)argv + 1);
    return n_bad > 0;
}
