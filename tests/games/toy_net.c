/* SPDX-License-Identifier: Apache-2.0 */
/* Search problems whose loss is a formula: see toy_net.h. */
#include "tests/games/toy_net.h"

#include <math.h>
#include <string.h>

#include "search/agents/noise.h"

enum { TILE = 8 };

/* By index of choice_bits: 4 and 8 bits compute faster than 16. */
static const double speed[CHOICE_BITS] = {4, 2, 1, 1},
                    width[CHOICE_BITS] = {.5, 1, 2, 4};

static double ratio_effect(const struct toy_net *t, int unit, int ratio)
{
    const double x = choice_ratio(ratio);

    return t->alpha[unit] * pow(x / (1 - x), 1.5);
}

static double bits_effect(const struct toy_net *t, int unit, int bits)
{
    return bits == 0 ? t->beta[unit] : bits == 1 ? t->beta[unit] / 256 : 0;
}

double toy_loss(const struct toy_net *t, const struct choices *c)
{
    double sum[TOY_SIZE] = {0}, loss = 0;

    for (int i = 0; i < t->n; i++) {
        const double a = sqrt(ratio_effect(t, i, c->units[i].ratio)),
                     b = sqrt(bits_effect(t, i, c->units[i].bits));

        for (int k = 0; k < TOY_SIZE; k++)
            sum[k] += a * t->by_ratio[i][k] + b * t->by_bits[i][k];
    }
    for (int k = 0; k < TOY_SIZE; k++)
        loss += sum[k] * sum[k];
    return loss;
}

static double tiled(int channels, int ratio)
{
    return (double)choice_kept(channels, TILE, ratio);
}

static void cost(void *self, int unit, struct choice own, struct choice before,
                 double *out)
{
    const struct toy_net *t = self;
    const double in = unit ? tiled(t->channels[unit], before.ratio) : t->channels[0],
                 made = tiled(t->channels[unit + 1], own.ratio),
                 macs = in * made * 9 * t->space[unit],
                 weights = in * made * 9 * width[own.bits],
                 moved = weights + (in + made) * t->space[unit] * width[own.bits];
    double ns = 2 + fmax(macs / speed[own.bits] / 2e5, moved / 2e4);

    if (unit)
        ns += own.bits == before.bits ? -1.2 : in * t->space[unit] / 4e4;
    out[COST_latency] = ns;
    out[COST_energy] = macs * width[own.bits] * 1e-12 + moved * 1e-11;
    out[COST_bytes] = weights;
    out[COST_ram] = (in + made) * t->space[unit] * width[own.bits];
}

/* A number that is normal over plans and the same for one plan. */
static double noise_of(const struct choices *c)
{
    struct random r = random_seeded(choices_hash(c));

    return noise_normal(&r);
}

static void evaluate(void *self, const struct choices *c, struct search_result *out)
{
    struct toy_net *t = self;
    const struct search_problem costs = {
        .n_units = t->n, .units = t->units, .self = t, .cost = cost};
    const double noise = t->noise > 0 ? t->noise * noise_of(c) : 0;

    t->n_evaluated++;
    out->loss = toy_loss(t, c) * (1 + noise) + 0.02 * fabs(noise);
    out->update_bytes = 0;
    search_costs(&costs, c, out->costs);
}

/* A unit vector: a direction of its own, and the shared ones. */
static void direction(struct random *r, int own, double together, double *out)
{
    double shared[TOY_SHARED], norm = 0;

    memset(out, 0, TOY_SIZE * sizeof *out);
    for (int k = 0; k < TOY_SHARED; k++) {
        shared[k] = noise_normal(r);
        norm += shared[k] * shared[k];
    }
    out[own] = sqrt(1 - together);
    for (int k = 0; k < TOY_SHARED; k++)
        out[2 * TOY_MAX_UNITS + k] = sqrt(together) * shared[k] / sqrt(norm);
}

static void fill_features(struct toy_net *t, int i)
{
    float *const f = t->units[i].features;

    f[0] = (float)(log(t->channels[i]) / 5);
    f[1] = (float)(log(t->channels[i + 1]) / 5);
    f[2] = (float)(log(t->space[i]) / 7);
    f[3] = (float)(log(t->alpha[i]) / 5);
    f[4] = (float)(log(t->beta[i]) / 5);
    f[5] = i == t->n - 1;
}

