/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a whole: names and scopes, inputs with their open dimensions, nodes in
 * order, outputs under their names.  onnx_node.c has what happens to one node. */
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

/* Every name that a body reads; some are its own, which does no harm. */
static void need_captures(struct scope *s, const struct onnx_graph *g)
{
    for (int i = 0; i < g->node.n; i++) {
        const struct onnx_node *n = g->node.at[i];

        for (int k = 0; k < n->input.n; k++)
            scope_need(s, n->input.at[k]);
        for (int k = 0; k < n->attr.n; k++) {
            const struct onnx_attr *a = n->attr.at[k];

            if (a->g)
                need_captures(s, a->g);
        }
    }
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
        if (!live[i])
            continue;
        for (int k = 0; k < n->input.n; k++)
            scope_need(s, n->input.at[k]);
        for (int k = 0; k < n->attr.n; k++) {
            const struct onnx_attr *a = n->attr.at[k];

            if (a->g)
                need_captures(s, a->g);
        }
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

/* ---- inputs and their dimensions --------------------------------------------------------- */

static const struct onnx_tensor_type *tensor_type(const struct onnx_value_info *info)
{
    const struct onnx_type *t = info->type;

    /* An optional tensor that is given is a tensor. */
    if (t && !t->tensor && t->optional && t->optional->elem)
        t = t->optional->elem;
    return t ? t->tensor : NULL;
}

static bool is_model_input(const struct scope *s, const struct onnx_value_info *info)
{
    return info->name && !name_map_get(&s->initializers, info->name)
        && !name_map_get(&s->sparse, info->name);
}

static void list_inputs(const struct scope *s, const struct onnx_graph *g, struct text *out)
{
    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (is_model_input(s, info))
            text_printf(out, " %s", info->name);
    }
}

static const struct onnx_value_info *find_input(const struct scope *s,
                                                const struct onnx_graph *g,
                                                const char *name)
{
    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (is_model_input(s, info) && !strcmp(info->name, name))
            return info;
    }
    return NULL;
}

static struct status *no_such_input(const struct scope *s, const struct onnx_graph *g,
                                    const char *option, const char *name)
{
    struct text inputs = {0};

    list_inputs(s, g, &inputs);

    struct status *failure = FAIL(BAD_USAGE, "%s: the model has no input '%s'; it has%s",
                                  option, name, inputs.bytes ? inputs.bytes : " none");

    text_free(&inputs);
    return failure;
}

static struct status *bind_symbol(struct importer *im, const char *symbol, int64_t value,
                                  const char *input)
{
    const int64_t *bound = name_map_get(&im->symbols, symbol);

    if (bound && *bound != value)
        return FAIL(BAD_USAGE, "dimension '%s' is %" PRId64 ", but the shape of input '%s' "
                    "makes it %" PRId64, symbol, *bound, input, value);
    name_map_put(&im->symbols, symbol, arena_copy(im->c->perm, &value, sizeof value));
    return OK;
}

/* What a given shape says about the declared one. */
static struct status *match_shape(struct importer *im, const struct onnx_value_info *info,
                                  int rank, const int64_t *dim)
{
    const struct onnx_tensor_type *t = tensor_type(info);

    if (!t || !t->shape)
        return OK;
    if (t->shape->dim.n != rank)
        return FAIL(BAD_USAGE, "input '%s' has %d dimensions, %d are given", info->name,
                    t->shape->dim.n, rank);
    for (int i = 0; i < rank; i++) {
        const struct onnx_dim *d = t->shape->dim.at[i];

        if (d->param && *d->param)
            RETURN_IF_FAIL(bind_symbol(im, d->param, dim[i], info->name));
        else if (wire_has(d->has, 1) && d->value > 0 && d->value != dim[i])
            return FAIL(BAD_USAGE, "dimension %d of input '%s' is %" PRId64 ", %" PRId64
                        " is given", i, info->name, d->value, dim[i]);
    }
    return OK;
}

