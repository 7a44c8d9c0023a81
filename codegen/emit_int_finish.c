/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the sums of an integer tile, before and after: bias, zero points of
 * weights, scaling, the activation, the fused Add, packing. */
#include <assert.h>
#include <stddef.h>

#include "codegen/emit_int_tile.h"

enum { MAX_LANES = 16 };

static bool shifted(const struct int_tile *t)
{
    return t->c->weight_bits == 4 && t->form != INT_BYTES;
}

/* ---- deep vectors -------------------------------------------------------------
 *
 * Those of as many pixels as each has sums of a channel become one, in which they are
 * finished together.  Where pixels run out the last one stands in. */

static int together(const struct int_tile *t, int vector)
{
    return int_tile_is_deep(t, vector) ? t->depth : 1;
}

static int pixel_of(const struct int_tile *t, int pixel, int k)
{
    return pixel + k < t->pixels ? pixel + k : t->pixels - 1;
}

/* Vectors one after the other; n is a power of two, x is overwritten. */
static LLVMValueRef join(struct emitter *e, LLVMValueRef *x, int n)
{
    int index[4 * MAX_LANES];

    for (; n > 1; n /= 2)
        for (int k = 0; k < n / 2; k++) {
            const int lanes = 2 * (int)LLVMGetVectorSize(LLVMTypeOf(x[2 * k]));

            for (int i = 0; i < lanes; i++)
                index[i] = i;
            x[k] = emit_shuffle(e, x[2 * k], x[2 * k + 1], index, lanes);
        }
    return x[0];
}

/* Lanes [first, first + n). */
static LLVMValueRef part(struct emitter *e, LLVMValueRef x, int first, int n)
{
    int index[4 * MAX_LANES];

    if (n == (int)LLVMGetVectorSize(LLVMTypeOf(x)))
        return x;
    for (int i = 0; i < n; i++)
        index[i] = first + i;
    return emit_shuffle(e, x, x, index, n);
}

/* Neighbouring lanes of two vectors added, the first one's before the other's. */
static LLVMValueRef add_neighbours(struct emitter *e, LLVMValueRef a, LLVMValueRef b)
{
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(a));
    int even[MAX_LANES], odd[MAX_LANES];

    for (int i = 0; i < lanes; i++) {
        even[i] = 2 * i;
        odd[i] = 2 * i + 1;
    }
    return LLVMBuildAdd(e->builder, emit_shuffle(e, a, b, even, lanes),
                        emit_shuffle(e, a, b, odd, lanes), "");
}

/* Sums of the pixels that are finished with `pixel`. */
static LLVMValueRef sums_of(struct emitter *e, const struct int_tile *t, int pixel,
                            int vector)
{
    LLVMValueRef x[MAX_LANES];

    for (int k = 0; k < together(t, vector); k++)
        x[k] = t->sum[pixel_of(t, pixel, k) * t->vectors + vector];
    for (int n = together(t, vector); n > 1; n /= 2)
        for (int k = 0; k < n / 2; k++)
            x[k] = add_neighbours(e, x[2 * k], x[2 * k + 1]);
    return x[0];
}

/* ---- rows of the epilogue ----------------------------------------------------- */

static LLVMValueRef part_of_row(struct emitter *e, const struct int_tile *t,
                                LLVMValueRef row, LLVMTypeRef element, int vector)
{
    return int_load(e, int_vector(e, element, int_tile_lanes(t, vector)),
                    emit_at(e, row, int_tile_vector_at(t, vector)));
}

/* For all pixels of a vector. */
static LLVMValueRef row_at(struct emitter *e, const struct int_tile *t,
                           LLVMValueRef row, LLVMTypeRef element, int vector)
{
    LLVMValueRef x[MAX_LANES];

    for (int k = 0; k < together(t, vector); k++)
        x[k] = part_of_row(e, t, row, element, vector);
    return join(e, x, together(t, vector));
}

