/* SPDX-License-Identifier: Apache-2.0 */
/* Real models on the training engine, in double: results against the reference
 * interpreter, and the derivative along the gradient of all weights together against a
 * difference.
 *
 *     train_models FOLDER [NAME | --all]      without --all only what takes seconds
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx_import.h"
#include "frontend/pass.h"
#include "support/random.h"
#include "train/tape.h"

enum { SAMPLES = 2, MOST_NAMES = 256 };

static const int64_t QUICK_WORK = 30000000; /* multiplications for a sample */

struct model {
    const char *name;
    struct compile *c;
    struct ir_graph *g;
    struct tape *t;
    float *input[8][SAMPLES]; /* of input k: what the interpreter gets */
};

static int64_t work_of(const struct ir_graph *g)
{
    int64_t sum = 0;

    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->op == OP_Conv && n->in[1]->dim[0])
            sum += ir_count(n->out[0]) * (ir_count(n->in[1]) / n->in[1]->dim[0]);
    return sum;
}

/* Batch normalization stays, as it does in training; an open dimension is 1. */
static struct status *open_graph(struct model *m, const char *path)
{
    static const char *const open[] = {NULL, "batch_size", "Gemmlogits_dim_0",
                                       "unk__214", "unk__68"};
    const struct pass_options passes = {.skip = {"fold-batchnorm"}, .n_skip = 1};
    struct status *s = OK;

    for (size_t i = 0; i < sizeof open / sizeof *open && (i == 0 || s); i++) {
        const struct onnx_options o = {.n_dims = i > 0, .dim = {{open[i], 1}}};

        status_free(s);
        s = onnx_import(m->c, path, &o, NULL, &m->g);
    }
    return s ? s : passes_run(m->c, m->g, &passes);
}

/* Token ids are small enough for every table; everything else is between -1 and 1. */
static void fill_inputs(struct model *m)
{
    struct random r = random_seeded(3);

    for (int k = 0; k < m->g->n_in; k++)
        for (int64_t s = 0; s < SAMPLES; s++) {
            const struct ir_value *v = m->g->in[k];
            void *x = tape_input(m->t, s, k);

            m->input[k][s] = arena_new_array(m->c->perm, float, ir_count(v));
            for (int64_t i = 0; i < ir_count(v); i++) {
                const float f = (float)(2 * random_unit(&r) - 1);

                m->input[k][s][i] = f;
                if (v->dtype == DT_f32)
                    ((real *)x)[i] = (real)f;
                else if (v->dtype == DT_i64)
                    ((int64_t *)x)[i] = (int64_t)random_below(&r, 100);
            }
        }
}

/* The largest difference, relative to the largest result; negative: cannot be said. */
static double compare_results(const struct model *m)
{
    struct tensor *in = arena_new_array(m->c->perm, struct tensor, m->g->n_in);
    struct interpretation run;
    double apart = 0, most = 0;

    for (int k = 0; k < m->g->n_in; k++) {
        const struct ir_value *v = m->g->in[k];

        in[k] = (struct tensor){.dtype = v->dtype, .rank = v->rank};
        memcpy(in[k].dim, v->dim, sizeof in[k].dim);
        in[k].data = v->dtype == DT_f32 ? (void *)m->input[k][1]
                                        : arena_copy(m->c->perm, tape_input(m->t, 1, k),
                                                     (size_t)ir_bytes(v));
    }
    tape_forward(m->t, SAMPLES);
    struct status *s = interpret(m->c->perm, m->g, in, &run);

    if (s) {
        status_print(s, stderr);
        exit(1);
    }
    for (int k = 0; k < m->t->n_outputs; k++) {
        const float *want = run.by_id[m->t->output[k]->value->id].data;

        for (int64_t i = 0; i < m->t->output[k]->count; i++) {
            most = fmax(most, fabs((double)want[i]));
            apart =
                fmax(apart, fabs((double)want[i] - (double)tape_output(m->t, 1, k)[i]));
        }
    }
    return most > 0 ? apart / most : apart;
}

