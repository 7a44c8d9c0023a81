/* SPDX-License-Identifier: Apache-2.0 */
/* What the integer operators compute, a second time: written from the definition of the
 * arithmetic alone, sharing nothing with kernels/, to be compared byte for byte with
 * whatever computes them.  Slow on purpose: every formula stands here as it is defined.
 *
 *     real = scale * (code - zero)                       a code is the stored integer
 *     m    = (float)((double)s_x * s_w / s_y)            once per channel
 *     y    = z_y + rne(clamp((float)acc * m, lo - z_y, hi - z_y))
 *
 * Codes are int32_t whatever their storage (int4, int8, uint8, int16);
 * oracle_from_bytes and oracle_to_bytes convert.  Tensors are row-major; [N, C, H, W].
 * Arguments belong to the caller; outputs come last and overlap no input; operands are
 * assumed valid (scales are positive normal floats, shapes agree).
 *
 * A fusion changes no byte, so fused operators are these functions one after the other:
 * Conv + Relu has a narrower lo or hi (oracle_limit), Conv + Add is oracle_conv, then
 * oracle_binary.  Copying operators (Transpose, Slice, Reshape, Pad, nearest Resize)
 * are a move of codes and oracle_requantize.
 *
 * "Choice:" marks what the definition leaves open and how it is read here. */
#ifndef HADMC_TESTS_ORACLE_H
#define HADMC_TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oracle_quant {
    float scale;
    int32_t zero;
};

/* An output: codes stay in [lo, hi], the limits of its type (-128, 127 or 0, 255)
 * intersected with those of a fused Relu or Clip. */
struct oracle_output {
    float scale;
    int32_t zero, lo, hi;
};

/* ---- storage (oracle_round.c) ---- */

enum oracle_type { ORACLE_INT8, ORACLE_UINT8, ORACLE_INT16, ORACLE_UINT16 };

void oracle_from_bytes(enum oracle_type type, const void *bytes, size_t n,
                       int32_t *codes);
void oracle_to_bytes(enum oracle_type type, const int32_t *codes, size_t n,
                     void *bytes);

/* ---- rounding (oracle_round.c) ---- */

/* Nearest integer, ties to even: 0.5 -> 0, 1.5 -> 2, -2.5 -> -2.  |x| <= 2^51. */
int64_t oracle_rne(double x);

/* Nearest float, ties to even, without the compiler's conversion:
 * 2^24 + 1 -> 2^24, 2^24 + 3 -> 2^24 + 4. */
float oracle_float(int64_t v);

/* min(max(x, least), most).  Choice: in this order, so most wins where least > most, as
 * in ONNX's Clip. */
double oracle_clamp(double x, double least, double most);

/* (float)(s_x * s_w / s_y), product and quotient in double, in this order.
 * Choice: a result outside of [2^-126, 2^24] belongs to the compiler, which refuses the
 * node; here it is asserted.  The quotient s_a / s_y of Add and of copies is the same
 * with s_w = 1 (for two floats, dividing in double and rounding gives float's
 * quotient). */
float oracle_multiplier(float s_x, float s_w, float s_y);

/* zero + rne(clamp(t, lo - zero, hi - zero)): a result in units of the output's scale
 * becomes a code.  Choice: NaN counts as 0. */
int32_t oracle_settle(double t, const struct oracle_output *y);

/* oracle_settle(oracle_float(acc) * m), the product in float.
 * Choice: 16-bit operands use the same formula on an int64 accumulator. */
int32_t oracle_scale_down(int64_t acc, float m, const struct oracle_output *y);

/* The code of a Relu's or Clip's limit in y's type, for y->lo or y->hi; here y
 * has the type's own limits.
 * Choice: the limit is quantized as a value is, with float's division; only so is
 * quantize(clip(x)) the same as a clip of quantize(x). */
int32_t oracle_limit(float limit, const struct oracle_output *y);

/* rne(real / (s_x * s_w)): an imported bias in the accumulator's scale.
 * Choice: product and quotient in double; a result beyond int32 is asserted against. */
int32_t oracle_bias(double real, float s_x, float s_w);

/* ---- Quantize and Dequantize (oracle_round.c) ---- */

/* zero + rne(clamp(x / scale, ...)), one float division; NaN gives zero, infinities
 * saturate.  Choice: where a fused clip excludes zero, NaN gives the nearest of lo, hi.
 */
int32_t oracle_quantize_one(float x, const struct oracle_output *y);

/* The same with the product x * (1 / scale), where hadmcc chose the scale.
 * Choice: the reciprocal is the nearest float. */
