/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators on float64. */
#include "kernels/eltwise.h"

E1(id_f64, f64, f64, F0, a)
E1(neg_f64, f64, f64, F0, -a)
E1(abs_f64, f64, f64, F0, f64_of_bits(bits_of_f64(a) & 0x7fffffffffffffffu))
E1(relu_f64, f64, f64, F0, a > 0.0 ? a : 0.0)
E1(sqrt_f64, f64, f64, F0, __builtin_sqrt(a))
E1(reciprocal_f64, f64, f64, F0, 1.0 / a)

E2(add_f64, f64, f64, f64, F0, a + b)
E2(sub_f64, f64, f64, f64, F0, a - b)
E2(mul_f64, f64, f64, f64, F0, a * b)
E2(div_f64, f64, f64, f64, F0, a / b)
E2(max_f64, f64, f64, f64, F0, a > b || a != a ? a : b)
E2(min_f64, f64, f64, f64, F0, a < b || a != a ? a : b)
E3(clamp_f64, f64, f64, f64, f64, F0, a < b ? (b < c ? b : c) : a > c ? c : a)

E2(equal_f64, f64, f64, bool, F0, a == b)
E2(less_f64, f64, f64, bool, F0, a < b)
E2(less_or_equal_f64, f64, f64, bool, F0, a <= b)
E2(greater_f64, f64, f64, bool, F0, a > b)
E2(greater_or_equal_f64, f64, f64, bool, F0, a >= b)
E3(where_f64, bool, f64, f64, f64, F0, a ? b : c)
