/* SPDX-License-Identifier: Apache-2.0 */
/* See training.h. */
#include "cli/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "frontend/splits.h"

/* ---- settings ------------------------------------------------------------------- */

static struct status *number_of(const struct train_setting *setting, const char *word,
                                double *out)
{
    char *end;

    *out = strtod(word, &end);
    if (end == word || *end || !(*out >= setting->least && *out <= setting->most))
        return FAIL(BAD_USAGE, "--distill: %s is '%s', not a number from %g to %g",
                    setting->name, word, setting->least, setting->most);
    if (setting->whole && *out != floor(*out))
        return FAIL(BAD_USAGE, "--distill: %s takes whole numbers", setting->name);
    return OK;
}

static struct status *word_of(const struct train_setting *setting, const char *word,
                              double *out)
{
    for (int i = 0; setting->words[i]; i++)
        if (strcmp(word, setting->words[i]) == 0) {
            *out = i;
            return OK;
        }
    return FAIL(BAD_USAGE, "--distill: %s cannot be '%s'", setting->name, word);
}

static struct status *set(const char *name, const char *word,
                          struct train_settings *out)
{
    double value;
    int i = 0;

    while (i < TRAIN_SETTINGS && strcmp(name, train_setting[i].name) != 0)
        i++;
    if (i == TRAIN_SETTINGS)
        return FAIL(BAD_USAGE, "--distill has no setting '%s'", name);
    RETURN_IF_FAIL(train_setting[i].words ? word_of(&train_setting[i], word, &value)
                                          : number_of(&train_setting[i], word, &value));
    train_settings_set(out, i, value);
    return OK;
}

struct status *training_parse(const char *settings, struct train_settings *out)
{
    struct arena *a = arena_create();
    char *text = arena_strdup(a, settings), *rest = NULL;
    struct status *s = OK;

    for (char *word = strtok_r(text, ",", &rest); word && !s;
         word = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(word, '=');

        if (!equals) {
            s = FAIL(BAD_USAGE, "--distill: '%s' is not NAME=VALUE", word);
            break;
        }
        *equals = '\0';
        s = set(word, equals + 1, out);
    }
    arena_destroy(a);
    return s;
}

bool training_names(const char *settings, const char *name)
{
    const size_t n = strlen(name);

    for (const char *at = settings; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            return true;
    }
    return false;
}

/* ---- samples -------------------------------------------------------------------- */

static struct splits splits_of(struct arena *a, const struct training_args *args)
{
    const struct splits_options all = {.seed = args->seed,
                                       .wants_validation = args->wants_validation};

    return splits_make(args->data, &all, a);
}

/* All that may be used for calibration: never a sample of the test. */
static void shared_samples(struct arena *a, const struct training_args *args,
                           struct training *t)
{
    const struct splits s = splits_of(a, args);

    t->options.data = args->data;
    t->options.n_samples = s.use[SPLITS_CALIBRATION].n;
    t->options.sample = s.use[SPLITS_CALIBRATION].at;
}

/* Of --train, which may be --data or share samples with it, all that nothing is decided
 * or tested on. */
static struct status *own_samples(struct arena *a, const struct training_args *args,
                                  struct training *t)
{
    const struct dataset *d = t->own;
    const enum dataset_split from =
        d->split[DATASET_TRAIN].n ? DATASET_TRAIN : DATASET_UNNAMED;
    const struct splits s = splits_of(a, args);
    int64_t n = d->split[from].n, *at = arena_new_array(a, int64_t, n);

    for (int64_t i = 0; i < n; i++)
        at[i] = d->split[from].first + i;
    for (int u = SPLITS_VALIDATION; u <= SPLITS_TEST; u++)
        RETURN_IF_FAIL(dataset_without(d, args->data, s.use[u].n, s.use[u].at, &n, at));
    if (!n)
        return FAIL(INVALID, "'%s' has no samples for training%s", d->path,
                    d->split[from].n ? ": all are for validation or testing" : "");
    t->options.data = d;
    t->options.n_samples = n;
    t->options.sample = at;
    return OK;
}

static struct status *choose_samples(struct arena *a, const struct training_args *args,
                                     struct training *t)
{
    const struct dataset_options want = {.n_inputs = args->data->n_inputs,
                                         .input = args->data->input,
                                         .n_outputs = args->data->n_outputs,
                                         .output = args->data->output,
                                         .spec = args->spec};

    if (!args->train) {
        shared_samples(a, args, t);
        return OK;
    }
    RETURN_IF_FAIL(dataset_open(args->train, &want, a, &t->own));
    return own_samples(a, args, t);
}

