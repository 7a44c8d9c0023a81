/* SPDX-License-Identifier: Apache-2.0 */
/* QuantizeLinear and DequantizeLinear behind one another, with slopes that stand for
 * those of rounding, which are zero almost everywhere.
 *
 *     q = clip(round(x / s) + z, least, most)      y = s (q - z)
 *     dx = dy                     inside the limits, 0 outside
 *     ds = dy (q - z - x / s)     inside, dy (q - z) outside
 *
 * Straight through (Bengio, Leonard and Courville 2013, arXiv:1308.3432), steps learned
 * (LSQ: Esser et al. 2020, arXiv:1902.08153, equations 3 and 5).  Rounding is to the
 * nearest, ties to even, as in docs/numerics.md.
 */
#include <math.h>

#include "train/derivatives.h"
#include "train/tiles.h"

enum { X, SCALE, ZERO };

struct code_limits {
    real zero, least, most;
};

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
    struct tiles_codes *plan = arena_new(t->a, struct tiles_codes);
    struct code_limits l;
    struct tape_weight *scale;

    if (n->in[X]->dtype != DT_f32 || !limits_of(n->in[ZERO], &l))
        return FAIL_AT(n, UNSUPPORTED,
                       "training wants 8-bit codes that QuantizeLinear has made");
    scale = &t->weights[t->slot[n->in[SCALE]->id].weight];
    scale->is_scale = true;
    scale->rate = (real)(1 / sqrt((double)(l.most * (real)ir_count(n->in[X]))));
    *plan = (struct tiles_codes){.least = l.least - l.zero, .most = l.most - l.zero};
    s->plan = plan;
    return OK;
}

static struct tiles_codes codes_of(const struct tape_call *c)
{
    struct tiles_codes codes = *(const struct tiles_codes *)c->step->plan;

    codes.scale = *(const real *)c->in[SCALE];
    return codes;
}

void forward_Rounding(const struct tape_call *c)
{
    const struct tiles_codes codes = codes_of(c);

    tiles_here()->round(c->n * c->in_count[X], &codes, c->in[X], c->out[0]);
}

void backward_Rounding(const struct tape_call *c)
{
    const struct tiles_codes codes = codes_of(c);
    const real sum = tiles_here()->round_back(c->n * c->in_count[X], &codes, c->in[X],
                                              c->d_out[0], !c->fresh[X], c->d_in[X]);

    if (c->d_in[SCALE])
        *c->d_in[SCALE] += sum;
}
