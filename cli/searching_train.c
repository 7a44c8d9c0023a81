/* SPDX-License-Identifier: Apache-2.0 */
/* The main job's search with training: what a plan loses before it may be more than is
 * allowed, as long as training gives it back.
 *
 * Plans from all along the archive's front are pruned, trained for a short time,
 * quantized and measured; the better half goes on to a training twice as long, always
 * from the start, so that the length of each is the length of its schedule (successive
 * halving, Jamieson and Talwalkar 2016, arXiv:1502.07943).  Between two rounds the best
 * plan is trained with other temperatures and shares of the original's voice.  The last
 * are trained for all epochs: what is measured then is what is delivered.
 *
 * Better is what is cheaper among plans that will lose little enough, when trained for
 * all epochs, and what loses less among the others; with budgets always what loses
 * less.  Each doubling of the length is thought to leave the share of a plan's loss
 * that it has left of those that were trained for both lengths.
 */
#include <math.h>
#include <stdlib.h>

#include "cli/progress.h"
#include "cli/searching.h"
#include "search/agents/noise.h"

enum {
    CANDIDATES = 6,
    ROUNDS = 2,    /* with 1/8 and 1/4 of the epochs; half of the plans go on */
    MIXES = 3,     /* that are tried beside the usual one */
    MOST_WHOLE = 3 /* trainings for all epochs */
};

static const double FIRST_SHARE = 0.125; /* of all epochs */
static const double USUAL_LEFT = 0.8;    /* before a doubling has been seen */
static const double HOPE = 2; /* times what is allowed: worth a training to see */

struct mix {
    double temperature, alpha;
};

struct arm {
    const struct evaluation *of;
    double share; /* of all epochs, in the newest trial; 0: none yet */
    struct trial t;
};

struct halving {
    struct searching *s;
    struct mix mix; /* the usual one, or what was found to be better */
    int n, most;    /* trials so far, and how many there will be, about */
    double samples_done, samples_all; /* that trainings see; for the estimate */
    double started;
    double drops, losses; /* sums over all trials */
    double before, after; /* points left of plans whose training was doubled */
    struct trial *best;
};

/* ---- what will be left ----------------------------------------------------------- */

/* That a nat costs, of trained plans: labels have a voice in training, so it is less
 * than of others. */
static double points_per_nat(const struct halving *h)
{
    const double usual = h->s->points_per_nat;

    return usual > 0 && h->losses > 0
               ? fmin(fmax(h->drops / h->losses, usual / 10), usual)
               : usual;
}

static double points(const struct halving *h, const struct trial *t)
{
    return searching_points(h->s, t, points_per_nat(h));
}

/* When it is trained for all epochs. */
static double expected(const struct halving *h, const struct arm *arm)
{
    const double left =
        h->before > 0 ? fmin(fmax(h->after / h->before, 0.5), 1) : USUAL_LEFT;

    return points(h, &arm->t) * pow(left, -log2(arm->share));
}

static bool is_small_enough(const struct searching *s, const struct trial *t)
{
    return !s->q->o->max_bytes || t->file_bytes <= s->q->o->max_bytes;
}

/* < 0: a is better. */
static int compare(const struct halving *h, const struct arm *a, const struct arm *b)
{
    const struct searching *s = h->s;
    const double x = expected(h, a), y = expected(h, b), most = s->q->o->max_drop,
                 cheap = searching_value(s, a->of) - searching_value(s, b->of);
    const bool fits[] = {is_small_enough(s, &a->t), is_small_enough(s, &b->t)},
               good[] = {x <= most, y <= most};

    if (fits[0] != fits[1])
        return fits[0] ? -1 : 1;
    if (!searching_has_budget(s->q->o)) {
        if (good[0] != good[1])
            return good[0] ? -1 : 1;
        if (good[0] && cheap != 0)
            return cheap > 0 ? -1 : 1;
    }
    return (x > y) - (x < y);
}

/* Equal ones stay in their order. */
static void sort(const struct halving *h, struct arm *arms, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && compare(h, &arms[k], &arms[k - 1]) < 0; k--) {
            const struct arm last = arms[k];

            arms[k] = arms[k - 1];
            arms[k - 1] = last;
        }
}

/* ---- a trial --------------------------------------------------------------------- */

