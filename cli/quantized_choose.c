/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the evaluated plans is taken: the best are carried out, compiled for this
 * machine and measured on the validation samples that no evaluation has seen. */
#include <math.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/searching.h"
#include "search/search_environment.h"

/* Of what a nat costs, as a share of it. */
static const double USUAL_ERROR = 0.5;

/* ---- trials ---------------------------------------------------------------------- */

double searching_measured_loss(const struct score *s)
{
    return s->has_kl ? s->kl : 1.0 - s->cosine;
}

static void note_trial(struct searching *s, const struct trial *t, double share)
{
    const struct train_settings *set = &t->q.training.options.set;

    if (s->n_trials < SEARCHING_MOST_TRIALS)
        s->trials[s->n_trials++] = (struct search_trial){
            .of = t->of,
            .loss = t->loss,
            .drop = t->drop,
            .bytes = (double)t->file_bytes,
            .epochs = share,
            .temperature = set->temperature,
            .alpha = set->alpha,
        };
}

/* Of all samples; 0 without training. */
static double epochs_of(const struct searching *s, const struct training *t)
{
    const struct train_options *o = &t->options;

    return t->model ? (double)(o->set.epochs * o->n_samples)
                          / (double)s->q->training.options.n_samples
                    : 0;
}

static struct status *find_costs(struct searching *s, struct trial *t)
{
    const struct quantized_options *o = s->q->o;
    struct bundle_meta m;

    t->has[COST_bytes] = (double)t->file_bytes;
    if (quantized_is_for_here(s->q) && !o->max_ram && !(o->max_ms > 0.0)
        && !(o->max_energy > 0.0))
        return OK;
    RETURN_IF_FAIL(quantized_on_target(&t->q, &m));
    t->file_bytes = (int64_t)m.weights_bytes;
    t->has[COST_bytes] = (double)t->file_bytes;
    t->has[COST_ram] = (double)m.workspace_bytes;
    t->has[COST_latency] = (double)m.modelled_ns;
    t->has[COST_energy] = (double)m.modelled_nj * 1e-9;
    return OK;
}

bool searching_meets(const struct searching *s, const struct trial *t,
                     enum search_cost k)
{
    return t->has[k] <= s->p->budgets[k];
}

struct status *searching_carry_out(struct searching *s, const struct evaluation *v,
                                   const struct training *training, struct trial *t)
{
    struct outputs compressed;

    *t = (struct trial){.of = v, .q = *s->q};
    t->q.training = training ? *training : (struct training){0};
    RETURN_IF_FAIL(quantized_carry_out(
        &t->q, model_problem_plan(s->model, v->choices, s->q->co->target)));
    RETURN_IF_FAIL(quantized_run_here(&t->q, true, s->n_checked, s->checked,
                                      &compressed, &t->file_bytes));
    RETURN_IF_FAIL(find_costs(s, t));
    RETURN_IF_FAIL(
        evaluate_score(s->q->data, s->checked, &s->original, &compressed, &t->score));
    t->loss = searching_measured_loss(&t->score);
    t->drop = score_drop(&t->score);
    t->done = true;
    note_trial(s, t, epochs_of(s, &t->q.training));
    return OK;
}

/* Of the drop, in points.  That no sample was lost says little of the next one. */
static double standard_error(const struct score *s)
{
    const struct metrics_paired *p = &s->top1;
    const double lost = (double)p->lost, gained = (double)p->gained, n = (double)s->n;

    return 100 * sqrt(fmax(lost + gained - (lost - gained) * (lost - gained) / n, 1))
           / n;
}

bool searching_knows_samples(const struct searching *s)
{
    return s->q->splits.use[SPLITS_VALIDATION].from == DATASET_TRAIN;
}

/* Others lose up to twice what those that are known do, where a drop says less
 * (docs/search.md). */
static double by_new_samples(const struct searching *s)
{
    return searching_knows_samples(s) ? 2 : 1;
}

static double error_by_new_samples(const struct searching *s)
{
    return searching_knows_samples(s) ? 2 : 1;
}

