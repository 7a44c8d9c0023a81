/* SPDX-License-Identifier: Apache-2.0 */
/* Graph -> program: which step computes what, in which memory.
 *
 * 1. plan    every node gets a role: an emitted kernel (which may take over the
 *            operators that follow), library kernels, or no code at all (views);
 * 2. build   in graph order, steps and the tensors they touch; a fused operator
 *            runs where its last node stood, when all its operands are ready;
 * 3. fuse    chains of element operators become one loop; those on codes an emitted
 *            kernel;
 * 4. doors   tensors of graph outputs move to the caller's memory;
 * 5. name    steps get C identifiers, the weights payload its offsets.
 *
 * planner_place then finds offsets for what is left in the workspace.
 */
#include "codegen/program.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "codegen/hot.h"
#include "codegen/whole.h"

/* ---- steps -------------------------------------------------------------- */

struct step *build_step(struct builder *b, enum step_kind kind, const struct ir_node *n)
{
    struct program *p = b->program;

    p->steps =
        arena_grow(b->arena, p->steps, sizeof *p->steps, p->n_steps, &p->cap_steps);
    struct step *s = &p->steps[p->n_steps++];

    *s = (struct step){
        .kind = kind,
        .node = n,
        .covers = n ? op_info[n->op].name : "Copy",
        .n_units = 1,
        .grain = 1,
        .scratch_offset = -1,
        .target = -1,
    };
    return s;
}

bool step_is_emitted(const struct step *s)
{
    return s->kind >= STEP_CONV && s->kind <= STEP_INT_ELEMENTS;
}

struct conv *step_window(struct step *s)
{
    switch (s->kind) {
    case STEP_CONV:
    case STEP_DEPTHWISE:
    case STEP_POOL:
        return &s->u.conv.conv;
    case STEP_INT_CONV:
    case STEP_INT_DEPTHWISE:
        return &s->u.int_conv.conv.shape;
    case STEP_INT_POOL:
        return &s->u.int_pool.shape;
    default:
        return NULL;
    }
}

void build_operand(struct step *s, int tensor, int64_t offset, bool written)
{
    assert(s->n_operands < K_MAX_BUFS);
    s->operands[s->n_operands++] = (struct operand){tensor, offset, written};
}

static void add_scratch(struct step *s, int64_t bytes)
{
    build_operand(s, OPERAND_SCRATCH, s->scratch_bytes, true);
    s->scratch_bytes += round_up(bytes, 64);
}

/* Buffer `nibbles`, if there is one, has two numbers in a byte. */
static void add_call_operands(struct builder *b, struct step *s,
                              const struct kcall *call, int nibbles, const int *temps)
{
    for (int i = 0; i < call->n_bufs; i++) {
        const struct kbuf *k = &call->bufs[i];

        switch (k->kind) {
        case KB_VALUE:
            if (i == nibbles)
                build_operand(s, nibbles_tensor(b, k->value), 0, false);
            else if (k->value)
                build_operand(s, build_tensor(b, k->value), k->offset, k->written);
            else
                build_operand(s, OPERAND_ABSENT, 0, k->written);
            break;
        case KB_DIMS:
            build_operand(s, build_dims(b, k->value), k->offset, k->written);
            break;
        case KB_TEMP:
            build_operand(s, temps[k->index], k->offset, k->written);
            break;
        case KB_SCRATCH:
            add_scratch(s, k->size);
            break;
        }
    }
}

static void build_call(struct builder *b, const struct ir_node *n,
                       const struct kcall *call, const int *temps)
{
    const bool element = call->kernel->arity > 0;
    struct step *s = build_step(b, element ? STEP_CHAIN : STEP_LIBRARY, n);
    int nibbles;

    call = nibbles_call(b, call, &nibbles);
    add_call_operands(b, s, call, nibbles, temps);
    if (element) {
        s->u.chain = chain_of_call(b->arena, call);
        s->n_units = chain_units(s->u.chain);
    } else {
        s->u.call = call;
        s->n_units = call->n_units;
        if (call->serial)
            s->grain = call->n_units;
    }
}

void build_copy(struct builder *b, const struct ir_node *n, int from, int to,
                enum dtype dtype, int64_t count)
{
    struct step *s = build_step(b, STEP_CHAIN, n);

    build_operand(s, from, 0, false);
    build_operand(s, to, 0, true);
    s->u.chain = chain_of_copy(b->arena, dtype, count);
    s->n_units = chain_units(s->u.chain);
}

