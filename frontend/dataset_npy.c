/* SPDX-License-Identifier: Apache-2.0 */
/* .npy: magic, version, length of a header that is a Python dict in ASCII, contents.
 *
 *     \x93NUMPY 1 0 76 0 {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
 */
#include <string.h>

#include "frontend/dataset_formats.h"

/* What is left of the header's text. */
struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\t'))
        c->at++;
}

static bool accept(struct cursor *c, const char *word)
{
    const size_t n = strlen(word);

    skip_space(c);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* A quoted word without escapes, shorter than `size`. */
static bool accept_quoted(struct cursor *c, char *out, size_t size)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;

    const char quote = *c->at++;
    const char *close = memchr(c->at, quote, (size_t)(c->end - c->at));

    if (!close || (size_t)(close - c->at) >= size)
        return false;
    memcpy(out, c->at, (size_t)(close - c->at));
    out[close - c->at] = '\0';
    c->at = close + 1;
    return true;
}

static bool accept_count(struct cursor *c, int64_t *out)
{
    bool any = false;

    *out = 0;
    skip_space(c);
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, any = true)
        if (__builtin_mul_overflow(*out, 10, out)
            || __builtin_add_overflow(*out, *c->at - '0', out))
            return false;
    accept(c, "L"); /* Python 2 wrote long integers so */
    return any;
}

static struct status *read_shape(struct cursor *c, struct npy *out)
{
    if (!accept(c, "("))
        return FAIL(INVALID, "the shape is not a tuple");
    for (out->rank = 0; !accept(c, ")"); out->rank++) {
        if (out->rank == NPY_MAX_RANK)
            return FAIL(INVALID, "it has more than %d dimensions", NPY_MAX_RANK);
        if (!accept_count(c, &out->dim[out->rank]))
            return FAIL(INVALID, "a dimension is not a whole number");
        if (!accept(c, ",") && (c->at == c->end || *c->at != ')'))
            return FAIL(INVALID, "the shape is not a tuple");
    }
    return OK;
}

static enum dtype dtype_of(const char *code)
{
    static const struct {
        const char code[3];
        enum dtype dtype;
    } table[] = {{"b1", DT_bool}, {"u1", DT_u8},  {"i1", DT_i8},  {"u2", DT_u16},
                 {"i2", DT_i16},  {"u4", DT_u32}, {"i4", DT_i32}, {"u8", DT_u64},
                 {"i8", DT_i64},  {"f2", DT_f16}, {"f4", DT_f32}, {"f8", DT_f64}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(code, table[i].code) == 0)
            return table[i].dtype;
    return DT_NONE;
}

static struct status *read_descr(struct cursor *c, struct npy *out)
{
    char text[8];

    if (!accept_quoted(c, text, sizeof text))
        return FAIL(UNSUPPORTED, "its elements are records");

    const bool has_order = *text && strchr("<>|=", *text);

    out->dtype = dtype_of(text + has_order);
    if (out->dtype == DT_NONE)
        return FAIL(UNSUPPORTED, "its elements are of type '%s'", text);
    out->swapped = *text == '>' && dtype_info[out->dtype].bytes > 1;
    return OK;
}

static struct status *read_order(struct cursor *c, bool *fortran)
{
    *fortran = accept(c, "True");
    if (!*fortran && !accept(c, "False"))
        return FAIL(INVALID, "'fortran_order' is neither True nor False");
    return OK;
}

/* The three keys in any order, each once. */
static struct status *read_dict(struct cursor *c, struct npy *out, bool *fortran)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    char key[16];

    if (!accept(c, "{"))
        return FAIL(INVALID, "its header is not a dictionary");
    while (!accept(c, "}")) {
        int k = 0;

        if (!accept_quoted(c, key, sizeof key) || !accept(c, ":"))
            return FAIL(INVALID, "its header is not a dictionary");
        while (k < 3 && strcmp(key, keys[k]) != 0)
            k++;
        if (k == 3 || seen & 1u << k)
            return FAIL(INVALID, "its header has the key '%s' twice or needlessly",
                        key);
        seen |= 1u << k;
        RETURN_IF_FAIL(k == 0   ? read_descr(c, out)
                       : k == 1 ? read_order(c, fortran)
                                : read_shape(c, out));
        accept(c, ",");
    }
    return seen == 7 ? OK : FAIL(INVALID, "its header lacks a key");
}

static struct status *check_contents(const struct npy *n, size_t n_bytes)
{
    int64_t need = dtype_info[n->dtype].bytes;

    for (int i = 0; i < n->rank; i++) {
        if (n->dim[i] == 0)
            return FAIL(INVALID, "it is empty");
        if (__builtin_mul_overflow(need, n->dim[i], &need))
            return FAIL(INVALID, "its shape is impossible");
    }
    if ((uint64_t)need > n_bytes)
        return FAIL(INVALID, "it is cut short: %lld bytes of %lld", (long long)n_bytes,
                    (long long)need);
    return OK;
}

struct status *npy_parse(const uint8_t *bytes, size_t len, struct npy *out)
{
    bool fortran = false;

    if (len < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return FAIL(INVALID, "it is not a .npy file");
    if (bytes[6] < 1 || bytes[6] > 3)
        return FAIL(UNSUPPORTED, "it has version %d of the .npy format", bytes[6]);

    const size_t start = bytes[6] == 1 ? 10 : 12;
    size_t n_header = (size_t)bytes[8] | (size_t)bytes[9] << 8;

    if (bytes[6] > 1)
        n_header |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (n_header > len - start)
        return FAIL(INVALID, "its header is cut short");

    struct cursor c = {(const char *)bytes + start,
                       (const char *)bytes + start + n_header};

    memset(out, 0, sizeof *out);
    RETURN_IF_FAIL(read_dict(&c, out, &fortran));
    if (fortran && out->rank > 1)
        return FAIL(UNSUPPORTED, "it is in Fortran order; numpy.ascontiguousarray "
                                 "makes it row-major");
    out->data = bytes + start + n_header;
    return check_contents(out, len - start - n_header);
}
