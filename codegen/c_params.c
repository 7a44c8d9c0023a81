/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel parameters as C: `{.dim = {1, 4}, .alpha = 0.5f}`.
 *
 * The members are read from the declaration in kernels/params.h, which a bundle
 * gets anyway: int64_t members, then float members, arrays of up to two
 * dimensions, comments.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/c_emit.h"
#include "codegen/embedded.h"

struct reader {
    const char *at, *end;
};

struct member {
    char name[64];
    bool is_float;
    int n[2]; /* array dimensions, 1 when there is none */
    int rank;
};

/* ---- reading the declaration ----------------------------------------------------- */

static void skip_space(struct reader *r)
{
    while (r->at < r->end) {
        if (isspace((unsigned char)*r->at)) {
            r->at++;
        } else if (strncmp(r->at, "/*", 2) == 0) {
            const char *close = strstr(r->at, "*/");

            r->at = close ? close + 2 : r->end;
        } else {
            return;
        }
    }
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static void take_word(struct reader *r, char out[64])
{
    size_t n = 0;

    skip_space(r);
    while (r->at < r->end && n < 63 && (isalnum((unsigned char)*r->at) || *r->at == '_'))
        out[n++] = *r->at++;
    out[n] = '\0';
}

static int take_extent(struct reader *r)
{
    char word[64];

    take_word(r, word);
    take(r, ']');
    return strcmp(word, "K_MAX_RANK") == 0 ? K_MAX_RANK : atoi(word);
}

/* The next member; false at the closing brace.  `type` carries over commas. */
static bool next_member(struct reader *r, char type[64], struct member *out)
{
    if (!type[0]) {
        if (take(r, '}'))
            return false;
        take_word(r, type);
    }
    take_word(r, out->name);
    out->is_float = strcmp(type, "float") == 0;
    out->n[0] = out->n[1] = 1;
    for (out->rank = 0; out->rank < 2 && take(r, '['); out->rank++)
        out->n[out->rank] = take_extent(r);
    if (take(r, ';'))
        type[0] = '\0';
    else
        take(r, ',');
    return out->name[0] != '\0';
}

static bool find_struct(const char *params, struct reader *out)
{
    const struct embedded header = embedded_source("kernels/params.h");
    char start[80];

    snprintf(start, sizeof start, "struct k_%s {", params);
    const char *at = header.at ? strstr(header.at, start) : NULL;

    if (at)
        *out = (struct reader){at + strlen(start), (const char *)header.at + header.len};
    return at != NULL;
}

/* ---- writing values -------------------------------------------------------------- */

void c_put_i64(struct text *t, int64_t value)
{
    if (value >= INT32_MIN + 1 && value <= INT32_MAX)
        text_printf(t, "%lld", (long long)value);
    else if (value == INT64_MIN)
        text_puts(t, "INT64_MIN");
    else
        text_printf(t, "INT64_C(%lld)", (long long)value);
}

void c_put_f32(struct text *t, float value)
{
    if (value != value) {
        text_puts(t, "HADM_NAN");
    } else if (value - value != 0) {
        text_puts(t, value < 0 ? "-HADM_INF" : "HADM_INF");
    } else {
        const size_t start = t->len;

        text_put_f32(t, value);
        if (!strpbrk(t->bytes + start, ".e"))
            text_puts(t, ".0");
        text_puts(t, "f");
    }
}

/* Where the values come from: n_i64 integers, then floats. */
struct values {
    const int64_t *ints;
    const float *floats;
};

static bool all_zero(const struct values *v, const struct member *m)
{
    const int n = m->n[0] * m->n[1];

    for (int i = 0; i < n; i++)
        if (m->is_float ? bits_of_f32(v->floats[i]) != 0 : v->ints[i] != 0)
            return false;
    return true;
}

static void put_value(struct text *t, const struct values *v, const struct member *m, int i)
{
    if (m->is_float)
        c_put_f32(t, v->floats[i]);
    else
        c_put_i64(t, v->ints[i]);
}

static void put_row(struct text *t, const struct values *v, const struct member *m,
                    int from, int n)
{
    text_puts(t, "{");
    for (int i = 0; i < n; i++) {
        text_puts(t, i ? ", " : "");
        put_value(t, v, m, from + i);
    }
    text_puts(t, "}");
}

static void put_member(struct text *t, const struct values *v, const struct member *m)
{
    text_printf(t, ".%s = ", m->name);
    if (m->rank == 0) {
        put_value(t, v, m, 0);
    } else if (m->rank == 1) {
        put_row(t, v, m, 0, m->n[0]);
    } else {
        text_puts(t, "{");
        for (int i = 0; i < m->n[0]; i++) {
            text_puts(t, i ? ",\n               " : "");
            put_row(t, v, m, i * m->n[1], m->n[1]);
        }
        text_puts(t, "}");
    }
}

struct status *c_put_params(struct text *t, const struct kernel_info *kernel,
                            const void *params)
{
    struct values v = {params, (const float *)((const int64_t *)params + kernel->n_i64)};
    struct reader r;
    struct member m, first = {.name = ""};
    char type[64] = "";
    bool any = false;

    if (!find_struct(kernel->params, &r))
        return FAIL(INTERNAL, "kernels/params.h does not declare struct k_%s",
                    kernel->params);
    text_puts(t, "{");
    while (next_member(&r, type, &m)) {
        if (!first.name[0])
            first = m;
        if (!all_zero(&v, &m)) {
            text_puts(t, "\n        ");
            put_member(t, &v, &m);
            text_puts(t, ",");
            any = true;
        }
        if (m.is_float)
            v.floats += m.n[0] * m.n[1];
        else
            v.ints += m.n[0] * m.n[1];
    }
    if (any)
        text_puts(t, "\n    }");
    else
        text_printf(t, ".%s = %s}", first.name,
                    first.rank == 2 ? "{{0}}" : first.rank ? "{0}" : "0");
    if ((const int64_t *)params + kernel->n_i64 != v.ints)
        return FAIL(INTERNAL, "struct k_%s is not what params.def says", kernel->params);
    return OK;
}
