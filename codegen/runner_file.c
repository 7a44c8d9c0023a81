/* SPDX-License-Identifier: Apache-2.0 */
/* Files as a whole: see runner.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codegen/runner.h"

struct status *runner_read_file(struct arena *a, const char *path, struct bytes *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0) {
        const int why = errno;

        if (fd >= 0)
            close(fd);
        return FAIL(IO_ERROR, "cannot read '%s': %s", path, strerror(why));
    }

    const size_t len = (size_t)st.st_size;
    uint8_t *at = arena_alloc(a, len + 1);
    size_t done = 0;

    while (done < len) {
        const ssize_t n = read(fd, at + done, len - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close(fd);
    if (done < len)
        return FAIL(IO_ERROR, "cannot read '%s' to its end", path);
    *out = (struct bytes){.at = at, .len = len};
    return OK;
}

static struct status *cannot_write(const char *path)
{
    return FAIL(IO_ERROR, "cannot write '%s': %s", path, strerror(errno));
}

static bool write_all(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len) {
        const ssize_t n = write(fd, at, len);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

struct status *runner_write_file(const char *path, const void *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct status *s = fd >= 0 && write_all(fd, bytes, len) ? OK : cannot_write(path);

    if (fd >= 0 && close(fd) != 0 && !s)
        s = cannot_write(path);
    return s;
}

/* Makes the file `fresh`, a template, on the disk; a failure leaves none. */
static struct status *write_fresh(char *fresh, mode_t mode, const char *path,
                                  const void *bytes, size_t len)
{
    const int fd = mkostemp(fresh, O_CLOEXEC);
    struct status *s = OK;

    if (fd < 0)
        return cannot_write(path);
    if (!write_all(fd, bytes, len) || fchmod(fd, mode) != 0 || fsync(fd) != 0)
        s = cannot_write(path);
    if (close(fd) != 0 && !s)
        s = cannot_write(path);
    if (s)
        unlink(fresh);
    return s;
}

/* `target` is what `path` leads to. */
static struct status *replace(const char *target, mode_t mode, const char *path,
                              const void *bytes, size_t len)
{
    struct arena *a = arena_create();
    char *fresh = arena_printf(a, "%s.new-XXXXXX", target);
    struct status *s = write_fresh(fresh, mode, path, bytes, len);

    if (!s && rename(fresh, target) != 0) {
        s = cannot_write(path);
        unlink(fresh);
    }
    arena_destroy(a);
    return s;
}

struct status *runner_replace_file(const char *path, const void *bytes, size_t len)
{
    struct stat about;

    if (stat(path, &about) != 0)
        return replace(path, 0600, path, bytes, len);
    if (!S_ISREG(about.st_mode))
        return runner_write_file(path, bytes, len);

    char *target = access(path, W_OK) == 0 ? realpath(path, NULL) : NULL;
    struct status *s = target ? replace(target, about.st_mode & 0777, path, bytes, len)
                              : cannot_write(path);

    free(target);
    return s;
}
