/* SPDX-License-Identifier: Apache-2.0 */
// links: compress support
/* Rounding of weights: scales and codes that can be seen, and small random layers
 * against every rounding there is. */
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "compress/round_weights.h"
#include "support/random.h"

static struct arena *arena;

static struct rounding rounded(const struct rounding_task *t)
{
    struct rounding r;

    if (!arena)
        arena = arena_create();
    CHECK_OK(round_weights(arena, t, &r));
    return r;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * (1e-9 + fabs(b));
}

/* ---- scales -----------------------------------------------------------------------
 */

TEST(weights_that_are_codes_already_keep_their_values)
{
    const float w[] = {127, -1, 64, 2, -254, 100};
    const int8_t want[] = {127, -1, 64, 1, -127, 50};
    const struct rounding r =
        rounded(&(struct rounding_task){.rows = 2, .k = 3, .weights = w, .bits = 8});

    CHECK(r.scale[0] == 1 && r.scale[1] == 2);
    CHECK_BYTES(r.codes, want, sizeof want);
    CHECK(r.error == 0 && r.error_nearest == 0);
}

/* 10 / 7 would round 400 weights of 0.6 to nothing: 400 * 0.36 = 144.  The best scale
 * that keeps them is 0.69: 400 * 0.09^2 + (10 - 7 * 0.69)^2 = 30. */
TEST(one_large_weight_is_clipped_when_many_small_ones_need_the_steps)
{
    float w[401] = {10};

    for (int i = 1; i <= 400; i++)
        w[i] = 0.6f;

    const struct rounding r =
        rounded(&(struct rounding_task){.rows = 1, .k = 401, .weights = w, .bits = 4});

    CHECK(r.scale[0] > 0.68f && r.scale[0] < 0.7f);
    CHECK(r.codes[0] == 7 && r.codes[1] == 1 && r.codes[400] == 1);
    CHECK(r.error > 29.9 && r.error < 30.1);
}

TEST(a_row_of_zeros_has_scale_one)
{
    const float w[] = {0, -0.0f, 0};
    const double h[] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 3, .weights = w, .hessian = h, .bits = 4});

    CHECK(r.scale[0] == 1 && r.error == 0 && r.error_nearest == 0);
    CHECK(r.codes[0] == 0 && r.codes[1] == 0 && r.codes[2] == 0);
}

/* Steps of 0.5 round 0.3 to 1 step and 0.2 to none. */
TEST(a_scale_is_at_least_what_the_bias_needs)
{
    const float w[] = {0.3f, 0.2f}, least[] = {0.5f};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 2, .weights = w, .least_scale = least, .bits = 8});

    CHECK(r.scale[0] == 0.5f && r.codes[0] == 1 && r.codes[1] == 0);
}

TEST(weights_below_the_smallest_float_have_a_normal_scale)
{
    const float w[] = {1e-40f, -1e-45f};
    const double h[] = {1, 0, 0, 1};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 2, .weights = w, .hessian = h, .bits = 8});

    CHECK(r.scale[0] == FLT_MIN && r.codes[0] == 0 && r.codes[1] == 0);
}

/* ---- what the samples say ---------------------------------------------------------
 */

/* Inputs 1 and 2 are always equal, so only the sum of their weights matters: 0.8 is
 * nearer to 1 + 0 than to 0 + 0.  Damping is 0.01: 0.8^2 + 0.01 * 2 * 0.4^2 = 0.6432
 * becomes 0.2^2 + 0.01 * (0.6^2 + 0.4^2) = 0.0452. */
TEST(equal_inputs_share_their_rounding_error)
{
    const float w[] = {127, 0.4f, 0.4f};
    const double h[] = {1, 0, 0, 0, 1, 1, 0, 1, 1};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 3, .weights = w, .hessian = h, .bits = 8});

    CHECK(r.scale[0] == 1);
    CHECK(r.codes[0] == 127 && r.codes[1] + r.codes[2] == 1);
    CHECK(fabs(r.error_nearest - 0.6432) < 1e-6 && fabs(r.error - 0.0452) < 1e-6);
}

/* The third weight is zero and would be the best place for the sum of the others'
 * errors: 0.45 + 0.45 is nearer to 1 than to 0. */
TEST(a_weight_of_zero_stays_zero_where_that_is_asked_for)
{
    const float w[] = {127, 0.45f, 0, 0.45f};
    const double h[] = {1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 4, .weights = w, .hessian = h, .bits = 8, .keep_zeros = true});

    CHECK(r.codes[0] == 127 && r.codes[2] == 0);
    CHECK_EQ(r.codes[1] + r.codes[3], 1);
}

