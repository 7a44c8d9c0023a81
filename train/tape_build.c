/* SPDX-License-Identifier: Apache-2.0 */
/* From a graph to a tape: which nodes run, what is a weight, who needs a gradient, and
 * where everything lies.  See tape.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/match.h"
#include "train/tape.h"
#include "train/tape_parts.h"

struct builder {
    struct tape *t;
    bool *needed; /* by value id: an output depends on it */
};

static struct tape_slot *slot_of(const struct tape *t, const struct ir_value *v)
{
    return v ? &t->slot[v->id] : NULL;
}

static struct tape_slot *home_of(const struct tape *t, const struct tape_slot *s)
{
    return &t->slot[s->home];
}

/* ---- what runs ------------------------------------------------------------------ */

static void mark_needed(struct builder *b)
{
    const struct ir_graph *g = b->t->graph;

    for (int k = 0; k < b->t->n_outputs; k++)
        b->needed[b->t->output[k]->value->id] = true;
    for (const struct ir_node *n = g->last; n; n = n->prev) {
        bool any = false;

        for (int i = 0; i < n->n_out; i++)
            any |= n->out[i] && b->needed[n->out[i]->id];
        for (int i = 0; any && i < n->n_in; i++)
            if (n->in[i])
                b->needed[n->in[i]->id] = true;
    }
}

static bool runs(const struct builder *b, const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && b->needed[n->out[i]->id])
            return true;
    return false;
}

/* ---- weights -------------------------------------------------------------------- */

static bool is_vector(const struct ir_value *v)
{
    int wide = 0;

    for (int d = 0; d < v->rank; d++)
        wide += v->dim[d] > 1;
    return wide == 1;
}

static bool is_weight(const struct derivative *d, const struct ir_node *n, int i)
{
    const struct ir_value *v = n->in[i];

    if (!match_finite_f32(v) || !ir_count(v))
        return false;
    if (d->trained & TRAIN_VECTORS)
        return is_vector(v);
    return i < 16 && (d->trained >> i & 1);
}

int tape_add_weight(struct tape *t, const struct ir_value *v)
{
    struct tape_slot *s = slot_of(t, v);

    if (s->weight >= 0)
        return s->weight;
    t->weights =
        arena_grow(t->a, t->weights, sizeof *t->weights, t->n_weights, &t->cap_weights);
    t->weights[t->n_weights] = (struct tape_weight){
        .value = v, .at = t->n_elements, .count = s->count, .rate = 1};
    t->n_elements += s->count;
    s->weight = t->n_weights++;
    s->wants = true;
    return s->weight;
}

bool tape_is_fixed(const struct tape *t, const struct ir_value *v)
{
    return v->data || slot_of(t, v)->weight >= 0;
}

int64_t tape_add_stat(struct tape *t, const struct ir_value *v)
{
    const int64_t at = t->n_stat_elements;

    t->stats = arena_grow(t->a, t->stats, sizeof *t->stats, t->n_stats, &t->cap_stats);
    t->stats[t->n_stats++] =
        (struct tape_weight){.value = v, .at = at, .count = ir_count(v)};
    t->n_stat_elements += ir_count(v);
    return at;
}

static real *contents(struct tape *t, int n, const struct tape_weight *w,
                      int64_t n_elements)
{
    real *all = arena_new_array(t->a, real, n_elements);

    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < w[i].count && !w[i].dequantize; k++)
            all[w[i].at + k] = ((const float *)w[i].value->data)[k];
    return all;
}

/* ---- slots and steps ------------------------------------------------------------ */

void tape_open_slot(struct tape *t, const struct ir_value *v)
{
    struct tape_slot *s = &t->slot[v->id];

    if (s->value)
        return;
    *s = (struct tape_slot){.value = v,
                            .count = ir_count(v),
                            .is_real = v->dtype == DT_f32,
                            .weight = -1,
                            .home = v->id,
                            .gradient_home = v->id,
                            .constant = v->data};
}

/* Constants are read as reals. */
static void convert_constant(struct tape *t, struct tape_slot *s)
{
    if (!s->is_real || sizeof(real) == sizeof(float) || s->weight >= 0)
        return;
    real *wide = arena_new_array(t->a, real, s->count);

    for (int64_t i = 0; i < s->count; i++)
        wide[i] = ((const float *)s->value->data)[i];
    s->constant = wide;
}

