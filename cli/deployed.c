/* SPDX-License-Identifier: Apache-2.0 */
/* See deployed.h. */
#include "cli/deployed.h"

#include "codegen/runner.h"
#include "plan/plan_words.h"
#include "support/scratch_folder.h"
#include "update/patch_maker.h"

enum { TENTHS = 10 };

/* Bytes of patches without compression. */
struct sizes {
    bool same_code; /* otherwise there is a full patch only */
    int64_t full, hash, incremental[TENTHS + 1];
};

static int tenths(double ratio)
{
    return (int)(ratio * (double)TENTHS + 0.5);
}

/* ---- patches --------------------------------------------------------------------- */

static struct status *size_of(const struct weights_file *old,
                              const struct weights_file *fresh,
                              enum plan_strategy strategy, double ratio, int64_t *out)
{
    const struct patch_options o = {.strategy = strategy, .ratio = ratio, .number = 1};
    struct arena *a = arena_create();
    struct patch_made made;
    struct status *s =
        patch_make(a, strategy == STRATEGY_full ? NULL : old, fresh, &o, &made);

    *out = s ? 0 : (int64_t)made.bytes.len;
    arena_destroy(a);
    return s;
}

/* Of incremental patches every tenth, and the ratio that a plan already has. */
static struct status *measure(const struct weights_file *old,
                              const struct weights_file *fresh,
                              const struct plan_update *has, struct sizes *out)
{
    struct status *s;

    *out = (struct sizes){0};
    RETURN_IF_FAIL(size_of(old, fresh, STRATEGY_full, 1, &out->full));
    s = size_of(old, fresh, STRATEGY_hash, 1, &out->hash);
    out->same_code = !s;
    if (s) {
        status_free(s);
        return OK;
    }
    for (int i = 1; i <= TENTHS; i++)
        RETURN_IF_FAIL(size_of(old, fresh, STRATEGY_incremental, i / (double)TENTHS,
                               &out->incremental[i]));
    return size_of(old, fresh, STRATEGY_incremental, has->ratio,
                   &out->incremental[tenths(has->ratio)]);
}

/* ---- choosing -------------------------------------------------------------------- */

static int64_t bytes_of(const struct sizes *s, const struct plan_update *u)
{
    return u->strategy == STRATEGY_full || !s->same_code ? s->full
           : u->strategy == STRATEGY_hash                ? s->hash
                                          : s->incremental[tenths(u->ratio)];
}

static struct plan_update choose(const struct sizes *s, int64_t most)
{
    struct plan_update u = {.strategy = STRATEGY_full, .ratio = 1};

    if (s->same_code && s->hash < s->full)
        u.strategy = STRATEGY_hash;
    if (!s->same_code || !most || bytes_of(s, &u) <= most)
        return u;
    for (int i = 1; i <= TENTHS; i++)
        if (s->incremental[i] <= most)
            u = (struct plan_update){STRATEGY_incremental, i / (double)TENTHS};
    return u;
}

static const char *name_of(struct arena *a, const struct plan_update *u)
{
    return u->strategy == STRATEGY_incremental
               ? arena_printf(a, "incremental:%g", u->ratio)
               : plan_strategies[u->strategy];
}

static const char *describe(struct arena *a, const struct sizes *s,
                            const struct deployed_options *o,
                            const struct plan_update *u)
{
    if (!s->same_code)
        return arena_printf(a,
                            "an update from %s: other code, so %lld bytes of weights "
                            "in full, and the code",
                            o->old, (long long)s->full);
    return arena_printf(a,
                        "an update from %s: full %lld bytes, hash %lld, "
                        "incremental:0.5 %lld, incremental:0.1 %lld; %s: %s",
                        o->old, (long long)s->full, (long long)s->hash,
                        (long long)s->incremental[TENTHS / 2],
                        (long long)s->incremental[1],
                        o->chooses ? "chosen" : "as the plan says", name_of(a, u));
}

