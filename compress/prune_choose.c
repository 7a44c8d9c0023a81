/* SPDX-License-Identifier: Apache-2.0 */
/* Which channels go: see prune.h.
 *
 * The price of a class (prune_price.c) says which of a group go first.  What such a
 * loss does to the model's outputs differs from group to group: it is measured with a
 * quarter of the group's classes removed, and again before more than that go at once.
 * Loss times harm, for what the target's kernels are spared (price_of), is what is
 * compared: kernels compute whole tiles of channels, so a candidate is as many of a
 * group's cheapest classes as free a tile.  The best candidate goes, prices are made
 * anew, until enough multiply-adds are gone.  Where tiles leave nothing to remove, and
 * more than SLACK is missing, they are halved.
 *
 * The harm is that of samples which a trial's weights were not fitted to (prune.c): few
 * samples fit any number of channels, of the last layers most of all.
 *
 * cifar_resnet20_jpegft with half of its multiply-adds in any numbers of channels, 512
 * samples, mean divergence of the outputs: 0.24 nats; with harm of the samples that
 * were fitted to 0.28; without measuring the groups 0.44; by |W_c|^2 E x_c^2 alone
 * 0.41, and the same share of every group by that 0.40 with still 54 % of the
 * multiply-adds. MobileNetV1 0.25 with 90 %, 40 samples: 0.18 nats, and 2.5 with harm
 * of the samples that were fitted to, three of four inputs of the classifier being
 * gone.
 */
#include <math.h>
#include <string.h>

#include "compress/prune_parts.h"
#include "compress/shrink.h"

/* A removal may go beyond what was asked for by this share of the multiply-adds, or by
 * as much as is missing; so much may be missing at the end. */
static const double SLACK = 0.01;
/* Losses, in nats, that are small beside this for each share of the multiply-adds do
 * not decide in networks of codes: how much time these take does. */
static const double MACS_WORTH = 0.5;
static const double TIME_COUNTS = 0.9; /* of the price; multiply-adds are the rest */

struct chooser {
    struct pruner *q;
    struct arena *scratch; /* of one removal */
    struct prices *prices;
    struct prune_work *work;
    struct prune_tile tile;
    double *weight;  /* by group: what the model loses for each loss of its readers */
    bool *is_fresh;  /* by group: measured on the candidate that it has now */
    double loss;     /* of what is removed: the sum of what each was measured to take */
    bool *must_stay; /* by class */
    double wanted;   /* multiply-adds */
};

/* Classes of one group that go together. */
struct candidate {
    int group, n;
    int *classes;
    double sum, price; /* of their losses; for each multiply-add spared */
};

static void note_unit(const struct pruner *q, const struct unit *u,
                      struct pruned_unit *out)
{
    const struct ir_value *y = u->node->out[0];
    const int d = channels_dim(u);
    int64_t *kept = arena_new_array(q->arena, int64_t, u->channels);

    out->channels = u->channels;
    out->n_kept = 0;
    for (int64_t i = 0; i < u->channels; i++)
        if (!prune_is_removed(q, q->ch->of[y->id][d][i]))
            kept[out->n_kept++] = i;
    out->kept = kept;
}

static void note_units(const struct pruner *q)
{
    for (int i = 0; i < q->p->n_units; i++)
        note_unit(q, &q->units[i], &q->p->units[i]);
}

/* The cheapest class of the group that may go; CHANNEL_FIXED: none. */
static int cheapest_of(const struct chooser *h, const struct channel_group *g)
{
    int best = CHANNEL_FIXED;

    for (int i = 0; i < g->n; i++) {
        const int c = g->classes[i];

        if (!h->q->p->removed[c] && !h->must_stay[c]
            && (best == CHANNEL_FIXED
                || prices_of(h->prices, c) < prices_of(h->prices, best)))
            best = c;
    }
    return best;
}

/* ---- groups --------------------------------------------------------------------- */

/* The cheapest quarter of the group, or one, is removed for a trial; the sum of their
 * losses. */
static double remove_quarter(struct chooser *h, const struct channel_group *g)
{
    const struct pruner *q = h->q;
    double sum = 0.0;

    for (int n = (g->n + 3) / 4; n; n--) {
        const int best = cheapest_of(h, g);

        q->p->removed[best] = true;
        if (!shrink_keeps_all_dims(q->g, q->ch, q->p->removed)) {
            q->p->removed[best] = false;
            break;
        }
        sum += prices_of(h->prices, best);
    }
    return sum;
}

