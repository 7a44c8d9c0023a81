/* SPDX-License-Identifier: Apache-2.0 */
/* The runs of a comparison: see compared.h. */
#include "cli/compared.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/progress.h"
#include "codegen/compile_model.h"
#include "frontend/splits.h"
#include "search/model_problem.h"
#include "search/record.h"
#include "support/blas.h"
#include "support/json_door.h"
#include "support/json_lines.h"
#include "support/side_by_side.h"

enum { MOST_CALIBRATION = 256, MOST_TEST = 1024, MOST_TILES = 8 };

/* What a model's runs with a seed have in common. */
struct sown {
    uint8_t data_sha256[32]; /* of the samples of all uses */
    bool before_hashes;      /* finished when headers did not have that yet */
    bool has_finals;
};

struct model {
    const struct compared_model *of;
    const char *name;
    struct compile *c;
    struct ir_graph *g;
    struct dataset *data;
    int n_units;
    struct sown *sown; /* by seed */
};

/* A run's place. */
struct seat {
    int model, target, who, seed;
};

/* Evaluations of the runs that are missing, and the run that one was made in last. */
struct counts {
    atomic_int done, known;
    struct seat at; /* written without a lock: only shown */
};

struct compared {
    struct arena *a;
    const struct compared_options *o;
    struct contest_results *r;
    struct device *devices; /* of the targets */
    struct model *models;
    struct seat *groups; /* that are to be played: models and seeds */
    int n_groups;
    struct counts *counts; /* shared with copies of the process */
    int64_t n_all;         /* evaluations of the runs that are missing */
    double started;
};

/* ---- names ----------------------------------------------------------------------- */

static const char *run_path(const struct compared *k, const struct seat *at,
                            const char *end)
{
    const struct contest_results *r = k->r;

    return arena_printf(k->a, "%s/runs/%s.%s.%s.%d.jsonl%s", k->o->folder,
                        r->models[at->model], r->targets[at->target],
                        r->who[at->who]->name, at->seed + 1, end);
}

static const char *finals_path(const struct compared *k, int model, int seed)
{
    return arena_printf(k->a, "%s/runs/%s.%d.finals.json", k->o->folder,
                        k->r->models[model], seed + 1);
}

static struct splits make_splits(const struct compared *k, int model, int seed)
{
    const struct splits_options how = {
        .seed = (uint64_t)seed + 1,
        .wants_validation = true,
        .most = {[SPLITS_CALIBRATION] = MOST_CALIBRATION,
                 [SPLITS_VALIDATION] = k->o->n_samples,
                 [SPLITS_TEST] = MOST_TEST},
    };

    return splits_make(k->models[model].data, &how, k->a);
}

/* What a model's runs with a seed have in common, as members of a JSON object. */
static const char *settings(const struct compared *k, int model, int seed)
{
    const struct model *m = &k->models[model];
    const struct sown *own = &m->sown[seed];
    const struct splits splits = make_splits(k, model, seed);
    struct text t = {0};

    splits_print_json(&splits, &t);
    for (char *c = t.bytes; *c; c++)
        *c = *c == '\n' ? ' ' : *c;

    const char *line = arena_printf(
        k->a,
        "\"model_sha256\": \"%s\", %s\"units\": %d, \"evaluations\": %d, \"budget\": "
        "%.9g, %s\"seed\": %d, \"splits\": %s",
        arena_hex(k->a, m->c->model_sha256, 32),
        own->before_hashes ? ""
                           : arena_printf(k->a, "\"data_sha256\": \"%s\", ",
                                          arena_hex(k->a, own->data_sha256, 32)),
        m->n_units, k->r->n_evaluations, k->r->budget_way,
        k->o->batch > 1 ? arena_printf(k->a, "\"batch\": %d, ", k->o->batch) : "",
        seed + 1, t.bytes);

    text_free(&t);
    return line;
}

