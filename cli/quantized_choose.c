/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the evaluated plans is taken: the best are carried out, compiled for this
 * machine and measured on the validation samples that no evaluation has seen. */
#include <math.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/searching.h"
#include "search/search_environment.h"

/* ---- trials ---------------------------------------------------------------------- */

static double loss_of(const struct score *s)
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
    if (s->q->o->max_ram)
        RETURN_IF_FAIL(quantized_workspace(&t->q, &t->workspace_bytes));
    RETURN_IF_FAIL(
        evaluate_score(s->q->data, s->checked, &s->original, &compressed, &t->score));
    t->loss = loss_of(&t->score);
    t->drop = score_drop(&t->score);
    t->done = true;
    note_trial(s, t, epochs_of(s, &t->q.training));
    return OK;
}

/* Of the drop, in points; 0: not known. */
static double standard_error(const struct score *s)
{
    const struct metrics_paired *p = &s->top1;
    const double lost = (double)p->lost, gained = (double)p->gained, n = (double)s->n;

    if (s->kind != SCORE_TOP1)
        return 0;
    return 100 * sqrt(lost + gained - (lost - gained) * (lost - gained) / n) / n;
}

/* Other samples will not say the same: the mean of what was measured and of what the
 * loss says, which depends less on them, has half a standard error to spare. */
double searching_points(const struct searching *s, const struct trial *t,
                        double points_per_nat)
{
    if (s->points_per_nat > 0)
        return (t->drop + t->loss * points_per_nat) / 2 + standard_error(&t->score) / 2;
    return t->loss * s->q->o->max_drop / (s->allowed_loss * SEARCHING_CARRIED_OUT);
}

static bool is_accurate(const struct searching *s, const struct trial *t)
{
    const double most = s->q->o->max_drop;

    return t->drop <= most && searching_points(s, t, s->points_per_nat) <= most;
}

static int by_loss(const void *a, const void *b)
{
    const struct evaluation *const *x = a, *const *y = b;
    const double lx = (*x)->result.loss, ly = (*y)->result.loss;

    return lx != ly ? (lx > ly) - (lx < ly) : (*x > *y) - (*x < *y);
}

double searching_value(const struct searching *s, const struct evaluation *v)
{
    return reward_of_costs(&s->reward, s->p, v->result.costs);
}

