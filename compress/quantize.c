/* SPDX-License-Identifier: Apache-2.0 */
/* See quantize.h.  Three walks: backwards for the tensors that are wanted as codes,
 * over the samples for their ranges, forwards to write. */
#include "compress/quantize.h"

#include <math.h>
#include <string.h>

#include "compress/observe.h"
#include "frontend/interpret.h"
#include "frontend/match.h"

struct tensor_plan {
    bool wanted; /* read as codes */
    int group;   /* value id of the observer; operands of a Concat share */
    struct observer *observer; /* of a wanted source */
};

struct quantizer {
    struct compile *c;
    struct ir_graph *g;
    const struct quantize_options *o;
    int n_values;
    struct tensor_plan *plan; /* by value id */
    struct quantize_result result;
};

enum { X, W, B };

/* ---- kinds of nodes ------------------------------------------------------------ */

/* Scale and zero point stay those of the first operand. */
static bool moves_one_tensor(const struct ir_node *n)
{
    return match_moves_elements(n) && n->op != OP_Concat;
}

/* The dim of the weights that counts output channels; -1 if n is no product with
 * constant weights that has an integer form. */
static int channel_axis(const struct ir_node *n)
{
    if ((n->op != OP_Conv && n->op != OP_Gemm && n->op != OP_MatMul)
        || !match_const_f32(ir_in(n, W)) || n->in[X]->data || n->in[X]->dynamic
        || !ir_count(n->in[W]))
        return -1;
    if (ir_in(n, B) && !match_const_f32(n->in[B]))
        return -1;
    if (n->op == OP_Conv)
        return 0;
    if (n->op == OP_MatMul)
        return n->in[W]->rank == 2 && n->in[X]->rank >= 2 ? 1 : -1;
    if (ir_attr_float(n, "alpha", 1.0f) != 1.0f || ir_attr_int(n, "transA", 0)
        || (ir_in(n, B) && ir_attr_float(n, "beta", 1.0f) != 1.0f))
        return -1;
    return ir_attr_int(n, "transB", 0) ? 0 : 1;
}

static bool is_act(const struct ir_node *n)
{
    return n->op == OP_Relu || n->op == OP_Clip;
}

static bool has_integer_form(const struct ir_node *n)
{
    return n->op == OP_Add || n->op == OP_Sub || n->op == OP_Mul
           || n->op == OP_ReduceMean || n->op == OP_Concat || moves_one_tensor(n);
}

static int64_t macs_of(const struct ir_node *n, int axis)
{
    return ir_count(n->out[0]) * (ir_count(n->in[W]) / n->in[W]->dim[axis]);
}

/* ---- which tensors ------------------------------------------------------------- */

static bool can_be_codes(const struct ir_value *v)
{
    return v && v->dtype == DT_f32 && !v->data && !v->dynamic && !v->is_sequence;
}

/* The result, or what its activation makes of it, is read as codes. */
static bool result_is_wanted(const struct quantizer *q, const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_node *reader = n->out[i] ? match_only_reader(n->out[i]) : NULL;

        if (!n->out[i])
            continue;
        if (q->plan[n->out[i]->id].wanted)
            return true;
        if (reader && is_act(reader) && q->plan[reader->out[0]->id].wanted)
            return true;
    }
    return false;
}

static bool all_operands_can(const struct ir_node *n)
{
    const int n_data = n->op == OP_Concat ? n->n_in : moves_one_tensor(n) ? 1 : n->n_in;

    for (int i = 0; i < n_data; i++)
        if (!can_be_codes(n->in[i]))
            return false;
    return n_data > 0;
}

static void want(struct quantizer *q, const struct ir_node *n)
{
    const int n_data = moves_one_tensor(n) ? 1 : n->n_in;

    for (int i = 0; i < n_data; i++)
        q->plan[n->in[i]->id].wanted = true;
}

/* Readers come behind, so one walk from the end suffices. */
static void choose_tensors(struct quantizer *q)
{
    for (struct ir_node *n = q->g->last; n; n = n->prev) {
        const int axis = channel_axis(n);

        if (axis >= 0) {
            q->result.n_products++;
            q->result.macs += macs_of(n, axis);
            if (can_be_codes(n->in[X])) {
                q->plan[n->in[X]->id].wanted = true;
                q->result.n_quantized++;
                q->result.quantized_macs += macs_of(n, axis);
            }
            continue;
        }
        if (has_integer_form(n) && result_is_wanted(q, n) && all_operands_can(n))
            want(q, n);
    }
}

/* Where the codes of v come from: scale and zero point are chosen there. */
static struct ir_value *source_of(struct ir_value *v)
{
    while (v->def && moves_one_tensor(v->def) && can_be_codes(v->def->in[0]))
        v = v->def->in[0];
    return v;
}

