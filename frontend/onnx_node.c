/* SPDX-License-Identifier: Apache-2.0 */
/* One node of the file into the graph: which operator, operands, attributes, the
 * canonical form, shapes, and folding of what is constant.
 *
 * Operators that are only structure never reach the graph: Constant, Identity,
 * Dropout, Shape and Size of fixed shapes, calls of functions, sequences, and
 * control flow whose course is known.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/mapped_file.h"
#include "frontend/onnx_importer.h"
#include "frontend/onnx_tensor.h"

/* ---- what a site offers ------------------------------------------------------------ */

int site_n_in(const struct site *at)
{
    return at->node->input.n;
}

int site_n_out(const struct site *at)
{
    return at->node->output.n;
}

struct status *site_in(const struct site *at, int i, struct ir_value **out)
{
    *out = NULL;
    if (i >= at->node->input.n)
        return OK;

    const char *name = at->node->input.at[i];

    if (!*name)
        return OK;
    RETURN_IF_FAIL(scope_look_up(at->scope, name, out));
    if (*out == &onnx_absent)
        *out = NULL;
    else if (!*out)
        return FAIL_SITE(at, INVALID, "reads '%s', which nothing before it defines", name);
    return OK;
}

const char *site_out(const struct site *at, int i)
{
    const char *name = i < at->node->output.n ? at->node->output.at[i] : "";

    return scope_needs(at->scope, name) ? name : "";
}

struct status *site_define(const struct site *at, int i, struct ir_value *v)
{
    const char *name = i < at->node->output.n ? at->node->output.at[i] : "";

    if (!*name)
        return OK;
    return status_note(scope_define(at->scope, name, v), "while reading %s", at->label);
}

const struct onnx_attr *site_attr(const struct site *at, const char *name)
{
    for (int i = 0; i < at->node->attr.n; i++) {
        const struct onnx_attr *a = at->node->attr.at[i];

        if (!a->name || strcmp(a->name, name) != 0)
            continue;
        if (a->ref_name && *a->ref_name)
            return at->scope->bindings ? name_map_get(at->scope->bindings, a->ref_name)
                                       : NULL;
        return a;
    }
    return NULL;
}

int64_t site_attr_int(const struct site *at, const char *name, int64_t otherwise)
{
    const struct onnx_attr *a = site_attr(at, name);

    return a ? a->i : otherwise;
}

static const char *value_name(const struct site *at, const char *name)
{
    const char *prefix = at->scope->prefix;

    return *prefix ? arena_printf(at->scope->im->c->perm, "%s%s", prefix, name) : name;
}

struct ir_value *constant_of(const struct site *at, const char *name,
                             const struct tensor *t)
{
    return ir_const_ref(at->scope->im->c, name ? value_name(at, name) : NULL, t->dtype,
                        t->rank, t->dim, t->data);
}

/* ---- folding -------------------------------------------------------------------------- */

/* Room for every value of the compile, and a few that lowering may add. */
static void reserve_io(struct importer *im)
{
    const int want = im->c->n_values + 256;

    if (want <= im->io_cap)
        return;

    const int cap = 2 * want;

    im->io.by_id = realloc(im->io.by_id, (size_t)cap * sizeof *im->io.by_id);
    if (!im->io.by_id) {
        fprintf(stderr, "hadmcc: out of memory (%zu more bytes wanted)\n",
                (size_t)cap * sizeof *im->io.by_id);
        exit(1);
    }
    memset(im->io.by_id + im->io_cap, 0,
           (size_t)(cap - im->io_cap) * sizeof *im->io.by_id);
    im->io_cap = cap;
}

static bool all_constant(const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data)
            return false;
    return true;
}

/* An upper bound of the multiplications of operators that do more than touch each
 * element once: every output element against every element of the second operand. */
static bool too_much_work(const struct ir_node *n, int64_t out_count)
{
    const int64_t limit = (int64_t)1 << 30;
    int64_t in_count = 1;

    if (!(op_info[n->op].traits & OPT_HEAVY))
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && ir_count(n->in[i]) > in_count)
            in_count = ir_count(n->in[i]);
    return out_count && in_count > limit / out_count;
}

