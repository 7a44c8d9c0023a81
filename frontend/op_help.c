/* SPDX-License-Identifier: Apache-2.0 */
/* What import, shape and lower functions of many operators share: op_help.h. */
#include "frontend/op_help.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void op_set_out(struct ir_node *n, int i, enum dtype dtype, int rank,
                const int64_t *dim)
{
    if (i >= n->n_out || !n->out[i])
        return;
    struct ir_value *v = n->out[i];

    assert(rank <= IR_MAX_RANK);
    v->dtype = dtype;
    v->rank = rank;
    memset(v->dim, 0, sizeof v->dim);
    for (int d = 0; d < rank; d++)
        v->dim[d] = dim[d];
}

struct status *op_refuse_dynamic(const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->dynamic)
            return FAIL_AT(n, UNSUPPORTED,
                           "input '%s' has a size that is known only when running",
                           n->in[i]->name);
    return OK;
}

struct status *op_axis(const struct ir_node *n, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return FAIL_AT(n, INVALID, "axis %lld is outside of rank %d", (long long)axis,
                       rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return OK;
}

struct status *op_axes(const struct ir_node *n, int n_axes, const int64_t *axis,
                       int rank, int *out)
{
    unsigned seen = 0;

    if (n_axes > IR_MAX_RANK)
        return FAIL_AT(n, INVALID, "has %d axes for rank %d", n_axes, rank);
    for (int i = 0; i < n_axes; i++) {
        RETURN_IF_FAIL(op_axis(n, axis[i], rank, &out[i]));
        if (seen >> out[i] & 1)
            return FAIL_AT(n, INVALID, "names axis %lld twice", (long long)axis[i]);
        seen |= 1u << out[i];
    }
    return OK;
}

struct status *op_import_axis(struct ir_node *n, int64_t otherwise)
{
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", otherwise), n->in[0]->rank, &axis));
    ir_set_attr_int(n, "axis", axis);
    return OK;
}

static struct status *need_constant(const struct ir_node *n, int i, const char *what)
{
    return FAIL_AT(
        n, UNSUPPORTED,
        "its %s, input '%s', must be known when compiling (--freeze sets it)", what,
        n->in[i]->name);
}

struct status *op_const_ints(struct ir_node *n, int i, const char *what,
                             const int64_t **out, int *n_out)
{
    const struct ir_value *v = ir_in(n, i);

    *out = NULL;
    *n_out = 0;
    if (!v)
        return OK;
    if (v->dtype != DT_i64 && v->dtype != DT_i32)
        return FAIL_AT(n, INVALID, "its %s are not integers", what);
    if (v->rank > 1)
        return FAIL_AT(n, INVALID, "its %s are not a list", what);
    if (!v->data)
        return need_constant(n, i, what);
    *out = ir_const_ints(n->graph->compile, v, n_out);
    return OK;
}

struct status *op_const_floats(struct ir_node *n, int i, const char *what,
                               const float **out, int *n_out)
{
    const struct ir_value *v = ir_in(n, i);

    *out = NULL;
    *n_out = 0;
    if (!v)
        return OK;
    if (v->dtype != DT_f32 && v->dtype != DT_f64 && v->dtype != DT_f16)
        return FAIL_AT(n, INVALID, "its %s are not floating-point numbers", what);
    if (!v->data)
        return need_constant(n, i, what);
    if (ir_count(v) > INT32_MAX)
        return FAIL_AT(n, INVALID, "its %s are too many", what);

    const int count = (int)ir_count(v);
    float *to = arena_new_array(n->graph->compile->perm, float, count);
    for (int k = 0; k < count; k++) {
        struct ir_value one = *v;
        double d;
        one.rank = 0;
        one.data =
            (const char *)v->data + (size_t)k * (size_t)dtype_info[v->dtype].bytes;
        if (!ir_const_scalar(&one, &d))
            return FAIL_AT(n, INVALID, "its %s cannot be read", what);
        to[k] = (float)d;
    }
    *out = to;
    *n_out = count;
    return OK;
}

void op_keep_inputs(struct ir_node *n, int n_in)
{
    for (int i = n_in; i < n->n_in; i++)
        ir_set_input(n, i, NULL);
    if (n->n_in > n_in)
        n->n_in = n_in;
}

struct status *op_cast_input(struct ir_node *n, int i, enum dtype dtype)
{
    struct ir_value *v = ir_in(n, i), *cast;
    char attr[32];

    if (!v || v->dtype == dtype)
        return OK;
    snprintf(attr, sizeof attr, "to=%d", dtype_info[dtype].onnx);
    RETURN_IF_FAIL(
        ir_emit(n->graph, n, op_from_name("Cast"), NULL, 1, &v, attr, &cast));
    ir_set_input(n, i, cast);
    return OK;
}

struct status *op_reshaped(struct ir_node *n, struct ir_value *v, int rank,
                           const int64_t *dim, struct ir_value **out)
{
    char attr[32 * IR_MAX_RANK] = "shape=[";
    size_t len = strlen(attr);

    for (int d = 0; d < rank; d++)
        len += (size_t)snprintf(attr + len, sizeof attr - len, "%s%lld", d ? "," : "",
                                (long long)dim[d]);
    snprintf(attr + len, sizeof attr - len, "]");
    return ir_emit(n->graph, n, op_from_name("Reshape"), NULL, 1, &v, attr, out);
}

struct status *op_emit_ints(struct ir_node *n, enum ir_op op, struct ir_value *v,
                            const char *attr, int count, const int64_t *values,
                            struct ir_value **out)
{
    struct ir_node *made = ir_node_create(n->graph, n, op, n->name, 1, 1);

    made->onnx_index = n->onnx_index;
    ir_set_input(made, 0, v);
    ir_set_attr_ints(made, attr, count, values);
    *out = ir_new_output(made, 0, NULL);
    return ir_infer(made);
}

struct status *op_check_rank(const struct ir_node *n, int i, int least, int most)
{
    const struct ir_value *v = n->in[i];

    if (v->rank < least || v->rank > most)
        return FAIL_AT(n, INVALID, "input '%s' has rank %d but needs %d to %d", v->name,
                       v->rank, least, most);
    return OK;
}

struct status *op_same_dtype(const struct ir_node *n, int a, int b)
{
    const struct ir_value *x = ir_in(n, a), *y = ir_in(n, b);

    if (x && y && x->dtype != y->dtype)
        return FAIL_AT(n, INVALID, "inputs '%s' and '%s' are %s and %s but must agree",
                       x->name, y->name, dtype_info[x->dtype].name,
                       dtype_info[y->dtype].name);
    return OK;
}

struct status *op_check_dtype(const struct ir_node *n, int i, enum dtype dtype)
{
    const struct ir_value *v = ir_in(n, i);

    if (v && v->dtype != dtype)
        return FAIL_AT(n, INVALID, "input '%s' is %s but must be %s", v->name,
                       dtype_info[v->dtype].name, dtype_info[dtype].name);
    return OK;
}

bool op_is_byte(enum dtype dtype)
{
    return dtype == DT_u8 || dtype == DT_i8;
}

int64_t op_product(int n, const int64_t *dim)
{
    int64_t product = 1;

    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(product, dim[i], &product))
            return (int64_t)1 << 62;
    return product;
}

