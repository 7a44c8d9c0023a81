/* SPDX-License-Identifier: Apache-2.0 */
/* See synthetic.h. */
#include "compress/synthetic.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "compress/flow.h"
#include "support/random.h"

enum { OCTAVES = 5, LOOKED_AT = 8 };
enum { BN_X, BN_GAMMA, BN_BETA, BN_MEAN, BN_VAR };

/* Irwin and Hall: near enough to normal, and the same everywhere. */
static double normal(struct random *r)
{
    double sum = -6.0;

    for (int i = 0; i < 12; i++)
        sum += random_unit(r);
    return sum;
}

/* ---- noise ----------------------------------------------------------------------- */

/* A plane [h][w] gets noise that is constant in cells of c x c, between them linear
 * along both. */
static void add_octave(struct random *r, struct arena *a, int64_t h, int64_t w,
                       int64_t c, float *x)
{
    const int64_t rows = h / c + 2, columns = w / c + 2;
    double *grid = arena_new_array(a, double, rows *columns);

    for (int64_t i = 0; i < rows * columns; i++)
        grid[i] = normal(r);
    for (int64_t i = 0; i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            const double *at = grid + i / c * columns + j / c;
            const double y = (double)(i % c) / (double)c;
            const double z = (double)(j % c) / (double)c;

            x[i * w + j] +=
                (float)((1 - y) * ((1 - z) * at[0] + z * at[1])
                        + y * ((1 - z) * at[columns] + z * at[columns + 1]));
        }
}

static void normalise(float *x, int64_t n, double deviation)
{
    double sum = 0.0, squares = 0.0;

    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    const double mean = sum / (double)n;
    const double variance = squares / (double)n - mean * mean;
    const double by = variance > 0.0 ? deviation / sqrt(variance) : 0.0;

    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(((double)x[i] - mean) * by);
}

static void fill(struct random *r, const struct ir_value *v, double deviation, float *x)
{
    const int64_t n = ir_count(v);
    struct arena *a = arena_create();

    memset(x, 0, (size_t)n * sizeof *x);
    if (v->rank < 3) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(normal(r) * deviation);
    } else {
        const int64_t w = v->dim[v->rank - 1];
        const int64_t h = v->rank > 3 ? v->dim[v->rank - 2] : 1;

        for (int64_t plane = 0; plane < n; plane += h * w)
            for (int o = 0; o < OCTAVES; o++)
                add_octave(r, a, h, w, INT64_C(1) << o, x + plane);
        normalise(x, n, deviation);
    }
    arena_destroy(a);
}

/* ---- how strong ------------------------------------------------------------------ */

static double variance_seen(const struct flow *f, const struct ir_value *v)
{
    const int64_t channels = v->dim[1], n = ir_count(v), samples = flow_n(f);
    const int64_t inner = n / (v->dim[0] * channels);
    double sum = 0.0;

    for (int64_t c = 0; c < channels; c++) {
        double mean = 0.0, squares = 0.0;

        for (int64_t s = 0; s < samples; s++)
            for (int64_t i = 0; i < n; i++) {
                const double x = i / inner % channels == c
                                     ? (double)((float *)flow_at(f, v, s))[i]
                                     : 0.0;

                mean += x;
                squares += x * x;
            }
        const double count = (double)(samples * n / channels);

        sum += squares / count - mean / count * (mean / count);
    }
    return sum / (double)channels;
}

static double variance_trained(const struct ir_node *bn)
{
    const struct ir_value *v = ir_in(bn, BN_VAR);
    double sum = 0.0;

    if (!v || !v->data || v->dtype != DT_f32)
        return 0.0;
    for (int64_t i = 0; i < ir_count(v); i++)
        sum += (double)((const float *)v->data)[i];
    return sum / (double)ir_count(v);
}

static const struct ir_node *first_norm(const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->op == OP_BatchNormalization && n->in[BN_X]->rank >= 2)
            return n;
    return NULL;
}

