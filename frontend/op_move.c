/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move whole blocks: Transpose, Concat, Split, Slice, Tile,
 * DepthToSpace, SpaceToDepth.  Everything that ONNX passes as an input but that
 * decides the shape becomes an attribute:
 *
 *     Transpose {perm}                       complete
 *     Concat {axis}                          0 <= axis
 *     Split {axis split}                     lengths of all parts
 *     Slice {starts steps sizes}             one entry per dim; element i of the result
 *                                            is element start + i*step
 *     Tile {repeats}
 *     DepthToSpace {blocksize mode channels_last}, SpaceToDepth likewise
 */
#include <string.h>

#include "frontend/op_help.h"

static int bytes_of(const struct ir_value *v)
{
    return dtype_info[v->dtype].bytes;
}

/* ---- Transpose -------------------------------------------------------------- */

/* Entries count from the front: passes look at them. */
static struct status *read_perm(const struct ir_node *n, int rank, int *perm)
{
    int count;
    const int64_t *v = ir_attr_ints(n, "perm", &count);

    if (count != rank)
        return FAIL_AT(n, INVALID, "perm has %d entries for rank %d", count, rank);
    for (int i = 0; i < count; i++)
        if (v[i] < 0)
            return FAIL_AT(n, INVALID, "perm has the entry %lld", (long long)v[i]);
    return op_axes(n, count, v, rank, perm);
}

struct status *import_Transpose(struct ir_node *n, int opset)
{
    const int rank = n->in[0]->rank;
    int64_t perm[IR_MAX_RANK];

    (void)opset;
    if (ir_attr(n, "perm"))
        return OK;
    for (int i = 0; i < rank; i++)
        perm[i] = rank - 1 - i;
    ir_set_attr_ints(n, "perm", rank, perm);
    return OK;
}

struct status *shape_Transpose(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int perm[IR_MAX_RANK];
    int64_t dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_perm(n, x->rank, perm));
    for (int i = 0; i < x->rank; i++)
        dim[i] = x->dim[perm[i]];
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

struct status *lower_Transpose(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int perm[IR_MAX_RANK];
    int64_t from[IR_MAX_RANK], in[IR_MAX_RANK], out[IR_MAX_RANK];

    RETURN_IF_FAIL(read_perm(n, x->rank, perm));
    op_strides(x->rank, x->dim, from);
    op_strides(y->rank, y->dim, out);
    for (int i = 0; i < x->rank; i++)
        in[i] = from[perm[i]];
    return op_copy(lw, n, bytes_of(x), y->rank, y->dim, in, out, op_value(n->in[0]),
                   op_value(n->out[0]));
}

/* ---- Concat ----------------------------------------------------------------- */

struct status *import_Concat(struct ir_node *n, int opset)
{
    return op_import_axis(n, opset < 4 ? 1 : 0);
}

struct status *shape_Concat(struct ir_node *n)
{
    const struct ir_value *first = n->in[0];
    int64_t dim[IR_MAX_RANK];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), first->rank, &axis));
    memcpy(dim, first->dim, sizeof dim);
    for (int i = 1; i < n->n_in; i++) {
        const struct ir_value *v = n->in[i];
        if (!v)
            return FAIL_AT(n, INVALID, "input %d is left out", i);
        RETURN_IF_FAIL(op_same_dtype(n, 0, i));
        bool fits = v->rank == first->rank;
        for (int d = 0; fits && d < v->rank; d++)
            fits = d == axis || v->dim[d] == first->dim[d];
        if (!fits)
            return FAIL_AT(n, INVALID, "'%s' and '%s' differ in more than dim %d",
                           first->name, v->name, axis);
        if (__builtin_add_overflow(dim[axis], v->dim[axis], &dim[axis]))
            return FAIL_AT(n, UNSUPPORTED, "result is too large");
    }
    op_set_out(n, 0, first->dtype, first->rank, dim);
    return OK;
}