static bool can_fold(const struct importer *im, const struct ir_node *n)
{
    const struct op_info *info = &op_info[n->op];
    int64_t n_bytes = 0, count = 0;

    if ((info->traits & (OPT_NO_FOLD | OPT_CONTROL)) || !info->lower || !all_constant(n)
        || !ir_may_fold(n))
        return false;
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];

        if (!v)
            continue;
        if (v->is_sequence || ir_bytes(v) > MAX_FOLD_BYTES)
            return false;
        n_bytes += ir_bytes(v);
        count += ir_count(v);
    }
    return im->folded_bytes + n_bytes <= MAX_FOLD_TOTAL && !too_much_work(n, count);
}

static void become_constant(struct importer *im, struct ir_value *v, const struct tensor *t)
{
    int64_t count = 1;

    v->rank = t->rank;
    memcpy(v->dim, t->dim, sizeof v->dim);
    v->dynamic = false;
    v->def = NULL;
    for (int i = 0; i < t->rank; i++)
        count *= t->dim[i];

    const size_t n_bytes = (size_t)count * (size_t)dtype_info[t->dtype].bytes;

    v->data = arena_copy(im->c->perm, t->data, n_bytes);
    im->folded_bytes += (int64_t)n_bytes;
}

/* Runs the node and turns its outputs into constants. */
static struct status *fold(struct importer *im, struct ir_node *n)
{
    struct arena *a = arena_create();

    reserve_io(im);

    struct status *s = interpret_node(a, n, &im->io);

    for (int i = 0; !s && i < n->n_out; i++)
        if (n->out[i])
            become_constant(im, n->out[i], &im->io.by_id[n->out[i]->id]);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            im->io.by_id[n->out[i]->id] = (struct tensor){0};
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            im->io.by_id[n->in[i]->id] = (struct tensor){0};
    arena_destroy(a);
    if (s)
        return status_note(s, "while folding constants");
    for (int i = 0; i < n->n_out; i++)
        n->out[i] = NULL; /* the values live on as constants */
    ir_remove(n);
    return OK;
}

struct status *finish_nodes(struct importer *im, struct ir_graph *g, struct ir_node *mark,
                            struct ir_node *n)
{
    struct ir_node *next;

    for (struct ir_node *at = mark ? mark->next : g->first; at; at = next) {
        next = at->next;
        if (at == n)
            RETURN_IF_FAIL(ir_infer(at));
        if (can_fold(im, at))
            RETURN_IF_FAIL(fold(im, at));
    }
    return OK;
}

static struct status *emit(const struct site *at, struct ir_node *n, int n_in,
                           struct ir_value *const *in, const char *attr,
                           struct ir_node *mark)
{
    for (int i = 0; i < n_in; i++) {
        if (in[i] && (in[i]->is_sequence || in[i] == &onnx_nothing))
            return FAIL_SITE(at, INVALID, "reads a sequence where a tensor is expected");
        ir_set_input(n, i, in[i]);
    }
    if (attr)
        RETURN_IF_FAIL(ir_parse_attrs(n, attr));
    n->onnx_index = at->scope->im->top_index;
    if (op_info[n->op].import)
        RETURN_IF_FAIL(op_info[n->op].import(n, NEWEST_OPSET));
    return finish_nodes(at->scope->im, at->scope->g, mark, n);
}

static void remove_after(struct ir_graph *g, const struct ir_node *mark)
{
    while (g->last != mark)
        ir_remove(g->last);
}

struct status *site_emit(const struct site *at, enum ir_op op, int n_in,
                         struct ir_value *const *in, const char *attr,
                         struct ir_value **out)
{
    struct ir_graph *g = at->scope->g;
    struct ir_node *mark = g->last;
    struct ir_node *n = ir_node_create(g, NULL, op, at->name, n_in, 1);
    struct ir_value *made = ir_new_output(n, 0, NULL);
    struct status *s = emit(at, n, n_in, in, attr, mark);

