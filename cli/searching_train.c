/* SPDX-License-Identifier: Apache-2.0 */
/* The main job's search with training: what a plan loses before it may be more than is
 * allowed, as long as training gives it back.
 *
 * Plans that a look takes (searching_look) are pruned, trained for a short time,
 * quantized and measured: so the point of the front is bisected up to which training
 * for all epochs should give back enough.  The better one of the first two is trained
 * with other temperatures and shares of the original's voice, too, and then for all
 * epochs, which tells what short trainings are worth.  At the end the best are trained
 * for all epochs: what is measured then is what is delivered, unless a plan without
 * training turns out cheaper (searching_choose).  Every training begins anew, so that
 * the length of each is the length of its schedule.
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
    FIRST = 2,      /* plans, before one of them is trained for all epochs */
    CANDIDATES = 6, /* that are trained shortly */
    MORE = 2,       /* where training gives back more than was thought, or less */
    MIXES = 3,      /* that are tried beside the usual one */
    MOST_WHOLE = 3  /* trainings for all epochs */
};

static const double SHORT = 0.125;    /* of all epochs */
static const double USUAL_LEFT = 0.8; /* before a doubling has been seen */
static const double HOPE = 1.5; /* times what is allowed: worth a training to see */
static const double GIVEN_BACK = 2.5; /* times as much may be lost before: a guess */
/* Of what a nat costs without training: labels have a voice.  That price is of few
 * samples, on which the original may have been lucky or not, so it is averaged with
 * what eight trained plans lost on test samples, in points a nat.  Where these are
 * known to it labels say nothing new, and networks that learned from the rest lose more
 * on new ones (docs/search.md). */
static const double LABELS_LEFT = 0.4, USUAL_PRICE = 11, KNOWN_LEFT = 2,
                    PRICE_ERROR = 1.0 / 3;

struct mix {
    double temperature, alpha;
};

struct arm {
    const struct evaluation *of;
    double share; /* of all epochs, in the newest trial; 0: none yet */
    struct trial t;
};

struct trainings {
    struct searching *s;
    struct mix mix; /* the usual one, or what was found to be better */
    int n_arms;
    struct arm arms[CANDIDATES + MORE];
    int n_whole;
    int n, most; /* trials so far, and how many there will be, about */
    double samples_done, samples_all; /* that trainings see; for the estimate */
    double seconds;                   /* that trials took */
    double before, after; /* points left of plans whose training was doubled */
};

/* ---- what will be left ----------------------------------------------------------- */

static double points_per_nat(const struct trainings *h)
{
    const double price = h->s->points_per_nat;

    return searching_knows_samples(h->s) ? KNOWN_LEFT * price
                                         : (LABELS_LEFT * price + USUAL_PRICE) / 2;
}

static double points(const struct trainings *h, const struct trial *t)
{
    return searching_points(h->s, t, points_per_nat(h), PRICE_ERROR);
}

/* When it is trained for all epochs.  Short trainings harm plans that lose little, so
 * one that loses less as evaluated than one that was trained for all of them is
 * expected to lose less than that, in proportion. */
static double expected(const struct trainings *h, const struct arm *arm)
{
    const double left =
        h->before > 0 ? fmin(fmax(h->after / h->before, 0.5), 1) : USUAL_LEFT;
    double least = points(h, &arm->t) * pow(left, -log2(arm->share));

    for (int i = 0; i < h->n_arms && arm->share < 1; i++) {
        const struct arm *whole = &h->arms[i];
        const double share = arm->of->result.loss / whole->of->result.loss;

        if (whole->share >= 1 && share < 1)
            least = fmin(least, points(h, &whole->t) * share);
    }
    return least;
}

static bool meets_budgets(const struct searching *s, const struct trial *t)
{
    for (enum search_cost k = 0; k < COST_COUNT; k++)
        if (!searching_meets(s, t, k))
            return false;
    return true;
}

