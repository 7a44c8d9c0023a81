/* SPDX-License-Identifier: Apache-2.0 */
/* C identifiers for a model and its doors.
 *
 *     "serving_default_input:0"  serving_default_input_0
 *     "input.1", "input_1"       input_1, input_1_2      (collisions)
 *     "758", "class"             x758, x_class           (digits, keywords)
 *
 * Names become members of two structs and, with _dims behind them, of one; they
 * must work in C99 and in C++, beside <stdint.h>, and on every common compiler.
 */
#include <ctype.h>
#include <string.h>

#include "codegen/codegen.h"

/* C99 promises 63 significant characters; _dims and a number must fit behind. */
enum { MAX_NAME = 52, MAX_PREFIX = 40 };

/* Keywords of C (to C23) and C++ (to C++20), names of <stdint.h> and <stddef.h>, and
 * macros that compilers define without asking. */
static const char *const reserved[] = {
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool",
    "break", "case", "catch", "char", "char16_t", "char32_t", "char8_t", "class",
    "co_await", "co_return", "co_yield", "compl", "concept", "const", "const_cast",
    "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete",
    "do", "double", "dynamic_cast", "else", "enum", "explicit", "export", "extern",
    "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable",
    "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or",
    "or_eq", "private", "protected", "public", "register", "reinterpret_cast",
    "requires", "restrict", "return", "short", "signed", "sizeof", "static",
    "static_assert", "static_cast", "struct", "switch", "template", "this",
    "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "typeof",
    "typeof_unqual", "union", "unsigned", "using", "virtual", "void", "volatile",
    "wchar_t", "while", "xor", "xor_eq",
    "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t",
    "uint64_t", "intptr_t", "uintptr_t", "intmax_t", "uintmax_t", "size_t", "ptrdiff_t",
    "max_align_t", "NULL", "offsetof", "linux", "unix", "i386", "arm", "near", "far",
    "pascal", "cdecl", "small", "interface", "errno", "assert", "main", "I", "EOF",
    "fortran", "stdin", "stdout", "stderr", "min", "max",
};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}

/* Letters, digits and single underscores; starts with a letter, ends with none. */
static char *mangle(struct arena *a, const char *name, size_t len, const char *empty,
                    size_t max)
{
    char *out = arena_alloc(a, len + strlen(empty) + 3);
    size_t n = 0;

    for (size_t i = 0; i < len && n < max; i++) {
        const unsigned char c = (unsigned char)name[i];

        if (c < 0x80 && isalnum(c)) {
            if (n == 0 && isdigit(c))
                out[n++] = 'x';
            out[n++] = (char)c;
        } else if (n > 0 && out[n - 1] != '_') {
            out[n++] = '_';
        }
    }
    while (n > 0 && out[n - 1] == '_')
        n--;
    out[n] = '\0';
    if (n == 0)
        strcpy(out, empty);
    return out;
}

/* `name`, or the name of the _dims member that a dynamic door adds. */
static bool is_taken(char **io, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        const size_t len = strlen(io[i]);

        if (strcmp(io[i], name) == 0
            || (strncmp(io[i], name, len) == 0 && strcmp(name + len, "_dims") == 0))
            return true;
    }
    return false;
}

static char *door_name(struct arena *a, const struct model_names *names, char **io, int n,
                       const char *onnx)
{
    const char *base = mangle(a, onnx, strlen(onnx), "x", MAX_NAME);
    const size_t upper = strlen(names->upper), len = strlen(base);

    /* FOO_... are the model's macros. */
    if (is_reserved(base)
        || (strncmp(base, names->upper, upper) == 0
            && (!base[upper] || base[upper] == '_')))
        base = arena_printf(a, "x_%s", base);
    /* input_dims could be what belongs to a dynamic door `input`. */
    if (len > 5 && strcmp(base + len - 5, "_dims") == 0)
        base = arena_printf(a, "%s_x", base);

    char *name = arena_strdup(a, base);

    for (int i = 2; is_taken(io, n, name); i++)
        name = arena_printf(a, "%s_%d", base, i);
    return name;
}

static const char *model_prefix(struct arena *a, const struct ir_graph *g,
                                const char *prefix)
{
    const char *file = g->compile->model_name ? g->compile->model_name : "";
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    const size_t len = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    char *name = prefix ? mangle(a, prefix, strlen(prefix), "model", MAX_PREFIX)
                        : mangle(a, base, len, "model", MAX_PREFIX);

    for (char *p = name; *p && !prefix; p++)
        *p = (char)tolower((unsigned char)*p);
    /* hadm_open and the like are the runtime's. */
    if (strncmp(name, "hadm", 4) == 0 || strncmp(name, "sha256", 6) == 0)
        return arena_printf(a, "model_%s", name);
    return is_reserved(name) ? arena_printf(a, "%s_model", name) : name;
}

struct model_names *model_names_create(struct arena *a, const struct ir_graph *g,
                                       const char *prefix)
{
    struct model_names *names = arena_new(a, struct model_names);
    const int n = g->n_in + g->n_out;
    char **io = arena_new_array(a, char *, n + 1);
    const char **onnx = arena_new_array(a, const char *, n + 1);

    names->prefix = model_prefix(a, g, prefix);

    char *upper = arena_strdup(a, names->prefix);

    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    names->upper = upper;
    for (int i = 0; i < n; i++) {
        onnx[i] = (i < g->n_in ? g->in[i] : g->out[i - g->n_in])->name;
        io[i] = door_name(a, names, io, i, onnx[i]);
    }
    names->io = (const char *const *)io;
    names->onnx = onnx;
    return names;
}
