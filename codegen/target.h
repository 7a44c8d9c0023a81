/* SPDX-License-Identifier: Apache-2.0 */
/* A device as the code generator sees it.  One folder of targets/ each; nothing
 * outside that folder spells a target's name. */
#ifndef HADMC_CODEGEN_TARGET_H
#define HADMC_CODEGEN_TARGET_H

#include "codegen/emit.h"
#include "support/arena.h"
#include "support/status.h"

struct target {
    const char *name;          /* of its folder in targets/ */
    const char *summary;       /* one line for `hadmcc targets` */
    const char *device_json;   /* embedded text of the folder's device.json */
    /* The instruction set for --cpu CPU (NULL: the target's default; host: what
     * this machine has).  Unknown names are BAD_USAGE and list what there is. */
    struct status *(*resolve)(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features);
    const char *run_with[4];   /* argv prefix to run its programs here, e.g.
                                  {"qemu-aarch64", "-cpu", "cortex-a76"}; [0] NULL: native */
};

extern const struct target *const all_targets[]; /* ends with NULL */
const struct target *target_find(const char *name);

#endif /* HADMC_CODEGEN_TARGET_H */