    if (s)
        remove_after(g, mark);
    *out = current(made);
    return s;
}

/* ---- structure: constants, identities, shapes --------------------------------------------- */

static struct status *scalar_or_list(const struct site *at, const struct onnx_attr *a,
                                     struct tensor *t)
{
    struct arena *perm = at->scope->im->c->perm;

    if (!strcmp(a->name, "value_float")) {
        *t = (struct tensor){.dtype = DT_f32, .data = arena_copy(perm, &a->f, sizeof a->f)};
    } else if (!strcmp(a->name, "value_int")) {
        *t = (struct tensor){.dtype = DT_i64, .data = arena_copy(perm, &a->i, sizeof a->i)};
    } else if (!strcmp(a->name, "value_floats")) {
        *t = (struct tensor){.dtype = DT_f32, .rank = 1,
                             .dim = {(int64_t)(a->floats.n_bytes / 4)},
                             .data = arena_copy(perm, a->floats.at, a->floats.n_bytes)};
    } else if (!strcmp(a->name, "value_ints")) {
        *t = (struct tensor){.dtype = DT_i64, .rank = 1, .dim = {a->ints.n},
                             .data = arena_copy(perm, a->ints.at,
                                                (size_t)a->ints.n * sizeof *a->ints.at)};
    } else {
        return FAIL_SITE(at, UNSUPPORTED, "constant of kind '%s'", a->name);
    }
    return OK;
}

static struct status *import_Constant(const struct site *at)
{
    const struct importer *im = at->scope->im;
    struct status *s;
    struct tensor t;

    if (at->node->attr.n != 1)
        return FAIL_SITE(at, INVALID, "has %d attributes instead of one value",
                         at->node->attr.n);

    const struct onnx_attr *given = at->node->attr.at[0];
    const struct onnx_attr *a = given->name ? site_attr(at, given->name) : NULL;

    if (!a)
        return FAIL_SITE(at, INVALID, "has no value");
    if (a->t)
        s = onnx_tensor_load(im->c, a->t, im->folder, &t);
    else if (a->sparse)
        s = onnx_sparse_load(im->c, a->sparse, im->folder, &t);
    else
        s = scalar_or_list(at, &(struct onnx_attr){.name = given->name, .f = a->f,
                                                   .i = a->i, .floats = a->floats,
                                                   .ints = a->ints}, &t);
    if (s)
        return status_note(s, "while reading %s", at->label);
    return site_define(at, 0, constant_of(at, at->node->output.at[0], &t));
}

static struct status *import_Identity(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(site_in(at, 0, &x));
    if (!x)
        return FAIL_SITE(at, INVALID, "has no input");
    return site_define(at, 0, x);
}

/* A node that trains is refused; in inference Dropout passes its input through. */
static struct status *dropout_trains(const struct site *at)
{
    struct ir_value *mode, *ratio;
    double is_on = 0, value = 0.5;

    if (at->opset < 12)
        return OK;
    RETURN_IF_FAIL(site_in(at, 1, &ratio));
    RETURN_IF_FAIL(site_in(at, 2, &mode));
    if (mode && !ir_const_scalar(mode, &is_on))
        return FAIL_SITE(at, UNSUPPORTED,
                         "its training mode, input '%s', must be known when compiling "
                         "(--freeze sets it)", mode->name);
    if (is_on != 0 && ratio && !ir_const_scalar(ratio, &value))
        return FAIL_SITE(at, UNSUPPORTED,
                         "trains: its ratio, input '%s', must be known when compiling "
                         "(--freeze sets it)", ratio->name);
    if (is_on != 0 && value != 0)
        return FAIL_SITE(at, UNSUPPORTED, "training: its result is random");
    return OK;
}