static struct status *check_size(struct arena *a, const struct sizes *s,
                                 const struct deployed_options *o,
                                 const struct plan_update *u)
{
    if (!o->max_bytes || bytes_of(s, u) <= o->max_bytes)
        return OK;
    return FAIL(NO_FIT,
                "an update from '%s' (%s) has %lld bytes; --max-update-bytes allows "
                "%lld%s",
                o->old, s->same_code ? name_of(a, u) : "other code: full",
                (long long)bytes_of(s, u), (long long)o->max_bytes,
                o->chooses || !s->same_code ? "" : ", --update auto looks for fewer");
}

/* ---- what devices then have ------------------------------------------------------ */

/* The bundle's weights become a mixture: old layers, and those that the patch brings.
 */
static struct status *leave_layers_old(const struct weights_file *old,
                                       const struct weights_file *fresh,
                                       const struct plan_update *u)
{
    const struct patch_options o = {
        .strategy = STRATEGY_incremental, .ratio = u->ratio, .number = 1};
    struct arena *a = arena_create();
    struct patch_made made;
    struct status *s = patch_make(a, old, fresh, &o, &made);

    if (!s)
        s = runner_write_file(fresh->path, made.choice.result.bytes.at,
                              made.choice.result.bytes.len);
    arena_destroy(a);
    return s;
}

/* *words NULL: an update brings all layers, or nobody asks. */
static struct status *
measure_mixture(const struct weights_file *old, const struct weights_file *fresh,
                const struct sizes *sizes, const struct deployed_options *o,
                const struct plan_update *u, const char *folder, const char **words)
{
    *words = NULL;
    if (!o->measure || !sizes->same_code || u->strategy != STRATEGY_incremental)
        return OK;
    RETURN_IF_FAIL(leave_layers_old(old, fresh, u));
    return o->measure(o->arg, folder, words);
}

/* ---- the whole ------------------------------------------------------------------- */

/* `folder` is the compiled bundle. */
static struct status *choose_for(struct arena *a, const struct weights_file *old,
                                 const char *folder, const struct deployed_options *o,
                                 struct plan_update *update, const char **sentence)
{
    struct weights_file fresh;
    struct sizes sizes;
    const char *words;

    RETURN_IF_FAIL(weights_file_load(a, folder, &fresh));
    RETURN_IF_FAIL(measure(old, &fresh, update, &sizes));
    if (o->chooses)
        *update = choose(&sizes, o->max_bytes);
    *sentence = describe(a, &sizes, o, update);
    RETURN_IF_FAIL(check_size(a, &sizes, o, update));
    RETURN_IF_FAIL(measure_mixture(old, &fresh, &sizes, o, update, folder, &words));
    if (words)
        *sentence = arena_printf(a, "%s; %s", *sentence, words);
    return OK;
}

static struct status *load_old(struct arena *a, const struct deployed_options *o,
                               struct weights_file *out)
{
    return status_note(weights_file_load(a, o->old, out),
                       "while reading what is deployed");
}

struct status *deployed_check(const struct deployed_options *o)
{
    struct arena *a = arena_create();
    struct weights_file old;
    struct status *s = load_old(a, o, &old);

    arena_destroy(a);
    return s;
}

struct status *deployed_choose(struct arena *a, const char *model,
                               const struct compile_options *co,
                               const struct deployed_options *o,
                               struct plan_update *update, const char **sentence)
{
    struct compile_options mine = *co;
    struct weights_file old;
    char *folder = NULL;

    RETURN_IF_FAIL(load_old(a, o, &old));

    struct status *s = scratch_folder_make(a, &folder);

    mine.folder = folder;
    if (!s)
        s = compile_model(model, &mine);
    if (!s)
        s = choose_for(a, &old, folder, o, update, sentence);
    scratch_folder_remove(folder);
    return s;
}