void op_strides(int rank, const int64_t *dim, int64_t *stride)
{
    int64_t step = 1;

    for (int d = rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= dim[d];
    }
}

/* ---- kernels ---------------------------------------------------------------- */

struct status *op_no_kernel(const struct ir_node *n, enum dtype dtype)
{
    return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s", dtype_info[dtype].name);
}

struct status *op_only_f32(const struct ir_node *n, enum dtype dtype)
{
    return dtype == DT_f32 ? OK : op_no_kernel(n, dtype);
}

/* ---- buffers ---------------------------------------------------------------- */

struct kcall *op_call_sized(struct lowering *lw, const char *op, enum dtype dtype,
                            const void *params, int64_t units)
{
    char name[80];

    snprintf(name, sizeof name, "%s_%d", op, dtype_info[dtype].bytes);
    return lower_call(lw, name, params, units);
}

struct kcall *op_call_quant(struct lowering *lw, const char *op,
                            const struct ir_node *n, const void *params, int64_t units)
{
    char name[80];

    snprintf(name, sizeof name, "%s_%s_%s", op, dtype_info[n->in[0]->dtype].name,
             dtype_info[n->out[0]->dtype].name);
    return lower_call(lw, name, params, units);
}

void op_buf(struct kcall *call, struct kbuf buf, int64_t more_offset)
{
    assert(call->n_bufs < K_MAX_BUFS);
    buf.offset += more_offset;
    call->bufs[call->n_bufs++] = buf;
}

