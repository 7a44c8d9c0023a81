/* SPDX-License-Identifier: Apache-2.0 */
/* If, Loop and Scan.
 *
 * Where the course is known the nodes are spelled out: the branch of an If whose
 * condition is constant, the rounds of a loop whose number is constant, as long as
 * that makes at most MAX_UNROLLED nodes.  Otherwise the node stays, with bodies:
 *
 *   If     (cond) {then, else}           both bodies give outputs of equal type
 *   Loop   (trips, cond, carried...)     body (round, cond, carried...)
 *                                          -> cond, carried..., scanned...
 *
 * A Loop's scanned outputs are stacked along a new first axis.  A Scan that is too long
 * to be spelled out becomes a Loop whose body picks the slices of its inputs by the
 * round.
 */
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx_importer.h"
#include "frontend/onnx_unroll.h"

enum { MAX_UNROLLED = 2048, MAX_ROUNDS = 1024 };

static struct status *take_body(const struct site *at, const char *name,
                                const struct onnx_graph **out)
{
    const struct onnx_attr *a = site_attr(at, name);

    if (!a || !a->g)
        return FAIL_SITE(at, INVALID, "has no %s", name);
    *out = a->g;
    return OK;
}

static struct ir_value *const_bool(const struct site *at, bool value)
{
    const uint8_t byte = value;

    return ir_const(at->scope->im->c, NULL, DT_bool, 0, NULL, &byte);
}

static struct ir_value *const_i64(const struct site *at, int64_t value)
{
    return ir_const(at->scope->im->c, NULL, DT_i64, 0, NULL, &value);
}

static bool is_tensor(const struct ir_value *v)
{
    return v && !v->is_sequence && v != &onnx_nothing && v != &onnx_absent
        && v != &onnx_unknown;
}

/* ---- bodies that stay ---------------------------------------------------------------- */

/* A scope whose nodes go into a new graph inside the site's. */
static struct scope body_scope(const struct site *at, const char *name)
{
    struct importer *im = at->scope->im;
    struct ir_graph *g = ir_graph_create(im->c, name);

    g->outer = at->scope->g;
    return scope_create(im, at->scope, g, at->scope->prefix);
}

/* The nodes of a body that is given up: their uses of outer values end. */
static void drop_body(struct ir_graph *g)
{
    while (g->last)
        ir_remove(g->last);
}

/* A node with bodies could not be built.  Problems inside were noted one by one, and
 * what reads the node is not known then. */
static struct status *give_up(const struct site *at, int problems_before, struct status *s)
{
    if (at->scope->im->n_problems == problems_before)
        return s;
    status_free(s);
    for (int i = 0; i < site_n_out(at); i++)
        RETURN_IF_FAIL(site_define(at, i, &onnx_unknown));
    return OK;
}

/* ---- If -------------------------------------------------------------------------------- */

static struct status *inline_branch(const struct site *at, const struct onnx_graph *branch)
{
    struct ir_value **out =
        arena_new_array(at->scope->im->c->perm, struct ir_value *, branch->output.n);

    if (branch->output.n != site_n_out(at))
        return FAIL_SITE(at, INVALID, "has %d outputs, its branch %d", site_n_out(at),
                         branch->output.n);
    RETURN_IF_FAIL(unroll_body(at, branch, -1, 0, NULL, out));
    for (int i = 0; i < branch->output.n; i++)
        RETURN_IF_FAIL(site_define(at, i, out[i]));
    return OK;
}

/* Outputs that somebody reads, of the branch that goes into body b. */
static struct status *import_branch(const struct site *at, const char *name,
                                    struct ir_node *n, int b)
{
    struct scope inside = body_scope(at, name);
    const struct onnx_graph *branch;

    RETURN_IF_FAIL(take_body(at, name, &branch));
    if (branch->output.n != site_n_out(at) || branch->input.n)
        return FAIL_SITE(at, INVALID, "has %d outputs, its %s %d", site_n_out(at), name,
                         branch->output.n);
    n->body[b] = inside.g;

    struct ir_value **out =
        arena_new_array(at->scope->im->c->perm, struct ir_value *, branch->output.n);

