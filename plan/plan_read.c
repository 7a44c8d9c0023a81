/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a plan, which may come from anywhere: every check of the door is here. */
#include <string.h>

#include "plan/plan.h"
#include "plan/plan_words.h"
#include "support/json_door.h"
#include "support/name_map.h"

enum { MAX_UNITS = 1 << 20, MAX_NODES = 1 << 16 };

#define MAX_CHANNELS (INT64_C(1) << 32)
#define MAX_RATIO    0.99

struct reader {
    struct json_door at;
    struct plan *plan;
    struct name_map units, nodes; /* names seen so far */
};

/* ---- a unit -----------------------------------------------------------------------
 */

static struct status *read_bits(const struct json_door *at, const json_t *object,
                                const char *key, int *out)
{
    int64_t bits;

    RETURN_IF_FAIL(json_door_integer(at, object, key, 4, 32, &bits));
    if (bits & (bits - 1))
        return json_door_fail(at, "'%s' is %d; it may be 4, 8, 16 or 32", key,
                              (int)bits);
    *out = (int)bits;
    return OK;
}

static struct status *read_nodes(struct reader *r, const json_t *object,
                                 struct plan_unit *out)
{
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(&r->at, object, "nodes", 1, MAX_NODES, &list));
    out->n_nodes = (int)json_array_size(list);
    out->nodes = arena_new_array(r->at.arena, const char *, out->n_nodes);
    for (int i = 0; i < out->n_nodes; i++) {
        const char *name = json_string_value(json_array_get(list, (size_t)i));

        if (!name)
            return json_door_fail(&r->at, "node %d is not a text", i);

        const char *owner = name_map_get(&r->nodes, name);

        if (owner)
            return json_door_fail(&r->at, "node '%.80s' is also in unit '%.80s'", name,
                                  owner);
        out->nodes[i] = arena_strdup(r->at.arena, name);
        name_map_put(&r->nodes, out->nodes[i], (void *)out->name);
    }
    return OK;
}

static struct status *read_kept_list(const struct json_door *at, const json_t *list,
                                     struct plan_unit *out)
{
    const int64_t n = (int64_t)json_array_size(list);
    int64_t *kept = arena_new_array(at->arena, int64_t, n + 1), before = -1;

    if (n < 1 || n > out->channels)
        return json_door_fail(at, "'kept' has %lld entries for %lld channels",
                              (long long)n, (long long)out->channels);
    for (int64_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);

        kept[i] = json_integer_value(item);
        if (!json_is_integer(item) || kept[i] <= before || kept[i] >= out->channels)
            return json_door_fail(at,
                                  "entry %lld of 'kept' is not a channel number below"
                                  " %lld that is above the one before",
                                  (long long)i, (long long)out->channels);
        before = kept[i];
    }
    out->n_kept = n;
    out->kept = n == out->channels ? NULL : kept;
    return OK;
}

static struct status *read_kept(const struct json_door *at, const json_t *object,
                                struct plan_unit *out)
{
    const json_t *kept = json_object_get(object, "kept");
    const char *word = json_string_value(kept);

    out->n_kept = out->channels;
    if (json_is_array(kept))
        RETURN_IF_FAIL(read_kept_list(at, kept, out));
    else if (!word || strcmp(word, plan_word_all) != 0)
        return json_door_fail(at, "'kept' is neither \"%s\" nor a list of channels",
                              plan_word_all);
    if (out->kept && out->prune_ratio == 0)
        return json_door_fail(at,
                              "'prune_ratio' is 0 but %lld of %lld channels are kept",
                              (long long)out->n_kept, (long long)out->channels);
    return OK;
}

static struct status *read_zeros(const struct json_door *at, const json_t *object,
                                 struct plan_unit *out)
{
    int zeros;

