/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of generated C: see bundle.h. */
#include <string.h>

#include "codegen/bundle.h"
#include "codegen/embedded.h"

void c_put_comment(struct text *t, const char *words)
{
    for (const char *p = words; *p; p++) {
        const bool ends = p[0] == '*' && p[1] == '/';
        const bool trigraph = p[0] == '?' && p[1] == '?';
        const char c = *p >= ' ' && *p <= '~' ? *p : '?';

        text_append(t, &c, 1);
        if (ends || trigraph || (p[0] == '/' && p[1] == '*'))
            text_puts(t, " ");
    }
}

void c_put_shape(struct text *t, const struct ir_value *v)
{
    if (v->rank == 0) {
        text_puts(t, "a scalar");
        return;
    }
    for (int i = 0; i < v->rank; i++)
        text_printf(t, "%s%lld", i ? ", " : "[", (long long)v->dim[i]);
    text_puts(t, "]");
}

void c_put_prototype(struct text *t, const char *type, const char *name, int n,
                     const char *const *params)
{
    const int indent = (int)(strlen(type) + 1 + strlen(name) + 1);
    const int hang = indent > 44 ? 8 : indent;
    int column = indent;

    text_printf(t, "%s %s(", type, name);
    for (int i = 0; i < n; i++) {
        const int len = (int)strlen(params[i]);

        if (i > 0 && column + len + 3 > 88) {
            text_printf(t, ",\n%*s", hang, "");
            column = hang;
        } else if (i > 0) {
            text_puts(t, ", ");
            column += 2;
        }
        text_puts(t, params[i]);
        column += len;
    }
    text_puts(t, ")");
}

void c_put_banner(struct text *t, const struct bundle_job *job, const char *what)
{
    text_printf(t, "/* %s: ", job->names->prefix);
    text_puts(t, what);
    text_printf(t, "\n *\n * Written by hadmcc %s from ", hadmcc_version());
    c_put_comment(t, job->compile->model_name ? job->compile->model_name : "a graph");
    text_puts(t, " (sha256 ");
    for (int i = 0; i < 4; i++)
        text_printf(t, "%02x", job->compile->model_sha256[i]);
    text_printf(t,
                "...)\n * for %s.  Generated code carries no obligation for whoever"
                " uses it.\n",
                job->options->isa.cpu ? job->options->isa.cpu : "any C11 compiler");
}

static bool starts_with(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

struct status *c_put_source(struct text *t, const char *path)
{
    const struct embedded source = embedded_source(path);
    const char *line = source.at;

    if (!source.at)
        return FAIL(INTERNAL, "hadmcc was built without the text of '%s'", path);
    for (const char *end = line + source.len; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;

        if (!starts_with(line, "#include") && !starts_with(line, "/* SPDX"))
            text_append(t, line, (size_t)(next - line));
        line = next;
    }
    return OK;
}

const struct ir_value *bundle_door(const struct bundle_job *job, int i)
{
    const struct ir_graph *g = job->program->graph;

    return i < g->n_in ? g->in[i] : g->out[i - g->n_in];
}