/* Kernels write only those of the actual dims that they decide. */
static void start_dims(struct builder *b, const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];

        if (!v || !v->dynamic || v->rank == 0)
            continue;
        const int capacity =
            build_const(b, v->name, v->dim, v->rank * (int64_t)sizeof v->dim[0], 0);

        build_copy(b, n, capacity, build_dims(b, v), DT_i64, v->rank);
    }
}

struct status *build_library(struct builder *b, const struct ir_node *n)
{
    struct lowering lw = {.compile = b->compile};

    if (!op_info[n->op].lower)
        return FAIL_AT(n, UNSUPPORTED, "there is no code for operator %s",
                       op_info[n->op].name);
    RETURN_IF_FAIL(lower_node(b->compile, n, &lw));

    int temps[sizeof lw.temp_bytes / sizeof lw.temp_bytes[0]];
    for (int i = 0; i < lw.n_temps; i++)
        temps[i] = build_temp(b, arena_printf(b->arena, "%s.temp%d", n->name, i),
                              lw.temp_bytes[i]);
    start_dims(b, n);
    for (int i = 0; i < lw.n_calls; i++)
        build_call(b, n, lw.calls[i], temps);
    return OK;
}

/* ---- nodes -------------------------------------------------------------- */

struct node_plan *build_plan_of(struct builder *b, const struct ir_node *n)
{
    for (int i = 0; i < b->n_plans; i++)
        if (b->plans[i].node == n)
            return &b->plans[i];
    return NULL;
}

/* `plan` is the main node of `h`.  With keep_all the last node has the same kernel as
 * without, so that outputs have the same bytes; the nodes on the way, whose results
 * that kernel does not leave behind, are computed on their own as well. */
static void plan_hot(struct builder *b, struct node_plan *plan, struct hot *h)
{
    const size_t n_bytes = (size_t)b->n_plans * sizeof *b->plans;
    struct hot *alone = arena_copy(b->arena, h, sizeof *h);
    struct node_plan *before =
        b->keep_all ? arena_copy(b->compile->scratch, b->plans, n_bytes) : NULL;

    plan->role = NODE_COVERED;

    struct node_plan *last = build_plan_of(b, hot_extend(b, h));

    if (b->keep_all) {
        memcpy(b->plans, before, n_bytes);
        plan->role = NODE_HOT;
        plan->hot = alone;
    }
    last->role = NODE_HOT;
    last->hot = h;
}

/* Emitted kernels are recognised from the end, so that of two convolutions that
 * feed one Add the later takes it: the other's result is ready by then. */
static void plan_nodes(struct builder *b, const struct ir_graph *g)
{
    int n_nodes = 0;

    for (const struct ir_node *n = g->first; n; n = n->next)
        n_nodes++;
    b->plans = arena_new_array(b->arena, struct node_plan, n_nodes + 1);
    b->n_plans = n_nodes;
    int i = 0;
    for (const struct ir_node *n = g->first; n; n = n->next)
        b->plans[i++].node = n;

    for (i = n_nodes - 1; i >= 0; i--) {
        struct node_plan *plan = &b->plans[i];

        if (plan->role != NODE_LIBRARY)
            continue;
        if (op_info[plan->node->op].traits & OPT_CONTROL) {
            plan->role = NODE_CONTROL;
            continue;
        }
        struct hot *h = b->isa ? hot_recognise(b, plan->node) : NULL;

        if (h) {
            plan_hot(b, plan, h);
        } else if (build_is_view(plan->node)) {
            plan->role = NODE_ALIAS;
        } else if (!b->keep_all && build_can_place(plan->node)) {
            plan->role = NODE_CONCAT;
        }
    }
}

static struct status *build_node(struct builder *b, const struct node_plan *plan)
{
    switch (plan->role) {
    case NODE_HOT:
        hot_step(b, plan->hot);
        return OK;
    case NODE_COVERED:
        return OK;
    case NODE_ALIAS:
        build_view(b, plan->node);
        return OK;
    case NODE_CONCAT:
        return build_concat(b, plan->node);
    case NODE_CONTROL:
        return build_control(b, plan->node);
    default:
        return build_library(b, plan->node);
    }
}

/* The nodes of `g` in order; bodies of control nodes come back here. */
struct status *build_graph(struct builder *b, const struct ir_graph *g)
{
    struct node_plan *const outer = b->plans;
    const int n_outer = b->n_plans;
    struct status *s = OK;

    plan_nodes(b, g);
    for (int i = 0; i < b->n_plans && !s; i++)
        s = status_note(build_node(b, &b->plans[i]), "while building %s",
                        ir_node_label(b->plans[i].node));
    b->plans = outer;
    b->n_plans = n_outer;
    return s;
}

/* ---- doors -------------------------------------------------------------- */

