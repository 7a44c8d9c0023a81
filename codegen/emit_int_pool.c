/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of codes, channels last: vectors of bytes run over channels.  Maxima stay
 * bytes; sums are four vectors of 32 bits for one of bytes.  Columns outside of the
 * input are left out statically, rows by the bounds of their loop, as in emit_pool.c.
 */
#include <assert.h>

#include "codegen/emit_int_build.h"

enum {
    MAX_TILE = 4,   /* vectors of a tile's outputs: maxima ... */
    SUM_TILE = 2,   /* ... and sums, times four */
    WRITE_OUT = 8,  /* kernel columns of an inner tile that are written out */
    NARROW = 8,     /* maps on which units are parts of the channels */
    CHUNK = 4,      /* vectors of such a part */
    LEAST_MAX = 8,  /* bytes of a narrow vector: of maxima ... */
    LEAST_SUM = 16, /* ... and of sums, which are settled in blocks of so many */
};

struct pool {
    struct emitter *e;
    const struct int_pool *c;
    const struct conv *s;
    struct int_classes rows, columns;
    int pixels;      /* of a tile */
    int64_t vectors; /* of channels; the last may be narrow */
    LLVMValueRef function;
};

/* One output row at channel 0; kernel rows [tap_begin, tap_end) exist. */
struct pool_row {
    LLVMValueRef in, out, classes, tap_begin, tap_end;
};

/* A tile of one vector of channels, `used` of its `bytes`. */
struct pool_tile {
    int pixels, used, bytes;
    int64_t x0; /* -1: an inner tile */
    LLVMValueRef in, out, classes;
    LLVMValueRef sum[4 * MAX_TILE];
};

static LLVMValueRef param(const struct pool *p, unsigned i)
{
    return LLVMGetParam(p->function, i);
}

static int bytes_of(const struct isa *isa)
{
    return isa->vector_bytes;
}

static int64_t chunk_vectors(const struct int_pool *c, const struct isa *isa)
{
    const int64_t all = (c->shape.groups + bytes_of(isa) - 1) / bytes_of(isa);

    return c->shape.ow < NARROW && all > CHUNK ? CHUNK : all;
}

int64_t int_pool_units(const struct int_pool *c, const struct isa *isa)
{
    const int64_t all = (c->shape.groups + bytes_of(isa) - 1) / bytes_of(isa);
    const int64_t chunk = chunk_vectors(c, isa);

    return c->shape.n * c->shape.oh * ((all + chunk - 1) / chunk);
}

/* Of a vector for `used` channels.  A load that leaves most of a register out takes as
 * long as a whole one, across two lines of the cache where that would lie across. */
static int narrow_bytes(const struct pool *p, int used)
{
    int bytes = bytes_of(p->e->isa);

    while (bytes > (p->c->max ? LEAST_MAX : LEAST_SUM) && bytes / 2 >= used)
        bytes /= 2;
    return bytes;
}

/* ---- taps -------------------------------------------------------------------- */

static int n_sums(const struct pool *p, const struct pool_tile *t)
{
    return p->c->max ? t->pixels : 4 * t->pixels;
}

static void combine(const struct pool *p, struct pool_tile *t, int pixel,
                    LLVMValueRef x)
{
    struct emitter *e = p->e;
    LLVMValueRef wide[4], *sum = &t->sum[4 * pixel];

    if (p->c->max) {
        t->sum[pixel] =
            int_limit(e, p->c->in_signed ? "llvm.smax" : "llvm.umax", t->sum[pixel], x);
        return;
    }
    int_widen(e, p->c->in_signed ? int_flip(e, x) : x, wide);
    for (int i = 0; i < 4; i++)
        sum[i] = LLVMBuildAdd(e->builder, sum[i], wide[i], "");
}

/* The tap at `in` of pixels [first, end). */
static void add_tap(const struct pool *p, struct pool_tile *t, LLVMValueRef in,
                    struct tap_range r)
{
    struct emitter *e = p->e;
    LLVMTypeRef bytes = int_vector(e, e->i8, t->bytes);

