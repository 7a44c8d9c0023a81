/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of form_integers share.
 *
 * Quantized models are spelled with floats: DequantizeLinear, the operator,
 * QuantizeLinear (QDQ).  The pass finds such islands and writes what they mean in
 * integers; docs/numerics.md has the arithmetic.
 */
#ifndef HADMC_FRONTEND_FORM_INTEGERS_H
#define HADMC_FRONTEND_FORM_INTEGERS_H

#include "frontend/ir.h"

/* One tensor's scale and zero point: real = scale * (code - zero). */
struct grid {
    float scale;
    int32_t zero;
    enum dtype dtype; /* of the codes: u8 or i8 */
};

/* v is DequantizeLinear of 8-bit codes with one constant scale and zero point. */
bool grid_of_reals(const struct ir_value *v, struct ir_value **codes, struct grid *out);
/* n is QuantizeLinear to 8 bits with one constant scale and zero point. */
bool grid_of_codes(const struct ir_node *n, struct grid *out);
bool grid_equal(const struct grid *a, const struct grid *b);

/* What follows a result: at most one Relu or Clip, then QuantizeLinear. */
struct requantization {
    struct ir_node *act;      /* NULL: none */
    struct ir_node *quantize; /* whose result replaces all */
    struct grid grid;
    int32_t lo, hi; /* codes: limits of the type and of the activation */
};
/* act (or NULL) and then `quantize`.  False with the reason in *why. */
bool read_requantization(struct ir_node *quantize, struct ir_node *act,
                         struct requantization *out, const char **why);
/* The same for what follows v, if that is all that reads v. */
bool find_requantization(const struct ir_value *v, struct requantization *out,
                         const char **why);

/* i32[2], least and most code; NULL where they are the type's. */
struct ir_value *form_limits(struct compile *c, const struct requantization *r);

/* An island becomes `made`, which QuantizeLinear's readers get; the rest of it is dead.
 */
void form_replace(const struct requantization *r, struct ir_value *made);

/* a / b as the multiplier of a float32 (numerics, section 3): false when it is not a
 * normal number in [2^-126, 2^24]. */
bool form_multiplier(double a, double b, float *out);
/* DequantizeLinear(codes, scale, zero) before `at`: scale * (float)(code - zero). */
struct status *form_scaled(struct ir_node *at, struct ir_value *codes, float scale,
                           int32_t zero, struct ir_value **out);
/* zero + rne(clamp(v, lo - zero, hi - zero)) in r's type, before `at`. */
struct status *form_rounded(struct ir_node *at, struct ir_value *v,
                            const struct requantization *r, struct ir_value **out);

/* Each returns OK with *formed unset when n is nothing for it; *why says why not, if n
 * stands between DequantizeLinear and QuantizeLinear all the same. */
typedef struct status *form_fn(struct ir_node *n, bool *formed, const char **why);

form_fn form_product;  /* Conv, Gemm, MatMul */
form_fn form_sum;      /* Add, Sub, Mul */
form_fn form_pool;     /* AveragePool, means over all of an image */
form_fn form_mean;     /* ReduceMean */
form_fn form_rows;     /* Softmax, LayerNormalization, RMSNormalization */
form_fn form_rescale;  /* DequantizeLinear, [Relu, Clip], QuantizeLinear */
form_fn form_movement; /* Reshape, Transpose, Concat, MaxPool ... on codes */

#endif /* HADMC_FRONTEND_FORM_INTEGERS_H */
