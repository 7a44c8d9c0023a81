/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the evaluated plans is taken: the best are carried out, compiled for this
 * machine and measured on the validation samples that no evaluation has seen. */
#include <math.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/searching.h"
#include "search/search_environment.h"

/* ---- trials ---------------------------------------------------------------------- */

struct trial {
    const struct evaluation *of; /* NULL: the original */
    struct quantized q;          /* as the plan leaves it */
    struct score score;          /* on the checked samples */
    int64_t file_bytes;
    int64_t workspace_bytes; /* on the target; with a budget for it */
    double loss, drop;
    bool done;
};

static double loss_of(const struct score *s)
{
    return s->has_kl ? s->kl : 1.0 - s->cosine;
}

static struct status *carry_out(struct searching *s, const struct evaluation *v,
                                struct trial *t)
{
    struct outputs compressed;

    *t = (struct trial){.of = v, .q = *s->q};
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
    if (s->n_trials < SEARCHING_TRIALS)
        s->trials[s->n_trials++] =
            (struct search_trial){v, t->loss, t->drop, (double)t->file_bytes};
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
static bool is_accurate(const struct searching *s, const struct trial *t)
{
    const double most = s->q->o->max_drop, said = t->loss * s->points_per_nat;

    if (s->points_per_nat > 0)
        return t->drop <= most
               && (t->drop + said) / 2 + standard_error(&t->score) / 2 <= most;
    return t->loss <= s->reward.allowed_loss * SEARCHING_CARRIED_OUT;
}

static int by_loss(const void *a, const void *b)
{
    const struct evaluation *const *x = a, *const *y = b;
    const double lx = (*x)->result.loss, ly = (*y)->result.loss;

    return lx != ly ? (lx > ly) - (lx < ly) : (*x > *y) - (*x < *y);
}

/* Feasible evaluations by loss; with `rising` only those cheaper than all before. */
static int list_candidates(const struct searching *s, bool rising,
                           const struct evaluation **out)
{
    const struct evaluator *e = s->e;
    double best = -INFINITY;
    int n = 0, kept = 0;

    for (int i = 0; i < e->n; i++)
        if (e->all[i].feasible)
            out[n++] = &e->all[i];
    qsort(out, (size_t)n, sizeof *out, by_loss);
    for (int i = 0; i < n; i++) {
        const double value = reward_of_costs(&s->reward, s->p, out[i]->result.costs);

        if (rising && !(value > best + 1e-9))
            continue;
        best = value;
        out[kept++] = out[i];
    }
    return kept;
}

/* The cheapest plan of the front that is accurate when it is carried out: the point
 * where that ends is bisected, from where the evaluations say that it is. */
static struct status *choose_cheapest(struct searching *s, struct trial *best)
{
    const struct evaluation **front =
        arena_new_array(s->q->a, const struct evaluation *, s->e->n + 1);
    const int n = list_candidates(s, true, front);
    const int trials = s->interrupted ? 2 : SEARCHING_TRIALS;
    int low = -1, high = n, at = 0;

    while (at + 1 < n && front[at + 1]->result.loss <= s->reward.allowed_loss)
        at++;
    for (int i = 0; (i < trials || !best->done) && low + 1 < high; i++) {
        struct trial t;

        progress(
            arena_printf(s->q->a, "carrying out plan %d of about %d", i + 1, trials));
        RETURN_IF_FAIL(carry_out(s, front[at], &t));
        if (is_accurate(s, &t)) {
            *best = t;
            low = at;
        } else {
            if (!best->done && low + 1 == at)
                *best = t; /* nothing better is left */
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
    const struct evaluation **all =
        arena_new_array(s->q->a, const struct evaluation *, s->e->n + 1);
    const int n = list_candidates(s, false, all),
              most = s->interrupted ? 1 : SEARCHING_TRIALS;
    struct measured file = {COST_bytes, "file meets --max-bytes", s->q->o->max_bytes,
                            INT64_MAX, INFINITY};
    struct measured workspace = {COST_ram, "workspace meets --max-ram",
                                 s->q->o->max_ram, INT64_MAX, INFINITY};

    for (int i = 0, tried = 0; i < n && tried < (best->done ? most : SEARCHING_TRIALS);
         i++) {
        struct trial t;

        if (all[i]->result.costs[COST_bytes] > file.limit
            || all[i]->result.costs[COST_ram] > workspace.limit)
            continue;
        progress(
            arena_printf(s->q->a, "carrying out plan %d of at most %d", ++tried, most));
        RETURN_IF_FAIL(carry_out(s, all[i], &t));
        if (is_within(&file, t.file_bytes, &t)
            && is_within(&workspace, t.workspace_bytes, &t)
            && (!best->done || t.loss < best->loss))
            *best = t;
    }
    return best->done ? OK : none_found(n, &file, &workspace);
}

/* "fusion (...), update (...)"; "": all agents have a choice. */
static const char *inert_agents(const struct searching *s)
{
    const char *list = "";

    for (int i = 0; i < AGENT_COUNT; i++) {
        const char *why = search_inert(s->p, (enum choice_agent)i);

        if (i == AGENT_distillation && s->q->o->train)
            why = "evaluations do not train";
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
        "(modelled), %lld in the file; loss %.4f %s as evaluated, %.4f carried out%s%s",
        s->e->n, s->e->n == 1 ? "" : "s", s->interrupted ? " (interrupted)" : "",
        t->of->proposer, searching_amount(a, COST_latency, r->costs[COST_latency]),
        r->costs[COST_bytes], (long long)t->file_bytes, r->loss, loss_name(s), t->loss,
        lost, inert_agents(s));
}

struct status *searching_choose(struct searching *s)
{
    struct quantized *q = s->q;
    struct trial best = {0};

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
    quantized_take(q, &best.q);
    return OK;
}
