/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs as text: printing, and reading back what was printed.  docs/ir.md has the
 * grammar.  parse(print(g)) == g when constants are printed whole.
 *
 * The reader takes hostile text: nesting is bounded, every name is looked up in its
 * scope, types are inferred and must agree with what is written.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/ir.h"
#include "support/name_map.h"

enum {
    MAX_DEPTH = 16,       /* bodies in bodies */
    SHORT_DATA = 8,       /* elements of a constant in a short dump */
    MAX_SPLAT = 1 << 28,  /* bytes of {*x} constants in one text */
    MAX_LIST = 1 << 16,   /* operands or outputs of one node */
};

/* ---- printing ------------------------------------------------------------------ */

/* Reads back without quotes: "//" would begin a comment. */
static bool is_word(const char *text)
{
    if (!*text || strstr(text, "//"))
        return false;
    for (; *text; text++)
        if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')
              || (*text >= '0' && *text <= '9') || strchr("_./-$", *text)))
            return false;
    return true;
}

static void put_quoted(struct text *out, const char *s)
{
    text_puts(out, "\"");
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            text_printf(out, "\\%c", c);
        else if (c == '\n')
            text_puts(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            text_printf(out, "\\x%02x", c);
        else
            text_append(out, s, 1);
    }
    text_puts(out, "\"");
}

static void put_word(struct text *out, const char *s)
{
    if (is_word(s))
        text_puts(out, s);
    else
        put_quoted(out, s);
}

static void put_value(struct text *out, const struct ir_value *v)
{
    if (!v) {
        text_puts(out, "_");
        return;
    }
    text_puts(out, "%");
    put_word(out, v->name);
}

static void put_ints(struct text *out, int n, const int64_t *ints)
{
    text_puts(out, "[");
    for (int i = 0; i < n; i++)
        text_printf(out, "%s%" PRId64, i ? "," : "", ints[i]);
    text_puts(out, "]");
}

static void put_type(struct text *out, const struct ir_value *v)
{
    if (!v) {
        text_puts(out, "_");
        return;
    }
    text_printf(out, "%s%s", dtype_info[v->dtype].name, v->dynamic ? "<=" : "");
    put_ints(out, v->rank, v->dim);
    if (v->origin) {
        int64_t perm[IR_MAX_RANK];

        for (int i = 0; i < v->rank; i++)
            perm[i] = v->origin_perm[i];
        text_puts(out, " of ");
        put_value(out, v->origin);
        put_ints(out, v->rank, perm);
    }
}

/* Floats of attributes always look like floats, so that they read back as such. */
static void put_attr_float(struct text *out, float f)
{
    const size_t from = out->len;

    text_put_f32(out, f);
    if (!strpbrk(out->bytes + from, ".en"))
        text_puts(out, ".0");
}

static void put_f32_bits(struct text *out, uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    if (isnan(f) && bits != 0x7fc00000u)
        text_printf(out, "0x%08" PRIx32, bits);
    else
        text_put_f32(out, f);
}

static void put_f64_bits(struct text *out, uint64_t bits)
{
    char digits[40];
    double d;

    memcpy(&d, &bits, sizeof d);
    if (isnan(d) && bits != 0x7ff8000000000000u) {
        text_printf(out, "0x%016" PRIx64, bits);
        return;
    }
    if (isnan(d)) {
        text_puts(out, "nan");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, d);
        if (strtod(digits, NULL) == d)
            break;
    }
    text_puts(out, digits);
}

static uint64_t element_bits(const struct ir_value *v, int64_t i)
{
    const int size = dtype_info[v->dtype].bytes;
    uint64_t bits = 0;

    memcpy(&bits, (const char *)v->data + i * size, (size_t)size);
    return bits;
}

static void put_element(struct text *out, enum dtype dtype, uint64_t bits)
{
    switch (dtype) {
    case DT_f32: put_f32_bits(out, (uint32_t)bits); break;
    case DT_f64: put_f64_bits(out, bits); break;
    case DT_f16:
    case DT_bf16: text_printf(out, "0x%04x", (unsigned)bits); break;
    case DT_i8:
    case DT_i4: text_printf(out, "%d", (int8_t)bits); break;
    case DT_i16: text_printf(out, "%d", (int16_t)bits); break;
    case DT_i32: text_printf(out, "%" PRId32, (int32_t)bits); break;
    case DT_i64: text_printf(out, "%" PRId64, (int64_t)bits); break;
    case DT_u8:
    case DT_u4:
    case DT_bool:
    case DT_u16:
    case DT_u32:
    case DT_u64: text_printf(out, "%" PRIu64, bits); break;
    case DT_NONE:
    case DT_COUNT: break;
    }
}

