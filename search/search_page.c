/* SPDX-License-Identifier: Apache-2.0 */
/* A search as a page for people: see search_page.h. */
#include "search/search_page.h"

#include <math.h>
#include <string.h>

#include "search/search_environment.h"
#include "support/chart.h"

enum { MOST_PROPOSERS = 8, MOST_ACTIONS = 10 };

/* Losses are drawn no lower, so that an exact plan has a place on a logarithm. */
static const double LEAST_LOSS = 1e-5;

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;"
    "padding:0 1rem;color:#1b1f24;background:#fff}"
    "h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}"
    "p.about,small{color:#57606a}p.about{margin-top:0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.2rem .7rem .2rem 0;border-bottom:1px solid "
    "#e3e6ea;vertical-align:top}td.n,th.n{text-align:right}"
    "thead th{border-bottom:2px solid #8c959f}tr.chosen td{background:#eef5fc}"
    "div.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(26rem,1fr));"
    "gap:1rem}figure{margin:0}figcaption{font-weight:600}div.wide{overflow-x:auto}"
    "span.bits{display:inline-block;min-width:1.7rem;text-align:center;border-radius:"
    "3px;"
    "color:#fff}span.b4{background:#009e73}span.b8{background:#0072b2}"
    "span.b16{background:#6f4fa0}span.b32{background:#444c56}"
    "div.kept{background:#e3e6ea;width:6rem;height:.6rem;margin-top:.45rem}"
    "div.kept div{background:#2f6fb2;height:100%}"
    "@media print{body{margin:0;max-width:none;font-size:10px}h2{break-after:avoid}"
    "tr,figure{break-inside:avoid}}";

/* ---- masks ------------------------------------------------------------------------
 */

static int action_of(struct choice c, enum choice_agent agent)
{
    return agent == AGENT_fusion    ? c.pattern
           : agent == AGENT_pruning ? c.ratio
                                    : c.bits;
}

static uint32_t allowed_by_unit(const struct search_unit *u, enum choice_agent agent)
{
    return agent == AGENT_fusion    ? u->patterns
           : agent == AGENT_pruning ? u->ratios
                                    : u->bits;
}

const char *search_forbids(struct arena *a, const struct search_problem *p,
                           const struct choices *c, int unit, enum choice_agent agent,
                           int action)
{
    const struct search_unit *u = &p->units[unit];
    struct arena *scratch = arena_create();
    struct walk *w = walk_create(scratch, p);
    enum choice_agent asked;
    bool legal = false;

    walk_begin(w);
    while (walk_asks(w, &asked) && (walk_unit(w) < unit || asked < agent))
        walk_take(w, action_of(c->units[walk_unit(w)], asked));
    legal = walk_legal(w) >> action & 1;
    arena_destroy(scratch);
    if (legal)
        return NULL;
    if (!(allowed_by_unit(u, agent) >> action & 1))
        return agent == AGENT_pruning ? "its channels must stay"
                                      : "the target or the operator lacks it";
    if (agent == AGENT_pruning
        && !(choice_distinct_ratios(u->ratios, u->channels, u->tile) >> action & 1))
        return u->tile > 1
                   ? arena_printf(a, "as many channels as a smaller one: tiles of %d",
                                  u->tile)
                   : "as many channels as a smaller one";
    if (agent == AGENT_pruning && u->leader != unit)
        return arena_printf(a, "the share of %s", p->units[u->leader].name);
    if (agent == AGENT_quantization && u->joins >= 0)
        return arena_printf(a, "the width of %s, which it is added to",
                            p->units[u->joins].name);
    return "no completion would meet the budgets";
}

static const char *action_name(struct arena *a, enum choice_agent agent, int action)
{
    return agent == AGENT_pruning ? arena_printf(a, "%d %%", action * 10)
                                  : arena_printf(a, "%d bits", choice_bits[action]);
}

