/* SPDX-License-Identifier: Apache-2.0 */
/* Gemm and MatMul as emitted kernels.  With a constant right operand they are 1 x 1
 * convolutions over one row of pixels; otherwise products of activations. */
#include "codegen/hot.h"

void hot_fill_rows(struct conv *c, int64_t rows, int64_t k, int64_t n)
{
    *c = (struct conv){
        .n = 1,
        .h = 1,
        .w = rows,
        .oh = 1,
        .ow = rows,
        .groups = 1,
        .c_in = k,
        .c_out = n,
        .kh = 1,
        .kw = 1,
        .stride_y = 1,
        .stride_x = 1,
        .dilation_y = 1,
        .dilation_x = 1,
    };
    hot_fill_strides(c, k, n);
}

bool hot_is_row_vector(const struct ir_value *v, int64_t n)
{
    return v->dtype == DT_f32 && !v->dynamic && ir_count(v) == n && v->rank > 0
           && v->dim[v->rank - 1] == n;
}

/* Both operands are computed: a product of one batch. */
static struct hot *recognise_gemm_of_activations(struct builder *b,
                                                 const struct ir_node *n, bool trans_a,
                                                 bool trans_b)
{
    const struct ir_value *y = n->out[0];
    struct hot *h = hot_new(b, STEP_MATMUL, n);
    const int64_t m = y->dim[0], cols = y->dim[1];
    const int64_t k = n->in[0]->dim[trans_a ? 0 : 1];

    h->matmul = (struct matmul){.batch = 1,
                                .m = m,
                                .n = cols,
                                .k = k,
                                .a_row = trans_a ? 1 : k,
                                .a_col = trans_a ? m : 1,
                                .b_row = trans_b ? 1 : cols,
                                .b_col = trans_b ? k : 1,
                                .c_row = cols,
                                .c_batch = m * cols,
                                .has_bias = ir_in(n, 2) != NULL,
                                .alpha = ir_attr_float(n, "alpha", 1.0f)};
    h->weights = n->in[1];
    h->bias = ir_in(n, 2);
    h->beta = ir_attr_float(n, "beta", 1.0f);
    return h;
}

struct hot *hot_recognise_gemm(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *w = n->in[1], *y = n->out[0];
    struct ir_value *bias = ir_in(n, 2);
    const bool trans_a = ir_attr_int(n, "transA", 0),
               trans_b = ir_attr_int(n, "transB", 0);
    const float alpha = ir_attr_float(n, "alpha", 1.0f);
    const float beta = ir_attr_float(n, "beta", 1.0f);
    struct ir_value *learned = hot_learned(n);

    if (x->dtype != DT_f32 || x->dynamic || w->dynamic || ir_count(y) == 0
        || ir_count(x) == 0)
        return NULL;
    if (bias && (!hot_is_row_vector(bias, y->dim[1]) || (beta != 1.0f && !bias->data)))
        return NULL;
    if (!learned || (learned->dtype == DT_f16 && alpha != 1.0f))
        return recognise_gemm_of_activations(b, n, trans_a, trans_b);
    struct hot *h = hot_new(b, STEP_CONV, n);

    hot_fill_rows(&h->conv, y->dim[0], x->dim[trans_a ? 0 : 1], y->dim[1]);
    if (trans_a) {
        h->conv.in_x = 1;
        h->conv.in_c = y->dim[0];
    }
    h->conv.has_bias = bias != NULL;
    h->conv.half_weights = alpha == 1.0f && hot_stores_halves(b, learned);
    h->weights = learned;
    h->weights_transposed = !trans_b;
    h->bias = bias;
    h->alpha = alpha;
    h->beta = beta;
    return h;
}

/* Strides of the batch dims of an operand, broadcast to `y`'s, as one loop. */
static bool one_batch_stride(const struct ir_value *y, const struct ir_value *v,
                             const int64_t *stride, int64_t *out)
{
    int64_t count = 1;
    bool any = false;

    *out = 0;
    for (int d = y->rank - 3; d >= 0; d--) {
        const int at = d - (y->rank - v->rank);
        const int64_t s = at >= 0 && v->dim[at] > 1 ? stride[at] : 0;

        if (y->dim[d] == 1)
            continue;
        if (!any)
            *out = s;
        else if (s != *out * count)
            return false;
        any = true;
        count *= y->dim[d];
    }
    return true;
}

static struct hot *recognise_batched(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *y = n->out[0];
    struct hot *h = hot_new(b, STEP_MATMUL, n);
    struct matmul *m = &h->matmul;
    const int ra = n->in[0]->rank, rb = n->in[1]->rank;
    struct strided a = hot_look_behind(b, n->in[0], HOT_MAX_HOPS);
    struct strided w = hot_look_behind(b, n->in[1], HOT_MAX_HOPS);

    if (!one_batch_stride(y, n->in[0], a.stride, &m->a_batch))
        a = hot_look_behind(b, n->in[0], 0);
    if (!one_batch_stride(y, n->in[1], w.stride, &m->b_batch))
        w = hot_look_behind(b, n->in[1], 0);
    if (!one_batch_stride(y, n->in[0], a.stride, &m->a_batch)
        || !one_batch_stride(y, n->in[1], w.stride, &m->b_batch))
        return NULL;
    m->m = y->dim[y->rank - 2];
    m->n = y->dim[y->rank - 1];
    m->k = n->in[0]->dim[ra - 1];
    m->batch = ir_count(y) / (m->m * m->n);
    m->a_row = a.stride[ra - 2];
    m->a_col = a.stride[ra - 1];
    m->b_row = w.stride[rb - 2];
    m->b_col = w.stride[rb - 1];
    m->c_row = m->n;
    m->c_batch = m->m * m->n;
    m->alpha = 1.0f;
    h->in = a.base;
    h->in_offset = a.offset * (int64_t)sizeof(float);
    h->weights = w.base;
    h->weights_offset = w.offset * (int64_t)sizeof(float);
    hot_cover(b, &a);
    hot_cover(b, &w);
    return h;
}

struct hot *hot_recognise_matmul(struct builder *b, const struct ir_node *n)
{
    const struct ir_value *x = n->in[0], *w = n->in[1];
    struct ir_value *learned = hot_learned(n);

    if (x->dtype != DT_f32 || x->dynamic || w->dynamic || x->rank < 1 || w->rank < 2
        || ir_count(n->out[0]) == 0 || ir_count(x) == 0)
        return NULL;
    if (learned && w->rank == 2) {
        struct hot *h = hot_new(b, STEP_CONV, n);
        const int64_t k = w->dim[0];

        hot_fill_rows(&h->conv, ir_count(x) / k, k, w->dim[1]);
        h->conv.half_weights = hot_stores_halves(b, learned);
        h->weights = learned;
        h->weights_transposed = true;
        return h;
    }
    return x->rank < 2 ? NULL : recognise_batched(b, n);
}
