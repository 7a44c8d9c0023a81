/* SPDX-License-Identifier: Apache-2.0 */
/* Max and average pooling, channels last: vectors run over channels.
 *
 * Taps are combined one after the other, top row first, left column first, and the
 * average is one division: the bytes of the library kernels (k_pool.c).  A tile is
 * `pixels` outputs of `vectors` vectors; columns outside the input are left out
 * statically, rows by the bounds of their loop, as in emit_conv.c.
 */
#include <assert.h>
#include <math.h>

#include "codegen/conv_shape.h"
#include "codegen/emit_build.h"

enum {
    TILE_SUMS = 8, /* outputs in flight: latency of four, two a cycle */
    WRITE_OUT = 8, /* kernel columns of an inner tile that are written out */
};

struct pool {
    struct emitter *e;
    const struct conv *c;
    bool max, count_pad;
    int pixels, vectors;
    LLVMValueRef function;
};

/* One output row: pointers at channel 0; kernel rows [tap_begin, tap_end) exist. */
struct pool_row {
    LLVMValueRef in, out, tap_begin, tap_end;
};

/* Tile of `vectors` vectors from `channel` on, of which the last has `used` lanes. */
struct pool_tile {
    int pixels, vectors, used;
    int64_t x0;      /* -1: an inner tile */
    LLVMValueRef in; /* first tap of the first pixel, kernel row 0 */
    LLVMValueRef out;
    LLVMValueRef sum[EMIT_MAX_CARRY];
};

int64_t pool_units(const struct conv *c)
{
    return c->n * c->oh;
}

static int used_lanes(const struct pool *p, const struct pool_tile *t, int vector)
{
    return vector == t->vectors - 1 ? t->used : emit_lanes(p->e);
}

static void combine(const struct pool *p, LLVMValueRef *sum, LLVMValueRef x)
{
    LLVMBuilderRef b = p->e->builder;

    if (p->max)
        *sum =
            LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOGT, x, *sum, ""), x, *sum, "");
    else
        *sum = LLVMBuildFAdd(b, *sum, x, "");
}

/* The tap `in` of pixels [first, end). */
static void add_tap(const struct pool *p, struct pool_tile *t, LLVMValueRef in,
                    struct tap_range r)
{
    struct emitter *e = p->e;
    const int lanes = emit_lanes(e);

    for (int i = r.first; i < r.end; i++) {
        for (int j = 0; j < t->vectors; j++) {
            const int64_t at = (i * p->c->stride_x * p->c->in_x + j * lanes) * 4;

            combine(p, &t->sum[i * t->vectors + j],
                    emit_load_part(e, emit_at(e, in, at), lanes, used_lanes(p, t, j)));
        }
    }
}

static void add_kernel_row(const struct pool *p, struct pool_tile *t, LLVMValueRef in)
{
    struct emitter *e = p->e;
    const struct conv *c = p->c;
    const int64_t tap_bytes = c->dilation_x * c->in_x * 4;
    const struct tap_range all = {0, t->pixels};
    struct emit_loop l = {0};

    if (t->x0 < 0 && c->kw > WRITE_OUT) {
        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, c->kw), 1, t->sum,
                        t->pixels * t->vectors);
        add_tap(p, t, emit_at_value(e, in, emit_mul(e, l.at, tap_bytes)), all);
        emit_loop_end(e, &l, t->sum);
        return;
    }
    for (int64_t kx = 0; kx < c->kw; kx++)
        add_tap(p, t, emit_at(e, in, kx * tap_bytes),
                t->x0 < 0 ? all : conv_tap(c, t->x0, t->pixels, kx));
}

static int64_t columns_inside(const struct pool *p, const struct pool_tile *t,
                              int pixel)
{
    int64_t n = 0;

    for (int64_t kx = 0; kx < p->c->kw; kx++) {
        const struct tap_range r = t->x0 < 0 ? (struct tap_range){0, t->pixels}
                                             : conv_tap(p->c, t->x0, t->pixels, kx);

        n += pixel >= r.first && pixel < r.end;
    }
    return n;
}

/* What the sum of a pixel is divided by, in all lanes. */
static LLVMValueRef divisor(const struct pool *p, const struct pool_tile *t,
                            const struct pool_row *row, int pixel)
{
    struct emitter *e = p->e;
    const struct conv *c = p->c;
    const int64_t columns = columns_inside(p, t, pixel);

    if (p->count_pad)
        return emit_constant(e, (float)(c->kh * c->kw), emit_lanes(e));
    if (!conv_clips_rows(c))
        return emit_constant(e, (float)(columns ? c->kh * columns : 1), emit_lanes(e));
    LLVMValueRef rows = LLVMBuildSub(e->builder, row->tap_end, row->tap_begin, "");
    LLVMValueRef count = emit_max(e, emit_mul(e, rows, columns), emit_int(e, 1));

    return emit_splat(e, LLVMBuildSIToFP(e->builder, count, e->f32, ""), emit_lanes(e));
}

static void store_tile(const struct pool *p, const struct pool_tile *t,
                       const struct pool_row *row)
{
    struct emitter *e = p->e;

    for (int i = 0; i < t->pixels; i++) {
        LLVMValueRef count = p->max ? NULL : divisor(p, t, row, i);

        for (int j = 0; j < t->vectors; j++) {
            const int64_t at = (i * p->c->out_x + j * emit_lanes(e)) * 4;
            LLVMValueRef x = t->sum[i * t->vectors + j];

            if (count)
                x = LLVMBuildFDiv(e->builder, x, count, "");
            emit_store_part(e, x, emit_at(e, t->out, at), used_lanes(p, t, j));
        }
    }
}

