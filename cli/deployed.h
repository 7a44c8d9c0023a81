/* SPDX-License-Identifier: Apache-2.0 */
/* --deployed: what devices that have an older version must be sent, in bytes of real
 * patches (docs/updates.md), and which strategy the plan says. */
#ifndef HADMC_CLI_DEPLOYED_H
#define HADMC_CLI_DEPLOYED_H

#include "codegen/compile_model.h"

struct deployed_options {
    const char *old;   /* a bundle, or a weights file */
    bool chooses;      /* --update auto */
    int64_t max_bytes; /* of a patch; 0: any */
    /* Told the bundle with the weights that an incremental update leaves on devices;
     * *words, NULL or what *sentence ends with, is how accurate it is.  NULL: nobody
     * asks. */
    struct status *(*measure)(void *arg, const char *folder, const char **words);
    void *arg;
};

/* INVALID, IO_ERROR: deployed_choose could not use the old file. */
struct status *deployed_check(const struct deployed_options *o);

/* Compiles the model as `co` says, into a folder of its own, and makes the patches.
 * *update, co->update or what a plan says otherwise, becomes the strategy of fewest
 * bytes if the options ask for it: `full` or `hash`, which lead to the same weights,
 * or, when neither is small enough, the largest share of `incremental` in tenths that
 * is; the layers that then stay old are to the bit those of the device.  *sentence, in
 * `a`, has all sizes.  NO_FIT: the strategy's patch has more than max_bytes.  INVALID:
 * the old file is no weights file. */
struct status *deployed_choose(struct arena *a, const char *model,
                               const struct compile_options *co,
                               const struct deployed_options *o,
                               struct plan_update *update, const char **sentence);

#endif /* HADMC_CLI_DEPLOYED_H */
