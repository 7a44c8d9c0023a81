/* SPDX-License-Identifier: Apache-2.0 */
/* Accuracy is measured on this machine: both models are compiled for it, and integer
 * outputs are the same bytes on every target. */
#include "cli/quantized.h"

#include <stdio.h>

#include "cli/progress.h"
#include "cli/quantized_job.h"
#include "compress/relax.h"
#include "compress/synthetic.h"
#include "support/scratch_folder.h"

#define HERE "host" /* the target whose code runs on this machine */

enum {
    MOST_CALIBRATION = 512,
    MOST_VALIDATION = 1536,
    MADE_UP = 64,
    MADE_UP_TO_SEARCH = 256,
    SEARCH_EPOCHS = 10, /* of what a search takes, fewer of many samples */
    MOST_SEARCH_SAMPLES = 300000,
    SEARCH_STEPS = 200 /* at least, unless batches get too small */
};

static bool searches(const struct quantized *q)
{
    return !q->o->bits && !q->o->plan;
}

/* The folder goes at once: the arrays are mapped. */
static struct status *open_made_up(struct quantized *q, struct dataset_options *want)
{
    const struct synthetic_options o = {.n_train =
                                            searches(q) ? MADE_UP_TO_SEARCH : MADE_UP,
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

/* The graph but for its shapes. */
static uint64_t structure_of(const struct ir_graph *g, uint64_t hash)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        hash = (hash ^ (uint64_t)n->op) * UINT64_C(0x9e3779b97f4a7c15);
        for (int i = 0; i < n->n_in + n->n_out; i++) {
            const struct ir_value *v = i < n->n_in ? n->in[i] : n->out[i - n->n_in];

            hash =
                (hash ^ (uint64_t)(v ? v->id + 1 : 0)) * UINT64_C(0x9e3779b97f4a7c15);
        }
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                hash = structure_of(n->body[b], hash);
    }
    return hash;
}

/* What is decided on one sample's graph is carried out on that of all. */
static struct status *check_batch(const struct quantized *q)
{
    struct compile *c;
    struct ir_graph *g;
    struct status *s;

    if (quantized_batch(q) == 1)
        return OK;
    c = compile_create();
    s = compile_graph(c, q->model, q->bundle, NULL, &g);
    if (!s && structure_of(g, 0) != structure_of(q->g, 0))
        s = FAIL(UNSUPPORTED,
                 "--batch %lld: the model is another one for so many samples than for "
                 "one, so nothing can be decided on single ones; --no-search compiles "
                 "it as it is",
                 (long long)quantized_batch(q));
    compile_destroy(c);
    return s;
}

/* The model's graph, and the data set that must fit to its inputs. */
static struct status *open_all(struct quantized *q)
{
    struct dataset_options want = {.spec = q->o->spec};
    struct device device;

    RETURN_IF_FAIL(quantized_device(q, &device));
    q->halves = target_halves(target_find(q->co->target), &device);
    q->c = compile_create();
    RETURN_IF_FAIL(compile_graph(q->c, q->model, q->co, NULL, &q->g));
    q->units = units_find(q->g, &q->n_units);
    RETURN_IF_FAIL(check_batch(q));
    RETURN_IF_FAIL(dataset_inputs_of(q->g, q->a, &want));
    if (q->o->data)
        return dataset_open(q->o->data, &want, q->a, &q->data);

    struct status *s = open_made_up(q, &want);

    if (!s || q->o->bits < 16 || status_code(s) != UNSUPPORTED)
        return s;
    status_free(s); /* nothing to calibrate; and nothing will be measured */
    return OK;
}

/* A plan has its own: the same samples as when it was made, so the same bytes. */
static void make_splits(struct quantized *q)
{
    const struct plan_split *made = q->o->plan ? &q->plan->split : NULL;
    const struct splits_options how = {
        .seed = made && made->seed ? (uint64_t)made->seed : q->o->seed,
        .wants_validation = made ? made->validation > 0 : !q->o->bits,
        .most = {[SPLITS_CALIBRATION] = MOST_CALIBRATION,
                 [SPLITS_VALIDATION] = MOST_VALIDATION},
    };

    if (!q->data)
        return;
    q->splits = splits_make(q->data, &how, q->a);
}