struct status *training_begin(struct arena *a, const char *model,
                              const struct compile_options *co,
                              const struct training_args *args, struct training *out)
{
    *out = (struct training){.model = model, .co = co};
    out->options = train_defaults();
    out->options.set = args->settings;
    out->options.seed = args->seed;
    out->options.stop = args->stop;
    out->file = co->folder ? arena_printf(a, "%s.training", co->folder)
                           : arena_printf(a, "%s.%s.training",
                                          model_short_name(a, model), co->target);
    out->options.checkpoint = out->file;
    progress("reading the samples to train on");
    RETURN_IF_FAIL(choose_samples(a, args, out));
    return dataset_digest(out->options.data, out->options.n_samples,
                          out->options.sample, out->options.data_sha256);
}

void training_end(struct training *t, bool done)
{
    if (done) {
        remove(t->file);
        training_forget_trials(t);
    }
    dataset_close(t->own);
    t->own = NULL;
}

/* ---- trainings that are compared ------------------------------------------------ */

static const int64_t LEAST_SAMPLES = 1024; /* of a trial, where there are as many */

static const char *trial_file(struct arena *a, const struct training *t, int n)
{
    return arena_printf(a, "%s.%d", t->file, n);
}

/* From all over the list. */
static void take_samples(struct arena *a, int64_t n, struct train_options *o)
{
    int64_t *at = arena_new_array(a, int64_t, n);

    for (int64_t i = 0; i < n; i++)
        at[i] = o->sample[i * o->n_samples / n];
    o->sample = at;
    o->n_samples = n;
}

struct training training_trial(struct arena *a, struct training *t, double share)
{
    struct training trial = *t;
    struct train_options *o = &trial.options;
    const double seen = share * (double)(o->set.epochs * o->n_samples);
    const int64_t epochs = (int64_t)(seen / (double)o->n_samples),
                  n = seen > (double)LEAST_SAMPLES ? (int64_t)seen : LEAST_SAMPLES;

    o->set.epochs = epochs > 1 ? epochs : 1;
    if (n < o->n_samples)
        take_samples(a, n, o);
    o->checkpoint = trial_file(a, t, ++t->n_trials);
    return trial;
}

void training_forget_trials(const struct training *t)
{
    struct arena *a = arena_create();

    for (int n = 1; remove(trial_file(a, t, n)) == 0; n++)
        ;
    arena_destroy(a);
}

/* ---- training ------------------------------------------------------------------- */

static void show(void *arg, const struct train_progress *p)
{
    const struct training *t = arg;
    char loss[32];
    const struct progress_state state = {.stage = t->what ? t->what : "training",
                                         .done = (int)p->step,
                                         .all = (int)p->steps,
                                         .started_at = (int)p->begun_at,
                                         .seconds = p->seconds,
                                         .loss = p->step > p->begun_at ? loss : NULL};

    if (p->begun_at == p->steps || !progress_is_due())
        return;
    snprintf(loss, sizeof loss, "%.4f", p->loss);
    progress_show(&state);
}

/* The original, as the same passes leave it. */
static struct status *follow_original(const struct training *t, struct compile *c,
                                      struct ir_graph *g, struct train_result *result)
{
    struct compile_options co = {.onnx = t->co->onnx, .passes = t->co->passes};
    struct compile *original = compile_create();
    struct train_options o = t->options;
    struct ir_graph *teacher;
    struct status *s;

    o.progress = show;
    o.progress_arg = (void *)t;
    co.passes.dump_after = NULL;
    s = compile_graph(original, t->model, &co, NULL, &teacher);
    if (!s)
        s = train_graph(c, g, teacher, &o, result);
    compile_destroy(original);
    return s;
}

struct status *training_run(const struct training *t, struct compile *c,
                            struct ir_graph *g, struct plan *p)
{
    struct train_result result;

    RETURN_IF_FAIL(follow_original(t, c, g, &result));
    if (p)
        p->distillation = t->options.set;
    if (result.steps > result.resumed_at && !t->what) {
        progress(NULL);
        printf(
            "%s: %lld weights trained in %lld steps on %lld samples, loss %.4f, then "
            "%.4f",
            t->options.data->path, (long long)result.n_weights, (long long)result.steps,
            (long long)t->options.n_samples, result.first_loss, result.last_loss);
        if (result.n_zeros)
            printf("; %lld of them are zero", (long long)result.n_zeros);
        printf("\n");
        fflush(stdout);
    }
    return OK;
}
