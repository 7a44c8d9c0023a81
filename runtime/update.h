/* SPDX-License-Identifier: Apache-2.0 */
/* Applies a patch to the slot that is not active, as its bytes arrive, and makes that
 * slot active when all of it is right.  Freestanding.
 *
 *     static struct hadm_update update;
 *     const struct hadm_update_options options = {.verify = ed25519_verify,
 *                                                 .public_key = key};
 *
 *     hadm_update_begin(&update, &slots, &options);
 *     while ((n = receive(bytes, sizeof bytes)) > 0)
 *         if (hadm_update_add(&update, bytes, n) != HADM_UPDATE_OK)
 *             break;
 *     status = hadm_update_end(&update);
 *
 * Before anything is written: header and signature, structure, base, number, room.  A
 * block is checked before it is written.  At the end the slot is read back and must
 * have the root that the header promised.  Until then the old weights stay active, and
 * may be in use; what was previous to them is given up with the first byte written.
 *
 * Memory: sizeof (struct hadm_update), 5 072 bytes on a Cortex-M4, and 3 KiB of stack.
 */
#ifndef HADMC_RUNTIME_UPDATE_H
#define HADMC_RUNTIME_UPDATE_H

#include "runtime/patch.h"
#include "runtime/slots.h"

/* All zero: patches with or without a signature that is not looked at, for the code
 * whose weights are active, with rising numbers. */
struct hadm_update_options {
    /* Both or none; ed25519_verify, or the same done by hardware. */
    int (*verify)(const uint8_t signature[64], const void *message, size_t n_bytes,
                  const uint8_t public_key[32]);
    const uint8_t *public_key;     /* 32 bytes                                        */
    const uint8_t *structure_hash; /* of the code; NULL: that of the active weights,
                                      without any every structure                     */
    int allow_downgrade;           /* any number                                      */
};

struct hadm_update {
    struct hadm_slots *slots;
    const struct hadm_update_options *options;
    enum hadm_update_status status;
    int target;       /* slot that is written                          */
    uint64_t written; /* bytes of it, up to a multiple of 256          */
    uint64_t erased;
    struct hadm_patch_reader reader;
    uint8_t chunk[512];
};

/* Borrows all three until the end; writes nothing. */
void hadm_update_begin(struct hadm_update *u, struct hadm_slots *slots,
                       const struct hadm_update_options *options);
/* The next bytes of the patch, any number.  The first failure stays. */
enum hadm_update_status hadm_update_add(struct hadm_update *u, const void *bytes,
                                        size_t n_bytes);
/* After OK the new weights are active, here and after the next start; otherwise the old
 * ones are. */
enum hadm_update_status hadm_update_end(struct hadm_update *u);

#endif /* HADMC_RUNTIME_UPDATE_H */
