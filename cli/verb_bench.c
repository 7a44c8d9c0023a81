/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc bench: how fast a bundle is here, and what it takes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/bench_report.h"
#include "cli/json_out.h"
#include "cli/progress.h"

#define OPTIONS_FILE "cli/verb_bench.def"
#include "cli/option_rows.h"

enum { TRIAL_RUNS = 3, LEAST_RUNS = 10, MOST_RUNS = 2000 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts in place. */
static double quantile(double *values, int n, double q)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[(int)(q * (n - 1) + 0.5)];
}

/* ---- measuring ------------------------------------------------------------- */

/* As many runs as fit in a second, for which a few are run first. */
static struct status *choose_repeat(struct bundle_args *b, int wanted)
{
    struct run_result r;

    b->run.repeat = wanted;
    if (wanted)
        return OK;
    b->run.repeat = TRIAL_RUNS;
    RETURN_IF_FAIL(bundle_run(b->arena, b->folder, &b->meta, b->inputs, &b->run, &r));

    const int fit = (int)(1e6 / (1 + quantile(r.wall_us, TRIAL_RUNS, 0.5)));

    b->run.repeat = fit < LEAST_RUNS ? LEAST_RUNS : fit > MOST_RUNS ? MOST_RUNS : fit;
    return OK;
}

/* Peak memory means something only for a program that is nothing but the model. */
static int64_t measure_rss(const struct bundle_args *b)
{
    struct run_options once = b->run;
    struct run_result r;

    once.repeat = 1;
    once.warm_up = 0;
    once.n_workers = 0;
    once.per_step = false;
    once.as_program = true;

    struct status *s = bundle_run(b->arena, b->folder, &b->meta, b->inputs, &once, &r);
    const int64_t bytes = s || r.emulated ? 0 : r.peak_rss_bytes;

    status_free(s); /* no linker: the figure is left out */
    return bytes;
}

static int64_t file_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_size : 0;
}

static void fill_in(const struct bundle_args *b, const struct run_result *r,
                    struct bench_figures *out)
{
    struct arena *a = b->arena;
    const int n = b->run.repeat;

    out->n = n;
    out->median_us = quantile(r->wall_us, n, 0.5);
    out->p90_us = quantile(r->wall_us, n, 0.9);
    out->min_us = quantile(r->wall_us, n, 0);
    out->cpu_median_us = quantile(r->cpu_us, n, 0.5);
    out->open_us = r->open_us;
    out->emulated = r->emulated;
    out->peak_rss_bytes = measure_rss(b);
    out->weights_bytes = b->meta.weights_bytes;
    out->library_bytes =
        file_bytes(arena_printf(a, "%s/lib%s.a", b->folder, b->meta.prefix));
}

/* ---- per operator ---------------------------------------------------------- */

struct operator_time {
    const char *covers;
    int n_steps;
    double us;
};

static int by_time(const void *a, const void *b)
{
    return by_value(&((const struct operator_time *)b)->us,
                    &((const struct operator_time *)a)->us);
}

/* Steps that cover the same operators, summed, slowest first.  At most a few dozen
 * kinds, so a linear search is fine. */
static struct operator_time *sum_up(const struct bundle_args *b,
                                    const struct run_result *r, int *n)
{
    struct operator_time *all =
        arena_new_array(b->arena, struct operator_time, b->meta.n_steps + 1);

    *n = 0;
    for (int i = 0; i < r->n_steps; i++) {
        int k = 0;

        while (k < *n && strcmp(all[k].covers, b->meta.steps[i].covers) != 0)
            k++;
        if (k == *n)
            all[(*n)++].covers = b->meta.steps[i].covers;
        all[k].n_steps++;
        all[k].us += r->step_us[i];
    }
    qsort(all, (size_t)*n, sizeof *all, by_time);
    return all;
}

static double total_of(const struct run_result *r)
{
    double us = 0;

    for (int i = 0; i < r->n_steps; i++)
        us += r->step_us[i];
    return us > 0 ? us : 1;
}

/* ---- printing -------------------------------------------------------------- */

static void print_figures(const struct bundle_args *b, const struct bench_figures *f)
{
    printf("%s for %s (%s), %d run%s%s\n", b->meta.prefix, b->meta.target, b->meta.cpu,
           f->n, f->n == 1 ? "" : "s",
           f->emulated ? " under an emulator: times mean nothing" : "");
    printf("  latency    median %.1f us   p90 %.1f us   least %.1f us\n", f->median_us,
           f->p90_us, f->min_us);
    printf("  CPU time   median %.1f us\n", f->cpu_median_us);
    printf("  open       %.1f us\n", f->open_us);
    if (f->peak_rss_bytes)
        printf("  peak RSS   %.2f MB\n", (double)f->peak_rss_bytes / 1e6);
    printf("  weights    %lld bytes   workspace %lld bytes   library %lld bytes\n",
           (long long)f->weights_bytes, (long long)b->meta.workspace_bytes,
           (long long)f->library_bytes);
}

