/* SPDX-License-Identifier: Apache-2.0 */
/* Drop spatial dims of size 1 from convolutions and pools.
 *
 *     Conv(x [N, C, L, 1], W [M, C, k, 1])  =  Conv(x [N, C, L], W [M, C, k])
 *
 * Signals are often spelled as images of one row or one column.  A kernel that is
 * longer along such a dim meets the one element with a single tap; the others only see
 * padding and are cut off.  The Reshapes around are views, and cancel between two
 * convolutions; what is left is a signal whose neighbours lie side by side, whichever
 * of the two dims was dropped.
 *
 * Kernels skip padding, so sums have the same terms in the same order.
 *
 * needs:     shapes, constant weights
 * keeps:     bytes of every result
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/strided_view.h"

enum { X, W };

static bool is_window_op(const struct ir_node *n)
{
    if (ir_attr_int(n, "channels_last", 0) || !n->in[X] || n->in[X]->dynamic
        || n->in[X]->rank < 4 || (n->n_out > 1 && n->out[1]))
        return false;
    return (n->op == OP_Conv && n->in[W]->data && n->in[W]->dtype == DT_f32)
           || n->op == OP_MaxPool || n->op == OP_AveragePool;
}

static int64_t attr_at(const struct ir_node *n, const char *name, int i,
                       int64_t otherwise)
{
    int count;
    const int64_t *v = ir_attr_ints(n, name, &count);

    return i < count ? v[i] : otherwise;
}

/* The only tap along spatial dim d that meets the input; -1 when d must stay. */
static int64_t single_tap(const struct ir_node *n, int d)
{
    const int64_t size =
        n->op == OP_Conv ? n->in[W]->dim[d + 2] : attr_at(n, "kernel_shape", d, 1);
    const int64_t pad = attr_at(n, "pads", d, 0),
                  dilation = attr_at(n, "dilations", d, 1);

    if (n->in[X]->dim[d + 2] != 1 || n->out[0]->dim[d + 2] != 1 || pad % dilation
        || pad / dilation >= size)
        return -1;
    if (n->op != OP_Conv && size != 1) /* counted padding would be forgotten */
        return -1;
    return pad / dilation;
}

/* Spatial dim to drop, or -1.  One is kept. */
static int dim_to_drop(const struct ir_node *n)
{
    if (!is_window_op(n) || n->in[X]->rank < 4)
        return -1;
    for (int d = n->in[X]->rank - 3; d >= 0; d--)
        if (single_tap(n, d) >= 0)
            return d;
    return -1;
}

/* W without dim d + 2, of which tap t is kept. */
static struct ir_value *cut_weights(struct compile *c, const struct ir_value *w, int d,
                                    int64_t t)
{
    int64_t dim[IR_MAX_RANK], outer = 1, inner = 1;
    const int64_t size = w->dim[d + 2];
    const float *from = w->data;
    float *to = arena_new_array(c->perm, float, ir_count(w) / size);

    for (int i = 0, k = 0; i < w->rank; i++) {
        outer *= i < d + 2 ? w->dim[i] : 1;
        inner *= i > d + 2 ? w->dim[i] : 1;
        if (i != d + 2)
            dim[k++] = w->dim[i];
    }
    for (int64_t i = 0; i < outer; i++)
        memcpy(to + i * inner, from + (i * size + t) * inner,
               (size_t)inner * sizeof *to);
    return ir_const_ref(c, w->name, DT_f32, w->rank - 1, dim, to);
}

/* Remove entry d of each of the n_lists lists of n_spatial entries in an attribute. */
static void drop_entry(struct ir_node *n, const char *name, int n_lists, int n_spatial,
                       int d)
{
    int count;
    const int64_t *from = ir_attr_ints(n, name, &count);
    int64_t to[2 * IR_MAX_RANK];
    int k = 0;

    if (count != n_lists * n_spatial)
        return;
    for (int i = 0; i < count; i++)
        if (i % n_spatial != d)
            to[k++] = from[i];
    ir_set_attr_ints(n, name, k, to);
}

static struct status *drop_dim(struct compile *c, struct ir_graph *g, struct ir_node *n,
                               int d)
{
    const int n_spatial = n->in[X]->rank - 2;
    struct ir_value *x = n->in[X], *old = n->out[0], *y;
    int64_t dim[IR_MAX_RANK];

    if (n->op == OP_Conv)
        match_replace_const(n, W, cut_weights(c, n->in[W], d, single_tap(n, d)));
    for (int i = 0, k = 0; i < x->rank; i++)
        if (i != d + 2)
            dim[k++] = x->dim[i];
    RETURN_IF_FAIL(view_reshape(g, n, x, x->rank - 1, dim, &x));
    ir_set_input(n, X, x);
    drop_entry(n, "kernel_shape", 1, n_spatial, d);
    drop_entry(n, "strides", 1, n_spatial, d);
    drop_entry(n, "dilations", 1, n_spatial, d);
    drop_entry(n, "pads", 2, n_spatial, d);

    y = ir_value_create(c, NULL, DT_NONE, 0, NULL);
    ir_set_output(n, 0, y);
    RETURN_IF_FAIL(ir_infer(n));
    RETURN_IF_FAIL(view_reshape(g, n->next, y, old->rank, old->dim, &y));
    ir_replace_uses(g, old, y);
    return OK;
}

struct status *pass_drop_unit_dims(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first; n; n = n->next)
        for (int d = dim_to_drop(n); d >= 0; d = dim_to_drop(n))
            RETURN_IF_FAIL(drop_dim(c, g, n, d));
    return OK;
}
