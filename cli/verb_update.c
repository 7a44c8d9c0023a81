/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc update: patches that bring new weights to devices, and the slots of a device.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/json_out.h"
#include "cli/update_slots.h"
#include "codegen/runner.h"
#include "runtime/ed25519.h"
#include "support/json_door.h"
#include "support/json_lines.h"
#include "support/nearest.h"
#include "update/patch_maker.h"

#define OPTIONS_FILE "cli/verb_update.def"
#include "cli/option_rows.h"

static const char *const strategies[] = {
#define STRATEGY(word, about) #word,
#include "plan/plan_words.def"
    NULL,
};

/* ---- make ---------------------------------------------------------------- */

static int index_of(const char *const *words, const char *word)
{
    int i = 0;

    while (words[i] && strcmp(words[i], word) != 0)
        i++;
    return i;
}

/* How updates of NEW are made, when it is a bundle and its plan says incremental: the
 * others carry the same weights as blocks that differ, in more bytes. */
static struct status *read_plan(struct arena *a, const char *path,
                                struct patch_options *o)
{
    struct bundle_meta meta;
    struct plan *plan;
    struct stat about;

    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return OK;
    RETURN_IF_FAIL(bundle_read_meta(a, path, &meta));
    RETURN_IF_FAIL(
        plan_read(a, arena_printf(a, "%s/%s.plan.json", path, meta.prefix), &plan));
    if (plan->update.strategy != STRATEGY_incremental)
        return OK;
    o->strategy = STRATEGY_incremental;
    o->ratio = plan->update.ratio;
    return OK;
}

static struct status *options_of_patch(struct arena *a, const struct args *o,
                                       const char *fresh, struct patch_options *out)
{
    *out = (struct patch_options){.strategy = STRATEGY_hash,
                                  .ratio = 1,
                                  .number = o->number ? (uint64_t)o->number : 1};
    if (o->strategy)
        out->strategy = (enum plan_strategy)index_of(strategies, o->strategy);
    else
        RETURN_IF_FAIL(read_plan(a, fresh, out));
    if (o->ratio > 0 && out->strategy != STRATEGY_incremental)
        return FAIL(BAD_USAGE, "--ratio is for --strategy incremental");
    if (o->ratio > 1)
        return FAIL(BAD_USAGE, "--ratio is a share: at most 1, not %g", o->ratio);
    if (o->ratio > 0)
        out->ratio = o->ratio;
    return OK;
}

static void put_count(json_t *out, const char *key, uint64_t value)
{
    json_object_set_new(out, key, json_integer((json_int_t)value));
}

static void describe_patch(const struct hadm_patch *p, size_t patch_bytes, json_t *out)
{
    const uint64_t hash_bytes =
        HADM_PATCH_HEADER_BYTES + p->n_blocks * HADM_PATCH_RECORD_BYTES;

    json_object_set_new(out, "strategy", json_string(strategies[p->strategy]));
    put_count(out, "number", p->number);
    json_object_set_new(out, "signed", json_boolean(p->is_signed));
    json_object_set_new(out, "structure_hash", json_lines_hash(p->structure_hash));
    if (p->base_bytes) {
        put_count(out, "base_bytes", p->base_bytes);
        json_object_set_new(out, "base_sha256", json_lines_hash(p->base_sha256));
        json_object_set_new(out, "base_root", json_lines_hash(p->base_root));
    }
    put_count(out, "new_bytes", p->new_bytes);
    json_object_set_new(out, "new_sha256", json_lines_hash(p->new_sha256));
    json_object_set_new(out, "new_root", json_lines_hash(p->new_root));
    put_count(out, "blocks_of_file",
              (p->new_bytes + HADM_PATCH_BLOCK - 1) / HADM_PATCH_BLOCK);
    put_count(out, "blocks", p->n_blocks);
    put_count(out, "block_bytes", patch_bytes - hash_bytes);
    put_count(out, "hash_bytes", hash_bytes);
    put_count(out, "patch_bytes", patch_bytes);
}