/* What lies between the inputs and the first normalization is taken for linear. */
static struct status *find_deviation(const struct ir_graph *g, struct random *r,
                                     double *out)
{
    const struct ir_node *bn = first_norm(g);
    struct arena *a = arena_create();
    void **inputs = arena_new_array(a, void *, LOOKED_AT * g->n_in);
    struct flow *f = NULL;
    struct status *s;

    *out = 1.0;
    if (!bn) {
        arena_destroy(a);
        return OK;
    }
    for (int i = 0; i < LOOKED_AT * g->n_in; i++) {
        const struct ir_value *v = g->in[i % g->n_in];

        inputs[i] = arena_new_array(a, float, ir_count(v));
        fill(r, v, 1.0, inputs[i]);
    }
    s = flow_create_from(g, LOOKED_AT, inputs, &f);
    for (const struct ir_node *n = g->first; n != bn && !s; n = n->next)
        s = flow_run(f, n);
    if (!s) {
        const double ratio = variance_trained(bn) / variance_seen(f, bn->in[BN_X]);

        *out = ratio > 0.0 && isfinite(ratio) ? sqrt(ratio) : 1.0;
    }
    flow_destroy(f);
    arena_destroy(a);
    return s;
}

/* ---- files ----------------------------------------------------------------------- */

static struct status *write_array(const char *path, const struct ir_value *v, int64_t n,
                                  double deviation, struct random *r)
{
    enum { HEADER = 256 }; /* magic, version and length take 10 of it */
    struct arena *a = arena_create();
    float *x = arena_new_array(a, float, ir_count(v));
    struct text h = {0};
    FILE *f = fopen(path, "wb");

    text_printf(&h, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld,",
                (long long)n);
    for (int d = 0; d < v->rank; d++)
        text_printf(&h, " %lld,", (long long)v->dim[d]);
    text_puts(&h, "), }");
    if (f) {
        fwrite("\x93NUMPY\x01\x00\xf6\x00", 1, 10, f);
        fprintf(f, "%-*s\n", HEADER - 11, h.bytes);
        for (int64_t i = 0; i < n; i++) {
            fill(r, v, deviation, x);
            fwrite(x, sizeof *x, (size_t)ir_count(v), f);
        }
    }
    text_free(&h);
    arena_destroy(a);
    return f && !ferror(f) && fclose(f) == 0
               ? OK
               : FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
}

static struct status *write_part(const struct ir_graph *g, const char *folder,
                                 const char *part, int64_t n, double deviation,
                                 struct random *r, json_t *spec)
{
    struct arena *a = arena_create();
    json_t *samples = json_object();
    struct status *s = OK;

    for (int i = 0; i < g->n_in && !s; i++) {
        const char *name = arena_printf(a, "%s_%d.npy", part, i);

        json_object_set_new(samples, g->in[i]->name, json_string(name));
        s = write_array(arena_printf(a, "%s/%s", folder, name), g->in[i], n, deviation,
                        r);
    }
    json_object_set_new(spec, part, json_pack("{s:o}", "samples", samples));
    arena_destroy(a);
    return s;
}

static struct status *check_inputs(const struct ir_graph *g)
{
    for (int i = 0; i < g->n_in; i++)
        if (g->in[i]->dtype != DT_f32 || g->in[i]->dynamic || !ir_count(g->in[i]))
            return FAIL(
                UNSUPPORTED,
                "input '%s' is not float32 of fixed size, so that samples cannot "
                "be made up: give --data",
                g->in[i]->name);
    return g->n_in ? OK : FAIL(UNSUPPORTED, "the model has no inputs");
}

struct status *synthetic_write(const struct ir_graph *g, const char *folder,
                               const struct synthetic_options *o)
{
    struct random r = random_seeded(o->seed);
    json_t *spec = json_pack("{s:s}", "task", "none");
    struct arena *a = arena_create();
    double deviation;
    struct status *s = check_inputs(g);

    if (!s)
        s = find_deviation(g, &r, &deviation);
    if (!s)
        s = write_part(g, folder, "train", o->n_train, deviation, &r, spec);
    if (!s)
        s = write_part(g, folder, "test", o->n_test, deviation, &r, spec);
    if (!s && json_dump_file(spec, arena_printf(a, "%s/dataset.json", folder), 0) != 0)
        s = FAIL(IO_ERROR, "cannot write into '%s'", folder);
    json_decref(spec);
    arena_destroy(a);
    return status_note(s, "while making up samples");
}
