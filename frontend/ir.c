/* SPDX-License-Identifier: Apache-2.0 */
/* The graph in memory: building, changing and asking.  See ir.h. */
#include "frontend/ir.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "frontend/mapped_file.h"
#include "support/name_map.h"

/* ---- names: one set a compile ------------------------------------------------ */

struct ir_names {
    struct name_map taken; /* name -> struct ir_value */
    int next_suffix;
};

static void take_name(struct compile *c, const char *wanted, struct ir_value *v)
{
    struct ir_names *names = c->names;
    char *name = wanted ? arena_strdup(c->perm, wanted) : NULL;

    while (!name || name_map_get(&names->taken, name))
        name =
            arena_printf(c->perm, "%s.%d", wanted ? wanted : "t", names->next_suffix++);
    name_map_put(&names->taken, name, v);
    v->name = name;
}

/* ---- compile ------------------------------------------------------------------ */

struct compile *compile_create(void)
{
    struct arena *perm = arena_create();
    struct compile *c = arena_new(perm, struct compile);

    c->perm = perm;
    c->scratch = arena_create();
    c->model_name = c->producer = "";
    c->names = arena_new(perm, struct ir_names);
    c->names->taken.arena = perm;
    return c;
}

void compile_destroy(struct compile *c)
{
    if (!c)
        return;
    text_free(&c->warnings);
    text_free(&c->left_in_floats);
    text_free(&c->data_files);
    mapped_files_close(c);
    arena_destroy(c->scratch);
    arena_destroy(c->perm); /* c lives in it */
}

/* ---- graphs and values ---------------------------------------------------------- */

struct ir_graph *ir_graph_create(struct compile *c, const char *name)
{
    struct ir_graph *g = arena_new(c->perm, struct ir_graph);

    g->compile = c;
    g->name = arena_strdup(c->perm, name ? name : "");
    return g;
}

struct ir_value *ir_value_create(struct compile *c, const char *name, enum dtype dtype,
                                 int rank, const int64_t *dim)
{
    struct ir_value *v = arena_new(c->perm, struct ir_value);

    assert(rank >= 0 && rank <= IR_MAX_RANK);
    v->made_up = !name;
    take_name(c, name, v);
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++)
        v->dim[i] = dim[i];
    v->id = c->n_values++;
    return v;
}

struct ir_value *ir_input(struct ir_graph *g, const char *name, enum dtype dtype,
                          int rank, const int64_t *dim)
{
    struct ir_value *v = ir_value_create(g->compile, name, dtype, rank, dim);

    v->is_input = true;
    g->in = arena_grow(g->compile->perm, g->in, sizeof(*g->in), g->n_in, &g->cap_in);
    g->in[g->n_in++] = v;
    return v;
}

void ir_output(struct ir_graph *g, struct ir_value *v)
{
    g->out =
        arena_grow(g->compile->perm, g->out, sizeof(*g->out), g->n_out, &g->cap_out);
    g->out[g->n_out++] = v;
    v->n_uses++;
}

struct ir_value *ir_const_ref(struct compile *c, const char *name, enum dtype dtype,
                              int rank, const int64_t *dim, const void *data)
{
    struct ir_value *v = ir_value_create(c, name, dtype, rank, dim);

    assert(data);
    v->data = data;
    return v;
}

struct ir_value *ir_const(struct compile *c, const char *name, enum dtype dtype,
                          int rank, const int64_t *dim, const void *data)
{
    struct ir_value *v = ir_value_create(c, name, dtype, rank, dim);

    v->data = arena_copy(c->perm, data, (size_t)ir_bytes(v));
    return v;
}

struct ir_value *ir_const_i64s(struct compile *c, int n, const int64_t *values)
{
    return ir_const(c, NULL, DT_i64, 1, (int64_t[]){n}, values);
}

struct ir_value *ir_const_f32(struct compile *c, float value)
{
    return ir_const(c, NULL, DT_f32, 0, NULL, &value);
}

/* ---- nodes -------------------------------------------------------------------------
 */

