/* SPDX-License-Identifier: Apache-2.0 */
// links: search
/* Plans that are proposed, measured and proposed again, on five units. */
#include "tests/test.h"

#include <math.h>

#include "search/bits_search.h"

enum { N = 5, L = 3, ALL = 243 };

/* Times and losses of 32, 8 and 4 bits; bytes fall with bits. */
static const double kl[N * L] = {0,    0.002, 0.05,  0,     0.0005, 0.01,   0,   0.001,
                                 0.02, 0,     0.003, 0.004, 0,      0.0002, 0.03};
static const int64_t ns[N * L] = {900, 300, 200, 400, 150, 100, 1200, 500,
                                  300, 500, 260, 250, 800, 200, 190};
static const int64_t bytes[N * L] = {4000, 1000, 500, 800, 200,  100, 6000, 1500,
                                     750,  2000, 500, 250, 1600, 400, 200};

/* What the table cannot know: the file is a tenth larger, accuracy falls with the root
 * of the divergence, time is three times what is modelled. */
static struct status *measure(struct bits_point *p, void *arg)
{
    int *n = arg;

    ++*n;
    p->drop = 10.0 * sqrt(p->kl);
    p->file_bytes = p->bytes + p->bytes / 10;
    p->run_ns = 3.0 * (double)p->ns;
    return OK;
}

struct world {
    struct arena *a;
    struct sensitivity *table;
    struct bits_search s;
    int n_measured;
};

static void start(struct world *w)
{
    *w = (struct world){.a = arena_create()};
    w->table = sensitivity_create(w->a, N, L);
    for (int i = 0; i < N * L; i++) {
        w->table->kl[i] = kl[i];
        w->table->ns[i] = ns[i];
        w->table->bytes[i] = bytes[i];
    }
    w->s = (struct bits_search){.table = w->table,
                                .max_drop = INFINITY,
                                .max_ns = BITS_NO_BUDGET,
                                .max_bytes = BITS_NO_BUDGET,
                                .measure = measure,
                                .arg = &w->n_measured};
}

/* Of all 243 plans, by number. */
static struct bits_point plan_number(int number)
{
    struct bits_point p = {0};
    int n = 0;

    for (int i = 0; i < N; i++, number /= L) {
        p.kl += kl[i * L + number % L];
        p.ns += ns[i * L + number % L];
        p.bytes += bytes[i * L + number % L];
    }
    CHECK_OK(measure(&p, &n));
    return p;
}

TEST(within_a_budget_of_bytes_the_plan_is_within_one_percent_of_the_best)
{
    struct world w;
    struct bits_point found;
    double best = INFINITY;

    start(&w);
    w.s.max_bytes = 7200; /* half of the original's bytes */
    CHECK_OK(bits_search(w.a, &w.s, &found));
    for (int i = 0; i < ALL; i++) {
        const struct bits_point p = plan_number(i);

        if (p.file_bytes <= w.s.max_bytes)
            best = fmin(best, p.kl);
    }
    CHECK(found.file_bytes <= w.s.max_bytes);
    CHECK(found.kl <= 1.01 * best);
    CHECK(w.n_measured <= BITS_SEARCH_MOST);
    arena_destroy(w.a);
}

TEST(a_measured_time_above_the_budget_tightens_it)
{
    struct world w;
    struct bits_point found;

    start(&w);
    w.s.max_ns = 6000; /* 2000 modelled */
    CHECK_OK(bits_search(w.a, &w.s, &found));
    CHECK(found.run_ns <= 6000.0);
    CHECK(w.n_measured >= 2);
    arena_destroy(w.a);
}

TEST(without_budgets_the_fastest_plan_that_is_accurate_enough_is_found)
{
    struct world w;
    struct bits_point found;
    int64_t best = INT64_MAX;

    start(&w);
    w.s.max_drop = 1.0; /* a divergence of 0.01 */
    CHECK_OK(bits_search(w.a, &w.s, &found));
    for (int i = 0; i < ALL; i++) {
        const struct bits_point p = plan_number(i);

        if (p.drop <= 1.0 && p.ns < best)
            best = p.ns;
    }
    CHECK(found.drop <= 1.0);
    CHECK((double)found.ns <= 1.01 * (double)best);
    CHECK(w.n_measured <= BITS_SEARCH_MOST);
    arena_destroy(w.a);
}

TEST(no_loss_allowed_leaves_the_original_bits)
{
    struct world w;
    struct bits_point found;

    start(&w);
    w.s.max_drop = 0.0;
    CHECK_OK(bits_search(w.a, &w.s, &found));
    for (int i = 0; i < N; i++)
        CHECK_EQ(found.levels[i], 0);
    arena_destroy(w.a);
}

TEST(a_budget_that_blocks_is_named_with_the_closest_plan)
{
    struct world w;
    struct bits_point found;

    start(&w);
    w.s.max_bytes = 1700; /* 1800 are the least */
    CHECK_FAILS(bits_search_check(w.a, &w.s), NO_FIT, "byte budget");
    CHECK_FAILS(bits_search(w.a, &w.s, &found), NO_FIT, "1800 bytes are the least");
    CHECK_EQ(w.n_measured, 0);
    arena_destroy(w.a);
}

TEST(accuracy_that_blocks_is_named)
{
    struct world w;
    struct bits_point found;

    start(&w);
    w.s.max_bytes = 2000;
    w.s.max_drop = 0.5;
    CHECK_FAILS(bits_search(w.a, &w.s, &found), NO_FIT, "0.50 are allowed");
    arena_destroy(w.a);
}