    RETURN_IF_FAIL(status_note(import_body(&inside, branch, out),
                               "while reading the %s of %s", name, at->label));
    for (int i = 0; i < branch->output.n; i++) {
        if (!*site_out(at, i))
            continue;
        if (!is_tensor(out[i]))
            return FAIL_SITE(at, UNSUPPORTED,
                             "output %d is no tensor and the condition is not constant", i);
        ir_output(inside.g, out[i]);
    }
    return OK;
}

static struct status *define_outputs(const struct site *at, const struct ir_node *n)
{
    int k = 0;

    for (int i = 0; i < site_n_out(at); i++)
        if (*site_out(at, i))
            RETURN_IF_FAIL(site_define(at, i, n->out[k++]));
    return OK;
}

static struct ir_node *control_node(const struct site *at, enum ir_op op, int n_in,
                                    int n_out)
{
    struct ir_node *n = ir_node_create(at->scope->g, NULL, op, at->name, n_in, n_out);

    n->onnx_index = at->scope->im->top_index;
    return n;
}

static int count_read_outputs(const struct site *at)
{
    int count = 0;

    for (int i = 0; i < site_n_out(at); i++)
        count += *site_out(at, i) != '\0';
    return count;
}

static void name_outputs(const struct site *at, struct ir_node *n)
{
    int k = 0;

    for (int i = 0; i < site_n_out(at); i++)
        if (*site_out(at, i))
            ir_new_output(n, k++, arena_printf(at->scope->im->c->perm, "%s%s",
                                               at->scope->prefix, site_out(at, i)));
}

static struct status *build_if(const struct site *at, struct ir_node *n,
                               struct ir_value *cond)
{
    ir_set_input(n, 0, cond);
    RETURN_IF_FAIL(import_branch(at, "then_branch", n, 0));
    RETURN_IF_FAIL(import_branch(at, "else_branch", n, 1));
    name_outputs(at, n);
    return ir_infer(n);
}

struct status *import_If(const struct site *at)
{
    const struct onnx_graph *branch;
    struct ir_value *cond;
    double value;

    RETURN_IF_FAIL(site_in(at, 0, &cond));
    if (!is_tensor(cond) || cond->dtype != DT_bool || ir_count(cond) != 1)
        return FAIL_SITE(at, INVALID, "the condition is no single bool");
    if (ir_const_scalar(cond, &value)) {
        RETURN_IF_FAIL(take_body(at, value != 0 ? "then_branch" : "else_branch", &branch));
        return inline_branch(at, branch);
    }

    const int n_problems = at->scope->im->n_problems;
    struct ir_node *n = control_node(at, OP_If, 1, count_read_outputs(at));
    struct status *s = build_if(at, n, cond);

    if (s) {
        ir_remove(n);
        return give_up(at, n_problems, s);
    }
    return define_outputs(at, n);
}

/* ---- Loop: what is known about it --------------------------------------------------------- */

struct loop {
    const struct onnx_graph *body;
    struct ir_value *trips, *cond; /* NULL where left out */
    int64_t n_trips;               /* -1: not constant, or no limit */
    int n_carried, n_scanned;
    struct ir_value **carried;     /* [n_carried] */
    struct ir_value ***rows;       /* [n_scanned][rounds] */
};

static struct status *read_loop(const struct site *at, struct loop *l)
{
    struct arena *a = at->scope->im->c->perm;
    double trips;

    RETURN_IF_FAIL(take_body(at, "body", &l->body));
    RETURN_IF_FAIL(site_in(at, 0, &l->trips));
    RETURN_IF_FAIL(site_in(at, 1, &l->cond));
    if (l->trips && (l->trips->dtype != DT_i64 || ir_count(l->trips) != 1))
        return FAIL_SITE(at, INVALID, "the trip count is no single i64");
    if (l->cond && (l->cond->dtype != DT_bool || ir_count(l->cond) != 1))
        return FAIL_SITE(at, INVALID, "the condition is no single bool");
    l->n_trips = -1;
    if (l->trips && ir_const_scalar(l->trips, &trips))
        l->n_trips = trips < 0 ? 0 : trips > 1e15 ? (int64_t)1e15 : (int64_t)trips;
    l->n_carried = site_n_in(at) > 2 ? site_n_in(at) - 2 : 0;
    l->n_scanned = l->body->output.n - 1 - l->n_carried;
    if (l->body->input.n != 2 + l->n_carried || l->n_scanned < 0
        || site_n_out(at) > l->n_carried + l->n_scanned)
        return FAIL_SITE(at, INVALID, "the body has %d inputs and %d outputs",
                         l->body->input.n, l->body->output.n);
    l->carried = arena_new_array(a, struct ir_value *, l->n_carried);
    for (int i = 0; i < l->n_carried; i++) {
        RETURN_IF_FAIL(site_in(at, 2 + i, &l->carried[i]));
        if (!l->carried[i])
            return FAIL_SITE(at, INVALID, "input %d is left out", 2 + i);
    }
    return OK;
}

