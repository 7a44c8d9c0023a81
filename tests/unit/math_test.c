/* SPDX-License-Identifier: Apache-2.0 */
/* links: kernels m
 *
 * The elementary functions against double precision: every 4099th float32 (a million of
 * them, all exponents, both signs), then the edges that a sample can miss. */
#include <math.h>

#include "kernels/half.h"
#include "kernels/math.h"
#include "tests/test.h"

enum { STRIDE = 4099 };

/* Distance in units of the last place of the result; far apart when exactly one is NaN
 * or an infinity that double precision does not reach. */
static double ulps(float got, double want)
{
    int exponent;

    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : 1e30;
    if (isinf(got) || isinf((float)want))
        return got == (float)want || fabs(want) > 3.4028234e38 ? 0 : 1e30;
    frexp(want, &exponent);
    if (want == 0 || exponent < -125)
        exponent = -125;
    return fabs((double)got - want) / ldexp(1, exponent - 24);
}

typedef float f32_fn(float x);
typedef double f64_fn(double x);

static double worst(f32_fn *f, f64_fn *want)
{
    double most = 0;

    for (uint64_t u = 0; u < (uint64_t)1 << 32; u += STRIDE) {
        const float x = f32_of_bits((uint32_t)u);
        const double e = ulps(f(x), want((double)x));

        most = e > most ? e : most;
    }
    return most;
}