/* < 0: a is better. */
static int compare(const struct trainings *h, const struct arm *a, const struct arm *b)
{
    const struct searching *s = h->s;
    const double x = expected(h, a), y = expected(h, b), most = s->q->o->max_drop,
                 cheap = searching_value(s, a->of) - searching_value(s, b->of);
    const bool fits[] = {meets_budgets(s, &a->t), meets_budgets(s, &b->t)},
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

/* ---- a trial --------------------------------------------------------------------- */

/* That a training sees. */
static double samples_of(const struct train_options *o)
{
    return (double)(o->set.epochs * o->n_samples);
}

/* "training plan 3 of about 13, 1.25 epochs, about 14 min left" */
static const char *describe(const struct trainings *h, double epochs)
{
    const double left =
        h->samples_done > 0 ? h->seconds * (h->samples_all / h->samples_done - 1) : 0;
    const char *estimate =
        left > 0 ? arena_printf(h->s->q->a, ", about %.0f min left", ceil(left / 60))
                 : "";

    return arena_printf(h->s->q->a, "training plan %d of about %d, %.3g epochs%s", h->n,
                        h->most, epochs, estimate);
}

/* Of a plan that is trained for longer the result that loses less. */
static bool is_better(const struct trainings *h, const struct trial *a,
                      const struct trial *b)
{
    const double gain =
        searching_has_budget(h->s->q->o)
            ? 0
            : searching_value(h->s, a->of) - searching_value(h->s, b->of);

    return gain != 0 ? gain > 0 : points(h, a) < points(h, b);
}

/* Of the others only what was measured is left. */
static void keep_if_best(struct trainings *h, const struct trial *t)
{
    const struct searching *s = h->s;
    const bool whole = /* a plan cannot say that it is trained on some of the samples */
        t->q.training.options.n_samples == s->q->training.options.n_samples;
    const bool accurate =
        searching_has_budget(s->q->o)
        || (t->drop <= s->q->o->max_drop && points(h, t) <= s->q->o->max_drop);

    if (!whole || !accurate || !meets_budgets(s, t)
        || (h->s->best.done && !is_better(h, t, &h->s->best))) {
        compile_destroy(t->q.c);
        return;
    }
    if (h->s->best.done)
        compile_destroy(h->s->best.q.c);
    h->s->best = *t;
    h->s->best.points = points(h, t);
}

static struct status *try(struct trainings *h, struct arm *arm, double share)
{
    struct searching *s = h->s;
    struct training t = training_trial(s->q->a, &s->q->training, share);
    const double before = arm->share > 0 ? points(h, &arm->t) : 0,
                 doubled = arm->share > 0 ? log2(share / arm->share) : 0,
                 started = progress_seconds();

    h->n++;
    h->most = h->n > h->most ? h->n : h->most;
    h->samples_all = fmax(h->samples_all, h->samples_done + samples_of(&t.options));
    train_settings_set(&t.options.set, TRAIN_SETTING_T, h->mix.temperature);
    train_settings_set(&t.options.set, TRAIN_SETTING_alpha, h->mix.alpha);
    t.what = describe(h, share * (double)s->q->training.options.set.epochs);
    progress(t.what);
    RETURN_IF_FAIL(searching_carry_out(s, arm->of, &t, &arm->t));
    h->seconds += progress_seconds() - started;
    h->samples_done += samples_of(&t.options);
    arm->share = share;
    if (doubled > 0 && before > 0) {
        h->before += before;
        h->after += before * pow(fmax(points(h, &arm->t) / before, 0.1), 1 / doubled);
    }
    keep_if_best(h, &arm->t);
    return OK;
}

/* What is known of the plans; each training says something of all. */
static void mark(struct trainings *h)
{
    struct searching *s = h->s;

    s->forecast.n = h->n_arms;
    for (int i = 0; i < h->n_arms; i++)
        s->forecast.mark[i] =
            (struct forecast_mark){h->arms[i].of, expected(h, &h->arms[i])};
}

static struct status *try_shortly(struct trainings *h, const struct evaluation *v)
{
    struct arm *arm = &h->arms[h->n_arms];

    *arm = (struct arm){.of = v};
    RETURN_IF_FAIL(try(h, arm, SHORT));
    h->n_arms++;
    mark(h);
    return OK;
}

static struct status *try_whole(struct trainings *h, struct arm *arm)
{
    h->n_whole++;
    RETURN_IF_FAIL(try(h, arm, 1));
    mark(h);
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
static struct status *choose_mix(struct trainings *h, struct arm *arm)
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

static void say_mix(const struct trainings *h)
{
    const char *why = given(h->s);

    h->s->distillation = arena_printf(
        h->s->q->a, "T = %.3g, alpha = %.3g, %s", h->mix.temperature, h->mix.alpha,
        why ? why : "the best of those that a plan was trained with");
}

/* ---- which ones ------------------------------------------------------------------ */

/* Of those that have not been trained for all epochs; NULL: none. */
static struct arm *best_left(struct trainings *h)
{
    struct arm *best = NULL;

    for (int i = 0; i < h->n_arms; i++)
        if (h->arms[i].share < 1 && (!best || compare(h, &h->arms[i], best) < 0))
            best = &h->arms[i];
    return best;
}

/* Of those, what should lose least. */
static struct arm *safest_left(struct trainings *h)
{
    struct arm *best = NULL;

    for (int i = 0; i < h->n_arms; i++)
        if (h->arms[i].share < 1 && meets_budgets(h->s, &h->arms[i].t)
            && (!best || expected(h, &h->arms[i]) < expected(h, best)))
            best = &h->arms[i];
    return best;
}

/* Of those the one that should lose least and is cheaper than the best plan so far, as
 * long as that may be little enough.  NULL: none. */
static struct arm *hope_left(struct trainings *h)
{
    const struct searching *s = h->s;
    struct arm *best = NULL;

    for (int i = 0; i < h->n_arms; i++) {
        struct arm *arm = &h->arms[i];

        if (arm->share < 1
            && searching_value(s, arm->of) > searching_value(s, s->best.of)
            && expected(h, arm) <= HOPE * s->q->o->max_drop
            && (!best || expected(h, arm) < expected(h, best)))
            best = arm;
    }
    return best;
}

/* ---- all ------------------------------------------------------------------------- */

/* Samples that the trainings to come will see. */
static void estimate(struct trainings *h)
{
    const struct train_options *o = &h->s->q->training.options;
    const int shorts = CANDIDATES + (given(h->s) ? 0 : MIXES);

    h->most = shorts + 2;
    h->samples_all = (shorts * SHORT + 2) * samples_of(o);
}

void searching_train_begin(struct searching *s)
{
    const struct train_settings *set = &s->q->training.options.set;

    s->trainings = arena_new(s->q->a, struct trainings);
    *s->trainings = (struct trainings){.s = s, .mix = {set->temperature, set->alpha}};
    estimate(s->trainings);
    if (!searching_has_budget(s->q->o))
        s->reward.allowed_loss *= GIVEN_BACK;
}

static struct status *look_at(struct trainings *h, const struct evaluation *v)
{
    RETURN_IF_FAIL(try_shortly(h, v));
    if (h->n_arms != FIRST)
        return OK;
    RETURN_IF_FAIL(choose_mix(h, best_left(h)));
    return searching_interrupted() ? OK : try_whole(h, best_left(h));
}

/* With budgets those of least loss. */
static struct status *try_candidates(struct trainings *h)
{
    struct searching *s = h->s;
    const struct evaluation **list, *next;

    if (searching_has_budget(s->q->o)) {
        const int n = searching_candidates(s, &list);

        for (int i = 0; i < n && i < CANDIDATES && !searching_interrupted(); i++)
            RETURN_IF_FAIL(try_shortly(h, list[i]));
        return h->n_arms ? choose_mix(h, best_left(h)) : OK;
    }
    while (h->n_arms < CANDIDATES && !searching_interrupted()
           && (next = searching_next(s)))
        RETURN_IF_FAIL(look_at(h, next));
    return OK;
}

/* The best plan, if it was trained shortly; NULL: it was not. */
static struct arm *best_one(struct trainings *h)
{
    for (int i = 0; i < h->n_arms; i++)
        if (h->s->best.done && h->arms[i].of == h->s->best.of && h->arms[i].share < 1)
            return &h->arms[i];
    return NULL;
}

/* Of those: while there is no plan to deliver, the last one has to be accurate, not
 * cheap; otherwise it is the plan that is delivered. */
static struct arm *whole_left(struct trainings *h)
{
    const bool is_last = h->n_whole == MOST_WHOLE - 1;

    if (!h->s->best.done)
        return is_last ? safest_left(h) : best_left(h);
    return is_last && best_one(h) ? best_one(h) : hope_left(h);
}

/* Without budgets: it should lose little enough, or there is a plan to deliver. */
static bool is_promising(const struct trainings *h, const struct arm *arm)
{
    return arm
           && (h->s->best.done || searching_has_budget(h->s->q->o)
               || expected(h, arm) <= h->s->q->o->max_drop);
}

/* One that may be better than what there is; of the front, where training gives back
 * more than was thought, or less.  *out NULL: none. */
static struct status *next_whole(struct trainings *h, struct arm **out)
{
    struct searching *s = h->s;
    const struct evaluation *next;

    *out = whole_left(h);
    if (searching_has_budget(s->q->o)) {
        *out = s->best.done ? NULL : *out;
        return OK;
    }
    while (!is_promising(h, *out) && h->n_arms < CANDIDATES + MORE
           && !searching_interrupted() && (next = searching_next(s))) {
        RETURN_IF_FAIL(try_shortly(h, next));
        *out = whole_left(h);
    }
    if (!*out)
        *out = best_one(h);
    return OK;
}

static struct status *train(struct trainings *h)
{
    struct arm *arm;

    RETURN_IF_FAIL(try_candidates(h));
    while (h->n_whole < MOST_WHOLE && !searching_interrupted()) {
        RETURN_IF_FAIL(next_whole(h, &arm));
        if (!arm || searching_interrupted())
            break;
        RETURN_IF_FAIL(try_whole(h, arm));
    }
    say_mix(h);
    return OK;
}

static struct status *unless_interrupted(struct status *s)
{
    if (!s || !searching_interrupted())
        return s;
    status_free(s); /* in the middle of a training */
    return OK;
}

struct status *searching_train_look(struct searching *s, const struct evaluation *v)
{
    return unless_interrupted(look_at(s->trainings, v));
}

struct status *searching_train(struct searching *s)
{
    return unless_interrupted(train(s->trainings));
}
