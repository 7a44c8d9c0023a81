/* SPDX-License-Identifier: Apache-2.0 */
/* Element operators on float32. */
#include "kernels/eltwise.h"
#include "kernels/math.h"

E1(id_f32, f32, f32, F0, a)
E1(neg_f32, f32, f32, F0, -a)
E1(abs_f32, f32, f32, F0, math_abs(a))
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

E1(sign_f32, f32, f32, F0, a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : a)
E1(floor_f32, f32, f32, F0, math_floor(a))
E1(ceil_f32, f32, f32, F0, math_ceil(a))
E1(round_f32, f32, f32, F0, math_round(a))
E1(isnan_f32, f32, bool, F0, a != a)
/* f0, f1: whether -inf and +inf count. */
E1(isinf_f32, f32, bool, F2, a == (a < 0.0f ? -MATH_INF : MATH_INF) && (a < 0.0f ? f0 : f1) != 0.0f)
E2(fmod_f32, f32, f32, f32, F0, math_fmod(a, b))
/* x / f0: the last step of Mean. */
E1(divide_by_f32, f32, f32, F1, a / f0)

E1(exp_f32, f32, f32, F0, math_exp(a))
E1(log_f32, f32, f32, F0, math_log(a))
E1(sigmoid_f32, f32, f32, F0, math_sigmoid(a))
E1(tanh_f32, f32, f32, F0, math_tanh(a))
E1(erf_f32, f32, f32, F0, math_erf(a))
E1(sin_f32, f32, f32, F0, math_sin(a))
E1(cos_f32, f32, f32, F0, math_cos(a))
E1(tan_f32, f32, f32, F0, math_tan(a))
E1(asin_f32, f32, f32, F0, math_asin(a))
E1(acos_f32, f32, f32, F0, math_acos(a))
E1(atan_f32, f32, f32, F0, math_atan(a))
E1(sinh_f32, f32, f32, F0, math_sinh(a))
E1(cosh_f32, f32, f32, F0, math_cosh(a))
E1(asinh_f32, f32, f32, F0, math_asinh(a))
E1(acosh_f32, f32, f32, F0, math_acosh(a))
E1(atanh_f32, f32, f32, F0, math_atanh(a))
E2(pow_f32, f32, f32, f32, F0, math_pow(a, b))

/* Activations; f0, f1 are ONNX's alpha and beta (Selu: gamma; Shrink: lambd, bias). */
E1(softplus_f32, f32, f32, F0, math_softplus(a))
E1(softsign_f32, f32, f32, F0, a / (1.0f + math_abs(a)))
E1(mish_f32, f32, f32, F0, math_mish(a))
E1(gelu_f32, f32, f32, F0, math_gelu(a))
E1(gelu_tanh_f32, f32, f32, F0, math_gelu_tanh(a))
E1(hard_sigmoid_f32, f32, f32, F2, math_unit(a * f0 + f1))
E1(hard_swish_f32, f32, f32, F0, a * math_unit(a * 0.166666667f + 0.5f))
E1(leaky_relu_f32, f32, f32, F1, a > 0.0f ? a : f0 * a)
E2(prelu_f32, f32, f32, f32, F0, a > 0.0f ? a : b * a)
E1(thresholded_relu_f32, f32, f32, F1, a > f0 ? a : 0.0f)
E1(elu_f32, f32, f32, F1, a > 0.0f ? a : f0 * math_expm1(a))
E1(celu_f32, f32, f32, F1, a > 0.0f ? a : f0 * math_expm1(a / f0))
E1(selu_f32, f32, f32, F2, f1 * (a > 0.0f ? a : f0 * math_expm1(a)))
E1(shrink_f32, f32, f32, F2, a < -f0 ? a + f1 : a > f0 ? a - f1 : a == a ? 0.0f : a)