/* ---- Loop: spelled out ----------------------------------------------------------------------- */

/* One round; *goes_on is what the body says, *known whether that is constant. */
static struct status *unroll_round(const struct site *at, struct loop *l, int round,
                                   bool *goes_on, bool *known)
{
    struct arena *a = at->scope->im->c->perm;
    struct ir_value **in = arena_new_array(a, struct ir_value *, 2 + l->n_carried);
    struct ir_value **out = arena_new_array(a, struct ir_value *, l->body->output.n);
    double value;

    in[0] = const_i64(at, round);
    in[1] = const_bool(at, true);
    memcpy(in + 2, l->carried, (size_t)l->n_carried * sizeof *in);
    RETURN_IF_FAIL(unroll_body(at, l->body, round, 2 + l->n_carried, in, out));
    *known = is_tensor(out[0]) && ir_const_scalar(out[0], &value);
    if (!*known)
        return OK;
    *goes_on = value != 0;
    memcpy(l->carried, out + 1, (size_t)l->n_carried * sizeof *out);
    for (int k = 0; k < l->n_scanned; k++)
        l->rows[k][round] = out[1 + l->n_carried + k];
    return OK;
}

/* What a scanned output of no rounds looks like: the body once, for its types. */
static struct status *empty_scan(const struct site *at, const struct loop *l, int k,
                                 struct ir_value **out)
{
    struct scope inside = body_scope(at, "probe");
    struct site probe = *at;
    struct scope aside = *at->scope;
    struct arena *a = at->scope->im->c->perm;
    struct ir_value **in = arena_new_array(a, struct ir_value *, 2 + l->n_carried);
    struct ir_value **results = arena_new_array(a, struct ir_value *, l->body->output.n);

    in[0] = const_i64(at, 0);
    in[1] = const_bool(at, true);
    memcpy(in + 2, l->carried, (size_t)l->n_carried * sizeof *in);
    aside.g = inside.g;
    probe.scope = &aside;

    struct status *s = unroll_body(&probe, l->body, 0, 2 + l->n_carried, in, results);
    const struct ir_value *v = s ? NULL : results[1 + l->n_carried + k];
    int64_t dim[IR_MAX_RANK] = {0};

    if (!s && (!is_tensor(v) || v->rank == IR_MAX_RANK))
        s = FAIL_SITE(at, UNSUPPORTED, "scanned output %d is no tensor", k);
    if (!s) {
        memcpy(dim + 1, v->dim, (size_t)v->rank * sizeof *dim);
        *out = ir_const(at->scope->im->c, NULL, v->dtype, v->rank + 1, dim, "");
    }
    drop_body(inside.g);
    return s;
}

static struct status *define_unrolled(const struct site *at, const struct loop *l,
                                      int rounds)
{
    for (int i = 0; i < l->n_carried; i++)
        RETURN_IF_FAIL(site_define(at, i, l->carried[i]));
    for (int k = 0; k < l->n_scanned; k++) {
        struct ir_value *v;

        if (!*site_out(at, l->n_carried + k))
            continue;
        for (int i = 0; i < rounds; i++)
            if (!is_tensor(l->rows[k][i]))
                return FAIL_SITE(at, UNSUPPORTED, "scanned output %d is no tensor", k);
        if (rounds)
            RETURN_IF_FAIL(unroll_stack(at, rounds, l->rows[k], &v));
        else
            RETURN_IF_FAIL(empty_scan(at, l, k, &v));
        RETURN_IF_FAIL(site_define(at, l->n_carried + k, v));
    }
    return OK;
}