    RETURN_IF_FAIL(json_door_word(at, object, "zeros", plan_zero_words, &zeros));
    RETURN_IF_FAIL(json_door_real(at, object, "zero_ratio", 0, 1, &out->zero_ratio));
    out->zeros = (enum plan_zeros)zeros;
    if ((zeros == ZEROS_none && out->zero_ratio != 0)
        || (zeros == ZEROS_two_of_four && out->zero_ratio != 0.5))
        return json_door_fail(at, "'zero_ratio' is %g with 'zeros' \"%s\"; it is %s",
                              out->zero_ratio, plan_zero_words[zeros],
                              zeros == ZEROS_none ? "0 there" : "0.5 there");
    return OK;
}

static struct status *read_calibrator(const struct json_door *at, const json_t *object,
                                      struct plan_unit *out)
{
    int calibrator;

    RETURN_IF_FAIL(
        json_door_word(at, object, "calibrator", plan_calibrators, &calibrator));
    if ((calibrator == CALIBRATOR_none) != (out->activation_bits >= 16))
        return json_door_fail(at,
                              "'calibrator' is \"%s\" with 'activation_bits' %d; it is"
                              " \"%s\" from 16 bits on, and only there",
                              plan_calibrators[calibrator], out->activation_bits,
                              plan_calibrators[CALIBRATOR_none]);
    out->calibrator = calibrator;
    return OK;
}

static struct status *read_fields(struct reader *r, const json_t *object,
                                  struct plan_unit *out)
{
    static const char *const keys[] = {
        "name",       "nodes",      "weight_bits", "activation_bits",
        "calibrator", "channels",   "prune_ratio", "kept",
        "zeros",      "zero_ratio", "pattern",     NULL};
    const struct json_door *at = &r->at;
    int pattern;

    RETURN_IF_FAIL(json_door_keys(at, object, keys));
    RETURN_IF_FAIL(read_nodes(r, object, out));
    RETURN_IF_FAIL(read_bits(at, object, "weight_bits", &out->weight_bits));
    RETURN_IF_FAIL(read_bits(at, object, "activation_bits", &out->activation_bits));
    RETURN_IF_FAIL(read_calibrator(at, object, out));
    RETURN_IF_FAIL(
        json_door_integer(at, object, "channels", 1, MAX_CHANNELS, &out->channels));
    RETURN_IF_FAIL(
        json_door_real(at, object, "prune_ratio", 0, MAX_RATIO, &out->prune_ratio));
    RETURN_IF_FAIL(read_kept(at, object, out));
    RETURN_IF_FAIL(read_zeros(at, object, out));
    RETURN_IF_FAIL(json_door_word(at, object, "pattern", plan_patterns, &pattern));
    out->pattern = pattern;
    return OK;
}

static struct status *read_unit(struct reader *r, const json_t *object, int index,
                                struct plan_unit *out)
{
    r->at.where = arena_printf(r->at.arena, "unit %d", index);
    if (!json_is_object(object))
        return json_door_fail(&r->at, "is not an object");
    RETURN_IF_FAIL(json_door_text(&r->at, object, "name", &out->name));
    r->at.where = arena_printf(r->at.arena, "unit '%.80s'", out->name);
    if (name_map_get(&r->units, out->name))
        return json_door_fail(&r->at, "is there twice");
    name_map_put(&r->units, out->name, out);

    struct status *s = read_fields(r, object, out);

    r->at.where = NULL;
    return s;
}

static struct status *read_units(struct reader *r, const json_t *file)
{
    struct plan *p = r->plan;
    const json_t *list;

    RETURN_IF_FAIL(json_door_array(&r->at, file, "units", 0, MAX_UNITS, &list));
    p->n_units = (int)json_array_size(list);
    p->units = arena_new_array(r->at.arena, struct plan_unit, p->n_units + 1);
    for (int i = 0; i < p->n_units; i++)
        RETURN_IF_FAIL(read_unit(r, json_array_get(list, (size_t)i), i, &p->units[i]));
    return OK;
}

/* ---- the rest ---------------------------------------------------------------------
 */

static struct status *read_split(const struct json_door *file_at, const json_t *file,
                                 struct plan_split *out)
{
    static const char *const keys[] = {"seed", "calibration", "validation", "test",
                                       NULL};
    const json_t *object = json_object_get(file, "split");
    struct json_door at = *file_at;

