/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc MODEL.onnx --target NAME: reads, optimises, compiles, writes the bundle. */
#include <stdlib.h>
#include <string.h>

#include "cli/model.h"
#include "cli/problems.h"
#include "cli/progress.h"
#include "cli/quantized.h"
#include "cli/ranks_mpi.h"
#include "cli/training.h"
#include "codegen/compile_model.h"
#include "plan/plan_words.h"
#include "search/method.h"
#include "support/nearest.h"

#define OPTIONS_FILE "cli/verb_compile.def"
#include "cli/option_rows.h"

#ifndef HADMC_VERSION
#error "the build defines HADMC_VERSION"
#endif

static struct status *about_hadmcc(const struct args *o)
{
    struct text out = {0};
    struct status *s = OK;

    if (o->version)
        text_puts(&out, "hadmcc " HADMC_VERSION "\n");
    else if (o->man)
        option_print_man(&out);
    else
        s = option_print_completion(o->completion, &out);
    if (!s)
        fputs(out.bytes, stdout);
    text_free(&out);
    return s;
}

/* board.json, boards/mine.json: a device.json of the user's. */
static bool is_file(const char *target)
{
    const size_t n = strlen(target);

    return strchr(target, '/') || (n > 5 && strcmp(target + n - 5, ".json") == 0);
}

/* `names` ends with NULL. */
static struct status *check_name(const char *what, const char *name,
                                 const char *const *names)
{
    struct text list = {0};

    for (int i = 0; names[i]; i++) {
        if (!name || strcmp(name, names[i]) == 0) {
            text_free(&list);
            return OK;
        }
        text_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }

    const char *near = nearest_word(name, names);
    struct status *s = near ? FAIL(BAD_USAGE, "there is no %s '%s'; did you mean '%s'?",
                                   what, name, near)
                            : FAIL(BAD_USAGE, "there is no %s '%s'; there are %s", what,
                                   name, list.bytes);

    text_free(&list);
    return s;
}

static struct status *check_target(const char *name)
{
    const char *names[LIST_MAX] = {NULL};

    if (name && is_file(name))
        return OK;
    for (int i = 0; all_targets[i] && i < LIST_MAX - 1; i++)
        names[i] = all_targets[i]->name;
    return check_name("target", name, names);
}

/* The first option that asks for a search; NULL: none does. */
static const char *asks_for_search(const struct args *o)
{
    return o->max_drop > 0.0     ? "--max-drop"
           : o->max_ms > 0.0     ? "--max-ms"
           : o->max_bytes        ? "--max-bytes"
           : o->max_ram          ? "--max-ram"
           : o->max_energy > 0.0 ? "--max-energy"
           : o->evaluations      ? "--evaluations"
           : o->controller       ? "--controller"
           : o->method           ? "--method"
           : o->resume           ? "--resume"
           : o->jobs             ? "--jobs"
           : o->plan_from        ? "--plan-from"
                                 : NULL;
}

static bool has_budget(const struct args *o)
{
    return o->max_ms > 0.0 || o->max_bytes || o->max_ram || o->max_energy > 0.0;
}

/* Samples and no decision ask for one, too. */
static bool wants_search(const struct args *o)
{
    return asks_for_search(o)
           || (o->data && !o->bits && !o->plan && !(o->prune > 0.0) && !o->sparse
               && !o->distill && !o->no_search);
}

static bool bits_are(const struct args *o, const char *word)
{
    return o->bits && strcmp(o->bits, word) == 0;
}

static bool has_bits(const struct args *o)
{
    return bits_are(o, "16") || bits_are(o, "8") || bits_are(o, "4")
           || bits_are(o, "auto");
}

/* 0: a search or a plan decides. */
static int bits_of(const struct args *o)
{
    if (wants_search(o) || o->plan)
        return 0;
    return bits_are(o, "auto") ? 8 : has_bits(o) ? atoi(o->bits) : 32;
}