static void link_before(struct ir_graph *g, struct ir_node *n, struct ir_node *at)
{
    n->next = at;
    n->prev = at ? at->prev : g->last;
    *(n->prev ? &n->prev->next : &g->first) = n;
    *(at ? &at->prev : &g->last) = n;
}

static void unlink_node(struct ir_node *n)
{
    *(n->prev ? &n->prev->next : &n->graph->first) = n->next;
    *(n->next ? &n->next->prev : &n->graph->last) = n->prev;
}

struct ir_node *ir_node_create(struct ir_graph *g, struct ir_node *at, enum ir_op op,
                               const char *name, int n_in, int n_out)
{
    struct arena *a = g->compile->perm;
    struct ir_node *n = arena_new(a, struct ir_node);

    n->op = op;
    n->name = name ? arena_strdup(a, name) : "";
    n->onnx_index = -1;
    n->n_in = n_in;
    n->n_out = n_out;
    n->cap_in = n_in > IR_SPARE_OPERANDS ? n_in : IR_SPARE_OPERANDS;
    n->in = arena_new_array(a, struct ir_value *, n->cap_in);
    n->out = arena_new_array(a, struct ir_value *,
                             n_out > IR_SPARE_OPERANDS ? n_out : IR_SPARE_OPERANDS);
    n->graph = g;
    link_before(g, n, at);
    return n;
}

void ir_set_input(struct ir_node *n, int i, struct ir_value *v)
{
    if (i >= n->n_in) {
        n->in =
            arena_grow(n->graph->compile->perm, n->in, sizeof(*n->in), i, &n->cap_in);
        n->n_in = i + 1;
    }
    if (v)
        v->n_uses++;
    if (n->in[i])
        n->in[i]->n_uses--;
    n->in[i] = v;
}

void ir_set_output(struct ir_node *n, int i, struct ir_value *v)
{
    assert(i < n->n_out);
    n->out[i] = v;
    if (!v)
        return;
    v->def = n;
    v->def_index = i;
    if (!*n->name)
        n->name = v->name;
}

struct ir_value *ir_new_output(struct ir_node *n, int i, const char *name)
{
    struct ir_value *v = ir_value_create(n->graph->compile, name, DT_NONE, 0, NULL);

    ir_set_output(n, i, v);
    return v;
}

struct status *ir_infer(struct ir_node *n)
{
    const struct op_info *info = &op_info[n->op];

    if (n->n_in < info->min_in || n->n_in > info->max_in)
        return FAIL_AT(n, INVALID, "has %d inputs but needs %d to %d", n->n_in,
                       info->min_in, info->max_in);
    if (n->n_out < info->min_out || n->n_out > info->max_out)
        return FAIL_AT(n, INVALID, "has %d outputs but needs %d to %d", n->n_out,
                       info->min_out, info->max_out);
    for (int i = 0; i < info->min_in; i++)
        if (!n->in[i])
            return FAIL_AT(n, INVALID, "input %d is left out but required", i);
    for (int i = 0; i < info->min_out; i++)
        if (!n->out[i])
            return FAIL_AT(n, INVALID, "output %d is left out but required", i);
    if (!info->shape)
        return FAIL_AT(n, UNSUPPORTED, "operator has no shape inference");
    RETURN_IF_FAIL(info->shape(n));
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];

        if (v && v->dtype == DT_NONE)
            return FAIL_AT(n, UNSUPPORTED, "output %d ('%s') is not computed", i,
                           v->name);
        if (v && !v->is_sequence && !ir_shape_fits(v->dtype, v->rank, v->dim))
            return FAIL_AT(n, UNSUPPORTED, "output %d is too large", i);
    }
    return OK;
}

struct status *ir_emit(struct ir_graph *g, struct ir_node *before, enum ir_op op,
                       const char *name, int n_in, struct ir_value *const *in,
                       const char *attr, struct ir_value **out)
{
    struct ir_node *n = ir_node_create(g, before, op, name, n_in, 1);

    for (int i = 0; i < n_in; i++)
        ir_set_input(n, i, in[i]);
    *out = ir_new_output(n, 0, name);

    struct status *s = attr ? ir_parse_attrs(n, attr) : OK;

    if (!s)
        s = ir_infer(n);
    if (s)
        ir_remove(n);
    return s;
}

