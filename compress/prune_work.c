/* SPDX-License-Identifier: Apache-2.0 */
/* How much is computed with the channels that are left, kept up to date class by class.
 *
 *     multiply-adds   u.macs * (outputs left / outputs) * (inputs left / inputs)
 *     in tiles        the same with the numbers left rounded up: on tiles of 16 and 4,
 *                     30 outputs and 6 inputs are 32 and 8
 *     time            what the device's cost model says of units of that size
 *
 * A depthwise unit has one input for each output, and no tile of these. */
#include "compress/prune_parts.h"

enum { W = 1 };

struct size {
    double macs; /* for one output and one input */
    int64_t outputs, inputs;
    bool sums;       /* over inputs that a tile can have */
    int64_t columns; /* of a window: their inputs lie side by side */
};

/* What a class has of a unit. */
struct part {
    int unit;
    int64_t outputs, inputs;
};

struct part_list {
    int n, cap;
    struct part *at;
};

struct prune_sizes {
    struct arena *arena;
    struct prune_tile tile;
    int n_units;
    const struct device *device; /* or NULL */
    const struct work *works;    /* of the whole units */
    struct size *units, *before;
    struct part_list *by_class;
};

static double up_to(int64_t n, int64_t tile)
{
    return (double)(tile > 1 ? (n + tile - 1) / tile * tile : n);
}

static double macs_of(const struct size *s)
{
    return s->macs * (double)s->outputs * (double)s->inputs;
}

static double tiled_of(const struct prune_sizes *p, const struct size *s)
{
    return s->macs * up_to(s->outputs, p->tile.outputs)
           * (s->sums ? up_to(s->inputs, p->tile.inputs) : (double)s->inputs);
}

static int64_t share_of(int64_t amount, double share)
{
    return (int64_t)((double)amount * share + 0.5);
}

/* Of unit i with `s` left, in nanoseconds. */
static double time_of(const struct prune_sizes *p, int i, const struct size *s)
{
    if (!p->device)
        return 0.0;

    const struct size *all = &p->before[i];
    struct work w = p->works[i];
    const double outputs = up_to(s->outputs, p->tile.outputs) / (double)all->outputs;
    const double inputs = s->sums ? up_to(s->inputs * s->columns, p->tile.inputs)
                                        / (double)(all->inputs * all->columns)
                                  : outputs;

    w.channels = share_of(w.channels, outputs);
    w.weights = share_of(w.weights, s->sums ? outputs * inputs : outputs);
    w.in_elements = share_of(w.in_elements, inputs);
    w.out_elements = share_of(w.out_elements, outputs);
    if (s->sums)
        w.macs_per_channel = share_of(w.macs_per_channel, inputs);
    return cost_of(p->device, &w).time_ns;
}

static struct part *part_of(struct prune_sizes *p, int class, int unit)
{
    struct part_list *l = &p->by_class[class];

    if (!l->n || l->at[l->n - 1].unit != unit) {
        l->at = arena_grow(p->arena, l->at, sizeof *l->at, l->n, &l->cap);
        l->at[l->n++] = (struct part){.unit = unit};
    }
    return &l->at[l->n - 1];
}

static void add_unit(struct prune_sizes *p, const struct pruner *q, int i)
{
    const struct unit *u = &q->units[i];
    const struct ir_value *y = u->node->out[0], *w = u->node->in[W];
    const int d = channels_dim(u);
    const int *outputs = q->ch->of[y->id][d];
    struct size *s = &p->units[i];
    struct product product;

    *s = (struct size){.outputs = y->dim[d], .inputs = 1, .columns = 1};
    for (int64_t k = 0; k < y->dim[d]; k++)
        if (outputs[k] != CHANNEL_FIXED)
            part_of(p, outputs[k], i)->outputs++;
    if (product_of(u->node, &product) && product.groups == 1) {
        const int dw = product.axis == 0 ? 1 : 0;
        const int *inputs = q->ch->of[w->id][dw];

        s->sums = true;
        s->columns = product.by_rows ? 1 : product.window.kernel[2];
        s->inputs = w->dim[dw];
        for (int64_t k = 0; k < w->dim[dw]; k++)
            if (inputs[k] != CHANNEL_FIXED)
                part_of(p, inputs[k], i)->inputs++;
    }
    s->macs = (double)u->macs / ((double)s->outputs * (double)s->inputs);
}

static void sum_up(struct prune_work *w)
{
    const struct prune_sizes *p = w->sizes;

    w->macs = w->tiled = w->tiled_before = w->time = w->time_before = 0.0;
    for (int i = 0; i < p->n_units; i++) {
        w->macs += macs_of(&p->units[i]);
        w->tiled += tiled_of(p, &p->units[i]);
        w->tiled_before += tiled_of(p, &p->before[i]);
        w->time += time_of(p, i, &p->units[i]);
        w->time_before += time_of(p, i, &p->before[i]);
    }
}

struct prune_work *prune_work_create(struct pruner *q, struct prune_tile tile)
{
    struct prune_work *w = arena_new(q->arena, struct prune_work);
    struct prune_sizes *p = arena_new(q->arena, struct prune_sizes);
    struct work *works = arena_new_array(q->arena, struct work, q->p->n_units + 1);

    for (int i = 0; i < q->p->n_units; i++) {
        const struct work one =
            unit_work(&q->units[i], q->o->weight_bits, q->o->activation_bits);

        works[i] = work_of_batch(&one, q->o->batch > 1 ? q->o->batch : 1);
    }
    *p = (struct prune_sizes){.arena = q->arena,
                              .tile = tile,
                              .n_units = q->p->n_units,
                              .device = q->o->device,
                              .works = works};
    p->units = arena_new_array(q->arena, struct size, p->n_units + 1);
    p->by_class = arena_new_array(q->arena, struct part_list, q->ch->n_classes + 1);
    w->sizes = p;
    for (int i = 0; i < p->n_units; i++)
        add_unit(p, q, i);
    p->before = arena_copy(q->arena, p->units, (size_t)p->n_units * sizeof *p->units);
    sum_up(w);
    return w;
}

void prune_work_set_tile(struct prune_work *w, struct prune_tile tile)
{
    w->sizes->tile = tile;
    sum_up(w);
}

static void change(struct prune_work *w, int class, int sign)
{
    const struct part_list *l = &w->sizes->by_class[class];

    for (int i = 0; i < l->n; i++) {
        const int unit = l->at[i].unit;
        struct size *s = &w->sizes->units[unit];

        w->macs -= macs_of(s);
        w->tiled -= tiled_of(w->sizes, s);
        w->time -= time_of(w->sizes, unit, s);
        s->outputs += sign * l->at[i].outputs;
        s->inputs += sign * l->at[i].inputs;
        w->macs += macs_of(s);
        w->tiled += tiled_of(w->sizes, s);
        w->time += time_of(w->sizes, unit, s);
    }
}

void prune_work_take(struct prune_work *w, int class)
{
    change(w, class, -1);
}

void prune_work_put_back(struct prune_work *w, int class)
{
    change(w, class, 1);
}
