/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a model, a weights file or a bundle: see inspect.h. */
#include "cli/inspect.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "codegen/runner.h"
#include "codegen/weights_header.h"
#include "frontend/onnx_wire.h"
#include "runtime/weights_reader.h"

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* ---- ONNX ------------------------------------------------------------------ */

/* "f32[batch,3,224,224]" */
static const char *type_text(struct arena *a, const struct onnx_type *type)
{
    const struct onnx_tensor_type *t = type ? type->tensor : NULL;
    struct text out = {0};

    if (!t)
        return "not a tensor";
    text_puts(&out, dtype_info[dtype_from_onnx((int)t->elem_type)].name);
    for (int i = 0; t->shape && i < t->shape->dim.n; i++) {
        const struct onnx_dim *d = t->shape->dim.at[i];

        text_puts(&out, i ? "," : "[");
        if (wire_has(d->has, 1))
            text_printf(&out, "%lld", (long long)d->value);
        else
            text_puts(&out, d->param && *d->param ? d->param : "?");
    }
    text_puts(&out, !t->shape ? "[...]" : t->shape->dim.n ? "]" : "[]");

    const char *copy = arena_strdup(a, out.bytes);

    text_free(&out);
    return copy;
}

static json_t *list_values(struct arena *a, const struct wire_list *values)
{
    json_t *list = json_array();

    for (int i = 0; i < values->n; i++) {
        const struct onnx_value_info *v = values->at[i];

        json_array_append_new(list, json_pack("{s:s, s:s}", "name", or_empty(v->name),
                                              "type", type_text(a, v->type)));
    }
    return list;
}

/* Operators, bodies and functions included. */
static void count_operators(const struct wire_list *nodes, json_t *counts, int depth)
{
    for (int i = 0; i < nodes->n; i++) {
        const struct onnx_node *n = nodes->at[i];
        const char *op = or_empty(n->op_type);
        const json_int_t before = json_integer_value(json_object_get(counts, op));

        json_object_set_new(counts, op, json_integer(before + 1));
        for (int k = 0; depth > 0 && k < n->attr.n; k++) {
            const struct onnx_attr *at = n->attr.at[k];

            if (at->g)
                count_operators(&at->g->node, counts, depth - 1);
        }
    }
}

static int64_t count_elements(const struct onnx_tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->dims.n; i++)
        if (t->dims.at[i] < 0 || __builtin_mul_overflow(n, t->dims.at[i], &n))
            return 0;
    return n;
}

static void describe_graph(struct arena *a, const struct onnx_model *m, json_t *out)
{
    const struct onnx_graph *g = m->graph;
    json_t *counts = json_object();
    int64_t elements = 0, bytes = 0;

    for (int i = 0; i < g->initializer.n; i++) {
        const struct onnx_tensor *t = g->initializer.at[i];
        const int64_t n = count_elements(t);

        elements += n;
        bytes += n * dtype_info[dtype_from_onnx((int)t->data_type)].bytes;
    }
    count_operators(&g->node, counts, 16);
    json_object_set_new(out, "inputs", list_values(a, &g->input));
    json_object_set_new(out, "outputs", list_values(a, &g->output));
    json_object_set_new(out, "nodes", json_integer(g->node.n));
    json_object_set_new(out, "initializers", json_integer(g->initializer.n));
    json_object_set_new(out, "parameters", json_integer(elements));
    json_object_set_new(out, "parameter_bytes", json_integer(bytes));
    json_object_set_new(out, "operators", counts);
}

static json_t *list_opsets(const struct onnx_model *m)
{
    json_t *list = json_array();

    for (int i = 0; i < m->opset.n; i++) {
        const struct onnx_opset *o = m->opset.at[i];
        const char *domain = o->domain && *o->domain ? o->domain : "ai.onnx";

        json_array_append_new(list, json_pack("{s:s, s:I}", "domain", domain, "version",
                                              (json_int_t)o->version));
    }
    return list;
}

struct status *inspect_onnx(struct arena *a, const char *path, json_t **out)
{
    const struct onnx_model *m = NULL;
    struct bytes file;

    RETURN_IF_FAIL(runner_read_file(a, path, &file));
    RETURN_IF_FAIL(status_note(onnx_wire_model(a, file.at, file.len, &m),
                               "while reading '%s'", path));
    if (!m->graph)
        return FAIL(INVALID, "'%s' is not an ONNX model: it holds no graph", path);
    *out =
        json_pack("{s:s, s:s, s:I, s:I}", "file", path, "kind", "ONNX model", "bytes",
                  (json_int_t)file.len, "ir_version", (json_int_t)m->ir_version);
    json_object_set_new(*out, "producer", json_string(or_empty(m->producer_name)));
    json_object_set_new(*out, "opsets", list_opsets(m));
    json_object_set_new(*out, "functions", json_integer(m->function.n));
    describe_graph(a, m, *out);
    return OK;
}

/* ---- weights --------------------------------------------------------------- */

static json_t *describe_tensor(const struct weights_tensor *t)
{
    json_t *o = json_object(), *dims = json_array();
    const enum dtype dtype = dtype_from_onnx(t->dtype);

    json_object_set_new(o, "name", json_string(t->name));
    json_object_set_new(o, "type",
                        json_string(t->dtype ? dtype_info[dtype].name : "packed"));
    for (int i = 0; i < t->rank; i++) {
        int64_t n; /* a hostile header may have put it anywhere */

        memcpy(&n, (const char *)t->dim + 8 * (size_t)i, sizeof n);
        json_array_append_new(dims, json_integer(n));
    }
    json_object_set_new(o, "dims", dims);
    json_object_set_new(o, "offset", json_integer((json_int_t)t->offset));
    json_object_set_new(o, "bytes", json_integer((json_int_t)t->bytes));
    return o;
}

