/* SPDX-License-Identifier: Apache-2.0 */
/* From sums to codes (numerics, section 3): what the integer kernels share. */
#ifndef HADMC_KERNELS_REQUANTIZE_H
#define HADMC_KERNELS_REQUANTIZE_H

#include "kernels/kernel.h"

enum { LO_u8 = 0, HI_u8 = 255, LO_i8 = -128, HI_i8 = 127 };

/* z + rne(clamp(t)); lo and hi are limits of codes, NaN gives the lower one. */
K_IN int32_t settle(float t, int32_t z, int32_t lo, int32_t hi)
{
    t = t > (float)(lo - z) ? t : (float)(lo - z);
    t = t < (float)(hi - z) ? t : (float)(hi - z);
    return z + (int32_t)(bits_of_f32(t + 12582912.0f) - 0x4B400000u);
}

K_IN int32_t requantize(int32_t acc, float m, int32_t z, int32_t lo, int32_t hi)
{
    return settle((float)acc * m, z, lo, hi);
}

#endif /* HADMC_KERNELS_REQUANTIZE_H */
