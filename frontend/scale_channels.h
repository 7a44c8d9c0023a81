/* SPDX-License-Identifier: Apache-2.0 */
/* Operators with constant float32 weights and one bias per output channel: Conv,
 * ConvTranspose, and Gemm in the form fold_gemm leaves it (alpha = beta = 1, bias
 * [N]).  Their result can be scaled and shifted per channel by changing constants:
 *
 *     s * (W x + b) + t  =  (s * W) x + (s * b + t)
 *
 * MatMul by a constant matrix is one of them, but has nowhere to put a shift.
 */
#ifndef HADMC_FRONTEND_SCALE_CHANNELS_H
#define HADMC_FRONTEND_SCALE_CHANNELS_H

#include "frontend/ir.h"

bool channels_can_scale(const struct ir_node *n);
bool channels_can_shift(const struct ir_node *n);
/* Output channels, and which dim of the output holds them. */
int64_t channels_count(const struct ir_node *n);
int channels_axis(const struct ir_node *n);

/* n_channels values each; NULL: all 1, all 0.  Computed in double, rounded once. */
void channels_scale(struct ir_node *n, const double *scale, const double *shift);

/* The constant `k`, broadcast to `like`, varies along dim `axis` only: its values
 * there.  NULL otherwise, or when it would broaden `like`. */
double *channels_of_const(struct arena *a, const struct ir_value *k,
                          const struct ir_value *like, int axis);

#endif /* HADMC_FRONTEND_SCALE_CHANNELS_H */
