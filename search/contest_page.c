/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a comparison as a page for people: one file without scripts, images or
 * references to anything else. */
#include <math.h>

#include "search/comparison.h"
#include "search/contest_results.h"
#include "support/chart.h"

enum { MOST_LINES = CHART_COLORS, BOOTSTRAP_SEED = 1 };

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;"
    "padding:0 1rem;color:#1b1f24;background:#fff}"
    "h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}"
    "h3{font-size:1rem;margin:1.2rem 0 .3rem}"
    "p.about,small{color:#57606a}p.about{margin-top:0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid "
    "#e3e6ea;vertical-align:top}td.n,th.n{text-align:right}"
    "thead th{border-bottom:2px solid #8c959f}tr.ours td{background:#eef5fc}"
    "td.best{font-weight:700}td:first-child,b{white-space:nowrap}.v-bett{color:#116329}"
    ".v-wors{color:#a40e26}"
    ".v-unde{color:#7d4e00}td.home{background:#eef5fc;font-weight:700}"
    "td.over{color:#8c959f}div.wide{overflow-x:auto}"
    "div.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(26rem,1fr));"
    "gap:1rem}figure{margin:0}figcaption{font-weight:600}"
    "@media print{body{margin:0;max-width:none;font-size:10px}h2,h3{break-after:avoid}"
    "tr,figure{break-inside:avoid}}";

static void put_head(const struct contest_results *r, struct text *t)
{
    text_printf(t,
                "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                "<meta name=viewport content=\"width=device-width\">\n"
                "<title>hadmcc compare</title>\n<style>%s%s</style></head><body>\n"
                "<h1>Methods of search, compared</h1>\n<p class=about>",
                style, chart_style);
    text_printf(t,
                "%d methods, %d models, %d targets, %d seeds: each run has %d true "
                "evaluations, the table of single changes and the model as it is "
                "counted, and a budget of latency: %g of the way from the least that a "
                "plan can have to the fastest plan with all channels.</p>\n<p>",
                r->n_who, r->n_models, r->n_targets, r->n_seeds, r->n_evaluations,
                r->budget_way);
    text_puts(t, "<b>Measured</b> on the machine that compared: losses and accuracies, "
                 "of plans put together from compressed units. <b>Modelled</b> for the "
                 "target: latency, energy and bytes. ");
    chart_put_escaped(t, r->samples);
    text_puts(t, "</p>\n<p><code>");
    chart_put_escaped(t, r->command);
    text_puts(t, "</code></p>\n");
}

/* ---- verdicts ---------------------------------------------------------------------
 */

static void put_verdict(const struct contest_verdict *v, struct text *t)
{
    text_printf(t,
                "<td class=n>%+.4f</td><td class=n>%.2f</td><td class=n "
                "title=\"better %.3g, not worse %.3g, worse %.3g; paired t "
                "%.3g\">%.3g</td><td><b class=\"v-%.4s\">%s</b></td>",
                v->difference, v->effect, v->p_better, v->p_not_worse, v->p_worse,
                v->p_t, v->p_not_worse, v->words, v->words);
}

static void put_verdicts(struct arena *a, const struct contest_results *r,
                         struct text *t)
{
    const struct contest_verdict *v[CONTEST_MEASURE_COUNT];

    text_printf(t, "<h2>%s against each of the others</h2>\n<p class=about>",
                r->who[0]->name);
    text_printf(
        t,
        "Difference of means, ours less theirs; effect: chance that ours is above, "
        "ties a "
        "half; p of a one-sided stratified paired test that ours is not worse by 1 %%, "
        "adjusted by Holm, over the methods and over ours with a part missing apart "
        "(point at it for the other tests and for the paired t). %d pairs. "
        "<i>better</i>: above 0; <i>tie</i>: neither is worse by 1 %%; <i>not "
        "worse</i>: "
        "by 1 %%; <i>undecided</i>: too few pairs to say.</p>\n",
        r->n_models * r->n_targets * r->n_seeds);
    text_puts(t, "<div class=wide><table><thead><tr><th></th>");
    for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++) {
        v[m] = contest_judge(a, r, m);
        text_printf(t, "<th colspan=4>%s</th>", contest_measure_titles[m]);
    }
    text_puts(t, "</tr><tr><th>against</th>");
    for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++)
        text_puts(t,
                  "<th class=n>difference</th><th class=n>effect</th><th class=n>p</th>"
                  "<th>verdict</th>");
    text_puts(t, "</tr></thead>\n");
    for (int w = 1; w < r->n_who; w++) {
        text_printf(t, "<tr><td title=\"%s\">%s</td>", r->who[w]->about,
                    r->who[w]->name);
        for (enum contest_measure m = 0; m < CONTEST_MEASURE_COUNT; m++)
            put_verdict(&v[m][w], t);
        text_puts(t, "</tr>\n");
    }
    text_puts(t, "</table></div>\n");
}

/* ---- methods x models x targets ---------------------------------------------------
 */

typedef double value_of_run(const struct contest_run *r);

