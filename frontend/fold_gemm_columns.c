/* SPDX-License-Identifier: Apache-2.0 */
/* Permute the columns of constant weights instead of the activations they meet.
 *
 *     Gemm(Reshape(Transpose(x, p), [M, K]), W')  =  Gemm(Reshape(x, [M, K]), V')
 *     V[n, place of k in x] = W[n, k]
 *
 * when the Transpose keeps the rows apart: M is its first dim and stays first, or 1.
 * The classifier of a network whose feature maps have channels last ends like this.
 *
 * needs:     shapes, constant operands
 * keeps:     shapes
 * breaks:    nothing
 */
#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/strided_view.h"

enum { A, B };

/* The Transpose whose result `gemm` reads as rows, or NULL. */
static struct ir_node *transpose_above(const struct ir_node *gemm)
{
    const struct ir_node *rows;
    struct ir_node *t;
    int n;

    if (gemm->op != OP_Gemm || ir_attr_int(gemm, "transA", 0)
        || !match_const_f32(gemm->in[B]))
        return NULL;
    rows = match_def(gemm->in[A], OP_Reshape);
    t = match_def(rows ? rows->in[0] : NULL, OP_Transpose);
    if (!t || rows->out[0]->dynamic || !ir_count(rows->out[0]))
        return NULL;

    const int64_t m = rows->out[0]->dim[0];
    const int64_t *perm = ir_attr_ints(t, "perm", &n);

    return perm && (m == 1 || (perm[0] == 0 && t->out[0]->dim[0] == m)) ? t : NULL;
}

/* place[k]: where element k of a row of the Transpose's result lies in a row of x. */
static int64_t *places(struct arena *a, const struct ir_node *t, int64_t n_columns)
{
    const struct ir_value *x = t->in[0], *y = t->out[0];
    int64_t stride[IR_MAX_RANK], moved[IR_MAX_RANK], at[IR_MAX_RANK] = {0}, s = 1;
    int64_t *place = arena_new_array(a, int64_t, n_columns);
    int n;
    const int64_t *perm = ir_attr_ints(t, "perm", &n);

    for (int d = x->rank - 1; d >= 0; d--) {
        stride[d] = s;
        s *= x->dim[d];
    }
    for (int d = 0; d < y->rank; d++)
        moved[d] = stride[perm[d]];
    for (int64_t k = 0, offset = 0; k < n_columns; k++) {
        place[k] = offset;
        for (int d = y->rank - 1; d >= 0; d--) {
            offset += moved[d];
            if (++at[d] < y->dim[d])
                break;
            offset -= at[d] * moved[d];
            at[d] = 0;
        }
    }
    return place;
}

static struct ir_value *permuted_weights(struct compile *c, const struct ir_node *gemm,
                                         const int64_t *place)
{
    const struct ir_value *w = gemm->in[B];
    const bool rows_are_outputs = ir_attr_int(gemm, "transB", 0) != 0;
    const int64_t n = w->dim[!rows_are_outputs], k = w->dim[rows_are_outputs];
    const float *from = w->data;
    float *to = arena_new_array(c->perm, float, n *k);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) {
            if (rows_are_outputs)
                to[i * k + place[j]] = from[i * k + j];
            else
                to[place[j] * n + i] = from[j * n + i];
        }
    return ir_const_ref(c, w->name, DT_f32, 2, w->dim, to);
}

static struct status *fold(struct compile *c, struct ir_graph *g, struct ir_node *gemm,
                           const struct ir_node *t)
{
    const struct ir_value *rows = gemm->in[A];
    struct ir_value *w = permuted_weights(c, gemm, places(c->scratch, t, rows->dim[1]));
    struct ir_value *a;

    RETURN_IF_FAIL(view_reshape(g, gemm, t->in[0], 2, rows->dim, &a));
    ir_set_input(gemm, A, a);
    match_replace_const(gemm, B, w);
    return OK;
}

struct status *pass_fold_gemm_columns(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first; n; n = n->next) {
        const struct ir_node *t = transpose_above(n);

        if (t)
            RETURN_IF_FAIL(fold(c, g, n, t));
    }
    return pass_dead_code(c, g);
}
