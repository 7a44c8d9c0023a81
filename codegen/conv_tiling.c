/* SPDX-License-Identifier: Apache-2.0 */
/* How a convolution is cut: register tiles, weight blocks, units of work.
 *
 * The rule counts cycles of the innermost loop on a core with two vector multiply
 * units and two loads a cycle, four cycles of latency; docs/kernels.md explains it
 * with examples.  It is a pure function of the shape and the instruction set: the
 * same model gives the same code on every machine.
 */
#include <assert.h>

#include "codegen/conv_shape.h"
#include "codegen/whole.h"

enum {
    MAX_VECTORS = 12,
    MAX_SUMS = 24,         /* of 32 registers ... */
    MAX_DEEP_SUMS = 16,    /* ... where sums move with every multiply-add */
    LATENCY = 4,           /* cycles from one multiply-add to the next on its sum */
    PAGE_SETS = 4096,      /* addresses this far apart share a set of the L1 cache */
    MAX_LINES_PER_SET = 8, /* input lines a tile may hold in one set */
};

static const double TILE_OVERHEAD = 20; /* cycles to start and end a tile */
static const double EPILOGUE = 2;       /* cycles a stored vector */
static const double UNIT_OVERHEAD = 60; /* cycles to find a unit's operands */
static const double L2_RATE = 40; /* bytes a cycle from the second-level cache ... */
static const double L3_RATE = 20; /* ... and from beyond */
static const double UNIT_CYCLES = 40000; /* work worth handing to a thread ... */
static const double WIDENED_UNIT_CYCLES = 200000; /* ... that widens weights first */
static const double WIDEN = 2;     /* cycles to widen a vector of halves ... */
static const double WIDEN_FAR = 4; /* ... and more where L1 cannot hold them */

/* Tiles along y read and write with larger strides: they must promise this much. */
static const double SWAP_GAIN = 0.8;

static double max_double(double a, double b)
{
    return a > b ? a : b;
}

/* ---- cost of a tile ---------------------------------------------------------- */

/* What the rule weighs: one orientation of a convolution on one isa. */
struct rule {
    const struct conv *c;
    const struct isa *isa;
    int lanes;
    bool plain; /* no depth, no division of the tail */
    double unit_cycles;
};

/* Cycles of the multiply units to make a vector of floats of halves. */
static double half_cycles(const struct isa *isa)
{
    return !isa->half ? 5.0 : isa->vector_bytes == 64 ? 1.0 : 0.5;
}

/* Sums, one row of weights, what holds an input (a broadcast on x86, and a product
 * without fma; one register a pixel where multiply-add takes lanes), and with many
 * registers some to spare: LLVM's scheduler moves loads up and would spill sums. */
static bool registers_suffice(const struct rule *r, int pixels, int vectors, int depth)
{
    const int sums = pixels * vectors;
    const int n = r->isa->lane_fma ? sums + vectors + pixels + 1
                                   : sums + vectors + 1 + !r->isa->fma;

    if (r->isa->n_registers > 16 && sums > (depth > 1 ? MAX_DEEP_SUMS : MAX_SUMS))
        return false;
    return n <= r->isa->n_registers;
}

/* Input lines of a tile's pixels that fall into the same set of the L1 cache. */
static int64_t lines_per_set(const struct conv *c, int pixels)
{
    const int64_t distance = c->in_x * c->stride_x * 4 % PAGE_SETS;

    if (distance == 0)
        return pixels;
    for (int64_t n = 2; n <= pixels; n++)
        if (n * distance % PAGE_SETS < 64)
            return ceil_div(pixels, n);
    return 1;
}

/* Steps of a whole kernel: one row of weights each. */
static int64_t kernel_steps(const struct conv *c, int depth)
{
    const struct conv_runs runs = conv_runs(c, depth);

    return c->kh * runs.n * ceil_div(runs.length, depth);
}

/* Cycles in which a step's weights arrive, when their block is no longer in L1. */
static double stream_cycles(const struct rule *r, const struct conv_piece *piece)
{
    const double step = (double)(piece->width * piece->depth * conv_weight_bytes(r->c));
    const double block = step * (double)kernel_steps(r->c, piece->depth);

    if (block < 0.6 * (double)r->isa->l1_bytes)
        return 0.0;
    return step / (block < 0.9 * (double)r->isa->l2_bytes ? L2_RATE : L3_RATE);
}

