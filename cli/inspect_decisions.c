/* SPDX-License-Identifier: Apache-2.0 */
/* What a plan of compression decides, as a table with a line per unit. */
#include "cli/inspect.h"
#include "plan/plan.h"
#include "plan/plan_words.h"

static void print_distillation(const struct train_settings *d)
{
    printf("distillation %lld epochs", (long long)d->epochs);
    for (int i = 0; i < TRAIN_SETTINGS && d->epochs; i++) {
        const struct train_setting *s = &train_setting[i];
        const double value = train_settings_get(d, i);

        if (i == TRAIN_SETTING_epochs || !train_settings_kept(d, i))
            continue;
        if (s->words)
            printf(", %s %s", s->key, s->words[(int)value]);
        else
            printf(", %s %g", s->key, value);
    }
}

static void print_head(const struct plan *p)
{
    printf("plan for target %s, bits %s, seed %lld\nmodel ", p->target,
           plan_bits_policies[p->bits_policy], (long long)p->seed);
    for (int i = 0; i < 32; i++)
        printf("%02x", p->model_sha256[i]);
    printf("\nsplit seed %lld: %lld samples calibrate, %lld validate, %lld test\n",
           (long long)p->split.seed, (long long)p->split.calibration,
           (long long)p->split.validation, (long long)p->split.test);
    print_distillation(&p->distillation);
    printf("\nupdate %s", plan_strategies[p->update.strategy]);
    if (p->update.strategy == STRATEGY_incremental)
        printf(", ratio %g", p->update.ratio);
    printf("\n");
}

static void print_unit(const struct plan_unit *u)
{
    printf("%7d %11d  %-10s %5lld of %-5lld  %5.1f %%  %-16s %s\n", u->weight_bits,
           u->activation_bits, plan_calibrators[u->calibrator], (long long)u->n_kept,
           (long long)u->channels, 100.0 * u->zero_ratio, plan_patterns[u->pattern],
           u->name);
}

struct status *inspect_decisions(struct arena *a, const char *path, json_t **out)
{
    struct plan *p;

    RETURN_IF_FAIL(plan_read(a, path, &p));
    if (out) {
        *out = plan_json(p);
        return OK;
    }
    print_head(p);
    printf("\n%7s %11s  %-10s %-14s  %7s  %-16s %s\n", "weights", "activations",
           "calibrator", "channels kept", "zeros", "pattern", "unit");
    for (int i = 0; i < p->n_units; i++)
        print_unit(&p->units[i]);
    return OK;
}