static struct status *refuse(const struct ir_node *n, const char *why)
{
    return FAIL_AT(n, UNSUPPORTED, "%s", why);
}

static struct status *check_node(const struct ir_node *n)
{
    if (op_info[n->op].traits & OPT_CONTROL)
        return refuse(n, "branches and loops cannot be trained");
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (n->in[i]->dynamic || n->in[i]->is_sequence))
            return refuse(n, "sizes known only when running cannot be trained");
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (n->out[i]->dynamic || n->out[i]->is_sequence))
            return refuse(n, "sizes known only when running cannot be trained");
    return OK;
}

/* Numbers of other types have no slope: comparisons, indices. */
static bool makes_reals(const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->dtype == DT_f32)
            return true;
    return false;
}

static bool has_derivative(const struct ir_node *n)
{
    return derivatives[n->op].forward && makes_reals(n)
           && (n->op != OP_DequantizeLinear || n->in[0]->dtype == DT_f32);
}

/* The result takes the operand's place, in memory and gradient. */
static bool is_view(const struct tape *t, const struct ir_node *n)
{
    return (derivatives[n->op].traits & VIEW) && slot_of(t, n->in[0])->on_tape
           && n->in[0]->dtype == n->out[0]->dtype;
}

static void add_view(struct tape *t, const struct ir_node *n)
{
    const struct tape_slot *x = slot_of(t, n->in[0]);
    struct tape_slot *y = slot_of(t, n->out[0]);

    y->on_tape = true;
    y->wants = x->wants;
    y->home = x->home;
    y->gradient_home = x->gradient_home;
}

static struct status *add_step(struct tape *t, const struct ir_node *n)
{
    struct tape_step *s = &t->step[t->n_steps];
    bool wants = false;

    *s = (struct tape_step){.node = n, .index = t->n_steps};
    if (has_derivative(n))
        s->d = &derivatives[n->op];
    for (int i = 0; i < n->n_in; i++) {
        struct tape_slot *x = slot_of(t, n->in[i]);

        if (!x)
            continue;
        if (s->d && is_weight(s->d, n, i))
            tape_add_weight(t, x->value);
        wants |= x->wants;
    }
    wants = wants && makes_reals(n);
    if (wants && !s->d)
        return refuse(n, "has no derivative, and weights before it are to be trained");

    struct status *why = s->d && s->d->prepare ? s->d->prepare(t, s) : OK;

    if (why && wants)
        return why;
    if (why) {
        status_free(why);
        *s = (struct tape_step){.node = n, .index = t->n_steps};
    }
    if (!s->d)
        RETURN_IF_FAIL(tape_interpreter_prepare(t, s));
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i]) {
            slot_of(t, n->out[i])->on_tape = true;
            slot_of(t, n->out[i])->wants = wants && n->out[i]->dtype == DT_f32;
        }
    t->n_steps++;
    return OK;
}

static struct status *add_node(struct tape *t, const struct ir_node *n)
{
    if (is_view(t, n)) {
        add_view(t, n);
        return OK;
    }
    if (tape_codes_are_weights(n)) {
        tape_add_codes(t, n);
        return OK;
    }
    if (n->op == OP_QuantizeLinear && tape_only_dequantized(n))
        return OK; /* one step with what reads the codes */
    if (n->op == OP_QuantizeLinear && slot_of(t, n->in[0])->wants)
        return refuse(n, "only DequantizeLinear may read codes in training");
    return add_step(t, tape_rounding_node(t, n));
}

static struct status *add_steps(struct builder *b)
{
    struct tape *t = b->t;
    int n_nodes = 0;