static struct status *import_Dropout(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(dropout_trains(at));
    RETURN_IF_FAIL(site_in(at, 0, &x));
    if (!x || x->is_sequence)
        return FAIL_SITE(at, INVALID, "has no input");
    RETURN_IF_FAIL(site_define(at, 0, x));
    if (!*site_out(at, 1))
        return OK;
    if (x->dynamic || at->opset < 10)
        return FAIL_SITE(at, UNSUPPORTED, "mask of an input of unknown size or type");

    struct tensor mask = {.dtype = DT_bool, .rank = x->rank};

    if (ir_count(x) > MAX_FOLD_BYTES)
        return FAIL_SITE(at, UNSUPPORTED, "mask is too large");
    memcpy(mask.dim, x->dim, sizeof mask.dim);
    mask.data = arena_alloc(at->scope->im->c->perm, (size_t)ir_count(x));
    memset(mask.data, 1, (size_t)ir_count(x));
    return site_define(at, 1, constant_of(at, site_out(at, 1), &mask));
}

static int64_t clamp_axis(int64_t axis, int rank)
{
    axis += axis < 0 ? rank : 0;
    return axis < 0 ? 0 : axis > rank ? rank : axis;
}

static struct status *import_operator(const struct site *at);

/* Input 0, which must be there and no sequence. */
static struct status *tensor_in(const struct site *at, struct ir_value **out)
{
    RETURN_IF_FAIL(site_in(at, 0, out));
    if (!*out || (*out)->is_sequence)
        return FAIL_SITE(at, INVALID, "has no tensor as input");
    return OK;
}

static struct status *import_Shape(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(tensor_in(at, &x));
    if (x->dynamic)
        return import_operator(at);

    const int64_t start = clamp_axis(site_attr_int(at, "start", 0), x->rank);
    const int64_t end = clamp_axis(site_attr_int(at, "end", x->rank), x->rank);
    const struct tensor t = {
        .dtype = DT_i64, .rank = 1, .dim = {end > start ? end - start : 0},
        .data = arena_copy(at->scope->im->c->perm, x->dim + start,
                           (size_t)(end > start ? end - start : 0) * sizeof x->dim[0])};

    return site_define(at, 0, constant_of(at, at->node->output.at[0], &t));
}

static struct status *import_Size(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(tensor_in(at, &x));
    if (x->dynamic)
        return import_operator(at);

    const int64_t count = ir_count(x);
    const struct tensor t = {.dtype = DT_i64, .data = arena_copy(at->scope->im->c->perm,
                                                                 &count, sizeof count)};

    return site_define(at, 0, constant_of(at, at->node->output.at[0], &t));
}

/* ---- functions ---------------------------------------------------------------------------- */

static const struct onnx_function *find_function(const struct importer *im,
                                                 const struct onnx_node *n)
{
    if (!im->functions.n)
        return NULL;

    const char *domain = n->domain && strcmp(n->domain, "ai.onnx") ? n->domain : "";

    return name_map_get(&im->functions,
                        arena_printf(im->c->perm, "%s:%s:%s", domain, n->op_type,
                                     n->overload ? n->overload : ""));
}

static void bind_attributes(const struct site *at, const struct onnx_function *f,
                            struct name_map *bindings)
{
    for (int i = 0; i < f->attribute_default.n; i++) {
        struct onnx_attr *a = f->attribute_default.at[i];

        if (a->name)
            name_map_put(bindings, a->name, a);
    }
    for (int i = 0; i < at->node->attr.n; i++) {
        const struct onnx_attr *a = at->node->attr.at[i];
        const struct onnx_attr *bound = a->name ? site_attr(at, a->name) : NULL;

        if (bound)
            name_map_put(bindings, a->name, (void *)bound);
    }
}

static struct status *bind_inputs(const struct site *at, const struct onnx_function *f,
                                  struct scope *inside)
{
    if (site_n_in(at) > f->input.n)
        return FAIL_SITE(at, INVALID, "has %d inputs, the function takes %d", site_n_in(at),
                         f->input.n);
    for (int i = 0; i < f->input.n; i++) {
        struct ir_value *v;

        RETURN_IF_FAIL(site_in(at, i, &v));
        RETURN_IF_FAIL(scope_define(inside, f->input.at[i], v ? v : &onnx_absent));
    }
    return OK;
}

