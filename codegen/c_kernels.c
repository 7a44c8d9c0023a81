/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel library's sources in one C file: of the files that a program needs,
 * each once, with their own headers in front of them. */
#include <string.h>

#include "codegen/c_emit.h"
#include "codegen/embedded.h"

enum { MAX_FILES = 64, MAX_DEPTH = 8 };

struct copied {
    int n;
    char path[MAX_FILES][64];
};

/* True the first time. */
static bool is_new(struct copied *c, const char *path)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->path[i], path) == 0)
            return false;
    if (c->n < MAX_FILES)
        snprintf(c->path[c->n++], sizeof c->path[0], "%s", path);
    return true;
}

/* `#include "kernels/x.h"` -> kernels/x.h; false for any other line. */
static bool included_path(const char *line, char path[64])
{
    return sscanf(line, " # include \"%63[^\"]\"", path) == 1;
}

static bool is_dropped(const char *line)
{
    return strncmp(line, "#include <", 10) == 0 || strncmp(line, "/* SPDX", 7) == 0;
}

static bool is_header(const char *path)
{
    const size_t n = strlen(path);

    return n > 2 && strcmp(path + n - 2, ".h") == 0;
}

/* Headers are copied once; tables (.def) wherever they are included. */
static struct status *copy(struct text *t, struct copied *c, const char *path, int depth)
{
    const struct embedded source = embedded_source(path);
    const char *line = source.at;

    if (!source.at || depth > MAX_DEPTH)
        return FAIL(INTERNAL, "hadmcc was built without the text of '%s'", path);
    if (is_header(path) && !is_new(c, path))
        return OK;
    for (const char *end = line + source.len; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        char other[64];

        if (included_path(line, other))
            RETURN_IF_FAIL(copy(t, c, other, depth + 1));
        else if (!is_dropped(line))
            text_append(t, line, (size_t)(next - line));
        line = next;
    }
    return OK;
}

/* Kernel files may use the same short names for their macros. */
static void undefine_macros(struct text *t, const char *path)
{
    const struct embedded source = embedded_source(path);
    const char *line = source.at;

    for (const char *end = line + source.len; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        char name[64];

        if (sscanf(line, "#define %63[A-Za-z0-9_]", name) == 1)
            text_printf(t, "#undef %s\n", name);
        line = newline ? newline + 1 : end;
    }
}

static struct status *copy_kernel_file(struct text *t, struct copied *c, const char *file)
{
    char path[64];

    snprintf(path, sizeof path, "kernels/%s.c", file);
    if (!is_new(c, path))
        return OK;
    text_printf(t, "/* ==== %s ==== */\n\n", path);
    RETURN_IF_FAIL(copy(t, c, path, 0));
    undefine_macros(t, path);
    text_puts(t, "\n");
    return OK;
}

struct status *c_put_kernels(struct text *t, const struct program *p)
{
    struct copied c = {0};

    text_puts(t, "#define K_LINKAGE static\n\n");
    RETURN_IF_FAIL(copy(t, &c, "kernels/params.h", 0));
    for (int i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];

        if (s->kind == STEP_LIBRARY)
            RETURN_IF_FAIL(copy_kernel_file(t, &c, s->u.call->kernel->file));
        for (int k = 0; s->kind == STEP_CHAIN && k < s->u.chain->n_ops; k++)
            RETURN_IF_FAIL(copy_kernel_file(t, &c, s->u.chain->ops[k].kernel->file));
    }
    return OK;
}
