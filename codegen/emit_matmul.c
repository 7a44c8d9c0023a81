/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of two activations: C[b] = alpha * A[b] B[b] + bias.
 *
 * The tile is that of convolution, with a row of B in the place of weights.  B is
 * used where it lies when its rows are contiguous and near each other; otherwise a
 * unit first copies its columns into scratch, transposing if need be:
 *
 *     unit = (matrix of the batch, block of columns, part of the rows of A)
 */
#include <assert.h>

#include "codegen/conv_shape.h"
#include "codegen/emit_tile.h"
#include "codegen/whole.h"

enum {
    FAR_ROWS = 1024, /* bytes between rows of B from which a copy pays ... */
    FEW_ROWS = 16,   /* ... unless A has no more rows than this */
};

/* How the product is cut: a function of shape and isa. */
struct matmul_cut {
    struct conv as_conv; /* the same product as a convolution, for the cost rule */
    struct conv_tiling tiling;
    int64_t blocks;
    bool pack;      /* copy columns of B into scratch */
    int64_t padded; /* floats of a packed row */
};

struct matmul_emitter {
    struct emitter *e;
    const struct matmul *m;
    struct matmul_cut cut;
    LLVMValueRef function;
};

static struct matmul_cut cut_matmul(const struct matmul *m, const struct isa *isa)
{
    const int lanes = isa->vector_bytes / 4;
    struct matmul_cut cut = {
        .as_conv =
            {
                .n = 1,
                .h = 1,
                .w = m->m,
                .oh = 1,
                .ow = m->m,
                .groups = 1,
                .c_in = m->k,
                .c_out = m->n,
                .kh = 1,
                .kw = 1,
                .stride_y = 1,
                .stride_x = 1,
                .dilation_y = 1,
                .dilation_x = 1,
                .in_c = m->a_col,
                .in_x = m->a_row,
                .in_y = m->m * m->a_row,
                .in_n = m->m * m->a_row,
                .out_x = m->c_row,
                .out_y = m->m * m->c_row,
                .out_n = m->m * m->c_row,
            },
    };

    cut.tiling = conv_tile_plain(&cut.as_conv, isa);
    cut.blocks = conv_blocks(&cut.as_conv, &cut.tiling);
    cut.padded = cut.tiling.block < m->n ? cut.tiling.block : round_up(m->n, lanes);
    cut.pack = m->b_col != 1 || (m->b_row * 4 >= FAR_ROWS && m->m > FEW_ROWS)
               || (m->n % lanes && !isa->masks);
    if (cut.pack)
        cut.tiling.chunks = 1;
    return cut;
}

int64_t matmul_units(const struct matmul *m, const struct isa *isa)
{
    const struct matmul_cut cut = cut_matmul(m, isa);

    return m->batch * cut.blocks * cut.tiling.chunks;
}

int64_t matmul_scratch_bytes(const struct matmul *m, const struct isa *isa)
{
    const struct matmul_cut cut = cut_matmul(m, isa);

    return cut.pack ? m->k * cut.padded * 4 : 0;
}

/* ---- packing ----------------------------------------------------------------- */

/* Where a block of B goes: `from` is its first column. */
struct packing {
    LLVMValueRef from, to;
    int64_t width;
};

/* The n x n matrix in n vectors, transposed: in round s the bits of value s in the
 * numbers of row and lane are exchanged. */
static void transpose(struct emitter *e, LLVMValueRef *row, int n)
{
    int low[64], high[64];

    for (int s = 1; s < n; s *= 2) {
        for (int i = 0; i < n; i++) {
            low[i] = i & s ? n + (i ^ s) : i;
            high[i] = i & s ? n + i : i ^ s;
        }
        for (int i = 0; i < n; i++) {
            if (i & s)
                continue;
            LLVMValueRef a = row[i], b = row[i ^ s];

            row[i] = emit_shuffle(e, a, b, low, n);
            row[i ^ s] = emit_shuffle(e, a, b, high, n);
        }
    }
}

static void copy_element(const struct matmul_emitter *me, const struct packing *p,
                         LLVMValueRef k, LLVMValueRef column)
{
    struct emitter *e = me->e;
    LLVMBuilderRef b = e->builder;
    LLVMValueRef from = LLVMBuildAdd(b, emit_mul(e, k, me->m->b_row * 4),
                                     emit_mul(e, column, me->m->b_col * 4), "");
    LLVMValueRef to =
        LLVMBuildAdd(b, emit_mul(e, k, me->cut.padded * 4), emit_mul(e, column, 4), "");

    emit_store(e, emit_load(e, e->f32, emit_at_value(e, p->from, from)),
               emit_at_value(e, p->to, to));
}