struct status *lower_Concat(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *y = n->out[0];
    const int axis = (int)ir_attr_int(n, "axis", 0);
    int64_t in[IR_MAX_RANK], out[IR_MAX_RANK];
    struct kbuf to = op_value(n->out[0]);

    op_strides(y->rank, y->dim, out);
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_value *x = n->in[i];
        op_strides(x->rank, x->dim, in);
        RETURN_IF_FAIL(op_copy(lw, n, bytes_of(x), x->rank, x->dim, in, out,
                               op_value(n->in[i]), to));
        to.offset += x->dim[axis] * out[axis] * bytes_of(x);
    }
    return OK;
}

/* ---- Split ------------------------------------------------------------------ */

/* Without given lengths: equal parts, the last may be shorter since opset 18. */
static void equal_parts(int64_t total, int n_parts, int64_t *split)
{
    const int64_t each = (total + n_parts - 1) / n_parts;

    for (int i = 0; i < n_parts; i++) {
        const int64_t left = total - i * each;
        split[i] = left < 0 ? 0 : left < each ? left : each;
    }
}

struct status *import_Split(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *given;
    int axis, count;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
    if (opset >= 13 || (opset < 2 && ir_in(n, 1)))
        RETURN_IF_FAIL(op_const_ints(n, 1, "split", &given, &count));
    else
        given = ir_attr_ints(n, "split", &count);
    op_keep_inputs(n, 1);
    ir_set_attr_int(n, "axis", axis);
    if (given) {
        ir_set_attr_ints(n, "split", count, given);
        return OK;
    }
    const int64_t parts = ir_attr_int(n, "num_outputs", n->n_out);
    if (parts != n->n_out)
        return FAIL_AT(n, INVALID, "has %d outputs but num_outputs is %lld", n->n_out,
                       (long long)parts);
    if (opset < 18 && x->dim[axis] % n->n_out)
        return FAIL_AT(n, INVALID, "cannot split %lld elements into %d equal parts",
                       (long long)x->dim[axis], n->n_out);
    int64_t *split = arena_new_array(n->graph->compile->perm, int64_t, n->n_out);
    equal_parts(x->dim[axis], n->n_out, split);
    ir_remove_attr(n, "num_outputs");
    ir_set_attr_ints(n, "split", n->n_out, split);
    return OK;
}

struct status *shape_Split(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int64_t dim[IR_MAX_RANK], total = 0;
    int axis, count;
    const int64_t *split = ir_attr_ints(n, "split", &count);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
    if (count != n->n_out)
        return FAIL_AT(n, INVALID, "has %d outputs but %d lengths", n->n_out, count);
    memcpy(dim, x->dim, sizeof dim);
    for (int i = 0; i < count; i++) {
        if (split[i] < 0 || split[i] > x->dim[axis] - total)
            return FAIL_AT(n, INVALID, "its parts are longer than dim %d (%lld)", axis,
                           (long long)x->dim[axis]);
        total += split[i];
        dim[axis] = split[i];
        op_set_out(n, i, x->dtype, x->rank, dim);
    }
    if (total != x->dim[axis])
        return FAIL_AT(n, INVALID, "its parts make %lld elements but dim %d is %lld",
                       (long long)total, axis, (long long)x->dim[axis]);
    return OK;
}

struct status *lower_Split(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    const int axis = (int)ir_attr_int(n, "axis", 0);
    int count;
    const int64_t *split = ir_attr_ints(n, "split", &count);
    int64_t in[IR_MAX_RANK], out[IR_MAX_RANK];
    struct kbuf from = op_value(n->in[0]);

    op_strides(x->rank, x->dim, in);
    for (int i = 0; i < n->n_out; i++) {
        struct ir_value *y = n->out[i];
        if (y) {
            op_strides(y->rank, y->dim, out);
            RETURN_IF_FAIL(op_copy(lw, n, bytes_of(x), y->rank, y->dim, in, out, from,
                                   op_value(y)));
        }
        from.offset += split[i] * in[axis] * bytes_of(x);
    }
    return OK;
}

