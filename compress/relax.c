/* SPDX-License-Identifier: Apache-2.0 */
/* See relax.h. */
#include "compress/relax.h"

#include <math.h>

#include "compress/unit_losses.h"

enum { MOST_SCORED = 64, ROUNDS = 3, HOLD = 4 };

/* Of the model's outputs, by the least width of weights: nats, or a share of the
 * outputs' power (0.002 is a cosine of 0.999). */
static const double KL_LIMIT_8 = 0.005, KL_LIMIT_4 = 0.05;
static const double SHARE_LIMIT_8 = 0.001, SHARE_LIMIT_4 = 0.01;
static const double MOST_RAISED = 0.05; /* of the model */

struct relaxing {
    struct compile *c;
    struct ir_graph *g;
    struct quantize_options some; /* with the samples that calibrate meanwhile */
    bool holds_out;
    struct plan *plan;
    const struct unit *units;
    int n_units, bits; /* bits: of the units that are not raised */
    int64_t n_scored;
    int64_t *scored;
    double limit;
    double raised_share;
};

static int level_above(int bits)
{
    return bits == 4 ? 8 : 32;
}

static int least_bits(const struct plan *p)
{
    int bits = 32;

    for (int i = 0; i < p->n_units; i++)
        bits = p->units[i].weight_bits < bits ? p->units[i].weight_bits : bits;
    return bits;
}

/* Many samples: some of them, evenly, are scored.  Few, which are easily learnt by
 * heart: every HOLD-th is scored and the others calibrate, until all is decided. */
static void choose_scored(struct relaxing *r, const struct quantize_options *all,
                          struct arena *a)
{
    const int64_t n = all->n_samples;
    int64_t *kept = arena_new_array(a, int64_t, n);

    r->holds_out = n >= HOLD && n <= MOST_SCORED;
    r->scored = arena_new_array(a, int64_t, n);
    r->some = *all;
    r->some.sample = kept;
    r->some.n_samples = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool scored = r->holds_out
                                ? i % HOLD == HOLD - 1
                                : n <= MOST_SCORED || i * MOST_SCORED % n < MOST_SCORED;

        if (scored)
            r->scored[r->n_scored++] = all->sample[i];
        if (!scored || !r->holds_out)
            kept[r->some.n_samples++] = all->sample[i];
    }
}

static struct status *loss_of(const struct relaxing *r, const struct quantization *q,
                              double *loss)
{
    struct flow *original, *changed;
    struct status *s =
        flow_create(r->g, r->some.data, r->n_scored, r->scored, &original);

    RETURN_IF_FAIL(s);
    changed = flow_fork(original);
    s = quantize_run(q, r->g, changed);
    for (const struct ir_node *n = r->g->first; n && !s; n = n->next) {
        s = flow_run(original, n);
        flow_release(original, n);
    }
    if (!s)
        *loss = output_loss(r->some.data, r->g, original, changed);
    flow_destroy(changed);
    flow_destroy(original);
    return s;
}

/* ---- which units ----------------------------------------------------------------- */

static double size_of(const struct relaxing *r, int i)
{
    return r->bits == 4 ? (double)r->units[i].n_weights : (double)r->units[i].macs;
}

static double share_of(const struct relaxing *r, int unit)
{
    double all = 0.0;

    for (int i = 0; i < r->n_units; i++)
        all += size_of(r, i);
    return all > 0.0 ? size_of(r, unit) / all : 0.0;
}

static bool may_rise(const struct relaxing *r, const double *loss, int i)
{
    return r->plan->units[i].weight_bits == r->bits && isfinite(loss[i])
           && loss[i] > 0.0
           && (loss[i] > r->limit || r->raised_share + share_of(r, i) <= MOST_RAISED);
}

/* The most loss for its share of the model; what alone is too much comes first. */
static int next_unit(const struct relaxing *r, const double *loss)
{
    int best = -1;
    double most = 0.0;

    for (int i = 0; i < r->n_units; i++) {
        const double worth = loss[i] > r->limit ? INFINITY : loss[i] / share_of(r, i);

        if (may_rise(r, loss, i) && worth > most) {
            most = worth;
            best = i;
        }
    }
    return best;
}

static void raise(struct relaxing *r, int i, double loss)
{
    struct plan_unit *u = &r->plan->units[i];

    if (loss <= r->limit)
        r->raised_share += share_of(r, i);
    u->weight_bits = level_above(r->bits);
    if (u->weight_bits == 32) {
        u->activation_bits = 32;
        u->calibrator = CALIBRATOR_none;
    }
}

/* Losses add up, roughly: by their sum, what `have` leaves too much goes. */
static int raise_units(struct relaxing *r, const double *loss, double have)
{
    double sum = 0.0, over = 0.0;
    int n = 0;

    for (int i = 0; i < r->n_units; i++)
        sum += r->plan->units[i].weight_bits == r->bits && isfinite(loss[i]) ? loss[i]
                                                                             : 0.0;
    over = sum * (1.0 - r->limit / have);
    for (int i; over > 0.0 && (i = next_unit(r, loss)) >= 0; n++) {
        over -= loss[i];
        raise(r, i, loss[i]);
    }
    return n;
}

static struct status *measure(const struct relaxing *r, struct arena *a, double **loss)
{
    const struct unit_losses_options o = {
        .data = r->some.data,
        .n_calibration = r->some.n_samples,
        .calibration = r->some.sample,
        .n_scored = r->n_scored,
        .scored = r->scored,
        .n_levels = 1,
        .weight_bits = &r->bits,
    };

    return unit_losses_measure(r->c, r->g, &o, a, loss);
}

static double limit_of(const struct relaxing *r)
{
    const bool scores = r->some.data->task == DATASET_CLASSIFY
                        || r->some.data->task == DATASET_LANGUAGE;

    if (scores && ir_count(r->g->out[0]) > 1)
        return r->bits == 4 ? KL_LIMIT_4 : KL_LIMIT_8;
    return r->bits == 4 ? SHARE_LIMIT_4 : SHARE_LIMIT_8;
}

static struct status *relax(struct relaxing *r, struct arena *a,
                            struct quantization **out, struct relax_result *result)
{
    double *loss = NULL;

    for (int round = 0;; round++) {
        RETURN_IF_FAIL(quantize_decide(r->c, r->g, &r->some, a, out));
        RETURN_IF_FAIL(loss_of(r, *out, &result->loss));
        if (r->bits == 32 || result->loss <= r->limit || round == ROUNDS)
            return OK;
        if (!loss)
            RETURN_IF_FAIL(measure(r, a, &loss));
        const int n = raise_units(r, loss, result->loss);

        if (!n)
            return OK;
        result->n_raised += n;
    }
}

struct status *relax_decide(struct compile *c, struct ir_graph *g,
                            const struct quantize_options *o, struct plan *plan,
                            struct arena *a, struct quantization **out,
                            struct relax_result *result)
{
    struct quantize_options mine = *o;
    struct relaxing r = {.c = c, .g = g, .plan = plan};

    mine.plan = plan;
    r.units = units_find(g, &r.n_units);
    r.bits = least_bits(plan);
    choose_scored(&r, &mine, a);
    r.limit = limit_of(&r);
    *result = (struct relax_result){0};
    RETURN_IF_FAIL(relax(&r, a, out, result));
    return r.holds_out ? quantize_decide(c, g, &mine, a, out) : OK;
}
