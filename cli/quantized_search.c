/* SPDX-License-Identifier: Apache-2.0 */
/* The main job's search (docs/search.md): plans are put together from compressed units
 * and scored on some of the validation samples (search/model_problem.h), until the
 * evaluations are spent; quantized_choose.c carries the best out. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/searching.h"
#include "runtime/sha256.h"
#include "search/method.h"
#include "search/reach.h"
#include "search/search_environment.h"
#include "search/walk.h"
#include "support/blas.h"
#include "support/json_door.h"
#include "support/json_lines.h"

enum { MOST_SCORED = 256 }; /* samples of an evaluation */

/* Nats beyond which a plan's accuracy says nothing of that of a good one. */
static const double MOST_LOSS = 0.5;

/* What a plan loses when it is carried out, as a share of what its evaluation says: a
 * first guess. */
static const double CARRIED_OUT = 0.6;

/* ---- Ctrl-C ---------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
    signal(SIGINT, SIG_DFL); /* the second one ends the program */
}

bool searching_interrupted(void)
{
    return interrupted;
}

/* ---- samples --------------------------------------------------------------------- */

/* Every other one, at most MOST_SCORED of them, for evaluations; the rest for checks.
 */
static void divide_samples(struct searching *s)
{
    const struct quantized *q = s->q;
    const int64_t n = q->splits.use[SPLITS_VALIDATION].n,
                  *at = q->splits.use[SPLITS_VALIDATION].at;
    const int64_t wanted = (n + 1) / 2 < MOST_SCORED ? (n + 1) / 2 : MOST_SCORED;

    s->scored = arena_new_array(q->a, int64_t, n);
    s->checked = arena_new_array(q->a, int64_t, n);
    for (int64_t i = 0; i < n; i++)
        if (i * wanted / n != (i + 1) * wanted / n)
            s->scored[s->n_scored++] = at[i];
        else
            s->checked[s->n_checked++] = at[i];
    if (!s->n_checked) /* a single sample */
        s->checked[s->n_checked++] = at[0];
}

/* ---- budgets --------------------------------------------------------------------- */

bool searching_has_budget(const struct quantized_options *o)
{
    return o->max_ms > 0.0 || o->max_bytes || o->max_ram || o->max_energy > 0.0;
}

static void set_budgets(const struct quantized_options *o, double *budgets)
{
    for (int k = 0; k < COST_COUNT; k++)
        budgets[k] = INFINITY;
    if (o->max_ms > 0.0)
        budgets[COST_latency] = o->max_ms * 1e6;
    if (o->max_bytes)
        budgets[COST_bytes] = (double)o->max_bytes;
    if (o->max_ram)
        budgets[COST_ram] = (double)o->max_ram;
    if (o->max_energy > 0.0)
        budgets[COST_energy] = o->max_energy * 1e-3;
}

const char *searching_amount(struct arena *a, enum search_cost k, double cost)
{
    switch (k) {
    case COST_latency:
        return arena_printf(a, "%.4g ms (modelled)", cost / 1e6);
    case COST_energy:
        return arena_printf(a, "%.4g mJ (modelled)", cost * 1e3);
    case COST_bytes:
        return arena_printf(a, "%.0f bytes of weights", cost);
    case COST_ram:
    case COST_COUNT:
        break;
    }
    return arena_printf(a, "%.0f bytes of memory (modelled)", cost);
}

static const char *const budget_options[] = {
    [COST_latency] = "--max-ms",
    [COST_energy] = "--max-energy",
    [COST_bytes] = "--max-bytes",
    [COST_ram] = "--max-ram",
};

static void exact_costs(void *self, const struct choices *c, double *out)
{
    model_problem_costs(self, c, out);
}

/* NO_FIT names the budget that blocks, the least there is of it, and the closest plan.
 */
static struct status *check_budgets(const struct searching *s)
{
    struct arena *a = s->q->a;
    const struct reach r = reach_find(a, s->p, exact_costs);
    const double *costs = r.costs;