/* math_x is inlined into a function that has an address. */
#define BOUND(name, want, bound)                                                       \
    static float name##_f32(float x)                                                   \
    {                                                                                  \
        return math_##name(x);                                                         \
    }                                                                                  \
    TEST(name##_errs_by_at_most_its_bound)                                             \
    {                                                                                  \
        CHECK(worst(name##_f32, want) <= (bound));                                     \
    }

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double softplus(double x)
{
    return x > 700 ? x : log1p(exp(x));
}

BOUND(exp, exp, 1)
BOUND(expm1, expm1, 2)
BOUND(log, log, 1)
BOUND(log1p, log1p, 2)
BOUND(sigmoid, sigmoid, 2.5)
BOUND(tanh, tanh, 2)
BOUND(erf, erf, 2)
BOUND(softplus, softplus, 2.5)
BOUND(sinh, sinh, 2)
BOUND(cosh, cosh, 2)
BOUND(asinh, asinh, 3)
BOUND(acosh, acosh, 3)
BOUND(atanh, atanh, 3)
BOUND(sin, sin, 2)
BOUND(cos, cos, 2)
BOUND(tan, tan, 3.5)
BOUND(atan, atan, 2)
BOUND(asin, asin, 2)
BOUND(acos, acos, 2)
BOUND(round, rint, 0)
BOUND(floor, floor, 0)
BOUND(ceil, ceil, 0)

TEST(exp_saturates_and_reaches_denormals)
{
    CHECK(math_exp(INFINITY) == INFINITY);
    CHECK(math_exp(89.0f) == INFINITY);
    CHECK(math_exp(-INFINITY) == 0.0f);
    CHECK(math_exp(-200.0f) == 0.0f);
    CHECK(math_exp(0.0f) == 1.0f);
    CHECK(math_exp(-100.0f) > 0.0f); /* 3.8e-44 */
    CHECK(isnan(math_exp(NAN)));
}

TEST(log_knows_zero_negatives_and_denormals)
{
    CHECK(math_log(0.0f) == -INFINITY);
    CHECK(math_log(-0.0f) == -INFINITY);
    CHECK(isnan(math_log(-1.0f)));
    CHECK(math_log(INFINITY) == INFINITY);
    CHECK(math_log(1.0f) == 0.0f);
    CHECK(ulps(math_log(0x1p-149f), log(0x1p-149)) <= 1);
}

TEST(odd_functions_keep_the_sign_of_zero)
{
    CHECK(signbit(math_tanh(-0.0f)));
    CHECK(signbit(math_erf(-0.0f)));
    CHECK(signbit(math_sin(-0.0f)));
    CHECK(signbit(math_round(-0.25f)));
    CHECK(signbit(math_ceil(-0.25f)));
    CHECK(!signbit(math_tanh(0.0f)));
}

TEST(limits_of_bounded_functions_are_exact)
{
    CHECK(math_tanh(100.0f) == 1.0f);
    CHECK(math_tanh(-INFINITY) == -1.0f);
    CHECK(math_erf(10.0f) == 1.0f);
    CHECK(math_sigmoid(INFINITY) == 1.0f);
    CHECK(math_sigmoid(-INFINITY) == 0.0f);
    CHECK(math_atan(INFINITY) == 1.57079633f);
    CHECK(math_mish(-INFINITY) != math_mish(-INFINITY)); /* -inf times 0 */
}

TEST(half_rounds_to_even)
{
    CHECK(math_round(0.5f) == 0.0f);
    CHECK(math_round(1.5f) == 2.0f);
    CHECK(math_round(-2.5f) == -2.0f);
    CHECK(math_round(8388609.0f) == 8388609.0f);
    CHECK(math_nearest_int(2.5f) == 2);
    CHECK(math_nearest_int(-3.5f) == -4);
}

TEST(pow_follows_ieee_754)
{
    static const float at[] = {0.0f, -0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 3.0f, -3.0f, 0.5f,
                               -0.5f, INFINITY, -INFINITY, NAN, 1e-40f, -1e-40f, 3e38f};
    const int n = sizeof at / sizeof *at;

    for (int i = 0; i < n * n; i++) {
        const float x = at[i / n], y = at[i % n], got = math_pow(x, y);

        CHECK(ulps(got, (double)powf(x, y)) <= 1);
        CHECK(isnan(got) || signbit(got) == signbit(powf(x, y)));
    }
}

/* A fixed sequence; quality does not matter. */
static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state ^ *state >> 16;
}

TEST(fmod_is_exact)
{
    uint32_t seed = 1;

    for (int i = 0; i < 100000; i++) {
        const float x = f32_of_bits(next(&seed)), y = f32_of_bits(next(&seed));
        const float got = math_fmod(x, y), want = fmodf(x, y);

        CHECK(got == want || (isnan(got) && isnan(want)));
        CHECK(math_fmod64(x, y) == fmod(x, y) || isnan(fmod(x, y)));
    }
}

TEST(double_precision_is_good_to_a_part_in_1e12)
{
    uint32_t seed = 2;

    for (int i = 0; i < 20000; i++) {
        const double x = ((double)next(&seed) / 0x1p32 - 0.5) * 40;

        CHECK(fabs(math_exp64(x) / exp(x) - 1) < 1e-12);
        CHECK(fabs(math_log64(exp(x)) - x) < 1e-12 * 40);
        CHECK(fabs(math_tanh64(x) - tanh(x)) < 1e-12);
        CHECK(fabs(math_erf64(x) - erf(x)) < 1e-12);
        CHECK(fabs(math_sin_turned64(x, 0) - sin(x)) < 1e-12);
        CHECK(fabs(math_sin_turned64(x, 1) - cos(x)) < 1e-12);
    }
}

TEST(every_half_survives_the_way_to_float_and_back)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const int is_nan = (h & 0x7fff) > 0x7c00, is_nan_b = (h & 0x7fff) > 0x7f80;

        CHECK(is_nan || f16_of_f32(f32_of_f16((uint16_t)h)) == h);
        CHECK(is_nan_b || bf16_of_f32(f32_of_bf16((uint16_t)h)) == h);
        CHECK(!is_nan || isnan(f32_of_f16((uint16_t)h)));
    }
}

TEST(halves_round_to_even_and_overflow_to_infinity)
{
    CHECK_EQ(f16_of_f32(1.0f + 0x1p-11f), 0x3c00);        /* a tie, down to even */
    CHECK_EQ(f16_of_f32(1.0f + 0x1.8p-10f), 0x3c02);      /* a tie, up to even */
    CHECK_EQ(f16_of_f32(65520.0f), 0x7c00);
    CHECK_EQ(f16_of_f32(65519.0f), 0x7bff);
    CHECK_EQ(f16_of_f32(0x1p-25f), 0);                    /* half the least denormal */
    CHECK_EQ(f16_of_f32(0x1.8p-25f), 1);
    /* Just above a tie in float64, on it in float32: one rounding goes up. */
    CHECK_EQ(f16_of_f32(f32_odd_of_f64(1.0 + 0x1p-11 + 0x1p-40)), 0x3c01);
}
