/* SPDX-License-Identifier: Apache-2.0 */
/* See scale_channels.h. */
#include "frontend/scale_channels.h"

#include "frontend/match.h"

enum { X, W, B };

static bool is_plain_gemm(const struct ir_node *n)
{
    return ir_attr_float(n, "alpha", 1.0f) == 1.0f
           && ir_attr_float(n, "beta", 1.0f) == 1.0f
           && (!ir_in(n, B)
               || (n->in[B]->rank == 1 && n->in[B]->dim[0] == channels_count(n)));
}

bool channels_can_scale(const struct ir_node *n)
{
    if (n->op == OP_MatMul)
        return match_const_f32(n->in[W]) && n->in[W]->rank == 2 && n->out[0]->rank >= 1;
    if (n->op != OP_Conv && n->op != OP_ConvTranspose && n->op != OP_Gemm)
        return false;
    return match_const_f32(ir_in(n, W)) && n->out[0]->dtype == DT_f32
           && (!ir_in(n, B) || match_const_f32(n->in[B]))
           && (n->op != OP_Gemm || is_plain_gemm(n));
}

bool channels_can_shift(const struct ir_node *n)
{
    return n->op != OP_MatMul && channels_can_scale(n);
}

int64_t channels_count(const struct ir_node *n)
{
    return n->out[0]->dim[channels_axis(n)];
}

int channels_axis(const struct ir_node *n)
{
    return n->op == OP_MatMul || ir_attr_int(n, "channels_last", 0)
               ? n->out[0]->rank - 1
               : 1;
}

/* Weights are [outer][channel][inner], seen from the channel that they make. */
struct weight_order {
    int64_t groups, outer, channels, inner; /* channels and outer per group */
};

static struct weight_order weight_order(const struct ir_node *n)
{
    const struct ir_value *w = n->in[W];
    struct weight_order o = {1, 1, w->dim[0], 1};

    if (n->op == OP_Conv) { /* [C_out][C_in/g][k...] */
        o.inner = w->dim[0] ? ir_count(w) / w->dim[0] : 0;
    } else if (n->op == OP_ConvTranspose) { /* [C_in][C_out/g][k...] */
        o.groups = ir_attr_int(n, "group", 1);
        o.outer = w->dim[0] / o.groups;
        o.channels = w->dim[1];
        for (int i = 2; i < w->rank; i++)
            o.inner *= w->dim[i];
    } else if (ir_attr_int(n, "transB", 0)) { /* [N][K] */
        o.inner = w->dim[1];
    } else { /* [K][N] */
        o.outer = w->dim[0];
        o.channels = w->dim[1];
    }
    return o;
}

static void scale_weights(struct ir_node *n, const double *scale)
{
    struct compile *c = n->graph->compile;
    const struct ir_value *w = n->in[W];
    const struct weight_order o = weight_order(n);
    const float *from = w->data;
    float *to = arena_new_array(c->perm, float, ir_count(w));
    int64_t i = 0;

    for (int64_t g = 0; g < o.groups; g++)
        for (int64_t k = 0; k < o.outer; k++)
            for (int64_t ch = 0; ch < o.channels; ch++)
                for (int64_t j = 0; j < o.inner; j++, i++)
                    to[i] = (float)((double)from[i] * scale[g * o.channels + ch]);
    match_replace_const(n, W, ir_const_ref(c, w->name, DT_f32, w->rank, w->dim, to));
}

void channels_scale(struct ir_node *n, const double *scale, const double *shift)
{
    struct compile *c = n->graph->compile;
    const struct ir_value *b = ir_in(n, B);
    const float *old = b ? b->data : NULL;
    const int64_t n_channels = channels_count(n);

    if (scale)
        scale_weights(n, scale);
    if (!b && !shift)
        return;

    float *bias = arena_new_array(c->perm, float, n_channels);

    for (int64_t ch = 0; ch < n_channels; ch++)
        bias[ch] = (float)((old ? (double)old[ch] : 0.0) * (scale ? scale[ch] : 1.0)
                           + (shift ? shift[ch] : 0.0));
    const char *name =
        b ? b->name : arena_printf(c->scratch, "%s.bias", n->in[W]->name);

    match_replace_const(n, B, ir_const_ref(c, name, DT_f32, 1, &n_channels, bias));
}

double *channels_of_const(struct arena *a, const struct ir_value *k,
                          const struct ir_value *like, int axis)
{
    const int skipped = like->rank - k->rank;

    if (!match_const_f32(k) || !match_broadcasts_into(k, like))
        return NULL;
    for (int i = 0; i < k->rank; i++)
        if (k->dim[i] != 1 && i + skipped != axis)
            return NULL;

    const int64_t n = like->dim[axis];
    const float *from = k->data;
    const bool one = ir_count(k) == 1;
    double *out = arena_new_array(a, double, n);

    for (int64_t i = 0; i < n; i++)
        out[i] = (double)from[one ? 0 : i];
    return out;
}
