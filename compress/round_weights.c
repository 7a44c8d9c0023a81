/* SPDX-License-Identifier: Apache-2.0 */
/* Scale, GPTQ and coordinate descent on plain arrays: see round_weights.h.
 *
 * Inside, everything is in steps of the scale: target = w / scale, and the error of a
 * row is scale^2 times (code - target)^T H (code - target).
 */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "compress/quadratic.h"
#include "compress/round_weights.h"
#include "support/blas.h"

enum {
    N_SCALES = 70, /* tried per row                                              */
    BLOCK = 32,    /* rows that share one pass over H: 32 x 4608 doubles fit L2  */
    FLIPS_PER_CODE = 32, /* ends a descent that rounding errors would keep alive    */
};

static const double LEAST_CLIP = 0.3;
static const double FURTHEST = 1.5; /* steps from its weight that a code may move to */
static const double LEAST_GAIN = 1e-9; /* of H's diagonal: less is rounding error     */

/* To nearest even, for |x| < 2^51. */
static double round_even(double x)
{
    return x + 0x1.8p52 - 0x1.8p52;
}

static double nearest_code(double x, double limit)
{
    x = x > limit ? limit : x;
    return round_even(x < -limit ? -limit : x);
}

/* ---- step 1: the scale ------------------------------------------------------------
 */

static double largest(const float *w, int64_t k)
{
    double most = 0;

    for (int64_t j = 0; j < k; j++)
        most = fmax(most, fabs((double)w[j]));
    return most;
}

static double squared_error(const float *w, int64_t k, double scale, double limit)
{
    const double inverse = 1 / scale;
    double sum = 0;

    for (int64_t j = 0; j < k; j++) {
        const double d = scale * nearest_code(w[j] * inverse, limit) - w[j];

        sum += d * d;
    }
    return sum;
}

/* Falls from the scale that clips nothing, so that the largest of equals wins. */
static float best_scale(const float *w, int64_t k, double limit, float least)
{
    const double most = largest(w, k), floor = fmax((double)least, FLT_MIN);
    float best = 1;
    double best_error = INFINITY;

    for (int i = 0; i < N_SCALES && most > 0; i++) {
        const double clip = 1 - (1 - LEAST_CLIP) * i / (N_SCALES - 1);
        const float scale = (float)fmax(clip * most / limit, floor);
        const double error = squared_error(w, k, (double)scale, limit);

        if (error < best_error) {
            best_error = error;
            best = scale;
        }
    }
    return best;
}

/* ---- a block of rows --------------------------------------------------------------
 */

/* One set of codes for each row of the block. */
struct attempt {
    double *codes;       /* [BLOCK][k] */
    double *gradient;    /* [BLOCK][k] H (code - target) */
    double error[BLOCK]; /* in steps of the scale */
};

struct block {
    const struct quadratic *form;
    int64_t n; /* rows in use */
    double limit;
    bool keep_zeros;
    double *target;  /* [BLOCK][k] */
    double *scratch; /* [BLOCK][k] */
    struct attempt nearest, gptq;
};

static struct attempt attempt_create(struct arena *a, int64_t k)
{
    return (struct attempt){.codes = arena_new_array(a, double, BLOCK *k),
                            .gradient = arena_new_array(a, double, BLOCK *k)};
}

/* Gradient and error of every row, from its codes. */
static void measure(struct block *b, struct attempt *t)
{
    const int64_t k = b->form->k;

    for (int64_t i = 0; i < b->n * k; i++)
        b->scratch[i] = t->codes[i] - b->target[i];
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, b->n, k, k, 1, b->scratch, k, b->form->h, k, 0,
               t->gradient, k);
    for (int64_t r = 0; r < b->n; r++) {
        t->error[r] = 0;
        for (int64_t j = r * k; j < (r + 1) * k; j++)
            t->error[r] += b->scratch[j] * t->gradient[j];
    }
}

static void round_to_nearest(struct block *b)
{
    for (int64_t i = 0; i < b->n * b->form->k; i++)
        b->nearest.codes[i] = nearest_code(b->target[i], b->limit);
}

