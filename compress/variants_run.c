/* SPDX-License-Identifier: Apache-2.0 */
/* The stitched network: see variants.h.
 *
 * Every value has a signature of how it came about: the node, the signatures of what it
 * read, the variant of its unit, whether it became codes.  A value whose signature is
 * that of the plan before stays, some of earlier plans come back (variants_kept.c), and
 * what only leads to these is not computed.
 */
#include <math.h>
#include <string.h>

#include "compress/lanes.h"
#include "compress/product_batch.h"
#include "compress/unit_losses.h"
#include "compress/variants_parts.h"
#include "support/random.h"
#include "train/tiles.h"

enum {
    CHUNK_BYTES = 160 << 10,
    MOST_CHUNK = 32,
    LEAST_MATCHED = 256, /* numbers that a deviation is believed from */
};

static const double MOST_SCALE = 2.0; /* of a deviation that is mended */

struct job;

struct stitching {
    struct variants_whole *w;
    const struct variant *plan;
    const bool *removed;
    struct tensor_uses uses;
    struct arena *a;
    uint64_t *wanted; /* by value: how it comes about in this plan */
    struct job *jobs;
    int n_jobs;
};

/* A node that has to be computed again. */
struct job {
    const struct ir_node *n;
    const struct made_unit *u; /* NULL: no unit */
    float *weights, *bias;     /* [channels][k] and [channels] of the unit */
    struct product_batch *batch;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a * UINT64_C(0x9e3779b97f4a7c15) ^ b;

    return splitmix64(&state) | 1;
}

/* ---- tensors --------------------------------------------------------------------- */

static bool is_codes(const struct stitching *s, struct ir_value *v)
{
    return v && s->w->observed.q->tensors[v->id].is_source
           && tensor_is_source(&s->uses, v);
}

static struct tiles_codes codes_of(const struct stitching *s, const struct ir_value *v)
{
    const struct activation_grid *g = &s->w->observed.q->tensors[v->id].grid;

    return (struct tiles_codes){g->scale, (float)(-128 - g->zero),
                                (float)(127 - g->zero)};
}

/* To the nearest codes. */
static void quantize(const struct stitching *s, const struct ir_value *v, int64_t first,
                     int64_t n)
{
    const struct tiles_codes codes = codes_of(s, v);

    for (int64_t i = first; i < first + n; i++) {
        float *x = flow_at(s->w->stitched, v, i);

        lanes_here()->round(ir_count(v), &codes, x, x);
    }
}

static void run_inputs(struct stitching *s)
{
    struct variants_whole *w = s->w;

    for (int k = 0; k < w->g->n_in; k++) {
        struct ir_value *v = w->g->in[k];
        const uint64_t signature = mix((uint64_t)k + 1, is_codes(s, v));

        s->wanted[v->id] = signature;
        if (w->signature[v->id] == signature)
            continue;
        for (int64_t i = 0; i < flow_n(w->stitched); i++)
            memcpy(flow_at(w->stitched, v, i), w->inputs[i * w->g->n_in + k],
                   (size_t)ir_bytes(v));
        if (is_codes(s, v))
            quantize(s, v, 0, flow_n(w->stitched));
        w->signature[v->id] = signature;
    }
}

/* ---- what is to be done ---------------------------------------------------------- */

/* Inputs of a channel that are removed; NULL: none. */
static const bool *gone_inputs(const struct stitching *s, const struct made_unit *u)
{
    bool *gone = arena_new_array(s->a, bool, u->p.k), any = false;

    for (int64_t i = 0; i < u->p.k; i++) {
        gone[i] = u->class[i] != CHANNEL_FIXED && s->removed[u->class[i]];
        any |= gone[i];
    }
    return any ? gone : NULL;
}

static bool is_gone(const struct stitching *s, const struct ir_value *y, int dim,
                    int64_t channel)
{
    const int *class = s->w->v.channels->of[y->id][dim];

    return class[channel] != CHANNEL_FIXED && s->removed[class[channel]];
}

/* Outputs that are removed, which nothing reads; NULL: none. */
static const bool *gone_outputs(const struct stitching *s, int unit)
{
    const struct unit *u = &s->w->v.units[unit];
    bool *gone = arena_new_array(s->a, bool, u->channels), any = false;

    for (int64_t c = 0; c < u->channels; c++)
        any |= gone[c] = is_gone(s, u->node->out[0], channels_dim(u), c);
    return any ? gone : NULL;
}