static bool all_equal(const struct ir_value *v)
{
    const int size = dtype_info[v->dtype].bytes;
    const char *data = v->data;

    return ir_count(v) > 1
        && !memcmp(data, data + size, (size_t)(ir_bytes(v) - size));
}

static void put_data(struct text *out, const struct ir_value *v, int flags)
{
    const int64_t count = ir_count(v);
    const bool splat = count > SHORT_DATA && all_equal(v);
    const bool cut = count > SHORT_DATA && !(flags & IR_TEXT_ALL_DATA) && !splat;
    const int64_t shown = splat ? 1 : cut ? SHORT_DATA : count;

    text_puts(out, splat ? "{*" : "{");
    for (int64_t i = 0; i < shown; i++) {
        if (i)
            text_puts(out, ",");
        put_element(out, v->dtype, element_bits(v, i));
    }
    text_puts(out, cut ? ",...}" : "}");
}

static void put_attr(struct text *out, const struct ir_attr *a, int flags)
{
    put_word(out, a->name);
    text_puts(out, "=");
    switch (a->kind) {
    case ATTR_INT: text_printf(out, "%" PRId64, a->i); break;
    case ATTR_FLOAT: put_attr_float(out, a->f); break;
    case ATTR_STRING: put_quoted(out, a->s); break;
    case ATTR_INTS: put_ints(out, a->n, a->ints); break;
    case ATTR_FLOATS:
        text_puts(out, "floats[");
        for (int i = 0; i < a->n; i++) {
            if (i)
                text_puts(out, ",");
            put_attr_float(out, a->floats[i]);
        }
        text_puts(out, "]");
        break;
    case ATTR_STRINGS:
        text_puts(out, "strings[");
        for (int i = 0; i < a->n; i++) {
            if (i)
                text_puts(out, ",");
            put_quoted(out, a->strings[i]);
        }
        text_puts(out, "]");
        break;
    case ATTR_TENSOR:
        text_puts(out, "tensor ");
        put_type(out, a->tensor);
        text_puts(out, " ");
        put_data(out, a->tensor, flags);
        break;
    }
}

static void indent(struct text *out, int depth)
{
    for (int i = 0; i < depth; i++)
        text_puts(out, "  ");
}

/* Constants stand before everything else, in the order in which they are used. */
static void put_const(struct text *out, const struct ir_value *v, int flags, char *printed)
{
    if (!v || !v->data || printed[v->id])
        return;
    printed[v->id] = 1;
    indent(out, 1);
    put_value(out, v);
    text_puts(out, " = const ");
    put_type(out, v);
    text_puts(out, " ");
    put_data(out, v, flags);
    text_puts(out, "\n");
}

static void put_consts(struct text *out, const struct ir_graph *g, int flags, char *printed)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            put_const(out, n->in[i], flags, printed);
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                put_consts(out, n->body[b], flags, printed);
    }
    for (int i = 0; i < g->n_out; i++)
        put_const(out, g->out[i], flags, printed);
}

static void put_header(struct text *out, const char *keyword, const struct ir_graph *g)
{
    text_printf(out, "%s ", keyword);
    put_word(out, g->name);
    text_puts(out, "(");
    for (int i = 0; i < g->n_in; i++) {
        text_puts(out, i ? ", " : "");
        put_value(out, g->in[i]);
        text_puts(out, ": ");
        put_type(out, g->in[i]);
    }
    text_puts(out, ") {\n");
}

static void put_graph(struct text *out, const struct ir_graph *g, int depth, int flags);

static void put_node(struct text *out, const struct ir_node *n, int depth, int flags)
{
    indent(out, depth);
    for (int i = 0; i < n->n_out; i++) {
        text_puts(out, i ? ", " : "");
        put_value(out, n->out[i]);
    }
    text_printf(out, " = %s(", op_info[n->op].name);
    for (int i = 0; i < n->n_in; i++) {
        text_puts(out, i ? ", " : "");
        put_value(out, n->in[i]);
    }
    text_puts(out, ")");
    for (const struct ir_attr *a = n->attrs; a; a = a->next) {
        text_puts(out, a == n->attrs ? " {" : ", ");
        put_attr(out, a, flags);
    }
    text_puts(out, n->attrs ? "} : " : " : ");
    for (int i = 0; i < n->n_out; i++) {
        text_puts(out, i ? ", " : "");
        put_type(out, n->out[i]);
    }
    if (n->n_out && n->out[0] && strcmp(n->name, n->out[0]->name) != 0) {
        text_puts(out, " ");
        put_quoted(out, n->name);
    }
    if (n->onnx_index >= 0)
        text_printf(out, " #%d", n->onnx_index);
    text_puts(out, "\n");
    for (int b = 0; b < IR_MAX_BODIES; b++)
        if (n->body[b]) {
            indent(out, depth);
            put_header(out, "body", n->body[b]);
            put_graph(out, n->body[b], depth + 1, flags);
        }
}