/* Cycles in which a step's inputs arrive from L2.  Kernel columns that overlap find
 * them in L1. */
static double input_cycles(const struct rule *r, const struct conv_piece *piece, int p)
{
    const struct conv *c = r->c;
    const double image = (double)(c->h * c->w * c->groups * c->c_in) * 4;
    const double reuse = (double)c->kw / (double)c->stride_x;

    if (image < 0.6 * (double)r->isa->l1_bytes)
        return 0.0;
    return p * piece->depth * 4 / (L2_RATE * max_double(reuse, 1.0));
}

/* Cycles to load a step's inputs and weights: two loads a cycle; a broadcast of 16 or
 * 32 bytes takes longer, weights that are not whole cache lines are loaded twice. */
static double load_cycles(const struct rule *r, const struct conv_piece *piece, int p,
                          int v)
{
    const bool by_lane = r->isa->lane_fma && conv_runs(r->c, 1).step == 1;
    const bool slow = piece->depth > 2;
    const bool split = piece->width * piece->depth % r->lanes != 0;
    double in = by_lane ? p / 4.0 : slow ? 1.5 * p : p;

    if (conv_slides(r->c, piece->depth))
        in *= (double)conv_columns(r->c, p) / (double)(p * r->c->kw);
    return 0.5 * (in + v * (split ? 2 : 1));
}

static double step_cycles(const struct rule *r, const struct conv_piece *piece, int p)
{
    const int v = (int)ceil_div(piece->width * piece->depth, r->lanes);
    const double multiply = p * v * (r->isa->fma ? 0.5 : 1.0)
                            + (r->c->half_weights ? v * half_cycles(r->isa) : 0.0);
    double cycles =
        max_double(max_double(multiply, load_cycles(r, piece, p, v)), LATENCY);

    cycles = max_double(cycles, stream_cycles(r, piece) + input_cycles(r, piece, p))
             + 0.05 * (p + v);
    if (r->c->c_in >= 64 && lines_per_set(r->c, p) > MAX_LINES_PER_SET)
        cycles *= 1.3;
    return cycles;
}

static double tile_cycles(const struct rule *r, const struct conv_piece *piece, int p)
{
    const int v = (int)ceil_div(piece->width * piece->depth, r->lanes);
    double finish = EPILOGUE * p * v;

    for (int d = 1; d < piece->depth; d *= 2)
        finish += 1.5 * p;
    return (double)kernel_steps(r->c, piece->depth) * step_cycles(r, piece, p) + finish
           + TILE_OVERHEAD;
}

static double row_cycles(const struct rule *r, const struct conv_piece *piece)
{
    const int64_t full = r->c->ow / piece->pixels;
    const int last = (int)(r->c->ow % piece->pixels);

    return (double)full * tile_cycles(r, piece, piece->pixels)
           + (last ? tile_cycles(r, piece, last) : 0.0);
}

/* Sets the best number of pixels; returns the cycles of one row, or 0 if no tile fits
 * the registers. */
static double fit_pixels(const struct rule *r, struct conv_piece *piece)
{
    const int v = (int)ceil_div(piece->width * piece->depth, r->lanes);
    struct conv_piece best = *piece;
    double best_cost = 0.0;

    for (int p = 1; p <= r->c->ow && registers_suffice(r, p, v, piece->depth); p++) {
        piece->pixels = p;
        const double cost = row_cycles(r, piece);

        if (best_cost == 0.0 || cost <= best_cost) {
            best = *piece;
            best_cost = cost;
        }
    }
    *piece = best;
    return best_cost;
}

/* ---- tails ------------------------------------------------------------------- */

struct tails {
    int n;
    struct conv_piece piece[CONV_TAILS];
    double cost; /* 0: impossible */
};

static bool depth_allowed(const struct rule *r, int depth)
{
    return !r->plain && conv_runs(r->c, depth).step == 1;
}

static struct tails one_piece(const struct rule *r, int64_t width)
{
    struct tails t = {.n = 1, .piece[0] = {.width = width, .depth = 1}};
    struct conv_piece *piece = &t.piece[0];