static LLVMValueRef bias_at(struct emitter *e, const struct int_tile *t,
                            const struct int_tile_end *end, int pixel, int vector)
{
    LLVMValueRef x[MAX_LANES];

    for (int k = 0; k < together(t, vector); k++)
        x[k] = part_of_row(e, t, end->bias[pixel_of(t, pixel, k)], e->i32, vector);
    return join(e, x, together(t, vector));
}

/* Sums of inputs. */
static LLVMValueRef window_at(struct emitter *e, const struct int_tile *t, int pixel,
                              int vector)
{
    LLVMValueRef x[MAX_LANES];

    for (int k = 0; k < together(t, vector); k++)
        x[k] =
            emit_splat(e, t->window[pixel_of(t, pixel, k)], int_tile_lanes(t, vector));
    return join(e, x, together(t, vector));
}

/* A pixel's bias as a vector's sums start with it: in the first of each channel. */
static LLVMValueRef first_sums(struct emitter *e, const struct int_tile *t,
                               const struct int_tile_end *end, int pixel, int vector)
{
    const int n = together(t, vector), lanes = int_tile_lanes(t, vector);
    LLVMValueRef bias = part_of_row(e, t, end->bias[pixel], e->i32, vector);
    int index[MAX_LANES];

    if (n == 1)
        return bias;
    for (int i = 0; i < n * lanes; i++)
        index[i] = i % n ? lanes : i / n;
    return emit_shuffle(e, bias, LLVMConstNull(LLVMTypeOf(bias)), index, n * lanes);
}

