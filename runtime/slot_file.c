/* SPDX-License-Identifier: Apache-2.0 */
/* Slots in a file: see slot_file.h. */
#define _GNU_SOURCE
#include "runtime/slot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd_of(const void *context)
{
    return ((const struct hadm_slot_file *)context)->fd;
}

static int file_read(void *context, uint64_t at, void *to, size_t n_bytes)
{
    uint8_t *next = to;

    while (n_bytes) {
        const ssize_t n = pread(fd_of(context), next, n_bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 1;
        next += n;
        at += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return 0;
}

static int file_write(void *context, uint64_t at, const void *from, size_t n_bytes)
{
    const uint8_t *next = from;

    while (n_bytes) {
        const ssize_t n = pwrite(fd_of(context), next, n_bytes, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 1;
        next += n;
        at += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return 0;
}

/* A file can be written over. */
static int file_erase(void *context, uint64_t at, uint64_t n_bytes)
{
    (void)context, (void)at, (void)n_bytes;
    return 0;
}

static int file_flush(void *context)
{
    return fsync(fd_of(context));
}

/* The name of a new file is safe once its folder is. */
static int flush_folder(const char *path)
{
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');

    if (slash && (size_t)(slash - path) + 1 >= sizeof folder)
        return ENAMETOOLONG;
    if (slash) {
        memcpy(folder, path, (size_t)(slash - path) + 1);
        folder[slash - path + 1] = 0;
    }

    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return failed;
}

static int create(const struct hadm_slot_file *f, const char *path, uint64_t n_bytes)
{
    const int failed = posix_fallocate(f->fd, 0, (off_t)n_bytes);

    if (failed)
        return failed;
    return fsync(f->fd) ? errno : flush_folder(path);
}

int hadm_slot_file_open(struct hadm_slot_file *f, const char *path,
                        uint32_t erase_bytes, uint64_t create_bytes)
{
    const int flags = create_bytes ? O_CREAT | O_EXCL : 0;
    struct stat about;
    int failed = 0;

    f->fd = open(path, O_RDWR | O_CLOEXEC | flags, 0644);
    if (f->fd < 0)
        return errno;
    if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        failed = errno;
    else if (create_bytes)
        failed = create(f, path, create_bytes);
    if (!failed && fstat(f->fd, &about) != 0)
        failed = errno;
    else if (!failed && !S_ISREG(about.st_mode))
        failed = EINVAL;
    if (failed) {
        if (create_bytes) /* O_EXCL: it was not there before */
            unlink(path);
        close(f->fd);
        return failed;
    }
    f->storage = (struct hadm_storage){
        .context = f,
        .bytes = (uint64_t)about.st_size,
        .erase_bytes = erase_bytes,
        .read = file_read,
        .write = file_write,
        .erase = file_erase,
        .flush = file_flush,
    };
    return 0;
}

void hadm_slot_file_close(struct hadm_slot_file *f)
{
    close(f->fd);
}
