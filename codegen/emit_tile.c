/* SPDX-License-Identifier: Apache-2.0 */
#include "codegen/emit_tile.h"

#include <assert.h>

enum {
    MAX_VECTORS = 16,
    MAX_PIXELS = 64,
    MAX_LANES = 64,
};

/* Lanes in use: all, unless there are fewer channels than lanes. */
static int lanes_used(const struct emitter *e, const struct tile *t)
{
    return t->depth > 1 || t->width > emit_lanes(e) ? emit_lanes(e) : t->width;
}

/* First channel of a vector, in bytes.  The last one ends with the last channel and
 * overlaps the one before: equal values are computed and stored twice, and no mask is
 * needed. */
static int64_t vector_at(const struct emitter *e, const struct tile *t, int vector)
{
    const int lanes = emit_lanes(e), at = vector * lanes;

    return t->depth == 1 && t->width > lanes && at + lanes > t->width
               ? (t->width - lanes) * 4
               : at * 4;
}

void tile_start(struct emitter *e, struct tile *t, LLVMValueRef bias)
{
    const int lanes = emit_lanes(e);

    assert(t->pixels * t->vectors + 2 <= EMIT_MAX_CARRY);
    for (int j = 0; j < t->vectors; j++) {
        LLVMValueRef start = emit_constant(e, 0.0f, lanes);

        if (bias)
            start = emit_load_part(e, emit_at(e, bias, vector_at(e, t, j)), lanes,
                                   lanes_used(e, t));
        for (int i = 0; i < t->pixels; i++)
            t->sum[i * t->vectors + j] = start;
    }
}

static void load_weights(struct emitter *e, const struct tile *t, LLVMValueRef weights,
                         LLVMValueRef *w)
{
    const int lanes = emit_lanes(e);

    for (int j = 0; j < t->vectors; j++) {
        const int64_t at = vector_at(e, t, j);

        w[j] = t->half_weights
                   ? emit_load_half(e, emit_at(e, weights, at / 2), lanes)
                   : emit_load_part(e, emit_at(e, weights, at), lanes,
                                    t->weights_padded ? lanes : lanes_used(e, t));
    }
}

/* x86 can leave a multiply-add in the register of a factor, and LLVM does so when that
 * is the factor's last use: sums would wander through all registers and spill.  It also
 * likes to load ahead of what registers can hold.  Both end when the input is kept
 * until after its use; not where it is better left in memory (one vector of AVX-512),
 * and with 16 registers LLVM's own order is the better one for several vectors. */
static bool keep_input(const struct emitter *e, const struct tile *t)
{
    if (!e->isa->fma || e->isa->lane_fma)
        return false;
    if (t->vectors == 1)
        return t->depth > 1 || !e->isa->masks;
    return e->isa->n_registers > 16;
}

static void multiply_add(struct emitter *e, struct tile *t, int pixel, LLVMValueRef in,
                         LLVMValueRef *w)
{
    LLVMValueRef *sum = &t->sum[pixel * t->vectors];

    for (int j = 0; j < t->vectors; j++)
        sum[j] = emit_multiply_add(e, in, w[j], sum[j]);
    if (keep_input(e, t))
        emit_keep(e, in);
}

/* What a pixel multiplies a row of weights with: its input in every lane, or `depth`
 * inputs over and over. */
static LLVMValueRef spread(struct emitter *e, const struct tile *t, LLVMValueRef x)
{
    const int lanes = emit_lanes(e);
    int index[MAX_LANES];

    if (t->depth == lanes)
        return x;
    for (int i = 0; i < lanes; i++)
        index[i] = i % t->depth;
    return emit_shuffle(e, x, x, index, lanes);
}

void tile_step(struct emitter *e, struct tile *t, LLVMValueRef in, LLVMValueRef weights,
               int first, int end)
{
    LLVMValueRef w[MAX_VECTORS];

    load_weights(e, t, weights, w);
    for (int i = first; i < end; i++) {
        LLVMValueRef p = emit_at(e, in, i * t->pixel_bytes);

        if (t->depth > 1)
            multiply_add(e, t, i,
                         spread(e, t, emit_load(e, emit_vector(e, t->depth), p)), w);
        else
            multiply_add(e, t, i, emit_splat(e, emit_load(e, e->f32, p), emit_lanes(e)),
                         w);
    }
}

