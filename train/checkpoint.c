/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint.h. */
#include "train/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/sha256.h"
#include "support/arena.h"

struct head {
    char magic[8];
    uint8_t key[32];
    int64_t step, n_bytes;
};

static const char magic[8] = {'H', 'A', 'D', 'M', 'T', 'R', 'N', '2'};

static int64_t state_bytes(const struct checkpoint *c)
{
    int64_t n = 0;

    for (int i = 0; i < c->n_parts; i++)
        n += c->part[i].n_bytes;
    return n;
}

static bool put(FILE *file, struct sha256 *hash, const void *bytes, int64_t n)
{
    sha256_add(hash, bytes, (size_t)n);
    return n == 0 || fwrite(bytes, (size_t)n, 1, file) == 1;
}

static bool write_all(const struct checkpoint *c, int64_t step, FILE *file)
{
    struct head head = {.step = step, .n_bytes = state_bytes(c)};
    struct sha256 hash;
    uint8_t digest[32];
    bool fine;

    memcpy(head.magic, magic, sizeof magic);
    memcpy(head.key, c->key, sizeof head.key);
    sha256_begin(&hash);
    fine = put(file, &hash, &head, sizeof head);
    for (int i = 0; i < c->n_parts && fine; i++)
        fine = put(file, &hash, c->part[i].at, c->part[i].n_bytes);
    sha256_end(&hash, digest);
    return fine && fwrite(digest, sizeof digest, 1, file) == 1 && fflush(file) == 0
           && fsync(fileno(file)) == 0;
}

struct status *checkpoint_write(const struct checkpoint *c, int64_t step)
{
    struct arena *a = arena_create();
    const char *beside = arena_printf(a, "%s.part", c->path);
    FILE *file = fopen(beside, "wb");
    struct status *s = OK;

    if (!file) {
        s = FAIL(IO_ERROR, "cannot write '%s': %s", beside, strerror(errno));
    } else {
        const bool fine = write_all(c, step, file);

        if (fclose(file) != 0 || !fine || rename(beside, c->path) != 0) {
            s = FAIL(IO_ERROR, "cannot write '%s': %s", c->path, strerror(errno));
            remove(beside);
        }
    }
    arena_destroy(a);
    return s;
}

/* The whole file is checked before any of it is used. */
static struct status *check(const struct checkpoint *c, const uint8_t *bytes, int64_t n)
{
    const int64_t wanted = (int64_t)sizeof(struct head) + state_bytes(c) + 32;
    struct head head;
    struct sha256 hash;
    uint8_t digest[32];

    if (n < (int64_t)sizeof head)
        return FAIL(INVALID, "'%s' is no checkpoint", c->path);
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.magic, magic, sizeof magic) != 0)
        return FAIL(INVALID, "'%s' is no checkpoint", c->path);
    if (memcmp(head.key, c->key, sizeof head.key) != 0)
        return FAIL(INVALID,
                    "'%s' belongs to another training (model, data or settings); "
                    "remove it or give another -o to start anew",
                    c->path);
    if (n != wanted || head.n_bytes != state_bytes(c) || head.step < 0)
        return FAIL(INVALID, "'%s' has %lld bytes, not %lld", c->path, (long long)n,
                    (long long)wanted);
    sha256_begin(&hash);
    sha256_add(&hash, bytes, (size_t)n - 32);
    sha256_end(&hash, digest);
    if (!sha256_same(digest, bytes + n - 32))
        return FAIL(INVALID, "'%s' is damaged", c->path);
    return OK;
}

static void use(const struct checkpoint *c, const uint8_t *bytes, int64_t *step)
{
    struct head head;

    memcpy(&head, bytes, sizeof head);
    *step = head.step;
    bytes += sizeof head;
    for (int i = 0; i < c->n_parts; i++) {
        if (c->part[i].n_bytes)
            memcpy(c->part[i].at, bytes, (size_t)c->part[i].n_bytes);
        bytes += c->part[i].n_bytes;
    }
}

struct status *checkpoint_read(const struct checkpoint *c, int64_t *step, bool *found)
{
    /* One byte more than it may have shows a file that is too long. */
    const size_t most = sizeof(struct head) + (size_t)state_bytes(c) + 33;
    FILE *file = fopen(c->path, "rb");
    uint8_t *bytes;
    size_t n;
    struct status *s;

    *found = false;
    if (!file)
        return errno == ENOENT
                   ? OK
                   : FAIL(IO_ERROR, "cannot read '%s': %s", c->path, strerror(errno));
    bytes = malloc(most);
    if (!bytes) {
        fclose(file);
        return FAIL(IO_ERROR, "not enough memory for '%s'", c->path);
    }
    n = fread(bytes, 1, most, file);
    fclose(file);
    s = check(c, bytes, (int64_t)n);
    if (!s)
        use(c, bytes, step);
    *found = !s;
    free(bytes);
    return s;
}
