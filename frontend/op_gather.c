/* SPDX-License-Identifier: Apache-2.0 */
/* Gather, GatherElements, GatherND, ScatterElements (and the older Scatter),
 * ScatterND, OneHot.  Indices are int64 in canonical form; 0 <= axis. */
#include <stdio.h>
#include <string.h>

#include "frontend/op_help.h"

enum { DATA, INDEX, UPDATES };

/* Indices are int64, and there is something to select when there are any. */
static struct status *check_index(const struct ir_node *n)
{
    if (n->in[INDEX]->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "its indices are %s",
                       dtype_info[n->in[INDEX]->dtype].name);
    return op_refuse_dynamic(n);
}

static struct status *check_choice(const struct ir_node *n, int64_t from)
{
    if (!from && ir_count(n->in[INDEX]))
        return FAIL_AT(n, INVALID, "selects from an empty dim");
    return OK;
}

/* ---- Gather ----------------------------------------------------------------- */

struct status *import_Gather(struct ir_node *n, int opset)
{
    (void)opset;
    RETURN_IF_FAIL(op_import_axis(n, 0));
    return op_cast_input(n, INDEX, DT_i64);
}

struct status *shape_Gather(struct ir_node *n)
{
    const struct ir_value *x = n->in[DATA], *index = n->in[INDEX];
    int64_t dim[IR_MAX_RANK];
    int axis, rank = 0;

    RETURN_IF_FAIL(check_index(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, &axis));
    RETURN_IF_FAIL(check_choice(n, x->dim[axis]));
    if (x->rank - 1 + index->rank > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d",
                       x->rank - 1 + index->rank, IR_MAX_RANK);
    for (int d = 0; d < axis; d++)
        dim[rank++] = x->dim[d];
    for (int d = 0; d < index->rank; d++)
        dim[rank++] = index->dim[d];
    for (int d = axis + 1; d < x->rank; d++)
        dim[rank++] = x->dim[d];
    op_set_out(n, 0, x->dtype, rank, dim);
    return OK;
}

