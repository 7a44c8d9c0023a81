/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a whole: names and scopes, nodes in order, outputs under their names.
 * onnx_inputs.c has the inputs, onnx_node.c what happens to one node. */
#include "frontend/onnx_import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/mapped_file.h"
#include "frontend/onnx_importer.h"
#include "frontend/onnx_tensor.h"
#include "runtime/sha256.h"

struct ir_value onnx_unknown = {.name = "?"};
struct ir_value onnx_absent = {.name = ""};
struct ir_value onnx_nothing = {.name = "nothing"};

/* ---- scopes ------------------------------------------------------------------------- */

struct scope scope_create(struct importer *im, struct scope *outer, struct ir_graph *g,
                          const char *prefix)
{
    struct arena *a = im->c->perm;

    return (struct scope){
        .im = im,
        .outer = outer,
        .g = g,
        .opset = outer ? outer->opset : &im->model->opset,
        .names = {.arena = a},
        .initializers = {.arena = a},
        .sparse = {.arena = a},
        .bindings = outer ? outer->bindings : NULL,
        .needed = {.arena = a},
        .prefix = prefix,
    };
}

struct ir_value *current(struct ir_value *v)
{
    while (v->replaced_by)
        v = v->replaced_by;
    return v;
}

struct status *scope_define(struct scope *s, const char *name, struct ir_value *v)
{
    if (name_map_get(&s->names, name) || name_map_get(&s->initializers, name)
        || name_map_get(&s->sparse, name))
        return FAIL(INVALID, "'%s' is defined twice", name);
    name_map_put(&s->names, name, v);
    return OK;
}

/* NULL in *out when the scope itself has no such initializer. */
static struct status *load_initializer(struct scope *s, const char *name,
                                       struct ir_value **out)
{
    const struct onnx_tensor *dense = name_map_get(&s->initializers, name);
    const struct onnx_sparse_tensor *sparse = name_map_get(&s->sparse, name);
    struct importer *im = s->im;
    struct status *failure;
    struct tensor t;

    if (!dense && !sparse)
        return OK;
    failure = dense ? onnx_tensor_load(im->c, dense, im->folder, &t)
                    : onnx_sparse_load(im->c, sparse, im->folder, &t);
    if (failure)
        return status_note(failure, "while reading the initializer '%s'", name);

    const char *full = *s->prefix ? arena_printf(im->c->perm, "%s%s", s->prefix, name)
                                  : name;

    *out = ir_const_ref(im->c, full, t.dtype, t.rank, t.dim, t.data);
    name_map_put(&s->names, name, *out);
    return OK;
}

struct status *scope_look_up(struct scope *s, const char *name, struct ir_value **out)
{
    *out = NULL;
    for (; s; s = s->outer) {
        struct ir_value *v = name_map_get(&s->names, name);

        if (!v)
            RETURN_IF_FAIL(load_initializer(s, name, &v));
        if (v) {
            *out = current(v);
            return OK;
        }
    }
    return OK;
}

void scope_need(struct scope *s, const char *name)
{
    if (*name)
        name_map_put(&s->needed, name, s);
}

bool scope_needs(const struct scope *s, const char *name)
{
    return *name && name_map_get(&s->needed, name);
}

/* ---- nodes in order -------------------------------------------------------------------- */

static void need_captures(struct scope *s, const struct onnx_graph *g);

/* What a node reads, also in its bodies. */
static void need_operands(struct scope *s, const struct onnx_node *n)
{
    for (int i = 0; i < n->input.n; i++)
        scope_need(s, n->input.at[i]);
    for (int i = 0; i < n->attr.n; i++) {
        const struct onnx_attr *a = n->attr.at[i];

        if (a->g)
            need_captures(s, a->g);
    }
}

/* Every name that a body reads; some are its own, which does no harm. */
static void need_captures(struct scope *s, const struct onnx_graph *g)
{
    for (int i = 0; i < g->node.n; i++)
        need_operands(s, g->node.at[i]);
    for (int i = 0; i < g->output.n; i++) {
        const struct onnx_value_info *out = g->output.at[i];

        if (out->name)
            scope_need(s, out->name);
    }
}

static bool is_needed(const struct scope *s, const struct onnx_node *n)
{
    for (int i = 0; i < n->output.n; i++)
        if (scope_needs(s, n->output.at[i]))
            return true;
    return false;
}

/* Backwards from the needed outputs: nodes nobody reads may be anything. */
static bool *find_live(struct scope *s, const struct wire_list *nodes)
{
    bool *live = arena_new_array(s->im->c->perm, bool, nodes->n);

    for (int i = nodes->n - 1; i >= 0; i--) {
        const struct onnx_node *n = nodes->at[i];

        live[i] = is_needed(s, n);
        if (live[i])
            need_operands(s, n);
    }
    return live;
}

struct status *import_nodes(struct scope *s, const struct wire_list *nodes)
{
    struct importer *im = s->im;
    const bool *live = find_live(s, nodes);

