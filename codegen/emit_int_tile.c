/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of an integer tile: see emit_int_tile.h. */
#include "codegen/emit_int_tile.h"

#include <assert.h>
#include <string.h>

static const uint32_t FLIP_ALL = 0x80808080;

int int_tile_lanes(const struct int_tile *t, int vector)
{
    return vector == t->vectors - 1 ? t->last_lanes : t->lanes;
}

bool int_tile_is_deep(const struct int_tile *t, int vector)
{
    return t->depth > 1 && vector == t->vectors - 1;
}

int int_tile_sums(const struct int_tile *t, int vector)
{
    return int_tile_lanes(t, vector) * (int_tile_is_deep(t, vector) ? t->depth : 1);
}

int64_t int_tile_vector_at(const struct int_tile *t, int vector)
{
    return (int64_t)vector * t->lanes * 4;
}

/* Inputs spread to int16 where they meet all vectors of a tile: a copy of even bytes,
 * each with a zero behind it (or its sign), and one of odd bytes. */
enum { LINE_BYTES = 1024 };

static bool is_dot(const struct int_tile *t)
{
    return t->form != INT_PAIR && t->form != INT_LANE && t->form != INT_BYTES;
}

/* ---- inputs ------------------------------------------------------------------ */

/* Inputs of the other sign than the form wants: an int32, or a vector of them. */
static LLVMValueRef flip_input(struct emitter *e, const struct int_tile *t,
                               LLVMValueRef x, uint32_t bits)
{
    LLVMTypeRef type = LLVMTypeOf(x);

    if (!int_flip_of(t->c, t->form))
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

/* Step k's place among a run's weights; steps whose weights share bytes or, deep,
 * a vector are a group. */
static struct int_step_place place_of(const struct int_tile *t, int64_t k)
{
    return int_step_place(t->c, t->width, t->last_lanes, t->depth, k);
}

static int64_t group_of(const struct int_tile *t)
{
    return t->depth * (t->c->weight_bits == 8 ? 1 : 2);
}

/* Where step k's weights start. */
static LLVMValueRef step_weights(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef weights, int64_t k)
{
    return emit_at(e, weights, place_of(t, k).whole);
}

static int64_t step_bytes_of(const struct int_tile *t)
{
    return t->width * INT_STEP * t->c->weight_bits / 8;
}

static LLVMValueRef signed_words(struct emitter *e, LLVMValueRef bytes)
{
    const int n = (int)LLVMGetVectorSize(LLVMTypeOf(bytes));

    return LLVMBuildSExt(e->builder, bytes, int_vector(e, e->i16, n), "");
}

/* ---- the three forms --------------------------------------------------------- */

static void add_dot(struct emitter *e, struct int_tile *t, int pixel, int vector,
                    LLVMValueRef in, LLVMValueRef w)
{
    LLVMValueRef *sum = &t->sum[pixel * t->vectors + vector];

    *sum = t->form == INT_DOT_SU ? int_dot(e, *sum, w, in) : int_dot(e, *sum, in, w);
}

/* Whole vectors, and a last one without depth. */
static void step_dot(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                     int64_t k, const LLVMValueRef *x, int first, int end)
{
    const int n = t->vectors - int_tile_is_deep(t, t->vectors - 1);
    LLVMValueRef w[INT_MAX_VECTORS];

    weights = step_weights(e, t, weights, k);
    for (int j = 0; j < n; j++) {
        const int lanes = int_tile_lanes(t, j);
        LLVMValueRef p = emit_at(e, weights, int_tile_vector_at(t, j));

        w[j] = int_cast(e, load_codes(e, t, p, k, 4 * lanes),
                        int_vector(e, e->i32, lanes));
    }
    for (int i = first; i < end; i++)
        for (int j = 0; j < n; j++)
            add_dot(e, t, i, j, emit_splat(e, x[i], int_tile_lanes(t, j)), w[j]);
}

/* ---- a deep vector ------------------------------------------------------------
 *
 * Where a block ends in half a vector of channels, a whole one has two sums of each:
 * even steps in even lanes, odd ones in odd lanes, which are added in the end.  What
 * spreads the inputs is a load of eight bytes instead of four. */

/* Weights of the steps that go with step k. */
static LLVMValueRef deep_weights(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef weights, int64_t k)
{
    const int lanes = t->last_lanes * t->depth;
    LLVMValueRef p = emit_at(e, weights, place_of(t, k).narrow);

    return int_cast(e, load_codes(e, t, p, k / t->depth, 4 * lanes),
                    int_vector(e, e->i32, lanes));
}

void int_tile_deep_steps(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                         int64_t k, const LLVMValueRef *x, int first, int end)
{
    const int lanes = t->last_lanes * t->depth;
    LLVMValueRef w = deep_weights(e, t, weights, k);
    int index[16];

    for (int i = 0; i < lanes; i++)
        index[i] = i % t->depth;
    for (int i = first; i < end; i++)
        add_dot(e, t, i, t->vectors - 1, emit_shuffle(e, x[i], x[i], index, lanes), w);
}

LLVMValueRef int_tile_deep_input(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef p)
{
    return int_load(e, int_vector(e, e->i32, t->depth), p);
}

/* Bytes 0, 2, 4 ... of a vector of int16, or 1, 3, 5 ..., as int16. */
static LLVMValueRef half_of(struct emitter *e, const struct int_tile *t,
                            LLVMValueRef words, int half)
{
    const int n = (int)LLVMGetVectorSize(LLVMTypeOf(words));
    LLVMValueRef eight = int_splat(e, e->i16, 8, n);

    if (t->c->in_signed && half == 0)
        words = LLVMBuildShl(e->builder, words, eight, "");
    if (t->c->in_signed)
        return LLVMBuildAShr(e->builder, words, eight, "");
    if (half == 0)
        return LLVMBuildAnd(e->builder, words, int_splat(e, e->i16, 0xff, n), "");
    return LLVMBuildLShr(e->builder, words, eight, "");
}

/* Inputs 0 and 2 of a step, or 1 and 3, as two int16 in every lane. */
static LLVMValueRef spread_pair(struct emitter *e, const struct int_tile *t,
                                const struct step_inputs *in, int pixel, int half,
                                int lanes)
{
    LLVMTypeRef words = int_vector(e, e->i16, 2 * lanes);
    LLVMValueRef x = in->x[pixel];

    if (in->spread)
        x = int_load(e, e->i32, emit_at(e, x, half * LINE_BYTES));
    x = int_cast(e, emit_splat(e, x, lanes), words);
    return in->spread ? x : half_of(e, t, x, half);
}

static void step_pair(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                      int64_t k, const struct step_inputs *in, int first, int end)
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
                LLVMValueRef x = spread_pair(e, t, in, i, half, int_tile_lanes(t, j));

                *sum = LLVMBuildAdd(e->builder, *sum, int_pair(e, x, w[j]), "");
            }
        if (in->spread)
            emit_settle(e, &t->sum[first * t->vectors], (end - first) * t->vectors);
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

