/* SPDX-License-Identifier: Apache-2.0 */
// links: search plan hal
/* The programme over bits against trying everything, and by hand. */
#include <math.h>
#include <stdlib.h>

#include "search/bits_programme.h"
#include "tests/test.h"

/* Two units, 32 and 8 bits:     kl     ns     bytes
 *     unit 0   32 bits           0     10        40
 *               8 bits           1      4        10
 *     unit 1   32 bits           0     20        80
 *               8 bits           3      5        20
 * and 2 ns to convert. */
static const double toy_kl[] = {0, 1, 0, 3};
static const int64_t toy_ns[] = {10, 4, 20, 5}, toy_bytes[] = {40, 10, 80, 20},
                     toy_ram[] = {50, 20, 100, 25},
                     toy_conversion[] = {0, 0, 0, 0, 0, 2, 2, 0};

static struct bits_problem toy(int64_t max_ns, int64_t max_bytes)
{
    return (struct bits_problem){.n_units = 2,
                                 .n_levels = 2,
                                 .kl = toy_kl,
                                 .ns = toy_ns,
                                 .bytes = toy_bytes,
                                 .ram = toy_ram,
                                 .conversion_ns = toy_conversion,
                                 .max_ns = max_ns,
                                 .max_bytes = max_bytes,
                                 .max_ram = BITS_NO_BUDGET};
}

TEST(without_budgets_nothing_is_narrowed)
{
    struct arena *a = arena_create();
    const struct bits_problem p = toy(BITS_NO_BUDGET, BITS_NO_BUDGET);
    const struct bits_answer r = bits_programme(a, &p);

    CHECK_EQ(r.blocked, BITS_FITS);
    CHECK(r.kl == 0 && r.ns == 30 && r.bytes == 120);
    CHECK(r.least_ns == 9 && r.least_bytes == 30);
    arena_destroy(a);
}

/* 8 and 32 bits: 4 + 2 + 20 = 26; 32 and 8: 10 + 2 + 5 = 17. */
TEST(a_conversion_counts)
{
    struct arena *a = arena_create();
    struct bits_problem p = toy(26, BITS_NO_BUDGET);
    struct bits_answer r = bits_programme(a, &p);

    CHECK(r.blocked == BITS_FITS && r.kl == 1 && r.ns == 26);
    CHECK(r.levels[0] == 1 && r.levels[1] == 0);
    p.max_ns = 25;
    r = bits_programme(a, &p);
    CHECK(r.blocked == BITS_FITS && r.kl == 3 && r.ns == 17);
    p.conversion_ns = NULL;
    r = bits_programme(a, &p);
    CHECK(r.kl == 1 && r.ns == 24);
    arena_destroy(a);
}

/* 32 and 8 bits: 60 B, 17 ns. */
TEST(both_budgets_hold_at_once)
{
    struct arena *a = arena_create();
    const struct bits_problem p = toy(25, 60);
    const struct bits_answer r = bits_programme(a, &p);

    CHECK(r.blocked == BITS_FITS && r.kl == 3 && r.ns == 17 && r.bytes == 60);
    arena_destroy(a);
}

TEST(ram_is_a_filter_on_levels)
{
    struct arena *a = arena_create();
    struct bits_problem p = toy(BITS_NO_BUDGET, BITS_NO_BUDGET);
    struct bits_answer r;

    p.max_ram = 60; /* unit 1 needs 100 at 32 bits */
    r = bits_programme(a, &p);
    CHECK(r.blocked == BITS_FITS && r.kl == 3);
    p.max_ram = 24; /* unit 1 needs 25 at least: answered as if RAM did not matter */
    r = bits_programme(a, &p);
    CHECK(r.blocked == BITS_BLOCKED_BY_RAM && r.kl == 0);
    arena_destroy(a);
}

