/* SPDX-License-Identifier: Apache-2.0 */
/* The place of a bundle: which folder it is, whether what is there may go, and putting
 * the new one there in one step. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/bundle.h"

/* ---- where it is ----------------------------------------------------------------- */

static const char *without_slashes(struct arena *a, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return arena_strndup(a, path, n);
}

/* Renaming would put the bundle in place of the link and leave the target empty. */
static struct status *follow_link(struct arena *a, const char *path, const char **out)
{
    struct stat about;
    char *target;

    *out = path;
    if (lstat(path, &about) != 0 || !S_ISLNK(about.st_mode))
        return OK;
    target = realpath(path, NULL);
    if (!target)
        return FAIL(IO_ERROR, "cannot write the bundle to '%s', a link: %s", path,
                    strerror(errno));
    *out = arena_strdup(a, target);
    free(target);
    return OK;
}

/* ---- what is there --------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Only an empty folder or an older bundle may be replaced: anything else is somebody's
 * work. */
static struct status *check_replaceable(const char *folder)
{
    DIR *dir = opendir(folder);
    bool report = false, folders = false;
    int n = 0;

    if (!dir)
        return errno == ENOENT ? OK
                               : FAIL(IO_ERROR, "cannot write the bundle to '%s': %s",
                                      folder, strerror(errno));
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        n++;
        report |= ends_with(e->d_name, ".report.json");
        folders |= e->d_type == DT_DIR;
    }
    closedir(dir);
    if (n == 0 || (report && !folders))
        return OK;
    return FAIL(IO_ERROR,
                "'%s' exists and is not a bundle; remove it, or choose another"
                " folder with -o",
                folder);
}

struct status *bundle_folder_find(struct arena *a, const char *path, const char **out)
{
    RETURN_IF_FAIL(follow_link(a, without_slashes(a, path), out));
    return check_replaceable(*out);
}

/* ---- replacing ------------------------------------------------------------------- */

/* Bundles are flat. */
int bundle_folder_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    int failed = 0;

    if (!dir)
        return errno;
    for (const struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0
            && unlinkat(dirfd(dir), e->d_name, 0) != 0)
            failed = errno;
    closedir(dir);
    if (failed)
        return failed;
    return rmdir(folder) == 0 ? 0 : errno;
}

static void remove_older(const char *folder)
{
    const int why = bundle_folder_remove(folder);

    if (why)
        fprintf(stderr,
                "hadmcc: cannot remove the older bundle, which stays as '%s': %s\n",
                folder, strerror(why));
}

struct status *bundle_folder_replace(const char *fresh, const char *folder)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, folder, RENAME_EXCHANGE) == 0) {
        remove_older(fresh);
        return OK;
    }
    if (rename(fresh, folder) == 0) /* there was none, or an empty one */
        return OK;
    return FAIL(IO_ERROR, "cannot write '%s': %s", folder, strerror(errno));
}