int32_t oracle_quantize_reciprocal_one(float x, const struct oracle_output *y);

/* scale * (float)(code - zero), one float product. */
float oracle_dequantize_one(int32_t code, struct oracle_quant q);

/* x and y are [outer, channels, inner]; y_as has `channels` entries: 1 for a whole
 * tensor. */
void oracle_quantize(const float *x, int64_t outer, int64_t channels, int64_t inner,
                     const struct oracle_output *y_as, int32_t *y);
void oracle_dequantize(const int32_t *x, int64_t outer, int64_t channels, int64_t inner,
                       const struct oracle_quant *x_as, float *y);

/* ---- Conv, MatMul, Gemm (oracle_products.c) ---- */

/* Where a window stands.  Position (oy, ox), tap (ky, kx) reads row
 * oy * stride_y - pad_top + ky * dilation_y, and the column likewise. */
struct oracle_window {
    int64_t n, c, h, w; /* the input */
    int64_t oh, ow;     /* the output's rows and columns */
    int64_t kh, kw;
    int64_t stride_y, stride_x;
    int64_t dilation_y, dilation_x;
    int64_t pad_top, pad_left;
    int64_t pad_bottom, pad_right; /* read by counted AveragePool only */
};

/* Weights of `c_out` channels; `n` of a scale or zero point is 1 or c_out. */
struct oracle_weights {
    const int32_t *code;
    const float *scale;
    int64_t n_scale;
    const int32_t *zero;
    int64_t n_zero;
    const int32_t *bias; /* [c_out], scale s_x * s_w[c]; or NULL */
};

/* Sum of |q_w - z_w| times max |q_x - z_x|, plus |bias|, over the `n` weights of one
 * channel, `stride` apart.  The node is refused unless this is below 2^31. */
int64_t oracle_accumulator_bound(const int32_t *code, int64_t n, int64_t stride,
                                 int32_t zero, int32_t x_reach, int32_t bias);

/* x [n, c, h, w], weights [c_out, c / groups, kh, kw], y [n, c_out, oh, ow].
 * Outside of x stands the code x_as.zero, whose product is 0. */
void oracle_conv(const int32_t *x, const struct oracle_window *at,
                 struct oracle_quant x_as, int64_t groups, int64_t c_out,
                 const struct oracle_weights *w, const struct oracle_output *y_as,
                 int32_t *y);

/* y [batch, rows, cols] = a [batch, rows, depth] b [batch or 1, depth, cols] + bias.
 * The scales and zero points of b and the bias [cols] are its columns'; a transposed
 * operand is stored as [depth, rows] or [cols, depth].  Gemm is batch = 1 (with alpha
 * and beta 1: an import multiplies others into scale and bias). */
struct oracle_matmul {
    int64_t batch, rows, depth, cols;
    bool b_is_shared, a_transposed, b_transposed;
};

void oracle_matmul(const int32_t *a, const struct oracle_matmul *shape,
                   struct oracle_quant a_as, const struct oracle_weights *b,
                   const struct oracle_output *y_as, int32_t *y);

/* ---- elements (oracle_elements.c) ---- */

enum oracle_binary_op { ORACLE_ADD, ORACLE_SUB, ORACLE_MUL };

/* Shapes of rank 4; a dimension of 1 in a or b is repeated.
 * Add, Sub: t = (float)(q_a - z_a) * (s_a / s_y), u likewise, t + u or t - u in float.
 * Mul: (float)((q_a - z_a) * (q_b - z_b)) * (s_a * s_b / s_y). */
void oracle_binary(enum oracle_binary_op op, const int32_t *a, const int64_t a_dim[4],
                   struct oracle_quant a_as, const int32_t *b, const int64_t b_dim[4],
                   struct oracle_quant b_as, const struct oracle_output *y_as,
                   int32_t *y);

/* (float)(q - z) * (s / s_y); with equal scales and zero points a copy within limits.
 */
void oracle_requantize(const int32_t *x, int64_t n, struct oracle_quant x_as,
                       const struct oracle_output *y_as, int32_t *y);

/* Input i is [outer, len[i], inner]; y is [outer, sum of len, inner]. */
void oracle_concat(int n_inputs, const int32_t *const *x, const int64_t *len,
                   const struct oracle_quant *x_as, int64_t outer, int64_t inner,
                   const struct oracle_output *y_as, int32_t *y);

