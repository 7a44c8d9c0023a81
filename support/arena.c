/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: a list of chunks, bump allocation; large blocks get a chunk of their own. */
#include "support/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With AddressSanitizer every block has a chunk of its own, exactly as large as it is,
 * so that running over its end is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

enum { CHUNK_BYTES = 256 * 1024, ALIGN_LARGE = 64, ALIGN_SMALL = 16 };

struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(ALIGN_LARGE) unsigned char bytes[];
};

struct arena {
    struct chunk *chunks;
    size_t n_bytes; /* of all chunks */
};

static void die_of_memory(size_t n_bytes)
{
    fprintf(stderr, "hadmcc: out of memory (%zu more bytes wanted)\n", n_bytes);
    exit(1);
}

struct arena *arena_create(void)
{
    struct arena *a = calloc(1, sizeof *a);

    if (!a)
        die_of_memory(sizeof *a);
    return a;
}

void arena_reset(struct arena *a)
{
    for (struct chunk *c = a->chunks; c;) {
        struct chunk *next = c->next;

        free(c);
        c = next;
    }
    a->chunks = NULL;
    a->n_bytes = 0;
}

void arena_destroy(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a);
}

static struct chunk *new_chunk(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2)
        die_of_memory(size);

    const size_t slack = IS_SANITIZED ? 0 : ALIGN_LARGE - 1;
    const size_t total = (sizeof(struct chunk) + size + slack) & ~slack;
    void *memory;

    if (posix_memalign(&memory, ALIGN_LARGE, total))
        die_of_memory(size);
    struct chunk *c = memory;

    c->used = 0;
    c->size = size;
    a->n_bytes += total;
    return c;
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
    const size_t align = n_bytes > ALIGN_LARGE ? ALIGN_LARGE : ALIGN_SMALL;
    struct chunk *c = a->chunks;

    if (IS_SANITIZED || n_bytes >= CHUNK_BYTES / 4) {
        struct chunk *own = new_chunk(a, n_bytes);

        own->used = n_bytes;
        own->next = c ? c->next : NULL; /* behind the current one, which has room */
        if (c)
            c->next = own;
        else
            a->chunks = own;
        return memset(own->bytes, 0, n_bytes);
    }

    size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;

    if (!c || at > c->size || c->size - at < n_bytes) {
        struct chunk *fresh = new_chunk(a, CHUNK_BYTES);

        fresh->next = c;
        a->chunks = c = fresh;
        at = 0;
    }
    c->used = at + n_bytes;
    return memset(c->bytes + at, 0, n_bytes);
}

size_t arena_bytes(const struct arena *a)
{
    return a->n_bytes;
}

void *arena_alloc_array(struct arena *a, size_t n, size_t size)
{
    size_t n_bytes;

    if (__builtin_mul_overflow(n, size, &n_bytes))
        die_of_memory(SIZE_MAX);
    return arena_alloc(a, n_bytes);
}

void *arena_copy(struct arena *a, const void *from, size_t n_bytes)
{
    void *to = arena_alloc(a, n_bytes);

    if (n_bytes)
        memcpy(to, from, n_bytes);
    return to;
}

char *arena_strndup(struct arena *a, const char *text, size_t n)
{
    char *copy = arena_alloc(a, n + 1);

    if (n)
        memcpy(copy, text, n);
    return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);

    char *text = arena_alloc(a, (size_t)n + 1);

    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

char *arena_hex(struct arena *a, const uint8_t *bytes, size_t n)
{
    char *text = arena_alloc(a, 2 * n + 1);

    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

void *arena_grow(struct arena *a, void *array, size_t size, int n, int *cap)
{
    if (n < *cap)
        return array;

    const int new_cap = *cap ? 2 * *cap : 8;
    void *grown = arena_alloc_array(a, (size_t)(new_cap > n ? new_cap : n + 1), size);

    if (*cap)
        memcpy(grown, array, size * (size_t)*cap);
    *cap = new_cap > n ? new_cap : n + 1;
    return grown;
}