static struct status *weigh_groups(struct chooser *h)
{
    struct pruner *q = h->q;

    for (int i = 0; i < q->ch->n_groups; i++) {
        if (q->o->progress)
            q->o->progress(i, q->ch->n_groups, q->o->progress_arg);

        const double sum = remove_quarter(h, &q->ch->groups[i]);
        double loss = 0.0;

        h->weight[i] = 1.0;
        if (sum > 0.0) {
            RETURN_IF_FAIL(prune_try(q, &loss));
            h->weight[i] = loss / sum;
        }
        memset(q->p->removed, 0, (size_t)q->ch->n_classes * sizeof *q->p->removed);
    }
    return OK;
}

/* ---- choosing ----------------------------------------------------------------------
 */

static int64_t most_together(const struct prune_tile *t)
{
    const int64_t n = t->outputs > t->inputs ? t->outputs : t->inputs;

    return n > 1 ? n : 1;
}

/* All that has gone went in whole tiles, or in what makes up for it.  The sums are
 * integers, but for rounding. */
static bool is_spared(const struct chooser *h)
{
    const struct prune_work *w = h->work;

    return w->tiled_before - w->tiled
           >= (1.0 - 1e-9) * ((double)h->q->p->macs_before - w->macs);
}

/* What a removal costs that loses `loss`, `before` being the work before it.  Without a
 * device, for each share of the multiply-adds in tiles.  With one, for each share of
 * the time: what is asked for is multiply-adds, so those that take little time are
 * worth something too, and as many of them as possible should take much. */
static double price_of(const struct prune_work *w, const struct prune_work *before,
                       double worth, double loss)
{
    const double macs = (before->tiled - w->tiled) / w->tiled_before;

    if (!(macs > 0.0))
        return INFINITY;
    if (!(w->time_before > 0.0))
        return loss / macs;
    return (loss + worth * macs)
           / (TIME_COUNTS * (before->time - w->time) / w->time_before
              + (1.0 - TIME_COUNTS) * macs);
}

/* In nats for all multiply-adds. */
static double worth_of(const struct chooser *h)
{
    return h->q->o->weight_bits < 16 ? MACS_WORTH : 0.0;
}

/* Of the group's cheapest classes so many as cost least for what they spare; NULL
 * classes: none that is better than `than`. */
static void find_candidate(struct chooser *h, int group, double least,
                           struct candidate *best)
{
    const struct channel_group *g = &h->q->ch->groups[group];
    const int64_t most = most_together(&h->tile);
    const struct prune_work before = *h->work;
    int *taken = arena_new_array(h->scratch, int, most), n = 0;
    double sum = 0.0;

    for (int c; n < most && (c = cheapest_of(h, g)) != CHANNEL_FIXED;) {
        h->q->p->removed[c] = true;
        prune_work_take(h->work, c);
        taken[n++] = c;
        sum += prices_of(h->prices, c);

        const double price =
            price_of(h->work, &before, worth_of(h), sum * h->weight[group]);

        if (is_spared(h) && h->work->macs >= least && price < best->price)
            *best = (struct candidate){group, n, taken, sum, price};
    }
    for (int i = 0; i < n; i++) {
        h->q->p->removed[taken[i]] = false;
        prune_work_put_back(h->work, taken[i]);
    }
}

static bool keeps_all(const struct chooser *h, const struct candidate *k)
{
    const struct pruner *q = h->q;

    for (int i = 0; i < k->n; i++)
        q->p->removed[k->classes[i]] = true;

    const bool keeps = shrink_keeps_all_dims(q->g, q->ch, q->p->removed);

    for (int i = 0; i < k->n; i++)
        q->p->removed[k->classes[i]] = false;
    return keeps;
}

/* False, and none goes, when a dim would lose all that it has. */
static bool remove_all(struct chooser *h, const struct candidate *k)
{
    if (!keeps_all(h, k)) {
        h->must_stay[k->classes[k->n - 1]] = true;
        return false;
    }
    for (int i = 0; i < k->n; i++) {
        h->q->p->removed[k->classes[i]] = true;
        prune_work_take(h->work, k->classes[i]);
        prices_take(h->prices, k->classes[i]);
    }
    h->loss += k->sum * h->weight[k->group];
    h->is_fresh[k->group] = false;
    return true;
}

