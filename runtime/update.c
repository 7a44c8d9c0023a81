/* SPDX-License-Identifier: Apache-2.0 */
/* Applies patches: see update.h.  The order of writes is what makes it safe:
 *
 *     1. a record without a previous slot, if there was one
 *     2. the other slot, sector by sector; flush; read back
 *     3. a record that makes it active
 */
#include "runtime/update.h"

#include "runtime/mem.h"
#include "runtime/sha256.h"

_Static_assert(sizeof(struct hadm_update) <= 5 * 1024 + 256, "what update.h promises");

const char *hadm_update_strerror(enum hadm_update_status status)
{
    switch (status) {
    case HADM_UPDATE_OK:
        return "done";
    case HADM_UPDATE_NOT_A_PATCH:
        return "not a patch";
    case HADM_UPDATE_OTHER_FORMAT:
        return "a patch of another format version";
    case HADM_UPDATE_DAMAGED:
        return "damaged: fields or hashes do not agree, or it is cut off";
    case HADM_UPDATE_NOT_SIGNED:
        return "not signed";
    case HADM_UPDATE_BAD_SIGNATURE:
        return "the signature is not by this key";
    case HADM_UPDATE_OTHER_MODEL:
        return "for code of another structure";
    case HADM_UPDATE_WRONG_BASE:
        return "the active weights are not its base";
    case HADM_UPDATE_DOWNGRADE:
        return "its number is not above that of the active weights";
    case HADM_UPDATE_TOO_LARGE:
        return "the new weights are larger than a slot";
    case HADM_UPDATE_NO_WEIGHTS:
        return "no slot is active";
    case HADM_UPDATE_NO_PREVIOUS:
        return "there are no previous weights";
    case HADM_UPDATE_BAD_SLOT:
        return "what lies in the slot is not what belongs there";
    case HADM_UPDATE_BAD_STORAGE:
        return "no room for a journal and two slots, or a wrong sector size";
    case HADM_UPDATE_IO:
        return "the storage failed";
    }
    return "an unknown status";
}

/* ---- before anything is written -----------------------------------------------------
 */

static enum hadm_update_status check_signature(const struct hadm_update *u)
{
    const struct hadm_update_options *o = u->options;
    const struct hadm_patch *p = &u->reader.header;

    if (!o->verify)
        return HADM_UPDATE_OK;
    if (!p->is_signed)
        return HADM_UPDATE_NOT_SIGNED;
    /* The header is still where the reader took it from. */
    return o->verify(p->signature, u->reader.buffer, HADM_PATCH_SIGNED_BYTES,
                     o->public_key)
               ? HADM_UPDATE_OK
               : HADM_UPDATE_BAD_SIGNATURE;
}

static enum hadm_update_status check_structure(const struct hadm_update *u)
{
    const struct hadm_slots *s = u->slots;
    const uint8_t *expected = u->options->structure_hash;
    uint8_t active[32];

    if (!expected && s->active >= 0) {
        const enum hadm_update_status status =
            hadm_slots_structure(s, s->active, s->slot[s->active].bytes, active);

        if (status)
            return status;
        expected = active;
    }
    return !expected || sha256_same(expected, u->reader.header.structure_hash)
               ? HADM_UPDATE_OK
               : HADM_UPDATE_OTHER_MODEL;
}

static enum hadm_update_status check_base(const struct hadm_update *u)
{
    const struct hadm_slots *s = u->slots;
    const struct hadm_patch *p = &u->reader.header;

    if (p->base_bytes == 0)
        return HADM_UPDATE_OK;
    if (s->active < 0)
        return HADM_UPDATE_NO_WEIGHTS;

    const struct hadm_slot *active = &s->slot[s->active];

    return active->bytes == p->base_bytes && sha256_same(active->root, p->base_root)
                   && sha256_same(active->sha256, p->base_sha256)
               ? HADM_UPDATE_OK
               : HADM_UPDATE_WRONG_BASE;
}

static enum hadm_update_status check_number(const struct hadm_update *u)
{
    const struct hadm_slots *s = u->slots;

    return u->options->allow_downgrade || s->active < 0
                   || u->reader.header.number > s->slot[s->active].number
               ? HADM_UPDATE_OK
               : HADM_UPDATE_DOWNGRADE;
}

static enum hadm_update_status check_header(const struct hadm_update *u)
{
    typedef enum hadm_update_status check(const struct hadm_update *u);
    static check *const checks[] = {check_signature, check_structure, check_base,
                                    check_number};

    for (unsigned i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        const enum hadm_update_status status = checks[i](u);

        if (status)
            return status;
    }
    return u->reader.header.new_bytes > u->slots->slot_bytes ? HADM_UPDATE_TOO_LARGE
                                                             : HADM_UPDATE_OK;
}

/* The other slot is about to be overwritten: nobody may go back to it. */
static enum hadm_update_status give_up_previous(struct hadm_update *u)
{
    struct hadm_slots next = *u->slots;

    next.has_previous = 0;
    return u->slots->has_previous ? hadm_slots_commit(u->slots, &next) : HADM_UPDATE_OK;
}