    t.cost = fit_pixels(r, piece);
    for (int d = 2; width * d <= r->lanes; d *= 2) {
        struct conv_piece deep = {.width = width, .depth = d};

        if (!depth_allowed(r, d))
            continue;
        const double cost = fit_pixels(r, &deep);

        if (cost < t.cost) {
            *piece = deep;
            t.cost = cost;
        }
    }
    return t;
}

/* The best division of `width` channels into at most `most` pieces. */
static struct tails divide(const struct rule *r, int64_t width, int most)
{
    struct tails best = one_piece(r, width);

    if (most == 1 || r->plain)
        return best;
    for (int64_t first = 1; first < width;
         first = first < r->lanes ? 2 * first : first + r->lanes) {
        struct tails head = one_piece(r, first);
        const struct tails rest = divide(r, width - first, most - 1);
        const double cost = head.cost + rest.cost + UNIT_OVERHEAD;

        if (head.cost == 0.0 || rest.cost == 0.0
            || (best.cost != 0.0 && cost >= best.cost))
            continue;
        for (int i = 0; i < rest.n; i++)
            head.piece[head.n++] = rest.piece[i];
        head.cost = cost;
        best = head;
    }
    return best;
}

/* ---- units --------------------------------------------------------------------------
 */

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
    const double by_blocks =
        weights + (input + block > half_l2 ? blocks * input : input);
    const double by_rows = input + (weights > half_l2 ? strips * weights : weights);

    return c->groups > 1 ? c->c_in < 64 || by_rows < by_blocks : by_rows < by_blocks;
}

/* Bytes of one row of outputs and of the inputs that it adds, when all groups and
 * blocks have a turn at it. */
static double row_bytes(const struct conv *c)
{
    const double in =
        (double)(c->w * c->groups * c->c_in) * (double)min64(c->stride_y, c->kh);
    const double out = (double)(c->ow * c->groups * c->c_out);

    return 4.0 * (in + out);
}

/* A unit is some rows of one block, worth about unit_cycles; one long row (a matrix,
 * a signal) is cut across instead.  Where groups take turns at the same rows, these
 * stay in the L2 cache. */
static void cut_units(const struct rule *r, struct conv_tiling *t)
{
    const struct conv_piece whole = {t->block, 1, t->pixels};
    const struct conv_piece *piece = r->c->c_out >= t->block ? &whole : &t->tail[0];
    const double row = row_cycles(r, piece);
    const int64_t tiles = ceil_div(r->c->ow, piece->pixels);
    const double share = row_bytes(r->c) / (0.4 * (double)r->isa->l2_bytes);

    t->rows = 1;
    t->chunks = 1;
    if (row < r->unit_cycles)
        t->rows = min64(r->c->oh, max64(1, (int64_t)(r->unit_cycles / row)));
    else
        t->chunks = min64(tiles, max64(1, (int64_t)(row / r->unit_cycles)));
    if (r->c->groups == 1)
        return;
    t->rows = min64(t->rows, max64(1, (int64_t)(1.0 / share)));
    t->chunks = min64(tiles, max64(t->chunks, (int64_t)share + 1));
}

/* ---- the choice -------------------------------------------------------------- */

struct choice {
    struct conv_tiling tiling;
    double cost; /* cycles of one group of an image; 0: none */
};

static void try_vectors(const struct rule *r, int vectors, struct choice *best)
{
    struct conv_piece whole = {.width = (int64_t)vectors * r->lanes, .depth = 1};
    struct choice now = {.tiling = {.vectors = vectors, .block = whole.width}};
    const int64_t n = r->c->c_out / whole.width, rest = r->c->c_out % whole.width;

    if (n) {
        const double row = fit_pixels(r, &whole);

        if (row == 0.0)
            return;
        now.cost += row * (double)n;
        now.tiling.pixels = whole.pixels;
    }
    if (rest) {
        const struct tails t = divide(r, rest, CONV_TAILS);

        if (t.cost == 0.0)
            return;
        now.cost += t.cost;
        now.tiling.n_tails = t.n;
        for (int i = 0; i < t.n; i++)
            now.tiling.tail[i] = t.piece[i];
    }
    now.cost *= (double)r->c->oh;
    if (best->cost == 0.0 || now.cost < best->cost)
        *best = now;
}

