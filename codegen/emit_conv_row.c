/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel row is walked in runs (conv_shape.h).  Three ways: plain, pixels grouped by
 * the taps that reach them; with depth, the same with parts of steps where a border or
 * the end of a run cuts through one; sliding, where overlapping columns are loaded
 * once.
 */
#include "codegen/emit_conv_row.h"

enum {
    WRITE_OUT = 12, /* steps of a kernel row that are written out at most */
    MAX_PIXELS = 64,
};

/* ---- plain --------------------------------------------------------------------------
 */

/* `n` runs of a kernel row, from `run` on, for pixels that they all reach. */
static void sum_runs(struct emitter *e, const struct conv *c, struct tile *t,
                     LLVMValueRef in, LLVMValueRef weights, struct tap_range r,
                     int64_t run, int64_t n)
{
    const struct conv_runs runs = conv_runs(c, 1);
    const int64_t next = runs.next * 4, next_weights = runs.length * t->weight_step;
    const int n_sums = t->pixels * t->vectors;
    struct emit_loop l = {0};
    LLVMValueRef carry[EMIT_MAX_CARRY];

    in = emit_at(e, in, run * next);
    weights = emit_at(e, weights, run * next_weights);
    if (n == 1 || n * runs.length <= WRITE_OUT) {
        for (int64_t i = 0; i < n; i++) {
            if (i)
                in = emit_hide(e, in);
            tile_run(e, t, emit_at(e, in, i * next),
                     emit_at(e, weights, i * next_weights), r.first, r.end,
                     runs.length);
        }
        return;
    }
    for (int i = 0; i < n_sums; i++)
        carry[i] = t->sum[i];
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, n), 1, carry, n_sums);
    for (int i = 0; i < n_sums; i++)
        t->sum[i] = carry[i];
    in = emit_hide(e, emit_at_value(e, in, emit_mul(e, l.at, next)));
    weights = emit_hide(e, emit_at_value(e, weights, emit_mul(e, l.at, next_weights)));
    tile_run(e, t, in, weights, r.first, r.end, runs.length);
    emit_loop_end(e, &l, t->sum);
}

static struct tap_range tap_of(const struct conv *c, const struct tile *t, int64_t x0,
                               int64_t tap)
{
    if (x0 < 0)
        return (struct tap_range){0, t->pixels};
    return conv_tap(c, x0, t->pixels, tap);
}

static bool same_range(struct tap_range a, struct tap_range b)
{
    return a.first == b.first && a.end == b.end;
}

/* One kernel row.  x0 < 0: an inner tile, which every tap reaches with all pixels. */
static void sum_kernel_row(struct emitter *e, const struct conv *c, struct tile *t,
                           LLVMValueRef in, LLVMValueRef weights, int64_t x0)
{
    const struct conv_runs runs = conv_runs(c, 1);

    t->in_step = runs.step * 4;
    for (int64_t tap = 0; tap < c->kw;) {
        const struct tap_range r = tap_of(c, t, x0, tap);
        int64_t n = 1;

        while (tap + n < c->kw && same_range(tap_of(c, t, x0, tap + n), r))
            n++;
        if (r.first < r.end && runs.kind == RUN_ROW)
            tile_run(e, t, emit_at(e, in, tap * c->c_in * t->in_step),
                     emit_at(e, weights, tap * c->c_in * t->weight_step), r.first,
                     r.end, n * c->c_in);
        else if (r.first < r.end)
            sum_runs(e, c, t, in, weights, r, tap, n);
        in = emit_hide(e, in);
        tap += n;
    }
}

/* ---- with depth -------------------------------------------------------------- */

/* Inputs [lo, hi) of a run exist for a pixel. */
struct run_part {
    int64_t lo[MAX_PIXELS], hi[MAX_PIXELS];
};