struct status *quantized_device(const struct quantized *q, struct device *out)
{
    return target_fitted_device(q->a, target_find(q->co->target), q->co->cpu,
                                q->co->device, out);
}

/* ---- progress -------------------------------------------------------------------- */

struct quantized_clock quantized_clock(const char *what)
{
    return (struct quantized_clock){what, progress_seconds()};
}

void quantized_show(int done, int all, void *arg)
{
    const struct quantized_clock *c = arg;

    if (done && !progress_is_due())
        return;
    progress_show(&(struct progress_state){.stage = c->what,
                                           .done = done,
                                           .all = all,
                                           .seconds = progress_seconds() - c->start});
}

/* ---- deciding -------------------------------------------------------------------- */

/* Of weights as --bits says. */
static int activation_bits(const struct quantized *q)
{
    return q->o->bits < 16                                      ? 8
           : q->o->bits == 16 && q->halves == HALVES_MULTIPLIED ? 16
                                                                : 32;
}

/* Before the bits: what is decided about them sees the trained weights. */
static bool trains_floats(const struct quantized *q)
{
    return q->training.model && q->training.options.set.floats;
}

/* From here on `g` is the smaller graph, and so are the units. */
static struct status *prune(struct quantized *q, const struct plan *plan)
{
    const enum precision p = q->o->bits < 16 ? PRECISION_I8 : PRECISION_F32;
    struct device device;

