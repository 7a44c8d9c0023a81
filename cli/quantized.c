/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy is measured on this machine: both models are compiled for it, and integer
 * outputs are the same bytes on every target. */
#include "cli/quantized.h"

#include "cli/progress.h"
#include "cli/quantized_job.h"
#include "cli/scratch_folder.h"
#include "compress/relax.h"
#include "compress/synthetic.h"

enum {
    MOST_CALIBRATION = 512,
    MOST_VALIDATION = 1536,
    MADE_UP = 64,
    MADE_UP_TO_SEARCH = 256
};

/* The folder goes at once: the arrays are mapped. */
static struct status *open_made_up(struct quantized *q, struct dataset_options *want)
{
    const bool searches = !q->o->bits && !q->o->plan;
    const struct synthetic_options o = {.n_train =
                                            searches ? MADE_UP_TO_SEARCH : MADE_UP,
                                        .n_test = MADE_UP,
                                        .seed = q->o->seed};
    struct compile *c = compile_create();
    struct ir_graph *g;
    char *folder = NULL;
    struct status *s = onnx_import(c, q->model, &q->co->onnx, NULL, &g);

    if (!s)
        s = scratch_folder_make(q->a, &folder);
    if (!s)
        s = synthetic_write(g, folder, &o);
    if (!s)
        s = dataset_open(folder, want, q->a, &q->data);
    scratch_folder_remove(folder);
    compile_destroy(c);
    return s;
}

/* The model's graph, and the data set that must fit to its inputs. */
static struct status *open_all(struct quantized *q)
{
    struct dataset_options want = {.spec = q->o->spec};

    q->c = compile_create();
    RETURN_IF_FAIL(compile_graph(q->c, q->model, q->co, NULL, &q->g));
    q->units = units_find(q->g, &q->n_units);
    RETURN_IF_FAIL(dataset_inputs_of(q->g, q->a, &want));
    if (q->o->data)
        return dataset_open(q->o->data, &want, q->a, &q->data);

    struct status *s = open_made_up(q, &want);

    if (!s || q->o->bits < 16 || status_code(s) != UNSUPPORTED)
        return s;
    status_free(s); /* nothing to calibrate; and nothing will be measured */
    return OK;
}

static void make_splits(struct quantized *q, uint64_t seed, bool validation)
{
    const struct splits_options how = {
        .seed = seed,
        .wants_validation = validation,
        .most = {[SPLITS_CALIBRATION] = MOST_CALIBRATION,
                 [SPLITS_VALIDATION] = MOST_VALIDATION},
    };

    if (!q->data)
        return;
    q->splits = splits_make(q->data, &how, q->a);
}

/* What is asked for, or what the plan to repeat has done; NULL: no training. */
static const char *distill_settings(const struct quantized *q)
{
    const struct plan_distillation *d = &q->plan->distillation;

    if (q->o->distill || !d->epochs)
        return q->o->distill;
    return arena_printf(q->a, "T=%.9g,alpha=%.9g,epochs=%lld", d->temperature, d->alpha,
                        (long long)d->epochs);
}

struct status *quantized_device(const struct quantized *q, struct device *out)
{
    return target_device(q->a, target_find(q->co->target), q->co->device, out);
}

/* ---- progress -------------------------------------------------------------------- */

struct quantized_clock quantized_clock(const struct quantized *q, const char *what)
{
    return (struct quantized_clock){q->a, what, progress_seconds()};
}

void quantized_show(int done, int all, void *arg)
{
    const struct quantized_clock *c = arg;
    const double spent = progress_seconds() - c->start;
    const char *left =
        done ? arena_printf(c->a, ", about %.0f s left", spent / done * (all - done))
             : "";

    progress(arena_printf(c->a, "%s %d of %d%s", c->what, done + 1, all, left));
}

/* ---- deciding -------------------------------------------------------------------- */

/* From here on `g` is the smaller graph, and so are the units. */
static struct status *prune(struct quantized *q, const struct plan *plan)
{
    const enum precision p = q->o->bits == 32 ? PRECISION_F32 : PRECISION_I8;
    struct device device;

    RETURN_IF_FAIL(quantized_device(q, &device));
    const struct prune_tile tile = {device_tile_outputs(&device, p),
                                    device_tile_inputs(&device, p)};
    struct quantized_clock clock =
        quantized_clock(q, "trying to do without channels, group");
    const struct prune_options o = {
        .ratio = q->o->prune,
        .tile = q->o->any_count ? (struct prune_tile){0} : tile,
        .saliency = q->o->saliency,
        .progress = quantized_show,
        .progress_arg = &clock,
        .plan = plan,
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
    };