/* Something is to be decided on samples. */
static bool needs_data(const struct args *o)
{
    return has_bits(o) || o->plan || wants_search(o) || o->prune > 0.0 || o->sparse
           || o->distill;
}

/* "512K" -> 524288; 0: not a size. */
static int64_t size_of(const char *text)
{
    static const char units[] = "KMG";
    char *end;
    const double value = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    const int shift = unit ? 10 * (int)(unit - units + 1) : 0;

    if (end == text || !(value > 0.0) || (*end && (!unit || end[1])))
        return 0;
    return value * (double)(INT64_C(1) << shift) < 0x1p46
               ? (int64_t)(value * (double)(INT64_C(1) << shift))
               : 0;
}

static struct status *check_size(const char *option, const char *size)
{
    return !size || size_of(size)
               ? OK
               : FAIL(BAD_USAGE, "%s '%s' is no size, such as 500000 or 512K", option,
                      size);
}

/* "incremental:0.3"; false: no strategy. */
static bool parse_update(const char *text, struct plan_update *out)
{
    const char *colon = strchr(text, ':');
    const size_t n = colon ? (size_t)(colon - text) : strlen(text);
    char *end;

    *out = (struct plan_update){.ratio = 1.0};
    for (int i = 0; plan_strategies[i]; i++) {
        if (strlen(plan_strategies[i]) != n || strncmp(text, plan_strategies[i], n))
            continue;
        out->strategy = (enum plan_strategy)i;
        if (!colon)
            return true;
        out->ratio = strtod(colon + 1, &end);
        return i == STRATEGY_incremental && end != colon + 1 && !*end
               && out->ratio > 0.0 && out->ratio <= 1.0;
    }
    return false;
}

static const char two_of_four[] = "2:4";
static const double MOST_ZEROS = 0.95;

static bool is_two_of_four(const struct args *o)
{
    return o->sparse && strcmp(o->sparse, two_of_four) == 0;
}

/* 0: no share. */
static double zeros_of(const struct args *o)
{
    char *end;
    const double share = o->sparse ? strtod(o->sparse, &end) : 0.0;

    return o->sparse && end != o->sparse && !*end && share > 0.0 && share <= MOST_ZEROS
               ? share
               : 0.0;
}

/* `training` is what --distill says. */
static struct status *check_zeros(const struct args *o,
                                  const struct train_settings *training)
{
    const bool gradual = training->masks.kind != ANNEAL_NONE;

    if (o->sparse && !is_two_of_four(o) && !(zeros_of(o) > 0.0))
        return FAIL(BAD_USAGE, "--sparse '%s' is neither 2:4 nor a share up to %g",
                    o->sparse, MOST_ZEROS);
    if (o->sparse && wants_search(o))
        return FAIL(BAD_USAGE, "--sparse %s goes with no search", o->sparse);
    if (o->sparse && !o->data)
        return FAIL(BAD_USAGE, "--sparse needs --data to fit the other weights on");
    if (gradual && !(zeros_of(o) > 0.0))
        return FAIL(BAD_USAGE, "--distill: masks by a schedule need --sparse SHARE");
    if (gradual && !training->epochs)
        return FAIL(BAD_USAGE, "--distill: masks by a schedule need an epoch");
    return OK;
}

static bool is_auto(const struct args *o)
{
    return o->update && strcmp(o->update, "auto") == 0;
}

static struct status *check_update(const struct args *o)
{
    struct plan_update update;

    if (o->update && !is_auto(o) && !parse_update(o->update, &update))
        return FAIL(BAD_USAGE,
                    "--update '%s' is not full, hash, incremental, incremental:R with "
                    "R above 0 and up to 1, or auto",
                    o->update);
    if (is_auto(o) && !o->deployed)
        return FAIL(BAD_USAGE, "--update auto needs --deployed, what devices have");
    if (o->max_update_bytes && !o->deployed)
        return FAIL(BAD_USAGE,
                    "--max-update-bytes needs --deployed, what devices have");
    return check_size("--max-update-bytes", o->max_update_bytes);
}