/* ---- changing
 * ------------------------------------------------------------------------ */

static void replace_operands(struct ir_graph *g, struct ir_value *old,
                             struct ir_value *by)
{
    for (struct ir_node *n = g->first; n && old->n_uses; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] == old)
                ir_set_input(n, i, by);
        for (int b = 0; b < IR_MAX_BODIES; b++) {
            struct ir_graph *body = n->body[b];

            if (!body)
                continue;
            replace_operands(body, old, by);
            for (int i = 0; i < body->n_out; i++)
                if (body->out[i] == old) {
                    body->out[i] = by;
                    by->n_uses++;
                    old->n_uses--;
                }
        }
    }
}

bool ir_replace_needs_identity(const struct ir_graph *g, const struct ir_value *old,
                               const struct ir_value *by)
{
    return !g->outer && ir_is_graph_output(g, old)
           && (by->is_input || by->data || ir_is_graph_output(g, by));
}

static struct ir_value *identity_named(struct ir_graph *g, struct ir_value *of,
                                       const char *name)
{
    struct ir_node *n = ir_node_create(g, NULL, OP_Identity, name, 1, 1);
    struct ir_value *v = ir_new_output(n, 0, NULL);

    ir_set_input(n, 0, of);
    status_free(ir_infer(n)); /* cannot fail */
    return v;
}

static void swap_names(struct compile *c, struct ir_value *a, struct ir_value *b)
{
    const char *name = a->name;
    const bool made_up = a->made_up;

    a->name = b->name;
    a->made_up = b->made_up;
    b->name = name;
    b->made_up = made_up;
    name_map_put(&c->names->taken, a->name, a);
    name_map_put(&c->names->taken, b->name, b);
}

void ir_rename(struct compile *c, struct ir_value *v, const char *name)
{
    struct ir_value *owner = name_map_get(&c->names->taken, name);

    if (owner == v)
        return;
    if (!owner) {
        /* The old name stays taken: it may stand in messages already. */
        take_name(c, name, v);
        v->made_up = false;
        return;
    }
    swap_names(c, v, owner);
}

void ir_replace_uses(struct ir_graph *g, struct ir_value *old, struct ir_value *by)
{
    assert(old != by);

    struct ir_value *as_output = by;

    replace_operands(g, old, by);
    if (ir_replace_needs_identity(g, old, by))
        as_output = identity_named(g, by, old->name);
    if (ir_is_graph_output(g, old) && !g->outer)
        swap_names(g->compile, old, as_output);
    for (int i = 0; i < g->n_out; i++)
        if (g->out[i] == old) {
            g->out[i] = as_output;
            as_output->n_uses++;
            old->n_uses--;
        }
    old->replaced_by = by;
}

static void drop_operands(struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            n->in[i]->n_uses--;
    for (int b = 0; b < IR_MAX_BODIES; b++) {
        const struct ir_graph *body = n->body[b];

        if (!body)
            continue;
        for (struct ir_node *m = body->first; m; m = m->next)
            drop_operands(m);
        for (int i = 0; i < body->n_out; i++)
            body->out[i]->n_uses--;
    }
}

void ir_remove(struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        assert(!n->out[i] || !n->out[i]->n_uses);
    drop_operands(n);
    unlink_node(n);
}

/* ---- asking
 * -------------------------------------------------------------------------- */

int64_t ir_count(const struct ir_value *v)
{
    int64_t count = 1;

    for (int i = 0; i < v->rank; i++)
        count *= v->dim[i];
    return count;
}

int64_t ir_bytes(const struct ir_value *v)
{
    return ir_count(v) * dtype_info[v->dtype].bytes;
}