    RETURN_IF_FAIL(prune_decide(q->g, &o, q->a, &q->pruning));
    RETURN_IF_FAIL(prune_apply(q->c, q->g, q->pruning));
    q->units = units_find(q->g, &q->n_units);
    return OK;
}

static bool removes_channels(const struct plan *p)
{
    for (int i = 0; i < p->n_units; i++)
        if (p->units[i].kept)
            return true;
    return false;
}

static bool asks_for_zeros(const struct quantized_options *o)
{
    return o->zeros > 0.0 || o->two_of_four;
}

static struct status *thin_out(struct quantized *q, const struct plan *plan)
{
    struct quantized_clock clock = quantized_clock(q, "doing without weights of unit");
    const struct sparsify_options o = {
        .share = q->o->zeros,
        .two_of_four = q->o->two_of_four,
        .plan = plan,
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
        .progress = quantized_show,
        .progress_arg = &clock,
    };

    RETURN_IF_FAIL(sparsify_decide(q->g, &o, q->a, &q->sparsity));
    return sparsify_apply(q->g, q->sparsity);
}

static bool has_zeros(const struct plan *p)
{
    for (int i = 0; i < p->n_units; i++)
        if (p->units[i].zeros != ZEROS_none)
            return true;
    return false;
}

/* Channels and weights that the plan does without. */
static struct status *remove_as_planned(struct quantized *q, const struct plan *p)
{
    if (removes_channels(p))
        RETURN_IF_FAIL(prune(q, p));
    return has_zeros(p) ? thin_out(q, p) : OK;
}

static struct quantize_options options_of(const struct quantized *q)
{
    return (struct quantize_options){
        .plan = q->plan,
        .keep_zeros = q->sparsity || asks_for_zeros(q->o),
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
    };
}

/* Of a detector only the boxes count, which errors of its raw outputs hardly move. */
static bool counts_outputs(const struct quantized *q)
{
    return q->o->may_raise || !q->data || q->data->task != DATASET_DETECT;
}

static struct status *use_bits(struct quantized *q)
{
    struct relax_result result = {0};

    q->plan = plan_float(q->g, q->co->target);
    for (int i = 0; i < q->n_units; i++) {
        q->plan->units[i].weight_bits = q->o->bits;
        q->plan->units[i].activation_bits = q->o->bits < 16 ? 8 : 32;
    }
    progress("calibrating");

    const struct quantize_options o = options_of(q);

    if (q->o->bits == 8 && counts_outputs(q))
        RETURN_IF_FAIL(relax_decide(q->c, q->g, &o,
                                    q->o->may_raise ? RELAX_TO_FLOATS : RELAX_TO_PAIRS,
                                    q->plan, q->a, &q->quantization, &result));
    else
        RETURN_IF_FAIL(quantize_decide(q->c, q->g, &o, q->a, &q->quantization));
    q->n_raised = result.n_raised;
    return OK;
}

struct status *quantized_carry_out(struct quantized *q, struct plan *plan)
{
    q->c = compile_create();
    RETURN_IF_FAIL(compile_graph(q->c, q->model, q->co, NULL, &q->g));
    q->units = units_find(q->g, &q->n_units);
    q->plan = plan;
    q->pruning = NULL;
    q->sparsity = NULL;
    RETURN_IF_FAIL(remove_as_planned(q, plan));

    const struct quantize_options o = options_of(q);

    return quantize_decide(q->c, q->g, &o, q->a, &q->quantization);
}

void quantized_take(struct quantized *q, const struct quantized *from)
{
    q->searched_in = q->c;
    q->c = from->c;
    q->g = from->g;
    q->n_units = from->n_units;
    q->units = from->units;
    q->plan = from->plan;
    q->pruning = from->pruning;
    q->sparsity = from->sparsity;
    q->quantization = from->quantization;
}

/* The same samples as when the plan was made, so the same bytes. */
static struct status *use_plan(struct quantized *q)
{
    struct plan *p;

    RETURN_IF_FAIL(plan_read(q->a, q->o->plan, &p));
    RETURN_IF_FAIL(plan_check(p, q->o->plan, q->g, q->co->target));
    make_splits(q, p->split.seed ? (uint64_t)p->split.seed : q->o->seed,
                p->split.validation > 0);
    q->plan = p;
    progress("carrying out the plan");
    RETURN_IF_FAIL(remove_as_planned(q, p));