static struct status *inline_function(const struct site *at, const struct onnx_function *f)
{
    struct importer *im = at->scope->im;
    struct name_map bindings = {.arena = im->c->perm};
    struct scope inside = scope_create(im, NULL, at->scope->g,
                                       arena_printf(im->c->perm, "%s%s/",
                                                    at->scope->prefix, at->name));

    inside.opset = f->opset.n ? &f->opset : &im->model->opset;
    inside.bindings = &bindings;
    bind_attributes(at, f, &bindings);
    RETURN_IF_FAIL(bind_inputs(at, f, &inside));

    for (int i = 0; i < f->output.n; i++)
        if (*site_out(at, i))
            scope_need(&inside, f->output.at[i]);
    RETURN_IF_FAIL(import_nodes(&inside, &f->node));
    for (int i = 0; i < f->output.n && i < site_n_out(at); i++) {
        struct ir_value *v;

        if (!*site_out(at, i))
            continue;
        RETURN_IF_FAIL(scope_look_up(&inside, f->output.at[i], &v));
        if (!v)
            return FAIL_SITE(at, INVALID, "function defines no '%s'",
                             (const char *)f->output.at[i]);
        RETURN_IF_FAIL(site_define(at, i, v));
    }
    return OK;
}

/* ---- operators of the table ------------------------------------------------------------------ */

static const char *string_of(struct arena *a, const struct wire_bytes *s)
{
    return s->n && memchr(s->at, 0, s->n) ? NULL
                                          : arena_strndup(a, (const char *)s->at, s->n);
}

static enum onnx_attr_type attr_type(const struct onnx_attr *a)
{
    if (a->type)
        return a->type < 0 || a->type > ONNX_ATTR_TYPE_PROTOS
                 ? ONNX_ATTR_TYPE_PROTOS
                 : (enum onnx_attr_type)a->type;
    /* Files before IR version 2 do not say. */
    return wire_has(a->has, 2)   ? ONNX_ATTR_FLOAT
         : wire_has(a->has, 3)   ? ONNX_ATTR_INT
         : wire_has(a->has, 4)   ? ONNX_ATTR_STRING
         : wire_has(a->has, 5)   ? ONNX_ATTR_TENSOR
         : wire_has(a->has, 6)   ? ONNX_ATTR_GRAPH
         : wire_has(a->has, 7)   ? ONNX_ATTR_FLOATS
         : wire_has(a->has, 9)   ? ONNX_ATTR_STRINGS
                                 : ONNX_ATTR_INTS;
}

static struct status *set_strings(const struct site *at, struct ir_node *to,
                                  const char *name, const struct onnx_attr *a)
{
    struct arena *perm = at->scope->im->c->perm;
    const char **list = arena_new_array(perm, const char *, a->strings.n);

    for (int i = 0; i < a->strings.n; i++) {
        list[i] = string_of(perm, a->strings.at[i]);
        if (!list[i])
            return FAIL_SITE(at, UNSUPPORTED, "attribute '%s' has a zero byte", name);
    }
    ir_set_attr_strings(to, name, a->strings.n, list);
    return OK;
}

static struct status *set_tensor(const struct site *at, struct ir_node *to,
                                 const char *name, const struct onnx_attr *a)
{
    const struct importer *im = at->scope->im;
    struct tensor t;

    if (!a->t)
        return FAIL_SITE(at, INVALID, "attribute '%s' has no tensor", name);
    RETURN_IF_FAIL(status_note(onnx_tensor_load(im->c, a->t, im->folder, &t),
                               "while reading attribute '%s' of %s", name, at->label));
    ir_set_attr_tensor(to, name, constant_of(at, NULL, &t));
    return OK;
}