TEST(the_budget_that_blocks_is_named_and_the_closest_plan_is_given)
{
    static const struct {
        int64_t max_ns, max_bytes;
        enum bits_blocked blocked;
        double kl;
        int64_t ns, bytes;
    } rows[] = {
        {8, BITS_NO_BUDGET, BITS_BLOCKED_BY_NS, 4, 9, 30},
        {BITS_NO_BUDGET, 29, BITS_BLOCKED_BY_BYTES, 4, 9, 30},
        {8, 1000, BITS_BLOCKED_BY_NS, 4, 9, 30},
        {8, 29, BITS_BLOCKED_BY_BOTH, 4, 9, 30},
    };
    struct arena *a = arena_create();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bits_problem p = toy(rows[i].max_ns, rows[i].max_bytes);
        const struct bits_answer r = bits_programme(a, &p);

        CHECK_EQ(r.blocked, rows[i].blocked);
        CHECK(r.kl == rows[i].kl && r.ns == rows[i].ns && r.bytes == rows[i].bytes);
        CHECK(strlen(bits_blocked_text(r.blocked)) > 0);
    }
    arena_destroy(a);
}

TEST(a_unit_without_any_level_has_no_answer)
{
    static const double none[] = {0, 1, INFINITY, INFINITY};
    struct arena *a = arena_create();
    struct bits_problem p = toy(100, 100);

    p.kl = none;

    const struct bits_answer r = bits_programme(a, &p);

    CHECK(r.blocked == BITS_NO_LEVEL && r.levels == NULL);
    arena_destroy(a);
}

/* ---- against trying everything ----------------------------------------------------
 */

enum { MAX_CELLS = 8 * 4 };

struct instance {
    struct bits_problem p;
    double kl[MAX_CELLS];
    int64_t ns[MAX_CELLS], bytes[MAX_CELLS], ram[MAX_CELLS], conversion[MAX_CELLS * 4];
};

static uint64_t seed = 1;

static int64_t draw(int64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((seed >> 33) % (uint64_t)n);
}

/* Small numbers make ties; large ones make long fronts. */
static void draw_instance(struct instance *t)
{
    const int64_t scale = draw(2) ? 12 : 1000000;
    const int units = 5 + (int)draw(4), levels = 2 + (int)draw(3);

    t->p = (struct bits_problem){.n_units = units,
                                 .n_levels = levels,
                                 .kl = t->kl,
                                 .ns = t->ns,
                                 .bytes = t->bytes,
                                 .ram = draw(2) ? t->ram : NULL,
                                 .conversion_ns = draw(3) ? t->conversion : NULL,
                                 .max_ns = BITS_NO_BUDGET,
                                 .max_bytes = BITS_NO_BUDGET,
                                 .max_ram = 2 + draw(11)};
    for (int i = 0; i < units * levels; i++) {
        t->kl[i] = draw(20) == 0 ? INFINITY
                   : draw(2)     ? (double)draw(scale) / 7
                                 : (double)draw(5);
        t->ns[i] = draw(scale);
        t->bytes[i] = draw(scale);
        t->ram[i] = draw(12);
    }
    for (int i = 0; i < units * levels * levels; i++)
        t->conversion[i] = draw(scale / 3);
    if (draw(4))
        t->p.max_ns = 1 + draw(units * scale * 2 / 3);
    if (draw(4))
        t->p.max_bytes = 1 + draw(units * scale * 2 / 3);
}

struct sums {
    double kl;
    int64_t ns, bytes;
    bool allowed, within_ram;
};

static struct sums add_up(const struct bits_problem *p, const int *levels)
{
    struct sums s = {.allowed = true, .within_ram = true};

    for (int i = 0; i < p->n_units; i++) {
        const int l = levels[i], at = i * p->n_levels + l;

        s.kl += p->kl[at];
        s.ns += p->ns[at];
        if (i && p->conversion_ns)
            s.ns +=
                p->conversion_ns[(i * p->n_levels + levels[i - 1]) * p->n_levels + l];
        s.bytes += p->bytes[at];
        s.allowed &= isfinite(p->kl[at]);
        s.within_ram &= !p->ram || p->ram[at] <= p->max_ram;
    }
    return s;
}

static bool next_plan(const struct bits_problem *p, int *levels)
{
    for (int i = 0; i < p->n_units; i++) {
        if (++levels[i] < p->n_levels)
            return true;
        levels[i] = 0;
    }
    return false;
}

/* Numbers here are below 2^24, so these quotients of integers compare exactly enough:
 * cost * other budget is compared, not the quotient. */
struct close {
    int64_t worse, better; /* costs times the other budget */
    int64_t ns;
};

