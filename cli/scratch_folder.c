/* SPDX-License-Identifier: Apache-2.0 */
/* See scratch_folder.h. */
#define _GNU_SOURCE
#include "cli/scratch_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct status *scratch_folder_make(struct arena *a, char **out)
{
    *out = arena_strdup(a, "/tmp/hadmcc-XXXXXX");
    if (mkdtemp(*out))
        return OK;
    *out = NULL;
    return FAIL(IO_ERROR, "cannot make a folder in /tmp: %s", strerror(errno));
}

void scratch_folder_remove(const char *path)
{
    DIR *dir = path ? opendir(path) : NULL;

    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(path);
}
