/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a model, and the options that fix what the model leaves open: --dim
 * for named dimensions, --batch, --shape, --freeze.
 *
 * A sequence S of tensors becomes one input a tensor, S.0, S.1, ...; how many there
 * are is the dimension S.length.  For an optional tensor it is 1, or 0 without one.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx_importer.h"
#include "frontend/onnx_tensor.h"

struct port port_of(const struct onnx_value_info *info)
{
    const struct onnx_type *t = info->type;
    struct port p = {0};

    if (t && t->optional) {
        p.optional = true;
        t = t->optional->elem;
    }
    if (t && t->sequence) {
        p.sequence = true;
        t = t->sequence->elem;
    }
    p.tensor = t ? t->tensor : NULL;
    return p;
}

const char *onnx_item_name(struct arena *a, const char *name, int i)
{
    return arena_printf(a, "%s.%d", name, i);
}

static bool is_model_input(const struct scope *s, const struct onnx_value_info *info)
{
    return info->name && *info->name && !name_map_get(&s->initializers, info->name)
        && !name_map_get(&s->sparse, info->name);
}

/* ---- what there is, for messages ------------------------------------------------- */

static void list_inputs(const struct scope *s, const struct onnx_graph *g, struct text *out)
{
    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (is_model_input(s, info))
            text_printf(out, " %s%s", info->name, port_of(info).sequence ? ".0" : "");
    }
}

static bool is_length_of(const struct onnx_value_info *info, const char *symbol)
{
    const size_t n = strlen(info->name);
    const struct port p = port_of(info);

    return (p.sequence || p.optional) && !strncmp(info->name, symbol, n)
        && !strcmp(symbol + n, ".length");
}

/* Equal symbols are equal sizes; NULL: the size is open and has no name.  Exporters
 * write "?" for any number of different ones. */
static const char *symbol_of(const struct onnx_dim *d)
{
    return d->param && *d->param && strcmp(d->param, "?") != 0 ? d->param : NULL;
}

/* Lists the open dimensions; true when `symbol` is one. */
static bool list_symbols(const struct scope *s, const struct onnx_graph *g,
                         const char *symbol, struct text *out)
{
    bool found = false;

    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (!is_model_input(s, info))
            continue;

        const struct port p = port_of(info);

        if (p.sequence || p.optional)
            text_printf(out, " %s.length", info->name);
        found |= is_length_of(info, symbol);
        for (int k = 0; p.tensor && p.tensor->shape && k < p.tensor->shape->dim.n; k++) {
            const struct onnx_dim *d = p.tensor->shape->dim.at[k];

            if (!symbol_of(d))
                continue;
            text_printf(out, " %s (input '%s')", d->param, info->name);
            found |= !strcmp(d->param, symbol);
        }
    }
    return found;
}

/* ---- options ------------------------------------------------------------------------ */