static const char *run_header(const struct compared *k, const struct seat *at)
{
    return arena_printf(k->a,
                        "{\"compare\": 1, \"target\": \"%s\", \"method\": \"%s\", %s}",
                        k->r->targets[at->target], k->r->who[at->who]->name,
                        settings(k, at->model, at->seed));
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Whole lines, and whether something is left behind the last one. */
static int count_lines(const char *path, bool *is_cut)
{
    FILE *f = fopen(path, "r");
    int n = 0, last = '\n';

    for (int c; f && (c = getc_unlocked(f)) != EOF; last = c)
        n += c == '\n';
    if (f)
        fclose(f);
    *is_cut = last != '\n';
    return n;
}

/* It has as many evaluations as its finals say, fewer than were allowed where the
 * method had no other plan to propose; finals from before they said so are believed. */
static bool is_finished(const struct compared *k, const struct seat *at)
{
    const int n_final =
        contest_run_at(k->r, at->model, at->target, at->who, at->seed)->n_evaluations;
    bool is_cut;
    const int n = count_lines(run_path(k, at, ""), &is_cut) - 1;

    if (n < 1 || is_cut)
        return false;
    return n >= k->r->n_evaluations
           || (k->models[at->model].sown[at->seed].has_finals && n >= n_final);
}

/* ---- models ---------------------------------------------------------------------- */

/* The samples of every seed, read once. */
static struct status *hash_samples(struct compared *k, int model)
{
    struct model *m = &k->models[model];

    for (int seed = 0; seed < k->r->n_seeds; seed++) {
        const struct splits s = make_splits(k, model, seed);

        RETURN_IF_FAIL(
            splits_digest(&s, m->data, SPLITS_N_USES, m->sown[seed].data_sha256));
    }
    return OK;
}

static struct status *open_model(struct compared *k, int i)
{
    struct model *m = &k->models[i];
    const struct compile_options co = {.target = k->r->targets[0]};
    struct dataset_options want = {.spec = k->o->models[i].spec};

    m->of = &k->o->models[i];
    m->c = compile_create();
    RETURN_IF_FAIL(compile_graph(m->c, m->of->path, &co, NULL, &m->g));
    units_find(m->g, &m->n_units);
    if (!m->n_units)
        return FAIL(UNSUPPORTED, "the model has no layers with weights to choose for");
    RETURN_IF_FAIL(dataset_inputs_of(m->g, k->a, &want));
    RETURN_IF_FAIL(dataset_open(m->of->data, &want, k->a, &m->data));

    const struct splits s = make_splits(k, i, 0);

    if (!s.use[SPLITS_VALIDATION].n || !s.use[SPLITS_TEST].n)
        return FAIL(INVALID, "'%s' has too few samples to search, validate and test on",
                    m->of->data);
    m->sown = arena_new_array(k->a, struct sown, k->r->n_seeds);
    return hash_samples(k, i);
}

static struct status *open_all(struct compared *k)
{
    struct contest_results *r = k->r;
    const char **names = arena_new_array(k->a, const char *, r->n_models);

    k->models = arena_new_array(k->a, struct model, r->n_models);
    k->devices = arena_new_array(k->a, struct device, r->n_targets);
    r->models = names;
    for (int t = 0; t < r->n_targets; t++) {
        const struct target *target = target_find(r->targets[t]);

        RETURN_IF_FAIL(target_fitted_device(k->a, target, NULL, NULL, &k->devices[t]));
    }
    for (int i = 0; i < r->n_models; i++) {
        names[i] = model_short_name(k->a, k->o->models[i].path);
        for (int b = 0; b < i; b++)
            if (strcmp(names[b], names[i]) == 0)
                return FAIL(BAD_USAGE, "two models are called '%s'; results go by name",
                            names[i]);
        progress(arena_printf(k->a, "reading %s", names[i]));
        RETURN_IF_FAIL(
            status_note(open_model(k, i), "while reading '%s'", k->o->models[i].path));
    }
    return OK;
}

/* ---- a model with a seed --------------------------------------------------------- */

/* What targets with the same tile share: compressed units and losses. */
struct shared {
    int tile;
    struct variants *searched, *tested;
    struct model_problem *search, *test; /* whose costs are of the first target */
    struct contest_pool *pool;
};

struct group {
    int model, seed, n_shared;
    struct shared shared[MOST_TILES];
    struct shared **of;              /* by target */
    struct model_problem **problems; /* by target */
    struct contest_entry **entries;
    struct arena *a;
};

static int tile_of(const struct device *d)
{
    const double tile = d->figures[FIGURE_TILE_CHANNELS].value;

    return tile > 1 ? (int)tile : 1;
}

static struct status *make_variants(struct compared *k, const struct group *g, int tile,
                                    enum splits_use use, struct variants **out)
{
    struct model *m = &k->models[g->model];
    const struct splits s = make_splits(k, g->model, g->seed);
    const struct variants_options how = {
        .data = m->data,
        .n_calibration = s.use[SPLITS_CALIBRATION].n,
        .calibration = s.use[SPLITS_CALIBRATION].at,
        .n_scored = s.use[use].n,
        .scored = s.use[use].at,
        .tile = tile,
        .forgets = use == SPLITS_TEST, /* a plan of each run */
    };

    return variants_create(m->c, m->g, &how, out);
}

static struct model_problem_options options_for(const struct compared *k, int target)
{
    const struct device *d = &k->devices[target];
    struct model_problem_options o = {
        .device = d,
        .halves = target_halves(target_find(k->r->targets[target]), d),
        .depthwise_bits =
            target_depthwise_bits(target_find(k->r->targets[target]), false),
        .batch = k->o->batch,
    };

    for (int c = 0; c < COST_COUNT; c++)
        o.budgets[c] = INFINITY;
    return o;
}

/* Of the target's tile; made when it is the first one. */
static struct status *share_with(struct compared *k, struct group *g, int target,
                                 struct shared **out)
{
    const struct contest_results *r = k->r;
    const struct model_problem_options o = options_for(k, target);
    const int tile = tile_of(&k->devices[target]);
    struct shared *s = g->shared;

    for (; s < g->shared + g->n_shared; s++)
        if (s->tile == tile) {
            *out = s;
            return OK;
        }
    if (g->n_shared == MOST_TILES)
        return FAIL(UNSUPPORTED, "the targets have more than %d different tiles",
                    MOST_TILES);
    g->n_shared++;
    *s = (struct shared){.tile = tile};
    *out = s;
    RETURN_IF_FAIL(make_variants(k, g, tile, SPLITS_VALIDATION, &s->searched));
    RETURN_IF_FAIL(make_variants(k, g, tile, SPLITS_TEST, &s->tested));
    s->test = model_problem_create(g->a, s->tested, &o);
    s->search = model_problem_create(g->a, s->searched, &o);
    s->pool = contest_pool_create(g->a, &s->search->problem,
                                  r->n_targets * r->n_who * r->n_evaluations);
    return OK;
}

static void exact_costs(void *self, const struct choices *c, double *out)
{
    model_problem_costs(self, c, out);
}

/* Of a group that is open or whose finals have been read; a share of the original's
 * latency. */
static double budget_of(const struct compared *k, int model, int target, int seed)
{
    return contest_run_at(k->r, model, target, 0, seed)->budget;
}

static void set_budget(struct compared *k, const struct group *g, int target)
{
    const double budget = contest_budget(g->a, &g->problems[target]->problem,
                                         exact_costs, k->r->budget_way);

    for (int w = 0; w < k->r->n_who; w++)
        contest_run_at(k->r, g->model, target, w, g->seed)->budget = budget;
}

static struct status *open_group(struct compared *k, struct group *g)
{
    const int n = k->r->n_targets;

    progress(arena_printf(k->a, "compressing every unit of %s for itself",
                          k->r->models[g->model]));
    g->of = arena_new_array(g->a, struct shared *, n);
    g->problems = arena_new_array(g->a, struct model_problem *, n);
    g->entries = arena_new_array(g->a, struct contest_entry *, n);
    for (int t = 0; t < n; t++) {
        const struct model_problem_options o = options_for(k, t);

        RETURN_IF_FAIL(share_with(k, g, t, &g->of[t]));
        g->problems[t] = model_problem_create(g->a, g->of[t]->searched, &o);
        set_budget(k, g, t);
        g->entries[t] = contest_enter(g->a, g->of[t]->pool, &g->problems[t]->problem,
                                      exact_costs, budget_of(k, g->model, t, g->seed));
    }
    return OK;
}

static void close_group(struct group *g)
{
    for (int i = 0; i < g->n_shared; i++) {
        variants_destroy(g->shared[i].searched);
        variants_destroy(g->shared[i].tested);
    }
    arena_destroy(g->a);
}

/* ---- a run ----------------------------------------------------------------------- */

struct playing {
    struct compared *k;
    const struct seat *at;
    struct record *record;
    const struct model_problem *pool; /* the one that evaluates */
    struct status *failed;
};

static bool recall(void *arg, int n, const struct choices *c, struct search_result *out)
{
    struct playing *p = arg;

    if (!record_recall(p->record, n, c, out))
        return false;
    atomic_fetch_add(&p->k->counts->known, 1);
    return true;
}

static void show(void *arg)
{
    const struct compared *k = arg;
    const struct contest_results *r = k->r;
    const struct seat at = k->counts->at;

    if (!progress_is_due())
        return;

    const struct progress_state state = {
        .stage = arena_printf(k->a, "%s, %s, %s, seed %d", r->models[at.model],
                              r->targets[at.target], r->who[at.who]->name, at.seed + 1),
        .done = atomic_load(&k->counts->done),
        .all = (int)k->n_all,
        .started_at = atomic_load(&k->counts->known),
        .seconds = progress_seconds() - k->started,
    };

    progress_show(&state);
}

static void watch(void *arg, struct evaluator *e)
{
    struct playing *p = arg;
    struct compared *k = p->k;

    if (!p->failed)
        p->failed = record_add(p->record, e);
    if (p->failed || p->pool->failed)
        e->budget = e->n;
    atomic_fetch_add(&k->counts->done, 1);
    k->counts->at = *p->at;
    if (k->o->jobs == 1)
        show(k);
}

/* Into the run's .part, which then gets its name; a run that has it already was cut, or
 * its group has no finals: what is there is known. */
static struct status *play(struct compared *k, struct group *g, const struct seat *at)
{
    struct playing p = {.k = k, .at = at, .pool = g->of[at->target]->search};
    const char *part = run_path(k, at, ".part");
    struct arena *a;
    struct status *s;

    if (exists(run_path(k, at, "")) && rename(run_path(k, at, ""), part) != 0)
        return FAIL(IO_ERROR, "cannot rename '%s': %s", run_path(k, at, ""),
                    strerror(errno));
    a = arena_create();
    s = status_note(record_open(part, run_header(k, at), true,
                                k->models[at->model].n_units, &p.record),
                    "while going on in '%s'; another -o begins anew", k->o->folder);

    if (!s) {
        struct evaluator *e = contest_begin(
            a, k->r->who[at->who], g->entries[at->target], k->r->n_evaluations);

        e->recall = recall;
        e->watch = watch;
        e->arg = &p;
        contest_play(k->r->who[at->who], e, (uint64_t)at->seed + 1);
        s = p.failed ? p.failed : p.pool->failed;
        atomic_fetch_add(&k->counts->known, k->r->n_evaluations - e->n);
        atomic_fetch_add(&k->counts->done, k->r->n_evaluations - e->n);
    }
    record_close(p.record, false);
    if (!s && rename(part, run_path(k, at, "")) != 0)
        s = FAIL(IO_ERROR, "cannot rename '%s': %s", part, strerror(errno));
    arena_destroy(a);
    return s;
}

/* ---- a finished run -------------------------------------------------------------- */

/* As an evaluator whose results are those of the file. */
static struct status *load(struct compared *k, const struct seat *at, struct arena *a,
                           struct evaluator **out)
{
    struct search_problem *p = arena_new(a, struct search_problem);
    struct record *record;

    RETURN_IF_FAIL(status_note(record_read(run_path(k, at, ""), run_header(k, at),
                                           k->models[at->model].n_units, &record),
                               "while going on in '%s'; another -o begins anew",
                               k->o->folder));

    const int n = record_n_known(record);
    const struct choices *c;
    struct search_result result;

    *p = (struct search_problem){.n_units = k->models[at->model].n_units};
    for (int i = 0; i < COST_COUNT; i++)
        p->budgets[i] = INFINITY;
    if (n) {
        record_at(record, 0, &c, &result);
        memcpy(p->base, result.costs, sizeof p->base);
    }
    p->budgets[COST_latency] =
        p->base[COST_latency] * budget_of(k, at->model, at->target, at->seed);
    *out = evaluator_create(a, p, k->r->n_evaluations);
    (*out)->recall = (bool (*)(void *, int, const struct choices *,
                               struct search_result *))record_recall;
    (*out)->arg = record;
    for (int i = 0; i < n && i < k->r->n_evaluations; i++) {
        record_at(record, i, &c, &result);
        evaluator_run(*out, c, "file");
    }
    record_close(record, false);
    return (*out)->n ? OK
                     : FAIL(INVALID, "'%s' has no evaluation", run_path(k, at, ""));
}

static const struct seat *next_seat(const struct compared *k, struct seat *at)
{
    if (++at->who == k->r->n_who) {
        at->who = 0;
        at->target++;
    }
    return at->target < k->r->n_targets ? at : NULL;
}

/* What finished runs know need not be evaluated again. */
static struct status *tell_pools(struct compared *k, struct group *g)
{
    struct seat at = {g->model, 0, 0, g->seed};

    for (const struct seat *s = &at; s; s = next_seat(k, &at)) {
        struct arena *a = arena_create();
        struct evaluator *e = NULL;
        struct status *status = is_finished(k, s) ? load(k, s, a, &e) : OK;

        for (int i = 0; e && i < e->n; i++)
            contest_pool_know(g->of[s->target]->pool, e->all[i].choices,
                              &e->all[i].result);
        arena_destroy(a);
        RETURN_IF_FAIL(status);
    }
    return OK;
}

/* ---- finals ---------------------------------------------------------------------- */

static const char *finals_header(const struct compared *k, int model, int seed)
{
    struct text t = {0};

    text_printf(&t, "{%s, \"runs\": [", settings(k, model, seed));
    for (int i = 0; i < k->r->n_targets; i++)
        text_printf(&t, "\"%s\", ", k->r->targets[i]);
    for (int w = 0; w < k->r->n_who; w++)
        text_printf(&t, "\"%s\"%s", k->r->who[w]->name,
                    w + 1 < k->r->n_who ? ", " : "]}");

    const char *line = arena_strdup(k->a, t.bytes);

    text_free(&t);
    return line;
}

/* The plan that a run ends with, on test samples and on every target. */
static struct status *final_json(struct compared *k, struct group *g,
                                 const struct seat *at, json_t **out)
{
    struct arena *a = arena_create();
    struct evaluator *e;
    struct status *s = load(k, at, a, &e);

    if (!s) {
        struct model_problem *const test = g->of[at->target]->test;
        const struct choices *c =
            e->best >= 0 ? e->all[e->best].choices : e->all[0].choices;
        struct search_result result;
        json_t *on = json_array();

        test->problem.evaluate(test, c, &result);
        s = test->failed;
        for (int t = 0; t < k->r->n_targets; t++) {
            double costs[COST_COUNT];

            model_problem_costs(g->problems[t], c, costs);
            json_array_append_new(
                on, json_real(costs[COST_latency]
                              / g->problems[t]->problem.base[COST_latency]));
        }
        *out = json_object();
        json_object_set_new(*out, "target", json_string(k->r->targets[at->target]));
        json_object_set_new(*out, "method", json_string(k->r->who[at->who]->name));
        json_object_set_new(*out, "evaluations", json_integer(e->n));
        json_object_set_new(*out, "test_loss", json_real(result.loss));
        json_object_set_new(*out, "test_drop", json_real(result.drop));
        json_object_set_new(*out, "latency_on", on);
    }
    arena_destroy(a);
    return s;
}

static struct status *write_file(const char *path, struct arena *a, const char *bytes,
                                 size_t n)
{
    const char *fresh = arena_printf(a, "%s.new", path);
    FILE *f = fopen(fresh, "w");
    const bool written = f && fwrite(bytes, 1, n, f) == n;

    if ((f && fclose(f) != 0) || !written || rename(fresh, path) != 0)
        return FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
    return OK;
}

static struct status *write_finals(struct compared *k, struct group *g)
{
    struct seat at = {g->model, 0, 0, g->seed};
    json_t *all = json_object(), *finals = json_array(), *budgets = json_array();
    struct status *s = OK;
    struct text t = {0};

    progress(arena_printf(k->a, "testing what was found for %s, seed %d",
                          k->r->models[g->model], g->seed + 1));
    json_object_set_new(all, "of", json_string(finals_header(k, g->model, g->seed)));
    json_object_set_new(all, "budgets", budgets);
    for (int i = 0; i < k->r->n_targets; i++)
        json_array_append_new(budgets, json_real(budget_of(k, g->model, i, g->seed)));
    for (const struct seat *i = &at; i && !s; i = next_seat(k, &at)) {
        json_t *one = NULL;

        s = final_json(k, g, i, &one);
        if (!s)
            json_array_append_new(finals, one);
    }
    json_object_set_new(all, "finals", finals);
    json_lines_put(all, &t);
    if (!s)
        s = write_file(finals_path(k, g->model, g->seed), k->a, t.bytes, t.len);
    text_free(&t);
    json_decref(all);
    return s;
}

/* A share of the original's latency for each target. */
static struct status *take_shares(const struct compared *k, const struct json_door *at,
                                  const json_t *from, const char *key, double **out)
{
    const size_t n = (size_t)k->r->n_targets;
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(at, from, key, n, n, &list));
    *out = arena_new_array(k->a, double, n);
    for (size_t t = 0; t < n; t++) {
        (*out)[t] = json_number_value(json_array_get(list, t));
        if (!((*out)[t] > 0))
            return FAIL(INVALID, "'%s': \"%s\" has something that is no share above 0",
                        at->file, key);
    }
    return OK;
}