/* Weights of step k of vector j: from 0 ... 15 to -8 ... 7. */
static LLVMValueRef byte_weights(struct emitter *e, const struct int_tile *t,
                                 LLVMValueRef weights, int64_t k, int j)
{
    const int n = 4 * int_tile_lanes(t, j);
    LLVMValueRef p =
        emit_at(e, step_weights(e, t, weights, k), int_tile_vector_at(t, j));
    LLVMValueRef x = int_load(e, int_vector(e, e->i8, n), p);

    if (k % 2)
        x = LLVMBuildLShr(e->builder, x, int_splat(e, e->i8, 4, n), "");
    else
        x = LLVMBuildAnd(e->builder, x, int_splat(e, e->i8, 15, n), "");
    return LLVMBuildSub(e->builder, x, int_splat(e, e->i8, 8, n), "");
}

/* Step k is added to sums of 16 bits, by pixel and vector. */
static void step_bytes(struct emitter *e, const struct int_tile *t,
                       LLVMValueRef weights, int64_t k, const struct step_inputs *in,
                       int first, int end, LLVMValueRef *half)
{
    LLVMValueRef w[INT_MAX_VECTORS];

    for (int j = 0; j < t->vectors; j++)
        w[j] = byte_weights(e, t, weights, k, j);
    for (int i = first; i < end; i++)
        for (int j = 0; j < t->vectors; j++) {
            const int lanes = int_tile_lanes(t, j);
            LLVMTypeRef bytes = int_vector(e, e->i8, 4 * lanes);
            LLVMValueRef x = int_cast(e, emit_splat(e, in->x[i], lanes), bytes);
            LLVMValueRef *sum = &half[(i - first) * t->vectors + j];

            *sum = LLVMBuildAdd(e->builder, *sum, int_byte_pair(e, x, w[j]), "");
        }
    emit_settle(e, half, (end - first) * t->vectors);
}

