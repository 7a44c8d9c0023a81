/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy is measured on this machine: both models are compiled for it, and integer
 * outputs are the same bytes on every target. */
#include "cli/quantized.h"

#include <stdio.h>

#include "cli/progress.h"
#include "cli/scratch_folder.h"
#include "cli/training.h"
#include "compress/evaluate.h"
#include "compress/quantize.h"
#include "frontend/match.h"
#include "frontend/splits.h"
#include "plan/plan.h"

enum { MOST_CALIBRATION = 256 };

struct quantized {
    struct arena *a;
    const char *model;
    const struct compile_options *co;
    struct dataset *data;
    struct splits splits;
    bool integers;
    const struct training *training; /* NULL: none */
    struct plan *plan; /* memory of the compile in progress */
};

/* The data set must fit to the model's inputs, which the import knows. */
static struct status *open_data(struct quantized *q, const struct quantized_options *o)
{
    struct compile *c = compile_create();
    struct dataset_options want = {.spec = o->spec};
    struct ir_graph *g;
    struct status *s = onnx_import(c, q->model, &q->co->onnx, NULL, &g);

    if (!s)
        s = dataset_inputs_of(g, q->a, &want);
    compile_destroy(c);
    return s ? s : dataset_open(o->data, &want, q->a, &q->data);
}

/* What quantize_graph has done, unit by unit. */
static void note_decisions(struct plan *p, const struct unit *units,
                           const struct splits *s)
{
    p->bits_policy = BITS_POLICY_uniform;
    p->split = (struct plan_split){
        .seed = (int64_t)s->seed,
        .calibration = s->use[SPLITS_CALIBRATION].n,
        .test = s->use[SPLITS_TEST].n,
    };
    for (int i = 0; i < p->n_units; i++) {
        if (!match_def(units[i].node->in[units[i].weight_operand],
                       OP_DequantizeLinear)) {
            p->bits_policy = BITS_POLICY_mixed;
            continue;
        }
        p->units[i].weight_bits = p->units[i].activation_bits = 8;
        p->units[i].calibrator = CALIBRATOR_mse;
    }
}

static struct status *quantize(struct compile *c, struct ir_graph *g,
                               struct quantized *q)
{
    int n_units;
    const struct unit *units = units_find(g, &n_units);
    const struct quantize_options o = {
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
    };
    struct quantize_result result;

    RETURN_IF_FAIL(quantize_graph(c, g, &o, &result));
    note_decisions(q->plan, units, &q->splits);
    return OK;
}

static struct status *compress(struct compile *c, struct ir_graph *g, void *arg)
{
    struct quantized *q = arg;

    q->plan = plan_float(g, q->co->target);
    if (q->integers)
        RETURN_IF_FAIL(quantize(c, g, q));
    return q->training ? training_run(q->training, c, g, q->plan) : OK;
}

/* Outputs of the test samples from the model compiled for this machine. */
static struct status *run_here(struct quantized *q, bool compressed, struct outputs *out)
{
    const int64_t n = q->splits.use[SPLITS_TEST].n;
    struct compile_options co = {
        .target = "host",
        .prefix = "m",
        .onnx = q->co->onnx,
        .compress = compressed ? compress : NULL,
        .compress_arg = q,
    };
    char *folder = NULL;
    struct status *s = scratch_folder_make(q->a, &folder);

    co.folder = folder;
    if (!s)
        s = compile_model(q->model, &co);
    if (!s)
        s = evaluate_bundle(q->a, folder, q->data, n, q->splits.use[SPLITS_TEST].at,
                            out);
    scratch_folder_remove(folder);
    return s;
}

static void print_share(const char *what, int64_t right, int64_t n)
{
    const struct metrics_interval i = metrics_wilson(right, n, 1.96);

    printf("  %-10s %6.2f %%   %lld of %lld (95 %%: %.2f to %.2f)\n", what,
           100.0 * (double)right / (double)n, (long long)right, (long long)n,
           100.0 * i.low, 100.0 * i.high);
}

static void print_score(const struct quantized *q, const struct score *s)
{
    const struct metrics_paired *p = &s->top1;

    printf("%s: %lld samples to calibrate (%s), %lld to test (%s), measured on this "
           "machine\n",
           q->data->path, (long long)q->splits.use[SPLITS_CALIBRATION].n,
           dataset_split_name(q->splits.use[SPLITS_CALIBRATION].from), (long long)s->n,
           dataset_split_name(q->splits.use[SPLITS_TEST].from));
    if (s->has_labels) {
        print_share("float32", p->both + p->lost, s->n);
        print_share(q->integers ? "int8" : "trained", p->both + p->gained, s->n);
        printf("  %lld lost, %lld gained; mean divergence %.5f nats\n",
               (long long)p->lost, (long long)p->gained, s->kl);
    }
    printf("  mean cosine of the outputs %.6f\n", s->cosine);
}

static struct status *compare(struct quantized *q)
{
    struct outputs original, compressed;

    if (!q->splits.use[SPLITS_TEST].n)
        return OK;
    progress("running the float model on the test samples");
    RETURN_IF_FAIL(run_here(q, false, &original));
    progress("running the compressed model on the test samples");
    RETURN_IF_FAIL(run_here(q, true, &compressed));
    progress(NULL);

    const struct score s =
        evaluate_score(q->data, q->splits.use[SPLITS_TEST].at, &original, &compressed);

    print_score(q, &s);
    return OK;
}

/* The bundle is there: that its outputs cannot be scored is no failure. */
static struct status *measure(struct quantized *q)
{
    struct status *s = compare(q);

    progress(NULL);
    if (!s || status_code(s) != UNSUPPORTED)
        return s;
    printf("accuracy is not measured: %s\n", status_message(s));
    status_free(s);
    return OK;
}

static struct status *compile_and_measure(struct quantized *q, const char *model)
{
    struct compile_options mine = *q->co;

    mine.compress = compress;
    mine.compress_arg = q;
    mine.plan = &q->plan;
    progress("calibrating and compiling");
    RETURN_IF_FAIL(compile_model(model, &mine));
    return measure(q);
}

struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o)
{
    const struct splits_options how = {.seed = o->seed,
                                       .most[SPLITS_CALIBRATION] = MOST_CALIBRATION};
    struct quantized q = {.a = a, .model = model, .co = co, .integers = o->integers};
    struct training training;
    struct status *s = open_data(&q, o);

    if (!s)
        q.splits = splits_make(q.data, &how, a);
    if (!s && o->distill) {
        const struct training_args args = {o->distill, o->train, q.data, o->spec, o->seed};

        s = training_begin(a, model, co, &args, &training);
        q.training = &training;
    }
    if (!s)
        s = compile_and_measure(&q, model);
    if (q.training)
        training_end(&training, !s);
    dataset_close(q.data);
    return s;
}
