/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a tape: see tape.h.  Between two places where shards must meet, each shard goes
 * through all steps at once. */
#include "train/tape.h"

#include <string.h>

#include "train/tape_parts.h"

/* Steps in a row on every shard. */
struct stretch {
    struct tape *t;
    int first, last; /* forwards first <= i < last, backwards first >= i > last */
    bool measures;   /* then step `last` measures */
};

static void zero_gradients(const struct tape_call *c)
{
    for (int i = 0; i < c->step->node->n_in; i++)
        if (c->zeroed[i] && c->d_in[i])
            memset(c->d_in[i], 0, (size_t)(c->n * c->in_count[i]) * sizeof(real));
}

static struct tape_call *call_for(struct tape *t, int64_t shard, int i, int worker)
{
    struct tape_call *c = &t->shard[shard].call[i];
    const int64_t left = t->n - shard * t->shard_size;

    c->n = left < t->shard_size ? left : t->shard_size;
    c->scratch = t->scratch[worker];
    return c;
}

static void run_forward(struct tape *t, int64_t shard, int i, int worker)
{
    struct tape_call *c = call_for(t, shard, i, worker);

    if (c->step->d)
        c->step->d->forward(c);
    else
        tape_interpret(c, worker);
}

static void forward_stretch(void *arg, int64_t shard, int worker)
{
    const struct stretch *s = arg;

    for (int i = s->first; i < s->last; i++)
        run_forward(s->t, shard, i, worker);
    if (s->measures)
        s->t->step[s->last].measure(call_for(s->t, shard, s->last, worker));
}

static void backward_stretch(void *arg, int64_t shard, int worker)
{
    const struct stretch *s = arg;

    for (int i = s->first; i > s->last; i--) {
        struct tape_call *c = call_for(s->t, shard, i, worker);

        if (!c->step->back)
            continue;
        zero_gradients(c);
        c->step->d->backward(c);
    }
    if (s->measures)
        s->t->step[s->last].measure_back(call_for(s->t, shard, s->last, worker));
}

static int64_t shards_in_use(const struct tape *t)
{
    return (t->n + t->shard_size - 1) / t->shard_size;
}

static void refresh(void *arg, int64_t i, int worker)
{
    struct tape *t = arg;

    (void)worker;
    if (t->step[i].refresh)
        t->step[i].refresh(t, &t->step[i]);
}

void tape_forward(struct tape *t, int64_t n)
{
    t->n = n;
    tape_round_weights(t);
    workers_run(t->workers, refresh, t, t->n_steps);
    for (int i = 0, measured = -1; i < t->n_steps;) {
        struct stretch s = {.t = t, .first = i, .last = i};

        while (s.last < t->n_steps
               && (s.last == measured || !t->training || !t->step[s.last].measure))
            s.last++;
        s.measures = s.last < t->n_steps;
        workers_run(t->workers, forward_stretch, &s, shards_in_use(t));
        if (s.measures)
            t->step[s.last].meet(t, &t->step[s.last]);
        i = measured = s.last;
    }
}

/* ---- backwards ------------------------------------------------------------------ */

enum { PIECE = 16384 };

static void clear_gradient(void *arg, int64_t shard, int worker)
{
    struct tape *t = arg;

    (void)worker;
    memset(t->shard[shard].gradient, 0, (size_t)t->n_elements * sizeof(real));
}

/* The shards' sums, always in the same order. */
static void add_gradients(void *arg, int64_t piece, int worker)
{
    struct tape *t = arg;
    const int64_t n = shards_in_use(t), first = piece * PIECE;
    const int64_t end = first + PIECE < t->n_elements ? first + PIECE : t->n_elements;

    (void)worker;
    memcpy(t->gradient + first, t->shard[0].gradient + first,
           (size_t)(end - first) * sizeof(real));
    for (int64_t c = 1; c < n; c++)
        for (int64_t i = first; i < end; i++)
            t->gradient[i] += t->shard[c].gradient[i];
}

void tape_backward(struct tape *t, int64_t n)
{
    t->n = n;
    workers_run(t->workers, clear_gradient, t, shards_in_use(t));
    for (int i = t->n_steps - 1, measured = -1; i >= 0;) {
        struct stretch s = {.t = t, .first = i, .last = i};

        while (s.last >= 0
               && (s.last == measured || !t->training || !t->step[s.last].back
                   || !t->step[s.last].measure_back))
            s.last--;
        s.measures = s.last >= 0;
        workers_run(t->workers, backward_stretch, &s, shards_in_use(t));
        if (s.measures)
            t->step[s.last].meet_back(t, &t->step[s.last]);
        i = measured = s.last;
    }
    workers_run(t->workers, add_gradients, t, (t->n_elements + PIECE - 1) / PIECE);
    tape_codes_gradient(t);
}

/* ---- access --------------------------------------------------------------------- */

static char *shard_of(const struct tape *t, int64_t i, int64_t *within)
{
    *within = i % t->shard_size;
    return t->shard[i / t->shard_size].memory;
}

static real *gradient_of(const struct tape *t, const struct tape_slot *s, int64_t i)
{
    int64_t within;
    char *memory = shard_of(t, i, &within);

    return (real *)(memory + t->slot[s->gradient_home].gradient_at) + within * s->count;
}

void *tape_input(struct tape *t, int64_t i, int k)
{
    const struct tape_slot *s = &t->slot[t->graph->in[k]->id];
    int64_t within;
    char *memory = shard_of(t, i, &within);
    const int64_t bytes =
        s->is_real ? s->count * (int64_t)sizeof(real) : ir_bytes(s->value);

    return memory + s->at + within * bytes;
}

const real *tape_output(const struct tape *t, int64_t i, int k)
{
    const struct tape_slot *s = t->output[k];
    int64_t within;
    char *memory = shard_of(t, i, &within);

    return (const real *)(memory + t->slot[s->home].at) + within * s->count;
}

real *tape_output_gradient(struct tape *t, int64_t i, int k)
{
    return gradient_of(t, t->output[k], i);
}

const real *tape_input_gradient(const struct tape *t, int64_t i, int k)
{
    return gradient_of(t, &t->slot[t->graph->in[k]->id], i);
}
