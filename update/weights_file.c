/* SPDX-License-Identifier: Apache-2.0 */
/* Weights files as the ends of an update: see weights_file.h. */
#include "update/weights_file.h"

#include <sys/stat.h>

#include "codegen/runner.h"

static struct status *path_of_weights(struct arena *a, const char *path,
                                      const char **out)
{
    struct bundle_meta meta;
    struct stat about;

    *out = path;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return OK;
    RETURN_IF_FAIL(bundle_read_meta(a, path, &meta));
    *out = arena_printf(a, "%s/%s.weights", path, meta.prefix);
    return OK;
}

struct status *weights_file_open(struct arena *a, const char *path, struct bytes bytes,
                                 struct weights_file *out)
{
    struct hadm_weights *w = &out->weights;
    struct weights_header *h = &out->header;

    *out = (struct weights_file){.path = path, .bytes = bytes};
    if (!hadm_weights_read(w, bytes.at, bytes.len))
        return FAIL(INVALID, "'%s' is not a weights file, or is damaged", path);
    if (!hadm_weights_check_payload(w))
        return FAIL(INVALID, "'%s' is damaged: its payload does not match its digests",
                    path);
    weights_header_decode(bytes.at, h, 0);
    h->tensors = arena_new_array(a, struct weights_tensor, h->n_tensors + 1);
    weights_header_decode(bytes.at, h, h->n_tensors);
    out->bytes.len = (size_t)(h->payload_offset + h->payload_bytes);
    return OK;
}

struct status *weights_file_load(struct arena *a, const char *path,
                                 struct weights_file *out)
{
    struct bytes bytes;

    RETURN_IF_FAIL(path_of_weights(a, path, &path));
    RETURN_IF_FAIL(runner_read_file(a, path, &bytes));
    return weights_file_open(a, path, bytes, out);
}