static struct status *take_budgets(struct compared *k, const struct json_door *at,
                                   const json_t *from, int model, int seed)
{
    double *budgets;

    RETURN_IF_FAIL(take_shares(k, at, from, "budgets", &budgets));
    for (int t = 0; t < k->r->n_targets; t++)
        for (int w = 0; w < k->r->n_who; w++)
            contest_run_at(k->r, model, t, w, seed)->budget = budgets[t];
    return OK;
}

static struct status *take_final(const struct compared *k, const struct json_door *at,
                                 const json_t *from, struct contest_run *run)
{
    int64_t n = 0;

    if (json_object_get(from, "evaluations"))
        RETURN_IF_FAIL(
            json_door_integer(at, from, "evaluations", 1, k->r->n_evaluations, &n));
    run->n_evaluations = (int)n;
    RETURN_IF_FAIL(
        json_door_real(at, from, "test_loss", -1e300, 1e300, &run->test_loss));
    RETURN_IF_FAIL(
        json_door_real(at, from, "test_drop", -1e300, 1e300, &run->test_drop));
    return take_shares(k, at, from, "latency_on", &run->on);
}

/* Also of headers that did not have the samples' hash yet: what is finished stays
 * readable, and nothing is added to it. */
static bool is_of(struct compared *k, int model, int seed, const char *of)
{
    bool *before = &k->models[model].sown[seed].before_hashes;

    *before = false;
    if (strcmp(of, finals_header(k, model, seed)) == 0)
        return true;
    *before = true;
    if (strcmp(of, finals_header(k, model, seed)) == 0)
        return true;
    *before = false;
    return false;
}

