/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators on float32: arithmetic, comparisons, selections. */
#include "kernels/eltwise.h"

E1(id_f32, f32, f32, F0, a)
E1(neg_f32, f32, f32, F0, -a)
E1(abs_f32, f32, f32, F0, f32_of_bits(bits_of_f32(a) & 0x7fffffffu))
E1(relu_f32, f32, f32, F0, a > 0.0f ? a : 0.0f)
E1(sqrt_f32, f32, f32, F0, __builtin_sqrtf(a))
E1(reciprocal_f32, f32, f32, F0, 1.0f / a)

E2(add_f32, f32, f32, f32, F0, a + b)
E2(sub_f32, f32, f32, f32, F0, a - b)
E2(mul_f32, f32, f32, f32, F0, a * b)
E2(div_f32, f32, f32, f32, F0, a / b)

/* A NaN in either input gives NaN. */
E2(max_f32, f32, f32, f32, F0, a > b || a != a ? a : b)
E2(min_f32, f32, f32, f32, F0, a < b || a != a ? a : b)
E3(clamp_f32, f32, f32, f32, f32, F0, a < b ? (b < c ? b : c) : a > c ? c : a)
E1(clip_f32, f32, f32, F2, a < f0 ? f0 : a > f1 ? f1 : a)

E2(equal_f32, f32, f32, bool, F0, a == b)
E2(less_f32, f32, f32, bool, F0, a < b)
E2(less_or_equal_f32, f32, f32, bool, F0, a <= b)
E2(greater_f32, f32, f32, bool, F0, a > b)
E2(greater_or_equal_f32, f32, f32, bool, F0, a >= b)
E3(where_f32, bool, f32, f32, f32, F0, a ? b : c)