static struct run_part run_part(const struct conv *c, const struct tile *t,
                                const struct conv_runs *runs, int64_t run, int64_t x0)
{
    const int64_t tap_steps = runs->kind == RUN_ROW ? c->c_in : 1;
    struct run_part part;

    for (int i = 0; i < t->pixels; i++) {
        part.lo[i] = part.hi[i] = 0;
        for (int64_t tap = 0; tap < c->kw; tap++) {
            const struct tap_range r = tap_of(c, t, x0, tap);

            if (i < r.first || i >= r.end)
                continue;
            if (runs->kind == RUN_CHANNELS && tap == run)
                part.hi[i] = runs->length;
            if (runs->kind == RUN_CHANNELS)
                continue;
            if (part.hi[i] == 0)
                part.lo[i] = tap * tap_steps;
            part.hi[i] = (tap + 1) * tap_steps;
        }
    }
    return part;
}

/* Pixels that have all inputs [k, k + depth) of the run; `whole` is false when others
 * have some. */
static struct tap_range whole_pixels(const struct tile *t, const struct run_part *part,
                                     int64_t k, bool *whole)
{
    struct tap_range r = {t->pixels, 0};

    *whole = true;
    for (int i = 0; i < t->pixels; i++) {
        if (part->lo[i] <= k && k + t->depth <= part->hi[i]) {
            r.first = i < r.first ? i : r.first;
            r.end = i + 1;
        } else if (part->lo[i] < k + t->depth && k < part->hi[i]) {
            *whole = false;
        }
    }
    return r;
}

/* One step for which some pixels lack inputs, or the run ends. */
static void sum_part(struct emitter *e, struct tile *t, LLVMValueRef in,
                     LLVMValueRef weights, const struct run_part *part, int64_t k,
                     int deep)
{
    int lo[MAX_PIXELS], hi[MAX_PIXELS];

    for (int i = 0; i < t->pixels; i++) {
        const int64_t from = part->lo[i] - k, to = part->hi[i] - k;

        lo[i] = from < 0 ? 0 : from > deep ? deep : (int)from;
        hi[i] = to < 0 ? 0 : to > deep ? deep : (int)to;
    }
    tile_step_part(e, t, emit_at(e, in, k * 4),
                   emit_at(e, weights, k * t->width * tile_weight_bytes(t)), lo, hi,
                   deep);
}

static void sum_deep_run(struct emitter *e, struct tile *t, LLVMValueRef in,
                         LLVMValueRef weights, const struct run_part *part,
                         int64_t length)
{
    const int64_t full = length / t->depth * t->depth;

    for (int64_t k = 0; k < full;) {
        bool whole, next_whole;
        const struct tap_range r = whole_pixels(t, part, k, &whole);
        int64_t n = 1;

        if (!whole) {
            sum_part(e, t, in, weights, part, k, t->depth);
            in = emit_hide(e, in);
            k += t->depth;
            continue;
        }
        while (k + n * t->depth < full
               && same_range(whole_pixels(t, part, k + n * t->depth, &next_whole), r)
               && next_whole)
            n++;
        if (r.first < r.end)
            tile_run(e, t, emit_at(e, in, k * 4),
                     emit_at(e, weights, k * t->width * tile_weight_bytes(t)), r.first,
                     r.end, n);
        in = emit_hide(e, in);
        k += n * t->depth;
    }
    if (full < length)
        sum_part(e, t, in, weights, part, full, (int)(length - full));
}