/* What stands between the braces, and the closing one. */
static void put_graph(struct text *out, const struct ir_graph *g, int depth, int flags)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        put_node(out, n, depth, flags);
    indent(out, depth);
    text_puts(out, "return");
    for (int i = 0; i < g->n_out; i++) {
        text_puts(out, i ? ", " : " ");
        put_value(out, g->out[i]);
    }
    text_puts(out, "\n");
    indent(out, depth - 1);
    text_puts(out, "}\n");
}

void ir_print(const struct ir_graph *g, int flags, struct text *out)
{
    char *printed = calloc((size_t)g->compile->n_values + 1, 1);

    put_header(out, "graph", g);
    if (printed)
        put_consts(out, g, flags, printed);
    put_graph(out, g, 1, flags);
    free(printed);
}

/* ---- reading: words ------------------------------------------------------------- */

struct symbol {
    struct ir_value *value;
    const struct ir_graph *home; /* NULL: a constant, seen from everywhere */
};

struct reader {
    struct compile *c;
    const char *at, *end;
    int line;
    int depth;
    int64_t splat_bytes;
    struct name_map symbols; /* name -> struct symbol */
};

#define BAD(r, ...)                                                                    \
    status_new(INVALID, arena_printf((r)->c->perm, "line %d", (r)->line), __FILE__,    \
               __LINE__, __VA_ARGS__)

static void skip_space(struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n')
            r->line++;
        else if (*r->at == '/' && r->end - r->at > 1 && r->at[1] == '/')
            while (r->at + 1 < r->end && r->at[1] != '\n')
                r->at++;
        else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r')
            return;
    }
}

static bool next_is(struct reader *r, const char *what)
{
    const size_t n = strlen(what);

    skip_space(r);
    return (size_t)(r->end - r->at) >= n && !memcmp(r->at, what, n);
}

static bool accept(struct reader *r, const char *what)
{
    if (!next_is(r, what))
        return false;
    r->at += strlen(what);
    return true;
}

static struct status *expect(struct reader *r, const char *what)
{
    if (accept(r, what))
        return OK;
    return BAD(r, "expected '%s' but found '%.*s'", what,
               (int)(r->end - r->at < 12 ? r->end - r->at : 12), r->at);
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
        || (c && strchr("_./-$", c));
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct status *read_escape(struct reader *r, char *out)
{
    if (r->at == r->end)
        return BAD(r, "text ends within a string");

    const char c = *r->at++;

    if (c == 'n') {
        *out = '\n';
    } else if (c == '"' || c == '\\') {
        *out = c;
    } else if (c == 'x' && r->end - r->at >= 2) {
        const int high = hex_digit(r->at[0]), low = hex_digit(r->at[1]);

        if (high < 0 || low < 0 || !(high | low))
            return BAD(r, "wrong \\x escape in a string");
        r->at += 2;
        *out = (char)(16 * high + low);
    } else {
        return BAD(r, "unknown escape in a string");
    }
    return OK;
}

static struct status *read_string(struct reader *r, const char **out)
{
    RETURN_IF_FAIL(expect(r, "\""));

    const char *close = r->at;

    while (close < r->end && *close != '"')
        close += *close == '\\' ? 2 : 1;
    if (close >= r->end)
        return BAD(r, "text ends within a string");

    char *text = arena_alloc(r->c->perm, (size_t)(close - r->at) + 1);
    int n = 0;

    while (r->at < close) {
        text[n] = *r->at++;
        if (!text[n])
            return BAD(r, "zero byte in a string");
        if (text[n] == '\n')
            r->line++;
        if (text[n] == '\\')
            RETURN_IF_FAIL(read_escape(r, &text[n]));
        n++;
    }
    r->at++;
    *out = text;
    return OK;
}

static struct status *read_word(struct reader *r, const char **out)
{
    if (next_is(r, "\""))
        return read_string(r, out);

    const char *from = r->at;

    while (r->at < r->end && word_char(*r->at))
        r->at++;
    if (r->at == from)
        return BAD(r, "expected a name but found '%.*s'",
                   (int)(r->end - r->at < 12 ? r->end - r->at : 12), r->at);
    *out = arena_strndup(r->c->perm, from, (size_t)(r->at - from));
    return OK;
}

/* The characters of a number, in `digits`. */
static struct status *read_number_text(struct reader *r, char digits[64])
{
    int n = 0;