static struct status *check_decisions(const struct args *o)
{
    struct train_settings training = {0};

    if (wants_search(o) && o->no_search)
        return FAIL(BAD_USAGE, "--no-search forbids the search that %s asks for",
                    asks_for_search(o));
    if (o->plan
        && (o->bits || wants_search(o) || o->prune > 0.0 || o->sparse || o->fuse
            || o->update))
        return FAIL(BAD_USAGE, "--plan says everything; it goes with no other choice");
    if (o->prune > 0.95)
        return FAIL(BAD_USAGE, "--prune %g is more than 0.95, the most that there is",
                    o->prune);
    if (o->prune > 0.0 && wants_search(o))
        return FAIL(
            BAD_USAGE,
            "--prune %g goes with no search, which decides about channels itself",
            o->prune);
    if (has_bits(o) && !bits_are(o, "auto") && wants_search(o))
        return FAIL(BAD_USAGE, "--bits %s leaves nothing to search for", o->bits);
    if (ranks_mpi_is_used() && (!wants_search(o) || o->plan_from))
        return FAIL(BAD_USAGE, "several ranks share a search, and nothing else");
    if (o->jobs > RANKS_MOST)
        return FAIL(BAD_USAGE, "--jobs %d is more than %d, the most that there is",
                    o->jobs, RANKS_MOST);
    RETURN_IF_FAIL(check_size("--max-bytes", o->max_bytes));
    RETURN_IF_FAIL(check_size("--max-ram", o->max_ram));
    RETURN_IF_FAIL(check_name("method", o->method, method_names));
    RETURN_IF_FAIL(check_name("controller", o->controller, controller_names));
    if (o->plan_from && o->resume)
        return FAIL(BAD_USAGE, "--plan-from searches for nothing that --resume could "
                               "go on with");
    if (o->method && o->controller)
        return FAIL(BAD_USAGE, "--method %s leaves nothing to --controller %s",
                    o->method, o->controller);
    if (o->prune > 0.0 && !o->data)
        return FAIL(BAD_USAGE, "--prune needs --data to choose channels on");
    RETURN_IF_FAIL(check_update(o));
    if (!(o->prune > 0.0) && (o->saliency || o->channels))
        return FAIL(BAD_USAGE, "%s is of use with --prune only",
                    o->saliency ? "--saliency" : "--channels");
    if (o->max_drop > 0.0 && !o->data)
        return FAIL(BAD_USAGE, "--max-drop needs --data to measure accuracy on");
    if (wants_search(o) && !o->data && !has_budget(o))
        return FAIL(BAD_USAGE, "a search needs --data, or a budget to meet");
    if (!needs_data(o) && (o->data || o->data_spec))
        return FAIL(BAD_USAGE,
                    "%s is of use with --bits, --prune, --sparse, --plan, --distill or "
                    "a search only",
                    o->data ? "--data" : "--data-spec");
    if (o->batch > 1 && (o->distill || o->train))
        return FAIL(BAD_USAGE, "--batch %d goes with no training", o->batch);
    if (o->distill && !o->data)
        return FAIL(BAD_USAGE, "--distill needs --data to train and to test on");
    if (o->train && !o->distill && !o->plan && !wants_search(o))
        return FAIL(BAD_USAGE,
                    "--train is of use with --distill, --plan or a search only");
    if (o->train && !o->data)
        return FAIL(BAD_USAGE, "--train needs --data to test on");
    if (o->distill)
        RETURN_IF_FAIL(training_parse(o->distill, &training));
    return check_zeros(o, &training);
}

static struct status *check_args(const char *model, const struct args *o)
{
    if (!model)
        return FAIL(BAD_USAGE, "no model given; `hadmcc --help` says how");
    if (!o->target && !o->stop_after)
        return FAIL(BAD_USAGE, "--target is missing; `hadmcc targets` lists them");
    RETURN_IF_FAIL(check_target(o->target));
    return check_decisions(o);
}

static enum emit_kind kind_of(const char *word, const struct target *t)
{
    int kind = EMIT_OBJECT;

