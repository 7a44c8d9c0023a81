/* SPDX-License-Identifier: Apache-2.0 */
/* See filtering.h. */
#include "train/filtering.h"

enum { SUMS = 36, TILE = 4, MOST_SAMPLES = 8 };

/* Transformed operands and results of as many samples as stay in a common L2. */
static const int64_t MOST_BYTES = 640 << 10;

/* Vector operations for a position of a channel, besides the products: measured. */
enum { COST_IN = 220, COST_OUT = 160 };

static int64_t tiles_along(int64_t n)
{
    return (n + TILE - 1) / TILE;
}

static int64_t whole_vectors(int64_t n)
{
    return (n + TILES_VECTOR - 1) / TILES_VECTOR * TILES_VECTOR;
}

/* Positions of n samples; the last row of the last one needs no zeros behind it. */
static int64_t width_of(const struct filtering_shape *s, int64_t n)
{
    const int64_t th = tiles_along(s->oh), pitch = tiles_along(s->ow) + 1;

    return whole_vectors(((n - 1) * (th + 1) + th) * pitch);
}

static int64_t best_samples(const struct filtering_shape *s)
{
    int64_t best = 1;

    for (int64_t n = 2; n <= MOST_SAMPLES; n++) {
        const int64_t bytes =
            SUMS * (s->c + s->o) * width_of(s, n) * (int64_t)sizeof(real);

        if (bytes <= MOST_BYTES && width_of(s, n) * best < width_of(s, best) * n)
            best = n;
    }
    return best;
}

bool filtering_pays(const struct filtering_shape *s, int64_t direct_positions)
{
    const int64_t n = best_samples(s);
    const int64_t each = SUMS * s->c * s->o + COST_IN * s->c + COST_OUT * s->o;

    return s->top >= 0 && s->left >= 0 && s->left <= 2 && s->ow <= s->w + 2
           && s->w + s->left + 4 * TILE < TILES_MOST_WIDTH
           && s->ow + 4 * TILE < TILES_MOST_WIDTH
           && 5 * each * width_of(s, n) < 4 * n * 9 * s->c * s->o * direct_positions;
}

void filtering_plan(struct arena *a, const struct filtering_shape *s,
                    struct filtering *out)
{
    const int64_t th = tiles_along(s->oh), tw = tiles_along(s->ow);
    int64_t *offset = arena_new_array(a, int64_t, s->c);

    *out = (struct filtering){.shape = *s, .samples = best_samples(s)};
    out->per_sample = (th + 1) * (tw + 1);
    out->width = width_of(s, out->samples);
    out->in = (struct tiles_picture){.h = s->h,
                                     .w = s->w,
                                     .top = s->top,
                                     .left = s->left,
                                     .rows = th + 1,
                                     .columns = tw + 1,
                                     .pitch = tw + 1};
    out->out = (struct tiles_picture){.h = s->oh, .w = s->ow, .pitch = tw + 1};
    /* Operands of a tile reach one row and one column further. */
    out->in.plane = out->out.plane =
        out->samples * out->per_sample + 2 * (tw + 1) + TILES_VECTOR;
    for (int64_t i = 0; i < s->c; i++)
        offset[i] = i * out->width;
    out->offset = offset;
    out->n_scratch =
        SUMS * (s->c + s->o) * out->width + TILE * TILE * out->in.plane + TILES_VECTOR;
}

/* ---- weights -------------------------------------------------------------------- */

int64_t filtering_n_packed(const struct filtering *f)
{
    return SUMS * f->shape.c * f->shape.o;
}

#define FILTERED real
#include "support/minimal_filter.h"

static void transform(const real *w, bool turned, real u[6][6])
{
    real half[6][3];

    for (int v = 0; v < 3; v++) {
        real g[3], column[6];

        for (int k = 0; k < 3; k++)
            g[k] = turned ? w[8 - (k * 3 + v)] : w[k * 3 + v];
        filter_taps(g, column);
        for (int i = 0; i < 6; i++)
            half[i][v] = column[i];
    }
    for (int i = 0; i < 6; i++)
        filter_taps(half[i], u[i]);
}

void filtering_pack(const struct filtering *f, const real *w, int64_t pitch_o,
                    int64_t pitch_c, bool turned, real *packed)
{
    const int64_t n = f->shape.c * f->shape.o;

    for (int64_t o = 0; o < f->shape.o; o++)
        for (int64_t i = 0; i < f->shape.c; i++) {
            const int64_t block = o / TILES_ROWS,
                          left = f->shape.o - block * TILES_ROWS;
            const int64_t rows = left < TILES_ROWS ? left : TILES_ROWS;
            real u[6][6];

            transform(w + o * pitch_o + i * pitch_c, turned, u);
            for (int k = 0; k < SUMS; k++) /* as tiles_pack */
                packed[k * n + block * TILES_ROWS * f->shape.c + i * rows
                       + o % TILES_ROWS] = u[k / 6][k % 6];
        }
}

/* ---- running -------------------------------------------------------------------- */

static void run_samples(const struct filtering *f, int64_t n, const real *packed,
                        const real *x, int64_t pitch_x, const real *bias, bool adds,
                        real *y, int64_t pitch_y, real *scratch)
{
    const struct filtering_shape *s = &f->shape;
    const struct tiles *t = tiles_here();
    const int64_t width =
        whole_vectors((n - 1) * f->per_sample + f->per_sample - f->in.pitch);
    const int64_t apart_v = s->c * f->width, apart_m = s->o * f->width;
    real *v = scratch, *m = v + SUMS * apart_v, *planes = m + SUMS * apart_m;

    for (int64_t i = 0; i < s->c; i++) {
        for (int64_t k = 0; k < n; k++)
            t->split(&f->in, x + k * pitch_x + i * s->h * s->w,
                     planes + k * f->per_sample);
        t->to_sums(width, &f->in, planes, v + i * f->width, apart_v);
    }
    for (int k = 0; k < SUMS; k++)
        t->products(s->o, width, s->c, packed + k * s->c * s->o, f->offset,
                    v + k * apart_v, m + k * apart_m, f->width);
    for (int64_t o = 0; o < s->o; o++) {
        t->from_sums(width, &f->out, m + o * f->width, apart_m, planes);
        for (int64_t k = 0; k < n; k++)
            t->merge(&f->out, planes + k * f->per_sample, bias ? bias[o] : 0, adds,
                     y + k * pitch_y + o * s->oh * s->ow);
    }
}

void filtering_run(const struct filtering *f, int64_t n, const real *packed,
                   const real *x, int64_t pitch_x, const real *bias, bool adds, real *y,
                   int64_t pitch_y, real *scratch)
{
    for (int64_t k = 0; k < n; k += f->samples)
        run_samples(f, n - k < f->samples ? n - k : f->samples, packed, x + k * pitch_x,
                    pitch_x, bias, adds, y + k * pitch_y, pitch_y, scratch);
}