    skip_space(r);
    while (r->at < r->end && (word_char(*r->at) || *r->at == '+') && *r->at != '/') {
        if (n == 63)
            return BAD(r, "number is too long");
        digits[n++] = *r->at++;
    }
    digits[n] = '\0';
    return n ? OK : BAD(r, "expected a number");
}

static struct status *int_from_text(struct reader *r, const char *digits, int64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoll(digits, &end, 10);
    if (*end || errno)
        return BAD(r, "'%s' is not a 64-bit integer", digits);
    return OK;
}

static struct status *float_from_text(struct reader *r, const char *digits, float *out)
{
    char *end;

    *out = strtof(digits, &end);
    if (*end)
        return BAD(r, "'%s' is not a number", digits);
    return OK;
}

static struct status *read_int(struct reader *r, int64_t *out)
{
    char digits[64];

    RETURN_IF_FAIL(read_number_text(r, digits));
    return int_from_text(r, digits, out);
}

/* Counts the items of a list up to `close` by its commas; an upper bound. */
static int64_t list_bound(const struct reader *r, char close)
{
    int64_t n = 1;

    for (const char *at = r->at; at < r->end && *at != close; at++) {
        n += *at == ',';
        if (r->end - at >= 2 && at[0] == '/' && at[1] == '/') /* comments hold anything */
            while (at + 1 < r->end && at[1] != '\n')
                at++;
    }
    return n;
}

static struct status *read_ints(struct reader *r, int *n, int64_t **out)
{
    RETURN_IF_FAIL(expect(r, "["));

    const int64_t bound = list_bound(r, ']');

    if (bound > INT32_MAX)
        return BAD(r, "list is too long");
    *out = arena_new_array(r->c->perm, int64_t, bound);
    *n = 0;
    while (!next_is(r, "]")) {
        if (*n)
            RETURN_IF_FAIL(expect(r, ","));
        RETURN_IF_FAIL(read_int(r, &(*out)[(*n)++]));
    }
    return expect(r, "]");
}

/* ---- reading: types and constants ------------------------------------------------- */

struct type {
    enum dtype dtype;
    int rank;
    int64_t dim[IR_MAX_RANK];
    bool dynamic;
    const char *origin; /* name, or NULL */
    int origin_perm[IR_MAX_RANK];
};

static struct status *read_origin(struct reader *r, struct type *t)
{
    bool met[IR_MAX_RANK] = {false};
    int64_t *perm;
    int n;

    RETURN_IF_FAIL(expect(r, "%"));
    RETURN_IF_FAIL(read_word(r, &t->origin));
    RETURN_IF_FAIL(read_ints(r, &n, &perm));
    if (n != t->rank)
        return BAD(r, "permutation has %d axes, the type has %d", n, t->rank);
    for (int i = 0; i < n; i++) {
        if (perm[i] < 0 || perm[i] >= n || met[perm[i]])
            return BAD(r, "not a permutation");
        met[perm[i]] = true;
        t->origin_perm[i] = (int)perm[i];
    }
    return OK;
}

static struct status *read_type(struct reader *r, struct type *t)
{
    char name[16];
    int n = 0;
    int64_t *dim;

    *t = (struct type){0};
    skip_space(r);
    while (r->at < r->end && word_char(*r->at) && n < 15)
        name[n++] = *r->at++;
    name[n] = '\0';
    t->dtype = dtype_from_name(name);
    if (t->dtype == DT_NONE)
        return BAD(r, "'%s' is not an element type", name);
    t->dynamic = accept(r, "<=");
    RETURN_IF_FAIL(read_ints(r, &t->rank, &dim));
    if (t->rank > IR_MAX_RANK)
        return BAD(r, "%d dimensions, at most %d are possible", t->rank, IR_MAX_RANK);
    if (!ir_shape_fits(t->dtype, t->rank, dim))
        return BAD(r, "shape is negative or too large");
    memcpy(t->dim, dim, (size_t)t->rank * sizeof *dim);
    if (accept(r, "of "))
        return read_origin(r, t);
    return OK;
}

static struct status *int_element(struct reader *r, const char *digits, enum dtype dtype,
                                  uint64_t *bits)
{
    static const struct {
        int64_t min, max;
    } range[DT_COUNT] = {
        [DT_u8] = {0, UINT8_MAX},   [DT_i8] = {INT8_MIN, INT8_MAX},
        [DT_u16] = {0, UINT16_MAX}, [DT_i16] = {INT16_MIN, INT16_MAX},
        [DT_u32] = {0, UINT32_MAX}, [DT_i32] = {INT32_MIN, INT32_MAX},
        [DT_bool] = {0, 1},         [DT_i64] = {INT64_MIN, INT64_MAX},
        [DT_u4] = {0, 15},          [DT_i4] = {-8, 7},
    };
    int64_t value;

    if (dtype == DT_u64) {
        char *end;

        errno = 0;
        *bits = strtoull(digits, &end, 10);
        return *end || errno || *digits == '-' ? BAD(r, "'%s' is not a u64", digits) : OK;
    }
    RETURN_IF_FAIL(int_from_text(r, digits, &value));
    if (value < range[dtype].min || value > range[dtype].max)
        return BAD(r, "%s is out of range for %s", digits, dtype_info[dtype].name);
    *bits = (uint64_t)value;
    return OK;
}

static struct status *read_element(struct reader *r, enum dtype dtype, uint64_t *bits)
{
    char digits[64];
    char *end;