    if (r.fits)
        return OK;
    return FAIL(NO_FIT,
                "no plan meets %s: %s is asked for, %s the least there is. The closest "
                "plan has %s, %s and %s",
                budget_options[r.blocks],
                searching_amount(a, r.blocks, s->p->budgets[r.blocks]),
                searching_amount(a, r.blocks, r.least[r.blocks]),
                searching_amount(a, COST_latency, costs[COST_latency]),
                searching_amount(a, COST_bytes, costs[COST_bytes]),
                searching_amount(a, COST_ram, costs[COST_ram]));
}

/* ---- progress -------------------------------------------------------------------- */

static double value_of(const struct searching *s, const struct evaluation *v)
{
    return v->feasible ? reward_of(&s->reward, s->p, v->choices, &v->result)
                       : -INFINITY;
}

static void show(struct searching *s, const struct evaluation *best)
{
    const struct progress_state state = {
        .stage = "searching",
        .done = s->e->n,
        .all = s->q->o->evaluations,
        .started_at = s->n_started,
        .seconds = progress_seconds() - s->started,
        .best =
            best ? arena_printf(s->q->a, "loss %.4f, %s, %.0f bytes", best->result.loss,
                                searching_amount(s->q->a, COST_latency,
                                                 best->result.costs[COST_latency]),
                                best->result.costs[COST_bytes])
                 : NULL,
    };

    progress_show(&state);
}

static const struct evaluation *best_of(const struct searching *s)
{
    const struct evaluation *best = NULL;

    for (int i = 0; i < s->e->n; i++)
        if (s->e->all[i].feasible
            && (!best || value_of(s, &s->e->all[i]) > value_of(s, best)))
            best = &s->e->all[i];
    return best;
}

static void watch(void *arg, struct evaluator *e)
{
    struct searching *s = arg;

    if (!s->failed)
        s->failed = record_add(s->record, e);
    if (progress_is_due())
        show(s, best_of(s));
    if (interrupted || s->failed || s->model->failed)
        e->budget = e->n;
}

static bool recall(void *arg, int n, const struct choices *c, struct search_result *out)
{
    struct searching *s = arg;

    if (!record_recall(s->record, n, c, out))
        return s->ahead && ahead_take(s->ahead, c, out);
    s->n_started = n + 1;
    return true;
}

/* ---- accuracy by loss -------------------------------------------------------------
 */

/* The original, all units in 16 bits, then the same share and width for all: the first
 * plans that are evaluated. */
static void evaluate_uniform(struct searching *s)
{
    struct arena *a = arena_create();
    struct walk *w = walk_create(a, s->p);
    const struct choices *plans[2 + 2 * CHOICE_RATIOS];
    int n = 0;

    for (int bits = CHOICE_BITS - 1; bits >= 0; bits--)
        for (int ratio = 0; ratio < (choice_bits[bits] < 16 ? CHOICE_RATIOS : 1);
             ratio++) {
            struct choices *c = choices_create(a, s->p->n_units);

            for (int i = 0; i < c->n_units; i++)
                c->units[i] = (struct choice){0, (uint8_t)ratio, (uint8_t)bits};
            walk_repair(w, c, c);
            plans[n++] = c;
        }
    evaluator_expect(s->e, plans, n);
    for (int i = 0; i < n; i++)
        evaluator_run(s->e, plans[i], "uniform");
    arena_destroy(a);
}

/* Points of accuracy that a nat costs, over all plans that lose little; 0: no plan has
 * changed anything that labels see. */
static double find_points_per_nat(const struct searching *s)
{
    const double least = 5, most = 200; /* that are believed */
    double points = 0, nats = 0;
    bool has_labels = false;

    for (int i = 0; i < s->e->n; i++) {
        const struct search_result *r = &s->e->all[i].result;

        has_labels |= r->drop != 0;
        if (r->loss < MOST_LOSS) {
            points += r->drop;
            nats += r->loss;
        }
    }
    return has_labels && nats > 0 ? fmin(fmax(points / nats, least), most) : 0;
}

/* Without budgets costs count, as long as the loss is allowed; with them the loss. */
static void set_reward(struct searching *s)
{
    s->reward = reward_defaults(REWARD_LOG);
    if (!s->model->has_energy)
        s->reward.w[COST_energy] = 0;
    s->points_per_nat = find_points_per_nat(s);
    s->reward.forecast = &s->forecast;
    s->allowed_loss =
        s->q->o->max_drop
        / (s->points_per_nat > 0 ? s->points_per_nat : SEARCHING_POINTS_PER_NAT)
        / CARRIED_OUT;
    if (searching_has_budget(s->q->o)) {
        for (int k = 0; k < COST_COUNT; k++)
            s->reward.w[k] *= 0.2;
        return;
    }
    s->reward.allowed_loss = s->allowed_loss;
}

