/* SPDX-License-Identifier: Apache-2.0 */
/* A unit of Winograd's convolution, in the scratch of its worker:
 *
 *     inputs of a strip of tiles  -> in[36][tile][channel]
 *     for each block of output channels:
 *         weights                 -> weights[36][channel][block]
 *         for each of 36 points:     out[tile][block] = in weights
 *         out                     -> bias, activation, residual, the image
 *
 * Columns outside the image are known here; rows are tested.
 */
#include "codegen/emit_tile.h"
#include "codegen/winograd.h"

enum { N = WINOGRAD_IN, M = WINOGRAD_OUT };

struct wino {
    struct emitter *e;
    const struct conv *c;
    const struct conv_tiling *t;
    struct winograd_cut cut;
    LLVMValueRef function;
    LLVMValueRef scratch;
    LLVMValueRef in, out, residual; /* of the image; residual may be NULL */
    LLVMValueRef first_row, n_rows; /* tile rows of the unit */
    struct {
        LLVMValueRef at;   /* its first channel, in bytes */
        LLVMValueRef bias; /* NULL: none */
        int width;
    } block; /* of output channels, now */
};

static LLVMValueRef add(struct wino *w, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFAdd(w->e->builder, a, b, "");
}

static LLVMValueRef sub(struct wino *w, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFSub(w->e->builder, a, b, "");
}

static LLVMValueRef scale(struct wino *w, LLVMValueRef a, float k)
{
    return LLVMBuildFMul(w->e->builder, a, emit_constant(w->e, k, w->cut.lanes), "");
}

/* a + k * b */
static LLVMValueRef plus(struct wino *w, LLVMValueRef a, float k, LLVMValueRef b)
{
    return emit_multiply_add(w->e, b, emit_constant(w->e, k, w->cut.lanes), a);
}

/* B' d, one column: d and the result are `step` apart. */
static void transform_in(struct wino *w, LLVMValueRef *d, int step)
{
    LLVMValueRef x[N];

    for (int i = 0; i < N; i++)
        x[i] = d[i * step];
    LLVMValueRef a = plus(w, x[4], -4, x[2]), b = plus(w, x[3], -4, x[1]);
    LLVMValueRef p = sub(w, x[4], x[2]), q = sub(w, x[3], x[1]);

    d[0] = plus(w, plus(w, x[4], -5, x[2]), 4, x[0]);
    d[1 * step] = add(w, a, b);
    d[2 * step] = sub(w, a, b);
    d[3 * step] = plus(w, p, 2, q);
    d[4 * step] = plus(w, p, -2, q);
    d[5 * step] = plus(w, plus(w, x[5], -5, x[3]), 4, x[1]);
}

/* G g, one column of three in, six out. */
static void transform_weights(struct wino *w, const LLVMValueRef *g, int g_step,
                              LLVMValueRef *u, int step)
{
    LLVMValueRef a = scale(w, add(w, g[0], g[2 * g_step]), -1.0f / 6);
    LLVMValueRef b = plus(w, scale(w, g[0], 1.0f / 24), 1.0f / 6, g[2 * g_step]);

    u[0] = scale(w, g[0], 0.25f);
    u[1 * step] = plus(w, a, -1.0f / 6, g[g_step]);
    u[2 * step] = plus(w, a, 1.0f / 6, g[g_step]);
    u[3 * step] = plus(w, b, 1.0f / 12, g[g_step]);
    u[4 * step] = plus(w, b, -1.0f / 12, g[g_step]);
    u[5 * step] = g[2 * g_step];
}

/* A' m, one column of six in, four out in its place. */
static void transform_out(struct wino *w, LLVMValueRef *m, int step)
{
    LLVMValueRef a = add(w, m[1 * step], m[2 * step]),
                 b = sub(w, m[1 * step], m[2 * step]);
    LLVMValueRef p = add(w, m[3 * step], m[4 * step]),
                 q = sub(w, m[3 * step], m[4 * step]);

    m[0] = add(w, add(w, m[0], a), p);
    m[1 * step] = plus(w, b, 2, q);
    m[2 * step] = plus(w, a, 4, p);
    m[3 * step] = add(w, plus(w, b, 8, q), m[5 * step]);
}

