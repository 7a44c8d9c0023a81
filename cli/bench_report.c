/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc bench --report: see bench_report.h. */
#include "cli/bench_report.h"

#include <errno.h>
#include <string.h>

#include "codegen/bundle.h"

static void put_fact(struct text *t, const char *name, const char *value)
{
    text_printf(t, "<tr><th>%s</th><td>", name);
    report_put_escaped(t, value);
    text_puts(t, "</td></tr>\n");
}

static void put_figures(struct text *t, const struct bundle_args *b,
                        const struct bench_figures *f)
{
    struct arena *a = b->arena;

    text_puts(t, "<table class=facts>\n");
    put_fact(t, "bundle", b->folder);
    put_fact(t, "target", arena_printf(a, "%s (%s)", b->meta.target, b->meta.cpu));
    put_fact(t, "measured",
             f->emulated ? "under an emulator on this machine: times mean nothing"
                         : arena_printf(a, "on this machine, %d run%s, %d thread%s",
                                        f->n, f->n == 1 ? "" : "s",
                                        b->run.n_workers > 1 ? b->run.n_workers : 1,
                                        b->run.n_workers > 1 ? "s" : ""));
    put_fact(t, "latency",
             arena_printf(a, "median %.1f us, 90 %% below %.1f us, least %.1f us",
                          f->median_us, f->p90_us, f->min_us));
    put_fact(t, "CPU time", arena_printf(a, "median %.1f us", f->cpu_median_us));
    put_fact(t, "open", arena_printf(a, "%.1f us", f->open_us));
    if (f->peak_rss_bytes)
        put_fact(t, "peak RSS",
                 arena_printf(a, "%.2f MB", (double)f->peak_rss_bytes / 1e6));
    text_puts(t, "</table>\n");
}

static void put_step(struct text *t, const struct bundle_step *s, int i, double us,
                     double most)
{
    text_printf(t, "<tr><td class=n>%d</td><td>", i);
    report_put_name(t, s->covers);
    text_puts(t, "</td><td>");
    report_put_name(t, s->node);
    text_puts(t, "</td><td class=n>");
    if (s->flops)
        report_put_count(t, s->flops / 2);
    text_puts(t, "</td><td class=n>");
    if (s->modelled_ns >= 0)
        text_printf(t, "%.1f", (double)s->modelled_ns * 1e-3);
    text_printf(t, "</td><td class=n>%.1f</td><td class=n>", us);
    if (s->flops && us > 0)
        text_printf(t, "%.1f", (double)s->flops / us / 1e3);
    text_printf(t,
                "</td><td class=bar><div class=bar style=\"width:%.0f%%\"></div></td>"
                "</tr>\n",
                100.0 * us / most);
}

static void put_steps(struct text *t, const struct bundle_meta *m,
                      const struct run_result *r)
{
    double most = 1e-3;

    for (int i = 0; i < r->n_steps; i++)
        most = r->step_us[i] > most ? r->step_us[i] : most;
    text_puts(t,
              "<h2>Steps</h2>\n<p class=about>Measured: the median on this machine.");
    if (*m->modelled_for) {
        text_puts(t, " Modelled: one core of ");
        report_put_escaped(t, m->modelled_for);
        text_puts(t, ".");
    }
    text_puts(t, "</p>\n<table><thead><tr><th class=n>#</th><th>operators</th>"
                 "<th>node</th><th class=n>multiply-adds</th>"
                 "<th class=n>modelled &micro;s</th><th class=n>measured &micro;s</th>"
                 "<th class=n>GFLOP/s</th><th></th></tr></thead>\n");
    for (int i = 0; i < r->n_steps; i++)
        put_step(t, &m->steps[i], i, r->step_us[i], most);
    text_puts(t, "</table>\n");
}

struct status *bench_report_write(const char *path, const struct bundle_args *b,
                                  const struct bench_figures *f,
                                  const struct run_result *steps)
{
    struct text t = {0};
    FILE *file = fopen(path, "w");
    struct status *s = OK;

    report_html_begin(&t, b->meta.prefix, "measured with hadmcc bench");
    put_figures(&t, b, f);
    put_steps(&t, &b->meta, steps);
    report_html_end(&t);
    if (!file || fwrite(t.bytes, 1, t.len, file) != t.len)
        s = FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
    if (file && fclose(file) != 0 && !s)
        s = FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
    text_free(&t);
    return s;
}