static bool worth_unrolling(const struct loop *l)
{
    const int64_t n_nodes = unroll_count_nodes(l->body) + 1;
    double value = 1;

    if (l->cond && !ir_const_scalar(l->cond, &value))
        return false;
    if (l->trips && l->n_trips < 0)
        return false;
    return value == 0 || l->n_trips < 0
        || (l->n_trips <= MAX_ROUNDS && l->n_trips <= MAX_UNROLLED / n_nodes);
}

/* *done is false when the loop does not turn out to be one of known length. */
static struct status *unroll_loop(const struct site *at, struct loop *l, bool *done)
{
    struct arena *a = at->scope->im->c->perm;
    const int64_t n_nodes = unroll_count_nodes(l->body) + 1;
    const int64_t limit = l->n_trips >= 0 ? l->n_trips
                        : MAX_ROUNDS < MAX_UNROLLED / n_nodes ? MAX_ROUNDS
                                                              : MAX_UNROLLED / n_nodes;
    bool goes_on = true, known = true;
    double value;
    int round = 0;

    l->rows = arena_new_array(a, struct ir_value **, l->n_scanned);
    for (int k = 0; k < l->n_scanned; k++)
        l->rows[k] = arena_new_array(a, struct ir_value *, limit);
    if (l->cond && ir_const_scalar(l->cond, &value))
        goes_on = value != 0;
    while (goes_on && known && round < limit)
        RETURN_IF_FAIL(unroll_round(at, l, round++, &goes_on, &known));
    *done = known && (!goes_on || l->n_trips >= 0);
    return *done ? define_unrolled(at, l, round) : OK;
}

/* ---- Loop: kept ------------------------------------------------------------------------------- */

/* What goes round in a kept loop is a tensor in memory: constants too, under a name of
 * their own. */
static struct status *build_loop_body(const struct site *at, const struct loop *l,
                                      struct ir_node *n)
{
    struct scope inside = body_scope(at, "body");
    struct arena *a = at->scope->im->c->perm;
    struct ir_value **out = arena_new_array(a, struct ir_value *, l->body->output.n);

    n->body[0] = inside.g;
    for (int i = 0; i < l->body->input.n; i++) {
        const struct onnx_value_info *info = l->body->input.at[i];
        const char *name = info->name ? info->name : "";
        const struct ir_value *like = i < 2 ? NULL : l->carried[i - 2];
        struct ir_value *v;

        if (!*name)
            return FAIL_SITE(at, INVALID, "input %d of the body has no name", i);
        if (like && (!is_tensor(like) || like->dynamic))
            return FAIL_SITE(at, UNSUPPORTED,
                             "'%s' is a sequence or of unknown size, and the number of "
                             "rounds is not known", name);
        v = ir_input(inside.g, arena_printf(a, "%s%s", at->scope->prefix, name),
                     like     ? like->dtype
                     : i == 0 ? DT_i64
                              : DT_bool,
                     like ? like->rank : 0, like ? like->dim : NULL);
        RETURN_IF_FAIL(scope_define(&inside, name, v));
    }
    RETURN_IF_FAIL(status_note(import_body(&inside, l->body, out),
                               "while reading the body of %s", at->label));
    for (int i = 0; i < l->body->output.n; i++) {
        const int k = i - 1 - l->n_carried;

        if (!is_tensor(out[i]) || out[i]->dynamic)
            return FAIL_SITE(at, UNSUPPORTED, "output %d of the body is no tensor of fixed "
                             "size", i);
        if (k < 0 || *site_out(at, l->n_carried + k))
            ir_output(inside.g, out[i]);
    }
    return OK;
}

static struct status *build_loop(const struct site *at, const struct loop *l,
                                 struct ir_node *n)
{
    int k = 0;