/* Number `row` of the strip, as an image row: 4 * (first_row + row) + k. */
static LLVMValueRef image_row(struct wino *w, LLVMValueRef row, int64_t k)
{
    LLVMValueRef y = LLVMBuildAdd(w->e->builder, w->first_row, row, "");

    return emit_add(w->e, emit_mul(w->e, y, M), k);
}

/* ---- inputs ------------------------------------------------------------------ */

/* One row of a patch into d[0 .. 5], transformed along the row; zeros where it is
 * outside the image.  x: the patch's first column, known unless inner. */
static void patch_row(struct wino *w, LLVMValueRef in, LLVMValueRef y, int64_t x,
                      bool inner, int used, LLVMValueRef *d)
{
    struct emitter *e = w->e;
    const struct conv *c = w->c;
    struct emit_if inside;

    for (int k = 0; k < N; k++)
        d[k] = emit_constant(e, 0.0f, w->cut.lanes);
    emit_if_begin(e, &inside,
                  LLVMBuildICmp(e->builder, LLVMIntULT, y, emit_int(e, c->h), ""), d,
                  N);
    for (int k = 0; k < N; k++)
        if (inner || (x + k >= 0 && x + k < c->w))
            d[k] =
                emit_load_part(e, emit_at(e, in, k * c->in_x * 4), w->cut.lanes, used);
    transform_in(w, d, 1);
    emit_if_end(e, &inside, d);
}

/* The patch of one tile, one vector of channels. */
static void transform_patch(struct wino *w, LLVMValueRef in, LLVMValueRef to,
                            LLVMValueRef row, int64_t x, bool inner, int used)
{
    struct emitter *e = w->e;
    const struct conv *c = w->c;
    LLVMValueRef d[N * N];

    for (int k = 0; k < N; k++)
        patch_row(w, emit_at(e, in, k * c->in_y * 4), image_row(w, row, k - c->pad_top),
                  x, inner, used, d + k * N);
    for (int k = 0; k < N; k++)
        transform_in(w, d + k, N);
    for (int k = 0; k < N * N; k++)
        emit_store(e, d[k], emit_at(e, to, k * w->cut.in_point));
}

/* All channels of the tile in column `column` of tile row `row`. */
static void transform_tile(struct wino *w, LLVMValueRef row, LLVMValueRef column,
                           int64_t known)
{
    struct emitter *e = w->e;
    const struct conv *c = w->c;
    const int64_t whole = c->c_in / w->cut.lanes, rest = c->c_in % w->cut.lanes;
    const int64_t x = known * M - c->pad_left;
    LLVMValueRef y = image_row(w, row, -c->pad_top);
    LLVMValueRef tile =
        LLVMBuildAdd(e->builder, emit_mul(e, row, w->cut.columns), column, "");
    LLVMValueRef from = emit_at_value(e, w->in, emit_mul(e, y, c->in_y * 4));
    LLVMValueRef to =
        emit_at_value(e, w->scratch, emit_mul(e, tile, w->cut.in_channels * 4));
    struct emit_loop l = {0};

    from = emit_at_value(e, from, emit_mul(e, column, M * c->in_x * 4));
    from = emit_hide(e, emit_at(e, from, -c->pad_left * c->in_x * 4));
    to = emit_hide(e, to);
    if (whole) {
        emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, whole), 1, NULL, 0);
        LLVMValueRef bytes = emit_mul(e, l.at, w->cut.lanes * 4);

        transform_patch(w, emit_hide(e, emit_at_value(e, from, bytes)),
                        emit_hide(e, emit_at_value(e, to, bytes)), row, x, known < 0,
                        w->cut.lanes);
        emit_loop_end(e, &l, NULL);
    }
    if (rest)
        transform_patch(w, emit_at(e, from, whole * w->cut.lanes * 4),
                        emit_at(e, to, whole * w->cut.lanes * 4), row, x, known < 0,
                        (int)rest);
}

