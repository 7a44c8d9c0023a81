/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the sums of an integer tile, before and after: bias, zero points of
 * weights, scaling, the fused Add, packing. */
#include <assert.h>
#include <stddef.h>

#include "codegen/emit_int_tile.h"
#include "codegen/int_shape.h"

static bool shifted(const struct int_tile *t)
{
    return t->c->weight_bits == 4;
}

static LLVMValueRef row_at(struct emitter *e, const struct int_tile *t,
                           LLVMValueRef row, LLVMTypeRef element, int vector)
{
    return int_load(e, int_vector(e, element, int_tile_lanes(t, vector)),
                    emit_at(e, row, int_tile_vector_at(t, vector)));
}

void int_tile_start(struct emitter *e, struct int_tile *t,
                    const struct int_tile_end *end)
{
    assert(t->pixels * t->vectors + 2 <= EMIT_MAX_CARRY && t->pixels <= INT_MAX_PIXELS
           && t->vectors <= INT_MAX_VECTORS);
    for (int j = 0; j < t->vectors; j++)
        for (int i = 0; i < t->pixels; i++) {
            LLVMTypeRef type = int_vector(e, e->i32, int_tile_lanes(t, j));

            t->sum[i * t->vectors + j] = shifted(t)
                                             ? LLVMConstNull(type)
                                             : row_at(e, t, end->bias[i], e->i32, j);
        }
}

/* ---- accumulators ------------------------------------------------------------ */

static LLVMValueRef subtract_product(struct emitter *e, LLVMValueRef x, LLVMValueRef a,
                                     LLVMValueRef b)
{
    return LLVMBuildSub(e->builder, x, LLVMBuildMul(e->builder, a, b, ""), "");
}

/* The accumulator of a pixel's vector: what unsigned weights added is taken back, sums
 * of 4-bit weights are divided by 16, then zero points of weights and the bias. */
static LLVMValueRef accumulator(struct emitter *e, const struct int_tile *t,
                                const struct int_tile_end *end, int pixel, int vector)
{
    const int lanes = int_tile_lanes(t, vector);
    LLVMValueRef x = t->sum[pixel * t->vectors + vector], window = NULL;

    if (t->window[pixel])
        window = emit_splat(e, t->window[pixel], lanes);
    if (t->form == INT_DOT_SU)
        x = subtract_product(e, x, window, int_splat(e, e->i32, 128, lanes));
    if (shifted(t))
        x = LLVMBuildAShr(e->builder, x, int_splat(e, e->i32, 4, lanes), "");
    if (t->c->weight_zeros)
        x = subtract_product(e, x, window,
                             row_at(e, t, end->weight_zero, e->i32, vector));
    if (shifted(t))
        x = LLVMBuildAdd(e->builder, x, row_at(e, t, end->bias[pixel], e->i32, vector),
                         "");
    return x;
}

static LLVMValueRef scaled(struct emitter *e, const struct int_tile *t,
                           const struct int_tile_end *end, int pixel, int vector)
{
    LLVMValueRef x = int_to_float(e, accumulator(e, t, end, pixel, vector));

    return LLVMBuildFMul(e->builder, x, row_at(e, t, end->m, e->f32, vector), "");
}

/* ---- the fused Add ----------------------------------------------------------- */

static LLVMValueRef number(struct emitter *e, const struct int_tile_end *end,
                           size_t offset, LLVMTypeRef element, int lanes)
{
    return int_field(e, end->header, offset, element, lanes);
}

/* t becomes a code, from which its zero point is subtracted again: only rounding and
 * limits are left of that.  Then both operands in the result's scale. */
static LLVMValueRef add_residual(struct emitter *e, const struct int_tile_end *end,
                                 LLVMValueRef t, LLVMValueRef residual)
{
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(t));
    LLVMBuilderRef b = e->builder;

#define NUMBER(name, element)                                                          \
    number(e, end, offsetof(struct int_header, name), (element), lanes)
    t = int_least(e, t, NUMBER(mid_most, e->f32));
    t = int_most(e, t, NUMBER(mid_least, e->f32));
    t = int_to_float(e, int_round(e, t));
    t = LLVMBuildFMul(b, t, NUMBER(a_factor, e->f32), "");
    residual = LLVMBuildSub(b, residual, NUMBER(b_zero, e->i32), "");
    residual =
        LLVMBuildFMul(b, int_to_float(e, residual), NUMBER(b_factor, e->f32), "");
