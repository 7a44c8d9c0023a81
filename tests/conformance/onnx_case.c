/* SPDX-License-Identifier: Apache-2.0 */
/* A model with its test data: see onnx_case.h. */
#include "tests/conformance/onnx_case.h"

#include <string.h>

const struct tensor *onnx_case_find(const struct onnx_data *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->at[i].name, name) == 0)
            return &d->at[i].value;
    return NULL;
}

int64_t onnx_case_count(const struct tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

struct tensor onnx_case_perturb(struct arena *a, const struct tensor *t)
{
    const int64_t n = onnx_case_count(t), size = dtype_info[t->dtype].bytes;
    struct tensor p = *t;
    uint32_t state = 12345;

    p.data = arena_copy(a, t->data, (size_t)(n * size));
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        const double r = (double)(state >> 8) / 16777216.0 - 0.5;

        if (t->dtype == DT_f32) {
            float *f = (float *)p.data + i;

            *f = (float)((double)*f * (1 + 0.01 * r) + 0.003 * r);
        } else if (t->dtype == DT_f64) {
            double *f = (double *)p.data + i;

            *f = *f * (1 + 0.01 * r) + 0.003 * r;
        } else {
            memcpy((char *)p.data + i * size, (const char *)t->data + (n - 1 - i) * size,
                   (size_t)size);
        }
    }
    return p;
}

/* An input that may be frozen: small, and about shapes rather than data. */
static bool shape_like(const struct onnx_data *d, int index)
{
    const struct tensor *t = &d->at[index].value;
    const bool integer = t->dtype == DT_i64 || t->dtype == DT_i32 || t->dtype == DT_bool;

    return t->data && t->rank <= 1 && onnx_case_count(t) <= 64
        && (integer || index > 0 || (d->n == 3 && t->rank == 0));
}

/* How long sequences are, and whether an optional has contents, is structure. */
static void pin_lengths(struct onnx_case *s)
{
    const int max_dims = (int)(sizeof s->onnx.dim / sizeof s->onnx.dim[0]);

    for (int i = 0; i < s->data.n_lengths && s->onnx.n_dims < max_dims; i++) {
        s->onnx.dim[s->onnx.n_dims].name = s->data.lengths[i].name;
        s->onnx.dim[s->onnx.n_dims++].value = s->data.lengths[i].value;
    }
}

/* So are shapes: every input has the shape of its tensor. */
static void pin_shapes(struct onnx_case *s)
{
    const int max_shapes = (int)(sizeof s->onnx.shape / sizeof s->onnx.shape[0]);

    for (int i = 0; i < s->data.n && s->onnx.n_shapes < max_shapes; i++) {
        const struct tensor *t = &s->data.at[i].value;

        s->onnx.shape[s->onnx.n_shapes].input = s->data.at[i].name;
        s->onnx.shape[s->onnx.n_shapes].rank = t->rank;
        memcpy(s->onnx.shape[s->onnx.n_shapes++].dim, t->dim, sizeof t->dim);
    }
}

static void freeze_shape_inputs(struct onnx_case *s)
{
    const int max = (int)(sizeof s->onnx.freeze / sizeof s->onnx.freeze[0]);

    for (int i = 0; i < s->data.n && s->onnx.n_freezes < max; i++)
        if (shape_like(&s->data, i)) {
            s->onnx.freeze[s->onnx.n_freezes].input = s->data.at[i].name;
            s->onnx.freeze[s->onnx.n_freezes++].value = s->data.at[i].value;
        }
}

static struct status *try_import(struct onnx_case *s)
{
    if (s->compile)
        compile_destroy(s->compile);
    s->compile = compile_create();
    return onnx_import(s->compile, s->model, &s->onnx, NULL, &s->graph);
}

struct status *onnx_case_import(struct onnx_case *s, bool *frozen)
{
    pin_lengths(s);

    struct status *first = try_import(s);

    *frozen = false;
    if (!first || status_code(first) == INTERNAL)
        return first;
    if (strstr(status_message(first), "shapes must be fixed")) {
        status_free(first);
        pin_shapes(s);
        first = try_import(s);
        if (!first || status_code(first) == INTERNAL)
            return first;
    }
    freeze_shape_inputs(s);
    if (!s->onnx.n_freezes)
        return first;
    struct status *second = try_import(s);

    if (second && status_code(second) != INTERNAL) {
        status_free(second);
        return first;
    }
    status_free(first);
    *frozen = true;
    return second;
}