/* ---- searching ------------------------------------------------------------------- */

/* Its figures: a file of the user's may change under the same name. */
static json_t *device_hash(const struct searching *s)
{
    struct text t = {0};
    struct sha256 h;
    uint8_t digest[32];

    device_write(&s->device, &t);
    sha256_begin(&h);
    sha256_add(&h, t.bytes, t.len);
    sha256_end(&h, digest);
    text_free(&t);
    return json_lines_hash(digest);
}

/* Which search it is: what its evaluations depend on. */
static struct status *record_header(const struct searching *s, const char **out)
{
    const struct quantized *q = s->q;
    const struct training *t = &q->training;
    struct text splits = {0};
    uint8_t data[32];
    json_t *object;
    char *line;

    RETURN_IF_FAIL(splits_digest(&q->splits, q->data, SPLITS_TEST, data));
    splits_print_json(&q->splits, &splits);
    object = json_pack(
        "{s:i, s:s, s:o, s:s, s:i, s:o*, s:o, s:o*, s:o}", "search", 2, "hadmcc",
        HADMC_VERSION, "model_sha256", json_lines_hash(q->c->model_sha256), "options",
        json_door_plain(q->a, q->co->command_options), "units", s->p->n_units, "splits",
        json_loads(splits.bytes, 0, NULL), "data_sha256", json_lines_hash(data),
        "training_sha256", t->model ? json_lines_hash(t->options.data_sha256) : NULL,
        "device_sha256", device_hash(s));
    line = json_dumps(object, JSON_PRESERVE_ORDER);
    *out = arena_strdup(q->a, line ? line : "{}");
    free(line);
    json_decref(object);
    text_free(&splits);
    return OK;
}

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool has_choice(const struct searching *s)
{
    return !search_inert(s->p, AGENT_pruning)
           || !search_inert(s->p, AGENT_quantization);
}

static bool is_over(const struct searching *s)
{
    return interrupted || s->failed || s->model->failed;
}

/* -1: the controller with the surrogate. */
static int method_of(const struct searching *s)
{
    return index_of(method_names, s->q->o->method);
}

/* The table of single changes is of the whole, not of a part. */
static struct status *begin_with_table(struct searching *s, int all)
{
    struct method_options o = method_defaults();

    o.share_of_effects *= (double)all / s->e->budget;
    s->forecast.effects = method_run_table(s->e, &o, s->q->a);
    return is_over(s) ? OK : searching_weigh(s);
}

/* Each part of a search draws its own numbers. */
static void run_method(struct searching *s, int part, int all)
{
    const struct quantized_options *o = s->q->o;
    const int method = method_of(s);
    const uint64_t seed = o->seed + (uint64_t)part;
    struct method_options options = method_defaults();
    struct controller_options c = controller_defaults(
        (enum controller_kind)index_of(controller_names, o->controller));

    options.reward = s->reward;
    options.share_of_effects *= method >= 0 ? (double)all / s->e->budget : 0;
    if (method >= 0)
        method_run((enum method)method, s->e, &options, seed);
    else
        method_run_both(&c, s->e, &options, seed);
}

/* Without budgets in parts, the first one twice as long: between two of them a plan is
 * carried out, which tells where to look on. */
static struct status *run_methods(struct searching *s)
{
    const int all = s->e->budget,
              parts = searching_has_budget(s->q->o) ? 1 : SEARCHING_PARTS;

    if (!has_choice(s))
        return OK;
    for (int i = 0; i < parts && !is_over(s); i++) {
        const int left = parts - i + (parts > 1 && i == 0);

        if (i)
            RETURN_IF_FAIL(searching_look(s));
        s->e->budget = s->e->n + (all - s->e->n) * (parts > 1 && i == 0 ? 2 : 1) / left;
        if (i == 0 && method_of(s) < 0)
            RETURN_IF_FAIL(begin_with_table(s, all));
        run_method(s, i, all);
    }
    return OK;
}

