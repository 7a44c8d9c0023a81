/* SPDX-License-Identifier: Apache-2.0 */
/* Files inside the program: the assembler includes them, a generated list names
 * them.  See embedded.h. */
#include "codegen/embedded.h"

#include <string.h>

/* EMBED(symbol, group, key, path): one row per file, written by the build. */
#define EMBED(symbol, group, key, path)                                                \
    __asm__(".pushsection .rodata.embedded,\"a\",%progbits\n"                          \
            ".balign 16\n"                                                             \
            "hadmc_embedded_" #symbol ":\n"                                            \
            ".incbin \"" path "\"\n"                                                   \
            "hadmc_embedded_" #symbol "_end:\n"                                        \
            ".byte 0\n"                                                                \
            ".popsection\n");                                                          \
    extern const char hadmc_embedded_##symbol[]                                        \
        __attribute__((visibility("hidden")));                                         \
    extern const char hadmc_embedded_##symbol##_end[]                                  \
        __attribute__((visibility("hidden")));
#include "codegen/embedded.def"
#undef EMBED

enum group { GROUP_kernels, GROUP_runtime, GROUP_runner, GROUP_source };

static const struct row {
    enum group group;
    const char *key; /* triple or path */
    const char *begin, *end;
} rows[] = {
#define EMBED(symbol, group, key, path)                                                \
    {GROUP_##group, key, hadmc_embedded_##symbol, hadmc_embedded_##symbol##_end},
#include "codegen/embedded.def"
#undef EMBED
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

static struct embedded find(enum group group, const char *key)
{
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].group == group && strcmp(rows[i].key, key) == 0)
            return (struct embedded){rows[i].begin, (size_t)(rows[i].end - rows[i].begin)};
    return (struct embedded){NULL, 0};
}

struct embedded embedded_bitcode(const char *name, const char *triple)
{
    return find(strcmp(name, "runtime") == 0 ? GROUP_runtime : GROUP_kernels, triple);
}

struct embedded embedded_object(const char *name, const char *triple)
{
    if (strcmp(name, "runner") != 0)
        return (struct embedded){NULL, 0};
    return find(GROUP_runner, triple);
}

struct embedded embedded_source(const char *path)
{
    return find(GROUP_source, path);
}