static struct close closeness(const struct bits_problem *p, struct sums s)
{
    const int64_t ns = p->max_ns == BITS_NO_BUDGET      ? 0
                       : p->max_bytes == BITS_NO_BUDGET ? s.ns
                                                        : s.ns * p->max_bytes;
    const int64_t bytes = p->max_bytes == BITS_NO_BUDGET ? 0
                          : p->max_ns == BITS_NO_BUDGET  ? s.bytes
                                                         : s.bytes * p->max_ns;

    return ns > bytes ? (struct close){ns, bytes, s.ns}
                      : (struct close){bytes, ns, s.ns};
}

static bool closer(struct close a, struct close b)
{
    if (a.worse != b.worse)
        return a.worse < b.worse;
    return a.better != b.better ? a.better < b.better : a.ns < b.ns;
}

/* What the header promises, by trying all plans. */
struct truth {
    bool any, any_within_ram;
    bool fits;
    int64_t least_ns, least_bytes;
    double kl;
};

static double least_kl(const struct bits_problem *p, bool use_ram, int64_t max_ns,
                       int64_t max_bytes)
{
    int levels[8] = {0};
    double least = INFINITY;

    do {
        const struct sums s = add_up(p, levels);

        if (s.allowed && (s.within_ram || !use_ram) && s.ns <= max_ns
            && s.bytes <= max_bytes && s.kl < least)
            least = s.kl;
    } while (next_plan(p, levels));
    return least;
}

/* The plan closest to the budgets and the least of each cost. */
static void survey(const struct bits_problem *p, bool use_ram, struct truth *out,
                   struct sums *closest)
{
    int levels[8] = {0};

    out->least_ns = out->least_bytes = INT64_MAX;
    do {
        const struct sums s = add_up(p, levels);

        if (!s.allowed || (use_ram && !s.within_ram))
            continue;
        if (out->least_ns == INT64_MAX
            || closer(closeness(p, s), closeness(p, *closest)))
            *closest = s;
        out->least_ns = s.ns < out->least_ns ? s.ns : out->least_ns;
        out->least_bytes = s.bytes < out->least_bytes ? s.bytes : out->least_bytes;
    } while (next_plan(p, levels));
}

static struct truth try_all(const struct bits_problem *p)
{
    struct truth t = {0};
    struct sums closest = {0};
    int64_t max_ns = p->max_ns, max_bytes = p->max_bytes;

    t.any = isfinite(least_kl(p, false, INT64_MAX, INT64_MAX));
    t.any_within_ram = isfinite(least_kl(p, true, INT64_MAX, INT64_MAX));
    if (!t.any)
        return t;
    survey(p, t.any_within_ram, &t, &closest);
    t.kl = least_kl(p, t.any_within_ram, max_ns, max_bytes);
    t.fits = isfinite(t.kl);
    if (t.fits)
        return t;
    max_ns = closest.ns > max_ns ? closest.ns : max_ns;
    max_bytes = closest.bytes > max_bytes ? closest.bytes : max_bytes;
    t.kl = least_kl(p, t.any_within_ram, max_ns, max_bytes);
    return t;
}

static enum bits_blocked expected(const struct bits_problem *p, const struct truth *t)
{
    const bool ns = t->least_ns > p->max_ns, bytes = t->least_bytes > p->max_bytes;

    return !t->any              ? BITS_NO_LEVEL
           : !t->any_within_ram ? BITS_BLOCKED_BY_RAM
           : t->fits            ? BITS_FITS
           : ns == bytes        ? BITS_BLOCKED_BY_BOTH
           : ns                 ? BITS_BLOCKED_BY_NS
                                : BITS_BLOCKED_BY_BYTES;
}