bool ir_shape_fits(enum dtype dtype, int rank, const int64_t *dim)
{
    const int64_t limit = (int64_t)1 << 46;
    int64_t count = dtype_info[dtype].bytes ? dtype_info[dtype].bytes : 1;

    if (rank < 0 || rank > IR_MAX_RANK)
        return false;
    for (int i = 0; i < rank; i++) {
        /* A zero dim makes the tensor empty, but not its neighbours harmless:
         * strides are products of them. */
        const int64_t d = dim[i] > 1 ? dim[i] : 1;

        if (dim[i] < 0 || d > limit / count)
            return false;
        count *= d;
    }
    return true;
}

bool ir_same_shape(const struct ir_value *a, const struct ir_value *b)
{
    return a->rank == b->rank
           && (!a->rank || !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]));
}

bool ir_is_graph_output(const struct ir_graph *g, const struct ir_value *v)
{
    for (int i = 0; i < g->n_out; i++)
        if (g->out[i] == v)
            return true;
    return false;
}

bool ir_may_fold(const struct ir_node *n)
{
    if (n->op == OP_Cast && n->graph->compile->halves_stay)
        return ir_in(n, 0)->dtype != DT_f16;
    return n->op != OP_DequantizeLinear || n->graph->compile->islands_formed;
}

struct ir_value *ir_in(const struct ir_node *n, int i)
{
    return i >= 0 && i < n->n_in ? n->in[i] : NULL;
}

const int64_t *ir_const_ints(struct compile *c, const struct ir_value *v, int *n)
{
    *n = 0;
    if (!v || !v->data || (v->dtype != DT_i64 && v->dtype != DT_i32)
        || ir_count(v) > INT32_MAX)
        return NULL;
    *n = (int)ir_count(v);
    if (v->dtype == DT_i64)
        return v->data;

    int64_t *wide = arena_new_array(c->perm, int64_t, *n);
    const int32_t *narrow = v->data;

    for (int i = 0; i < *n; i++)
        wide[i] = narrow[i];
    return wide;
}

static double half_to_double(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                             : exponent     ? ldexp(fraction + 1024, exponent - 25)
                                            : ldexp(fraction, -24);

    return h >> 15 ? -magnitude : magnitude;
}

