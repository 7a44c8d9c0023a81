/* SPDX-License-Identifier: Apache-2.0 */
/* Elementary functions of float32 and float64 for the kernels.
 *
 * Only + - * / sqrt, comparisons, selections and integer bit operations, in the
 * written order, so every target gives the same bits; no fma, no libm, no tables
 * except for huge arguments of sin and cos.  All but those are branch-free: a
 * selection computes both sides and loops over them vectorise.  Coefficients are
 * weighted minimax fits (Lawson iteration), rounded one by one to float32.
 *
 * Errors are the largest seen over all float32 arguments, or a dense sample where
 * it says so, against double precision; tests/unit/math_test.c holds them.
 * Denormals are neither flushed nor assumed away.  NaN gives NaN.
 */
#ifndef HADMC_KERNELS_MATH_H
#define HADMC_KERNELS_MATH_H

#include "kernels/kernel.h"

#define MATH_INF   (f32_of_bits(0x7f800000u))
#define MATH_NAN   (f32_of_bits(0x7fc00000u))
#define MATH_INF64 (f64_of_bits(0x7ff0000000000000u))
#define MATH_NAN64 (f64_of_bits(0x7ff8000000000000u))

/* ---- sign, rounding ---------------------------------------------------------- */

K_IN float math_abs(float x)
{
    return f32_of_bits(bits_of_f32(x) & 0x7fffffffu);
}

K_IN float math_copysign(float x, float sign)
{
    return f32_of_bits((bits_of_f32(x) & 0x7fffffffu) | (bits_of_f32(sign) & 0x80000000u));
}

/* Half to even.  Adding 2^23 pushes the fraction out; larger values have none. */
K_IN float math_round(float x)
{
    const float a = math_abs(x);

    return a < 0x1p23f ? math_copysign((a + 0x1p23f) - 0x1p23f, x) : x;
}

K_IN float math_floor(float x)
{
    const float r = math_round(x);

    return r > x ? r - 1.0f : r;
}

K_IN float math_ceil(float x)
{
    const float r = math_round(x);

    return math_copysign(r < x ? r + 1.0f : r, x);
}

/* Integer nearest to x, |x| < 2^22, as bits; no library call on any target. */
K_IN int32_t math_nearest_int(float x)
{
    return (int32_t)(bits_of_f32(x + 12582912.0f) - 0x4b400000u);
}

/* ---- exponentials -------------------------------------------------------------- */

/* 2^k, -126 <= k <= 127. */
K_IN float math_pow2(int32_t k)
{
    return f32_of_bits((uint32_t)(k + 127) << 23);
}

/* exp(x) = 2^k exp(r), |r| <= ln(2)/2.  ln 2 in two parts: k times the first one is
 * exact. */
K_IN float math_exp_reduce(float x, int32_t *k)
{
    const float t = x * 1.44269504f + 12582912.0f;
    const float kf = t - 12582912.0f;

    *k = (int32_t)(bits_of_f32(t) - 0x4b400000u);
    return (x - kf * 0.693359375f) - kf * -2.12194440e-4f;
}

/* exp(r) - 1 - r over r^2. */
K_IN float math_exp_tail(float r)
{
    float p = 1.99459391e-4f;

    p = p * r + 1.39351038e-3f;
    p = p * r + 8.33320618e-3f;
    p = p * r + 4.1666463e-2f;
    p = p * r + 0.166666672f;
    return p * r + 0.5f;
}

/* exp(x) * 2^shift, shift at most 0; the scaling is done in two steps so that neither
 * overflows and a denormal result is rounded once.  Below -104 the result is 0 and is
 * not computed: a product that becomes 0 takes x86 a hundred times as long, and masked
 * attention is full of them. */
K_IN float math_exp_scaled(float x, int32_t shift)
{
    const float low = x < -104.0f ? 0.0f : x, c = low > 90.0f ? 90.0f : low;
    int32_t k;
    const float r = math_exp_reduce(c, &k);
    const float p = (math_exp_tail(r) * (r * r) + r) + 1.0f;
    const int32_t half = (k + shift) >> 1;
    const float y = (p * math_pow2(half)) * math_pow2(k + shift - half);

    return x < -104.0f ? 0.0f : y;
}

/* 1 ulp. */
K_IN float math_exp(float x)
{
    return math_exp_scaled(x, 0);
}