    at.where = "split";
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    RETURN_IF_FAIL(json_door_integer(&at, object, keys[0], 0, INT64_MAX, &out->seed));
    RETURN_IF_FAIL(
        json_door_integer(&at, object, keys[1], 0, INT64_MAX, &out->calibration));
    RETURN_IF_FAIL(
        json_door_integer(&at, object, keys[2], 0, INT64_MAX, &out->validation));
    return json_door_integer(&at, object, keys[3], 0, INT64_MAX, &out->test);
}

static struct status *read_setting(const struct json_door *at, const json_t *object,
                                   const struct train_setting *setting, double *out)
{
    int64_t number;
    int word;

    if (setting->words) {
        RETURN_IF_FAIL(json_door_word(at, object, setting->key, setting->words, &word));
        *out = word;
    } else if (setting->whole) {
        RETURN_IF_FAIL(json_door_integer(at, object, setting->key,
                                         (int64_t)setting->least,
                                         (int64_t)setting->most, &number));
        *out = (double)number;
    } else {
        return json_door_real(at, object, setting->key, setting->least, setting->most,
                              out);
    }
    return OK;
}

/* What is not there has its default. */
static struct status *read_distillation(const struct json_door *file_at,
                                        const json_t *file, struct train_settings *out)
{
    const json_t *object = json_object_get(file, "distillation");
    const char *keys[TRAIN_SETTINGS + 1] = {NULL};
    struct json_door at = *file_at;
    double value;

    at.where = "distillation";
    for (int i = 0; i < TRAIN_SETTINGS; i++)
        keys[i] = train_setting[i].key;
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    *out = train_settings_defaults();
    for (int i = 0; i < TRAIN_SETTINGS; i++) {
        if (i >= TRAIN_SETTINGS_ALWAYS && !json_object_get(object, keys[i]))
            continue;
        RETURN_IF_FAIL(read_setting(&at, object, &train_setting[i], &value));
        train_settings_set(out, i, value);
    }
    return OK;
}

static struct status *read_update(const struct json_door *file_at, const json_t *file,
                                  struct plan_update *out)
{
    static const char *const keys[] = {"strategy", "ratio", NULL};
    const json_t *object = json_object_get(file, "update");
    struct json_door at = *file_at;
    int strategy;

    at.where = "update";
    RETURN_IF_FAIL(json_door_keys(&at, object, keys));
    RETURN_IF_FAIL(json_door_word(&at, object, keys[0], plan_strategies, &strategy));
    out->strategy = strategy;
    return json_door_real(&at, object, keys[1], 0, 1, &out->ratio);
}

/* The policy promises something about all units. */
static struct status *check_policy(const struct reader *r)
{
    const struct plan *p = r->plan;
    struct json_door at = r->at;

    for (int i = 0; i < p->n_units; i++) {
        const struct plan_unit *u = &p->units[i], *first = &p->units[0];

        at.where = arena_printf(at.arena, "unit '%.80s'", u->name);
        if (p->bits_policy == BITS_POLICY_float
            && (u->weight_bits < 32 || u->activation_bits < 32))
            return json_door_fail(&at, "has fewer than 32 bits, against 'bits_policy'"
                                       " \"float\"");
        if (p->bits_policy == BITS_POLICY_uniform
            && (u->weight_bits != first->weight_bits
                || u->activation_bits != first->activation_bits))
            return json_door_fail(&at,
                                  "has other widths than unit '%.80s', against"
                                  " 'bits_policy' \"uniform\"",
                                  first->name);
    }
    return OK;
}

/* A training that makes weights zero by a schedule makes them so anywhere. */
static struct status *check_masks(const struct reader *r)
{
    const struct plan *p = r->plan;
    struct json_door at = r->at;

    for (int i = 0; i < p->n_units && p->distillation.masks.kind != ANNEAL_NONE; i++) {
        at.where = arena_printf(at.arena, "unit '%.80s'", p->units[i].name);
        if (p->units[i].zeros != ZEROS_anywhere)
            return json_door_fail(&at,
                                  "'zeros' is \"%s\", but 'masks' of the "
                                  "distillation wants \"anywhere\"",
                                  plan_zero_words[p->units[i].zeros]);
    }
    return OK;
}

