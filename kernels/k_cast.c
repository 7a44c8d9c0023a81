/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between element types, cast_<from>_<to>.
 *
 *   float -> integer   towards zero, clamped to the type's range; NaN gives 0
 *   integer -> integer modulo 2^bits
 *   anything -> bool   x != 0
 *   -> f16, bf16       round to nearest even, once
 */
#include "kernels/eltwise.h"
#include "kernels/half.h"

/* x in [lo, hi] of an integer type that has both as floats exactly, except that hi
 * is the first value past the type's limit: compare before converting. */
#define TO_INT(x, T, lo, past, max)                                                    \
    ((x) >= (past) ? (max) : (x) > (lo) ? (k_##T)(x) : (x) == (x) ? (k_##T)(lo) : (k_##T)0)

#define FROM_FLOAT(A, to_float)                                                        \
    E1(cast_##A##_u8, A, u8, F0, TO_INT(to_float, u8, 0, 256, 255))                    \
    E1(cast_##A##_i8, A, i8, F0, TO_INT(to_float, i8, -128, 128, 127))                 \
    E1(cast_##A##_u16, A, u16, F0, TO_INT(to_float, u16, 0, 65536, 65535))             \
    E1(cast_##A##_i16, A, i16, F0, TO_INT(to_float, i16, -32768, 32768, 32767))        \
    E1(cast_##A##_u32, A, u32, F0, TO_INT(to_float, u32, 0, 0x1p32f, 0xffffffffu))     \
    E1(cast_##A##_i32, A, i32, F0, TO_INT(to_float, i32, -0x1p31f, 0x1p31f, INT32_MAX)) \
    E1(cast_##A##_u64, A, u64, F0, TO_INT(to_float, u64, 0, 0x1p64f, UINT64_MAX))      \
    E1(cast_##A##_i64, A, i64, F0, TO_INT(to_float, i64, -0x1p63f, 0x1p63f, INT64_MAX)) \
    E1(cast_##A##_u4, A, u4, F0, TO_INT(to_float, u4, 0, 16, 15))                      \
    E1(cast_##A##_i4, A, i4, F0, TO_INT(to_float, i4, -8, 8, 7))                       \
    E1(cast_##A##_bool, A, bool, F0, to_float != 0)

FROM_FLOAT(f32, a)
FROM_FLOAT(f64, a)
FROM_FLOAT(f16, f32_of_f16(a))
FROM_FLOAT(bf16, f32_of_bf16(a))

E1(cast_f32_f64, f32, f64, F0, a)
E1(cast_f32_f16, f32, f16, F0, f16_of_f32(a))
E1(cast_f32_bf16, f32, bf16, F0, bf16_of_f32(a))
E1(cast_f64_f32, f64, f32, F0, a)
E1(cast_f64_f16, f64, f16, F0, f16_of_f32(f32_odd_of_f64(a)))
E1(cast_f64_bf16, f64, bf16, F0, bf16_of_f32(f32_odd_of_f64(a)))
E1(cast_f16_f32, f16, f32, F0, f32_of_f16(a))
E1(cast_f16_f64, f16, f64, F0, f32_of_f16(a))
E1(cast_f16_bf16, f16, bf16, F0, bf16_of_f32(f32_of_f16(a)))
E1(cast_bf16_f32, bf16, f32, F0, f32_of_bf16(a))
E1(cast_bf16_f64, bf16, f64, F0, f32_of_bf16(a))
E1(cast_bf16_f16, bf16, f16, F0, f16_of_f32(f32_of_bf16(a)))

#define INT_TO(A, Y) E1(cast_##A##_##Y, A, Y, F0, a)
#define INT_TO_FLOATS(A)                                                               \
    E1(cast_##A##_f32, A, f32, F0, a)                                                  \
    E1(cast_##A##_f64, A, f64, F0, a)                                                  \
    E1(cast_##A##_f16, A, f16, F0, f16_of_f32((float)a))                               \
    E1(cast_##A##_bf16, A, bf16, F0, bf16_of_f32(f32_odd_of_f64((double)a)))           \
    E1(cast_##A##_bool, A, bool, F0, a != 0)                                           \
    E1(cast_##A##_u4, A, u4, F0, (k_u8)a & 15u)                                        \
    E1(cast_##A##_i4, A, i4, F0, (int)(((k_u8)a & 15u) ^ 8u) - 8)

INT_TO_FLOATS(u8)
INT_TO(u8, i8) INT_TO(u8, u16) INT_TO(u8, i16) INT_TO(u8, u32) INT_TO(u8, i32)
INT_TO(u8, u64) INT_TO(u8, i64)
INT_TO_FLOATS(i8)
INT_TO(i8, u8) INT_TO(i8, u16) INT_TO(i8, i16) INT_TO(i8, u32) INT_TO(i8, i32)
INT_TO(i8, u64) INT_TO(i8, i64)
INT_TO_FLOATS(u16)
INT_TO(u16, u8) INT_TO(u16, i8) INT_TO(u16, i16) INT_TO(u16, u32) INT_TO(u16, i32)
INT_TO(u16, u64) INT_TO(u16, i64)
INT_TO_FLOATS(i16)
INT_TO(i16, u8) INT_TO(i16, i8) INT_TO(i16, u16) INT_TO(i16, u32) INT_TO(i16, i32)
INT_TO(i16, u64) INT_TO(i16, i64)
INT_TO_FLOATS(u32)
INT_TO(u32, u8) INT_TO(u32, i8) INT_TO(u32, u16) INT_TO(u32, i16) INT_TO(u32, i32)
INT_TO(u32, u64) INT_TO(u32, i64)
INT_TO_FLOATS(i32)
INT_TO(i32, u8) INT_TO(i32, i8) INT_TO(i32, u16) INT_TO(i32, i16) INT_TO(i32, u32)
INT_TO(i32, u64) INT_TO(i32, i64)
INT_TO_FLOATS(u64)
INT_TO(u64, u8) INT_TO(u64, i8) INT_TO(u64, u16) INT_TO(u64, i16) INT_TO(u64, u32)
INT_TO(u64, i32) INT_TO(u64, i64)
INT_TO_FLOATS(i64)
INT_TO(i64, u8) INT_TO(i64, i8) INT_TO(i64, u16) INT_TO(i64, i16) INT_TO(i64, u32)
INT_TO(i64, i32) INT_TO(i64, u64)

#define SMALL_TO(A)                                                                    \
    INT_TO(A, u8) INT_TO(A, i8) INT_TO(A, u16) INT_TO(A, i16) INT_TO(A, u32)           \
    INT_TO(A, i32) INT_TO(A, u64) INT_TO(A, i64) INT_TO(A, f32) INT_TO(A, f64)         \
    E1(cast_##A##_f16, A, f16, F0, f16_of_f32((float)a))                               \
    E1(cast_##A##_bf16, A, bf16, F0, bf16_of_f32((float)a))

SMALL_TO(bool)
SMALL_TO(u4)
SMALL_TO(i4)