/* sown->has_finals is false when the file is missing or of another comparison. */
static struct status *read_finals(struct compared *k, int model, int seed)
{
    const struct json_door at = {k->a, finals_path(k, model, seed), NULL};
    const size_t n = (size_t)(k->r->n_targets * k->r->n_who);
    bool *out = &k->models[model].sown[seed].has_finals;
    struct seat seat = {model, 0, 0, seed};
    const json_t *list;
    const char *of;
    json_t *all;
    size_t i = 0;

    *out = false;
    if (!exists(at.file))
        return OK;
    RETURN_IF_FAIL(json_door_load(&at, &all));

    struct status *s = json_door_text(&at, all, "of", &of);

    *out = !s && is_of(k, model, seed, of);
    if (*out)
        s = take_budgets(k, &at, all, model, seed);
    if (*out && !s) {
        s = json_door_array(&at, all, "finals", n, n, &list);
        for (const struct seat *p = &seat; p && !s; p = next_seat(k, &seat))
            s = take_final(k, &at, json_array_get(list, i++),
                           contest_run_at(k->r, p->model, p->target, p->who, p->seed));
    }
    json_decref(all);
    return s;
}

/* ---- everything ------------------------------------------------------------------ */

static struct status *play_group(struct compared *k, struct group *g)
{
    struct seat at = {g->model, 0, 0, g->seed};