#undef NUMBER
    return LLVMBuildFAdd(b, t, residual, "");
}

static LLVMValueRef load_residual(struct emitter *e, const struct int_tile *t,
                                  LLVMValueRef p, int lanes, int used)
{
    LLVMValueRef x = int_load_part(e, int_vector(e, e->i8, lanes), p, used);

    return t->c->residual_signed ? int_flip(e, x) : x;
}

/* ---- codes ------------------------------------------------------------------- */

static int used_of(const struct int_tile *t, int64_t at, int n)
{
    return t->channels - at < n ? (int)(t->channels - at) : n;
}

/* A pixel's results, kept until all of its residual is read: the two are often the same
 * memory. */
struct results {
    int n;
    LLVMValueRef x[INT_MAX_VECTORS];
    int64_t at[INT_MAX_VECTORS]; /* bytes into the pixel */
    int used[INT_MAX_VECTORS];
};

static void keep(struct emitter *e, const struct int_tile *t, struct results *r,
                 LLVMValueRef x, int64_t at, int used)
{
    r->x[r->n] = t->c->out_signed ? int_flip(e, x) : x;
    r->at[r->n] = at;
    r->used[r->n++] = used;
}

/* Vectors j ... j + 3 together. */
static void finish_four(struct emitter *e, const struct int_tile *t,
                        const struct int_tile_end *end, int pixel, int j,
                        struct results *r)
{
    const int n = 4 * t->lanes;
    const int64_t at = (int64_t)j * t->lanes;
    LLVMValueRef x[4], residual[4];

    for (int k = 0; k < 4; k++)
        x[k] = scaled(e, t, end, pixel, j + k);
    if (end->residual) {
        LLVMValueRef p = emit_at(e, end->residual, pixel * end->residual_pixel + at);

        int_widen(e, load_residual(e, t, p, n, used_of(t, at, n)), residual);
        for (int k = 0; k < 4; k++)
            x[k] = add_residual(e, end, x[k], residual[k]);
    }
    keep(e, t, r, int_settle4(e, end->header, x), at, used_of(t, at, n));
}

static void finish_one(struct emitter *e, const struct int_tile *t,
                       const struct int_tile_end *end, int pixel, int j,
                       struct results *r)
{
    const int lanes = int_tile_lanes(t, j);
    const int64_t at = (int64_t)j * t->lanes;
    const int used = used_of(t, at, lanes);
    LLVMValueRef x = scaled(e, t, end, pixel, j);

    if (end->residual) {
        LLVMValueRef p = emit_at(e, end->residual, pixel * end->residual_pixel + at);
        LLVMValueRef other = load_residual(e, t, p, lanes, used);

        other = LLVMBuildZExt(e->builder, other, int_vector(e, e->i32, lanes), "");
        x = add_residual(e, end, x, other);
    }
    keep(e, t, r, int_settle1(e, end->header, x), at, used);
}

static void finish_codes(struct emitter *e, const struct int_tile *t,
                         const struct int_tile_end *end, int pixel, LLVMValueRef out)
{
    struct results r = {0};
    int j = 0;

    for (; j + 4 <= t->vectors; j += 4)
        finish_four(e, t, end, pixel, j, &r);
    for (; j < t->vectors; j++)
        finish_one(e, t, end, pixel, j, &r);
    for (int i = 0; i < r.n; i++)
        int_store_part(e, r.x[i], emit_at(e, out, pixel * end->out_pixel + r.at[i]),
                       r.used[i]);
}

/* ---- wide results ------------------------------------------------------------ */

static void finish_wide(struct emitter *e, const struct int_tile *t,
                        const struct int_tile_end *end, int pixel, LLVMValueRef out)
{
    for (int j = 0; j < t->vectors; j++) {
        LLVMValueRef p =
            emit_at(e, out, pixel * end->out_pixel + int_tile_vector_at(t, j));
        LLVMValueRef x = t->c->result == INT_ACC ? accumulator(e, t, end, pixel, j)
                                                 : scaled(e, t, end, pixel, j);

        int_store_part(e, x, p,
                       used_of(t, (int64_t)j * t->lanes, int_tile_lanes(t, j)));
    }
}

void int_tile_finish(struct emitter *e, struct int_tile *t,
                     const struct int_tile_end *end, LLVMValueRef out)
{
    for (int i = 0; i < t->pixels; i++) {
        if (t->c->result == INT_CODES)
            finish_codes(e, t, end, i, out);
        else
            finish_wide(e, t, end, i, out);
    }
}
