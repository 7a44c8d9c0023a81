/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences and optionals: lists that exist while importing.  Which tensors are in a
 * list is known then, so the operators on lists leave nothing behind but the tensor
 * operators they imply (Slice, Concat, Reshape, Gather).
 */
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx_importer.h"
#include "frontend/onnx_unroll.h"

/* ---- lists ---------------------------------------------------------------------- */

struct ir_value *sequence_of(struct arena *a, int n, struct ir_value *const *items)
{
    struct ir_value *list = arena_new(a, struct ir_value);

    list->name = "a sequence";
    list->id = -1;
    list->is_sequence = true;
    list->n_items = n;
    list->items = arena_copy(a, items, (size_t)n * sizeof *items);
    return list;
}

static struct status *define_list(const struct site *at, int i, int n,
                                  struct ir_value *const *items)
{
    if (n > MAX_SEQUENCE)
        return FAIL_SITE(at, UNSUPPORTED, "sequence of more than %d tensors", MAX_SEQUENCE);
    return site_define(at, i, sequence_of(at->scope->im->c->perm, n, items));
}

static struct status *take_list(const struct site *at, int i, struct ir_value **out)
{
    RETURN_IF_FAIL(site_in(at, i, out));
    if (!*out || !(*out)->is_sequence)
        return FAIL_SITE(at, INVALID, "input %d is no sequence", i);
    return OK;
}

static struct status *take_tensor(const struct site *at, int i, struct ir_value **out)
{
    RETURN_IF_FAIL(site_in(at, i, out));
    if (!*out || (*out)->is_sequence || *out == &onnx_nothing)
        return FAIL_SITE(at, INVALID, "input %d is no tensor", i);
    return OK;
}

/* Input i as a position from 0 to n (inclusive with `past_end`); `otherwise` when it
 * is left out. */
static struct status *take_position(const struct site *at, int i, int n, bool past_end,
                                    int otherwise, int *out)
{
    struct ir_value *v;
    double value;

    RETURN_IF_FAIL(site_in(at, i, &v));
    *out = otherwise;
    if (!v)
        return OK;
    if (!ir_const_scalar(v, &value))
        return FAIL_SITE(at, UNSUPPORTED, "the position is not a constant");
    if (value < 0)
        value += n;
    if (value < 0 || value > n - !past_end)
        return FAIL_SITE(at, INVALID, "position %g of a sequence of %d", value, n);
    *out = (int)value;
    return OK;
}

/* ---- operators --------------------------------------------------------------------- */

struct status *import_SequenceConstruct(const struct site *at)
{
    const int n = site_n_in(at);
    struct ir_value **items = arena_new_array(at->scope->im->c->perm, struct ir_value *, n);

    for (int i = 0; i < n; i++)
        RETURN_IF_FAIL(take_tensor(at, i, &items[i]));
    return define_list(at, 0, n, items);
}

struct status *import_SequenceEmpty(const struct site *at)
{
    return define_list(at, 0, 0, NULL);
}

struct status *import_SequenceInsert(const struct site *at)
{
    struct ir_value *list, *item;
    int where;

    RETURN_IF_FAIL(take_list(at, 0, &list));
    RETURN_IF_FAIL(take_tensor(at, 1, &item));
    RETURN_IF_FAIL(take_position(at, 2, list->n_items, true, list->n_items, &where));

    struct ir_value **items =
        arena_new_array(at->scope->im->c->perm, struct ir_value *, list->n_items + 1);

    for (int i = 0; i < list->n_items; i++)
        items[i + (i >= where)] = list->items[i];
    items[where] = item;
    return define_list(at, 0, list->n_items + 1, items);
}

struct status *import_SequenceErase(const struct site *at)
{
    struct ir_value *list;
    int where;

    RETURN_IF_FAIL(take_list(at, 0, &list));
    RETURN_IF_FAIL(take_position(at, 1, list->n_items, false, list->n_items - 1, &where));
    if (!list->n_items)
        return FAIL_SITE(at, INVALID, "erases from an empty sequence");

    struct ir_value **items =
        arena_new_array(at->scope->im->c->perm, struct ir_value *, list->n_items);