static bool stays_zero(const struct block *b, int64_t i)
{
    return b->keep_zeros && b->target[i] == 0;
}

/* ---- step 2: GPTQ -----------------------------------------------------------------
 */

/* Rounding `from[j]` leaves an error; the weights after it move to where H wants them.
 */
static double spread_error(const double *u, int64_t k, int64_t j, double code,
                           double *from)
{
    const double e = (from[j] - code) / u[j * k + j];

    for (int64_t i = j + 1; i < k; i++)
        from[i] -= e * u[j * k + i];
    return code;
}

/* Column by column over the rows of the block, so that U is read once. */
static void run_gptq(struct block *b)
{
    const int64_t k = b->form->k;

    memcpy(b->scratch, b->target, (size_t)(b->n * k) * sizeof *b->scratch);
    for (int64_t j = 0; j < k; j++)
        for (int64_t r = 0; r < b->n; r++)
            b->gptq.codes[r * k + j] = spread_error(
                b->form->u, k, j,
                stays_zero(b, r * k + j) ? 0
                                         : nearest_code(b->scratch[r * k + j], b->limit),
                b->scratch + r * k);
}

/* ---- step 3: coordinate descent ---------------------------------------------------
 */

/* Codes stay in range and near their weights; one that is further away, as GPTQ and
 * clipping leave them, may come nearer. */
static bool may_move(double code, double target, double move, double limit)
{
    const double before = fabs(code - target), after = fabs(code + move - target);

    return fabs(code + move) <= limit && (after < FURTHEST || after < before);
}

/* Moving code j by one against its gradient g changes the error by H_jj - 2 |g|. */
static int64_t best_move(const struct block *b, const double *codes,
                         const double *target, const double *g)
{
    const struct quadratic *f = b->form;
    int64_t best = -1;
    double best_change = 0;

    for (int64_t j = 0; j < f->k; j++) {
        const double h = f->h[j * f->k + j], change = h - 2 * fabs(g[j]);

        if (change < best_change && change < -LEAST_GAIN * h
            && !(b->keep_zeros && target[j] == 0)
            && may_move(codes[j], target[j], g[j] > 0 ? -1 : 1, b->limit)) {
            best_change = change;
            best = j;
        }
    }
    return best;
}

static void descend_row(const struct block *b, double *codes, const double *target,
                        double *g)
{
    const struct quadratic *f = b->form;

    for (int64_t n = 0; n < FLIPS_PER_CODE * f->k; n++) {
        const int64_t j = best_move(b, codes, target, g);

        if (j < 0)
            return;
        const double move = g[j] > 0 ? -1 : 1;

        codes[j] += move;
        for (int64_t i = 0; i < f->k; i++)
            g[i] += move * f->h[j * f->k + i];
    }
}

static void descend(struct block *b, struct attempt *t)
{
    const int64_t k = b->form->k;

    for (int64_t r = 0; r < b->n; r++)
        descend_row(b, t->codes + r * k, b->target + r * k, t->gradient + r * k);
    measure(b, t);
}

/* ---- all of it --------------------------------------------------------------------
 */

static void store(const double *codes, int64_t n, int8_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (int8_t)codes[i];
}

static void fill_targets(struct block *b, const float *w, const float *scale)
{
    const int64_t k = b->form->k;

    for (int64_t i = 0; i < b->n * k; i++)
        b->target[i] = w[i] / (double)scale[i / k];
}

static double best_error(const struct block *b, int64_t r)
{
    return fmin(b->nearest.error[r], b->gptq.error[r]);
}

/* Rows first ... first + b->n - 1, whose scales are chosen. */
static void round_block(struct block *b, const float *w, int64_t first,
                        struct rounding *out)
{
    const int64_t k = b->form->k;
    const float *scale = out->scale + first;

