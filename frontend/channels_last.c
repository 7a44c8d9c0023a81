/* SPDX-License-Identifier: Apache-2.0 */
/* Choose the order of dims of every activation: as in the model, or channels last.
 *
 *     [N, C, spatial...]  ->  [N, spatial..., C]
 *
 * The emitted convolutions and pools run along channels, so they want them last.
 * Everything between them either does not mind (element by element, Concat, Pad,
 * Softmax, Reduce, ...; permute.h) or needs the model's order (MatMul, the outputs).
 * Where a value is wanted in another order than it is made, a Transpose copies it.
 *
 * One yes/no variable a node ("its outputs have channels last") and one for each
 * value that a chain of view operators makes; prices in copied elements:
 *
 *     a convolution            must be yes
 *     a pool                   no: 4 x its input, for the slow kernel
 *     a value                  its size, once for all readers that want it otherwise
 *                              than it is made
 *     ... that Conv reads      1/4 of it for up to 8 channels: the emitted kernel reads
 *                              any strides
 *     a window from x to y     (Reshape, Transpose, Slice ...) what the shortest chain
 *                              from either order of x to either order of y copies
 *     ... read by MatMul       nothing: the emitted product reads any strides
 *     ... whose end is rows    nothing: the columns of a constant Gemm weight are
 *         of a Gemm            permuted instead
 *     operand and result       a little for differing: of two places for a copy the
 *                              later one, so that convolutions keep their epilogue
 *     a node                   next to nothing for yes: no change without need
 *
 * and the minimum cut is the best choice (min_cut.h).  Values of rank 3 and 4 take
 * part.  Each value that changes order gets a successor, which names its `origin`.
 *
 * needs:     shapes, use counts, canonical Gemm (fold_gemm), no dead nodes
 * keeps:     bytes of every value, up to the order of its elements
 * breaks:    nothing
 * source:    ONNX Runtime's transpose optimizer pushes Transposes one by one; the cut
 *            needs no order of pushing and no heuristics for it
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/min_cut.h"
#include "frontend/pass.h"
#include "frontend/permute.h"
#include "frontend/strided_view.h"

struct layout {
    struct compile *compile;
    struct ir_graph *graph;
    struct cut *cut;
    int n_values;
    int *variable;           /* by value id: the order it is made in; SINK's is "no" */
    bool *chosen;            /* by value id: channels last */
    struct ir_value **last;  /* by value id: it with channels last, once it exists */
    struct ir_value **first; /* by value id: it in the model's order, once made again */
};

/* ---- orders ---------------------------------------------------------- */

/* dim[i] of the channels-last value is dim[order[i]] of the model's. */
static void last_order(int rank, int order[])
{
    order[0] = 0;
    for (int i = 1; i < rank - 1; i++)
        order[i] = i + 1;
    order[rank - 1] = 1;
}

static void first_order(int rank, int order[])
{
    int last[IR_MAX_RANK];

    last_order(rank, last);
    permute_inverse(rank, last, order);
}

static bool has_orders(const struct ir_value *v)
{
    return v && (v->rank == 3 || v->rank == 4) && !v->dynamic && !v->is_sequence
           && ir_count(v);
}

static bool order_is_free(const struct ir_value *v)
{
    int order[IR_MAX_RANK];

    last_order(v->rank, order);
    return permute_is_free(v, order);
}

/* ---- kinds of nodes -------------------------------------------------- */

/* Prices: one copied element; operand and result in different orders; a node or window
 * that leaves the model's order without need. */
enum { ELEMENT = 4096, DIFFERENCE = 64, LEAVING = 1 };

enum kind {
    FIXED,     /* reads and writes the model's order */
    CONVOLVES, /* has a form with channels_last=1 and wants it */
    POOLS,     /* the same, less eagerly */
    RESIZES,   /* has that form, too */
    FOLLOWS,   /* takes any order */
    VIEWS,     /* part of a window */
};

static bool has_last_form(const struct ir_node *n)
{
    return has_orders(n->in[0]) && has_orders(n->out[0])
           && !ir_attr_int(n, "channels_last", 0) && (n->n_out < 2 || !n->out[1]);
}

/* The emitted kernels take floats, and some of them codes of 8 bits. */
static bool has_fast_form(const struct ir_node *n, bool of_codes)
{
    const enum dtype dtype = n->in[0]->dtype;

    return has_last_form(n)
           && (dtype == DT_f32 || (of_codes && (dtype == DT_u8 || dtype == DT_i8)));
}