    if (im->depth == MAX_CALL_DEPTH)
        return FAIL(UNSUPPORTED, "functions and bodies nest deeper than %d", MAX_CALL_DEPTH);
    im->depth++;
    for (int i = 0; i < nodes->n; i++) {
        if (im->depth == 1)
            im->top_index = i;
        if (live[i])
            RETURN_IF_FAIL(import_node(s, nodes->at[i]));
    }
    im->depth--;
    return OK;
}

static struct status *note_initializers(struct scope *s, const struct onnx_graph *g)
{
    for (int i = 0; i < g->initializer.n; i++) {
        struct onnx_tensor *t = g->initializer.at[i];

        if (!t->name || !*t->name)
            return FAIL(INVALID, "initializer %d has no name", i);
        if (name_map_get(&s->initializers, t->name))
            return FAIL(INVALID, "initializer '%s' is defined twice", t->name);
        name_map_put(&s->initializers, t->name, t);
    }
    for (int i = 0; i < g->sparse_initializer.n; i++) {
        struct onnx_sparse_tensor *t = g->sparse_initializer.at[i];
        const char *name = t->values ? t->values->name : NULL;

        if (!name || !*name)
            return FAIL(INVALID, "sparse initializer %d has no name", i);
        if (name_map_get(&s->initializers, name) || name_map_get(&s->sparse, name))
            return FAIL(INVALID, "initializer '%s' is defined twice", name);
        name_map_put(&s->sparse, name, t);
    }
    return OK;
}

static const char *output_name(const struct onnx_graph *g, int i)
{
    const struct onnx_value_info *info = g->output.at[i];

    return info->name ? info->name : "";
}

struct status *import_body(struct scope *s, const struct onnx_graph *g,
                           struct ir_value **out)
{
    RETURN_IF_FAIL(note_initializers(s, g));
    for (int i = 0; i < g->output.n; i++)
        scope_need(s, output_name(g, i));
    RETURN_IF_FAIL(import_nodes(s, &g->node));
    for (int i = 0; i < g->output.n; i++) {
        RETURN_IF_FAIL(scope_look_up(s, output_name(g, i), &out[i]));
        if (!out[i])
            return FAIL(INVALID, "output '%s' is defined by no node", output_name(g, i));
    }
    return OK;
}

/* ---- outputs -------------------------------------------------------------------------------- */

/* A result that cannot carry the output's name is copied under it. */
static struct status *name_output(struct ir_graph *g, const char *name, struct ir_value *v,
                                  struct ir_value **out)
{
    *out = v;
    if (!v->is_input && !v->data && !ir_is_graph_output(g, v)) {
        ir_rename(g->compile, v, name);
        return OK;
    }
    RETURN_IF_FAIL(ir_emit(g, NULL, OP_Identity, name, 1, &v, NULL, out));
    /* An input keeps its name; the copy gets another one then. */
    if (!v->is_input || strcmp(v->name, name) != 0)
        ir_rename(g->compile, *out, name);
    return OK;
}

static void compare_declared(struct compile *c, const struct onnx_value_info *info,
                             const struct ir_value *v)
{
    const struct onnx_tensor_type *t = port_of(info).tensor;
    bool differs = false;

    if (!t || !t->shape)
        return;
    differs = t->shape->dim.n != v->rank;
    for (int i = 0; !differs && i < v->rank; i++) {
        const struct onnx_dim *d = t->shape->dim.at[i];

        differs = wire_has(d->has, 1) && d->value > 0
               && (v->dynamic ? v->dim[i] < d->value : v->dim[i] != d->value);
    }
    if (differs)
        text_printf(&c->warnings, "output '%s': its shape is not the declared one\n",
                    info->name);
}

/* A Reshape to one row would have made a single sample of all of them. */
static struct status *check_batched(int64_t batch, const char *name, const struct ir_value *v)
{
    for (int i = 0; i < v->rank; i++)
        if (v->dim[i] == batch)
            return OK;
    if (batch <= 1 || v->dynamic)
        return OK;
    return FAIL(UNSUPPORTED, "--batch %" PRId64 ": no dimension of output '%s' is that; a "
                "node of the model fixes its batch", batch, name);
}

static struct status *output_value(struct scope *s, const struct onnx_value_info *info,
                                   const char *name, struct ir_value *v)
{
    if (v == &onnx_unknown)
        return OK; /* the reason is among the problems */
    if (v == &onnx_nothing || v->is_sequence)
        return FAIL(UNSUPPORTED, "output '%s' is no tensor", name);
    RETURN_IF_FAIL(check_batched(s->im->options->batch, name, v));
    RETURN_IF_FAIL(name_output(s->g, name, v, &v));
    compare_declared(s->im->c, info, v);
    ir_output(s->g, v);
    return OK;
}

/* The items of a sequence are outputs of their own: name.0, name.1, ... */
static struct status *import_output(struct scope *s, const struct onnx_value_info *info)
{
    struct ir_value *v;