static double kept(const struct contest_run *r)
{
    return contest_value(r, CONTEST_kept);
}

static double drop(const struct contest_run *r)
{
    return r->figures.feasible ? r->test_drop : NAN;
}

static double bytes(const struct contest_run *r)
{
    return r->figures.feasible ? r->figures.bytes : NAN;
}

static double energy(const struct contest_run *r)
{
    return r->figures.feasible ? r->figures.energy : NAN;
}

static double volume(const struct contest_run *r)
{
    return r->figures.volume;
}

static double speedup(const struct contest_run *r)
{
    return r->figures.speedup;
}

static double n_to_best(const struct contest_run *r)
{
    return r->figures.feasible ? (double)r->figures.n_to_best : (double)NAN;
}

static const struct {
    const char *title, *about;
    value_of_run *value;
    int direction; /* 1: high is good; -1: low; 0: depends on the rest */
} tables[] = {
    {"Accuracy at the latency budget (measured)",
     "exp(-loss) on test samples, of the most accurate plan within the budget; 0 where "
     "none was found",
     kept, 1},
    {"Points of accuracy lost by that plan (measured)",
     "on test samples; empty where no plan was found", drop, -1},
    {"Hypervolume (losses measured, costs modelled)",
     "of loss, latency, energy and bytes below the original and the fixed loss", volume,
     1},
    {"Speed-up at the fixed loss (modelled)", "of the fastest plan within it", speedup,
     1},
    {"Bytes of weights of the most accurate plan (modelled)", "share of the original's",
     bytes, 0},
    {"Energy of that plan (modelled)", "share of the original's", energy, 0},
    {"Evaluations to 95 % of the final accuracy", "of the search samples", n_to_best,
     0},
};

/* Over seeds; NAN where one has no value. */
static double middle(const struct contest_results *r, int m, int k, int w,
                     value_of_run *value, double *values)
{
    for (int s = 0; s < r->n_seeds; s++) {
        values[s] = value(contest_run_at(r, m, k, w, s));
        if (isnan(values[s]))
            return NAN;
    }
    return comparison_iqm(values, r->n_seeds);
}

static void put_cell(const struct contest_results *r, const double *values, double iqm,
                     bool best, struct text *t)
{
    if (isnan(iqm)) {
        text_puts(t, "<td class=n>–</td>");
        return;
    }
    text_printf(t, "<td class=\"n%s\">%.4g", best ? " best" : "", iqm);
    if (r->n_seeds > 1) {
        double low = INFINITY, high = -INFINITY;

        for (int s = 0; s < r->n_seeds; s++) {
            low = fmin(low, values[s]);
            high = fmax(high, values[s]);
        }
        if (high > low)
            text_printf(t, " <small>%.3g…%.3g</small>", low, high);
    }
    text_puts(t, "</td>");
}

/* Interval over all models and targets. */
static void put_whole(const struct contest_results *r, int w, value_of_run *value,
                      double *values, int *strata, struct text *t)
{
    int n = 0;

    for (int m = 0; m < r->n_models; m++)
        for (int k = 0; k < r->n_targets; k++)
            for (int s = 0; s < r->n_seeds; s++) {
                values[n] = value(contest_run_at(r, m, k, w, s));
                if (isnan(values[n])) {
                    text_puts(t, "<td class=n>–</td>");
                    return;
                }
                strata[n++] = m * r->n_targets + k;
            }

    const struct comparison_interval i = comparison_bootstrap(
        values, strata, n, r->n_models * r->n_targets, BOOTSTRAP_SEED);

    text_printf(t, "<td class=n>%.4g <small>%.3g…%.3g</small></td>",
                comparison_iqm(values, n), i.low, i.high);
}

static void put_table(struct arena *a, const struct contest_results *r, int which,
                      struct text *t)
{
    const int n_cases = r->n_models * r->n_targets;
    double *values = arena_new_array(a, double, n_cases * r->n_seeds),
           *best = arena_new_array(a, double, n_cases);
    int *strata = arena_new_array(a, int, n_cases * r->n_seeds);
    value_of_run *const value = tables[which].value;

    text_printf(t,
                "<h3>%s</h3>\n<p class=about>%s</p>\n<div class=wide><table><thead><tr>"
                "<th></th>",
                tables[which].title, tables[which].about);
    for (int i = 0; i < n_cases; i++) {
        text_puts(t, "<th class=n>");
        chart_put_escaped(t, r->models[i / r->n_targets]);
        text_printf(t, "<br>%s</th>", r->targets[i % r->n_targets]);
        best[i] = -INFINITY;
        for (int w = 0; w < r->n_who; w++)
            best[i] = fmax(best[i], tables[which].direction
                                        * middle(r, i / r->n_targets, i % r->n_targets,
                                                 w, value, values));
    }
    text_puts(t, "<th class=n>all, 95 %</th></tr></thead>\n");
    for (int w = 0; w < r->n_who; w++) {
        text_printf(t, "<tr%s><td title=\"%s\">%s</td>", w ? "" : " class=ours",
                    r->who[w]->about, r->who[w]->name);
        for (int i = 0; i < n_cases; i++) {
            const double iqm =
                middle(r, i / r->n_targets, i % r->n_targets, w, value, values);

            put_cell(r, values, iqm,
                     tables[which].direction && iqm != 0
                         && tables[which].direction * iqm >= best[i] - 1e-12,
                     t);
        }
        put_whole(r, w, value, values, strata, t);
        text_puts(t, "</tr>\n");
    }
    text_puts(t, "</table></div>\n");
}

