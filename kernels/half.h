/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats as storage: IEEE binary16 (f16) and bfloat16 (bf16), round to nearest
 * even, branch-free so that loops over them vectorise. */
#ifndef HADMC_KERNELS_HALF_H
#define HADMC_KERNELS_HALF_H

#include "kernels/kernel.h"

K_IN float f32_of_f16(uint16_t h)
{
    const uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13;
    /* Exponent bias 15 -> 127; exact for denormals too. */
    const uint32_t scaled = bits_of_f32(f32_of_bits(magnitude) * 0x1p112f);
    const uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;

    return f32_of_bits(scaled | special | (uint32_t)(h & 0x8000u) << 16);
}

K_IN uint16_t f16_of_f32(float x)
{
    const uint32_t bits = bits_of_f32(x), sign = bits >> 16 & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    /* Below 2^-14 the result is denormal: adding 0.5 rounds at the right place. */
    const uint32_t tiny = bits_of_f32(f32_of_bits(magnitude) + 0.5f) - 0x3f000000u;
    const uint32_t normal =
        (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
    const uint32_t huge = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;

    return (uint16_t)(sign | (magnitude >= 0x47800000u   ? huge
                              : magnitude < 0x38800000u ? tiny
                                                        : normal));
}

K_IN float f32_of_bf16(uint16_t h)
{
    return f32_of_bits((uint32_t)h << 16);
}

K_IN uint16_t bf16_of_f32(float x)
{
    const uint32_t bits = bits_of_f32(x);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;

    return (uint16_t)(x != x ? (bits >> 16 | 0x40u) : rounded);
}

/* To float32 with the last bit saying "was inexact" (round to odd): a second
 * rounding to fewer bits then gives what one rounding would have given. */
K_IN float f32_odd_of_f64(double x)
{
    const float near = (float)x;
    const double back = (double)near;
    uint32_t bits = bits_of_f32(near);

    if (back == x || x != x || (bits & 0x7fffffffu) == 0x7f800000u)
        return near;
    if ((back < 0 ? -back : back) > (x < 0 ? -x : x))
        bits--;
    return f32_of_bits(bits | 1u);
}

#endif /* HADMC_KERNELS_HALF_H */
