/* SPDX-License-Identifier: Apache-2.0 */
/* foo.report.html: the report for people.  One file without scripts, images or
 * fonts from elsewhere; reads well on paper. */
#include <string.h>

#include "codegen/bundle.h"
#include "support/chart.h"

/* ---- pieces ---------------------------------------------------------------------- */

void report_put_escaped(struct text *t, const char *words)
{
    chart_put_escaped(t, words ? words : "");
}

void report_put_name(struct text *t, const char *words)
{
    for (const char *p = words ? words : ""; *p;) {
        const size_t n = strcspn(p, "+/_.") + 1;
        char part[64] = "";

        /* a part at a time, so that none is cut inside of what is escaped */
        for (size_t i = 0; i < n && i + 1 < sizeof part && *p; i++)
            part[i] = *p++;
        report_put_escaped(t, part);
        text_puts(t, "<wbr>");
    }
}

/* 1234567 -> "1,234,567". */
void report_put_count(struct text *t, int64_t n)
{
    char digits[32];
    const int len = snprintf(digits, sizeof digits, "%lld", (long long)n);

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            text_puts(t, ",");
        text_append(t, digits + i, 1);
    }
}

static void put_fact(struct text *t, const char *name, const char *value)
{
    text_printf(t, "<tr><th>%s</th><td>", name);
    report_put_escaped(t, value);
    text_puts(t, "</td></tr>\n");
}

static void put_bytes_fact(struct text *t, const char *name, int64_t bytes,
                           const char *about)
{
    text_printf(t, "<tr><th>%s</th><td>", name);
    report_put_count(t, bytes);
    text_printf(t, " bytes <small>%s</small></td></tr>\n", about);
}

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 "
    "1rem;"
    "color:#1b1f24;background:#fff}"
    "h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}"
    "p.about{color:#57606a;margin-top:0}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e3e6ea;"
    "vertical-align:top}td.n,th.n{text-align:right}td.n{white-space:nowrap}"
    "thead th{border-bottom:2px solid "
    "#8c959f}"
    "table+table{margin-top:1rem}td.bar{width:18%}"
    "table.facts th{width:12rem;font-weight:600}table.facts td{overflow-wrap:anywhere}small{color:#57606a}code{font-size:.92em}"
    "svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#57606a}"
    "div.bar{background:#2f6fb2;height:.6rem;margin-top:.4rem}"
    "@media print{body{margin:0;max-width:none;font-size:11px}h2{break-after:avoid}"
    "tr,svg{break-inside:avoid}}";

/* ---- summary --------------------------------------------------------------------- */

static void put_summary(struct text *t, const struct bundle_job *job)
{
    const struct bundle_options *o = job->options;

    text_puts(t, "<table class=facts>\n");
    put_fact(t, "model", job->compile->model_name);
    put_fact(t, "model SHA-256",
             arena_hex(job->arena, job->compile->model_sha256, 32));
    put_fact(t, "target", o->target->name);
    put_fact(t, "processor", emit_is_machine_code(o->kind) ? o->isa.cpu
                             : o->kind == EMIT_C         ? "any, through a C compiler"
                                                         : "no code was written");
    put_fact(t, "options", o->command_options);
    put_fact(t, "made by", arena_printf(job->arena, "hadmcc %s", hadmcc_version()));
    put_bytes_fact(t, "workspace", (int64_t)job->model->workspace_bytes,
                   "exact peak, scratch included");
    put_bytes_fact(t, "weights file", (int64_t)job->weights_bytes, "used in place");
    if (job->code_bytes)
        put_bytes_fact(t, "code", job->code_bytes, "machine code, constants and runtime");
    put_bytes_fact(t, "stack", job->stack_bytes,
                   emit_is_machine_code(o->kind) ? "at most" : "an estimate");
    text_puts(t, "</table>\n");
}

static void put_doors(struct text *t, const struct bundle_job *job)
{
    const struct ir_graph *g = job->program->graph;

    text_puts(t, "<h2>Inputs and outputs</h2>\n<table><thead><tr><th></th><th>member</th>"
                 "<th>ONNX name</th><th>type</th><th>shape</th><th "
                 "class=n>bytes</th></tr></thead>\n");
    for (int i = 0; i < g->n_in + g->n_out; i++) {
        const struct ir_value *v = bundle_door(job, i);

        text_printf(t, "<tr><td>%s</td><td><code>%s</code></td><td>",
                    i < g->n_in ? "in" : "out", job->names->io[i]);
        report_put_escaped(t, job->names->onnx[i]);
        text_printf(t, "</td><td>%s</td><td>%s", dtype_info[v->dtype].name,
                    v->dynamic ? "up to " : "");
        c_put_shape(t, v);
        text_puts(t, "</td><td class=n>");
        report_put_count(t, ir_bytes(v));
        text_puts(t, "</td></tr>\n");
    }
    text_puts(t, "</table>\n");
}

/* ---- memory over time ------------------------------------------------------------ */

enum { PLOT_WIDTH = 960, PLOT_HEIGHT = 320, MAX_BOXES = 3000 };

static int plot_x(const struct program *p, int step)
{
    return p->n_steps ? (int)((int64_t)step * PLOT_WIDTH / p->n_steps) : 0;
}

static double plot_y(const struct program *p, int64_t offset)
{
    return (double)PLOT_HEIGHT * (1.0 - (double)offset / (double)p->workspace_bytes);
}