/* Where the weights come from, and what they are. */
static void describe_header(struct arena *a, const uint8_t *bytes, json_t *out)
{
    struct weights_header h = {0};
    json_t *tensors = json_array();

    weights_header_decode(bytes, &h, 0);
    h.tensors = arena_new_array(a, struct weights_tensor, h.n_tensors + 1);
    weights_header_decode(bytes, &h, h.n_tensors);
    json_object_set_new(out, "tool", json_string(h.tool));
    json_object_set_new(out, "llvm", json_string(h.llvm));
    json_object_set_new(out, "target", json_string(h.target));
    json_object_set_new(out, "cpu", json_string(h.cpu));
    json_object_set_new(out, "options", json_string(h.options));
    json_object_set_new(out, "model", json_string(h.model));
    if (h.model_sha256)
        json_object_set_new(out, "model_sha256",
                            json_string(arena_hex(a, h.model_sha256, 32)));
    json_object_set_new(out, "opset", json_integer(h.opset));
    json_object_set_new(out, "seed", json_integer((json_int_t)h.seed));
    for (int i = 0; i < h.n_tensors; i++)
        json_array_append_new(tensors, describe_tensor(&h.tensors[i]));
    json_object_set_new(out, "tensors", tensors);
}

struct status *inspect_weights(struct arena *a, const char *path, json_t **out)
{
    struct hadm_weights w;
    struct bytes file;

    RETURN_IF_FAIL(runner_read_file(a, path, &file));
    if (!hadm_weights_read(&w, file.at, file.len))
        return FAIL(INVALID, "'%s' is not a weights file, or it is damaged", path);
    *out = json_object();
    json_object_set_new(*out, "file", json_string(path));
    json_object_set_new(*out, "kind", json_string("weights"));
    json_object_set_new(*out, "bytes", json_integer((json_int_t)file.len));
    json_object_set_new(
        *out, "format",
        json_string(arena_printf(a, "%u.%u", w.format_major, w.format_minor)));
    json_object_set_new(*out, "structure_hash",
                        json_string(arena_hex(a, w.structure_hash, 32)));
    json_object_set_new(*out, "header_bytes", json_integer((json_int_t)w.header_bytes));
    json_object_set_new(*out, "payload_bytes",
                        json_integer((json_int_t)w.payload_bytes));
    json_object_set_new(*out, "payload_sound",
                        json_boolean(hadm_weights_check_payload(&w)));
    describe_header(a, file.at, *out);
    return OK;
}

/* ---- bundle ---------------------------------------------------------------- */

static json_t *list_doors(struct arena *a, const struct bundle_meta *m, bool outputs)
{
    json_t *list = json_array();
    const int begin = outputs ? m->n_inputs : 0;
    const int end = outputs ? m->n_inputs + m->n_outputs : m->n_inputs;

    for (int i = begin; i < end; i++) {
        const struct bundle_io *io = &m->io[i];
        struct text type = {0};

        text_printf(&type, "%s[", dtype_info[io->dtype].name);
        for (int d = 0; d < io->rank; d++)
            text_printf(&type, "%s%s%lld", d ? "," : "", io->dynamic ? "<=" : "",
                        (long long)io->dim[d]);
        text_puts(&type, "]");
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", io->name, "type",
                                              arena_strdup(a, type.bytes)));
        text_free(&type);
    }
    return list;
}

static int by_name(const struct dirent **x, const struct dirent **y)
{
    return strcmp((*x)->d_name, (*y)->d_name);
}

static json_t *list_files(struct arena *a, const char *folder)
{
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, NULL, by_name);
    json_t *files = json_object();

    for (int i = 0; i < n; i++) {
        struct stat st;

        if (stat(arena_printf(a, "%s/%s", folder, entries[i]->d_name), &st) == 0
            && S_ISREG(st.st_mode))
            json_object_set_new(files, entries[i]->d_name, json_integer(st.st_size));
        free(entries[i]);
    }
    free(entries);
    return files;
}

static int64_t total_flops(const struct bundle_meta *m)
{
    int64_t n = 0;

    for (int i = 0; i < m->n_steps; i++)
        n += m->steps[i].flops;
    return n;
}

struct status *inspect_bundle(struct arena *a, const char *path, json_t **out)
{
    struct bundle_meta m;

    RETURN_IF_FAIL(bundle_read_meta(a, path, &m));
    *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:i, s:i, s:I}",
                     "file", path, "kind", "bundle", "prefix", m.prefix, "target",
                     m.target, "cpu", m.cpu, "emit", emit_kind_names[m.kind], "embed",
                     m.embed, "workspace_bytes", (json_int_t)m.workspace_bytes,
                     "weights_bytes", (json_int_t)m.weights_bytes, "max_workers",
                     m.max_workers, "steps", m.n_steps, "flops",
                     (json_int_t)total_flops(&m));
    json_object_set_new(*out, "inputs", list_doors(a, &m, false));
    json_object_set_new(*out, "outputs", list_doors(a, &m, true));
    json_object_set_new(*out, "files", list_files(a, path));
    return OK;
}