static bool operands_fit(const struct ir_node *n)
{
    int n_data = 0;

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && permute_role(n, i) == PERMUTE_DATA)
            n_data += has_orders(n->in[i]);
    return n_data > 0;
}

static enum kind kind_of(const struct ir_node *n)
{
    int order[IR_MAX_RANK];

    switch (n->op) {
    case OP_Conv:
    case OP_ConvTranspose:
        return has_fast_form(n, false) ? CONVOLVES : FIXED;
    case OP_QLinearConv:
        return has_fast_form(n, true) && n->in[3]->data ? CONVOLVES : FIXED;
    case OP_ConvInteger:
        return has_fast_form(n, true) && n->in[1]->data ? CONVOLVES : FIXED;
    case OP_MaxPool:
    case OP_AveragePool:
    case OP_QLinearAveragePool:
        return has_fast_form(n, n->op != OP_AveragePool) ? POOLS : FIXED;
    case OP_Resize:
    case OP_DepthToSpace:
    case OP_SpaceToDepth:
        return has_last_form(n) ? RESIZES : FIXED;
    default:
        break;
    }
    if (view_is_view_op(n))
        return VIEWS;
    if (!n->n_in || !n->in[0] || !has_orders(n->out[0]))
        return FIXED;
    last_order(n->out[0]->rank, order);
    return permute_can(n, order) && operands_fit(n) ? FOLLOWS : FIXED;
}

/* ---- windows --------------------------------------------------------- */

/* What the shortest chain copies that makes `y` from `x` through the view operators
 * between them, for either order of both.  The window onto x with channels last is the
 * same chain on other strides. */
static int64_t window_copies(const struct ir_value *x, bool x_last, struct ir_value *y,
                             bool y_last)
{
    struct ir_value *chain[64], source = *x;
    int n = 0, order[IR_MAX_RANK];
    struct view_plan plan;

    for (struct ir_value *at = y; at != x; at = at->def->in[0])
        chain[n++] = at;
    if (x_last) {
        last_order(x->rank, order);
        for (int i = 0; i < x->rank; i++)
            source.dim[i] = x->dim[order[i]];
    }

    struct strided_view w = view_whole(&source), t;

    if (x_last) {
        t = w;
        for (int i = 0; i < x->rank; i++) {
            w.dim[order[i]] = t.dim[i];
            w.stride[order[i]] = t.stride[i];
        }
    }
    while (n--)
        if (!view_through(chain[n]->def, chain[n]->def_index, &w))
            return ir_count(x) + window_copies(x, false, y, y_last);
    if (y_last) {
        t = w;
        last_order(y->rank, order);
        for (int i = 0; i < y->rank; i++) {
            w.dim[i] = t.dim[order[i]];
            w.stride[i] = t.stride[order[i]];
        }
    }
    return view_plan_make(&w, &plan) ? view_plan_copies(&plan) : ir_count(y);
}

/* Only Gemms with constant weights read y, a [N, -] Reshape of x, as their rows. */
static bool feeds_gemm_only(const struct ir_graph *g, const struct ir_value *x,
                            const struct ir_value *y)
{
    int uses = 0;

    if (y->rank != 2 || y->dim[0] != x->dim[0] || y->def->op != OP_Reshape
        || y->def->in[0] != x)
        return false;
    for (const struct ir_node *n = y->def->next; n; n = n->next)
        if (n->op == OP_Gemm && n->in[0] == y && n->in[1] != y
            && match_const_f32(n->in[1]) && !ir_attr_int(n, "transA", 0))
            uses++;
    return uses == y->n_uses && !ir_is_graph_output(g, y);
}

/* Only products of two computed operands read y. */
static bool feeds_matmul_only(const struct ir_value *y)
{
    int uses = 0;

    if (y->dtype != DT_f32)
        return false;
    for (const struct ir_node *n = y->def->next; n; n = n->next)
        for (int i = 0; n->op == OP_MatMul && i < 2; i++)
            uses += n->in[i] == y && !n->in[!i]->data;
    return uses == y->n_uses;
}

/* The value from which a chain of affine views makes y. */
static struct ir_value *window_source(struct ir_value *y)
{
    return view_resolve(y).source;
}

/* ---- the network ----------------------------------------------------- */