/* Weights [channel][deep] in lanes [channel][depth], the others 0. */
LLVMValueRef tile_deep_weights(struct emitter *e, const struct tile *t,
                               LLVMValueRef weights, int deep)
{
    const int lanes = emit_lanes(e);
    LLVMValueRef w = t->half_weights ? emit_load_half(e, weights, lanes)
                                     : emit_load(e, emit_vector(e, lanes), weights);
    int index[MAX_LANES];

    if (deep == t->depth)
        return w;
    for (int i = 0; i < lanes; i++) {
        const int from = i / t->depth * deep + i % t->depth;

        index[i] = i % t->depth < deep && from < lanes ? from : lanes;
    }
    return emit_shuffle(e, w, emit_constant(e, 0.0f, lanes), index, lanes);
}

LLVMValueRef tile_deep_input(struct emitter *e, const struct tile *t, LLVMValueRef p,
                             int lo, int hi)
{
    return spread(e, t, emit_load_range(e, p, t->depth, lo, hi));
}

void tile_add(struct emitter *e, struct tile *t, int pixel, LLVMValueRef in,
              LLVMValueRef weights)
{
    multiply_add(e, t, pixel, in, &weights);
}

void tile_step_part(struct emitter *e, struct tile *t, LLVMValueRef in,
                    LLVMValueRef weights, const int *lo, const int *hi, int deep)
{
    LLVMValueRef w = tile_deep_weights(e, t, weights, deep);

    for (int i = 0; i < t->pixels; i++) {
        if (lo[i] >= hi[i])
            continue;
        LLVMValueRef p = emit_at(e, in, i * t->pixel_bytes);

        multiply_add(e, t, i, tile_deep_input(e, t, p, lo[i], hi[i]), &w);
    }
}

/* Four steps with one load a pixel: multiply-add takes one lane of a register. */
static void four_steps_by_lane(struct emitter *e, struct tile *t, LLVMValueRef in,
                               LLVMValueRef weights, int first, int end)
{
    LLVMValueRef w[MAX_VECTORS], x[MAX_PIXELS];

    for (int i = first; i < end; i++)
        x[i] = emit_load(e, emit_vector(e, 4), emit_at(e, in, i * t->pixel_bytes));
    for (int k = 0; k < 4; k++) {
        const int lane[4] = {k, k, k, k};

        load_weights(e, t, emit_at(e, weights, k * t->weight_step), w);
        for (int i = first; i < end; i++)
            multiply_add(e, t, i, emit_shuffle(e, x[i], x[i], lane, 4), w);
    }
}

/* Steps after which a pixel reads what its neighbour has read.  LLVM would keep such
 * inputs in registers that the tile does not have. */
static int64_t steps_apart(const struct tile *t)
{
    const int64_t n = t->in_step ? t->pixel_bytes / t->in_step : 1;

    return n < 1 ? 1 : n;
}

static void steps(struct emitter *e, struct tile *t, LLVMValueRef in,
                  LLVMValueRef weights, int first, int end, int64_t count)
{
    const bool by_lane = e->isa->lane_fma && t->in_step == 4 && t->depth == 1;
    const int64_t apart = steps_apart(t);
    int64_t hidden = 0;

    for (int64_t k = 0; k < count;) {
        if (k - hidden >= apart) {
            in = emit_hide(e, in);
            hidden = k;
        }
        LLVMValueRef x = emit_at(e, in, k * t->in_step);
        LLVMValueRef w = emit_at(e, weights, k * t->weight_step);

        if (by_lane && k + 4 <= count) {
            four_steps_by_lane(e, t, x, w, first, end);
            k += 4;
        } else {
            tile_step(e, t, x, w, first, end);
            k++;
        }
    }
}