/* "4 bits: the target or the operator lacks it; 60 %, 70 %: ..." */
static void put_forbidden(struct arena *a, const struct search_problem *p,
                          const struct choices *c, int unit, struct text *t)
{
    static const enum choice_agent agents[] = {AGENT_pruning, AGENT_quantization};
    const char *last = "";

    for (int k = 0; k < 2; k++)
        for (int i = 0; i < choice_n_actions(agents[k]); i++) {
            const char *why = search_forbids(a, p, c, unit, agents[k], i);

            if (!why)
                continue;
            if (*last && strcmp(why, last) != 0) {
                text_puts(t, ": ");
                chart_put_escaped(t, last);
                text_puts(t, "; ");
            } else if (*last)
                text_puts(t, ", ");
            text_puts(t, action_name(a, agents[k], i));
            last = why;
        }
    if (*last) {
        text_puts(t, ": ");
        chart_put_escaped(t, last);
    }
}

/* ---- the page ---------------------------------------------------------------------
 */

static double value_of(const struct search_page *p, const struct evaluation *v)
{
    return reward_of(p->reward, p->e->problem, v->choices, &v->result);
}

static int list_proposers(const struct search_page *p, const char **names, int *counts)
{
    int n = 0;

    for (int i = 0; i < p->e->n; i++) {
        int k = 0;

        while (k < n && strcmp(names[k], p->e->all[i].proposer) != 0)
            k++;
        if (k == n && n < MOST_PROPOSERS) {
            names[n] = p->e->all[i].proposer;
            counts[n++] = 0;
        }
        if (k < n)
            counts[k]++;
    }
    return n;
}

static void put_head(const struct search_page *p, struct text *t)
{
    const char *names[MOST_PROPOSERS];
    int counts[MOST_PROPOSERS];
    const int n = list_proposers(p, names, counts);

    text_puts(t, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                 "<meta name=viewport content=\"width=device-width\">\n<title>");
    chart_put_escaped(t, p->model);
    text_printf(t, ": search</title>\n<style>%s%s</style></head><body>\n<h1>", style,
                chart_style);
    chart_put_escaped(t, p->model);
    text_printf(
        t, " on %s: what the search found</h1>\n<p class=about>%d plans evaluated: ",
        p->target, p->e->n);
    for (int i = 0; i < n; i++)
        text_printf(t, "%s%d by %s", i ? ", " : "", counts[i], names[i]);
    text_puts(
        t, ". Losses are measured on this machine; latency, energy, bytes and memory "
           "are modelled for the target.</p>\n<p>");
    chart_put_escaped(t, p->sentence);
    text_puts(t, ".</p>\n");
}

/* A series of evaluations; x or y is a cost's share of the original's, or the number.
 */
static struct chart_series points(struct arena *a, int n)
{
    return (struct chart_series){.kind = CHART_POINTS,
                                 .x = arena_new_array(a, double, n + 1),
                                 .y = arena_new_array(a, double, n + 1),
                                 .titles = arena_new_array(a, const char *, n + 1)};
}

static void add_point(struct chart_series *s, double x, double y, const char *title)
{
    ((double *)s->x)[s->n] = x;
    ((double *)s->y)[s->n] = y;
    ((const char **)s->titles)[s->n++] = title;
}

static double share(const struct search_page *p, const struct evaluation *v,
                    enum search_cost k)
{
    return v->result.costs[k] / p->e->problem->base[k];
}

static const char *title_of(struct arena *a, const struct search_page *p,
                            const struct evaluation *v)
{
    return arena_printf(a,
                        "plan %d by %s: loss %.4g nats, %.3g points, latency %.3f, "
                        "energy %.3f, bytes %.3f of the original's",
                        (int)(v - p->e->all), v->proposer, v->result.loss,
                        v->result.drop, share(p, v, COST_latency),
                        share(p, v, COST_energy), share(p, v, COST_bytes));
}

static void put_front(struct arena *a, const struct search_page *p, enum search_cost k,
                      struct text *t)
{
    const struct evaluator *e = p->e;
    struct chart_series s[] = {points(a, 1), points(a, e->n), points(a, e->n),
                               points(a, e->n)};
    bool *in_front = arena_new_array(a, bool, e->n + 1);
    const struct chart c = {
        .label = "loss against cost",
        .x_title = arena_printf(a, "%s, share of the original's (modelled)",
                                search_cost_names[k]),
        .y_title = "loss, nats (measured)",
        .y_log = true,
        .n = 4,
        .series = s};