/* One group of `deep` channels of a kernel row: all its columns, see conv_slides(). */
static void slide_step(struct emitter *e, const struct conv *c, struct tile *t,
                       LLVMValueRef in, LLVMValueRef weights, int deep, int64_t x0)
{
    const int64_t columns =
        (t->pixels - 1) * c->stride_x + (c->kw - 1) * c->dilation_x + 1;
    LLVMValueRef w[MAX_PIXELS];

    for (int64_t tap = 0; tap < c->kw; tap++)
        w[tap] = tile_deep_weights(
            e, t, emit_at(e, weights, tap * c->c_in * t->width * tile_weight_bytes(t)),
            deep);
    for (int64_t column = 0; column < columns; column++) {
        LLVMValueRef x = NULL;

        for (int64_t tap = 0; tap < c->kw; tap++) {
            const struct tap_range r = tap_of(c, t, x0, tap);
            const int64_t from = column - tap * c->dilation_x;
            const int64_t i = from / c->stride_x;

            if (from < 0 || from % c->stride_x || i < r.first || i >= r.end)
                continue;
            if (!x)
                x = tile_deep_input(e, t, emit_at(e, in, column * c->in_x * 4), 0,
                                    deep);
            tile_add(e, t, (int)i, x, w[tap]);
        }
    }
}

static void slide_kernel_row(struct emitter *e, const struct conv *c, struct tile *t,
                             LLVMValueRef in, LLVMValueRef weights, int64_t x0)
{
    const int64_t steps = c->c_in / t->depth, rest = c->c_in % t->depth;
    struct emit_loop l = {0};
    LLVMValueRef carry[EMIT_MAX_CARRY];
    const int n = t->pixels;

    for (int i = 0; i < n; i++)
        carry[i] = t->sum[i];
    carry[n] = in;
    carry[n + 1] = weights;
    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, steps), 1, carry, n + 2);
    for (int i = 0; i < n; i++)
        t->sum[i] = carry[i];
    in = emit_hide(e, carry[n]);
    weights = emit_hide(e, carry[n + 1]);
    slide_step(e, c, t, in, weights, t->depth, x0);
    for (int i = 0; i < n; i++)
        carry[i] = t->sum[i];
    carry[n] = emit_at(e, in, t->depth * 4);
    carry[n + 1] = emit_at(e, weights, t->depth * t->width * tile_weight_bytes(t));
    emit_loop_end(e, &l, carry);
    for (int i = 0; i < n; i++)
        t->sum[i] = carry[i];
    if (rest)
        slide_step(e, c, t, carry[n], carry[n + 1], (int)rest, x0);
}

static void sum_kernel_row_deep(struct emitter *e, const struct conv *c, struct tile *t,
                                LLVMValueRef in, LLVMValueRef weights, int64_t x0)
{
    const struct conv_runs runs = conv_runs(c, t->depth);
    const int64_t run_weights = runs.length * t->width * tile_weight_bytes(t);
    const bool alike = x0 < 0 || runs.kind == RUN_COLUMNS;
    struct emit_loop l = {0};

    t->in_step = t->depth * 4;
    if (alike && runs.n * runs.length > WRITE_OUT && runs.n > 1) {
        const struct run_part part = run_part(c, t, &runs, 0, x0);

        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, runs.n), 1, t->sum,
                        t->pixels);
        in = emit_hide(e, emit_at_value(e, in, emit_mul(e, l.at, runs.next * 4)));
        weights =
            emit_hide(e, emit_at_value(e, weights, emit_mul(e, l.at, run_weights)));
        sum_deep_run(e, t, in, weights, &part, runs.length);
        emit_loop_end(e, &l, t->sum);
        return;
    }
    for (int64_t run = 0; run < runs.n; run++) {
        const struct run_part part = run_part(c, t, &runs, run, x0);

        sum_deep_run(e, t, emit_at(e, in, run * runs.next * 4),
                     emit_at(e, weights, run * run_weights), &part, runs.length);
        in = emit_hide(e, in);
    }
}

void emit_conv_row(struct emitter *e, const struct conv *c, struct tile *t,
                   LLVMValueRef in, LLVMValueRef weights, int64_t x0)
{
    if (conv_slides(c, t->depth))
        slide_kernel_row(e, c, t, in, weights, x0);
    else if (t->depth > 1)
        sum_kernel_row_deep(e, c, t, in, weights, x0);
    else
        sum_kernel_row(e, c, t, in, weights, x0);
}
