/* SPDX-License-Identifier: Apache-2.0 */
/* What reading a patch, or changing the slots, may come to. */
#ifndef HADMC_RUNTIME_UPDATE_STATUS_H
#define HADMC_RUNTIME_UPDATE_STATUS_H

enum hadm_update_status {
    HADM_UPDATE_OK = 0,
    HADM_UPDATE_NOT_A_PATCH,   /* does not begin like one                             */
    HADM_UPDATE_OTHER_FORMAT,  /* of a format_major that this code does not know      */
    HADM_UPDATE_DAMAGED,       /* fields or hashes do not agree; ends early or late   */
    HADM_UPDATE_NOT_SIGNED,    /* a key is given, but the patch has no signature      */
    HADM_UPDATE_BAD_SIGNATURE, /* by another key, or of another header                */
    HADM_UPDATE_OTHER_MODEL,   /* for code with another structure hash                */
    HADM_UPDATE_WRONG_BASE,    /* the active slot holds other weights than its base   */
    HADM_UPDATE_DOWNGRADE,     /* its number is not above that of the active slot     */
    HADM_UPDATE_TOO_LARGE,     /* the new weights do not fit into a slot              */
    HADM_UPDATE_NO_WEIGHTS,    /* no slot is active: only a full patch can be applied */
    HADM_UPDATE_NO_PREVIOUS,   /* nothing to roll back to                             */
    HADM_UPDATE_BAD_SLOT,      /* what lies in the slot is not what belongs there     */
    HADM_UPDATE_BAD_STORAGE,   /* erase_bytes is no power of two from 256, or no room */
    HADM_UPDATE_IO,            /* a function of the storage failed                    */
};

/* A constant sentence. */
const char *hadm_update_strerror(enum hadm_update_status status);

#endif /* HADMC_RUNTIME_UPDATE_STATUS_H */