static void describe_choice(struct arena *a, const struct layer_choice *c, json_t *out)
{
    json_t *list = json_array();

    for (int i = 0; i < c->n_layers; i++) {
        const struct layer_change *l = &c->layers[i];

        json_array_append_new(list, json_pack("{s:s, s:I, s:f, s:b}", "name",
                                              json_door_plain(a, l->name), "bytes",
                                              (json_int_t)l->bytes, "change", l->change,
                                              "new", l->is_new));
    }
    put_count(out, "layer_bytes", c->total_bytes);
    put_count(out, "new_layer_bytes", c->new_bytes);
    json_object_set_new(out, "layers", list);
}

/* Where `path` is, whatever leads there: the folder is, the file need not be. */
static const char *place_of(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = realpath(
        slash ? arena_strndup(a, path, (size_t)(slash - path) + 1) : ".", NULL);
    const char *place =
        folder ? arena_printf(a, "%s/%s", folder, slash ? slash + 1 : path) : path;

    free(folder);
    return place;
}

static bool is_same_file(struct arena *a, const char *one, const char *other)
{
    struct stat s, t;
    const bool is_there = stat(one, &s) == 0, other_is = stat(other, &t) == 0;

    if (is_there && other_is)
        return S_ISREG(s.st_mode) && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
    return !is_there && !other_is && strcmp(place_of(a, one), place_of(a, other)) == 0;
}

/* What is written must not be what was read, or written just before. */
static struct status *check_written(struct arena *a, const struct args *o,
                                    const char *old_path, const char *new_path)
{
    enum { FIRST_WRITTEN = 3 };
    const struct {
        const char *name, *path;
    } files[] = {
        {"OLD", old_path}, {"NEW", new_path},       {"--sign", o->sign},
        {"-o", o->patch},  {"--result", o->result},
    };
    const int n = sizeof files / sizeof files[0];

    for (int i = FIRST_WRITTEN; i < n; i++)
        for (int k = 0; k < i; k++)
            if (files[i].path && files[k].path
                && is_same_file(a, files[i].path, files[k].path))
                return FAIL(BAD_USAGE, "%s and %s are the same file, '%s'",
                            files[k].name, files[i].name, files[i].path);
    return OK;
}

static struct status *make(struct arena *a, const struct args *o, json_t *out)
{
    const char *const *names = o->operands.at;
    const char *old_path = o->operands.n > 1 ? names[0] : NULL;
    const char *new_path = names[o->operands.n - 1];
    struct weights_file base, fresh;
    struct signing_key key;
    struct patch_options how;
    struct patch_made made;
    size_t file_bytes;

    if (!o->patch)
        return FAIL(BAD_USAGE, "hadmcc update make needs -o PATCH");
    RETURN_IF_FAIL(options_of_patch(a, o, new_path, &how));
    if (!old_path && how.strategy != STRATEGY_full)
        return FAIL(BAD_USAGE, "without OLD only --strategy full can be made");
    if (o->sign) {
        RETURN_IF_FAIL(key_file_read_secret(o->sign, &key));
        how.key = &key;
    }

    struct status *s = old_path ? weights_file_load(a, old_path, &base) : OK;

    if (!s)
        s = weights_file_load(a, new_path, &fresh);
    if (!s)
        s = check_written(a, o, old_path ? base.path : NULL, fresh.path);
    if (!s)
        s = patch_make(a, old_path ? &base : NULL, &fresh, &how, &made);
    key_forget(&key);
    RETURN_IF_FAIL(s);
    RETURN_IF_FAIL(patch_file_write(a, o->patch, made.bytes, o->compress, &file_bytes));
    if (o->result) {
        const struct bytes result =
            made.choice.layers ? made.choice.result.bytes : fresh.bytes;

        RETURN_IF_FAIL(runner_replace_file(o->result, result.at, result.len));
    }
    describe_patch(&made.header, made.bytes.len, out);
    if (o->compress)
        put_count(out, "compressed_bytes", file_bytes);
    if (made.choice.layers)
        describe_choice(a, &made.choice, out);
    return OK;
}

/* ---- the others ---------------------------------------------------------- */

/* `room` for the key; *out stays NULL without --key. */
static struct status *public_key(const struct args *o, uint8_t room[32],
                                 const uint8_t **out)
{
    *out = NULL;
    if (!o->key)
        return OK;
    RETURN_IF_FAIL(key_file_read_public(o->key, room));
    *out = room;
    return OK;
}