struct status *lower_Gather(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *x = n->in[DATA];
    const int axis = (int)ir_attr_int(n, "axis", 0);
    const struct k_axis p = {.outer = op_product(axis, x->dim),
                             .n = x->dim[axis],
                             .inner = op_product(x->rank - axis - 1, x->dim + axis + 1),
                             .count = ir_count(n->in[INDEX])};
    struct kcall *call = op_call_sized(lw, "gather", x->dtype, &p, p.outer * p.count);

    lower_in(call, n->in[DATA]);
    lower_in(call, n->in[INDEX]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- GatherElements, ScatterElements ---------------------------------------- */

/* The index space is dims of the indices; data is walked with its own strides. */
static struct k_element element_params(const struct ir_value *x,
                                       const struct ir_value *index, int axis)
{
    struct k_element p = {.size = x->dim[axis]};
    int64_t stride[K_MAX_RANK];

    lower_dims_of(index, p.dim);
    lower_strides_of(x, stride);
    memcpy(p.data, stride, sizeof p.data);
    p.step = stride[K_MAX_RANK - x->rank + axis];
    p.data[K_MAX_RANK - x->rank + axis] = 0;
    return p;
}

static struct status *check_element(const struct ir_node *n, int *axis)
{
    const struct ir_value *x = n->in[DATA], *index = n->in[INDEX];

    RETURN_IF_FAIL(check_index(n));
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", 0), x->rank, axis));
    RETURN_IF_FAIL(check_choice(n, x->dim[*axis]));
    if (index->rank != x->rank)
        return FAIL_AT(n, INVALID, "'%s' has rank %d but '%s' has %d", x->name, x->rank,
                       index->name, index->rank);
    for (int d = 0; d < x->rank; d++)
        if (d != *axis && index->dim[d] > x->dim[d])
            return FAIL_AT(n, INVALID, "has indices for %lld elements of dim %d (%lld)",
                           (long long)index->dim[d], d, (long long)x->dim[d]);
    return OK;
}

struct status *import_GatherElements(struct ir_node *n, int opset)
{
    return import_Gather(n, opset);
}

struct status *shape_GatherElements(struct ir_node *n)
{
    int axis;

    RETURN_IF_FAIL(check_element(n, &axis));
    op_set_out(n, 0, n->in[DATA]->dtype, n->in[INDEX]->rank, n->in[INDEX]->dim);
    return OK;
}

struct status *lower_GatherElements(struct lowering *lw, const struct ir_node *n)
{
    const struct k_element p =
        element_params(n->in[DATA], n->in[INDEX], (int)ir_attr_int(n, "axis", 0));
    struct kcall *call = op_call_sized(lw, "gather_elements", n->in[DATA]->dtype, &p,
                                       ir_count(n->in[INDEX]));

    lower_in(call, n->in[DATA]);
    lower_in(call, n->in[INDEX]);
    lower_out(call, n->out[0]);
    return OK;
}

/* ---- scattering ------------------------------------------------------------- */

static struct status *check_reduction(const struct ir_node *n)
{
    static const char *const known[] = {"none", "add", "mul", "max", "min"};
    const char *how = ir_attr_str(n, "reduction", "none");

    for (int i = 0; i < 5; i++)
        if (!strcmp(how, known[i]))
            return OK;
    return FAIL_AT(n, INVALID, "reduction is '%s'", how);
}

/* Copy the data to the output, then update it in order. */
static struct status *call_scatter(struct lowering *lw, const struct ir_node *n,
                                   const char *op, const void *params, int64_t units)
{
    const char *how = ir_attr_str(n, "reduction", "none");
    const struct ir_value *x = n->in[DATA];
    struct kcall *call;
    char name[48];

    RETURN_IF_FAIL(op_copy_all(lw, n, n->in[DATA], n->out[0]));
    snprintf(name, sizeof name, "%s_%s", op, how);
    if (!strcmp(how, "none"))
        call = op_call_sized(lw, name, x->dtype, params, units);
    else
        call = lower_call_typed(lw, name, x->dtype, params, units);
    if (!call)
        return FAIL_AT(n, UNSUPPORTED, "cannot combine %s by %s",
                       dtype_info[x->dtype].name, how);
    call->serial = true;
    lower_in(call, n->in[INDEX]);
    lower_in(call, n->in[UPDATES]);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *import_ScatterElements(struct ir_node *n, int opset)
{
    n->op = OP_ScatterElements; /* Scatter is its old name */
    return import_Gather(n, opset);
}

struct status *shape_ScatterElements(struct ir_node *n)
{
    const struct ir_value *x = n->in[DATA];
    int axis;

    RETURN_IF_FAIL(check_element(n, &axis));
    RETURN_IF_FAIL(op_same_dtype(n, DATA, UPDATES));
    RETURN_IF_FAIL(check_reduction(n));
    if (!ir_same_shape(n->in[INDEX], n->in[UPDATES]))
        return FAIL_AT(n, INVALID, "its indices and updates differ in shape");
    op_set_out(n, 0, x->dtype, x->rank, x->dim);
    return OK;
}

struct status *lower_ScatterElements(struct lowering *lw, const struct ir_node *n)
{
    const struct k_element p =
        element_params(n->in[DATA], n->in[INDEX], (int)ir_attr_int(n, "axis", 0));

    return call_scatter(lw, n, "scatter_elements", &p, ir_count(n->in[INDEX]));
}

/* ---- GatherND, ScatterND ---------------------------------------------------- */

/* Slices of x selected by tuples, the last dim of index, inside of each of the first
 * batch_dims dims. */
static struct status *read_nd(const struct ir_node *n, int batch_dims, struct k_nd *p)
{
    const struct ir_value *x = n->in[DATA], *index = n->in[INDEX];
    int64_t stride[IR_MAX_RANK];

    RETURN_IF_FAIL(check_index(n));
    if (!x->rank || !index->rank || batch_dims >= x->rank || batch_dims >= index->rank)
        return FAIL_AT(n, INVALID, "has %d batch dims for ranks %d and %d", batch_dims,
                       x->rank, index->rank);
    const int64_t depth = index->dim[index->rank - 1];
    if (depth < 1 || depth > x->rank - batch_dims)
        return FAIL_AT(n, INVALID, "has tuples of %lld indices for rank %d",
                       (long long)depth, x->rank - batch_dims);
    for (int d = 0; d < batch_dims; d++)
        if (x->dim[d] != index->dim[d])
            return FAIL_AT(n, INVALID, "batch dim %d is %lld and %lld", d,
                           (long long)x->dim[d], (long long)index->dim[d]);
    op_strides(x->rank, x->dim, stride);
    *p = (struct k_nd){.batch = op_product(batch_dims, x->dim), .depth = depth};
    p->tuples = op_product(index->rank - 1 - batch_dims, index->dim + batch_dims);
    const int first = batch_dims + (int)depth;
    p->inner = op_product(x->rank - first, x->dim + first);
    p->batch_step = op_product(x->rank - batch_dims, x->dim + batch_dims);
    for (int d = 0; d < depth; d++) {
        RETURN_IF_FAIL(check_choice(n, x->dim[batch_dims + d]));
        p->size[d] = x->dim[batch_dims + d];
        p->step[d] = stride[batch_dims + d];
    }
    return OK;
}

static int batch_dims(const struct ir_node *n)
{
    const int64_t given = ir_attr_int(n, "batch_dims", 0);

    return given < 0 || given > IR_MAX_RANK ? IR_MAX_RANK : (int)given;
}

/* Dims of the slices: indices' without the last, then what a tuple leaves of x. */
static int nd_dims(const struct ir_node *n, int batch, const struct k_nd *p,
                   int64_t dim[2 * IR_MAX_RANK])
{
    const struct ir_value *x = n->in[DATA], *index = n->in[INDEX];
    int rank = 0;

    for (int d = 0; d + 1 < index->rank; d++)
        dim[rank++] = index->dim[d];
    for (int d = batch + (int)p->depth; d < x->rank; d++)
        dim[rank++] = x->dim[d];
    return rank;
}

struct status *shape_GatherND(struct ir_node *n)
{
    struct k_nd p;
    int64_t dim[2 * IR_MAX_RANK];

    RETURN_IF_FAIL(read_nd(n, batch_dims(n), &p));
    const int rank = nd_dims(n, batch_dims(n), &p, dim);
    if (rank > IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", rank,
                       IR_MAX_RANK);
    op_set_out(n, 0, n->in[DATA]->dtype, rank, dim);
    return OK;
}

struct status *lower_GatherND(struct lowering *lw, const struct ir_node *n)
{
    struct k_nd p;

    RETURN_IF_FAIL(read_nd(n, batch_dims(n), &p));
    struct kcall *call =
        op_call_sized(lw, "gather_nd", n->in[DATA]->dtype, &p, p.batch * p.tuples);
    lower_in(call, n->in[DATA]);
    lower_in(call, n->in[INDEX]);
    lower_out(call, n->out[0]);
    return OK;
}

struct status *shape_ScatterND(struct ir_node *n)
{
    const struct ir_value *x = n->in[DATA], *updates = n->in[UPDATES];
    struct k_nd p;
    int64_t dim[2 * IR_MAX_RANK];

    RETURN_IF_FAIL(op_same_dtype(n, DATA, UPDATES));
    RETURN_IF_FAIL(check_reduction(n));
    RETURN_IF_FAIL(read_nd(n, 0, &p));
    const int rank = nd_dims(n, 0, &p, dim);
    if (rank != updates->rank
        || memcmp(dim, updates->dim, (size_t)rank * sizeof *dim) != 0)
        return FAIL_AT(n, INVALID,
                       "its updates '%s' do not have the shape of what it selects",
                       updates->name);
    op_set_out(n, 0, x->dtype, x->rank, x->dim);
    return OK;
}

struct status *lower_ScatterND(struct lowering *lw, const struct ir_node *n)
{
    struct k_nd p;

    RETURN_IF_FAIL(read_nd(n, 0, &p));
    return call_scatter(lw, n, "scatter_nd", &p, p.batch * p.tuples);
}

/* ---- OneHot ----------------------------------------------------------------- */

/* OneHot(index, values) {axis depth} */
struct status *import_OneHot(struct ir_node *n, int opset)
{
    double depth;
    int axis;

    (void)opset;
    if (n->n_in < 3 || !n->in[1] || !n->in[2])
        return FAIL_AT(n, INVALID, "needs indices, depth and values");
    if (!ir_const_scalar(n->in[1], &depth))
        return FAIL_AT(
            n, UNSUPPORTED,
            "its depth, input '%s', must be known when compiling (--freeze sets it)",
            n->in[1]->name);
    if (!(depth >= 1) || depth > 1e9)
        return FAIL_AT(n, INVALID, "depth is %g", depth);
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), n->in[0]->rank + 1, &axis));
    RETURN_IF_FAIL(op_cast_input(n, 0, DT_i64));
    ir_set_input(n, 1, n->in[2]);
    op_keep_inputs(n, 2);
    ir_set_attr_int(n, "axis", axis);
    ir_set_attr_int(n, "depth", (int64_t)depth);
    return OK;
}