    for (int i = 0; i < list->n_items; i++)
        if (i != where)
            items[i - (i > where)] = list->items[i];
    return define_list(at, 0, list->n_items - 1, items);
}

struct status *import_SequenceLength(const struct site *at)
{
    struct ir_value *list;

    RETURN_IF_FAIL(take_list(at, 0, &list));

    const int64_t n = list->n_items;
    const struct tensor t = {
        .dtype = DT_i64, .data = arena_copy(at->scope->im->c->perm, &n, sizeof n)};

    return site_define(at, 0, constant_of(at, NULL, &t));
}

/* A position known only when running picks from the stacked items. */
static struct status *pick_at_run_time(const struct site *at, const struct ir_value *list,
                                       struct ir_value *position, struct ir_value **out)
{
    struct ir_value *stack;

    if (!list->n_items)
        return FAIL_SITE(at, INVALID, "takes from an empty sequence");
    for (int i = 1; i < list->n_items; i++)
        if (!ir_same_shape(list->items[0], list->items[i]) || list->items[i]->dynamic)
            return FAIL_SITE(at, UNSUPPORTED,
                             "the position is not a constant and the shapes differ");
    RETURN_IF_FAIL(unroll_stack(at, list->n_items, list->items, &stack));
    return unroll_emit(at, "Gather", 2, (struct ir_value *[]){stack, position}, "axis=0",
                       out);
}

struct status *import_SequenceAt(const struct site *at)
{
    struct ir_value *list, *position, *item;
    int where;

    RETURN_IF_FAIL(take_list(at, 0, &list));
    RETURN_IF_FAIL(take_tensor(at, 1, &position));
    if (!position->data) {
        RETURN_IF_FAIL(pick_at_run_time(at, list, position, &item));
        return site_define(at, 0, item);
    }
    RETURN_IF_FAIL(take_position(at, 1, list->n_items, false, 0, &where));
    return site_define(at, 0, list->items[where]);
}

/* Lengths of the parts along `axis` into `part`; how many. */
static struct status *split_lengths(const struct site *at, const struct ir_value *split,
                                    int64_t length, int64_t *part, int *n)
{
    const int64_t *given = NULL;
    int64_t total = 0;
    int count = 0;

    *n = 0;
    if (split) {
        given = ir_const_ints(at->scope->im->c, split, &count);
        if (!given)
            return FAIL_SITE(at, UNSUPPORTED, "the split is not a constant");
    }
    if (split && split->rank == 1) {
        if (count > MAX_SEQUENCE)
            return FAIL_SITE(at, UNSUPPORTED, "more than %d parts", MAX_SEQUENCE);
        for (; *n < count; (*n)++) {
            part[*n] = given[*n];
            if (part[*n] < 0 || part[*n] > length - total)
                return FAIL_SITE(at, INVALID, "parts do not add up to %" PRId64, length);
            total += part[*n];
        }
        return total == length
                 ? OK
                 : FAIL_SITE(at, INVALID, "parts do not add up to %" PRId64, length);
    }

    const int64_t chunk = given && count == 1 ? given[0] : 1;

    if (chunk < 1)
        return FAIL_SITE(at, INVALID, "parts of length %" PRId64, chunk);
    for (int64_t left = length; left > 0; left -= chunk) {
        if (*n == MAX_SEQUENCE)
            return FAIL_SITE(at, UNSUPPORTED, "more than %d parts", MAX_SEQUENCE);
        part[(*n)++] = left < chunk ? left : chunk;
    }
    return OK;
}

struct status *import_SplitToSequence(const struct site *at)
{
    struct arena *a = at->scope->im->c->perm;
    struct ir_value *x, *split;
    int64_t *part = arena_new_array(a, int64_t, MAX_SEQUENCE);
    struct ir_value **items = arena_new_array(a, struct ir_value *, MAX_SEQUENCE);
    int64_t from = 0;
    int n, axis;

    RETURN_IF_FAIL(take_tensor(at, 0, &x));
    RETURN_IF_FAIL(site_in(at, 1, &split));
    RETURN_IF_FAIL(unroll_axis(at, site_attr_int(at, "axis", 0), x->rank, &axis));
    RETURN_IF_FAIL(split_lengths(at, split, x->dim[axis], part, &n));