/* "training plan 3 of about 13, 1.25 epochs, about 14 min left" */
static const char *describe(const struct halving *h, double epochs)
{
    const double spent = progress_seconds() - h->started,
                 left = h->samples_done > 0
                            ? spent * (h->samples_all / h->samples_done - 1)
                            : 0;
    const char *estimate =
        left > 0 ? arena_printf(h->s->q->a, ", about %.0f min left", ceil(left / 60))
                 : "";

    return arena_printf(h->s->q->a, "training plan %d of about %d, %.3g epochs%s", h->n,
                        h->most, epochs, estimate);
}

/* Of a plan that is trained for longer the result that loses less. */
static bool is_better(const struct halving *h, const struct trial *a,
                      const struct trial *b)
{
    const double gain =
        searching_has_budget(h->s->q->o)
            ? 0
            : searching_value(h->s, a->of) - searching_value(h->s, b->of);

    return gain != 0 ? gain > 0 : points(h, a) < points(h, b);
}

/* Of the others only what was measured is left. */
static void keep_if_best(struct halving *h, const struct trial *t)
{
    const struct searching *s = h->s;
    const bool whole = /* a plan cannot say that it is trained on some of the samples */
        t->q.training.options.n_samples == s->q->training.options.n_samples;
    const bool accurate =
        searching_has_budget(s->q->o)
        || (t->drop <= s->q->o->max_drop && points(h, t) <= s->q->o->max_drop);

    if (!whole || !accurate || !is_small_enough(s, t)
        || (h->best->done && !is_better(h, t, h->best))) {
        compile_destroy(t->q.c);
        return;
    }
    if (h->best->done)
        compile_destroy(h->best->q.c);
    *h->best = *t;
}

static struct status *try(struct halving *h, struct arm *arm, double share)
{
    struct searching *s = h->s;
    struct training t = training_trial(s->q->a, &s->q->training, share);
    const double before = arm->share > 0 ? points(h, &arm->t) : 0,
                 doubled = arm->share > 0 ? log2(share / arm->share) : 0;

    h->n++;
    train_settings_set(&t.options.set, TRAIN_SETTING_T, h->mix.temperature);
    train_settings_set(&t.options.set, TRAIN_SETTING_alpha, h->mix.alpha);
    t.what = describe(h, share * (double)s->q->training.options.set.epochs);
    progress(t.what);
    RETURN_IF_FAIL(searching_carry_out(s, arm->of, &t, &arm->t));
    h->samples_done += (double)(t.options.set.epochs * t.options.n_samples);
    h->drops += arm->t.drop;
    h->losses += arm->t.loss;
    arm->share = share;
    if (doubled > 0 && before > 0) {
        h->before += before;
        h->after += before * pow(fmax(points(h, &arm->t) / before, 0.1), 1 / doubled);
    }
    keep_if_best(h, &arm->t);
    return OK;
}

static struct status *try_all(struct halving *h, struct arm *arms, int n, double share)
{
    for (int i = 0; i < n && !searching_interrupted(); i++)
        RETURN_IF_FAIL(try(h, &arms[i], share));
    return OK;
}

/* ---- T and alpha ----------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Why there is nothing to choose; NULL: there is. */
static const char *given(const struct searching *s)
{
    const struct quantized *q = s->q;

    if (training_names(q->o->distill, "T") || training_names(q->o->distill, "alpha"))
        return "as --distill says";
    if (q->data->task != DATASET_CLASSIFY && q->data->task != DATASET_LANGUAGE)
        return "as usual: the data have no classes";
    return NULL;
}

/* In the space of the distillation agent (docs/controllers.md), a step away. */
static struct mix draw_mix(struct mix from, struct random *random)
{
    const double t = (from.temperature - 1) / 19;

    return (struct mix){
        1 + 19 * sigmoid(log(t / (1 - t)) + noise_normal(random)),
        sigmoid(log(from.alpha / (1 - from.alpha)) + noise_normal(random))};
}

/* The best plan with other mixes: what is best for it is taken for all. */
static struct status *choose_mix(struct halving *h, struct arm *arm)
{
    struct random random = noise_stream(h->s->q->o->seed, AGENT_distillation);
    const struct mix usual = h->mix;
    struct mix best = usual;

    for (int i = 0; i < MIXES && !given(h->s) && !searching_interrupted(); i++) {
        struct arm other = {.of = arm->of};

        h->mix = draw_mix(usual, &random);
        RETURN_IF_FAIL(try(h, &other, arm->share));
        if (points(h, &other.t) < points(h, &arm->t)) {
            *arm = other;
            best = h->mix;
        }
    }
    h->mix = best;
    return OK;
}

