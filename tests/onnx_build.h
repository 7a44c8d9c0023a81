/* SPDX-License-Identifier: Apache-2.0 */
/* Writes small ONNX files for tests: protobuf fields by number, messages inside out.
 *
 *     struct text dim = {0}, model = {0};
 *     pb_int(&dim, 1, 8);
 *     pb_message(&model, 7, &dim);       // and frees it
 */
#ifndef HADMC_TESTS_ONNX_BUILD_H
#define HADMC_TESTS_ONNX_BUILD_H

#include <stdint.h>
#include <string.h>

#include "support/text.h"

static inline void pb_varint(struct text *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        text_append(out, &(uint8_t){(uint8_t)(value | 128)}, 1);
    text_append(out, &(uint8_t){(uint8_t)value}, 1);
}

static inline void pb_int(struct text *out, int field, int64_t value)
{
    pb_varint(out, (uint64_t)field << 3);
    pb_varint(out, (uint64_t)value);
}

static inline void pb_bytes(struct text *out, int field, const void *bytes, size_t n)
{
    pb_varint(out, (uint64_t)field << 3 | 2);
    pb_varint(out, n);
    text_append(out, bytes, n);
}

static inline void pb_string(struct text *out, int field, const char *string)
{
    pb_bytes(out, field, string, strlen(string));
}

static inline void pb_float(struct text *out, int field, float value)
{
    pb_varint(out, (uint64_t)field << 3 | 5);
    text_append(out, &value, 4);
}

static inline void pb_message(struct text *out, int field, struct text *inner)
{
    pb_bytes(out, field, inner->bytes, inner->len);
    text_free(inner);
}

/* ---- what ONNX models are made of --------------------------------------------------- */

enum {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_STRING = 8,
    ONNX_BOOL = 9
};
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };

/* "3,N,?,??" : sizes, names of open dimensions, dimensions without either or called
 * "?". */
static inline void onnx_value(struct text *graph, int field, const char *name, int type,
                              const char *dims)
{
    struct text shape = {0}, tensor = {0}, info_type = {0}, info = {0};

    while (*dims) {
        const size_t n = strcspn(dims, ",");
        struct text dim = {0};

        if (*dims >= '0' && *dims <= '9')
            pb_int(&dim, 1, *dims - '0');
        else if (*dims != '?' || n > 1)
            pb_bytes(&dim, 2, dims, *dims == '?' ? 1 : n);
        pb_message(&shape, 1, &dim);
        dims += n + (dims[n] == ',');
    }
    pb_int(&tensor, 1, type);
    pb_message(&tensor, 2, &shape);
    pb_message(&info_type, 1, &tensor);
    pb_string(&info, 1, name);
    pb_message(&info, 2, &info_type);
    pb_message(graph, field, &info);
}

/* Names separated by spaces, "-" for one left out; `attr` holds AttributeProtos. */
static inline void onnx_node(struct text *graph, int field, const char *op,
                             const char *in, const char *out, struct text *attr)
{
    const char *lists[2] = {in, out};
    struct text node = {0};

    for (int k = 0; k < 2; k++)
        for (const char *at = lists[k]; *at;) {
            const size_t n = strcspn(at, " ");

            pb_bytes(&node, k + 1, at, *at == '-' ? 0 : n);
            at += n + (at[n] == ' ');
        }
    pb_string(&node, 4, op);
    if (attr) {
        text_append(&node, attr->bytes, attr->len);
        text_free(attr);
    }
    pb_message(graph, field, &node);
}

static inline void onnx_attr_int(struct text *attrs, const char *name, int64_t value)
{
    struct text attr = {0};

    pb_string(&attr, 1, name);
    pb_int(&attr, 3, value);
    pb_int(&attr, 20, 2);
    pb_message(attrs, 5, &attr);
}

static inline void onnx_attr_string(struct text *attrs, const char *name,
                                    const char *value)
{
    struct text attr = {0};

    pb_string(&attr, 1, name);
    pb_string(&attr, 4, value);
    pb_int(&attr, 20, 3);
    pb_message(attrs, 5, &attr);
}

static inline void onnx_attr_graph(struct text *attrs, const char *name, struct text *graph)
{
    struct text attr = {0};

    pb_string(&attr, 1, name);
    pb_message(&attr, 6, graph);
    pb_int(&attr, 20, 5);
    pb_message(attrs, 5, &attr);
}

static inline void onnx_initializer(struct text *graph, const char *name, int type, int n,
                                    const int64_t *dim, const void *data, size_t n_bytes)
{
    struct text tensor = {0};

    for (int i = 0; i < n; i++)
        pb_int(&tensor, 1, dim[i]);
    pb_int(&tensor, 2, type);
    pb_string(&tensor, 8, name);
    pb_bytes(&tensor, 9, data, n_bytes);
    pb_message(graph, GRAPH_INITIALIZER, &tensor);
}

/* Takes the graph. */
static inline struct text onnx_model(struct text *graph, int opset)
{
    struct text model = {0}, version = {0};

    pb_int(&model, 1, 8);
    pb_string(&graph[0], 2, "test");
    pb_message(&model, 7, graph);
    pb_int(&version, 2, opset);
    pb_message(&model, 8, &version);
    return model;
}

#endif /* HADMC_TESTS_ONNX_BUILD_H */
