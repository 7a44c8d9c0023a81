/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Splits: the table of splits.h, and that nothing is used twice. */
#include "tests/test.h"

#include "frontend/splits.h"

enum { CAL = SPLITS_CALIBRATION, VAL = SPLITS_VALIDATION, TEST_ = SPLITS_TEST };

static struct dataset set_of(int64_t train, int64_t val, int64_t test, int64_t unnamed)
{
    struct dataset d = {0};
    const int64_t n[] = {train, val, test, unnamed};

    for (int s = 0; s < DATASET_N_SPLITS; s++) {
        d.split[s].first = d.n;
        d.split[s].n = n[s];
        d.n += n[s];
    }
    return d;
}

static void check_counts(const struct splits *s, int64_t calibration,
                         int64_t validation, int64_t test)
{
    CHECK_EQ(s->use[CAL].n, calibration);
    CHECK_EQ(s->use[VAL].n, validation);
    CHECK_EQ(s->use[TEST_].n, test);
}

/* Every sample at most once, ascending, from the split that is named. */
static void check_disjoint(const struct dataset *d, const struct splits *s)
{
    char used[64] = {0};

    for (int u = 0; u < SPLITS_N_USES; u++)
        for (int64_t i = 0; i < s->use[u].n; i++) {
            const int64_t at = s->use[u].at[i];

            CHECK(at >= d->split[s->use[u].from].first);
            CHECK(at < d->split[s->use[u].from].first + d->split[s->use[u].from].n);
            CHECK(i == 0 || s->use[u].at[i - 1] < at);
            CHECK_EQ(used[at]++, 0);
        }
}

static void check(int64_t train, int64_t val, int64_t test, int64_t unnamed,
                  bool wants_validation, const int64_t *want)
{
    struct arena *a = arena_create();
    const struct dataset d = set_of(train, val, test, unnamed);
    const struct splits_options o = {.seed = 1, .wants_validation = wants_validation};
    const struct splits s = splits_make(&d, &o, a);

    check_counts(&s, want[0], want[1], want[2]);
    check_disjoint(&d, &s);
    arena_destroy(a);
}

#define WANT(...) ((const int64_t[]){__VA_ARGS__})

TEST(splits_follow_the_table)
{
    check(8, 4, 5, 0, true, WANT(8, 4, 5));
    check(8, 4, 5, 0, false, WANT(8, 0, 5));
    check(8, 0, 5, 0, true, WANT(4, 4, 5));
    check(8, 4, 0, 0, true, WANT(4, 4, 4));
    check(0, 4, 5, 0, true, WANT(2, 2, 5));
    check(0, 0, 16, 0, true, WANT(2, 2, 12));
    check(0, 0, 0, 16, false, WANT(4, 0, 12));
    check(0, 0, 5, 8, false, WANT(8, 0, 5));
    check(1, 0, 0, 0, true, WANT(1, 0, 0));
}

TEST(splits_never_calibrate_on_the_test_split)
{
    struct arena *a = arena_create();
    const struct dataset d = set_of(0, 4, 5, 0);
    const struct splits s = splits_make(&d, &(struct splits_options){.seed = 3}, a);

    CHECK_EQ(s.use[CAL].from, DATASET_VAL);
    CHECK_EQ(s.use[TEST_].from, DATASET_TEST);
    arena_destroy(a);
}

static bool contains(const struct splits *s, int use, int64_t at)
{
    for (int64_t i = 0; i < s->use[use].n; i++)
        if (s->use[use].at[i] == at)
            return true;
    return false;
}

TEST(splits_grow_with_their_limits)
{
    struct arena *a = arena_create();
    const struct dataset d = set_of(0, 0, 0, 64);
    struct splits_options o = {.seed = 5, .most = {4, 0, 10}};
    const struct splits few = splits_make(&d, &o, a);

    o.most[CAL] = 8;
    o.wants_validation = true;

    const struct splits more = splits_make(&d, &o, a);

    check_counts(&few, 4, 0, 10);
    check_counts(&more, 8, 8, 10);
    for (int i = 0; i < 4; i++)
        CHECK(contains(&more, CAL, few.use[CAL].at[i]));
    CHECK_BYTES(few.use[TEST_].sha256, more.use[TEST_].sha256, 32);
    arena_destroy(a);
}

TEST(splits_depend_on_the_seed_only)
{
    struct arena *a = arena_create();
    const struct dataset d = set_of(0, 0, 0, 64);
    const struct splits one = splits_make(&d, &(struct splits_options){.seed = 1}, a);
    const struct splits two = splits_make(&d, &(struct splits_options){.seed = 2}, a);
    const struct splits same = splits_make(&d, &(struct splits_options){.seed = 1}, a);

    CHECK_BYTES(one.use[TEST_].sha256, same.use[TEST_].sha256, 32);
    CHECK(memcmp(one.use[TEST_].sha256, two.use[TEST_].sha256, 32) != 0);
    arena_destroy(a);
}

/* SHA-256 of eight zero bytes and of nothing, by sha256sum. */
TEST(splits_are_recorded)
{
    struct arena *a = arena_create();
    const struct dataset d = set_of(0, 0, 1, 0);
    const struct splits s = splits_make(&d, &(struct splits_options){.seed = 7}, a);
    struct text json = {0};

    splits_print_json(&s, &json);
    CHECK_TEXT(
        json.bytes,
        "{\"seed\": 7, \"calibration\": {\"from\": \"test\", \"samples\": 1, "
        "\"sha256\": "
        "\"af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc\"}, "
        "\"validation\": {\"from\": \"test\", \"samples\": 0, \"sha256\": "
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}, "
        "\"test\": {\"from\": \"test\", \"samples\": 0, \"sha256\": "
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}}");
    text_free(&json);
    arena_destroy(a);
}
