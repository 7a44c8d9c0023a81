/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators on integers and bools.
 *
 * Sums and products wrap around (computed in unsigned, where that is defined);
 * x / 0 and x mod 0 give 0; the least number divided by -1 gives itself. */
#include "kernels/eltwise.h"

/* base^e, wrapping; a negative exponent gives 0 except for bases 1 and -1. */
K_IN uint64_t power(uint64_t base, uint64_t e)
{
    uint64_t y = 1;

    for (; e; e >>= 1, base *= base)
        if (e & 1)
            y *= base;
    return y;
}

K_IN int64_t signed_power(int64_t base, int64_t e)
{
    if (e >= 0)
        return (int64_t)power((uint64_t)base, (uint64_t)e);
    return base == 1 ? 1 : base == -1 ? (e & 1 ? -1 : 1) : 0;
}

/* W: the unsigned type that T is computed in. */
#define COMMON(T, W)                                                                   \
    E1(id_##T, T, T, F0, a)                                                            \
    E2(add_##T, T, T, T, F0, (W)a + (W)b)                                              \
    E2(sub_##T, T, T, T, F0, (W)a - (W)b)                                              \
    E2(mul_##T, T, T, T, F0, (W)a * (W)b)                                              \
    E2(max_##T, T, T, T, F0, a > b ? a : b)                                            \
    E2(min_##T, T, T, T, F0, a < b ? a : b)                                            \
    E3(clamp_##T, T, T, T, T, F0, a < b ? (b < c ? b : c) : a > c ? c : a)             \
    E2(equal_##T, T, T, bool, F0, a == b)                                              \
    E2(less_##T, T, T, bool, F0, a < b)                                                \
    E2(less_or_equal_##T, T, T, bool, F0, a <= b)                                      \
    E2(greater_##T, T, T, bool, F0, a > b)                                             \
    E2(greater_or_equal_##T, T, T, bool, F0, a >= b)                                   \
    E3(where_##T, bool, T, T, T, F0, a ? b : c)                                        \
    E1(bit_not_##T, T, T, F0, ~(W)a)                                                   \
    E2(bit_and_##T, T, T, T, F0, (W)a & (W)b)                                          \
    E2(bit_or_##T, T, T, T, F0, (W)a | (W)b)                                           \
    E2(bit_xor_##T, T, T, T, F0, (W)a ^ (W)b)

#define SIGNED(T, W)                                                                   \
    COMMON(T, W)                                                                       \
    E1(neg_##T, T, T, F0, (W)0 - (W)a)                                                 \
    E1(abs_##T, T, T, F0, a < 0 ? (W)0 - (W)a : (W)a)                                  \
    E1(sign_##T, T, T, F0, (a > 0) - (a < 0))                                          \
    E1(relu_##T, T, T, F0, a > 0 ? a : 0)                                              \
    E2(div_##T, T, T, T, F0, b == 0 ? (W)0 : b == -1 ? (W)0 - (W)a : (W)(a / b))       \
    E2(fmod_##T, T, T, T, F0, b == 0 || b == -1 ? 0 : a % b)                           \
    E2(mod_##T, T, T, T, F0,                                                           \
       b == 0 || b == -1 ? 0 : a % b != 0 && (a % b < 0) != (b < 0) ? a % b + b : a % b) \
    E2(pow_##T, T, T, T, F0, signed_power(a, b))

#define UNSIGNED(T, W)                                                                 \
    COMMON(T, W)                                                                       \
    E1(abs_##T, T, T, F0, a)                                                           \
    E1(sign_##T, T, T, F0, a > 0)                                                      \
    E1(relu_##T, T, T, F0, a)                                                          \
    E2(div_##T, T, T, T, F0, b == 0 ? (W)0 : (W)(a / b))                               \
    E2(fmod_##T, T, T, T, F0, b == 0 ? (W)0 : (W)(a % b))                              \
    E2(mod_##T, T, T, T, F0, b == 0 ? (W)0 : (W)(a % b))                               \
    E2(pow_##T, T, T, T, F0, power(a, b))                                              \
    E2(shl_##T, T, T, T, F0, b < 8 * sizeof(k_##T) ? (W)a << (b & 63u) : (W)0)         \
    E2(shr_##T, T, T, T, F0, b < 8 * sizeof(k_##T) ? (W)a >> (b & 63u) : (W)0)

UNSIGNED(u8, uint32_t)
UNSIGNED(u16, uint32_t)
UNSIGNED(u32, uint32_t)
UNSIGNED(u64, uint64_t)
SIGNED(i8, uint32_t)
SIGNED(i16, uint32_t)
SIGNED(i32, uint32_t)
SIGNED(i64, uint64_t)

E1(id_bool, bool, bool, F0, a)
E1(not_bool, bool, bool, F0, !a)
E2(and_bool, bool, bool, bool, F0, (a != 0) & (b != 0))
E2(or_bool, bool, bool, bool, F0, (a != 0) | (b != 0))
E2(xor_bool, bool, bool, bool, F0, (a != 0) ^ (b != 0))
E2(equal_bool, bool, bool, bool, F0, (a != 0) == (b != 0))
E3(where_bool, bool, bool, bool, bool, F0, a ? b : c)

/* 16-bit floats and 4-bit integers are moved, never computed with. */
#define MOVES(T)                                                                       \
    E1(id_##T, T, T, F0, a)                                                            \
    E3(where_##T, bool, T, T, T, F0, a ? b : c)

MOVES(f16)
MOVES(bf16)
MOVES(u4)
MOVES(i4)
