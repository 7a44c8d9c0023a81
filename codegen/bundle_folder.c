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
#include "support/scratch_folder.h"

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

/* What follows the prefix in names of a bundle's files; of libfoo.a there is one. */
static const char *const suffixes[] = {
    ".weights",     ".h",
    ".c",           ".plan.json",
    ".report.json", ".report.html",
    ".pc",          "-config.cmake",
    ".d",           ".search.jsonl",
    ".search.html", "_selftest.c",
    "_probe.h",     "_kernels.o",
    "_kernels.ll",  "_kernels.s",
    "_kernels.c",   "_weights.c",
};

static bool is_library(const char *prefix, const char *name)
{
    const size_t n = strlen(prefix);

    return strncmp(name, "lib", 3) == 0 && strncmp(name + 3, prefix, n) == 0
           && strcmp(name + 3 + n, ".a") == 0;
}

bool bundle_folder_knows(const char *prefix, const char *name)
{
    const size_t n = strlen(prefix);

    if (is_library(prefix, name))
        return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        if (strncmp(name, prefix, n) == 0 && strcmp(name + n, suffixes[i]) == 0)
            return true;
    return false;
}

static bool is_ours(int folder, const char *prefix, const char *name)
{
    struct stat about;

    return bundle_folder_knows(prefix, name)
           && fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) == 0
           && S_ISREG(about.st_mode);
}

/* Of what no bundle holds the first by name; NULL: there is nothing else.  `prefix`
 * NULL: anything counts. */
static const char *find_foreign(struct arena *a, DIR *dir, const char *prefix)
{
    const char *first = NULL;

    for (const struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (prefix && is_ours(dirfd(dir), prefix, e->d_name))
            continue;
        if (!first || strcmp(e->d_name, first) < 0)
            first = arena_strdup(a, e->d_name);
    }
    return first;
}

/* NULL: it is no bundle. */
static const char *prefix_of(struct arena *a, const char *folder)
{
    struct bundle_meta meta;
    struct status *s = bundle_read_meta(a, folder, &meta);

    if (!s)
        return meta.prefix;
    status_free(s);
    return NULL;
}

/* Only an empty folder or an older bundle may be replaced: anything else is somebody's
 * work. */
static struct status *check_replaceable(struct arena *a, const char *folder)
{
    DIR *dir = opendir(folder);

    if (!dir)
        return errno == ENOENT ? OK
                               : FAIL(IO_ERROR, "cannot write the bundle to '%s': %s",
                                      folder, strerror(errno));

    const char *prefix = prefix_of(a, folder);
    const char *foreign = find_foreign(a, dir, prefix);

    closedir(dir);
    if (!foreign)
        return OK;
    return FAIL(
        IO_ERROR,
        "'%s' exists and %s '%s'; remove it, or choose another folder with -o", folder,
        prefix ? "holds more than a bundle:" : "is not a bundle: it holds", foreign);
}

struct status *bundle_folder_find(struct arena *a, const char *path, const char **out)
{
    RETURN_IF_FAIL(follow_link(a, without_slashes(a, path), out));
    return check_replaceable(a, *out);
}

/* A sibling takes its place, which "." has none of. */
static bool has_name(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static struct status *check_parent(struct arena *a, const char *folder)
{
    const char *slash = strrchr(folder, '/');
    const char *parent =
        slash ? arena_strndup(a, folder, (size_t)(slash - folder) + 1) : ".";

    if (!has_name(folder))
        return FAIL(IO_ERROR, "a bundle cannot take the place of '%s'", folder);
    return access(parent, W_OK | X_OK) == 0
               ? OK
               : FAIL(IO_ERROR, "cannot make a folder beside '%s': %s", folder,
                      strerror(errno));
}

struct status *bundle_check_folder(const char *path)
{
    struct arena *a = arena_create();
    const char *folder;
    struct status *s = bundle_folder_find(a, path, &folder);

    if (!s)
        s = check_parent(a, folder);
    arena_destroy(a);
    return s;
}

/* ---- replacing ------------------------------------------------------------------- */

static void remove_older(const char *folder)
{
    const int why = scratch_folder_remove(folder);

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
    if (rename(fresh, folder) == 0) { /* there was none, or an empty one */
        scratch_folder_keep(fresh);
        return OK;
    }
    return FAIL(IO_ERROR, "cannot write '%s': %s", folder, strerror(errno));
}