/* Bodies read what is not among the operands: all that there is so far. */
static uint64_t signature_of(const struct stitching *s, const struct ir_node *n, int at,
                             const struct made *m)
{
    const struct variants_whole *w = s->w;
    const struct unit *u = m ? &w->v.units[w->unit_of[at]] : NULL;
    uint64_t sum = mix((uint64_t)at + 100, m ? (uint64_t)m->id : 0);

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data)
            sum = mix(sum, s->wanted[n->in[i]->id]);
    for (int i = 0; n->body[0] && i < w->c->n_values; i++)
        sum = mix(sum, s->wanted[i]);
    for (int64_t c = 0; u && c < u->channels; c++)
        if (is_gone(s, n->out[0], channels_dim(u), c))
            sum = mix(sum, (uint64_t)c);
    for (int i = 0; i < n->n_out; i++)
        sum = mix(sum, is_codes(s, n->out[i]));
    return sum;
}

static uint64_t output_signature(uint64_t node, int i)
{
    return node + 2 * (uint64_t)i; /* odd as it is: never 0 */
}

static bool is_there(struct variants_whole *w, const struct ir_node *n,
                     uint64_t signature)
{
    for (int i = 0; i < n->n_out; i++) {
        const struct ir_value *v = n->out[i];
        const uint64_t wanted = output_signature(signature, i);

        if (v && w->signature[v->id] != wanted && !variants_recall(w, v, wanted))
            return false;
    }
    return true;
}

/* A node of the plan that runs. */
struct visit {
    const struct ir_node *n;
    const struct made *m; /* NULL: no unit */
    uint64_t signature;
    bool runs;
};

static void add_job(struct stitching *s, const struct visit *v, int unit)
{
    const struct made *m = v->m;
    const struct made_unit *u = m ? &s->w->made[unit] : NULL;
    struct job *j = &s->jobs[s->n_jobs++];

    *j = (struct job){.n = v->n, .u = u};
    for (int i = 0; i < v->n->n_out; i++)
        if (v->n->out[i]) {
            variants_keep(s->w, v->n->out[i]);
            s->w->signature[v->n->out[i]->id] = output_signature(v->signature, i);
        }
    flow_make(s->w->stitched, v->n);
    if (!u)
        return;

    const int64_t channels = u->p.channels, k = u->p.k;

    j->weights = arena_new_array(s->a, float, channels *k);
    for (int64_t i = 0; i < channels * k; i++)
        j->weights[i] = m->codes ? m->scale[i / k] * (float)m->codes[i] : m->weights[i];
    j->bias = arena_copy(s->a, m->bias, (size_t)channels * sizeof *m->bias);
    j->batch =
        product_batch_create(s->a, &u->p, j->weights, m->gone, gone_outputs(s, unit));
}

/* How every value of the plan comes about. */
static struct status *visit_all(struct stitching *s, struct visit *visits)
{
    struct variants_whole *w = s->w;
    int at = 0;

    for (const struct ir_node *n = w->g->first; n; n = n->next, at++) {
        struct visit *v = &visits[at];
        const int unit = w->unit_of[at];

        v->n = n;
        if (unit >= 0)
            RETURN_IF_FAIL(variants_make(w, unit, gone_inputs(s, &w->made[unit]),
                                         variants_bits(&w->v, unit, s->plan[unit].bits),
                                         &v->m));
        v->signature = signature_of(s, n, at, v->m);
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i])
                s->wanted[n->out[i]->id] = output_signature(v->signature, i);
    }
    return OK;
}

static bool is_needed(const struct ir_node *n, const bool *needed)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && needed[n->out[i]->id])
            return true;
    return false;
}

/* From the outputs back to what is there: a body may read whatever comes before it. */
static void choose_visits(struct stitching *s, struct visit *visits)
{
    struct variants_whole *w = s->w;
    bool *needed = arena_new_array(s->a, bool, w->c->n_values), all = false;

    for (int i = 0; i < w->g->n_out; i++)
        needed[w->g->out[i]->id] = true;
    for (int at = w->n_nodes - 1; at >= 0; at--) {
        struct visit *v = &visits[at];

        v->runs = (all || is_needed(v->n, needed)) && !is_there(w, v->n, v->signature);
        all |= v->runs && v->n->body[0];
        for (int i = 0; i < v->n->n_in && v->runs; i++)
            if (v->n->in[i])
                needed[v->n->in[i]->id] = true;
    }
}

static struct status *list_jobs(struct stitching *s)
{
    struct variants_whole *w = s->w;
    struct visit *visits = arena_new_array(s->a, struct visit, w->n_nodes + 1);

    s->jobs = arena_new_array(s->a, struct job, w->n_nodes + 1);
    RETURN_IF_FAIL(visit_all(s, visits));
    choose_visits(s, visits);
    for (int at = 0; at < w->n_nodes; at++)
        if (visits[at].runs)
            add_job(s, &visits[at], w->unit_of[at]);
    return OK;
}

/* ---- doing it -------------------------------------------------------------------- */