    struct quantize_options o = options_of(q);

    o.keep_calibrators = true;
    return quantize_decide(q->c, q->g, &o, q->a, &q->quantization);
}

/* Before the bits: what is decided about them sees the trained weights. */
static bool trains_floats(const struct quantized *q)
{
    return q->training && q->training->options.floats;
}

static struct status *decide(struct quantized *q)
{
    if (q->o->plan)
        return use_plan(q);
    make_splits(q, q->o->seed, !q->o->bits);
    if (q->o->prune > 0.0) {
        progress("removing channels");
        RETURN_IF_FAIL(prune(q, NULL));
    }
    if (asks_for_zeros(q->o) && !q->thins_in_training) {
        progress("doing without weights");
        RETURN_IF_FAIL(thin_out(q, NULL));
    }
    if (trains_floats(q))
        RETURN_IF_FAIL(training_run(q->training, q->c, q->g, NULL));
    return q->o->bits ? use_bits(q) : quantized_search(q);
}

/* ---- compiling ------------------------------------------------------------------- */

static void note_pruning(struct plan_unit *to, const struct pruned_unit *u)
{
    if (u->n_kept == u->channels)
        return;
    to->prune_ratio = 1.0 - (double)u->n_kept / (double)u->channels;
    to->n_kept = u->n_kept;
    to->kept = u->kept;
}

static void note_zeros(const struct quantized *q, int i, struct plan_unit *to)
{
    const struct sparse_unit *u = q->sparsity ? &q->sparsity->units[i] : NULL;

    if (q->thins_in_training) {
        to->zeros = ZEROS_anywhere;
        to->zero_ratio = q->o->zeros;
    } else if (u && u->n_weights) {
        to->zeros = u->zeros;
        to->zero_ratio = (double)u->n_zeros / (double)u->n_weights;
    }
}

/* What is done unit by unit; g is the graph before. */
static struct plan *written_plan(const struct quantized *q, const struct ir_graph *g)
{
    const struct quantization *by = q->quantization;
    struct plan *p = plan_float(g, q->co->target);

    p->seed = (int64_t)q->o->seed;
    if (q->o->plan)
        p->update = q->plan->update;
    else if (q->co->update)
        p->update = *q->co->update;
    p->split = (struct plan_split){
        .seed = (int64_t)q->splits.seed,
        .calibration = by->n_samples,
        .validation = q->splits.use[SPLITS_VALIDATION].n,
        .test = q->splits.use[SPLITS_TEST].n,
    };
    for (int i = 0; i < p->n_units; i++) {
        p->units[i].weight_bits = by->units[i].weight_bits;
        p->units[i].activation_bits = by->units[i].activation_bits;
        p->units[i].calibrator = by->units[i].calibrator;
        p->units[i].pattern = q->o->plan ? q->plan->units[i].pattern : q->o->fusion;
        if (q->pruning)
            note_pruning(&p->units[i], &q->pruning->units[i]);
        note_zeros(q, i, &p->units[i]);
    }
    p->bits_policy = plan_policy(p);
    return p;
}

static struct status *apply(struct compile *c, struct ir_graph *g, void *arg)
{
    struct quantized *q = arg;

    q->written = written_plan(q, g);
    if (q->pruning)
        RETURN_IF_FAIL(prune_apply(c, g, q->pruning));
    if (q->sparsity)
        RETURN_IF_FAIL(sparsify_apply(g, q->sparsity));
    if (trains_floats(q)) /* done before: its state is read */
        RETURN_IF_FAIL(training_run(q->training, c, g, q->written));
    RETURN_IF_FAIL(quantize_apply(c, g, q->quantization));
    return q->training && !trains_floats(q)
               ? training_run(q->training, c, g, q->written)
               : OK;
}

struct status *quantized_run_here(struct quantized *q, bool compressed, int64_t n,
                                  const int64_t *sample, struct outputs *out,
                                  int64_t *weights_bytes)
{
    struct compile_options co = {
        .target = "host",
        .prefix = "m",
        .onnx = q->co->onnx,
        .compress = compressed ? apply : NULL,
        .compress_arg = q,
    };
    char *folder = NULL;
    struct status *s = scratch_folder_make(q->a, &folder);
    struct bundle_meta m;

    co.folder = folder;
    if (!s)
        s = compile_model(q->model, &co);
    if (!s && weights_bytes) {
        s = bundle_read_meta(q->a, folder, &m);
        *weights_bytes = s ? 0 : m.weights_bytes;
    }
    if (!s)
        s = evaluate_bundle(q->a, folder, q->data, n, sample, out);
    scratch_folder_remove(folder);
    return s;
}

