/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of an integer tile: see emit_int_tile.h. */
#include "codegen/emit_int_tile.h"

#include <assert.h>

static const uint32_t FLIP_ALL = 0x80808080;

int int_tile_lanes(const struct int_tile *t, int vector)
{
    return vector == t->vectors - 1 ? t->last_lanes : t->lanes;
}

int64_t int_tile_vector_at(const struct int_tile *t, int vector)
{
    return (int64_t)vector * t->lanes * 4;
}

static bool is_dot(const struct int_tile *t)
{
    return t->form != INT_PAIR && t->form != INT_LANE;
}

/* ---- inputs ------------------------------------------------------------------ */

/* Unsigned inputs where both factors are signed: an int32, or a vector of them. */
static LLVMValueRef flip_input(struct emitter *e, const struct int_tile *t,
                               LLVMValueRef x, uint32_t bits)
{
    LLVMTypeRef type = LLVMTypeOf(x);

    if (t->form != INT_DOT_SS || t->c->in_signed)
        return x;
    return LLVMBuildXor(e->builder, x,
                        LLVMGetTypeKind(type) == LLVMVectorTypeKind
                            ? int_splat(e, e->i32, bits, 4)
                            : LLVMConstInt(e->i32, bits, 0),
                        "");
}

LLVMValueRef int_tile_input(struct emitter *e, const struct int_tile *t, LLVMValueRef p)
{
    return flip_input(e, t, int_load(e, e->i32, p), FLIP_ALL);
}

/* Neighbouring inputs in as few loads as possible: 3 are 2 + 1. */
LLVMValueRef int_tile_input_part(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef p, int lo, int hi, int64_t step)
{
    LLVMValueRef all = LLVMConstInt(e->i32, 0, 0);
    uint32_t flip = 0;

    if (step == 1 && lo == 0 && hi == INT_STEP)
        return int_tile_input(e, t, p);
    for (int i = lo; i < hi; i++)
        flip |= UINT32_C(0x80) << 8 * i;
    while (lo < hi) {
        const int n = step == 1 && hi - lo >= 2 ? 2 : 1;
        LLVMValueRef x = int_load(e, n == 2 ? e->i16 : e->i8, emit_at(e, p, lo * step));

        x = LLVMBuildZExt(e->builder, x, e->i32, "");
        x = LLVMBuildShl(e->builder, x, LLVMConstInt(e->i32, (uint64_t)lo * 8, 0), "");
        all = LLVMBuildOr(e->builder, all, x, "");
        lo += n;
    }
    return flip_input(e, t, all, flip);
}

/* ---- weights ----------------------------------------------------------------- */

/* Bytes at p, or half bytes moved to the upper end of bytes: 16 times the code. */
static LLVMValueRef load_codes(struct emitter *e, const struct int_tile *t,
                               LLVMValueRef p, int64_t k, int n)
{
    LLVMValueRef x = int_load(e, int_vector(e, e->i8, n), p);

    if (t->c->weight_bits == 8)
        return x;
    if (k % 2 == 0)
        return LLVMBuildShl(e->builder, x, int_splat(e, e->i8, 4, n), "");
    return LLVMBuildAnd(e->builder, x, int_splat(e, e->i8, 0xf0, n), "");
}

/* Where step k's weights start. */
static LLVMValueRef step_weights(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef weights, int64_t k)
{
    const int64_t at = t->c->weight_bits == 8 ? k : k / 2;

    return emit_at(e, weights, at * t->width * INT_STEP);
}

static LLVMValueRef signed_words(struct emitter *e, LLVMValueRef bytes)
{
    const int n = (int)LLVMGetVectorSize(LLVMTypeOf(bytes));

    return LLVMBuildSExt(e->builder, bytes, int_vector(e, e->i16, n), "");
}

/* ---- the three forms --------------------------------------------------------- */

static void step_dot(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                     int64_t k, const LLVMValueRef *x, int first, int end)
{
    LLVMValueRef w[INT_MAX_VECTORS];

    for (int j = 0; j < t->vectors; j++) {
        const int lanes = int_tile_lanes(t, j);
        LLVMValueRef p = emit_at(e, weights, int_tile_vector_at(t, j));

        w[j] = int_cast(e, load_codes(e, t, p, k, 4 * lanes),
                        int_vector(e, e->i32, lanes));
    }
    for (int i = first; i < end; i++)
        for (int j = 0; j < t->vectors; j++) {
            LLVMValueRef *sum = &t->sum[i * t->vectors + j];
            LLVMValueRef in = emit_splat(e, x[i], int_tile_lanes(t, j));

            *sum = t->form == INT_DOT_SU ? int_dot(e, *sum, w[j], in)
                                         : int_dot(e, *sum, in, w[j]);
        }
}

