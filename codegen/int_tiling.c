/* SPDX-License-Identifier: Apache-2.0 */
/* How an integer convolution is cut: the cost rule of conv_tiling.c in terms of steps
 * of four inputs.  docs/kernels.md has its numbers.  A pure function of shape and
 * instruction set.
 */
#include <assert.h>

#include "codegen/int_shape.h"
#include "codegen/whole.h"

enum {
    MAX_VECTORS = 12,
    MAX_SUMS = 24,         /* of 32 registers */
    PAGE_SETS = 4096,      /* addresses this far apart share a set of the L1 cache */
    MAX_LINES_PER_SET = 8, /* input lines a tile may hold in one set */
};

static const double TILE_OVERHEAD = 20;  /* cycles to start and end a tile */
static const double UNIT_CYCLES = 40000; /* work worth handing to a thread */
static const double L2_RATE = 40;        /* bytes a cycle from the second level ... */
static const double L3_RATE = 20;        /* ... and from beyond */
static const double SWAP_GAIN = 0.8;     /* what tiles along y must promise */

static double max_double(double a, double b)
{
    return a > b ? a : b;
}

/* ---- cost of a tile ---------------------------------------------------------- */

/* What the rule weighs: one orientation of a convolution on one isa. */
struct rule {
    const struct int_conv *c;
    const struct conv *v;
    const struct isa *isa;
    enum int_form form;
    int lanes;
    struct int_runs runs;
};

bool int_prefers_unsigned(const struct isa *isa)
{
    return !isa->lane_fma && (isa->dot || !isa->masks);
}

static enum int_form form_of(const struct int_conv *c, const struct isa *isa)
{
    if (isa->dot && isa->lane_fma)
        return INT_DOT_SS;
    if (isa->dot)
        return c->in_signed ? INT_DOT_SU : INT_DOT_US;
    if (isa->lane_fma)
        return INT_LANE;
    return c->weight_bits == 4 && isa->vector_bytes == 32 ? INT_BYTES : INT_PAIR;
}

int32_t int_conv_zero(const struct int_conv *c, const struct isa *isa, int32_t in_zero)
{
    return int_form_zero(c, form_of(c, isa), in_zero);
}

static bool has_lines(const struct rule *r)
{
    return int_has_lines(r->isa, r->form) && int_run_steps(&r->runs) >= INT_LINE_STEPS;
}

/* Sums, a step's weights and what holds inputs. */
static bool registers_suffice(const struct rule *r, int p, int v)
{
    const int sums = p * v;
    const int inputs = r->isa->lane_fma                       ? p + 1
                       : has_lines(r) || r->form == INT_BYTES ? 2
                       : r->form == INT_PAIR                  ? 3
                                                              : 1;

    if (r->isa->n_registers > 16 && sums > MAX_SUMS)
        return false;
    return sums + v + inputs <= r->isa->n_registers;
}

/* Two halves of multiply and add; inputs and weights are widened.  With lines, inputs
 * are only once, for all vectors and where pixels overlap, but each half is a load. */
static double pair_cycles(const struct rule *r, int p, int v)
{
    if (!has_lines(r))
        return (4.0 * p * v + 4.0 * p + 4.0 * v) / 2.5;
    return max_double((4.0 * p * v + 2.0 * v + 0.5 * p) / 3.6, 1.2 * (p + v));
}

/* One multiply and add, and an eighth of what joins sums of 16 bits to those of 32,
 * which lie in memory; weights are taken apart, and loaded again for each part of the
 * pixels.
 */
static double bytes_cycles(int p, int v)
{
    return max_double((2.25 * p * v + 2.5 * v) / 3.6, 0.55 * (p + v + 0.25 * p * v));
}

/* Cycles of arithmetic and loads of a step: two instructions of either kind a cycle. */
static double issue_cycles(const struct rule *r, int p, int v)
{
    const double unpack = r->c->weight_bits == 4 ? 0.75 * v : 0.0;

    switch (r->form) {
    case INT_PAIR:
        return pair_cycles(r, p, v) + unpack;
    case INT_BYTES:
        return bytes_cycles(p, v);
    case INT_LANE:
        return 4.0 * p * v + v + p / 2.0 + unpack;
    case INT_DOT_SS:
        return max_double(0.5 * p * v + (r->c->in_signed ? 0.0 : p / 8.0),
                          0.5 * (p / 4.0 + v))
               + unpack;
    case INT_DOT_US:
    case INT_DOT_SU:
        break;
    }
    return max_double(0.5 * p * v + unpack, 0.5 * (p + v));
}