/* Rows [k_begin, k_end) of columns [c_begin, c_end), one by one. */
static void copy_corner(const struct matmul_emitter *me, const struct packing *p,
                        int64_t k_begin, int64_t k_end, int64_t c_begin, int64_t c_end)
{
    struct emitter *e = me->e;
    struct emit_loop rows = {0}, columns = {0};

    if (k_begin >= k_end || c_begin >= c_end)
        return;
    emit_loop_begin(e, &columns, emit_int(e, c_begin), emit_int(e, c_end), 1, NULL, 0);
    emit_loop_begin(e, &rows, emit_int(e, k_begin), emit_int(e, k_end), 1, NULL, 0);
    copy_element(me, p, rows.at, columns.at);
    emit_loop_end(e, &rows, NULL);
    emit_loop_end(e, &columns, NULL);
}

/* Columns contiguous along k (a transposed B): squares of registers. */
static void copy_transposed(const struct matmul_emitter *me, const struct packing *p)
{
    struct emitter *e = me->e;
    const int n = emit_lanes(e);
    const int64_t k_full = me->m->k / n * n, c_full = p->width / n * n;
    struct emit_loop rows = {0}, columns = {0};

    if (k_full && c_full) {
        LLVMValueRef row[64];

        emit_loop_begin(e, &columns, emit_int(e, 0), emit_int(e, c_full), n, NULL, 0);
        LLVMValueRef from =
            emit_at_value(e, p->from, emit_mul(e, columns.at, me->m->b_col * 4));
        LLVMValueRef to = emit_at_value(e, p->to, emit_mul(e, columns.at, 4));

        emit_loop_begin(e, &rows, emit_int(e, 0), emit_int(e, k_full), n, NULL, 0);
        LLVMValueRef source = emit_at_value(e, from, emit_mul(e, rows.at, 4));
        LLVMValueRef target =
            emit_at_value(e, to, emit_mul(e, rows.at, me->cut.padded * 4));

        for (int i = 0; i < n; i++)
            row[i] = emit_load(e, emit_vector(e, n),
                               emit_at(e, source, i * me->m->b_col * 4));
        transpose(e, row, n);
        for (int i = 0; i < n; i++)
            emit_store(e, row[i], emit_at(e, target, i * me->cut.padded * 4));
        emit_loop_end(e, &rows, NULL);
        emit_loop_end(e, &columns, NULL);
    }
    copy_corner(me, p, k_full, me->m->k, 0, c_full);
    copy_corner(me, p, 0, me->m->k, c_full, p->width);
}

/* Rows contiguous: whole vectors. */
static void copy_rows(const struct matmul_emitter *me, const struct packing *p)
{
    struct emitter *e = me->e;
    const int lanes = emit_lanes(e);
    struct emit_loop rows = {0};

    emit_loop_begin(e, &rows, emit_int(e, 0), emit_int(e, me->m->k), 1, NULL, 0);
    LLVMValueRef from =
        emit_at_value(e, p->from, emit_mul(e, rows.at, me->m->b_row * 4));
    LLVMValueRef to = emit_at_value(e, p->to, emit_mul(e, rows.at, me->cut.padded * 4));

    for (int64_t c = 0; c < p->width; c += lanes) {
        const int used = (int)(p->width - c < lanes ? p->width - c : lanes);

        emit_store_part(e, emit_load_part(e, emit_at(e, from, c * 4), lanes, used),
                        emit_at(e, to, c * 4), used);
    }
    emit_loop_end(e, &rows, NULL);
}

static void emit_packing(const struct matmul_emitter *me, const struct packing *p)
{
    if (me->m->b_col == 1)
        copy_rows(me, p);
    else if (me->m->b_row == 1)
        copy_transposed(me, p);
    else
        copy_corner(me, p, 0, me->m->k, 0, p->width);
}

/* ---- product ----------------------------------------------------------------- */

/* Operands of a unit: A and C at row 0, B and bias at the block's first column. */
struct matmul_place {
    LLVMValueRef a, b, bias, c;
    int64_t b_step; /* bytes from row to row of B */
    bool b_padded;
    LLVMValueRef chunk;
};

static void emit_product_tile(const struct matmul_emitter *me,
                              const struct matmul_place *at, int rows, int64_t width,
                              LLVMValueRef row)
{
    struct emitter *e = me->e;
    const struct matmul *m = me->m;
    const int lanes = emit_lanes(e);
    struct tile t = {
        .pixels = rows,
        .vectors = (int)((width + lanes - 1) / lanes),
        .width = (int)width,
        .depth = 1,
        .pixel_bytes = m->a_row * 4,
        .in_step = m->a_col * 4,
        .weight_step = at->b_step,
        .weights_padded = at->b_padded,
        .unroll = me->cut.tiling.unroll,
    };
    const struct tile_end end = {
        .act = m->act,
        .act_a = m->act_a,
        .act_b = m->act_b,
        .alpha = m->alpha,
        .bias = m->has_bias ? at->bias : NULL,
        .out_pixel = m->c_row * 4,
    };

    tile_start(e, &t, NULL);
    tile_run(e, &t, emit_at_value(e, at->a, emit_mul(e, row, m->a_row * 4)), at->b, 0,
             rows, m->k);
    tile_finish(e, &t, &end, emit_at_value(e, at->c, emit_mul(e, row, m->c_row * 4)));
}