/* Inputs 0 and 2 of a step, or 1 and 3, as two int16 in every lane. */
static LLVMValueRef spread_pair(struct emitter *e, const struct int_tile *t,
                                LLVMValueRef x, int half, int lanes)
{
    LLVMTypeRef words = int_vector(e, e->i16, 2 * lanes);
    LLVMValueRef all = int_cast(e, emit_splat(e, x, lanes), words);
    LLVMValueRef eight = int_splat(e, e->i16, 8, 2 * lanes);

    if (t->c->in_signed && half == 0)
        all = LLVMBuildShl(e->builder, all, eight, "");
    if (t->c->in_signed)
        return LLVMBuildAShr(e->builder, all, eight, "");
    if (half == 0)
        return LLVMBuildAnd(e->builder, all, int_splat(e, e->i16, 0xff, 2 * lanes), "");
    return LLVMBuildLShr(e->builder, all, eight, "");
}

static void step_pair(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                      int64_t k, const LLVMValueRef *x, int first, int end)
{
    for (int half = 0; half < 2; half++) {
        LLVMValueRef w[INT_MAX_VECTORS];

        for (int j = 0; j < t->vectors; j++) {
            LLVMValueRef p =
                emit_at(e, weights, half * t->width * 2 + int_tile_vector_at(t, j) / 2);

            w[j] = signed_words(e, load_codes(e, t, p, k, 2 * int_tile_lanes(t, j)));
        }
        for (int i = first; i < end; i++)
            for (int j = 0; j < t->vectors; j++) {
                LLVMValueRef *sum = &t->sum[i * t->vectors + j];
                LLVMValueRef in = spread_pair(e, t, x[i], half, int_tile_lanes(t, j));

                *sum = LLVMBuildAdd(e->builder, *sum, int_pair(e, in, w[j]), "");
            }
    }
}

/* A step's inputs as four int16. */
static LLVMValueRef input_words(struct emitter *e, const struct int_tile *t,
                                LLVMValueRef x)
{
    LLVMTypeRef words = int_vector(e, e->i16, 4);

    x = int_cast(e, x, int_vector(e, e->i8, 4));
    return t->c->in_signed ? LLVMBuildSExt(e->builder, x, words, "")
                           : LLVMBuildZExt(e->builder, x, words, "");
}

static void step_lane(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                      int64_t k, const LLVMValueRef *x, int first, int end)
{
    LLVMTypeRef ints = int_vector(e, e->i32, 4);
    LLVMValueRef in[INT_MAX_PIXELS];

    for (int i = first; i < end; i++)
        in[i] = input_words(e, t, x[i]);
    for (int d = 0; d < INT_STEP; d++) {
        const int lane[4] = {d, d, d, d};
        LLVMValueRef w[INT_MAX_VECTORS];

        for (int j = 0; j < t->vectors; j++) {
            LLVMValueRef p =
                emit_at(e, weights, d * t->width + int_tile_vector_at(t, j) / 4);

            w[j] = LLVMBuildSExt(e->builder, signed_words(e, load_codes(e, t, p, k, 4)),
                                 ints, "");
        }
        for (int i = first; i < end; i++) {
            LLVMValueRef one = emit_shuffle(e, in[i], in[i], lane, 4);

            one = LLVMBuildSExt(e->builder, one, ints, "");
            for (int j = 0; j < t->vectors; j++) {
                LLVMValueRef *sum = &t->sum[i * t->vectors + j];

                *sum = LLVMBuildAdd(e->builder, *sum,
                                    LLVMBuildMul(e->builder, one, w[j], ""), "");
            }
        }
    }
}

void int_tile_step(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                   int64_t k, const LLVMValueRef *x, int first, int end)
{
    weights = step_weights(e, t, weights, k);
    if (is_dot(t))
        step_dot(e, t, weights, k, x, first, end);
    else if (t->form == INT_PAIR)
        step_pair(e, t, weights, k, x, first, end);
    else
        step_lane(e, t, weights, k, x, first, end);
}

