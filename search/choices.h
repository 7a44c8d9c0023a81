/* SPDX-License-Identifier: Apache-2.0 */
/* What can be decided about a model, as numbers: the spaces of the five agents, and a
 * whole plan in them.
 *
 *     agent          space         means
 *     fusion         units x 6     unit = a / 6, pattern = a % 6 (plan/plan_words.def)
 *     pruning        units x 10    unit = a / 10, ratio = 0.1 (a % 10)
 *     quantization   units x 4     unit = a / 4, bits = {4, 8, 16, 32}[a % 4]
 *     distillation   two reals     temperature 1 to 20, alpha 0 to 1
 *     update         3 x 10        strategy = a / 10, ratio = 0.1 (1 + a % 10)
 *
 * A search asks one unit at a time, so it sees heads of 6, 10, 4 and 30 actions; the
 * flat numbers are how a choice is named from outside.
 */
#ifndef HADMC_SEARCH_CHOICES_H
#define HADMC_SEARCH_CHOICES_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"
#include "support/random.h"

/*    NAME           about */
#define CHOICE_AGENTS(A)                                                               \
    A(fusion, "which operators run as one kernel with a unit")                         \
    A(pruning, "which share of a unit's channels goes")                                \
    A(quantization, "how many bits a unit computes in")                                \
    A(distillation, "how training against the original is mixed")                      \
    A(update, "what a device that has an older version is sent")

enum choice_agent {
#define CHOICE_AGENT(name, about) AGENT_##name,
    CHOICE_AGENTS(CHOICE_AGENT)
#undef CHOICE_AGENT
        AGENT_COUNT
};

extern const char *const choice_agent_names[]; /* by enum */

enum {
    CHOICE_PATTERNS = 6,
    CHOICE_RATIOS = 10,
    CHOICE_BITS = 4,
    CHOICE_STRATEGIES = 3,
    CHOICE_UPDATES = CHOICE_STRATEGIES * CHOICE_RATIOS,
    CHOICE_LEVELS = CHOICE_RATIOS * CHOICE_BITS, /* ratio and bits of a unit together */
};

extern const int choice_bits[CHOICE_BITS]; /* 4, 8, 16, 32 */

/* Of one unit; indices. */
struct choice {
    uint8_t pattern, ratio, bits;
};

static inline int choice_level(struct choice c)
{
    return c.ratio * CHOICE_BITS + c.bits;
}

static inline struct choice choice_of_level(int level)
{
    return (struct choice){0, (uint8_t)(level / CHOICE_BITS),
                           (uint8_t)(level % CHOICE_BITS)};
}

/* Actions of an agent at one unit; 0: distillation. */
int choice_n_actions(enum choice_agent agent);
/* The flat number of `action` at `unit`, and back.  update: unit 0. */
int64_t choice_encode(enum choice_agent agent, int unit, int action);
void choice_decode(enum choice_agent agent, int64_t flat, int *unit, int *action);

double choice_ratio(int index);        /* of pruning: 0, 0.1 ... 0.9 */
double choice_update_ratio(int index); /* 0.1 ... 1 */

/* Everything that is decided. */
struct choices {
    int n_units;
    struct choice *units;
    double temperature, alpha;
    int update; /* index in its 30 */
};

/* Nothing pruned, 32 bits, nothing fused, everything sent. */
struct choices *choices_create(struct arena *a, int n_units);
void choices_copy(struct choices *to, const struct choices *from); /* of equal units */
bool choices_equal(const struct choices *a, const struct choices *b);
uint64_t choices_hash(const struct choices *c);

/* Channels that stay of `channels` at a ratio: a multiple of `tile`, rounded up, at
 * least one tile, or all where that is fewer. */
int64_t choice_kept(int64_t channels, int tile, int ratio);
/* Of the ratios whose bits are set in `allowed` those that keep another number of
 * channels than all smaller ones of them. */
uint32_t choice_distinct_ratios(uint32_t allowed, int64_t channels, int tile);
/* Of the 30: one each for `full` and `hash`, which have no ratio, and ten. */
uint32_t choice_distinct_updates(void);

#endif /* HADMC_SEARCH_CHOICES_H */