/* ---- writing -----------------------------------------------------------------------
 */

/* `bytes` has room for zeros up to a multiple of 256. */
static enum hadm_update_status write_next(struct hadm_update *u, uint8_t *bytes,
                                          uint32_t n_bytes)
{
    const struct hadm_storage *storage = u->slots->storage;
    const uint64_t begin = hadm_slots_offset(u->slots, u->target);
    const uint32_t n = (n_bytes + HADM_STORAGE_WRITE - 1) & ~(HADM_STORAGE_WRITE - 1u);

    memset(bytes + n_bytes, 0, n - n_bytes);
    for (; u->erased < u->written + n; u->erased += storage->erase_bytes)
        if (storage->erase(storage->context, begin + u->erased, storage->erase_bytes))
            return HADM_UPDATE_IO;
    if (storage->write(storage->context, begin + u->written, bytes, n))
        return HADM_UPDATE_IO;
    u->written += n;
    return HADM_UPDATE_OK;
}

/* Blocks from the one that is next up to `end` are as in the base. */
static enum hadm_update_status copy_until(struct hadm_update *u, uint64_t end)
{
    const struct hadm_slots *s = u->slots;
    const struct hadm_patch *p = &u->reader.header;
    const uint64_t last = end * HADM_PATCH_BLOCK;
    const uint64_t end_bytes = last < p->new_bytes ? last : p->new_bytes;

    while (u->written < end_bytes) {
        const uint64_t rest = end_bytes - u->written;
        const uint32_t n = rest < sizeof u->chunk ? (uint32_t)rest : sizeof u->chunk;
        const uint64_t from = hadm_slots_offset(s, s->active) + u->written
                              + (uint64_t)p->shift * HADM_PATCH_BLOCK;

        if (s->storage->read(s->storage->context, from, u->chunk, n))
            return HADM_UPDATE_IO;

        const enum hadm_update_status status = write_next(u, u->chunk, n);

        if (status)
            return status;
    }
    return HADM_UPDATE_OK;
}

static enum hadm_update_status take_header(struct hadm_update *u)
{
    const enum hadm_update_status status = check_header(u);

    u->target = u->slots->active < 0 ? 0 : !u->slots->active;
    return status ? status : give_up_previous(u);
}

static enum hadm_update_status take_block(struct hadm_update *u)
{
    const enum hadm_update_status status = copy_until(u, u->reader.block);

    return status ? status : write_next(u, u->reader.data, u->reader.data_bytes);
}

/* ---- the three calls ----------------------------------------------------- */

void hadm_update_begin(struct hadm_update *u, struct hadm_slots *slots,
                       const struct hadm_update_options *options)
{
    u->slots = slots;
    u->options = options;
    u->status = HADM_UPDATE_OK;
    u->target = 0;
    u->written = 0;
    u->erased = 0;
    hadm_patch_begin(&u->reader);
}

enum hadm_update_status hadm_update_add(struct hadm_update *u, const void *bytes,
                                        size_t n_bytes)
{
    const uint8_t *at = (const uint8_t *)bytes;

    while (n_bytes && u->status == HADM_UPDATE_OK) {
        const enum hadm_patch_event event = hadm_patch_next(&u->reader, &at, &n_bytes);

        u->status = event == HADM_PATCH_HAS_HEADER  ? take_header(u)
                    : event == HADM_PATCH_HAS_BLOCK ? take_block(u)
                                                    : u->reader.status;
    }
    return u->status;
}

/* Reads the slot back: it must be what the header promised. */
static enum hadm_update_status check_result(const struct hadm_update *u,
                                            struct hadm_slot *made)
{
    const struct hadm_patch *p = &u->reader.header;
    uint8_t structure[32];
    enum hadm_update_status status;

    made->number = p->number;
    made->bytes = p->new_bytes;
    status = hadm_slots_hash(u->slots, u->target, made);
    if (!status
        && !(sha256_same(made->root, p->new_root)
             && sha256_same(made->sha256, p->new_sha256)))
        status = HADM_UPDATE_BAD_SLOT;
    if (!status)
        status = hadm_slots_structure(u->slots, u->target, p->new_bytes, structure);
    if (!status && !sha256_same(structure, p->structure_hash))
        status = HADM_UPDATE_OTHER_MODEL;
    return status;
}

enum hadm_update_status hadm_update_end(struct hadm_update *u)
{
    const struct hadm_storage *storage = u->slots->storage;
    struct hadm_slots next = *u->slots;

    if (!u->status)
        u->status = hadm_patch_end(&u->reader);
    if (!u->status)
        u->status = copy_until(u, UINT64_MAX / HADM_PATCH_BLOCK);
    if (!u->status && storage->flush(storage->context))
        u->status = HADM_UPDATE_IO;
    if (!u->status)
        u->status = check_result(u, &next.slot[u->target]);
    next.active = u->target;
    next.has_previous = u->slots->active >= 0;
    if (!u->status)
        u->status = hadm_slots_commit(u->slots, &next);
    return u->status;
}
