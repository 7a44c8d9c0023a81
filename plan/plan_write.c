/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and writes plans: see plan.h. */
#include <string.h>

#include "plan/plan.h"
#include "plan/plan_words.h"
#include "support/json_lines.h"

/* ---- the plan that changes nothing ---------------------------------------------- */

static struct plan_unit unchanged(struct arena *a, const struct unit *u)
{
    const char **nodes = arena_new_array(a, const char *, 1);

    nodes[0] = u->name;
    return (struct plan_unit){
        .name = u->name,
        .n_nodes = 1,
        .nodes = nodes,
        .weight_bits = u->weight_bits,
        .activation_bits = u->activation_bits,
        .calibrator = u->activation_bits < 16 ? CALIBRATOR_minmax : CALIBRATOR_none,
        .channels = u->channels,
        .n_kept = u->channels,
        .pattern = PATTERN_all,
    };
}

enum plan_bits_policy plan_policy(const struct plan *p)
{
    for (int i = 1; i < p->n_units; i++)
        if (p->units[i].weight_bits != p->units[0].weight_bits
            || p->units[i].activation_bits != p->units[0].activation_bits)
            return BITS_POLICY_mixed;
    return p->n_units && p->units[0].weight_bits < 32 ? BITS_POLICY_uniform
                                                      : BITS_POLICY_float;
}

struct plan *plan_float(const struct ir_graph *g, const char *target)
{
    struct arena *a = g->compile->perm;
    struct plan *p = arena_new(a, struct plan);
    const struct unit *units = units_find(g, &p->n_units);

    memcpy(p->model_sha256, g->compile->model_sha256, sizeof p->model_sha256);
    p->target = target;
    p->distillation = train_settings_defaults();
    p->distillation.epochs = 0;
    p->update.ratio = 1;
    p->units = arena_new_array(a, struct plan_unit, p->n_units + 1);
    for (int i = 0; i < p->n_units; i++)
        p->units[i] = unchanged(a, &units[i]);
    p->bits_policy = plan_policy(p);
    return p;
}

/* ---- JSON -------------------------------------------------------------------------
 */

static json_t *kept_json(const struct plan_unit *u)
{
    json_t *list;

    if (!u->kept)
        return json_string(plan_word_all);
    list = json_array();
    for (int64_t i = 0; i < u->n_kept; i++)
        json_array_append_new(list, json_integer(u->kept[i]));
    return list;
}

static json_t *unit_json(const struct plan_unit *u)
{
    json_t *nodes = json_array();

    for (int i = 0; i < u->n_nodes; i++)
        json_array_append_new(nodes, json_string(u->nodes[i]));
    return json_pack("{s:s, s:o, s:i, s:i, s:s, s:I, s:f, s:o, s:s, s:f, s:s}", "name", u->name,
                     "nodes", nodes, "weight_bits", u->weight_bits, "activation_bits",
                     u->activation_bits, "calibrator", plan_calibrators[u->calibrator],
                     "channels", (json_int_t)u->channels, "prune_ratio", u->prune_ratio,
                     "kept", kept_json(u), "zeros", plan_zero_words[u->zeros], "zero_ratio",
                     u->zero_ratio, "pattern", plan_patterns[u->pattern]);
}

static json_t *setting_json(const struct train_setting *s, double value)
{
    return s->words   ? json_string(s->words[(int)value])
           : s->whole ? json_integer((json_int_t)value)
                      : json_real(value);
}

static json_t *distillation_json(const struct train_settings *d)
{
    json_t *object = json_object();

    for (int i = 0; i < TRAIN_SETTINGS; i++)
        if (train_settings_kept(d, i))
            json_object_set_new(
                object, train_setting[i].key,
                setting_json(&train_setting[i], train_settings_get(d, i)));
    return object;
}

json_t *plan_json(const struct plan *p)
{
    const struct plan_split *split = &p->split;
    json_t *units = json_array();

    for (int i = 0; i < p->n_units; i++)
        json_array_append_new(units, unit_json(&p->units[i]));
    return json_pack(
        "{s:i, s:o, s:s, s:s, s:I, s:{s:I, s:I, s:I, s:I}, s:o,"
        " s:{s:s, s:f}, s:o}",
        "format", PLAN_FORMAT, "model_sha256", json_lines_hash(p->model_sha256),
        "target", p->target, "bits_policy", plan_bits_policies[p->bits_policy], "seed",
        (json_int_t)p->seed, "split", "seed", (json_int_t)split->seed, "calibration",
        (json_int_t)split->calibration, "validation", (json_int_t)split->validation,
        "test", (json_int_t)split->test, "distillation",
        distillation_json(&p->distillation), "update", "strategy",
        plan_strategies[p->update.strategy], "ratio", p->update.ratio, "units", units);
}

void plan_write(const struct plan *p, struct text *out)
{
    json_t *file = plan_json(p);

    json_lines_put(file, out);
    json_decref(file);
}
