/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Runtime through its function table: see ort_api.h. */
#include "bench/ort_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

/* Positions in OrtApi (onnxruntime_c_api.h, API version 8 and later). */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_GRAPH_OPTIMIZATION = 23,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    SESSION_INPUT_COUNT = 30,
    SESSION_OUTPUT_COUNT = 31,
    SESSION_INPUT_TYPE = 33,
    SESSION_INPUT_NAME = 36,
    SESSION_OUTPUT_NAME = 37,
    CREATE_TENSOR_WITH_DATA = 49,
    TENSOR_DATA = 51,
    CAST_TYPE_TO_TENSOR = 55,
    TENSOR_ELEMENT_TYPE = 60,
    DIMS_COUNT = 61,
    DIMS = 62,
    ELEMENT_COUNT = 64,
    TENSOR_TYPE_AND_SHAPE = 65,
    CREATE_CPU_MEMORY_INFO = 69,
    DEFAULT_ALLOCATOR = 78,
    API_VERSION = 8,
    MAX_IO = 16,
    ALL_OPTIMIZATIONS = 99,
};

typedef void *handle;
typedef handle api_fn(); /* every function returns a status, NULL for success */

struct api_base {
    const void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
};

struct ort_model {
    const struct api_base *base;
    const void *const *api;
    handle session;
    size_t n_in, n_out;
    const char *in_name[MAX_IO], *out_name[MAX_IO];
    size_t in_bytes[MAX_IO];
    int in_type[MAX_IO];
    void *in_data[MAX_IO];
    handle in[MAX_IO], out[MAX_IO];
};

#define CALL(m, slot, ...) check((m), ((api_fn *)(uintptr_t)(m)->api[slot])(__VA_ARGS__))

static void check(const struct ort_model *m, handle status)
{
    if (!status)
        return;
    const char *(*message)(handle) =
        (const char *(*)(handle))(uintptr_t)m->api[GET_ERROR_MESSAGE];

    fprintf(stderr, "ONNX Runtime: %s\n", message(status));
    exit(2);
}

static size_t element_bytes(int onnx_type)
{
    switch (onnx_type) {
    case 1:
    case 6:
    case 12:
        return 4;
    case 7:
    case 11:
    case 13:
        return 8;
    case 4:
    case 5:
    case 10:
    case 16:
        return 2;
    default:
        return 1;
    }
}

static void make_input(struct ort_model *m, handle memory, handle allocator, size_t i)
{
    handle type, tensor_type;
    int element;
    size_t rank, count = 1;
    int64_t dim[16];
    char *name;

    CALL(m, SESSION_INPUT_NAME, m->session, i, allocator, &name);
    CALL(m, SESSION_INPUT_TYPE, m->session, i, &type);
    CALL(m, CAST_TYPE_TO_TENSOR, type, &tensor_type);
    CALL(m, TENSOR_ELEMENT_TYPE, tensor_type, &element);
    CALL(m, DIMS_COUNT, tensor_type, &rank);
    CALL(m, DIMS, tensor_type, dim, rank);
    for (size_t k = 0; k < rank; k++) {
        if (dim[k] < 0)
            dim[k] = 1;
        count *= (size_t)dim[k];
    }
    m->in_name[i] = name;
    m->in_type[i] = element;
    m->in_bytes[i] = count * element_bytes(element);
    m->in_data[i] = aligned_alloc(64, (m->in_bytes[i] + 127) / 64 * 64);
    CALL(m, CREATE_TENSOR_WITH_DATA, memory, m->in_data[i], m->in_bytes[i], dim, rank,
         element, &m->in[i]);
}

struct ort_model *ort_open(const char *library, const char *model_path, int n_threads)
{
    struct ort_model *m = calloc(1, sizeof *m);
    void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);

    if (!lib || !m) {
        fprintf(stderr, "cannot load %s: %s\n", library, dlerror());
        exit(2);
    }
    const struct api_base *(*get_base)(void) =
        (const struct api_base *(*)(void))(uintptr_t)dlsym(lib, "OrtGetApiBase");
    handle env, options, allocator, memory;

    m->base = get_base();
    m->api = m->base->get_api(API_VERSION);
    CALL(m, CREATE_ENV, 3, "bench", &env);
    CALL(m, CREATE_SESSION_OPTIONS, &options);
    CALL(m, SET_INTRA_OP_THREADS, options, n_threads);
    CALL(m, SET_INTER_OP_THREADS, options, 1);
    CALL(m, SET_GRAPH_OPTIMIZATION, options, ALL_OPTIMIZATIONS);
    CALL(m, CREATE_SESSION, env, model_path, options, &m->session);
    CALL(m, DEFAULT_ALLOCATOR, &allocator);
    CALL(m, CREATE_CPU_MEMORY_INFO, 1, 0, &memory);
    CALL(m, SESSION_INPUT_COUNT, m->session, &m->n_in);
    CALL(m, SESSION_OUTPUT_COUNT, m->session, &m->n_out);
    if (m->n_in > MAX_IO || m->n_out > MAX_IO) {
        fprintf(stderr, "%s: more than %d inputs or outputs\n", model_path, MAX_IO);
        exit(2);
    }
    for (size_t i = 0; i < m->n_in; i++)
        make_input(m, memory, allocator, i);
    for (size_t i = 0; i < m->n_out; i++)
        CALL(m, SESSION_OUTPUT_NAME, m->session, i, allocator, &m->out_name[i]);
    return m;
}

const char *ort_version(const struct ort_model *m)
{
    return m->base->version();
}

int ort_input_count(const struct ort_model *m)
{
    return (int)m->n_in;
}

int ort_output_count(const struct ort_model *m)
{
    return (int)m->n_out;
}

size_t ort_input_bytes(const struct ort_model *m, int i)
{
    return m->in_bytes[i];
}

int ort_input_type(const struct ort_model *m, int i)
{
    return m->in_type[i];
}

void *ort_input(struct ort_model *m, int i)
{
    return m->in_data[i];
}

const void *ort_output(const struct ort_model *m, int i, size_t *n_bytes)
{
    handle info;
    int element;
    size_t count;
    void *data;

    CALL(m, TENSOR_TYPE_AND_SHAPE, m->out[i], &info);
    CALL(m, TENSOR_ELEMENT_TYPE, info, &element);
    CALL(m, ELEMENT_COUNT, info, &count);
    CALL(m, TENSOR_DATA, m->out[i], &data);
    *n_bytes = count * element_bytes(element);
    return data;
}

/* The first run allocates the outputs; later runs write into the same ones. */
void ort_run(struct ort_model *m)
{
    CALL(m, RUN, m->session, (handle)NULL, m->in_name, (const handle *)m->in, m->n_in,
         m->out_name, m->n_out, m->out);
}
