/* SPDX-License-Identifier: Apache-2.0 */
/* If and Loop as they stand in the graph: types and interpretation.  ir.h states
 * what their operands and bodies are. */
#include <string.h>

#include "frontend/interpret.h"

enum { LOOP_TRIPS, LOOP_COND, LOOP_CARRIED };

static void copy_type(struct ir_value *to, const struct ir_value *from)
{
    to->dtype = from->dtype;
    to->rank = from->rank;
    memcpy(to->dim, from->dim, sizeof to->dim);
    to->dynamic = from->dynamic;
}

static bool same_type(const struct ir_value *a, const struct ir_value *b)
{
    return a->dtype == b->dtype && a->dynamic == b->dynamic && ir_same_shape(a, b);
}

static bool is_single(const struct ir_value *v, enum dtype dtype)
{
    return v->dtype == dtype && !v->dynamic && ir_count(v) == 1;
}

/* ---- types ---------------------------------------------------------------------- */

struct status *shape_If(struct ir_node *n)
{
    const struct ir_graph *yes = n->body[0], *no = n->body[1];

    if (!yes || !no)
        return FAIL_AT(n, INVALID, "has not two bodies");
    if (!is_single(n->in[0], DT_bool))
        return FAIL_AT(n, INVALID, "the condition is no single bool");
    if (yes->n_out != n->n_out || no->n_out != n->n_out || yes->n_in || no->n_in)
        return FAIL_AT(n, INVALID, "has %d outputs, its bodies %d and %d", n->n_out,
                       yes->n_out, no->n_out);
    for (int i = 0; i < n->n_out; i++) {
        if (!same_type(yes->out[i], no->out[i]))
            return FAIL_AT(n, UNSUPPORTED,
                           "output %d has another shape or type in each branch, and the "
                           "condition is not constant", i);
        if (n->out[i])
            copy_type(n->out[i], yes->out[i]);
    }
    return OK;
}

/* The condition after a round is the one before it, or constantly true. */
static bool never_breaks(const struct ir_node *n)
{
    const struct ir_graph *body = n->body[0];
    double value;
    const bool starts = !n->in[LOOP_COND]
                     || (ir_const_scalar(n->in[LOOP_COND], &value) && value != 0);

    return starts
        && (body->out[0] == body->in[1]
            || (ir_const_scalar(body->out[0], &value) && value != 0));
}

static struct status *shape_scanned(struct ir_node *n, const struct ir_value *row,
                                    struct ir_value *out)
{
    double trips;

    if (!out)
        return OK;
    if (!n->in[LOOP_TRIPS] || !ir_const_scalar(n->in[LOOP_TRIPS], &trips))
        return FAIL_AT(n, UNSUPPORTED,
                       "collects a result of every round: its trip count, input '%s', must "
                       "be known when compiling (--freeze sets it)",
                       n->in[LOOP_TRIPS] ? n->in[LOOP_TRIPS]->name : "");
    if (row->rank == IR_MAX_RANK || row->dynamic)
        return FAIL_AT(n, UNSUPPORTED, "'%s' is of too many dimensions or unknown size",
                       row->name);
    out->dtype = row->dtype;
    out->rank = row->rank + 1;
    out->dim[0] = trips < 0 ? 0 : trips > 1e15 ? (int64_t)1e15 : (int64_t)trips;
    memcpy(out->dim + 1, row->dim, (size_t)row->rank * sizeof out->dim[0]);
    out->dynamic = !never_breaks(n);
    return OK;
}

static struct status *check_loop(const struct ir_node *n)
{
    const struct ir_graph *body = n->body[0];
    const int n_carried = n->n_in - LOOP_CARRIED;

    if (!body || n->n_in < LOOP_CARRIED)
        return FAIL_AT(n, INVALID, "has no body");
    if (body->n_in != n->n_in || body->n_out != n->n_out + 1 || n->n_out < n_carried)
        return FAIL_AT(n, INVALID, "the body has %d inputs and %d outputs", body->n_in,
                       body->n_out);
    if (n->in[LOOP_TRIPS] && !is_single(n->in[LOOP_TRIPS], DT_i64))
        return FAIL_AT(n, INVALID, "the trip count is no single i64");
    if (n->in[LOOP_COND] && !is_single(n->in[LOOP_COND], DT_bool))
        return FAIL_AT(n, INVALID, "the condition is no single bool");
    if (!is_single(body->in[0], DT_i64) || !is_single(body->in[1], DT_bool)
        || !is_single(body->out[0], DT_bool))
        return FAIL_AT(n, INVALID, "round or condition of the body has a wrong type");
    for (int i = 0; i < n_carried; i++) {
        const struct ir_value *v = n->in[LOOP_CARRIED + i];

        if (!v || v->dynamic)
            return FAIL_AT(n, UNSUPPORTED, "carries a value of unknown size");
        if (!same_type(v, body->in[LOOP_CARRIED + i]) || !same_type(v, body->out[1 + i]))
            return FAIL_AT(n, UNSUPPORTED,
                           "'%s' changes its shape or type from round to round, and the "
                           "number of rounds is not known", v->name);
    }
    return OK;
}