static struct status *read_plan(struct reader *r, const json_t *file)
{
    static const char *const keys[] = {
        "format", "model_sha256", "target", "bits_policy", "seed",
        "split",  "distillation", "update", "units",       NULL};
    const struct json_door *at = &r->at;
    struct plan *p = r->plan;
    int64_t format;
    int policy;

    RETURN_IF_FAIL(
        json_door_integer(at, file, "format", PLAN_FORMAT, PLAN_FORMAT, &format));
    RETURN_IF_FAIL(json_door_keys(at, file, keys));
    RETURN_IF_FAIL(json_door_hash(at, file, "model_sha256", p->model_sha256));
    RETURN_IF_FAIL(json_door_text(at, file, "target", &p->target));
    RETURN_IF_FAIL(
        json_door_word(at, file, "bits_policy", plan_bits_policies, &policy));
    RETURN_IF_FAIL(json_door_integer(at, file, "seed", 0, INT64_MAX, &p->seed));
    RETURN_IF_FAIL(read_split(at, file, &p->split));
    RETURN_IF_FAIL(read_distillation(at, file, &p->distillation));
    RETURN_IF_FAIL(read_update(at, file, &p->update));
    p->bits_policy = policy;
    RETURN_IF_FAIL(read_units(r, file));
    RETURN_IF_FAIL(check_masks(r));
    return check_policy(r);
}

/* Drops `file`. */
static struct status *read_and_drop(const struct json_door *at, json_t *file,
                                    struct plan **out)
{
    struct reader r = {.at = *at,
                       .plan = arena_new(at->arena, struct plan),
                       .units = {.arena = at->arena},
                       .nodes = {.arena = at->arena}};
    struct status *s = read_plan(&r, file);

    json_decref(file);
    *out = s ? NULL : r.plan;
    return s;
}

struct status *plan_parse(struct arena *a, const char *file, const void *bytes,
                          size_t len, struct plan **out)
{
    const struct json_door at = {.arena = a, .file = file};
    json_t *json;

    *out = NULL;
    RETURN_IF_FAIL(json_door_parse(&at, bytes, len, &json));
    return read_and_drop(&at, json, out);
}

struct status *plan_read(struct arena *a, const char *path, struct plan **out)
{
    const struct json_door at = {.arena = a, .file = path};
    json_t *json;

    *out = NULL;
    RETURN_IF_FAIL(json_door_load(&at, &json));
    return read_and_drop(&at, json, out);
}

/* ---- is it about this model -------------------------------------------------------
 */

static struct status *check_unit(const struct json_door *at, const struct plan_unit *p,
                                 const struct unit *u)
{
    if (strcmp(p->name, u->name) != 0)
        return json_door_fail(at, "the model has '%.80s' in its place", u->name);
    if (p->channels != u->channels)
        return json_door_fail(at, "has %lld channels, in the model %lld",
                              (long long)p->channels, (long long)u->channels);
    if (strcmp(p->nodes[0], u->name) != 0 && strcmp(p->nodes[0], u->node->name) != 0)
        return json_door_fail(at, "node '%.80s' is not the one with its weights",
                              p->nodes[0]);
    return OK;
}

struct status *plan_check(const struct plan *p, const char *file,
                          const struct ir_graph *g, const char *target)
{
    struct json_door at = {.arena = g->compile->perm, .file = file};
    int n;
    const struct unit *units = units_find(g, &n);

    if (memcmp(p->model_sha256, g->compile->model_sha256, 32) != 0)
        return json_door_fail(&at, "is a plan for another model: the SHA-256 differs");
    if (strcmp(p->target, target) != 0)
        return json_door_fail(&at, "is a plan for target '%.80s', not '%s'", p->target,
                              target);
    if (p->n_units != n)
        return json_door_fail(&at, "has %d units, the model %d", p->n_units, n);
    for (int i = 0; i < n; i++) {
        at.where = arena_printf(at.arena, "unit '%.80s'", p->units[i].name);
        RETURN_IF_FAIL(check_unit(&at, &p->units[i], &units[i]));
    }
    return OK;
}