    s[0].name = "chosen";
    s[0].color = 1;
    s[1].name = "front";
    s[2].name = "other plans within the budgets";
    s[2].color = 5;
    s[2].faint = true;
    s[3].name = "beyond";
    s[3].color = 9;
    s[3].faint = true;
    for (int i = 0; i < e->front.n; i++)
        in_front[e->front.points[i].id] = true;
    for (int i = 0; i < e->n; i++) {
        const struct evaluation *v = &e->all[i];
        const int to = v == p->chosen ? 0 : in_front[i] ? 1 : v->feasible ? 2 : 3;

        add_point(&s[to], share(p, v, k), fmax(v->result.loss, LEAST_LOSS),
                  title_of(a, p, v));
    }
    text_printf(t, "<figure><figcaption>Loss against %s</figcaption>\n",
                search_cost_names[k]);
    chart_put(t, &c);
    text_puts(t, "</figure>\n");
}

static void put_learning(struct arena *a, const struct search_page *p, struct text *t)
{
    const struct evaluator *e = p->e;
    const char *names[MOST_PROPOSERS];
    int counts[MOST_PROPOSERS];
    const int n = list_proposers(p, names, counts);
    struct chart_series *s = arena_new_array(a, struct chart_series, n + 1);
    double best = -INFINITY;

    s[0] = points(a, e->n);
    s[0].name = "best so far";
    s[0].kind = CHART_STEPS;
    for (int k = 0; k < n; k++) {
        s[k + 1] = points(a, e->n);
        s[k + 1].name = names[k];
        s[k + 1].color = 1 + k;
        s[k + 1].faint = true;
    }
    for (int i = 0; i < e->n; i++) {
        const struct evaluation *v = &e->all[i];
        const double value = value_of(p, v);

        if (!v->feasible)
            continue;
        best = fmax(best, value);
        add_point(&s[0], i + 1, best, NULL);
        for (int k = 0; k < n; k++)
            if (strcmp(names[k], v->proposer) == 0)
                add_point(&s[k + 1], i + 1, value, title_of(a, p, v));
    }

    const struct chart c = {.label = "reward by evaluation",
                            .x_title = "true evaluations",
                            .y_title = "reward of plans within the budgets",
                            .n = n + 1,
                            .series = s};

    text_puts(t, "<figure><figcaption>Learning curve</figcaption>\n");
    chart_put(t, &c);
    text_puts(t, "</figure>\n");
}

static const char *how_trained(struct arena *a, const struct search_trial *r)
{
    return r->epochs > 0 ? arena_printf(a, "%.3g epochs, T %.3g, alpha %.3g", r->epochs,
                                        r->temperature, r->alpha)
                         : "no";
}

/* Of the units that lead a group. */
static void put_left(const struct search_page *p, struct text *t)
{
    const struct search_problem *q = p->e->problem;
    const struct forecast *f = p->reward->forecast;
    const char *between = "";

    if (!f || !f->left)
        return;
    text_puts(t, "<p class=about>Layers behind a change make good for a part of it. "
                 "What was left of single changes of channels that were carried out, 1 "
                 "on average, weighs losses as evaluated where plans are compared: ");
    for (int i = 0; i < q->n_units; i++) {
        const struct search_unit *u = &q->units[i];

        if (u->leader != i || u->ratios <= 1)
            continue;
        text_puts(t, between);
        chart_put_escaped(t, u->name);
        text_printf(t, " %.2f", f->left[i]);
        between = ", ";
    }
    text_puts(t, ".</p>\n");
}

