/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants of a graph, as a check that runs after every pass.
 *
 *   - nodes form a list whose links agree; every node knows its graph
 *   - an operand is a constant, an input, or the result of an earlier node of this
 *     graph or of a graph around it
 *   - a value has one definition, a known type and a name nobody else has
 *   - use counts are right
 *   - operators have as many operands as ops.def allows, bodies where they need them,
 *     and outputs of the type that shape inference gives
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/ir.h"

enum { MAX_DEPTH = 64 };

struct checker {
    const struct ir_graph *root;
    enum status_code code;
    int n_values;
    struct ir_value **met;      /* [n_values], by id: every value seen */
    const struct ir_graph **home; /* [n_values]: graph where it is defined, so far */
    int *uses;                  /* [n_values] */
};

#define BROKEN(k, ...) FAIL((k)->code, "graph is broken: " __VA_ARGS__)
#define BROKEN_AT(k, n, ...) FAIL_AT(n, (k)->code, "graph is broken: " __VA_ARGS__)

static struct status *check_value(struct checker *k, struct ir_value *v)
{
    if (v->id < 0 || v->id >= k->n_values)
        return BROKEN(k, "value '%s' has id %d of %d", v->name, v->id, k->n_values);
    if (k->met[v->id] == v)
        return OK;
    if (k->met[v->id])
        return BROKEN(k, "values '%s' and '%s' share the id %d", v->name,
                      k->met[v->id]->name, v->id);
    k->met[v->id] = v;
    if (!v->name || !*v->name)
        return BROKEN(k, "value %d has no name", v->id);
    if (v->is_sequence)
        return BROKEN(k, "value '%s' is a sequence", v->name);
    if (v->dtype <= DT_NONE || v->dtype >= DT_COUNT)
        return BROKEN(k, "value '%s' has no element type", v->name);
    if (!ir_shape_fits(v->dtype, v->rank, v->dim))
        return BROKEN(k, "value '%s' has an impossible shape", v->name);
    if ((v->data != NULL) + (v->def != NULL) + v->is_input != 1)
        return BROKEN(k, "value '%s' has not exactly one definition", v->name);
    return OK;
}

static bool visible(const struct checker *k, const struct ir_graph *g,
                    const struct ir_value *v)
{
    if (v->data)
        return true;
    for (; g; g = g->outer)
        if (k->home[v->id] == g)
            return true;
    return false;
}

static struct status *define(struct checker *k, const struct ir_graph *g,
                             struct ir_value *v)
{
    RETURN_IF_FAIL(check_value(k, v));
    if (k->home[v->id])
        return BROKEN(k, "value '%s' is defined twice", v->name);
    k->home[v->id] = g;
    return OK;
}

static struct status *check_types(const struct checker *k, struct ir_node *n)
{
    struct ir_value was[16];

    if (n->n_out > 16)
        return OK; /* Split into many parts: inferred once, by the importer */
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            was[i] = *n->out[i];
    RETURN_IF_FAIL(status_note(ir_infer(n), "while checking the graph"));
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];

        if (v
            && (v->dtype != was[i].dtype || v->dynamic != was[i].dynamic
                || !ir_same_shape(v, &was[i])))
            return BROKEN_AT(k, n, "output '%s' has another type than inference gives",
                             v->name);
    }
    return OK;
}

static struct status *check_graph(struct checker *k, const struct ir_graph *g, int depth);

static struct status *check_bodies(struct checker *k, const struct ir_node *n, int depth)
{
    const bool control = op_info[n->op].traits & OPT_CONTROL;

    for (int b = 0; b < IR_MAX_BODIES; b++) {
        if (!n->body[b])
            continue;
        if (!control)
            return BROKEN_AT(k, n, "has a body");
        if (n->body[b]->outer != n->graph)
            return BROKEN_AT(k, n, "body %d has another outer graph", b);
        RETURN_IF_FAIL(check_graph(k, n->body[b], depth + 1));
    }
    if (control && !n->body[0])
        return BROKEN_AT(k, n, "has no body");
    return OK;
}

static struct status *check_node(struct checker *k, const struct ir_graph *g,
                                 struct ir_node *n, int depth)
{
    if (n->op <= OP_NONE || n->op >= OP_COUNT)
        return BROKEN(k, "node '%s' has no operator", n->name);
    if (n->graph != g)
        return BROKEN_AT(k, n, "belongs to another graph");
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        RETURN_IF_FAIL(check_value(k, n->in[i]));
        if (!visible(k, g, n->in[i]))
            return BROKEN_AT(k, n, "reads '%s' before it is defined", n->in[i]->name);
        k->uses[n->in[i]->id]++;
    }
    RETURN_IF_FAIL(check_bodies(k, n, depth));
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        if (n->out[i]->def != n || n->out[i]->def_index != i)
            return BROKEN_AT(k, n, "output %d names another definition", i);
        RETURN_IF_FAIL(define(k, g, n->out[i]));
    }
    return check_types(k, n);
}

static struct status *check_graph(struct checker *k, const struct ir_graph *g, int depth)
{
    const struct ir_node *before = NULL;

    if (depth > MAX_DEPTH)
        return BROKEN(k, "bodies nest deeper than %d", MAX_DEPTH);
    if (g->compile != k->root->compile)
        return BROKEN(k, "graph '%s' belongs to another compile", g->name);
    for (int i = 0; i < g->n_in; i++) {
        if (!g->in[i]->is_input)
            return BROKEN(k, "input '%s' is not marked as one", g->in[i]->name);
        RETURN_IF_FAIL(define(k, g, g->in[i]));
    }
    for (struct ir_node *n = g->first; n; before = n, n = n->next) {
        if (n->prev != before)
            return BROKEN_AT(k, n, "links disagree");
        RETURN_IF_FAIL(check_node(k, g, n, depth));
    }
    if (g->last != before)
        return BROKEN(k, "graph '%s' has a wrong last node", g->name);
    for (int i = 0; i < g->n_out; i++) {
        RETURN_IF_FAIL(check_value(k, g->out[i]));
        if (!visible(k, g, g->out[i]))
            return BROKEN(k, "output '%s' is not defined", g->out[i]->name);
        k->uses[g->out[i]->id]++;
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    const struct ir_value *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static struct status *check_names_and_uses(struct checker *k)
{
    int n = 0;

    for (int i = 0; i < k->n_values; i++) {
        struct ir_value *v = k->met[i];

        if (!v)
            continue;
        if (v->n_uses != k->uses[i])
            return BROKEN(k, "value '%s' has %d uses but counts %d", v->name, k->uses[i],
                          v->n_uses);
        k->met[n++] = v;
    }
    qsort(k->met, (size_t)n, sizeof(*k->met), by_name);
    for (int i = 1; i < n; i++)
        if (!strcmp(k->met[i - 1]->name, k->met[i]->name))
            return BROKEN(k, "two values are called '%s'", k->met[i]->name);
    return OK;
}

struct status *ir_verify_as(const struct ir_graph *g, enum status_code code)
{
    struct arena *a = arena_create();
    const int n = g->compile->n_values;
    struct checker k = {
        .root = g,
        .code = code,
        .n_values = n,
        .met = arena_new_array(a, struct ir_value *, n),
        .home = arena_new_array(a, const struct ir_graph *, n),
        .uses = arena_new_array(a, int, n),
    };
    struct status *s = check_graph(&k, g, 0);

    if (!s)
        s = check_names_and_uses(&k);
    arena_destroy(a);
    return s;
}

struct status *ir_verify(const struct ir_graph *g)
{
    return ir_verify_as(g, INTERNAL);
}
