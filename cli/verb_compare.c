/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc compare: methods of search against each other on real models. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/compared.h"
#include "cli/progress.h"
#include "codegen/target.h"

#define OPTIONS_FILE "cli/verb_compare.def"
#include "cli/option_rows.h"

enum { MOST_WHO = 64 };

/* ---- the command line ------------------------------------------------------------ */

static struct status *find_targets(const struct args *o, struct contest_results *r)
{
    static const char *const host[] = {"host"};

    r->n_targets = o->target.n ? o->target.n : 1;
    r->targets = o->target.n ? o->target.at : host;
    for (int i = 0; i < r->n_targets; i++) {
        if (!target_find(r->targets[i]))
            return FAIL(BAD_USAGE,
                        "there is no target '%s'; `hadmcc targets` lists them",
                        r->targets[i]);
        for (int k = 0; k < i; k++)
            if (strcmp(r->targets[i], r->targets[k]) == 0)
                return FAIL(BAD_USAGE, "--target %s is given twice", r->targets[i]);
    }
    return OK;
}

static struct status *unknown_method(struct arena *a, const char *name)
{
    const char *known = "";

    for (const struct contestant *c = contestants; c->name; c++)
        known = arena_printf(a, "%s%s%s", known, *known ? ", " : "", c->name);
    return FAIL(BAD_USAGE, "--methods: there is no '%s' among %s", name, known);
}

/* Ours, then those that were asked for, or all but controllers alone. */
static struct status *find_methods(struct arena *a, const char *words,
                                   struct contest_results *r)
{
    const struct contestant **who =
        arena_new_array(a, const struct contestant *, MOST_WHO);
    char *at = words ? arena_strdup(a, words) : NULL, *word;

    r->who = who;
    who[r->n_who++] = &contestants[0];
    for (const struct contestant *c = contestants + 1; !at && c->name; c++)
        if (c->role != CONTEST_CONTROLLER)
            who[r->n_who++] = c;
    while (at && (word = strsep(&at, ","))) {
        const struct contestant *c = contest_find(word);
        bool known = false;

        if (!c)
            return unknown_method(a, word);
        for (int i = 0; i < r->n_who; i++)
            known |= who[i] == c;
        if (!known)
            who[r->n_who++] = c;
    }
    return OK;
}

static struct status *find_models(struct arena *a, const char *first,
                                  const struct args *o, struct compared_options *out)
{
    struct compared_model *m =
        arena_new_array(a, struct compared_model, o->operands.n + 1);

    out->n_models = o->operands.n + 1;
    out->models = m;
    if (!first)
        return FAIL(BAD_USAGE, "no model given; `hadmcc compare --help` says how");
    if (o->data.n != out->n_models)
        return FAIL(BAD_USAGE,
                    "--data is given %d times for %d models: each needs its own",
                    o->data.n, out->n_models);
    if (o->data_spec.n && o->data_spec.n != out->n_models)
        return FAIL(
            BAD_USAGE,
            "--data-spec is given %d times for %d models: for all of them or none",
            o->data_spec.n, out->n_models);
    for (int i = 0; i < out->n_models; i++)
        m[i] = (struct compared_model){i ? o->operands.at[i - 1] : first, o->data.at[i],
                                       o->data_spec.n ? o->data_spec.at[i] : NULL};
    return OK;
}

/* Without paths. */
static const char *command(struct arena *a, const struct contest_results *r,
                           const struct compared_options *o)
{
    const char *c = "hadmcc compare";

    for (int i = 0; i < r->n_models; i++)
        c = arena_printf(a, "%s %s", c, r->models[i]);
    for (int i = 0; i < r->n_targets; i++)
        c = arena_printf(a, "%s --target %s", c, r->targets[i]);
    c = arena_printf(a, "%s --methods ", c);
    for (int i = 0; i < r->n_who; i++)
        c = arena_printf(a, "%s%s%s", c, i ? "," : "", r->who[i]->name);
    if (o->batch > 1)
        c = arena_printf(a, "%s --batch %d", c, o->batch);
    return arena_printf(
        a, "%s --seeds %d --evaluations %d --samples %d --latency %g --loss %g", c,
        r->n_seeds, r->n_evaluations, o->n_samples, r->budget_way, r->fixed_loss);
}

/* ---- results --------------------------------------------------------------------- */

static struct status *write_text(struct arena *a, const char *folder, const char *name,
                                 struct text *t)
{
    const char *path = arena_printf(a, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    const bool written = f && fwrite(t->bytes, 1, t->len, f) == t->len;

    text_free(t);
    if ((f && fclose(f) != 0) || !written)
        return FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
    return OK;
}

static void print_verdicts(struct arena *a, const struct contest_results *r)
{
    printf("%-22s", arena_printf(a, "%s against", r->who[0]->name));
    for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++)
        printf("  %-31s", contest_measure_titles[m]);
    puts("");
    for (int w = 1; w < r->n_who; w++) {
        printf("%-22s", r->who[w]->name);
        for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++) {
            const struct contest_verdict v = contest_judge(a, r, m)[w];

            printf("  %+8.4f %-22s", v.difference, v.words);
        }
        puts("");
    }
}

static struct status *compare(struct arena *a, const char *first, const struct args *o)
{
    struct compared_options co = {.folder = o->folder ? o->folder : "comparison",
                                  .n_samples = o->samples ? o->samples : 256,
                                  .batch = o->batch ? o->batch : 1,
                                  .jobs = o->jobs ? o->jobs : 1};
    struct contest_results r = {
        .n_seeds = o->seeds ? o->seeds : 10,
        .n_evaluations = o->evaluations ? o->evaluations : 300,
        .budget_way = o->latency > 0.0 ? o->latency : 0.7,
        .fixed_loss = o->loss > 0.0 ? o->loss : 0.05,
    };
    struct text json = {0}, page = {0};

    RETURN_IF_FAIL(find_models(a, first, o, &co));
    RETURN_IF_FAIL(find_targets(o, &r));
    RETURN_IF_FAIL(find_methods(a, o->methods, &r));
    r.n_models = co.n_models;
    progress_begin(o->progress);
    RETURN_IF_FAIL(compared_run(a, &co, &r));
    progress(NULL);
    r.command = command(a, &r, &co);
    r.samples = arena_printf(a,
                             "Calibration, search and test samples are disjoint; each "
                             "seed draws its own search samples, at most %d.",
                             co.n_samples);
    contest_put_json(a, &r, &json);
    contest_put_html(a, &r, &page);
    RETURN_IF_FAIL(write_text(a, co.folder, "compare.json", &json));
    RETURN_IF_FAIL(write_text(a, co.folder, "compare.html", &page));
    print_verdicts(a, &r);
    printf("%s/compare.html\n", co.folder);
    return OK;
}

static struct status *run(const char *model, const void *args)
{
    struct arena *a = arena_create();
    struct status *s = compare(a, model, args);

    progress(NULL);
    arena_destroy(a);
    return s;
}

const struct verb verb_compare = {
    .name = "compare",
    .operand = "MODEL ...",
    .about = "Let methods of search compete on models and targets, at equal numbers of "
             "true\n"
             "evaluations, and test who is better (docs/compare.md).",
    .example =
        "hadmcc compare keyword.onnx --data recordings/ --seeds 5 -o keyword.compare",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
