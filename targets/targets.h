/* SPDX-License-Identifier: Apache-2.0 */
/* What the folders of targets share; the rest of the tree sees codegen/target.h. */
#ifndef HADMC_TARGETS_TARGETS_H
#define HADMC_TARGETS_TARGETS_H

#include "codegen/target.h"

#define TARGET(name)                                                                   \
    extern const struct target target_##name;                                          \
    extern const char hadmc_device_json_##name[] __attribute__((visibility("hidden")));
#include "targets/targets.def"

/* x86.c: the row of `cpu`; BAD_USAGE with the list when there is none. */
struct status *x86_resolve(struct arena *a, const char *cpu, struct isa *out,
                           uint64_t *cpu_features);
/* The processor that this runs on: its own row, or a generic level that it has when
 * it is new or hides features (virtual machines). */
struct status *x86_resolve_here(struct arena *a, struct isa *out, uint64_t *cpu_features);

/* aarch64.c: the same. */
struct status *aarch64_resolve(struct arena *a, const char *cpu, struct isa *out,
                               uint64_t *cpu_features);
struct status *aarch64_resolve_here(struct arena *a, struct isa *out,
                                    uint64_t *cpu_features);

#endif /* HADMC_TARGETS_TARGETS_H */