    for (int i = r.first; i < r.end; i++) {
        LLVMValueRef at = emit_at(e, in, i * p->s->stride_x * p->s->in_x);

        combine(p, t, i, int_load_part(e, bytes, at, t->used));
    }
}

static void add_kernel_row(const struct pool *p, struct pool_tile *t, LLVMValueRef in)
{
    struct emitter *e = p->e;
    const struct conv *s = p->s;
    const int64_t tap_bytes = s->dilation_x * s->in_x;
    const struct tap_range all = {0, t->pixels};
    struct emit_loop l = {0};

    if (t->x0 < 0 && s->kw > WRITE_OUT) {
        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, s->kw), 1, t->sum,
                        n_sums(p, t));
        add_tap(p, t, emit_at_value(e, in, emit_mul(e, l.at, tap_bytes)), all);
        emit_loop_end(e, &l, t->sum);
        return;
    }
    for (int64_t kx = 0; kx < s->kw; kx++)
        add_tap(p, t, emit_at(e, in, kx * tap_bytes),
                t->x0 < 0 ? all : conv_tap(s, t->x0, t->pixels, kx));
}

/* ---- results ----------------------------------------------------------------- */

static LLVMValueRef average(const struct pool *p, const struct pool_tile *t, int pixel)
{
    struct emitter *e = p->e;
    const int lanes = t->bytes / 4;
    const int64_t class = t->x0 < 0
                              ? p->columns.before
                              : int_class_of(&p->columns, p->s->ow, t->x0 + pixel);
    LLVMValueRef at = emit_at(e, t->classes, class * 8), x[4], y;
    LLVMValueRef bias = int_load_splat(e, e->i32, at, lanes);
    LLVMValueRef m = int_load_splat(e, e->f32, emit_at(e, at, 4), lanes);

    for (int i = 0; i < 4; i++) {
        x[i] = LLVMBuildAdd(e->builder, t->sum[4 * pixel + i], bias, "");
        x[i] = LLVMBuildFMul(e->builder, int_to_float(e, x[i]), m, "");
    }
    y = int_settle4(e, param(p, CORE_BIAS), x);
    return p->c->out_signed ? int_flip(e, y) : y;
}

static void emit_pool_tile(const struct pool *p, const struct pool_row *row,
                           struct pool_tile t)
{
    struct emitter *e = p->e;
    const int bytes = t.bytes, n = n_sums(p, &t);
    LLVMValueRef least = int_splat(e, e->i8, p->c->in_signed ? -128 : 0, bytes);
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        t.sum[i] = p->c->max ? least : LLVMConstNull(int_vector(e, e->i32, bytes / 4));
    emit_loop_begin(e, &l, row->tap_begin, row->tap_end, 1, t.sum, n);
    add_kernel_row(
        p, &t,
        emit_at_value(e, t.in, emit_mul(e, l.at, p->s->dilation_y * p->s->in_y)));
    emit_loop_end(e, &l, t.sum);
    for (int i = 0; i < t.pixels; i++)
        int_store_part(e, p->c->max ? t.sum[i] : average(p, &t, i),
                       emit_at(e, t.out, i * p->s->out_x), t.used);
}

/* ---- rows and units ---------------------------------------------------------- */

/* All columns for the vector of channels that starts at `channel`. */
static void emit_columns(const struct pool *p, const struct pool_row *row,
                         LLVMValueRef channel, int used)
{
    struct emitter *e = p->e;
    const struct row_cut cut = conv_cut_row(p->s, p->pixels);

    for (int64_t i = 0; i < cut.n; i++) {
        const bool inner = i == cut.left && cut.inner > 0;
        struct pool_tile t = {.pixels = i == cut.n - 1 ? cut.last : cut.pixels,
                              .used = used,
                              .bytes = narrow_bytes(p, used),
                              .x0 = i * cut.pixels,
                              .classes = row->classes};
        LLVMValueRef x = emit_int(e, t.x0), in;
        struct emit_loop l = {0};

        if (inner) {
            emit_loop_begin(e, &l, emit_int(e, cut.left),
                            emit_int(e, cut.left + cut.inner), 1, NULL, 0);
            x = emit_mul(e, l.at, cut.pixels);
            t.x0 = -1;
            t.pixels = cut.pixels;
        }
        in = emit_at_value(e, row->in, emit_mul(e, x, p->s->stride_x * p->s->in_x));
        t.in = emit_at_value(e, emit_at(e, in, -p->s->pad_left * p->s->in_x), channel);
        t.out = emit_at_value(
            e, emit_at_value(e, row->out, emit_mul(e, x, p->s->out_x)), channel);
        emit_pool_tile(p, row, t);
        if (inner) {
            emit_loop_end(e, &l, NULL);
            i += cut.inner - 1;
        }
    }
}