/* Input lines of a tile's pixels that fall into the same set of the L1 cache. */
static int64_t lines_per_set(const struct conv *v, int pixels)
{
    const int64_t distance = v->in_x * v->stride_x % PAGE_SETS;

    if (distance == 0)
        return pixels;
    for (int64_t n = 2; n <= pixels; n++)
        if (n * distance % PAGE_SETS < 64)
            return ceil_div(pixels, n);
    return 1;
}

static int64_t kernel_steps(const struct rule *r)
{
    return r->v->kh * r->runs.n * int_run_steps(&r->runs);
}

/* Cycles in which a step's weights arrive, when their block is no longer in L1. */
static double stream_cycles(const struct rule *r, int v)
{
    const double step = (double)(v * r->lanes * r->c->weight_bits / 2);
    const double block = step * (double)kernel_steps(r);

    if (block < 0.6 * (double)r->isa->l1_bytes)
        return 0.0;
    return step / (block < 0.9 * (double)r->isa->l2_bytes ? L2_RATE : L3_RATE);
}

static double input_cycles(const struct rule *r, int p)
{
    const struct conv *v = r->v;
    const double image = (double)(v->h * v->w * v->groups * v->c_in);
    const double reuse = (double)v->kw / (double)v->stride_x;

    if (image < 0.6 * (double)r->isa->l1_bytes)
        return 0.0;
    return p * INT_STEP / (L2_RATE * max_double(reuse, 1.0));
}

static double step_cycles(const struct rule *r, int p, int v)
{
    const double latency = r->form == INT_PAIR || r->form == INT_BYTES ? 2.0
                           : r->form == INT_LANE                       ? 16.0
                                                                       : 5.0;
    double cycles = max_double(issue_cycles(r, p, v), latency);

    cycles =
        max_double(cycles, stream_cycles(r, v) + input_cycles(r, p)) + 0.05 * (p + v);
    if (r->v->c_in >= 256 && lines_per_set(r->v, p) > MAX_LINES_PER_SET)
        cycles *= 1.3;
    return cycles;
}

/* Cycles to turn sums into results; codes are packed four vectors at a time, of a pixel
 * or of neighbouring ones. */
static double finish_cycles(const struct rule *r, int p, int v)
{
    const double add = r->c->shape.has_residual ? 4.0 : 0.0;
    const int alone = v % 4 == 2 && int_in_pixel_pairs(r->isa, r->form) ? 0 : v % 4;

    if (r->c->result != INT_CODES)
        return 2.0 * p * v;
    return p * ((v - alone) * (3.0 + add) + alone * ((p > 2 ? 4.0 : 5.0) + add));
}

static double tile_cycles(const struct rule *r, int p, int v)
{
    return (double)kernel_steps(r) * step_cycles(r, p, v) + finish_cycles(r, p, v)
           + TILE_OVERHEAD;
}

static double row_cycles(const struct rule *r, int p, int v)
{
    const int64_t full = r->v->ow / p;
    const int last = (int)(r->v->ow % p);

    return (double)full * tile_cycles(r, p, v) + (last ? tile_cycles(r, last, v) : 0.0);
}

/* The best number of pixels for v vectors; the cycles of a row, or 0 if no tile fits
 * the registers. */
static double fit_pixels(const struct rule *r, int v, int *pixels)
{
    double best = 0.0;

    for (int p = 1; p <= r->v->ow && registers_suffice(r, p, v); p++) {
        const double cost = row_cycles(r, p, v);

        if (best == 0.0 || cost <= best) {
            best = cost;
            *pixels = p;
        }
    }
    return best;
}

/* ---- units ------------------------------------------------------------------- */

/* See conv_tiling.c: which order reads less from beyond the L2 cache. */
static bool rows_go_outer(const struct rule *r, const struct int_tiling *t)
{
    const struct conv *v = r->v;
    const double half_l2 = (double)r->isa->l2_bytes / 2;
    const double taps = (double)(v->kh * v->kw * v->c_in) * r->c->weight_bits / 8;
    const double weights = taps * (double)v->c_out;
    const double block = taps * (double)min64(int_block_width(t), v->c_out);
    const double input = (double)(v->h * v->w * v->c_in);
    const double blocks = (double)int_blocks(r->c, t);
    const double strips = (double)(ceil_div(v->oh, t->rows) * t->chunks);
    const double by_blocks =
        weights + (input + block > half_l2 ? blocks * input : input);
    const double by_rows = input + (weights > half_l2 ? strips * weights : weights);

    return v->groups > 1 ? v->c_in < 256 || by_rows < by_blocks : by_rows < by_blocks;
}

static double row_bytes(const struct conv *v)
{
    const double in =
        (double)(v->w * v->groups * v->c_in) * (double)min64(v->stride_y, v->kh);

    return in + (double)(v->ow * v->groups * v->c_out);
}

/* A unit is some rows of one block, worth about UNIT_CYCLES; one long row is cut across
 * instead.  Where groups take turns at the same rows, these stay in the L2 cache. */