/* ---- Slice ------------------------------------------------------------------ */

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* numpy's start:end:step on n elements. */
static void resolve_slice(int64_t n, int64_t start, int64_t end, int64_t step,
                          int64_t *first, int64_t *count)
{
    const int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? n : n - 1;
    const int64_t a = clamp(start < 0 ? start + n : start, lo < 0 ? 0 : lo, hi);
    const int64_t b = clamp(end < 0 && end > INT64_MIN + n ? end + n : end, lo, hi);
    const int64_t span = step > 0 ? b - a : a - b;
    const int64_t stride = step > 0 ? step : step == INT64_MIN ? INT64_MAX : -step;

    *first = a;
    *count = span <= 0 || n == 0 ? 0 : (span - 1) / stride + 1;
}

struct status *import_Slice(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *starts, *ends, *axes, *steps = NULL;
    int n_starts, n_ends, n_axes, n_steps = 0, axis[IR_MAX_RANK];
    int64_t first[IR_MAX_RANK] = {0}, step[IR_MAX_RANK], size[IR_MAX_RANK];

    if (opset < 10) {
        starts = ir_attr_ints(n, "starts", &n_starts);
        ends = ir_attr_ints(n, "ends", &n_ends);
        axes = ir_attr_ints(n, "axes", &n_axes);
    } else {
        RETURN_IF_FAIL(op_const_ints(n, 1, "starts", &starts, &n_starts));
        RETURN_IF_FAIL(op_const_ints(n, 2, "ends", &ends, &n_ends));
        RETURN_IF_FAIL(op_const_ints(n, 3, "axes", &axes, &n_axes));
        RETURN_IF_FAIL(op_const_ints(n, 4, "steps", &steps, &n_steps));
    }
    if (n_starts != n_ends || (axes && n_axes != n_starts)
        || (steps && n_steps != n_starts) || n_starts > x->rank)
        return FAIL_AT(n, INVALID, "has %d starts, %d ends, %d axes and %d steps",
                       n_starts, n_ends, n_axes, n_steps);
    for (int d = 0; d < x->rank; d++) {
        size[d] = x->dim[d];
        step[d] = 1;
        axis[d] = d;
    }
    if (axes)
        RETURN_IF_FAIL(op_axes(n, n_axes, axes, x->rank, axis));
    for (int i = 0; i < n_starts; i++) {
        const int d = axis[i];
        const int64_t by = steps ? steps[i] : 1;
        if (!by)
            return FAIL_AT(n, INVALID, "has a step of 0");
        resolve_slice(x->dim[d], starts[i], ends[i], by, &first[d], &size[d]);
        step[d] = size[d] > 1 ? by : 1;
    }
    n->attrs = NULL;
    op_keep_inputs(n, 1);
    ir_set_attr_ints(n, "starts", x->rank, first);
    ir_set_attr_ints(n, "steps", x->rank, step);
    ir_set_attr_ints(n, "sizes", x->rank, size);
    return OK;
}

struct status *shape_Slice(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int n_starts, n_steps, n_sizes;
    const int64_t *start = ir_attr_ints(n, "starts", &n_starts);
    const int64_t *step = ir_attr_ints(n, "steps", &n_steps);
    const int64_t *size = ir_attr_ints(n, "sizes", &n_sizes);

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (n_starts != x->rank || n_steps != x->rank || n_sizes != x->rank)
        return FAIL_AT(n, INVALID, "needs %d starts, steps and sizes", x->rank);
    for (int d = 0; d < x->rank; d++) {
        const __int128 last = start[d] + (__int128)(size[d] - 1) * step[d];
        if (size[d] < 0
            || (size[d] > 0
                && (start[d] < 0 || start[d] >= x->dim[d] || last < 0
                    || last >= x->dim[d])))
            return FAIL_AT(n, INVALID, "reaches outside of dim %d", d);
    }
    op_set_out(n, 0, x->dtype, x->rank, size);
    return OK;
}

struct status *lower_Slice(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int count;
    const int64_t *start = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);
    int64_t in[IR_MAX_RANK], out[IR_MAX_RANK];
    struct kbuf from = op_value(n->in[0]);

    if (!ir_count(y))
        return OK;
    op_strides(x->rank, x->dim, in);
    op_strides(y->rank, y->dim, out);
    for (int d = 0; d < x->rank; d++) {
        from.offset += start[d] * in[d] * bytes_of(x);
        in[d] *= step[d];
    }
    return op_copy(lw, n, bytes_of(x), y->rank, y->dim, in, out, from,
                   op_value(n->out[0]));
}

