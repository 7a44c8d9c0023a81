/* SPDX-License-Identifier: Apache-2.0 */
/* See moments.h.  Products of matrices are float32 over at most FLUSH rows, then added
 * in double. */
#include "compress/moments.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "compress/conjugate.h"
#include "support/blas.h"

enum { FLUSH = 16384 };

/* Below this share of its mean's square an input's variance is rounding. */
static const double CONSTANT = 1e-5;
/* Of the mean energy: what samples without any are taken to have. */
static const double SILENT = 0.01;
static const double SHRINK = 4.0; /* rows for each input, at which a half is kept */

/* Sums over the rows of some of the samples. */
struct sums {
    int64_t n;     /* rows */
    double weight; /* of all of them */
    double *xx, *yx, *x, *y, *yy;
    float *part_xx, *part_yx; /* not yet added */
    int64_t n_part;
};

struct moments_sums {
    struct arena *arena;
    const struct product *p;
    int64_t at;   /* samples so far */
    int64_t step; /* every step-th row is taken */
    struct sums fit, held;
    struct moments of_fit, of_held, of_all;
    float *scratch, *rows_x, *rows_y;
};

static void make_sums(struct arena *a, const struct product *p, struct sums *s)
{
    s->xx = arena_new_array(a, double, p->groups * p->k * p->k);
    s->yx = arena_new_array(a, double, p->channels * p->k);
    s->x = arena_new_array(a, double, p->groups * p->k);
    s->y = arena_new_array(a, double, p->channels);
    s->yy = arena_new_array(a, double, p->channels);
    s->part_xx = arena_new_array(a, float, p->groups * p->k * p->k);
    s->part_yx = arena_new_array(a, float, p->channels * p->k);
}

struct moments_sums *moments_create(struct arena *a, const struct product *p,
                                    int64_t n_samples, int64_t most_rows)
{
    struct moments_sums *s = arena_new(a, struct moments_sums);

    *s = (struct moments_sums){.arena = a, .p = p};
    s->step = (n_samples * p->rows + most_rows - 1) / most_rows;
    s->step = s->step < 1 ? 1 : s->step < p->rows ? s->step : p->rows;
    make_sums(a, p, &s->fit);
    make_sums(a, p, &s->held);
    s->scratch = arena_new_array(a, float, product_scratch(p) + 1);
    s->rows_x = arena_new_array(a, float, p->k *(p->rows / s->step + 1));
    s->rows_y = arena_new_array(a, float, p->channels *(p->rows / s->step + 1));
    return s;
}

/* ---- sums ------------------------------------------------------------------------ */

/* to[i][r] = from[i * ld + first + r * step]: a matrix with fewer columns. */
static void thin_columns(const float *from, int64_t n, int64_t ld, int64_t first,
                         int64_t step, int64_t n_rows, float *to)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < n_rows; r++)
            to[i * n_rows + r] = from[i * ld + first + r * step];
}

static void thin_rows(const float *from, int64_t k, int64_t first, int64_t step,
                      int64_t n_rows, float *to)
{
    for (int64_t r = 0; r < n_rows; r++)
        memcpy(to + r * k, from + (first + r * step) * k, (size_t)k * sizeof *to);
}

static void add_means(double *sum, double *squares, const float *at, int64_t n,
                      int64_t n_rows, bool by_rows, double weight)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < n_rows; r++) {
            const double v = at[by_rows ? r * n + i : i * n_rows + r];

            sum[i] += weight * v;
            if (squares)
                squares[i] += weight * v * v;
        }
}

/* x [k][n] and y [m][n], or transposed, of one group. */
static void add_rows(struct moments_sums *s, struct sums *to, int64_t group,
                     const float *x, const float *y, int64_t n, double weight)
{
    const struct product *p = s->p;
    const int64_t k = p->k, m = p->channels / p->groups;
    const enum blas_form plain = p->by_rows ? BLAS_TRANSPOSED : BLAS_PLAIN;
    const enum blas_form other = p->by_rows ? BLAS_PLAIN : BLAS_TRANSPOSED;

    blas_ssyrk(plain, k, n, (float)weight, x, p->by_rows ? k : n, 1.0f,
               to->part_xx + group * k * k, k);
    blas_sgemm(plain, other, m, k, n, (float)weight, y, p->by_rows ? m : n, x,
               p->by_rows ? k : n, 1.0f, to->part_yx + group * m * k, k);
    add_means(to->x + group * k, NULL, x, k, n, p->by_rows, weight);
    add_means(to->y + group * m, to->yy + group * m, y, m, n, p->by_rows, weight);
}

