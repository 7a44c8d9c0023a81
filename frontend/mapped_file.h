/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a model, mapped read-only until the compile ends: weights are used in
 * place where their alignment allows. */
#ifndef HADMC_FRONTEND_MAPPED_FILE_H
#define HADMC_FRONTEND_MAPPED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "support/status.h"

struct compile;

struct mapped_file {
    const uint8_t *bytes;
    size_t len;
    const char *path;
    struct mapped_file *next;
};

/* A regular file outside of a compile; `path` is borrowed. */
struct status *mapped_file_map(const char *path, struct mapped_file *out);
void mapped_file_unmap(struct mapped_file *file);

/* Regular files only.  A path that is mapped already is not mapped again. */
struct status *mapped_file_open(struct compile *c, const char *path,
                                const struct mapped_file **out);
/* Give the pages back; they are read again when touched. */
void mapped_files_rest(const struct compile *c);
size_t mapped_files_bytes(const struct compile *c);
void mapped_files_close(struct compile *c);

#endif /* HADMC_FRONTEND_MAPPED_FILE_H */