    for (int i = 0; i < t->graph->n_in; i++) {
        tape_open_slot(t, t->graph->in[i]);
        slot_of(t, t->graph->in[i])->on_tape = true;
        slot_of(t, t->graph->in[i])->wants =
            t->options.differentiate_inputs && t->graph->in[i]->dtype == DT_f32;
    }
    for (const struct ir_node *n = t->graph->first; n; n = n->next)
        n_nodes++;
    t->step = arena_new_array(t->a, struct tape_step, n_nodes + 1);
    for (const struct ir_node *n = t->graph->first; n; n = n->next) {
        if (!runs(b, n))
            continue;
        RETURN_IF_FAIL(check_node(n));
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i])
                tape_open_slot(t, n->in[i]);
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                tape_open_slot(t, n->out[i]);
        RETURN_IF_FAIL(add_node(t, n));
    }
    t->weight = contents(t, t->n_weights, t->weights, t->n_elements);
    t->gradient = arena_new_array(t->a, real, t->n_elements);
    tape_fill_codes(t);
    t->stat = contents(t, t->n_stats, t->stats, t->n_stat_elements);
    for (int i = 0; i < t->n_slots; i++)
        if (t->slot[i].value && t->slot[i].constant)
            convert_constant(t, &t->slot[i]);
    return OK;
}

/* ---- gradients ------------------------------------------------------------------ */

/* How often a home is read by steps, outputs included. */
static void count_readers(const struct tape *t, int *readers)
{
    for (int i = 0; i < t->n_steps; i++)
        for (int k = 0; k < t->step[i].node->n_in; k++)
            if (t->step[i].node->in[k])
                readers[slot_of(t, t->step[i].node->in[k])->home]++;
    for (int k = 0; k < t->n_outputs; k++)
        readers[t->output[k]->home] += 2; /* never written in place */
}

static bool is_as_large(const struct tape_slot *x, const struct tape_slot *y)
{
    return x->is_real && y->is_real && x->count == y->count;
}

static void move_home(struct tape *t, int from, int to)
{
    for (int k = 0; k < t->n_slots; k++)
        if (t->slot[k].value && t->slot[k].home == from)
            t->slot[k].home = to;
}

static void move_gradient(struct tape *t, int from, int to)
{
    for (int k = 0; k < t->n_slots; k++)
        if (t->slot[k].value && t->slot[k].gradient_home == from)
            t->slot[k].gradient_home = to;
}

/* The only reader of x, which nobody needs afterwards, may put its result there. */
static void share_memory(struct tape *t, int *readers)
{
    bool *kept = arena_new_array(t->a, bool, t->n_slots);

    for (int i = 0; i < t->n_steps; i++) {
        const struct tape_step *s = &t->step[i];
        const unsigned traits = s->d ? s->d->traits : 0;
        struct tape_slot *x = slot_of(t, ir_in(s->node, 0)),
                         *y = slot_of(t, s->node->out[0]);

        if ((traits & IN_PLACE) && x && x->on_tape && home_of(t, x)->value->def
            && is_as_large(x, y) && readers[x->home] == 1) {
            if (x->wants && t->options.backward)
                move_gradient(t, y->gradient_home, x->gradient_home);
            if (!kept[x->home] && !(traits & KEEPS_IN)) {
                readers[x->home] = readers[y->home];
                move_home(t, y->home, x->home);
            }
        }
        for (int k = 0; (traits & KEEPS_OUT) && k < s->node->n_out; k++)
            if (s->node->out[k])
                kept[slot_of(t, s->node->out[k])->home] = true;
    }
}

/* Which steps run backwards, and for which operands they are the first to write. */
static void plan_gradients(struct tape *t)
{
    bool *written = arena_new_array(t->a, bool, t->n_slots);

    for (int k = 0; k < t->n_outputs; k++)
        if (t->output[k]->wants) {
            t->output[k]->has_gradient = true;
            written[t->output[k]->gradient_home] = true;
        }
    for (int i = t->n_steps - 1; i >= 0; i--) {
        struct tape_step *s = &t->step[i];

        for (int k = 0; k < s->node->n_out; k++) {
            struct tape_slot *y = slot_of(t, s->node->out[k]);

            if (y && y->wants && written[y->gradient_home])
                y->has_gradient = s->back = true;
        }
        for (int k = 0; s->back && k < s->node->n_in; k++) {
            struct tape_slot *x = slot_of(t, s->node->in[k]);

            if (!x || !x->wants || x->weight >= 0)
                continue;
            x->has_gradient = true;
            for (int c = 0; c < t->n_shards; c++) {
                struct tape_call *call = &t->shard[c].call[i];
                const struct tape_slot *y = slot_of(t, s->node->out[0]);
                const bool shared = y && x->gradient_home == y->gradient_home;
                const bool first = shared || !written[x->gradient_home];

                call->fresh[k] = first && (s->d->traits & WRITES);
                call->zeroed[k] = first && !(s->d->traits & WRITES);
            }
            written[x->gradient_home] = true;
        }
    }
    for (int i = 0; i < t->graph->n_in; i++) {
        struct tape_slot *x = slot_of(t, t->graph->in[i]);

        x->has_gradient = x->wants && written[x->gradient_home];
    }
}

