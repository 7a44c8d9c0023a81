/* SPDX-License-Identifier: Apache-2.0 */
/* See relax.h. */
#include "compress/relax.h"

#include <math.h>

#include "compress/unit_losses.h"

enum { MOST_SCORED = 64, ROUNDS = 4, HOLD = 4 };

static const double KL_LIMIT = 0.005, SHARE_LIMIT = 0.001; /* of the outputs */
static const double MOST_FLOATS = 0.05;                    /* of the multiply-adds */

/* What pairs may take of the time that codes save, which is two thirds of that of the
 * float32 products: with a pair a third of a unit's comes twice, and making codes and
 * adding sums takes that of PASS products for each number read and written.
 *
 * FastestDet with pairs in 41 of 70 units, which read and write 5 % of their products:
 * 1.87 ms, 0.90 without and 1.75 in float32.  Silero VAD, 0.7 %: 7.7, 5.0, 10.9 us. */
static const double SPENT = 0.85, SAVED = 2.0 / 3.0, AGAIN = 1.0 / 3.0, PASS = 28.0;

struct relaxing {
    struct compile *c;
    struct ir_graph *g;
    struct quantize_options some; /* with the samples that calibrate meanwhile */
    const struct quantize_options *all;
    bool holds_out;
    enum relax_to to;
    struct plan *plan;
    const struct unit *units;
    int n_units;
    int64_t n_scored;
    int64_t *kept, *scored; /* some.sample; sample numbers */
    double limit;
    double raised_share;
    double spare; /* products' time that is left for pairs */
};

/* Of the units that are raised together: those that read one tensor's codes. */
struct worth {
    double loss, share; /* of the multiply-adds */
    double cost;        /* of pairs, in products */
};

/* What samples have shown. */
struct seen {
    int64_t n;
    double sum, squares; /* of their losses */
};

/* Many samples: some of them, evenly, are scored.  Few, which are easily learnt by
 * heart: every HOLD-th from `turn` on is scored and the others calibrate, until all is
 * decided. */
static void choose_scored(struct relaxing *r, int turn)
{
    const int64_t n = r->all->n_samples;

    r->n_scored = r->some.n_samples = 0;
    for (int64_t i = 0; i < n; i++) {
        const bool scored = r->holds_out
                                ? i % HOLD == HOLD - 1 - turn
                                : n <= MOST_SCORED || i * MOST_SCORED % n < MOST_SCORED;

        if (scored)
            r->scored[r->n_scored++] = r->all->sample[i];
        if (!scored || !r->holds_out)
            r->kept[r->some.n_samples++] = r->all->sample[i];
    }
}

static double mean_loss(const struct seen *seen)
{
    return seen->sum / (double)seen->n;
}

/* Above the mean over samples with a chance of 2.5 %. */
static double safe_loss(const struct seen *seen)
{
    const double n = (double)seen->n, mean = mean_loss(seen);
    const double variance = fmax(0.0, seen->squares / n - mean * mean);

    return mean + (n > 1.0 ? 1.96 * sqrt(variance / (n - 1.0)) : 0.0);
}

static void look_at(const struct relaxing *r, const struct flow *original,
                    const struct flow *changed, struct seen *seen)
{
    for (int64_t i = 0; i < r->n_scored; i++) {
        const double loss = output_loss_at(r->some.data, r->g, original, changed, i);

        seen->n++;
        seen->sum += loss;
        seen->squares += loss * loss;
    }
}

static struct status *score(const struct relaxing *r, const struct quantization *q,
                            struct seen *seen)
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
        look_at(r, original, changed, seen);
    flow_destroy(changed);
    flow_destroy(original);
    return s;
}

/* Few samples that leave it open whether the loss is too much are held out in turn,
 * until all of them have been; *out is from the first turn. */
static struct status *decide(struct relaxing *r, struct arena *a,
                             struct quantization **out, double *loss)
{
    struct arena *others = arena_create();
    struct status *s = OK;
    struct seen seen = {0};
    bool is_open = true;

    for (int turn = 0; turn < (r->holds_out ? HOLD : 1) && is_open; turn++) {
        struct quantization *q = NULL;

        choose_scored(r, turn);
        s = quantize_decide(r->c, r->g, &r->some, turn ? others : a, &q);
        if (!s)
            s = score(r, q, &seen);
        if (s)
            break;
        if (!turn)
            *out = q;
        *loss = safe_loss(&seen);
        is_open = mean_loss(&seen) <= r->limit && *loss > r->limit;
        arena_reset(others);
    }
    arena_destroy(others);
    return s;
}

/* ---- which units ----------------------------------------------------------------- */

static bool is_raised(const struct relaxing *r, int i)
{
    const struct plan_unit *u = &r->plan->units[i];

    return u->weight_bits != 8 || u->calibrator == CALIBRATOR_pair;
}

static bool go_together(const struct relaxing *r, const struct quantization *q, int i,
                        int j)
{
    return i == j
           || (r->to == RELAX_TO_PAIRS && q->units[i].has_codes && q->units[j].has_codes
               && q->units[i].group == q->units[j].group);
}

static double cost_of_pair(const struct unit *u)
{
    return AGAIN * (double)u->macs + PASS * (double)(u->in_elements + u->out_elements);
}