void variants_matched(const struct variants_whole *w, const struct product *p,
                      const struct flow *f, double *mean, double *deviation)
{
    const struct ir_value *y = p->node->out[0];
    const int64_t inner = p->by_rows ? 1 : p->out[0] * p->out[1] * p->out[2];
    const int64_t n = ir_count(y), channels = p->channels;
    const double each = (double)(w->n_matched * n / channels);

    memset(mean, 0, (size_t)channels * sizeof *mean);
    memset(deviation, 0, (size_t)channels * sizeof *deviation);
    for (int64_t i = 0; i < w->n_matched; i++) {
        const float *x = flow_at(f, y, i);

        for (int64_t b = 0; b < n / inner; b++) {
            float sum = 0.0f, squares = 0.0f;

            for (int64_t k = 0; k < inner; k++) {
                sum += x[b * inner + k];
                squares += x[b * inner + k] * x[b * inner + k];
            }
            mean[b % channels] += (double)sum / each;
            deviation[b % channels] += (double)squares / each;
        }
    }
    for (int64_t c = 0; c < channels; c++)
        deviation[c] = sqrt(fmax(deviation[c] - mean[c] * mean[c], 0.0));
}

/* Weights and bias take up what means and deviations of the matched samples have moved
 * by; these have been computed without that, and are mended in place. */
static void match(const struct stitching *s, struct job *j)
{
    const struct product *p = &j->u->p;
    const struct ir_value *y = p->node->out[0];
    const int64_t inner = p->by_rows ? 1 : p->out[0] * p->out[1] * p->out[2];
    const int64_t n = ir_count(y), channels = p->channels;
    double *mean = arena_new_array(s->a, double, channels);
    double *deviation = arena_new_array(s->a, double, channels);
    float *scale = arena_new_array(s->a, float, channels);
    float *shift = arena_new_array(s->a, float, channels);
    const bool has_many = s->w->n_matched * n / channels >= LEAST_MATCHED;

    variants_matched(s->w, p, s->w->stitched, mean, deviation);
    for (int64_t c = 0; c < channels; c++) {
        const double ratio = j->u->deviation_y[c] / deviation[c];
        const bool holds = has_many && ratio > 1.0 / MOST_SCALE && ratio < MOST_SCALE;

        scale[c] = holds ? (float)ratio : 1.0f;
        shift[c] = (float)(j->u->mean_y[c] - (double)scale[c] * mean[c]);
        j->bias[c] = j->bias[c] * scale[c] + shift[c];
    }
    product_batch_scale(j->batch, scale);
    for (int64_t i = 0; i < s->w->n_matched; i++) {
        float *x = flow_at(s->w->stitched, y, i);

        for (int64_t b = 0; b < n / inner; b++)
            for (int64_t k = b * inner; k < (b + 1) * inner; k++)
                x[k] = x[k] * scale[b % channels] + shift[b % channels];
    }
}

/* The matched samples come first and say what becomes of all others. */
static void run_unit(const struct stitching *s, struct job *j, int64_t first, int64_t n)
{
    struct flow *f = s->w->stitched;
    const struct ir_value *x = j->n->in[0], *y = j->n->out[0];

    product_batch_run(j->batch, n, flow_at(f, x, first), flow_pitch(x), j->bias,
                      flow_at(f, y, first), flow_pitch(y));
    if (first == 0 && j->n->op != OP_MatMul)
        match(s, j);
}

static bool is_plain(const struct ir_value *v, int64_t count)
{
    return v && v->dtype == DT_f32 && !v->dynamic && !v->data && ir_count(v) == count;
}

/* The two that are between most units; false: it is neither. */
static bool run_simple(const struct stitching *s, const struct ir_node *n, int64_t i)
{
    struct flow *f = s->w->stitched;
    const struct ir_value *v = n->out[0];
    const int64_t count = ir_count(v);
    float *y = flow_at(f, v, i);

    if (n->op == OP_Relu && is_plain(n->in[0], count)) {
        const struct tiles_codes codes = codes_of(s, v);

        /* Codes of what is never negative begin at 0: rounding cuts off the rest. */
        if (is_codes(s, n->out[0]) && codes.least >= 0.0f)
            lanes_here()->round(count, &codes, flow_at(f, n->in[0], i), y);
        else
            tiles_here()->relu(count, flow_at(f, n->in[0], i), y);
        return true;
    }
    if (n->op != OP_Add || !is_plain(n->in[0], count) || !is_plain(n->in[1], count))
        return false;

    lanes_here()->add(count, flow_at(f, n->in[0], i), flow_at(f, n->in[1], i), y);
    return true;
}