    if (!word)
        return t && t->emits == EMITS_C ? EMIT_C : EMIT_OBJECT;
    while (strcmp(word, emit_kind_names[kind]) != 0)
        kind++; /* the option admits no others */
    return (enum emit_kind)kind;
}

/* Of the word in the list; `otherwise` without a word. */
static int index_of(const char *word, const char *const *list, int otherwise)
{
    for (int i = 0; word && list[i]; i++)
        if (strcmp(word, list[i]) == 0)
            return i;
    return otherwise;
}

static enum plan_pattern pattern_of(const struct args *o)
{
    return (enum plan_pattern)index_of(o->fuse, plan_patterns, PATTERN_all);
}

static enum prune_saliency saliency_of(const struct args *o)
{
    return (enum prune_saliency)index_of(o->saliency, prune_saliencies, 0);
}

static struct pass_options pass_options_of(const struct args *o)
{
    struct pass_options p = {.dump_after = o->dump_after, .stop_after = o->stop_after};
    const int max = (int)(sizeof p.skip / sizeof p.skip[0]);

    for (p.n_skip = 0; p.n_skip < o->skip.n && p.n_skip < max; p.n_skip++)
        p.skip[p.n_skip] = o->skip.at[p.n_skip];
    return p;
}

/* Options that change the result, without paths: for the report. */
static const char *options_text(struct arena *a, const struct args *o)
{
    struct text t = {0};

    text_printf(&t, "--target %s", is_file(o->target) ? "FILE" : o->target);
    if (o->cpu)
        text_printf(&t, " --cpu %s", o->cpu);
    for (int i = 0; i < o->dim.n; i++)
        text_printf(&t, " --dim %s", o->dim.at[i]);
    for (int i = 0; i < o->shape.n; i++)
        text_printf(&t, " --shape %s", o->shape.at[i]);
    for (int i = 0; i < o->freeze.n; i++) {
        const char *path = strstr(o->freeze.at[i], "=@");
        const size_t n =
            path ? (size_t)(path - o->freeze.at[i]) : strlen(o->freeze.at[i]);

        text_printf(&t, " --freeze %.*s%s", (int)n, o->freeze.at[i],
                    path ? "=@FILE" : "");
    }
    if (o->freeze_from)
        text_puts(&t, " --freeze-from DIR");
    for (int i = 0; i < o->io.n; i++)
        text_printf(&t, " --io %s", o->io.at[i]);
    if (o->batch)
        text_printf(&t, " --batch %d", o->batch);
    if (o->bits)
        text_printf(&t, " --bits %s", o->bits);
    if (o->plan)
        text_puts(&t, " --plan FILE");
    if (o->prune > 0.0)
        text_printf(&t, " --prune %g", o->prune);
    if (o->saliency)
        text_printf(&t, " --saliency %s", o->saliency);
    if (o->channels)
        text_printf(&t, " --channels %s", o->channels);
    if (o->sparse)
        text_printf(&t, " --sparse %s", o->sparse);
    if (o->fuse)
        text_printf(&t, " --fuse %s", o->fuse);
    if (o->update)
        text_printf(&t, " --update %s", o->update);
    if (o->deployed)
        text_puts(&t, " --deployed OLD");
    if (o->max_update_bytes)
        text_printf(&t, " --max-update-bytes %s", o->max_update_bytes);
    if (o->distill)
        text_printf(&t, " --distill %s", o->distill);
    if (o->max_drop > 0.0)
        text_printf(&t, " --max-drop %g", o->max_drop);
    if (o->max_ms > 0.0)
        text_printf(&t, " --max-ms %g", o->max_ms);
    if (o->max_bytes)
        text_printf(&t, " --max-bytes %s", o->max_bytes);
    if (o->max_ram)
        text_printf(&t, " --max-ram %s", o->max_ram);
    if (o->max_energy > 0.0)
        text_printf(&t, " --max-energy %g", o->max_energy);
    if (o->evaluations)
        text_printf(&t, " --evaluations %d", o->evaluations);
    if (o->controller)
        text_printf(&t, " --controller %s", o->controller);
    if (o->method)
        text_printf(&t, " --method %s", o->method);
    if (o->seed)
        text_printf(&t, " --seed %d", o->seed);
    if (o->emit)
        text_printf(&t, " --emit %s", o->emit);
    if (o->embed)
        text_puts(&t, " --embed");
    if (o->workers)
        text_printf(&t, " --workers %d", o->workers);
    for (int i = 0; i < o->skip.n; i++)
        text_printf(&t, " --skip %s", o->skip.at[i]);

    const char *copy = arena_strdup(a, t.bytes);

    text_free(&t);
    return copy;
}

