/* SPDX-License-Identifier: Apache-2.0 */
/* The operand of run, verify and bench: see bundle_args.h. */
#include "cli/bundle_args.h"

#include "cli/test_data.h"

struct status *bundle_args_load(struct arena *a, const char *verb, const char *folder,
                                const char *test_data, struct bundle_args *out)
{
    *out = (struct bundle_args){.arena = a, .folder = folder};
    if (!folder)
        return FAIL(BAD_USAGE, "no bundle given: hadmcc %s BUNDLE", verb);
    RETURN_IF_FAIL(bundle_read_meta(a, folder, &out->meta));
    out->run.target = target_find(out->meta.target);
    if (test_data)
        return test_data_inputs(a, test_data, &out->meta, &out->inputs);
    out->inputs = test_data_made_up(a, &out->meta);
    return OK;
}