/* exp(x) - 1, 2 ulp. */
K_IN float math_expm1(float x)
{
    const float low = x < -20.0f ? -20.0f : x, c = low > 90.0f ? 90.0f : low;
    int32_t k;
    const float r = math_exp_reduce(c, &k);
    const float p = math_exp_tail(r) * (r * r) + r; /* exp(r) - 1 */
    const int32_t half = k >> 1;
    const float a = math_pow2(half), b = math_pow2(k - half);
    const float y = p * a * b + (a * b - 1.0f); /* small k */

    /* 2^k does not fit for k = 128, and above 2^25 the 1 no longer matters. */
    return k > 64 ? (p + 1.0f) * a * b : k == 0 ? p : y;
}

/* ---- logarithms ---------------------------------------------------------------- */

/* log(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1], less f. */
K_IN float math_log_tail(float f)
{
    const float z = f * f;
    float p = 6.74955621e-2f;

    p = p * f - 0.116701923f;
    p = p * f + 0.118834704f;
    p = p * f - 0.124062076f;
    p = p * f + 0.142203629f;
    p = p * f - 0.166679904f;
    p = p * f + 0.200020716f;
    p = p * f - 0.250000089f;
    p = p * f + 0.333333135f;
    return p * f * z - 0.5f * z;
}

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)); returns m - 1.  x > 0 and finite. */
K_IN float math_log_reduce(float x, float *e)
{
    const float scaled = x < 0x1p-126f ? x * 0x1p23f : x; /* denormals */
    /* 0x3f3504f3 is sqrt(1/2): taking it off first centres the mantissa. */
    const uint32_t bits = bits_of_f32(scaled) - 0x3f3504f3u;
    const int32_t k = (int32_t)bits >> 23;

    *e = (float)k - (x < 0x1p-126f ? 23.0f : 0.0f);
    return f32_of_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
}

/* 1 ulp; log(0) is -inf, log of a negative number NaN. */
K_IN float math_log(float x)
{
    float e;
    const float f = math_log_reduce(x, &e);
    const float y = math_log_tail(f) + e * -2.12194440e-4f;
    const float finite = (y + f) + e * 0.693359375f;

    return x > 0.0f ? (x < MATH_INF ? finite : x) : x == 0.0f ? -MATH_INF : MATH_NAN;
}

/* log(1 + x), 2 ulp: the rounding of 1 + x is put right to first order. */
K_IN float math_log1p(float x)
{
    const float u = 1.0f + x;
    const float lost = x >= 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
    const float y = math_log(u) + lost / u;

    return u > 0.0f && u < MATH_INF ? (x == 0.0f ? x : y) : math_log(u);
}

/* Clamped to [0, 1]. */
K_IN float math_unit(float x)
{
    return x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
}

/* ---- functions made of exp and log ----------------------------------------------- */