/* table[i] is the output's code for the input's code lo + i, i < 256; lo is -128 or 0.
 * Choice: double throughout, that is x = (double)s_x * (q - z_x), exact, then
 * f(x) / (double)s_y, clamped and rounded once; NaN gives zero. */
void oracle_table(double (*f)(double x, const void *arg), const void *arg, int32_t lo,
                  struct oracle_quant x_as, const struct oracle_output *y_as,
                  int32_t table[256]);
void oracle_lookup(const int32_t *x, int64_t n, int32_t lo, const int32_t table[256],
                   int32_t *y);

/* ---- pools (oracle_pools.c) ---- */

/* Largest code of each window, padding left out, then requantized.
 * Choice: a window without any element gives y_as->lo, as minus infinity would. */
void oracle_max_pool(const int32_t *x, const struct oracle_window *at,
                     struct oracle_quant x_as, const struct oracle_output *y_as,
                     int32_t *y);

/* acc = sum of (q - z_x), m = (float)(s_x / (s_y * count)).
 * Choice: product, then quotient, in double.  Counted padding is the taps inside of the
 * padded input, so not what a rounded-up output size (ceil_mode) adds beyond it.  A
 * window that counts nothing gives the zero point. */
void oracle_average_pool(const int32_t *x, const struct oracle_window *at,
                         bool count_padding, struct oracle_quant x_as,
                         const struct oracle_output *y_as, int32_t *y);

/* One window, h by w. */
void oracle_global_average_pool(const int32_t *x, int64_t n, int64_t c, int64_t h,
                                int64_t w, struct oracle_quant x_as,
                                const struct oracle_output *y_as, int32_t *y);

/* ---- rows: Softmax, LayerNorm, RMSNorm (oracle_rows.c) ---- */

/* The definition names the sums of a row and "one fixed float recipe".  The recipes
 * here are a choice, told step by step; the _real twins have the mathematical values in
 * extended precision, for a check by tolerance that depends on no choice. */

/* table[d] = rne(exp(-s * d) * 2^ORACLE_SOFTMAX_LOG2), d = max - q.
 * Choice: 24, the most for which every entry is a float; the table is rounded from
 * extended precision. */
enum { ORACLE_SOFTMAX_LOG2 = 24 };
void oracle_softmax_table(float s_x, uint32_t table[256]);

/* x and y are [rows, n].  Choice: the sum has 64 bits, and
 *   r = (float)(1 / s_y) / (float)sum               the row's one division
 *   y = z_y + rne(clamp((float)table[max - q] * r, ...)) */
void oracle_softmax(const int32_t *x, int64_t rows, int64_t n,
                    const uint32_t table[256], const struct oracle_output *y_as,
                    int32_t *y);
void oracle_softmax_real(const int32_t *x, int64_t rows, int64_t n, float s_x,
                         double *y);

/* gamma and beta [n] are floats; beta may be NULL: no addition then. */
struct oracle_norm {
    int64_t rows, n;
    const float *gamma, *beta;
    float epsilon;
};

/* Choice, every line one float operation a symbol, left to right; (float) of a quotient
 * of scales is computed in double:
 *   g[i] = (float)(gamma[i] / s_y)     b[i] = (float)(beta[i] / s_y)
 *   S = sum of q, Q = sum of q^2, V = n * Q - S^2             int64, exact for n < 2^23
 *   v = (float)V * (float)(s_x^2 / n^2)
 *   k = (float)(s_x / n) / sqrt(v + epsilon)
 *   y = z_y + rne(clamp((float)(n * q - S) * k * g[i] + b[i], ...))
 * NaN (epsilon 0 and a constant row) gives the zero point. */
void oracle_layer_norm(const int32_t *x, const struct oracle_norm *norm,
                       struct oracle_quant x_as, const struct oracle_output *y_as,
                       int32_t *y);
void oracle_layer_norm_real(const int32_t *x, const struct oracle_norm *norm,
                            struct oracle_quant x_as, double *y);

/* As oracle_layer_norm, with
 *   Q = sum of (q - z_x)^2
 *   v = (float)Q * (float)(s_x^2 / n)
 *   k = s_x / sqrt(v + epsilon)
 *   y = z_y + rne(clamp((float)(q - z_x) * k * g[i] + b[i], ...)) */
void oracle_rms_norm(const int32_t *x, const struct oracle_norm *norm,
                     struct oracle_quant x_as, const struct oracle_output *y_as,
                     int32_t *y);
void oracle_rms_norm_real(const int32_t *x, const struct oracle_norm *norm,
                          struct oracle_quant x_as, double *y);

#endif /* HADMC_TESTS_ORACLE_H */
