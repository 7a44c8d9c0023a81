/* SPDX-License-Identifier: Apache-2.0 */
/* Let a convolution or pooling do the padding of the Pad before it.
 *
 *     Conv(Pad(x, p, 0), pads q)                        =  Conv(x, pads p + q)
 *     AveragePool(Pad(x, p, 0), pads q counted or 0)    =  AveragePool(x, pads p + q,
 *                                                              count_include_pad = 1)
 *     MaxPool(Pad(x, p, -inf), pads q)                  =  MaxPool(x, pads p + q)
 *     MaxPool(Pad(x, p, 0), pads q), x >= 0             =  the same
 *
 * The last one because a window that holds padding holds an element of x too (pads
 * are smaller than the kernel), which is never below the padding.  Only spatial dims
 * may be padded, none by a negative count.  Kernels skip padding instead of adding
 * zeros, so a sum may differ in the sign of a zero, or where a weight is infinite.
 *
 * needs:     shapes, constant operands
 * keeps:     shapes
 * breaks:    nothing
 */
#include <math.h>
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"

enum { PAD_DATA, PAD_VALUE };

struct padding {
    int64_t before[IR_MAX_RANK], after[IR_MAX_RANK]; /* by dim */
    double value;
};

static bool read_padding(const struct ir_node *pad, struct padding *out)
{
    const int rank = pad->in[PAD_DATA]->rank;
    int count;
    const int64_t *pads = ir_attr_ints(pad, "pads", &count);

    memset(out, 0, sizeof *out);
    if (strcmp(ir_attr_str(pad, "mode", "constant"), "constant") != 0
        || (ir_in(pad, PAD_VALUE) && !ir_const_scalar(pad->in[PAD_VALUE], &out->value)))
        return false;
    for (int d = 0; d < rank; d++) {
        out->before[d] = pads[d];
        out->after[d] = pads[rank + d];
        if (pads[d] < 0 || pads[rank + d] < 0 || (d < 2 && (pads[d] || pads[rank + d])))
            return false;
    }
    return true;
}

static bool is_never_negative(const struct ir_value *x)
{
    double lo;

    return match_def(x, OP_Relu) || match_def(x, OP_Sigmoid)
           || (match_def(x, OP_Clip) && ir_const_scalar(ir_in(x->def, 1), &lo)
               && lo >= 0.0);
}

static bool has_pads(const struct ir_node *n)
{
    int count;
    const int64_t *pads = ir_attr_ints(n, "pads", &count);

    for (int i = 0; i < count; i++)
        if (pads[i])
            return true;
    return false;
}

/* May padding of this value be done by n? */
static bool can_take(const struct ir_node *n, const struct ir_value *x, double value)
{
    if (ir_attr_int(n, "channels_last", 0) || x->dtype != DT_f32)
        return false;
    switch (n->op) {
    case OP_Conv:
        return value == 0.0;
    case OP_AveragePool:
        return value == 0.0 && !ir_attr_int(n, "ceil_mode", 0)
               && (ir_attr_int(n, "count_include_pad", 0) || !has_pads(n));
    case OP_MaxPool:
        return !ir_attr_int(n, "ceil_mode", 0) && n->n_out == 1
               && (value == -(double)INFINITY
                   || (value == 0.0 && is_never_negative(x)));
    default:
        return false;
    }
}

static int64_t kernel_extent(const struct ir_node *n, int i)
{
    int n_kernel, n_dilations;
    const int64_t *kernel = ir_attr_ints(n, "kernel_shape", &n_kernel);
    const int64_t *dilation = ir_attr_ints(n, "dilations", &n_dilations);

    return (kernel[i] - 1) * (i < n_dilations ? dilation[i] : 1) + 1;
}

/* The sums of both paddings; false when a window could lie outside of x. */
static bool add_pads(const struct ir_node *n, const struct padding *p, int n_spatial,
                     int64_t *pads)
{
    int n_old;
    const int64_t *old = ir_attr_ints(n, "pads", &n_old);

    for (int i = 0; i < n_spatial; i++) {
        pads[i] = p->before[i + 2] + (n_old ? old[i] : 0);
        pads[n_spatial + i] = p->after[i + 2] + (n_old ? old[n_spatial + i] : 0);
        if (n->op != OP_Conv
            && (pads[i] >= kernel_extent(n, i)
                || pads[n_spatial + i] >= kernel_extent(n, i)))
            return false;
    }
    return true;
}

static bool fold(struct ir_node *n)
{
    const struct ir_node *pad = match_def(ir_in(n, 0), OP_Pad);
    int64_t pads[2 * IR_MAX_RANK];
    struct padding p;

    if (!pad || n->in[0]->dynamic || !read_padding(pad, &p)
        || !can_take(n, pad->in[PAD_DATA], p.value)
        || !add_pads(n, &p, n->in[0]->rank - 2, pads))
        return false;
    ir_set_input(n, 0, pad->in[PAD_DATA]);
    ir_set_attr_ints(n, "pads", 2 * (n->in[0]->rank - 2), pads);
    if (n->op == OP_AveragePool)
        ir_set_attr_int(n, "count_include_pad", 1);
    return true;
}

struct status *pass_fold_pad(struct compile *c __attribute__((unused)),
                             struct ir_graph *g)
{
    for (struct ir_node *n = g->first; n; n = n->next) {
        struct ir_node *pad = match_def(ir_in(n, 0), OP_Pad);

        if (pad && fold(n) && !pad->out[0]->n_uses)
            ir_remove(pad);
    }
    return OK;
}