static void add_inputs(struct builder *b)
{
    for (int i = 0; i < b->graph->n_in; i++) {
        const int tensor = build_tensor(b, b->graph->in[i]);
        struct ptensor *t = &b->program->tensors[tensor];

        t->place = IN_IO;
        t->io_index = i;
    }
}

/* The result is computed right in the caller's memory, unless that memory is
 * already spoken for (an input, a constant, another output): then it is copied. */
static void add_outputs(struct builder *b)
{
    struct program *p = b->program;
    const struct ir_graph *g = b->graph;
    int next_dims = g->n_in + g->n_out;

    for (int i = 0; i < g->n_out; i++) {
        const struct ir_value *v = g->out[i];
        int root;
        int io;

        if (!v->data && build_owns_memory(b, v, &root)) {
            io = root;
        } else {
            io = build_new_tensor(b, v, v->name, ir_bytes(v));
            build_copy(b, NULL, build_tensor(b, v), io, v->dtype, ir_count(v));
        }
        p->tensors[io].place = IN_IO;
        p->tensors[io].io_index = g->n_in + i;
        if (v->dynamic) {
            const int tensor = build_dims(b, v);
            struct ptensor *dims = &p->tensors[tensor];

            dims->place = IN_IO;
            dims->io_index = next_dims++;
        }
    }
    p->n_io = next_dims;
}

/* ---- names ----------------------------------------------------- */

static const char *step_name(struct arena *a, int i, const struct step *s)
{
    const char *from = s->node && s->node->name ? s->node->name : "copy";
    const char *slash = strrchr(from, '/');
    char *name = arena_printf(a, "k%d_%.40s", i, slash && slash[1] ? slash + 1 : from);

    for (char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) || (unsigned char)*at > 127)
            *at = '_';
    return name;
}

/* ---- grain -------------------------------------------------------------- */

/* Handing work to a thread that waits for it costs about 0.3 us (runtime/pool.c), so a
 * share of 8 us is worth it.  Rough nanoseconds of a step on one core. */
static double cost_ns(const struct program *p, const struct step *s)
{
    double bytes = 0.0;

    if (s->flops) /* most of two multiply-adds a cycle */
        return (double)s->flops / (p->isa ? 2.0 * p->isa->vector_bytes : 1.0);
    for (int k = 0; k < s->n_operands; k++)
        if (s->operands[k].tensor >= 0)
            bytes += (double)p->tensors[s->operands[k].tensor].bytes;
    if (s->kind == STEP_INT_ELEMENTS)
        return bytes / 16.0;
    return s->kind == STEP_CHAIN ? bytes / 20.0 * (1.0 + 0.5 * s->u.chain->n_ops)
                                 : bytes / 4.0;
}

static void choose_grain(const struct program *p, struct step *s)
{
    const double share_ns = 8000.0;
    const double total = cost_ns(p, s);

    if (s->grain >= s->n_units)
        return; /* serial by its nature */
    s->grain = total < 2.0 * share_ns
                   ? s->n_units
                   : (int64_t)((double)s->n_units * share_ns / total);
    if (s->grain < 1)
        s->grain = 1;
}

static void finish_steps(struct builder *b)
{
    for (int i = 0; i < b->program->n_steps; i++) {
        struct step *s = &b->program->steps[i];

        s->name = step_name(b->arena, i, s);
        choose_grain(b->program, s);
    }
}

struct status *program_build(struct compile *c, const struct ir_graph *g,
                             const struct isa *isa, const struct program_options *o,
                             struct program **out)
{
    struct builder b = {
        .compile = c,
        .arena = c->perm,
        .graph = g,
        .isa = isa,
        .keep_all = o && o->keep_all,
        .plan = o ? o->plan : NULL,
        .winograd = o ? o->winograd : WINOGRAD_IN_ROOM,
        .program = arena_new(c->perm, struct program),
        .n_buckets = 1021,
    };

    b.const_buckets = arena_new_array(c->perm, int, b.n_buckets);
    *b.program = (struct program){
        .compile = c,
        .graph = g,
        .isa = isa,
        .max_workers = o && o->max_workers > 1 ? o->max_workers : 1,
        .keep_all = o && o->keep_all,
    };
    build_reserve(&b, c->n_values);
    add_inputs(&b);
    RETURN_IF_FAIL(build_graph(&b, g));
    if (!b.keep_all) {
        drop_dead_steps(&b);
        fuse_copies(&b);
        fuse_repeated_codes(&b);
        drop_dead_steps(&b);
        fuse_chains(&b);
        fuse_codes(&b);
    }
    add_outputs(&b);
    finish_steps(&b);
    build_payload(b.program);
    *out = b.program;
    return OK;
}
