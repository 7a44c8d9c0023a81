/* SPDX-License-Identifier: Apache-2.0 */
/* Slots as a file: see update_slots.h. */
#include "cli/update_slots.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/ed25519.h"
#include "runtime/slot_file.h"
#include "runtime/update.h"
#include "support/json_door.h"
#include "support/json_lines.h"

enum { DEFAULT_ERASE_BYTES = 4096 };

/* ---- the file ------------------------------------------------------------ */

struct store {
    const char *path;
    struct hadm_slot_file file;
    struct hadm_slots slots;
    enum hadm_update_status opened; /* OK or NO_WEIGHTS */
};

static const char *path_of_file(struct arena *a, const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISDIR(about.st_mode)
               ? arena_printf(a, "%s/weights.slots", path)
               : path;
}

static struct status *cannot_open(const char *path, int why, bool create)
{
    if (why == EWOULDBLOCK)
        return FAIL(IO_ERROR, "'%s' is in use by another program", path);
    return FAIL(IO_ERROR, "cannot %s the slots '%s': %s%s", create ? "make" : "open",
                path, strerror(why),
                why == ENOENT && !create ? "; --create BYTES makes them" : "");
}

static struct status *open_store(struct arena *a, const struct slots_options *o,
                                 struct store *out)
{
    const uint64_t sector =
        o->erase_bytes ? (uint64_t)o->erase_bytes : DEFAULT_ERASE_BYTES;
    const uint64_t slot = ((uint64_t)o->create_bytes + sector - 1) / sector * sector;

    out->path = path_of_file(a, o->path);

    const int why = hadm_slot_file_open(&out->file, out->path, (uint32_t)sector,
                                        o->create_bytes ? 2 * sector + 2 * slot : 0);

    if (why)
        return cannot_open(out->path, why, o->create_bytes > 0);
    out->opened = hadm_slots_open(&out->slots, &out->file.storage);
    if (out->opened == HADM_UPDATE_OK || out->opened == HADM_UPDATE_NO_WEIGHTS)
        return OK;
    if (o->create_bytes)
        unlink(out->path); /* ours, and empty */
    hadm_slot_file_close(&out->file);
    return FAIL(INVALID, "'%s': %s", out->path, hadm_update_strerror(out->opened));
}

static struct status *need_weights(const struct store *st)
{
    if (st->opened == HADM_UPDATE_OK)
        return OK;
    return FAIL(INVALID,
                "'%s' holds no valid journal: no slot is active (or --erase-bytes is"
                " not what it was made with)",
                st->path);
}

static void describe_slot(const struct store *st, int slot, const char *role,
                          json_t *out)
{
    const struct hadm_slot *s = &st->slots.slot[slot];
    json_t *about = json_object();

    json_object_set_new(about, "slot", json_integer(slot));
    json_object_set_new(about, "number", json_integer((json_int_t)s->number));
    json_object_set_new(about, "offset",
                        json_integer((json_int_t)hadm_slots_offset(&st->slots, slot)));
    json_object_set_new(about, "bytes", json_integer((json_int_t)s->bytes));
    json_object_set_new(about, "sha256", json_lines_hash(s->sha256));
    json_object_set_new(out, role, about);
}

static void describe_store(struct arena *a, const struct store *st, json_t *out)
{
    const struct hadm_slots *s = &st->slots;

    json_object_set_new(out, "slots", json_string(json_door_plain(a, st->path)));
    json_object_set_new(out, "slot_bytes", json_integer((json_int_t)s->slot_bytes));
    describe_slot(st, s->active, "active", out);
    if (s->has_previous)
        describe_slot(st, !s->active, "previous", out);
}

/* ---- applying ------------------------------------------------------------ */

/* Why the patch is refused, with the numbers of both sides. */
static struct status *refusal(struct arena *a, const struct store *st,
                              const struct patch_file *patch,
                              enum hadm_update_status status)
{
    const struct hadm_patch *p = &patch->header;
    const struct hadm_slot *active = &st->slots.slot[st->slots.active > 0];