/* ---- calls ---------------------------------------------------------------------- */

static void make_calls(struct tape *t)
{
    t->shard = arena_new_array(t->a, struct tape_shard, t->n_shards);
    for (int c = 0; c < t->n_shards; c++) {
        t->shard[c].call = arena_new_array(t->a, struct tape_call, t->n_steps);
        for (int i = 0; i < t->n_steps; i++) {
            const struct ir_node *n = t->step[i].node;

            t->shard[c].call[i] = (struct tape_call){
                .tape = t,
                .step = &t->step[i],
                .shard = c,
                .in = arena_new_array(t->a, const void *, n->n_in + IR_SPARE_OPERANDS),
                .in_count = arena_new_array(t->a, int64_t, n->n_in + IR_SPARE_OPERANDS),
                .out = arena_new_array(t->a, void *, n->n_out + IR_SPARE_OPERANDS),
                .d_in = arena_new_array(t->a, real *, n->n_in + IR_SPARE_OPERANDS),
                .d_out =
                    arena_new_array(t->a, const real *, n->n_out + IR_SPARE_OPERANDS),
                .fresh = arena_new_array(t->a, bool, n->n_in + IR_SPARE_OPERANDS),
                .zeroed = arena_new_array(t->a, bool, n->n_in + IR_SPARE_OPERANDS),
            };
        }
    }
}

static void link_operand(struct tape *t, struct tape_shard *shard, struct tape_call *c,
                         int i)
{
    struct tape_slot *x = slot_of(t, c->step->node->in[i]);

    if (!x)
        return;
    if (x->weight >= 0) {
        const struct tape_weight *w = &t->weights[x->weight];

        c->in[i] = w->rounded ? w->rounded : t->weight + w->at;
        if (c->step->back)
            c->d_in[i] = shard->gradient + t->weights[x->weight].at;
    } else if (x->constant) {
        c->in[i] = x->constant;
    } else {
        c->in[i] = shard->memory + home_of(t, x)->at;
        c->in_count[i] = x->count;
        if (x->has_gradient && c->step->back)
            c->d_in[i] =
                (real *)(shard->memory + t->slot[x->gradient_home].gradient_at);
    }
}

static void link_calls(struct tape *t, struct tape_shard *shard)
{
    for (int i = 0; i < t->n_steps; i++) {
        struct tape_call *c = &shard->call[i];

        for (int k = 0; k < c->step->node->n_in; k++)
            link_operand(t, shard, c, k);
        for (int k = 0; k < c->step->node->n_out; k++) {
            const struct tape_slot *y = slot_of(t, c->step->node->out[k]);

            if (!y)
                continue;
            c->out[k] = shard->memory + home_of(t, y)->at;
            if (y->has_gradient)
                c->d_out[k] =
                    (real *)(shard->memory + t->slot[y->gradient_home].gradient_at);
        }
        c->kept = shard->memory + c->step->kept_at;
    }
}

/* Refused before the system would end the process. */
static struct status *check_memory(const struct tape *t)
{
    const double gradients =
        t->options.backward ? (double)t->n_elements * sizeof(real) : 0;
    const double needed = (double)t->n_shards * ((double)t->shard_bytes + gradients);
    const double has = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

    if (needed <= 0.8 * has)
        return OK;
    return FAIL(NO_FIT,
                "a batch of %lld samples needs %.1f GB, this machine has %.1f GB; a "
                "smaller batch may fit",
                (long long)t->options.batch, needed * 1e-9, has * 1e-9);
}

static void *aligned(size_t n_bytes)
{
    void *at = aligned_alloc(64, (n_bytes + 127) & ~(size_t)63);

    if (!at) {
        fputs("hadmcc: out of memory\n", stderr);
        exit(1);
    }
    memset(at, 0, n_bytes);
    return at;
}