static struct status *set_attr(const struct site *at, struct ir_node *to, const char *name,
                               const struct onnx_attr *a)
{
    struct arena *perm = at->scope->im->c->perm;
    const char *string;

    switch (attr_type(a)) {
    case ONNX_ATTR_FLOAT: ir_set_attr_float(to, name, a->f); return OK;
    case ONNX_ATTR_INT: ir_set_attr_int(to, name, a->i); return OK;
    case ONNX_ATTR_STRING:
        string = string_of(perm, &a->s);
        if (!string)
            return FAIL_SITE(at, UNSUPPORTED, "attribute '%s' has a zero byte", name);
        ir_set_attr_str(to, name, string);
        return OK;
    case ONNX_ATTR_TENSOR: return set_tensor(at, to, name, a);
    case ONNX_ATTR_FLOATS:
        ir_set_attr_floats(to, name, (int)(a->floats.n_bytes / 4),
                           arena_copy(perm, a->floats.at, a->floats.n_bytes));
        return OK;
    case ONNX_ATTR_INTS: ir_set_attr_ints(to, name, a->ints.n, a->ints.at); return OK;
    case ONNX_ATTR_STRINGS: return set_strings(at, to, name, a);
    default: break;
    }
    return FAIL_SITE(at, UNSUPPORTED, "attribute '%s' is of a kind it cannot have", name);
}

static struct status *set_attrs(const struct site *at, struct ir_node *to)
{
    for (int i = 0; i < at->node->attr.n; i++) {
        const struct onnx_attr *given = at->node->attr.at[i];
        const char *name = given->name;

        if (!name || !*name)
            return FAIL_SITE(at, INVALID, "has an attribute without a name");
        if (ir_attr(to, name))
            return FAIL_SITE(at, INVALID, "attribute '%s' is given twice", name);

        const struct onnx_attr *a = site_attr(at, name);

        if (a)
            RETURN_IF_FAIL(set_attr(at, to, name, a));
    }
    return OK;
}

static struct status *set_inputs(const struct site *at, struct ir_node *to)
{
    int n = site_n_in(at);

    while (n && !*(const char *)at->node->input.at[n - 1])
        n--;
    for (int i = 0; i < n; i++) {
        struct ir_value *v;

        RETURN_IF_FAIL(site_in(at, i, &v));
        if (v && (v->is_sequence || v == &onnx_nothing))
            return FAIL_SITE(at, INVALID, "input %d is no tensor", i);
        ir_set_input(to, i, v);
    }
    /* An operand that a function's caller left out may stand at the end. */
    while (to->n_in && !to->in[to->n_in - 1])
        to->n_in--;
    return OK;
}

/* Import functions may look at the first min_in operands without asking. */
static struct status *need_inputs(const struct site *at, const struct ir_node *n)
{
    for (int i = 0; i < op_info[n->op].min_in; i++)
        if (!ir_in(n, i))
            return FAIL_SITE(at, INVALID, "input %d is left out but required", i);
    return OK;
}

static void make_outputs(const struct site *at, struct ir_node *to)
{
    for (int i = 0; i < to->n_out; i++) {
        const char *name = site_out(at, i);

        if (*name)
            ir_new_output(to, i, value_name(at, name));
        else if (i < op_info[to->op].min_out)
            ir_new_output(to, i, NULL);
    }
}

/* Operands, attributes, canonical form, shapes.  made[i] is what output i was first. */
static struct status *build(const struct site *at, struct ir_node *n, struct ir_node *mark,
                            struct ir_value **made)
{
    const struct op_info *info = &op_info[n->op];

    RETURN_IF_FAIL(set_inputs(at, n));
    RETURN_IF_FAIL(need_inputs(at, n));
    RETURN_IF_FAIL(set_attrs(at, n));
    make_outputs(at, n);
    memcpy(made, n->out, (size_t)n->n_out * sizeof *made);
    if (info->import)
        RETURN_IF_FAIL(info->import(n, at->opset));
    return finish_nodes(at->scope->im, at->scope->g, mark, n);
}

static struct status *import_operator(const struct site *at)
{
    const enum ir_op op = op_from_name(at->node->op_type);
    const int n_out = site_n_out(at);
    struct ir_graph *g = at->scope->g;
    struct ir_node *mark = g->last;