static void print_graph(const struct ir_graph *g)
{
    struct text t = {0};

    ir_print(g, 0, &t);
    fputs(t.bytes, stdout);
    text_free(&t);
}

/* --stop-after: the graph as it is then, nothing else. */
static struct status *print_stopped(const char *model, const struct compile_options *co)
{
    struct compile *c = compile_create();
    struct ir_graph *g = NULL;
    struct status *s = compile_graph(c, model, co, NULL, &g);

    if (!s)
        print_graph(g);
    compile_destroy(c);
    return s;
}

/* Compilation stops at the first node that it cannot do; tell about all of them. */
static void list_problems(const char *model, const struct onnx_options *o)
{
    struct compile *c = compile_create();
    struct onnx_problems problems = {0};

    status_free(problems_find(c, model, o, &problems));
    if (problems.n > 1) {
        progress(NULL);
        problems_print(&problems, stderr);
    }
    compile_destroy(c);
}

/* NULL where none is asked for. */
static struct status *find_target(struct arena *a, const char *name,
                                  const struct target **out)
{
    if (name && is_file(name))
        return target_of_file(a, name, out);
    *out = name ? target_find(name) : NULL;
    return OK;
}

/* <model>.<board>; NULL: the compiler's default.  Without slashes at the end: what lies
 * beside the bundle has its name and more. */
static const char *folder_of(struct arena *a, const char *model, const struct args *o)
{
    size_t n = o->folder ? strlen(o->folder) : 0;

    while (n > 1 && o->folder[n - 1] == '/')
        n--;
    if (o->folder)
        return arena_printf(a, "%.*s", (int)n, o->folder);
    if (!o->target || !is_file(o->target))
        return NULL;

    const char *slash = strrchr(o->target, '/');
    const char *board = slash ? slash + 1 : o->target, *dot = strrchr(board, '.');
    const int n_board = (int)(dot > board ? (size_t)(dot - board) : strlen(board));

    return arena_printf(a, "%s.%.*s", model_short_name(a, model), n_board, board);
}

/* Beside the bundle. */
static const char *search_file(struct arena *a, const char *model,
                               const struct compile_options *co)
{
    return co->folder ? arena_printf(a, "%s.search.jsonl", co->folder)
                      : arena_printf(a, "%s.%s.search.jsonl",
                                     model_short_name(a, model), co->target);
}

/* Nothing is to be decided on samples. */
static struct status *compile_plain(struct arena *a, const char *model,
                                    const struct compile_options *co,
                                    const struct deployed_options *deployed)
{
    struct compile_options mine = *co;
    struct plan_update update = {.strategy = STRATEGY_full, .ratio = 1};
    const char *sentence;

    if (!deployed)
        return compile_model(model, co);
    if (co->update)
        update = *co->update;
    mine.update = &update;
    RETURN_IF_FAIL(deployed_choose(a, model, co, deployed, &update, &sentence));
    RETURN_IF_FAIL(compile_model(model, &mine));
    progress(NULL);
    printf("%s\n", sentence);
    return OK;
}

/* Before any work whose result could then not be used.  Only rank 0 writes. */
static struct status *check_files(const char *model, const struct compile_options *co,
                                  const struct deployed_options *deployed)
{
    if (ranks_mpi_rank())
        return OK;
    if (deployed)
        RETURN_IF_FAIL(deployed_check(deployed));
    return compile_check_folder(model, co);
}