static void flush_into(double *to, float *part, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        to[i] += part[i];
        part[i] = 0.0f;
    }
}

static void flush(const struct product *p, struct sums *s)
{
    flush_into(s->xx, s->part_xx, p->groups * p->k * p->k);
    flush_into(s->yx, s->part_yx, p->channels * p->k);
    s->n_part = 0;
}

/* y of a convolution of several images has them apart: [batch][channels][pixels]. */
static const float *outputs_of(const struct moments_sums *s, const float *y,
                               int64_t group, int64_t image)
{
    const struct product *p = s->p;
    const int64_t m = p->channels / p->groups;

    return p->by_rows
               ? y
               : y + (image * p->channels + group * m) * (p->rows / p->window.batch);
}

bool moments_holds_out(int64_t i)
{
    return i % MOMENTS_PARTS == MOMENTS_PARTS - 1;
}

void moments_add(struct moments_sums *s, const float *x, const float *y, double weight)
{
    const struct product *p = s->p;
    struct sums *to = moments_holds_out(s->at) ? &s->held : &s->fit;
    const int64_t images = p->by_rows ? 1 : p->window.batch, rows = p->rows / images;
    const int64_t m = p->channels / p->groups;
    /* Another place in every sample. */
    const int64_t first = s->at * 7919 % s->step < rows ? s->at * 7919 % s->step : 0;
    const int64_t n = (rows - first + s->step - 1) / s->step;

    for (int64_t g = 0; g < p->groups; g++) {
        int64_t ld;
        const float *windows = product_windows(p, x, g, s->scratch, &ld);

        for (int64_t b = 0; b < images; b++) {
            const float *out = outputs_of(s, y, g, b);

            if (p->by_rows) {
                thin_rows(windows, p->k, first, s->step, n, s->rows_x);
                thin_rows(out, m, first, s->step, n, s->rows_y);
            } else {
                thin_columns(windows + b * rows, p->k, ld, first, s->step, n,
                             s->rows_x);
                thin_columns(out, m, rows, first, s->step, n, s->rows_y);
            }
            add_rows(s, to, g, s->rows_x, s->rows_y, n, weight);
        }
    }
    to->n += n * images;
    to->weight += weight * (double)(n * images);
    to->n_part += n * images;
    if (to->n_part >= FLUSH)
        flush(p, to);
    s->at++;
}

void moments_weights(double *energy, int64_t n)
{
    double mean = 0.0, sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        mean += energy[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        energy[i] = mean > 0.0 ? 1.0 / (energy[i] / mean + SILENT) : 1.0;
        sum += energy[i];
    }
    for (int64_t i = 0; i < n; i++)
        energy[i] *= (double)n / sum;
}

/* ---- moments --------------------------------------------------------------------- */

/* An input that is constant says nothing. */
static void clear_input(struct moments *m, int64_t group, int64_t i)
{
    const int64_t k = m->k, rows = m->channels / m->groups;
    double *h = m->h + group * k * k;

    for (int64_t j = 0; j < k; j++)
        h[i * k + j] = h[j * k + i] = 0.0;
    for (int64_t c = group * rows; c < (group + 1) * rows; c++)
        m->c[c * k + i] = 0.0;
}

static void central(struct moments *m, int64_t group)
{
    const int64_t k = m->k, rows = m->channels / m->groups;
    const double *mean = m->mean_x + group * k;
    double *h = m->h + group * k * k;

    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++)
            h[i * k + j] -= mean[i] * mean[j];
    for (int64_t c = group * rows; c < (group + 1) * rows; c++)
        for (int64_t j = 0; j < k; j++)
            m->c[c * k + j] -= m->mean_y[c] * mean[j];
    for (int64_t i = 0; i < k; i++)
        if (h[i * k + i] <= CONSTANT * mean[i] * mean[i])
            clear_input(m, group, i);
}

