/* SPDX-License-Identifier: Apache-2.0 */
/* One kernel row of an integer tile, walked in runs (int_shape.h).  At borders a pixel
 * has a part of a run: steps that it has as a whole are like those of its neighbours,
 * one that is cut is put together from single inputs. */
#include "codegen/emit_int_row.h"

#include <string.h>

enum { WRITE_OUT = 12 }; /* steps of a kernel row that are written out at most */

/* Inputs [lo, hi) of a run exist for a pixel. */
struct run_part {
    int64_t lo[INT_MAX_PIXELS], hi[INT_MAX_PIXELS];
};

static bool tap_reaches(const struct conv *v, const struct int_tile *t, int64_t x0,
                        int64_t tap, int pixel)
{
    if (x0 < 0)
        return true;
    const struct tap_range r = conv_tap(v, x0, t->pixels, tap);

    return pixel >= r.first && pixel < r.end;
}

static void widen_part(struct run_part *part, int i, int64_t lo, int64_t hi)
{
    if (part->hi[i] == 0)
        part->lo[i] = lo;
    part->hi[i] = hi;
}

static struct run_part run_part(const struct conv *v, const struct int_tile *t,
                                const struct int_runs *runs, int64_t run, int64_t x0)
{
    const int64_t columns = int_cut_columns(v);
    const int64_t tap_inputs = runs->kind == INT_RUN_ROW ? v->c_in : 1;
    struct run_part part;

    memset(&part, 0, sizeof part);
    for (int i = 0; i < t->pixels; i++)
        for (int64_t tap = 0; tap < columns; tap++) {
            if (!tap_reaches(v, t, x0, tap, i))
                continue;
            if (runs->kind != INT_RUN_CHANNELS)
                widen_part(&part, i, tap * tap_inputs, (tap + 1) * tap_inputs);
            else if (tap == run)
                widen_part(&part, i, 0, runs->length);
        }
    return part;
}

static bool is_empty(const struct int_tile *t, const struct run_part *part)
{
    for (int i = 0; i < t->pixels; i++)
        if (part->lo[i] < part->hi[i])
            return false;
    return true;
}

/* ---- steps ------------------------------------------------------------------- */

/* Pixels [first, end) have inputs of a step; `whole`: all of them, for every one. */
struct step_range {
    int first, end;
    bool whole;
};

static struct step_range range_of(const struct int_tile *t, const struct int_runs *runs,
                                  const struct run_part *part, int64_t k)
{
    const int64_t at = int_step_at(runs, k);
    struct step_range r = {t->pixels, 0, runs->step == 1 && at == k * INT_STEP};

    for (int i = 0; i < t->pixels; i++) {
        if (part->lo[i] >= at + INT_STEP || part->hi[i] <= at)
            continue;
        r.first = i < r.first ? i : r.first;
        r.end = i + 1;
        r.whole = r.whole && part->lo[i] <= at && at + INT_STEP <= part->hi[i];
    }
    return r;
}

/* The same of the t->depth steps from k on, which go together. */
static struct step_range range_of_group(const struct int_tile *t,
                                        const struct int_runs *runs,
                                        const struct run_part *part, int64_t k)
{
    struct step_range all = range_of(t, runs, part, k);

    for (int s = 1; s < t->depth; s++) {
        const struct step_range r = range_of(t, runs, part, k + s);

        all.whole = all.whole && r.whole && r.first == all.first && r.end == all.end;
        all.first = r.first < all.first ? r.first : all.first;
        all.end = r.end > all.end ? r.end : all.end;
    }
    return all;
}

static int within_step(int64_t x)
{
    return x < 0 ? 0 : x > INT_STEP ? INT_STEP : (int)x;
}

/* Inputs of step k that exist for pixel i. */
static LLVMValueRef part_input(struct emitter *e, const struct int_tile *t,
                               const struct int_runs *runs, LLVMValueRef in,
                               const struct run_part *part, int64_t k, int i)
{
    const int64_t at = int_step_at(runs, k);

    return int_tile_input_part(
        e, t, emit_at(e, in, i * t->pixel_bytes + at * runs->step),
        within_step(part->lo[i] - at), within_step(part->hi[i] - at), runs->step);
}

/* The same of the steps that go together. */
static LLVMValueRef deep_input(struct emitter *e, const struct int_tile *t,
                               const struct int_runs *runs, LLVMValueRef in,
                               const struct run_part *part, int64_t k, int i)
{
    const int64_t at = k * INT_STEP, n = (int64_t)t->depth * INT_STEP;
    LLVMValueRef x = LLVMConstNull(int_vector(e, e->i32, t->depth));

    if (runs->step == 1 && at + n <= runs->reach && part->lo[i] <= at
        && at + n <= part->hi[i])
        return int_tile_deep_input(e, t, emit_at(e, in, i * t->pixel_bytes + at));
    for (int s = 0; s < t->depth; s++)
        x = LLVMBuildInsertElement(e->builder, x,
                                   part_input(e, t, runs, in, part, k + s, i),
                                   LLVMConstInt(e->i32, (uint64_t)s, 0), "");
    return x;
}

