/* SPDX-License-Identifier: Apache-2.0 */
/* Operands behind a Transpose or Slice, read where they lie. */
#include <string.h>

#include "codegen/hot.h"

static void dense_strides(const struct ir_value *v, int64_t *stride)
{
    int64_t n = 1;

    for (int i = v->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= v->dim[i];
    }
}

/* A node of this graph whose result is computed anyway is better read than redone;
 * with keep_all the kernel reads what it would read without, so that both give the
 * same bytes. */
static bool can_look_behind(struct builder *b, const struct ir_value *v)
{
    const struct ir_node *n = v->def;

    return n && v->n_uses == 1 && (n->op == OP_Transpose || n->op == OP_Slice)
           && !n->in[0]->data && !n->in[0]->dynamic && build_plan_of(b, n);
}

/* Strides of in[0] of a Transpose or Slice -> strides of its result. */
static void step_through(const struct ir_node *n, struct strided *s)
{
    int count;
    int64_t from[IR_MAX_RANK];
    const int64_t *perm = ir_attr_ints(n, "perm", &count);
    const int64_t *start = ir_attr_ints(n, "starts", &count);
    const int64_t *step = ir_attr_ints(n, "steps", &count);

    memcpy(from, s->stride, sizeof from);
    for (int i = 0; i < n->out[0]->rank; i++)
        if (n->op == OP_Transpose) {
            s->stride[i] = from[perm[i]];
        } else {
            s->stride[i] = from[i] * step[i];
            s->offset += from[i] * start[i];
        }
    s->transposed |= n->op == OP_Transpose;
}

struct strided hot_look_behind(struct builder *b, struct ir_value *v, int max_hops)
{
    struct strided s = {.base = v};

    while (s.n_hops < max_hops && s.n_hops < HOT_MAX_HOPS
           && can_look_behind(b, s.base)) {
        s.hop[s.n_hops++] = s.base->def;
        s.base = s.base->def->in[0];
    }
    dense_strides(s.base, s.stride);
    for (int i = s.n_hops - 1; i >= 0; i--)
        step_through(s.hop[i], &s);
    return s;
}

/* With keep_all what a kernel looks behind is computed as well. */
void hot_cover(struct builder *b, const struct strided *s)
{
    for (int i = 0; !b->keep_all && i < s->n_hops; i++)
        build_plan_of(b, s->hop[i])->role = NODE_COVERED;
}