static struct pool_row place_row(const struct pool *p, LLVMValueRef image,
                                 LLVMValueRef y)
{
    struct emitter *e = p->e;
    const struct conv *s = p->s;
    LLVMValueRef iy = emit_add(e, emit_mul(e, y, s->stride_y), -s->pad_top);
    LLVMValueRef in = emit_at_value(e, param(p, CORE_IN), emit_mul(e, image, s->in_n));
    LLVMValueRef out =
        emit_at_value(e, param(p, CORE_OUT), emit_mul(e, image, s->out_n));
    struct pool_row row = {
        .in = emit_at_value(e, in, emit_mul(e, iy, s->in_y)),
        .out = emit_at_value(e, out, emit_mul(e, y, s->out_y)),
    };

    if (!p->c->max)
        row.classes = emit_at_value(
            e, emit_at(e, param(p, CORE_BIAS), sizeof(struct int_header)),
            emit_mul(e, int_class_value(e, &p->rows, s->oh, y), p->columns.n * 8));
    emit_kernel_rows(e, s, iy, &row.tap_begin, &row.tap_end);
    return row;
}

static void emit_unit(const struct pool *p, LLVMValueRef u)
{
    struct emitter *e = p->e;
    const int bytes = bytes_of(e->isa), narrow = (int)(p->s->groups % bytes);
    const int64_t size = chunk_vectors(p->c, e->isa);
    const int64_t chunks = (p->vectors + size - 1) / size, whole = p->s->groups / bytes;
    LLVMValueRef y, chunk;
    LLVMValueRef image =
        emit_divide(e, emit_divide(e, u, chunks, &chunk), p->s->oh, &y);
    const struct pool_row row = place_row(p, image, y);
    LLVMValueRef first = emit_mul(e, chunk, size);
    LLVMValueRef end = emit_min(e, emit_add(e, first, size), emit_int(e, whole));
    struct emit_loop l = {0};
    struct emit_if last;

    if (whole) {
        emit_loop_begin(e, &l, first, end, 1, NULL, 0);
        emit_columns(p, &row, emit_mul(e, l.at, bytes), bytes);
        emit_loop_end(e, &l, NULL);
    }
    if (!narrow)
        return;
    emit_if_begin(
        e, &last,
        LLVMBuildICmp(e->builder, LLVMIntEQ, chunk, emit_int(e, chunks - 1), ""), NULL,
        0);
    emit_columns(p, &row, emit_int(e, whole * bytes), narrow);
    emit_if_end(e, &last, NULL);
}

LLVMValueRef emit_int_pool(struct emitter *e, const struct int_pool *c,
                           const char *name)
{
    const int most = c->max ? MAX_TILE : SUM_TILE;
    struct pool p = {
        .e = e,
        .c = c,
        .s = &c->shape,
        .rows = int_row_classes(&c->shape),
        .columns = int_column_classes(&c->shape),
        .pixels = c->shape.ow < most ? (int)c->shape.ow : most,
        .vectors = (c->shape.groups + bytes_of(e->isa) - 1) / bytes_of(e->isa),
    };
    struct emit_loop l = {0};

    assert(c->shape.in_c == 1 && (!c->max || c->in_signed == c->out_signed));
    p.function = emit_core(e, name);
    emit_loop_begin(e, &l, param(&p, CORE_BEGIN), param(&p, CORE_END), 1, NULL, 0);
    emit_unit(&p, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return p.function;
}