/* ---- runs -------------------------------------------------------------------- */

/* Four steps with one load a pixel: multiplication takes one lane of a register. */
static void four_steps_by_lane(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                               LLVMValueRef weights, int64_t k, int first, int end)
{
    LLVMValueRef x[INT_MAX_PIXELS], w[INT_MAX_VECTORS];
    LLVMTypeRef ints = int_vector(e, e->i32, 4);

    for (int i = first; i < end; i++)
        x[i] = flip_input(e, t, int_load(e, ints, emit_at(e, in, i * t->pixel_bytes)),
                          FLIP_ALL);
    for (int s = 0; s < 4; s++) {
        LLVMValueRef p = step_weights(e, t, weights, k + s);
        const int lane[4] = {s, s, s, s};

        for (int j = 0; j < t->vectors; j++)
            w[j] = int_cast(
                e, load_codes(e, t, emit_at(e, p, int_tile_vector_at(t, j)), k + s, 16),
                ints);
        for (int i = first; i < end; i++) {
            LLVMValueRef one = emit_shuffle(e, x[i], x[i], lane, 4);

            for (int j = 0; j < t->vectors; j++) {
                LLVMValueRef *sum = &t->sum[i * t->vectors + j];

                *sum = int_dot(e, *sum, one, w[j]);
            }
        }
    }
}

/* Steps after which a pixel reads what its neighbour has read: LLVM would keep such
 * inputs in registers that the tile does not have. */
static int64_t steps_apart(const struct int_tile *t)
{
    const int64_t n = t->pixel_bytes / INT_STEP;

    return n < 1 ? 1 : n;
}

/* Steps [k, k + count) whose first input of the first pixel is at `in`. */
static void steps(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                  LLVMValueRef weights, int64_t k, int64_t count, int first, int end)
{
    const int64_t apart = steps_apart(t);
    int64_t hidden = 0;

    for (int64_t s = 0; s < count;) {
        if (s - hidden >= apart) {
            in = emit_hide(e, in);
            hidden = s;
        }
        LLVMValueRef p = emit_at(e, in, s * INT_STEP), x[INT_MAX_PIXELS];

        if (t->form == INT_DOT_SS && s + 4 <= count) {
            four_steps_by_lane(e, t, p, weights, k + s, first, end);
            s += 4;
            continue;
        }
        for (int i = first; i < end; i++)
            x[i] = int_tile_input(e, t, emit_at(e, p, i * t->pixel_bytes));
        int_tile_step(e, t, weights, k + s, x, first, end);
        s++;
    }
}

/* Rounds of `unroll` steps from step k on, k and unroll even with 4 bits: the sums. */
static void loop_steps(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                       LLVMValueRef weights, int64_t k, int64_t rounds, int64_t unroll,
                       int first, int end)
{
    LLVMValueRef carry[EMIT_MAX_CARRY];
    LLVMValueRef *sums = &t->sum[first * t->vectors];
    const int n = (end - first) * t->vectors;
    const int64_t step_bytes = t->width * INT_STEP * t->c->weight_bits / 8;
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = in;
    carry[n + 1] = step_weights(e, t, weights, k);
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, rounds), 1, carry, n + 2);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
    carry[n] = emit_hide(e, carry[n]);
    carry[n + 1] = emit_hide(e, carry[n + 1]);
    steps(e, t, carry[n], carry[n + 1], 0, unroll, first, end);
    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = emit_at(e, carry[n], unroll * INT_STEP);
    carry[n + 1] = emit_at(e, carry[n + 1], unroll * step_bytes);
    emit_loop_end(e, &l, carry);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
}

void int_tile_run(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                  LLVMValueRef weights, int64_t k, int64_t count, int first, int end)
{
    const int64_t lead = t->c->weight_bits == 4 && k % 2 ? 1 : 0;
    const int64_t rounds = (count - lead) / t->unroll;
    const int64_t looped = rounds * t->unroll, done = lead + looped;

    in = emit_at(e, in, k * INT_STEP);
    if (rounds <= 2) {
        steps(e, t, in, weights, k, count, first, end);
        return;
    }
    steps(e, t, in, weights, k, lead, first, end);
    loop_steps(e, t, emit_at(e, in, lead * INT_STEP), weights, k + lead, rounds,
               t->unroll, first, end);
    steps(e, t, emit_at(e, in, done * INT_STEP), weights, k + done, count - done, first,
          end);
}
