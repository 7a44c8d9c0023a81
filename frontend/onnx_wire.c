/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf's wire format, driven by one table a message.  See onnx_wire.h; field
 * numbers are those of onnx.proto. */
#include "frontend/onnx_wire.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_DEPTH = 100, MAX_ITEMS = 1 << 22 };

enum wire_kind {
    W_SKIP, /* known and of no interest */
    W_INT, W_FLOAT, W_STRING, W_BYTES, W_MESSAGE, W_FLAG,
    W_INTS, W_FLOATS, W_DOUBLES, W_STRINGS, W_BYTES_LIST, W_MESSAGES,
};

enum wire_type { VARINT = 0, FIXED64 = 1, LEN = 2, FIXED32 = 5 };

struct wire_message;

struct wire_field {
    int number;
    enum wire_kind kind;
    size_t offset;
    const struct wire_message *message;
};

struct wire_message {
    const char *name;
    size_t size;
    bool strict; /* unknown fields are refused */
    const struct wire_field *fields;
    int n_fields;
};

/* ---- the tables --------------------------------------------------------------- */

#define FIELD(number, kind, type, member) {number, kind, offsetof(struct type, member), NULL}
#define SUB(number, kind, type, member, sub)                                           \
    {number, kind, offsetof(struct type, member), &sub}
