/* SPDX-License-Identifier: Apache-2.0 */
/* A value as a strided window onto another one.
 *
 * Reshape, Transpose, Slice, Split, Gather at constant indices, Squeeze, Unsqueeze
 * and Flatten only choose which element stands where.  As long as the place of
 * element (i0, i1, ...) in the source is an affine function
 *
 *     offset + i0 * stride[0] + i1 * stride[1] + ...        (elements)
 *
 * a chain of them is one window, whatever its length.  Passes rewrite such chains
 * (fold_views.c); code generation reads operands through them without a copy.
 */
#ifndef HADMC_FRONTEND_STRIDED_VIEW_H
#define HADMC_FRONTEND_STRIDED_VIEW_H

#include "frontend/ir.h"

struct strided_view {
    struct ir_value *source; /* dense row-major, not itself a window of this chain */
    int64_t offset;
    int rank;
    int64_t dim[IR_MAX_RANK], stride[IR_MAX_RANK];
};

/* The window that shows all of v. */
struct strided_view view_whole(struct ir_value *v);

/* May this node be part of a window?  (Its operands may still make it not affine.) */
bool view_is_view_op(const struct ir_node *n);

/* Turn the window onto n->in[0] into the one onto n->out[which]; false, with *v
 * unchanged, when the result is not affine. */
bool view_through(const struct ir_node *n, int which, struct strided_view *v);

/* Follow the definitions of v upwards as long as they are affine.  Always succeeds:
 * at worst the window is v itself.  Values that are dynamic are never passed. */
struct strided_view view_resolve(struct ir_value *v);

/* Element (i0, i1, ...) stands at the place where a dense tensor of these dims has
 * it, counted from `offset`. */
bool view_is_dense(const struct strided_view *v);

/* ---- rewriting -------------------------------------------------------------- */

/* At most Slice, Reshape, Transpose, Reshape, in this order. */
struct view_plan {
    bool slices, slice_copies, reshapes_first, transposes, reshapes_last;
    int64_t start[IR_MAX_RANK], step[IR_MAX_RANK], count[IR_MAX_RANK]; /* per source dim */
    int n_factors;
    int64_t factor[IR_MAX_RANK]; /* dims before the Transpose */
    int perm[IR_MAX_RANK];
    int rank;
    int64_t dim[IR_MAX_RANK];
};

/* False when no such sequence exists (negative or overlapping strides, gaps). */
bool view_plan_make(const struct strided_view *v, struct view_plan *out);
/* Elements that the plan's operators would copy; windows that stay one dense block
 * are free. */
int64_t view_plan_copies(const struct view_plan *p);
/* Its length; a Reshape counts 1, other operators 2. */
int view_plan_nodes(const struct view_plan *p);
/* Build it before `at`; with nothing to do *out is `source`. */
struct status *view_plan_emit(struct ir_graph *g, struct ir_node *at, const char *name,
                              struct ir_value *source, const struct view_plan *p,
                              struct ir_value **out);

/* v with another shape, by a Reshape before `at` unless it has the shape already. */
struct status *view_reshape(struct ir_graph *g, struct ir_node *at, struct ir_value *v,
                            int rank, const int64_t *dim, struct ir_value **out);

/* Elements that node n copies to make out[which]: 0 for a Reshape, for a Transpose
 * that moves dims of size 1 only, for a Slice along the outermost dim, ... */
int64_t view_node_copies(const struct ir_node *n, int which);

#endif /* HADMC_FRONTEND_STRIDED_VIEW_H */