/* More than a quarter of what is left of its group: too much to go by the first trial.
 */
static bool is_large(const struct chooser *h, const struct candidate *k)
{
    const struct channel_group *g = &h->q->ch->groups[k->group];
    int left = 0;

    for (int i = 0; i < g->n; i++)
        left += !h->q->p->removed[g->classes[i]];
    return 4 * k->n > left;
}

static struct status *measure(struct chooser *h, const struct candidate *k)
{
    struct pruner *q = h->q;
    double loss;

    for (int i = 0; i < k->n; i++)
        q->p->removed[k->classes[i]] = true;
    RETURN_IF_FAIL(prune_try(q, &loss));
    for (int i = 0; i < k->n; i++)
        q->p->removed[k->classes[i]] = false;
    h->is_fresh[k->group] = true;
    if (k->sum > 0.0)
        h->weight[k->group] = fmax(loss - h->loss, 0.0) / k->sum;
    return OK;
}

/* The best candidate of all; not *done: there is none. */
static struct status *remove_best(struct chooser *h, bool *done)
{
    const double gap = h->work->macs - h->wanted,
                 slack = fmax(gap, SLACK * (double)h->q->p->macs_before);
    struct status *s = OK;

    for (*done = false; !*done && !s; arena_reset(h->scratch)) {
        struct candidate best = {.price = INFINITY};

        for (int i = 0; i < h->q->ch->n_groups; i++)
            find_candidate(h, i, h->wanted - slack, &best);
        if (!best.n)
            return OK;
        if (is_large(h, &best) && !h->is_fresh[best.group] && keeps_all(h, &best))
            s = measure(h, &best);
        else
            *done = remove_all(h, &best);
    }
    return s;
}

/* Half a tile would spare no time. */
static bool is_near(const struct chooser *h)
{
    return most_together(&h->tile) > 1
           && h->work->macs - h->wanted <= SLACK * (double)h->q->p->macs_before;
}

static bool halve(struct prune_tile *t)
{
    if (t->outputs <= 1 && t->inputs <= 1)
        return false;
    *t = (struct prune_tile){t->outputs / 2, t->inputs / 2};
    return true;
}

static bool removes_any(const struct pruning *p)
{
    for (int i = 0; i < p->n_classes; i++)
        if (p->removed[i])
            return true;
    return false;
}

static struct status *choose(struct chooser *h)
{
    struct pruner *q = h->q;

    h->must_stay = arena_new_array(q->arena, bool, q->ch->n_classes + 1);
    h->weight = arena_new_array(q->arena, double, q->ch->n_groups + 1);
    h->is_fresh = arena_new_array(q->arena, bool, q->ch->n_groups + 1);
    h->work = prune_work_create(q, h->tile);
    RETURN_IF_FAIL(prices_create(q, &h->prices));
    q->p->macs_before = (int64_t)h->work->macs;
    h->wanted = (1.0 - q->o->ratio) * h->work->macs;
    RETURN_IF_FAIL(weigh_groups(h));
    while (h->work->macs > h->wanted) {
        bool done;

        RETURN_IF_FAIL(remove_best(h, &done));
        if (done)
            continue;
        if (is_near(h) || !halve(&h->tile))
            break;
        prune_work_set_tile(h->work, h->tile);
    }
    if (q->o->ratio > 0.0 && !removes_any(q->p) && (!q->ch->n_groups || !is_near(h)))
        return FAIL(UNSUPPORTED, "no layer has channels that can be removed");
    q->p->macs_after = (int64_t)h->work->macs;
    note_units(q);
    return OK;
}

struct status *prune_choose(struct pruner *q)
{
    struct chooser h = {.q = q, .tile = q->o->tile, .scratch = arena_create()};
    struct status *s = choose(&h);

    arena_destroy(h.scratch);
    return s;
}

/* ---- one group alone ------------------------------------------------------------- */

