/* SPDX-License-Identifier: Apache-2.0 */
/* Graph -> program: which step computes what, in which memory.
 *
 * 1. plan    every node gets a role: an emitted kernel (which may take over the
 *            operators that follow), library kernels, or no code at all (views);
 * 2. build   in graph order, steps and the tensors they touch; a fused operator
 *            runs where its last node stood, when all its operands are ready;
 * 3. fuse    chains of element operators become one loop;
 * 4. doors   tensors of graph outputs move to the caller's memory;
 * 5. name    steps get C identifiers, the weights payload its offsets.
 *
 * planner_place then finds offsets for what is left in the workspace.
 */
#include "codegen/program.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#include "codegen/builder.h"

/* ---- tensors ------------------------------------------------------------ */

static int new_tensor(struct builder *b, const struct ir_value *v, const char *name,
                      int64_t bytes)
{
    struct program *p = b->program;

    p->tensors = arena_grow(b->arena, p->tensors, sizeof *p->tensors, p->n_tensors,
                            &p->cap_tensors);
    p->tensors[p->n_tensors] = (struct ptensor){
        .value = v,
        .name = name,
        .bytes = bytes,
        .place = IN_WORKSPACE,
        .io_index = -1,
        .alias_of = -1,
        .first = -1,
        .last = -1,
    };
    return p->n_tensors++;
}

int program_root(const struct program *p, int tensor, int64_t *offset)
{
    int64_t at = 0;

    while (p->tensors[tensor].alias_of >= 0) {
        at += p->tensors[tensor].alias_offset;
        tensor = p->tensors[tensor].alias_of;
    }
    if (offset)
        *offset = at;
    return tensor;
}

int build_temp(struct builder *b, const char *name, int64_t bytes)
{
    return new_tensor(b, NULL, name, bytes);
}

static uint64_t hash_bytes(const void *data, int64_t n)
{
    const uint8_t *at = data;
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)n;

    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (; n > 0; n--)
        h = (h ^ *at++) * 0x100000001b3u;
    return h ^ h >> 32;
}

/* Equal contents are stored once: tied embeddings, repeated constants. */
int build_const(struct builder *b, const char *name, const void *data, int64_t bytes,
                int readable_after)
{
    struct program *p = b->program;
    int *bucket = &b->const_buckets[hash_bytes(data, bytes) % (uint64_t)b->n_buckets];

    for (int t = *bucket - 1; t >= 0; t = b->const_next[t] - 1) {
        struct ptensor *old = &p->tensors[t];

        if (old->bytes == bytes && memcmp(old->data, data, (size_t)bytes) == 0) {
            if (old->readable_after < readable_after)
                old->readable_after = readable_after;
            return t;
        }
    }
    const int t = new_tensor(b, NULL, name, bytes);

    p->tensors[t].place = IN_WEIGHTS;
    p->tensors[t].data = data;
    p->tensors[t].readable_after = readable_after;
    b->const_next = arena_grow(b->arena, b->const_next, sizeof *b->const_next, t,
                               &b->cap_const_next);
    b->const_next[t] = *bucket;
    *bucket = t + 1;
    return t;
}

/* Bodies of control operators make values after the tables were sized. */
static void reserve_values(struct builder *b, int id)
{
    if (id < b->cap_values)
        return;
    int cap = b->cap_values;

    b->tensor_of = arena_grow(b->arena, b->tensor_of, sizeof(int), id, &cap);
    cap = b->cap_values;
    b->dims_of = arena_grow(b->arena, b->dims_of, sizeof(int), id, &cap);
    b->cap_values = cap;
}

int build_tensor(struct builder *b, const struct ir_value *v)
{
    reserve_values(b, v->id);
    if (b->tensor_of[v->id])
        return b->tensor_of[v->id] - 1;

    const int t = v->data ? build_const(b, v->name, v->data, ir_bytes(v), 0)
                          : new_tensor(b, v, v->name, ir_bytes(v));

    if (!b->program->tensors[t].value) /* stored as in the model: says so in the weights */
        b->program->tensors[t].value = v;
    b->tensor_of[v->id] = t + 1;
    return t;
}

int build_dims(struct builder *b, const struct ir_value *v)
{
    reserve_values(b, v->id);
    if (!b->dims_of[v->id])
        b->dims_of[v->id] =
            1
            + new_tensor(b, NULL, arena_printf(b->arena, "%s.dims", v->name),
                         v->rank * (int64_t)sizeof(int64_t));
    return b->dims_of[v->id] - 1;
}

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

