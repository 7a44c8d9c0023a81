/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of tensors: from a TensorProto with typed fields, raw bytes or external
 * data, and to and from .pb files. */
#include "frontend/onnx_tensor.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/mapped_file.h"
#include "frontend/onnx_import.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw data is little-endian");

const char *onnx_type_name(int64_t data_type)
{
    static const char *const names[] = {
        "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64",
        "string", "bool", "float16", "double", "uint32", "uint64", "complex64",
        "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
        "float8e5m2fnuz", "uint4", "int4", "float4e2m1",
    };

    if (data_type < 0 || data_type >= (int64_t)(sizeof names / sizeof names[0]))
        return "unknown";
    return names[data_type];
}

/* ---- where the bytes are ------------------------------------------------------- */

static bool is_nibble(enum dtype dtype)
{
    return dtype == DT_u4 || dtype == DT_i4;
}

/* Bytes of `count` elements as ONNX stores them. */
static size_t stored_bytes(enum dtype dtype, int64_t count)
{
    return is_nibble(dtype) ? (size_t)(count + 1) / 2
                            : (size_t)count * (size_t)dtype_info[dtype].bytes;
}

static struct status *parse_size(const char *key, const char *text, size_t *out)
{
    char *end;

    errno = 0;

    const unsigned long long value = strtoull(text, &end, 10);

    if (errno || *end || *text < '0' || *text > '9' || value > SIZE_MAX / 2)
        return FAIL(INVALID, "external data has %s '%s'", key, text);
    *out = (size_t)value;
    return OK;
}

/* The real path of folder/location, which must be below the real folder. */
static struct status *safe_path(const char *folder, const char *location, char *out)
{
    char real_folder[PATH_MAX], joined[PATH_MAX];

    if (!*location || *location == '/')
        return FAIL(INVALID, "external data at '%s': the path is not relative", location);
    if (!realpath(*folder ? folder : ".", real_folder))
        return FAIL(IO_ERROR, "'%s': %s", folder, strerror(errno));
    if (snprintf(joined, sizeof joined, "%s/%s", real_folder, location)
        >= (int)sizeof joined)
        return FAIL(INVALID, "external data: the path is too long");
    if (!realpath(joined, out))
        return FAIL(IO_ERROR, "external data '%s': %s", location, strerror(errno));

    const size_t n = strlen(real_folder);
    const bool is_root = n == 1;

    if (strncmp(out, real_folder, n) != 0 || (!is_root && out[n] != '/'))
        return FAIL(INVALID, "external data '%s' is outside the model's folder", location);
    return OK;
}

/* Each file once: a model has few of them. */
static void note_data_file(struct compile *c, const char *location)
{
    const size_t n = strlen(location);
    const char *at = c->data_files.bytes ? c->data_files.bytes : "";

    for (; *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, location, n) == 0 && at[n] == '\n')
            return;
    if (!strchr(location, '\n'))
        text_printf(&c->data_files, "%s\n", location);
}

static struct status *find_external(struct compile *c, const struct onnx_tensor *t,
                                    const char *folder, size_t want,
                                    struct wire_bytes *out)
{
    const char *location = NULL;
    const struct mapped_file *file;
    size_t offset = 0, length = want;
    char path[PATH_MAX];

    for (int i = 0; i < t->external_data.n; i++) {
        const struct onnx_pair *pair = t->external_data.at[i];
        const char *value = pair->value ? pair->value : "";

        if (!pair->key)
            continue;
        if (!strcmp(pair->key, "location"))
            location = value;
        else if (!strcmp(pair->key, "offset"))
            RETURN_IF_FAIL(parse_size("offset", value, &offset));
        else if (!strcmp(pair->key, "length"))
            RETURN_IF_FAIL(parse_size("length", value, &length));
    }
    if (!location)
        return FAIL(INVALID, "external data has no location");
    if (!folder)
        return FAIL(UNSUPPORTED, "external data '%s': the model is not in a file", location);
    if (length != want)
        return FAIL(INVALID, "external data has %zu bytes, the shape needs %zu", length,
                    want);
    RETURN_IF_FAIL(safe_path(folder, location, path));
    RETURN_IF_FAIL(mapped_file_open(c, path, &file));
    if (offset > file->len || length > file->len - offset)
        return FAIL(INVALID, "external data '%s' ends at byte %zu, %zu at %zu are wanted",
                    location, file->len, length, offset);
    note_data_file(c, location);
    *out = (struct wire_bytes){file->bytes + offset, length};
    return OK;
}

/* ---- from stored bytes to elements ----------------------------------------------- */

static void unpack_nibbles(enum dtype dtype, const uint8_t *from, int64_t count,
                           uint8_t *to)
{
    for (int64_t i = 0; i < count; i++) {
        const uint8_t nibble = from[i / 2] >> (i & 1 ? 4 : 0) & 15;

        to[i] = dtype == DT_i4 && nibble > 7 ? nibble | 0xf0 : nibble;
    }
}

