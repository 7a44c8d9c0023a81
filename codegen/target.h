/* SPDX-License-Identifier: Apache-2.0 */
/* A device as the code generator sees it.  One folder of targets/ each; nothing
 * outside that folder spells a target's name. */
#ifndef HADMC_CODEGEN_TARGET_H
#define HADMC_CODEGEN_TARGET_H

#include "codegen/emit.h"
#include "hal/cost.h"
#include "support/arena.h"
#include "support/status.h"

/* What hadmcc writes for a device, each with all that follows. */
enum target_emits {
    EMITS_CODE, /* machine code */
    EMITS_C,    /* C for the device's compiler */
    EMITS_PLAN, /* what to compress, and what that costs; no code */
};

struct target {
    const char *name;        /* of its folder in targets/, with - for _ */
    const char *summary;     /* one line for `hadmcc targets` */
    const char *device_json; /* embedded text of the folder's device.json */
    /* The instruction set for --cpu CPU (NULL: the target's default; host: what
     * this machine has).  Unknown names are BAD_USAGE and list what there is.  NULL
     * without EMITS_CODE. */
    struct status *(*resolve)(struct arena *a, const char *cpu, struct isa *out,
                              uint64_t *cpu_features);
    enum target_emits emits;
    const char
        *run_with[4]; /* argv prefix to run its programs here, e.g.
                         {"qemu-aarch64", "-cpu", "cortex-a76"}; [0] NULL: native */
};

extern const struct target *const all_targets[]; /* ends with NULL */
const struct target *target_find(const char *name);

/* What costs are modelled from: the user's device.json `file`, or with NULL the
 * target's own. */
struct status *target_device(struct arena *a, const struct target *t, const char *file,
                             struct device *out);
/* Of units of 16 bits: hadmcc's code multiplies float32, plans are for what a device
 * can. */
enum cost_halves target_halves(const struct target *t, const struct device *d);
/* What machine code stores weights of depthwise convolutions in at least: a byte each.
 * C has two of 4 bits in a byte, plans are for what a device can. */
int target_depthwise_bits(const struct target *t, bool as_c);
/* Fits a target's own figures to code for a processor: the rate of its vectors, and
 * what it has instead of products of bytes, which a user's `file` says itself. */
void target_fit_device(const struct isa *isa, const char *file, struct device *d);
/* target_device, fitted to code for the processor `cpu`; NULL: the target's usual one.
 */
struct status *target_fitted_device(struct arena *a, const struct target *t,
                                    const char *cpu, const char *file,
                                    struct device *out);
/* The target whose code a user's device.json asks for; INVALID if it names none. */
struct status *target_of_file(struct arena *a, const char *file,
                              const struct target **out);

#endif /* HADMC_CODEGEN_TARGET_H */
