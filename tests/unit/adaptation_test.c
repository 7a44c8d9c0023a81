/* SPDX-License-Identifier: Apache-2.0 */
// links: search targets codegen plan hal runtime frontend kernels
/* Plans follow the device: the fastest plan of MobileNet that loses at most so much,
 * for one device after another, and for devices of which one figure is another.  The
 * search is exact (search/bits_programme.h), so each device's own plan must be its
 * fastest. */
#include <stdio.h>

#include "codegen/target.h"
#include "plan/units.h"
#include "search/bits_programme.h"
#include "tests/test.h"

static const struct {
    const char *name;
    enum work_kind kind;
    int64_t channels, depth, rows, weights, in_elements, out_elements;
    double kl_8, kl_4;
} units[] = {
#define UNIT(name, kind, channels, depth, rows, weights, in, out, kl_8, kl_4)          \
    {name, kind, channels, depth, rows, weights, in, out, kl_8, kl_4},
#include "tests/data/mobilenet_units.def"
};

enum { N_UNITS = sizeof units / sizeof units[0] };
enum { FLOAT, EIGHT_BITS, FOUR_BITS, N_LEVELS };
enum { BATCH = 256 }; /* enough to load a graphics processor */

static const int weight_bits[N_LEVELS] = {32, 8, 4}, activation_bits[] = {32, 8, 8};

/* A device's costs of every unit and level, and losses. */
struct table {
    double kl[N_UNITS * N_LEVELS];
    int64_t ns[N_UNITS * N_LEVELS], bytes[N_UNITS * N_LEVELS];
    int64_t conversion[N_UNITS * N_LEVELS * N_LEVELS];
};

struct decision {
    int level[N_UNITS];
    double kl;
};

static void fill(const struct device *d, struct table *t)
{
    for (int i = 0; i < N_UNITS; i++)
        for (int l = 0; l < N_LEVELS; l++) {
            const struct work one = {
                .macs_per_channel = units[i].rows * units[i].depth,
                .channels = units[i].channels,
                .weights = units[i].weights,
                .in_elements = units[i].in_elements,
                .out_elements = units[i].out_elements,
                .weight_bits = weight_bits[l],
                .activation_bits = activation_bits[l],
                .rows = units[i].rows,
                .kind = units[i].kind,
            };
            const struct work w = work_of_batch(&one, BATCH);
            const struct cost c = cost_of(d, &w);

            t->kl[i * N_LEVELS + l] = l == FLOAT        ? 0
                                      : l == EIGHT_BITS ? units[i].kl_8
                                                        : units[i].kl_4;
            t->ns[i * N_LEVELS + l] = (int64_t)(c.time_ns + 0.5);
            t->bytes[i * N_LEVELS + l] = c.weight_bytes;
            for (int from = 0; from < N_LEVELS; from++)
                t->conversion[(i * N_LEVELS + from) * N_LEVELS + l] =
                    (int64_t)(cost_conversion_ns(d, units[i].in_elements * BATCH,
                                                 activation_bits[from],
                                                 activation_bits[l])
                              + 0.5);
        }
}

static int64_t time_of(const struct table *t, const int *level)
{
    int64_t ns = 0;

    for (int i = 0; i < N_UNITS; i++) {
        ns += t->ns[i * N_LEVELS + level[i]];
        if (i)
            ns += t->conversion[(i * N_LEVELS + level[i - 1]) * N_LEVELS + level[i]];
    }
    return ns;
}

/* The fastest plan that loses at most max_kl, and of equally fast ones the one that
 * loses least: the time budget is bisected. */
static struct decision fastest(const struct table *t, double max_kl)
{
    static const int floats[N_UNITS];
    struct arena *a = arena_create();
    struct bits_problem p = {
        .n_units = N_UNITS,
        .n_levels = N_LEVELS,
        .kl = t->kl,
        .ns = t->ns,
        .bytes = t->bytes,
        .conversion_ns = t->conversion,
        .max_ns = time_of(t, floats),
        .max_bytes = BITS_NO_BUDGET,
        .max_ram = BITS_NO_BUDGET,
    };
    struct decision best = {0}; /* floats */
    int64_t too_short = 0;

    while (p.max_ns - too_short > 1) {
        struct bits_problem q = p;

        q.max_ns = too_short + (p.max_ns - too_short) / 2;

        const struct bits_answer answer = bits_programme(a, &q);

        if (answer.blocked != BITS_FITS || answer.kl > max_kl) {
            too_short = q.max_ns;
            continue;
        }
        CHECK_EQ(answer.step_ns, 1); /* exact */
        memcpy(best.level, answer.levels, sizeof best.level);
        best.kl = answer.kl;
        p.max_ns = answer.ns;
    }
    arena_destroy(a);
    return best;
}

static int count(const struct decision *d, int level)
{
    int n = 0;

    for (int i = 0; i < N_UNITS; i++)
        n += d->level[i] == level;
    return n;
}

static int changes(const struct decision *d)
{
    int n = 0;

    for (int i = 1; i < N_UNITS; i++)
        n += (d->level[i] == FLOAT) != (d->level[i - 1] == FLOAT);
    return n;
}

static struct device open_device(struct arena *a, const char *target)
{
    struct device d;

