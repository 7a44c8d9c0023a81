/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Cheapest labels: compared with trying all of them. */
#include "tests/test.h"

#include "frontend/min_cut.h"

TEST(min_cut_puts_the_copy_where_it_is_cheapest)
{
    struct arena *a = arena_create();
    struct cut *k = cut_create(a);
    const int x = cut_variable(k), y = cut_variable(k), z = cut_variable(k);

    cut_price(k, x, CUT_FORBIDDEN, 0); /* x must be yes, z must be no */
    cut_price(k, z, 0, CUT_FORBIDDEN);
    cut_group(k, 5, 2, (int[]){x, y});
    cut_group(k, 3, 2, (int[]){y, z});
    cut_solve(k);
    CHECK(cut_label(k, x) && cut_label(k, y) && !cut_label(k, z));
    arena_destroy(a);
}

TEST(min_cut_leaves_what_nothing_asks_for_at_no)
{
    struct arena *a = arena_create();
    struct cut *k = cut_create(a);
    const int x = cut_variable(k), y = cut_variable(k);

    cut_group(k, 1, 2, (int[]){x, y});
    cut_solve(k);
    CHECK(!cut_label(k, x) && !cut_label(k, y));
    arena_destroy(a);
}

TEST(min_cut_refuses_pairs_that_gain_by_differing)
{
    struct arena *a = arena_create();
    struct cut *k = cut_create(a);
    const int x = cut_variable(k), y = cut_variable(k);

    CHECK(!cut_pair(k, x, y, (int64_t[2][2]){{4, 0}, {4, 4}}));
    CHECK(cut_pair(k, x, y, (int64_t[2][2]){{0, 4}, {4, 0}}));
    arena_destroy(a);
}

/* ---- against all labellings ------------------------------------------------------ */

enum { N = 7, N_TERMS = 12 };

struct term {
    int n, at[3];
    int64_t cost[2][2]; /* n == 1: cost[0][x]; n == 2: pair; n == 3: group, cost[0][0] */
};

static int64_t random_below(uint64_t *seed, int64_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*seed >> 33) % (uint64_t)n);
}

static int64_t price(const struct term *t, unsigned labels)
{
    const int x = labels >> t->at[0] & 1, y = labels >> t->at[1] & 1;
    const int z = labels >> t->at[2] & 1;

    return t->n == 1 ? t->cost[0][x]
         : t->n == 2 ? t->cost[x][y]
                     : (x == y && y == z ? 0 : t->cost[0][0]);
}

static int64_t total(const struct term *t, unsigned labels)
{
    int64_t sum = 0;

    for (int i = 0; i < N_TERMS; i++)
        sum += price(&t[i], labels);
    return sum;
}

static void add_random_term(struct cut *k, const int *variable, struct term *t,
                            uint64_t *seed)
{
    *t = (struct term){.n = 1 + (int)random_below(seed, 3)};
    for (int i = 0; i < 3; i++)
        t->at[i] = (int)random_below(seed, N);
    for (int i = 0; i < 4; i++)
        t->cost[i / 2][i % 2] = random_below(seed, 20);
    if (t->n == 1) {
        cut_price(k, variable[t->at[0]], t->cost[0][0], t->cost[0][1]);
    } else if (t->n == 2) {
        if (t->at[0] == t->at[1]
            || !cut_pair(k, variable[t->at[0]], variable[t->at[1]], t->cost))
            memset(t->cost, 0, sizeof t->cost);
    } else {
        const int group[] = {variable[t->at[0]], variable[t->at[1]], variable[t->at[2]]};

        cut_group(k, t->cost[0][0], 3, group);
    }
}

TEST(min_cut_finds_the_best_of_all_labellings)
{
    uint64_t seed = 3;

    for (int round = 0; round < 300; round++) {
        struct arena *a = arena_create();
        struct cut *k = cut_create(a);
        struct term t[N_TERMS];
        int variable[N];
        unsigned found = 0;
        int64_t best = INT64_MAX;

        for (int i = 0; i < N; i++)
            variable[i] = cut_variable(k);
        for (int i = 0; i < N_TERMS; i++)
            add_random_term(k, variable, &t[i], &seed);
        cut_solve(k);
        for (int i = 0; i < N; i++)
            found |= (unsigned)cut_label(k, variable[i]) << i;
        for (unsigned labels = 0; labels < 1u << N; labels++)
            best = total(t, labels) < best ? total(t, labels) : best;
        CHECK_EQ(total(t, found), best);
        arena_destroy(a);
    }
}
