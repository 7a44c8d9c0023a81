/* SPDX-License-Identifier: Apache-2.0 */
/* Two slots for weights on a device, and a journal that says which one counts.
 * Freestanding: no heap, no stdio; storage is reached through four functions.
 *
 *     0                 journal sector 0     one record of 256 bytes at its start
 *     erase_bytes       journal sector 1
 *     2 * erase_bytes   slot 0, slot_bytes long
 *     + slot_bytes      slot 1
 *
 * A change is one new record, written into the sector that does not hold the newest
 * one. The newest record whose checksum is right counts, so whenever power fails either
 * the old state or the new one is there, and a slot that counts is never written to.
 *
 *     struct hadm_slots slots;
 *     if (hadm_slots_open(&slots, &storage) == HADM_UPDATE_OK)
 *         foo_open(&foo, flash + hadm_slots_offset(&slots, slots.active),
 *                  slots.slot[slots.active].bytes, ...);
 */
#ifndef HADMC_RUNTIME_SLOTS_H
#define HADMC_RUNTIME_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/update_status.h"

/* The functions return 0, or anything else for failure; `at` is from the start of the
 * area.  Writes begin and end at multiples of 256 and go to places that were erased
 * before and not written since, rising within a slot.  What an erased place reads as
 * does not matter.  After `flush` everything written is safe from a loss of power. */
struct hadm_storage {
    void *context;
    uint64_t bytes;       /* of the area                                            */
    uint32_t erase_bytes; /* what is erased at a time: a power of two, at least 256 */
    int (*read)(void *context, uint64_t at, void *to, size_t n_bytes);
    int (*write)(void *context, uint64_t at, const void *from, size_t n_bytes);
    int (*erase)(void *context, uint64_t at, uint64_t n_bytes); /* whole sectors */
    int (*flush)(void *context);
};

enum { HADM_STORAGE_WRITE = 256 };

struct hadm_slot {
    uint64_t number; /* of the update that made it; 0 when it came otherwise     */
    uint64_t bytes;  /* of the weights file in it                                */
    uint8_t sha256[32], root[32]; /* of that file                                */
};

/* Fields are for reading.  One user at a time. */
struct hadm_slots {
    const struct hadm_storage *storage;
    uint64_t slot_bytes; /* a multiple of erase_bytes                            */
    uint64_t generation; /* of the newest record; 0: there is none               */
    int sector;          /* of the journal that holds it                         */
    int active;          /* 0 or 1; -1 without any weights                       */
    int has_previous;    /* the other slot holds what was active before          */
    struct hadm_slot slot[2];
};

/* Borrows `storage`.  NO_WEIGHTS when there is no valid record: `s` is empty then, and
 * a full patch may be applied.  BAD_STORAGE, IO. */
enum hadm_update_status hadm_slots_open(struct hadm_slots *s,
                                        const struct hadm_storage *storage);

/* Where a slot begins: a multiple of erase_bytes. */
uint64_t hadm_slots_offset(const struct hadm_slots *s, int slot);

/* Reads a slot completely: BAD_SLOT when its hashes are not those of its record. */
enum hadm_update_status hadm_slots_check(const struct hadm_slots *s, int slot);

/* The previous weights become active, after they were checked; what was active is given
 * up.  NO_WEIGHTS, NO_PREVIOUS, BAD_SLOT (nothing has changed), IO. */
enum hadm_update_status hadm_slots_roll_back(struct hadm_slots *s);

/* ---- for update.c -------------------------------------------------------- */

/* Makes `next` the state: a new record, on storage when this returns OK.  On failure
 * `s` stays as it was, and so does the state unless the record came through whole. */
enum hadm_update_status hadm_slots_commit(struct hadm_slots *s,
                                          const struct hadm_slots *next);

/* The structure hash that the weights file in the first `bytes` of a slot names:
 * BAD_SLOT when it is not built like one. */
enum hadm_update_status hadm_slots_structure(const struct hadm_slots *s, int slot,
                                             uint64_t bytes, uint8_t out[32]);

/* Fills in both hashes of the first out->bytes of a slot. */
enum hadm_update_status hadm_slots_hash(const struct hadm_slots *s, int slot,
                                        struct hadm_slot *out);

#endif /* HADMC_RUNTIME_SLOTS_H */
