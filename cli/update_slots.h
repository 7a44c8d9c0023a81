/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of a device as a file: what `hadmcc update` does to them, by the device's own
 * code (runtime/update.h). */
#ifndef HADMC_CLI_UPDATE_SLOTS_H
#define HADMC_CLI_UPDATE_SLOTS_H

#include <jansson.h>

#include "update/patch_file.h"

struct slots_options {
    const char *path;   /* a file, or a folder that holds weights.slots           */
    int erase_bytes;    /* 0: 4096                                                */
    int create_bytes;   /* of a slot; 0: the file is there, and its journal      */
    const uint8_t *key; /* 32 bytes; NULL: signatures are not looked at           */
    bool allow_downgrade;
};

/* All three add what there is to say to `out`. */
struct status *update_slots_apply(struct arena *a, const struct slots_options *o,
                                  const struct patch_file *patch, json_t *out);
struct status *update_slots_roll_back(struct arena *a, const struct slots_options *o,
                                      json_t *out);
/* INVALID when what lies in a slot is not what the journal says. */
struct status *update_slots_verify(struct arena *a, const struct slots_options *o,
                                   json_t *out);

#endif /* HADMC_CLI_UPDATE_SLOTS_H */
