/* SPDX-License-Identifier: Apache-2.0 */
/* See features.h. */
#include "train/features.h"

#include <math.h>
#include <string.h>

#include "frontend/match.h"
#include "support/random.h"
#include "train/loss.h"

/* ---- points --------------------------------------------------------------------- */

static int count_convolutions(const struct ir_graph *g)
{
    int n = 0;

    for (const struct ir_node *node = g->first; node; node = node->next)
        n += node->op == OP_Conv;
    return n;
}

/* After convolution number k, and after the normalization behind it: where that has
 * been folded on one side, the two are the same. */
static struct ir_value *after_convolution(const struct ir_graph *g, int k)
{
    const struct ir_node *n = g->first, *norm;

    while (n->op != OP_Conv || k--)
        n = n->next;
    norm = match_only_reader(n->out[0]);
    return norm && norm->op == OP_BatchNormalization ? norm->out[0] : n->out[0];
}

static int64_t positions_of(const struct ir_value *v)
{
    return v->dim[1] ? ir_count(v) / v->dim[1] : 0;
}

struct status *features_find(const struct ir_graph *student,
                             const struct ir_graph *original, struct features *out)
{
    const int n_student = count_convolutions(student);
    const int n_original = count_convolutions(original);

    *out = (struct features){0};
    if (!n_student || !n_original)
        return FAIL(UNSUPPORTED, "there are no convolutions whose results to compare");
    for (int quarter = 1; quarter <= 3; quarter++) {
        struct feature f = {
            .student = after_convolution(student, quarter * n_student / 4),
            .original = after_convolution(original, quarter * n_original / 4),
            .at = -1,
        };

        if (out->n && out->at[out->n - 1].student == f.student)
            continue;
        f.c_student = f.student->dim[1];
        f.c_original = f.original->dim[1];
        f.positions = positions_of(f.student);
        if (f.positions != positions_of(f.original))
            return FAIL(INVALID, "'%s' has %lld positions, '%s' of the original %lld",
                        f.student->name, (long long)f.positions, f.original->name,
                        (long long)positions_of(f.original));
        if (f.c_student != f.c_original) {
            f.at = out->n_elements;
            out->n_elements += f.c_student * f.c_original;
        }
        out->at[out->n++] = f;
    }
    return OK;
}

/* ---- adapters ------------------------------------------------------------------- */

static int64_t elements_of(const struct feature *f)
{
    return f->positions * (f->c_student > f->c_original ? f->c_student : f->c_original);
}

/* Glorot and Bengio 2010: uniform within sqrt(6 / (in + out)). */
static void fill_adapters(struct features *f, uint64_t seed)
{
    struct random r = random_seeded(seed);

    for (int k = 0; k < f->n; k++) {
        const struct feature *p = &f->at[k];
        const double limit = sqrt(6 / (double)(p->c_student + p->c_original));

        for (int64_t i = 0; p->at >= 0 && i < p->c_student * p->c_original; i++)
            f->adapter[p->at + i] = (real)(limit * (2 * random_unit(&r) - 1));
    }
}

void features_begin(struct features *f, struct arena *a, int n_workers, uint64_t seed)
{
    int64_t most = 0;

    for (int k = 0; k < f->n; k++)
        most = elements_of(&f->at[k]) > most ? elements_of(&f->at[k]) : most;
    f->adapter = arena_new_array(a, real, f->n_elements);
    f->gradient = arena_new_array(a, real, f->n_elements);
    f->m = arena_new_array(a, real, f->n_elements);
    f->v = arena_new_array(a, real, f->n_elements);
    f->shard_gradient = arena_new_array(a, real, TAPE_SHARDS * f->n_elements);
    f->scratch = arena_new_array(a, real *, n_workers);
    for (int i = 0; i < n_workers; i++)
        f->scratch[i] = arena_new_array(a, real, 2 * most);
    fill_adapters(f, seed);
}

/* ---- loss ----------------------------------------------------------------------- */

static double point_loss(struct features *f, const struct feature *p, const real *x,
                         const real *wanted, real *dx, int64_t shard, real *scratch,
                         double weight)
{
    const int64_t n = p->c_original * p->positions;
    const real *a = f->adapter + p->at;
    real *y = scratch, *dy = scratch + elements_of(p);
    double loss;

    if (p->at < 0)
        return loss_mean_square(n, x, wanted, weight, dx);
    real_gemm(BLAS_PLAIN, BLAS_PLAIN, p->c_original, p->positions, p->c_student, 1, a,
              p->c_student, x, p->positions, 0, y, p->positions);
    memset(dy, 0, (size_t)n * sizeof *dy);
    loss = loss_mean_square(n, y, wanted, weight, dy);
    real_gemm(BLAS_PLAIN, BLAS_TRANSPOSED, p->c_original, p->c_student, p->positions, 1,
              dy, p->positions, x, p->positions, 1,
              f->shard_gradient + shard * f->n_elements + p->at, p->c_student);
    real_gemm(BLAS_TRANSPOSED, BLAS_PLAIN, p->c_student, p->positions, p->c_original, 1,
              a, p->c_student, dy, p->positions, 1, dx, p->positions);
    return loss;
}

double features_loss(struct features *f, struct tape *student,
                     const struct tape *original, int64_t i, int64_t shard, int worker,
                     double weight)
{
    const double each = weight / f->n;
    double sum = 0;

    for (int k = 0; k < f->n; k++)
        sum += each
               * point_loss(f, &f->at[k], tape_output(student, i, k + 1),
                            tape_output(original, i, k + 1),
                            tape_output_gradient(student, i, k + 1), shard,
                            f->scratch[worker], each);
    return sum;
}

void features_clear(struct features *f)
{
    memset(f->shard_gradient, 0,
           (size_t)(TAPE_SHARDS * f->n_elements) * sizeof *f->shard_gradient);
}

void features_sum(struct features *f)
{
    for (int64_t i = 0; i < f->n_elements; i++) {
        f->gradient[i] = 0;
        for (int c = 0; c < TAPE_SHARDS; c++)
            f->gradient[i] += f->shard_gradient[c * f->n_elements + i];
    }
}
