/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of one contestant against the others, and the results as JSON. */
#include "search/contest_results.h"

#include <math.h>
#include <string.h>

#include "search/comparison.h"
#include "support/json_lines.h"

static const double margins[] = {
#define CONTEST_MEASURE(name, title, margin, unit) margin,
    CONTEST_MEASURES(CONTEST_MEASURE)
#undef CONTEST_MEASURE
};

const char *const contest_measure_titles[] = {
#define CONTEST_MEASURE(name, title, margin, unit) title,
    CONTEST_MEASURES(CONTEST_MEASURE)
#undef CONTEST_MEASURE
        NULL};

static const char *const measure_names[] = {
#define CONTEST_MEASURE(name, title, margin, unit) #name,
    CONTEST_MEASURES(CONTEST_MEASURE)
#undef CONTEST_MEASURE
};

static const char *const measure_units[] = {
#define CONTEST_MEASURE(name, title, margin, unit) unit,
    CONTEST_MEASURES(CONTEST_MEASURE)
#undef CONTEST_MEASURE
};

enum { TEST_SEED = 2 };

double contest_value(const struct contest_run *run, enum contest_measure m)
{
    const struct contest_figures *f = &run->figures;

    switch (m) {
    case CONTEST_kept:
        return f->feasible ? exp(-fmax(run->test_loss, 0)) : 0;
    case CONTEST_volume:
        return f->volume;
    case CONTEST_speed:
    case CONTEST_MEASURE_COUNT:
        break;
    }
    return log(f->speedup);
}

/* ---- tests ------------------------------------------------------------------------
 */

static const double alpha = 0.05;

/* Values of all runs of one contestant, a stratum for each model and target. */
static int collect(const struct contest_results *r, int who, enum contest_measure m,
                   double *values, int *strata)
{
    int n = 0;

    for (int i = 0; i < r->n_models; i++)
        for (int t = 0; t < r->n_targets; t++)
            for (int s = 0; s < r->n_seeds; s++) {
                values[n] = contest_value(contest_run_at(r, i, t, who, s), m);
                strata[n++] = i * r->n_targets + t;
            }
    return n;
}

static const char *word_for(const struct contest_verdict *v, double p_reverse)
{
    return v->p_better < alpha                           ? "better"
           : v->p_not_worse < alpha && p_reverse < alpha ? "tie"
           : v->p_not_worse < alpha                      ? "not worse"
           : v->p_worse < alpha                          ? "worse"
                                                         : "undecided";
}

/* By Holm over the others of one family: ours with a part missing, or all else. */
static void adjust(const struct contest_results *r, bool ours, double *p)
{
    struct arena *a = arena_create();
    double *family = arena_new_array(a, double, r->n_who);
    int n = 0;

    for (int w = 1; w < r->n_who; w++)
        if ((r->who[w]->role == CONTEST_OURS) == ours)
            family[n++] = p[w - 1];
    comparison_holm(family, n);
    for (int w = r->n_who - 1; w > 0; w--)
        if ((r->who[w]->role == CONTEST_OURS) == ours)
            p[w - 1] = family[--n];
    arena_destroy(a);
}

struct contest_verdict *contest_judge(struct arena *a, const struct contest_results *r,
                                      enum contest_measure m)
{
    const int n_strata = r->n_models * r->n_targets, most = n_strata * r->n_seeds,
              n_others = r->n_who - 1;
    struct contest_verdict *out = arena_new_array(a, struct contest_verdict, r->n_who);
    double *ours = arena_new_array(a, double, most),
           *theirs = arena_new_array(a, double, most);
    double *p[4];
    int *strata = arena_new_array(a, int, most);
    const int n = collect(r, 0, m, ours, strata);

    for (int k = 0; k < 4; k++)
        p[k] = arena_new_array(a, double, n_others + 1);
    for (int w = 0; w < n_others; w++) {
        struct contest_verdict *v = &out[w + 1];

        collect(r, w + 1, m, theirs, strata);

        const struct comparison_test better =
            comparison_paired(ours, theirs, strata, n, n_strata, 0, TEST_SEED);

        v->difference = better.mean;
        v->effect = better.effect;
        v->p_t = comparison_t_test(ours, theirs, n);
        p[0][w] = better.p;
        p[1][w] =
            comparison_paired(ours, theirs, strata, n, n_strata, margins[m], TEST_SEED)
                .p;
        p[2][w] = comparison_paired(theirs, ours, strata, n, n_strata, 0, TEST_SEED).p;
        p[3][w] =
            comparison_paired(theirs, ours, strata, n, n_strata, margins[m], TEST_SEED)
                .p;
    }
    for (int k = 0; k < 4; k++) {
        adjust(r, true, p[k]);
        adjust(r, false, p[k]);
    }
    for (int w = 0; w < n_others; w++) {
        struct contest_verdict *v = &out[w + 1];

        v->p_better = p[0][w];
        v->p_not_worse = p[1][w];
        v->p_worse = p[2][w];
        v->words = word_for(v, p[3][w]);
    }
    return out;
}