static void print_operators(const struct bundle_args *b, const struct run_result *r)
{
    int n;
    const struct operator_time *all = sum_up(b, r, &n);
    const double total = total_of(r);

    printf("\n%10s %6s %6s  %s\n", "us", "share", "steps", "operators");
    for (int i = 0; i < n; i++)
        printf("%10.1f %5.1f%% %6d  %s\n", all[i].us, 100 * all[i].us / total,
               all[i].n_steps, all[i].covers);
}

static void print_steps(const struct bundle_args *b, const struct run_result *r)
{
    const double total = total_of(r);

    printf("\n%10s %6s %9s  %-28s %s\n", "us", "share", "GFLOP/s", "step", "operators");
    for (int i = 0; i < r->n_steps; i++) {
        const struct bundle_step *s = &b->meta.steps[i];
        char rate[16] = ""; /* not counted, or too quick to say */

        if (s->flops && r->step_us[i] > 0)
            snprintf(rate, sizeof rate, "%.1f", (double)s->flops / r->step_us[i] / 1e3);
        printf("%10.1f %5.1f%% %9s  %-28s %s\n", r->step_us[i],
               100 * r->step_us[i] / total, rate, s->name, s->covers);
    }
}

static json_t *json_operators(const struct bundle_args *b, const struct run_result *r)
{
    json_t *list = json_array();
    int n;
    const struct operator_time *all = sum_up(b, r, &n);

    for (int i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:i, s:f}", "operators", all[i].covers,
                                        "steps", all[i].n_steps, "us", all[i].us));
    return list;
}

static json_t *json_steps(const struct bundle_args *b, const struct run_result *r)
{
    json_t *list = json_array();

    for (int i = 0; i < r->n_steps; i++) {
        const struct bundle_step *s = &b->meta.steps[i];

        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:f}", "name",
                                              s->name, "node", s->node, "operators",
                                              s->covers, "flops", (json_int_t)s->flops,
                                              "us", r->step_us[i]));
    }
    return list;
}

static struct status *print_json(const struct bundle_args *b,
                                 const struct bench_figures *f,
                                 const struct run_result *steps, bool per_step)
{
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}",
        "prefix", b->meta.prefix, "target", b->meta.target, "cpu", b->meta.cpu, "runs",
        f->n, "workers", b->run.n_workers ? b->run.n_workers : 1, "emulated",
        f->emulated, "median_us", f->median_us, "p90_us", f->p90_us, "min_us",
        f->min_us, "cpu_median_us", f->cpu_median_us, "open_us", f->open_us,
        "peak_rss_bytes", (json_int_t)f->peak_rss_bytes, "weights_bytes",
        (json_int_t)f->weights_bytes, "workspace_bytes",
        (json_int_t)b->meta.workspace_bytes, "library_bytes",
        (json_int_t)f->library_bytes);

    if (!all)
        return FAIL(INTERNAL, "cannot put the figures into JSON");
    json_object_set_new(all, "origin", json_string("measured"));
    json_object_set_new(all, "operators", json_operators(b, steps));
    if (per_step)
        json_object_set_new(all, "steps", json_steps(b, steps));
    return json_out_print(all);
}

/* ---------------------------------------------------------------------------- */

static struct status *bench(struct arena *a, const char *folder, const struct args *o)
{
    struct bundle_args b;
    struct run_result whole, steps;
    struct bench_figures f = {0};

    RETURN_IF_FAIL(bundle_args_load(a, "bench", folder, o->test_data, &b));
    b.run.n_workers = o->workers;
    b.run.warm_up = 2;
    progress("measuring");
    RETURN_IF_FAIL(choose_repeat(&b, o->repeat));
    RETURN_IF_FAIL(bundle_run(a, folder, &b.meta, b.inputs, &b.run, &whole));
    fill_in(&b, &whole, &f);
    b.run.repeat = f.n < 100 ? f.n : 100;
    b.run.per_step = true;
    RETURN_IF_FAIL(bundle_run(a, folder, &b.meta, b.inputs, &b.run, &steps));
    progress(NULL);
    if (o->report)
        RETURN_IF_FAIL(bench_report_write(o->report, &b, &f, &steps));
    if (o->json)
        return print_json(&b, &f, &steps, o->per_step);
    print_figures(&b, &f);
    print_operators(&b, &steps);
    if (o->per_step)
        print_steps(&b, &steps);
    return OK;
}

static struct status *run(const char *folder, const void *args)
{
    struct arena *a = arena_create();
    struct status *s = bench(a, folder, args);

    progress(NULL);
    arena_destroy(a);
    return s;
}

const struct verb verb_bench = {
    .name = "bench",
    .operand = "BUNDLE",
    .about = "Measure a bundle on this machine: latency, CPU time, peak memory, and "
             "the time\n"
             "of each kind of operator.",
    .example = "hadmcc bench keyword.host --per-step",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