    RETURN_IF_FAIL(read_number_text(r, digits));
    *bits = 0;
    if (dtype != DT_f32 && dtype != DT_f64 && dtype != DT_f16 && dtype != DT_bf16)
        return int_element(r, digits, dtype, bits);
    if (!strncmp(digits, "0x", 2)) {
        *bits = strtoull(digits, &end, 16);
        return *end ? BAD(r, "'%s' is not a bit pattern", digits) : OK;
    }
    if (dtype == DT_f16 || dtype == DT_bf16)
        return BAD(r, "%s contents are bit patterns: 0x...", dtype_info[dtype].name);
    if (dtype == DT_f64) {
        const double d = strcmp(digits, "nan") ? strtod(digits, &end) : (double)NAN;

        memcpy(bits, &d, sizeof d);
        return strcmp(digits, "nan") && *end ? BAD(r, "'%s' is not a number", digits) : OK;
    }

    float f = NAN;

    if (strcmp(digits, "nan") != 0)
        RETURN_IF_FAIL(float_from_text(r, digits, &f));
    memcpy(bits, &f, sizeof f);
    return OK;
}

static struct status *read_data(struct reader *r, struct ir_value *v)
{
    const int size = dtype_info[v->dtype].bytes;
    const int64_t count = ir_count(v);
    uint64_t bits;

    RETURN_IF_FAIL(expect(r, "{"));

    const bool splat = accept(r, "*");

    if (splat) {
        r->splat_bytes += count * size;
        if (r->splat_bytes > MAX_SPLAT)
            return BAD(r, "constants {*x} take more than %d bytes", MAX_SPLAT);
        RETURN_IF_FAIL(read_element(r, v->dtype, &bits));
    } else if (count && list_bound(r, '}') < count) {
        return BAD(r, "%" PRId64 " elements expected, fewer found", count);
    }

    char *data = arena_alloc_array(r->c->perm, (size_t)count, (size_t)size);

    v->data = data;
    for (int64_t i = 0; i < count; i++) {
        if (!splat) {
            if (i)
                RETURN_IF_FAIL(expect(r, ","));
            if (next_is(r, "..."))
                return BAD(r, "constant was cut short when it was printed");
            RETURN_IF_FAIL(read_element(r, v->dtype, &bits));
        }
        memcpy(data + i * size, &bits, (size_t)size);
    }
    return expect(r, "}");
}

/* ---- reading: names in scope ------------------------------------------------------ */

static struct status *declare(struct reader *r, const char *name, struct ir_value *v,
                              const struct ir_graph *home)
{
    struct symbol *symbol = arena_new(r->c->perm, struct symbol);

    if (strcmp(v->name, name) != 0)
        return BAD(r, "'%s' is defined twice", name);
    v->made_up = false;
    symbol->value = v;
    symbol->home = home;
    name_map_put(&r->symbols, v->name, symbol);
    return OK;
}

static struct ir_value *look_up(const struct reader *r, const struct ir_graph *g,
                                const char *name)
{
    const struct symbol *symbol = name_map_get(&r->symbols, name);

    if (!symbol)
        return NULL;
    if (!symbol->home)
        return symbol->value;
    for (; g; g = g->outer)
        if (symbol->home == g)
            return symbol->value;
    return NULL;
}

/* An origin that is gone from the graph gets a value nobody defines. */
static struct status *set_origin(struct reader *r, const struct ir_graph *g,
                                 struct ir_value *v, const struct type *t)
{
    int64_t dim[IR_MAX_RANK];

    if (!t->origin)
        return OK;
    for (int i = 0; i < t->rank; i++)
        dim[t->origin_perm[i]] = t->dim[i];

    struct ir_value *origin = look_up(r, g, t->origin);