/* ---- JSON -------------------------------------------------------------------------
 */

static json_t *names(const char *const *words, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_string(words[i]));
    return list;
}

static void set_real(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, isfinite(value) ? json_real(value) : json_null());
}

static json_t *run_json(struct arena *a, const struct contest_results *r, int m, int t,
                        int w, int s)
{
    const struct contest_run *run = contest_run_at(r, m, t, w, s);
    const struct contest_figures *f = &run->figures;
    json_t *o = json_object();

    json_object_set_new(o, "model", json_string(r->models[m]));
    json_object_set_new(o, "target", json_string(r->targets[t]));
    json_object_set_new(o, "method", json_string(r->who[w]->name));
    json_object_set_new(o, "seed", json_integer(s + 1));
    json_object_set_new(o, "evaluations", json_integer(f->n_evaluated));
    json_object_set_new(o, "feasible", json_boolean(f->feasible));
    set_real(o, "latency_budget", run->budget);
    set_real(o, "loss", f->feasible ? f->loss : NAN);
    set_real(o, "test_loss", f->feasible ? run->test_loss : NAN);
    set_real(o, "test_drop", f->feasible ? run->test_drop : NAN);
    set_real(o, "latency", f->feasible ? f->latency : NAN);
    set_real(o, "energy", f->feasible ? f->energy : NAN);
    set_real(o, "bytes", f->feasible ? f->bytes : NAN);
    set_real(o, "hypervolume", f->volume);
    set_real(o, "speedup", f->speedup);
    json_object_set_new(o, "evaluations_to_95_percent", json_integer(f->n_to_best));
    for (int k = 0; k < r->n_targets; k++)
        set_real(o, arena_printf(a, "latency_on_%s", r->targets[k]), run->on[k]);
    return o;
}

static json_t *verdict_json(const struct contest_results *r, enum contest_measure m,
                            int w, const struct contest_verdict *v)
{
    json_t *o = json_object();

    json_object_set_new(o, "measure", json_string(measure_names[m]));
    json_object_set_new(o, "against", json_string(r->who[w]->name));
    json_object_set_new(o, "verdict", json_string(v->words));
    set_real(o, "difference", v->difference);
    set_real(o, "margin", margins[m]);
    json_object_set_new(o, "unit", json_string(measure_units[m]));
    set_real(o, "p_better", v->p_better);
    set_real(o, "p_not_worse", v->p_not_worse);
    set_real(o, "p_worse", v->p_worse);
    set_real(o, "effect", v->effect);
    set_real(o, "p_paired_t", v->p_t);
    return o;
}

void contest_put_json(struct arena *a, const struct contest_results *r, struct text *t)
{
    json_t *o = json_object(), *runs = json_array(), *verdicts = json_array(),
           *who = json_array();

    for (int i = 0; i < r->n_who; i++)
        json_array_append_new(who, json_string(r->who[i]->name));
    for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++) {
        const struct contest_verdict *v = contest_judge(a, r, m);

        for (int w = 1; w < r->n_who; w++)
            json_array_append_new(verdicts, verdict_json(r, m, w, &v[w]));
    }
    for (int m = 0; m < r->n_models; m++)
        for (int k = 0; k < r->n_targets; k++)
            for (int w = 0; w < r->n_who; w++)
                for (int s = 0; s < r->n_seeds; s++)
                    json_array_append_new(runs, run_json(a, r, m, k, w, s));
    json_object_set_new(o, "format", json_integer(1));
    json_object_set_new(o, "command", json_string(r->command));
    json_object_set_new(o, "models", names(r->models, r->n_models));
    json_object_set_new(o, "targets", names(r->targets, r->n_targets));
    json_object_set_new(o, "methods", who);
    json_object_set_new(o, "seeds", json_integer(r->n_seeds));
    json_object_set_new(o, "evaluations", json_integer(r->n_evaluations));
    set_real(o, "way_to_fastest_whole", r->budget_way);
    set_real(o, "fixed_loss", r->fixed_loss);
    json_object_set_new(o, "loss_origin", json_string("measured"));
    json_object_set_new(o, "latency_origin", json_string("modelled"));
    json_object_set_new(o, "verdicts", verdicts);
    json_object_set_new(o, "runs", runs);
    json_lines_put(o, t);
    json_decref(o);
}