/* The tile's patch and outputs are all inside the image, as far as columns go. */
static bool column_is_inner(const struct wino *w, int64_t column)
{
    const int64_t x = column * M - w->c->pad_left;

    return x >= 0 && x + N <= w->c->w && column * M + M <= w->c->ow;
}

typedef void tile_fn(struct wino *w, LLVMValueRef row, LLVMValueRef column,
                     int64_t known);

static void each_tile(struct wino *w, tile_fn *f)
{
    struct emitter *e = w->e;
    struct emit_loop rows = {.never_empty = true};

    emit_loop_begin(e, &rows, emit_int(e, 0), w->n_rows, 1, NULL, 0);
    for (int64_t i = 0; i < w->cut.columns; i++) {
        int64_t n = 0;
        struct emit_loop l = {0};

        while (i + n < w->cut.columns && column_is_inner(w, i + n))
            n++;
        if (n < 2) {
            f(w, rows.at, emit_int(e, i), i);
            continue;
        }
        emit_loop_begin(e, &l, emit_int(e, i), emit_int(e, i + n), 1, NULL, 0);
        f(w, rows.at, l.at, -1);
        emit_loop_end(e, &l, NULL);
        i += n - 1;
    }
    emit_loop_end(e, &rows, NULL);
}

/* ---- weights ----------------------------------------------------------------- */

/* A block of `width` channels; nine rows of it per input channel. */
static void transform_filters(struct wino *w, LLVMValueRef weights, int64_t width)
{
    struct emitter *e = w->e;
    LLVMValueRef to = emit_at(e, w->scratch, w->cut.weights_at);
    const int64_t size = conv_weight_bytes(w->c);
    struct emit_loop l = {0};
    LLVMValueRef g[9], half[N * 3], u[N * N];

    emit_loop_begin(e, &l, emit_int(e, 0), emit_int(e, w->c->c_in), 1, NULL, 0);
    LLVMValueRef from =
        emit_hide(e, emit_at_value(e, weights, emit_mul(e, l.at, 9 * width * size)));

    to = emit_hide(e, emit_at_value(e, to, emit_mul(e, l.at, w->t->block * 4)));
    for (int k = 0; k < 9; k++) {
        LLVMValueRef p = emit_at(e, from, k * width * size);

        g[k] = w->c->half_weights ? emit_load_half(e, p, w->cut.lanes)
                                  : emit_load(e, emit_vector(e, w->cut.lanes), p);
    }
    for (int k = 0; k < 3; k++)
        transform_weights(w, g + k, 3, half + k, 3);
    for (int k = 0; k < N; k++)
        transform_weights(w, half + k * 3, 1, u + k * N, 1);
    for (int k = 0; k < N * N; k++)
        emit_store(e, u[k], emit_at(e, to, k * w->cut.weight_point));
    emit_loop_end(e, &l, NULL);
}

/* ---- products ---------------------------------------------------------------- */