struct kbuf op_value(struct ir_value *v)
{
    return (struct kbuf){.kind = KB_VALUE, .value = v};
}

struct kbuf op_temp(int temp)
{
    return (struct kbuf){.kind = KB_TEMP, .index = temp};
}

/* ---- copies ----------------------------------------------------------------- */

enum { COPY_DIMS = 4 * IR_MAX_RANK };

struct copy {
    int rank;
    int64_t dim[COPY_DIMS], in[COPY_DIMS], out[COPY_DIMS];
};

/* Drop dims of one element and join neighbours that both sides walk as one. */
static void merge(struct copy *c)
{
    int at = 0;

    for (int d = 0; d < c->rank; d++) {
        if (c->dim[d] == 1)
            continue;
        if (at && c->in[at - 1] == c->in[d] * c->dim[d]
            && c->out[at - 1] == c->out[d] * c->dim[d]) {
            c->dim[at - 1] *= c->dim[d];
            c->in[at - 1] = c->in[d];
            c->out[at - 1] = c->out[d];
            continue;
        }
        c->dim[at] = c->dim[d];
        c->in[at] = c->in[d];
        c->out[at++] = c->out[d];
    }
    c->rank = at;
}

static void move_to_end(struct copy *c, int d)
{
    const int64_t dim = c->dim[d], in = c->in[d], out = c->out[d];

    for (int i = d; i + 1 < c->rank; i++) {
        c->dim[i] = c->dim[i + 1];
        c->in[i] = c->in[i + 1];
        c->out[i] = c->out[i + 1];
    }
    c->dim[c->rank - 1] = dim;
    c->in[c->rank - 1] = in;
    c->out[c->rank - 1] = out;
}

static int find_one(int rank, const int64_t *stride)
{
    for (int d = rank - 1; d >= 0; d--)
        if (stride[d] == 1)
            return d;
    return -1;
}

/* Put the loops in a good order; true when it is a matter for the tile kernel. */
static bool order(struct copy *c)
{
    const int reads = find_one(c->rank, c->in), writes = find_one(c->rank, c->out);

    if (reads >= 0 && writes >= 0 && reads != writes) {
        const bool tiles = c->dim[reads] >= 8 && c->dim[writes] >= 8;
        if (!tiles && c->dim[writes] >= c->dim[reads])
            return move_to_end(c, writes), false;
        move_to_end(c, reads);
        move_to_end(c, writes > reads ? writes - 1 : writes);
        return tiles;
    }
    if (writes >= 0)
        move_to_end(c, writes);
    else if (reads >= 0)
        move_to_end(c, reads);
    return false;
}

/* A copy of one long row has one unit; cut it so that workers can share it. */
static void cut_long_row(struct copy *c)
{
    enum { PIECE = 4096, LONG = 4 * PIECE };

    if (c->rank != 1 || c->dim[0] < LONG)
        return;
    for (int64_t pieces = c->dim[0] / PIECE; pieces > 1; pieces--)
        if (c->dim[0] % pieces == 0) {
            c->dim[1] = c->dim[0] / pieces;
            c->dim[0] = pieces;
            c->in[1] = c->in[0];
            c->out[1] = c->out[0];
            c->in[0] *= c->dim[1];
            c->out[0] *= c->dim[1];
            c->rank = 2;
            return;
        }
}

/* A unit is a plane of the last two dims; keep planes small enough to share, but
 * no smaller than a row that is worth a division. */
static int first_in_plane(const struct copy *c)
{
    int64_t outer = 1;

    for (int d = 0; d + 2 < c->rank; d++)
        outer *= c->dim[d];
    return c->rank < 2 || (outer < 8 && c->dim[c->rank - 1] >= 256) ? c->rank - 1
                                                                    : c->rank - 2;
}

static void call_copy(struct lowering *lw, int size, const struct copy *c, bool tiles,
                      struct kbuf from, struct kbuf to)
{
    struct k_copy p = {0};
    char name[32];
    const int plane = tiles ? c->rank - 2 : first_in_plane(c);
    const int shift = plane == c->rank - 1 ? 1 : 0; /* a row: dim[6] stays 1 */
    int64_t units = 1;

