/* SPDX-License-Identifier: Apache-2.0 */
/* --max-drop, --max-ms, --max-bytes: bits for every unit (docs/search.md).  Losses are
 * measured on validation samples, costs are modelled for the target; plans that the
 * programme proposes are compiled for this machine and measured. */
#include <math.h>
#include <string.h>

#include "cli/progress.h"
#include "cli/quantized_job.h"
#include "compress/unit_losses.h"
#include "search/bits_search.h"

enum { MOST_SCORED = 128 }; /* of the validation samples, for the table */

enum { FLOAT, EIGHT_BITS, FOUR_BITS, N_LEVELS };

static const int level_bits[N_LEVELS] = {32, 8, 4};

/* ---- the table ------------------------------------------------------------------- */

/* With costs, without losses. */
static struct sensitivity *make_table(const struct quantized *q,
                                      const struct device *device)
{
    struct sensitivity *s = sensitivity_create(q->a, q->n_units, N_LEVELS);

    memcpy(s->model_sha256, q->c->model_sha256, sizeof s->model_sha256);
    s->target = q->co->target;
    s->seed = (int64_t)q->splits.seed;
    for (int l = 0; l < N_LEVELS; l++)
        s->levels[l] =
            (struct sensitivity_level){level_bits[l], level_bits[l] < 32 ? 8 : 32};
    sensitivity_model_costs(s, device, q->units);
    return s;
}

static struct status *measure_losses(struct quantized *q, struct sensitivity *s)
{
    struct quantized_clock clock = quantized_clock(q, "measuring unit");
    const int64_t n = q->splits.use[SPLITS_VALIDATION].n;
    const struct unit_losses_options o = {
        .data = q->data,
        .n_calibration = q->splits.use[SPLITS_CALIBRATION].n,
        .calibration = q->splits.use[SPLITS_CALIBRATION].at,
        .n_scored = n < MOST_SCORED ? n : MOST_SCORED,
        .scored = q->splits.use[SPLITS_VALIDATION].at,
        .n_levels = N_LEVELS,
        .weight_bits = level_bits,
        .progress = quantized_show,
        .arg = &clock,
    };

    s->samples = o.n_scored;
    return unit_losses_measure(q->c, q->g, &o, q->a, &s->kl);
}

/* ---- measured plans ----------------------------------------------------------------
 */

struct trial {
    struct quantized *q;
    struct outputs original; /* of the validation samples */
    int n;
    const int *levels; /* of the plan that was measured last */
};

static struct status *measure_plan(struct bits_point *p, void *arg)
{
    struct trial *t = arg;
    struct quantized *q = t->q;
    const struct quantize_options o = {
        .plan = q->plan,
        .data = q->data,
        .n_samples = q->splits.use[SPLITS_CALIBRATION].n,
        .sample = q->splits.use[SPLITS_CALIBRATION].at,
    };
    struct outputs compressed;
    struct score score;

    progress(arena_printf(q->a, "measuring plan %d of at most %d", ++t->n,
                          BITS_SEARCH_MOST));
    for (int i = 0; i < q->n_units; i++) {
        q->plan->units[i].weight_bits = level_bits[p->levels[i]];
        q->plan->units[i].activation_bits = level_bits[p->levels[i]] < 32 ? 8 : 32;
    }
    RETURN_IF_FAIL(quantize_decide(q->c, q->g, &o, q->a, &q->quantization));
    RETURN_IF_FAIL(
        quantized_run_here(q, true, SPLITS_VALIDATION, &compressed, &p->file_bytes));
    RETURN_IF_FAIL(evaluate_score(q->data, q->splits.use[SPLITS_VALIDATION].at,
                                  &t->original, &compressed, &score));
    p->drop = score_drop(&score);
    t->levels = p->levels;
    return OK;
}

static const char *sentence(const struct quantized *q, const struct bits_point *p,
                            int n)
{
    return arena_printf(q->a,
                        "%d plan%s measured; chosen: %.2f points lost on validation "
                        "samples, %.3f ms (modelled), %lld bytes of weights",
                        n, n == 1 ? "" : "s", p->drop, (double)p->ns / 1e6,
                        (long long)p->file_bytes);
}

struct status *quantized_search(struct quantized *q)
{
    struct trial trial = {.q = q};
    struct bits_search s = {
        .max_drop = q->o->max_drop,
        .max_ns = q->o->max_ms > 0.0 ? (int64_t)(q->o->max_ms * 1e6) : BITS_NO_BUDGET,
        .max_bytes = q->o->max_bytes ? q->o->max_bytes : BITS_NO_BUDGET,
        .measure = measure_plan,
        .arg = &trial,
    };
    struct sensitivity *table;
    struct device device;
    struct bits_point best;

    if (!q->splits.use[SPLITS_VALIDATION].n)
        return FAIL(INVALID,
                    "'%s' has too few samples for a search: none is left for "
                    "validation",
                    q->data->path);
    if (!q->n_units)
        return FAIL(UNSUPPORTED, "the model has no layers with weights to choose for");
    RETURN_IF_FAIL(quantized_device(q, &device));
    s.table = table = make_table(q, &device);
    s.conversion_ns = sensitivity_conversions(q->a, table, &device, q->units);
    RETURN_IF_FAIL(bits_search_check(q->a, &s));
    RETURN_IF_FAIL(measure_losses(q, table));
    q->plan = plan_float(q->g, q->co->target);
    RETURN_IF_FAIL(
        quantized_run_here(q, false, SPLITS_VALIDATION, &trial.original, NULL));
    RETURN_IF_FAIL(bits_search(q->a, &s, &best));
    q->searched = sentence(q, &best, trial.n);
    return trial.levels == best.levels ? OK : measure_plan(&best, &trial);
}