static struct status *slots_of(const struct args *o, const char *action,
                               struct slots_options *out)
{
    if (!o->slots)
        return FAIL(BAD_USAGE, "hadmcc update %s needs --slots FILE", action);
    *out = (struct slots_options){.path = o->slots, .erase_bytes = o->erase_bytes};
    return OK;
}

static struct status *apply(struct arena *a, const struct args *o, json_t *out)
{
    struct slots_options slots;
    struct patch_file patch;
    uint8_t key[32];

    RETURN_IF_FAIL(slots_of(o, "apply", &slots));
    slots.create_bytes = o->create;
    slots.allow_downgrade = o->allow_downgrade;
    RETURN_IF_FAIL(public_key(o, key, &slots.key));
    RETURN_IF_FAIL(patch_file_load(a, o->operands.at[0], &patch));
    return update_slots_apply(a, &slots, &patch, out);
}

static struct status *roll_back(struct arena *a, const struct args *o, json_t *out)
{
    struct slots_options slots;

    RETURN_IF_FAIL(slots_of(o, "rollback", &slots));
    return update_slots_roll_back(a, &slots, out);
}

static struct status *verify_patch(struct arena *a, const struct args *o, json_t *out)
{
    struct patch_file patch;
    const uint8_t *key;
    uint8_t room[32];

    RETURN_IF_FAIL(public_key(o, room, &key));
    RETURN_IF_FAIL(patch_file_load(a, o->operands.at[0], &patch));
    if (key && !patch.header.is_signed)
        return FAIL(INVALID, "'%s' is not signed", patch.path);
    if (key
        && !ed25519_verify(patch.header.signature, patch.bytes.at,
                           HADM_PATCH_SIGNED_BYTES, key))
        return FAIL(INVALID, "'%s' is not signed by the owner of '%s'", patch.path,
                    o->key);
    describe_patch(&patch.header, patch.bytes.len, out);
    return OK;
}

static struct status *verify(struct arena *a, const struct args *o, json_t *out)
{
    struct slots_options slots;

    if (o->operands.n)
        RETURN_IF_FAIL(verify_patch(a, o, out));
    if (o->operands.n && !o->slots)
        return OK;
    if (!o->slots)
        return FAIL(BAD_USAGE,
                    "hadmcc update verify needs a PATCH, --slots FILE, or both");
    if (o->key && !o->operands.n) /* slots do not keep signatures */
        return FAIL(BAD_USAGE, "--key is for a PATCH");
    RETURN_IF_FAIL(slots_of(o, "verify", &slots));
    return update_slots_verify(a, &slots, out);
}

static struct status *keygen(struct arena *a, const struct args *o, json_t *out)
{
    const char *path = o->operands.at[0];
    const char *public_path = arena_printf(a, "%s.pub", path);

    RETURN_IF_FAIL(key_file_generate(path));
    json_object_set_new(out, "secret", json_string(json_door_plain(a, path)));
    json_object_set_new(out, "public", json_string(json_door_plain(a, public_path)));
    return OK;
}

/* ---- for people ---------------------------------------------------------- */

static json_int_t count_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_patch(const json_t *said)
{
    printf("update %lld by %s, %s: %lld of %lld blocks in %lld bytes (%lld of them "
           "hashes)",
           count_of(said, "number"),
           json_string_value(json_object_get(said, "strategy")),
           json_is_true(json_object_get(said, "signed")) ? "signed" : "not signed",
           count_of(said, "blocks"), count_of(said, "blocks_of_file"),
           count_of(said, "patch_bytes"), count_of(said, "hash_bytes"));
    if (json_object_get(said, "compressed_bytes"))
        printf(", compressed %lld", count_of(said, "compressed_bytes"));
    puts("");
}

/* Layers that changed at all. */
static void print_layers(const json_t *layers)
{
    size_t i;
    json_t *layer;

    json_array_foreach((json_t *)layers, i, layer)
    {
        const double change = json_real_value(json_object_get(layer, "change"));

        if (change > 0)
            printf("  %-4s  change %-10.4g  %10lld bytes  %s\n",
                   json_is_true(json_object_get(layer, "new")) ? "new" : "kept", change,
                   count_of(layer, "bytes"),
                   json_string_value(json_object_get(layer, "name")));
    }
}

