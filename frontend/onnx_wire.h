/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of onnx.proto, read from protobuf's wire format.
 *
 * Bulk data (raw_data, packed floats, strings of bytes) stays where it is: `at`
 * points into the bytes given, which must outlive the result, and may have any
 * alignment.  Names are copied, NUL-terminated; bytes of a name that are not UTF-8
 * are written as \xHH.  What is missing is zero or NULL; `has` tells present scalars
 * apart (bit = field number).
 *
 * Refused: anything longer than what is left, nesting deeper than 100, wrong wire
 * types, groups, and unknown fields in nodes, attributes and functions, because
 * ignoring them could change what the model means.
 */
#ifndef HADMC_FRONTEND_ONNX_WIRE_H
#define HADMC_FRONTEND_ONNX_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/status.h"

struct wire_bytes {
    const uint8_t *at;
    size_t n;
};

struct wire_ints {
    const int64_t *at;
    int n, cap;
};

/* Elements of 4 or 8 bytes, little-endian, unaligned. */
struct wire_fixed {
    const uint8_t *at;
    size_t n_bytes, cap;
};

/* Pointers to the message structs below, or to strings. */
struct wire_list {
    void **at;
    int n, cap;
};

enum onnx_attr_type {
    ONNX_ATTR_UNDEFINED, ONNX_ATTR_FLOAT, ONNX_ATTR_INT, ONNX_ATTR_STRING,
    ONNX_ATTR_TENSOR, ONNX_ATTR_GRAPH, ONNX_ATTR_FLOATS, ONNX_ATTR_INTS,
    ONNX_ATTR_STRINGS, ONNX_ATTR_TENSORS, ONNX_ATTR_GRAPHS, ONNX_ATTR_SPARSE_TENSOR,
    ONNX_ATTR_SPARSE_TENSORS, ONNX_ATTR_TYPE_PROTO, ONNX_ATTR_TYPE_PROTOS,
};

struct onnx_pair {
    uint64_t has;
    const char *key, *value;
};

struct onnx_opset {
    uint64_t has;
    const char *domain;
    int64_t version;
};

struct onnx_dim {
    uint64_t has; /* bit 1: value, bit 2: param */
    int64_t value;
    const char *param;
};

struct onnx_shape {
    uint64_t has;
    struct wire_list dim; /* onnx_dim */
};

struct onnx_tensor_type {
    uint64_t has;
    int64_t elem_type;
    struct onnx_shape *shape;
};

/* Also sequence and optional types, which hold one element type. */
struct onnx_type {
    uint64_t has;
    struct onnx_tensor_type *tensor;
    struct onnx_type_of *sequence, *optional;
};

struct onnx_type_of {
    uint64_t has;
    struct onnx_type *elem;
};

struct onnx_value_info {
    uint64_t has;
    const char *name;
    struct onnx_type *type;
};

struct onnx_tensor {
    uint64_t has;
    struct wire_ints dims;
    int64_t data_type, data_location;
    struct wire_fixed float_data, double_data;
    struct wire_ints int32_data, int64_data, uint64_data;
    struct wire_list string_data;
    struct wire_bytes raw_data;
    struct wire_list external_data; /* onnx_pair */
    const char *name;
    bool segmented;
};

struct onnx_sparse_tensor {
    uint64_t has;
    struct onnx_tensor *values, *indices;
    struct wire_ints dims;
};

struct onnx_attr {
    uint64_t has;
    const char *name, *ref_name;
    int64_t type;
    float f;
    int64_t i;
    struct wire_bytes s;
    struct onnx_tensor *t;
    struct onnx_graph *g;
    struct onnx_sparse_tensor *sparse;
    struct wire_fixed floats;
    struct wire_ints ints;
    struct wire_list strings; /* wire_bytes */
};

struct onnx_node {
    uint64_t has;
    struct wire_list input, output; /* strings */
    const char *name, *op_type, *domain, *overload;
    struct wire_list attr; /* onnx_attr */
};

struct onnx_graph {
    uint64_t has;
    struct wire_list node, initializer, input, output, sparse_initializer;
    const char *name;
};

struct onnx_function {
    uint64_t has;
    const char *name, *domain, *overload;
    struct wire_list input, output, attribute; /* strings */
    struct wire_list attribute_default;        /* onnx_attr */
    struct wire_list node, opset;
};

struct onnx_model {
    uint64_t has;
    int64_t ir_version;
    const char *producer_name, *producer_version;
    struct onnx_graph *graph;
    struct wire_list opset, function;
};

struct onnx_sequence {
    uint64_t has;
    struct wire_list tensor; /* onnx_tensor */
    bool nested;             /* holds something else */
};

struct onnx_optional {
    uint64_t has;
    struct onnx_tensor *tensor;
    struct onnx_sequence *sequence;
};

/* The structures are trees in `a`. */
struct status *onnx_wire_model(struct arena *a, const void *bytes, size_t len,
                               const struct onnx_model **out);
struct status *onnx_wire_tensor(struct arena *a, const void *bytes, size_t len,
                                const struct onnx_tensor **out);
struct status *onnx_wire_sequence(struct arena *a, const void *bytes, size_t len,
                                  const struct onnx_sequence **out);
struct status *onnx_wire_optional(struct arena *a, const void *bytes, size_t len,
                                  const struct onnx_optional **out);

static inline bool wire_has(uint64_t has, int field)
{
    return has >> field & 1;
}

#endif /* HADMC_FRONTEND_ONNX_WIRE_H */