static struct status *run_job(const struct stitching *s, struct job *j, int64_t first,
                              int64_t n)
{
    int64_t done = 0;

    if (j->u) {
        run_unit(s, j, first, n);
        done = n;
    }
    while (done < n && run_simple(s, j->n, first + done))
        done++;
    if (done < n)
        RETURN_IF_FAIL(flow_run_some(s->w->stitched, j->n, first + done, n - done));
    for (int i = 0; i < j->n->n_out; i++)
        if (is_codes(s, j->n->out[i]))
            quantize(s, j->n->out[i], first, n);
    return OK;
}

/* Samples of which some values of a job's size stay in a cache. */
static int64_t chunk_of(const struct job *j)
{
    int64_t most = 1;

    for (int k = 0; k < j->n->n_out; k++)
        if (j->n->out[k] && ir_bytes(j->n->out[k]) > most)
            most = ir_bytes(j->n->out[k]);
    return CHUNK_BYTES / most < 1            ? 1
           : CHUNK_BYTES / most > MOST_CHUNK ? MOST_CHUNK
                                             : CHUNK_BYTES / most;
}

/* Jobs of one size, chunk after chunk of all samples. */
static struct status *run_alike(const struct stitching *s, struct job *jobs, int n_jobs,
                                int64_t chunk)
{
    const int64_t n = flow_n(s->w->stitched);

    for (int64_t i = 0, count; i < n; i += count) {
        count = i == 0 ? s->w->n_matched : n - i < chunk ? n - i : chunk;
        for (int k = 0; k < n_jobs; k++)
            RETURN_IF_FAIL(run_job(s, &jobs[k], i, count));
    }
    return OK;
}

static struct status *run_jobs(const struct stitching *s)
{
    for (int k = 0, end; k < s->n_jobs; k = end) {
        const int64_t chunk = chunk_of(&s->jobs[k]);

        for (end = k + 1; end < s->n_jobs && chunk_of(&s->jobs[end]) == chunk;)
            end++;
        RETURN_IF_FAIL(run_alike(s, s->jobs + k, end - k, chunk));
    }
    return OK;
}

static void find_uses(struct stitching *s)
{
    const struct variants_whole *w = s->w;
    enum tensor_reader *reader =
        arena_new_array(s->a, enum tensor_reader, w->n_nodes + 1);

    for (int i = 0; i < w->n_nodes; i++) {
        const int unit = w->unit_of[i];

        reader[i] = unit >= 0 && variants_bits(&w->v, unit, s->plan[unit].bits) < 16
                        ? READS_CODES
                        : READS_FLOATS;
    }
    s->uses = tensor_uses_find(s->a, w->g, reader);
}

/* ---- scores ---------------------------------------------------------------------- */

struct outputs variants_outputs_of(const struct variants_whole *w, const struct flow *f,
                                   struct arena *a)
{
    const struct ir_graph *g = w->g;
    struct outputs to = {.n = w->v.n_scored, .n_outputs = g->n_out};

    to.output = arena_new_array(a, struct output, g->n_out);
    for (int k = 0; k < g->n_out; k++) {
        const struct ir_value *v = g->out[k];
        struct output *o = &to.output[k];

        *o = (struct output){.name = v->name, .rank = v->rank, .row = ir_count(v)};
        memcpy(o->dim, v->dim, sizeof o->dim);
        if (v->dtype != DT_f32 || v->dynamic)
            continue;
        o->at = arena_new_array(a, float, to.n * o->row);
        for (int64_t i = 0; i < to.n; i++)
            memcpy(o->at + i * o->row, flow_at(f, v, w->n_matched + i),
                   (size_t)o->row * sizeof *o->at);
    }
    return to;
}

static struct status *score(const struct stitching *s, struct variants_result *out)
{
    const struct variants_whole *w = s->w;
    const struct outputs mine = variants_outputs_of(w, w->stitched, s->a);
    struct score score;

    out->loss = output_loss_from(w->data, w->g, w->original, w->stitched, w->n_matched);
    RETURN_IF_FAIL(evaluate_score(w->data, w->scored, &w->outputs, &mine, &score));
    out->drop = score_drop(&score);
    return OK;
}

static struct status *run(struct stitching *s, struct variants_result *out)
{
    struct variants_whole *w = s->w;
    bool *removed = arena_new_array(s->a, bool, w->v.channels->n_classes + 1);

    variants_remove(&w->v, s->plan, removed);
    s->removed = removed;
    s->wanted = arena_new_array(s->a, uint64_t, w->c->n_values);
    find_uses(s);
    run_inputs(s);
    RETURN_IF_FAIL(list_jobs(s));
    RETURN_IF_FAIL(run_jobs(s));
    return score(s, out);
}

struct status *variants_run(struct variants *v, const struct variant *plan,
                            struct variants_result *out)
{
    struct stitching s = {.w = (struct variants_whole *)v, .plan = plan};
    struct status *status;

    s.a = arena_create();
    status = run(&s, out);
    arena_destroy(s.a);
    return status_note(status, "while running a plan's network");
}
