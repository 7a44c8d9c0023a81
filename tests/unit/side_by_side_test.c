/* SPDX-License-Identifier: Apache-2.0 */
// links: support
/* Pieces of work on copies of the process. */
#include "tests/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support/side_by_side.h"

enum { PIECES = 40, BAD = 7 };

struct work {
    atomic_int taken[PIECES]; /* how often */
    void (*spoil)(void);      /* the bad piece; NULL: it is like the others */
};

static struct status *take(void *arg, int i)
{
    struct work *w = arg;

    atomic_fetch_add(&w->taken[i], 1);
    if (i != BAD || !w->spoil)
        return OK;
    w->spoil();
    return FAIL(NO_FIT, "piece %d is bad", i);
}

static void watch(void *arg)
{
    (void)arg;
}

static struct status *run(int jobs, void (*spoil)(void), struct work **out)
{
    struct work *w = *out = side_by_side_memory(sizeof *w);

    w->spoil = spoil;
    return side_by_side(jobs, PIECES, take, watch, w);
}

static int most_taken(struct work *w)
{
    int most = 0;

    for (int i = 0; i < PIECES; i++)
        most = w->taken[i] > most ? w->taken[i] : most;
    return most;
}

TEST(each_piece_is_taken_once)
{
    for (int jobs = 1; jobs <= 2 * PIECES; jobs *= 4) {
        struct work *w;

        CHECK_OK(run(jobs, NULL, &w));
        for (int i = 0; i < PIECES; i++)
            CHECK_EQ(w->taken[i], 1);
    }
}

static void nothing(void)
{
}

TEST(a_failure_comes_back_with_its_words_and_ends_the_work)
{
    for (int jobs = 1; jobs <= 4; jobs += 3) {
        struct work *w;

        CHECK_FAILS(run(jobs, nothing, &w), NO_FIT, "piece 7 is bad");
        CHECK_EQ(most_taken(w), 1);
        CHECK(jobs > 1 || w->taken[BAD + 1] == 0);
    }
}

static void be_killed(void)
{
    raise(SIGKILL);
}

static void leave(void)
{
    _exit(1);
}

TEST(a_copy_that_is_lost_is_a_failure)
{
    static void (*const ends[])(void) = {be_killed, leave};
    static const char *const words[] = {"ended by signal 9", "ended early"};

    for (int i = 0; i < 2; i++) {
        struct work *w;

        CHECK_FAILS(run(2, ends[i], &w), IO_ERROR, words[i]);
        CHECK_EQ(most_taken(w), 1);
    }
}
