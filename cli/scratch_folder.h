/* SPDX-License-Identifier: Apache-2.0 */
/* A folder for bundles that nobody keeps. */
#ifndef HADMC_CLI_SCRATCH_FOLDER_H
#define HADMC_CLI_SCRATCH_FOLDER_H

#include "support/arena.h"
#include "support/status.h"

/* A new, empty folder in /tmp; its path is in `a`. */
struct status *scratch_folder_make(struct arena *a, char **out);
/* With the files in it; folders in it must be empty or scratch folders that are gone.
 */
void scratch_folder_remove(const char *path); /* NULL is fine */

#endif /* HADMC_CLI_SCRATCH_FOLDER_H */