    RETURN_IF_FAIL(open_group(k, g));
    RETURN_IF_FAIL(tell_pools(k, g));
    for (const struct seat *s = &at; s; s = next_seat(k, &at)) {
        if (!is_finished(k, s))
            RETURN_IF_FAIL(play(k, g, s));
    }
    return write_finals(k, g);
}

static int count_missing(struct compared *k, int model, int seed)
{
    struct seat at = {model, 0, 0, seed};
    int n = 0;

    for (const struct seat *s = &at; s; s = next_seat(k, &at))
        n += !is_finished(k, s);
    return n;
}

static struct status *play_one(void *arg, int i)
{
    struct compared *k = arg;
    const struct seat *at = &k->groups[i];
    struct group g = {.model = at->model, .seed = at->seed, .a = arena_create()};
    struct status *s;

    if (k->o->jobs > 1)
        progress_begin("none"); /* of this copy */
    s = play_group(k, &g);
    close_group(&g);
    return status_note(s, "while searching '%s'", k->r->models[at->model]);
}

static struct status *list_groups(struct compared *k)
{
    const struct contest_results *r = k->r;

    k->groups = arena_new_array(k->a, struct seat, r->n_seeds * r->n_models);
    for (int seed = 0; seed < r->n_seeds; seed++)
        for (int m = 0; m < r->n_models; m++) {
            struct sown *own = &k->models[m].sown[seed];

            RETURN_IF_FAIL(read_finals(k, m, seed));

            const int missing = count_missing(k, m, seed);

            if (missing || !own->has_finals) {
                k->groups[k->n_groups++] = (struct seat){.model = m, .seed = seed};
                own->before_hashes = false; /* these runs could be of other samples */
            }
            k->n_all += (int64_t)missing * r->n_evaluations;
        }
    return OK;
}