/* ---- measuring ------------------------------------------------------------------- */

static struct status *compare(struct quantized *q, struct score *out)
{
    const int64_t n = q->splits.use[SPLITS_TEST].n,
                  *sample = q->splits.use[SPLITS_TEST].at;
    struct outputs original, compressed;

    progress("running the original model on the test samples");
    RETURN_IF_FAIL(quantized_run_here(q, false, n, sample, &original, NULL));
    progress("running the compressed model on the test samples");
    RETURN_IF_FAIL(quantized_run_here(q, true, n, sample, &compressed, NULL));
    return evaluate_score(q->data, sample, &original, &compressed, out);
}

/* That outputs cannot be scored is no failure. */
static struct status *measure(struct quantized *q, const struct compression **out)
{
    struct score score;
    struct status *s;

    if (!q->splits.use[SPLITS_TEST].n) {
        *out = quantized_report(q, NULL,
                                q->data ? "the data set has no samples left to test on"
                                        : "samples cannot be made up for its inputs, "
                                          "give --data");
        return OK;
    }
    s = compare(q, &score);
    if (s && status_code(s) == UNSUPPORTED) {
        *out = quantized_report(q, NULL, arena_strdup(q->a, status_message(s)));
        status_free(s);
        return OK;
    }
    if (!s)
        *out =
            quantized_report(q, &score,
                             q->o->data ? NULL
                                        : "without --data there are no real samples; "
                                          "outputs for made-up ones were compared with "
                                          "the original's");
    return s;
}

static struct status *compile_decided(struct quantized *q)
{
    struct compile_options mine = *q->co;

    RETURN_IF_FAIL(measure(q, &mine.compression));
    mine.compress = apply;
    mine.compress_arg = q;
    mine.plan = &q->written;
    progress("compiling");
    RETURN_IF_FAIL(compile_model(q->model, &mine));
    progress(NULL);
    quantized_print(q, mine.compression);
    return OK;
}

static double share_of_zeros(const struct quantized *q)
{
    const struct sparsity *s = q->sparsity;

    return s ? (double)s->n_zeros / (double)s->n_weights : q->o->zeros;
}

/* With the split that decisions are made with: no sample of the test. */
static struct status *begin_training(struct quantized *q, const char *settings,
                                     uint64_t seed, bool validation,
                                     struct training *out)
{
    const struct training_args args = {
        .settings = settings,
        .train = q->o->train,
        .spec = q->o->spec,
        .data = q->data,
        .seed = seed,
        .wants_validation = validation,
    };

    if (!q->o->data)
        return FAIL(BAD_USAGE, "training needs --data to train and to test on");
    RETURN_IF_FAIL(training_begin(q->a, q->model, q->co, &args, out));
    out->options.keep_zeros = q->sparsity || asks_for_zeros(q->o);
    out->options.masks.final = share_of_zeros(q);
    return OK;
}

/* Training of codes begins when these are decided. */
static struct status *decide_and_compile(struct quantized *q, struct training *training)
{
    const char *settings;

    if (q->o->distill && q->o->bits) {
        RETURN_IF_FAIL(begin_training(q, q->o->distill, q->o->seed, false, training));
        q->training = training->options.floats ? training : NULL;
        q->thins_in_training = training->options.masks.kind != ANNEAL_NONE;
    }
    RETURN_IF_FAIL(decide(q));
    settings = distill_settings(q);
    if (!settings && q->searched && q->o->train)
        settings = "";
    if (settings && !training->model) {
        RETURN_IF_FAIL(begin_training(q, settings, q->splits.seed,
                                      q->splits.use[SPLITS_VALIDATION].n > 0,
                                      training));
        if (training->options.floats)
            return FAIL(BAD_USAGE, "--distill: floats=1 needs --bits");
    }
    q->training = settings ? training : NULL;
    return compile_decided(q);
}

static struct status *run(struct quantized *q)
{
    struct training training = {0};
    struct status *s;

    RETURN_IF_FAIL(open_all(q));
    s = decide_and_compile(q, &training);
    if (training.model)
        training_end(&training, !s);
    return s;
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
    if (q.searched_in)
        compile_destroy(q.searched_in);
    return s;
}