int searching_candidates(const struct searching *s, bool rising,
                         const struct evaluation ***list)
{
    const struct evaluator *e = s->e;
    const struct evaluation **out =
        arena_new_array(s->q->a, const struct evaluation *, e->n + 1);
    double best = -INFINITY;
    int n = 0, kept = 0;

    *list = out;
    for (int i = 0; i < e->n; i++)
        if (e->all[i].feasible)
            out[n++] = &e->all[i];
    qsort(out, (size_t)n, sizeof *out, by_loss);
    for (int i = 0; i < n; i++) {
        const double value = searching_value(s, out[i]);

        if (rising && !(value > best + 1e-9))
            continue;
        best = value;
        out[kept++] = out[i];
    }
    return kept;
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

/* The cheapest plan of the front that is accurate when it is carried out: the point
 * where that ends is bisected, from where the evaluations say that it is. */
static struct status *choose_cheapest(struct searching *s, struct trial *best)
{
    const struct evaluation **front;
    const int n = searching_candidates(s, true, &front);
    int low = -1, high = n, at = 0;

    while (at + 1 < n && front[at + 1]->result.loss <= s->allowed_loss)
        at++;
    for (int i = 0; (i < most_trials(2) || !best->done) && low + 1 < high; i++) {
        struct trial t;

        progress(arena_printf(s->q->a, "carrying out plan %d of about %d", i + 1,
                              most_trials(2)));
        RETURN_IF_FAIL(searching_carry_out(s, front[at], NULL, &t));
        if (is_accurate(s, &t)) {
            keep(best, &t, true);
            low = at;
        } else {
            keep(best, &t, !best->done && low + 1 == at); /* nothing better is left */
            high = at;
        }
        at = low + (high - low) / 2;
        at = at > low ? at : low + 1;
    }
    return OK;
}

/* What a plan has when it is carried out, where it was only modelled before. */
struct measured {
    enum search_cost cost;
    const char *words;
    int64_t most;  /* the budget; 0: none */
    int64_t least; /* that a plan had */
    double limit;  /* modelled costs of plans that are still tried */
};

/* Over budget: so would plans be whose modelled costs are no smaller in proportion. */
static bool is_within(struct measured *m, int64_t has, const struct trial *t)
{
    m->least = has < m->least ? has : m->least;
    if (!m->most || has <= m->most)
        return true;
    m->limit = t->of->result.costs[m->cost] * (double)m->most / (double)has;
    return false;
}

static struct status *none_found(int n, const struct measured *file,
                                 const struct measured *workspace)
{
    if (!n)
        return FAIL(NO_FIT, "no plan was found that meets the budgets");

    const struct measured *m = file->limit < INFINITY ? file : workspace;

    return FAIL(NO_FIT, "no plan was found whose %s: the smallest one has %lld bytes",
                m->words, (long long)m->least);
}

/* The most accurate of the ten best, where file and workspace are as small as they were
 * thought. */
static struct status *choose_most_accurate(struct searching *s, struct trial *best)
{
    const struct evaluation **all;
    const int n = searching_candidates(s, false, &all);
    struct measured file = {COST_bytes, "file meets --max-bytes", s->q->o->max_bytes,
                            INT64_MAX, INFINITY};
    struct measured workspace = {COST_ram, "workspace meets --max-ram",
                                 s->q->o->max_ram, INT64_MAX, INFINITY};

    for (int i = 0, tried = 0;
         i < n && tried < (best->done ? most_trials(1) : SEARCHING_TRIALS); i++) {
        struct trial t;

        if (all[i]->result.costs[COST_bytes] > file.limit
            || all[i]->result.costs[COST_ram] > workspace.limit)
            continue;
        progress(arena_printf(s->q->a, "carrying out plan %d of at most %d", ++tried,
                              most_trials(1)));
        RETURN_IF_FAIL(searching_carry_out(s, all[i], NULL, &t));
        keep(best, &t,
             is_within(&file, t.file_bytes, &t)
                 && is_within(&workspace, t.workspace_bytes, &t)
                 && (!best->done || t.loss < best->loss));
    }
    return best->done ? OK : none_found(n, &file, &workspace);
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
        searching_interrupted() ? " (interrupted)" : "", t->of->proposer,
        searching_amount(a, COST_latency, r->costs[COST_latency]), r->costs[COST_bytes],
        (long long)t->file_bytes, r->loss, loss_name(s), t->loss, how_trained(s, t),
        lost, inert_agents(s));
}

struct status *searching_choose(struct searching *s)
{
    struct quantized *q = s->q;
    struct trial best = {0};

    if (q->training.model)
        RETURN_IF_FAIL(searching_train(s, &best));
    if (!best.done)
        RETURN_IF_FAIL(searching_has_budget(q->o) ? choose_most_accurate(s, &best)
                                                  : choose_cheapest(s, &best));
    if (!best.done)
        return FAIL(NO_FIT, "no plan was found that meets the budgets");
    if (q->o->has_max_drop && searching_has_budget(q->o) && best.drop > q->o->max_drop)
        return FAIL(
            NO_FIT,
            "the most accurate plan within the budgets loses %.2f points on "
            "validation samples; %.2f are allowed. It has %lld bytes of weights",
            best.drop, q->o->max_drop, (long long)best.file_bytes);
    q->searched = sentence(s, &best);
    q->evaluations = arena_strdup(q->a, record_text(s->record));
    q->search_page = searching_page(s, best.of);
    if (q->training.model && !best.q.training.model)
        training_end(&q->training, true);
    quantized_take(q, &best.q);
    return OK;
}