/* 2.5 ulp.  On either side the exponential of a negative number: no overflow. */
K_IN float math_sigmoid(float x)
{
    const float e = math_exp(-math_abs(x));

    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* 2 ulp. */
K_IN float math_tanh(float x)
{
    const float a = math_abs(x), z = x * x;
    float p = -5.69734583e-3f;

    p = p * z + 2.06317231e-2f;
    p = p * z - 5.37372679e-2f;
    p = p * z + 0.133314103f;
    p = p * z - 0.333332807f;
    const float small = p * z * x + x;
    const float large = 1.0f - 2.0f / (math_exp(a + a) + 1.0f);

    /* -0 + 0 would be +0. */
    return math_copysign(a < 0.625f ? small : large, x);
}

/* 2 ulp.  Small: x P(x^2).  Large: 1 - exp(-P(|x|)), one from 4 on. */
K_IN float math_erf(float x)
{
    const float a = math_abs(x), z = x * x, t = a > 4.0f ? 4.0f : a;
    float p = -5.98021375e-4f;

    p = p * z + 4.99176187e-3f;
    p = p * z - 2.67662313e-2f;
    p = p * z + 0.112818271f;
    p = p * z - 0.376124978f;
    p = p * z + 0.128379151f;
    const float small = p * x + x;

    float q = 2.1092741e-5f;
    q = q * t - 4.34444606e-4f;
    q = q * t + 4.17100918e-3f;
    q = q * t - 2.51193512e-2f;
    q = q * t + 0.10828004f;
    q = q * t + 0.633346915f;
    q = q * t + 1.12951493f;
    q = q * t - 1.7468445e-4f;
    const float large = 1.0f - math_exp(-q);

    return a < 0.92f ? small : math_copysign(a == a ? large : a, x);
}

/* log(1 + exp(x)), 2.5 ulp: max(x, 0) + log1p(exp(-|x|)), the latter as
 * 2 atanh(s), s = e / (2 + e) <= 1/3. */
K_IN float math_softplus(float x)
{
    const float e = math_exp(-math_abs(x)), s = e / (2.0f + e), w = s * s;
    float p = 0.167573437f;

    p = p * w + 0.188148215f;
    p = p * w + 0.220957473f;
    p = p * w + 0.285799593f;
    p = p * w + 0.399997681f;
    p = p * w + 0.666666687f;
    return (x > 0.0f ? x : 0.0f) + (p * w * s + 2.0f * s) + (x != x ? x : 0.0f);
}

/* x tanh(softplus(x)) = x n / (n + 2), n = e (e + 2), e = exp(x); 3 ulp,
 * more where exp(x) is denormal. */
K_IN float math_mish(float x)
{
    const float e = math_exp(x > 20.0f ? 20.0f : x), n = e * (e + 2.0f);

    return x * (n / (n + 2.0f));
}

/* x (1 + erf(x / sqrt 2)) / 2; the error is below 2^-23 |x|: the sum cancels for
 * x << 0. */
K_IN float math_gelu(float x)
{
    return 0.5f * x * (1.0f + math_erf(x * 0.707106781f));
}

/* The approximation of Hendrycks and Gimpel 2016, x (1 + tanh u) / 2 with
 * u = sqrt(2/pi) (x + 0.044715 x^3): x sigmoid(2 u) does not cancel for x << 0. */
K_IN float math_gelu_tanh(float x)
{
    return x * math_sigmoid(1.59576912f * (x + 0.044715f * (x * x * x)));
}

/* 2 ulp. */
K_IN float math_sinh(float x)
{
    const float a = math_abs(x), z = x * x, e = math_exp_scaled(a, -1);
    float p = 2.78392554e-6f;

    p = p * z + 1.98426351e-4f;
    p = p * z + 8.33331142e-3f;
    p = p * z + 0.166666672f;
    return a < 1.0f ? p * z * x + x : math_copysign(e - 0.25f / e, x);
}

/* 2 ulp. */
K_IN float math_cosh(float x)
{
    const float e = math_exp_scaled(math_abs(x), -1);

    return e + 0.25f / e;
}

/* 3 ulp. */
K_IN float math_asinh(float x)
{
    const float a = math_abs(x), s = a < 1e9f ? a : 1e9f, z = s * s;
    const float small = math_log1p(s + z / (1.0f + __builtin_sqrtf(1.0f + z)));
    const float y = a < 1e9f ? small : math_log(a) + 0.693147181f;

    return math_copysign(y, x);
}

/* 3 ulp; NaN below 1. */
K_IN float math_acosh(float x)
{
    const float t = (x < 1e9f ? x : 1e9f) - 1.0f;
    const float small = math_log1p(t + __builtin_sqrtf(2.0f * t + t * t));
    const float y = x < 1e9f ? small : math_log(x) + 0.693147181f;

    return x >= 1.0f ? y : MATH_NAN;
}

/* 3 ulp; +-inf at +-1, NaN outside. */
K_IN float math_atanh(float x)
{
    const float a = math_abs(x);

    return math_copysign(0.5f * math_log1p((a + a) / (1.0f - a)), x)
         + (a > 1.0f ? MATH_NAN : 0.0f);
}

/* ---- trigonometry ---------------------------------------------------------------- */

/* Words of 2/pi after the binary point. */
K_IN uint64_t math_two_over_pi(int i)
{
    return i == 0 ? 0xa2f9836eu : i == 1 ? 0x4e441529u : i == 2 ? 0xfc2757d1u
         : i == 3 ? 0xf534ddc0u : i == 4 ? 0xdb629599u : i == 5 ? 0x3c439041u
                                                                : 0xfe5163abu;
}

/* x = n pi/2 + r for |x| >= 2^12, by exact fixed-point multiplication with the bits of
 * 2/pi that matter (Payne and Hanek 1983).  x = m 2^e with a 24-bit m. */
K_IN float math_reduce_huge(float x, int32_t *n)
{
    const uint32_t bits = bits_of_f32(x);
    const uint64_t m = (bits & 0x007fffffu) | 0x00800000u;
    const int e = (int)(bits >> 23 & 0xffu) - 150; /* -11 .. 104 */
    /* Bits of 2/pi above weight 2^(2-e) give multiples of four: left out. */
    const int first = e < 2 ? 0 : e - 2, word = first >> 5, shift = first & 31;
    const uint64_t hi = math_two_over_pi(word) << 32 | math_two_over_pi(word + 1);
    const uint64_t lo = math_two_over_pi(word + 2) << 32 | math_two_over_pi(word + 3);
    const uint64_t top = shift ? hi << shift | lo >> (64 - shift) : hi;
    const uint64_t next = lo << shift >> 32;
    /* (top + next 2^-32) 2^(-64 - first) * m * 2^e, in units of 2^-62 modulo 4. */
    const uint64_t low = (top & 0xffffffffu) * m + (next * m >> 32);
    const uint64_t high = (top >> 32) * m;
    const uint64_t product = high + (low >> 32); /* * 2^(-32 - first + e), 56 bits */
    const int up = 30 - first + e;               /* to units of 2^-62 */
    const uint64_t fixed = up >= 0 ? product << up | (low & 0xffffffffu) << up >> 32
                                   : product >> -up;
    const uint64_t quadrant = (fixed + ((uint64_t)1 << 61)) >> 62;
    const int64_t rest = (int64_t)(fixed - (quadrant << 62));
    const float r = (float)((double)rest * (0x1p-62 * 1.57079632679489662));

    *n = (int32_t)(bits >> 31 ? -(int64_t)quadrant : (int64_t)quadrant);
    return bits >> 31 ? -r : r;
}

/* x = n pi/2 + r, |r| <= pi/4.  Four parts of pi/2; n times each of the first three
 * is exact for |n| < 2^13. */
K_IN float math_reduce(float x, int32_t *n)
{
    const float t = x * 0.636619772f + 12582912.0f, k = t - 12582912.0f;

    *n = (int32_t)(bits_of_f32(t) - 0x4b400000u);

    const float near = (x - k * 1.5703125f) - k * 4.837512969970703125e-4f;
    const float third = k * 7.549533620476722717285156e-8f, r = near - third;

    /* What the last subtraction lost goes with the fourth part. */
    return r + (((near - r) - third) - k * 2.56334415e-12f);
}

K_IN float math_sin_poly(float r)
{
    const float z = r * r;
    float p = 2.83268014e-6f;

    p = p * z - 1.98530717e-4f;
    p = p * z + 8.3333794e-3f;
    p = p * z - 0.166666672f;
    return p * z * r + r;
}

K_IN float math_cos_poly(float r)
{
    const float z = r * r;
    float p = -2.89741649e-7f;

    p = p * z + 2.4822968e-5f;
    p = p * z - 1.38889824e-3f;
    p = p * z + 4.16666679e-2f;
    /* 1 - z/2 loses bits of z/2; put them back. */
    const float half = 0.5f * z, y = 1.0f - half;

    return y + (((1.0f - y) - half) + p * z * z);
}

/* sin(x + quarter turns of pi/2). */
K_IN float math_sin_turned(float x, int32_t quarter)
{
    const float a = math_abs(x);
    int32_t n;
    const float r = a < 0x1p12f || !(a < MATH_INF) ? math_reduce(x, &n)
                                                   : math_reduce_huge(x, &n);
    const uint32_t q = (uint32_t)(n + quarter);
    const float y = q & 1u ? math_cos_poly(r) : math_sin_poly(r);

    return a < MATH_INF ? f32_of_bits(bits_of_f32(y) ^ (q & 2u) << 30) : MATH_NAN;
}

/* 2 ulp; +-inf gives NaN. */
K_IN float math_sin(float x)
{
    return x == 0.0f ? x : math_sin_turned(x, 0); /* -0 */
}

K_IN float math_cos(float x)
{
    return math_sin_turned(x, 1);
}

/* 3.5 ulp. */
K_IN float math_tan(float x)
{
    return math_sin(x) / math_cos(x);
}

/* 2 ulp.  |x| <= tan(pi/8) after 1/x and (x - 1)/(x + 1). */
K_IN float math_atan(float x)
{
    const float a = math_abs(x);
    const float t = a > 2.41421356f ? -1.0f / a : a > 0.414213562f ? (a - 1.0f) / (a + 1.0f) : a;
    const float base = a > 2.41421356f ? 1.57079633f : a > 0.414213562f ? 0.785398163f : 0.0f;
    const float rest = a > 2.41421356f ? -4.37113883e-8f : a > 0.414213562f ? -2.18556941e-8f : 0.0f;
    const float z = t * t;
    float p = -6.08915165e-2f;

    p = p * z + 0.105989434f;
    p = p * z - 0.142443776f;
    p = p * z + 0.199985281f;
    p = p * z - 0.333333164f;
    return math_copysign(base + ((p * z * t + rest) + t), x);
}

/* asin(t) - t over t for t^2 = z <= 1/4. */
K_IN float math_asin_tail(float z)
{
    float p = 3.76169384e-2f;

    p = p * z + 1.43628241e-2f;
    p = p * z + 3.18290666e-2f;
    p = p * z + 4.45142128e-2f;
    p = p * z + 7.5005196e-2f;
    p = p * z + 0.166666597f;
    return p * z;
}

/* 2 ulp; NaN outside [-1, 1]. */
K_IN float math_asin(float x)
{
    const float a = math_abs(x), half = 0.5f * (1.0f - a);
    const float z = a > 0.5f ? half : a * a, t = a > 0.5f ? __builtin_sqrtf(half) : a;
    const float y = math_asin_tail(z) * t;
    const float large = 1.57079633f - (2.0f * t + (2.0f * y + 4.37113883e-8f));

    return math_copysign(a > 0.5f ? large : y + t, x);
}

/* 2 ulp; NaN outside [-1, 1]. */
K_IN float math_acos(float x)
{
    const float a = math_abs(x), half = 0.5f * (1.0f - a);
    const float z = a > 0.5f ? half : a * a, t = a > 0.5f ? __builtin_sqrtf(half) : a;
    const float y = math_asin_tail(z) * t;
    const float near = 2.0f * (y + t);                           /* acos(a), a > 1/2 */
    const float middle = 1.57079633f - (math_copysign(t, x) + (math_copysign(y, x) + 4.37113883e-8f));

    return a > 0.5f ? (x < 0.0f ? 3.14159274f - (near + 8.74227766e-8f) : near) : middle;
}

/* ---- float64, for the few models that have it and for tables --------------------- */

K_IN double math_abs64(double x)
{
    return f64_of_bits(bits_of_f64(x) & 0x7fffffffffffffffu);
}

K_IN double math_copysign64(double x, double sign)
{
    return f64_of_bits((bits_of_f64(x) & 0x7fffffffffffffffu)
                       | (bits_of_f64(sign) & 0x8000000000000000u));
}

K_IN double math_round64(double x)
{
    const double a = math_abs64(x);

    return a < 0x1p52 ? math_copysign64((a + 0x1p52) - 0x1p52, x) : x;
}

K_IN double math_floor64(double x)
{
    const double r = math_round64(x);

    return r > x ? r - 1.0 : r;
}

K_IN double math_ceil64(double x)
{
    const double r = math_round64(x);

    return math_copysign64(r < x ? r + 1.0 : r, x);
}

K_IN double math_pow2_64(int64_t k)
{
    return f64_of_bits((uint64_t)(k + 1023) << 52);
}

/* Relative error below 4e-16: Taylor series to r^13, |r| <= ln(2)/2. */
K_IN double math_exp64(double x)
{
    const double low = x < -746.0 ? -746.0 : x, c = low > 710.0 ? 710.0 : low;
    const double t = c * 1.4426950408889634 + 0x1.8p52, kf = t - 0x1.8p52;
    const int64_t k = (int64_t)(bits_of_f64(t) - 0x4338000000000000u), half = k >> 1;
    const double r = (c - kf * 0x1.62e42fee00000p-1) - kf * 0x1.a39ef35793c76p-33;
    double p = 1.0 / 6227020800.0;

    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = (p * (r * r) + r) + 1.0;
    return (p * math_pow2_64(half)) * math_pow2_64(k - half);
}

/* Relative error below 1e-15: 2 atanh(f / (2 + f)). */
K_IN double math_log64(double x)
{
    const double scaled = x < 0x1p-1022 ? x * 0x1p52 : x;
    const uint64_t bits = bits_of_f64(scaled) - 0x3fe6a09e667f3bcdu;
    const double e = (double)((int64_t)bits >> 52) - (x < 0x1p-1022 ? 52.0 : 0.0);
    const double f = f64_of_bits((bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
    const double s = f / (2.0 + f), w = s * s;
    double p = 2.0 / 23.0;

    p = p * w + 2.0 / 21.0;
    p = p * w + 2.0 / 19.0;
    p = p * w + 2.0 / 17.0;
    p = p * w + 2.0 / 15.0;
    p = p * w + 2.0 / 13.0;
    p = p * w + 2.0 / 11.0;
    p = p * w + 2.0 / 9.0;
    p = p * w + 2.0 / 7.0;
    p = p * w + 2.0 / 5.0;
    p = p * w + 2.0 / 3.0;
    const double y = p * w * s + 2.0 * s + e * 0x1.a39ef35793c76p-33;
    const double finite = y + e * 0x1.62e42fee00000p-1;

    return x > 0.0 ? (x < MATH_INF64 ? finite : x) : x == 0.0 ? -MATH_INF64 : MATH_NAN64;
}

K_IN double math_sigmoid64(double x)
{
    const double e = math_exp64(-math_abs64(x));

    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

/* Relative error below 1e-14. */
K_IN double math_tanh64(double x)
{
    const double a = math_abs64(x), z = x * x, e = math_exp64(a + a);
    /* Continued fraction x / (1 + z/(3 + z/(5 + ...))) below 1/2. */
    double d = 17.0;

    d = 15.0 + z / d;
    d = 13.0 + z / d;
    d = 11.0 + z / d;
    d = 9.0 + z / d;
    d = 7.0 + z / d;
    d = 5.0 + z / d;
    d = 3.0 + z / d;
    d = 1.0 + z / d;
    return a < 0.5 ? x / d : math_copysign64(1.0 - 2.0 / (e + 1.0), x);
}

/* x = n pi/2 + r; good to 1e-15 for |x| < 2^20, less beyond. */
K_IN double math_reduce64(double x, uint64_t *n)
{
    const double t = x * 0.63661977236758134 + 0x1.8p52, k = t - 0x1.8p52;

    *n = bits_of_f64(t) - 0x4338000000000000u;
    return (x - k * 0x1.921fb54400000p+0) - k * 0x1.0b4611a600000p-34
         - k * 0x1.3198a2e037073p-69;
}

K_IN double math_sin_turned64(double x, uint64_t quarter)
{
    uint64_t n;
    const double r = math_reduce64(x, &n), z = r * r;
    double s = 1.0 / 355687428096000.0, c = 1.0 / 20922789888000.0;

    s = s * -z + 1.0 / 1307674368000.0;
    s = s * -z + 1.0 / 6227020800.0;
    s = s * -z + 1.0 / 39916800.0;
    s = s * -z + 1.0 / 362880.0;
    s = s * -z + 1.0 / 5040.0;
    s = s * -z + 1.0 / 120.0;
    s = s * -z + 1.0 / 6.0;
    s = s * -z * r + r;
    c = c * -z + 1.0 / 87178291200.0;
    c = c * -z + 1.0 / 479001600.0;
    c = c * -z + 1.0 / 3628800.0;
    c = c * -z + 1.0 / 40320.0;
    c = c * -z + 1.0 / 720.0;
    c = c * -z + 1.0 / 24.0;
    c = c * -z + 0.5;
    c = c * -z + 1.0;
    const double y = (n + quarter) & 1u ? c : s;
    const double signed_y = f64_of_bits(bits_of_f64(y) ^ ((n + quarter) & 2u) << 62);

    return math_abs64(x) < 0x1p50 ? signed_y : MATH_NAN64;
}

/* Relative error below 1e-14: the series of erf below 2, the continued fraction of
 * erfc above. */
K_IN double math_erf64(double x)
{
    const double a = math_abs64(x) < 6.0 ? math_abs64(x) : 6.0, z = a * a;
    double term = a, sum = a, f = a;

    /* 2/sqrt(pi) exp(-z) sum of a (2z)^k / (2k+1)!!, all terms positive. */
    for (int k = 1; k < 60; k++) {
        term *= 2.0 * z / (double)(2 * k + 1);
        sum += term;
    }
    for (int k = 80; k > 0; k--)
        f = a + 0.5 * (double)k / f;
    const double e = math_exp64(-z);
    const double small = 1.1283791670955126 * e * sum;
    const double large = 1.0 - e * 0.56418958354775629 / f;

    return x != x ? x : math_copysign64(a < 2.0 ? small : large, x);
}

/* 1 ulp of float32 through float64: exp(y log |x|), with the signs and special cases
 * of IEEE 754 pow.  Relative error for float64 results below 2e-13 while |y log x| is
 * below 100; powers that are integers come out exact. */
K_IN double math_pow64(double x, double y)
{
    const double a = math_abs64(x), t = y * math_log64(a);
    const double whole = math_floor64(y);
    const int odd = whole == y && math_abs64(y) < 0x1p53 && ((int64_t)(math_abs64(y) < 0x1p53 ? y : 0.0) & 1);
    const double power = a == 1.0 ? 1.0 : math_exp64(t), near = math_round64(power);
    const double magnitude = math_abs64(power - near) <= 1e-13 * power ? near : power;
    /* 0 and inf: log gives +-inf and 0 * inf does not occur (y == 0 is below). */
    const double y_signed = odd ? math_copysign64(magnitude, x) : magnitude;
    const double domain = x < 0.0 && whole != y && a < MATH_INF64 ? MATH_NAN64 : y_signed;
    const double nan = x != x ? x : y != y ? y : domain;

    return y == 0.0 || x == 1.0 ? 1.0 : nan;
}

K_IN float math_pow(float x, float y)
{
    return (float)math_pow64((double)x, (double)y);
}

/* x - trunc(x / y) y without rounding, by long division of the mantissas. */
K_IN float math_fmod(float x, float y)
{
    uint32_t a = bits_of_f32(x) & 0x7fffffffu, b = bits_of_f32(y) & 0x7fffffffu;

    if (b == 0 || a >= 0x7f800000u || b > 0x7f800000u)
        return MATH_NAN;
    if (a < b)
        return x;
    int ea = (int)(a >> 23), eb = (int)(b >> 23);
    uint32_t ma = ea ? (a & 0x007fffffu) | 0x00800000u : a;
    uint32_t mb = eb ? (b & 0x007fffffu) | 0x00800000u : b;

    /* Denormals have exponent 1 and no leading one yet. */
    for (ea += !ea; !(ma & 0x00800000u); ea--)
        ma <<= 1;
    for (eb += !eb; !(mb & 0x00800000u); eb--)
        mb <<= 1;
    for (; ea > eb; ea--)
        ma = (ma >= mb ? ma - mb : ma) << 1;
    ma = ma >= mb ? ma - mb : ma;
    if (ma == 0)
        return math_copysign(0.0f, x);
    for (; !(ma & 0x00800000u); eb--)
        ma <<= 1;
    const uint32_t bits = eb > 0 ? (uint32_t)eb << 23 | (ma & 0x007fffffu) : ma >> (1 - eb);

    return math_copysign(f32_of_bits(bits), x);
}

K_IN double math_fmod64(double x, double y)
{
    uint64_t a = bits_of_f64(x) & 0x7fffffffffffffffu, b = bits_of_f64(y) & 0x7fffffffffffffffu;

    if (b == 0 || a >= 0x7ff0000000000000u || b > 0x7ff0000000000000u)
        return MATH_NAN64;
    if (a < b)
        return x;
    int ea = (int)(a >> 52), eb = (int)(b >> 52);
    uint64_t ma = ea ? (a & 0x000fffffffffffffu) | 0x0010000000000000u : a;
    uint64_t mb = eb ? (b & 0x000fffffffffffffu) | 0x0010000000000000u : b;

    /* Denormals have exponent 1 and no leading one yet. */
    for (ea += !ea; !(ma & 0x0010000000000000u); ea--)
        ma <<= 1;
    for (eb += !eb; !(mb & 0x0010000000000000u); eb--)
        mb <<= 1;
    for (; ea > eb; ea--)
        ma = (ma >= mb ? ma - mb : ma) << 1;
    ma = ma >= mb ? ma - mb : ma;
    if (ma == 0)
        return math_copysign64(0.0, x);
    for (; !(ma & 0x0010000000000000u); eb--)
        ma <<= 1;
    const uint64_t bits = eb > 0 ? (uint64_t)eb << 52 | (ma & 0x000fffffffffffffu) : ma >> (1 - eb);

    return math_copysign64(f64_of_bits(bits), x);
}

#endif /* HADMC_KERNELS_MATH_H */