static void *from_raw(struct arena *a, enum dtype dtype, const uint8_t *raw, int64_t count)
{
    const size_t size = (size_t)dtype_info[dtype].bytes;

    if (is_nibble(dtype)) {
        uint8_t *out = arena_alloc(a, (size_t)count);

        unpack_nibbles(dtype, raw, count, out);
        return out;
    }
    if (dtype == DT_bool) {
        uint8_t *out = arena_alloc(a, (size_t)count);

        for (int64_t i = 0; i < count; i++)
            out[i] = raw[i] != 0;
        return out;
    }
    if (count && !((uintptr_t)raw % size))
        return (void *)raw;
    return arena_copy(a, raw, (size_t)count * size);
}

static void *from_ints(struct arena *a, enum dtype dtype, const struct wire_ints *ints,
                       int64_t count)
{
    const size_t size = (size_t)dtype_info[dtype].bytes;
    uint8_t *out = arena_alloc_array(a, (size_t)count, size);

    if (is_nibble(dtype)) {
        uint8_t *bytes = arena_alloc(a, (size_t)ints->n);

        for (int i = 0; i < ints->n; i++)
            bytes[i] = (uint8_t)ints->at[i];
        unpack_nibbles(dtype, bytes, count, out);
        return out;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t value = dtype == DT_bool ? ints->at[i] != 0 : ints->at[i];

        memcpy(out + (size_t)i * size, &value, size);
    }
    return out;
}

static struct status *check_count(size_t found, size_t want)
{
    if (found == want)
        return OK;
    return FAIL(INVALID, "has %zu %s of data, the shape needs %zu", found,
                found == 1 ? "element" : "elements", want);
}

static struct status *from_typed_fields(struct arena *a, const struct onnx_tensor *t,
                                        enum dtype dtype, int64_t count, void **out)
{
    const struct wire_ints *ints = dtype == DT_i64 ? &t->int64_data
                                 : dtype == DT_u64 || dtype == DT_u32 ? &t->uint64_data
                                                                      : &t->int32_data;
    const struct wire_fixed *fixed = dtype == DT_f32 ? &t->float_data
                                   : dtype == DT_f64 ? &t->double_data
                                                     : NULL;

    if (fixed) {
        const size_t size = (size_t)dtype_info[dtype].bytes;

        RETURN_IF_FAIL(check_count(fixed->n_bytes / size, (size_t)count));
        *out = from_raw(a, dtype, fixed->at, count);
        return OK;
    }

    const int64_t want = is_nibble(dtype) ? (count + 1) / 2 : count;

    RETURN_IF_FAIL(check_count((size_t)ints->n, (size_t)want));
    *out = from_ints(a, dtype, ints, count);
    return OK;
}

static struct status *load_shape(const struct onnx_tensor *t, struct tensor *out)
{
    *out = (struct tensor){.dtype = t->data_type > INT32_MAX || t->data_type < 0
                                        ? DT_NONE
                                        : dtype_from_onnx((int)t->data_type)};
    if (out->dtype == DT_NONE)
        return FAIL(UNSUPPORTED, "element type %s", onnx_type_name(t->data_type));
    if (t->segmented)
        return FAIL(UNSUPPORTED, "tensors in segments");
    if (t->dims.n > IR_MAX_RANK)
        return FAIL(UNSUPPORTED, "%d dimensions, at most %d are possible", t->dims.n,
                    IR_MAX_RANK);
    out->rank = t->dims.n;
    if (out->rank)
        memcpy(out->dim, t->dims.at, (size_t)out->rank * sizeof out->dim[0]);
    if (!ir_shape_fits(out->dtype, out->rank, out->dim))
        return FAIL(INVALID, "shape is negative or too large");
    return OK;
}

static int64_t count_of(const struct tensor *t)
{
    int64_t count = 1;

    for (int i = 0; i < t->rank; i++)
        count *= t->dim[i];
    return count;
}

/* `c` NULL: no external data (a file of test data). */
static struct status *load(struct arena *a, struct compile *c, const struct onnx_tensor *t,
                           const char *folder, struct tensor *out)
{
    RETURN_IF_FAIL(load_shape(t, out));

    const int64_t count = count_of(out);
    const size_t want = stored_bytes(out->dtype, count);
    struct wire_bytes raw = t->raw_data;

    if (t->data_location == 1) {
        if (!c)
            return FAIL(UNSUPPORTED, "external data in a file of one tensor");
        RETURN_IF_FAIL(find_external(c, t, folder, want, &raw));
    } else if (!wire_has(t->has, 9)) {
        return from_typed_fields(a, t, out->dtype, count, &out->data);
    }
    if (raw.n != want)
        return FAIL(INVALID, "has %zu bytes of data, the shape needs %zu", raw.n, want);
    out->data = from_raw(a, out->dtype, raw.at, count);
    return OK;
}

struct status *onnx_tensor_load(struct compile *c, const struct onnx_tensor *t,
                                const char *folder, struct tensor *out)
{
    return load(c->perm, c, t, folder, out);
}

struct status *onnx_tensor_load_alone(struct arena *a, const struct onnx_tensor *t,
                                      struct tensor *out)
{
    return load(a, NULL, t, NULL, out);
}

/* ---- sparse tensors ---------------------------------------------------------------- */

