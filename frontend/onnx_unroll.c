/* SPDX-License-Identifier: Apache-2.0 */
/* Building blocks of unrolling: see onnx_unroll.h. */
#include "frontend/onnx_unroll.h"

#include <inttypes.h>
#include <string.h>

struct status *unroll_emit(const struct site *at, const char *op, int n_in,
                           struct ir_value *const *in, const char *attr,
                           struct ir_value **out)
{
    const enum ir_op found = op_from_name(op);

    if (found == OP_NONE)
        return FAIL_SITE(at, UNSUPPORTED, "needs the operator %s", op);
    return site_emit(at, found, n_in, in, attr, out);
}

struct status *unroll_axis(const struct site *at, int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return FAIL_SITE(at, INVALID, "axis %" PRId64 " of %d", axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return OK;
}

struct status *unroll_slice(const struct site *at, struct ir_value *v, int axis,
                            int64_t from, int64_t length, struct ir_value **out)
{
    struct compile *c = at->scope->im->c;
    const int64_t end = from + length, which = axis;
    struct ir_value *in[4] = {v, ir_const_i64s(c, 1, &from), ir_const_i64s(c, 1, &end),
                              ir_const_i64s(c, 1, &which)};

    if (from == 0 && length == v->dim[axis] && !v->dynamic) {
        *out = v;
        return OK;
    }
    return unroll_emit(at, "Slice", 4, in, NULL, out);
}

static struct status *reshape(const struct site *at, struct ir_value *v, int rank,
                              const int64_t *dim, struct ir_value **out)
{
    if (v->dynamic)
        return FAIL_SITE(at, UNSUPPORTED, "'%s' has a size known only when running",
                         v->name);
    for (int i = 0; i < rank; i++)
        if (!dim[i]) {
            /* A zero in Reshape's shape means "copy", so empty tensors need the flag. */
            return unroll_emit(at, "Reshape", 2,
                               (struct ir_value *[]){
                                   v, ir_const_i64s(at->scope->im->c, rank, dim)},
                               "allowzero=1", out);
        }
    return unroll_emit(at, "Reshape", 2,
                       (struct ir_value *[]){v,
                                             ir_const_i64s(at->scope->im->c, rank, dim)},
                       NULL, out);
}

struct status *unroll_add_axis(const struct site *at, struct ir_value *v, int axis,
                               struct ir_value **out)
{
    int64_t dim[IR_MAX_RANK];

    if (v->rank == IR_MAX_RANK)
        return FAIL_SITE(at, UNSUPPORTED, "more than %d dimensions", IR_MAX_RANK);
    for (int i = 0; i <= v->rank; i++)
        dim[i] = i == axis ? 1 : v->dim[i - (i > axis)];
    return reshape(at, v, v->rank + 1, dim, out);
}

struct status *unroll_drop_axis(const struct site *at, struct ir_value *v, int axis,
                                struct ir_value **out)
{
    int64_t dim[IR_MAX_RANK];

    for (int i = 0; i + 1 < v->rank; i++)
        dim[i] = v->dim[i + (i >= axis)];
    return reshape(at, v, v->rank - 1, dim, out);
}

struct status *unroll_concat(const struct site *at, int n, struct ir_value *const *items,
                             int axis, struct ir_value **out)
{
    struct arena *a = at->scope->im->c->perm;

    if (n == 1) {
        *out = items[0];
        return OK;
    }
    return unroll_emit(at, "Concat", n, items, arena_printf(a, "axis=%d", axis), out);
}

struct status *unroll_stack(const struct site *at, int n, struct ir_value *const *items,
                            struct ir_value **out)
{
    struct ir_value **rows =
        arena_new_array(at->scope->im->c->perm, struct ir_value *, n);

    for (int i = 0; i < n; i++)
        RETURN_IF_FAIL(unroll_add_axis(at, items[i], 0, &rows[i]));
    return unroll_concat(at, n, rows, 0, out);
}

struct status *unroll_body(const struct site *at, const struct onnx_graph *body, int round,
                           int n_in, struct ir_value *const *in, struct ir_value **out)
{
    struct importer *im = at->scope->im;
    const char *prefix = round < 0 ? at->scope->prefix
                                   : arena_printf(im->c->perm, "%s/%d/", at->name, round);
    struct scope inside = scope_create(im, at->scope, at->scope->g, prefix);

    if (body->input.n != n_in)
        return FAIL_SITE(at, INVALID, "the body has %d inputs, %d are given", body->input.n,
                         n_in);
    for (int i = 0; i < n_in; i++) {
        const struct onnx_value_info *info = body->input.at[i];

        if (!info->name || !*info->name)
            return FAIL_SITE(at, INVALID, "input %d of the body has no name", i);
        RETURN_IF_FAIL(status_note(scope_define(&inside, info->name, in[i]),
                                   "while reading the body of %s", at->label));
    }
    return status_note(import_body(&inside, body, out), "while reading the body of %s",
                       at->label);
}

int64_t unroll_count_nodes(const struct onnx_graph *body)
{
    int64_t count = body->node.n;

    for (int i = 0; i < body->node.n; i++) {
        const struct onnx_node *n = body->node.at[i];

        for (int k = 0; k < n->attr.n; k++) {
            const struct onnx_attr *a = n->attr.at[k];

            if (a->g)
                count += unroll_count_nodes(a->g);
        }
    }
    return count;
}
