/* SPDX-License-Identifier: Apache-2.0 */
/* Between float32 and integers with a scale and a zero point:
 *
 *     quantize     z + rne(clamp(x / s, lo - z, hi - z)), NaN gives z
 *     dequantize   s * (float)(q - z)
 *
 * lo, hi are the limits of the integer type; rne rounds half to even. */
#include "kernels/eltwise.h"
#include "kernels/math.h"

K_IN int32_t quantized(float x, float scale, int32_t zero, int32_t lo, int32_t hi)
{
    const float t = x / scale, least = (float)(lo - zero), most = (float)(hi - zero);
    const float in_range = t < least ? least : t > most ? most : t == t ? t : 0.0f;

    return zero + math_nearest_int(in_range);
}

K_IN float dequantized(int32_t q, float scale, int32_t zero)
{
    return scale * (float)(int32_t)((uint32_t)q - (uint32_t)zero);
}

#define QUANTIZE(T, lo, hi) E3(quantize_##T, f32, f32, T, T, F0, quantized(a, b, c, lo, hi))
#define DEQUANTIZE(T) E3(dequantize_##T, T, f32, T, f32, F0, dequantized(a, b, c))

QUANTIZE(u8, 0, 255)
QUANTIZE(i8, -128, 127)
QUANTIZE(u16, 0, 65535)
QUANTIZE(i16, -32768, 32767)
QUANTIZE(u4, 0, 15)
QUANTIZE(i4, -8, 7)

DEQUANTIZE(u8)
DEQUANTIZE(i8)
DEQUANTIZE(u16)
DEQUANTIZE(i16)
DEQUANTIZE(i32)
DEQUANTIZE(u4)
DEQUANTIZE(i4)