    if (op == OP_NONE)
        return FAIL_SITE(at, UNSUPPORTED, "operator is not supported");
    if (at->opset < op_info[op].since)
        return FAIL_SITE(at, UNSUPPORTED,
                         "its form of opset %d is not supported, only from %d on",
                         at->opset, op_info[op].since);

    struct ir_node *n = ir_node_create(g, NULL, op, at->name, 0, n_out);
    struct ir_value **made = arena_new_array(g->compile->perm, struct ir_value *, n_out);

    n->onnx_index = at->scope->im->top_index;

    struct status *s = build(at, n, mark, made);

    for (int i = 0; !s && i < n_out; i++)
        if (made[i] && current(made[i])->dtype == DT_NONE)
            s = FAIL_SITE(at, UNSUPPORTED, "its output %d is not computed", i);
    if (s) {
        remove_after(g, mark);
        return s;
    }
    for (int i = 0; i < n_out; i++)
        if (made[i])
            RETURN_IF_FAIL(site_define(at, i, current(made[i])));
    return OK;
}

/* ---- dispatch ------------------------------------------------------------------------------- */

/* Operators that are resolved here instead of becoming nodes. */
static const struct {
    const char *name;
    site_fn *import;
} structural[] = {
    {"ConcatFromSequence", import_ConcatFromSequence},
    {"Constant", import_Constant},
    {"Dropout", import_Dropout},
    {"Identity", import_Identity},
    {"If", import_If},
    {"Loop", import_Loop},
    {"Optional", import_Optional},
    {"OptionalGetElement", import_OptionalGetElement},
    {"OptionalHasElement", import_OptionalHasElement},
    {"Scan", import_Scan},
    {"SequenceAt", import_SequenceAt},
    {"SequenceConstruct", import_SequenceConstruct},
    {"SequenceEmpty", import_SequenceEmpty},
    {"SequenceErase", import_SequenceErase},
    {"SequenceInsert", import_SequenceInsert},
    {"SequenceLength", import_SequenceLength},
    {"SequenceMap", import_SequenceMap},
    {"Shape", import_Shape},
    {"Size", import_Size},
    {"SplitToSequence", import_SplitToSequence},
};

enum { N_STRUCTURAL = sizeof structural / sizeof structural[0] };

const char *onnx_structural_name(int i)
{
    return i < N_STRUCTURAL ? structural[i].name : NULL;
}

static site_fn *find_structural(const char *name)
{
    for (int i = 0; i < N_STRUCTURAL; i++)
        if (!strcmp(structural[i].name, name))
            return structural[i].import;
    return NULL;
}

