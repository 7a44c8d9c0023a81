/* SPDX-License-Identifier: Apache-2.0 */
/* A weights file that an update leads from or to, checked completely. */
#ifndef HADMC_UPDATE_WEIGHTS_FILE_H
#define HADMC_UPDATE_WEIGHTS_FILE_H

#include "codegen/codegen.h"
#include "codegen/weights_header.h"
#include "runtime/weights_reader.h"

struct weights_file {
    const char *path;
    struct bytes bytes;           /* the file, without what may follow the payload */
    struct hadm_weights weights;  /* of these bytes */
    struct weights_header header; /* the same, with the tensors */
};

/* `path` is a weights file, or a bundle folder.  Everything lives in `a`.  INVALID when
 * it is not sound to the last digest; IO_ERROR. */
struct status *weights_file_load(struct arena *a, const char *path,
                                 struct weights_file *out);

/* The same for bytes that are in memory; `path` is what messages say. */
struct status *weights_file_open(struct arena *a, const char *path, struct bytes bytes,
                                 struct weights_file *out);

#endif /* HADMC_UPDATE_WEIGHTS_FILE_H */