/* Steps that some pixels have in part, or whose inputs are not where they would be. */
static void sum_part(struct emitter *e, struct int_tile *t, const struct int_runs *runs,
                     LLVMValueRef in, LLVMValueRef weights, const struct run_part *part,
                     int64_t k, struct step_range r)
{
    LLVMValueRef deep[INT_MAX_PIXELS];

    for (int s = 0; s < t->depth; s++) {
        struct step_inputs x = {.spread = false};

        for (int i = r.first; i < r.end; i++)
            x.x[i] = part_input(e, t, runs, in, part, k + s, i);
        int_tile_step(e, t, weights, k + s, &x, r.first, r.end);
    }
    if (t->depth == 1)
        return;
    for (int i = r.first; i < r.end; i++)
        deep[i] = deep_input(e, t, runs, in, part, k, i);
    int_tile_deep_steps(e, t, weights, k, deep, r.first, r.end);
}

static void sum_run(struct emitter *e, struct int_tile *t, const struct int_runs *runs,
                    LLVMValueRef in, LLVMValueRef weights, const struct run_part *part)
{
    const int64_t steps = int_run_steps(runs);

    for (int64_t k = 0; k < steps;) {
        const struct step_range r = range_of_group(t, runs, part, k);
        int64_t n = t->depth;

        for (; r.whole && k + n < steps; n += t->depth) {
            const struct step_range next = range_of_group(t, runs, part, k + n);

            if (!next.whole || next.first != r.first || next.end != r.end)
                break;
        }
        if (r.first < r.end && r.whole)
            int_tile_run(e, t, in, weights, k, n, r.first, r.end);
        else if (r.first < r.end)
            sum_part(e, t, runs, in, weights, part, k, r);
        in = emit_hide(e, in);
        k += n;
    }
}

/* ---- runs -------------------------------------------------------------------- */

/* Runs after `run` that exist for the same pixels, itself included. */
static int64_t runs_alike(const struct conv *v, const struct int_tile *t,
                          const struct int_runs *runs, int64_t run, int64_t x0,
                          const struct run_part *part)
{
    int64_t n = 1;

    for (; run + n < runs->n; n++) {
        const struct run_part next = run_part(v, t, runs, run + n, x0);

        if (memcmp(&next, part, sizeof next))
            break;
    }
    return n;
}

/* `n` runs that are alike, from those at `in` and `weights` on. */
static void sum_runs(struct emitter *e, struct int_tile *t, const struct int_runs *runs,
                     LLVMValueRef in, LLVMValueRef weights, const struct run_part *part,
                     int64_t n)
{
    const int64_t steps = int_run_steps(runs);
    const int64_t run_weights = int_steps_bytes(t->c, steps, t->width);
    struct emit_loop l = {0};

    if (n == 1 || n * steps <= WRITE_OUT) {
        for (int64_t i = 0; i < n; i++)
            sum_run(e, t, runs, emit_hide(e, emit_at(e, in, i * runs->next)),
                    emit_at(e, weights, i * run_weights), part);
        return;
    }
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n), 1, t->sum,
                    t->pixels * t->vectors);
    in = emit_hide(e, emit_at_value(e, in, emit_mul(e, l.at, runs->next)));
    weights = emit_hide(e, emit_at_value(e, weights, emit_mul(e, l.at, run_weights)));
    sum_run(e, t, runs, in, weights, part);
    emit_loop_end(e, &l, t->sum);
}

void int_tile_row(struct emitter *e, const struct conv *v, struct int_tile *t,
                  LLVMValueRef in, LLVMValueRef weights, int64_t x0)
{
    const struct int_runs runs = int_runs(v);
    const int64_t run_weights = int_steps_bytes(t->c, int_run_steps(&runs), t->width);

    for (int64_t run = 0; run < runs.n;) {
        const struct run_part part = run_part(v, t, &runs, run, x0);
        const int64_t n = runs_alike(v, t, &runs, run, x0, &part);

        if (!is_empty(t, &part))
            sum_runs(e, t, &runs, emit_at(e, in, run * runs.next),
                     emit_at(e, weights, run * run_weights), &part, n);
        run += n;
    }
}

/* ---- sums of windows --------------------------------------------------------- */

static LLVMValueRef add_to_lane_0(struct emitter *e, LLVMValueRef sum, LLVMValueRef x)
{
    LLVMValueRef one = LLVMBuildInsertElement(
        e->builder, LLVMConstNull(LLVMTypeOf(sum)), x, LLVMConstInt(e->i32, 0, 0), "");

    return LLVMBuildAdd(e->builder, sum, one, "");
}

/* The inputs of a vector of bytes, 0 where there are none.  Without a product of bytes
 * for both signs they are widened: then signed ones are taken as unsigned, 128 more. */
