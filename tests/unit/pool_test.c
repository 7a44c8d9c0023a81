/* SPDX-License-Identifier: Apache-2.0 */
/* links: runtime
 *
 * The thread pool that ships with the runtime. */
#include "tests/test.h"

#include <stdatomic.h>

#include "runtime/pool.h"

enum { N_WORKERS = 3, N_UNITS = 1000 };

struct tally {
    atomic_int done[N_UNITS];
    atomic_int in_use[N_WORKERS];
    atomic_int wrong;
};

/* Counts units, and workers that two threads use at the same time. */
static void count_units(void *arg, int64_t begin, int64_t end, int64_t worker)
{
    struct tally *t = arg;

    if (worker < 0 || worker >= N_WORKERS || atomic_fetch_add(&t->in_use[worker], 1))
        atomic_fetch_add(&t->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&t->done[i], 1);
    if (worker >= 0 && worker < N_WORKERS)
        atomic_fetch_sub(&t->in_use[worker], 1);
}

static void check_tally(struct tally *t, int n, int times)
{
    CHECK_EQ(t->wrong, 0);
    for (int i = 0; i < N_UNITS; i++)
        CHECK_EQ(t->done[i], i < n ? times : 0);
}

TEST(pool_does_every_unit_once)
{
    static const int counts[] = {0, 1, 2, 7, 64, N_UNITS};
    static const int grains[] = {1, 5, 64, N_UNITS};
    struct hadm_pool *pool = hadm_pool_create(N_WORKERS);

    CHECK(pool);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (size_t k = 0; k < sizeof grains / sizeof grains[0]; k++) {
            struct tally t = {0};

            hadm_pool_for(pool, count_units, &t, counts[i], grains[k]);
            check_tally(&t, counts[i], 1);
        }
    hadm_pool_destroy(pool);
}

/* Loops so short that most are over before the other workers hear of them. */
TEST(pool_runs_many_short_loops)
{
    struct hadm_pool *pool = hadm_pool_create(N_WORKERS);
    struct tally t = {0};

    for (int i = 0; i < 5000; i++)
        hadm_pool_for(pool, count_units, &t, 9, 1);
    check_tally(&t, 9, 5000);
    hadm_pool_destroy(pool);
}

TEST(pool_of_one_is_the_caller)
{
    struct hadm_pool *pool = hadm_pool_create(1);
    struct tally t = {0};

    hadm_pool_for(pool, count_units, &t, 10, 1);
    check_tally(&t, 10, 1);
    hadm_pool_destroy(pool);
}