    RETURN_IF_FAIL(quantized_device(q, &device));
    const struct prune_tile tile = {device_tile_outputs(&device, p),
                                    device_tile_inputs(&device, p)};
    struct quantized_clock clock = quantized_clock("removing groups of channels");
    const struct prune_options o = {
        .ratio = q->o->prune,
        .tile = q->o->any_count ? (struct prune_tile){0} : tile,
        .device = q->o->any_count ? NULL : &device,
        .weight_bits = q->o->bits ? q->o->bits : 8,
        .activation_bits = activation_bits(q),
        .batch = quantized_batch(q),
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

static void show_part(const char *what, int done, int all, void *arg)
{
    struct quantized *q = arg;

    if (!done)
        q->clock = quantized_clock(what);
    quantized_show(done, all, &q->clock);
}

static bool asks_for_zeros(const struct quantized_options *o)
{
    return o->zeros > 0.0 || o->two_of_four;
}

static struct status *thin_out(struct quantized *q, const struct plan *plan)
{
    struct quantized_clock clock = quantized_clock("doing without weights");
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

/* The largest share of a unit. */
static double planned_zeros(const struct plan *p)
{
    double most = 0.0;

    for (int i = 0; i < p->n_units; i++)
        if (p->units[i].zeros != ZEROS_none && p->units[i].zero_ratio > most)
            most = p->units[i].zero_ratio;
    return most;
}

/* Channels and weights that the plan does without. */
static struct status *remove_as_planned(struct quantized *q, const struct plan *p)
{
    if (removes_channels(p))
        RETURN_IF_FAIL(prune(q, p));
    return planned_zeros(p) > 0.0 && !q->thins_in_training ? thin_out(q, p) : OK;
}

static struct quantize_options options_of(struct quantized *q)
{
    return (struct quantize_options){
        .progress = show_part,
        .progress_arg = q,
        .plan = q->plan,
        .keep_zeros = q->sparsity || q->thins_in_training,
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
        q->plan->units[i].activation_bits = activation_bits(q);
    }
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
    if (trains_floats(q))
        RETURN_IF_FAIL(training_run(&q->training, q->c, q->g, NULL));

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
    q->training = from->training;
}

static struct status *check_halves(const struct quantized *q)
{
    for (int i = 0; i < q->plan->n_units; i++)
        if (q->plan->units[i].activation_bits == 16 && q->halves != HALVES_MULTIPLIED)
            return FAIL(UNSUPPORTED,
                        "unit '%s' of '%s' has activations of 16 bits, which target "
                        "'%s' does not multiply",
                        q->plan->units[i].name, q->o->plan, q->co->target);
    return OK;
}

/* Samples that the data set does not have are not those that the plan was made by. */
static struct status *check_split(const struct quantized *q)
{
    const struct plan_split *made = &q->plan->split;
    const struct {
        const char *word;
        enum splits_use use;
        int64_t n;
    } part[] = {{"calibration", SPLITS_CALIBRATION, made->calibration},
                {"validation", SPLITS_VALIDATION, made->validation},
                {"test", SPLITS_TEST, made->test}};

    for (size_t i = 0; q->o->data && i < sizeof part / sizeof part[0]; i++)
        if (part[i].n > q->splits.use[part[i].use].n)
            return FAIL(INVALID,
                        "'%s': split: '%s' is %lld samples, '%s' has %lld for it",
                        q->o->plan, part[i].word, (long long)part[i].n, q->o->data,
                        (long long)q->splits.use[part[i].use].n);
    return OK;
}

static struct status *in_plan(const struct quantized *q, struct status *s)
{
    return status_note(s, "while carrying out the plan '%s'", q->o->plan);
}

static struct status *read_plan(struct quantized *q)
{
    RETURN_IF_FAIL(plan_read(q->a, q->o->plan, &q->plan));
    RETURN_IF_FAIL(plan_check(q->plan, q->o->plan, q->g, q->co->target));
    return check_halves(q);
}

static struct status *remove_parts(struct quantized *q)
{
    if (q->o->plan)
        return in_plan(q, remove_as_planned(q, q->plan));
    if (q->o->prune > 0.0)
        RETURN_IF_FAIL(prune(q, NULL));
    return asks_for_zeros(q->o) && !q->thins_in_training ? thin_out(q, NULL) : OK;
}

static struct status *use_plan(struct quantized *q)
{
    struct quantize_options o = options_of(q);

    progress("carrying out the plan");
    o.keep_calibrators = o.keep_widths = true;
    return in_plan(q, quantize_decide(q->c, q->g, &o, q->a, &q->quantization));
}

/* What gives most to networks that have lost channels (docs/training.md). */
static struct train_settings pruned_settings(void)
{
    struct train_settings s = train_settings_defaults();

    s.optimizer.rate = 0.006;
    s.norms = s.floats = true;
    return s;
}

static struct train_settings search_settings(void)
{
    struct train_settings s = pruned_settings();

    s.epochs = SEARCH_EPOCHS;
    s.alpha = 0.9;
    return s;
}

/* Before --distill is read. */
static struct train_settings settings_of(const struct quantized *q)
{
    return q->o->plan          ? q->plan->distillation
           : searches(q)       ? search_settings()
           : q->o->prune > 0.0 ? pruned_settings()
                               : train_settings_defaults();
}

/* What --distill leaves open where codes are trained.  A code takes half a step before
 * it is another one, which the rates of plain weights never take it to; and labels that
 * the original has learned from only lead away from it. */
static void fit_to_codes(const char *distill, struct train_settings *set)
{
    if (!training_names(distill, "T"))
        set->temperature = 4;
    if (!training_names(distill, "alpha"))
        set->alpha = 1;
    if (!training_names(distill, "optimizer"))
        set->optimizer.kind = OPTIMIZER_ADAM;
    if (set->optimizer.kind == OPTIMIZER_SGD)
        return;
    if (!training_names(distill, "rate"))
        set->optimizer.rate = 0.02;
    if (!training_names(distill, "warmup"))
        set->optimizer.warmup = 20;
}

static int64_t limited(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

/* What --distill leaves open: fewer epochs of many samples, smaller batches of few. */
static void fit_to_samples(const char *distill, struct train_options *o)
{
    struct train_settings *set = &o->set;

    if (!training_names(distill, "epochs"))
        set->epochs = limited(MOST_SEARCH_SAMPLES / o->n_samples, 1, set->epochs);
    if (!training_names(distill, "batch"))
        set->batch = limited(set->epochs * o->n_samples / SEARCH_STEPS, 16, set->batch);
}

static void train_to_zeros(struct quantized *q, struct train_options *o)
{
    o->keep_zeros = q->o->plan ? planned_zeros(q->plan) > 0.0 : asks_for_zeros(q->o);
    o->set.masks.final = q->o->plan ? planned_zeros(q->plan) : q->o->zeros;
    q->thins_in_training = o->set.masks.kind != ANNEAL_NONE;
}

struct status *quantized_begin_training(struct quantized *q,
                                        const volatile sig_atomic_t *stop)
{
    struct training_args args = {
        .settings = settings_of(q),
        .train = q->o->train,
        .spec = q->o->spec,
        .data = q->data,
        .seed = q->splits.seed,
        .wants_validation = q->splits.use[SPLITS_VALIDATION].n > 0,
        .stop = stop,
    };

    if (q->o->distill)
        RETURN_IF_FAIL(training_parse(q->o->distill, &args.settings));
    else if (!q->o->plan && !q->o->train)
        return OK;
    if (!q->o->plan && q->o->bits && q->o->bits < 16 && !args.settings.floats)
        fit_to_codes(q->o->distill, &args.settings);
    if (!args.settings.epochs)
        return q->o->train ? FAIL(BAD_USAGE, "--train is of no use: there are no "
                                             "epochs of training")
                           : OK;
    if (!q->o->data)
        return FAIL(BAD_USAGE, "training needs --data to train and to test on");
    if (quantized_batch(q) > 1)
        return FAIL(UNSUPPORTED, "--batch %lld goes with no training",
                    (long long)quantized_batch(q));
    RETURN_IF_FAIL(training_begin(q->a, q->model, q->co, &args, &q->training));
    if (searches(q))
        fit_to_samples(q->o->distill, &q->training.options);
    train_to_zeros(q, &q->training.options);
    return OK;
}

static struct status *decide(struct quantized *q)
{
    if (q->o->plan)
        RETURN_IF_FAIL(read_plan(q));
    make_splits(q);
    if (q->o->plan)
        RETURN_IF_FAIL(check_split(q));
    if (searches(q))
        return quantized_search(q);
    RETURN_IF_FAIL(quantized_begin_training(q, NULL));
    RETURN_IF_FAIL(remove_parts(q));
    if (trains_floats(q))
        RETURN_IF_FAIL(training_run(&q->training, q->c, q->g, NULL));
    return q->o->plan ? use_plan(q) : use_bits(q);
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
        to->zero_ratio = q->training.options.set.masks.final;
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

    p->seed = q->o->plan ? q->plan->seed : (int64_t)q->o->seed;
    p->update = q->update;
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
        RETURN_IF_FAIL(training_run(&q->training, c, g, q->written));
    RETURN_IF_FAIL(quantize_apply(c, g, q->quantization));
    return q->training.model && !trains_floats(q)
               ? training_run(&q->training, c, g, q->written)
               : OK;
}

bool quantized_is_for_here(const struct quantized *q)
{
    const struct compile_options *b = q->bundle;

    return target_find(b->target) == target_find(HERE) && b->kind != EMIT_C && !b->cpu;
}

struct status *quantized_run_here(struct quantized *q, bool compressed, int64_t n,
                                  const int64_t *sample, struct outputs *out,
                                  int64_t *weights_bytes)
{
    struct compile_options co = {
        .target = HERE,
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

/* What --emit plan writes has it, without code. */
struct status *quantized_on_target(struct quantized *q, struct bundle_meta *out)
{
    struct compile_options co = *q->bundle;
    char *folder = NULL;
    struct status *s = scratch_folder_make(q->a, &folder);

    co.kind = EMIT_PLAN;
    co.folder = folder;
    co.prefix = "m";
    co.embed = false;
    co.compress = apply;
    co.compress_arg = q;
    if (!s)
        s = compile_model(q->model, &co);
    if (!s)
        s = bundle_read_meta(q->a, folder, out);
    scratch_folder_remove(folder);
    return s;
}

/* ---- measuring ------------------------------------------------------------------- */

static struct status *compare(struct quantized *q)
{
    const int64_t n = q->splits.use[SPLITS_TEST].n,
                  *sample = q->splits.use[SPLITS_TEST].at;
    struct outputs compressed;

    progress("running the original model on the test samples");
    RETURN_IF_FAIL(quantized_run_here(q, false, n, sample, &q->original, NULL));
    progress("running the compressed model on the test samples");
    RETURN_IF_FAIL(quantized_run_here(q, true, n, sample, &compressed, NULL));
    return evaluate_score(q->data, sample, &q->original, &compressed, &q->score);
}

/* That outputs cannot be scored is no failure. */
static struct status *measure(struct quantized *q, const struct compression **out)
{
    struct status *s;

    if (!q->splits.use[SPLITS_TEST].n) {
        *out = quantized_report(q, NULL,
                                q->data ? "the data set has no samples left to test on"
                                        : "samples cannot be made up for its inputs, "
                                          "give --data");
        return OK;
    }
    s = compare(q);
    if (s && status_code(s) == UNSUPPORTED) {
        *out = quantized_report(q, NULL, arena_strdup(q->a, status_message(s)));
        status_free(s);
        return OK;
    }
    if (!s)
        *out =
            quantized_report(q, &q->score,
                             q->o->data ? NULL
                                        : "without --data there are no real samples; "
                                          "outputs for made-up ones were compared with "
                                          "the original's");
    return s;
}

/* "87.67 %", "perplexity 4.064" */
static const char *score_words(struct arena *a, const struct score *s)
{
    return s->kind == SCORE_TOP1 ? arena_printf(a, "%.2f %%", 100 * s->compressed)
           : s->kind != SCORE_NONE
               ? arena_printf(a, "%s %.4g", score_names[s->kind], s->compressed)
               : arena_printf(a, "a cosine of %.6f", s->cosine);
}

/* The target's own code runs, which this machine may not be able to. */
static struct status *measure_update(void *arg, const char *folder, const char **words)
{
    struct quantized *q = arg;
    const int64_t n = q->splits.use[SPLITS_TEST].n,
                  *sample = q->splits.use[SPLITS_TEST].at;
    struct outputs mixed;
    struct score score;

    if (!q->score.n)
        return OK;
    progress("running the updated model on the test samples");

    struct status *s = quantized_batch(q) > 1
                           ? FAIL(UNSUPPORTED, "samples are run one by one")
                           : evaluate_bundle(q->a, folder, q->data, n, sample, &mixed);

    if (!s)
        s = evaluate_score(q->data, sample, &q->original, &mixed, &score);
    q->updated =
        s ? arena_printf(q->a, "how accurate devices then are is not measured: %s",
                         status_message(s))
          : arena_printf(q->a,
                         "devices then have %s on the test samples, with all "
                         "layers new %s",
                         score_words(q->a, &score), score_words(q->a, &q->score));
    status_free(s);
    *words = q->updated;
    return OK;
}

/* Until what is deployed says more. */
static struct plan_update usual_update(const struct quantized *q)
{
    const struct plan_update full = {.strategy = STRATEGY_full, .ratio = 1};

    if (q->o->plan)
        return q->plan->update;
    return q->co->update ? *q->co->update : full;
}

static struct status *compile_decided(struct quantized *q)
{
    struct compile_options mine = *q->bundle;
    struct compression with;

    q->update = usual_update(q);

    RETURN_IF_FAIL(measure(q, &mine.compression));
    mine.compress = apply;
    mine.compress_arg = q;
    mine.plan = &q->written;
    if (q->o->deployed) {
        struct deployed_options how = *q->o->deployed;

        how.measure = measure_update;
        how.arg = q;
        progress("making updates of what is deployed");
        RETURN_IF_FAIL(
            deployed_choose(q->a, q->model, &mine, &how, &q->update, &q->deployed));
    }
    with = *mine.compression;
    with.update = q->updated;
    mine.compression = &with;
    progress("compiling");
    RETURN_IF_FAIL(compile_model(q->model, &mine));
    progress(NULL);
    quantized_print(q, mine.compression);
    return OK;
}

static struct status *run(struct quantized *q)
{
    RETURN_IF_FAIL(open_all(q));
    RETURN_IF_FAIL(decide(q));
    return compile_decided(q);
}

struct status *quantized_compile(struct arena *a, const char *model,
                                 const struct compile_options *co,
                                 const struct quantized_options *o)
{
    struct compile_options one = *co;
    struct quantized q = {.a = a, .model = model, .co = &one, .bundle = co, .o = o};

    if (co->onnx.batch)
        one.onnx.batch = 1;

    struct status *s = run(&q);

    if (!s && q.over) /* the bundle has it now */
        remove(q.over);
    if (q.training.model)
        training_end(&q.training, !s);
    dataset_close(q.data);
    if (q.c)
        compile_destroy(q.c);
    if (q.searched_in)
        compile_destroy(q.searched_in);
    return s;
}