/* ---- curves -----------------------------------------------------------------------
 */

static void put_curves(struct arena *a, const struct contest_results *r, int m, int k,
                       struct text *t)
{
    const int n = r->n_evaluations;
    struct chart_series *series = arena_new_array(a, struct chart_series, r->n_who);
    double *x = arena_new_array(a, double, n);
    int lines = 0;

    for (int i = 0; i < n; i++)
        x[i] = i + 1;
    for (int w = 0; w < r->n_who && lines < MOST_LINES; w++) {
        double *y = arena_new_array(a, double, n);

        for (int s = 0; s < r->n_seeds; s++)
            for (int i = 0; i < n; i++)
                y[i] += contest_run_at(r, m, k, w, s)->figures.curve[i] / r->n_seeds;
        if (y[n - 1] > 0) {
            series[lines] = (struct chart_series){.name = r->who[w]->name,
                                                  .kind = CHART_STEPS,
                                                  .n = n,
                                                  .x = x,
                                                  .y = y,
                                                  .color = lines};
            lines++;
        }
    }

    const struct chart c = {.label = "accuracy of the best plan so far",
                            .x_title = "true evaluations",
                            .y_title = "exp(-loss) of the best so far",
                            .n = lines,
                            .series = series};

    text_puts(t, "<figure><figcaption>");
    chart_put_escaped(t, r->models[m]);
    text_printf(t, " on %s</figcaption>\n", r->targets[k]);
    chart_put(t, &c);
    text_puts(t, "</figure>\n");
}

/* ---- plans of one target on another -----------------------------------------------
 */

static void put_matrix(const struct contest_results *r, int m, struct text *t)
{
    text_puts(t, "<h3>");
    chart_put_escaped(t, r->models[m]);
    text_puts(t, "</h3>\n<div class=wide><table><thead><tr><th>plan found for</th>");
    for (int k = 0; k < r->n_targets; k++)
        text_printf(t, "<th class=n>latency on %s</th>", r->targets[k]);
    text_puts(t, "<th class=n>exp(-loss), test</th></tr></thead>\n");
    for (int row = 0; row < r->n_targets; row++) {
        double accuracy = 0;

        text_printf(t, "<tr><td>%s</td>", r->targets[row]);
        for (int k = 0; k < r->n_targets; k++) {
            double share = 0, budget = 0;

            for (int s = 0; s < r->n_seeds; s++) {
                share += contest_run_at(r, m, row, 0, s)->on[k] / r->n_seeds;
                budget += contest_run_at(r, m, k, 0, s)->budget / r->n_seeds;
            }
            text_printf(t, "<td class=\"n%s%s\">%.4f%s</td>", row == k ? " home" : "",
                        share > budget * (1 + 1e-9) ? " over" : "", share,
                        share > budget * (1 + 1e-9) ? " over budget" : "");
        }
        for (int s = 0; s < r->n_seeds; s++)
            accuracy += contest_value(contest_run_at(r, m, row, 0, s), CONTEST_kept)
                        / r->n_seeds;
        text_printf(t, "<td class=n>%.4f</td></tr>\n", accuracy);
    }
    text_puts(t, "</table></div>\n");
}

void contest_put_html(struct arena *a, const struct contest_results *r, struct text *t)
{
    put_head(r, t);
    put_verdicts(a, r, t);
    text_printf(t,
                "<h2>Methods × models × targets</h2>\n<p class=about>Interquartile "
                "means over seeds, with the lowest and the highest; over everything "
                "with a bootstrap interval. The fixed loss is %g nats. Bold: best of "
                "the column.</p>\n",
                r->fixed_loss);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        put_table(a, r, (int)i, t);
    text_puts(
        t, "<h2>Best so far</h2>\n<p class=about>Means over seeds of what the search "
           "saw (measured), 0 until a plan within the budget was found.</p>\n"
           "<div class=charts>\n");
    for (int m = 0; m < r->n_models; m++)
        for (int k = 0; k < r->n_targets; k++)
            put_curves(a, r, m, k, t);
    text_puts(t, "</div>\n");
    if (r->n_targets > 1) {
        text_printf(t,
                    "<h2>Plans of one target on another</h2>\n<p class=about>What %s "
                    "found for the target of the row, at the cost of the column's: "
                    "share of the original's latency there (modelled), mean over "
                    "seeds.</p>\n",
                    r->who[0]->name);
        for (int m = 0; m < r->n_models; m++)
            put_matrix(r, m, t);
    }
    text_puts(t, "</body></html>\n");
}