    ir_set_input(n, 0, l->trips);
    ir_set_input(n, 1, l->cond);
    for (int i = 0; i < l->n_carried; i++)
        ir_set_input(n, 2 + i, l->carried[i]);
    RETURN_IF_FAIL(build_loop_body(at, l, n));
    for (int i = 0; i < l->n_carried + l->n_scanned; i++) {
        const char *name = site_out(at, i);

        if (*name)
            ir_new_output(n, k++, arena_printf(at->scope->im->c->perm, "%s%s",
                                               at->scope->prefix, name));
        else if (i < l->n_carried)
            ir_new_output(n, k++, NULL);
    }
    return ir_infer(n);
}

static struct status *define_loop(const struct site *at, const struct loop *l,
                                  const struct ir_node *n)
{
    int k = 0;

    for (int i = 0; i < l->n_carried + l->n_scanned; i++) {
        const bool read = *site_out(at, i) != '\0';

        if (read)
            RETURN_IF_FAIL(site_define(at, i, n->out[k]));
        k += read || i < l->n_carried;
    }
    return OK;
}

static struct status *keep_loop(const struct site *at, const struct loop *l)
{
    const int n_problems = at->scope->im->n_problems;
    int n_out = l->n_carried;

    for (int k = 0; k < l->n_scanned; k++)
        n_out += *site_out(at, l->n_carried + k) != '\0';

    struct ir_node *n = control_node(at, OP_Loop, 2 + l->n_carried, n_out);
    struct status *s = build_loop(at, l, n);

    if (!s)
        return define_loop(at, l, n);
    ir_remove(n);
    return give_up(at, n_problems, s);
}

struct status *import_Loop(const struct site *at)
{
    struct ir_graph *g = at->scope->g;
    struct ir_node *mark = g->last;
    struct loop l = {0}, again;
    bool done = false;

    RETURN_IF_FAIL(read_loop(at, &l));
    if (worth_unrolling(&l)) {
        again = l;
        again.carried = arena_copy(g->compile->perm, l.carried,
                                   (size_t)l.n_carried * sizeof *l.carried);

        struct status *s = unroll_loop(at, &again, &done);

        if (done)
            return s;
        while (g->last != mark)
            ir_remove(g->last);
        if (s)
            return s;
    }
    return keep_loop(at, &l);
}

/* ---- Scan ---------------------------------------------------------------------------------------- */

struct scan {
    const struct onnx_graph *body;
    int n_state, n_in, n_out;    /* states, scanned inputs, scanned outputs */
    struct ir_value **state;     /* [n_state] */
    struct ir_value **in;        /* [n_in] */
    struct ir_value **result;    /* [n_out]: scanned outputs */
    int64_t length;
};

/* Entry i of a list attribute, 0 when it is left out. */
static int64_t list_attr(const struct site *at, const char *name, int i)
{
    const struct onnx_attr *a = site_attr(at, name);

    return a && i < a->ints.n ? a->ints.at[i] : 0;
}

static struct status *scan_rounds(const struct site *at, struct scan *s, int first_round,
                                  struct ir_value ***rows)
{
    struct arena *a = at->scope->im->c->perm;
    const int n_in = s->n_state + s->n_in;
    struct ir_value **in = arena_new_array(a, struct ir_value *, n_in);
    struct ir_value **out = arena_new_array(a, struct ir_value *, s->body->output.n);

    for (int round = 0; round < (int)s->length; round++) {
        memcpy(in, s->state, (size_t)s->n_state * sizeof *in);
        for (int k = 0; k < s->n_in; k++) {
            const bool backward = list_attr(at, at->opset < 9 ? "directions"
                                                              : "scan_input_directions", k);
            const int64_t i = backward ? s->length - 1 - round : round;
            struct ir_value *slice;
            int axis;

            RETURN_IF_FAIL(unroll_axis(at, at->opset < 9
                                               ? 0
                                               : list_attr(at, "scan_input_axes", k),
                                       s->in[k]->rank, &axis));
            RETURN_IF_FAIL(unroll_slice(at, s->in[k], axis, i, 1, &slice));
            RETURN_IF_FAIL(unroll_drop_axis(at, slice, axis, &in[s->n_state + k]));
        }
        RETURN_IF_FAIL(unroll_body(at, s->body, first_round + round, n_in, in, out));
        memcpy(s->state, out, (size_t)s->n_state * sizeof *out);
        for (int k = 0; k < s->n_out; k++) {
            const bool backward = at->opset >= 9
                               && list_attr(at, "scan_output_directions", k);

            rows[k][backward ? s->length - 1 - round : round] = out[s->n_state + k];
        }
    }
    return OK;
}