static void put_trials(struct arena *a, const struct search_page *p, struct text *t)
{
    struct chart_series s[] = {
        points(a, p->n_trials),
        {.kind = CHART_LINE, .name = "equal", .color = 8, .dashed = true}};
    double low = INFINITY, high = LEAST_LOSS;

    if (!p->n_trials)
        return;
    s[0].name = "plans that were carried out";
    text_puts(
        t,
        "<h2>Predicted against measured</h2>\n<p class=about>An evaluation puts a plan "
        "together from units that were compressed each for itself; carried out, it "
        "is compiled and run on other samples.</p>\n");
    put_left(p, t);
    text_puts(t, "<div class=charts><figure>\n");
    for (int i = 0; i < p->n_trials; i++) {
        const struct search_trial *r = &p->trials[i];
        const double predicted = fmax(r->of->result.loss, LEAST_LOSS),
                     measured = fmax(r->loss, LEAST_LOSS);

        low = fmin(low, fmin(predicted, measured));
        high = fmax(high, fmax(predicted, measured));
        add_point(&s[0], predicted, measured, title_of(a, p, r->of));
    }
    s[1].n = 2;
    s[1].x = s[1].y = (const double[]){low, high};

    const struct chart c = {.label = "loss as evaluated and as carried out",
                            .x_title = "loss as evaluated, nats (predicted)",
                            .y_title = "loss carried out, nats (measured)",
                            .x_log = true,
                            .y_log = true,
                            .n = 2,
                            .series = s};

    chart_put(t, &c);
    text_puts(t, "</figure></div><div class=wide><table><thead><tr><th "
                 "class=n>plan</th><th class=n>"
                 "loss, predicted</th><th class=n>measured</th><th class=n>points lost"
                 "</th><th class=n>bytes, modelled</th><th class=n>in the file</th><th "
                 "class=n>trained</th></tr></thead>\n");
    for (int i = 0; i < p->n_trials; i++) {
        const struct search_trial *r = &p->trials[i];

        text_printf(
            t,
            "<tr%s><td class=n>%d</td><td class=n>%.4g</td><td class=n>%.4g</td><td "
            "class=n>%.2f</td><td class=n>%.0f</td><td class=n>%.0f</td><td class=n>%s"
            "</td></tr>\n",
            r->of == p->chosen ? " class=chosen" : "", (int)(r->of - p->e->all),
            r->of->result.loss, r->loss, r->drop, r->of->result.costs[COST_bytes],
            r->bytes, how_trained(a, r));
    }
    text_puts(t, "</table></div>\n");
}

static void put_unit(struct arena *a, const struct search_page *p, int i,
                     struct text *t)
{
    const struct search_unit *u = &p->e->problem->units[i];
    const struct choice c = p->chosen->choices->units[i];
    const int64_t kept = choice_kept(u->channels, u->tile, c.ratio);
    const int bits = choice_bits[c.bits];

    text_puts(t, "<tr><td>");
    chart_put_escaped(t, u->name);
    if (u->ratios > 1)
        text_printf(t,
                    "</td><td class=n>%lld of %lld</td><td><div class=kept><div "
                    "style=\"width:%d%%\"></div></div></td>",
                    (long long)kept, (long long)u->channels,
                    (int)(kept * 100 / u->channels));
    else
        text_puts(t, "</td><td class=n>all</td><td></td>");
    text_printf(t, "<td><span class=\"bits b%d\">%d</span></td><td><small>", bits,
                bits);
    put_forbidden(a, p->e->problem, p->chosen->choices, i, t);
    text_puts(t, "</small></td></tr>\n");
}

static void put_agents(const struct search_page *p, struct text *t)
{
    text_puts(t, "<ul>\n");
    for (enum choice_agent k = 0; k < AGENT_COUNT; k++) {
        const char *inert = search_inert(p->e->problem, k),
                   *chosen = k == AGENT_distillation ? p->distillation : NULL;

        text_printf(t, "<li><b>%s</b>: %s", choice_agent_names[k],
                    chosen  ? "chooses, "
                    : inert ? "inert, "
                            : "chooses");
        chart_put_escaped(t, chosen ? chosen : inert ? inert : "");
        text_puts(t, "</li>\n");
    }
    text_puts(t, "</ul>\n");
}