    RETURN_IF_FAIL(scope_look_up(s, info->name, &v));
    if (!v)
        return FAIL(INVALID, "output '%s' is defined by no node", info->name);
    if (!v->is_sequence)
        return output_value(s, info, info->name, v);
    for (int i = 0; i < v->n_items; i++)
        RETURN_IF_FAIL(output_value(s, info, onnx_item_name(s->im->c->perm, info->name, i),
                                    current(v->items[i])));
    return OK;
}

static struct status *import_outputs(struct scope *s, const struct onnx_graph *g)
{
    struct name_map met = {.arena = s->im->c->perm};

    for (int i = 0; i < g->output.n; i++) {
        const struct onnx_value_info *info = g->output.at[i];

        if (!info->name || !*info->name)
            return FAIL(INVALID, "output %d has no name", i);
        if (name_map_get(&met, info->name))
            return FAIL(INVALID, "output '%s' is listed twice", info->name);
        name_map_put(&met, info->name, s);
        RETURN_IF_FAIL(import_output(s, info));
    }
    if (!s->g->n_out && !s->im->n_problems)
        return FAIL(UNSUPPORTED, "the model's outputs are empty sequences");
    return OK;
}

/* ---- the model ---------------------------------------------------------------------------------- */

static void note_functions(struct importer *im)
{
    for (int i = 0; i < im->model->function.n; i++) {
        struct onnx_function *f = im->model->function.at[i];
        const char *domain = f->domain && strcmp(f->domain, "ai.onnx") ? f->domain : "";

        name_map_put(&im->functions,
                     arena_printf(im->c->perm, "%s:%s:%s", domain, f->name ? f->name : "",
                                  f->overload ? f->overload : ""), f);
    }
}

static int default_opset(const struct onnx_model *m)
{
    for (int i = 0; i < m->opset.n; i++) {
        const struct onnx_opset *o = m->opset.at[i];

        if (!o->domain || !*o->domain || !strcmp(o->domain, "ai.onnx"))
            return o->version < 0 || o->version > INT32_MAX ? 0 : (int)o->version;
    }
    return 1;
}

static struct status *import_graph(struct importer *im, struct ir_graph **out)
{
    const struct onnx_graph *g = im->model->graph;
    struct ir_graph *to = ir_graph_create(im->c, g->name);
    struct scope s = scope_create(im, NULL, to, "");

    RETURN_IF_FAIL(note_initializers(&s, g));
    RETURN_IF_FAIL(import_inputs(&s, g));
    if (!g->output.n)
        return FAIL(INVALID, "the model has no outputs");
    for (int i = 0; i < g->output.n; i++)
        scope_need(&s, output_name(g, i));
    RETURN_IF_FAIL(import_nodes(&s, &g->node));
    RETURN_IF_FAIL(import_outputs(&s, g));
    if (im->n_problems)
        return FAIL(UNSUPPORTED, "%d of %d nodes cannot be compiled", im->n_problems,
                    im->n_nodes);
    RETURN_IF_FAIL(ir_verify(to));
    *out = to;
    return OK;
}

struct status *onnx_import_bytes(struct compile *c, const void *bytes, size_t len,
                                 const char *folder, const struct onnx_options *options,
                                 struct onnx_problems *problems, struct ir_graph **out)
{
    static const struct onnx_options no_options;
    struct importer im = {
        .c = c,
        .options = options ? options : &no_options,
        .folder = folder,
        .problems = problems,
        .max_memory = MAX_MEMORY + 8 * len,
        .functions = {.arena = c->perm},
        .symbols = {.arena = c->perm},
        .batched = {.arena = c->perm},
    };
    struct sha256 hash;

    sha256_begin(&hash);
    sha256_add(&hash, bytes, len);
    sha256_end(&hash, c->model_sha256);
    RETURN_IF_FAIL(status_note(onnx_wire_model(c->perm, bytes, len, &im.model),
                               "while reading it as an ONNX model"));
    if (!im.model->graph)
        return FAIL(INVALID, "this is not an ONNX model: it has no graph");
    c->producer = im.model->producer_name ? im.model->producer_name : "";
    c->opset = default_opset(im.model);
    note_functions(&im);

    struct status *s = import_graph(&im, out);

    free(im.io.by_id);
    return s;
}

struct status *onnx_import(struct compile *c, const char *path,
                           const struct onnx_options *options,
                           struct onnx_problems *problems, struct ir_graph **out)
{
    const char *slash = strrchr(path, '/');
    const char *folder = slash ? arena_strndup(c->perm, path, (size_t)(slash - path) + 1)
                               : ".";
    const struct mapped_file *file;

    c->model_name = arena_strdup(c->perm, slash ? slash + 1 : path);

    struct status *s = mapped_file_open(c, path, &file);

    if (!s)
        s = onnx_import_bytes(c, file->bytes, file->len, folder, options, problems, out);
    mapped_files_rest(c);
    return status_note(s, "while importing '%s'", path);
}