/* Other samples will not say the same, and the best of several plans owes something to
 * luck.  What the loss says depends less on that, but a nat does not always cost as
 * much: the mean of both, each by how sure it is, with a standard error to spare. */
double searching_points(const struct searching *s, const struct trial *t,
                        double points_per_nat, double error)
{
    const double by_loss = t->loss * points_per_nat, least = 1e-6;

    if (!(s->points_per_nat > 0))
        return t->loss * SEARCHING_POINTS_PER_NAT;
    if (t->score.kind != SCORE_TOP1)
        return (t->drop + by_loss) / 2 * by_new_samples(s);

    const double by_drop = pow(standard_error(&t->score) * error_by_new_samples(s), -2),
                 by_nats = pow(fmax(by_loss * error, least), -2),
                 mean = (t->drop * by_drop + by_loss * by_nats) / (by_drop + by_nats);

    return (mean + 1 / sqrt(by_drop + by_nats)) * by_new_samples(s);
}

double searching_value(const struct searching *s, const struct evaluation *v)
{
    return reward_of_costs(&s->reward, s->p, v->result.costs);
}

double searching_loss(const struct searching *s, const struct evaluation *v)
{
    return forecast_loss(&s->forecast, v->choices, v->result.loss);
}

struct candidate {
    const struct evaluation *v;
    double loss;
};

static int by_loss(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return x->loss != y->loss ? (x->loss > y->loss) - (x->loss < y->loss)
                              : (x->v > y->v) - (x->v < y->v);
}

int searching_candidates(const struct searching *s, const struct evaluation ***list)
{
    const struct evaluator *e = s->e;
    struct candidate *of = arena_new_array(s->q->a, struct candidate, e->n + 1);
    int n = 0;

    *list = arena_new_array(s->q->a, const struct evaluation *, e->n + 1);
    for (int i = 0; i < e->n; i++)
        if (e->all[i].feasible)
            of[n++] = (struct candidate){&e->all[i], searching_loss(s, &e->all[i])};
    qsort(of, (size_t)n, sizeof *of, by_loss);
    for (int i = 0; i < n; i++)
        (*list)[i] = of[i].v;
    return n;
}

static int most_trials(int interrupted)
{
    return searching_interrupted() ? interrupted : SEARCHING_TRIALS;
}

/* Of the plan that is not kept only what was measured is left. */
static void keep(struct trial *best, const struct trial *t, bool is_better)
{
    if (!is_better) {
        compile_destroy(t->q.c);
        return;
    }
    if (best->done)
        compile_destroy(best->q.c);
    *best = *t;
}

/* ---- where accuracy ends ---------------------------------------------------------
 *
 * How much a plan loses when it is carried out follows from its evaluation only
 * roughly: pruned ones lose a tenth of that, or two thirds.  Trials say it of similar
 * ones (search/forecast.h), and the cheapest plans that should be accurate are tried
 * next.
 */

/* Share of what is allowed that a forecast may come to. */
static const double AIM = 0.95;

/* By how much a plan has to be cheaper than an accurate one to be tried: log costs. */
static const double WORTH = 0.01;

/* By searching_loss. */
struct edge {
    double low;  /* the most of a plan that is accurate; 0: there is none */
    double high; /* the least of one that is not; INFINITY: there is none */
    double at;   /* up to which plans should be accurate */
};

/* Prices change with the loss, so that it is not far from what was tried. */
static struct edge find_edge(const struct searching *s)
{
    const struct forecast *f = &s->forecast;
    const double most = s->q->o->max_drop;
    struct edge e = {0, INFINITY, s->reward.allowed_loss};

    if (!f->n)
        return e;
    for (int i = 0; i < f->n; i++) {
        const double loss = searching_loss(s, f->mark[i].of);

        if (f->mark[i].points <= most)
            e.low = fmax(e.low, loss);
        else
            e.high = fmin(e.high, loss);
    }
    e.at = AIM * most / forecast_price(f);
    if (e.high == INFINITY)
        e.at = fmin(fmax(e.at, 1.5 * e.low), 4 * e.low);
    else if (e.low <= 0)
        e.at = fmin(fmax(e.at, 0.25 * e.high), 0.67 * e.high);
    else if (e.low < e.high)
        e.at = sqrt(e.low * e.high);
    return e;
}

