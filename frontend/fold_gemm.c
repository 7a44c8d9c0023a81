/* SPDX-License-Identifier: Apache-2.0 */
/* Bring products with constant weights into one form: Gemm with transB = 1,
 * alpha = beta = 1 and a bias [N] or none.
 *
 *     alpha * A B + beta * C  =  A (alpha * B')' + (beta * C)
 *     MatMul(A[M, K], B[K, N])  =  Gemm(A, B')
 *
 * Weights then lie as a 1 x 1 convolution has them, [N][K].  A Gemm whose C varies
 * along the rows keeps it: Add after the product.  MatMul of more than two dims stays
 * one: rows in dims of their own are rows as well, and a Reshape between a product
 * and the Add after it would be in the way.
 *
 * needs:     shapes, use counts
 * keeps:     shapes
 * breaks:    nothing
 */
#include "frontend/match.h"
#include "frontend/op_help.h"
#include "frontend/pass.h"

enum { A, B, C };

/* [K][N] -> [N][K] times alpha, or a scaled copy when it is [N][K] already. */
static struct ir_value *pack_weights(struct compile *c, const struct ir_value *b,
                                     bool transposed, float alpha)
{
    const int64_t n = b->dim[!transposed], k = b->dim[transposed];
    const float *from = b->data;
    float *to = arena_new_array(c->perm, float, n *k);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            to[i * k + j] = alpha * from[transposed ? i * k + j : j * n + i];
    return ir_const_ref(c, b->name, DT_f32, 2, (int64_t[]){n, k}, to);
}

/* The bias [N] that beta * C is, or NULL when it is none (varies along rows). */
static struct ir_value *row_bias(struct compile *c, const struct ir_value *bias,
                                 float beta, int64_t n)
{
    const int64_t count = ir_count(bias);

    if (!match_const_f32(bias) || bias->rank > 2
        || (bias->rank && bias->dim[bias->rank - 1] != count)
        || (count != n && count != 1))
        return NULL;

    const float *from = bias->data;
    float *to = arena_new_array(c->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        to[i] = beta * from[count == 1 ? 0 : i];
    return ir_const_ref(c, bias->name, DT_f32, 1, &n, to);
}

static bool is_canonical(const struct ir_node *n)
{
    const struct ir_value *bias = ir_in(n, C);

    return ir_attr_int(n, "transB", 0) && ir_attr_float(n, "alpha", 1.0f) == 1.0f
           && ir_attr_float(n, "beta", 1.0f) == 1.0f
           && (!bias || (bias->rank == 1 && bias->dim[0] == n->out[0]->dim[1]));
}

static struct status *fold_gemm(struct compile *c, struct ir_graph *g,
                                struct ir_node *n)
{
    struct ir_value *bias = ir_in(n, C), *rest = NULL;
    const float beta = ir_attr_float(n, "beta", 1.0f);

    if (!match_const_f32(n->in[B]) || is_canonical(n))
        return OK;
    match_replace_const(n, B,
                        pack_weights(c, n->in[B], ir_attr_int(n, "transB", 0),
                                     ir_attr_float(n, "alpha", 1.0f)));
    ir_set_attr_int(n, "transB", 1);
    ir_remove_attr(n, "alpha");
    if (bias) {
        struct ir_value *row =
            beta == 0.0f ? NULL : row_bias(c, bias, beta, n->out[0]->dim[1]);

        if (!row && beta != 0.0f)
            rest = bias;
        match_replace_const(n, C, row);
        if (!row)
            op_keep_inputs(n, C);
    }
    ir_remove_attr(n, "beta");
    if (!rest)
        return OK;

    /* Build beta * C + product after the Gemm. */
    struct ir_value *scaled[] = {rest, ir_const_f32(c, beta)};
    struct ir_value *sum[] = {NULL, rest}, *y;
    struct ir_node *after = n->next;
    struct ir_value *product = ir_value_create(c, NULL, DT_NONE, 0, NULL);
    struct ir_value *old = n->out[0];

    ir_set_output(n, 0, product);
    RETURN_IF_FAIL(ir_infer(n));
    sum[0] = product;
    if (beta != 1.0f)
        RETURN_IF_FAIL(ir_emit(g, after, OP_Mul, NULL, 2, scaled, NULL, &sum[1]));
    RETURN_IF_FAIL(ir_emit(g, after, OP_Add, n->name, 2, sum, NULL, &y));
    ir_replace_uses(g, old, y);
    return OK;
}

static bool is_matmul_by_weights(const struct ir_node *n)
{
    return n->op == OP_MatMul && match_const_f32(n->in[B]) && n->in[B]->rank == 2
           && n->in[A]->rank == 2 && !n->in[A]->data && !n->out[0]->dynamic
           && ir_count(n->out[0]) && ir_count(n->in[B]);
}

static struct status *matmul_to_gemm(struct compile *c, struct ir_graph *g,
                                     struct ir_node *n)
{
    struct ir_value *in[] = {n->in[A], pack_weights(c, n->in[B], false, 1.0f)};
    struct ir_value *y;

    RETURN_IF_FAIL(ir_emit(g, n, OP_Gemm, n->name, 2, in, "transB=1", &y));
    y->def->onnx_index = n->onnx_index;
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

struct status *pass_fold_gemm(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (n->op == OP_Gemm && n->out[0]->dtype == DT_f32)
            RETURN_IF_FAIL(fold_gemm(c, g, n));
        else if (is_matmul_by_weights(n))
            RETURN_IF_FAIL(matmul_to_gemm(c, g, n));
    }
    return OK;
}