static struct status *join_rows(const struct site *at, const struct scan *s, int k,
                                struct ir_value **rows, struct ir_value **out)
{
    int axis;

    if (!is_tensor(rows[0]))
        return FAIL_SITE(at, UNSUPPORTED, "scanned output %d is no tensor", k);
    RETURN_IF_FAIL(unroll_axis(at, at->opset < 9 ? 0 : list_attr(at, "scan_output_axes", k),
                               rows[0]->rank + 1, &axis));
    for (int64_t i = 0; i < s->length; i++) {
        if (!is_tensor(rows[i]))
            return FAIL_SITE(at, UNSUPPORTED, "scanned output %d is no tensor", k);
        RETURN_IF_FAIL(unroll_add_axis(at, rows[i], axis, &rows[i]));
    }
    return unroll_concat(at, (int)s->length, rows, axis, out);
}

static struct status *run_scan(const struct site *at, struct scan *s, int first_round)
{
    struct arena *a = at->scope->im->c->perm;
    struct ir_value ***rows = arena_new_array(a, struct ir_value **, s->n_out);

    for (int k = 0; k < s->n_out; k++)
        rows[k] = arena_new_array(a, struct ir_value *, s->length);
    RETURN_IF_FAIL(scan_rounds(at, s, first_round, rows));
    s->result = arena_new_array(a, struct ir_value *, s->n_out);
    for (int k = 0; k < s->n_out; k++)
        RETURN_IF_FAIL(join_rows(at, s, k, rows[k], &s->result[k]));
    return OK;
}

static struct status *read_scan(const struct site *at, int first, struct scan *s)
{
    struct arena *a = at->scope->im->c->perm;
    const int n = site_n_in(at) - first;

    RETURN_IF_FAIL(take_body(at, "body", &s->body));

    const int64_t n_in = site_attr_int(at, "num_scan_inputs", 0);

    if (n_in < 1 || n_in > n || s->body->input.n != n || s->body->output.n < n - n_in)
        return FAIL_SITE(at, INVALID, "the body has %d inputs and %d outputs",
                         s->body->input.n, s->body->output.n);
    s->n_in = (int)n_in;
    s->n_state = n - s->n_in;
    s->n_out = s->body->output.n - s->n_state;
    s->state = arena_new_array(a, struct ir_value *, s->n_state);
    s->in = arena_new_array(a, struct ir_value *, s->n_in);
    for (int i = 0; i < n; i++) {
        struct ir_value *v;

        RETURN_IF_FAIL(site_in(at, first + i, &v));
        if (!is_tensor(v) || v->dynamic)
            return FAIL_SITE(at, UNSUPPORTED, "input %d is no tensor of fixed size",
                             first + i);
        *(i < s->n_state ? &s->state[i] : &s->in[i - s->n_state]) = v;
    }
    return OK;
}

static struct status *scan_length(const struct site *at, struct scan *s, int axis_offset)
{
    s->length = -1;
    for (int k = 0; k < s->n_in; k++) {
        const struct ir_value *v = s->in[k];
        int axis;

        RETURN_IF_FAIL(unroll_axis(at, axis_offset ? axis_offset
                                                   : list_attr(at, "scan_input_axes", k),
                                   v->rank, &axis));
        if (s->length >= 0 && v->dim[axis] != s->length)
            return FAIL_SITE(at, INVALID, "scanned inputs have different lengths");
        s->length = v->dim[axis];
    }
    if (s->length < 1)
        return FAIL_SITE(at, UNSUPPORTED, "scans nothing");
    return OK;
}

static bool scan_is_short(const struct scan *s, int64_t times)
{
    const int64_t n_nodes = unroll_count_nodes(s->body) + 2 * s->n_in + s->n_out;

    return s->length <= MAX_ROUNDS && times <= MAX_ROUNDS
        && s->length * times <= MAX_UNROLLED / (n_nodes + 1);
}

/* ---- Scan: kept as a Loop ------------------------------------------------------------------- */