static void price_window(struct layout *l, struct ir_value *y)
{
    struct ir_value *x = window_source(y);
    const bool x_orders = has_orders(x), y_orders = has_orders(y);
    const bool is_read_anyhow = feeds_matmul_only(y);
    int64_t cost[2][2];

    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            cost[a][b] =
                is_read_anyhow
                    ? 0
                    : ELEMENT * window_copies(x, a && x_orders, y, b && y_orders);
    if (x_orders && feeds_gemm_only(l->graph, x, y))
        cost[1][0] = cost[1][1] = 0;
    if (cut_pair(l->cut, l->variable[x->id], l->variable[y->id], cost))
        return;

    /* Alike is dearer than different, which no network can say: keep the end that
     * has the cheapest case in mind, and let the other go. */
    if (cost[1][0] <= cost[0][1]) {
        cut_price(l->cut, l->variable[x->id], cost[0][0], cost[1][0]);
        cut_price(l->cut, l->variable[y->id], 0, CUT_FORBIDDEN);
    } else {
        cut_price(l->cut, l->variable[y->id], cost[0][0], cost[0][1]);
    }
}

/* Negative steps and the like: such an operator reads the model's order. */
static bool is_affine(const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && window_source(n->out[i]) == n->out[i])
            return false;
    return true;
}

/* Is y, made by a view operator, read by anything but the next link of its window? */
static bool ends_window(struct ir_value *y)
{
    int links = 0;

    if (window_source(y) == y)
        return false;
    for (const struct ir_node *n = y->def->next; n; n = n->next)
        if (n->n_in && n->in[0] == y && view_is_view_op(n)) {
            bool continues = true;

            for (int i = 0; i < n->n_out; i++)
                if (n->out[i] && window_source(n->out[i]) == y)
                    continues = false;
            links += continues && is_affine(n);
        }
    return links < y->n_uses;
}

static int new_variable(struct layout *l)
{
    const int variable = cut_variable(l->cut);

    cut_price(l->cut, variable, 0, LEAVING);
    return variable;
}

static void add_variables(struct layout *l)
{
    const int no = cut_constant(l->cut, false);

    for (int i = 0; i < l->n_values; i++)
        l->variable[i] = no;
    for (struct ir_node *n = l->graph->first; n; n = n->next) {
        const enum kind kind = kind_of(n);

        if (kind == FIXED)
            continue;
        if (kind == VIEWS) {
            for (int i = 0; i < n->n_out; i++)
                if (has_orders(n->out[i]) && ends_window(n->out[i]))
                    l->variable[n->out[i]->id] = new_variable(l);
            continue;
        }

        const int variable =
            kind == CONVOLVES ? cut_constant(l->cut, true) : new_variable(l);

        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                l->variable[n->out[i]->id] = variable;
        if (kind == POOLS)
            cut_price(l->cut, variable, 4 * ELEMENT * ir_count(n->in[0]), 0);
    }
}

struct members {
    int n, cap;
    int *at;
};

static void add_member(struct layout *l, struct members *m, int variable)
{
    for (int i = 0; i < m->n; i++)
        if (m->at[i] == variable)
            return;
    m->at = arena_grow(l->compile->scratch, m->at, sizeof *m->at, m->n, &m->cap);
    m->at[m->n++] = variable;
}

/* An image of few channels is read where it lies. */
static bool reads_any_strides(const struct ir_node *n)
{
    enum { FEW_CHANNELS = 8 };

    return (n->op == OP_Conv || n->op == OP_QLinearConv || n->op == OP_ConvInteger)
           && n->in[0]->dim[1] <= FEW_CHANNELS && ir_attr_int(n, "group", 1) == 1;
}

/* The variables that must agree with that of each value, or a copy is made. */
static void add_readers(struct layout *l, const struct ir_graph *g, struct members *m)
{
    for (struct ir_node *n = g->first; n; n = n->next) {
        const enum kind kind = g == l->graph ? kind_of(n) : FIXED;

        for (int i = 0; i < n->n_in; i++) {
            struct ir_value *v = n->in[i];

            if (!has_orders(v) || v->data || v->id >= l->n_values)
                continue;
            if (kind == VIEWS && i == 0 && is_affine(n))
                continue; /* priced with its window */
            if (kind == FIXED || kind == VIEWS || (kind != FOLLOWS && i > 0)
                || (kind == FOLLOWS && permute_role(n, i) != PERMUTE_DATA)) {
                add_member(l, &m[v->id], cut_constant(l->cut, false));
            } else if (reads_any_strides(n)) {
                const int port = cut_variable(l->cut);

                add_member(l, &m[v->id], port);
                cut_price(l->cut, port, ELEMENT / 4 * ir_count(v), 0);
            } else {
                const int pair[] = {l->variable[v->id], l->variable[n->out[0]->id]};

                add_member(l, &m[v->id], pair[1]);
                cut_group(l->cut, DIFFERENCE, 2, pair);
            }
        }
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                add_readers(l, n->body[b], m);
    }
    for (int i = 0; i < g->n_out; i++)
        if (has_orders(g->out[i]))
            add_member(l, &m[g->out[i]->id], cut_constant(l->cut, false));
}

