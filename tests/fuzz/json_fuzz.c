/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen frontend kernels runtime
/* Reports of bundles: what is accepted keeps the promises that the runner relies on,
 * a refusal says why, and every byte that is pointed to may be read. */
#include <ctype.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "tests/fuzz/fuzz.h"

static char folder[] = "/tmp/hadmc-json-XXXXXX", report[64];

static void remove_folder(void)
{
    unlink(report);
    rmdir(folder);
}

static void write_report(const uint8_t *data, size_t size)
{
    if (!report[0]) {
        if (!mkdtemp(folder))
            abort();
        snprintf(report, sizeof report, "%s/x.report.json", folder);
        atexit(remove_folder);
    }

    FILE *f = fopen(report, "wb");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_door(const struct bundle_io *io)
{
    int64_t bytes = dtype_info[io->dtype].bytes;

    require(io->dtype != DT_NONE && strlen(io->name) < SIZE_MAX);
    require(io->rank >= 0 && io->rank <= IR_MAX_RANK);
    for (int i = 0; i < io->rank; i++)
        require(io->dim[i] >= 0 && !__builtin_mul_overflow(bytes, io->dim[i], &bytes));
    require(bytes <= INT64_C(1) << 40);
}

static void check_meta(const struct bundle_meta *m)
{
    require(m->prefix[0] && !isdigit((unsigned char)m->prefix[0]));
    for (const char *c = m->prefix; *c; c++)
        require(isalnum((unsigned char)*c) || *c == '_');
    require(strlen(m->target) + strlen(m->cpu) < SIZE_MAX);
    require(m->workspace_bytes >= 0 && m->weights_bytes >= 0 && m->max_workers >= 0);
    for (int i = 0; i < m->n_inputs + m->n_outputs; i++)
        check_door(&m->io[i]);
    for (int i = 0; i < m->n_steps; i++) {
        const struct bundle_step *s = &m->steps[i];

        require(strlen(s->name) + strlen(s->node) + strlen(s->covers) < SIZE_MAX);
        require(s->flops >= 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create();
    struct bundle_meta meta;

    write_report(data, size);

    struct status *s = bundle_read_meta(a, folder, &meta);

    if (s)
        fuzz_check(s);
    else
        check_meta(&meta);
    arena_destroy(a);
    return 0;
}
