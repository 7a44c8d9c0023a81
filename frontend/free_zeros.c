/* SPDX-License-Identifier: Apache-2.0 */
/* Zero points that are known at run time only, as dynamic quantization makes them, move
 * out of products with constant weights: what is left has constants only, which fast
 * kernels want.
 *
 *     MatMulInteger(a, w, za, zw)      =  MatMulInteger(a, w, 0, zw) - za
 * MatMulInteger(1, w, 0, zw) ConvInteger(x, w, zx, zw), pads  =  ConvInteger(Pad(x,
 * pads, zx), w, 0, zw), no pads,
 *                                         - zx ConvInteger(1, w, 0, zw)
 *
 * The products with ones are constants: sums of weights.
 *
 * needs:     shapes
 * keeps:     bytes of every output: sums of MAX_TERMS products of codes fit into int32
 * breaks:    nothing
 */
#include "frontend/op_help.h"
#include "frontend/pass.h"

enum { X, W, X_ZERO, W_ZERO };
enum { MAX_TERMS = INT32_MAX / (255 * 255) };

static int64_t n_terms(const struct ir_node *n)
{
    const struct ir_value *w = n->in[W];

    return n->op == OP_ConvInteger ? ir_count(w) / w->dim[0] : w->dim[w->rank - 2];
}

static bool can_free(const struct ir_node *n)
{
    const struct ir_value *x = ir_in(n, X), *w = ir_in(n, W), *zero = ir_in(n, X_ZERO),
                          *w_zero = ir_in(n, W_ZERO);

    return (n->op == OP_ConvInteger || n->op == OP_MatMulInteger) && zero && !zero->data
           && ir_count(zero) == 1 && w->data && (!w_zero || w_zero->data)
           && x->rank >= 2 && w->rank >= 2 && ir_count(w) && !x->dynamic
           && n_terms(n) <= MAX_TERMS;
}

/* The padding that a convolution does, with what its codes have for zero. */
static struct status *pad_before(struct ir_node *n)
{
    struct ir_value *const x = n->in[X];
    int64_t pads[2 * IR_MAX_RANK] = {0}, none[2 * IR_MAX_RANK] = {0};
    const int n_spatial = x->rank - 2;
    int count;
    const int64_t *old = ir_attr_ints(n, "pads", &count);
    bool has_any = false;

    for (int i = 0; i < count; i++) {
        pads[(i < n_spatial ? 2 : 4) + i] = old[i];
        has_any |= old[i] != 0;
    }
    if (!has_any)
        return OK;

    struct ir_node *pad = ir_node_create(n->graph, n, OP_Pad, NULL, 2, 1);

    ir_set_input(pad, 0, x);
    ir_set_input(pad, 1, n->in[X_ZERO]);
    ir_set_attr_ints(pad, "pads", 2 * x->rank, pads);
    ir_set_input(n, X, ir_new_output(pad, 0, NULL));
    ir_set_attr_ints(n, "pads", 2 * n_spatial, none);
    return ir_infer(pad);
}

static struct status *as_int32(struct ir_node *n, struct ir_value *v,
                               struct ir_value **out)
{
    return ir_emit(n->graph, n, OP_Cast, NULL, 1, &v, "to=6", out);
}

/* Sums over w - zw, for each of n's channels or columns: [1, M, 1 ...] or [..., 1, N].
 */
static struct status *sum_weights(struct ir_node *n, struct ir_value **out)
{
    const struct ir_value *w = n->in[W];
    struct ir_value *zero = ir_in(n, W_ZERO), *sum;
    int64_t axes[IR_MAX_RANK] = {w->rank - 2}, dim[IR_MAX_RANK];
    int n_axes = 1;

    for (int d = 0; d < w->rank; d++)
        dim[d] = 1;
    RETURN_IF_FAIL(as_int32(n, n->in[W], &sum));
    if (zero) {
        RETURN_IF_FAIL(as_int32(n, zero, &zero));
        if (n->op == OP_ConvInteger) {
            dim[0] = ir_count(zero);
            RETURN_IF_FAIL(op_reshaped(n, zero, w->rank, dim, &zero));
        }
        RETURN_IF_FAIL(ir_emit(n->graph, n, OP_Sub, NULL, 2,
                               (struct ir_value *[]){sum, zero}, NULL, &sum));
    }
    if (n->op == OP_ConvInteger)
        for (n_axes = 0; n_axes < w->rank - 1; n_axes++)
            axes[n_axes] = n_axes + 1;
    RETURN_IF_FAIL(op_emit_ints(n, OP_ReduceSum, sum, "axes", n_axes, axes, &sum));
    *out = sum;
    if (n->op != OP_ConvInteger)
        return OK;
    dim[0] = 1;
    dim[1] = w->dim[0];
    return op_reshaped(n, sum, w->rank, dim, out);
}

static struct status *free_zero(struct ir_node *n)
{
    struct ir_graph *const g = n->graph;
    struct ir_value *zero = n->in[X_ZERO], *sum, *y;

    if (n->op == OP_ConvInteger)
        RETURN_IF_FAIL(pad_before(n));
    ir_set_input(n, X_ZERO, NULL);
    RETURN_IF_FAIL(sum_weights(n, &sum));
    if (zero->rank > 0)
        RETURN_IF_FAIL(op_reshaped(n, zero, 0, NULL, &zero));
    RETURN_IF_FAIL(ir_emit(g, n, OP_Cast, NULL, 1, &zero, "to=6", &zero));
    RETURN_IF_FAIL(
        ir_emit(g, n, OP_Mul, NULL, 2, (struct ir_value *[]){sum, zero}, NULL, &sum));

    struct ir_node *less = ir_node_create(g, n->next, OP_Sub, NULL, 2, 1);

    y = ir_new_output(less, 0, NULL);
    ir_replace_uses(g, n->out[0], y);
    ir_set_input(less, 0, n->out[0]);
    ir_set_input(less, 1, sum);
    return ir_infer(less);
}

struct status *pass_free_zeros(struct compile *c, struct ir_graph *g)
{
    (void)c;
    for (struct ir_node *n = g->first; n; n = n->next)
        if (can_free(n))
            RETURN_IF_FAIL(free_zero(n));
    return OK;
}