    if (!origin) {
        origin = ir_value_create(r->c, t->origin, t->dtype, t->rank, dim);
        RETURN_IF_FAIL(declare(r, t->origin, origin, g));
        origin->origin = NULL;
    }
    if (origin->rank != t->rank || memcmp(origin->dim, dim, (size_t)t->rank * sizeof *dim))
        return BAD(r, "'%s' is not a permutation of '%s'", v->name, t->origin);
    v->origin = origin;
    memcpy(v->origin_perm, t->origin_perm, sizeof v->origin_perm);
    return OK;
}

static struct status *read_operand(struct reader *r, const struct ir_graph *g,
                                   struct ir_value **out)
{
    const char *name;

    *out = NULL;
    if (accept(r, "_"))
        return OK;
    RETURN_IF_FAIL(expect(r, "%"));
    RETURN_IF_FAIL(read_word(r, &name));
    *out = look_up(r, g, name);
    if (!*out || !((*out)->def || (*out)->data || (*out)->is_input))
        return BAD(r, "'%s' is not defined here", name);
    return OK;
}

/* ---- reading: nodes ---------------------------------------------------------------- */

static struct status *read_attr_floats(struct reader *r, struct ir_node *n,
                                       const char *name)
{
    RETURN_IF_FAIL(expect(r, "["));

    float *list = arena_new_array(r->c->perm, float, list_bound(r, ']'));
    int count = 0;

    while (!next_is(r, "]")) {
        char digits[64];

        if (count)
            RETURN_IF_FAIL(expect(r, ","));
        RETURN_IF_FAIL(read_number_text(r, digits));
        RETURN_IF_FAIL(float_from_text(r, digits, &list[count++]));
    }
    ir_set_attr_floats(n, name, count, list);
    return expect(r, "]");
}

static struct status *read_attr_strings(struct reader *r, struct ir_node *n,
                                        const char *name)
{
    const char **list = NULL;
    int count = 0, cap = 0;

    RETURN_IF_FAIL(expect(r, "["));
    while (!next_is(r, "]")) {
        if (count)
            RETURN_IF_FAIL(expect(r, ","));
        list = arena_grow(r->c->perm, list, sizeof *list, count, &cap);
        RETURN_IF_FAIL(read_string(r, &list[count++]));
    }
    ir_set_attr_strings(n, name, count, list);
    return expect(r, "]");
}

static struct status *read_attr_tensor(struct reader *r, struct ir_node *n,
                                       const char *name)
{
    struct type t;

    RETURN_IF_FAIL(read_type(r, &t));

    struct ir_value *v = ir_value_create(r->c, NULL, t.dtype, t.rank, t.dim);

    RETURN_IF_FAIL(read_data(r, v));
    ir_set_attr_tensor(n, name, v);
    return OK;
}

static struct status *read_attr_number(struct reader *r, struct ir_node *n,
                                       const char *name)
{
    char digits[64];
    int64_t i;
    float f;

    RETURN_IF_FAIL(read_number_text(r, digits));
    if (strpbrk(digits, ".en")) {
        RETURN_IF_FAIL(float_from_text(r, digits, &f));
        ir_set_attr_float(n, name, f);
        return OK;
    }
    RETURN_IF_FAIL(int_from_text(r, digits, &i));
    ir_set_attr_int(n, name, i);
    return OK;
}

static struct status *read_attr(struct reader *r, struct ir_node *n)
{
    const char *name, *string;
    int64_t *ints;
    int count;

    RETURN_IF_FAIL(read_word(r, &name));
    if (ir_attr(n, name))
        return BAD(r, "attribute '%s' is given twice", name);
    RETURN_IF_FAIL(expect(r, "="));
    if (next_is(r, "[")) {
        RETURN_IF_FAIL(read_ints(r, &count, &ints));
        ir_set_attr_ints(n, name, count, ints);
        return OK;
    }
    if (next_is(r, "\"")) {
        RETURN_IF_FAIL(read_string(r, &string));
        ir_set_attr_str(n, name, string);
        return OK;
    }
    if (accept(r, "floats"))
        return read_attr_floats(r, n, name);
    if (accept(r, "strings"))
        return read_attr_strings(r, n, name);
    if (accept(r, "tensor"))
        return read_attr_tensor(r, n, name);
    return read_attr_number(r, n, name);
}

struct status *ir_parse_attrs(struct ir_node *n, const char *text)
{
    struct reader r = {.c = n->graph->compile, .at = text, .end = text + strlen(text),
                       .line = 1};

