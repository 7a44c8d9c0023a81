/* SPDX-License-Identifier: Apache-2.0 */
/* Makes patches (docs/update-format.md): the bytes that lead a device from one weights
 * file to another. */
#ifndef HADMC_UPDATE_PATCH_MAKER_H
#define HADMC_UPDATE_PATCH_MAKER_H

#include "plan/plan.h"
#include "runtime/patch.h"
#include "update/key_file.h"
#include "update/layer_choice.h"

struct patch_options {
    enum plan_strategy strategy;
    double ratio; /* 0 to 1, of incremental; 0: none of the layers */
    uint64_t number;
    const struct signing_key *key; /* NULL: not signed */
};

struct patch_made {
    struct bytes bytes;
    struct hadm_patch header;
    struct layer_choice choice; /* of incremental; otherwise without layers      */
};

/* From `base` (NULL: none, for a full patch) to `fresh`, in `a`.  The result of an
 * incremental patch is out->choice.result, otherwise `fresh` itself.  INVALID when the
 * two belong to code of different structure. */
struct status *patch_make(struct arena *a, const struct weights_file *base,
                          const struct weights_file *fresh,
                          const struct patch_options *o, struct patch_made *out);

#endif /* HADMC_UPDATE_PATCH_MAKER_H */
