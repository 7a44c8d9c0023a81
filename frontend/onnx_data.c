/* SPDX-License-Identifier: Apache-2.0 */
/* Test data of a model: the files of one folder, under the names that the compiled
 * model's inputs and outputs have. */
#include <string.h>
#include <unistd.h>

#include "frontend/mapped_file.h"
#include "frontend/onnx_importer.h"
#include "frontend/onnx_tensor.h"

/* A list of tensors in `a`. */
struct found {
    int n;
    const struct onnx_tensor **at;
};

static bool is_initializer(const struct onnx_graph *g, const char *name)
{
    for (int i = 0; i < g->initializer.n; i++) {
        const struct onnx_tensor *t = g->initializer.at[i];

        if (t->name && strcmp(t->name, name) == 0)
            return true;
    }
    return false;
}

/* `c` holds what *out points to. */
static struct status *read_graph(struct compile *c, const char *path,
                                 const struct onnx_graph **out)
{
    const struct onnx_model *model;
    const struct mapped_file *file;

    RETURN_IF_FAIL(mapped_file_open(c, path, &file));
    RETURN_IF_FAIL(onnx_wire_model(c->perm, file->bytes, file->len, &model));
    if (!model->graph)
        return FAIL(INVALID, "'%s' is not an ONNX model: it has no graph", path);
    *out = model->graph;
    return OK;
}

/* The ports in the order of the files; NULL past the last. */
static const struct onnx_value_info *find_port(const struct onnx_graph *g, bool inputs,
                                               int i)
{
    const struct wire_list *list = inputs ? &g->input : &g->output;

    for (int k = 0; k < list->n; k++) {
        const struct onnx_value_info *info = list->at[k];

        if (!info->name || (inputs && is_initializer(g, info->name)))
            continue;
        if (i-- == 0)
            return info;
    }
    return NULL;
}

int onnx_input_names(struct arena *a, const char *path, const char **names, int max)
{
    struct compile *c = compile_create();
    const struct onnx_graph *g;
    struct status *s = read_graph(c, path, &g);
    int n = 0;

    for (; !s && n < max; n++) {
        const struct onnx_value_info *info = find_port(g, true, n);

        if (!info)
            break;
        names[n] = arena_strdup(a, info->name);
    }
    status_free(s);
    compile_destroy(c);
    return n;
}

/* ---- one file --------------------------------------------------------------------- */

static struct status *sequence_items(struct arena *a, const struct onnx_sequence *seq,
                                     struct found *out)
{
    if (seq->nested)
        return FAIL(UNSUPPORTED, "a sequence of something else than tensors");
    out->n = seq->tensor.n;
    out->at = arena_new_array(a, const struct onnx_tensor *, out->n);
    for (int i = 0; i < out->n; i++)
        out->at[i] = seq->tensor.at[i];
    return OK;
}

static struct status *file_tensors(struct arena *a, const struct port *p,
                                   const uint8_t *bytes, size_t len, struct found *out)
{
    const struct onnx_optional *optional;
    const struct onnx_sequence *seq;

    *out = (struct found){.n = 1, .at = arena_new_array(a, const struct onnx_tensor *, 1)};
    if (p->optional) {
        RETURN_IF_FAIL(onnx_wire_optional(a, bytes, len, &optional));
        if (optional->sequence)
            return sequence_items(a, optional->sequence, out);
        out->at[0] = optional->tensor;
        out->n = optional->tensor != NULL;
        return OK;
    }
    if (p->sequence) {
        RETURN_IF_FAIL(onnx_wire_sequence(a, bytes, len, &seq));
        return sequence_items(a, seq, out);
    }
    return onnx_wire_tensor(a, bytes, len, &out->at[0]);
}

static void add_length(struct arena *a, struct onnx_data *to, const char *name, int n)
{
    to->lengths = arena_grow(a, to->lengths, sizeof *to->lengths, to->n_lengths,
                             &to->cap_lengths);
    to->lengths[to->n_lengths++] = (struct onnx_data_length){
        .name = arena_printf(a, "%s.length", name), .value = n};
}

static struct status *add_file(struct arena *a, const struct onnx_value_info *info,
                               const char *path, struct onnx_data *to)
{
    const struct port p = port_of(info);
    struct found tensors;
    uint8_t *bytes;
    size_t len;

    RETURN_IF_FAIL(onnx_read_file(a, path, &bytes, &len));
    RETURN_IF_FAIL(file_tensors(a, &p, bytes, len, &tensors));
    if (p.sequence || p.optional)
        add_length(a, to, info->name, tensors.n);
    for (int i = 0; i < tensors.n; i++) {
        to->at = arena_grow(a, to->at, sizeof *to->at, to->n, &to->cap);
        to->at[to->n].name = p.sequence ? onnx_item_name(a, info->name, i)
                                        : arena_strdup(a, info->name);
        RETURN_IF_FAIL(onnx_tensor_load_alone(a, tensors.at[i], &to->at[to->n].value));
        /* Tools whose arrays have no bfloat16 store its bits as uint16. */
        if (p.tensor && p.tensor->elem_type == dtype_info[DT_bf16].onnx
            && to->at[to->n].value.dtype == DT_u16)
            to->at[to->n].value.dtype = DT_bf16;
        to->n++;
    }
    return OK;
}

struct status *onnx_read_data(struct arena *a, const char *model_path, const char *dir,
                              const char *kind, struct onnx_data *out)
{
    const bool inputs = !strcmp(kind, "input");
    struct compile *c = compile_create();
    const struct onnx_graph *g;
    struct status *s = read_graph(c, model_path, &g);

    *out = (struct onnx_data){0};
    for (int i = 0; !s; i++) {
        const struct onnx_value_info *info = find_port(g, inputs, i);
        const char *path = arena_printf(a, "%s/%s_%d.pb", dir, kind, i);

        if (!info || access(path, F_OK) != 0)
            break;
        s = status_note(add_file(a, info, path, out), "while reading '%s'", path);
    }
    compile_destroy(c);
    return s;
}
