/* SPDX-License-Identifier: Apache-2.0 */
/* Where values and gradients lie in a shard's memory: each from the first step that
 * writes it to the last that reads it, steps counted forwards and then backwards.
 * Placed largest first, each as low as it fits (as codegen/planner.c does). */
#include <stdlib.h>
#include <string.h>

#include "train/tape_parts.h"

/* Vectors reach past the end of a block, and a little before it. */
enum { BEFORE = 64, BEYOND = 256 };

struct block {
    size_t bytes, at;
    int first, last;
    size_t *place;
    int number; /* of equal sizes the earlier one first */
};

struct plan {
    struct tape *t;
    int n_blocks, cap;
    struct block *block;
    int end; /* the loss; backward step i is at 2 * end - i */
};

struct life {
    int first, last; /* last < first: not used */
};

static void widen(struct life *l, int time)
{
    if (l->last < l->first)
        *l = (struct life){time, time};
    if (time < l->first)
        l->first = time;
    if (time > l->last)
        l->last = time;
}

static int64_t element_bytes(const struct tape_slot *s)
{
    return s->is_real ? (int64_t)sizeof(real)
                      : (int64_t)dtype_info[s->value->dtype].bytes;
}

static void add_block(struct plan *p, size_t bytes, struct life l, size_t *place)
{
    if (l.last < l.first)
        return;
    p->block = arena_grow(p->t->a, p->block, sizeof *p->block, p->n_blocks, &p->cap);
    p->block[p->n_blocks] = (struct block){.bytes = (bytes + 63) / 64 * 64 + BEYOND,
                                           .first = l.first,
                                           .last = l.last,
                                           .place = place,
                                           .number = p->n_blocks};
    p->n_blocks++;
}

static struct tape_slot *on_tape(const struct tape *t, const struct ir_value *v)
{
    return v && t->slot[v->id].on_tape ? &t->slot[v->id] : NULL;
}

static void live_values(const struct plan *p, struct life *life)
{
    const struct tape *t = p->t;

    for (int i = 0; i < t->graph->n_in; i++)
        if (t->slot[t->graph->in[i]->id].value) {
            widen(&life[t->graph->in[i]->id], -1);
            if (t->options.differentiate_inputs) /* they stay for another run */
                widen(&life[t->graph->in[i]->id], 2 * p->end + 1);
        }
    for (int i = 0; i < t->n_steps; i++) {
        const struct tape_step *s = &t->step[i];
        const unsigned traits = s->d ? s->d->traits : 0;

        for (int k = 0; k < s->node->n_in; k++) {
            const struct tape_slot *x = on_tape(t, s->node->in[k]);

            if (x)
                widen(&life[x->home], i);
            if (x && s->back && (traits & KEEPS_IN))
                widen(&life[x->home], 2 * p->end - i);
        }
        for (int k = 0; k < s->node->n_out; k++) {
            const struct tape_slot *y = on_tape(t, s->node->out[k]);

            if (y)
                widen(&life[y->home], i);
            if (y && s->back && (traits & KEEPS_OUT))
                widen(&life[y->home], 2 * p->end - i);
        }
    }
    for (int k = 0; k < t->n_outputs; k++)
        widen(&life[t->output[k]->home], p->end);
}

static void live_gradients(const struct plan *p, struct life *life)
{
    const struct tape *t = p->t;

    for (int k = 0; k < t->n_outputs; k++)
        if (t->output[k]->has_gradient)
            widen(&life[t->output[k]->gradient_home], p->end);
    for (int i = 0; i < t->n_steps; i++) {
        const struct tape_step *s = &t->step[i];

        for (int k = 0; s->back && k < s->node->n_in; k++) {
            const struct tape_slot *x = on_tape(t, s->node->in[k]);

            if (x && x->has_gradient)
                widen(&life[x->gradient_home], 2 * p->end - i);
        }
        for (int k = 0; s->back && k < s->node->n_out; k++) {
            const struct tape_slot *y = on_tape(t, s->node->out[k]);

            if (y && y->has_gradient)
                widen(&life[y->gradient_home], 2 * p->end - i);
        }
    }
    for (int i = 0; i < t->graph->n_in; i++) { /* asked for at the very end */
        const struct tape_slot *x = on_tape(t, t->graph->in[i]);

        if (x && x->has_gradient)
            widen(&life[x->gradient_home], 2 * p->end + 1);
    }
}

static int by_size(const void *a, const void *b)
{
    const struct block *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->number - y->number;
}

/* The lowest place where nothing lies that is alive at the same time. */
static size_t lowest_place(const struct block *placed, int n, const struct block *b)
{
    size_t at = 0;

    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const struct block *o = &placed[i];

            if (o->first <= b->last && b->first <= o->last && o->at < at + b->bytes
                && at < o->at + o->bytes) {
                at = o->at + o->bytes;
                moved = true;
            }
        }
    }
    return at;
}

static void place_blocks(struct plan *p)
{
    struct tape *t = p->t;

    qsort(p->block, (size_t)p->n_blocks, sizeof *p->block, by_size);
    for (int i = 0; i < p->n_blocks; i++) {
        struct block *b = &p->block[i];

        b->at = lowest_place(p->block, i, b);
        *b->place = b->at + BEFORE;
        if (b->at + b->bytes > t->shard_bytes)
            t->shard_bytes = b->at + b->bytes;
    }
}

void tape_plan_memory(struct tape *t)
{
    struct plan p = {.t = t, .end = t->n_steps};
    struct life *values = arena_new_array(t->a, struct life, t->n_slots);
    struct life *gradients = arena_new_array(t->a, struct life, t->n_slots);

    for (int i = 0; i < t->n_slots; i++)
        values[i] = gradients[i] = (struct life){0, -1};
    live_values(&p, values);
    if (t->options.backward)
        live_gradients(&p, gradients);
    for (int i = 0; i < t->n_slots; i++) {
        struct tape_slot *s = &t->slot[i];
        const size_t n = (size_t)(t->shard_size * (s->value ? s->count : 0));

        add_block(&p, s->value ? n * (size_t)element_bytes(s) : 0, values[i], &s->at);
        add_block(&p, n * sizeof(real), gradients[i], &s->gradient_at);
    }
    for (int i = 0; i < t->n_steps; i++) {
        struct tape_step *s = &t->step[i];

        if (s->kept_bytes)
            add_block(&p, s->kept_bytes, (struct life){i, s->back ? 2 * p.end - i : i},
                      &s->kept_at);
    }
    place_blocks(&p);
    t->shard_bytes += BEFORE;
}
