/* SPDX-License-Identifier: Apache-2.0 */
/* Fold a BatchNormalization into the convolution that feeds it.
 *
 *     y = bn(conv(x; W, b); gamma, beta, mean, var)
 *     y = conv(x; W * s, (b - mean) * s + beta)    s = gamma / sqrt(var + eps)
 *
 * s has one entry per output channel.  The same for ConvTranspose and Gemm.  Where
 * there is nothing to fold into, two constants remain:
 *
 *     y = x * s + (beta - mean * s)
 *
 * The arithmetic is double and happens once, at compile time, so the folded model
 * differs from the original only by rounding.
 *
 * needs:     shapes, use counts
 * keeps:     shapes
 * breaks:    use counts of constants
 * source:    Jacob et al. 2018, section 3.2, arXiv:1712.05877
 */
#include <math.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/scale_channels.h"

enum { BN_X, BN_GAMMA, BN_BETA, BN_MEAN, BN_VAR };

static bool can_rewrite(const struct ir_node *bn)
{
    if (bn->op != OP_BatchNormalization || ir_attr_int(bn, "training_mode", 0)
        || ir_attr_int(bn, "channels_last", 0) || bn->in[BN_X]->rank < 2)
        return false;
    for (int i = BN_X; i <= BN_VAR; i++)
        if (ir_in(bn, i)->dtype != DT_f32)
            return false;
    for (int i = BN_GAMMA; i <= BN_VAR; i++)
        if (!bn->in[i]->data)
            return false;
    return true;
}

/* Folding rewrites the weights, so nobody else may read the raw result. */
static bool can_fold(const struct ir_node *bn)
{
    const struct ir_value *y = bn->in[BN_X];

    return y->def && y->n_uses == 1 && channels_can_shift(y->def)
           && channels_axis(y->def) == 1;
}

struct affine {
    int64_t n;
    double *scale, *shift;
};

static struct affine affine_of(struct arena *a, const struct ir_node *bn)
{
    const float *gamma = bn->in[BN_GAMMA]->data, *beta = bn->in[BN_BETA]->data;
    const float *mean = bn->in[BN_MEAN]->data, *var = bn->in[BN_VAR]->data;
    const double eps = (double)ir_attr_float(bn, "epsilon", 1e-5f);
    const int64_t n = ir_count(bn->in[BN_GAMMA]);
    struct affine f = {n, arena_new_array(a, double, n), arena_new_array(a, double, n)};

    for (int64_t k = 0; k < n; k++) {
        f.scale[k] = (double)gamma[k] / sqrt((double)var[k] + eps);
        f.shift[k] = (double)beta[k] - (double)mean[k] * f.scale[k];
    }
    return f;
}

static struct ir_value *channel_const(struct compile *c, const struct ir_node *bn,
                                      const char *role, int64_t n, const double *from)
{
    const int rank = bn->in[BN_X]->rank;
    int64_t dim[IR_MAX_RANK] = {n};
    float *to = arena_new_array(c->perm, float, n);

    for (int64_t k = 0; k < n; k++)
        to[k] = (float)from[k];
    for (int i = 1; i < rank - 1; i++)
        dim[i] = 1;
    return ir_const_ref(c, arena_printf(c->scratch, "%s.%s", bn->out[0]->name, role),
                        DT_f32, rank - 1, dim, to);
}

static struct status *to_mul_add(struct compile *c, struct ir_graph *g,
                                 struct ir_node *bn, const struct affine *f)
{
    struct ir_value *mul[] = {bn->in[BN_X],
                              channel_const(c, bn, "scale", f->n, f->scale)};
    struct ir_value *add[] = {NULL, channel_const(c, bn, "shift", f->n, f->shift)};
    struct ir_value *y;

    RETURN_IF_FAIL(ir_emit(g, bn, OP_Mul, bn->name, 2, mul, NULL, &add[0]));
    RETURN_IF_FAIL(ir_emit(g, bn, OP_Add, bn->name, 2, add, NULL, &y));
    ir_replace_uses(g, bn->out[0], y);
    return OK;
}

static struct status *rewrite(struct compile *c, struct ir_graph *g, struct ir_node *bn)
{
    struct ir_value *x = bn->in[BN_X];
    const struct affine f = affine_of(c->scratch, bn);

    if (f.n != x->dim[1])
        return FAIL_AT(bn, INVALID, "has %lld channels but '%s' has %lld",
                       (long long)f.n, x->name, (long long)x->dim[1]);
    if (can_fold(bn)) {
        channels_scale(x->def, f.scale, f.shift);
        ir_replace_uses(g, bn->out[0], x);
    } else {
        RETURN_IF_FAIL(to_mul_add(c, g, bn, &f));
    }
    ir_remove(bn);
    return OK;
}

struct status *pass_fold_batchnorm(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (can_rewrite(n))
            RETURN_IF_FAIL(rewrite(c, g, n));
    }
    return OK;
}
