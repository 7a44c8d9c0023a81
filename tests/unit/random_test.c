/* SPDX-License-Identifier: Apache-2.0 */
// links: support
/* Random numbers: published vectors, ranges, and that every order can come. */
#include "tests/test.h"

#include "support/random.h"

/* The first numbers of Vigna's splitmix64.c from 1234567. */
TEST(splitmix64_gives_the_published_numbers)
{
    static const uint64_t want[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821)};
    uint64_t counter = 1234567;

    for (int i = 0; i < 5; i++)
        CHECK(splitmix64(&counter) == want[i]);
}

/* The first numbers of Vigna's xoshiro256starstar.c from 1, 2, 3, 4.  The first in the
 * head: 2 * 5 rotated by 7 is 1280, times 9. */
TEST(xoshiro256_gives_the_published_numbers)
{
    static const uint64_t want[] = {11520,
                                    0,
                                    1509978240,
                                    UINT64_C(1215971899390074240),
                                    UINT64_C(1216172134540287360),
                                    UINT64_C(607988272756665600),
                                    UINT64_C(16172922978634559625),
                                    UINT64_C(8476171486693032832)};
    struct random r = {{1, 2, 3, 4}};

    for (int i = 0; i < 8; i++)
        CHECK(random_u64(&r) == want[i]);
}

TEST(random_seeds_give_different_numbers_and_the_same_ones_again)
{
    struct random a = random_seeded(1), again = random_seeded(1), b = random_seeded(2);
    const uint64_t x = random_u64(&a);

    CHECK(x == random_u64(&again));
    CHECK(x != random_u64(&b));
}

/* 6000 throws of a die: each face 1000 times, standard deviation 29. */
TEST(random_below_is_fair)
{
    struct random r = random_seeded(3);
    int count[6] = {0};

    for (int i = 0; i < 6000; i++)
        count[random_below(&r, 6)]++;
    for (int i = 0; i < 6; i++)
        CHECK(count[i] > 850 && count[i] < 1150);
    CHECK(random_below(&r, 1) == 0);
}

TEST(random_unit_stays_below_one)
{
    struct random r = random_seeded(4);
    double sum = 0;

    for (int i = 0; i < 1000; i++) {
        const double x = random_unit(&r);

        CHECK(x >= 0 && x < 1);
        sum += x;
    }
    CHECK(sum > 450 && sum < 550);
}

/* All 6 orders of three things, 100 times each; standard deviation 9. */
TEST(random_shuffle_gives_every_order)
{
    struct random r = random_seeded(5);
    int count[3][3] = {{0}};

    for (int i = 0; i < 600; i++) {
        int64_t at[3] = {0, 1, 2};

        random_shuffle(&r, at, 3);
        CHECK_EQ(at[0] + at[1] + at[2], 3);
        CHECK(at[0] != at[1] && at[1] != at[2]);
        count[at[0]][at[1]]++;
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            CHECK(i == k ? count[i][k] == 0 : count[i][k] > 60 && count[i][k] < 140);
}