static double bfloat_to_double(uint16_t b)
{
    const uint32_t bits = (uint32_t)b << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

bool ir_const_scalar(const struct ir_value *v, double *out)
{
    if (!v || !v->data || ir_count(v) != 1)
        return false;
    switch (v->dtype) {
    case DT_f32:
        *out = (double)*(const float *)v->data;
        return true;
    case DT_f64:
        *out = *(const double *)v->data;
        return true;
    case DT_u8:
    case DT_u4:
    case DT_bool:
        *out = *(const uint8_t *)v->data;
        return true;
    case DT_i8:
    case DT_i4:
        *out = *(const int8_t *)v->data;
        return true;
    case DT_u16:
        *out = *(const uint16_t *)v->data;
        return true;
    case DT_i16:
        *out = *(const int16_t *)v->data;
        return true;
    case DT_u32:
        *out = *(const uint32_t *)v->data;
        return true;
    case DT_i32:
        *out = *(const int32_t *)v->data;
        return true;
    case DT_u64:
        *out = (double)*(const uint64_t *)v->data;
        return true;
    case DT_i64:
        *out = (double)*(const int64_t *)v->data;
        return true;
    case DT_f16:
        *out = half_to_double(*(const uint16_t *)v->data);
        return true;
    case DT_bf16:
        *out = bfloat_to_double(*(const uint16_t *)v->data);
        return true;
    case DT_NONE:
    case DT_COUNT:
        break;
    }
    return false;
}

/* ---- attributes
 * ------------------------------------------------------------------------ */

const struct ir_attr *ir_attr(const struct ir_node *n, const char *name)
{
    for (const struct ir_attr *at = n->attrs; at; at = at->next)
        if (!strcmp(at->name, name))
            return at;
    return NULL;
}

int64_t ir_attr_int(const struct ir_node *n, const char *name, int64_t otherwise)
{
    const struct ir_attr *at = ir_attr(n, name);

    return at && at->kind == ATTR_INT ? at->i : otherwise;
}

float ir_attr_float(const struct ir_node *n, const char *name, float otherwise)
{
    const struct ir_attr *at = ir_attr(n, name);

    if (at && at->kind == ATTR_INT)
        return (float)at->i;
    return at && at->kind == ATTR_FLOAT ? at->f : otherwise;
}

const char *ir_attr_str(const struct ir_node *n, const char *name,
                        const char *otherwise)
{
    const struct ir_attr *at = ir_attr(n, name);

    return at && at->kind == ATTR_STRING ? at->s : otherwise;
}

const int64_t *ir_attr_ints(const struct ir_node *n, const char *name, int *n_ints)
{
    const struct ir_attr *at = ir_attr(n, name);
    const bool found = at && at->kind == ATTR_INTS;

    *n_ints = found ? at->n : 0;
    return found ? at->ints : NULL;
}

/* The attribute `name`, emptied, or a new one at the end of the list. */
static struct ir_attr *fresh_attr(struct ir_node *n, const char *name,
                                  enum ir_attr_kind kind)
{
    struct arena *a = n->graph->compile->perm;
    struct ir_attr **at = &n->attrs;

    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;

    struct ir_attr *fresh = arena_new(a, struct ir_attr);

    fresh->name = arena_strdup(a, name);
    fresh->kind = kind;
    fresh->next = *at ? (*at)->next : NULL;
    *at = fresh;
    return fresh;
}

void ir_set_attr_int(struct ir_node *n, const char *name, int64_t value)
{
    fresh_attr(n, name, ATTR_INT)->i = value;
}

void ir_set_attr_float(struct ir_node *n, const char *name, float value)
{
    fresh_attr(n, name, ATTR_FLOAT)->f = value;
}

void ir_set_attr_str(struct ir_node *n, const char *name, const char *value)
{
    fresh_attr(n, name, ATTR_STRING)->s = arena_strdup(n->graph->compile->perm, value);
}

const char *const *ir_attr_strings(const struct ir_node *n, const char *name,
                                   int *count)
{
    const struct ir_attr *at = ir_attr(n, name);
    const bool found = at && at->kind == ATTR_STRINGS;

    *count = found ? at->n : 0;
    return found ? at->strings : NULL;
}

void ir_set_attr_strings(struct ir_node *n, const char *name, int n_strings,
                         const char *const *v)
{
    struct arena *a = n->graph->compile->perm;
    const char **copy = arena_new_array(a, const char *, n_strings);
    struct ir_attr *at = fresh_attr(n, name, ATTR_STRINGS);

    for (int i = 0; i < n_strings; i++)
        copy[i] = arena_strdup(a, v[i]);
    at->n = n_strings;
    at->strings = copy;
}

void ir_set_attr_ints(struct ir_node *n, const char *name, int n_ints, const int64_t *v)
{
    int64_t *copy = arena_copy(n->graph->compile->perm, v, (size_t)n_ints * sizeof *v);
    struct ir_attr *at = fresh_attr(n, name, ATTR_INTS);

    at->n = n_ints;
    at->ints = copy;
}

void ir_set_attr_floats(struct ir_node *n, const char *name, int n_floats,
                        const float *v)
{
    float *copy = arena_copy(n->graph->compile->perm, v, (size_t)n_floats * sizeof *v);
    struct ir_attr *at = fresh_attr(n, name, ATTR_FLOATS);

    at->n = n_floats;
    at->floats = copy;
}

void ir_set_attr_tensor(struct ir_node *n, const char *name, struct ir_value *constant)
{
    assert(constant->data);
    fresh_attr(n, name, ATTR_TENSOR)->tensor = constant;
}

void ir_remove_attr(struct ir_node *n, const char *name)
{
    for (struct ir_attr **at = &n->attrs; *at; at = &(*at)->next)
        if (!strcmp((*at)->name, name)) {
            *at = (*at)->next;
            return;
        }
}

const char *ir_node_label(const struct ir_node *n)
{
    struct arena *a = n->graph->compile->perm;

    if (n->onnx_index < 0)
        return arena_printf(a, "node '%s' (%s)", n->name, op_info[n->op].name);
    return arena_printf(a, "node '%s' (%s, ONNX node %d)", n->name, op_info[n->op].name,
                        n->onnx_index);
}
