/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy is measured on this machine: both models are compiled for it, and integer
 * outputs are the same bytes on every target. */
#include "cli/quantized.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/scratch_folder.h"
#include "compress/evaluate.h"
#include "compress/quantize.h"
#include "frontend/splits.h"
#include "plan/plan.h"

enum { MOST_CALIBRATION = 512 };

struct quantized {
    struct arena *a;
    const char *model;
    const struct compile_options *co;
    const struct quantized_options *o;
    struct dataset *data;
    struct splits splits;
    struct compile *c;     /* what decisions are made on: */
    struct ir_graph *g;    /* the graph as quantize_apply will find it */
    struct plan *plan;     /* what is asked for */
    struct quantization *quantization;
    struct plan *done;     /* what was done; memory of the compile in progress */
};

/* The model's graph, and the data set that must fit to its inputs. */
static struct status *open_all(struct quantized *q)
{
    struct dataset_options want = {.spec = q->o->spec};

    q->c = compile_create();
    RETURN_IF_FAIL(compile_graph(q->c, q->model, q->co, NULL, &q->g));
    RETURN_IF_FAIL(dataset_inputs_of(q->g, q->a, &want));
    return dataset_open(q->o->data, &want, q->a, &q->data);
}

static struct status *make_plan(struct quantized *q)
{
    q->plan = plan_float(q->g, q->co->target);
    for (int i = 0; i < q->plan->n_units; i++) {
        q->plan->units[i].weight_bits = q->o->bits;
        q->plan->units[i].activation_bits = 8;
    }
    return OK;
}

static struct status *decide(struct quantized *q)
{
    const struct quantize_options o = {
        .plan = q->plan,
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
    };

    progress("calibrating");
    return quantize_decide(q->c, q->g, &o, q->a, &q->quantization);
}

/* What quantize_apply has done, unit by unit. */
static struct plan *plan_done(const struct quantized *q, const struct ir_graph *g)
{
    const struct quantization *by = q->quantization;
    struct plan *p = plan_float(g, q->co->target);

    p->bits_policy = BITS_POLICY_uniform;
    p->split = (struct plan_split){
        .seed = (int64_t)q->splits.seed,
        .calibration = by->n_samples,
        .test = q->splits.use[SPLITS_TEST].n,
    };
    for (int i = 0; i < p->n_units; i++) {
        p->units[i].weight_bits = by->units[i].weight_bits;
        p->units[i].activation_bits = by->units[i].activation_bits;
        p->units[i].calibrator = by->units[i].calibrator;
        if (by->units[i].weight_bits != by->units[0].weight_bits)
            p->bits_policy = BITS_POLICY_mixed;
    }
    return p;
}

static struct status *quantize(struct compile *c, struct ir_graph *g, void *arg)
{
    struct quantized *q = arg;

    q->done = plan_done(q, g);
    return quantize_apply(c, g, q->quantization);
}
/* Outputs of the test samples from the model compiled for this machine. */
static struct status *run_here(struct quantized *q, bool integers, struct outputs *out)
{
    const int64_t n = q->splits.use[SPLITS_TEST].n;
    struct compile_options co = {
        .target = "host",
        .prefix = "m",
        .onnx = q->co->onnx,
        .compress = integers ? quantize : NULL,
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
        print_share("int8", p->both + p->gained, s->n);
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
    progress("running the integer model on the test samples");
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

static struct status *run(struct quantized *q)
{
    const struct splits_options how = {.seed = q->o->seed,
                                       .most[SPLITS_CALIBRATION] = MOST_CALIBRATION};
    struct compile_options mine = *q->co;

    RETURN_IF_FAIL(open_all(q));
    q->splits = splits_make(q->data, &how, q->a);
    RETURN_IF_FAIL(make_plan(q));
    RETURN_IF_FAIL(decide(q));
    mine.compress = quantize;
    mine.compress_arg = q;
    mine.plan = &q->done;
    progress("compiling");
    RETURN_IF_FAIL(compile_model(q->model, &mine));
    return measure(q);
}

struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o)
{
    struct quantized q = {.a = a, .model = model, .co = co, .o = o};
    struct status *s = run(&q);

    dataset_close(q.data);
    if (q.c)
        compile_destroy(q.c);
    return s;
}