static void emit_pool_tile(const struct pool *p, const struct pool_row *row,
                           struct pool_tile t)
{
    struct emitter *e = p->e;
    const struct conv *c = p->c;
    const float start = p->max ? -INFINITY : 0.0f;
    const int n = t.pixels * t.vectors;
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        t.sum[i] = emit_constant(e, start, emit_lanes(e));
    emit_loop_begin(e, &l, row->tap_begin, row->tap_end, 1, t.sum, n);
    add_kernel_row(
        p, &t, emit_at_value(e, t.in, emit_mul(e, l.at, c->dilation_y * c->in_y * 4)));
    emit_loop_end(e, &l, t.sum);
    store_tile(p, &t, row);
}

/* All channels at output columns x ...: groups of `vectors`, then the rest. */
static void emit_column(const struct pool *p, const struct pool_row *row, int pixels,
                        LLVMValueRef x, int64_t x0)
{
    struct emitter *e = p->e;
    const struct conv *c = p->c;
    const int64_t group = (int64_t)p->vectors * emit_lanes(e);
    const int64_t grouped = c->groups / group, rest = c->groups % group;
    LLVMValueRef in =
        emit_at_value(e, row->in, emit_mul(e, x, c->stride_x * c->in_x * 4));
    LLVMValueRef out = emit_at_value(e, row->out, emit_mul(e, x, c->out_x * 4));
    struct pool_tile t = {.pixels = pixels, .x0 = x0};

    in = emit_at(e, in, -c->pad_left * c->in_x * 4);
    if (grouped) {
        struct emit_loop l = {0};

        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, grouped), 1, NULL, 0);
        LLVMValueRef bytes = emit_mul(e, l.at, group * 4);

        t.vectors = p->vectors;
        t.used = emit_lanes(e);
        t.in = emit_at_value(e, in, bytes);
        t.out = emit_at_value(e, out, bytes);
        emit_pool_tile(p, row, t);
        emit_loop_end(e, &l, NULL);
    }
    if (rest) {
        t.vectors = (int)((rest + emit_lanes(e) - 1) / emit_lanes(e));
        t.used = (int)(rest - (t.vectors - 1) * emit_lanes(e));
        t.in = emit_at(e, in, grouped * group * 4);
        t.out = emit_at(e, out, grouped * group * 4);
        emit_pool_tile(p, row, t);
    }
}

static void emit_columns(const struct pool *p, const struct pool_row *row)
{
    struct emitter *e = p->e;
    const struct row_cut cut = conv_cut_row(p->c, p->pixels);
    struct emit_loop l = {0};

    for (int64_t i = 0; i < cut.n; i++) {
        if (i == cut.left && cut.inner) {
            emit_loop_begin(e, &l, emit_int(e, cut.left),
                            emit_int(e, cut.left + cut.inner), 1, NULL, 0);
            emit_column(p, row, cut.pixels, emit_mul(e, l.at, cut.pixels), -1);
            emit_loop_end(e, &l, NULL);
            i += cut.inner - 1;
            continue;
        }
        emit_column(p, row, i == cut.n - 1 ? cut.last : cut.pixels,
                    emit_int(e, i * cut.pixels), i * cut.pixels);
    }
}

static void emit_unit(const struct pool *p, LLVMValueRef u)
{
    struct emitter *e = p->e;
    const struct conv *c = p->c;
    struct pool_row row;
    LLVMValueRef y, image = emit_divide(e, u, c->oh, &y);
    LLVMValueRef iy = emit_add(e, emit_mul(e, y, c->stride_y), -c->pad_top);

    row.in = emit_at_value(e, LLVMGetParam(p->function, CORE_IN),
                           emit_mul(e, image, c->in_n * 4));
    row.in = emit_at_value(e, row.in, emit_mul(e, iy, c->in_y * 4));
    row.out = emit_at_value(e, LLVMGetParam(p->function, CORE_OUT),
                            emit_mul(e, image, c->out_n * 4));
    row.out = emit_at_value(e, row.out, emit_mul(e, y, c->out_y * 4));
    emit_kernel_rows(e, c, iy, &row.tap_begin, &row.tap_end);
    emit_columns(p, &row);
}

/* Few pixels, many channels: vectors make up for it. */
static void choose_tile(struct pool *p)
{
    const int64_t vectors = (p->c->groups + emit_lanes(p->e) - 1) / emit_lanes(p->e);

    p->vectors = 1;
    p->pixels = p->c->ow < TILE_SUMS / 2 ? (int)p->c->ow : TILE_SUMS / 2;
    while (p->pixels * p->vectors * 2 <= TILE_SUMS && p->vectors * 2 <= vectors)
        p->vectors *= 2;
}

LLVMValueRef emit_pool(struct emitter *e, const struct conv *c, bool max,
                       bool count_pad, const char *name)
{
    struct pool p = {.e = e, .c = c, .max = max, .count_pad = count_pad};
    struct emit_loop l = {0};

    assert(c->in_c == 1);
    choose_tile(&p);
    p.function = emit_core(e, name);
    emit_loop_begin(e, &l, LLVMGetParam(p.function, CORE_BEGIN),
                    LLVMGetParam(p.function, CORE_END), 1, NULL, 0);
    emit_unit(&p, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return p.function;
}