/* The best plan of the archive at other energies. */
static const struct evaluation *best_at(const struct search_page *p, double operations,
                                        double memory, double *out)
{
    const struct search_problem *q = p->e->problem;
    struct search_problem priced = *q;
    const struct evaluation *best = NULL;
    struct arena *a = arena_create();
    double highest = -INFINITY;

    p->costs(p->costs_arg, operations, memory, choices_create(a, q->n_units),
             priced.base);
    arena_destroy(a);
    for (int i = 0; i < p->e->n; i++) {
        const struct evaluation *v = &p->e->all[i];
        struct search_result r = v->result;

        p->costs(p->costs_arg, operations, memory, v->choices, r.costs);

        const double value = reward_of(p->reward, &priced, v->choices, &r);

        if (search_is_feasible(&priced, r.costs) && value > highest) {
            highest = value;
            best = v;
            memcpy(out, r.costs, sizeof r.costs);
        }
    }
    return best;
}

static int count_differences(const struct choices *a, const struct choices *b)
{
    int n = 0;

    for (int i = 0; i < a->n_units; i++)
        n += a->units[i].ratio != b->units[i].ratio
             || a->units[i].bits != b->units[i].bits;
    return n;
}

static void put_energies(const struct search_page *p, struct text *t)
{
    static const double scales[][2] = {
        {1, 1}, {.5, .5}, {2, 2}, {.5, 1},
        {2, 1}, {1, .5},  {1, 2}}; /* operations, memory */
    double costs[COST_COUNT];
    const struct evaluation *usual = p->costs ? best_at(p, 1, 1, costs) : NULL;

    if (!usual)
        return;
    text_puts(
        t, "<h2>If energy cost half or twice as much</h2>\n<p class=about>The device's "
           "figures for operations and for memory times the numbers on the left: which "
           "of the evaluated plans the reward would then prefer. It looks at shares "
           "of the original's energy, so both together change little without a budget "
           "of energy.</p>\n<table><thead><tr><th class=n>operations</th><th class=n>"
           "memory</th><th class=n>plan</th><th class=n>units that differ</th><th "
           "class=n>loss, nats</th><th class=n>latency, ms</th><th class=n>energy, "
           "mJ</th><th class=n>bytes</th></tr></thead>\n");
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        const struct evaluation *v = best_at(p, scales[i][0], scales[i][1], costs);

        if (v)
            text_printf(t,
                        "<tr%s><td class=n>× %g</td><td class=n>× %g</td><td "
                        "class=n>%d</td><td "
                        "class=n>%d</td><td class=n>%.4g</td><td class=n>%.4g</td><td "
                        "class=n>%.4g</td><td class=n>%.0f</td></tr>\n",
                        v == usual ? "" : " class=chosen", scales[i][0], scales[i][1],
                        (int)(v - p->e->all),
                        count_differences(v->choices, usual->choices), v->result.loss,
                        costs[COST_latency] / 1e6, costs[COST_energy] * 1e3,
                        costs[COST_bytes]);
    }
    text_puts(t, "</table>\n");
}

void search_page_put(struct arena *a, const struct search_page *p, struct text *t)
{
    put_head(p, t);
    text_puts(
        t, "<h2>Front and learning</h2>\n<p class=about>The front is that of loss, "
           "latency, energy and bytes together: a plan that is behind in one picture "
           "is ahead in another. Point at a plan for its figures.</p>\n<div "
           "class=charts>\n");
    put_front(a, p, COST_latency, t);
    put_front(a, p, COST_bytes, t);
    put_learning(a, p, t);
    text_puts(t, "</div>\n");
    put_trials(a, p, t);
    text_puts(t, "<h2>What was chosen</h2>\n");
    put_agents(p, t);
    text_puts(
        t,
        "<div class=wide><table><thead><tr><th>unit</th><th class=n>channels</th><th>"
        "</th><th>bits</th><th>what the masks forbade</th></tr></thead>\n");
    for (int i = 0; i < p->e->problem->n_units; i++)
        put_unit(a, p, i, t);
    text_puts(t, "</table></div>\n");
    put_energies(p, t);
    text_puts(t, "</body></html>\n");
}