static void weigh(const struct relaxing *r, const struct quantization *q,
                  const double *loss, struct worth *worth)
{
    double macs = 0.0;

    for (int i = 0; i < r->n_units; i++)
        macs += (double)r->units[i].macs;
    for (int i = 0; i < r->n_units; i++)
        for (int j = 0; j < r->n_units; j++)
            if (go_together(r, q, i, j)) {
                worth[i].loss += isfinite(loss[j]) ? loss[j] : 0.0;
                worth[i].share += (double)r->units[j].macs / macs;
                worth[i].cost += cost_of_pair(&r->units[j]);
            }
}

static bool is_alone_too_much(const struct relaxing *r, const struct worth *w)
{
    return w->loss > r->limit;
}

static bool may_rise(const struct relaxing *r, const struct worth *w, int i)
{
    if (is_raised(r, i) || !(w[i].loss > 0.0))
        return false;
    if (r->to == RELAX_TO_PAIRS)
        return w[i].cost <= r->spare;
    return is_alone_too_much(r, &w[i]) || r->raised_share + w[i].share <= MOST_FLOATS;
}

/* The most loss for its share of the model; what alone is too much comes first. */
static int next_unit(const struct relaxing *r, const struct worth *w)
{
    int best = -1;
    double most = 0.0;

    for (int i = 0; i < r->n_units; i++) {
        const double worth =
            is_alone_too_much(r, &w[i]) ? INFINITY : w[i].loss / w[i].share;

        if (may_rise(r, w, i) && worth > most) {
            most = worth;
            best = i;
        }
    }
    return best;
}

static void raise(struct plan_unit *u, enum relax_to to)
{
    if (to == RELAX_TO_PAIRS) {
        u->calibrator = CALIBRATOR_pair;
        return;
    }
    u->weight_bits = u->activation_bits = 32;
    u->calibrator = CALIBRATOR_none;
}

static int raise_with(struct relaxing *r, const struct quantization *q,
                      const struct worth *w, int unit)
{
    int n = 0;

    if (!is_alone_too_much(r, &w[unit]))
        r->raised_share += w[unit].share;
    if (r->to == RELAX_TO_PAIRS)
        r->spare -= w[unit].cost;
    for (int i = 0; i < r->n_units; i++)
        if (go_together(r, q, unit, i)) {
            raise(&r->plan->units[i], r->to);
            n++;
        }
    return n;
}

/* Losses add up, roughly: by their sum, what `have` leaves too much goes. */
static int raise_units(struct relaxing *r, const struct quantization *q,
                       const double *loss, double have, struct arena *a)
{
    struct worth *w = arena_new_array(a, struct worth, r->n_units);
    double sum = 0.0;
    int n = 0;

    weigh(r, q, loss, w);
    for (int i = 0; i < r->n_units; i++)
        sum += !is_raised(r, i) && isfinite(loss[i]) ? loss[i] : 0.0;

    double over = sum * (1.0 - r->limit / have);

    for (int i; over > 0.0 && (i = next_unit(r, w)) >= 0;) {
        over -= w[i].loss;
        n += raise_with(r, q, w, i);
    }
    return n;
}

static void tell(int unit, int n_units, void *arg)
{
    const struct quantize_options *o = arg;

    if (o->progress)
        o->progress("measuring what each unit loses", unit, n_units, o->progress_arg);
}

static struct status *measure(struct relaxing *r, struct arena *a, double **loss)
{
    const struct unit_losses_options o = {
        .data = r->some.data,
        .n_calibration = r->some.n_samples,
        .calibration = r->some.sample,
        .n_scored = r->n_scored,
        .scored = r->scored,
        .n_levels = 1,
        .weight_bits = &(const int){8},
        .progress = tell,
        .arg = &r->some,
    };

    return unit_losses_measure(r->c, r->g, &o, a, loss);
}

static double limit_of(const struct relaxing *r)
{
    const bool scores = r->some.data->task == DATASET_CLASSIFY
                        || r->some.data->task == DATASET_LANGUAGE;

    return scores && ir_count(r->g->out[0]) > 1 ? KL_LIMIT : SHARE_LIMIT;
}

static struct status *relax(struct relaxing *r, struct arena *a,
                            struct quantization **out, struct relax_result *result)
{
    double *loss = NULL;

    for (int round = 0;; round++) {
        RETURN_IF_FAIL(decide(r, a, out, &result->loss));
        if (result->loss <= r->limit || round == ROUNDS)
            return OK;
        if (!loss)
            RETURN_IF_FAIL(measure(r, a, &loss));

        const int n = raise_units(r, *out, loss, result->loss, a);

        if (!n)
            return OK;
        result->n_raised += n;
    }
}

struct status *relax_decide(struct compile *c, struct ir_graph *g,
                            const struct quantize_options *o, enum relax_to to,
                            struct plan *plan, struct arena *a,
                            struct quantization **out, struct relax_result *result)
{
    struct quantize_options mine = *o;
    struct relaxing r = {.c = c, .g = g, .plan = plan, .to = to, .all = o};

    mine.plan = plan;
    r.holds_out = o->n_samples >= HOLD && o->n_samples <= MOST_SCORED;
    r.scored = arena_new_array(a, int64_t, o->n_samples);
    r.kept = arena_new_array(a, int64_t, o->n_samples);
    r.some = mine;
    r.some.sample = r.kept;
    r.units = units_find(g, &r.n_units);
    for (int i = 0; i < r.n_units; i++)
        r.spare += SPENT * SAVED * (double)r.units[i].macs;
    r.limit = limit_of(&r);
    *result = (struct relax_result){0};
    RETURN_IF_FAIL(relax(&r, a, out, result));
    return r.holds_out ? quantize_decide(c, g, &mine, a, out) : OK;
}