static LLVMValueRef add_bytes(struct emitter *e, const struct int_tile *t,
                              LLVMValueRef sum, LLVMValueRef bytes)
{
    LLVMTypeRef type = LLVMTypeOf(sum);
    const int lanes = (int)LLVMGetVectorSize(type);
    LLVMValueRef ones = int_cast(e, int_splat(e, e->i8, 1, 4 * lanes), type);
    LLVMValueRef wide[4];

    if (t->form == INT_DOT_SU)
        return int_dot(e, sum, ones, int_cast(e, bytes, type));
    if (t->form == INT_DOT_US || (t->form == INT_DOT_SS && t->c->in_signed))
        return int_dot(e, sum, int_cast(e, bytes, type), ones);
    int_widen(e, t->c->in_signed ? int_flip(e, bytes) : bytes, wide);
    for (int i = 0; i < 4; i++)
        sum = LLVMBuildAdd(e->builder, sum, wide[i], "");
    if (t->c->in_signed)
        sum = LLVMBuildSub(e->builder, sum, int_splat(e, e->i32, 4 * 128, lanes), "");
    return sum;
}

/* `n` vectors of neighbouring inputs at p; few are written out. */
static LLVMValueRef add_vectors(struct emitter *e, const struct int_tile *t,
                                LLVMValueRef sum, LLVMValueRef p, int64_t n)
{
    const int64_t size = e->isa->vector_bytes;
    LLVMTypeRef bytes = int_vector(e, e->i8, (int)size);
    struct emit_loop l = {0};

    if (n <= WRITE_OUT) {
        for (int64_t i = 0; i < n; i++)
            sum = add_bytes(e, t, sum, int_load(e, bytes, emit_at(e, p, i * size)));
        return sum;
    }
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n), 1, &sum, 1);
    p = emit_at_value(e, p, emit_mul(e, l.at, size));
    sum = add_bytes(e, t, sum, int_load(e, bytes, p));
    emit_loop_end(e, &l, &sum);
    return sum;
}

/* n neighbouring inputs at p. */
static LLVMValueRef add_span(struct emitter *e, const struct int_tile *t,
                             LLVMValueRef sum, LLVMValueRef p, int64_t n)
{
    const int64_t size = e->isa->vector_bytes, whole = n / size, rest = n % size;
    const int32_t flip = int_flip_of(t->c, t->form);
    LLVMTypeRef bytes = int_vector(e, e->i8, (int)size);

    sum = add_vectors(e, t, sum, p, whole);
    if (rest)
        sum = add_bytes(
            e, t, sum, int_load_part(e, bytes, emit_at(e, p, whole * size), (int)rest));
    if (flip)
        sum = add_to_lane_0(e, sum, LLVMConstInt(e->i32, (uint64_t)(flip * n), true));
    return sum;
}

/* n inputs that lie `step` bytes apart. */
static LLVMValueRef add_scattered(struct emitter *e, const struct int_tile *t,
                                  LLVMValueRef sum, LLVMValueRef p, int64_t n,
                                  int64_t step)
{
    struct emit_loop l = {0};

    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n), 1, &sum, 1);
    LLVMValueRef x = int_load(e, e->i8, emit_at_value(e, p, emit_mul(e, l.at, step)));

    x = t->c->in_signed ? LLVMBuildSExt(e->builder, x, e->i32, "")
                        : LLVMBuildZExt(e->builder, x, e->i32, "");
    x = LLVMBuildAdd(e->builder, x,
                     LLVMConstInt(e->i32, (uint64_t)int_flip_of(t->c, t->form), true),
                     "");
    sum = add_to_lane_0(e, sum, x);
    emit_loop_end(e, &l, &sum);
    return sum;
}

static void window_run(struct emitter *e, const struct int_tile *t,
                       const struct int_runs *runs, LLVMValueRef in,
                       const struct run_part *part, LLVMValueRef *window)
{
    for (int i = 0; i < t->pixels; i++) {
        const int64_t lo = part->lo[i];
        const int64_t hi = part->hi[i] < runs->length ? part->hi[i] : runs->length;
        LLVMValueRef p = emit_at(e, in, i * t->pixel_bytes + lo * runs->step);

        if (lo >= hi)
            continue;
        window[i] = runs->step == 1
                        ? add_span(e, t, window[i], p, hi - lo)
                        : add_scattered(e, t, window[i], p, hi - lo, runs->step);
    }
}

void int_window_row(struct emitter *e, const struct conv *v, const struct int_tile *t,
                    LLVMValueRef in, int64_t x0, LLVMValueRef *window)
{
    const struct int_runs runs = int_runs(v);

    for (int64_t run = 0; run < runs.n;) {
        const struct run_part part = run_part(v, t, &runs, run, x0);
        const int64_t n = runs_alike(v, t, &runs, run, x0, &part);
        LLVMValueRef p = emit_at(e, in, run * runs.next);
        struct emit_loop l = {0};

        if (n == 1) {
            window_run(e, t, &runs, p, &part, window);
        } else if (!is_empty(t, &part)) {
            emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n), 1, window,
                            t->pixels);
            p = emit_at_value(e, p, emit_mul(e, l.at, runs.next));
            window_run(e, t, &runs, p, &part, window);
            emit_loop_end(e, &l, window);
        }
        run += n;
    }
}
