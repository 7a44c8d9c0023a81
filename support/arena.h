/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is released all at once.
 *
 * Graphs, plans and strings of one compile live in an arena; nobody frees them
 * one by one.  Blocks are zeroed and 64-byte aligned when they are larger than
 * 64 bytes, 16-byte aligned otherwise.  Allocation cannot fail: out of memory
 * ends the process with a message and exit code 1 (the compiler keeps no state
 * worth saving at that point; output appears by rename only).
 */
#ifndef HADMC_SUPPORT_ARENA_H
#define HADMC_SUPPORT_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_create(void);
void arena_destroy(struct arena *a); /* NULL is fine */
void arena_reset(struct arena *a);   /* keeps the arena, drops what is in it */
size_t arena_bytes(const struct arena *a); /* taken from the system so far */

void *arena_alloc(struct arena *a, size_t n_bytes);
/* n * size bytes; overflow counts as out of memory. */
void *arena_alloc_array(struct arena *a, size_t n, size_t size);
void *arena_copy(struct arena *a, const void *from, size_t n_bytes);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t n);
char *arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Two digits a byte, "0a1b...". */
char *arena_hex(struct arena *a, const uint8_t *bytes, size_t n);

/* Grow an array of `*cap` elements so that index `n` exists; returns its (maybe
 * moved) start.  The old copy stays in the arena. */
void *arena_grow(struct arena *a, void *array, size_t size, int n, int *cap);

#define arena_new(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define arena_new_array(a, type, n) ((type *)arena_alloc_array((a), (size_t)(n), sizeof(type)))

#endif /* HADMC_SUPPORT_ARENA_H */
