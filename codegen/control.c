/* SPDX-License-Identifier: Apache-2.0 */
/* If and Loop as steps with jumps (operands as frontend/control_flow.c has them).
 *
 *     If                              Loop
 *     branch cond -> else             round = 0; cond; state = carried
 *     ...then...                head: flag = round < trips && cond
 *     out = then's results            branch flag -> end
 *     jump end                        ...body...
 *     else: ...else...                rows of scanned outputs; round += 1
 *     out = else's results            state = body's results; cond
 *     end:                            jump head
 *                                end: (the results are the state)
 *
 * The small sums and copies are element chains like any other.
 */
#include <string.h>

#include "codegen/builder.h"

enum { LOOP_TRIPS, LOOP_COND, LOOP_CARRIED };
enum { BODY_ROUND, BODY_COND };
enum { MAX_CARRIED = 64 };

static void copy_value(struct builder *b, const struct ir_node *n,
                       const struct ir_value *from, int to)
{
    build_copy(b, n, build_tensor(b, from), to, from->dtype, ir_count(from));
}

/* to = op(x, y) on single elements. */
static void scalar_op(struct builder *b, const struct ir_node *n, const char *op, int x,
                      int y, int to)
{
    struct k_eltwise p = {.dim = {1, 1, 1, 1, 1, 1, 1, 1}};
    const struct kcall call = {.kernel = kernel_find(op), .params = &p, .n_units = 1};
    struct step *s = build_step(b, STEP_CHAIN, n);

    build_operand(s, x, 0, false);
    build_operand(s, y, 0, false);
    build_operand(s, to, 0, true);
    s->u.chain = chain_of_call(b->arena, &call);
    s->n_units = 1;
}

static int branch(struct builder *b, const struct ir_node *n, int flag)
{
    build_operand(build_step(b, STEP_BRANCH, n), flag, 0, false);
    return b->program->n_steps - 1;
}

static int jump(struct builder *b, const struct ir_node *n, int target)
{
    build_step(b, STEP_JUMP, n)->target = target;
    return b->program->n_steps - 1;
}

/* The step at `from` goes to what is built next. */
static void land(struct builder *b, int from)
{
    b->program->steps[from].target = b->program->n_steps;
}

/* ---- If ----------------------------------------------------------------- */

static struct status *build_arm(struct builder *b, const struct ir_node *n, int arm)
{
    const struct ir_graph *body = n->body[arm];

    RETURN_IF_FAIL(build_graph(b, body));
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        copy_value(b, n, body->out[i], build_tensor(b, n->out[i]));
        if (n->out[i]->dynamic)
            build_copy(b, n, build_dims(b, body->out[i]), build_dims(b, n->out[i]),
                       DT_i64, n->out[i]->rank);
    }
    return OK;
}

static struct status *build_if(struct builder *b, const struct ir_node *n)
{
    const int to_else = branch(b, n, build_tensor(b, n->in[0]));

    RETURN_IF_FAIL(build_arm(b, n, 0));
    const int to_end = jump(b, n, -1);

    land(b, to_else);
    RETURN_IF_FAIL(build_arm(b, n, 1));
    land(b, to_end);
    return OK;
}

/* ---- Loop --------------------------------------------------------------- */

struct loop {
    const struct ir_node *n;
    const struct ir_graph *body;
    int n_carried;
    int round, cond, one, zero, flag;
};

static int constant_i64(struct builder *b, int64_t value)
{
    int64_t *data = arena_new(b->arena, int64_t);

    *data = value;
    return build_const(b, "constant", data, sizeof *data, 0);
}

/* Actual dims of a scanned output start at 0 rows. */
static void start_dims(struct builder *b, const struct loop *l,
                       const struct ir_value *out)
{
    int64_t *dims = arena_new_array(b->arena, int64_t, out->rank);

    memcpy(dims, out->dim, sizeof *dims * (size_t)out->rank);
    dims[0] = 0;
    const int none =
        build_const(b, out->name, dims, (int64_t)sizeof *dims * out->rank, 0);

    build_copy(b, l->n, none, build_dims(b, out), DT_i64, out->rank);
}

static void start(struct builder *b, struct loop *l)
{
    static const uint8_t yes = 1;
    const struct ir_node *n = l->n;

    l->zero = constant_i64(b, 0);
    l->one = constant_i64(b, 1);
    l->round = build_tensor(b, l->body->in[BODY_ROUND]);
    l->cond = build_tensor(b, l->body->in[BODY_COND]);
    l->flag = build_temp(b, "flag", 1);
    build_copy(b, n, l->zero, l->round, DT_i64, 1);
    const int first = n->in[LOOP_COND] ? build_tensor(b, n->in[LOOP_COND])
                                       : build_const(b, "true", &yes, 1, 0);

    build_copy(b, n, first, l->cond, DT_bool, 1);
    for (int i = 0; i < l->n_carried; i++)
        copy_value(b, n, n->in[LOOP_CARRIED + i],
                   build_tensor(b, l->body->in[LOOP_CARRIED + i]));
    for (int i = l->n_carried; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dynamic)
            start_dims(b, l, n->out[i]);
}