static void price_value(struct layout *l, struct ir_value *v, struct members *m)
{
    if (!m->n || order_is_free(v))
        return;
    add_member(l, m, l->variable[v->id]);
    if (m->n > 1)
        cut_group(l->cut, ELEMENT * ir_count(v), m->n, m->at);
}

static void choose(struct layout *l)
{
    struct members *m =
        arena_new_array(l->compile->scratch, struct members, l->n_values);

    add_variables(l);
    add_readers(l, l->graph, m);
    for (int i = 0; i < l->graph->n_in; i++)
        price_value(l, l->graph->in[i], &m[l->graph->in[i]->id]);
    for (struct ir_node *n = l->graph->first; n; n = n->next) {
        const bool views = kind_of(n) == VIEWS;

        for (int i = 0; i < n->n_out; i++) {
            if (!n->out[i])
                continue;
            price_value(l, n->out[i], &m[n->out[i]->id]);
            if (views && ends_window(n->out[i]))
                price_window(l, n->out[i]);
        }
    }
    cut_solve(l->cut);
    for (int i = 0; i < l->n_values; i++)
        l->chosen[i] = cut_label(l->cut, l->variable[i]);
}

/* ---- carrying it out ------------------------------------------------- */

static void remember_origin(struct ir_value *fresh, const struct ir_value *v)
{
    fresh->origin = v;
    last_order(v->rank, fresh->origin_perm);
}

/* v with channels last, before node `at`. */
static struct status *with_last(struct layout *l, struct ir_node *at,
                                struct ir_value *v, struct ir_value **out)
{
    int order[IR_MAX_RANK];

    if (!l->last[v->id]) {
        last_order(v->rank, order);
        RETURN_IF_FAIL(permute_value(l->graph, at, v, order, &l->last[v->id]));
    }
    *out = l->last[v->id];
    return OK;
}

/* v, which was made with channels last, in the model's order, before node `at`. */
static struct status *with_first(struct layout *l, struct ir_node *at,
                                 struct ir_value *v, struct ir_value **out)
{
    int order[IR_MAX_RANK];

    if (!l->first[v->id]) {
        first_order(v->rank, order);
        RETURN_IF_FAIL(
            permute_value(l->graph, at, l->last[v->id], order, &l->first[v->id]));
    }
    *out = l->first[v->id];
    return OK;
}

static bool was_rebuilt(const struct layout *l, const struct ir_value *v)
{
    return v && v->id < l->n_values && v->def && l->chosen[v->id] && l->last[v->id]
           && kind_of(v->def) != VIEWS;
}

/* Operands of a node that stays: back to the model's order where they have left it. */
static struct status *feed(struct layout *l, struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++) {
        struct ir_value *v = n->in[i];

        if (!was_rebuilt(l, v))
            continue;
        RETURN_IF_FAIL(with_first(l, n, v, &v));
        ir_set_input(n, i, v);
    }
    return OK;
}

/* The same for what the bodies of n read from around them. */
static struct status *feed_body(struct layout *l, struct ir_node *n,
                                struct ir_graph *body)
{
    for (struct ir_node *m = body->first; m; m = m->next) {
        for (int i = 0; i < m->n_in; i++) {
            struct ir_value *v = m->in[i];

            if (!was_rebuilt(l, v))
                continue;
            RETURN_IF_FAIL(with_first(l, n, v, &v));
            ir_set_input(m, i, v);
        }
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (m->body[b])
                RETURN_IF_FAIL(feed_body(l, n, m->body[b]));
    }
    for (int i = 0; i < body->n_out; i++) {
        struct ir_value *v = body->out[i];

        if (!was_rebuilt(l, v))
            continue;
        RETURN_IF_FAIL(with_first(l, n, v, &v));
        body->out[i]->n_uses--;
        v->n_uses++;
        body->out[i] = v;
    }
    return OK;
}

