/* SPDX-License-Identifier: Apache-2.0 */
/* How a convolution is cut: register tiles, weight blocks, units of work.
 *
 * The rule counts cycles of the innermost loop on a core with two vector multiply
 * units and two loads a cycle, four cycles of latency; docs/kernels.md explains it
 * with examples.  It is a pure function of the shape and the instruction set: the
 * same model gives the same code on every machine.
 */
#include <assert.h>
#include <string.h>

#include "codegen/conv_shape.h"

enum {
    LATENCY = 4,           /* cycles from one multiply-add to the next on its sum */
    TILE_OVERHEAD = 30,    /* cycles to start and end a tile */
    EPILOGUE = 2,          /* cycles a stored vector */
    PAGE_SETS = 4096,      /* addresses this far apart share a set of the L1 cache */
    MAX_LINES_PER_SET = 8, /* input lines a tile may hold in one set */
    UNIT_CYCLES = 40000,   /* work worth handing to a thread */
};

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- geometry -------------------------------------------------------------------- */

static bool is_pointwise(const struct conv *c)
{
    return c->kh == 1 && c->kw == 1 && c->stride_y == 1 && c->stride_x == 1
        && c->pad_top == 0 && c->pad_left == 0 && c->oh == c->h && c->ow == c->w;
}

/* Rows (or images) follow one another as pixels do, in all operands. */
static bool lines_join(const struct conv *c, int64_t width, int64_t in, int64_t out,
                       int64_t res)
{
    return in == width * c->in_x && out == width * c->out_x
        && (!c->has_residual || res == width * c->res_x);
}

struct conv conv_flatten(const struct conv *c)
{
    struct conv f = *c;

    if (!is_pointwise(c))
        return f;
    if (f.h == 1 || lines_join(&f, f.w, f.in_y, f.out_y, f.res_y)) {
        f.w *= f.h;
        f.h = 1;
    }
    if (f.h == 1 && (f.n == 1 || lines_join(&f, f.w, f.in_n, f.out_n, f.res_n))) {
        f.w *= f.n;
        f.n = 1;
    }
    f.oh = f.h;
    f.ow = f.w;
    return f;
}

struct tap_range conv_tap(const struct conv *c, int64_t x0, int pixels, int64_t t)
{
    struct tap_range r = {pixels, 0};

    for (int i = 0; i < pixels; i++) {
        const int64_t x = (x0 + i) * c->stride_x - c->pad_left + t * c->dilation_x;

        if (x < 0 || x >= c->w)
            continue;
        if (i < r.first)
            r.first = i;
        r.end = i + 1;
    }
    if (r.first > r.end)
        r.first = r.end;
    return r;
}

static bool tile_is_inner(const struct conv *c, int64_t x0, int pixels)
{
    const int64_t lo = x0 * c->stride_x - c->pad_left;
    const int64_t hi = (x0 + pixels - 1) * c->stride_x - c->pad_left
                     + (c->kw - 1) * c->dilation_x;

    return lo >= 0 && hi < c->w;
}

struct row_cut conv_cut_row(const struct conv *c, int pixels)
{
    struct row_cut r = {.pixels = pixels, .n = ceil_div(c->ow, pixels)};

    r.last = (int)(c->ow - (r.n - 1) * pixels);
    const int64_t n_full = c->ow / pixels;

    while (r.left < n_full && !tile_is_inner(c, r.left * pixels, pixels))
        r.left++;
    while (r.left + r.inner < n_full
           && tile_is_inner(c, (r.left + r.inner) * pixels, pixels))
        r.inner++;
    return r;
}

bool conv_clips_rows(const struct conv *c)
{
    return c->pad_top > 0
        || (c->oh - 1) * c->stride_y - c->pad_top + (c->kh - 1) * c->dilation_y >= c->h;
}

bool conv_taps_join(const struct conv *c)
{
    const bool channels_join = c->in_c == 1 || c->c_in == 1;

    return channels_join && (c->kw == 1 || c->in_x * c->dilation_x == c->c_in);
}

int64_t conv_full_blocks(const struct conv *c, const struct conv_tiling *t)
{
    return c->c_out / t->block;
}

int64_t conv_tail_width(const struct conv *c, const struct conv_tiling *t)
{
    return c->c_out % t->block;
}

int64_t conv_blocks(const struct conv *c, const struct conv_tiling *t)
{
    return ceil_div(c->c_out, t->block);
}

int64_t conv_strips(const struct conv *c, const struct conv_tiling *t)
{
    return ceil_div(c->oh, t->rows);
}

int64_t conv_units(const struct conv *c, const struct conv_tiling *t)
{
    const struct conv f = conv_flatten(c);

    return f.n * f.groups * conv_blocks(&f, t) * conv_strips(&f, t) * t->chunks;
}

/* ---- register tiles ---------------------------------------------------------------- */

/* Sums, one row of weights, and what holds an input: a broadcast on x86 (and a
 * product, without fma); one register a pixel where multiply-add takes lanes. */
static int registers(const struct isa *isa, int pixels, int vectors)
{
    const int sums = pixels * vectors;

    if (isa->lane_fma)
        return sums + vectors + pixels + 1;
    return sums + vectors + 1 + !isa->fma;
}

/* Input lines of a tile's pixels that fall into the same set of the L1 cache. */
static int64_t lines_per_set(const struct conv *c, int pixels)
{
    int64_t distance = c->in_x * c->stride_x * 4 % PAGE_SETS;

    if (distance == 0)
        return pixels;
    for (int64_t n = 2; n <= pixels; n++)
        if (n * distance % PAGE_SETS < 64)
            return ceil_div(pixels, n);
    return 1;
}

