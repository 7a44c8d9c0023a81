/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc run: one inference of a bundle, outputs as ONNX tensor files. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/bundle_args.h"
#include "frontend/onnx_import.h"

#define OPTIONS_FILE "cli/verb_run.def"
#include "cli/option_rows.h"

static struct status *save(struct arena *a, const char *dir,
                           const struct bundle_meta *meta, const struct tensor *outputs)
{
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return FAIL(IO_ERROR, "cannot make the folder '%s': %s", dir, strerror(errno));
    for (int i = 0; i < meta->n_outputs; i++)
        RETURN_IF_FAIL(
            onnx_write_tensor_file(arena_printf(a, "%s/output_%d.pb", dir, i),
                                   meta->io[meta->n_inputs + i].name, &outputs[i]));
    return OK;
}

static struct status *run_bundle(struct arena *a, const char *folder,
                                 const struct args *o)
{
    struct bundle_args b;
    struct run_result r;

    if (!o->test_data || !o->save)
        return FAIL(BAD_USAGE, "hadmcc run needs --test-data DIR and --save DIR");
    RETURN_IF_FAIL(bundle_args_load(a, "run", folder, o->test_data, &b));
    b.run.repeat = 1;
    b.run.n_workers = o->workers;
    b.run.timeout_s = o->timeout;
    RETURN_IF_FAIL(bundle_run(a, folder, &b.meta, b.inputs, &b.run, &r));
    return save(a, o->save, &b.meta, r.outputs);
}

static struct status *run(const char *folder, const void *args)
{
    struct arena *a = arena_create();
    struct status *s = run_bundle(a, folder, args);

    arena_destroy(a);
    return s;
}

const struct verb verb_run = {
    .name = "run",
    .operand = "BUNDLE",
    .about =
        "Run a bundle once and save its outputs as DIR/output_0.pb, output_1.pb ...\n"
        "A bundle for another processor runs under its emulator.",
    .example = "hadmcc run keyword.host --test-data test_data_set_0 --save out",
    .options = options,
    .n_options = N_OPTIONS,
    .args_size = sizeof(struct args),
    .run = run,
};