struct status *shape_Loop(struct ir_node *n)
{
    const int n_carried = n->n_in - LOOP_CARRIED;

    RETURN_IF_FAIL(check_loop(n));
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *inner = n->body[0]->out[1 + i];

        if (i >= n_carried)
            RETURN_IF_FAIL(shape_scanned(n, inner, n->out[i]));
        else if (n->out[i])
            copy_type(n->out[i], inner);
    }
    return OK;
}

/* ---- interpretation -------------------------------------------------------------- */

static struct status *interpret_if(struct arena *a, const struct ir_node *n,
                                   struct interpretation *io)
{
    const uint8_t cond = *(const uint8_t *)interpret_value(a, n->in[0], io)->data;
    const struct ir_graph *body = n->body[cond ? 0 : 1];

    RETURN_IF_FAIL(interpret_nodes(a, body, io));
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            io->by_id[n->out[i]->id] = *interpret_value(a, body->out[i], io);
    return OK;
}

static void set_scalar(struct arena *a, const struct ir_value *v, const void *bytes,
                       struct interpretation *io)
{
    const size_t n_bytes = (size_t)ir_bytes(v);

    io->by_id[v->id].data = NULL;
    memcpy(interpret_value(a, v, io)->data, bytes, n_bytes);
}

/* Row `round` of a scanned output. */
static void put_row(struct arena *a, const struct ir_value *to, const struct tensor *row,
                    const struct ir_value *row_value, int64_t round,
                    struct interpretation *io)
{
    struct tensor *t = interpret_value(a, to, io);
    const size_t n_bytes = (size_t)ir_bytes(row_value);

    if (round < to->dim[0])
        memcpy((char *)t->data + (size_t)round * n_bytes, row->data, n_bytes);
    t->dim[0] = round + 1 < to->dim[0] ? round + 1 : to->dim[0];
}

static struct status *run_round(struct arena *a, const struct ir_node *n, int64_t round,
                                struct tensor *carried, uint8_t *cond,
                                struct interpretation *io)
{
    const struct ir_graph *body = n->body[0];
    const int n_carried = n->n_in - LOOP_CARRIED;

    set_scalar(a, body->in[0], &round, io);
    set_scalar(a, body->in[1], cond, io);
    for (int i = 0; i < n_carried; i++)
        io->by_id[body->in[LOOP_CARRIED + i]->id] = carried[i];
    RETURN_IF_FAIL(interpret_nodes(a, body, io));
    *cond = *(const uint8_t *)interpret_value(a, body->out[0], io)->data;
    for (int i = 0; i < n->n_out; i++) {
        const struct tensor *t = interpret_value(a, body->out[1 + i], io);

        if (i < n_carried)
            carried[i] = *t;
        else if (n->out[i])
            put_row(a, n->out[i], t, body->out[1 + i], round, io);
    }
    return OK;
}

static struct status *interpret_loop(struct arena *a, const struct ir_node *n,
                                     struct interpretation *io)
{
    const int n_carried = n->n_in - LOOP_CARRIED;
    struct tensor *carried = arena_new_array(a, struct tensor, n_carried);
    int64_t trips = INT64_MAX;
    uint8_t cond = 1;

    if (n->in[LOOP_TRIPS])
        trips = *(const int64_t *)interpret_value(a, n->in[LOOP_TRIPS], io)->data;
    if (n->in[LOOP_COND])
        cond = *(const uint8_t *)interpret_value(a, n->in[LOOP_COND], io)->data;
    for (int i = 0; i < n_carried; i++)
        carried[i] = *interpret_value(a, n->in[LOOP_CARRIED + i], io);
    for (int i = n_carried; i < n->n_out; i++)
        if (n->out[i]) {
            io->by_id[n->out[i]->id].data = NULL;
            interpret_value(a, n->out[i], io)->dim[0] = 0;
        }
    for (int64_t round = 0; round < trips && cond; round++)
        RETURN_IF_FAIL(run_round(a, n, round, carried, &cond, io));
    for (int i = 0; i < n_carried; i++)
        if (n->out[i])
            io->by_id[n->out[i]->id] = carried[i];
    return OK;
}

struct status *interpret_control_node(struct arena *a, const struct ir_node *n,
                                      struct interpretation *io)
{
    return n->op == OP_If ? interpret_if(a, n, io) : interpret_loop(a, n, io);
}