static bool is_default_domain(const char *domain)
{
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

static int64_t version_of(const struct wire_list *opset, const char *domain)
{
    for (int i = 0; i < opset->n; i++) {
        const struct onnx_opset *o = opset->at[i];

        if (is_default_domain(domain) ? is_default_domain(o->domain)
                                      : o->domain && !strcmp(o->domain, domain))
            return o->version;
    }
    return is_default_domain(domain) ? 1 : 0;
}

/* com.microsoft operators that ONNX has under the same name follow the newest form. */
static struct status *find_opset(const struct site *at, int *out)
{
    const char *domain = at->node->domain;
    const int64_t version = version_of(at->scope->opset, domain);

    if (!is_default_domain(domain)) {
        if (strcmp(domain, "com.microsoft") != 0 && strcmp(domain, "ai.onnx.ml") != 0)
            return FAIL_SITE(at, UNSUPPORTED,
                             "domain '%s' is not supported, and the model has no function "
                             "of this name", domain);
        *out = NEWEST_OPSET;
        return OK;
    }
    if (version < 1)
        return FAIL_SITE(at, INVALID, "opset %" PRId64 " does not exist", version);
    if (version > NEWEST_OPSET)
        return FAIL_SITE(at, UNSUPPORTED, "opset %" PRId64 "; the newest known is %d",
                         version, NEWEST_OPSET);
    *out = (int)version;
    return OK;
}

static bool reads_unknown(const struct site *at)
{
    for (int i = 0; i < at->node->input.n; i++) {
        struct ir_value *v;
        struct status *s = site_in(at, i, &v);

        status_free(s); /* reported when the node itself is read */
        if (!s && v == &onnx_unknown)
            return true;
    }
    return false;
}

static struct status *dispatch(struct site *at)
{
    const struct onnx_function *f = find_function(at->scope->im, at->node);

    if (f)
        return inline_function(at, f);
    RETURN_IF_FAIL(find_opset(at, &at->opset));

    site_fn *import = is_default_domain(at->node->domain)
                        ? find_structural(at->node->op_type)
                        : NULL;

    if (reads_unknown(at)) {
        if (!import && op_from_name(at->node->op_type) == OP_NONE)
            return FAIL_SITE(at, UNSUPPORTED, "operator is not supported");
        for (int i = 0; i < site_n_out(at); i++)
            RETURN_IF_FAIL(site_define(at, i, &onnx_unknown));
        return OK;
    }
    return import ? import(at) : import_operator(at);
}

/* ---- problems -------------------------------------------------------------------------------- */

static const char *first_dtype(const struct site *at)
{
    struct ir_value *v = NULL;

    status_free(site_in(at, 0, &v));
    return v && v->dtype != DT_NONE ? dtype_info[v->dtype].name : "";
}

/* The message without the label, which the list has in columns of its own. */
static const char *reason_of(const struct site *at, const struct status *s)
{
    const char *message = status_message(s);
    const size_t n = strlen(at->label);

    if (!strncmp(message, at->label, n) && !strncmp(message + n, ": ", 2))
        message += n + 2;
    return arena_strdup(at->scope->im->c->perm, message);
}

static void add_problem(const struct site *at, const struct status *s)
{
    struct importer *im = at->scope->im;
    struct onnx_problems *all = im->problems;

    all->at = arena_grow(im->c->perm, all->at, sizeof *all->at, all->n, &all->cap);
    all->at[all->n++] = (struct onnx_problem){
        .node = at->name,
        .op = at->node->op_type,
        .index = im->top_index,
        .opset = at->opset,
        .dtype = first_dtype(at),
        .reason = reason_of(at, s),
    };
    im->n_problems++;
}

static bool is_models_fault(const struct status *s)
{
    return status_code(s) == UNSUPPORTED || status_code(s) == INVALID
        || status_code(s) == NO_FIT;
}

struct status *import_node(struct scope *s, const struct onnx_node *n)
{
    struct importer *im = s->im;
    struct site at = {.scope = s, .node = n, .opset = (int)version_of(s->opset, n->domain)};

    at.name = n->name && *n->name                          ? n->name
            : n->output.n && *(const char *)n->output.at[0] ? n->output.at[0]
                                                            : "";
    if (*s->prefix)
        at.name = arena_printf(im->c->perm, "%s%s", s->prefix, at.name);
    at.label = arena_printf(im->c->perm, "node '%s' (%s, ONNX node %d)", at.name,
                            n->op_type ? n->op_type : "no operator", im->top_index);
    if (!n->op_type || !*n->op_type)
        return FAIL_SITE(&at, INVALID, "names no operator");
    if (n->attr.n > MAX_ATTRS)
        return FAIL_SITE(&at, INVALID, "has %d attributes", n->attr.n);
    if (++im->n_nodes > MAX_NODES)
        return FAIL_SITE(&at, UNSUPPORTED, "more than %d nodes after inlining and unrolling",
                         MAX_NODES);


    const size_t max_memory = im->max_memory + 2 * mapped_files_bytes(im->c);

    if (arena_bytes(im->c->perm) > max_memory)
        return FAIL_SITE(&at, NO_FIT, "importing takes more than %zu MB of memory",
                         max_memory >> 20);

    struct status *failure = dispatch(&at);

    if (!failure || !im->problems || !is_models_fault(failure))
        return failure;
    add_problem(&at, failure);
    status_free(failure);
    for (int i = 0; i < n->output.n; i++) {
        const char *name = n->output.at[i];

        if (*name && !name_map_get(&s->names, name))
            name_map_put(&s->names, name, &onnx_unknown);
    }
    return OK;
}