static double step_cycles(const struct conv *c, const struct isa *isa, int p, int v)
{
    const double multiply = p * v * (isa->fma ? 0.5 : 1.0);
    const double load = isa->lane_fma ? (p / 4.0 + v) * 0.5 : (p + v) * 0.5;
    double cycles = multiply > load ? multiply : load;

    if (cycles < LATENCY)
        cycles = LATENCY;
    cycles += 0.05 * (p + v);
    if (c->c_in >= 64 && lines_per_set(c, p) > MAX_LINES_PER_SET)
        cycles *= 1.3;
    return cycles;
}

static double tile_cycles(const struct conv *c, const struct isa *isa, int p, int v)
{
    const double steps = (double)(c->kh * c->kw * c->c_in);

    return steps * step_cycles(c, isa, p, v) + (double)(EPILOGUE * p * v + TILE_OVERHEAD);
}

static double row_cycles(const struct conv *c, const struct isa *isa, int p, int v)
{
    const int64_t full = c->ow / p;
    const int last = (int)(c->ow % p);

    return (double)full * tile_cycles(c, isa, p, v)
         + (last ? tile_cycles(c, isa, last, v) : 0.0);
}

/* The best width of a tile with `v` vectors; 0 if none fits. */
static int best_pixels(const struct conv *c, const struct isa *isa, int v, double *cost)
{
    int best = 0;

    *cost = 0.0;
    for (int p = 1; registers(isa, p, v) <= isa->n_registers && p <= c->ow; p++) {
        const double now = row_cycles(c, isa, p, v);

        if (!best || now <= *cost) {
            best = p;
            *cost = now;
        }
    }
    return best;
}

static int unroll_of(const struct conv *c, const struct isa *isa)
{
    int64_t run = conv_taps_join(c) ? c->kw * c->c_in : c->c_in;

    (void)isa;
    return run >= 4 ? 4 : (int)run;
}

/* ---- units -------------------------------------------------------------------------- */

/* Bytes from beyond the L2 cache: with blocks outer, the input again for every block
 * unless it stays in L2; with rows outer, the weights again for every strip. */
static bool rows_go_outer(const struct conv *c, const struct isa *isa,
                          const struct conv_tiling *t)
{
    const double half_l2 = (double)isa->l2_bytes / 2;
    const double taps = (double)(c->kh * c->kw * c->c_in);
    const double weights = taps * (double)c->c_out * 4;
    const double block = taps * (double)min64(t->block, c->c_out) * 4;
    const double input = (double)(c->h * c->w * c->c_in) * 4;
    const double blocks = (double)conv_blocks(c, t);
    const double strips = (double)(conv_strips(c, t) * t->chunks);
    const double by_blocks = weights + (input + block > half_l2 ? blocks * input : input);
    const double by_rows = input + (weights > half_l2 ? strips * weights : weights);

    return c->groups > 1 ? c->c_in < 64 || by_rows < by_blocks : by_rows < by_blocks;
}

/* A unit is some rows of one block, worth about UNIT_CYCLES; one long row (a matrix,
 * a signal) is cut across instead. */
static void cut_units(const struct conv *c, const struct isa *isa, struct conv_tiling *t)
{
    const int v = (int)ceil_div(min64(t->block, c->c_out), isa->vector_bytes / 4);
    const double row = row_cycles(c, isa, t->pixels, v);
    const int64_t tiles = ceil_div(c->ow, t->pixels);

    t->rows = 1;
    t->chunks = 1;
    if (row < UNIT_CYCLES)
        t->rows = min64(c->oh, max64(1, (int64_t)(UNIT_CYCLES / row)));
    else
        t->chunks = min64(tiles, max64(1, (int64_t)(row / UNIT_CYCLES)));
}

struct conv_tiling conv_tile(const struct conv *c, const struct isa *isa)
{
    const struct conv f = conv_flatten(c);
    const int lanes = isa->vector_bytes / 4;
    const int64_t vectors = ceil_div(f.c_out, lanes);
    struct conv_tiling best = {0};
    double best_cost = 0.0;

    for (int v = 1; v <= 12 && v <= vectors; v++) {
        struct conv_tiling t = {.vectors = v, .block = (int64_t)v * lanes};
        const int64_t tail = vectors % v;
        double cost, tail_cost = 0.0;

        t.pixels = best_pixels(&f, isa, v, &cost);
        if (!t.pixels)
            break;
        t.tail_pixels = t.pixels;
        if (tail)
            t.tail_pixels = best_pixels(&f, isa, (int)tail, &tail_cost);
        cost = cost * (double)(vectors / v) + tail_cost;
        if (best.vectors && cost >= best_cost)
            continue;
        best = t;
        best_cost = cost;
    }
    assert(best.vectors);
    best.unroll = unroll_of(&f, isa);
    cut_units(&f, isa, &best);
    best.rows_outer = rows_go_outer(&f, isa, &best);
    return best;
}

/* ---- weights -------------------------------------------------------------------------- */

void conv_pack(const struct conv *c, const struct conv_tiling *t, const float *from,
               float *to)
{
    const int64_t taps = c->kh * c->kw, group = c->c_out * c->c_in * taps;

    for (int64_t g = 0; g < c->groups; g++) {
        for (int64_t o = 0; o < c->c_out; o++) {
            const int64_t first = o / t->block * t->block;
            const int64_t width = min64(t->block, c->c_out - first);
            const float *filter = from + g * group + o * c->c_in * taps;
            float *column = to + g * group + first * c->c_in * taps + (o - first);

            for (int64_t k = 0; k < taps; k++)
                for (int64_t i = 0; i < c->c_in; i++)
                    column[(k * c->c_in + i) * width] = filter[i * taps + k];
        }
    }
}