/* The middle input was never used; its weight keeps its nearest code, 3. */
TEST(an_unused_input_keeps_its_nearest_code)
{
    const float w[] = {0.4f, 3.4f, 7, 0.4f};
    const double h[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 4, .weights = w, .hessian = h, .bits = 4});

    CHECK(r.scale[0] == 1);
    CHECK(r.codes[1] == 3 && r.codes[2] == 7 && r.codes[0] + r.codes[3] == 1);
}

TEST(samples_of_zeros_leave_the_nearest_codes)
{
    const float w[] = {0.4f, 3.4f, 7};
    const double h[9] = {0};
    const int8_t want[] = {0, 3, 7};
    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 3, .weights = w, .hessian = h, .bits = 4});

    CHECK_BYTES(r.codes, want, sizeof want);
}

/* ---- random layers ----------------------------------------------------------------
 */

struct layer {
    float w[40 * 24];
    double h[24 * 24];
};

/* Weights in -1 ... 1; n samples, neighbouring inputs correlated as in a picture. */
static struct layer layer_random(uint64_t seed, int rows, int k, int n)
{
    struct layer l = {0};
    struct random r = random_seeded(seed);
    double x[24];

    for (int i = 0; i < rows * k; i++)
        l.w[i] = (float)(2 * random_unit(&r) - 1);
    for (int s = 0; s < n; s++) {
        double level = random_unit(&r);

        for (int i = 0; i < k; i++)
            x[i] = level = 0.7 * level + 0.3 * random_unit(&r);
        for (int i = 0; i < k * k; i++)
            l.h[i] += x[i / k] * x[i % k] / n;
    }
    return l;
}

static struct rounding_task layer_task(const struct layer *l, int rows, int k, int bits)
{
    return (struct rounding_task){
        .rows = rows, .k = k, .weights = l->w, .hessian = l->h, .bits = bits};
}

/* Also with fewer samples than inputs. */
TEST(each_step_lowers_the_error)
{
    for (uint64_t seed = 0; seed < 12; seed++) {
        const struct layer l = layer_random(seed, 40, 24, seed % 2 ? 8 : 100);
        const struct rounding_task t = layer_task(&l, 40, 24, seed % 4 < 2 ? 4 : 8);
        const struct rounding r = rounded(&t);

        CHECK(r.error_gptq < 0.8 * r.error_nearest);
        CHECK(r.error < 0.98 * r.error_gptq);
        CHECK(r.error > 0);
    }
}

TEST(the_error_is_that_of_the_codes)
{
    const struct layer l = layer_random(5, 40, 24, 30);
    const struct rounding_task t = layer_task(&l, 40, 24, 4);
    const struct rounding r = rounded(&t);
    double error = 0, nearest = 0;

    for (int i = 0; i < 40; i++) {
        int8_t codes[24];

        for (int j = 0; j < 24; j++) {
            const double code = nearbyint((double)l.w[i * 24 + j] / (double)r.scale[i]);

            codes[j] = (int8_t)fmax(-7, fmin(7, code));
        }
        nearest += rounding_error(&t, i, codes, r.scale[i]);
        error += rounding_error(&t, i, r.codes + i * 24, r.scale[i]);
    }
    CHECK(near(r.error, error) && near(r.error_nearest, nearest));
}

/* The least error over the three or so codes within 1.5 steps of each of 8 weights. */
static double least_error(const struct rounding_task *t, int row, float scale, int j,
                          int8_t *codes)
{
    if (j == t->k)
        return rounding_error(t, row, codes, scale);

    const double target = (double)t->weights[row * t->k + j] / (double)scale;
    double least = INFINITY;

    for (int code = -7; code <= 7; code++)
        if (fabs(code - target) < 1.5 || (code == 7 && target > 8)
            || (code == -7 && target < -8)) {
            codes[j] = (int8_t)code;
            least = fmin(least, least_error(t, row, scale, j + 1, codes));
        }
    return least;
}

TEST(no_rounding_of_a_small_layer_is_much_better)
{
    double best = 0, found = 0, nearest = 0;
    int n_best = 0;

    for (uint64_t seed = 0; seed < 4; seed++) {
        const struct layer l = layer_random(seed, 10, 8, 20);
        const struct rounding_task t = layer_task(&l, 10, 8, 4);
        const struct rounding r = rounded(&t);

        for (int i = 0; i < 10; i++) {
            int8_t codes[8];
            const double least = least_error(&t, i, r.scale[i], 0, codes);
            const double mine = rounding_error(&t, i, r.codes + 8 * i, r.scale[i]);

            CHECK(mine < 4 * least);
            n_best += mine < 1.0001 * least;
            best += least;
        }
        found += r.error;
        nearest += r.error_nearest;
    }
    CHECK(found < 1.25 * best);
    CHECK(nearest > 2 * best);
    CHECK(n_best >= 20);
}

