/* SPDX-License-Identifier: Apache-2.0 */
/* What can be decided, as numbers: see choices.h. */
#include "search/choices.h"

#include <assert.h>
#include <string.h>

#include "plan/plan.h"

static_assert(PATTERN_conv_bn_add_relu + 1 == CHOICE_PATTERNS, "patterns of a plan");
static_assert(STRATEGY_hash + 1 == CHOICE_STRATEGIES, "strategies of a plan");

const int choice_bits[CHOICE_BITS] = {4, 8, 16, 32};

const char *const choice_agent_names[] = {
#define CHOICE_AGENT(name, about) #name,
    CHOICE_AGENTS(CHOICE_AGENT)
#undef CHOICE_AGENT
};

int choice_n_actions(enum choice_agent agent)
{
    static const int n[AGENT_COUNT] = {[AGENT_fusion] = CHOICE_PATTERNS,
                                       [AGENT_pruning] = CHOICE_RATIOS,
                                       [AGENT_quantization] = CHOICE_BITS,
                                       [AGENT_distillation] = 0,
                                       [AGENT_update] = CHOICE_UPDATES};

    return n[agent];
}

int64_t choice_encode(enum choice_agent agent, int unit, int action)
{
    assert(action >= 0 && action < choice_n_actions(agent));
    return (int64_t)unit * choice_n_actions(agent) + action;
}

void choice_decode(enum choice_agent agent, int64_t flat, int *unit, int *action)
{
    *unit = (int)(flat / choice_n_actions(agent));
    *action = (int)(flat % choice_n_actions(agent));
}

double choice_ratio(int index)
{
    return index / 10.0;
}

double choice_update_ratio(int index)
{
    return (1 + index % CHOICE_RATIOS) / 10.0;
}

struct choices *choices_create(struct arena *a, int n_units)
{
    struct choices *c = arena_new(a, struct choices);

    *c = (struct choices){.n_units = n_units,
                          .units = arena_new_array(a, struct choice, n_units),
                          .temperature = 4,
                          .alpha = 0.5};
    for (int i = 0; i < n_units; i++)
        c->units[i].bits = CHOICE_BITS - 1;
    return c;
}

void choices_copy(struct choices *to, const struct choices *from)
{
    struct choice *const units = to->units;

    assert(to->n_units == from->n_units);
    memcpy(units, from->units, (size_t)from->n_units * sizeof *units);
    *to = *from;
    to->units = units;
}

bool choices_equal(const struct choices *a, const struct choices *b)
{
    return a->n_units == b->n_units && a->temperature == b->temperature
           && a->alpha == b->alpha && a->update == b->update
           && !memcmp(a->units, b->units, (size_t)a->n_units * sizeof *a->units);
}

uint64_t choices_hash(const struct choices *c)
{
    uint64_t numbers[2], hash = (uint64_t)c->update + 1;

    memcpy(&numbers[0], &c->temperature, sizeof numbers[0]);
    memcpy(&numbers[1], &c->alpha, sizeof numbers[1]);
    for (int i = 0; i < c->n_units; i++) {
        uint64_t mixed = hash + (uint64_t)c->units[i].pattern
                         + ((uint64_t)c->units[i].ratio << 8)
                         + ((uint64_t)c->units[i].bits << 16);

        hash = splitmix64(&mixed);
    }
    for (int i = 0; i < 2; i++) {
        uint64_t mixed = hash ^ numbers[i];

        hash = splitmix64(&mixed);
    }
    return hash;
}

int64_t choice_kept(int64_t channels, int tile, int ratio)
{
    const int64_t left = (channels * (CHOICE_RATIOS - ratio) + CHOICE_RATIOS - 1)
                         / CHOICE_RATIOS,
                  tiled = (left + tile - 1) / tile * tile;

    return tiled < channels ? tiled : channels;
}

uint32_t choice_distinct_ratios(uint32_t allowed, int64_t channels, int tile)
{
    uint32_t distinct = 0;
    int64_t last = -1;

    for (int r = 0; r < CHOICE_RATIOS; r++) {
        const int64_t kept = choice_kept(channels, tile, r);

        if (!(allowed >> r & 1) || kept == last)
            continue;
        distinct |= UINT32_C(1) << r;
        last = kept;
    }
    return distinct;
}

uint32_t choice_distinct_updates(void)
{
    const uint32_t ten = (1 << CHOICE_RATIOS) - 1;

    return 1 << (STRATEGY_full * CHOICE_RATIOS)
           | ten << (STRATEGY_incremental * CHOICE_RATIOS)
           | UINT32_C(1) << (STRATEGY_hash * CHOICE_RATIOS);
}