static struct status *check_symbol_exists(const struct scope *s, const struct onnx_graph *g,
                                          const char *name)
{
    struct text symbols = {0};
    bool found = false;

    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];
        const struct onnx_tensor_type *t = tensor_type(info);

        for (int k = 0; is_model_input(s, info) && t && t->shape && k < t->shape->dim.n;
             k++) {
            const struct onnx_dim *d = t->shape->dim.at[k];

            if (!d->param || !*d->param)
                continue;
            text_printf(&symbols, " %s (input '%s')", d->param, info->name);
            found |= !strcmp(d->param, name);
        }
    }

    struct status *failure =
        found ? OK
              : FAIL(BAD_USAGE, "--dim: no input has a dimension '%s'; open dimensions "
                     "are%s", name, symbols.bytes ? symbols.bytes : " none");

    text_free(&symbols);
    return failure;
}

static struct status *take_options(struct scope *s, const struct onnx_graph *g)
{
    struct importer *im = s->im;
    const struct onnx_options *o = im->options;

    for (int i = 0; i < o->n_dims; i++) {
        if (o->dim[i].value < 0)
            return FAIL(BAD_USAGE, "--dim %s: the size is negative", o->dim[i].name);
        RETURN_IF_FAIL(check_symbol_exists(s, g, o->dim[i].name));
        RETURN_IF_FAIL(bind_symbol(im, o->dim[i].name, o->dim[i].value, ""));
    }
    for (int i = 0; i < o->n_shapes; i++) {
        const struct onnx_value_info *info = find_input(s, g, o->shape[i].input);

        if (!info)
            return no_such_input(s, g, "--shape", o->shape[i].input);
        RETURN_IF_FAIL(match_shape(im, info, o->shape[i].rank, o->shape[i].dim));
    }
    for (int i = 0; i < o->n_freezes; i++) {
        const struct onnx_value_info *info = find_input(s, g, o->freeze[i].input);
        const struct tensor *t = &o->freeze[i].value;

        if (!info)
            return no_such_input(s, g, "--freeze", o->freeze[i].input);
        RETURN_IF_FAIL(match_shape(im, info, t->rank, t->dim));
    }
    return OK;
}

static struct status *resolve_dim(const struct importer *im, const struct onnx_dim *d,
                                  const char *input, int axis, struct text *open,
                                  int64_t *out)
{
    const bool named = d->param && *d->param;
    const int64_t *bound = named ? name_map_get(&im->symbols, d->param) : NULL;

    *out = 1;
    if (bound)
        *out = *bound;
    else if (!named && wire_has(d->has, 1) && d->value >= 0)
        *out = d->value;
    else if (named)
        text_printf(open, "; dimension %d of input '%s': give --dim %s=SIZE", axis, input,
                    d->param);
    else
        text_printf(open, "; dimension %d of input '%s': give --shape %s=...", axis, input,
                    input);
    return OK;
}

static struct status *input_shape(const struct importer *im,
                                  const struct onnx_value_info *info, struct text *open,
                                  int *rank, int64_t *dim)
{
    const struct onnx_options *o = im->options;
    const struct onnx_shape *shape = tensor_type(info)->shape;

    for (int i = 0; i < o->n_shapes; i++)
        if (!strcmp(o->shape[i].input, info->name)) {
            *rank = o->shape[i].rank;
            memcpy(dim, o->shape[i].dim, (size_t)*rank * sizeof *dim);
            return OK;
        }
    *rank = 0;
    if (!shape) {
        text_printf(open, "; input '%s' has no shape: give --shape %s=...", info->name,
                    info->name);
        return OK;
    }
    if (shape->dim.n > IR_MAX_RANK)
        return FAIL(UNSUPPORTED, "input '%s' has %d dimensions, at most %d are possible",
                    info->name, shape->dim.n, IR_MAX_RANK);
    *rank = shape->dim.n;
    for (int i = 0; i < *rank; i++)
        RETURN_IF_FAIL(resolve_dim(im, shape->dim.at[i], info->name, i, open, &dim[i]));
    return OK;
}

static const struct tensor *find_frozen(const struct importer *im, const char *name)
{
    for (int i = 0; i < im->options->n_freezes; i++)
        if (!strcmp(im->options->freeze[i].input, name))
            return &im->options->freeze[i].value;
    return NULL;
}