    for (int d = 0; d < K_MAX_RANK; d++)
        p.dim[d] = 1;
    for (int d = 0; d < c->rank; d++) {
        const int at =
            d == c->rank - 1 ? K_MAX_RANK - 1 : K_MAX_RANK - c->rank + d - shift;
        p.dim[at] = c->dim[d];
        p.in[at] = c->in[d];
        p.out[at] = c->out[d];
    }
    for (int d = 0; d < K_MAX_RANK - 2; d++)
        units *= p.dim[d];
    if (tiles)
        units *= (p.dim[K_MAX_RANK - 2] + 15) / 16;
    snprintf(name, sizeof name, "%s_%d", tiles ? "transpose" : "copy", size);
    struct kcall *call = lower_call(lw, name, &p, units);
    op_buf(call, from, 0);
    to.written = true;
    op_buf(call, to, 0);
}

static struct status *copy_merged(struct lowering *lw, const struct ir_node *n,
                                  int size, struct copy *c, struct kbuf from,
                                  struct kbuf to)
{
    if (c->rank < K_MAX_RANK) {
        const bool tiles = order(c);
        cut_long_row(c);
        call_copy(lw, size, c, tiles, from, to);
        return OK;
    }
    /* More dims than a kernel has: one call for each index of the first. */
    if (c->dim[0] > 1024 || lw->n_calls > 4096)
        return FAIL_AT(n, UNSUPPORTED, "moves data along more than %d dims",
                       K_MAX_RANK - 1);
    for (int64_t i = 0; i < c->dim[0]; i++) {
        struct copy rest = {.rank = c->rank - 1};
        memcpy(rest.dim, c->dim + 1, sizeof rest.dim - sizeof *rest.dim);
        memcpy(rest.in, c->in + 1, sizeof rest.in - sizeof *rest.in);
        memcpy(rest.out, c->out + 1, sizeof rest.out - sizeof *rest.out);
        struct kbuf part_from = from, part_to = to;
        part_from.offset += i * c->in[0] * size;
        part_to.offset += i * c->out[0] * size;
        RETURN_IF_FAIL(copy_merged(lw, n, size, &rest, part_from, part_to));
    }
    return OK;
}

struct status *op_copy(struct lowering *lw, const struct ir_node *n, int size, int rank,
                       const int64_t *dim, const int64_t *in, const int64_t *out,
                       struct kbuf from, struct kbuf to)
{
    struct copy c = {.rank = rank};

    assert(rank <= COPY_DIMS);
    for (int d = 0; d < rank; d++) {
        if (!dim[d])
            return OK;
        c.dim[d] = dim[d];
        c.in[d] = in[d];
        c.out[d] = out[d];
    }
    merge(&c);
    if (!c.rank) {
        c.rank = 1;
        c.dim[0] = c.in[0] = c.out[0] = 1;
    }
    return copy_merged(lw, n, size, &c, from, to);
}

struct status *op_copy_all(struct lowering *lw, const struct ir_node *n,
                           struct ir_value *from, struct ir_value *to)
{
    const int64_t count = ir_count(from), one = 1;

    assert(count == ir_count(to));
    return op_copy(lw, n, dtype_info[from->dtype].bytes, 1, &count, &one, &one,
                   op_value(from), op_value(to));
}

void op_fill(struct lowering *lw, int size, int64_t count, uint64_t bits,
             struct kbuf to)
{
    char name[32];

    snprintf(name, sizeof name, "fill_%d", size);
    struct kcall *call =
        lower_call(lw, name, &(struct k_fill){.bits = (int64_t)bits}, count);
    to.written = true;
    op_buf(call, to, 0);
}
struct status *op_check_one(const struct ir_node *n, int i, enum dtype dtype)
{
    const struct ir_value *v = ir_in(n, i);

    RETURN_IF_FAIL(op_check_dtype(n, i, dtype));
    if (v && ir_count(v) != 1)
        return FAIL_AT(n, INVALID, "input '%s' is not one number", v->name);
    return OK;
}

struct status *op_check_limits(const struct ir_node *n, int i)
{
    const struct ir_value *v = ir_in(n, i);

    if (v && (v->dtype != DT_i32 || v->rank != 1 || v->dim[0] != 2))
        return FAIL_AT(n, INVALID, "its limits '%s' are not i32[2]", v->name);
    return OK;
}