static void allocate(struct tape *t)
{
    size_t scratch = 64;

    for (int i = 0; i < t->n_steps; i++)
        if (t->step[i].scratch_bytes > scratch)
            scratch = t->step[i].scratch_bytes;
    for (int c = 0; c < t->n_shards; c++) {
        t->shard[c].memory = aligned(t->shard_bytes);
        t->shard[c].gradient =
            t->options.backward ? aligned((size_t)t->n_elements * sizeof(real)) : NULL;
        link_calls(t, &t->shard[c]);
    }
    t->workers = workers_create(t->options.n_threads);
    t->scratch = arena_new_array(t->a, void *, workers_count(t->workers));
    for (int i = 0; i < workers_count(t->workers); i++)
        t->scratch[i] = aligned(scratch);
    tape_interpreters_create(t);
}

/* ---- all of it ------------------------------------------------------------------ */

static struct status *choose_outputs(struct tape *t)
{
    const int most = t->options.n_outputs ? t->options.n_outputs : t->graph->n_out;
    struct ir_value *const *from =
        t->options.n_outputs ? t->options.output : t->graph->out;

    t->output = arena_new_array(t->a, struct tape_slot *, most);
    for (int k = 0; k < most; k++) {
        if (from[k]->dtype != DT_f32)
            continue;
        if (from[k]->data || from[k]->dynamic)
            return FAIL(UNSUPPORTED, "output '%s' is constant or of no fixed size",
                        from[k]->name);
        tape_open_slot(t, from[k]);
        t->output[t->n_outputs++] = slot_of(t, from[k]);
    }
    return t->n_outputs ? OK : FAIL(UNSUPPORTED, "there is no float32 output to train");
}

static void cut_batch(struct tape *t)
{
    const int64_t batch = t->options.batch;

    t->shard_size = (batch + TAPE_SHARDS - 1) / TAPE_SHARDS;
    t->n_shards = (int)((batch + t->shard_size - 1) / t->shard_size);
}

static struct status *build(struct tape *t)
{
    struct builder b = {.t = t};

    t->n_slots = t->graph->compile->n_values;
    t->slot = arena_new_array(t->a, struct tape_slot, t->n_slots);
    b.needed = arena_new_array(t->a, bool, t->n_slots);
    RETURN_IF_FAIL(choose_outputs(t));
    cut_batch(t);
    mark_needed(&b);
    RETURN_IF_FAIL(add_steps(&b));
    make_calls(t);

    int *readers = arena_new_array(t->a, int, t->n_slots);

    count_readers(t, readers);
    share_memory(t, readers);
    if (t->options.backward)
        plan_gradients(t);
    tape_plan_memory(t);
    RETURN_IF_FAIL(check_memory(t));
    allocate(t);
    return OK;
}

struct status *tape_build(const struct ir_graph *g, const struct tape_options *o,
                          struct tape **out)
{
    struct arena *a = arena_create();
    struct tape *t = arena_new(a, struct tape);
    struct status *s = blas_open();

    *t = (struct tape){
        .a = a, .graph = g, .options = *o, .training = o->train_norms && o->backward};
    if (!s)
        s = build(t);
    if (s) {
        tape_destroy(t);
        return s;
    }
    *out = t;
    return OK;
}

void tape_destroy(struct tape *t)
{
    if (!t)
        return;
    for (int c = 0; c < t->n_shards && t->shard; c++) {
        free(t->shard[c].memory);
        free(t->shard[c].gradient);
    }
    for (int i = 0; t->workers && i < workers_count(t->workers); i++)
        free(t->scratch[i]);
    tape_interpreters_destroy(t);
    workers_destroy(t->workers);
    arena_destroy(t->a);
}

static void store(struct ir_graph *g, int n, const struct tape_weight *w,
                  const real *from)
{
    for (int i = 0; i < n; i++) {
        float *data = arena_new_array(g->compile->perm, float, w[i].count);

        if (w[i].dequantize)
            continue;
        for (int64_t k = 0; k < w[i].count; k++)
            data[k] = (float)from[w[i].at + k];
        ((struct ir_value *)w[i].value)->data = data;
    }
}

void tape_store(const struct tape *t, struct ir_graph *g)
{
    tape_store_codes(t, g);
    store(g, t->n_weights, t->weights, t->weight);
    store(g, t->n_stats, t->stats, t->stat);
}