static void emit_product(const struct matmul_emitter *me, const struct matmul_place *at,
                         int64_t width, int rows)
{
    struct emitter *e = me->e;
    const int64_t full = me->m->m / rows, rest = me->m->m % rows;
    const int64_t tiles = full + (rest > 0);
    struct emit_loop l = {0};
    struct emit_if last;
    LLVMValueRef begin = emit_int(e, 0), end = emit_int(e, full), unused;

    if (me->cut.tiling.chunks > 1) {
        LLVMValueRef first = emit_mul(e, at->chunk, tiles);

        begin = emit_divide(e, first, me->cut.tiling.chunks, &unused);
        end = emit_divide(e, emit_add(e, first, tiles), me->cut.tiling.chunks, &unused);
    }
    if (full) {
        emit_loop_begin(e, &l, begin, emit_min(e, end, emit_int(e, full)), 1, NULL, 0);
        emit_product_tile(me, at, rows, width, emit_mul(e, l.at, rows));
        emit_loop_end(e, &l, NULL);
    }
    if (rest) {
        if (me->cut.tiling.chunks > 1)
            emit_if_begin(
                e, &last,
                LLVMBuildICmp(e->builder, LLVMIntEQ, end, emit_int(e, tiles), ""), NULL,
                0);
        emit_product_tile(me, at, (int)rest, width, emit_int(e, full * rows));
        if (me->cut.tiling.chunks > 1)
            emit_if_end(e, &last, NULL);
    }
}

static void emit_block(const struct matmul_emitter *me, const struct matmul_place *unit,
                       int64_t width, int rows)
{
    struct matmul_place at = *unit;

    at.b_step = me->m->b_row * 4;
    if (me->cut.pack) {
        const struct packing p = {unit->b, LLVMGetParam(me->function, CORE_SCRATCH),
                                  width};

        emit_packing(me, &p);
        at.b = p.to;
        at.b_step = me->cut.padded * 4;
        at.b_padded = true;
    }
    emit_product(me, &at, width, rows);
}

static void emit_unit(const struct matmul_emitter *me, LLVMValueRef u)
{
    struct emitter *e = me->e;
    const struct matmul *m = me->m;
    const struct conv *c = &me->cut.as_conv;
    const struct conv_tiling *t = &me->cut.tiling;
    const int64_t full = conv_whole_blocks(c, t);
    struct matmul_place at = {0};
    struct emit_if is;
    LLVMValueRef chunk, block, batch;

    u = emit_divide(e, u, t->chunks, &chunk);
    batch = emit_divide(e, u, me->cut.blocks, &block);
    LLVMValueRef column = emit_mul(e, block, t->block);

    at.chunk = chunk;
    at.a = emit_at_value(e, LLVMGetParam(me->function, CORE_IN),
                         emit_mul(e, batch, m->a_batch * 4));
    at.b = emit_at_value(e, LLVMGetParam(me->function, CORE_WEIGHTS),
                         emit_mul(e, batch, m->b_batch * 4));
    at.b = emit_at_value(e, at.b, emit_mul(e, column, m->b_col * 4));
    at.bias =
        emit_at_value(e, LLVMGetParam(me->function, CORE_BIAS), emit_mul(e, column, 4));
    at.c = emit_at_value(e, LLVMGetParam(me->function, CORE_OUT),
                         emit_mul(e, batch, m->c_batch * 4));
    at.c = emit_at_value(e, at.c, emit_mul(e, column, 4));
    if (full) {
        emit_if_begin(
            e, &is, LLVMBuildICmp(e->builder, LLVMIntSLT, block, emit_int(e, full), ""),
            NULL, 0);
        emit_block(me, &at, t->block, t->pixels);
        emit_if_end(e, &is, NULL);
    }
    if (t->n_tails) {
        emit_if_begin(
            e, &is, LLVMBuildICmp(e->builder, LLVMIntSGE, block, emit_int(e, full), ""),
            NULL, 0);
        emit_block(me, &at, t->tail[0].width, t->tail[0].pixels);
        emit_if_end(e, &is, NULL);
    }
}

LLVMValueRef emit_matmul(struct emitter *e, const struct matmul *m, const char *name)
{
    struct matmul_emitter me = {.e = e, .m = m, .cut = cut_matmul(m, e->isa)};
    struct emit_loop l = {0};

    me.function = emit_core(e, name);
    emit_loop_begin(e, &l, LLVMGetParam(me.function, CORE_BEGIN),
                    LLVMGetParam(me.function, CORE_END), 1, NULL, 0);
    emit_unit(&me, l.at);
    emit_loop_end(e, &l, NULL);
    LLVMBuildRetVoid(e->builder);
    return me.function;
}
