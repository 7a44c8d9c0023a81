/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and biases of the units: see quantize.h.
 *
 * The float graph and the quantized one run side by side, node by node.  A unit's
 * weights are first fitted to give the float graph's result from the quantized graph's
 * input (moments.h), then rounded so that this result changes least (round_weights.h),
 * then its bias takes up what is left of the mean.
 */
#include <math.h>
#include <string.h>

#include "compress/quantize_parts.h"
#include "compress/round_weights.h"
#include "compress/unit_fit.h"

struct fitting {
    struct quantizer *q;
    struct flow *reals, *codes;
};

static void quantize_tensor(struct fitting *f, const struct ir_value *v)
{
    const struct quantized_tensor *t = v ? &f->q->q->tensors[v->id] : NULL;

    if (!t || !t->is_source)
        return;
    flow_own(f->codes, v);
    for (int64_t i = 0; i < flow_n(f->codes); i++)
        activation_round(&t->grid, flow_at(f->codes, v, i), ir_count(v));
}

/* So that the bias has a code below 2^30 (docs/numerics.md). */
static float *least_scales(struct arena *a, const struct product *p, const float *bias,
                           float x_scale)
{
    float *least = arena_new_array(a, float, p->channels);

    for (int64_t c = 0; c < p->channels; c++)
        least[c] = (float)(2.0 * fabs((double)bias[c]) / ((double)x_scale * 0x1p30));
    return least;
}

struct rounded {
    int8_t *codes; /* [channels][k] */
    float *scale;  /* [channels] */
};

static struct status *round_groups(struct arena *a, const struct product *p,
                                   const struct moments *m, const float *weights,
                                   const float *least_scale, int bits, bool keep_zeros,
                                   struct rounded *out)
{
    const int64_t rows = p->channels / p->groups, per_group = rows * p->k;

    out->codes = arena_new_array(a, int8_t, p->channels * p->k);
    out->scale = arena_new_array(a, float, p->channels);
    for (int64_t g = 0; g < p->groups; g++) {
        struct arena *scratch = arena_create();
        const struct rounding_task t = {
            .rows = rows,
            .k = p->k,
            .weights = weights + g * per_group,
            .hessian = m->shrunk + g * p->k * p->k,
            .least_scale = least_scale + g * rows,
            .bits = bits,
            .keep_zeros = keep_zeros,
        };
        struct rounding r;
        struct status *s = round_weights(scratch, &t, &r);

        if (!s) {
            memcpy(out->codes + g * per_group, r.codes, (size_t)per_group);
            memcpy(out->scale + g * rows, r.scale, (size_t)rows * sizeof *r.scale);
        }
        arena_destroy(scratch);
        RETURN_IF_FAIL(s);
    }
    return OK;
}

/* The unit's record from what was rounded; `real` becomes the weights of the codes. */
static void store(struct fitting *f, const struct product *p, const struct moments *m,
                  const struct rounded *r, struct quantized_unit *u, float *real,
                  float *bias)
{
    struct arena *a = f->q->arena;
    int8_t *codes = arena_new_array(a, int8_t, p->channels * p->k);
    double variance = 0.0;

    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < p->k; i++) {
            codes[product_place(p, c, i)] = r->codes[c * p->k + i];
            real[c * p->k + i] = r->scale[c] * (float)r->codes[c * p->k + i];
        }
    for (int64_t c = 0; c < p->channels; c++)
        variance += m->var_y[c];
    if (m->has_bias)
        moments_biases(m, real, bias);
    u->n_codes = p->channels * p->k;
    u->n_channels = p->channels;
    u->codes = codes;
    u->scale = arena_copy(a, r->scale, (size_t)p->channels * sizeof *r->scale);
    u->bias =
        m->has_bias ? arena_copy(a, bias, (size_t)p->channels * sizeof *bias) : NULL;
    u->error = variance > 0.0 ? moments_error(m, real) / variance : 0.0;
}

static struct status *fit(struct fitting *f, const struct product *p,
                          struct quantized_unit *u, struct arena *a)
{
    const bool keep_zeros = f->q->o->keep_zeros;
    struct unit_fit unit = unit_fit_begin(a, p, f->reals, f->codes);
    struct rounded rounded;

    if (keep_zeros)
        moments_fit_nonzero(unit.sums, unit.weights, unit.fitted);
    else
        moments_fit(unit.sums, unit.weights, unit.fitted);
    RETURN_IF_FAIL(round_groups(
        a, p, moments_all(unit.sums), unit.fitted,
        least_scales(a, p, unit.bias,
                     activation_step(quantize_input_grid(f->q->q, p->node))),
        u->weight_bits, keep_zeros, &rounded));
    store(f, p, moments_all(unit.sums), &rounded, u, unit.fitted, unit.bias);
    unit_fit_run(&unit, f->codes);
    return OK;
}

static struct status *run_unit(struct fitting *f, const struct product *p,
                               struct quantized_unit *u)
{
    struct arena *a = arena_create();
    struct status *s = fit(f, p, u, a);

    arena_destroy(a);
    return status_note(s, "while rounding the weights of %s", ir_node_label(p->node));
}

/* On what the float graph reads, as codes: `codes` is a fork that ends with the unit.
 */
static struct status *run_unit_alone(struct fitting *f, const struct product *p,
                                     struct quantized_unit *u)
{
    const struct ir_value *x = p->node->in[0];
    struct fitting alone = {.q = f->q, .reals = f->reals, .codes = flow_fork(f->reals)};

    flow_own(alone.codes, x);
    for (int64_t i = 0; i < flow_n(alone.codes); i++)
        activation_round(quantize_input_grid(f->q->q, p->node),
                         flow_at(alone.codes, x, i), ir_count(x));

    struct status *s = run_unit(&alone, p, u);

    flow_destroy(alone.codes);
    return s;
}

static struct status *run_node_alone(struct fitting *f, const struct ir_node *n,
                                     int unit)
{
    struct product p;

    RETURN_IF_FAIL(flow_run(f->reals, n));
    if (unit >= 0 && product_of(n, &p))
        RETURN_IF_FAIL(run_unit_alone(f, &p, &f->q->q->units[unit]));
    flow_release(f->reals, n);
    return OK;
}

static struct status *run_node(struct fitting *f, const struct ir_node *n, int unit)
{
    struct product p;

    RETURN_IF_FAIL(flow_run(f->reals, n));
    if (unit >= 0 && product_of(n, &p))
        RETURN_IF_FAIL(run_unit(f, &p, &f->q->q->units[unit]));
    else
        RETURN_IF_FAIL(flow_run(f->codes, n));
    for (int i = 0; i < n->n_out; i++)
        quantize_tensor(f, n->out[i]);
    flow_release(f->codes, n);
    flow_release(f->reals, n);
    return OK;
}

struct status *quantize_fit_units(struct quantizer *q)
{
    struct fitting f = {.q = q};
    struct status *s =
        flow_create(q->g, q->o->data, q->q->n_samples, q->o->sample, &f.reals);
    int i = 0;

    if (!s && !q->o->each_alone) {
        f.codes = flow_fork(f.reals);
        for (int k = 0; k < q->g->n_in; k++)
            quantize_tensor(&f, q->g->in[k]);
    }
    for (const struct ir_node *n = q->g->first; n && !s; n = n->next, i++) {
        quantize_tell(q, "rounding weights", i);
        s = q->o->each_alone ? run_node_alone(&f, n, q->unit_of[i])
                             : run_node(&f, n, q->unit_of[i]);
    }
    flow_destroy(f.codes);
    flow_destroy(f.reals);
    return s;
}