/* ---- Tile ------------------------------------------------------------------- */

struct status *import_Tile(struct ir_node *n, int opset)
{
    const struct ir_value *x = n->in[0];
    const int64_t *given;
    int count;

    RETURN_IF_FAIL(op_const_ints(n, 1, "repeats", &given, &count));
    if (opset < 6) { /* tiles and axis, one number each */
        const int64_t *at;
        int64_t repeats[IR_MAX_RANK];
        int n_axes, axis;
        RETURN_IF_FAIL(op_const_ints(n, 2, "axis", &at, &n_axes));
        if (count != 1 || n_axes != 1)
            return FAIL_AT(n, INVALID, "needs one number of tiles and one axis");
        RETURN_IF_FAIL(op_axis(n, at[0], x->rank, &axis));
        for (int d = 0; d < x->rank; d++)
            repeats[d] = d == axis ? given[0] : 1;
        ir_set_attr_ints(n, "repeats", x->rank, repeats);
    } else {
        ir_set_attr_ints(n, "repeats", count, given);
    }
    op_keep_inputs(n, 1);
    return OK;
}

struct status *shape_Tile(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int count;
    const int64_t *repeats = ir_attr_ints(n, "repeats", &count);
    int64_t dim[IR_MAX_RANK];

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (count != x->rank)
        return FAIL_AT(n, INVALID, "has %d repeats for rank %d", count, x->rank);
    for (int d = 0; d < count; d++)
        if (repeats[d] < 0 || __builtin_mul_overflow(x->dim[d], repeats[d], &dim[d]))
            return FAIL_AT(n, INVALID, "cannot repeat dim %d %lld times", d,
                           (long long)repeats[d]);
    op_set_out(n, 0, x->dtype, x->rank, dim);
    return OK;
}

struct status *lower_Tile(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *y = n->out[0];
    int count;
    const int64_t *repeats = ir_attr_ints(n, "repeats", &count);
    int64_t from[IR_MAX_RANK], to[IR_MAX_RANK];
    int64_t dim[2 * IR_MAX_RANK], in[2 * IR_MAX_RANK], out[2 * IR_MAX_RANK];

    op_strides(x->rank, x->dim, from);
    op_strides(y->rank, y->dim, to);
    for (int d = 0; d < x->rank; d++) {
        dim[2 * d] = repeats[d];
        in[2 * d] = 0;
        out[2 * d] = to[d] * x->dim[d];
        dim[2 * d + 1] = x->dim[d];
        in[2 * d + 1] = from[d];
        out[2 * d + 1] = to[d];
    }
    return op_copy(lw, n, bytes_of(x), 2 * x->rank, dim, in, out, op_value(n->in[0]),
                   op_value(n->out[0]));
}

/* ---- DepthToSpace, SpaceToDepth --------------------------------------------- */

struct blocks {
    bool channels_last;
    int64_t size;       /* of a block */
    int64_t n, c, h, w; /* of the tensor with more channels: c = size^2 * others */
};

static struct status *read_blocks(const struct ir_node *n, bool deep, struct blocks *b)
{
    const struct ir_value *x = n->in[0];

    *b = (struct blocks){.channels_last = ir_attr_int(n, "channels_last", 0) != 0,
                         .size = ir_attr_int(n, "blocksize", 0)};
    RETURN_IF_FAIL(op_check_rank(n, 0, 4, 4));
    if (b->size < 1 || b->size > 1 << 15)
        return FAIL_AT(n, INVALID, "blocksize is %lld", (long long)b->size);
    b->n = x->dim[0];
    b->c = x->dim[b->channels_last ? 3 : 1];
    b->h = x->dim[b->channels_last ? 1 : 2];
    b->w = x->dim[b->channels_last ? 2 : 3];
    const int64_t square = b->size * b->size;
    if (deep ? b->c % square : b->h % b->size || b->w % b->size)
        return FAIL_AT(
            n, INVALID, "cannot regroup [%lld, %lld, %lld] by blocks of %lld",
            (long long)b->c, (long long)b->h, (long long)b->w, (long long)b->size);
    if (!deep) {
        if (__builtin_mul_overflow(b->c, square, &b->c))
            return FAIL_AT(n, UNSUPPORTED, "result is too large");
        b->h /= b->size;
        b->w /= b->size;
    }
    return OK;
}