static void say_mix(const struct halving *h)
{
    const char *why = given(h->s);

    h->s->distillation = arena_printf(
        h->s->q->a, "T = %.3g, alpha = %.3g, %s", h->mix.temperature, h->mix.alpha,
        why ? why : "the best of those that a plan was trained with");
}

/* ---- candidates ------------------------------------------------------------------ */

static int most_of(int n, int most)
{
    return n < most ? n : most;
}

/* With budgets those of least loss.  Without, from the cheapest plan that should be
 * accurate untrained to the cheapest one that is thought to be worth training, in equal
 * steps of value. */
static int find_candidates(const struct searching *s, struct arm *arms)
{
    const bool has_budget = searching_has_budget(s->q->o);
    const struct evaluation **list;
    int n = searching_candidates(s, !has_budget, &list), first = 0, kept = 0;

    if (has_budget || !n) {
        for (int i = 0; i < most_of(n, CANDIDATES); i++)
            arms[kept++] = (struct arm){.of = list[i]};
        return kept;
    }
    while (n > 1 && list[n - 1]->result.loss > s->reward.allowed_loss)
        n--;
    while (first + 1 < n && list[first + 1]->result.loss <= s->allowed_loss)
        first++;

    const double low = searching_value(s, list[first]),
                 step = (searching_value(s, list[n - 1]) - low) / (CANDIDATES - 1);

    for (int i = first; i < n; i++)
        if (i == n - 1 || searching_value(s, list[i]) >= low + kept * step - 1e-9)
            if (kept < CANDIDATES)
                arms[kept++] = (struct arm){.of = list[i]};
    return kept;
}

/* ---- all ------------------------------------------------------------------------- */

static double share_in(int round)
{
    return FIRST_SHARE * pow(2, round);
}

/* Samples that the trainings to come will see. */
static void estimate(struct halving *h, int n)
{
    const struct train_options *o = &h->s->q->training.options;
    double shares = 1;

    h->most = 1;
    for (int round = 0; round < ROUNDS; round++) {
        const int m =
            (n >> round ? n >> round : 1) + (round == 1 && !given(h->s) ? MIXES : 0);

        h->most += m;
        shares += m * share_in(round);
    }
    h->samples_all = shares * (double)(o->set.epochs * o->n_samples);
    h->started = progress_seconds();
}

static struct status *halve(struct halving *h, struct arm *arms, int n)
{
    int left = n;

    for (int round = 0; round < ROUNDS && !searching_interrupted(); round++) {
        RETURN_IF_FAIL(try_all(h, arms, left, share_in(round)));
        if (searching_interrupted())
            break;
        sort(h, arms, left);
        if (round == 1)
            RETURN_IF_FAIL(choose_mix(h, &arms[0]));
        left = left > 1 ? left / 2 : 1;
    }
    return OK;
}

/* Those that stand out, one after the other, until the best one that is left is
 * expected to be no better than what there is.  A cheaper one gets the benefit of the
 * doubt: short trainings say little of long ones. */
static struct status *train_whole(struct halving *h, struct arm *arms, int n)
{
    for (int i = 0; i < MOST_WHOLE && i < n && !searching_interrupted(); i++) {
        sort(h, arms + i, n - i);
        if (h->best->done && i
            && (searching_has_budget(h->s->q->o)
                || expected(h, &arms[i]) > HOPE * h->s->q->o->max_drop
                || searching_value(h->s, arms[i].of)
                       <= searching_value(h->s, h->best->of)))
            return OK;
        RETURN_IF_FAIL(try(h, &arms[i], 1));
    }
    return OK;
}

static struct status *run(struct halving *h, struct arm *arms, int n)
{
    RETURN_IF_FAIL(halve(h, arms, n));
    say_mix(h);
    return searching_interrupted() ? OK : train_whole(h, arms, n);
}

struct status *searching_train(struct searching *s, struct trial *best)
{
    const struct train_settings *set = &s->q->training.options.set;
    struct halving h = {.s = s, .best = best, .mix = {set->temperature, set->alpha}};
    struct arm *arms = arena_new_array(s->q->a, struct arm, CANDIDATES);
    const int n = find_candidates(s, arms);
    struct status *status;

    estimate(&h, n);
    status = n ? run(&h, arms, n) : OK;
    if (status && searching_interrupted()) { /* in the middle of a training */
        status_free(status);
        return OK;
    }
    return status;
}