/* Blocks of rows end at 32. */
TEST(a_row_does_not_depend_on_its_neighbours)
{
    const struct layer l = layer_random(3, 40, 24, 30);
    const struct rounding_task all = layer_task(&l, 40, 24, 4);
    const struct rounding r = rounded(&all);

    for (int i = 0; i < 40; i++) {
        struct rounding_task one = layer_task(&l, 1, 24, 4);

        one.weights = l.w + i * 24;

        const struct rounding alone = rounded(&one);

        CHECK(alone.scale[0] == r.scale[i]);
        CHECK_BYTES(alone.codes, r.codes + i * 24, 24);
    }
}

TEST(the_same_layer_gives_the_same_bytes)
{
    const struct layer l = layer_random(4, 40, 24, 30);
    const struct rounding_task t = layer_task(&l, 40, 24, 4);
    const struct rounding a = rounded(&t), b = rounded(&t);

    CHECK_BYTES(a.codes, b.codes, 40 * 24);
    CHECK(a.error == b.error && a.error_gptq == b.error_gptq);
}

/* A hundred ones ask for steps near 1.06, and 8.2 is cut to 7 of them, though 8 would
 * be better. */
TEST(no_step_leaves_the_range_of_the_codes)
{
    static float w[101] = {8.2f};
    static double h[101 * 101];

    for (int i = 0; i < 101; i++) {
        w[i] = i ? 1 : w[0];
        h[i * 101 + i] = 1;
    }

    const struct rounding r = rounded(&(struct rounding_task){
        .rows = 1, .k = 101, .weights = w, .hessian = h, .bits = 4});

    CHECK(r.scale[0] > 1.04f && r.scale[0] < 1.07f);
    CHECK(r.codes[0] == 7 && r.codes[1] == 1);
}

TEST(codes_stay_in_range)
{
    for (int bits = 4; bits <= 8; bits += 4) {
        const struct layer l = layer_random(6, 40, 24, 5);
        const struct rounding_task t = layer_task(&l, 40, 24, bits);
        const struct rounding r = rounded(&t);
        const int limit = bits == 8 ? 127 : 7;
        int most = 0;

        for (int i = 0; i < 40 * 24; i++)
            most = abs(r.codes[i]) > most ? abs(r.codes[i]) : most;
        CHECK_EQ(most, limit);
    }
}

/* ---- refusals ---------------------------------------------------------------------
 */

TEST(numbers_that_are_not_finite_are_refused)
{
    const float bad[] = {1, 2, 3, NAN}, good[] = {1, 2, 3, 4}, least[] = {0, INFINITY};
    const double h[] = {1, 0, INFINITY, 1};
    struct arena *a = arena_create();
    struct rounding r;

    CHECK_FAILS(
        round_weights(
            a, &(struct rounding_task){.rows = 2, .k = 2, .weights = bad, .bits = 8},
            &r),
        INVALID, "weight 1 of output channel 1 is not finite");
    CHECK_FAILS(
        round_weights(
            a,
            &(struct rounding_task){
                .rows = 2, .k = 2, .weights = good, .least_scale = least, .bits = 8},
            &r),
        INVALID, "output channel 1 needs a scale that is not finite");
    CHECK_FAILS(
        round_weights(a,
                      &(struct rounding_task){
                          .rows = 2, .k = 2, .weights = good, .hessian = h, .bits = 8},
                      &r),
        INVALID, "second moments of inputs 1 and 0 are not finite");
    arena_destroy(a);
}

/* [1 1.02; 1.02 1] has the eigenvalue -0.02, which the usual damping does not lift. */
TEST(moments_whose_sums_were_rounded_are_damped_more)
{
    const float w[] = {1, -0.503f};
    const double h[] = {1, 1.02, 1.02, 1};
    struct rounding_task t = {.rows = 1, .k = 2, .weights = w, .hessian = h, .bits = 8};
    struct arena *a = arena_create();
    struct rounding r;

    CHECK_OK(round_weights(a, &t, &r));
    for (int i = 0; i < 2; i++)
        CHECK(fabs((double)(r.scale[0] * (float)r.codes[i] - w[i])) < 0.01);
    arena_destroy(a);
}

/* [1 3; 3 1] has the eigenvalue -2. */
TEST(moments_that_no_samples_have_are_refused)
{
    const float w[] = {1, 2};
    const double saddle[] = {1, 3, 3, 1}, negative[] = {1, 0, 0, -1};
    struct rounding_task t = {
        .rows = 1, .k = 2, .weights = w, .hessian = saddle, .bits = 8};
    struct arena *a = arena_create();
    struct rounding r;

    CHECK_FAILS(round_weights(a, &t, &r), INVALID, "not positive semidefinite");
    t.hessian = negative;
    CHECK_FAILS(round_weights(a, &t, &r), INVALID,
                "input 1 has a negative second moment");
    arena_destroy(a);
}