    for (;;) {
        while (accept(&r, ","))
            ;
        skip_space(&r);
        if (r.at == r.end)
            return OK;
        RETURN_IF_FAIL(read_attr(&r, n));
    }
}

struct names {
    const char **at; /* NULL where "_" stands */
    int n, cap;
};

static struct status *read_output_names(struct reader *r, struct names *names)
{
    do {
        if (names->n == MAX_LIST)
            return BAD(r, "more than %d outputs", MAX_LIST);
        names->at = arena_grow(r->c->perm, names->at, sizeof *names->at, names->n,
                               &names->cap);
        if (accept(r, "_")) {
            names->at[names->n++] = NULL;
            continue;
        }
        RETURN_IF_FAIL(expect(r, "%"));
        RETURN_IF_FAIL(read_word(r, &names->at[names->n++]));
    } while (accept(r, ","));
    return expect(r, "=");
}

static struct status *read_const(struct reader *r, const struct ir_graph *g,
                                 const char *name)
{
    struct type t;

    RETURN_IF_FAIL(read_type(r, &t));
    if (t.dynamic)
        return BAD(r, "constant '%s' has no fixed size", name);

    struct ir_value *v = ir_value_create(r->c, name, t.dtype, t.rank, t.dim);

    RETURN_IF_FAIL(declare(r, name, v, NULL));
    RETURN_IF_FAIL(set_origin(r, g, v, &t));
    return read_data(r, v);
}

static struct status *read_operands(struct reader *r, struct ir_graph *g, struct ir_node *n)
{
    RETURN_IF_FAIL(expect(r, "("));
    while (!next_is(r, ")")) {
        struct ir_value *v;

        if (n->n_in)
            RETURN_IF_FAIL(expect(r, ","));
        if (n->n_in == MAX_LIST)
            return BAD(r, "more than %d operands", MAX_LIST);
        RETURN_IF_FAIL(read_operand(r, g, &v));
        ir_set_input(n, n->n_in, v);
    }
    return expect(r, ")");
}

static struct status *check_output_type(struct reader *r, const struct ir_graph *g,
                                        struct ir_value *v)
{
    struct type t;

    if (!v)
        return expect(r, "_");
    RETURN_IF_FAIL(read_type(r, &t));
    if (t.dtype != v->dtype || t.rank != v->rank || t.dynamic != v->dynamic
        || memcmp(t.dim, v->dim, (size_t)t.rank * sizeof t.dim[0]) != 0) {
        struct text is = {0};

        put_type(&is, v);

        struct status *s = BAD(r, "'%s' has another type; inference gives %s", v->name,
                               is.bytes);

        text_free(&is);
        return s;
    }
    return set_origin(r, g, v, &t);
}

static struct status *read_graph(struct reader *r, struct ir_graph *g);

static struct status *read_bodies(struct reader *r, struct ir_graph *g, struct ir_node *n)
{
    for (int b = 0; accept(r, "body "); b++) {
        if (b == IR_MAX_BODIES || r->depth == MAX_DEPTH)
            return BAD(r, "too many bodies");
        if (!(op_info[n->op].traits & OPT_CONTROL))
            return BAD(r, "%s has no bodies", op_info[n->op].name);
        n->body[b] = ir_graph_create(r->c, "");
        n->body[b]->outer = g;
        r->depth++;
        RETURN_IF_FAIL(read_graph(r, n->body[b]));
        r->depth--;
    }
    return OK;
}

/* name? #index? bodies: what follows the types */
static struct status *read_tail(struct reader *r, struct ir_graph *g, struct ir_node *n)
{
    int64_t index;

    if (next_is(r, "\""))
        RETURN_IF_FAIL(read_string(r, &n->name));
    if (accept(r, "#")) {
        RETURN_IF_FAIL(read_int(r, &index));
        if (index < 0 || index > INT32_MAX)
            return BAD(r, "node number is out of range");
        n->onnx_index = (int)index;
    }
    return read_bodies(r, g, n);
}

/* Lowering relies on canonical form, where an axis counts from the front. */
static struct status *infer_at(int line, struct ir_node *n)
{
    if (ir_attr_int(n, "axis", 0) < 0)
        return status_new(INVALID, arena_printf(n->graph->compile->perm, "line %d", line),
                          __FILE__, __LINE__, "a negative axis is not canonical");
    return status_note(ir_infer(n), "while reading the graph, line %d", line);
}

static struct status *read_attrs(struct reader *r, struct ir_node *n)
{
    if (!accept(r, "{"))
        return OK;
    while (!next_is(r, "}")) {
        if (n->attrs)
            RETURN_IF_FAIL(expect(r, ","));
        RETURN_IF_FAIL(read_attr(r, n));
    }
    return expect(r, "}");
}

/* ": type, ..." must be what inference gave the outputs. */
static struct status *check_types(struct reader *r, struct ir_graph *g,
                                  const struct ir_node *n)
{
    if (!accept(r, ":"))
        return OK;
    for (int i = 0; i < n->n_out; i++) {
        if (i)
            RETURN_IF_FAIL(expect(r, ","));
        RETURN_IF_FAIL(check_output_type(r, g, n->out[i]));
    }
    return OK;
}

static struct status *skip_types(struct reader *r, const struct ir_node *n)
{
    struct type ignored;