static bool was_looked_at(const struct searching *s, const struct evaluation *v)
{
    for (int i = 0; i < s->forecast.n; i++)
        if (s->forecast.mark[i].of == v)
            return true;
    return false;
}

/* The most that an accurate plan has; -INFINITY: there is none. */
static double value_of_best(const struct searching *s)
{
    const double most = s->q->o->max_drop;
    double value = s->best.done && s->best.points <= most
                       ? searching_value(s, s->best.of)
                       : -INFINITY;

    for (int i = 0; i < s->forecast.n; i++)
        if (s->forecast.mark[i].points <= most)
            value = fmax(value, searching_value(s, s->forecast.mark[i].of));
    return value;
}

/* The cheapest plan that should be accurate, or else what should lose least. */
const struct evaluation *searching_next(const struct searching *s)
{
    const struct edge e = find_edge(s);
    const struct evaluation **all, *cheapest = NULL, *safest = NULL;
    const int n = searching_candidates(s, &all);
    double value = value_of_best(s) + WORTH, least = e.high;

    for (int i = 0; i < n; i++) {
        const double loss = searching_loss(s, all[i]);

        if (was_looked_at(s, all[i]) || searching_value(s, all[i]) <= value)
            continue;
        if (loss <= e.at) {
            value = searching_value(s, all[i]);
            cheapest = all[i];
        } else if (loss < least) {
            least = loss;
            safest = all[i];
        }
    }
    return cheapest ? cheapest : safest;
}

/* Of accurate plans the cheaper one, of others the more accurate one. */
static bool is_better(const struct searching *s, const struct trial *t)
{
    const struct trial *best = &s->best;
    const double most = s->q->o->max_drop;

    if (!best->done)
        return true;
    if (t->points <= most && best->points <= most)
        return searching_value(s, t->of) > searching_value(s, best->of);
    return t->points < best->points;
}

static struct status *look_at(struct searching *s, const struct evaluation *v)
{
    struct trial t;

    progress(arena_printf(s->q->a, "carrying out plan %d of about %d",
                          s->forecast.n + 1, most_trials(2)));
    RETURN_IF_FAIL(searching_carry_out(s, v, NULL, &t));
    t.points = fmax(t.drop, searching_points(s, &t, s->points_per_nat, USUAL_ERROR));
    s->forecast.mark[s->forecast.n++] = (struct forecast_mark){v, t.points};
    keep(&s->best, &t, is_better(s, &t));
    return OK;
}

struct status *searching_look(struct searching *s)
{
    const struct evaluation *next = searching_next(s);

    if (next)
        RETURN_IF_FAIL(s->trainings ? searching_train_look(s, next) : look_at(s, next));
    s->reward.allowed_loss = find_edge(s).at;
    return OK;
}

/* The edge is bisected further. */
static struct status *choose_cheapest(struct searching *s)
{
    const struct evaluation *next;

    while (s->forecast.n < SEARCHING_MOST_TRIALS
           && (s->forecast.n < most_trials(2) || s->best.points > s->q->o->max_drop)
           && (next = searching_next(s)))
        RETURN_IF_FAIL(look_at(s, next));
    return OK;
}

/* What plans have that were carried out, where it was only modelled in part before. */
struct measured {
    double least[COST_COUNT]; /* that a plan had */
    double limit[COST_COUNT]; /* evaluated costs of plans that are still tried */
};

/* Sizes beyond the budget are those of larger plans in proportion.  What other steps
 * than the units take is what it is. */
static double limit_of(enum search_cost k, double evaluated, double has, double most)
{
    return k == COST_latency || k == COST_energy ? evaluated - (has - most)
                                                 : evaluated * most / has;
}