/* The declared type of the input that an option names: a tensor, or "S.3". */
static const struct onnx_tensor_type *find_type(const struct scope *s,
                                                const struct onnx_graph *g,
                                                const char *name, bool *item)
{
    for (int i = 0; i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];

        if (!is_model_input(s, info))
            continue;

        const size_t n = strlen(info->name);
        const struct port p = port_of(info);

        *item = p.sequence && !strncmp(info->name, name, n) && name[n] == '.' && name[n + 1]
             && strspn(name + n + 1, "0123456789") == strlen(name + n + 1);
        if (*item || (!p.sequence && !strcmp(info->name, name)))
            return p.tensor;
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

static struct status *check_symbol_exists(const struct scope *s, const struct onnx_graph *g,
                                          const char *name)
{
    struct text symbols = {0};
    struct status *failure = OK;

    if (!list_symbols(s, g, name, &symbols))
        failure = FAIL(BAD_USAGE, "--dim: no input has a dimension '%s'; %s%s", name,
                       symbols.bytes ? "open dimensions are" : "all dimensions are fixed",
                       symbols.bytes ? symbols.bytes : "");
    text_free(&symbols);
    return failure;
}

/* `input` is the one whose shape says so; NULL for --dim itself. */
static struct status *bind_symbol(struct importer *im, const char *symbol, int64_t value,
                                  const char *input)
{
    const int64_t *bound = name_map_get(&im->symbols, symbol);

    if (bound && *bound != value && !input)
        return FAIL(BAD_USAGE, "--dim: '%s' is given as %" PRId64 " and as %" PRId64, symbol,
                    *bound, value);
    if (bound && *bound != value)
        return FAIL(BAD_USAGE, "dimension '%s' is %" PRId64 ", but the shape of input '%s' "
                    "makes it %" PRId64, symbol, *bound, input, value);
    name_map_put(&im->symbols, symbol, arena_copy(im->c->perm, &value, sizeof value));
    return OK;
}

/* What a given shape says about the declared one.  Items of a sequence share names of
 * dimensions without sharing sizes. */
static struct status *match_shape(struct scope *s, const struct onnx_graph *g,
                                  const char *option, const char *input, int rank,
                                  const int64_t *dim)
{
    bool item;
    const struct onnx_tensor_type *t = find_type(s, g, input, &item);

    if (!t)
        return no_such_input(s, g, option, input);
    if (!t->shape)
        return OK;
    if (t->shape->dim.n != rank)
        return FAIL(BAD_USAGE, "%s: input '%s' has rank %d, not %d", option, input,
                    t->shape->dim.n, rank);
    for (int i = 0; i < rank; i++) {
        const struct onnx_dim *d = t->shape->dim.at[i];

        if (symbol_of(d) && !item)
            RETURN_IF_FAIL(bind_symbol(s->im, d->param, dim[i], input));
        else if (wire_has(d->has, 1) && d->value > 0 && d->value != dim[i])
            return FAIL(BAD_USAGE, "%s: dimension %d of input '%s' is %" PRId64 ", not %"
                        PRId64, option, i, input, d->value, dim[i]);
    }
    return OK;
}

/* ---- --batch ------------------------------------------------------------------------ */

static bool has_given_shape(const struct onnx_options *o, const char *input)
{
    for (int i = 0; i < o->n_shapes; i++)
        if (!strcmp(o->shape[i].input, input))
            return true;
    for (int i = 0; i < o->n_freezes; i++)
        if (!strcmp(o->freeze[i].input, input))
            return true;
    return false;
}

/* NULL where --batch says nothing: no shape, or one that is given. */
static const struct onnx_shape *batched_shape(const struct scope *s,
                                              const struct onnx_value_info *info)
{
    const struct port p = port_of(info);
    const bool is_tensor =
        is_model_input(s, info) && p.tensor && p.tensor->shape && !p.sequence;

    return is_tensor && p.tensor->shape->dim.n && !has_given_shape(s->im->options, info->name)
             ? p.tensor->shape
             : NULL;
}

/* The state of a recurrent layer may have the batch further back. */
static bool is_batched(const struct importer *im, const struct onnx_shape *shape)
{
    for (int k = 0; k < shape->dim.n; k++) {
        const char *symbol = symbol_of(shape->dim.at[k]);

        if (symbol && name_map_get(&im->batched, symbol))
            return true;
    }
    return false;
}

static struct status *take_batch_symbol(struct importer *im, const char *symbol)
{
    const int64_t batch = im->options->batch;
    const int64_t *bound = name_map_get(&im->symbols, symbol);

    if (bound && *bound != batch)
        return FAIL(BAD_USAGE, "--batch %" PRId64 ": dimension '%s' is given as %" PRId64,
                    batch, symbol, *bound);
    name_map_put(&im->symbols, symbol, arena_copy(im->c->perm, &batch, sizeof batch));
    name_map_put(&im->batched, symbol, im);
    return OK;
}

static struct status *check_batch(const struct importer *im, const struct onnx_shape *shape,
                                  const char *input)
{
    const struct onnx_dim *first = shape->dim.at[0];

    if (is_batched(im, shape) || !wire_has(first->has, 1) || first->value == 1)
        return OK;
    return FAIL(UNSUPPORTED, "--batch %" PRId64 ": the first dimension of input '%s' is %"
                PRId64 "; it has to be open or 1", im->options->batch, input, first->value);
}

static struct status *take_batch(struct scope *s, const struct onnx_graph *g)
{
    const int64_t batch = s->im->options->batch;
    int n = 0;

    for (int i = 0; batch && i < g->input.n; i++) {
        const struct onnx_shape *shape = batched_shape(s, g->input.at[i]);

        n += shape != NULL;
        if (shape && symbol_of(shape->dim.at[0]))
            RETURN_IF_FAIL(take_batch_symbol(s->im, symbol_of(shape->dim.at[0])));
    }
    for (int i = 0; batch > 1 && i < g->input.n; i++) {
        const struct onnx_value_info *info = g->input.at[i];
        const struct onnx_shape *shape = batched_shape(s, info);

        if (shape)
            RETURN_IF_FAIL(check_batch(s->im, shape, info->name));
    }
    return batch > 1 && !n
               ? FAIL(UNSUPPORTED, "--batch %" PRId64 ": no input has a dimension for it",
                      batch)
               : OK;
}

/* A first dimension that the file fixes. */
static bool is_made_a_batch(const struct importer *im, const struct onnx_shape *shape)
{
    const struct onnx_dim *first = shape->dim.n ? shape->dim.at[0] : NULL;

    return im->options->batch && first && !symbol_of(first) && wire_has(first->has, 1)
        && first->value == 1 && !is_batched(im, shape);
}

static struct status *take_options(struct scope *s, const struct onnx_graph *g)
{
    struct importer *im = s->im;
    const struct onnx_options *o = im->options;

    for (int i = 0; i < o->n_dims; i++) {
        if (o->dim[i].value < 0)
            return FAIL(BAD_USAGE, "--dim %s: the size is negative", o->dim[i].name);
        RETURN_IF_FAIL(check_symbol_exists(s, g, o->dim[i].name));
        RETURN_IF_FAIL(bind_symbol(im, o->dim[i].name, o->dim[i].value, NULL));
    }
    for (int i = 0; i < o->n_shapes; i++)
        RETURN_IF_FAIL(match_shape(s, g, "--shape", o->shape[i].input, o->shape[i].rank,
                                   o->shape[i].dim));
    for (int i = 0; i < o->n_freezes; i++)
        RETURN_IF_FAIL(match_shape(s, g, "--freeze", o->freeze[i].input,
                                   o->freeze[i].value.rank, o->freeze[i].value.dim));
    for (int i = 0; i < o->n_ios; i++)
        if (!find_type(s, g, o->io[i].input, &(bool){false}))
            return no_such_input(s, g, "--io", o->io[i].input);
    return take_batch(s, g);
}

/* ---- one tensor ------------------------------------------------------------------------ */

static int64_t resolve_dim(const struct importer *im, const struct onnx_dim *d,
                           const char *input, int axis, struct text *open)
{
    const bool named = symbol_of(d);
    const int64_t *bound = named ? name_map_get(&im->symbols, d->param) : NULL;

    if (bound)
        return *bound;
    if (!named && wire_has(d->has, 1) && d->value >= 0)
        return d->value;
    if (axis == 0 && im->options->batch)
        return im->options->batch;
    if (named)
        text_printf(open, "; dimension %d of input '%s': give --dim %s=SIZE", axis, input,
                    d->param);
    else
        text_printf(open, "; dimension %d of input '%s': give --shape %s=...", axis, input,
                    input);
    return 1;
}

static struct status *input_shape(const struct importer *im,
                                  const struct onnx_tensor_type *t, const char *name,
                                  struct text *open, int *rank, int64_t *dim)
{
    const struct onnx_options *o = im->options;

    for (int i = 0; i < o->n_shapes; i++)
        if (!strcmp(o->shape[i].input, name)) {
            *rank = o->shape[i].rank;
            memcpy(dim, o->shape[i].dim, (size_t)*rank * sizeof *dim);
            return OK;
        }
    *rank = 0;
    if (!t->shape) {
        text_printf(open, "; input '%s' has no shape: give --shape %s=...", name, name);
        return OK;
    }
    if (t->shape->dim.n > IR_MAX_RANK)
        return FAIL(UNSUPPORTED, "input '%s' has %d dimensions, at most %d are possible",
                    name, t->shape->dim.n, IR_MAX_RANK);
    *rank = t->shape->dim.n;
    for (int i = 0; i < *rank; i++)
        dim[i] = resolve_dim(im, t->shape->dim.at[i], name, i, open);
    if (is_made_a_batch(im, t->shape))
        dim[0] = im->options->batch;
    return OK;
}

static const struct tensor *find_frozen(const struct importer *im, const char *name)
{
    for (int i = 0; i < im->options->n_freezes; i++)
        if (!strcmp(im->options->freeze[i].input, name))
            return &im->options->freeze[i].value;
    return NULL;
}

static struct status *frozen_value(struct compile *c, const char *name, enum dtype dtype,
                                   const struct tensor *t, struct ir_value **out)
{
    if (t->dtype != dtype)
        return FAIL(BAD_USAGE, "--freeze: input '%s' is %s, the value is %s", name,
                    dtype_info[dtype].name, dtype_info[t->dtype].name);
    if (!ir_shape_fits(t->dtype, t->rank, t->dim))
        return FAIL(BAD_USAGE, "--freeze: the shape of '%s' is too large", name);
    *out = ir_const(c, name, t->dtype, t->rank, t->dim, t->data);
    return OK;
}

static struct status *input_tensor(struct scope *s, const struct onnx_tensor_type *t,
                                   const char *name, struct text *open,
                                   struct ir_value **out)
{
    const enum dtype dtype = t->elem_type < 0 || t->elem_type > INT32_MAX
                               ? DT_NONE
                               : dtype_from_onnx((int)t->elem_type);
    const struct tensor *frozen = find_frozen(s->im, name);
    int64_t dim[IR_MAX_RANK];
    int rank;

    if (dtype == DT_NONE)
        return FAIL(UNSUPPORTED, "input '%s' has element type %s", name,
                    onnx_type_name(t->elem_type));
    if (frozen)
        return frozen_value(s->im->c, name, dtype, frozen, out);
    RETURN_IF_FAIL(input_shape(s->im, t, name, open, &rank, dim));
    if (!ir_shape_fits(dtype, rank, dim))
        return FAIL(INVALID, "input '%s' is too large", name);
    return import_door(s, name, dtype, rank, dim, out);
}

/* ---- one input ---------------------------------------------------------------------------- */

static struct status *input_sequence(struct scope *s, const struct onnx_value_info *info,
                                     struct text *open)
{
    struct arena *a = s->im->c->perm;
    const int64_t *length = name_map_get(&s->im->symbols,
                                         arena_printf(a, "%s.length", info->name));

    if (!length) {
        text_printf(open, "; input '%s' is a sequence: give --dim %s.length=COUNT",
                    info->name, info->name);
        return OK;
    }
    if (*length > MAX_SEQUENCE)
        return FAIL(UNSUPPORTED, "input '%s' is a sequence of more than %d tensors",
                    info->name, MAX_SEQUENCE);

    struct ir_value **items = arena_new_array(a, struct ir_value *, *length);

    for (int i = 0; i < (int)*length; i++)
        RETURN_IF_FAIL(input_tensor(s, port_of(info).tensor,
                                    onnx_item_name(a, info->name, i), open, &items[i]));
    return scope_define(s, info->name, sequence_of(a, (int)*length, items));
}

static struct status *import_input(struct scope *s, const struct onnx_value_info *info,
                                   struct text *open)
{
    const struct port p = port_of(info);
    struct ir_value *v;

    if (!p.tensor)
        return FAIL(UNSUPPORTED, "input '%s' is neither a tensor nor a sequence of tensors",
                    info->name);
    if (p.sequence)
        return input_sequence(s, info, open);
    if (p.optional) {
        const int64_t *length =
            name_map_get(&s->im->symbols,
                         arena_printf(s->im->c->perm, "%s.length", info->name));

        if (!length)
            text_printf(open, "; input '%s' is optional: give --dim %s.length=1, or 0 to "
                        "leave it out", info->name, info->name);
        else if (!*length)
            return scope_define(s, info->name, &onnx_nothing);
    }
    RETURN_IF_FAIL(input_tensor(s, p.tensor, info->name, open, &v));
    return scope_define(s, info->name, v);
}

struct status *import_inputs(struct scope *s, const struct onnx_graph *g)
{
    struct text open = {0};
    struct status *failure = take_options(s, g);

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
