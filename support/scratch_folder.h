/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that nobody keeps, with files in them and no folders.
 *
 *     scratch_folders_watch();
 *     ...
 *     s = scratch_folder_make(a, &folder);
 *     ...
 *     scratch_folder_remove(folder);
 *     ...
 *     scratch_folders_end();
 *
 * Between the first and the last line a second process knows of all folders that this
 * one and those that it forks have made.  It removes what is left when all of them have
 * ended, however that was: a handler of signals could not do it safely, and for SIGKILL
 * there is none.  Without these two lines nothing else happens.
 */
#ifndef HADMC_SUPPORT_SCRATCH_FOLDER_H
#define HADMC_SUPPORT_SCRATCH_FOLDER_H

#include "support/arena.h"
#include "support/status.h"

/* A new, empty folder in TMPDIR, or in /tmp; its path is in `a`. */
struct status *scratch_folder_make(struct arena *a, char **out);
/* PATH.new- and letters, for what then takes the place of `path`. */
struct status *scratch_folder_make_beside(struct arena *a, const char *path,
                                          char **out);
/* With the files in it.  0, or the errno of what stays.  NULL is fine. */
int scratch_folder_remove(const char *path);
/* It has another name now, and is kept. */
void scratch_folder_keep(const char *path);

/* Before threads are there.  Failure is no error. */
void scratch_folders_watch(void);
/* What is still there is removed when this returns. */
void scratch_folders_end(void);

#endif /* HADMC_SUPPORT_SCRATCH_FOLDER_H */