static struct status *play_all(struct compared *k)
{
    RETURN_IF_FAIL(list_groups(k));
    k->counts = side_by_side_memory(sizeof *k->counts);
    k->started = progress_seconds();
    return side_by_side(k->o->jobs, k->n_groups, play_one, show, k);
}

static struct status *measure_all(struct compared *k)
{
    const struct contest_results *r = k->r;

    for (int m = 0; m < r->n_models; m++)
        for (int seed = 0; seed < r->n_seeds; seed++) {
            struct seat at = {m, 0, 0, seed};

            RETURN_IF_FAIL(read_finals(k, m, seed));
            for (const struct seat *s = &at; s; s = next_seat(k, &at)) {
                struct arena *a = arena_create();
                struct evaluator *e;
                struct status *status = load(k, s, a, &e);

                if (!status)
                    contest_measure(
                        k->a, e, r->fixed_loss,
                        &contest_run_at(r, m, s->target, s->who, seed)->figures);
                arena_destroy(a);
                RETURN_IF_FAIL(status);
            }
        }
    return OK;
}

static struct status *make_folders(const struct compared *k)
{
    const char *paths[] = {k->o->folder, arena_printf(k->a, "%s/runs", k->o->folder)};

    for (int i = 0; i < 2; i++)
        if (mkdir(paths[i], 0777) != 0 && errno != EEXIST)
            return FAIL(IO_ERROR, "cannot make the folder '%s': %s", paths[i],
                        strerror(errno));
    return OK;
}

struct status *compared_run(struct arena *a, const struct compared_options *o,
                            struct contest_results *r)
{
    struct compared k = {.a = a, .o = o, .r = r};
    const int n = r->n_models * r->n_targets * r->n_who * r->n_seeds;
    struct status *s;

    r->runs = arena_new_array(a, struct contest_run, n);
    RETURN_IF_FAIL(blas_open());
    s = open_all(&k);
    if (!s)
        s = make_folders(&k);
    if (!s)
        s = play_all(&k);
    if (!s)
        s = measure_all(&k);
    for (int i = 0; k.models && i < r->n_models; i++) {
        dataset_close(k.models[i].data);
        if (k.models[i].c)
            compile_destroy(k.models[i].c);
    }
    return s;
}