static void print_slot(const json_t *said, const char *role)
{
    const json_t *slot = json_object_get(said, role);

    if (slot)
        printf("%-8s  slot %lld: update %lld, %lld bytes at %lld\n", role,
               count_of(slot, "slot"), count_of(slot, "number"),
               count_of(slot, "bytes"), count_of(slot, "offset"));
}

static void print_said(const json_t *said)
{
    if (json_object_get(said, "patch_bytes"))
        print_patch(said);
    print_layers(json_object_get(said, "layers"));
    print_slot(said, "active");
    print_slot(said, "previous");
    if (json_object_get(said, "secret"))
        printf("secret key %s, public key %s\n",
               json_string_value(json_object_get(said, "secret")),
               json_string_value(json_object_get(said, "public")));
}

/* -------------------------------------------------------------------------- */

static const struct action {
    const char *name, *usage;
    int least, most; /* operands */
    struct status *(*run)(struct arena *a, const struct args *o, json_t *out);
} actions[] = {
    {"make", "OLD NEW -o PATCH", 1, 2, make},
    {"apply", "PATCH --slots FILE", 1, 1, apply},
    {"verify", "[PATCH] [--slots FILE]", 0, 1, verify},
    {"rollback", "--slots FILE", 0, 0, roll_back},
    {"keygen", "KEY", 1, 1, keygen},
};

enum { N_ACTIONS = sizeof actions / sizeof actions[0] };

static struct status *find_action(const char *name, const struct action **out)
{
    const char *names[N_ACTIONS + 1] = {NULL};

    for (int i = 0; i < N_ACTIONS; i++) {
        names[i] = actions[i].name;
        if (name && strcmp(name, actions[i].name) == 0) {
            *out = &actions[i];
            return OK;
        }
    }

    const char *near = name ? nearest_word(name, names) : NULL;

    if (near)
        return FAIL(BAD_USAGE, "there is no `hadmcc update %s`; did you mean '%s'?",
                    name, near);
    return FAIL(BAD_USAGE,
                "hadmcc update is followed by make, apply, verify, rollback or"
                " keygen");
}

/* Of another action it would be believed to count: --key where --sign is meant. */
static struct status *check_options(const char *action, const struct args *o)
{
    const struct {
        const char *option;
        bool is_given;
        const char *actions; /* words of a sentence */
    } rows[] = {
        {"-o", o->patch, "make"},
        {"--strategy", o->strategy, "make"},
        {"--ratio", o->ratio > 0, "make"},
        {"--number", o->number > 0, "make"},
        {"--sign", o->sign, "make"},
        {"--result", o->result, "make"},
        {"--compress", o->compress, "make"},
        {"--slots", o->slots, "apply, verify and rollback"},
        {"--key", o->key, "apply and verify"},
        {"--allow-downgrade", o->allow_downgrade, "apply"},
        {"--create", o->create > 0, "apply"},
        {"--erase-bytes", o->erase_bytes > 0, "apply, verify and rollback"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].is_given && !strstr(rows[i].actions, action))
            return FAIL(BAD_USAGE, "%s is for %s", rows[i].option, rows[i].actions);
    return OK;
}

static struct status *run(const char *name, const void *args)
{
    const struct args *o = args;
    const struct action *action = NULL;

    RETURN_IF_FAIL(find_action(name, &action));
    if (o->operands.n < action->least || o->operands.n > action->most)
        return FAIL(BAD_USAGE, "usage: hadmcc update %s %s", action->name,
                    action->usage);
    RETURN_IF_FAIL(check_options(action->name, o));

    struct arena *a = arena_create();
    json_t *said = json_object();
    struct status *s = action->run(a, o, said);

    arena_destroy(a);
    if (!s && o->json)
        return json_out_print(said);
    if (!s)
        print_said(said);
    json_decref(said);
    return s;
}

const struct verb verb_update = {
    .name = "update",
    .operand = "ACTION",
    .about =
        "Bring new weights to devices whose code stays: make a patch, apply it to the\n"
        "slots of a device, look at either, go back to the previous weights, make "
        "keys.",
    .example =
        "hadmcc update make old.orin new.orin -o new.patch --number 2 --sign key",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