static bool is_within(struct measured *m, const struct searching *s,
                      const struct trial *t)
{
    bool all = true;

    for (enum search_cost k = 0; k < COST_COUNT; k++) {
        m->least[k] = fmin(m->least[k], t->has[k]);
        if (searching_meets(s, t, k))
            continue;
        m->limit[k] = limit_of(k, t->of->result.costs[k], t->has[k], s->p->budgets[k]);
        all = false;
    }
    return all;
}

static bool is_beyond(const struct measured *m, const struct evaluation *v)
{
    for (int k = 0; k < COST_COUNT; k++)
        if (v->result.costs[k] > m->limit[k])
            return true;
    return false;
}

static struct status *none_found(const struct searching *s, const struct measured *m)
{
    static const struct {
        enum search_cost cost;
        const char *words;
    } rows[] = {
        {COST_bytes, "file meets --max-bytes: the smallest one has"},
        {COST_ram, "workspace meets --max-ram: the smallest one has"},
        {COST_latency, "steps, all together, meet --max-ms: the fastest one takes"},
        {COST_energy, "steps, all together, meet --max-energy: the least is"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const enum search_cost k = rows[i].cost;

        if (m->limit[k] < INFINITY)
            return FAIL(NO_FIT, "no plan was found whose %s %s", rows[i].words,
                        k == COST_bytes || k == COST_ram
                            ? arena_printf(s->q->a, "%.0f bytes", m->least[k])
                            : searching_amount(s->q->a, k, m->least[k]));
    }
    return FAIL(NO_FIT, "no plan was found that meets the budgets");
}

static struct status *try_one(struct searching *s, const struct evaluation *v, int n,
                              struct measured *m)
{
    struct trial t;

    progress(
        arena_printf(s->q->a, "carrying out plan %d of at most %d", n, most_trials(1)));
    RETURN_IF_FAIL(searching_carry_out(s, v, NULL, &t));
    keep(&s->best, &t, is_within(m, s, &t) && (!s->best.done || t.loss < s->best.loss));
    return OK;
}

/* What has least of each cost that nothing met: if it does not, either, it is what the
 * user is told. */
static struct status *try_least(struct searching *s, const struct evaluation **all,
                                int n, struct measured *m)
{
    for (int k = 0; k < COST_COUNT && n && !s->best.done; k++) {
        const struct evaluation *least = all[0];

        for (int i = 1; i < n; i++)
            if (all[i]->result.costs[k] < least->result.costs[k])
                least = all[i];
        if (m->limit[k] < INFINITY)
            RETURN_IF_FAIL(try_one(s, least, most_trials(1), m));
    }
    return OK;
}

/* The most accurate of the ten best that meet the budgets as they were thought to. */
static struct status *choose_most_accurate(struct searching *s)
{
    const struct evaluation **all;
    const int n = searching_candidates(s, &all);
    struct measured m;