static void cut_units(const struct rule *r, struct int_tiling *t)
{
    const bool whole = r->v->c_out >= int_block_width(t);
    const int pixels = whole ? t->pixels : t->tail_pixels;
    const double row = row_cycles(r, pixels, whole ? t->vectors : t->tail_vectors);
    const int64_t tiles = ceil_div(r->v->ow, pixels);
    const double share = row_bytes(r->v) / (0.4 * (double)r->isa->l2_bytes);

    t->rows = 1;
    t->chunks = 1;
    if (row < UNIT_CYCLES)
        t->rows = min64(r->v->oh, max64(1, (int64_t)(UNIT_CYCLES / row)));
    else
        t->chunks = min64(tiles, max64(1, (int64_t)(row / UNIT_CYCLES)));
    if (r->v->groups == 1)
        return;
    t->rows = min64(t->rows, max64(1, (int64_t)(1.0 / share)));
    t->chunks = min64(tiles, max64(t->chunks, (int64_t)share + 1));
}

/* ---- the choice -------------------------------------------------------------- */

struct choice {
    struct int_tiling tiling;
    double cost; /* cycles of one group of an image; 0: none */
};

/* The last vector of a tail: as narrow as its channels allow.  Four vectors that are
 * packed together are whole. */
static int narrow_lanes(const struct rule *r, int vectors, int64_t channels)
{
    const int64_t last = channels - (int64_t)(vectors - 1) * r->lanes;
    int lanes = 4;

    if (r->c->result == INT_CODES && vectors % 4 == 0)
        return r->lanes;
    while (lanes < last)
        lanes *= 2;
    return lanes;
}

/* The last vector takes several steps at once, so that it is whole, if these divide a
 * run's: weights then need no more room. */
static void deepen_tail(const struct rule *r, struct int_tiling *t)
{
    const int64_t steps = int_run_steps(&r->runs);
    const int64_t steps_a_byte = 8 / r->c->weight_bits;
    int lanes = t->tail_lanes;

    if (r->form != INT_DOT_US && r->form != INT_DOT_SU)
        return;
    while (lanes < r->lanes && steps % (r->lanes / lanes * steps_a_byte) != 0)
        lanes *= 2;
    if (lanes == r->lanes)
        return;
    t->tail_lanes = lanes;
    t->tail_depth = r->lanes / lanes;
}

static void try_vectors(const struct rule *r, int vectors, struct choice *best)
{
    struct int_tiling t = {
        .form = r->form, .lanes = r->lanes, .vectors = vectors, .tail_depth = 1};
    const int64_t n = r->v->c_out / int_block_width(&t);
    const int64_t rest = r->v->c_out % int_block_width(&t);
    double cost = 0.0;

    if (n) {
        const double row = fit_pixels(r, vectors, &t.pixels);

        if (row == 0.0)
            return;
        cost += row * (double)n;
    }
    if (rest) {
        t.tail_vectors = (int)ceil_div(rest, r->lanes);
        t.tail_lanes = narrow_lanes(r, t.tail_vectors, rest);
        deepen_tail(r, &t);
        const double row = fit_pixels(r, t.tail_vectors, &t.tail_pixels);

        if (row == 0.0)
            return;
        cost += row;
    }
    cost *= (double)r->v->oh;
    if (best->cost == 0.0 || cost < best->cost)
        *best = (struct choice){t, cost};
}

static struct choice choose(const struct int_conv *c, const struct conv *v,
                            const struct isa *isa)
{
    const struct rule r = {c,          v, isa, form_of(c, isa), isa->vector_bytes / 4,
                           int_runs(v)};
    const int64_t most = ceil_div(v->c_out, r.lanes);
    struct choice best = {.cost = 0.0};

    for (int n = 1; n <= MAX_VECTORS && n <= most; n++)
        try_vectors(&r, n, &best);
    assert(best.cost != 0.0);
    best.tiling.unroll = r.form == INT_BYTES ? INT_BYTE_STEPS : isa->lane_fma ? 4 : 2;
    cut_units(&r, &best.tiling);
    best.tiling.rows_outer = rows_go_outer(&r, &best.tiling);
    return best;
}

struct int_tiling int_tile(const struct int_conv *c, const struct isa *isa)
{
    const struct conv_tiling up = {0}, turn = {.swapped = true};
    const struct conv v = conv_view(&c->shape, &up),
                      turned = conv_view(&c->shape, &turn);
    struct choice best = choose(c, &v, isa);

    if (v.oh > 1) {
        const struct choice other = choose(c, &turned, isa);

        if (other.cost < SWAP_GAIN * best.cost) {
            best = other;
            best.tiling.swapped = true;
        }
    }
    return best.tiling;
}
