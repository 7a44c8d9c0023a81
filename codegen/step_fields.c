/* SPDX-License-Identifier: Apache-2.0 */
/* An emitted kernel's description as numbers: what its code depends on, nothing else.
 * Two steps with equal numbers share their code, and the structure hash is over them.
 */
#include <string.h>

#include "codegen/int_shape.h"
#include "codegen/program.h"

struct fields {
    int64_t *at;
    int n;
};

static void add(struct fields *f, int64_t value)
{
    f->at[f->n++] = value;
}

static void add_all(struct fields *f, const int64_t *values, int n)
{
    memcpy(f->at + f->n, values, (size_t)n * sizeof *values);
    f->n += n;
}

static void add_act(struct fields *f, enum activation act, float a, float b)
{
    add(f, act);
    add(f, bits_of_f32(a));
    add(f, bits_of_f32(b));
}

/* Strides of an operand that is not there mean nothing. */
static void add_window(struct fields *f, const struct conv *c)
{
    const int64_t numbers[] = {
        c->n,
        c->h,
        c->w,
        c->oh,
        c->ow,
        c->groups,
        c->c_in,
        c->c_out,
        c->kh,
        c->kw,
        c->stride_y,
        c->stride_x,
        c->dilation_y,
        c->dilation_x,
        c->pad_top,
        c->pad_left,
        c->in_n,
        c->in_c,
        c->in_y,
        c->in_x,
        c->out_n,
        c->out_y,
        c->out_x,
        c->has_residual ? c->res_n : 0,
        c->has_residual ? c->res_y : 0,
        c->has_residual ? c->res_x : 0,
        c->half_weights,
        c->has_bias,
        c->has_residual,
        c->act_before,
    };

    add_all(f, numbers, (int)(sizeof numbers / sizeof numbers[0]));
    add_act(f, c->act, c->act_a, c->act_b);
}

static void add_matmul(struct fields *f, const struct matmul *m)
{
    const int64_t numbers[] = {
        m->batch,   m->m,     m->n,     m->k,       m->a_batch, m->a_row,    m->a_col,
        m->b_batch, m->b_row, m->b_col, m->c_batch, m->c_row,   m->has_bias,
    };

    add_all(f, numbers, (int)(sizeof numbers / sizeof numbers[0]));
    add(f, bits_of_f32(m->alpha));
    add_act(f, m->act, m->act_a, m->act_b);
}

static void add_int_conv(struct fields *f, const struct int_conv *c)
{
    const int64_t numbers[] = {c->in_signed,    c->out_signed, c->residual_signed,
                               c->weight_zeros, c->even_bias,  c->weight_bits,
                               c->result,       c->has_after,  c->has_slopes};

    add_window(f, &c->shape);
    add_all(f, numbers, (int)(sizeof numbers / sizeof numbers[0]));
}

static void add_int_elements(struct fields *f, const struct int_elements *c)
{
    const int64_t numbers[] = {
        c->op,    c->n,        c->rows,     c->columns,    c->a_n,
        c->a_row, c->b_n,      c->b_row,    c->out_n,      c->out_row,
        c->b_one, c->a_signed, c->b_signed, c->out_signed,
    };

    add_all(f, numbers, (int)(sizeof numbers / sizeof numbers[0]));
}

int step_fields(const struct step *s, const struct isa *isa,
                int64_t out[STEP_MAX_FIELDS])
{
    struct fields f = {.at = out};
    const struct int_pool *p = &s->u.int_pool;

    switch (s->kind) {
    case STEP_CONV:
    case STEP_DEPTHWISE:
    case STEP_POOL:
        add_window(&f, &s->u.conv.conv);
        add(&f, s->u.conv.pool_max);
        add(&f, s->u.conv.count_pad);
        conv_tiling_fields(&s->u.conv.tiling, out + f.n);
        f.n += CONV_TILING_FIELDS;
        break;
    case STEP_MATMUL:
        add_matmul(&f, &s->u.matmul);
        break;
    case STEP_INT_CONV:
        add_int_conv(&f, &s->u.int_conv.conv);
        int_tiling_fields(&s->u.int_conv.tiling, out + f.n);
        f.n += INT_TILING_FIELDS;
        break;
    case STEP_INT_DEPTHWISE:
        add_int_conv(&f, &s->u.int_conv.conv);
        int_depthwise_fields(&s->u.int_conv.conv, isa, out + f.n);
        f.n += INT_DEPTHWISE_FIELDS;
        break;
    case STEP_INT_POOL:
        add_window(&f, &p->shape);
        add_all(&f,
                (const int64_t[]){p->max, p->in_signed, p->out_signed, p->count_pad,
                                  p->pad_bottom, p->pad_right},
                6);
        break;
    case STEP_INT_ELEMENTS:
        add_int_elements(&f, &s->u.int_elements);
        break;
    default:
        break;
    }
    return f.n;
}
