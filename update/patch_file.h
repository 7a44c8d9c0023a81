/* SPDX-License-Identifier: Apache-2.0 */
/* Patches as files.  For their transport they may be compressed: the file is then a
 * zstd frame of the patch (`zstd -d` undoes it), which is how a device wants it. */
#ifndef HADMC_UPDATE_PATCH_FILE_H
#define HADMC_UPDATE_PATCH_FILE_H

#include "codegen/codegen.h"
#include "runtime/patch.h"

struct patch_file {
    const char *path;
    struct bytes bytes; /* decompressed                   */
    size_t file_bytes;  /* of the file as it lies there   */
    struct hadm_patch header;
};

/* Reads, decompresses and checks all of a patch, except for its signature.  INVALID
 * says what is wrong; IO_ERROR. */
struct status *patch_file_load(struct arena *a, const char *path,
                               struct patch_file *out);

struct status *patch_file_write(struct arena *a, const char *path, struct bytes patch,
                                bool compress, size_t *file_bytes);

#endif /* HADMC_UPDATE_PATCH_FILE_H */
