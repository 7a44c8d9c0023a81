/* SPDX-License-Identifier: Apache-2.0 */
/* MatMul and Gemm by OpenBLAS.
 *
 *     y = a b      da += dy b^T      db += a^T dy
 *
 * Gemm scales by alpha and adds beta c, c stretched to the result.  Where b is the same
 * for all samples, their rows are one tall matrix. */
#include <string.h>

#include "train/broadcast.h"
#include "train/derivatives.h"

enum { A, B, C };

struct product {
    int64_t m, n, k;            /* of one pair of matrices */
    int64_t pairs;              /* per sample */
    const int64_t *a_at, *b_at; /* [pairs] elements from the sample's beginning */
    bool trans_a, trans_b;
    real alpha, beta;
    struct broadcast c;
};

/* The matrices that numpy's broadcasting pairs up. */
static const int64_t *places(struct arena *a, const struct ir_value *v, int64_t matrix,
                             int rank, const int64_t *batch, int64_t pairs)
{
    int64_t *at = arena_new_array(a, int64_t, pairs);

    for (int64_t i = 0; i < pairs; i++) {
        int64_t rest = i, step = matrix;

        for (int d = 1; d <= rank; d++) {
            const int64_t index = rest % batch[rank - d];
            const int64_t dim = v->rank - 2 - d >= 0 ? v->dim[v->rank - 2 - d] : 1;

            at[i] += dim > 1 ? index * step : 0;
            step *= dim;
            rest /= batch[rank - d];
        }
    }
    return at;
}

struct status *prepare_MatMul(struct tape *t, struct tape_step *s)
{
    const struct ir_value *a = s->node->in[A], *b = s->node->in[B],
                          *y = s->node->out[0];
    struct product *p = arena_new(t->a, struct product);

    if (a->rank < 2 || b->rank < 2)
        return FAIL_AT(s->node, UNSUPPORTED, "training wants matrices");
    *p = (struct product){.m = a->dim[a->rank - 2],
                          .k = a->dim[a->rank - 1],
                          .n = b->dim[b->rank - 1],
                          .pairs = 1,
                          .alpha = 1};
    if (b->rank == 2) { /* all rows of a at once */
        p->m = p->k ? ir_count(a) / p->k : 0;
    } else {
        for (int d = 0; d < y->rank - 2; d++)
            p->pairs *= y->dim[d];
    }
    p->a_at =
        places(t->a, a, p->m * p->k, b->rank == 2 ? 0 : y->rank - 2, y->dim, p->pairs);
    p->b_at =
        places(t->a, b, p->k * p->n, b->rank == 2 ? 0 : y->rank - 2, y->dim, p->pairs);
    s->plan = p;
    return OK;
}

struct status *prepare_Gemm(struct tape *t, struct tape_step *s)
{
    static const int64_t none;
    const struct ir_node *n = s->node;
    struct product *p = arena_new(t->a, struct product);

    *p = (struct product){.m = n->out[0]->dim[0],
                          .n = n->out[0]->dim[1],
                          .pairs = 1,
                          .a_at = &none,
                          .b_at = &none,
                          .trans_a = ir_attr_int(n, "transA", 0) != 0,
                          .trans_b = ir_attr_int(n, "transB", 0) != 0,
                          .alpha = ir_attr_float(n, "alpha", 1),
                          .beta = ir_attr_float(n, "beta", 1)};
    p->k = n->in[A]->dim[p->trans_a ? 0 : 1];
    if (ir_in(n, C))
        p->c = broadcast_of(t->a, n->in[C], n->out[0]);
    s->plan = p;
    return OK;
}

/* to[rows][columns] += alpha * left right, either read transposed. */
static void multiply(int64_t rows, int64_t columns, int64_t k, real alpha, bool trans_l,
                     const real *l, bool trans_r, const real *r, real beta, real *to)
{
    real_gemm(trans_l ? BLAS_TRANSPOSED : BLAS_PLAIN,
              trans_r ? BLAS_TRANSPOSED : BLAS_PLAIN, rows, columns, k, alpha, l,
              trans_l ? rows : k, r, trans_r ? k : columns, beta, to, columns);
}

/* Rows of all samples of a shard are one matrix. */
static bool is_tall(const struct tape_call *c)
{
    const struct product *p = c->step->plan;

    return p->pairs == 1 && !p->trans_a && c->in_count[A] && !c->in_count[B];
}

static void forward_product(const struct tape_call *c, real beta)
{
    const struct product *p = c->step->plan;
    const int64_t samples = is_tall(c) ? 1 : c->n, m = p->m * (is_tall(c) ? c->n : 1);

    for (int64_t s = 0; s < samples; s++)
        for (int64_t i = 0; i < p->pairs; i++)
            multiply(m, p->n, p->k, p->alpha, p->trans_a, call_in(c, A, s) + p->a_at[i],
                     p->trans_b, call_in(c, B, s) + p->b_at[i], beta,
                     call_out(c, 0, s) + i * p->m * p->n);
}

static void backward_product(const struct tape_call *c)
{
    const struct product *p = c->step->plan;
    const int64_t samples = is_tall(c) ? 1 : c->n, m = p->m * (is_tall(c) ? c->n : 1);

    for (int64_t s = 0; s < samples; s++)
        for (int64_t i = 0; i < p->pairs; i++) {
            const real *dy = call_d_out(c, 0, s) + i * p->m * p->n;
            const real *a = call_in(c, A, s) + p->a_at[i];
            const real *b = call_in(c, B, s) + p->b_at[i];

            if (c->d_in[A] && !p->trans_a)
                multiply(m, p->k, p->n, p->alpha, false, dy, !p->trans_b, b, 1,
                         call_d_in(c, A, s) + p->a_at[i]);
            if (c->d_in[A] && p->trans_a)
                multiply(p->k, m, p->n, p->alpha, p->trans_b, b, true, dy, 1,
                         call_d_in(c, A, s) + p->a_at[i]);
            if (c->d_in[B] && !p->trans_b)
                multiply(p->k, p->n, m, p->alpha, !p->trans_a, a, false, dy, 1,
                         call_d_in(c, B, s) + p->b_at[i]);
            if (c->d_in[B] && p->trans_b)
                multiply(p->n, p->k, m, p->alpha, true, dy, p->trans_a, a, 1,
                         call_d_in(c, B, s) + p->b_at[i]);
        }
}

void forward_MatMul(const struct tape_call *c)
{
    forward_product(c, 0);
}

void backward_MatMul(const struct tape_call *c)
{
    backward_product(c);
}

void forward_Gemm(const struct tape_call *c)
{
    const struct product *p = c->step->plan;
    const int64_t n = p->m * p->n;

    for (int64_t s = 0; c->in[C] && s < c->n; s++)
        for (int64_t i = 0; i < n; i++)
            call_out(c, 0, s)[i] = p->beta * call_in(c, C, s)[broadcast_at(&p->c, i)];
    forward_product(c, c->in[C] ? 1 : 0);
}

void backward_Gemm(const struct tape_call *c)
{
    const struct product *p = c->step->plan;
    const int64_t n = p->m * p->n;

    backward_product(c);
    for (int64_t s = 0; c->d_in[C] && s < c->n; s++)
        for (int64_t i = 0; i < n; i++)
            call_d_in(c, C, s)[broadcast_at(&p->c, i)] +=
                p->beta * call_d_out(c, 0, s)[i];
}