static bool is_joined(const struct ir_value *v)
{
    return v->def && v->def->op == OP_Concat && all_operands_can(v->def);
}

static int group_of(const struct quantizer *q, int id)
{
    while (q->plan[id].group != id)
        id = q->plan[id].group;
    return id;
}

/* Operands of a Concat that stays in codes have one scale and zero point; so have those
 * of a Concat that is an operand. */
static void group_operands(struct quantizer *q)
{
    for (int i = 0; i < q->n_values; i++)
        q->plan[i].group = i;
    for (const struct ir_node *n = q->g->first; n; n = n->next)
        if (n->op == OP_Concat && is_joined(n->out[0]) && result_is_wanted(q, n))
            for (int i = 0; i < n->n_in; i++)
                q->plan[group_of(q, source_of(n->in[i])->id)].group =
                    group_of(q, n->out[0]->id);
}

/* A tensor that gets QuantizeLinear of its own. */
static bool is_source(const struct quantizer *q, struct ir_value *v)
{
    return v && v->id < q->n_values && q->plan[v->id].wanted && can_be_codes(v)
           && source_of(v) == v && !is_joined(v);
}

/* ---- ranges ---------------------------------------------------------------------- */

typedef void observe_fn(struct observer *o, const float *x, int64_t n);

static void observe(struct quantizer *q, struct ir_value *v,
                    const struct interpretation *run, observe_fn *f)
{
    struct tensor_plan *p;

    if (!is_source(q, v) || !run->by_id[v->id].data)
        return;
    p = &q->plan[v->id];
    if (!p->observer)
        p->observer = arena_new(q->c->perm, struct observer);
    f(p->observer, run->by_id[v->id].data, ir_count(v));
}

static struct status *run_sample(struct quantizer *q, struct arena *a, int64_t sample,
                                 observe_fn *f)
{
    struct tensor *in = arena_new_array(a, struct tensor, q->g->n_in);
    struct interpretation run;

    for (int i = 0; i < q->g->n_in; i++) {
        const struct ir_value *v = q->g->in[i];

        in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank};
        memcpy(in[i].dim, v->dim, sizeof v->dim);
        in[i].data = arena_alloc(a, (size_t)dataset_bytes(q->o->data, i));
        RETURN_IF_FAIL(dataset_read(q->o->data, sample, i, in[i].data));
    }
    RETURN_IF_FAIL(interpret(a, q->g, in, &run));
    for (int i = 0; i < q->g->n_in; i++)
        observe(q, q->g->in[i], &run, f);
    for (const struct ir_node *n = q->g->first; n; n = n->next)
        for (int i = 0; i < n->n_out; i++)
            observe(q, n->out[i], &run, f);
    return OK;
}

static struct status *observe_samples(struct quantizer *q, observe_fn *f)
{
    struct status *s = OK;

    for (int64_t i = 0; i < q->o->n_samples && !s; i++) {
        struct arena *a = arena_create();

        s = run_sample(q, a, q->o->sample[i], f);
        arena_destroy(a);
        s = status_note(s, "while calibrating with sample %lld",
                        (long long)q->o->sample[i]);
    }
    return s;
}

static void join_observers(struct quantizer *q)
{
    for (int i = 0; i < q->n_values; i++) {
        const int group = group_of(q, i);
        struct tensor_plan *whole = &q->plan[group];

        if (group == i || !q->plan[i].observer)
            continue;
        if (!whole->observer)
            whole->observer = arena_new(q->c->perm, struct observer);
        observe_join(whole->observer, q->plan[i].observer);
    }
}

/* ---- writing --------------------------------------------------------------------- */

static const char linear[] = "axis=0 block_size=0";

/* The reads of v in the model's own graph become reads of `by`. */
static void redirect(struct ir_graph *g, const struct ir_value *v, struct ir_value *by,
                     const struct ir_node *except)
{
    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 0; n != except && i < n->n_in; i++)
            if (n->in[i] == v)
                ir_set_input(n, i, by);
}

static struct status *write_tensor(struct quantizer *q, struct ir_value *v)
{
    const struct observer *o = q->plan[group_of(q, v->id)].observer;
    struct ir_node *at = v->def ? v->def->next : q->g->first;
    struct ir_value *codes, *reals;

    if (!o)
        return OK;
    const struct activation_grid grid = observe_choose(o);
    const int8_t zero = (int8_t)grid.zero;
    struct ir_value *scale = ir_const_f32(q->c, grid.scale);
    struct ir_value *point = ir_const(q->c, NULL, DT_i8, 0, NULL, &zero);
    struct ir_value *in[] = {v, scale, point};