static struct status *search(struct searching *s)
{
    struct quantized *q = s->q;

    RETURN_IF_FAIL(blas_open());
    RETURN_IF_FAIL(searching_share(s));
    RETURN_IF_FAIL(record_open(q->o->search_file, s->header, q->o->resume,
                               s->p->n_units, &s->record));
    s->e = evaluator_create(q->a, s->p, q->o->evaluations);
    s->e->recall = recall;
    s->e->watch = watch;
    s->e->expect = s->ahead ? searching_expect : NULL;
    s->e->arg = s;
    s->started = progress_seconds();
    s->reward = reward_defaults(REWARD_LOG);
    evaluate_uniform(s);
    set_reward(s);
    if (q->training.model)
        searching_train_begin(s);

    struct status *status = run_methods(s), *ended = searching_alone(s);

    if (status) {
        status_free(ended);
        return status;
    }
    RETURN_IF_FAIL(ended);
    if (s->model->failed)
        return s->model->failed;
    return s->failed;
}

/* ---- the whole ------------------------------------------------------------------- */

static struct status *prepare(struct searching *s)
{
    struct quantized *q = s->q;
    int64_t file_bytes;
    struct model_problem_options o = {
        .device = &s->device,
        .halves = q->halves,
        .depthwise_bits = target_depthwise_bits(target_find(q->co->target),
                                                q->bundle->kind == EMIT_C),
        .batch = quantized_batch(q),
    };
    const double tile = s->device.figures[FIGURE_TILE_CHANNELS].value;

    divide_samples(s);
    const struct variants_options how = {
        .data = q->data,
        .n_calibration = q->splits.use[SPLITS_CALIBRATION].n,
        .calibration = q->splits.use[SPLITS_CALIBRATION].at,
        .n_scored = s->n_scored,
        .scored = s->scored,
        .tile = tile > 1 ? (int)tile : 1,
    };

    progress("compressing every unit for itself");
    RETURN_IF_FAIL(variants_create(q->c, q->g, &how, &s->variants));
    progress("running the original model on the validation samples");
    RETURN_IF_FAIL(quantized_run_here(q, false, s->n_checked, s->checked, &s->original,
                                      &file_bytes));
    set_budgets(q->o, o.budgets);
    for (int i = 0; i < q->n_units; i++)
        file_bytes -= cost_weight_bytes(q->units[i].n_weights, q->units[i].channels,
                                        q->units[i].weight_bits)
                      + unit_recurrent_bytes(&q->units[i], q->units[i].weight_bits);
    o.more_bytes = file_bytes > 0 ? (double)file_bytes : 0.0;
    s->model = model_problem_create(q->a, s->variants, &o);
    s->p = &s->model->problem;
    return check_budgets(s);
}

static struct status *search_and_choose(struct searching *s)
{
    void (*before)(int) = signal(SIGINT, interrupt);
    struct status *status = search(s);

    if (!status)
        status = searching_choose(s);
    signal(SIGINT, before);
    return status;
}

static struct status *run(struct searching *s)
{
    struct quantized *q = s->q;

    if (!q->splits.use[SPLITS_VALIDATION].n)
        return FAIL(INVALID,
                    "'%s' has too few samples for a search: none is left for "
                    "validation",
                    q->data->path);
    if (!q->n_units)
        return FAIL(UNSUPPORTED, "the model has no layers with weights to choose for");
    RETURN_IF_FAIL(quantized_begin_training(q, &interrupted));
    if (q->training.model && !q->o->resume)
        training_forget_trials(&q->training);
    RETURN_IF_FAIL(quantized_device(s->q, &s->device));
    RETURN_IF_FAIL(prepare(s));
    RETURN_IF_FAIL(record_header(s, &s->header));
    if (q->o->plan_from)
        return searching_replay(s);
    return search_and_choose(s);
}

struct status *quantized_search(struct quantized *q)
{
    struct searching s = {.q = q};
    struct status *status = run(&s);

    record_close(s.record, false);
    if (!status && !interrupted && !q->o->plan_from)
        q->over = q->o->search_file;
    variants_destroy(s.variants);
    return status;
}
