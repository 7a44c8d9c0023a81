/* SPDX-License-Identifier: Apache-2.0 */
/* Where Winograd's convolution pays, and how it is cut. */
#include "codegen/winograd.h"

#include "codegen/conv_shape.h"
#include "codegen/whole.h"

enum {
    STRIP_TILES = 28, /* tiles of a unit, about */
    SHARES = 2,       /* an image of one strip is divided among so many units */
    APART = 64,       /* bytes that keep the 36 matrices in different cache sets */
};

/* Cycles a vector: transforms of an input tile, an output tile, a filter. */
static const double IN_CYCLES = 120, OUT_CYCLES = 100, WEIGHT_CYCLES = 60;
static const double L2_RATE =
    40;                         /* bytes a cycle, as transformed weights come and go */
static const double GAIN = 0.8; /* of the direct convolution's cycles, at most */

struct winograd_cut winograd_cut(const struct conv *c, const struct conv_tiling *t)
{
    struct winograd_cut w = {.lanes = (int)t->block};

    w.columns = ceil_div(c->ow, WINOGRAD_OUT);
    w.rows = ceil_div(c->oh, WINOGRAD_OUT);
    w.strip = t->rows;
    w.strips = ceil_div(w.rows, w.strip);
    w.tiles = round_up(w.strip * w.columns, t->pixels);
    w.blocks = ceil_div(c->c_out, t->block);
    w.per_unit = ceil_div(w.blocks, t->chunks);
    w.in_channels = round_up(c->c_in, w.lanes);
    w.in_point = w.tiles * w.in_channels * 4 + APART;
    w.weight_point = c->c_in * t->block * 4 + APART;
    w.out_point = w.tiles * t->block * 4 + APART;
    w.weights_at = WINOGRAD_POINTS * w.in_point;
    w.out_at = w.weights_at + WINOGRAD_POINTS * w.weight_point;
    w.bytes = w.out_at + WINOGRAD_POINTS * w.out_point;
    return w;
}

int64_t winograd_units(const struct conv *c, const struct conv_tiling *t)
{
    const struct winograd_cut w = winograd_cut(c, t);

    return c->n * w.strips * ceil_div(w.blocks, w.per_unit);
}

static bool is_of_the_kind(const struct conv *c, int lanes)
{
    return c->kh == 3 && c->kw == 3 && c->stride_y == 1 && c->stride_x == 1
           && c->dilation_y == 1 && c->dilation_x == 1 && c->groups == 1 && c->in_c == 1
           && c->oh >= WINOGRAD_OUT && c->ow >= WINOGRAD_OUT && c->c_in >= lanes
           && c->c_out >= lanes;
}

/* Of one image. */
static double cycles(const struct conv *c, const struct isa *isa,
                     const struct conv_tiling *t)
{
    const struct winograd_cut w = winograd_cut(c, t);
    const double tiles = (double)(w.columns * w.rows);
    const double padded = (double)(w.tiles * w.strips), blocks = (double)w.blocks;
    const double in_vectors = (double)(w.in_channels / w.lanes * t->chunks);
    const double step = isa->fma ? 0.6 : 1.2;
    const double filters = (double)(c->c_in * w.strips) * blocks;
    const double points = WINOGRAD_POINTS;
    const double weight_bytes = points * (double)t->block * 4 * 2;

    return points * padded * blocks * (step * (double)c->c_in + 2)
           + IN_CYCLES * tiles * in_vectors + OUT_CYCLES * tiles * blocks
           + filters * (WEIGHT_CYCLES + weight_bytes / L2_RATE);
}

/* Sums of one vector, and with lanes a register for every input. */
static int most_pixels(const struct isa *isa)
{
    if (isa->n_registers <= 16)
        return 12;
    return isa->lane_fma ? 14 : 16;
}

static struct conv_tiling cut_strip(const struct conv *c, const struct isa *isa,
                                    int64_t rows)
{
    const int64_t all = ceil_div(c->oh, WINOGRAD_OUT);
    const int64_t even = ceil_div(all, ceil_div(all, rows));
    const int64_t tiles = even * ceil_div(c->ow, WINOGRAD_OUT);

    return (struct conv_tiling){
        .winograd = true,
        .block = isa->vector_bytes / 4,
        .vectors = 1,
        .pixels = (int)ceil_div(tiles, ceil_div(tiles, most_pixels(isa))),
        .unroll = isa->lane_fma ? 4 : 2,
        .rows = even,
        .chunks = even < all ? 1 : SHARES,
    };
}

bool conv_try_winograd(const struct conv *c, const struct isa *isa, int64_t scratch,
                       struct conv_tiling *t)
{
    const int64_t limit =
        scratch < isa->l2_bytes * 5 / 4 ? scratch : isa->l2_bytes * 5 / 4;
    const int64_t columns = ceil_div(c->ow, WINOGRAD_OUT);
    int64_t rows = STRIP_TILES / columns > 1 ? STRIP_TILES / columns : 1;

    if (!is_of_the_kind(c, isa->vector_bytes / 4))
        return false;
    struct conv_tiling mine = cut_strip(c, isa, rows);

    while (rows > 1 && winograd_cut(c, &mine).bytes > limit)
        mine = cut_strip(c, isa, --rows);
    if (winograd_cut(c, &mine).bytes > limit
        || cycles(c, isa, &mine) > GAIN * conv_direct_cycles(c, isa))
        return false;
    *t = mine;
    return true;
}

/* [block][c_in][9][the block's channels]; the last block is narrower. */
void winograd_pack(const struct conv *c, const struct conv_tiling *t, const float *from,
                   float *to)
{
    for (int64_t first = 0; first < c->c_out; first += t->block) {
        const int64_t left = c->c_out - first;
        const int64_t width = left < t->block ? left : t->block;

        for (int64_t i = 0; i < c->c_in; i++)
            for (int64_t k = 0; k < 9; k++)
                for (int64_t o = 0; o < width; o++)
                    *to++ = from[((first + o) * c->c_in + i) * 9 + k];
    }
}