    if (!accept(r, ":"))
        return OK;
    for (int i = 0; i < n->n_out; i++) {
        if (i)
            RETURN_IF_FAIL(expect(r, ","));
        RETURN_IF_FAIL(n->out[i] ? read_type(r, &ignored) : expect(r, "_"));
    }
    return OK;
}

static struct status *read_node(struct reader *r, struct ir_graph *g)
{
    struct names names = {0};
    const char *op_name;

    RETURN_IF_FAIL(read_output_names(r, &names));
    if (accept(r, "const ")) {
        if (names.n != 1 || !names.at[0])
            return BAD(r, "a constant has one name");
        return read_const(r, g, names.at[0]);
    }
    RETURN_IF_FAIL(read_word(r, &op_name));

    const enum ir_op op = op_from_name(op_name);

    if (op == OP_NONE)
        return BAD(r, "there is no operator '%s'", op_name);

    struct ir_node *n = ir_node_create(g, NULL, op, NULL, 0, names.n);

    const int line = r->line;

    RETURN_IF_FAIL(read_operands(r, g, n));
    for (int i = 0; i < names.n; i++)
        if (names.at[i])
            RETURN_IF_FAIL(declare(r, names.at[i], ir_new_output(n, i, names.at[i]), g));
    RETURN_IF_FAIL(read_attrs(r, n));
    if (!(op_info[op].traits & OPT_CONTROL)) {
        RETURN_IF_FAIL(infer_at(line, n));
        RETURN_IF_FAIL(check_types(r, g, n));
        return read_tail(r, g, n);
    }

    /* Control operators take their types from their bodies, which stand behind the
     * types: these are read a second time then. */
    struct reader types = *r;

    RETURN_IF_FAIL(skip_types(r, n));
    RETURN_IF_FAIL(read_tail(r, g, n));
    RETURN_IF_FAIL(infer_at(line, n));
    types.symbols = r->symbols;
    return check_types(&types, g, n);
}

static struct status *read_header(struct reader *r, struct ir_graph *g)
{
    RETURN_IF_FAIL(read_word(r, &g->name));
    RETURN_IF_FAIL(expect(r, "("));
    while (!next_is(r, ")")) {
        const char *name;
        struct type t;

        if (g->n_in)
            RETURN_IF_FAIL(expect(r, ","));
        if (g->n_in == MAX_LIST)
            return BAD(r, "more than %d inputs", MAX_LIST);
        RETURN_IF_FAIL(expect(r, "%"));
        RETURN_IF_FAIL(read_word(r, &name));
        RETURN_IF_FAIL(expect(r, ":"));
        RETURN_IF_FAIL(read_type(r, &t));

        struct ir_value *v = ir_input(g, name, t.dtype, t.rank, t.dim);

        v->dynamic = t.dynamic;
        RETURN_IF_FAIL(declare(r, name, v, g));
        RETURN_IF_FAIL(set_origin(r, g, v, &t));
    }
    return expect(r, ")");
}

static struct status *read_graph(struct reader *r, struct ir_graph *g)
{
    RETURN_IF_FAIL(read_header(r, g));
    RETURN_IF_FAIL(expect(r, "{"));
    while (!accept(r, "return"))
        RETURN_IF_FAIL(read_node(r, g));
    while (!next_is(r, "}")) {
        struct ir_value *v;

        if (g->n_out)
            RETURN_IF_FAIL(expect(r, ","));
        if (g->n_out == MAX_LIST)
            return BAD(r, "more than %d outputs", MAX_LIST);
        RETURN_IF_FAIL(read_operand(r, g, &v));
        if (!v)
            return BAD(r, "an output cannot be left out");
        ir_output(g, v);
    }
    return expect(r, "}");
}

struct status *ir_parse(struct compile *c, const char *text, size_t len,
                        struct ir_graph **out)
{
    struct reader r = {.c = c, .at = text, .end = text + len, .line = 1,
                       .symbols = {.arena = c->perm}};
    struct ir_graph *g = ir_graph_create(c, "");

    RETURN_IF_FAIL(expect(&r, "graph "));
    RETURN_IF_FAIL(read_graph(&r, g));
    skip_space(&r);
    if (r.at != r.end)
        return BAD(&r, "text goes on after the graph");
    RETURN_IF_FAIL(ir_verify_as(g, INVALID));
    *out = g;
    return OK;
}