static void scaled(double *to, const double *a, const double *b, int64_t n, double by)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (a[i] + (b ? b[i] : 0.0)) * by;
}

/* Of the rows of `a`, and of `b` unless that is NULL. */
static void make_moments(struct moments_sums *s, const struct sums *a,
                         const struct sums *b, bool has_bias, struct moments *m)
{
    const struct product *p = s->p;
    const int64_t k = p->k;

    *m = (struct moments){.groups = p->groups, .channels = p->channels, .k = k};
    m->has_bias = has_bias;
    m->n = a->n + (b ? b->n : 0);
    m->h = arena_new_array(s->arena, double, p->groups *k *k);
    m->c = arena_new_array(s->arena, double, p->channels *k);
    m->mean_x = arena_new_array(s->arena, double, p->groups *k);
    m->mean_y = arena_new_array(s->arena, double, p->channels);
    m->var_y = arena_new_array(s->arena, double, p->channels);
    if (!m->n)
        return;
    const double by = 1.0 / (a->weight + (b ? b->weight : 0.0));

    scaled(m->h, a->xx, b ? b->xx : NULL, p->groups * k * k, by);
    scaled(m->c, a->yx, b ? b->yx : NULL, p->channels * k, by);
    scaled(m->var_y, a->yy, b ? b->yy : NULL, p->channels, by);
    for (int64_t g = 0; g < p->groups; g++)
        blas_dmirror(k, m->h + g * k * k, k);
    if (!has_bias)
        return;
    scaled(m->mean_x, a->x, b ? b->x : NULL, p->groups * k, by);
    scaled(m->mean_y, a->y, b ? b->y : NULL, p->channels, by);
    for (int64_t g = 0; g < p->groups; g++)
        central(m, g);
    for (int64_t c = 0; c < p->channels; c++)
        m->var_y[c] = fmax(0.0, m->var_y[c] - m->mean_y[c] * m->mean_y[c]);
}

/* Few rows see correlations that are not there: those of H shrink (Ledoit and Wolf
 * 2004). */
static void shrink(struct moments *m)
{
    const int64_t k = m->k;
    const double keep = (double)m->n / ((double)m->n + SHRINK * (double)k);

    for (int64_t g = 0; g < m->groups; g++)
        for (int64_t i = 0; i < k * k; i++)
            if (i / k != i % k)
                m->shrunk[g * k * k + i] = keep * m->h[g * k * k + i];
            else
                m->shrunk[g * k * k + i] = m->h[g * k * k + i];
}

void moments_finish(struct moments_sums *s, bool has_bias)
{
    flush(s->p, &s->fit);
    flush(s->p, &s->held);
    make_moments(s, &s->fit, NULL, has_bias, &s->of_fit);
    make_moments(s, &s->held, NULL, has_bias, &s->of_held);
    make_moments(s, &s->fit, &s->held, has_bias, &s->of_all);
    s->of_all.shrunk =
        arena_new_array(s->arena, double, s->p->groups * s->p->k * s->p->k);
    shrink(&s->of_all);
}

const struct moments *moments_all(const struct moments_sums *s)
{
    return &s->of_all;
}

const struct moments *moments_some(const struct moments_sums *s)
{
    return &s->of_fit;
}

/* ---- the best weights ------------------------------------------------------------ */

/* Which weights may change. */
enum freedom { ALL, NONZERO };

/* V of a group into v[m][k]; false: the system has no solution. */
static bool solve(struct arena *a, const struct moments *m, int64_t group,
                  const float *w, enum freedom free, double ridge, float *v)
{
    const int64_t k = m->k, rows = m->channels / m->groups;
    const double *h = m->h + group * k * k, *c = m->c + group * rows * k;
    double *ridged = arena_copy(a, h, (size_t)(k * k) * sizeof *h);
    double *lack = arena_copy(a, c, (size_t)(rows * k) * sizeof *c);
    double *wide = arena_new_array(a, double, rows *k);
    double *change = lack, trace = 0.0;

    for (int64_t i = 0; i < k; i++)
        trace += h[i * k + i];
    for (int64_t i = 0; i < k; i++)
        ridged[i * k + i] += ridge * (trace > 0.0 ? trace / (double)k : 1.0);
    for (int64_t i = 0; i < rows * k; i++)
        wide[i] = w[i];
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, rows, k, k, -1.0, wide, k, h, k, 1.0, lack, k);
    if (free == NONZERO) {
        change = arena_new_array(a, double, rows *k);
        conjugate_solve(a, rows, k, ridged, w, lack, change);
    } else if (!blas_solve(k, ridged, k, rows, lack, k)) {
        return false;
    }
    for (int64_t i = 0; i < rows * k; i++)
        v[i] = (float)(wide[i] + change[i]);
    return true;
}