static void multiply(struct wino *w)
{
    struct emitter *e = w->e;
    const struct winograd_cut *cut = &w->cut;
    const int64_t in_step = cut->in_channels * 4, group = w->t->pixels;
    struct emit_loop points = {0}, groups = {.never_empty = true};
    const struct tile_end end = {.alpha = 1.0f, .out_pixel = w->t->block * 4};
    LLVMValueRef rest;
    LLVMValueRef tiles = emit_mul(e, w->n_rows, cut->columns);
    LLVMValueRef n = emit_divide(e, emit_add(e, tiles, group - 1), group, &rest);

    emit_loop_begin(e, &points, emit_int(e, 0), emit_int(e, WINOGRAD_POINTS), 1, NULL,
                    0);
    LLVMValueRef in =
        emit_at_value(e, w->scratch, emit_mul(e, points.at, cut->in_point));
    LLVMValueRef weights = emit_at_value(e, emit_at(e, w->scratch, cut->weights_at),
                                         emit_mul(e, points.at, cut->weight_point));
    LLVMValueRef out = emit_at_value(e, emit_at(e, w->scratch, cut->out_at),
                                     emit_mul(e, points.at, cut->out_point));

    emit_loop_begin(e, &groups, emit_int(e, 0), n, 1, NULL, 0);
    struct tile t = {
        .pixels = w->t->pixels,
        .vectors = w->t->vectors,
        .width = (int)w->t->block,
        .depth = 1,
        .pixel_bytes = in_step,
        .in_step = 4,
        .weight_step = w->t->block * 4,
        .weights_padded = true,
        .unroll = w->t->unroll,
    };

    in = emit_hide(e, emit_at_value(e, in, emit_mul(e, groups.at, group * in_step)));
    out = emit_hide(
        e, emit_at_value(e, out, emit_mul(e, groups.at, group * end.out_pixel)));
    tile_start(e, &t, NULL);
    tile_run(e, &t, in, weights, 0, t.pixels, w->c->c_in);
    tile_finish(e, &t, &end, out);
    emit_loop_end(e, &groups, NULL);
    emit_loop_end(e, &points, NULL);
}

/* ---- outputs ----------------------------------------------------------------- */

/* The block's channels of the first pixel of row y in the tile column. */
static LLVMValueRef pixel(struct wino *w, LLVMValueRef image, LLVMValueRef y,
                          int64_t step_y, LLVMValueRef column, int64_t step_x)
{
    struct emitter *e = w->e;
    LLVMValueRef p = emit_at_value(e, image, w->block.at);

    p = emit_at_value(e, p, emit_mul(e, y, step_y * 4));
    return emit_hide(e, emit_at_value(e, p, emit_mul(e, column, M * step_x * 4)));
}

static void finish_row(struct wino *w, LLVMValueRef y, LLVMValueRef column, int n,
                       LLVMValueRef *m)
{
    struct emitter *e = w->e;
    const struct conv *c = w->c;
    struct emit_if inside;

    emit_if_begin(e, &inside,
                  LLVMBuildICmp(e->builder, LLVMIntULT, y, emit_int(e, c->oh), ""),
                  NULL, 0);
    LLVMValueRef out = pixel(w, w->out, y, c->out_y, column, c->out_x), residual = NULL;

    if (c->has_residual)
        residual = pixel(w, w->residual, y, c->res_y, column, c->res_x);
    for (int k = 0; k < n; k++) {
        LLVMValueRef x = m[k];

        if (w->block.bias)
            x = add(w, x, w->block.bias);
        x = emit_activation(e, x, c->act_before, 0.0f, 0.0f);
        if (residual)
            x = add(w, x,
                    emit_load_part(e, emit_at(e, residual, k * c->res_x * 4),
                                   w->cut.lanes, w->block.width));
        x = emit_activation(e, x, c->act, c->act_a, c->act_b);
        emit_store_part(e, x, emit_at(e, out, k * c->out_x * 4), w->block.width);
    }
    emit_if_end(e, &inside, NULL);
}

static void finish_tile(struct wino *w, LLVMValueRef row, LLVMValueRef column,
                        int64_t known)
{
    struct emitter *e = w->e;
    LLVMValueRef tile =
        LLVMBuildAdd(e->builder, emit_mul(e, row, w->cut.columns), column, "");
    LLVMValueRef from = emit_at_value(e, emit_at(e, w->scratch, w->cut.out_at),
                                      emit_mul(e, tile, w->t->block * 4));
    const int64_t left = w->c->ow - known * M;
    const int n = known < 0 || left > M ? M : (int)left;
    LLVMValueRef m[N * N];

    from = emit_hide(e, from);
    for (int k = 0; k < N * N; k++)
        m[k] = emit_load(e, emit_vector(e, w->cut.lanes),
                         emit_at(e, from, k * w->cut.out_point));
    for (int k = 0; k < N; k++)
        transform_out(w, m + k, N);
    for (int k = 0; k < M; k++) {
        transform_out(w, m + k * N, 1);
        finish_row(w, image_row(w, row, k), column, n, m + k * N);
    }
}

