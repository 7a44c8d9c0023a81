/* SPDX-License-Identifier: Apache-2.0 */
/* Steps as work for the cost model: see step_work.h. */
#include "codegen/step_work.h"

static bool is_product(const struct step *s)
{
    switch (s->node ? s->node->op : OP_Conv) {
    case OP_Gemm:
    case OP_MatMul:
    case OP_QLinearMatMul:
    case OP_MatMulInteger:
        return true;
    default:
        return false;
    }
}

/* Shapes may be hostile: both factors below 2^46, their product may be above 2^63. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;

    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static struct work conv_work(const struct step *s, const struct conv *c,
                             int weight_bits, int activation_bits)
{
    const int64_t channels = c->groups * c->c_out, depth = c->c_in * c->kh * c->kw;
    const int64_t rows = c->n * c->oh * c->ow;

    return (struct work){
        .macs_per_channel = times(rows, depth),
        .channels = channels,
        .weights = channels * depth,
        .in_elements = c->n * c->groups * c->c_in * c->h * c->w
                       + (c->has_residual ? rows * channels : 0),
        .out_elements = rows * channels,
        .weight_bits = weight_bits,
        .activation_bits = activation_bits,
        .rows = rows,
        .kind = is_product(s) ? WORK_PRODUCT
                              : work_kind_of_window(c->groups, c->c_in, c->kh * c->kw,
                                                    c->stride_y > 1 || c->stride_x > 1),
    };
}

static struct work matmul_work(const struct matmul *m)
{
    return (struct work){
        .macs_per_channel = times(m->batch * m->m, m->k),
        .channels = m->n,
        .in_elements = m->batch * (m->m * m->k + m->k * m->n),
        .out_elements = m->batch * m->m * m->n,
        .weight_bits = 32,
        .activation_bits = 32,
        .rows = m->batch * m->m,
        .kind = WORK_PRODUCT,
    };
}

static struct work moving_work(const struct program *p, const struct step *s)
{
    struct work w = {
        .channels = 1, .weight_bits = 8, .activation_bits = 8, .kind = WORK_MOVE};

    for (int i = 0; i < s->n_operands; i++)
        if (s->operands[i].tensor >= 0)
            w.in_elements += p->tensors[s->operands[i].tensor].bytes;
    return w;
}

/* Graphs have at most 2 000 nodes: linear search is fine. */
static const struct unit *unit_of(const struct step *s, int n_units,
                                  const struct unit *units)
{
    for (int i = 0; s->kind == STEP_LIBRARY && i < n_units; i++)
        if (units[i].node == s->node)
            return &units[i];
    return NULL;
}

struct work step_work(const struct program *p, const struct step *s, int n_units,
                      const struct unit *units)
{
    const struct unit *unit = unit_of(s, n_units, units);

    if (unit)
        return unit_work(unit, unit->weight_bits, unit->activation_bits);
    switch (s->kind) {
    case STEP_CONV:
    case STEP_DEPTHWISE:
        return conv_work(s, &s->u.conv.conv, s->u.conv.conv.half_weights ? 16 : 32, 32);
    case STEP_INT_CONV:
    case STEP_INT_DEPTHWISE:
        return conv_work(s, &s->u.int_conv.conv.shape, s->u.int_conv.conv.weight_bits,
                         8);
    case STEP_MATMUL:
        return matmul_work(&s->u.matmul);
    default:
        return moving_work(p, s);
    }
}
