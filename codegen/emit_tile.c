/* SPDX-License-Identifier: Apache-2.0 */
#include "codegen/emit_tile.h"

#include <assert.h>

enum {
    UNROLL_ALL = 16,   /* steps that are written out without a loop */
    MAX_VECTORS = 16,
    MAX_PIXELS = 64,
};

int tile_width(const struct emitter *e, const struct tile *t)
{
    return (t->vectors - 1) * emit_lanes(e) + t->last_lanes;
}

static int lanes_of(const struct emitter *e, const struct tile *t, int vector)
{
    return vector == t->vectors - 1 ? t->last_lanes : emit_lanes(e);
}

void tile_start(struct emitter *e, struct tile *t, LLVMValueRef bias)
{
    const int lanes = emit_lanes(e);

    assert(t->pixels * t->vectors + 2 <= EMIT_MAX_CARRY);
    for (int j = 0; j < t->vectors; j++) {
        LLVMValueRef start = emit_constant(e, 0.0f, lanes);

        if (bias)
            start = emit_load_part(e, emit_at(e, bias, j * lanes * 4), lanes,
                                   lanes_of(e, t, j));
        for (int i = 0; i < t->pixels; i++)
            t->sum[i * t->vectors + j] = start;
    }
}

static void load_weights(struct emitter *e, const struct tile *t, LLVMValueRef weights,
                         LLVMValueRef *w)
{
    const int lanes = emit_lanes(e);

    for (int j = 0; j < t->vectors; j++) {
        LLVMValueRef p = emit_at(e, weights, j * lanes * 4);
        const int used = t->weights_padded ? lanes : lanes_of(e, t, j);

        w[j] = emit_load_part(e, p, lanes, used);
    }
}

static void multiply_add(struct emitter *e, struct tile *t, int pixel, LLVMValueRef in,
                         LLVMValueRef *w)
{
    LLVMValueRef *sum = &t->sum[pixel * t->vectors];

    for (int j = 0; j < t->vectors; j++)
        sum[j] = emit_multiply_add(e, in, w[j], sum[j]);
}

void tile_step(struct emitter *e, struct tile *t, LLVMValueRef in, LLVMValueRef weights,
               int first, int end)
{
    LLVMValueRef w[MAX_VECTORS];

    load_weights(e, t, weights, w);
    for (int i = first; i < end; i++) {
        LLVMValueRef x = emit_load(e, e->f32, emit_at(e, in, i * t->pixel_bytes));

        multiply_add(e, t, i, emit_splat(e, x, emit_lanes(e)), w);
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
    const bool by_lane = e->isa->lane_fma && t->in_step == 4;
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

    if (rounds == 1 || count <= UNROLL_ALL) {
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

/* One finished vector of outputs, `at` bytes into the pixel. */
static LLVMValueRef finish(struct emitter *e, const struct tile_end *end, LLVMValueRef x,
                           int pixel, int64_t at, int used)
{
    const int lanes = emit_lanes(e);

    if (end->alpha != 1.0f)
        x = LLVMBuildFMul(e->builder, x, emit_constant(e, end->alpha, lanes), "");
    if (end->bias)
        x = LLVMBuildFAdd(e->builder, x,
                          emit_load_part(e, emit_at(e, end->bias, at), lanes, used), "");
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
    for (int i = 0; i < t->pixels; i++) {
        for (int j = 0; j < t->vectors; j++) {
            const int64_t at = j * emit_lanes(e) * 4;
            const int used = lanes_of(e, t, j);

            emit_store_part(e, finish(e, end, t->sum[i * t->vectors + j], i, at, used),
                            emit_at(e, out, i * end->out_pixel + at), used);
        }
    }
}