TEST(the_programme_is_as_good_as_trying_everything)
{
    int seen[BITS_NO_LEVEL + 1] = {0};

    for (int i = 0; i < 4000; i++) {
        static struct instance t;
        struct arena *a = arena_create();

        draw_instance(&t);

        const struct truth truth = try_all(&t.p);
        const struct bits_answer r = bits_programme(a, &t.p);

        CHECK_EQ(r.blocked, expected(&t.p, &truth));
        seen[r.blocked]++;
        if (r.blocked != BITS_NO_LEVEL) {
            const struct sums s = add_up(&t.p, r.levels);

            CHECK(r.kl == truth.kl);
            CHECK(s.allowed && s.kl == r.kl && s.ns == r.ns && s.bytes == r.bytes);
            CHECK(r.least_ns == truth.least_ns && r.least_bytes == truth.least_bytes);
            CHECK(r.step_ns == 1 && r.step_bytes == 1);
        }
        if (r.blocked == BITS_FITS)
            CHECK(r.ns <= t.p.max_ns && r.bytes <= t.p.max_bytes);
        arena_destroy(a);
    }
    for (int i = 0; i <= BITS_NO_LEVEL; i++)
        CHECK(seen[i] >= 10);
}

/* With room for a few states the answer is rounded: it meets the budgets, and is as
 * good as any that leaves 2 n steps of time and n steps of bytes unused. */
TEST(with_little_room_the_answer_is_as_good_as_the_steps_promise)
{
    int n_rounded = 0;

    for (int i = 0; i < 2000; i++) {
        static struct instance t;
        struct arena *a = arena_create();

        draw_instance(&t);
        t.p.ram = NULL;
        t.p.max_states = 40;

        const double best = least_kl(&t.p, false, t.p.max_ns, t.p.max_bytes);
        const struct bits_answer r = bits_programme(a, &t.p);

        if (r.blocked == BITS_FITS && r.step_ns + r.step_bytes > 2) {
            const int64_t n = t.p.n_units;
            const double promised = least_kl(
                &t.p, false,
                t.p.max_ns == BITS_NO_BUDGET ? t.p.max_ns
                                             : t.p.max_ns - 2 * n * r.step_ns,
                t.p.max_bytes == BITS_NO_BUDGET ? t.p.max_bytes
                                                : t.p.max_bytes - n * r.step_bytes);

            n_rounded++;
            CHECK(r.ns <= t.p.max_ns && r.bytes <= t.p.max_bytes);
            CHECK(r.kl >= best && r.kl <= promised);
        }
        arena_destroy(a);
    }
    CHECK(n_rounded >= 20);
}

/* A network of the size of ResNet-50: 54 units, 4 widths, two budgets. */
TEST(a_large_network_is_solved_without_rounding)
{
    enum { UNITS = 54, LEVELS = 4 };
    static double kl[UNITS * LEVELS];
    static int64_t ns[UNITS * LEVELS], bytes[UNITS * LEVELS],
        conversion[UNITS * LEVELS * LEVELS];
    static const double loss[] = {0, 0.001, 0.01, 0.2};
    static const int64_t bits[] = {32, 16, 8, 4};
    struct arena *a = arena_create();
    struct bits_problem p = {.n_units = UNITS,
                             .n_levels = LEVELS,
                             .kl = kl,
                             .ns = ns,
                             .bytes = bytes,
                             .conversion_ns = conversion,
                             .max_ram = BITS_NO_BUDGET};

    for (int i = 0; i < UNITS; i++) {
        const int64_t work = 100000 + draw(900000), weights = 10000 + draw(2000000);

        for (int l = 0; l < LEVELS; l++) {
            kl[i * LEVELS + l] = loss[l] * (double)(50 + draw(100)) / 100;
            ns[i * LEVELS + l] = work * (4 + bits[l]) / 36 + draw(100);
            bytes[i * LEVELS + l] = weights * bits[l] / 8;
            p.max_ns += ns[i * LEVELS + l] / LEVELS / 2;
            p.max_bytes += bytes[i * LEVELS + l] / LEVELS / 2;
            for (int from = 0; from < LEVELS; from++)
                conversion[(i * LEVELS + from) * LEVELS + l] = from == l ? 0 : 5000;
        }
    }

    const struct bits_answer r = bits_programme(a, &p);

    CHECK(r.blocked == BITS_FITS && r.ns <= p.max_ns && r.bytes <= p.max_bytes);
    print_message("kl %.6f, %lld states, steps %lld and %lld\n", r.kl,
                  (long long)r.n_states, (long long)r.step_ns, (long long)r.step_bytes);
    CHECK(r.step_ns == 1 && r.step_bytes == 1);
    arena_destroy(a);
}
