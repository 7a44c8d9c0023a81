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

static struct status *set_number(const char *name, const char *word, double least,
                                 double most, double *out)
{
    char *end;

    *out = strtod(word, &end);
    if (end == word || *end || !(*out >= least && *out <= most))
        return FAIL(BAD_USAGE, "--distill: %s is '%s', not a number from %g to %g",
                    name, word, least, most);
    return OK;
}

static struct status *set(const char *name, const char *word, struct train_options *out)
{
    double number;
    bool known = false;

#define SETTING(key, member, least, most)                                              \
    if (strcmp(name, #key) == 0) {                                                     \
        RETURN_IF_FAIL(set_number(name, word, least, most, &number));                  \
        out->member = (__typeof__(out->member))number;                                 \
        return (double)out->member == number                                           \
                   ? OK                                                                \
                   : FAIL(BAD_USAGE, "--distill: %s takes whole numbers", name);       \
    }
#define CHOICE(key, member, spelled, value)                                            \
    known |= strcmp(name, #key) == 0;                                                  \
    if (strcmp(name, #key) == 0 && strcmp(word, spelled) == 0) {                       \
        out->member = value;                                                           \
        return OK;                                                                     \
    }
#include "cli/training.def"
    return known ? FAIL(BAD_USAGE, "--distill: %s cannot be '%s'", name, word)
                 : FAIL(BAD_USAGE, "--distill has no setting '%s'", name);
}

struct status *training_parse(const char *settings, struct train_options *out)
{
    struct arena *a = arena_create();
    char *text = arena_strdup(a, settings), *rest = NULL;
    struct status *s = OK;

    *out = train_defaults();
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

/* ---- samples -------------------------------------------------------------------- */

static struct status *own_samples(struct arena *a, struct training *t)
{
    const struct dataset *d = t->own;
    const enum dataset_split from =
        d->split[DATASET_TRAIN].n ? DATASET_TRAIN : DATASET_UNNAMED;
    int64_t *at = arena_new_array(a, int64_t, d->split[from].n);

    if (!d->split[from].n)
        return FAIL(INVALID, "'%s' has no samples for training", d->path);
    for (int64_t i = 0; i < d->split[from].n; i++)
        at[i] = d->split[from].first + i;
    t->options.data = d;
    t->options.n_samples = d->split[from].n;
    t->options.sample = at;
    return OK;
}

/* All that may be used for calibration: never a sample of the test. */
static void shared_samples(struct arena *a, const struct training_args *args,
                           struct training *t)
{
    const struct splits_options all = {.seed = args->seed,
                                       .wants_validation = args->wants_validation};
    const struct splits s = splits_make(args->data, &all, a);

    t->options.data = args->data;
    t->options.n_samples = s.use[SPLITS_CALIBRATION].n;
    t->options.sample = s.use[SPLITS_CALIBRATION].at;
}

struct status *training_begin(struct arena *a, const char *model,
                              const struct compile_options *co,
                              const struct training_args *args, struct training *out)
{
    *out = (struct training){.model = model, .co = co};
    RETURN_IF_FAIL(training_parse(args->settings, &out->options));
    out->options.seed = args->seed;
    out->options.checkpoint =
        co->folder
            ? arena_printf(a, "%s.training", co->folder)
            : arena_printf(a, "%s.%s.training", model_short_name(a, model), co->target);
    if (args->train) {
        const struct dataset_options want = {.n_inputs = args->data->n_inputs,
                                             .input = args->data->input,
                                             .spec = args->spec};

        RETURN_IF_FAIL(dataset_open(args->train, &want, a, &out->own));
        return own_samples(a, out);
    }
    shared_samples(a, args, out);
    return OK;
}

void training_end(struct training *t, bool done)
{
    if (done)
        remove(t->options.checkpoint);
    dataset_close(t->own);
    t->own = NULL;
}

/* ---- training ------------------------------------------------------------------- */

static void show(void *arg, const struct train_progress *p)
{
    char line[160], left[32] = "";

    (void)arg;
    if (p->seconds_left >= 0)
        snprintf(left, sizeof left, ", %.0f s left", ceil(p->seconds_left));
    snprintf(line, sizeof line, "training: step %lld of %lld, loss %.4f%s",
             (long long)p->step, (long long)p->steps, p->loss, left);
    progress(line);
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
        p->distillation = (struct plan_distillation){
            .epochs = t->options.epochs,
            .temperature = t->options.temperature,
            .alpha = t->options.alpha,
        };
    if (result.steps > result.resumed_at) {
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