static struct choice choose(const struct rule *r)
{
    const int64_t most = ceil_div(r->c->c_out, r->lanes);
    struct choice best = {.cost = 0.0};

    for (int v = 1; v <= MAX_VECTORS && v <= most; v++)
        try_vectors(r, v, &best);
    assert(best.cost != 0.0);
    best.tiling.unroll = r->isa->lane_fma ? 4 : 2;
    cut_units(r, &best.tiling);
    best.tiling.rows_outer = rows_go_outer(r->c, r->isa, &best.tiling);
    return best;
}

struct conv_tiling conv_tile_plain(const struct conv *c, const struct isa *isa)
{
    const struct conv f = conv_flatten(c);
    const struct rule r = {&f, isa, isa->vector_bytes / 4, true, UNIT_CYCLES};

    return choose(&r).tiling;
}

static struct choice choose_direct(const struct conv *c, const struct isa *isa,
                                   double unit_cycles)
{
    const struct conv_tiling turn = {.swapped = true};
    const struct conv f = conv_flatten(c), turned = conv_view(c, &turn);
    const struct rule upright = {&f, isa, isa->vector_bytes / 4, false, unit_cycles};
    struct choice best = choose(&upright);

    if (f.oh > 1) {
        const struct rule swapped = {&turned, isa, isa->vector_bytes / 4, false,
                                     unit_cycles};
        const struct choice other = choose(&swapped);

        if (other.cost < SWAP_GAIN * best.cost) {
            best = other;
            best.tiling.swapped = true;
        }
    }
    return best;
}

struct conv_tiling conv_tile(const struct conv *c, const struct isa *isa)
{
    return choose_direct(c, isa, UNIT_CYCLES).tiling;
}

/* Cycles in which all units of a group of an image widen their weights. */
static double widening_cycles(const struct conv *c, const struct isa *isa,
                              const struct conv_tiling *t)
{
    const struct conv v = conv_view(c, t);
    const int64_t n_bytes = conv_widened_bytes(c, t);
    const double units = (double)(conv_blocks(&v, t) * conv_strips(&v, t) * t->chunks);
    const double far = (double)n_bytes < 0.6 * (double)isa->l1_bytes ? 0.0 : WIDEN_FAR;

    return units * (double)n_bytes / isa->vector_bytes
           * (WIDEN + far + half_cycles(isa));
}

void conv_try_widening(const struct conv *c, const struct isa *isa, int64_t scratch,
                       struct conv_tiling *t)
{
    struct conv wide = *c;

    if (!c->half_weights || t->winograd)
        return;
    wide.half_weights = false;
    struct choice of = choose_direct(&wide, isa, WIDENED_UNIT_CYCLES);

    if (conv_widened_bytes(c, &of.tiling) > scratch
        || of.cost + widening_cycles(c, isa, &of.tiling)
               >= choose_direct(c, isa, UNIT_CYCLES).cost)
        return;
    *t = of.tiling;
    t->widened = true;
}

double conv_direct_cycles(const struct conv *c, const struct isa *isa)
{
    return choose_direct(c, isa, UNIT_CYCLES).cost;
}

void conv_tiling_fields(const struct conv_tiling *t, int64_t out[CONV_TILING_FIELDS])
{
    int n = 0;

    for (int i = 0; i < CONV_TILING_FIELDS; i++)
        out[i] = 0;
    out[n++] = t->block;
    out[n++] = t->vectors;
    out[n++] = t->pixels;
    out[n++] = t->unroll;
    out[n++] = t->swapped;
    out[n++] = t->rows;
    out[n++] = t->chunks;
    out[n++] = t->rows_outer;
    out[n++] = t->winograd;
    out[n++] = t->widened;
    out[n++] = t->n_tails;
    for (int i = 0; i < t->n_tails; i++) {
        out[n++] = t->tail[i].width;
        out[n++] = t->tail[i].depth;
        out[n++] = t->tail[i].pixels;
    }
    assert(n <= CONV_TILING_FIELDS);
}