/* Position of entry i in the dense tensor, -1 when outside. */
static int64_t dense_position(const struct tensor *dense, const struct tensor *indices,
                              int64_t i)
{
    const int64_t *index = indices->data;
    int64_t at = 0;

    if (indices->rank == 1)
        return index[i] >= 0 && index[i] < count_of(dense) ? index[i] : -1;
    for (int d = 0; d < dense->rank; d++) {
        const int64_t k = index[i * dense->rank + d];

        if (k < 0 || k >= dense->dim[d])
            return -1;
        at = at * dense->dim[d] + k;
    }
    return at;
}

struct status *onnx_sparse_load(struct compile *c, const struct onnx_sparse_tensor *t,
                                const char *folder, struct tensor *out)
{
    struct tensor values, indices;

    if (!t->values || !t->indices)
        return FAIL(INVALID, "sparse tensor without values or indices");
    RETURN_IF_FAIL(onnx_tensor_load(c, t->values, folder, &values));
    RETURN_IF_FAIL(onnx_tensor_load(c, t->indices, folder, &indices));

    const struct onnx_tensor shape = {.dims = t->dims, .data_type = t->values->data_type};

    RETURN_IF_FAIL(load_shape(&shape, out));

    const size_t size = (size_t)dtype_info[values.dtype].bytes;
    const int64_t n = count_of(&values);
    const bool linear = indices.rank == 1 && indices.dim[0] == n;
    const bool by_axis = indices.rank == 2 && indices.dim[0] == n
                      && indices.dim[1] == out->rank;

    if (values.rank != 1 || indices.dtype != DT_i64 || (!linear && !by_axis))
        return FAIL(INVALID, "sparse tensor: indices do not fit values");
    if (count_of(out) * (int64_t)size > INT32_MAX)
        return FAIL(UNSUPPORTED, "sparse tensor of more than 2 GB when dense");
    out->data = arena_alloc(c->perm, (size_t)count_of(out) * size);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = dense_position(out, &indices, i);

        if (at < 0)
            return FAIL(INVALID, "sparse tensor: index %" PRId64 " is outside", i);
        memcpy((char *)out->data + (size_t)at * size,
               (const char *)values.data + (size_t)i * size, size);
    }
    return OK;
}

/* ---- files of one tensor -------------------------------------------------------------- */

struct status *onnx_read_file(struct arena *a, const char *path, uint8_t **bytes,
                              size_t *len)
{
    FILE *f = fopen(path, "rb");
    long size;

    if (!f)
        return FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));
    if (fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
        fclose(f);
        return FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));
    }
    *len = (size_t)size;
    *bytes = arena_alloc(a, *len + 1);

    const bool whole = fread(*bytes, 1, *len, f) == *len;

    fclose(f);
    return whole ? OK : FAIL(IO_ERROR, "'%s': cannot be read", path);
}

struct status *onnx_read_tensor_file(struct arena *a, const char *path, struct tensor *out)
{
    const struct onnx_tensor *t;
    uint8_t *bytes = NULL;
    size_t len = 0;

    RETURN_IF_FAIL(onnx_read_file(a, path, &bytes, &len));

    struct status *s = onnx_wire_tensor(a, bytes, len, &t);

    if (!s)
        s = load(a, NULL, t, NULL, out);
    return status_note(s, "while reading '%s'", path);
}

static void put_varint(struct text *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        text_append(out, &(uint8_t){(uint8_t)(value | 128)}, 1);
    text_append(out, &(uint8_t){(uint8_t)value}, 1);
}

static void put_field(struct text *out, int number, int wire, uint64_t value)
{
    put_varint(out, (uint64_t)number << 3 | (uint64_t)wire);
    put_varint(out, value);
}

static void put_nibbles(struct text *out, const uint8_t *data, int64_t count)
{
    for (int64_t i = 0; i < count; i += 2) {
        const uint8_t high = i + 1 < count ? data[i + 1] : 0;

        text_append(out, &(uint8_t){(uint8_t)((data[i] & 15) | high << 4)}, 1);
    }
}

struct status *onnx_write_tensor_file(const char *path, const char *name,
                                      const struct tensor *t)
{
    const int64_t count = count_of(t);
    struct text out = {0};

    for (int i = 0; i < t->rank; i++)
        put_field(&out, 1, 0, (uint64_t)t->dim[i]);
    put_field(&out, 2, 0, (uint64_t)dtype_info[t->dtype].onnx);
    put_field(&out, 8, 2, strlen(name));
    text_puts(&out, name);
    put_field(&out, 9, 2, stored_bytes(t->dtype, count));
    if (is_nibble(t->dtype))
        put_nibbles(&out, t->data, count);
    else
        text_append(&out, t->data, stored_bytes(t->dtype, count));

    FILE *f = fopen(path, "wb");
    struct status *s = OK;

    if (!f || fwrite(out.bytes, 1, out.len, f) != out.len)
        s = FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));
    if (f && fclose(f) && !s)
        s = FAIL(IO_ERROR, "'%s': %s", path, strerror(errno));
    text_free(&out);
    return s;
}