    RETURN_IF_FAIL(ir_emit(q->g, at, OP_QuantizeLinear, NULL, 3, in, linear, &codes));
    in[0] = codes;
    RETURN_IF_FAIL(ir_emit(q->g, at, OP_DequantizeLinear, NULL, 3, in, linear, &reals));
    redirect(q->g, v, reals, codes->def);
    q->result.n_tensors++;
    return OK;
}

/* Element i of a channel, channels being dim `axis` of v. */
static int64_t place_of(const struct ir_value *v, int axis, int64_t channel, int64_t i)
{
    int64_t inner = 1;

    for (int d = axis + 1; d < v->rank; d++)
        inner *= v->dim[d];
    return (i / inner * v->dim[axis] + channel) * inner + i % inner;
}

static float scale_of(const struct ir_value *w, int axis, int64_t channel, double bias,
                      double x_scale)
{
    const int64_t n = ir_count(w) / w->dim[axis];
    double most = 0.0;

    for (int64_t i = 0; i < n; i++)
        most =
            fmax(most,
                 fabs((double)((const float *)w->data)[place_of(w, axis, channel, i)]));
    const double floor = fabs(bias) / (x_scale * 0x1p30);
    const double scale = fmax(most / 127.0, floor);

    return scale >= 0x1p-126 ? (float)scale : 1.0f;
}

/* The DequantizeLinear whose scale v has, through what moves elements. */
static const struct ir_node *dequantize_behind(const struct ir_value *v)
{
    while (v->def && (moves_one_tensor(v->def) || v->def->op == OP_Concat))
        v = v->def->in[0];
    return match_def(v, OP_DequantizeLinear);
}

static struct status *write_weights(struct quantizer *q, struct ir_node *n, int axis)
{
    const struct ir_value *w = n->in[W], *b = ir_in(n, B);
    const struct ir_node *dx = dequantize_behind(n->in[X]);
    const int64_t channels = w->dim[axis], per_channel = ir_count(w) / channels;
    double x_scale;

    if (!dx || !ir_const_scalar(dx->in[1], &x_scale))
        return OK;
    int8_t *codes = arena_new_array(q->c->perm, int8_t, ir_count(w));
    int8_t *zeros = arena_new_array(q->c->perm, int8_t, channels);
    float *scales = arena_new_array(q->c->perm, float, channels);

    for (int64_t c = 0; c < channels; c++) {
        const float *bias = b ? b->data : NULL;

        scales[c] = scale_of(
            w, axis, c, bias ? (double)bias[ir_count(b) == 1 ? 0 : c] : 0.0, x_scale);
        for (int64_t i = 0; i < per_channel; i++) {
            const int64_t at = place_of(w, axis, c, i);
            const double t = (double)((const float *)w->data)[at] / (double)scales[c];

            codes[at] = (int8_t)nearbyint(fmin(127.0, fmax(-127.0, t)));
        }
    }
    struct ir_value *reals,
        *in[] = {
            ir_const_ref(q->c, w->name, DT_i8, w->rank, w->dim, codes),
            ir_const_ref(q->c, NULL, DT_f32, 1, &channels, scales),
            ir_const_ref(q->c, NULL, DT_i8, 1, &channels, zeros),
        };

    RETURN_IF_FAIL(ir_emit(q->g, n, OP_DequantizeLinear, NULL, 3, in,
                           arena_printf(q->c->perm, "axis=%d block_size=0", axis),
                           &reals));
    ir_set_input(n, W, reals);
    return OK;
}

static struct status *write_graph(struct quantizer *q)
{
    for (int i = 0; i < q->g->n_in; i++)
        if (is_source(q, q->g->in[i]))
            RETURN_IF_FAIL(write_tensor(q, q->g->in[i]));
    for (struct ir_node *n = q->g->first, *next; n; n = next) {
        next = n->next;
        for (int i = 0; i < n->n_out; i++)
            if (is_source(q, n->out[i]))
                RETURN_IF_FAIL(write_tensor(q, n->out[i]));
    }
    for (struct ir_node *n = q->g->first; n; n = n->next) {
        const int axis = channel_axis(n);

        if (axis >= 0)
            RETURN_IF_FAIL(write_weights(q, n, axis));
    }
    return OK;
}

struct status *quantize_graph(struct compile *c, struct ir_graph *g,
                              const struct quantize_options *o,
                              struct quantize_result *out)
{
    struct quantizer q = {.c = c, .g = g, .o = o, .n_values = c->n_values};

    q.plan = arena_new_array(c->perm, struct tensor_plan, q.n_values);
    choose_tensors(&q);
    group_operands(&q);
    RETURN_IF_FAIL(observe_samples(&q, observe_range));
    RETURN_IF_FAIL(observe_samples(&q, observe_values));
    join_observers(&q);
    RETURN_IF_FAIL(write_graph(&q));
    *out = q.result;
    return OK;
}