/* ---- units ------------------------------------------------------------------- */

static void emit_block(struct wino *w, LLVMValueRef first, int64_t width)
{
    struct emitter *e = w->e;
    LLVMValueRef weights = LLVMGetParam(w->function, CORE_WEIGHTS);

    w->block.at = emit_mul(e, first, 4);
    w->block.width = (int)width;
    w->block.bias = NULL;
    if (w->c->has_bias)
        w->block.bias = emit_load_part(
            e, emit_at_value(e, LLVMGetParam(w->function, CORE_BIAS), w->block.at),
            w->cut.lanes, w->block.width);
    transform_filters(
        w,
        emit_at_value(e, weights,
                      emit_mul(e, first, w->c->c_in * 9 * conv_weight_bytes(w->c))),
        width);
    multiply(w);
    each_tile(w, finish_tile);
}

static void emit_unit(struct wino *w, LLVMValueRef u)
{
    struct emitter *e = w->e;
    const struct conv *c = w->c;
    const int64_t whole = c->c_out / w->t->block, rest = c->c_out % w->t->block;
    const int64_t shares = (w->cut.blocks + w->cut.per_unit - 1) / w->cut.per_unit;
    LLVMValueRef group, strip, image = emit_divide(e, u, shares, &group);
    struct emit_loop l = {0};
    struct emit_if last;

    image = emit_divide(e, image, w->cut.strips, &strip);
    w->in = emit_at_value(e, LLVMGetParam(w->function, CORE_IN),
                          emit_mul(e, image, c->in_n * 4));
    w->out = emit_at_value(e, LLVMGetParam(w->function, CORE_OUT),
                           emit_mul(e, image, c->out_n * 4));
    if (c->has_residual)
        w->residual = emit_at_value(e, LLVMGetParam(w->function, CORE_RESIDUAL),
                                    emit_mul(e, image, c->res_n * 4));
    w->first_row = emit_mul(e, strip, w->cut.strip);
    w->n_rows =
        emit_min(e, emit_int(e, w->cut.strip),
                 LLVMBuildSub(e->builder, emit_int(e, w->cut.rows), w->first_row, ""));
    each_tile(w, transform_tile);
    LLVMValueRef first = emit_mul(e, group, w->cut.per_unit);
    LLVMValueRef end =
        emit_min(e, emit_add(e, first, w->cut.per_unit), emit_int(e, w->cut.blocks));

    emit_loop_begin(e, &l, first, emit_min(e, end, emit_int(e, whole)), 1, NULL, 0);
    emit_block(w, emit_mul(e, l.at, w->t->block), w->t->block);
    emit_loop_end(e, &l, NULL);
    if (!rest)
        return;
    emit_if_begin(
        e, &last,
        LLVMBuildICmp(e->builder, LLVMIntEQ, end, emit_int(e, w->cut.blocks), ""), NULL,
        0);
    emit_block(w, emit_int(e, whole * w->t->block), rest);
    emit_if_end(e, &last, NULL);
}

LLVMValueRef emit_winograd(struct emitter *e, const struct conv *c,
                           const struct conv_tiling *t, const char *name)
{
    struct wino w = {.e = e, .c = c, .t = t, .cut = winograd_cut(c, t)};
    struct emit_loop l = {0};

    w.function = emit_core(e, name);
    w.scratch = LLVMGetParam(w.function, CORE_SCRATCH);
    emit_loop_begin(e, &l, LLVMGetParam(w.function, CORE_BEGIN),
                    LLVMGetParam(w.function, CORE_END), 1, NULL, 0);
    emit_unit(&w, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return w.function;
}