static void set_image(struct ir_node *n, const struct blocks *b, int64_t c, int64_t h,
                      int64_t w)
{
    const int64_t first[4] = {b->n, c, h, w}, last[4] = {b->n, h, w, c};

    op_set_out(n, 0, n->in[0]->dtype, 4, b->channels_last ? last : first);
}

/* Both directions are the same map between deep [n, c, h, w] and wide [n, c', h*b,
 * w*b], walked in the order of whatever is written. */
static struct status *regroup(struct lowering *lw, const struct ir_node *n,
                              const struct blocks *b, bool crd, bool to_wide)
{
    const int64_t s = b->size, few = b->c / (s * s), wide_w = b->w * s;
    /* Strides of one step in c, h, w on either side. */
    const int64_t dc = b->channels_last ? 1 : b->h * b->w;
    const int64_t dh = b->channels_last ? b->w * b->c : b->w;
    const int64_t dw = b->channels_last ? b->c : 1;
    const int64_t wc = b->channels_last ? 1 : b->h * s * wide_w;
    const int64_t wh = b->channels_last ? wide_w * few : wide_w;
    const int64_t ww = b->channels_last ? few : 1;
    const int64_t row = crd ? s : s * few, column = crd ? 1 : few;
    const int64_t all = b->c * b->h * b->w;
    /* n, c', h, row in block, w, column in block */
    const int64_t dims[6] = {b->n, few, b->h, s, b->w, s};
    const int64_t deep[6] = {all, crd ? s * s * dc : dc, dh, row * dc, dw, column * dc};
    const int64_t wide[6] = {all, wc, wh * s, wh, ww * s, ww};
    static const int wide_order[2][6] = {{0, 1, 2, 3, 4, 5}, {0, 2, 3, 4, 5, 1}};
    static const int deep_order[2][6] = {{0, 3, 5, 1, 2, 4}, {0, 2, 4, 3, 5, 1}};
    const int *order = (to_wide ? wide_order : deep_order)[b->channels_last];
    int64_t dim[6], in[6], out[6];

    for (int i = 0; i < 6; i++) {
        dim[i] = dims[order[i]];
        in[i] = (to_wide ? deep : wide)[order[i]];
        out[i] = (to_wide ? wide : deep)[order[i]];
    }
    return op_copy(lw, n, bytes_of(n->in[0]), 6, dim, in, out, op_value(n->in[0]),
                   op_value(n->out[0]));
}

static struct status *check_block_mode(const struct ir_node *n)
{
    const char *mode = ir_attr_str(n, "mode", "DCR");

    if (strcmp(mode, "DCR") != 0 && strcmp(mode, "CRD") != 0)
        return FAIL_AT(n, INVALID, "mode is '%s'", mode);
    return OK;
}

static bool column_row_depth(const struct ir_node *n)
{
    return !strcmp(ir_attr_str(n, "mode", "DCR"), "CRD");
}

struct status *shape_DepthToSpace(struct ir_node *n)
{
    struct blocks b;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_blocks(n, true, &b));
    RETURN_IF_FAIL(check_block_mode(n));
    set_image(n, &b, b.c / (b.size * b.size), b.h * b.size, b.w * b.size);
    return OK;
}

struct status *lower_DepthToSpace(struct lowering *lw, const struct ir_node *n)
{
    struct blocks b;

    RETURN_IF_FAIL(read_blocks(n, true, &b));
    return regroup(lw, n, &b, column_row_depth(n), true);
}

struct status *shape_SpaceToDepth(struct ir_node *n)
{
    struct blocks b;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(read_blocks(n, false, &b));
    RETURN_IF_FAIL(check_block_mode(n));
    set_image(n, &b, b.c, b.h, b.w);
    return OK;
}

struct status *lower_SpaceToDepth(struct lowering *lw, const struct ir_node *n)
{
    struct blocks b;

    RETURN_IF_FAIL(read_blocks(n, false, &b));
    return regroup(lw, n, &b, column_row_depth(n), false);
}