void int_tile_start(struct emitter *e, struct int_tile *t,
                    const struct int_tile_end *end)
{
    assert(t->pixels * t->vectors + 2 <= EMIT_MAX_CARRY && t->pixels <= INT_MAX_PIXELS
           && t->vectors <= INT_MAX_VECTORS);
    for (int j = 0; j < t->vectors; j++)
        for (int i = 0; i < t->pixels; i++) {
            LLVMTypeRef type = int_vector(e, e->i32, int_tile_sums(t, j));

            t->sum[i * t->vectors + j] =
                shifted(t) ? LLVMConstNull(type) : first_sums(e, t, end, i, j);
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
    const int lanes = int_tile_sums(t, vector);
    LLVMValueRef x = sums_of(e, t, pixel, vector), window = NULL;

    if (t->window[pixel])
        window = window_at(e, t, pixel, vector);
    if (t->form == INT_DOT_SU)
        x = subtract_product(e, x, window, int_splat(e, e->i32, 128, lanes));
    if (shifted(t))
        x = LLVMBuildAShr(e->builder, x, int_splat(e, e->i32, 4, lanes), "");
    if (t->c->weight_zeros)
        x = subtract_product(e, x, window,
                             row_at(e, t, end->weight_zero, e->i32, vector));
    if (shifted(t))
        x = LLVMBuildAdd(e->builder, x, bias_at(e, t, end, pixel, vector), "");
    return x;
}

static LLVMValueRef activated(struct emitter *e, const struct int_tile *t,
                              const struct int_tile_end *end, LLVMValueRef x,
                              int vector)
{
    const struct conv *c = &t->c->shape;
    LLVMBuilderRef b = e->builder;

    if (!t->c->has_slopes)
        return emit_activation(e, x, c->act, c->act_a, c->act_b);
    LLVMValueRef low =
        LLVMBuildFMul(b, x, row_at(e, t, end->slope, e->f32, vector), "");
    LLVMValueRef is_above =
        LLVMBuildFCmp(b, LLVMRealOGT, x, LLVMConstNull(LLVMTypeOf(x)), "");

    return LLVMBuildSelect(b, is_above, x, low, "");
}

static LLVMValueRef scaled(struct emitter *e, const struct int_tile *t,
                           const struct int_tile_end *end, int pixel, int vector)
{
    LLVMValueRef x = int_to_float(e, accumulator(e, t, end, pixel, vector));

    x = LLVMBuildFMul(e->builder, x, row_at(e, t, end->m, e->f32, vector), "");
    x = activated(e, t, end, x, vector);
    if (!t->c->has_after)
        return x;
    return LLVMBuildFMul(e->builder, x,
                         int_field(e, end->header, offsetof(struct int_header, after),
                                   e->f32, int_tile_sums(t, vector)),
                         "");
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

static void store_codes(struct emitter *e, const struct int_tile *t,
                        const struct int_tile_end *end, LLVMValueRef x, int pixel,
                        int j, LLVMValueRef out)
{
    const int64_t at = (int64_t)j * t->lanes;
    LLVMValueRef p = emit_at(e, out, pixel * end->out_pixel + at);

    if (t->c->out_signed)
        x = int_flip(e, x);
    int_store_part(e, x, p, used_of(t, at, (int)LLVMGetVectorSize(LLVMTypeOf(x))));
}

/* Vectors j ... j + 3 of a pixel together. */
static void finish_four(struct emitter *e, const struct int_tile *t,
                        const struct int_tile_end *end, int pixel, int j,
                        LLVMValueRef out)
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
    store_codes(e, t, end, int_settle4(e, end->header, x), pixel, j, out);
}

/* The residual of the pixels that are finished with `pixel`. */
static LLVMValueRef residual_at(struct emitter *e, const struct int_tile *t,
                                const struct int_tile_end *end, int pixel, int j)
{
    const int lanes = int_tile_lanes(t, j);
    const int64_t at = (int64_t)j * t->lanes;
    LLVMValueRef x[MAX_LANES];

    for (int k = 0; k < together(t, j); k++) {
        const int64_t p = pixel_of(t, pixel, k) * end->residual_pixel + at;

        x[k] = load_residual(e, t, emit_at(e, end->residual, p), lanes,
                             used_of(t, at, lanes));
    }
    return join(e, x, together(t, j));
}

/* A vector that is not packed with its neighbours, in order, before it is rounded. */
static LLVMValueRef single(struct emitter *e, const struct int_tile *t,
                           const struct int_tile_end *end, int pixel, int j)
{
    LLVMValueRef x = scaled(e, t, end, pixel, j);

    if (!end->residual)
        return x;
    LLVMValueRef other = residual_at(e, t, end, pixel, j);

    other = LLVMBuildZExt(e->builder, other, int_vector(e, e->i32, int_tile_sums(t, j)),
                          "");
    return add_residual(e, end, x, other);
}

/* Codes of vector j of neighbouring pixels, those that exist. */
static void store_pixels(struct emitter *e, const struct int_tile *t,
                         const struct int_tile_end *end, LLVMValueRef x, int pixel,
                         int n, int j, LLVMValueRef out)
{
    const int lanes = int_tile_lanes(t, j);

    for (int k = 0; k < n && pixel + k < t->pixels; k++)
        store_codes(e, t, end, part(e, x, k * lanes, lanes), pixel + k, j, out);
}

/* Vector j of `n` pixels, or times those that go together, 3 or 4, packed and put in
 * order again. */
static void finish_pixels(struct emitter *e, const struct int_tile *t,
                          const struct int_tile_end *end, int pixel, int n, int j,
                          LLVMValueRef out)
{
    const int lanes = int_tile_sums(t, j), each = together(t, j);
    int index[4 * MAX_LANES];
    LLVMValueRef x[4], all;

    for (int k = 0; k < 4; k++)
        x[k] = k < n ? single(e, t, end, pixel + k * each, j) : x[n - 1];
    for (int i = 0; i < 4 * lanes; i++)
        index[i] = i % lanes / 4 * 16 + i / lanes * 4 + i % 4;
    all = int_settle4(e, end->header, x);
    all = emit_shuffle(e, all, all, index, 4 * lanes);
    store_pixels(e, t, end, all, pixel, n * each, j, out);
}

static void finish_singles(struct emitter *e, const struct int_tile *t,
                           const struct int_tile_end *end, int j, LLVMValueRef out)
{
    const int each = together(t, j);

    for (int i = 0; i < t->pixels;) {
        const int left = (t->pixels - i + each - 1) / each, n = left < 4 ? left : 4;

        if (n >= 3) {
            finish_pixels(e, t, end, i, n, j, out);
            i += n * each;
            continue;
        }
        store_pixels(e, t, end, int_settle1(e, end->header, single(e, t, end, i, j)), i,
                     each, j, out);
        i += each;
    }
}

/* Vectors j and j + 1 of two pixels, or of one, packed together and put in order. */
static void finish_two(struct emitter *e, const struct int_tile *t,
                       const struct int_tile_end *end, int pixel, int n, int j,
                       LLVMValueRef out)
{
    const int lanes = t->lanes;
    int index[4 * MAX_LANES];
    LLVMValueRef x[4], all;

    for (int k = 0; k < 4; k++)
        x[k] = k < 2 * n ? single(e, t, end, pixel + k / 2, j + k % 2) : x[k - 2];
    for (int i = 0; i < 4 * lanes; i++)
        index[i] = i % lanes / 4 * 16 + i / lanes * 4 + i % 4;
    all = int_settle4(e, end->header, x);
    all = emit_shuffle(e, all, all, index, 4 * lanes);
    for (int k = 0; k < n; k++)
        store_codes(e, t, end, part(e, all, 2 * k * lanes, 2 * lanes), pixel + k, j,
                    out);
}

/* Two vectors are left, as wide as the others: the usual tile of few registers. */
static bool takes_two(const struct emitter *e, const struct int_tile *t)
{
    return t->vectors % 4 == 2 && t->last_lanes == t->lanes
           && int_in_pixel_pairs(e->isa, t->form);
}

/* Vectors share no channels, so where residual and results are the same memory each is
 * read before it is written. */
static void finish_codes(struct emitter *e, const struct int_tile *t,
                         const struct int_tile_end *end, LLVMValueRef out)
{
    const int packed = t->vectors / 4 * 4;

    for (int i = 0; i < t->pixels; i++)
        for (int j = 0; j < packed; j += 4)
            finish_four(e, t, end, i, j, out);
    if (takes_two(e, t)) {
        for (int i = 0; i < t->pixels; i += 2)
            finish_two(e, t, end, i, t->pixels - i < 2 ? 1 : 2, packed, out);
        return;
    }
    for (int j = packed; j < t->vectors; j++)
        finish_singles(e, t, end, j, out);
}

/* ---- wide results ------------------------------------------------------------ */

/* Vector j of the pixels that are finished with `pixel`. */
static void finish_wide(struct emitter *e, const struct int_tile *t,
                        const struct int_tile_end *end, int pixel, int j,
                        LLVMValueRef out)
{
    const int lanes = int_tile_lanes(t, j), n = together(t, j);
    LLVMValueRef x = t->c->result == INT_ACC ? accumulator(e, t, end, pixel, j)
                                             : scaled(e, t, end, pixel, j);

    for (int k = 0; k < n && pixel + k < t->pixels; k++) {
        const int64_t at = (pixel + k) * end->out_pixel + int_tile_vector_at(t, j);

        int_store_part(e, part(e, x, k * lanes, lanes), emit_at(e, out, at),
                       used_of(t, (int64_t)j * t->lanes, lanes));
    }
}

void int_tile_finish(struct emitter *e, struct int_tile *t,
                     const struct int_tile_end *end, LLVMValueRef out)
{
    if (t->c->result == INT_CODES) {
        finish_codes(e, t, end, out);
        return;
    }
    for (int j = 0; j < t->vectors; j++)
        for (int i = 0; i < t->pixels; i += together(t, j))
            finish_wide(e, t, end, i, j, out);
}