void tile_run(struct emitter *e, struct tile *t, LLVMValueRef in, LLVMValueRef weights,
              int first, int end, int64_t count)
{
    const int64_t unroll = t->unroll < count ? t->unroll : count;
    const int64_t rounds = count / unroll, rest = count % unroll;
    LLVMValueRef carry[EMIT_MAX_CARRY];
    LLVMValueRef *sums = &t->sum[first * t->vectors];
    const int n = (end - first) * t->vectors;
    struct emit_loop l = {0};

    if (rounds <= 2) {
        steps(e, t, in, weights, first, end, count);
        return;
    }
    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = in;
    carry[n + 1] = weights;
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, rounds), 1, carry, n + 2);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
    carry[n] = emit_hide(e, carry[n]);
    carry[n + 1] = emit_hide(e, carry[n + 1]);
    steps(e, t, carry[n], carry[n + 1], first, end, unroll);
    for (int i = 0; i < n; i++)
        carry[i] = sums[i];
    carry[n] = emit_at(e, carry[n], unroll * t->in_step);
    carry[n + 1] = emit_at(e, carry[n + 1], unroll * t->weight_step);
    emit_loop_end(e, &l, carry);
    for (int i = 0; i < n; i++)
        sums[i] = carry[i];
    if (rest)
        steps(e, t, carry[n], carry[n + 1], first, end, rest);
}

/* Sums of `depth` neighbouring lanes, in the first lanes of a vector of at least 4. */
static LLVMValueRef add_depth(struct emitter *e, const struct tile *t, LLVMValueRef x)
{
    const int lanes = emit_lanes(e), n = lanes / t->depth;
    int index[MAX_LANES];

    for (int s = 1; s < t->depth; s *= 2) {
        for (int i = 0; i < lanes; i++)
            index[i] = i ^ s;
        x = LLVMBuildFAdd(e->builder, x, emit_shuffle(e, x, x, index, lanes), "");
    }
    for (int i = 0; i < 4 || i < n; i++)
        index[i] = i < n ? i * t->depth : -1;
    return emit_shuffle(e, x, x, index, n < 4 ? 4 : n);
}

/* Lanes [pixel][channel] in the order in which additions leave them. */
struct folded {
    LLVMValueRef x;
    int pixel[MAX_LANES], channel[MAX_LANES];
};

/* Adds neighbours of a and of b: neighbouring lanes of blocks of four in the first two
 * rounds, neighbouring blocks afterwards, which x86 does without crossing blocks. */
static struct folded fold_pair(struct emitter *e, const struct folded *a,
                               const struct folded *b, int round)
{
    const int lanes = emit_lanes(e), width = round < 2 ? 1 : 4;
    const int block = round < 2 ? 4 : lanes;
    int even[MAX_LANES], odd[MAX_LANES];
    struct folded r;

    for (int i = 0; i < lanes; i++) {
        const int in_block = i % block, half = block / 2;
        const bool of_b = in_block >= half;
        const int k = in_block % half;
        const int from = i - in_block + k / width * 2 * width + k % width;

        even[i] = from + (of_b ? lanes : 0);
        odd[i] = even[i] + width;
        r.pixel[i] = of_b ? b->pixel[from] : a->pixel[from];
        r.channel[i] = of_b ? b->channel[from] : a->channel[from];
    }
    r.x = LLVMBuildFAdd(e->builder, emit_shuffle(e, a->x, b->x, even, lanes),
                        emit_shuffle(e, a->x, b->x, odd, lanes), "");
    return r;
}

/* The sums of pixels first, first + 1 ... first + 2^rounds - 1; 0 beyond the tile. */
static struct folded fold(struct emitter *e, const struct tile *t, int first,
                          int rounds)
{
    const int lanes = emit_lanes(e);

    if (rounds > 0) {
        const struct folded a = fold(e, t, first, rounds - 1);
        const struct folded b = fold(e, t, first + (1 << (rounds - 1)), rounds - 1);

        return fold_pair(e, &a, &b, rounds - 1);
    }
    struct folded one = {.x = first < t->pixels ? t->sum[first]
                                                : emit_constant(e, 0.0f, lanes)};

    for (int i = 0; i < lanes; i++) {
        one.pixel[i] = first;
        one.channel[i] = i / t->depth;
    }
    return one;
}

/* The outputs of `depth` pixels from `first` on as lanes [pixel][channel]. */
static LLVMValueRef fold_pixels(struct emitter *e, const struct tile *t, int first)
{
    const int lanes = emit_lanes(e), width = lanes / t->depth;
    int rounds = 0, index[MAX_LANES];

    while (1 << rounds < t->depth)
        rounds++;
    const struct folded f = fold(e, t, first, rounds);

    for (int i = 0; i < lanes; i++)
        index[(f.pixel[i] - first) * width + f.channel[i]] = i;
    return emit_shuffle(e, f.x, f.x, index, lanes);
}