static bool solve_all(const struct moments *m, const float *w, enum freedom free,
                      double ridge, float *v)
{
    const int64_t per_group = m->channels / m->groups * m->k;
    struct arena *a = arena_create();
    bool solved = true;

    for (int64_t g = 0; g < m->groups && solved; g++) {
        solved = solve(a, m, g, w + g * per_group, free, ridge, v + g * per_group);
        arena_reset(a);
    }
    arena_destroy(a);
    return solved;
}

void moments_biases(const struct moments *m, const float *v, float *bias)
{
    const int64_t k = m->k, per_group = m->channels / m->groups;

    for (int64_t c = 0; c < m->channels; c++) {
        const double *mean = m->mean_x + c / per_group * k;
        double constant = m->mean_y[c];

        for (int64_t i = 0; i < k; i++)
            constant -= v[c * k + i] * mean[i];
        bias[c] = m->has_bias ? (float)constant : 0.0f;
    }
}

static double group_error(struct arena *a, const struct moments *m, int64_t group,
                          const float *v)
{
    const int64_t k = m->k, rows = m->channels / m->groups, first = group * rows;
    double *wide = arena_new_array(a, double, rows *k);
    double *product = arena_new_array(a, double, rows *k);
    double sum = 0.0;

    for (int64_t i = 0; i < rows * k; i++)
        wide[i] = v[first * k + i];
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, rows, k, k, 1.0, wide, k, m->h + group * k * k,
               k, 0.0, product, k);
    for (int64_t i = 0; i < rows * k; i++)
        sum += wide[i] * (product[i] - 2.0 * m->c[first * k + i]);
    for (int64_t c = first; c < first + rows; c++)
        sum += m->var_y[c];
    return sum;
}

double moments_error(const struct moments *m, const float *v)
{
    struct arena *a = arena_create();
    double sum = 0.0;

    for (int64_t g = 0; g < m->groups; g++) {
        sum += group_error(a, m, g, v);
        arena_reset(a);
    }
    arena_destroy(a);
    return fmax(sum, 0.0);
}

/* Fitted on three of four samples, chosen on the others, until weaker ones lose more;
 * INFINITY: W is better than all, or no sample is left to choose with. */
static double best_ridge(const struct moments_sums *s, const float *w,
                         enum freedom free, float *v)
{
    static const double ridges[] = {1.0, 0.3, 0.1, 0.03, 0.01, 0.003};
    double best = INFINITY, least;
    int worse = 0;

    if (!s->held.n)
        return INFINITY;
    least = moments_error(&s->of_held, w);
    for (size_t i = 0; i < sizeof ridges / sizeof *ridges && worse < 2; i++) {
        const bool solved = solve_all(&s->of_fit, w, free, ridges[i], v);
        const double error = solved ? moments_error(&s->of_held, v) : INFINITY;

        if (error < least) {
            least = error;
            best = ridges[i];
            worse = 0;
        } else {
            worse++;
        }
    }
    return best;
}

static double fit(const struct moments_sums *s, const struct moments *to,
                  const float *w, enum freedom free, float *v)
{
    const double ridge = best_ridge(s, w, free, v);

    if (isfinite(ridge) && solve_all(to, w, free, ridge, v))
        return ridge;
    memcpy(v, w, (size_t)(s->p->channels * s->p->k) * sizeof *v);
    return INFINITY;
}

double moments_fit(const struct moments_sums *s, const float *w, float *v)
{
    return fit(s, &s->of_all, w, ALL, v);
}

double moments_fit_some(const struct moments_sums *s, const float *w, float *v)
{
    return fit(s, &s->of_fit, w, ALL, v);
}

double moments_fit_nonzero(const struct moments_sums *s, const float *w, float *v)
{
    return fit(s, &s->of_all, w, NONZERO, v);
}
