/* SPDX-License-Identifier: Apache-2.0 */
/* Mapped files: see mapped_file.h. */
#include "frontend/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/ir.h"

static struct status *map(int fd, const char *path, struct mapped_file *file)
{
    struct stat about;

    if (fstat(fd, &about))
        return FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return FAIL(IO_ERROR, "'%s' is not a regular file", path);
    file->len = (size_t)about.st_size;
    if (!file->len) {
        file->bytes = (const uint8_t *)"";
        return OK;
    }

    void *bytes = mmap(NULL, file->len, PROT_READ, MAP_PRIVATE, fd, 0);

    if (bytes == MAP_FAILED)
        return FAIL(IO_ERROR, "'%s': cannot map: %s", path, strerror(errno));
    file->bytes = bytes;
    return OK;
}

struct status *mapped_file_map(const char *path, struct mapped_file *out)
{
    /* O_NONBLOCK: opening a pipe must not wait; it has no effect on regular files. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *out = (struct mapped_file){.path = path};
    if (fd < 0)
        return FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));

    struct status *s = map(fd, path, out);

    close(fd);
    if (s)
        out->len = 0;
    return s;
}

void mapped_file_unmap(struct mapped_file *file)
{
    if (file->len)
        munmap((void *)file->bytes, file->len);
    *file = (struct mapped_file){0};
}

struct status *mapped_file_open(struct compile *c, const char *path,
                                const struct mapped_file **out)
{
    for (const struct mapped_file *f = c->files; f; f = f->next)
        if (!strcmp(f->path, path)) {
            *out = f;
            return OK;
        }

    struct mapped_file *file = arena_new(c->perm, struct mapped_file);

    RETURN_IF_FAIL(mapped_file_map(path, file));
    file->path = arena_strdup(c->perm, path);
    file->next = c->files;
    c->files = file;
    *out = file;
    return OK;
}

void mapped_files_rest(const struct compile *c)
{
    for (const struct mapped_file *f = c->files; f; f = f->next)
        if (f->len)
            madvise((void *)f->bytes, f->len, MADV_DONTNEED);
}

size_t mapped_files_bytes(const struct compile *c)
{
    size_t n_bytes = 0;

    for (const struct mapped_file *f = c->files; f; f = f->next)
        n_bytes += f->len;
    return n_bytes;
}

void mapped_files_close(struct compile *c)
{
    for (const struct mapped_file *f = c->files; f; f = f->next)
        if (f->len)
            munmap((void *)f->bytes, f->len);
    c->files = NULL;
}