#define SKIP(number) {number, W_SKIP, 0, NULL}
#define MESSAGE(symbol, name, type, strict)                                            \
    static const struct wire_message symbol = {name, sizeof(struct type), strict,      \
                                               symbol##_fields,                        \
                                               sizeof symbol##_fields                  \
                                                   / sizeof symbol##_fields[0]}

static const struct wire_field pair_fields[] = {
    FIELD(1, W_STRING, onnx_pair, key),
    FIELD(2, W_STRING, onnx_pair, value),
};
MESSAGE(pair, "StringStringEntryProto", onnx_pair, false);

static const struct wire_field opset_fields[] = {
    FIELD(1, W_STRING, onnx_opset, domain),
    FIELD(2, W_INT, onnx_opset, version),
};
MESSAGE(opset, "OperatorSetIdProto", onnx_opset, false);

static const struct wire_field dim_fields[] = {
    FIELD(1, W_INT, onnx_dim, value),
    FIELD(2, W_STRING, onnx_dim, param),
};
MESSAGE(dim, "TensorShapeProto.Dimension", onnx_dim, false);

static const struct wire_field shape_fields[] = {
    SUB(1, W_MESSAGES, onnx_shape, dim, dim),
};
MESSAGE(shape, "TensorShapeProto", onnx_shape, false);

static const struct wire_field tensor_type_fields[] = {
    FIELD(1, W_INT, onnx_tensor_type, elem_type),
    SUB(2, W_MESSAGE, onnx_tensor_type, shape, shape),
};
MESSAGE(tensor_type, "TypeProto.Tensor", onnx_tensor_type, false);

static const struct wire_message type;

static const struct wire_field type_of_fields[] = {
    SUB(1, W_MESSAGE, onnx_type_of, elem, type),
};
MESSAGE(type_of, "TypeProto.Sequence", onnx_type_of, false);

static const struct wire_field type_fields[] = {
    SUB(1, W_MESSAGE, onnx_type, tensor, tensor_type),
    SUB(4, W_MESSAGE, onnx_type, sequence, type_of),
    SUB(9, W_MESSAGE, onnx_type, optional, type_of),
};
MESSAGE(type, "TypeProto", onnx_type, false);

static const struct wire_field value_info_fields[] = {
    FIELD(1, W_STRING, onnx_value_info, name),
    SUB(2, W_MESSAGE, onnx_value_info, type, type),
};
MESSAGE(value_info, "ValueInfoProto", onnx_value_info, false);

static const struct wire_field tensor_fields[] = {
    FIELD(1, W_INTS, onnx_tensor, dims),
    FIELD(2, W_INT, onnx_tensor, data_type),
    FIELD(3, W_FLAG, onnx_tensor, segmented),
    FIELD(4, W_FLOATS, onnx_tensor, float_data),
    FIELD(5, W_INTS, onnx_tensor, int32_data),
    FIELD(6, W_BYTES_LIST, onnx_tensor, string_data),
    FIELD(7, W_INTS, onnx_tensor, int64_data),
    FIELD(8, W_STRING, onnx_tensor, name),
    FIELD(9, W_BYTES, onnx_tensor, raw_data),
    FIELD(10, W_DOUBLES, onnx_tensor, double_data),
    FIELD(11, W_INTS, onnx_tensor, uint64_data),
    SUB(13, W_MESSAGES, onnx_tensor, external_data, pair),
    FIELD(14, W_INT, onnx_tensor, data_location),
};
MESSAGE(tensor, "TensorProto", onnx_tensor, false);

static const struct wire_field sparse_tensor_fields[] = {
    SUB(1, W_MESSAGE, onnx_sparse_tensor, values, tensor),
    SUB(2, W_MESSAGE, onnx_sparse_tensor, indices, tensor),
    FIELD(3, W_INTS, onnx_sparse_tensor, dims),
};
MESSAGE(sparse_tensor, "SparseTensorProto", onnx_sparse_tensor, false);

static const struct wire_message graph;

static const struct wire_field attr_fields[] = {
    FIELD(1, W_STRING, onnx_attr, name),
    FIELD(2, W_FLOAT, onnx_attr, f),
    FIELD(3, W_INT, onnx_attr, i),
    FIELD(4, W_BYTES, onnx_attr, s),
    SUB(5, W_MESSAGE, onnx_attr, t, tensor),
    SUB(6, W_MESSAGE, onnx_attr, g, graph),
    FIELD(7, W_FLOATS, onnx_attr, floats),
    FIELD(8, W_INTS, onnx_attr, ints),
    FIELD(9, W_BYTES_LIST, onnx_attr, strings),
    SKIP(10), /* tensors */
    SKIP(11), /* graphs */
    SKIP(13), /* doc_string */
    SKIP(14), /* tp */
    SKIP(15), /* type_protos */
    FIELD(20, W_INT, onnx_attr, type),
    FIELD(21, W_STRING, onnx_attr, ref_name),
    SUB(22, W_MESSAGE, onnx_attr, sparse, sparse_tensor),
    SKIP(23), /* sparse_tensors */
};
MESSAGE(attr, "AttributeProto", onnx_attr, true);

static const struct wire_field node_fields[] = {
    FIELD(1, W_STRINGS, onnx_node, input),
    FIELD(2, W_STRINGS, onnx_node, output),
    FIELD(3, W_STRING, onnx_node, name),
    FIELD(4, W_STRING, onnx_node, op_type),
    SUB(5, W_MESSAGES, onnx_node, attr, attr),
    SKIP(6), /* doc_string */
    FIELD(7, W_STRING, onnx_node, domain),
    FIELD(8, W_STRING, onnx_node, overload),
    SKIP(9),  /* metadata_props */
    SKIP(10), /* device_configurations */
};
MESSAGE(node, "NodeProto", onnx_node, true);

static const struct wire_field graph_fields[] = {
    SUB(1, W_MESSAGES, onnx_graph, node, node),
    FIELD(2, W_STRING, onnx_graph, name),
    SUB(5, W_MESSAGES, onnx_graph, initializer, tensor),
    SUB(11, W_MESSAGES, onnx_graph, input, value_info),
    SUB(12, W_MESSAGES, onnx_graph, output, value_info),
    SUB(15, W_MESSAGES, onnx_graph, sparse_initializer, sparse_tensor),
};
MESSAGE(graph, "GraphProto", onnx_graph, false);

static const struct wire_field function_fields[] = {
    FIELD(1, W_STRING, onnx_function, name),
    SKIP(2), /* since_version */
    SKIP(3), /* status */
    FIELD(4, W_STRINGS, onnx_function, input),
    FIELD(5, W_STRINGS, onnx_function, output),
    FIELD(6, W_STRINGS, onnx_function, attribute),
    SUB(7, W_MESSAGES, onnx_function, node, node),
    SKIP(8), /* doc_string */
    SUB(9, W_MESSAGES, onnx_function, opset, opset),
    FIELD(10, W_STRING, onnx_function, domain),
    SUB(11, W_MESSAGES, onnx_function, attribute_default, attr),
    SKIP(12), /* value_info */
    FIELD(13, W_STRING, onnx_function, overload),
    SKIP(14), /* metadata_props */
};
MESSAGE(function, "FunctionProto", onnx_function, true);

static const struct wire_field model_fields[] = {
    FIELD(1, W_INT, onnx_model, ir_version),
    FIELD(2, W_STRING, onnx_model, producer_name),
    FIELD(3, W_STRING, onnx_model, producer_version),
    SUB(7, W_MESSAGE, onnx_model, graph, graph),
    SUB(8, W_MESSAGES, onnx_model, opset, opset),
    SUB(25, W_MESSAGES, onnx_model, function, function),
};
MESSAGE(model, "ModelProto", onnx_model, false);

static const struct wire_field sequence_fields[] = {
    SUB(3, W_MESSAGES, onnx_sequence, tensor, tensor),
    FIELD(4, W_FLAG, onnx_sequence, nested),
    FIELD(5, W_FLAG, onnx_sequence, nested),
    FIELD(6, W_FLAG, onnx_sequence, nested),
    FIELD(7, W_FLAG, onnx_sequence, nested),
};
MESSAGE(sequence, "SequenceProto", onnx_sequence, false);

static const struct wire_field optional_fields[] = {
    SUB(3, W_MESSAGE, onnx_optional, tensor, tensor),
    SUB(5, W_MESSAGE, onnx_optional, sequence, sequence),
};
MESSAGE(optional, "OptionalProto", onnx_optional, false);

/* ---- reading --------------------------------------------------------------------- */

struct reader {
    struct arena *arena;
    const uint8_t *base; /* of the file, for positions in messages */
    const struct wire_message *message;
    const uint8_t *at, *end;
    int depth;
};

#define BAD(r, format, ...)                                                            \
    FAIL(INVALID, "%s at byte %zu: " format, (r)->message->name,                       \
         (size_t)((r)->at - (r)->base), ##__VA_ARGS__)

static struct status *read_varint(struct reader *r, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        const uint8_t byte = *r->at++;

        if (shift < 64)
            *out |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return OK;
    }
    return BAD(r, "number is cut short or longer than 10 bytes");
}

static struct status *read_span(struct reader *r, struct wire_bytes *out)
{
    uint64_t n;

    RETURN_IF_FAIL(read_varint(r, &n));
    if (n > (uint64_t)(r->end - r->at))
        return BAD(r, "a field of %" PRIu64 " bytes runs past the end", n);
    out->at = r->at;
    out->n = (size_t)n;
    r->at += n;
    return OK;
}

static struct status *take(struct reader *r, size_t n, const uint8_t **out)
{
    if (n > (size_t)(r->end - r->at))
        return BAD(r, "cut short");
    *out = r->at;
    r->at += n;
    return OK;
}

static struct status *skip_value(struct reader *r, enum wire_type wire)
{
    struct wire_bytes ignored;
    const uint8_t *bytes;
    uint64_t number;

    switch (wire) {
    case VARINT: return read_varint(r, &number);
    case FIXED64: return take(r, 8, &bytes);
    case LEN: return read_span(r, &ignored);
    case FIXED32: return take(r, 4, &bytes);
    }
    return BAD(r, "wire type %d is not used by ONNX", wire);
}

/* Length of the UTF-8 character at s, 0 if there is none. */
static size_t utf8_length(const uint8_t *s, size_t n)
{
    const size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2
                     : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static struct status *copy_name(struct reader *r, struct wire_bytes span, const char **out)
{
    if (span.n > UINT32_MAX)
        return BAD(r, "a name of %zu bytes", span.n);
    if (span.n && memchr(span.at, 0, span.n))
        return BAD(r, "a name contains a zero byte");

    size_t bad = 0;

    for (size_t i = 0, len; i < span.n; i += len ? len : 1) {
        len = utf8_length(span.at + i, span.n - i);
        bad += !len;
    }

    char *name = arena_alloc(r->arena, span.n + 3 * bad + 1);
    char *to = name;

    for (size_t i = 0, len; i < span.n; i += len ? len : 1) {
        len = utf8_length(span.at + i, span.n - i);
        if (!len)
            to += snprintf(to, 5, "\\x%02x", span.at[i]);
        for (size_t k = 0; k < len; k++)
            *to++ = (char)span.at[i + k];
    }
    *out = name;
    return OK;
}

static struct status *list_add(struct reader *r, struct wire_list *list, void *item)
{
    if (list->n == MAX_ITEMS)
        return BAD(r, "more than %d items in a list", MAX_ITEMS);
    list->at = arena_grow(r->arena, list->at, sizeof *list->at, list->n, &list->cap);
    list->at[list->n++] = item;
    return OK;
}

/* Room for `more` further ints. */
static struct status *reserve_ints(struct reader *r, struct wire_ints *list, size_t more)
{
    if (more > (size_t)(INT32_MAX / 2 - list->n))
        return BAD(r, "too many numbers in a list");
    if (list->n + (int)more <= list->cap)
        return OK;

    const int cap = list->n + (int)more > 2 * list->cap ? list->n + (int)more
                                                        : 2 * list->cap;
    int64_t *grown = arena_new_array(r->arena, int64_t, cap);

    if (list->n)
        memcpy(grown, list->at, (size_t)list->n * sizeof *grown);
    list->at = grown;
    list->cap = cap;
    return OK;
}

static struct status *read_ints(struct reader *r, enum wire_type wire,
                                struct wire_ints *list)
{
    struct wire_bytes span;
    size_t count = 0;
    uint64_t number;

    if (wire == VARINT) {
        RETURN_IF_FAIL(reserve_ints(r, list, 1));
        RETURN_IF_FAIL(read_varint(r, &number));
        ((int64_t *)list->at)[list->n++] = (int64_t)number;
        return OK;
    }
    RETURN_IF_FAIL(read_span(r, &span));
    for (size_t i = 0; i < span.n; i++)
        count += !(span.at[i] & 128);
    RETURN_IF_FAIL(reserve_ints(r, list, count));

    struct reader packed = *r;

    packed.at = span.at;
    packed.end = span.at + span.n;
    while (packed.at < packed.end) {
        RETURN_IF_FAIL(read_varint(&packed, &number));
        ((int64_t *)list->at)[list->n++] = (int64_t)number;
    }
    return OK;
}

/* One packed run stays in the file; more than one are joined in a copy. */
static struct status *read_fixed(struct reader *r, enum wire_type wire, size_t size,
                                 struct wire_fixed *list)
{
    struct wire_bytes span = {NULL, size};

    if (wire == LEN)
        RETURN_IF_FAIL(read_span(r, &span));
    else
        RETURN_IF_FAIL(take(r, size, &span.at));
    if (span.n % size)
        return BAD(r, "a packed list of %zu bytes holds elements of %zu", span.n, size);
    if (!list->n_bytes) {
        list->at = span.at;
        list->n_bytes = span.n;
        return OK;
    }

    const size_t total = list->n_bytes + span.n;

    if (total > list->cap) {
        const size_t cap = total > 2 * list->cap ? total : 2 * list->cap;
        uint8_t *grown = arena_alloc(r->arena, cap);

        memcpy(grown, list->at, list->n_bytes);
        list->at = grown;
        list->cap = cap;
    }
    if (span.n)
        memcpy((uint8_t *)list->at + list->n_bytes, span.at, span.n);
    list->n_bytes = total;
    return OK;
}

static struct status *read_message(struct reader *outer, const struct wire_message *m,
                                   struct wire_bytes span, void *to);

/* `to` holds a pointer to the message, NULL before the first; a second one is merged
 * into it. */
static struct status *read_sub(struct reader *r, const struct wire_message *m, void *to)
{
    struct wire_bytes span;
    void *message;

    RETURN_IF_FAIL(read_span(r, &span));
    memcpy(&message, to, sizeof message);
    if (!message) {
        message = arena_alloc(r->arena, m->size);
        memcpy(to, &message, sizeof message);
    }
    return read_message(r, m, span, message);
}

static enum wire_type wanted_type(enum wire_kind kind)
{
    switch (kind) {
    case W_INT:
    case W_INTS: return VARINT;
    case W_FLOAT:
    case W_FLOATS: return FIXED32;
    case W_DOUBLES: return FIXED64;
    default: return LEN;
    }
}

static bool repeated_scalar(enum wire_kind kind)
{
    return kind == W_INTS || kind == W_FLOATS || kind == W_DOUBLES;
}

static struct status *read_scalar(struct reader *r, const struct wire_field *f, void *to)
{
    const uint8_t *bytes = NULL;
    uint64_t number;

    if (f->kind == W_INT) {
        RETURN_IF_FAIL(read_varint(r, &number));
        *(int64_t *)to = (int64_t)number;
        return OK;
    }
    RETURN_IF_FAIL(take(r, 4, &bytes));
    memcpy(to, bytes, 4);
    return OK;
}

static struct status *read_length_delimited(struct reader *r, const struct wire_field *f,
                                            void *to)
{
    struct wire_bytes span;
    const char *name;
    void *item = NULL;

    if (f->kind == W_MESSAGE)
        return read_sub(r, f->message, to);
    if (f->kind == W_MESSAGES) {
        RETURN_IF_FAIL(read_sub(r, f->message, &item));
        return list_add(r, to, item);
    }
    RETURN_IF_FAIL(read_span(r, &span));
    switch (f->kind) {
    case W_BYTES: *(struct wire_bytes *)to = span; return OK;
    case W_FLAG: *(bool *)to = true; return OK;
    case W_STRING: return copy_name(r, span, to);
    case W_STRINGS:
        RETURN_IF_FAIL(copy_name(r, span, &name));
        return list_add(r, to, (void *)name);
    default: /* W_BYTES_LIST */
        return list_add(r, to, arena_copy(r->arena, &span, sizeof span));
    }
}

static struct status *read_value(struct reader *r, const struct wire_field *f,
                                 enum wire_type wire, void *message)
{
    void *to = (char *)message + f->offset;

    if (f->kind == W_SKIP)
        return skip_value(r, wire);
    if (wire != wanted_type(f->kind) && !(wire == LEN && repeated_scalar(f->kind)))
        return BAD(r, "field %d has wire type %d", f->number, wire);
    switch (f->kind) {
    case W_INT:
    case W_FLOAT: return read_scalar(r, f, to);
    case W_INTS: return read_ints(r, wire, to);
    case W_FLOATS: return read_fixed(r, wire, 4, to);
    case W_DOUBLES: return read_fixed(r, wire, 8, to);
    default: return read_length_delimited(r, f, to);
    }
}

static const struct wire_field *find_field(const struct wire_message *m, uint64_t number)
{
    for (int i = 0; i < m->n_fields; i++)
        if ((uint64_t)m->fields[i].number == number)
            return &m->fields[i];
    return NULL;
}

static struct status *read_message(struct reader *outer, const struct wire_message *m,
                                   struct wire_bytes span, void *to)
{
    struct reader r = {.arena = outer->arena, .base = outer->base, .message = m,
                       .at = span.at, .end = span.at + span.n, .depth = outer->depth + 1};

    if (r.depth > MAX_DEPTH)
        return BAD(&r, "messages nest deeper than %d", MAX_DEPTH);
    while (r.at < r.end) {
        uint64_t key;

        RETURN_IF_FAIL(read_varint(&r, &key));

        const struct wire_field *f = find_field(m, key >> 3);
        const enum wire_type wire = (enum wire_type)(key & 7);

        if (!f && m->strict)
            return BAD(&r, "unknown field %" PRIu64 ", so the meaning is unknown", key >> 3);
        if (!f && !(key >> 3))
            return BAD(&r, "field number 0");
        RETURN_IF_FAIL(f ? read_value(&r, f, wire, to) : skip_value(&r, wire));
        if (f)
            *(uint64_t *)to |= (uint64_t)1 << f->number; /* `has` stands first */
    }
    return OK;
}

static struct status *read_file(struct arena *a, const struct wire_message *m,
                                const void *bytes, size_t len, void **out)
{
    struct reader r = {.arena = a, .base = bytes, .message = m};
    const struct wire_bytes span = {bytes, len};

    *out = arena_alloc(a, m->size);
    return read_message(&r, m, span, *out);
}

struct status *onnx_wire_model(struct arena *a, const void *bytes, size_t len,
                               const struct onnx_model **out)
{
    void *read;

    RETURN_IF_FAIL(read_file(a, &model, bytes, len, &read));
    *out = read;
    return OK;
}

struct status *onnx_wire_tensor(struct arena *a, const void *bytes, size_t len,
                                const struct onnx_tensor **out)
{
    void *read;

    RETURN_IF_FAIL(read_file(a, &tensor, bytes, len, &read));
    *out = read;
    return OK;
}

struct status *onnx_wire_sequence(struct arena *a, const void *bytes, size_t len,
                                  const struct onnx_sequence **out)
{
    void *read;

    RETURN_IF_FAIL(read_file(a, &sequence, bytes, len, &read));
    *out = read;
    return OK;
}

struct status *onnx_wire_optional(struct arena *a, const void *bytes, size_t len,
                                  const struct onnx_optional **out)
{
    void *read;

    RETURN_IF_FAIL(read_file(a, &optional, bytes, len, &read));
    *out = read;
    return OK;
}