static struct status *rebuild_window_op(struct layout *l, struct ir_node *n,
                                        struct ir_node **out)
{
    struct ir_node *m = ir_node_create(n->graph, n, n->op, n->name, n->n_in, 1);
    struct ir_value *x;

    m->onnx_index = n->onnx_index;
    permute_copy_attrs(n, m);
    RETURN_IF_FAIL(with_last(l, m, n->in[0], &x));
    ir_set_input(m, 0, x);
    for (int i = 1; i < n->n_in; i++)
        ir_set_input(m, i, n->in[i]);
    ir_set_attr_int(m, "channels_last", 1);
    ir_new_output(m, 0, n->out[0]->name);
    *out = m;
    return ir_infer(m);
}

static struct status *rebuild_follower(struct layout *l, struct ir_node *n,
                                       struct ir_node **out)
{
    struct ir_value **data =
        arena_new_array(l->compile->scratch, struct ir_value *, n->n_in);
    int order[IR_MAX_RANK];

    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        if (permute_role(n, i) == PERMUTE_DATA)
            RETURN_IF_FAIL(with_last(l, n, n->in[i], &data[i]));
    }
    last_order(n->out[0]->rank, order);
    return permute_node(n, order, data, out);
}

/* Node n with channels last, before n; its results are in l->last. */
static struct status *rebuild(struct layout *l, struct ir_node *n)
{
    struct ir_node *m;

    if (kind_of(n) == FOLLOWS) {
        for (int i = 0; i < n->n_in; i++) /* those of smaller rank, settings */
            if (n->in[i] && permute_role(n, i) != PERMUTE_DATA
                && was_rebuilt(l, n->in[i])) {
                struct ir_value *v;

                RETURN_IF_FAIL(with_first(l, n, n->in[i], &v));
                ir_set_input(n, i, v);
            }
        RETURN_IF_FAIL(rebuild_follower(l, n, &m));
    } else {
        RETURN_IF_FAIL(rebuild_window_op(l, n, &m));
    }
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i]) {
            l->last[n->out[i]->id] = m->out[i];
            remember_origin(m->out[i], n->out[i]);
        }
    return OK;
}

static bool is_chosen(const struct layout *l, const struct ir_node *n)
{
    return n->n_out && n->out[0] && l->chosen[n->out[0]->id] && kind_of(n) != VIEWS
           && kind_of(n) != FIXED;
}

static struct status *rebuild_all(struct layout *l)
{
    for (struct ir_node *n = l->graph->first, *next; n; n = next) {
        next = n->next;
        if (is_chosen(l, n)) {
            RETURN_IF_FAIL(rebuild(l, n));
            continue;
        }
        RETURN_IF_FAIL(feed(l, n));
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                RETURN_IF_FAIL(feed_body(l, n, n->body[b]));
    }
    for (int i = 0; i < l->graph->n_out; i++) {
        struct ir_value *v = l->graph->out[i], *again;

        if (!was_rebuilt(l, v))
            continue;
        RETURN_IF_FAIL(with_first(l, NULL, v, &again));
        ir_replace_uses(l->graph, v, again);
    }
    return OK;
}

static struct status *relayout(struct compile *c, struct ir_graph *g)
{
    struct layout l = {.compile = c, .graph = g, .n_values = c->n_values};

    l.cut = cut_create(c->scratch);
    l.variable = arena_new_array(c->scratch, int, l.n_values);
    l.chosen = arena_new_array(c->scratch, bool, l.n_values);
    l.last = arena_new_array(c->scratch, struct ir_value *, l.n_values);
    l.first = arena_new_array(c->scratch, struct ir_value *, l.n_values);
    choose(&l);
    RETURN_IF_FAIL(rebuild_all(&l));
    return pass_dead_code(c, g);
}

struct status *pass_channels_last(struct compile *c, struct ir_graph *g)
{
    RETURN_IF_FAIL(relayout(c, g));
    RETURN_IF_FAIL(pass_fold_views(c, g));
    RETURN_IF_FAIL(pass_fold_gemm_columns(c, g));
    RETURN_IF_FAIL(pass_fold_views(c, g));
    RETURN_IF_FAIL(pass_common_subexpressions(c, g));
    RETURN_IF_FAIL(pass_dead_code(c, g));
    return ir_verify(g);
}
