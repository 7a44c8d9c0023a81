/* SPDX-License-Identifier: Apache-2.0 */
/* Rewrite chains of view operators as the shortest chain that moves least.
 *
 *     Transpose(Transpose(x, p), q)       = Transpose(x, p o q), or x
 *     Reshape(Reshape(x, s), t)           = Reshape(x, t)
 *     Transpose that moves only dims of 1 = Reshape
 *     Gather(Reshape(Transpose(Reshape(x))), k) = Slice(x, start k, step s)
 *                                           (the channel shuffle of ShuffleNet)
 *
 * The view operators below one value form a tree.  Every value of the tree that
 * somebody else reads is a window onto the root (strided_view.h), and a window is at
 * most Slice, Reshape, Transpose, Reshape.  The whole tree is rewritten when that
 * copies fewer elements, or as many with fewer nodes; so the pass cannot go in
 * circles.
 *
 * Workload: ShuffleNet (FastestDet) has 13 shuffles of 5 nodes; exported
 * transformers shuffle heads with Transpose, Reshape, Transpose.
 *
 * needs:     shapes, use counts, constant operands
 * keeps:     shapes of every value that is not a view
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/pass.h"
#include "frontend/strided_view.h"

struct tree_cost {
    int64_t copies;
    int nodes; /* see node_price */
};

struct folding {
    struct compile *compile;
    int n_values;
    struct strided_view *view;        /* by value id; source NULL: not made by a view */
    struct view_plan *plan;           /* by value id */
    bool *needed;                     /* by value id: somebody else reads it */
    struct tree_cost *before, *after; /* by id of the root */
};

/* A window onto the root of the tree, or the start of a new tree at n->in[0]. */
static void find_window(struct folding *f, const struct ir_node *n, int which)
{
    struct ir_value *in = n->in[0], *out = n->out[which];
    struct strided_view w = f->view[in->id].source ? f->view[in->id] : view_whole(in);

    if (view_through(n, which, &w) && view_plan_make(&w, &f->plan[out->id])) {
        f->view[out->id] = w;
        return;
    }
    w = view_whole(in);
    if (view_through(n, which, &w) && view_plan_make(&w, &f->plan[out->id])) {
        f->needed[in->id] = true;
        f->view[out->id] = w;
    }
}

static void find_windows(struct folding *f, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (view_is_view_op(n))
            for (int i = 0; i < n->n_out; i++)
                if (n->out[i])
                    find_window(f, n, i);
}

/* Is `n` the reader of in[i] that continues its tree? */
static bool continues_tree(const struct folding *f, const struct ir_node *n, int i)
{
    if (i || !view_is_view_op(n))
        return false;
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k] && !f->view[n->out[k]->id].source)
            return false;
    return true;
}

static void find_readers(struct folding *f, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && !continues_tree(f, n, i))
                f->needed[n->in[i]->id] = true;
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                find_readers(f, n->body[b]);
    }
    for (int i = 0; i < g->n_out; i++)
        f->needed[g->out[i]->id] = true;
}

/* In units of view_plan_nodes: a Reshape is free for everybody, and a Gather reads
 * indices where a Slice knows them. */
static int node_price(const struct ir_node *n)
{
    return n->op == OP_Reshape ? 1 : n->op == OP_Gather ? 4 : 2;
}

static void add_costs(struct folding *f, const struct ir_node *n)
{
    bool counted = false;

    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];

        if (!v || !f->view[v->id].source)
            continue;

        struct tree_cost *before = &f->before[f->view[v->id].source->id];
        struct tree_cost *after = &f->after[f->view[v->id].source->id];

        before->copies += view_node_copies(n, i);
        before->nodes += counted ? 0 : node_price(n);
        counted = true;
        if (f->needed[v->id]) {
            after->copies += view_plan_copies(&f->plan[v->id]);
            after->nodes += view_plan_nodes(&f->plan[v->id]);
        }
    }
}

static bool pays(const struct folding *f, const struct ir_value *root)
{
    const struct tree_cost *before = &f->before[root->id], *after = &f->after[root->id];

    return after->copies < before->copies
           || (after->copies == before->copies && after->nodes < before->nodes);
}

static struct status *rewrite(struct folding *f, struct ir_graph *g, struct ir_value *v)
{
    struct ir_value *root = f->view[v->id].source, *fresh;

    RETURN_IF_FAIL(view_plan_emit(g, v->def, v->name, root, &f->plan[v->id], &fresh));
    ir_replace_uses(g, v, fresh);
    return OK;
}

static void remove_unused_views(struct ir_graph *g)
{
    for (struct ir_node *n = g->last, *prev; n; n = prev) {
        bool used = !view_is_view_op(n);

        prev = n->prev;
        for (int i = 0; i < n->n_out; i++)
            used |= n->out[i] && n->out[i]->n_uses;
        if (!used)
            ir_remove(n);
    }
}

static struct status *rewrite_trees(struct folding *f, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (!view_is_view_op(n))
            continue;
        for (int i = 0; i < n->n_out; i++) {
            struct ir_value *v = n->out[i];

            /* Values made by the rewriting have ids past the tables. */
            if (v && v->id < f->n_values && f->needed[v->id] && f->view[v->id].source
                && pays(f, f->view[v->id].source))
                RETURN_IF_FAIL(rewrite(f, g, v));
        }
    }
    remove_unused_views(g);
    return OK;
}

struct status *pass_fold_views(struct compile *c, struct ir_graph *g)
{
    struct folding f = {.compile = c, .n_values = c->n_values};

    f.view = arena_new_array(c->scratch, struct strided_view, f.n_values);
    f.plan = arena_new_array(c->scratch, struct view_plan, f.n_values);
    f.needed = arena_new_array(c->scratch, bool, f.n_values);
    f.before = arena_new_array(c->scratch, struct tree_cost, f.n_values);
    f.after = arena_new_array(c->scratch, struct tree_cost, f.n_values);

    find_windows(&f, g);
    find_readers(&f, g);
    for (const struct ir_node *n = g->first; n; n = n->next)
        if (view_is_view_op(n))
            add_costs(&f, n);
    return rewrite_trees(&f, g);
}
