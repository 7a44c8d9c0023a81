/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of a folder, and inputs made up: see test_data.h. */
#include "cli/test_data.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "codegen/runner.h"
#include "frontend/onnx_import.h"
#include "frontend/onnx_wire.h"

/* ---- files ----------------------------------------------------------------- */

/* A file that holds something else than a tensor has no name. */
static const char *name_in_file(struct arena *a, const char *path)
{
    const struct onnx_tensor *t = NULL;
    struct bytes file;
    struct status *s = runner_read_file(a, path, &file);

    if (!s)
        s = onnx_wire_tensor(a, file.at, file.len, &t);
    status_free(s);
    return t && t->name ? t->name : "";
}

struct status *test_data_load(struct arena *a, const char *dir, const char *kind,
                              struct test_data *out)
{
    int cap = 0;

    memset(out, 0, sizeof *out);
    if (access(dir, F_OK) != 0)
        return FAIL(IO_ERROR, "cannot read the folder '%s': %s", dir, strerror(errno));
    for (;; out->n++) {
        const char *path = arena_printf(a, "%s/%s_%d.pb", dir, kind, out->n);

        if (access(path, F_OK) != 0)
            break;
        out->at = arena_grow(a, out->at, sizeof *out->at, out->n, &cap);
        out->at[out->n].name = name_in_file(a, path);
        RETURN_IF_FAIL(onnx_read_tensor_file(a, path, &out->at[out->n].value));
    }
    return OK;
}

/* ---- inputs of a bundle ---------------------------------------------------- */

/* The file for input i, which has this name; -1 when there is none. */
static int find_file(const struct test_data *d, const char *name, int i, int n_inputs)
{
    for (int k = 0; k < d->n; k++)
        if (strcmp(d->at[k].name, name) == 0)
            return k;

    const bool by_position = d->n == n_inputs || (d->n > n_inputs && !*d->at[i].name);

    return by_position ? i : -1;
}

struct status *test_data_inputs(struct arena *a, const char *dir,
                                const struct bundle_meta *meta, struct tensor **out)
{
    struct test_data data;

    RETURN_IF_FAIL(test_data_load(a, dir, "input", &data));
    *out = arena_new_array(a, struct tensor, meta->n_inputs);
    for (int i = 0; i < meta->n_inputs; i++) {
        const struct bundle_io *io = &meta->io[i];
        const int file = find_file(&data, io->name, i, meta->n_inputs);

        if (file < 0)
            return FAIL(INVALID, "'%s' holds no input_%d.pb for input '%s'", dir, i,
                        io->name);
        (*out)[i] = data.at[file].value;
        RETURN_IF_FAIL(status_note(bundle_check_input(io, &(*out)[i]),
                                   "while taking it from '%s/input_%d.pb'", dir, file));
    }
    return OK;
}

/* ---- made up --------------------------------------------------------------- */

static void fill(struct tensor *t, int64_t n, uint32_t *seed)
{
    if (t->dtype != DT_f32 && t->dtype != DT_f64)
        return;
    for (int64_t i = 0; i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u; /* Knuth, Numerical Recipes */

        const double x = (double)(*seed >> 8) / 8388608.0 - 1.0;

        if (t->dtype == DT_f32)
            ((float *)t->data)[i] = (float)x;
        else
            ((double *)t->data)[i] = x;
    }
}

struct tensor *test_data_made_up(struct arena *a, const struct bundle_meta *meta)
{
    struct tensor *all = arena_new_array(a, struct tensor, meta->n_inputs);
    uint32_t seed = 1;

    for (int i = 0; i < meta->n_inputs; i++) {
        const struct bundle_io *io = &meta->io[i];
        int64_t n = 1;

        all[i].dtype = io->dtype;
        all[i].rank = io->rank;
        for (int d = 0; d < io->rank; d++)
            n *= all[i].dim[d] = io->dim[d];
        all[i].data =
            arena_alloc_array(a, (size_t)n, (size_t)dtype_info[io->dtype].bytes);
        fill(&all[i], n, &seed);
    }
    return all;
}