    fill_targets(b, w + first * k, scale);
    round_to_nearest(b);
    run_gptq(b);
    measure(b, &b->nearest);
    measure(b, &b->gptq);
    for (int64_t r = 0; r < b->n; r++) {
        out->error_nearest += b->nearest.error[r] * scale[r] * scale[r];
        out->error_gptq += best_error(b, r) * scale[r] * scale[r];
    }
    descend(b, &b->nearest);
    descend(b, &b->gptq);
    for (int64_t r = 0; r < b->n; r++) {
        const bool nearest_won = b->nearest.error[r] < b->gptq.error[r];
        const struct attempt *won = nearest_won ? &b->nearest : &b->gptq;

        out->error += won->error[r] * scale[r] * scale[r];
        store(won->codes + r * k, k, out->codes + (first + r) * k);
    }
}

static struct status *round_by_output(struct arena *scratch,
                                      const struct rounding_task *t, double limit,
                                      struct rounding *out)
{
    struct quadratic f;
    struct block b = {.form = &f, .limit = limit, .keep_zeros = t->keep_zeros};

    if (t->form)
        f = *t->form;
    else
        RETURN_IF_FAIL(quadratic_make(scratch, t->hessian, t->k, &f));
    b.target = arena_new_array(scratch, double, BLOCK * t->k);
    b.scratch = arena_new_array(scratch, double, BLOCK * t->k);
    b.nearest = attempt_create(scratch, t->k);
    b.gptq = attempt_create(scratch, t->k);
    for (int64_t first = 0; first < t->rows; first += BLOCK) {
        b.n = t->rows - first < BLOCK ? t->rows - first : BLOCK;
        round_block(&b, t->weights, first, out);
    }
    return OK;
}

/* Without an H no code depends on another. */
static void round_each(const struct rounding_task *t, double limit,
                       struct rounding *out)
{
    for (int64_t i = 0; i < t->rows * t->k; i++) {
        const double scale = out->scale[i / t->k], w = t->weights[i];
        const double code = nearest_code(w / scale, limit), d = scale * code - w;

        out->codes[i] = (int8_t)code;
        out->error += d * d;
    }
    out->error_nearest = out->error_gptq = out->error;
}

static struct status *check_rows(const struct rounding_task *t)
{
    for (int64_t i = 0; i < t->rows * t->k; i++)
        if (!isfinite(t->weights[i]))
            return FAIL(INVALID, "weight %lld of output channel %lld is not finite",
                        (long long)(i % t->k), (long long)(i / t->k));
    for (int64_t r = 0; t->least_scale && r < t->rows; r++)
        if (!isfinite(t->least_scale[r]))
            return FAIL(INVALID, "output channel %lld needs a scale that is not finite",
                        (long long)r);
    return OK;
}

static double limit_of(int bits)
{
    assert(bits == 8 || bits == 4);
    return bits == 8 ? 127 : 7;
}

double rounding_error(const struct rounding_task *t, int64_t row, const int8_t *codes,
                      float scale)
{
    const float *w = t->weights + row * t->k;
    const double damp = t->hessian ? quadratic_damping(t->hessian, t->k) : 1;
    double sum = 0;

    for (int64_t i = 0; i < t->k; i++) {
        const double d = scale * (double)codes[i] - w[i];

        sum += damp * d * d;
        for (int64_t j = 0; t->hessian && j < t->k; j++)
            sum += d * t->hessian[i * t->k + j] * (scale * (double)codes[j] - w[j]);
    }
    return sum;
}

struct status *round_weights(struct arena *a, const struct rounding_task *t,
                             struct rounding *out)
{
    const double limit = limit_of(t->bits);

    RETURN_IF_FAIL(check_rows(t));
    *out = (struct rounding){.codes = arena_new_array(a, int8_t, t->rows * t->k),
                             .scale = arena_new_array(a, float, t->rows)};
    for (int64_t r = 0; r < t->rows; r++)
        out->scale[r] = best_scale(t->weights + r * t->k, t->k, limit,
                                   t->least_scale ? t->least_scale[r] : 0);
    if (!t->hessian && !t->form) {
        round_each(t, limit, out);
        return OK;
    }

    struct arena *scratch = arena_create();
    struct status *s = round_by_output(scratch, t, limit, out);

    arena_destroy(scratch);
    return s;
}