static void put_box(struct text *t, const struct program *p, const struct ptensor *x, int i)
{
    const int left = plot_x(p, x->first), right = plot_x(p, x->last + 1);
    const double top = plot_y(p, x->offset + x->bytes), bottom = plot_y(p, x->offset);

    text_printf(
        t,
        "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" fill=\"hsl(%d,45%%,62%%)\">"
        "<title>",
        left, top, right > left ? right - left : 1, bottom - top, i * 67 % 360);
    report_put_escaped(t, x->name);
    text_printf(t, ": %lld bytes at %lld, steps %d to %d</title></rect>\n",
                (long long)x->bytes, (long long)x->offset, x->first, x->last);
}

static void put_plot(struct text *t, const struct bundle_job *job)
{
    const struct program *p = job->program;
    int boxes = 0;

    if (p->workspace_bytes == 0)
        return;
    text_puts(
        t, "<h2>Workspace over time</h2>\n<p class=about>From the first step on the left to"
           " the last on the right; each box is a tensor between its first and last use, at"
           " its offset.</p>\n");
    text_printf(
        t,
        "<svg viewBox=\"0 -14 %d %d\" role=\"img\" aria-label=\"workspace over time\">\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#f3f5f7\"/>\n",
        PLOT_WIDTH, PLOT_HEIGHT + 16, PLOT_WIDTH, PLOT_HEIGHT);
    for (int i = 0; i < p->n_tensors && boxes < MAX_BOXES; i++) {
        const struct ptensor *x = &p->tensors[i];

        if (x->place != IN_WORKSPACE || x->alias_of >= 0 || x->first < 0 || x->bytes == 0)
            continue;
        put_box(t, p, x, i);
        boxes++;
    }
    text_puts(t, "<text x=\"2\" y=\"-3\">");
    report_put_count(t, p->workspace_bytes);
    text_puts(t, " bytes</text>\n</svg>\n");
}

/* ---- steps ----------------------------------------------------------------------- */

static void put_step(struct text *t, const struct step *s, int i)
{
    text_printf(t, "<tr><td class=n>%d</td><td>", i);
    report_put_name(t, s->covers);
    text_puts(t, "</td><td>");
    report_put_name(t, s->node ? s->node->name : "");
    text_printf(t, "</td><td>%s</td><td class=n>",
                s->kind == STEP_LIBRARY ? s->u.call->kernel->name : "emitted");
    if (s->flops)
        report_put_count(t, s->flops / 2);
    text_puts(t, "</td>");
}

/* Its time, and a bar as long as its share of the slowest step's. */
static void put_time(struct text *t, int64_t ns, int64_t most)
{
    text_printf(t,
                "<td class=n>%.1f</td><td class=bar><div class=bar "
                "style=\"width:%lld%%\"></div></td>",
                (double)ns * 1e-3, (long long)(ns * 100 / most));
}

static void put_steps(struct text *t, const struct bundle_job *job)
{
    const struct program *p = job->program;
    const struct step_cost *costs = report_costs(job);
    int64_t most = 1;

    for (int i = 0; costs && i < p->n_steps; i++)
        most = costs[i].ns > most ? costs[i].ns : most;
    text_puts(t, "<h2>Steps</h2>\n");
    if (costs) {
        text_puts(t, "<p class=about>Times are modelled, for one core of ");
        report_put_escaped(t, job->options->device->name);
        text_printf(t,
                    ": %.1f &micro;s together. <code>hadmcc bench --report</code> "
                    "measures them.</p>\n",
                    (double)costs[p->n_steps].ns * 1e-3);
    }
    text_puts(t, "<table><thead><tr><th class=n>#</th><th>operators</th><th>node</th>"
                 "<th>kernel</th><th class=n>multiply-adds</th>");
    text_puts(t, costs ? "<th class=n>modelled &micro;s</th><th></th>" : "");
    text_puts(t, "</tr></thead>\n");
    for (int i = 0; i < p->n_steps; i++) {
        put_step(t, &p->steps[i], i);
        if (costs)
            put_time(t, costs[i].ns, most);
        text_puts(t, "</tr>\n");
    }
    text_puts(t, "</table>\n");
}

static void put_lines(struct text *t, const char *title, const struct text *lines)
{
    if (!lines->len)
        return;
    text_printf(t, "<h2>%s</h2>\n<pre>", title);
    report_put_escaped(t, lines->bytes);
    text_puts(t, "</pre>\n");
}

void report_html_begin(struct text *t, const char *title, const char *about)
{
    text_puts(t, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                 "<meta name=viewport content=\"width=device-width\">\n<title>");
    report_put_escaped(t, title);
    text_printf(t, "</title>\n<style>%s</style></head><body>\n<h1>", style);
    report_put_escaped(t, title);
    text_puts(t, "</h1>\n<p class=about>");
    report_put_escaped(t, about);
    text_puts(t, "</p>\n");
}

void report_html_end(struct text *t)
{
    text_puts(t, "</body></html>\n");
}

void report_html(const struct bundle_job *job, struct text *t)
{
    report_html_begin(t, job->names->prefix, "a compiled neural network");
    put_summary(t, job);
    if (job->options->compression)
        report_compression_html(job, job->options->compression, t);
    put_doors(t, job);
    put_plot(t, job);
    put_steps(t, job);
    put_lines(t, "Left in floats between integers", &job->compile->left_in_floats);
    put_lines(t, "Warnings", &job->compile->warnings);
    report_html_end(t);
}