void build_operand(struct step *s, int tensor, int64_t offset, bool written)
{
    assert(s->n_operands < K_MAX_BUFS);
    s->operands[s->n_operands++] = (struct operand){tensor, offset, written};
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

static void add_scratch(struct step *s, int64_t bytes)
{
    build_operand(s, OPERAND_SCRATCH, s->scratch_bytes, true);
    s->scratch_bytes += round_up(bytes, 64);
}

static void add_call_operands(struct builder *b, struct step *s,
                              const struct kcall *call, const int *temps)
{
    for (int i = 0; i < call->n_bufs; i++) {
        const struct kbuf *k = &call->bufs[i];

        switch (k->kind) {
        case KB_VALUE:
            if (k->value)
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

    add_call_operands(b, s, call, temps);
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

static struct status *build_library(struct builder *b, const struct ir_node *n)
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

/* ---- views -------------------------------------------------------------- */

static void set_alias(struct program *p, int tensor, int of, int64_t offset)
{
    p->tensors[tensor].alias_of = of;
    p->tensors[tensor].alias_offset = offset;
}

void build_alias(struct builder *b, const struct ir_value *v, int of, int64_t offset)
{
    set_alias(b->program, build_tensor(b, v), of, offset);
}

/* A Transpose that keeps the order of all dims longer than 1 moves no bytes. */
static bool moves_nothing(const struct ir_node *n)
{
    int n_perm;
    const int64_t *perm = ir_attr_ints(n, "perm", &n_perm);
    const struct ir_value *x = n->in[0];
    int64_t last = -1;

    for (int i = 0; i < x->rank; i++) {
        const int64_t from = perm && i < n_perm ? perm[i] : x->rank - 1 - i;

        if (from < 0 || from >= x->rank)
            return false;
        if (x->dim[from] == 1)
            continue;
        if (from < last)
            return false;
        last = from;
    }
    return true;
}

/* Dims before `axis` are all 1: a slice along it is one run of bytes. */
static bool is_outermost(const struct ir_value *v, int64_t axis)
{
    for (int i = 0; i < axis; i++)
        if (v->dim[i] != 1)
            return false;
    return true;
}

static int64_t bytes_inside(const struct ir_value *v, int64_t axis)
{
    int64_t n = dtype_info[v->dtype].bytes;

    for (int64_t i = axis + 1; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

/* The byte at which a Slice starts; -1 when it is not one run of bytes. */
static int64_t slice_offset(const struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    int n_starts, n_steps, cut = -1;
    const int64_t *start = ir_attr_ints(n, "starts", &n_starts);
    const int64_t *step = ir_attr_ints(n, "steps", &n_steps);

    if (n_starts != x->rank || n_steps != x->rank)
        return -1;
    for (int d = 0; d < x->rank; d++) {
        if (x->dim[d] == n->out[0]->dim[d] && step[d] == 1)
            continue;
        if (cut >= 0 || step[d] != 1 || !is_outermost(x, d))
            return -1;
        cut = d;
    }
    return cut < 0 ? 0 : start[cut] * bytes_inside(x, cut);
}

static bool is_dynamic(const struct ir_node *n)
{
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->dynamic)
            return true;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dynamic)
            return true;
    return false;
}

static bool is_alias(const struct ir_node *n)
{
    int64_t axis;

    if (is_dynamic(n) || n->n_in < 1 || !n->in[0] || !n->out[0]
        || n->in[0]->is_sequence)
        return false;
    switch (n->op) {
    case OP_Transpose:
        return moves_nothing(n);
    case OP_Slice:
        return slice_offset(n) >= 0;
    case OP_Split:
        axis = ir_attr_int(n, "axis", 0);
        return is_outermost(n->in[0], axis < 0 ? axis + n->in[0]->rank : axis);
    default:
        return op_info[n->op].traits & OPT_VIEW
               && ir_bytes(n->in[0]) == ir_bytes(n->out[0]);
    }
}

static void build_view(struct builder *b, const struct ir_node *n)
{
    const int from = build_tensor(b, n->in[0]);
    int64_t at = n->op == OP_Slice ? slice_offset(n) : 0;

    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        build_alias(b, n->out[i], from, at);
        at += ir_bytes(n->out[i]); /* Split has several */
    }
}

/* ---- Concat into place -------------------------------------------------- */

/* The memory of `v` is its own and nothing else's, so it can be given elsewhere. */
static bool owns_memory(struct builder *b, const struct ir_value *v, int *root)
{
    const struct program *p = b->program;
    int64_t at;
    const int t = build_tensor(b, v);

    *root = program_root(p, t, &at);
    return at == 0 && !v->is_input && p->tensors[*root].place == IN_WORKSPACE
           && p->tensors[*root].bytes == p->tensors[t].bytes;
}

static struct step *only_writer(struct program *p, int root)
{
    struct step *writer = NULL;

    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_operands; k++) {
            const struct operand *o = &p->steps[i].operands[k];

            if (o->tensor < 0 || !o->written
                || program_root(p, o->tensor, NULL) != root)
                continue;
            if (writer)
                return NULL;
            writer = &p->steps[i];
        }
    return writer;
}

/* An emitted kernel can leave gaps between its pixels: its channels become a slice
 * of the wider rows of `to`. */
static bool write_strided(struct builder *b, const struct ir_value *v, int to,
                          int64_t offset, int64_t row)
{
    struct program *p = b->program;
    int root;

    if (v->n_uses != 1 || v->rank < 3 || !owns_memory(b, v, &root))
        return false;
    struct step *w = only_writer(p, root);

    if (!w
        || (w->kind != STEP_CONV && w->kind != STEP_DEPTHWISE && w->kind != STEP_POOL))
        return false;
    struct conv *c = &w->u.conv.conv;

    c->out_x = row;
    c->out_y = c->ow * row;
    c->out_n = c->oh * c->out_y;
    w->operands[4].tensor = to;
    w->operands[4].offset = offset;
    return true;
}

/* Inputs whose producers can write into the result do; the others are copied by
 * the operator's own calls, which come in the order of its inputs. */
static struct status *build_concat(struct builder *b, const struct ir_node *n)
{
    struct program *p = b->program;
    const struct ir_value *y = n->out[0];
    const int to = build_tensor(b, y);
    int64_t axis = ir_attr_int(n, "axis", 0);
    int64_t at = 0;
    bool in_place[64] = {false};

    axis += axis < 0 ? y->rank : 0;
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_value *x = n->in[i];
        int root;

        if (is_outermost(y, axis) && owns_memory(b, x, &root) && root != to) {
            set_alias(p, root, to, at);
            in_place[i] = true;
        } else if (axis == y->rank - 1 && x->dtype == DT_f32) {
            in_place[i] = write_strided(b, x, to, at, y->dim[axis]);
        }
        at += bytes_inside(x, axis) * x->dim[axis];
    }
    const int first = p->n_steps;

    RETURN_IF_FAIL(build_library(b, n));
    int kept = first;
    for (int i = first; i < p->n_steps; i++) {
        bool drop = false;

        for (int k = 0; k < n->n_in; k++)
            for (int o = 0; in_place[k] && o < p->steps[i].n_operands; o++)
                drop |=
                    !p->steps[i].operands[o].written
                    && p->steps[i].operands[o].tensor == b->tensor_of[n->in[k]->id] - 1;
        if (!drop)
            p->steps[kept++] = p->steps[i];
    }
    p->n_steps = kept;
    return OK;
}

/* One call per input is what makes the above sound. */
static bool can_place_concat(const struct ir_node *n)
{
    if (n->op != OP_Concat || n->n_in > 64 || is_dynamic(n))
        return false;
    for (int i = 0; i < n->n_in; i++)
        for (int k = 0; k < i; k++)
            if (n->in[i] == n->in[k])
                return false;
    return true;
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
        } else if (is_alias(plan->node)) {
            plan->role = NODE_ALIAS;
        } else if (!b->keep_all && can_place_concat(plan->node)) {
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

        if (!v->data && owns_memory(b, v, &root)) {
            io = root;
        } else {
            io = new_tensor(b, v, v->name, ir_bytes(v));
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

/* ---- names, payload ----------------------------------------------------- */

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

/* Large tensors start on a cache line; small ones would waste more than they win. */
static int64_t payload_alignment(const struct ptensor *t)
{
    return t->bytes >= 1024 ? 64 : t->bytes >= 128 ? 16 : 8;
}

static void place_weight(struct program *p, int tensor, int64_t *end)
{
    struct ptensor *t = &p->tensors[tensor];

    if (t->place != IN_WEIGHTS || t->first >= 0)
        return;
    t->first = 0;
    t->offset = round_up(p->payload_bytes, payload_alignment(t));
    p->payload_bytes = t->offset + t->bytes;
    if (*end < p->payload_bytes + t->readable_after)
        *end = p->payload_bytes + t->readable_after;
}

/* Weights lie in the order in which the steps read them. */
static void layout_payload(struct program *p)
{
    int64_t end = 0;

    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_operands; k++)
            if (p->steps[i].operands[k].tensor >= 0)
                place_weight(p, program_root(p, p->steps[i].operands[k].tensor, NULL),
                             &end);
    p->payload_bytes = end;
}

/* ---- grain -------------------------------------------------------------- */

/* Waking a thread costs some microseconds, so a share of the work should take ten
 * times as long.  Rough nanoseconds of a step on one core. */
static double cost_ns(const struct program *p, const struct step *s)
{
    double bytes = 0.0;

    if (s->flops)
        return (double)s->flops / 50.0;
    for (int k = 0; k < s->n_operands; k++)
        if (s->operands[k].tensor >= 0)
            bytes += (double)p->tensors[s->operands[k].tensor].bytes;
    return s->kind == STEP_CHAIN ? bytes / 20.0 * (1.0 + 0.5 * s->u.chain->n_ops)
                                 : bytes / 4.0;
}

static void choose_grain(const struct program *p, struct step *s)
{
    const double share_ns = 20000.0;
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
    reserve_values(&b, c->n_values);
    add_inputs(&b);
    RETURN_IF_FAIL(build_graph(&b, g));
    if (!b.keep_all) {
        drop_dead_steps(&b);
        fuse_copies(&b);
        fuse_chains(&b);
    }
    add_outputs(&b);
    finish_steps(&b);
    layout_payload(b.program);
    *out = b.program;
    return OK;
}