    switch (status) {
    case HADM_UPDATE_WRONG_BASE:
        return FAIL(INVALID,
                    "'%s' is refused: its base has the SHA-256 %s, the active weights"
                    " of '%s' have %s",
                    patch->path, arena_hex(a, p->base_sha256, 32), st->path,
                    arena_hex(a, active->sha256, 32));
    case HADM_UPDATE_DOWNGRADE:
        return FAIL(INVALID,
                    "'%s' is refused: it has the number %llu, the active weights of"
                    " '%s' have %llu; --allow-downgrade takes it",
                    patch->path, (unsigned long long)p->number, st->path,
                    (unsigned long long)active->number);
    case HADM_UPDATE_TOO_LARGE:
        return FAIL(NO_FIT,
                    "'%s' is refused: the new weights take %llu bytes, a slot of '%s'"
                    " has %llu",
                    patch->path, (unsigned long long)p->new_bytes, st->path,
                    (unsigned long long)st->slots.slot_bytes);
    case HADM_UPDATE_IO:
    case HADM_UPDATE_BAD_SLOT:
        return FAIL(IO_ERROR, "'%s' cannot be applied to '%s': %s", patch->path,
                    st->path, hadm_update_strerror(status));
    default:
        return FAIL(INVALID, "'%s' is refused: %s", patch->path,
                    hadm_update_strerror(status));
    }
}

/* Slots that have no journal at these sectors may have one at others: they are taken
 * as empty only when they were made here. */
static struct status *apply(struct arena *a, struct store *st,
                            const struct slots_options *o,
                            const struct patch_file *patch)
{
    if (!o->create_bytes)
        RETURN_IF_FAIL(need_weights(st));

    const struct hadm_update_options options = {
        .verify = o->key ? ed25519_verify : NULL,
        .public_key = o->key,
        .allow_downgrade = o->allow_downgrade,
    };
    struct hadm_update *u = arena_new(a, struct hadm_update);

    hadm_update_begin(u, &st->slots, &options);
    hadm_update_add(u, patch->bytes.at, patch->bytes.len);

    const enum hadm_update_status status = hadm_update_end(u);

    return status ? refusal(a, st, patch, status) : OK;
}

struct status *update_slots_apply(struct arena *a, const struct slots_options *o,
                                  const struct patch_file *patch, json_t *out)
{
    struct store st;

    RETURN_IF_FAIL(open_store(a, o, &st));

    struct status *s = apply(a, &st, o, patch);

    if (!s)
        describe_store(a, &st, out);
    else if (o->create_bytes)
        unlink(st.path); /* ours, and empty */
    hadm_slot_file_close(&st.file);
    return s;
}

/* ---- going back, looking ------------------------------------------------- */

struct status *update_slots_roll_back(struct arena *a, const struct slots_options *o,
                                      json_t *out)
{
    struct store st;

    RETURN_IF_FAIL(open_store(a, o, &st));

    struct status *s = need_weights(&st);

    if (!s) {
        const enum hadm_update_status status = hadm_slots_roll_back(&st.slots);

        if (status)
            s = FAIL(INVALID, "'%s' stays as it is: %s", st.path,
                     hadm_update_strerror(status));
        else
            describe_store(a, &st, out);
    }
    hadm_slot_file_close(&st.file);
    return s;
}

static struct status *check_slot(const struct store *st, int slot, const char *role)
{
    const enum hadm_update_status status = hadm_slots_check(&st->slots, slot);

    return status ? FAIL(INVALID, "the %s slot %d of '%s': %s", role, slot, st->path,
                         hadm_update_strerror(status))
                  : OK;
}

struct status *update_slots_verify(struct arena *a, const struct slots_options *o,
                                   json_t *out)
{
    struct store st;

    RETURN_IF_FAIL(open_store(a, o, &st));

    struct status *s = need_weights(&st);

    if (!s)
        s = check_slot(&st, st.slots.active, "active");
    if (!s && st.slots.has_previous)
        s = check_slot(&st, !st.slots.active, "previous");
    if (!s)
        describe_store(a, &st, out);
    hadm_slot_file_close(&st.file);
    return s;
}