    const bool drop = !split && !site_attr_int(at, "keepdims", 1);

    for (int i = 0; i < n; i++) {
        RETURN_IF_FAIL(unroll_slice(at, x, axis, from, part[i], &items[i]));
        if (drop)
            RETURN_IF_FAIL(unroll_drop_axis(at, items[i], axis, &items[i]));
        from += part[i];
    }
    return define_list(at, 0, n, items);
}

struct status *import_ConcatFromSequence(const struct site *at)
{
    struct arena *a = at->scope->im->c->perm;
    const bool stack = site_attr_int(at, "new_axis", 0);
    struct ir_value *list, *out;
    int axis;

    RETURN_IF_FAIL(take_list(at, 0, &list));
    if (!list->n_items)
        return FAIL_SITE(at, INVALID, "joins an empty sequence");
    RETURN_IF_FAIL(unroll_axis(at, site_attr_int(at, "axis", 0),
                               list->items[0]->rank + stack, &axis));

    struct ir_value **items = arena_copy(a, list->items,
                                         (size_t)list->n_items * sizeof *items);

    for (int i = 0; stack && i < list->n_items; i++)
        RETURN_IF_FAIL(unroll_add_axis(at, items[i], axis, &items[i]));
    RETURN_IF_FAIL(unroll_concat(at, list->n_items, items, axis, &out));
    return site_define(at, 0, out);
}

/* Item i of every input that is a sequence, the tensor itself of the others. */
static struct status *map_one(const struct site *at, const struct onnx_graph *body, int i,
                              struct ir_value **out)
{
    const int n_in = site_n_in(at);
    struct ir_value **in = arena_new_array(at->scope->im->c->perm, struct ir_value *, n_in);

    for (int k = 0; k < n_in; k++) {
        RETURN_IF_FAIL(site_in(at, k, &in[k]));
        if (!in[k])
            return FAIL_SITE(at, INVALID, "input %d is left out", k);
        if (!in[k]->is_sequence)
            continue;
        if (i >= in[k]->n_items)
            return FAIL_SITE(at, INVALID, "sequences have different lengths");
        in[k] = in[k]->items[i];
    }
    return unroll_body(at, body, i, n_in, in, out);
}

struct status *import_SequenceMap(const struct site *at)
{
    struct arena *a = at->scope->im->c->perm;
    const struct onnx_attr *attr = site_attr(at, "body");
    struct ir_value *list;

    RETURN_IF_FAIL(take_list(at, 0, &list));
    if (!attr || !attr->g)
        return FAIL_SITE(at, INVALID, "has no body");

    const int n_out = attr->g->output.n, n = list->n_items;
    struct ir_value **out = arena_new_array(a, struct ir_value *, n_out);
    struct ir_value **items =
        arena_alloc_array(a, (size_t)n_out * (size_t)(n ? n : 1), sizeof *items);

    for (int i = 0; i < n; i++) {
        RETURN_IF_FAIL(map_one(at, attr->g, i, out));
        for (int k = 0; k < n_out; k++)
            items[(size_t)k * (size_t)n + (size_t)i] = out[k];
    }
    for (int k = 0; k < n_out && k < site_n_out(at); k++)
        RETURN_IF_FAIL(define_list(at, k, n, items + (size_t)k * (size_t)n));
    return OK;
}

/* ---- optionals ------------------------------------------------------------------------ */

struct status *import_Optional(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(site_in(at, 0, &x));
    return site_define(at, 0, x ? x : &onnx_nothing);
}

struct status *import_OptionalHasElement(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(site_in(at, 0, &x));

    const uint8_t has = x && x != &onnx_nothing;
    const struct tensor t = {
        .dtype = DT_bool, .data = arena_copy(at->scope->im->c->perm, &has, sizeof has)};

    return site_define(at, 0, constant_of(at, NULL, &t));
}

struct status *import_OptionalGetElement(const struct site *at)
{
    struct ir_value *x;

    RETURN_IF_FAIL(site_in(at, 0, &x));
    if (!x || x == &onnx_nothing)
        return FAIL_SITE(at, INVALID, "takes the element of an empty optional");
    return site_define(at, 0, x);
}