/* Bias of `width` channels, repeated. */
static LLVMValueRef repeated_bias(struct emitter *e, const struct tile *t,
                                  LLVMValueRef bias)
{
    const int lanes = emit_lanes(e), width = lanes / t->depth;
    LLVMValueRef x = emit_load_part(e, bias, lanes, t->width);
    int index[MAX_LANES];

    for (int i = 0; i < lanes; i++)
        index[i] = i % width;
    return emit_shuffle(e, x, x, index, lanes);
}

static void store_folded(struct emitter *e, const struct tile *t,
                         const struct tile_end *end, LLVMValueRef x, int first,
                         LLVMValueRef out)
{
    const int lanes = emit_lanes(e), width = lanes / t->depth;
    const bool dense = t->width == width && end->out_pixel == width * 4;
    const int part = width < 4 ? 4 : width;

    if (dense && first + t->depth <= t->pixels) {
        emit_store(e, x, emit_at(e, out, first * end->out_pixel));
        return;
    }
    for (int i = 0; i < t->depth && first + i < t->pixels; i++) {
        int index[MAX_LANES];

        for (int k = 0; k < part; k++)
            index[k] = k < width ? i * width + k : -1;
        emit_store_part(e, emit_shuffle(e, x, x, index, part),
                        emit_at(e, out, (first + i) * end->out_pixel), t->width);
    }
}

/* Depth without residual: activations for `depth` pixels at once. */
static void finish_folded(struct emitter *e, struct tile *t, const struct tile_end *end,
                          LLVMValueRef out)
{
    for (int i = 0; i < t->pixels; i += t->depth) {
        LLVMValueRef x = fold_pixels(e, t, i);

        if (end->bias)
            x = LLVMBuildFAdd(e->builder, x, repeated_bias(e, t, end->bias), "");
        x = emit_activation(e, x, end->act_before, 0.0f, 0.0f);
        x = emit_activation(e, x, end->act, end->act_a, end->act_b);
        store_folded(e, t, end, x, i, out);
    }
}

/* One finished vector of outputs, `at` bytes into the pixel. */
static LLVMValueRef finish(struct emitter *e, const struct tile_end *end,
                           LLVMValueRef x, int pixel, int64_t at, int used)
{
    const int lanes = (int)LLVMGetVectorSize(LLVMTypeOf(x));

    if (end->alpha != 1.0f)
        x = LLVMBuildFMul(e->builder, x, emit_constant(e, end->alpha, lanes), "");
    if (end->bias)
        x = LLVMBuildFAdd(e->builder, x,
                          emit_load_part(e, emit_at(e, end->bias, at), lanes, used),
                          "");
    x = emit_activation(e, x, end->act_before, 0.0f, 0.0f);
    if (end->residual) {
        LLVMValueRef p = emit_at(e, end->residual, pixel * end->residual_pixel + at);

        x = LLVMBuildFAdd(e->builder, x, emit_load_part(e, p, lanes, used), "");
    }
    return emit_activation(e, x, end->act, end->act_a, end->act_b);
}

void tile_finish(struct emitter *e, struct tile *t, const struct tile_end *end,
                 LLVMValueRef out)
{
    if (t->depth > 1 && !end->residual && end->alpha == 1.0f) {
        finish_folded(e, t, end, out);
        return;
    }
    for (int i = 0; i < t->pixels; i++) {
        const int used = t->depth > 1 ? t->width : lanes_used(e, t);
        LLVMValueRef x[MAX_VECTORS];

        /* The residual is often the output's memory: all is read before anything of
         * the pixel is written. */
        for (int j = 0; j < t->vectors; j++) {
            x[j] = t->sum[i * t->vectors + j];
            if (t->depth > 1)
                x[j] = add_depth(e, t, x[j]);
            x[j] = finish(e, end, x[j], i, vector_at(e, t, j), used);
        }
        for (int j = 0; j < t->vectors; j++)
            emit_store_part(e, x[j],
                            emit_at(e, out, i * end->out_pixel + vector_at(e, t, j)),
                            used);
    }
}