static struct status *freeze_input(struct scope *s, const struct onnx_value_info *info,
                                   enum dtype dtype, const struct tensor *t)
{
    if (t->dtype != dtype)
        return FAIL(BAD_USAGE, "--freeze: input '%s' is %s, the value is %s", info->name,
                    dtype_info[dtype].name, dtype_info[t->dtype].name);
    if (!ir_shape_fits(t->dtype, t->rank, t->dim))
        return FAIL(BAD_USAGE, "--freeze: the shape of '%s' is too large", info->name);
    return scope_define(s, info->name,
                        ir_const(s->im->c, info->name, t->dtype, t->rank, t->dim, t->data));
}

static struct status *import_input(struct scope *s, const struct onnx_value_info *info,
                                   struct text *open)
{
    const struct importer *im = s->im;
    const struct onnx_tensor_type *t = tensor_type(info);
    int64_t dim[IR_MAX_RANK];
    int rank;

    if (!t)
        return FAIL(UNSUPPORTED, "input '%s' is %s; only tensors can be inputs", info->name,
                    info->type && (info->type->sequence || info->type->optional)
                        ? "a sequence"
                        : "no tensor");

    const enum dtype dtype = t->elem_type < 0 || t->elem_type > INT32_MAX
                               ? DT_NONE
                               : dtype_from_onnx((int)t->elem_type);

    if (dtype == DT_NONE)
        return FAIL(UNSUPPORTED, "input '%s' has element type %s", info->name,
                    onnx_type_name(t->elem_type));

    const struct tensor *frozen = find_frozen(im, info->name);

    if (frozen)
        return freeze_input(s, info, dtype, frozen);
    RETURN_IF_FAIL(input_shape(im, info, open, &rank, dim));
    if (!ir_shape_fits(dtype, rank, dim))
        return FAIL(INVALID, "input '%s' is too large", info->name);
    return scope_define(s, info->name, ir_input(s->g, info->name, dtype, rank, dim));
}

static struct status *import_inputs(struct scope *s, const struct onnx_graph *g)
{
    struct text open = {0};
    struct status *failure = OK;

    for (int i = 0; !failure && i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (!info->name || !*info->name)
            failure = FAIL(INVALID, "input %d has no name", i);
        else if (is_model_input(s, info))
            failure = import_input(s, info, &open);
    }
    if (!failure && open.len)
        failure = FAIL(UNSUPPORTED, "shapes must be fixed%s", open.bytes);
    text_free(&open);
    return failure;
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
    const struct onnx_tensor_type *t = tensor_type(info);
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

static struct status *import_output(struct scope *s, const struct onnx_value_info *info)
{
    struct ir_value *v;

    RETURN_IF_FAIL(scope_look_up(s, info->name, &v));
    if (v == &onnx_unknown)
        return OK; /* the reason is among the problems */
    if (!v)
        return FAIL(INVALID, "output '%s' is defined by no node", info->name);
    if (v->is_sequence || v == &onnx_nothing)
        return FAIL(UNSUPPORTED, "output '%s' is a sequence; only tensors can be outputs",
                    info->name);
    RETURN_IF_FAIL(name_output(s->g, info->name, v, &v));
    compare_declared(s->im->c, info, v);
    ir_output(s->g, v);
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
    RETURN_IF_FAIL(take_options(&s, g));
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
        .functions = {.arena = c->perm},
        .symbols = {.arena = c->perm},
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

static bool is_initializer(const struct onnx_graph *g, const char *name)
{
    for (int i = 0; i < g->initializer.n; i++) {
        const struct onnx_tensor *t = g->initializer.at[i];

        if (t->name && strcmp(t->name, name) == 0)
            return true;
    }
    return false;
}

int onnx_input_names(struct arena *a, const char *path, const char **names, int max)
{
    struct compile *c = compile_create();
    const struct mapped_file *file;
    const struct onnx_model *model = NULL;
    struct status *s = mapped_file_open(c, path, &file);
    int n = 0;

    if (!s)
        s = onnx_wire_model(c->perm, file->bytes, file->len, &model);
    for (int i = 0; !s && model->graph && i < model->graph->input.n && n < max; i++) {
        const struct onnx_value_info *info = model->graph->input.at[i];

        if (info->name && !is_initializer(model->graph, info->name))
            names[n++] = arena_strdup(a, info->name);
    }
    status_free(s);
    compile_destroy(c);
    return n;
}