static void clear_bytes(struct emitter *e, const struct int_tile *t, int n_pixels,
                        LLVMValueRef *half)
{
    for (int i = 0; i < n_pixels * t->vectors; i++)
        half[i] =
            LLVMConstNull(int_vector(e, e->i16, 2 * int_tile_lanes(t, i % t->vectors)));
}

/* Sums of 16 bits join those of 32. */
static void join_bytes(struct emitter *e, struct int_tile *t, int first, int end,
                       const LLVMValueRef *half)
{
    for (int i = first; i < end; i++)
        for (int j = 0; j < t->vectors; j++) {
            LLVMValueRef *sum = &t->sum[i * t->vectors + j];
            LLVMValueRef ones = int_splat(e, e->i16, 1, 2 * int_tile_lanes(t, j));
            LLVMValueRef x = int_pair(e, half[(i - first) * t->vectors + j], ones);

            *sum = LLVMBuildAdd(e->builder, *sum, x, "");
        }
}

void int_tile_step(struct emitter *e, struct int_tile *t, LLVMValueRef weights,
                   int64_t k, const struct step_inputs *in, int first, int end)
{
    LLVMValueRef half[EMIT_MAX_CARRY];

    if (t->form == INT_BYTES) {
        clear_bytes(e, t, end - first, half);
        step_bytes(e, t, weights, k, in, first, end, half);
        join_bytes(e, t, first, end, half);
        return;
    }
    if (is_dot(t)) {
        step_dot(e, t, weights, k, in->x, first, end);
        return;
    }
    weights = step_weights(e, t, weights, k);
    if (t->form == INT_PAIR)
        step_pair(e, t, weights, k, in, first, end);
    else
        step_lane(e, t, weights, k, in->x, first, end);
}

/* ---- lines ------------------------------------------------------------------- */

LLVMValueRef int_tile_lines(struct emitter *e, enum int_form form)
{
    if (!int_has_lines(e->isa, form))
        return NULL;
    LLVMValueRef lines =
        LLVMBuildAlloca(e->builder, LLVMArrayType2(e->i8, 2 * LINE_BYTES), "");

    LLVMSetAlignment(lines, 64);
    return lines;
}

static void spread_bytes(struct emitter *e, const struct int_tile *t, LLVMValueRef from,
                         LLVMValueRef to, int64_t n)
{
    LLVMValueRef words = int_load(e, int_vector(e, e->i16, (int)n / 2), from);

    for (int half = 0; half < 2; half++)
        int_store(e, half_of(e, t, words, half), emit_at(e, to, half * LINE_BYTES));
}

/* n neighbouring inputs, whole steps.  Stores do not overlap: what is loaded soon after
 * comes from one of them. */
static void spread_line(struct emitter *e, const struct int_tile *t, LLVMValueRef from,
                        LLVMValueRef to, int64_t n)
{
    int64_t size = e->isa->vector_bytes;

    for (int64_t at = 0; at < n; at += size) {
        while (at + size > n)
            size /= 2;
        spread_bytes(e, t, emit_at(e, from, at), emit_at(e, to, at), size);
    }
}

