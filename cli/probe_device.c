/* SPDX-License-Identifier: Apache-2.0 */
/* Times layers on this machine and makes tables of them: see probe_device.h. */
#define _GNU_SOURCE
#include "cli/probe_device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/probe_layers.h"
#include "cli/probe_plan.h"
#include "cli/progress.h"
#include "codegen/child.h"
#include "codegen/compile_model.h"
#include "support/scratch_folder.h"

enum {
    MOST_LAYERS = 32,     /* a graph: as many as compile in a second or two */
    MOST_BYTES = 3 << 18, /* of a graph: data stay in the second-level cache, as
                             in a network from layer to layer */
    LEAST_REPEAT = 9,     /* of a graph in a process: the middle one counts */
    MOST_REPEAT = 500,
    RUN_US = 10000, /* as often as fits */
    PROCESSES = 3,  /* the least of these counts */
};

/* Of a layer: larger ones take as long as they have more rows. */
#define MOST_MACS        (28 << 20)
#define MOST_LAYER_BYTES (12 << 20)

/* ---- what is measured -------------------------------------------------------- */

/* At most `most` of them. */
static int count(const int64_t *sizes, int most)
{
    int n = 0;

    while (n < most && sizes[n])
        n++;
    return n;
}

static struct probe_layer layer_of(const struct probe_row *row, int bits, int c, int w,
                                   int r)
{
    return (struct probe_layer){
        .kind = row->kind,
        .weight_bits = bits,
        .weight_zeros = row->weight_zeros,
        .channels = row->channels[c],
        .c_in = row->windows[w] % PROBE_WINDOW,
        .window = row->windows[w] / PROBE_WINDOW,
        .stride = row->stride,
        .side = row->rows[r],
    };
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- one graph --------------------------------------------------------------- */

struct probe {
    struct arena *a;
    bool quick;
    struct isa isa;
    uint64_t cpu_features;
    double start, clock_ns; /* what a look at the clock takes */
    int n_done, n_layers;   /* of all tables */
};

struct writing {
    struct compile *compile;
    struct program *program;
    struct bundle_options options;
};

static struct status *write_in_child(void *arg, FILE *out)
{
    struct writing *w = arg;

    (void)out;
    return bundle_write(w->compile, w->program, &w->options);
}

static struct status *build(const struct probe *p, struct compile *c, int n,
                            struct probe_layer *const *layers, const char *folder)
{
    const struct program_options po = {.max_workers = 1,
                                       .winograd = layers[0]->kind == WORK_WINOGRAD
                                                       ? WINOGRAD_ALWAYS
                                                       : WINOGRAD_NEVER};
    struct ir_graph *g = ir_graph_create(c, "probe");
    struct writing w = {
        .compile = c,
        .options = {.folder = folder,
                    .prefix = "m",
                    .model_path = "probe",
                    .target = target_find("host"),
                    .isa = p->isa,
                    .cpu_features = p->cpu_features,
                    .max_workers = 1,
                    .command_options = "targets --probe"},
    };

    c->model_name = "probe";
    c->producer = "";
    for (int i = 0; i < n; i++)
        RETURN_IF_FAIL(probe_layer_add(g, layers[i], arena_printf(c->perm, "L%d", i)));
    RETURN_IF_FAIL(passes_run(c, g, NULL));
    RETURN_IF_FAIL(pass_channels_last(c, g));
    if (int_prefers_unsigned(&p->isa))
        RETURN_IF_FAIL(pass_unsigned_codes(c, g));
    RETURN_IF_FAIL(program_build(c, g, &p->isa, &po, &w.program));
    planner_place(w.program);
    return child_run(c->perm, "compiling", write_in_child, &w, NULL, NULL);
}

/* Numbers and codes that are not all alike. */
static void fill_in(uint8_t *bytes, int64_t n, bool floats)
{
    for (int64_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 37 % 251);
    for (int64_t i = 0; floats && i < n / 4; i++)
        ((float *)bytes)[i] = (float)bytes[4 * i] / 128 - 1;
}

static struct tensor *make_inputs(struct arena *a, const struct bundle_meta *m)
{
    struct tensor *in = arena_new_array(a, struct tensor, m->n_inputs);

    for (int i = 0; i < m->n_inputs; i++) {
        int64_t n = 1;

        in[i] = (struct tensor){.dtype = m->io[i].dtype, .rank = m->io[i].rank};
        for (int d = 0; d < in[i].rank; d++)
            n *= in[i].dim[d] = m->io[i].dim[d];
        in[i].data = arena_new_array(a, float, n);
        fill_in(in[i].data, n * dtype_info[in[i].dtype].bytes, in[i].dtype == DT_f32);
    }
    return in;
}

/* Steps of the layer's own node; how its input was laid out before is not its cost. */
static double layer_ns(const struct bundle_meta *m, const struct run_result *r,
                       const char *name, double clock_ns)
{
    double ns = 0;

    for (int i = 0; i < m->n_steps; i++)
        if (strcmp(m->steps[i].node, name) == 0)
            ns += fmax(1, 1e3 * r->step_us[i] - clock_ns);
    return ns;
}

static int repeat_of(const struct bundle_meta *m, const struct run_result *r)
{
    double us = 1;

    for (int i = 0; i < m->n_steps; i++)
        us += r->step_us[i];
    return (int)fmax(LEAST_REPEAT, fmin(MOST_REPEAT, (double)RUN_US / us));
}

static struct status *time_layers(const struct probe *p, struct arena *a,
                                  const char *folder, int n,
                                  struct probe_layer *const *layers)
{
    struct run_options o = {.repeat = LEAST_REPEAT,
                            .warm_up = 1,
                            .per_step = true,
                            .target = target_find("host")};
    struct bundle_meta m;
    struct run_result r;

    RETURN_IF_FAIL(bundle_read_meta(a, folder, &m));

    const struct tensor *inputs = make_inputs(a, &m);

    for (int k = 0; k < (p->quick ? 1 : PROCESSES); k++) {
        RETURN_IF_FAIL(bundle_run(a, folder, &m, inputs, &o, &r));
        o.repeat = repeat_of(&m, &r);
        for (int i = 0; i < n; i++) {
            const double ns = layer_ns(&m, &r, arena_printf(a, "L%d", i), p->clock_ns);

            if (!(ns > 0))
                return FAIL(INTERNAL, "no step of layer %d was timed", i);
            layers[i]->ns = k ? fmin(layers[i]->ns, ns) : ns;
        }
    }
    return OK;
}

static void show(const struct probe *p)
{
    const double spent = seconds() - p->start;
    const char *left = p->n_done
                           ? arena_printf(p->a, ", about %.0f s left",
                                          spent / p->n_done * (p->n_layers - p->n_done))
                           : "";

    progress(arena_printf(p->a, "measuring kernel %d of %d%s", p->n_done + 1,
                          p->n_layers, left));
}

static struct status *measure_graph(struct probe *p, int n,
                                    struct probe_layer *const *layers)
{
    struct compile *c = compile_create();
    char *folder = NULL;
    struct status *s = scratch_folder_make(p->a, &folder);

    show(p);
    if (!s)
        s = build(p, c, n, layers, folder);
    if (!s)
        s = time_layers(p, c->perm, folder, n, layers);
    scratch_folder_remove(folder);
    compile_destroy(c);
    return s;
}

/* ---- tables ------------------------------------------------------------------ */

static bool is_too_large(const struct probe_layer *l)
{
    return probe_layer_macs(l) > (double)MOST_MACS
           || probe_layer_bytes(l) > (int64_t)MOST_LAYER_BYTES;
}

/* A graph's windows all take Winograd's algorithm where it pays, or none does. */
static bool goes_with(const struct probe_layer *l, const struct probe_layer *first)
{
    return (l->kind == WORK_WINOGRAD) == (first->kind == WORK_WINOGRAD);
}

/* Layers of all points that are not too large, in groups. */
static struct status *measure_points(struct probe *p, int n, struct probe_layer *all)
{
    struct probe_layer *group[MOST_LAYERS];
    int64_t bytes = 0;
    int n_group = 0;

    for (int i = 0; i < n; i++, p->n_done++) {
        if (is_too_large(&all[i]))
            continue;
        if (n_group == MOST_LAYERS
            || (n_group
                && (bytes + probe_layer_bytes(&all[i]) > MOST_BYTES
                    || !goes_with(&all[i], group[0])))) {
            RETURN_IF_FAIL(measure_graph(p, n_group, group));
            n_group = 0;
            bytes = 0;
        }
        group[n_group++] = &all[i];
        bytes += probe_layer_bytes(&all[i]);
    }
    return n_group ? measure_graph(p, n_group, group) : OK;
}

/* Rows vary fastest.  What was too large takes as much longer than the point with fewer
 * rows, or else of less depth or fewer channels, as it has more to multiply. */
static void fill_times(const struct kernel_table *t, const struct probe_layer *all)
{
    const int n = t->n[0] * t->n[1] * t->n[2];
    const int back[] = {1, t->n[AXIS_ROWS], t->n[AXIS_ROWS] * t->n[AXIS_DEPTH]};

    for (int i = 0; i < n; i++) {
        t->ns[i] = all[i].ns;
        for (int k = 0; k < TABLE_AXES && !(t->ns[i] > 0); k++)
            if (i >= back[k] && t->ns[i - back[k]] > 0)
                t->ns[i] = t->ns[i - back[k]] * probe_layer_macs(&all[i])
                           / probe_layer_macs(&all[i - back[k]]);
    }
}

/* A row of the plan in one precision. */
struct sizes {
    const struct probe_row *row;
    int bits, n[TABLE_AXES], n_points;
};

static struct sizes sizes_of(const struct probe_row *row, int bits, bool quick)
{
    struct sizes s = {.row = row, .bits = bits, .n_points = 1};

    s.n[AXIS_CHANNELS] = count(row->channels, quick ? 2 : PROBE_SIZES);
    s.n[AXIS_DEPTH] = count(row->windows, quick ? 1 : PROBE_SIZES);
    s.n[AXIS_ROWS] = count(row->rows, quick ? 1 : PROBE_SIZES);
    for (int axis = 0; axis < TABLE_AXES; axis++)
        s.n_points *= s.n[axis];
    return s;
}

static void make_layers(const struct sizes *s, bool is_unsigned,
                        struct probe_layer *out)
{
    const int n_d = s->n[AXIS_DEPTH], n_r = s->n[AXIS_ROWS];

    for (int i = 0; i < s->n_points; i++) {
        out[i] = layer_of(s->row, s->bits, i / n_r / n_d, i / n_r % n_d, i % n_r);
        out[i].is_unsigned = is_unsigned;
    }
}

static struct kernel_table make_table(struct arena *a, const struct sizes *s,
                                      const struct probe_layer *all)
{
    struct kernel_table t = {.kind = s->row->kind,
                             .weight_bits = s->bits,
                             .activation_bits = s->bits < 32 ? 8 : 32,
                             .weight_zeros = s->row->weight_zeros,
                             .ns = arena_new_array(a, double, s->n_points)};
    double *at[TABLE_AXES];

    for (int axis = 0; axis < TABLE_AXES; axis++) {
        t.n[axis] = s->n[axis];
        t.at[axis] = at[axis] = arena_new_array(a, double, s->n[axis]);
    }
    for (int i = 0; i < s->n_points; i++) {
        at[AXIS_CHANNELS][i / t.n[2] / t.n[1]] = (double)all[i].channels;
        at[AXIS_DEPTH][i / t.n[2] % t.n[1]] = probe_layer_depth(&all[i]);
        at[AXIS_ROWS][i % t.n[2]] = probe_layer_rows(&all[i]);
    }
    fill_times(&t, all);
    return t;
}

static struct status *measure_tables(struct probe *p, struct device *out)
{
    struct sizes tables[DEVICE_MAX_KERNELS];
    int n = 0;

    for (const struct probe_row *row = probe_rows; row->bits[0]; row++)
        for (int b = 0; row->bits[b]; b++) {
            tables[n] = sizes_of(row, row->bits[b], p->quick);
            p->n_layers += tables[n++].n_points;
        }

    struct probe_layer *all = arena_new_array(p->a, struct probe_layer, p->n_layers);
    struct probe_layer *next = all;

    for (int i = 0; i < n; next += tables[i++].n_points)
        make_layers(&tables[i], int_prefers_unsigned(&p->isa), next);
    RETURN_IF_FAIL(measure_points(p, p->n_layers, all));
    out->n_kernels = n;
    out->kernels = arena_new_array(p->a, struct kernel_table, n);
    next = all;
    for (int i = 0; i < n; next += tables[i++].n_points)
        out->kernels[i] = make_table(p->a, &tables[i], next);
    return OK;
}

/* ---- figures ----------------------------------------------------------------- */

static void set(struct device *d, enum figure_id id, double value, const char *unit,
                const char *source)
{
    if (value > 0)
        d->figures[id] = (struct figure){value, FIGURE_MEASURED, unit, source};
}

/* The most operations a second of all kernels in a precision. */
static double best_rate(const struct device *d, int bits)
{
    double best = 0;

    for (int k = 0; k < d->n_kernels; k++) {
        const struct kernel_table *t = &d->kernels[k];

        for (int i = 0; t->weight_bits == bits && work_has_weights(t->kind)
                        && i < t->n[0] * t->n[1] * t->n[2];
             i++) {
            const int r = i % t->n[2], dep = i / t->n[2] % t->n[1];
            const int c = i / t->n[2] / t->n[1];

            best =
                fmax(best, 2e9 * t->at[0][c] * t->at[1][dep] * t->at[2][r] / t->ns[i]);
        }
    }
    return best;
}

/* Bytes a second, searching `n` bytes for one that is not there, again and again. */
static double read_rate(const uint8_t *bytes, size_t n)
{
    double best = 0;

    for (int round = 0; round < 8; round++) {
        const int times = (int)((size_t)(1 << 25) / n) + 1;
        const double begin = seconds();

        for (int i = 0; i < times; i++) {
            if (memchr(bytes, 1, n))
                abort();                                    /* they are all 0 */
            __asm__ volatile("" : : "r"(bytes) : "memory"); /* so read them again */
        }
        best = fmax(best, (double)n * times / (seconds() - begin));
    }
    return best;
}

static void measure_memory(struct probe *p, struct device *d)
{
    static const struct {
        enum figure_id id;
        size_t bytes;
        const char *source;
    } levels[] = {
        {FIGURE_L1_BANDWIDTH, 24 << 10, "searching 24 KiB again and again, one thread"},
        {FIGURE_L2_BANDWIDTH, 512 << 10,
         "searching 512 KiB again and again, one thread"},
        {FIGURE_L3_BANDWIDTH, 8 << 20, "searching 8 MiB again and again, one thread"},
        {FIGURE_MEMORY_BANDWIDTH, 256 << 20,
         "searching 256 MiB again and again, one thread"},
    };
    static const struct {
        enum figure_id id;
        int name;
    } sizes[] = {
        {FIGURE_L1_BYTES, _SC_LEVEL1_DCACHE_SIZE},
        {FIGURE_L2_BYTES, _SC_LEVEL2_CACHE_SIZE},
        {FIGURE_L3_BYTES, _SC_LEVEL3_CACHE_SIZE},
    };
    const int n = (int)(sizeof levels / sizeof levels[0]) - (p->quick ? 1 : 0);

    progress("measuring memory");
    for (int i = 0; i < n; i++) {
        uint8_t *bytes = calloc(levels[i].bytes, 1);

        if (!bytes)
            continue;
        memset(bytes, 0, levels[i].bytes); /* its own pages */
        set(d, levels[i].id, read_rate(bytes, levels[i].bytes), "B/s",
            levels[i].source);
        free(bytes);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        set(d, sizes[i].id, (double)sysconf(sizes[i].name), "B",
            "sysconf() on this machine: what its C library knows of the cache");
    set(d, FIGURE_CORES, (double)sysconf(_SC_NPROCESSORS_ONLN), "cores",
        "sysconf(_SC_NPROCESSORS_ONLN) on this machine");
}

static double clock_cost_ns(void)
{
    double least = 1;

    for (int i = 0; i < 1000; i++) {
        const double begin = seconds();

        least = fmin(least, seconds() - begin);
    }
    return 1e9 * least;
}

/* Rates per cycle are of no use beside measured ones. */
static void forget_rates(struct device *d)
{
    for (int i = FIGURE_CORES; i <= FIGURE_I4_PEAK; i++)
        d->figures[i] = (struct figure){0};
}

static void set_rates(struct device *d)
{
    const char *source = "the fastest of the kernels below, as hadmcc compiled them";

    forget_rates(d);
    set(d, FIGURE_F32_PEAK, best_rate(d, 32), "flop/s", source);
    set(d, FIGURE_I8_PEAK, best_rate(d, 8), "op/s", source);
    set(d, FIGURE_I4_PEAK, best_rate(d, 4), "op/s", source);
    for (int k = 0; k < d->n_kernels; k++)
        if (d->kernels[k].kind == WORK_MOVE)
            set(d, FIGURE_STEP_OVERHEAD, d->kernels[k].ns[0] * 1e-9, "s per step",
                "the sum of two tensors of 16 numbers");
}

struct status *probe_device(struct arena *a, bool quick, struct device *out)
{
    struct probe p = {
        .a = a, .quick = quick, .start = seconds(), .clock_ns = clock_cost_ns()};
    const struct target *host = target_find("host");

    RETURN_IF_FAIL(target_device(a, host, NULL, out));
    RETURN_IF_FAIL(host->resolve(a, NULL, &p.isa, &p.cpu_features));
    out->name = arena_printf(a, "this machine (%s)", p.isa.cpu);
    out->about =
        "Measured here by `hadmcc targets --probe`; the energies are not of this"
        " machine.";
    out->code = host->name;
    RETURN_IF_FAIL(measure_tables(&p, out));
    set_rates(out);
    measure_memory(&p, out);
    return OK;
}