struct status *shape_OneHot(struct ir_node *n)
{
    const struct ir_value *index = n->in[0], *values = n->in[1];
    const int64_t depth = ir_attr_int(n, "depth", 0);
    int64_t dim[IR_MAX_RANK];
    int axis;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    if (index->dtype != DT_i64)
        return FAIL_AT(n, INVALID, "its indices are %s", dtype_info[index->dtype].name);
    if (index->rank == IR_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "makes rank %d; the most is %d", index->rank + 1,
                       IR_MAX_RANK);
    if (depth < 1)
        return FAIL_AT(n, INVALID, "depth is %lld", (long long)depth);
    if (values->rank != 1 || values->dim[0] != 2)
        return FAIL_AT(n, INVALID, "'%s' does not hold the two values off and on",
                       values->name);
    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), index->rank + 1, &axis));
    for (int d = 0; d <= index->rank; d++)
        dim[d] = d < axis ? index->dim[d] : d == axis ? depth : index->dim[d - 1];
    op_set_out(n, 0, values->dtype, index->rank + 1, dim);
    return OK;
}

struct status *lower_OneHot(struct lowering *lw, const struct ir_node *n)
{
    const struct ir_value *index = n->in[0];
    int axis;

    RETURN_IF_FAIL(op_axis(n, ir_attr_int(n, "axis", -1), index->rank + 1, &axis));
    const struct k_axis p = {.outer = op_product(axis, index->dim),
                             .count = ir_attr_int(n, "depth", 0),
                             .inner =
                                 op_product(index->rank - axis, index->dim + axis)};
    struct kcall *call =
        op_call_sized(lw, "onehot", n->in[1]->dtype, &p, p.outer * p.count);
    lower_in(call, n->in[0]);
    lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}