/* Where a run's steps find their inputs: step 0 of pixel 0 is at `at`, or would be. */
struct source {
    LLVMValueRef at;
    int64_t pixel_bytes;
    bool spread;
};

/* Pixels share inputs, all of which fit, and whole steps lie between them: they are one
 * line.  Else each has its own. */
static bool is_one_line(const struct int_tile *t, int64_t count, int n_pixels)
{
    return t->pixel_bytes % INT_STEP == 0 && t->pixel_bytes <= count * INT_STEP
           && (n_pixels - 1) * t->pixel_bytes + count * INT_STEP <= LINE_BYTES;
}

/* Steps that fit into the lines of so many pixels. */
static int64_t steps_in_lines(const struct int_tile *t, int64_t count, int n_pixels)
{
    int64_t most = 1;

    if (is_one_line(t, count, n_pixels))
        return count;
    while (2 * most * n_pixels * INT_STEP <= LINE_BYTES)
        most *= 2;
    return count < most ? count : most;
}

static struct source fill_lines(struct emitter *e, const struct int_tile *t,
                                LLVMValueRef in, int64_t count, bool one, int first,
                                int end)
{
    const int64_t bytes = count * INT_STEP, pitch = one ? t->pixel_bytes : bytes;
    LLVMValueRef to = emit_at(e, emit_hide(e, t->lines), -first * pitch);

    if (one)
        spread_line(e, t, emit_at(e, in, first * t->pixel_bytes),
                    emit_at(e, to, first * pitch), (end - 1 - first) * pitch + bytes);
    for (int i = first; i < end && !one; i++)
        spread_line(e, t, emit_at(e, in, i * t->pixel_bytes), emit_at(e, to, i * pitch),
                    bytes);
    return (struct source){to, pitch, true};
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
static int64_t steps_apart(const struct source *from)
{
    const int64_t n = from->pixel_bytes / INT_STEP;

    return n < 1 ? 1 : n;
}

static struct step_inputs load_step(struct emitter *e, const struct int_tile *t,
                                    const struct source *from, LLVMValueRef at,
                                    int first, int end)
{
    struct step_inputs in = {.spread = from->spread};

    for (int i = first; i < end; i++) {
        LLVMValueRef p = emit_at(e, at, i * from->pixel_bytes);

        in.x[i] = in.spread ? p : int_tile_input(e, t, p);
    }
    return in;
}

static struct source source_after(struct emitter *e, const struct source *s,
                                  int64_t steps)
{
    struct source after = *s;

    after.at = emit_at(e, s->at, steps * INT_STEP);
    return after;
}

/* Steps k + [at, to) are added to sums of 16 bits. */
static void write_bytes(struct emitter *e, struct int_tile *t, struct source from,
                        LLVMValueRef weights, int64_t k, int64_t at, int64_t to,
                        int first, int end, LLVMValueRef *half)
{
    for (int64_t s = at; s < to; s++) {
        LLVMValueRef p = emit_hide(e, emit_at(e, from.at, s * INT_STEP));
        const struct step_inputs in = load_step(e, t, &from, p, first, end);

        step_bytes(e, t, weights, k + s, &in, first, end, half);
    }
}

/* The same of steps [0, n) in a loop: written out they would fill the cache of
 * instructions. */
static void loop_bytes(struct emitter *e, struct int_tile *t, struct source from,
                       LLVMValueRef weights, int64_t n, int first, int end,
                       LLVMValueRef *half)
{
    const int n_sums = (end - first) * t->vectors;
    struct emit_loop l = {0};

    half[n_sums] = from.at;
    half[n_sums + 1] = weights;
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n / 2), 1, half, n_sums + 2);
    from.at = emit_hide(e, half[n_sums]);
    weights = emit_hide(e, half[n_sums + 1]);
    write_bytes(e, t, from, weights, 0, 0, 2, first, end, half);
    half[n_sums] = emit_at(e, from.at, 2 * INT_STEP);
    half[n_sums + 1] = emit_at(e, weights, t->width * INT_STEP);
    emit_loop_end(e, &l, half);
}

