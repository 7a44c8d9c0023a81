/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_losses.h. */
#include "compress/unit_losses.h"

#include <math.h>
#include <string.h>

#include "compress/metrics.h"
#include "compress/quantize_parts.h"

/* ---- the loss of outputs --------------------------------------------------------- */

static int64_t row_of(const struct dataset *d, const struct ir_value *v)
{
    if (d->task == DATASET_CLASSIFY)
        return ir_count(v);
    return d->task == DATASET_LANGUAGE && v->rank ? v->dim[v->rank - 1] : 0;
}

static double divergence(const struct ir_value *v, int64_t row, const float *a,
                         const float *b)
{
    const int64_t rows = ir_count(v) / row;
    const enum metrics_scale scale =
        metrics_scale_of(a, rows, row) == METRICS_PROBABILITIES ? METRICS_PROBABILITIES
                                                                : METRICS_LOGITS;
    double sum = 0.0;

    for (int64_t r = 0; r < rows; r++)
        sum += metrics_kl(a + r * row, b + r * row, row, scale);
    return sum / (double)rows;
}

/* At most as if the output were zero. */
static double error_share(const float *a, const float *b, int64_t n)
{
    double error = 0.0, power = 0.0;

    for (int64_t k = 0; k < n; k++) {
        const double d = (double)b[k] - (double)a[k];

        error += d * d;
        power += (double)a[k] * (double)a[k];
    }
    return error >= power ? error > 0.0 : error / power;
}

static double mean_share(const struct ir_graph *g, const struct flow *original,
                         const struct flow *changed, int64_t i)
{
    double sum = 0.0;
    int n = 0;

    for (int k = 0; k < g->n_out; k++) {
        const struct ir_value *v = g->out[k];

        if (v->dtype != DT_f32 || v->dynamic)
            continue;
        sum +=
            error_share(flow_at(original, v, i), flow_at(changed, v, i), ir_count(v));
        n++;
    }
    return n ? sum / n : 0.0;
}

double output_loss_at(const struct dataset *d, const struct ir_graph *g,
                      const struct flow *original, const struct flow *changed,
                      int64_t i)
{
    const struct ir_value *v = g->out[0];
    const int64_t row = row_of(d, v);

    return row >= 2 && v->dtype == DT_f32
               ? divergence(v, row, flow_at(original, v, i), flow_at(changed, v, i))
               : mean_share(g, original, changed, i);
}

double output_loss_from(const struct dataset *d, const struct ir_graph *g,
                        const struct flow *original, const struct flow *changed,
                        int64_t first)
{
    const int64_t n = flow_n(original);
    double sum = 0.0;

    for (int64_t i = first; i < n; i++)
        sum += output_loss_at(d, g, original, changed, i);
    return sum / (double)(n - first);
}

double output_loss(const struct dataset *d, const struct ir_graph *g,
                   const struct flow *original, const struct flow *changed)
{
    return output_loss_from(d, g, original, changed, 0);
}

/* ---- one unit at a time -----------------------------------------------------------
 */

struct losses {
    struct compile *c;
    struct ir_graph *g;
    const struct unit_losses_options *o;
    struct quantization **at; /* [n_levels]: every unit for itself; NULL for 32 bits */
    const struct unit *units;
    int n_units;
    struct flow *original; /* run to its end */
    double *loss;
};

static struct status *round_all(struct losses *l, int weight_bits, struct arena *a,
                                struct quantization **out)
{
    struct plan *plan = plan_float(l->g, "");
    const struct quantize_options o = {
        .plan = plan,
        .each_alone = true,
        .data = l->o->data,
        .n_samples = l->o->n_calibration,
        .sample = l->o->calibration,
    };

    for (int i = 0; i < plan->n_units; i++) {
        plan->units[i].weight_bits = weight_bits;
        plan->units[i].activation_bits = 8;
    }
    return quantize_decide(l->c, l->g, &o, a, out);
}

/* The unit of codes on `f`, then all nodes behind it. */
static struct status *score(struct losses *l, const struct quantization *q,
                            const struct ir_node *n, int unit, const struct flow *f,
                            double *loss)
{
    struct flow *fork = flow_fork(f);
    struct status *s = OK;

    quantize_run_alone(q, n, unit, fork);
    for (const struct ir_node *m = n->next; m && !s; m = m->next) {
        s = flow_run(fork, m);
        flow_release(fork, m);
    }
    if (!s)
        *loss = output_loss(l->o->data, l->g, l->original, fork);
    flow_destroy(fork);
    return s;
}

static struct status *score_unit(struct losses *l, const struct ir_node *n, int unit,
                                 const struct flow *f)
{
    if (l->o->progress)
        l->o->progress(unit, l->n_units, l->o->arg);
    for (int k = 0; k < l->o->n_levels; k++) {
        const struct quantization *q = l->at[k];

        if (q && q->units[unit].has_codes)
            RETURN_IF_FAIL(
                score(l, q, n, unit, f, &l->loss[unit * l->o->n_levels + k]));
    }
    return OK;
}

static struct status *score_all(struct losses *l, struct flow *f)
{
    for (const struct ir_node *n = l->g->first; n; n = n->next) {
        for (int i = 0; i < l->n_units; i++)
            if (l->units[i].node == n)
                RETURN_IF_FAIL(score_unit(l, n, i, f));
        RETURN_IF_FAIL(flow_run(f, n));
        flow_release(f, n);
    }
    return OK;
}

static struct status *run_original(struct losses *l)
{
    const struct unit_losses_options *o = l->o;

    RETURN_IF_FAIL(flow_create(l->g, o->data, o->n_scored, o->scored, &l->original));
    for (const struct ir_node *n = l->g->first; n; n = n->next) {
        RETURN_IF_FAIL(flow_run(l->original, n));
        flow_release(l->original, n);
    }
    return OK;
}

static struct status *measure(struct losses *l, struct arena *scratch)
{
    const struct unit_losses_options *o = l->o;
    struct flow *f = NULL;

    l->at = arena_new_array(scratch, struct quantization *, o->n_levels);
    for (int k = 0; k < o->n_levels; k++) {
        if (o->weight_bits[k] < 32)
            RETURN_IF_FAIL(round_all(l, o->weight_bits[k], scratch, &l->at[k]));
        for (int i = 0; i < l->n_units; i++)
            l->loss[i * o->n_levels + k] = o->weight_bits[k] < 32 ? INFINITY : 0.0;
    }
    RETURN_IF_FAIL(run_original(l));

    struct status *s = flow_create(l->g, o->data, o->n_scored, o->scored, &f);

    if (!s)
        s = score_all(l, f);
    flow_destroy(f);
    return s;
}

struct status *unit_losses_measure(struct compile *c, struct ir_graph *g,
                                   const struct unit_losses_options *o, struct arena *a,
                                   double **loss)
{
    struct losses l = {.c = c, .g = g, .o = o};
    struct arena *scratch = arena_create();

    l.units = units_find(g, &l.n_units);
    l.loss = *loss = arena_new_array(a, double, l.n_units * o->n_levels);

    struct status *s = measure(&l, scratch);

    flow_destroy(l.original);
    arena_destroy(scratch);
    return status_note(s, "while measuring what each unit loses");
}
