/* SPDX-License-Identifier: Apache-2.0 */
/* Writes libfoo.a: a Unix archive as GNU ar and every linker read it.
 *
 *     "!<arch>\n"
 *     "/"         symbol table: u32 count, u32 offset of the defining member for
 *                 each symbol (big-endian), then the names
 *     "//"        names of more than 15 characters, each ended by "/\n"
 *     members     60-byte header, contents, padding to an even offset
 *
 * Owner, group and time are 0, the mode is 644: equal members give equal bytes.
 */
#include <string.h>

#include "codegen/bundle.h"

/* ---- symbols of an ELF object ---------------------------------------------------- */

/* Our own objects and LLVM's: 64 bits, little-endian.  Offsets: ELF-64 Object File
 * Format, version 1.5. */
enum {
    ELF_SECTIONS_AT = 40, ELF_N_SECTIONS = 60, ELF_HEADER = 64,
    SECTION_SIZE = 64, SECTION_TYPE = 4, SECTION_FLAGS = 8, SECTION_OFFSET = 24,
    SECTION_BYTES = 32, SECTION_LINK = 40,
    SYMBOL_SIZE = 24, SYMBOL_INFO = 4, SYMBOL_SECTION = 6,
    TYPE_SYMTAB = 2, TYPE_NOBITS = 8, FLAG_ALLOC = 2, BIND_GLOBAL = 1, BIND_WEAK = 2,
};

static uint64_t get(const struct bytes *b, uint64_t at, int n_bytes)
{
    uint64_t value = 0;

    if (at > b->len || (uint64_t)n_bytes > b->len - at)
        return 0;
    memcpy(&value, (const uint8_t *)b->at + at, (size_t)n_bytes);
    return value;
}

static uint64_t section_at(const struct bytes *b, uint64_t index)
{
    return get(b, ELF_SECTIONS_AT, 8) + index * SECTION_SIZE;
}

typedef void symbol_fn(void *closure, const char *name);

static void each_symbol(const struct bytes *b, uint64_t section, symbol_fn *fn,
                        void *closure)
{
    const uint64_t strings = section_at(b, get(b, section + SECTION_LINK, 4));
    const uint64_t names = get(b, strings + SECTION_OFFSET, 8);
    const uint64_t begin = get(b, section + SECTION_OFFSET, 8);
    const uint64_t end = begin + get(b, section + SECTION_BYTES, 8);

    for (uint64_t s = begin; s < end; s += SYMBOL_SIZE) {
        const uint64_t name = names + get(b, s, 4), bind = get(b, s + SYMBOL_INFO, 1) >> 4;

        if (get(b, s + SYMBOL_SECTION, 2) != 0 && name < b->len
            && (bind == BIND_GLOBAL || bind == BIND_WEAK)
            && memchr((const char *)b->at + name, '\0', b->len - name))
            fn(closure, (const char *)b->at + name);
    }
}

static bool is_elf(const struct bytes *b)
{
    return b->len >= ELF_HEADER && memcmp(b->at, "\177ELF\2\1", 6) == 0;
}

static void each_defined_symbol(const struct bytes *b, symbol_fn *fn, void *closure)
{
    const uint64_t n = is_elf(b) ? get(b, ELF_N_SECTIONS, 2) : 0;

    for (uint64_t i = 0; i < n; i++)
        if (get(b, section_at(b, i) + SECTION_TYPE, 4) == TYPE_SYMTAB)
            each_symbol(b, section_at(b, i), fn, closure);
}

int64_t elf_loaded_bytes(struct bytes object)
{
    const uint64_t n = is_elf(&object) ? get(&object, ELF_N_SECTIONS, 2) : 0;
    uint64_t total = 0;

    for (uint64_t i = 0; i < n; i++) {
        const uint64_t s = section_at(&object, i);

        if (get(&object, s + SECTION_FLAGS, 8) & FLAG_ALLOC)
            total += get(&object, s + SECTION_BYTES, 8);
    }
    return (int64_t)total;
}

/* ---- the archive ----------------------------------------------------------------- */

static void count_symbol(void *closure, const char *name)
{
    size_t *counts = closure; /* symbols, bytes of names */

    counts[0]++;
    counts[1] += strlen(name) + 1;
}

static void append_name(void *closure, const char *name)
{
    text_append(closure, name, strlen(name) + 1);
}

struct offsets {
    struct text *out;
    size_t member;
};

static void put_big_endian(struct text *t, size_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 8), (uint8_t)value};

    text_append(t, bytes, sizeof bytes);
}

static void append_offset(void *closure, const char *name)
{
    struct offsets *o = closure;

    (void)name;
    put_big_endian(o->out, o->member);
}

static void put_header(struct text *t, const char *name, size_t len)
{
    text_printf(t, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", len);
}

static void put_padding(struct text *t)
{
    if (t->len % 2)
        text_puts(t, "\n");
}

static bool is_long(const char *name)
{
    return strlen(name) > 15;
}

static size_t even(size_t n)
{
    return n + n % 2;
}

/* Where each member's header will be. */
static void place_members(const struct archive_member *m, int n, size_t start, size_t *at)
{
    for (int i = 0; i < n; i++) {
        at[i] = start;
        start = even(start + 60 + m[i].bytes.len);
    }
}

static void put_symbol_table(struct text *t, const struct archive_member *m, int n,
                             const size_t counts[2], const size_t *at)
{
    put_header(t, "/", 4 + 4 * counts[0] + counts[1]);
    put_big_endian(t, counts[0]);
    for (int i = 0; i < n; i++) {
        struct offsets o = {t, at[i]};

        each_defined_symbol(&m[i].bytes, append_offset, &o);
    }
    for (int i = 0; i < n; i++)
        each_defined_symbol(&m[i].bytes, append_name, t);
    put_padding(t);
}

static void put_members(struct text *t, const struct archive_member *m, int n)
{
    size_t long_at = 0;

    for (int i = 0; i < n; i++) {
        char name[32];

        if (is_long(m[i].name))
            snprintf(name, sizeof name, "/%zu", long_at);
        else
            snprintf(name, sizeof name, "%s/", m[i].name);
        long_at += is_long(m[i].name) ? strlen(m[i].name) + 2 : 0;
        put_header(t, name, m[i].bytes.len);
        text_append(t, m[i].bytes.at, m[i].bytes.len);
        put_padding(t);
    }
}

struct status *archive_write(const struct archive_member *m, int n, struct text *out)
{
    size_t counts[2] = {0, 0}, long_names = 0, at[8] = {0}, start;

    if (n > (int)(sizeof at / sizeof at[0]))
        return FAIL(INTERNAL, "an archive of %d members", n);
    for (int i = 0; i < n; i++) {
        each_defined_symbol(&m[i].bytes, count_symbol, counts);
        long_names += is_long(m[i].name) ? strlen(m[i].name) + 2 : 0;
    }
    start = 8 + even(60 + 4 + 4 * counts[0] + counts[1])
          + (long_names ? even(60 + long_names) : 0);
    place_members(m, n, start, at);
    if (at[n - 1] > UINT32_MAX)
        return FAIL(NO_FIT, "the library would be larger than 4 GB; leave the weights out");

    text_puts(out, "!<arch>\n");
    put_symbol_table(out, m, n, counts, at);
    if (long_names) {
        put_header(out, "//", long_names);
        for (int i = 0; i < n; i++)
            if (is_long(m[i].name))
                text_printf(out, "%s/\n", m[i].name);
        put_padding(out);
    }
    put_members(out, m, n);
    return OK;
}