static struct search_problem make(struct toy_net *t, uint64_t seed, int n,
                                  double together, double share, uint32_t ratios,
                                  uint32_t last_ratios, uint32_t bits)
{
    struct random r = random_seeded(seed);
    struct search_problem p = {
        .n_units = n, .units = t->units, .self = t, .cost = cost, .evaluate = evaluate};
    struct arena *scratch = arena_create();
    struct choices *half = choices_create(scratch, n);
    double costs[COST_COUNT];

    *t = (struct toy_net){.n = n};
    t->channels[0] = 3;
    for (int i = 0; i < n; i++) {
        const int stage = i * 3 / n;

        t->alpha[i] = 0.02 * exp(0.9 * noise_normal(&r));
        t->beta[i] = 0.015 * exp(1.1 * noise_normal(&r));
        direction(&r, 2 * i, together, t->by_ratio[i]);
        direction(&r, 2 * i + 1, together, t->by_bits[i]);
        t->channels[i + 1] = 32 << stage;
        t->space[i] = (32 >> stage) * (32 >> stage);
        t->units[i] = (struct search_unit){.name = "unit",
                                           .channels = t->channels[i + 1],
                                           .tile = TILE,
                                           .patterns = 1,
                                           .ratios = i == n - 1 ? last_ratios : ratios,
                                           .bits = bits,
                                           .leader = i,
                                           .joins = -1};
        fill_features(t, i);
        half->units[i].bits = 2;
    }
    search_costs(&p, choices_create(scratch, n), p.base);
    search_costs(&p, half, costs);
    for (int k = 0; k < COST_COUNT; k++)
        p.budgets[k] = INFINITY;
    p.budgets[COST_latency] = share * costs[COST_latency];
    arena_destroy(scratch);
    return p;
}

struct search_problem toy_small(struct toy_net *t, uint64_t seed, double together,
                                double share)
{
    /* Ratios 0, .2, .5, .7: another number of channels each. */
    return make(t, seed, 6, together, share, 1 | 1 << 2 | 1 << 5 | 1 << 7, 1, 7);
}

struct search_problem toy_tiny(struct toy_net *t, uint64_t seed, double together,
                               double share)
{
    const uint32_t ratios = 1 | 1 << 3 | 1 << 6;

    return make(t, seed, 6, together, share, ratios, ratios, 3);
}

struct search_problem toy_large(struct toy_net *t, uint64_t seed, double together,
                                double share, double noise)
{
    const struct search_problem p = make(t, seed, 16, together, share, 0x1ff, 1, 7);

    t->noise = noise;
    return p;
}

/* ---- every plan -------------------------------------------------------------------
 */

static void try_all(const struct toy_net *t, const struct search_problem *p,
                    struct choices *c, int unit, double latency, double *best)
{
    const struct choice before =
        unit ? c->units[unit - 1] : (struct choice){0, 0, CHOICE_BITS - 1};

    if (latency > p->budgets[COST_latency] * (1 + 1e-9))
        return;
    if (unit == t->n) {
        *best = fmin(*best, toy_loss(t, c));
        return;
    }

    const struct search_unit *u = &t->units[unit];

    for (int r = 0; r < CHOICE_RATIOS; r++)
        for (int b = 0; b < CHOICE_BITS; b++) {
            double costs[COST_COUNT];

            if (!(u->ratios >> r & 1) || !(u->bits >> b & 1))
                continue;
            c->units[unit] = (struct choice){0, (uint8_t)r, (uint8_t)b};
            cost((void *)t, unit, c->units[unit], before, costs);
            try_all(t, p, c, unit + 1, latency + costs[COST_latency], best);
        }
}

double toy_best(const struct toy_net *t, const struct search_problem *p)
{
    struct arena *scratch = arena_create();
    double best = INFINITY;

    try_all(t, p, choices_create(scratch, t->n), 0, 0, &best);
    arena_destroy(scratch);
    return best;
}