/* Slice number `round` of scanned input k, counted from the end where it runs back. */
static struct status *slice_at_round(const struct site *inside, const struct scan *s, int k,
                                     struct ir_value *round, struct ir_value **out)
{
    struct ir_value *index = round;
    int axis;

    if (list_attr(inside, "scan_input_directions", k))
        RETURN_IF_FAIL(unroll_emit(
            inside, "Sub", 2, (struct ir_value *[]){const_i64(inside, s->length - 1), round},
            NULL, &index));
    RETURN_IF_FAIL(unroll_axis(inside, list_attr(inside, "scan_input_axes", k),
                               s->in[k]->rank, &axis));
    return unroll_emit(inside, "Gather", 2, (struct ir_value *[]){s->in[k], index},
                       arena_printf(inside->scope->im->c->perm, "axis=%d", axis), out);
}

static struct status *build_scan_body(const struct site *at, const struct scan *s,
                                      struct ir_node *n)
{
    struct arena *a = at->scope->im->c->perm;
    struct scope aside = body_scope(at, "body");
    struct site inside = *at;
    struct ir_graph *g = aside.g;
    struct ir_value **in = arena_new_array(a, struct ir_value *, s->n_state + s->n_in);
    struct ir_value **out = arena_new_array(a, struct ir_value *, s->body->output.n);

    n->body[0] = g;
    inside.scope = &aside;

    struct ir_value *round = ir_input(g, NULL, DT_i64, 0, NULL);
    struct ir_value *go = ir_input(g, NULL, DT_bool, 0, NULL);

    for (int i = 0; i < s->n_state; i++)
        in[i] = ir_input(g, NULL, s->state[i]->dtype, s->state[i]->rank, s->state[i]->dim);
    for (int k = 0; k < s->n_in; k++)
        RETURN_IF_FAIL(slice_at_round(&inside, s, k, round, &in[s->n_state + k]));
    RETURN_IF_FAIL(unroll_body(&inside, s->body, -1, s->n_state + s->n_in, in, out));
    ir_output(g, go);
    for (int i = 0; i < s->body->output.n; i++) {
        if (!is_tensor(out[i]) || out[i]->dynamic)
            return FAIL_SITE(at, UNSUPPORTED, "output %d of the body is no tensor of fixed "
                             "size", i);
        ir_output(g, out[i]);
    }
    return OK;
}

/* The stack has its rows along axis 0, in the order of the rounds. */
static struct status *arrange_stack(const struct site *at, const struct scan *s, int k,
                                    struct ir_value *stack, struct ir_value **out)
{
    struct compile *c = at->scope->im->c;
    int64_t perm[IR_MAX_RANK];
    struct text attr = {0};
    int axis;

    *out = stack;
    if (list_attr(at, "scan_output_directions", k)) {
        const int64_t last = -1, before_first = -s->length - 1, first_axis = 0, step = -1;
        struct ir_value *in[5] = {stack, ir_const_i64s(c, 1, &last),
                                  ir_const_i64s(c, 1, &before_first),
                                  ir_const_i64s(c, 1, &first_axis),
                                  ir_const_i64s(c, 1, &step)};

        RETURN_IF_FAIL(unroll_emit(at, "Slice", 5, in, NULL, out));
    }
    RETURN_IF_FAIL(unroll_axis(at, list_attr(at, "scan_output_axes", k), stack->rank,
                               &axis));
    if (!axis)
        return OK;
    for (int i = 0; i < stack->rank; i++)
        perm[i] = i == axis ? 0 : i < axis ? i + 1 : i;
    text_puts(&attr, "perm=[");
    for (int i = 0; i < stack->rank; i++)
        text_printf(&attr, "%s%d", i ? "," : "", (int)perm[i]);
    text_puts(&attr, "]");

    struct status *failure = unroll_emit(at, "Transpose", 1, out, attr.bytes, out);

    text_free(&attr);
    return failure;
}

static struct status *build_scan(const struct site *at, const struct scan *s,
                                 struct ir_node *n)
{
    ir_set_input(n, 0, const_i64(at, s->length));
    for (int i = 0; i < s->n_state; i++)
        ir_set_input(n, 2 + i, s->state[i]);
    RETURN_IF_FAIL(build_scan_body(at, s, n));
    for (int i = 0; i < n->n_out; i++)
        ir_new_output(n, i, NULL);
    return ir_infer(n);
}