/* Steps [k, k + count) of INT_BYTES, as many as sums of 16 bits can take. */
static void byte_steps(struct emitter *e, struct int_tile *t, struct source from,
                       LLVMValueRef weights, int64_t k, int64_t count, int first,
                       int end)
{
    const int64_t lead = k % 2, looped = (count - lead) / 2 * 2;
    const int64_t done = looped > 2 ? lead + looped : lead;
    LLVMValueRef half[EMIT_MAX_CARRY];

    assert(count <= INT_BYTE_STEPS);
    clear_bytes(e, t, end - first, half);
    write_bytes(e, t, from, weights, k, 0, lead, first, end, half);
    if (looped > 2)
        loop_bytes(e, t, source_after(e, &from, lead),
                   step_weights(e, t, weights, k + lead), looped, first, end, half);
    write_bytes(e, t, from, weights, k, done, count, first, end, half);
    join_bytes(e, t, first, end, half);
}

/* As many steps from k on as the deep vector takes at once. */
static void steps_together(struct emitter *e, struct int_tile *t,
                           const struct source *from, LLVMValueRef at,
                           LLVMValueRef weights, int64_t k, int first, int end)
{
    LLVMValueRef x[INT_MAX_PIXELS];

    for (int s = 0; s < t->depth && t->vectors > 1; s++) {
        const struct step_inputs in =
            load_step(e, t, from, emit_at(e, at, s * INT_STEP), first, end);

        step_dot(e, t, weights, k + s, in.x, first, end);
    }
    for (int i = first; i < end; i++)
        x[i] = int_tile_deep_input(e, t, emit_at(e, at, i * from->pixel_bytes));
    int_tile_deep_steps(e, t, weights, k, x, first, end);
}

/* Steps [k, k + count). */
static void steps(struct emitter *e, struct int_tile *t, struct source from,
                  LLVMValueRef weights, int64_t k, int64_t count, int first, int end)
{
    const int64_t apart = steps_apart(&from);
    int64_t hidden = 0;

    assert(k % t->depth == 0 && count % t->depth == 0);
    if (t->form == INT_BYTES) {
        byte_steps(e, t, from, weights, k, count, first, end);
        return;
    }

    for (int64_t s = 0; s < count;) {
        if (s - hidden >= apart) {
            from.at = emit_hide(e, from.at);
            hidden = s;
        }
        LLVMValueRef p = emit_at(e, from.at, s * INT_STEP);

        if (t->depth > 1) {
            steps_together(e, t, &from, p, weights, k + s, first, end);
            s += t->depth;
            continue;
        }
        if (t->form == INT_DOT_SS && s + 4 <= count) {
            four_steps_by_lane(e, t, p, weights, k + s, first, end);
            s += 4;
            continue;
        }
        const struct step_inputs in = load_step(e, t, &from, p, first, end);

        int_tile_step(e, t, weights, k + s, &in, first, end);
        s++;
    }
}

/* Rounds of `unroll` steps from step k on, both multiples of a group's: the sums. */
static void loop_steps(struct emitter *e, struct int_tile *t, struct source from,
                       LLVMValueRef weights, int64_t k, int64_t rounds, int64_t unroll,
                       int first, int end)
{
    LLVMValueRef carry[EMIT_MAX_CARRY];
    LLVMValueRef *sums = &t->sum[first * t->vectors];
    const int n = (end - first) * t->vectors;
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = from.at;
    carry[n + 1] = step_weights(e, t, weights, k);
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, rounds), 1, carry, n + 2);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
    from.at = carry[n] = emit_hide(e, carry[n]);
    carry[n + 1] = emit_hide(e, carry[n + 1]);
    steps(e, t, from, carry[n + 1], 0, unroll, first, end);
    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = emit_at(e, carry[n], unroll * INT_STEP);
    carry[n + 1] = emit_at(e, carry[n + 1], unroll * step_bytes_of(t));
    emit_loop_end(e, &l, carry);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
}