static void rank_group(const struct pruner *q, const struct prices *whole, int group,
                       int *rank)
{
    const struct channel_group *g = &q->ch->groups[group];
    struct arena *a = arena_create();
    struct prices *prices = prices_of_group(whole, group, a);
    bool *taken = arena_new_array(a, bool, q->ch->n_classes + 1);

    for (int n = 0; n < g->n; n++) {
        int best = CHANNEL_FIXED;

        for (int i = 0; i < g->n; i++)
            if (!taken[g->classes[i]]
                && (best == CHANNEL_FIXED
                    || prices_of(prices, g->classes[i]) < prices_of(prices, best)))
                best = g->classes[i];
        taken[best] = true;
        rank[best] = n;
        prices_take(prices, best);
    }
    arena_destroy(a);
}

struct status *prune_rank(const struct ir_graph *g, const struct prune_options *o,
                          struct arena *a, int **rank)
{
    struct arena *scratch = arena_create();
    struct pruning nothing = {0};
    struct pruner q = {.g = g, .o = o, .arena = scratch, .p = &nothing};
    struct prices *prices = NULL;

    q.units = units_find(g, &nothing.n_units);
    q.ch = channels_find(g, q.units, nothing.n_units);
    nothing.removed = arena_new_array(scratch, bool, q.ch->n_classes + 1);
    *rank = arena_new_array(a, int, q.ch->n_classes + 1);

    struct status *s = prices_create(&q, &prices);

    for (int i = 0; i < q.ch->n_groups && !s; i++)
        rank_group(&q, prices, i, *rank);
    arena_destroy(scratch);
    return s;
}

/* ---- plans ---------------------------------------------------------------------- */

static bool keeps(const struct plan_unit *u, int64_t channel)
{
    for (int64_t i = 0; u->kept && i < u->n_kept; i++)
        if (u->kept[i] == channel)
            return true;
    return !u->kept;
}

static const int *classes_of(const struct pruner *q, int unit)
{
    const struct ir_value *y = q->units[unit].node->out[0];

    return q->ch->of[y->id][channels_dim(&q->units[unit])];
}

/* Channel `channel` of `unit` stays, but the plan removes another one of its class. */
static struct status *tied(const struct pruner *q, int unit, int64_t channel)
{
    const struct plan_unit *at = q->o->plan->units;
    const int class = classes_of(q, unit)[channel];

    for (int i = 0; i < q->p->n_units; i++)
        for (int64_t c = 0; c < q->units[i].channels; c++)
            if (classes_of(q, i)[c] == class && !keeps(&at[i], c))
                return FAIL(INVALID,
                            "the plan keeps channel %lld of unit '%s', but removes "
                            "channel %lld of unit '%s', which belongs to it",
                            (long long)channel, at[unit].name, (long long)c,
                            at[i].name);
    return FAIL(INTERNAL, "channel %lld of unit '%s' was removed by none",
                (long long)channel, at[unit].name);
}

/* Every channel of the unit is what its class is. */
static struct status *check_unit(const struct pruner *q, int i)
{
    const struct plan_unit *u = &q->o->plan->units[i];
    const int *class = classes_of(q, i);

    for (int64_t c = 0; c < q->units[i].channels; c++) {
        if (keeps(u, c) && prune_is_removed(q, class[c]))
            return tied(q, i, c);
        if (!keeps(u, c) && !prune_is_removed(q, class[c]))
            return FAIL(INVALID,
                        "the plan removes channel %lld of unit '%s', which the model "
                        "does not work without",
                        (long long)c, u->name);
    }
    return OK;
}

struct status *prune_take_plan(struct pruner *q)
{
    struct prune_work *work = prune_work_create(q, q->o->tile);

    q->p->macs_before = (int64_t)work->macs;
    for (int i = 0; i < q->p->n_units; i++) {
        const int *class = classes_of(q, i);

        for (int64_t c = 0; c < q->units[i].channels; c++)
            if (!keeps(&q->o->plan->units[i], c) && class[c] != CHANNEL_FIXED
                && !q->p->removed[class[c]]) {
                q->p->removed[class[c]] = true;
                prune_work_take(work, class[c]);
            }
    }
    for (int i = 0; i < q->p->n_units; i++)
        RETURN_IF_FAIL(check_unit(q, i));
    if (!shrink_keeps_all_dims(q->g, q->ch, q->p->removed))
        return FAIL(INVALID, "the plan removes all channels of a tensor");
    note_units(q);
    q->p->macs_after = (int64_t)work->macs;
    return OK;
}