    CHECK_OK(target_device(a, target_find(target), NULL, &d));
    return d;
}

/* So that not all units may have 8 bits. */
static double allowed_loss(void)
{
    double kl = 0;

    for (int i = 0; i < N_UNITS; i++)
        kl += units[i].kl_8;
    return 0.3 * kl;
}

static struct decision plan_for(const struct device *d, double max_kl)
{
    struct table t;

    fill(d, &t);
    return fastest(&t, max_kl);
}

TEST(every_devices_own_plan_is_faster_there_than_all_others)
{
    static const char *const names[] = {"a100", "orin", "ascend310", "host"};
    enum { N = sizeof names / sizeof names[0] };
    struct arena *a = arena_create();
    struct table tables[N];
    struct decision plans[N];

    printf("time of a row's plan on a column's device, relative to its own\n%10s", "");
    for (int i = 0; i < N; i++) {
        const struct device d = open_device(a, names[i]);

        fill(&d, &tables[i]);
        plans[i] = fastest(&tables[i], allowed_loss());
        CHECK(plans[i].kl <= allowed_loss());
        printf(" %9s", names[i]);
    }
    for (int i = 0; i < N; i++) {
        printf("\n%10s", names[i]);
        for (int on = 0; on < N; on++) {
            const int64_t mine = time_of(&tables[on], plans[on].level);
            const int64_t other = time_of(&tables[on], plans[i].level);

            printf(" %9.3f", (double)other / (double)mine);
            CHECK(i == on || other > mine);
        }
    }
    printf("\n");
    arena_destroy(a);
}

/* Where 8-bit products are as fast as wider ones and memory does not matter, codes gain
 * nothing. */
TEST(a_device_that_loses_its_8_bit_rate_computes_in_floats)
{
    struct arena *a = arena_create();
    struct device d = open_device(a, "orin");
    const struct decision before = plan_for(&d, allowed_loss());

    d.figures[FIGURE_I8_PER_CYCLE].value = 0;
    d.figures[FIGURE_F16_PER_CYCLE].value = 0;
    d.figures[FIGURE_MEMORY_BANDWIDTH].value = 1e15;

    const struct decision after = plan_for(&d, allowed_loss());

    CHECK(count(&before, FLOAT) < N_UNITS);
    CHECK_EQ(count(&after, FLOAT), N_UNITS);
    arena_destroy(a);
}

/* One sample at a time, weights are what is read; the less memory gives, the more 4-bit
 * weights save. */
TEST(slower_memory_means_narrower_weights)
{
    struct arena *a = arena_create();
    struct device d = open_device(a, "orin");
    int least = 0;

    for (double bandwidth = 1e15; bandwidth > 1e6; bandwidth /= 100) {
        d.figures[FIGURE_MEMORY_BANDWIDTH].value = bandwidth;
        for (int level = FIGURE_L1_BYTES; level <= FIGURE_L3_BYTES; level++)
            d.figures[level].value = 0;

        const struct decision plan = plan_for(&d, 1); /* no limit but time */
        const int narrow = count(&plan, FOUR_BITS);

        CHECK(narrow >= least);
        least = narrow;
    }
    CHECK(least == N_UNITS);
    arena_destroy(a);
}

/* A conversion is a step: where steps take longer than all else, units do not change
 * precision. */
TEST(dear_steps_mean_no_conversions)
{
    struct arena *a = arena_create();
    struct device d = open_device(a, "orin");

    d.figures[FIGURE_STEP_OVERHEAD].value = 1e-9;

    const struct decision cheap = plan_for(&d, allowed_loss());

    d.figures[FIGURE_STEP_OVERHEAD].value = 1;

    const struct decision dear = plan_for(&d, allowed_loss());

    CHECK(changes(&cheap) >= 2 && changes(&dear) == 0);
    arena_destroy(a);
}

/* Layers of 8 channels on tiles of 64 compute eight times as much, and so gain more
 * from fewer bits: they get them first. */
TEST(wider_tiles_turn_the_plan_to_narrow_layers)
{
    struct arena *a = arena_create();
    struct device d = open_device(a, "orin");
    struct table narrow, wide;

    d.figures[FIGURE_TILE_CHANNELS].value = 1;
    fill(&d, &narrow);
    d.figures[FIGURE_TILE_CHANNELS].value = 64;
    fill(&d, &wide);
    for (int i = 0; i < N_UNITS; i++) {
        const int64_t gain =
            narrow.ns[i * N_LEVELS] - narrow.ns[i * N_LEVELS + EIGHT_BITS];
        const int64_t padded =
            wide.ns[i * N_LEVELS] - wide.ns[i * N_LEVELS + EIGHT_BITS];

        CHECK(padded >= gain);
    }

    const struct decision a_plan = fastest(&narrow, allowed_loss());
    const struct decision b_plan = fastest(&wide, allowed_loss());

    CHECK(memcmp(a_plan.level, b_plan.level, sizeof a_plan.level) != 0);
    CHECK(time_of(&narrow, b_plan.level) >= time_of(&narrow, a_plan.level));
    CHECK(time_of(&wide, a_plan.level) >= time_of(&wide, b_plan.level));
    arena_destroy(a);
}