/* Steps of a round.  Groups of INT_BYTES are even and alike if they can: 12 are 6 + 6.
 */
static int64_t unroll_of(const struct int_tile *t, int64_t count)
{
    const int64_t groups = (count + INT_BYTE_STEPS - 1) / INT_BYTE_STEPS;

    if (t->form != INT_BYTES || count < 2)
        return t->unroll > group_of(t) ? t->unroll : group_of(t);
    return ((count + groups - 1) / groups + 1) / 2 * 2;
}

/* Steps [k, k + count), all but a few in a loop. */
static void run_steps(struct emitter *e, struct int_tile *t, const struct source *from,
                      LLVMValueRef weights, int64_t k, int64_t count, int first,
                      int end)
{
    const int64_t group = group_of(t), before = (group - k % group) % group;
    const int64_t lead = before < count ? before : count;
    const int64_t unroll = unroll_of(t, count - lead);
    const int64_t rounds = (count - lead) / unroll;
    const int64_t looped = rounds * unroll, done = lead + looped;

    if (t->form == INT_BYTES ? count <= INT_BYTE_STEPS : rounds <= 2) {
        steps(e, t, *from, weights, k, count, first, end);
        return;
    }
    steps(e, t, *from, weights, k, lead, first, end);
    loop_steps(e, t, source_after(e, from, lead), weights, k + lead, rounds, unroll,
               first, end);
    steps(e, t, source_after(e, from, done), weights, k + done, count - done, first,
          end);
}

/* The same by way of lines. */
static void run_stretch(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                        LLVMValueRef weights, int64_t k, int64_t count, bool one,
                        int first, int end)
{
    const struct source from = fill_lines(e, t, in, count, one, first, end);

    run_steps(e, t, &from, weights, k, count, first, end);
}

/* A stretch of steps at a time, whole ones in a loop. */
static void run_lines(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                      LLVMValueRef weights, int64_t k, int64_t count, int first,
                      int end)
{
    const bool one = is_one_line(t, count, end - first);
    const int64_t stretch = steps_in_lines(t, count, end - first);
    const int64_t rounds = count / stretch, rest = count % stretch;
    LLVMValueRef carry[EMIT_MAX_CARRY];
    LLVMValueRef *sums = &t->sum[first * t->vectors];
    const int n = (end - first) * t->vectors;
    struct emit_loop l = {0};

    if (rounds == 1) {
        run_stretch(e, t, in, weights, k, stretch, one, first, end);
    } else {
        memcpy(carry, sums, (size_t)n * sizeof *carry);
        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, rounds), 1, carry, n);
        memcpy(sums, carry, (size_t)n * sizeof *carry);
        run_stretch(
            e, t, emit_at_value(e, in, emit_mul(e, l.at, stretch * INT_STEP)),
            emit_at_value(e, weights, emit_mul(e, l.at, stretch * step_bytes_of(t))), k,
            stretch, one, first, end);
        memcpy(carry, sums, (size_t)n * sizeof *carry);
        emit_loop_end(e, &l, carry);
        memcpy(sums, carry, (size_t)n * sizeof *carry);
    }
    if (rest)
        run_stretch(e, t, emit_at(e, in, rounds * stretch * INT_STEP), weights,
                    k + rounds * stretch, rest, one, first, end);
}

void int_tile_run(struct emitter *e, struct int_tile *t, LLVMValueRef in,
                  LLVMValueRef weights, int64_t k, int64_t count, int first, int end)
{
    in = emit_at(e, in, k * INT_STEP);
    if (t->form == INT_PAIR && t->lines && count >= INT_LINE_STEPS) {
        run_lines(e, t, in, weights, k, count, first, end);
        return;
    }
    const struct source from = {in, t->pixel_bytes, false};

    run_steps(e, t, &from, weights, k, count, first, end);
}
