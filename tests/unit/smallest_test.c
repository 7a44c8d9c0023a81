/* SPDX-License-Identifier: Apache-2.0 */
// links: support
/* The smallest of many numbers, against counting. */
#include "tests/test.h"

#include <math.h>

#include "support/random.h"
#include "support/smallest.h"

enum { N = 200 };

TEST(of_equal_numbers_the_first_are_taken)
{
    static const double size[] = {2, 1, 0, 1, INFINITY, 1, 0};
    uint8_t is_small[7];

    smallest_mark(7, size, 4, is_small);
    CHECK_BYTES(is_small, ((uint8_t[]){0, 1, 1, 1, 0, 0, 1}), 7);
    smallest_mark(7, size, 0, is_small);
    CHECK_BYTES(is_small, ((uint8_t[]){0, 0, 0, 0, 0, 0, 0}), 7);
    smallest_mark(7, size, 7, is_small);
    CHECK_BYTES(is_small, ((uint8_t[]){1, 1, 1, 1, 1, 1, 1}), 7);
}

/* How many come before i. */
static int64_t rank_of(const double *size, int i)
{
    int64_t rank = 0;

    for (int k = 0; k < N; k++)
        rank += size[k] < size[i] || (size[k] == size[i] && k < i);
    return rank;
}

TEST(they_are_those_that_few_come_before)
{
    struct random r = random_seeded(4);
    uint8_t is_small[N];
    double size[N];

    for (int i = 0; i < N; i++) /* of all magnitudes, some twice */
        size[i] = exp((double)random_below(&r, 100) * 10 - 500);
    for (int64_t count = 0; count <= N; count++) {
        smallest_mark(N, size, count, is_small);
        for (int i = 0; i < N; i++)
            CHECK_EQ(is_small[i], rank_of(size, i) < count);
    }
}