static struct status *compile(struct arena *a, const char *model, const struct args *o)
{
    const struct model_options mo = MODEL_OPTIONS(o);
    const struct target *target = NULL;
    struct plan_update update;

    RETURN_IF_FAIL(find_target(a, o->target, &target));
    struct compile_options co = {
        .target = target ? target->name : NULL,
        .device = o->target && is_file(o->target) ? o->target : NULL,
        .cpu = o->cpu,
        .folder = folder_of(a, model, o),
        .prefix = o->prefix,
        .passes = pass_options_of(o),
        .kind = kind_of(o->emit, target),
        .embed = o->embed,
        .max_workers = o->workers,
        .limits_fusion = o->fuse != NULL,
        .fusion = pattern_of(o),
        .update = o->update && !is_auto(o) && parse_update(o->update, &update) ? &update
                                                                               : NULL,
    };

    RETURN_IF_FAIL(model_parse_options(a, model, &mo, &co.onnx));
    co.onnx.batch = o->batch;
    if (o->stop_after)
        return print_stopped(model, &co);
    RETURN_IF_FAIL(compile_check_kind(target, co.kind));
    co.command_options = options_text(a, o);

    const struct deployed_options deployed = {
        .old = o->deployed,
        .chooses = is_auto(o),
        .max_bytes = o->max_update_bytes ? size_of(o->max_update_bytes) : 0,
    };
    const struct quantized_options qo = {
        .deployed = o->deployed ? &deployed : NULL,
        .data = o->data,
        .spec = o->data_spec,
        .seed = o->seed ? (uint64_t)o->seed : 1,
        .bits = bits_of(o),
        .may_raise = bits_are(o, "auto"),
        .plan = o->plan,
        .fusion = pattern_of(o),
        .prune = o->prune,
        .saliency = saliency_of(o),
        .any_count = o->channels && strcmp(o->channels, "any") == 0,
        .zeros = zeros_of(o),
        .two_of_four = is_two_of_four(o),
        .distill = o->distill,
        .train = o->train,
        .max_drop = o->max_drop > 0.0 ? o->max_drop : 1.0,
        .has_max_drop = o->max_drop > 0.0,
        .max_ms = o->max_ms,
        .max_energy = o->max_energy,
        .max_bytes = o->max_bytes ? size_of(o->max_bytes) : 0,
        .max_ram = o->max_ram ? size_of(o->max_ram) : 0,
        .evaluations = o->evaluations ? o->evaluations : 1000,
        .controller = o->controller ? o->controller : "mappo",
        .method = o->method ? o->method : "both",
        .search_file = search_file(a, model, &co),
        .resume = o->resume,
        .plan_from = o->plan_from,
        .jobs = o->jobs ? o->jobs : 1};

    RETURN_IF_FAIL(check_files(model, &co, qo.deployed));

    struct status *s = needs_data(o) ? quantized_compile(a, model, &co, &qo)
                                     : compile_plain(a, model, &co, qo.deployed);

    if (s && (status_code(s) == UNSUPPORTED || status_code(s) == INVALID))
        list_problems(model, &co.onnx);
    return s;
}

static struct status *run(const char *model, const void *args)
{
    const struct args *o = args;

    if (o->version || o->man || o->completion)
        return about_hadmcc(o);
    RETURN_IF_FAIL(check_args(model, o));

    struct arena *a = arena_create();

    progress_begin(ranks_mpi_rank() ? "none" : o->progress);
    progress(arena_printf(a, "compiling %s", model));

    struct status *s = compile(a, model, o);

    progress(NULL);
    arena_destroy(a);
    return s;
}

const struct verb verb_compile = {
    .name = "",
    .operand = "MODEL.onnx",
    .about = "Compile an ONNX model into a small, fast library for one device.",
    .example = "hadmcc keyword.onnx --target orin -o keyword.orin",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