static int test(struct builder *b, const struct loop *l)
{
    const struct ir_value *trips = l->n->in[LOOP_TRIPS];

    if (!trips)
        return branch(b, l->n, l->cond);
    scalar_op(b, l->n, "less_i64", l->round, build_tensor(b, trips), l->flag);
    scalar_op(b, l->n, "and_bool", l->flag, l->cond, l->flag);
    return branch(b, l->n, l->flag);
}

/* out[round] = row, by the kernel behind ScatterND. */
static void put_row(struct builder *b, const struct loop *l, const struct ir_value *row,
                    const struct ir_value *out)
{
    char kernel[32];
    struct kcall *call = arena_new(b->arena, struct kcall);
    const struct k_nd p = {
        .batch = 1,
        .tuples = 1,
        .depth = 1,
        .inner = ir_count(row),
        .batch_step = ir_count(out),
        .size = {out->dim[0]},
        .step = {ir_count(row)},
    };

    snprintf(kernel, sizeof kernel, "scatter_nd_none_%d", dtype_info[row->dtype].bytes);
    *call = (struct kcall){
        .kernel = kernel_find(kernel),
        .params = arena_copy(b->arena, &p, sizeof p),
        .n_units = 1,
        .serial = true,
    };
    const int from = build_tensor(b, row), to = build_tensor(b, out);
    struct step *s = build_step(b, STEP_LIBRARY, l->n);

    build_operand(s, l->round, 0, false);
    build_operand(s, from, 0, false);
    build_operand(s, to, 0, true);
    s->u.call = call;
}

/* Does the next state read what another state's update overwrites? */
static bool reads_other_state(struct builder *b, const struct loop *l, int i)
{
    const struct program *p = b->program;
    const int from = program_root(p, build_tensor(b, l->body->out[1 + i]), NULL);

    for (int k = 0; k < l->n_carried; k++)
        if (k != i
            && program_root(p, build_tensor(b, l->body->in[LOOP_CARRIED + k]), NULL)
                   == from)
            return true;
    return false;
}

/* All at once: what comes from another state is set aside first. */
static void update_state(struct builder *b, const struct loop *l)
{
    int from[MAX_CARRIED];

    for (int i = 0; i < l->n_carried; i++) {
        const struct ir_value *v = l->body->out[1 + i];

        from[i] = build_tensor(b, v);
        if (!reads_other_state(b, l, i))
            continue;
        const int aside = build_temp(b, v->name, ir_bytes(v));

        build_copy(b, l->n, from[i], aside, v->dtype, ir_count(v));
        from[i] = aside;
    }
    for (int i = 0; i < l->n_carried; i++) {
        const struct ir_value *v = l->body->out[1 + i];
        const int to = build_tensor(b, l->body->in[LOOP_CARRIED + i]);

        if (from[i] != to)
            build_copy(b, l->n, from[i], to, v->dtype, ir_count(v));
    }
    const int next = build_tensor(b, l->body->out[0]);

    if (next != l->cond)
        build_copy(b, l->n, next, l->cond, DT_bool, 1);
}

static void finish_round(struct builder *b, const struct loop *l)
{
    const struct ir_node *n = l->n;

    for (int i = l->n_carried; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dim[0] > 0)
            put_row(b, l, l->body->out[1 + i], n->out[i]);
    scalar_op(b, n, "add_i64", l->round, l->one, l->round);
    for (int i = l->n_carried; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dynamic)
            build_copy(b, n, l->round, build_dims(b, n->out[i]), DT_i64, 1);
    update_state(b, l);
}

static struct status *build_loop(struct builder *b, const struct ir_node *n)
{
    struct loop l = {.n = n, .body = n->body[0], .n_carried = n->n_in - LOOP_CARRIED};

    if (l.n_carried > MAX_CARRIED)
        return FAIL_AT(n, UNSUPPORTED, "carries more than %d values", MAX_CARRIED);
    start(b, &l);
    const int head = b->program->n_steps;
    const int out = test(b, &l);

    RETURN_IF_FAIL(build_graph(b, l.body));
    finish_round(b, &l);
    jump(b, n, head);
    land(b, out);
    for (int i = 0; i < l.n_carried; i++)
        if (n->out[i]) {
            const int state = build_tensor(b, l.body->in[LOOP_CARRIED + i]);

            build_alias(b, n->out[i], state, 0);
        }
    return OK;
}

struct status *build_control(struct builder *b, const struct ir_node *n)
{
    return n->op == OP_If ? build_if(b, n) : build_loop(b, n);
}
