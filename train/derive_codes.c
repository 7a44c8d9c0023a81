/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear and DequantizeLinear behind one another: see codes.h. */
#include <math.h>

#include "train/codes.h"
#include "train/derivatives.h"

enum { X, SCALE, ZERO };

static bool limits_of(const struct ir_value *zero, struct code_limits *out)
{
    switch (zero->dtype) {
    case DT_i8:
        *out = (struct code_limits){*(const int8_t *)zero->data, -128, 127};
        return true;
    case DT_u8:
        *out = (struct code_limits){*(const uint8_t *)zero->data, 0, 255};
        return true;
    default:
        return false;
    }
}

struct status *prepare_Rounding(struct tape *t, struct tape_step *s)
{
    const struct ir_node *n = s->node;
    struct code_limits *l = arena_new(t->a, struct code_limits);
    struct tape_weight *scale;

    if (n->in[X]->dtype != DT_f32 || !limits_of(n->in[ZERO], l))
        return FAIL_AT(n, UNSUPPORTED,
                       "training wants 8-bit codes that QuantizeLinear has made");
    scale = &t->weights[t->slot[n->in[SCALE]->id].weight];
    scale->is_scale = true;
    scale->rate = (real)(1 / sqrt((double)(l->most * (real)ir_count(n->in[X]))));
    s->plan = l;
    return OK;
}

void forward_Rounding(const struct tape_call *c)
{
    const struct code_limits *l = c->step->plan;
    const real scale = *(const real *)c->in[SCALE], *x = c->in[X];
    real *y = c->out[0];

    for (int64_t i = 0; i < c->n * c->in_count[X]; i++)
        y[i] = codes_round(x[i], scale, l).y;
}

void backward_Rounding(const struct tape_call *c)
{
    const struct code_limits *l = c->step->plan;
    const real scale = *(const real *)c->in[SCALE], *x = c->in[X];
    real sum = 0;

    for (int64_t i = 0; i < c->n * c->in_count[X]; i++) {
        const struct coded r = codes_round(x[i], scale, l);
        const real dy = c->d_out[0][i];

        sum += dy * r.by_scale;
        if (c->d_in[X] && r.inside)
            c->d_in[X][i] += dy;
    }
    if (c->d_in[SCALE])
        *c->d_in[SCALE] += sum;
}
