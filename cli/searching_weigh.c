/* SPDX-License-Identifier: Apache-2.0 */
/* Single changes of channels are carried out, so that evaluations can be weighed:
 * layers behind a change make good for a part of it, the more the earlier it is, which
 * an evaluation does not see (search/forecast.h). */
#include <math.h>

#include "cli/progress.h"
#include "cli/searching.h"

enum { MOST_WEIGHED = 16 };

/* What may be left of a loss that was evaluated, whatever was measured. */
static const double LEAST_LEFT = 0.1, MOST_LEFT = 2;

/* Whether the plan changes the channels of this unit and nothing else. */
static bool is_single(const struct choices *c, int unit)
{
    for (int i = 0; i < c->n_units; i++)
        if (c->units[i].bits != CHOICE_BITS - 1
            || (c->units[i].ratio != 0) != (i == unit))
            return false;
    return true;
}

/* The one whose loss is nearest to what a plan may lose there; NULL: none. */
static const struct evaluation *single_of(const struct searching *s, int unit)
{
    const double wanted = s->allowed_loss / 4, least = 1e-6;
    const struct evaluation *best = NULL;

    for (int i = 0; i < s->e->n; i++) {
        const struct evaluation *v = &s->e->all[i];

        if (v->result.loss > least && is_single(v->choices, unit)
            && (!best
                || fabs(log(v->result.loss / wanted))
                       < fabs(log(best->result.loss / wanted))))
            best = v;
    }
    return best;
}

/* All, or so many of them from the first layer to the last. */
static int list_singles(const struct searching *s, const struct evaluation **of)
{
    int *units = arena_new_array(s->q->a, int, s->p->n_units), n = 0;

    for (int i = 0; i < s->p->n_units; i++) {
        of[i] = single_of(s, i);
        if (of[i])
            units[n++] = i;
    }
    for (int i = 0; i < n && n > MOST_WEIGHED; i++)
        if (i * MOST_WEIGHED / n == (i + 1) * MOST_WEIGHED / n)
            of[units[i]] = NULL;
    return n < MOST_WEIGHED ? n : MOST_WEIGHED;
}

/* On the samples of evaluations. */
static struct status *carry_out(struct searching *s, const struct evaluation *v,
                                const struct outputs *original, double *loss)
{
    struct quantized q = *s->q;
    struct outputs outputs;
    struct score score;

    q.training = (struct training){0};
    RETURN_IF_FAIL(quantized_carry_out(
        &q, model_problem_plan(s->model, v->choices, q.co->target)));
    RETURN_IF_FAIL(
        quantized_run_here(&q, true, s->n_scored, s->scored, &outputs, NULL));
    RETURN_IF_FAIL(evaluate_score(q.data, s->scored, original, &outputs, &score));
    *loss = searching_measured_loss(&score);
    compile_destroy(q.c);
    return OK;
}

/* Of units that were not weighed what the nearest has that was. */
static double nearest(const struct evaluation *const *of, const double *left, int n,
                      int unit)
{
    for (int by = 0; by < n; by++) {
        if (unit - by >= 0 && of[unit - by])
            return left[unit - by];
        if (unit + by < n && of[unit + by])
            return left[unit + by];
    }
    return 1;
}

struct status *searching_weigh(struct searching *s)
{
    struct arena *a = s->q->a;
    const int n_units = s->p->n_units;
    const struct evaluation **of =
        arena_new_array(a, const struct evaluation *, n_units);
    double *left = arena_new_array(a, double, n_units), evaluated = 0, all = 0;
    const int n = list_singles(s, of);
    struct outputs original;
    int done = 0;

    if (n < 2)
        return OK;
    RETURN_IF_FAIL(
        quantized_run_here(s->q, false, s->n_scored, s->scored, &original, NULL));
    for (int i = 0; i < n_units && !searching_interrupted(); i++) {
        double loss;

        if (!of[i])
            continue;
        progress(arena_printf(a, "carrying out change %d of %d", ++done, n));
        RETURN_IF_FAIL(carry_out(s, of[i], &original, &loss));
        left[i] = fmin(fmax(loss / of[i]->result.loss, LEAST_LEFT), MOST_LEFT);
        evaluated += of[i]->result.loss;
        all += left[i] * of[i]->result.loss;
    }
    if (searching_interrupted())
        return OK;
    for (int i = 0; i < n_units; i++)
        if (of[i])
            left[i] *= evaluated / all;
    for (int i = 0; i < n_units; i++)
        left[i] = nearest(of, left, n_units, i);
    s->forecast.left = left;
    return OK;
}