    for (int k = 0; k < COST_COUNT; k++)
        m.least[k] = m.limit[k] = INFINITY;
    for (int i = 0, tried = 0;
         i < n && tried < (s->best.done ? most_trials(1) : SEARCHING_TRIALS); i++)
        if (!is_beyond(&m, all[i]))
            RETURN_IF_FAIL(try_one(s, all[i], ++tried, &m));
    if (!s->best.done)
        RETURN_IF_FAIL(try_least(s, all, n, &m));
    return s->best.done ? OK : none_found(s, &m);
}

/* "fusion (...), update (...)"; "": all agents have a choice. */
static const char *inert_agents(const struct searching *s)
{
    const char *list = "";

    for (int i = 0; i < AGENT_COUNT; i++) {
        const char *why = search_inert(s->p, (enum choice_agent)i);

        if (i == AGENT_distillation && s->distillation)
            why = NULL;
        if (i == AGENT_update && s->q->o->deployed)
            why = NULL;
        if (why)
            list = arena_printf(
                s->q->a, "%s%s%s (%s)", list,
                *list ? ", " : "; without a choice: ", choice_agent_names[i], why);
    }
    return list;
}

static const char *loss_name(const struct searching *s)
{
    const enum dataset_task task = s->q->data->task;

    return task == DATASET_CLASSIFY || task == DATASET_LANGUAGE
               ? "nats"
               : "of the outputs' power";
}

/* " and trained for 10 epochs (T 4, alpha 0.9)"; "": it was not. */
static const char *how_trained(const struct searching *s, const struct trial *t)
{
    const struct train_settings *set = &t->q.training.options.set;

    if (!t->q.training.model)
        return s->q->training.model ? ", not trained" : "";
    return arena_printf(s->q->a, " and trained for %lld epoch%s (T %.3g, alpha %.3g)",
                        (long long)set->epochs, set->epochs == 1 ? "" : "s",
                        set->temperature, set->alpha);
}

/* Of units, as evaluated, and of all steps where they were looked at. */
static const char *time_of(const struct searching *s, const struct trial *t)
{
    struct arena *a = s->q->a;
    const double units = t->of->result.costs[COST_latency], all = t->has[COST_latency];

    return all > 0 ? arena_printf(a, "%.4g ms, %.4g with all steps (modelled)",
                                  units / 1e6, all / 1e6)
                   : searching_amount(a, COST_latency, units);
}

static const char *sentence(const struct searching *s, const struct trial *t)
{
    const struct search_result *r = &t->of->result;
    struct arena *a = s->q->a;
    const char *lost =
        t->score.kind == SCORE_NONE
            ? ""
            : arena_printf(a, "; %.2f points lost on %lld other validation samples",
                           t->drop, (long long)s->n_checked);

    return arena_printf(
        a,
        "%d plan%s evaluated%s; chosen, proposed by %s: %s, %.0f bytes of weights "
        "(modelled), %lld in the file; loss %.4f %s as evaluated, %.4f carried "
        "out%s%s%s",
        s->e->n, s->e->n == 1 ? "" : "s",
        searching_interrupted() ? " (interrupted)" : "", t->of->proposer, time_of(s, t),
        r->costs[COST_bytes], (long long)t->file_bytes, r->loss, loss_name(s), t->loss,
        how_trained(s, t), lost, inert_agents(s));
}

/* The best plan there is may still be none to take. */
static struct status *check_best(const struct searching *s)
{
    const struct quantized *q = s->q;
    const struct trial *best = &s->best;

    if (!isfinite(best->loss))
        return FAIL(INVALID,
                    "no plan can be compared with the original: what they give "
                    "for validation samples is not finite");
    if (q->o->has_max_drop && searching_has_budget(q->o) && best->drop > q->o->max_drop)
        return FAIL(
            NO_FIT,
            "the most accurate plan within the budgets loses %.2f points on "
            "validation samples; %.2f are allowed. It has %lld bytes of weights",
            best->drop, q->o->max_drop, (long long)best->file_bytes);
    return OK;
}

struct status *searching_choose(struct searching *s)
{
    struct quantized *q = s->q;
    const struct trial *best = &s->best;

    if (s->trainings) {
        RETURN_IF_FAIL(searching_train(s));
        s->forecast.n = 0; /* of trained plans */
        s->reward.allowed_loss = s->allowed_loss;
    }
    /* Ctrl-C is not answered with more plans than it takes to have one. */
    if (!best->done || !searching_interrupted() || !s->trainings)
        RETURN_IF_FAIL(searching_has_budget(q->o) ? choose_most_accurate(s)
                                                  : choose_cheapest(s));
    if (!best->done)
        return FAIL(NO_FIT, "no plan was found that meets the budgets");

    struct status *why_not = check_best(s);

    if (why_not) {
        compile_destroy(best->q.c);
        return why_not;
    }
    q->searched = sentence(s, best);
    q->evaluations = arena_strdup(q->a, record_text(s->record));
    q->search_page = searching_page(s, best->of);
    if (q->training.model && !best->q.training.model)
        training_end(&q->training, true);
    quantized_take(q, &best->q);
    return OK;
}