/* Inputs may have been overwritten by what came later. */
static double loss(struct model *m)
{
    double sum = 0;

    fill_inputs(m);
    tape_forward(m->t, SAMPLES);
    for (int k = 0; k < m->t->n_outputs; k++)
        for (int64_t s = 0; s < SAMPLES; s++)
            for (int64_t i = 0; i < m->t->output[k]->count; i++)
                sum += sin((double)(i + 7 * s)) * (double)tape_output(m->t, s, k)[i];
    return sum;
}

/* What a step along the gradient brings, both ways. */
static double difference(struct model *m, const real *gradient, double step)
{
    struct tape *t = m->t;
    double up, down;

    for (int64_t i = 0; i < t->n_elements; i++)
        t->weight[i] += (real)step * gradient[i];
    up = loss(m);
    for (int64_t i = 0; i < t->n_elements; i++)
        t->weight[i] -= (real)(2 * step) * gradient[i];
    down = loss(m);
    for (int64_t i = 0; i < t->n_elements; i++)
        t->weight[i] += (real)step * gradient[i];
    return up - down;
}

/* Relative difference of |gradient|^2 and of the slope along it.  A short step drowns
 * in rounding where gradients are small, a long one meets bends: the best of some. */
static double compare_slope(struct model *m)
{
    struct tape *t = m->t;
    real *gradient = arena_new_array(m->c->perm, real, t->n_elements);
    double square = 0, size = 0, best = 1;

    loss(m);
    for (int k = 0; k < t->n_outputs; k++)
        for (int64_t s = 0; s < SAMPLES; s++)
            for (int64_t i = 0; i < t->output[k]->count && t->output[k]->has_gradient;
                 i++)
                tape_output_gradient(t, s, k)[i] = (real)sin((double)(i + 7 * s));
    tape_backward(t, SAMPLES);
    for (int64_t i = 0; i < t->n_elements; i++) {
        gradient[i] = t->gradient[i];
        square += (double)gradient[i] * (double)gradient[i];
        size += (double)t->weight[i] * (double)t->weight[i];
    }
    for (double share = 1e-11; share < 2e-7 && square > 0; share *= 10) {
        const double step = share * sqrt(size / square);

        best =
            fmin(best, fabs(difference(m, gradient, step) / (2 * step) / square - 1));
    }
    return best;
}

/* 0: as it should be. */
static int check(const char *folder, const char *name, bool all)
{
    const struct tape_options o = {.batch = SAMPLES, .n_threads = 1, .backward = true};
    struct model m = {.name = name, .c = compile_create()};
    const char *path = arena_printf(m.c->perm, "%s/%s/model.onnx", folder, name);
    struct status *s = open_graph(&m, path);
    int wrong = 0;

    if (!s && !all && work_of(m.g) > QUICK_WORK) {
        compile_destroy(m.c);
        return 0;
    }
    if (!s)
        s = tape_build(m.g, &o, &m.t);
    if (s) {
        printf("%-28s %s\n", name, status_message(s));
        wrong = status_code(s) != UNSUPPORTED && status_code(s) != INVALID;
        status_free(s);
    } else {
        fill_inputs(&m);

        const double results = compare_results(&m);
        const double slope = m.t->n_elements ? compare_slope(&m) : 0;

        wrong = !(results < 1e-4) || !(slope < 1e-5);
        printf("%-28s %8lld weights, results %.1e apart, slope %.1e%s\n", name,
               (long long)m.t->n_elements, results, slope, wrong ? "  WRONG" : "");
    }
    fflush(stdout);
    tape_destroy(m.t);
    compile_destroy(m.c);
    return wrong;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    char *names[MOST_NAMES];
    int n = 0, wrong = 0;
    DIR *d = argc > 1 ? opendir(argv[1]) : NULL;
    const char *only = argc > 2 ? argv[2] : NULL;
    const bool all = only && strcmp(only, "--all") == 0;

    if (!d) {
        fprintf(stderr, "usage: train_models FOLDER [NAME | --all]\n");
        return 2;
    }
    for (struct dirent *e; (e = readdir(d)) && n < MOST_NAMES;)
        if (e->d_name[0] != '.')
            names[n++] = strdup(e->d_name);
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        if (!only || all || strcmp(only, names[i]) == 0)
            wrong += check(argv[1], names[i], only != NULL);
        free(names[i]);
    }
    return wrong != 0;
}