static struct status *keep_scan(const struct site *at, const struct scan *s)
{
    const int n_problems = at->scope->im->n_problems;
    const int n_out = s->n_state + s->n_out;
    struct ir_node *n = control_node(at, OP_Loop, 2 + s->n_state, n_out);
    struct status *failure = build_scan(at, s, n);

    if (failure) {
        ir_remove(n);
        return give_up(at, n_problems, failure);
    }
    for (int i = 0; i < n_out && i < site_n_out(at); i++) {
        struct ir_value *v = n->out[i];

        if (i >= s->n_state)
            RETURN_IF_FAIL(arrange_stack(at, s, i - s->n_state, v, &v));
        RETURN_IF_FAIL(site_define(at, i, v));
    }
    return OK;
}

/* Opset 8: a batch of scans, each over axis 1, one state each. */
static struct status *import_batched_scan(const struct site *at)
{
    struct arena *a = at->scope->im->c->perm;
    struct scan all = {0};
    struct ir_value *lengths;

    RETURN_IF_FAIL(site_in(at, 0, &lengths));
    if (lengths)
        return FAIL_SITE(at, UNSUPPORTED, "sequences of different lengths");
    RETURN_IF_FAIL(read_scan(at, 1, &all));
    RETURN_IF_FAIL(scan_length(at, &all, 1));

    const int64_t batch = all.in[0]->dim[0];
    const int n_out = all.n_state + all.n_out;
    struct ir_value ***rows = arena_new_array(a, struct ir_value **, n_out);

    if (batch < 1)
        return FAIL_SITE(at, UNSUPPORTED, "scans an empty batch");
    if (!scan_is_short(&all, batch))
        return FAIL_SITE(at, UNSUPPORTED,
                         "a batch of %" PRId64 " scans of length %" PRId64
                         " is too long to be spelled out", batch, all.length);
    for (int k = 0; k < n_out; k++)
        rows[k] = arena_new_array(a, struct ir_value *, batch);
    for (int64_t b = 0; b < batch; b++) {
        struct scan one = all;

        one.state = arena_new_array(a, struct ir_value *, all.n_state);
        one.in = arena_new_array(a, struct ir_value *, all.n_in);
        for (int k = 0; k < all.n_state + all.n_in; k++) {
            struct ir_value *v = k < all.n_state ? all.state[k] : all.in[k - all.n_state];

            if (!v->rank || v->dim[0] != batch)
                return FAIL_SITE(at, INVALID, "inputs have different batch sizes");
            RETURN_IF_FAIL(unroll_slice(at, v, 0, b, 1, &v));
            RETURN_IF_FAIL(unroll_drop_axis(at, v, 0, &v));
            *(k < all.n_state ? &one.state[k] : &one.in[k - all.n_state]) = v;
        }
        RETURN_IF_FAIL(run_scan(at, &one, (int)(b * all.length)));
        for (int k = 0; k < n_out; k++)
            rows[k][b] = k < all.n_state ? one.state[k] : one.result[k - all.n_state];
    }
    for (int k = 0; k < n_out && k < site_n_out(at); k++) {
        struct ir_value *v;

        RETURN_IF_FAIL(unroll_stack(at, (int)batch, rows[k], &v));
        RETURN_IF_FAIL(site_define(at, k, v));
    }
    return OK;
}

struct status *import_Scan(const struct site *at)
{
    struct scan s = {0};

    if (at->opset < 9)
        return import_batched_scan(at);
    RETURN_IF_FAIL(read_scan(at, 0, &s));
    RETURN_IF_FAIL(scan_length(at, &s, 0));
    if (!scan_is_short(&s, 1))
        return keep_scan(at, &s);
    RETURN_IF_FAIL(run_scan(at, &s, 0));
    for (int i = 0; i < s.n_state + s.n_out && i < site_n_out(at); i++)
        RETURN_IF_FAIL(site_define(at, i, i < s.n_state ? s.state[i]
                                                        : s.result[i - s.n_state]));
    return OK;
}
